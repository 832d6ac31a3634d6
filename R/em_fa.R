#' Factor analysis by maximum likelihood
#'
#' Exploratory factor analysis and probabilistic principal components, by exact maximum likelihood, with missing values,
#' rotation, scores and standard errors.
#'
#' The model is \eqn{x = \mu + \Lambda f + e} with factors \eqn{f \sim N(0, I_q)} and errors \eqn{e \sim N(0, \Psi)},
#' \eqn{\Psi} diagonal (`type = "ppca"`: \eqn{\Psi = \sigma^2 I}).
#'
#' @section Algorithm:
#' Complete data enter through their covariance matrix alone (or, where there are many variables, are used as an
#' operator that never forms it). The EM algorithm of Rubin and Thayer (1982), with conditional maximisation for the
#' uniquenesses, is accelerated (see [em_control()]), never goes downhill, and is finished by Newton steps.
#' With missing values and up to 64 variables EM has the missing cells as missing data: each of its steps is a factor
#' analysis of the expected covariance matrix. With more variables, or fewer than twice as many rows, the factors alone
#' are the missing data.
#' The estimates do not depend on the units of the data: they are those of the covariance and of the correlation matrix.
#'
#' @section Rotation:
#' The rotation is found for the standardised loadings (those of the correlation matrix) and applied to both. Factors
#' are then ordered by the variance that they explain (the sum of the squares of their standardised loadings), and
#' turned so that each column sum is positive. A rotation is a convention: the likelihood, the uniquenesses and the
#' fitted covariance do not depend on it.
#'
#' @section Missing values:
#' NA and NaN are missing at random: the likelihood is that of the observed cells, by pattern of missingness. Rows that
#' observe nothing stay in the data, carry no information, do not count in `nobs`, and have scores of 0 (regression) or
#' NA (Bartlett).
#'
#' @section How many factors:
#' With several `n_factors` each is fitted, `selection` compares them, and the one with the least BIC is the fit. The
#' test of fit is that of [stats::factanal()]: \eqn{(n - 1 - (2p + 5)/6 - 2q/3) F} with \eqn{F} twice the difference of
#' the log-likelihood to that of an unrestricted covariance matrix, divided by n (for "ppca": \eqn{n F}). RMSEA, with
#' its 90 % interval, and the Tucker-Lewis index are made of \eqn{n F}. [parallel_analysis()] and `plot(fit, "scree")`
#' look at the eigenvalues.
#'
#' @section What can go wrong, and is reported:
#' * **Heywood cases.** The likelihood may be largest where a uniqueness is zero. It is reported as exactly 0, `loglik`
#'   is the limit, the warning of class `em_warning_heywood` and `heywood` name the variables. Often there are too many
#'   factors, or too few rows.
#' * **Not converged**: `em_warning_not_converged`.
#' * **Several maxima.** They are common with too many factors. On small problems several starts are tried; `starts`
#'   lists them and their Heywood variables, and `summary()` says how many agree.
#'
#' @param x,formula The data: a matrix or data frame of numeric, integer or logical columns (the argument may be called
#'   `data` too); or a one-sided formula such as `~ a + log(b)` or `~ .`. Left out where there is a `covmat`.
#' @param data For a formula: the data frame of its variables.
#' @param subset For a formula: which rows of `data` to use, an expression in its columns.
#' @param n_factors Whole numbers >= 1: how many factors; of several the best by BIC. Default 1 to 5. Numbers for which
#'   the model has more parameters than a covariance matrix (\eqn{(p - q)^2 < p + q}) are left out; a single such number
#'   is an error.
#' @param rotation "varimax" (default), "promax", "none"; the name of a function of the package GPArotation that needs
#'   nothing but loadings, such as "oblimin" or "geominQ" (it is finished by Newton steps; `em_warning_rotation` tells
#'   where it has not converged, or where its criterion leaves the factors open); or a function of a matrix of loadings
#'   (p x q) that returns a rotated matrix, or a list with an element `loadings`. [vcov()][vcov.em_fa] differentiates
#'   it: a function of one's own should be exact to 1e-6 or better.
#' @param scores "regression" (default; Thomson: the conditional means of the factors), "bartlett" (weighted least
#'   squares) or "none".
#' @param covmat NULL (default), or instead of `x` a covariance or correlation matrix, **maximum likelihood (divisor
#'   n)**, which is used as it is; or a list with elements `cov`, and if known `n.obs` and `center` (the means of the
#'   variables), such as [datasets::ability.cov] or the result of [stats::cov.wt()]. Without `center` the means are NA,
#'   and what needs them (scores, likelihood and imputations of new rows, simulation) is an error.
#' @param n_obs With `covmat`: the number of rows behind it.
#' @param weights NULL (default), or a number >= 0 for each row: observation weights. A row of weight 2 counts as two
#'   equal rows.
#' @param type "fa" (default): every variable has its own uniqueness. "ppca": all have the same in the units of the data
#'   (probabilistic principal components, Tipping and Bishop 1999). That model does depend on the units: scale the
#'   variables first if they differ.
#' @param start NULL (default); a fit of [em_fa()]; a list with `uniquenesses` and, if known, `loadings` (p x q) and
#'   `mean`, in the units of the data; or a vector of p uniquenesses between 0 and 1, in the units of the correlation
#'   matrix (0: a Heywood case to begin with, which leads to the local maximum there, if there is one).
#' @param control Made by [em_control()]. `n_starts` NULL tries 50 starts on small problems (complete data: up to 30
#'   variables), 10 or 5 on larger ones, 1 where starts take long (more than 200 variables). All are run to the end.
#' @param ... Not used; an argument that is not one of the above is an error.
#'
#' @return A list of class `c("em_fa", "em_fit")`:
#' - `parameters`: `mean` (p; NA where `covmat` has no `center`), `loadings` (p x q, rotated) and `uniquenesses` (p), in
#'   the units of the data, so that \eqn{\Lambda \Phi \Lambda' + \Psi} is the covariance matrix of the model.
#' - `loadings` (class [loadings][stats::loadings]) and `uniquenesses`: the same for variables of variance 1, which is
#'   what [stats::factanal()] gives; `standardized`: both in a list.
#' - `factor_correlation` (\eqn{\Phi}, q x q; the identity for orthogonal rotations), `rotation` (its name),
#'   `rotation_matrix` (q x q: rotated loadings = unrotated loadings times it), `rotation_function`.
#' - `scores` (n x q, or NULL), `scores_method`.
#' - `n_factors`, `type`, `heywood` (names of the variables with a uniqueness of 0).
#' - `loglik` (all constants included), `df` (\eqn{p + pq + p - q(q-1)/2}), `nobs` (sum of the weights of the rows that
#'   observe anything), `n_rows`.
#' - `test`: list of `criterion` (\eqn{F}), `chi_square`, `chi_square_df`, `p_value`, `RMSEA`, `RMSEA_lower`,
#'   `RMSEA_upper`, `TLI`; NA where the unrestricted covariance matrix has no estimate.
#' - `selection`: data frame, a row for each number of factors: `n_factors`, `loglik`, `df`, `AIC`, `BIC`, the columns
#'   of `test` but the first, `heywood` (how many), `status`.
#' - `saturated`: `loglik`, and for incomplete data `mean` and `covariance`, of the unrestricted normal distribution;
#'   `independence`, the log-likelihood without factors.
#' - `status`, `message`, `converged`, `iterations`, `evaluations` (of the map), `convergence`, `trace`, `starts`: as in
#'   every fit; `starts` has a column `heywood` too, the variables whose uniqueness is 0 where that start ended ("" is
#'   none, NA not run to the end).
#' - `call`, `formula`, `terms`, `variables`, `row_names`, `data`, `covmat` (list of `mean`, `covariance`, `n`, or
#'   NULL), `weights`, `control`, `na_action`.
#' @references
#' Rubin, D. B. and Thayer, D. T. (1982). EM algorithms for ML factor analysis. *Psychometrika* 47, 69-76.
#' \doi{10.1007/BF02293851}
#'
#' Joreskog, K. G. (1967). Some contributions to maximum likelihood factor analysis. *Psychometrika* 32, 443-482.
#' \doi{10.1007/BF02289658}
#'
#' Zhao, J.-H., Yu, P. L. H. and Jiang, Q. (2008). ML estimation for factor analysis: EM or non-EM? *Statistics and
#' Computing* 18, 109-123. \doi{10.1007/s11222-007-9042-y}
#'
#' Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis. *Journal of the Royal
#' Statistical Society B* 61, 611-622. \doi{10.1111/1467-9868.00196}
#' @seealso [predict()][predict.em_fa], [vcov()][vcov.em_fa], [plot()][plot.em_fa], [summary()][summary.em_fa],
#'   [em_bootstrap()], [parallel_analysis()], [stats::factanal()].
#' @examples
#' fit <- em_fa(mtcars, n_factors = 1:4)
#' fit
#' fit$selection
#' em_fa(covmat = ability.cov, n_factors = 2, rotation = "promax")
#' holes <- airquality[, c("Ozone", "Solar.R", "Wind", "Temp")]
#' head(em_fa(holes, n_factors = 1)$scores)
#' @export
em_fa <- function(x, ...) {
  if (!missing(x)) UseMethod("em_fa")
  # em_fa(covmat = S) and em_fa(data = d).
  dots <- list(...)
  if (!any(c("data", "covmat") %in% names(dots))) {
    em_abort("`x`, the data or a formula, or `covmat`, a covariance matrix, is missing.", "argument", argument = "x")
  }
  fit <- do.call(em_fa.default, c(list(dots$data), dots[names(dots) != "data"]))
  fit$call <- match.call()
  names(fit$call)[names(fit$call) == "data"] <- "x"
  fit
}

