# Base graphics of a hidden Markov model.

#' Plot a hidden Markov model
#'
#' Shows the series with its states, the probabilities of the states, the densities of the responses, the transitions,
#' residuals, starts, the selection of the number of states, a forecast, or the trace of the algorithm.
#'
#' * `"series"`: each response over time, coloured by the most probable sequence of states (Viterbi), with the mean of
#'   each row's state as a line. The strip at the bottom shows the states, also where the response is missing.
#' * `"states"`: the probabilities of the states given all data on top of each other, and the most probable sequence as
#'   a strip above them. Where the two disagree or the probabilities are mixed, the states are uncertain.
#' * `"density"`: the data of each response with the densities of the states, each times its share
#'   of the rows, and their sum. For few values and categories bars: data in grey, states on
#'   top of each other. With covariates the densities are averages over those of the rows.
#' * `"transition"`: the matrix of transition probabilities, from rows to columns. With covariates: the probabilities
#'   along one of them, the others at their average or most frequent value, a panel for each state that is left.
#' * `"residuals"`: quantile residuals (see [residuals.em_hmm()]): against normal quantiles with the pointwise 95 %
#'   region of their order statistics, their histogram, over time, and their autocorrelations within sequences. If the
#'   model holds they are independent standard normal.
#' * `"starts"`: the log-likelihood that every start reached, sorted; many at the top mean that the optimum can be
#'   trusted.
#' * `"selection"`: the criteria of all numbers of states that were fitted, with a ring around the one that is returned.
#' * `"forecast"`: the end of the series and the predictive distribution of the `h` steps after it: mean and intervals;
#'   for categories their probabilities, darker for larger ones.
#' * `"trace"`: the objective by iteration, and its distance to the last value on a log scale.
#'
#' Of many sequences the first few are shown, of many rows an even selection (of probabilities: averages), and the plot
#' says so. `xlim` with one sequence selects before it thins out.
#'
#' @param x A fit of [em_hmm()].
#' @param type What to plot, see the details. Default `"series"`.
#' @param response Names or numbers of the responses to show. Default: all, at most 4 columns; for `"residuals"` the
#'   first.
#' @param sequences Names or numbers of the sequences to show. Default: the first 6; for `"forecast"` the first.
#' @param covariate For `"transition"`: the name of the covariate. Default: the first of the formula.
#' @param h For `"forecast"`: how many steps. Default 10, or the rows of `newdata`.
#' @param newdata For `"forecast"`: covariates of the future, see [predict.em_hmm()].
#' @param level For `"forecast"`: probabilities of the intervals. Default `c(0.5, 0.95)`.
#' @param history For `"forecast"`: how many rows before. Default: 4 `h`, at least 40.
#' @param seed For `"residuals"`: discrete responses are randomised from this seed. Default 1.
#' @param max_points The most rows that are drawn. Default 5000.
#' @param legend `TRUE` (default): explain the colours.
#' @param main,xlab,ylab Title and labels of the axes (of one-panel plots).
#' @param ... Graphical parameters for the panels, such as `xlim`, `ylim`, `cex.lab`.
#' @return `x`, invisibly.
#' @seealso [autoplot.em_hmm()] for the same with ggplot2.
#' @examples
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' plot(fit)
#' plot(fit, "states", xlim = c(1, 100))
#' plot(fit, "density")
#' plot(fit, "residuals")
#' plot(fit, "forecast", h = 5)
#' @export
plot.em_hmm <- function(x, type = c("series", "states", "density", "transition", "residuals", "starts", "selection",
                                    "forecast", "trace"),
                        response = NULL, sequences = NULL, covariate = NULL, h = NULL, newdata = NULL,
                        level = c(0.5, 0.95), history = NULL, seed = 1, max_points = 5000, legend = TRUE,
                        main = NULL, xlab = NULL, ylab = NULL, ...) {
  type <- match_choice(type)
  look <- list(main = main, xlab = xlab, ylab = ylab, legend = isTRUE(legend), more = list(...))
  switch(type,
    series = plot_series(x, response, sequences, max_points, look),
    states = plot_states(x, sequences, max_points, look),
    density = plot_response_density(
      x, core_parameters(x), response_panels(x, response), hmm_ordered_posterior(x), hmm_style(x),
      latent_labels(x$state_names, "state"), "all states", look
    ),
    transition = plot_transition(x, covariate, look),
    residuals = plot_hmm_residuals(x, response, seed, look),
    starts = plot_starts(x, look),
    selection = plot_latent_selection(x, "BIC", look),
    forecast = plot_forecast(x, response, sequences, h, newdata, level, history, look),
    trace = plot_trace(x, look)
  )
  invisible(x)
}

