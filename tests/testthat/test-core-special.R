# The special functions of the core against R's own.

relative_error <- function(got, expected) max(abs(got - expected) / pmax(abs(expected), .Machine$double.xmin))

test_that("log-gamma is R's to full precision, at its zeros and in the tails too", {
  x <- c(1e-300, 1e-20, 1e-3, 0.1, 0.499, 0.5, 0.9, 1.3, 1.499, 1.5, 1.7, 2.4, 2.5, 3, 7.7, 11.99, 12,
         50, 1e3, 1e8, 1e15)
  expect_lt(relative_error(special_(x, "log_gamma"), lgamma(x)), 1e-13)
  expect_identical(special_(c(1, 2), "log_gamma"), c(0, 0))
  # Near the zeros R loses digits: the linear terms are -gamma (x - 1) and (1 - gamma) (x - 2).
  euler <- -digamma(1)
  h <- c(-1e-9, 1e-9)
  at_one <- (1 + h) - 1
  at_two <- (2 + h) - 2
  expect_lt(relative_error(special_(1 + h, "log_gamma"), -euler * at_one + pi^2 / 12 * at_one^2), 1e-13)
  expect_lt(relative_error(special_(2 + h, "log_gamma"), (1 - euler) * at_two + (pi^2 / 6 - 1) / 2 * at_two^2), 1e-13)
})

test_that("digamma and trigamma are R's", {
  x <- c(1e-20, 1e-8, 0.1, 0.5, 1, 1.2, 1.7, 2, 5, 11.99, 12, 12.01, 40, 1e3, 1e8, 1e14)
  expect_lt(relative_error(special_(x, "digamma"), digamma(x)), 1e-13)
  expect_lt(relative_error(special_(x, "trigamma"), trigamma(x)), 1e-13)
})

test_that("what is left of log-gamma, digamma and trigamma beside their leading terms has all its digits", {
  x <- c(0.01, 0.3, 1, 4, 11, 13, 30)
  expect_lt(relative_error(special_(x, "log_minus_digamma"), log(x) - digamma(x)), 1e-13)
  expect_lt(relative_error(special_(x, "trigamma_minus_inverse"), trigamma(x) - 1 / x), 1e-13)
  stirling <- (x - 0.5) * log(x) - x + 0.5 * log(2 * pi)
  expect_lt(relative_error(special_(x, "stirling_error"), lgamma(x) - stirling), 1e-11)
  # Large arguments: the leading terms of the expansions.
  x <- c(1e6, 1e9, 1e13)
  expect_lt(relative_error(special_(x, "log_minus_digamma"), 1 / (2 * x) + 1 / (12 * x^2)), 1e-13)
  expect_lt(relative_error(special_(x, "trigamma_minus_inverse"), 1 / (2 * x^2) + 1 / (6 * x^3)), 1e-13)
  expect_lt(relative_error(special_(x, "stirling_error"), 1 / (12 * x)), 1e-12)
})

test_that("log I0 and the ratio I1 / I0 are those of besselI, for any concentration", {
  kappa <- c(1e-3, 0.1, 0.7, 2, 9, 29.9, 30, 30.1, 60, 500, 5000)
  scaled <- besselI(kappa, 0, TRUE)
  ratio <- besselI(kappa, 1, TRUE) / scaled
  expect_lt(relative_error(special_(kappa, "log_bessel_i0_scaled"), log(scaled)), 1e-13)
  expect_lt(relative_error(special_(kappa[-1], "log_bessel_i0"), (log(scaled) + kappa)[-1]), 1e-13)
  expect_lt(relative_error(special_(kappa, "bessel_ratio"), ratio), 1e-13)
  expect_equal(special_(kappa, "bessel_ratio_derivative"), 1 - ratio / kappa - ratio^2, tolerance = 1e-8)
  # The ends, where besselI is of no use.
  expect_identical(special_(0, "log_bessel_i0"), 0)
  expect_equal(special_(1e-6, "log_bessel_i0"), 1e-12 / 4, tolerance = 1e-12)
  expect_equal(special_(0, "bessel_ratio_derivative"), 0.5)
  large <- c(1e4, 1e7, 1e12)
  complement <- 1 / (2 * large) + 1 / (8 * large^2) + 1 / (8 * large^3)
  expect_lt(relative_error(special_(large, "bessel_ratio_complement"), complement), 1e-12)
  slope <- 1 / (2 * large^2) + 1 / (4 * large^3) + 3 / (8 * large^4)
  expect_lt(relative_error(special_(large, "bessel_ratio_derivative"), slope), 1e-11)
})
