# What the plots of hidden Markov models and of mixtures share: the columns of responses that they show, the densities
# of states or components, residuals. A mixture comes here as as_states() makes it.

# Labels of states or components in a legend: names, or "state 1", of more than `most` the bare number.
latent_labels <- function(labels, noun, most = 4L) {
  numbered <- labels == as.character(seq_along(labels))
  if (length(labels) <= most) labels[numbered] <- paste(noun, labels[numbered])
  labels
}

# The columns of responses that a plot shows, at most `most` of them (with a message): a list of list(r, column, name,
# kind). `kind`: "number", "count", "binary", "share" (successes of trials), "category" or "angle".
response_panels <- function(fit, response, most = 4L) {
  require_data(fit, "plot()")
  names <- names(fit$responses)
  chosen <- if (is.null(response)) seq_along(names) else if (is.character(response)) match(response, names) else
    response
  if (!length(chosen) || anyNA(chosen) || !all(chosen %in% seq_along(names)) || anyDuplicated(chosen)) {
    em_abort(sprintf("`response` must name different responses of the fit: %s.", abbreviate_list(names)), "argument",
             argument = "response")
  }
  out <- unlist(lapply(as.integer(chosen), function(r) {
    one <- fit$responses[[r]]
    kind <- response_kind(one, fit$data$responses[[r]]$y)
    columns <- if (one$family$columns %in% c("counts", "several")) one$columns else one$name
    full <- if (length(names) > 1L && length(columns) > 1L) paste0(one$name, "[", columns, "]") else columns
    lapply(seq_along(columns), function(j) {
      list(r = r, column = j, name = full[j], kind = kind, levels = one$levels)
    })
  }), recursive = FALSE)
  if (length(out) > most) {
    if (is.null(response)) {
      message("Showing the first ", most, " of ", length(out), " columns of responses; choose others with `response`.")
    }
    out <- out[seq_len(most)]
  }
  out
}

response_kind <- function(response, y) {
  switch(response$family$columns,
    factor = "category",
    trials = if (all(y[, 2L] == 1, na.rm = TRUE)) "binary" else "share",
    if (response$family$name == "vonmises") "angle" else if (response$family$discrete) "count" else "number")
}

# The values of a panel in the rows of the core's data. `share`: successes divided by trials.
panel_values <- function(panel, data, share = TRUE) {
  y <- data$responses[[panel$r]]$y
  switch(panel$kind,
    share = if (share) y[, 1L] / y[, 2L] else y[, 1L],
    category = y[, 1L] + 1,
    angle = y[, 1L] - 2 * pi * ceiling(y[, 1L] / (2 * pi) - 0.5),
    y[, panel$column])
}

# Some rows of the core's data, as state_mean() takes them.
responses_in_rows <- function(data, rows) {
  list(n = length(rows), responses = lapply(data$responses, function(spec) {
    list(y = spec$y[rows, , drop = FALSE], x = if (!is.null(spec$x)) spec$x[rows, , drop = FALSE],
         offset = if (!is.null(spec$offset)) spec$offset[rows])
  }))
}

# The means of the states (rows x K) on the scale of panel_values(), or NULL for categories.
panel_means <- function(fit, core, data, panel) {
  if (panel$kind == "category") return(NULL)
  means <- vapply(seq_len(fit$n_states), function(k) {
    state_mean(fit, core, data, panel$r, k)[, panel$column]
  }, numeric(data$n))
  means <- matrix(means, data$n)
  if (panel$kind != "share") return(means)
  trials <- data$responses[[panel$r]]$y[, 2L]
  means / ifelse(is.na(trials), 1, trials)
}

# Limits of the values axis.
panel_limits <- function(panel, values) {
  switch(panel$kind,
    binary = , share = c(0, 1),
    category = c(0.5, length(panel$levels) + 0.5),
    angle = c(-pi, pi),
    if (all(is.na(values))) c(0, 1) else range(values, na.rm = TRUE))
}

# The axis of values, where the plot's own does not do.
own_axis <- function(panel) panel$kind %in% c("category", "angle", "binary")

