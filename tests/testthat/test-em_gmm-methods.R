# Prediction, simulation, print and summary against definitions written out in plain R.

fit_faithful <- function(...) em_gmm(faithful, n_components = 2, covariance = "VVV", ...)

# A mixture with missing values, and a noise component that takes part.
fit_with_noise <- function() {
  x <- rbind(as.matrix(faithful), with_seed(1, cbind(stats::runif(40, 1.5, 5.2), stats::runif(40, 42, 97))))
  x <- punch_holes(x, 0.1, seed = 2)
  em_gmm(x, n_components = 2, covariance = "VVI", noise = TRUE)
}

new_rows <- function() {
  data.frame(waiting = c(50, 80, NA, NA, 400), other = letters[1:5], eruptions = c(2, NA, 4, NA, -30),
             row.names = c("short", "half", "other", "empty", "far"))
}

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

# ---- print and summary -------------------------------------------------------------------------------

# The lines of the trust report as one, from a summary with some elements changed.
report_text <- function(summary, ...) {
  summary <- utils::modifyList(summary, list(...))
  gsub("\\s+", " ", paste(utils::capture.output(print(summary)), collapse = " "))
}

test_that("print shows a fit in at most 15 lines", {
  wide <- cbind(as.matrix(iris[, 1:4]), with_seed(1, matrix(stats::rnorm(150 * 12), 150)))
  fits <- list(
    fit_faithful(), fit_with_noise(),
    em_gmm(wide, n_components = 3, covariance = "EII"),
    em_gmm(faithful, n_components = 9, covariance = "EII", equal_proportions = TRUE, weights = rep(c(1, 2), 136)),
    em_gmm(faithful$waiting, n_components = 1)
  )
  for (fit in fits) {
    lines <- utils::capture.output(print(fit))
    expect_lte(length(lines), 15)
    expect_lte(max(nchar(lines)), getOption("width"))
    expect_true(any(grepl("BIC", lines)))
  }
  utils::capture.output(expect_invisible(print(fits[[1]])))
})

test_that("print and summary read as they should", {
  local_reproducible_output(width = 85)
  # from one start: how many of several agree may depend on the last bits of a machine's arithmetic
  long <- 1 + (faithful$eruptions > 3)
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE", start = long)
  expect_snapshot(print(fit), transform = hide_path)
  expect_snapshot(print(summary(fit, se = TRUE)), transform = hide_path)
})

test_that("numbers are rounded once and never padded with zeros that are not there", {
  expect_equal(format_number(c(9.568651, 11.472353), 4), c("9.569", "11.472"))
  expect_equal(format_number(c(218.798452, 47.409079), 4), c("218.80", "47.41"))
  expect_equal(format_number(c(NA, 1.23456), 3), c("-", "1.23"))
  for (x in list(c(9.568651, 11.472353), c(0.0123456, 123.456789), 1 / 3, c(1e-9, 2.5e-9) / 3)) for (digits in 2:7) {
    text <- format_number(x, digits)
    decimals <- nchar(sub("e.*$", "", sub("^[^.]*\\.?", "", text)))
    exponent <- ifelse(grepl("e", text), as.numeric(sub("^.*e", "", text)), 0)
    expect_true(all(abs(as.numeric(text) - x) <= 0.5000001 * 10^(exponent - decimals)))
  }
  fit <- fit_faithful()
  fit$parameters$means[] <- c(3.6359, 9.5687, 2.5423, 11.4724)
  old <- options(digits = 5)
  on.exit(options(old))
  expect_output(print(fit), " 9.57\n.* 11.47\n")
})

test_that("the fit table keeps to the width of the console", {
  fit <- fit_faithful()
  table <- gmm_fit_table(fit)
  expect_match(fit_table_lines(table, 80)[2], "\\(lower is better\\)$")
  expect_equal(fit_table_lines(table, 66)[3], formatC("(lower is better)", width = nchar(fit_table_lines(table, 66)[2])))
  long <- replace(table, c("loglik", "AIC", "BIC", "ICL"), c(7.6379800739e10, -1.52e11, -1.52e11, -1.52e11))
  long$nobs <- 2.72e9
  for (wide in list(table, long)) {
    lines <- fit_table_lines(wide, 80)
    expect_lte(max(nchar(lines)), 80)
    expect_equal(sum(grepl("(lower is better)", lines, fixed = TRUE)), 1)
  }
  fit$variables <- rownames(fit$parameters$means) <- c("a rather long name of a variable", "b")
  colnames(fit$parameters$means) <- names(fit$parameters$proportions) <- c(strrep("long name ", 9), "other")
  expect_lte(max(nchar(utils::capture.output(print(fit)))), 80)
})

test_that("print, the report and the plot count the starts alike", {
  fit <- fit_faithful()
  fit$starts <- data.frame(
    start = 1:7, method = "search", loglik = c(-5, -5, -6, -5.5, -7, NA, NA),
    status = c("converged", "max_iter", "converged", "non_monotone", "screened", "degenerate", "degenerate"),
    iterations = 9L, best = c(TRUE, TRUE, FALSE, FALSE, FALSE, FALSE, FALSE)
  )
  agree <- starts_that_agree(fit)
  expect_equal(agree[c("n", "best", "screened", "lost")], list(n = 4L, best = 2L, screened = 1L, lost = 2L))
  expect_output(print(fit), "; 2 of 4 completed starts agree.", fixed = TRUE)
  expect_match(
    report_text(summary(fit)), fixed = TRUE,
    "2 of 4 completed starts reached the best optimum; 1 worse after a short run; 2 degenerate."
  )
  fit$starts <- fit$starts[1:4, ]
  expect_output(print(fit), "; 2 of 4 starts agree.", fixed = TRUE)
})

