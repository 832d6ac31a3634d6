# Designs: the columns of covariates.

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
