# Between the encoder and the core: which model, which prior, how long a chain, and the draws.

# list(model, encoder, fit, prior, parameters, loglik, df, nobs, status, ..., worst): what new_em_impute() keeps.
fit_imputer <- function(x, encoder, prior, control) {
  prior <- check_impute_prior(prior)
  if (ncol(x) == 0L) return(empty_run(encoder))
  run <- if (all(encoder$kind == "continuous")) fit_normal(x, prior, control) else fit_latent(x, encoder, prior, control)
  run$encoder <- note_collinear(encoder, run$collinear)
  run
}

empty_run <- function(encoder) {
  list(model = "none", encoder = encoder, fit = NULL, prior = NULL,
       parameters = list(mean = numeric(), covariance = matrix(0, 0L, 0L)), loglik = NA_real_, df = 0L, nobs = 0,
       status = "converged", message = "no column is modelled", converged = TRUE, iterations = 0L, worst = NA_real_)
}

check_impute_prior <- function(prior) {
  if (is.null(prior) || identical(prior, "auto") || inherits(prior, "em_mvnorm_prior")) return(prior)
  if (is.numeric(prior)) {
    if (length(prior) != 1L || is.na(prior) || prior < 0 || !is.finite(prior)) {
      check_fails("prior", "\"auto\", NULL, one number > 0, or made by em_mvnorm_prior()", prior, "prior")
    }
    return(if (prior == 0) NULL else as.double(prior))
  }
  check_fails("prior", "\"auto\", NULL, one number > 0, or made by em_mvnorm_prior()", prior, "prior")
}

# A ridge prior of `lambda` pseudo-observations whose covariance is diagonal, with the variances of the data.
ridge_prior <- function(lambda) em_mvnorm_prior("ridge", lambda)

# --- joint normal -------------------------------------------------------------------------------------------------

fit_normal <- function(x, prior, control) {
  if (identical(prior, "auto")) return(fit_normal_auto(x, control))
  reason <- NULL
  lambda <- NULL
  if (is.numeric(prior)) {
    lambda <- prior
    prior <- ridge_prior(prior)
  }
  run <- normal_run(x, prior, control)
  run$prior <- if (!is.null(prior)) list(lambda = lambda, reason = NULL, prior = prior)
  run
}

# "auto": a ridge only where the data do not determine a covariance matrix.
fit_normal_auto <- function(x, control) {
  few <- few_rows(x)
  if (!is.null(few)) {
    run <- normal_run(x, ridge_prior(few$lambda), control)
    # with p >= n every column is linear in others: that is no news
    if (!few$wide) run$collinear <- collinear_among(run$parameters$covariance)
    run$prior <- list(lambda = few$lambda, reason = few$reason, prior = ridge_prior(few$lambda))
    return(run)
  }
  collinear <- collinear_rows(x)
  run <- if (is.null(collinear)) {
    tryCatch(normal_run(x, NULL, control), em_error = function(e) e, em_warning_collinear = function(w) w,
             em_warning_singular = function(w) w)
  }
  failed <- inherits(run, "condition")
  if (!is.null(run) && !failed && is.null(collinear_among(run$parameters$covariance, 1e-9))) return(run)
  # The null directions show in the fit with a ridge that is too weak to matter otherwise.
  lambda <- 1e-6 * nrow(x)
  again <- normal_run(x, ridge_prior(lambda), control)
  again$collinear <- collinear_among(again$parameters$covariance)
  if (failed && inherits(run, "error") && is.null(again$collinear)) stop(run)
  reason <- if (is.null(again$collinear)) "the covariance matrix is nearly singular" else again$collinear$sentence
  again$prior <- list(lambda = lambda, reason = reason, prior = ridge_prior(lambda))
  again
}

# Whether there are too few rows for a covariance matrix without a prior: NULL, or list(lambda, reason, wide). What counts
# is how often the rarest pair of columns is observed together.
few_rows <- function(x) {
  p <- ncol(x)
  n <- nrow(x)
  together <- crossprod(!is.na(x))
  least <- min(together[together > 0])
  if (least <= p + 1L) {
    words <- if (p >= n) "there are as many columns as rows, or more" else "there are hardly more rows than columns"
    return(list(lambda = max(1, p + 2 - least), wide = TRUE, reason = sprintf(
      "%s (%s, %s in the model, some pairs of them seen together in %d rows only)", words, count_of(n, "row"),
      count_of(p, "column"), least
    )))
  }
  if (least < 2L * p + 2L) {
    return(list(lambda = 1, wide = FALSE, reason = sprintf(
      "some pairs of the %d columns in the model are seen together in %d rows only", p, as.integer(least)
    )))
  }
  NULL
}

# Collinearity that complete rows show before any fit, which could take long to find it out.
collinear_rows <- function(x) {
  complete <- which(rowSums(is.na(x)) == 0L)
  if (length(complete) < 2L * ncol(x) + 2L) return(NULL)
  part <- x[utils::head(complete, 2000L), , drop = FALSE]
  sd <- apply(part, 2L, stats::sd)
  # constant among these rows: they do not tell
  if (any(sd == 0)) return(NULL)
  collinear_among(stats::cor(part), 1e-9)
}

