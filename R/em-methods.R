# Methods for fits of em(): coefficients, intervals, print, summary, tidiers.

#' Coefficients of a model of your own
#'
#' The parameters as one named vector.
#'
#' @param object A fit of [em()].
#' @param ... Unused, and an error.
#' @return A named numeric vector: `mu` for a single number, `mu[1]`, `mu[a]`, `sigma[1,2]` for entries of vectors and
#'   arrays; of a `"covariance"` the lower triangle by columns.
#' @seealso [vcov.em()], [confint.em()]
#' @examples
#' y <- c(125, 18, 20, 34)
#' coef(em(
#'   c(t = 0.5), update = function(t) {
#'     x <- y[1] * t / (2 + t)
#'     (x + y[4]) / (x + sum(y[2:4]))
#'   },
#'   loglik = function(t) sum(y * log(c(2 + t, 1 - t, 1 - t, t))), transform = "probability"
#' ))
#' @export
coef.em <- function(object, ...) {
  check_dots_empty(..., .function = "coef.em")
  space <- object$space
  stats::setNames(em_flat(object$parameters), space$labels)[space$shown]
}

#' Confidence intervals of a model of your own
#'
#' Wald intervals from [vcov.em()].
#'
#' @param object A fit of [em()].
#' @param parm Names or numbers of the coefficients; all by default.
#' @param level Confidence level, between 0 and 1. Default 0.95.
#' @param transform FALSE (default): estimate plus and minus a quantile times the standard error. TRUE: the same for the
#'   logarithm of positive parameters and of variances, and the logit of probabilities and shares, transformed back, so
#'   that intervals stay inside the parameter's range.
#' @param ... Unused, and an error.
#' @return A matrix with a row per coefficient and a column per limit; NA where there is no standard error.
#' @examples
#' y <- c(125, 18, 20, 34)
#' fit <- em(
#'   c(t = 0.5), update = function(t) {
#'     x <- y[1] * t / (2 + t)
#'     (x + y[4]) / (x + sum(y[2:4]))
#'   },
#'   loglik = function(t) sum(y * log(c(2 + t, 1 - t, 1 - t, t))), transform = "probability"
#' )
#' confint(fit)
#' confint(fit, transform = TRUE, level = 0.99)
#' @export
confint.em <- function(object, parm, level = 0.95, transform = FALSE, ...) {
  check_dots_empty(..., .function = "confint.em")
  check_level(level)
  check_flag(transform, "transform")
  estimate <- coef(object)
  parm <- select_coefficients(parm, names(estimate))
  se <- sqrt(diag(vcov(object)))
  domain <- if (transform) em_coefficient_domains(object$space)
  wald_intervals(estimate, se, level, domain)[parm, , drop = FALSE]
}

# Of every coefficient what its range is: "real", "positive" (also variances) or "probability" (also shares).
em_coefficient_domains <- function(space) {
  kind <- space$transform
  kind[kind == "simplex"] <- "probability"
  for (b in space$layout[vapply(space$layout, `[[`, "", "transform") == "covariance"]) {
    d <- sqrt(length(b$at))
    kind[b$at] <- ifelse(diag(d) == 1, "positive", "real")
  }
  kind[space$shown]
}

#' @rdname em_fit-methods
#' @export
formula.em <- function(x, ...) em_abort("A fit of em() has no formula.", "no_formula")

#' What a model of your own does not have
#'
#' `em()` knows your functions and the parameters, but neither rows nor responses nor latent variables. So methods that
#' need these stop with an error of class `em_error_not_available`.
#'
#' What the E-step makes of the data at the estimate is
#' `fit$functions$e_step(fit$parameters, fit$data)`.
#'
#' @param object,x A fit of [em()].
#' @param ... Not used.
#' @return Nothing: an error.
#' @seealso [coef.em()], [plot.em()]
#' @examples
#' y <- c(125, 18, 20, 34)
#' fit <- em(
#'   c(t = 0.5), e_step = function(t) y[1] * t / (2 + t),
#'   m_step = function(x) (x + y[4]) / (x + sum(y[2:4])),
#'   loglik = function(t) sum(y * log(c(2 + t, 1 - t, 1 - t, t))), transform = "probability"
#' )
#' try(predict(fit))
#' fit$functions$e_step(fit$parameters)
#' @name predict.em
NULL

#' @rdname predict.em
#' @export
predict.em <- function(object, ...) em_not_available("predict()")

#' @rdname predict.em
#' @export
simulate.em <- function(object, ...) em_not_available("simulate()")

