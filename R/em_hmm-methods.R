# Accessors of fits of em_hmm(): coefficients, log-likelihood, states and their probabilities, the stationary law.

#' Coefficients of a hidden Markov model
#'
#' All parameters as one named vector.
#'
#' @param object A fit of [em_hmm()].
#' @param ... Unused, and an error.
#' @return A named numeric vector: `initial[1]`, ..., the initial probabilities (or their coefficients, `initial[age,2]`; left out
#'   when they were given for each sequence); `transition[1,2]`, the probabilities row by row (or `transition[x,1,2]`, the coefficients of
#'   all but the reference state); and the parameters of the responses: `mean[1]`, or with several responses `rt.mean[1]`;
#'   those with more than one value for a state have its name first, `coefficients[x,1]`. States that have names have them here in place
#'   of numbers.
#' @seealso [vcov.em_hmm()], [confint.em_hmm()]
#' @examples
#' coef(em_hmm(eruptions ~ 1, data = faithful, n_states = 2))
#' @export
coef.em_hmm <- function(object, ...) {
  check_dots_empty(..., .function = "coef.em_hmm")
  table <- hmm_coefficient_table(object)
  natural <- natural_vector(object$parameters$initial, object$parameters$transition,
                            Map(user_natural, object$responses, list_emission(object), object$n_states))
  stats::setNames(natural[table$place], table$name)
}

# The emission parameters as a list by response.
list_emission <- function(fit) by_response(fit$parameters$emission, names(fit$responses), "emission")

# m x K natural parameters, as the user's coefficients have them.
user_natural <- function(response, emission, n_states) {
  info <- response_info(response)
  response$family$to_natural(emission, info, n_states, info$p)
}

# All natural parameters in the core's order.
natural_vector <- function(initial, transition, emission) c(as.vector(initial), as.vector(transition), unlist(emission))

# One row for each coefficient: name, its place in natural_vector(), and its domain ("real", "positive", "rate" or
# "probability").
hmm_coefficient_table <- function(fit) {
  k <- fit$n_states
  labels <- fit$state_names
  initial <- fit$parameters$initial
  transition <- fit$parameters$transition
  row <- function(name, place, domain) data.frame(name = name, place = place, domain = rep(domain, length(name)))
  rows <- list()
  if (fit$model$initial$kind == "logit") {
    places <- matrix(seq_along(initial), nrow(initial))[, -1L, drop = FALSE]
    rows$initial <- row(paste0("initial[", rownames(initial), ",", rep(labels[-1L], each = nrow(initial)), "]"),
                        as.vector(places), "real")
  } else if (fit$model$initial$kind != "per_sequence") {
    rows$initial <- row(paste0("initial[", labels, "]"), seq_len(k), "probability")
  }
  done <- length(initial)
  from <- rep(seq_len(k), each = k)
  to <- rep(seq_len(k), k)
  if (fit$model$transition$kind == "logit") {
    q <- dim(transition)[1L]
    cell <- free_cells(fit$model$transition$allowed)
    cell <- cell[order(cell[, 1L], cell[, 2L]), , drop = FALSE]
    names <- paste0("transition[", dimnames(transition)[[1L]], ",",
                    rep(paste(labels[cell[, 1L]], labels[cell[, 2L]], sep = ","), each = q), "]")
    start <- (cell[, 2L] - 1L) * k * q + (cell[, 1L] - 1L) * q
    rows$transition <- row(names, done + rep(start, each = q) + rep(seq_len(q), nrow(cell)), "real")
  } else {
    rows$transition <- row(paste0("transition[", labels[from], ",", labels[to], "]"), done + (to - 1L) * k + from,
                           "probability")
  }
  done <- done + length(transition)
  several <- length(fit$responses) > 1L
  for (response in fit$responses) {
    rows[[length(rows) + 1L]] <- emission_table(response, k, labels, if (several) paste0(response$name, ".") else "", done)
    done <- done + n_natural(response) * k
  }
  do.call(rbind, unname(rows))
}

# Possible transitions other than the reference of their row (from, to).
free_cells <- function(allowed) {
  for (i in seq_len(nrow(allowed))) allowed[i, if (allowed[i, i]) i else which(allowed[i, ])[1L]] <- FALSE
  unname(which(allowed, arr.ind = TRUE))
}