#' @rdname em_fa
#' @export
em_fa.default <- function(x = NULL, n_factors = 1:5, rotation = "varimax",
                          scores = c("regression", "bartlett", "none"), covmat = NULL, n_obs = NULL, weights = NULL,
                          type = c("fa", "ppca"), start = NULL, control = em_control(), ...) {
  scores_asked <- !missing(scores)
  scores <- match_choice(scores)
  type <- match_choice(type)
  check_dots_empty(..., .function = "em_fa")
  call <- match.call()
  call[[1L]] <- quote(em_fa)
  if (is.null(covmat)) {
    input <- fa_input_from_data(x, n_obs, if (is.name(call$x)) as.character(call$x) else "x")
    input$weights <- weights
  } else {
    input <- fa_input_from_covmat(x, covmat, n_obs, weights, scores_asked && scores != "none")
    scores <- "none"
  }
  spec <- list(n_factors = n_factors, default_n = missing(n_factors), rotation = rotation, scores = scores, type = type,
               start = start, control = control)
  fit_fa(input, spec, call)
}

#' @rdname em_fa
#' @export
em_fa.formula <- function(formula, data = NULL, weights, subset, n_factors = 1:5, rotation = "varimax",
                          scores = c("regression", "bartlett", "none"), type = c("fa", "ppca"), start = NULL,
                          control = em_control(), ...) {
  scores <- match_choice(scores)
  type <- match_choice(type)
  check_dots_empty(..., .function = "em_fa")
  call <- match.call()
  call[[1L]] <- quote(em_fa)
  input <- input_from_formula(formula, data, call, parent.frame())
  # update() evaluates the call, whose first argument is `x` to the generic
  names(call)[match("formula", names(call))] <- ""
  spec <- list(n_factors = n_factors, default_n = missing(n_factors), rotation = rotation, scores = scores, type = type,
               start = start, control = control)
  fit_fa(input, spec, call)
}

