# What the base plots and the ggplot2 plots share: colours, symbols, and the data that are drawn.

# Colours that stay apart for colour-blind readers (after Okabe & Ito, and Tol); recycled after 10.
em_palette <- function(n) {
  colours <- c("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255",
               "#332288", "#999933", "#117733")
  rep_len(colours, n)
}

# Symbols that can be drawn filled or open; with the colours of em_palette() 50 are different.
em_symbols <- function(n) {
  i <- seq_len(n) - 1L
  c(21, 24, 22, 23, 25)[1L + (i + i %/% 10L) %% 5L]
}

# Colour and symbol of every class, noise last (grey crosses).
class_style <- function(fit) {
  labels <- class_names(fit$parameters)
  K <- fit$n_components
  noise <- length(labels) > K
  data.frame(
    class = labels, colour = c(em_palette(K), if (noise) "grey50"),
    symbol = c(em_symbols(K), if (noise) 4), stringsAsFactors = FALSE
  )
}

# Labels of the Gaussian components in a legend: names where the components have them, "component 1"
# or, of more than `most`, the bare number where they have not.
component_labels <- function(fit, most = 4L) {
  labels <- class_names(fit$parameters)[seq_len(fit$n_components)]
  numbered <- numbered_components(fit)
  if (fit$n_components <= most) {
    labels[numbered] <- paste("component", labels[numbered])
  }
  labels
}

# TRUE for the components that are called by their number.
numbered_components <- function(fit) {
  K <- fit$n_components
  class_names(fit$parameters)[seq_len(K)] == as.character(seq_len(K))
}

# Colour with an opacity.
fade <- function(colour, alpha) {
  grDevices::adjustcolor(colour, alpha.f = alpha)
}

# Rows to draw: all, or `most` spread evenly over the data (no random numbers are used).
rows_to_draw <- function(n, most) {
  if (n <= most) {
    return(seq_len(n))
  }
  unique(round(seq(1, n, length.out = most)))
}

# "10,000 of 2,000,000 rows are drawn", or "".
thinning_note <- function(drawn, n) {
  if (drawn == n) {
    return("")
  }
  big <- function(x) format(x, big.mark = ",", scientific = FALSE)
  paste(big(drawn), "of", big(n), "rows are drawn")
}

# The data as drawn: missing cells at their conditional means. list(x, class (1 ... K, K + 1 for
# noise), incomplete, uncertainty, note). Rows that are wholly missing are not drawn.
plot_points <- function(fit, max_points) {
  require_data(fit, "plot()")
  n <- nrow(fit$data)
  rows <- rows_to_draw(n, max_points)
  x <- fit$data[rows, , drop = FALSE]
  known <- fit$known[rows]
  incomplete <- rowSums(is.na(x)) > 0
  posterior <- if (is.null(fit$posterior)) {
    gmm_evaluate_(x, fit$parameters, NULL, known, "posterior", resolve_threads(fit$control))
  } else {
    fit$posterior[rows, , drop = FALSE]
  }
  if (any(incomplete)) {
    empty <- rowSums(!is.na(x)) == 0
    x[] <- gmm_evaluate_(x, fit$parameters, NULL, known, "imputed", resolve_threads(fit$control))
    x <- x[!empty, , drop = FALSE]
    posterior <- posterior[!empty, , drop = FALSE]
    incomplete <- incomplete[!empty]
    rows <- rows[!empty]
  }
  colnames(x) <- fit$variables
  list(
    x = x, rows = rows, class = max.col(posterior, "first"), incomplete = unname(incomplete),
    uncertainty = 1 - row_max(posterior), note = thinning_note(length(rows), n)
  )
}

# Which variables a plot shows: numbers into fit$variables, at most `most` of them (with a message).
plot_variables <- function(fit, variables, most = 6L) {
  d <- length(fit$variables)
  if (is.null(variables)) {
    if (d > most) {
      message("Showing the first ", most, " of ", d, " variables; choose others with `variables`.")
    }
    return(seq_len(min(d, most)))
  }
  index <- if (is.character(variables)) match(variables, fit$variables) else variables
  if (!length(index) || anyNA(index) || !all(index %in% seq_len(d)) || anyDuplicated(index)) {
    em_abort(
      paste0("`variables` must name different variables of the fit: ",
             abbreviate_list(fit$variables), "."),
      "argument", argument = "variables"
    )
  }
  as.integer(index)
}

