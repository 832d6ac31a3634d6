# Standard errors against numeric second derivatives of a plain-R log-likelihood in a parametrisation
# that shares nothing with the package's chart: log-ratios, log volumes, log shapes, and Cayley rotations.

# Orthogonal matrix of a vector of d (d - 1) / 2 numbers, the identity at 0.
cayley <- function(v, d) {
  A <- matrix(0, d, d)
  A[lower.tri(A)] <- v
  A <- A - t(A)
  solve(diag(d) + A, diag(d) - A)
}

# Free parametrisation of the covariances of a structure about given ones: list(start, map), map(psi) = d x d x K.
free_covariances <- function(code, covariances) {
  d <- dim(covariances)[1]
  K <- dim(covariances)[3]
  if (is_factor_code(code)) {
    chart <- factor_coordinates(code, one_factor_of(covariances))
    return(list(start = numeric(chart$n), map = chart$map))
  }
  letters <- strsplit(code, "")[[1]]
  if (d == 1) letters <- c(letters[1], "I", "I")
  each <- lapply(seq_len(K), function(k) matrix(covariances[, , k], d))
  volume <- vapply(each, function(S) det(S)^(1 / d), 0)
  axes <- switch(letters[3],
    I = rep(list(diag(d)), K),
    V = lapply(each, function(S) eigen(S, symmetric = TRUE)$vectors),
    E = {
      mix <- Reduce(`+`, Map(function(S, v, k) S / v * (1 + k), each, volume, seq_len(K)))
      rep(list(eigen(mix, symmetric = TRUE)$vectors), K)
    })
  shape <- Map(function(S, D, v) colSums(D * (S %*% D)) / v, each, axes, volume)
  owners <- function(letter) if (letter == "I") integer() else if (letter == "E") 1L else seq_len(K)
  n_shape <- d - 1
  n_turn <- d * (d - 1) / 2
  volume_of <- owners(letters[1])
  shape_of <- owners(letters[2])
  turn_of <- owners(letters[3])
  start <- c(log(volume[volume_of]), unlist(lapply(shape_of, function(k) log(shape[[k]][-d]))),
             rep(0, n_turn * length(turn_of)))
  piece <- function(psi, from, size, letter, k) {
    if (letter == "I" || size == 0) return(numeric())
    psi[from + (if (letter == "E") 0 else (k - 1) * size) + seq_len(size)]
  }
  map <- function(psi) {
    out <- array(0, c(d, d, K))
    for (k in seq_len(K)) {
      v <- piece(psi, 0, 1, letters[1], k)
      a <- piece(psi, length(volume_of), n_shape, letters[2], k)
      a <- if (length(a)) c(a, -sum(a)) else rep(0, d)
      turn <- piece(psi, length(volume_of) + n_shape * length(shape_of), n_turn, letters[3], k)
      D <- if (length(turn)) axes[[k]] %*% cayley(turn, d) else axes[[k]]
      out[, , k] <- D %*% (exp(v + a) * t(D))
    }
    out
  }
  list(start = start, map = map)
}

# Free parametrisation of a whole fit: list(start, unpack); `free`: components with free mean, covariance.
free_parameters <- function(fit, free_mean = NULL, free_covariance = TRUE) {
  p <- fit$parameters
  K <- ncol(p$means)
  if (is.null(free_mean)) free_mean <- rep(TRUE, K)
  classes <- length(p$proportions)
  n_proportions <- if (fit$equal_proportions) classes - K else classes - 1
  chart <- free_covariances(fit$covariance, p$covariances)
  n_means <- nrow(p$means) * sum(free_mean)
  start <- c(
    if (n_proportions > 0 && fit$equal_proportions) stats::qlogis(p$proportions[[classes]]),
    if (n_proportions > 0 && !fit$equal_proportions) log(p$proportions[-1] / p$proportions[[1]]),
    p$means[, free_mean], if (free_covariance) chart$start
  )
  unpack <- function(psi) {
    q <- p
    if (n_proportions > 0 && fit$equal_proportions) {
      noise <- stats::plogis(psi[1])
      q$proportions[] <- c(rep((1 - noise) / K, K), noise)
    } else if (n_proportions > 0) {
      e <- exp(c(0, psi[seq_len(n_proportions)]))
      q$proportions[] <- e / sum(e)
    }
    if (n_means) q$means[, free_mean] <- psi[n_proportions + seq_len(n_means)]
    if (free_covariance) q$covariances[] <- chart$map(psi[-seq_len(n_proportions + n_means)])
    q
  }
  list(start = unname(start), unpack = unpack)
}

