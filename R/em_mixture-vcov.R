# Variances and intervals of the parameters of mixtures.

#' Variance matrix of the estimates of a finite mixture
#'
#' The variance matrix of [coef()] from the observed information.
#'
#' The score of the observed-data log-likelihood is obtained from one E-step by Fisher's identity (Louis 1982), and
#' the observed information by its central differences, in coordinates without constraints. With \eqn{J} the
#' derivative of the coefficients with respect to these the result is \eqn{J I^{-1} J'}. Coefficients that are
#' constants of the model (fixed values, equal proportions) have variance 0; those at a bound of their range (a
#' probability of 0 or 1) are held there, with variance NA. Where the information is singular or not positive
#' definite, the coefficients that such a direction moves have no standard error: their rows and columns are NA, and a
#' warning of class `em_warning_not_identified` names them.
#'
#' @param object A fit of [em_mixture()], with its data (`keep_data = TRUE`, the default).
#' @param type `"observed"` (default): the observed information; or `"bootstrap"`.
#' @param ... For `type = "bootstrap"`, arguments of [em_bootstrap()], such as `n_boot`. Otherwise unused, and an error.
#' @return A symmetric matrix whose row and column names are those of `coef(object)`, with the attribute
#'   `"not_identified"`, names of coefficients, if there are such.
#' @references
#' Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm. *Journal of the Royal
#' Statistical Society B* 44, 226-233. \doi{10.1111/j.2517-6161.1982.tb01203.x}
#' @examples
#' fit <- em_mixture(waiting ~ eruptions, faithful, n_components = 2)
#' sqrt(diag(vcov(fit)))
#' @export
vcov.em_mixture <- function(object, type = c("observed", "bootstrap"), ...) {
  if (match_choice(type) == "bootstrap") return(vcov(em_bootstrap(object, ...)))
  check_dots_empty(..., .function = "vcov.em_mixture")
  table <- mixture_coefficient_table(object)
  rows <- mixture_rows(object, NULL, "vcov()")
  held <- hold_bounds(object, rows$data, table)
  information <- mixture_information_(held$data, object$model, mixture_core(object), resolve_threads(object$control))
  if (!information$regular) {
    em_abort(paste0("The information cannot be computed: parameters are on the boundary of their range, or the ",
                    "likelihood is not finite around them."), "boundary")
  }
  jacobian <- mixture_jacobian(object, information$jacobian)[table$place, , drop = FALSE]
  rownames(jacobian) <- table$name
  inverse <- invert_information(information$information)
  variance <- coefficient_variance(jacobian, inverse$inverse, inverse$null)
  bound <- table$name[table$place %in% held$places]
  variance[bound, ] <- variance[, bound] <- NA_real_
  not_identified <- attr(variance, "not_identified")
  if (length(not_identified) > 0L) {
    em_warn(sprintf(paste0("The data do not identify %d of the %d coefficients, which have no standard error: %s. The ",
                           "log-likelihood is flat, or not at a maximum, in %s. Use fewer components."),
                    length(not_identified), nrow(variance), abbreviate_list(not_identified),
                    count_of(ncol(inverse$null), "direction")),
            "not_identified", coefficients = not_identified)
  }
  variance
}

# Parameters at the bound of their range have no coordinates: they are held there. list(data, places among the
# parameters).
hold_bounds <- function(fit, data, table) {
  natural <- mixture_core(fit)$emission
  done <- length(fit$parameters$proportions)
  places <- integer()
  for (r in seq_along(natural)) {
    mine <- table[table$response == r, ]
    at <- mine$place - done
    value <- natural[[r]][at]
    bound <- mine$domain == "probability" & (value <= 0 | value >= 1) | mine$domain == "rate" & value <= 0
    if (any(bound)) {
      fixed <- data$responses[[r]]$fixed
      if (is.null(fixed)) fixed <- matrix(NA_real_, nrow(natural[[r]]), ncol(natural[[r]]))
      fixed[at[bound]] <- value[bound]
      data$responses[[r]]$fixed <- fixed
      places <- c(places, mine$place[bound])
    }
    done <- done + length(natural[[r]])
  }
  list(data = data, places = places)
}

# Derivatives of the parameters as users see them, from those of the core's: the maps are linear.
mixture_jacobian <- function(fit, jacobian) {
  k <- fit$n_components
  for (column in seq_len(ncol(jacobian))) {
    done <- length(fit$parameters$proportions)
    if (!is.null(fit$design)) {
      mine <- seq_len(done)
      jacobian[mine, column] <- design_from_core(matrix(jacobian[mine, column], ncol = k), fit$design)
    }
    for (response in fit$responses) {
      mine <- done + seq_len(n_natural(response) * k)
      jacobian[mine, column] <- natural_from_core(matrix(jacobian[mine, column], ncol = k), response)
      done <- done + length(mine)
    }
  }
  jacobian
}

#' Confidence intervals of the parameters of a finite mixture
#'
#' Wald intervals from [vcov.em_mixture()].
#'
#' With `transform = TRUE` (the default) intervals of parameters with a limited range are made on the scale of their
#' logit (probabilities) or logarithm (standard deviations, rates) and transformed back, so that they stay inside the
#' range.
#'
#' @param object A fit of [em_mixture()].
#' @param parm Names or numbers of the coefficients (see [coef.em_mixture()]); all by default.
#' @param level Confidence level, between 0 and 1. Default 0.95.
#' @param transform `TRUE` (default) or `FALSE`, see the details.
#' @param ... Unused, and an error.
#' @return A matrix with a row per coefficient and a column per limit. `NA` where a coefficient is not identified or
#'   at its bound; limits equal to the estimate where it is a constant of the model.
#' @examples
#' fit <- em_mixture(waiting ~ eruptions, faithful, n_components = 2)
#' confint(fit, "proportion[1]")
#' @export
confint.em_mixture <- function(object, parm, level = 0.95, transform = TRUE, ...) {
  check_dots_empty(..., .function = "confint.em_mixture")
  check_level(level)
  check_flag(transform, "transform")
  estimate <- coef(object)
  parm <- select_coefficients(parm, names(estimate))
  se <- sqrt(diag(vcov(object)))
  domain <- if (transform) mixture_coefficient_table(object)$domain
  wald_intervals(estimate, se, level, domain)[parm, , drop = FALSE]
}
