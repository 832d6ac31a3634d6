# The plots of plot-hmm.R with ggplot2, registered without a hard dependency on it, and what they share with those of
# mixtures.

#' Plot a hidden Markov model with ggplot2
#'
#' The plots of [plot.em_hmm()] as ggplot2 objects, which can be changed with further layers, scales and themes. Needs
#' the package ggplot2.
#'
#' @inheritParams plot.em_hmm
#' @param object A fit of [em_hmm()].
#' @param ... Unused, and an error.
#' @return An object of class `ggplot`.
#' @examplesIf requireNamespace("ggplot2", quietly = TRUE)
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' ggplot2::autoplot(fit)
#' ggplot2::autoplot(fit, "transition")
#' @exportS3Method ggplot2::autoplot
autoplot.em_hmm <- function(object, type = c("series", "states", "density", "transition", "residuals", "starts",
                                             "selection", "forecast", "trace"),
                            response = NULL, sequences = NULL, covariate = NULL, h = NULL, newdata = NULL,
                            level = c(0.5, 0.95), history = NULL, seed = 1, max_points = 5000, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "autoplot.em_hmm")
  plot <- switch(type,
    series = autoplot_series(object, response, sequences, max_points),
    states = autoplot_states(object, sequences, max_points),
    density = autoplot_response_density(object, core_parameters(object), facet_panels(object, response),
                                        hmm_ordered_posterior(object), "state", "all states"),
    transition = autoplot_transition(object, covariate),
    residuals = autoplot_hmm_residuals(object, response, seed),
    starts = autoplot_starts(object),
    selection = autoplot_latent_selection(object, "BIC"),
    forecast = autoplot_forecast(object, response, sequences, h, newdata, level, history),
    trace = autoplot_trace(object)
  )
  plot + response_theme()
}

autoplot_latent_selection <- function(fit, criterion) {
  .data <- ggplot2::.data
  d <- latent_selection_data(fit)
  best <- d[d$criterion == criterion & d$n == fit[[names(fit$selection)[1L]]], ]
  values <- function(x) stats::setNames(x, levels(d$criterion))
  ggplot2::ggplot(d, ggplot2::aes(.data$n, .data$value, colour = .data$criterion, fill = .data$criterion,
                                  shape = .data$criterion)) +
    ggplot2::geom_line(na.rm = TRUE) +
    ggplot2::geom_point(size = 2, na.rm = TRUE) +
    ggplot2::geom_point(data = best, shape = 1, size = 5, stroke = 1, colour = "grey15", show.legend = FALSE) +
    ggplot2::scale_colour_manual("criterion", values = values(em_palette(3L))) +
    ggplot2::scale_fill_manual("criterion", values = values(em_palette(3L))) +
    ggplot2::scale_shape_manual("criterion", values = values(em_symbols(3L))) +
    ggplot2::scale_x_continuous(breaks = sort(unique(d$n))) +
    ggplot2::labs(x = paste0("number of ", sub("n_", "", names(fit$selection)[1L])), y = "criterion (lower is better)",
                  title = latent_selection_title(fit, criterion), caption = note_or_null(latent_selection_note(d)))
}

response_theme <- function() {
  list(ggplot2::theme_bw(), ggplot2::theme(
    panel.grid.minor = ggplot2::element_blank(), strip.background = ggplot2::element_blank(), legend.position = "top",
    legend.justification = "left"
  ))
}

# Scales of colour, fill and shape by state or component.
latent_scales <- function(labels, title) {
  named <- function(values) stats::setNames(values, labels)
  list(
    ggplot2::scale_colour_manual(title, values = named(em_palette(length(labels))), drop = FALSE),
    ggplot2::scale_fill_manual(title, values = named(em_palette(length(labels))), drop = FALSE),
    ggplot2::scale_shape_manual(title, values = named(em_symbols(length(labels))), drop = FALSE)
  )
}

latent_factor <- function(number, labels) factor(labels[number], levels = labels)

# The times of a plot as ggplot2 takes them.
plot_times <- function(x, like) {
  if (inherits(like, "Date")) as.Date(x, origin = "1970-01-01") else if (inherits(like, "POSIXct")) {
    as.POSIXct(x, origin = "1970-01-01", tz = attr(like, "tzone"))
  } else x
}

note_or_null <- function(note) if (nzchar(note)) note

