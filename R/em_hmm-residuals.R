# Residuals of hidden Markov models.

#' Fitted values and residuals of a hidden Markov model
#'
#' Quantile residuals, which check the whole model, and differences from the fitted values.
#'
#' **Quantile residuals** (forecast pseudo-residuals): each value is placed in its predictive distribution given all
#' rows before it, and the probability turned into a standard normal value. If the model holds they are independent
#' standard normal: a QQ plot checks the families, their autocorrelation the chain. Counts and categories are randomised
#' uniformly within the probability of the observed value (Dunn and Smyth 1996), so that this holds for them too; they
#' depend on R's random numbers. Within a row, responses and columns are taken one after another, each given those
#' before it (Rosenblatt 1952), so that they are independent of each other as well. Categories use the order of their
#' levels; of counts of several categories the last has no residual of its own.
#'
#' **Response residuals** are the data less `fitted()`, the means averaged over the states by their posterior
#' probabilities (for categories 0 or 1 less their probability).
#'
#' @param object A fit of [em_hmm()] with its data.
#' @param type `"quantile"` (default) or `"response"`.
#' @param newdata NULL (default), or new data; their sequences begin with the initial distribution.
#' @param seed For `"quantile"`: `NULL` (default) to use R's random numbers as they are, or a number for [set.seed()],
#'   after which they are put back.
#' @param ntimes For new data without the id of the fit: lengths of consecutive sequences; default one sequence.
#' @param ... Unused, and an error.
#' @return A vector with an element for each row of the data, in their order; with several responses or columns a
#'   matrix. NA where the response is missing.
#' @references
#' Zucchini, W., MacDonald, I. L. and Langrock, R. (2016). *Hidden Markov Models for Time Series: An Introduction Using
#' R*, 2nd edition, chapter 6. Chapman and Hall/CRC. \doi{10.1201/b20790}
#'
#' Dunn, P. K. and Smyth, G. K. (1996). Randomized quantile residuals. *Journal of Computational and Graphical
#' Statistics* 5, 236-244. \doi{10.2307/1390802}
#'
#' Rosenblatt, M. (1952). Remarks on a multivariate transformation. *Annals of Mathematical Statistics* 23, 470-472.
#' \doi{10.1214/aoms/1177729394}
#' @examples
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' z <- residuals(fit)
#' c(mean(z), sd(z), acf(z, plot = FALSE)$acf[2])
#' @export
residuals.em_hmm <- function(object, type = c("quantile", "response"), newdata = NULL, seed = NULL, ntimes = NULL,
                             ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "residuals.em_hmm")
  rows <- hmm_rows(object, newdata, ntimes, "residuals()")
  if (type == "response") {
    if (!is.null(seed)) em_abort("`seed` is for type = \"quantile\".", "argument", argument = "seed")
    return(response_residuals(object, rows, expected_response(object, rows)))
  }
  value <- simulate_sets(1L, seed, function() hmm_quantile_residuals(object, rows))
  attr(value, "seed") <- NULL
  value
}

# Observed minus expected responses; of angles what is between them, in (-pi, pi].
response_residuals <- function(fit, rows, expected) {
  parts <- lapply(seq_along(fit$responses), function(r) {
    observed_columns(fit$responses[[r]], rows$data$responses[[r]]$y)
  })
  out <- bind_columns(parts, rows) - expected
  angles <- rep(vapply(fit$responses, function(r) is_circular(r$family), NA), vapply(parts, ncol, 0L))
  if (!any(angles)) return(out)
  if (is.matrix(out)) out[, angles] <- wrap_angle(out[, angles]) else out <- wrap_angle(out)
  out
}

# A response in the columns of its means.
observed_columns <- function(response, y) {
  switch(response$family$columns,
    factor = matrix((outer(y[, 1L], seq_along(response$levels) - 1, `==`)) + 0, nrow(y)),
    trials = y[, 1L, drop = FALSE],
    y)
}

hmm_quantile_residuals <- function(fit, rows) {
  sequential_residuals(fit, core_parameters(fit), rows, log(hmm_evaluate_rows(fit, rows, "predicted")))
}

