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

# --- predictions --------------------------------------------------------------------------------------------------

#' Impute new data with a fitted imputer
#'
#' Fills in the missing values of new rows from the parameters that were fitted, without fitting again: for training
#' and test data, or rows that come one by one. Any pattern of missing values will do.
#'
#' @param object Imputations, or a model (`method = "none"`), from [em_impute()].
#' @param newdata Data with the columns of the data that were imputed (carried columns may be absent; more columns are
#'   carried along). Default: the data themselves. A category that those did not have is an error of class
#'   `em_error_new_category` in a column that had missing values; in one that had none, and so only helps to impute
#'   others, it stays in the result, counts as missing for the model, and gives a warning of class
#'   `em_warning_new_category`.
#' @param type `"mean"` (default): `newdata` with conditional means (for transformed columns: medians; most probable
#'   categories). `"draw"`: with one draw from the conditional distribution, at the estimated parameters. `"class"`: as
#'   `"mean"`, but only the categorical columns are filled. `"probability"`: a list with, for each categorical column of
#'   the model, the n x K matrix of probabilities of its categories (1 and 0 where observed). `"interval"`: a data frame
#'   with a row for each missing numeric cell: `row`, `column`, `estimate`, `lower`, `upper`.
#' @param level For `"interval"`: the probability that an interval holds the value. Default 0.95.
#' @param ... Unused, and an error.
#' @return See `type`.
#' @seealso [step_impute_em()]
#' @examples
#' train <- airquality[1:100, ]
#' imp <- em_impute(train, method = "none")
#' head(predict(imp, airquality[101:153, ]))
#' new <- data.frame(Ozone = NA, Solar.R = 200, Wind = 10, Temp = 80, Month = 7, Day = 1)
#' predict(imp, new, type = "interval")
#' @export
predict.em_impute <- function(object, newdata = NULL, type = c("mean", "draw", "class", "probability", "interval"),
                              level = 0.95, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "predict.em_impute")
  check_level(level)
  new <- new_columns(object, if (is.null(newdata)) object$data else newdata)
  x <- encode_data(object$encoder, new, "`newdata`: column")
  if (type == "probability") return(category_probabilities(object, x))
  if (type == "interval") return(predict_intervals(object, new, x, level))
  filled <- fill_dummies(object, x, type == "draw")
  # means of numbers are over all categories that are possible; draws belong to the category that was drawn
  z <- if (type == "draw") model_rows(object, filled, "draw") else model_rows(object, x, "mean")
  dummies <- unlist(lapply(object$encoder$specs, function(s) if (s$role == "dummies") s$model), use.names = FALSE)
  if (object$model == "normal") z[, dummies] <- filled[, dummies]
  specs <- object$encoder$specs
  for (j in seq_along(new$columns)) {
    spec <- specs[[j]]
    if (spec$role == "carried" || (type == "class" && is.null(spec$values))) next
    where <- new$missing(j)
    if (length(where) > 0L) {
      new$columns[[j]] <- fill_new_column(new$columns[[j]], where, predicted_values(spec, z, where), spec)
    }
  }
  new$restore(new$columns)
}

# The columns of new data in the order of the encoder, those that it does not need possibly NULL, and how to put them
# back.
new_columns <- function(object, newdata) {
  encoder <- object$encoder
  specs <- Filter(function(s) s$role != "panel", encoder$specs)
  names <- names(specs)
  if (is.atomic(newdata) && is.null(dim(newdata)) && encoder$shape != "vector" && length(newdata) == length(specs)) {
    newdata <- matrix(newdata, 1L, dimnames = list(NULL, names(newdata)))
  }
  input <- data_columns(newdata, "newdata")
  position <- if (is.null(colnames(newdata)) && length(input$columns) == length(specs)) {
    seq_along(specs)
  } else {
    match(names, input$names)
  }
  needed <- !vapply(specs, function(s) s$role %in% c("carried", "linear"), NA)
  needed[names %in% c(encoder$panel$time, encoder$panel$cs)] <- TRUE
  absent <- names[needed & is.na(position)]
  if (length(absent) > 0L) {
    em_abort(sprintf("`newdata` lacks the column%s %s.", if (length(absent) > 1L) "s" else "",
                     abbreviate_list(dQuote(absent, FALSE))), "newdata", columns = absent)
  }
  columns <- lapply(seq_along(specs), function(j) if (is.na(position[j])) NULL else input$columns[[position[j]]])
  list(
    columns = columns, n = input$n, names = names,
    missing = function(j) if (is.null(columns[[j]])) integer() else which(missing_cells(columns[[j]])),
    restore = function(filled) {
      if (input$shape == "vector") return(filled[[1L]])
      used <- which(!is.na(position))
      if (input$shape == "matrix") {
        for (j in used) newdata[, position[j]] <- filled[[j]]
        return(newdata)
      }
      all <- input$columns
      all[position[used]] <- filled[used]
      restore_frame(all, newdata)
    }
  )
}