# Colour and symbol of every state.
hmm_style <- function(fit) {
  data.frame(state = fit$state_names, colour = em_palette(fit$n_states), symbol = em_symbols(fit$n_states))
}

# --- rows ---------------------------------------------------------------------------------------------------------

# Numbers of the sequences to show, and a note on those that are left.
hmm_chosen_sequences <- function(fit, sequences, most) {
  labels <- as.character(fit$sequences$id)
  m <- length(labels)
  if (is.null(sequences)) {
    chosen <- seq_len(min(m, most))
    return(list(number = chosen, note = if (m > most) {
      sprintf("the first%s of %s sequences", if (most > 1L) paste0(" ", most) else "", format(m, big.mark = ","))
    } else ""))
  }
  chosen <- if (is.numeric(sequences) && !all(as.character(sequences) %in% labels)) sequences else
    match(as.character(sequences), labels)
  if (!length(chosen) || anyNA(chosen) || !all(chosen %in% seq_len(m)) || anyDuplicated(chosen)) {
    em_abort(sprintf("`sequences` must name different sequences of the fit: %s.", abbreviate_list(labels)), "argument",
             argument = "sequences")
  }
  note <- if (length(chosen) == 1L && m > 1L) paste("sequence", labels[chosen]) else ""
  list(number = as.integer(chosen), note = note)
}

# Times of all rows in the order of sequences, or NULL where the fit has none that make an axis.
hmm_times <- function(fit) {
  formula <- fit$time_formula
  if (is.null(formula) || is.null(fit$frame) || !all(all.vars(formula) %in% names(fit$frame))) return(NULL)
  time <- look_up(formula, fit$frame, environment(formula), "time")
  if (!is.numeric(time) && !inherits(time, c("Date", "POSIXct"))) return(NULL)
  if (is.null(fit$row_order)) time else time[fit$row_order]
}

# Which rows (in the order of sequences) a plot over time shows, and where: list(rows, x, sequence, number of the shown
# sequence, all: for every row of the shown sequences rows, x, sequence; edges: data frame label, left, right; like: the
# times' template or NULL, several, note).
time_rows <- function(fit, sequences, max_points, xlim = NULL, most = 6L) {
  require_data(fit, "plot()")
  chosen <- hmm_chosen_sequences(fit, sequences, most)
  first <- fit$data$first[chosen$number] + 1L
  lengths <- fit$sequences$n[chosen$number]
  rows <- sequence(lengths, first)
  number <- rep(seq_along(lengths), lengths)
  several <- length(lengths) > 1L
  times <- if (!several) hmm_times(fit)
  x <- if (is.null(times)) as.double(sequence(lengths)) else as.double(times[rows])
  gap <- max(1, round(0.015 * sum(lengths)))
  shift <- cumsum(c(0, lengths[-length(lengths)] + gap))
  if (several) x <- x + shift[number]
  if (!is.null(xlim) && !several) {
    inside <- x >= min(as.double(xlim)) & x <= max(as.double(xlim))
    if (any(inside)) {
      rows <- rows[inside]
      x <- x[inside]
      number <- number[inside]
    }
  }
  keep <- rows_to_draw(length(rows), max_points)
  label <- as.character(fit$sequences$id[chosen$number])
  notes <- c(chosen$note, thinning_note(length(keep), length(rows)))
  list(
    rows = rows[keep], x = x[keep], sequence = number[keep], all = list(rows = rows, x = x, sequence = number),
    edges = data.frame(label = label, left = tapply(x, number, min), right = tapply(x, number, max),
                       shift = if (several) shift else 0, n = lengths),
    like = if (!is.null(times)) times[0L], several = several, note = paste(notes[nzchar(notes)], collapse = "; "),
    chosen_note = chosen$note
  )
}

