# Base graphics of a Gaussian mixture.

#' Plot a Gaussian mixture
#'
#' Shows the classification, the density, the uncertainty of the classification, the comparison of
#' models, the trace of the algorithm, or its starts.
#'
#' * `"classification"`: the data by component with ellipses that hold the shares `level` of each
#'   component; a histogram and the component curves for one variable; for three and more
#'   variables a matrix with data and ellipses below the diagonal, marginal densities on it, and
#'   ellipses alone above.
#' * `"density"`: the density of the mixture: curve, contours that enclose 25, 50, 75 and 95 % of
#'   it, or, for three and more variables, a matrix of the contours of the marginal densities.
#' * `"uncertainty"`: points larger and darker the less sure their classification is.
#' * `"selection"`: the criterion of every fitted model by number of components, one line per
#'   covariance structure, the best marked by a ring. A model that could not be fitted is a gap in
#'   its line, and a cross at the top; one that is spurious (see [em_gmm()]) is crossed out. Where a
#'   few poor models would flatten the rest the plot ends
#'   above the better half, and says how many models lie above it; `ylim` shows others.
#' * `"trace"`: the objective by iteration, and its distance to the last value on a log scale.
#' * `"starts"`: the log-likelihood that every start reached, sorted; many at the top mean that the
#'   optimum can be trusted. The title counts as `print()` does: of the starts that were run to a
#'   regular end, those that reached the best optimum.
#'
#' Rows with missing values are drawn as open symbols at their conditional means; wholly missing
#' rows are not drawn. The colours are told apart by colour-blind readers, and each component has
#' its own symbol. One-panel plots leave `par()` alone, so they can be added to and put side by
#' side.
#'
#' @param x A fit of [em_gmm()].
#' @param type What to plot, see the details. Default `"classification"`.
#' @param variables Names or numbers of the variables to show. Default: all, at most 6.
#' @param level Shares of a component that its ellipses hold. Default `c(0.5, 0.95)`.
#' @param max_points The most rows that are drawn; of more, an even selection. Default 10000.
#' @param legend `TRUE` (default): explain colours and symbols.
#' @param main,xlab,ylab Title and labels of the axes (of one-panel plots).
#' @param ... Graphical parameters for one-panel plots, such as `xlim`, `ylim`, `cex.lab`.
#' @return `x`, invisibly.
#' @seealso [autoplot.em_gmm()] for the same with ggplot2.
#' @examples
#' fit <- em_gmm(faithful, n_components = 1:3, covariance = c("EEE", "VVV"))
#' plot(fit)
#' plot(fit, "density")
#' plot(fit, "selection")
#' @export
plot.em_gmm <- function(x, type = c("classification", "density", "uncertainty", "selection",
                                    "trace", "starts"),
                        variables = NULL, level = c(0.5, 0.95), max_points = 1e4, legend = TRUE,
                        main = NULL, xlab = NULL, ylab = NULL, ...) {
  type <- match_choice(type)
  look <- list(main = main, xlab = xlab, ylab = ylab, legend = isTRUE(legend), more = list(...))
  if (type %in% c("selection", "trace", "starts")) {
    switch(type,
      selection = plot_selection(x, look),
      trace = plot_trace(x, look),
      starts = plot_starts(x, look)
    )
    return(invisible(x))
  }
  check_levels(level)
  variables <- plot_variables(x, variables)
  points <- plot_points(x, max_points)
  if (length(variables) == 1) {
    switch(type,
      classification = plot_curve(x, variables, points, look, rug = "class"),
      density = plot_curve(x, variables, points, look, rug = "plain"),
      uncertainty = plot_uncertainty_line(x, variables, points, look)
    )
  } else if (length(variables) == 2) {
    plot_plane(x, variables, points, look, type, level)
  } else {
    plot_matrix(x, variables, points, look, type, level)
  }
  invisible(x)
}

# Shares for ellipses: numbers strictly between 0 and 1.
check_levels <- function(level) {
  if (!is.numeric(level) || !length(level) || anyNA(level) || any(level <= 0 | level >= 1)) {
    check_fails("level", "numbers between 0 and 1", level)
  }
}