# Coefficients in the order of coef().
flat <- function(p) {
  lower <- lower.tri(diag(nrow(p$means)), diag = TRUE)
  c(p$proportions, p$means, apply(p$covariances, 3, function(S) matrix(S, nrow(p$means))[lower]))
}

# Second derivatives by central differences with one Richardson step, in steps of `scale`.
numeric_hessian <- function(f, at, scale, h = 0.02) {
  n <- length(at)
  one <- function(h) {
    H <- matrix(0, n, n)
    middle <- f(at)
    step <- function(i, a, j = i, b = 0) {
      e <- numeric(n)
      e[i] <- a * h
      e[j] <- e[j] + b * h
      f(at + e * scale)
    }
    for (i in seq_len(n)) {
      H[i, i] <- (step(i, 1) - 2 * middle + step(i, -1)) / h^2
      for (j in seq_len(i - 1)) {
        H[i, j] <- H[j, i] <- (step(i, 1, j, 1) - step(i, 1, j, -1) - step(i, -1, j, 1) + step(i, -1, j, -1)) / (4 * h^2)
      }
    }
    H
  }
  ((4 * one(h / 2) - one(h)) / 3) / tcrossprod(scale)
}

numeric_jacobian <- function(f, at, scale, h = 1e-3) {
  vapply(seq_along(at), function(j) {
    e <- replace(numeric(length(at)), j, h * scale[j])
    (8 * (f(at + e) - f(at - e)) - (f(at + 2 * e) - f(at - 2 * e))) / (12 * h * scale[j])
  }, f(at))
}

# oracle_loglik() for complete rows, quicker because nothing is looked up.
complete_loglik <- function(x, p) {
  joint <- vapply(seq_along(p$proportions), function(k) {
    log(p$proportions[[k]]) + oracle_log_dnorm(x, p$means[, k], oracle_covariance(p, k), list(seq_len(nrow(x))))
  }, numeric(nrow(x)))
  sum(log(rowSums(exp(joint))))
}

# Variance of the coefficients by definition: J (-H)^-1 J', and what it is made of.
oracle_variance <- function(fit, prior = NULL, ...) {
  chart <- free_parameters(fit, ...)
  plain <- is.null(fit$weights) && is.null(fit$known) && !fit$noise && !anyNA(fit$data)
  objective <- function(psi) {
    p <- chart$unpack(psi)
    if (plain) return(complete_loglik(fit$data, p) + oracle_log_prior(p, prior, fit$covariance))
    oracle_loglik(fit$data, p, fit$weights, fit$known) + oracle_log_prior(p, prior, fit$covariance)
  }
  middle <- objective(chart$start)
  scale <- vapply(seq_along(chart$start), function(j) {
    e <- replace(numeric(length(chart$start)), j, 1e-3)
    1 / sqrt(max((2 * middle - objective(chart$start + e) - objective(chart$start - e)) * 1e6, 1e-8))
  }, 0)
  H <- numeric_hessian(objective, chart$start, scale)
  J <- numeric_jacobian(function(psi) flat(chart$unpack(psi)), chart$start, scale)
  inverse <- solve(-H)
  list(variance = J %*% inverse %*% t(J), inverse = inverse, J = J, chart = chart, scale = scale)
}

# Largest difference of two variance matrices in units of the standard errors of the second.
variance_difference <- function(a, b) {
  se <- sqrt(diag(b))
  se[se < 1e-10 * max(se)] <- max(se)
  max(abs(a - b) / tcrossprod(se))
}

