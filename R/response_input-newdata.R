# Responses of new data, and of the columns of the data of a fit.

# Responses of new data: the same families, columns, levels and scales. Without `need_response`, responses that the new
# data lack are NA. list(responses, n, row_names).
response_specs_new <- function(responses, newdata, need_response = TRUE) {
  if (all(vapply(responses, function(r) is.null(r$formula), NA))) return(response_specs_new_data(responses, newdata))
  data <- check_data_frame(newdata, "newdata")
  if (is.null(data)) check_fails("newdata", "a data frame", newdata, "newdata")
  n <- nrow(data)
  if (n == 0L) em_abort("`newdata` has no rows.", "no_rows")
  out <- lapply(responses, function(response) {
    what <- sprintf("the response %s", dQuote(response$name, FALSE))
    response$design <- design_new(response$design, data, n, what)
    absent <- setdiff(response$variables, names(data))
    if (length(absent) > 0L && need_response) {
      em_abort(sprintf("`newdata` lacks the variable%s %s of %s.", if (length(absent) > 1L) "s" else "",
                       paste(dQuote(absent, FALSE), collapse = ", "), what), "newdata", variables = absent)
    }
    if (length(absent) > 0L) {
      response$y <- matrix(NA_real_, n, ncol(response$y))
    } else {
      left <- stats::as.formula(call("~", response$formula[[2L]]), environment(response$formula))
      y <- frame_of(left, data, class = "newdata")[[1L]]
      response$y <- check_new_response(response, y)
    }
    response
  })
  list(responses = out, n = n, row_names = chosen_row_names(data))
}

response_specs_new_data <- function(responses, newdata) {
  response <- responses[[1L]]
  row_names <- if (is.data.frame(newdata)) chosen_row_names(newdata) else if (is.matrix(newdata)) rownames(newdata)
  if (is.data.frame(newdata) || is.matrix(newdata) && !is.null(colnames(newdata))) {
    wanted <- if (is.null(response$columns)) response$name else response$columns
    if (all(wanted %in% colnames(newdata))) {
      newdata <- if (is.data.frame(newdata)) newdata[wanted] else newdata[, wanted, drop = FALSE]
    }
  }
  if (is.data.frame(newdata)) newdata <- if (ncol(newdata) == 1L) newdata[[1L]] else frame_matrix(newdata)
  if (is.matrix(newdata) && ncol(newdata) == 1L) newdata <- newdata[, 1L]
  if (NCOL(newdata) != max(1L, length(response$columns)) || !is.atomic(newdata) || is.null(newdata)) {
    em_abort(sprintf("`newdata` must have %s, as the data of the fit, not %d.",
                     count_of(max(1L, length(response$columns)), "column"), NCOL(newdata)), "newdata")
  }
  response$y <- check_new_response(response, newdata)
  list(responses = stats::setNames(list(response), response$name), n = nrow(response$y), row_names = row_names)
}

# The core's columns of a new response, whose categories are those of the fit.
check_new_response <- function(response, y) {
  y <- response_values(y, response$name, response$family)
  if (!is.null(response$levels)) {
    words <- as.character(y)
    strange <- which(!is.na(words) & !words %in% response$levels)
    if (length(strange) > 0L) {
      em_abort(sprintf("`newdata`: row %d of the response %s is %s, which is none of its categories (%s).", strange[1L],
                       dQuote(response$name, FALSE), dQuote(words[strange[1L]], FALSE),
                       abbreviate_list(response$levels)), "newdata", row = strange[1L])
    }
    y <- factor(words, levels = response$levels)
    if (response$family$columns == "factor") return(matrix(as.double(as.integer(y)) - 1, ncol = 1L))
  }
  new <- response$family$check(y, response$name)$y
  if (ncol(new) != ncol(response$y)) {
    em_abort(sprintf("`newdata`: the response %s must have %s.", dQuote(response$name, FALSE),
                     count_of(ncol(response$y), "column")), "newdata")
  }
  new
}
