# Runs of em(): one, and several in processes.

# One run from flat parameters. Where accelerated steps have led to a place from which EM's own go down, which is outside
# of the parameter space if the functions are right, the run is repeated without them; `slow` says so.
em_run <- function(model, theta, control, before = 0L, show = NULL) {
  run <- em_run_once(model, theta, control, before, show)
  if (run$status == "non_monotone" && any(run$trace_step == control$accelerator & control$accelerator != "none")) {
    plain <- em_run_once(model, theta, utils::modifyList(control, list(accelerator = "none")), before, show)
    if (plain$status != "non_monotone") plain$slow <- TRUE
    run <- plain
  }
  if (run$status == "non_monotone") abort_non_monotone(run, model, before)
  if (run$status == "degenerate") {
    em_abort(sprintf("EM cannot go on %s: the parameters have left their space.",
                     em_when(before + run$iterations + 1L)),
             "closure", closure = "m_step", iteration = before + run$iterations + 1L)
  }
  run
}

em_run_once <- function(model, theta, control, before, show) {
  # written to by the core, so it must be a vector of our own
  where <- integer(2L)
  model$state$where <- where
  withCallingHandlers(
    em_run_(model, model$start, theta, control, before, where, show),
    error = function(e) {
      if (where[2L] > 0L) abort_closure(e, closure_names[where[2L]], where[1L], model$state$no_data)
    }
  )
}

abort_non_monotone <- function(run, model, before) {
  n <- length(run$trace_loglik)
  last <- run$trace_loglik[n] + run$trace_log_prior[n]
  now <- run$loglik + run$log_prior
  iteration <- before + run$iterations + 1L
  step <- if (is.null(model$functions$update)) "M-step" else "update"
  prior <- !is.null(model$functions$log_prior)
  digits <- min(15L, max(8L, ceiling(log10(abs(last) / (last - now))) + 3L))
  small <- (last - now) <= 1e-7 * (1 + abs(last))
  em_abort(paste0(
    sprintf("Iteration %d lowered the %s from %s to %s (by %s). A step of EM cannot do that: the %s or %s is wrong. ",
            iteration, if (prior) "log-likelihood plus log prior" else "log-likelihood", format(last, digits = digits),
            format(now, digits = digits), format(last - now, digits = 2L), step,
            if (is.null(model$functions$loglik)) "the \"loglik\" of `e_step`" else "`loglik`"),
    if (small) paste("The fall is small: an M-step by an optimiser with a loose tolerance, or a log-likelihood by",
                     "quadrature, may be all there is to it. "),
    sprintf("Check that the %s maximises the expected complete-data log-likelihood (for all parameters together, with ",
            step),
    "the divisors of maximum likelihood), that it uses the statistics of the current parameters, and that the ",
    "log-likelihood is that of the same model",
    if (prior) ", and that the step takes the log prior into account", "."
  ), "non_monotone", iteration = iteration, before = last, after = now)
}

# How far em_run() goes. A log-likelihood that comes without an E-step can be searched.
em_effort <- function(model, control) {
  auto <- if (is.null(model$functions$loglik)) "anderson" else "subspace"
  list(tol = control$tol, max_iter = control$max_iter, accelerator = resolve_acceleration(control, auto))
}

