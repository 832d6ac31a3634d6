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
  print_transition(x, average_transition(x), 8L)
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
  lines <- character()
  # As many columns on a line as fit.
  while (ncol(cells) > 0L) {
    fits <- max(1L, sum(cumsum(pmax(nchar(cells[1L, ]), nchar(colnames(cells))) + 2L) <= width))
    lines <- c(lines, table_lines(cells[, seq_len(fits), drop = FALSE], width = width))
    cells <- cells[, -seq_len(fits), drop = FALSE]
  }
  note <- "(lower is better)"
  end <- length(lines)
  if (nchar(lines[end]) + nchar(note) + 2L <= width) lines[end] <- paste0(lines[end], "  ", note)
  lines
}

# States x parameters of the responses, as numbers. The column of a coefficient is its name without its state.
emission_matrix <- function(fit) {
  table <- hmm_coefficient_table(fit)
  chain <- length(fit$parameters$initial) + length(fit$parameters$transition)
  table <- table[table$place > chain, ]
  name <- character(nrow(table))
  state <- integer(nrow(table))
  k <- fit$n_states
  several <- length(fit$responses) > 1L
  done <- chain
  for (response in fit$responses) {
    size <- n_natural(response) * k
    here <- which(table$place > done & table$place <= done + size)
    state[here] <- (table$place[here] - done - 1L) %/% n_natural(response) + 1L
    name[here] <- paste0(if (several) paste0(response$name, "."),
                         emission_parameters(table$name[here], fit$state_names[state[here]],
                                             rep(response$name, length(here)), several))
    done <- done + size
  }
  columns <- unique(name)
  out <- matrix(NA_real_, k, length(columns), dimnames = list(fit$state_names, columns))
  out[cbind(state, match(name, columns))] <- coef(fit)[table$name]
  out
}

# Numbers of one parameter in all states; degrees of freedom beyond any data are those of a normal distribution.
format_parameter <- function(x, name, digits) {
  many <- grepl("(^|[.])df$", name) & !is.na(x) & x > 1e6
  text <- format_number(replace(x, many, NA), digits = digits)
  text[many] <- "Inf"
  text
}

print_state_table <- function(fit, digits, most = Inf) {
  emission <- emission_matrix(fit)
  shown <- seq_len(min(fit$n_states, most))
  cells <- lapply(colnames(emission), function(name) format_parameter(emission[, name], name, digits))
  cells <- c(format(round(fit$degeneracy$visits, 1), nsmall = 1), unlist(cells))
  cells <- matrix(cells, fit$n_states, dimnames = list(fit$state_names, c("visits", colnames(emission))))
  cells <- cells[shown, , drop = FALSE]
  fits <- min(columns_that_fit(cells), ncol(cells))
  print_table(cells[, seq_len(fits), drop = FALSE])
  left <- c(if (fit$n_states > length(shown)) count_of(fit$n_states - length(shown), "more state"),
            if (ncol(cells) > fits) count_of(ncol(cells) - fits, "more parameter"))
  if (length(left) > 0L) cat("  and ", paste(left, collapse = ", "), "\n", sep = "")
}

print_transition <- function(fit, transition, most) {
  if (!fit$transitions_seen) {
    return(cat("\n", paste0(strwrap(unseen_words), "\n"), sep = ""))
  }
  cat("\nTransitions (row: from", if (fit$model$transition$kind == "logit") ", at the average covariates", ")\n",
      sep = "")
  shown <- seq_len(min(nrow(transition), most))
  cells <- matrix(format_chance(transition), nrow(transition), dimnames = dimnames(transition))
  cells[!fit$model$transition$allowed] <- "."
  print_table(unname_dims(cells[shown, shown, drop = FALSE]))
}

# Probabilities with 4 decimals, small ones with two digits: 0 is printed for nothing else.
format_chance <- function(p) {
  text <- formatC(p, digits = 4L, format = "f")
  small <- !is.na(p) & p > 0 & p < 1e-4
  text[small] <- formatC(p[small], digits = 1L, format = "e")
  text[p %in% 0] <- "0"
  text
}

