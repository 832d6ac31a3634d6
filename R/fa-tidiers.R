# tidy(), glance() and augment() of em_fa().

#' Tidy a factor analysis
#'
#' Fits as data frames: `tidy()` gives loadings or all parameters, `glance()` one row per fit, `augment()` the data with
#' their factor scores. They are tibbles if the package tibble is installed.
#'
#' @param x A fit of [em_fa()].
#' @param type `"loadings"` (default): a row per variable; `"parameters"`: a row per coefficient.
#' @param standardized TRUE (default): loadings and uniquenesses of variables of variance 1. FALSE: in the units of the
#'   data.
#' @param conf.int TRUE: confidence limits too (for `type = "parameters"`), see [confint.em_fa()]. Default FALSE.
#' @param conf.level Confidence level. Default 0.95.
#' @param data Data frame to which the columns are added. Default: the variables of the fit, [model.frame()]. It must
#'   have the rows of the data of the fit.
#' @param newdata New rows instead.
#' @param scores "regression" or "bartlett". Default: those of the fit.
#' @param ... Unused, and an error.
#' @return `tidy(type = "loadings")`: `variable`, `uniqueness`, `fl1`, `fl2`, .... `tidy(type = "parameters")`: `term`
#'   (the name in [coef()][coef.em_fa]), `estimate`, `std.error` (and `conf.low`, `conf.high`).
#'
#'   `glance()`: `n_factors`, `total.variance` (the share that the factors explain), `logLik`, `AIC`, `BIC` (lower is
#'   better), `df`, `nobs`, `statistic`, `p.value`, `df.test` (of the test of fit), `RMSEA`, `TLI`, `heywood` (how
#'   many), `converged`, `iterations`.
#'
#'   `augment()`: the data with `.fs1`, `.fs2`, ....
#' @examples
#' fit <- em_fa(mtcars, n_factors = 2)
#' tidy(fit)
#' glance(fit)
#' head(augment(fit))
#' @name tidy.em_fa
NULL

#' @rdname tidy.em_fa
#' @export
tidy.em_fa <- function(x, type = c("loadings", "parameters"), standardized = TRUE, conf.int = FALSE, conf.level = 0.95,
                       ...) {
  type <- match_choice(type)
  check_flag(standardized, "standardized")
  check_dots_empty(..., .function = "tidy.em_fa")
  check_level(conf.level, "conf.level")
  if (type == "loadings") {
    part <- if (standardized) x$standardized else x$parameters
    loadings <- matrix(part$loadings, length(x$variables))
    colnames(loadings) <- paste0("fl", seq_len(x$n_factors))
    frame <- data.frame(variable = x$variables, uniqueness = unname(part$uniquenesses), loadings)
    return(as_tibble_if_installed(frame))
  }
  estimate <- coef(x, standardized = standardized)
  variance <- vcov(x, standardized = standardized)
  table <- tidy_coefficients(estimate, variance, FALSE, conf.level)
  if (conf.int) {
    limits <- fa_intervals(estimate, sqrt(diag(variance)), conf.level, standardized)
    table$conf.low <- unname(limits[, 1L])
    table$conf.high <- unname(limits[, 2L])
  }
  as_tibble_if_installed(table)
}

#' @rdname tidy.em_fa
#' @export
glance.em_fa <- function(x, ...) {
  check_dots_empty(..., .function = "glance.em_fa")
  as_tibble_if_installed(data.frame(
    n_factors = x$n_factors, total.variance = 1 - mean(x$standardized$uniquenesses), logLik = x$loglik,
    AIC = stats::AIC(x), BIC = stats::BIC(x), df = x$df, nobs = x$nobs, statistic = x$test$chi_square,
    p.value = x$test$p_value, df.test = x$test$chi_square_df, RMSEA = x$test$RMSEA, TLI = x$test$TLI,
    heywood = length(x$heywood), converged = isTRUE(x$converged), iterations = x$iterations
  ))
}

#' @rdname tidy.em_fa
#' @export
augment.em_fa <- function(x, data = NULL, newdata = NULL, scores = NULL, ...) {
  check_dots_empty(..., .function = "augment.em_fa")
  values <- predict(x, newdata, scores = scores)
  if (!is.null(newdata)) {
    data <- if (is.null(dim(newdata))) as.data.frame(model_matrix_newdata(x, newdata), optional = TRUE) else
      as.data.frame(newdata)
  } else {
    data <- if (is.null(data)) model.frame(x) else as.data.frame(data)
  }
  if (nrow(data) != nrow(values)) {
    em_abort(paste0("`data` has ", count_of(nrow(data), "row"), ", but the fit has ", nrow(values),
                    ". Use `newdata` for other data."), "argument", argument = "data")
  }
  attr(data, "terms") <- NULL
  for (k in seq_len(ncol(values))) data[[paste0(".fs", k)]] <- unname(values[, k])
  as_tibble_if_installed(data)
}
