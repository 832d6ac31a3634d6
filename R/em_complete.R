# Completed data from imputations, and analyses of them.

#' Completed data sets
#'
#' Puts the imputed values of [em_impute()] into the data: one data set, several, or all of them stacked.
#'
#' @param imp,data Imputations from [em_impute()]; for `with()` also a list of data frames.
#' @param action A number (default 1): that data set. Several numbers, or `"all"`: a list of data sets named by their
#'   numbers. `"long"`: all of them below each other, with the columns `.imp` (the number of the imputation) and `.id`
#'   (the row) in front.
#' @param include `TRUE`: with `"all"` and `"long"`, the data as given too, as imputation 0. Default `FALSE`.
#' @param ... Unused, and an error.
#' @return For one number, data of the class that was imputed: data frame, tibble, data.table, matrix or vector, with
#'   everything but the imputed cells as it was. For several a list of these, of class
#'   `c("em_imputation_list", "list")`. For `"long"` a data frame (tibble, data.table).
#'
#'   `with()`: a list of class `c("em_impute_fits", "list")` with the value of the expression for each of the completed
#'   data sets, ready for [em_pool()]. Its `summary()`: a list of class `summary.em_impute_fits` with `fits`,
#'   `estimates` (data sets x coefficients, or `NULL`) and `pooled`, the value of [em_pool()] (or `NULL`).
#' @details
#' `complete()` of the package tidyr, which mice uses too, has a method that does the same.
#' @seealso [em_impute()], [em_pool()]
#' @examples
#' set.seed(1)
#' imp <- em_impute(airquality, m = 3)
#' head(em_complete(imp, 2))
#' dim(em_complete(imp, "long", include = TRUE))
#' fits <- with(imp, lm(Ozone ~ Wind + Temp))
#' fits
#' @export
em_complete <- function(imp, action = 1L, include = FALSE, ...) {
  check_dots_empty(..., .function = "em_complete")
  if (!inherits(imp, "em_impute")) check_fails("imp", "made by em_impute()", imp)
  include <- check_flag(include, "include")
  numbers <- imputation_numbers(action, imp)
  if (identical(action, "long")) return(complete_long(imp, if (include) c(0L, numbers) else numbers))
  if (identical(action, "all") && include) numbers <- c(0L, numbers)
  if (length(numbers) == 1L && !identical(action, "all")) return(complete_one(imp, numbers))
  structure(lapply(stats::setNames(numbers, numbers), function(i) complete_one(imp, i)),
            class = c("em_imputation_list", "list"))
}

# Which imputations `action` means.
imputation_numbers <- function(action, imp) {
  if (identical(action, "all") || identical(action, "long")) return(seq_len(imp$m))
  fine <- is.numeric(action) && length(action) > 0L && !anyNA(action) && all(action %in% 0:imp$m)
  if (!fine) {
    if (imp$m == 0L) em_abort("There are no imputations: the fit was made with `method = \"none\"`.", "no_imputations")
    check_fails("action", sprintf("numbers of imputations, 1 to %d (0: the data), \"all\" or \"long\"", imp$m), action)
  }
  as.integer(action)
}

# One completed data set in the class of the data.
complete_one <- function(imp, i) {
  data <- imp$data
  if (i == 0L || length(imp$imputed) == 0L) return(data)
  fill <- function(x, name) {
    fill_column(x, imp$where[[name]], imp$imputed[[name]][, i], imp$encoder$specs[[name]])
  }
  if (imp$encoder$shape == "vector") return(fill(data, "x"))
  positions <- match(names(imp$imputed), names(imp$encoder$specs))
  if (imp$encoder$shape == "matrix") {
    for (j in positions) data[, j] <- fill(data[, j], names(imp$encoder$specs)[j])
    return(data)
  }
  columns <- unclass(data)
  for (j in positions) columns[[j]] <- fill(columns[[j]], names(imp$encoder$specs)[j])
  restore_frame(columns, data)
}

