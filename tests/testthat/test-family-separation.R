# Regressions whose covariates separate the responses, and components that are equal.

# Two components, known by y; in the second the answer is yes exactly where x is above 0.
separated_data <- function(n = 120) {
  with_seed(4, {
    data <- data.frame(component = rep(1:2, each = n / 2), x = stats::rnorm(n))
    data$y <- stats::rnorm(n, 10 * data$component)
    data$answer <- ifelse(data$component == 1, stats::rbinom(n, 1, stats::plogis(0.5 * data$x)), data$x > 0) + 0
    data$count <- ifelse(data$component == 1, stats::rpois(n, 5), stats::rpois(n, 5) * (data$x > 0))
    data$side <- factor(data$x > 0, labels = c("below", "above"))
    data
  })
}
separation_control <- em_control(progress = FALSE, n_starts = 4, n_polish = 1)
told <- function(formula, family, fit = em_mixture, ...) {
  expect_warning(fit <- fit(list(y ~ 1, formula), separated_data(), 2, family = list("gaussian", family),
                            control = separation_control, ...), class = "em_warning_separation")
  fit$separation
}

test_that("separation of answers is told of, with the component and the response", {
  for (family in c("binomial", "categorical")) {
    found <- told(if (family == "binomial") answer ~ x else factor(answer) ~ x, family)
    expect_equal(nrow(found), 1L)
    expect_match(found$response, "answer")
    fit <- quietly(em_mixture(list(y ~ 1, answer ~ x), separated_data(), 2, family = list("gaussian", "binomial"),
                              control = separation_control))
    # The component with the higher mean.
    expect_equal(found$component, names(which.max(fit$parameters$emission$y$mean)))
  }
  for (link in c("probit", "cloglog")) expect_equal(nrow(told(answer ~ x, stats::binomial(link))), 1L)
  expect_output(print(summary(fit)), "grow without limit")
})

test_that("a category without counts separates too", {
  for (family in c("poisson", "negative_binomial")) expect_equal(told(count ~ side, family)$response, "count")
})

test_that("states of a hidden Markov model are checked likewise", {
  expect_equal(told(answer ~ x, "binomial", em_hmm), data.frame(response = "answer", state = "2"))
})

test_that("steep regressions that the data determine are none", {
  data <- with_seed(2, {
    x <- stats::rnorm(4000, 0, 3)
    component <- rep(1:2, 2000)
    data.frame(x, y = stats::rnorm(4000, 10 * component), answer = stats::rbinom(4000, 1, stats::plogis(6 * x)),
               count = stats::rpois(4000, exp(1 - x)))
  })
  for (formula in c(answer ~ x, count ~ x)) {
    family <- list("gaussian", if (formula[[2]] == "answer") "binomial" else "poisson")
    fit <- em_mixture(list(y ~ 1, formula), data, 2, family = family, control = separation_control)
    expect_equal(nrow(fit$separation), 0L)
  }
})
