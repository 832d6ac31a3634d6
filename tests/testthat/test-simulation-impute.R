# Are imputations proper? Three designs, each repeated many times: impute, analyse, pool, and count how often the nominal
# 95 % intervals hold the truth. All run by one command:
#
#   EMKIT_EXTENDED_TESTS=1 make test FILTER=simulation      (about ten minutes on two cores)
#
# With 1000 repetitions the coverage of a true 95 % interval has a standard error of 0.7 %: it lies between .93 and .97 but
# for one time in 200. By default a short run of each design asks for less.

# One repetition: pooled estimates and limits of the regression of y.
pooled_regression <- function(data, formula, m = 20, ...) {
  imputations <- em_impute(data, m = m, control = em_control(threads = 1, progress = FALSE), ...)
  fits <- lapply(em_complete(imputations, "all"), function(d) stats::lm(formula, data = d))
  em_pool(fits)
}

# Repetitions of a design: list(coverage, bias), by coefficient. `draw` makes incomplete data.
repeat_design <- function(n_repetitions, draw, formula, truth, seed, ...) {
  results <- with_seed(seed, lapply(seq_len(n_repetitions), function(i) {
    pooled <- suppressMessages(quietly(pooled_regression(draw(), formula, ...)))
    cbind(inside = pooled$conf.low <= truth & truth <= pooled$conf.high, error = pooled$estimate - truth)
  }))
  inside <- vapply(results, function(r) r[, "inside"], truth)
  error <- vapply(results, function(r) r[, "error"], truth)
  list(coverage = rowMeans(inside), bias = rowMeans(error))
}

# y, x1 and x2 normal with correlations one half. x1 is missing the more often the larger y is (at random, not completely
# at random), x2 completely at random.
draw_regression <- function(n) {
  root <- chol(matrix(0.5, 3, 3) + diag(0.5, 3))
  d <- as.data.frame(matrix(stats::rnorm(3 * n), n) %*% root)
  names(d) <- c("y", "x1", "x2")
  d$x1[stats::runif(n) < stats::plogis(-0.4 + 1.5 * d$y)] <- NA
  d$x2[stats::runif(n) < 0.15] <- NA
  d
}
regression_truth <- c(0, 1 / 3, 1 / 3)

# Three groups with means 0, 1 and 2, whose label is missing the more often the larger y is.
draw_groups <- function(n = 300) {
  g <- sample.int(3, n, TRUE, c(0.5, 0.3, 0.2))
  z <- stats::rnorm(n)
  y <- g - 1 + 0.5 * z + stats::rnorm(n)
  g <- factor(c("a", "b", "c")[g])
  g[stats::runif(n) < stats::plogis(-1 + 0.7 * y)] <- NA
  data.frame(y, g, z)
}
groups_truth <- c(0, 1, 2, 0.5)

test_that("posterior draws cover at the nominal level, n = 100 and values missing at random (design A)", {
  skip_unless_extended()
  result <- repeat_design(1000, function() draw_regression(100), y ~ x1 + x2, regression_truth, seed = 101)
  expect_true(all(result$coverage >= 0.93 & result$coverage <= 0.97), label = toString(round(result$coverage, 3)))
  expect_true(all(abs(result$bias) < 0.02), label = toString(round(result$bias, 3)))
})

test_that("posterior draws cover at the nominal level with 40 rows (design B)", {
  skip_unless_extended()
  result <- repeat_design(1000, function() draw_regression(40), y ~ x1 + x2, regression_truth, seed = 102)
  expect_true(all(result$coverage >= 0.93 & result$coverage <= 0.97), label = toString(round(result$coverage, 3)))
})

test_that("posterior draws cover at the nominal level or a little above with 20 rows", {
  skip_unless_extended()
  result <- repeat_design(1000, function() draw_regression(20), y ~ x1 + x2, regression_truth, seed = 105)
  expect_true(all(result$coverage >= 0.93 & result$coverage <= 0.985), label = toString(round(result$coverage, 3)))
})

test_that("nominal labels are imputed without attenuation (design C)", {
  skip_unless_extended()
  result <- repeat_design(1000, draw_groups, y ~ g + z, groups_truth, seed = 103)
  expect_true(all(abs(result$bias) < 0.05), label = toString(round(result$bias, 3)))
  expect_true(all(result$coverage >= 0.92), label = toString(round(result$coverage, 3)))
})

test_that("a short run of the designs is free of gross errors", {
  # 60 repetitions: a coverage of .95 is at least .85 but for one time in 500; the bias has a standard error of about .02.
  a <- repeat_design(60, function() draw_regression(60), y ~ x1 + x2, regression_truth, seed = 104, m = 10)
  expect_true(all(a$coverage >= 0.85), label = toString(round(a$coverage, 3)))
  expect_true(all(abs(a$bias) < 0.08), label = toString(round(a$bias, 3)))
})
