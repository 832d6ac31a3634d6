# Families of responses in the core, beyond what the contract says of all of them.

column <- function(y) matrix(as.double(y), ncol = 1L)
spec_of <- function(family, y, ...) list(name = "y", family = family, y = if (is.matrix(y)) y else column(y), ...)
weights_of <- function(n, K, seed = 2) with_seed(seed, matrix(stats::rexp(n * K), n))

test_that("gaussian: the M-step is weighted means and standard deviations", {
  y <- with_seed(1, stats::rnorm(700, 1e3, 2))
  z <- weights_of(700, 2)
  got <- response_m_step_(spec_of("gaussian", y), rbind(c(999, 1001), c(1, 1)), z, 8L)
  mean <- colSums(z * y) / colSums(z)
  sd <- sqrt(colSums(z * outer(y, mean, "-")^2) / colSums(z))
  expect_true(got$exact)
  expect_equal(got$parameters, rbind(mean, sd), tolerance = 1e-13, ignore_attr = TRUE)
})

test_that("a missing row changes nothing for the rows of other tiles and of its own", {
  y <- with_seed(1, stats::rnorm(1100))
  z <- weights_of(1100, 2)
  at <- rbind(c(0, 1), c(1, 2))
  for (row in c(1, 256, 700, 1100)) for (lanes in c(1L, 8L)) {
    with_gap <- replace(y, row, NA)
    got <- response_log_density_(spec_of("gaussian", with_gap), at, lanes)
    whole <- response_log_density_(spec_of("gaussian", y), at, lanes)
    expect_identical(got[-row, ], whole[-row, ])
    expect_identical(got[row, ], c(0, 0))
    expect_equal(response_statistics_(spec_of("gaussian", with_gap), at, z, lanes),
                 response_statistics_(spec_of("gaussian", y[-row]), at, z[-row, ], lanes), tolerance = 1e-12)
  }
})

test_that("gaussian: a shared standard deviation is the pooled one", {
  y <- with_seed(1, stats::rnorm(400))
  z <- weights_of(400, 2)
  got <- response_m_step_(spec_of("gaussian", y, shared = c(FALSE, TRUE)), rbind(c(0, 1), c(1, 1)), z)$parameters
  mean <- colSums(z * y) / colSums(z)
  expect_equal(got[2L, ], rep(sqrt(sum(z * outer(y, mean, "-")^2) / sum(z)), 2L), tolerance = 1e-13)
})

test_that("gaussian: a shared mean with two standard deviations is at the maximum after one M-step", {
  y <- with_seed(1, stats::rnorm(400, 2, c(1, 5)))
  z <- cbind(rep(c(0.9, 0.2), 200), rep(c(0.1, 0.8), 200))
  got <- response_m_step_(spec_of("gaussian", y, shared = c(TRUE, FALSE)), rbind(c(0, 0), c(1, 2)), z)$parameters
  loss <- function(p) -sum(z[, 1L] * stats::dnorm(y, p[1L], exp(p[2L]), TRUE) +
                             z[, 2L] * stats::dnorm(y, p[1L], exp(p[3L]), TRUE))
  best <- stats::optim(c(2, 0, 1), loss, method = "BFGS", control = list(reltol = 1e-15, maxit = 1000))$par
  expect_equal(got, rbind(best[1L], exp(best[2:3])), tolerance = 1e-6)
})

test_that("gaussian: with covariates the M-step is lm()'s fit with weights", {
  x <- with_seed(3, cbind(1, stats::rnorm(500), stats::runif(500)))
  y <- with_seed(4, drop(x %*% c(1, 2, -1)) + stats::rnorm(500))
  y[c(5, 300)] <- NA
  seen <- !is.na(y)
  z <- weights_of(500, 2)
  got <- response_m_step_(spec_of("gaussian", y, x = x), rbind(matrix(0, 3L, 2L), 1), z, 8L)
  expect_true(got$exact)
  for (k in 1:2) {
    fit <- stats::lm.wfit(x[seen, ], y[seen], z[seen, k])
    expect_equal(got$parameters[1:3, k], fit$coefficients, tolerance = 1e-10, ignore_attr = TRUE)
    expect_equal(got$parameters[4L, k], sqrt(sum(z[seen, k] * fit$residuals^2) / sum(z[seen, k])), tolerance = 1e-10)
  }
})