# Several sequences are facets, with their own counts.
sequence_facets <- function(t, rows) {
  .data <- ggplot2::.data
  space <- if (min(t$edges$n) > 0.25 * max(t$edges$n)) "free_x" else "fixed"
  panel <- if (rows > 1L) ggplot2::vars(.data[["panel"]])
  sequence <- if (t$several) ggplot2::vars(.data[["sequence"]])
  if (rows > 1L || t$several) {
    ggplot2::facet_grid(rows = panel, cols = sequence, scales = "free", space = space, switch = "y")
  }
}

# Facets share the labels of their axes, so categories have none of their own beside other responses.
facet_panels <- function(fit, response) {
  panels <- response_panels(fit, response)
  categories <- vapply(panels, function(panel) panel$kind == "category", NA)
  if (length(panels) == 1L || !any(categories)) return(panels)
  message("Categorical responses are left out; name one with `response`, or use plot().")
  if (all(categories)) panels[1L] else panels[!categories]
}

autoplot_series <- function(fit, response, sequences, max_points) {
  .data <- ggplot2::.data
  panels <- facet_panels(fit, response)
  t <- time_rows(fit, sequences, max_points)
  names <- vapply(panels, `[[`, "", "name")
  rows <- do.call(rbind, lapply(panels, function(panel) {
    cbind(series_data(fit, panel, t), panel = factor(panel$name, levels = names))
  }))
  shift <- t$edges$shift[rows$sequence]
  reach <- row_reach(t)
  rows$x <- rows$x - shift
  rows$sequence <- factor(t$edges$label[rows$sequence], levels = t$edges$label)
  rows$state <- latent_factor(rows$state, fit$state_names)
  rows$left <- plot_times(rep(reach$left, length(panels)) - shift, t$like)
  rows$right <- plot_times(rep(reach$right, length(panels)) - shift, t$like)
  rows$x <- plot_times(rows$x, t$like)
  many <- nrow(rows) > 1500L
  joined <- !many && !panels[[1L]]$kind %in% c("category", "binary")
  plot <- ggplot2::ggplot(rows, ggplot2::aes(.data$x, .data$value)) +
    (if (joined) ggplot2::geom_line(colour = "grey80", linewidth = 0.3, na.rm = TRUE)) +
    ggplot2::geom_point(ggplot2::aes(colour = .data$state, fill = .data$state, shape = .data$state),
                        alpha = if (many) 0.5 else 0.8, size = if (many) 0.6 else 1.5, na.rm = TRUE) +
    ggplot2::geom_segment(ggplot2::aes(x = .data$left, xend = .data$right, y = .data$mean, yend = .data$mean,
                                       colour = .data$state),
                          linewidth = 1, na.rm = TRUE) +
    latent_scales(fit$state_names, "state") +
    ggplot2::labs(x = time_title(fit, t), y = if (length(panels) == 1L) names, title = "Series by state (Viterbi)",
                  caption = note_or_null(t$note)) +
    sequence_facets(t, length(panels))
  if (length(panels) == 1L && panels[[1L]]$kind == "category") {
    plot <- plot + ggplot2::scale_y_continuous(breaks = seq_along(panels[[1L]]$levels), labels = panels[[1L]]$levels)
  }
  plot + (if (length(panels) > 1L) ggplot2::theme(strip.placement = "outside"))
}

