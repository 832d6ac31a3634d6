# Methods of imputations: what is printed, predictions for new data, parameters.

#' Print and summarise imputations
#'
#' `print()` says in a few lines what was imputed, from which model, and whether it can be trusted; `summary()` says for
#' every column what was done, and compares imputed with observed values.
#'
#' @param x,object Imputations from [em_impute()], or their summary.
#' @param digits Significant digits.
#' @param ... Unused, and an error.
#' @return `print()`: its argument, invisibly. `summary()`: a list of class `summary.em_impute` with `columns` (the
#'   table of the fit), `values` (data frame: observed and imputed mean and standard deviation, share of imputed values
#'   outside the observed range), `shares` (list: observed and imputed shares of categories), `trust` (named character)
#'   and the fit's own fields.
#' @seealso [em_impute()]
#' @examples
#' imp <- em_impute(airquality, m = 5)
#' imp
#' summary(imp)
#' @name print.em_impute
NULL

#' @rdname print.em_impute
#' @export
print.em_impute <- function(x, ...) {
  cat(impute_title(x), "\n", sep = "")
  cat(paste0("  ", format_call(x$call)), sep = "\n")
  cat("\n")
  print_report(impute_items(x), width = 12L, most = 2L)
  cat("\n", if (x$m > 0L) "em_complete() gives the data, with() analyses them, " else "predict() imputes new data, ",
      "summary() says more.\n", sep = "")
  invisible(x)
}

impute_title <- function(x) {
  size <- sprintf("%s x %s", count_of(x$n_rows, "row"), count_of(nrow(x$columns), "column"))
  how <- switch(x$method, posterior = "by posterior draws", bootstrap = "by bootstrap", mean = "by conditional means")
  if (x$m == 0L) return(paste0("Imputation model of ", size))
  paste0(count_of(x$m, "imputation"), " of ", size, ", ", how)
}

impute_items <- function(x) {
  table <- x$columns
  filled <- table[table$n_missing > 0L & table$action %in% c("imputed", "constant"), ]
  left <- table[table$n_missing > 0L & table$action == "carried", ]
  cells <- sum(filled$n_missing)
  rows <- length(unique(unlist(x$where)))
  what <- if (nrow(filled) == 0L) "nothing" else paste0(
    abbreviate_list(sprintf("%s (%s)", filled$name, format_count(filled$n_missing)), 8L), ": ", count_of(cells, "cell"),
    if (x$m > 0L) paste(" in", count_of(rows, "row"))
  )
  c(
    stats::setNames(list(what), if (x$m > 0L) "imputed" else "missing"),
    if (nrow(left) > 0L) list("NOT imputed" = abbreviate_list(
      sprintf("%s (%s)", left$name, format_count(left$n_missing)), 8L)),
    model_items(x)
  )
}

# What both print() and summary() say of the model.
model_items <- function(x) {
  d <- length(x$parameters$mean)
  words <- switch(x$model, normal = "joint normal of", latent = "latent normal of", none = "none")
  list(
    model = if (x$model == "none") "none: no column is modelled" else paste0(
      words, " ", count_of(d, if (x$model == "normal") "variable" else "dimension"),
      if (!is.na(x$loglik)) paste0(", log-likelihood ", format_loglik(x$loglik))
    ),
    converged = converged_words(x),
    chain = chain_words(x),
    prior = prior_words(x$prior)
  )
}

converged_words <- function(x) {
  if (x$model == "none") return("yes, nothing to fit")
  if (grepl("^in closed form", x$message)) return(paste("yes,", x$message))
  sub("\\.$", "", sub("^Converged", "yes,", convergence_line(x)))
}

chain_words <- function(x) {
  worst <- x$chain$worst
  paste0(
    if (isTRUE(x$chain$exact) && x$m > 0L) "none needed: exact draws, as the patterns are monotone",
    if (isTRUE(x$chain$exact) && x$m > 0L && !is.na(worst)) "; ",
    if (isTRUE(x$chain$spacing > 0L) && x$m > 0L) paste0(count_of(x$chain$spacing, "step"), " each; "),
    if (x$model == "latent" && is.na(worst)) {
      "none"
    } else if (x$model == "latent") {
      paste("autocorrelation of a step", format(round(worst, 3), nsmall = 3))
    } else if (is.na(worst)) {
      if (!isTRUE(x$chain$exact)) "none"
    } else {
      paste0("worst fraction of missing information ", format(round(worst, 3), nsmall = 3),
             switch(x$chain$worst_by, rate = ", by the rate of EM",
                    share = ", the largest share of missing values in a column"))
    }
  )
}

