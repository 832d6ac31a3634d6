# Base graphics of imputations.

#' Plot imputations
#'
#' Shows which values are missing, how imputed values compare with observed ones, how well observed values would have
#' been imputed, and whether the algorithm can be trusted.
#'
#' * `"pattern"`: the patterns of missing values as rows, the most frequent on top, with the number of rows that have
#'   each (right) and the number of missing values of each column (below the names).
#' * `"density"`: for each imputed column the density of observed and of imputed values, one line for each imputation;
#'   for categories their shares. Under missingness at random the two may differ.
#' * `"trace"`: the objective of the EM algorithm and its distance to the last value; or, where chains were kept, their
#'   path.
#' * `"overimpute"`: observed values against what the model would have imputed for them, see [em_overimpute()].
#' * `"dispersion"`: EM from starts that are far apart. If all end at the same point, it is the only mode that they
#'   could find.
#' * `"scatter"`: two columns, imputed points in colour.
#'
#' `autoplot()`, with ggplot2, knows the types `"density"` (of numeric columns), `"pattern"`, `"overimpute"` and
#' `"scatter"`.
#'
#' @param x,object Imputations from [em_impute()].
#' @param type What to plot. Default `"density"` where there are imputations, else `"pattern"`.
#' @param columns Names or numbers of the columns to show. Default: the imputed ones, at most 9; for `"scatter"`, which
#'   takes two, the first imputed and the column that is most correlated with it.
#' @param imputation For `"scatter"`: the number of the imputation. Default 1.
#' @param n_starts For `"dispersion"`: how many starts. Default 5.
#' @param level For `"overimpute"`: the probability of the intervals. Default 0.9.
#' @param max_points The most points of a panel; of more, an even selection. Default 5000.
#' @param main Title.
#' @param ... For one-panel plots, graphical parameters such as `xlim`. For `autoplot()` unused, and an error.
#' @return `x`, invisibly; `autoplot()`: an object of class `ggplot`.
#' @seealso [em_overimpute()]
#' @examples
#' imp <- em_impute(airquality, m = 5)
#' plot(imp, "pattern")
#' plot(imp, "density")
#' plot(imp, "overimpute")
#' @export
plot.em_impute <- function(x, type = c("density", "pattern", "trace", "overimpute", "dispersion", "scatter"),
                           columns = NULL, imputation = 1L, n_starts = 5L, level = 0.9, max_points = 5000,
                           main = NULL, ...) {
  type <- if (missing(type) && x$m == 0L) "pattern" else match_choice(type)
  look <- list(main = main, xlab = NULL, ylab = NULL, legend = TRUE, more = list(...))
  switch(type,
    density = plot_densities(x, impute_columns(x, columns, imputed = TRUE), look),
    pattern = plot_pattern(x, columns, look),
    trace = plot_chains(x, look),
    overimpute = plot_overimpute(x, columns, level, max_points, look),
    dispersion = plot_dispersion(x, n_starts, look),
    scatter = plot_scatter(x, columns, imputation, max_points, look)
  )
  invisible(x)
}

# Names of columns to show.
impute_columns <- function(x, columns, imputed, most = 9L) {
  names <- x$columns$name
  possible <- if (imputed) names(x$imputed)[x$columns$action[match(names(x$imputed), names)] == "imputed"] else names
  if (is.null(columns)) {
    columns <- possible
    if (length(columns) > most) {
      message("Showing the first ", most, " of ", length(columns), " columns; choose others with `columns`.")
      columns <- columns[seq_len(most)]
    }
  }
  columns <- resolve_columns(columns, "columns", names)
  bad <- setdiff(columns, possible)
  if (length(bad) > 0L) {
    em_abort(sprintf("`columns`: %s was not imputed. Imputed columns: %s.", dQuote(bad[1L], FALSE),
                     abbreviate_list(possible)), "columns", column = bad[1L])
  }
  if (length(columns) == 0L) em_abort("No column was imputed, so there is nothing to plot.", "nothing_to_plot")
  columns
}