# A small problem whose components overlap.
small_problem_data <- function(code, d = 3, K = 2, n = if (is_factor_code(code)) 300 else 90) {
  parameters <- random_parameters(code, d, K, seed = 4, spread = 4)
  drawn <- simulate_mixture(n, parameters, seed = 8)
  list(x = drawn$x, label = drawn$label)
}

fit_small <- function(code, ..., d = if (is_factor_code(code)) 4 else 3, K = 2, x = NULL) {
  problem <- small_problem_data(code, d, K)
  em_gmm(if (is.null(x)) problem$x else x, n_components = K, covariance = code, start = problem$label,
         control = tight_control(threads = 1), ...)
}

many <- subset(covariance_registry_(), n_variables == "many")$code

for (code in many) {
  test_that(paste("the observed information of", code, "is the Hessian of its log-likelihood"), {
    fit <- fit_small(code)
    # the oracle's differences are good to about 1e-7
    expect_lt(variance_difference(vcov(fit), oracle_variance(fit)$variance), 1e-5)
  })
}

test_that("the observed information holds for one variable", {
  for (code in c("E", "V")) {
    fit <- fit_small(code, d = 1)
    expect_lt(variance_difference(vcov(fit), oracle_variance(fit)$variance), 1e-5)
  }
})

test_that("the observed information holds with missing values and weights", {
  for (code in if (extended_tests()) many else "VVE") {
    complete <- small_problem_data(code, d = if (is_factor_code(code)) 4 else 3)$x
    x <- punch_holes(complete, 0.15, all_missing_rows = 7, seed = 2)
    fit <- fit_small(code, x = x, weights = 0.5 + (seq_len(nrow(x)) %% 4))
    expect_lt(variance_difference(vcov(fit), oracle_variance(fit)$variance), 1e-5)
  }
})

test_that("the observed information holds with noise, and with equal proportions", {
  drawn <- small_problem_data("VVV")
  outliers <- with_seed(1, apply(drawn$x, 2, function(v) stats::runif(15, min(v) - 3, max(v) + 3)))
  x <- rbind(drawn$x, outliers)
  start <- c(drawn$label, rep(0, 15))
  for (equal in c(FALSE, TRUE)) {
    fit <- em_gmm(x, n_components = 2, covariance = "VII", noise = TRUE, start = start, equal_proportions = equal,
                  control = tight_control(threads = 1))
    expect_gt(fit$parameters$proportions[["noise"]], 0.05)
    variance <- vcov(fit)
    expect_lt(variance_difference(variance, oracle_variance(fit)$variance), 1e-5)
  }
  no_noise <- fit_small("EEE", equal_proportions = TRUE)
  variance <- vcov(no_noise)
  expect_lt(variance_difference(variance, oracle_variance(no_noise)$variance), 1e-5)
  expect_equal(unname(diag(variance)[1:2]), c(0, 0))
})

test_that("the observed information holds with known labels", {
  drawn <- small_problem_data("EEV")
  known <- ifelse(seq_len(90) %% 4 == 0, drawn$label, NA)
  fit <- fit_small("EEV", known = known)
  expect_lt(variance_difference(vcov(fit), oracle_variance(fit)$variance), 1e-5)
})

test_that("a prior's curvature is part of the information", {
  for (code in c("EEE", "VEI")) {
    fit <- fit_small(code, prior = em_gmm_prior(shrinkage = 2, df = 12))
    prior <- fit$prior
    prior$scale <- prior$scale * fit$n_components^(-2 / 3)
    expect_lt(variance_difference(vcov(fit), oracle_variance(fit, prior)$variance), 1e-5)
  }
})

