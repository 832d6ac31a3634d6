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

test_that("components that start equal end at a saddle, which is said", {
  data <- count_lines()
  start <- list(emission = list(coefficients = matrix(c(1, 0), 2, 2)))
  expect_warning(fit <- em_mixture(y ~ x, data, family = "poisson", start = start, n_components = 2),
                 class = "em_warning_saddle")
  expect_equal(fit$equal, c("1", "2"))
  # What is shared or fixed is equal by wish.
  expect_no_warning(tight(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z,
                          shared = "x"))
})

test_that("binomial and categorical answers find the same optimum", {
  data <- with_seed(5, {
    d <- data.frame(x = stats::runif(300, 0, 10), z = stats::rnorm(300))
    d$f <- factor(letters[stats::rbinom(300, 1, stats::plogis(d$z)) + 1])
    d
  })
  for (seed in 1:2) {
    found <- with_seed(seed, vapply(c("binomial", "categorical"), function(family) {
      quietly(em_mixture(f ~ x, data, n_components = 2, family = family, control = quiet_control()))$loglik
    }, 0))
    expect_close(unname(found), c(-200.2348, -200.2348), 1e-6)
  }
})

test_that("many rows are not clustered", {
  data <- gaussian_lines(30000)
  fit <- em_mixture(y ~ x, data, n_components = 2, control = quiet_control(search_rows = 500))
  expect_equal(unique(fit$starts$method), "sample of the rows")
  direct <- em_mixture(y ~ x, data, n_components = 2, start = data$component, control = quiet_control())
  expect_close(fit$loglik, direct$loglik, 1e-8)
})

test_that("the names in `known` tell the number of components", {
  fit <- em_mixture(eruptions ~ 1, faithful, known = c("short", rep(NA, 270), "long"), control = quiet_control())
  expect_equal(fit$component_names, c("long", "short"))
})
