# What a user reads of a Gaussian mixture: print(), and summary(), the trust report.

#' Print and summarise a Gaussian mixture
#'
#' `print()` shows the fit in at most 15 lines (of factors only their number: `summary()` has them). `summary()` is the trust report: whether and by
#' which rule the algorithm converged, how many starts agree, which components are close to
#' degenerate, which parameters the data do not identify, how sure the classification is, and how
#' much the components overlap.
#'
#' @section The trust report:
#' * **Convergence.** `last_gain` is the gain of the objective in the last iteration, `rate` its
#'   ratio to the gain before, and `remaining_gain` what Aitken's extrapolation expects of all
#'   further iterations.
#' * **Starts.** How many of the starts that were run to a regular end reached the best optimum.
#'   Starts that were worse after a short run, and starts in which a component collapsed, are
#'   counted apart. One alone at the best optimum is a reason to use more
#'   (`em_control(n_starts = )`).
#' * **Degeneracy.** A component is named if its least variance, relative to that of the data
#'   (`relative_variance`), is below 1e-6, or if it rests on fewer observations (`size`, the sum of
#'   its posterior probabilities) than covariance parameters of its own need: the number of
#'   variables and one more for an orientation, 2 for a volume or a shape. A solution of the second
#'   kind is called spurious, here and by `print()`: its likelihood says nothing about the data.
#' * **Identification.** The observed information (see [vcov.em_gmm()]) is checked for directions
#'   in which the likelihood is flat. By default this is done if it is quick; `se = TRUE` always
#'   does it.
#' * **Component table.** `rows`: rows classified to the component; `weight`: their weights, if
#'   there are weights; `uncertainty`: mean of 1 minus the largest posterior probability, over
#'   those rows.
#' * **Overlap.** The Bhattacharyya coefficient of two components, 0 when they are apart and 1
#'   when they are the same: \eqn{\exp(-B)} with
#'   \eqn{B = (\mu_1-\mu_2)'\bar\Sigma^{-1}(\mu_1-\mu_2)/8 +
#'   \log(|\bar\Sigma| / \sqrt{|\Sigma_1||\Sigma_2|})/2} and \eqn{\bar\Sigma=(\Sigma_1+\Sigma_2)/2}.
#'
#' * **Factors**, of structures with factors: each component's loadings (`fit$parameters$loadings`;
#'   one table where they are equal) and uniquenesses (`fit$parameters$uniquenesses`), in the units
#'   of the data, in the manner of [stats::factanal()]: loadings below a tenth of the variable's
#'   standard deviation in the component are blank.
#'
#' @param object,x A fit of [em_gmm()], or its summary.
#' @param parameters `TRUE`: print all parameters. Default `FALSE`.
#' @param se `TRUE`: standard errors of the parameters too. Default `FALSE`.
#' @param digits Significant digits.
#' @param ... For `summary()` with `se = TRUE`, arguments of [vcov.em_gmm()] such as `type`;
#'   otherwise an error. Unused by `print()`.
#' @return `print()` returns `x`, invisibly. `summary()` returns a list of class `summary.em_gmm`
#'   with the elements of the report: `fit_table`, `convergence`, `starts`, `degeneracy`,
#'   `spurious` (what is spurious about the fit, or `""`),
#'   `not_identified` (names, or `NULL` if not checked), `components`, `overlap` (K x K),
#'   `coefficients` (estimate and `std_error`), and those of the fit that are printed.
#' @seealso [plot.em_gmm()], [tidy.em_gmm()]
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
#' fit
#' summary(fit, se = TRUE)
#' @name print.em_gmm
NULL

#' @rdname print.em_gmm
#' @export
print.em_gmm <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  title <- gmm_title(x)
  ending <- strwrap(convergence_line(x), exdent = 2)
  spurious <- spurious_message(x)
  if (nzchar(spurious)) {
    ending <- c(ending, strwrap(paste0("SPURIOUS: ", spurious, "."), exdent = 2))
  }
  table <- fit_table_lines(gmm_fit_table(x))
  cat(title, "", table, "", sep = "\n")
  # 15 lines in all: two blank ones, and the parameters' header and remainder
  left <- 11L - length(title) - length(table) - length(ending)
  print_gmm_parameters(x, digits, most = max(1L, min(4L, left)))
  cat(ending, sep = "\n")
  invisible(x)
}