# Empty one-panel plot with the reader's own graphical parameters on top of ours.
open_panel <- function(xlim, ylim, xlab, ylab, look, ...) {
  wide <- max(nchar(format(pretty(ylim)))) > 3
  defaults <- list(xlim = xlim, ylim = ylim, xlab = if (is.null(look$xlab)) xlab else look$xlab,
                   las = if (wide) 0 else 1, ...)
  arguments <- utils::modifyList(defaults, look$more)
  do.call(graphics::plot.default, c(list(x = NA, y = NA, type = "n", ylab = ""), arguments))
  # clear of horizontal tick labels
  graphics::title(ylab = if (is.null(look$ylab)) ylab else look$ylab,
                  line = if (arguments$las == 1) min(3.1, graphics::par("mar")[2L] - 1.2) else 2.6)
}

# Title on the left, and a note in small grey print on the right of the same line.
panel_title <- function(look, default, note = "") {
  title <- if (is.null(look$main)) default else look$main
  # smaller where the figure is too narrow for it
  wide <- graphics::strwidth(title, "inches", 1.15, font = 2)
  room <- (graphics::par("pin")[1L] + graphics::par("mai")[4L]) / wide
  graphics::title(main = title, adj = 0, line = 2.2, font.main = 2, cex.main = 1.15 * min(1, max(0.6, room)))
  if (nzchar(note)) {
    # above the title where there is no room beside it
    beside <- wide + graphics::strwidth(note, "inches", 0.75) + 0.1 < graphics::par("pin")[1L]
    graphics::mtext(note, side = 3, line = if (beside) 2.3 else 3.15, adj = 1, cex = 0.75 * graphics::par("cex"),
                    col = "grey40")
  }
}

# One-line legend between title and panel, in smaller print if need be; inside the panel, in the
# given corner, when it is too wide even so.
legend_above <- function(labels, ..., show = TRUE, corner = "topright") {
  if (!show) {
    return(invisible())
  }
  usr <- graphics::par("usr")
  draw <- function(cex, ...) {
    graphics::legend(legend = labels, xpd = NA, x.intersp = 0.7, cex = cex, ...)
  }
  for (cex in c(1, 0.85, 0.75)) {
    size <- draw(cex, x = "top", horiz = TRUE, plot = FALSE, ...)$rect
    if (size$w <= 1.04 * (usr[2] - usr[1])) {
      draw(cex, x = usr[1] - 0.8 * graphics::par("cxy")[1],
           y = usr[4] + 0.25 * graphics::par("cxy")[2] + size$h, horiz = TRUE, bty = "n", ...)
      return(invisible())
    }
  }
  draw(0.8, x = corner, bg = fade("white", 0.85), box.col = "grey80",
       ncol = ceiling(length(labels) / 12), inset = 0.01, ...)
  invisible()
}

# Legend of the classes.
class_legend <- function(fit, points, look) {
  style <- class_style(fit)
  labels <- style$class
  labels[seq_len(fit$n_components)] <- component_labels(fit)
  symbol <- style$symbol
  colour <- style$colour
  filled <- fade(style$colour, 0.75)
  if (any(points$incomplete)) {
    labels <- c(labels, "incomplete row")
    symbol <- c(symbol, 21)
    colour <- c(colour, "grey30")
    filled <- c(filled, "white")
  }
  legend_above(labels, pch = symbol, col = colour, pt.bg = filled, show = look$legend)
}

# Points of one panel by class: filled, or open for incomplete rows.
draw_points <- function(fit, points, pair, cex = 0.9) {
  style <- class_style(fit)
  class <- points$class
  n <- length(class)
  alpha <- if (n > 2000) 0.25 else if (n > 500) 0.5 else 0.7
  if (n > 2000) {
    cex <- 0.6 * cex
  }
  fill <- fade(style$colour, alpha)[class]
  fill[points$incomplete] <- NA
  graphics::points(
    points$x[, pair[1]], points$x[, pair[2]], pch = style$symbol[class],
    col = fade(style$colour, min(1, alpha + 0.25))[class], bg = fill, cex = cex,
    lwd = if (n > 2000) 0.4 else 0.7
  )
}

