# Standard errors of hidden Markov models: the observed information from the exact score, the delta method, intervals
# that stay inside the parameters' ranges.

#' Variance matrix of the estimates of a hidden Markov model
#'
#' The variance matrix of [coef()], from the observed information.
#'
#' The score of the log-likelihood comes exactly from one E-step (Fisher's identity); its central differences along the
#' `df` free directions are the observed information (Lystig and Hughes 2002 give the same by recursion). Probabilities
#' are taken on the logit scale and scales on the log scale, and the delta method gives the variances of all
#' coefficients, of all cells of the transition matrix among them.
#'
#' A probability that is estimated as 0 or 1 (fewer than 0.001 expected visits or transitions) is on the boundary of its
#' range, where it has no standard error: its row and column are NA, and its name is in the attribute `"at_bound"`. The
#' others are as if it were known to be there. Coefficients that the data do not identify are NA likewise, with their
#' names in the attribute `"not_identified"` and a warning of class `em_warning_not_identified`. Fixed values and
#' structural zeros have variance 0.
#'
#' @param object A fit of [em_hmm()], with its data (`keep_data = TRUE`, the default).
#' @param type `"observed"` (default): the observed information; or `"bootstrap"`.
#' @param complete `TRUE` (default): a row and a column for every element of `coef(object)`. `FALSE`: without those that
#'   are constant, at a bound or not identified.
#' @param ... For `type = "bootstrap"`, arguments of [em_bootstrap()], such as `n_boot`. Otherwise unused, and an error.
#' @return A symmetric matrix with the names of `coef(object)`; attributes `"at_bound"` and `"not_identified"` where
#'   there are such coefficients.
#' @references
#' Lystig, T. C. and Hughes, J. P. (2002). Exact computation of the observed information matrix for hidden Markov
#' models. *Journal of Computational and Graphical Statistics* 11, 678-689. \doi{10.1198/106186002402}
#' @seealso [confint.em_hmm()], [stationary()]
#' @examples
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' sqrt(diag(vcov(fit)))
#' @export
vcov.em_hmm <- function(object, type = c("observed", "bootstrap"), complete = TRUE, ...) {
  if (match_choice(type) == "bootstrap") return(vcov(em_bootstrap(object, ...)))
  check_dots_empty(..., .function = "vcov.em_hmm")
  check_flag(complete, "complete")
  require_data(object, "vcov()")
  parts <- hmm_variance_parts(object)
  table <- parts$table
  jacobian <- parts$jacobian[table$place, , drop = FALSE]
  rownames(jacobian) <- table$name
  variance <- coefficient_variance(jacobian, parts$inverse, parts$null)
  not_identified <- attr(variance, "not_identified")
  bound <- table$name[parts$at_bound[table$place]]
  variance[bound, ] <- NA_real_
  variance[, bound] <- NA_real_
  if (length(bound) > 0L) attr(variance, "at_bound") <- bound
  if (length(not_identified) > 0L) {
    em_warn(sprintf(paste0("The data do not identify %d of the %d coefficients, which have no standard error: %s. ",
                           "Use fewer states, or tie parameters with `shared`."),
                    length(not_identified), nrow(variance),
                    abbreviate_list(not_identified)), "not_identified", coefficients = not_identified)
  }
  if (!complete) {
    keep <- !is.na(diag(variance)) & diag(variance) > 0
    variance <- structure(variance[keep, keep, drop = FALSE], at_bound = attr(variance, "at_bound"),
                          not_identified = not_identified)
  }
  variance
}

# The inverse information in the core's free coordinates, its null directions, the derivatives of all natural parameters
# (in the user's columns) by the coordinates, and which natural parameters are at a bound.
hmm_variance_parts <- function(fit) {
  core <- core_parameters(fit)
  bound <- probabilities_at_bound(fit, core)
  if (!is.null(bound$transition)) {
    core$transition[bound$transition$zero] <- 0
    core$transition <- core$transition / rowSums(core$transition)
  }
  if (any(bound$initial$zero)) {
    core$initial[bound$initial$zero] <- 0
    core$initial <- core$initial / sum(core$initial)
  }
  inside <- emission_inside(fit, core$emission)
  core$emission <- inside$emission
  found <- hmm_core(hmm_information_(fit$data, fit$model, core, resolve_threads(fit$control)), fit$row_order)
  if (!isTRUE(found$regular)) {
    em_abort("The parameters of the responses are on the boundary of their range: there are no standard errors.",
             "at_bound")
  }
  inverse <- invert_information(found$information)
  at_bound <- rep(FALSE, length(natural_vector(core$initial, core$transition, core$emission)))
  at_bound[seq_along(core$initial)] <- bound$initial$bound
  if (!is.null(bound$transition)) at_bound[length(core$initial) + seq_along(core$transition)] <- bound$transition$bound
  at_bound[length(at_bound) - rev(seq_along(inside$bound)) + 1L] <- inside$bound
  list(inverse = inverse$inverse, null = inverse$null, jacobian = user_jacobian(fit, found$jacobian, core),
       at_bound = at_bound, table = hmm_coefficient_table(fit))
}

