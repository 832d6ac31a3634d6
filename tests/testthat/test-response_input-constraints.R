# Fixed and shared parameters.

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

test_that("names that parameters do not have are an error that lists those they have", {
  expect_error(two_components(y ~ x, shared = "slope"), "coefficients, sd, \\(Intercept\\), x",
               class = "em_error_shared")
  expect_error(two_components(y ~ 1, fixed = list(variance = 1)), "mean, sd", class = "em_error_fixed")
  expect_error(two_components(y ~ 1, fixed = list(sd = 1:3)), "3 values", class = "em_error_fixed")
  expect_error(two_components(list(y ~ 1, count ~ 1), c("gaussian", "poisson"), shared = "sd"), "named by response",
               class = "em_error_argument")
})
