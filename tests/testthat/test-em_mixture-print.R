# What is shown of a mixture.

quick <- function(...) em_mixture(..., control = quiet_control())
tight <- function(...) em_mixture(..., control = tight_control(progress = FALSE))

test_that("the summary has a table for each component as that of a regression", {
  counts <- stats::glm(count ~ spray, stats::poisson(), datasets::InsectSprays)
  fit <- tight(count ~ spray, datasets::InsectSprays, n_components = 1, family = "poisson")
  # glm()'s information is the expected one, which for the canonical link is the observed.
  expect_equal(summary(fit)$coefficients[[1]], summary(counts)$coefficients, tolerance = 1e-6)
  fit <- quick(y ~ x, gaussian_lines(), n_components = 2)
  s <- summary(fit)
  expect_equal(rownames(s$coefficients[["2"]]), c("(Intercept)", "x"))
  expect_equal(rownames(s$auxiliary[["2"]]), "sd")
  se <- sqrt(diag(vcov(fit)))[c("coefficients[(Intercept),2]", "coefficients[x,2]")]
  expect_equal(s$coefficients[["2"]][, "Std. Error"], se, ignore_attr = TRUE)
  expect_null(summary(fit, se = FALSE)$not_identified)
})

test_that("printed fits show the model, its parameters and how it ended", {
  data <- count_lines()
  fit <- with_seed(1, em_mixture(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z,
                                 control = quiet_control()))
  expect_snapshot(print(fit, digits = 3), transform = function(x) sub("after .*", "after ...", x))
  # The path to the optimum may differ between processors.
  hide <- function(x) sub("(yes, after|tolerance\\);|remaining gain|completed starts).*", "\\1 ...", x)
  expect_snapshot(print(summary(fit), digits = 2), transform = hide)
})
