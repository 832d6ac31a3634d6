# Base graphics of a finite mixture.

#' Plot a finite mixture
#'
#' Shows the regressions of the components, the densities of the responses, residuals, the posterior probabilities,
#' starts, the selection of the number of components, or the trace of the algorithm.
#'
#' * `"regression"`: the response against one covariate, points by their most probable component (paler the less sure
#'   that is), with the mean of each component as a line. Other covariates are at their average or most frequent value.
#' * `"density"`: the data of each response with the densities of the components, each times its share, and their sum.
#'   For few values and categories bars: data in grey, components on top of each other. With covariates the densities
#'   are averages over those of the rows.
#' * `"residuals"`: quantile residuals (see [residuals.em_mixture()]): against normal quantiles with the pointwise 95 %
#'   region of their order statistics, their histogram, against the fitted values (without covariates: the rows), and
#'   their autocorrelations in the order of the rows, which the model takes for independent.
#' * `"posterior"`: a rootogram of the posterior probabilities of each component (those above 0.0001), the rows that are
#'   classified to it in colour. Where components are well separated most probabilities are close to 0 or 1; much in the
#'   middle is overlap. The heights are square roots of counts.
#' * `"starts"`: the log-likelihood that every start reached, sorted; many at the top mean that the optimum can be
#'   trusted.
#' * `"selection"`: the criteria of all numbers of components that were fitted, with a ring around the one
#'   that is returned.
#' * `"trace"`: the objective by iteration, and its distance to the last value on a log scale.
#'
#' @param x A fit of [em_mixture()].
#' @param type What to plot, see the details. Default `"regression"`, without covariates `"density"`.
#' @param response Names or numbers of the responses to show. Default: all, at most 4 columns; for `"residuals"` the
#'   first.
#' @param covariate For `"regression"`: the name of the covariate. Default: the first numeric one.
#' @param seed For `"residuals"`: discrete responses are randomised from this seed. Default 1.
#' @param max_points The most rows that are drawn; of more, an even selection. Default 5000.
#' @param legend `TRUE` (default): explain the colours.
#' @param main,xlab,ylab Title and labels of the axes (of one-panel plots).
#' @param ... Graphical parameters for the panels, such as `xlim`, `ylim`, `cex.lab`.
#' @return `x`, invisibly.
#' @references Leisch, F. (2004). FlexMix: a general framework for finite mixture models and latent class regression in
#'   R. *Journal of Statistical Software* 11(8). \doi{10.18637/jss.v011.i08}
#' @seealso [autoplot.em_mixture()] for the same with ggplot2.
#' @examples
#' fit <- em_mixture(waiting ~ eruptions, faithful, n_components = 2)
#' plot(fit)
#' plot(fit, "posterior")
#' plot(fit, "residuals")
#' @export
plot.em_mixture <- function(x, type = c("regression", "density", "residuals", "posterior", "starts", "selection",
                                        "trace"),
                            response = NULL, covariate = NULL, seed = 1, max_points = 5000, legend = TRUE, main = NULL,
                            xlab = NULL, ylab = NULL, ...) {
  type <- if (missing(type) && !mixture_depends(x)) "density" else match_choice(type)
  look <- list(main = main, xlab = xlab, ylab = ylab, legend = isTRUE(legend), more = list(...))
  switch(type,
    regression = plot_regression(x, response, covariate, max_points, look),
    density = plot_response_density(
      as_states(x), mixture_core(x), response_panels(x, response), predict(x, type = "posterior"), mixture_style(x),
      latent_labels(x$component_names, "component"), "mixture", look
    ),
    residuals = plot_mixture_residuals(x, response, seed, look),
    posterior = plot_rootogram(x, look),
    starts = plot_starts(x, look),
    selection = plot_latent_selection(x, x$criterion, look),
    trace = plot_trace(x, look)
  )
  invisible(x)
}

mixture_depends <- function(fit) any(vapply(fit$responses, function(r) !is.null(r$design$x), NA))

# Colour and symbol of every component.
mixture_style <- function(fit) {
  data.frame(component = fit$component_names, colour = em_palette(fit$n_components),
             symbol = em_symbols(fit$n_components))
}

# --- regression ---------------------------------------------------------------------------------------------------

