# From columns to the model's numbers and back.

# --- encoding -----------------------------------------------------------------------------------------------------

# The model's matrix (n x C, NA where missing) of columns in the order of the encoder. `what` names the data in
# messages.
encode_columns <- function(encoder, columns, n, what = "Column") {
  x <- matrix(NA_real_, n, length(encoder$variables), dimnames = list(NULL, encoder$variables))
  news <- character()
  for (i in seq_along(encoder$specs)) {
    spec <- encoder$specs[[i]]
    if (length(spec$model) == 0L || spec$role == "panel") next
    if (spec$role == "dummies") news[spec$name] <- new_categories(spec, columns[[i]])
    x[, spec$model] <- encode_column(spec, columns[[i]], what)
  }
  news <- news[nzchar(news)]
  if (length(news) > 0L) {
    em_warn(sprintf(paste0("%s: categories that the data of the fit did not have. They are kept; for the imputation ",
                           "of other columns they count as missing."),
                    abbreviate_list(paste0(what, " ", dQuote(names(news), FALSE), " has ", news))),
            "new_category", columns = names(news))
  }
  x
}

encode_column <- function(spec, x, what) {
  if (spec$role == "numbers") return(encode_numbers(spec, x, what))
  if (spec$role == "codes") return(as.double(category_codes(spec, x, what)))
  # what only helps may be new: it counts as missing
  code <- match_categories(spec, x)
  k <- length(spec$values)
  dummies <- matrix(0, length(code), k - 1L)
  hit <- which(code > 1L)
  dummies[cbind(hit, code[hit] - 1L)] <- 1
  dummies[is.na(code), ] <- NA
  dummies
}

encode_numbers <- function(spec, x, what) {
  numeric <- is.numeric(x) || is.logical(x) || inherits(x, c("Date", "POSIXct", "difftime"))
  if (is.factor(x) || is.character(x) || !numeric) {
    em_abort(sprintf("%s %s must be numeric, as it was in the data of the fit, not of class %s.", what,
                     dQuote(spec$name, FALSE), paste(class(x), collapse = "/")), "column_type", column = spec$name)
  }
  v <- plain_double(x)
  v[is.na(x)] <- NA_real_
  stop_infinite(v, spec$name, what)
  if (identical(spec$kind, "censored")) {
    low <- spec$mass_values[1L]
    high <- spec$mass_values[2L]
    inner <- v
    if (!is.na(low)) inner[which(if (spec$step$increasing) v <= low else v >= low)] <- NA
    if (!is.na(high)) inner[which(if (spec$step$increasing) v >= high else v <= high)] <- NA
    z <- apply_step(spec$step, inner, spec$name, what)
    if (!is.na(low)) z[which(if (spec$step$increasing) v <= low else v >= low)] <- -Inf
    if (!is.na(high)) z[which(if (spec$step$increasing) v >= high else v <= high)] <- Inf
    return(z)
  }
  if (spec$step$name == "identity") return(v)
  apply_step(spec$step, v, spec$name, what)
}

# Codes 1..K of the categories that the encoder knows, NA for missing and new ones.
match_categories <- function(spec, x) {
  if (is.factor(spec$template) || is.character(spec$template) || is.factor(x) || is.character(x)) {
    match(as.character(x), spec$labels)
  } else {
    match(plain_double(x), as.double(spec$values))
  }
}

# The categories of a column that the encoder does not know, in words; or "".
new_categories <- function(spec, x) {
  new <- unique(as.character(x[is.na(match_categories(spec, x)) & !is.na(x)]))
  if (length(new) == 0L) "" else abbreviate_list(dQuote(new, FALSE), 3L)
}

# The codes of a column that is imputed: other categories are an error that names them.
category_codes <- function(spec, x, what = "Column") {
  code <- match_categories(spec, x)
  unknown <- which(is.na(code) & !is.na(x))
  if (length(unknown) > 0L) {
    em_abort(sprintf("%s %s has the category %s, which the data of the fit did not have. Known: %s.", what,
                     dQuote(spec$name, FALSE), dQuote(as.character(x[unknown[1L]]), FALSE),
                     abbreviate_list(dQuote(spec$labels, FALSE), 8L)), "new_category", column = spec$name,
             row = unknown[1L])
  }
  code
}

