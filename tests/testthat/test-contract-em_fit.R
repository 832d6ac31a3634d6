# What holds for a fit of every model. A new class joins with one entry, and is missed here if it has none.

examples <- list(
  em_gmm = function() em_gmm(datasets::faithful, n_components = 2, covariance = "EEE"),
  em_mixture = function() em_mixture(waiting ~ eruptions, datasets::faithful, n_components = 2),
  em_hmm = function() em_hmm(waiting ~ 1, data = datasets::faithful, n_states = 2),
  em_mvnorm = function() em_mvnorm(datasets::airquality[, 1:4]),
  em_fa = function() em_fa(datasets::airquality[, 1:4], n_factors = 1),
  em = function() do.call(em, em_model_abo())
)
# em() knows no rows.
with_rows <- setdiff(names(examples), "em")
fits <- lapply(examples, function(make) with_seed(1, quietly(make())))

test_that("logLik(), AIC(), BIC() and nobs() agree with the fields", {
  for (class in names(fits)) {
    fit <- fits[[class]]
    expect_s3_class(fit, c(class, "em_fit"), exact = TRUE)
    value <- logLik(fit)
    expect_identical(as.numeric(value), fit$loglik)
    expect_identical(attr(value, "df"), fit$df)
    expect_equal(attr(value, "nobs"), nobs(fit))
    expect_equal(AIC(fit), -2 * fit$loglik + 2 * fit$df)
    expect_equal(BIC(fit), -2 * fit$loglik + log(nobs(fit)) * fit$df)
  }
})

test_that("coef(), vcov() and confint() have the same names", {
  for (class in names(fits)) {
    estimate <- coef(fits[[class]])
    variance <- vcov(fits[[class]])
    expect_true(is.numeric(estimate) && !is.null(names(estimate)) && !anyDuplicated(names(estimate)))
    expect_identical(rownames(variance), names(estimate), info = class)
    expect_identical(colnames(variance), names(estimate), info = class)
    expect_equal(variance, t(variance), tolerance = 1e-10)
    limits <- confint(fits[[class]])
    expect_identical(rownames(limits), names(estimate), info = class)
    known <- !is.na(limits[, 1])
    inside <- limits[, 1] <= estimate + 1e-12 & limits[, 2] >= estimate - 1e-12
    expect_true(all(inside[known]), info = class)
  }
})

test_that("the objective never falls, and the trace ends where the fit is", {
  for (class in names(fits)) {
    trace <- fits[[class]]$trace
    slack <- 1e-9 * (1 + abs(trace$objective[1]))
    expect_true(all(diff(trace$objective) >= -slack), info = class)
    expect_equal(trace$loglik[nrow(trace)], fits[[class]]$loglik, tolerance = 1e-9, info = class)
    expect_true(any(fits[[class]]$starts$best), info = class)
  }
})

test_that("print() and summary() show the fit and return it invisibly", {
  for (class in names(fits)) {
    for (x in list(fits[[class]], summary(fits[[class]]))) {
      lines <- utils::capture.output(out <- withVisible(print(x)))
      expect_false(out$visible, info = class)
      expect_gt(length(lines), 3)
      expect_lte(max(nchar(lines)), getOption("width"))
    }
  }
})

test_that("simulate() gives data sets with the variables, augment() a row for each of the data's", {
  for (class in with_rows) {
    fit <- fits[[class]]
    sim <- simulate(fit, seed = 1)
    expect_true(is.data.frame(sim), info = class)
    expect_identical(simulate(fit, seed = 1), sim)
    expect_identical(nrow(augment(fit)), nrow(model.frame(fit)), info = class)
  }
})

test_that("update() gives a fit, glance() a row, tidy() a table", {
  for (class in names(fits)) {
    fit <- fits[[class]]
    expect_identical(nrow(glance(fit)), 1L, info = class)
    expect_true(is.data.frame(tidy(fit)), info = class)
    expect_true(is.call(update(fit, control = em_control(), evaluate = FALSE)), info = class)
  }
})

test_that("a fit is a plain list", {
  for (class in names(fits)) {
    pointers <- rapply(unclass(fits[[class]]), function(e) TRUE, classes = "externalptr", how = "unlist")
    expect_length(pointers, 0)
    expect_error(coef(fits[[class]], what = 1), class = "em_error_unused_argument")
  }
})
