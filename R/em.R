# em(): the EM loop for a model that is written in R.

#' The EM algorithm for a model of your own
#'
#' Runs an E-step and an M-step, or any other step that raises a likelihood, written as R functions, in the package's EM
#' loop: with acceleration, several starts, a guard against steps downhill, a trace, standard errors and plots.
#'
#' You write three functions of the parameters `theta`, which have the shape of `start`, and of your `data`:
#'
#' * `e_step(theta, data)` returns whatever the M-step needs (the expected statistics), as any R object;
#' * `m_step(stats, data)` returns new parameters;
#' * `loglik(theta, data)` returns the log-likelihood of the observed data. If the E-step finds it on its way, leave
#'   `loglik` out and return it as an attribute: `structure(stats, loglik = value)`.
#'
#' Or one function in place of the first two: `update(theta, data)` returns new parameters. Functions with a single
#' argument are called without the data. Parameters are matched by their names where both `start` and what comes back
#' have them, so their order does not matter.
#'
#' @section Guarantees:
#' EM never goes downhill. If a plain step lowers the objective (the log-likelihood plus `log_prior`), one of your
#' functions is wrong, and `em()` stops with an error that says where and by how much. Accelerated steps that
#' go downhill, leave the parameter space, or make one of your functions fail, are taken back silently. Where they lead
#' out of a space that `em()` does not know of, and EM's own steps go down from there, the run is repeated without
#' acceleration, with a warning of class `em_warning_not_accelerated`: tell `em()` what the space is by `transform`.
#'
#' @section Transforms:
#' Accelerators and standard errors work in coordinates without constraint. `transform` says for each parameter which:
#'
#' * `"real"` (the default for all): itself.
#' * `"positive"`: its logarithm.
#' * `"probability"`, a number between 0 and 1: its logit.
#' * `"simplex"`, a vector of shares that sum to 1, or a matrix each of whose rows does: logarithms of their ratios to
#'   the last share (of the row).
#' * `"covariance"`, a d x d matrix or d x d x K array: the Cholesky factor, the logarithm of its diagonal and the rows
#'   below relative to it.
#'
#' What the M-step returns has to lie in the space of its transform, too, or on its boundary.
#'
#' Nothing is guessed: a number between 0 and 1 may be a mean. Without transforms plain EM is the same, but accelerated
#' steps may leave the parameter space, and the degrees of freedom and standard errors of constrained parameters are not
#' right (two shares that sum to 1 count as two parameters, with an information matrix that knows nothing of their sum).
#'
#' @section Errors:
#' All are of class `em_error` and name the function and the iteration.
#' * `em_error_closure`: one of your functions stopped with an error, or the log-likelihood is not finite.
#' * `em_error_closure_value`: one returned something of another shape, values that are not finite, or parameters outside
#'   the space of their transform.
#' * `em_error_non_monotone`: a plain step lowered the objective.
#' * `em_error_start`: the start is not in the parameter space.
#'
#' A wrong step need not go downhill: it may converge to another point. So the log-likelihood is looked at a little to both
#' sides of the result in every coordinate, and a higher one there is a warning of class `em_warning_not_stationary` and
#' the field `higher`. Whether a stationary point is a maximum or a saddle is for [vcov()][vcov.em] and `summary()` to say.
#'
#' @section Several starts:
#' `start` may be a function that draws one, called `n_starts` times (10 by default); or an unnamed list of starts. All
#' are run for `n_short` plain steps, the best `n_polish` of them (15 by default) to the end. Runs after the first are
#' shared by forked processes (as many as `threads` in [em_control()]) if they would take more than about a second
#' together and the system allows it (not on Windows, nor in RStudio). The result is the same; what your functions write
#' elsewhere, and their warnings, stay in the processes. Functions that draw random numbers find the same ones in every
#' run, so that results do not depend on the processes. A start from which one of your functions fails is a row of
#' status "failed" in `fit$starts`.
#'
#' @param start A named list of numeric vectors, matrices and arrays, or one numeric vector; a fit of `em()`; or several
#'   starts, see below.
#' @param e_step,m_step Functions `(theta, data)` and `(stats, data)`.
#' @param loglik Function `(theta, data)`: one finite number. May be left out if `e_step` gives it.
#' @param data Any R object, passed on to all functions. NULL (default): none; functions may know theirs by themselves.
#' @param update Function `(theta, data)` in place of `e_step` and `m_step`.
#' @param ... Not used; an argument that is not one of the above is an error.
#' @param transform NULL (default): all real. Or one of the names above for all parameters, or a list or vector of
#'   them by name, the others being real.
#' @param pack,unpack NULL (default), or coordinates of your own in place of `transform`: `pack(theta)` returns a
#'   numeric vector, `unpack(point)` its parameters.
#' @param log_prior NULL (default), or a function `(theta, data)`: the log prior density, up to a constant. The M-step
#'   must then maximise the posterior.
#' @param complete_loglik NULL (default), or a function `(theta, stats, data)`: the expected complete-data
#'   log-likelihood, which the M-step maximises, up to a constant. Used by `plot(type = "bound")` only.
#' @param n_obs NULL (default), or the number of observations, for `BIC()`. NULL: the rows of a matrix or data frame,
#'   the length of a vector without names, the total of a table; else NA, also for a vector with names, which may hold
#'   values or counts. Counts in a vector without names are not recognised either: give their sum.
#' @param control Made by [em_control()]. `search_rows` and `keep_posterior` have no meaning here and must be left
#'   alone.
#'
#' @return A list of class `c("em", "em_fit")`:
#' - `parameters`: in the shape of `start`.
#' - `loglik`, `log_prior`, `df` (coordinates without constraint), `nobs`.
#' - `status`, `message`, `converged`, `iterations`, `evaluations` (log-likelihoods after the first), `convergence`
#'   (`rule`, `last_gain`, `rate`, `remaining_gain`), `trace` (data frame).
#' - `starts`: data frame, `start`, `method`, `loglik`, `status`, `iterations`, `best`.
#' - `calls`: how often the EM `step` and the `loglik` were called in the run that is reported.
#' - `start`: the start of that run, in full. `space`: the coordinates. `functions`: yours.
#' - `higher`: NULL, or what `em_warning_not_stationary` says: a list of `rise`, `label`, `value`.
#' - `call`, `data`, `control`, and the other fields of every fit.
#' @references
#' Dempster, A. P., Laird, N. M. and Rubin, D. B. (1977). Maximum likelihood from incomplete data via the EM algorithm.
#' *Journal of the Royal Statistical Society B* 39, 1-38. \doi{10.1111/j.2517-6161.1977.tb01600.x}
#'
#' Rao, C. R. (1973). *Linear Statistical Inference and its Applications*, 2nd edition. Wiley.
#' \doi{10.1002/9780470316436}
#'
#' McLachlan, G. J. and Krishnan, T. (2008). *The EM Algorithm and Extensions*, 2nd edition. Wiley.
#' \doi{10.1002/9780470191613}
#' @seealso [plot.em()], [vcov.em()], [em_control()]
#' @examples
#' # Linkage of two genes (Rao): four counts with probabilities (2 + t, 1 - t, 1 - t, t) / 4. The
#' # first cell is the sum of two cells, with probabilities 1/2 and t/4, that were not told apart.
#' counts <- c(125, 18, 20, 34)
#' linkage <- em(
#'   start = list(t = 0.5),
#'   e_step = function(theta, y) y[1] * theta$t / (2 + theta$t),
#'   m_step = function(x, y) list(t = (x + y[4]) / (x + y[2] + y[3] + y[4])),
#'   loglik = function(theta, y) sum(y * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t) / 4)),
#'   data = counts, transform = "probability", n_obs = sum(counts)
#' )
#' summary(linkage)
#'
#' # Deaths of women over 80 reported in the Times by day: two kinds of days. The E-step gives the
#' # log-likelihood.
#' deaths <- data.frame(number = 0:9, days = c(162, 267, 271, 185, 111, 61, 27, 8, 3, 1))
#' set.seed(1)
#' times <- em(
#'   start = function() list(p = 0.5, mu = sort(runif(2, 0, 5))),
#'   e_step = function(theta, data) {
#'     density <- cbind(theta$p * dpois(data$number, theta$mu[1]),
#'                      (1 - theta$p) * dpois(data$number, theta$mu[2]))
#'     structure(density[, 1] / rowSums(density), loglik = sum(data$days * log(rowSums(density))))
#'   },
#'   m_step = function(z, data) {
#'     share <- cbind(z, 1 - z) * data$days
#'     list(p = sum(share[, 1]) / sum(share), mu = colSums(share * data$number) / colSums(share))
#'   },
#'   data = deaths, transform = c(p = "probability", mu = "positive"), n_obs = sum(deaths$days)
#' )
#' times
#' @export
em <- function(start, e_step, m_step, loglik, data = NULL, update, ..., transform = NULL, pack = NULL, unpack = NULL,
               log_prior = NULL, complete_loglik = NULL, n_obs = NULL, control = em_control()) {
  check_dots_empty(..., .function = "em")
  call <- match.call()
  if (missing(start)) em_abort("`start`, where the parameters start, is missing.", "argument", argument = "start")
  functions <- check_closures(list(
    e_step = if (missing(e_step)) NULL else e_step, m_step = if (missing(m_step)) NULL else m_step,
    update = if (missing(update)) NULL else update, loglik = if (missing(loglik)) NULL else loglik,
    log_prior = log_prior, pack = pack, unpack = unpack, complete_loglik = complete_loglik
  ))
  # evaluated here, so that an error is one of the call and of no function of ours
  force(data)
  control <- check_closure_control(control)
  starts <- em_starts(start, control)
  space <- em_space(starts[[1L]]$theta, transform, pack, unpack)
  for (i in seq_along(starts)[-1L]) {
    em_space(starts[[i]]$theta, transform, pack, unpack, paste("Start", i, "of `start`"))
  }
  model <- em_model(functions, data, space)
  space$n_packed <- model$n_packed
  run <- em_run_starts(model, starts, control)
  fit <- build_em(run, model, space, starts, data, n_obs, control, call)
  if (!fit$converged) {
    em_warn(sprintf("The fit %s. %s", fit$message, not_converged_advice(fit$status)),
            "not_converged")
  } else if (!fit$has_data || !is.null(fit$data)) {
    fit$higher <- em_higher_neighbour(fit)
    if (!is.null(fit$higher)) {
      em_warn(paste("EM has converged, but", em_higher_note(fit)), "not_stationary", rise = fit$higher$rise)
    }
  }
  if (isTRUE(run$slow)) {
    em_warn(paste("Accelerated steps left the parameter space, and EM could not go on from there: the fit was made by",
                  "plain steps. Tell em() what the space is by `transform`."), "not_accelerated")
  }
  fit
}

