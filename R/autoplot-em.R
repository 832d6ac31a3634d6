# The plots of plot-em.R with ggplot2.

#' Plot the fit of a model of your own with ggplot2
#'
#' The plots of [plot.em()] as ggplot2 objects. Needs the package ggplot2.
#'
#' @inheritParams plot.em
#' @param object A fit of [em()].
#' @param ... Unused, and an error.
#' @return An object of class `ggplot`.
#' @examplesIf requireNamespace("ggplot2", quietly = TRUE)
#' y <- c(125, 18, 20, 34)
#' fit <- em(
#'   list(t = 0.1), e_step = function(theta) y[1] * theta$t / (2 + theta$t),
#'   m_step = function(x) list(t = (x + y[4]) / (x + sum(y[2:4]))),
#'   loglik = function(theta) sum(y * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t))),
#'   complete_loglik = function(theta, x) (x + y[4]) * log(theta$t) + (y[2] + y[3]) * log(1 - theta$t),
#'   transform = "probability"
#' )
#' ggplot2::autoplot(fit, "bound")
#' @exportS3Method ggplot2::autoplot
autoplot.em <- function(object, type = c("trace", "starts", "bound", "rate"), direction = NULL, at = NULL, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "autoplot.em")
  if (!is.null(at)) at <- check_count(at, "at", if (type == "rate") 3L else 0L)
  plot <- switch(type,
    trace = autoplot_trace(object), starts = autoplot_starts(object),
    bound = autoplot_bound(object, direction, at), rate = autoplot_rate(object, if (is.null(at)) 50L else at)
  )
  plot + ggplot2::theme_bw() +
    ggplot2::theme(panel.grid.minor = ggplot2::element_blank(), strip.background = ggplot2::element_blank(),
                   legend.position = "top", legend.justification = "left")
}

autoplot_bound <- function(fit, direction, at) {
  .data <- ggplot2::.data
  d <- bound_data(fit, direction, at)
  names <- c(if (has_log_prior(fit)) "log-likelihood + log prior" else "log-likelihood", bound_name(d))
  lines <- data.frame(x = rep(d$curves$x, 2L), value = c(d$curves$loglik, d$curves$bound),
                      line = factor(rep(names, each = nrow(d$curves)), levels = names))
  limits <- bound_limits(d)
  points <- data.frame(x = c(d$here$x, d$update$x), value = c(d$here$loglik, d$update$loglik),
                       point = factor(c("current point", "EM update")))
  if (!d$through) points <- points[1L, ]
  ggplot2::ggplot(lines[which(lines$value >= limits[1L]), ], ggplot2::aes(.data$x, .data$value)) +
    ggplot2::geom_line(ggplot2::aes(colour = .data$line, linetype = .data$line), linewidth = 0.9) +
    ggplot2::geom_point(ggplot2::aes(shape = .data$point), data = points, size = 3) +
    ggplot2::scale_colour_manual(NULL, values = stats::setNames(em_palette(2L), names)) +
    ggplot2::scale_linetype_manual(NULL, values = stats::setNames(c(1, if (d$exact) 1 else 5), names)) +
    ggplot2::scale_shape_manual(NULL, values = c("current point" = 16, "EM update" = 17)) +
    ggplot2::labs(x = d$xlab, y = names[1L], title = "EM climbs a bound", caption = bound_note(d))
}

autoplot_rate <- function(fit, n) {
  .data <- ggplot2::.data
  d <- rate_data(fit, n)
  ggplot2::ggplot(d, ggplot2::aes(.data$iteration, .data$rate)) +
    ggplot2::geom_hline(yintercept = 1, linetype = 2, colour = "grey70") +
    ggplot2::geom_line(colour = "grey60") +
    ggplot2::geom_point(colour = em_palette(1L), size = 1.8) +
    ggplot2::expand_limits(y = 0) +
    ggplot2::labs(x = "iteration (plain EM)", y = "gain relative to the gain before", title = "Rate of convergence",
                  caption = rate_note(d))
}
