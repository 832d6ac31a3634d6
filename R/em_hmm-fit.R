# From checked arguments to a fit: the problem in the core's terms, its runs, the choice, the fields.

# Everything about one number of states. `data` and `model` are what the core takes, rows in the order of sequences.
hmm_problem <- function(n_states, input, sequences, design, transition, initial, topology, shared, fixed, weights,
                        timing) {
  n <- input$specs$n
  known <- check_known_states(input$known, n, n_states)
  responses <- constrain_responses(input$specs$responses, fixed$emission, shared, n_states)
  if (n_states == 1L) design <- list(transition = NULL, initial = NULL)
  allowed <- check_topology(topology, n_states)
  chain <- check_transition(transition, design$transition, allowed, fixed$transition, n_states)
  if (n_states == 1L && inherits(initial, "formula")) initial <- "free"
  first <- check_initial(initial, design$initial, fixed$initial, n_states, sequences, chain)
  check_reachable(chain$allowed, first, max(sequences$lengths))
  order <- sequences$order
  in_order <- function(x) if (is.null(x) || is.null(order)) x else x[order]
  data <- list(
    responses = lapply(unname(responses), core_response, rows = order), first = sequences$first - 1L, n = n,
    known = in_order(known$labels), weights = in_order(weights), x_transition = core_columns(design$transition),
    x_initial = core_columns(design$initial)
  )
  list(
    n_states = n_states, responses = responses, design = design, sequences = sequences, data = data,
    model = list(n_states = n_states, transition = chain, initial = first), input = input, known = known$labels,
    state_names = replace(as.character(seq_len(n_states)), seq_along(known$names), known$names), weights = weights,
    topology = topology, fixed = fixed, shared = shared, timing = timing,
    # Where the user's arguments speak of states by number, the states keep their order.
    keep_order = !is.null(known$labels) || !is.null(fixed) || !is.null(topology) || is.matrix(transition) ||
      first$kind %in% c("fixed", "per_sequence")
  )
}

# Every state can be reached within the longest sequence.
check_reachable <- function(allowed, initial, longest) {
  k <- nrow(allowed)
  reached <- if (is.null(initial$fixed)) rep(TRUE, k) else rowSums(as.matrix(initial$fixed)) > 0
  steps <- 1L
  while (!all(reached) && steps < min(longest, k + 1L)) {
    reached <- reached | colSums(allowed[reached, , drop = FALSE]) > 0
    steps <- steps + 1L
  }
  if (!all(reached)) {
    em_abort(sprintf(paste0("State %d cannot be reached within the %d rows of the longest sequence, from the given ",
                            "initial distribution. Use fewer states, another `topology` or `initial`."),
                     which(!reached)[1L], longest), "n_states")
  }
}

# Calls into the core; a row that is impossible in every state is named by its number in the user's data.
hmm_core <- function(expression, order = NULL, what = "data") {
  tryCatch(expression, error = function(e) {
    message <- conditionMessage(e)
    if (!grepl("impossible row", message)) stop(e)
    row <- as.integer(sub(".*impossible row[^0-9]*([0-9]+).*", "\\1", message))
    if (!is.null(order)) row <- order[row]
    em_abort(sprintf(paste0("Row %d of the %s is impossible in every state (its density is zero, or below the ",
                            "smallest number). Check its values, the starting values, `known`, `topology` and ",
                            "`initial`."), row, what),
             "impossible_row", row = row)
  })
}

# How many starts, and how many of them to run to the end, where the user does not say.
hmm_effort <- function(control, alone, n, n_states) {
  work <- as.double(n) * n_states * (n_states + 10)
  tiny <- work < 5e4 && alone
  small <- work < 5e5
  if (is.null(control$n_starts)) {
    control$n_starts <- if (tiny) 120L else if (small && alone) 50L else if (work < 5e6) 24L else 12L
  }
  if (is.null(control$n_polish)) {
    control$n_polish <- if (tiny) 30L else if (small) 12L else if (work < 5e6) 4L else 2L
  }
  control
}

hmm_control <- function(control, threads, key) {
  c(core_control(control, key), list(threads = threads))
}

# One number of states: the run of the best start. `given`: starts of the user, or NULL.
run_hmm <- function(problem, given, control, threads) {
  starts <- given
  key <- if (is.null(given)) draw_key() else c(0, 0)
  if (is.null(starts) && problem$data$n > control$search_rows && problem$n_states > 1L) {
    starts <- sampled_starts(problem, control, threads)
  }
  if (is.null(starts)) starts <- hmm_starts(problem, problem$data, control$n_starts)
  settings <- hmm_control(control, threads, key)
  settings$progress <- progress_display(control, "starts")
  run <- hmm_core(hmm_fit_(problem$data, problem$model, starts, settings), problem$sequences$order)
  if (problem$model$initial$kind == "per_sequence") run$parameters$initial <- problem$model$initial$fixed
  run
}

