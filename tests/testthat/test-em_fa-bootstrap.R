# Bootstrap of em_fa().

test_that("bootstrap standard errors agree with the delta method where theory says so", {
  x <- data_factors(600, p = 6, q = 2, seed = 61)
  for (rotation in c("varimax", "promax", "none")) {
    fit <- em_fa(x, n_factors = 2, rotation = rotation, control = fa_control())
    by_information <- sqrt(diag(vcov(fit, standardized = TRUE)))
    for (type in c("nonparametric", "weighted", "parametric")) {
      boot <- with_seed(1, em_bootstrap(fit, n_boot = 400, type = type))
      expect_equal(boot$n_ok, 400L)
      # 400 replicates know a standard error to 1 / sqrt(800) = 3.5 %; four of those, and finite samples
      ratio <- sqrt(diag(vcov(boot))) / by_information
      expect_lt(max(abs(log(ratio))), 0.25)
      expect_lt(abs(mean(log(ratio))), 0.08)
    }
  }
})

test_that("replicates are refits of the reweighted rows, rotated as the fit is", {
  x <- data_factors(80, p = 6, q = 2, seed = 62)
  w <- rep(c(1, 2), 40)
  for (data in list(x, replace(x, c(3, 90, 200), NA))) {
    fit <- em_fa(data, n_factors = 2, rotation = "promax", weights = w, control = fa_control())
    core <- fa_core(fit)
    runs <- bootstrap_fa(fit, core, "weighted", 2, fit$control, key = c(0, 77))
    replicates <- fa_replicates(fit, core, runs, FALSE)
    for (b in 1:2) {
      gap <- counter_rng_(77, b - 1, 80, "exponential")
      refit <- em_fa(data, n_factors = 2, rotation = "promax", weights = w * gap / mean(gap), start = fit,
                     control = fa_control())
      expect_equal(runs$loglik[b], refit$loglik, tolerance = 1e-9)
      # The refit orders its factors by itself, the replicate as the fit does.
      order <- apply(abs(stats::cor(refit$parameters$loadings, fit$parameters$loadings)), 2, which.max)
      l <- refit$parameters$loadings[, order]
      phi <- refit$factor_correlation[order[1], order[2]]
      signs <- sign(colSums(l * fit$parameters$loadings))
      expected <- c(refit$parameters$mean, l %*% diag(signs), refit$parameters$uniquenesses, phi * prod(signs))
      expect_equal(replicates[b, ], unname(expected), tolerance = 1e-4)
    }
  }
})

test_that("a covariance matrix is simulated as the rows behind it would be", {
  x <- data_factors(200, p = 6, q = 2, seed = 63)
  moments <- fa_moments(x)
  of_rows <- em_fa(x, n_factors = 2, control = fa_control())
  of_matrix <- em_fa(covmat = list(cov = moments$covariance, center = moments$mean, n.obs = 200), n_factors = 2,
                     control = fa_control())
  one <- with_seed(1, em_bootstrap(of_matrix, n_boot = 300, standardized = FALSE))
  two <- with_seed(1, em_bootstrap(of_rows, n_boot = 300, type = "parametric", standardized = FALSE))
  expect_equal(one$type, "parametric")
  expect_equal(one$replicates, two$replicates, tolerance = 1e-4)
  # Equal weights of 1 make rows be simulated: another way to the same distribution. Two standard errors of 300
  # replicates differ by 1 / sqrt(300) = 6 %.
  weighted <- em_fa(x, n_factors = 2, weights = rep(1, 200), control = fa_control())
  three <- with_seed(1, em_bootstrap(weighted, n_boot = 300, type = "parametric", standardized = FALSE))
  ratio <- sqrt(diag(vcov(three)) / diag(vcov(one)))
  expect_lt(max(abs(log(ratio))), 0.25)
  expect_lt(abs(mean(log(ratio))), 0.08)
  expect_lt(max(abs(colMeans(three$replicates) - colMeans(one$replicates)) / sqrt(diag(vcov(one)))), 0.35)
  # The moments of the simulated covariances themselves: E S = Sigma (n - 1) / n.
  implied <- fa_implied(of_matrix)
  variances <- one$replicates[, 7:12]^2 + one$replicates[, 13:18]^2 + one$replicates[, 19:24]
  expect_equal(unname(colMeans(variances)), diag(implied) * 199 / 200, tolerance = 0.03)
  for (type in c("nonparametric", "weighted")) {
    expect_error(em_bootstrap(of_matrix, type = type), class = "em_error_no_data")
  }
  few <- quietly(em_fa(covmat = moments$covariance, n_obs = 6, n_factors = 2))
  expect_error(em_bootstrap(few), class = "em_error_too_few_rows")
})

