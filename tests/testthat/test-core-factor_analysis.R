# Factor analysis of complete data, through the glue. Oracles: the likelihood by definition, its stationarity
# conditions, factanal(), eigen(), and numeric second derivatives.

fa_control <- function(tol = 1e-12, max_iter = 500L, accelerator = "anderson") {
  list(tol = tol, max_iter = max_iter, accelerator = accelerator, n_short = 15L, n_polish = 5L)
}
ml_covariance <- function(x) stats::cov(x) * (nrow(x) - 1) / nrow(x)
fit_covariance <- function(s, n, q, type = "fa", starts = list(list(method = "default")), ...) {
  data <- list(mean = rep(0, ncol(s)), covariance = s, x = NULL, weights = NULL, n = n)
  fa_complete_(data, q, type, starts, fa_control(...), 1L, NULL)
}
fit_rows <- function(x, q, type = "fa", weights = NULL, threads = 1L, starts = list(list(method = "default")), ...) {
  n <- if (is.null(weights)) nrow(x) else sum(weights)
  data <- list(mean = NULL, covariance = NULL, x = x, weights = weights, n = n)
  fa_complete_(data, q, type, starts, fa_control(...), threads, NULL)
}
random_starts <- function(m) lapply(seq_len(m), function(i) list(method = "random", key = c(11, i)))
model_covariance <- function(parameters) {
  tcrossprod(parameters$loadings) + diag(parameters$uniquenesses)
}
loglik_by_definition <- function(sigma, s, n) {
  -n / 2 * (ncol(s) * log(2 * pi) + as.numeric(determinant(sigma)$modulus) + sum(diag(solve(sigma, s))))
}
# Of log|Sigma| + tr(Sigma^-1 S), by the standardised uniquenesses off the boundary and by the loadings.
score_size <- function(parameters, s) {
  sigma <- model_covariance(parameters)
  g <- solve(sigma, sigma - s) %*% solve(sigma)
  free <- parameters$uniquenesses > 0
  sd <- sqrt(diag(s))
  max(abs((diag(g) * parameters$uniquenesses)[free]), abs(g %*% parameters$loadings * sd))
}
simulate_factors <- function(n, p, q, seed) {
  set.seed(seed)
  loadings <- matrix(rnorm(p * q), p)
  matrix(rnorm(n * q), n) %*% t(loadings) + matrix(rnorm(n * p), n) %*% diag(runif(p, 0.4, 1.2) * sqrt(q))
}
cars <- as.matrix(mtcars)

test_that("the reference optima are reached to 1e-8 within 20 evaluations", {
  cases <- list(
    list(ability.cov$cov, 112, 1, -2059.36648457), list(ability.cov$cov, 112, 2, -2023.40413474),
    list(Harman74.cor$cov, 145, 1, -4444.51213373), list(Harman74.cor$cov, 145, 4, -4232.77923342),
    list(ml_covariance(cars), 32, 2, -615.97044854)
  )
  for (case in cases) {
    fit <- fit_covariance(case[[1]], case[[2]], case[[3]])
    expect_identical(fit$status, "converged")
    expect_lt(abs(fit$loglik - case[[4]]), 2e-8)
    expect_lte(fit$evaluations, 20)
    expect_lt(abs(fit$loglik - loglik_by_definition(model_covariance(fit$parameters), case[[1]], case[[2]])), 1e-8)
  }
})

test_that("uniquenesses and loadings are a stationary point to the last digits", {
  fit <- fit_covariance(ability.cov$cov, 112, 2)
  expect_equal(fit$parameters$uniquenesses / unname(diag(ability.cov$cov)),
               c(.45522416, .58933216, .21817957, .76942146, .05245176, .33358834), tolerance = 5e-8)
  expect_lt(score_size(fit$parameters, ability.cov$cov), 1e-11)
  s <- ml_covariance(cars)
  fit <- fit_covariance(s, 32, 2)
  expect_lt(max(abs(fit$parameters$uniquenesses / diag(s) -
    c(.16715725, .06975054, .09578116, .14285056, .29780937, .16790785, .15001180, .25582658, .17096915, .24567634,
      .38576959))),
    2e-8)
  expect_lt(score_size(fit$parameters, s), 1e-11)
})

