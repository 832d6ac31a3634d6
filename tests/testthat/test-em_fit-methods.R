# Methods that all fits share.

test_that("logLik() carries df and nobs, so that AIC() and BIC() are those of stats", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
  value <- logLik(fit)
  expect_s3_class(value, "logLik")
  expect_equal(attr(value, "df"), 11)
  expect_equal(attr(value, "nobs"), 272)
  expect_equal(as.numeric(value), oracle_loglik(as.matrix(faithful), fit$parameters), tolerance = 1e-10)
  expect_equal(AIC(fit), -2 * fit$loglik + 22)
  expect_equal(BIC(fit), -2 * fit$loglik + 11 * log(272))
  expect_equal(BIC(fit), fit$selection$BIC)
  two <- BIC(fit, em_gmm(faithful, n_components = 3, covariance = "VVV"))
  expect_equal(two$df, c(11, 17))
})

test_that("nobs() is the weight of the rows that observe anything", {
  x <- as.matrix(faithful)
  x[3, ] <- NA
  x[4, 1] <- NA
  expect_equal(nobs(em_gmm(x, n_components = 2, covariance = "EEE")), 271)
  w <- seq_len(272) / 100
  expect_equal(nobs(em_gmm(x, n_components = 2, covariance = "EEE", weights = w)), sum(w[-3]))
})

test_that("formula() and model.frame() give what was used", {
  data <- transform(faithful, w = rep(1:2, 136))
  data$waiting[5] <- NA
  fit <- em_gmm(~ eruptions + log(waiting), data = data, n_components = 2, covariance = "EEE", weights = w,
                subset = eruptions < 4.9)
  expect_equal(formula(fit), ~ eruptions + log(waiting), ignore_attr = TRUE)
  frame <- model.frame(fit)
  used <- data[data$eruptions < 4.9, ]
  expect_equal(names(frame), c("eruptions", "log(waiting)", "(weights)"))
  expect_equal(frame[["log(waiting)"]], log(used$waiting))
  expect_equal(frame[["(weights)"]], used$w)
  expect_equal(weights(fit), used$w)
  plain <- em_gmm(faithful, n_components = 1)
  expect_equal(formula(plain), ~ eruptions + waiting, ignore_attr = TRUE)
  expect_equal(model.frame(plain), faithful, ignore_attr = TRUE)
  expect_null(weights(plain))
  odd <- em_gmm(stats::setNames(faithful, c("a b", "c")), n_components = 1)
  expect_equal(formula(odd), ~ `a b` + c, ignore_attr = TRUE)
  bare <- em_gmm(faithful, n_components = 1, control = em_control(keep_data = FALSE))
  expect_error(model.frame(bare), class = "em_error_no_data")
})

test_that("row names come back in model.frame()", {
  x <- as.matrix(mtcars[, 1:2])
  fit <- em_gmm(x, n_components = 1)
  expect_equal(rownames(model.frame(fit)), rownames(mtcars))
  expect_equal(names(predict(fit)), rownames(mtcars))
})

test_that("update() evaluates the call again with changes", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
  more <- with_seed(1, update(fit, n_components = 3, covariance = "VVV"))
  expect_equal(more$n_components, 3)
  expect_equal(more$covariance, "VVV")
  expect_equal(more$parameters, with_seed(1, em_gmm(faithful, n_components = 3, covariance = "VVV"))$parameters)
  expect_equal(update(fit, equal_proportions = TRUE, evaluate = FALSE)$equal_proportions, TRUE)
  expect_equal(update(fit, x = iris[, 1:3])$variables, names(iris)[1:3])
  by_formula <- em_gmm(~ eruptions + waiting, data = faithful, n_components = 2, covariance = "EEE")
  expect_equal(update(by_formula, ~ . - eruptions)$variables, "waiting")
  expect_error(update(fit, . ~ . + z), class = "em_error_argument")
  no_call <- fit
  no_call["call"] <- list(NULL)
  expect_error(update(no_call, n_components = 1), class = "em_error_no_call")
})

test_that("update() finds the data of a fit that was made inside a function", {
  make <- function() {
    hidden <- faithful
    em_gmm(~ eruptions, data = hidden, n_components = 2, covariance = "E")
  }
  expect_equal(update(make(), covariance = "V")$covariance, "V")
})

test_that("misspelt arguments are errors, not silence", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
  expect_error(logLik(fit, reml = TRUE), class = "em_error_unused_argument")
  expect_error(nobs(fit, 1), class = "em_error_unused_argument")
  expect_error(coef(fit, "mean"), class = "em_error_unused_argument")
  expect_error(weights(fit, type = "prior"), class = "em_error_unused_argument")
  expect_error(ICL(fit, sign = -1), class = "em_error_unused_argument")
})

test_that("nobs() takes the fallback of stats::nobs(), and sigma() says that there is none", {
  fit <- em_mvnorm(datasets::mtcars[1:3])
  expect_equal(stats::nobs(fit, use.fallback = TRUE), 32)
  expect_error(stats::sigma(fit), class = "em_error_no_sigma")
})
