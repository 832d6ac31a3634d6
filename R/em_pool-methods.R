# Methods of pooled results.

#' Methods for pooled results
#'
#' Accessors of the results of [em_pool()], as other models in R have them.
#'
#' @param object,x A result of [em_pool()].
#' @param use.fallback Ignored; [stats::nobs()] has it.
#' @param type `"total"` (default): the variance T of the pooled estimates; `"within"`: \eqn{\bar U}, the mean of the
#'   variances of the fits; `"between"`: B, the variance between imputations.
#' @param parm Names or numbers of the coefficients; all by default.
#' @param level,conf.level Confidence level. Default: that of the result for `confint()`, 0.95 for `tidy()`.
#' @param cv The coefficient of variation of the standard errors, from one run of imputations to the next, that is
#'   thought small enough. Default 0.05.
#' @param conf.int `TRUE`: confidence limits too. Default `FALSE`.
#' @param exponentiate `TRUE`: exponentials of estimates and limits (odds ratios and the like). Default `FALSE`.
#' @param digits Significant digits of the standard errors, which set the decimals of their rows.
#' @param row.names,optional,... Unused; further arguments are an error.
#' @return `coef()`: the pooled estimates, named. `vcov()`: a matrix. `confint()`: a matrix with a row per coefficient
#'   and a column per limit. `nobs()`: the number of observations of the fits, `NA` if they differ or have none.
#'   `df.residual()`: `df_complete`.
#'
#'   `tidy()`: a data frame (a tibble if that package is installed) in the order of columns of the broom package;
#'   `glance()`: one row with `nobs`, `m`, `df_complete`, `max_fmi`, `average_riv` (over all coefficients,
#'   \eqn{(1 + 1/m) tr(B \bar U^{-1})/p}) and `m_enough`.
#'
#'   `summary()`: a list of class `summary.em_pool` with `coefficients` (the table), `information` (a data frame per
#'   coefficient: `within`, `between`, `riv`, `lambda`, `fmi`, and its 95 % limits `fmi.low` and `fmi.high`),
#'   `mc_error` (the Monte Carlo standard errors of `estimate`, `std.error`, `statistic`, `p.value`, `conf.low`,
#'   `conf.high` and `fmi` by the jackknife, for m > 2), `needed` (imputations needed for each coefficient), `m_enough`
#'   (the largest of these), `cv`, `m`, `df_complete`, `conf_level` and `call`.
#' @seealso [em_pool()]
#' @examples
#' pooled <- em_pool(estimate = cbind(a = c(1.2, 0.9, 1.5), b = c(0.3, 0.2, 0.2)),
#'                   std.error = cbind(c(0.2, 0.2, 0.3), c(0.1, 0.1, 0.1)), df_complete = 50)
#' confint(pooled, "a", level = 0.9)
#' vcov(pooled, "between")
#' glance(pooled)
#' @name em_pool-methods
NULL

#' @rdname em_pool-methods
#' @export
coef.em_pool <- function(object, ...) {
  check_dots_empty(..., .function = "coef.em_pool")
  stats::setNames(object$estimate, object$term)
}

#' @rdname em_pool-methods
#' @export
vcov.em_pool <- function(object, type = c("total", "within", "between"), ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "vcov.em_pool")
  attr(object, type)
}

#' @rdname em_pool-methods
#' @export
confint.em_pool <- function(object, parm, level = attr(object, "conf_level"), ...) {
  check_dots_empty(..., .function = "confint.em_pool")
  check_level(level)
  index <- select_coefficients(parm, object$term)
  limits <- pool_limits(object$estimate, object$std.error, object$df, level)
  dimnames(limits) <- list(object$term, percent_names(c((1 - level) / 2, 1 - (1 - level) / 2)))
  limits[index, , drop = FALSE]
}

#' @rdname em_pool-methods
#' @export
nobs.em_pool <- function(object, ..., use.fallback = FALSE) {
  check_dots_empty(..., .function = "nobs.em_pool")
  attr(object, "nobs")
}

#' @rdname em_pool-methods
#' @export
df.residual.em_pool <- function(object, ...) {
  check_dots_empty(..., .function = "df.residual.em_pool")
  attr(object, "df_complete")
}

#' @rdname em_pool-methods
#' @export
as.data.frame.em_pool <- function(x, row.names = NULL, optional = FALSE, ...) {
  keep <- attributes(x)[c("names", "row.names")]
  attributes(x) <- c(keep, class = "data.frame")
  x
}

