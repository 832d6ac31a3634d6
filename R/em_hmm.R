#' Hidden Markov models
#'
#' Fits hidden Markov models by maximum likelihood with the EM algorithm: one or several responses of any of the
#' families below, covariates on their means, on the transitions and on the initial distribution, one or many sequences,
#' missing responses, and known states, fixed and shared parameters.
#'
#' Given the state \eqn{S_t} at time t the responses of that time are independent of everything else, and of each other.
#' The states form a Markov chain with initial distribution \eqn{P(S_1 = k)} and transition matrix
#' \eqn{P(S_t = j \mid S_{t-1} = i)} (row i, column j). Sequences are independent and share all parameters.
#'
#' @section Families:
#' A family is a string, or a family object of stats: `gaussian()`, `poisson()`, `binomial()`, `Gamma()`. The names of
#' the parameters below are those of `fit$parameters$emission`, of `start`, `fixed` and `shared`; each is a vector with
#' a value for each state unless said. With covariates (or an offset) on the right of the formula, `coefficients` (p x
#' K, of the linear predictor) replaces the first parameter.
#'
#' | family | parameters | link | response |
#' |:---|:---|:---|:---|
#' | `"gaussian"` | `mean`, `sd` | identity, log | a number |
#' | `"lognormal"` | `meanlog`, `sdlog` | identity | a number above 0 |
#' | `"t"` | `mean`, `scale`, `df` | identity | a number |
#' | `"gamma"` | `mean`, `shape` | log, inverse, identity | a number above 0 |
#' | `"exponential"` | `mean` | log | a number, at least 0 |
#' | `"beta"` | `mean`, `precision` | logit | a number between 0 and 1 |
#' | `"vonmises"` | `mean`, `concentration` | tan(mean / 2) | an angle in radians |
#' | `"poisson"` | `lambda` | log | a count |
#' | `"negative_binomial"` | `mean`, `size` | log | a count |
#' | `"zip"` (zero-inflated Poisson) | `lambda`, `zero` | log | a count |
#' | `"zinb"` (zero-inflated negative binomial) | `mean`, `size`, `zero` | log | a count |
#' | `"binomial"` | `prob` | logit, probit, cloglog | 0/1, a factor of two levels, `cbind(successes, failures)` |
#' | `"categorical"` | `prob` (K x categories) | logit | a factor |
#' | `"multinomial"` | `prob` (K x categories) | | `cbind()` of counts |
#' | `"mvgaussian"` | `mean` (d x K), `covariance` (d x d x K) | | `cbind()` of numbers; see `covariance` |
#' | `"gaussian_mixture"` | `proportions`, `mean`, `sd` (M x K) | | a number; see `n_parts` |
#'
#' @section States:
#' States are ordered by increasing first parameter of the first response (its mean, rate or probability; with
#' covariates the mean at the average of the covariates), or as `order_by` says. They keep the user's order where that
#' has a meaning: with `known`, `fixed`, `topology`, or an `initial` distribution that is given.
#'
#' @section Timing of transition covariates:
#' With `timing = "from"` (default) the transition from t - 1 to t depends on the covariates of row t - 1, as in
#' depmixS4 and hmmTMB; with `"to"` on those of row t, as in seqHMM and momentuHMM. The two are different models.
#' Decoding, residuals, simulation and forecasts use the timing of the fit.
#'
#' @section Missing values:
#' Missing responses (NA) are integrated out exactly: rows that observe nothing, and rows that observe some of the
#' responses or some of the columns of a multivariate one. Keep such rows in the data: leaving them out would shorten
#' the time between their neighbours. A missing covariate is an error that names the row, in rows whose covariates the
#' model uses: of the responses those of all rows; of the transitions, with `timing = "from"`, those of all rows but the
#' last of each sequence, and with `"to"` of all but the first; of the initial distribution those of each first row.
#' The same holds for new data.
#'
#' @section Degrees of freedom and number of observations:
#' `df` counts K - 1 for a free initial distribution (the coefficients with a formula; none when it is stationary or
#' given), and K (K - 1) for the transitions (times the number of coefficients with covariates), less structural zeros
#' and fixed values, and the free parameters of the responses, shared ones once. Where all sequences have one row the
#' transitions are not estimated and not counted (warning `em_warning_not_identified`). `nobs` is the number of rows
#' that observe at least one response (the sum of their weights, if there are weights); `BIC()` uses it.
#'
#' @section Algorithms and starts:
#' The E-step is the scaled forward-backward algorithm (Baum et al. 1970; Rabiner 1989), the M-step maximises exactly
#' where that has a closed form and otherwise goes a Newton step uphill (generalised EM); a stationary initial
#' distribution is part of the M-step of the transitions (Zucchini, MacDonald and Langrock 2016). Variances of the
#' estimates are from the exact score (Lystig and Hughes 2002). See [em_control()] for convergence and acceleration.
#' Without `start`, many partitions of the rows are tried (quantiles and k-means++ of the responses, of the responses
#' with their neighbours in time, contiguous segments and random ones) for a few steps each, and the best of them run to
#' convergence; `fit$starts` is their table. Random starts depend on `set.seed()` alone.
#'
#' @section Warnings:
#' Solutions that say little about the data are told of, by warnings with a class: `em_warning_empty_state`, a state
#' that is not visited; `em_warning_spurious`, a state with no more expected visits than parameters of its own;
#' `em_warning_near_degenerate`, a state with (almost) no spread; `em_warning_saddle`, states with equal parameters, as
#' after a `start` with equal states, which EM never leaves; `em_warning_separation`, coefficients of a logistic or
#' count regression that grow without limit because the covariates separate the responses of a state.
#'
#' @section Comparing models:
#' `AIC()`, `BIC()` and `ICL()`; [anova()][anova.em_hmm] for models with the same number of states. [em_bootstrap()]
#' gives standard errors and intervals by resampling sequences or by simulation. [em_bootstrap_lrt()] takes fits of
#' [em_gmm()] only; with [simulate()][simulate.em_hmm] and `update()` a parametric bootstrap of the likelihood ratio is
#' a few lines.
#'
#' @param x A formula `response ~ covariates` (`y ~ 1` without), or a list of formulas for several responses; their
#'   names, if they have some, name the responses. Or a numeric vector, or a matrix or data frame whose columns are one
#'   multivariate response.
#' @param formulas A formula, as `x`.
#' @param data For formulas: the data frame of the variables. `id`, `time`, `weights` and `known` are looked up there
#'   too.
#' @param n_states Whole numbers >= 1. Of several the one with the least BIC is returned, with all in `fit$selection`.
#'   May be left out where `start` or the names in `known` tell it.
#' @param family A family (see Families), or a list of them, in the order of the responses or named by response. Default
#'   "gaussian"; of several columns that is "mvgaussian".
#' @param transition One-sided formula of the covariates of the transitions, default `~ 1`: rows of a multinomial
#'   logit. Or a K x K matrix of probabilities to hold fixed, with NA where free.
#' @param initial `~ 1` or "free" (default): estimated, the same for all sequences. A one-sided formula: depends on
#'   covariates at a sequence's first row, by a multinomial logit. "stationary": the stationary law of the transition
#'   matrix. K probabilities: fixed. A K x (number of sequences) matrix: fixed for each sequence.
#' @param id NULL (default: one sequence), or what tells sequences apart: a one-sided formula such as `~ subject`, a
#'   column of `data` or a vector. Sequences may be mixed in the data; the order of rows within one is its order in
#'   time.
#' @param time NULL (default), or the times of the rows (formula, column or vector): they must increase within each
#'   sequence. Only their order is used.
#' @param ntimes NULL (default), or the lengths of consecutive sequences, in place of `id`.
#' @param timing "from" (default) or "to", see Timing.
#' @param topology NULL (default: every transition is possible), "left-right" (to the same or a later state), "bakis"
#'   (to the same or one of the next two), or a K x K matrix of 0 and 1. Impossible transitions have probability zero
#'   and do not count in `df`.
#' @param shared NULL, or names of parameters that are equal in all states (for several responses a list named by
#'   response): `shared = "sd"`, `shared = list(rt = "sd")`, or names of covariates.
#' @param fixed NULL, or parameters to hold: `list(initial = , transition = , emission = )` in the shapes of `start`,
#'   with NA where free. An element named after a response, or for one response after a parameter, is taken as part of
#'   `emission`: `fixed = list(sd = c(NA, 0.2))`.
#' @param known NULL, or for each row its state where that is known, and NA where not: a factor or character vector
#'   (its levels name the states, in this order), whole numbers, or the name of a column of `data`.
#' @param weights NULL (default), or a number > 0 for each sequence, or for each row (constant within a sequence). A
#'   sequence of weight 2 counts as two.
#' @param start NULL (default), or where to start: `list(initial = , transition = , emission = )` in the shapes of
#'   `fit$parameters` (`initial` and `transition` may be left out), a previous fit, a state for each row, or an n x K
#'   matrix of posterior probabilities.
#' @param order_by NULL (default), or what orders the states: the name of a response, of a parameter of the first
#'   response, or `c(response, parameter)`.
#' @param covariance For "mvgaussian": the structure of the covariance matrices, a code or alias of [em_gmm()],
#'   default "VVV".
#' @param n_parts For "gaussian_mixture": the number of Gaussian parts in each state, default 2.
#' @param control Made by [em_control()].
#' @param ... Not used; an argument that is not one of the above is an error.
#'
#' @return A list of class `c("em_hmm", "em_fit")`:
#' - `parameters`: `initial` (K; q x K coefficients with a formula; K x sequences when given for each), `transition`
#'   (K x K, rows sum to 1; q x K x K coefficients `[covariate, from, to]` with covariates, 0 for the reference, which
#'   is staying), `emission` (see Families; with several responses a list of such lists).
#' - `n_states`, `state_names`, `timing`, `topology`.
#' - `loglik`, `log_prior` (0), `df`, `nobs`, `n_rows`, `status` ("converged", "max_iter", "non_monotone"), `message`,
#'   `converged`, `iterations`, `evaluations`, `convergence` (`rule`, `last_gain`, `rate`, `remaining_gain`).
#' - `posterior`: n x K probabilities of the states given all data, in the order of the rows of the data; NULL for very
#'   large data, see [em_control()]. `states`: the most probable sequence of states (Viterbi), by number.
#' - `sequences`: data frame `id`, `n`, `loglik`. `counts`: expected numbers of visits of the states.
#' - `degeneracy`: data frame `state`, `visits`, `dwell` (expected length of a stay; NA with covariates),
#'   `relative_scale` (its least standard deviation relative to that of the data; NA for families without one).
#' - `selection`: data frame `n_states`, `loglik`, `df`, `AIC`, `BIC`, `ICL`, `status`, `message`.
#' - `equal`: names of states with equal parameters (see Warnings); `separation`: data frame `response`, `state` of
#'   coefficients that diverge; `transitions_seen`: whether any sequence has a second row.
#' - `trace`, `starts`: as of every fit, see [em_gmm()].
#' - `call`, `formula`, `responses` (families and designs), `data`, `frame`, `weights`, `known`, `control`, ....
#'
#' @references
#' Baum, L. E., Petrie, T., Soules, G. and Weiss, N. (1970). A maximization technique occurring in the statistical
#' analysis of probabilistic functions of Markov chains. *Annals of Mathematical Statistics* 41, 164-171.
#' \doi{10.1214/aoms/1177697196}
#'
#' Rabiner, L. R. (1989). A tutorial on hidden Markov models and selected applications in speech recognition.
#' *Proceedings of the IEEE* 77, 257-286. \doi{10.1109/5.18626}
#'
#' Zucchini, W., MacDonald, I. L. and Langrock, R. (2016). *Hidden Markov Models for Time Series: An Introduction Using
#' R*, 2nd edition. Chapman and Hall/CRC. \doi{10.1201/b20790}
#'
#' Lystig, T. C. and Hughes, J. P. (2002). Exact computation of the observed information matrix for hidden Markov
#' models. *Journal of Computational and Graphical Statistics* 11, 678-689. \doi{10.1198/106186002402}
#' @seealso [predict()][predict.em_hmm], [residuals()][residuals.em_hmm], [simulate()][simulate.em_hmm], [viterbi()],
#'   [posterior()], [stationary()], [summary()][summary.em_hmm], [em_control()].
#' @examples
#' # Waiting times of a geyser: two kinds, which follow each other in a pattern
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' fit
#' fit$parameters$transition
#' predict(fit, type = "forecast", h = 3)
#'
#' # Counts with missing values; the number of states by BIC
#' counts <- replace(as.vector(discoveries), 5:8, NA)
#' em_hmm(counts, n_states = 1:3, family = "poisson")$selection
#' @export
em_hmm <- function(x, ...) UseMethod("em_hmm")

