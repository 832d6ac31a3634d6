# Where the fits of em_mixture() start: what a user gives, and automatic partitions of the rows.

# ---- given by the user ---------------------------------------------------------------------------

# A start in the shapes of its kind, checked as far as it goes without the model; NULL for automatic ones.
mixture_start <- function(start, input, n_components) {
  if (is.null(start)) return(NULL)
  if (length(n_components) > 1L) em_abort("`start` needs a single `n_components`.", "start")
  n <- input$n
  if (inherits(start, "em_mixture")) {
    start <- c(start$parameters[c("proportions", "emission")], list(method = "previous fit"))
  }
  if (is.list(start) && !is.data.frame(start)) return(mixture_parameters_start(start, input, n_components))
  if (is.data.frame(start)) start <- as.matrix(start)
  if (is.matrix(start)) return(posterior_start(start, n, n_components, FALSE))
  start <- partition_start(start, n, n_components, FALSE)
  start$certainty <- 1
  if (start$n_components > n) em_abort("`start` has more components than there are rows.", "start")
  start
}

mixture_parameters_start <- function(start, input, n_components) {
  strange <- setdiff(names(start), c("proportions", "emission", "method"))
  if (is.null(start$emission) || length(strange) > 0L) {
    start_fails("must be a list with `emission` and `proportions` (which may be left out)%s.",
                if (length(strange) > 0L) paste0(", not ", paste(strange, collapse = ", ")) else "")
  }
  p <- start$proportions
  k <- n_components
  if (is.null(k)) k <- if (is.matrix(p)) ncol(p) else if (!is.null(p)) length(p) else components_of(start$emission)
  q <- if (is.null(input$design)) NULL else length(input$design$names)
  if (is.null(p) || !is.null(q) && !is.matrix(p)) {
    # Proportions for all rows, as coefficients.
    share <- if (is.null(p)) rep(1 / k, k) else p / sum(p)
    p <- if (is.null(q)) share else rbind(log(share / share[1L]), matrix(0, q - 1L, length(share)))
  }
  if (is.null(q)) {
    if (!is.numeric(p) || length(p) != k) start_fails("must have %d proportions, not %s.", k, describe_value(p))
    if (anyNA(p) || any(p < 0) || abs(sum(p) - 1) > 1e-6) {
      start_fails("must have proportions that are not negative and sum to 1; they sum to %s.", format(sum(p)))
    }
  } else if (!is.numeric(p) || !identical(dim(p), c(q, as.integer(k))) || !all(is.finite(p))) {
    start_fails("must have a %d x %d matrix of proportions: coefficients by component, those of the first being 0.", q,
                k)
  }
  list(kind = "parameters", method = if (is.null(start$method)) "parameters" else start$method,
       n_components = as.integer(k), parameters = list(proportions = p, emission = start$emission))
}

# The number of components of a list of parameters: the last extent of its first array.
components_of <- function(emission) {
  first <- emission
  while (is.list(first)) first <- first[[1L]]
  if (is.null(dim(first))) length(first) else dim(first)[length(dim(first))]
}

# The same in the core's terms.
mixture_core_start <- function(start, spec) {
  if (start$kind == "parameters") start$parameters <- mixture_to_core(start$parameters, spec, start$n_components)
  start
}

# ---- automatic -----------------------------------------------------------------------------------

# What the automatic starts look at, whatever the number of components: responses on a scale on which a linear model of
# them makes sense, their residuals from one regression, and responses beside covariates, each n x columns and
# standardised; and hierarchical trees of these.
mixture_views <- function(spec, largest) {
  views <- lapply(spec$responses, working_response)
  response <- do.call(cbind, lapply(views, function(v) standard_scores(v$z)))
  residual <- do.call(cbind, lapply(views, function(v) standard_scores(overall_residuals(v))))
  covariates <- do.call(cbind, c(lapply(views, function(v) v$x[, -1L, drop = FALSE]),
                                 list(if (!is.null(spec$design)) core_columns(spec$design))))
  space <- cbind(response, if (!is.null(covariates) && ncol(covariates) > 0L) standard_scores(covariates))
  regression <- any(vapply(views, function(v) ncol(v$x) > 1L, NA))
  looks <- list(responses = response)
  if (regression) looks$residuals <- residual
  if (ncol(space) > ncol(response)) looks[["responses and covariates"]] <- space
  trees <- list()
  if (largest > 1L && is.null(spec$known)) {
    for (name in names(looks)) {
      grown <- ward_trees(looks[[name]], largest)
      if (length(grown) > 0L) names(grown) <- paste(names(grown), "of", name)
      trees <- c(trees, grown)
    }
  }
  list(views = views, response = response, residual = residual, space = space, trees = trees)
}

