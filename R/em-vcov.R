# Standard errors of em(): the observed information by differences of the user's log-likelihood.

#' Variance matrix of the estimates of a model of your own
#'
#' The inverse of the observed information of `loglik` (plus `log_prior`), and the delta method from the coordinates of
#' `transform` to the parameters.
#'
#' The information is found by second differences of the log-likelihood alone, whatever the EM steps say, in coordinates
#' that make it close to the identity matrix, with steps of a tenth to two fifths of a standard error, extrapolated to
#' zero (Richardson). That takes about 5 p (p + 1) log-likelihoods for p coordinates and is exact to some seven digits
#' for log-likelihoods without noise.
#'
#' Parameters on the boundary of their space (a share of 0) are held there and have NA, with a warning of class
#' `em_warning_boundary`. Coefficients that the data do not determine have NA and are named in the attribute
#' `"not_identified"` and a warning of class `em_warning_not_identified`. If the log-likelihood rises in some direction,
#' the fit is no maximum, which is a warning of class `em_warning_not_a_maximum`.
#'
#' @param object A fit of [em()].
#' @param type `"observed"` (default): the observed information; or `"bootstrap"`.
#' @param ... For `type = "bootstrap"`, arguments of [em_bootstrap()], such as `n_boot`. Otherwise unused, and an error.
#' @return A symmetric matrix with the names of `coef(object)`. The shares of a simplex have rows that sum to zero.
#' @seealso [confint.em()], [summary()][print.em]
#' @examples
#' counts <- c(125, 18, 20, 34)
#' fit <- em(
#'   list(t = 0.5), update = function(theta) {
#'     x <- counts[1] * theta$t / (2 + theta$t)
#'     list(t = (x + counts[4]) / (x + sum(counts[2:4])))
#'   },
#'   loglik = function(theta) sum(counts * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t))),
#'   transform = "probability"
#' )
#' sqrt(vcov(fit))
#' confint(fit, transform = TRUE)
#' @export
vcov.em <- function(object, type = c("observed", "bootstrap"), ...) {
  if (match_choice(type) == "bootstrap") return(vcov(em_bootstrap(object, ...)))
  check_dots_empty(..., .function = "vcov.em")
  chart <- em_chart(object)
  labels <- object$space$labels
  if (length(chart$boundary) > 0L) {
    em_warn(sprintf("%s on the boundary of the parameter space and without a standard error: %s.",
                    if (length(chart$boundary) == 1L) "A parameter is" else "Parameters are",
                    abbreviate_list(labels[chart$boundary])), "boundary", coefficients = labels[chart$boundary])
  }
  found <- information_by_differences(chart$objective, chart$point)
  if (found$rises) {
    em_warn(paste("The log-likelihood rises from the estimate in some direction: it is a saddle point, or the EM",
                  "steps do not belong to this log-likelihood."), "not_a_maximum")
  }
  jacobian <- em_jacobian(chart, found$scale)
  rownames(jacobian) <- labels
  variance <- coefficient_variance(jacobian, found$variance, found$null)
  variance[chart$boundary, ] <- NA_real_
  variance[, chart$boundary] <- NA_real_
  lost <- attr(variance, "not_identified")
  variance <- variance[object$space$shown, object$space$shown, drop = FALSE]
  if (length(lost) > 0L) {
    attr(variance, "not_identified") <- lost
    em_warn(sprintf("The data do not determine %d of the %d coefficients, which have no standard error: %s.",
                    length(lost),
                    length(labels), abbreviate_list(lost)), "not_identified", coefficients = lost)
  }
  variance
}

