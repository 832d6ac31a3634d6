# Where mixtures of factor analysers start, beside the partitions of multistart.R: their likelihood has more local maxima
# than that of other structures, in the loadings of given groups as well as in the groups.

# Models whose solutions are starts for a single cell with factors: those that it contains, with as many factors, and
# itself with fewer (in a search they are cells of their own); and structures without factors, whose groups tend to be
# the same.
helper_cells <- function(cell, d, look, spec) {
  codes <- c(intersect(c("VVI", "EEE", "VVV"), covariance_codes(d)), contained_codes(cell$covariance))
  fewer <- seq_len(cell$n_factors - 1L)
  helpers <- data.frame(
    covariance = c(codes, rep(cell$covariance, length(fewer))), n_components = cell$n_components,
    n_factors = c(ifelse(has_factors(codes), cell$n_factors, NA_integer_), fewer)
  )
  fine <- vapply(helpers$covariance, function(code) !nzchar(cell_obstacle(code, cell$n_components, d, look, spec)), NA)
  helpers[fine, , drop = FALSE]
}

# Codes of the structures that one contains, and of those that these contain.
contained_codes <- function(code) {
  registry <- covariance_registry_()
  inner <- directly_contained(code, registry)
  unique(c(inner, unlist(lapply(inner, contained_codes))))
}

directly_contained <- function(code, registry = covariance_registry_()) {
  strsplit(registry$contains[match(code, registry$code)], " ", fixed = TRUE)[[1L]]
}

# Parameters with columns of zeros for the factors that they lack: the same distribution, and a saddle point that the first
# M-step leaves.
with_factors <- function(parameters, q) {
  have <- dim(parameters$loadings)
  if (is.null(have) || have[2L] >= q) return(parameters)
  padded <- array(0, c(have[1L], q, have[3L]))
  padded[, seq_len(have[2L]), ] <- parameters$loadings
  parameters$loadings <- padded
  parameters
}

# Starts around a solution, in each of which one factor is one of the variables (its uniqueness near zero, in one component
# or, where uniquenesses are equal, in all): the local maxima that factor analysis has beside (Heywood cases), in the
# order of what they promise, at most `most`.
heywood_starts <- function(x, weights, spec, parameters, code, threads, most) {
  d <- nrow(parameters$means)
  q <- dim(parameters$loadings)[2L]
  K <- ncol(parameters$means)
  psi <- substring(code, 2L)
  if (psi %in% c("CC", "UC")) return(list())  # one uniqueness for all variables is not zero
  s <- gmm_statistics_(x, parameters, weights, spec$known, threads)
  n <- s$n[seq_len(K)]
  if (any(!(n > 0))) return(list())
  pooled <- rowSums(s$scatter, dims = 2L) / sum(n)
  each <- lapply(seq_len(K), function(k) matrix(s$scatter[, , k], d) / n[k])
  if (any(diag(pooled) <= 0, vapply(each, function(S) min(diag(S)) <= 0, NA))) return(list())
  together <- psi == "CU" || startsWith(code, "C")
  from <- if (together) list(pooled) else each
  found <- list()
  for (g in seq_along(from)) {
    own <- lapply(seq_len(d), function(j) factors_with_variable(from[[g]], j, q))
    values <- vapply(own, `[[`, 0, "value") - factor_discrepancy(
      from[[g]], if (together) rowSums(sweep(parameters$covariances, 3L, n / sum(n), "*"), dims = 2L) else
        matrix(parameters$covariances[, , g], d))
    found <- c(found, lapply(seq_len(d), function(j) {
      list(at = if (together) seq_len(K) else g, value = values[j] * (if (together) sum(n) else n[g]), own = own[[j]])
    }))
  }
  found <- found[order(vapply(found, `[[`, 0, "value"))]
  lapply(utils::head(found, most), function(one) {
    p <- parameters
    for (k in one$at) {
      p$loadings[, , k] <- one$own$loadings
      p$uniquenesses[, k] <- one$own$uniquenesses
      p$covariances[, , k] <- tcrossprod(one$own$loadings) + diag(one$own$uniquenesses, d)
    }
    p
  })
}

# Factors of a covariance matrix, the first of which is variable j: the others by a few steps of principal factors on what
# it leaves. `value`: their discrepancy.
factors_with_variable <- function(S, j, q, steps = 4L) {
  d <- nrow(S)
  first <- S[, j] / sqrt(S[j, j])
  rest <- (S - tcrossprod(first))[-j, -j, drop = FALSE]
  others <- matrix(0, d - 1L, q - 1L)
  psi <- pmax(diag(rest), 1e-4 * diag(S)[-j])
  if (q > 1L) for (i in seq_len(steps)) {
    spectrum <- eigen(rest / tcrossprod(sqrt(psi)), symmetric = TRUE)
    at <- seq_len(q - 1L)
    others <- sqrt(psi) * sweep(spectrum$vectors[, at, drop = FALSE], 2L, sqrt(pmax(spectrum$values[at] - 1, 0)), "*")
    psi <- pmax(diag(rest) - rowSums(others^2), 0.01 * diag(rest), 1e-4 * diag(S)[-j])
  }
  loadings <- matrix(0, d, q)
  loadings[, 1L] <- first
  loadings[-j, -1L] <- others
  uniquenesses <- numeric(d)
  uniquenesses[j] <- 1e-5 * S[j, j]
  uniquenesses[-j] <- psi
  list(loadings = loadings, uniquenesses = uniquenesses,
       value = factor_discrepancy(S, tcrossprod(loadings) + diag(uniquenesses, d)))
}