# Boundary of the region that holds a share `level` of a bivariate normal (points x 2).
ellipse_points <- function(mean, covariance, level, n = 121L) {
  angle <- seq(0, 2 * pi, length.out = n)
  radius <- sqrt(stats::qchisq(level, 2))
  sweep(radius * cbind(cos(angle), sin(angle)) %*% chol(covariance), 2, mean, `+`)
}

# Ellipses of all components in the plane of two variables, as one long data frame.
ellipse_data <- function(fit, pair, levels) {
  pieces <- list()
  for (k in seq_len(fit$n_components)) for (level in levels) {
    points <- ellipse_points(
      fit$parameters$means[pair, k],
      component_covariance(fit$parameters, k)[pair, pair], level
    )
    pieces[[length(pieces) + 1]] <- data.frame(x = points[, 1], y = points[, 2], class = k,
                                               level = level)
  }
  do.call(rbind, pieces)
}

# Density of one component in some of the variables, by definition (rows of `at`).
component_density <- function(at, mean, covariance) {
  root <- chol(covariance)
  q <- colSums(backsolve(root, t(at) - mean, transpose = TRUE)^2)
  exp(-q / 2 - sum(log(diag(root))) - ncol(at) / 2 * log(2 * pi))
}

# Marginal density of the mixture in some of the variables, one column per class, each times its
# proportion (rows of `at` x classes).
marginal_densities <- function(fit, variables, at) {
  at <- as.matrix(at)
  parameters <- fit$parameters
  K <- fit$n_components
  densities <- vapply(seq_len(K), function(k) {
    covariance <- component_covariance(parameters, k)[variables, variables, drop = FALSE]
    parameters$proportions[[k]] * component_density(at, parameters$means[variables, k], covariance)
  }, numeric(nrow(at)))
  densities <- matrix(densities, nrow(at), K)
  if (length(parameters$proportions) > K) {
    box <- noise_box(fit)
    inside <- rep(TRUE, nrow(at))
    for (j in seq_along(variables)) {
      v <- variables[j]
      inside <- inside & at[, j] >= box$lower[v] & at[, j] <= box$lower[v] + box$sides[v]
    }
    noise <- parameters$proportions[[K + 1]] / prod(box$sides[variables]) * inside
    densities <- cbind(densities, noise)
  }
  colnames(densities) <- class_names(parameters)
  densities
}

# Limits for one variable that hold the data and the bulk of every component.
plot_range <- function(fit, variable, x = NULL) {
  sd <- sqrt(vapply(seq_len(fit$n_components),
                    function(k) component_covariance(fit$parameters, k)[variable, variable], 0))
  # a component with next to no weight must not set the scale of the plot
  heavy <- fit$parameters$proportions[seq_len(fit$n_components)] > 0.01
  heavy <- heavy | !any(heavy)
  mean <- fit$parameters$means[variable, ]
  component <- range((mean - 2.5 * sd)[heavy], (mean + 2.5 * sd)[heavy])
  if (is.null(x)) {
    return(component)
  }
  data <- range(x[is.finite(x)])
  margin <- 0.12 * diff(data)
  c(max(min(component[1], data[1]), data[1] - 3 * margin) - margin / 3,
    min(max(component[2], data[2]), data[2] + 3 * margin) + margin / 3)
}

# Density of the mixture on a grid in the plane of two variables: list(x, y, z).
density_grid <- function(fit, pair, xlim, ylim, n = 90L) {
  x <- seq(xlim[1], xlim[2], length.out = n)
  y <- seq(ylim[1], ylim[2], length.out = n)
  z <- rowSums(marginal_densities(fit, pair, expand.grid(x, y)))
  list(x = x, y = y, z = matrix(z, n, n))
}

