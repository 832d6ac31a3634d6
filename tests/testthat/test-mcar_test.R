# mcar_test(): Little's test.

airq4 <- as.matrix(datasets::airquality[, 1:4])

test_that("the statistic is the sum over patterns of the distances of their means", {
  fit <- em_mvnorm(airq4)
  test <- mcar_test(fit)
  mu <- fit$parameters$mean
  sigma <- fit$parameters$covariance
  key <- apply(is.na(airq4) + 0, 1, paste, collapse = "")
  parts <- lapply(unique(key), function(k) {
    rows <- airq4[key == k, , drop = FALSE]
    o <- which(!is.na(rows[1, ]))
    shift <- colMeans(rows[, o, drop = FALSE]) - mu[o]
    list(d2 = nrow(rows) * sum(shift * solve(sigma[o, o], shift)), df = length(o))
  })
  d2 <- sum(vapply(parts, function(p) p$d2, 0))
  df <- sum(vapply(parts, function(p) p$df, 0)) - 4
  expect_equal(unname(test$statistic), d2, tolerance = 1e-11)
  expect_equal(unname(test$parameter), df)
  expect_equal(test$p.value, stats::pchisq(d2, df, lower.tail = FALSE))
  expect_equal(sum(test$patterns$d2), d2, tolerance = 1e-11)
  expect_equal(test$statistics, c(ml = d2, unbiased = d2 * 152 / 153), tolerance = 1e-11)
})

test_that("the result is an htest, from a fit or from data", {
  test <- mcar_test(airq4)
  expect_s3_class(test, "htest")
  expect_named(test$statistic, "d2")
  expect_named(test$parameter, "df")
  expect_identical(test$data.name, "airq4")
  expect_equal(mcar_test(em_mvnorm(airq4))$statistic, test$statistic)
  expect_output(print(test), "missing completely at random")
  unbiased <- mcar_test(airq4, covariance = "unbiased")
  expect_equal(unname(unbiased$statistic), unname(test$statistic) * 152 / 153)
  expect_equal(unbiased$p.value, stats::pchisq(unbiased$statistic[[1]], unbiased$parameter[[1]], lower.tail = FALSE))
})

test_that("units and the order of columns do not matter", {
  test <- mcar_test(airq4)
  scaled <- mcar_test(sweep(airq4[, 4:1], 2, c(1e9, 1e-9, 1, 1e5), "*"))
  expect_equal(unname(scaled$statistic), unname(test$statistic), tolerance = 1e-8)
})

test_that("rows that observe nothing are no pattern", {
  test <- mcar_test(rbind(airq4, NA, NA))
  expect_equal(test$statistic, mcar_test(airq4)$statistic, tolerance = 1e-9)
  expect_equal(test$parameter, mcar_test(airq4)$parameter)
})

test_that("under MCAR the p-values are about uniform, under MAR they are small", {
  p <- with_seed(3, vapply(seq_len(150), function(i) {
    x <- matrix(stats::rnorm(300 * 3), 300) %*% matrix(c(1, .5, 0, 0, 1, .5, 0, 0, 1), 3)
    x[matrix(stats::runif(900) < 0.15, 300)] <- NA
    mcar_test(x, control = em_control(n_starts = 1))$p.value
  }, 0))
  # 150 draws: five standard errors of the mean of uniform numbers.
  expect_lt(abs(mean(p) - 0.5), 5 * sqrt(1 / 12 / 150))
  expect_gt(stats::ks.test(p, "punif")$p.value, 1e-4)
  x <- data_normal(300, 3, 0)
  x[x[, 1] > stats::median(x[, 1]), 2] <- NA
  expect_lt(mcar_test(x)$p.value, 1e-4)
})

test_that("where the covariance is not determined there is no p-value, and the variables are named", {
  x <- data_file_matching()
  warning <- expect_warning(test <- mcar_test(x), class = "em_warning_not_identified")
  expect_identical(warning$coefficients, "covariance[b,a]")
  expect_true(is.na(test$p.value))
  fit <- quietly(em_mvnorm(x))
  expect_warning(test <- mcar_test(fit), class = "em_warning_not_identified")
  expect_true(is.na(test$p.value))
  # Nearly linear in one another: of the fourth variable less than a millionth is its own.
  y <- data_normal(200, 3, 0.1, seed = 4)
  y <- cbind(y, near = y[, 1] + with_seed(1, stats::rnorm(200)) * 7e-4 * stats::sd(y[, 1], na.rm = TRUE))
  expect_warning(test <- mcar_test(y), "near", class = "em_warning_not_identified")
  expect_true(is.na(test$p.value))
})

test_that("data without anything to compare, weights, and fits without their data are refused", {
  expect_error(mcar_test(datasets::faithful), class = "em_error_nothing_to_test")
  expect_error(mcar_test(em_mvnorm(airq4, weights = rep(2, 153))), class = "em_error_weights")
  expect_error(mcar_test(em_mvnorm(airq4, control = em_control(keep_data = FALSE))), class = "em_condition")
  expect_error(mcar_test(airq4, covariance = "both"), class = "em_error_argument")
  expect_error(mcar_test(em_mvnorm(airq4), weights = 1), class = "em_error_unused_argument")
})
