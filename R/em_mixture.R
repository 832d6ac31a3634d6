#' Finite mixtures of distributions and of regressions
#'
#' Fits mixtures of any family of the package by maximum likelihood with the EM algorithm: mixtures of distributions
#' (`y ~ 1`), mixtures of regressions (`y ~ x`), several responses of different families that are independent given the
#' component, and mixing proportions that depend on concomitant variables (`proportions = ~ z`, a mixture of experts).
#'
#' Row i is in component k with probability \eqn{\pi_k(z_i)}, and given that its responses are independent with the
#' densities of their families, whose means depend on covariates through a link. In the E-step the posterior
#' probabilities of the components are found in one sweep over the rows, which makes the sums that the M-step needs.
#' The M-step is closed where there is a closed form (weighted least squares, for one), and else one guarded Newton
#' step for each iteration, so that the likelihood never falls. Everything is plain maximum likelihood: the variance
#' of a Gaussian component is \eqn{\sum_i z_{ik} r_{ik}^2 / \sum_i z_{ik}}. (The package flexmix divides by less and
#' is not at the maximum; its log-likelihoods are a little lower.)
#'
#' @section Families:
#' gaussian, lognormal, t, gamma, exponential, beta, vonmises, poisson, negative_binomial, zip, zinb, binomial,
#' categorical, multinomial, mvgaussian, gaussian_mixture: the names of [em_hmm()], where their parameters are listed.
#' Family objects of stats are accepted too (`poisson()`, `binomial("probit")`, `Gamma("log")`). `cbind(y1, y2) ~ 1`
#' is a multivariate Gaussian response, counts of a multinomial, or successes and failures of a binomial.
#'
#' @section Missing values:
#' Missing responses are integrated out (missing at random): a row counts with what it observes. Rows that observe
#' nothing stay, with posterior probabilities equal to their proportions, and do not count in `nobs`. Missing
#' covariates are an error.
#'
#' @section Starts and local maxima:
#' Without `start`, many starts are tried (see [em_control()]): hierarchical clusters and k-means of the responses and
#' of their residuals from one regression, random hyperplanes, and regressions through a few random rows, refined by
#' up to three steps of assigning rows to the nearest regression. The likelihood of components with a dispersion of
#' their own has no bound: it grows without limit when a component shrinks onto a few rows that it fits exactly.
#' Starts that end in such a place lose to those that do not: a component must rest on more observations than it has
#' parameters, and its standard deviation may not vanish.
#'
#' @section Identifiability:
#' Mixtures of most families are identified. A mixture of binomial distributions is so only when there are at least
#' \eqn{2K - 1} trials; with single 0/1 responses nothing can tell a mixture from one component without covariates,
#' and with covariates only the assumed shape of the curve can. There is a warning of class
#' `em_warning_identifiability`.
#'
#' @section Separation and saddle points:
#' A covariate that separates the responses of a component (all 0 on one side of a value, all 1 on the other; or no
#' counts at all for a category) lets coefficients of a logistic or count regression grow without limit: the fitted
#' probabilities are 0 and 1 to rounding, the likelihood is at its supremum, and the coefficients are where EM happened
#' to stop. There is a warning of class `em_warning_separation`, and `fit$separation` names response and component.
#' Components with equal parameters (after a `start` in which they are equal, which EM never leaves, or where the data
#' have no more than one) are told of by a warning of class `em_warning_saddle`.
#'
#' @section Comparing models:
#' `AIC()`, `BIC()` and `ICL()`; [anova()][anova.em_mixture] for models with the same number of components. [em_bootstrap()]
#' gives standard errors and intervals by resampling. [em_bootstrap_lrt()] takes fits of [em_gmm()] only; with
#' [simulate()][simulate.em_mixture] and `update()` a parametric bootstrap of the likelihood ratio is a few lines.
#'
#' @param formula A formula with a response, such as `y ~ x`, or a list of such formulas, one for each response
#'   (named, or called by their left sides). `offset()` is allowed.
#' @param data A data frame with the variables.
#' @param n_components Whole numbers >= 1, default 1:4 (with `known` of names: how many they are): the numbers of
#'   components to fit.
#' @param family A name, a family object of stats, or one for each response in a list (see Families). Default
#'   "gaussian".
#' @param proportions A one-sided formula of concomitant variables: the mixing proportions are a multinomial logit of
#'   them. Default `~ 1`: the same for all rows.
#' @param weights An expression in the columns of `data`, numbers >= 0: observation weights. A row of weight 2 counts as
#'   two equal rows, in the likelihood and in `nobs`. Default: none.
#' @param subset Which rows of `data` to use, an expression in its columns.
#' @param known NULL (default), or for each row its component where it is known, and NA where not: a factor or character
#'   vector (its levels name the components), or whole numbers.
#' @param fixed NULL, or parameters to hold: a list with `proportions` (K numbers, NA where free) and `emission`, in
#'   the shapes of `parameters$emission` below with NA where free, for example `list(emission = list(sd = c(1, NA)))`.
#'   Needs a single `n_components`.
#' @param shared NULL, or names of parameters that are equal over the components, such as "sd", or of a covariate whose
#'   coefficient is; for several responses a list named by response.
#' @param start NULL (default), or where to start: a partition (a component for each row), a matrix of posterior
#'   probabilities (n x K), `list(proportions = , emission = )` in the shapes of `parameters`, or a fit. Needs a single
#'   `n_components` (left out, it is that of the start).
#' @param equal_proportions TRUE for equal mixing proportions (then they are not estimated). Default FALSE.
#' @param covariance For responses of the family "mvgaussian": a structure of [em_gmm()], default "VVV".
#' @param n_parts For responses of the family "gaussian_mixture": the number of parts, default 2.
#' @param criterion "BIC" (default), "ICL" or "AIC": what the best of several numbers of components has least of.
#' @param control Made by [em_control()].
#' @param ... Not used; an argument that is not one of the above is an error.
#'
#' @return A list of class `c("em_mixture", "em_fit")`:
#' - `parameters`: `proportions` (K; with concomitant variables the q x K matrix of their coefficients, of which the
#'   first column is 0) and `emission`: the parameters of the response, a list by the names of its family (`mean`,
#'   `sd`; with covariates `coefficients`, p x K, in place of the mean); for several responses a list of such lists.
#'   Components are ordered by decreasing proportion; as given where `known` or `fixed` names them.
#' - `n_components`, `component_names`, `family` (a name for each response).
#' - `loglik`, `log_prior` (0), `df`, `nobs` (sum of the weights of the rows that observe anything), `n_rows`.
#' - `status` ("converged", "max_iter", "non_monotone"), `message`, `converged`, `iterations`, `evaluations`,
#'   `convergence` (`rule`, `last_gain`, `rate`, `remaining_gain`).
#' - `posterior`: n x K probabilities, rows sum to 1; NULL for very large data, see [em_control()].
#' - `classification`: the most probable component of each row.
#' - `selection`: data frame of every number of components: `n_components`, `loglik`, `df`, `AIC`, `BIC`, `ICL`,
#'   `status`, `message`.
#' - `trace`: `iteration`, `loglik`, `log_prior`, `objective`, `step`; `starts`: `start`, `method`, `loglik`, `status`,
#'   `iterations`, `best`.
#' - `degeneracy`: for each component its `size`, the sum of its posterior probabilities, and its `relative_scale`, the
#'   least of its standard deviations relative to that of the data (NA for families without one).
#' - `equal`: names of components with equal parameters; `separation`: data frame `response`, `component` of
#'   coefficients that diverge (see Separation and saddle points).
#' - `call`, `formula`, `variables` (names of the responses), `row_names`, `frame` (the variables), `data` (as the
#'   core takes them), `weights`, `known`, `responses`, `design` and `model` (how they are made of data),
#'   `equal_proportions`, `fixed`, `shared`, `criterion`, `control`, `na_action`.
#'
#' @references DeSarbo, W. S. and Cron, W. L. (1988). A maximum likelihood methodology for clusterwise linear
#'   regression. *Journal of Classification* 5, 249-282. \doi{10.1007/BF01897167}
#'
#' Jacobs, R. A., Jordan, M. I., Nowlan, S. J. and Hinton, G. E. (1991). Adaptive mixtures of local experts. *Neural
#' Computation* 3, 79-87. \doi{10.1162/neco.1991.3.1.79}
#'
#' McLachlan, G. and Peel, D. (2000). *Finite Mixture Models*. Wiley. \doi{10.1002/0471721182}
#'
#' Gruen, B. and Leisch, F. (2008). FlexMix version 2: finite mixtures with concomitant variables and varying and
#' constant parameters. *Journal of Statistical Software* 28(4). \doi{10.18637/jss.v028.i04}
#' @seealso [predict()][predict.em_mixture], [summary()][summary.em_mixture], [em_gmm()] for Gaussian mixtures of many
#'   variables, [em_hmm()] for rows in sequence.
#' @examples
#' # Two regression lines
#' set.seed(1)
#' d <- data.frame(x = runif(100, 0, 10), z = rnorm(100))
#' k <- rbinom(100, 1, plogis(d$z)) + 1
#' d$y <- c(1, 10)[k] + c(2, -1)[k] * d$x + rnorm(100)
#' fit <- em_mixture(y ~ x, d, n_components = 2)
#' summary(fit)
#'
#' # whose proportions depend on z
#' em_mixture(y ~ x, d, n_components = 2, proportions = ~ z)
#'
#' # A mixture of Poisson distributions, of a number of components to be found
#' d$count <- rpois(100, c(2, 9)[k])
#' em_mixture(count ~ 1, d, n_components = 1:3, family = "poisson")$selection
#' @export
em_mixture <- function(formula, data = NULL, n_components = 1:4, family = "gaussian", proportions = ~ 1, weights,
                       subset, known = NULL, fixed = NULL, shared = NULL, start = NULL, equal_proportions = FALSE,
                       covariance = NULL, n_parts = NULL, criterion = "BIC", control = em_control(), ...) {
  check_dots_empty(..., .function = "em_mixture")
  call <- match.call()
  call[[1L]] <- quote(em_mixture)
  control <- check_control(control)
  criterion <- check_choice(criterion, "criterion", c("BIC", "ICL", "AIC"))
  # substitute() and not the call: behind another function's dots that has a number for an expression.
  by_row <- list(weights = substitute(weights), subset = substitute(subset))
  input <- mixture_input(formula, data, family, proportions, covariance, n_parts, by_row, parent.frame())
  n <- input$n
  if (n == 1L) em_abort("The data have one row; a mixture cannot be estimated from one observation.", "too_few_rows")
  wanted <- if (missing(n_components)) {
    if (is.null(start)) number_of_names(known)
  } else {
    check_components(n_components, n)
  }
  known <- check_known(known_rows(known, input), n, wanted, NULL)
  start <- mixture_start(start, input, wanted)
  if (!is.null(start)) wanted <- start$n_components
  if (is.null(wanted)) wanted <- seq_len(min(4L, n))
  spec <- mixture_spec(input, known, fixed, shared, check_flag(equal_proportions, "equal_proportions"), wanted)
  if (!is.null(start)) start <- mixture_core_start(start, spec)
  warn_unidentified(spec, wanted)
  search_mixture(spec, sort(unique(wanted)), start, criterion, control, call)
}

