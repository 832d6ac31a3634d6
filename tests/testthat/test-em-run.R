# Several starts, and how runs end.

test_that("the best of several starts wins, and all are in the table", {
  model <- em_model_deaths()
  starts <- list(list(p = 0.5, mu = c(2, 2)), list(p = 0.5, mu = c(1, 3)), list(p = 0.2, mu = c(4, 1)))
  fit <- em_fit_of(model, start = starts)
  expect_identical(nrow(fit$starts), 3L)
  # equal rates are a saddle point
  expect_identical(fit$starts$best, c(FALSE, TRUE, TRUE))
  expect_equal(fit$loglik, -1989.945859883, tolerance = 1e-11)
  drawn <- function() with_seed(1, em_fit_of(model,
                                             start = function() list(p = stats::runif(1), mu = stats::runif(2, 0, 5)),
                                             control = em_control(n_starts = 4, n_short = 3, n_polish = 2)))
  fit <- drawn()
  expect_identical(nrow(fit$starts), 4L)
  expect_identical(sum(fit$starts$status == "screened"), 2L)
  expect_identical(drawn()[c("parameters", "starts")], fit[c("parameters", "starts")])
})

test_that("forked runs give what runs in turn give", {
  skip_if_not(fork_is_safe())
  arguments <- em_model_deaths()
  space <- em_space(arguments$start, arguments$transform)
  model <- em_model(arguments[c("e_step", "m_step")], arguments$data, space)
  run <- function(i) {
    list(process = Sys.getpid(), draw = stats::runif(1), run = em_run(model, c(0.4, i / 2, 3), list(
      tol = 1e-10, max_iter = 100, accelerator = "anderson"
    )))
  }
  forked <- with_seed(1, em_each(1:4, run, processes = 2, worth = 0))
  serial <- with_seed(1, em_each(1:4, run, processes = 1, worth = 0))
  expect_false(any(vapply(forked[-1], `[[`, 0L, "process") == Sys.getpid()))
  expect_identical(lapply(forked, `[`, c("draw", "run")), lapply(serial, `[`, c("draw", "run")))
})

test_that("a start that cannot be used is named", {
  model <- em_model_linkage()
  expect_error(em_fit_of(model, start = list(list(t = 0.1), list(t = 1.9))), "Start 2 .*outside",
               class = "em_error_start")
  expect_error(em_fit_of(model, start = list(list(t = 0.1), list(u = 0.9))), "Start 2 .*no element `t`",
               class = "em_error_start")
  expect_error(em_fit_of(model, start = function() stop("no luck")), "start\\(\\).*no luck", class = "em_error_start")
  expect_error(em_fit_of(model, start = list(t = TRUE)), "whose `t` is TRUE", class = "em_error_start")
  expect_error(em_fit_of(model, start = list()), "an empty list", class = "em_error_start")
})

test_that("a start at which a function fails is a row of the table", {
  model <- em_model_deaths()
  starts <- list(list(p = 0.5, mu = c(1, 3)), list(p = 0.5, mu = c(9e5, 8e5)))
  fit <- em_fit_of(model, start = starts)
  expect_identical(fit$starts$status, c("converged", "failed"))
  expect_error(em_fit_of(model, start = starts[c(2, 2)]), class = "em_error_start")
})

test_that("a wrong M-step that goes downhill is explained", {
  error <- expect_error(
    em_fit_of(em_model_linkage(), m_step = function(x, y) list(t = y[4] / (x + sum(y[2:4])))),
    "Iteration 1 lowered the log-likelihood from -208.* to .*M-step", class = "em_error_non_monotone"
  )
  expect_identical(error$iteration, 1L)
  expect_lt(error$after, error$before)
  model <- em_model_linkage()
  expect_equal(error$before, model$loglik(model$start, model$data))
})

