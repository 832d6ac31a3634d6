# The arguments of em_hmm() beside its responses: each is checked once, here, and comes back in the shape that the core
# takes.

# The value of an argument that may be a column: an expression in the columns of `data`, a one-sided formula, or the
# name of a column. `value`: the argument itself, which knows where it was written; it is not asked for when the
# expression is about columns.
look_up <- function(expression, data, env, argument, value = eval(expression, env)) {
  if (is.null(expression)) return(NULL)
  value <- tryCatch(if (any(all.vars(expression) %in% names(data))) eval(expression, data, env) else value,
                    error = function(e) {
    em_abort(sprintf("`%s` could not be evaluated: %s.", argument, sub("\\.$", "", conditionMessage(e))), argument)
  })
  if (inherits(value, "formula")) {
    frame <- frame_of(value, data)
    if (ncol(frame) == 0L) return(NULL)
    return(if (ncol(frame) == 1L) frame[[1L]] else joint_values(frame))
  }
  if (is.character(value) && length(value) == 1L && value %in% names(data)) value <- data[[value]]
  value
}

# The combinations of several columns as one; NA where any is.
joint_values <- function(frame) {
  value <- do.call(paste, c(lapply(frame, as.character), sep = ":"))
  value[rowSums(is.na(as.matrix(frame))) > 0L] <- NA
  value
}

# How to find an argument again in new data: a formula, or NULL when it was a vector that is not a column.
as_lookup <- function(expression, data, env, value) {
  if (is.null(expression)) return(NULL)
  variables <- all.vars(expression)
  if (!inherits(expression, "call") || expression[[1L]] != "~") {
    if (length(variables) > 0L && all(variables %in% names(data))) return(stats::as.formula(call("~", expression), env))
  }
  value <- tryCatch(value, error = function(e) NULL)
  if (inherits(value, "formula")) return(value)
  if (is.character(value) && length(value) == 1L && value %in% names(data)) {
    return(stats::as.formula(call("~", as.name(value)), env))
  }
  NULL
}

# ---- states --------------------------------------------------------------------------------------

check_n_states <- function(n_states, start, known, responses) {
  if (is.null(n_states)) {
    n_states <- states_of_start(start)
    if (is.null(n_states)) n_states <- number_of_names(known)
    if (is.null(n_states)) em_abort("`n_states` is missing: give the number of states, or several to choose from.",
                                    "n_states")
  }
  fine <- is.numeric(n_states) && length(n_states) > 0L && !anyNA(n_states) &&
    all(n_states >= 1 & n_states == floor(n_states) & n_states < 1e4)
  if (!fine) check_fails("n_states", "whole numbers, at least 1", n_states, "n_states")
  sort(unique(as.integer(n_states)))
}

states_of_start <- function(start) {
  if (inherits(start, "em_hmm")) return(start$n_states)
  if (is.list(start) && is.matrix(start$transition)) return(nrow(start$transition))
  if (is.matrix(start)) return(ncol(start))
  if (is.numeric(start)) return(max(start, na.rm = TRUE))
  NULL
}

# TRUE for rows that observe at least one response.
rows_observed <- function(responses) {
  seen <- lapply(responses, function(r) if (anyNA(r$y)) rowSums(!is.na(r$y)) > 0L else rep(TRUE, nrow(r$y)))
  Reduce(`|`, seen)
}

# The rows that observe a response, or the sum of their weights.
count_observed <- function(responses, weights = NULL) {
  if (is.null(weights) && !all(vapply(responses, function(r) anyNA(r$y), NA))) return(nrow(responses[[1L]]$y))
  observed <- rows_observed(responses)
  if (is.null(weights)) sum(observed) else sum(weights[observed])
}

# Enough rows for the states, and something to see in every response.
check_enough <- function(n_states, responses) {
  for (r in responses) {
    if (anyNA(r$y) && all(is.na(r$y))) {
      em_abort(sprintf("The response %s has no observed value. Leave it out.", dQuote(r$name, FALSE)), "all_missing",
               response = r$name)
    }
  }
  n_observed <- count_observed(responses)
  if (max(n_states) > n_observed) {
    em_abort(sprintf("`n_states` is %d, more than the %s that observe a response.", max(n_states),
                     count_of(n_observed, "row")), "n_states")
  }
}

