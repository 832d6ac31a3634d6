# em_impute(): what goes in and what comes out; every way that data can be difficult; defects of others.

# The message, warning or error of a class, or NULL.
caught <- function(code, class) {
  tryCatch(code, condition = function(c) if (inherits(c, class)) c)
}

test_that("imputations fill the missing cells, and only these", {
  imp <- with_seed(1, impute(airquality, m = 3))
  expect_s3_class(imp, c("em_impute", "em_fit"), exact = TRUE)
  expect_named(imp$imputed, c("Ozone", "Solar.R"))
  expect_equal(dim(imp$imputed$Ozone), c(37, 3))
  expect_identical(colnames(imp$imputed$Ozone), c("1", "2", "3"))
  expect_type(imp$imputed$Ozone, "integer")
  expect_identical(imp$where$Ozone, which(is.na(airquality$Ozone)))
  expect_equal(dim(imp$draws$covariance), c(6, 6, 3))
  expect_identical(rownames(imp$draws$mean), imp$variables)
  expect_false(anyNA(em_complete(imp)))
})

test_that("parameters of continuous data are those of em_mvnorm(), named as the columns are", {
  imp <- impute(airquality[1:4])
  fit <- em_mvnorm(airquality[1:4])
  expect_equal(imp$parameters, fit$parameters)
  expect_equal(imp$loglik, fit$loglik)
  expect_equal(imp$loglik, -2326.6973827983, tolerance = 1e-10)
  # EM's rate by norm2; here from the information
  expect_equal(imp$chain$worst, 0.32044426, tolerance = 0.01)
  expect_equal(vcov(imp), vcov(fit))
})

test_that("the data come by position, by name, and with a formula in any order", {
  run <- function(code) with_seed(5, suppressMessages(code))
  one <- run(em_impute(airquality, m = 2))$imputed
  expect_identical(run(em_impute(data = airquality, m = 2))$imputed, one)
  f <- run(em_impute(~ log(Ozone) + Wind + Temp, data = airquality, m = 2))
  g <- run(em_impute(~ log(Ozone) + Wind + Temp, airquality, m = 2))
  h <- run(em_impute(formula = ~ log(Ozone) + Wind + Temp, data = airquality, m = 2))
  expect_identical(f$imputed, g$imputed)
  expect_identical(f$imputed, h$imputed)
  expect_identical(run(em_impute(~ ., data = airquality, m = 2))$imputed, one)
  expect_identical(run(em_impute(~ . - Day, data = airquality, m = 2))$variables, names(airquality)[1:5])
  expect_error(em_impute(~ Ozone), class = "em_error_data_type")
})

test_that("columns that are not in the formula are carried and reported", {
  message <- expect_message(em_impute(~ Ozone + Wind, data = airquality, m = 1), class = "em_message_left_missing")
  imp <- impute(~ Ozone + Wind, data = airquality)
  expect_equal(imp$columns$action[c(2, 4)], c("carried", "carried"))
  expect_equal(sum(is.na(em_complete(imp)$Solar.R)), 7)
  expect_output(print(imp), "NOT imputed +Solar.R \\(7\\)")
})

test_that("set.seed() alone decides: not threads, not m, not the method's order of work", {
  d <- every_class()
  for (data in list(airquality, d)) {
    two <- with_seed(9, impute(data, m = 2, control = em_control(threads = 1, progress = FALSE)))
    four <- with_seed(9, impute(data, m = 4, control = em_control(threads = 2, progress = FALSE)))
    expect_identical(lapply(four$imputed, function(v) v[, 1:2]), two$imputed)
    other <- with_seed(10, impute(data, m = 2))
    expect_false(identical(other$imputed, two$imputed))
  }
})

test_that("posterior draws and bootstrap vary over imputations; the mean is one data set", {
  for (method in c("posterior", "bootstrap")) {
    imp <- with_seed(1, impute(airquality, method = method, m = 5))
    expect_true(all(apply(imp$imputed$Ozone, 1, stats::sd) > 0))
    expect_true(all(apply(imp$draws$mean, 1, stats::sd)[1:2] > 0))
  }
  mean <- impute(as.matrix(airquality[1:4]), method = "mean", m = 7)
  expect_equal(mean$m, 1)
  # reference values of an independent EM
  expect_equal(mean$imputed$Ozone[c(1, 2, 5), 1], c(-11.467574330, 31.902256072, 9.074589221), tolerance = 1e-6)
  none <- impute(airquality, method = "none")
  expect_equal(none$m, 0)
  expect_length(none$imputed, 0)
})

