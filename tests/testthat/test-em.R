# Reference values: Rao (1973); Titterington, Smith and Makov (1985); the rest by optimisers that know nothing of EM.

test_that("the linkage data have Rao's estimate, with every accelerator", {
  for (acceleration in c("auto", "squarem", "anderson")) {
    fit <- em_fit_of(em_model_linkage(), control = em_control(tol = 1e-14, acceleration = acceleration))
    expect_equal(fit$parameters, list(t = 0.6268214979), tolerance = 1e-10)
  }
  # plain EM stops where the log-likelihood is flat to the last bit
  plain <- em_fit_of(em_model_linkage(), control = em_control(tol = 1e-14, acceleration = "none"))
  expect_equal(plain$parameters$t, 0.6268214979, tolerance = 1e-7)
  # the root of the score, a quadratic
  root <- (15 + sqrt(15^2 + 8 * 34 * 197)) / (2 * 197)
  expect_equal(em_fit_of(em_model_linkage())$parameters$t, root, tolerance = 1e-10)
})

test_that("the deaths in the Times are two kinds of days", {
  fit <- em_fit_of(em_model_deaths())
  expect_equal(fit$loglik, -1989.945859883, tolerance = 1e-11)
  expect_equal(fit$parameters$p, 0.3599, tolerance = 1e-3)
  expect_equal(fit$parameters$mu, c(1.256095101, 2.663404357), tolerance = 1e-6)
})

test_that("the blood groups have the maximum that an optimiser finds", {
  model <- em_model_abo()
  fit <- em_fit_of(model)
  simplex <- function(v) exp(c(v, 0)) / sum(exp(c(v, 0)))
  oracle <- stats::optim(c(0, 0), function(v) -abo_loglik(simplex(v), model$data), method = "BFGS",
                         control = list(reltol = 1e-15, maxit = 1000))
  expect_equal(fit$loglik, -oracle$value, tolerance = 1e-12)
  expect_equal(unname(fit$parameters$genes), simplex(oracle$par), tolerance = 1e-6)
  expect_named(fit$parameters$genes, c("A", "B", "O"))
  expect_equal(c(fit$df, fit$nobs), c(2, 521))
})

test_that("a normal with censored values has the maximum of survival's survreg()", {
  skip_if_not_installed("survival")
  y <- with_seed(1, pmin(stats::rnorm(60, 3, 2), 4))
  censored <- y == 4
  fit <- em(
    start = list(mu = 0, sigma = 1),
    e_step = function(theta) {
      a <- (4 - theta$mu) / theta$sigma
      hazard <- stats::dnorm(a) / stats::pnorm(a, lower.tail = FALSE)
      first <- ifelse(censored, theta$mu + theta$sigma * hazard, y)
      second <- ifelse(censored, theta$mu^2 + theta$sigma^2 + theta$sigma * (4 + theta$mu) * hazard, y^2)
      c(mean(first), mean(second))
    },
    m_step = function(m) list(mu = m[1], sigma = sqrt(m[2] - m[1]^2)),
    loglik = function(theta) {
      sum(stats::dnorm(y[!censored], theta$mu, theta$sigma, log = TRUE)) +
        sum(censored) * stats::pnorm(4, theta$mu, theta$sigma, lower.tail = FALSE, log.p = TRUE)
    },
    transform = c(sigma = "positive"), n_obs = 60, control = em_control(tol = 1e-14)
  )
  oracle <- survival::survreg(survival::Surv(y, !censored) ~ 1, dist = "gaussian",
                              control = survival::survreg.control(rel.tolerance = 1e-14))
  expect_equal(fit$loglik, oracle$loglik[1], tolerance = 1e-12)
  expect_equal(unname(coef(fit)), c(unname(stats::coef(oracle)), oracle$scale), tolerance = 1e-7)
  expect_equal(unname(sqrt(diag(vcov(fit))))[1], unname(sqrt(diag(stats::vcov(oracle))))[1], tolerance = 1e-6)
})