test_that("loadings come in the canonical form", {
  fit <- fit_covariance(Harman74.cor$cov, 145, 3)
  m <- crossprod(fit$parameters$loadings / sqrt(fit$parameters$uniquenesses))
  expect_lt(max(abs(m[upper.tri(m)])), 1e-9 * max(m))
  expect_true(all(diff(diag(m)) < 0))
})

test_that("the log-likelihood never falls, from any start and with any accelerator", {
  x <- simulate_factors(25, 9, 2, 5)
  for (accelerator in c("none", "squarem", "anderson")) {
    for (start in random_starts(8)) {
      fit <- fit_rows(x, 4, starts = list(start), accelerator = accelerator)
      expect_identical(fit$status, "converged")
      expect_gt(min(diff(fit$trace_loglik)), -1e-10)
    }
  }
})

test_that("several starts find a higher maximum than the first one, and the table shows each", {
  x <- simulate_factors(12, 8, 1, 3)
  one <- fit_rows(x, 3)
  many <- fit_rows(x, 3, starts = c(list(list(method = "default")), random_starts(20)))
  expect_identical(nrow(many$starts), 21L)
  expect_gte(many$loglik, one$loglik - 1e-9)
  expect_equal(max(many$starts$loglik, na.rm = TRUE), many$loglik)
})

test_that("a uniqueness that vanishes is exactly 0, with the supremum of the likelihood", {
  s <- ml_covariance(as.matrix(swiss))
  near <- list(method = "user", uniquenesses = c(.01, .5, .3, .5, .3, .9) * diag(s))
  fit <- fit_covariance(s, 47, 2, starts = list(near))
  expect_identical(fit$heywood, 1L)
  expect_identical(fit$parameters$uniquenesses[1], 0)
  expect_lt(abs(fit$loglik + 1026.3268), 1e-4)
  # Fertility is a factor: what it leaves of the others has one factor more.
  rest <- s[-1, -1] - tcrossprod(s[-1, 1]) / s[1, 1]
  regular <- factanal(covmat = rest, n.obs = 47, factors = 1, control = list(lower = 1e-6))
  conditional <- regular$criteria[["objective"]] + as.numeric(determinant(rest)$modulus) + 5
  limit <- -47 / 2 * (6 * log(2 * pi) + log(s[1, 1]) + 1 + conditional)
  expect_equal(fit$loglik, limit, tolerance = 1e-9)
  expect_equal(loglik_by_definition(model_covariance(fit$parameters), s, 47), fit$loglik, tolerance = 1e-12)
})

test_that("no lower bound on the uniquenesses of factanal() gives a higher likelihood", {
  s <- ml_covariance(as.matrix(swiss))
  fit <- fit_covariance(s, 47, 2)
  peer <- factanal(covmat = s, n.obs = 47, factors = 2, control = list(lower = 1e-6, nstart = 5))
  criterion <- -2 * fit$loglik / 47 - (6 * log(2 * pi) + as.numeric(determinant(s)$modulus) + 6)
  expect_lt(criterion, peer$criteria[["objective"]])
  expect_gt(criterion, peer$criteria[["objective"]] - 1e-4)
  expect_identical(fit$heywood, 4L)
})

test_that("at a uniqueness of 0 the likelihood falls when it is raised", {
  s <- ml_covariance(as.matrix(swiss))
  fit <- fit_covariance(s, 47, 2)
  psi <- fit$parameters$uniquenesses
  profile <- function(share) {
    psi[4] <- share * s[4, 4]
    a <- eigen(t(s / sqrt(psi)) / sqrt(psi), symmetric = TRUE)$values
    -47 / 2 * (6 * log(2 * pi) + sum(log(psi)) + sum(log(a[1:2]) + 1) + sum(a[3:6]))
  }
  values <- vapply(c(1e-5, 1e-4, 1e-3, 1e-2), profile, 0)
  expect_true(all(diff(c(fit$loglik, values)) < 0))
})