autoplot_states <- function(fit, sequences, max_points) {
  .data <- ggplot2::.data
  t <- time_rows(fit, sequences, max_points)
  d <- states_data(fit, t, min(max_points, 2000))
  k <- fit$n_states
  shift <- t$edges$shift[d$sequence]
  below <- t(apply(cbind(0, d$p), 1L, cumsum))
  # bars that touch, as the bins do
  right <- c(d$left[-1L], d$right[length(d$right)])
  right <- ifelse(c(d$sequence[-1L], 0L) == d$sequence, right, d$right)
  label <- factor(t$edges$label, levels = t$edges$label)
  bars <- data.frame(
    left = plot_times(rep(d$left - shift, k), t$like), right = plot_times(rep(right - shift, k), t$like),
    low = as.vector(below[, seq_len(k)]), high = as.vector(below[, seq_len(k) + 1L]),
    sequence = rep(label[d$sequence], k), state = latent_factor(rep(seq_len(k), each = length(d$left)), fit$state_names)
  )
  runs <- state_runs(t, ordered_states(fit)[t$rows])
  shift <- t$edges$shift[runs$sequence]
  path <- data.frame(left = plot_times(runs$left - shift, t$like), right = plot_times(runs$right - shift, t$like),
                     low = 1.03, high = 1.1, sequence = label[runs$sequence],
                     state = latent_factor(runs$state, fit$state_names))
  ggplot2::ggplot(rbind(bars, path)) +
    # thin borders of their own colour close the hairlines between neighbours
    ggplot2::geom_rect(ggplot2::aes(xmin = .data$left, xmax = .data$right, ymin = .data$low, ymax = .data$high,
                                    fill = .data$state, colour = .data$state), linewidth = 0.25) +
    latent_scales(fit$state_names, "state") +
    ggplot2::scale_y_continuous(breaks = c(0, 0.5, 1, 1.065), labels = c("0.0", "0.5", "1.0", "path")) +
    ggplot2::labs(x = time_title(fit, t), y = "probability of the states", title = "Probabilities of the states",
                  caption = note_or_null(states_note(t, d))) +
    sequence_facets(t, 1L)
}

# Densities of states or components in a facet for each column of the responses; few values and categories as bars.
autoplot_response_density <- function(fit, core, panels, posterior, noun, whole) {
  .data <- ggplot2::.data
  names <- vapply(panels, `[[`, "", "name")
  labels <- c(fit$state_names, whole)
  stacked <- vapply(panels, function(panel) panel$kind %in% c("category", "binary"), NA)
  data <- lapply(panels, function(panel) density_data(fit, core, panel, posterior))
  in_panels <- function(which, f) do.call(rbind, lapply(which, function(i) {
    rows <- f(data[[i]], stacked[i])
    cbind(rows, panel = factor(rep(names[i], nrow(rows)), levels = names))
  }))
  bars <- in_panels(seq_along(panels), function(d, stacked) {
    if (stacked) d$bars[c("left", "right")] <- list(d$at - 0.4, d$at - 0.02)
    d$bars
  })
  class <- function(d, n) factor(rep(labels[seq_len(n)], each = length(d$at)), levels = labels)
  lines <- in_panels(which(!stacked), function(d, stacked) {
    all <- cbind(d$densities, rowSums(d$densities))
    data.frame(x = d$at, density = pmin(as.vector(all), 1.5 * d$top), discrete = d$discrete,
               class = class(d, ncol(all)))
  })
  columns <- in_panels(which(stacked), function(d, stacked) {
    k <- ncol(d$densities)
    above <- t(apply(cbind(0, d$densities), 1L, cumsum))
    data.frame(left = d$at + 0.02, right = d$at + 0.4, low = as.vector(above[, seq_len(k)]),
               high = as.vector(above[, seq_len(k) + 1L]), class = class(d, k))
  })
  depends <- any(vapply(panels, panel_depends, NA, fit = fit))
  colour <- stats::setNames(c(em_palette(fit$n_states), "grey15"), labels)
  plot <- ggplot2::ggplot() +
    ggplot2::geom_rect(ggplot2::aes(xmin = .data$left, xmax = .data$right, ymin = 0, ymax = .data$height), data = bars,
                       fill = "grey85", colour = "white") +
    ggplot2::labs(x = if (length(panels) == 1L) names, y = if (data[[1L]]$discrete) "share of rows" else "density",
                  title = "Data and fitted density", caption = if (depends) "averaged over the covariates")
  if (!is.null(lines)) {
    plot <- plot +
      ggplot2::geom_line(ggplot2::aes(.data$x, .data$density, colour = .data$class), data = lines, linewidth = 0.8,
                         na.rm = TRUE) +
      ggplot2::geom_point(ggplot2::aes(.data$x, .data$density, colour = .data$class), data = lines[lines$discrete, ],
                          size = 1) +
      ggplot2::scale_colour_manual(noun, values = colour)
  }
  if (!is.null(columns)) {
    plot <- plot +
      ggplot2::geom_rect(ggplot2::aes(xmin = .data$left, xmax = .data$right, ymin = .data$low, ymax = .data$high,
                                      fill = .data$class), data = columns, colour = "white") +
      ggplot2::scale_fill_manual(noun, values = colour)
  }
  if (length(panels) == 1L && panels[[1L]]$kind == "category") {
    plot <- plot + ggplot2::scale_x_continuous(breaks = seq_along(panels[[1L]]$levels), labels = panels[[1L]]$levels)
  }
  plot + (if (length(panels) > 1L) ggplot2::facet_wrap("panel", scales = "free"))
}

