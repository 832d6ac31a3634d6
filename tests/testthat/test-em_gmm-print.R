# print() and summary().

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