test_that("a uniqueness of 0 is let go where the likelihood rises with it", {
  s <- ability.cov$cov
  for (j in 1:6) {
    psi <- 0.5 * diag(s)
    psi[j] <- 0
    fit <- fit_covariance(s, 112, 2, starts = list(list(method = "user", uniquenesses = psi)))
    expect_length(fit$heywood, 0)
    expect_lt(abs(fit$loglik + 2023.40413474), 2e-8)
  }
  psi[5] <- 0
  fit <- fit_covariance(s, 112, 2, starts = list(list(method = "user", uniquenesses = psi)))
  expect_lt(abs(fit$loglik + 2023.40413474), 2e-8)
})

test_that("five variables with two factors end at a finite likelihood that its definition confirms", {
  for (seed in 1:10) {
    x <- simulate_factors(15, 5, 2, seed)
    fit <- fit_rows(x, 2)
    expect_identical(fit$status, "converged")
    expect_true(all(is.finite(unlist(fit$parameters))))
    by_definition <- loglik_by_definition(model_covariance(fit$parameters), ml_covariance(x), 15)
    expect_equal(fit$loglik, by_definition, tolerance = 1e-10)
  }
})

test_that("an exact dependence that makes the likelihood unbounded is a degenerate status that names the variable", {
  s <- ml_covariance(cbind(as.matrix(swiss), 2 * swiss$Agriculture + 1))
  fit <- fit_covariance(s, 47, 2)
  expect_identical(fit$status, "degenerate")
  expect_identical(fit$degeneracy, "singular")
  expect_true(fit$degenerate_component %in% c(2, 7))
  few <- fit_rows(simulate_factors(3, 6, 1, 1), 2)
  expect_identical(few$status, "degenerate")
})

test_that("a dependence among more variables than factors leaves the likelihood bounded", {
  s <- ml_covariance(cbind(as.matrix(swiss), swiss$Agriculture + swiss$Examination))
  fit <- fit_covariance(s, 47, 1)
  expect_identical(fit$status, "converged")
  expect_true(is.na(fit$log_det_saturated))
  expect_lt(score_size(fit$parameters, s), 1e-9)
})

test_that("more variables than rows work, with S and with the rows alone", {
  for (p in c(40, 300)) {
    x <- simulate_factors(25, p, 2, p)
    s <- ml_covariance(x)
    fit <- fit_rows(x, 2)
    expect_identical(fit$status, "converged")
    expect_equal(fit$loglik, loglik_by_definition(model_covariance(fit$parameters), s, 25), tolerance = 1e-11)
    expect_lt(score_size(fit$parameters, s), 1e-4)
  }
})

test_that("many variables reach the same optimum from rows and from S", {
  x <- simulate_factors(60, 120, 3, 8)
  rows <- fit_rows(x, 3)
  matrix <- fit_covariance(ml_covariance(x), 60, 3)
  expect_equal(rows$loglik, matrix$loglik, tolerance = 1e-11)
  expect_equal(rows$parameters$uniquenesses, matrix$parameters$uniquenesses, tolerance = 1e-6)
  expect_equal(rows$parameters$mean, colMeans(x))
})

test_that("1 and 4 threads give the same bits", {
  x <- simulate_factors(150, 400, 3, 9)
  expect_identical(fit_rows(x, 3, threads = 1L), fit_rows(x, 3, threads = 4L))
  starts <- c(list(list(method = "default")), random_starts(7))
  expect_identical(fit_rows(cars, 3, threads = 1L, starts = starts), fit_rows(cars, 3, threads = 4L, starts = starts))
})

test_that("integer weights are replicated rows", {
  weights <- rep(c(1, 3, 2, 0), 8)
  weighted <- fit_rows(cars, 2, weights = weights)
  replicated <- fit_rows(cars[rep(1:32, weights), ], 2)
  expect_equal(weighted$loglik, replicated$loglik, tolerance = 1e-10)
  expect_equal(weighted$parameters, replicated$parameters, tolerance = 1e-7)
})

