# em_pool_test(): pooled tests of several coefficients.

# Imputed data of airquality, and the fits of a larger and a smaller model.
tested_data <- function(m = 8) {
  lapply(imputed_air(m, seed = 3), function(d) transform(d, count = round(exp(log_ozone))))
}
larger <- function() lapply(tested_data(), function(d) lm(log_ozone ~ Wind + Temp + month, d))
smaller <- function() lapply(tested_data(), function(d) lm(log_ozone ~ Wind + Temp, d))
logistic <- function() lapply(tested_data(), function(d) glm(high ~ Wind + Temp + month, binomial, d))
logistic0 <- function() lapply(tested_data(), function(d) glm(high ~ Wind + Temp, binomial, d))

# What mitml::testModels() gives: F, df1, df2, p, r.
numbers <- function(test) unname(c(test$statistic, test$parameter, test$p.value, test$riv))

test_that("D1, D2, D3 and D4 of lm() are those of mitml", {
  skip_if_not_installed("mitml")
  for (method in c("D1", "D2", "D3", "D4")) {
    theirs <- mitml::testModels(larger(), smaller(), method = method)$test
    # df2 amplifies rounding in a difference of log-likelihoods
    ours <- em_pool_test(larger(), smaller(), method = method, df_complete = Inf)
    expect_close(numbers(ours), as.vector(theirs), 1e-9)
  }
  theirs <- mitml::testModels(larger(), smaller(), method = "D2", use = "likelihood")$test
  expect_close(numbers(em_pool_test(larger(), smaller(), method = "D2", use = "likelihood")), as.vector(theirs), 1e-9)
  theirs <- mitml::testModels(larger(), smaller(), method = "D4", ariv = "robust")$test
  expect_close(numbers(em_pool_test(larger(), smaller(), method = "D4", robust = TRUE)), as.vector(theirs), 1e-9)
})

test_that("D1 with finite df_complete uses Reiter's degrees of freedom, as mitml does", {
  skip_if_not_installed("mitml")
  theirs <- mitml::testModels(larger(), smaller(), method = "D1", df.com = 146)$test
  expect_close(numbers(em_pool_test(larger(), smaller())), as.vector(theirs), 1e-10)
})

test_that("D1, D2 and D4 of glm() are those of mitml", {
  skip_if_not_installed("mitml")
  for (method in c("D1", "D2", "D4")) {
    theirs <- mitml::testModels(logistic(), logistic0(), method = method)$test
    # glm() stops at a relative change of 1e-8 of the deviance
    expect_close(numbers(em_pool_test(logistic(), logistic0(), method = method, df_complete = Inf)), as.vector(theirs),
                 1e-6)
  }
})

test_that("D1 is the quadratic form of its definition", {
  test <- em_pool_test(larger(), terms = "month", df_complete = Inf)
  pooled <- em_pool(larger())
  i <- 4:7
  within <- vcov(pooled, "within")[i, i]
  r <- (1 + 1 / 8) * sum(diag(vcov(pooled, "between")[i, i] %*% solve(within))) / 4
  value <- drop(coef(pooled)[i] %*% solve(within) %*% coef(pooled)[i]) / (4 * (1 + r))
  expect_equal(test$statistic[["F"]], value, tolerance = 1e-10)
  expect_equal(test$riv, r, tolerance = 1e-10)
  expect_equal(test$parameter[["df2"]], 4 + 24 * (1 + (1 - 2 / 28) / r)^2, tolerance = 1e-10)
  expect_equal(test$p.value, pf(value, 4, test$parameter[["df2"]], lower.tail = FALSE))
})

test_that("D3 of a logistic regression is that of likelihoods written out", {
  likelihood <- function(fit, beta) {
    p <- 1 / (1 + exp(-drop(model.matrix(fit) %*% beta)))
    sum(log(ifelse(fit$y == 1, p, 1 - p)))
  }
  beta1 <- rowMeans(sapply(logistic(), coef))
  beta0 <- rowMeans(sapply(logistic0(), coef))
  at_pooled <- mean(2 * (sapply(logistic(), likelihood, beta1) - sapply(logistic0(), likelihood, beta0)))
  each <- mean(sapply(logistic0(), deviance) - sapply(logistic(), deviance))
  r <- 9 / (4 * 7) * (each - at_pooled)
  test <- em_pool_test(logistic(), logistic0(), method = "D3")
  # glm() stops at a relative change of 1e-8 of the deviance
  expect_equal(test$riv, r, tolerance = 1e-6)
  expect_equal(test$statistic[["F"]], at_pooled / (4 * (1 + r)), tolerance = 1e-6)
})

test_that("the likelihood of every family equals logLik() at the estimates", {
  data <- tested_data()[[1]]
  data$w <- seq(0.5, 2, length.out = 153)
  fits <- list(
    lm(log_ozone ~ Wind, data, weights = w), lm(log_ozone ~ Wind + offset(Temp / 50), data),
    glm(log_ozone ~ Wind, gaussian, data, weights = w), glm(high ~ Wind, binomial("probit"), data),
    glm(cbind(count, 200 - pmin(count, 200)) ~ Wind, binomial, data),
    glm(count ~ Wind + offset(Temp / 50), poisson, data), glm(count ~ Wind, Gamma("log"), data, weights = w),
    glm(count ~ Wind, inverse.gaussian("log"), data)
  )
  for (fit in fits) {
    model <- likelihood_model(fit)
    expect_equal(log_likelihood(model), as.numeric(logLik(fit)), tolerance = 1e-10)
    expect_equal(model$df, attr(logLik(fit), "df"))
  }
})