#' @rdname em_hmm
#' @export
em_hmm.formula <- function(formulas, data = NULL, n_states, family = "gaussian", transition = ~ 1, initial = ~ 1,
                           id = NULL, time = NULL, ntimes = NULL, timing = c("from", "to"), topology = NULL,
                           shared = NULL, fixed = NULL, known = NULL, weights = NULL, start = NULL, order_by = NULL,
                           covariance = NULL, n_parts = NULL, control = em_control(), ...) {
  check_dots_empty(..., .function = "em_hmm")
  call <- match.call()
  call[[1L]] <- quote(em_hmm)
  env <- parent.frame()
  data <- check_data_frame(data)
  specs <- response_specs(formulas, data, family, covariance, n_parts)
  # substitute() and not the call: behind another function's dots that has a number for an expression.
  by_row <- list(id = substitute(id), time = substitute(time), weights = substitute(weights), known = substitute(known))
  input <- list(
    specs = specs, data = data, env = env, formula = formula_field(formulas), by_row = by_row,
    id = look_up(by_row$id, data, env, "id", id), time = look_up(by_row$time, data, env, "time", time),
    weights = look_up(by_row$weights, data, env, "weights", weights),
    known = look_up(by_row$known, data, env, "known", known),
    id_formula = as_lookup(by_row$id, data, env, id), time_formula = as_lookup(by_row$time, data, env, time)
  )
  fit_hmm(input, if (missing(n_states)) NULL else n_states, transition, initial, ntimes, match_choice(timing), topology,
          shared, fixed, start, order_by, control, call)
}