test_that("a probit regression by EM is that of glm()", {
  d <- with_seed(3, data.frame(a = stats::rnorm(150), b = stats::rnorm(150)))
  d$y <- as.numeric(with_seed(4, 0.3 + d$a - 0.5 * d$b + stats::rnorm(150)) > 0)
  x <- cbind(1, d$a, d$b)
  fit <- em(
    c(intercept = 0, a = 0, b = 0),
    update = function(beta, d) {
      e <- drop(x %*% beta)
      latent <- e + ifelse(d$y == 1, stats::dnorm(e) / stats::pnorm(e), -stats::dnorm(e) / stats::pnorm(-e))
      qr.coef(qr(x), latent)
    },
    loglik = function(beta, d) sum(stats::pnorm((2 * d$y - 1) * drop(x %*% beta), log.p = TRUE)),
    data = d, control = em_control(tol = 1e-14)
  )
  oracle <- stats::glm(y ~ a + b, stats::binomial("probit"), d, control = list(epsilon = 1e-14))
  expect_equal(fit$loglik, as.numeric(stats::logLik(oracle)), tolerance = 1e-12)
  expect_equal(unname(fit$parameters), unname(stats::coef(oracle)), tolerance = 1e-6)
  expect_named(fit$parameters, c("intercept", "a", "b"))
  expect_equal(fit$nobs, 150)
})

test_that("a multivariate t has the maximum that an optimiser finds", {
  x <- with_seed(5, matrix(stats::rnorm(160), 80) %*% matrix(c(1, 0.6, 0, 1), 2) / sqrt(stats::rchisq(80, 4) / 4))
  nu <- 4
  distance <- function(theta) colSums(backsolve(chol(theta$scale), t(x) - theta$mu, transpose = TRUE)^2)
  loglik <- function(theta) {
    sum(lgamma((nu + 2) / 2) - lgamma(nu / 2) - log(nu * pi) - (nu + 2) / 2 * log1p(distance(theta) / nu)) -
      nrow(x) / 2 * as.numeric(determinant(theta$scale)$modulus)
  }
  fit <- em(
    list(mu = c(0, 0), scale = diag(2)), e_step = function(theta) (nu + 2) / (nu + distance(theta)),
    m_step = function(w) {
      mu <- colSums(w * x) / sum(w)
      list(mu = mu, scale = crossprod(sqrt(w) * (x - rep(mu, each = nrow(x)))) / nrow(x))
    },
    loglik = loglik, transform = c(scale = "covariance"), control = em_control(tol = 1e-14)
  )
  unpacked <- function(v) {
    root <- matrix(c(exp(v[3]), v[4], 0, exp(v[5])), 2)
    list(mu = v[1:2], scale = tcrossprod(root))
  }
  oracle <- stats::optim(rep(0, 5), function(v) tryCatch(-loglik(unpacked(v)), error = function(e) 1e10), method = "BFGS",
                         control = list(reltol = 1e-15, maxit = 1000))
  expect_equal(fit$loglik, -oracle$value, tolerance = 1e-10)
  expect_equal(fit$parameters, unpacked(oracle$par), tolerance = 1e-4)
})

test_that("a mixture of two normals is the one that em_gmm() fits", {
  model <- em_model_plane()
  fit <- em_fit_of(model)
  gmm <- em_gmm(model$data, n_components = 2, covariance = "VVV", control = em_control(tol = 1e-13))
  expect_equal(fit$loglik, gmm$loglik, tolerance = 1e-12)
  expect_equal(fit$df, 11)
  expect_identical(lapply(fit$parameters, dim), lapply(model$start, dim))
})

test_that("the loglik belongs to the parameters that are returned", {
  for (n in c(0, 1, 4, 9)) {
    fit <- quietly(em_fit_of(em_model_abo(), control = em_control(tol = 0, max_iter = n)))
    expect_identical(fit$loglik, unname(abo_loglik(fit$parameters$genes, fit$data)))
    expect_identical(fit$iterations, as.integer(n))
    expect_true(all(diff(fit$trace$objective) > -1e-10))
  }
})