# Half of the distance between neighbours: how far a row reaches to both sides.
half_step <- function(t) {
  step <- diff(t$x)[diff(t$sequence) == 0]
  step <- step[step > 0]
  if (length(step) > 0L) stats::median(step) / 2 else 0.5
}

# How far each row reaches to both sides: to the middle between it and its neighbours, not across long gaps.
row_reach <- function(t) {
  half <- half_step(t)
  n <- length(t$x)
  step <- ifelse(diff(t$sequence) == 0, diff(t$x) / 2, half)
  step <- ifelse(step <= 4 * half, step, half)
  list(left = t$x - c(half, step)[seq_len(n)], right = t$x + c(step, half)[seq_len(n)])
}

# States in the order of sequences.
ordered_states <- function(fit) unname(if (is.null(fit$row_order)) fit$states else fit$states[fit$row_order])

# Runs of equal states within sequences: data frame state, sequence, left, right.
state_runs <- function(t, state) {
  n <- length(state)
  new <- c(TRUE, state[-1L] != state[-n] | t$sequence[-1L] != t$sequence[-n])
  begin <- which(new)
  end <- c(begin[-1L] - 1L, n)
  half <- half_step(t)
  # runs of one sequence touch each other
  joins <- c(t$sequence[begin[-1L]] == t$sequence[end[-length(end)]], FALSE)
  right <- ifelse(joins, (t$x[end] + t$x[pmin(end + 1L, n)]) / 2, t$x[end] + half)
  left <- c(t$x[1L] - half, ifelse(joins, right, t$x[pmin(end + 1L, n)] - half)[-length(end)])
  data.frame(state = state[begin], sequence = t$sequence[begin], left = left, right = right)
}

# The time axis; several sequences have their own counts, and their names above.
time_axis <- function(t, look) {
  if (!t$several) {
    if (is.null(t$like)) count_axis() else if (is.object(t$like)) dated_axis(t$like, range(t$x)) else {
      graphics::axis(1, las = 0)
    }
    return(invisible())
  }
  most <- if (nrow(t$edges) <= 3L) 3L else 2L
  at <- lapply(seq_len(nrow(t$edges)), function(i) {
    ticks <- pretty(c(1, t$edges$n[i]), most)
    ticks <- unique(c(1, ticks[ticks >= 1 & ticks <= t$edges$n[i] & ticks == round(ticks)]))
    # no tick close to the first
    ticks[ticks == 1 | ticks > 0.2 * t$edges$n[i]]
  })
  graphics::axis(1, at = unlist(at) + rep(t$edges$shift, lengths(at)), labels = unlist(at), las = 0, cex.axis = 0.85)
}

# Names of sequences and lines between them.
draw_sequences <- function(t) {
  if (!t$several) return(invisible())
  usr <- graphics::par("usr")
  m <- nrow(t$edges)
  graphics::abline(v = (t$edges$right[-m] + t$edges$left[-1L]) / 2, col = "grey70", lty = 3)
  room <- max(2L, floor((usr[2L] - usr[1L]) / m / graphics::strwidth("m", cex = 0.75)))
  graphics::text((t$edges$left + t$edges$right) / 2, usr[4L], cut_middle(t$edges$label, max(5L, room)), cex = 0.75,
                 col = "grey35", pos = 1, offset = 0.25, xpd = NA)
}

time_title <- function(fit, t) {
  if (t$several) return(if (is.null(fit$id_formula)) "row of each sequence" else "row of each sequence (named above)")
  if (!is.null(t$like)) time_name(fit) else "row"
}

# What the user calls the time.
time_name <- function(fit) paste(all.vars(fit$time_formula), collapse = ", ")

# --- series -------------------------------------------------------------------------------------------------------

# One panel of a series: rows x, sequence, value, state, mean (of the row's state, or NA).
series_data <- function(fit, panel, t) {
  data <- responses_in_rows(fit$data, t$rows)
  state <- ordered_states(fit)[t$rows]
  means <- panel_means(fit, core_parameters(fit), data, panel)
  data.frame(x = t$x, sequence = t$sequence, value = panel_values(panel, data), state = state,
             mean = if (is.null(means)) NA_real_ else means[cbind(seq_along(state), state)])
}