# Title, call and the covariance structure in words: 3 to 5 lines.
gmm_title <- function(x) {
  extras <- c(
    if (isTRUE(x$noise)) "uniform noise", if (isTRUE(x$equal_proportions)) "equal proportions",
    if (!is.null(x$prior)) "a prior", if (!is.null(x$fixed)) "fixed parameters",
    if (!is.null(x$known)) "known labels", if (!is.null(x$weights)) "observation weights",
    if (!is.null(x$data) && anyNA(x$data)) "missing values"
  )
  c(
    strwrap(paste(c("Gaussian mixture fitted by EM", if (length(extras)) ", with ",
                    paste(extras, collapse = ", ")), collapse = ""), exdent = 2),
    if (!is.null(x$call)) format_call(x$call),
    paste0("Covariance: ", describe_covariance(x$covariance, x$n_components, x$n_factors))
  )
}

# The one-row table of a fit: components, log-likelihood, df, nobs, criteria.
gmm_fit_table <- function(x) {
  # stored with the fit: printing must not cost a pass over large data
  cell <- selected_cell(x)
  icl <- if (is.null(cell)) tryCatch(ICL(x), em_error_no_data = function(e) NA_real_) else cell$ICL
  data.frame(
    n_components = x$n_components, loglik = x$loglik, df = x$df, nobs = x$nobs,
    AIC = stats::AIC(x), BIC = stats::BIC(x), ICL = icl
  )
}

# Header and values, with a note on the criteria: beside them or, where the console is too narrow,
# below. Long numbers lose their decimals then.
fit_table_lines <- function(table, width = getOption("width")) {
  for (decimals in c(2, 1, 0, -1)) {
    cells <- rbind(c(
      format(table$n_components), format_loglik(table$loglik, max(0, decimals)), format(table$df),
      format(table$nobs, scientific = FALSE),
      format_loglik(c(table$AIC, table$BIC, table$ICL), max(0, decimals))
    ))
    colnames(cells) <- c(if (decimals < 0) "K" else "n_components", names(table)[-1])
    lines <- table_lines(cells)
    if (max(nchar(lines)) <= width) {
      break
    }
  }
  note <- "(lower is better)"
  if (nchar(lines[2]) + nchar(note) + 2L <= width) {
    lines[2] <- paste0(lines[2], "  ", note)
    return(lines)
  }
  c(lines, paste0(strrep(" ", max(1L, nchar(lines[2]) - nchar(note))), note))
}

# The components as a small table: proportion and means, cut to the console and to `most` rows.
print_gmm_parameters <- function(x, digits, most = Inf) {
  parameters <- x$parameters
  K <- x$n_components
  d <- length(x$variables)
  shown <- seq_len(min(K, most))
  # only what could be shown is formatted: d may be thousands
  variables <- seq_len(min(d, 30L))
  cells <- cbind(
    proportion = format(round(parameters$proportions[shown], 3), nsmall = 3),
    vapply(variables, function(j) {
      format_number(parameters$means[j, seq_len(K)], digits)[shown]
    }, character(length(shown)))
  )
  dim(cells) <- c(length(shown), length(variables) + 1L)
  header <- x$variables[variables]
  long <- nchar(header) > 14
  header[long] <- paste0(substr(header[long], 1, 12), "..")
  colnames(cells) <- c("proportion", header)
  rownames(cells) <- class_names(parameters)[shown]
  fits <- min(columns_that_fit(cells), ncol(cells))
  print_table(cells[, seq_len(fits), drop = FALSE])
  left <- c(
    if (K > length(shown)) count_of(K - length(shown), "more component"),
    if (d > fits - 1L) count_of(d - fits + 1L, "more variable"),
    if (isTRUE(x$noise)) {
      paste0("noise with proportion ", format(round(parameters$proportions[K + 1], 3), nsmall = 3))
    }
  )
  if (length(left)) {
    cat("  and ", paste(left, collapse = ", "), "\n", sep = "")
  }
}

