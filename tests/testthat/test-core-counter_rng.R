# The counter-based generator: Philox 4x32-10, and what is made of it.

test_that("the first block of key 0, stream 0 is the published one", {
  # Random123's known answers (kat_vectors), philox4x32 10, counter and key 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
  uniform <- function(high, low) (high * 2^20 + floor(low / 2^12) + 0.5) / 2^52
  expect_identical(counter_rng_(0, 0, 2, "uniform"),
                   c(uniform(0x6627e8d5, 0xe169c58d), uniform(0xbc57ac4c, 0x9b00dbd8)))
})

test_that("a stream does not depend on how much of it is asked for", {
  for (kind in c("uniform", "normal", "exponential")) {
    expect_identical(counter_rng_(7, 3, 5, kind), counter_rng_(7, 3, 101, kind)[1:5])
  }
})

test_that("keys and streams are different streams", {
  streams <- mapply(counter_rng_, key = c(1, 1, 2), stream = c(1, 2, 1), n = 1000, kind = "uniform")
  expect_false(anyDuplicated(as.numeric(streams)) > 0)
  # Five standard errors of a correlation of 1000 pairs.
  expect_lt(max(abs(stats::cor(streams)[upper.tri(diag(3))])), 5 / sqrt(1000))
})

test_that("the distributions are what their names say", {
  n <- 20000
  check <- function(kind, cdf) {
    # A fixed stream: the p-value is a number, not luck.
    expect_gt(stats::ks.test(counter_rng_(11, 5, n, kind), cdf)$p.value, 1e-3)
  }
  check("uniform", stats::punif)
  check("normal", stats::pnorm)
  check("exponential", stats::pexp)
  u <- counter_rng_(11, 6, n, "uniform")
  expect_gt(min(u), 0)
  expect_lt(max(u), 1)
  # Successive normals come in pairs of one radius: they are uncorrelated, and so are their squares.
  z <- matrix(counter_rng_(3, 3, n, "normal"), 2)
  expect_lt(abs(stats::cor(z[1, ], z[2, ])), 5 / sqrt(n / 2))
  expect_lt(abs(stats::cor(z[1, ]^2, z[2, ]^2)), 5 / sqrt(n / 2))
})