test_that("a log prior moves the estimate to the posterior mode", {
  # Beta(3, 5): pseudo-counts 2 and 4 in the M-step
  fit <- em_fit_of(
    em_model_linkage(), m_step = function(x, y) list(t = (x + y[4] + 2) / (x + sum(y[2:4]) + 6)),
    log_prior = function(theta) stats::dbeta(theta$t, 3, 5, log = TRUE)
  )
  oracle <- stats::optimize(function(t) sum(c(125, 18, 20, 34) * log(c(2 + t, 1 - t, 1 - t, t))) + 2 * log(t) + 4 * log(1 - t),
                            c(0, 1), maximum = TRUE, tol = 1e-10)
  expect_equal(fit$parameters$t, oracle$maximum, tolerance = 1e-6)
  expect_equal(fit$log_prior, stats::dbeta(fit$parameters$t, 3, 5, log = TRUE))
})

test_that("pack() and unpack() of one's own give the same fit", {
  own <- em_fit_of(em_model_deaths(), transform = NULL, pack = function(theta) c(stats::qlogis(theta$p), log(theta$mu)),
                   unpack = function(v) list(p = stats::plogis(v[1]), mu = exp(v[2:3])))
  named <- em_fit_of(em_model_deaths())
  expect_equal(own$parameters, named$parameters, tolerance = 1e-7)
  expect_equal(vcov(own), vcov(named), tolerance = 1e-5)
  expect_identical(own$df, 3L)
  expect_error(em_fit_of(em_model_deaths(), transform = NULL, pack = function(theta) unlist(theta)), class = "em_error_argument")
  expect_error(em_fit_of(em_model_deaths(), transform = NULL, pack = unlist, unpack = function(v) list(p = 0.1, mu = v[2:3])),
               "inverse", class = "em_error_closure_value")
})

# --- starts ---------------------------------------------------------------------------------------

test_that("the best of several starts wins, and all are in the table", {
  model <- em_model_deaths()
  starts <- list(list(p = 0.5, mu = c(2, 2)), list(p = 0.5, mu = c(1, 3)), list(p = 0.2, mu = c(4, 1)))
  fit <- em_fit_of(model, start = starts)
  expect_identical(nrow(fit$starts), 3L)
  # equal rates are a saddle point
  expect_identical(fit$starts$best, c(FALSE, TRUE, TRUE))
  expect_equal(fit$loglik, -1989.945859883, tolerance = 1e-11)
  drawn <- function() with_seed(1, em_fit_of(model, start = function() list(p = stats::runif(1), mu = stats::runif(2, 0, 5)),
                                             control = em_control(n_starts = 4, n_short = 3, n_polish = 2)))
  fit <- drawn()
  expect_identical(nrow(fit$starts), 4L)
  expect_identical(sum(fit$starts$status == "screened"), 2L)
  expect_identical(drawn()[c("parameters", "starts")], fit[c("parameters", "starts")])
})

test_that("forked runs give what runs in turn give", {
  skip_if_not(fork_is_safe())
  model <- em_model_deaths()
  slow <- model$m_step
  # slow enough for processes to pay
  model$m_step <- function(z, data) {
    Sys.sleep(0.02)
    slow(z, data)
  }
  model$start <- lapply(c(0.5, 1, 1.5, 2.2, 2.5), function(m) list(p = 0.4, mu = c(m, 3)))
  fit <- function(threads) {
    em_fit_of(model, control = em_control(tol = 1e-6, n_short = 6, n_polish = 1, threads = threads))
  }
  serial <- system.time(one <- fit(1))[["elapsed"]]
  forked <- system.time(two <- fit(2))[["elapsed"]]
  expect_identical(two[c("parameters", "starts", "trace", "calls")], one[c("parameters", "starts", "trace", "calls")])
  expect_lt(forked, serial)
})