# Heights whose contours enclose the given shares of the mass on a grid.
contour_heights <- function(z, shares) {
  sorted <- sort(z, decreasing = TRUE)
  mass <- cumsum(sorted) / sum(sorted)
  vapply(shares, function(share) sorted[which(mass >= share)[1]], 0)
}

# Values of the selection criterion for every cell of the grid of fits, lower is better.
selection_data <- function(fit) {
  table <- fit$selection
  if (is.null(table) || !nrow(table)) {
    em_abort("The fit has no table of models to plot.", "nothing_to_plot")
  }
  criterion <- fit$criterion
  table$value <- if (identical(criterion, "AIC")) {
    -2 * table$loglik + 2 * table$df
  } else {
    table[[criterion]]
  }
  # a structure has a line for each number of factors
  table$covariance <- covariance_label(table$covariance, table$n_factors)
  table$failed <- !is.finite(table$value)
  table$value[table$failed] <- NA
  table$spurious <- !table$failed & table$status == "spurious"
  table
}

# Colour, symbol and line of every covariance structure in a plot of the selection, the best first:
# unlike symbols for 18, of which the first five are filled; lines change after ten, as colours do.
selection_style <- function(table) {
  # spurious models last: their criterion is none
  least <- function(rows) tapply(replace(table$value, !rows, NA), as.character(table$covariance),
                                 function(v) min(c(v, Inf), na.rm = TRUE))
  sound <- least(!table$spurious)
  codes <- names(sound)[order(sound, least(TRUE))]
  n <- length(codes)
  symbols <- c(em_symbols(5), em_symbols(5), 4, 8, 7, 10, 9, 12, 13, 14)
  colour <- em_palette(n)
  data.frame(
    covariance = codes, colour = colour, symbol = rep_len(symbols, n),
    fill = ifelse(seq_len(n) <= 5, colour, "white"), line = 1 + (seq_len(n) - 1) %/% 10,
    stringsAsFactors = FALSE
  )
}

# Edges of a plot of the selection, for the values of its sound models: all of them; or, where a few
# poor ones of many would flatten the rest, the better half with as much again above it.
selection_limits <- function(value) {
  value <- value[is.finite(value)]
  best <- min(value)
  top <- max(value)
  limit <- best + 2 * (stats::median(value) - best)
  if (length(value) > 8 && limit > best && top - best > 2 * (limit - best)) {
    top <- max(value[value <= limit])
  }
  span <- if (top > best) top - best else max(1, abs(best) * 0.01)
  c(best, top) + c(-0.08, 0.1) * span
}

# What a plot of the selection between `limits` does not show, and how it shows what is not sound.
selection_notes <- function(table, limits, failed, spurious) {
  above <- sum(table$value > limits[2], na.rm = TRUE)
  below <- sum(table$value < limits[1], na.rm = TRUE)
  notes <- c(
    if (above && below) {
      paste("outside the plot:", above, "above,", below, "below")
    } else if (above + below) {
      paste(count_of(above + below, "model"), if (above + below == 1) "lies" else "lie",
            if (above) "above" else "below", "the plot")
    },
    if (any(table$failed)) sprintf(failed, sum(table$failed)),
    if (any(table$spurious)) sprintf(spurious, sum(table$spurious))
  )
  paste(notes, collapse = "; ")
}

# The starts sorted from worst to best, failed ones first.
starts_data <- function(fit) {
  table <- fit$starts
  if (is.null(table) || !nrow(table)) {
    em_abort("The fit has no table of starts to plot.", "nothing_to_plot")
  }
  table$failed <- !is.finite(table$loglik)
  table <- table[order(!table$failed, table$loglik), ]
  table$rank <- seq_len(nrow(table))
  table$best[is.na(table$best)] <- FALSE
  table
}

# "Starts: 14 of 16 completed agree", counted as print() does.
starts_title <- function(fit) {
  paste("Starts:", sub(" starts? ", " ", starts_that_agree(fit)$words))
}

