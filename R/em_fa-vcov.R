# Standard errors of em_fa(): the observed information at the unrotated parameters, and the delta method through
# everything that makes of them what a fit shows (standardising, rotating).

#' Variance matrix of the estimates of a factor analysis
#'
#' Of the means, rotated loadings, uniquenesses and factor correlations, in the order of [coef()][coef.em_fa].
#'
#' The observed information (of the observed cells, where values are missing) is taken at the unrotated parameters. It
#' is singular in the q(q - 1)/2 directions of rotation, in which nothing that is rotated by a rule moves; elsewhere it
#' is inverted. The variances of rotated loadings follow by the delta method, with the derivative of the rotation (how
#' the criterion turns the factors as the loadings change) taken numerically (Jennrich 1973). That the rotation is
#' estimated too is why these standard errors differ from those of a confirmatory analysis.
#'
#' At a uniqueness of 0 (a Heywood case) there is none: its entries are NA, and the others are conditional on it.
#' Coefficients that the data do not determine have NA too; their names are in the attribute `"not_identified"` and in
#' a warning of class `em_warning_not_identified`. Without rotation (`rotation = "none"`) that happens where two factors
#' explain the same.
#'
#' @param object A fit of [em_fa()], with its data or of a covariance matrix; at most 3000 parameters.
#' @param type `"observed"`.
#' @param standardized FALSE (default): of `coef(fit)`. TRUE: of `coef(fit, standardized = TRUE)`.
#' @param ... Unused, and an error.
#' @return A symmetric matrix with the names of `coef(object, standardized)`.
#' @references
#' Jennrich, R. I. (1973). Standard errors for obliquely rotated factor loadings. *Psychometrika* 38, 593-604.
#' \doi{10.1007/BF02291497}
#' @seealso [confint.em_fa()]
#' @examples
#' fit <- em_fa(covmat = ability.cov, n_factors = 2)
#' round(sqrt(diag(vcov(fit, standardized = TRUE))), 3)
#' confint(fit, 1:3, standardized = TRUE)
#' @export
vcov.em_fa <- function(object, type = "observed", standardized = FALSE, ...) {
  check_choice(type, "type", "observed")
  check_flag(standardized, "standardized")
  check_dots_empty(..., .function = "vcov.em_fa")
  if (is.null(object$covmat)) require_data(object, "vcov()")
  p <- length(object$variables)
  if (p * (object$n_factors + 2) > 3000) {
    em_abort(sprintf(
      "The information about %d variables and %s is too large; vcov() is made for at most 3000 parameters.", p,
      count_of(object$n_factors, "factor")
    ), "too_many_variables")
  }
  core <- fa_core(object)
  inverse <- fa_inverse_information(object, core)
  variance <- coefficient_variance(fa_jacobian(object, core, inverse$free, standardized), inverse$inverse, inverse$null)
  at_bound <- fa_coefficient_names(object, standardized) %in% sprintf("uniqueness[%s]", object$heywood)
  variance[at_bound, ] <- variance[, at_bound] <- NA_real_
  lost <- setdiff(attr(variance, "not_identified"), rownames(variance)[at_bound])
  attr(variance, "not_identified") <- if (length(lost) > 0L) lost
  if (length(lost) > 0L) {
    em_warn(sprintf("The data do not determine %d of the %d coefficients, which have no standard error: %s.",
                    length(lost), nrow(variance), abbreviate_list(lost)), "not_identified", coefficients = lost)
  }
  variance
}