# NULL, or list(columns, sentence): columns of which the others leave less than `tol` of the variance.
collinear_among <- function(covariance, tol = 2e-5) {
  p <- ncol(covariance)
  if (p < 2L) return(NULL)
  scale <- sqrt(diag(covariance))
  correlation <- covariance / outer(scale, scale)
  if (!all(is.finite(correlation))) return(NULL)
  root <- suppressWarnings(chol(correlation, pivot = TRUE, tol = tol))
  rank <- attr(root, "rank")
  if (rank == p) return(NULL)
  pivot <- attr(root, "pivot")
  kept <- seq_len(rank)
  names <- colnames(covariance)
  coefficients <- backsolve(root[kept, kept, drop = FALSE], root[kept, -kept, drop = FALSE])
  dependent <- pivot[-kept]
  partners <- lapply(seq_along(dependent), function(j) names[pivot[kept]][abs(coefficients[, j]) > 0.01])
  sentence <- sprintf("%s %s linear in %s", abbreviate_list(dQuote(names[dependent], FALSE)),
                      if (length(dependent) == 1L) "is" else "are",
                      abbreviate_list(dQuote(unique(unlist(partners)), FALSE)))
  list(columns = dependent, partners = partners, sentence = sentence)
}

# Writes into the specs which columns are linear in others.
note_collinear <- function(encoder, collinear) {
  for (i in seq_along(collinear$columns)) {
    j <- collinear$columns[i]
    for (k in seq_along(encoder$specs)) {
      spec <- encoder$specs[[k]]
      if (!j %in% spec$model) next
      words <- paste("collinear with", abbreviate_list(setdiff(collinear$partners[[i]], spec$variables), 3L))
      encoder$specs[[k]]$note <- paste(c(spec$note[nzchar(spec$note)], words), collapse = "; ")
    }
  }
  encoder
}

normal_run <- function(x, prior, control) {
  fit <- em_mvnorm(x, prior = prior, control = control)
  # the data are in the imputation object already
  fit$data <- NULL
  list(model = "normal", fit = fit, prior = NULL, parameters = fit$parameters, loglik = fit$loglik, df = fit$df,
       nobs = fit$nobs, status = fit$status, message = fit$message, converged = fit$converged,
       iterations = fit$iterations, trace = fit$trace, convergence = fit$convergence,
       worst = worst_fraction(fit$missing_information$worst))
}

worst_fraction <- function(worst) if (is.numeric(worst) && length(worst) == 1L) worst else NA_real_

# --- chains -------------------------------------------------------------------------------------------------------

# Steps of a chain until its start is forgotten to one part in a hundred.
plan_chain <- function(run, method, most = 5000L) {
  worst <- run$worst
  if (run$model == "none" || !method %in% "posterior") return(list(spacing = 0L, worst = worst))
  steps <- if (is.na(worst) || worst <= 0) 10 else if (worst >= 1) Inf else ceiling(log(0.01) / log(worst))
  if (run$model == "latent") steps <- max(steps, run$spacing)
  if (steps > most) {
    em_warn(sprintf(paste0("The worst fraction of missing information is %s: %s steps of the chain would be needed for ",
                           "independent draws, and %s are made. Some parameter is hardly determined by the data; see ",
                           "summary()."), format(worst, digits = 4),
                    if (is.finite(steps)) format(steps, big.mark = ",") else "endlessly many", format(most, big.mark = ",")),
            "slow_mixing", worst = worst)
  }
  list(spacing = as.integer(max(10, min(steps, most))), worst = worst)
}

# list(values, columns, draws = list(mean, covariance), trace)
draw_imputations <- function(x, run, method, m, chain, cell_priors, key, control) {
  threads <- resolve_threads(control)
  show <- progress_display(control, "imputations")
  encoder <- run$encoder
  out <- if (run$model == "normal") {
    mvnorm_impute_(x, NULL, run$parameters, core_prior(run), method, m, 0L, chain$spacing, encoder$lower, encoder$upper,
                   cell_priors, core_control(control, key), key, threads, show)
  } else {
    latent_impute_(x, encoder$kind, encoder$levels, encoder$mass, NULL, run$fit, method, m, 0L, chain$spacing,
                   encoder$lower, encoder$upper, key, threads, show)
  }
  list(values = out$values, columns = out$columns, draws = name_draws(out, run$parameters$mean),
       trace = chain_trace(out))
}

core_prior <- function(run) {
  prior <- run$fit$prior
  if (is.null(prior)) NULL else prior[c("df", "scale")]
}

name_draws <- function(out, mean) {
  if (is.null(out$mean)) return(NULL)
  names <- names(mean)
  numbers <- as.character(seq_len(ncol(out$mean)))
  dimnames(out$mean) <- list(names, numbers)
  dimnames(out$covariance) <- list(names, names, numbers)
  list(mean = out$mean, covariance = out$covariance)
}

chain_trace <- function(out) if (is.data.frame(out$trace)) out$trace else NULL

# --- latent normal -------------------------------------------------------------------------------------------------

fit_latent <- function(x, encoder, prior, control) {
  key <- draw_key()
  lambda <- if (is.numeric(prior)) prior
  fit <- latent_fit_(x, encoder$kind, encoder$levels, encoder$mass, NULL, prior, core_control(control, key), key,
                     resolve_threads(control), progress_display(control, "steps"))
  list(model = "latent", fit = fit, parameters = list(mean = fit$mean, covariance = fit$covariance), loglik = NA_real_,
       df = NA_integer_, nobs = nrow(x), status = fit$status, message = fit$status, converged = fit$status == "converged",
       iterations = NROW(fit$trace), trace = fit$trace, worst = NA_real_, spacing = 50, prior = NULL)
}
