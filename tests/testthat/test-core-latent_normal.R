# The latent normal model for mixed data: fit, log-likelihood, imputations, new rows.

no_mass <- function(x) matrix(NA_real_, ncol(x), 2)

fit_latent <- function(x, kind, levels, mass = no_mass(x), weights = NULL, prior = NULL, control = list(),
                       key = c(1, 2), threads = 1) {
  latent_fit_(x, kind, as.integer(levels), mass, weights, prior, control, key, threads, NULL)
}

impute_latent <- function(x, kind, levels, fit, m = 5, method = "posterior", mass = no_mass(x), weights = NULL,
                          first = 0, n_sweeps = 50, lower = rep(-Inf, ncol(x)), upper = rep(Inf, ncol(x)),
                          key = c(1, 2), threads = 1) {
  latent_impute_(x, kind, as.integer(levels), mass, weights, fit, method, m, first, n_sweeps, lower, upper, key,
                 threads, NULL)
}

rows_latent <- function(x, kind, levels, fit, what, n_draws = 1, mass = no_mass(x), key = c(1, 2), threads = 1) {
  latent_rows_(x, kind, as.integer(levels), mass, fit, what, n_draws, key, threads)
}

# Columns of every kind with a common cause, and holes.
mixed_data <- function(n, seed = 1, missing = 0.15) {
  with_seed(seed, {
    z <- matrix(stats::rnorm(n * 7), n) + 0.8 * stats::rnorm(n)
    x <- cbind(10 + 3 * z[, 1], 1 + (z[, 2] > 0.4), findInterval(z[, 3], c(-0.5, 0.8)) + 1,
               findInterval(z[, 4], c(-1, -0.3, 0.3, 1.2)) + 1, max.col(cbind(0, z[, 5:6])),
               ifelse(z[, 7] < 0, -Inf, z[, 7]))
    x[stats::runif(length(x)) < missing] <- NA
    x
  })
}
mixed_kind <- c("continuous", "ordinal", "ordinal", "ordinal", "nominal", "censored")
mixed_levels <- c(0, 2, 3, 5, 3, 0)
mixed_mass <- rbind(NA, NA, NA, NA, NA, c(0, NA))

# P(cell) of a bivariate normal with unit variances by integrating out the first coordinate.
bivariate_cell <- function(rho, a, b) {
  s <- sqrt(1 - rho^2)
  inside <- function(u) stats::pnorm((b[2] - rho * u) / s) - stats::pnorm((b[1] - rho * u) / s)
  stats::integrate(function(u) stats::dnorm(u) * inside(u), max(a[1], -9), min(a[2], 9), rel.tol = 1e-9)$value
}

polychoric_loglik <- function(rho, t1, t2, counts) {
  a <- c(-Inf, t1, Inf)
  b <- c(-Inf, t2, Inf)
  sum(vapply(seq_len(nrow(counts)), function(i) {
    sum(vapply(seq_len(ncol(counts)), function(j) {
      counts[i, j] * log(max(bivariate_cell(rho, a[i + 0:1], b[j + 0:1]), 1e-300))
    }, 0))
  }, 0))
}

test_that("two ordinal columns: the fit is the polychoric maximum likelihood, by brute force", {
  for (case in list(list(t1 = c(-0.4, 0.9), t2 = c(-0.8, 0, 0.6), rho = 0.6), list(t1 = 0.3, t2 = -0.7, rho = -0.5))) {
    n <- 1500
    x <- with_seed(4, {
      z <- matrix(stats::rnorm(2 * n), n)
      z[, 2] <- case$rho * z[, 1] + sqrt(1 - case$rho^2) * z[, 2]
      cbind(findInterval(z[, 1], case$t1) + 1, findInterval(z[, 2], case$t2) + 1)
    })
    counts <- unclass(table(x[, 1], x[, 2]))
    # Thresholds rise: the first, and the logarithms of the steps.
    rising <- function(p) cumsum(c(p[1], exp(p[-1])))
    unfold <- function(p) {
      k <- length(case$t1)
      list(rho = tanh(p[1]), t1 = rising(p[1 + seq_len(k)]), t2 = rising(p[-seq_len(k + 1)]))
    }
    start <- c(atanh(case$rho), case$t1[1], log(diff(case$t1)), case$t2[1], log(diff(case$t2)))
    best <- stats::optim(start, function(p) -do.call(polychoric_loglik, c(unname(unfold(p)), list(counts))),
                         method = "BFGS", control = list(reltol = 1e-12))
    expected <- unfold(best$par)
    fit <- fit_latent(x, c("ordinal", "ordinal"), 1 + lengths(case[1:2]))
    # The stopping rule leaves about a tenth of a standard error, 1 / sqrt(1500); the prior is worth one row.
    expect_equal(stats::cov2cor(fit$covariance)[1, 2], expected$rho, tolerance = 0.015)
    t <- Map(function(t, m, s) (t - m) / s, fit$thresholds, fit$mean, sqrt(diag(fit$covariance)))
    expect_equal(unlist(t), c(expected$t1, expected$t2), tolerance = 0.01)
    # A maximum is flat: the fit's log-likelihood is within its own simulation error, and little else, of the best.
    expect_lt(abs(fit$loglik + best$value), 0.3 + 4 * fit$loglik_se)
    expect_lt(fit$loglik_se, 0.5)
  }
})

