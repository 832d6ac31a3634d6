# Standard errors from the model's own score.
#
# Fisher's identity: the score of the observed-data log-likelihood is the expected complete-data
# score, so one E-step (gmm_statistics_) gives it. The observed information is its central
# difference along the df directions of a local chart of the model, and the variance of any smooth
# function of the parameters follows by the delta method. The chart lives in units of the fitted
# components (whitened means, log-covariances), so nothing here depends on the units of the data.

#' Variance matrix of the estimates of a Gaussian mixture
#'
#' The variance matrix of [coef()], from the observed information, from the sandwich
#' formula, or from a bootstrap.
#'
#' **Observed information.** The score of the observed-data log-likelihood is obtained from one
#' E-step by Fisher's identity (Louis, 1982), also for incomplete rows, weights, known labels and
#' a noise component. Its central differences along the `df` free directions of the covariance
#' structure (2 `df` E-steps), together with the curvature of that structure, give the observed
#' information \eqn{I}. With \eqn{J} the derivative of the coefficients with respect to the free
#' directions the result is \eqn{J I^{-1} J'}. With a prior (`em_gmm(prior = )`) the curvature of
#' the log prior is part of \eqn{I}, so that the result is the normal approximation of the
#' posterior.
#'
#' **Sandwich.** \eqn{J I^{-1} M I^{-1} J'} with \eqn{M} the sum over rows of the outer products of
#' their scores. It stays valid when the components are not exactly normal. With observation
#' weights, `weight_type` tells what they are: `"sampling"` weights (unequal sampling probabilities;
#' \eqn{M = \sum w_i^2 s_i s_i'}) or `"frequency"` weights (a row that stands for `w` equal
#' rows; \eqn{M = \sum w_i s_i s_i'}).
#'
#' **Parameters that cannot be estimated.** If the information is singular or not positive definite
#' in some directions (two components on top of each other, equal eigenvalues, a fit that has not
#' converged), the coefficients that such a direction moves have no standard error: their rows and
#' columns are `NA`, their names are in the attribute `"not_identified"`, and a warning of class
#' `em_warning_not_identified` names them. All others are reported. Coefficients that are constants
#' of the model (fixed values, equal proportions, covariances that a diagonal structure holds at 0)
#' have variance 0.
#'
#' A uniqueness of factor analysers that is zero (a Heywood case, `object$heywood`) is at the bound
#' of its values: it is held there, and the variances of everything else are conditional on it. The
#' attribute `"at_bound"` names such uniquenesses.
#'
#' @param object A fit of [em_gmm()], with its data (`keep_data = TRUE`, the default).
#' @param type `"observed"` (default), `"sandwich"` or `"bootstrap"`.
#' @param complete `TRUE` (default): a row and a column for every element of `coef(object)`.
#'   `FALSE`: without those that are constant or not identified.
#' @param weight_type What the observation weights are, for `type = "sandwich"`: `"sampling"`
#'   (default) or `"frequency"`. Without weights the two agree.
#' @param ... For `type = "bootstrap"`, arguments of [em_bootstrap()], such as `n_boot`. Otherwise
#'   unused, and an error.
#' @return A symmetric matrix whose row and column names are those of `coef(object)`; attribute
#'   `"not_identified"`, a character vector, if there are coefficients that are not identified, and
#'   `"at_bound"` if uniquenesses are zero.
#' @references
#' Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm.
#' *Journal of the Royal Statistical Society B*, 44, 226-233.
#' \doi{10.1111/j.2517-6161.1982.tb01203.x}
#'
#' Boldea, O. and Magnus, J. R. (2009). Maximum likelihood estimation of the multivariate normal
#' mixture model. *Journal of the American Statistical Association*, 104, 1539-1549.
#' \doi{10.1198/jasa.2009.tm08273}
#'
#' White, H. (1982). Maximum likelihood estimation of misspecified models. *Econometrica*, 50, 1-25.
#' \doi{10.2307/1912526}
#' @seealso [confint.em_fit()], [em_bootstrap()], [summary.em_gmm()]
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
#' sqrt(diag(vcov(fit)))
#' sqrt(diag(vcov(fit, type = "sandwich")))
#' @export
vcov.em_gmm <- function(object, type = c("observed", "sandwich", "bootstrap"), complete = TRUE,
                        weight_type = c("sampling", "frequency"), ...) {
  type <- match_choice(type)
  weight_type <- match_choice(weight_type)
  if (type == "bootstrap") {
    return(vcov(em_bootstrap(object, ...)))
  }
  check_dots_empty(..., .function = "vcov.em_gmm")
  require_data(object, "vcov()")

  chart <- gmm_chart(object)
  information <- gmm_observed_information(object, chart)
  inverse <- invert_information(information)
  variance_eta <- inverse$inverse
  if (type == "sandwich") {
    meat <- score_outer_product(nrow(object$data), object$weights, weight_type, ncol(chart$jacobian),
                                function(rows) gmm_row_scores(object, chart, rows))
    variance_eta <- variance_eta %*% meat %*% variance_eta
  }
  variance <- coefficient_variance(chart$jacobian, variance_eta, inverse$null)
  not_identified <- attr(variance, "not_identified")
  if (length(not_identified)) {
    em_warn(
      paste0(
        "The data do not identify ", length(not_identified), " of the ", nrow(variance),
        " coefficients, which have no standard error: ", abbreviate_list(not_identified), ". ",
        "The log-likelihood is flat, or not at a maximum, in ", ncol(inverse$null),
        if (ncol(inverse$null) == 1) " direction." else " directions.",
        " Use fewer components or a simpler covariance structure."
      ),
      "not_identified", coefficients = not_identified
    )
  }
  if (!complete) {
    keep <- !is.na(diag(variance)) & diag(variance) > 0
    variance <- structure(variance[keep, keep, drop = FALSE], not_identified = not_identified)
  }
  attr(variance, "at_bound") <- uniquenesses_at_bound(object$heywood)
  variance
}