panel_axis <- function(panel, side) {
  switch(panel$kind,
    category = {
      # names too long for the margin stand upright, as long as there is room
      short <- max(nchar(panel$levels, "width")) <= 3L
      inches <- graphics::par("pin")[2L] / abs(diff(graphics::par("usr")[3:4]))
      room <- max(5L, floor(inches / graphics::strwidth("n", "inches", cex = 0.85)))
      labels <- if (short) panel$levels else cut_middle(panel$levels, room)
      graphics::axis(side, at = seq_along(panel$levels), labels = labels,
                     las = if (short) 1 else 0, gap.axis = -1, cex.axis = 0.85)
    },
    angle = graphics::axis(side, at = c(-pi, -pi / 2, 0, pi / 2, pi), las = 1,
                           labels = expression(-pi, -pi / 2, 0, pi / 2, pi)),
    binary = graphics::axis(side, at = 0:1, las = 1))
}

# --- densities ----------------------------------------------------------------------------------------------------

# Densities (probabilities) of the states at some values of a panel, each times the state's share of the rows: averages
# over rows of `posterior` times the density given the row's covariates and trials (at most 400 rows, an even selection,
# where they matter). at x K.
panel_densities <- function(fit, core, panel, at, posterior) {
  family <- fit$responses[[panel$r]]$family
  by_row <- panel_depends(fit, panel) || family$columns %in% c("trials", "counts")
  seen <- which(rowSums(is.na(fit$data$responses[[panel$r]]$y)) == 0L)
  if (length(seen) == 0L) seen <- seq_len(nrow(posterior))
  share <- colMeans(posterior[seen, , drop = FALSE])
  rows <- if (by_row) seen[rows_to_draw(length(seen), 400L)] else seen[1L]
  weight <- if (by_row) posterior[rows, , drop = FALSE] / length(rows) else matrix(share, 1L)
  data <- responses_in_rows(fit$data, rows)
  densities <- vapply(seq_len(fit$n_states), function(k) {
    theta <- state_theta(fit, core, data, panel$r, k)
    if (family$columns == "factor") return(colSums(weight[, k] * probability_rows(theta$prob, length(rows)))[at])
    density <- margin_functions(family, panel$column)$density
    vapply(at, function(v) sum(weight[, k] * density(rep(v, length(rows)), theta)), 0)
  }, numeric(length(at)))
  matrix(densities, length(at), dimnames = list(NULL, fit$state_names))
}

# What the density of a panel shows: list(bars = data frame left, right, height, at = values, densities = at x K, top,
# limits, discrete).
density_data <- function(fit, core, panel, posterior) {
  values <- panel_values(panel, fit$data, share = FALSE)
  values <- values[!is.na(values)]
  if (!panel$kind %in% c("number", "angle")) {
    # values of counts far above all others would make the rest invisible
    at <- if (panel$kind == "category") seq_along(panel$levels) else seq(min(values), max(values))
    height <- tabulate(match(values, at), length(at)) / length(values)
    bars <- data.frame(left = at - 0.45, right = at + 0.45, height = height)
    densities <- panel_densities(fit, core, panel, at, posterior)
    return(list(bars = bars, at = at, densities = densities, top = max(height, rowSums(densities)),
                limits = range(at) + c(-0.6, 0.6), discrete = TRUE))
  }
  limits <- range(values)
  # The usual rules are for one mode, and hide the others.
  wanted <- max(grDevices::nclass.FD(values), min(40, sqrt(length(values))))
  h <- graphics::hist(values, breaks = min(wanted, 100), plot = FALSE)
  if (diff(limits) == 0) limits <- range(h$breaks)
  support <- switch(fit$responses[[panel$r]]$family$name, beta = c(0, 1), vonmises = c(-pi, pi),
                    lognormal = , gamma = , exponential = c(0, Inf), c(-Inf, Inf))
  limits <- limits + c(-0.06, 0.06) * diff(limits)
  limits <- c(max(limits[1L], support[1L]), min(limits[2L], support[2L]))
  at <- seq(limits[1L], limits[2L], length.out = 512L)
  densities <- panel_densities(fit, core, panel, at, posterior)
  # A density that is infinite at the edge of its support, or a needle, must not set the scale.
  densities[!is.finite(densities)] <- NA
  total <- rowSums(densities)
  list(bars = data.frame(left = h$breaks[-length(h$breaks)], right = h$breaks[-1L], height = h$density), at = at,
       densities = densities, top = max(h$density, min(max(total, na.rm = TRUE), 3 * max(h$density))), limits = limits,
       discrete = FALSE)
}

