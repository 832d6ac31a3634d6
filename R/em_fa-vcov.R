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
#' `type = "sandwich"` puts the sum of the outer products of the scores of the rows between two inverses of the observed
#' information (White 1982): it stays valid when the data are not normal. With observation weights, `weight_type` tells
#' what they are: `"sampling"` weights (\eqn{\sum w_i^2 s_i s_i'}) or `"frequency"` weights, rows that stand for `w`
#' equal ones (\eqn{\sum w_i s_i s_i'}). `type = "bootstrap"` is the covariance matrix of [em_bootstrap()].
#'
#' @param object A fit of [em_fa()], with its data or of a covariance matrix; at most 3000 parameters.
#' @param type `"observed"` (default), `"sandwich"` (which needs the rows of the data) or `"bootstrap"`.
#' @param standardized FALSE (default): of `coef(fit)`. TRUE: of `coef(fit, standardized = TRUE)`.
#' @param weight_type What the observation weights are, for `type = "sandwich"`: `"sampling"` (default) or
#'   `"frequency"`. Without weights the two agree.
#' @param ... For `type = "bootstrap"`, arguments of [em_bootstrap()], such as `n_boot`. Otherwise unused, and an error.
#' @return A symmetric matrix with the names of `coef(object, standardized)`.
#' @references
#' Jennrich, R. I. (1973). Standard errors for obliquely rotated factor loadings. *Psychometrika* 38, 593-604.
#' \doi{10.1007/BF02291497}
#'
#' White, H. (1982). Maximum likelihood estimation of misspecified models. *Econometrica* 50, 1-25.
#' \doi{10.2307/1912526}
#' @seealso [confint.em_fa()], [em_bootstrap()]
#' @examples
#' fit <- em_fa(covmat = ability.cov, n_factors = 2)
#' round(sqrt(diag(vcov(fit, standardized = TRUE))), 3)
#' confint(fit, 1:3, standardized = TRUE)
#' @export
vcov.em_fa <- function(object, type = c("observed", "sandwich", "bootstrap"), standardized = FALSE,
                       weight_type = c("sampling", "frequency"), ...) {
  type <- match_choice(type)
  weight_type <- match_choice(weight_type)
  check_flag(standardized, "standardized")
  if (type == "bootstrap") return(vcov(em_bootstrap(object, standardized = standardized, ...)))
  check_dots_empty(..., .function = "vcov.em_fa")
  if (type == "sandwich") require_rows(object, "vcov(type = \"sandwich\")")
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
  spread <- inverse$inverse
  if (type == "sandwich") spread <- spread %*% fa_score_outer_product(object, core, inverse, weight_type) %*% spread
  variance <- coefficient_variance(fa_jacobian(object, core, inverse$free, standardized), spread, inverse$null)
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
# in which each variable has variance 1 (`unit`), without the directions of rotation; `null`: others in which it is
# singular.
fa_inverse_information <- function(fit, core) {
  threads <- resolve_threads(fit$control)
  rows <- fa_rows_used(fit)
  x <- rows$x
  weights <- rows$weights
  information <- if (is.null(fit$covmat) && anyNA(x)) {
    fa_missing_information_(x, weights, core, fit$type, threads)
  } else {
    data <- c(list(mean = core$mean), fit$covmat[c("covariance", "n")], list(x = NULL, weights = NULL))
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
  list(inverse = inverse, null = spectrum$vectors[, !good, drop = FALSE], free = free, unit = unit)
}

# The rows that count, and their weights; both NULL for a covariance matrix.
fa_rows_used <- function(fit) {
  x <- fit$data
  if (is.null(x)) return(list(x = NULL, weights = NULL))
  used <- rowSums(!is.na(x)) > 0L
  if (!is.null(fit$weights)) used <- used & fit$weights > 0
  list(x = unname(x[used, , drop = FALSE]), weights = if (!is.null(fit$weights)) fit$weights[used])
}

# Scores of rows of x (without their weights) by mean, loadings (column by column) and log uniquenesses (of "ppca"
# one): what a row adds to the derivative of the log-likelihood of its observed cells. With y = Sigma^-1 (x - mean) of
# these, zero elsewhere, the derivative by the covariance matrix is (y y' - Sigma^-1) / 2.
fa_row_scores <- function(x, core, type) {
  p <- ncol(x)
  q <- ncol(core$loadings)
  sigma <- tcrossprod(core$loadings) + diag(core$uniquenesses, p)
  scores <- matrix(0, nrow(x), p * (q + 1) + if (type == "fa") p else 1)
  for (i in split(seq_len(nrow(x)), missing_pattern(x))) {
    observed <- which(!is.na(x[i[1L], ]))
    precision <- matrix(0, p, p)
    precision[observed, observed] <- chol2inv(chol(sigma[observed, observed, drop = FALSE]))
    y <- sweep(x[i, , drop = FALSE], 2L, core$mean)
    y[, -observed] <- 0
    y <- y %*% precision
    by_loadings <- y[, rep(seq_len(p), q)] * (y %*% core$loadings)[, rep(seq_len(q), each = p)]
    by_noise <- (y^2 - rep(diag(precision), each = length(i))) * rep(core$uniquenesses, each = length(i)) / 2
    scores[i, ] <- c(y, by_loadings - rep(precision %*% core$loadings, each = length(i)),
                     if (type == "fa") by_noise else rowSums(by_noise))
  }
  scores
}

# The middle of the sandwich, in the coordinates of `inverse`, a result of fa_inverse_information().
fa_score_outer_product <- function(fit, core, inverse, weight_type) {
  rows <- fa_rows_used(fit)
  free <- inverse$free
  score_outer_product(nrow(rows$x), rows$weights, weight_type, sum(free), function(i) {
    scores <- fa_row_scores(rows$x[i, , drop = FALSE], core, fit$type)
    scores[, free, drop = FALSE] * rep(inverse$unit[free], each = length(i))
  })
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
  if (!standardized && knows_mean(fit)) jacobian <- rbind(cbind(diag(sd, p), matrix(0, p, length(where))), jacobian)
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
  likeness <- abs(product) / sqrt(outer(colSums(to^2), colSums(x^2)))
  # A factor that explains nothing is like no other.
  likeness[!is.finite(likeness)] <- 0
  order <- optimal_assignment(-likeness)
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