prior_words <- function(prior) {
  if (is.null(prior)) return("none")
  if (!is.null(prior$words)) return(paste0(prior$words, if (!is.null(prior$reason)) paste0(": ", prior$reason)))
  if (is.null(prior$lambda)) return(describe_mvnorm_prior(prior$prior))
  paste0("ridge of ", count_of_pseudo(prior$lambda), if (!is.null(prior$reason)) paste0(": ", prior$reason))
}

#' @rdname print.em_impute
#' @export
summary.em_impute <- function(object, ...) {
  check_dots_empty(..., .function = "summary.em_impute")
  kept <- c("call", "m", "method", "n_rows", "model", "parameters", "loglik", "df", "nobs", "converged", "status",
            "message", "iterations", "starts", "chain", "prior", "where")
  structure(c(object[kept[kept %in% names(object)]],
              list(columns = object$columns, values = impute_values(object), dated = dated_columns(object),
                   shares = impute_shares(object), trust = impute_trust(object))), class = "summary.em_impute")
}

# Numbers as dates or times of a column.
format_dated <- function(like, x) {
  if (inherits(like, "Date")) return(format(as.Date(x, origin = "1970-01-01")))
  format(as.POSIXct(x, origin = "1970-01-01", tz = if (is.null(attr(like, "tzone"))) "" else attr(like, "tzone")),
         "%Y-%m-%d %H:%M")
}

# Observed and imputed means of numeric columns.
impute_values <- function(x) {
  rows <- lapply(names(x$imputed), function(name) {
    spec <- x$encoder$specs[[name]]
    if (spec$role != "numbers") return(NULL)
    observed <- plain_double(data_column(x, name)[-x$where[[name]]])
    imputed <- as.double(x$imputed[[name]])
    data.frame(column = name, observed_mean = mean(observed), imputed_mean = mean(imputed),
               observed_sd = stats::sd(observed), imputed_sd = stats::sd(imputed),
               outside = mean(imputed < min(observed) | imputed > max(observed)), stringsAsFactors = FALSE)
  })
  do.call(rbind, rows)
}

dated_columns <- function(x) {
  Filter(function(t) inherits(t, c("Date", "POSIXct")), lapply(x$encoder$specs[names(x$imputed)], `[[`, "template"))
}

# Observed and imputed shares of categories: a list of 2 x K matrices.
impute_shares <- function(x) {
  shares <- lapply(stats::setNames(names(x$imputed), names(x$imputed)), function(name) {
    spec <- x$encoder$specs[[name]]
    if (spec$role != "codes") return(NULL)
    observed <- category_codes(spec, data_column(x, name)[-x$where[[name]]])
    imputed <- x$imputed[[name]]
    code <- if (is.character(spec$values)) as.vector(imputed) else match(as.vector(imputed), spec$values)
    k <- length(spec$values)
    table <- rbind(observed = tabulate(observed, k) / length(observed), imputed = tabulate(code, k) / length(code))
    colnames(table) <- spec$labels
    table
  })
  Filter(Negate(is.null), shares)
}

# A column of the data by its (unique) name.
data_column <- function(x, name) {
  j <- match(name, names(x$encoder$specs))
  data_columns(x$data)$columns[[j]]
}

