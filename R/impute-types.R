# From columns as people have them to the numbers that the models take, and back. learn_encoder() looks at a data set
# once and decides what becomes of every column; encode_columns() makes the model's matrix of these or of new data;
# decode_values() turns the model's numbers into values of the column; fill_column() puts them in place, so that class,
# levels, attributes and time zone stay what they were.

impute_types <- c("continuous", "integer", "binary", "ordinal", "nominal", "count", "semicontinuous", "date",
                  "datetime", "carried")

# More categories than this are identifiers or free text: such a column is carried unless `types` says otherwise.
kMostCategories <- 30L

# The columns of a data frame, a matrix or a vector: list(columns, names (unique), n, shape, row_names).
data_columns <- function(data, argument = "data") {
  if (is.data.frame(data)) {
    columns <- lapply(seq_along(data), function(j) .subset2(data, j))
    n <- .row_names_info(data, 2L)
    shape <- "frame"
    row_names <- chosen_row_names(data)
    names <- names(data)
  } else if (is.matrix(data) && (is.numeric(data) || is.logical(data) || is.character(data))) {
    n <- nrow(data)
    columns <- lapply(seq_len(ncol(data)), function(j) as.vector(data[, j]))
    shape <- "matrix"
    row_names <- rownames(data)
    names <- colnames(data)
  } else if ((is.numeric(data) || is.factor(data) || is.logical(data) || is.character(data)) && is.null(dim(data))) {
    n <- length(data)
    columns <- list(data)
    shape <- "vector"
    row_names <- names(data)
    names <- "x"
  } else {
    em_abort(sprintf("`%s` must be a data frame, a matrix or a vector, not %s.", argument, describe_value(data)),
             "data_type")
  }
  if (is.null(names)) names <- paste0("V", seq_along(columns))
  names[is.na(names) | names == ""] <- paste0("V", seq_along(columns))[is.na(names) | names == ""]
  list(columns = columns, names = make.unique(names), n = n, shape = shape, row_names = row_names)
}

# Missing cells of one column; a list column misses what is NULL or a single NA, a matrix column a row with any NA.
missing_cells <- function(x) {
  if (inherits(x, "POSIXlt")) x <- as.POSIXct(x)
  if (is.data.frame(x)) return(rowSums(is.na(x)) > 0L)
  if (is.list(x)) return(vapply(x, function(v) is.null(v) || (is.atomic(v) && length(v) == 1L && is.na(v)), NA))
  missing <- is.na(x)
  if (is.matrix(missing)) missing <- rowSums(missing) > 0L
  as.vector(missing)
}

# --- what a column is ---------------------------------------------------------------------------------------

# A numeric column as doubles without attributes.
plain_double <- function(x) {
  if (inherits(x, "integer64")) return(as_double_column(x, "x"))
  as.double(unclass(x))
}

# A column of categories as codes into `values`; `values`: level numbers of factors, else sorted distinct values.
category_values <- function(x) {
  if (is.factor(x)) return(sort(unique(as.integer(x[!is.na(x)]))))
  if (inherits(x, "integer64")) x <- plain_double(x)
  x <- as.vector(unclass(x))
  sort(unique(x[!is.na(x)]), method = "radix")
}

category_labels <- function(values, x) {
  if (is.factor(x)) levels(x)[values] else as.character(values)
}

# TRUE for numbers of which every one has a label: codes of categories, as haven and labelled keep them.
is_wholly_labelled <- function(x) {
  labels <- attr(x, "labels", exact = TRUE)
  if (!inherits(x, "haven_labelled") || is.null(labels)) return(FALSE)
  values <- category_values(x)
  length(values) > 0L && length(values) <= 20L && all(values %in% as.vector(unclass(labels)))
}