#' @rdname em_hmm
#' @export
em_hmm.list <- function(x, ...) {
  call <- sys.call()
  call[[1L]] <- em_hmm.formula
  eval(call, parent.frame())
}

#' @rdname em_hmm
#' @export
em_hmm.default <- function(x, n_states, family = "gaussian", transition = ~ 1, initial = ~ 1, id = NULL, time = NULL,
                           ntimes = NULL, timing = c("from", "to"), topology = NULL, shared = NULL, fixed = NULL,
                           known = NULL, weights = NULL, start = NULL, order_by = NULL, covariance = NULL,
                           n_parts = NULL, control = em_control(), ...) {
  if ("data" %in% ...names()) {
    check_fails("x", "a formula such as y ~ 1, or a list of formulas, where there is `data`", x, "formula")
  }
  check_dots_empty(..., .function = "em_hmm")
  call <- match.call()
  call[[1L]] <- quote(em_hmm)
  env <- parent.frame()
  name <- if (is.name(call$x)) as.character(call$x) else "x"
  specs <- response_specs_data(x, name, family, covariance, n_parts)
  input <- list(
    specs = specs, data = NULL, env = env, formula = NULL, id = id, time = time, weights = weights, known = known,
    id_formula = NULL, time_formula = NULL
  )
  fit_hmm(input, if (missing(n_states)) NULL else n_states, transition, initial, ntimes, match_choice(timing), topology,
          shared, fixed, start, order_by, control, call)
}