test_that("gaussian: a shared slope is that of one regression with an intercept for each component", {
  x <- with_seed(3, cbind(1, stats::rnorm(300)))
  y <- with_seed(4, x[, 2L] + stats::rnorm(300))
  z <- weights_of(300, 2)
  got <- response_m_step_(spec_of("gaussian", y, x = x, shared = c(FALSE, TRUE, TRUE)), rbind(matrix(0, 2L, 2L), 1), z)
  group <- rep(0:1, each = 300)
  fit <- stats::lm.wfit(cbind(1 - group, group, rep(x[, 2L], 2L)), rep(y, 2L), as.vector(z))
  expect_equal(got$parameters[1L, ], fit$coefficients[1:2], tolerance = 1e-10, ignore_attr = TRUE)
  expect_equal(got$parameters[2L, ], rep(fit$coefficients[[3L]], 2L), tolerance = 1e-10)
  expect_equal(got$parameters[3L, ], rep(sqrt(sum(z * matrix(fit$residuals, 300)^2) / sum(z)), 2L), tolerance = 1e-10)
})

test_that("gaussian: a component on one value is singular, by name, and parameters stay", {
  y <- c(5, 5, 5, with_seed(1, stats::rnorm(60)))
  z <- cbind(c(0, 0, 0, rep(1, 60)), c(1, 1, 1, rep(0, 60)))
  start <- rbind(c(0, 4), c(1, 1))
  for (unit in c(1, 1e-8, 1e8)) {
    got <- response_m_step_(spec_of("gaussian", y * unit), start * unit, z)
    expect_false(got$done)
    expect_identical(got$degeneracy, "singular")
    expect_identical(got$component, 2)
    expect_identical(got$parameters, start * unit)
  }
})

test_that("gaussian: a fixed standard deviation does not collapse", {
  y <- c(5, 5, 5, with_seed(1, stats::rnorm(60)))
  z <- cbind(c(0, 0, 0, rep(1, 60)), c(1, 1, 1, rep(0, 60)))
  got <- response_m_step_(spec_of("gaussian", y, fixed = rbind(NA_real_, c(NA, 0.2))), rbind(c(0, 4), c(1, 0.2)), z)
  expect_true(got$done)
  expect_equal(got$parameters[, 2L], c(5, 0.2))
})

test_that("poisson and binomial: the M-step is the weighted mean, also where there are many distinct values", {
  y <- with_seed(1, stats::rpois(300, 5))
  z <- weights_of(300, 2)
  got <- response_m_step_(spec_of("poisson", y), rbind(c(3, 6)), z)
  expect_true(got$exact)
  expect_equal(got$parameters[1L, ], colSums(z * y) / colSums(z), tolerance = 1e-14)
  trials <- rep(1:6, 50)
  success <- with_seed(1, stats::rbinom(300, trials, 0.4))
  got <- response_m_step_(spec_of("binomial", cbind(success, trials) + 0), rbind(c(0.3, 0.6)), z)$parameters
  expect_equal(got[1L, ], colSums(z * success) / colSums(z * trials), tolerance = 1e-14)

  many <- seq(0, 60000, by = 10) + 0
  z <- weights_of(length(many), 1)
  spec <- spec_of("poisson", many)
  expect_equal(response_log_density_(spec, matrix(3e4))[, 1L], stats::dpois(many, 3e4, TRUE), tolerance = 1e-11)
  at <- matrix(1e4)
  for (i in 1:20) at <- response_m_step_(spec, at, z)$parameters
  expect_equal(at[1L], sum(z * many) / sum(z), tolerance = 1e-10)
})

test_that("poisson: a component without events has a mean of 0, its coordinate at the bound", {
  y <- c(0, 0, 0, 4, 5, 6)
  z <- cbind(c(1, 1, 1, 0, 0, 0), c(0, 0, 0, 1, 1, 1))
  spec <- spec_of("poisson", y)
  got <- response_m_step_(spec, rbind(c(1, 2)), z)$parameters
  expect_identical(got[1L, ], c(0, 5))
  expect_identical(response_log_density_(spec, got)[, 1L], ifelse(y == 0, 0, -Inf))
  back <- response_coordinates_(spec, got)
  expect_identical(back$coordinates[1L], -30)
  expect_lt(back$from_packed[1L], 1e-12)
})