# The type of a column by itself, see the table of ?em_impute.
automatic_type <- function(x) {
  if (is.list(x) || !is.null(dim(x)) || isS4(x) || is.complex(x) || is.raw(x)) return("carried")
  if (is.factor(x)) {
    used <- length(category_values(x))
    if (nlevels(x) <= 2L || used <= 2L) return("binary")
    if (is.ordered(x)) return("ordinal")
    return(if (used > kMostCategories) "carried" else "nominal")
  }
  if (is.character(x)) {
    used <- length(category_values(x))
    return(if (used > kMostCategories) "carried" else if (used <= 2L) "binary" else "nominal")
  }
  if (is.logical(x)) return("binary")
  if (inherits(x, "Date")) return("date")
  if (inherits(x, "POSIXct")) return("datetime")
  if (inherits(x, "integer64")) return("integer")
  if (!is.numeric(x) && !inherits(x, "difftime")) return("carried")
  if (is_wholly_labelled(x)) return(if (length(category_values(x)) <= 2L) "binary" else "nominal")
  if (is.integer(x) && is.null(attr(x, "class"))) {
    observed <- x[!is.na(x)]
    distinct <- length(unique(observed))
    small <- distinct <= 20L && 2L * distinct <= length(observed) && all(observed >= 0L)
    return(if (small) "count" else "integer")
  }
  "continuous"
}

# The user's type for a column, if the column can be of that type.
check_type <- function(type, x, name) {
  numeric <- automatic_type(x) %in% c("continuous", "integer", "count") ||
    (is.numeric(x) && !is.factor(x) && is.null(dim(x)))
  possible <- if (is.list(x) || !is.null(dim(x)) || isS4(x) || is.complex(x) || is.raw(x)) {
    "carried"
  } else if (is.factor(x) || is.character(x) || is.logical(x)) {
    c("binary", "ordinal", "nominal", "carried")
  } else if (inherits(x, "Date")) {
    c("date", "carried")
  } else if (inherits(x, "POSIXct")) {
    c("datetime", "carried")
  } else if (numeric) {
    setdiff(impute_types, c("date", "datetime"))
  } else {
    "carried"
  }
  if (!type %in% possible) {
    em_abort(sprintf("`types`: column %s is of class %s and cannot be \"%s\"; it can be %s.", dQuote(name, FALSE),
                     paste(class(x), collapse = "/"), type, paste(dQuote(possible, FALSE), collapse = ", ")),
             "types", column = name)
  }
  if (type == "binary" && length(category_values(x)) > 2L) {
    em_abort(sprintf("`types`: column %s has more than two values and cannot be \"binary\".", dQuote(name, FALSE)),
             "types", column = name)
  }
  type
}

# --- arguments that name columns ----------------------------------------------------------------------------------

# A named vector or list whose names are columns, as a list over these columns' positions; unknown names are errors.
check_by_column <- function(x, argument, names) {
  if (is.null(x) || length(x) == 0L) return(list())
  given <- names(x)
  if (is.null(given) || anyNA(given) || any(given == "")) {
    em_abort(sprintf("`%s` must be named by the columns it is about.", argument), argument)
  }
  unknown <- setdiff(given, names)
  if (length(unknown) > 0L) {
    em_abort(sprintf("`%s` names %s, which is not a column of the data. Columns: %s.", argument,
                     dQuote(unknown[1L], FALSE), abbreviate_list(names)), argument, column = unknown[1L])
  }
  if (anyDuplicated(given)) {
    em_abort(sprintf("`%s` names %s twice.", argument, dQuote(given[anyDuplicated(given)], FALSE)), argument)
  }
  as.list(x)
}

check_types <- function(types, names) {
  types <- check_by_column(types, "types", names)
  for (name in names(types)) types[[name]] <- check_choice(types[[name]], paste0("types$", name), impute_types)
  types
}