test_that("continuous columns alone: maximum likelihood and the exact log-likelihood", {
  x <- with_seed(2, matrix(stats::rnorm(600), 200) %*% chol(matrix(c(2, 1, 0.5, 1, 3, -1, 0.5, -1, 1), 3)))
  fit <- fit_latent(x, rep("continuous", 3), rep(0, 3), prior = list(df = 0, scale = 0))
  expect_equal(fit$mean, colMeans(x), tolerance = 1e-10)
  expect_equal(fit$covariance, stats::cov(x) * 199 / 200, tolerance = 1e-8)
  x[cbind(1:60, rep(1:3, 20))] <- NA
  fit <- fit_latent(x, rep("continuous", 3), rep(0, 3), prior = list(df = 0, scale = 0))
  loglik <- sum(vapply(seq_len(nrow(x)), function(i) {
    o <- !is.na(x[i, ])
    s <- fit$covariance[o, o, drop = FALSE]
    r <- x[i, o] - fit$mean[o]
    -0.5 * (sum(o) * log(2 * pi) + log(det(s)) + sum(r * solve(s, r)))
  }, 0))
  expect_equal(fit$loglik, loglik, tolerance = 1e-10)
  expect_identical(fit$loglik_se, 0)
})

test_that("the log-likelihood is exact where a row limits one coordinate, and otherwise right within its error", {
  x <- mixed_data(40, seed = 8)
  x <- x[, c(1, 2, 5)]
  kind <- mixed_kind[c(1, 2, 5)]
  levels <- mixed_levels[c(1, 2, 5)]
  fit <- fit_latent(x[, 1:2], kind[1:2], levels[1:2])
  s <- fit$covariance
  m <- fit$mean
  by_hand <- function(v) {
    if (all(is.na(v))) return(0)
    if (is.na(v[1])) return(stats::pnorm((2 * v[2] - 3) * m[2] / sqrt(s[2, 2]), log.p = TRUE))
    first <- stats::dnorm(v[1], m[1], sqrt(s[1, 1]), log = TRUE)
    if (is.na(v[2])) return(first)
    mean <- m[2] + s[1, 2] / s[1, 1] * (v[1] - m[1])
    first + stats::pnorm((2 * v[2] - 3) * mean / sqrt(s[2, 2] - s[1, 2]^2 / s[1, 1]), log.p = TRUE)
  }
  expect_equal(fit$loglik, sum(apply(x[, 1:2], 1, by_hand)), tolerance = 1e-10)
  expect_identical(fit$loglik_se, 0)

  skip_if_not_installed("mvtnorm")
  fit <- fit_latent(x, kind, levels)
  s <- fit$covariance
  m <- fit$mean
  one <- function(v) {
    a <- matrix(0, 0, 4)
    if (!is.na(v[2])) a <- rbind(a, c(0, 3 - 2 * v[2], 0, 0))
    if (!is.na(v[3])) {
      u <- rbind(c(0, 0), diag(2))  # the utilities; the level's own is the largest
      a <- rbind(a, cbind(0, 0, u[-v[3], ] - rep(u[v[3], ], each = 2)))
    }
    given <- !is.na(v[1])
    mean <- m
    cov <- s
    out <- 0
    if (given) {
      out <- stats::dnorm(v[1], m[1], sqrt(s[1, 1]), log = TRUE)
      mean <- m + s[, 1] / s[1, 1] * (v[1] - m[1])
      cov <- s - tcrossprod(s[, 1]) / s[1, 1]
    }
    if (nrow(a) == 0) return(out)
    p <- mvtnorm::pmvnorm(upper = rep(0, nrow(a)), mean = as.numeric(a %*% mean), sigma = a %*% cov %*% t(a),
                          algorithm = mvtnorm::GenzBretz(abseps = 1e-7, maxpts = 1e5))
    out + log(as.numeric(p))
  }
  expected <- with_seed(1, sum(apply(x, 1, one)))
  expect_lt(abs(fit$loglik - expected), 5 * fit$loglik_se + 1e-3)
  expect_lt(fit$loglik_se, 0.2)
})

