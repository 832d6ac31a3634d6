# The plots of plot-gmm.R with ggplot2, registered without a hard dependency on it.

#' Plot a Gaussian mixture with ggplot2
#'
#' The plots of [plot.em_gmm()] as ggplot2 objects, which can be changed with further layers,
#' scales and themes. Needs the package ggplot2.
#'
#' For three and more variables `"classification"`, `"density"` and `"uncertainty"` give one facet
#' for each pair of variables.
#'
#' @inheritParams plot.em_gmm
#' @param object A fit of [em_gmm()].
#' @param ... Unused, and an error.
#' @return An object of class `ggplot`.
#' @examplesIf requireNamespace("ggplot2", quietly = TRUE)
#' fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
#' ggplot2::autoplot(fit)
#' @exportS3Method ggplot2::autoplot
autoplot.em_gmm <- function(object, type = c("classification", "density", "uncertainty",
                                             "selection", "trace", "starts"),
                            variables = NULL, level = c(0.5, 0.95), max_points = 1e4, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "autoplot.em_gmm")
  plot <- switch(type,
    selection = autoplot_selection(object),
    trace = autoplot_trace(object),
    starts = autoplot_starts(object),
    {
      check_levels(level)
      variables <- plot_variables(object, variables)
      points <- plot_points(object, max_points)
      if (length(variables) == 1) {
        autoplot_curve(object, variables, points, type)
      } else {
        autoplot_pairs(object, variables, points, type, level)
      }
    }
  )
  plot + ggplot2::theme_bw() + ggplot2::theme(
    panel.grid.minor = ggplot2::element_blank(), strip.background = ggplot2::element_blank(),
    legend.position = if (type == "selection") "right" else "top",
    legend.justification = if (type == "selection") "center" else "left"
  )
}

# Colour, fill and shape scales of the classes. `labels`: the classes as a factor's levels.
class_scales <- function(fit, title = "component") {
  style <- class_style(fit)
  named <- function(x) stats::setNames(x, style$class)
  list(
    ggplot2::scale_colour_manual(title, values = named(style$colour), drop = FALSE),
    ggplot2::scale_fill_manual(title, values = named(style$colour), drop = FALSE,
                               na.value = "white"),
    ggplot2::scale_shape_manual(title, values = named(style$symbol), drop = FALSE)
  )
}

# Class numbers as a factor whose levels are the classes of the fit.
class_factor <- function(fit, class) {
  labels <- class_names(fit$parameters)
  factor(labels[class], levels = labels)
}

# One variable: histogram, curves and rug; or uncertainty by value.
autoplot_curve <- function(fit, variable, points, type) {
  .data <- ggplot2::.data
  name <- fit$variables[variable]
  rows <- data.frame(
    x = points$x[, variable], class = class_factor(fit, points$class),
    uncertainty = points$uncertainty
  )
  if (type == "uncertainty") {
    return(
      ggplot2::ggplot(rows, ggplot2::aes(.data$x, .data$uncertainty)) +
        ggplot2::geom_point(ggplot2::aes(colour = .data$class, shape = .data$class,
                                         fill = .data$class), alpha = 0.7) +
        class_scales(fit) +
        ggplot2::labs(x = name, y = "uncertainty", title = "Uncertainty of the classification",
                      caption = caption_of(points))
    )
  }
  limits <- plot_range(fit, variable, rows$x)
  at <- seq(limits[1], limits[2], length.out = 512)
  densities <- marginal_densities(fit, variable, at)
  curves <- data.frame(
    x = rep(at, ncol(densities)), density = as.vector(densities),
    class = class_factor(fit, rep(seq_len(ncol(densities)), each = length(at)))
  )
  bars <- graphics::hist(fit$data[, variable], breaks = "FD", plot = FALSE)
  n <- length(bars$breaks)
  bars <- data.frame(left = bars$breaks[-n], right = bars$breaks[-1], density = bars$density)
  plot <- ggplot2::ggplot() +
    ggplot2::geom_rect(
      ggplot2::aes(xmin = .data$left, xmax = .data$right, ymin = 0, ymax = .data$density),
      data = bars, fill = "grey88", colour = "white"
    ) +
    ggplot2::geom_line(
      ggplot2::aes(.data$x, .data$density, colour = .data$class), data = curves, linewidth = 0.8,
      linetype = if (type == "density") 2 else 1
    )
  if (type == "density") {
    total <- data.frame(x = at, density = rowSums(densities))
    plot <- plot + ggplot2::geom_line(ggplot2::aes(.data$x, .data$density), data = total,
                                      linewidth = 1, colour = "grey15")
  }
  plot +
    ggplot2::geom_rug(ggplot2::aes(.data$x, colour = .data$class), data = rows, alpha = 0.5) +
    class_scales(fit) +
    ggplot2::labs(
      x = name, y = "density", caption = caption_of(points),
      title = if (type == "density") "Mixture density" else "Classification"
    )
}