test_that("`terms` takes coefficients, terms of the formula and, without any, all but the intercept", {
  by_term <- em_pool_test(larger(), terms = "month")
  expect_equal(by_term$parameter[["df1"]], 4)
  expect_equal(numbers(by_term), numbers(em_pool_test(larger(), terms = paste0("month", 6:9))))
  expect_equal(numbers(by_term), numbers(em_pool_test(larger(), terms = ~ month)))
  expect_equal(numbers(by_term), numbers(em_pool_test(larger(), smaller())))
  expect_equal(em_pool_test(larger())$parameter[["df1"]], 6)
  for (method in c("D3", "D4")) {
    expect_close(numbers(em_pool_test(larger(), terms = "month", method = method)),
                 numbers(em_pool_test(larger(), smaller(), method = method)), 1e-8)
  }
  expect_error(em_pool_test(larger(), terms = "year"), "year", class = "em_error_argument")
})

test_that("the test of one coefficient is the t-test of em_pool()", {
  pooled <- em_pool(larger())
  test <- em_pool_test(larger(), terms = "Wind")
  expect_equal(test$statistic[["F"]], pooled$statistic[2]^2, tolerance = 1e-12)
  expect_equal(test$p.value, pooled$p.value[2], tolerance = 1e-10)
})

test_that("constraints are tested by the delta method", {
  equal <- em_pool_test(larger(), constraints = "month6 = month7")
  direction <- c(0, 0, 0, 1, -1, 0, 0)
  numbers_of <- em_pool(estimate = sapply(larger(), function(fit) sum(direction * coef(fit))),
                        variance = sapply(larger(), function(fit) sum(direction * (vcov(fit) %*% direction))),
                        df_complete = 146)
  expect_equal(equal$statistic[["F"]], numbers_of$statistic^2, tolerance = 1e-10)
  expect_equal(numbers(equal), numbers(em_pool_test(larger(), constraints = t(direction))), tolerance = 1e-10)
  named <- matrix(c(1, -1), 1, dimnames = list(NULL, c("month6", "month7")))
  expect_equal(numbers(equal), numbers(em_pool_test(larger(), constraints = named)), tolerance = 1e-10)
  expect_error(em_pool_test(larger(), constraints = "month6 = july"), "july", class = "em_error_argument")
  expect_error(em_pool_test(larger(), constraints = "month6 = "), class = "em_error_argument")
  expect_error(em_pool_test(larger(), constraints = c("Wind", "2 * Wind")), class = "em_error_singular")
  expect_error(em_pool_test(larger(), constraints = "Wind", method = "D3"), class = "em_error_argument")
  skip_if_not_installed("mitml")
  text <- c("Wind + Temp", "exp(Wind) - `(Intercept)`^2")
  theirs <- mitml::testConstraints(larger(), constraints = gsub("`", "", text), df.com = 146)$test
  # mitml differentiates numerically
  expect_equal(numbers(em_pool_test(larger(), constraints = text)), as.vector(theirs), tolerance = 1e-5)
})

test_that("D4 refits other models to the stacked data", {
  data <- tested_data()
  by_data <- em_pool_test(logistic(), logistic0(), method = "D4", data = data)
  expect_close(numbers(by_data), numbers(em_pool_test(logistic(), logistic0(), method = "D4")), 1e-6)
  skip_if_not_installed("MASS")
  negative <- function(formula) lapply(data, function(d) MASS::glm.nb(formula, d))
  fits <- negative(count ~ Wind + Temp + Day)
  fits0 <- negative(count ~ Wind)
  expect_error(em_pool_test(fits, fits0, method = "D3"), "D4", class = "em_error_no_likelihood")
  expect_error(em_pool_test(fits, fits0, method = "D4"), "`data`", class = "em_error_no_data")
  test <- em_pool_test(fits, fits0, method = "D4", data = data)
  stacked <- do.call(rbind, data)
  stack <- (logLik(MASS::glm.nb(count ~ Wind + Temp + Day, stacked)) - logLik(MASS::glm.nb(count ~ Wind, stacked))) / 8
  expect_equal(test$statistic[["F"]] * 2 * (1 + test$riv), 2 * as.numeric(stack), tolerance = 1e-6)
})