# --- decoding -----------------------------------------------------------------------------------------------------

# The model's numbers (any shape) as stored values of the column: doubles, integers, logicals, or codes into the levels
# of a factor or the `values` of a character column.
decode_values <- function(spec, z) {
  shape <- dim(z)
  value <- if (spec$role == "numbers") decode_numbers(spec, z) else decode_codes(spec, as.integer(z))
  if (!is.null(shape)) dim(value) <- shape
  value
}

decode_numbers <- function(spec, z) {
  z <- as.vector(z)
  inside <- z
  if (identical(spec$kind, "censored")) {
    at_low <- z == -Inf | z <= spec$mass_lower
    at_high <- z == Inf | z >= spec$mass_upper
    inside[at_low | at_high] <- 0
  }
  value <- as.double(spec$step$inverse(pmin(pmax(inside, spec$step$range[1L]), spec$step$range[2L])))
  if (identical(spec$kind, "censored")) {
    value[which(at_low)] <- spec$mass_values[1L]
    value[which(at_high)] <- spec$mass_values[2L]
  }
  # at the end of its range a transformation such as 1 / x has no finite inverse
  value[which(value == -Inf)] <- spec$seen[1L]
  value[which(value == Inf)] <- spec$seen[2L]
  if (any(!is.finite(value))) {
    em_abort(sprintf("The inverse of the transformation of column %s gave a value that is not finite. Give `bounds`.",
                     dQuote(spec$name, FALSE)), "transform", column = spec$name)
  }
  if (spec$whole) {
    value <- round_within(value, spec)
  } else if (spec$step$name != "identity" && any(is.finite(spec$bounds))) {
    # a bound that came through the transformation and back has lost its last digits
    value <- pmin(pmax(value, spec$bounds[1L]), spec$bounds[2L])
  }
  integer_storage <- is.integer(spec$template) && all(abs(value) <= .Machine$integer.max)
  if (integer_storage) as.integer(value) else value
}

# Whole numbers within the bounds that the transformation takes: where rounding would leave its domain (0 for a
# logarithm), the whole number on the other side.
round_within <- function(value, spec) {
  within <- function(v) pmin(pmax(v, ceiling(spec$bounds[1L])), floor(spec$bounds[2L]))
  whole <- within(round(value))
  if (spec$step$name == "identity") return(whole)
  takes <- function(v) {
    is.finite(suppressWarnings(as.double(spec$step$forward(v)))) & v >= spec$step$domain[1L] & v <= spec$step$domain[2L]
  }
  bad <- which(!takes(whole))
  other <- within(ifelse(whole[bad] < value[bad], ceiling(value[bad]), floor(value[bad])))
  # a value that underflowed to the end of the domain has no other side
  lost <- !takes(other)
  low <- abs(value[bad][lost] - spec$seen[1L]) < abs(value[bad][lost] - spec$seen[2L])
  other[lost] <- spec$seen[ifelse(low, 1L, 2L)]
  whole[bad] <- other
  whole
}

decode_codes <- function(spec, code) {
  # a character column keeps the codes: its values are `spec$values`
  if (is.character(spec$values)) return(code)
  value <- spec$values[code]
  if (is.factor(spec$template) || is.integer(spec$template)) as.integer(value) else value
}

# A column with stored values put into some of its cells; everything else about it stays.
fill_column <- function(x, where, value, spec) {
  if (length(where) == 0L) return(x)
  if (is.character(x)) {
    x[where] <- if (is.character(spec$values)) spec$values[value] else as.character(value)
    return(x)
  }
  kept <- attributes(x)
  if (inherits(x, "integer64")) {
    x[where] <- bit64::as.integer64(value)
    return(x)
  }
  x <- unclass(x)
  x[where] <- value
  attributes(x) <- kept
  x
}

# A whole column of stored values with the attributes of the training data.
new_column <- function(spec, value) {
  x <- spec$template
  if (is.character(x)) return(spec$values[value])
  kept <- attributes(x)
  kept$names <- NULL
  if (inherits(x, "integer64")) return(bit64::as.integer64(value))
  attributes(value) <- kept
  value
}