test_that("factors that come in another order or with other signs are brought in line", {
  # Two factors that explain about the same change places in half of the replicates.
  loadings <- rbind(cbind(c(0.8, 0.7, 0.6, 0.7), 0), cbind(0, c(0.7, 0.8, 0.6, 0.7)))
  sigma <- tcrossprod(loadings) + diag(1 - rowSums(loadings^2))
  fit <- em_fa(covmat = sigma, n_obs = 200, n_factors = 2, control = fa_control())
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 200))
  l <- boot$replicates[, 1:16]
  expect_lt(max(apply(l, 2, stats::sd)), 0.15)
  expect_true(all(abs(colMeans(l) - coef(fit, standardized = TRUE)[1:16]) < 0.05))
  in_order <- apply(l, 1, function(v) sum(v[1:8]^2) >= sum(v[9:16]^2))
  expect_true(any(in_order) && !all(in_order))
})

test_that("missing cells, one factor, principal components and more variables than rows have a bootstrap", {
  x <- data_factors(100, p = 6, q = 2, missing = 0.1, seed = 64)
  wide <- data_factors(20, p = 30, q = 1, seed = 65)
  fits <- list(
    em_fa(x, n_factors = 2, rotation = "promax"), em_fa(x, n_factors = 1), em_fa(x, n_factors = 1, type = "ppca"),
    em_fa(stats::na.omit(x), n_factors = 2, type = "ppca"), em_fa(wide, n_factors = 1, rotation = "none"),
    em_fa(rbind(x, NA), n_factors = 1, weights = rep(c(1, 0.5, 0, 2), length.out = 101))
  )
  for (fit in fits) {
    for (type in c("nonparametric", "weighted", "parametric")) {
      boot <- with_seed(2, em_bootstrap(fit, n_boot = 5, type = type, standardized = FALSE))
      expect_equal(boot$n_ok, 5L)
      expect_true(all(is.finite(boot$replicates)))
      expect_equal(colnames(boot$replicates), names(coef(fit)))
    }
  }
})

test_that("standard errors of incomplete data agree with the information of the observed cells", {
  x <- data_factors(400, p = 5, q = 1, missing = 0.15, seed = 66)
  fit <- em_fa(x, n_factors = 1, control = fa_control())
  by_information <- sqrt(diag(vcov(fit)))
  for (type in c("nonparametric", "parametric")) {
    boot <- with_seed(1, em_bootstrap(fit, n_boot = 200, type = type, standardized = FALSE))
    ratio <- sqrt(diag(vcov(boot))) / by_information
    # 200 replicates: 5 % each
    expect_lt(max(abs(log(ratio))), 0.3)
    expect_lt(abs(mean(log(ratio))), 0.1)
  }
})

test_that("a bootstrap depends on the seed alone", {
  x <- data_factors(60, p = 6, q = 2, seed = 67)
  for (data in list(x, replace(x, 5, NA))) {
    fit <- em_fa(data, n_factors = 2)
    for (type in c("nonparametric", "weighted", "parametric")) {
      set.seed(5)
      one <- em_bootstrap(fit, n_boot = 6, type = type, control = em_control(threads = 1))
      after <- stats::runif(1)
      set.seed(5)
      two <- em_bootstrap(fit, n_boot = 6, type = type, control = em_control(threads = 2))
      expect_identical(one$replicates, two$replicates)
      expect_identical(stats::runif(1), after)
      set.seed(5)
      longer <- em_bootstrap(fit, n_boot = 9, type = type)
      expect_identical(longer$replicates[1:6, ], one$replicates)
      expect_false(isTRUE(all.equal(one$replicates[1, ], one$replicates[2, ])))
    }
  }
})

