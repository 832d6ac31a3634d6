# Bootstrap of Gaussian mixtures, and the bootstrap likelihood-ratio test.

test_that("components in any other order are matched to those of the fit", {
  fit <- em_gmm(iris[, 1:4], n_components = 4, covariance = "EEE")
  for (order in list(c(2, 1, 4, 3), c(4, 3, 1, 2))) {
    shuffled <- reorder_components(fit$parameters, order)
    matched <- match_components(fit, shuffled, fit$posterior)
    expect_equal(order[matched], 1:4)
    expect_equal(reorder_components(shuffled, matched)$means, fit$parameters$means, ignore_attr = TRUE)
  }
})

test_that("bootstrap standard errors agree with the observed information where theory says so", {
  truth <- random_parameters("VVV", 2, 2, seed = 3, spread = 6)
  x <- simulate_mixture(800, truth, seed = 4)$x
  fit <- em_gmm(x, n_components = 2, covariance = "VVV")
  by_information <- sqrt(diag(vcov(fit)))
  for (type in c("nonparametric", "weighted", "parametric")) {
    boot <- with_seed(1, em_bootstrap(fit, n_boot = 300, type = type))
    # 300 replicates know a standard error to 1 / sqrt(600) = 4 %; four of those, and finite-sample kurtosis
    ratio <- sqrt(diag(vcov(boot))) / by_information
    expect_lt(max(abs(log(ratio))), 0.25)
    expect_lt(abs(mean(log(ratio))), 0.08)
  }
})

test_that("label switching does not inflate the standard errors", {
  # equal sizes: refits sorted by proportion would swap in half of the replicates
  truth <- list(proportions = c(0.5, 0.5), means = cbind(c(-2, 0), c(2, 0)), covariances = array(diag(2), c(2, 2, 2)))
  x <- simulate_mixture(300, truth, seed = 2)$x
  fit <- em_gmm(x, n_components = 2, covariance = "EII")
  # a refit that begins in the other order
  swapped <- fit
  swapped$parameters <- reorder_components(fit$parameters, 2:1)
  names(swapped$parameters$proportions) <- c("1", "2")
  matched <- match_components(fit, swapped$parameters, fit$posterior)
  expect_equal(matched, 2:1)
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 100))
  expect_lt(stats::sd(boot$replicates[, "mean[v1,1]"]), 0.2)
  expect_lt(max(abs(colMeans(boot$replicates) - coef(fit))), 0.2)
})

test_that("a bootstrap depends on the seed alone", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVE")
  for (type in c("nonparametric", "weighted", "parametric")) {
    set.seed(5)
    one <- em_bootstrap(fit, n_boot = 8, type = type, control = em_control(threads = 1))
    after <- stats::runif(1)
    set.seed(5)
    two <- em_bootstrap(fit, n_boot = 8, type = type, control = em_control(threads = 2))
    expect_identical(one$replicates, two$replicates)
    expect_identical(stats::runif(1), after)
    # a longer run begins with the same replicates
    set.seed(5)
    longer <- em_bootstrap(fit, n_boot = 12, type = type)
    expect_identical(longer$replicates[1:8, ], one$replicates)
    expect_false(isTRUE(all.equal(one$replicates[1, ], one$replicates[2, ])))
  }
})

test_that("replicates are refits of the reweighted data", {
  w <- rep(c(1, 3), 136)
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE", weights = w)
  start <- list(kind = "parameters", method = "fit", parameters = fit$parameters)
  control <- fit$control
  control$n_polish <- 1L
  runs <- bootstrap_gmm(fit, "weighted", 2, 2, list(list(start)), control, key = c(0, 77))
  for (b in 1:2) {
    gap <- counter_rng_(77, b - 1, 272, "exponential")
    refit <- em_gmm(faithful, n_components = 2, covariance = "EEE", start = fit$parameters,
                    weights = w * gap / mean(gap))
    expect_equal(runs[[b]][[1]]$loglik, refit$loglik, tolerance = 1e-9)
    expect_equal(as.vector(runs[[b]][[1]]$parameters$means), as.vector(refit$parameters$means), tolerance = 1e-5)
  }
})

test_that("missing values, weights, noise, known labels, priors and fixed parameters carry over", {
  x <- punch_holes(as.matrix(faithful), 0.1, seed = 1)
  known <- replace(rep(NA, 272), 1:10, 2 - (faithful$eruptions[1:10] > 3))
  fits <- list(
    em_gmm(x, n_components = 2, covariance = "VVV", weights = rep(c(0.5, 2), 136)),
    em_gmm(x, n_components = 2, covariance = "EEE", noise = TRUE),
    em_gmm(x, n_components = 2, covariance = "EEE", known = known),
    em_gmm(x, n_components = 2, covariance = "VVV", prior = TRUE, equal_proportions = TRUE),
    em_gmm(x, n_components = 2, covariance = "VVV", fixed = list(means = cbind(c(4.3, 80), NA)),
           start = 2 - (faithful$eruptions > 3))
  )
  for (fit in fits) {
    for (type in c("nonparametric", "weighted", "parametric")) {
      boot <- with_seed(1, em_bootstrap(fit, n_boot = 4, type = type))
      expect_equal(boot$n_ok, 4)
      expect_true(all(is.finite(boot$replicates)))
      expect_equal(colnames(boot$replicates), names(coef(fit)))
    }
  }
  expect_equal(unname(boot$replicates[, "mean[waiting,1]"]), rep(80, 4))
})

