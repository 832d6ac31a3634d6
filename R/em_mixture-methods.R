# Methods for fits of em_mixture(): coefficients and their variances, prediction, residuals, simulation, print, summary.

# ---- rows ----------------------------------------------------------------------------------------

# The rows on which a method works, those of the fit or new ones: list(data, as the core takes them; n, row_names).
mixture_rows <- function(fit, newdata, what) {
  if (is.null(newdata)) {
    require_data(fit, paste(what, "without `newdata`"))
    return(list(data = fit$data, n = fit$n_rows, row_names = fit$row_names, frame = fit$frame))
  }
  specs <- response_specs_new(fit$responses, newdata, need_response = FALSE)
  design <- fit$design
  if (!is.null(design)) design <- design_new(design, check_data_frame(newdata, "newdata"), specs$n, "`proportions`")
  data <- list(responses = unname(lapply(specs$responses, core_response)), n = specs$n, known = NULL, weights = NULL,
               x_proportions = core_columns_or_null(design))
  list(data = data, n = specs$n, row_names = specs$row_names, frame = check_data_frame(newdata, "newdata"))
}

# The core's parameters of a fit.
mixture_core <- function(fit) mixture_to_core(fit$parameters, fit, fit$n_components)

evaluate_mixture <- function(fit, rows, what) {
  mixture_evaluate_(rows$data, fit$model, mixture_core(fit), what, resolve_threads(fit$control))
}

# n x K posterior probabilities; an error where a row is impossible under every component.
mixture_posterior <- function(fit, rows) {
  z <- evaluate_mixture(fit, rows, "posterior")
  bad <- which(is.nan(z[, 1L]))
  if (length(bad) > 0L) {
    em_abort(sprintf("Row %d is impossible under every component: it has no posterior probabilities.", bad[1L]),
             "impossible_row", row = bad[1L])
  }
  dimnames(z) <- list(rows$row_names, fit$component_names)
  z
}

# What components share with the states of a hidden Markov model: their distributions, means and draws by row.
as_states <- function(fit) {
  fit$n_states <- fit$n_components
  fit$state_names <- fit$component_names
  fit
}

# ---- coefficients --------------------------------------------------------------------------------

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
#' @param ... Unused, and an error.
#' @return A symmetric matrix whose row and column names are those of `coef(object)`, with the attribute
#'   `"not_identified"`, names of coefficients, if there are such.
#' @references
#' Louis, T. A. (1982). Finding the observed information matrix when using the EM algorithm. *Journal of the Royal
#' Statistical Society B* 44, 226-233. \doi{10.1111/j.2517-6161.1982.tb01203.x}
#' @examples
#' fit <- em_mixture(waiting ~ eruptions, faithful, n_components = 2)
#' sqrt(diag(vcov(fit)))
#' @export
vcov.em_mixture <- function(object, ...) {
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
  hmm_intervals(estimate, se, level, domain)[parm, , drop = FALSE]
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

# ---- prediction ----------------------------------------------------------------------------------

#' Predictions of a finite mixture
#'
#' Means, of the mixture or of each component, classes, posterior probabilities and densities, for the data of the fit
#' or for new data.
#'
#' The mean of a row's response is \eqn{\sum_k \pi_k(z_i) \mu_k(x_i)}: it needs the covariates only, and is what is
#' expected of a new row. (The posterior probabilities of the row's own response have no part in it.) Responses may be
#' missing, or absent from `newdata` altogether: the posterior probabilities of such a row are its proportions, and
#' its density is 1.
#'
#' With known labels (`em_mixture(known = )`) the posterior of such a row is 1 for its label, in the data of the fit;
#' new data have no labels.
#'
#' @param object A fit of [em_mixture()].
#' @param newdata `NULL` (default) for the data of the fit, or a data frame with the covariates and, where they matter,
#'   the responses.
#' @param type What to predict:
#'   * `"response"` (default): the mean of the response (for categories their probabilities, for a binomial response
#'     its trials, or 1 where these are not known, times the probability);
#'   * `"component"`: the mean given each component, n x K (n x K x columns for several responses or columns);
#'   * `"class"`: number of the most probable component;
#'   * `"posterior"`: n x K probabilities of the components given the responses;
#'   * `"density"`: density of the responses that the row observes.
#' @param log `TRUE`: the logarithm of the density. Default `FALSE`.
#' @param ... Unused, and an error.
#' @return One element or row for each row of the data, in its order: a vector, matrix or array.
#' @examples
#' fit <- em_mixture(waiting ~ eruptions, faithful, n_components = 2)
#' new <- data.frame(eruptions = c(2, 4), waiting = c(55, NA))
#' predict(fit, new)
#' predict(fit, new, type = "component")
#' predict(fit, new, type = "posterior")
#' @export
predict.em_mixture <- function(object, newdata = NULL,
                               type = c("response", "component", "class", "posterior", "density"), log = FALSE, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "predict.em_mixture")
  check_flag(log, "log")
  if (log && type != "density") {
    em_abort(paste0("`log = TRUE` has no meaning for type = \"", type, "\"."), "argument", argument = "log")
  }
  if (is.null(newdata) && type == "class") return(object$classification)
  if (is.null(newdata) && type == "posterior" && !is.null(object$posterior)) return(object$posterior)
  rows <- mixture_rows(object, newdata, sprintf("predict(type = \"%s\")", type))
  if (type %in% c("class", "posterior")) {
    z <- mixture_posterior(object, rows)
    return(if (type == "class") stats::setNames(max.col(z, "first"), rows$row_names) else z)
  }
  if (type == "density") {
    # Labels are not part of the density of a row.
    rows$data["known"] <- list(NULL)
    value <- evaluate_mixture(object, rows, "log_density")
    return(stats::setNames(if (log) value else exp(value), rows$row_names))
  }
  means <- component_means(object, rows)
  if (type == "response") return(average_means(means, evaluate_mixture(object, rows, "proportions"), rows))
  columns <- colnames(means[[1L]])
  out <- array(unlist(means), c(rows$n, length(columns), length(means)),
               list(rows$row_names, columns, object$component_names))
  if (length(columns) == 1L) matrix(out, rows$n, dimnames = dimnames(out)[c(1L, 3L)]) else aperm(out, c(1L, 3L, 2L))
}

