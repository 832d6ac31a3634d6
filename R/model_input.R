# The one gateway from what users hold (vectors, matrices, data frames, formulas) to what the core takes: a numeric
# matrix with NaN or NA where missing, and what is needed to treat new data the same way.

# A column as doubles, or an error that names it.
as_double_column <- function(x, name) {
  if (inherits(x, "integer64")) {
    if (!requireNamespace("bit64", quietly = TRUE)) {
      em_abort(sprintf("Column %s is of class integer64: install bit64, or convert it with as.numeric().",
                       dQuote(name, FALSE)), "column_type", column = name)
    }
    return(as.double(bit64::as.double.integer64(x)))
  }
  numeric <- (is.numeric(x) || is.logical(x)) && !is.factor(x) && !is.list(x)
  if (!numeric || inherits(x, c("Date", "POSIXt", "difftime"))) {
    em_abort(
      sprintf("Column %s is of class %s; the variables must be numeric. Leave it out, or convert it.",
              dQuote(name, FALSE), paste(dQuote(class(x), FALSE), collapse = "/")),
      "column_type", column = name
    )
  }
  as.double(x)
}

# A list of columns (vectors or matrices) as one matrix, with a name of its own for each.
columns_matrix <- function(columns, n, row_names) {
  parts <- list()
  names <- unique_names(names(columns))
  for (i in seq_along(names)) {
    name <- names[i]
    column <- columns[[i]]
    if (is.matrix(column)) {
      inner <- colnames(column)
      if (is.null(inner)) inner <- seq_len(ncol(column))
      for (j in seq_len(ncol(column))) {
        full <- paste0(name, ".", inner[j])
        parts[[full]] <- as_double_column(column[, j], full)
      }
    } else {
      parts[[name]] <- as_double_column(column, name)
    }
  }
  x <- matrix(unlist(parts, use.names = FALSE), n, length(parts))
  colnames(x) <- names(parts)
  if (!is.null(row_names)) rownames(x) <- row_names
  x
}

unique_names <- function(names) {
  none <- is.na(names) | names == ""
  names[none] <- paste0("V", which(none))
  make.unique(names)
}

# Row names that somebody chose: not the automatic numbers.
chosen_row_names <- function(data) {
  info <- .row_names_info(data, 0L)
  if (is.character(info)) info else NULL
}

# x (matrix), variables, row_names, formula, terms, weights, of anything but a formula.
input_from_data <- function(x, name = "x") {
  if (is.data.frame(x)) {
    if (ncol(x) == 0L) em_abort("The data have no columns.", "no_columns")
    columns <- lapply(seq_along(x), function(j) x[[j]])
    names(columns) <- names(x)
    row_names <- chosen_row_names(x)
    m <- columns_matrix(columns, nrow(x), row_names)
  } else if (inherits(x, "sparseMatrix")) {
    m <- as.matrix(x)
    row_names <- rownames(m)
  } else if (is.matrix(x)) {
    if (!is.numeric(x) && !is.logical(x)) {
      em_abort(sprintf("The data matrix is of type %s; it must be numeric.", typeof(x)), "column_type")
    }
    m <- x
    row_names <- rownames(m)
    if (!is.double(m)) storage.mode(m) <- "double"
  } else if (is.atomic(x) && is.null(dim(x)) && !is.null(x)) {
    m <- matrix(as_double_column(x, name), ncol = 1L)
    row_names <- names(x)
    colnames(m) <- name
  } else {
    em_abort(sprintf("The data must be a numeric vector, a matrix, a data frame or a formula, not %s.",
                     describe_value(x)), "data_type")
  }
  variables <- colnames(m)
  if (is.null(variables)) variables <- paste0("V", seq_len(ncol(m)))
  list(x = m, variables = make.unique(variables), row_names = row_names, formula = NULL, terms = NULL,
       weights = NULL)
}

# A square symmetric matrix without gaps and with a positive diagonal: no data, in all likelihood.
looks_like_covariance <- function(x) {
  if (is.data.frame(x) && nrow(x) == ncol(x)) x <- as.matrix(x)
  is.matrix(x) && is.numeric(x) && nrow(x) == ncol(x) && nrow(x) > 1L && all(is.finite(x)) && all(diag(x) > 0) &&
    isSymmetric(unname(x))
}

# ~ . - a without a, which model.frame() would look up and keep.
without_unused_variables <- function(formula, data) {
  terms <- tryCatch(stats::terms(formula, data = if (is.data.frame(data)) data), error = function(e) NULL)
  factors <- attr(terms, "factors")
  if (is.null(terms) || !is.null(attr(terms, "offset"))) return(formula)
  if (!is.matrix(factors)) return(stats::reformulate("1", env = environment(formula)))
  if (all(rowSums(factors) > 0)) return(formula)
  stats::reformulate(attr(terms, "term.labels"), env = environment(formula))
}