# Free probabilities of (almost) no expected count (`zero`), and those that share a vector with nothing else and so are
# determined (`bound`, with the zeros).
probabilities_at_bound <- function(fit, core, least = 1e-3) {
  none <- rep(FALSE, length(core$initial))
  out <- list(initial = list(zero = none, bound = none))
  free <- fit$model$transition$allowed
  if (!is.null(fit$model$transition$fixed)) free <- free & is.na(fit$model$transition$fixed)
  if (fit$model$transition$kind == "homogeneous") {
    small <- free & rowSums(free) > 1L & core$transition * as.vector(fit$counts) < least
    left <- rowSums(free & !small)
    out$transition <- list(zero = small & left > 0L, bound = free & rowSums(free) > 1L & (small | left < 2L))
  }
  if (fit$model$initial$kind == "free" && fit$n_states > 1L) {
    open <- if (is.null(fit$model$initial$fixed)) rep(TRUE, fit$n_states) else is.na(fit$model$initial$fixed)
    small <- open & core$initial * nrow(fit$sequences) < least
    out$initial <- list(zero = small, bound = small | open & sum(open & !small) < 2L)
  }
  out
}

# The parameters of the responses moved inside their range, where they have coordinates, and which ones were at its end.
emission_inside <- function(fit, emission, least = 1e-9) {
  bound <- list()
  for (r in seq_along(emission)) {
    table <- emission_table(fit$responses[[r]], fit$n_states, fit$state_names, "", 0L)
    value <- emission[[r]]
    low <- table$place[table$domain %in% c("probability", "rate") & value[table$place] < least]
    high <- table$place[table$domain == "probability" & value[table$place] > 1 - least]
    value[low] <- least
    value[high] <- 1 - least
    bound[[r]] <- seq_along(value) %in% c(low, high)
    if (fit$responses[[r]]$family$columns %in% c("factor",
                                                 "counts") && is.null(n_coefficients(fit$responses[[r]]$design))) {
      value <- sweep(value, 2L, colSums(value), "/")
    }
    emission[[r]] <- value
  }
  list(emission = emission, bound = unlist(bound))
}

# The derivatives of the core's natural parameters as those of the user's: coefficients are linear in each other.
user_jacobian <- function(fit, jacobian, core) {
  map <- function(rows, f) {
    for (j in seq_len(ncol(jacobian))) jacobian[rows, j] <<- as.vector(f(jacobian[rows, j]))
  }
  rows <- seq_along(core$initial)
  if (fit$model$initial$kind == "logit") {
    map(rows, function(v) design_from_core(matrix(v, length(fit$design$initial$names)), fit$design$initial))
  }
  done <- length(core$initial)
  if (fit$model$transition$kind == "logit") {
    map(done + seq_along(core$transition), function(v) {
      design_from_core(matrix(v, length(fit$design$transition$names)), fit$design$transition)
    })
  }
  done <- done + length(core$transition)
  for (response in fit$responses) {
    m <- n_natural(response)
    size <- m * fit$n_states
    if (!is.null(response$design$x)) {
      map(done + seq_len(size), function(v) natural_from_core(matrix(v, m), response))
    }
    done <- done + size
  }
  jacobian
}

# Standard errors of the stationary law: d pi = pi dG (I - G + 1 pi)^-1.
stationary_se <- function(fit, transition, law) {
  require_data(fit, "stationary(se = TRUE)")
  parts <- hmm_variance_parts(fit)
  k <- fit$n_states
  rows <- length(fit$parameters$initial) + seq_along(fit$parameters$transition)
  derivative <- parts$jacobian[rows, , drop = FALSE]
  if (fit$model$transition$kind == "logit") derivative <- average_derivative(fit, transition, derivative)
  fundamental <- solve(diag(k) - transition + matrix(law, k, k, byrow = TRUE))
  by_coordinate <- apply(derivative, 2L, function(d) as.vector(law %*% matrix(d, k) %*% fundamental))
  by_coordinate <- matrix(by_coordinate, k)
  stats::setNames(sqrt(rowSums((by_coordinate %*% parts$inverse) * by_coordinate)), names(law))
}

# Derivatives of the transition matrix at the average covariates from those of its coefficients.
average_derivative <- function(fit, transition, derivative) {
  k <- fit$n_states
  average <- fit$design$transition$average
  apply(derivative, 2L, function(d) {
    eta <- matrix(average %*% matrix(d, length(average)), k)
    transition * (eta - rowSums(transition * eta))
  })
}

#' Confidence intervals of a hidden Markov model
#'
#' Wald intervals from [vcov()].
#'
#' With `transform = TRUE` (default) probabilities are treated on the logit scale, and parameters that are positive
#' (standard deviations, rates, shapes) on the log scale, so that intervals stay inside the range. With `transform =
#' FALSE` the interval is the estimate plus and minus a multiple of the standard error. Coefficients at a bound have no
#' interval (NA); fixed ones have the estimate for both limits.
#'
#' @param object A fit of [em_hmm()].
#' @param parm Names or numbers of the coefficients (see [coef.em_hmm()]); all by default.
#' @param level Confidence level, between 0 and 1. Default 0.95.
#' @param transform TRUE (default) or FALSE, see the details.
#' @param ... Unused, and an error.
#' @return A matrix with a row per coefficient and a column per limit.
#' @examples
#' confint(em_hmm(eruptions ~ 1, data = faithful, n_states = 2))
#' @export
confint.em_hmm <- function(object, parm, level = 0.95, transform = TRUE, ...) {
  check_dots_empty(..., .function = "confint.em_hmm")
  check_level(level)
  check_flag(transform, "transform")
  estimate <- coef(object)
  parm <- select_coefficients(parm, names(estimate))
  se <- sqrt(diag(vcov(object)))
  wald_intervals(estimate, se, level, if (transform) hmm_coefficient_table(object)$domain)[parm, , drop = FALSE]
}