# TRUE where a panel's response depends on covariates.
panel_depends <- function(fit, panel) has_predictor(fit$responses[[panel$r]]$design)

plot_response_density <- function(fit, core, panels, posterior, style, labels, whole, look) {
  note <- if (any(vapply(panels, panel_depends, NA, fit = fit))) "averaged over the covariates" else ""
  stacked <- vapply(panels, function(panel) panel$kind %in% c("category", "binary"), NA)
  legend <- if (all(stacked)) {
    list(labels = c("data", labels), pch = 22, pt.bg = c("grey75", fade(style$colour, 0.75)),
         col = c("grey75", style$colour), pt.cex = 1.5, show = look$legend)
  } else if (length(labels) > 5L) {
    list(labels = c("all", labels), col = c("grey15", style$colour), pch = 15, pt.cex = 1.3, show = look$legend)
  } else {
    list(labels = c(whole, labels), col = c("grey15", style$colour), lwd = 2.2, seg.len = 1.4, show = look$legend)
  }
  if (is.null(look$more$las)) look$more$las <- 0
  panels(length(panels), look, "Data and fitted density", note, legend, function(i) {
    panel <- panels[[i]]
    d <- density_data(fit, core, panel, posterior)
    open_panel(d$limits, c(0, d$top * 1.04), panel$name, if (d$discrete) "share of rows" else "density", look,
               xaxt = if (own_axis(panel)) "n" else "s", yaxs = "i")
    if (panel$kind == "category") category_axis(panel$levels) else panel_axis(panel, 1L)
    if (stacked[i]) return(draw_stacked_bars(d, style))
    draw_bars(d$bars, "grey88")
    total <- rowSums(d$densities)
    few <- d$discrete && length(d$at) <= 60L
    for (k in seq_len(ncol(d$densities))) {
      graphics::lines(d$at, d$densities[, k], col = style$colour[k], lwd = 2)
      if (few) graphics::points(d$at, d$densities[, k], col = style$colour[k], pch = 16, cex = 0.6)
    }
    if (ncol(d$densities) > 1L) graphics::lines(d$at, total, col = "grey15", lwd = 2)
    if (few && ncol(d$densities) > 1L) graphics::points(d$at, total, col = "grey15", pch = 16, cex = 0.6)
    graphics::box()
  }, layout = wide_layout(length(panels)))
}

# Bars of a histogram; of many the borders would be all that is seen.
draw_bars <- function(bars, colour) {
  border <- if (nrow(bars) > 60L) colour else "white"
  graphics::rect(bars$left, 0, bars$right, bars$height, col = colour, border = border)
}

# An axis of whole numbers without exponents.
count_axis <- function() {
  at <- graphics::axTicks(1L)
  graphics::axis(1, at = at, labels = format(at, big.mark = ",", scientific = FALSE, trim = TRUE), las = 0)
}

# The criteria of all numbers of states or components: data frame n, criterion, value (NA where there was no fit).
latent_selection_data <- function(fit) {
  table <- fit$selection
  n <- table[[1L]]
  criteria <- c("AIC", "BIC", "ICL")
  out <- data.frame(n = rep(n, 3L), criterion = factor(rep(criteria, each = length(n)), criteria),
                    value = c(table$AIC, table$BIC, table$ICL))
  if (length(n) < 2L) {
    em_abort(sprintf("The fit has one number of %s; give several to compare them.",
                     if (names(table)[1L] == "n_states") "states" else "components"), "nothing_to_plot")
  }
  out
}

