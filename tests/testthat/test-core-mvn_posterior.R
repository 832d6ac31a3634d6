# The core's draws of parameters and missing cells (mvn_posterior.h, mvn_monotone.h, mvn_impute.h, mvn_rows.h),
# against data augmentation in plain R that fills in every row.

impute <- function(x, parameters, method = "posterior", m = 5, first = 0, spacing = 20, exponent = ncol(x) + 1,
                   scale = NULL, prior = NULL, lower = numeric(), upper = numeric(), cell_priors = matrix(0, 0, 4),
                   key = c(11, 7), threads = 1) {
  control <- emkit:::mvnorm_control(em_control())
  control$key <- key
  emkit:::mvnorm_impute_(x, parameters[c("mean", "covariance")], prior, list(exponent = exponent, scale = scale),
                         method, as.integer(m), as.integer(first), as.integer(spacing), lower, upper, cell_priors,
                         control, 0L, as.integer(threads), NULL)
}

# Imputation i of the data.
completed <- function(x, drawn, i) {
  for (j in seq_along(drawn$columns)) {
    column <- drawn$columns[j]
    x[is.na(x[, column]), column] <- drawn$values[[j]][, i]
  }
  x
}

# Chained draws: each row's missing cells given the parameters (rows of one pattern at a time), then the parameters
# given the full rows: covariance inverse Wishart with n + exponent - p - 2 degrees of freedom, mean normal. Rows that
# observe nothing take no part. Returns draws x parameters.
data_augmentation <- function(x, start, steps, seed, exponent = ncol(x) + 1, scale = 0, burn = 100) {
  x <- x[rowSums(!is.na(x)) > 0, , drop = FALSE]
  n <- nrow(x)
  p <- ncol(x)
  key <- apply(is.na(x) + 0, 1, paste, collapse = "")
  patterns <- lapply(unique(key), function(k) which(key == k))
  mean <- start$mean
  s <- start$covariance
  out <- matrix(0, steps, p + p * (p + 1) / 2)
  with_seed(seed, {
    for (step in seq_len(steps + burn)) {
      full <- x
      for (rows in patterns) {
        m <- which(is.na(x[rows[1], ]))
        o <- which(!is.na(x[rows[1], ]))
        if (length(m) == 0) next
        b <- s[m, o, drop = FALSE] %*% solve(s[o, o, drop = FALSE])
        root <- chol(s[m, m, drop = FALSE] - b %*% s[o, m, drop = FALSE])
        centre <- t(mean[m] + b %*% (t(x[rows, o, drop = FALSE]) - mean[o]))
        full[rows, m] <- centre + matrix(stats::rnorm(length(rows) * length(m)), length(rows)) %*% root
      }
      average <- colMeans(full)
      scatter <- crossprod(sweep(full, 2, average)) + scale
      s <- solve(stats::rWishart(1, n + exponent - p - 2, solve(scatter))[, , 1])
      mean <- average + drop(stats::rnorm(p) %*% chol(s)) / sqrt(n)
      if (step > burn) out[step - burn, ] <- mvn_pack(mean, s)
    }
  })
  out
}

# Draws of the core, and of the chain in R.
n_draws <- if (extended_tests()) 10000 else 2000
chain_length <- if (extended_tests()) 20000 else 2000

# What is compared: means, log variances and Fisher's z of the correlations, whose distributions have light tails.
posterior_features <- function(draws) {
  t(apply(draws, 1, function(theta) {
    q <- mvn_unpack(theta)
    r <- stats::cov2cor(q$covariance)
    c(q$mean, log(diag(q$covariance)), atanh(r[lower.tri(r)]))
  }))
}

draws_of_core <- function(drawn) {
  t(vapply(seq_len(ncol(drawn$mean)), function(i) mvn_pack(drawn$mean[, i], drawn$covariance[, , i]),
           numeric(nrow(drawn$mean) * (nrow(drawn$mean) + 3) / 2)))
}

