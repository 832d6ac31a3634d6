# What is shown of a hidden Markov model.

print_quiet <- function(...) em_hmm(..., control = em_control(progress = FALSE, n_starts = 5, n_polish = 2))

test_that("infinite degrees of freedom are shown as such", {
  fit <- with_seed(1, print_quiet(log(airquality$Ozone), n_states = 2, family = "t"))
  fit$parameters$emission$df <- c("1" = 5.357, "2" = 1e13)
  lines <- capture.output(print(fit))
  expect_match(lines, "5\\.357$", all = FALSE)
  expect_match(lines, " Inf$", all = FALSE)
})

test_that("small probabilities have digits, impossible transitions a dot", {
  expect_equal(format_chance(c(0, 3.21e-6, 2e-4, .5, 1)), c("0", "3.2e-06", "0.0002", "0.5000", "1.0000"))
  fit <- print_quiet(eruptions ~ 1, faithful, n_states = 2, topology = "left-right")
  expect_match(capture.output(print(fit)), "^ 2 +\\. ", all = FALSE)
})

test_that("no line is wider than the console", {
  fit <- print_quiet(eruptions ~ 1, faithful, n_states = 2)
  old <- options(width = 40)
  on.exit(options(old))
  lines <- capture.output(print(fit))
  expect_lte(max(nchar(lines)), 40)
  expect_match(lines, "BIC", all = FALSE)
  expect_match(lines, "AIC", all = FALSE)
})

test_that("one state is spoken of as one", {
  expect_output(print(summary(print_quiet(eruptions ~ 1, faithful, n_states = 1))), "one state: the optimum")
})

test_that("columns are parameters, also where the name of a response has brackets", {
  data <- data.frame(faithful, x = seq_len(272))
  formulas <- list("y[1]" = eruptions ~ x, rt = cbind(eruptions, waiting) ~ 1)
  fit <- print_quiet(formulas, data, n_states = 2)
  expect_equal(colnames(emission_matrix(fit))[1:5],
               c("y[1].(Intercept)", "y[1].x", "y[1].sd", "rt.mean[eruptions]", "rt.mean[waiting]"))
  expect_equal(unname(emission_matrix(fit)[, "y[1].x"]), unname(fit$parameters$emission[["y[1]"]]$coefficients["x", ]))
})
