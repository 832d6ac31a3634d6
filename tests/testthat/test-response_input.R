# Formulas and data to responses, and back.

input_data <- function() {
  with_seed(1, data.frame(
    y = stats::rnorm(40), count = stats::rpois(40, 4), x = stats::runif(40, 5, 9), z = stats::rnorm(40, 1e3, 1),
    group = factor(rep(c("a", "b", "c", "d"), 10)), choice = factor(rep(c("no", "yes"), 20))
  ))
}

# Responses ready for two components.
two_components <- function(formulas, family = "gaussian", data = input_data(), fixed = NULL, shared = NULL, ...) {
  constrain_responses(response_specs(formulas, data, family, ...)$responses, fixed, shared, 2L)
}

test_that("coefficients go to the core's columns and back without change of the linear predictor", {
  d <- input_data()
  for (formula in list(y ~ x + z + group, y ~ 0 + x + group, y ~ 0 + z, y ~ x * z)) {
    response <- two_components(formula)[[1]]
    x <- stats::model.matrix(formula, d)
    natural <- with_seed(2, rbind(matrix(stats::rnorm(2 * ncol(x)), ncol(x)), 1))
    core <- natural_to_core(natural, response)
    eta <- core_response(response)$x %*% core[seq_len(ncol(x)), ]
    expect_close(unname(eta), unname(x %*% natural[seq_len(ncol(x)), ]), 1e-11)
    expect_equal(natural_from_core(core, response), natural, tolerance = 1e-10)
  }
})

test_that("the core's columns have mean 0 and standard deviation 1, beside the intercept", {
  x <- core_response(two_components(y ~ x + z)[[1]])$x
  expect_equal(colMeans(x), c(1, 0, 0), tolerance = 1e-12)
  expect_equal(sqrt(colMeans(x^2)), c(1, 1, 1))
})

test_that("an intercept that is fixed or shared keeps its meaning: columns are then not centred", {
  shared <- two_components(y ~ x, shared = "(Intercept)")[[1]]
  expect_equal(shared$design$centre, c(0, 0))
  expect_equal(shared$shared, c(TRUE, FALSE, FALSE))
  fixed <- two_components(y ~ x, fixed = list(coefficients = cbind(c(1.5, NA), c(NA, NA))))[[1]]
  expect_equal(natural_to_core(fixed$fixed, fixed)[1, 1], 1.5)
})

test_that("fixed parameters are put where the core has them", {
  response <- two_components(y ~ 1, fixed = list(sd = c(NA, 0.2)))[[1]]
  expect_equal(core_response(response)$fixed, cbind(c(NA, NA), c(NA, 0.2)))
  response <- two_components(list(y ~ 1, count ~ 1), list("gaussian", "poisson"),
                             fixed = list(count = list(lambda = c(3, NA))))
  expect_null(core_response(response$y)$fixed)
  expect_equal(core_response(response$count)$fixed, cbind(3, NA))
})

test_that("parameters go to the core and back in the user's shapes", {
  responses <- two_components(list(y ~ x, choice ~ 1), list("gaussian", "categorical"))
  emission <- list(
    y = list(coefficients = cbind("1" = c("(Intercept)" = 1, x = 2), "2" = c(3, -4)), sd = c("1" = 1, "2" = 2)),
    choice = list(prob = rbind("1" = c(no = 0.2, yes = 0.8), "2" = c(0.6, 0.4)))
  )
  core <- emission_to_core(emission, responses, 2L)
  expect_equal(emission_from_core(core, responses, c("1", "2")), emission)
})

test_that("new data get the columns that the data of the fit had: levels, scales and transformations", {
  d <- input_data()
  responses <- two_components(y ~ scale(x) + group + poly(z, 2))
  new <- response_specs_new(responses, d[d$group == "b", ][1:3, ])$responses
  all <- core_response(responses[[1]])
  rows <- which(d$group == "b")[1:3]
  expect_equal(core_response(new[[1]])$x, all$x[rows, ])
  expect_equal(new[[1]]$y, all$y[rows, , drop = FALSE])
})

test_that("categories of new data are those of the fit", {
  responses <- two_components(choice ~ 1, "categorical")
  expect_equal(response_specs_new(responses, data.frame(choice = c("yes", NA, "yes")))$responses[[1]]$y,
               cbind(c(1, NA, 1)))
  expect_error(response_specs_new(responses, data.frame(choice = "maybe")), "row 1 .* \"maybe\"",
               class = "em_error_newdata")
})

test_that("responses that new data lack are missing where they are not needed, and an error where they are", {
  responses <- two_components(y ~ x)
  expect_equal(response_specs_new(responses, data.frame(x = 1:2), need_response = FALSE)$responses[[1]]$y,
               cbind(c(NA_real_, NA)))
  expect_error(response_specs_new(responses, data.frame(x = 1:2)), "lacks the variable \"y\"",
               class = "em_error_newdata")
  expect_error(response_specs_new(responses, data.frame(y = 1:2)), "lacks the covariate \"x\"",
               class = "em_error_newdata")
})

test_that("a missing covariate is an error that names column and row; a missing response is not", {
  d <- input_data()
  d$x[c(7, 9)] <- NA
  failed <- tryCatch(two_components(y ~ log(x), data = d), em_error_missing_covariate = identity)
  expect_match(conditionMessage(failed), "\"log(x)\" of the response \"y\" is missing in row 7 (and in 1 more)",
               fixed = TRUE)
  expect_equal(failed$rows, c(7L, 9L))
  expect_equal(which(is.na(two_components(x ~ 1, data = d)[[1]]$y)), c(7L, 9L))
})

test_that("covariates that others determine are named", {
  expect_error(two_components(y ~ x + I(2 * x)), "\"I(2 * x)\"", fixed = TRUE, class = "em_error_collinear")
  expect_error(two_components(y ~ x, data = transform(input_data(), x = 3)), "\"x\"", class = "em_error_collinear")
})

test_that("an offset makes the intercept a coefficient", {
  response <- two_components(count ~ offset(log(x)), "poisson")[[1]]
  core <- core_response(response)
  expect_null(core$x)
  expect_equal(core$offset, log(input_data()$x))
  expect_equal(dim(emission_from_core(list(cbind(1, 2)), list(response), c("1", "2"))$coefficients), c(1L, 2L))
})

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

test_that("names that parameters do not have are an error that lists those they have", {
  expect_error(two_components(y ~ x, shared = "slope"), "coefficients, sd, \\(Intercept\\), x",
               class = "em_error_shared")
  expect_error(two_components(y ~ 1, fixed = list(variance = 1)), "mean, sd", class = "em_error_fixed")
  expect_error(two_components(y ~ 1, fixed = list(sd = 1:3)), "3 values", class = "em_error_fixed")
  expect_error(two_components(list(y ~ 1, count ~ 1), c("gaussian", "poisson"), shared = "sd"), "named by response",
               class = "em_error_argument")
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