unname_dims <- function(x) {
  names(dimnames(x)) <- NULL
  x
}

unseen_words <- paste("The transitions are not estimated: no sequence has a second row. They are as they started,",
                      "and do not count in df.")

# What a reader must know before trusting the numbers.
hmm_concerns <- function(x) {
  table <- x$degeneracy
  states <- function(which) abbreviate_list(table$state[which])
  empty <- empty_states(x)
  few <- spurious_states(x)
  narrow <- which(table$relative_scale < narrow_scale)
  c(if (length(empty) > 0L) sprintf("EMPTY: no row visits state %s.", states(empty)),
    if (length(few) > 0L) sprintf("SPURIOUS: state %s has no more visits than parameters of its own.", states(few)),
    if (length(narrow) > 0L) sprintf("NARROW: state %s has (almost) no spread; its likelihood may have no limit.",
                                     states(narrow)),
    if (length(x$equal) > 0L) sprintf("SADDLE: states %s have equal parameters.", paste(x$equal, collapse = " and ")),
    separation_words(x$separation, "state"))
}

# States with (almost) no visit. Visits are sums of weights.
empty_states <- function(x) which(x$degeneracy$visits < 1e-3 * weight_unit(x))

# States with so few visits that their parameters reproduce them: at most as many as parameters of their own, or one.
spurious_states <- function(x) {
  if (x$n_states == 1L) return(integer())
  unit <- weight_unit(x)
  own <- vapply(x$responses, function(r) {
    natural <- n_natural(r)
    own <- if (is.null(r$shared)) rep(TRUE, natural) else !r$shared
    own <- matrix(own, natural, x$n_states)
    if (!is.null(r$fixed)) own <- own & is.na(r$fixed)
    colSums(own)
  }, numeric(x$n_states))
  own <- rowSums(matrix(own, x$n_states))
  visits <- x$degeneracy$visits
  which(visits >= 1e-3 * unit & own > 0 & visits <= pmax(own, 1) * unit * (1 + 1e-6))
}

# What a row counts, on average.
weight_unit <- function(x) if (is.null(x$weights)) 1 else min(1, mean(x$weights))

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
  law <- if (!object$transitions_seen) rep(NA_real_, object$n_states) else
    if (object$model$initial$kind == "stationary") object$parameters$initial else {
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
  starts <- if (fit$n_states == 1L) c(starts = "one state: the optimum is the only one.") else report_starts(report)
  print_report(c(report_convergence(report), starts,
                 degeneracy = paste(concerns, collapse = " "),
                 x$notes))
  cat("\nStates\n")
  cells <- cbind(visits = format(round(x$degeneracy$visits, 1), nsmall = 1),
                 "mean stay" = ifelse(is.na(x$degeneracy$dwell), "-", format_each(x$degeneracy$dwell, 3L)),
                 "long-run share" = ifelse(is.na(x$stationary), "-", format_chance(unname(x$stationary))),
                 initial = if (is.matrix(x$initial)) NULL else format_chance(x$initial))
  rownames(cells) <- fit$state_names
  print_table(cells)
  print_transition(fit, x$transition, 12L)
  if (fit$model$transition$kind == "logit" && fit$transitions_seen && !x$se) {
    cat("\nCoefficients of the transitions\n")
    here <- grepl("^transition\\[", rownames(x$coefficients))
    print_table(cbind(estimate = stats::setNames(format_each(x$coefficients$estimate[here], digits),
                                                 rownames(x$coefficients)[here])))
  }
  cat("\nResponses\n")
  cells <- lapply(colnames(x$emission), function(name) format_parameter(x$emission[, name], name, digits))
  cells <- matrix(unlist(cells), nrow(x$emission), dimnames = dimnames(x$emission))
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