# Two variables: one panel; more: a facet for each pair.
autoplot_pairs <- function(fit, variables, points, type, level) {
  .data <- ggplot2::.data
  pairs <- utils::combn(variables, 2)
  names <- fit$variables
  panel_of <- function(data, pair) {
    cbind(data, x_name = factor(names[pair[1]], levels = names[variables]),
          y_name = factor(names[pair[2]], levels = names[variables]))
  }
  for_pairs <- function(f) {
    do.call(rbind, lapply(seq_len(ncol(pairs)), function(i) panel_of(f(pairs[, i]), pairs[, i])))
  }
  rows <- for_pairs(function(pair) {
    data.frame(
      x = points$x[, pair[1]], y = points$x[, pair[2]], class = class_factor(fit, points$class),
      filled = class_factor(fit, ifelse(points$incomplete, NA, points$class)),
      uncertainty = points$uncertainty
    )
  })
  plot <- ggplot2::ggplot(rows, ggplot2::aes(.data$x, .data$y))
  if (type == "classification") {
    edges <- for_pairs(function(pair) {
      edge <- ellipse_data(fit, pair, level)
      edge$group <- paste(edge$class, edge$level)
      edge$class <- class_factor(fit, edge$class)
      edge$level <- factor(edge$level, levels = level)
      edge
    })
    plot <- plot +
      ggplot2::geom_point(
        ggplot2::aes(colour = .data$class, shape = .data$class,
                     fill = .data$filled),
        alpha = if (nrow(points$x) > 1000) 0.4 else 0.7, size = if (ncol(pairs) > 3) 1.2 else 1.8
      ) +
      ggplot2::geom_path(
        ggplot2::aes(colour = .data$class, group = .data$group,
                     linetype = .data$level),
        data = edges, linewidth = 0.6
      ) +
      class_scales(fit) +
      ggplot2::scale_linetype_manual(
        "share in ellipse", values = seq_along(level),
        labels = paste0(format(100 * level, trim = TRUE), "%")
      ) +
      ggplot2::guides(fill = "none") +
      ggplot2::labs(title = "Classification")
  } else if (type == "density") {
    shares <- c(0.25, 0.5, 0.75, 0.95)
    lines <- for_pairs(function(pair) contour_data(fit, pair, points, shares))
    plot <- plot +
      ggplot2::geom_point(shape = 16, size = 0.9, colour = "grey40", alpha = 0.4) +
      ggplot2::geom_path(
        ggplot2::aes(group = .data$group, linewidth = .data$share), data = lines,
        colour = em_palette(1)
      ) +
      ggplot2::scale_linewidth_manual(
        "enclosed share of the mixture", values = c(1.1, 0.85, 0.6, 0.35),
        labels = paste0(100 * shares, "%")
      ) +
      ggplot2::labs(title = if (ncol(pairs) > 1) "Marginal densities" else "Mixture density")
  } else {
    rows <- rows[order(rows$uncertainty), ]
    top <- largest_uncertainty(fit)
    plot <- ggplot2::ggplot(rows, ggplot2::aes(.data$x, .data$y)) +
      ggplot2::geom_point(
        ggplot2::aes(fill = .data$uncertainty, size = .data$uncertainty), shape = 21,
        colour = "grey45", stroke = 0.3
      ) +
      ggplot2::scale_fill_gradientn(
        "uncertainty", colours = uncertainty_colour(seq(0, top, length.out = 11), top),
        limits = c(0, top), guide = "legend"
      ) +
      ggplot2::scale_size_continuous("uncertainty", limits = c(0, top), range = c(0.7, 4)) +
      ggplot2::labs(title = "Uncertainty of the classification")
  }
  if (ncol(pairs) > 1) {
    plot <- plot +
      ggplot2::facet_grid(y_name ~ x_name, scales = "free", switch = "both") +
      ggplot2::theme(strip.placement = "outside")
    plot <- plot + ggplot2::labs(x = NULL, y = NULL)
  } else {
    plot <- plot + ggplot2::labs(x = names[variables[1]], y = names[variables[2]])
  }
  plot + ggplot2::labs(caption = caption_of(points))
}