# ---- input ---------------------------------------------------------------------------------------

# What the formulas say of the data (`by_row`: the expressions of weights and subset): responses, the design of the
# proportions (NULL for none), weights, n, row_names, frame (the variables), rows (those of `data` that subset leaves,
# or NULL).
mixture_input <- function(formula, data, family, proportions, covariance, n_parts, by_row, env) {
  data <- check_data_frame(data)
  n_given <- if (is.null(data)) NULL else nrow(data)
  rows <- NULL
  subset <- look_up_rows(by_row$subset, data, env, "subset")
  if (!is.null(subset)) {
    if (is.null(data)) em_abort("`subset` needs `data`.", "subset")
    rows <- subset_rows(subset, nrow(data))
  }
  weights <- look_up_rows(by_row$weights, data, env, "weights")
  weights <- check_weights(weights, if (is.null(n_given)) length(weights) else n_given)
  if (!is.null(rows)) {
    data <- data[rows, , drop = FALSE]
    weights <- weights[rows]
  }
  specs <- response_specs(formula, data, family, covariance, n_parts)
  if (!is.null(weights)) weights <- check_weights(weights, specs$n)
  if (is.null(data)) data <- variables_frame(formula, proportions, specs$n)
  list(
    formula = formula, responses = specs$responses, design = proportions_design(proportions, data, specs$n),
    weights = weights, n = specs$n, row_names = specs$row_names, frame = kept_variables(data, formula, proportions),
    rows = rows, n_given = if (is.null(n_given)) specs$n else n_given
  )
}