# Several panels with a common title and legend above; one panel leaves par() as it is, so that it can be added to.
# `layout`: rows and columns of panels.
panels <- function(n, look, title, note, legend, draw, left = 4, layout = if (n == 2L) 1:2 else grDevices::n2mfrow(n)) {
  if (n == 1L) {
    draw(1L)
    panel_title(look, title, note)
    do.call(legend_above, legend)
    return(invisible())
  }
  old <- graphics::par(no.readonly = TRUE)
  on.exit(graphics::par(old))
  graphics::par(mfrow = layout, mar = c(3.2, left, 1.6, 0.8),
                oma = c(0, 0, 3.4, 0), mgp = c(1.9, 0.55, 0), tcl = -0.25, las = 1, cex = if (n > 4L) 0.7 else 0.85)
  for (i in seq_len(n)) draw(i)
  graphics::par(mfrow = c(1, 1), mar = c(0, 2, 0, 1), oma = c(0, 0, 3.2, 0), new = TRUE, cex = 0.9)
  graphics::plot.default(NA, NA, xlim = c(0, 1), ylim = c(0, 1), axes = FALSE, ann = FALSE, xaxs = "i", yaxs = "i")
  graphics::mtext(if (is.null(look$main)) title else look$main, side = 3, line = 2, adj = 0, font = 2, cex = 1.05)
  if (nzchar(note)) graphics::mtext(note, side = 3, line = 2.1, adj = 1, cex = 0.75, col = "grey40")
  do.call(legend_above, legend)
  invisible()
}

# --- pattern ------------------------------------------------------------------------------------------------------

# Patterns of missing values: list(missing (patterns x columns, logical), count, columns, left), most frequent first.
pattern_data <- function(x, columns, most = 25L) {
  input <- data_columns(x$data)
  names <- if (is.null(columns)) input$names else resolve_columns(columns, "columns", input$names)
  missing <- vapply(input$columns[match(names, input$names)], missing_cells, logical(input$n))
  missing <- matrix(missing, input$n, length(names))
  some <- colSums(missing) > 0L
  if (is.null(columns) && sum(some) > 1L && length(names) > 20L) {
    missing <- missing[, some, drop = FALSE]
    names <- names[some]
  }
  keep <- order(colSums(missing), seq_along(names))
  missing <- missing[, keep, drop = FALSE]
  names <- names[keep]
  key <- missing_pattern(ifelse(missing, NA, 0))
  count <- tabulate(key)
  first <- match(seq_along(count), key)
  order <- order(-count, rowSums(missing[first, , drop = FALSE]))
  left <- length(order) - min(length(order), most)
  shown <- utils::head(order, most)
  list(missing = missing[first[shown], , drop = FALSE], count = count[shown], columns = names,
       n_missing = colSums(missing), left = left, n = input$n)
}

plot_pattern <- function(x, columns, look) {
  p <- pattern_data(x, columns)
  draw_pattern(
    p, look, sprintf("Missing values: %s of %s rows complete", format(complete_rows(x), big.mark = ","),
                     format(p$n, big.mark = ",")),
    missing = if (x$m > 0L) "missing, imputed" else "missing",
    kept = x$columns$action[match(p$columns, x$columns$name)] == "carried"
  )
}

complete_rows <- function(x) {
  missing <- Reduce(`|`, lapply(data_columns(x$data)$columns, missing_cells))
  sum(!missing)
}

# --- density ------------------------------------------------------------------------------------------------------

# Observed and imputed values of one column as numbers: list(observed, imputed (n_missing x m), labels or NULL).
column_values <- function(x, name) {
  spec <- x$encoder$specs[[name]]
  column <- data_column(x, name)
  if (spec$role == "codes") {
    code <- x$imputed[[name]]
    if (!is.character(spec$values)) code[] <- match(code, spec$values)
    observed <- category_codes(spec, column)
    return(list(observed = observed[!is.na(observed)], imputed = code, labels = spec$labels))
  }
  observed <- plain_double(column)
  list(observed = observed[!is.na(observed)], imputed = x$imputed[[name]], labels = NULL, like = spec$template,
       limits = value_limits(spec))
}

# Between which values a numeric column can lie: its bounds and what its transformation takes.
value_limits <- function(spec) {
  c(max(spec$bounds[1L], spec$step$domain[1L]), min(spec$bounds[2L], spec$step$domain[2L]))
}