# The trace with the gap to the last objective.
trace_data <- function(fit) {
  table <- fit$trace
  if (is.null(table) || !nrow(table)) {
    em_abort("The fit has no trace to plot.", "nothing_to_plot")
  }
  gap <- table$objective[nrow(table)] - table$objective
  gap[gap <= 0] <- NA
  table$gap <- gap
  table
}

# Size of a point by its uncertainty.
uncertainty_size <- function(u, most) {
  0.45 + 1.75 * u / most
}

# Colour of a point by its uncertainty, light to dark (also in grey print).
uncertainty_colour <- function(u, most) {
  shades <- grDevices::hcl.colors(101, "YlOrRd", rev = TRUE)[c(25:101)]
  shades[1 + round(pmin(u / most, 1) * (length(shades) - 1))]
}

# Scale of uncertainty: its largest possible value, (K - 1) / K over K classes.
largest_uncertainty <- function(fit) {
  n <- length(fit$parameters$proportions)
  max(1 - 1 / n, 1e-8)
}

# Patterns of missingness, the most frequent at the top. p: list(missing (patterns x columns, logical), count, columns,
# n_missing (per column), left (patterns not shown)); `kept`: columns whose missing cells stay missing.
draw_pattern <- function(p, look, title, missing = "missing", kept = rep(FALSE, length(p$columns))) {
  k <- nrow(p$missing)
  d <- length(p$columns)
  colour <- c(observed = "#C9D7E3", missing = em_palette(2)[2], kept = "grey35")
  labels <- cut_middle(p$columns, 14L)
  counts <- format(p$count, big.mark = ",")
  # no wider margins than the labels need
  old <- graphics::par("mar")
  on.exit(graphics::par(mar = old))
  margins <- c(if (d > 8L) 0.8 + 0.55 * max(nchar(labels, "width")) else 2.6, 1.4, 4.1,
               1.4 + 0.55 * max(nchar(counts), 4L))
  graphics::par(mar = pmin(margins, old + c(0, 0, 0, 2)))
  defaults <- list(x = NA, y = NA, type = "n", xlim = c(0, d), ylim = c(k, 0), xlab = "", ylab = "", axes = FALSE,
                   xaxs = "i", yaxs = "i")
  do.call(graphics::plot.default, utils::modifyList(defaults, look$more))
  for (j in seq_len(d)) {
    fill <- ifelse(p$missing[, j], if (kept[j]) colour[["kept"]] else colour[["missing"]], colour[["observed"]])
    graphics::rect(j - 1, seq_len(k) - 1, j, seq_len(k), col = fill, border = "white", lwd = if (k > 15L) 0.7 else 1.4)
  }
  turned <- d > 8L || any(graphics::strwidth(labels, cex = 0.85) > 0.95)
  graphics::axis(1, at = seq_len(d) - 0.5, labels = labels, tick = FALSE, line = -0.8, las = if (turned) 2 else 1,
                 cex.axis = 0.85)
  if (!turned) {
    graphics::axis(1, at = seq_len(d) - 0.5, labels = p$n_missing, tick = FALSE, line = 0.4, cex.axis = 0.8,
                   col.axis = "grey40")
  }
  # all counts where there is room for them in a print that can be read
  size <- abs(graphics::strheight("0", cex = 1.3))
  shown <- if (size * 0.5 <= 1) seq_len(k) else unique(c(1L, seq(2L, k, by = ceiling(size * 0.5))))
  graphics::axis(4, at = shown - 0.5, labels = counts[shown], tick = FALSE, line = -0.8, las = 1,
                 cex.axis = min(0.85, max(0.5, 1 / size)), gap.axis = -1)
  graphics::mtext("rows", side = 3, line = 0.1, at = d, adj = -0.1, cex = 0.75 * graphics::par("cex"), col = "grey40")
  panel_title(look, title, if (p$left > 0L) sprintf("and %d rarer patterns", p$left) else "")
  used <- c(TRUE, any(p$missing[, !kept]), any(p$missing[, kept]))
  what <- c("observed", missing, "missing, left so")
  legend_above(what[used], pch = 22, pt.bg = colour[used], col = "grey60", pt.cex = 1.6, show = look$legend)
}