# The means of the responses given each component: a list over components of n x columns.
component_means <- function(fit, rows) {
  core <- mixture_core(fit)
  states <- as_states(fit)
  lapply(seq_len(fit$n_components), function(k) {
    parts <- lapply(seq_along(fit$responses), function(r) {
      mean <- unname(state_mean(states, core, rows$data, r, k))
      colnames(mean) <- response_columns(states, r)
      mean
    })
    do.call(cbind, parts)
  })
}

# Means of the components, averaged by the shares of each row (n x K).
average_means <- function(means, shares, rows) {
  bind_columns(list(Reduce(`+`, lapply(seq_along(means), function(k) shares[, k] * means[[k]]))), rows)
}

#' Fitted values and residuals of a finite mixture
#'
#' `fitted()` gives the mean of each row's response, as [predict()][predict.em_mixture] does. Quantile residuals are
#' standard normal when the model holds, for every family.
#'
#' The quantile residual of a response \eqn{y} is \eqn{\Phi^{-1}(F(y))} with \eqn{F} the distribution function of the
#' mixture at the row's covariates (of its component, where that is known). Discrete responses are randomised (Dunn
#' and Smyth 1996): \eqn{F} is replaced by a number drawn uniformly between \eqn{F(y-)} and \eqn{F(y)}, by R's
#' generator. Several responses, and the columns of one, are taken one after another, each given those before it
#' (Rosenblatt 1952), so that their residuals are independent too. Categories use the order of their levels; of counts
#' of several categories the last has no residual of its own.
#'
#' @param object A fit of [em_mixture()] with its data.
#' @param type `"quantile"` (default), or `"response"`: the response less its mean (for categories 0 or 1 less their
#'   probability).
#' @param by For `fitted()`: `"proportions"` (default): components are averaged by the proportions at the row's
#'   covariates; `"posterior"`: by the posterior probabilities given its responses.
#' @param seed `NULL` (default), or a number for [set.seed()], after which the state of the generator is restored.
#' @param ... Unused, and an error.
#' @return A vector, or with several responses or columns a matrix, with an element or row for each row of the data.
#'   Residuals are NA where the response is missing.
#' @references
#' Dunn, P. K. and Smyth, G. K. (1996). Randomized quantile residuals. *Journal of Computational and Graphical
#' Statistics* 5, 236-244. \doi{10.1080/10618600.1996.10474708}
#'
#' Rosenblatt, M. (1952). Remarks on a multivariate transformation. *Annals of Mathematical Statistics* 23, 470-472.
#' \doi{10.1214/aoms/1177729394}
#' @examples
#' fit <- em_mixture(waiting ~ eruptions, faithful, n_components = 2)
#' qqnorm(residuals(fit))
#' @export
fitted.em_mixture <- function(object, by = c("proportions", "posterior"), ...) {
  by <- match_choice(by)
  check_dots_empty(..., .function = "fitted.em_mixture")
  if (by == "proportions") return(predict(object))
  rows <- mixture_rows(object, NULL, "fitted()")
  average_means(component_means(object, rows), predict(object, type = "posterior"), rows)
}