# V = J V_eta J'; rows and columns of coefficients that move along a null direction are NA.
coefficient_variance <- function(jacobian, variance_eta, null) {
  variance <- jacobian %*% variance_eta %*% t(jacobian)
  variance <- (variance + t(variance)) / 2
  dimnames(variance) <- list(rownames(jacobian), rownames(jacobian))
  if (ncol(null)) {
    length_of <- sqrt(rowSums(jacobian^2))
    moved <- sqrt(rowSums((jacobian %*% null)^2)) > 1e-4 * length_of & length_of > 0
    if (any(moved)) {
      variance[moved, ] <- NA_real_
      variance[, moved] <- NA_real_
      attr(variance, "not_identified") <- rownames(jacobian)[moved]
    }
  }
  variance
}

# Inverse of a symmetric information matrix over the directions in which it is positive definite.
# `null`: orthonormal basis (columns) of the other directions. The test is made on the matrix with
# unit diagonal; 1e-7 is far above the error of the central differences and far below any
# information that supports a standard error.
invert_information <- function(information, tolerance = 1e-7) {
  p <- nrow(information)
  if (p == 0) {
    return(list(inverse = matrix(0, 0, 0), null = matrix(0, 0, 0)))
  }
  information[!is.finite(information)] <- 0
  diagonal <- diag(information)
  dead <- diagonal <= tolerance^2 * max(diagonal, 0)
  scale <- ifelse(dead, 0, 1 / sqrt(ifelse(dead, 1, diagonal)))
  spectrum <- eigen(information * tcrossprod(scale), symmetric = TRUE)
  good <- spectrum$values > tolerance
  vectors <- spectrum$vectors[, good, drop = FALSE] * scale
  inverse <- vectors %*% (t(vectors) / spectrum$values[good])
  null <- spectrum$vectors[, !good, drop = FALSE] * ifelse(dead, 1, scale)
  if (ncol(null)) {
    null <- qr.Q(qr(null))
  }
  list(inverse = inverse, null = null)
}

