# Predictions of hidden Markov models. Every kind takes its transitions, initial law and densities from one call into
# the core with one set of data, so that decoding, residuals and forecasts belong to the model that was fitted.

#' Predictions of a hidden Markov model
#'
#' Decodes states, gives their probabilities, expected responses, and forecasts.
#'
#' A forecast is the distribution of the responses `h` steps after the end of each sequence, given all its data. It
#' mixes the distributions of the states by the probabilities of the states h steps ahead; `mean` and quantiles are
#' those of that mixture. Covariates of the future come from `newdata`, whose rows follow the last rows of the data, in
#' time, within each sequence (with `timing = "from"` the first step's transition depends on the last row of the data,
#' and the last row of `newdata` on none).
#'
#' Angles (family `"vonmises"`) have circular means: the direction of \eqn{\sum_k p_k A(\kappa_k) e^{i \mu_k}}, with
#' \eqn{p_k} the probabilities of the states and \eqn{A(\kappa_k) e^{i \mu_k}} their mean resultants. Quantiles of their
#' forecasts are those on the circle cut opposite this mean, so that `lower` < `mean` < `upper`; they may lie a little
#' outside \eqn{(-\pi, \pi]}.
#'
#' @param object A fit of [em_hmm()].
#' @param newdata NULL (default): the data of the fit. For `"forecast"` and `"density"`: a data frame of the
#'   covariates of the future, a row for each step (and sequence); not needed without covariates. Otherwise new data
#'   with responses, whose sequences begin with the initial distribution of the fit.
#' @param type What to predict:
#'   * `"viterbi"` (default): the most probable sequence of states;
#'   * `"posterior"`: probabilities of the states given all data of the sequence (n x K);
#'   * `"filtered"`: given the row and those before it; `"predicted"`: given those before it alone;
#'   * `"response"`: expected responses, averaged over the states by `"posterior"`; for categories their probabilities;
#'     for angles the circular mean (see Details);
#'   * `"transition"`: the transition matrices into each row (K x K x n; those into the first row of a sequence are
#'     not used);
#'   * `"forecast"`: a data frame of means and quantiles of the future; `"density"`: of its densities.
#' @param h For forecasts: how many steps ahead, default 1, or the number of rows that `newdata` has for each sequence.
#' @param level For forecasts: the probability that the interval `lower`, `upper` covers, default 0.95.
#' @param probs For forecasts: NULL (default), or probabilities of further quantiles.
#' @param at For `"density"`: values at which to evaluate; default 101 values over the range (every count for counts).
#' @param ntimes For new data without the id of the fit: lengths of consecutive sequences; default one sequence.
#' @param ... Unused, and an error.
#' @return One element or row for each row of the data, in their order. A forecast is a data frame with columns
#'   `sequence`, `horizon`, `response` (of several columns or categories `response[column]`), `mean` (of a category its
#'   probability), `lower`, `upper`, and one column for each of `probs`, such as `q0.1`; its attribute `"states"` is a
#'   data frame of the probabilities of the states (`sequence`, `horizon`, a column for each state). For `"density"`:
#'   `sequence`, `horizon`, `response`, `value`, `density`.
#' @seealso [posterior()], [viterbi()], [residuals.em_hmm()], [simulate.em_hmm()]
#' @examples
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' table(predict(fit))
#' head(predict(fit, type = "posterior"))
#' predict(fit, type = "forecast", h = 3, probs = c(0.1, 0.9))
#' @export
predict.em_hmm <- function(object, newdata = NULL,
                           type = c("viterbi", "posterior", "filtered", "predicted", "response", "transition",
                                    "forecast",
                                    "density"),
                           h = NULL, level = 0.95, probs = NULL, at = NULL, ntimes = NULL, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "predict.em_hmm")
  given <- c(h = !is.null(h), level = !missing(level), probs = !is.null(probs), at = !is.null(at),
             ntimes = !is.null(ntimes))
  check_prediction(type, names(given)[given], !is.null(newdata))
  if (type %in% c("forecast", "density")) return(forecast_hmm(object, newdata, type, h, level, probs, at))
  if (type == "viterbi") {
    if (is.null(newdata)) return(object$states)
    path <- viterbi(object, newdata, ntimes = ntimes)
    return(structure(path, log_prob = NULL))
  }
  if (type == "posterior" && is.null(newdata) && !is.null(object$posterior)) return(object$posterior)
  rows <- hmm_rows(object, newdata, ntimes, paste0("predict(type = \"", type, "\")"))
  order <- rows$sequences$order
  if (type == "response") return(expected_response(object, rows))
  value <- hmm_evaluate_rows(object, rows, type)
  if (type == "transition") {
    if (!is.null(order)) value[, , order] <- value
    dimnames(value) <- list(from = object$state_names, to = object$state_names, rows$row_names)
    return(value)
  }
  value <- user_rows(value, order)
  dimnames(value) <- list(rows$row_names, object$state_names)
  value
}