autoplot_transition <- function(fit, covariate) {
  .data <- ggplot2::.data
  labels <- fit$state_names
  k <- fit$n_states
  if (fit$model$transition$kind == "logit") {
    d <- transition_data(fit, covariate)
    n <- length(d$x)
    long <- data.frame(
      x = rep(d$x, each = k * k), p = as.vector(d$p),
      from = factor(paste("from", labels), paste("from", labels))[rep(seq_len(k), k * n)],
      to = latent_factor(rep(rep(seq_len(k), each = k), n), labels)
    )
    long <- long[as.vector(fit$model$transition$allowed), ]
    plot <- ggplot2::ggplot(long, ggplot2::aes(.data$x, .data$p, colour = .data$to)) +
      ggplot2::facet_wrap("from") + latent_scales(labels, "to state") + ggplot2::expand_limits(y = 0:1) +
      ggplot2::labs(x = d$name, y = "probability", title = "Transition probabilities", caption = note_or_null(d$note))
    if (is.null(d$labels)) return(plot + ggplot2::geom_line(linewidth = 0.9))
    return(plot + ggplot2::geom_point(size = 2.5) +
             ggplot2::scale_x_continuous(breaks = seq_along(d$labels), labels = d$labels))
  }
  p <- as.vector(fit$parameters$transition)
  cells <- data.frame(from = factor(rep(labels, k), levels = rev(labels)),
                      to = factor(rep(labels, each = k), levels = labels), p = p,
                      label = ifelse(as.vector(fit$model$transition$allowed), format_probability(p), "-"))
  ggplot2::ggplot(cells, ggplot2::aes(.data$to, .data$from, fill = .data$p)) +
    ggplot2::geom_tile(colour = "white", linewidth = 1) +
    ggplot2::geom_text(ggplot2::aes(label = .data$label), colour = ifelse(p > 0.55, "white", "grey15")) +
    ggplot2::scale_fill_gradient(limits = 0:1, low = "#F4F7FA", high = em_palette(1L), guide = "none") +
    ggplot2::scale_x_discrete(expand = c(0, 0)) + ggplot2::scale_y_discrete(expand = c(0, 0)) +
    ggplot2::labs(x = "to state", y = "from state", title = "Transition probabilities")
}

# Four facets of residuals. `d`: list(z, x, xlab, class, sequence, note).
autoplot_residual_panels <- function(d, labels, noun) {
  .data <- ggplot2::.data
  names <- c("normal QQ plot", "density of the residuals", paste("residuals against", d$xlab), "autocorrelation by lag")
  panel <- function(i, n) factor(rep(names[i], n), levels = names)
  q <- qq_data(d$z)
  q$panel <- panel(1L, nrow(q))
  z <- d$z[is.finite(d$z)]
  h <- residual_bars(z)
  h$panel <- panel(2L, nrow(h))
  at <- seq(min(h$left), max(h$right), length.out = 201L)
  curve <- data.frame(x = at, y = stats::dnorm(at), panel = panel(2L, 201L))
  shown <- which(is.finite(d$z) & is.finite(d$x))
  shown <- shown[rows_to_draw(length(shown), 3000L)]
  rows <- data.frame(x = d$x[shown], y = d$z[shown], class = latent_factor(d$class[shown], labels),
                     panel = panel(3L, length(shown)))
  a <- acf_data(d$z, d$sequence)
  a$panel <- panel(4L, nrow(a))
  ggplot2::ggplot() +
    ggplot2::geom_ribbon(ggplot2::aes(.data$theoretical, ymin = .data$lower, ymax = .data$upper), data = q,
                         fill = "grey88") +
    ggplot2::geom_line(ggplot2::aes(.data$theoretical, .data$theoretical), data = q, colour = "grey50") +
    ggplot2::geom_point(ggplot2::aes(.data$theoretical, .data$sample), data = q, colour = em_palette(1L), size = 0.8) +
    ggplot2::geom_rect(ggplot2::aes(xmin = .data$left, xmax = .data$right, ymin = 0, ymax = .data$height), data = h,
                       fill = "grey85", colour = "white") +
    ggplot2::geom_line(ggplot2::aes(.data$x, .data$y), data = curve, colour = em_palette(1L)) +
    ggplot2::geom_point(ggplot2::aes(.data$x, .data$y, colour = .data$class), data = rows, size = 0.8) +
    ggplot2::geom_segment(ggplot2::aes(x = .data$lag, xend = .data$lag, y = 0, yend = .data$acf), data = a,
                          colour = em_palette(1L), linewidth = 1) +
    ggplot2::geom_line(ggplot2::aes(.data$lag, .data$bound), data = a, linetype = 2, colour = "grey50") +
    ggplot2::geom_line(ggplot2::aes(.data$lag, -.data$bound), data = a, linetype = 2, colour = "grey50") +
    ggplot2::facet_wrap("panel", scales = "free") +
    latent_scales(labels, noun) +
    ggplot2::labs(x = NULL, y = NULL, title = "Quantile residuals", caption = note_or_null(d$note))
}

