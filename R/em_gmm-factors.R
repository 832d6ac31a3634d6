# Mixtures of factor analysers, the covariance structures with factors: their cells in a search, the form in which loadings
# are reported, and uniquenesses at zero.

# The cells of a search: every code with every number of components, and those with factors with every number of factors.
gmm_cells <- function(codes, n_components, n_factors) {
  q <- lapply(codes, function(code) if (has_factors(code)) n_factors else NA_integer_)
  covariance <- rep(codes, lengths(q))
  times <- length(n_components)
  # list2DF(): data.frame() takes as long as a small fit
  list2DF(list(covariance = rep(covariance, times), n_components = rep(n_components, each = length(covariance)),
               n_factors = rep(as.integer(unlist(q)), times)))
}

# Loadings (d x q x K) turned so that Lambda' Psi^-1 Lambda is diagonal and decreasing and every column sums to a number
# that is not negative. Loadings that are equal over the components are turned as one, with Psi^-1 averaged by the
# proportions, so that they stay equal.
canonical_loadings <- function(parameters, code) {
  loadings <- parameters$loadings
  K <- dim(loadings)[3L]
  precision <- 1 / parameters$uniquenesses
  if (startsWith(code, "C")) precision[] <- precision %*% parameters$proportions[seq_len(K)]
  for (k in seq_len(K)) {
    l <- matrix(loadings[, , k], dim(loadings)[1L])
    # by the singular values of Psi^-1/2 Lambda: its cross-product would lose half of the digits
    turned <- l %*% svd(sqrt(precision[, k]) * l, nu = 0L)$v
    loadings[, , k] <- sweep(turned, 2L, ifelse(colSums(turned) < 0, -1, 1), "*")
  }
  loadings
}

# Uniquenesses at zero (Heywood cases) as a data frame of component and variable, or NULL. The core stops them at 1e-7 of
# the variance of the data.
heywood_cases <- function(parameters, variables) {
  if (is.null(parameters$uniquenesses)) return(NULL)
  at <- which(at_zero(parameters), arr.ind = TRUE)
  if (nrow(at) == 0L) return(NULL)
  data.frame(component = unname(at[, 2L]), variable = variables[at[, 1L]], row.names = NULL)
}

# d x K, logical
at_zero <- function(parameters) {
  unname(parameters$uniquenesses) < 1e-5 * unname(apply(parameters$covariances, 3L, diag))
}

heywood_message <- function(cases, code) {
  if (is.null(cases)) return("")
  by <- split(cases$variable, cases$component)
  zero <- sprintf("the uniqueness of %s is zero (a Heywood case)", vapply(by, paste, "", collapse = ", "))
  if (has_equal_uniquenesses(code)) return(zero[[1L]])
  paste(sprintf("in component %s %s", names(by), zero), collapse = "; ")
}

# Names of the uniquenesses at zero, or NULL.
uniquenesses_at_bound <- function(cases) {
  if (!is.null(cases)) sprintf("uniqueness[%s,%s]", cases$variable, cases$component)
}

# Uniquenesses that are the same in all components.
has_equal_uniquenesses <- function(code) substring(code, 2L) %in% c("CC", "CU")

# What keeps uniquenesses from zero that a structure does not have yet.
heywood_remedies <- function(code, K) {
  loadings <- substr(code, 1L, 1L)
  remedies <- c(
    "fewer factors",
    if (K > 1L && !has_equal_uniquenesses(code)) sprintf("uniquenesses that are equal over components (%sCU)", loadings),
    sprintf("one uniqueness for all variables (%s)", paste0(loadings, if (K > 1L && !has_equal_uniquenesses(code)) "UC" else "CC")),
    "`prior = TRUE`"
  )
  paste(paste(remedies[-length(remedies)], collapse = ", "), "or", remedies[length(remedies)])
}

# --- what is printed ---

