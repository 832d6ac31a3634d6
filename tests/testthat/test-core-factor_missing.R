# The core's factor analysis with missing values (factor_missing*.h, factor_rows.h, data/tiled_rows.h), against dense
# formulas in plain R.

fit_missing <- function(x, q, type = "fa", weights = NULL, starts = list(list(method = "default")), threads = 1,
                        tol = 1e-10, max_iter = 5000L, accelerator = "anderson") {
  control <- list(tol = tol, max_iter = max_iter, accelerator = accelerator, n_short = 15L, n_polish = 3L)
  emkit:::fa_missing_(as.matrix(x) + 0, weights, as.integer(q), type, starts, control, as.integer(threads), NULL)
}

random_starts <- function(n) lapply(seq_len(n), function(i) list(method = "random", key = c(3, i)))

fa_covariance <- function(parameters) {
  tcrossprod(parameters$loadings) + diag(parameters$uniquenesses, length(parameters$uniquenesses))
}

# Observed-data log-likelihood of each row.
dense_loglik <- function(x, parameters) {
  sigma <- fa_covariance(parameters)
  apply(as.matrix(x), 1, function(row) {
    o <- which(!is.na(row))
    if (length(o) == 0) return(0)
    root <- chol(sigma[o, o, drop = FALSE])
    z <- backsolve(root, row[o] - parameters$mean[o], transpose = TRUE)
    -length(o) / 2 * log(2 * pi) - sum(log(diag(root))) - sum(z^2) / 2
  })
}

with_holes <- function(x, rate, seed) {
  with_seed(seed, {
    x <- as.matrix(x)
    x[matrix(stats::runif(length(x)) < rate, nrow(x))] <- NA
  })
  x
}

simulate_factors <- function(n, p, q, rate, seed, sd = 0.6) {
  with_seed(seed, {
    loadings <- matrix(stats::rnorm(p * q, sd = sd), p)
    x <- tcrossprod(matrix(stats::rnorm(n * q), n), loadings) + matrix(stats::rnorm(n * p), n)
  })
  with_holes(x + rep(seq_len(p), each = n), rate, seed + 1)
}

# Parameters as one vector, uniquenesses as logarithms; and back.
as_vector <- function(parameters, common = FALSE) {
  u <- log(parameters$uniquenesses)
  c(parameters$mean, parameters$loadings, if (common) u[1] else u)
}
as_parameters <- function(v, p, q) {
  rest <- exp(v[-seq_len(p + p * q)])
  list(mean = v[seq_len(p)], loadings = matrix(v[p + seq_len(p * q)], p), uniquenesses = rep_len(rest, p))
}

test_that("the log-likelihood is that of the observed cells and never falls", {
  x <- with_holes(mtcars, 0.15, 1)
  for (accelerator in c("none", "squarem", "anderson")) {
    fit <- fit_missing(x, 2, accelerator = accelerator)
    expect_identical(fit$status, "converged")
    expect_equal(fit$loglik, sum(dense_loglik(x, fit$parameters)), tolerance = 1e-11)
    expect_gt(min(diff(fit$trace_loglik)), -1e-10)
    expect_identical(fit$trace_loglik[length(fit$trace_loglik)], fit$loglik)
    expect_equal(fit$loglik, -551.13, tolerance = 1e-2)
  }
})

test_that("rows without missing values have the known optima", {
  fit <- fit_missing(mtcars, 2)
  expect_equal(fit$loglik, -615.97044854, tolerance = 1e-11)
  expect_equal(
    fit$parameters$uniquenesses / (diag(cov(mtcars)) * 31 / 32),
    c(.16715725, .06975054, .09578116, .14285056, .29780937, .16790785, .15001180, .25582658, .17096915, .24567634,
      .38576959),
    tolerance = 2e-6, ignore_attr = TRUE
  )
  # The canonical form.
  inner <- crossprod(fit$parameters$loadings / sqrt(fit$parameters$uniquenesses))
  expect_lt(abs(inner[1, 2]), 1e-9 * inner[2, 2])
  expect_gt(inner[1, 1], inner[2, 2])
  expect_lt(fit$evaluations, 60)
})