# A part of the table no longer is the pooled result of all terms: a plain data frame.
#' @export
`[.em_pool` <- function(x, ...) {
  x <- as.data.frame(x)
  x[...]
}

#' @rdname em_pool-methods
#' @export
tidy.em_pool <- function(x, conf.int = FALSE, conf.level = 0.95, exponentiate = FALSE, ...) {
  check_dots_empty(..., .function = "tidy.em_pool")
  check_flag(conf.int, "conf.int")
  check_flag(exponentiate, "exponentiate")
  table <- as.data.frame(x)
  result <- table[c("term", "estimate", "std.error", "statistic", "p.value", "df")]
  if (conf.int) {
    limits <- confint(x, level = conf.level)
    result$conf.low <- unname(limits[, 1])
    result$conf.high <- unname(limits[, 2])
  }
  if (exponentiate) {
    shown <- intersect(c("estimate", "conf.low", "conf.high"), names(result))
    result[shown] <- exp(result[shown])
  }
  as_tibble_if_installed(cbind(result, table[c("fmi", "riv", "lambda", "mc_error")]))
}

#' @rdname em_pool-methods
#' @export
glance.em_pool <- function(x, ...) {
  check_dots_empty(..., .function = "glance.em_pool")
  as_tibble_if_installed(data.frame(
    nobs = attr(x, "nobs"), m = attr(x, "m"), df_complete = attr(x, "df_complete"),
    max_fmi = if (all(is.na(x$fmi))) NA_real_ else max(x$fmi, na.rm = TRUE),
    average_riv = average_riv(attr(x, "within"), attr(x, "between"), attr(x, "m")),
    m_enough = attr(x, "m_enough")
  ))
}

# The relative increase in variance averaged over all directions of the coefficients, NA if undefined.
average_riv <- function(within, between, m) {
  root <- if (anyNA(within)) NULL else tryCatch(chol(within), error = function(e) NULL)
  if (is.null(root)) return(NA_real_)
  half <- backsolve(root, between, transpose = TRUE)
  (1 + 1 / m) * sum(diag(backsolve(root, t(half), transpose = TRUE))) / nrow(within)
}

#' @rdname em_pool-methods
#' @export
summary.em_pool <- function(object, cv = 0.05, ...) {
  check_dots_empty(..., .function = "summary.em_pool")
  cv <- check_number(cv, "cv", 1e-6, 1)
  m <- attr(object, "m")
  interval <- fmi_interval(object$fmi, m)
  information <- data.frame(
    within = diag(attr(object, "within")), between = diag(attr(object, "between")), riv = object$riv,
    lambda = object$lambda, fmi = object$fmi, fmi.low = interval[, 1], fmi.high = interval[, 2],
    row.names = make.unique(object$term)
  )
  structure(
    list(coefficients = as.data.frame(object), information = information, mc_error = jackknife_error(object),
         needed = stats::setNames(imputations_needed(object, m, cv), object$term),
         m_enough = enough_imputations(object, m, cv), cv = cv, m = m, df_complete = attr(object, "df_complete"),
         conf_level = attr(object, "conf_level"), aliased = attr(object, "aliased"),
         df_differ = attr(object, "df_differ"), call = attr(object, "call")),
    class = "summary.em_pool"
  )
}

# Monte Carlo standard errors (data frame, coefficients x columns) by leaving out one imputation at a time.
jackknife_error <- function(object) {
  estimates <- attr(object, "estimates")
  variances <- attr(object, "variances")
  m <- nrow(estimates)
  columns <- c("estimate", "std.error", "statistic", "p.value", "conf.low", "conf.high", "fmi")
  left_out <- if (m > 2L) vapply(seq_len(m), function(i) {
    kept <- estimates[-i, , drop = FALSE]
    rules <- pool_rules(colMeans(kept), colMeans(variances[-i, , drop = FALSE]), apply(kept, 2L, stats::var), m - 1L,
                        attr(object, "df_complete"))
    do.call(cbind, pool_columns(rules, attr(object, "conf_level"))[columns])
  }, matrix(0, ncol(estimates), length(columns)))
  errors <- if (m > 2L) {
    deviation <- left_out - as.vector(rowMeans(left_out, dims = 2L))
    sqrt(rowSums(deviation^2, dims = 2L) * (m - 1) / m)
  } else {
    matrix(NA_real_, ncol(estimates), length(columns))
  }
  dimnames(errors) <- list(make.unique(object$term), columns)
  as.data.frame(errors)
}

