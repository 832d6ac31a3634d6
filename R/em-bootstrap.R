# Bootstrap of em(): the user's functions on resampled data, from the parameters of the fit.

#' @rdname em_bootstrap
#' @export
em_bootstrap.em <- function(fit, n_boot = 999, resample = NULL, control = fit$control, ...) {
  call <- match.call()
  check_dots_empty(..., .function = "em_bootstrap")
  check_count(n_boot, "n_boot", lowest = 2)
  if (!fit$has_data) {
    em_abort(paste("The functions of this fit have their data from elsewhere, so that em_bootstrap() cannot resample",
                   "them. Give them to em() as `data`."), "no_data")
  }
  require_data(fit, "em_bootstrap()")
  if (!is.null(resample) && !is.function(resample)) {
    check_fails("resample", "a function of the data that returns others", resample)
  }
  if (is.null(resample)) resample <- row_resampler(fit)
  control <- check_closure_control(control)
  refit <- function() {
    model <- em_model(fit$functions, resample(fit$data), fit$space)
    run <- em_run(model, em_flat(fit$parameters), em_effort(model, control))
    same <- fit
    same$parameters <- em_shaped(run$theta, fit$space$start)
    list(coefficients = coef(same), run = run, relabelled = FALSE)
  }
  bootstrap_refits(fit, n_boot, "nonparametric", refit, control, call, "a model of your own",
                   "Look at what the functions do with resampled data.")
}

# A function that draws rows of a matrix or data frame, or elements of a vector, with replacement, if they can be the
# observations.
row_resampler <- function(fit) {
  data <- fit$data
  has_rows <- is.matrix(data) && !is.table(data) || is.data.frame(data) || is.atomic(data) && is.null(dim(data))
  if (!has_rows || is.na(fit$nobs) || fit$nobs != NROW(data)) {
    em_abort(paste(
      "em_bootstrap() draws rows of data frames and matrices, or elements of vectors, but the data of this fit are not",
      "known to have one for each observation. Say what to draw by `resample`, a function of the data that returns",
      "others of that kind."), "argument", argument = "resample")
  }
  n <- NROW(data)
  if (is.null(dim(data))) return(function(data) data[sample.int(n, replace = TRUE)])
  function(data) data[sample.int(n, replace = TRUE), , drop = FALSE]
}