#' @rdname print.em_gmm
#' @export
summary.em_gmm <- function(object, parameters = FALSE, se = FALSE, ...) {
  if (!isTRUE(se)) {
    check_dots_empty(..., .function = "summary.em_gmm")
  }
  coefficients <- data.frame(estimate = coef(object))
  not_identified <- NULL
  identification_checked <- FALSE
  if (!is.null(object$data) && (isTRUE(se) || information_is_quick(object))) {
    variance <- withCallingHandlers(
      tryCatch(if (isTRUE(se)) vcov(object, ...) else vcov(object), error = function(e) e),
      em_warning_not_identified = function(w) invokeRestart("muffleWarning")
    )
    if (inherits(variance, "error")) {
      if (isTRUE(se)) {
        stop(variance)
      }
    } else {
      identification_checked <- TRUE
      not_identified <- attr(variance, "not_identified")
      if (is.null(not_identified)) {
        not_identified <- character()
      }
      if (isTRUE(se)) {
        coefficients$std_error <- sqrt(diag(variance))
      }
    }
  }
  structure(
    list(
      fit = object[c("call", "covariance", "n_components", "n_factors", "variables", "parameters", "noise", "heywood",
                     "equal_proportions", "prior", "fixed", "status", "message", "converged",
                     "iterations", "starts", "n_rows", "nobs", "log_prior")],
      has = list(
        known = !is.null(object$known), weights = !is.null(object$weights),
        missing = !is.null(object$data) && anyNA(object$data)
      ),
      missing = missing_summary(object$data),
      fit_table = gmm_fit_table(object),
      convergence = object$convergence,
      starts = object$starts,
      degeneracy = near_degenerate(object),
      spurious = spurious_message(object),
      not_identified = not_identified,
      identification_checked = identification_checked,
      components = gmm_component_table(object),
      overlap = gmm_overlap(object$parameters),
      coefficients = coefficients,
      se = isTRUE(se),
      show_parameters = isTRUE(parameters)
    ),
    class = "summary.em_gmm"
  )
}

# The degeneracy table with a column `concern`, "" where there is none.
near_degenerate <- function(object) {
  table <- object$degeneracy
  if (is.null(table)) {
    return(NULL)
  }
  few <- table$size * object$n_rows / object$nobs < own_rows_needed(object) - 1e-6
  few[object$fixed$covariance_fixed %in% TRUE] <- FALSE
  singular <- table$relative_variance < 1e-6
  table$concern <- paste0(
    ifelse(few, "rests on too few observations", ""), ifelse(few & singular, " and ", ""),
    ifelse(singular, "is nearly singular", "")
  )
  table
}

own_rows_needed <- function(object) {
  if (object$n_components == 1L) {
    return(0)
  }
  rows_needed(object$covariance, length(object$variables), object$n_factors)
}

# Why the table of models calls the fit spurious, or "".
spurious_message <- function(object) {
  table <- object$selection
  row <- selected_row(object)
  if (length(row) == 1 && table$status[row] == "spurious") table$message[row] else ""
}

# The information costs 2 df E-steps of about n d^2 K operations: checked without asking below ~1 s.
information_is_quick <- function(fit) {
  d <- length(fit$variables)
  2 * fit$df * as.numeric(fit$n_rows) * d^2 * fit$n_components < 5e8 && fit$df <= 500
}

# Missing cells and rows of the data, or NULL.
missing_summary <- function(x) {
  if (is.null(x) || !anyNA(x)) {
    return(NULL)
  }
  missing <- is.na(x)
  count <- rowSums(missing)
  list(cells = sum(count), rows = sum(count > 0), empty_rows = sum(count == ncol(x)),
       patterns = length(unique(missing_pattern(x))))
}

# Component table: rows classified, weight, proportion, mean uncertainty of the rows.
gmm_component_table <- function(object) {
  classes <- class_names(object$parameters)
  K <- object$n_components
  class <- object$classification
  if (is.null(class)) {
    class <- tryCatch(predict(object), em_error_no_data = function(e) NULL)
  }
  table <- data.frame(component = classes, proportion = as.vector(object$parameters$proportions))
  if (is.null(class)) {
    return(table)
  }
  class <- ifelse(class == 0, K + 1L, class)
  table$rows <- tabulate(class, length(classes))
  if (!is.null(object$weights)) {
    table$weight <- vapply(seq_along(classes), function(k) sum(object$weights[class == k]), 0)
  }
  posterior <- object$posterior
  if (is.null(posterior) && !is.null(object$data)) {
    posterior <- predict(object, type = "posterior")
  }
  if (!is.null(posterior)) {
    uncertainty <- 1 - row_max(posterior)
    table$uncertainty <- vapply(seq_along(classes), function(k) {
      if (any(class == k)) mean(uncertainty[class == k]) else NA_real_
    }, 0)
  }
  table
}

