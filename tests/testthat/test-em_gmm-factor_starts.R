# Starts of mixtures of factor analysers beside those of all structures.

factor_data <- function() {
  with_seed(3, {
    L1 <- matrix(stats::rnorm(16), 8)
    L2 <- matrix(stats::rnorm(16), 8)
    rbind(matrix(stats::rnorm(300), 150) %*% t(L1) + matrix(stats::rnorm(1200, 0, 0.5), 150),
          4 + matrix(stats::rnorm(300), 150) %*% t(L2) + matrix(stats::rnorm(1200, 0, 0.8), 150))
  })
}

test_that("more factors never end lower, one at a time or in a search", {
  x <- factor_data()
  fit <- function(q) with_seed(1, suppressWarnings(em_gmm(x, 2, "CUCU", n_factors = q)))
  alone <- vapply(1:4, function(q) fit(q)$loglik, 0)
  expect_gt(min(diff(alone)), -1e-6)
  table <- fit(1:4)$selection
  expect_gt(min(diff(table$loglik)), -1e-6)
})

test_that("a structure never ends below those it contains, alone or in a search", {
  x <- factor_data()
  fit <- function(code) with_seed(1, suppressWarnings(em_gmm(x, 2, code, n_factors = 2)))
  alone <- vapply(c("CUC", "CCUU", "CUU"), function(code) fit(code)$loglik, 0)
  expect_gt(min(diff(alone)), -1e-6)
  expect_setequal(contained_codes("CUU"), c("CCUU", "CUCU", "CCU", "CUC", "CCC"))
  table <- with_seed(1, suppressWarnings(em_gmm(x, 2, "PGMM", n_factors = 1:3)))$selection
  for (i in seq_len(nrow(table))) {
    inner <- nested_cells(table, i)
    if (length(inner)) expect_gt(table$loglik[i], max(table$loglik[inner]) - 1e-5, label = table$covariance[i])
  }
})

test_that("a factor of zeros changes nothing and is left at once", {
  x <- factor_data()
  for (code in c("UUU", "CUU", "CUC", "UCUU", "CCC")) {
    one <- with_seed(1, suppressWarnings(em_gmm(x, 2, code, n_factors = 1)))
    padded <- with_factors(one$parameters, 2L)
    expect_identical(dim(padded$loadings), c(8L, 2L, 2L))
    two <- suppressWarnings(em_gmm(x, 2, code, n_factors = 2, start = padded))
    expect_close(two$trace$loglik[1], one$loglik, tolerance = 1e-9)
    expect_gt(two$loglik, one$loglik + 10, label = code)
  }
})

test_that("a factor that is a variable is its covariances with the others", {
  S <- oracle_factor_covariances(oracle_factors("UUU", 6, 1, 2))[, , 1]
  own <- factors_with_variable(S, 3, 2)
  Sigma <- tcrossprod(own$loadings) + diag(own$uniquenesses)
  expect_close(Sigma[3, ], S[3, ], tolerance = 1e-4)
  expect_close(own$value, as.numeric(determinant(Sigma)$modulus) + sum(solve(Sigma) * S), tolerance = 1e-9)
})

test_that("local maxima at the bound are found from starts that lead to others", {
  # a variable that carries a factor of its own beside one that all share
  x <- with_seed(2, {
    f <- matrix(stats::rnorm(400), 200)
    x <- f %*% rbind(c(1, 0.8, 0.8, 0.7, 0.7, 0.6), c(0, 0.5, -0.5, 0.5, -0.5, 0)) +
      matrix(stats::rnorm(1200, 0, 0.4), 200)
    x[, 2] <- f[, 1] + f[, 2]
    x
  })
  fit <- suppressWarnings(em_gmm(x, 1, "UUU", n_factors = 2))
  expect_true(any(fit$starts$method == "uniqueness near 0"))
  expect_gte(fit$loglik, max(fit$starts$loglik, na.rm = TRUE) - 1e-6)
  expect_close(fit$loglik, oracle_loglik(x, fit$parameters), tolerance = 1e-9)
})