test_that("intervals after imputation cover, and categories have the right conditional shares", {
  # n = 3000, three classes with means -2, 0, 2; a third missing: the truth is Bayes' rule
  d <- with_seed(1, {
    g <- factor(sample(c("a", "b", "c"), 3000, TRUE, c(0.3, 0.5, 0.2)), levels = c("c", "a", "b"))
    data.frame(g = g, x = c(a = -2, b = 0, c = 2)[as.character(g)] + rnorm(3000))
  })
  truth <- d$g
  d$g[with_seed(2, runif(3000) < 0.3)] <- NA
  imp <- with_seed(3, impute(d, m = 5))
  lost <- imp$where$g
  drawn <- imp$imputed$g
  means <- sapply(1:3, function(k) mean(d$x[lost][row(drawn)][drawn == k]))
  # c, a, b: the means of the classes, give or take their Monte Carlo error (Amelia: .89, -1.42, 0)
  expect_equal(means, c(2, -2, 0), tolerance = 0.15)
  shares <- tabulate(drawn, 3) / length(drawn)
  expect_equal(shares, as.vector(table(truth[lost])) / length(lost), tolerance = 0.1)
  # the latent normal is linear and Bayes' rule is not: .69 is what exact draws reach
  expect_gt(mean(levels(truth)[drawn] == as.character(truth[lost])[row(drawn)]), 0.62)
})

# --- the failure table ---------------------------------------------------------------------------------------------

test_that("exactly collinear and duplicate columns are named, imputed consistently, and said to be handled", {
  d <- normal_with_holes(200, 3, 0.15)
  d$sum <- d$v1 + d$v2
  d$copy <- d$v3
  d$sum[5:9] <- NA
  d$copy[11:30] <- NA
  message <- expect_message(quietly(em_impute(d, m = 2)), "linear in", class = "em_message_ridge")
  imp <- with_seed(1, quietly(impute(d, m = 3)))
  expect_gt(imp$prior$lambda, 0)
  expect_match(paste(imp$columns$note, collapse = " "), "collinear with")
  done <- em_complete(imp)
  expect_false(anyNA(done))
  # the ridge leaves about a thousandth of a standard deviation
  expect_lt(max(abs(done$copy - done$v3)), 0.02)
  expect_lt(max(abs(done$sum - done$v1 - done$v2)), 0.05)
})

test_that("complete columns that are linear in complete columns stay out of the model, and are filled in new rows", {
  d <- normal_with_holes(100, 2, 0.2)
  d <- with_seed(2, cbind(d, a = rnorm(100), b = rnorm(100)))
  d$c <- 2 * d$a - d$b + 3
  d$g <- gl(2, 50, labels = c("x", "y"))
  d$h <- factor(ifelse(d$g == "x", "u", "v"))
  imp <- expect_silent(em_impute(d, m = 2))
  expect_identical(imp$variables, c("v1", "v2", "a", "b", "g=y"))
  expect_match(imp$columns$note[5], "^linear in a, b and so not in the model")
  expect_match(imp$columns$note[7], "^linear in g=y")
  expect_equal(imp$columns$action[5:7], rep("complete", 3))
  new <- predict(imp, data.frame(v1 = NA, v2 = 0, a = 1, b = 2, c = NA, g = c("y", "x"), h = NA))
  expect_equal(new$c, c(3, 3))
  expect_identical(as.character(new$h), c("v", "u"))
  # they need not be there at all
  expect_false(anyNA(predict(imp, data.frame(v1 = NA, v2 = 0, a = 1, b = 2, g = "y"))))
})