# What a higher log-likelihood next to the result of EM means.
em_higher_note <- function(fit) {
  higher <- fit$higher
  found <- sprintf("not to a maximum of the log-likelihood, which is higher by %s at %s = %s next to it.",
                   format(higher$rise, digits = 2L), higher$label, format(higher$value, digits = 7L))
  bound <- em_unsaid_constraint(fit)
  if (!is.null(bound)) {
    return(paste(found, sprintf("That may be outside of the parameter space: %s, and `transform` does not say so.", bound)))
  }
  paste(found, "The steps climb another function: check that the M-step and `loglik` belong to the same model, and the",
        "M-step's divisors.")
}

# A constraint that the estimates meet and no transform tells of, in words, or NULL.
em_unsaid_constraint <- function(fit) {
  if (!is.null(fit$functions$pack)) return(NULL)
  elements <- if (is.list(fit$parameters)) fit$parameters else list(fit$parameters)
  real <- split(fit$space$transform == "real", rep(seq_along(elements), lengths(elements)))
  for (i in which(vapply(real, all, NA))) {
    v <- elements[[i]]
    name <- if (is.list(fit$parameters)) sprintf("`%s`", names(elements)[i]) else "the parameter vector"
    sums <- if (is.matrix(v)) rowSums(v) else sum(v)
    if (length(v) > 1L && all(v >= 0) && max(abs(sums - 1)) < 1e-8) {
      return(paste(name, if (is.matrix(v)) "has rows that sum to 1" else "sums to 1"))
    }
    square <- length(dim(v)) %in% 2:3 && dim(v)[1L] == dim(v)[2L] && dim(v)[1L] > 1L
    if (square && isTRUE(all.equal(v, aperm(v, c(2L, 1L, if (length(dim(v)) == 3L) 3L)), check.attributes = FALSE))) {
      return(paste(name, "is symmetric"))
    }
  }
  if (all(unlist(real)) && any(unlist(elements) > 0 & unlist(elements) < 1)) {
    return("there may be constraints, such as a probability between 0 and 1")
  }
  NULL
}