#' @rdname predict.em
#' @export
residuals.em <- function(object, ...) em_not_available("residuals()")

#' @rdname predict.em
#' @export
fitted.em <- function(object, ...) em_not_available("fitted()")

#' @rdname predict.em
#' @export
augment.em <- function(x, ...) em_not_available("augment()")

#' @rdname predict.em
#' @export
ICL.em <- function(object, ...) em_not_available("ICL()")

em_not_available <- function(what) {
  em_abort(sprintf(paste("%s is not available for a fit of em(), which knows your functions but neither rows nor",
                         "latent variables. fit$functions$e_step(fit$parameters, fit$data) gives what your E-step",
                         "makes of the data."), what), "not_available")
}

# ---- print and summary ---------------------------------------------------------------------------

#' Print and summarise a model of your own
#'
#' `print()` shows the fit in a few lines. `summary()` adds standard errors and the trust report: whether and how the
#' algorithm converged, its rate, how many starts agree, and whether the estimate is a maximum.
#'
#' @param object,x A fit of [em()], or its summary.
#' @param digits Significant digits.
#' @param ... Unused, and an error for `summary()`.
#' @return `print()` returns `x`, invisibly. `summary()` returns a list of class `summary.em`: `fit_table`,
#'   `coefficients` (data frame: `estimate`, `std_error`, `lower`, `upper`, the 95 % Wald limits), `report` (named
#'   sentences).
#' @seealso [plot.em()], [vcov.em()]
#' @examples
#' y <- c(125, 18, 20, 34)
#' fit <- em(
#'   c(t = 0.5), update = function(t) {
#'     x <- y[1] * t / (2 + t)
#'     (x + y[4]) / (x + sum(y[2:4]))
#'   },
#'   loglik = function(t) sum(y * log(c(2 + t, 1 - t, 1 - t, t))), transform = "probability"
#' )
#' fit
#' summary(fit)
#' @name print.em
NULL

#' @rdname print.em
#' @export
print.em <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  cat(em_title(x), "", table_lines(em_fit_cells(x)), "", sep = "\n")
  estimate <- coef(x)
  some <- utils::head(estimate, 8L)
  cells <- cbind(estimate = format_each(some, digits))
  rownames(cells) <- names(some)
  print_table(cells)
  if (length(estimate) > length(some)) {
    cat("  and ", count_of(length(estimate) - length(some), "more coefficient"), "\n", sep = "")
  }
  cat(strwrap(convergence_line(x), exdent = 2), sep = "\n")
  if (!is.null(x$higher)) cat(strwrap(paste("But", em_higher_note(x)), exdent = 2), sep = "\n")
  invisible(x)
}

em_title <- function(x) {
  c(if (is.null(x$functions$log_prior)) "Model of your own, maximum likelihood by EM" else
    "Model of your own, posterior mode by EM", if (!is.null(x$call)) format_call(hide_bodies(x$call)))
}

# function(theta, data) ... for functions that were written in the call itself.
hide_bodies <- function(call) {
  for (i in seq_along(call)[-1L]) {
    if (is.call(call[[i]]) && identical(call[[i]][[1L]], as.name("function"))) call[[i]][[3L]] <- quote(...)
    if (is.function(call[[i]])) call[[i]] <- as.call(list(as.name("function"), formals(args(call[[i]])), quote(...)))
  }
  call
}

em_fit_cells <- function(x) {
  cells <- rbind(c(format_loglik(x$loglik), if (!is.null(x$functions$log_prior)) format_loglik(x$log_prior),
                   format(x$df),
                   if (is.na(x$nobs)) "-" else format(x$nobs, scientific = FALSE), format_loglik(stats::AIC(x)),
                   format_loglik(stats::BIC(x))))
  colnames(cells) <- c("loglik", if (!is.null(x$functions$log_prior)) "log prior", "df", "nobs", "AIC", "BIC")
  cells
}