emission_table <- function(response, k, labels, prefix, done) {
  places <- natural_places(response, k, labels)
  tables <- lapply(names(places), function(name) {
    place <- places[[name]]
    names <- if (is.null(dim(place))) {
      labels
    } else {
      grid <- expand.grid(lapply(seq_along(dim(place)), function(d) {
        if (is.null(dimnames(place)[[d]])) seq_len(dim(place)[d]) else dimnames(place)[[d]]
      }), stringsAsFactors = FALSE)
      do.call(paste, c(grid, sep = ","))
    }
    keep <- rep(TRUE, length(names))
    domain <- coefficient_domain(response$family, name)
    if (name == "covariance" && length(dim(place)) == 3L) {
      d <- dim(place)[1L]
      lower <- rep(lower.tri(diag(d), diag = TRUE), k)
      domain <- rep(ifelse(diag(d) == 1, "positive", "real"), k)[lower]
      keep <- lower
    }
    if (name == "coefficients" && response$family$name == "categorical") keep <- as.vector(place) > 0
    data.frame(name = paste0(prefix, name, "[", names[keep], "]"), place = done + as.vector(place)[keep],
               domain = rep(domain, length.out = sum(keep)))
  })
  do.call(rbind, tables)
}

coefficient_domain <- function(family, name) {
  if (name %in% names(family$domains)) return(family$domains[[name]])
  switch(name, prob = , proportions = , zero = "probability", sd = , covariance = , scale = "positive", "real")
}

#' Log-likelihood of a hidden Markov model
#'
#' The log-likelihood at the maximum, or that of new data at the parameters of the fit.
#'
#' @param object A fit of [em_hmm()].
#' @param newdata NULL (default), or new data: all their sequences begin with the initial distribution.
#' @param ntimes For new data without the id of the fit: lengths of consecutive sequences; default one sequence.
#' @param ... Unused, and an error.
#' @return As [stats::logLik()], with attributes `df` and `nobs`; for new data with the attribute `sequences`, a data
#'   frame of `id`, `n` and `loglik`.
#' @examples
#' fit <- em_hmm(eruptions ~ 1, data = faithful[1:200, ], n_states = 2)
#' logLik(fit)
#' logLik(fit, faithful[201:272, ])
#' @export
logLik.em_hmm <- function(object, newdata = NULL, ntimes = NULL, ...) {
  check_dots_empty(..., .function = "logLik.em_hmm")
  if (is.null(newdata)) return(structure(object$loglik, df = object$df, nobs = object$nobs, class = "logLik"))
  rows <- hmm_rows(object, newdata, ntimes, "logLik()")
  value <- hmm_evaluate_rows(object, rows, "loglik")
  structure(value$loglik, df = object$df, nobs = sum(rows$observed), class = "logLik",
            sequences = data.frame(id = rows$sequences$labels, n = rows$sequences$lengths, loglik = value$sequences))
}

#' @rdname ICL
#' @export
ICL.em_hmm <- function(object, type = c("map", "soft"), ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "ICL.em_hmm")
  if (type == "map") return(object$selection$ICL[object$selection$n_states == object$n_states])
  sums <- hmm_evaluate_rows(object, hmm_rows(object, NULL, NULL, "ICL()"), "summary")
  stats::BIC(object) - 2 * sums$soft_entropy
}

#' @rdname em_fit-methods
#' @export
model.frame.em_hmm <- function(formula, ...) {
  check_dots_empty(..., .function = "model.frame.em_hmm")
  require_data(formula, "model.frame()")
  if (!is.null(formula$frame)) return(formula$frame)
  hmm_response_frame(formula, lapply(formula$data$responses, function(r) user_rows(r$y, formula$row_order)))
}

# ---- rows ----------------------------------------------------------------------------------------

