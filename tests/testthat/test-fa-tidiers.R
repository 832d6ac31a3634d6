fit <- em_fa(datasets::mtcars, n_factors = 2)

test_that("tidy() gives loadings by variable, or coefficients with their standard errors", {
  table <- tidy(fit)
  expect_named(table, c("variable", "uniqueness", "fl1", "fl2"))
  expect_identical(table$variable, names(datasets::mtcars))
  expect_equal(table$fl2, unname(unclass(fit$loadings)[, 2]))
  expect_equal(tidy(fit, standardized = FALSE)$uniqueness, unname(fit$parameters$uniquenesses))
  parameters <- tidy(fit, "parameters", conf.int = TRUE)
  expect_identical(parameters$term, names(coef(fit, standardized = TRUE)))
  expect_equal(parameters$std.error, unname(sqrt(diag(vcov(fit, standardized = TRUE)))))
  expect_equal(parameters$conf.high, unname(confint(fit, standardized = TRUE)[, 2]))
  expect_error(tidy(fit, conf.level = 2), class = "em_error_argument")
})

test_that("glance() is one row that says how the fit went", {
  row <- glance(fit)
  expect_identical(nrow(row), 1L)
  expect_equal(row$logLik, fit$loglik)
  expect_equal(row$BIC, stats::BIC(fit))
  expect_equal(row$total.variance, sum(unclass(fit$loadings)^2) / 11)
  expect_equal(c(row$statistic, row$p.value), unlist(fit$test[c("chi_square", "p_value")]), ignore_attr = TRUE)
  expect_identical(nrow(glance(em_fa(covmat = datasets::ability.cov, n_factors = 1))), 1L)
})

test_that("augment() adds scores to the data, to other columns, or to new rows", {
  table <- augment(fit)
  expect_equal(table$.fs1, unname(fit$scores[, 1]))
  expect_identical(dim(table), c(32L, 13L))
  expect_identical(names(augment(fit, data = datasets::mtcars))[12:13], c(".fs1", ".fs2"))
  new <- augment(fit, newdata = replace(datasets::mtcars[3:5, ], 1, NA))
  expect_equal(new$.fs2, unname(predict(fit, replace(datasets::mtcars[3:5, ], 1, NA))[, 2]))
  expect_false(identical(augment(fit, scores = "bartlett")$.fs1, table$.fs1))
  expect_error(augment(fit, data = datasets::mtcars[1:5, ]), class = "em_error_argument")
})

test_that("data without names get those of the fit", {
  x <- unname(data_factors(n = 60, p = 6, q = 2))
  expect_named(augment(em_fa(x, n_factors = 1)), c(paste0("V", 1:6), ".fs1"))
  expect_named(model.frame(em_fa(x, n_factors = 1)), paste0("V", 1:6))
  expect_identical(names(augment(em_gmm(x, n_components = 1)))[1:6], paste0("V", 1:6))
})