# A formula, or the list of several with the environment where they were written.
formula_field <- function(formulas) {
  if (inherits(formulas, "formula")) return(formulas)
  if (length(formulas) == 1L) return(formulas[[1L]])
  structure(formulas, .Environment = environment(formulas[[1L]]))
}

# The body of all methods: checks, one fit for each number of states, the choice.
fit_hmm <- function(input, n_states, transition, initial, ntimes, timing, topology, shared, fixed, start, order_by,
                    control, call) {
  control <- check_control(control)
  threads <- resolve_threads(control)
  specs <- input$specs
  n <- specs$n
  sequences <- hmm_sequences(input$id, input$time, ntimes, n)
  n_states <- check_n_states(n_states, start, input$known, specs$responses)
  fixed <- split_fixed(fixed, specs$responses)
  alone <- length(n_states) == 1L
  if (!alone) {
    for (name in c("start", "fixed")) {
      if (!is.null(get(name))) em_abort(sprintf("`%s` needs a single `n_states`.", name), name)
    }
  }
  design <- list(transition = hmm_transition_design(transition, input, sequences, timing, n),
                 initial = hmm_initial_design(initial, input, sequences, n))
  weights <- check_sequence_weights(input$weights, sequences, n)
  nobs <- count_observed(specs$responses, weights)
  check_enough(n_states, specs$responses)

  problems <- lapply(n_states, function(k) {
    hmm_problem(k, input, sequences, design, transition, initial, topology, shared, fixed, weights, timing)
  })
  check_order_by(order_by, problems[[1L]])
  runs <- lapply(problems, function(problem) {
    given <- if (!is.null(start)) list(hmm_user_start(start, problem))
    run_hmm(problem, given, hmm_effort(control, alone, n, problem$n_states), threads)
  })
  selection <- hmm_selection(problems, runs, nobs, threads)
  if (all(is.na(selection$BIC))) abort_degenerate_states(problems[[1L]], runs[[1L]])
  best <- which.min(selection$BIC)
  fit <- build_hmm(problems[[best]], runs[[best]], selection, nobs, order_by, control, threads, call)
  warn_about_hmm(fit)
  fit
}

