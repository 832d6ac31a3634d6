# Base graphics of a model of one's own.

#' Plot the fit of a model of your own
#'
#' Shows the trace of the algorithm, what the starts reached, the bound that EM climbs, or its rate of convergence.
#'
#' * `"trace"`: the objective by iteration, and its distance to the last value on a log scale.
#' * `"starts"`: the log-likelihood that every start reached, sorted.
#' * `"bound"`: how EM works. Along one line through an early point of the run: the log-likelihood, and the lower bound
#'   that the E-step at that point makes. They touch there; the M-step goes to the top of the bound, and where the bound
#'   rises the log-likelihood rises at least as much. With `complete_loglik` in [em()] the bound is exact:
#'   \eqn{Q(\theta; s_t) - Q(\theta_t; s_t) + \ell(\theta_t)}; one that crosses the log-likelihood is a warning of class
#'   `em_warning_not_a_bound`. Without, the parabola is drawn that shares with the bound, on the line through the EM
#'   update, what is known of it: value and slope at the point (by Fisher's identity those of the log-likelihood) and the
#'   place of its maximum, the update.
#' * `"rate"`: what share of the gain of the step before each plain EM step gains, from the best start. It settles at
#'   the square of the rate at which the parameters converge, the largest fraction of missing information.
#'
#' @param x A fit of [em()].
#' @param type What to plot. Default `"trace"`.
#' @param direction For `"bound"`: NULL (default), from the point through its EM update; the name of a parameter (see
#'   [coef()]) that is moved while the others stay, if it has a coordinate of its own; or a numeric vector, a direction
#'   in the coordinates of `transform`. Directions that miss the EM update need `complete_loglik`.
#' @param at For `"bound"`: whole number >= 0, the plain EM steps from the start to the point. Default 0 or 1, whichever
#'   shows more. For `"rate"`: how many steps are taken; default 50.
#' @param legend TRUE (default): explain the lines.
#' @param main,xlab,ylab Title and labels of the axes (of one-panel plots).
#' @param ... Graphical parameters, such as `xlim`, `ylim`, `cex.lab`.
#' @return `x`, invisibly.
#' @references Neal, R. M. and Hinton, G. E. (1998). A view of the EM algorithm that justifies incremental, sparse, and
#' other
#'   variants. In *Learning in Graphical Models*, 355-368. Kluwer. \doi{10.1007/978-94-011-5014-9_12}
#' @seealso [em()]
#' @examples
#' y <- c(125, 18, 20, 34)
#' fit <- em(
#'   start = list(t = 0.1),
#'   e_step = function(theta) y[1] * theta$t / (2 + theta$t),
#'   m_step = function(x) list(t = (x + y[4]) / (x + sum(y[2:4]))),
#'   loglik = function(theta) sum(y * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t) / 4)),
#'   complete_loglik = function(theta, x) (x + y[4]) * log(theta$t) + (y[2] + y[3]) * log(1 - theta$t),
#'   transform = "probability"
#' )
#' plot(fit)
#' plot(fit, "bound")
#' @export
plot.em <- function(x, type = c("trace", "starts", "bound", "rate"), direction = NULL, at = NULL, legend = TRUE,
                    main = NULL,
                    xlab = NULL, ylab = NULL, ...) {
  type <- match_choice(type)
  look <- list(main = main, xlab = xlab, ylab = ylab, legend = isTRUE(legend), more = list(...))
  if (!is.null(at)) at <- check_count(at, "at", if (type == "rate") 3L else 0L)
  switch(type,
    trace = plot_trace(x, look), starts = plot_starts(x, look),
    bound = plot_bound(x, direction, at, look), rate = plot_rate(x, if (is.null(at)) 50L else at, look))
  invisible(x)
}

# Plain EM of n steps from the best start: the run of em_run().
em_replay <- function(fit, n, what) {
  if (fit$has_data) require_data(fit, what)
  model <- em_model(fit$functions, fit$data, fit$space)
  em_run(model, em_flat(fit$start), list(tol = 0, max_iter = n, accelerator = "none"))
}

# ---- the bound -----------------------------------------------------------------------------------

