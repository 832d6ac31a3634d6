# Standard errors of em_fa().

test_that("standard errors of varimax loadings and uniquenesses are those of lavaan", {
  skip_if_not_installed("lavaan", "0.6.13")
  x <- lavaan::HolzingerSwineford1939[paste0("x", 1:9)]
  fit <- em_fa(x, n_factors = 3, control = fa_control())
  peer <- lavaan::efa(x, nfactors = 3, rotation = "varimax", information = "observed", output = "lavaan",
                      rotation.args = list(row.weights = "kaiser"))
  table <- lavaan::parameterEstimates(peer)
  loadings <- matrix(table$est[table$op == "=~"], 9)
  se <- matrix(table$se[table$op == "=~"], 9)
  order <- apply(abs(stats::cor(unname(fit$parameters$loadings), loadings)), 1, which.max)
  variance <- vcov(fit)
  # lavaan stops at gradients of 1e-6 or so.
  expect_equal(unname(sqrt(diag(variance)))[10:36], c(se[, order]), tolerance = 1e-5)
  unique <- table$op == "~~" & table$lhs == table$rhs & table$lhs %in% names(x)
  expect_equal(unname(sqrt(diag(variance)))[37:45], table$se[unique], tolerance = 1e-5)
  expect_equal(unname(sqrt(diag(variance)))[1:9], sqrt(diag(fa_implied(fit)) / 301), tolerance = 1e-8)
})

test_that("with missing values they are those of the numerical information of the observed cells", {
  x <- data_factors(40, p = 5, q = 1, missing = 0.12, seed = 31)
  fit <- em_fa(x, n_factors = 1, control = fa_control())
  value <- function(t) mvn_loglik(x, t[1:5], tcrossprod(t[6:10]) + diag(t[11:15]))
  sd <- sqrt(diag(fa_implied(fit)))
  oracle <- numerical_se(value, unname(coef(fit)), units = c(sd, sd, unname(fit$parameters$uniquenesses)) * 0.02)
  expect_equal(unname(sqrt(diag(vcov(fit)))), oracle, tolerance = 1e-4)
})

test_that("weights count as rows", {
  x <- data_factors(60, p = 6, q = 2, seed = 32)
  w <- rep(1:2, 30)
  for (data in list(x, replace(x, 7, NA))) {
    weighted <- em_fa(data, n_factors = 2, weights = w, control = fa_control())
    repeated <- em_fa(data[rep(1:60, w), ], n_factors = 2, control = fa_control())
    expect_equal(vcov(weighted), vcov(repeated), tolerance = 1e-3)
  }
})

test_that("what no rotation changes has the same standard errors after every rotation", {
  x <- data_factors(150, seed = 33)
  rotations <- list("none", "varimax", "promax", function(l) stats::varimax(l, eps = 1e-14))
  errors <- lapply(rotations, function(rotation) {
    fit <- em_fa(x, n_factors = 3, rotation = rotation, control = fa_control())
    v <- vcov(fit)
    # Communalities too: the sum of squares of orthogonal loadings, whose gradient is known.
    list(uniqueness = unname(sqrt(diag(v)[37:45])), variance = v, fit = fit)
  })
  for (e in errors[-1]) expect_equal(e$uniqueness, errors[[1]]$uniqueness, tolerance = 1e-4)
  communality <- vapply(errors[c(1, 2, 4)], function(e) {
    gradient <- numeric(45)
    gradient[c(10, 19, 28)] <- 2 * e$fit$parameters$loadings[1, ]
    drop(t(gradient) %*% e$variance %*% gradient)
  }, 0)
  expect_equal(communality, rep(communality[1], 3), tolerance = 1e-3)
})

test_that("standardised standard errors are the delta method's of the others", {
  x <- data_factors(120, p = 6, q = 2, seed = 34)
  fit <- em_fa(x, n_factors = 2, control = fa_control())
  standardise <- function(t) {
    l <- matrix(t[1:12], 6)
    s <- sqrt(rowSums(l^2) + t[13:18])
    c(l / s, t[13:18] / s^2)
  }
  at <- unname(coef(fit))[-(1:6)]
  jacobian <- vapply(1:18, function(i) {
    h <- replace(numeric(18), i, 1e-5 * max(1, abs(at[i])))
    (standardise(at + h) - standardise(at - h)) / (2 * max(h))
  }, numeric(18))
  expect_equal(unname(vcov(fit, standardized = TRUE)), jacobian %*% unname(vcov(fit)[-(1:6), -(1:6)]) %*% t(jacobian),
               tolerance = 1e-5)
})

test_that("they are the spread of estimates of simulated data", {
  truth <- em_fa(data_factors(400, p = 6, q = 2, seed = 35), n_factors = 2, rotation = "promax")
  fitted <- vapply(seq_len(100), function(i) {
    sim <- simulate(truth, seed = i)
    coef(em_fa(sim, n_factors = 2, rotation = "promax", scores = "none", start = truth), standardized = TRUE)
  }, coef(truth, standardized = TRUE))
  # Columns may have changed places where they explain the same: those whose first loadings agree are compared.
  same <- abs(fitted[1, ] - coef(truth, standardized = TRUE)[1]) < 0.3
  expect_gt(sum(same), 50)
  ratio <- apply(fitted[, same], 1, stats::sd) / sqrt(diag(vcov(truth, standardized = TRUE)))
  # Of 50 and more draws the spread is known to 10 %.
  expect_true(all(ratio > 0.68 & ratio < 1.38))
})