# Bhattacharyya coefficients of the Gaussian components (K x K, 1 on the diagonal).
gmm_overlap <- function(parameters) {
  K <- ncol(parameters$means)
  overlap <- diag(K)
  dimnames(overlap) <- rep(list(class_names(parameters)[seq_len(K)]), 2)
  roots <- lapply(seq_len(K), function(k) chol(component_covariance(parameters, k)))
  log_det <- vapply(roots, function(root) 2 * sum(log(diag(root))), 0)
  for (a in seq_len(K - 1)) for (b in seq(a + 1, length.out = K - a)) {
    root <- chol((component_covariance(parameters, a) + component_covariance(parameters, b)) / 2)
    q <- backsolve(root, parameters$means[, a] - parameters$means[, b], transpose = TRUE)
    distance <- sum(q^2) / 8 + sum(log(diag(root))) - (log_det[a] + log_det[b]) / 4
    overlap[a, b] <- overlap[b, a] <- exp(-distance)
  }
  overlap
}

#' @rdname print.em_gmm
#' @export
print.summary.em_gmm <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  fit <- x$fit
  as_fit <- fit
  as_fit$known <- if (x$has$known) TRUE
  as_fit$weights <- if (x$has$weights) TRUE
  as_fit$data <- if (x$has$missing) NA
  cat(gmm_title(as_fit), "", sep = "\n")
  cat(fit_table_lines(x$fit_table), sep = "\n")
  cat("\nTrust report\n")
  print_report(c(
    report_convergence(x), report_starts(x), report_degeneracy(x), report_identification(x),
    report_missing(x)
  ))
  cat("\nComponents\n")
  print_component_table(x$components, digits)
  print_overlap(x$overlap)
  if (x$se) {
    print_coefficients(x, digits)
  } else if (x$show_parameters) {
    print_all_parameters(fit$parameters, digits)
  } else {
    cat("\nMeans\n")
    print_gmm_parameters(fit, digits, most = 9L)
  }
  print_gmm_factors(fit, digits, all = x$show_parameters)
  invisible(x)
}

# The items of the report: each returns a named string.
report_convergence <- function(x) {
  convergence <- x$convergence
  objective <- x$fit_table$loglik + x$fit$log_prior
  # the ratio of two gains of which one is rounding is no rate
  rate <- convergence$rate
  gains <- paste0(
    "; last gain ", format_gain(convergence$last_gain, objective),
    if (is.finite(rate) && rate >= 0) paste0(", rate ", format_number(rate, 3)),
    ", expected remaining gain ", format_gain(convergence$remaining_gain, objective)
  )
  iterations <- count_of(x$fit$iterations, "iteration")
  rule <- switch(convergence$rule,
    aitken = "Aitken's rule (gain left below the tolerance)",
    paste0("the rule \"", convergence$rule, "\"")
  )
  text <- if (isTRUE(x$fit$converged)) {
    paste0("yes, after ", iterations, ", by ", rule, gains, ".")
  } else {
    paste0("NO (", x$fit$status, ") after ", iterations, gains, ".",
           if (length(x$fit$message) && nzchar(x$fit$message)) paste0(" ", x$fit$message))
  }
  c(converged = text)
}

report_starts <- function(x) {
  agree <- starts_that_agree(x)
  if (is.null(agree)) {
    return(NULL)
  }
  text <- if (nrow(x$starts) == 1) {
    if (x$fit$n_components == 1) {
      "one component: the optimum is the only one."
    } else {
      "one start only: a better optimum may exist."
    }
  } else {
    paste0(
      agree$best, " of ", agree$n, if (agree$n < nrow(x$starts)) " completed",
      if (agree$n == 1) " start" else " starts", " reached the best optimum",
      if (agree$screened) paste0("; ", agree$screened, " worse after a short run"),
      if (agree$lost) paste0("; ", agree$lost, " degenerate"), ".",
      if (agree$best == 1) " Only one did: use more starts (em_control(n_starts = ))."
    )
  }
  c(starts = text)
}

report_degeneracy <- function(x) {
  table <- x$degeneracy
  if (is.null(table) || !NROW(table)) {
    return(NULL)
  }
  bad <- which(nzchar(table$concern))
  text <- if (!length(bad)) {
    "no component is near-degenerate."
  } else {
    # rounded down: 2.996 is fewer than 3
    paste0("component ", table$component[bad], " ", table$concern[bad], " (size ",
           format(floor(table$size[bad] * 100) / 100, trim = TRUE), ", relative variance ",
           format_each(table$relative_variance[bad], 2), ")", collapse = "; ")
  }
  if (length(bad)) {
    text <- paste0(text, ".")
  }
  if (nzchar(x$spurious)) {
    text <- paste0("SPURIOUS: ", x$spurious, ".", if (length(bad)) paste0(" In detail: ", text))
  }
  c(degeneracy = text)
}