# Ellipses and centres of all components in one panel. `dense`: over many points. `small`: the panel
# is one of many, and its points must not be hidden.
draw_ellipses <- function(fit, pair, level, dense, numbers = FALSE, small = FALSE) {
  style <- class_style(fit)
  lwd <- if (small) 1.2 else 1.6
  numbers <- numbers & numbered_components(fit)
  for (k in seq_len(fit$n_components)) {
    for (i in seq_along(level)) {
      edge <- ellipse_points(
        fit$parameters$means[pair, k], component_covariance(fit$parameters, k)[pair, pair], level[i]
      )
      if (dense) {
        # a white edge keeps the line visible on a cloud of its own colour
        graphics::lines(edge, col = fade("white", 0.8), lwd = lwd + 2)
      }
      graphics::lines(edge, col = style$colour[k], lwd = lwd, lty = i)
    }
    centre <- fit$parameters$means[pair, k]
    if (numbers[k]) {
      graphics::text(centre[1], centre[2], k, col = style$colour[k], font = 2)
    } else if (small) {
      graphics::points(centre[1], centre[2], pch = 3, lwd = 1.1, cex = 0.7, col = "grey10")
    } else {
      graphics::points(centre[1], centre[2], pch = 3, lwd = 3.4, cex = 1.3, col = "white")
      graphics::points(centre[1], centre[2], pch = 3, lwd = 2, cex = 1.2, col = style$colour[k])
    }
  }
}

# One variable: histogram, curve of the mixture and of each class, and the data as a rug.
plot_curve <- function(fit, variable, points, look, rug) {
  x <- points$x[, variable]
  style <- class_style(fit)
  limits <- plot_range(fit, variable, x)
  at <- seq(limits[1], limits[2], length.out = 512)
  densities <- marginal_densities(fit, variable, at)
  total <- rowSums(densities)
  bars <- graphics::hist(fit$data[, variable], breaks = "FD", plot = FALSE)
  height <- max(bars$density, total)
  classes <- if (rug == "class") nrow(style) else 1
  lane <- height * (if (classes > 6) 0.03 else 0.045)
  name <- fit$variables[variable]
  open_panel(limits, c(-lane * (classes + 0.3), height), name, "density", look, yaxt = "n")
  ticks <- pretty(c(0, height))
  graphics::axis(2, at = ticks[ticks >= 0], las = 0)
  graphics::rect(bars$breaks[-length(bars$breaks)], 0, bars$breaks[-1], bars$density,
                 col = "grey88", border = "white")
  graphics::abline(h = 0, col = "grey70")
  for (k in seq_len(nrow(style))) {
    graphics::lines(at, densities[, k], col = style$colour[k], lwd = 2,
                    lty = if (rug == "class") 1 else 2)
  }
  if (rug == "plain") {
    graphics::lines(at, total, lwd = 2.4, col = "grey15")
    graphics::segments(x, -lane, x, -lane * 0.2, col = fade("grey15", 0.4), lwd = 0.7)
  } else {
    y <- -lane * (points$class - 0.4)
    graphics::segments(x, y - lane * 0.35, x, y + lane * 0.35, lwd = 0.8,
                       col = fade(style$colour, 0.7)[points$class])
  }
  panel_title(look, if (rug == "plain") "Mixture density" else "Classification", points$note)
  labels <- style$class
  labels[seq_len(fit$n_components)] <- component_labels(fit, most = 4L - fit$noise)
  colours <- style$colour
  lines <- rep(if (rug == "class") 1 else 2, length(labels))
  if (rug == "plain") {
    labels <- c("mixture", labels)
    colours <- c("grey15", colours)
    lines <- c(1, lines)
  }
  legend_above(labels, col = colours, lty = lines, lwd = 2, seg.len = 1.4, show = look$legend)
}

# One variable: uncertainty by value, with the curve that the mixture implies.
plot_uncertainty_line <- function(fit, variable, points, look) {
  x <- points$x[, variable]
  limits <- plot_range(fit, variable, x)
  top <- largest_uncertainty(fit)
  open_panel(limits, c(0, top * 1.03), fit$variables[variable], "uncertainty", look)
  at <- seq(limits[1], limits[2], length.out = 512)
  densities <- marginal_densities(fit, variable, at)
  if (length(fit$variables) == 1) {
    graphics::lines(at, 1 - row_max(densities / rowSums(densities)), col = "grey60", lwd = 1.5)
  }
  draw_uncertainty(x, points$uncertainty, top, fit, points)
  panel_title(look, "Uncertainty of the classification", points$note)
}