#' @rdname em_pool-methods
#' @export
print.em_pool <- function(x, digits = max(2L, getOption("digits") - 4L), ...) {
  if (is.null(attr(x, "m")) || !all(c("estimate", "std.error", "df", "p.value", "fmi") %in% names(x))) {
    print(as.data.frame(x), ...)
    return(invisible(x))
  }
  print_pool_table(x, attr(x, "m"), digits)
  print_pool_notes(attr(x, "m"), attr(x, "m_enough"), 0.05, attr(x, "df_complete"), attr(x, "df_differ"),
                   attr(x, "aliased"))
  invisible(x)
}

#' @rdname em_pool-methods
#' @export
print.summary.em_pool <- function(x, digits = max(2L, getOption("digits") - 4L), ...) {
  table <- x$coefficients
  print_pool_table(table, x$m, digits)
  cat("\nMissing information (fmi with its 95 % interval)\n")
  info <- x$information
  cells <- cbind(within = format_each(info$within, 3L), between = format_each(info$between, 3L))
  for (name in c("riv", "lambda", "fmi", "fmi.low", "fmi.high")) cells <- cbind(cells, format_share(info[[name]]))
  dimnames(cells) <- list(table$term, names(info))
  print_table(cells)
  cat("\n")
  cat(strwrap(paste0("Monte Carlo error: what another ", x$m, " imputations would change"), exdent = 2), sep = "\n")
  error <- x$mc_error
  error$estimate <- table$mc_error
  cells <- apply(as.matrix(error[c("estimate", "std.error", "p.value", "conf.low", "conf.high")]), 2L, format_each,
                 digits = 2L)
  cells <- cbind(matrix(cells, nrow(table)), ifelse(is.na(x$needed), "-", format(x$needed)))
  dimnames(cells) <- list(table$term, c("estimate", "std.error", "p.value", "conf.low", "conf.high", "m needed"))
  print_table(cells)
  print_pool_notes(x$m, x$m_enough, x$cv, x$df_complete, x$df_differ, x$aliased)
  invisible(x)
}

# The title and the table that print() and summary() share.
print_pool_table <- function(table, m, digits) {
  cat("Pooled over ", count_of(m, "imputation"), " (Rubin's rules)\n\n", sep = "")
  cells <- t(vapply(seq_len(nrow(table)), function(i) {
    row <- unlist(table[i, c("estimate", "std.error", "conf.low", "conf.high")])
    format_to_error(row, row[["std.error"]], digits)
  }, character(4L)))
  p <- ifelse(is.na(table$p.value), "-", sub("^= ", "", format_p_value(table$p.value)))
  cells <- cbind(cells[, 1:2, drop = FALSE], format_df(table$df), p, cells[, 3:4, drop = FALSE],
                 format_share(table$fmi))
  dimnames(cells) <- list(table$term, c("estimate", "std.error", "df", "p.value", "conf.low", "conf.high", "fmi"))
  shown <- if (nrow(cells) > 25L) seq_len(20L) else seq_len(nrow(cells))
  print_table(cells[shown, , drop = FALSE])
  if (length(shown) < nrow(cells)) cat("  and ", nrow(cells) - length(shown), " more terms\n", sep = "")
}

# Degrees of freedom with at most one decimal, shares with two.
format_df <- function(df) {
  decimals <- if (any(df >= 1000 & is.finite(df), na.rm = TRUE)) 0L else 1L
  ifelse(is.na(df), "-", ifelse(df >= 1e6, "Inf", formatC(df, format = "f", digits = decimals)))
}
format_share <- function(x) {
  ifelse(is.na(x), "-", ifelse(x > 1e4, "Inf", formatC(x, format = "f", digits = 2)))
}

# What to know about the table: degrees of freedom, whether m is enough, what was left out.
print_pool_notes <- function(m, m_enough, cv, df_complete, df_differ, aliased) {
  complete <- if (is.finite(df_complete)) {
    paste0("Complete-data degrees of freedom: ", format(df_complete),
           if (isTRUE(df_differ)) ", the smallest of the fits", ".")
  } else {
    "Large-sample degrees of freedom."
  }
  enough <- if (!is.na(m_enough)) {
    paste0("Standard errors that vary by ", format(100 * cv), " % between runs take m = ", m_enough,
           if (m_enough <= m) ": enough.", if (m_enough > m) ".")
  }
  left_out <- if (length(aliased)) paste0("Not estimated in any fit: ", abbreviate_list(aliased), ".")
  cat("\n")
  for (note in c(complete, enough, left_out)) cat(strwrap(note, exdent = 2), sep = "\n")
}
