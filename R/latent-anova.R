# Likelihood-ratio tests of hidden Markov models and of mixtures.

#' Compare nested hidden Markov models or mixtures
#'
#' Likelihood-ratio tests of fits to the same data, from the smallest to the largest.
#'
#' The statistic of two neighbours in the table is twice the difference of their log-likelihoods. Its reference
#' distribution, chi-square with the difference of their degrees of freedom, holds for models that are nested, where the
#' smaller one lies inside the range of the larger one's parameters: covariates left out, parameters shared or fixed at
#' values inside their range. It does not hold where a smaller number of states or components is tested (a probability
#' is at the bound of its range, and parameters of the state that is not there are not identified): there the p-value is
#' NA, with a warning of class `em_warning_boundary`. Compare such models by BIC or ICL, or by a parametric bootstrap.
#' The same caution is due for transitions that a `topology` sets to 0. That models are nested is for the user to know;
#' a larger model with a lower log-likelihood (not nested, or at a local maximum) is told of by a warning of class
#' `em_warning_not_nested`.
#'
#' @param object A fit of [em_hmm()] or [em_mixture()].
#' @param ... Further fits by the same function, of the same responses in the same rows.
#' @return A data frame of class `anova` with a row for each model, ordered by degrees of freedom: `n_states` or
#'   `n_components`, `logLik`, `npar` (free parameters), `AIC`, `BIC`, and against the row before it `Chisq`, `Df` and
#'   `Pr(>Chisq)`.
#' @examples
#' small <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2, shared = "sd")
#' large <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' anova(small, large)
#' @export
anova.em_hmm <- function(object, ...) {
  likelihood_ratios(list(object, ...), fit_names(match.call(expand.dots = FALSE)), "em_hmm", "n_states", "state")
}

#' @rdname anova.em_hmm
#' @export
anova.em_mixture <- function(object, ...) {
  likelihood_ratios(list(object, ...), fit_names(match.call(expand.dots = FALSE)), "em_mixture", "n_components",
                    "component")
}

# What the user called the fits: names, or numbers for other expressions.
fit_names <- function(call) {
  written <- c(list(call$object), call$...)
  ifelse(vapply(written, is.name, NA), vapply(written, function(e) if (is.name(e)) as.character(e) else "", ""),
         paste("model", seq_along(written)))
}

likelihood_ratios <- function(fits, names, class, number, noun) {
  if (length(fits) < 2L) {
    em_abort("anova() compares fits: give two or more, such as anova(small, large).", "argument", argument = "...")
  }
  other <- which(!vapply(fits, inherits, NA, class))
  if (length(other) > 0L) check_fails(names[other[1L]], sprintf("a fit of %s()", class), fits[[other[1L]]])
  for (i in seq_along(fits)[-1L]) check_same_data(fits[[1L]], fits[[i]], names[c(1L, i)])
  value <- function(field) vapply(fits, function(fit) as.double(fit[[field]]), 0)
  # Of as many parameters the one with fewer states comes first.
  order <- order(value("df"), value(number), value("loglik"))
  k <- value(number)[order]
  df <- value("df")[order]
  loglik <- value("loglik")[order]
  statistic <- c(NA, 2 * diff(loglik))
  step <- c(NA, diff(df))
  same <- c(NA, diff(k) == 0)
  p <- ifelse(same & step > 0, stats::pchisq(pmax(statistic, 0), pmax(step, 1), lower.tail = FALSE), NA)
  warn_about_ratios(k, statistic, step, loglik, noun)
  table <- data.frame(k, loglik, df, vapply(fits, stats::AIC, 0)[order], vapply(fits, stats::BIC, 0)[order],
                      statistic, step, p, row.names = make.unique(names[order]))
  names(table) <- c(number, "logLik", "npar", "AIC", "BIC", "Chisq", "Df", "Pr(>Chisq)")
  structure(table, heading = c(sprintf("Likelihood-ratio tests of %s\n",
                                       if (class == "em_hmm") "hidden Markov models" else "mixtures")),
            class = c("anova", "data.frame"))
}

warn_about_ratios <- function(k, statistic, step, loglik, noun) {
  if (any(diff(k) != 0)) {
    em_warn(sprintf(paste("The models differ in their number of %ss: the smaller one is at the boundary of the larger",
                          "one, where the likelihood ratio is not chi-square, and has no p-value. Compare BIC or ICL,",
                          "or simulate() from the smaller one."), noun), "boundary")
  }
  if (any(statistic < -1e-6 * (1 + abs(loglik)), na.rm = TRUE) || any(step == 0, na.rm = TRUE)) {
    em_warn(paste("A model with more parameters (or as many) is not above a smaller one: they are not nested, or one",
                  "is at a local maximum (try more starts)."), "not_nested")
  }
}

# Likelihoods of different data say nothing about each other.
check_same_data <- function(a, b, names) {
  refuse <- function(what) {
    em_abort(sprintf("anova() compares fits of the same data; %s and %s differ in %s.", names[1L], names[2L], what),
             "different_data")
  }
  if (a$n_rows != b$n_rows) refuse(sprintf("their rows (%s and %s)", format_count(a$n_rows), format_count(b$n_rows)))
  if (!identical(names(a$responses), names(b$responses))) refuse("their responses")
  if (!isTRUE(all.equal(a$weights, b$weights))) refuse("their weights")
  if (!isTRUE(all.equal(a$nobs, b$nobs))) refuse("the number of their observations")
  if (!is.null(a$sequences) && !identical(a$sequences$n, b$sequences$n)) refuse("their sequences")
  if (!identical(a$known, b$known)) refuse("the rows whose state is known")
  if (is.null(a$data) || is.null(b$data)) return(invisible())
  ys <- lapply(list(a, b), function(fit) lapply(fit$data$responses, function(r) unname(r$y)))
  if (!isTRUE(all.equal(ys[[1L]], ys[[2L]]))) refuse("the values of their responses")
}
