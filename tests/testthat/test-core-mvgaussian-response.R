# The multivariate normal response: covariance structures, rows that are missing in part, coordinates.

structures <- c("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV")

mv_data <- function(n = 300L, missing = TRUE) {
  with_seed(5, {
    y <- cbind(stats::rnorm(n, c(0, 4), c(1, 2)), stats::rnorm(n, 10), stats::rnorm(n, -3, 0.5))
    y[, 2L] <- y[, 2L] + 0.6 * y[, 1L]
    y[, 3L] <- 100 * (y[, 3L] - 0.2 * y[, 2L])
    if (missing) {
      y[stats::runif(length(y)) < 0.1] <- NA
      y[5L, ] <- NA
      y[6L, ] <- c(1, NA, NA)
    }
    y
  })
}

mv_spec <- function(y, covariance = "VVV", ...) {
  list(name = "y", family = "mvgaussian", y = y, options = list(covariance = covariance), ...)
}

mv_info <- list(columns = c("a", "b", "c"))

mv_posterior <- function(n, K = 2L) {
  with_seed(6, {
    z <- matrix(stats::rexp(n * K), n)
    z / rowSums(z)
  })
}

# Parameters of a structure: what an M-step on complete data gives.
mv_parameters <- function(covariance) {
  y <- mv_data(missing = FALSE)
  spec <- mv_spec(y, covariance)
  response_m_step_(spec, response_overall_(spec, 2L), mv_posterior(nrow(y)))$parameters
}

# n x K log densities by definition, of what each row observes.
mv_oracle <- function(y, natural) {
  d <- ncol(y)
  patterns <- split(seq_len(nrow(y)), apply(is.na(y), 1L, paste, collapse = ""))
  vapply(seq_len(ncol(natural)), function(k) {
    sigma <- matrix(natural[-seq_len(d), k], d)
    out <- numeric(nrow(y))
    for (rows in patterns) {
      o <- which(!is.na(y[rows[1L], ]))
      if (length(o) == 0L) next
      s <- sigma[o, o, drop = FALSE]
      distance <- stats::mahalanobis(y[rows, o, drop = FALSE], natural[o, k], s)
      out[rows] <- -0.5 * (length(o) * log(2 * pi) + as.numeric(determinant(s)$modulus) + distance)
    }
    out
  }, numeric(nrow(y)))
}

test_that("log densities are those of what each row observes, for every structure and layout of tiles", {
  y <- mv_data()
  for (covariance in structures) {
    natural <- mv_parameters(covariance)
    expected <- mv_oracle(y, natural)
    for (lanes in c(1L, 4L, 8L)) {
      expect_equal(response_log_density_(mv_spec(y, covariance), natural, lanes), expected, tolerance = 1e-11,
                   label = covariance)
    }
    theta <- family_mvgaussian()$row_parameters(natural, 2L, NULL, NULL, mv_info)
    expect_equal(family_mvgaussian()$density(y, theta, log = TRUE), expected[, 2L], tolerance = 1e-11)
  }
})

test_that("an M-step on complete data is the weighted mean and covariance", {
  y <- mv_data(missing = FALSE)
  z <- mv_posterior(nrow(y))
  direct <- lapply(1:2, function(k) stats::cov.wt(y, z[, k], method = "ML"))
  natural <- mv_parameters("VVV")
  for (k in 1:2) {
    expect_equal(natural[1:3, k], direct[[k]]$center, tolerance = 1e-12)
    expect_equal(matrix(natural[4:12, k], 3L), direct[[k]]$cov, tolerance = 1e-11)
  }
  pooled <- Reduce(`+`, Map(function(s, n) s$cov * n, direct, colSums(z))) / nrow(y)
  expect_equal(matrix(mv_parameters("EEE")[4:12, 2L], 3L), pooled, tolerance = 1e-11)
})

test_that("M-steps with rows missing in part climb to the maximum, which em_mvnorm() finds too", {
  y <- mv_data()
  colnames(y) <- mv_info$columns
  spec <- mv_spec(unname(y))
  natural <- response_overall_(spec, 1L)
  one <- matrix(1, nrow(y), 1L)
  last <- -Inf
  for (i in 1:200) {
    natural <- response_m_step_(spec, natural, one)$parameters
    loglik <- sum(response_log_density_(spec, natural))
    expect_gte(loglik, last - 1e-9)
    if (loglik - last < 1e-12) break
    last <- loglik
  }
  fit <- em_mvnorm(y[rowSums(!is.na(y)) > 0L, ], control = em_control(tol = 1e-12))
  expect_equal(loglik, as.numeric(stats::logLik(fit)), tolerance = 1e-9)
  expect_lt(max(abs(response_score_(spec, natural, one)$score)), 1e-2)
})

