# Families on R's side: names, links, parameters, supports and distributions.

test_that("families are found by name, alias, object of stats and constructor", {
  expect_identical(resolve_family("gaussian")$name, "gaussian")
  expect_identical(resolve_family("Normal")$name, "gaussian")
  expect_identical(resolve_family("nbinom")$name, "negative_binomial")
  expect_identical(resolve_family("bernoulli")$name, "binomial")
  expect_identical(resolve_family("zero_inflated_poisson")$name, "zip")
  expect_identical(resolve_family(stats::poisson())$name, "poisson")
  expect_identical(resolve_family(stats::binomial("cloglog"))$link, "cloglog")
  expect_identical(resolve_family(stats::gaussian)$name, "gaussian")
  family <- resolve_family("zip")
  expect_identical(resolve_family(family), family)
})

test_that("an unknown family or link is a classed error with the choices", {
  expect_error(resolve_family("gausian"), "\"gaussian\"", class = "em_error_family")
  expect_error(resolve_family(7), "not 7", class = "em_error_family")
  expect_error(resolve_family(c("poisson", "gaussian")), class = "em_error_family")
  expect_error(resolve_family(stats::poisson("sqrt")), "no link \"sqrt\"", class = "em_error_family")
})

test_that("no two families share a name or an alias", {
  names <- unlist(lapply(all_families(), function(f) c(f$name, f$aliases)))
  expect_identical(anyDuplicated(names), 0L)
})

test_that("values outside the support are errors that name the row and the value", {
  outside <- function(family, y, words) {
    error <- expect_error(resolve_family(family)$check(y, "y"), words, class = "em_error_support")
    expect_identical(error$row, 3L)
    expect_match(conditionMessage(error), "row 3 is", fixed = TRUE)
  }
  outside("gaussian", c(1, NA, Inf, 2), "finite")
  outside("poisson", c(1, NA, -1, 2), "not negative")
  outside("negative_binomial", c(1, NA, 2.5), "whole")
  outside("zip", c(1, NA, 1.5), "whole")
  outside("zinb", c(1, NA, -2), "whole")
  outside("binomial", c(0, NA, 2, 1), "0 or 1")
  outside("binomial", cbind(c(1, 2, -1), 1), "successes")
  outside("multinomial", cbind(c(1, 2, 3), c(1, NA, 0.5)), "counts")
})

test_that("responses of the wrong type are errors", {
  expect_error(resolve_family("gaussian")$check(Sys.Date(), "y"), class = "em_error_response_type")
  expect_error(resolve_family("gaussian")$check(cbind(1:2, 1:2), "y"), "2 columns", class = "em_error_response_type")
  expect_error(resolve_family("binomial")$check(factor(c("a", "b", "c")), "y"), "3 levels",
               class = "em_error_response_type")
  expect_error(resolve_family("categorical")$check(factor(c("a", "a")), "y"), "two categories",
               class = "em_error_support")
  expect_error(resolve_family("multinomial")$check(factor(c("a", "b")), "y"), "categorical",
               class = "em_error_response_type")
})

test_that("responses become doubles with missing values kept", {
  expect_identical(resolve_family("poisson")$check(c(1L, NA, 3L), "y")$y, matrix(c(1, NA, 3)))
  expect_identical(resolve_family("binomial")$check(c(TRUE, NA, FALSE), "y")$y, cbind(c(1, NA, 0), c(1, NA, 1)))
  expect_identical(resolve_family("binomial")$check(cbind(c(1, NA), c(2, 3)), "y")$y, cbind(c(1, NA), c(3, NA)))
  words <- resolve_family("binomial")$check(factor(c("no", "yes")), "y")
  expect_identical(words$y[, 1L], c(0, 1))
  expect_identical(words$levels, c("no", "yes"))
  got <- resolve_family("categorical")$check(factor(c("u", NA, "w"), levels = c("u", "v", "w")), "y")
  expect_identical(got$y, matrix(c(0, NA, 1)))
  expect_identical(got$levels, c("u", "w"))
})