# Bounds as doubles c(lower, upper) on the scale of the data, NA where free.
check_bounds <- function(bounds, names) {
  if (is.matrix(bounds) && ncol(bounds) == 3L && is.numeric(bounds)) {
    # as Amelia has them: column, lower, upper
    columns <- bounds[, 1L]
    if (!all(columns %in% seq_along(names))) em_abort("`bounds`: the first column must hold column numbers.", "bounds")
    bounds <- stats::setNames(lapply(seq_len(nrow(bounds)), function(i) bounds[i, 2:3]), names[columns])
  }
  bounds <- check_by_column(bounds, "bounds", names)
  lapply(stats::setNames(names(bounds), names(bounds)), function(name) {
    b <- bounds[[name]]
    fine <- length(b) == 2L && (is.numeric(b) || inherits(b, c("Date", "POSIXct", "difftime")) || all(is.na(b)))
    if (!fine) check_fails(paste0("bounds$", name), "c(lower, upper), NA where there is none", b, "bounds")
    b <- plain_double(b)
    b[is.na(b)] <- c(-Inf, Inf)[is.na(b)]
    if (b[1L] >= b[2L]) {
      em_abort(sprintf("`bounds$%s`: the lower bound, %s, is not below the upper, %s.", name, format(b[1L]),
                       format(b[2L])), "bounds", column = name)
    }
    b
  })
}

# --- learning -----------------------------------------------------------------------------------------------------

# What becomes of every column. `skip`: named character, columns that stay out of the model and why.
learn_encoder <- function(input, types = list(), bounds = list(), transform = list(), skip = character()) {
  specs <- lapply(seq_along(input$columns), function(j) {
    name <- input$names[j]
    learn_column(input$columns[[j]], name, types[[name]], bounds[[name]], transform[[name]],
                 if (name %in% names(skip)) skip[[name]])
  })
  names(specs) <- input$names
  place_columns(list(specs = specs, shape = input$shape, panel = NULL))
}

# Numbers the model's columns: every spec knows its own (`model`), the encoder their names, kinds and limits.
place_columns <- function(encoder) {
  next_column <- 1L
  for (i in seq_along(encoder$specs)) {
    width <- length(encoder$specs[[i]]$variables)
    encoder$specs[[i]]$model <- seq_len(width) + next_column - 1L
    next_column <- next_column + width
  }
  collect <- function(field, default) {
    # a column that stays out of the model has limits, but no place for them
    unlist(lapply(encoder$specs, function(s) {
      rep_len(if (is.null(s[[field]])) default else s[[field]], length(s$variables))
    }), use.names = FALSE)
  }
  encoder$variables <- as.character(unlist(lapply(encoder$specs, `[[`, "variables"), use.names = FALSE))
  encoder$kind <- as.character(collect("kind", "continuous"))
  encoder$levels <- as.integer(collect("n_levels", 0L))
  encoder$lower <- as.double(collect("lower", -Inf))
  encoder$upper <- as.double(collect("upper", Inf))
  encoder$mass <- cbind(as.double(collect("mass_lower", -Inf)), as.double(collect("mass_upper", Inf)))
  encoder
}

learn_column <- function(x, name, type, bounds, transform, skipped) {
  missing <- missing_cells(x)
  spec <- list(name = name, class = paste(class(x), collapse = "/"), n_missing = sum(missing),
               n_observed = sum(!missing), variables = character(), note = "", role = "carried", template = x[0L])
  if (is.data.frame(x) || !is.null(dim(x))) spec$template <- NULL
  chosen <- if (is.null(type)) automatic_type(x) else check_type(type, x, name)
  # what has a scale is no category
  if (is.null(type) && chosen == "count" && !(is.null(bounds) && is.null(transform))) chosen <- "integer"
  spec$type <- chosen
  if (!is.null(skipped)) return(carry_column(spec, skipped))
  if (chosen == "carried") {
    why <- if (!is.null(type)) {
      "as asked by `types`"
    } else if (is.factor(x) || is.character(x)) {
      sprintf("%d different values: set `types` to model it", length(category_values(x)))
    } else {
      sprintf("columns of class %s are not modelled", spec$class)
    }
    return(carry_column(spec, why))
  }
  if (spec$n_observed == 0L) {
    em_abort(sprintf(paste0("Column %s has no observed value, so there is nothing to impute it from. Leave it out, or ",
                            "keep it as it is by `types = c(%s = \"carried\")`."), dQuote(name, FALSE), backtick(name)),
             "all_missing", column = name)
  }
  if (chosen %in% c("binary", "ordinal", "nominal") || (chosen == "count" && spec$n_missing > 0L)) {
    if (!is.null(bounds) || !is.null(transform)) {
      em_abort(sprintf("Column %s is of type \"%s\", which takes no bounds and no transformation.", dQuote(name, FALSE),
                       chosen), if (is.null(bounds)) "transform" else "bounds", column = name)
    }
    return(learn_categories(spec, x))
  }
  learn_numbers(spec, x, missing, bounds, transform)
}