# ---- the chart ---------------------------------------------------------------------------------

# A local chart eta -> (proportions, means, covariances) around a fit, with df dimensions, regular
# at the estimate. List of
#   estimate   named vector of coefficients (q)
#   jacobian   q x df, d coefficients / d eta
#   proportions  indices into eta, and `free`, the mixture classes that share the free mass
#   means      per component: index, basis (d x d, or d x 0 when it is fixed)
#   covariances  per component: index, tangents (d x d x number), curvature(G)
gmm_chart <- function(fit) {
  parameters <- fit$parameters
  d <- nrow(parameters$means)
  K <- ncol(parameters$means)
  free <- gmm_free_parameters(fit)
  coefficients <- coef(fit)
  n_proportions <- length(parameters$proportions)

  # proportions: log-ratios within groups of classes; a group shares its mass equally or freely
  used <- 0L
  proportion_index <- seq_len(max(0L, length(free$groups) - 1L))
  used <- used + length(proportion_index)

  # means: whitened directions
  means <- lapply(seq_len(K), function(k) {
    if (!free$means[k]) {
      return(list(basis = matrix(0, d, 0)))
    }
    list(basis = t(chol(component_covariance(parameters, k))))
  })
  for (k in seq_len(K)) {
    means[[k]]$index <- used + seq_len(ncol(means[[k]]$basis))
    used <- used + ncol(means[[k]]$basis)
  }

  covariances <- if (has_factors(fit$covariance)) {
    factor_chart(parameters, fit$covariance)
  } else {
    covariance_chart(parameters$covariances, fit$covariance, free$covariances)
  }
  for (k in seq_len(K)) {
    covariances[[k]]$index <- covariances[[k]]$index + used
  }
  n_eta <- max(used, unlist(lapply(covariances, `[[`, "index")))

  jacobian <- matrix(0, length(coefficients), n_eta,
                     dimnames = list(names(coefficients), NULL))
  chart <- list(
    estimate = coefficients,
    proportions = list(index = proportion_index, groups = free$groups, mass = free$mass),
    means = means, covariances = covariances
  )
  jacobian[seq_len(n_proportions), proportion_index] <- proportion_tangents(
    parameters$proportions, chart$proportions
  )
  lower <- lower.tri(diag(d), diag = TRUE)
  n_lower <- sum(lower)
  for (k in seq_len(K)) {
    rows <- n_proportions + (k - 1) * d + seq_len(d)
    jacobian[rows, means[[k]]$index] <- means[[k]]$basis
    rows <- n_proportions + K * d + (k - 1) * n_lower + seq_len(n_lower)
    tangents <- covariances[[k]]$tangents
    for (i in seq_along(covariances[[k]]$index)) {
      jacobian[rows, covariances[[k]]$index[i]] <- matrix(tangents[, , i], d)[lower]
    }
  }
  chart$jacobian <- jacobian
  chart
}

# Which parameters of a mixture are estimated. `groups`: list of the classes (indices into the
# proportions) whose total mass is free; `mass`: what they share; logical `means` and `covariances`
# of length K.
gmm_free_parameters <- function(fit) {
  K <- ncol(fit$parameters$means)
  n_classes <- length(fit$parameters$proportions)
  fixed <- fit$fixed
  if (isTRUE(fit$equal_proportions)) {
    groups <- c(list(seq_len(K)), as.list(seq_len(n_classes)[-seq_len(K)]))
  } else if (is.null(fixed$proportions)) {
    groups <- as.list(seq_len(n_classes))
  } else {
    groups <- as.list(which(is.na(fixed$proportions)))
  }
  free <- function(held) if (is.null(held)) rep(TRUE, K) else !held
  list(
    groups = groups, mass = sum(fit$parameters$proportions[unlist(groups)]),
    means = free(fixed$mean_fixed), covariances = free(fixed$covariance_fixed)
  )
}