test_that("parameters go by the names that users know", {
  poisson <- resolve_family("poisson")
  expect_identical(poisson$to_natural(list(mean = c(1, 2)), list(), 2L), rbind(c(1, 2)))
  expect_identical(poisson$to_natural(list(rate = 3), list(), 2L), rbind(c(3, 3)))
  expect_identical(resolve_family("negative_binomial")$to_natural(list(mu = c(1, 2), size = 3), list(), 2L),
                   rbind(c(1, 2), 3))
  prob <- rbind(c(0.2, 0.8), c(0.5, 0.5))
  expect_identical(resolve_family("categorical")$to_natural(list(prob = prob), list(levels = c("a", "b")), 2L), t(prob))
})

test_that("parameters that are missing, unknown, of the wrong shape or outside their domain are errors", {
  gaussian <- resolve_family("gaussian")
  expect_error(gaussian$to_natural(list(mean = 1:2), list(), 2L), "lack \"sd\"", class = "em_error_start")
  expect_error(gaussian$to_natural(list(mean = 1:2, sd = 1, var = 2), list(), 2L), "not var", class = "em_error_start")
  expect_error(gaussian$to_natural(list(mean = 1:3, sd = 1), list(), 2L), "\"mean\"", class = "em_error_start")
  expect_error(gaussian$to_natural(list(mean = 1:2, sd = c(1, 0)), list(), 2L), "positive", class = "em_error_start")
  expect_error(gaussian$to_natural(c(1, 2), list(), 2L), class = "em_error_start")
  expect_error(gaussian$to_natural(list(coefficients = matrix(0, 3, 2), sd = 1), list(p = 2L), 2L), "2 x 2",
               class = "em_error_start")
  categorical <- resolve_family("categorical")
  expect_error(categorical$to_natural(list(prob = rbind(c(0.2, 0.7))), list(levels = c("a", "b")), 1L), "sum to 1",
               class = "em_error_start")
  expect_error(categorical$to_natural(list(prob = diag(3)), list(levels = c("a", "b")), 2L), "2 x 2",
               class = "em_error_start")
})

# Parameters of one component in the shape of theta, with the values a discrete family may take.
one_theta <- function(name) {
  example <- family_example(name)
  list(family = resolve_family(name), example = example,
       theta = resolve_family(name)$row_parameters(example$natural, 2L, NULL, NULL, example$info))
}

families_with <- function(part, columns) {
  Filter(function(name) {
    family <- resolve_family(name)
    !is.null(family[[part]]) && family$columns %in% columns
  }, response_registry_()$name)
}

for (name in families_with("cdf", "one")) test_that(sprintf("%s: density, cdf, quantiles and draws agree", name), {
  p <- one_theta(name)
  family <- p$family
  grid <- c(0.02, 0.3, 0.5, 0.77, 0.98)
  at <- family$quantile(grid, p$theta)
  if (family$discrete) {
    values <- 0:2000
    density <- family$density(values, p$theta)
    expect_equal(sum(density), 1, tolerance = 1e-9)
    expect_equal(cumsum(density), family$cdf(values, p$theta), tolerance = 1e-9)
    expect_equal(sum(values * density), family$mean(p$theta), tolerance = 1e-8)
    expect_true(all(family$cdf(at, p$theta) >= grid - 1e-12))
    expect_true(all(family$cdf(at - 1, p$theta) < grid))
    expect_identical(family$cdf(-1, p$theta), 0)
  } else {
    expect_equal(family$cdf(at, p$theta), grid, tolerance = 1e-7)
    for (i in 2:5) {
      inside <- stats::integrate(function(y) family$density(y, p$theta), at[i - 1L], at[i], rel.tol = 1e-9)$value
      expect_equal(inside, grid[i] - grid[i - 1L], tolerance = 1e-6)
    }
  }
  expect_equal(family$density(at, p$theta, log = TRUE), log(family$density(at, p$theta)), tolerance = 1e-12)
  draws <- with_seed(9, family$random(4000L, p$theta))
  # The share of draws up to a value, five standard errors.
  for (value in at) {
    expected <- family$cdf(value, p$theta)
    expect_lt(abs(mean(draws <= value) - expected), 5 * sqrt(expected * (1 - expected) / 4000) + 1e-12)
  }
})

