# The search over cells, each a covariance structure with a number of components (and of factors): what can be fitted, how hard to try,
# the calls into the core, and the choice.

# Why a cell cannot be fitted, or "".
cell_obstacle <- function(code, k, d, look, spec) {
  if (k > look$n_distinct) return(sprintf("the data have only %d distinct rows", as.integer(look$n_distinct)))
  # With fewer rows than columns every column is linear in others, and factor analysers do not mind.
  few_rows <- has_factors(code) && look$n_rows <= d
  full <- covariance_level(code) %in% c("pooled", "full") && !few_rows
  held <- !is.null(spec$fixed$covariance_fixed) && all(spec$fixed$covariance_fixed)
  if (full && !is.null(look$collinear) && is.null(spec$prior) && !held) {
    return(paste0("the columns are collinear: ", look$collinear))
  }
  ""
}

# Free parameters of a cell.
gmm_df <- function(code, k, n_factors, d, spec) {
  noise <- !is.null(spec$noise)
  fixed <- spec$fixed
  covariance <- covariance_n_parameters_(code, d, k, n_factors)
  if (!is.null(fixed$covariance_fixed)) {
    free <- sum(!fixed$covariance_fixed)
    covariance <- if (free == 0L) 0 else covariance_n_parameters_(code, d, free, n_factors)
  }
  means <- d * (k - sum(fixed$mean_fixed))
  proportions <- if (!is.null(fixed$proportions)) {
    max(0, sum(is.na(fixed$proportions)) - 1)
  } else if (spec$equal_proportions) {
    as.numeric(noise)
  } else {
    k - 1 + noise
  }
  covariance + means + proportions + noise  # the noise's volume is one more
}

# Where the user does not say how many starts to try, and how many of them to run to the end: as many as take no time.
resolve_effort <- function(control, n_cells, n, d, k) {
  work <- as.double(n) * k * (d^2 + 10)
  alone <- n_cells == 1L && work < 4e6
  control$thorough <- work * n_cells < 4e6 && !identical(control$n_starts, 1L)
  if (is.null(control$n_starts)) control$n_starts <- if (alone) 50L else 10L
  if (is.null(control$n_polish)) {
    control$n_polish <- if (alone) 15L else if (n_cells == 1L) 2L else if (work < 1e5) 3L else if (work < 5e5) 2L else 1L
  }
  control
}

# The leaders of a search again, from more starts and from where they stand: a search looks at each model briefly, and
# the choice is between these. The winner's table of starts is complete for it.
refit_leaders <- function(x, weights, spec, cells, runs, criterion, control, threads, nobs, n_leaders = 4L) {
  values <- cell_criteria(cells, runs, spec, ncol(x), nobs)[[criterion]]
  sound <- !nzchar(spurious_components(cells, runs, spec, ncol(x), nobs))
  if (any(sound & !is.na(values))) values[!sound] <- NA
  leaders <- utils::head(order(values), min(n_leaders, sum(!is.na(values))))
  if (length(leaders) == 0L) return(runs)
  extra <- split(lapply(runs[leaders], `[[`, "parameters"), cells$n_components[leaders])
  effort <- resolve_effort(control, 1L, nrow(x), ncol(x), max(cells$n_components[leaders]))
  again <- fit_gmm(x, weights, spec, cells[leaders, ], NULL, effort, threads, extra)
  for (i in seq_along(leaders)) {
    first <- runs[[leaders[i]]]
    gain <- run_objective(again[[i]]) - run_objective(first)
    if (gain > 1e-8 * (1 + abs(run_objective(first)))) {
      runs[[leaders[i]]] <- again[[i]]
    } else {
      # The same optimum: the first run is the one that has a way to show from its start to here.
      runs[[leaders[i]]]$starts <- again[[i]]$starts
    }
    if (effort$thorough) {
      runs[[leaders[i]]] <- beside_heywood(x, weights, spec, cells[leaders[i], ], runs[[leaders[i]]], effort, threads)
    }
  }
  mend_nested(x, weights, spec, cells, runs, control, threads)
}

# Fits cells (a data frame of covariance, n_components and n_factors); a list of what gmm_fit_ returns for each.
# `start`: the user's, or NULL for automatic ones; `extra`: lists of parameters to start from as well, named by their
# number of components. `control` says how many starts to try and to polish (see resolve_effort).
fit_gmm <- function(x, weights, spec, cells, start, control, threads, extra = NULL) {
  n <- nrow(x)
  sizes <- sort(unique(cells$n_components))
  rows <- NULL
  if (is.null(start) && n > control$search_rows && max(sizes) > 1L) {
    rows <- sort(sample.int(n, control$search_rows))
    if (!is.null(spec$known)) rows <- sort(unique(c(rows, which(!is.na(spec$known)))))
  }
  searched <- if (is.null(rows)) x else x[rows, , drop = FALSE]
  if (is.null(start)) {
    labelled <- !is.null(spec$known)
    grow <- max(sizes) > 1L && control$n_starts > 0L && !labelled && is.null(spec$noise$rows)
    trees <- if (grow) ward_trees(searched, max(sizes)) else list()
    complete <- !anyNA(searched)
    starts <- lapply(sizes, function(k) {
      automatic_starts(k, control$n_starts, nrow(searched), trees, complete, labelled)
    })
  } else {
    starts <- list(list(start))
  }
  if (!is.null(extra)) {
    starts <- lapply(seq_along(sizes), function(i) {
      solutions <- extra[[as.character(sizes[i])]]
      c(lapply(solutions, function(p) list(kind = "parameters", method = "search", parameters = p)), starts[[i]])
    })
  }
  gmm_fit_(
    x, weights, spec$known, cells$covariance, as.integer(cells$n_components), as.integer(cells$n_factors),
    as.integer(sizes), starts, rows,
    core_options(spec, ncol(x), sizes[1L]), core_control(control, if (is.null(start)) draw_key() else c(0, 0)),
    threads, progress_display(control, "models")
  )
}

