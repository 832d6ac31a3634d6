# print() and summary() of em_fa().

#' Print and summarise a factor analysis
#'
#' `print()` shows loadings in the manner of [stats::factanal()]: small ones blank, uniquenesses beside them, the
#' variance that each factor explains, the test of fit, and how the algorithm ended. `summary()` adds standard errors
#' and the trust report: Heywood cases, agreement of the starts, factors with few salient loadings, missing values, few
#' rows.
#'
#' @param object,x A fit of [em_fa()], or its summary.
#' @param cutoff Loadings smaller than this are blank. Default 0.1.
#' @param sort FALSE (default); TRUE: variables by the factor with their largest loading, as
#'   `print(loadings, sort = TRUE)` does.
#' @param n_variables The most variables to print. Default 24 for a fit, 60 for a summary.
#' @param se TRUE, FALSE or NULL (default): standard errors of loadings and uniquenesses. NULL: where they take no time.
#' @param digits Decimals of loadings.
#' @param ... Unused, and an error for `summary()`.
#' @return `print()` returns `x`, invisibly. `summary()` returns a list of class `summary.em_fa`: `fit_table`,
#'   `loadings` and `uniquenesses` (standardised), `loadings_se`, `uniquenesses_se` (or NULL), `variance` (matrix: SS
#'   loadings, proportion, cumulative), `factor_correlation`, `test`, `selection`, `report` (named sentences), `fit`.
#' @seealso [plot.em_fa()]
#' @examples
#' fit <- em_fa(mtcars, n_factors = 2)
#' print(fit, cutoff = 0.3, sort = TRUE)
#' summary(fit)
#' @name print.em_fa
NULL

#' @rdname print.em_fa
#' @export
print.em_fa <- function(x, digits = 3L, cutoff = 0.1, sort = FALSE, n_variables = 24L, ...) {
  cat(fa_title(x), "", table_lines(fa_fit_cells(x)), "", sep = "\n")
  cells <- fa_loading_cells(x$standardized$loadings, x$standardized$uniquenesses, digits, cutoff)
  print_fa_table(cells, fa_variable_order(x, sort), n_variables)
  cat("\n")
  print_fa_block(fa_variance_cells(fa_variance(x), digits))
  if (is_oblique(x)) {
    cat("\nFactor correlations\n")
    print_fa_correlation(x$factor_correlation, digits)
  }
  cat("\n")
  cat(wrap_whole(fa_test_sentence(x)), strwrap(fa_ending(x), exdent = 2), sep = "\n")
  invisible(x)
}

fa_title <- function(x) {
  model <- if (x$type == "ppca") "Probabilistic principal components" else "Factor analysis"
  extras <- c(if (!is.null(x$weights)) "observation weights", if (!is.null(x$covmat)) "from a covariance matrix")
  c(strwrap(paste0(model, ": ", count_of(x$n_factors, "factor"), ", ",
                   if (x$n_factors < 2L || x$rotation == "none") "not rotated" else paste0(
                     if (x$rotation == "custom") "rotation by a function" else paste(x$rotation, "rotation"),
                     if (is_oblique(x)) " (oblique)"),
                   if (length(extras)) ", ", paste(extras, collapse = ", ")), exdent = 2),
    if (!is.null(x$call)) format_call(x$call))
}

fa_fit_cells <- function(x) {
  cells <- rbind(c(
    format(length(x$variables)), format_loglik(x$loglik), format(x$df), format(x$nobs, scientific = FALSE),
    format_loglik(c(stats::AIC(x), stats::BIC(x)))
  ))
  colnames(cells) <- c("variables", "loglik", "df", "nobs", "AIC", "BIC")
  cells
}

# Loadings as text, small ones blank, and the uniquenesses; with standard errors in brackets where there are any.
fa_loading_cells <- function(loadings, uniquenesses, digits, cutoff, loadings_se = NULL, uniquenesses_se = NULL) {
  plain <- matrix(loadings, nrow(loadings), dimnames = dimnames(loadings))
  text <- matrix(sub("^-(0\\.?0*)$", "\\1", formatC(plain, digits, format = "f")), nrow(plain))
  unique <- formatC(uniquenesses, digits, format = "f")
  # exactly at the bound
  unique[uniquenesses == 0] <- "0"
  if (!is.null(loadings_se)) {
    text <- matrix(paste0(text, in_brackets(loadings_se, digits)), nrow(plain))
    unique <- paste0(unique, in_brackets(uniquenesses_se, digits))
  }
  text[abs(plain) < cutoff] <- ""
  cells <- cbind(text, unique)
  dimnames(cells) <- list(rownames(plain), c(colnames(plain), "uniqueness"))
  cells
}

in_brackets <- function(se, digits) ifelse(is.na(se), " (-)", paste0(" (", formatC(se, digits, format = "f"), ")"))

# Variables in the order of the data, or by factor and size of their largest loading.
fa_variable_order <- function(x, sort) {
  size <- abs(matrix(x$standardized$loadings, length(x$variables)))
  if (!isTRUE(sort)) return(seq_len(nrow(size)))
  factor <- max.col(size, "first")
  order(factor, -size[cbind(seq_len(nrow(size)), factor)])
}