# Starts for many rows: the best fits of two random samples of them (with the rows whose labels are known), NULL when
# there are none. What is made of all rows, clusters of them say, would take longer than the fit.
sampled_mixture_starts <- function(spec, k, control, threads) {
  starts <- list()
  few <- control
  few$n_polish <- min(control$n_polish, 3L)
  for (i in 1:2) {
    part <- mixture_part(spec, sort(unique(c(sample.int(spec$n, control$search_rows), which(!is.na(spec$known))))))
    run <- mixture_fit_(mixture_core_data(part), mixture_core_model(part, k),
                        mixture_starts(part, mixture_views(part, k), k, control$n_starts),
                        mixture_control(few, threads), progress_display(control, "starts"))
    if (isTRUE(run$fitted)) {
      starts <- c(starts, list(list(kind = "parameters", method = "sample of the rows", parameters = run$parameters)))
    }
  }
  if (length(starts) > 0L) starts
}

# Some rows, with the columns of covariates on the scale of all.
mixture_part <- function(spec, rows) {
  some <- function(v) if (is.null(v)) NULL else v[rows]
  spec$responses <- lapply(spec$responses, response_rows, rows = rows)
  if (!is.null(spec$design)) spec$design <- design_rows(spec$design, rows)
  spec[c("known", "weights")] <- list(some(spec$known), some(spec$weights))
  spec$observed <- spec$observed[rows]
  spec$n <- length(rows)
  spec
}

# Starts for k components: partitions of the rows, which are not quite sure: no value is impossible where it happens
# not to have been seen. Some are surer than others: small components begin well from these, large ones find each
# other from those.
mixture_starts <- function(spec, look, k, n_starts) {
  partition <- function(method, labels, certainty = 0.999) {
    list(kind = "partition", method = method, partition = as.integer(labels), certainty = certainty)
  }
  n <- spec$n
  if (k == 1L) return(list(partition("one component", rep(1L, n))))
  regressions <- function() clusterwise_labels(look$views, k, spec$observed)
  makers <- list(
    "k-means of residuals" = function() kmeans_labels(look$residual, k),
    regressions = regressions,
    "k-means of responses" = function() kmeans_labels(look$response, k),
    regressions = regressions,
    hyperplanes = function() hyperplane_labels(look$space, k),
    regressions = regressions,
    "k-means of responses and covariates" = function() kmeans_labels(look$space, k),
    regressions = regressions,
    random = function() sample.int(k, n, replace = TRUE)
  )
  starts <- lapply(names(look$trees), function(name) {
    labels <- rep(NA_integer_, n)
    labels[look$trees[[name]]$rows] <- stats::cutree(look$trees[[name]]$tree, k)
    labels[!spec$observed] <- NA
    partition(name, labels)
  })
  if (!is.null(spec$known)) starts <- list(partition("known labels", spec$known))
  starts <- c(starts, lapply(threshold_labels(spec$responses, k, n_starts %/% 3L), function(labels) {
    labels[!spec$observed] <- NA
    partition("thresholds", follow_known(labels, spec$known, k))
  }))
  for (i in seq_len(max(0L, n_starts - length(starts)))) {
    maker <- (i - 1L) %% length(makers) + 1L
    labels <- makers[[maker]]()
    labels[!spec$observed] <- NA
    labels <- follow_known(labels, spec$known, k)
    starts <- c(starts, list(partition(names(makers)[maker], labels, if (i %% 2L == 0L) 0.95 else 0.999)))
  }
  starts[seq_len(n_starts)]
}

# A response on a scale on which a linear model of it makes sense (z, n x c) beside its design (x, with an intercept).
working_response <- function(response) {
  y <- response$y
  name <- response$family$name
  z <- switch(name,
    lognormal = log(y), gamma = , exponential = log(pmax(y, positive_floor(y))),
    beta = stats::qlogis(y), vonmises = cbind(cos(y), sin(y)),
    poisson = , negative_binomial = , zip = , zinb = log(y + 0.5),
    # single trials as the categories that they are: the same starts, to the bit
    binomial = if (is_single_answer(response)) y[, 1L] else stats::qlogis((y[, 1L] + 0.5) / (y[, 2L] + 1)),
    categorical = outer(y[, 1L], seq_along(response$levels)[-1L] - 1, `==`) + 0,
    multinomial = sqrt(y / pmax(rowSums(y), 1)),
    y
  )
  z <- matrix(as.double(z), nrow(y))
  if (!is.null(response$design$offset) && ncol(z) == 1L) z <- z - response$design$offset
  x <- core_columns(response$design)
  list(z = z, x = if (is.null(x)) matrix(1, nrow(z), 1L) else x)
}

positive_floor <- function(y) {
  positive <- y[!is.na(y) & y > 0]
  if (length(positive) == 0L) 1 else min(positive) / 2
}

# Columns with mean 0 and variance 1, 0 where missing.
standard_scores <- function(z) {
  z <- sweep(z, 2L, colMeans(z, na.rm = TRUE))
  spread <- sqrt(colMeans(z^2, na.rm = TRUE))
  z <- sweep(z, 2L, ifelse(is.finite(spread) & spread > 0, spread, 1), "/")
  z[!is.finite(z)] <- 0
  z
}

