# The model behind em_mixture(), through the doors of glue_mixture.cpp.

# A mixture of K Poisson distributions as the core takes it.
poisson_data <- function(y, weights = NULL, known = NULL, x_proportions = NULL) {
  response <- list(name = "y", family = "poisson", y = matrix(as.double(y)), x = NULL, offset = NULL, link = "log",
                   options = list(covariance = "VVV", n_parts = 2L, n_categories = 0L), fixed = NULL, shared = NULL)
  list(responses = list(response), n = length(y), known = known, weights = weights, x_proportions = x_proportions)
}
poisson_model <- function(k, kind = "free", fixed = NULL) {
  list(n_components = k, proportions = list(kind = kind, fixed = fixed), least_size = 0)
}
core_settings <- function(..., threads = 1L) {
  settings <- list(tol = 1e-13, max_iter = 1000L, accelerator = "none", n_short = 10L, n_polish = 1L, threads = threads)
  utils::modifyList(settings, list(...))
}
at <- function(p, lambda) list(proportions = matrix(p), emission = list(matrix(lambda, 1L)))
as_start <- function(parameters) list(list(kind = "parameters", method = "given", parameters = parameters))
counts <- function(n = 400) with_seed(31, stats::rpois(n, c(2, 9)[1 + stats::rbinom(n, 1, .3)]))

test_that("rows are evaluated by definition, in every tile", {
  y <- counts(3000)
  y[c(5, 2999)] <- NA
  p <- c(.2, .5, .3)
  lambda <- c(1, 4, 12)
  data <- poisson_data(y)
  model <- poisson_model(3L)
  joint <- vapply(1:3, function(k) stats::dpois(y, lambda[k], log = TRUE), numeric(3000))
  joint[is.na(y), ] <- 0
  expect_equal(mixture_evaluate_(data, model, at(p, lambda), "component", 1L), joint, tolerance = 1e-12)
  total <- exp(joint) * rep(p, each = 3000)
  expect_equal(mixture_evaluate_(data, model, at(p, lambda), "log_density", 2L), log(rowSums(total)), tolerance = 1e-12)
  z <- mixture_evaluate_(data, model, at(p, lambda), "posterior", 1L)
  expect_equal(z, total / rowSums(total), tolerance = 1e-12)
  sums <- mixture_evaluate_(data, model, at(p, lambda), "summary", 1L)
  z <- (total / rowSums(total))[!is.na(y), ]
  expect_equal(unlist(sums[1:3]), c(loglik = sum(log(rowSums(total))), map_entropy = sum(log(apply(z, 1, max))),
                                    soft_entropy = sum(z * log(z))), tolerance = 1e-11)
})

test_that("one iteration is that of plain EM", {
  y <- counts()
  w <- with_seed(1, stats::runif(400))
  p <- c(.6, .4)
  lambda <- c(1, 6)
  z <- vapply(1:2, function(k) p[k] * stats::dpois(y, lambda[k]), numeric(400))
  z <- w * z / rowSums(z)
  start <- as_start(at(p, lambda))
  run <- mixture_fit_(poisson_data(y, w), poisson_model(2L), start, core_settings(max_iter = 1L), NULL)
  expect_equal(as.vector(run$parameters$proportions), colSums(z) / sum(z), tolerance = 1e-12)
  # One Newton step in log lambda, guarded, is near the maximum of the complete-data likelihood and on its way there.
  full <- colSums(z * y) / colSums(z)
  reached <- as.vector(run$parameters$emission[[1]])
  expect_true(all((reached - lambda) * (full - lambda) > 0))
  expect_equal(run$trace_loglik[2], sum(w * log(rowSums(vapply(1:2, function(k) {
    run$parameters$proportions[k] * stats::dpois(y, reached[k])
  }, numeric(400))))), tolerance = 1e-12)
})

test_that("score and information are those of numerical differences in the coordinates", {
  y <- counts()
  # log(p2 / p1), log lambda1, log lambda2
  loglik <- function(a) {
    p <- c(1, exp(a[1])) / (1 + exp(a[1]))
    sum(log(p[1] * stats::dpois(y, exp(a[2])) + p[2] * stats::dpois(y, exp(a[3]))))
  }
  p <- c(.55, .45)
  lambda <- c(2.5, 8)
  found <- mixture_information_(poisson_data(y), poisson_model(2L), at(p, lambda), 1L)
  point <- c(log(p[2] / p[1]), log(lambda))
  expect_true(found$regular)
  expect_equal(found$coordinates, point)
  expect_equal(found$score, numerical_gradient(loglik, point), tolerance = 1e-7)
  expect_equal(found$information, -numerical_hessian(loglik, point), tolerance = 1e-6)
  # Proportions, then lambda.
  expect_equal(found$jacobian, rbind(cbind(c(-1, 1) * p[1] * p[2], 0, 0), cbind(0, diag(lambda))), tolerance = 1e-8)
})