# Points with size and colour by uncertainty, the surest first so that none is covered.
draw_uncertainty <- function(x, y, top, fit, points, cex = 1) {
  u <- points$uncertainty
  order <- order(u)
  colour <- uncertainty_colour(u, top)
  graphics::points(
    x[order], y[order], pch = 21, col = ifelse(u > 0.02 * top, "grey30", "grey75")[order],
    bg = ifelse(points$incomplete, NA, fade(colour, 0.85))[order],
    cex = cex * uncertainty_size(u, top)[order], lwd = 0.6
  )
}

# Sizes of the uncertainty legend.
uncertainty_legend <- function(fit, look) {
  top <- largest_uncertainty(fit)
  values <- unique(signif(c(0, top / 2, top), 2))
  legend_above(
    paste0(" ", format(values)), pch = 21, col = "grey30",
    pt.bg = uncertainty_colour(values, top), pt.cex = uncertainty_size(values, top),
    show = look$legend
  )
}

# Two variables: classification, density contours, or uncertainty.
plot_plane <- function(fit, pair, points, look, type, level) {
  x <- points$x[, pair[1]]
  y <- points$x[, pair[2]]
  xlim <- if (type == "uncertainty") range(x) else plot_range(fit, pair[1], x)
  ylim <- if (type == "uncertainty") range(y) else plot_range(fit, pair[2], y)
  open_panel(xlim, ylim, fit$variables[pair[1]], fit$variables[pair[2]], look)
  switch(type,
    classification = {
      draw_points(fit, points, pair)
      draw_ellipses(fit, pair, level, dense = length(points$class) > 2000)
      panel_title(look, "Classification", points$note)
      class_legend(fit, points, look)
    },
    density = {
      graphics::points(x, y, pch = 21, cex = 0.6, lwd = 0.5, col = fade("grey30", 0.5),
                       bg = ifelse(points$incomplete, NA, fade("grey40", 0.35)))
      draw_contours(fit, pair, graphics::par("usr"), labels = TRUE)
      panel_title(look, "Mixture density", points$note)
      legend_above("contours: share of the mixture enclosed", lty = 1, lwd = 1.6,
                   col = em_palette(1), seg.len = 1.4, show = look$legend)
    },
    uncertainty = {
      draw_uncertainty(x, y, largest_uncertainty(fit), fit, points)
      panel_title(look, "Uncertainty of the classification", points$note)
      uncertainty_legend(fit, look)
    }
  )
}

# Contours of the mixture's (marginal) density that enclose given shares of it.
draw_contours <- function(fit, pair, usr, labels, shares = c(0.25, 0.5, 0.75, 0.95)) {
  # the grid reaches beyond the panel so that shares are those of the whole density
  xlim <- range(usr[1:2], plot_range(fit, pair[1]))
  ylim <- range(usr[3:4], plot_range(fit, pair[2]))
  grid <- density_grid(fit, pair, xlim, ylim, n = if (labels) 150L else 110L)
  graphics::contour(
    grid$x, grid$y, grid$z, levels = contour_heights(grid$z, shares), drawlabels = labels,
    labels = paste0(100 * shares, "%"), add = TRUE, col = em_palette(1), lwd = 1.6, labcex = 0.75,
    vfont = NULL, method = "flattest"
  )
}