test_that("a uniqueness that the likelihood drives to 0 ends there", {
  fit <- fit_missing(swiss, 2)
  expect_equal(fit$loglik, -1026.3268, tolerance = 1e-7)
  expect_identical(fit$heywood, 1L)
  expect_identical(fit$parameters$uniquenesses[1], 0)
  expect_equal(fa_covariance(fit$parameters)[1, ], cov(swiss)[1, ] * 46 / 47, tolerance = 1e-7, ignore_attr = TRUE)
  # Another, higher maximum.
  higher <- fit_missing(swiss, 2, starts = random_starts(20))
  expect_equal(higher$loglik, -1025.09531, tolerance = 1e-8)
  expect_identical(higher$heywood, 4L)
  # The likelihood at 0 is the limit.
  x <- with_holes(swiss, 0.1, 4)
  fit <- fit_missing(x, 2, starts = random_starts(20))
  expect_gt(length(fit$heywood), 0)
  close <- fit$parameters
  close$uniquenesses[fit$heywood] <- 1e-8 * diag(fa_covariance(close))[fit$heywood]
  expect_equal(fit$loglik, sum(dense_loglik(x, close)), tolerance = 1e-6)
  # Away from 0 it is lower.
  for (share in c(1e-3, 1e-2, 1e-1)) {
    away <- fit$parameters
    away$uniquenesses[fit$heywood] <- share * diag(fa_covariance(away))[fit$heywood]
    expect_lt(sum(dense_loglik(x, away)), fit$loglik)
  }
  expect_gt(min(diff(fit$trace_loglik)), -1e-9)
})

test_that("the fit is a maximum and no numerical search finds a higher one nearby", {
  x <- simulate_factors(100, 5, 1, 0.25, 7, sd = 1)
  fit <- fit_missing(x, 1)
  at <- as_vector(fit$parameters)
  objective <- function(v) tryCatch(sum(dense_loglik(x, as_parameters(v, 5, 1))), error = function(e) -1e10)
  h <- 1e-4 * (abs(at) + 0.1)
  slope <- vapply(seq_along(at), function(i) {
    step <- replace(numeric(15), i, h[i])
    (objective(at + step) - objective(at - step)) / 2
  }, 0)
  expect_lt(max(abs(slope)), 1e-7 * 100)
  start <- at * with_seed(1, stats::runif(15, 0.9, 1.1))
  found <- stats::optim(start, function(v) -objective(v), method = "BFGS", control = list(reltol = 1e-14, maxit = 500))
  expect_equal(fit$loglik, -found$value, tolerance = 1e-9)
  expect_gte(fit$loglik, -found$value - 1e-9)
  expect_equal(abs(fa_covariance(fit$parameters)), abs(fa_covariance(as_parameters(found$par, 5, 1))), tolerance = 1e-3)
})

# The observed log-likelihood of rows and its gradient by the coordinates of as_vector(), by definition.
dense_objective <- function(x, q) {
  p <- ncol(x)
  seen <- lapply(seq_len(nrow(x)), function(i) which(!is.na(x[i, ])))
  evaluate <- function(v) {
    at <- as_parameters(v, p, q)
    sigma <- fa_covariance(at)
    value <- 0
    by_mean <- numeric(p)
    by_sigma <- matrix(0, p, p)
    for (i in seq_along(seen)) {
      o <- seen[[i]]
      root <- chol(sigma[o, o, drop = FALSE])
      precision <- chol2inv(root)
      z <- x[i, o] - at$mean[o]
      w <- drop(precision %*% z)
      value <- value - length(o) / 2 * log(2 * pi) - sum(log(diag(root))) - sum(z * w) / 2
      by_mean[o] <- by_mean[o] + w
      by_sigma[o, o] <- by_sigma[o, o] + (tcrossprod(w) - precision) / 2
    }
    list(value = value, gradient = c(by_mean, 2 * by_sigma %*% at$loadings, diag(by_sigma) * at$uniquenesses))
  }
  list(value = function(v) evaluate(v)$value, gradient = function(v) evaluate(v)$gradient)
}

