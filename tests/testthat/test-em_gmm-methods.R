# Prediction, simulation and residuals against definitions written out in plain R.

# ---- coefficients ------------------------------------------------------------------------------------

test_that("coef() lays the parameters out by component and names them", {
  fit <- fit_faithful()
  p <- fit$parameters
  b <- coef(fit)
  expect_length(b, 2 + 4 + 6)
  expect_equal(b[["proportion[2]"]], p$proportions[[2]])
  expect_equal(b[["mean[waiting,2]"]], p$means["waiting", 2])
  expect_equal(b[["covariance[waiting,eruptions,1]"]], p$covariances["waiting", "eruptions", 1])
  expect_equal(b[["covariance[waiting,waiting,2]"]], p$covariances[2, 2, 2])
  expect_equal(anyDuplicated(names(b)), 0)
  one <- em_gmm(faithful$waiting, n_components = 2, covariance = "V")
  expect_equal(unname(coef(one)), unname(c(one$parameters$proportions, one$parameters$means,
                                           one$parameters$covariances)))
})

test_that("named classes name the coefficients", {
  known <- rep(NA_character_, 150)
  known[seq(1, 150, 5)] <- as.character(iris$Species[seq(1, 150, 5)])
  fit <- em_gmm(iris[, 1:2], n_components = 3, covariance = "EEE", known = known)
  expect_true(all(c("proportion[setosa]", "mean[Sepal.Width,virginica]") %in% names(coef(fit))))
})

# ---- predict -----------------------------------------------------------------------------------------

test_that("predictions for new data with missing, reordered and further columns follow the definitions", {
  fit <- fit_faithful()
  new <- new_rows()
  x <- as.matrix(new[c("eruptions", "waiting")])
  posterior <- predict(fit, new, type = "posterior")
  expect_equal(dimnames(posterior), list(rownames(new), c("1", "2")))
  expect_equal(unname(posterior), unname(oracle_posterior(x, fit$parameters)), tolerance = 1e-10)
  expect_equal(unname(posterior["empty", ]), unname(fit$parameters$proportions))
  class <- predict(fit, new)
  expect_type(class, "integer")
  expect_equal(class, stats::setNames(max.col(posterior, "first"), rownames(new)))
  log_density <- predict(fit, new, type = "density", log = TRUE)
  by_row <- vapply(seq_len(5), function(i) oracle_loglik(x[i, , drop = FALSE], fit$parameters), 0)
  expect_equal(log_density, stats::setNames(by_row, rownames(new)), tolerance = 1e-10)
  expect_equal(predict(fit, new, type = "density"), exp(log_density))
  expect_equal(predict(fit, new, type = "density")[["empty"]], 1)
})

test_that("log posterior probabilities are exact where the probabilities underflow", {
  fit <- fit_faithful()
  far <- data.frame(eruptions = 40, waiting = 600)
  joint <- oracle_joint(as.matrix(far), fit$parameters)
  log_posterior <- predict(fit, far, type = "posterior", log = TRUE)
  expect_equal(as.vector(log_posterior), as.vector(joint - oracle_log_sum_exp(joint)), tolerance = 1e-12)
  expect_lt(min(log_posterior), -800)
  near <- new_rows()[1:2, ]
  expect_equal(exp(predict(fit, near, type = "posterior", log = TRUE)), predict(fit, near, type = "posterior"))
})

test_that("imputed values are conditional means averaged over the components", {
  fit <- fit_faithful()
  p <- fit$parameters
  new <- new_rows()[2:4, ]
  imputed <- predict(fit, new, type = "imputed")
  z <- oracle_posterior(as.matrix(new[c("eruptions", "waiting")]), p)
  given_waiting <- p$means[1, ] + p$covariances[1, 2, ] / p$covariances[2, 2, ] * (80 - p$means[2, ])
  given_eruptions <- p$means[2, ] + p$covariances[1, 2, ] / p$covariances[1, 1, ] * (4 - p$means[1, ])
  expect_equal(imputed["half", "eruptions"], sum(z[1, ] * given_waiting), tolerance = 1e-10)
  expect_equal(imputed["other", "waiting"], sum(z[2, ] * given_eruptions), tolerance = 1e-10)
  expect_equal(unname(imputed["empty", ]), as.vector(p$means %*% p$proportions), tolerance = 1e-10)
  expect_equal(imputed["half", "waiting"], 80)
  expect_equal(colnames(imputed), fit$variables)
})