test_that("the score is the gradient of the observed log density, in coordinates that count the degrees of freedom", {
  y <- mv_data()
  z <- mv_posterior(nrow(y))
  with_coordinates <- c("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVV", "VVV")
  for (covariance in structures) {
    spec <- mv_spec(y, covariance)
    natural <- mv_parameters(covariance)
    score <- response_score_(spec, natural, z, 4L)
    df <- 6 + covariance_n_parameters_(covariance, 3, 2)
    expect_equal(length(score$coordinates), df, label = covariance)
    expect_identical(score$inside, covariance %in% with_coordinates, label = covariance)
    if (!score$inside) next
    at <- function(point) sum(z * mv_oracle(y, response_from_coordinates_(spec, natural, point)))
    numeric <- vapply(seq_along(score$coordinates), function(i) {
      h <- replace(numeric(length(score$coordinates)), i, 1e-4)
      p <- score$coordinates
      (8 * (at(p + h) - at(p - h)) - (at(p + 2 * h) - at(p - 2 * h))) / 12e-4
    }, 0)
    expect_equal(score$score, numeric, tolerance = 1e-6, label = covariance)
    back <- response_coordinates_(spec, natural)
    expect_equal(back$from_coordinates, natural, tolerance = 1e-9, label = covariance)
  }
})

test_that("packed parameters come back in every structure", {
  y <- mv_data()
  z <- mv_posterior(nrow(y))
  for (covariance in structures) {
    natural <- mv_parameters(covariance)
    back <- response_coordinates_(mv_spec(y, covariance), natural)
    expect_true(back$packs)
    expect_equal(back$from_packed, natural, tolerance = 1e-8, label = covariance)
  }
})

test_that("a component without rows keeps its parameters", {
  y <- mv_data()
  z <- cbind(rep(1, nrow(y)), 0)
  for (covariance in c("VVV", "VVI", "VII")) {
    natural <- mv_parameters(covariance)
    step <- response_m_step_(mv_spec(y, covariance), natural, z)
    expect_true(step$done)
    expect_identical(step$parameters[, 2L], natural[, 2L])
  }
})

test_that("a component on one line is a degeneracy that names it", {
  y <- cbind(c(1, 2, 3, 4, 1, 5, 2, 7), c(2, 4, 6, 8, 0, 3, 9, 1), c(3, 6, 9, 12, 4, 4, 1, 0)) + 0
  z <- cbind(c(0, 0, 0, 0, 1, 1, 1, 1), c(1, 1, 1, 1, 0, 0, 0, 0))
  spec <- mv_spec(y)
  step <- response_m_step_(spec, response_overall_(spec, 2L), z)
  expect_false(step$done)
  expect_identical(step$degeneracy, "singular")
  diagonal <- mv_spec(y, "VVI")
  expect_true(response_m_step_(diagonal, response_overall_(diagonal, 2L), z)$done)
})

test_that("fixed means and covariances stay, and have no coordinates", {
  y <- mv_data()
  z <- mv_posterior(nrow(y))
  natural <- mv_parameters("VVV")
  fixed <- matrix(NA_real_, 12L, 2L)
  fixed[1:3, 1L] <- c(0.5, 9, -400)
  fixed[4:12, 2L] <- natural[4:12, 1L]
  spec <- mv_spec(y, fixed = fixed)
  held <- which(!is.na(fixed))
  overall <- response_overall_(spec, 2L)
  step <- response_m_step_(spec, overall, z)$parameters
  expect_identical(overall[held], fixed[held])
  expect_identical(step[held], fixed[held])
  expect_false(isTRUE(all.equal(step[-held], overall[-held])))
  expect_length(response_coordinates_(spec, step)$coordinates, 3 + 6)
  expect_gt(sum(z * mv_oracle(y, step)), sum(z * mv_oracle(y, overall)))
})