report_identification <- function(x) {
  text <- if (!x$identification_checked) {
    "not checked; summary(se = TRUE) does."
  } else if (!length(x$not_identified)) {
    "all parameters are identified."
  } else {
    paste0("NOT identified: ", abbreviate_list(x$not_identified), ".")
  }
  held <- uniquenesses_at_bound(x$fit$heywood)
  if (length(held)) {
    text <- paste0(text, " At the bound of 0, and held there: ", abbreviate_list(held), ".")
  }
  c(identification = text)
}

report_missing <- function(x) {
  if (is.null(x$missing)) {
    return(NULL)
  }
  m <- x$missing
  c("missing values" = paste0(
    count_of(m$cells, "cell"), " in ", count_of(m$rows, "row"), " (",
    count_of(m$patterns, "pattern"), "), handled exactly",
    if (m$empty_rows) paste0("; ", count_of(m$empty_rows, "row"), " wholly missing"), "."
  ))
}

# The component table of the summary.
print_component_table <- function(table, digits) {
  cells <- lapply(table, function(column) {
    if (is.character(column)) column else format_number(column, digits)
  })
  cells$proportion <- format(round(table$proportion, 4), nsmall = 4)
  if (!is.null(table$uncertainty)) {
    cells$uncertainty <- ifelse(is.na(table$uncertainty), "-",
                                format(round(table$uncertainty, 4), nsmall = 4))
    names(cells)[names(cells) == "uncertainty"] <- "mean uncertainty"
  }
  cells <- do.call(cbind, cells)
  print_table(cells)
}

# Overlap: the whole lower triangle for few components, else the closest pairs.
print_overlap <- function(overlap) {
  K <- nrow(overlap)
  if (K < 2) {
    return(invisible())
  }
  cat("\nOverlap (Bhattacharyya coefficient: 0 apart, 1 the same)\n")
  if (K <= 6) {
    cells <- format(round(overlap, 3), nsmall = 3)
    cells[!lower.tri(overlap)] <- ""
    colnames(cells) <- cut_middle(colnames(cells), 10L)
    print_table(cells[-1, -K, drop = FALSE])
    return(invisible())
  }
  pairs <- which(lower.tri(overlap), arr.ind = TRUE)
  pairs <- pairs[order(-overlap[pairs]), , drop = FALSE][1:5, ]
  names <- rownames(overlap)
  text <- paste0(names[pairs[, 2]], "-", names[pairs[, 1]], " ",
                 format(round(overlap[pairs], 3), nsmall = 3), collapse = ", ")
  cat(strwrap(paste("closest pairs:", text), indent = 2, exdent = 4), sep = "\n")
}

# Coefficients with standard errors.
print_coefficients <- function(x, digits, most = 60L) {
  table <- x$coefficients
  # constants of the model (fixed values, structural zeros) are not estimates
  constant <- !is.na(table$std_error) & table$std_error == 0
  table <- table[!constant, , drop = FALSE]
  cat("\nCoefficients\n")
  shown <- seq_len(min(nrow(table), if (x$show_parameters) Inf else most))
  cells <- cbind(
    estimate = format_each(table$estimate[shown], digits),
    "std. error" = format_each(table$std_error[shown], digits)
  )
  rownames(cells) <- rownames(table)[shown]
  print_table(cells)
  if (nrow(table) > length(shown)) {
    cat("  and ", count_of(nrow(table) - length(shown), "more coefficient"),
        " (summary(parameters = TRUE, se = TRUE) prints all)\n", sep = "")
  }
  if (any(constant)) {
    cat("  ", count_of(sum(constant), "coefficient is a constant", "coefficients are constants"),
        " of the model and not shown\n", sep = "")
  }
  if (length(x$not_identified)) {
    cat("  -: not identified by the data\n")
  }
}

# Means and covariances in full.
print_all_parameters <- function(parameters, digits) {
  cat("\nMeans\n")
  print(parameters$means, digits = digits)
  for (k in seq_len(ncol(parameters$means))) {
    cat("\nCovariance of component ", class_names(parameters)[k], "\n", sep = "")
    covariance <- component_covariance(parameters, k)
    dimnames(covariance) <- rep(list(rownames(parameters$means)), 2)
    print(covariance, digits = digits)
  }
}