# The model's matrix with its missing cells filled: "mean", "draw", or "sd" of them.
model_rows <- function(object, x, what) {
  if (object$model == "none" || !anyNA(x)) return(x)
  encoder <- object$encoder
  threads <- resolve_threads(object$control)
  key <- if (what == "draw") draw_key() else c(0, 0)
  if (object$model == "normal") {
    if (what == "mean") return(bounded_means(x, object$parameters, encoder, threads))
    return(mvnorm_rows_(x, object$parameters$mean, object$parameters$covariance, what, encoder$lower, encoder$upper,
                        key, threads))
  }
  z <- latent_rows_(x, encoder$kind, encoder$levels, encoder$mass, object$fit, what, 1L, key, threads)
  dim(z) <- dim(x)
  z
}

# For a latent model: a list of matrices of probabilities named by the model's column.
latent_probabilities <- function(object, x) {
  encoder <- object$encoder
  p <- latent_rows_(x, encoder$kind, encoder$levels, encoder$mass, object$fit, "probability", 1L, c(0, 0),
                    resolve_threads(object$control))
  stats::setNames(p, seq_along(p))
}

# For a latent model: quantiles of the missing cells, from draws; list of matrices, one for each tail.
latent_quantiles <- function(object, x, tails, n_draws = 400L) {
  encoder <- object$encoder
  result <- list(x, x)
  rows <- which(rowSums(is.na(x)) > 0L)
  # blocks of rows that keep the draws below some 50 MB
  block <- max(1L, as.integer(6e6 / (n_draws * ncol(x))))
  for (part in split(rows, (seq_along(rows) - 1L) %/% block)) {
    own <- x[part, , drop = FALSE]
    draws <- latent_rows_(own, encoder$kind, encoder$levels, encoder$mass, object$fit, "draw", n_draws, draw_key(),
                          resolve_threads(object$control))
    dim(draws) <- c(length(own), n_draws)
    missing <- which(is.na(own))
    limits <- apply(draws[missing, , drop = FALSE], 1L, stats::quantile, probs = tails, names = FALSE, type = 1L)
    for (i in 1:2) {
      own[missing] <- limits[i, ]
      result[[i]][part, ] <- own
    }
  }
  result
}

# Stored values of the rows `where` of a column, from the filled matrix.
predicted_values <- function(spec, z, where) {
  if (spec$role == "constant") {
    value <- if (is.null(spec$values)) constant_value(spec) else decode_codes(spec, 1L)
    return(rep(value, length(where)))
  }
  part <- z[where, spec$model, drop = FALSE]
  if (spec$role == "linear") {
    part <- linear_values(spec$relation, z[where, , drop = FALSE])
    spec$role <- spec$relation$role
  }
  if (spec$role == "dummies") return(decode_codes(spec, max.col(cbind(1 - rowSums(part), part), "first")))
  decode_values(spec, as.vector(part))
}

# Columns that left the model because they are linear in others of it.
linear_values <- function(relation, z) {
  z[, relation$model, drop = FALSE] %*% relation$coefficients + rep(relation$constant, each = nrow(z))
}

# Probabilities (rows x K) of the categories of a column that was complete when the model was fitted, for rows where it
# is missing: by Bayes' rule from the density of what is observed given each category, which is the joint density of
# observation and dummies divided by that of the dummies alone, and the shares of the categories.
dummy_probabilities <- function(object, x, spec) {
  mean <- object$parameters$mean
  covariance <- object$parameters$covariance
  own <- spec$model
  k <- length(spec$values)
  codes <- rbind(0, diag(k - 1L))
  density <- function(x) {
    free <- rep(Inf, length(mean))
    mvnorm_rows_(x, mean, covariance, "log_density", -free, free, c(0, 0), resolve_threads(object$control))
  }
  alone <- matrix(NA_real_, k, ncol(x))
  alone[, own] <- codes
  share <- pmax(c(1 - sum(mean[own]), mean[own]), .Machine$double.xmin)
  log_p <- vapply(seq_len(k), function(j) {
    x[, own] <- rep(codes[j, ], each = nrow(x))
    density(x) + log(share[j])
  }, numeric(nrow(x)))
  log_p <- matrix(log_p, nrow(x), k) - rep(density(alone), each = nrow(x))
  p <- exp(log_p - row_max(log_p))
  p / rowSums(p)
}

# Fills in missing categories of columns that were complete when the model was fitted, one column after the other: the
# most probable, or one drawn. Returns the matrix with their dummies.
fill_dummies <- function(object, x, draw) {
  if (object$model != "normal") return(x)
  for (spec in object$encoder$specs) {
    if (spec$role != "dummies") next
    rows <- which(is.na(x[, spec$model[1L]]))
    if (length(rows) == 0L) next
    p <- dummy_probabilities(object, x[rows, , drop = FALSE], spec)
    code <- if (draw) {
      1L + as.integer(rowSums(stats::runif(length(rows)) > t(apply(p, 1L, cumsum))[, -ncol(p), drop = FALSE]))
    } else {
      max.col(p, "first")
    }
    x[rows, spec$model] <- rbind(0, diag(length(spec$values) - 1L))[code, ]
  }
  x
}

