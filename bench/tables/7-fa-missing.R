# Factor analysis with missing values, against the full-information maximum likelihood of lavaan.
say("\nFactor analysis with missing values")

simulate_factors <- function(n, p, q, rate, seed = 1) {
  set.seed(seed)
  loadings <- matrix(stats::rnorm(p * q, sd = 0.6), p)
  x <- tcrossprod(matrix(stats::rnorm(n * q), n), loadings) + matrix(stats::rnorm(n * p), n)
  x[matrix(stats::runif(n * p) < rate, n)] <- NA
  colnames(x) <- paste0("x", seq_len(p))
  x
}

# An exploratory model as a confirmatory one: uncorrelated factors, and factor k has no loading on the first k - 1
# variables, so that nothing can rotate.
echelon_model <- function(variables, q) {
  p <- length(variables)
  loadings <- vapply(seq_len(q), function(k) {
    sprintf("f%d =~ NA*%s", k, paste(variables[k:p], collapse = " + "))
  }, "")
  pairs <- if (q > 1) utils::combn(q, 2) else matrix(0L, 2, 0)
  paste(c(loadings, sprintf("f%d ~~ 1*f%d", seq_len(q), seq_len(q)), sprintf("f%d ~~ 0*f%d", pairs[1, ], pairs[2, ])),
        collapse = "\n")
}

fit_emkit <- function(x, threads) {
  em_fa(x, n_factors = 3, rotation = "none", control = em_control(n_starts = 1, threads = threads, progress = FALSE))
}
# Nothing but the estimates.
fit_lavaan <- function(x) {
  lavaan::cfa(echelon_model(colnames(x), 3), as.data.frame(x), missing = "ml", se = "none", test = "none",
              baseline = FALSE, h1 = FALSE)
}

if (has("lavaan")) {
  x <- simulate_factors(if (quick) 2000 else 1e4, 30, 3, 0.2)
  results <- list()
  times <- interleave(list(
    ours = function() seconds(results$ours <<- fit_emkit(x, 1)),
    two = function() seconds(fit_emkit(x, 2)),
    lavaan = function() seconds(results$lavaan <<- fit_lavaan(x))
  ), if (quick) 1 else 2)
  case <- sprintf("n = %d, p = 30, q = 3, 20 %% MCAR, 1 thread", nrow(x))
  compare(case, times[, "ours"], times[, "lavaan"], "lavaan, FIML", 50)
  compare("the same, 2 threads", times[, "two"], times[, "lavaan"], "lavaan, FIML", 50)
  difference <- results$ours$loglik - results$lavaan@loglik$loglik
  check("log-likelihood less that of lavaan", difference > -1e-4, sprintf("%.2e", difference))
}