# A list of columns as a data frame of the class and with the attributes of `data`.
restore_frame <- function(columns, data) {
  kept <- attributes(data)
  # a data.table's own pointer and keys belong to the old columns
  kept <- kept[setdiff(names(kept), c("names", ".internal.selfref", "sorted", "index"))]
  # automatic row names stay automatic
  if (.row_names_info(data) <= 0L) kept$row.names <- .set_row_names(.row_names_info(data, 2L))
  attributes(columns) <- c(list(names = names(data)), kept)
  as_given_table(columns)
}

# Makes a data.table fit to be changed by reference.
as_given_table <- function(data) {
  if (inherits(data, "data.table") && requireNamespace("data.table", quietly = TRUE)) {
    data <- data.table::setalloccol(data)
  }
  data
}

# Stacked data: every column is repeated once and filled once.
complete_long <- function(imp, numbers) {
  data <- imp$data
  n <- imp$n_rows
  times <- length(numbers)
  specs <- imp$encoder$specs
  frame <- if (imp$encoder$shape == "frame") data else NULL
  columns <- if (!is.null(frame)) {
    lapply(seq_along(frame), function(j) .subset2(frame, j))
  } else {
    data_columns(data)$columns
  }
  names <- if (!is.null(frame)) names(frame) else names(specs)[seq_along(columns)]
  filled <- which(numbers > 0L)
  index <- rep(seq_len(n), times)
  long <- lapply(seq_along(columns), function(j) {
    name <- names(specs)[j]
    x <- columns[[j]]
    x <- if (is.data.frame(x) || !is.null(dim(x))) x[index, , drop = FALSE] else repeat_column(x, times, index)
    rows <- imp$where[[name]]
    if (is.null(rows) || length(filled) == 0L) return(x)
    where <- rep(rows, length(filled)) + rep((filled - 1L) * n, each = length(rows))
    fill_column(x, where, as.vector(imp$imputed[[name]][, numbers[filled]]), specs[[name]])
  })
  clash <- intersect(names, c(".imp", ".id"))
  if (length(clash) > 0L) em_abort(sprintf("The data have a column %s, which \"long\" would add.", clash[1L]),
                                   "argument")
  columns <- c(list(.imp = rep(numbers, each = n), .id = index), stats::setNames(long, names))
  attr(columns, "row.names") <- .set_row_names(n * times)
  class(columns) <- intersect(class(data), c("tbl_df", "tbl", "data.table", "data.frame"))
  if (!inherits(columns, "data.frame")) class(columns) <- "data.frame"
  as_given_table(columns)
}

# rep() that keeps attributes such as levels, time zones and labels, but no names.
repeat_column <- function(x, times, index) {
  if (is.object(x) && is.list(x)) return(x[index])
  kept <- attributes(x)
  kept$names <- NULL
  x <- rep(unclass(x), times)
  attributes(x) <- kept
  x
}

#' @rdname em_complete
#' @exportS3Method tidyr::complete
complete.em_impute <- function(data, action = 1L, include = FALSE, ...) {
  check_dots_empty(..., .function = "complete.em_impute")
  em_complete(data, action, include)
}

#' @rdname em_complete
#' @param expr An expression in the columns of the data, for example a call of [stats::lm()].
#' @export
with.em_impute <- function(data, expr, ...) {
  check_dots_empty(..., .function = "with.em_impute")
  if (data$m == 0L) {
    em_abort("There are no imputations: the fit was made with `method = \"none\"`.", "no_imputations")
  }
  expr <- substitute(expr)
  frame <- parent.frame()
  evaluate_each(lapply(seq_len(data$m), function(i) complete_one(data, i)), expr, frame, match.call())
}

#' @rdname em_complete
#' @export
with.em_imputation_list <- function(data, expr, ...) {
  check_dots_empty(..., .function = "with.em_imputation_list")
  expr <- substitute(expr)
  evaluate_each(unclass(data), expr, parent.frame(), match.call())
}

evaluate_each <- function(sets, expr, frame, call) {
  fits <- lapply(seq_along(sets), function(i) {
    set <- if (is.data.frame(sets[[i]])) sets[[i]] else as.data.frame(sets[[i]])
    tryCatch(eval(expr, as.list(set), frame), error = function(e) {
      em_abort(sprintf("The expression failed in imputation %d: %s", i, conditionMessage(e)), "with", imputation = i)
    })
  })
  call[[1L]] <- quote(with)
  structure(stats::setNames(fits, seq_along(fits)), class = c("em_impute_fits", "list"), call = call, expr = expr)
}