# Three and more variables: a matrix of panels.
plot_matrix <- function(fit, variables, points, look, type, level) {
  old <- graphics::par(no.readonly = TRUE)
  on.exit(graphics::par(old))
  p <- length(variables)
  graphics::par(mfrow = c(p, p), mar = rep(0.25, 4), omi = matrix_margins(), mgp = c(2, 0.5, 0),
                tcl = -0.25, las = 1, cex = if (p > 4) 0.66 else 0.8)
  top <- largest_uncertainty(fit)
  limits <- lapply(variables, function(v) plot_range(fit, v, points$x[, v]))
  small <- if (p > 4) 0.55 else 0.7
  for (i in seq_len(p)) for (j in seq_len(p)) {
    graphics::plot.default(NA, NA, xlim = limits[[j]], ylim = if (i == j) c(0, 1) else limits[[i]],
                           axes = FALSE, ann = FALSE)
    pair <- variables[c(j, i)]
    if (i == j) {
      draw_diagonal(fit, variables[i], points, limits[[i]], type)
    } else if (type == "classification") {
      if (i > j) draw_points(fit, points, pair, cex = small)
      draw_ellipses(fit, pair, level, i > j && length(points$class) > 2000, numbers = i < j,
                    small = TRUE)
    } else if (type == "density") {
      if (i > j) {
        graphics::points(points$x[, pair], pch = 16, cex = 0.75 * small, col = fade("grey30", 0.45))
      }
      draw_contours(fit, pair, graphics::par("usr"), labels = FALSE)
    } else {
      draw_uncertainty(points$x[, pair[1]], points$x[, pair[2]], top, fit, points, cex = small)
    }
    graphics::box(col = "grey60")
    if (i == p) graphics::axis(1, col = NA, col.ticks = "grey40")
    if (j == 1 && i > 1) graphics::axis(2, col = NA, col.ticks = "grey40")
    if (i == 1 && j == p && p > 1) graphics::axis(4, col = NA, col.ticks = "grey40")
  }
  matrix_heading(fit, points, look, type)
}

# Outer margins of a matrix of panels, in inches (lines of text differ between the panels and the
# heading), less on a small device.
matrix_margins <- function() {
  c(0.45, 0.5, 0.75, 0.45) * min(1, min(graphics::par("din")) / 5)
}

# Diagonal panel of a matrix: name of the variable over its marginal density by class.
draw_diagonal <- function(fit, variable, points, limits, type) {
  at <- seq(limits[1], limits[2], length.out = 256)
  densities <- marginal_densities(fit, variable, at)
  total <- rowSums(densities)
  usr <- graphics::par("usr")
  # the name fits its panel with a margin, and the density ends below it
  name <- fit$variables[variable]
  cex <- min(1.25, 0.9 * (usr[2] - usr[1]) / graphics::strwidth(name, font = 2),
             0.14 * (usr[4] - usr[3]) / graphics::strheight(name, font = 2))
  height <- graphics::strheight("Ag", font = 2, cex = cex)
  # letters such as p reach below the line that text stands on
  base <- usr[4] - 0.05 * (usr[4] - usr[3]) - height
  scale <- min(0.78, base - 0.5 * height) / max(total)
  style <- class_style(fit)
  if (type == "classification") {
    for (k in seq_len(ncol(densities))) {
      graphics::polygon(c(at[1], at, at[length(at)]), c(0, densities[, k] * scale, 0),
                        col = fade(style$colour[k], 0.25), border = style$colour[k], lwd = 1.2)
    }
  } else {
    bars <- graphics::hist(fit$data[, variable], breaks = "FD", plot = FALSE)
    graphics::rect(bars$breaks[-length(bars$breaks)], 0, bars$breaks[-1],
                   pmin(bars$density * scale, base - 0.5 * height), col = "grey90",
                   border = "white")
    graphics::lines(at, total * scale, lwd = 1.6, col = em_palette(1))
  }
  graphics::text(mean(limits), base, name, font = 2, cex = cex, adj = c(0.5, 0))
}

# Title, note and legend above a matrix of panels.
matrix_heading <- function(fit, points, look, type) {
  default <- c(classification = "Classification", density = "Marginal densities",
               uncertainty = "Uncertainty of the classification")[[type]]
  # one panel over the whole device, so that the legend of one-panel plots can be used
  graphics::par(mfrow = c(1, 1), mar = rep(0, 4), omi = matrix_margins(), cex = 0.9,
                new = TRUE)
  graphics::plot.default(NA, NA, xlim = c(0, 1), ylim = c(0, 1), axes = FALSE, ann = FALSE,
                         xaxs = "i", yaxs = "i")
  graphics::mtext(if (is.null(look$main)) default else look$main, side = 3, line = 1.7, adj = 0,
                  font = 2, cex = 1.05)
  if (nzchar(points$note)) {
    graphics::mtext(points$note, side = 3, line = 1.8, adj = 1, cex = 0.75, col = "grey40")
  }
  switch(type,
    classification = class_legend(fit, points, look),
    density = legend_above("contours enclose 25, 50, 75 and 95 % of the mixture", lty = 1,
                           lwd = 1.6, col = em_palette(1), show = look$legend),
    uncertainty = uncertainty_legend(fit, look)
  )
}

