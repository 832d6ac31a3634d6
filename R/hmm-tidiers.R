# tidy(), glance() and augment() of em_hmm().

#' Tidy a hidden Markov model
#'
#' Fits as data frames: `tidy()` gives the coefficients, `glance()` one row per fit, `augment()` the data with their
#' states, the probabilities of the states, fitted values and residuals. They are tibbles if the package tibble is
#' installed.
#'
#' @param x A fit of [em_hmm()].
#' @param conf.int `TRUE`: confidence limits too, as of [confint.em_hmm()]. Default `FALSE`.
#' @param conf.level Confidence level. Default 0.95.
#' @param se `TRUE` (default): standard errors. `FALSE` where they would take long.
#' @param data Data frame to which the columns are added. Default: the variables of the fit, [model.frame()]. It must
#'   have the rows of the data of the fit.
#' @param newdata New data instead, whose sequences begin with the initial distribution.
#' @param ntimes For new data without the id of the fit: lengths of consecutive sequences; default one sequence.
#' @param type.residuals `"quantile"` (default) or `"response"`, see [residuals.em_hmm()].
#' @param seed For quantile residuals of discrete responses: NULL (default) to use R's random numbers, or a number.
#' @param ... Unused, and an error.
#' @return `tidy()`: `part` ("initial", "transition" or "emission"), `response` (NA for the chain), `parameter` (such as
#'   "mean"; for coefficients the covariate; for the chain "probability" or the covariate), `state` (of a transition the
#'   one that is left), `to` (of a transition), `term` (the name in `coef()`), `estimate`, `std.error` (NA at a bound or
#'   where not identified, 0 for what is fixed), `statistic` and `p.value` (Wald tests that a coefficient of a covariate
#'   or an intercept is 0; NA for other parameters), and `conf.low`, `conf.high`.
#'
#'   `glance()`: `n_states`, `logLik`, `AIC`, `BIC`, `ICL` (lower is better), `df`, `nobs`, `n_sequences`, `converged`,
#'   `status`, `iterations`.
#'
#'   `augment()`: the data with `.state` (factor, the Viterbi sequence), `.posterior_1`, ... (probabilities given all
#'   data), `.fitted` and `.resid`; of several responses, columns or categories one each, such as `.fitted_rt`.
#' @examples
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' tidy(fit, conf.int = TRUE)
#' glance(fit)
#' head(augment(fit))
#' @name tidy.em_hmm
NULL

#' @rdname tidy.em_hmm
#' @export
tidy.em_hmm <- function(x, conf.int = FALSE, conf.level = 0.95, se = TRUE, ...) {
  check_dots_empty(..., .function = "tidy.em_hmm")
  table <- hmm_coefficient_table(x)
  k <- x$n_states
  labels <- x$state_names
  initial <- x$parameters$initial
  transition <- x$parameters$transition
  chain <- length(initial) + length(transition)
  part <- ifelse(table$place <= length(initial), "initial", ifelse(table$place <= chain, "transition", "emission"))
  parameter <- rep("probability", nrow(table))
  state <- to <- integer(nrow(table))
  here <- part == "initial"
  place <- table$place[here] - 1L
  q <- if (is.matrix(initial)) nrow(initial) else 1L
  state[here] <- place %/% q + 1L
  if (q > 1L) parameter[here] <- rownames(initial)[place %% q + 1L]
  here <- part == "transition"
  place <- table$place[here] - length(initial) - 1L
  q <- length(transition) %/% k^2
  state[here] <- place %/% q %% k + 1L
  to[here] <- place %/% (q * k) + 1L
  if (x$model$transition$kind == "logit") parameter[here] <- dimnames(transition)[[1L]][place %% q + 1L]
  response <- rep(NA_character_, nrow(table))
  done <- chain
  for (one in x$responses) {
    here <- table$place > done & table$place <= done + n_natural(one) * k
    state[here] <- (table$place[here] - done - 1L) %/% n_natural(one) + 1L
    response[here] <- one$name
    done <- done + n_natural(one) * k
  }
  here <- part == "emission"
  parameter[here] <- emission_parameters(table$name[here], labels[state[here]], response[here],
                                         length(x$responses) > 1L)
  frame <- data.frame(part = part, response = response, parameter = parameter, state = labels[state],
                      to = labels[ifelse(to > 0L, to, NA)], term = table$name, stringsAsFactors = FALSE)
  as_tibble_if_installed(tidy_latent(x, frame, table, conf.int, conf.level, se))
}