test_that("negative binomial: counts without overdispersion drive the size to its bound, where it is Poisson", {
  y <- rep(c(3, 4, 5), 40)
  spec <- spec_of("negative_binomial", y)
  at <- response_m_step_(spec, rbind(4, 10), matrix(1, 120L))$parameters
  expect_equal(at[1L], 4, tolerance = 1e-9)
  expect_gt(at[2L], 1e8)
  expect_equal(response_log_density_(spec, at)[, 1L], stats::dpois(y, 4, TRUE), tolerance = 1e-7)
})

test_that("negative binomial: large counts and sizes keep their digits", {
  y <- c(0, 1, 5, 31, 33, 1000, 1e5, 3e6)
  for (size in c(1e-4, 0.3, 20, 1e6)) {
    got <- response_log_density_(spec_of("negative_binomial", y), rbind(2e3, size))[, 1L]
    expect_equal(got, stats::dnbinom(y, size, mu = 2e3, log = TRUE), tolerance = 1e-9)
  }
})

test_that("zip: the M-step finds the maximum from either side, and leaves a share of zeros that is almost nothing", {
  y <- with_seed(2, stats::rpois(400, 3) * (stats::runif(400) > 0.3))
  spec <- spec_of("zip", y)
  loss <- function(p) -sum(ifelse(y == 0, log(stats::plogis(p[2L]) + stats::plogis(-p[2L]) * exp(-exp(p[1L]))),
                                  stats::plogis(-p[2L], log.p = TRUE) + stats::dpois(y, exp(p[1L]), TRUE)))
  best <- stats::optim(c(1, -1), loss, method = "BFGS", control = list(reltol = 1e-15))$par
  expected <- c(exp(best[1L]), stats::plogis(best[2L]))
  for (zero in c(0.9, 0.3, 1e-9)) {
    expect_equal(response_m_step_(spec, rbind(1, zero), matrix(1, 400L))$parameters[, 1L], expected, tolerance = 1e-5)
  }
})

test_that("zip: without zeros the share of forced ones goes to its bound", {
  y <- with_seed(2, stats::rpois(200, 3) + 1)
  at <- response_m_step_(spec_of("zip", y), rbind(3, 0.2), matrix(1, 200L))$parameters
  expect_lt(at[2L], 1e-12)
  expect_lte(response_coordinates_(spec_of("zip", y), at)$coordinates[2L], -30 + 1e-9)
})

test_that("categorical: a category that a component never shows has probability 0 and survives packing", {
  y <- c(0, 0, 1, 1, 2, 2)
  z <- cbind(c(1, 1, 1, 1, 0, 0), c(0, 0, 0, 0, 1, 1))
  spec <- spec_of("categorical", y, options = list(n_categories = 3))
  at <- response_m_step_(spec, matrix(1 / 3, 3L, 2L), z)$parameters
  expect_identical(at, cbind(c(0.5, 0.5, 0), c(0, 0, 1)))
  expect_identical(response_log_density_(spec, at)[5L, ], c(-Inf, 0))
  back <- response_coordinates_(spec, at)
  expect_equal(back$from_packed, at, tolerance = 1e-15)
  expect_equal(back$from_coordinates, at, tolerance = 1e-12)
  expect_identical(sort(back$coordinates)[1:3], c(-30, -30, -30))
})

test_that("categorical: fixed probabilities leave the rest to the others", {
  y <- rep(c(0, 1, 2, 2), 25)
  fixed <- cbind(c(0.1, NA, NA), c(NA, NA, 0))
  spec <- spec_of("categorical", y, options = list(n_categories = 3), fixed = fixed)
  at <- response_m_step_(spec, cbind(c(0.1, 0.5, 0.4), c(0.4, 0.6, 0)), matrix(0.5, 100L, 2L))$parameters
  expect_equal(at, cbind(c(0.1, 0.3, 0.6), c(0.5, 0.5, 0)), tolerance = 1e-14)
})

test_that("categorical: with covariates Newton steps reach the multinomial regression", {
  x <- with_seed(1, cbind(1, stats::rnorm(400)))
  y <- with_seed(2, sample(0:2, 400, TRUE))
  spec <- spec_of("categorical", y, x = x, options = list(n_categories = 3))
  at <- matrix(0, 4L, 1L)
  for (i in 1:12) at <- response_m_step_(spec, at, matrix(1, 400L))$parameters
  loss <- function(b) {
    eta <- cbind(0, x %*% matrix(b, 2L))
    -sum(eta[cbind(seq_along(y), y + 1)] - log(rowSums(exp(eta))))
  }
  best <- stats::optim(rep(0, 4), loss, method = "BFGS", control = list(reltol = 1e-15))$par
  expect_equal(at[, 1L], best, tolerance = 1e-5)
})

