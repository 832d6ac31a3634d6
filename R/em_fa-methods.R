# Methods for fits of em_fa(): coefficients, likelihood, fitted covariances, residuals, simulation.

#' Coefficients of a factor analysis
#'
#' Means (unless the fit is of a covariance matrix without them), rotated loadings, uniquenesses and, for an oblique
#' rotation, factor correlations as one named vector.
#'
#' @param object A fit of [em_fa()].
#' @param standardized FALSE (default): in the units of the data, as `fit$parameters`. TRUE: loadings and uniquenesses
#'   of variables of variance 1, as they are printed; no means.
#' @param ... Unused, and an error.
#' @return A named numeric vector: `mean[variable]`, ..., `loading[variable,factor]` (factor by factor),
#'   `uniqueness[variable]`, `correlation[factor,factor]`.
#' @seealso [vcov.em_fa()], [confint.em_fa()]
#' @examples
#' fit <- em_fa(mtcars, n_factors = 2)
#' coef(fit, standardized = TRUE)
#' @export
coef.em_fa <- function(object, standardized = FALSE, ...) {
  check_flag(standardized, "standardized")
  check_dots_empty(..., .function = "coef.em_fa")
  part <- if (standardized) object$standardized else object$parameters
  phi <- if (is_oblique(object)) object$factor_correlation[lower.tri(object$factor_correlation)]
  stats::setNames(c(if (!standardized && knows_mean(object)) part$mean, part$loadings, part$uniquenesses, phi),
                  fa_coefficient_names(object, standardized))
}

fa_coefficient_names <- function(fit, standardized) {
  v <- fit$variables
  q <- fit$n_factors
  lower <- which(lower.tri(diag(q)), arr.ind = TRUE)
  c(if (!standardized && knows_mean(fit)) sprintf("mean[%s]", v),
    sprintf("loading[%s,%d]", rep(v, q), rep(seq_len(q), each = length(v))),
    sprintf("uniqueness[%s]", v), if (is_oblique(fit)) sprintf("correlation[%d,%d]", lower[, 1L], lower[, 2L]))
}

# FALSE for a fit of a covariance matrix without means.
knows_mean <- function(fit) !anyNA(fit$parameters$mean)

require_mean <- function(fit, what) {
  if (knows_mean(fit)) return(invisible())
  em_abort(paste0(what, " needs the means of the variables, and the covariance matrix of this fit came without. Fit ",
                  "again with them as `center`: em_fa(covmat = list(cov = , center = , n.obs = ))."), "no_mean")
}

# Mean (0 where it is not known), unrotated loadings and uniquenesses, as the core takes them.
fa_core <- function(fit) {
  list(mean = if (knows_mean(fit)) unname(fit$parameters$mean) else numeric(length(fit$variables)),
       loadings = unrotated_loadings(fit), uniquenesses = unname(fit$parameters$uniquenesses))
}

#' Log-likelihood of a factor analysis
#'
#' Of the data of the fit, or of new rows under the fitted model.
#'
#' @param object A fit of [em_fa()].
#' @param newdata NULL (default), or new rows, as for [predict()][predict.em_fa]; NA is allowed.
#' @param ... Unused, and an error.
#' @return An object of class `logLik`, with attributes `df` and `nobs`.
#' @examples
#' fit <- em_fa(mtcars[1:24, ], n_factors = 2)
#' logLik(fit)
#' logLik(fit, newdata = mtcars[25:32, ])
#' @export
logLik.em_fa <- function(object, newdata = NULL, ...) {
  check_dots_empty(..., .function = "logLik.em_fa")
  if (is.null(newdata)) return(structure(object$loglik, df = object$df, nobs = object$nobs, class = "logLik"))
  require_mean(object, "logLik() of new rows")
  x <- model_matrix_newdata(object, newdata)
  rows <- fa_rows_(unname(x), fa_core(object), FALSE, resolve_threads(object$control))
  structure(sum(rows$loglik), df = object$df, nobs = sum(rowSums(!is.na(x)) > 0L), class = "logLik")
}