#' @rdname fitted.em_mixture
#' @export
residuals.em_mixture <- function(object, type = c("quantile", "response"), seed = NULL, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "residuals.em_mixture")
  rows <- mixture_rows(object, NULL, "residuals()")
  if (type == "response") {
    parts <- lapply(seq_along(object$responses), function(r) {
      observed_columns(object$responses[[r]], rows$data$responses[[r]]$y)
    })
    return(bind_columns(parts, rows) - predict(object))
  }
  shares <- evaluate_mixture(object, rows, "proportions")
  known <- rows$data$known
  if (!is.null(known)) {
    labelled <- which(!is.na(known))
    shares[labelled, ] <- 0
    shares[cbind(labelled, known[labelled])] <- 1
  }
  value <- simulate_sets(1L, seed, function() {
    sequential_residuals(as_states(object), mixture_core(object), rows, log(shares))
  })
  attr(value, "seed") <- NULL
  value
}

# ---- simulation ----------------------------------------------------------------------------------

#' Simulate from a finite mixture
#'
#' Draws new responses at the covariates of the data, or of new data.
#'
#' For each row first its component is drawn with the row's proportions, then its responses independently from
#' their distributions given the component. Missing values, observation weights and known labels of the data play no
#' part. Binomial responses and multinomial counts have the numbers of trials of the data.
#'
#' @param object A fit of [em_mixture()].
#' @param nsim Number of data sets, a positive integer. Default 1.
#' @param seed `NULL` (default) to use the current state of R's random numbers, or a number for [set.seed()]; the
#'   state is then restored, as in [stats::simulate()].
#' @param newdata `NULL` (default): rows of the data of the fit; or a data frame of covariates.
#' @param ... Unused, and an error.
#' @return For `nsim = 1` a data frame of the variables of the model (or of `newdata`), responses drawn anew and
#'   complete, whose attribute `"classification"` is the component that each row was drawn from. A response that is an
#'   expression, such as `log(y)`, is a column of that name. For more, a list of such data frames named `sim_1`,
#'   `sim_2`, .... In both cases the attribute `"seed"` is as in [stats::simulate()].
#' @examples
#' fit <- em_mixture(waiting ~ eruptions, faithful, n_components = 2)
#' head(simulate(fit, seed = 1))
#' @export
simulate.em_mixture <- function(object, nsim = 1, seed = NULL, newdata = NULL, ...) {
  check_dots_empty(..., .function = "simulate.em_mixture")
  nsim <- check_count(nsim, "nsim")
  rows <- mixture_rows(object, newdata, "simulate()")
  shares <- evaluate_mixture(object, rows, "proportions")
  core <- mixture_core(object)
  simulate_sets(nsim, seed, function() {
    class <- draw_components(shares)
    ys <- lapply(seq_along(object$responses), function(r) draw_responses(as_states(object), core, rows$data, r, class))
    written <- list(responses = object$responses, frame = rows$frame, row_names = rows$row_names)
    structure(hmm_response_frame(written, ys), classification = class)
  })
}

# One component for each row, by the row's shares.
draw_components <- function(shares) {
  u <- stats::runif(nrow(shares))
  total <- shares
  for (k in seq_len(ncol(shares))[-1L]) total[, k] <- total[, k - 1L] + shares[, k]
  pmin(rowSums(total < u) + 1L, ncol(shares))
}

# ---- print and summary ---------------------------------------------------------------------------

#' Print and summarise a finite mixture
#'
#' `print()` shows the fit in a few lines. `summary()` is the trust report (whether and by which rule the algorithm
#' converged, how many starts agree, whether components are close to degenerate), and for each component a table of
#' its coefficients with standard errors, as the summary of a regression has it.
#'
#' The tests are Wald tests that a coefficient is 0, with standard errors from the observed information of the whole
#' mixture ([vcov.em_mixture()]), so that they include the uncertainty of the components. Other parameters (standard
#' deviations and the like) have standard errors, but no test.
#'
#' @param object,x A fit of [em_mixture()], or its summary.
#' @param se `TRUE`: standard errors; `FALSE`: none; `NULL` (default): standard errors if they are quick.
#' @param digits Significant digits.
#' @param ... Unused, and an error.
#' @return `print()` returns `x`, invisibly. `summary()` returns a list of class `summary.em_mixture`: `coefficients`,
#'   a list by component of matrices with columns `Estimate`, `Std. Error`, `z value` and `Pr(>|z|)`; `auxiliary`,
#'   likewise, of the other parameters; `concomitant`, the coefficients of the proportions, or NULL; `fit_table`,
#'   `convergence`, `starts`, `components` (proportion, rows classified, size), `not_identified`, and what is printed
#'   of the fit.
#' @examples
#' fit <- em_mixture(waiting ~ eruptions, faithful, n_components = 2)
#' fit
#' summary(fit)$coefficients[[1]]
#' @name print.em_mixture
#' @aliases summary.em_mixture
NULL