test_that("with covariates Newton steps reach glm()'s coefficients", {
  x <- with_seed(1, cbind(1, stats::rnorm(400)))
  z <- weights_of(400, 1)
  trials <- rep(1:4, 100)
  count <- with_seed(2, stats::rpois(400, exp(1 + 0.5 * x[, 2L])))
  success <- with_seed(2, stats::rbinom(400, trials, stats::plogis(0.3 - x[, 2L])))
  reach <- function(spec, at, steps = 15L) {
    for (i in seq_len(steps)) at <- response_m_step_(spec, at, z)$parameters
    at[, 1L]
  }
  glm_fit <- function(y, w, family) suppressWarnings(
    unname(stats::glm.fit(x, y, w, family = family, control = list(epsilon = 1e-14, maxit = 50))$coefficients))
  expect_equal(reach(spec_of("poisson", count, x = x), matrix(0, 2L, 1L)), glm_fit(count, z[, 1L], stats::poisson()),
               tolerance = 1e-8)
  for (link in c("logit", "probit", "cloglog")) {
    expect_equal(reach(spec_of("binomial", cbind(success, trials) + 0, x = x, link = link), matrix(0, 2L, 1L), 40L),
                 glm_fit(success / trials, z[, 1L] * trials, stats::binomial(link)), tolerance = 1e-7)
  }
})

test_that("binomial: extreme linear predictors keep finite log densities and slopes", {
  y <- cbind(c(0, 2, 1), 2) + 0
  for (link in c("logit", "probit", "cloglog")) for (eta in c(-30, -8, 5, 12)) {
    spec <- spec_of("binomial", y, x = matrix(1, 3L, 1L), link = link)
    got <- response_log_density_(spec, matrix(eta))[, 1L]
    p <- switch(link, logit = stats::plogis(eta, log.p = TRUE), probit = stats::pnorm(eta, log.p = TRUE),
                cloglog = log(-expm1(-exp(eta))))
    q <- switch(link, logit = stats::plogis(-eta, log.p = TRUE), probit = stats::pnorm(-eta, log.p = TRUE),
                cloglog = -exp(eta))
    expect_equal(got, c(2 * q, 2 * p, log(2) + p + q), tolerance = 1e-10)
    expect_true(all(is.finite(response_statistics_(spec, matrix(eta), matrix(1, 3L)))))
  }
})

test_that("collinear columns get a step all the same", {
  x <- with_seed(1, cbind(1, stats::rnorm(100)))
  x <- cbind(x, x[, 2L])
  y <- with_seed(2, stats::rnorm(100, x[, 2L]))
  got <- response_m_step_(spec_of("gaussian", y, x = x), rbind(matrix(0, 3L, 1L), 1), matrix(1, 100L))
  fit <- stats::lm.fit(x[, 1:2], y)
  expect_true(got$done)
  expect_equal(drop(x %*% got$parameters[1:3]), unname(fit$fitted.values), tolerance = 1e-6)
})

test_that("parameters outside their domain are refused", {
  expect_error(response_log_density_(spec_of("gaussian", 1:3), rbind(0, -1)), "not valid")
  expect_error(response_log_density_(spec_of("poisson", 1:3), matrix(-1)), "not valid")
  expect_error(response_log_density_(spec_of("binomial", cbind(1:3, 4) + 0), matrix(1.5)), "not valid")
  expect_error(response_log_density_(spec_of("gaussian", 1:3), rbind(NaN, 1)), "not valid")
})

test_that("a response of missing values alone has log density 0 and M-steps that change nothing", {
  for (family in c("gaussian", "poisson", "categorical")) {
    spec <- spec_of(family, rep(NA_real_, 40), options = list(n_categories = 2))
    at <- switch(family, gaussian = rbind(c(0, 1), c(1, 2)), poisson = rbind(c(1, 2)), cbind(c(0.2, 0.8), 0.5))
    expect_identical(response_log_density_(spec, at, 8L), matrix(0, 40L, 2L))
    expect_identical(response_m_step_(spec, at, matrix(0.5, 40L, 2L))$parameters, at)
  }
})