# Densities of observed and imputed values as points (lists x, y): list(observed, imputed (list)). They end at the
# limits of the column, unless observed values lie beyond these. Few imputed values have no density of their own, but
# those of all imputations together have.
density_curves <- function(v) {
  inside <- v$observed >= v$limits[1L] & v$observed <= v$limits[2L]
  curve <- function(z, bw, limits) {
    ends <- c(max(limits[1L], min(z) - 3 * bw), min(limits[2L], max(z) + 3 * bw))
    d <- stats::density(z, bw = bw, n = 256L, from = ends[1L], to = ends[2L])
    list(x = d$x, y = d$y)
  }
  width <- stats::bw.nrd0(v$observed)
  imputed <- v$imputed
  together <- nrow(imputed) < 5L
  sets <- if (together) list(imputed) else lapply(seq_len(ncol(imputed)), function(i) imputed[, i])
  if (together && nrow(imputed) < 2L && ncol(imputed) < 3L) sets <- list()
  list(
    observed = curve(v$observed, width, if (all(inside)) v$limits else c(-Inf, Inf)),
    imputed = lapply(sets, function(z) curve(as.double(z), max(width, stats::bw.nrd0(as.double(z))), v$limits))
  )
}

plot_densities <- function(x, columns, look, most = 20L) {
  shown <- seq_len(min(x$m, most))
  colour <- c("grey15", em_palette(2)[2])
  note <- if (x$m > most) sprintf("the first %d of %d imputations", most, x$m) else ""
  legend <- list(labels = c("observed", "imputed"), col = colour, lwd = c(2.4, 1.4), seg.len = 1.6)
  panels(length(columns), look, "Observed and imputed values", note, legend, function(i) {
    v <- column_values(x, columns[i])
    v$imputed <- v$imputed[, shown, drop = FALSE]
    if (!is.null(v$labels)) bar_panel(v, columns[i], colour, look) else density_panel(v, columns[i], colour, look)
  }, left = 2.4)
}

density_panel <- function(v, name, colour, look) {
  lines <- density_curves(v)
  observed <- lines$observed
  curves <- lines$imputed
  xlim <- range(observed$x, lapply(curves, `[[`, "x"))
  ylim <- c(0, max(observed$y, unlist(lapply(curves, `[[`, "y"))))
  open_panel(xlim, ylim, name, "", look, yaxt = "n", xaxt = if (is.object(v$like)) "n" else "s")
  if (is.object(v$like)) dated_axis(v$like, xlim)
  alpha <- if (length(curves) > 10L) 0.45 else 0.7
  for (curve in curves) graphics::lines(curve, col = fade(colour[2], alpha), lwd = 1.2)
  graphics::lines(observed, col = colour[1], lwd = 2.4)
  if (length(v$imputed) <= 60L) graphics::rug(as.double(v$imputed), col = colour[2], lwd = 1, quiet = TRUE)
}

# Axis of dates and times; plain numbers for other classes.
dated_axis <- function(like, limits) {
  if (inherits(like, "Date")) {
    at <- pretty(as.Date(limits, origin = "1970-01-01"))
  } else if (inherits(like, "POSIXct")) {
    at <- pretty(as.POSIXct(limits, origin = "1970-01-01", tz = attr(like, "tzone")))
  } else {
    return(graphics::axis(1))
  }
  graphics::axis(1, at = as.double(at), labels = format(at))
}

bar_panel <- function(v, name, colour, look) {
  k <- length(v$labels)
  observed <- tabulate(v$observed, k) / length(v$observed)
  imputed <- apply(v$imputed, 2L, function(code) tabulate(code, k) / length(code))
  imputed <- matrix(imputed, k)
  open_panel(c(0.4, k + 0.6), c(0, max(observed, imputed)), name, "", look, xaxt = "n")
  category_axis(v$labels)
  graphics::rect(seq_len(k) - 0.4, 0, seq_len(k), observed, col = "grey70", border = NA)
  graphics::rect(seq_len(k), 0, seq_len(k) + 0.4, rowMeans(imputed), col = fade(colour[2], 0.35), border = NA)
  spread <- if (ncol(imputed) > 1L) seq(-0.14, 0.14, length.out = ncol(imputed)) else 0
  graphics::points(rep(seq_len(k), ncol(imputed)) + 0.2 + rep(spread, each = k), imputed, pch = 16, cex = 0.5,
                   col = colour[2])
}

