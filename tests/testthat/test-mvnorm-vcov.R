# vcov() of fits of em_mvnorm(), against derivatives of the definition.

airq4 <- as.matrix(datasets::airquality[, 1:4])
weights <- 0.5 + (seq_len(153) %% 3)

# What the numerical information is good for: differences of the score with a step of 1e-3 units, extrapolated, about
# 1e-10.
information_tolerance <- 1e-8

expect_variance <- function(object, expected, tolerance = information_tolerance) {
  se <- sqrt(diag(expected))
  apart <- max(abs(unname(unclass(object)) - expected) / tcrossprod(se))
  testthat::expect(apart <= tolerance, sprintf("off by %.3g standard errors", apart))
}

test_that("the observed information is minus the second derivative of the log-likelihood and the log prior", {
  for (prior in list(NULL, "ridge", "inverse_wishart", "jeffreys")) {
    for (w in list(NULL, weights)) {
      fit <- em_mvnorm(airq4, prior = prior, weights = w)
      p <- fit$parameters
      information <- mvn_information(airq4, p$mean, p$covariance, if (is.null(w)) rep(1, 153) else w,
                                     if (is.null(prior)) 0 else fit$prior$exponent, fit$prior$scale)
      expect_variance(vcov(fit), solve(information))
    }
  }
})

test_that("the oracle's information is the second derivative of the definition itself", {
  x <- airq4[1:30, 2:4]
  p <- em_mvnorm(x)$parameters
  theta <- mvn_pack(p$mean, p$covariance)
  units <- mvn_units(p$covariance)
  definition <- function(theta) {
    q <- mvn_unpack(theta)
    mvn_loglik(x, q$mean, q$covariance)
  }
  hessian <- numerical_jacobian(function(t) drop(numerical_jacobian(definition, t, units, 0.01)), theta, units, 0.01)
  information <- mvn_information(x, p$mean, p$covariance)
  # Second differences of numbers of size 300: 300 * 1e-16 / 0.01^2, and the fourth order of the step, relative to
  # information of size 30.
  expect_lt(max(abs((hessian + information) * tcrossprod(units))) / 30, 1e-5)
  expect_equal(mvn_exact_information(x, p$mean, p$covariance) * tcrossprod(units), information * tcrossprod(units),
               tolerance = 1e-8)
})

test_that("the expected information is the sum over rows of tr(K S K S) / 2", {
  for (w in list(NULL, weights)) {
    fit <- em_mvnorm(airq4, weights = w)
    p <- fit$parameters
    information <- mvn_expected_information(airq4, p$mean, p$covariance, if (is.null(w)) rep(1, 153) else w)
    expect_variance(vcov(fit, type = "expected"), solve(information), 1e-10)
  }
})

test_that("the sandwich has the outer products of the rows' scores, with weights as frequencies or squared", {
  for (w in list(NULL, weights)) {
    fit <- em_mvnorm(airq4, weights = w)
    p <- fit$parameters
    each <- if (is.null(w)) rep(1, 153) else w
    bread <- solve(mvn_information(airq4, p$mean, p$covariance, each))
    scores <- mvn_row_scores(airq4, p$mean, p$covariance)
    expect_variance(vcov(fit, type = "sandwich"), bread %*% crossprod(each * scores) %*% bread)
    expect_variance(vcov(fit, type = "sandwich", weight_type = "frequency"),
                    bread %*% crossprod(sqrt(each) * scores) %*% bread)
  }
})

test_that("the scores of rows are differences of the definition", {
  p <- em_mvnorm(airq4)$parameters
  theta <- mvn_pack(p$mean, p$covariance)
  units <- mvn_units(p$covariance)
  scores <- mvn_row_scores(airq4, p$mean, p$covariance)
  for (i in c(1, 5, 6, 10)) {
    definition <- function(theta) {
      q <- mvn_unpack(theta)
      mvn_loglik(airq4[i, , drop = FALSE], q$mean, q$covariance)
    }
    numeric <- drop(numerical_jacobian(definition, theta, units))
    expect_equal(scores[i, ] * units, numeric * units, tolerance = 1e-8)
  }
})

