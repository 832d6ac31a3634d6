# Threads share the rows of one fit: enough rows for them to meet, and the bits of one thread.
# Shown by letting all chunks add to one vector of statistics (partial_.data() without its offset): the sums then
# depend on which thread comes first, and on a machine with two idle processors the bits differ.

large_data <- function(missing = FALSE) {
  n <- 4e5
  x <- with_seed(1, matrix(stats::rnorm(4 * n), n)) + (seq_len(n) %% 4)
  if (missing) x[seq(1, n, by = 7), 2] <- x[seq(3, n, by = 11), c(1, 3)] <- NA
  x
}

expect_same_bits <- function(x, code, ...) {
  start <- rep_len(1:4, nrow(x))
  fits <- lapply(c(1, 2, 4, 2, 2), function(threads) {
    fit_iterations(8, x, n_components = 4, covariance = code, start = start, threads = threads, ...)
  })
  for (other in fits[-1]) {
    for (field in c("trace", "parameters", "posterior")) {
      expect_true(identical(other[[field]], fits[[1]][[field]]), label = paste("identical", field))
    }
  }
}

test_that("full sweeps give the bits of one thread", {
  expect_same_bits(large_data(), "VVV")
})
test_that("diagonal sweeps give the bits of one thread", {
  expect_same_bits(large_data(), "VVI")
})
test_that("shared sweeps and the total scatter give the bits of one thread", {
  expect_same_bits(large_data(), "EEE")
})
test_that("missing values and weights give the bits of one thread", {
  x <- large_data(missing = TRUE)
  expect_same_bits(x, "VEE", weights = 0.5 + (seq_len(nrow(x)) %% 3))
})