# Contour lines of a pair of variables as a long data frame.
contour_data <- function(fit, pair, points, shares) {
  xlim <- plot_range(fit, pair[1], points$x[, pair[1]])
  ylim <- plot_range(fit, pair[2], points$x[, pair[2]])
  grid <- density_grid(fit, pair, range(xlim, plot_range(fit, pair[1])),
                       range(ylim, plot_range(fit, pair[2])), n = 110L)
  heights <- contour_heights(grid$z, shares)
  pieces <- lapply(seq_along(shares), function(i) {
    lines <- grDevices::contourLines(grid$x, grid$y, grid$z, levels = heights[i])
    do.call(rbind, lapply(seq_along(lines), function(j) {
      data.frame(x = lines[[j]]$x, y = lines[[j]]$y, share = shares[i], group = paste(i, j))
    }))
  })
  lines <- do.call(rbind, pieces)
  lines$share <- factor(lines$share, levels = shares)
  lines
}

# What a plot does not show, or shows differently.
caption_of <- function(points) {
  parts <- c(
    if (any(points$incomplete)) "open: rows with missing values, at their conditional means",
    if (nzchar(points$note)) points$note
  )
  if (length(parts)) paste(parts, collapse = "; ") else NULL
}

# Criterion by number of components.
autoplot_selection <- function(fit) {
  .data <- ggplot2::.data
  table <- selection_data(fit)
  style <- selection_style(table)
  codes <- style$covariance
  named <- function(x) stats::setNames(x, codes)
  table$covariance <- factor(table$covariance, levels = codes)
  best <- table[selected_row(fit), ]
  if (all(table$failed)) {
    em_abort("No model of the table could be fitted, so there is nothing to plot.",
             "nothing_to_plot")
  }
  sound <- !table$failed & !table$spurious
  limits <- selection_limits(table$value[if (any(sound)) sound else !table$failed])
  notes <- selection_notes(table, limits, "not fitted: %d", "crossed out: spurious (%d)")
  ggplot2::ggplot(
    table[!table$failed, ],
    ggplot2::aes(.data$n_components, .data$value, colour = .data$covariance,
                 shape = .data$covariance, fill = .data$covariance, linetype = .data$covariance)
  ) +
    ggplot2::geom_line() +
    ggplot2::geom_point(size = 2) +
    ggplot2::geom_point(data = best, shape = 1, size = 5, stroke = 1, colour = "grey15",
                        show.legend = FALSE) +
    ggplot2::geom_point(data = table[table$spurious, ], shape = 4, size = 3, colour = "grey30",
                        show.legend = FALSE) +
    ggplot2::scale_colour_manual("best first", values = named(style$colour), drop = FALSE) +
    ggplot2::scale_fill_manual("best first", values = named(style$fill), drop = FALSE) +
    ggplot2::scale_shape_manual("best first", values = named(style$symbol), drop = FALSE) +
    ggplot2::scale_linetype_manual("best first", values = named(style$line), drop = FALSE) +
    ggplot2::scale_y_continuous(expand = c(0, 0)) +
    # what is outside the limits is cut, not dropped: its lines lead out of the plot
    ggplot2::coord_cartesian(ylim = limits) +
    ggplot2::scale_x_continuous(breaks = sort(unique(table$n_components))) +
    ggplot2::labs(
      x = "number of components", y = paste0(fit$criterion, " (lower is better)"),
      title = paste0("Model selection: ", covariance_label(fit$covariance, fit$n_factors), ", ",
                     count_of(fit$n_components, "component")),
      caption = if (nzchar(notes)) notes
    )
}