# d proportions / d log-ratios: classes x (groups - 1). Group 1 is the reference.
proportion_tangents <- function(proportions, chart) {
  tangents <- matrix(0, length(proportions), length(chart$index))
  mass <- vapply(chart$groups, function(g) sum(proportions[g]), 0)
  for (j in chart$index) {
    moved <- j + 1L
    for (g in seq_along(chart$groups)) {
      classes <- chart$groups[[g]]
      rate <- (g == moved) - mass[moved] / chart$mass
      tangents[classes, j] <- proportions[classes] * rate
    }
  }
  tangents
}

# Tangents and curvature of a covariance structure at the given covariances. The three letters of
# a code say whether volume, shape and orientation are equal (E), vary (V) or are trivial (I).
# List per component: index (into the covariance part of eta), tangents (d x d x n, d Sigma_k / d
# eta) and curvature(G) (n x n: sum_ab G_ab d2 Sigma_k,ab / d eta d eta').
covariance_chart <- function(covariances, code, free) {
  d <- dim(covariances)[1]
  K <- dim(covariances)[3]
  letters <- covariance_letters(code)
  if (is.null(letters)) {
    em_abort(
      paste0("Standard errors from the information are made for structures of volume, shape and ",
             "orientation; ", code, " is another. Use em_bootstrap()."),
      "no_standard_errors"
    )
  }
  volume <- letters[["volume"]]
  shape <- letters[["shape"]]
  orientation <- letters[["orientation"]]
  if (shape == "I" || orientation == "I" || shape == orientation) {
    parts <- exponential_parts(covariances, shape, orientation)
  } else {
    parts <- eigen_parts(covariances, orientation)
  }

  # global numbering: one block per (part, owner), owner 0 when the part is shared
  letter_of <- c(volume = volume, shape = shape, orientation = orientation)
  next_index <- 0L
  index <- list()
  for (part in names(parts[[1]]$size)) {
    size <- parts[[1]]$size[[part]]
    for (k in seq_len(K)) {
      if (!free[k]) {
        index[[paste(part, k)]] <- integer()
      } else if (letter_of[[part]] == "E" && !is.null(index[[part]])) {
        index[[paste(part, k)]] <- index[[part]]
      } else {
        block <- next_index + seq_len(size)
        next_index <- next_index + size
        index[[paste(part, k)]] <- block
        if (letter_of[[part]] == "E") {
          index[[part]] <- block
        }
      }
    }
  }
  lapply(seq_len(K), function(k) {
    if (!free[k]) {
      return(list(index = integer(), tangents = array(0, c(d, d, 0)),
                  curvature = function(G) matrix(0, 0, 0)))
    }
    numbers <- unlist(lapply(names(parts[[k]]$size), function(part) index[[paste(part, k)]]))
    list(index = numbers, tangents = parts[[k]]$tangents, curvature = parts[[k]]$curvature)
  })
}

# Structures that are a (sub)space of matrix logarithms: Sigma_k = L_k expm(sum_i eta_i E_i) L_k'
# with L_k the Cholesky factor and E_i symmetric: the identity for the volume, trace-0 diagonal
# matrices for the shape, and off-diagonal ones too where shape and orientation go together.
exponential_parts <- function(covariances, shape, orientation) {
  d <- dim(covariances)[1]
  generators <- list(diag(d))
  size <- c(volume = 1L)
  if (shape != "I") {
    contrasts <- trace_free_basis(d)
    generators <- c(generators, lapply(seq_len(d - 1), function(i) diag(contrasts[, i], d)))
    if (orientation != "I") {
      for (b in seq_len(d - 1)) for (a in (b + 1):d) {
        generator <- matrix(0, d, d)
        generator[a, b] <- generator[b, a] <- 1
        generators <- c(generators, list(generator))
      }
    }
    size <- c(size, shape = length(generators) - 1L)
  }
  n <- length(generators)
  flat <- vapply(generators, as.vector, numeric(d * d))
  dim(flat) <- c(d * d, n)
  lapply(seq_len(dim(covariances)[3]), function(k) {
    root <- t(chol(component_covariance(list(covariances = covariances), k)))
    tangents <- array(
      vapply(generators, function(E) as.vector(root %*% E %*% t(root)), numeric(d * d)),
      c(d, d, n)
    )
    curvature <- function(G) {
      inner <- t(root) %*% G %*% root
      left <- vapply(generators, function(E) as.vector(E %*% inner), numeric(d * d))
      product <- crossprod(matrix(left, d * d), flat)
      (product + t(product)) / 2
    }
    list(size = size, tangents = tangents, curvature = curvature)
  })
}

