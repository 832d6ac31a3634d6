#' Mean and covariance of incomplete data
#'
#' Maximum likelihood for a multivariate normal distribution whose data have missing values: the exact observed-data
#' likelihood, by the EM algorithm on the moments of the patterns of missingness, finished by Newton steps.
#'
#' @section Algorithm:
#' Rows are grouped by the cells they observe, and each group is reduced to its moments, so that an iteration does not
#' depend on the number of rows when patterns are few. In the E-step each pattern costs a factorisation of the smaller of
#' its two blocks, observed or missing. EM is accelerated (see [em_control()]) and never goes downhill. Where there are
#' at most 25 variables a few Newton steps on the score follow, kept only if the objective does not fall: they settle
#' what the log-likelihood, in its own rounding, cannot tell apart. Complete data and monotone patterns (variables that
#' can be ordered so that each is observed wherever the next one is) have their closed form (Anderson 1957): no iteration
#' at all.
#'
#' @section Missing values:
#' NA and NaN are missing at random. Rows that observe nothing stay in the data, carry no information and do not count
#' in `nobs`.
#'
#' @section What can go wrong, and is reported:
#' * **No maximum.** With no more rows than variables, or when variables are linear in others, the likelihood grows without
#'   bound: an error of class `em_error_too_few_rows` or `em_error_degenerate` names the variables. A `prior` mends it.
#' * **Not identified.** The covariance of two variables that are never observed in the same row (file matching), and any
#'   other direction in which the observed information is zero, rests on where the iteration started: a warning of class
#'   `em_warning_not_identified`; `identification` names the coefficients.
#' * **Several maxima, saddle points.** EM stops at a saddle as at a maximum. The information is checked: at a saddle the
#'   iteration goes on to both sides, and if equally high maxima are found, the warning is of class
#'   `em_warning_multimodal`. On small problems several starts are tried; `starts` lists them.
#' * **Not converged.** `em_warning_not_converged`.
#'
#' @param x,formula The data: a matrix or data frame of numeric, integer or logical columns (the argument may be called
#'   `data` too); or a one-sided formula such as `~ a + log(b)`.
#' @param data For a formula: the data frame of its variables.
#' @param subset For a formula: which rows of `data` to use, an expression in its columns.
#' @param weights NULL (default), or a number >= 0 for each row: observation weights. A row of weight 2 counts as two equal
#'   rows.
#' @param prior NULL (default): none, maximum likelihood. "ridge", "inverse_wishart", "jeffreys", a number of
#'   pseudo-observations for the ridge, or the result of [em_mvnorm_prior()]: the mode of the posterior.
#' @param start NULL (default), a fit, or `list(mean = , covariance = )`: where to start.
#' @param control Made by [em_control()]. `n_starts` NULL tries 5 starts on small problems, 1 on large ones.
#' @param ... Not used; an argument that is not one of the above is an error.
#'
#' @return A list of class `c("em_mvnorm", "em_fit")`:
#' - `parameters`: `mean` (p) and `covariance` (p x p; maximum likelihood, divisor n).
#' - `loglik` (all constants included), `log_prior`, `df`, `nobs` (sum of the weights of the rows that observe anything),
#'   `n_rows`.
#' - `method`: "em", "complete data" or "monotone patterns".
#' - `status`, `message`, `converged`, `iterations`, `evaluations` (E-steps after the first, Newton's included),
#'   `convergence` (`rule`, `last_gain`, `rate`, `remaining_gain`, `newton`).
#' - `missing_information`: `worst`, the largest fraction of missing information over all directions (EM's rate of
#'   convergence), from the information where there are at most 25 variables, else the observed rate; `left`, all
#'   eigenvalues of the observed relative to the complete information.
#' - `patterns`: data frame, a row per pattern: a logical column per variable (TRUE: observed), `n_missing`, `rows`, `weight`.
#' - `identification`: `identified`; `never_together`, data frame of pairs of variables never observed in the same row;
#'   `coefficients` that the data do not determine; `relations`, what they are about in words.
#' - `trace`, `starts` (`start`, `method`, `loglik`, `status`, `iterations`, `escaped` from a saddle, `best`), `modes` (list of
#'   the parameters of equally high maxima, where there are several).
#' - `statistics`: the moments of the patterns, where the data are not kept (see [update()][update.em_mvnorm]).
#' - `call`, `formula`, `terms`, `variables`, `row_names`, `data`, `weights`, `prior`, `control`, `na_action`.
#' @references
#' Dempster, A. P., Laird, N. M. and Rubin, D. B. (1977). Maximum likelihood from incomplete data via the EM algorithm.
#' *Journal of the Royal Statistical Society B* 39, 1-38. \doi{10.1111/j.2517-6161.1977.tb01600.x}
#'
#' Little, R. J. A. and Rubin, D. B. (2019). *Statistical Analysis with Missing Data*, 3rd edition. Wiley.
#' \doi{10.1002/9781119482260}
#'
#' Anderson, T. W. (1957). Maximum likelihood estimates for a multivariate normal distribution when some observations
#' are missing. *Journal of the American Statistical Association* 52, 200-203. \doi{10.1080/01621459.1957.10501379}
#' @seealso [predict()][predict.em_mvnorm], [vcov()][vcov.em_mvnorm], [summary()][summary.em_mvnorm], [mcar_test()],
#'   [em_mvnorm_prior()], [em_control()].
#' @examples
#' fit <- em_mvnorm(airquality[, 1:4])
#' fit
#' summary(fit)
#' head(predict(fit))
#' em_mvnorm(~ log(Ozone) + Solar.R + Wind, data = airquality)
#' @export
em_mvnorm <- function(x, ...) {
  if (!missing(x)) UseMethod("em_mvnorm")
  # em_mvnorm(data = d), without a formula.
  dots <- list(...)
  if (!"data" %in% names(dots)) em_abort("`x`, the data or a formula, is missing.", "argument", argument = "x")
  fit <- do.call(em_mvnorm.default, c(list(dots$data), dots[names(dots) != "data"]))
  fit$call <- match.call()
  names(fit$call)[names(fit$call) == "data"] <- "x"
  fit
}