# The body of both methods.
fit_fa <- function(input, spec, call) {
  control <- check_control(spec$control)
  threads <- resolve_threads(control)
  data <- if (is.null(input$covmat)) fa_data(input, threads) else input$covmat
  p <- length(input$variables)
  counts <- check_n_factors(spec$n_factors, spec$default_n, p, data$n_distinct, spec$type)
  rotation <- resolve_rotation(spec$rotation)
  start <- check_fa_start(spec$start, input$variables, if (length(counts) == 1L) counts, data)
  saturated <- if (data$missing) fa_saturated(data, NULL, control, threads)
  runs <- lapply(counts, function(q) {
    starts <- fa_starts(start, q, p, data, control)
    if (starts[[1L]]$method == "default") {
      starts[[1L]] <- fa_start_of_saturated(starts[[1L]], saturated, q, spec$type, data$n, control, threads)
    }
    run_fa(data, q, spec$type, starts, control, threads)
  })
  if (!data$missing) saturated <- fa_saturated(data, runs[[1L]], control, threads)
  selection <- fa_selection(counts, runs, p, spec$type, data$n, saturated)
  if (!any(is.finite(selection$BIC))) {
    which <- if (length(counts) == 1L) count_of(counts, "factor") else "all numbers of factors that were tried"
    left <- unique(unlist(lapply(runs, `[[`, "degenerate_component")))
    em_abort(sprintf(paste0(
      "The likelihood has no maximum: %s fit the data exactly (nothing is left of %s, given the others). Nothing was ",
      "fitted. Use fewer factors, or leave out variables that are linear in others or hardly ever observed."),
      which, abbreviate_list(dQuote(input$variables[left], FALSE))), "degenerate", columns = input$variables[left])
  }
  best <- which.min(selection$BIC)
  fit <- build_fa(runs[[best]], counts[best], input, data, spec, rotation, control, call)
  fit$saturated <- saturated
  fit$selection <- selection
  fit$test <- fa_test(fit$loglik, fit$n_factors, p, spec$type, data$n, saturated)
  if (spec$scores != "none" && (!identical(control$keep_posterior, FALSE)) &&
        (isTRUE(control$keep_posterior) || as.double(nrow(input$x)) * fit$n_factors <= 1e7)) {
    fit$scores <- fa_scores(input$x, fit, spec$scores, threads, input$row_names)
  }
  warn_fa(fit)
  fit
}