test_that("a start at which a function fails is a row of the table", {
  model <- em_model_deaths()
  starts <- list(list(p = 0.5, mu = c(1, 3)), list(p = 0.5, mu = c(9e5, 8e5)))
  fit <- em_fit_of(model, start = starts)
  expect_identical(fit$starts$status, c("converged", "failed"))
  expect_error(em_fit_of(model, start = starts[c(2, 2)]), class = "em_error_start")
})

# --- closures -------------------------------------------------------------------------------------

test_that("functions may leave out the data", {
  y <- c(125, 18, 20, 34)
  fit <- em(list(t = 0.5), function(theta) y[1] * theta$t / (2 + theta$t), function(x) list(t = (x + y[4]) / (x + sum(y[2:4]))),
            function(theta) sum(y * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t))), transform = "probability")
  expect_equal(fit$parameters$t, 0.6268214979, tolerance = 1e-8)
  own <- em(list(t = 0.5), update = function(theta, z = y) list(t = (z[1] * theta$t / (2 + theta$t) + z[4]) /
                                                                 (z[1] * theta$t / (2 + theta$t) + sum(z[2:4]))),
            loglik = function(theta, z = y) sum(z * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t))))
  expect_equal(own$parameters$t, 0.6268214979, tolerance = 1e-6)
  expect_error(em(list(t = 0.5), update = function() 1, loglik = function(theta) 1), "update", class = "em_error_argument")
  expect_error(em(list(t = 0.5), update = function(theta, a, b) 1, loglik = function(theta) 1), "`b`", class = "em_error_argument")
})

test_that("values may differ from the start in what does not matter", {
  model <- em_model_linkage()
  for (dress in list(function(t) list(t = c(x = t)), function(t) list(t = matrix(t)), function(t) list(t = array(t, c(1, 1, 1))))) {
    fit <- em_fit_of(model, m_step = function(x, y) dress((x + y[4]) / (x + sum(y[2:4]))))
    expect_identical(attributes(fit$parameters$t), NULL)
    expect_equal(fit$parameters$t, 0.6268214979, tolerance = 1e-8)
  }
  # another order of the elements
  swapped <- em_model_deaths()
  original <- swapped$m_step
  swapped$m_step <- function(z, data) original(z, data)[2:1]
  expect_equal(em_fit_of(swapped)$parameters, em_fit_of(em_model_deaths())$parameters)
})

test_that("values of another shape are errors that say which function, when and what", {
  model <- em_model_deaths()
  returns <- function(value, pattern) {
    expect_error(em_fit_of(model, m_step = function(z, data) value), pattern, class = "em_error_closure_value")
  }
  returns(list(p = 0.5), "m_step.*iteration 1.*no element `mu`")
  returns(list(p = 0.5, mu = 1:3 + 0), "`mu` has length 3, not 2")
  returns(list(p = 0.5, mu = c("1", "2")), "`mu` is .*not numeric")
  returns(list(p = 0.5, mu = c(1, NaN)), "`mu\\[2\\]` is NaN")
  returns(list(p = 0.5, mu = c(1, 2), nu = 3), "no element `nu`")
  returns(c(0.5, 1, 2), "no list")
  plane <- em_model_plane()
  expect_error(em_fit_of(plane, m_step = function(z, x) utils::modifyList(plane$start, list(mu = c(0, 0, 2, 2)))),
               "`mu` has no dimensions, not dimension 2 x 2", class = "em_error_closure_value")
  abo <- em_model_abo()
  expect_error(em_fit_of(abo, m_step = function(x, n) list(genes = c(B = 0.3, A = 0.3, O = 0.4))), "names",
               class = "em_error_closure_value")
})

