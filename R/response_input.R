# Responses and designs, for every model in which a formula says what the distribution of a response depends on: from
# formulas and data to what the core takes, for the data of a fit and for new data.
#
# A design is list(x = n x p or NULL when there is an intercept alone, offset = n or NULL, intercept = its column or 0,
# names = p names, variables = what new data must have, terms, xlevels, contrasts, centre, scale). The core sees columns
# that are centred and divided by their standard deviations, users see coefficients of the columns as they wrote them;
# design_to_core() and design_from_core() go between the two, exactly.
#
# A response is list(name, family, link, info, levels, columns, y = n x c, design, formula, options, fixed, shared); its
# natural parameters are an m x K matrix (see family.R).

# ---- frames and designs --------------------------------------------------------------------------

# Data as a data frame, or NULL when variables are to be found where the formula was written.
check_data_frame <- function(data, name = "data") {
  if (is.null(data)) return(NULL)
  if (is.matrix(data)) data <- as.data.frame(data)
  if (!is.data.frame(data) && !is.list(data)) check_fails(name, "a data frame", data, "data_type")
  if (!is.data.frame(data)) {
    lengths <- unique(lengths(data))
    if (length(lengths) != 1L) em_abort(sprintf("`%s` is a list of unequal lengths; give a data frame.", name),
                                        "data_type")
    data <- as.data.frame(data, optional = TRUE)
  }
  data
}

formula_text <- function(formula) paste(trimws(deparse(formula, 500L)), collapse = " ")

# The model frame of a formula or terms, missing values kept.
frame_of <- function(formula, data, xlevels = NULL, class = "formula") {
  frame <- tryCatch(
    stats::model.frame(formula, data, na.action = stats::na.pass, xlev = xlevels),
    error = function(e) {
      em_abort(sprintf("The formula %s could not be evaluated%s: %s.", formula_text(stats::formula(formula)),
                       if (class == "newdata") " in `newdata`" else "", sub("\\.$", "", conditionMessage(e))), class)
    }
  )
  frame
}

# The design of the right side of terms. `n` rows (a frame without variables has none); `what` names it in messages.
# `like`: the design of the fit, for new data. `used`: the rows that count; in others covariates may be missing.
design_of <- function(terms, frame, n, what, like = NULL, used = NULL) {
  if (attr(terms, "response") > 0L) terms <- stats::delete.response(terms)
  offset <- stats::model.offset(frame)
  covariates <- intersect(names(frame), vapply(as.list(attr(terms, "variables"))[-1L], formula_text, ""))
  for (name in covariates) check_covariate(frame[[name]], name, what, used)
  if (length(attr(terms, "term.labels")) == 0L && attr(terms, "intercept") == 1L) {
    return(new_design(NULL, offset, 1L, "(Intercept)", terms, NULL, NULL))
  }
  x <- stats::model.matrix(terms, frame, contrasts.arg = like$contrasts)
  if (ncol(x) == 0L) {
    em_abort(sprintf("The formula of %s has nothing on its right side; write ~ 1 for a constant.", what), "formula")
  }
  contrasts <- attr(x, "contrasts")
  intercept <- match(0L, attr(x, "assign"), nomatch = 0L)
  names <- colnames(x)
  x <- matrix(as.double(x), n, length(names))
  odd <- !is.finite(x)
  if (!is.null(used)) odd[-used, ] <- FALSE
  bad <- which(odd, arr.ind = TRUE)
  if (nrow(bad) > 0L) {
    em_abort(sprintf("The covariates of %s must be finite; row %d of %s is %s.", what, bad[1L, 1L],
                     dQuote(names[bad[1L, 2L]], FALSE), format(x[bad[1L, , drop = FALSE]])),
             "covariate", row = bad[[1L, 1L]], column = names[bad[1L, 2L]])
  }
  new_design(x, offset, intercept, names, terms, stats::.getXlevels(terms, frame), contrasts)
}

new_design <- function(x, offset, intercept, names, terms, xlevels, contrasts) {
  p <- length(names)
  list(x = x, offset = if (!is.null(offset)) as.double(offset), intercept = intercept, names = names,
       variables = character(), terms = terms, xlevels = xlevels, contrasts = contrasts, centre = rep(0, p),
       scale = rep(1, p))
}

# A covariate has no missing values: its value is part of the model of the rows that have responses.
check_covariate <- function(x, name, what, used = NULL) {
  missing <- if (is.matrix(x)) rowSums(is.na(x)) > 0L else is.na(x)
  row <- which(missing)
  if (!is.null(used)) row <- intersect(row, used)
  if (length(row) == 0L) return(invisible())
  more <- if (length(row) > 1L) sprintf(" (and in %d more)", length(row) - 1L) else ""
  em_abort(sprintf(paste0("The covariate %s of %s is missing in row %d%s. Missing responses are fine, missing ",
                          "covariates are not: fill them in (em_impute() can)."),
                   dQuote(name, FALSE), what, row[1L], more),
           "missing_covariate", column = name, row = row[1L], rows = row)
}