# Numbers for the plot: list(curves = data frame of step, x, loglik, bound; here, update (rows: x, loglik, bound),
# exact, xlab, at).
bound_data <- function(fit, direction = NULL, at = NULL, n = 201L) {
  chart <- em_line_chart(fit)
  if (is.null(at)) {
    # the start itself can be so bad that nothing but a steep wall is seen
    moves <- em_replay(fit, 2L, "plot(type = \"bound\")")$trace_loglik
    at <- if (length(moves) > 2L && diff(moves)[1L] > 30 * diff(moves)[2L]) 1L else 0L
  }
  theta <- em_shaped(em_replay(fit, at, "plot(type = \"bound\")")$theta, fit$space$start)
  f <- em_functions(fit, "plot(type = \"bound\")")
  stats <- if (!is.null(f$e_step)) f$e_step(theta)
  updated <- em_conform(if (is.null(f$update)) f$m_step(stats) else f$update(theta), fit$space$start)
  here <- chart$pack(theta)
  there <- chart$pack(updated)
  if (is.null(here) || is.null(there)) {
    em_abort("The point, or its EM update, is on the boundary of the parameter space. Choose another `at`.",
             "nothing_to_plot")
  }
  line <- bound_direction(fit, direction, there - here)
  steps <- line$range[1L] + diff(line$range) * seq(0, 1, length.out = n)
  along <- function(s) chart$unpack(here + s * line$direction)
  loglik <- function(s) chart$value(along(s))
  exact <- !is.null(fit$functions$complete_loglik) && !is.null(stats)
  l0 <- loglik(0)
  bound <- if (exact) {
    bound_exact(fit, stats, theta, f$log_prior, along, l0)
  } else {
    if (!line$through) {
      em_abort(paste("Where the EM update is not on the line, nothing is known of the bound without the function",
                     "`complete_loglik` of em(). Give it, or leave `direction` out."), "nothing_to_plot")
    }
    h <- 1e-4
    slope <- (8 * (loglik(h) - loglik(-h)) - (loglik(2 * h) - loglik(-2 * h))) / (12 * h)
    if (!isTRUE(slope * line$update > 0)) {
      em_abort(paste("The log-likelihood does not rise towards the EM update at this point, so that there is no bound",
                     "to show. Choose an earlier `at`."), "nothing_to_plot")
    }
    function(s) l0 + slope * s - slope / line$update * s^2 / 2
  }
  place <- function(s) if (is.null(line$label)) s else em_flat(along(s))[line$at]
  evaluate <- function(s) {
    data.frame(step = s, x = vapply(s, function(v) if (is.null(along(v))) NA_real_ else place(v), 0),
               loglik = vapply(s, loglik, 0), bound = vapply(s, bound, 0))
  }
  curves <- evaluate(steps)
  if (exact) warn_no_bound(curves, l0)
  list(curves = curves[is.finite(curves$x), ], here = evaluate(0), update = evaluate(line$update), exact = exact,
       through = line$through, at = at,
       xlab = if (is.null(line$label)) "step (0: the current point, 1: its EM update)" else line$label)
}

# A bound that crosses what it bounds is none.
warn_no_bound <- function(curves, l0) {
  above <- max(curves$bound - curves$loglik, -Inf, na.rm = TRUE)
  if (above <= 1e-7 * (1 + abs(l0))) return(invisible())
  em_warn(sprintf(paste("The curve of `complete_loglik` is above the log-likelihood, by up to %s: it is not the expected",
                        "complete-data log-likelihood of this model, up to a constant."), format(above, digits = 2L)),
          "not_a_bound")
}

# Coordinates of any point of the space (em_chart() has those around the estimate).
em_line_chart <- function(fit) {
  objective <- em_objective(fit, "plot(type = \"bound\")")
  start <- fit$space$start
  quiet <- function(code) tryCatch(suppressWarnings(code), error = function(e) NULL)
  custom <- !is.null(fit$functions$pack)
  base <- em_flat(fit$start)
  list(
    pack = function(theta) {
      if (custom) as.double(fit$functions$pack(theta)) else em_pack_(fit$space$layout, em_flat(theta))
    },
    unpack = function(point) {
      if (custom) return(quiet(fit$functions$unpack(point)))
      flat <- em_unpack_(fit$space$layout, base, point)
      if (!is.null(flat)) em_shaped(flat, start)
    },
    value = function(theta) {
      value <- if (!is.null(theta)) quiet(objective(theta))
      if (is.null(value) || !is.finite(value)) NA_real_ else value
    }
  )
}