test_that("at a Heywood case the uniqueness has none, and the rest has", {
  fit <- quietly(em_fa(datasets::swiss, n_factors = 2))
  v <- vcov(fit, standardized = TRUE)
  se <- sqrt(diag(v))
  expect_identical(names(se)[is.na(se)], "uniqueness[Education]")
  expect_true(all(se[!is.na(se)] >= 0))
  expect_true(is.na(confint(fit, "uniqueness[Education]", standardized = TRUE)[1]))
  # The variable is a factor: the others' loadings on it are correlations, whose standard error is known to be about
  # (1 - r^2) / sqrt(n) without rotation.
  plain <- quietly(em_fa(datasets::swiss, n_factors = 2, rotation = "none"))
  first <- which.max(abs(unclass(plain$loadings)[4, ]))
  r <- unclass(plain$loadings)[-4, first]
  own <- sqrt(diag(vcov(plain, standardized = TRUE)))[(first - 1) * 6 + c(1:3, 5:6)]
  expect_equal(unname(own), unname((1 - r^2) / sqrt(47)), tolerance = 0.25)
})

test_that("ppca has one uniqueness, and its standard error", {
  x <- data_factors(200, p = 6, q = 2, seed = 36)
  fit <- em_fa(x, n_factors = 2, type = "ppca", control = fa_control())
  se <- sqrt(diag(vcov(fit)))
  unique <- se[startsWith(names(se), "uniqueness")]
  expect_equal(unname(unique), rep(unname(unique[1]), 6))
  # The noise is the mean of 4 eigenvalues, of 200 x 4 squares.
  expect_equal(unname(unique[1]), unname(fit$parameters$uniquenesses[1]) * sqrt(2 / 800), tolerance = 0.02)
})

test_that("confidence intervals are Wald's, of uniquenesses within their range", {
  fit <- em_fa(covmat = datasets::ability.cov, n_factors = 2)
  se <- sqrt(diag(vcov(fit, standardized = TRUE)))
  interval <- confint(fit, standardized = TRUE)
  estimate <- coef(fit, standardized = TRUE)
  expect_equal(interval[1:12, 2], estimate[1:12] + stats::qnorm(0.975) * se[1:12], ignore_attr = TRUE)
  expect_true(all(interval[13:18, ] > 0 & interval[13:18, ] < 1))
  plain <- confint(fit, standardized = TRUE, transform = FALSE, level = 0.9)
  expect_equal(plain[13:18, 1], estimate[13:18] - stats::qnorm(0.95) * se[13:18], ignore_attr = TRUE)
  expect_identical(rownames(confint(fit, c("loading[maze,2]", "mean[blocks]"))), c("loading[maze,2]", "mean[blocks]"))
  expect_true(all(confint(fit)[19:24, 1] > 0))
  expect_error(confint(fit, "loading[maze,9]"), class = "em_error_argument")
  expect_error(vcov(fit, type = "sandwich"), class = "em_error_no_data")
  expect_error(vcov(fit, type = "expected"), class = "em_error_argument")
})

test_that("what is not identified has no standard error and is named", {
  # Two equal factors: without a rule of rotation their axes are anywhere.
  s <- diag(6) * 0.4
  s[1:3, 1:3] <- s[1:3, 1:3] + 0.6
  s[4:6, 4:6] <- s[4:6, 4:6] + 0.6
  fit <- em_fa(covmat = s, n_obs = 100, n_factors = 2, control = fa_control())
  expect_true(all(is.finite(vcov(fit))))
  expect_error(vcov(em_fa(covmat = diag(700) + 0.3, n_obs = 2000, n_factors = 3, rotation = "none")),
               class = "em_error_too_many_variables")
})

# The sandwich of parameters `at` of which moments_of() makes list(mean, covariance), all by differences.
numerical_sandwich <- function(x, at, units, moments_of, w = rep(1, nrow(x)), power = 2) {
  patterns <- oracle_patterns(x)
  row_loglik <- function(t) {
    m <- moments_of(t)
    oracle_log_dnorm(x, m$mean, m$covariance, patterns)
  }
  bread <- solve(-numerical_hessian(function(t) sum(w * row_loglik(t)), at, units))
  scores <- vapply(seq_along(at), function(k) {
    slope <- function(h) {
      move <- replace(numeric(length(at)), k, h * units[k])
      (row_loglik(at + move) - row_loglik(at - move)) / (2 * h * units[k])
    }
    richardson(slope, 0.05)
  }, numeric(nrow(x)))
  bread %*% crossprod(scores * w^(power / 2)) %*% bread
}

