# Parameters of hidden Markov models: the order of the states, and from the core's terms to the user's and back.

# ---- order of states -----------------------------------------------------------------------------

check_order_by <- function(order_by, problem) {
  if (is.null(order_by)) return(invisible())
  names <- names(problem$responses)
  if (!is.character(order_by) || !length(order_by) %in% 1:2 || anyNA(order_by)) {
    check_fails("order_by", "the name of a response, of a parameter, or both", order_by, "order_by")
  }
  target <- order_target(order_by, names)
  parameters <- if (target$response %in% names) names(natural_places(problem$responses[[target$response]],
                                                                     problem$n_states))
  if (is.null(parameters) || !is.null(target$parameter) && !target$parameter %in% parameters) {
    em_abort(sprintf("`order_by` is %s; the responses are %s%s.", paste(dQuote(order_by, FALSE), collapse = ", "),
                     paste(dQuote(names, FALSE), collapse = ", "),
                     if (is.null(parameters)) "" else paste(", the parameters",
                                                            paste(parameters, collapse = ", "))), "order_by")
  }
}

# list(response, parameter or NULL).
order_target <- function(order_by, names) {
  if (is.null(order_by)) return(list(response = names[1L]))
  if (length(order_by) == 2L) return(list(response = order_by[1L], parameter = order_by[2L]))
  if (order_by %in% names) list(response = order_by) else list(response = names[1L], parameter = order_by)
}

# The order of the states, by parameters of the core.
state_order <- function(problem, core, order_by) {
  target <- order_target(order_by, names(problem$responses))
  r <- match(target$response, names(problem$responses))
  response <- problem$responses[[r]]
  natural <- natural_from_core(core$emission[[r]], response)
  key <- if (is.null(target$parameter)) {
    response_level(response, natural)
  } else {
    value <- response$family$from_natural(natural, response_info(response))[[target$parameter]]
    if (is.null(dim(value))) as.vector(value) else natural[natural_row(response, target$parameter, ncol(natural)), ]
  }
  # Ties go by the other parameters, in their order.
  ties <- lapply(seq_len(nrow(natural)), function(j) natural[j, ])
  do.call(order, c(list(signif(key, 10L)), ties))
}

natural_row <- function(response, parameter, n_components) {
  place <- as.vector(natural_places(response, n_components)[[parameter]])[1L]
  (place - 1L) %% n_natural(response) + 1L
}

# A level for each state: the first natural parameter, or with covariates the mean at their average.
response_level <- function(response, natural) {
  k <- ncol(natural)
  family <- response$family
  info <- response_info(response)
  if (family$name == "gaussian_mixture") return(vapply(seq_len(k), function(s) {
    as.vector(family$mean(family$row_parameters(natural, s, NULL, NULL, info)))[1L]
  }, 0))
  if (is.null(info$p)) return(natural[1L, ])
  x <- response$design$average
  if (is.null(x)) x <- if (is.null(response$design$x)) 1 else colMeans(response$design$x)
  x <- matrix(x, 1L)
  offset <- if (is.null(response$design$offset)) NULL else {
    if (is.null(response$design$average_offset)) mean(response$design$offset) else response$design$average_offset
  }
  vapply(seq_len(k), function(s) {
    theta <- family$row_parameters(natural, s, x, offset, info)
    if (family$columns == "factor") theta[[1L]][1L] else as.vector(family$mean(theta))[1L]
  }, 0)
}

# The core's parameters with the states in another order.
permute_states <- function(core, order, model) {
  core$emission <- lapply(core$emission, function(m) m[, order, drop = FALSE])
  core$transition <- if (model$transition$kind == "logit") {
    rebase_transition(core$transition[, order, order, drop = FALSE], model$transition$allowed[order, order])
  } else {
    core$transition[order, order, drop = FALSE]
  }
  core$initial <- switch(model$initial$kind,
    logit = sweep(core$initial[, order, drop = FALSE], 1L, core$initial[, order[1L]]),
    per_sequence = core$initial[order, , drop = FALSE],
    core$initial[order])
  core
}

# Coefficients of each row relative to its reference: staying where that is possible, else the first possible state.
rebase_transition <- function(coefficients, allowed) {
  for (i in seq_len(nrow(allowed))) {
    reference <- if (allowed[i, i]) i else which(allowed[i, ])[1L]
    slice <- matrix(coefficients[, i, ], dim(coefficients)[1L])
    slice <- slice - slice[, reference]
    slice[, !allowed[i, ]] <- 0
    coefficients[, i, ] <- slice
  }
  coefficients
}

