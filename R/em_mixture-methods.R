# Accessors of fits of em_mixture(): coefficients, log-likelihood, criteria, data.

#' Coefficients of a finite mixture
#'
#' All parameters as one named vector.
#'
#' @param object A fit of [em_mixture()].
#' @param ... Unused, and an error.
#' @return A named numeric vector: `proportion[1]`, ..., (with concomitant variables their coefficients,
#'   `proportion[z,2]`, for all but the first component); then the parameters of the responses: `mean[1]`, `sd[1]`,
#'   and with covariates `coefficients[x,1]`; with several responses their names come first, `y.mean[1]`. Components
#'   that have names have them here in place of numbers.
#' @seealso [vcov.em_mixture()], [confint.em_mixture()]
#' @examples
#' coef(em_mixture(eruptions ~ 1, faithful, n_components = 2))
#' @export
coef.em_mixture <- function(object, ...) {
  check_dots_empty(..., .function = "coef.em_mixture")
  table <- mixture_coefficient_table(object)
  natural <- c(as.vector(object$parameters$proportions),
               unlist(Map(user_natural, object$responses, list_emission(object), object$n_components)))
  stats::setNames(natural[table$place], table$name)
}

# One row for each coefficient: name, its place among the parameters in the core's order, its domain ("real",
# "positive", "rate" or "probability"), and what it belongs to: response (0: the proportions), component.
mixture_coefficient_table <- function(fit) {
  k <- fit$n_components
  labels <- fit$component_names
  p <- fit$parameters$proportions
  if (is.null(fit$design)) {
    table <- data.frame(name = paste0("proportion[", labels, "]"), place = seq_len(k), domain = rep("probability", k),
                        response = rep(0L, k), component = seq_len(k))
  } else {
    q <- nrow(p)
    others <- rep(seq_len(k)[-1L], each = q)
    table <- data.frame(name = paste0("proportion[", rownames(p), ",", labels[others], "]", recycle0 = TRUE),
                        place = (others - 1L) * q + rep_len(seq_len(q), length(others)),
                        domain = rep("real", length(others)), response = rep(0L, length(others)), component = others)
  }
  done <- length(p)
  several <- length(fit$responses) > 1L
  for (r in seq_along(fit$responses)) {
    response <- fit$responses[[r]]
    m <- n_natural(response)
    rows <- emission_table(response, k, labels, if (several) paste0(response$name, ".") else "", done)
    rows$response <- rep(r, nrow(rows))
    rows$component <- (rows$place - done - 1L) %/% m + 1L
    table <- rbind(table, rows)
    done <- done + m * k
  }
  table
}

#' Log-likelihood of a finite mixture
#'
#' The log-likelihood at the maximum, or that of new data at the parameters of the fit.
#'
#' @param object A fit of [em_mixture()].
#' @param newdata NULL (default), or new data with responses and covariates.
#' @param ... Unused, and an error.
#' @return As [stats::logLik()], with attributes `df` and `nobs`.
#' @examples
#' fit <- em_mixture(eruptions ~ 1, faithful[1:200, ], n_components = 2)
#' logLik(fit)
#' logLik(fit, faithful[201:272, ])
#' @export
logLik.em_mixture <- function(object, newdata = NULL, ...) {
  check_dots_empty(..., .function = "logLik.em_mixture")
  if (is.null(newdata)) return(structure(object$loglik, df = object$df, nobs = object$nobs, class = "logLik"))
  rows <- mixture_rows(object, newdata, "logLik()")
  structure(sum(evaluate_mixture(object, rows, "log_density")), df = object$df,
            nobs = sum(rows_observed(rows$data$responses)), class = "logLik")
}

#' @rdname ICL
#' @export
ICL.em_mixture <- function(object, type = c("map", "soft"), ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "ICL.em_mixture")
  if (type == "map") return(object$selection$ICL[object$selection$n_components == object$n_components])
  sums <- evaluate_mixture(object, mixture_rows(object, NULL, "ICL()"), "summary")
  stats::BIC(object) - 2 * sums$soft_entropy
}

#' @rdname em_fit-methods
#' @export
model.frame.em_mixture <- function(formula, ...) {
  check_dots_empty(..., .function = "model.frame.em_mixture")
  require_data(formula, "model.frame()")
  frame <- formula$frame
  if (!is.null(formula$weights)) frame[["(weights)"]] <- formula$weights
  frame
}
