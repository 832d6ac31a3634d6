# print() and summary() of hidden Markov models.

#' Print and summarise a hidden Markov model
#'
#' `print()` shows the fit in a few lines. `summary()` is the trust report: whether and by which rule the algorithm
#' converged, how many starts agree, which states are close to degenerate; with the transition matrix, how long the
#' states last, the parameters of the responses, and what was counted.
#'
#' @param object,x A fit of [em_hmm()], or its summary.
#' @param se `TRUE`: standard errors of all coefficients too (see [vcov.em_hmm()]). Default `FALSE`.
#' @param digits Significant digits.
#' @param ... Unused, and an error.
#' @return `print()` returns `x`, invisibly. `summary()` returns a list of class `summary.em_hmm`: `fit_table`,
#'   `convergence`, `starts`, `degeneracy`, `transition` (with covariates at their average), `initial`, `stationary`,
#'   `emission` (states x parameters), `coefficients` (estimate, and `std_error` with `se = TRUE`), `at_bound`,
#'   `not_identified`, `notes`, and what is printed of the fit.
#' @examples
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' fit
#' summary(fit, se = TRUE)
#' @name print.em_hmm
NULL

#' @rdname print.em_hmm
#' @export
print.em_hmm <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  cat(hmm_title(x), "", hmm_fit_lines(hmm_fit_table(x)), "", sep = "\n")
  print_state_table(x, digits, most = 8L)
  cat("\nTransitions (row: from", if (x$model$transition$kind == "logit") ", at the average covariates", ")\n",
      sep = "")
  print_transition(average_transition(x), 8L)
  cat(strwrap(convergence_line(x), exdent = 2), sep = "\n")
  for (line in hmm_concerns(x)) cat(strwrap(line, exdent = 2), sep = "\n")
  invisible(x)
}

# Title, call and the model in words.
hmm_title <- function(x) {
  extras <- c(
    if (!is.null(x$topology)) "a topology", if (!is.null(x$shared)) "shared parameters",
    if (!is.null(x$fixed)) "fixed parameters",
    if (!is.null(x$known)) "known states", if (!is.null(x$weights)) "weights"
  )
  responses <- vapply(x$responses, function(r) {
    sprintf("%s (%s%s)", r$name, r$family$title, if (has_predictor(r$design)) ", with covariates" else "")
  }, "")
  c(
    strwrap(paste0("Hidden Markov model of ", count_of(x$n_states, "state"), " fitted by EM",
                   if (length(extras) > 0L) paste0(", with ", paste(extras, collapse = ", "))), exdent = 2),
    if (!is.null(x$call)) format_call(x$call),
    strwrap(paste0("Responses: ", abbreviate_list(responses)), exdent = 2),
    strwrap(paste0(markov_words(x), "."), exdent = 2)
  )
}

markov_words <- function(x) {
  initial <- switch(x$initial_kind, free = "free", stationary = "stationary", fixed = "given",
                    per_sequence = "given for each sequence",
                    logit = "depends on covariates")
  transition <- if (x$model$transition$kind != "logit") NULL else {
    sprintf("; transitions depend on covariates of the row they come %s (timing \"%s\")",
            if (x$timing == "from") "from" else "to", x$timing)
  }
  paste0(count_of(x$n_rows, "row"), " in ", count_of(nrow(x$sequences), "sequence"), "; initial distribution ", initial,
         transition)
}

hmm_fit_table <- function(x) {
  data.frame(n_states = x$n_states, loglik = x$loglik, df = x$df, nobs = x$nobs, AIC = stats::AIC(x),
             BIC = stats::BIC(x),
             ICL = ICL(x))
}

# The table of a fit and a note on its criteria.
hmm_fit_lines <- function(table, width = getOption("width")) {
  cells <- rbind(c(format(table[[1L]]), format_loglik(table$loglik), format(table$df),
                   format(table$nobs, scientific = FALSE),
                   format_loglik(c(table$AIC, table$BIC, table$ICL))))
  colnames(cells) <- names(table)
  lines <- table_lines(cells)
  note <- "(lower is better)"
  if (nchar(lines[2L]) + nchar(note) + 2L <= width) lines[2L] <- paste0(lines[2L], "  ", note)
  lines
}