# What is chosen, in the title of a plot of the selection.
latent_selection_title <- function(fit, criterion) {
  noun <- if (names(fit$selection)[1L] == "n_states") "state" else "component"
  sprintf("Model selection: %s by %s", count_of(fit[[names(fit$selection)[1L]]], noun), criterion)
}

latent_selection_note <- function(d) {
  failed <- unique(d$n[is.na(d$value)])
  if (length(failed) > 0L) sprintf("not fitted: %s", paste(failed, collapse = ", ")) else ""
}

plot_latent_selection <- function(fit, criterion, look) {
  d <- latent_selection_data(fit)
  colour <- em_palette(3L)
  symbol <- em_symbols(3L)
  range <- range(d$value, na.rm = TRUE)
  span <- if (diff(range) > 0) diff(range) else 1
  open_panel(range(d$n), range + c(-0.06, 0.06) * span,
             paste0("number of ", sub("n_", "", names(fit$selection)[1L])), "criterion (lower is better)", look,
             xaxt = "n", yaxt = "n")
  graphics::axis(1, at = sort(unique(d$n)))
  graphics::axis(2, las = 0)
  for (i in 1:3) {
    one <- d[as.integer(d$criterion) == i, ]
    graphics::lines(one$n, one$value, col = colour[i], lwd = 1.8)
    graphics::points(one$n, one$value, pch = symbol[i], col = colour[i], bg = colour[i])
  }
  best <- d[d$criterion == criterion & d$n == fit[[names(fit$selection)[1L]]], ]
  graphics::points(best$n, best$value, cex = 2.4, lwd = 1.6, col = "grey15")
  panel_title(look, latent_selection_title(fit, criterion), latent_selection_note(d))
  legend_above(levels(d$criterion), pch = symbol, col = colour, pt.bg = colour, show = look$legend)
}

# Rows and columns of panels: up to three side by side.
wide_layout <- function(n) if (n <= 3L) c(1L, n) else grDevices::n2mfrow(n)

# Observed shares (grey, left) beside those of the states on top of each other.
draw_stacked_bars <- function(d, style) {
  graphics::rect(d$at - 0.4, 0, d$at - 0.02, d$bars$height, col = "grey75", border = NA)
  base <- numeric(length(d$at))
  for (k in seq_len(ncol(d$densities))) {
    graphics::rect(d$at + 0.02, base, d$at + 0.4, base + d$densities[, k], col = fade(style$colour[k], 0.75),
                   border = "white")
    base <- base + d$densities[, k]
  }
  graphics::box()
}

# --- residuals ----------------------------------------------------------------------------------------------------

# One column of quantile residuals: list(z, name (NULL where there is one), note).
one_residual <- function(z, response) {
  if (is.null(dim(z))) return(list(z = unname(z), name = NULL, note = ""))
  names <- colnames(z)
  j <- if (is.null(response)) 1L else if (is.character(response)) match(response[1L], names) else response[1L]
  if (is.na(j) || !j %in% seq_along(names)) {
    em_abort(sprintf("`response` must be one of the columns of the residuals: %s.", abbreviate_list(names)), "argument",
             argument = "response")
  }
  list(z = unname(z[, j]), name = names[j],
       note = sprintf("of %s (%d of %d, see `response`)", names[j], j, length(names)))
}

# Points of a normal QQ plot with the pointwise 95 % region of order statistics; of many an even selection.
qq_data <- function(z, most = 2000L) {
  z <- sort(z[is.finite(z)])
  n <- length(z)
  i <- rows_to_draw(n, most)
  data.frame(theoretical = stats::qnorm(stats::ppoints(n)[i]), sample = z[i],
             lower = stats::qnorm(stats::qbeta(0.025, i, n - i + 1)),
             upper = stats::qnorm(stats::qbeta(0.975, i, n - i + 1)))
}