# The coordinates around the estimate: list(point, natural(point) -> flat, or NULL; objective(point), NA where there is
# none; boundary).
em_chart <- function(fit) {
  flat <- em_flat(fit$parameters)
  objective <- em_objective(fit, "The variance matrix")
  quiet <- function(code) tryCatch(suppressWarnings(code), error = function(e) NULL)
  value_at <- function(flat) {
    value <- if (!is.null(flat)) quiet(objective(em_shaped(flat, fit$space$start)))
    if (is.null(value) || !is.finite(value)) NA_real_ else value
  }
  if (!is.null(fit$functions$pack)) {
    point <- as.double(fit$functions$pack(fit$parameters))
    natural <- function(point) em_flat(fit$functions$unpack(point))
    boundary <- integer()
  } else {
    interior <- em_interior(fit$space, flat, function(flat) value_at(flat))
    boundary <- interior$boundary
    point <- em_pack_(interior$layout, flat)
    natural <- function(point) em_unpack_(interior$layout, flat, point)
  }
  list(point = point, boundary = boundary, natural = function(point) quiet(natural(point)),
       objective = function(point) value_at(quiet(natural(point))))
}

# The user's functions with the data of the fit, by name: each takes the arguments that it has.
em_functions <- function(fit, what) {
  if (fit$has_data) require_data(fit, what)
  lapply(stats::setNames(nm = c("e_step", "m_step", "update", "loglik", "log_prior")), function(name) {
    f <- fit$functions[[name]]
    if (is.null(f)) return(NULL)
    if (takes_data(f, name, !fit$has_data)) function(x) f(x, fit$data) else f
  })
}

# The log-likelihood plus log prior as a function of the parameters.
em_objective <- function(fit, what) {
  f <- em_functions(fit, what)
  loglik <- if (!is.null(f$loglik)) f$loglik else function(theta) attr(f$e_step(theta), "loglik")
  if (is.null(f$log_prior)) loglik else function(theta) loglik(theta) + f$log_prior(theta)
}

# list(variance (of the coordinates), null (a basis of the directions without information), rises, scale (a step that
# lowers f by about 0.05 in each coordinate)).
information_by_differences <- function(f, point) {
  q <- length(point)
  if (q == 0L) return(list(variance = matrix(0, 0L, 0L), null = matrix(0, 0L, 0L), rises = FALSE, scale = numeric()))
  f0 <- f(point)
  scale <- vapply(seq_len(q), function(i) difference_scale(f, f0, point, i), 0)
  # Directions in which the information is about 1, found in a few rounds: a first look at a direction along which
  # coordinates nearly cancel is far off. `bent`: without information, but no longer flat at the length it has.
  turn <- diag(scale, q)
  look <- function(h) {
    out <- second_differences(function(u) f(point + drop(turn %*% u)), f0, diag(q), h)
    out[!is.finite(out)] <- 0
    out
  }
  for (round in 1:6) {
    far <- look(0.3)
    spectrum <- eigen((4 * look(0.15) - far) / 3, symmetric = TRUE)
    size <- abs(spectrum$values)
    bent <- size < 0.1 * abs(diag(crossprod(spectrum$vectors, far %*% spectrum$vectors)))
    if (all(bent | (size > 0.7 & size < 1.4))) break
    turn <- turn %*% sweep(spectrum$vectors, 2L, ifelse(bent, 1, sqrt(pmax(size, 1e-2 * max(size, 0.01)))), "/")
  }
  # Directions without information are as long as it takes to bend. They are looked at again in steps that move no
  # coordinate farther than it may go alone, and the other directions are freed of them.
  turn <- turn %*% spectrum$vectors / scale
  flat <- bent | size < 0.05
  if (any(flat)) {
    basis <- qr.Q(qr(turn[, flat, drop = FALSE]))
    turn[, flat] <- sweep(basis, 2L, apply(abs(basis), 2L, max), "/")
    turn[, !flat] <- turn[, !flat] - basis %*% crossprod(basis, turn[, !flat])
  }
  turn <- turn * scale
  levels <- lapply(c(0.4, 0.2, 0.1), look)
  finer <- list((4 * levels[[2L]] - levels[[1L]]) / 3, (4 * levels[[3L]] - levels[[2L]]) / 3)
  unit <- eigen((16 * finer[[2L]] - finer[[1L]]) / 15, symmetric = TRUE)
  # Curvature that vanishes on the way to the point is none.
  nearest <- abs(diag(crossprod(unit$vectors, levels[[3L]] %*% unit$vectors)))
  good <- unit$values > pmax(0.05, 0.3 * nearest)
  root <- turn %*% sweep(unit$vectors[, good, drop = FALSE], 2L, sqrt(unit$values[good]), "/")
  null <- turn %*% unit$vectors[, !good, drop = FALSE]
  list(variance = tcrossprod(root), null = if (ncol(null) > 0L) qr.Q(qr(null)) else null,
       rises = any(unit$values < -0.05) || rises_along(f, f0, point, null), scale = scale)
}