test_that("what was simulated is found again, with columns of every kind and missing cells", {
  x <- mixed_data(6000, missing = 0.2)
  fit <- fit_latent(x, mixed_kind, mixed_levels, mass = mixed_mass)
  expect_identical(fit$status, "converged")
  expect_identical(fit$columns_of, c(1:5, 5L, 6L))
  r <- stats::cov2cor(fit$covariance)
  # Truth: 0.64 / 1.64 between all; four standard errors of a correlation between coarse columns.
  # The relation of two utilities of one column hardly shows in its levels: a standard error of about 0.12.
  own <- outer(fit$columns_of, fit$columns_of, "==")
  expect_lt(max(abs(r - 0.64 / 1.64)[upper.tri(r) & !own]), 0.1)
  expect_lt(max(abs(r - 0.64 / 1.64)[upper.tri(r) & own]), 0.4)
  expect_lt(max(abs(r - 0.64 / 1.64)[1:4, 7]), 0.06)
  # A binary threshold is 0 and its variance 1; a nominal block has average variance 1.
  expect_equal(fit$covariance[2, 2], 1, tolerance = 1e-10)
  expect_equal(mean(diag(fit$covariance)[5:6]), 1, tolerance = 1e-10)
  expect_equal(fit$mean[2], -0.4 / sqrt(1.64), tolerance = 0.1)
  # Five levels, in units of the latent standard deviation.
  t <- (fit$thresholds[[4]] - fit$mean[4]) / sqrt(fit$covariance[4, 4])
  expect_lt(max(abs(t - c(-1, -0.3, 0.3, 1.2) / sqrt(1.64))), 0.06)
})

test_that("threads, and how many imputations were asked for, never change a bit", {
  x <- mixed_data(300)
  fits <- lapply(c(1, 2, 4), function(threads) {
    fit_latent(x, mixed_kind, mixed_levels, mass = mixed_mass, threads = threads)
  })
  expect_identical(fits[[2]], fits[[1]])
  expect_identical(fits[[3]], fits[[1]])
  for (method in c("posterior", "bootstrap", "mean")) {
    draw <- function(m, first, threads) {
      impute_latent(x, mixed_kind, mixed_levels, fits[[1]], m, method, mixed_mass, first = first, n_sweeps = 10,
                    threads = threads)
    }
    all <- draw(5, 0, 1)
    expect_identical(draw(5, 0, 2), all)
    two <- draw(2, 3, 2)
    expect_identical(two$values, lapply(all$values, function(v) v[, 4:5, drop = FALSE]))
    expect_identical(two$covariance, all$covariance[, , 4:5])
    expect_false(method != "mean" && identical(all$values[[1]][, 1], all$values[[1]][, 2]))
  }
  for (what in c("mean", "draw", "probability")) {
    rows <- lapply(1:2, function(threads) {
      rows_latent(x, mixed_kind, mixed_levels, fits[[1]], what, 3, mixed_mass, threads = threads)
    })
    expect_identical(rows[[2]], rows[[1]])
  }
})

test_that("threads never change a bit when rows are visited in batches, with and without a start from a few rows", {
  for (n in c(2500, 9000)) {
    x <- mixed_data(n)
    fits <- lapply(1:2, function(threads) {
      fit_latent(x, mixed_kind, mixed_levels, mass = mixed_mass, threads = threads,
                 control = list(max_iter = 75, block = 10, burn_in = 20, loglik_points = 0))
    })
    expect_identical(fits[[2]], fits[[1]])
  }
})