test_that("fixed parameters have variance 0 and the others are right given them", {
  drawn <- small_problem_data("VVV")
  fixed_mean <- cbind(colMeans(drawn$x[drawn$label == 1, ]), NA)
  fit <- fit_small("VVV", fixed = list(means = fixed_mean))
  variance <- vcov(fit)
  expect_lt(variance_difference(variance, oracle_variance(fit, free_mean = c(FALSE, TRUE))$variance), 1e-5)
  expect_equal(unname(diag(variance)[c("mean[v1,1]", "mean[v3,1]")]), c(0, 0))
  held <- fit_small("VVV")$parameters$covariances
  fit <- fit_small("VVV", fixed = list(covariances = held))
  expect_lt(variance_difference(vcov(fit), oracle_variance(fit, free_covariance = FALSE)$variance), 1e-5)
  fit <- fit_small("VVV", fixed = list(proportions = c(0.6, 0.4)))
  expect_equal(unname(diag(vcov(fit))[1:2]), c(0, 0))
  expect_equal(parameter_map_rank(fit), fit$df)
  p <- fit$parameters
  fit <- fit_small("VVV", fixed = p[c("proportions", "means", "covariances")])
  expect_equal(fit$df, 0)
  expect_equal(parameter_map_rank(fit), 0)
  expect_true(all(vcov(fit) == 0))
})

test_that("one normal distribution has the textbook variances", {
  x <- data_faithful()
  fit <- em_gmm(x, n_components = 1, covariance = "VVV")
  S <- stats::cov(x) * (nrow(x) - 1) / nrow(x)
  variance <- vcov(fit) * nrow(x)
  expect_equal(unname(variance[2:3, 2:3]), unname(S), tolerance = 1e-7)
  # cov(s_ij, s_kl) = (s_ik s_jl + s_il s_jk) / n for the elements 11, 21, 22
  index <- rbind(c(1, 1), c(2, 1), c(2, 2))
  wishart <- outer(1:3, 1:3, Vectorize(function(a, b) {
    i <- index[a, 1]; j <- index[a, 2]; k <- index[b, 1]; l <- index[b, 2]
    S[i, k] * S[j, l] + S[i, l] * S[j, k]
  }))
  expect_equal(unname(variance[4:6, 4:6]), wishart, tolerance = 1e-7)
  expect_equal(unname(variance[2:3, 4:6]), matrix(0, 2, 3), tolerance = 1e-6)
  expect_equal(unname(variance[1, 1]), 0)
})

test_that("the sandwich is made of the rows' own gradients", {
  x <- punch_holes(small_problem_data("VEE")$x, 0.1, all_missing_rows = 3, seed = 5)
  fit <- fit_small("VEE", x = x, weights = 1 + (seq_len(90) %% 3))
  oracle <- oracle_variance(fit)
  gradients <- numeric_jacobian(function(psi) {
    oracle_log_sum_exp(oracle_joint(fit$data, oracle$chart$unpack(psi)))
  }, oracle$chart$start, oracle$scale)
  by_definition <- function(w) {
    half <- oracle$J %*% oracle$inverse
    half %*% crossprod(gradients * w) %*% t(half)
  }
  expect_lt(variance_difference(vcov(fit, "sandwich"), by_definition(fit$weights)), 1e-5)
  expect_lt(variance_difference(vcov(fit, "sandwich", weight_type = "frequency"),
                                by_definition(sqrt(fit$weights))), 1e-5)
})

test_that("integer weights give the variance of replicated rows", {
  drawn <- small_problem_data("EVV")
  w <- 1 + (seq_len(90) %% 3)
  rows <- rep(seq_len(90), w)
  weighted <- fit_small("EVV", weights = w)
  replicated <- em_gmm(drawn$x[rows, ], n_components = 2, covariance = "EVV", start = drawn$label[rows],
                       control = tight_control())
  expect_equal(vcov(weighted), vcov(replicated), tolerance = 1e-6)
  expect_equal(vcov(weighted, "sandwich", weight_type = "frequency"), vcov(replicated, "sandwich"),
               tolerance = 1e-6)
})

