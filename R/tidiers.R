# tidy(), glance() and augment(): fits as data frames, for the generics package.

#' @importFrom generics tidy
#' @export
generics::tidy

#' @importFrom generics glance
#' @export
generics::glance

#' @importFrom generics augment
#' @export
generics::augment

#' Tidy a Gaussian mixture
#'
#' Fits as data frames, in the vocabulary of the broom package: `tidy()` gives the
#' components or the parameters, `glance()` one row per fit, `augment()` the data with their
#' classification. They are tibbles if the package tibble is installed.
#'
#' @param x A fit of [em_gmm()].
#' @param type `"components"` (default): a row per component; `"parameters"`: a row per
#'   coefficient.
#' @param conf.int `TRUE`: confidence limits too (for `type = "parameters"`). Default `FALSE`.
#' @param conf.level Confidence level. Default 0.95.
#' @param data Data frame to which the columns are added. Default: the variables of the fit,
#'   [model.frame()]. It must have the rows of the data of the fit.
#' @param newdata New data to classify instead, see [predict.em_gmm()].
#' @param ... For `tidy(type = "parameters")`, arguments of [vcov.em_gmm()], for example
#'   `type = "sandwich"` as `vcov_type = "sandwich"`. Otherwise unused, and an error.
#' @return A data frame or tibble.
#'
#'   `tidy(type = "components")`: `component` (`"noise"` for the noise component), `size` (rows
#'   classified to it; their weights if there are weights), `proportion`, and
#'   `mean.<variable>` for each variable.
#'
#'   `tidy(type = "parameters")`: `term`, `estimate`, `std.error` (see [vcov.em_gmm()]; `NA` if not
#'   identified), and `conf.low`, `conf.high`.
#'
#'   `glance()`: `covariance`, `n_components`, `logLik`, `AIC`, `BIC`, `ICL` (lower is better),
#'   `df`, `nobs`, `converged`, `status`, `iterations`.
#'
#'   `augment()`: the data with `.class` (factor), `.uncertainty` (1 minus the largest posterior
#'   probability), and `.posterior_1`, ....
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
#' tidy(fit)
#' glance(fit)
#' head(augment(fit))
#' @name tidy.em_gmm
NULL

#' @rdname tidy.em_gmm
#' @export
tidy.em_gmm <- function(x, type = c("components", "parameters"), conf.int = FALSE,
                        conf.level = 0.95, ...) {
  type <- match_choice(type)
  check_level(conf.level, "conf.level")
  if (type == "components") {
    check_dots_empty(..., .function = "tidy.em_gmm")
    return(as_tibble_if_installed(tidy_components(x)))
  }
  dots <- list(...)
  names(dots)[names(dots) == "vcov_type"] <- "type"
  variance <- do.call(vcov, c(list(x), dots))
  as_tibble_if_installed(tidy_coefficients(coef(x), variance, conf.int, conf.level))
}

# Coefficients as the table of tidy().
tidy_coefficients <- function(estimate, variance, conf.int, conf.level) {
  se <- sqrt(diag(variance))
  result <- data.frame(term = names(estimate), estimate = unname(estimate),
                       std.error = unname(se), stringsAsFactors = FALSE)
  if (conf.int) {
    limits <- wald_intervals(estimate, se, conf.level)
    result$conf.low <- unname(limits[, 1])
    result$conf.high <- unname(limits[, 2])
  }
  result
}

# The component table of tidy().
tidy_components <- function(x) {
  table <- gmm_component_table(x)
  size <- if (is.null(table$weight)) table$rows else table$weight
  result <- data.frame(component = table$component, stringsAsFactors = FALSE)
  result$size <- if (is.null(size)) NA_real_ else size
  result$proportion <- table$proportion
  for (variable in x$variables) {
    means <- x$parameters$means[variable, ]
    result[[paste0("mean.", variable)]] <- c(unname(means),
                                             rep(NA_real_, nrow(table) - length(means)))
  }
  result
}

#' @rdname tidy.em_gmm
#' @export
glance.em_gmm <- function(x, ...) {
  check_dots_empty(..., .function = "glance.em_gmm")
  fit_table <- gmm_fit_table(x)
  result <- data.frame(
    covariance = x$covariance, n_components = x$n_components, logLik = fit_table$loglik,
    AIC = fit_table$AIC, BIC = fit_table$BIC, ICL = fit_table$ICL, df = fit_table$df,
    nobs = fit_table$nobs, converged = isTRUE(x$converged), status = x$status,
    iterations = x$iterations, stringsAsFactors = FALSE
  )
  if (!is.null(x$n_factors)) result$n_factors <- x$n_factors
  as_tibble_if_installed(result)
}

#' @rdname tidy.em_gmm
#' @export
augment.em_gmm <- function(x, data = NULL, newdata = NULL, ...) {
  check_dots_empty(..., .function = "augment.em_gmm")
  if (!is.null(newdata)) {
    posterior <- predict(x, newdata, type = "posterior")
    data <- if (is.null(dim(newdata))) {
      stats::setNames(data.frame(as.vector(newdata)), x$variables[1])
    } else {
      as.data.frame(newdata)
    }
  } else {
    posterior <- predict(x, type = "posterior")
    data <- if (is.null(data)) model.frame(x) else as.data.frame(data)
  }
  if (nrow(data) != nrow(posterior)) {
    em_abort(
      paste0("`data` has ", count_of(nrow(data), "row"), ", but the fit has ", nrow(posterior),
             ". Use `newdata` for other data."),
      "argument", argument = "data"
    )
  }
  attr(data, "terms") <- NULL
  classes <- class_names(x$parameters)
  data$.class <- factor(classes[max.col(posterior, "first")], levels = classes)
  data$.uncertainty <- unname(1 - row_max(posterior))
  for (k in seq_along(classes)) {
    data[[paste0(".posterior_", classes[k])]] <- unname(posterior[, k])
  }
  as_tibble_if_installed(data)
}

# A tibble if that package is installed, else the data frame itself.
as_tibble_if_installed <- function(data) {
  if (requireNamespace("tibble", quietly = TRUE)) tibble::as_tibble(data) else data
}