# One number of factors: what the core returns.
run_fa <- function(data, q, type, starts, control, threads) {
  show <- progress_display(control, "fits")
  effort <- fa_effort(control, if (is.null(control$n_polish)) length(starts) else control$n_polish)
  if (data$missing) return(fa_missing_(data$x, data$weights, q, type, starts, effort, threads, show))
  fa_complete_(data[c("mean", "covariance", "x", "weights", "n")], q, type, starts, effort, threads, show)
}

# What the core takes of a control.
fa_effort <- function(control, n_polish) {
  list(tol = control$tol, max_iter = control$max_iter, accelerator = resolve_acceleration(control),
       n_short = control$n_short, n_polish = n_polish)
}

build_fa <- function(run, q, input, data, spec, rotation, control, call) {
  variables <- input$variables
  p <- length(variables)
  solution <- finish_loadings(matrix(run$parameters$loadings, p, q), run$parameters$uniquenesses, rotation)
  factors <- factor_names(q)
  named <- function(m) matrix(m, p, q, dimnames = list(variables, factors))
  known <- is.null(input$covmat) || input$covmat$mean_known
  mean <- if (known) run$parameters$mean else rep(NA_real_, p)
  parameters <- list(mean = stats::setNames(mean, variables), loadings = named(solution$loadings),
                     uniquenesses = stats::setNames(run$parameters$uniquenesses, variables))
  square <- function(m) matrix(m, q, q, dimnames = list(factors, factors))
  standardized <- list(loadings = structure(named(solution$standardized), class = "loadings"),
                       uniquenesses = stats::setNames(solution$uniquenesses, variables))
  run$starts$polished <- run$starts$polished | run$starts$status != "max_iter"
  starts <- start_table(run)
  starts$heywood <- start_heywood(run, starts$status, variables)
  if (is.null(input$x)) input$x <- matrix(0, ceiling(data$n), 0L)
  fit <- new_em_fit(
    "em_fa", call, input, parameters, run, df = fa_df(q, p, spec$type), nobs = data$n, starts = starts,
    weights = data$weights_given, control = control, n_factors = q, type = spec$type,
    standardized = standardized, loadings = standardized$loadings, uniquenesses = standardized$uniquenesses,
    factor_correlation = square(solution$correlation), rotation = rotation$name,
    rotation_matrix = square(solution$rotation_matrix), rotation_function = rotation$given,
    heywood = variables[run$heywood], scores = NULL, scores_method = spec$scores,
    covmat = if (!is.null(input$covmat)) c(list(mean = mean), input$covmat[c("covariance", "n")])
  )
  if (!is.null(input$covmat)) fit["data"] <- list(NULL)
  fit
}