plot_series <- function(fit, response, sequences, max_points, look) {
  panels <- response_panels(fit, response)
  t <- time_rows(fit, sequences, max_points, look$more$xlim)
  style <- hmm_style(fit)
  n <- length(panels)
  legend <- list(labels = latent_labels(style$state, "state"), pch = style$symbol, col = style$colour,
                 pt.bg = fade(style$colour, 0.75), show = look$legend)
  panels(n, look, "Series by state (Viterbi)", t$note, legend, function(i) {
    d <- series_data(fit, panels[[i]], t)
    draw_series(fit, panels[[i]], d, t, style, look)
  }, left = 4.4, layout = c(n, 1L))
}

draw_series <- function(fit, panel, d, t, style, look) {
  limits <- panel_limits(panel, c(d$value, if (panel$kind != "category") d$mean))
  span <- if (diff(limits) > 0) diff(limits) else 1
  lane <- 0.055 * span
  floor <- limits[1L] - (if (panel$kind == "category") 0.2 else 0.05) * span
  top <- limits[2L] + (if (t$several) 0.11 else 0.03) * span
  open_panel(range(t$edges$left, t$edges$right), c(floor - lane, top), time_title(fit, t), panel$name, look, xaxt = "n",
             yaxt = if (own_axis(panel)) "n" else "s", yaxs = "i")
  time_axis(t, look)
  panel_axis(panel, 2L)
  draw_sequences(t)
  draw_strip(state_runs(t, d$state), floor - lane, floor, style)
  n <- nrow(d)
  marks <- panel$kind %in% c("binary", "category")
  if (marks) {
    reach <- if (panel$kind == "binary") 0.05 else 0.25
    graphics::segments(d$x, d$value - reach, d$x, d$value + reach,
                       col = fade(style$colour[d$state], if (n > 1000) 0.5 else 0.85),
                       lwd = if (n > 1000L) 0.6 else 1.4)
  } else {
    if (n <= 1500L) {
      for (s in unique(d$sequence)) {
        graphics::lines(d$x[d$sequence == s], d$value[d$sequence == s], col = "grey80", lwd = 0.8)
      }
    }
    size <- if (n > 1500L) 0.35 else if (n > 400L) 0.55 else 0.8
    graphics::points(d$x, d$value, pch = style$symbol[d$state], cex = size, col = fade(style$colour[d$state], 0.9),
                     bg = fade(style$colour[d$state], if (n > 1500L) 0.4 else 0.6), lwd = 0.6)
  }
  if (panel$kind == "category") return(graphics::box())
  # a light edge keeps the line visible on points of its own colour
  reach <- row_reach(t)
  graphics::segments(reach$left, d$mean, reach$right, d$mean, col = fade("white", 0.8), lwd = 4, lend = 1)
  graphics::segments(reach$left, d$mean, reach$right, d$mean, col = style$colour[d$state], lwd = 2, lend = 1)
  graphics::box()
}

# Runs of states as a strip.
draw_strip <- function(runs, bottom, top, style) {
  graphics::rect(runs$left, bottom, runs$right, top, col = style$colour[runs$state], border = NA)
}

# --- states -------------------------------------------------------------------------------------------------------

# Posterior probabilities as they are drawn: one row for each bin of neighbouring rows (each row where they are few):
# list(p = bins x K, left, right, sequence, note).
states_data <- function(fit, t, max_bins) {
  posterior <- hmm_ordered_posterior(fit)[t$all$rows, , drop = FALSE]
  n <- nrow(posterior)
  size <- ceiling(n / max_bins)
  within <- sequence(tabulate(t$all$sequence))
  within <- within[within > 0L]
  bin <- cumsum((within - 1L) %% size == 0L)
  rows <- tabulate(bin)
  p <- rowsum(posterior, bin) / rows
  first <- !duplicated(bin)
  last <- !duplicated(bin, fromLast = TRUE)
  half <- half_step(t$all)
  list(p = unname(p), left = t$all$x[first] - half, right = t$all$x[last] + half, sequence = t$all$sequence[first],
       note = if (size > 1L) sprintf("averages of %d rows", size) else "")
}