# The value of an expression in the columns of the data; NULL for an argument that was left out.
look_up_rows <- function(expression, data, env, argument) {
  if (identical(expression, quote(expr = ))) NULL else look_up(expression, data, env, argument)
}

# Numbers of the rows that an evaluated `subset` chooses.
subset_rows <- function(subset, n) {
  if (is.logical(subset) && length(subset) == n) return(which(subset))
  if (is.numeric(subset) && !anyNA(subset) && all(abs(subset) <= n)) return(seq_len(n)[subset])
  em_abort(sprintf("`subset` must choose among the %d rows of `data`: %d logical values, or row numbers.", n, n),
           "subset")
}

# The labels of the rows in use: `known` may have a value for each row of `data`, or for each that subset leaves.
known_rows <- function(known, input) {
  if (!is.null(input$rows) && length(known) == input$n_given && input$n_given != input$n) known[input$rows] else known
}

formula_variables <- function(formula, proportions) {
  formulas <- c(if (inherits(formula, "formula")) list(formula) else formula, list(proportions))
  unique(unlist(lapply(formulas, all.vars)))
}

# The columns that the formulas name: what new data must have too.
kept_variables <- function(data, formula, proportions) {
  if ("." %in% formula_variables(formula, proportions)) return(data)
  data[intersect(names(data), formula_variables(formula, proportions))]
}