# Starts for many rows: the best fits of two random samples of them.
sampled_starts <- function(problem, control, threads) {
  starts <- list()
  for (i in 1:2) {
    release_garbage(problem$data$n)
    sample <- hmm_sample_data(problem, control$search_rows)
    model <- problem$model
    if (model$initial$kind == "per_sequence") model$initial$fixed <- model$initial$fixed[, sample$owner, drop = FALSE]
    few <- control
    few$n_polish <- min(control$n_polish, 3L)
    few$tol <- max(control$tol, 1e-6)
    run <- hmm_fit_(sample$data, model, hmm_starts(problem, sample$data, control$n_starts),
                    c(hmm_control(few, threads, draw_key()), list(progress = NULL)))
    if (isTRUE(run$fitted)) {
      parameters <- run$parameters
      if (model$initial$kind == "per_sequence") parameters$initial <- problem$model$initial$fixed
      starts <- c(starts, list(list(kind = "parameters", method = "fit of a sample", parameters = parameters)))
    }
  }
  if (length(starts) > 0L) starts
}

# R collects its garbage late, and with long series this adds to the peak of the memory: collected where much has gathered.
release_garbage <- function(n) {
  if (n > 2e6) invisible(gc(verbose = FALSE))
}

# Pieces of sequences, drawn at random, of about `limit` rows in all, as the core's data.
hmm_sample_data <- function(problem, limit) {
  data <- problem$data
  longest <- max(1L, limit %/% 8L)
  lengths <- problem$sequences$lengths
  n_pieces <- ceiling(lengths / longest)
  owner <- rep(seq_along(lengths), n_pieces)
  number <- sequence(n_pieces)
  begin <- data$first[owner] + 1L + (number - 1L) * longest
  size <- pmin(longest, lengths[owner] - (number - 1L) * longest)
  drawn <- sample.int(length(owner))
  drawn <- sort(drawn[seq_len(max(1L, sum(cumsum(size[drawn]) <= limit)))])
  rows <- sequence(size[drawn], begin[drawn])
  some <- function(x) if (is.null(x)) NULL else if (is.matrix(x)) x[rows, , drop = FALSE] else x[rows]
  data$responses <- lapply(data$responses, function(r) {
    r[c("y", "x", "offset")] <- list(some(r$y), some(r$x), some(r$offset))
    r
  })
  size <- size[drawn]
  data$first <- cumsum(c(0L, size[-length(size)]))
  data$n <- length(rows)
  data[c("known", "weights", "x_transition")] <- list(some(data$known), some(data$weights), some(data$x_transition))
  if (!is.null(data$x_initial)) data$x_initial <- data$x_initial[owner[drawn], , drop = FALSE]
  list(data = data, owner = owner[drawn])
}

# The table of all numbers of states.
hmm_selection <- function(problems, runs, nobs, threads) {
  rows <- lapply(seq_along(runs), function(i) {
    run <- runs[[i]]
    problem <- problems[[i]]
    if (!isTRUE(run$fitted)) {
      return(data.frame(n_states = problem$n_states, loglik = NA_real_, df = as.double(run$df), AIC = NA_real_,
                        BIC = NA_real_,
                        ICL = NA_real_, status = "degenerate", message = degenerate_words(problem, run)))
    }
    bic <- -2 * run$loglik + run$df * log(nobs)
    sums <- hmm_evaluate_(problem$data, problem$model, run$parameters, "summary", threads)
    data.frame(n_states = problem$n_states, loglik = run$loglik, df = as.double(run$df),
               AIC = -2 * run$loglik + 2 * run$df,
               BIC = bic, ICL = bic - 2 * sums$map_entropy, status = run$status,
               message = if (run$status == "max_iter") "stopped at the iteration limit" else "")
  })
  do.call(rbind, rows)
}

degenerate_words <- function(problem, run) {
  state <- run$degenerate_component
  who <- if (length(state) == 1L && !is.na(state) && state > 0) sprintf("state %d", state) else "a state"
  sprintf("%s collapsed (its variance went to zero, or it lost all its rows)", who)
}

