# Responses of new data.

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
