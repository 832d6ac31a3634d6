# tidy(), glance() and augment() of em_mixture().

#' Tidy a finite mixture
#'
#' Fits as data frames: `tidy()` gives the coefficients, `glance()` one row per fit, `augment()` the data with their
#' component, the posterior probabilities, fitted values and residuals. They are tibbles if the package tibble is
#' installed.
#'
#' @param x A fit of [em_mixture()].
#' @param conf.int `TRUE`: confidence limits too, as of [confint.em_mixture()]. Default `FALSE`.
#' @param conf.level Confidence level. Default 0.95.
#' @param se `TRUE` (default): standard errors. `FALSE` where they would take long.
#' @param data Data frame to which the columns are added. Default: the variables of the fit, [model.frame()]. It must
#'   have the rows of the data of the fit.
#' @param newdata New data instead. Responses may be missing in them, or left out; then there are no residuals.
#' @param type.residuals `"quantile"` (default) or `"response"`, see [residuals.em_mixture()].
#' @param seed For quantile residuals of discrete responses: NULL (default) to use R's random numbers, or a number.
#' @param ... Unused, and an error.
#' @return `tidy()`: `part` ("proportions" or "emission"), `response` (NA for the proportions), `parameter` (such as
#'   "mean"; for coefficients the covariate), `component`, `term` (the name in `coef()`), `estimate`, `std.error` (NA at
#'   a bound or where not identified, 0 for what is fixed), `statistic` and `p.value` (Wald tests that a coefficient of
#'   a covariate or an intercept is 0; NA for other parameters), and `conf.low`, `conf.high`.
#'
#'   `glance()`: `n_components`, `logLik`, `AIC`, `BIC`, `ICL` (lower is better), `df`, `nobs`, `converged`, `status`,
#'   `iterations`.
#'
#'   `augment()`: the data with `.component` (factor, the most probable one), `.posterior_1`, ..., `.fitted` (the mean
#'   of the mixture at the row's covariates) and `.resid`; of several responses, columns or categories one each, such as
#'   `.fitted_y`.
#' @examples
#' fit <- em_mixture(waiting ~ eruptions, faithful, n_components = 2)
#' tidy(fit, conf.int = TRUE)
#' glance(fit)
#' head(augment(fit))
#' @name tidy.em_mixture
NULL

#' @rdname tidy.em_mixture
#' @export
tidy.em_mixture <- function(x, conf.int = FALSE, conf.level = 0.95, se = TRUE, ...) {
  check_dots_empty(..., .function = "tidy.em_mixture")
  table <- mixture_coefficient_table(x)
  emission <- table$response > 0L
  component <- x$component_names[table$component]
  response <- names(x$responses)[ifelse(emission, table$response, NA)]
  parameter <- rep("proportion", nrow(table))
  if (!is.null(x$design)) {
    q <- nrow(x$parameters$proportions)
    parameter[!emission] <- rownames(x$parameters$proportions)[(table$place[!emission] - 1L) %% q + 1L]
  }
  parameter[emission] <- emission_parameters(table$name[emission], component[emission], response[emission],
                                             length(x$responses) > 1L)
  frame <- data.frame(part = ifelse(emission, "emission", "proportions"), response = response, parameter = parameter,
                      component = component, term = table$name, stringsAsFactors = FALSE)
  as_tibble_if_installed(tidy_latent(x, frame, table, conf.int, conf.level, se))
}

#' @rdname tidy.em_mixture
#' @export
glance.em_mixture <- function(x, ...) {
  check_dots_empty(..., .function = "glance.em_mixture")
  as_tibble_if_installed(data.frame(
    n_components = x$n_components, logLik = x$loglik, AIC = stats::AIC(x), BIC = stats::BIC(x), ICL = ICL(x), df = x$df,
    nobs = x$nobs, converged = isTRUE(x$converged), status = x$status, iterations = x$iterations,
    stringsAsFactors = FALSE
  ))
}

#' @rdname tidy.em_mixture
#' @export
augment.em_mixture <- function(x, data = NULL, newdata = NULL, type.residuals = c("quantile", "response"), seed = NULL,
                               ...) {
  type.residuals <- match_choice(type.residuals)
  check_dots_empty(..., .function = "augment.em_mixture")
  residual <- if (is.null(newdata)) residuals(x, type.residuals, seed = seed) else
    new_residuals(x, newdata, type.residuals, seed)
  class <- predict(x, newdata, "class")
  columns <- latent_columns(factor(x$component_names[class], levels = x$component_names), ".component",
                            predict(x, newdata, "posterior"), predict(x, newdata), residual)
  as_tibble_if_installed(cbind(augment_data(x, data, newdata, nrow(columns)), columns))
}

# Residuals of new data, as residuals() has them.
new_residuals <- function(x, newdata, type, seed) {
  rows <- mixture_rows(x, newdata, "augment()")
  if (type == "response") return(response_residuals(x, rows, predict(x, newdata)))
  shares <- evaluate_mixture(x, rows, "proportions")
  value <- simulate_sets(1L, seed, function() sequential_residuals(as_states(x), mixture_core(x), rows, log(shares)))
  attr(value, "seed") <- NULL
  value
}
