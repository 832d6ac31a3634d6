# Forecasts of hidden Markov models: the mixture over states of the responses h steps ahead.

forecast_hmm <- function(fit, newdata, type, h, level, probs, at) {
  check_level(level)
  require_data(fit, "A forecast")
  if (!is.null(probs)) {
    fine <- is.numeric(probs) && length(probs) > 0L && !anyNA(probs) && all(probs > 0 & probs < 1)
    if (!fine) check_fails("probs", "probabilities between 0 and 1", probs)
  }
  if (!is.null(h)) h <- check_count(h, "h")
  future <- future_rows(fit, newdata, h)
  states <- future_states(fit, future)
  core <- core_parameters(fit)
  margins <- unlist(lapply(seq_along(fit$responses), function(r) future_margins(fit, core, future, states, r)),
                    recursive = FALSE)
  keys <- data.frame(sequence = fit$sequences$id[future$sequence], horizon = future$horizon)
  tables <- lapply(margins, function(margin) {
    if (type == "density") return(margin_density(margin, states, keys, at))
    margin_table(margin, states, keys, level, probs)
  })
  tables <- Filter(Negate(is.null), tables)
  if (length(tables) == 0L) em_abort("No response of the model has a density to forecast; use type = \"forecast\".",
                                     "argument")
  table <- do.call(rbind, tables)
  table <- table[order(match(table$sequence, fit$sequences$id), table$horizon,
                       match(table$response, unique(table$response))), ]
  row.names(table) <- NULL
  colnames(states) <- fit$state_names
  attr(table, "states") <- cbind(keys, as.data.frame(states, optional = TRUE))
  table
}

# The rows of the future: `sequence` and `horizon` of each, and the designs of the responses and transitions there.
future_rows <- function(fit, newdata, h) {
  m <- nrow(fit$sequences)
  covariates <- unlist(lapply(fit$responses, function(r) r$design$variables))
  depends <- any(vapply(fit$responses, function(r) has_predictor(r$design), NA))
  moving <- fit$model$transition$kind == "logit"
  if (is.null(newdata)) {
    steps <- if (is.null(h)) 1L else h
    # With timing "from" the first step knows its covariates: they are those of the last row.
    if (depends || moving && !(fit$timing == "from" && steps == 1L)) {
      wanted <- unique(c(covariates, if (moving) fit$design$transition$variables))
      em_abort(sprintf("A forecast of this model needs `newdata`: the covariates %s of the rows to come.",
                       paste(dQuote(wanted, FALSE), collapse = ", ")), "newdata", variables = wanted)
    }
    return(list(sequence = rep(seq_len(m), each = steps), horizon = rep(seq_len(steps), m), specs = NULL,
                transition = NULL))
  }
  data <- check_data_frame(newdata, "newdata")
  if (is.null(data) || nrow(data) == 0L) em_abort("`newdata` has no rows.", "no_rows")
  specs <- response_specs_new(fit$responses, data, need_response = FALSE)
  transition <- if (moving) design_new(fit$design$transition, data, specs$n, "the transitions")
  if (m == 1L) {
    sequences <- list(order = NULL, first = 1L, lengths = specs$n, labels = fit$sequences$id)
  } else if (is.null(fit$id_formula)) {
    if (specs$n %% m != 0) {
      em_abort(sprintf("`newdata` must have the same number of rows for each of the %d sequences, one after another.",
                       m), "newdata")
    }
    sequences <- hmm_sequences(NULL, NULL, rep(specs$n %/% m, m), specs$n)
    sequences$labels <- fit$sequences$id
  } else {
    sequences <- hmm_new_sequences(fit, data, NULL, specs$n)
  }
  at <- match(sequences$labels, fit$sequences$id)
  if (anyNA(at)) {
    em_abort(sprintf("`newdata` has the sequence %s, which the fit has not.",
                     dQuote(sequences$labels[is.na(at)][1L], FALSE)),
             "newdata")
  }
  order <- if (is.null(sequences$order)) seq_len(specs$n) else sequences$order
  horizon <- sequence(sequences$lengths)
  if (!is.null(h)) {
    short <- which(sequences$lengths < h)
    if (length(short) > 0L) {
      em_abort(sprintf("`newdata` has %s for sequence %s, fewer than h = %d.",
                       count_of(sequences$lengths[short[1L]], "row"),
                       dQuote(sequences$labels[short[1L]], FALSE), h), "newdata")
    }
  }
  keep <- if (is.null(h)) rep(TRUE, length(horizon)) else horizon <= h
  sequence <- rep(at, sequences$lengths)
  specs <- lapply(unname(specs$responses), core_response, rows = order[keep])
  list(sequence = sequence[keep], horizon = horizon[keep], specs = specs,
       transition = if (moving) transition$x[order[keep], , drop = FALSE])
}