# Arguments that a type of prediction has no use for are an error, rather than without effect.
check_prediction <- function(type, given, new) {
  used <- switch(type, forecast = c("h", "level", "probs"), density = c("h", "at"), if (new) "ntimes")
  unused <- setdiff(given, used)
  if (length(unused) == 0L) return(invisible())
  use <- switch(unused[1L], h = "type = \"forecast\" and \"density\"", at = "type = \"density\"",
                ntimes = "`newdata` with responses", "type = \"forecast\"")
  alone <- unused[1L] == "ntimes" && !type %in% c("forecast", "density")
  em_abort(sprintf("`%s` has no meaning for type = \"%s\"%s; it is for %s.", unused[1L], type,
                   if (alone) " without `newdata`" else "", use), "argument", argument = unused[1L])
}

#' @rdname residuals.em_hmm
#' @export
fitted.em_hmm <- function(object, ...) {
  check_dots_empty(..., .function = "fitted.em_hmm")
  predict(object, type = "response")
}

# Expected responses of rows, in the user's order: a vector for one column, else a matrix.
expected_response <- function(fit, rows) {
  z <- hmm_evaluate_rows(fit, rows, "posterior")
  core <- core_parameters(fit)
  bind_columns(lapply(seq_along(fit$responses), function(r) mean_over_states(fit, core, rows$data, r, z)), rows)
}

# The mean of response r (n x columns), its states having these probabilities in each row (n x K). Of angles it is the
# direction of the average of the states' mean resultants (Mardia and Jupp 2000, section 2.2).
mean_over_states <- function(fit, core, data, r, probability) {
  family <- fit$responses[[r]]$family
  states <- seq_len(fit$n_states)
  total <- if (is_circular(family)) {
    average <- 0
    for (k in states) average <- average + probability[, k] * family$resultant(state_theta(fit, core, data, r, k))
    matrix(Arg(average))
  } else {
    Reduce(`+`, lapply(states, function(k) probability[, k] * unname(state_mean(fit, core, data, r, k))))
  }
  colnames(total) <- response_columns(fit, r)
  total
}

# Columns of responses in the order of sequences as users get them.
bind_columns <- function(parts, rows) {
  value <- user_rows(do.call(cbind, parts), rows$sequences$order)
  if (ncol(value) == 1L) return(stats::setNames(value[, 1L], rows$row_names))
  rownames(value) <- rows$row_names
  value
}

# What the columns of a response are called: its name, with its columns or categories.
response_columns <- function(fit, r) {
  response <- fit$responses[[r]]
  inner <- switch(response$family$columns, factor = response$levels, counts = , several = response$columns, NULL)
  if (is.null(inner)) return(response$name)
  if (length(fit$responses) == 1L) inner else paste0(response$name, "[", inner, "]")
}

# The parameters of state k by row (see family.R), trials and sums of counts among them.
state_theta <- function(fit, core, data, r, k, rows = NULL) {
  response <- fit$responses[[r]]
  spec <- data$responses[[r]]
  x <- spec$x
  offset <- spec$offset
  y <- spec$y
  if (!is.null(rows)) {
    if (!is.null(x)) x <- x[rows, , drop = FALSE]
    if (!is.null(offset)) offset <- offset[rows]
    y <- y[rows, , drop = FALSE]
  }
  theta <- response$family$row_parameters(core$emission[[r]], k, x, offset, response_info(response))
  if (response$family$columns == "trials") theta$trials <- ifelse(is.na(y[, 2L]), 1, y[, 2L])
  if (response$family$columns == "counts") theta$size <- ifelse(is.na(rowSums(y)), 1, rowSums(y))
  theta
}

# Means of state k (n x columns).
state_mean <- function(fit, core, data, r, k) {
  response <- fit$responses[[r]]
  theta <- state_theta(fit, core, data, r, k)
  n <- data$n
  if (response$family$columns %in% c("counts", "factor")) {
    size <- if (is.null(theta$size)) 1 else theta$size
    return(probability_rows(theta$prob, n) * size)
  }
  mean <- response$family$mean(theta)
  if (is.matrix(mean)) return(if (nrow(mean) == n) mean else mean[rep_len(seq_len(nrow(mean)), n), , drop = FALSE])
  if (response$family$columns == "several") return(matrix(mean, n, length(mean), byrow = TRUE))
  matrix(rep_len(as.vector(mean), n))
}

