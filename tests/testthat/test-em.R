# Reference values: Rao (1973); Titterington, Smith and Makov (1985); the rest by optimisers that know nothing of EM.

test_that("the linkage data have Rao's estimate, with every accelerator", {
  for (acceleration in c("auto", "squarem", "anderson", "subspace")) {
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
  oracle <- stats::optim(rep(0, 5), function(v) tryCatch(-loglik(unpacked(v)), error = function(e) 1e10),
                         method = "BFGS",
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
  oracle <- stats::optimize(function(t) sum(c(125, 18, 20,
                                              34) * log(c(2 + t, 1 - t, 1 - t, t))) + 2 * log(t) + 4 * log(1 - t),
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
  expect_error(em_fit_of(em_model_deaths(), transform = NULL, pack = function(theta) unlist(theta)),
               class = "em_error_argument")
  expect_error(em_fit_of(em_model_deaths(), transform = NULL, pack = unlist,
                         unpack = function(v) list(p = 0.1, mu = v[2:3])),
               "inverse", class = "em_error_closure_value")
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
  expect_error(em_fit_of(model, control = em_control(keep_posterior = TRUE)), "keep_posterior",
               class = "em_error_argument")
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