test_that("predictions for the data of the fit and for the same new data agree", {
  fit <- fit_with_noise()
  for (type in c("class", "posterior", "density", "imputed")) {
    expect_equal(predict(fit, type = type), predict(fit, fit$data, type = type))
  }
  bare <- fit
  bare["posterior"] <- list(NULL)
  bare["classification"] <- list(NULL)
  expect_equal(predict(bare, type = "posterior"), fit$posterior)
  expect_equal(unname(predict(bare)), unname(fit$classification))
  expect_setequal(unique(fit$classification), 0:2)
  bare["data"] <- list(NULL)
  expect_error(predict(bare), class = "em_error_no_data")
  expect_silent(predict(bare, faithful[1:3, ]))
})

test_that("the posterior with noise follows the definition", {
  fit <- fit_with_noise()
  expect_equal(unname(predict(fit, type = "posterior")), unname(oracle_posterior(fit$data, fit$parameters)),
               tolerance = 1e-10)
})

test_that("labels hold in the data of the fit and not in new data", {
  known <- replace(rep(NA, 272), 1:4, c(2, 2, 1, 1))
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE", known = known)
  expect_equal(as.vector(predict(fit, type = "posterior")[1, ]), c(0, 1))
  expect_equal(predict(fit, type = "posterior", log = TRUE)[1, ], c("1" = -Inf, "2" = 0))
  expect_lt(predict(fit, faithful[1, ], type = "posterior")[2], 1)
  # a label is no part of a row's density
  expect_equal(unname(predict(fit, type = "density")), unname(predict(fit, faithful, type = "density")))
})

test_that("predict() takes vectors, bare matrices and formulas", {
  one <- em_gmm(faithful$waiting, n_components = 2, covariance = "V")
  expect_equal(predict(one, c(a = 50, b = NA, c = 90)), predict(one, cbind(c(a = 50, b = NA, c = 90))))
  fit <- fit_faithful()
  expect_equal(predict(fit, unname(as.matrix(faithful))), unname(predict(fit)))
  by_formula <- em_gmm(~ eruptions + log(waiting), data = faithful, n_components = 2, covariance = "EEE")
  expect_equal(unname(predict(by_formula, faithful[10:12, 2:1], type = "posterior")),
               unname(by_formula$posterior[10:12, ]))
})

test_that("predict() says what it cannot do", {
  fit <- fit_faithful()
  expect_error(predict(fit, faithful["waiting"]), class = "em_error_newdata")
  expect_error(predict(fit, typ = "class", probs = TRUE), class = "em_error_unused_argument")
  expect_error(predict(fit, type = "probability"), class = "em_error_argument")
  expect_error(predict(fit, log = TRUE), class = "em_error_argument")
  expect_error(predict(fit, log = NA, type = "density"), class = "em_error_argument")
  expect_error(predict(fit, data.frame(eruptions = "a", waiting = 1)), class = "em_error")
})

test_that("predict() of no rows gives no rows", {
  fit <- fit_faithful()
  expect_length(predict(fit, faithful[0, ]), 0)
  expect_equal(dim(predict(fit, faithful[0, ], type = "posterior")), c(0, 2))
})

# ---- simulate ----------------------------------------------------------------------------------------

test_that("simulated data have the moments of the mixture", {
  fit <- fit_faithful()
  new <- simulate(fit, seed = 1, n_rows = 40000)
  p <- fit$parameters
  mean <- as.vector(p$means %*% p$proportions)
  second <- Reduce(`+`, lapply(1:2, function(k) {
    p$proportions[[k]] * (p$covariances[, , k] + tcrossprod(p$means[, k] - mean))
  }))
  # five standard errors of a mean, and of a variance up to kurtosis
  expect_lt(max(abs(colMeans(new) - mean) / sqrt(diag(second) / 40000)), 5)
  expect_equal(unname(stats::cov(new)), unname(second), tolerance = 0.03)
  class <- attr(new, "classification")
  expect_lt(abs(mean(class == 1) - p$proportions[[1]]), 5 * sqrt(0.25 / 40000))
  first <- as.matrix(new)[class == 1, ]
  expect_equal(unname(stats::cov(first)), unname(p$covariances[, , 1]), tolerance = 0.05)
})

