test_that("tidy() gives every coefficient once, with standard errors and limits", {
  fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
  table <- tidy(fit, conf.int = TRUE, conf.level = 0.9)
  expect_equal(table$term, names(coef(fit)))
  expect_equal(table$estimate, unname(coef(fit)))
  expect_equal(table$std.error, unname(sqrt(diag(vcov(fit)))))
  expect_equal(cbind(table$conf.low, table$conf.high), unname(confint(fit, level = 0.9)))
  expect_equal(table$part, rep(c("initial", "transition", "emission"), c(2, 4, 4)))
  expect_equal(table$parameter, c(rep("probability", 6), "mean", "mean", "sd", "sd"))
  expect_equal(table$state, as.character(c(1, 2, 1, 1, 2, 2, 1, 2, 1, 2)))
  expect_equal(table$to, as.character(c(NA, NA, 1, 2, 1, 2, NA, NA, NA, NA)))
  # no test that a probability or a mean is 0
  expect_true(all(is.na(table$statistic)))
  quick <- tidy(fit, se = FALSE)
  expect_true(all(is.na(quick$std.error)))
  expect_error(tidy(fit, level = 0.9), class = "em_error_unused_argument")
})

test_that("tidy() names covariates, responses and categories, and tests coefficients", {
  d <- with_seed(1, {
    state <- rep(rep(1:2, each = 10), 10)
    data.frame(x = stats::rnorm(200), y = stats::rpois(200, c(2, 8)[state]),
               word = factor(c("no", "yes")[1 + stats::rbinom(200, 1, c(0.2, 0.8)[state])]), id = rep(1:4, each = 50))
  })
  fit <- em_hmm(list(y ~ x, word ~ 1), d, n_states = 2, family = c("poisson", "categorical"), transition = ~ x,
                id = ~ id)
  table <- tidy(fit)
  emission <- table[table$part == "emission", ]
  expect_equal(emission$response, rep(c("y", "word"), each = 4))
  expect_equal(emission$parameter, c("(Intercept)", "x", "(Intercept)", "x", "prob[no]", "prob[no]", "prob[yes]",
                                     "prob[yes]"))
  expect_equal(emission$state, c("1", "1", "2", "2", "1", "2", "1", "2"))
  transition <- table[table$part == "transition", ]
  expect_equal(transition$parameter, rep(c("(Intercept)", "x"), 2))
  expect_equal(paste(transition$state, transition$to), rep(c("1 2", "2 1"), each = 2))
  tested <- !is.na(table$statistic)
  expect_equal(tested, table$term %in% c(transition$term, emission$term[1:4]))
  expect_equal(table$statistic[tested], (table$estimate / table$std.error)[tested])
  expect_equal(table$p.value[tested], 2 * stats::pnorm(abs(table$statistic[tested]), lower.tail = FALSE))
})

test_that("the parameters of angles and covariances keep their places", {
  d <- with_seed(2, data.frame(a = rep(c(-2, 1), each = 60) + stats::rnorm(120, 0, 0.3), b = stats::rnorm(120)))
  fit <- em_hmm(a ~ 1, d, n_states = 2, family = "vonmises")
  table <- tidy(fit)
  expect_equal(table$estimate[table$parameter == "mean"], unname(fit$parameters$emission$mean))
  expect_true(all(table$std.error[table$part == "emission"] > 0))
  two <- em_hmm(cbind(a, b) ~ 1, d, n_states = 2)
  table <- tidy(two)
  expect_equal(table$estimate[table$parameter == "covariance[b,a]" & table$state == "2"],
               two$parameters$emission$covariance["b", "a", 2])
})

test_that("glance() is one row with the criteria of stats", {
  fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 1:2)
  row <- glance(fit)
  expect_equal(nrow(row), 1)
  expect_equal(c(row$logLik, row$AIC, row$BIC, row$ICL), c(fit$loglik, AIC(fit), BIC(fit), ICL(fit)))
  expect_equal(c(row$n_states, row$df, row$nobs, row$n_sequences), c(2, 7, 272, 1))
  expect_true(row$converged)
  expect_s3_class(row, if (requireNamespace("tibble", quietly = TRUE)) "tbl_df" else "data.frame")
})

test_that("augment() adds states, probabilities, fitted values and residuals in the order of the data", {
  d <- faithful
  d$id <- rep(c("b", "a"), 136)
  d$eruptions[7] <- NA
  fit <- em_hmm(eruptions ~ 1, data = d, n_states = 2, id = ~ id)
  out <- augment(fit)
  expect_equal(names(out), c("eruptions", "id", ".state", ".posterior_1", ".posterior_2", ".fitted", ".resid"))
  expect_equal(as.integer(out$.state), unname(fit$states))
  expect_equal(out$.posterior_2, unname(fit$posterior[, 2]))
  expect_equal(out$.fitted, drop(unname(fit$posterior %*% fit$parameters$emission$mean)))
  expect_equal(out$.resid, unname(residuals(fit)))
  expect_equal(is.na(out$.resid), is.na(d$eruptions))
  expect_equal(augment(fit, type.residuals = "response")$.resid, d$eruptions - out$.fitted)
  expect_equal(augment(fit, d)$waiting, d$waiting)
  expect_error(augment(fit, d[1:3, ]), class = "em_error_argument")
  # a sequence of its own is what it was among the others
  rows <- which(d$id == "a")
  new <- augment(fit, newdata = d[rows, ])
  expect_equal(new$.state, out$.state[rows])
  expect_equal(new$.resid, out$.resid[rows])
  known <- rep(c("long", "short", NA), c(1, 1, 270))
  named <- em_hmm(eruptions ~ 1, d, n_states = 2, known = known)
  expect_equal(levels(augment(named)$.state), c("long", "short"))
})

test_that("augment() has a column for each response or category", {
  d <- with_seed(3, data.frame(y = stats::rnorm(60, rep(c(0, 5), each = 30)),
                               word = factor(rep(c("no", "yes", "no"), 20))))
  fit <- em_hmm(list(y ~ 1, word ~ 1), d, n_states = 2, family = c("gaussian", "categorical"))
  out <- augment(fit, seed = 1)
  expect_true(all(c(".fitted_y", ".fitted_word[no]", ".fitted_word[yes]", ".resid_y", ".resid_word") %in% names(out)))
  expect_equal(out$`.fitted_word[no]` + out$`.fitted_word[yes]`, rep(1, 60))
  expect_equal(augment(fit, seed = 1)$.resid_word, out$.resid_word)
})