test_that("the report speaks of the stopping rule and of gains in words", {
  report <- summary(fit_faithful())
  gains <- function(last, rate, left) list(rule = "aitken", last_gain = last, rate = rate, remaining_gain = left)
  expect_match(
    report_text(report, convergence = gains(-2e-13, -0.3, 1e-14)), fixed = TRUE,
    "by Aitken's rule (gain left below the tolerance); last gain below rounding, expected remaining gain below rounding."
  )
  expect_match(report_text(report, convergence = gains(0.00123, 0.5, 0.00124)), fixed = TRUE,
               "last gain 0.0012, rate 0.5, expected remaining gain 0.0012.")
})

test_that("a spurious fit is called so", {
  fit <- fit_faithful()
  expect_equal(summary(fit)$spurious, "")
  fit$selection$status <- "spurious"
  fit$selection$message <- "a component rests on 2.99 observations, fewer than the 3 that its own covariance parameters need"
  fit$degeneracy$size[2] <- 2.996
  lines <- utils::capture.output(print(fit))
  expect_lte(length(lines), 15)
  expect_match(paste(lines, collapse = " "), "SPURIOUS: a component rests on 2.99 observations")
  expect_match(report_text(summary(fit)), fixed = TRUE, paste(
    "SPURIOUS: a component rests on 2.99 observations, fewer than the 3 that its own covariance parameters need.",
    "In detail: component 2 rests on too few observations (size 2.99, relative variance"
  ))
  expect_match(report_text(summary(fit)), "relative variance [0-9.]+\\)\\. identification")
  # a component needs no rows of its own for a covariance matrix that it shares, or that is fixed
  fit$covariance <- "EEE"
  expect_equal(near_degenerate(fit)$concern, c("", ""))
  fit$covariance <- "VVI"
  expect_equal(own_rows_needed(fit), 2)
})

test_that("the names of known classes are used throughout", {
  known <- replace(as.character(iris$Species), seq_len(150) %% 5 > 0, NA)
  fit <- em_gmm(iris[, 1:4], n_components = 3, covariance = "EEE", known = known)
  report <- summary(fit, parameters = TRUE)
  expect_equal(dimnames(report$overlap), rep(list(c("setosa", "versicolor", "virginica")), 2))
  expect_output(print(report), "Covariance of component setosa")
  expect_type(predict(fit), "integer")
  expect_gt(mean(colnames(fit$parameters$means)[predict(fit)] == iris$Species), 0.95)
})

test_that("a fit that did not converge says so", {
  fit <- fit_iterations(3, faithful, n_components = 3, covariance = "VVV")
  expect_output(print(fit), "NOT CONVERGED")
  expect_output(print(summary(fit)), "NO \\(max_iter\\)")
})

test_that("the trust report names components that are nearly degenerate", {
  x <- rbind(as.matrix(faithful), with_seed(1, cbind(3 + 1e-5 * stats::rnorm(12), 60 + 1e-4 * stats::rnorm(12))))
  fit <- em_gmm(x, n_components = 3, covariance = "VVV", start = c(1 + (faithful$eruptions > 3), rep(3, 12)))
  report <- summary(fit)
  expect_true(any(nzchar(report$degeneracy$concern)))
  expect_output(print(report), "nearly singular")
})

test_that("summary() holds the table of components", {
  fit <- fit_with_noise()
  table <- summary(fit)$components
  expect_equal(table$component, c("1", "2", "noise"))
  expect_equal(table$rows, as.vector(table(factor(fit$classification, c(1, 2, 0)))))
  expect_equal(sum(table$rows), nrow(fit$data))
  expect_equal(table$uncertainty[1], mean(1 - fit$posterior[fit$classification == 1, 1]))
  weighted <- em_gmm(faithful, n_components = 2, covariance = "EEE", weights = rep(1:2, 136))
  expect_equal(sum(summary(weighted)$components$weight), 408)
  expect_output(print(summary(fit)), "missing values")
})

test_that("overlap is the integral of the root of the product of two densities", {
  fit <- em_gmm(iris$Sepal.Length, n_components = 2, covariance = "V")
  p <- fit$parameters
  root <- function(v) sqrt(stats::dnorm(v, p$means[1], sqrt(p$covariances[1])) *
                             stats::dnorm(v, p$means[2], sqrt(p$covariances[2])))
  overlap <- summary(fit)$overlap
  expect_equal(overlap[1, 2], stats::integrate(root, 0, 15, rel.tol = 1e-10)$value, tolerance = 1e-8)
  expect_equal(diag(overlap), c(1, 1), ignore_attr = TRUE)
  expect_output(print(summary(em_gmm(faithful, n_components = 8, covariance = "EII"))), "closest pairs")
})

test_that("summary(se = TRUE) gives the standard errors of vcov(), of any type", {
  fit <- fit_faithful()
  expect_equal(summary(fit, se = TRUE)$coefficients$std_error, unname(sqrt(diag(vcov(fit)))))
  expect_equal(summary(fit, se = TRUE, type = "sandwich")$coefficients$std_error,
               unname(sqrt(diag(vcov(fit, "sandwich")))))
  expect_null(summary(fit)$coefficients$std_error)
  expect_output(print(summary(fit, parameters = TRUE)), "Covariance of component 2")
  expect_error(summary(fit, type = "sandwich"), class = "em_error_unused_argument")
})