#' Fitted covariances and residuals of a factor analysis
#'
#' What the model says of the covariances and of the cells, and what it leaves.
#'
#' @param object A fit of [em_fa()].
#' @param type For `fitted()`: `"covariance"` (default) or `"correlation"`, the matrix that the model implies (p x p);
#'   `"response"`, the mean plus loadings times regression scores (n x p). For `residuals()`: `"correlation"` (default)
#'   or `"covariance"`, the estimate without a model (of incomplete data: by maximum likelihood) minus that of the
#'   model; `"response"`, the data minus their fitted values.
#' @param ... Unused, and an error.
#' @return A matrix. Residual covariances have 0 on the diagonal up to rounding, except in Heywood cases and for "ppca".
#' @examples
#' fit <- em_fa(mtcars, n_factors = 2)
#' round(residuals(fit), 3)
#' @export
residuals.em_fa <- function(object, type = c("correlation", "covariance", "response"), ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "residuals.em_fa")
  if (type == "response") {
    require_rows(object, "residuals(type = \"response\")")
    return(object$data - fitted(object, "response"))
  }
  sample <- fa_sample_covariance(object)
  model <- unname(fitted(object))
  scale <- if (type == "correlation") tcrossprod(sqrt(diag(sample))) else 1
  result <- (sample - model) / scale
  dimnames(result) <- list(object$variables, object$variables)
  result
}

#' @rdname residuals.em_fa
#' @export
fitted.em_fa <- function(object, type = c("covariance", "correlation", "response"), ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "fitted.em_fa")
  p <- length(object$variables)
  if (type == "response") {
    require_rows(object, "fitted(type = \"response\")")
    core <- fa_core(object)
    rows <- fa_rows_(unname(object$data), core, FALSE, resolve_threads(object$control))
    result <- tcrossprod(rows$regression, core$loadings) + rep(core$mean, each = nrow(rows$regression))
    dimnames(result) <- list(object$row_names, object$variables)
    return(result)
  }
  part <- if (type == "covariance") object$parameters else object$standardized
  loadings <- matrix(part$loadings, p)
  result <- loadings %*% tcrossprod(object$factor_correlation, loadings) + diag(part$uniquenesses, p)
  dimnames(result) <- list(object$variables, object$variables)
  (result + t(result)) / 2
}

# Rows are missing where a fit was made of a covariance matrix, or does not keep its data.
require_rows <- function(fit, what) {
  if (is.null(fit$covmat)) return(require_data(fit, what))
  em_abort(paste0(what, " needs the rows of the data; this fit was made of a covariance matrix."), "no_data")
}

# The covariance matrix (divisor n) that the model approximates.
fa_sample_covariance <- function(fit) {
  if (!is.null(fit$covmat)) return(fit$covmat$covariance)
  if (!is.null(fit$saturated$covariance)) return(fit$saturated$covariance)
  require_data(fit, "residuals()")
  x <- fit$data[rowSums(!is.na(fit$data)) > 0L, , drop = FALSE]
  if (anyNA(x)) {
    em_abort("The covariance matrix of the incomplete data has no estimate to compare with (too few rows).",
             "degenerate")
  }
  w <- if (is.null(fit$weights)) rep(1, nrow(x)) else fit$weights[rowSums(!is.na(fit$data)) > 0L]
  unname(stats::cov.wt(x, w / sum(w), method = "ML")$cov)
}

#' Simulate from a factor analysis
#'
#' Draws complete data sets from the fitted model.
#'
#' @param object A fit of [em_fa()].
#' @param nsim Number of data sets. Default 1.
#' @param seed NULL (default): the current state of R's random numbers; or a number for [set.seed()], the state being
#'   restored afterwards.
#' @param n_rows Rows of each data set. Default: those of the data of the fit.
#' @param ... Unused, and an error.
#' @return For `nsim = 1` a data frame, for more a list of them named `sim_1`, ...; attribute `"seed"` as in
#'   [stats::simulate()].
#' @examples
#' head(simulate(em_fa(covmat = ability.cov, n_factors = 2), seed = 1))
#' @export
simulate.em_fa <- function(object, nsim = 1, seed = NULL, n_rows = object$n_rows, ...) {
  check_dots_empty(..., .function = "simulate.em_fa")
  nsim <- check_count(nsim, "nsim")
  n_rows <- check_count(n_rows, "n_rows")
  require_mean(object, "simulate()")
  core <- fa_core(object)
  p <- length(object$variables)
  simulate_sets(nsim, seed, function() {
    factors <- matrix(stats::rnorm(n_rows * object$n_factors), n_rows)
    errors <- matrix(stats::rnorm(n_rows * p), n_rows)
    x <- tcrossprod(factors, core$loadings) + errors * rep(sqrt(core$uniquenesses), each = n_rows) +
      rep(core$mean, each = n_rows)
    colnames(x) <- object$variables
    as.data.frame(x, optional = TRUE)
  })
}