test_that("with more factors than the data show the maximum is found, in few steps", {
  # With the factors as missing data EM takes 300 to 16000 steps here.
  for (case in list(c(102, 2), c(102, 3), c(110, 3), c(124, 3))) {
    x <- simulate_factors(250, 8, 1, 0.15, case[1])
    q <- case[2]
    for (accelerator in c("none", "anderson")) {
      fit <- fit_missing(x, q, accelerator = accelerator)
      expect_identical(fit$status, "converged")
      expect_lt(fit$evaluations, 120)
      expect_gt(min(diff(fit$trace_loglik)), -1e-9)
    }
    limit <- fit$parameters  # logarithms need positive uniquenesses
    limit$uniquenesses <- pmax(limit$uniquenesses, 1e-9)
    expect_equal(fit$loglik, sum(dense_loglik(x, limit)), tolerance = 1e-8)
    objective <- dense_objective(x, q)
    near <- fit$parameters
    near$uniquenesses <- pmax(near$uniquenesses, 1e-3)
    start <- as_vector(near)
    start <- start + with_seed(1, stats::rnorm(length(start), sd = 0.02))
    found <- stats::optim(start, function(v) -objective$value(v), function(v) -objective$gradient(v),
                          method = "L-BFGS-B", lower = c(rep(-Inf, 8 + 8 * q), rep(-12, 8)),
                          control = list(maxit = 120, lmm = 20, factr = 1e3))
    expect_gte(fit$loglik, -found$value - 1e-6)
    expect_equal(fit$loglik, -found$value, tolerance = 1e-5)
    expect_lt(max(abs(objective$gradient(as_vector(limit)))), 1e-4)
  }
})

test_that("EM with missing cells and EM with missing factors reach the same maxima", {
  # What is missing data depends on the sum of the weights.
  light <- function(x, q, ...) {
    fit <- fit_missing(x, q, weights = rep(0.01, nrow(x)), ...)
    fit$loglik <- 100 * fit$loglik
    fit$trace_loglik <- 100 * fit$trace_loglik
    fit
  }
  cases <- list(list(simulate_factors(300, 6, 2, 0.15, 21), 2, "fa"), list(with_holes(mtcars, 0.15, 1), 2, "fa"),
                list(with_holes(swiss, 0.1, 4), 1, "fa"), list(with_holes(iris[, 1:4], 0.2, 3), 2, "ppca"),
                # patterns of many rows
                list(rbind(as.matrix(iris[, 1:4]), cbind(as.matrix(iris[, 1:3]), NA)), 1, "fa"))
  for (case in cases) {
    cells <- fit_missing(case[[1]], case[[2]], type = case[[3]])
    factors <- light(case[[1]], case[[2]], type = case[[3]])
    expect_equal(cells$loglik, factors$loglik, tolerance = 1e-9)
    expect_equal(fa_covariance(cells$parameters), fa_covariance(factors$parameters), tolerance = 1e-5)
    expect_lte(cells$evaluations, factors$evaluations)
    expect_gt(min(diff(factors$trace_loglik)), -1e-9)
  }
  # Zero uniquenesses
  x <- with_holes(swiss, 0.1, 4)
  cells <- fit_missing(x, 2, starts = random_starts(20))
  factors <- light(x, 2, starts = random_starts(20))
  expect_identical(factors$heywood, cells$heywood)
  expect_equal(factors$loglik, cells$loglik, tolerance = 1e-8)
})

test_that("one factor agrees with lavaan's full-information maximum likelihood", {
  skip_if_not_installed("lavaan")
  x <- simulate_factors(150, 5, 1, 0.2, 11, sd = 0.9)
  colnames(x) <- paste0("x", 1:5)
  peer <- lavaan::cfa("f =~ x1 + x2 + x3 + x4 + x5", as.data.frame(x), missing = "ml", std.lv = TRUE)
  fit <- fit_missing(x, 1)
  expect_equal(fit$loglik, lavaan::fitMeasures(peer, "logl")[[1]], tolerance = 1e-8)
  estimate <- lavaan::lavInspect(peer, "est")
  expect_equal(abs(fit$parameters$loadings), abs(estimate$lambda), tolerance = 1e-4, ignore_attr = TRUE)
  expect_equal(fit$parameters$uniquenesses, diag(estimate$theta), tolerance = 1e-4, ignore_attr = TRUE)
  expect_equal(fit$parameters$mean, estimate$nu[, 1], tolerance = 1e-4, ignore_attr = TRUE)
})

