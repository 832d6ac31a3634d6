# The parent class of all fits, and the only place where one is built. A fit is a plain list: saveRDS() works, str() shows
# everything.
#
#   call, formula, terms    the user's call; formula and terms where there was a formula
#   parameters              a list of named arrays (see the model)
#   loglik, log_prior       at the parameters; log_prior is 0 without a prior, and known up to a constant
#   df, nobs, n_rows        free parameters; sum of the weights of the rows that observe anything; rows
#   status, message         "converged", "max_iter", "non_monotone"; a sentence about it
#   converged               status == "converged"
#   iterations, evaluations accepted steps; E-steps after the first
#   convergence             rule, last_gain, rate, remaining_gain (Aitken's estimate)
#   trace                   iteration, loglik, log_prior, objective, step ("start", "em", or the accelerator)
#   starts                  start, method, loglik, status, iterations, best (reached the best optimum)
#   data, weights           as used; data NULL when not kept
#   control                 as given
#   na_action               "em": missing values are part of the model
new_em_fit <- function(class, call, input, parameters, run, df, nobs, starts, weights, control, ...) {
  fit <- list(
    call = call, formula = input$formula, terms = input$terms, variables = input$variables,
    row_names = input$row_names, parameters = parameters,
    loglik = run$loglik, log_prior = run$log_prior, df = df, nobs = nobs, n_rows = nrow(input$x),
    status = run$status, message = status_message(run$status, run$iterations), converged = run$status == "converged",
    iterations = run$iterations, evaluations = run$evaluations,
    convergence = list(rule = "aitken", last_gain = run$last_gain, rate = run$rate,
                       remaining_gain = run$remaining_gain),
    trace = trace_table(run), starts = starts,
    data = if (control$keep_data) input$x, weights = weights, control = control, na_action = "em"
  )
  # list() drops nothing: a NULL field stays a field.
  structure(c(fit, list(...)), class = c(class, "em_fit"))
}

status_message <- function(status, iterations) {
  switch(status,
    converged = paste("converged after", count_of(iterations, "iteration")),
    max_iter = sprintf("stopped at the limit of %s, not converged", count_of(iterations, "iteration")),
    non_monotone = sprintf("stopped after %s, at its best point: the next step would lower the objective",
                           count_of(iterations, "iteration")),
    status)
}

# What to do about a fit that has not converged.
not_converged_advice <- function(status) {
  if (status == "non_monotone") {
    return(paste("Rounding does this where a covariance is nearly singular: try a simpler model, a prior or",
                 "variables that are less collinear."))
  }
  "Raise `max_iter`, or try another `acceleration`, in em_control()."
}

trace_table <- function(run) {
  data.frame(
    iteration = seq_along(run$trace_loglik) - 1L, loglik = run$trace_loglik, log_prior = run$trace_log_prior,
    objective = run$trace_loglik + run$trace_log_prior, step = run$trace_step
  )
}

# The table of starts of a run. A start is at the best optimum when its objective is within 1e-6, relatively, of the best.
start_table <- function(run) {
  s <- run$starts
  objective <- s$loglik + s$log_prior
  top <- run$loglik + run$log_prior
  status <- ifelse(s$status == "max_iter" & !s$polished, "screened", s$status)
  data.frame(
    start = seq_len(nrow(s)), method = s$method, loglik = s$loglik, status = status, iterations = s$iterations,
    best = !is.na(objective) & status != "screened" & abs(objective - top) <= 1e-6 * (1 + abs(top))
  )
}

# Whether the objective is more than the log-likelihood.
has_log_prior <- function(fit) any(fit$trace$log_prior != 0)