# `weight`: log of the probabilities of the states given all rows before (n x K), to which each cell adds what it says.
sequential_residuals <- function(fit, core, rows, weight) {
  parts <- list()
  for (r in seq_along(fit$responses)) {
    cells <- residual_cells(fit, core, rows$data, r)
    names <- response_columns(fit, r)
    if (fit$responses[[r]]$family$columns == "factor") names <- fit$responses[[r]]$name
    for (j in seq_along(cells)) {
      cell <- cells[[j]]
      top <- row_max(weight)
      p <- exp(weight - top)
      p <- p / rowSums(p)
      low <- rowSums(p * cell$low)
      high <- rowSums(p * cell$high)
      u <- if (cell$discrete) low + stats::runif(length(low)) * (high - low) else high
      smallest <- .Machine$double.xmin
      parts[[length(parts) + 1L]] <- matrix(stats::qnorm(pmin(pmax(u, smallest), 1 - .Machine$double.neg.eps)),
                                            ncol = 1L,
                                            dimnames = list(NULL, names[j]))
      seen <- !is.na(u)
      weight[seen, ] <- weight[seen, , drop = FALSE] + cell$log_density[seen, , drop = FALSE]
    }
  }
  bind_columns(parts, rows)
}

# The one-dimensional cells of a response, in their order: list(discrete, low, high, log_density), each n x K, of
# the cell given those before it; NA where missing. low and high are the distribution function below and at the value.
residual_cells <- function(fit, core, data, r) {
  family <- fit$responses[[r]]$family
  y <- data$responses[[r]]$y
  thetas <- lapply(seq_len(fit$n_states), function(k) state_theta(fit, core, data, r, k))
  switch(family$columns,
    counts = count_cells(y, thetas),
    several = normal_cells(y, thetas),
    list(one_cell(family, y, thetas)))
}

one_cell <- function(family, y, thetas) {
  n <- nrow(y)
  value <- if (family$columns == "trials") y else y[, 1L]
  below <- if (!family$discrete) value else if (is.matrix(value)) cbind(value[, 1L] - 1, value[, 2L]) else value - 1
  by_state <- function(f) {
    out <- matrix(vapply(thetas, function(theta) as.vector(f(theta)) + numeric(n), numeric(n)), n)
    out[is.na(y[, 1L]), ] <- NA
    out
  }
  high <- by_state(function(theta) family$cdf(value, theta))
  list(discrete = family$discrete, high = high,
       low = if (family$discrete) by_state(function(theta) family$cdf(below, theta)) else high,
       log_density = by_state(function(theta) family$density(value, theta, log = TRUE)))
}

# Counts of categories: each is binomial given those before it.
count_cells <- function(y, thetas) {
  left <- rowSums(y)
  n <- nrow(y)
  lapply(seq_len(ncol(y) - 1L), function(j) {
    size <- left
    left <<- left - y[, j]
    share <- vapply(thetas, function(theta) {
      p <- probability_rows(theta$prob, n)
      rest <- rowSums(p[, j:ncol(p), drop = FALSE])
      ifelse(rest > 0, pmin(p[, j] / rest, 1), 0)
    }, numeric(n))
    share <- matrix(share, n)
    list(discrete = TRUE, low = stats::pbinom(y[, j] - 1, size, share) + 0 * share,
         high = stats::pbinom(y[, j], size, share) + 0 * share,
         log_density = stats::dbinom(y[, j], size, share, log = TRUE) + 0 * share)
  })
}

# Columns of a multivariate normal: each is normal given those before it that are observed.
normal_cells <- function(y, thetas) {
  n <- nrow(y)
  d <- ncol(y)
  k <- length(thetas)
  z <- log_density <- array(NA_real_, c(n, d, k))
  for (rows in split(seq_len(n), missing_pattern(y))) {
    seen <- which(!is.na(y[rows[1L], ]))
    if (length(seen) == 0L) next
    for (s in seq_len(k)) {
      theta <- thetas[[s]]
      mean <- if (is.matrix(theta$mean) && nrow(theta$mean) == n) theta$mean[rows, , drop = FALSE] else
        matrix(as.vector(theta$mean), length(rows), d, byrow = TRUE)
      covariance <- if (length(dim(theta$covariance)) == 3L) theta$covariance[, , 1L] else theta$covariance
      root <- chol(matrix(covariance, d)[seen, seen, drop = FALSE])
      white <- t(backsolve(root, t(y[rows, seen, drop = FALSE] - mean[, seen, drop = FALSE]), transpose = TRUE))
      z[rows, seen, s] <- white
      log_density[rows, seen, s] <- stats::dnorm(white, log = TRUE) - rep(log(diag(root)), each = length(rows))
    }
  }
  lapply(seq_len(d), function(j) {
    high <- matrix(stats::pnorm(z[, j, ]), n)
    list(discrete = FALSE, low = high, high = high, log_density = matrix(log_density[, j, ], n))
  })
}
