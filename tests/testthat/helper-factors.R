# Factor analysers in plain R: what the fits of em_gmm() with factors are compared with. Nothing here shares code with the
# package; the structures are read off their letters.

is_factor_code <- function(code) grepl("^[CU]{3,4}$", code)

# What the letters say: list(common loadings, uniquenesses "one", "variables", "components", "both", "scale" (omega_k Delta)
# or "shape" (omega Delta_k)).
factor_letters <- function(code) {
  psi <- c(CC = "one", CU = "variables", UC = "components", UU = "both", CUU = "scale", UCU = "shape")
  list(common = substr(code, 1, 1) == "C", psi = psi[[substring(code, 2)]])
}

# Factors of a structure with positive uniquenesses far from zero: list(loadings (d x q x K), uniquenesses (d x K)).
oracle_factors <- function(code, d, K, q = 1, seed = 1) {
  letters <- factor_letters(code)
  with_seed(seed, {
    loadings <- array(stats::runif(d * q * K, 0.5, 0.9), c(d, q, K))
    # factors that differ: signs change after every variable, after two, ...
    for (f in seq_len(q)[-1]) loadings[, f, ] <- loadings[, f, ] * rep_len(rep(c(1, -1), each = f - 1), d)
    if (letters$common) loadings <- array(loadings[, , 1], c(d, q, K))
    log_psi <- matrix(stats::runif(d * K, -0.9, 0.1), d, K)
    level <- colMeans(log_psi)
    log_psi <- switch(letters$psi,
      one = matrix(-0.5, d, K), variables = matrix(log_psi[, 1], d, K), components = matrix(level, d, K, byrow = TRUE),
      both = log_psi, scale = outer(log_psi[, 1], seq(-0.3, 0.3, length.out = K), `+`),
      shape = sweep(log_psi, 2, level) - 0.4)
    list(loadings = loadings, uniquenesses = exp(log_psi))
  })
}

oracle_factor_covariances <- function(factors) {
  d <- nrow(factors$uniquenesses)
  K <- ncol(factors$uniquenesses)
  out <- array(0, c(d, d, K))
  for (k in seq_len(K)) {
    out[, , k] <- tcrossprod(matrix(factors$loadings[, , k], d)) + diag(factors$uniquenesses[, k], d)
  }
  out
}

# The factors of covariances with one factor, in closed form: lambda_1^2 = s_12 s_13 / s_23.
one_factor_of <- function(covariances) {
  d <- dim(covariances)[1]
  K <- dim(covariances)[3]
  loadings <- array(0, c(d, 1, K))
  psi <- matrix(0, d, K)
  for (k in seq_len(K)) {
    S <- covariances[, , k]
    first <- sqrt(S[1, 2] * S[1, 3] / S[2, 3])
    loadings[, 1, k] <- c(first, S[-1, 1] / first)
    psi[, k] <- diag(S) - loadings[, 1, k]^2
  }
  list(loadings = loadings, uniquenesses = psi)
}

# Free coordinates about given factors: list(n, map), as structure_coordinates().
factor_coordinates <- function(code, factors) {
  letters <- factor_letters(code)
  d <- dim(factors$loadings)[1]
  q <- dim(factors$loadings)[2]
  K <- dim(factors$loadings)[3]
  n_loadings <- d * q * (if (letters$common) 1 else K)
  n_psi <- switch(letters$psi, one = 1, variables = d, components = K, both = d * K, scale = K + d - 1,
                  shape = 1 + K * (d - 1))
  map <- function(theta) {
    moved <- factors
    step <- theta[seq_len(n_loadings)]
    moved$loadings <- factors$loadings + array(step, c(d, q, K))
    eta <- theta[n_loadings + seq_len(n_psi)]
    # contrasts over the variables: the last is less the sum of the others
    shape <- function(v) c(v, -sum(v))
    log_step <- switch(letters$psi,
      one = matrix(eta, d, K), variables = matrix(eta, d, K), components = matrix(eta, d, K, byrow = TRUE),
      both = matrix(eta, d, K), scale = outer(shape(eta[-seq_len(K)]), eta[seq_len(K)], `+`),
      shape = eta[1] + apply(matrix(eta[-1], d - 1, K), 2, shape))
    moved$uniquenesses <- factors$uniquenesses * exp(log_step)
    oracle_factor_covariances(moved)
  }
  list(n = n_loadings + n_psi, map = map)
}

# EM for a mixture of factor analysers with varying loadings and uniquenesses (Ghahramani & Hinton 1996), complete data,
# a row at a time where that is clearest; slow. Returns the log-likelihood after each step.
oracle_mfa <- function(x, parameters, steps) {
  n <- nrow(x)
  d <- ncol(x)
  K <- ncol(parameters$means)
  q <- dim(parameters$loadings)[2]
  trace <- numeric()
  for (step in seq_len(steps)) {
    parameters$covariances <- oracle_factor_covariances(parameters)
    trace[step] <- oracle_loglik(x, parameters)
    z <- oracle_posterior(x, parameters)
    for (k in seq_len(K)) {
      L <- matrix(parameters$loadings[, , k], d)
      beta <- t(L) %*% solve(parameters$covariances[, , k])
      # the mean is estimated with the loadings: factors augmented by 1
      f <- cbind(sweep(x, 2, parameters$means[, k]) %*% t(beta), 1)
      xf <- crossprod(x * z[, k], f)
      ff <- crossprod(f * z[, k], f)
      ff[seq_len(q), seq_len(q)] <- ff[seq_len(q), seq_len(q)] + sum(z[, k]) * (diag(q) - beta %*% L)
      augmented <- xf %*% solve(ff)
      parameters$loadings[, , k] <- augmented[, seq_len(q)]
      parameters$means[, k] <- augmented[, q + 1]
      parameters$uniquenesses[, k] <- (colSums(z[, k] * x^2) - rowSums(augmented * xf)) / sum(z[, k])
    }
    parameters$proportions <- colMeans(z)
  }
  list(parameters = parameters, trace = trace)
}
