# Predictions, residuals and simulation of mixtures.

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
#' Angles (family `"vonmises"`) are averaged on the circle: the mean of a mixture is the direction of the average of the
#' components' mean resultants, see [predict.em_hmm()]. Residuals of angles are in \eqn{(-\pi, \pi]}.
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
  if (type == "response") return(average_means(object, rows, evaluate_mixture(object, rows, "proportions")))
  means <- component_means(object, rows)
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

# Means of the responses, averaged by the shares of the components in each row (n x K).
average_means <- function(fit, rows, shares) {
  core <- mixture_core(fit)
  states <- as_states(fit)
  parts <- lapply(seq_along(fit$responses), function(r) mean_over_states(states, core, rows$data, r, shares))
  bind_columns(parts, rows)
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
  average_means(object, rows, predict(object, type = "posterior"))
}

#' @rdname fitted.em_mixture
#' @export
residuals.em_mixture <- function(object, type = c("quantile", "response"), seed = NULL, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "residuals.em_mixture")
  rows <- mixture_rows(object, NULL, "residuals()")
  if (type == "response") {
    if (!is.null(seed)) em_abort("`seed` is for type = \"quantile\".", "argument", argument = "seed")
    return(response_residuals(object, rows, predict(object)))
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