# Averages take the place of rows that are left out.
states_note <- function(t, d) {
  notes <- c(t$chosen_note, d$note)
  paste(notes[nzchar(notes)], collapse = "; ")
}

# Posterior probabilities in the order of sequences.
hmm_ordered_posterior <- function(fit) {
  if (is.null(fit$posterior)) return(hmm_evaluate_rows(fit, hmm_rows(fit, NULL, NULL, "plot()"), "posterior"))
  if (is.null(fit$row_order)) fit$posterior else fit$posterior[fit$row_order, , drop = FALSE]
}

plot_states <- function(fit, sequences, max_points, look) {
  t <- time_rows(fit, sequences, max_points, look$more$xlim)
  d <- states_data(fit, t, min(max_points, 2000))
  style <- hmm_style(fit)
  top <- 1.1 + (if (t$several) 0.1 else 0.02)
  # A low figure has no room for the long label, nor for a number so close to "path".
  low <- graphics::par("fin")[2L] < 4.5
  open_panel(range(t$edges$left, t$edges$right), c(0, top), time_title(fit, t),
             if (low) "probability" else "probability of the states", look, xaxt = "n", yaxt = "n", yaxs = "i")
  time_axis(t, look)
  graphics::axis(2, at = c(0, 0.5, 1), labels = c("0", "0.5", if (low) "" else "1"), las = 1)
  graphics::axis(2, at = 1.07, labels = "path", las = 1, tick = FALSE, cex.axis = 0.85)
  base <- numeric(nrow(d$p))
  for (k in seq_len(fit$n_states)) {
    upper <- base + d$p[, k]
    for (s in unique(d$sequence)) {
      i <- which(d$sequence == s)
      # steps, so that each row has its own width; the bars of neighbours touch
      right <- c(d$left[i[-1L]], d$right[i[length(i)]])
      x <- as.vector(rbind(d$left[i], right))
      graphics::polygon(c(x, rev(x)), c(rep(base[i], each = 2L), rev(rep(upper[i], each = 2L))),
                        col = fade(style$colour[k], 0.7), border = NA)
    }
    base <- upper
  }
  draw_strip(state_runs(t, ordered_states(fit)[t$rows]), 1.03, 1.1, style)
  draw_sequences(t)
  graphics::box()
  panel_title(look, "Probabilities of the states", states_note(t, d))
  legend_above(latent_labels(style$state, "state"), pch = 22, pt.bg = fade(style$colour, 0.7), col = style$colour,
               pt.cex = 1.5, show = look$legend)
}

# --- transition ---------------------------------------------------------------------------------------------------

plot_transition <- function(fit, covariate, look) {
  if (fit$model$transition$kind == "logit") return(plot_transition_covariate(fit, covariate, look))
  p <- fit$parameters$transition
  k <- fit$n_states
  short <- max(nchar(fit$state_names, "width")) <= 3L
  labels <- cut_middle(fit$state_names, 12L)
  defaults <- list(x = NA, y = NA, type = "n", xlim = c(0, k), ylim = c(k, 0),
                   xlab = if (is.null(look$xlab)) "to state" else look$xlab,
                   ylab = if (is.null(look$ylab)) "from state" else look$ylab, axes = FALSE, xaxs = "i", yaxs = "i")
  do.call(graphics::plot.default, utils::modifyList(defaults, look$more))
  at <- expand.grid(from = seq_len(k), to = seq_len(k))
  value <- as.vector(p)
  graphics::rect(at$to - 1, at$from - 1, at$to, at$from, col = probability_shade(value), border = "white", lwd = 2)
  impossible <- !as.vector(fit$model$transition$allowed)
  text <- ifelse(impossible, "-", format_probability(value))
  room <- min(1.3, 0.7 / max(graphics::strwidth(text, cex = 1)), 0.5 / abs(graphics::strheight("0", cex = 1)))
  graphics::text(at$to - 0.5, at$from - 0.5, text, cex = room, col = ifelse(value > 0.55, "white", "grey15"))
  graphics::axis(1, at = seq_len(k) - 0.5, labels = labels, tick = FALSE, line = -0.7, gap.axis = -1)
  graphics::axis(2, at = seq_len(k) - 0.5, labels = labels, tick = FALSE, line = -0.7, las = if (short) 1 else 0,
                 gap.axis = -1)
  panel_title(look, "Transition probabilities", if (any(impossible)) "-: impossible" else "")
}

