# The plots of plot-fa.R with ggplot2.

#' Plot a factor analysis with ggplot2
#'
#' The plots of [plot.em_fa()] as ggplot2 objects, which can be changed with further layers, scales and themes. Needs
#' the package ggplot2.
#'
#' @inheritParams plot.em_fa
#' @param object A fit of [em_fa()].
#' @param ... Unused, and an error.
#' @return An object of class `ggplot`.
#' @examplesIf requireNamespace("ggplot2", quietly = TRUE)
#' fit <- em_fa(mtcars, n_factors = 2)
#' ggplot2::autoplot(fit)
#' @exportS3Method ggplot2::autoplot
autoplot.em_fa <- function(object, type = c("loadings", "scree", "biplot", "selection", "starts", "trace"),
                           factors = NULL, variables = NULL, se = FALSE, n_sim = NULL, quantile = 0.95,
                           max_points = 5000, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "autoplot.em_fa")
  plot <- switch(type,
    loadings = autoplot_fa_loadings(object, fa_loading_data(object, factors, variables, se)),
    scree = autoplot_scree(parallel_analysis(object, n_sim = n_sim, quantile = quantile)),
    biplot = autoplot_fa_biplot(fa_biplot_data(object, factors, variables, max_points)),
    selection = autoplot_fa_selection(object),
    starts = autoplot_starts(object),
    trace = autoplot_trace(object)
  )
  plot + ggplot2::theme_bw() + ggplot2::theme(
    panel.grid.minor = ggplot2::element_blank(), strip.background = ggplot2::element_blank(), legend.position = "top",
    legend.justification = "left"
  )
}

autoplot_fa_loadings <- function(fit, data) {
  .data <- ggplot2::.data
  long <- data.frame(variable = factor(rep(data$variables, length(data$factors)), levels = rev(data$variables)),
                     factor = factor(rep(data$factors, each = length(data$variables)), levels = data$factors),
                     loading = as.vector(data$loadings))
  long$sign <- ifelse(long$loading < 0, "negative", "positive")
  plot <- ggplot2::ggplot(long, ggplot2::aes(.data$loading, .data$variable)) +
    ggplot2::geom_col(ggplot2::aes(fill = .data$sign, alpha = abs(.data$loading)), width = 0.72) +
    ggplot2::geom_vline(xintercept = 0, colour = "grey40") +
    ggplot2::scale_fill_manual(values = stats::setNames(em_palette(2), c("positive", "negative")), guide = "none") +
    ggplot2::scale_alpha(range = c(0.45, 0.95), guide = "none") +
    ggplot2::facet_wrap("factor", nrow = 1) +
    ggplot2::labs(y = NULL, title = paste0("Standardised loadings",
                                           if (fit$n_factors > 1L) paste0(" (", fit$rotation, ")")))
  if (is.null(data$se)) return(plot)
  long$se <- as.vector(data$se)
  plot + ggplot2::geom_segment(
    ggplot2::aes(x = .data$loading - 1.96 * .data$se, xend = .data$loading + 1.96 * .data$se, yend = .data$variable),
    data = long[!is.na(long$se), ], colour = "grey15"
  )
}

autoplot_fa_biplot <- function(data) {
  .data <- ggplot2::.data
  ends <- data.frame(x = data$arrows[, 1L] * data$ratio, y = data$arrows[, 2L] * data$ratio, variable = data$variables)
  points <- data.frame(x = data$points[, 1L], y = data$points[, 2L], incomplete = data$incomplete)
  colour <- em_palette(2)[2L]
  suffix <- if (nrow(points) > 0L) "scores" else "loadings"
  ggplot2::ggplot(points, ggplot2::aes(.data$x, .data$y)) +
    ggplot2::geom_point(shape = ifelse(points$incomplete, 1, 16), colour = "grey45", alpha = 0.6) +
    ggplot2::geom_segment(ggplot2::aes(x = 0, y = 0, xend = .data$x, yend = .data$y), data = ends, colour = colour,
                          arrow = ggplot2::arrow(length = ggplot2::unit(0.02, "npc"))) +
    ggplot2::geom_text(ggplot2::aes(1.06 * .data$x, 1.06 * .data$y, label = cut_middle(.data$variable, 16L)),
                       data = ends, colour = colour, size = 3.2) +
    ggplot2::coord_equal() +
    # room for the names
    ggplot2::scale_x_continuous(expand = ggplot2::expansion(mult = 0.15)) +
    ggplot2::labs(x = paste(data$factors[1L], suffix), y = paste(data$factors[2L], suffix),
                  title = paste0("Biplot of ", data$factors[1L], " and ", data$factors[2L]),
                  caption = if (nzchar(data$note)) data$note)
}

autoplot_scree <- function(parallel) {
  .data <- ggplot2::.data
  t <- parallel$table
  names <- c("data", "noise, mean", paste0("noise, ", format(100 * parallel$quantile), " %"))
  long <- data.frame(component = rep(t$component, 3L), line = factor(rep(names, each = nrow(t)), levels = names),
                     eigenvalue = c(t$eigenvalue, t$simulated, t$quantile))
  ggplot2::ggplot(long, ggplot2::aes(.data$component, .data$eigenvalue, colour = .data$line, linetype = .data$line)) +
    ggplot2::geom_line() +
    ggplot2::geom_point(data = long[long$line == "data", ]) +
    ggplot2::scale_colour_manual(NULL, values = stats::setNames(em_palette(2)[c(1L, 2L, 2L)], names)) +
    ggplot2::scale_linetype_manual(NULL, values = stats::setNames(c(1, 2, 1), names)) +
    ggplot2::scale_x_continuous(breaks = function(limits) unique(round(pretty(limits)))) +
    # noise has no points
    ggplot2::guides(colour = ggplot2::guide_legend(override.aes = list(shape = c(16, NA, NA)))) +
    ggplot2::labs(title = paste0("Scree plot: parallel analysis suggests ", count_of(parallel$n_factors, "factor")))
}

autoplot_fa_selection <- function(fit) {
  .data <- ggplot2::.data
  table <- fa_selection_data(fit)
  long <- data.frame(n_factors = rep(table$n_factors, 2L), criterion = rep(c("BIC", "AIC"), each = nrow(table)),
                     value = c(table$BIC, table$AIC))
  best <- table[which.min(table$BIC), ]
  ggplot2::ggplot(long, ggplot2::aes(.data$n_factors, .data$value)) +
    ggplot2::geom_line(ggplot2::aes(colour = .data$criterion)) +
    ggplot2::geom_point(ggplot2::aes(colour = .data$criterion, shape = .data$criterion), size = 2) +
    ggplot2::geom_point(ggplot2::aes(.data$n_factors, .data$BIC), data = best, shape = 1, size = 5) +
    ggplot2::scale_colour_manual(NULL, values = stats::setNames(em_palette(2), c("BIC", "AIC"))) +
    ggplot2::scale_shape_discrete(NULL) +
    ggplot2::scale_x_continuous(breaks = table$n_factors) +
    ggplot2::labs(x = "number of factors", y = "criterion (lower is better)",
                  title = paste0("Model selection: ", count_of(fit$n_factors, "factor")))
}