test_that("common uniquenesses have Tipping and Bishop's closed form where nothing is missing", {
  fit <- fit_missing(iris[, 1:4], 2, type = "ppca")
  values <- eigen(cov(iris[, 1:4]) * 149 / 150)$values
  expect_equal(fit$parameters$uniquenesses, rep(mean(values[3:4]), 4), tolerance = 1e-7)
  expect_equal(eigen(fa_covariance(fit$parameters))$values, c(values[1:2], rep(mean(values[3:4]), 2)),
               tolerance = 1e-7)
  x <- with_holes(iris[, 1:4], 0.2, 3)
  fit <- fit_missing(x, 2, type = "ppca")
  expect_equal(fit$loglik, sum(dense_loglik(x, fit$parameters)), tolerance = 1e-11)
  expect_identical(length(unique(fit$parameters$uniquenesses)), 1L)
  expect_gt(min(diff(fit$trace_loglik)), -1e-10)
  for (factor in c(0.99, 1.01)) {
    moved <- fit$parameters
    moved$uniquenesses <- moved$uniquenesses * factor
    expect_lt(sum(dense_loglik(x, moved)), fit$loglik)
  }
})

test_that("the order of rows and variables, units and origins do not matter", {
  x <- simulate_factors(300, 6, 2, 0.15, 21)
  fit <- fit_missing(x, 2)
  rows <- with_seed(1, sample(300))
  columns <- c(3, 1, 6, 2, 5, 4)
  moved <- fit_missing(x[rows, columns], 2)
  expect_equal(moved$loglik, fit$loglik, tolerance = 1e-11)
  expect_equal(fa_covariance(moved$parameters), fa_covariance(fit$parameters)[columns, columns], tolerance = 1e-7)
  scale <- 10^c(-6, 4, 0, 2, -3, 8)
  other <- fit_missing(sweep(x * rep(scale, each = 300), 2, 1e3 * scale, "+"), 2)
  expect_equal(other$loglik + sum(log(scale) * colSums(!is.na(x))), fit$loglik, tolerance = 1e-10)
  expect_equal(other$parameters$loadings / scale, fit$parameters$loadings, tolerance = 1e-6)
})

test_that("integer weights count rows, and reduced patterns count as their rows do", {
  x <- simulate_factors(90, 5, 2, 0.2, 31)
  weights <- rep_len(c(1, 2, 0, 3), 90)
  weighted <- fit_missing(x, 2, weights = weights)
  repeated <- fit_missing(x[rep(1:90, weights), ], 2)
  expect_equal(weighted$loglik, repeated$loglik, tolerance = 1e-11)
  expect_equal(weighted$parameters$loadings, repeated$parameters$loadings, tolerance = 1e-7)
  # Twenty copies of every row, each a twentieth: every pattern has more rows than variables.
  reduced <- fit_missing(x[rep(1:90, 20), ], 2, weights = rep(weights, 20) / 20)
  expect_equal(reduced$loglik, weighted$loglik, tolerance = 1e-11)
  expect_equal(reduced$parameters, weighted$parameters, tolerance = 1e-7)
})

test_that("reduced patterns and rows agree where a uniqueness is 0", {
  x <- with_holes(swiss, 0.1, 4)
  fit <- fit_missing(x, 2, starts = random_starts(20))
  reduced <- fit_missing(x[rep(seq_len(47), 10), ], 2, weights = rep(0.1, 470), starts = random_starts(20))
  expect_identical(reduced$heywood, fit$heywood)
  expect_equal(reduced$loglik, fit$loglik, tolerance = 1e-10)
})

test_that("results do not depend on the number of threads", {
  x <- simulate_factors(3000, 12, 2, 0.1, 41)
  x[1:600, 1:3] <- NA
  expect_identical(fit_missing(x, 2, threads = 2), fit_missing(x, 2))
  small <- simulate_factors(50, 6, 1, 0.1, 42)
  expect_identical(fit_missing(small, 1, starts = random_starts(4), threads = 2),
                   fit_missing(small, 1, starts = random_starts(4)))
})

