# Panel data: columns that help the imputation and are dropped from its result, as Amelia builds them. Polynomials or
# splines of time, the same for every unit or (`intercs`) one for each; lags and leads of variables within units.

# The panel options among the dots of em_impute(), checked; anything else there is an error.
check_panel <- function(time, cs, dots, names) {
  known <- c("polytime", "splinetime", "intercs", "lags", "leads")
  given <- if (is.null(names(dots))) rep("", length(dots)) else names(dots)
  if (!all(given %in% known)) do.call(check_dots_empty, c(dots[!given %in% known], .function = "em_impute"))
  one_column <- function(column, argument) {
    if (is.null(column)) return(NULL)
    column <- resolve_columns(column, argument, names)
    if (length(column) != 1L) em_abort(sprintf("`%s` must name one column.", argument), argument)
    column
  }
  panel <- list(
    time = one_column(time, "time"), cs = one_column(cs, "cs"),
    polytime = if (!is.null(dots$polytime)) check_count(dots$polytime, "polytime", 0L, 3L),
    splinetime = if (!is.null(dots$splinetime)) check_count(dots$splinetime, "splinetime", 0L, 6L),
    intercs = if (is.null(dots$intercs)) FALSE else check_flag(dots$intercs, "intercs"),
    lags = resolve_columns(dots$lags, "lags", names), leads = resolve_columns(dots$leads, "leads", names)
  )
  needs_time <- c(polytime = !is.null(panel$polytime), splinetime = !is.null(panel$splinetime),
                  lags = length(panel$lags) > 0L, leads = length(panel$leads) > 0L)
  if (is.null(panel$time) && any(needs_time)) {
    em_abort(sprintf("`%s` needs `time`, the column that orders the rows.", names(needs_time)[needs_time][1L]), "panel")
  }
  if (is.null(panel$cs) && panel$intercs) em_abort("`intercs` needs `cs`, the column of the cross-section units.",
                                                   "panel")
  if (!is.null(panel$polytime) && !is.null(panel$splinetime)) {
    em_abort("Give either `polytime` or `splinetime`, not both.", "panel")
  }
  panel
}

# Column names from names or numbers.
resolve_columns <- function(x, argument, names) {
  if (is.null(x) || length(x) == 0L) return(character())
  if (is.numeric(x) && all(x %in% seq_along(names))) return(names[x])
  bad <- if (is.character(x)) setdiff(x, names) else format(x)
  if (!is.character(x) || length(bad) > 0L) {
    em_abort(sprintf("`%s` names %s, which is not a column of the data. Columns: %s.", argument, dQuote(bad[1L], FALSE),
                     abbreviate_list(names)), argument, column = bad[1L])
  }
  unique(x)
}

# Adds to the encoder the columns that the panel options ask for.
learn_panel <- function(encoder, panel, input) {
  if (is.null(panel$polytime) && is.null(panel$splinetime) && !panel$intercs && length(c(panel$lags,
                                                                                         panel$leads)) == 0L) {
    return(encoder)
  }
  columns <- stats::setNames(input$columns, input$names)
  if (!is.null(panel$time)) {
    time <- panel_time(columns[[panel$time]], panel$time)
    panel$centre <- mean(range(time))
    panel$scale <- max(diff(range(time)) / 2, .Machine$double.xmin)
    knots <- if (is.null(panel$splinetime)) 0L else max(0L, panel$splinetime - 3L)
    panel$knots <- if (knots > 0L) stats::quantile(time, seq_len(knots) / (knots + 1), names = FALSE)
    panel$degree <- min(3L, max(0L, panel$splinetime, panel$polytime))
  } else {
    panel$degree <- 0L
  }
  if (!is.null(panel$cs)) panel$units <- sort(unique(panel_unit(columns[[panel$cs]], panel$cs)))
  for (name in unique(c(panel$lags, panel$leads))) {
    if (encoder$specs[[name]]$role != "numbers" || identical(encoder$specs[[name]]$kind, "censored")) {
      em_abort(sprintf("`lags` and `leads` must be numeric columns of the model; %s is not.", dQuote(name, FALSE)),
               "panel", column = name)
    }
  }
  # Columns that are combinations of those before them are left out.
  effects <- panel_effects(panel, columns)
  if (ncol(effects) > 0L) {
    qr <- qr(cbind(1, effects), tol = 1e-7)
    panel$keep <- sort(qr$pivot[seq_len(qr$rank)])[-1L] - 1L
  }
  encoder$panel <- panel
  names <- c(if (length(panel$keep) > 0L) colnames(effects)[panel$keep],
             if (length(panel$lags) > 0L) paste0("lag.", panel$lags),
             if (length(panel$leads) > 0L) paste0("lead.", panel$leads))
  encoder$specs[["(panel)"]] <- list(name = "(panel)", role = "panel", variables = names, n_missing = 0L, note = "")
  place_columns(encoder)
}

