# Designs: from the right side of a formula to what the core takes, for the data of a fit and for new data.
#
# A design is list(x = n x p or NULL when there is an intercept alone, offset = n or NULL, intercept = its column or 0,
# names = p names, variables = what new data must have, terms, xlevels, contrasts, centre, scale). The core sees columns
# that are centred and divided by their standard deviations, users see coefficients of the columns as they wrote them;
# design_to_core() and design_from_core() go between the two, exactly.

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
      strange <- function_variables(formula, data)
      if (length(strange) > 0L) {
        em_abort(sprintf("The formula %s has no variable %s%s; there is only a function of this name.",
                         formula_text(stats::formula(formula)), dQuote(strange[1L], FALSE),
                         if (is.null(data)) "" else sprintf(" in `%s`", if (class == "newdata") class else "data")),
                 class, variables = strange)
      }
      em_abort(sprintf("The formula %s could not be evaluated%s: %s.", formula_text(stats::formula(formula)),
                       if (class == "newdata") " in `newdata`" else "", sub("\\.$", "", conditionMessage(e))), class)
    }
  )
  frame
}

# Variables of a formula that are not in the data, and where it was written are functions.
function_variables <- function(formula, data) {
  env <- environment(formula)
  if (is.null(env)) env <- globalenv()
  Filter(function(name) is.function(get0(name, env)), setdiff(all.vars(formula), names(data)))
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