test_that("Heywood cases and replicates that cannot be fitted are counted and told of", {
  fit <- quietly(em_fa(swiss, n_factors = 2))
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 50))
  zero <- boot$replicates[, startsWith(colnames(boot$replicates), "uniqueness")] == 0
  expect_gt(sum(zero), 10)
  expect_equal(boot$table$heywood, unname(apply(zero, 1, function(at) paste(names(swiss)[at], collapse = ", "))))
  expect_output(print(boot), "are Heywood cases, with a uniqueness of 0: Education")
  # Of five rows there are too few distinct ones now and then.
  x <- data_factors(5, p = 5, q = 1, seed = 68)
  few <- quietly(em_fa(x, n_factors = 1))
  boot <- with_seed(1, em_bootstrap(few, n_boot = 200))
  expect_equal(sum(is.na(boot$replicates[, 1])), 200 - boot$n_ok)
  expect_lt(boot$n_ok, 200)
  expect_true(all(boot$table$status[is.na(boot$replicates[, 1])] == "degenerate"))
  expect_output(print(boot), "could not be fitted")
  # A rotation that fails now and then
  calls <- 0
  moody <- function(l) {
    calls <<- calls + 1
    if (calls > 3 && calls %% 4 == 0) stop("not today")
    stats::varimax(l)
  }
  fit <- em_fa(data_factors(100, p = 6, q = 2, seed = 69), n_factors = 2, rotation = moody)
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 20))
  expect_equal(sum(boot$table$status == "rotation_failed"), 20 - boot$n_ok)
  expect_true(boot$n_ok %in% 14:16)
})

test_that("vcov() and tidy() of a bootstrap are its covariances", {
  fit <- em_fa(data_factors(100, p = 6, q = 2, seed = 70), n_factors = 2)
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 30, standardized = FALSE))
  expect_equal(with_seed(1, vcov(fit, type = "bootstrap", n_boot = 30)), vcov(boot))
  standardized <- with_seed(1, em_bootstrap(fit, n_boot = 30))
  expect_equal(with_seed(1, vcov(fit, type = "bootstrap", standardized = TRUE, n_boot = 30)), vcov(standardized))
  # Of the same replicates
  scale <- sqrt(boot$replicates[, 7]^2 + boot$replicates[, 13]^2 + boot$replicates[, 19])
  expect_equal(boot$replicates[, 7] / scale, standardized$replicates[, 1])
  table <- tidy(standardized, conf.int = TRUE)
  expect_equal(table$term, names(coef(fit, standardized = TRUE)))
  expect_equal(table$std.error, unname(sqrt(diag(vcov(standardized)))))
  expect_equal(cbind(table$conf.low, table$conf.high), unname(confint(standardized)))
  expect_output(print(standardized), "Bootstrap of a factor analysis (nonparametric, 30 replicates)", fixed = TRUE)
  expect_error(em_bootstrap(fit, R = 3), class = "em_error_unused_argument")
  bare <- em_fa(mtcars, n_factors = 1, control = em_control(keep_data = FALSE))
  expect_error(em_bootstrap(bare), class = "em_error_no_data")
})

test_that("a rotation begun from that of quite other loadings ends at a minimum too", {
  skip_if_not_installed("GPArotation")
  for (name in c("oblimin", "geominQ", "quartimax", "cfT")) {
    rotation <- resolve_rotation(name)
    l <- with_seed(1, matrix(stats::runif(16, -0.6, 0.6), 8))
    first <- rotation_turn(l, rotation)
    for (size in c(0.05, 0.3)) {
      moved <- l + with_seed(2, matrix(stats::rnorm(16, sd = size), 8))
      turn <- rotation_turn(moved, rotation, first)
      oblique <- attr(turn, "oblique")
      expect_lt(max(abs(gpa_gradient(moved, turn, rotation$fun, oblique))), 1e-8, label = name)
      expect_gt(gpa_inverse(moved, turn, rotation$fun, oblique)$lowest, 0, label = name)
    }
  }
})

test_that("a covariance matrix without means has a bootstrap without them", {
  fit <- em_fa(covmat = stats::cor(datasets::mtcars), n_obs = 32, n_factors = 1)
  expect_identical(rownames(vcov(fit, type = "bootstrap", n_boot = 5)), names(coef(fit)))
})