# Whether f is higher somewhere along the columns of `directions`, in which its second derivative is 0.
rises_along <- function(f, f0, point, directions) {
  for (j in seq_len(ncol(directions))) for (step in c(1, -1, 3, -3)) {
    if (isTRUE(f(point + step * directions[, j]) > f0 + 1e-4 + 1e-8 * abs(f0))) return(TRUE)
  }
  FALSE
}

# A step of coordinate i, both ways, that lowers f by about 0.05: a third of a standard error.
difference_scale <- function(f, f0, point, i, wanted = 0.05) {
  largest <- 100 * (1 + abs(point[i]))
  h <- 1e-3 * (abs(point[i]) + 0.01)
  unmoved <- FALSE
  for (round in 1:40) {
    at <- function(step) f(replace(point, i, point[i] + step))
    drop <- f0 - (at(h) + at(-h)) / 2
    if (is.na(drop)) {
      # nothing happens up to the edge of what has an f
      if (unmoved && h > largest / 100) return(largest / 100)
      h <- h / 8
    } else if (drop > wanted / 2 && drop < wanted * 2) {
      break
    } else {
      unmoved <- drop <= 1e-13 * (1 + abs(f0))
      factor <- if (unmoved) 30 else sqrt(wanted / drop)
      # f does not depend on it alone
      if (factor > 1 && h >= largest) return(largest / 100)
      h <- min(h * min(max(factor, 1 / 30), 30), largest)
    }
  }
  h
}

# Minus the second derivatives along the columns of `directions`, by central differences with step h.
second_differences <- function(f, f0, directions, h) {
  q <- ncol(directions)
  both <- function(step) f(step) + f(-step)
  single <- vapply(seq_len(q), function(i) both(h * directions[, i]), 0)
  out <- diag((2 * f0 - single) / h^2, q)
  for (i in seq_len(q)) for (j in seq_len(i - 1L)) {
    pair <- both(h * (directions[, i] + directions[, j]))
    out[i, j] <- out[j, i] <- (single[i] + single[j] - pair - 2 * f0) / (2 * h^2)
  }
  out
}

# d parameters / d coordinates by central differences of fourth order.
em_jacobian <- function(chart, scale) {
  flat <- chart$natural(chart$point)
  columns <- lapply(seq_along(chart$point), function(i) {
    h <- min(1e-3 * (1 + abs(chart$point[i])), scale[i])
    at <- function(k) chart$natural(replace(chart$point, i, chart$point[i] + k * h))
    (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)
  })
  matrix(as.double(unlist(columns)), length(flat), length(chart$point))
}

# Whether the log-likelihood is higher somewhere next to the estimate, where EM says that it has converged: NULL, or
# list(rise, label, value). The steps of EM then climb another function.
em_higher_neighbour <- function(fit) {
  chart <- em_chart(fit)
  f0 <- fit$loglik + fit$log_prior
  best <- list(rise = max(1e-6, 100 * fit$control$tol) * (1 + abs(f0)))
  for (i in seq_along(chart$point)) for (h in c(-1e-2, 1e-2, -1e-4, 1e-4)) {
    near <- replace(chart$point, i, chart$point[i] + h * (abs(chart$point[i]) + 0.01))
    rise <- chart$objective(near) - f0
    if (is.na(rise) || rise <= best$rise) next
    flat <- chart$natural(near)
    most <- which.max(abs(flat - em_flat(fit$parameters)))
    best <- list(rise = rise, label = fit$space$labels[most], value = flat[most])
  }
  if (!is.null(best$label)) best
}