# ---- arguments -----------------------------------------------------------------------------------

check_closures <- function(functions) {
  for (name in names(functions)) {
    if (!is.null(functions[[name]]) && !is.function(functions[[name]])) {
      check_fails(name, "a function", functions[[name]])
    }
  }
  given <- !vapply(functions, is.null, NA)
  if (given[["update"]] && (given[["e_step"]] || given[["m_step"]])) {
    em_abort("Give `e_step` and `m_step`, or `update`, not both.", "argument", argument = "update")
  }
  if (!given[["update"]]) {
    missing <- c("e_step", "m_step")[!given[c("e_step", "m_step")]]
    if (length(missing) > 0L) {
      em_abort(sprintf("`%s` is missing. em() needs `e_step` and `m_step`, or `update`, a function that does both.",
                       missing[1L]), "argument", argument = missing[1L])
    }
  } else if (!given[["loglik"]]) {
    em_abort("`update` needs a `loglik` beside it: EM is guarded by the log-likelihood.", "argument",
             argument = "loglik")
  }
  functions
}

check_closure_control <- function(control) {
  control <- check_control(control)
  default <- em_control()
  for (name in c("search_rows", "keep_posterior")) {
    if (!identical(control[[name]], default[[name]])) {
      em_abort(sprintf("`%s` of em_control() has no meaning for em(), which knows neither rows nor posteriors.", name),
               "argument", argument = name)
    }
  }
  if (is.null(control$n_starts)) control$n_starts <- 10L
  if (is.null(control$n_polish)) control$n_polish <- 15L
  control
}