test_that("replicates that cannot be fitted are counted and left out", {
  # a component of three rows loses them in many resamples
  x <- rbind(as.matrix(faithful)[1:60, ], cbind(c(20, 20.1, 20.3), c(10, 10.4, 9)))
  fit <- em_gmm(x, n_components = 2, covariance = "VVV", start = rep(1:2, c(60, 3)))
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 40))
  expect_lt(boot$n_ok, 40)
  expect_equal(sum(is.na(boot$replicates[, 1])), 40 - boot$n_ok)
  expect_equal(sum(boot$table$status == "degenerate"), 40 - boot$n_ok)
  expect_true(all(is.finite(vcov(boot))))
  expect_output(print(boot), "could not be fitted")
  weighted <- with_seed(1, em_bootstrap(fit, n_boot = 40, type = "weighted"))
  expect_gt(weighted$n_ok, boot$n_ok)
})

# ---- likelihood-ratio test ---------------------------------------------------------------------------

test_that("the likelihood-ratio test finds the components that are there", {
  x <- simulate_mixture(200, list(proportions = c(0.6, 0.4), means = cbind(0, 5), covariances = array(1, c(1, 1, 2))),
                        seed = 3)$x
  test <- with_seed(1, em_bootstrap_lrt(x, "E", max_components = 4, n_boot = 39))
  expect_equal(test$n_components, 2L)
  expect_equal(test$table$n_components, 1:2)
  expect_equal(test$table$p_value[1], 1 / 40)
  expect_gt(test$table$p_value[2], 0.05)
  one <- em_gmm(x, n_components = 1, covariance = "E")
  two <- em_gmm(x, n_components = 2, covariance = "E")
  expect_equal(test$table$statistic[1], 2 * (two$loglik - one$loglik), tolerance = 1e-6)
  expect_equal(test$table$p_value[2], (1 + sum(test$statistics[[2]] >= test$table$statistic[2])) / 40)
  expect_output(print(test), "2 components")
})

test_that("under the null both models are fitted as well as em_gmm() fits them", {
  x <- with_seed(3, matrix(stats::rnorm(60), ncol = 1))
  test <- with_seed(2, em_bootstrap_lrt(x, "E", max_components = 2, n_boot = 99))
  null <- em_gmm(x, n_components = 1, covariance = "E")
  # the same statistic for data drawn by R, each model from many starts
  by_r <- with_seed(4, replicate(60, {
    y <- matrix(stats::rnorm(60, null$parameters$means, sqrt(null$parameters$covariances)), ncol = 1)
    many <- em_control(n_starts = 40, n_polish = 10)
    2 * (em_gmm(y, n_components = 2, covariance = "E", control = many)$loglik -
           em_gmm(y, n_components = 1, covariance = "E")$loglik)
  }))
  # the same distribution, up to the chance of 99 and 60 draws
  expect_gt(suppressWarnings(stats::ks.test(test$statistics[[1]], by_r)$p.value), 0.001)
})

test_that("the test takes a fit, missing values and weights, and depends on the seed alone", {
  x <- punch_holes(as.matrix(faithful), 0.1, seed = 1)
  fit <- em_gmm(x, n_components = 2, covariance = "EEE", weights = rep(c(1, 2), 136),
                control = em_control(n_starts = 3))
  one <- with_seed(1, em_bootstrap_lrt(fit, max_components = 2, n_boot = 9))
  two <- with_seed(1, em_bootstrap_lrt(fit, max_components = 2, n_boot = 9, control = em_control(n_starts = 3, threads = 2)))
  expect_equal(one$covariance, "EEE")
  expect_identical(one$statistics, two$statistics)
  expect_true(one$reached_max || one$n_components == 1L)
  expect_output(print(one), "no p-value can be below")
})

test_that("em_bootstrap_lrt() says what it cannot do", {
  expect_error(em_bootstrap_lrt(faithful, c("EEE", "VVV")), class = "em_error_covariance")
  expect_error(em_bootstrap_lrt(faithful, noise = TRUE), class = "em_error_unused_argument")
  expect_error(em_bootstrap_lrt(~ waiting, data = faithful, subset = eruptions > 3),
               class = "em_error_unused_argument")
  by_formula <- with_seed(1, em_bootstrap_lrt(~ waiting, data = faithful, "E", max_components = 2, n_boot = 3))
  by_vector <- with_seed(1, em_bootstrap_lrt(faithful$waiting, "E", max_components = 2, n_boot = 3))
  expect_equal(by_formula$table, by_vector$table)
  expect_error(em_bootstrap_lrt(faithful, max_components = 1), class = "em_error_argument")
  noisy <- em_gmm(faithful, n_components = 2, covariance = "EEE", noise = TRUE)
  expect_error(em_bootstrap_lrt(noisy), class = "em_error_argument")
})

test_that("the test keeps its level under the null", {
  skip_unless_extended()
  p <- vapply(1:60, function(seed) {
    x <- with_seed(seed, matrix(stats::rnorm(80), ncol = 1))
    with_seed(seed, em_bootstrap_lrt(x, "E", max_components = 2, n_boot = 39)$table$p_value[1])
  }, 0)
  # p-values are uniform on 1/40 ... 1: mean 0.51 with standard error 0.037
  expect_lt(abs(mean(p) - 0.5125), 0.15)
  expect_lt(mean(p <= 0.05), 0.17)
})
