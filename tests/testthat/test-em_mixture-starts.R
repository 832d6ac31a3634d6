# Where the fits of em_mixture() start.

tight <- function(...) em_mixture(..., control = tight_control(progress = FALSE))

test_that("a fit is a start, and starts of every kind are taken", {
  data <- count_lines()
  fit <- tight(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z)
  for (start in list(fit, fit$posterior, fit$classification, fit$parameters,
                     list(emission = fit$parameters$emission, proportions = c(.5, .5)), fit$parameters["emission"])) {
    again <- tight(y ~ x, data, family = "poisson", proportions = ~ z, start = start)
    expect_close(again$loglik, fit$loglik, 1e-9)
    expect_equal(nrow(again$starts), 1L)
  }
})

test_that("many rows are searched on a sample, with the same end", {
  data <- count_lines(3000)
  fit <- function(...) {
    with_seed(1, em_mixture(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z,
                            control = quiet_control(...)))
  }
  sampled <- fit(search_rows = 500)
  expect_close(sampled$loglik, fit()$loglik, 1e-9)
  expect_equal(sampled$starts$method[1], "sample of the rows")
  expect_lt(nrow(sampled$starts), 6)
})