#' @rdname print.em
#' @export
summary.em <- function(object, ...) {
  check_dots_empty(..., .function = "summary.em")
  estimate <- coef(object)
  said <- character()
  variance <- NULL
  if (length(object$parameters) > 0L && object$df <= 60L && (!object$has_data || !is.null(object$data))) {
    variance <- withCallingHandlers(vcov(object), em_warning = function(w) {
      said <<- c(said, conditionMessage(w))
      invokeRestart("muffleWarning")
    })
  } else {
    said <- if (object$df > 60L) "not looked at, with more than 60 coordinates; vcov() does it." else
      "not looked at: the data were not kept (see `keep_data` in em_control())."
  }
  se <- if (is.null(variance)) rep(NA_real_, length(estimate)) else sqrt(diag(variance))
  limits <- wald_intervals(estimate, se, 0.95)
  structure(list(
    title = em_title(object), fit_table = em_fit_cells(object),
    coefficients = data.frame(estimate = unname(estimate), std_error = unname(se), lower = unname(limits[, 1L]),
                              upper = unname(limits[, 2L]), row.names = names(estimate)),
    report = em_report(object, said)
  ), class = "summary.em")
}

em_report <- function(x, said) {
  agree <- starts_that_agree(x)
  c(
    converged = paste0(
      if (x$converged) "yes" else "NO", ", ", count_of(x$iterations, "iteration"), " (", count_of(x$calls[["step"]],
                                                                                                  "EM step"),
      ", ", count_of(x$calls[["loglik"]], "log-likelihood"), "); expected remaining gain ",
      format_gain(x$convergence$remaining_gain, x$loglik + x$log_prior), "."),
    rate = if (is.finite(x$convergence$rate) && x$convergence$rate > 0 && x$convergence$rate < 1) sprintf(
      "the last plain steps kept %s of the gain before.", format(round(x$convergence$rate, 3), nsmall = 3)),
    starts = if (nrow(x$starts) > 1L) paste0(
      agree$best, " of ", agree$n, " reached the best optimum",
      if (agree$screened > 0L) paste0("; ", agree$screened, " dropped after a short run"),
      if (agree$lost > 0L) paste0("; ", agree$lost, " failed"), "."),
    estimate = if (!is.null(x$higher)) em_higher_note(x) else
      if (length(said) == 0L) "a maximum: the observed information is positive definite." else
        paste(said, collapse = " ")
  )
}

#' @rdname print.em
#' @export
print.summary.em <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  cat(x$title, "", table_lines(x$fit_table), "", sep = "\n")
  cat("Trust report\n")
  print_report(x$report)
  shown <- utils::head(x$coefficients, 30L)
  cells <- cbind(estimate = format_each(shown$estimate, digits), "std. error" = format_each(shown$std_error, digits),
                 "2.5 %" = format_each(shown$lower, digits), "97.5 %" = format_each(shown$upper, digits))
  rownames(cells) <- rownames(shown)
  cat("\nCoefficients (standard errors: observed information)\n")
  print_table(cells)
  left <- nrow(x$coefficients) - nrow(shown)
  if (left > 0L) cat("  and ", count_of(left, "more coefficient"), "\n", sep = "")
  invisible(x)
}

# ---- tidiers -------------------------------------------------------------------------------------

#' Tidy a model of your own
#'
#' @param x A fit of [em()].
#' @param conf.int TRUE: confidence limits too. Default FALSE.
#' @param conf.level Confidence level. Default 0.95.
#' @param ... Unused, and an error.
#' @return Data frames, or tibbles if that package is installed. `tidy()`: `term`, `estimate`, `std.error` (and
#'   `conf.low`, `conf.high`). `glance()`: `logLik`, `AIC`, `BIC` (lower is better), `df`, `nobs`, `converged`,
#'   `status`, `iterations`.
#' @examples
#' y <- c(125, 18, 20, 34)
#' fit <- em(
#'   c(t = 0.5), update = function(t) {
#'     x <- y[1] * t / (2 + t)
#'     (x + y[4]) / (x + sum(y[2:4]))
#'   },
#'   loglik = function(t) sum(y * log(c(2 + t, 1 - t, 1 - t, t))), transform = "probability"
#' )
#' tidy(fit, conf.int = TRUE)
#' glance(fit)
#' @name tidy.em
NULL

#' @rdname tidy.em
#' @export
tidy.em <- function(x, conf.int = FALSE, conf.level = 0.95, ...) {
  check_dots_empty(..., .function = "tidy.em")
  check_level(conf.level, "conf.level")
  as_tibble_if_installed(tidy_coefficients(coef(x), vcov(x), conf.int, conf.level))
}

#' @rdname tidy.em
#' @export
glance.em <- function(x, ...) {
  check_dots_empty(..., .function = "glance.em")
  as_tibble_if_installed(data.frame(
    logLik = x$loglik, AIC = stats::AIC(x), BIC = stats::BIC(x), df = x$df, nobs = x$nobs, converged = x$converged,
    status = x$status, iterations = x$iterations
  ))
}