# Variables that live where the formulas were written, as a data frame.
variables_frame <- function(formula, proportions, n) {
  env <- environment(if (inherits(formula, "formula")) formula else formula[[1L]])
  columns <- lapply(stats::setNames(nm = formula_variables(formula, proportions)), get0, envir = env)
  columns <- Filter(function(v) NROW(v) == n && !is.function(v), columns)
  as.data.frame(lapply(columns, function(v) if (is.matrix(v)) I(v) else v), optional = TRUE)
}

# The design of `proportions = ~ z`, or NULL where there is only a constant.
proportions_design <- function(proportions, data, n) {
  if (!inherits(proportions, "formula") || length(proportions) != 2L) {
    em_abort("`proportions` must be a one-sided formula, such as ~ 1 or ~ z.", "formula")
  }
  frame <- frame_of(proportions, data)
  design <- design_of(attr(frame, "terms"), frame, n, "`proportions`")
  if (!is.null(design$offset)) em_abort("`proportions` cannot have an offset.", "formula")
  if (is.null(design$x)) return(NULL)
  if (nrow(design$x) != n) {
    em_abort(sprintf("The variables of `proportions` have %d rows; the responses have %d.", nrow(design$x), n),
             "formula")
  }
  design$variables <- row_variables(design$terms, data, n)
  standardise_design(design, "`proportions`")
}

# Everything that a fit needs to know, whatever the number of components.
mixture_spec <- function(input, known, fixed, shared, equal_proportions, n_components) {
  if (!is.null(fixed)) {
    if (!is.list(fixed) || length(fixed) == 0L || is.null(names(fixed)) || any(names(fixed) == "")) {
      em_abort("`fixed` must be a list with `proportions` or `emission`.", "fixed")
    }
    # What is named otherwise belongs to the responses.
    rest <- fixed[setdiff(names(fixed), c("proportions", "emission"))]
    if (length(rest) > 0L) {
      if (!is.null(fixed$emission)) {
        em_abort("`fixed` has both `emission` and parameters of responses beside it.", "fixed")
      }
      fixed <- c(fixed["proportions"], list(emission = rest))
    }
    if (length(n_components) != 1L) em_abort("`fixed` needs a single `n_components`.", "fixed")
  }
  if (!is.null(input$design) && equal_proportions) {
    em_abort("`equal_proportions` and covariates in `proportions` exclude each other.", "argument")
  }
  responses <- input$responses
  empty <- vapply(responses, function(r) all(is.na(r$y)), NA)
  if (any(empty)) {
    em_abort(sprintf("The response %s has no observed value. Leave it out.",
                     dQuote(names(responses)[empty][1L], FALSE)), "all_missing")
  }
  spec <- input
  spec$responses <- constrain_responses(responses, fixed$emission, shared, max(n_components))
  spec$shared <- shared
  spec$fixed <- fixed
  spec$fixed_proportions <- check_fixed_proportions(fixed$proportions, n_components, equal_proportions, input$design)
  spec$equal_proportions <- equal_proportions
  spec["known"] <- list(known$labels)
  spec$known_names <- known$names
  spec$observed <- rows_observed(responses)
  spec
}