bound_exact <- function(fit, stats, theta, log_prior, along, l0) {
  f <- fit$functions$complete_loglik
  n <- length(formals(args(f)))
  q <- function(theta) {
    value <- suppressWarnings(with_closure_errors(if (n >= 3L) f(theta, stats, fit$data) else f(theta, stats),
                                                  "complete_loglik"))
    if (!is.numeric(value) || length(value) != 1L) {
      em_abort(sprintf("`complete_loglik` must return one number, not %s.", em_what_came(value)), "closure_value",
               closure = "complete_loglik")
    }
    value + if (is.null(log_prior)) 0 else log_prior(theta)
  }
  q0 <- q(theta)
  function(s) {
    other <- along(s)
    value <- if (is.null(other)) NA_real_ else tryCatch(q(other), error = function(e) NA_real_)
    if (is.finite(value)) value - q0 + l0 else NA_real_
  }
}

# list(direction, update (the step at which the EM update, or its shadow on the line, lies), range (of steps), label, at
# (flat position) if the line is along one parameter, through (the update is on the line)).
bound_direction <- function(fit, direction, move) {
  if (max(abs(move)) == 0) {
    em_abort("EM stands still at this point: there is no step to show. Choose an earlier `at`.", "nothing_to_plot")
  }
  single <- em_own_coordinates(fit)
  label <- at <- NULL
  if (is.null(direction)) {
    d <- move
  } else if (is.character(direction) && length(direction) == 1L) {
    found <- match(direction, single$label)
    if (is.na(found)) {
      em_abort(sprintf("`direction` names %s, which has no coordinate of its own. Parameters that have one: %s.",
                       dQuote(direction, FALSE), if (nrow(single) > 0L) abbreviate_list(single$label) else "none"),
               "argument", argument = "direction")
    }
    d <- as.double(seq_along(move) == single$coordinate[found])
  } else {
    fine <- is.numeric(direction) && length(direction) == length(move) && all(is.finite(direction)) &&
      any(direction != 0)
    if (!fine) {
      check_fails("direction", paste("the name of a parameter, or", if (length(move) == 1L) "a number other than 0" else
                    sprintf("%d numbers that are not all 0", length(move))),
                  direction)
    }
    d <- as.double(direction)
  }
  update <- sum(d * move) / sum(d^2)
  through <- max(abs(move - update * d)) <= 1e-8 * max(abs(move))
  axis <- which(d != 0)
  if (length(axis) == 1L && axis %in% single$coordinate) {
    found <- match(axis, single$coordinate)
    label <- single$label[found]
    at <- single$at[found]
  }
  reach <- if (update == 0) 1 else abs(update)
  range <- if (update < 0) c(-2.4, 1.2) * reach else c(-1.2, 2.4) * reach
  list(direction = d, update = update, range = range, label = label, at = at, through = through)
}

# Parameters that are functions of one coordinate: data frame label, coordinate, at.
em_own_coordinates <- function(fit) {
  out <- data.frame(label = character(), coordinate = integer(), at = integer())
  if (!is.null(fit$functions$pack)) return(out)
  before <- 0L
  for (b in fit$space$layout) {
    n <- length(em_pack_(list(b), em_flat(fit$start)))
    if (b$transform %in% c("real", "positive", "probability")) {
      out <- rbind(out, data.frame(label = fit$space$labels[b$at], coordinate = before + seq_len(n), at = b$at))
    }
    before <- before + n
  }
  out
}

