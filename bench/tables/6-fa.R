# Factor analysis of complete data, against factanal and fad.
say("\nFactor analysis")

repetitions <- if (quick) 3 else 7

simulate_factors <- function(n, p, q, seed = 1) {
  set.seed(seed)
  loadings <- matrix(rnorm(p * q), p)
  unique <- sqrt(runif(p, 0.2, 0.8) * q)
  x <- tcrossprod(matrix(rnorm(n * q), n), loadings) + matrix(rnorm(n * p), n) * rep(unique, each = n)
  colnames(x) <- paste0("x", seq_len(p))
  x
}

# The log-likelihood of standardised loadings and uniquenesses, without p x p inverses.
loglik_of <- function(x, loadings, uniquenesses) {
  n <- nrow(x)
  sd <- sqrt(colMeans(x^2) - colMeans(x)^2)
  z <- scale(x, scale = sd) / rep(sqrt(uniquenesses), each = n)
  whitened <- unclass(loadings) / sqrt(uniquenesses)
  inner <- diag(ncol(whitened)) + crossprod(whitened)
  scores <- z %*% whitened
  quadratic <- sum(z^2) - sum(scores * t(solve(inner, t(scores))))
  log_det <- sum(log(uniquenesses)) + as.numeric(determinant(inner)$modulus) + 2 * sum(log(sd))
  -0.5 * (n * ncol(x) * log(2 * pi) + n * log_det + quadratic)
}

one_start <- em_control(n_starts = 1, threads = 2, progress = FALSE)
fit_ours <- function(x, q) em_fa(x, n_factors = q, rotation = "none", scores = "none", control = one_start)
fit_fad <- function(x, q) fad::fad(x, factors = q, rotation = "none")
fit_factanal <- function(x, q) stats::factanal(x, factors = q, rotation = "none")

# A peer's time counts only where it reaches our likelihood.
against <- function(n, p, q, peers) {
  x <- simulate_factors(n, p, q)
  case <- sprintf("n = %d, p = %d, q = %d", n, p, q)
  ours <- fit_ours(x, q)$loglik
  fits <- list(fad = fit_fad, factanal = fit_factanal)[names(peers)]
  gaps <- vapply(fits, function(fit) {
    peer <- fit(x, q)
    (loglik_of(x, peer$loadings, peer$uniquenesses) - ours) / abs(ours)
  }, 0)
  check(paste(case, "log-likelihood"), all(gaps < 1e-8),
        sprintf("peers' beyond ours, relatively: %s", paste(sprintf("%s %.1e", names(gaps), gaps), collapse = ", ")))
  contenders <- c(list(ours = function() seconds(fit_ours(x, q))),
                  lapply(fits, function(fit) function() seconds(fit(x, q))))
  times <- interleave(contenders, if (p > 1000) 1 else repetitions)
  for (peer in names(peers)) compare(case, times[, "ours"], times[, peer], peer, peers[[peer]])
}

with_fad <- has("fad")
against(2000, 50, 5, c(factanal = 1, if (with_fad) c(fad = 1)))
against(2000, 200, 8, c(factanal = 3, if (with_fad) c(fad = 1)))
if (with_fad) against(1000, 2000, 10, c(fad = 1))