# A name as one writes it in code.
backtick <- function(name) deparse(as.name(name), backtick = TRUE)

carry_column <- function(spec, why) {
  spec$type <- "carried"
  spec$role <- "carried"
  spec$action <- "carried"
  spec$note <- paste0(why, if (spec$n_missing > 0L) sprintf("; %s left missing", count_of(spec$n_missing, "value")))
  spec
}

constant_column <- function(spec, value, values = NULL) {
  spec$role <- "constant"
  spec$action <- "constant"
  spec$constant <- value
  spec$values <- values
  spec$note <- paste0(if (spec$n_observed == 1L) "one observed value" else "constant",
                      if (spec$n_missing > 0L) {
                        sprintf(": %s filled with it", count_of(spec$n_missing, "missing value"))
                      },
                      "; not in the model")
  spec
}

learn_categories <- function(spec, x) {
  values <- category_values(x)
  spec$values <- values
  spec$labels <- category_labels(values, x)
  k <- length(values)
  if (k == 1L) return(constant_column(spec, 1L, values))
  if (k == 2L && spec$type %in% c("ordinal", "nominal", "count")) spec$type <- "binary"
  if (is.factor(x) && k < nlevels(x)) {
    spec$note <- sprintf("%s without an observation, never imputed: %s",
                         if (nlevels(x) - k == 1L) "a level" else "levels",
                         abbreviate_list(setdiff(levels(x), spec$labels), 3L))
  }
  if (spec$n_missing == 0L) {
    # Nothing to impute: the column only helps, as K - 1 dummy variables.
    if (k > max(kMostCategories, 1L) || k > spec$n_observed / 2) {
      return(carry_column(spec, sprintf("%d categories: too many to be of help", k)))
    }
    spec$role <- "dummies"
    spec$action <- "complete"
    spec$variables <- paste0(spec$name, "=", spec$labels[-1L])
    return(spec)
  }
  spec$role <- "codes"
  spec$action <- "imputed"
  spec$variables <- spec$name
  spec$kind <- if (k > 2L && spec$type == "nominal") "nominal" else "ordinal"
  spec$n_levels <- k
  spec
}