#' @rdname em_mvnorm
#' @export
em_mvnorm.default <- function(x, weights = NULL, prior = NULL, start = NULL, control = em_control(), ...) {
  check_dots_empty(..., .function = "em_mvnorm")
  call <- match.call()
  call[[1L]] <- quote(em_mvnorm)
  input <- input_from_data(x, if (is.name(call$x)) as.character(call$x) else "x")
  input$weights <- weights
  fit_mvnorm(input, prior, start, control, call)
}

#' @rdname em_mvnorm
#' @export
em_mvnorm.formula <- function(formula, data = NULL, weights, subset, prior = NULL, start = NULL,
                              control = em_control(), ...) {
  check_dots_empty(..., .function = "em_mvnorm")
  call <- match.call()
  call[[1L]] <- quote(em_mvnorm)
  input <- input_from_formula(formula, data, call, parent.frame())
  fit_mvnorm(input, prior, start, control, call)
}

# The body of both methods, and what em_impute() fits for continuous data (with `cell_priors`: a matrix of row, column,
# mean and sd).
fit_mvnorm <- function(input, prior, start, control, call, cell_priors = NULL) {
  x <- input$x
  control <- check_control(control)
  threads <- resolve_threads(control)
  weights <- check_weights(input$weights, nrow(x))
  look <- check_data(x, input$variables, weights, 2L, threads)
  prior <- resolve_mvnorm_prior(prior, x, look, weights)
  # With many rows the iteration finds out by itself.
  informative <- if (nrow(x) <= 10 * ncol(x)) sum_weights(x, NULL) else nrow(x)
  if (is.null(prior) && informative <= ncol(x)) {
    em_abort(sprintf(paste0(
      "%s with an observed value are too few for %s: the covariance matrix of so few is singular, and the likelihood ",
      "has no maximum. Nothing was fitted. Use fewer variables, or a prior: `prior = \"ridge\"`."
    ), count_of(informative, "row"), count_of(ncol(x), "variable")), "too_few_rows")
  }
  start <- check_mvnorm_start(start, input$variables)
  show <- progress_display(control, "fits")
  run <- mvnorm_fit_(x, weights, prior[c("exponent", "scale")], cell_prior_matrix(cell_priors), start,
                     mvnorm_control(control), threads, show)
  if (run$status == "degenerate") abort_mvnorm_degenerate(run, input$variables)
  fit <- build_mvnorm(run, input, weights, prior, control, call, cell_priors)
  if (!control$keep_data && is.null(cell_priors)) fit$statistics <- mvnorm_statistics(x, weights, control)
  warn_mvnorm(fit)
  fit
}

cell_prior_matrix <- function(cell_priors) {
  if (is.null(cell_priors)) matrix(0, 0L, 4L) else cell_priors
}

