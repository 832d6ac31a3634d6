# print() and summary() of mixtures.

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
    separation = separation_words(fit$separation, "component"),
    "saddle point" = if (length(fit$equal) > 0L) {
      sprintf("components %s have equal parameters.", paste(fit$equal, collapse = " and "))
    },
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