#' @export
print.em_impute_fits <- function(x, ...) {
  print_fits_title(x)
  estimates <- estimates_of_fits(x)
  if (!is.null(estimates)) {
    cat("\n")
    print_fits_table(estimates)
  } else {
    cat("  each of class ", paste(class(x[[1L]]), collapse = "/"), "\n", sep = "")
  }
  if (is_poolable(x) && !is.null(estimates)) cat("\nem_pool() combines them into one analysis.\n")
  invisible(x)
}

print_fits_title <- function(x) {
  cat("Analyses of ", count_of(length(x), "completed data set"), "\n", sep = "")
  if (!is.null(attr(x, "expr"))) cat(paste0("  ", format_call(attr(x, "expr")), "\n"), sep = "")
}

# Coefficients (or numbers) of all analyses, m x p, or NULL.
estimates_of_fits <- function(x) {
  one <- function(fit) {
    if (is.numeric(fit) && !is.object(fit)) return(fit)
    if (is.list(fit) && !is.object(fit)) return(fit$estimate)
    fit_coefficients(fit)
  }
  estimates <- tryCatch(lapply(x, one), error = function(e) NULL, warning = function(w) NULL)
  p <- unique(lengths(estimates))
  if (length(p) != 1L || p == 0L || !all(vapply(estimates, is.numeric, NA))) return(NULL)
  names <- if (is.null(names(estimates[[1L]]))) if (p == 1L) "value" else seq_len(p) else names(estimates[[1L]])
  matrix(unlist(estimates), length(x), byrow = TRUE, dimnames = list(NULL, names))
}

print_fits_table <- function(estimates, most = 12L) {
  cells <- cbind(mean = format_each(colMeans(estimates)), lowest = format_each(apply(estimates, 2L, min)),
                 highest = format_each(apply(estimates, 2L, max)))
  rownames(cells) <- colnames(estimates)
  print_table(cells[seq_len(min(nrow(cells), most)), , drop = FALSE])
  if (nrow(cells) > most) cat("  and ", nrow(cells) - most, " more\n", sep = "")
}

# FALSE for bare numbers, which have no variance.
is_poolable <- function(x) length(x) > 1L && !is.numeric(x[[1L]])

#' @rdname em_complete
#' @param object The value of `with()`.
#' @export
summary.em_impute_fits <- function(object, ...) {
  check_dots_empty(..., .function = "summary.em_impute_fits")
  pooled <- if (is_poolable(object)) tryCatch(em_pool(object), em_error = function(e) NULL)
  structure(list(fits = object, estimates = estimates_of_fits(object), pooled = pooled),
            class = "summary.em_impute_fits")
}

#' @export
print.summary.em_impute_fits <- function(x, ...) {
  print_fits_title(x$fits)
  if (is.object(x$fits[[1L]])) cat("  each of class ", paste(class(x$fits[[1L]]), collapse = "/"), "\n", sep = "")
  if (!is.null(x$estimates)) {
    cat("\nEstimates over the data sets\n")
    print_fits_table(x$estimates)
  }
  cat("\n")
  if (!is.null(x$pooled)) {
    print(x$pooled)
  } else if (is.numeric(x$fits[[1L]])) {
    cat("To pool them, let the expression give list(estimate = , variance = ).\n")
  } else {
    cat("em_pool() cannot combine them: see what it says.\n")
  }
  invisible(x)
}

#' @export
print.em_imputation_list <- function(x, ...) {
  first <- x[[1L]]
  size <- if (is.null(dim(first))) count_of(length(first), "value") else paste(nrow(first), "rows x", ncol(first),
                                                                               "columns")
  cat(count_of(length(x), "completed data set"), " of ", size, " (", class(first)[1L], ")\n", sep = "")
  invisible(x)
}

#' @export
`[.em_imputation_list` <- function(x, i) structure(unclass(x)[i], class = class(x))

#' @export
`[.em_impute_fits` <- function(x, i) {
  structure(unclass(x)[i], class = class(x), call = attr(x, "call"), expr = attr(x, "expr"))
}