# Two sets of draws of the same distribution: `a` independent, `b` a chain, whose standard errors come from 40 batches.
expect_same_posterior <- function(a, b) {
  a <- posterior_features(a)
  b <- posterior_features(b)
  batch <- rep(seq_len(40), each = nrow(b) / 40)
  batch_error <- function(value) apply(rowsum(value, batch) / (nrow(b) / 40), 2, stats::sd) / sqrt(40)
  z <- (colMeans(a) - colMeans(b)) / sqrt(apply(a, 2, stats::var) / nrow(a) + batch_error(b)^2)
  # Some 14 comparisons a test, with fixed seeds: 4.5 standard errors.
  testthat::expect_lt(max(abs(z)), 4.5)
  squares_a <- sweep(a, 2, colMeans(a))^2
  squares_b <- sweep(b, 2, colMeans(b))^2
  z <- (colMeans(squares_a) - colMeans(squares_b)) /
    sqrt(apply(squares_a, 2, stats::var) / nrow(a) + batch_error(squares_b)^2)
  testthat::expect_lt(max(abs(z)), 4.5)
}

# Patterns of every kind: many rows, fewer rows than observed variables, one that is constant inside its pattern, rows
# that observe less than they miss, rows that observe nothing.
posterior_data <- function() {
  x <- with_seed(17, matrix(stats::rnorm(66 * 4), 66)) %*% chol(0.5 + 0.5 * diag(4)) + rep(c(10, 0, 3, -5), each = 66)
  x[26:37, 1] <- NA
  x[26:37, 2] <- 0.7
  x[38:46, c(1, 2)] <- NA
  x[47:48, 4] <- NA
  x[49:58, c(3, 4)] <- NA
  x[59:63, c(1, 2, 4)] <- NA
  x[64:66, ] <- NA
  x
}

x <- posterior_data()
mode <- em_mvnorm(x)$parameters

test_that("posterior draws of the parameters have the distribution of data augmentation row by row", {
  drawn <- impute(x, mode, m = n_draws, spacing = 40)
  expect_true(all(drawn$fine))
  expect_false(drawn$monotone)
  expect_same_posterior(draws_of_core(drawn), data_augmentation(x, mode, chain_length, seed = 5))
})

test_that("with the pseudo-observations of a ridge they have that posterior", {
  scale <- 12 * diag(c(1, 2, 1, 0.5))
  drawn <- impute(x, mode, m = n_draws, spacing = 30, exponent = 5 + 12, scale = scale)
  expect_false(drawn$monotone)
  expect_same_posterior(draws_of_core(drawn),
                        data_augmentation(x, mode, chain_length, seed = 6, exponent = 17, scale = scale))
})

test_that("patterns of few rows and many variables (rows kept, n_k below the number observed) have it too", {
  y <- with_seed(23, matrix(stats::rnorm(40 * 5), 40)) %*% chol(0.4 + 0.6 * diag(5))
  y <- punch_holes(y, 0.25, seed = 3)
  counts <- table(apply(is.na(y) + 0, 1, paste, collapse = ""))
  expect_gt(sum(counts <= 2), 5)
  start <- em_mvnorm(y)$parameters
  drawn <- impute(y, start, m = n_draws, spacing = 60)
  expect_same_posterior(draws_of_core(drawn), data_augmentation(y, start, chain_length, seed = 7))
})

test_that("monotone patterns are drawn exactly, without a chain, from the same posterior", {
  y <- x[!is.na(x[, 1]) & !is.na(x[, 4]), ]
  y <- rbind(y, x[c(1:12), ] + 0.3)
  n <- nrow(y)
  y[(n - 19):n, 4] <- NA
  y[(n - 9):n, 3] <- NA
  y[(n - 4):n, 2] <- NA
  y <- rbind(y, NA)[, c(3, 1, 4, 2)]
  fit <- em_mvnorm(y)
  expect_identical(fit$method, "monotone patterns")
  drawn <- impute(y, fit$parameters, m = n_draws, spacing = 0)
  expect_true(drawn$monotone)
  expect_same_posterior(draws_of_core(drawn), data_augmentation(y, fit$parameters, chain_length, seed = 8))
})

