# Factor analysis in plain R.

# -n/2 (p log 2 pi + log|Sigma| + tr(Sigma^-1 S)) for data with these moments (divisor n).
fa_loglik <- function(covariance, n, implied, centre_gap = rep(0, ncol(covariance))) {
  root <- chol(implied)
  s <- covariance + tcrossprod(centre_gap)
  -n / 2 * (ncol(s) * log(2 * pi) + 2 * sum(log(diag(root))) + sum(chol2inv(root) * s))
}

# Covariance that the parameters of a fit imply.
fa_implied <- function(fit) {
  l <- unname(fit$parameters$loadings)
  l %*% unname(fit$factor_correlation) %*% t(l) + diag(unname(fit$parameters$uniquenesses))
}

# Moments with divisor n (sum of the weights).
fa_moments <- function(x, w = rep(1, nrow(x))) {
  x <- as.matrix(x)
  mean <- colSums(w * x) / sum(w)
  z <- sweep(x, 2, mean)
  list(mean = mean, covariance = crossprod(z, w * z) / sum(w), n = sum(w))
}

# n rows of q factors with clear loadings.
data_factors <- function(n = 300, p = 9, q = 3, seed = 1, missing = 0) {
  with_seed(seed, {
    loadings <- matrix(stats::runif(p * q, -0.2, 0.2), p)
    for (k in seq_len(q)) loadings[seq(k, p, by = q), k] <- stats::runif(length(seq(k, p, by = q)), 0.6, 0.9)
    x <- matrix(stats::rnorm(n * q), n) %*% t(loadings) + matrix(stats::rnorm(n * p), n) * 0.6 + 10
    x <- x * rep(seq_len(p), each = n)
    colnames(x) <- paste0("v", seq_len(p))
    if (missing > 0) x[sample(n * p, missing * n * p)] <- NA
    x
  })
}

# Varimax criterion of row-normalised loadings.
varimax_criterion <- function(l) {
  z <- (l / sqrt(rowSums(l^2)))^2
  sum(apply(z, 2, function(v) mean(v^2) - mean(v)^2))
}

fa_control <- function(...) em_control(tol = 1e-13, progress = FALSE, ...)

# What depends on the path of the algorithm, not on the fit.
hide_fa_path <- function(lines) {
  text <- paste(lines, collapse = "\n")
  text <- gsub("after [0-9]+ iterations?", "after <n> iterations", text)
  text <- gsub("(?s)yes, [0-9]+ iterations?.*?\n(  starts)", "yes, <path>\n\\1", text, perl = TRUE)
  text <- gsub("[0-9]+ of [0-9]+ (reached|starts agree)", "<n> of <n> \\1", text)
  strsplit(text, "\n")[[1]]
}
