# Where fits start.

test_that("automatic starts are as many as asked for, hierarchical ones first", {
  x <- data_iris()
  trees <- with_seed(1, ward_trees(x, 3))
  for (n in c(1, 2, 5, 10)) {
    starts <- automatic_starts(3, n, 150, trees, TRUE, FALSE)
    expect_length(starts, n)
    expect_identical(starts[[1]]$kind, "partition")
  }
  kinds <- vapply(automatic_starts(3, 10, 150, trees, TRUE, FALSE), `[[`, "", "kind")
  expect_true(all(c("partition", "kmeans", "random") %in% kinds))
  # One component needs no search.
  expect_length(automatic_starts(1, 10, 150, trees, TRUE, FALSE), 1)
})

test_that("hierarchical partitions have the right number of parts and do not depend on the order of rows or units", {
  x <- data_iris()
  order <- with_seed(2, sample(150))
  cut <- function(x) {
    starts <- automatic_starts(4, 2, nrow(x), with_seed(1, ward_trees(x, 4)), TRUE, FALSE)
    lapply(starts, `[[`, "partition")
  }
  for (i in 1:2) {
    plain <- cut(x)[[i]]
    expect_identical(sort(unique(plain)), 1:4)
    # The same sets of rows, whatever they are called.
    same_sets <- function(a, b) expect_identical(match(a, unique(a)), match(b, unique(b)))
    same_sets(cut(x[order, ])[[i]], plain[order])
    same_sets(cut(1e8 * x)[[i]], plain)
    same_sets(cut(x %*% diag(10^c(-5, 0, 3, 6)))[[i]], plain)
  }
})

test_that("hierarchical starts are light: on many rows they use a sample", {
  x <- with_seed(1, matrix(stats::rnorm(6000), ncol = 2))
  trees <- with_seed(1, ward_trees(x, 3, limit = 100))
  expect_length(trees[[1]]$rows, 100)
  expect_true(all(trees[[1]]$rows %in% 1:3000))
})

test_that("starts that collapse lose to those that do not", {
  # Half of all rows are one point: starts that give it a component of its own collapse.
  x <- rbind(data_faithful(), matrix(c(3, 65), 150, 2, byrow = TRUE))
  fit <- with_seed(1, quietly(em_gmm(x, n_components = 3, covariance = "VII")))
  expect_true(any(fit$starts$status == "degenerate"))
  expect_false(any(fit$starts$best[fit$starts$status == "degenerate"]))
  expect_true(is.finite(fit$loglik))
  expect_true(all(fit$parameters$covariances[1, 1, ] > 0))
})

test_that("large data are searched on a sample and fitted on all rows", {
  truth <- random_parameters("VVV", 2, 3, seed = 3, spread = 4)
  x <- simulate_mixture(6000, truth, seed = 4)$x
  sampled <- with_seed(1, em_gmm(x, n_components = 3, covariance = "VVV", control = em_control(search_rows = 500)))
  whole <- with_seed(1, em_gmm(x, n_components = 3, covariance = "VVV"))
  expect_equal(sampled$loglik, whole$loglik, tolerance = 1e-8)
  expect_equal(sampled$nobs, 6000)
})

test_that("every start of the table ends at or below the best", {
  fit <- with_seed(4, em_gmm(data_iris(), n_components = 4, covariance = "VEV", control = em_control(n_starts = 15)))
  expect_identical(nrow(fit$starts), 15L)
  expect_true(all(fit$starts$loglik <= fit$loglik + 1e-6, na.rm = TRUE))
})
