# The rows on which methods of mixtures work, those of the fit or new ones, and the core's view of a fit.

# The rows on which a method works, those of the fit or new ones: list(data, as the core takes them; n, row_names).
mixture_rows <- function(fit, newdata, what) {
  if (is.null(newdata)) {
    require_data(fit, paste(what, "without `newdata`"))
    return(list(data = fit$data, n = fit$n_rows, row_names = fit$row_names, frame = fit$frame))
  }
  specs <- response_specs_new(fit$responses, newdata, need_response = FALSE)
  design <- fit$design
  if (!is.null(design)) design <- design_new(design, check_data_frame(newdata, "newdata"), specs$n, "`proportions`")
  data <- list(responses = unname(lapply(specs$responses, core_response)), n = specs$n, known = NULL, weights = NULL,
               x_proportions = core_columns_or_null(design))
  list(data = data, n = specs$n, row_names = specs$row_names, frame = check_data_frame(newdata, "newdata"))
}

# The core's parameters of a fit.
mixture_core <- function(fit) mixture_to_core(fit$parameters, fit, fit$n_components)

evaluate_mixture <- function(fit, rows, what) {
  mixture_evaluate_(rows$data, fit$model, mixture_core(fit), what, resolve_threads(fit$control))
}

# n x K posterior probabilities; an error where a row is impossible under every component.
mixture_posterior <- function(fit, rows) {
  z <- evaluate_mixture(fit, rows, "posterior")
  bad <- which(is.nan(z[, 1L]))
  if (length(bad) > 0L) {
    em_abort(sprintf("Row %d is impossible under every component: it has no posterior probabilities.", bad[1L]),
             "impossible_row", row = bad[1L])
  }
  dimnames(z) <- list(rows$row_names, fit$component_names)
  z
}

# What components share with the states of a hidden Markov model: their distributions, means and draws by row.
as_states <- function(fit) {
  fit$n_states <- fit$n_components
  fit$state_names <- fit$component_names
  fit
}