# The rows on which a method works, as the core takes them: those of the fit, or new ones.
hmm_rows <- function(fit, newdata, ntimes, what) {
  if (is.null(newdata)) {
    require_data(fit, paste(what, "without `newdata`"))
    sequences <- list(order = fit$row_order, first = fit$data$first + 1L, lengths = fit$sequences$n, labels = fit$sequences$id)
    return(list(data = fit$data, model = fit$model, sequences = sequences, n = fit$n_rows, row_names = fit$row_names, new = FALSE))
  }
  specs <- response_specs_new(fit$responses, newdata)
  frame <- if (is.data.frame(newdata)) newdata else NULL
  sequences <- hmm_new_sequences(fit, frame, ntimes, specs$n)
  order <- sequences$order
  transition <- fit$design$transition
  if (!is.null(transition)) {
    transition <- design_new(transition, frame, specs$n, "the transitions")
    transition <- design_rows(transition, transition_rows(sequences, fit$timing, specs$n))
  }
  initial <- fit$design$initial
  if (!is.null(initial)) {
    initial <- design_new(initial, frame, specs$n, "the initial distribution")
    initial <- design_rows(initial, if (is.null(order)) sequences$first else order[sequences$first])
  }
  data <- list(
    responses = lapply(unname(specs$responses), core_response, rows = order), first = sequences$first - 1L, n = specs$n,
    known = NULL, weights = NULL, x_transition = core_columns_or_null(transition), x_initial = core_columns_or_null(initial)
  )
  list(data = data, model = model_for(fit, sequences$labels), sequences = sequences, n = specs$n,
       row_names = specs$row_names, new = TRUE, observed = rows_observed(specs$responses))
}

core_columns_or_null <- function(design) if (is.null(design)) NULL else core_columns(design)

# Sequences of new data, by the id of the fit where it has one.
hmm_new_sequences <- function(fit, frame, ntimes, n) {
  find <- function(formula, what) {
    if (is.null(formula) || !is.null(ntimes) && what == "id") return(NULL)
    absent <- setdiff(all.vars(formula), names(frame))
    if (length(absent) > 0L) {
      em_abort(sprintf("`newdata` lacks %s, the %s of the sequences.", paste(dQuote(absent, FALSE), collapse = ", "), what),
               "newdata", variables = absent)
    }
    look_up(formula, frame, environment(formula), what)
  }
  id <- find(fit$id_formula, "id")
  time <- if (!is.null(fit$time_formula) && all(all.vars(fit$time_formula) %in% names(frame))) find(fit$time_formula, "time")
  hmm_sequences(id, time, ntimes, n)
}

# The core's model for sequences with these labels: an initial distribution given for each sequence is that of the same
# label.
model_for <- function(fit, labels) {
  model <- fit$model
  if (model$initial$kind != "per_sequence") return(model)
  at <- match(labels, fit$sequences$id)
  if (anyNA(at)) {
    em_abort(sprintf("The initial distribution was given for each sequence; sequence %s of `newdata` is not among them.",
                     dQuote(labels[is.na(at)][1L], FALSE)), "newdata")
  }
  model$initial$fixed <- model$initial$fixed[, at, drop = FALSE]
  model
}

hmm_evaluate_rows <- function(fit, rows, what) {
  core <- core_parameters(fit)
  if (rows$model$initial$kind == "per_sequence") core$initial <- rows$model$initial$fixed
  hmm_core(hmm_evaluate_(rows$data, rows$model, core, what, resolve_threads(fit$control)), rows$sequences$order,
           if (rows$new) "new data" else "data")
}

# ---- states --------------------------------------------------------------------------------------