test_that("complete data: the variances in every textbook", {
  x <- data_normal(50, 3, 0)
  fit <- em_mvnorm(x)
  s <- unname(fit$parameters$covariance)
  expect_equal(unname(vcov(fit)[1:3, 1:3]), s / 50, tolerance = 1e-12)
  at <- which(lower.tri(s, diag = TRUE), arr.ind = TRUE)
  wishart <- (s[at[, 1], at[, 1]] * s[at[, 2], at[, 2]] + s[at[, 1], at[, 2]] * s[at[, 2], at[, 1]]) / 50
  expect_equal(unname(vcov(fit)[4:9, 4:9]), wishart, tolerance = 1e-12)
  expect_equal(vcov(fit), vcov(fit, type = "expected"), tolerance = 1e-12)
})

test_that("variables observed throughout have the standard errors of complete data", {
  fit <- em_mvnorm(airq4)
  v <- vcov(fit)
  expect_equal(v["mean[Wind]", "mean[Wind]"], fit$parameters$covariance["Wind", "Wind"] / 153, tolerance = 1e-10)
  expect_equal(sqrt(v["covariance[Temp,Temp]", "covariance[Temp,Temp]"]),
               fit$parameters$covariance["Temp", "Temp"] * sqrt(2 / 153), tolerance = 1e-10)
})

test_that("twelve variables and patterns of every kind, sparse rows among them", {
  x <- data_normal(120, 12, 0.2, seed = 5, all_missing_rows = c(7, 50))
  x[1:8, 1:8] <- NA
  fit <- em_mvnorm(x, control = em_control(n_starts = 1))
  p <- fit$parameters
  expect_equal(dim(vcov(fit)), c(90L, 90L))
  information <- mvn_information(x, p$mean, p$covariance)
  units <- mvn_units(p$covariance)
  # The inverse of the numerical one multiplies its error by the condition, 1e3 or so: the matrices themselves are
  # compared.
  mine <- solve(vcov(fit) / tcrossprod(units))
  expect_equal(unname(mine), information * tcrossprod(units), tolerance = 1e-6)
  scores <- mvn_row_scores(x, p$mean, p$covariance)
  bread <- solve(information)
  expect_variance(vcov(fit, type = "sandwich"), bread %*% crossprod(scores) %*% bread, 1e-6)
})

test_that("units do not matter", {
  unit <- c(1e-8, 1e8, 1, 1e4)
  fit <- em_mvnorm(airq4)
  scaled <- em_mvnorm(sweep(airq4, 2, unit, "*"))
  jacobian <- mvn_pack(unit, tcrossprod(unit))
  for (type in c("observed", "expected", "sandwich")) {
    a <- unname(vcov(scaled, type = type)) / tcrossprod(jacobian)
    expect_variance(a, unname(unclass(vcov(fit, type = type))), 1e-7)
  }
})

test_that("coefficients that the data do not determine have NA and are named", {
  x <- data_normal(80, 3, 0, seed = 31)
  colnames(x) <- c("a", "b", "z")
  x[1:40, "a"] <- NA
  x[41:80, "b"] <- NA
  fit <- quietly(em_mvnorm(x))
  warning <- expect_warning(v <- vcov(fit), class = "em_warning_not_identified")
  expect_identical(warning$coefficients, "covariance[b,a]")
  expect_identical(attr(v, "not_identified"), "covariance[b,a]")
  expect_true(all(is.na(v["covariance[b,a]", ])))
  others <- setdiff(rownames(v), "covariance[b,a]")
  expect_false(anyNA(v[others, others]))
  # What each file determines by itself has the standard errors of that file.
  alone <- vcov(em_mvnorm(x[, c("a", "z")]))
  expect_equal(v["mean[a]", "mean[a]"], alone["mean[a]", "mean[a]"], tolerance = 1e-6)
  # A prior makes up for it.
  expect_false(anyNA(vcov(quietly(em_mvnorm(x, prior = "ridge")))))
})

test_that("vcov() needs the data, and says so", {
  fit <- em_mvnorm(airq4, control = em_control(keep_data = FALSE))
  expect_error(vcov(fit), class = "em_condition")
  expect_error(vcov(em_mvnorm(airq4), type = "robust"), class = "em_error_argument")
  expect_error(vcov(em_mvnorm(airq4), tpye = "sandwich"), class = "em_error_unused_argument")
})