# Least squares of all columns on the rows of weight 1, steadied by a small ridge; p x c.
ridge_coefficients <- function(x, z, ridge) {
  z[is.na(z)] <- 0
  information <- crossprod(x)
  diag(information) <- diag(information) + ridge
  solve(information, crossprod(x, z))
}

overall_residuals <- function(view) {
  seen <- rowSums(is.na(view$z)) == 0L
  view$z - view$x %*% ridge_coefficients(view$x[seen, , drop = FALSE], view$z[seen, , drop = FALSE], 1e-8)
}

# Labels by k-means from random centres.
kmeans_labels <- function(z, k) {
  distinct <- unique(z)
  if (nrow(distinct) <= k) return(match(data.frame(t(z)), data.frame(t(distinct))))
  centres <- distinct[sample.int(nrow(distinct), k), , drop = FALSE]
  suppressWarnings(stats::kmeans(z, centres, iter.max = 20L)$cluster)
}

# Labels by cutting a random direction into parts of random sizes.
hyperplane_labels <- function(z, k) {
  score <- drop(z %*% stats::rnorm(ncol(z)))
  share <- 0.3 + stats::runif(k)
  cuts <- stats::quantile(score, cumsum(share)[-k] / sum(share), names = FALSE)
  findInterval(score, cuts) + 1L
}

# Partitions for single answers that depend on covariates, which as points make no clusters: at the maxima components
# often answer yes on the one side of a threshold each. Rows go by category, the other way round beyond the threshold.
# Covariates in turn, with thresholds spread evenly over the quantiles (multiples of the golden ratio).
threshold_labels <- function(responses, k, most) {
  single <- Filter(function(r) !is.null(r$design$x) && is_single_answer(r), responses)
  if (length(single) == 0L) return(list())
  response <- single[[1L]]
  category <- response$y[, 1L]
  category[is.na(category)] <- 0
  x <- core_columns(response$design)
  x <- x[, setdiff(seq_len(ncol(x)), response$design$intercept), drop = FALSE]
  lapply(seq_len(if (ncol(x) > 0L) most else 0L), function(i) {
    column <- x[, (i - 1L) %% ncol(x) + 1L]
    step <- (i - 1L) %/% ncol(x) + 1L
    beyond <- column > stats::quantile(column, (step * 0.6180339887498949) %% 1, names = FALSE)
    as.integer((category + beyond) %% k) + 1L
  })
}

is_single_answer <- function(response) {
  response$family$name == "categorical" ||
    response$family$name == "binomial" && max(response$y[, 2L], na.rm = TRUE) <= 1
}

# Regressions through a few random rows each; every row then goes to the nearest, and the regressions through the rows
# that they have, up to three times (clusterwise regression, Spaeth 1979, Computing 22:367-373). Fewer times keep more
# of the chance with which it began, and find small components.
clusterwise_labels <- function(views, k, observed) {
  sweeps <- sample.int(4L, 1L)
  n <- length(observed)
  p <- max(vapply(views, function(v) ncol(v$x), 0L))
  rows <- which(observed)
  few <- min(length(rows), max(p + 1L, 2L))
  scale <- lapply(views, function(v) pmax(colMeans(overall_residuals(v)^2, na.rm = TRUE), 1e-300))
  members <- lapply(seq_len(k), function(j) sample(rows, few))
  if (p == 1L) members <- lapply(members, `[`, 1L)
  labels <- NULL
  for (sweep in seq_len(sweeps)) {
    distance <- matrix(0, n, k)
    for (j in seq_len(k)) {
      for (v in seq_along(views)) {
        view <- views[[v]]
        mine <- members[[j]][rowSums(is.na(view$z[members[[j]], , drop = FALSE])) == 0L]
        if (length(mine) == 0L) mine <- which(rowSums(is.na(view$z)) == 0L)
        beta <- ridge_coefficients(view$x[mine, , drop = FALSE], view$z[mine, , drop = FALSE], 1e-6)
        squares <- sweep((view$z - view$x %*% beta)^2, 2L, scale[[v]], "/")
        squares[is.na(squares)] <- 0
        distance[, j] <- distance[, j] + rowSums(squares)
      }
    }
    labels <- max.col(-distance, "first")
    members <- lapply(seq_len(k), function(j) which(labels == j & observed))
    small <- lengths(members) < few
    members[small] <- lapply(which(small), function(j) sample(rows, few))
  }
  labels
}

# Known labels hold; the parts are numbered so that they agree with them as far as they can.
follow_known <- function(labels, known, k) {
  if (is.null(known)) return(labels)
  agreement <- table(factor(labels, seq_len(k)), factor(known, seq_len(k)))
  number <- integer(k)
  for (step in seq_len(k)) {
    top <- which(agreement == max(agreement), arr.ind = TRUE)[1L, ]
    number[top[1L]] <- top[2L]
    agreement[top[1L], ] <- -1L
    agreement[, top[2L]] <- -1L
  }
  labels <- number[labels]
  labels[!is.na(known)] <- known[!is.na(known)]
  labels
}