# Criterion by number of components, one line per covariance structure.
plot_selection <- function(fit, look) {
  table <- selection_data(fit)
  if (all(table$failed)) {
    em_abort("No model of the table could be fitted, so there is nothing to plot.",
             "nothing_to_plot")
  }
  style <- selection_style(table)
  codes <- style$covariance
  components <- sort(unique(table$n_components))
  sound <- !table$failed & !table$spurious
  limits <- selection_limits(table$value[if (any(sound)) sound else !table$failed])
  # room on the right for the legend
  xlim <- range(components) + c(-0.1, 0) * max(1, diff(range(components)))
  if (look$legend && length(codes) > 1) {
    xlim[2] <- xlim[2] + 0.17 * max(1, diff(xlim)) * (if (length(codes) > 18) 2 else 1)
  } else {
    xlim[2] <- xlim[2] + 0.1 * max(1, diff(xlim))
  }
  open_panel(xlim, limits, "number of components", paste0(fit$criterion, " (lower is better)"),
             look, xaxt = "n", yaxt = "n", yaxs = "i")
  limits <- sort(graphics::par("usr")[3:4])
  graphics::axis(1, at = components)
  graphics::axis(2, las = 0)
  # many structures: the better half in full colour, the others thin
  rank <- seq_along(codes)
  weak <- rank > 7
  for (i in rev(rank)) {
    rows <- table[table$covariance == codes[i], ]
    rows <- rows[order(rows$n_components), ]
    value <- rows$value[match(components, rows$n_components)]
    graphics::lines(components, value, col = fade(style$colour[i], if (weak[i]) 0.55 else 1),
                    lwd = if (weak[i]) 1 else 1.8, lty = style$line[i])
    graphics::points(components, value, pch = style$symbol[i], col = style$colour[i],
                     bg = style$fill[i], cex = 0.9)
    failed <- rows$n_components[rows$failed]
    if (length(failed)) {
      offset <- (i - mean(rank)) * 0.5 / max(length(codes), 8)
      graphics::points(failed + offset, rep(limits[2] - 0.03 * diff(limits), length(failed)),
                       pch = 4, col = style$colour[i], cex = 0.8, lwd = 1.5)
    }
  }
  best <- table[selected_row(fit), ]
  best <- best[!best$failed, ]
  graphics::points(best$n_components, best$value, pch = 1, cex = 2.6, lwd = 2, col = "grey15")
  spurious <- table[table$spurious, ]
  graphics::points(spurious$n_components, spurious$value, pch = 4, cex = 1.7, col = "grey30")
  panel_title(look, paste0("Model selection: ", covariance_label(fit$covariance, fit$n_factors), ", ",
                           count_of(fit$n_components, "component")))
  notes <- selection_notes(table, limits, "x at the top: not fitted (%d)",
                           "crossed out: spurious (%d)")
  room <- diff(graphics::par("usr")[1:2]) / max(graphics::strwidth(notes, cex = 1), 1e-8)
  graphics::mtext(notes, side = 3, line = 0.5, adj = 0, col = "grey40",
                  cex = min(0.75, room) * graphics::par("cex"))
  if (look$legend && length(codes) > 1) {
    graphics::legend(
      "right", legend = codes, col = style$colour, pch = style$symbol, lty = style$line,
      pt.bg = style$fill, bty = "n", cex = if (length(codes) > 8) 0.8 else 0.9,
      seg.len = 1.6, ncol = if (length(codes) > 18) 2 else 1, title = "best first"
    )
  }
}

