# Accessors of fits of em_hmm(): coefficients, log-likelihood, criteria, data.

#' Coefficients of a hidden Markov model
#'
#' All parameters as one named vector.
#'
#' @param object A fit of [em_hmm()].
#' @param ... Unused, and an error.
#' @return A named numeric vector: `initial[1]`, ..., the initial probabilities (or their coefficients,
#'   `initial[age,2]`; left out when they were given for each sequence); `transition[1,2]`, the probabilities row by row
#'   (or `transition[x,1,2]`, the coefficients of all but the reference state); and the parameters of the responses:
#'   `mean[1]`, or with several responses `rt.mean[1]`; those with more than one value for a state have its name first,
#'   `coefficients[x,1]`. States that have names have them here in place of numbers.
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
    rows[[length(rows) + 1L]] <- emission_table(response, k, labels, if (several) paste0(response$name, ".") else "",
                                                done)
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
