# Base graphics of a factor analysis.

#' Plot a factor analysis
#'
#' Shows the loadings, the eigenvalues beside those of noise, a biplot of scores and loadings, the comparison of numbers
#' of factors, the starts, or the trace of the algorithm.
#'
#' * `"loadings"`: standardised loadings as bars, a panel for each factor; variables are grouped by the factor on which
#'   they load most. `se = TRUE` adds 95 % intervals.
#' * `"scree"`: eigenvalues of the correlation matrix, and mean and quantile of those of uncorrelated data (parallel
#'   analysis, see [parallel_analysis()]).
#' * `"biplot"`: scores of two factors as points, standardised loadings as arrows (on the scales above and on the
#'   right). Rows with missing values are open points.
#' * `"selection"`: BIC and AIC by number of factors, the best BIC marked by a ring; open points have a Heywood case.
#' * `"starts"`: the log-likelihood that every start reached, sorted.
#' * `"trace"`: the objective by iteration, and its distance to the last value on a log scale.
#'
#' @param x A fit of [em_fa()], or for `"scree"` the result of [parallel_analysis()].
#' @param type What to plot, see the details. Default `"loadings"`.
#' @param factors For `"loadings"` and `"biplot"`: numbers of the factors. Default: the first 6 and the first 2.
#' @param variables For `"loadings"` and `"biplot"`: names or numbers of the variables. Default: the 40 (biplot: 30)
#'   with the largest loadings.
#' @param se For `"loadings"`: TRUE adds 95 % intervals. Default FALSE.
#' @param n_sim,quantile For `"scree"`: see [parallel_analysis()].
#' @param max_points The most rows that are drawn; of more, an even selection. Default 5000.
#' @param legend TRUE (default): explain colours and symbols.
#' @param main,xlab,ylab Title and labels of the axes (of one-panel plots).
#' @param ... Graphical parameters for the panels, such as `xlim`, `cex.lab`.
#' @return `x`, invisibly.
#' @seealso [autoplot.em_fa()] for the same with ggplot2.
#' @examples
#' fit <- em_fa(mtcars, n_factors = 1:4)
#' plot(fit)
#' plot(fit, "biplot")
#' plot(fit, "selection")
#' set.seed(1)
#' plot(fit, "scree")
#' @export
plot.em_fa <- function(x, type = c("loadings", "scree", "biplot", "selection", "starts", "trace"), factors = NULL,
                       variables = NULL, se = FALSE, n_sim = NULL, quantile = 0.95, max_points = 5000, legend = TRUE,
                       main = NULL, xlab = NULL, ylab = NULL, ...) {
  type <- match_choice(type)
  look <- list(main = main, xlab = xlab, ylab = ylab, legend = isTRUE(legend), more = list(...))
  switch(type,
    loadings = plot_fa_loadings(x, fa_loading_data(x, factors, variables, se), look),
    scree = plot_scree(parallel_analysis(x, n_sim = n_sim, quantile = quantile), x$n_factors, look),
    biplot = plot_fa_biplot(x, fa_biplot_data(x, factors, variables, max_points), look),
    selection = plot_fa_selection(x, look),
    starts = plot_starts(x, look),
    trace = plot_trace(x, look)
  )
  invisible(x)
}

#' @rdname parallel_analysis
#' @param legend,main,xlab,ylab For `plot()`: explain the lines; title and labels of the axes.
#' @export
plot.em_parallel <- function(x, legend = TRUE, main = NULL, xlab = NULL, ylab = NULL, ...) {
  plot_scree(x, NULL, list(main = main, xlab = xlab, ylab = ylab, legend = isTRUE(legend), more = list(...)))
  invisible(x)
}

# Numbers of the factors to show.
plot_factors <- function(fit, factors, most, exactly = FALSE) {
  q <- fit$n_factors
  if (exactly && q < most) {
    em_abort(sprintf("A biplot needs %d factors; the fit has %d.", most, q), "nothing_to_plot")
  }
  if (is.null(factors)) return(seq_len(min(q, most)))
  fine <- is.numeric(factors) && length(factors) > 0L && all(factors %in% seq_len(q)) && !anyDuplicated(factors)
  if (!fine || (exactly && length(factors) != most)) {
    check_fails("factors", sprintf("%s of the numbers 1 to %d", if (exactly) most else "some", q), factors)
  }
  as.integer(factors)
}