test_that("a wrong M-step that converges elsewhere is a warning", {
  warning <- expect_warning(
    em_fit_of(em_model_linkage(), m_step = function(x, y) list(t = (x + y[4]) / (x + sum(y[2:4])) - 0.01),
              control = em_control(acceleration = "none")),
    "another function", class = "em_warning_not_stationary"
  )
  expect_gt(warning$rise, 0)
  expect_silent(em_fit_of(em_model_linkage()))
})

test_that("acceleration out of the parameter space is taken back", {
  # Real coordinates: proposals with p above 1 or a negative rate have no log-likelihood, or stop.
  model <- em_model_deaths()
  model$transform <- NULL
  outside <- 0
  inner <- model$e_step
  model$e_step <- function(theta, data) {
    if (theta$p < 0 || theta$p > 1 || any(theta$mu < 0)) {
      outside <<- outside + 1
      stop("outside")
    }
    inner(theta, data)
  }
  for (start in list(list(p = 0.9, mu = c(1, 3)), list(p = 0.99, mu = c(2, 6)), list(p = 0.01, mu = c(0.1, 2)))) {
    for (acceleration in c("squarem", "anderson", "subspace")) {
      fit <- em_fit_of(model, start = start, control = em_control(tol = 1e-13, acceleration = acceleration))
      expect_equal(fit$loglik, -1989.945859883, tolerance = 1e-10)
    }
  }
  expect_gt(outside, 0)
})

test_that("an interrupt ends the fit and leaves the session able to fit again", {
  skip_on_os("windows")
  skip_on_cran()
  model <- em_model_linkage()
  before <- em_fit_of(model)
  system(sprintf("(sleep 0.5; kill -INT %d) &", Sys.getpid()))
  outcome <- tryCatch(quietly(em_fit_of(model, control = em_control(tol = 0, max_iter = 1e8))),
                      interrupt = function(e) "interrupted")
  expect_identical(outcome, "interrupted")
  expect_identical(em_fit_of(model)$parameters, before$parameters)
})

# Steps and log-likelihoods that a fit takes to come within 1e-8 of the maximum.
em_calls_to <- function(top, model, start, acceleration) {
  steps <- logliks <- 0
  needed <- NULL
  em_fit_of(
    list(
      update = function(theta, data) {
        steps <<- steps + 1
        out <- model$m_step(model$e_step(theta, data), data)
        if (is.null(needed) && model$loglik(out, data) > top - 1e-8) needed <<- c(steps, logliks)
        out
      },
      loglik = function(theta, data) {
        logliks <<- logliks + 1
        model$loglik(theta, data)
      },
      data = model$data, transform = model$transform
    ),
    start = start, control = em_control(tol = 1e-13, acceleration = acceleration)
  )
  needed
}

test_that("a search on the log-likelihood saves steps of a slow model", {
  model <- em_model_deaths_apart()
  starts <- with_seed(11, replicate(20, list(p = stats::runif(1), mu = stats::runif(2, 0, 4)), simplify = FALSE))
  calls <- lapply(c(anderson = "anderson", subspace = "subspace"), function(acceleration) {
    vapply(starts, function(s) em_calls_to(-1989.945859883, model, s, acceleration), c(steps = 0, logliks = 0))
  })
  median <- sapply(calls, function(k) apply(k, 1, stats::median))
  expect_lt(median["steps", "subspace"], 0.85 * median["steps", "anderson"])
  expect_lt(median["logliks", "subspace"], 3 * median["logliks", "anderson"])
})

test_that("\"auto\" searches where the log-likelihood has a function of its own", {
  expect_true("subspace" %in% em_fit_of(em_model_deaths_apart())$trace$step)
  together <- em_model_deaths()
  expect_null(together$loglik)
  expect_true("anderson" %in% em_fit_of(together)$trace$step)
  # and nothing changes where there is nothing to search
  expect_equal(em_fit_of(together, control = em_control(acceleration = "subspace"))$trace$loglik,
               em_fit_of(together, control = em_control(acceleration = "anderson"))$trace$loglik)
})