test_that("more columns than rows, or hardly fewer, are imputed with a ridge whose strength is reported", {
  for (size in list(c(20, 40), c(50, 45))) {
    d <- normal_with_holes(size[1], size[2], 0.1)
    message <- NULL
    imp <- withCallingHandlers(em_impute(d, m = 2), em_message_ridge = function(m) message <<- m,
                               message = function(m) invokeRestart("muffleMessage"))
    expect_match(conditionMessage(message), "pseudo-observations")
    expect_equal(message$lambda, imp$prior$lambda)
    expect_false(anyNA(em_complete(imp, 2)))
    expect_true(all(abs(unlist(imp$imputed)) < 20))
  }
})

test_that("a full set of dummies is finished with a note that names columns", {
  d <- with_seed(1, {
    g <- sample(4, 60, TRUE)
    d <- as.data.frame(cbind(sapply(1:4, function(k) as.numeric(g == k)), matrix(rnorm(480), 60)))
    d[5:12][matrix(runif(480) < 0.2, 60)] <- NA
    d
  })
  imp <- expect_silent(em_impute(d, m = 2))
  expect_match(imp$columns$note[4], "^linear in V1, V2, V3")
  expect_null(imp$prior)
  expect_false("V4" %in% imp$variables)
  expect_false(anyNA(em_complete(imp)))
})

test_that("the 30 x 6 data that abort R under Amelia are imputed", {
  x <- with_seed(1, {
    s <- matrix(0.5, 6, 6)
    diag(s) <- 1
    x <- matrix(rnorm(180), 30) %*% chol(s)
    x[matrix(runif(180) < 0.4, 30)] <- NA
    x
  })
  for (method in c("posterior", "bootstrap", "mean")) {
    imp <- with_seed(1, suppressWarnings(impute(as.data.frame(x), m = 5, method = method)))
    expect_false(anyNA(em_complete(imp)))
    expect_true(all(abs(unlist(imp$imputed)) < 50))
  }
})

test_that("rows without any value are imputed from the marginal distribution and flagged", {
  d <- airquality[1:4]
  d[c(7, 90), ] <- NA
  expect_message(em_impute(d, m = 1), "2 rows have no observed value", class = "em_message_empty_rows")
  imp <- impute(d, m = 40)
  expect_identical(unname(imp$empty_rows), c(7L, 90L))
  wind <- imp$imputed$Wind
  # mean of 80 draws: within five standard errors
  expect_lt(abs(mean(wind) - mean(d$Wind, na.rm = TRUE)), 5 * sd(d$Wind, na.rm = TRUE) / sqrt(80))
})

test_that("a column without any value is a classed error that names it, or kept on request", {
  d <- airquality
  d$empty <- NA_real_
  error <- expect_error(em_impute(d), "empty", class = "em_error_all_missing")
  expect_equal(error$column, "empty")
  imp <- impute(d, types = c(empty = "carried"))
  expect_true(all(is.na(em_complete(imp)$empty)))
  expect_match(imp$columns$note[7], "153 values left missing")
  expect_error(em_impute(data.frame(x = NA, y = 2)), class = "em_error_all_missing")
})

test_that("constant columns are filled with the constant and stay out of the model", {
  d <- airquality
  d$five <- 5
  d$same <- factor(c("only", rep(c(NA, "only"), 76)), levels = c("only", "other"))
  d$word <- c(NA, rep("w", 152))
  d$five[3:9] <- NA
  imp <- impute(d)
  done <- em_complete(imp, 2)
  expect_true(all(done$five == 5) && all(done$same == "only") && all(done$word == "w"))
  expect_false(any(c("five", "same", "word") %in% imp$variables))
  expect_equal(imp$columns$action[7:9], rep("constant", 3))
  expect_match(imp$columns$note[7], "constant: 7 missing values filled")
  # nothing but constants
  done <- em_complete(impute(data.frame(a = c(1, NA, 1), b = c(2, 2, NA))))
  expect_equal(done, data.frame(a = c(1, 1, 1), b = c(2, 2, 2)))
})

test_that("infinite values are a classed error with column and row", {
  d <- airquality
  d$Wind[7] <- -Inf
  error <- expect_error(em_impute(d), "\"Wind\".*row 7", class = "em_error_infinite")
  expect_equal(error$row, 7)
  # a column that is not modelled may have them
  expect_silent(impute(d, id = "Wind"))
})

