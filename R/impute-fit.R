# Between the encoder and the core: which model, which prior, how long a chain, and the draws.

# list(model, encoder, fit, prior, parameters, loglik, df, nobs, status, ..., worst): what new_em_impute() keeps.
fit_imputer <- function(x, encoder, prior, cell_priors, control) {
  prior <- check_impute_prior(prior)
  if (ncol(x) == 0L) return(empty_run(encoder))
  run <- if (all(encoder$kind == "continuous")) {
    fit_normal(x, prior, cell_priors, control)
  } else {
    fit_latent(x, encoder, prior, control)
  }
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
ridge_prior <- function(lambda) em_mvnorm_prior("ridge", strength = lambda)

# --- joint normal -------------------------------------------------------------------------------------------------

fit_normal <- function(x, prior, cell_priors, control) {
  if (identical(prior, "auto")) return(fit_normal_auto(x, cell_priors, control))
  if (is.numeric(prior)) prior <- ridge_prior(prior)
  run <- normal_run(x, prior, cell_priors, control)
  run$prior <- if (!is.null(prior)) list(lambda = run$fit$prior$strength, reason = NULL, prior = prior)
  run
}

# "auto": a ridge only where the data do not determine a covariance matrix.
fit_normal_auto <- function(x, cell_priors, control) {
  few <- few_rows(x)
  if (is.null(few) || few$may_do) {
    run <- fit_without_prior(x, cell_priors, control, if (is.null(few)) Inf else 0.95)
    if (!is.null(run)) return(run)
  }
  # The null directions show in a fit with a ridge that is too weak to matter otherwise.
  lambda <- if (is.null(few)) 1e-6 * nrow(x) else few$lambda
  run <- withCallingHandlers(
    normal_run(x, ridge_prior(lambda), cell_priors, control),
    em_warning_not_identified = function(w) {
      # said once, with the prior that was added
      if (!isTRUE(few$apart)) return()
      em_warn(sprintf("%s: only a ridge prior of %s, which was added, determines what the data cannot.", few$reason,
                      count_of_pseudo(lambda)), "not_identified", coefficients = w$coefficients)
      invokeRestart("muffleWarning")
    }
  )
  # with p >= n every column is linear in others: that is no news
  if (is.null(few) || !few$wide) run$collinear <- collinear_among(run$parameters$covariance)
  reason <- if (!is.null(few)) {
    few$reason
  } else if (is.null(run$collinear)) {
    "the covariance matrix is nearly singular"
  } else {
    run$collinear$sentence
  }
  run$prior <- list(lambda = lambda, reason = reason, prior = ridge_prior(lambda), warned = isTRUE(few$apart))
  run
}

# The fit without a prior, or NULL where its covariance matrix is singular, it does not exist, or a direction has lost
# more than a share `most` of its information: there the posterior is next to improper. What it warns of is passed on
# only if it is kept.
fit_without_prior <- function(x, cell_priors, control, most = Inf) {
  if (!is.null(collinear_rows(x))) return(NULL)
  warnings <- list()
  run <- withCallingHandlers(
    tryCatch(normal_run(x, NULL, cell_priors, control), em_error_degenerate = function(e) NULL,
             em_error_too_few_rows = function(e) NULL),
    em_warning = function(w) {
      warnings[[length(warnings) + 1L]] <<- w
      invokeRestart("muffleWarning")
    }
  )
  if (is.null(run) || isTRUE(run$worst > most)) return(NULL)
  null <- collinear_among(run$parameters$covariance, if (run$status == "non_monotone") 2e-5 else 1e-9)
  if (!is.null(null)) return(NULL)
  for (w in warnings) warning(w)
  run
}

# Whether there are too few rows for a covariance matrix without a prior: NULL, or list(lambda, reason, wide, may_do,
# apart). What counts is how often the rarest pair of columns is observed together. `may_do`: a fit without a prior is
# used where there is one; `apart`: the reason is what em_mvnorm() warns of.
few_rows <- function(x) {
  p <- ncol(x)
  n <- nrow(x)
  together <- crossprod(!is.na(x))
  least <- min(together[together > 0])
  apart <- which(together == 0 & lower.tri(together), arr.ind = TRUE)
  together_words <- if (p > 1L && least < n) {
    sprintf("some pairs of columns are seen together in %s only", count_of(as.integer(least), "row"))
  }
  if (least <= p + 1L) {
    words <- if (p >= n) "there are no more rows than columns" else "there are hardly more rows than columns"
    size <- paste0(" (", count_of(n, "row"), ", ", count_of(p, "column"), " in the model)")
    # enough for a proper posterior, and what the correlations themselves ask for
    return(list(lambda = max(ridge_strength(x), p + 2 - least), wide = TRUE, may_do = FALSE,
                reason = paste(c(paste0(words, size), together_words), collapse = "; ")))
  }
  if (nrow(apart) > 0L) {
    # without it their correlation would be drawn from a density that rises to 1 and -1
    pairs <- paste(dQuote(colnames(x)[apart[, 2L]], FALSE), "and", dQuote(colnames(x)[apart[, 1L]], FALSE))
    return(list(lambda = 3, wide = FALSE, may_do = FALSE, apart = TRUE,
                reason = paste(abbreviate_list(pairs, 3L), "are never observed in the same row")))
  }
  undetermined <- undetermined_rows(x)
  if (!is.null(undetermined) || least >= 2L * p + 2L) return(undetermined)
  if (is.null(together_words)) together_words <- sprintf("there are only %d rows for %d columns", n, p)
  list(lambda = 1, wide = FALSE, may_do = TRUE, reason = together_words)
}

# Complete columns can be linear in one another in the rows where another column is observed, as the dummy of a unit
# without a value of it is: its regression on them is not determined there. NULL, or as few_rows().
undetermined_rows <- function(x) {
  missing <- is.na(x)
  complete <- which(colSums(missing) == 0L)
  names <- colnames(x)
  work <- nrow(x) * length(complete)^2 * (ncol(x) - length(complete))
  if (length(complete) == 0L || work > 2e11) return(NULL)
  for (j in setdiff(seq_len(ncol(x)), complete)) {
    open <- dependent_columns(x[!missing[, j], complete, drop = FALSE], 1e-7)
    if (length(open) > 0L) {
      return(list(
        # one in a hundred keeps what is drawn for such rows within some standard deviations, and the others as they are
        lambda = max(1, signif(0.01 * nrow(x), 2L)), wide = TRUE, may_do = FALSE,
        reason = sprintf("the rows where %s is observed do not determine how it depends on %s", dQuote(names[j], FALSE),
                         abbreviate_list(dQuote(names[complete][open], FALSE), 3L))
      ))
    }
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
  # complete columns are not linear in one another in all rows, whatever they are in these
  rank <- function(j) {
    root <- suppressWarnings(chol(stats::cor(part[, j, drop = FALSE]), pivot = TRUE, tol = 1e-9))
    attr(root, "rank")
  }
  whole <- which(colSums(is.na(x)) == 0L)
  lost <- length(whole) - if (length(whole) > 0L) rank(whole) else 0L
  if (ncol(x) - rank(seq_len(ncol(x))) == lost) return(NULL)
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

normal_run <- function(x, prior, cell_priors, control) {
  # In wide models several starts take long and tell little: the information that would tell a maximum from a point on
  # a ridge of the likelihood is not computed there.
  if (is.null(control$n_starts) && ncol(x) > kInformationVariables) control$n_starts <- 1L
  input <- list(x = x, variables = colnames(x), row_names = NULL, formula = NULL, terms = NULL, weights = NULL)
  fit <- fit_mvnorm(input, prior, NULL, control, NULL, if (nrow(cell_priors) > 0L) cell_priors)
  # the data are in the imputation object already
  fit["data"] <- list(NULL)
  list(model = "normal", fit = fit, prior = NULL, parameters = fit$parameters, loglik = fit$loglik, df = fit$df,
       nobs = fit$nobs, status = fit$status, message = fit$message, converged = fit$converged,
       iterations = fit$iterations, trace = fit$trace, convergence = fit$convergence,
       worst = worst_fraction(fit, x), worst_by = worst_source(fit, x))
}

# Up to so many variables em_mvnorm() computes the information.
kInformationVariables <- 25L

# The worst fraction of missing information: from the information where em_mvnorm() computes it; else from the rate of
# EM, which tends to it, or the largest share of missing values in a column, if that is more: a fast end of an
# accelerated iteration says little.
worst_fraction <- function(fit, x) {
  worst <- fit$missing_information$worst
  switch(worst_source(fit, x), information = worst, rate = fit$convergence$rate, share = largest_share(x), NA_real_)
}

# Which of these it is.
worst_source <- function(fit, x) {
  known <- function(value) is.numeric(value) && length(value) == 1L && is.finite(value)
  if (!is.null(fit$missing_information$left) && known(fit$missing_information$worst)) return("information")
  if (!identical(fit$method, "em")) return("none")
  if (known(fit$convergence$rate) && fit$convergence$rate >= largest_share(x)) "rate" else "share"
}

largest_share <- function(x) max(colMeans(is.na(x)))

# --- chains -------------------------------------------------------------------------------------------------------

# Steps of a chain until its start is forgotten to one part in a hundred.
plan_chain <- function(x, run, method, control, most = 5000L) {
  worst <- run$worst
  # monotone patterns need no chain: their posterior is drawn exactly
  exact <- run$model == "normal" && method == "posterior" && !identical(run$fit$method, "em")
  if (run$model == "none" || method != "posterior" || exact) {
    return(list(spacing = 0L, worst = worst, exact = exact, worst_by = run$worst_by))
  }
  if (run$model == "latent") {
    worst <- pilot_latent(x, run, control)
    most <- 1000L
  }
  steps <- if (is.na(worst) || worst <= 0) 10 else if (worst >= 1) Inf else ceiling(log(0.01) / log(worst))
  if (run$model == "latent") steps <- max(steps, 30)
  if (steps > most) {
    em_warn(sprintf(paste0("The worst fraction of missing information is %s: %s steps of the chain would be needed ",
                           "for independent draws, and %s are made. Some parameter is hardly determined by the data; ",
                           "see summary()."), format(worst, digits = 4),
                    if (is.finite(steps)) format(steps, big.mark = ",") else "endlessly many",
                    format(most, big.mark = ",")),
            "slow_mixing", worst = worst)
  }
  list(spacing = as.integer(max(10, min(steps, most))), worst = worst,
       worst_by = run$worst_by)
}

# list(values, columns, draws = list(mean, covariance), trace)
draw_imputations <- function(x, run, method, m, chain, cell_priors, key, control) {
  threads <- resolve_threads(control)
  show <- progress_display(control, "imputations")
  encoder <- run$encoder
  out <- if (run$model == "normal") {
    core <- mvnorm_control(control)
    core$key <- key
    mvnorm_impute_(x, run$parameters, run$fit$prior[c("exponent", "scale")],
                   posterior_prior(run$fit$prior, ncol(x), run$nobs), method, m, 0L, chain$spacing, encoder$lower,
                   encoder$upper, cell_priors, core, min(m, 5L), threads, show)
  } else {
    latent_impute_(x, encoder$kind, encoder$levels, encoder$mass, NULL, run$fit, method, m, 0, chain$spacing,
                   encoder$lower, encoder$upper, key, threads, show)
  }
  if (method == "mean" && run$model == "normal" && nrow(cell_priors) == 0L) {
    z <- bounded_means(x, run$parameters, encoder, threads)
    out$values <- lapply(out$columns, function(j) z[is.na(x[, j]), j, drop = FALSE])
  }
  bad <- if (run$model == "normal") sum(!out$fine) else sum(out$status == "singular")
  if (bad > 0L && method != "mean") {
    em_warn(sprintf(paste0("%s of %d met a singular covariance matrix and rests on the last one before it. Use a ",
                           "stronger `prior`."),
                    count_of(bad, "imputation"), m), "singular_draws")
  }
  list(values = out$values, columns = out$columns, draws = name_draws(out, run$parameters$mean),
       trace = chain_trace(out$trace, names(run$parameters$mean)))
}

# Rows of a joint normal with their missing cells at conditional means; where a column has bounds, at the mean of the
# conditional distribution within them.
bounded_means <- function(x, parameters, encoder, threads) {
  free <- rep(Inf, ncol(x))
  rows <- function(what) mvnorm_rows_(x, parameters$mean, parameters$covariance, what, -free, free, c(0, 0), threads)
  z <- rows("mean")
  bounded <- which(is.finite(encoder$lower) | is.finite(encoder$upper))
  bounded <- bounded[colSums(is.na(x[, bounded, drop = FALSE])) > 0L]
  if (length(bounded) == 0L) return(z)
  sd <- rows("sd")
  for (j in bounded) {
    at <- which(is.na(x[, j]))
    # 0 where the observed cells leave nothing open
    s <- pmax(sd[at, j], 1e-12 * sqrt(parameters$covariance[j, j]))
    m <- truncated_normal_((encoder$lower[j] - z[at, j]) / s, (encoder$upper[j] - z[at, j]) / s, 0, "mean")
    z[at, j] <- pmin(pmax(z[at, j] + s * m, encoder$lower[j]), encoder$upper[j])
  }
  z
}

# The prior of the posterior draws, |Sigma|^(-exponent / 2), with the pseudo-observations of a ridge on top. With exponent 2
# the regression of each column on all others has the n - p degrees of freedom of linear regression, and imputations are
# as spread as those of Rubin's (1987) linear model; Jeffreys' p + 1 would give it n - 1, and intervals that are too short.
# With few rows the exponent rises towards p + 1, so that the posterior stays proper.
posterior_prior <- function(prior, p, n) {
  exponent <- min(p + 1, max(2, 3 * p + 2 - n))
  if (is.null(prior)) return(list(exponent = exponent, scale = NULL))
  if (identical(prior$type, "ridge")) return(list(exponent = exponent + prior$exponent, scale = prior$scale))
  prior[c("exponent", "scale")]
}

name_draws <- function(out, mean) {
  if (is.null(out$mean)) return(NULL)
  names <- names(mean)
  numbers <- as.character(seq_len(ncol(out$mean)))
  dimnames(out$mean) <- list(names, numbers)
  dimnames(out$covariance) <- list(names, names, numbers)
  list(mean = out$mean, covariance = out$covariance)
}

# The path of the chains as a data frame: chain, iteration, means and variances.
chain_trace <- function(trace, names) {
  if (!is.matrix(trace) || nrow(trace) == 0L) return(NULL)
  values <- c(paste0("mean[", names, "]"), paste0("variance[", names, "]"))
  named <- c("chain", "iteration", if (ncol(trace) == length(values) + 3L) "log_det", values)
  if (ncol(trace) != length(named)) return(NULL)
  colnames(trace) <- named
  as.data.frame(trace, optional = TRUE)[setdiff(named, "log_det")]
}

# --- latent normal -------------------------------------------------------------------------------------------------

fit_latent <- function(x, encoder, prior, control) {
  key <- draw_key()
  fit <- latent_fit_(x, encoder$kind, encoder$levels, encoder$mass, NULL, latent_prior(prior),
                     core_control(control, key), key, resolve_threads(control), progress_display(control, "steps"))
  # the bounds of new rows
  fit$lower <- encoder$lower
  fit$upper <- encoder$upper
  names <- latent_names(encoder, fit)
  names(fit$mean) <- names
  dimnames(fit$covariance) <- list(names, names)
  status <- fit$status
  run <- list(
    model = "latent", fit = fit, parameters = list(mean = fit$mean, covariance = fit$covariance), loglik = fit$loglik,
    df = latent_df(encoder, fit), nobs = sum(rowSums(!is.na(x)) > 0L), status = status,
    message = if (status == "converged") sprintf("converged after %d iterations", as.integer(fit$iterations)) else
      sprintf("stopped after %d iterations, not converged", as.integer(fit$iterations)),
    converged = status == "converged", iterations = as.integer(fit$iterations), trace = fit$trace, worst = NA_real_,
    prior = latent_prior_report(prior, fit), collinear = collinear_among(fit$covariance)
  )
  if (!run$converged) {
    em_warn(sprintf("The fit of the latent normal model %s: its parameters were still moving by %s standard errors.",
                    if (status == "singular") "became singular" else run$message,
                    format(max(utils::tail(fit$trace$change, 5L)), digits = 2L)), "not_converged")
  }
  run
}

# What the core takes as a prior, in standardised units: NULL for its own, which is weak.
latent_prior <- function(prior) {
  if (is.null(prior) || identical(prior, "auto")) return(NULL)
  if (is.numeric(prior)) return(list(df = prior, scale = prior))
  if (!identical(prior$type, "ridge") || is.null(prior$strength)) {
    em_abort("`prior`: categorical columns are imputed with a ridge prior; give its strength as a number.", "prior")
  }
  list(df = prior$strength, scale = prior$strength)
}

# The latent model always has a prior: without one a category that another column tells apart perfectly has no estimate.
latent_prior_report <- function(prior, fit) {
  wide <- identical(prior, "auto") && fit$prior$df > 1
  list(lambda = fit$prior$df, words = paste("inverse Wishart of", count_of_pseudo(fit$prior$df)),
       reason = if (wide) sprintf("the rows are few for %d latent dimensions", length(fit$mean)))
}

# Names of the latent dimensions: of the column, and for nominal columns of the level too.
latent_names <- function(encoder, fit) {
  names <- encoder$variables[fit$columns_of]
  labels <- lapply(encoder$specs, function(s) if (identical(s$kind, "nominal")) s$labels)
  position <- vapply(encoder$specs, function(s) if (length(s$model) == 1L) s$model else 0L, 0L)
  for (i in which(!vapply(labels, is.null, NA))) {
    at <- which(fit$columns_of == position[i])
    names[at] <- paste0(names[at], "=", labels[[i]][-1L][seq_along(at)])
  }
  make.unique(names)
}

# Free parameters: means, covariances, and thresholds beyond those that fix the scale of their column.
latent_df <- function(encoder, fit) {
  d <- length(fit$mean)
  discrete <- encoder$kind %in% c("ordinal", "nominal")
  ordinal <- encoder$kind == "ordinal"
  fixed <- sum(encoder$kind == "nominal") + sum(ordinal & encoder$levels == 2L)
  as.integer(d + d * (d + 1) / 2 - fixed + sum(pmax(0L, encoder$levels[ordinal & discrete] - 3L)))
}

# How long the chains of the latent model must be: from the autocorrelation of two pilot chains. Does not depend on how
# many imputations are asked for.
pilot_latent <- function(x, run, control, n_sweeps = 200L, n_rows = max(250L, 10L * length(run$fit$mean))) {
  encoder <- run$encoder
  key <- draw_key()
  # the share of information that is missing hardly depends on the number of rows
  x <- x[rows_to_draw(nrow(x), n_rows), , drop = FALSE]
  out <- latent_impute_(x, encoder$kind, encoder$levels, encoder$mass, NULL, run$fit, "posterior", 2L, 0, n_sweeps,
                        encoder$lower, encoder$upper, key, resolve_threads(control), NULL)
  trace <- out$trace
  values <- trace[, -(1:3), drop = FALSE]
  lag <- 10L
  r <- vapply(seq_len(ncol(values)), function(j) {
    products <- variances <- 0
    for (chain in unique(trace[, 1L])) {
      v <- values[trace[, 1L] == chain, j]
      # the path from the mode to where the chain settles is no autocorrelation
      v <- v[-seq_len(length(v) %/% 5L)]
      v <- v - mean(v)
      products <- products + sum(v[-seq_len(lag)] * v[seq_len(length(v) - lag)])
      variances <- variances + sum(v^2)
    }
    if (variances > 0) products / variances else 0
  }, 0)
  # what two chains of this length show of themselves is noise up to about 0.2
  max(0, r, na.rm = TRUE)^(1 / lag)
}
