test_that("coefficients are named, and fits answer as others do", {
  fit <- em_fit_of(em_model_deaths(), n_obs = 1096)
  expect_named(coef(fit), c("p", "mu[1]", "mu[2]"))
  expect_equal(unname(coef(fit)), unname(unlist(fit$parameters)))
  expect_equal(attributes(logLik(fit))[c("df", "nobs")], list(df = 3L, nobs = 1096))
  expect_equal(stats::BIC(fit), -2 * fit$loglik + 3 * log(1096))
  expect_equal(glance(fit)$AIC, stats::AIC(fit))
  expect_identical(nobs(update(fit, n_obs = 10)), 10)
  expect_error(formula(fit), class = "em_error_no_formula")
  back <- unserialize(serialize(fit, NULL))
  expect_equal(vcov(back), vcov(fit))
})

test_that("the number of observations is taken from data where it is obvious", {
  expect_identical(em_n_obs(NULL, matrix(0, 4, 2)), 4L)
  expect_identical(em_n_obs(NULL, data.frame(a = 1:3)), 3L)
  expect_identical(em_n_obs(NULL, 1:5), 5L)
  expect_equal(em_n_obs(NULL, table(c("a", "b", "b"))), 3)
  # counts by category, or anything else: not obvious
  for (data in list(c(A = 3, B = 4), list(1, 2), NULL)) expect_identical(em_n_obs(NULL, data), NA_real_)
  expect_identical(em_n_obs(7, NULL), 7)
})

test_that("intervals on the transformed scale stay inside the parameter's range", {
  fit <- em_fit_of(em_model_deaths())
  se <- sqrt(diag(vcov(fit)))
  b <- coef(fit)
  expect_equal(unname(confint(fit, "p")), unname(cbind(b - 1.959964 * se, b + 1.959964 * se)[1, , drop = FALSE]),
               tolerance = 1e-6)
  inside <- confint(fit, transform = TRUE, level = 0.9)
  z <- stats::qnorm(0.95)
  expect_equal(unname(inside[1, ]), unname(stats::plogis(stats::qlogis(b[1]) + c(-z, z) * se[1] / (b[1] * (1 - b[1])))))
  expect_equal(unname(inside[2, ]), unname(b[2] * exp(c(-z, z) * se[2] / b[2])))
  expect_identical(em_coefficient_domains(em_fit_of(em_model_plane())$space)[7:9], c("positive", "real", "positive"))
  tidied <- tidy(fit, conf.int = TRUE)
  expect_equal(tidied$conf.low, unname(confint(fit)[, 1]))
})

test_that("methods that need data which were not kept say so", {
  fit <- em_fit_of(em_model_deaths(), control = em_control(keep_data = FALSE))
  expect_error(vcov(fit), class = "em_error_no_data")
  expect_null(fit$data)
  expect_match(summary(fit)$report[["estimate"]], "data were not kept")
  expect_error(plot(fit, "bound"), "bound", class = "em_error_no_data")
})

test_that("methods that need rows say that there are none", {
  fit <- em_fit_of(em_model_linkage())
  for (method in list(predict, simulate, residuals, fitted, augment, ICL)) {
    expect_error(method(fit), "e_step", class = "em_error_not_available")
  }
})

test_that("functions written in the call are printed without their bodies", {
  fit <- em(c(t = 2), update = function(t) t / 2, loglik = function(t) -t^2)
  expect_identical(em_title(fit)[2], "em(start = c(t = 2), loglik = function(t) ..., update = function(t) ...)")
  fit <- do.call("em", list(c(t = 2), update = function(t) t / 2, loglik = function(t) -t^2))
  expect_match(em_title(fit)[2], "update = function(t) ...", fixed = TRUE)
})

test_that("print and summary show the fit in a few lines", {
  fit <- em_fit_of(em_model_deaths(), n_obs = 1096)
  shown <- utils::capture.output(print(fit))
  expect_lte(length(shown), 15)
  expect_match(shown, "-1989.95", all = FALSE)
  expect_match(shown, "Converged after", all = FALSE)
  expect_match(utils::capture.output(print(summary(fit))), "std. error", all = FALSE)
  expect_match(utils::capture.output(print(em_fit_of(em_model_plane()))), "and 4 more coefficients", all = FALSE)
})
