# Which prior, and how long a chain.

test_that("the chain is as long as the worst fraction of missing information asks for, within limits", {
  run <- list(model = "normal", fit = list(method = "em"), worst = 0.9)
  plan <- function(worst) {
    run$worst <- worst
    plan_chain(NULL, run, "posterior", em_control())$spacing
  }
  expect_equal(plan(0.9), ceiling(log(0.01) / log(0.9)))
  expect_equal(plan(0.1), 10)
  expect_equal(plan(NA), 10)
  warning <- expect_warning(spacing <- plan(0.9999), class = "em_warning_slow_mixing")
  expect_equal(spacing, 5000)
  expect_equal(warning$worst, 0.9999)
  expect_equal(plan_chain(NULL, run, "bootstrap", em_control())$spacing, 0)
})

test_that("monotone patterns need no chain", {
  d <- with_seed(1, data.frame(a = rnorm(60), b = rnorm(60), c = rnorm(60)))
  d$b[1:20] <- NA
  d$c[1:30] <- NA
  imp <- impute(d)
  expect_true(imp$chain$exact)
  expect_equal(imp$iterations, 0)
  expect_output(print(imp), "monotone")
})

test_that("a ridge is added only where rows are few", {
  expect_null(few_rows(as.matrix(normal_with_holes(40, 3, 0.3))))
  expect_equal(few_rows(as.matrix(normal_with_holes(30, 6, 0.4)))$lambda, 1)
  few <- few_rows(as.matrix(normal_with_holes(20, 40, 0.1)))
  expect_false(few$may_do)
  expect_gte(few$lambda, 40 - 20 + 2)
  expect_true(few$wide)
})

test_that("collinear columns are found and named", {
  x <- with_seed(1, matrix(rnorm(300), 100, dimnames = list(NULL, c("a", "b", "c"))))
  expect_null(collinear_among(stats::cov(x)))
  y <- cbind(x, d = x[, 1] - 2 * x[, 2])
  found <- collinear_among(stats::cov(y))
  expect_length(found$columns, 1)
  expect_match(found$sentence, "is linear in")
  expect_false(grepl("\"c\"", found$sentence))
  # complete columns are looked at before, in all rows
  expect_null(collinear_rows(y))
  y[1, 4] <- NA
  expect_false(is.null(collinear_rows(y)))
  expect_null(collinear_rows(x))
})

test_that("the posterior's prior gives regressions n - p degrees of freedom, with the ridge on top", {
  expect_equal(posterior_prior(NULL, 4, 100)$exponent, 2)
  ridge <- list(type = "ridge", exponent = 3, scale = diag(4))
  expect_equal(posterior_prior(ridge, 4, 100)$exponent, 5)
  # few rows: towards Jeffreys', so that the inverse Wishart posterior has at least 2 p degrees of freedom where it can
  expect_equal(posterior_prior(NULL, 4, 10)$exponent, 4)
  expect_equal(posterior_prior(NULL, 4, 5)$exponent, 5)
})

test_that("the residual variance of imputed values has the spread of linear regression's", {
  # One incomplete column, so that the posterior is drawn exactly: residual variance over its draws is a sum of squares over
  # a chi-squared of n - p degrees of freedom, whose mean is the sum of squares over n - p - 2. 4000 draws: its relative
  # standard error is about sqrt(2 / (n - p)) / sqrt(4000), .005.
  x <- with_seed(21, as.data.frame(matrix(stats::rnorm(90), 30)))
  x$V3 <- x$V1 - x$V2 + x$V3
  x$V3[25:30] <- NA
  imp <- with_seed(22, em_impute(x, m = 4000, control = em_control(progress = FALSE)))
  drawn <- apply(imp$draws$covariance, 3, function(s) s[3, 3] - s[3, 1:2] %*% solve(s[1:2, 1:2], s[1:2, 3]))
  rss <- stats::deviance(stats::lm(V3 ~ V1 + V2, x))
  expect_equal(mean(drawn), rss / (24 - 3 - 2), tolerance = 0.025)
  expect_equal(mean(1 / drawn), (24 - 3) / rss, tolerance = 0.025)
})

test_that("columns that are linear in one another but for rounding are imputed consistently", {
  skip_if_not_installed("mice")
  # the body mass index is rounded to two decimals
  imp <- quietly(impute(~ age + log(hgt) + log(wgt) + log(bmi), data = mice::boys, m = 2))
  expect_null(imp$prior)
  expect_lt(imp$chain$worst, 0.9)
  done <- em_complete(imp)
  # to a thousandth of the standard deviation of its logarithm, about .15
  expect_lt(max(abs(log(done$bmi) - log(done$wgt / (done$hgt / 100)^2))), 0.005)
})

test_that("warnings of the fit reach the user once", {
  d <- normal_with_holes(100, 3, 0.3)
  seen <- 0
  control <- em_control(max_iter = 1, progress = FALSE)
  withCallingHandlers(impute(d, control = control), em_warning_not_converged = function(w) {
    seen <<- seen + 1
    invokeRestart("muffleWarning")
  })
  expect_equal(seen, 1)
})

test_that("in wide models the rate of EM stands for the worst fraction of missing information", {
  d <- normal_with_holes(300, 28, 0.05)
  imp <- impute(d)
  expect_equal(imp$chain$worst, imp$convergence$rate)
  expect_equal(imp$chain$worst_by, "rate")
  expect_equal(impute(airquality)$chain$worst_by, "information")
  # an iteration that ends at once has no rate to speak of
  fit <- list(method = "em", missing_information = list(worst = 0), convergence = list(rate = 0))
  expect_equal(worst_fraction(fit, cbind(c(NA, 1, 2, 3), 1:4)), 0.25)
  expect_output(print(imp), "missing information 0[.][0-9]+, by\\s+the rate")
  d[-(1:2)] <- normal_with_holes(300, 26, 0, seed = 2)
  d$v2 <- normal_with_holes(300, 1, 0, seed = 3)[[1]]
  imp <- impute(d)
  expect_true(imp$chain$exact)
  expect_output(print(imp), "monotone")
  expect_false(any(grepl("unknown|; *$", capture.output(print(imp)))))
})

test_that("with few rows the ridge is added only where the fit without it is next to undetermined", {
  # 40 rows and 3 columns, coverage .95 without a ridge; of 20 rows .93 to .95, with a ridge of 1 up to .98
  expect_null(expect_no_message(em_impute(normal_with_holes(20, 3, 0.2), m = 2))$prior)
  d <- normal_with_holes(30, 6, 0.4)
  expect_true(few_rows(as.matrix(d))$may_do)
  expect_equal(impute(d)$prior$lambda, 1)
  expect_null(fit_without_prior(as.matrix(d), matrix(0, 0, 4), em_control(progress = FALSE), 0.5))
})