# States x parameters of the responses, as numbers.
emission_matrix <- function(fit) {
  table <- hmm_coefficient_table(fit)
  chain <- length(fit$parameters$initial) + length(fit$parameters$transition)
  table <- table[table$place > chain, ]
  value <- coef(fit)[table$name]
  name <- inner <- character(nrow(table))
  state <- integer(nrow(table))
  k <- fit$n_states
  done <- chain
  for (response in fit$responses) {
    size <- n_natural(response) * k
    here <- table$place > done & table$place <= done + size
    state[here] <- (table$place[here] - done - 1L) %/% n_natural(response) + 1L
    done <- done + size
  }
  # The column of a coefficient is its name without its state.
  for (i in seq_along(name)) {
    label <- fit$state_names[state[i]]
    inner <- sub("^.*\\[(.*)\\]$", "\\1", table$name[i])
    parameter <- sub("\\[.*$", "", table$name[i])
    parts <- if (inner == label) "" else if (endsWith(inner, paste0(",", label))) {
      substr(inner, 1L, nchar(inner) - nchar(label) - 1L)
    } else sub(paste0(label, ","), "", inner, fixed = TRUE)
    name[i] <- if (!nzchar(parts)) parameter else if (grepl("coefficients$", parameter)) {
      paste0(sub("coefficients$", "", parameter), parts)
    } else paste0(parameter, "[", parts, "]")
  }
  columns <- unique(name)
  out <- matrix(NA_real_, k, length(columns), dimnames = list(fit$state_names, columns))
  out[cbind(state, match(name, columns))] <- value
  out
}

print_state_table <- function(fit, digits, most = Inf) {
  emission <- emission_matrix(fit)
  shown <- seq_len(min(fit$n_states, most))
  cells <- lapply(seq_len(ncol(emission)), function(j) format_number(emission[, j], digits = digits))
  cells <- c(format(round(fit$degeneracy$visits, 1), nsmall = 1), unlist(cells))
  cells <- matrix(cells, fit$n_states, dimnames = list(fit$state_names, c("visits", colnames(emission))))
  cells <- cells[shown, , drop = FALSE]
  fits <- min(columns_that_fit(cells), ncol(cells))
  print_table(cells[, seq_len(fits), drop = FALSE])
  left <- c(if (fit$n_states > length(shown)) count_of(fit$n_states - length(shown), "more state"),
            if (ncol(cells) > fits) count_of(ncol(cells) - fits, "more parameter"))
  if (length(left) > 0L) cat("  and ", paste(left, collapse = ", "), "\n", sep = "")
}

print_transition <- function(transition, most) {
  shown <- seq_len(min(nrow(transition), most))
  cells <- matrix(format(round(transition, 4), nsmall = 4, scientific = FALSE), nrow(transition),
                  dimnames = dimnames(transition))
  cells[transition == 0] <- "."
  print_table(unname_dims(cells[shown, shown, drop = FALSE]))
}

unname_dims <- function(x) {
  names(dimnames(x)) <- NULL
  x
}

# What a reader must know before trusting the numbers.
hmm_concerns <- function(x) {
  table <- x$degeneracy
  empty <- table$state[table$visits < 1e-3]
  few <- table$state[table$visits >= 1e-3 & table$visits <= emission_df(x) / x$n_states + 1e-6]
  narrow <- table$state[which(table$relative_scale < narrow_scale)]
  c(if (length(empty) > 0L) sprintf("EMPTY: no row visits state %s.", abbreviate_list(empty)),
    if (length(few) > 0L) sprintf("FEW ROWS: state %s has no more visits than parameters of its own.",
                                  abbreviate_list(few)),
    if (length(narrow) > 0L) sprintf("NARROW: state %s has (almost) no spread; its likelihood may have no limit.",
                                     abbreviate_list(narrow)))
}

# Free parameters of the responses, all states together.
emission_df <- function(x) {
  k <- x$n_states
  sum(vapply(x$responses, function(r) n_natural(r) * k - sum(!is.na(r$fixed)) - (k - 1L) * sum(r$shared), 0))
}

#' @rdname print.em_hmm
#' @export
summary.em_hmm <- function(object, se = FALSE, ...) {
  check_dots_empty(..., .function = "summary.em_hmm")
  check_flag(se, "se")
  coefficients <- data.frame(estimate = coef(object))
  variance <- NULL
  if (se) {
    variance <- withCallingHandlers(vcov(object),
                                    em_warning_not_identified = function(w) invokeRestart("muffleWarning"))
    coefficients$std_error <- sqrt(diag(variance))
  }
  law <- if (object$model$initial$kind == "stationary") object$parameters$initial else {
    withCallingHandlers(stationary(object), em_warning_not_unique = function(w) invokeRestart("muffleWarning"))
  }
  structure(
    list(
      fit = object, fit_table = hmm_fit_table(object), convergence = object$convergence, starts = object$starts,
      degeneracy = object$degeneracy, transition = average_transition(object), initial = object$parameters$initial,
      stationary = law, emission = emission_matrix(object), coefficients = coefficients, se = se,
      at_bound = attr(variance, "at_bound"), not_identified = attr(variance,
                                                                   "not_identified"), notes = hmm_notes(object)
    ),
    class = "summary.em_hmm"
  )
}