# The starts: a list of list(method, theta), all of one shape.
em_starts <- function(start, control) {
  if (is.function(start)) {
    if (length(formals(args(start))) > 0L && !all(nzchar(vapply(formals(args(start)), deparse1, "")))) {
      em_abort("`start`, a function, must need no arguments: it is called as start().", "start")
    }
    drawn <- lapply(seq_len(control$n_starts), function(i) {
      withCallingHandlers(start(), error = function(e) {
        em_abort(sprintf("`start()` stopped with an error: %s", conditionMessage(e)), "start", parent = e)
      })
    })
    return(em_start_list(drawn, "drawn", "`start()` drew"))
  }
  if (inherits(start, "em")) return(list(list(method = "previous fit", theta = start$parameters)))
  several <- is.list(start) && length(start) > 0L && is.null(names(start))
  if (several) em_start_list(start, "given", "`start` holds") else em_start_list(list(start), "given", "`start` is")
}

em_start_list <- function(starts, method, what) {
  first <- starts[[1L]]
  elements <- if (is.list(first)) first else list(first)
  fine <- length(first) > 0L && all(vapply(elements, function(e) is.numeric(e) && length(e) > 0L, NA))
  named <- !is.list(first) || (!is.null(names(first)) && all(nzchar(names(first))) && !anyDuplicated(names(first)))
  if (!fine || !named || is.data.frame(first)) {
    em_abort(paste0(
      "`start` must be a named list of numeric vectors, matrices or arrays, such as list(p = 0.5, mu = c(1, 2)); a ",
      "numeric vector; an unnamed list of several such starts; or a function that draws one. ", what, " ",
      em_unfit(first, named), "."
    ), "start")
  }
  shape <- if (is.list(first)) lapply(first, em_plain) else em_plain(first)
  lapply(seq_along(starts), function(i) {
    theta <- em_conform(starts[[i]], shape)
    if (is.character(theta)) {
      em_abort(sprintf("Start %d of `start` cannot be used: %s.", i, theta), "start")
    }
    list(method = method, theta = theta)
  })
}

# What is wrong with something that cannot be a start.
em_unfit <- function(first, named) {
  if (!is.list(first) || is.object(first)) return(em_what_came(first))
  if (length(first) == 0L) return("an empty list")
  if (!named) return("a list without (different) names")
  wrong <- which(!vapply(first, function(e) is.numeric(e) && length(e) > 0L, NA))[1L]
  sprintf("a list whose `%s` is %s", names(first)[wrong], em_what_came(first[[wrong]]))
}

# A numeric array with its dimensions and names and nothing else.
em_plain <- function(x) {
  out <- as.double(x)
  if (is.null(dim(x))) {
    names(out) <- names(x)
  } else {
    dim(out) <- dim(x)
    dimnames(out) <- dimnames(x)
  }
  out
}

# ---- the fit -------------------------------------------------------------------------------------

build_em <- function(run, model, space, starts, data, n_obs, control, call) {
  theta <- em_shaped(run$theta, space$start)
  fit <- new_em_fit(
    "em", call, list(x = data), theta, run, df = space$n_packed, nobs = em_n_obs(n_obs, data),
    starts = start_table(run), weights = NULL, control = control, calls = run$calls,
    start = starts[[run$chosen]]$theta, space = space, functions = model$functions, has_data = !is.null(data)
  )
  fit$n_rows <- if (is.null(data)) NULL else NROW(data)
  fit
}

em_n_obs <- function(n_obs, data) {
  if (!is.null(n_obs)) {
    return(check_number(n_obs, "n_obs", 0, required = "one number from 0, the number of observations"))
  }
  if (is.table(data)) return(sum(data))
  if (is.matrix(data) || is.data.frame(data)) return(nrow(data))
  if (is.atomic(data) && !is.null(data) && is.null(dim(data)) && is.null(names(data))) return(length(data))
  NA_real_
}
