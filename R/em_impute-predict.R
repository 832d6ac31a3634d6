# predict() of an imputer: new rows from the fitted parameters.

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