# What the core takes of the model beside its cell, and of the control; `key` names the random streams.
core_options <- function(spec, d, k) {
  fixed <- spec$fixed
  list(
    equal_proportions = spec$equal_proportions, noise_sides = spec$noise$sides,
    noise_start = if (is.null(spec$noise$start)) 0.05 else spec$noise$start, noise_rows = spec$noise$rows,
    prior = spec$prior, fixed_proportions = fixed$proportions, fixed_mean = fixed$mean_fixed,
    fixed_covariance = fixed$covariance_fixed, fixed = if (!is.null(fixed)) fixed_parameters(fixed, d, k)
  )
}

core_control <- function(control, key) {
  list(tol = control$tol, max_iter = control$max_iter, accelerator = resolve_acceleration(control),
       n_short = control$n_short, n_polish = control$n_polish, key = key)
}

# Fixed parameters in the shapes of a full set; what is free is not looked at.
fixed_parameters <- function(fixed, d, k) {
  list(
    proportions = rep(1 / k, k),
    means = if (is.null(fixed$means)) matrix(0, d, k) else fixed$means,
    covariances = if (is.null(fixed$covariances)) array(diag(d), c(d, d, k)) else fixed$covariances
  )
}

# Weights of the rows that observe anything.
sum_weights <- function(x, weights) {
  empty <- if (anyNA(x)) rowSums(!is.na(x)) == 0L else logical()
  if (is.null(weights)) nrow(x) - sum(empty) else sum(weights) - sum(weights[empty])
}

cell_criteria <- function(cells, runs, spec, d, nobs) {
  fitted <- vapply(runs, function(r) isTRUE(r$fitted), NA)
  value <- function(field) {
    vapply(seq_along(runs), function(i) if (fitted[i]) as.double(runs[[i]][[field]]) else NA_real_, 0)
  }
  loglik <- value("loglik")
  df <- mapply(gmm_df, cells$covariance, cells$n_components, cells$n_factors,
               MoreArgs = list(d = d, spec = spec), USE.NAMES = FALSE)
  bic <- -2 * loglik + df * log(nobs)
  # list2DF(): data.frame() takes as long as a small fit
  list2DF(list(loglik = loglik, df = df, BIC = bic, ICL = bic - 2 * value("map_entropy"), AIC = -2 * loglik + 2 * df))
}

# The row of the best cell; spurious ones only when there is nothing else.
choose_cell <- function(cells, runs, criterion, spec, d, nobs) {
  values <- cell_criteria(cells, runs, spec, d, nobs)[[criterion]]
  if (all(is.na(values))) return(NA_integer_)
  sound <- !nzchar(spurious_components(cells, runs, spec, d, nobs))
  if (any(sound & !is.na(values))) values[!sound] <- NA
  which.min(values)
}

# For each cell what is spurious about its solution, or "". A component that has parameters of its own needs the
# observations to determine them: d + 1 for its own orientation, 2 for its own volume, shape or uniquenesses, q + 2 for
# its own q factors. With fewer the
# likelihood is high for no reason in the data (and, where nothing else bounds it, without limit).
spurious_components <- function(cells, runs, spec, d, nobs) {
  if (!is.null(spec$prior)) return(rep("", nrow(cells)))
  per_row <- nobs / spec$n_informative
  vapply(seq_len(nrow(cells)), function(i) {
    run <- runs[[i]]
    k <- cells$n_components[i]
    if (!isTRUE(run$fitted) || k == 1L) return("")
    needed <- rows_needed(cells$covariance[i], d, cells$n_factors[i])
    if (needed == 0) return("")
    sizes <- run$sizes[seq_len(k)] / per_row
    sizes[spec$fixed$covariance_fixed %in% TRUE] <- Inf
    if (min(sizes) >= needed - 1e-6) return("")
    sprintf("a component rests on %s observations, fewer than the %d that its own covariance parameters need",
            format(floor(min(sizes) * 100) / 100), needed)
  }, "")
}

# How many observations the covariance parameters need that each component has for itself.
rows_needed <- function(code, d, n_factors) {
  if (code %in% c("CCC", "CCU")) return(0)
  if (has_factors(code)) return(if (startsWith(code, "U")) n_factors + 2 else 2)
  letters <- covariance_letters(code)
  if (identical(letters[["orientation"]], "V")) d + 1 else if ("V" %in% letters) 2 else 0
}

count_components <- function(k) if (k == 1L) "1 component" else paste(k, "components")

# What to say of a run without parameters.
degeneracy_message <- function(run) {
  component <- if (length(run$degenerate_component) == 1L) sprintf("component %d", run$degenerate_component) else "a component"
  switch(run$degeneracy,
    vanished = paste(component, "lost all its observations"),
    singular = sprintf("%s collapsed: its variance went to zero in some direction", component),
    not_finite = "the likelihood is not finite",
    "no start led to a fit")
}

abort_degenerate <- function(cells, runs) {
  i <- which(!vapply(runs, is.null, NA))[1L]
  run <- runs[[i]]
  em_abort(
    sprintf(paste0("%s with %s: %s, in every start. Too few rows for a component, and duplicated, rounded or ",
                   "collinear points do this. Try fewer components, a simpler structure (\"EEE\", \"EEI\") or `prior = TRUE`."),
            cells$covariance[i], count_components(cells$n_components[i]), degeneracy_message(run)),
    "degenerate", component = run$degenerate_component
  )
}