# What was counted and how.
hmm_notes <- function(object) {
  missing <- missing_responses(object)
  c(
    observations = sprintf("%s that observe at least one response%s (nobs, in BIC).", count_of(object$nobs, "row"),
                           if (is.null(object$weights)) "" else ", by their weights"),
    "missing values" = missing,
    timing = if (object$model$transition$kind == "logit") {
      sprintf("\"%s\": the transition from t - 1 to t depends on the covariates of row %s.", object$timing,
              if (object$timing == "from") "t - 1" else "t")
    },
    states = sprintf("%s.", order_words(object))
  )
}

missing_responses <- function(object) {
  if (is.null(object$data)) return(NULL)
  cells <- sum(vapply(object$data$responses, function(r) sum(is.na(r$y)), 0))
  if (cells == 0) return(NULL)
  sprintf("%s of the responses, integrated out.", count_of(cells, "missing value"))
}

order_words <- function(object) {
  if (!is.null(object$order_by)) return(paste("ordered by", paste(object$order_by, collapse = ", ")))
  kept <- !is.null(object$known) || !is.null(object$fixed) || !is.null(object$topology) ||
    object$initial_kind %in% c("fixed", "per_sequence")
  if (kept) "in the order that the arguments give them" else
    sprintf("ordered by the first parameter of %s", object$responses[[1L]]$name)
}

#' @rdname print.em_hmm
#' @export
print.summary.em_hmm <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  fit <- x$fit
  cat(hmm_title(fit), "", hmm_fit_lines(x$fit_table), sep = "\n")
  cat("\nTrust report\n")
  report <- x
  report$fit$n_components <- fit$n_states
  concerns <- hmm_concerns(fit)
  if (length(concerns) == 0L) concerns <- "no state is near-degenerate."
  print_report(c(report_convergence(report), report_starts(report),
                 degeneracy = paste(concerns, collapse = " "),
                 x$notes))
  cat("\nStates\n")
  cells <- cbind(visits = format(round(x$degeneracy$visits, 1), nsmall = 1),
                 "mean stay" = ifelse(is.na(x$degeneracy$dwell), "-", format_each(x$degeneracy$dwell, 3L)),
                 "long-run share" = ifelse(is.na(x$stationary), "-", format(round(x$stationary, 4), nsmall = 4)),
                 initial = if (is.matrix(x$initial)) NULL else format(round(x$initial, 4), nsmall = 4))
  rownames(cells) <- fit$state_names
  print_table(cells)
  cat("\nTransitions (row: from", if (fit$model$transition$kind == "logit") ", at the average covariates", ")\n",
      sep = "")
  print_transition(x$transition, 12L)
  if (fit$model$transition$kind == "logit" && !x$se) {
    cat("\nCoefficients of the transitions\n")
    here <- grepl("^transition\\[", rownames(x$coefficients))
    print_table(cbind(estimate = stats::setNames(format_each(x$coefficients$estimate[here], digits),
                                                 rownames(x$coefficients)[here])))
  }
  cat("\nResponses\n")
  cells <- matrix(apply(x$emission, 2L, format_number, digits = digits), nrow(x$emission),
                  dimnames = dimnames(x$emission))
  print_table(if (ncol(cells) > columns_that_fit(cells)) t(cells) else cells)
  if (x$se) print_hmm_coefficients(x, digits)
  invisible(x)
}

print_hmm_coefficients <- function(x, digits, most = 60L) {
  table <- x$coefficients
  table <- table[is.na(table$std_error) | table$std_error > 0, , drop = FALSE]
  cat("\nCoefficients\n")
  shown <- seq_len(min(nrow(table), most))
  cells <- cbind(estimate = format_each(table$estimate[shown], digits),
                 "std. error" = format_each(table$std_error[shown], digits))
  rownames(cells) <- rownames(table)[shown]
  print_table(cells)
  if (nrow(table) > length(shown)) cat("  and ", count_of(nrow(table) - length(shown), "more coefficient"), "\n",
                                       sep = "")
  if (length(x$at_bound) > 0L) {
    cat(strwrap(paste0("-: at the bound of its range, without standard error: ", abbreviate_list(x$at_bound)),
                indent = 2,
                exdent = 4), sep = "\n")
  }
  if (length(x$not_identified) > 0L) {
    cat(strwrap(paste0("-: not identified by the data: ", abbreviate_list(x$not_identified)), indent = 2, exdent = 4),
        sep = "\n")
  }
}