# Numbers of the variables to show: those asked for, or the `most` with the largest loadings, in the order of the data.
plot_fa_variables <- function(fit, variables, loadings, most) {
  if (!is.null(variables)) return(plot_variables(fit, variables))
  d <- length(fit$variables)
  if (d <= most) return(seq_len(d))
  message("Showing the ", most, " of ", d, " variables with the largest loadings; choose others with `variables`.")
  size <- rowSums(loadings^2)
  sort(order(-size)[seq_len(most)])
}

# Loadings to draw: list(loadings (variables x factors), se, variables, factors), variables from top to bottom.
fa_loading_data <- function(fit, factors, variables, se) {
  factors <- plot_factors(fit, factors, 6L)
  all <- matrix(fit$standardized$loadings, length(fit$variables))
  asked <- !is.null(variables)
  variables <- plot_fa_variables(fit, variables, all, 40L)
  loadings <- all[variables, factors, drop = FALSE]
  errors <- if (isTRUE(se)) fa_standard_errors(fit)$loadings[variables, factors, drop = FALSE]
  main <- max.col(abs(loadings), "first")
  order <- if (asked) seq_along(variables) else order(main, -abs(loadings[cbind(seq_along(variables), main)]))
  list(loadings = loadings[order, , drop = FALSE], se = if (!is.null(errors)) errors[order, , drop = FALSE],
       variables = fit$variables[variables][order], factors = factor_names(fit$n_factors)[factors])
}

plot_fa_loadings <- function(fit, data, look) {
  q <- length(data$factors)
  p <- length(data$variables)
  force(data)  # what it complains of comes before a device is touched
  old <- graphics::par(no.readonly = TRUE)
  on.exit(graphics::par(old))
  labels <- cut_middle(data$variables, 18L)
  size <- min(0.9, max(0.5, 26 / p))
  # the names need room beside the first panel alone
  room <- max(graphics::strwidth(labels, "inches", cex = size)) + 0.15
  graphics::par(mfrow = c(1L, q), mar = c(3.4, 0.4, 2, 0.4), omi = c(0, room, 0.45, 0.05), mgp = c(2, 0.5, 0),
                tcl = -0.25, cex = 1)
  reach <- max(1, abs(data$loadings), if (!is.null(data$se)) abs(data$loadings) + 1.96 * data$se, na.rm = TRUE)
  colour <- em_palette(2)
  y <- rev(seq_len(p))
  for (k in seq_len(q)) {
    value <- data$loadings[, k]
    defaults <- list(x = NA, y = NA, type = "n", xlim = c(-1, 1) * reach, ylim = c(0.4, p + 0.6), yaxs = "i", xlab = "",
                     ylab = "", yaxt = "n", xaxt = "n", bty = "n")
    do.call(graphics::plot.default, utils::modifyList(defaults, look$more))
    graphics::abline(h = y, col = "grey94")
    graphics::abline(v = c(-0.3, 0.3), col = "grey80", lty = 3)
    graphics::rect(pmin(0, value), y - 0.36, pmax(0, value), y + 0.36, border = NA,
                   col = mapply(fade, colour[ifelse(value < 0, 2L, 1L)], 0.45 + 0.5 * pmin(abs(value), 1)))
    graphics::abline(v = 0, col = "grey40")
    if (!is.null(data$se)) {
      graphics::segments(value - 1.96 * data$se[, k], y, value + 1.96 * data$se[, k], y, col = "grey15", lwd = 1.3)
    }
    graphics::axis(1, at = c(-1, -0.5, 0, 0.5, 1), labels = c("-1", "", "0", "", "1"), cex.axis = 0.8)
    if (k == 1L) {
      graphics::axis(2, at = y, labels = labels, las = 1, tick = FALSE, line = -0.6, cex.axis = size, gap.axis = -1)
    }
    graphics::mtext(data$factors[k], side = 3, line = 0.3, cex = 0.95)
  }
  title <- if (!is.null(look$main)) look$main else
    paste0("Standardised loadings", if (fit$n_factors > 1L) paste0(" (", fit$rotation, ")"))
  graphics::mtext(title, side = 3, outer = TRUE, line = 0.6, adj = 0, font = 2, cex = 1.15, at = 0)
  graphics::mtext("loading", side = 1, outer = TRUE, line = -1.1, cex = 0.9)
}