plot_bound <- function(fit, direction, at, look) {
  d <- bound_data(fit, direction, at)
  curves <- d$curves
  colour <- em_palette(2L)
  limits <- bound_limits(d)
  label <- if (has_log_prior(fit)) "log-likelihood + log prior" else "log-likelihood"
  # where a line is above the lower edge
  seen <- pmax(curves$loglik, curves$bound, na.rm = TRUE) >= limits[1L]
  open_panel(range(curves$x[which(seen)], d$here$x, d$update$x), limits, d$xlab, label, look)
  graphics::segments(d$here$x, graphics::par("usr")[3L], d$here$x, d$here$loglik, col = "grey75", lty = 3)
  graphics::segments(d$update$x, graphics::par("usr")[3L], d$update$x, d$update$loglik, col = "grey75", lty = 3)
  graphics::lines(curves$x, curves$loglik, col = colour[1L], lwd = 2.6)
  graphics::lines(curves$x, curves$bound, col = colour[2L], lwd = 2.2, lty = if (d$exact) 1 else 5)
  if (d$through) {
    top <- d$update$bound + 0.9 * (d$update$loglik - d$update$bound)
    graphics::arrows(d$update$x, d$update$bound, d$update$x, top, length = 0.07, col = "grey35", lwd = 1.4)
    graphics::points(d$update$x, d$update$bound, pch = 21, bg = "white", col = colour[2L], lwd = 1.6)
    graphics::points(d$update$x, d$update$loglik, pch = 21, bg = colour[1L], col = "white", cex = 1.4)
  }
  graphics::points(d$here$x, d$here$loglik, pch = 21, bg = "black", col = "white", cex = 1.4)
  panel_title(look, "EM climbs a bound", bound_note(d))
  legend_above(c(label, bound_name(d), "current point",
                 if (d$through) "EM update"),
               col = c(colour, "black", if (d$through) colour[1L]), lty = c(1, if (d$exact) 1 else 5, NA,
                                                                            if (d$through) NA),
               lwd = 2, pch = c(NA, NA, 16, if (d$through) 16), show = look$legend, corner = "bottom")
}

bound_name <- function(d) if (d$exact) "bound of the E-step" else "parabola"

bound_note <- function(d) {
  paste0(if (d$exact) "exact bound" else "no `complete_loglik`: parabola in place of the bound", "; after ",
         count_of(d$at, "step"))
}

# The top, and what lies between the two points, fill most of the panel.
bound_limits <- function(d) {
  top <- max(d$curves$loglik, d$update$loglik, na.rm = TRUE)
  span <- max(top - d$here$loglik, d$update$loglik - d$here$loglik, 1e-12 * (1 + abs(top)))
  lowest <- min(d$curves$loglik, d$curves$bound, na.rm = TRUE)
  c(max(lowest, d$here$loglik - 0.8 * span), top + 0.06 * span)
}

# ---- the rate ------------------------------------------------------------------------------------

# Ratios of successive gains of plain EM from the best start, down to where rounding blurs them: data frame iteration,
# rate.
rate_data <- function(fit, n) {
  run <- em_replay(fit, n, "plot(type = \"rate\")")
  objective <- run$trace_loglik + run$trace_log_prior
  gain <- diff(objective)
  rate <- gain[-1L] / gain[-length(gain)]
  fine <- gain[-1L] > 1e5 * .Machine$double.eps * (1 + abs(objective[length(objective)]))
  fine <- cumsum(!fine) == 0L
  if (sum(fine) < 2L) {
    em_abort("EM gains too little from this start for its rate to be seen. Start farther away.", "nothing_to_plot")
  }
  data.frame(iteration = which(fine) + 1L, rate = rate[fine])
}

rate_note <- function(d) {
  last <- d$rate[nrow(d)]
  sprintf("last %s: about %s of the information is missing", format(round(last, 3), nsmall = 3),
          format(round(sqrt(max(0, min(last, 1))), 3), nsmall = 3))
}

plot_rate <- function(fit, n, look) {
  d <- rate_data(fit, n)
  open_panel(range(d$iteration), c(0, max(1, d$rate)), "iteration (plain EM)", "gain relative to the gain before", look)
  graphics::abline(h = 1, col = "grey75", lty = 2)
  graphics::lines(d$iteration, d$rate, col = "grey60")
  graphics::points(d$iteration, d$rate, pch = 21, col = em_palette(1L), bg = fade(em_palette(1L), 0.6))
  panel_title(look, "Rate of convergence", rate_note(d))
}