# Autocorrelations of residuals within sequences. `sequence`: number of the sequence of each row, in order.
acf_data <- function(z, sequence, lags = NULL) {
  n <- length(z)
  z <- z - mean(z, na.rm = TRUE)
  longest <- max(tabulate(sequence))
  if (is.null(lags)) lags <- max(1L, min(floor(10 * log10(n)), longest - 1L))
  lags <- seq_len(min(lags, n - 1L))
  variance <- mean(z^2, na.rm = TRUE)
  rows <- lapply(lags, function(h) {
    product <- z[seq_len(n - h)] * z[-seq_len(h)]
    product <- product[sequence[seq_len(n - h)] == sequence[-seq_len(h)]]
    pairs <- sum(!is.na(product))
    data.frame(lag = h, acf = mean(product, na.rm = TRUE) / variance, bound = stats::qnorm(0.975) / sqrt(pairs))
  })
  rows <- do.call(rbind, rows)
  rows[is.finite(rows$acf), ]
}

draw_qq <- function(z, look) {
  q <- qq_data(z)
  limits <- range(q$theoretical, q$sample)
  open_panel(range(q$theoretical), limits, "normal quantiles", "residuals", look)
  graphics::polygon(c(q$theoretical, rev(q$theoretical)), c(q$lower, rev(q$upper)), col = "grey90", border = NA)
  graphics::abline(0, 1, col = "grey50")
  graphics::points(q$theoretical, q$sample, pch = 16, cex = 0.6, col = fade(em_palette(1L), 0.7))
  graphics::box()
}

# Bars of a histogram of residuals: data frame left, right, height.
residual_bars <- function(z) {
  breaks <- seq(min(-3, z), max(3, z), length.out = max(12L, min(60L, ceiling(2 * length(z)^(1 / 3)))))
  data.frame(left = breaks[-length(breaks)], right = breaks[-1L],
             height = graphics::hist(z, breaks = breaks, plot = FALSE)$density)
}

draw_residual_histogram <- function(z, look) {
  h <- residual_bars(z[is.finite(z)])
  at <- seq(min(h$left), max(h$right), length.out = 201L)
  open_panel(range(at), c(0, 1.05 * max(h$height, stats::dnorm(0))), "residuals", "density", look, yaxs = "i")
  draw_bars(h, "grey85")
  graphics::lines(at, stats::dnorm(at), col = em_palette(1L), lwd = 2)
  graphics::box()
}

# Residuals against something, coloured by state.
draw_residual_points <- function(x, z, colour, xlab, look) {
  shown <- which(is.finite(z) & is.finite(x))
  shown <- shown[rows_to_draw(length(shown), 3000L)]
  rows <- xlab == "row"
  if (rows) look$more$xaxt <- "n"
  open_panel(range(x[shown]), range(z[shown], -2, 2), xlab, "residuals", look)
  if (rows) count_axis()
  graphics::abline(h = c(-1.96, 0, 1.96), col = "grey60", lty = c(2, 1, 2))
  many <- length(shown) > 800L
  graphics::points(x[shown], z[shown], pch = 16, cex = if (many) 0.4 else 0.65,
                   col = fade(colour[shown], if (many) 0.5 else 0.75))
}

draw_acf <- function(z, sequence, look) {
  a <- acf_data(z, sequence)
  if (nrow(a) == 0L) {
    open_panel(0:1, 0:1, "lag", "autocorrelation", look, xaxt = "n", yaxt = "n")
    return(graphics::text(0.5, 0.5, "no two rows follow each other", col = "grey40"))
  }
  open_panel(c(0.5, max(a$lag) + 0.5), range(a$acf, a$bound, -a$bound), "lag", "autocorrelation", look)
  graphics::lines(a$lag, a$bound, lty = 2, col = "grey50")
  graphics::lines(a$lag, -a$bound, lty = 2, col = "grey50")
  graphics::abline(h = 0, col = "grey50")
  graphics::segments(a$lag, 0, a$lag, a$acf, lwd = 3, lend = 1, col = em_palette(1L))
}

# The heading of one of several panels.
panel_heading <- function(text) {
  graphics::mtext(text, side = 3, line = 0.3, adj = 0, cex = 0.85 * graphics::par("cex"), col = "grey25")
}
