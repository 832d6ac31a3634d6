# Bootstrap of em_fa(): replicates are drawn and fitted in C++, in parallel, and rotated here.

#' @rdname em_bootstrap
#' @export
em_bootstrap.em_fa <- function(fit, n_boot = 999, type = c("nonparametric", "weighted", "parametric"),
                               standardized = TRUE, control = fit$control, ...) {
  call <- match.call()
  check_dots_empty(..., .function = "em_bootstrap")
  type <- if (missing(type) && !is.null(fit$covmat)) "parametric" else match_choice(type)
  check_count(n_boot, "n_boot", lowest = 2)
  check_flag(standardized, "standardized")
  control <- check_control(control)
  check_fa_resampling(fit, type)
  core <- fa_core(fit)
  runs <- bootstrap_fa(fit, core, type, n_boot, control)
  estimate <- coef(fit, standardized = standardized)
  replicates <- fa_replicates(fit, core, runs, standardized)
  dimnames(replicates) <- list(NULL, names(estimate))
  heywood <- vapply(runs$heywood, function(at) paste(fit$variables[at], collapse = ", "), "")
  status <- ifelse(runs$status != "degenerate" & is.na(replicates[, 1L]), "rotation_failed", runs$status)
  table <- data.frame(replicate = seq_len(n_boot), loglik = runs$loglik, status = status,
                      heywood = ifelse(is.na(runs$loglik), NA_character_, heywood))
  new_bootstrap(fit, estimate, replicates, table, type, call, "a factor analysis",
                "Try type = \"weighted\", fewer factors or another rotation.")
}

# Replicates of the data, each fitted: what fa_bootstrap_() returns.
bootstrap_fa <- function(fit, core, type, n_boot, control, key = draw_key()) {
  rows <- fa_rows_used(fit)
  fa_bootstrap_(
    rows$x, rows$weights, if (is.null(fit$covmat)) fit$nobs else fit$covmat$n, core, fit$type, key,
    fa_effort(control, 1L), as.integer(n_boot), type, resolve_threads(control), progress_display(control, "replicates")
  )
}

# Rows are resampled where there are rows; a covariance matrix can be simulated where it has an inverse.
check_fa_resampling <- function(fit, type) {
  if (is.null(fit$covmat)) return(require_data(fit, "em_bootstrap()"))
  if (type != "parametric") {
    em_abort(sprintf(paste0("em_bootstrap(type = \"%s\") needs the rows of the data; this fit was made of a ",
                            "covariance matrix. Use `type = \"parametric\"`."), type), "no_data")
  }
  p <- length(fit$variables)
  if (fit$covmat$n <= p) {
    em_abort(sprintf(paste0(
      "The covariance matrix of %s of %d variables cannot be simulated: it would have no inverse. em_bootstrap() ",
      "needs more rows than variables, or the data."), count_of(fit$covmat$n, "row"), p), "too_few_rows")
  }
}

# Replicates (rows) of coef(fit, standardized), from what the core returns; NA where one was not fitted or not rotated.
fa_replicates <- function(fit, core, runs, standardized) {
  p <- length(core$mean)
  q <- ncol(core$loadings)
  shape <- fa_shape(fit, core, fit_rotation(fit), standardized)
  target <- core$loadings / sqrt(rowSums(core$loadings^2) + core$uniquenesses)
  n_coefficients <- length(fa_coefficient_names(fit, standardized))
  t(vapply(seq_along(runs$loglik), function(b) {
    if (is.na(runs$loglik[b])) return(rep(NA_real_, n_coefficients))
    loadings <- matrix(runs$loadings[, b], p, q)
    psi <- runs$uniquenesses[, b]
    # Next to the unrotated loadings of the fit, so that the rotation may begin where that of the fit stands.
    near <- loadings %*% procrustes_turn(loadings / sqrt(rowSums(loadings^2) + psi), target)
    shaped <- tryCatch(shape(near, psi), error = function(e) NULL)
    if (is.null(shaped) || !all(is.finite(shaped))) return(rep(NA_real_, n_coefficients))
    c(if (!standardized && knows_mean(fit)) runs$mean[, b], shaped)
  }, numeric(n_coefficients)))
}

# The orthogonal matrix that turns the columns of x nearest to those of `to` (Schonemann 1966).
procrustes_turn <- function(x, to) {
  spectrum <- svd(crossprod(x, to))
  tcrossprod(spectrum$u, spectrum$v)
}