# Response and covariate by row and the means of the components along the covariate: list(panel, name, labels (of
# categories) or NULL, points = data frame x, value, class, sure; lines = data frame x, component, mean; note).
regression_data <- function(fit, panel, covariate, max_points) {
  response <- fit$responses[[panel$r]]
  if (panel$kind == "category" || panel$column > 1L) {
    em_abort(sprintf("The response %s has no single mean to plot against a covariate. Use type = \"density\".",
                     dQuote(response$name, FALSE)), "nothing_to_plot")
  }
  variables <- response$design$variables
  if (length(variables) == 0L) {
    em_abort(sprintf("The response %s has no covariates. Use type = \"density\".", dQuote(response$name, FALSE)),
             "nothing_to_plot")
  }
  values <- lapply(stats::setNames(nm = mixture_variables(fit)), function(name) mixture_variable(fit, name))
  numeric <- variables[vapply(values[variables], function(v) is.numeric(v) && is.null(dim(v)), NA)]
  name <- if (!is.null(covariate)) covariate else if (length(numeric) > 0L) numeric[1L] else variables[1L]
  if (!is.character(name) || length(name) != 1L || !name %in% variables || length(dim(values[[name]])) > 0L) {
    em_abort(sprintf("`covariate` must be one of those of the response %s: %s.", dQuote(response$name, FALSE),
                     paste(variables, collapse = ", ")), "argument", argument = "covariate")
  }
  grid <- covariate_grid(values[variables], name, 201L)
  # predict() wants the covariates of everything
  rest <- covariate_grid(values, name, 201L)
  means <- predict(fit, rest$data, type = "component")
  if (length(dim(means)) == 3L) {
    column <- match(response_columns(as_states(fit), panel$r), dimnames(means)[[3L]])
    means <- matrix(means[, , column], nrow(rest$data))
  }
  rows <- rows_to_draw(fit$n_rows, max_points)
  v <- values[[name]][rows]
  x <- if (is.null(grid$labels)) as.double(v) else match(as.character(v), grid$labels)
  posterior <- predict(fit, type = "posterior")[rows, , drop = FALSE]
  class <- unname(fit$classification[rows])
  # Categories side by side by component; 0 and 1 in a band: without random numbers, the same in every plot.
  if (!is.null(grid$labels)) x <- x + (class - (fit$n_components + 1) / 2) * 0.5 / fit$n_components +
    even_jitter(length(x), 0.1)
  value <- panel_values(panel, responses_in_rows(fit$data, rows))
  notes <- c(if (nzchar(grid$note)) paste("lines", grid$note), thinning_note(length(rows), fit$n_rows))
  list(
    panel = panel, name = name, labels = grid$labels, like = grid$like,
    points = data.frame(x = x, value = value + if (panel$kind == "binary") even_jitter(length(value), 0.05) else 0,
                        class = class, sure = row_max(posterior)),
    lines = data.frame(x = rep(grid$x, fit$n_components),
                       component = rep(seq_len(fit$n_components), each = length(grid$x)), mean = as.vector(means)),
    note = paste(notes[nzchar(notes)], collapse = "; ")
  )
}

# Numbers that fill (-width, width) evenly in an order without pattern (multiples of the golden ratio).
even_jitter <- function(n, width) width * (2 * ((seq_len(n) * 0.6180339887498949) %% 1) - 1)

# All covariates of a mixture, those of the proportions too.
mixture_variables <- function(fit) {
  unique(c(unlist(lapply(fit$responses, function(r) r$design$variables)), fit$design$variables))
}

mixture_variable <- function(fit, name) {
  require_data(fit, "plot(type = \"regression\")")
  if (name %in% names(fit$frame)) return(fit$frame[[name]])
  get(name, envir = environment(fit$responses[[1L]]$formula))
}

# regression_data() of the responses to show: of all those that have a mean along a covariate.
regression_panels <- function(fit, response, covariate, max_points) {
  panels <- response_panels(fit, response)
  if (is.null(response)) {
    fits <- vapply(panels, function(panel) {
      length(fit$responses[[panel$r]]$design$variables) > 0L && panel$kind != "category" && panel$column == 1L
    }, NA)
    panels <- panels[if (any(fits)) fits else 1L]
  }
  lapply(panels, function(panel) regression_data(fit, panel, covariate, max_points))
}

plot_regression <- function(fit, response, covariate, max_points, look) {
  d <- regression_panels(fit, response, covariate, max_points)
  style <- mixture_style(fit)
  legend <- list(labels = latent_labels(style$component, "component"), pch = style$symbol, col = style$colour,
                 pt.bg = fade(style$colour, 0.75), show = look$legend)
  panels(length(d), look, "Regressions by component", d[[1L]]$note, legend,
         function(i) draw_regression(d[[i]], style, look))
}