test_that("fixed proportions share what is left among the free ones", {
  y <- counts()
  model <- poisson_model(3L, "fixed", c(.25, NA, NA))
  run <- mixture_fit_(poisson_data(y), model, as_start(at(c(.25, .5, .25), c(1, 4, 9))), core_settings(), NULL)
  p <- as.vector(run$parameters$proportions)
  expect_equal(p[1], .25)
  expect_equal(sum(p), 1)
  expect_equal(p[2:3], .75 * run$counts[2:3] / sum(run$counts[2:3]), tolerance = 1e-5)
  expect_equal(run$df, 4)
  expect_gt(min(diff(run$trace_loglik)), -1e-10)
})

test_that("the objective never falls, with any accelerator, from starts from which Newton steps overshoot", {
  data <- with_seed(2, {
    x <- stats::rnorm(300)
    class <- 1 + stats::rbinom(300, 1, stats::plogis(2 * x))
    poisson_data(stats::rpois(300, c(1, 30)[class]), x_proportions = cbind(1, x))
  })
  far <- list(proportions = cbind(c(0, 0), c(-8, 15)), emission = list(matrix(c(25, .05), 1L)))
  optimum <- NULL
  for (accelerator in acceleration_registry_()) {
    run <- mixture_fit_(data, poisson_model(2L, "logit"), as_start(far), core_settings(accelerator = accelerator), NULL)
    expect_true(run$status == "converged")
    expect_gt(min(diff(run$trace_loglik)), -1e-7)
    optimum <- c(optimum, run$loglik)
  }
  expect_lt(diff(range(optimum)), 1e-6)
})

test_that("an impossible row stops the run and is named, unless it has no say", {
  y <- c(0, 0, 0, 4, 0)
  start <- as_start(at(c(.5, .5), c(0, 0)))
  run <- mixture_fit_(poisson_data(y), poisson_model(2L), start, core_settings(), NULL)
  expect_false(run$fitted)
  expect_equal(run$impossible_row, 4)
  expect_equal(mixture_evaluate_(poisson_data(y), poisson_model(2L), at(c(.5, .5), c(0, 0)), "log_density", 1L),
               c(0, 0, 0, -Inf, 0))
  run <- mixture_fit_(poisson_data(y, c(1, 1, 1, 0, 1)), poisson_model(2L), start, core_settings(max_iter = 0L), NULL)
  expect_true(run$fitted)
  expect_equal(run$loglik, 0)
  expect_equal(sum(run$counts), 4)
})

test_that("a component on too few rows has vanished", {
  y <- c(rep(2, 30), 40)
  model <- poisson_model(2L)
  start <- as_start(at(c(.97, .03), c(2, 40)))
  expect_true(mixture_fit_(poisson_data(y), model, start, core_settings(), NULL)$fitted)
  model$least_size <- 2
  run <- mixture_fit_(poisson_data(y), model, start, core_settings(), NULL)
  expect_false(run$fitted)
  expect_equal(run$degeneracy, "vanished")
  expect_equal(run$degenerate_component, 2)
})

test_that("a partition, sure or not so sure, and posteriors are starts", {
  y <- counts()
  part <- 1L + (y > 5)
  sure <- list(list(kind = "partition", method = "p", partition = part, certainty = 1))
  posterior <- list(list(kind = "posterior", method = "z", posterior = cbind(part == 1, part == 2) + 0))
  a <- mixture_fit_(poisson_data(y), poisson_model(2L), sure, core_settings(max_iter = 0L), NULL)
  b <- mixture_fit_(poisson_data(y), poisson_model(2L), posterior, core_settings(max_iter = 0L), NULL)
  expect_identical(a$parameters, b$parameters)
  # Newton steps end near the means of the parts.
  expect_equal(as.vector(a$parameters$emission[[1]]), as.vector(tapply(y, part, mean)), tolerance = 1e-2)
  expect_equal(as.vector(a$parameters$proportions), as.vector(table(part)) / 400)
  sure[[1]]$certainty <- .5
  blurred <- mixture_fit_(poisson_data(y), poisson_model(2L), sure, core_settings(max_iter = 0L), NULL)
  shares <- as.vector(table(part)) / 400
  z <- .5 * outer(part, 1:2, `==`) + .5 * rep(shares, each = 400)
  expect_equal(as.vector(blurred$parameters$emission[[1]]), colSums(z * y) / colSums(z), tolerance = 1e-2)
})

test_that("sums do not depend on threads, however many chunks there are", {
  y <- counts(9000)
  starts <- as_start(at(c(.5, .5), c(1, 6)))
  one <- mixture_fit_(poisson_data(y), poisson_model(2L), starts, core_settings(max_iter = 5L), NULL)
  many <- mixture_fit_(poisson_data(y), poisson_model(2L), starts, core_settings(max_iter = 5L, threads = 4L), NULL)
  expect_identical(one[c("loglik", "parameters", "counts")], many[c("loglik", "parameters", "counts")])
})