test_that("standard errors follow the units of the data", {
  drawn <- small_problem_data("VVV")
  # one factor for all structures, a factor for each variable where the structure is closed under it
  for (case in list(list("VEV", rep(1e6, 3)), list("VVV", c(1e-7, 1, 1e7)))) {
    units <- case[[2]]
    fit <- em_gmm(drawn$x, n_components = 2, covariance = case[[1]], start = drawn$label, control = tight_control())
    scaled <- em_gmm(sweep(drawn$x, 2, units, `*`), n_components = 2, covariance = case[[1]], start = drawn$label,
                     control = tight_control())
    pairs <- which(lower.tri(diag(3), TRUE), arr.ind = TRUE)
    factor <- c(1, 1, rep(units, 2), rep(units[pairs[, 1]] * units[pairs[, 2]], 2))
    expect_equal(sqrt(diag(vcov(scaled))), sqrt(diag(vcov(fit))) * factor, tolerance = 1e-5)
  }
})

test_that("df is the number of directions in which the parameters move", {
  for (code in many) {
    fit <- fit_small(code, K = 3)
    expect_equal(parameter_map_rank(fit), fit$df)
    expect_equal(ncol(gmm_chart(fit)$jacobian), fit$df)
  }
})

test_that("directions that the data do not identify are named, and the rest is reported", {
  fit <- fit_small("VVV")
  twice <- c(1, 2, 2)
  p <- fit$parameters
  double <- fit
  double$parameters <- list(
    proportions = c("1" = p$proportions[[1]], "2" = p$proportions[[2]] * 0.6, "3" = p$proportions[[2]] * 0.4),
    means = p$means[, twice], covariances = p$covariances[, , twice]
  )
  double$n_components <- 3L
  expect_warning(variance <- vcov(double), class = "em_warning_not_identified")
  lost <- attr(variance, "not_identified")
  expect_setequal(lost, grep("[2]|,2\\]|,3\\]|\\[3\\]", grep("^proportion\\[1\\]|,1\\]$", rownames(variance),
                                                          value = TRUE, invert = TRUE), value = TRUE))
  expect_true(all(is.na(variance[lost, ])))
  kept <- setdiff(rownames(variance), lost)
  expect_true(all(is.finite(variance[kept, kept])))
  expect_equal(variance[kept, kept], vcov(fit)[kept, kept], tolerance = 1e-4)
  suppressWarnings(expect_setequal(rownames(vcov(double, complete = FALSE)), kept))
  expect_output(print(suppressWarnings(summary(double))), "NOT identified")
})

test_that("complete = FALSE leaves the constants of the model out", {
  fit <- fit_small("EEI")
  variance <- vcov(fit, complete = FALSE)
  expect_false(any(grepl("covariance[v2,v1,1]", rownames(variance), fixed = TRUE)))
  expect_true(all(diag(variance) > 0))
  expect_equal(dim(vcov(fit)), rep(length(coef(fit)), 2))
})

test_that("vcov() says what it needs", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE", control = em_control(keep_data = FALSE))
  expect_error(vcov(fit), class = "em_error_no_data")
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
  expect_error(vcov(fit, "bayes"), class = "em_error_argument")
  expect_error(vcov(fit, n_boot = 3), class = "em_error_unused_argument")
})

test_that("Wald intervals are the estimate and its standard errors", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVI")
  se <- sqrt(diag(vcov(fit)))
  z <- stats::qnorm(0.95)
  expect_equal(unname(confint(fit, level = 0.9)), unname(cbind(coef(fit) - z * se, coef(fit) + z * se)))
  expect_equal(dimnames(confint(fit, "proportion[1]")), list("proportion[1]", c("2.5 %", "97.5 %")))
  expect_equal(nrow(confint(fit, 1:3, type = "sandwich")), 3)
  inside <- confint(fit, level = 1 - 1e-12, transform = TRUE)
  expect_true(all(inside[1:2, ] > 0 & inside[1:2, ] < 1))
  expect_true(all(inside[grepl("eruptions,eruptions", rownames(inside)), ] > 0))
  # the delta method: the same half-width on the transformed scale
  p <- coef(fit)[["proportion[1]"]]
  logit <- stats::qlogis(confint(fit, 1, transform = TRUE))
  expect_equal(diff(as.vector(logit)), 2 * stats::qnorm(0.975) * se[[1]] / (p * (1 - p)))
  expect_error(confint(fit, "sigma"), class = "em_error_argument")
  expect_error(confint(fit, level = 95), class = "em_error_argument")
})