abort_degenerate_states <- function(problem, run) {
  em_abort(sprintf(paste0("The fit of %s is degenerate in every start: %s. Constant or repeated values do this, ",
                          "and too many states. Try fewer states, `shared = \"sd\"`, or another `start`."),
                   count_of(problem$n_states, "state"), degenerate_words(problem, run)),
           "degenerate", component = run$degenerate_component)
}

# The fit of the best number of states.
build_hmm <- function(problem, run, selection, nobs, order_by, control, threads, call) {
  k <- problem$n_states
  states <- if (problem$keep_order && is.null(order_by)) seq_len(k) else state_order(problem, run$parameters, order_by)
  core <- permute_states(run$parameters, states, problem$model)
  model <- permute_model(problem$model, states)
  counts <- run$counts[states]
  labels <- problem$state_names
  if (is.null(problem$known)) labels <- as.character(seq_len(k)) else labels <- labels[states]
  parameters <- user_parameters(core, problem$responses, problem$design, model, labels)
  order <- problem$sequences$order
  data <- problem$data
  data$known <- if (!is.null(data$known)) match(data$known, states)
  evaluate <- function(what) hmm_core(hmm_evaluate_(data, model, core, what, threads), order)
  keep <- control$keep_posterior
  if (identical(keep, "auto")) keep <- as.double(data$n) * k <= 1e7
  posterior <- if (keep) user_rows(evaluate("posterior"), order)
  row_names <- problem$input$specs$row_names
  if (keep) dimnames(posterior) <- list(row_names, labels)
  release_garbage(data$n)
  path <- hmm_core(hmm_viterbi_(data, model, core, threads), order)
  # One sequence: its log-likelihood is known, without its weight.
  each <- if (length(problem$sequences$lengths) > 1L) evaluate("loglik")$sequences else {
    run$loglik / (if (is.null(data$weights)) 1 else data$weights[1L])
  }
  input <- list(formula = problem$input$formula, terms = NULL, variables = names(problem$responses),
                row_names = row_names)
  fit <- new_em_fit(
    "em_hmm", call, input, parameters, run, df = as.double(run$df), nobs = nobs, starts = start_table(run),
    weights = problem$weights, control = control,
    n_states = k, state_names = labels, timing = problem$timing, topology = problem$topology,
    initial_kind = model$initial$kind, posterior = posterior,
    states = named_rows(user_rows(path$states, order), row_names),
    sequences = data.frame(id = problem$sequences$labels, n = problem$sequences$lengths, loglik = each),
    counts = stats::setNames(counts, labels), degeneracy = state_table(parameters, counts, labels, problem, core),
    selection = selection, known = problem$known, fixed = problem$fixed, shared = problem$shared, order_by = order_by,
    model = model, responses = lapply(problem$responses, strip_response), design = lapply(problem$design, strip_design),
    id_formula = problem$input$id_formula, time_formula = problem$input$time_formula, row_order = order
  )
  fit["data"] <- list(if (control$keep_data) data)
  fit["frame"] <- list(if (control$keep_data) hmm_frame(problem$input, problem$design))
  fit$n_rows <- data$n
  fit
}

# What a response or a design is apart from its rows.
strip_response <- function(response) {
  response["y"] <- list(matrix(0, 0L, ncol(response$y)))
  response$design <- strip_design(response$design)
  response
}

strip_design <- function(design) {
  if (is.null(design)) return(NULL)
  if (!is.null(design$x)) {
    design$average <- colMeans(design$x)
    design$x <- design$x[0L, , drop = FALSE]
  }
  if (!is.null(design$offset)) {
    design$average_offset <- mean(design$offset)
    design$offset <- design$offset[0L]
  }
  design
}

# The columns of the data that the model uses, in the user's order, or NULL.
hmm_frame <- function(input, design) {
  data <- input$data
  if (is.null(data)) return(NULL)
  formulas <- if (inherits(input$formula, "formula")) list(input$formula) else input$formula
  used <- unlist(lapply(formulas, all.vars))
  for (expression in input$by_row) {
    used <- c(used, all.vars(expression), if (is.character(expression)) expression)
  }
  used <- c(used, all.vars(input$id_formula), all.vars(input$time_formula), design$transition$variables,
            design$initial$variables)
  as.data.frame(data)[intersect(names(data), used)]
}

# Names for rows that have some.
named_rows <- function(x, row_names) if (is.null(row_names)) x else stats::setNames(x, row_names)

# Rows in the order of sequences put into the user's order.
user_rows <- function(x, order) {
  if (is.null(order)) return(x)
  if (is.matrix(x)) x[order, ] <- x else x[order] <- x
  x
}