test_that("a log-likelihood that is no finite number is an error", {
  model <- em_model_linkage()
  expect_error(em_fit_of(model, loglik = function(theta, y) y), "sum\\(\\)", class = "em_error_closure_value")
  expect_error(em_fit_of(model, loglik = function(theta, y) NULL), "one number", class = "em_error_closure_value")
  expect_error(em_fit_of(model, loglik = function(theta, y) -Inf), "-Inf at the start", class = "em_error_start")
  model$loglik <- NULL
  expect_error(em_fit_of(model), "attribute", class = "em_error_closure_value")
  later <- em_model_linkage()
  calls <- 0
  error <- expect_error(em_fit_of(later, loglik = function(theta, y) {
    calls <<- calls + 1
    if (calls > 2) NaN else calls
  }), "NaN in iteration 2", class = "em_error_closure")
  expect_identical(error$iteration, 2L)
})

test_that("an error inside a function keeps its message and says where it was", {
  calls <- 0
  error <- expect_error(em_fit_of(em_model_linkage(), m_step = function(x, y) {
    calls <<- calls + 1
    if (calls == 3) stop("no such matrix")
    list(t = 0.5 + calls / 1000)
  }), "`m_step` stopped with an error in iteration 3: no such matrix", class = "em_error_closure")
  expect_identical(error$closure, "m_step")
  expect_s3_class(error$parent, "simpleError")
  expect_error(em_fit_of(em_model_linkage(), loglik = function(theta, y) stop("bad")), "`loglik`.*at the start: bad",
               class = "em_error_closure")
  # errors that the function itself handles are its own business, and warnings get through
  expect_warning(em_fit_of(em_model_linkage(), e_step = function(theta, y) {
    try(stop("handled"), silent = TRUE)
    warning("heard")
    y[1] * theta$t / (2 + theta$t)
  }), "heard")
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
  began <- proc.time()[["elapsed"]]
  outcome <- tryCatch(quietly(em_fit_of(model, control = em_control(tol = 0, max_iter = 1e8))),
                      interrupt = function(e) "interrupted")
  expect_identical(outcome, "interrupted")
  expect_lt(proc.time()[["elapsed"]] - began, 1.5)
  expect_identical(em_fit_of(model)$parameters, before$parameters)
})

# --- arguments ------------------------------------------------------------------------------------

test_that("arguments that make no sense are errors with a class", {
  model <- em_model_linkage()
  expect_error(em(), "`start`", class = "em_error_argument")
  expect_error(em(list(t = 1)), "`e_step`", class = "em_error_argument")
  expect_error(em(list(t = 1), e_step = 3), "`e_step`", class = "em_error_argument")
  expect_error(em_fit_of(model, update = function(theta) theta), "not both", class = "em_error_argument")
  expect_error(em(list(t = 1), update = function(theta) theta), "`loglik`", class = "em_error_argument")
  expect_error(em_fit_of(model, e_stepp = 1), class = "em_error_unused_argument")
  expect_error(em_fit_of(model, n_obs = "many"), "`n_obs`", class = "em_error_argument")
  expect_error(em_fit_of(model, control = list()), "`control`", class = "em_error_argument")
  expect_error(em_fit_of(model, control = em_control(keep_posterior = TRUE)), "keep_posterior", class = "em_error_argument")
  for (start in list(NULL, "a", list(), list(t = "a"), list(t = numeric()), list(0.5, list(t = 0.5)), data.frame(t = 1),
                     function(n) list(t = 0.5))) {
    expect_error(do.call(em, c(list(start = start), model[c("e_step", "m_step", "loglik", "data")])), "start",
                 class = "em_error_start")
  }
})

test_that("a fit that did not converge warns, and goes on from where it was", {
  model <- em_model_deaths()
  expect_warning(short <- em_fit_of(model, control = em_control(max_iter = 3)), class = "em_warning_not_converged")
  expect_identical(short$status, "max_iter")
  longer <- em_fit_of(model, start = short)
  expect_identical(longer$starts$method, "previous fit")
  expect_equal(longer$loglik, -1989.945859883, tolerance = 1e-11)
  expect_identical(longer$trace$loglik[1], short$loglik)
})
