# Standard errors and intervals of mixtures.

quick <- function(...) em_mixture(..., control = quiet_control())
tight <- function(...) em_mixture(..., control = tight_control(progress = FALSE))

test_that("the variance is the inverse of a numerical Hessian of the likelihood by definition", {
  data <- gaussian_lines()
  fit <- tight(y ~ x, data, n_components = 2)
  e <- fit$parameters$emission
  at <- c(fit$parameters$proportions[[1]], e$coefficients, e$sd)
  hessian <- numerical_hessian(function(a) two_lines(a[1], a[2:5], a[6:7], data), at)
  ours <- vcov(fit)[-2, -2]
  # Differences of a function: six digits.
  expect_equal(unname(ours), solve(hessian), tolerance = 1e-5)
  expect_equal(vcov(fit)["proportion[1]", "proportion[2]"], -vcov(fit)["proportion[1]", "proportion[1]"])
  expect_equal(rownames(vcov(fit)), names(coef(fit)))

  counts <- count_lines()
  fit <- tight(y ~ x, counts, n_components = 2, family = "poisson", proportions = ~ z)
  loglik <- function(a) two_count_lines(a, counts)
  expect_equal(unname(vcov(fit)), solve(-numerical_hessian(loglik, unname(coef(fit)))), tolerance = 1e-5)
})

test_that("intervals stay inside the range of a parameter", {
  data <- gaussian_lines()
  fit <- quick(y ~ x, data, n_components = 2)
  limits <- confint(fit)
  se <- sqrt(diag(vcov(fit)))
  p <- fit$parameters$proportions[[1]]
  expect_equal(unname(limits["proportion[1]", ]),
               stats::plogis(stats::qlogis(p) + c(-1, 1) * stats::qnorm(.975) * se[["proportion[1]"]] / (p * (1 - p))))
  sd <- fit$parameters$emission$sd[[1]]
  limits <- sd * exp(c(-1, 1) * stats::qnorm(.75) * se[["sd[1]"]] / sd)
  expect_equal(unname(confint(fit, "sd[1]", level = .5)[1, ]), limits)
  plain <- confint(fit, transform = FALSE)
  expect_equal(unname(plain[, 2] - plain[, 1]), unname(2 * stats::qnorm(.975) * se))
})

test_that("constants have no variance, probabilities at their bound have none that is known", {
  data <- gaussian_lines()
  fit <- quick(y ~ x, data, n_components = 2, fixed = list(sd = c(1, NA)), start = data$component)
  expect_equal(diag(vcov(fit))[["sd[1]"]], 0)
  expect_gt(diag(vcov(fit))[["sd[2]"]], 0)
  # All of one class answer yes to the first question.
  answers <- with_seed(2, {
    class <- rep(1:2, c(60, 40))
    as.data.frame(lapply(1:4, function(j) stats::rbinom(100, 1, if (j == 1) c(1, .4)[class] else c(.8, .3)[class])),
                  col.names = paste0("q", 1:4))
  })
  formulas <- lapply(paste0("q", 1:4, " ~ 1"), stats::as.formula)
  fit <- quick(formulas, answers, n_components = 2, family = "binomial", fixed = list(q1 = list(prob = c(1, NA))),
                    start = rep(1:2, c(60, 40)))
  variance <- diag(vcov(fit))
  expect_true(is.na(variance[["q1.prob[1]"]]))
  expect_true(all(variance[names(variance) != "q1.prob[1]"] > 0))
})