#' @rdname print.em_mixture
#' @export
print.em_mixture <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  cat(mixture_title(x), "", hmm_fit_lines(mixture_fit_table(x)), "", sep = "\n")
  print_mixture_parameters(x, digits, most = 8L)
  cat(strwrap(convergence_line(x), exdent = 2), sep = "\n")
  invisible(x)
}

mixture_title <- function(x) {
  regression <- any(vapply(x$responses, function(r) has_predictor(r$design), NA))
  extras <- c(
    if (!is.null(x$design)) "concomitant variables", if (x$equal_proportions) "equal proportions",
    if (!is.null(x$shared)) "shared parameters", if (!is.null(x$fixed)) "fixed parameters",
    if (!is.null(x$known)) "known labels", if (!is.null(x$weights)) "observation weights"
  )
  responses <- vapply(x$responses, function(r) {
    sprintf("%s (%s%s)", r$name, r$family$title, if (has_predictor(r$design)) paste0(", ", r$link, " link") else "")
  }, "")
  c(
    strwrap(paste0("Mixture of ", if (regression) "regressions" else "distributions", " fitted by EM",
                   if (length(extras) > 0L) paste0(", with ", paste(extras, collapse = ", "))), exdent = 2),
    if (!is.null(x$call)) format_call(x$call),
    strwrap(paste0("Responses: ", abbreviate_list(responses)), exdent = 2)
  )
}

mixture_fit_table <- function(x) {
  data.frame(n_components = x$n_components, loglik = x$loglik, df = x$df, nobs = x$nobs, AIC = stats::AIC(x),
             BIC = stats::BIC(x), ICL = ICL(x))
}

# Proportion, rows and size of each component.
mixture_component_table <- function(x) {
  data.frame(component = x$component_names, proportion = x$degeneracy$size / sum(x$degeneracy$size),
             rows = tabulate(x$classification, x$n_components), size = x$degeneracy$size)
}

# Components x parameters, as a small table.
print_mixture_parameters <- function(x, digits, most) {
  table <- mixture_coefficient_table(x)
  table$estimate <- coef(x)
  table <- table[table$response > 0L, ]
  table$label <- parameter_labels(table, x)
  columns <- unique(table$label)
  shown <- seq_len(min(x$n_components, most))
  proportion <- mixture_component_table(x)$proportion
  cells <- vapply(columns, function(column) {
    mine <- table[table$label == column, ]
    value <- rep(NA_real_, x$n_components)
    value[mine$component] <- mine$estimate
    format_number(value, digits)[shown]
  }, character(length(shown)))
  cells <- matrix(cells, length(shown), dimnames = list(x$component_names[shown], columns))
  cells <- cbind(proportion = format(round(proportion, 3), nsmall = 3)[shown], cells)
  fits <- min(columns_that_fit(cells), ncol(cells))
  print_table(cells[, seq_len(fits), drop = FALSE])
  left <- c(if (x$n_components > length(shown)) count_of(x$n_components - length(shown), "more component"),
            if (ncol(cells) > fits) count_of(ncol(cells) - fits, "more parameter"))
  if (length(left) > 0L) cat("  and ", paste(left, collapse = ", "), "\n", sep = "")
}

# Names of coefficients without their component: "y.mean[1]" is "y.mean", "coefficients[x,1]" is "x".
parameter_labels <- function(table, fit) {
  name <- table$name
  label <- fit$component_names[table$component]
  alone <- endsWith(name, paste0("[", label, "]"))
  name[alone] <- substr(name[alone], 1L, nchar(name[alone]) - nchar(label[alone]) - 2L)
  last <- !alone & endsWith(name, paste0(",", label, "]"))
  name[last] <- paste0(substr(name[last], 1L, nchar(name[last]) - nchar(label[last]) - 2L), "]")
  first <- which(!alone & !last)
  for (i in first) name[i] <- sub(paste0("[", label[i], ","), "[", name[i], fixed = TRUE)
  name <- sub("^proportion\\[(.*)\\]$", "\\1", name)
  sub("(^|\\.)coefficients\\[(.*)\\]$", "\\1\\2", name)
}