test_that("more variables than rows, and rows without any value", {
  x <- simulate_factors(30, 60, 1, 0.2, 51)
  fit <- fit_missing(x, 1)
  expect_identical(fit$status, "converged")
  expect_equal(fit$loglik, sum(dense_loglik(x, fit$parameters)), tolerance = 1e-11)
  empty <- fit_missing(rbind(NA, x, NA), 1)
  expect_equal(empty$loglik, fit$loglik, tolerance = 1e-12)
  expect_equal(empty$parameters, fit$parameters, tolerance = 1e-9)
})

test_that("a run begins at the start it is given", {
  x <- simulate_factors(40, 4, 1, 0.2, 61)
  start <- list(mean = c(1, 2, 3, 4), loadings = matrix(c(0.5, -0.2, 0.4, 1), 4), uniquenesses = c(1, 2, 0.5, 1))
  at <- fit_missing(x, 1, starts = list(c(list(method = "given"), start)), max_iter = 0L)
  expect_equal(at$loglik, sum(dense_loglik(x, start)), tolerance = 1e-12)
  expect_equal(abs(at$parameters$loadings), abs(start$loadings), tolerance = 1e-12)
  expect_identical(at$starts$method, "given")
})

test_that("variables without variance or values end in a status, not in numbers", {
  x <- simulate_factors(40, 4, 1, 0.2, 61)
  never <- fit_missing(cbind(x, NA), 1)
  expect_identical(never$status, "degenerate")
  expect_identical(never$degenerate_component, 5L)
  expect_identical(fit_missing(cbind(7, x), 1)$status, "degenerate")
  # With two observed cells a factor and the mean leave nothing of a variable. With fewer rows a bound ends it.
  few <- cbind(x, c(1, 2, rep(NA, 38)))
  fit <- fit_missing(few, 2)
  expect_identical(fit$status, "degenerate")
  expect_identical(fit$degenerate_component, 5L)
  expect_gt(min(diff(fit$trace_loglik)), -1e-8)
  bounded <- fit_missing(few, 2, weights = rep(0.1, 40))
  expect_true(all(is.finite(unlist(bounded$parameters))))
  expect_true(5L %in% bounded$heywood)
  # More uniquenesses go to 0 than there are factors.
  sparse <- fit_missing(simulate_factors(24, 8, 2, 0.5, 1), 4)
  expect_identical(sparse$status, "degenerate")
  expect_lt(sparse$evaluations, 300)
  expect_gt(min(diff(sparse$trace_loglik)), -1e-8)
})

second_differences <- function(f, at, h) {
  k <- length(at)
  step <- diag(h)
  out <- matrix(0, k, k)
  for (i in seq_len(k)) for (j in seq_len(i)) {
    a <- step[, i]
    b <- step[, j]
    out[i, j] <- out[j, i] <- (f(at + a + b) - f(at + a - b) - f(at - a + b) + f(at - a - b)) / (4 * h[i] * h[j])
  }
  out
}

test_that("the observed information is minus the second derivative of the log-likelihood", {
  x <- simulate_factors(50, 4, 2, 0.2, 71, sd = 1)
  weights <- rep_len(c(1, 2.5), 50)
  for (type in c("fa", "ppca")) {
    fit <- fit_missing(x, if (type == "fa") 1 else 2, type = type, weights = weights)
    q <- ncol(fit$parameters$loadings)
    information <- emkit:::fa_missing_information_(x, weights, fit$parameters, type, 1L)
    at <- as_vector(fit$parameters, type == "ppca")
    numeric <- -second_differences(function(v) sum(weights * dense_loglik(x, as_parameters(v, 4, q))), at,
                                   1e-3 * (abs(at) + 0.1))
    expect_equal(information, numeric, tolerance = 1e-5)
    expect_identical(emkit:::fa_missing_information_(x, weights, fit$parameters, type, 2L), information)
  }
  # In other units.
  fit <- fit_missing(x, 1)
  scale <- c(100, 0.01, 1, 5)
  moved <- list(mean = fit$parameters$mean * scale, loadings = fit$parameters$loadings * scale,
                uniquenesses = fit$parameters$uniquenesses * scale^2)
  unit <- 1 / c(scale, scale, rep(1, 4))
  expect_equal(
    emkit:::fa_missing_information_(x * rep(scale, each = 50), NULL, moved, "fa", 1L),
    emkit:::fa_missing_information_(x, NULL, fit$parameters, "fa", 1L) * outer(unit, unit), tolerance = 1e-5
  )
})