# The inverse of the information over the `free` parameters (mean, loadings, log uniquenesses; not those at 0), in units
# in which each variable has variance 1, without the directions of rotation; `null`: others in which it is singular.
fa_inverse_information <- function(fit, core) {
  threads <- resolve_threads(fit$control)
  x <- fit$data
  weights <- fit$weights
  if (!is.null(x)) {
    used <- rowSums(!is.na(x)) > 0L
    if (!is.null(weights)) used <- used & weights > 0
    x <- unname(x[used, , drop = FALSE])
    weights <- if (!is.null(weights)) weights[used]
  }
  information <- if (is.null(fit$covmat) && anyNA(x)) {
    fa_missing_information_(x, weights, core, fit$type, threads)
  } else {
    data <- c(fit$covmat[c("mean", "covariance", "n")], list(x = NULL, weights = NULL))
    if (is.null(fit$covmat)) data <- list(mean = core$mean, x = x, weights = weights, n = fit$nobs)
    fa_information_(data, core, fit$type, threads)
  }
  p <- length(core$mean)
  q <- ncol(core$loadings)
  sd <- sqrt(rowSums(core$loadings^2) + core$uniquenesses)
  unit <- c(sd, rep(sd, q), rep(1, nrow(information) - p * (q + 1)))
  free <- rep(TRUE, nrow(information))
  if (fit$type == "fa") free[p * (q + 1) + which(core$uniquenesses == 0)] <- FALSE
  information <- (information * tcrossprod(unit))[free, free]
  turns <- rotation_directions(core$loadings / sd, p, length(unit))[free, , drop = FALSE]
  size <- stats::median(diag(information))
  # With the directions of rotation closed the rest is as it was.
  spectrum <- eigen(information + size * tcrossprod(turns), symmetric = TRUE)
  good <- spectrum$values > 1e-9 * size
  inverse <- tcrossprod(sweep(spectrum$vectors[, good, drop = FALSE], 2L, sqrt(spectrum$values[good]), "/"))
  list(inverse = inverse, null = spectrum$vectors[, !good, drop = FALSE], free = free)
}

# An orthonormal basis of the directions in which loadings are only rotated, in the space of all `m` parameters.
rotation_directions <- function(loadings, p, m) {
  q <- ncol(loadings)
  pairs <- which(upper.tri(diag(q)), arr.ind = TRUE)
  basis <- vapply(seq_len(nrow(pairs)), function(k) {
    change <- matrix(0, p, q)
    change[, pairs[k, 1L]] <- -loadings[, pairs[k, 2L]]
    change[, pairs[k, 2L]] <- loadings[, pairs[k, 1L]]
    c(numeric(p), change, numeric(m - p * (q + 1)))
  }, numeric(m))
  if (ncol(basis) > 0L) qr.Q(qr(basis)) else basis
}

# The derivative of coef(fit, standardized) in the free parameters of fa_inverse_information(), in its units.
fa_jacobian <- function(fit, core, free, standardized) {
  p <- length(core$mean)
  q <- ncol(core$loadings)
  sd <- sqrt(rowSums(core$loadings^2) + core$uniquenesses)
  rotation <- fit_rotation(fit)
  shape <- fa_shape(fit, core, rotation, standardized)
  # Functions of others may be less exact than the package's own.
  h <- switch(rotation$kind, GPArotation = 1e-4, "function" = 1e-3, 1e-5)
  at <- p + seq_len(sum(free) - p)
  where <- which(free)[at]
  derivative <- vapply(where, function(k) {
    moved <- function(step) {
      loadings <- core$loadings
      psi <- core$uniquenesses
      if (k <= p * (q + 1)) {
        loadings[k - p] <- loadings[k - p] + step * sd[(k - 1L) %% p + 1L]
      } else if (fit$type == "fa") {
        j <- k - p * (q + 1)
        psi[j] <- psi[j] * exp(step)
      } else {
        psi <- psi * exp(step)
      }
      shape(loadings, psi)
    }
    (moved(h) - moved(-h)) / (2 * h)
  }, shape(core$loadings, core$uniquenesses))
  jacobian <- cbind(matrix(0, nrow(derivative), p), derivative)
  if (!standardized) jacobian <- rbind(cbind(diag(sd, p), matrix(0, p, length(where))), jacobian)
  rownames(jacobian) <- fa_coefficient_names(fit, standardized)
  jacobian
}