# list(labels = integer n or NULL, names = character or NULL).
check_known_states <- function(known, n, n_states) {
  if (is.null(known)) return(list())
  known <- known_labels(known, n, "a factor, whole numbers, or the name of a column of `data`")
  names <- known$names
  labels <- known$labels
  bad <- which(labels != floor(labels) | labels < 1 | labels > n_states)
  if (length(bad) > 0L || length(names) > n_states) {
    em_abort(sprintf("`known` must be states 1 to %d (NA where not known)%s.", n_states,
                     if (length(names) > n_states) sprintf("; it has %d levels", length(names)) else
                       sprintf("; row %d has %s", bad[1L], format(labels[bad[1L]]))), "known")
  }
  if (all(is.na(labels))) return(list())
  list(labels = as.integer(labels), names = names)
}

# ---- the chain -----------------------------------------------------------------------------------

# NULL, or the K x K logical matrix of possible transitions.
check_topology <- function(topology, n_states) {
  if (is.null(topology)) return(matrix(TRUE, n_states, n_states))
  later <- outer(seq_len(n_states), seq_len(n_states), function(i, j) j - i)
  if (is.character(topology)) {
    topology <- check_topology_name(topology)
    return(switch(topology, "left-right" = later >= 0, bakis = later >= 0 & later <= 2, ergodic = later == later))
  }
  fine <- (is.numeric(topology) || is.logical(topology)) && is.matrix(topology) &&
    identical(dim(topology), c(n_states, n_states)) && all(topology %in% c(0, 1))
  if (!fine) {
    check_fails("topology", sprintf("NULL, \"left-right\", \"bakis\" or a %d x %d matrix of 0 and 1", n_states,
                                    n_states),
                topology, "topology")
  }
  dead <- which(rowSums(topology) == 0)
  if (length(dead) > 0L) {
    em_abort(sprintf("`topology` lets nothing follow state %d: row %d has no 1.", dead[1L], dead[1L]), "topology")
  }
  unname(topology == 1)
}

check_topology_name <- function(topology) {
  known <- c("left-right", "bakis", "ergodic")
  name <- if (length(topology) == 1L) gsub("[_ ]", "-", tolower(topology)) else ""
  if (!name %in% known) {
    check_fails("topology", paste("one of", paste(dQuote(known, FALSE), collapse = ", "), "or a matrix of 0 and 1"),
                topology,
                "topology")
  }
  name
}

# list(kind, allowed, fixed) for the core. Zeros that are given are impossible transitions.
check_transition <- function(transition, design, allowed, fixed, n_states) {
  # What the user wrote.
  name <- if (is.matrix(transition)) "transition" else "fixed$transition"
  class <- if (is.matrix(transition)) "transition" else "fixed"
  if (is.matrix(transition)) {
    if (!is.null(fixed)) em_abort("Give the fixed transitions either as `transition` or in `fixed`.", "fixed")
    fixed <- transition
  }
  if (is.null(fixed)) return(list(kind = if (is.null(design)) "homogeneous" else "logit", allowed = allowed,
                                  fixed = NULL))
  if (!is.null(design)) {
    em_abort("`fixed$transition` cannot go with covariates on the transitions; `topology` sets zeros.", "fixed")
  }
  if (!is.numeric(fixed) && !is.logical(fixed) || !identical(dim(fixed), c(n_states, n_states))) {
    em_abort(sprintf("`%s` must be a %d x %d matrix of probabilities, NA where free, not %s.", name, n_states, n_states,
                     if (is.matrix(fixed)) paste("one of", shape_words(fixed)) else describe_value(fixed)), class)
  }
  fixed <- matrix(as.double(fixed), n_states)
  if (any(fixed < 0 | fixed > 1, na.rm = TRUE)) em_abort(sprintf("`%s` must be probabilities.", name), class)
  if (any(fixed[!allowed] > 0, na.rm = TRUE)) {
    em_abort(sprintf("`%s` and `topology` contradict each other.", name), class)
  }
  allowed <- allowed & !(fixed %in% 0)
  fixed[!allowed] <- NA
  total <- rowSums(fixed, na.rm = TRUE)
  free <- rowSums(allowed & is.na(fixed))
  bad <- which(ifelse(free == 0, abs(total - 1) > 1e-8, total >= 1))
  if (length(bad) > 0L) {
    em_abort(sprintf(paste0("`%s`, row %d: the given probabilities sum to %s; they must sum to 1, or to less where ",
                            "some are free."), name, bad[1L], format(total[bad[1L]])), class)
  }
  list(kind = "homogeneous", allowed = allowed, fixed = if (!all(is.na(fixed))) fixed)
}