# Probabilities of the states in the rows of the future (rows x K).
future_states <- function(fit, future) {
  rows <- hmm_rows(fit, NULL, NULL, "A forecast")
  filtered <- hmm_evaluate_rows(fit, rows, "filtered")
  last <- cumsum(fit$sequences$n)
  logit <- fit$model$transition$kind == "logit"
  out <- matrix(0, length(future$sequence), fit$n_states)
  for (i in seq_along(future$sequence)) {
    before <- if (future$horizon[i] == 1L) filtered[last[future$sequence[i]], ] else out[i - 1L, ]
    transition <- if (!logit) fit$parameters$transition else {
      x <- if (fit$timing == "to") future$transition[i, , drop = FALSE] else if (future$horizon[i] == 1L) {
        last_covariates(fit, future$sequence[i])
      } else future$transition[i - 1L, , drop = FALSE]
      matrix(transitions_at(fit, x), fit$n_states)
    }
    out[i, ] <- before %*% transition
  }
  out
}

# The columns of a response as one-dimensional distributions by state: list(name, average = means by row, discrete,
# density(v), cdf(v), quantile(p)), the functions of a vector of values by row giving rows x K; without them for
# categories. The cdf of an angle begins, and its values lie, one turn from `cut` on, opposite its average.
future_margins <- function(fit, core, future, states, r) {
  response <- fit$responses[[r]]
  family <- response$family
  n <- length(future$sequence)
  spec <- if (is.null(future$specs)) list(y = matrix(NA_real_, n, ncol(response$y)), x = NULL,
                                          offset = NULL) else future$specs[[r]]
  if (family$columns %in% c("trials", "counts")) spec$y <- future_sizes(fit, future, spec$y, r)
  data <- list(n = n, responses = replace(vector("list", r), r, list(spec)))
  k <- seq_len(fit$n_states)
  names <- response_columns(fit, r)
  if (family$columns == "factor" && length(fit$responses) == 1L) names <- paste0(response$name, "[", names, "]")
  average <- mean_over_states(fit, core, data, r, states)
  thetas <- lapply(k, function(s) state_theta(fit, core, data, r, s))
  by_state <- function(f) function(v) matrix(vapply(thetas, function(theta) as.vector(f(v, theta)) + numeric(n),
                                                    numeric(n)), n)
  lapply(seq_along(names), function(j) {
    margin <- list(name = names[j], average = average[, j], discrete = family$discrete)
    functions <- margin_functions(family, j)
    if (is.null(functions)) return(margin)
    margin <- c(margin, lapply(functions, by_state))
    if (is_circular(family)) {
      cut <- margin$average - pi
      margin$cut <- cut
      margin$cdf <- by_state(function(v, theta) family$arc(v, theta, cut))
    }
    margin
  })
}

# The covariates of a sequence's last row, on which the first step of a forecast depends (timing "from").
last_covariates <- function(fit, sequence) {
  x <- fit$design$transition$last[sequence, , drop = FALSE]
  if (all(is.finite(x))) return(x)
  em_abort(sprintf(paste0("The first step of a forecast depends on the covariates of the transitions in the last row ",
                          "of sequence %s, and they are missing there. Fit the model with them filled in."),
                   dQuote(fit$sequences$id[sequence], FALSE)), "missing_covariate")
}

# Trials or sums of counts of the future: those of new data, else those of the sequence's last row.
future_sizes <- function(fit, future, y, r) {
  past <- fit$data$responses[[r]]$y
  last <- past[cumsum(fit$sequences$n), , drop = FALSE][future$sequence, , drop = FALSE]
  unknown <- rowSums(is.na(y)) > 0L
  y[unknown, ] <- last[unknown, ]
  y
}