test_that("a uniqueness of 0 is no parameter of the information", {
  x <- as.matrix(swiss)
  fit <- fit_missing(x, 2)
  information <- emkit:::fa_missing_information_(x, NULL, fit$parameters, "fa", 1L)
  expect_true(all(is.finite(information)))
  expect_identical(range(information[19, ], information[, 19]), c(0, 0))
  # The mean of all variables has information n Sigma^-1.
  expect_equal(information[1:6, 1:6], 47 * solve(fa_covariance(fit$parameters)), tolerance = 1e-4)
})

test_that("scores, imputations and densities of rows are those of dense formulas", {
  x <- rbind(simulate_factors(30, 6, 2, 0.3, 81, sd = 1), NA, c(1, rep(NA, 5)))
  parameters <- list(mean = 1:6 + 0.1, loadings = matrix(c(1, -0.4, 0.5, 2, 0.3, 1, 0.2, 1, -1, 0.5, 0.7, -1.5), 6),
                     uniquenesses = c(1, 1e-4, 0.2, 0.7, 2, 0.05))
  rows <- emkit:::fa_rows_(x, parameters, TRUE, 1L)
  sigma <- fa_covariance(parameters)
  for (i in seq_len(nrow(x))) {
    o <- which(!is.na(x[i, ]))
    l <- parameters$loadings[o, , drop = FALSE]
    z <- x[i, o] - parameters$mean[o]
    f <- if (length(o)) drop(crossprod(l, solve(sigma[o, o, drop = FALSE], z))) else c(0, 0)
    expect_equal(rows$regression[i, ], f, tolerance = 1e-9)
    if (length(o) >= 2) {
      precision <- diag(1 / parameters$uniquenesses[o])
      expect_equal(rows$bartlett[i, ], drop(solve(t(l) %*% precision %*% l, t(l) %*% precision %*% z)),
                   tolerance = 1e-8)
    } else {
      expect_identical(rows$bartlett[i, ], c(NA_real_, NA_real_))
    }
    filled <- x[i, ]
    filled[is.na(filled)] <- (parameters$mean + parameters$loadings %*% f)[is.na(filled)]
    expect_equal(rows$imputed[i, ], filled, tolerance = 1e-9)
  }
  expect_equal(rows$loglik, dense_loglik(x, parameters), tolerance = 1e-9)
  expect_identical(emkit:::fa_rows_(x[rep(1:32, 60), ], parameters, TRUE, 2L),
                   emkit:::fa_rows_(x[rep(1:32, 60), ], parameters, TRUE, 1L))
})

test_that("scores exist where uniquenesses are 0", {
  x <- simulate_factors(20, 5, 2, 0.2, 91, sd = 1)
  for (zero in list(1, c(1, 4), c(1, 2, 4))) {
    parameters <- list(mean = rep(0, 5), loadings = matrix(c(1, 2, 0.5, -1, 1, 0.3, 1, -1, 1, 0.2), 5),
                       uniquenesses = replace(rep(0.5, 5), zero, 0))
    rows <- emkit:::fa_rows_(x, parameters, TRUE, 1L)
    expect_false(anyNA(rows$regression))
    expect_false(anyNA(rows$imputed))
    expect_true(all(is.finite(rows$loglik)))
    if (length(zero) > 2) next
    close <- parameters
    close$uniquenesses[zero] <- 1e-7
    near <- emkit:::fa_rows_(x, close, TRUE, 1L)
    for (what in c("regression", "bartlett", "imputed")) expect_equal(rows[[what]], near[[what]], tolerance = 1e-5)
    expect_equal(rows$loglik, dense_loglik(x, close), tolerance = 1e-4)
  }
})