test_that("complete data have the normal-inverse-Wishart posterior", {
  y <- with_seed(29, matrix(stats::rnorm(30 * 2), 30))
  y <- rbind(y, NA)
  fit <- em_mvnorm(y)
  drawn <- impute(y, fit$parameters, m = 6000, spacing = 0)
  s <- crossprod(sweep(y[1:30, ], 2, colMeans(y[1:30, ])))
  # Variance j of an inverse Wishart matrix: S_jj over a chi-squared variable of n - p degrees of freedom, here 28.
  expect_gt(stats::ks.test(s[1, 1] / drawn$covariance[1, 1, ], "pchisq", 28)$p.value, 1e-3)
  expect_gt(stats::ks.test(s[2, 2] / drawn$covariance[2, 2, ], "pchisq", 28)$p.value, 1e-3)
  # Means are t of 28 degrees of freedom.
  t <- (drawn$mean[1, ] - mean(y[1:30, 1])) / sqrt(s[1, 1] / (30 * 28))
  expect_gt(stats::ks.test(t, "pt", 28)$p.value, 1e-3)
})

test_that("a chain's parameters given full rows are normal-inverse-Wishart, to one degree of freedom", {
  y <- with_seed(31, matrix(stats::rnorm(12 * 2), 12))
  y <- rbind(y, NA)
  fit <- em_mvnorm(y)
  # With a scale the exact draws of complete data are not used: one step of the chain is.
  scale <- diag(c(2, 3))
  drawn <- impute(y, fit$parameters, m = 6000, spacing = 1, exponent = 3 + 4, scale = scale)
  expect_false(drawn$monotone)
  s <- crossprod(sweep(y[1:12, ], 2, colMeans(y[1:12, ]))) + scale
  # n + exponent - p - 2 = 15 degrees of freedom, of which a diagonal entry has p - 1 fewer.
  for (j in 1:2) expect_gt(stats::ks.test(s[j, j] / drawn$covariance[j, j, ], "pchisq", 14)$p.value, 1e-3)
  expect_lt(stats::ks.test(s[1, 1] / drawn$covariance[1, 1, ], "pchisq", 15)$p.value, 1e-6)
  t <- (drawn$mean[1, ] - mean(y[1:12, 1])) / sqrt(s[1, 1] / (12 * 14))
  expect_gt(stats::ks.test(t, "pt", 14)$p.value, 1e-3)
})

test_that("the imputed cells are draws given their rows and the parameters of their imputation", {
  drawn <- impute(x, mode, m = 60)
  z <- lapply(seq_len(60), function(i) {
    full <- completed(x, drawn, i)
    lapply(which(rowSums(is.na(x)) > 0), function(row) {
      q <- mvn_conditional(x[row, ], drawn$mean[, i], drawn$covariance[, , i])
      backsolve(chol(q$covariance), full[row, q$missing] - q$mean, transpose = TRUE)
    })
  })
  z <- unlist(z)
  expect_gt(stats::ks.test(z, "pnorm")$p.value, 1e-3)
  expect_lt(abs(mean(z)), 4.5 / sqrt(length(z)))
})

test_that("an imputation depends on its number alone: not on how many there are, where they begin, or on threads", {
  for (method in c("posterior", "bootstrap")) {
    ten <- impute(x, mode, method, m = 10)
    few <- impute(x, mode, method, m = 4)
    late <- impute(x, mode, method, m = 4, first = 6)
    two <- impute(x, mode, method, m = 10, threads = 2)
    expect_identical(ten, two)
    for (j in seq_along(ten$values)) {
      expect_identical(few$values[[j]], ten$values[[j]][, 1:4])
      expect_identical(late$values[[j]], ten$values[[j]][, 7:10])
    }
    expect_identical(late$mean, ten$mean[, 7:10])
    expect_identical(late$covariance, ten$covariance[, , 7:10])
    expect_false(identical(impute(x, mode, method, m = 4, key = c(11, 8))$values, few$values))
    expect_identical(anyDuplicated(ten$values[[1]][1, ]), 0L)
  }
})

