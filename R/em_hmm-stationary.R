# The stationary law of a chain.

#' Stationary distribution of the states
#'
#' The distribution that the transition matrix leaves as it is: the long-run shares of the states.
#'
#' It solves \eqn{\pi \Gamma = \pi}, \eqn{\sum \pi_k = 1}. A chain that falls into parts which do not communicate has
#' many such distributions; then the result is NA, with a warning of class `em_warning_not_unique`. With covariates on
#' the transitions it is that of the transition matrix at their average, or at those of each row of `newdata`.
#'
#' @param object A fit of [em_hmm()], or a transition matrix (rows sum to 1).
#' @param newdata NULL, or a data frame of the covariates of the transitions.
#' @param se `TRUE`: standard errors too, by the delta method, as the attribute `"se"`. Default `FALSE`.
#' @param ... Unused, and an error.
#' @return A named vector of K probabilities, or with `newdata` a matrix with a row for each of its rows.
#' @examples
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' stationary(fit, se = TRUE)
#' stationary(rbind(c(0, 1, 0), c(0, 0, 1), c(1, 0, 0)))
#' @export
stationary <- function(object, ...) UseMethod("stationary")

#' @rdname stationary
#' @export
stationary.em_hmm <- function(object, newdata = NULL, se = FALSE, ...) {
  check_dots_empty(..., .function = "stationary")
  check_flag(se, "se")
  if (object$model$transition$kind == "logit" && !is.null(newdata)) {
    if (se) em_abort("`se = TRUE` cannot go with `newdata`.", "argument", argument = "se")
    slices <- logit_transitions(object, newdata)
    laws <- vapply(seq_len(dim(slices)[3L]), function(i) stationary_law(slices[, , i]), numeric(object$n_states))
    return(matrix(laws, ncol = object$n_states, byrow = TRUE,
                  dimnames = list(chosen_row_names(newdata), object$state_names)))
  }
  transition <- average_transition(object)
  law <- stats::setNames(stationary_law(transition), object$state_names)
  if (se) attr(law, "se") <- stationary_se(object, transition, law)
  law
}

#' @rdname stationary
#' @export
stationary.default <- function(object, ...) {
  check_dots_empty(..., .function = "stationary")
  fine <- is.matrix(object) && is.numeric(object) && nrow(object) == ncol(object) && !anyNA(object) &&
    all(object >= 0) && all(abs(rowSums(object) - 1) < 1e-6)
  if (!fine) check_fails("object", "a fit of em_hmm() or a square matrix whose rows sum to 1", object)
  stats::setNames(stationary_law(object), rownames(object))
}

# Transition matrices of rows of covariates (K x K x rows).
logit_transitions <- function(fit, newdata) {
  data <- check_data_frame(newdata, "newdata")
  design <- design_new(fit$design$transition, data, nrow(data), "the transitions")
  transitions_at(fit, design$x)
}

# The same of rows of the design (columns as written).
transitions_at <- function(fit, x) {
  k <- fit$n_states
  out <- array(0, c(k, k, nrow(x)), list(from = fit$state_names, to = fit$state_names, NULL))
  b <- fit$parameters$transition
  for (i in seq_len(k)) {
    eta <- x %*% matrix(b[, i, ], ncol = k)
    eta[, !fit$model$transition$allowed[i, ]] <- -Inf
    p <- exp(eta - row_max(eta))
    out[i, , ] <- t(p / rowSums(p))
  }
  out
}

# The stationary law of a transition matrix, NA where there are several, also where only rounding tells them apart.
stationary_law <- function(transition) {
  k <- nrow(transition)
  equations <- qr(rbind(t(diag(k) - transition), 1))
  if (equations$rank < k || n_closed_classes(transition) > 1L) {
    em_warn("The chain falls into parts that do not communicate: its stationary distribution is not unique.",
            "not_unique")
    return(rep(NA_real_, k))
  }
  law <- pmax(qr.coef(equations, c(rep(0, k), 1)), 0)
  law / sum(law)
}

# Classes of states that the chain cannot leave.
n_closed_classes <- function(transition) {
  k <- nrow(transition)
  reach <- transition > 1e-13 | diag(k) == 1
  for (i in seq_len(k)) reach <- reach | outer(reach[, i], reach[i, ])
  mutual <- reach & t(reach)
  closed <- vapply(seq_len(k), function(i) all(mutual[i, reach[i, ]]), NA)
  nrow(unique(mutual[closed, , drop = FALSE]))
}