#' States of a hidden Markov model
#'
#' `viterbi()` gives the most probable sequence of states, `posterior()` the probabilities of the states in each row, `sample_paths()`
#' whole sequences of states drawn given the data.
#'
#' The states that are most probable row by row (`"local"`) need not make a sequence that is probable, or even possible; the
#' Viterbi sequence (`"global"`) is the most probable one as a whole. `sample_paths()` draws sequences from their joint
#' distribution given the data, by forward filtering and backward sampling: quantities such as the length of the longest
#' stay in a state have their uncertainty from these.
#'
#' @param object A fit of [em_hmm()].
#' @param newdata NULL (default): the data of the fit. Or new data, whose sequences begin with the initial distribution.
#' @param ntimes For new data without the id of the fit: lengths of consecutive sequences; default one sequence.
#' @param type `"smoothing"` (default): given all data of the sequence; `"filtering"`: given the row and those before it;
#'   `"viterbi"` or `"global"`: the Viterbi sequence; `"local"`: the most probable state of each row. (The words
#'   of depmixS4.)
#' @param n Number of paths.
#' @param seed NULL (default) to use R's random numbers as they are, or a number for [set.seed()], after which they are
#'   put back.
#' @param ... Arguments of methods; in the methods here unused, and an error.
#' @return `viterbi()`: an integer vector of states, in the order of the rows of the
#'   data, with the attribute `log_prob`, the joint log-probability of states and data of each sequence.
#'   `posterior()`: a matrix with a column for each state, or an integer vector. `sample_paths()`: an integer matrix with a
#'   row for each row of the data and a column for each path.
#' @references
#' Viterbi, A. (1967). Error bounds for convolutional codes and an asymptotically optimum decoding algorithm. *IEEE
#' Transactions on Information Theory* 13, 260-269. \doi{10.1109/TIT.1967.1054010}
#'
#' Fruehwirth-Schnatter, S. (2006). *Finite Mixture and Markov Switching Models*. Springer. \doi{10.1007/978-0-387-35768-3}
#' @seealso [predict.em_hmm()]
#' @examples
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' table(viterbi(fit))
#' head(posterior(fit))
#' paths <- sample_paths(fit, n = 100, seed = 1)
#' quantile(colSums(paths == 1))
#' @export
viterbi <- function(object, ...) UseMethod("viterbi")

#' @rdname viterbi
#' @export
viterbi.em_hmm <- function(object, newdata = NULL, ntimes = NULL, ...) {
  check_dots_empty(..., .function = "viterbi")
  rows <- hmm_rows(object, newdata, ntimes, "viterbi()")
  core <- core_parameters(object)
  if (rows$model$initial$kind == "per_sequence") core$initial <- rows$model$initial$fixed
  path <- hmm_core(hmm_viterbi_(rows$data, rows$model, core, resolve_threads(object$control)), rows$sequences$order,
                   if (rows$new) "new data" else "data")
  structure(stats::setNames(user_rows(path$states, rows$sequences$order), rows$row_names),
            log_prob = stats::setNames(path$log_prob, rows$sequences$labels))
}

#' @rdname viterbi
#' @export
posterior <- function(object, ...) UseMethod("posterior")

#' @rdname viterbi
#' @export
posterior.em_hmm <- function(object, newdata = NULL, type = c("smoothing", "filtering", "viterbi", "global", "local"),
                             ntimes = NULL, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "posterior")
  switch(type,
    smoothing = predict(object, newdata, "posterior", ntimes = ntimes),
    filtering = predict(object, newdata, "filtered", ntimes = ntimes),
    local = {
      z <- predict(object, newdata, "posterior", ntimes = ntimes)
      stats::setNames(max.col(z, "first"), rownames(z))
    },
    predict(object, newdata, "viterbi", ntimes = ntimes))
}

#' @rdname viterbi
#' @export
sample_paths <- function(object, ...) UseMethod("sample_paths")

#' @rdname viterbi
#' @export
sample_paths.em_hmm <- function(object, n = 1L, seed = NULL, newdata = NULL, ntimes = NULL, ...) {
  check_dots_empty(..., .function = "sample_paths")
  n <- check_count(n, "n")
  rows <- hmm_rows(object, newdata, ntimes, "sample_paths()")
  core <- core_parameters(object)
  if (rows$model$initial$kind == "per_sequence") core$initial <- rows$model$initial$fixed
  threads <- resolve_threads(object$control)
  paths <- simulate_sets(1L, seed, function() {
    hmm_core(hmm_sample_(rows$data, rows$model, core, n, draw_key(), threads), rows$sequences$order)
  })
  paths <- user_rows(matrix(paths, ncol = n), rows$sequences$order)
  dimnames(paths) <- list(rows$row_names, NULL)
  paths
}

# ---- the stationary law --------------------------------------------------------------------------