# Scores and loadings of two factors: list(points, incomplete, arrows, variables, factors, ratio, note).
fa_biplot_data <- function(fit, factors, variables, max_points) {
  factors <- plot_factors(fit, factors, 2L, exactly = TRUE)
  all <- matrix(fit$standardized$loadings, length(fit$variables))[, factors]
  variables <- plot_fa_variables(fit, variables, all, 30L)
  arrows <- all[variables, , drop = FALSE]
  points <- matrix(0, 0L, 2L)
  incomplete <- logical()
  note <- ""
  if (!is.null(fit$data)) {
    rows <- rows_to_draw(nrow(fit$data), max_points)
    x <- fit$data[rows, , drop = FALSE]
    scores <- if (!is.null(fit$scores)) fit$scores[rows, , drop = FALSE] else
      fa_scores(x, fit, "regression", resolve_threads(fit$control), NULL)
    shown <- rowSums(!is.na(x)) > 0L & !is.na(rowSums(scores))
    points <- unname(scores[shown, factors, drop = FALSE])
    incomplete <- unname(rowSums(is.na(x[shown, , drop = FALSE])) > 0L)
    note <- thinning_note(length(rows), nrow(fit$data))
  }
  # how many units of the scores one unit of a loading is
  ratio <- if (nrow(points) > 0L) 0.9 * max(abs(points)) / max(abs(arrows)) else 1
  list(points = points, incomplete = incomplete, arrows = arrows, variables = fit$variables[variables],
       factors = factor_names(fit$n_factors)[factors], ratio = ratio, note = note)
}

plot_fa_biplot <- function(fit, data, look) {
  force(data)  # what it complains of comes before a device is touched
  old <- graphics::par(no.readonly = TRUE)
  on.exit(graphics::par(old))
  graphics::par(mar = c(4, 4, 5, 3), mgp = c(2.4, 0.6, 0), tcl = -0.3, pty = "s")
  scored <- nrow(data$points) > 0L
  reach <- c(-1, 1) * 1.12 * max(abs(data$points), abs(data$arrows) * data$ratio)
  suffix <- if (scored) "scores" else "loadings"
  open_panel(reach, reach, paste(data$factors[1L], suffix), paste(data$factors[2L], suffix), look)
  graphics::abline(h = 0, v = 0, col = "grey85")
  n <- nrow(data$points)
  graphics::points(data$points, pch = 21, cex = if (n > 1000) 0.5 else 0.8, lwd = 0.6, col = fade("grey35", 0.6),
                   bg = ifelse(data$incomplete, NA, fade("grey45", if (n > 1000) 0.25 else 0.45)))
  ends <- data$arrows * data$ratio
  colour <- em_palette(2)[2L]
  # an arrow of no length has no direction, which arrows() warns of
  long <- sqrt(rowSums(ends^2)) > 1e-3 * reach[2L]
  graphics::arrows(0, 0, ends[long, 1L], ends[long, 2L], length = 0.07, col = fade(colour, 0.85), lwd = 1.4)
  away <- ends / pmax(sqrt(rowSums(ends^2)), 1e-12) * 0.05 * diff(reach)
  graphics::text(ends + away, labels = cut_middle(data$variables, 14L), col = colour, cex = 0.8, xpd = NA)
  if (scored) {
    at <- pretty(reach / data$ratio, 5)
    at <- at[abs(at) <= reach[2L] / data$ratio]
    for (side in 3:4) {
      graphics::axis(side, at = at * data$ratio, labels = at, col = colour, col.axis = colour, cex.axis = 0.8)
    }
  }
  graphics::title(main = if (is.null(look$main)) paste0("Biplot of ", data$factors[1L], " and ", data$factors[2L]) else
    look$main, adj = 0, line = 3.2, font.main = 2, cex.main = 1.15)
  if (nzchar(data$note)) graphics::mtext(data$note, side = 3, line = 3.3, adj = 1, cex = 0.75, col = "grey40")
}