# The variables whose uniqueness is 0 at the end of each start, in one string; NA for starts not run to the end.
start_heywood <- function(run, status, variables) {
  if (length(run$start_heywood) == 0L) return(rep("", length(status)))
  names <- vapply(run$start_heywood, function(at) paste(variables[at], collapse = ", "), "")
  ifelse(status == "converged", names, NA_character_)
}

# Local maxima of the likelihood, below the best, that have other uniquenesses at 0, highest first: `loglik`, `heywood`.
other_heywood <- function(fit) {
  s <- fit$starts
  here <- fit$starts$heywood[s$best & !is.na(s$heywood)]
  s <- s[!s$best & !is.na(s$heywood) & !s$heywood %in% c("", here), ]
  s <- s[order(-s$loglik), c("loglik", "heywood")]
  s[!duplicated(s$heywood), ]
}

# "Fertility (log-likelihood -1026.33)": the local maxima of other_heywood(), the first few.
other_heywood_words <- function(fit, most = 3L) {
  other <- other_heywood(fit)
  if (nrow(other) == 0L) return(NULL)
  shown <- utils::head(other, most)
  words <- paste(sprintf("%s (log-likelihood %s)", shown$heywood, format_loglik(shown$loglik)), collapse = "; ")
  more <- nrow(other) - nrow(shown)
  if (more > 0L) paste0(words, "; and ", more, " more") else words
}

factor_names <- function(q) paste0("Factor", seq_len(q))

# "uniqueness of a is", "uniquenesses of a, b are".
heywood_words <- function(names) {
  paste(if (length(names) == 1L) "uniqueness of" else "uniquenesses of", abbreviate_list(names),
        if (length(names) == 1L) "is" else "are")
}

warn_fa <- function(fit) {
  if (!fit$converged) {
    em_warn(sprintf("The fit %s. %s", fit$message, not_converged_advice(fit$status)),
            "not_converged")
  }
  if (length(fit$heywood) > 0L) {
    other <- other_heywood_words(fit)
    em_warn(sprintf(paste0(
      "Heywood case: with %s the likelihood is largest where the %s 0, which is where it was left. ",
      "Try fewer factors, or other variables.%s"
    ), count_of(fit$n_factors, "factor"), heywood_words(dQuote(fit$heywood, FALSE)),
    if (is.null(other)) "" else paste0(" Lower local maxima have others at 0: ", other, ".")), "heywood",
    variables = fit$heywood, others = other_heywood(fit))
  }
}