# What the fit has to say beside its numbers.
warn_about_hmm <- function(fit) {
  if (!fit$converged) {
    em_warn(sprintf("The fit of %s %s. %s", count_of(fit$n_states, "state"), fit$message,
                    not_converged_advice(fit$status)), "not_converged")
  }
  named <- function(states) paste(dQuote(fit$state_names[states], FALSE), collapse = ", ")
  empty <- empty_states(fit)
  if (length(empty) > 0L) {
    em_warn(sprintf(paste0("State %s has (almost) no visit: its parameters mean nothing. Use fewer states, or another ",
                           "`start`."), named(empty)), "empty_state", states = fit$state_names[empty])
  }
  few <- spurious_states(fit)
  if (length(few) > 0L) {
    em_warn(sprintf(paste0("State %s is spurious: it has %s expected visits, no more than parameters of its own, so ",
                           "that its likelihood says nothing about the data. Use fewer states, or tie parameters with ",
                           "`shared`."), named(few), paste(format(fit$degeneracy$visits[few], digits = 2L),
                                                           collapse = ", ")),
            "spurious", states = fit$state_names[few])
  }
  warn_of_equals(fit$equal, "state")
  warn_of_separation(fit$separation, "state")
  if (!fit$transitions_seen) em_warn(paste(unseen_words, "em_mixture() fits such data."), "not_identified")
  narrow <- which(fit$degeneracy$relative_scale < narrow_scale)
  if (length(narrow) > 0L) {
    em_warn(sprintf(paste0("State %s has (almost) no spread: it sits on a few equal values, and its likelihood may ",
                           "have no limit. Use fewer states, or tie its spread with `shared`."),
                    named(narrow)), "near_degenerate", states = fit$state_names[narrow])
  }
}
