# One order of components everywhere.

test_that("every array of a fit is in the order of decreasing proportion", {
  x <- data_faithful()
  # The start names the small cluster first.
  fit <- em_gmm(x, n_components = 2, covariance = "VVV", start = 1 + (x[, 1] > 3))
  expect_gt(fit$parameters$proportions[[1]], fit$parameters$proportions[[2]])
  # The large one has the long eruptions: means, covariances, posterior and classes agree on it.
  expect_gt(fit$parameters$means[1, 1], 4)
  long <- x[, 1] > 3.5
  expect_true(all(fit$classification[long] == 1))
  expect_gt(min(fit$posterior[long, 1]), 0.5)
  first <- stats::cov.wt(x, fit$posterior[, 1], method = "ML")$cov
  expect_equal(unname(fit$parameters$covariances[, , 1]), unname(first), tolerance = 1e-4)
  expect_identical(order(-colSums(fit$posterior)), 1:2)
})

test_that("known labels and fixed parameters keep their places", {
  x <- data_faithful()
  known <- rep(NA, 272)
  known[x[, 1] < 2] <- 1  # the small cluster is called 1
  known[x[, 1] > 4.5] <- 2
  fit <- em_gmm(x, n_components = 2, covariance = "VVV", known = known)
  expect_lt(fit$parameters$proportions[[1]], fit$parameters$proportions[[2]])
  expect_lt(fit$parameters$means[1, 1], 3)
})

test_that("equal proportions are ordered by size, and ties by the means", {
  parameters <- list(proportions = rep(1 / 3, 3), means = rbind(c(5, 1, 3)), covariances = array(1, c(1, 1, 3)))
  expect_identical(component_order(parameters, c(10, 30, 20)), c(2L, 3L, 1L))
  expect_identical(component_order(parameters, c(10, 10, 10)), c(2L, 3L, 1L))
})