test_that("the observed cells, and which cells were filled in, are as they were", {
  drawn <- impute(x, mode, m = 2)
  expect_identical(as.integer(drawn$columns), 1:4)
  expect_equal(vapply(drawn$values, nrow, 0L), unname(colSums(is.na(x))))
  full <- completed(x, drawn, 2)
  expect_false(anyNA(full))
  expect_identical(full[!is.na(x)], x[!is.na(x)])
})

test_that("method \"mean\" fills in the conditional means at the mode", {
  drawn <- impute(x, mode, "mean", m = 1)
  expect_equal(completed(x, drawn, 1), unname(predict(em_mvnorm(x))), tolerance = 1e-10)
})

test_that("observation-level priors enter means and draws", {
  priors <- matrix(c(26, 1, 30, 0.5, 38, 2, -4, 0.3, 38, 1, 12, 1, 64, 3, 9, 0.2), ncol = 4, byrow = TRUE)
  means <- completed(x, impute(x, mode, "mean", m = 1, cell_priors = priors), 1)
  drawn <- impute(x, mode, "posterior", m = 1500, spacing = 1, cell_priors = priors)
  for (row in c(26, 38, 64)) {
    prior_mean <- prior_sd <- rep(NA_real_, 4)
    mine <- priors[priors[, 1] == row, , drop = FALSE]
    prior_mean[mine[, 2]] <- mine[, 3]
    prior_sd[mine[, 2]] <- mine[, 4]
    q <- mvn_conditional(x[row, ], mode$mean, mode$covariance, prior_mean, prior_sd)
    expect_equal(means[row, q$missing], unname(q$mean), tolerance = 1e-9)
    z <- vapply(seq_len(1500), function(i) {
      q <- mvn_conditional(x[row, ], drawn$mean[, i], drawn$covariance[, , i], prior_mean, prior_sd)
      full <- vapply(q$missing, function(j) drawn$values[[j]][sum(is.na(x[seq_len(row), j])), i], 0)
      backsolve(chol(q$covariance), full - q$mean, transpose = TRUE)[1]
    }, 0)
    expect_gt(stats::ks.test(z, "pnorm")$p.value, 1e-3)
  }
})

test_that("the bootstrap spreads the means as the sandwich does", {
  y <- as.matrix(datasets::airquality[, 1:4])
  fit <- em_mvnorm(y)
  drawn <- impute(y, fit$parameters, "bootstrap", m = 800, threads = 2)
  expect_true(all(drawn$fine))
  se <- unname(sqrt(diag(vcov(fit, type = "sandwich")))[1:4])
  # A standard deviation of 800 draws has a standard error of 2.5%; first-order theory is good for a few percent more.
  expect_lt(max(abs(apply(drawn$mean, 1, stats::sd) / se - 1)), 0.12)
  expect_lt(max(abs(rowMeans(drawn$mean) - fit$parameters$mean) / se), 0.25)
})

# --- bounds -----------------------------------------------------------------------------------------

rows_drawn <- function(row, mean, covariance, lower, upper, n = 4000, key = c(3, 9), threads = 1) {
  emkit:::mvnorm_rows_(matrix(row, n, length(row), byrow = TRUE), mean, covariance, "draw", lower, upper, key,
                       as.integer(threads))
}