# log |Sigma| + tr(Sigma^-1 S)
factor_discrepancy <- function(S, Sigma) {
  root <- chol(Sigma)
  2 * sum(log(diag(root))) + sum(chol2inv(root) * S)
}

# Solutions of other cells from which `cells[i, ]` can start without loss: of structures that it contains, with as many
# factors, and of itself with one factor fewer.
nested_cells <- function(cells, i) {
  inner <- directly_contained(cells$covariance[i])
  same_size <- cells$n_components == cells$n_components[i]
  which(same_size & (cells$covariance %in% inner & cells$n_factors %in% cells$n_factors[i] |
    cells$covariance == cells$covariance[i] & cells$n_factors %in% (cells$n_factors[i] - 1L)))
}

# Cells with factors that ended below one that they contain start again from that one. Simpler ones come first, so that
# what one gains the next can have.
mend_nested <- function(x, weights, spec, cells, runs, control, threads) {
  todo <- which(has_factors(cells$covariance))
  todo <- todo[order(cells$n_factors[todo], match(cells$covariance[todo], factor_codes()))]
  for (i in todo) {
    if (is.null(runs[[i]])) next
    for (j in nested_cells(cells, i)) {
      there <- run_objective(runs[[j]])
      if (!is.finite(there) || there - run_objective(runs[[i]]) < 1e-9 * (1 + abs(there))) next
      start <- list(kind = "parameters", method = "search",
                    parameters = with_factors(runs[[j]]$parameters, cells$n_factors[i]))
      again <- fit_gmm(x, weights, spec, cells[i, ], start, control, threads)[[1L]]
      if (run_objective(again) <= run_objective(runs[[i]])) next
      again$starts <- rbind(runs[[i]]$starts, again$starts)
      runs[[i]] <- again
    }
  }
  runs
}

# A single cell with factors, from the starts of every structure, from the solutions of its helpers, and at last from the
# Heywood cases about what was found.
fit_factor_cell <- function(x, weights, spec, cell, control, threads, look) {
  d <- ncol(x)
  helpers <- helper_cells(cell, d, look, spec)
  found <- fit_gmm(x, weights, spec, helpers, NULL, brief_effort(control), threads)
  found <- Filter(function(run) isTRUE(run$fitted), found)
  extra <- lapply(found, function(run) with_factors(run$parameters, cell$n_factors))
  extra <- stats::setNames(list(extra), cell$n_components)
  first <- fit_gmm(x, weights, spec, cell, NULL, control, threads, extra)[[1L]]
  beside_heywood(x, weights, spec, cell, first, control, threads)
}

brief_effort <- function(control) {
  control$n_starts <- min(control$n_starts, 8L)
  control$n_polish <- min(control$n_polish, 2L)
  control$progress <- FALSE
  control
}

# The cells of a search with factors, each from the Heywood cases about its solution.
search_heywood <- function(x, weights, spec, cells, runs, control, threads) {
  for (i in which(has_factors(cells$covariance) & !vapply(runs, is.null, NA))) {
    runs[[i]] <- beside_heywood(x, weights, spec, cells[i, ], runs[[i]], brief_effort(control), threads)
  }
  runs
}

run_objective <- function(run) if (isTRUE(run$fitted)) run$loglik + run$log_prior else -Inf

# The run, or a better one from the Heywood cases about it; its table of starts has both.
beside_heywood <- function(x, weights, spec, cell, run, control, threads) {
  if (!isTRUE(run$fitted) || !has_factors(cell$covariance)) return(run)
  for (round in 1:3) {
    beside <- heywood_starts(x, weights, spec, run$parameters, cell$covariance, threads, control$n_starts)
    if (length(beside) == 0L) break
    only <- control
    only$n_starts <- 0L
    only$progress <- FALSE
    again <- fit_gmm(x, weights, spec, cell, NULL, only, threads,
                     stats::setNames(list(beside), cell$n_components))[[1L]]
    again$starts$method <- rep("uniqueness near 0", nrow(again$starts))
    starts <- rbind(run$starts, again$starts)
    better <- run_objective(again) - run_objective(run) > 1e-8 * (1 + abs(run_objective(run)))
    if (better) run <- again
    run$starts <- starts
    if (!better) break
  }
  run
}