autoplot_hmm_residuals <- function(fit, response, seed) {
  d <- hmm_residual_data(fit, response, seed)
  autoplot_residual_panels(c(d, list(xlab = if (is.null(d$like)) "row" else "time", class = d$state)), fit$state_names,
                           "state")
}

autoplot_forecast <- function(fit, response, sequences, h, newdata, level, history) {
  .data <- ggplot2::.data
  check_levels(level)
  panels <- Filter(function(panel) panel$kind != "category", response_panels(fit, response))
  if (length(panels) == 0L) {
    em_abort("The responses are categories, whose forecast autoplot() does not draw; plot() does.", "nothing_to_plot")
  }
  d <- forecast_data(fit, panels, sequences, h, newdata, level, history)
  level <- attr(d, "level")
  one_sequence <- length(unique(vapply(d, `[[`, "", "label"))) == 1L
  name <- vapply(d, function(one) {
    if (one_sequence) one$panel$name else paste0(one$panel$name, ", sequence ", one$label)
  }, "")
  stacked <- function(f) do.call(rbind, lapply(seq_along(d), function(i) {
    rows <- f(d[[i]])
    cbind(rows, panel = factor(rep(name[i], nrow(rows)), levels = name))
  }))
  past <- stacked(function(one) one$history)
  past$state <- latent_factor(past$state, fit$state_names)
  future <- stacked(function(one) one$future)
  words <- paste0(format(100 * level, trim = TRUE), " %")
  bands <- stacked(function(one) do.call(rbind, lapply(rev(seq_along(level)), function(i) {
    data.frame(x = one$future$x, lower = one$lower[, i], upper = one$upper[, i],
               level = factor(words[i], levels = words))
  })))
  shade <- stats::setNames(forecast_shades(length(level)), words)
  plot <- ggplot2::ggplot() +
    lapply(rev(words), function(word) {
      ggplot2::geom_rect(ggplot2::aes(xmin = .data$x - 0.5, xmax = .data$x + 0.5, ymin = .data$lower,
                                      ymax = .data$upper, fill = .data$level), data = bands[bands$level == word, ])
    }) +
    ggplot2::geom_line(ggplot2::aes(.data$x, .data$value), data = past, colour = "grey75", linewidth = 0.4,
                       na.rm = TRUE) +
    ggplot2::geom_point(ggplot2::aes(.data$x, .data$value, colour = .data$state, shape = .data$state), data = past,
                        na.rm = TRUE) +
    ggplot2::geom_segment(ggplot2::aes(x = .data$x - 0.5, xend = .data$x + 0.5, y = .data$mean, yend = .data$mean),
                          data = future, linewidth = 0.9, colour = "grey15") +
    latent_scales(fit$state_names, "state")[1L] +
    ggplot2::scale_shape_manual("state", values = rep_len(c(16, 17, 15, 18, 8), fit$n_states), drop = FALSE) +
    ggplot2::scale_fill_manual("interval", values = shade, drop = FALSE) +
    ggplot2::labs(x = "row", y = if (length(d) == 1L) name,
                  title = sprintf("Forecast of %s", count_of(nrow(d[[1L]]$future), "step")),
                  caption = note_or_null(attr(d, "note")))
  plot + (if (length(d) > 1L) ggplot2::facet_wrap("panel", scales = "free_y", ncol = 1L))
}