learn_numbers <- function(spec, x, missing, bounds, transform) {
  v <- plain_double(x)
  v[missing] <- NA_real_
  stop_infinite(v, spec$name, "Column")
  seen <- v[!missing]
  spec$seen <- range(seen)
  # equal up to rounding, as the models see it
  if (diff(spec$seen) <= 1e-12 * max(abs(spec$seen))) return(constant_column(spec, seen[1L]))
  step <- if (is.null(transform)) transform_steps()$identity else named_step(transform, spec$name, v)
  z <- apply_step(step, v, spec$name)
  spec$step <- step
  spec$role <- "numbers"
  spec$action <- if (spec$n_missing > 0L) "imputed" else "complete"
  spec$variables <- if (step$name == "identity") spec$name else sprintf("%s (%s)", spec$name, step$name)
  spec$whole <- spec$type %in% c("integer", "count", "date") || is.integer(x) ||
    (spec$type == "semicontinuous" && is.integer(x))
  spec$bounds <- if (is.null(bounds)) c(-Inf, Inf) else bounds
  limits <- step_limits(step, spec$bounds)
  notes <- character()
  outside <- sum(seen < spec$bounds[1L] | seen > spec$bounds[2L])
  if (outside > 0L) notes <- sprintf("%s outside the bounds", count_of(outside, "observed value"))
  no_whole <- spec$whole && ceiling(spec$bounds[1L]) > floor(spec$bounds[2L])
  if (anyNA(limits) || limits[1L] >= limits[2L] || no_whole) {
    em_abort(sprintf("`bounds$%s` leave no room for %svalues.", spec$name, if (no_whole) "whole " else ""), "bounds",
             column = spec$name)
  }
  spec$lower <- limits[1L]
  spec$upper <- limits[2L]
  if (spec$type == "semicontinuous") {
    spec <- learn_mass(spec, seen, z[!missing])
  } else {
    share <- max(mean(seen == spec$seen[1L]), mean(seen == spec$seen[2L]))
    if (share >= 0.1 && length(seen) >= 20L && length(unique(seen)) > 10L && spec$n_missing > 0L) {
      end <- if (mean(seen == spec$seen[1L]) == share) spec$seen[1L] else spec$seen[2L]
      notes <- c(notes, sprintf("%.0f%% of the values are %s: see type \"semicontinuous\"", 100 * share, format(end)))
    }
  }
  if (spec$n_missing > 0L && spec$type == "continuous" && length(seen) >= 10L && length(unique(seen)) == 2L) {
    notes <- c(notes, "two different values: see type \"binary\"")
  }
  if (spec$whole && spec$n_missing > 0L) {
    notes <- c(notes, if (spec$type == "date") "rounded to days" else "rounded to whole numbers")
  }
  spec$note <- paste(notes, collapse = "; ")
  spec
}

# Where the mass points of a semicontinuous column are: at its least or greatest value, or both, when at least one in
# twenty observed values lies there. In between the latent variable is the (transformed) value itself.
learn_mass <- function(spec, seen, z) {
  at <- c(mean(seen == spec$seen[1L]), mean(seen == spec$seen[2L]))
  count <- at * length(seen)
  mass <- at >= 0.05 & count >= 3
  inner <- !((seen == spec$seen[1L] & mass[1L]) | (seen == spec$seen[2L] & mass[2L]))
  if (!any(mass) || length(unique(seen[inner])) < 3L) {
    em_abort(sprintf(paste0("Column %s cannot be \"semicontinuous\": at least 5%% of its values must be equal to its ",
                            "least or its greatest value, and the others must vary."), dQuote(spec$name, FALSE)),
             "types", column = spec$name)
  }
  spec$kind <- "censored"
  spec$mass_values <- ifelse(mass, spec$seen, NA)
  ends <- spec$step$forward(spec$seen)
  if (!spec$step$increasing) ends <- rev(ends)
  flag <- if (spec$step$increasing) mass else rev(mass)
  spec$mass_values <- if (spec$step$increasing) spec$mass_values else rev(spec$mass_values)
  spec$mass_lower <- if (flag[1L]) ends[1L] else -Inf
  spec$mass_upper <- if (flag[2L]) ends[2L] else Inf
  spec$note <- paste("mass at", paste(format(spec$seen[mass]), collapse = " and "))
  spec
}

