# Bootstrap of em_hmm(): whole sequences with other weights, or responses drawn anew, fitted from the parameters of the
# fit.

#' @rdname em_bootstrap
#' @export
em_bootstrap.em_hmm <- function(fit, n_boot = 999, type = c("nonparametric", "weighted", "parametric"),
                                control = fit$control, ...) {
  call <- match.call()
  one <- nrow(fit$sequences) == 1L
  type <- if (missing(type) && one) "parametric" else match_choice(type)
  check_dots_empty(..., .function = "em_bootstrap")
  check_count(n_boot, "n_boot", lowest = 2)
  require_data(fit, "em_bootstrap()")
  if (one && type != "parametric") {
    em_abort("Whole sequences are resampled, and there is one. Use `type = \"parametric\"`.", "argument",
             argument = "type")
  }
  control <- check_control(control)
  core <- core_parameters(fit)
  threads <- resolve_threads(control)
  control$n_polish <- 1L
  settings <- c(hmm_control(control, threads, c(0, 0)), list(progress = NULL))
  start <- list(list(kind = "parameters", method = "fit", parameters = core))
  k <- fit$n_states
  rows <- hmm_rows(fit, NULL, NULL, "em_bootstrap()")
  draw <- if (type == "parametric") {
    draw_states <- chain_drawer(fit, rows, core)
    function() {
      states <- draw_states()
      data <- redraw_responses(fit, core, fit$data, states)
      # Rows whose states are known know those that were drawn.
      if (!is.null(data$known)) data$known[!is.na(data$known)] <- states[!is.na(data$known)]
      data
    }
  } else {
    owner <- rep(seq_along(rows$sequences$lengths), rows$sequences$lengths)
    function() reweigh(fit$data, owner, type)
  }
  chain <- fit$model$transition
  given <- fit$model$initial$kind %in% c("fixed", "per_sequence")
  may_switch <- k > 1L && is.null(fit$known) && is.null(fit$fixed) && is.null(chain$fixed) && all(chain$allowed) &&
    !given
  posterior_of <- function(core) hmm_evaluate_(fit$data, fit$model, core, "posterior", threads)
  reference <- if (may_switch) posterior_of(core) * (if (is.null(fit$data$weights)) 1 else fit$data$weights)
  refit <- function() {
    run <- hmm_core(hmm_fit_(draw(), fit$model, start, settings), rows$sequences$order)
    if (!isTRUE(run$fitted)) return(NULL)
    if (fit$model$initial$kind == "per_sequence") run$parameters$initial <- fit$model$initial$fixed
    order <- if (may_switch) match_posteriors(reference, posterior_of(run$parameters)) else seq_len(k)
    same <- fit
    same$parameters <- user_parameters(permute_states(run$parameters, order, fit$model), fit$responses, fit$design,
                                       fit$model, fit$state_names)
    list(coefficients = coef(same), run = run, relabelled = !identical(order, seq_len(k)))
  }
  bootstrap_refits(fit, n_boot, type, refit, control, call, "a hidden Markov model",
                   "Try type = \"parametric\", fewer states, or share a parameter (`shared = \"sd\"`).")
}