test_that("constraints that the family does not have are errors", {
  y <- mv_data()
  expect_error(response_overall_(mv_spec(y, "XYZ"), 2L), "unknown covariance structure: XYZ")
  expect_error(response_overall_(mv_spec(y, fixed = replace(matrix(NA_real_, 12L, 2L), 2L, 1)), 2L), "as a whole")
  expect_error(response_overall_(mv_spec(y, shared = rep(c(TRUE, FALSE), c(3L, 9L))), 2L), "covariance structure")
})

test_that("one column has the structures of one column", {
  y <- mv_data()[, 1L, drop = FALSE]
  z <- mv_posterior(nrow(y))
  seen <- !is.na(y)
  varying <- response_m_step_(mv_spec(y), response_overall_(mv_spec(y), 2L), z)$parameters
  direct <- vapply(1:2, function(k) {
    unlist(stats::cov.wt(y[seen, , drop = FALSE], z[seen, k], method = "ML")[c("center", "cov")])
  }, numeric(2L))
  expect_equal(varying, unname(direct), tolerance = 1e-11)
  equal <- response_m_step_(mv_spec(y, "EEE"), response_overall_(mv_spec(y, "EEE"), 2L), z)$parameters
  expect_equal(equal[2L, 1L], equal[2L, 2L])
})

test_that("units do not matter: densities and parameters are the user's, far from 0 as well", {
  y <- mv_data()
  far <- sweep(sweep(y, 2L, c(1e3, 1e-4, 1), "*"), 2L, c(1e7, 0, -1e5), "+")
  z <- mv_posterior(nrow(y))
  one <- response_m_step_(mv_spec(y), response_overall_(mv_spec(y), 2L), z)$parameters
  other <- response_m_step_(mv_spec(far), response_overall_(mv_spec(far), 2L), z)$parameters
  shift <- drop((!is.na(y)) %*% log(c(1e3, 1e-4, 1)))
  expect_equal(response_log_density_(mv_spec(far), other), response_log_density_(mv_spec(y), one) - shift,
               tolerance = 1e-7)
})

test_that("columns have conditional distributions given those before them", {
  y <- mv_data(60L)
  natural <- mv_parameters("VVV")
  theta <- family_mvgaussian()$row_parameters(natural, 1L, NULL, NULL, mv_info)
  got <- family_mvgaussian()$conditional(y, theta)
  expect_equal(rowSums(got$log_density), mv_oracle(y, natural)[, 1L], tolerance = 1e-11)
  expect_identical(is.na(got$cdf), is.na(y))
  for (i in which(stats::complete.cases(y))[1:5]) {
    s <- theta$covariance
    mean <- theta$mean[3L] + s[3L, 1:2] %*% solve(s[1:2, 1:2], y[i, 1:2] - theta$mean[1:2])
    sd <- sqrt(s[3L, 3L] - s[3L, 1:2] %*% solve(s[1:2, 1:2], s[1:2, 3L]))
    expect_equal(got$cdf[i, 3L], stats::pnorm(y[i, 3L], drop(mean), drop(sd)), tolerance = 1e-10)
  }
  draws <- with_seed(9, family_mvgaussian()$random(20000L, theta))
  expect_equal(colMeans(draws), drop(theta$mean), tolerance = 0.02, ignore_attr = TRUE)
  expect_equal(stats::cov(draws), theta$covariance, tolerance = 0.05, ignore_attr = TRUE)
})

test_that("parameters come in as arrays, matrices and lists, and wrong ones are named", {
  family <- family_mvgaussian()
  natural <- mv_parameters("VVV")
  user <- family$from_natural(natural, mv_info)
  expect_identical(dim(user$covariance), c(3L, 3L, 2L))
  expect_identical(rownames(user$mean), mv_info$columns)
  expect_equal(family$to_natural(user, mv_info, 2L), natural)
  listed <- list(mean = user$mean, sigma = list(user$covariance[, , 1L], user$covariance[, , 2L]))
  expect_equal(family$to_natural(listed, mv_info, 2L), natural)
  common <- family$to_natural(list(mean = c(1, 2, 3), covariance = diag(3)), mv_info, 2L)
  expect_equal(common, matrix(c(1, 2, 3, diag(3)), 12L, 2L))
  expect_error(family$to_natural(list(mean = 1:3, covariance = -diag(3)), mv_info, 2L), "component 1",
               class = "em_error_start")
  expect_error(family$to_natural(list(mean = 1:2, covariance = diag(3)), mv_info, 2L), "mean", class = "em_error_start")
  expect_error(family$to_natural(list(mean = 1:3), mv_info, 2L), "covariance", class = "em_error_start")
})