panel_time <- function(x, name) {
  if (anyNA(x)) em_abort(sprintf("`time`: column %s has missing values.", dQuote(name, FALSE)), "panel", column = name)
  if (is.factor(x) || !(is.numeric(x) || inherits(x, c("Date", "POSIXct", "difftime")))) {
    em_abort(sprintf("`time`: column %s must be numeric, a Date or a POSIXct.", dQuote(name, FALSE)), "panel",
             column = name)
  }
  plain_double(x)
}

panel_unit <- function(x, name) {
  if (anyNA(x)) em_abort(sprintf("`cs`: column %s has missing values.", dQuote(name, FALSE)), "panel", column = name)
  as.character(x)
}

# Time basis and unit effects (n x columns): powers of the time scaled to [-1, 1] and truncated cubes at the knots; for
# `intercs` an intercept and such a curve for every unit but the first.
panel_effects <- function(panel, columns) {
  n <- length(columns[[1L]])
  basis <- matrix(0, n, 0L)
  if (panel$degree > 0L) {
    t <- (panel_time(columns[[panel$time]], panel$time) - panel$centre) / panel$scale
    knots <- (panel$knots - panel$centre) / panel$scale
    basis <- cbind(outer(t, seq_len(panel$degree), `^`), if (length(knots) > 0L) pmax(outer(t, knots, `-`), 0)^3)
    colnames(basis) <- paste0("time.", seq_len(ncol(basis)))
  }
  if (!panel$intercs) return(basis)
  unit <- match(panel_unit(columns[[panel$cs]], panel$cs), panel$units)
  if (anyNA(unit)) {
    em_abort(sprintf("`newdata` has units of column %s that the data of the fit did not have.",
                     dQuote(panel$cs, FALSE)),
             "new_category", column = panel$cs)
  }
  curve <- cbind(1, basis)
  own <- lapply(seq_along(panel$units)[-1L], function(g) {
    part <- curve * (unit == g)
    colnames(part) <- paste0(c("unit", colnames(basis)), ".", panel$units[g])
    part
  })
  do.call(cbind, c(list(basis), own))
}

# Values of the row before (or, `ahead`, after) in the same unit, NA where there is none. `x`: n x variables.
panel_shift <- function(panel, columns, x, ahead) {
  time <- panel_time(columns[[panel$time]], panel$time)
  unit <- if (is.null(panel$cs)) rep("", length(time)) else panel_unit(columns[[panel$cs]], panel$cs)
  order <- order(unit, time)
  n <- length(order)
  same <- unit[order][-1L] == unit[order][-n]
  if (any(same & time[order][-1L] == time[order][-n])) {
    em_abort("`lags` and `leads`: a unit has two rows of the same time.", "panel")
  }
  result <- matrix(NA_real_, n, ncol(x))
  earlier <- order[-n][same]
  later <- order[-1L][same]
  if (ahead) result[earlier, ] <- x[later, ] else result[later, ] <- x[earlier, ]
  result
}

# The panel's columns of the model's matrix. `x`: the matrix with the data's own columns filled in.
panel_columns <- function(encoder, columns, x) {
  panel <- encoder$panel
  own <- function(names) x[, vapply(encoder$specs[names], `[[`, 0L, "model"), drop = FALSE]
  parts <- list(
    if (length(panel$keep) > 0L) panel_effects(panel, columns)[, panel$keep, drop = FALSE],
    if (length(panel$lags) > 0L) panel_shift(panel, columns, own(panel$lags), FALSE),
    if (length(panel$leads) > 0L) panel_shift(panel, columns, own(panel$leads), TRUE)
  )
  do.call(cbind, parts)
}