# Structures where shape and orientation do not go together (EVE, VVE, EEV, VEV):
# Sigma_k = D_k expm(W) A_k exp(H) expm(-W) D_k', W skew (orientation), H diagonal (volume, shape).
# Rotations are scaled by the gap between the two eigenvalues, so that a unit step changes the
# covariance by about its own size whatever the condition number.
eigen_parts <- function(covariances, orientation) {
  d <- dim(covariances)[1]
  K <- dim(covariances)[3]
  contrasts <- cbind(1, trace_free_basis(d)) # column 1: volume
  pairs <- which(lower.tri(diag(d)), arr.ind = TRUE)
  n_pairs <- nrow(pairs)
  each <- lapply(seq_len(K), function(k) component_covariance(list(covariances = covariances), k))
  if (orientation == "E") {
    common <- common_eigenvectors(each)
    axes <- rep(list(common), K)
    values <- lapply(each, function(S) colSums(common * (S %*% common)))
  } else {
    spectra <- lapply(each, eigen, symmetric = TRUE)
    axes <- lapply(spectra, `[[`, "vectors")
    values <- lapply(spectra, `[[`, "values")
  }
  gap <- vapply(values, function(v) {
    abs(v[pairs[, 1]] - v[pairs[, 2]]) / sqrt(v[pairs[, 1]] * v[pairs[, 2]])
  }, numeric(n_pairs))
  gap <- matrix(gap, n_pairs, K)
  if (orientation == "E") {
    gap[] <- sqrt(rowMeans(gap^2))
  }
  size <- c(volume = 1L, shape = d - 1L, orientation = n_pairs)
  lapply(seq_len(K), function(k) {
    A <- diag(values[[k]], d)
    D <- axes[[k]]
    rotations <- lapply(seq_len(n_pairs), function(j) {
      W <- matrix(0, d, d)
      W[pairs[j, 1], pairs[j, 2]] <- 1 / max(gap[j, k], 1e-6)
      W - t(W)
    })
    turned <- vapply(rotations, function(W) as.vector(W %*% A - A %*% W), numeric(d * d))
    turned <- matrix(turned, d * d)
    stretched <- vapply(seq_len(d), function(i) as.vector(diag(values[[k]] * contrasts[, i], d)),
                        numeric(d * d))
    inner <- cbind(stretched, turned)
    tangents <- apply(inner, 2, function(v) D %*% matrix(v, d) %*% t(D))
    curvature <- function(G) {
      G <- t(D) %*% G %*% D
      twist <- vapply(rotations, function(W) as.vector(G %*% W - W %*% G), numeric(d * d))
      twist <- matrix(twist, d * d)
      result <- matrix(0, d + n_pairs, d + n_pairs)
      s <- seq_len(d)
      r <- d + seq_len(n_pairs)
      result[s, s] <- crossprod(contrasts * (diag(G) * values[[k]]), contrasts)
      result[s, r] <- crossprod(stretched, twist)
      result[r, s] <- t(result[s, r])
      product <- crossprod(twist, turned)
      result[r, r] <- (product + t(product)) / 2
      result
    }
    list(size = size, tangents = array(tangents, c(d, d, d + n_pairs)), curvature = curvature)
  })
}