# list(kind, fixed) for the core.
check_initial <- function(initial, design, fixed, n_states, sequences, transition) {
  if (!is.null(fixed)) {
    if (!is_free_initial(initial)) em_abort("`fixed$initial` and `initial` exclude each other.", "fixed")
    if (all(is.na(fixed))) return(list(kind = "free", fixed = NULL))
    if (!anyNA(fixed)) return(check_initial(fixed, NULL, NULL, n_states, sequences, transition))
    fixed <- as.double(fixed)
    if (length(fixed) != n_states || any(fixed < 0, na.rm = TRUE) || sum(fixed, na.rm = TRUE) >= 1) {
      em_abort(sprintf(paste0("`fixed$initial` must be %d probabilities (NA where free) that sum to 1, or to ",
                              "less where some are free."), n_states), "fixed")
    }
    return(list(kind = "free", fixed = fixed))
  }
  if (is_free_initial(initial)) return(list(kind = "free", fixed = NULL))
  if (inherits(initial, "formula")) return(list(kind = "logit", fixed = NULL))
  if (is.character(initial)) {
    initial_choice(initial)
    if (transition$kind == "logit") {
      em_abort(paste0("`initial = \"stationary\"` needs transitions that do not depend on covariates: with them ",
                      "there is no one stationary law. Use \"free\"."), "initial")
    }
    return(list(kind = "stationary", fixed = NULL))
  }
  m <- length(sequences$lengths)
  if (is.numeric(initial) && is.matrix(initial) && !identical(dim(initial), c(n_states, 1L))) {
    if (!identical(dim(initial), c(n_states, m))) {
      em_abort(sprintf("`initial` as a matrix must be %d x %d (states x sequences), not %d x %d.", n_states, m,
                       nrow(initial), ncol(initial)), "initial")
    }
    return(list(kind = "per_sequence", fixed = check_distribution(initial, "initial")))
  }
  if (!is.numeric(initial) || length(initial) != n_states) {
    check_fails("initial", sprintf("\"free\", \"stationary\", a formula, or %d probabilities", n_states), initial,
                "initial")
  }
  list(kind = "fixed", fixed = as.vector(check_distribution(as.double(initial), "initial")))
}

initial_choice <- function(initial) {
  if (length(initial) != 1L || !initial %in% c("free", "stationary")) {
    check_fails("initial", "\"free\", \"stationary\", a formula, or probabilities", initial, "initial")
  }
  initial
}

is_free_initial <- function(initial) {
  identical(initial, "free") || inherits(initial, "formula") && length(initial) == 2L && identical(initial[[2L]], 1)
}

# Columns (or a vector) of probabilities that sum to 1.
check_distribution <- function(p, name, class = name) {
  total <- if (is.matrix(p)) colSums(p) else sum(p)
  if (anyNA(p) || any(p < 0) || any(abs(total - 1) > 1e-6)) {
    em_abort(sprintf("`%s` must be probabilities that sum to 1%s.", name,
                     if (anyNA(total)) "" else sprintf("; they sum to %s",
                                                       format(total[which.max(abs(total - 1))]))), class)
  }
  if (is.matrix(p)) unname(sweep(p, 2L, total, "/")) else p / total
}