# Of a one-sided formula. `call` is the user's call, `env` where it was made: weights and subset are looked up in the
# data first, as in lm().
input_from_formula <- function(formula, data, call, env) {
  if (length(formula) != 2L) {
    em_abort(paste0("The formula must be one-sided, such as ~ a + log(b): this model has no response. ",
                    "Write its variables on the right."), "formula")
  }
  frame_call <- call[c(1L, match(c("data", "subset", "weights"), names(call), 0L))]
  frame_call[[1L]] <- quote(stats::model.frame)
  frame_call$formula <- without_unused_variables(formula, data)
  frame_call$na.action <- quote(stats::na.pass)
  # model.frame() would keep a row for an NA in `subset`, and one for a row that is not there.
  if (!is.null(call$subset)) frame_call$subset <- as.call(list(function(subset) choose_rows(subset, data), call$subset))
  frame <- tryCatch(eval(frame_call, env), error = function(e) {
    if (inherits(e, "em_error")) stop(e)
    em_abort(paste0("The formula could not be evaluated: ", conditionMessage(e)), "formula")
  })
  terms <- attr(frame, "terms")
  if (any(attr(terms, "order") > 1L)) {
    em_abort("The formula has an interaction; write the product of two variables as I(a * b).", "formula")
  }
  if (!is.null(attr(terms, "offset"))) {
    em_abort(paste0("The formula has an offset(), which belongs to the mean of a response, and this model has none. ",
                    "Leave it out."), "formula")
  }
  used <- setdiff(names(frame), c("(weights)", "(subset)"))
  if (length(used) == 0L) em_abort("The formula names no variables.", "no_columns")
  columns <- lapply(used, function(name) {
    column <- frame[[name]]
    if (inherits(column, "AsIs")) class(column) <- setdiff(class(column), "AsIs")
    column
  })
  names(columns) <- used
  row_names <- chosen_row_names(frame)
  if (is.null(row_names)) row_names <- if (!is.null(call$subset)) rownames(frame)
  m <- columns_matrix(columns, nrow(frame), row_names)
  list(x = m, variables = colnames(m), row_names = row_names, formula = formula, terms = terms,
       weights = stats::model.weights(frame))
}

# Numbers of the rows of `data` (NULL: of variables elsewhere) that an evaluated `subset` chooses; NA chooses none.
choose_rows <- function(subset, data) {
  if (is.data.frame(data)) {
    if (is.character(subset)) subset <- match(subset, row.names(data))
    return(subset_rows(subset, nrow(data)))
  }
  if (is.logical(subset)) which(subset) else subset[!is.na(subset)]
}

# Rejects data that no model can take; returns the look that the checks took (see data_summary_). `limit`: how many
# distinct rows are worth counting.
check_data <- function(x, variables, weights, limit, threads, look = data_summary_(x, weights, limit, threads)) {
  if (ncol(x) == 0L) em_abort("The data have no columns.", "no_columns")
  if (nrow(x) == 0L) em_abort("The data have no rows.", "no_rows")
  if (nrow(x) == 1L) {
    em_abort("The data have one row; a distribution cannot be estimated from one observation.", "too_few_rows")
  }
  if (length(look$infinite) > 0L) {
    em_abort(sprintf("The data must be finite or NA; row %d of column %s is %s.", look$infinite[1L],
                     dQuote(variables[look$infinite[2L]], FALSE), format(x[look$infinite[1L], look$infinite[2L]])),
             "infinite", row = look$infinite[1L], column = variables[look$infinite[2L]])
  }
  if (!is.null(weights) && sum(weights > 0) == 1L) {
    em_abort(sprintf(paste0("Only row %d has a positive weight; a distribution cannot be estimated from one ",
                            "observation."), which(weights > 0)), "too_few_rows")
  }
  name_columns <- function(which, one, many, class) {
    if (!any(which)) return()
    names <- paste(dQuote(variables[which], FALSE), collapse = ", ")
    em_abort(if (sum(which) == 1L) sprintf(one, names) else sprintf(many, names), class, columns = variables[which])
  }
  name_columns(look$n_missing == nrow(x), "Column %s has no observed value. Leave it out.",
               "Columns %s have no observed value. Leave them out.", "all_missing")
  name_columns(look$lowest == look$highest, "Column %s is constant: its variance is zero. Leave it out.",
               "Columns %s are constant: their variances are zero. Leave them out.", "constant_column")
  offset <- pmax(abs(look$lowest), abs(look$highest))
  name_columns(is.infinite(look$sd) | look$sd %in% 0 & offset < 1e-100,
               "The squares of column %s are beyond the range of doubles. Change its unit.",
               "The squares of columns %s are beyond the range of doubles. Change their units.", "scale")
  # The digits of such a column are used up by its offset.
  name_columns(look$sd <= 1e-13 * offset,
               "Column %s is constant up to rounding. Subtract its mean before it is rounded, or leave it out.",
               "Columns %s are constant up to rounding. Subtract their means before they are rounded, or leave them out.",
               "constant_column")
  look$collinear <- collinear_columns(look$correlation, variables)
  look
}