# As fill_column(), but the column may be of another class than in the data of the fit: a factor's levels by their
# names, whole NA columns (logical in R) of the type that the fit knows.
fill_new_column <- function(x, where, value, spec) {
  template <- spec$template
  if (is.factor(template)) {
    labels <- levels(template)[value]
    if (is.factor(x)) {
      new <- setdiff(labels, levels(x))
      if (length(new) > 0L) levels(x) <- c(levels(x), levels(template)[levels(template) %in% new])
      x[where] <- labels
      return(x)
    }
    x <- as.character(x)
    x[where] <- labels
    return(if (all(is.na(x[-where]))) factor(x, levels(template), ordered = is.ordered(template)) else x)
  }
  if (is.logical(x) && all(is.na(x)) && !is.logical(template)) {
    kept <- attributes(template)
    x <- rep(vector(typeof(template), 1L), length(x))
    x[] <- NA
    kept$names <- NULL
    attributes(x) <- kept
  }
  if (is.factor(x)) x <- as.character(x)
  fill_column(x, where, value, spec)
}

# Probabilities of the categories of each categorical column of the model.
category_probabilities <- function(object, x) {
  specs <- Filter(function(s) s$role %in% c("codes", "dummies"), object$encoder$specs)
  if (length(specs) == 0L) {
    em_abort("No column of the model is categorical: there are no probabilities.", "no_categories")
  }
  p <- if (object$model == "latent") latent_probabilities(object, x)
  lapply(specs, function(spec) {
    table <- if (spec$role == "dummies") known_or_probable(object, x, spec) else p[[as.character(spec$model)]]
    colnames(table) <- spec$labels
    table
  })
}

# Of a column of dummies: 1 and 0 where observed, probabilities where missing.
known_or_probable <- function(object, x, spec) {
  dummies <- x[, spec$model, drop = FALSE]
  rows <- which(is.na(dummies[, 1L]))
  table <- unname(cbind(1 - rowSums(dummies), dummies))
  if (length(rows) > 0L) {
    table[rows, ] <- if (object$model == "normal") {
      dummy_probabilities(object, x[rows, , drop = FALSE], spec)
    } else {
      shares <- model_rows(object, x[rows, , drop = FALSE], "mean")[, spec$model, drop = FALSE]
      shares <- pmax(cbind(1 - rowSums(shares), shares), 0)
      shares / rowSums(shares)
    }
  }
  table
}

# Intervals of missing numeric cells.
predict_intervals <- function(object, new, x, level) {
  tails <- c(1 - level, 1 + level) / 2
  cells <- missing_intervals(object, x, tails)
  pieces <- lapply(seq_along(new$columns), function(j) {
    spec <- object$encoder$specs[[j]]
    if (spec$role != "numbers") return(NULL)
    where <- new$missing(j)
    if (length(where) == 0L) return(NULL)
    value <- lapply(cells, function(z) as.double(decode_values(spec, z[where, spec$model])))
    ends <- cbind(value$lower, value$upper)
    data.frame(row = where, column = rep(spec$name, length(where)), estimate = value$mean,
               lower = pmin(ends[, 1L], ends[, 2L]), upper = pmax(ends[, 1L], ends[, 2L]), stringsAsFactors = FALSE)
  })
  table <- do.call(rbind, pieces)
  if (is.null(table)) {
    table <- data.frame(row = integer(), column = character(), estimate = numeric(), lower = numeric(),
                        upper = numeric())
  }
  table <- table[order(table$row, match(table$column, new$names)), , drop = FALSE]
  row.names(table) <- NULL
  table
}

# list(mean, lower, upper): matrices on the model's scale, limits at the given tail probabilities.
missing_intervals <- function(object, x, tails) {
  if (object$model == "none") return(list(mean = x, lower = x, upper = x))
  mean <- model_rows(object, x, "mean")
  if (object$model == "normal") {
    # of the normal distribution, truncated to the bounds
    free <- list(lower = rep(-Inf, ncol(x)), upper = rep(Inf, ncol(x)))
    centre <- mvnorm_rows_(x, object$parameters$mean, object$parameters$covariance, "mean", free$lower, free$upper,
                           c(0, 0), resolve_threads(object$control))
    sd <- model_rows(object, x, "sd")
    low <- stats::pnorm(sweep(-centre, 2L, object$encoder$lower, `+`) / pmax(sd, .Machine$double.xmin))
    high <- stats::pnorm(sweep(-centre, 2L, object$encoder$upper, `+`) / pmax(sd, .Machine$double.xmin))
    limit <- function(p) {
      q <- centre + sd * stats::qnorm(low + p * (high - low))
      q <- pmin(pmax(q, rep(object$encoder$lower, each = nrow(x))), rep(object$encoder$upper, each = nrow(x)))
      q[is.nan(q)] <- centre[is.nan(q)]
      q
    }
    return(list(mean = mean, lower = limit(tails[1L]), upper = limit(tails[2L])))
  }
  limits <- latent_quantiles(object, x, tails)
  list(mean = mean, lower = limits[[1L]], upper = limits[[2L]])
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
