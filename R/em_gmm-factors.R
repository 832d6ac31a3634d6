# Mixtures of factor analysers, the covariance structures with factors: their cells in a search, the form in which loadings
# are reported, and uniquenesses at zero.

# The cells of a search: every code with every number of components, and those with factors with every number of factors.
gmm_cells <- function(codes, n_components, n_factors) {
  q <- lapply(codes, function(code) if (has_factors(code)) n_factors else NA_integer_)
  models <- data.frame(covariance = rep(codes, lengths(q)), n_factors = as.integer(unlist(q)))
  at <- rep(seq_len(nrow(models)), length(n_components))
  data.frame(covariance = models$covariance[at], n_components = rep(n_components, each = nrow(models)),
             n_factors = models$n_factors[at])
}

# Loadings (d x q x K) turned so that Lambda' Psi^-1 Lambda is diagonal and decreasing and every column sums to a number
# that is not negative. Loadings that are equal over the components are turned as one, with Psi^-1 averaged by the
# proportions, so that they stay equal.
canonical_loadings <- function(parameters, code) {
  loadings <- parameters$loadings
  K <- dim(loadings)[3L]
  precision <- 1 / parameters$uniquenesses
  if (startsWith(code, "C")) precision[] <- precision %*% (parameters$proportions[seq_len(K)] / sum(parameters$proportions[seq_len(K)]))
  for (k in seq_len(K)) {
    l <- matrix(loadings[, , k], dim(loadings)[1L])
    # by the singular values of Psi^-1/2 Lambda: its cross-product would lose half of the digits
    turned <- l %*% svd(sqrt(precision[, k]) * l, nu = 0L)$v
    loadings[, , k] <- sweep(turned, 2L, ifelse(colSums(turned) < 0, -1, 1), "*")
  }
  loadings
}

# Uniquenesses at zero (Heywood cases) as a data frame of component and variable, or NULL. The core stops them at 1e-8 of
# the variance of the data.
heywood_cases <- function(parameters, variables) {
  if (is.null(parameters$uniquenesses)) return(NULL)
  psi <- unname(parameters$uniquenesses)
  variances <- apply(parameters$covariances, 3L, diag)
  at <- which(psi < 1e-5 * variances, arr.ind = TRUE)
  if (nrow(at) == 0L) return(NULL)
  data.frame(component = at[, 2L], variable = variables[at[, 1L]])
}

heywood_message <- function(cases) {
  if (is.null(cases)) return("")
  by <- split(cases$variable, cases$component)
  paste(sprintf("in component %s the uniqueness of %s is zero (a Heywood case)", names(by),
                vapply(by, paste, "", collapse = ", ")), collapse = "; ")
}