test_that("NaN is missing", {
  d <- data.frame(x = c(1, NaN, 3, 4, 6), y = c(2, 1, 4, 4, 5))
  imp <- impute(d)
  expect_equal(imp$where$x, 2)
  expect_false(anyNA(em_complete(imp)))
})

test_that("units do not matter: scales of 1e12 and 1e-9 give the same imputations", {
  d <- normal_with_holes(100, 3)
  scaled <- data.frame(v1 = 1e12 * d$v1, v2 = 1e-9 * d$v2 + 1e-8, v3 = d$v3)
  one <- with_seed(1, impute(d))
  two <- with_seed(1, impute(scaled))
  # spacing of the chain, and thus the draws, are the same
  expect_equal(two$imputed$v1 / 1e12, one$imputed$v1, tolerance = 1e-6)
  expect_equal((two$imputed$v2 - 1e-8) * 1e9, one$imputed$v2, tolerance = 1e-6)
})

test_that("dates and times are imputed as such", {
  d <- every_class()[c("date", "time", "double")]
  done <- em_complete(impute(d))
  expect_s3_class(done$time, "POSIXct")
  expect_identical(attr(done$time, "tzone"), "America/New_York")
  expect_true(all(as.double(done$date) == round(as.double(done$date))))
})

test_that("pairs that are never observed together are warned of", {
  d <- normal_with_holes(200, 3, 0)
  d$v1[1:100] <- NA
  d$v2[101:200] <- NA
  warning <- expect_warning(impute(d), "never observed in the same row", class = "em_warning_not_identified")
  imp <- suppressWarnings(expect_no_message(em_impute(d, m = 2)))
  expect_equal(unlist(imp$identification$never_together, use.names = FALSE), c("v1", "v2"))
  expect_output(print(summary(imp)), "only the prior determines what the data do not: v1")
})

test_that("one missing value, none, and one column are no special cases", {
  d <- airquality[complete.cases(airquality), ]
  expect_message(none <- em_impute(d, m = 2), "no missing values", class = "em_message_nothing_missing")
  expect_identical(em_complete(none, 2), d)
  expect_output(print(none), "nothing")
  d$Wind[4] <- NA
  imp <- impute(d)
  expect_equal(dim(imp$imputed$Wind), c(1, 2))
  one <- impute(data.frame(x = c(1, 2, NA, 4, 7)))
  expect_false(anyNA(em_complete(one)))
  expect_identical(em_complete(impute(data.frame(a = 1, b = "x"))), data.frame(a = 1, b = "x"))
})

test_that("list columns pass through untouched", {
  d <- airquality
  d$list <- lapply(seq_len(153), function(i) if (i == 2) NULL else letters[1:3])
  imp <- impute(d)
  expect_identical(em_complete(imp)$list, d$list)
  expect_match(imp$columns$note[7], "not modelled")
})

test_that("integer columns stay integer", {
  done <- em_complete(impute(airquality))
  expect_type(done$Ozone, "integer")
  d <- data.frame(count = c(rep(0:3, 10), NA, NA), x = rnorm(42))
  done <- em_complete(impute(d))
  expect_type(done$count, "integer")
  expect_true(all(done$count %in% 0:3))
})

test_that("harsh bounds are kept without a pile at the bound", {
  d <- with_seed(1, data.frame(x = rnorm(200), y = rnorm(200)))
  d$x[1:110] <- NA
  imp <- with_seed(2, impute(d, bounds = list(x = c(3, NA)), m = 2))
  drawn <- as.double(imp$imputed$x)
  expect_true(all(drawn >= 3))
  expect_lt(mean(drawn == 3), 0.01)
  expect_lt(max(drawn), 7)
  # of the normal distribution beyond 3 standard deviations the mean is at 3.28; in one imputation parameters vary
  expect_equal(mean(drawn), 3.28, tolerance = 0.05)
  both <- impute(d, bounds = list(x = c(0, 0.5)))
  expect_true(all(both$imputed$x >= 0 & both$imputed$x <= 0.5))
  expect_gt(length(unique(both$imputed$x)), 200)
})

