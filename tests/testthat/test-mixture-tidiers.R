test_that("tidy() gives every coefficient once, with standard errors, tests and limits", {
  fit <- em_mixture(waiting ~ eruptions, faithful, n_components = 2)
  table <- tidy(fit, conf.int = TRUE)
  expect_equal(table$term, names(coef(fit)))
  expect_equal(table$estimate, unname(coef(fit)))
  expect_equal(table$std.error, unname(sqrt(diag(vcov(fit)))))
  expect_equal(cbind(table$conf.low, table$conf.high), unname(confint(fit)))
  expect_equal(table$parameter, c("proportion", "proportion", "(Intercept)", "eruptions", "(Intercept)", "eruptions",
                                  "sd", "sd"))
  expect_equal(table$component, as.character(c(1, 2, 1, 1, 2, 2, 1, 2)))
  expect_equal(table$part, rep(c("proportions", "emission"), c(2, 6)))
  summary <- summary(fit, se = TRUE)$coefficients[[2]]
  expect_equal(table$statistic[5:6], unname(summary[, "z value"]))
  expect_equal(table$p.value[5:6], unname(summary[, "Pr(>|z|)"]))
  expect_true(all(is.na(table$statistic[-(3:6)])))
  expect_error(tidy(fit, level = 0.9), class = "em_error_unused_argument")
})

test_that("tidy() names concomitant variables and responses", {
  d <- with_seed(1, {
    z <- stats::rnorm(200)
    k <- 1 + stats::rbinom(200, 1, stats::plogis(z))
    data.frame(z, y = stats::rnorm(200, c(0, 6)[k]), count = stats::rpois(200, c(1, 7)[k]))
  })
  fit <- em_mixture(list(y ~ 1, count ~ 1), d, n_components = 2, family = c("gaussian", "poisson"), proportions = ~ z)
  table <- tidy(fit)
  expect_equal(table$parameter, c("(Intercept)", "z", "mean", "mean", "sd", "sd", "lambda", "lambda"))
  expect_equal(table$response, c(NA, NA, "y", "y", "y", "y", "count", "count"))
  expect_equal(table$component, as.character(c(2, 2, 1, 2, 1, 2, 1, 2)))
  expect_equal(!is.na(table$statistic), rep(c(TRUE, FALSE), c(2, 6)))
})

test_that("glance() is one row with the criteria of stats", {
  fit <- em_mixture(waiting ~ 1, faithful, n_components = 1:3)
  row <- glance(fit)
  expect_equal(nrow(row), 1)
  expect_equal(c(row$logLik, row$AIC, row$BIC, row$ICL), c(fit$loglik, AIC(fit), BIC(fit), ICL(fit)))
  expect_equal(c(row$n_components, row$df, row$nobs), c(2, 5, 272))
})

test_that("augment() adds components, probabilities, fitted values and residuals", {
  d <- faithful
  d$waiting[3] <- NA
  fit <- em_mixture(waiting ~ eruptions, d, n_components = 2)
  out <- augment(fit)
  expect_equal(names(out), c("eruptions", "waiting", ".component", ".posterior_1", ".posterior_2", ".fitted", ".resid"))
  expect_equal(as.integer(out$.component), unname(fit$classification))
  expect_equal(out$.posterior_1, unname(fit$posterior[, 1]))
  expect_equal(out$.fitted, unname(predict(fit)))
  expect_equal(out$.resid, unname(residuals(fit)))
  expect_equal(which(is.na(out$.resid)), 3)
  new <- augment(fit, newdata = d[c(5, 9, 40), ])
  expect_equal(new$.resid, out$.resid[c(5, 9, 40)])
  expect_equal(augment(fit, newdata = d[5:9, ], type.residuals = "response")$.resid, d$waiting[5:9] - out$.fitted[5:9])
  without <- augment(fit, newdata = d[5:9, "eruptions", drop = FALSE])
  expect_equal(without$.fitted, out$.fitted[5:9])
  expect_true(all(is.na(without$.resid)))
  expect_error(augment(fit, d[1:3, ]), class = "em_error_argument")
})