# Loadings and uniquenesses, a table for each component, or one where loadings are equal; as many components and variables
# as a page holds, or all.
print_gmm_factors <- function(fit, digits, all = FALSE, n_tables = 4L, n_variables = 24L) {
  p <- fit$parameters
  if (is.null(p$loadings)) return(invisible())
  tables <- factor_tables(p, fit$covariance, digits)
  cat("\nFactors: loadings (blank below 0.1 standard deviations) and uniquenesses\n")
  shown <- seq_len(if (all) length(tables) else min(length(tables), n_tables))
  for (i in shown) {
    if (length(tables) > 1L) cat(if (i > 1L) "\n", "Component ", names(tables)[i], "\n", sep = "")
    cells <- tables[[i]]
    most <- if (all) nrow(cells) else min(nrow(cells), n_variables)
    rownames(cells) <- cut_middle(rownames(cells), 24L)
    print_fa_block(cells[seq_len(most), , drop = FALSE])
    if (most < nrow(cells)) cat("  and ", count_of(nrow(cells) - most, "more variable"), "\n", sep = "")
  }
  if (length(shown) < length(tables)) {
    cat("  and ", count_of(length(tables) - length(shown), "more component"),
        " (summary(parameters = TRUE) prints all)\n", sep = "")
  }
  invisible()
}

# The tables as text: variables in rows; factors, and the uniquenesses of the component or, where loadings are equal, of
# every component in columns.
factor_tables <- function(parameters, code, digits) {
  d <- nrow(parameters$means)
  K <- ncol(parameters$means)
  equal <- startsWith(code, "C")
  sd <- sqrt(matrix(apply(parameters$covariances, 3L, diag), d))
  labels <- dimnames(parameters$loadings)[[3L]]
  tables <- lapply(seq_len(if (equal) 1L else K), function(k) {
    loadings <- matrix(parameters$loadings[, , k], d)
    text <- matrix(format_each(as.vector(loadings), digits), d)
    text[abs(loadings) < 0.1 * (if (equal) apply(sd, 1L, max) else sd[, k])] <- ""
    of <- if (!equal) k else if (has_equal_uniquenesses(code)) 1L else seq_len(K)
    unique <- vapply(of, function(i) {
      ifelse(at_zero(parameters)[, i], "0", format_each(parameters$uniquenesses[, i], digits))
    }, character(d))
    cells <- cbind(text, matrix(unique, d))
    dimnames(cells) <- list(rownames(parameters$means), c(
      dimnames(parameters$loadings)[[2L]], if (length(of) == 1L) "uniqueness" else paste0("uniq.", labels[of])
    ))
    cells
  })
  stats::setNames(tables, if (!equal) labels)
}

# --- standard errors ---

# Directions in which the covariances of factor analysers can move, in the form of covariance_chart(): loadings across the
# rotations of the factors, which change nothing, and log uniquenesses,
# Sigma_k = Lambda_k Lambda_k' + diag(psi_k) with Lambda_k = Lambda_k0 + N_k theta and log psi_k = log psi_k0 + B eta.
# Uniquenesses at zero stay there: a bound has no information.
factor_chart <- function(parameters, code) {
  d <- nrow(parameters$means)
  K <- ncol(parameters$means)
  q <- dim(parameters$loadings)[2L]
  common <- startsWith(code, "C")
  psi_index <- uniqueness_index(code, d, K, at_zero(parameters))
  loading_size <- d * q - q * (q - 1) / 2
  n_loadings <- loading_size * (if (common) 1 else K)
  lapply(seq_len(K), function(k) {
    loadings <- matrix(parameters$loadings[, , k], d)
    psi <- parameters$uniquenesses[, k]
    N <- rotation_complement(loadings)
    B <- psi_index$basis[[k]]
    moves <- lapply(seq_len(ncol(N)), function(i) matrix(N[, i], d))
    tangents <- array(0, c(d, d, ncol(N) + ncol(B)))
    for (i in seq_along(moves)) {
      half <- tcrossprod(moves[[i]], loadings)
      tangents[, , i] <- half + t(half)
    }
    for (i in seq_len(ncol(B))) tangents[, , ncol(N) + i] <- diag(psi * B[, i], d)
    curvature <- function(G) {
      out <- matrix(0, ncol(N) + ncol(B), ncol(N) + ncol(B))
      # d2 Sigma / d theta_i d theta_j = N_i N_j' + N_j N_i'
      at <- seq_len(ncol(N))
      out[at, at] <- 2 * crossprod(N, kronecker(diag(q), (G + t(G)) / 2) %*% N)
      out[-at, -at] <- crossprod(B, diag(G) * psi * B)
      out
    }
    list(index = c((if (common) 0 else (k - 1) * loading_size) + seq_len(loading_size), n_loadings + psi_index$index[[k]]),
         tangents = tangents, curvature = curvature)
  })
}

