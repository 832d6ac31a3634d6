# Bootstrap of em_mixture(): the core's data with other weights or other responses, fitted from the parameters of the
# fit.

#' @rdname em_bootstrap
#' @export
em_bootstrap.em_mixture <- function(fit, n_boot = 999, type = c("nonparametric", "weighted", "parametric"),
                                    control = fit$control, ...) {
  call <- match.call()
  type <- match_choice(type)
  check_dots_empty(..., .function = "em_bootstrap")
  check_count(n_boot, "n_boot", lowest = 2)
  require_data(fit, "em_bootstrap()")
  control <- check_control(control)
  core <- mixture_core(fit)
  threads <- resolve_threads(control)
  control$n_polish <- 1L
  settings <- mixture_control(control, threads)
  start <- list(list(kind = "parameters", method = "fit", parameters = core))
  k <- fit$n_components
  rows <- mixture_rows(fit, NULL, "em_bootstrap()")
  shares <- if (type == "parametric") evaluate_mixture(fit, rows, "proportions")
  draw <- if (type == "parametric") function() {
    class <- draw_components(shares)
    known <- fit$data$known
    if (!is.null(known)) class <- ifelse(is.na(known), class, known)
    redraw_responses(as_states(fit), core, fit$data, class)
  } else function() {
    reweigh(fit$data, seq_len(fit$n_rows), type)
  }
  may_switch <- k > 1L && is.null(fit$known) && is.null(fit$fixed)
  posterior_of <- function(core) mixture_evaluate_(fit$data, fit$model, core, "posterior", threads)
  reference <- if (may_switch) posterior_of(core) * (if (is.null(fit$weights)) 1 else fit$weights)
  refit <- function() {
    run <- mixture_fit_(draw(), fit$model, start, settings, NULL)
    if (!isTRUE(run$fitted)) return(NULL)
    order <- if (may_switch) match_posteriors(reference, posterior_of(run$parameters)) else seq_len(k)
    same <- fit
    same$parameters <- mixture_from_core(reorder_mixture(run$parameters, order, fit), fit, fit$component_names)
    list(coefficients = coef(same), run = run, relabelled = !identical(order, seq_len(k)))
  }
  bootstrap_refits(fit, n_boot, type, refit, control, call, "a finite mixture",
                   "Try type = \"weighted\", fewer components, or share a parameter (`shared = \"sd\"`).")
}
