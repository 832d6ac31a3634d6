# Names of covariance structures.

test_that("codes are read in any case, aliases too, and 'all' is every structure for that many variables", {
  expect_identical(resolve_covariance("vev", 3), "VEV")
  expect_identical(resolve_covariance("Full", 3), "VVV")
  expect_identical(resolve_covariance(c("tied", "EEE", "diagonal"), 3), c("EEE", "VVI"))
  expect_length(resolve_covariance("all", 2), 14)
  expect_setequal(resolve_covariance("all", 1), c("E", "V"))
  expect_identical(resolve_covariance("VVV", 1), "V")
})

test_that("an unknown code lists the choices, and one for another number of variables says so", {
  expect_error(resolve_covariance("VVX", 2), "VVV", class = "em_error_covariance")
  expect_error(resolve_covariance("E", 2), "one variable", class = "em_error_covariance")
})

test_that("every code is described in words, different for each", {
  registry <- covariance_registry_()
  words <- describe_covariance(registry$code)
  expect_false(anyDuplicated(words) > 0)
  expect_true(all(nzchar(registry$description)))
  expect_match(describe_covariance("VVV"), "ellipsoidal")
})