test_that("values come for the missing cells only, in row order, on the user's scale", {
  x <- mixed_data(400)
  x[7, ] <- NA
  fit <- fit_latent(x, mixed_kind, mixed_levels, mass = mixed_mass)
  for (method in c("posterior", "bootstrap", "mean")) {
    imp <- impute_latent(x, mixed_kind, mixed_levels, fit, 3, method, mixed_mass, n_sweeps = 20)
    expect_identical(imp$status, rep("converged", 3))
    expect_identical(imp$columns, 1:6)
    expect_identical(vapply(imp$values, nrow, 0L), as.integer(colSums(is.na(x))))
    expect_false(anyNA(unlist(imp$values)))
    for (c in 2:5) expect_true(all(imp$values[[c]] %in% seq_len(mixed_levels[c])))
    expect_true(all(imp$values[[6]] == -Inf | imp$values[[6]] > 0))
    expect_gt(min(imp$values[[1]]), -10)
  }
  # Row order: a cell whose row observes much follows its own row.
  given <- which(is.na(x[, 1]) & rowSums(is.na(x)) == 1)
  mean <- impute_latent(x, mixed_kind, mixed_levels, fit, 1, "mean", mixed_mass)$values[[1]][, 1]
  score <- rowMeans(x[, 2:4])
  expect_gt(stats::cor(mean[match(given, which(is.na(x[, 1])))], score[given]), 0.7)
  rows <- rows_latent(x, mixed_kind, mixed_levels, fit, "mean", mass = mixed_mass)
  expect_identical(rows[!is.na(x)], x[!is.na(x)])
  expect_equal(rows[is.na(x[, 1]), 1], mean, tolerance = 0.03)  # both average draws
})

test_that("new rows: conditional means, probabilities and draws are those of the normal distribution", {
  x <- mixed_data(500)[, 1:2]
  fit <- fit_latent(x, mixed_kind[1:2], mixed_levels[1:2])
  s <- fit$covariance
  m <- fit$mean
  new <- cbind(c(4, 10, 17, NA, NA, NA), c(NA, NA, NA, 1, 2, NA))
  p <- rows_latent(new, mixed_kind[1:2], mixed_levels[1:2], fit, "probability")[[2]]
  mean <- m[2] + s[1, 2] / s[1, 1] * (new[1:3, 1] - m[1])
  expect_equal(p[1:3, 2], stats::pnorm(mean / sqrt(s[2, 2] - s[1, 2]^2 / s[1, 1])), tolerance = 1e-12)
  expect_identical(p[4:5, ], rbind(c(1, 0), c(0, 1)))
  expect_equal(p[6, 2], stats::pnorm(m[2] / sqrt(s[2, 2])), tolerance = 1e-12)
  filled <- rows_latent(new, mixed_kind[1:2], mixed_levels[1:2], fit, "mean")
  expect_equal(filled[6, 1], m[1], tolerance = 1e-12)
  # E(x | side of the threshold), by averaging 200 draws: four of their standard errors.
  h <- stats::dnorm(m[2]) / c(-stats::pnorm(-m[2]), stats::pnorm(m[2]))
  expect_equal(filled[4:5, 1], m[1] + s[1, 2] * h, tolerance = 4 * sqrt(s[1, 1] / 200) / 10)
  draws <- rows_latent(new, mixed_kind[1:2], mixed_levels[1:2], fit, "draw", 4000)
  expect_identical(dim(draws), c(6L, 2L, 4000L))
  expect_equal(rowMeans(draws[1:3, 2, ] == 2), p[1:3, 2], tolerance = 0.1)
  # A row that observes nothing, and no neighbour: the same as among others, from the same stream.
  expect_gt(stats::ks.test(draws[6, 1, ], "pnorm", m[1], sqrt(s[1, 1]))$p.value, 1e-3)
  alone <- rows_latent(new[1:2, ], mixed_kind[1:2], mixed_levels[1:2], fit, "draw", 4000)
  expect_identical(alone, draws[1:2, , ])
})