# Objective, and the distance to its last value, by iteration.
autoplot_trace <- function(fit) {
  .data <- ggplot2::.data
  table <- trace_data(fit)
  panels <- c("log-likelihood", "log10 distance to the last value")
  if (has_log_prior(fit)) {
    panels[1] <- "log-likelihood + log prior"
  }
  long <- data.frame(
    iteration = rep(table$iteration, 2), step = rep(table$step, 2),
    value = c(table$objective, log10(table$gap)),
    panel = factor(rep(panels, each = nrow(table)), levels = panels)
  )
  long <- long[is.finite(long$value), ]
  steps <- unique(as.character(table$step))
  ggplot2::ggplot(long, ggplot2::aes(.data$iteration, .data$value)) +
    ggplot2::geom_line(colour = "grey60") +
    ggplot2::geom_point(ggplot2::aes(colour = .data$step, shape = .data$step), size = 1.5) +
    ggplot2::scale_colour_manual(
      "step", values = stats::setNames(em_palette(length(steps)), steps)
    ) +
    ggplot2::scale_shape_manual(
      "step", values = stats::setNames(rep_len(c(16, 17, 15, 18), length(steps)), steps)
    ) +
    ggplot2::facet_wrap("panel", scales = "free_y") +
    ggplot2::labs(y = NULL, title = paste0("Trace (", fit$status, ")"))
}

# Log-likelihood of every start, sorted.
autoplot_starts <- function(fit) {
  .data <- ggplot2::.data
  table <- starts_data(fit)
  failed <- sum(table$failed)
  shown <- table[!table$failed, ]
  methods <- unique(as.character(table$method))
  top <- max(shown$loglik)
  shown$filled <- ifelse(shown$best, as.character(shown$method), NA)
  ggplot2::ggplot(shown, ggplot2::aes(.data$rank, .data$loglik)) +
    ggplot2::geom_hline(yintercept = top, linetype = 2, colour = "grey70") +
    ggplot2::geom_point(
      ggplot2::aes(colour = .data$method, shape = .data$method,
                   fill = .data$filled), size = 2.5
    ) +
    ggplot2::scale_colour_manual("method",
                                 values = stats::setNames(em_palette(length(methods)), methods)) +
    ggplot2::scale_fill_manual(values = stats::setNames(em_palette(length(methods)), methods),
                               na.value = "white", guide = "none") +
    ggplot2::scale_shape_manual("method",
                                values = stats::setNames(em_symbols(length(methods)), methods)) +
    # differences far below 1 mean nothing, and should not look as if they did
    ggplot2::expand_limits(y = top - 1) +
    ggplot2::labs(
      x = "start (sorted)", y = "log-likelihood",
      title = starts_title(fit),
      caption = paste0("filled: reached the best optimum",
                       if (failed) paste0("; ", count_of(failed, "start"), " failed"))
    )
}