# Eigenvalues beside those of noise. `n_factors` of a fit is marked.
plot_scree <- function(parallel, n_factors, look, most = 25L) {
  t <- parallel$table
  t <- t[seq_len(min(nrow(t), max(most, parallel$n_factors + 5L, n_factors))), ]
  open_panel(c(0.7, nrow(t) + 0.3), range(0, t$eigenvalue, t$quantile), "component", "eigenvalue", look, xaxt = "n")
  ticks <- unique(round(pretty(t$component, 8)))
  graphics::axis(1, at = ticks[ticks >= 1 & ticks <= nrow(t)])
  if (!is.null(n_factors)) graphics::abline(v = n_factors + 0.5, col = "grey75", lty = 3)
  colour <- em_palette(2)
  graphics::lines(t$component, t$simulated, col = colour[2L], lty = 2, lwd = 1.6)
  graphics::lines(t$component, t$quantile, col = colour[2L], lwd = 1.6)
  graphics::lines(t$component, t$eigenvalue, col = colour[1L], lwd = 1.6)
  graphics::points(t$component, t$eigenvalue, pch = 21, col = colour[1L], cex = 1.1,
                   bg = ifelse(t$component <= parallel$n_factors, colour[1L], "white"))
  panel_title(look, paste0("Scree plot: parallel analysis suggests ", count_of(parallel$n_factors, "factor")))
  if (!is.null(n_factors)) {
    usr <- graphics::par("usr")
    graphics::text(n_factors + 0.5, usr[4L], paste("the fit has", n_factors), adj = c(-0.08, 1.6), cex = 0.8, col = "grey40")
  }
  legend_above(c("data", "noise, mean", paste0("noise, ", format(100 * parallel$quantile), " %")), lty = c(1, 2, 1),
               lwd = 1.6, pch = c(21, NA, NA), pt.bg = colour[1L], col = colour[c(1L, 2L, 2L)], seg.len = 1.6,
               show = look$legend)
}

# The table of numbers of factors, or an error where there is nothing to compare.
fa_selection_data <- function(fit) {
  table <- fit$selection
  if (is.null(table) || sum(is.finite(table$BIC)) < 2L) {
    em_abort("The fit has one number of factors; fit several to compare them, such as `n_factors = 1:4`.",
             "nothing_to_plot")
  }
  table[is.finite(table$BIC), ]
}

plot_fa_selection <- function(fit, look) {
  table <- fa_selection_data(fit)
  colour <- em_palette(2)
  open_panel(range(table$n_factors) + c(-0.15, 0.15), range(table$BIC, table$AIC), "number of factors",
             "criterion (lower is better)", look, xaxt = "n")
  graphics::axis(1, at = table$n_factors)
  draw <- function(value, colour, symbol) {
    graphics::lines(table$n_factors, value, col = colour, lwd = 1.8)
    graphics::points(table$n_factors, value, pch = symbol, col = colour, cex = 1.2,
                     bg = ifelse(table$heywood > 0, "white", colour))
  }
  draw(table$AIC, colour[2L], 24)
  draw(table$BIC, colour[1L], 21)
  best <- which.min(table$BIC)
  graphics::points(table$n_factors[best], table$BIC[best], pch = 1, cex = 2.6, lwd = 2, col = "grey15")
  panel_title(look, paste0("Model selection: ", count_of(fit$n_factors, "factor")),
              if (any(table$heywood > 0)) "open: with a Heywood case" else "")
  legend_above(c("BIC", "AIC"), pch = c(21, 24), col = colour, pt.bg = colour, lty = 1, lwd = 1.8, seg.len = 1.6,
               show = look$legend)
}
