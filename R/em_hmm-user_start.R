# Where the user wants a hidden Markov model to start.

hmm_user_start <- function(start, problem) {
  n <- problem$data$n
  k <- problem$n_states
  order <- problem$sequences$order
  if (inherits(start, "em_hmm")) return(fit_start(start, problem))
  if (is.data.frame(start)) start <- as.matrix(start)
  if (is.list(start)) return(hmm_parameters_start(start, problem, "parameters"))
  if (is.matrix(start)) {
    start <- posterior_start(start, n, k, FALSE)
    if (!is.null(order)) start$posterior <- start$posterior[order, , drop = FALSE]
    return(start)
  }
  start <- partition_start(start, n, k, FALSE)
  if (!is.null(order)) start$partition <- start$partition[order]
  start
}

# From a previous fit: its parameters where this model has the same ones, else its posterior.
fit_start <- function(fit, problem) {
  if (fit$n_states != problem$n_states) {
    start_fails("is a fit of %s; `n_states` is %d.", count_of(fit$n_states, "state"), problem$n_states)
  }
  parameters <- fit$parameters
  q <- dim(parameters$transition)[1L]
  same <- is.matrix(parameters$transition) || identical(problem$design$transition$names,
                                                        dimnames(parameters$transition)[[1L]])
  if (!same) parameters$transition <- average_transition(fit)
  if (is.matrix(parameters$initial) &&
      !identical(dim(parameters$initial), dim_of_initial(problem))) parameters$initial <- NULL
  tryCatch(hmm_parameters_start(parameters, problem, "previous fit"), em_error = function(e) {
    if (is.null(fit$posterior) || nrow(fit$posterior) != problem$data$n) stop(e)
    start <- hmm_user_start(fit$posterior, problem)
    start$method <- "previous fit"
    start
  })
}

dim_of_initial <- function(problem) {
  switch(problem$model$initial$kind,
    logit = c(length(problem$design$initial$names), problem$n_states),
    per_sequence = dim(problem$model$initial$fixed),
    NULL)
}

hmm_parameters_start <- function(start, problem, method) {
  strange <- setdiff(names(start), c("initial", "transition", "emission"))
  if (length(strange) > 0L || is.null(start$emission)) {
    start_fails("must be a list with initial, transition and emission%s.",
                if (length(strange) > 0L) paste0("; ", abbreviate_list(dQuote(strange, FALSE)),
                                                 " is not one of them") else
                  "; emission is missing")
  }
  emission <- tryCatch(emission_to_core(start$emission, problem$responses, problem$n_states), em_error = function(e) {
    start_fails("does not fit the responses: %s", conditionMessage(e))
  })
  list(kind = "parameters", method = method, parameters = list(
    initial = start_initial(start$initial, problem), transition = start_transition(start$transition, problem),
    emission = unname(emission)
  ))
}

start_initial <- function(initial, problem) {
  k <- problem$n_states
  model <- problem$model$initial
  if (model$kind %in% c("fixed", "per_sequence")) return(model$fixed)
  if (is.null(initial)) initial <- rep(1 / k, k)
  if (model$kind == "logit" && is.matrix(initial)) {
    if (!is.numeric(initial) || !identical(dim(initial), dim_of_initial(problem))) {
      start_fails("must have initial coefficients of dimension %s.", paste(dim_of_initial(problem), collapse = " x "))
    }
    initial <- unname(initial) - unname(initial)[, 1L]
    return(design_to_core(initial, problem$design$initial))
  }
  if (!is.numeric(initial) || length(initial) != k) {
    start_fails("must have an initial distribution of %d probabilities, not %s.", k, describe_value(initial))
  }
  initial <- check_distribution(as.double(initial), "start$initial", "start")
  if (model$kind != "logit") return(initial)
  coefficients <- matrix(0, length(problem$design$initial$names), k)
  coefficients[1L, ] <- log(pmax(initial, 1e-8) / max(initial[1L], 1e-8))
  coefficients
}

start_transition <- function(transition, problem) {
  k <- problem$n_states
  allowed <- problem$model$transition$allowed
  logit <- problem$model$transition$kind == "logit"
  if (is.null(transition)) {
    transition <- allowed * (diag(0.8, k) + 0.2 / k)
    transition <- transition / rowSums(transition)
  }
  if (logit && length(dim(transition)) == 3L) {
    wanted <- c(length(problem$design$transition$names), k, k)
    if (!is.numeric(transition) || !identical(dim(transition), wanted)) {
      start_fails("must have transition coefficients of dimension %s.", paste(wanted, collapse = " x "))
    }
    transition <- rebase_transition(unname(transition), allowed)
    transition[] <- design_to_core(matrix(transition, wanted[1L]), problem$design$transition)
    return(transition)
  }
  if (!is.numeric(transition) || !identical(dim(transition), c(k, k))) {
    start_fails("must have a %d x %d transition matrix, not %s.", k, k,
                if (is.matrix(transition)) shape_words(transition) else describe_value(transition))
  }
  transition <- t(check_distribution(t(unname(transition)), "the rows of start$transition", "start"))
  transition[!allowed] <- 0
  total <- rowSums(transition)
  if (any(total <= 0)) start_fails("has a transition row, %d, with nothing on the transitions that are possible.",
                                   which(total <= 0)[1L])
  transition <- transition / total
  if (!logit) return(transition)
  coefficients <- array(0, c(length(problem$design$transition$names), k, k))
  coefficients[1L, , ] <- log(pmax(transition, 1e-8))
  rebase_transition(coefficients, allowed)
}