test_that("the sandwich is that of numerical scores, with missing cells and weights too", {
  x <- data_factors(40, p = 4, q = 1, seed = 37)
  x[, 1] <- x[, 1] + stats::qexp(stats::ppoints(40))[order(x[, 2])]
  one_factor <- function(t) list(mean = t[1:4], covariance = tcrossprod(t[5:8]) + diag(t[9:12]))
  w <- rep(c(0.5, 1, 2, 0), 10)
  cases <- list(list(x, rep(1, 40)), list(replace(x, c(3, 50, 51, 90, 133), NA), w))
  for (case in cases) {
    fit <- em_fa(case[[1]], n_factors = 1, weights = case[[2]], control = fa_control())
    sd <- sqrt(diag(fa_implied(fit)))
    units <- c(sd, sd, unname(fit$parameters$uniquenesses)) * 0.02
    for (type in c("sampling", "frequency")) {
      oracle <- numerical_sandwich(case[[1]], unname(coef(fit)), units, one_factor, case[[2]],
                                   if (type == "sampling") 2 else 1)
      expect_equal(unname(vcov(fit, type = "sandwich", weight_type = type)), oracle, tolerance = 1e-4,
                   ignore_attr = TRUE)
    }
  }
})

test_that("the sandwich of what no rotation changes is that of loadings with a zero", {
  x <- data_factors(100, p = 6, q = 2, seed = 38)
  fit <- em_fa(x, n_factors = 2, control = fa_control())
  # Turned so that the first variable does not load on the second factor: as many parameters as are free.
  l <- unname(fit$parameters$loadings)
  turned <- l %*% cbind(l[1, ], c(-l[1, 2], l[1, 1])) / sqrt(sum(l[1, ]^2))
  two_factors <- function(t) {
    l <- cbind(t[7:12], c(0, t[13:17]))
    list(mean = t[1:6], covariance = tcrossprod(l) + diag(t[18:23]))
  }
  at <- c(fit$parameters$mean, turned[, 1], turned[-1, 2], fit$parameters$uniquenesses)
  sd <- sqrt(diag(fa_implied(fit)))
  oracle <- numerical_sandwich(x, unname(at), c(sd, sd, sd[-1], unname(fit$parameters$uniquenesses)) * 0.02,
                               two_factors)
  expect_length(fit$heywood, 0L)
  same <- c(1:6, 19:24)
  expect_equal(unname(vcov(fit, type = "sandwich")[same, same]), oracle[c(1:6, 18:23), c(1:6, 18:23)],
               tolerance = 1e-3)
})

test_that("where the model holds the sandwich agrees with the information, and weights count as rows", {
  x <- data_factors(3000, p = 6, q = 2, seed = 39)
  for (type in c("fa", "ppca")) {
    data <- if (type == "fa") x else x / rep(seq_len(6), each = 3000)
    fit <- em_fa(data, n_factors = 2, rotation = "promax", type = type, control = fa_control())
    ratio <- sqrt(diag(vcov(fit, type = "sandwich")) / diag(vcov(fit)))
    # Fourth moments of 3000 rows are known to some 3 %.
    expect_lt(max(abs(log(ratio))), 0.12)
  }
  # Where a uniqueness is 0 the rest has a sandwich too.
  heywood <- sqrt(diag(vcov(quietly(em_fa(datasets::swiss, n_factors = 2)), type = "sandwich")))
  expect_identical(names(heywood)[is.na(heywood)], "uniqueness[Education]")
  w <- rep(1:2, 30)
  weighted <- em_fa(x[1:60, ], n_factors = 2, weights = w, control = fa_control())
  repeated <- em_fa(x[rep(1:60, w), ], n_factors = 2, control = fa_control())
  expect_equal(vcov(weighted, type = "sandwich", weight_type = "frequency"), vcov(repeated, type = "sandwich"),
               tolerance = 1e-3)
})

test_that("standard errors of a rotation by name are those of the same rotation in closed form", {
  skip_if_not_installed("GPArotation")
  quartimax <- function(l) {
    u <- l[, 1]^2 - l[, 2]^2
    v <- 2 * l[, 1] * l[, 2]
    angle <- atan2(2 * sum(u * v), sum(u^2 - v^2)) / 4
    l %*% cbind(c(cos(angle), sin(angle)), c(-sin(angle), cos(angle)))
  }
  fit <- function(rotation) em_fa(datasets::attitude, n_factors = 2, rotation = rotation, control = fa_control())
  # A function is differentiated with steps of 1e-3.
  expect_equal(vcov(fit("quartimax")), vcov(fit(quartimax)), tolerance = 1e-5)
})

test_that("standard errors of oblimin are those of oblimin run to its last digits", {
  skip_if_not_installed("GPArotation")
  precise <- function(l) suppressWarnings(GPArotation::oblimin(l, eps = 1e-7, maxit = 200))
  fit <- function(rotation) em_fa(covmat = datasets::ability.cov, n_factors = 2, rotation = rotation)
  # 1e-7 by steps of 1e-3.
  expect_equal(sqrt(diag(vcov(fit("oblimin"), standardized = TRUE))),
               sqrt(diag(vcov(fit(precise), standardized = TRUE))), tolerance = 2e-4)
})