test_that("posterior draws of the parameters spread as the posterior does", {
  n <- 40
  x <- with_seed(6, matrix(stats::rnorm(2 * n), n) %*% chol(matrix(c(1, 0.6, 0.6, 1), 2)))
  kind <- rep("continuous", 2)
  x[1, 2] <- NA
  fit <- fit_latent(x, kind, c(0, 0))
  imp <- impute_latent(x, kind, c(0, 0), fit, 2000, n_sweeps = 5)
  # Column 1 is complete: its variance has a scaled inverse chi-square posterior with n - 2 degrees of freedom and one
  # more from the prior (a row of variance 0.1).
  ss <- sum((x[, 1] - mean(x[, 1]))^2) + 0.1 * mean((x[, 1] - mean(x[, 1]))^2)
  expect_gt(stats::ks.test(ss / imp$covariance[1, 1, ], "pchisq", n - 1)$p.value, 1e-3)
  t <- (imp$mean[1, ] - mean(x[, 1])) / sqrt(ss / (n - 1) / n)
  expect_gt(stats::ks.test(t, "pt", n - 1)$p.value, 1e-3)
})

test_that("posterior draws of thresholds and probabilities spread as the posterior does", {
  n <- 200
  x <- with_seed(7, cbind(c(sample.int(5, n, TRUE, c(0.1, 0.2, 0.3, 0.3, 0.1)), NA), stats::rnorm(n + 1)))
  kind <- c("ordinal", "continuous")
  fit <- fit_latent(x, kind, c(5, 0))
  imp <- impute_latent(x, kind, c(5, 0), fit, 1500, n_sweeps = 60)
  # Unrelated to anything, a cell's levels are drawn with nearly the observed proportions: five standard errors, of the
  # imputations and of the relation that the fit finds in noise.
  share <- tabulate(imp$values[[1]][1, ], 5) / 1500
  expect_lt(max(abs(share - tabulate(x[, 1], 5) / n)), 0.06)
})

test_that("bounded columns are drawn inside their bounds without piling up there", {
  x <- with_seed(3, {
    z <- matrix(stats::rnorm(3000), 1000) + stats::rnorm(1000)
    cbind(z[, 1:2], 1 + (z[, 3] > 0))
  })
  x[1:150, 1] <- NA
  x[101:250, 2] <- NA
  kind <- c("continuous", "continuous", "ordinal")
  fit <- fit_latent(x, kind, c(0, 0, 2))
  for (method in c("posterior", "bootstrap", "mean")) {
    imp <- impute_latent(x, kind, c(0, 0, 2), fit, 4, method, n_sweeps = 10, lower = c(3, -Inf, -Inf),
                         upper = c(Inf, -1, Inf))
    expect_gt(min(imp$values[[1]]), 3)
    expect_lt(max(imp$values[[2]]), -1)
  }
  fit$lower <- c(3, -Inf, -Inf)
  fit$upper <- c(4, Inf, Inf)
  draws <- rows_latent(x[1:100, ], kind, c(0, 0, 2), fit, "draw", 20)[, 1, ]
  expect_true(all(draws > 3 & draws < 4))
  # The far tail of a normal is steep, but not a spike.
  expect_lt(mean(draws < 3.01), 0.1)
  expect_gt(stats::var(as.numeric(draws)), 0.02)
})

test_that("weights count as rows", {
  x <- mixed_data(150, missing = 0.1)[, 1:3]
  w <- rep(c(1, 3, 0), 50)
  once <- fit_latent(x, mixed_kind[1:3], mixed_levels[1:3], weights = w, control = list(tol_latent = 0.05))
  times <- fit_latent(x[rep(1:150, w), ], mixed_kind[1:3], mixed_levels[1:3], control = list(tol_latent = 0.05))
  # The same maximum by different draws: a few tenths of a standard error, 1 / sqrt(200).
  expect_equal(once$mean[1], times$mean[1], tolerance = 0.01)
  expect_lt(max(abs(stats::cov2cor(once$covariance) - stats::cov2cor(times$covariance))), 0.05)
  expect_equal(once$loglik, times$loglik, tolerance = 1e-3)
})