# Some rows of the table of loadings, cut to the console with the uniquenesses kept.
print_fa_table <- function(cells, order, most) {
  shown <- order[seq_len(min(length(order), most))]
  q <- ncol(cells) - 1L
  cells <- cells[shown, , drop = FALSE]
  rownames(cells) <- cut_middle(rownames(cells), 24L)
  fits <- min(columns_that_fit(cells[, c(q + 1L, seq_len(q)), drop = FALSE]) - 1L, q)
  fits <- max(fits, 1L)
  print_table(cells[, c(seq_len(fits), q + 1L), drop = FALSE])
  left <- c(if (length(order) > length(shown)) count_of(length(order) - length(shown), "more variable"),
            if (q > fits) count_of(q - fits, "more factor"))
  if (length(left)) cat("  and ", paste(left, collapse = ", "), "\n", sep = "")
}

# Sums of squares of standardised loadings, their share of the variance, and its running sum (3 x q).
fa_variance <- function(x) {
  ss <- colSums(matrix(x$standardized$loadings, length(x$variables))^2)
  share <- ss / length(x$variables)
  matrix(rbind(ss, share, cumsum(share)), 3L,
         dimnames = list(c("SS loadings", "Proportion var", "Cumulative var"), factor_names(x$n_factors)))
}

fa_variance_cells <- function(variance, digits) {
  cells <- matrix(formatC(variance, digits, format = "f"), nrow(variance), dimnames = dimnames(variance))
  if (ncol(cells) == 1L) cells[-3L, , drop = FALSE] else cells
}

print_fa_block <- function(cells) {
  fits <- min(columns_that_fit(cells), ncol(cells))
  print_table(cells[, seq_len(fits), drop = FALSE])
}

print_fa_correlation <- function(correlation, digits) {
  q <- ncol(correlation)
  text <- matrix(formatC(correlation, digits, format = "f"), q, dimnames = dimnames(correlation))
  text[upper.tri(text, diag = TRUE)] <- ""
  print_fa_block(text[-1L, -q, drop = FALSE])
}

fa_test_sentence <- function(x) {
  t <- x$test
  if (t$chi_square_df == 0) return("No test of fit: the model has as many parameters as a covariance matrix.")
  if (is.na(t$criterion)) {
    return(paste0("No test of fit: ", if (x$nobs <= length(x$variables)) "there are no more rows than variables." else
      "the unrestricted covariance matrix has no estimate."))
  }
  # what must not be broken has ~ for its blanks
  paste0("Test that ", count_of(x$n_factors, "factor"), if (x$n_factors == 1L) " is" else " are",
         " sufficient: ", if (is.na(t$chi_square)) "too few rows for its approximation" else paste0(
           "chi-square ", formatC(t$chi_square, digits = 2, format = "f"), " on ", t$chi_square_df, "~df, p~",
           sub(" ", "~", format_p_value(t$p_value))),
         sprintf("; RMSEA~%.3f (90~%%: %.3f~to~%.3f)", t$RMSEA, t$RMSEA_lower, t$RMSEA_upper),
         if (!is.na(t$TLI)) sprintf(", TLI~%.3f", t$TLI), ".")
}

# Wrapped with no break at a ~, which becomes a blank.
wrap_whole <- function(text) gsub("~", " ", strwrap(text, exdent = 2), fixed = TRUE)

fa_ending <- function(x) {
  c(if (length(x$heywood)) paste0("HEYWOOD: the ", heywood_words(x$heywood), " 0."),
    convergence_line(x))
}

#' @rdname print.em_fa
#' @export
summary.em_fa <- function(object, se = NULL, ...) {
  check_dots_empty(..., .function = "summary.em_fa")
  p <- length(object$variables)
  q <- object$n_factors
  if (is.null(se)) {
    work <- as.double(p) * (q + 2)
    se <- work <= 250 && (!is.null(object$covmat) || !is.null(object$data))
  } else {
    check_flag(se, "se")
  }
  errors <- if (se) fa_standard_errors(object)
  structure(list(
    fit = object[c("call", "variables", "n_factors", "type", "rotation", "heywood", "starts", "nobs", "standardized",
                   "factor_correlation")],
    title = fa_title(object), fit_table = fa_fit_cells(object), loadings = object$standardized$loadings,
    uniquenesses = object$standardized$uniquenesses, loadings_se = errors$loadings,
    uniquenesses_se = errors$uniquenesses, variance = fa_variance(object),
    factor_correlation = object$factor_correlation, correlation_se = errors$correlation, test = object$test,
    test_sentence = fa_test_sentence(object), selection = object$selection, report = fa_report(object)
  ), class = "summary.em_fa")
}