# The names of parameters without response and state: "mean", "covariance[a,b]", of coefficients "x" (of categories
# "x,category").
emission_parameters <- function(name, state, response, several) {
  if (several) name <- substr(name, nchar(response) + 2L, nchar(name))
  outer <- sub("\\[.*$", "", name)
  inner <- substr(name, nchar(outer) + 2L, nchar(name) - 1L)
  last <- endsWith(inner, paste0(",", state))
  first <- !last & startsWith(inner, paste0(state, ","))
  rest <- ifelse(last, substr(inner, 1L, nchar(inner) - nchar(state) - 1L),
                 ifelse(first, substr(inner, nchar(state) + 2L, nchar(inner)), ""))
  ifelse(rest == "", outer, ifelse(outer == "coefficients", rest, paste0(outer, "[", rest, "]")))
}

# The numbers of a table of tidy(): what has the domain of the real line and a name of a coefficient is tested.
tidy_latent <- function(x, frame, table, conf.int, conf.level, se) {
  check_flag(conf.int, "conf.int")
  check_flag(se, "se")
  check_level(conf.level, "conf.level")
  frame$estimate <- unname(coef(x))
  frame$std.error <- if (se) unname(sqrt(diag(vcov(x)))) else NA_real_
  tested <- table$domain == "real" & (frame$part != "emission" | grepl("coefficients[", table$name, fixed = TRUE)) &
    frame$std.error > 0
  frame$statistic <- ifelse(tested %in% TRUE, frame$estimate / frame$std.error, NA_real_)
  frame$p.value <- 2 * stats::pnorm(-abs(frame$statistic))
  if (conf.int) {
    limits <- wald_intervals(frame$estimate, frame$std.error, conf.level, table$domain)
    frame$conf.low <- unname(limits[, 1L])
    frame$conf.high <- unname(limits[, 2L])
  }
  frame
}

#' @rdname tidy.em_hmm
#' @export
glance.em_hmm <- function(x, ...) {
  check_dots_empty(..., .function = "glance.em_hmm")
  as_tibble_if_installed(data.frame(
    n_states = x$n_states, logLik = x$loglik, AIC = stats::AIC(x), BIC = stats::BIC(x), ICL = ICL(x), df = x$df,
    nobs = x$nobs,
    n_sequences = nrow(x$sequences), converged = isTRUE(x$converged), status = x$status, iterations = x$iterations,
    stringsAsFactors = FALSE
  ))
}

#' @rdname tidy.em_hmm
#' @export
augment.em_hmm <- function(x, data = NULL, newdata = NULL, ntimes = NULL, type.residuals = c("quantile", "response"),
                           seed = NULL, ...) {
  type.residuals <- match_choice(type.residuals)
  check_dots_empty(..., .function = "augment.em_hmm")
  states <- as.vector(predict(x, newdata, "viterbi", ntimes = ntimes))
  columns <- latent_columns(
    factor(x$state_names[states], levels = x$state_names), ".state", predict(x, newdata, "posterior", ntimes = ntimes),
    predict(x, newdata, "response", ntimes = ntimes), residuals(x, type.residuals, newdata, seed, ntimes)
  )
  as_tibble_if_installed(cbind(augment_data(x, data, newdata, nrow(columns)), columns))
}

# The data of augment().
augment_data <- function(x, data, newdata, n) {
  if (!is.null(newdata)) {
    data <- if (is.null(dim(newdata))) stats::setNames(data.frame(as.vector(newdata)), x$variables[1L]) else
      as.data.frame(newdata)
  } else {
    data <- if (is.null(data)) model.frame(x) else as.data.frame(data)
  }
  if (nrow(data) != n) {
    em_abort(sprintf("`data` has %s, but the fit has %d. Use `newdata` for other data.",
                     count_of(nrow(data), "row"), n),
             "argument", argument = "data")
  }
  attr(data, "terms") <- NULL
  data
}

# State or component, its probabilities, fitted values and residuals as columns of a data frame.
latent_columns <- function(class, name, posterior, fitted, residual) {
  out <- stats::setNames(data.frame(class), name)
  for (k in seq_len(ncol(posterior))) out[[paste0(".posterior_", levels(class)[k])]] <- unname(posterior[, k])
  add <- function(out, value, name) {
    if (is.null(dim(value))) {
      out[[name]] <- unname(value)
    } else {
      for (j in seq_len(ncol(value))) out[[paste0(name, "_", colnames(value)[j])]] <- unname(value[, j])
    }
    out
  }
  add(add(out, fitted, ".fitted"), residual, ".resid")
}