# White to blue.
probability_shade <- function(p) {
  grDevices::rgb(grDevices::colorRamp(c("#F4F7FA", em_palette(1L)))(p), maxColorValue = 255)
}

# Three decimals, "<0.001" for what rounds to zero.
format_probability <- function(p) ifelse(p > 0 & p < 0.0005, "<0.001", formatC(p, format = "f", digits = 3))

# A variable of the data of a fit: from its frame, or where the formula was written.
transition_variable <- function(fit, name) {
  if (name %in% names(fit$frame)) return(fit$frame[[name]])
  get(name, envir = environment(fit$design$transition$terms))
}

# Transition probabilities along one covariate: list(name, x, labels (of categories) or NULL, p = K x K x points, note).
transition_data <- function(fit, covariate) {
  require_data(fit, "plot(type = \"transition\")")
  variables <- fit$design$transition$variables
  name <- if (is.null(covariate)) variables[1L] else covariate
  if (!is.character(name) || length(name) != 1L || !name %in% variables) {
    em_abort(sprintf("`covariate` must be one of those of the transitions: %s.", paste(variables, collapse = ", ")),
             "argument", argument = "covariate")
  }
  values <- stats::setNames(lapply(variables, function(v) transition_variable(fit, v)), variables)
  grid <- covariate_grid(values, name)
  c(grid[c("name", "x", "labels", "note")], list(p = logit_transitions(fit, grid$data)))
}

# New data along one variable, the others at their average or most frequent value: list(name, data, x, labels, note).
covariate_grid <- function(values, name, n = 101L) {
  typical <- lapply(values, function(v) {
    if (is.matrix(v)) return(matrix(colMeans(v), 1L))
    if (is.numeric(v)) return(mean(v, na.rm = TRUE))
    counts <- table(v)
    most <- names(counts)[which.max(counts)]
    if (is.factor(v)) factor(most, levels(v)) else if (is.logical(v)) as.logical(most) else most
  })
  v <- values[[name]]
  continuous <- is.numeric(v) && is.null(dim(v)) || inherits(v, c("Date", "POSIXct"))
  at <- if (continuous) seq(min(v, na.rm = TRUE), max(v, na.rm = TRUE), length.out = n) else if (is.factor(v)) {
    factor(levels(v), levels(v))
  } else sort(unique(v))
  data <- as.data.frame(lapply(typical, function(value) {
    if (is.matrix(value)) I(value[rep(1L, length(at)), , drop = FALSE]) else rep(value, length(at))
  }), optional = TRUE)
  data[[name]] <- at
  held <- vapply(setdiff(names(values), name), function(other) {
    if (is.matrix(typical[[other]])) other else sprintf("%s = %s", other, format(typical[[other]], digits = 3))
  }, "")
  list(name = name, data = data, x = if (continuous) as.double(at) else seq_along(at), like = v[0L],
       labels = if (!continuous) as.character(at),
       note = if (length(held) > 0L) paste("at", abbreviate_list(held, 2L)) else "")
}