# A design with the centres and scales of its columns; `centred = FALSE` where the intercept is not free to take up what
# centring does. `rows` are those that count. Columns that others determine are an error: their coefficients have no
# meaning.
standardise_design <- function(design, what, centred = TRUE, rows = NULL) {
  x <- design$x
  if (is.null(x)) return(design)
  if (!is.null(rows)) x <- x[rows, , drop = FALSE]
  columns <- setdiff(seq_len(ncol(x)), design$intercept)
  if (design$intercept > 0L && centred) design$centre[columns] <- colMeans(x[, columns, drop = FALSE])
  spread <- sqrt(colMeans(sweep(x, 2L, design$centre)^2))
  size <- sqrt(colMeans(x^2))
  flat <- columns[!(spread[columns] > 1e-12 * size[columns])]
  design$scale[columns] <- ifelse(spread[columns] > 0, spread[columns], 1)
  z <- qr(standard_columns(x, design), tol = 1e-7)
  dependent <- union(flat, if (z$rank < ncol(x)) z$pivot[-seq_len(z$rank)])
  if (length(dependent) > 0L) {
    em_abort(sprintf("The covariates of %s are collinear: %s %s determined by the others. Leave it out.", what,
                     paste(dQuote(design$names[dependent], FALSE), collapse = ", "),
                     if (length(dependent) == 1L) "is" else "are"),
             "collinear", columns = design$names[dependent])
  }
  design
}

# Rows that are not used may have missing values; averages over the rows that are take their place.
fill_unused <- function(x, used) {
  for (j in seq_len(ncol(x))) {
    odd <- !is.finite(x[, j])
    if (any(odd)) x[odd, j] <- if (length(used) > 0L) mean(x[used, j]) else 0
  }
  x
}

standard_columns <- function(x, design) {
  sweep(sweep(x, 2L, design$centre), 2L, design$scale, "/")
}

# The design's columns as the core takes them.
core_columns <- function(design) {
  if (is.null(design$x)) NULL else standard_columns(design$x, design)
}

# Coefficients (p x anything) of the columns as written from those of the standardised columns, and back.
design_from_core <- function(coefficients, design) {
  coefficients <- coefficients / design$scale
  if (design$intercept > 0L) {
    coefficients[design$intercept, ] <- coefficients[design$intercept, ] - colSums(coefficients * design$centre)
  }
  coefficients
}

design_to_core <- function(coefficients, design) {
  if (design$intercept > 0L) {
    # Fixed coefficients are NA where free; columns that are not centred have no part in the intercept.
    moved <- design$centre != 0
    shift <- colSums(coefficients[moved, , drop = FALSE] * design$centre[moved])
    coefficients[design$intercept, ] <- coefficients[design$intercept, ] + shift
  }
  coefficients * design$scale
}

# The rows of a design.
design_rows <- function(design, rows) {
  if (!is.null(design$x)) design$x <- design$x[rows, , drop = FALSE]
  if (!is.null(design$offset)) design$offset <- design$offset[rows]
  design
}

# The design for new data: the same columns, centres and scales.
design_new <- function(design, data, n, what, used = NULL) {
  if (is.null(design$x) && is.null(design$offset)) return(design)
  absent <- setdiff(design$variables, names(data))
  if (length(absent) > 0L) {
    em_abort(sprintf("`newdata` lacks the covariate%s %s of %s.", if (length(absent) > 1L) "s" else "",
                     paste(dQuote(absent, FALSE), collapse = ", "), what), "newdata", variables = absent)
  }
  frame <- frame_of(design$terms, data, design$xlevels, "newdata")
  new <- design_of(design$terms, frame, n, what, design, used)
  new[c("centre", "scale", "xlevels", "variables")] <- design[c("centre", "scale", "xlevels", "variables")]
  new
}

# The variables of a formula that vary by row: columns of the data, or vectors of that length where the formula was
# written. New data must have them; the others are constants (knots, degrees).
row_variables <- function(formula, data, n) {
  env <- environment(formula)
  Filter(function(name) {
    name %in% names(data) || NROW(get0(name, envir = if (is.null(env)) globalenv() else env)) == n
  }, all.vars(formula))
}

# Whether a design has anything beyond an intercept: then a response has coefficients in place of its mean.
has_predictor <- function(design) !is.null(design$x) || !is.null(design$offset)

