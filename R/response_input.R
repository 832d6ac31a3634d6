# Responses, for every model in which a formula says what the distribution of a response depends on: from formulas and
# data to what the core takes. Their designs, constraints and new data are in response_input-*.R.
#
# A response is list(name, family, link, info, levels, columns, y = n x c, design, formula, options, fixed, shared); its
# natural parameters are an m x K matrix (see family.R).

# Responses of a formula, or of a list of them. list(responses, n, row_names).
response_specs <- function(formulas, data, family = "gaussian", covariance = NULL, n_parts = NULL) {
  data <- check_data_frame(data)
  formulas <- check_formulas(formulas)
  frames <- lapply(formulas, frame_of, data = data)
  rows <- vapply(frames, nrow, 0L)
  if (length(unique(rows)) > 1L) {
    em_abort(sprintf("The responses have %s rows; they must have the same number.",
                     paste(rows, collapse = " and ")), "formula")
  }
  if (rows[1L] == 0L) em_abort("The data have no rows.", "no_rows")
  names <- response_names(formulas)
  ys <- lapply(frames, stats::model.response)
  families <- match_families(family, ys, names)
  options <- match_options(covariance, n_parts, names, families)
  responses <- lapply(seq_along(formulas), function(r) {
    terms <- attr(frames[[r]], "terms")
    design <- design_of(terms, frames[[r]], rows[1L], sprintf("the response %s", dQuote(names[r], FALSE)))
    design$variables <- row_variables(design$terms, data, rows[1L])
    response <- new_response(names[r], families[[r]], ys[[r]], design, formulas[[r]], options[[r]])
    left <- stats::as.formula(call("~", formulas[[r]][[2L]]), environment(formulas[[r]]))
    response$variables <- row_variables(left, data, rows[1L])
    response
  })
  list(responses = stats::setNames(responses, names), n = rows[[1L]],
       row_names = if (is.null(data)) NULL else chosen_row_names(data))
}

# The one response of a vector, matrix or data frame.
response_specs_data <- function(x, name, family = "gaussian", covariance = NULL, n_parts = NULL) {
  row_names <- if (is.data.frame(x)) chosen_row_names(x) else if (is.matrix(x)) rownames(x) else names(x)
  if (is.data.frame(x)) x <- if (ncol(x) == 1L) x[[1L]] else frame_matrix(x)
  if (is.matrix(x) && ncol(x) == 1L) x <- x[, 1L]
  if (!is.atomic(x) || is.null(x)) {
    em_abort(sprintf("The data must be a vector, a matrix, a data frame or a formula, not %s.", describe_value(x)),
             "data_type")
  }
  if (NROW(x) == 0L) em_abort("The data have no rows.", "no_rows")
  family <- match_families(family, list(x), name)[[1L]]
  design <- new_design(NULL, NULL, 1L, "(Intercept)", NULL, NULL, NULL)
  response <- new_response(name, family, x, design, NULL, match_options(covariance, n_parts, name, list(family))[[1L]])
  list(responses = stats::setNames(list(response), name), n = NROW(x), row_names = row_names)
}

# A data frame of numeric columns as a matrix.
frame_matrix <- function(x) {
  columns <- lapply(seq_along(x), function(j) as_double_column(x[[j]], names(x)[j]))
  matrix(unlist(columns, use.names = FALSE), nrow(x), length(x), dimnames = list(NULL, names(x)))
}

new_response <- function(name, family, y, design, formula, options) {
  p <- n_coefficients(design)
  if (!is.null(p) && !isTRUE(family$covariates)) {
    em_abort(sprintf("The family %s takes no covariates; write ~ 1 for the response %s.",
                     dQuote(family$name, FALSE), dQuote(name, FALSE)), "family")
  }
  if (family$columns %in% c("several", "counts")) y <- name_columns(y, formula)
  checked <- family$check(response_values(y, name, family), name)
  info <- checked$info
  columns <- colnames(y)
  # model.response() makes a vector of a single column.
  if (family$name == "mvgaussian" && is.null(columns)) columns <- info$columns
  if (is.null(columns) && is.matrix(y)) columns <- paste0("V", seq_len(ncol(y)))
  if (family$name == "mvgaussian") options$covariance <- one_covariance(options$covariance, NCOL(y))
  options$n_categories <- if (!is.null(checked$levels)) length(checked$levels) else 0L
  list(name = name, family = family, link = family$link, info = info, levels = checked$levels, columns = columns,
       y = checked$y, design = design, formula = formula, options = options, fixed = NULL, shared = NULL)
}

# The columns that cbind() on the left side leaves without a name are called by their expressions.
name_columns <- function(y, formula) {
  left <- if (!is.null(formula)) formula[[2L]]
  if (!is.matrix(y) || !is.call(left) || !identical(left[[1L]], quote(cbind)) || length(left) - 1L != ncol(y)) return(y)
  written <- vapply(as.list(left)[-1L], formula_text, "")
  names <- if (is.null(colnames(y))) rep("", ncol(y)) else colnames(y)
  colnames(y) <- ifelse(nzchar(names), names, written)
  y
}

one_covariance <- function(covariance, d) {
  code <- resolve_covariance(covariance, d, factors = FALSE)
  if (length(code) != 1L) em_abort("`covariance` must be one structure for a response.", "covariance")
  code
}