permute_model <- function(model, order) {
  model$transition$allowed <- model$transition$allowed[order, order, drop = FALSE]
  if (!is.null(model$transition$fixed)) model$transition$fixed <- model$transition$fixed[order, order, drop = FALSE]
  fixed <- model$initial$fixed
  if (!is.null(fixed)) model$initial$fixed <- if (is.matrix(fixed)) fixed[order, , drop = FALSE] else fixed[order]
  model
}

# ---- parameters ----------------------------------------------------------------------------------

# Parameters as users see them, of the core's.
user_parameters <- function(core, responses, design, model, labels) {
  transition <- core$transition
  if (model$transition$kind == "logit") {
    transition[] <- design_from_core(matrix(transition, dim(transition)[1L]), design$transition)
    dimnames(transition) <- list(coefficient = design$transition$names, from = labels, to = labels)
  } else {
    dimnames(transition) <- list(from = labels, to = labels)
  }
  initial <- core$initial
  if (model$initial$kind == "logit") {
    initial[] <- design_from_core(initial, design$initial)
    dimnames(initial) <- list(design$initial$names, labels)
  } else if (is.matrix(initial)) {
    rownames(initial) <- labels
  } else {
    names(initial) <- labels
  }
  list(initial = initial, transition = transition, emission = emission_from_core(core$emission, responses, labels))
}

# The core's parameters of a fit.
core_parameters <- function(fit) {
  parameters <- fit$parameters
  transition <- unname(parameters$transition)
  if (fit$model$transition$kind == "logit") {
    transition[] <- design_to_core(matrix(transition, dim(transition)[1L]), fit$design$transition)
  }
  initial <- unname(parameters$initial)
  if (fit$model$initial$kind == "logit") initial[] <- design_to_core(initial, fit$design$initial)
  list(initial = initial, transition = transition,
       emission = unname(emission_to_core(parameters$emission, fit$responses, fit$n_states)))
}

# The transition matrix; with covariates at their average.
average_transition <- function(fit) {
  if (fit$model$transition$kind != "logit") return(fit$parameters$transition)
  b <- matrix(fit$design$transition$average %*% matrix(fit$parameters$transition, length(fit$design$transition$names)),
              fit$n_states)
  b[!fit$model$transition$allowed] <- -Inf
  p <- exp(b - row_max(b))
  p <- p / rowSums(p)
  dimnames(p) <- dimnames(fit$parameters$transition)[-1L]
  p
}

# Expected visits of the states, lengths of their stays, and the least of their spreads relative to the data's.
state_table <- function(parameters, counts, labels, problem, core) {
  transition <- parameters$transition
  dwell <- if (is.matrix(transition)) 1 / (1 - diag(transition)) else rep(NA_real_, length(labels))
  scales <- lapply(seq_along(problem$responses), function(r) {
    relative_scale(problem$responses[[r]], core$emission[[r]], problem$data$responses[[r]]$y)
  })
  scale <- suppressWarnings(do.call(pmin, c(scales, na.rm = TRUE)))
  data.frame(state = labels, visits = as.vector(counts), dwell = as.vector(dwell), relative_scale = scale)
}

# Below this share of the data's standard deviation a state has (almost) no spread.
narrow_scale <- 1e-4

# For each state the least standard deviation of its response relative to that of the data; NA where a family has none.
relative_scale <- function(response, natural, y) {
  k <- ncol(natural)
  with_scale <- c("gaussian", "gaussian_mixture", "lognormal", "t", "mvgaussian")
  if (!response$family$name %in% with_scale) return(rep(NA_real_, k))
  all <- data_summary_(if (response$family$name == "lognormal") log(y) else y, NULL, 1, 1L)$sd
  list <- response$family$from_natural(natural, response_info(response))
  value <- switch(response$family$name,
    gaussian = , gaussian_mixture = list$sd, lognormal = list$sdlog, t = list$scale,
    mvgaussian = sqrt(apply(list$covariance, 3L, function(s) diag(as.matrix(s)))))
  apply(matrix(value, ncol = k) / all, 2L, min)
}