# Objective by iteration, and its distance to the last value.
plot_trace <- function(fit, look) {
  table <- trace_data(fit)
  steps <- unique(as.character(table$step))
  colour <- stats::setNames(em_palette(length(steps)), steps)
  symbol <- stats::setNames(em_symbols(length(steps)), steps)
  old <- graphics::par(no.readonly = TRUE)
  on.exit(graphics::par(old))
  graphics::par(mfrow = c(1, 2), mar = c(3.6, 4.6, 4, 0.8), mgp = c(2.2, 0.6, 0), tcl = -0.3)
  draw <- function(value, log, ylab) {
    shown <- is.finite(value)
    limits <- if (any(shown)) range(value[shown]) else c(0.1, 1)
    arguments <- utils::modifyList(
      list(xlim = range(table$iteration), ylim = limits, xlab = "iteration", ylab = "", las = 1,
           log = log, xaxt = "n", yaxt = if (log == "y") "n" else "s", cex.axis = 0.85),
      look$more
    )
    do.call(graphics::plot.default, c(list(x = NA, y = NA, type = "n"), arguments))
    graphics::axis(1, at = unique(round(pretty(arguments$xlim))), cex.axis = arguments$cex.axis)
    if (log == "y") {
      powers <- pretty(log10(limits), 5)
      powers <- unique(round(powers))
      graphics::axis(2, at = 10^powers, las = 1, cex.axis = 0.85,
                     labels = parse(text = paste0("10^", powers)))
    }
    graphics::lines(table$iteration[shown], value[shown], col = "grey60")
    many <- nrow(table) > 150
    graphics::points(table$iteration, value, pch = symbol[as.character(table$step)],
                     col = colour[as.character(table$step)],
                     bg = fade(colour, 0.6)[as.character(table$step)], cex = if (many) 0.4 else 0.8)
    graphics::mtext(ylab, side = 3, line = 0.4, adj = 0, cex = 0.9)
  }
  label <- if (has_log_prior(fit)) "log-likelihood + log prior" else "log-likelihood"
  draw(table$objective, "", label)
  panel_title(look, paste0("Trace (", fit$status, ")"))
  draw(table$gap, "y", "distance to the last value")
  if (look$legend && length(steps) > 1) {
    graphics::legend("topright", legend = steps, pch = symbol, col = colour,
                     pt.bg = fade(colour, 0.6), bty = "n", cex = 0.85)
  }
}

# Log-likelihood of every start, sorted.
plot_starts <- function(fit, look) {
  table <- starts_data(fit)
  methods <- unique(as.character(table$method))
  colour <- stats::setNames(em_palette(length(methods)), methods)
  symbol <- stats::setNames(em_symbols(length(methods)), methods)
  reached <- table$loglik[!table$failed]
  if (!length(reached)) {
    em_abort("No start reached a log-likelihood, so there is nothing to plot.", "nothing_to_plot")
  }
  # differences far below 1 mean nothing, and should not look as if they did
  range <- range(reached)
  if (diff(range) < 1) {
    range <- range[2] + c(-1, 0)
  }
  span <- diff(range)
  open_panel(c(0.5, nrow(table) + 0.5), range + c(-0.08, 0.08) * span, "start (sorted)",
             "log-likelihood", look, xaxt = "n", yaxt = "n")
  ticks <- pretty(c(1, nrow(table)), 6)
  graphics::axis(1, at = ticks[ticks == round(ticks) & ticks >= 1 & ticks <= nrow(table)])
  graphics::axis(2, las = 0)
  graphics::abline(h = max(reached), col = "grey70", lty = 2)
  value <- ifelse(table$failed, range[1] - 0.06 * span, table$loglik)
  method <- as.character(table$method)
  graphics::points(
    table$rank, value, pch = ifelse(table$failed, 4, symbol[method]), col = colour[method],
    bg = ifelse(table$best, colour[method], "white"), cex = 1.2, lwd = 1.4
  )
  failed <- sum(table$failed)
  note <- paste0("filled: reached the best optimum",
                 if (failed) paste0("; x: failed (", failed, ")"))
  panel_title(look, starts_title(fit), note)
  legend_above(methods, pch = symbol, col = colour, pt.bg = colour, show = look$legend,
               corner = "bottomright")
}