test_that("a bounded missing cell is a draw from the truncated normal distribution, without a pile at the bound", {
  s <- matrix(c(4, 1.2, 1.2, 1), 2)
  row <- c(NA, 0.5)
  q <- mvn_conditional(row, c(1, 0), s)
  sd <- sqrt(q$covariance[1])
  # Bounds near, far (where next to no unbounded draw would do), on both sides, and a narrow slit.
  for (bounds in list(c(2, Inf), c(q$mean + 9 * sd, Inf), c(-Inf, q$mean - 12 * sd), c(0, 1), c(3, 3.001))) {
    drawn <- rows_drawn(row, c(1, 0), s, c(bounds[1], -Inf), c(bounds[2], Inf))[, 1]
    expect_true(all(drawn > bounds[1] & drawn < bounds[2]))
    expect_identical(anyDuplicated(drawn), 0L)
    # Towards the tail that holds less, so that nothing cancels.
    flip <- if (bounds[1] == -Inf || bounds[1] < q$mean) 1 else -1
    z <- flip * (drawn - q$mean) / sd
    ends <- sort(flip * (bounds - q$mean) / sd)
    cdf <- function(z) {
      (stats::pnorm(z) - stats::pnorm(ends[1])) / (stats::pnorm(ends[2]) - stats::pnorm(ends[1]))
    }
    expect_gt(stats::ks.test(z, cdf)$p.value, 1e-3)
  }
})

# The distribution of the first of two standard normals of correlation rho, given that they are above a and b.
both_above_cdf <- function(z, a, b, rho) {
  density <- function(t) {
    exp(stats::dnorm(t, log = TRUE) - stats::dnorm(a, log = TRUE) +
          stats::pnorm((rho * t - b) / sqrt(1 - rho^2), log.p = TRUE) -
          stats::pnorm((rho * a - b) / sqrt(1 - rho^2), log.p = TRUE))
  }
  grid <- seq(a, a + 8 / max(1, a), length.out = 4001)
  middle <- density((grid[-1] + grid[-4001]) / 2)
  total <- c(0, cumsum(middle))
  stats::approx(grid, total / total[4001], z, rule = 2)$y
}

test_that("two bounded cells of a row are drawn jointly", {
  # The second pair of bounds leaves about 1e-8 of the distribution: the draws that are rejected are not enough.
  s <- matrix(0.5, 3, 3) + diag(0.5, 3)
  q <- mvn_conditional(c(NA, NA, 0), c(0, 0, 0), s)
  sd <- sqrt(diag(q$covariance))
  rho <- q$covariance[1, 2] / prod(sd)
  for (limit in list(c(0.5, -0.2), c(4, 4))) {
    drawn <- rows_drawn(c(NA, NA, 0), c(0, 0, 0), s, c(limit * sd, -Inf), rep(Inf, 3))
    expect_true(all(drawn[, 1] > limit[1] * sd[1] & drawn[, 2] > limit[2] * sd[2]))
    for (j in 1:2) {
      p <- stats::ks.test(drawn[, j] / sd[j], both_above_cdf, limit[j], limit[3 - j], rho)$p.value
      expect_gt(p, 1e-3)
    }
  }
})

test_that("imputations respect the bounds of every column", {
  lower <- c(9.5, -Inf, 2.8, -5)
  upper <- c(10.5, 0.4, Inf, -4)
  for (method in c("posterior", "bootstrap")) {
    drawn <- impute(x, mode, method, m = 50, lower = lower, upper = upper)
    for (j in 1:4) {
      value <- drawn$values[[j]]
      expect_true(all(value > lower[j] & value < upper[j]))
      expect_identical(anyDuplicated(as.vector(value)), 0L)
    }
    expect_identical(impute(x, mode, method, m = 50, lower = lower, upper = upper, threads = 2), drawn)
  }
})

test_that("a posterior that is not proper is reported, not drawn from", {
  y <- with_seed(3, matrix(stats::rnorm(12), 4))
  y[2, 1] <- NA
  y[3, 2] <- NA
  parameters <- list(mean = c(0, 0, 0), covariance = diag(3))
  drawn <- impute(y, parameters, m = 2, exponent = 0)
  expect_false(any(drawn$fine))
})