test_that("zero-inflated families take vectors of values and of parameters", {
  family <- resolve_family("zip")
  theta <- list(lambda = c(1, 2, 3), zero = c(0, 0.5, 1))
  expect_equal(family$density(0, theta), c(exp(-1), 0.5 + 0.5 * exp(-2), 1))
  expect_equal(family$density(2, theta), c(stats::dpois(2, 1), 0.5 * stats::dpois(2, 2), 0))
  expect_equal(family$cdf(1, theta), c(stats::ppois(1, 1), 0.5 + 0.5 * stats::ppois(1, 2), 1))
  expect_identical(family$quantile(0.6, theta), c(1, 1, 0))
  expect_equal(family$density(900, list(lambda = 1, zero = 0.5), log = TRUE), log(0.5) + stats::dpois(900, 1, TRUE))
})

test_that("binomial: density, cdf, quantiles and draws agree", {
  family <- resolve_family("binomial")
  theta <- list(prob = 0.3, trials = 7)
  values <- cbind(0:7, 7)
  expect_equal(sum(family$density(values, theta)), 1)
  expect_equal(cumsum(family$density(values, theta)), family$cdf(values, theta))
  expect_identical(family$quantile(family$cdf(values, theta) - 1e-9, theta), 0:7 + 0)
  draws <- with_seed(1, family$random(4000L, theta))
  expect_identical(draws[, 2L], rep(7, 4000))
  expect_lt(abs(mean(draws[, 1L]) - family$mean(theta)), 5 * sqrt(7 * 0.21 / 4000))
  expect_identical(family$mean(list(prob = 0.3)), 0.3)
})

test_that("categorical: density, cdf, quantiles and draws agree", {
  family <- resolve_family("categorical")
  theta <- list(prob = matrix(c(0.2, 0, 0.5, 0.3), 1L))
  expect_identical(family$density(0:3, theta), c(0.2, 0, 0.5, 0.3))
  expect_equal(family$cdf(0:3, theta), c(0.2, 0.2, 0.7, 1))
  expect_identical(family$quantile(c(0.1, 0.2, 0.21, 0.7, 0.71, 1), theta), c(0, 0, 2, 2, 3, 3))
  expect_identical(family$density(c(1, NA), theta, log = TRUE), c(-Inf, NA))
  draws <- with_seed(1, family$random(4000L, theta))
  expect_equal(tabulate(draws + 1, 4L) / 4000, c(0.2, 0, 0.5, 0.3), tolerance = 0.05)
})

test_that("multinomial: densities sum to 1 over all counts, draws have the right means", {
  family <- resolve_family("multinomial")
  theta <- list(prob = c(0.2, 0.3, 0.5), size = 4)
  counts <- as.matrix(expand.grid(0:4, 0:4, 0:4))
  counts <- counts[rowSums(counts) == 4, ]
  expect_equal(sum(family$density(counts, theta)), 1)
  expect_identical(family$density(cbind(1, 0, 2), list(prob = c(0.5, 0, 0.5))), choose(3, 1) * 0.5^3)
  draws <- with_seed(1, family$random(2000L, theta))
  expect_true(all(rowSums(draws) == 4))
  expect_equal(colMeans(draws), c(0.8, 1.2, 2), tolerance = 0.05)
})

test_that("parameters by row follow the linear predictor, its offset and its link", {
  x <- cbind(1, c(-1, 0, 2))
  offset <- c(0, 0.1, 0.2)
  theta <- resolve_family("negative_binomial")$row_parameters(cbind(c(0.5, 0.2, 3)), 1L, x, offset, list(p = 2L))
  expect_equal(theta$mean, exp(0.5 + 0.2 * c(-1, 0, 2) + offset))
  expect_identical(theta$size, rep(3, 3))
  probit <- resolve_family(stats::binomial("probit"))
  expect_equal(probit$row_parameters(cbind(c(0.5, 0.2)), 1L, x, NULL, list(p = 2L))$prob,
               stats::pnorm(0.5 + 0.2 * c(-1, 0, 2)))
  categorical <- resolve_family("categorical")
  info <- list(p = 2L, levels = c("a", "b", "c"))
  prob <- categorical$row_parameters(cbind(c(0.5, 0.2, -1, 1)), 1L, x, NULL, info)$prob
  eta <- cbind(0, 0.5 + 0.2 * x[, 2L], -1 + x[, 2L])
  expect_equal(prob, exp(eta) / rowSums(exp(eta)))
})
