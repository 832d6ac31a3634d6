# The plots of plot-mixture.R with ggplot2, registered without a hard dependency on it.

#' Plot a finite mixture with ggplot2
#'
#' The plots of [plot.em_mixture()] as ggplot2 objects, which can be changed with further layers, scales and themes.
#' Needs the package ggplot2.
#'
#' @inheritParams plot.em_mixture
#' @param object A fit of [em_mixture()].
#' @param ... Unused, and an error.
#' @return An object of class `ggplot`.
#' @examplesIf requireNamespace("ggplot2", quietly = TRUE)
#' fit <- em_mixture(waiting ~ eruptions, faithful, n_components = 2)
#' ggplot2::autoplot(fit)
#' @exportS3Method ggplot2::autoplot
autoplot.em_mixture <- function(object, type = c("regression", "density", "residuals", "posterior", "starts",
                                                 "selection", "trace"),
                                response = NULL, covariate = NULL, seed = 1, max_points = 5000, ...) {
  type <- if (missing(type) && !mixture_depends(object)) "density" else match_choice(type)
  check_dots_empty(..., .function = "autoplot.em_mixture")
  plot <- switch(type,
    regression = autoplot_regression(object, response, covariate, max_points),
    density = autoplot_response_density(as_states(object), mixture_core(object),
                                        facet_panels(as_states(object), response),
                                        predict(object, type = "posterior"), "component", "mixture"),
    residuals = {
      d <- mixture_residual_data(object, response, seed)
      autoplot_residual_panels(c(d, list(sequence = rep(1L, length(d$z)))), object$component_names, "component")
    },
    posterior = autoplot_rootogram(object),
    starts = autoplot_starts(object),
    selection = autoplot_latent_selection(object, object$criterion),
    trace = autoplot_trace(object)
  )
  plot + response_theme()
}

autoplot_regression <- function(fit, response, covariate, max_points) {
  .data <- ggplot2::.data
  data <- regression_panels(fit, response, covariate, max_points)
  names <- vapply(data, function(d) d$panel$name, "")
  labels <- fit$component_names
  stacked <- function(what, component) do.call(rbind, lapply(seq_along(data), function(i) {
    rows <- data[[i]][[what]]
    rows$component <- latent_factor(rows[[component]], labels)
    cbind(rows, panel = factor(rep(names[i], nrow(rows)), levels = names))
  }))
  points <- stacked("points", "class")
  lines <- stacked("lines", "component")
  first <- data[[1L]]
  if (is.null(first$labels)) {
    points$x <- plot_times(points$x, first$like)
    lines$x <- plot_times(lines$x, first$like)
  }
  plot <- ggplot2::ggplot(points, ggplot2::aes(.data$x, .data$value, colour = .data$component)) +
    ggplot2::geom_point(ggplot2::aes(shape = .data$component, fill = .data$component,
                                     alpha = pmax(0.15, 2 * .data$sure - 1)),
                        size = if (nrow(points) > 2000L) 0.8 else 1.6, na.rm = TRUE) +
    ggplot2::scale_alpha_identity() +
    latent_scales(labels, "component") +
    ggplot2::labs(x = first$name, y = if (length(data) == 1L) names, title = "Regressions by component",
                  caption = note_or_null(first$note)) +
    (if (length(data) > 1L) ggplot2::facet_wrap("panel", scales = "free_y"))
  if (is.null(first$labels)) {
    return(plot + ggplot2::geom_line(ggplot2::aes(y = .data$mean), data = lines, linewidth = 1))
  }
  plot +
    ggplot2::geom_segment(ggplot2::aes(x = .data$x - 0.35, xend = .data$x + 0.35, y = .data$mean, yend = .data$mean),
                          data = lines, linewidth = 1) +
    ggplot2::scale_x_continuous(breaks = seq_along(first$labels), labels = first$labels)
}

autoplot_rootogram <- function(fit) {
  .data <- ggplot2::.data
  d <- rootogram_data(fit)
  d$component <- latent_factor(d$component, fit$component_names)
  ggplot2::ggplot(d, ggplot2::aes(xmin = .data$left, xmax = .data$right, ymin = 0)) +
    ggplot2::geom_rect(ggplot2::aes(ymax = sqrt(.data$all)), fill = "grey88", colour = "white") +
    ggplot2::geom_rect(ggplot2::aes(ymax = sqrt(.data$own), fill = .data$component), colour = "white") +
    ggplot2::facet_wrap("component") +
    latent_scales(fit$component_names, "classified to") +
    ggplot2::scale_x_continuous(breaks = c(0, 0.5, 1)) +
    ggplot2::scale_y_continuous(labels = function(root) format(round(root^2), trim = TRUE)) +
    ggplot2::labs(x = "posterior probability", y = "rows (square root)", title = "Posterior probabilities")
}