# Orthonormal columns that span the vectors of length d with sum 0 (d x (d - 1)).
trace_free_basis <- function(d) {
  if (d == 1) {
    return(matrix(0, 1, 0))
  }
  basis <- stats::contr.helmert(d)
  sweep(basis, 2, sqrt(colSums(basis^2)), `/`)
}

# Eigenvectors that a list of commuting covariances share: those of the combination whose
# eigenvalues are best separated, since equal eigenvalues leave their vectors undetermined.
common_eigenvectors <- function(each) {
  d <- nrow(each[[1]])
  unit <- lapply(each, function(S) S / exp(as.numeric(determinant(S)$modulus) / d))
  K <- length(unit)
  mix <- cbind(diag(K), 1, seq_len(K), rev(seq_len(K)), 1 + (seq_len(K) * 0.6180339887) %% 1)
  best <- NULL
  best_gap <- -1
  for (j in seq_len(ncol(mix))) {
    total <- Reduce(`+`, Map(`*`, unit, mix[, j]))
    spectrum <- eigen(total, symmetric = TRUE)
    gap <- if (d > 1) min(-diff(log(pmax(spectrum$values, .Machine$double.xmin)))) else 0
    if (gap > best_gap) {
      best_gap <- gap
      best <- spectrum$vectors
    }
  }
  best
}

# Number of free parameters of a fit, counted: independent directions in which the coefficients can
# move, plus the volume of the noise box. Equals df for a regular structure (contract tests).
parameter_map_rank <- function(fit) {
  jacobian <- gmm_chart(fit)$jacobian
  if (ncol(jacobian) == 0) {
    return(0L + isTRUE(fit$noise))
  }
  # rows and columns in comparable units before the rank is judged
  jacobian <- jacobian / pmax(sqrt(rowSums(jacobian^2)), .Machine$double.xmin)
  jacobian <- sweep(jacobian, 2, pmax(sqrt(colSums(jacobian^2)), .Machine$double.xmin), `/`)
  values <- svd(jacobian, nu = 0, nv = 0)$d
  sum(values > 1e-8 * max(values, 0)) + isTRUE(fit$noise)
}

# ---- score and information ---------------------------------------------------------------------

# d x d covariance of one component, also for d = 1.
component_covariance <- function(parameters, k) {
  covariances <- parameters$covariances
  matrix(covariances[, , k], dim(covariances)[1])
}

# Natural covariance score G_k = dl / dSigma_k (symmetric): (Sigma^-1 S_k Sigma^-1 - n_k Sigma^-1)
# / 2.
gmm_covariance_score <- function(scatter, n, parameters, k) {
  precision <- chol2inv(chol(component_covariance(parameters, k)))
  scatter <- matrix(scatter[, , k], nrow(precision))
  (precision %*% scatter %*% precision - n[k] * precision) / 2
}

# What the normal-inverse-Wishart prior adds to the statistics: sums (d x K), scatter (d x d x K)
# and counts of the covariances (one per class). Where all components share one matrix, it has one
# inverse Wishart density, shared out here in equal parts.
gmm_pseudo_observations <- function(fit, parameters) {
  prior <- fit$prior
  d <- nrow(parameters$means)
  K <- ncol(parameters$means)
  pooled <- startsWith(covariance_level(fit$covariance), "pooled")
  share <- if (pooled) 1 / K else 1
  scale <- prior$scale * (if (isTRUE(prior$scale_by_size)) K^(-2 / d) else 1)
  shift <- parameters$means - prior$mean
  scatter <- array(0, c(d, d, K))
  for (k in seq_len(K)) {
    scatter[, , k] <- share * scale + prior$shrinkage * tcrossprod(shift[, k])
  }
  list(
    sums = -prior$shrinkage * shift, scatter = scatter,
    n = c(rep(share * (prior$df + d + 1) + (prior$shrinkage > 0), K),
          rep(0, length(parameters$proportions) - K))
  )
}

