# The rows on which methods of hidden Markov models work: those of the fit, or new ones.

# The rows on which a method works, as the core takes them: those of the fit, or new ones.
hmm_rows <- function(fit, newdata, ntimes, what) {
  if (is.null(newdata)) {
    if (!is.null(ntimes)) {
      em_abort("`ntimes` is for `newdata`; the sequences of the data are those of the fit.", "argument",
               argument = "ntimes")
    }
    require_data(fit, paste(what, "without `newdata`"))
    sequences <- list(order = fit$row_order, first = fit$data$first + 1L, lengths = fit$sequences$n,
                      labels = fit$sequences$id)
    return(list(data = fit$data, model = fit$model, sequences = sequences, n = fit$n_rows, row_names = fit$row_names,
                new = FALSE))
  }
  specs <- response_specs_new(fit$responses, newdata)
  frame <- if (is.data.frame(newdata)) newdata else NULL
  sequences <- hmm_new_sequences(fit, frame, ntimes, specs$n)
  order <- sequences$order
  transition <- fit$design$transition
  if (!is.null(transition)) {
    into <- transition_rows(sequences, fit$timing, specs$n)
    inner <- setdiff(seq_len(specs$n), sequences$first)
    used <- if (length(inner) > 0L) into[inner]
    transition <- design_rows(design_new(transition, frame, specs$n, "the transitions", used), into)
    transition$x <- fill_unused(transition$x, inner)
  }
  initial <- fit$design$initial
  if (!is.null(initial)) {
    begins <- if (is.null(order)) sequences$first else order[sequences$first]
    initial <- design_rows(design_new(initial, frame, specs$n, "the initial distribution", begins), begins)
  }
  data <- list(
    responses = lapply(unname(specs$responses), core_response, rows = order), first = sequences$first - 1L, n = specs$n,
    known = NULL, weights = NULL, x_transition = core_columns_or_null(transition),
    x_initial = core_columns_or_null(initial)
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
      em_abort(sprintf("`newdata` lacks %s, the %s of the sequences.", paste(dQuote(absent, FALSE), collapse = ", "),
                       what),
               "newdata", variables = absent)
    }
    look_up(formula, frame, environment(formula), what)
  }
  id <- find(fit$id_formula, "id")
  timed <- !is.null(fit$time_formula) && all(all.vars(fit$time_formula) %in% names(frame))
  time <- if (timed) find(fit$time_formula, "time")
  hmm_sequences(id, time, ntimes, n)
}

# The core's model for sequences with these labels: an initial distribution given for each sequence is that of the same
# label.
model_for <- function(fit, labels) {
  model <- fit$model
  if (model$initial$kind != "per_sequence") return(model)
  at <- match(labels, fit$sequences$id)
  if (anyNA(at)) {
    em_abort(sprintf(paste0("The initial distribution was given for each sequence; sequence %s of `newdata` is ",
                            "not among them."),
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
