# Bootstrap of em().

exponential_rate <- function(y, ...) {
  em(list(rate = 1), update = function(theta, y) list(rate = (theta$rate + 1 / mean(y)) / 2),
     loglik = function(theta, y) sum(stats::dexp(y, theta$rate, log = TRUE)), data = y, transform = "positive", ...)
}

test_that("elements and rows are drawn with replacement", {
  y <- with_seed(1, stats::rexp(50, 2))
  fit <- exponential_rate(y, control = em_control(tol = 1e-12))
  boot <- with_seed(2, em_bootstrap(fit, n_boot = 30))
  by_hand <- with_seed(2, vapply(1:30, function(b) 1 / mean(y[sample.int(50, replace = TRUE)]), 0))
  expect_equal(unname(boot$replicates[, 1]), by_hand, tolerance = 1e-5)
  expect_equal(with_seed(2, vcov(fit, type = "bootstrap", n_boot = 30)), vcov(boot))
  expect_output(print(boot), "Bootstrap of a model of your own")
  frame <- em(c(m = 0), update = function(theta, d) c(m = mean(d$a)),
              loglik = function(theta, d) sum(stats::dnorm(d$a, theta, log = TRUE)), data = data.frame(a = y, b = 1))
  by_hand <- with_seed(2, vapply(1:10, function(b) mean(y[sample.int(50, replace = TRUE)]), 0))
  expect_equal(unname(with_seed(2, em_bootstrap(frame, n_boot = 10))$replicates[, 1]), by_hand)
})

test_that("other data are drawn by the user's function", {
  counts <- c(125, 18, 20, 34)
  fit <- em(
    list(t = 0.5), update = function(theta, y) {
      x <- y[1] * theta$t / (2 + theta$t)
      list(t = (x + y[4]) / (x + sum(y[2:4])))
    },
    loglik = function(theta, y) sum(y * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t))),
    data = counts, transform = "probability", n_obs = sum(counts)
  )
  # Four counts are not four observations.
  expect_error(em_bootstrap(fit), class = "em_error_argument")
  draw <- function(y) drop(stats::rmultinom(1, sum(y), y / sum(y)))
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 300, resample = draw))
  # 300 replicates know a standard error to 4 %
  expect_equal(sqrt(diag(vcov(boot))), sqrt(diag(vcov(fit))), tolerance = 0.15)
  expect_error(em_bootstrap(fit, resample = 3), class = "em_error_argument")
})

test_that("data that fail are counted, and functions with data of their own are told of", {
  y <- with_seed(1, stats::rexp(20))
  fit <- exponential_rate(y)
  calls <- 0
  moody <- function(y) {
    calls <<- calls + 1
    if (calls %% 3 == 0) y * NA else y[sample.int(20, replace = TRUE)]
  }
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 9, resample = moody))
  expect_equal(boot$n_ok, 6L)
  expect_error(em_bootstrap(fit, n_boot = 5, resample = function(y) y * NA), "first error was",
               class = "em_error_bootstrap_failed")
  own <- em(c(m = 0), update = function(theta) c(m = mean(y)),
            loglik = function(theta) sum(stats::dnorm(y, theta, log = TRUE)))
  expect_error(em_bootstrap(own), class = "em_error_no_data")
})