# Named sentences on what to mind.
impute_trust <- function(x) {
  values <- impute_values(x)
  far <- values[values$outside >= 0.0005, , drop = FALSE]
  fit <- x$fit
  identification <- if (x$model == "normal") fit$identification
  loose <- identification$coefficients
  held <- if (length(loose) == 0L && NROW(identification$never_together) > 0L) identification$relations
  c(
    if (length(x$empty_rows) > 0L) c("empty rows" = sprintf(
      "%s without any observed value: imputed from the marginal distribution.", abbreviate_list(x$empty_rows))),
    if (NROW(far) > 0L) c("range" = paste0(
      "imputed values outside the observed range: ",
      abbreviate_list(sprintf("%s %s%%", far$column, format(round(100 * far$outside, 1), trim = TRUE))),
      if (any(far$outside > 0.02)) ". `bounds` or `transform` keep them in.")),
    if (length(loose) > 0L) c("identified" = sprintf(
      "NOT determined by the data, and left where the iteration started: %s.", abbreviate_list(loose, 4L))),
    if (length(held) > 0L) c("identified" = sprintf("only the prior determines what the data do not: %s.",
                                                    abbreviate_list(held, 4L))),
    if (length(fit$modes) > 1L) c("modes" = sprintf("the likelihood has %d equally high maxima.", length(fit$modes))),
    if (isTRUE(x$chain$worst > 0.95)) c("information" = sprintf(
      "a direction of the parameters has lost %.1f%% of its information: expect wide intervals.", 100 * x$chain$worst))
  )
}

#' @rdname print.em_impute
#' @export
print.summary.em_impute <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  most <- 40L
  cat(impute_title(x), "\n", sep = "")
  cat(paste0("  ", format_call(x$call)), sep = "\n")
  cat("\nColumns\n")
  print_columns(x, most)
  if (!is.null(x$values)) {
    cat("\nImputed beside observed values\n")
    v <- utils::head(x$values, most)
    pair <- function(a, b) t(mapply(function(p, q) format_number(c(p, q), digits), a, b))
    means <- pair(v$observed_mean, v$imputed_mean)
    for (i in which(v$column %in% names(x$dated))) {
      means[i, ] <- format_dated(x$dated[[v$column[i]]], c(v$observed_mean[i], v$imputed_mean[i]))
    }
    sds <- pair(v$observed_sd, v$imputed_sd)
    cells <- cbind(means, sds, paste0(format(round(100 * v$outside, 1), nsmall = 1), "%"))
    dimnames(cells) <- list(v$column, c("mean obs.", "imp.", "sd obs.", "imp.", "outside range"))
    print_table(cells)
    if (nrow(x$values) > most) cat("  and ", nrow(x$values) - most, " more columns, see summary()$values\n", sep = "")
  }
  for (name in utils::head(names(x$shares), 8L)) {
    cat("\nShares of ", name, "\n", sep = "")
    cells <- format(round(x$shares[[name]], 3), nsmall = 3)
    colnames(cells) <- cut_middle(colnames(cells), 14L)
    print_table(cells[, seq_len(min(columns_that_fit(cells), ncol(cells))), drop = FALSE])
  }
  cat("\nTrust report\n")
  print_report(c(model_items(x), as.list(x$trust)), width = 12L, most = 4L)
  invisible(x)
}

# The table of columns, notes last and wrapped below their column where they are long.
print_columns <- function(x, most) {
  table <- x$columns[seq_len(min(nrow(x$columns), most)), ]
  share <- 100 * table$n_missing / x$n_rows
  missing <- ifelse(table$n_missing == 0L, "-", sprintf("%s (%.*f%%)", format_count(table$n_missing),
                                                        ifelse(share < 9.95, 1, 0), share))
  cells <- cbind(type = pad_right(table$type), missing = missing, action = pad_right(table$action))
  rownames(cells) <- cut_middle(table$name, 20L)
  lines <- table_lines(cells)
  width <- max(nchar(lines)) + 2L
  notes <- c("", table$note)
  room <- max(20L, getOption("width") - width)
  for (i in seq_along(lines)) {
    note <- strwrap(notes[i], room)
    first <- if (length(note) > 0L) paste0(formatC(lines[i], width = -width), note[1L]) else sub(" +$", "", lines[i])
    cat(first, if (length(note) > 1L) paste0(strrep(" ", width), note[-1L]), sep = "\n")
  }
  if (nrow(x$columns) > most) cat("  and ", nrow(x$columns) - most, " more columns, see fit$columns\n", sep = "")
}

# --- parameters ---------------------------------------------------------------------------------------------------