test_that("simulate() follows the conventions of stats", {
  fit <- fit_faithful()
  one <- simulate(fit, seed = 7)
  expect_s3_class(one, "data.frame")
  expect_equal(dim(one), dim(faithful))
  expect_equal(names(one), names(faithful))
  set.seed(2)
  before <- .Random.seed
  again <- simulate(fit, seed = 7)
  expect_identical(.Random.seed, before)
  expect_equal(again, one)
  three <- simulate(fit, nsim = 3, seed = 7)
  expect_named(three, c("sim_1", "sim_2", "sim_3"))
  expect_equal(three$sim_1, one, ignore_attr = "seed")
  expect_false(isTRUE(all.equal(three$sim_1, three$sim_2)))
  set.seed(3)
  drawn <- simulate(fit)
  set.seed(3)
  expect_equal(simulate(fit), drawn)
  expect_error(simulate(fit, nsim = 0), class = "em_error_argument")
  expect_error(simulate(fit, sd = 2), class = "em_error_unused_argument")
})

test_that("simulated noise fills the box of the data", {
  fit <- fit_with_noise()
  new <- simulate(fit, seed = 1, n_rows = 20000)
  class <- attr(new, "classification")
  noise <- as.matrix(new)[class == 0, ]
  box <- apply(fit$data, 2, range, na.rm = TRUE)
  expect_true(all(t(noise) >= box[1, ] & t(noise) <= box[2, ]))
  expect_equal(colMeans(noise), colMeans(box), tolerance = 0.03)
  expect_equal(mean(class == 0), fit$parameters$proportions[["noise"]], tolerance = 0.1)
})

# ---- fitted and residuals ----------------------------------------------------------------------------

test_that("fitted values are posterior-weighted means and residuals the rest", {
  fit <- fit_faithful()
  z <- oracle_posterior(as.matrix(faithful), fit$parameters)
  expect_equal(unname(fitted(fit)), unname(z %*% t(fit$parameters$means)), tolerance = 1e-10)
  expect_equal(residuals(fit) + fitted(fit), as.matrix(faithful), ignore_attr = TRUE)
  expect_equal(dimnames(fitted(fit))[[2]], names(faithful))
})

test_that("fitted values with noise use the Gaussian components alone, and incomplete rows have them too", {
  fit <- fit_with_noise()
  z <- oracle_posterior(fit$data, fit$parameters)[, 1:2]
  expected <- z / rowSums(z)
  expect_equal(unname(fitted(fit)), unname(expected %*% t(fit$parameters$means)), tolerance = 1e-8)
  expect_equal(is.na(residuals(fit)), is.na(fit$data), ignore_attr = TRUE)
})

test_that("standardised residuals are whitened by their component", {
  fit <- fit_faithful()
  r <- residuals(fit, type = "standardized")
  k <- fit$classification
  for (i in c(1, 2, 100)) {
    p <- fit$parameters
    expect_equal(sum(r[i, ]^2), stats::mahalanobis(as.matrix(faithful)[i, ], p$means[, k[i]], p$covariances[, , k[i]]),
                 ignore_attr = TRUE)
  }
  noisy <- fit_with_noise()
  r <- residuals(noisy, type = "standardized")
  expect_true(all(is.na(r[noisy$classification == 0, ])))
  half <- which(is.na(noisy$data[, 1]) & noisy$classification == 1)[1]
  p <- noisy$parameters
  expect_equal(r[half, 2], (noisy$data[half, 2] - p$means[2, 1]) / sqrt(p$covariances[2, 2, 1]), ignore_attr = TRUE)
})

# ---- ICL ---------------------------------------------------------------------------------------------

test_that("ICL is BIC plus twice the entropy, of the labels or of the posterior", {
  fit <- em_gmm(iris[, 1:4], n_components = 3, covariance = "EEE", weights = 1 + (1:150 %% 2))
  z <- oracle_posterior(as.matrix(iris[, 1:4]), fit$parameters)
  w <- fit$weights
  expect_equal(ICL(fit), BIC(fit) - 2 * sum(w * log(apply(z, 1, max))), tolerance = 1e-9)
  expect_equal(ICL(fit, type = "soft"), BIC(fit) - 2 * sum(w * ifelse(z > 0, z * log(z), 0)), tolerance = 1e-9)
  expect_equal(ICL(fit), fit$selection$ICL)
  bare <- fit
  bare["data"] <- list(NULL)
  expect_equal(ICL(bare), ICL(fit))
  expect_equal(ICL(bare, "soft"), ICL(fit, "soft"))
  bare["posterior"] <- list(NULL)
  expect_equal(ICL(bare), ICL(fit))
  expect_error(ICL(bare, "soft"), class = "em_error_no_data")
  expect_error(ICL(fit, "hard"), class = "em_error_argument")
})
