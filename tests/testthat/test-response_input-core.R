# Parameters to the core and back.

test_that("parameters go to the core and back in the user's shapes", {
  responses <- two_components(list(y ~ x, choice ~ 1), list("gaussian", "categorical"))
  emission <- list(
    y = list(coefficients = cbind("1" = c("(Intercept)" = 1, x = 2), "2" = c(3, -4)), sd = c("1" = 1, "2" = 2)),
    choice = list(prob = rbind("1" = c(no = 0.2, yes = 0.8), "2" = c(0.6, 0.4)))
  )
  core <- emission_to_core(emission, responses, 2L)
  expect_equal(emission_from_core(core, responses, c("1", "2")), emission)
})