# Score of the log-likelihood (plus log prior) along the chart's directions, at any parameters.
gmm_chart_score <- function(fit, chart, parameters) {
  statistics <- gmm_statistics_(fit$data, parameters, fit$weights, fit$known,
                                resolve_threads(fit$control))
  n_covariance <- statistics$n
  if (!is.null(fit$prior)) {
    # the conjugate prior acts as pseudo-observations (see em_gmm_prior())
    prior <- gmm_pseudo_observations(fit, parameters)
    statistics$sums <- statistics$sums + prior$sums
    statistics$scatter <- statistics$scatter + prior$scatter
    n_covariance <- n_covariance + prior$n
  }
  score <- numeric(ncol(chart$jacobian))
  groups <- chart$proportions$groups
  index <- chart$proportions$index
  if (length(index)) {
    count <- vapply(groups, function(g) sum(statistics$n[g]), 0)
    mass <- vapply(groups, function(g) sum(parameters$proportions[g]), 0)
    score[index] <- (count - sum(count) * mass / sum(mass))[-1]
  }
  covariance_scores <- vector("list", ncol(parameters$means))
  for (k in seq_along(covariance_scores)) {
    covariance <- component_covariance(parameters, k)
    index <- chart$means[[k]]$index
    score[index] <- crossprod(chart$means[[k]]$basis, solve_spd(covariance, statistics$sums[, k]))
    G <- gmm_covariance_score(statistics$scatter, n_covariance, parameters, k)
    covariance_scores[[k]] <- G
    index <- chart$covariances[[k]]$index
    tangents <- chart$covariances[[k]]$tangents
    score[index] <- score[index] + crossprod(matrix(tangents, length(G)), as.vector(G))
  }
  structure(score, covariance_scores = covariance_scores)
}

# Solves Sigma x = b for a symmetric positive definite Sigma.
solve_spd <- function(covariance, b) {
  root <- chol(covariance)
  backsolve(root, backsolve(root, b, transpose = TRUE))
}

# Parameters moved by `step` along direction j of the chart (a straight line: the curvature of the
# structure enters the information separately and exactly).
move_parameters <- function(parameters, chart, j, step) {
  direction <- chart$jacobian[, j] * step
  n_proportions <- length(parameters$proportions)
  d <- nrow(parameters$means)
  K <- ncol(parameters$means)
  parameters$proportions[] <- parameters$proportions + direction[seq_len(n_proportions)]
  parameters$means[] <- parameters$means + direction[n_proportions + seq_len(d * K)]
  lower <- which(lower.tri(diag(d), diag = TRUE), arr.ind = TRUE)
  change <- matrix(direction[-seq_len(n_proportions + d * K)], nrow(lower), K)
  for (k in which(colSums(change != 0) > 0)) {
    delta <- matrix(0, d, d)
    delta[lower] <- change[, k]
    delta[lower[, 2:1, drop = FALSE]] <- change[, k]
    parameters$covariances[, , k] <- parameters$covariances[, , k] + delta
  }
  parameters
}

# Observed information in the chart's coordinates: minus the central difference of the score, minus
# the curvature of the covariance structure in the direction of the score that is left.
# A step of 1e-5 (the chart is in units of standard deviations) balances the error of the
# difference, h^2, against rounding, eps / h.
gmm_observed_information <- function(fit, chart, step = 1e-5) {
  n_eta <- ncol(chart$jacobian)
  hessian <- matrix(0, n_eta, n_eta)
  for (j in seq_len(n_eta)) {
    up <- gmm_chart_score(fit, chart, move_parameters(fit$parameters, chart, j, step))
    down <- gmm_chart_score(fit, chart, move_parameters(fit$parameters, chart, j, -step))
    hessian[, j] <- as.vector(up - down) / (2 * step)
  }
  here <- attr(gmm_chart_score(fit, chart, fit$parameters), "covariance_scores")
  for (k in seq_along(here)) {
    index <- chart$covariances[[k]]$index
    if (length(index)) {
      hessian[index, index] <- hessian[index, index] + chart$covariances[[k]]$curvature(here[[k]])
    }
  }
  -(hessian + t(hessian)) / 2
}