#' @rdname print.em_mixture
#' @export
summary.em_mixture <- function(object, se = NULL, ...) {
  check_dots_empty(..., .function = "summary.em_mixture")
  if (is.null(se)) {
    work <- as.double(object$n_rows) * object$n_components * length(object$responses)
    se <- !is.null(object$data) && 4 * object$df * work < 5e7
  }
  check_flag(se, "se")
  table <- mixture_coefficient_table(object)
  table$estimate <- coef(object)
  table$se <- NA_real_
  not_identified <- NULL
  if (se) {
    variance <- withCallingHandlers(vcov(object), em_warning_not_identified = function(w) {
      invokeRestart("muffleWarning")
    })
    table$se <- sqrt(diag(variance))
    not_identified <- attr(variance, "not_identified")
  }
  table$label <- parameter_labels(table, object)
  tested <- grepl("coefficients[", table$name, fixed = TRUE) | !is.null(object$design) & table$response == 0L
  part <- function(rows) {
    lapply(seq_len(object$n_components), function(k) wald_table(table[rows & table$component == k, ]))
  }
  names <- object$component_names
  structure(
    list(
      fit = object, fit_table = mixture_fit_table(object), convergence = object$convergence, starts = object$starts,
      components = mixture_component_table(object),
      coefficients = stats::setNames(part(tested & table$response > 0L), names),
      auxiliary = stats::setNames(part(!tested & table$response > 0L), names),
      concomitant = if (!is.null(object$design)) stats::setNames(part(table$response == 0L), names)[-1L],
      proportions = if (is.null(object$design)) wald_table(table[table$response == 0L, ]),
      se = se, not_identified = not_identified
    ),
    class = "summary.em_mixture"
  )
}

# Estimate, standard error, z and p of some coefficients. Constants of the model have neither.
wald_table <- function(rows) {
  se <- ifelse(rows$se %in% 0, NA, rows$se)
  z <- rows$estimate / se
  matrix(c(rows$estimate, se, z, 2 * stats::pnorm(-abs(z))), nrow(rows), 4L,
         dimnames = list(rows$label, c("Estimate", "Std. Error", "z value", "Pr(>|z|)")))
}

#' @rdname print.em_mixture
#' @export
print.summary.em_mixture <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  fit <- x$fit
  cat(mixture_title(fit), "", hmm_fit_lines(x$fit_table), sep = "\n")
  cat("\nTrust report\n")
  missing <- missing_responses(fit)
  concerns <- mixture_concerns(fit)
  print_report(c(
    report_convergence(x), report_starts(x),
    degeneracy = if (length(concerns) == 0L) "no component is near-degenerate." else
      paste0(paste(concerns, collapse = "; "), "."),
    identification = if (!x$se) "not checked; summary(se = TRUE) does." else if (length(x$not_identified) == 0L)
      "all parameters are identified." else paste0("NOT identified: ", abbreviate_list(x$not_identified), "."),
    "missing values" = missing
  ))
  cat("\nComponents\n")
  cells <- cbind(proportion = format(round(x$components$proportion, 4), nsmall = 4), rows = format(x$components$rows),
                 size = format_number(x$components$size, digits))
  if (!is.null(x$proportions) && any(!is.na(x$proportions[, 2L]))) {
    cells <- cbind(cells, "std. error" = format_each(x$proportions[, 2L], 3L))[, c(1L, 4L, 2L, 3L), drop = FALSE]
  }
  rownames(cells) <- x$components$component
  print_table(cells)
  for (k in seq_len(fit$n_components)) {
    cat("\nComponent ", fit$component_names[k], "\n", sep = "")
    if (nrow(x$coefficients[[k]]) > 0L) {
      stats::printCoefmat(x$coefficients[[k]], digits = digits, signif.legend = FALSE, na.print = "-")
    }
    print_auxiliary(x$auxiliary[[k]], digits)
  }
  for (label in names(x$concomitant)) {
    cat("\nProportion of component ", label, " (logit against component ", fit$component_names[1L], ")\n", sep = "")
    stats::printCoefmat(x$concomitant[[label]], digits = digits, signif.legend = FALSE, na.print = "-")
  }
  invisible(x)
}

# Parameters without tests.
print_auxiliary <- function(table, digits) {
  if (nrow(table) == 0L) return(invisible())
  cells <- cbind(Estimate = format_each(table[, 1L], digits), "Std. Error" = format_each(table[, 2L], digits))
  rownames(cells) <- rownames(table)
  print_table(cells, indent = 0L)
}