check_formulas <- function(formulas) {
  if (inherits(formulas, "formula")) formulas <- list(formulas)
  fine <- is.list(formulas) && length(formulas) > 0L &&
    all(vapply(formulas, function(f) inherits(f, "formula") && length(f) == 3L, NA))
  if (!fine) {
    em_abort("The model must be a formula with a response, such as y ~ 1 or y ~ x, or a list of such formulas.",
             "formula")
  }
  formulas
}

# What users call the responses: the names of the list, else the left sides.
response_names <- function(formulas) {
  names <- vapply(formulas, function(f) formula_text(f[[2L]]), "")
  given <- names(formulas)
  if (!is.null(given)) names <- ifelse(is.na(given) | given == "", names, given)
  twice <- names[duplicated(names)]
  if (length(twice) > 0L) {
    em_abort(sprintf("Two responses are called %s; name the formulas in the list.", dQuote(twice[1L], FALSE)),
             "formula")
  }
  unname(names)
}

# One family for each response: one for all, a list or vector in the order of the formulas, or named by response.
match_families <- function(family, ys, names) {
  several <- is.list(family) && !inherits(family, "family") && !inherits(family, "em_family") ||
    is.character(family) && length(family) != 1L
  if (!several) {
    family <- rep(list(family), length(names))
  } else {
    family <- as.list(family)
    if (!is.null(names(family)) && all(nzchar(names(family)))) {
      absent <- setdiff(names, names(family))
      strange <- setdiff(names(family), names)
      if (length(absent) > 0L || length(strange) > 0L) {
        em_abort(sprintf("`family` must have a family for each of the responses %s; it names %s.",
                         paste(dQuote(names, FALSE), collapse = ", "),
                         paste(dQuote(names(family), FALSE), collapse = ", ")), "family")
      }
      family <- family[names]
    }
    if (length(family) != length(names)) {
      em_abort(sprintf("`family` must be one family%s, not %d.", if (length(names) == 1L) " for the one response" else
        sprintf(", or one for each of the %d responses", length(names)), length(family)), "family")
    }
  }
  lapply(seq_along(names), function(r) {
    one <- resolve_family(family[[r]])
    # Several columns of a Gaussian response are a multivariate one.
    if (one$name == "gaussian" && is.matrix(ys[[r]]) && ncol(ys[[r]]) > 1L) one <- resolve_family("mvgaussian")
    one
  })
}

# Options of families, one value for all responses or a list or vector named by response.
match_options <- function(covariance, n_parts, names, families) {
  check_option(covariance, "covariance", "mvgaussian", names, families)
  check_option(n_parts, "n_parts", "gaussian_mixture", names, families)
  pick <- function(value, name) {
    if (length(value) <= 1L && is.null(names(value))) return(value)
    if (name %in% names(value)) value[[name]] else NULL
  }
  lapply(names, function(name) {
    code <- pick(covariance, name)
    parts <- pick(n_parts, name)
    list(covariance = if (is.null(code)) "VVV" else code, n_parts = if (is.null(parts)) 2L else
      check_count(parts, "n_parts"))
  })
}

# An option that no response has a use for is an error, rather than without effect.
check_option <- function(value, argument, user, names, families) {
  if (is.null(value)) return(invisible())
  takes <- vapply(families, function(family) family$name == user, NA)
  if (length(value) == 1L && is.null(names(value))) {
    if (any(takes)) return(invisible())
    em_abort(sprintf("`%s` is for responses of the family %s; there is none here. Leave it out.", argument,
                     dQuote(user, FALSE)), "unused_argument", arguments = argument)
  }
  strange <- setdiff(names(value), names)
  if (is.null(names(value)) || length(strange) > 0L) {
    em_abort(sprintf("`%s` must be one value, or named by response (%s).", argument,
                     paste(dQuote(names, FALSE), collapse = ", ")), "argument", argument = argument)
  }
  unused <- intersect(names(value), names[!takes])
  if (length(unused) > 0L) {
    em_abort(sprintf("`%s` names the response %s, which is not of the family %s. Leave it out.", argument,
                     dQuote(unused[1L], FALSE), dQuote(user, FALSE)), "unused_argument", arguments = argument)
  }
}

# A response as a family's check() takes it. Words need a family of categories.
response_values <- function(y, name, family) {
  if (is.null(y)) em_abort(sprintf("The response %s is NULL.", dQuote(name, FALSE)), "response")
  if (inherits(y, "AsIs")) class(y) <- setdiff(class(y), "AsIs")
  words <- is.factor(y) || is.character(y)
  if (words && !family$columns %in% c("factor", "trials")) {
    em_abort(sprintf(paste0("The response %s is a %s, which the family %s cannot take. Use family = \"categorical\", ",
                            "or convert it to numbers."), dQuote(name, FALSE),
                     if (is.factor(y)) "factor" else "character vector", dQuote(family$name, FALSE)),
             "response_type", response = name)
  }
  if (is.matrix(y) && family$columns %in% c("one", "factor") && ncol(y) > 1L) {
    em_abort(sprintf("The response %s has %d columns; the family %s takes one.", dQuote(name, FALSE), ncol(y),
                     dQuote(family$name, FALSE)), "response_type", response = name)
  }
  y
}