# Directions of vec(Lambda) (columns, orthonormal) other than rotations Lambda A, A skew.
rotation_complement <- function(loadings) {
  q <- ncol(loadings)
  size <- length(loadings)
  if (q == 1L) return(diag(size))
  pairs <- utils::combn(q, 2L)
  rotations <- apply(pairs, 2L, function(p) {
    A <- matrix(0, q, q)
    A[p[1L], p[2L]] <- 1
    A[p[2L], p[1L]] <- -1
    as.numeric(loadings %*% A)
  })
  qr.Q(qr(rotations), complete = TRUE)[, -seq_len(ncol(pairs)), drop = FALSE]
}

# log psi_k as linear in the structure's own parameters: for each component the columns of a basis and which parameters
# they belong to. `held` (d x K, logical): uniquenesses that do not move.
uniqueness_index <- function(code, d, K, held = matrix(FALSE, d, K)) {
  index <- free_uniqueness_index(code, d, K)
  if (!any(held)) return(index)
  whole <- matrix(0, d * K, max(unlist(index$index)))
  for (k in seq_len(K)) whole[(k - 1L) * d + seq_len(d), index$index[[k]]] <- index$basis[[k]]
  whole <- whole %*% null_space(whole[held, , drop = FALSE])
  whole[abs(whole) < 1e-12] <- 0
  blocks <- lapply(seq_len(K), function(k) whole[(k - 1L) * d + seq_len(d), , drop = FALSE])
  moved <- lapply(blocks, function(block) which(colSums(block != 0) > 0))
  list(basis = Map(function(block, at) block[, at, drop = FALSE], blocks, moved), index = moved)
}

# An orthonormal basis of the null space; of coordinates, where every row of `a` is one.
null_space <- function(a) {
  if (all(rowSums(a != 0) == 1)) return(diag(ncol(a))[, colSums(a != 0) == 0, drop = FALSE])
  spectrum <- svd(a, nu = 0L, nv = ncol(a))
  spectrum$v[, -seq_len(sum(spectrum$d > 1e-10 * spectrum$d[1L])), drop = FALSE]
}

free_uniqueness_index <- function(code, d, K) {
  contrasts <- qr.Q(qr(cbind(1, diag(d)[, -1L])))[, -1L]
  one <- matrix(1, d, 1L)
  each <- function(basis, index) list(basis = rep(list(basis), K), index = lapply(seq_len(K), index))
  switch(substring(code, 2L),
    CC = each(one, function(k) 1),
    CU = each(diag(d), function(k) seq_len(d)),
    UC = each(one, function(k) k),
    UU = each(diag(d), function(k) (k - 1) * d + seq_len(d)),
    CUU = each(cbind(one, contrasts), function(k) c(k, K + seq_len(d - 1))),
    UCU = each(cbind(one, contrasts), function(k) c(1, 1 + (k - 1) * (d - 1) + seq_len(d - 1))))
}