# The design of the transitions in the order of sequences, row t for the transition into row t; NULL without covariates.
hmm_transition_design <- function(transition, input, sequences, timing, n) {
  if (is.matrix(transition)) return(NULL)
  # The rows that count are a promise: without covariates a long series never makes them.
  design <- chain_design(transition, "transition", "the transitions", input, n,
                         transition_rows(sequences, timing, n)[-sequences$first])
  if (is.null(design)) return(NULL)
  rows <- transition_rows(sequences, timing, n)
  inner <- setdiff(seq_len(n), sequences$first)
  # The last rows' covariates belong to the transitions that come next (timing "from").
  last <- c(sequences$first[-1L] - 1L, n)
  design$last <- design$x[if (is.null(sequences$order)) last else sequences$order[last], , drop = FALSE]
  design$x <- fill_unused(design$x[rows, , drop = FALSE], inner)
  standardise_design(design, "the transitions", rows = if (length(inner) > 0L) inner)
}

# For each place in the order of sequences the row of the data whose covariates the transition into it has.
transition_rows <- function(sequences, timing, n) {
  rows <- if (is.null(sequences$order)) seq_len(n) else sequences$order
  if (timing == "to") return(rows)
  from <- c(rows[1L], rows[-n])
  from[sequences$first] <- rows[sequences$first]
  from
}

# The design of the initial distribution, a row for each sequence; NULL without covariates.
hmm_initial_design <- function(initial, input, sequences, n) {
  if (!inherits(initial, "formula")) return(NULL)
  rows <- if (is.null(sequences$order)) sequences$first else sequences$order[sequences$first]
  design <- chain_design(initial, "initial", "the initial distribution", input, n, rows)
  if (is.null(design)) return(NULL)
  design$x <- design$x[rows, , drop = FALSE]
  standardise_design(design, "the initial distribution")
}

# The design of a one-sided formula of the chain, or NULL for an intercept alone. `used`: rows that count.
chain_design <- function(formula, argument, what, input, n, used) {
  if (!inherits(formula, "formula")) check_fails(argument, "a one-sided formula such as ~ 1 or ~ x", formula, argument)
  if (length(formula) != 2L) {
    em_abort(sprintf("`%s` must be a one-sided formula such as ~ x; %s has a left side.", argument,
                     formula_text(formula)), argument)
  }
  terms <- stats::terms(formula, data = input$data)
  if (length(attr(terms, "offset")) > 0L) em_abort(sprintf("`%s` takes no offset.", argument), argument)
  if (length(attr(terms, "term.labels")) == 0L && attr(terms, "intercept") == 1L) return(NULL)
  if (attr(terms, "intercept") == 0L) em_abort(sprintf("`%s` needs its intercept; leave out the 0 or -1.", argument),
                                               argument)
  frame <- frame_of(formula, input$data)
  if (nrow(frame) != n) {
    em_abort(sprintf("The covariates of %s have %d rows, the responses %d.", what, nrow(frame), n), argument)
  }
  design <- design_of(attr(frame, "terms"), frame, n, what, used = if (length(used) > 0L) used)
  design$variables <- row_variables(formula, input$data, n)
  design
}

# `fixed` as list(initial, transition, emission): what is named otherwise belongs to the responses.
split_fixed <- function(fixed, responses) {
  if (is.null(fixed)) return(NULL)
  if (!is.list(fixed) || length(fixed) == 0L || is.null(names(fixed)) || any(names(fixed) == "")) {
    em_abort("`fixed` must be a list with some of initial, transition and emission.", "fixed")
  }
  chain <- c("initial", "transition", "emission")
  rest <- fixed[setdiff(names(fixed), chain)]
  fixed <- fixed[intersect(names(fixed), chain)]
  if (length(rest) > 0L) {
    if (!is.null(fixed$emission)) em_abort("`fixed` has both `emission` and parameters of responses beside it.",
                                           "fixed")
    fixed$emission <- rest
  }
  fixed
}