# All starts: short plain runs, then the best ones to the end. Returns the best run with the table of starts.
em_run_starts <- function(model, starts, control) {
  n <- length(starts)
  whole <- em_effort(model, control)
  show <- progress_display(control, "starts")
  if (n == 1L) {
    run <- em_run(model, em_flat(starts[[1L]]$theta), whole, show = show)
    run$starts <- em_outcomes(starts, list(run), TRUE)
    run$chosen <- 1L
    return(run)
  }
  short <- list(tol = control$tol, max_iter = min(control$n_short, control$max_iter), accelerator = "none")
  processes <- resolve_threads(control)
  runs <- em_each(seq_len(n), function(i) em_run(model, em_flat(starts[[i]]$theta), short, show = show), processes)
  objective <- vapply(runs, function(r) if (inherits(r, "condition")) NA_real_ else r$loglik + r$log_prior, 0)
  if (all(is.na(objective))) stop(runs[[1L]])
  best <- utils::head(order(-objective, na.last = NA), control$n_polish)
  longer <- em_each(best, function(i) {
    done <- runs[[i]]
    if (done$status == "converged" || done$iterations >= control$max_iter) return(done)
    rest <- whole
    rest$max_iter <- control$max_iter - done$iterations
    em_join(done, em_run(model, done$theta, rest, before = done$iterations, show = show))
  }, processes)
  runs[best] <- longer
  polished <- seq_len(n) %in% best
  objective <- vapply(runs, function(r) if (inherits(r, "condition")) NA_real_ else r$loglik + r$log_prior, 0)
  if (all(is.na(objective[polished]))) stop(longer[[1L]])
  chosen <- which.max(ifelse(polished, objective, NA))
  run <- runs[[chosen]]
  run$starts <- em_outcomes(starts, runs, polished)
  run$chosen <- chosen
  run
}

# run(i) for all i; the rest in forked processes when the first one shows that they would take `worth` seconds.
# Conditions that are the start's fault (em_error_closure, em_error_start) come back as values, others stop. Every run
# begins with the same random numbers, whoever does it.
em_each <- function(index, run, processes, worth = 1) {
  seed <- get0(".Random.seed", globalenv(), inherits = FALSE)
  caught <- function(i) {
    if (!is.null(seed)) assign(".Random.seed", seed, envir = globalenv())
    tryCatch(run(i), em_error = function(e) e)
  }
  began <- proc.time()[["elapsed"]]
  first <- caught(index[1L])
  took <- proc.time()[["elapsed"]] - began
  rest <- index[-1L]
  runs <- if (length(rest) > 1L && took * length(rest) >= worth && processes > 1L && fork_is_safe()) {
    parallel::mclapply(rest, caught, mc.cores = min(processes, length(rest)), mc.preschedule = FALSE,
                       mc.set.seed = FALSE)
  } else {
    lapply(rest, caught)
  }
  runs <- c(list(first), runs)
  for (i in seq_along(runs)) {
    r <- runs[[i]]
    if (is.null(r) || inherits(r, "try-error")) {
      em_abort("A process that ran one of the starts was killed. Try em_control(threads = 1).", "process")
    }
    if (inherits(r, "em_error") && !inherits(r, c("em_error_closure", "em_error_start"))) {
      r$message <- sprintf("From start %d: %s", index[i], conditionMessage(r))
      stop(r)
    }
  }
  runs
}

# Forks of graphical front ends break them; a forked child must not fork again.
fork_is_safe <- function() {
  .Platform$OS.type == "unix" && identical(process$id, Sys.getpid()) && Sys.getenv("RSTUDIO") != "1" &&
    .Platform$GUI %in% c("X11", "unknown", "Tk", "")
}

# Two runs, the second from where the first ended, as one.
em_join <- function(first, second) {
  out <- second
  for (name in c("trace_loglik", "trace_log_prior", "trace_step")) out[[name]] <- c(first[[name]], second[[name]][-1L])
  for (name in c("iterations", "evaluations", "calls")) out[[name]] <- first[[name]] + second[[name]]
  out
}

em_outcomes <- function(starts, runs, polished) {
  failed <- vapply(runs, inherits, NA, "condition")
  pick <- function(field, none) {
    unlist(Map(function(r, f) if (f) none else r[[field]], runs, failed))
  }
  data.frame(
    method = vapply(starts, `[[`, "", "method"), loglik = pick("loglik", NA_real_), log_prior = pick("log_prior",
                                                                                                     NA_real_),
    status = pick("status", "failed"), iterations = pick("iterations", NA_integer_), polished = polished
  )
}
