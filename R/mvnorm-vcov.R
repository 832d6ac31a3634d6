# Standard errors of em_mvnorm(): score and information in closed form (core/models/mvn_information.h).

#' Variance matrix of the estimates of a normal distribution
#'
#' The variance matrix of [coef()] of a fit of [em_mvnorm()]: means first, then the lower triangle of the
#' covariance by columns.
#'
#' * `"observed"`: the inverse of the observed information, minus the second derivative of the observed-data
#'   log-likelihood (plus log prior), in closed form. The right one when values are missing at random.
#' * `"expected"`: of the expected information given the patterns. Valid only if values are missing completely at
#'   random (Kenward and Molenberghs 1998).
#' * `"sandwich"`: \eqn{I^{-1} M I^{-1}} with \eqn{M} the sum over rows of the outer products of their scores; stays valid
#'   for the means and covariances when the data are not normal.
#'
#' Coefficients that the data do not determine have NA; their names are in the attribute `"not_identified"` and in a
#' warning of class `em_warning_not_identified`.
#'
#' @param object A fit of [em_mvnorm()], with its data; at most 100 variables.
#' @param type `"observed"` (default), `"expected"` or `"sandwich"`.
#' @param weight_type What the observation weights are, for `type = "sandwich"`: `"sampling"` (default) or `"frequency"`.
#' @param ... Unused, and an error.
#' @return A symmetric matrix with the names of `coef(object)`.
#' @references
#' Kenward, M. G. and Molenberghs, G. (1998). Likelihood based frequentist inference when data are missing at random.
#' *Statistical Science* 13, 236-247. \doi{10.1214/ss/1028905886}
#'
#' White, H. (1982). Maximum likelihood estimation of misspecified models. *Econometrica* 50, 1-25.
#' \doi{10.2307/1912526}
#' @seealso [confint.em_fit()]
#' @examples
#' fit <- em_mvnorm(airquality[, 1:4])
#' sqrt(diag(vcov(fit)))[1:4]
#' confint(fit, 1:4, type = "sandwich")
#' @export
vcov.em_mvnorm <- function(object, type = c("observed", "expected", "sandwich"),
                           weight_type = c("sampling", "frequency"), ...) {
  type <- match_choice(type)
  weight_type <- match_choice(weight_type)
  check_dots_empty(..., .function = "vcov.em_mvnorm")
  require_data(object, "vcov()")
  d <- length(object$variables)
  if (d > 100L) {
    em_abort(sprintf("The information about %d variables has %s entries; vcov() is made for at most 100 variables.", d,
                     format((d + d * (d + 1) / 2)^2, big.mark = ",")), "too_many_variables")
  }
  meat <- if (type != "sandwich") "none" else if (weight_type == "sampling") "squared weights" else "weights"
  result <- mvnorm_information_(object$data, object$weights, object$prior[c("exponent", "scale")],
                                cell_prior_matrix(object$cell_priors), object$parameters$mean,
                                object$parameters$covariance, if (type == "expected") "expected" else "observed", meat,
                                resolve_threads(object$control))
  inverse <- invert_relative(result$information, result$complete)
  variance <- inverse$inverse
  if (type == "sandwich") variance <- variance %*% result$meat %*% variance
  # From units in which every variable has variance 1 to the user's.
  sd <- sqrt(diag(object$parameters$covariance))
  jacobian <- c(sd, tcrossprod(sd)[lower.tri(diag(d), diag = TRUE)]) * result$jacobian
  rownames(jacobian) <- mvnorm_coefficient_names(object$variables)
  variance <- coefficient_variance(jacobian, variance, inverse$null)
  not_identified <- attr(variance, "not_identified")
  if (length(not_identified)) {
    em_warn(sprintf("The data do not determine %d of the %d coefficients, which have no standard error: %s.",
                    length(not_identified), nrow(variance), abbreviate_list(not_identified)),
            "not_identified", coefficients = not_identified)
  }
  variance
}

# Inverse of an information matrix over the directions in which it is more than 1e-6 of that of complete data, whose
# diagonal is `complete`, and a basis of the others (`null`). Judged in this way it does not matter how correlated the
# variables are.
invert_relative <- function(information, complete) {
  unit <- 1 / sqrt(complete)
  spectrum <- eigen(information * tcrossprod(unit), symmetric = TRUE)
  good <- spectrum$values > 1e-6
  directions <- spectrum$vectors * unit
  inverse <- tcrossprod(sweep(directions[, good, drop = FALSE], 2L, sqrt(spectrum$values[good]), "/"))
  null <- directions[, !good, drop = FALSE]
  list(inverse = inverse, null = if (ncol(null) > 0L) qr.Q(qr(null)) else null)
}
