# Likelihood-ratio tests.

anova_control <- em_control(progress = FALSE, n_starts = 5, n_polish = 2)
anova_fits <- local({
  fits <- NULL
  function() {
    if (is.null(fits)) {
      fit <- function(...) em_hmm(..., data = faithful, n_states = 2, control = anova_control)
      fits <<- list(small = fit(eruptions ~ 1, shared = "sd"), large = fit(eruptions ~ 1))
    }
    fits
  }
})

test_that("the statistic is twice the gain, against chi-square, whatever the order", {
  fits <- anova_fits()
  small <- fits$small
  large <- fits$large
  table <- anova(large, small)
  expect_s3_class(table, c("anova", "data.frame"), exact = TRUE)
  expect_equal(rownames(table), c("small", "large"))
  gain <- 2 * (large$loglik - small$loglik)
  expect_equal(table$Chisq[2], gain)
  expect_equal(table$Df[2], 1)
  expect_equal(table$`Pr(>Chisq)`[2], stats::pchisq(gain, 1, lower.tail = FALSE))
  expect_equal(table$BIC, c(BIC(small), BIC(large)))
  expect_output(print(table), "hidden Markov models")
})

test_that("covariates of a mixture are tested", {
  data <- gaussian_lines()
  data$noise <- with_seed(1, stats::rnorm(120))
  small <- em_mixture(y ~ x, data, n_components = 2, control = anova_control)
  large <- em_mixture(y ~ x + noise, data, n_components = 2, start = small$posterior, control = anova_control)
  table <- anova(small, large)
  expect_equal(table$Df[2], 2)
  expect_gt(table$`Pr(>Chisq)`[2], 0)
})

test_that("numbers of states are at a boundary: no p-value, and a warning", {
  fits <- anova_fits()
  one <- em_hmm(eruptions ~ 1, faithful, n_states = 1, control = anova_control)
  expect_warning(table <- anova(one, fits$large), class = "em_warning_boundary")
  expect_true(is.na(table$`Pr(>Chisq)`[2]))
  expect_gt(table$Chisq[2], 0)
})

test_that("fits of different data, of other classes and one fit alone are refused", {
  fits <- anova_fits()
  other <- function(...) em_hmm(..., n_states = 2, control = anova_control)
  expect_error(anova(fits$small), class = "em_error_argument")
  expect_error(anova(fits$small, stats::lm(eruptions ~ 1, faithful)), class = "em_error_argument")
  refused <- function(fit, what) expect_error(anova(fits$small, fit), what, class = "em_error_different_data")
  refused(other(waiting ~ 1, faithful), "responses")
  refused(other(eruptions ~ 1, faithful[-1, ]), "rows")
  refused(other(eruptions ~ 1, transform(faithful, eruptions = rev(eruptions))), "values")
  refused(other(eruptions ~ 1, faithful, ntimes = c(100, 172)), "sequences")
  refused(other(eruptions ~ 1, faithful, weights = rep(2, 272)), "weights")
})

test_that("a larger model that is lower is told of", {
  fits <- anova_fits()
  lower <- fits$large
  lower$loglik <- fits$small$loglik - 3
  expect_warning(anova(fits$small, lower), class = "em_warning_not_nested")
})