test_that("a step downhill does not hide behind the search", {
  model <- em_model_deaths_apart()
  right <- model$m_step
  # away from where EM begins it goes the wrong way
  model$m_step <- function(stats, data) {
    out <- right(stats, data)
    if (out$mu[2] > 2.6) out$mu <- out$mu + c(0.5, -0.5)
    out
  }
  expect_error(em_fit_of(model), class = "em_error_non_monotone")
})

test_that("an accelerated step out of a space that nobody told of is no mistake of the M-step", {
  model <- em_model_deaths_apart()
  step <- function(v) unlist(model$m_step(model$e_step(list(p = v[1], mu = v[2:3]), model$data), model$data))
  loglik <- function(v) suppressWarnings(model$loglik(list(p = v[1], mu = v[2:3]), model$data))
  expect_warning(
    fit <- em(c(0.6049332903, 3.131405348, 3.717015679), update = step, loglik = loglik,
              control = em_control(acceleration = "anderson")),
    "transform", class = "em_warning_not_accelerated")
  expect_equal(fit$loglik, -1989.945859883, tolerance = 1e-8)
  expect_setequal(fit$trace$step, c("start", "em"))
})

test_that("after plain steps that show more to gain the accelerator goes on", {
  model <- em_model_deaths_apart()
  fit <- em_fit_of(model, start = list(p = 0.4290, mu = c(1.9937, 0.7068)),
                   control = em_control(acceleration = "squarem"))
  expect_true(fit$converged)
  expect_lt(fit$calls[["step"]], 150)
  # without going on it took 4 accelerated steps, and 554 plain ones
  expect_gt(mean(fit$trace$step == "squarem"), 0.05)
})

test_that("parameters outside of the space of their transform stop the fit", {
  outside <- function(start, transform, step, pattern) {
    expect_error(em(start, update = function(theta) step, loglik = function(theta) -sum(unlist(theta)^2) / 1e6,
                    transform = transform), pattern, class = "em_error_closure_value")
  }
  outside(list(t = 0.5), "probability", list(t = 1.5), "`update` left the space .* iteration 1 `t` must be between 0")
  outside(list(v = 1), "positive", list(v = -1), "`v` must be 0 or more, and `v` is -1")
  outside(list(p = c(0.5, 0.5)), "simplex", list(p = c(2, 1)), "sum to 1, and the sum is 3")
  outside(list(p = c(0.5, 0.5)), "simplex", list(p = c(-0.2, 1.2)), "`p\\[1\\]` is -0.2")
  outside(list(p = rbind(c(0.5, 0.5), c(0.1, 0.9))), "simplex", list(p = rbind(c(0.5, 0.5), c(0.1, 0.8))),
          "`p\\[2,1\\]` is 0.9")
  outside(list(s = diag(2)), "covariance", list(s = matrix(c(1, 2, 2, 1), 2)), "positive semidefinite")
  outside(list(s = diag(2)), "covariance", list(s = matrix(c(1, 0.5, 0.2, 1), 2)), "symmetric")
  outside(list(s = diag(2)), "covariance", list(s = diag(c(1, -1))), "variance of -1")
  # the gene frequencies of the ABO model with a division forgotten
  model <- em_model_abo()
  right <- model$m_step
  model$m_step <- function(stats, data) list(genes = 1042 * right(stats, data)$genes)
  expect_error(em_fit_of(model), "the sum is 1042", class = "em_error_closure_value")
})

test_that("the boundary of a space is in the space", {
  fit <- em(list(p = 0.5), update = function(theta) list(p = 0), transform = "probability",
            loglik = function(theta) stats::dbinom(0, 10, theta$p, log = TRUE))
  expect_identical(fit$parameters$p, 0)
})

test_that("a constraint that no transform tells of is named", {
  model <- em_model_abo()
  model["transform"] <- list(NULL)
  expect_warning(fit <- em_fit_of(model), "`genes` sums to 1", class = "em_warning_not_stationary")
  expect_gt(fit$higher$rise, 0)
  expect_match(paste(summary(fit)$report, collapse = " "), "higher by .* `genes` sums to 1")
  expect_output(print(fit), "But not to a maximum")
})