# Complete columns that are linear in complete columns before them add nothing to the model but a singular covariance
# matrix: they leave it, and keep the `relation` by which new rows are filled. What panel options made stays. `x`: the
# model's matrix. list(encoder, x) without them.
drop_linear <- function(encoder, x, tol = 1e-8) {
  helps <- vapply(encoder$specs, function(s) is.null(s$kind) && length(s$variables) > 0L, NA)
  position <- lapply(encoder$specs, function(s) s$model[!vapply(s$model, function(j) anyNA(x[, j]), NA)])
  fixed <- names(encoder$specs) %in% c("(panel)", encoder$panel$lags, encoder$panel$leads)
  order <- unlist(c(position[helps & fixed], position[helps & !fixed]), use.names = FALSE)
  if (length(order) < 2L) return(list(encoder = encoder, x = x))
  # a few thousand rows show that nothing is linear, as a rule
  few <- dependent_columns(x[rows_to_draw(nrow(x), 20L * length(order) + 1000L), order, drop = FALSE], tol)
  if (length(few) == 0L) return(list(encoder = encoder, x = x))
  dependent <- order[dependent_columns(x[, order, drop = FALSE], tol)]
  dropped <- which(helps & !fixed & vapply(encoder$specs, function(s) all(s$model %in% dependent), NA))
  if (length(dropped) == 0L) return(list(encoder = encoder, x = x))
  out <- unlist(lapply(encoder$specs[dropped], `[[`, "model"), use.names = FALSE)
  basis <- setdiff(order, dependent)
  left <- seq_len(ncol(x))[-out]
  relation <- qr.coef(qr(cbind(1, x[, basis, drop = FALSE]), tol = tol), x[, out, drop = FALSE])
  relation[is.na(relation)] <- 0
  size <- abs(relation[-1L, , drop = FALSE]) * apply(x[, basis, drop = FALSE], 2L, stats::sd)
  for (i in dropped) {
    spec <- encoder$specs[[i]]
    own <- relation[, match(spec$model, out), drop = FALSE]
    part <- size[, match(spec$model, out), drop = FALSE]
    used <- row_max(part) > 1e-6 * max(part)
    encoder$specs[[i]]$relation <- list(role = spec$role, model = match(basis[used], left), constant = own[1L, ],
                                        coefficients = own[-1L, , drop = FALSE][used, , drop = FALSE])
    words <- paste("linear in", abbreviate_list(encoder$variables[basis][used], 3L), "and so not in the model")
    encoder$specs[[i]]$note <- paste(c(spec$note[nzchar(spec$note)], words), collapse = "; ")
    encoder$specs[[i]]$role <- "linear"
    encoder$specs[[i]]$variables <- character()
  }
  list(encoder = place_columns(encoder), x = x[, -out, drop = FALSE])
}

# Numbers of the columns that are linear in the columns before them.
dependent_columns <- function(x, tol) {
  x <- x - rep(colMeans(x), each = nrow(x))
  size <- sqrt(colSums(x^2))
  # constant among these rows
  size[size == 0] <- 1
  x <- x / rep(size, each = nrow(x))
  # the cross-products are quick to see that nothing is, as a rule; whether something is they cannot tell to `tol`
  root <- suppressWarnings(chol(crossprod(x), pivot = TRUE, tol = 1e-9))
  if (attr(root, "rank") == ncol(x)) return(integer())
  qr <- qr(x, tol = tol)
  sort(utils::tail(qr$pivot, ncol(x) - qr$rank))
}

stop_infinite <- function(v, name, what) {
  bad <- which(is.infinite(v))
  if (length(bad) > 0L) {
    em_abort(sprintf("%s %s must be finite or NA; row %d is %s. Set it to NA if it stands for a missing value.", what,
                     dQuote(name, FALSE), bad[1L], format(v[bad[1L]])), "infinite", row = bad[1L], column = name)
  }
}

# --- reports ------------------------------------------------------------------------------------------------------

# The table `columns` of the fit, a row per column of the data.
columns_table <- function(encoder) {
  field <- function(name) vapply(encoder$specs, function(s) as.character(s[[name]]), "", USE.NAMES = FALSE)
  data_specs <- Filter(function(s) s$role != "panel", encoder$specs)
  encoder$specs <- data_specs
  table <- data.frame(
    name = field("name"), class = field("class"), type = field("type"),
    n_missing = vapply(data_specs, function(s) as.integer(s$n_missing), 0L, USE.NAMES = FALSE),
    action = field("action"), note = field("note"), stringsAsFactors = FALSE
  )
  table$levels <- lapply(data_specs, function(s) {
    if (is.factor(s$template)) levels(s$template) else if (is.null(s$values)) NULL else s$values
  })
  table$levels <- unname(table$levels)
  table
}
