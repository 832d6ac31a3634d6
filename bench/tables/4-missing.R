# Missing data: maximum likelihood and imputation, against norm2, Amelia and mice.
say("\nMissing data")

repetitions <- if (quick) 3 else 5

# Correlated normal data with cells missing completely at random.
simulate_incomplete <- function(n, p, rate, seed = 1) {
  set.seed(seed)
  covariance <- crossprod(matrix(rnorm(p * p), p)) / p + diag(p) / 2
  x <- matrix(rnorm(n * p), n) %*% chol(covariance)
  x[matrix(runif(n * p) < rate, n)] <- NA
  colnames(x) <- paste0("x", seq_len(p))
  x
}

# Seconds per iteration of plain EM over `more` iterations.
our_iterations <- function(x, more, threads = 2) {
  function() {
    per_iteration(function(iterations) {
      control <- em_control(tol = 0, max_iter = iterations, acceleration = "none", n_starts = 1, threads = threads)
      suppressWarnings(em_mvnorm(x, control = control))
    }, more)
  }
}

two_threads <- em_control(threads = 2, progress = FALSE)
with_norm2 <- has("norm2")
with_amelia <- has("Amelia")
with_mice <- has("mice")

# --- maximum likelihood --------------------------------------------------------------------------
x <- simulate_incomplete(1e5, 10, 0.1)
contenders <- list(ours = function() seconds(em_mvnorm(x, control = two_threads)))
if (with_norm2) {
  contenders$norm2 <- function() {
    seconds(norm2::emNorm(x, criterion = 1e-6, iter.max = 1000, estimate.worst = FALSE))
  }
}
if (with_amelia) {
  contenders$amelia <- function() seconds(Amelia::amelia(as.data.frame(x), m = 1, p2s = 0, boot.type = "none"))
}
times <- interleave(contenders, repetitions)
if (with_norm2) compare("ML, n = 1e5, p = 10, 10 % MCAR, 2 threads", times[, "ours"], times[, "norm2"], "norm2::emNorm", 15)
if (with_amelia) compare("the same", times[, "ours"], times[, "amelia"], "Amelia, m = 1", 25)

large <- simulate_incomplete(1e6, 10, 0.1)
times <- interleave(list(small = our_iterations(x, 500), large = our_iterations(large, 500)), repetitions)
ratio <- stats::median(times[, "large"] / times[, "small"])
check("ML, time per iteration, n = 1e6 to n = 1e5", ratio <= 1.5,
      sprintf("%.3f ms and %.3f ms, ratio %.2f (%d and %d patterns), at most 1.5", 1e3 * stats::median(times[, "large"]),
              1e3 * stats::median(times[, "small"]), ratio, nrow(em_mvnorm(large)$patterns), nrow(em_mvnorm(x)$patterns)))
rm(large)

wide <- simulate_incomplete(2000, 50, 0.1)
contenders <- list(ours = our_iterations(wide, 100))
if (with_norm2) {
  contenders$norm2 <- function() {
    per_iteration(function(iterations) {
      suppressWarnings(norm2::emNorm(wide, criterion = 1e-30, iter.max = iterations, estimate.worst = FALSE))
    }, 20)
  }
  times <- interleave(contenders, repetitions)
  compare("ML, n = 2000, p = 50, 10 % MCAR, per iteration", times[, "ours"], times[, "norm2"], "norm2::emNorm", 5)
}

# --- imputation ----------------------------------------------------------------------------------
if (with_amelia) {
  data <- as.data.frame(x)
  times <- interleave(list(
    ours = function() seconds(em_impute(data, m = 20, control = two_threads)),
    amelia = function() seconds(Amelia::amelia(data, m = 20, p2s = 0, parallel = "multicore", ncpus = 2))
  ), if (quick) 1 else 3)
  compare("20 imputations, n = 1e5, p = 10", times[, "ours"], times[, "amelia"], "Amelia, 2 processes", 20)
}

# Ten columns of all kinds that depend on two factors.
simulate_mixed <- function(n, seed = 2) {
  set.seed(seed)
  f <- matrix(rnorm(2 * n), n)
  score <- function() drop(f %*% rnorm(2)) + rnorm(n)
  cut_at <- function(z, shares) cut(z, quantile(z, cumsum(c(0, shares))), include.lowest = TRUE, labels = FALSE)
  d <- data.frame(
    a = score(), b = exp(score() / 3), c = score(),
    yes = factor(score() > 0.4), no = score() > 0,
    grade = factor(cut_at(score(), c(0.4, 0.3, 0.2, 0.1)), ordered = TRUE),
    region = factor(letters[cut_at(score(), c(0.5, 0.3, 0.2))]),
    colour = factor(LETTERS[cut_at(score(), c(0.4, 0.3, 0.2, 0.1))]),
    events = rpois(n, exp(score() / 4)), visits = as.integer(rpois(n, 2))
  )
  for (j in seq_along(d)) is.na(d[[j]]) <- which(runif(n) < 0.1)
  d
}
if (with_mice) {
  mixed <- simulate_mixed(2000)
  times <- interleave(list(
    ours = function() seconds(em_impute(mixed, m = 5, control = two_threads)),
    mice = function() seconds(mice::mice(mixed, m = 5, printFlag = FALSE))
  ), if (quick) 1 else 3)
  compare("5 imputations, n = 2000, 10 mixed columns", times[, "ours"], times[, "mice"], "mice, defaults", 10)
}
