# Transformations and their inverses.

test_that("every named transformation comes back exactly", {
  x <- c(0.001, 0.2, 0.5, 0.73, 0.999)
  for (step in transform_steps()) {
    expect_equal(step$inverse(step$forward(x)), x, tolerance = 1e-12)
    z <- step$forward(x)
    expect_equal(all(diff(z) > 0), step$increasing)
    expect_true(all(z >= step$range[1] & z <= step$range[2]))
  }
  step <- log_shift_step(c(-5, 0, 100))
  expect_equal(step$inverse(step$forward(c(-5, 0, 100))), c(-5, 0, 100), tolerance = 1e-12)
})

test_that("terms of a formula are inverted, within each other and with constants", {
  x <- c(0.2, 1.3, 4)
  terms <- expression(log(x), log(x, 3), log(1 + 2 * x), sqrt(x / 3), I(x^3), I(x^2), x^-1, 1 / x, 2^x, -x, exp(-x),
                      log10(x + 1), asinh(3 - x), sqrt(log1p(x)), (x + 1)^(1 / 3), 5 - 2 * (x - 1), qlogis(x / 5))
  for (term in as.list(terms)) {
    known <- expression_step(term, environment())
    expect_equal(known$variable, "x")
    expect_equal(known$step$forward(x), as.vector(eval(term)), tolerance = 1e-12)
    expect_equal(known$step$inverse(as.vector(eval(term))), x, tolerance = 1e-10)
    # the range is where values of the domain go
    inside <- known$step$forward(x)
    expect_true(all(inside >= known$step$range[1] & inside <= known$step$range[2]))
  }
})

test_that("ranges follow through compositions", {
  range_of <- function(term) expression_step(term, globalenv())$step$range
  expect_equal(range_of(quote(sqrt(x))), c(0, Inf))
  expect_equal(range_of(quote(exp(-x))), c(0, Inf))
  expect_equal(range_of(quote(1 - exp(x))), c(-Inf, 1))
  expect_equal(range_of(quote(log(sqrt(x)))), c(-Inf, Inf))
  expect_equal(range_of(quote(sqrt(1 + exp(x)))), c(1, Inf))
})

test_that("what cannot be inverted is a classed error that says what can", {
  d <- airquality
  for (f in list(~ sin(Ozone), ~ Ozone:Wind, ~ I(Ozone * Wind), ~ poly(Wind, 2), ~ Ozone^0, ~ I(2))) {
    error <- expect_error(em_impute(f, data = d), class = "em_error_not_invertible")
    expect_match(conditionMessage(error), "log\\(\\)")
  }
  expect_error(em_impute(~ log(Ozone) + sqrt(Ozone), data = d), class = "em_error_formula")
  expect_error(em_impute(~ Ozon, data = d), "Ozon", class = "em_error_formula")
  expect_error(em_impute(Ozone ~ Wind, data = d), class = "em_error_formula")
})

test_that("values that a transformation cannot take are named by row", {
  d <- data.frame(x = c(1, 2, NA, 0, 5), y = c(1, 4, 2, 6, 5))
  error <- expect_error(em_impute(d, transform = list(x = "log")), "row 4", class = "em_error_transform")
  expect_equal(error$column, "x")
  expect_error(em_impute(d, transform = list(y = "logit")), class = "em_error_transform")
  expect_error(em_impute(d, transform = list(x = "cubic")), "one of", class = "em_error_transform")
  expect_error(em_impute(d, transform = list(z = "log")), "not a column", class = "em_error_transform")
})

test_that("a user's own pair of functions must be inverse and monotone", {
  d <- data.frame(x = c(1, 2, NA, 3, 5, 4), y = c(1, 4, 2, 6, 5, 0))
  bad <- function(...) expect_error(em_impute(d, transform = list(x = list(...))), class = "em_error_transform")
  bad(forward = log, inverse = sqrt)
  bad(forward = function(x) (x - 3)^2, inverse = function(z) z)
  bad(forward = log)
  own <- list(forward = function(x) -log(x), inverse = function(z) exp(-z))
  imp <- impute(d, transform = list(x = own))
  expect_true(all(imp$imputed$x > 0))
})

test_that("bounds go through increasing and decreasing transformations", {
  steps <- transform_steps()
  expect_equal(step_limits(steps$log, c(1, Inf)), c(0, Inf))
  expect_equal(step_limits(steps$log, c(-3, 10)), c(-Inf, log(10)))
  expect_equal(step_limits(steps$reciprocal, c(2, 4)), c(0.25, 0.5))
  expect_equal(step_limits(steps$sqrt, c(-Inf, Inf)), c(0, Inf))
  expect_equal(step_limits(linear_step(0, -1), c(0, Inf)), c(-Inf, 0))
})

test_that("whole numbers stay where the transformation takes them", {
  d <- with_seed(1, data.frame(x = as.integer(1 + rpois(100, 1)), z = rnorm(100)))
  d$x[with_seed(2, sample(100, 40))] <- NA
  for (transform in list("log", list(forward = log, inverse = exp))) {
    imp <- with_seed(1, impute(d, transform = list(x = transform), m = 10))
    expect_true(is.integer(imp$imputed$x))
    expect_true(all(imp$imputed$x >= 1L))
  }
  imp <- with_seed(1, impute(~ log(x) + z, data = d, bounds = list(x = c(0, 3)), m = 10))
  expect_setequal(unique(as.vector(imp$imputed$x)), 1:3)
  expect_true(all(is.finite(predict(imp, data.frame(x = NA, z = c(-50, 50)))$x)))
  # log(x - 2) of 3, 4, ...: 2 is outside
  d$x <- d$x + 2L
  expect_true(all(impute(~ log(x - 2) + z, data = d, m = 10)$imputed$x >= 3L))
  expect_error(em_impute(d, bounds = list(x = c(3.2, 3.8))), "no room for whole values", class = "em_error_bounds")
})