draw_regression <- function(d, style, look) {
  points <- d$points[!is.na(d$points$value), ]
  limits <- panel_limits(d$panel, points$value)
  if (d$panel$kind %in% c("binary", "share")) limits <- limits + c(-0.06, 0.06)
  dated <- is.object(d$like) && is.null(d$labels)
  open_panel(if (is.null(d$labels)) range(points$x) else c(0.5, length(d$labels) + 0.5), limits, d$name, d$panel$name,
             look, xaxt = if (is.null(d$labels) && !dated) "s" else "n", yaxt = if (own_axis(d$panel)) "n" else "s")
  if (dated) dated_axis(d$like, range(points$x))
  if (!is.null(d$labels)) category_axis(d$labels)
  panel_axis(d$panel, 2L)
  n <- nrow(points)
  alpha <- (if (n > 2000L) 0.4 else 0.75) * pmax(0.15, 2 * points$sure - 1)
  colour <- style$colour[points$class]
  shade <- function(alpha) {
    rgb <- grDevices::col2rgb(colour) / 255
    grDevices::rgb(rgb[1L, ], rgb[2L, ], rgb[3L, ], alpha)
  }
  graphics::points(points$x, points$value, pch = style$symbol[points$class], cex = if (n > 2000L) 0.5 else 0.85,
                   lwd = 0.7, col = shade(pmin(1, alpha + 0.25)), bg = shade(alpha))
  for (k in seq_len(nrow(style))) {
    line <- d$lines[d$lines$component == k, ]
    if (is.null(d$labels)) {
      graphics::lines(line$x, line$mean, col = fade("white", 0.8), lwd = 5)
      graphics::lines(line$x, line$mean, col = style$colour[k], lwd = 2.6)
    } else {
      graphics::segments(line$x - 0.35, line$mean, line$x + 0.35, line$mean, col = style$colour[k], lwd = 2.6, lend = 1)
    }
  }
  graphics::box()
}

# --- residuals ----------------------------------------------------------------------------------------------------

# Quantile residuals of one response column: list(z, note, x = fitted values or rows, xlab, class).
mixture_residual_data <- function(fit, response, seed) {
  one <- one_residual(residuals(fit, "quantile", seed = seed), response)
  fitted <- fitted(fit)
  # fitted values of several responses are columns too; categories have one for each
  names <- colnames(fitted)
  x <- if (is.null(dim(fitted))) fitted else if (length(one$name) == 1L && one$name %in% names) fitted[, one$name]
  if (is.null(x) || diff(range(x)) <= 1e-8 * max(abs(x))) {
    return(c(one, list(x = seq_along(one$z), xlab = "row", class = fit$classification)))
  }
  c(one, list(x = unname(x), xlab = "fitted", class = fit$classification))
}

plot_mixture_residuals <- function(fit, response, seed, look) {
  d <- mixture_residual_data(fit, response, seed)
  style <- mixture_style(fit)
  legend <- list(labels = latent_labels(style$component, "component"), pch = 16, col = style$colour, show = look$legend)
  panels(4L, look, "Quantile residuals", d$note, legend, function(i) {
    switch(i,
      draw_qq(d$z, look),
      draw_residual_histogram(d$z, look),
      draw_residual_points(d$x, d$z, style$colour[d$class], d$xlab, look),
      draw_acf(d$z, rep(1L, length(d$z)), look)
    )
  }, layout = c(2L, 2L))
}

# --- posterior ----------------------------------------------------------------------------------------------------

# Counts of posterior probabilities above `eps` of each component in bins: data frame component, left, right, all, own
# (rows classified to the component).
rootogram_data <- function(fit, eps = 1e-4, bins = 20L) {
  posterior <- predict(fit, type = "posterior")
  breaks <- seq(0, 1, length.out = bins + 1L)
  do.call(rbind, lapply(seq_len(fit$n_components), function(k) {
    p <- posterior[, k]
    bin <- pmin(findInterval(p, breaks), bins)
    shown <- p > eps
    data.frame(component = k, left = breaks[-(bins + 1L)], right = breaks[-1L], all = tabulate(bin[shown], bins),
               own = tabulate(bin[shown & fit$classification == k], bins))
  }))
}

plot_rootogram <- function(fit, look) {
  d <- rootogram_data(fit)
  style <- mixture_style(fit)
  shown <- seq_len(min(fit$n_components, 9L))
  top <- sqrt(max(d$all))
  note <- if (fit$n_components > 9L) sprintf("the first 9 of %d components", fit$n_components) else ""
  legend <- list(labels = c("classified to the component", "to another one"), pch = 22, pt.bg = c("grey35", "grey85"),
                 col = c("grey35", "grey60"), pt.cex = 1.5, show = look$legend)
  panels(length(shown), look, "Posterior probabilities", note, legend, function(k) {
    one <- d[d$component == k, ]
    open_panel(c(0, 1), c(0, top * 1.03), "posterior probability", "rows (square root)", look, yaxt = "n", yaxs = "i")
    ticks <- unique(round(pretty(c(0, top), 4L)^2))
    graphics::axis(2, at = sqrt(ticks), labels = ticks, las = if (max(ticks) > 999) 0 else 1)
    graphics::rect(one$left, 0, one$right, sqrt(one$all), col = "grey88", border = "white")
    graphics::rect(one$left, 0, one$right, sqrt(one$own), col = fade(style$colour[k], 0.8), border = "white")
    graphics::box()
    if (length(shown) > 1L) panel_heading(latent_labels(style$component, "component", Inf)[k])
  }, layout = wide_layout(length(shown)))
}