#' Simulate from a hidden Markov model
#'
#' Draws new states and responses, with the sequences and covariates of the data of the fit.
#'
#' @param object A fit of [em_hmm()] with its data.
#' @param nsim Number of data sets, a positive integer. Default 1.
#' @param seed `NULL` (default) to use the current state of R's random numbers, or a number for [set.seed()]; the
#'   state is then restored, as in [stats::simulate()].
#' @param ... Unused, and an error.
#' @return For `nsim = 1` a data frame with the rows and columns of the data of the fit that the model uses, responses
#'   drawn anew and complete; its attribute `"states"` are the states. A response that is an expression, such as
#'   `log(y)`, is a column of that name. For more, a list of such data frames named `sim_1`, `sim_2`, .... In both cases
#'   the attribute `"seed"` is as in [stats::simulate()].
#' @examples
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' head(simulate(fit, seed = 1))
#' @export
simulate.em_hmm <- function(object, nsim = 1, seed = NULL, ...) {
  check_dots_empty(..., .function = "simulate.em_hmm")
  nsim <- check_count(nsim, "nsim")
  rows <- hmm_rows(object, NULL, NULL, "simulate()")
  core <- core_parameters(object)
  draw_states <- chain_drawer(object, rows, core)
  order <- rows$sequences$order
  simulate_sets(nsim, seed, function() {
    states <- draw_states()
    ys <- lapply(seq_along(object$responses), function(r) user_rows(draw_responses(object, core, rows$data, r, states),
                                                                    order))
    structure(hmm_response_frame(object, ys), states = user_rows(states, order))
  })
}

# A function that draws states for all rows.
chain_drawer <- function(fit, rows, core) {
  by_row <- rows$model$transition$kind == "logit"
  transition <- if (by_row) hmm_evaluate_rows(fit, rows, "transition") else core$transition
  initial <- hmm_evaluate_rows(fit, rows, "initial")
  function() draw_chain(initial, transition, rows$sequences)
}

# States of all sequences, step by step. `transition`: K x K, or K x K x n into each row.
draw_chain <- function(initial, transition, sequences) {
  n <- sum(sequences$lengths)
  states <- integer(n)
  u <- stats::runif(n)
  m <- length(sequences$lengths)
  pick <- function(p, u) 1L + as.integer(rowSums(u > t(apply(p, 1L, cumsum))[, -ncol(p), drop = FALSE]))
  k <- nrow(initial)
  if (k == 1L) return(rep(1L, n))
  states[sequences$first] <- pick(t(matrix(initial, k, m)), u[sequences$first])
  by_row <- length(dim(transition)) == 3L
  if (m == 1L) {
    sums <- if (!by_row) t(apply(transition, 1L, cumsum))[, -k, drop = FALSE]
    for (t in seq_len(n)[-1L]) {
      total <- if (by_row) cumsum(transition[states[t - 1L], , t])[-k] else sums[states[t - 1L], ]
      states[t] <- 1L + sum(u[t] > total)
    }
    return(states)
  }
  for (step in seq_len(max(sequences$lengths) - 1L)) {
    rows <- sequences$first[sequences$lengths > step] + step
    from <- states[rows - 1L]
    p <- if (by_row) {
      matrix(transition[cbind(rep(from, k), rep(seq_len(k), each = length(rows)), rep(rows, k))], length(rows))
    } else {
      transition[from, , drop = FALSE]
    }
    states[rows] <- pick(p, u[rows])
  }
  states
}

# One response of all rows given their states, in the core's columns.
draw_responses <- function(fit, core, data, r, states) {
  response <- fit$responses[[r]]
  y <- matrix(NA_real_, data$n, ncol(data$responses[[r]]$y))
  for (k in unique(states)) {
    at <- which(states == k)
    drawn <- response$family$random(length(at), state_theta(fit, core, data, r, k, at))
    y[at, ] <- matrix(drawn, length(at))
  }
  y
}

# The data of a fit with these responses (the core's columns, in the user's order), as users write them.
hmm_response_frame <- function(fit, ys) {
  n <- nrow(ys[[1L]])
  frame <- if (is.null(fit$frame)) data.frame(row.names = seq_len(n)) else fit$frame
  for (r in seq_along(fit$responses)) {
    response <- fit$responses[[r]]
    values <- response_user_columns(response, ys[[r]])
    left <- if (is.null(response$formula)) NULL else response$formula[[2L]]
    names <- if (is.name(left)) as.character(left) else if (is.call(left) && left[[1L]] == "cbind" &&
                                                           all(vapply(as.list(left[-1L]), is.name, NA))) {
      vapply(as.list(left[-1L]), as.character, "")
    } else if (is.null(left) && length(values) > 1L) {
      response$columns
    } else if (is.null(left)) response$name else formula_text(left)
    if (length(names) == length(values)) frame[names] <- values else frame[[names[1L]]] <- do.call(cbind, values)
  }
  if (!is.null(fit$row_names) && !anyDuplicated(fit$row_names)) row.names(frame) <- fit$row_names
  frame
}

# A response's columns as a list, from the core's.
response_user_columns <- function(response, y) {
  if (response$family$columns == "factor") return(list(factor(response$levels[y[, 1L] + 1], response$levels)))
  if (response$family$columns == "trials") {
    if (!is.null(response$levels)) return(list(factor(response$levels[y[, 1L] + 1], response$levels)))
    if (isTRUE(response$info$pair)) return(list(y[, 1L], y[, 2L] - y[, 1L]))
    return(list(y[, 1L]))
  }
  lapply(seq_len(ncol(y)), function(j) y[, j])
}
