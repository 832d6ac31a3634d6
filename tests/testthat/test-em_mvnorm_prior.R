# em_mvnorm_prior(): arguments, and what becomes of them with data.

x <- data_normal(60, 4, 0.3, seed = 4)

test_that("a prior is a list of its arguments and prints what it is", {
  expect_s3_class(em_mvnorm_prior(), "em_mvnorm_prior")
  expect_identical(em_mvnorm_prior()$type, "ridge")
  expect_output(print(em_mvnorm_prior()), "ridge, its strength chosen from the data")
  expect_output(print(em_mvnorm_prior(strength = 2.5)), "ridge of 2.5 pseudo-observations")
  expect_output(print(em_mvnorm_prior("inverse_wishart", df = 9)), "inverse Wishart with 9 degrees of freedom")
  expect_output(print(em_mvnorm_prior("jeffreys")), "Jeffreys")
})

test_that("a ridge has the variances of the data as its scale, and shrinks correlations by n / (n + k)", {
  fit <- em_mvnorm(x, prior = 5)
  expect_equal(fit$prior$exponent, 5)
  variances <- apply(x, 2, function(v) mean((v - mean(v, na.rm = TRUE))^2, na.rm = TRUE))
  # Divisor n or n - 1: the documentation says "the variances of the data".
  expect_equal(diag(fit$prior$scale) / 5, unname(variances), tolerance = 0.03)
  expect_equal(fit$prior$scale, diag(diag(fit$prior$scale)))
  complete <- data_normal(50, 3, 0)
  plain <- stats::cor(complete)
  shrunk <- stats::cov2cor(em_mvnorm(complete, prior = 10)$parameters$covariance)
  # Up to how the variances of data and prior agree (n against n - 1: 2%, of a part of 1/6).
  expect_equal(shrunk[lower.tri(shrunk)], plain[lower.tri(plain)] * 50 / 60, tolerance = 0.01)
})

test_that("a ridge's strength is chosen as Schaefer and Strimmer's intensity, and is at least 1", {
  fit <- em_mvnorm(x, prior = "ridge")
  r <- stats::cor(x, use = "pairwise.complete.obs")
  pairs <- lower.tri(r)
  together <- crossprod(!is.na(x))[pairs]
  intensity <- sum((1 - r[pairs]^2)^2 / (together - 1)) / sum(r[pairs]^2)
  expect_equal(fit$prior$strength, max(1, 60 * intensity / (1 - intensity)), tolerance = 1e-10)
  tied <- x
  tied[, 2] <- tied[, 1] * 3
  expect_gte(em_mvnorm(tied, prior = "ridge")$prior$strength, 1)
})

test_that("an inverse Wishart prior has p + 1 degrees of freedom and the variances as scale unless told otherwise", {
  fit <- em_mvnorm(x, prior = "inverse_wishart")
  expect_equal(fit$prior$df, 5)
  expect_equal(fit$prior$exponent, 5 + 4 + 1)
  expect_equal(diag(fit$prior$scale), unname(apply(x, 2, stats::var, na.rm = TRUE)), tolerance = 0.03)
  own <- em_mvnorm(x, prior = em_mvnorm_prior("inverse_wishart", df = 12, scale = diag(4)))
  expect_equal(own$prior$exponent, 17)
  expect_equal(own$prior$scale, diag(4))
})

test_that("Jeffreys' prior has the exponent p + 1 and no scale", {
  fit <- em_mvnorm(x, prior = "jeffreys")
  expect_equal(fit$prior$exponent, 5)
  expect_null(fit$prior$scale)
  complete <- data_normal(50, 3, 0)
  mode <- em_mvnorm(complete, prior = "jeffreys")$parameters
  expect_same_parameters(mode, list(mean = colMeans(complete), covariance = stats::cov(complete) * 49 / 54), 1e-9)
})

test_that("units do not matter to a prior that comes from the data", {
  unit <- c(1e-9, 1e9, 1, 100)
  for (prior in c("ridge", "inverse_wishart", "jeffreys")) {
    a <- em_mvnorm(x, prior = prior)
    b <- em_mvnorm(sweep(x, 2, unit, "*"), prior = prior)
    expect_same_parameters(b$parameters, list(mean = a$parameters$mean * unit,
                                              covariance = a$parameters$covariance * tcrossprod(unit)), 1e-8)
  }
})

test_that("arguments that cannot be are refused by name", {
  refuses <- function(code, word) {
    error <- tryCatch(code, error = identity)
    expect_s3_class(error, "em_error_argument")
    expect_match(conditionMessage(error), word, fixed = TRUE)
  }
  refuses(em_mvnorm_prior("laplace"), "type")
  refuses(em_mvnorm_prior(strength = 0), "`strength`")
  refuses(em_mvnorm_prior(strength = Inf), "`strength`")
  refuses(em_mvnorm_prior(strength = "a"), "`strength`")
  refuses(em_mvnorm_prior("jeffreys", strength = 1), "`strength`")
  refuses(em_mvnorm_prior("ridge", df = 3), "`df`")
  refuses(em_mvnorm_prior("inverse_wishart", scale = matrix(1:6, 2)), "`scale`")
  refuses(em_mvnorm(x, prior = em_mvnorm_prior("inverse_wishart", df = 3)), "`df`")
  refuses(em_mvnorm(x, prior = em_mvnorm_prior("inverse_wishart", scale = diag(3))), "`scale`")
  refuses(em_mvnorm(x, prior = em_mvnorm_prior("inverse_wishart", scale = -diag(4))), "`scale`")
})