# Number of coefficients, or NULL where the mean itself is the parameter: the `p` of a family's functions.
n_coefficients <- function(design) if (has_predictor(design)) length(design$names) else NULL

# ---- responses -----------------------------------------------------------------------------------

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
  options <- match_options(covariance, n_parts, names)
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
  response <- new_response(name, family, x, design, NULL, match_options(covariance, n_parts, name)[[1L]])
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
      em_abort(sprintf("`family` must be one family, or one for each of the %d responses, not %d.", length(names),
                       length(family)), "family")
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
match_options <- function(covariance, n_parts, names) {
  pick <- function(value, name) {
    if (length(value) <= 1L && is.null(names(value))) return(value)
    strange <- setdiff(names(value), names)
    if (is.null(names(value)) || length(strange) > 0L) {
      em_abort(sprintf("`covariance` and `n_parts` must be one value, or named by response (%s).",
                       paste(dQuote(names, FALSE), collapse = ", ")), "argument")
    }
    if (name %in% names(value)) value[[name]] else NULL
  }
  lapply(names, function(name) {
    code <- pick(covariance, name)
    parts <- pick(n_parts, name)
    list(covariance = if (is.null(code)) "VVV" else code, n_parts = if (is.null(parts)) 2L else
      check_count(parts, "n_parts"))
  })
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

# ---- constraints ---------------------------------------------------------------------------------

# Responses with their fixed and shared parameters in the core's terms. `fixed`, `shared`: as users give them.
constrain_responses <- function(responses, fixed, shared, n_components) {
  names <- names(responses)
  fixed <- by_response(fixed, names, "fixed$emission")
  shared <- by_response(shared, names, "shared")
  lapply(responses, function(response) {
    what <- sprintf("the response %s", dQuote(response$name, FALSE))
    response$fixed <- fixed_natural(response, fixed[[response$name]], n_components)
    response$shared <- shared_natural(response, shared[[response$name]], n_components)
    p <- n_coefficients(response$design)
    first <- response$design$intercept
    tied <- !is.null(p) && first > 0L &&
      (any(!is.na(response$fixed[first, ])) || isTRUE(response$shared[first]))
    response$design <- standardise_design(response$design, what, centred = !tied)
    response
  })
}

# A user's value for responses, as a list by response. With one response it may be that response's own value.
by_response <- function(value, names, argument) {
  if (is.null(value)) return(NULL)
  if (is.list(value) && length(value) > 0L && !is.null(names(value)) && all(names(value) %in% names)) return(value)
  if (length(names) == 1L) return(stats::setNames(list(value), names))
  em_abort(sprintf("`%s` must be a list named by response: some of %s.", argument,
                   paste(dQuote(names, FALSE), collapse = ", ")), "argument", argument = argument)
}

# The natural parameters' places (1 .. m K) in the shape in which users see them.
natural_places <- function(response, n_components, labels = NULL) {
  m <- n_natural(response)
  # Numbers between 0 and 1 on their way: families bring angles into their range.
  scale <- m * n_components + 1
  places <- matrix(seq_len(m * n_components) / scale, m, dimnames = list(NULL, labels))
  lapply(response$family$from_natural(places, response_info(response)), function(x) {
    x[] <- round(x * scale)
    x
  })
}

n_natural <- function(response) {
  info <- response_info(response)
  response$family$n_parameters(info, info$p)
}

# What a family's functions need to know of a response beside its parameters.
response_info <- function(response) {
  info <- response$info
  # Also where it is NULL: `info$p` would else be the first element whose name begins with p.
  info["p"] <- list(n_coefficients(response$design))
  info$coefficient_names <- response$design$names
  info$columns <- response$columns
  info$n_parts <- response$options$n_parts
  info$levels <- response$levels
  info
}

# m x K with NA where free, or NULL; from list(sd = c(NA, 0.2)), in the shapes of the parameters.
fixed_natural <- function(response, fixed, n_components) {
  if (is.null(fixed)) return(NULL)
  places <- natural_places(response, n_components)
  strange <- setdiff(names(fixed), names(places))
  if (!is.list(fixed) || is.null(names(fixed)) || length(strange) > 0L) {
    em_abort(sprintf("`fixed` of the response %s must be a list with some of %s%s.", dQuote(response$name, FALSE),
                     paste(names(places), collapse = ", "),
                     if (length(strange) > 0L) paste0(", not ", paste(strange, collapse = ", ")) else ""), "fixed")
  }
  out <- matrix(NA_real_, n_natural(response), n_components)
  for (name in names(fixed)) {
    value <- fixed[[name]]
    place <- places[[name]]
    if (!is.numeric(value) && !all(is.na(value)) || length(value) != length(place)) {
      em_abort(sprintf("`fixed` of the response %s: %s must have %s (NA where free), not %s.",
                       dQuote(response$name, FALSE),
                       name, shape_words(place), shape_words(value)), "fixed")
    }
    check_fixed_values(as.double(value), name, response)
    out[as.vector(place)] <- as.double(value)
  }
  out
}

# Fixed values lie where the parameter does. Coefficients and covariances may be any number.
check_fixed_values <- function(value, name, response) {
  domain <- if (name %in% c("coefficients", "covariance")) "real" else response$family$domains[[name]]
  bad <- which(!is.na(value) & !domain_holds(value, domain) & !(name == "df" & value == Inf))
  if (length(bad) == 0L) return(invisible())
  em_abort(sprintf("`fixed` of the response %s: %s must be %s, not %s. Give NA where it is free.",
                   dQuote(response$name, FALSE), name, domain_words(domain), format(value[bad[1L]])),
           "fixed", response = response$name, parameter = name, value = value[bad[1L]])
}

shape_words <- function(x) {
  if (is.null(dim(x))) count_of(length(x), "value") else paste(dim(x), collapse = " x ")
}

# logical(m) or NULL: which natural parameters are equal over the components.
shared_natural <- function(response, shared, n_components) {
  if (is.null(shared)) return(NULL)
  places <- natural_places(response, n_components)
  m <- n_natural(response)
  rows_of <- function(name) unique((as.vector(places[[name]]) - 1L) %% m + 1L)
  coefficients <- n_coefficients(response$design)
  out <- logical(m)
  for (name in as.character(unlist(shared))) {
    if (name %in% names(places)) {
      out[rows_of(name)] <- TRUE
    } else if (!is.null(coefficients) && name %in% response$design$names) {
      rows <- rows_of("coefficients")
      out[rows[(seq_along(rows) - 1L) %% coefficients + 1L == match(name, response$design$names)]] <- TRUE
    } else {
      em_abort(sprintf("`shared` of the response %s names %s; its parameters are %s.", dQuote(response$name, FALSE),
                       dQuote(name, FALSE), paste(c(names(places), if (!is.null(coefficients)) response$design$names),
                                                  collapse = ", ")), "shared")
    }
  }
  out
}

# ---- to and from the core ------------------------------------------------------------------------

# The response as the core takes it (see the glue); the rows of `rows` in that order.
core_response <- function(response, rows = NULL) {
  if (!is.null(rows)) response <- response_rows(response, rows)
  fixed <- response$fixed
  if (!is.null(fixed)) fixed <- natural_to_core(fixed, response)
  list(name = response$name, family = response$family$name, y = response$y, x = core_columns(response$design),
       offset = response$design$offset, link = response$link, options = response$options, fixed = fixed,
       shared = response$shared)
}

response_rows <- function(response, rows) {
  response$y <- response$y[rows, , drop = FALSE]
  response$design <- design_rows(response$design, rows)
  response
}

# m x K natural parameters, of the columns as written and of the core's standardised columns.
natural_from_core <- function(natural, response) map_coefficients(natural, response, design_from_core)
natural_to_core <- function(natural, response) map_coefficients(natural, response, design_to_core)

# Coefficients are the first rows: one block of p, or for categories one for each but the first.
map_coefficients <- function(natural, response, map) {
  p <- n_coefficients(response$design)
  if (is.null(p) || is.null(response$design$x)) return(natural)
  blocks <- coefficient_blocks(response)
  rows <- seq_len(p * blocks)
  natural[rows, ] <- map(matrix(natural[rows, ], p), response$design)
  natural
}

coefficient_blocks <- function(response) {
  if (response$family$name == "categorical") length(response$levels) - 1L else 1L
}

# Parameters as users see them, of the core's natural parameters; and back. For one response a list of its parameters,
# for several a list of such lists.
emission_from_core <- function(natural, responses, labels) {
  out <- lapply(seq_along(responses), function(r) {
    response <- responses[[r]]
    matrix <- natural_from_core(natural[[r]], response)
    colnames(matrix) <- labels
    response$family$from_natural(matrix, response_info(response))
  })
  if (length(out) == 1L) out[[1L]] else stats::setNames(out, names(responses))
}

emission_to_core <- function(emission, responses, n_components) {
  lists <- by_response(emission, names(responses), "emission")
  lapply(responses, function(response) {
    info <- response_info(response)
    one <- lists[[response$name]]
    if (is.null(one)) {
      em_abort(sprintf("`start$emission` has nothing for the response %s.", dQuote(response$name, FALSE)), "start")
    }
    natural_to_core(response$family$to_natural(one, info, n_components, info$p), response)
  })
}

# ---- new data ------------------------------------------------------------------------------------

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