plot_transition_covariate <- function(fit, covariate, look) {
  d <- transition_data(fit, covariate)
  style <- hmm_style(fit)
  k <- fit$n_states
  shown <- seq_len(min(k, 9L))
  note <- c(d$note, if (k > 9L) sprintf("from the first 9 of %d states", k))
  legend <- list(labels = latent_labels(paste("to", style$state), "", 0L), col = style$colour, lwd = 2.2, seg.len = 1.4,
                 show = look$legend)
  panels(length(shown), look, "Transition probabilities", paste(note[nzchar(note)], collapse = "; "), legend,
         function(i) {
    open_panel(if (is.null(d$labels)) range(d$x) else range(d$x) + c(-0.5, 0.5), c(0, 1), d$name, "probability", look,
               xaxt = if (is.null(d$labels)) "s" else "n")
    if (!is.null(d$labels)) category_axis(d$labels)
    for (j in which(fit$model$transition$allowed[i, ])) {
      graphics::lines(d$x, d$p[i, j, ], col = style$colour[j], lwd = 2.2, lty = if (is.null(d$labels)) 1 else 3)
      if (!is.null(d$labels)) {
        graphics::points(d$x, d$p[i, j, ], pch = style$symbol[j], col = style$colour[j],
                         bg = fade(style$colour[j], 0.75), cex = 1.2)
      }
    }
    panel_heading(paste("from", latent_labels(style$state, "state", Inf)[i]))
  }, layout = wide_layout(length(shown)))
}

# --- residuals ----------------------------------------------------------------------------------------------------

# Quantile residuals in the order of sequences, of one response: list(z, note, x = time, sequence, state, title).
hmm_residual_data <- function(fit, response, seed) {
  z <- residuals(fit, "quantile", seed = seed)
  if (!is.null(fit$row_order)) z <- if (is.matrix(z)) z[fit$row_order, , drop = FALSE] else z[fit$row_order]
  one <- one_residual(z, response)
  times <- if (nrow(fit$sequences) == 1L) hmm_times(fit)
  c(one, list(x = if (is.null(times)) seq_along(one$z) else as.double(times), like = times[0L],
              sequence = rep(seq_along(fit$sequences$n), fit$sequences$n), state = ordered_states(fit)))
}

plot_hmm_residuals <- function(fit, response, seed, look) {
  d <- hmm_residual_data(fit, response, seed)
  style <- hmm_style(fit)
  legend <- list(labels = latent_labels(style$state, "state"), pch = 16, col = style$colour, show = look$legend)
  panels(4L, look, "Quantile residuals", d$note, legend, function(i) {
    switch(i,
      draw_qq(d$z, look),
      draw_residual_histogram(d$z, look),
      {
        dated <- is.object(d$like)
        look$more$xaxt <- if (dated) "n"
        draw_residual_points(d$x, d$z, style$colour[d$state], if (is.null(d$like)) "row" else time_name(fit), look)
        if (dated) dated_axis(d$like, range(d$x))
      },
      draw_acf(d$z, d$sequence, look)
    )
  }, layout = c(2L, 2L))
}

# --- forecast -----------------------------------------------------------------------------------------------------

# What a forecast shows: a list by panel and sequence of list(panel, label, history = data frame x, value, state; future
# = data frame x, mean; lower, upper = matrices (steps x levels), prob = steps x categories or NULL), with the attribute
# `note`.
forecast_data <- function(fit, panels, sequences, h, newdata, level, history) {
  require_data(fit, "plot(type = \"forecast\")")
  if (is.null(h) && is.null(newdata)) h <- 10L
  chosen <- hmm_chosen_sequences(fit, sequences, 1L)
  level <- sort(level)
  tail <- c((1 - level) / 2, (1 + level) / 2)
  table <- predict(fit, newdata, "forecast", h = h, level = max(level), probs = tail)
  quantiles <- as.matrix(table[ncol(table) - rev(seq_along(tail)) + 1L])
  states <- ordered_states(fit)
  # the table has a row for each column of each response, in their order
  names <- unique(table$response)
  first <- cumsum(c(0L, lengths(lapply(seq_along(fit$responses), function(r) response_columns(fit, r)))))
  out <- list()
  for (s in chosen$number) for (panel in panels) {
    mine <- table$sequence == fit$sequences$id[s]
    rows <- fit$data$first[s] + seq_len(fit$sequences$n[s])
    steps <- max(table$horizon[mine])
    keep <- check_count(if (is.null(history)) max(40L, 4L * steps) else history, "history", 0L)
    rows <- rows[seq_along(rows) > length(rows) - keep]
    end <- fit$sequences$n[s]
    one <- list(panel = panel, label = as.character(fit$sequences$id[s]), history = data.frame(
      x = end - length(rows) + seq_along(rows),
      value = panel_values(panel, responses_in_rows(fit$data, rows), share = FALSE),
      state = states[rows]
    ))
    if (panel$kind == "category") {
      prob <- vapply(names[first[panel$r] + seq_along(panel$levels)],
                     function(name) table$mean[mine & table$response == name], numeric(steps))
      one$prob <- matrix(prob, steps)
      one$future <- data.frame(x = end + seq_len(steps), mean = NA_real_)
    } else {
      mine <- which(mine & table$response == names[first[panel$r] + panel$column])
      one$future <- data.frame(x = end + seq_along(mine), mean = table$mean[mine])
      one$lower <- quantiles[mine, seq_along(level), drop = FALSE]
      one$upper <- quantiles[mine, length(level) + seq_along(level), drop = FALSE]
    }
    out[[length(out) + 1L]] <- one
  }
  structure(out, note = chosen$note, level = level)
}