test_that("a fit that does not converge says so by flag, warning and print", {
  skip_if_not_installed("mice")
  control <- em_control(max_iter = 2, progress = FALSE)
  warning <- expect_warning(impute(mice::boys[c("age", "hgt", "wgt", "hc")], control = control, method = "mean"),
                            class = "em_warning_not_converged")
  imp <- suppressWarnings(impute(mice::boys[c("age", "hgt", "wgt", "hc")], control = control, method = "mean"))
  expect_false(imp$converged)
  expect_output(print(imp), "NOT CONVERGED")
})

test_that("several equally high maxima are warned of", {
  murray <- data.frame(a = c(1, 1, -1, -1, 2, 2, -2, -2, NA, NA, NA, NA),
                       b = c(1, -1, 1, -1, NA, NA, NA, NA, 2, 2, -2, -2))
  expect_warning(imp <- expect_no_message(em_impute(murray, m = 1)), class = "em_warning_multimodal")
  expect_null(imp$prior)
  expect_length(imp$fit$modes, 2)
  expect_warning(suppressMessages(em_impute(murray, m = 1, prior = NULL)), class = "em_warning_multimodal")
})

# --- what Amelia 1.8.1 gets wrong ------------------------------------------------------------------------------------

test_that("a logarithm comes back without a shift (Amelia: imputed mean higher by 1)", {
  d <- with_seed(1, {
    z <- rnorm(400)
    data.frame(x = exp(z - 2), z = z + 0.3 * rnorm(400))
  })
  truth <- d$x
  lost <- with_seed(2, sample(400, 130))
  d$x[lost] <- NA
  for (transform in c("log", "log_shift", "log1p")) {
    imp <- with_seed(3, impute(d, transform = c(x = transform), m = 5))
    expect_lt(abs(mean(log(imp$imputed$x + 1)) - mean(log(truth[lost] + 1))), 0.08)
  }
  # conditional medians on the log scale are those of the regression
  fit <- impute(d, transform = list(x = "log"), method = "mean")
  by_hand <- exp(predict(lm(log(x) ~ z, d), d[fit$where$x, ]))
  expect_equal(fit$imputed$x[, 1], unname(by_hand), tolerance = 1e-6)
})

test_that("names belong to the parameters whatever the order of missingness (Amelia: the row of Ozone is Wind)", {
  for (m in c(1, 3)) {
    imp <- impute(airquality, m = m)
    expect_equal(imp$parameters$mean[["Wind"]], mean(airquality$Wind))
    expect_equal(rownames(imp$draws$mean), names(airquality))
    # the mean of a complete column varies by its standard error only
    expect_true(all(abs(imp$draws$mean["Temp", ] - mean(airquality$Temp)) < 5 * sd(airquality$Temp) / sqrt(153)))
  }
})

# --- arguments ------------------------------------------------------------------------------------------------------

test_that("wrong arguments are classed errors", {
  expect_error(em_impute(airquality, m = 0), class = "em_error_argument")
  expect_error(em_impute(airquality, method = "pmm"), class = "em_error_argument")
  expect_error(em_impute(), "needs `data`", class = "em_error_data_type")
  expect_error(em_impute(m = 2), class = "em_error_data_type")
  expect_error(em_impute(airquality, prior = -1), class = "em_error_prior")
  expect_error(em_impute(airquality, prior = "ridge!"), class = "em_error_prior")
  expect_error(em_impute(airquality, id = "Nobody"), class = "em_error_id")
  expect_error(em_impute(airquality, bonds = list()), class = "em_error_unused_argument")
  expect_error(em_impute(airquality, control = list()), class = "em_error_argument")
  expect_error(em_impute(sum), class = "em_error_data_type")
  expect_error(em_impute(data.frame()), class = "em_error_no_columns")
  expect_error(em_impute(airquality[0, ]), class = "em_error_no_rows")
})

test_that("a number, an object or NULL is taken as the prior", {
  ridge <- impute(airquality[1:4], prior = 10, method = "mean")
  expect_equal(ridge$parameters, em_mvnorm(airquality[1:4], prior = em_mvnorm_prior("ridge", strength = 10))$parameters)
  expect_output(print(ridge), "ridge of 10 pseudo-observations")
  wishart <- impute(airquality[1:4], prior = em_mvnorm_prior("inverse_wishart"), m = 1)
  expect_output(print(wishart), "inverse Wishart")
  expect_null(impute(airquality[1:4], prior = NULL)$prior)
  expect_null(impute(airquality[1:4])$prior)
})

