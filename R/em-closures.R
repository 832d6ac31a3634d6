# The user's functions of em() as a model that the core can run, and what is said of their mistakes.

# In the order of `Part` in src/glue_em.cpp.
closure_names <- c("e_step", "m_step", "update", "loglik", "log_prior", "pack", "unpack")

# The functions in an environment of their own, and calls of them by name.
em_model <- function(functions, data, space) {
  environment <- new.env(parent = baseenv())
  state <- new.env(parent = emptyenv())
  state$where <- integer(2L)
  state$no_data <- FALSE
  given <- functions[closure_names]
  first <- c(e_step = "theta", m_step = "stats", update = "theta", loglik = "theta", log_prior = "theta",
             pack = "theta",
             unpack = "point")
  calls <- lapply(stats::setNames(nm = closure_names), function(name) {
    f <- given[[name]]
    if (is.null(f)) return(NULL)
    assign(name, f, envir = environment)
    with_data <- !name %in% c("pack", "unpack") && takes_data(f, name, is.null(data))
    if (with_data && is.null(data)) state$no_data <- TRUE
    as.call(c(as.name(name), as.name(first[[name]]), if (with_data) quote(data)))
  })
  environment$data <- data
  environment$guard <- em_guard
  environment$check <- function(value, part) check_closure_value(value, closure_names[part], space, state)
  model <- list(
    environment = environment, calls = unname(calls),
    trials = unname(lapply(calls, function(call) if (!is.null(call)) call("guard", call))), check = quote(check(value,
                                                                                                                part)),
    layout = space$layout, start = space$start, functions = functions, state = state, data = data
  )
  model$n_packed <- if (is.null(functions$pack)) space$n_packed else count_coordinates(model)
  state$n_packed <- model$n_packed
  model
}

# What can go wrong at a point that an accelerator proposes is no mistake of the user's.
em_guard <- function(code) {
  tryCatch(
    withCallingHandlers(code, warning = function(w) tryInvokeRestart("muffleWarning")),
    error = function(e) structure(list(), class = "em_trial_failed")
  )
}

# Whether a function is to be called with the data as its second argument: not if it has one argument only, nor if there
# are no data and it has its own.
takes_data <- function(f, name, no_data) {
  arguments <- formals(args(f))
  if (length(arguments) == 0L) {
    em_abort(sprintf("`%s` has no arguments; it must be a function (%s, data).", name,
                     if (name == "m_step") "stats" else "theta"), "argument", argument = name)
  }
  if (length(arguments) == 1L) return(names(arguments) == "..." && !no_data)
  required <- names(arguments)[-(1:2)][vapply(arguments[-(1:2)], function(a) is.name(a) && !nzchar(a), NA)]
  required <- setdiff(required, "...")
  if (length(required) > 0L) {
    em_abort(sprintf("`%s` has an argument `%s` without a default; em() gives two, (%s, data).", name, required[1L],
                     if (name == "m_step") "stats" else "theta"), "argument", argument = name)
  }
  !no_data || (is.name(arguments[[2L]]) && !nzchar(arguments[[2L]]) && names(arguments)[2L] != "...")
}

count_coordinates <- function(model) {
  point <- with_closure_errors(model$functions$pack(model$start), "pack")
  if (!is.numeric(point) || length(point) == 0L || !all(is.finite(point))) {
    em_abort(sprintf("`pack` must return a numeric vector of finite coordinates at the start, not %s.",
                     if (is.numeric(point) && length(point) > 0L) sprintf("one with %s in place %d",
                       format(point[!is.finite(point)][1L]), which(!is.finite(point))[1L]) else em_what_came(point)),
             "closure_value", closure = "pack")
  }
  back <- with_closure_errors(model$functions$unpack(as.double(point)), "unpack")
  theta <- em_conform(back, model$start)
  if (is.character(theta)) {
    em_abort(sprintf("`unpack` must return parameters in the shape of `start`, %s; at the start %s.",
                     em_describe_shape(model$start), theta), "closure_value", closure = "unpack")
  }
  if (max(abs(em_flat(theta) - em_flat(model$start))) > 1e-6 * (1 + max(abs(em_flat(model$start))))) {
    em_abort("`unpack(pack(start))` is not `start`: the two must be inverse to one another.", "closure_value",
             closure = "unpack")
  }
  length(point)
}

# "at the start", "in iteration 3".
em_when <- function(iteration) if (iteration == 0L) "at the start" else paste("in iteration", iteration)

# Evaluates one of the user's functions outside of the loop.
with_closure_errors <- function(code, name) {
  withCallingHandlers(code, error = function(e) abort_closure(e, name, NULL))
}

abort_closure <- function(e, name, iteration, no_data = FALSE) {
  em_abort(sprintf("`%s` stopped with an error%s: %s%s", name, if (is.null(iteration)) "" else
    paste0(" ", em_when(iteration)), conditionMessage(e), if (no_data) " (No `data` were given.)" else ""),
    "closure", closure = name, iteration = iteration, parent = e)
}

# What the core could not use: gives back what was meant, or says what is wrong.
check_closure_value <- function(value, name, space, state) {
  start <- space$start
  when <- em_when(state$where[1L])
  fail <- function(class, ...) {
    em_abort(sprintf(...), class, closure = name, iteration = state$where[1L])
  }
  if (name %in% c("m_step", "update", "unpack")) {
    theta <- em_conform(value, start)
    if (!is.character(theta)) {
      outside <- em_outside(space, em_flat(theta), inside = FALSE)
      if (!is.null(outside)) {
        fail("closure_value", "`%s` left the space of `transform`: %s %s. Look at what it does.", name, when, outside)
      }
      return(theta)
    }
    fail("closure_value",
         paste0("`%s` did not return parameters as `start` has them, %s: %s %s. Look at what it does with ",
                                 "the %s of that iteration.%s"), name, em_describe_shape(start), when, theta,
         if (name == "m_step") "statistics" else "parameters", if (state$no_data) " No `data` were given." else "")
  }
  if (name == "pack") {
    if (is.numeric(value) && length(value) == state$n_packed) return(as.double(value))
    fail("closure_value", "`pack` must return %d coordinates as at the start; %s it returned %s.", state$n_packed, when,
         em_what_came(value))
  }
  what <- if (name == "e_step") "the attribute \"loglik\" of what `e_step` returns" else sprintf("`%s`", name)
  if (name == "e_step" && is.null(value)) {
    fail("closure_value",
         paste("There is no log-likelihood: give the function `loglik`, or let `e_step` return it as an",
                                "attribute, structure(stats, loglik = value)."))
  }
  if (!(is.numeric(value) || is.logical(value)) || length(value) != 1L) {
    fail("closure_value", "%s must be one number; %s it is %s.%s", what, when, em_what_came(value),
         if (is.numeric(value) && length(value) > 1L) " Has a sum() been forgotten?" else "")
  }
  if (!is.finite(value)) {
    fail(if (state$where[1L] == 0L) "start" else "closure",
         "%s is %s %s. %s", what, format(value), when, if (state$where[1L] == 0L) {
           paste("EM must start where the", if (name == "log_prior") "prior density" else "likelihood",
                 "is positive: check the start, or the function.")
         } else {
           paste("The step before led to parameters without a likelihood: check the M-step, or whether the",
                 "likelihood is unbounded there (a prior keeps away from it).")
         })
  }
  as.double(value)
}