plot_forecast <- function(fit, response, sequences, h, newdata, level, history, look) {
  check_levels(level)
  d <- forecast_data(fit, response_panels(fit, response), sequences, h, newdata, level, history)
  style <- hmm_style(fit)
  level <- attr(d, "level")
  named <- length(unique(vapply(d, `[[`, "", "label"))) > 1L
  shade <- forecast_shades(length(level))
  legend <- list(labels = c(latent_labels(style$state, "state"), "mean",
                            paste0(format(100 * level, trim = TRUE), " %")),
                 pch = c(style$symbol, 45, rep(22, length(level))),
                 pt.cex = c(rep(1, nrow(style)), 2.4, rep(1.4, length(level))),
                 col = c(style$colour, "grey15", shade), pt.bg = c(fade(style$colour, 0.75), NA, shade),
                 show = look$legend)
  n <- length(d)
  panels(n, look, sprintf("Forecast of %s", count_of(nrow(d[[1L]]$future), "step")), attr(d, "note"), legend,
         function(i) {
    one <- d[[i]]
    draw_forecast(one, style, shade, look)
    if (named) panel_heading(paste("sequence", one$label))
  }, left = 4.4, layout = c(n, 1L))
}

# Greys for intervals, the narrow ones darker.
forecast_shades <- function(n) grDevices::grey(seq(0.66, 0.86, length.out = n + 1L)[-1L])

draw_forecast <- function(one, style, shade, look) {
  panel <- one$panel
  past <- one$history
  future <- one$future
  limits <- if (panel$kind == "category") c(0.5, length(panel$levels) + 0.5) else {
    range(past$value, future$mean, one$lower, one$upper, na.rm = TRUE)
  }
  open_panel(range(past$x, future$x) + c(-0.5, 0.5), limits, "row", panel$name, look,
             yaxt = if (own_axis(panel)) "n" else "s")
  panel_axis(panel, 2L)
  if (panel$kind == "category") {
    for (j in seq_along(panel$levels)) {
      graphics::rect(future$x - 0.5, j - 0.4, future$x + 0.5, j + 0.4, col = probability_shade(one$prob[, j]),
                     border = "white")
    }
    graphics::segments(past$x, past$value - 0.3, past$x, past$value + 0.3, col = style$colour[past$state], lwd = 1.6)
  } else {
    left <- as.vector(rbind(future$x - 0.5, future$x + 0.5))
    for (i in rev(seq_along(shade))) {
      graphics::polygon(c(left, rev(left)), c(rep(one$lower[, i], each = 2L), rev(rep(one$upper[, i], each = 2L))),
                        col = shade[i], border = NA)
    }
    graphics::lines(past$x, past$value, col = "grey75", lwd = 0.8)
    graphics::points(past$x, past$value, pch = style$symbol[past$state], cex = if (nrow(past) > 150L) 0.55 else 0.8,
                     lwd = 0.6, col = style$colour[past$state], bg = fade(style$colour[past$state], 0.6))
    graphics::segments(future$x - 0.5, future$mean, future$x + 0.5, future$mean, lwd = 2.2, lend = 1, col = "grey15")
  }
  graphics::abline(v = future$x[1L] - 0.5, lty = 3, col = "grey50")
  graphics::box()
}