# An axis that has the labels of all categories: in smaller print, shortened or upright where they are many.
category_axis <- function(labels) {
  k <- length(labels)
  fits <- function(labels, cex) max(graphics::strwidth(labels, cex = cex)) < 0.94
  for (cex in c(0.9, 0.75, 0.6)) if (fits(labels, cex)) break
  most <- max(nchar(labels, "width"))
  while (most > 5L && !fits(cut_middle(labels, most), cex)) most <- most - 1L
  upright <- !fits(cut_middle(labels, most), cex)
  # as long as the margin below has room for, beside the name of the column
  if (upright) most <- if (graphics::par("mar")[1L] > 4) 9L else 5L
  short <- cut_middle(labels, most)
  graphics::axis(1, at = seq_len(k), labels = short, tick = FALSE, line = if (upright) -0.8 else -0.5, cex.axis = cex,
                 las = if (upright) 2 else 1, gap.axis = -1)
}

# --- trace --------------------------------------------------------------------------------------------------------

plot_chains <- function(x, look) {
  trace <- x$chain$trace
  if (is.data.frame(trace) && nrow(trace) > 0L && "chain" %in% names(trace)) return(plot_chain_paths(x, trace, look))
  if (is.null(x$trace) || !NROW(x$trace)) em_abort("There is no trace to plot.", "nothing_to_plot")
  if ("objective" %in% names(x$trace)) return(plot_trace(x, look))
  # the latent model's fit: how far the parameters move, in standard errors
  open_panel(range(x$trace$iteration), c(0, max(x$trace$change)), "iteration", "largest change / standard error", look)
  graphics::lines(x$trace$iteration, x$trace$change, col = em_palette(1), lwd = 1.6)
  panel_title(look, paste0("Trace (", x$status, ")"))
}

# Summaries of the chains by iteration, a line for each chain.
plot_chain_paths <- function(x, trace, look, most = 10L) {
  values <- setdiff(names(trace), c("iteration", "chain"))
  values <- values[vapply(trace[values], is.numeric, NA)]
  values <- values[order(!values %in% paths_of_interest(x, values))]
  values <- utils::head(values, 9L)
  chains <- utils::head(unique(trace$chain), most)
  colour <- em_palette(length(chains))
  note <- sprintf("%s, each from the mode", count_of(length(unique(trace$chain)), "chain"))
  panels(length(values), look, "Chains of the imputations", note, list(labels = "", show = FALSE), function(i) {
    part <- trace[trace$chain %in% chains, ]
    limits <- range(part[[values[i]]], finite = TRUE)
    open_panel(range(part$iteration), limits, "step", "", look)
    # above the panel, where there is room for long names
    graphics::mtext(values[i], side = 3, line = 0.15, adj = if (length(values) > 1L) 0 else 1,
                    cex = 0.85 * graphics::par("cex"))
    for (j in seq_along(chains)) {
      own <- part[part$chain == chains[j], ]
      graphics::lines(own$iteration, own[[values[i]]], col = fade(colour[j], 0.7), lwd = 0.8)
    }
  }, left = 3.4)
}

# The summaries that are about incomplete columns.
paths_of_interest <- function(x, values) {
  incomplete <- unlist(lapply(x$encoder$specs, function(s) if (s$n_missing > 0L) s$variables), use.names = FALSE)
  variable <- sub("^[a-z]+\\[(.*)\\]$", "\\1", values)
  of_level <- vapply(variable, function(v) any(startsWith(v, paste0(incomplete, "="))), NA)
  values[variable %in% incomplete | of_level]
}

# --- overimputation -----------------------------------------------------------------------------------------------