# density, cdf and quantile of column j of a family, of (values, theta); NULL for categories.
margin_functions <- function(family, j) {
  normal <- function(theta) {
    mean <- if (is.matrix(theta$mean)) theta$mean[, j] else theta$mean[j]
    covariance <- theta$covariance
    variance <- if (length(dim(covariance)) == 3L) covariance[j, j, ] else covariance[j, j]
    list(mean = mean, sd = sqrt(variance))
  }
  part <- function(theta) probability_rows(theta$prob, length(theta$size))[, j]
  switch(family$columns,
    factor = NULL,
    trials = list(
      density = function(v, theta) stats::dbinom(v, theta$trials, theta$prob),
      cdf = function(v, theta) stats::pbinom(v, theta$trials, theta$prob),
      quantile = function(p, theta) stats::qbinom(p, theta$trials, theta$prob)
    ),
    counts = list(
      density = function(v, theta) stats::dbinom(v, theta$size, part(theta)),
      cdf = function(v, theta) stats::pbinom(v, theta$size, part(theta)),
      quantile = function(p, theta) stats::qbinom(p, theta$size, part(theta))
    ),
    several = list(
      density = function(v, theta) stats::dnorm(v, normal(theta)$mean, normal(theta)$sd),
      cdf = function(v, theta) stats::pnorm(v, normal(theta)$mean, normal(theta)$sd),
      quantile = function(p, theta) stats::qnorm(p, normal(theta)$mean, normal(theta)$sd)
    ),
    list(density = function(v, theta) family$density(v, theta), cdf = family$cdf, quantile = family$quantile))
}

margin_table <- function(margin, states, keys, level, probs) {
  table <- cbind(keys, response = margin$name, mean = margin$average)
  wanted <- c((1 - level) / 2, (1 + level) / 2, probs)
  quantiles <- matrix(NA_real_, nrow(keys), length(wanted))
  if (!is.null(margin$quantile)) {
    for (i in seq_along(wanted)) quantiles[, i] <- mixture_quantile(wanted[i], states, margin)
  }
  further <- if (length(probs) > 0L) paste0("q", format(probs, trim = TRUE, drop0trailing = TRUE))
  colnames(quantiles) <- c("lower", "upper", further)
  cbind(table, quantiles)
}

# The quantile of a mixture lies between those of its parts: bisection, on whole numbers for counts.
mixture_quantile <- function(prob, states, margin) {
  n <- nrow(states)
  if (is.null(margin$cut)) {
    each <- margin$quantile(rep(prob, n))
    # Parts of (almost) no weight do not widen the bracket.
    each[states < 1e-12] <- NA
    low <- apply(each, 1L, min, na.rm = TRUE)
    high <- apply(each, 1L, max, na.rm = TRUE)
  } else {
    low <- margin$cut
    high <- margin$cut + 2 * pi
  }
  below <- function(v) {
    value <- rowSums(states * margin$cdf(v))
    value < prob - if (margin$discrete) 1e-12 else 0
  }
  if (margin$discrete) {
    # the least whole number at which the mixture reaches prob
    while (any(open <- low < high)) {
      middle <- floor((low + high) / 2)
      less <- below(middle)
      low <- ifelse(open & less, middle + 1, low)
      high <- ifelse(open & !less, middle, high)
    }
    return(high)
  }
  for (i in 1:200) {
    middle <- (low + high) / 2
    less <- below(middle)
    low <- ifelse(less, middle, low)
    high <- ifelse(less, high, middle)
    if (all(high - low <= 4 * .Machine$double.eps * pmax(abs(low), abs(high)))) break
  }
  (low + high) / 2
}

margin_density <- function(margin, states, keys, at) {
  if (is.null(margin$density)) return(NULL)
  n <- nrow(keys)
  if (is.null(at) && !is.null(margin$cut)) at <- seq(-pi, pi, length.out = 101L)
  if (is.null(at)) {
    low <- min(mixture_quantile(0.0005, states, margin))
    high <- max(mixture_quantile(0.9995, states, margin))
    at <- if (margin$discrete) seq(low, high) else seq(low, high, length.out = 101L)
  } else if (!is.numeric(at) || length(at) == 0L || anyNA(at)) {
    check_fails("at", "numbers", at)
  }
  density <- vapply(at, function(v) rowSums(states * margin$density(rep(v, n))), numeric(n))
  data.frame(keys[rep(seq_len(n), length(at)), ], response = margin$name, value = rep(at, each = n),
             density = as.vector(density))
}