check_fixed_proportions <- function(p, k, equal_proportions, design) {
  if (is.null(p)) return(NULL)
  if (equal_proportions) em_abort("`fixed$proportions` and `equal_proportions` exclude each other.", "fixed")
  if (!is.null(design)) em_abort("`fixed$proportions` and covariates in `proportions` exclude each other.", "fixed")
  p <- as.double(p)
  total <- sum(p, na.rm = TRUE)
  closed <- if (anyNA(p)) total < 1 else abs(total - 1) < 1e-8
  if (length(p) != k || any(p <= 0, na.rm = TRUE) || !closed) {
    em_abort(sprintf(paste0("`fixed$proportions` must be %d positive numbers (NA where free) that sum to 1, or to ",
                            "less where some are free."), k), "fixed")
  }
  p
}

mixture_nobs <- function(spec) {
  if (is.null(spec$weights)) sum(spec$observed) else sum(spec$weights[spec$observed])
}

# Single 0/1 responses say nothing of the components.
warn_unidentified <- function(spec, n_components) {
  if (max(n_components) == 1L || length(spec$responses) > 1L || !is.null(spec$known)) return(invisible())
  response <- spec$responses[[1L]]
  name <- response$family$name
  trials <- switch(name, binomial = max(response$y[, 2L], na.rm = TRUE), categorical = 1,
                   multinomial = max(rowSums(response$y)[spec$observed], na.rm = TRUE), Inf)
  regression <- has_predictor(response$design)
  needed <- if (regression) 2 else 2 * max(n_components) - 1
  if (trials >= needed) return(invisible())
  why <- if (regression) {
    "with single trials only the assumed form of the regression tells components apart"
  } else {
    sprintf("with fewer than %d, many parameters of %d components have the same likelihood", needed, max(n_components))
  }
  em_warn(sprintf("The response %s has at most %s: %s. Use repeated trials, several responses, or fewer components.",
                  dQuote(response$name, FALSE), count_of(trials, "trial"), why), "identifiability")
}

# ---- the core's terms ----------------------------------------------------------------------------

mixture_core_data <- function(spec) {
  list(
    responses = unname(lapply(spec$responses, core_response)), n = spec$n, known = spec$known, weights = spec$weights,
    x_proportions = if (!is.null(spec$design)) core_columns(spec$design)
  )
}

mixture_core_model <- function(spec, k) {
  kind <- if (!is.null(spec$design)) "logit" else if (spec$equal_proportions) "equal" else
    if (!is.null(spec$fixed_proportions)) "fixed" else "free"
  list(n_components = as.integer(k), proportions = list(kind = kind, fixed = spec$fixed_proportions),
       least_size = least_sizes(spec, k))
}

# How many observations each component needs: one more than the parameters that a dispersion of its own is measured
# with. With fewer the likelihood is high for no reason in the data, or has no bound.
least_sizes <- function(spec, k) {
  if (k == 1L) return(0)
  needed <- vapply(spec$responses, function(response) {
    spread <- intersect(response$family$parameter_names, c("sd", "sdlog", "scale", "covariance", "shape", "precision"))
    p <- n_coefficients(response$design)
    m <- n_natural(response)
    last <- if (response$family$name == "mvgaussian") ncol(response$y) else if (is.null(p)) 1 else p
    own <- is.null(response$shared) || !all(response$shared[-seq_len(last)])
    held <- !is.null(response$fixed) && all(!is.na(response$fixed[m, ]))
    if (length(spread) == 0L || !own || held) 0 else last + 1
  }, 0)
  per_row <- if (is.null(spec$weights)) 1 else mean(spec$weights[spec$observed & spec$weights > 0])
  max(needed) * per_row
}

mixture_to_core <- function(parameters, spec, k) {
  proportions <- parameters$proportions
  if (!is.null(spec$design)) proportions <- design_to_core(as.matrix(proportions), spec$design)
  list(proportions = unname(as.matrix(proportions)),
       emission = unname(emission_to_core(parameters$emission, spec$responses, k)))
}

mixture_from_core <- function(core, spec, labels) {
  proportions <- core$proportions
  if (is.null(spec$design)) {
    proportions <- stats::setNames(as.vector(proportions), labels)
  } else {
    proportions <- design_from_core(proportions, spec$design)
    dimnames(proportions) <- list(spec$design$names, labels)
  }
  list(proportions = proportions, emission = emission_from_core(core$emission, spec$responses, labels))
}

