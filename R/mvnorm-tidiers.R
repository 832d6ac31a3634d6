# tidy(), glance() and augment() of em_mvnorm().

#' Tidy a normal distribution with missing values
#'
#' Fits as data frames: `tidy()` gives the coefficients, `glance()` one row per fit, `augment()` the data with their missing
#' cells filled in. They are tibbles if the package tibble is installed.
#'
#' @param x A fit of [em_mvnorm()].
#' @param conf.int TRUE: confidence limits too. Default FALSE.
#' @param conf.level Confidence level. Default 0.95.
#' @param vcov_type Of the standard errors, see [vcov.em_mvnorm()].
#' @param newdata New rows instead of the data of the fit.
#' @param ... Unused, and an error.
#' @return `tidy()`: `term`, `estimate`, `std.error` (and `conf.low`, `conf.high`). `glance()`: `n_variables`, `n_patterns`,
#'   `logLik`, `AIC`, `BIC` (lower is better), `df`, `nobs`, `worst_fraction` (of missing information), `method`,
#'   `converged`, `iterations`. `augment()`: the variables with conditional means in place of missing values, `.n_missing`,
#'   and `.distance`, the squared Mahalanobis distance of the observed cells.
#' @examples
#' fit <- em_mvnorm(airquality[, 1:4])
#' tidy(fit, conf.int = TRUE)
#' glance(fit)
#' head(augment(fit))
#' @name tidy.em_mvnorm
NULL

#' @rdname tidy.em_mvnorm
#' @export
tidy.em_mvnorm <- function(x, conf.int = FALSE, conf.level = 0.95, vcov_type = c("observed", "expected", "sandwich"), ...) {
  vcov_type <- match_choice(vcov_type)
  check_dots_empty(..., .function = "tidy.em_mvnorm")
  check_level(conf.level, "conf.level")
  as_tibble_if_installed(tidy_coefficients(coef(x), vcov(x, type = vcov_type), conf.int, conf.level))
}

#' @rdname tidy.em_mvnorm
#' @export
glance.em_mvnorm <- function(x, ...) {
  check_dots_empty(..., .function = "glance.em_mvnorm")
  as_tibble_if_installed(data.frame(
    n_variables = length(x$variables), n_patterns = nrow(x$patterns), logLik = x$loglik, AIC = stats::AIC(x),
    BIC = stats::BIC(x), df = x$df, nobs = x$nobs, worst_fraction = x$missing_information$worst, method = x$method,
    converged = x$converged, iterations = x$iterations
  ))
}

#' @rdname tidy.em_mvnorm
#' @export
augment.em_mvnorm <- function(x, newdata = NULL, ...) {
  check_dots_empty(..., .function = "augment.em_mvnorm")
  filled <- as.data.frame(predict(x, newdata), optional = TRUE)
  rows <- if (is.null(newdata)) x$data else model_matrix_newdata(x, newdata)
  filled$.n_missing <- unname(rowSums(is.na(rows)))
  filled$.distance <- unname(predict(x, newdata, type = "distance"))
  as_tibble_if_installed(filled)
}