test_that("priors of cells are kept to, by name and number, mean or interval, and for a whole column", {
  d <- airquality[1:4]
  p <- data.frame(row = c(5, 10), column = c("Ozone", "Ozone"), mean = c(60, 50), sd = c(1, 0.01))
  imp <- with_seed(1, impute(d, cell_priors = p, m = 20))
  at <- match(c(5, 10), imp$where$Ozone)
  expect_equal(mean(imp$imputed$Ozone[at[1], ]), 60, tolerance = 0.02)
  expect_true(all(imp$imputed$Ozone[at[2], ] == 50))
  q <- matrix(c(5, 1, 58, 62, 0.95), 1)
  imp <- with_seed(1, impute(d, cell_priors = q, m = 20))
  expect_equal(mean(imp$imputed$Ozone[at[1], ]), 60, tolerance = 0.02)
  all <- check_cell_priors(rbind(c(0, 2, 100, 5), c(6, 2, 50, 1)), make_encoder(data_columns(d), list(), NULL),
                           data_columns(d), as.matrix(d))
  expect_equal(nrow(all), 7)
  expect_equal(all[all[, 1] == 6, 3:4], c(50, 1))
  # on the scale of the data where a column is transformed
  imp <- with_seed(1, impute(d, cell_priors = data.frame(row = 5, column = 1, lower = 90, upper = 110,
                                                         confidence = 0.99),
                             transform = list(Ozone = "log"), m = 20))
  expect_true(all(abs(imp$imputed$Ozone[at[1], ] - 100) < 25))
  bad <- function(...) expect_error(em_impute(d, cell_priors = data.frame(...)), class = "em_error_cell_priors")
  bad(row = 1, column = "Ozone", mean = 3, sd = 1)
  bad(row = 5, column = "Oz", mean = 3, sd = 1)
  bad(row = 5, column = "Ozone", mean = 3, sd = 0)
  bad(row = c(5, 5), column = "Ozone", mean = 3, sd = 1)
  bad(row = 5, column = "Ozone")
})

test_that("coverage of 95 % intervals is about right in small samples", {
  skip_unless_extended()
  covered <- vapply(1:200, function(i) {
    with_seed(i, {
      s <- matrix(0.5, 3, 3)
      diag(s) <- 1
      x <- matrix(rnorm(120), 40) %*% chol(s)
      d <- data.frame(y = x[, 1], x1 = x[, 2], x2 = x[, 3])
      d$x1[runif(40) < plogis(-0.4 + 1.5 * d$y)] <- NA
      d$x2[runif(40) < 0.15] <- NA
      fits <- with(impute(d, m = 20), lm(y ~ x1 + x2))
      pooled <- em_pool(fits)
      pooled$conf.low <= c(0, 1 / 3, 1 / 3) & pooled$conf.high >= c(0, 1 / 3, 1 / 3)
    })
  }, logical(3))
  # binomial: .95 within 3.5 standard errors of 200 repetitions
  expect_true(all(rowMeans(covered) > 0.895))
})

test_that("conditional means within bounds are those of the truncated distribution", {
  imp <- impute(as.matrix(airquality[1:4]), bounds = list(Ozone = c(0, 60)), method = "mean")
  free <- impute(as.matrix(airquality[1:4]), method = "none")
  plain <- predict(free, airquality[1:4], type = "interval", level = 0.5)
  first <- plain[plain$column == "Ozone", ][1, ]
  sd <- (first$upper - first$lower) / (2 * qnorm(0.75))
  by_hand <- integrate(function(z) z * dnorm(z, first$estimate, sd), 0, 60)$value /
    diff(pnorm(c(0, 60), first$estimate, sd))
  expect_equal(imp$imputed$Ozone[1, 1], by_hand, tolerance = 1e-6, ignore_attr = TRUE)
  expect_true(all(imp$imputed$Ozone > 0 & imp$imputed$Ozone < 60))
  expect_equal(predict(imp)[5, 1], imp$imputed$Ozone[1, 1], ignore_attr = TRUE)
})
