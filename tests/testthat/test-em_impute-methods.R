# print(), summary() and the parameters.

test_that("print() is short and says what matters", {
  imp <- impute(airquality, m = 20)
  lines <- capture.output(print(imp))
  expect_lte(length(lines), 15)
  expect_match(lines[1], "20 imputations of 153 rows x 6 columns, by posterior draws")
  text <- paste(lines, collapse = "\n")
  expect_match(text, "Ozone \\(37\\), Solar.R \\(7\\): 44 cells in 42 rows")
  expect_match(text, "worst fraction of missing\\s+information 0\\.36")
  expect_match(text, "prior +none")
  expect_lte(length(capture.output(print(impute(every_class(), m = 2)))), 15)
  expect_output(print(impute(airquality, method = "none")), "predict\\(\\) imputes new data")
})

test_that("summary() says what was done to every column", {
  d <- every_class()
  d$constant <- c(NA, rep(3, 59))
  s <- summary(impute(d, id = "date"))
  expect_s3_class(s, "summary.em_impute")
  out <- paste(capture.output(print(s)), collapse = "\n")
  for (name in names(d)) expect_match(out, name, fixed = TRUE)
  expect_match(out, "identifies rows")
  expect_match(out, "one observed value|constant: 1 missing value filled")
  expect_match(out, "Shares of factor")
  expect_match(out, "America|2021-")
  expect_equal(rowSums(s$shares$factor), c(observed = 1, imputed = 1))
  # imputed values beyond the observed range are counted
  expect_output(print(summary(with_seed(1, impute(airquality, m = 20)))), "outside the observed range: Ozone")
  expect_output(print(summary(impute(airquality, method = "none"))), "Columns")
})

test_that("parameters, criteria and tables are there", {
  imp <- impute(airquality[1:4], m = 2)
  expect_equal(as.numeric(logLik(imp)), imp$loglik)
  expect_equal(attr(logLik(imp), "df"), 14)
  expect_equal(nobs(imp), 153)
  expect_named(coef(imp)[1:2], c("mean[Ozone]", "mean[Solar.R]"))
  expect_identical(names(coef(imp)), colnames(vcov(imp)))
  expect_equal(glance(imp)$AIC, AIC(imp))
  expect_equal(glance(imp)$worst, imp$chain$worst)
  # standard errors of the means, reference values
  expect_equal(tidy(imp)$std.error[1:4], c(2.782497917, 7.428372448, 0.283885475, 0.762716880), tolerance = 1e-6)
  expect_equal(ncol(tidy(imp, conf.int = TRUE)), 5)
  expect_equal(sum(augment(imp)$.n_imputed), 44)
  expect_equal(dim(confint(imp)), c(14, 2))
  mixed <- impute(every_class(), m = 2)
  expect_error(vcov(mixed), class = "em_error_not_available")
  expect_equal(nrow(tidy(mixed)), length(coef(mixed)))
  expect_equal(glance(mixed)$model, "latent")
})

test_that("update() changes the call", {
  imp <- suppressMessages(em_impute(airquality, m = 2))
  expect_equal(update(imp, m = 4)$m, 4)
  imp <- suppressMessages(em_impute(~ Ozone + Wind, data = airquality, m = 2))
  more <- suppressMessages(update(imp, ~ . + Temp))
  expect_identical(more$variables, c("Ozone", "Wind", "Temp"))
})
