# States of hidden Markov models and their probabilities.

#' States of a hidden Markov model
#'
#' `viterbi()` gives the most probable sequence of states, `posterior()` the probabilities of the states in each row,
#' `sample_paths()` whole sequences of states drawn given the data.
#'
#' The states that are most probable row by row (`"local"`) need not make a sequence that is probable, or even possible;
#' the Viterbi sequence (`"global"`) is the most probable one as a whole. `sample_paths()` draws sequences from their
#' joint distribution given the data, by forward filtering and backward sampling: quantities such as the length of the
#' longest stay in a state have their uncertainty from these.
#'
#' @param object A fit of [em_hmm()].
#' @param newdata NULL (default): the data of the fit. Or new data, whose sequences begin with the initial distribution.
#' @param ntimes For new data without the id of the fit: lengths of consecutive sequences; default one sequence.
#' @param type `"smoothing"` (default): given all data of the sequence; `"filtering"`: given the row and those before
#'   it; `"viterbi"` or `"global"`: the Viterbi sequence; `"local"`: the most probable state of each row. (The words of
#'   depmixS4.)
#' @param n Number of paths.
#' @param seed NULL (default) to use R's random numbers as they are, or a number for [set.seed()], after which they are
#'   put back.
#' @param ... Arguments of methods; in the methods here unused, and an error.
#' @return `viterbi()`: an integer vector of states, in the order of the rows of the data, with the attribute
#'   `log_prob`, the joint log-probability of states and data of each sequence. `posterior()`: a matrix with a column
#'   for each state, or an integer vector. `sample_paths()`: an integer matrix with a row for each row of the data and a
#'   column for each path.
#' @references
#' Viterbi, A. (1967). Error bounds for convolutional codes and an asymptotically optimum decoding algorithm. *IEEE
#' Transactions on Information Theory* 13, 260-269. \doi{10.1109/TIT.1967.1054010}
#'
#' Fruehwirth-Schnatter, S. (2006). *Finite Mixture and Markov Switching Models*. Springer.
#' \doi{10.1007/978-0-387-35768-3}
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