# The core's parameters with the components in another order.
reorder_mixture <- function(core, order, spec) {
  core$proportions <- if (is.null(spec$design)) core$proportions[order, , drop = FALSE] else {
    # The first component is the reference.
    core$proportions[, order, drop = FALSE] - core$proportions[, order[1L]]
  }
  core$emission <- lapply(core$emission, function(m) m[, order, drop = FALSE])
  core
}

# ---- the search ----------------------------------------------------------------------------------

search_mixture <- function(spec, n_components, start, criterion, control, call) {
  threads <- resolve_threads(control)
  effort <- mixture_effort(control, spec, max(n_components))
  sampled <- is.null(start) && spec$n > control$search_rows
  look <- if (is.null(start) && !sampled) mixture_views(spec, max(n_components))
  runs <- lapply(n_components, function(k) fit_mixture(spec, look, k, start, effort, threads))
  table <- mixture_selection(spec, n_components, runs)
  best <- which.min(table[[criterion]])
  if (length(best) == 0L) abort_mixture(runs, n_components)
  fit <- build_mixture(spec, n_components[best], runs[[best]], table, criterion, control, threads, call)
  if (!fit$converged) {
    em_warn(sprintf("The fit with %s %s. %s", count_components(fit$n_components), fit$message,
                    not_converged_advice(fit$status)), "not_converged")
  }
  concerns <- mixture_concerns(fit)
  if (length(concerns) > 0L) {
    em_warn(sprintf("In the fit with %s %s. Use fewer components, or share a parameter (`shared = \"sd\"`).",
                    count_components(fit$n_components), paste(concerns, collapse = "; ")), "near_degenerate")
  }
  warn_of_equals(fit$equal, "component")
  warn_of_separation(fit$separation, "component")
  fit
}

# Starts are cheap: all that are asked for take no longer than one long run.
mixture_effort <- function(control, spec, k) {
  width <- sum(vapply(spec$responses, function(r) 4 + length(r$design$names)^2 + ncol(r$y)^2, 0))
  work <- as.double(spec$n) * k * width
  if (is.null(control$n_starts)) control$n_starts <- if (work < 2e5) 60L else if (work < 2e6) 30L else 12L
  if (is.null(control$n_polish)) control$n_polish <- if (work < 2e5) 15L else if (work < 2e6) 6L else 2L
  control
}

fit_mixture <- function(spec, look, k, start, control, threads) {
  observed <- sum(spec$observed)
  if (k > observed) {
    return(list(fitted = FALSE, message = sprintf("only %d rows observe anything", observed)))
  }
  starts <- if (!is.null(start)) list(start)
  if (is.null(starts) && is.null(look) && k > 1L) starts <- sampled_mixture_starts(spec, k, control, threads)
  if (is.null(starts)) {
    if (is.null(look) && k > 1L) look <- mixture_views(spec, k)
    starts <- mixture_starts(spec, look, k, control$n_starts)
  }
  mixture_fit_(mixture_core_data(spec), mixture_core_model(spec, k), starts, mixture_control(control, threads),
               progress_display(control, "starts"))
}

mixture_control <- function(control, threads) {
  list(tol = control$tol, max_iter = control$max_iter, accelerator = resolve_acceleration(control),
       n_short = control$n_short, n_polish = control$n_polish, threads = threads)
}

mixture_selection <- function(spec, n_components, runs) {
  fitted <- vapply(runs, function(r) isTRUE(r$fitted), NA)
  value <- function(field) {
    vapply(seq_along(runs), function(i) if (fitted[i]) as.double(runs[[i]][[field]]) else NA_real_, 0)
  }
  loglik <- value("loglik")
  df <- value("df")
  bic <- -2 * loglik + df * log(mixture_nobs(spec))
  status <- vapply(runs, function(r) {
    if (isTRUE(r$fitted)) r$status else if (is.null(r$status)) "failed" else "degenerate"
  }, "")
  message <- vapply(runs, mixture_message, "")
  data.frame(n_components = n_components, loglik = loglik, df = df, AIC = -2 * loglik + 2 * df, BIC = bic,
             ICL = bic - 2 * value("map_entropy"), status = status, message = message)
}