plot_overimpute <- function(x, columns, level, max_points, look) {
  table <- em_overimpute(x, columns, level)
  coverage <- attr(table, "coverage")
  names <- utils::head(coverage$column, 9L)
  colour <- em_palette(2)
  legend <- list(labels = c("interval holds the value", "does not"), col = colour, lwd = 2, seg.len = 1.4)
  held <- sprintf("coverage %.3f", coverage$coverage)
  # of one panel it is in the title, as it would touch the legend
  title <- sprintf("Overimputation: %g%% intervals%s", 100 * level,
                   if (length(names) == 1L) paste0(", ", held) else " of observed values")
  panels(length(names), look, title, "", legend, function(i) {
    part <- table[table$column == names[i], ]
    part <- part[rows_to_draw(nrow(part), max_points), ]
    limits <- range(part$observed, part$mean, stats::quantile(c(part$lower, part$upper), c(0.01, 0.99)))
    open_panel(range(part$observed), limits, paste(names[i], "observed"), "imputed", look)
    alpha <- if (nrow(part) > 500L) 0.15 else if (nrow(part) > 100L) 0.4 else 0.6
    shade <- ifelse(part$covered, fade(colour[1], alpha), fade(colour[2], min(1, alpha + 0.3)))
    graphics::segments(part$observed, part$lower, part$observed, part$upper, col = shade, lwd = 0.9)
    graphics::points(part$observed, part$mean, pch = 16, cex = 0.5, col = ifelse(part$covered, colour[1], colour[2]))
    graphics::abline(0, 1, col = "grey15", lty = 2)
    if (length(names) > 1L) {
      graphics::mtext(held[i], side = 3, line = 0.2, adj = 1, cex = 0.75 * graphics::par("cex"), col = "grey30")
    }
  }, left = 4.6)
}

# --- dispersion ---------------------------------------------------------------------------------------------------

# EM from `n_starts` overdispersed starts: a data frame of traces, and where each ended.
dispersion_data <- function(x, n_starts) {
  if (x$model != "normal") {
    em_abort("Dispersion can be plotted where the model is joint normal; this one is latent.", "nothing_to_plot")
  }
  n_starts <- check_count(n_starts, "n_starts")
  encoded <- encode_data(x$encoder, data_columns(x$data))
  mean <- x$parameters$mean
  sd <- sqrt(diag(x$parameters$covariance))
  p <- length(mean)
  # The data have a single optimum up to what the prior and the pattern leave open: starts far off in all directions.
  control <- x$control
  control$progress <- FALSE
  runs <- lapply(seq_len(n_starts), function(i) {
    root <- matrix(stats::rnorm(p * (p + 2L)), p + 2L, p)
    correlation <- stats::cov2cor(crossprod(root))
    scale <- sd * exp(stats::runif(p, -1, 1))
    start <- list(mean = mean + 3 * sd * stats::rnorm(p), covariance = correlation * outer(scale, scale))
    names(start$mean) <- names(mean)
    dimnames(start$covariance) <- dimnames(x$parameters$covariance)
    suppressWarnings(em_mvnorm(encoded, prior = x$prior$prior, start = start, control = control))
  })
  final <- vapply(runs, function(r) {
    max(abs(r$parameters$mean - mean) / sd, abs(r$parameters$covariance - x$parameters$covariance) / outer(sd, sd))
  }, 0)
  traces <- do.call(rbind, lapply(seq_along(runs), function(i) {
    data.frame(start = i, iteration = runs[[i]]$trace$iteration, objective = runs[[i]]$trace$objective)
  }))
  list(trace = traces, distance = final, best = max(traces$objective, utils::tail(x$trace$objective, 1L)))
}

plot_dispersion <- function(x, n_starts, look) {
  d <- dispersion_data(x, n_starts)
  # below its rounding a gap says no more than that
  gap <- log10(pmax(d$best - d$trace$objective, 64 * .Machine$double.eps * (1 + abs(d$best))))
  same <- d$distance < 1e-3
  open_panel(range(d$trace$iteration), range(gap), "iteration", "log-likelihood below the best", look, yaxt = "n")
  ticks <- pretty(gap)
  ticks <- ticks[ticks == round(ticks)]
  graphics::axis(2, at = ticks, labels = parse(text = paste0("10^", ticks)), las = 1, cex.axis = 0.8)
  colour <- em_palette(n_starts)
  for (i in seq_len(n_starts)) {
    rows <- which(d$trace$start == i)
    graphics::lines(d$trace$iteration[rows], gap[rows], col = colour[i], lwd = 1.6)
    end <- rows[length(rows)]
    graphics::points(d$trace$iteration[end], gap[end], pch = if (same[i]) 21 else 4, bg = colour[i], col = "grey15")
  }
  panel_title(look, sprintf("Dispersion: %d of %d starts end at the same point", sum(same), n_starts))
  legend_above(c("ends at the estimate", "ends elsewhere"), pch = c(21, 4), pt.bg = "grey60", col = "grey15")
}