test_that("D4 keeps the clusters of the imputed data sets apart", {
  skip_if_not_installed("nlme")
  data <- tested_data(3)
  mixed <- function(formula) lapply(data, function(d) nlme::lme(formula, d, ~ 1 | month, method = "ML"))
  test <- em_pool_test(mixed(log_ozone ~ Wind + Temp), mixed(log_ozone ~ Wind), method = "D4", data = data)
  stacked <- do.call(rbind, Map(function(d, i) transform(d, own = paste(i, month)), data, 1:3))
  logliks <- sapply(c(log_ozone ~ Wind + Temp, log_ozone ~ Wind), function(formula) {
    as.numeric(logLik(nlme::lme(formula, stacked, ~ 1 | own, method = "ML")))
  })
  # lme() stops its search before the last digits
  expect_equal(test$statistic[["F"]] * (1 + test$riv), 2 * (logliks[1] - logliks[2]) / 3, tolerance = 1e-6)
  reml <- lapply(data, function(d) nlme::lme(log_ozone ~ Wind, d, ~ 1 | month))
  expect_error(em_pool_test(reml, reml, method = "D2", use = "likelihood"), "REML", class = "em_error_no_likelihood")
})

test_that("tests hold their level", {
  # Two estimates whose expectation is 0 and of whose information half is missing: variance 0.5 within
  # imputations, 0.5 between them, and the sum of these about the truth.
  p <- with_seed(8, replicate(600, {
    centre <- rnorm(2)
    fits <- lapply(1:10, function(i) {
      list(estimate = c(a = centre[1], b = centre[2]) + rnorm(2, 0, sqrt(0.5)), vcov = diag(0.5, 2))
    })
    em_pool_test(fits, terms = c("a", "b"), df_complete = Inf)$p.value
  }))
  # four standard errors of a share of 5 % in 600
  expect_lt(abs(mean(p < 0.05) - 0.05), 4 * sqrt(0.05 * 0.95 / 600))
})

test_that("denominator degrees of freedom are positive and at most those of the observed data", {
  for (k in 2:5) for (m in c(2, 3, 5, 20)) for (r in c(0, 1e-6, 0.3, 5)) for (df in c(2, 5, 30, 1e4)) {
    value <- denominator_df(k, m, r, df)
    expect_gt(value, 0)
    # Reiter's formula ends at 4
    expect_lte(value, max(4, df * (df + 1) / (df + 3)) * (1 + 1e-8))
  }
  # without missing information it is the F test of the complete data, up to Reiter's factor
  expect_equal(denominator_df(3, 5, 1e-12, 100), 100 * 101 / 103, tolerance = 1e-6)
  expect_equal(denominator_df(3, 5, 0, Inf), Inf)
})

test_that("a relative increase that comes out negative counts as none", {
  # the stack fits worse than the mean of the fits does: not a likelihood's doing, but rounding's
  test <- stacked_test(statistics = c(5, 5), larger = c(-10, -10), stack = list(-9, -12), k = 2, h = 3, robust = FALSE)
  expect_equal(test$riv, 0)
  expect_equal(test$df2, Inf)
  expect_equal(test$statistic, 3)
})

test_that("models whose stacked likelihood is not a sum are refused by D4", {
  skip_if_not_installed("survival")
  data <- tested_data(2)
  fits <- lapply(data, function(d) survival::coxph(survival::Surv(count) ~ Wind + Temp, d))
  fits0 <- lapply(data, function(d) survival::coxph(survival::Surv(count) ~ Wind, d))
  expect_error(em_pool_test(fits, fits0, method = "D4", data = data), "D1", class = "em_error_no_likelihood")
  expect_error(em_pool_test(larger(), smaller(), method = "D4", data = data), class = "em_error_argument")
  expect_s3_class(em_pool_test(fits, fits0, method = "D2", use = "likelihood"), "htest")
})

test_that("D4 takes the completed data from an imputation", {
  imp <- imputation_by_hand()
  fit <- function(formula) lapply(as_mitml_list(imp), function(d) lm(formula, d))
  fits <- fit(height ~ weight + scale(children))
  fits0 <- fit(height ~ weight)
  by_list <- em_pool_test(fits, fits0, method = "D4", data = as_mitml_list(imp))
  expect_equal(numbers(em_pool_test(fits, fits0, method = "D4", data = imp)), numbers(by_list))
  expect_equal(numbers(em_pool_test(fits, fits0, method = "D4", data = as_imputation_list(imp))), numbers(by_list))
  skip_if_not_installed("mice")
  expect_equal(numbers(em_pool_test(fits, fits0, method = "D4", data = as_mids(imp))), numbers(by_list))
})

test_that("models that are not nested, different numbers of fits and spare arguments are errors", {
  other <- lapply(tested_data(), function(d) lm(log_ozone ~ Solar.R, d))
  expect_error(em_pool_test(larger(), other), "Solar.R", class = "em_error_not_nested")
  expect_error(em_pool_test(smaller(), larger(), method = "D4"), class = "em_error_not_nested")
  expect_error(em_pool_test(larger(), smaller()[1:3]), class = "em_error_argument")
  expect_error(em_pool_test(larger(), smaller(), terms = "Wind"), class = "em_error_argument")
  expect_error(em_pool_test(larger(), term = "Wind"), class = "em_error_unused_argument")
  expect_error(em_pool_test(larger(), robust = TRUE), class = "em_error_argument")
})

test_that("the result prints as a test", {
  expect_snapshot(print(em_pool_test(larger(), terms = "month")))
})
