# Peak memory of a fit of n = 1e7, d = 2, K = 5, as a multiple of the data.
say("\nMemory, n = 1e7, d = 2, K = 5")

check_memory(
  "peak memory over the size of the data", limit = 2, megabytes = 160,
  warm_up = "em_gmm(faithful, n_components = 2, covariance = 'VVV')",
  data = c("x <- matrix(0, 1e7, 2)",
           "for (j in 1:2) for (b in split(seq_len(1e7), ceiling(seq_len(1e7) / 1e6))) {",
           "  x[b, j] <- rnorm(length(b)) + 3 * ((b + j) %% 5)",
           "}"),
  fit = "em_gmm(x, n_components = 5, covariance = 'VVV', control = em_control(max_iter = 20))"
)
