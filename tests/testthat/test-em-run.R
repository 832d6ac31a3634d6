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
    for (acceleration in c("squarem", "anderson")) {
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