test_that("units of continuous columns do not matter", {
  x <- mixed_data(200)[, 1:4]
  y <- x
  # A power of two is exact: what differs in the last digit soon draws other numbers.
  y[, 1] <- 2^20 * x[, 1]
  fit <- fit_latent(x, mixed_kind[1:4], mixed_levels[1:4])
  scaled <- fit_latent(y, mixed_kind[1:4], mixed_levels[1:4])
  expect_equal(scaled$covariance[-1, -1], fit$covariance[-1, -1], tolerance = 1e-12)
  expect_equal(scaled$covariance[1, ], fit$covariance[1, ] * 2^c(40, 20, 20, 20), tolerance = 1e-12)
  expect_equal(scaled$loglik, fit$loglik - sum(!is.na(x[, 1])) * log(2^20), tolerance = 1e-12)
  # The same maximum by different draws: a few tenths of a standard error, 1 / sqrt(200).
  y[, 1] <- 1e9 + 1e6 * x[, 1]
  scaled <- fit_latent(y, mixed_kind[1:4], mixed_levels[1:4])
  expect_lt(max(abs(stats::cov2cor(scaled$covariance) - stats::cov2cor(fit$covariance))), 0.03)
  expect_equal(scaled$mean[1], 1e9 + 1e6 * fit$mean[1], tolerance = 1e-4)
  expect_equal(scaled$loglik, fit$loglik - sum(!is.na(x[, 1])) * log(1e6), tolerance = 1e-4)
})

test_that("hard data end in finite values: few rows, separation, levels never seen, empty rows, nothing to model", {
  expect_sound <- function(x, kind, levels, mass = no_mass(x)) {
    fit <- fit_latent(x, kind, levels, mass = mass)
    expect_true(all(is.finite(fit$mean)) && all(is.finite(fit$covariance)))
    for (method in c("posterior", "bootstrap", "mean")) {
      imp <- impute_latent(x, kind, levels, fit, 2, method, mass, n_sweeps = 20)
      expect_false(anyNA(unlist(imp$values)))
    }
    draws <- rows_latent(x, kind, levels, fit, "draw", 2, mass)
    expect_false(anyNA(draws))
    invisible(list(fit = fit, imp = imp, draws = draws))
  }
  # More coordinates than rows.
  x <- with_seed(5, cbind(matrix(stats::rnorm(25 * 30), 25), matrix(sample.int(3, 250, TRUE), 25)))
  x[with_seed(6, stats::runif(1000)) < 0.3] <- NA
  expect_sound(x, rep(c("continuous", "ordinal", "nominal"), c(30, 5, 5)), rep(c(0, 3, 3), c(30, 5, 5)))
  # Categories separated by a covariate.
  y <- with_seed(7, stats::rnorm(60))
  x <- cbind(y, 1 + (y > 0), findInterval(y, c(-0.7, 0.7)) + 1)
  x[1:9, 2] <- NA
  x[5:14, 3] <- NA
  out <- expect_sound(x, c("continuous", "ordinal", "nominal"), c(0, 2, 3))
  expect_gt(abs(stats::cov2cor(out$fit$covariance)[1, 2]), 0.9)
  # Levels that no row has are never imputed; a column with a single level is filled with it.
  x <- cbind(y, with_seed(8, sample(c(1, 3, 4), 60, TRUE)), with_seed(9, sample(c(2, 4), 60, TRUE)), 1)
  x[1:9, 2] <- NA
  x[5:12, 3] <- NA
  x[3, 4] <- NA
  out <- expect_sound(x, c("continuous", "ordinal", "nominal", "nominal"), c(0, 5, 4, 3))
  expect_true(all(out$draws[, 2, ] %in% c(1, 3, 4)) && all(out$draws[, 3, ] %in% c(2, 4)))
  expect_true(all(out$draws[, 4, ] == 1))
  expect_sound(matrix(c(1, 1, NA, 1), 4), "nominal", 3)
  # Hardly anything observed.
  x <- matrix(NA_real_, 30, 3)
  x[1:5, 1] <- y[1:5]
  x[2:6, 2] <- c(1, 2, 1, 2, 3)
  x[1:2, 3] <- 1:2
  expect_sound(x, c("continuous", "ordinal", "ordinal"), c(0, 3, 2))
  # The same column twice, a constant, and scales far apart.
  x <- cbind(y, y, 1e12 + 1e3 * y, 5, 1 + (y > 0.2))
  x[cbind(1:20, rep(1:5, 4))] <- NA
  expect_sound(x, rep(c("continuous", "ordinal"), c(4, 1)), c(0, 0, 0, 0, 2))
})