# Sum over `n` rows of the outer products of their scores (size x size). `scores_of(rows)`: without weights, a row each.
score_outer_product <- function(n, weights, weight_type, size, scores_of) {
  meat <- matrix(0, size, size)
  # some 50 MB of scores at a time
  block <- max(100L, as.integer(6e6 / max(size, 1L)))
  for (first in seq(1L, n, by = block)) {
    rows <- first:min(n, first + block - 1L)
    scores <- scores_of(rows)
    if (!is.null(weights)) {
      w <- weights[rows]
      scores <- scores * (if (weight_type == "sampling") w else sqrt(w))
    }
    meat <- meat + crossprod(scores)
  }
  meat
}

# Score of each row, without its weight (rows x df). For an incomplete row the expected
# complete-data score needs only y = Sigma_oo^-1 (x_o - mu_o) and Sigma_oo^-1, padded with zeros.
gmm_row_scores <- function(fit, chart, rows = seq_len(nrow(fit$data))) {
  parameters <- fit$parameters
  x <- fit$data[rows, , drop = FALSE]
  d <- ncol(x)
  K <- ncol(parameters$means)
  posterior <- gmm_evaluate_(x, parameters, NULL, fit$known[rows], "posterior",
                             resolve_threads(fit$control))
  scores <- matrix(0, length(rows), ncol(chart$jacobian))
  groups <- chart$proportions$groups
  if (length(chart$proportions$index)) {
    count <- vapply(groups, function(g) rowSums(posterior[, g, drop = FALSE]),
                    numeric(length(rows)))
    count <- matrix(count, length(rows))
    mass <- vapply(groups, function(g) sum(parameters$proportions[g]), 0)
    share <- count - outer(rowSums(count), mass / sum(mass))
    scores[, chart$proportions$index] <- share[, -1]
  }
  lower <- which(lower.tri(diag(d), diag = TRUE), arr.ind = TRUE)
  patterns <- split(seq_along(rows), missing_pattern(x))
  for (k in seq_len(K)) {
    covariance <- component_covariance(parameters, k)
    mean_part <- chart$means[[k]]
    covariance_part <- chart$covariances[[k]]
    n_tangents <- length(covariance_part$index)
    # quadratic forms y' T y through products y_a y_b, a >= b, off-diagonal ones twice
    tangents <- matrix(covariance_part$tangents, d * d)
    half <- tangents[lower[, 1] + d * (lower[, 2] - 1), , drop = FALSE]
    half <- half * ifelse(lower[, 1] == lower[, 2], 1, 2)
    for (i in patterns) {
      observed <- which(!is.na(x[i[1], ]))
      if (!length(observed)) {
        next
      }
      precision <- matrix(0, d, d)
      precision[observed, observed] <- chol2inv(chol(covariance[observed, observed, drop = FALSE]))
      y <- sweep(x[i, , drop = FALSE], 2, parameters$means[, k])
      y[, -observed] <- 0
      y <- y %*% precision
      z <- posterior[i, k]
      if (length(mean_part$index)) {
        scores[i, mean_part$index] <- z * (y %*% mean_part$basis)
      }
      if (n_tangents) {
        products <- y[, lower[, 1], drop = FALSE] * y[, lower[, 2], drop = FALSE]
        centre <- as.vector(crossprod(tangents, as.vector(precision)))
        quadratic <- sweep(products %*% half, 2, centre)
        index <- covariance_part$index
        scores[i, index] <- scores[i, index] + z / 2 * quadratic
      }
    }
  }
  scores
}

# A label per row that is equal for rows with the same cells missing.
missing_pattern <- function(x) {
  if (!anyNA(x)) {
    return(rep.int(1L, nrow(x)))
  }
  missing <- is.na(x)
  keys <- rep.int("", nrow(x))
  for (j in which(colSums(missing) > 0)) {
    keys <- paste0(keys, as.integer(missing[, j]))
  }
  match(keys, unique(keys))
}
