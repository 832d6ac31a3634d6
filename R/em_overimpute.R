# Overimputation: how well the model would have imputed the cells that are known.

#' Overimputation: how well observed values would have been imputed
#'
#' Treats each observed numeric cell as missing in turn and compares it with its conditional distribution given the rest
#' of its row, at the fitted parameters. If the model is sound, about a share `level` of the observed values lies within
#' their intervals.
#'
#' The parameters are not fitted again without each cell, so that coverage is slightly optimistic in very small data.
#'
#' @param imp Imputations, or a model, from [em_impute()].
#' @param columns Names of numeric columns of the model. Default: those with missing values, or all if there are none.
#' @param level The probability of the intervals. Default 0.9.
#' @param x The result.
#' @param ... Unused, and an error.
#' @return A data frame of class `em_overimpute` with a row for each observed cell: `row`, `column`, `observed`, `mean`,
#'   `lower`, `upper`, `covered`. Its attribute `coverage` is a data frame with, for each column: `column`, `n`,
#'   `coverage`, `level`, and `r_squared`, the share of its variance that the others explain. Where a column is
#'   transformed, `mean` is the conditional median.
#' @references
#' Blackwell, M., Honaker, J. and King, G. (2017). A unified approach to measurement error and missing data.
#' *Sociological Methods & Research* 46, 303-341. \doi{10.1177/0049124115585360}
#' @seealso `plot(imp, "overimpute")`
#' @examples
#' imp <- em_impute(airquality, m = 3)
#' em_overimpute(imp)
#' @export
em_overimpute <- function(imp, columns = NULL, level = 0.9, ...) {
  check_dots_empty(..., .function = "em_overimpute")
  if (!inherits(imp, "em_impute")) check_fails("imp", "made by em_impute()", imp)
  check_level(level)
  input <- data_columns(imp$data)
  specs <- imp$encoder$specs[seq_along(input$columns)]
  numeric <- vapply(specs, function(s) s$role == "numbers", NA)
  if (!any(numeric)) em_abort("The model has no numeric columns to overimpute.", "nothing_to_plot")
  if (is.null(columns)) {
    columns <- names(specs)[numeric & vapply(specs, function(s) s$n_missing > 0L, NA)]
    if (length(columns) == 0L) columns <- names(specs)[numeric]
  }
  columns <- resolve_columns(columns, "columns", names(specs))
  if (!all(numeric[columns])) {
    em_abort(sprintf("`columns`: %s is not a numeric column of the model.",
                     dQuote(columns[!numeric[columns]][1L], FALSE)),
             "columns")
  }
  x <- encode_data(imp$encoder, input)
  tails <- c(1 - level, 1 + level) / 2
  pieces <- lapply(columns, function(name) overimpute_column(imp, x, specs[[name]], data_column(imp, name), tails))
  table <- do.call(rbind, pieces)
  table$covered <- table$observed >= table$lower & table$observed <= table$upper
  coverage <- do.call(rbind, lapply(columns, function(name) {
    part <- table[table$column == name, ]
    left <- sum((part$observed - part$mean)^2) / sum((part$observed - mean(part$observed))^2)
    data.frame(column = name, n = nrow(part), coverage = mean(part$covered), level = level,
               r_squared = max(0, 1 - left), stringsAsFactors = FALSE)
  }))
  structure(table, class = c("em_overimpute", "data.frame"), coverage = coverage)
}

# The observed cells of one column, all taken as missing at once: rows are independent given the parameters.
overimpute_column <- function(imp, x, spec, column, tails) {
  rows <- which(!is.na(x[, spec$model]))
  part <- x[rows, , drop = FALSE]
  part[, spec$model] <- NA
  cells <- missing_intervals(imp, part, tails)
  # whole numbers are compared before they are rounded
  spec$whole <- FALSE
  value <- lapply(cells, function(z) as.double(decode_values(spec, z[, spec$model])))
  data.frame(row = rows, column = rep(spec$name, length(rows)), observed = plain_double(column)[rows],
             mean = value$mean,
             lower = pmin(value$lower, value$upper), upper = pmax(value$lower, value$upper), stringsAsFactors = FALSE)
}

#' @rdname em_overimpute
#' @export
print.em_overimpute <- function(x, ...) {
  coverage <- attr(x, "coverage")
  if (is.null(coverage)) return(NextMethod())
  cat("Overimputation of ", count_of(nrow(x), "observed cell"), "\n", sep = "")
  cells <- cbind(cells = coverage$n, coverage = format(round(coverage$coverage, 3), nsmall = 3),
                 nominal = format(coverage$level), "R squared" = format(round(coverage$r_squared, 3), nsmall = 3))
  rownames(cells) <- coverage$column
  print_table(cells)
  invisible(x)
}