# The map from unrotated loadings and uniquenesses near those of the fit to its coefficients (without means):
# standardise, rotate from where the fit's rotation stands, and take the fit's order and signs.
fa_shape <- function(fit, core, rotation, standardized) {
  p <- length(core$mean)
  q <- ncol(core$loadings)
  scale <- sqrt(rowSums(core$loadings^2) + core$uniquenesses)
  # The fit's turn before factors were ordered and signed, to begin from.
  first <- rotation_turn(core$loadings / scale, rotation)
  fitted <- matrix(fit$standardized$loadings, p)
  lower <- lower.tri(diag(q))
  canonical <- fa_canonical(core$loadings, core$uniquenesses, fit$type)
  function(loadings, psi) {
    if (rotation$kind %in% c("none", "function")) {
      loadings <- match_columns(fa_canonical(loadings, psi, fit$type), canonical)
    }
    scale <- sqrt(rowSums(loadings^2) + psi)
    turn <- rotation_turn(loadings / scale, rotation, first)
    turn <- turn[, seq_len(q), drop = FALSE]
    turn <- match_columns((loadings / scale) %*% turn, fitted, turn)
    c(if (standardized) (loadings / scale) %*% turn else loadings %*% turn, if (standardized) psi / scale^2 else psi,
      if (is_oblique(fit)) solve(crossprod(turn))[lower])
  }
}

# Loadings turned so that Lambda' Psi^-1 Lambda (ppca: Lambda' Lambda) is diagonal.
fa_canonical <- function(loadings, psi, type) {
  if (ncol(loadings) < 2L) return(loadings)
  # At a uniqueness of 0 its variable alone would decide: the rest then turns by what is left.
  weight <- if (type == "ppca") 1 else 1 / pmax(psi, 1e-8 * rowSums(loadings^2))
  loadings %*% eigen(crossprod(loadings, weight * loadings), symmetric = TRUE)$vectors
}

# Columns of `what` in the order and with the signs that bring those of `x` next to those of `to`.
match_columns <- function(x, to, what = x) {
  product <- crossprod(to, x)
  order <- integer(ncol(x))
  open <- abs(product) / sqrt(outer(colSums(to^2), colSums(x^2)))
  for (i in seq_along(order)) {
    at <- which(open == max(open), arr.ind = TRUE)[1L, ]
    order[at[1L]] <- at[2L]
    open[at[1L], ] <- open[, at[2L]] <- -1
  }
  signs <- ifelse(product[cbind(seq_along(order), order)] < 0, -1, 1)
  sweep(what[, order, drop = FALSE], 2L, signs, "*")
}

#' Confidence intervals of a factor analysis
#'
#' Wald intervals of loadings, uniquenesses, factor correlations and means.
#'
#' @param object A fit of [em_fa()].
#' @param parm Names or numbers of the coefficients (see [coef()][coef.em_fa]); all by default.
#' @param level Confidence level, between 0 and 1. Default 0.95.
#' @param standardized FALSE (default) or TRUE, see [coef()][coef.em_fa].
#' @param transform TRUE (default) or FALSE: intervals of uniquenesses on the scale of their logarithm (standardised: of
#'   their logit), so that they stay among the possible values.
#' @param ... Further arguments of [vcov()][vcov.em_fa].
#' @return A matrix with a row per coefficient and a column per limit; NA where there is no standard error.
#' @examples
#' fit <- em_fa(covmat = ability.cov, n_factors = 1)
#' confint(fit, standardized = TRUE)
#' @export
confint.em_fa <- function(object, parm, level = 0.95, standardized = FALSE, transform = TRUE, ...) {
  check_level(level)
  check_flag(transform, "transform")
  estimate <- coef(object, standardized = standardized)
  parm <- select_coefficients(parm, names(estimate))
  se <- sqrt(diag(vcov(object, standardized = standardized, ...)))
  fa_intervals(estimate, se, level, standardized, transform)[parm, , drop = FALSE]
}

fa_intervals <- function(estimate, se, level, standardized, transform = TRUE) {
  unique <- startsWith(names(estimate), "uniqueness[")
  domain <- if (transform) ifelse(unique, if (standardized) "probability" else "positive", "real")
  wald_intervals(estimate, se, level, domain)
}