# NULL, or a sentence that names the columns that are linear combinations of others.
collinear_columns <- function(correlation, variables) {
  if (is.null(correlation) || !all(is.finite(correlation))) return(NULL)
  d <- ncol(correlation)
  if (d < 2L) return(NULL)
  # A column of which less than 1e-10 of the variance is its own: the core's limit (kMaxInflation).
  root <- suppressWarnings(chol(correlation, pivot = TRUE, tol = 1e-10))
  rank <- attr(root, "rank")
  if (rank == d) return(NULL)
  pivot <- attr(root, "pivot")
  kept <- seq_len(rank)
  coefficients <- backsolve(root[kept, kept, drop = FALSE], root[kept, -kept, drop = FALSE])
  involved <- apply(abs(coefficients) > 1e-6, 1L, any)
  sprintf("%s %s linear in %s",
          paste(dQuote(variables[pivot[-kept]], FALSE), collapse = ", "), if (d - rank == 1L) "is" else "are",
          paste(dQuote(variables[pivot[kept][involved]], FALSE), collapse = ", "))
}

# The rows that predict() speaks of: those of `newdata`, or the fit's own.
rows_to_predict <- function(fit, newdata) {
  if (is.null(newdata)) return(list(x = fit$data, names = fit$row_names))
  x <- model_matrix_newdata(fit, newdata)
  list(x = x, names = rownames(x))
}

# New data of a formula as a data frame: a plain vector has values of the one variable, or one row of several.
newdata_frame <- function(newdata, variables) {
  if (!is.atomic(newdata) || !is.null(dim(newdata)) || is.null(newdata)) return(as.data.frame(newdata))
  if (length(variables) == 1L) {
    frame <- data.frame(unname(newdata))
    if (!is.null(names(newdata))) row.names(frame) <- make.unique(names(newdata))
  } else if (!is.null(names(newdata)) && all(variables %in% names(newdata))) {
    frame <- as.data.frame(as.list(newdata[variables]))
  } else if (is.null(names(newdata)) && length(newdata) == length(variables)) {
    frame <- as.data.frame(as.list(newdata))
  } else {
    em_abort(sprintf("`newdata` must have the %d variables %s.", length(variables),
                     paste(dQuote(variables, FALSE), collapse = ", ")), "newdata")
  }
  stats::setNames(frame, variables)
}

# The variables of a fit taken from new data, as a matrix in the order of the fit; rows as they come.
model_matrix_newdata <- function(fit, newdata) {
  variables <- fit$variables
  if (!is.null(fit$terms)) {
    if (!is.data.frame(newdata)) newdata <- newdata_frame(newdata, all.vars(stats::delete.response(fit$terms)))
    frame <- tryCatch(
      stats::model.frame(stats::delete.response(fit$terms), newdata, na.action = stats::na.pass),
      error = function(e) {
        em_abort(sprintf("`newdata` does not fit the formula of the model: %s.", conditionMessage(e)), "newdata")
      }
    )
    columns <- lapply(names(frame), function(name) {
      column <- frame[[name]]
      if (inherits(column, "AsIs")) class(column) <- setdiff(class(column), "AsIs")
      column
    })
    names(columns) <- names(frame)
    x <- columns_matrix(columns, nrow(frame), chosen_row_names(frame))
  } else {
    if (is.atomic(newdata) && is.null(dim(newdata)) && !is.null(newdata)) {
      # A plain vector: values of the one variable, or one row of several.
      newdata <- if (length(variables) == 1L) {
        matrix(newdata, ncol = 1L, dimnames = list(names(newdata), variables))
      } else if (length(newdata) == length(variables)) {
        matrix(newdata, nrow = 1L, dimnames = list(NULL, names(newdata)))
      } else {
        em_abort(sprintf("`newdata` must have the %d variables %s.", length(variables),
                         paste(dQuote(variables, FALSE), collapse = ", ")), "newdata")
      }
    }
    given <- colnames(newdata)
    if (!is.null(given) && anyDuplicated(given)) colnames(newdata) <- given <- unique_names(given)
    if (is.null(given)) {
      if (NCOL(newdata) != length(variables)) {
        em_abort(sprintf("`newdata` has %d columns without names; the model has the %d variables %s.", NCOL(newdata),
                         length(variables), paste(dQuote(variables, FALSE), collapse = ", ")), "newdata")
      }
      x <- input_from_data(newdata)$x
    } else {
      absent <- setdiff(variables, given)
      if (length(absent) > 0L) {
        em_abort(sprintf("`newdata` lacks the variable%s %s.", if (length(absent) > 1L) "s" else "",
                         paste(dQuote(absent, FALSE), collapse = ", ")), "newdata", variables = absent)
      }
      row_names <- if (is.data.frame(newdata)) chosen_row_names(newdata) else rownames(newdata)
      columns <- lapply(variables, function(v) if (is.data.frame(newdata)) newdata[[v]] else newdata[, v])
      names(columns) <- variables
      x <- columns_matrix(columns, nrow(newdata), row_names)
    }
  }
  colnames(x) <- variables
  bad <- which(is.infinite(x), arr.ind = TRUE)
  if (nrow(bad) > 0L) {
    em_abort(sprintf("`newdata` must be finite or NA; row %d of column %s is %s.", bad[1L, 1L],
                     dQuote(variables[bad[1L, 2L]], FALSE), format(x[bad[1L, 1L], bad[1L, 2L]])), "infinite")
  }
  x
}