#' Stationary distribution of the states
#'
#' The distribution that the transition matrix leaves as it is: the long-run shares of the states.
#'
#' It solves \eqn{\pi \Gamma = \pi}, \eqn{\sum \pi_k = 1}. A chain that falls into parts which do not communicate has many such
#' distributions; then the result is NA, with a warning of class `em_warning_not_unique`. With covariates on the transitions it is
#' that of the transition matrix at their average, or at those of each row of `newdata`.
#'
#' @param object A fit of [em_hmm()], or a transition matrix (rows sum to 1).
#' @param newdata NULL, or a data frame of the covariates of the transitions.
#' @param se `TRUE`: standard errors too, by the delta method, as the attribute `"se"`. Default `FALSE`.
#' @param ... Unused, and an error.
#' @return A named vector of K probabilities, or with `newdata` a matrix with a row for each of its rows.
#' @examples
#' fit <- em_hmm(eruptions ~ 1, data = faithful, n_states = 2)
#' stationary(fit, se = TRUE)
#' stationary(rbind(c(0, 1, 0), c(0, 0, 1), c(1, 0, 0)))
#' @export
stationary <- function(object, ...) UseMethod("stationary")

#' @rdname stationary
#' @export
stationary.em_hmm <- function(object, newdata = NULL, se = FALSE, ...) {
  check_dots_empty(..., .function = "stationary")
  check_flag(se, "se")
  if (object$model$transition$kind == "logit" && !is.null(newdata)) {
    if (se) em_abort("`se = TRUE` cannot go with `newdata`.", "argument", argument = "se")
    slices <- logit_transitions(object, newdata)
    laws <- vapply(seq_len(dim(slices)[3L]), function(i) stationary_law(slices[, , i]), numeric(object$n_states))
    return(matrix(laws, ncol = object$n_states, byrow = TRUE, dimnames = list(chosen_row_names(newdata), object$state_names)))
  }
  transition <- average_transition(object)
  law <- stats::setNames(stationary_law(transition), object$state_names)
  if (se) attr(law, "se") <- stationary_se(object, transition, law)
  law
}

#' @rdname stationary
#' @export
stationary.default <- function(object, ...) {
  check_dots_empty(..., .function = "stationary")
  fine <- is.matrix(object) && is.numeric(object) && nrow(object) == ncol(object) && !anyNA(object) &&
    all(object >= 0) && all(abs(rowSums(object) - 1) < 1e-6)
  if (!fine) check_fails("object", "a fit of em_hmm() or a square matrix whose rows sum to 1", object)
  stats::setNames(stationary_law(object), rownames(object))
}

# Transition matrices of rows of covariates (K x K x rows).
logit_transitions <- function(fit, newdata) {
  data <- check_data_frame(newdata, "newdata")
  design <- design_new(fit$design$transition, data, nrow(data), "the transitions")
  transitions_at(fit, design$x)
}

# The same of rows of the design (columns as written).
transitions_at <- function(fit, x) {
  k <- fit$n_states
  out <- array(0, c(k, k, nrow(x)), list(from = fit$state_names, to = fit$state_names, NULL))
  b <- fit$parameters$transition
  for (i in seq_len(k)) {
    eta <- x %*% matrix(b[, i, ], ncol = k)
    eta[, !fit$model$transition$allowed[i, ]] <- -Inf
    p <- exp(eta - row_max(eta))
    out[i, , ] <- t(p / rowSums(p))
  }
  out
}

# The stationary law of a transition matrix, NA where there are several.
stationary_law <- function(transition) {
  k <- nrow(transition)
  if (n_closed_classes(transition) > 1L) {
    em_warn("The chain falls into parts that do not communicate: its stationary distribution is not unique.", "not_unique")
    return(rep(NA_real_, k))
  }
  law <- qr.solve(rbind(t(diag(k) - transition), 1), c(rep(0, k), 1))
  law <- pmax(law, 0)
  law / sum(law)
}

# Classes of states that the chain cannot leave.
n_closed_classes <- function(transition) {
  k <- nrow(transition)
  reach <- transition > 1e-13 | diag(k) == 1
  for (i in seq_len(k)) reach <- reach | outer(reach[, i], reach[i, ])
  mutual <- reach & t(reach)
  closed <- vapply(seq_len(k), function(i) all(mutual[i, reach[i, ]]), NA)
  nrow(unique(mutual[closed, , drop = FALSE]))
}