# What mvnorm_fit_ needs of the control.
mvnorm_control <- function(control) {
  list(tol = control$tol, max_iter = control$max_iter, acceleration = resolve_acceleration(control),
       n_starts = control$n_starts, key = draw_key())
}

check_mvnorm_start <- function(start, variables) {
  if (is.null(start)) return(list())
  method <- "parameters"
  if (inherits(start, "em_mvnorm")) {
    start <- start$parameters
    method <- "previous fit"
  }
  d <- length(variables)
  fine <- is.list(start) && is.numeric(start$mean) && is.numeric(start$covariance)
  if (!fine) start_fails("must be a fit of em_mvnorm() or list(mean = , covariance = ).")
  if (length(start$mean) != d || length(start$covariance) != d^2) {
    start_fails("must have a mean of length %d and a %d x %d covariance.", d, d, d)
  }
  covariance <- matrix(as.double(start$covariance), d)
  if (!all(is.finite(start$mean)) || !all(is.finite(covariance))) start_fails("has values that are not finite.")
  symmetric <- max(abs(covariance - t(covariance))) <= 1e-8 * max(abs(covariance))
  if (!symmetric || inherits(try(chol(covariance), silent = TRUE), "try-error")) {
    start_fails("has a covariance that is not symmetric and positive definite.")
  }
  list(list(method = method, mean = as.double(start$mean), covariance = covariance))
}

build_mvnorm <- function(run, input, weights, prior, control, call, cell_priors) {
  variables <- input$variables
  d <- length(variables)
  named <- function(p) {
    list(mean = stats::setNames(p$mean, variables),
         covariance = matrix(p$covariance, d, d, dimnames = list(variables, variables)))
  }
  starts <- run$starts
  objective <- starts$loglik + starts$log_prior
  top <- run$loglik + run$log_prior
  table <- data.frame(
    start = seq_len(nrow(starts)), starts[c("method", "loglik", "status", "iterations", "escaped")],
    best = !is.na(objective) & abs(objective - top) <= 1e-6 * (1 + abs(top))
  )
  patterns <- as.data.frame(run$patterns$observed)
  names(patterns) <- variables
  patterns$n_missing <- d - rowSums(run$patterns$observed)
  patterns$rows <- run$patterns$rows
  patterns$weight <- run$patterns$weight
  patterns <- patterns[order(-patterns$weight, patterns$n_missing), , drop = FALSE]
  rownames(patterns) <- NULL
  fit <- new_em_fit(
    "em_mvnorm", call, input, named(run$parameters[[run$best]]), run, df = d + d * (d + 1) / 2, nobs = run$nobs,
    starts = table, weights = weights, control = control,
    method = if (run$closed_form) table$method[1L] else "em",
    missing_information = list(worst = run$worst, left = if (length(run$left)) run$left),
    patterns = patterns, prior = prior, cell_priors = cell_priors
  )
  if (run$closed_form) {
    fit$message <- paste0("in closed form: ", fit$method)
    fit$convergence$rule <- "closed form"
  }
  fit$convergence$newton <- run$newton
  fit$identification <- mvnorm_identification(run, variables, prior)
  fit["modes"] <- list(mvnorm_modes(run, table, fit$identification, named))
  fit
}

# Pairs that never meet, the coefficients that move along directions without information, and what these directions are
# about in words (`relations`).
mvnorm_identification <- function(run, variables, prior) {
  apart <- which(run$pair_weight == 0 & lower.tri(run$pair_weight), arr.ind = TRUE)
  pairs <- data.frame(variable_1 = variables[apart[, 2L]], variable_2 = variables[apart[, 1L]])
  names <- mvnorm_coefficient_names(variables)
  moved <- relations <- character()
  null <- run$null_directions
  if (length(null) > 0L) {
    size <- sqrt(rowSums(null^2))
    moved <- names[size > 1e-3 * max(size)]
    relations <- unlist(lapply(seq_len(ncol(null)), function(k) null_relation(null[, k], run, variables)))
  } else if (nrow(pairs) > 0L && is.null(prior)) {
    moved <- sprintf("covariance[%s,%s]", pairs$variable_2, pairs$variable_1)
  }
  if (nrow(pairs) > 0L) {
    relations <- paste(pairs$variable_1, "and", pairs$variable_2, "are never observed in the same row")
  }
  list(identified = length(moved) == 0L, never_together = pairs, coefficients = moved, relations = unique(relations))
}

