# Formulas and data to responses, and back.

test_that("families are matched by order or name, and several Gaussian columns are multivariate", {
  names_of <- function(...) vapply(response_specs(...)$responses, function(r) r$family$name, "")
  d <- input_data()
  formulas <- list(y ~ 1, count ~ 1)
  expect_equal(names_of(formulas, d, list(stats::gaussian(), "poisson")), c(y = "gaussian", count = "poisson"))
  expect_equal(names_of(formulas, d, c(count = "poisson", y = "t")), c(y = "t", count = "poisson"))
  expect_equal(unname(names_of(cbind(y, x) ~ 1, d)), "mvgaussian")
  expect_equal(names_of(list(first = y ~ 1, second = y ~ 1), d), c(first = "gaussian", second = "gaussian"))
  expect_error(response_specs(list(y ~ 1, y ~ x), d), "Two responses", class = "em_error_formula")
  expect_error(response_specs(formulas, d, c("gaussian", "poisson", "t")), class = "em_error_family")
  expect_error(response_specs(formulas, d, c(y = "gaussian", other = "poisson")), class = "em_error_family")
})

test_that("responses of the wrong kind are named with the remedy", {
  d <- input_data()
  expect_error(response_specs(group ~ 1, d), "Use family = \"categorical\"", class = "em_error_response_type")
  expect_error(response_specs(y ~ 1, d, "poisson"), "row 1", class = "em_error_support")
  expect_error(response_specs(cbind(y, x) ~ 1, d, "t"), "takes one", class = "em_error_response_type")
  expect_error(response_specs(cbind(y, x) ~ z, d, "mvgaussian"), "takes no covariates", class = "em_error_family")
  expect_error(response_specs(nothing ~ 1, d), "nothing", class = "em_error_formula")
})

test_that("columns of cbind() without a name are called by their expressions", {
  response <- response_specs(cbind(log(Ozone), Wind) ~ 1, airquality)$responses[[1L]]
  expect_identical(response$columns, c("log(Ozone)", "Wind"))
})

test_that("a multivariate Gaussian response of one column has its parameters", {
  fit <- em_hmm(cbind(eruptions) ~ 1, faithful, n_states = 2, family = "mvgaussian",
                control = em_control(progress = FALSE))
  plain <- em_hmm(eruptions ~ 1, faithful, n_states = 2, control = em_control(progress = FALSE))
  expect_equal(as.vector(fit$parameters$emission$mean), unname(plain$parameters$emission$mean), tolerance = 1e-4)
  expect_equal(as.vector(fit$parameters$emission$covariance), unname(plain$parameters$emission$sd)^2, tolerance = 1e-4)
})
