# The main plots of plot-impute.R with ggplot2, registered without a hard dependency on it.

#' @rdname plot.em_impute
#' @exportS3Method ggplot2::autoplot
autoplot.em_impute <- function(object, type = c("density", "pattern", "overimpute", "scatter"), columns = NULL,
                               imputation = 1L, level = 0.9, max_points = 5000, ...) {
  type <- if (missing(type) && object$m == 0L) "pattern" else match_choice(type)
  check_dots_empty(..., .function = "autoplot.em_impute")
  plot <- switch(type,
    density = autoplot_densities(object, impute_columns(object, columns, imputed = TRUE)),
    pattern = autoplot_pattern(object, columns),
    overimpute = autoplot_overimpute(object, columns, level, max_points),
    scatter = autoplot_scatter(object, columns, imputation, max_points)
  )
  plot + ggplot2::theme_bw() + ggplot2::theme(
    panel.grid.minor = ggplot2::element_blank(), strip.background = ggplot2::element_blank(), legend.position = "top",
    legend.justification = "left"
  )
}

autoplot_densities <- function(x, columns, most = 20L) {
  .data <- ggplot2::.data
  shown <- seq_len(min(x$m, most))
  values <- lapply(columns, function(name) column_values(x, name))
  numeric <- vapply(values, function(v) is.null(v$labels), NA)
  if (!any(numeric)) {
    em_abort("None of the columns is numeric; plot() shows the shares of categories.", "nothing_to_plot")
  }
  if (!all(numeric)) message("Categorical columns are left out; plot() shows their shares.")
  rows <- do.call(rbind, lapply(which(numeric), function(i) {
    v <- values[[i]]
    v$imputed <- v$imputed[, shown, drop = FALSE]
    curves <- density_curves(v)
    sets <- c(list(curves$observed), curves$imputed)
    data.frame(column = columns[i], value = unlist(lapply(sets, `[[`, "x")), density = unlist(lapply(sets, `[[`, "y")),
               set = rep(seq_along(sets) - 1L, each = length(sets[[1L]]$x)), stringsAsFactors = FALSE)
  }))
  rows$column <- factor(rows$column, levels = columns)
  rows$what <- factor(ifelse(rows$set == 0L, "observed", "imputed"), levels = c("observed", "imputed"))
  ggplot2::ggplot(rows, ggplot2::aes(.data$value, .data$density, group = .data$set, colour = .data$what,
                                     linewidth = .data$what)) +
    ggplot2::geom_line(alpha = 0.8) +
    ggplot2::scale_colour_manual(NULL, values = c(observed = "grey15", imputed = em_palette(2)[2])) +
    ggplot2::scale_linewidth_manual(NULL, values = c(observed = 1, imputed = 0.4)) +
    ggplot2::facet_wrap("column", scales = "free") +
    ggplot2::labs(x = NULL, y = "density", title = "Observed and imputed values")
}

autoplot_pattern <- function(x, columns) {
  .data <- ggplot2::.data
  p <- pattern_data(x, columns)
  k <- nrow(p$missing)
  cells <- data.frame(
    pattern = rep(seq_len(k), length(p$columns)), column = factor(rep(p$columns, each = k), levels = p$columns),
    missing = factor(ifelse(as.vector(p$missing), "missing", "observed"), levels = c("observed", "missing"))
  )
  ggplot2::ggplot(cells, ggplot2::aes(.data$column, .data$pattern, fill = .data$missing)) +
    ggplot2::geom_tile(colour = "white") +
    ggplot2::scale_fill_manual(NULL, values = c(observed = "#C9D7E3", missing = em_palette(2)[2])) +
    ggplot2::scale_y_reverse("rows with the pattern", breaks = seq_len(k), labels = p$count, expand = c(0, 0)) +
    ggplot2::labs(x = NULL, title = sprintf("Missing values: %d of %d rows complete", complete_rows(x), p$n),
                  caption = if (p$left > 0L) sprintf("and %d rarer patterns", p$left))
}

autoplot_overimpute <- function(x, columns, level, max_points) {
  .data <- ggplot2::.data
  table <- em_overimpute(x, columns, level)
  coverage <- attr(table, "coverage")
  class(table) <- "data.frame"
  rows <- unlist(lapply(coverage$column, function(name) {
    own <- which(table$column == name)
    own[rows_to_draw(length(own), max_points)]
  }))
  label <- sprintf("%s (coverage %.3f)", coverage$column, coverage$coverage)
  table$panel <- factor(label[match(table$column, coverage$column)], levels = label)
  table$covered <- factor(ifelse(table$covered, "interval holds the value", "does not"),
                          levels = c("interval holds the value", "does not"))
  ggplot2::ggplot(table[rows, ], ggplot2::aes(.data$observed, .data$mean, colour = .data$covered)) +
    ggplot2::geom_linerange(ggplot2::aes(ymin = .data$lower, ymax = .data$upper), alpha = 0.4) +
    ggplot2::geom_point(size = 0.8) +
    ggplot2::geom_abline(linetype = 2, colour = "grey15") +
    ggplot2::scale_colour_manual(NULL, values = em_palette(2), drop = FALSE) +
    ggplot2::facet_wrap("panel", scales = "free") +
    ggplot2::labs(y = "imputed", title = sprintf("Overimputation: %g%% intervals of observed values", 100 * level))
}

autoplot_scatter <- function(x, columns, imputation, max_points) {
  .data <- ggplot2::.data
  s <- scatter_data(x, columns, imputation, max_points)
  s$table$which <- droplevels(s$table$which)
  n <- nlevels(s$table$which)
  ggplot2::ggplot(s$table[order(s$table$which), ], ggplot2::aes(.data$x, .data$y, colour = .data$which,
                                                                shape = .data$which)) +
    ggplot2::geom_point(alpha = 0.75) +
    ggplot2::scale_colour_manual(NULL, values = c("grey45", em_palette(3)[c(2, 3, 1)])[seq_len(n)]) +
    ggplot2::scale_shape_manual(NULL, values = c(1, 17, 15, 18)[seq_len(n)]) +
    ggplot2::labs(x = s$columns[1L], y = s$columns[2L], title = paste("Imputation", imputation))
}