#' Parameters of an imputation model
#'
#' The mean and the covariance matrix of the model of [em_impute()], on the scale of its transformations, and for a
#' joint normal model their variance matrix, log-likelihood and information criteria.
#'
#' @param object,x Imputations from [em_impute()].
#' @param ... For `vcov()`, arguments of `vcov()` for [em_mvnorm()], such as `type = "sandwich"`. Otherwise unused, and
#'   an error.
#' @param conf.int `TRUE`: confidence limits too. Default `FALSE`.
#' @param conf.level Confidence level. Default 0.95.
#' @param imputation For `augment()`: the number of the imputation. Default 1.
#' @return `coef()`: named vector, means first, then the lower triangle of the covariance matrix by columns; `vcov()`:
#'   its variance matrix. `tidy()`: a row per coefficient. `glance()`: a row with `m`, `method`, `model`, `n_missing`,
#'   `worst` (fraction of missing information), `logLik`, `AIC`, `BIC`, `df`, `nobs`, `converged`, `iterations`.
#'   `augment()`: a completed data set with a column `.n_imputed`, the number of imputed cells in the row.
#' @examples
#' imp <- em_impute(airquality[1:4], m = 3)
#' sqrt(diag(vcov(imp)))[1:4]
#' glance(imp)
#' @name coef.em_impute
NULL

#' @rdname coef.em_impute
#' @export
coef.em_impute <- function(object, ...) {
  check_dots_empty(..., .function = "coef.em_impute")
  mean <- object$parameters$mean
  covariance <- object$parameters$covariance
  lower <- which(lower.tri(covariance, diag = TRUE), arr.ind = TRUE)
  names <- if (is.null(names(mean))) seq_along(mean) else names(mean)
  stats::setNames(c(mean, covariance[lower]),
                  c(if (length(mean) > 0L) paste0("mean[", names, "]"),
                    if (length(mean) > 0L) paste0("covariance[", names[lower[, 1L]], ",", names[lower[, 2L]], "]")))
}

#' @rdname coef.em_impute
#' @export
vcov.em_impute <- function(object, ...) {
  if (object$model != "normal") {
    em_abort("Only a joint normal model has a variance matrix; this one is latent. Use with() and em_pool().",
             "not_available")
  }
  fit <- object$fit
  fit$data <- encode_data(object$encoder, data_columns(object$data))
  stats::vcov(fit, ...)
}

#' @rdname coef.em_impute
#' @export
tidy.em_impute <- function(x, conf.int = FALSE, conf.level = 0.95, ...) {
  check_level(conf.level, "conf.level")
  estimate <- coef(x)
  result <- data.frame(term = names(estimate), estimate = unname(estimate), stringsAsFactors = FALSE)
  if (x$model == "normal") {
    se <- sqrt(diag(vcov(x, ...)))
    result$std.error <- unname(se)
    if (conf.int) {
      limits <- wald_intervals(estimate, se, conf.level)
      result$conf.low <- unname(limits[, 1L])
      result$conf.high <- unname(limits[, 2L])
    }
  } else {
    check_dots_empty(..., .function = "tidy.em_impute")
  }
  as_tibble_if_installed(result)
}

#' @rdname coef.em_impute
#' @export
glance.em_impute <- function(x, ...) {
  check_dots_empty(..., .function = "glance.em_impute")
  known <- !is.na(x$loglik)
  as_tibble_if_installed(data.frame(
    m = x$m, method = x$method, model = x$model, n_missing = sum(x$columns$n_missing), worst = x$chain$worst,
    logLik = x$loglik, AIC = if (known) -2 * x$loglik + 2 * x$df else NA_real_,
    BIC = if (known) -2 * x$loglik + log(x$nobs) * x$df else NA_real_, df = x$df, nobs = x$nobs,
    converged = isTRUE(x$converged), iterations = x$iterations, stringsAsFactors = FALSE
  ))
}

#' @rdname coef.em_impute
#' @export
augment.em_impute <- function(x, imputation = 1L, ...) {
  check_dots_empty(..., .function = "augment.em_impute")
  data <- em_complete(x, check_count(imputation, "imputation", 0L, x$m))
  data <- as.data.frame(data)
  counts <- integer(x$n_rows)
  for (rows in x$where) counts[rows] <- counts[rows] + 1L
  data$.n_imputed <- counts
  as_tibble_if_installed(data)
}