# --- scatter ------------------------------------------------------------------------------------------------------

# The two columns of a scatter plot: data frame x, y, which ("observed", "x imputed", "y imputed", "both imputed").
scatter_data <- function(x, columns, imputation, max_points) {
  imputation <- check_count(imputation, "imputation", 1L, max(1L, x$m))
  numeric <- x$columns$name[vapply(x$encoder$specs[seq_len(nrow(x$columns))], function(s) s$role == "numbers", NA)]
  if (length(numeric) < 2L || x$m == 0L) {
    em_abort("A scatter plot needs two numeric columns of the model and imputations.", "nothing_to_plot")
  }
  if (is.null(columns)) columns <- scatter_pair(x, numeric)
  columns <- resolve_columns(columns, "columns", x$columns$name)
  if (length(columns) != 2L || !all(columns %in% numeric)) {
    em_abort(sprintf("`columns` must name two numeric columns of the model: %s.", abbreviate_list(numeric)), "columns")
  }
  completed <- data_columns(complete_one(x, imputation))
  value <- lapply(columns, function(name) plain_double(completed$columns[[match(name, completed$names)]]))
  filled <- lapply(columns, function(name) seq_len(x$n_rows) %in% x$where[[name]])
  which <- 1L + filled[[1L]] + 2L * filled[[2L]]
  kinds <- c("observed", paste(columns, "imputed"), "both imputed")
  rows <- sort(unique(c(rows_to_draw(x$n_rows, max_points),
                        if (sum(which > 1L) <= max_points) base::which(which > 1L))))
  list(table = data.frame(x = value[[1L]], y = value[[2L]], which = factor(kinds[which], levels = kinds))[rows, ],
       columns = columns, note = thinning_note(length(rows), x$n_rows))
}

# The imputed column with most missing values against the one that is most correlated with it.
scatter_pair <- function(x, numeric) {
  missing <- x$columns$n_missing[match(numeric, x$columns$name)]
  second <- numeric[which.max(missing)]
  model <- vapply(x$encoder$specs[numeric], `[[`, 0L, "model")
  position <- if (x$model == "normal") model else match(numeric, names(x$parameters$mean))
  covariance <- x$parameters$covariance
  if (anyNA(position)) return(c(setdiff(numeric, second)[1L], second))
  r <- abs(stats::cov2cor(covariance[position, position, drop = FALSE])[, match(second, numeric)])
  r[match(second, numeric)] <- -1
  c(numeric[which.max(r)], second)
}

plot_scatter <- function(x, columns, imputation, max_points, look) {
  s <- scatter_data(x, columns, imputation, max_points)
  t <- s$table
  colour <- c("grey45", em_palette(3)[c(3, 2, 1)])
  symbol <- c(21, 24, 22, 23)
  k <- as.integer(t$which)
  like <- lapply(s$columns, function(name) x$encoder$specs[[name]]$template)
  dated <- vapply(like, is.object, NA)
  open_panel(range(t$x), range(t$y), s$columns[1L], s$columns[2L], look, xaxt = if (dated[1L]) "n" else "s")
  if (dated[1L]) dated_axis(like[[1L]], range(t$x))
  alpha <- if (nrow(t) > 2000L) 0.3 else 0.65
  order <- order(k)
  graphics::points(t$x[order], t$y[order], pch = symbol[k][order], col = fade(colour[k], min(1, alpha + 0.25))[order],
                   bg = fade(ifelse(k == 1L, "white", colour[k]), alpha)[order],
                   cex = if (nrow(t) > 2000L) 0.6 else 0.9)
  panel_title(look, paste("Imputation", imputation), s$note)
  used <- levels(t$which) %in% t$which
  legend_above(levels(t$which)[used], pch = symbol[used], col = colour[used], pt.bg = c("white", colour[-1L])[used])
}