test_that("a covariance that is no covariance is refused", {
  x <- mixed_data(50)[, 1:2]
  fit <- fit_latent(x, mixed_kind[1:2], mixed_levels[1:2])
  fit$covariance[1, 2] <- fit$covariance[2, 1] <- 100
  expect_error(rows_latent(x, mixed_kind[1:2], mixed_levels[1:2], fit, "mean"), "positive definite")
})

test_that("nominal columns: class means and marginals are close to exact Bayes, whichever level comes first", {
  n <- 3000
  shares <- c(0.33, 0.46, 0.21)
  data <- with_seed(42, {
    g <- sample.int(3, n, TRUE, shares)
    list(g = g, y = c(-2, 0, 2)[g] + stats::rnorm(n), missing = stats::runif(n) < 0.3)
  })
  w <- data$missing
  exact <- vapply(1:3, function(j) shares[j] * stats::dnorm(data$y[w], c(-2, 0, 2)[j]), numeric(sum(w)))
  exact <- exact / rowSums(exact)
  for (order in list(1:3, c(3, 1, 2))) {
    x <- cbind(replace(order[data$g], w, NA), data$y)
    fit <- fit_latent(x, c("nominal", "continuous"), c(3, 0))
    imp <- impute_latent(x, c("nominal", "continuous"), c(3, 0), fit, 20)
    v <- matrix(match(imp$values[[1]], order), ncol = 20)
    # The probit's response is not the logit's, y being a mixture: a few hundredths.
    expect_lt(max(abs(tabulate(v, 3) / length(v) - colMeans(exact))), 0.025)
    means <- tapply(rep(data$y[w], 20), v, mean)
    expect_lt(max(abs(means - colSums(exact * data$y[w]) / colSums(exact))), 0.12)
    expect_gt(mean(v == data$g[w]), mean(rowSums(exact^2)) - 0.03)
    p <- rows_latent(x[w, ], c("nominal", "continuous"), c(3, 0), fit, "probability")[[1]][, order]
    expect_lt(mean(abs(p - exact)), 0.03)
  }
})

test_that("pooled regressions on an imputed factor are unbiased and cover (design C)", {
  skip_if_not(nzchar(Sys.getenv("EMKIT_EXTENDED_TESTS")), "extended tests")
  n <- 300
  m <- 10
  kind <- c("nominal", "continuous", "continuous")
  truth <- c(0, 1, 2, 0.5)
  one <- function(r) {
    d <- with_seed(r, {
      g <- sample.int(3, n, TRUE, c(0.5, 0.3, 0.2))
      z <- stats::rnorm(n)
      y <- c(0, 1, 2)[g] + 0.5 * z + stats::rnorm(n)
      list(g = g, y = y, z = z, missing = stats::runif(n) < stats::plogis(-1 + 0.7 * y))
    })
    x <- cbind(replace(d$g, d$missing, NA), d$y, d$z)
    fit <- fit_latent(x, kind, c(3, 0, 0), control = list(loglik_points = 0), key = c(r, 1))
    imp <- impute_latent(x, kind, c(3, 0, 0), fit, m, key = c(r, 2))
    each <- lapply(seq_len(m), function(i) {
      g <- factor(replace(x[, 1], d$missing, imp$values[[1]][, i]))
      stats::lm(d$y ~ g + d$z)
    })
    q <- vapply(each, stats::coef, numeric(4))
    u <- rowMeans(vapply(each, function(f) diag(stats::vcov(f)), numeric(4)))
    total <- u + (1 + 1 / m) * apply(q, 1, stats::var)
    lambda <- 1 - u / total
    observed <- (n - 3) / (n - 1) * (n - 4) * (1 - lambda)
    df <- 1 / (lambda^2 / (m - 1) + 1 / observed)
    c(rowMeans(q), abs(rowMeans(q) - truth) < stats::qt(0.975, df) * sqrt(total))
  }
  runs <- vapply(1:300, one, numeric(8))
  expect_lt(max(abs(rowMeans(runs[2:4, ]) - truth[-1])), 0.05)
  expect_gte(min(rowMeans(runs[6:8, ])), 0.92)
})