# A direction in which only the coefficients of one variable move is a change of its regression on the others, often on
# few of them: those names say more than all the covariances.
null_relation <- function(direction, run, variables) {
  d <- length(variables)
  change <- matrix(0, d, d)
  change[lower.tri(change, diag = TRUE)] <- direction[-seq_len(d)]
  change <- change + t(change) - diag(diag(change), d)
  covariance <- run$parameters[[run$best]]$covariance / tcrossprod(run$scale)
  for (v in seq_len(d)) {
    if (d < 2L || max(abs(change[-v, -v])) > 1e-3 * max(abs(change))) next
    slope <- tryCatch(solve(covariance[-v, -v, drop = FALSE], change[-v, v]), error = function(e) NULL)
    if (is.null(slope)) return(NULL)
    on <- variables[-v][abs(slope) > 0.05 * max(abs(slope))]
    return(paste("how", variables[v], "depends on", abbreviate_list(on, 3L)))
  }
  NULL
}

# The parameters of maxima as high as the best one but elsewhere, or NULL.
mvnorm_modes <- function(run, table, identification, named) {
  if (!identification$identified) return(NULL)
  at <- which(table$best)
  best <- run$parameters[[run$best]]
  scale <- sqrt(diag(best$covariance))
  away <- function(p, q) {
    max(abs(p$mean - q$mean) / scale, abs(p$covariance - q$covariance) / tcrossprod(scale)) > 0.02
  }
  modes <- list(best)
  for (i in at) {
    new <- all(vapply(modes, function(m) away(run$parameters[[i]], m), TRUE))
    if (new) modes <- c(modes, run$parameters[i])
  }
  if (length(modes) > 1L) lapply(modes, named)
}

mvnorm_coefficient_names <- function(variables) {
  d <- length(variables)
  lower <- which(lower.tri(diag(d), diag = TRUE), arr.ind = TRUE)
  c(sprintf("mean[%s]", variables), sprintf("covariance[%s,%s]", variables[lower[, 1L]], variables[lower[, 2L]]))
}

# Names what is linear in what, from the covariance that could not be factored.
abort_mvnorm_degenerate <- function(run, variables) {
  covariance <- run$parameters[[run$best]]$covariance
  involved <- null_direction(covariance, variables)
  em_abort(sprintf(paste0(
    "The likelihood has no maximum: %s linear in one another in the observed rows, so that the covariance matrix ",
    "becomes singular. Nothing was fitted. Leave one of them out, or use a prior: `prior = \"ridge\"`."
  ), paste(paste(dQuote(involved, FALSE), collapse = ", "), if (length(involved) == 1L) "is" else "are")),
  "degenerate", columns = involved)
}

# The variables of the direction in which a (nearly) singular covariance has least variance, in units of its own scale.
null_direction <- function(covariance, variables) {
  scale <- sqrt(pmax(diag(covariance), .Machine$double.xmin))
  spectrum <- eigen(covariance / tcrossprod(scale), symmetric = TRUE)
  direction <- abs(spectrum$vectors[, length(scale)])
  variables[direction > 0.05 * max(direction)]
}

warn_mvnorm <- function(fit) {
  if (!fit$converged) {
    em_warn(sprintf("The fit %s. %s", fit$message, not_converged_advice(fit$status)),
            "not_converged")
  }
  id <- fit$identification
  if (!id$identified) {
    why <- if (length(id$relations) > 0L) abbreviate_list(id$relations, 4L) else "directions without information"
    em_warn(sprintf(paste0(
      "The data do not determine %s of the coefficients (%s): %s. Their values rest on where the iteration started. ",
      "They were left as they are; see `identification`, or use a prior."
    ), length(id$coefficients), why, abbreviate_list(id$coefficients, 4L)), "not_identified",
    coefficients = id$coefficients)
  }
  if (id$identified && nrow(id$never_together) > 0L) {
    em_warn(sprintf("Only the prior determines what the data cannot: %s.", abbreviate_list(id$relations, 4L)),
            "not_identified", coefficients = character())
  }
  if (!is.null(fit$modes)) {
    em_warn(sprintf(paste0(
      "The likelihood has %d equally high maxima%s; the first one found is reported, all are in `modes`. The data ",
      "do not choose between them."
    ), length(fit$modes), if (any(fit$starts$escaped)) " (a start had ended at a saddle point between them)" else ""),
    "multimodal")
  } else if (any(fit$starts$escaped & fit$starts$best)) {
    em_warn(paste0("A start ended at a saddle point of the likelihood; the iteration went on from there to the ",
                   "maximum that is reported."), "saddle")
  }
}