# What to say of a run, "" where all is well.
mixture_message <- function(run) {
  if (isTRUE(run$fitted)) return(if (run$status == "max_iter") "stopped at the iteration limit" else "")
  if (!is.null(run$message)) return(run$message)
  component <- sprintf("component %d", run$degenerate_component)
  switch(run$degeneracy,
    vanished = paste(component, "was left with fewer observations than its parameters need"),
    singular = sprintf("%s collapsed: its variance went to zero", component),
    not_finite = "the likelihood is not finite",
    "no start led to a fit")
}

abort_mixture <- function(runs, n_components) {
  run <- runs[[1L]]
  row <- run$impossible_row
  if (!is.null(row) && !is.na(row)) {
    em_abort(sprintf(paste0("Row %s is impossible under every component, in every start. The parameters that are ",
                            "fixed or given do not allow it."), format(row)), "impossible_row", row = as.integer(row))
  }
  em_abort(sprintf(paste0("The mixture with %s: %s, in every start. Too few rows for a component, and duplicated or ",
                          "rounded values do this. Try fewer components, or share a parameter (`shared = \"sd\"`)."),
                   count_components(n_components[1L]), mixture_message(run)),
           "degenerate", component = run$degenerate_component)
}

build_mixture <- function(spec, k, run, table, criterion, control, threads, call) {
  core <- run$parameters
  order <- seq_len(k)
  if (is.null(spec$known) && is.null(spec$fixed)) {
    order <- order(-signif(run$counts, 10L), vapply(seq_len(k), function(j) core$emission[[1L]][1L, j], 0))
  }
  core <- reorder_mixture(core, order, spec)
  labels <- as.character(seq_len(k))
  if (!is.null(spec$known_names)) labels[seq_along(spec$known_names)] <- spec$known_names
  keep <- control$keep_posterior
  if (identical(keep, "auto")) keep <- as.double(spec$n) * k <= 1e7
  data <- mixture_core_data(spec)
  model <- mixture_core_model(spec, k)
  posterior <- mixture_evaluate_(data, model, core, "posterior", threads)
  dimnames(posterior) <- list(spec$row_names, labels)
  input <- list(formula = spec$formula, terms = NULL, variables = names(spec$responses), row_names = spec$row_names)
  fit <- new_em_fit(
    "em_mixture", call, input, mixture_from_core(core, spec, labels), run, df = run$df, nobs = mixture_nobs(spec),
    starts = start_table(run), weights = spec$weights, control = control,
    n_components = as.integer(k), component_names = labels,
    family = vapply(spec$responses, function(r) r$family$name, ""), selection = table, criterion = criterion,
    posterior = if (keep) posterior,
    classification = stats::setNames(max.col(posterior, "first"), spec$row_names), known = spec$known,
    responses = lapply(spec$responses, strip_response), design = strip_design(spec$design), model = model,
    equal_proportions = spec$equal_proportions, fixed = spec$fixed, shared = spec$shared,
    degeneracy = mixture_degeneracy(spec, core, run$counts[order], labels)
  )
  fit$equal <- equal_components(spec$responses, core$emission, labels)
  fit$separation <- separated_components(spec$responses, data$responses, core$emission, labels, function() posterior,
                                        "component")
  fit["data"] <- list(if (control$keep_data) data)
  fit["frame"] <- list(if (control$keep_data) spec$frame)
  fit$n_rows <- spec$n
  fit
}

# The size of each component, and the least of its spreads relative to the data's.
mixture_degeneracy <- function(spec, core, sizes, labels) {
  scales <- lapply(seq_along(spec$responses), function(r) {
    relative_scale(spec$responses[[r]], core$emission[[r]], spec$responses[[r]]$y)
  })
  data.frame(component = labels, size = sizes,
             relative_scale = suppressWarnings(do.call(pmin, c(scales, na.rm = TRUE))))
}

# Components that hardly have a size or a spread, in words; none: character().
mixture_concerns <- function(fit) {
  table <- fit$degeneracy
  say <- function(which, words) {
    if (any(which)) sprintf(words, abbreviate_list(table$component[which])) else character()
  }
  c(say(table$size < 1e-3 * fit$nobs / fit$n_rows, "component %s has (almost) no rows: its parameters mean nothing"),
    say(!is.na(table$relative_scale) & table$relative_scale < narrow_scale,
        "component %s has (almost) no spread: it sits on a few rows, and its likelihood may have no limit"))
}