# Standard errors in the shape of the standardised estimates, or NULL.
fa_standard_errors <- function(x) {
  variance <- withCallingHandlers(
    tryCatch(vcov(x, standardized = TRUE), em_error = function(e) NULL),
    em_warning = function(w) invokeRestart("muffleWarning"), warning = function(w) invokeRestart("muffleWarning")
  )
  if (is.null(variance)) return(NULL)
  p <- length(x$variables)
  q <- x$n_factors
  se <- sqrt(pmax(diag(variance), 0))
  list(loadings = matrix(se[seq_len(p * q)], p, q, dimnames = dimnames(x$parameters$loadings)),
       uniquenesses = stats::setNames(se[p * q + seq_len(p)], x$variables), correlation = se[-seq_len(p * (q + 1))])
}

fa_report <- function(x, salient = 0.3, few = 3L) {
  size <- abs(matrix(x$standardized$loadings, length(x$variables)))
  weak <- which(colSums(size >= salient) < few)
  cells <- if (is.null(x$data)) 0 else sum(is.na(x$data))
  agree <- starts_that_agree(x)
  tried <- x$starts[!x$starts$status %in% c("screened", "degenerate", "failed"), ]
  lower <- sum(!tried$best)
  p <- length(x$variables)
  other <- other_heywood_words(x)
  c(
    converged = paste0(if (x$converged) "yes" else "NO", ", ", count_of(x$iterations, "iteration"), " (",
                       count_of(x$evaluations, "evaluation"), "); expected remaining gain ",
                       format_gain(x$convergence$remaining_gain, x$loglik), "."),
    starts = if (!is.null(agree) && nrow(x$starts) > 1L) paste0(
      agree$best, " of ", agree$n, " reached the best optimum",
      if (lower > 0L) sprintf("; %s ended at a lower one, by %s at most: there are several maxima",
                              count_of(lower, "start"), format_number(max(x$loglik - tried$loglik), 2)), "."),
    "missing values" = if (cells > 0) paste0(count_of(cells, "cell"), " (",
                                             format(round(100 * cells / length(x$data), 1), nsmall = 1), " %) in ",
                                             count_of(sum(rowSums(is.na(x$data)) > 0), "row"), "."),
    rows = if (x$nobs <= p) paste0("only ", format(x$nobs), " for ", p, " variables: the sample covariance matrix is ",
                                   "singular, and only the model makes the estimates unique."),
    heywood = if (length(x$heywood)) paste0("the ", heywood_words(x$heywood),
                                            " 0: too many factors, or too few rows?") else
                                              "none; all uniquenesses are positive.",
    "other maxima" = if (!is.null(other)) paste0("lower ones have a uniqueness of 0 elsewhere: ", other,
                                                 ". A `start` with those at 0 leads there."),
    "weak factors" = if (length(weak)) paste0(
      abbreviate_list(factor_names(x$n_factors)[weak]), if (length(weak) == 1L) " has" else " have",
      " fewer than ", few, " loadings of at least ", salient, ": poorly determined."),
    parameters = if (x$test$chi_square_df == 0) "as many as a covariance matrix has: the model cannot be tested."
  )
}

#' @rdname print.em_fa
#' @export
print.summary.em_fa <- function(x, digits = 3L, cutoff = 0, sort = FALSE, n_variables = 60L, ...) {
  cat(x$title, "", table_lines(x$fit_table), "", sep = "\n")
  cat("Trust report\n")
  print_report(x$report)
  cat("", strwrap(paste0("Standardised loadings and uniquenesses",
                         if (!is.null(x$loadings_se)) " (standard errors)"), exdent = 2), sep = "\n")
  cells <- fa_loading_cells(x$loadings, x$uniquenesses, digits, cutoff, x$loadings_se, x$uniquenesses_se)
  print_fa_table(cells, fa_variable_order(x$fit, sort), n_variables)
  cat("\n")
  print_fa_block(fa_variance_cells(x$variance, digits))
  if (is_oblique(x)) {
    cat("\nFactor correlations\n")
    print_fa_correlation(x$factor_correlation, digits)
  }
  cat("\n")
  cat(wrap_whole(x$test_sentence), sep = "\n")
  if (nrow(x$selection) > 1L) {
    cat("", strwrap("Numbers of factors (the least BIC is the fit)", exdent = 2), sep = "\n")
    print_fa_selection(x$selection)
  }
  invisible(x)
}

print_fa_selection <- function(table) {
  dash <- function(value, decimals) ifelse(is.na(value), "-", formatC(value, decimals, format = "f"))
  cells <- cbind(loglik = format_loglik(table$loglik), df = format(table$df), BIC = format_loglik(table$BIC),
                 "chi-square" = dash(table$chi_square, 2L), df = format(table$chi_square_df),
                 p = dash(table$p_value, 3L), RMSEA = dash(table$RMSEA, 3L), TLI = dash(table$TLI, 3L),
                 heywood = ifelse(table$heywood > 0, format(table$heywood), ""), status = table$status)
  if (all(table$status == "converged")) cells <- cells[, -ncol(cells), drop = FALSE]
  if (all(table$heywood == 0)) cells <- cells[, colnames(cells) != "heywood", drop = FALSE]
  rownames(cells) <- paste0(table$n_factors, ifelse(seq_along(table$BIC) == which.min(table$BIC), " *", ""))
  print_fa_block(cells)
}
