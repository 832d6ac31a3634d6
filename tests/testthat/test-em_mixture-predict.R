# Predictions, residuals and draws of mixtures.

quick <- function(...) em_mixture(..., control = quiet_control())

test_that("predictions are means of the components, averaged by the proportions", {
  data <- count_lines()
  fit <- quick(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z)
  new <- data.frame(x = c(-.5, .2, 1), z = c(0, 1, -2), row.names = c("a", "b", "c"))
  b <- fit$parameters$emission$coefficients
  means <- exp(cbind(1, new$x) %*% b)
  p <- stats::plogis(drop(cbind(1, new$z) %*% fit$parameters$proportions[, 2]))
  expect_equal(predict(fit, new, "component"), matrix(means, 3, dimnames = list(c("a", "b", "c"), c("1", "2"))))
  expect_equal(predict(fit, new), stats::setNames((1 - p) * means[, 1] + p * means[, 2], c("a", "b", "c")))
  # A response that is missing, or not there, says nothing.
  expect_equal(predict(fit, new, "posterior"), predict(fit, cbind(new, y = NA_real_), "posterior"))
  expect_equal(unname(predict(fit, new, "density")), rep(1, 3))
  new$y <- c(1, 5, NA)
  joint <- cbind(1 - p, p) * stats::dpois(new$y, means)
  expect_equal(unname(predict(fit, new, "density")), c(rowSums(joint)[1:2], 1))
  expect_equal(unname(predict(fit, new, "density", log = TRUE)), log(c(rowSums(joint)[1:2], 1)))
  expect_equal(unname(predict(fit, new, "class")[1:2]), max.col(joint[1:2, ]))
  expect_equal(as.numeric(logLik(fit, newdata = new)), sum(log(rowSums(joint)[1:2])))
  expect_equal(predict(fit), fitted(fit))
  expect_equal(unname(fitted(fit, by = "posterior")), unname(rowSums(fit$posterior * predict(fit, type = "component"))))
})

test_that("categories and several columns have a mean for each", {
  data <- with_seed(5, {
    class <- rep(1:2, each = 60)
    word <- factor(c("a", "b", "c")[1 + stats::rbinom(120, 2, c(.2, .8)[class])])
    data.frame(word, y1 = stats::rnorm(120, 3 * class), y2 = stats::rnorm(120, -2 * class))
  })
  fit <- quick(list(word ~ 1, pair = cbind(y1, y2) ~ 1), data, n_components = 2,
               family = list("categorical", "mvgaussian"))
  means <- predict(fit, type = "component")
  expect_equal(dimnames(means)[[3]], c("word[a]", "word[b]", "word[c]", "pair[y1]", "pair[y2]"))
  expect_equal(unname(means[1, , "word[b]"]), unname(fit$parameters$emission$word$prob[, "b"]))
  expect_equal(unname(means[1, 2, c("pair[y1]", "pair[y2]")]), unname(fit$parameters$emission$pair$mean[, 2]))
  # New rows may have one of the categories only.
  alone <- data.frame(word = c("b", "b"))
  expect_equal(unname(predict(fit, alone, "density")),
               rep(sum(fit$parameters$proportions * fit$parameters$emission$word$prob[, "b"]), 2))
  expect_error(predict(fit, data.frame(word = "d")), class = "em_error_newdata")
})

test_that("quantile residuals are normal quantiles of the mixture's distribution function", {
  data <- gaussian_lines()
  fit <- quick(y ~ x, data, n_components = 2)
  e <- fit$parameters$emission
  mean <- cbind(1, data$x) %*% e$coefficients
  below <- rowSums(rep(fit$parameters$proportions, each = 120) * stats::pnorm(data$y, mean, rep(e$sd, each = 120)))
  expect_equal(unname(residuals(fit)), stats::qnorm(below), tolerance = 1e-8)
  expect_equal(unname(residuals(fit, "response")), data$y - unname(predict(fit)))
  # Counts are randomised between the two values of the distribution function.
  counts <- count_lines()
  fit <- quick(y ~ x, counts, n_components = 2, family = "poisson")
  mean <- exp(cbind(1, counts$x) %*% fit$parameters$emission$coefficients)
  at <- function(y) rowSums(rep(fit$parameters$proportions, each = 150) * stats::ppois(y, mean))
  u <- stats::pnorm(residuals(fit, seed = 4))
  expect_true(all(u > at(counts$y - 1) - 1e-12 & u < at(counts$y) + 1e-12))
  expect_identical(residuals(fit, seed = 4), residuals(fit, seed = 4))
})

test_that("residuals of data that the model made are standard normal, for several responses at once", {
  data <- count_lines(2000)
  data$other <- with_seed(8, stats::rgamma(2000, 5, 5 / c(1, 4)[data$component]))
  fit <- quick(list(y ~ x, other ~ 1), data, n_components = 2, family = list("poisson", "gamma"), proportions = ~ z)
  z <- residuals(fit, seed = 1)
  # Kolmogorov and Smirnov's statistic of 2000 values: 0.043 is the 0.1 % point.
  for (j in 1:2) expect_lt(stats::ks.test(z[, j], "pnorm")$statistic, .043)
  expect_lt(abs(stats::cor(z[, 1], z[, 2])), .08)
})

test_that("what is simulated from a fit is found again", {
  data <- gaussian_lines()
  fit <- quick(y ~ x, data, n_components = 2)
  many <- simulate(fit, seed = 1, newdata = data.frame(x = rep(data$x, 40)))
  again <- quick(y ~ x, many, n_components = 2)
  # Standard errors of 4800 rows: four of them.
  expect_lt(max(abs(coef(again) - coef(fit)) / sqrt(diag(vcov(again)))), 4)
  expect_gt(mean(attr(many, "classification") == again$classification), .9)
  two <- simulate(fit, 2, seed = 1)
  expect_named(two, c("sim_1", "sim_2"))
  expect_equal(dim(two$sim_1), c(120L, 2L))
  expect_identical(simulate(fit, 2, seed = 1), two)
})

test_that("angles are averaged on the circle, and options and seeds without a use are refused", {
  data <- with_seed(1, data.frame(y = stats::rnorm(200, rep(c(3, -3), each = 100), .2)))
  fit <- quick(y ~ 1, data, n_components = 2, family = "vonmises", start = rep(1:2, each = 100))
  e <- fit$parameters$emission
  length <- besselI(e$concentration, 1) / besselI(e$concentration, 0)
  p <- fit$parameters$proportions
  expected <- atan2(sum(p * length * sin(e$mean)), sum(p * length * cos(e$mean)))
  expect_close(unname(predict(fit)[1]), expected, 1e-10)
  expect_lt(max(abs(residuals(fit, "response"))), 1)
  expect_error(residuals(fit, "response", seed = 1), "`seed`", class = "em_error_argument")
  expect_error(quick(y ~ 1, data, 2, covariance = "VVV"), "`covariance`", class = "em_error_unused_argument")
})