test_that("units change the parameters as they must and nothing else", {
  unit <- 10^seq(-5, 5)
  fit <- fit_rows(cars, 2)
  other <- fit_rows(cars %*% diag(unit), 2)
  expect_equal(other$parameters$uniquenesses, fit$parameters$uniquenesses * unit^2, tolerance = 1e-8)
  expect_equal(other$loglik, fit$loglik - 32 * sum(log(unit)), tolerance = 1e-10)
})

test_that("no iterations evaluate the start", {
  psi <- seq(0.2, 0.7, 0.1) * diag(ability.cov$cov)
  start <- list(method = "user", uniquenesses = psi)
  fit <- fit_covariance(ability.cov$cov, 112, 2, max_iter = 0L, starts = list(start))
  expect_identical(fit$iterations, 0L)
  expect_equal(fit$parameters$uniquenesses, unname(psi))
  by_definition <- loglik_by_definition(model_covariance(fit$parameters), ability.cov$cov, 112)
  expect_equal(fit$loglik, by_definition, tolerance = 1e-12)
})

test_that("probabilistic principal components have the closed form of Tipping and Bishop", {
  s <- ml_covariance(cars)
  fit <- fit_rows(cars, 3, type = "ppca")
  e <- eigen(s, symmetric = TRUE)
  s2 <- mean(e$values[-(1:3)])
  sigma <- e$vectors[, 1:3] %*% diag(e$values[1:3] - s2) %*% t(e$vectors[, 1:3]) + s2 * diag(11)
  expect_equal(fit$parameters$uniquenesses, rep(s2, 11), tolerance = 1e-10)
  expect_equal(model_covariance(fit$parameters), unname(sigma), tolerance = 1e-10)
  expect_equal(fit$loglik, loglik_by_definition(sigma, s, 32), tolerance = 1e-12)
  x <- simulate_factors(30, 200, 2, 4)
  expect_equal(fit_rows(x, 2, type = "ppca")$parameters$uniquenesses[1],
               sum(eigen(ml_covariance(x), symmetric = TRUE)$values[-(1:2)]) / 198, tolerance = 1e-9)
})

test_that("the information is minus the second derivative of the log-likelihood", {
  x <- simulate_factors(50, 5, 2, 12)
  n <- 50
  p <- 5
  set.seed(1)
  parameters <- list(mean = colMeans(x) + 0.3 * rnorm(p), loadings = matrix(rnorm(2 * p), p),
                     uniquenesses = runif(p, 0.5, 2))
  loglik <- function(theta) {
    at <- list(loadings = matrix(theta[p + seq_len(2 * p)], p),
               uniquenesses = rep_len(exp(theta[-seq_len(3 * p)]), p))
    shift <- colMeans(x) - theta[seq_len(p)]
    loglik_by_definition(model_covariance(at), ml_covariance(x) + tcrossprod(shift), n)
  }
  # Central second differences, improved by Richardson's extrapolation: about 1e-7 of the largest element.
  second <- function(theta, i, j, h) {
    a <- b <- numeric(length(theta))
    a[i] <- h
    b[j] <- h
    (loglik(theta + a + b) - loglik(theta + a - b) - loglik(theta - a + b) + loglik(theta - a - b)) / (4 * h^2)
  }
  compare_information <- function(theta, information) {
    size <- length(theta)
    numeric <- matrix(0, size, size)
    for (i in seq_len(size)) for (j in seq_len(i)) {
      numeric[i, j] <- numeric[j, i] <- -(4 * second(theta, i, j, 2e-3) - second(theta, i, j, 4e-3)) / 3
    }
    expect_lt(max(abs(information - numeric)), 1e-6 * max(abs(numeric)))
  }
  data <- list(mean = colMeans(x), covariance = ml_covariance(x), x = NULL, weights = NULL, n = n)
  theta <- c(parameters$mean, parameters$loadings, log(parameters$uniquenesses))
  information <- fa_information_(data, parameters, "fa", 1L)
  compare_information(theta, information)
  of_rows <- fa_information_(list(x = x, weights = NULL, n = n), parameters, "fa", 1L)
  expect_equal(of_rows, information, tolerance = 1e-10)
  parameters$uniquenesses <- rep(1.3, p)
  compare_information(c(theta[seq_len(3 * p)], log(1.3)), fa_information_(data, parameters, "ppca", 1L))
})
