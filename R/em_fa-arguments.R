# What em_fa() is given: data or a covariance matrix, numbers of factors, starts.

fa_input_from_data <- function(x, n_obs, name) {
  if (!is.null(n_obs)) {
    em_abort("`n_obs` belongs to `covmat`; the rows of `x` are counted. Leave it out, or give `weights`.", "argument",
             argument = "n_obs")
  }
  if (is.list(x) && !is.data.frame(x) && !is.null(x$cov)) {
    em_abort("`x` is a list with a covariance matrix: give it as `covmat`, em_fa(covmat = ).", "data_type")
  }
  if (looks_like_covariance(x)) {
    em_abort(paste0("`x` looks like a covariance matrix, not like rows of data: give it as `covmat`, with the number ",
                    "of rows behind it, em_fa(covmat = , n_obs = )."), "n_obs")
  }
  input_from_data(x, name)
}

# The covariance matrix, the number of rows and the mean behind a `covmat`; `covmat` in the result is as of fa_data().
fa_input_from_covmat <- function(x, covmat, n_obs, weights, scores) {
  if (!is.null(x)) {
    em_abort("Give the data as `x`, or their covariance matrix as `covmat`, not both.", "argument", argument = "covmat")
  }
  if (!is.null(weights)) em_abort("`weights` belong to the rows of data; with `covmat` there are none.", "weights")
  if (scores) {
    em_abort(paste0("Scores need the rows of the data, and `covmat` has none. Use `scores = \"none\"`, or ",
                    "predict(fit, newdata) afterwards."), "no_data")
  }
  given <- if (is.list(covmat) && !is.data.frame(covmat)) covmat else list(cov = covmat)
  s <- check_covmat(given$cov)
  n <- if (is.null(n_obs)) given$n.obs else n_obs
  if (is.null(n)) {
    em_abort("`n_obs`, the number of rows behind `covmat`, is missing: the likelihood depends on it.", "n_obs",
             argument = "n_obs")
  }
  fine <- is.numeric(n) && length(n) == 1L && is.finite(n) && n > 1
  if (!fine) check_fails("n_obs", "one number above 1", n, "n_obs")
  p <- ncol(s)
  mean <- if (is.null(given$center) || is.logical(given$center)) rep(NA_real_, p) else given$center
  # cov.wt(center = FALSE)
  if (identical(as.double(mean), 0)) mean <- numeric(p)
  known <- is.numeric(mean) && length(mean) == p && all(is.finite(mean))
  if (!known && !(is.null(given$center) || is.logical(given$center))) {
    em_abort(sprintf("`covmat$center` must have a number for each of the %d variables.", p), "covmat")
  }
  variables <- colnames(s)
  if (is.null(variables)) variables <- rownames(s)
  if (is.null(variables)) variables <- paste0("V", seq_len(p))
  list(x = NULL, variables = make.unique(variables), row_names = NULL, formula = NULL, terms = NULL,
       covmat = list(mean = if (known) as.double(mean) else numeric(p), mean_known = known, covariance = unname(s),
                     x = NULL, weights = NULL, n = as.double(n), n_distinct = as.double(n), missing = FALSE,
                     weights_given = NULL))
}

# Square, numeric, finite, symmetric, positive definite; returned as doubles.
check_covmat <- function(s) {
  if (is.data.frame(s)) s <- as.matrix(s)
  if (!is.matrix(s) || !is.numeric(s)) {
    check_fails("covmat", "a covariance matrix, or a list with an element `cov`", s, "covmat")
  }
  if (nrow(s) != ncol(s)) {
    em_abort(sprintf("`covmat` must be square, not %d x %d. The data themselves are `x`.", nrow(s), ncol(s)), "covmat")
  }
  storage.mode(s) <- "double"
  names <- if (is.null(colnames(s))) paste("column", seq_len(ncol(s))) else dQuote(colnames(s), FALSE)
  bad <- which(!is.finite(s), arr.ind = TRUE)
  if (nrow(bad) > 0L) {
    em_abort(sprintf("`covmat` must be finite; it has %s in row %d of %s.", format(s[bad[1L, , drop = FALSE]]),
                     bad[1L, 1L], names[bad[1L, 2L]]), "covmat")
  }
  variance <- diag(s)
  if (any(variance <= 0)) {
    worst <- which.min(variance)
    em_abort(sprintf("`covmat` must have positive variances; that of %s is %s. Leave the variable out.", names[worst],
                     format(variance[worst])), "covmat")
  }
  scale <- tcrossprod(sqrt(variance))
  apart <- abs(s - t(s)) / scale
  if (max(apart) > 1e-8) {
    at <- which(apart == max(apart), arr.ind = TRUE)[1L, ]
    em_abort(sprintf("`covmat` must be symmetric; covmat[%d,%d] is %s, covmat[%d,%d] is %s.", at[1L], at[2L],
                     format(s[at[1L], at[2L]]), at[2L], at[1L], format(s[at[2L], at[1L]])), "covmat")
  }
  s <- (s + t(s)) / 2
  root <- tryCatch(chol(s / scale), error = function(e) NULL)
  if (is.null(root) || min(diag(root))^2 < 1e-12) {
    lowest <- min(eigen(s / scale, symmetric = TRUE, only.values = TRUE)$values)
    if (lowest < -1e-8) {
      em_abort(sprintf(paste0(
        "`covmat` is not positive semidefinite: as a correlation matrix its smallest eigenvalue is %s, so that no ",
        "data have it. Typical causes are correlations taken pair by pair, polychoric correlations, and rounding. Give the ",
        "data as `x`, which may have missing values, or the nearest correlation matrix (Matrix::nearPD())."
      ), format(lowest, digits = 3)), "covmat", eigenvalue = lowest)
    }
    em_abort(sprintf(paste0(
      "`covmat` must be positive definite; as a correlation matrix its smallest eigenvalue is %s. Leave out variables ",
      "that are linear in others (%s), or give the data as `x`, which may have missing values and fewer rows than ",
      "variables."
    ), format(lowest, digits = 3), abbreviate_list(dQuote(null_direction(s, sub("^\"|\"$", "", gsub("\"", "", names))),
                                                          FALSE))), "covmat", eigenvalue = lowest)
  }
  s
}

# Data as the core takes them: x without rows that observe nothing, weights, n (sum of the weights), n_distinct (rows
# with a weight, which limits the factors), missing (TRUE where cells are), `weights_given` those of all rows.
fa_data <- function(input, threads) {
  x <- input$x
  weights <- check_weights(input$weights, nrow(x))
  if (ncol(x) < 3L) too_few_variables(ncol(x))
  # A correlation matrix of many variables is not needed here.
  look <- if (ncol(x) <= 200L) check_data(x, input$variables, weights, 2L, threads) else
    check_data(x, input$variables, weights, look = column_look(x))
  gaps <- anyNA(x)
  # The look's matrix is of complete rows in units of all, and no correlation matrix where cells are missing.
  check_copies(if (!gaps) look$correlation else if (ncol(x) <= 200L) pairwise_copies(x, weights), input$variables)
  used <- rep(TRUE, nrow(x))
  if (gaps) used <- rowSums(!is.na(x)) > 0L
  if (!is.null(weights)) used <- used & weights > 0
  kept <- if (all(used)) x else x[used, , drop = FALSE]
  w <- if (!is.null(weights)) weights[used]
  dimnames(kept) <- NULL
  missing <- gaps && anyNA(kept)
  centre <- if (missing) numeric(ncol(x)) else if (is.null(w)) colMeans(kept) else colSums(kept * w) / sum(w)
  list(x = kept, weights = w, weights_given = weights, n = if (is.null(w)) nrow(kept) else sum(w), mean = centre,
       covariance = NULL, n_distinct = nrow(kept), missing = missing)
}

# With two variables that are one, as far as both are observed, the likelihood of any factor model grows without bound.
check_copies <- function(correlation, variables) {
  if (is.null(correlation)) return(invisible())
  same <- which(abs(correlation) > 1 - 1e-12 & upper.tri(correlation), arr.ind = TRUE)
  if (nrow(same) == 0L) return(invisible())
  pair <- variables[same[1L, ]]
  em_abort(sprintf(paste0(
    "The likelihood has no maximum: columns %s and %s are the same up to their units. Nothing was fitted. ",
    "Leave one of them out."), dQuote(pair[1L], FALSE), dQuote(pair[2L], FALSE)), "degenerate", columns = pair)
}

# Correlations of the rows that observe both columns, where the first `look` rows leave it open that they are 1; else 0.
# Two rows always lie on a line, so that fewer than `fewest` say nothing.
pairwise_copies <- function(x, weights, look = 200L, fewest = 3L) {
  if (!is.null(weights)) x <- x[weights > 0, , drop = FALSE]
  correlation <- function(rows) suppressWarnings(stats::cor(rows, use = "pairwise.complete.obs"))
  first <- correlation(x[seq_len(min(nrow(x), look)), , drop = FALSE])
  open <- which((is.na(first) | abs(first) > 1 - 1e-9) & upper.tri(first), arr.ind = TRUE)
  result <- matrix(0, ncol(x), ncol(x))
  for (k in seq_len(nrow(open))) {
    both <- x[, open[k, ], drop = FALSE]
    both <- both[!is.na(rowSums(both)), , drop = FALSE]
    if (nrow(both) >= fewest) result[open[k, , drop = FALSE]] <- correlation(both)[2L]
  }
  result[is.na(result)] <- 0
  result
}

# What check_data() looks at, without a correlation matrix.
column_look <- function(x) {
  infinite <- is.infinite(x)
  at <- if (any(infinite)) which(infinite, arr.ind = TRUE)[1L, ] else integer()
  n_missing <- colSums(is.na(x))
  ends <- vapply(seq_len(ncol(x)), function(j) {
    column <- x[, j]
    if (n_missing[j] == nrow(x)) return(c(NA, NA, NA))
    c(range(column, na.rm = TRUE), stats::sd(column, na.rm = TRUE))
  }, numeric(3L))
  known <- n_missing < nrow(x)
  list(infinite = unname(at), n_missing = n_missing, lowest = ifelse(known, ends[1L, ], 0),
       highest = ifelse(known, ends[2L, ], 1), sd = ifelse(known, ends[3L, ], 1))
}

too_few_variables <- function(p) {
  em_abort(sprintf("Factor analysis needs at least 3 variables; there %s %d.", if (p == 1L) "is" else "are", p),
           "too_few_variables")
}

# The largest number of factors with ((p - q)^2 - p - q) / 2 >= 0, no more parameters than a covariance matrix has.
largest_n_factors <- function(p, type) {
  if (type == "ppca") p - 1L else as.integer(floor(p + 0.5 - sqrt(2 * p + 0.25) + 1e-9))
}

# Free parameters: means, loadings up to rotation, uniquenesses.
fa_df <- function(q, p, type) p + p * q - q * (q - 1) / 2 + (if (type == "ppca") 1 else p)

# Numbers of factors to fit, ascending. `default`: nobody chose them, so that those too large go without a word.
check_n_factors <- function(n_factors, default, p, n_rows, type) {
  fine <- is.numeric(n_factors) && length(n_factors) > 0L && all(is.finite(n_factors)) && all(n_factors >= 1) &&
    all(n_factors == floor(n_factors))
  if (!fine) check_fails("n_factors", "whole numbers, at least 1", n_factors, "n_factors")
  if (p < 3L) too_few_variables(p)
  n_factors <- sort(unique(as.integer(n_factors)))
  largest <- largest_n_factors(p, type)
  # q factors and a mean reproduce q + 1 rows exactly.
  by_rows <- as.integer(max(0, ceiling(n_rows) - 2))
  possible <- n_factors[n_factors <= min(largest, by_rows)]
  left_out <- setdiff(n_factors, possible)
  if (length(possible) == 0L && largest <= by_rows || length(n_factors) == 1L && n_factors > largest) {
    em_abort(sprintf(paste0(
      "%s are too many for %d variables: the model would have more parameters than a covariance matrix. ",
      "`n_factors` can be at most %d."
    ), count_of(min(n_factors), "factor"), p, largest), "n_factors", largest = largest)
  }
  if (length(possible) == 0L) {
    em_abort(sprintf(paste0("%s too few for %s: the factors would reproduce them exactly, and the likelihood has no ",
                            "maximum. `n_factors` can be at most %d."), paste(count_of(n_rows, "row"), if (n_rows == 1)
                              "is" else "are"), count_of(min(n_factors), "factor"), min(by_rows, largest)),
             "too_few_rows", largest = min(by_rows, largest))
  }
  if (!default) inform_left_out(left_out, if (any(left_out <= largest)) count_of(n_rows, "row") else count_of(p, "variable"))
  possible
}

# Numbers of factors that are not fitted, and what they are too many for.
inform_left_out <- function(n_factors, what) {
  if (length(n_factors) == 0L) return(invisible())
  em_inform(sprintf("Left out: %s factors are too many for %s.", abbreviate_list(n_factors), what), "n_factors")
}

# ---- starts --------------------------------------------------------------------------------------

# list() or one start, in the units of the data. `q`: the number of factors, NULL where several are fitted.
check_fa_start <- function(start, variables, q, data) {
  if (is.null(start)) return(list())
  p <- length(variables)
  method <- "parameters"
  if (inherits(start, "em_fa")) {
    # Uniquenesses go with any number of factors.
    loadings <- if (is.null(q) || start$n_factors == q) unrotated_loadings(start)
    start <- c(list(mean = if (knows_mean(start)) start$parameters$mean),
               start$parameters["uniquenesses"], list(loadings = loadings))
    method <- "previous fit"
  }
  if (is.numeric(start) && is.null(dim(start))) {
    if (length(start) != p || !all(is.finite(start))) {
      start_fails("must have %d uniquenesses between 0 and 1, not %s.", p, describe_value(start))
    }
    if (any(start < 0 | start > 1)) {
      start_fails("must have uniquenesses between 0 and 1; one is %s.", format(start[start < 0 | start > 1][1L]))
    }
    return(list(list(method = "uniquenesses", uniquenesses = start * fa_variances(data))))
  }
  if (!is.list(start) || is.null(start$uniquenesses)) {
    start_fails("must be a fit of em_fa(), a list with `uniquenesses` (and `loadings`), or a vector of uniquenesses.")
  }
  psi <- start$uniquenesses
  if (!is.numeric(psi) || length(psi) != p || !all(is.finite(psi)) || any(psi < 0)) {
    start_fails("must have %d uniquenesses that are not negative.", p)
  }
  result <- list(method = method, uniquenesses = as.double(psi))
  loadings <- start$loadings
  if (!is.null(loadings)) {
    fine <- is.numeric(loadings) && is.matrix(loadings) && nrow(loadings) == p && all(is.finite(loadings))
    if (!fine || (!is.null(q) && ncol(loadings) != q)) {
      start_fails("must have loadings of dimension %d x %s (variables x factors).", p, if (is.null(q)) "q" else q)
    }
    result$loadings <- matrix(as.double(loadings), p)
  }
  if (!is.null(start$mean)) {
    if (!is.numeric(start$mean) || length(start$mean) != p || !all(is.finite(start$mean))) {
      start_fails("must have a mean of length %d.", p)
    }
    result$mean <- as.double(start$mean)
  }
  list(result)
}

# The starts of a run with q factors: the user's (its loadings only where they have q columns), the default one, and
# random ones where they take no time.
fa_starts <- function(start, q, p, data, control) {
  if (length(start) > 0L) {
    one <- start[[1L]]
    if (!is.null(one$loadings) && ncol(one$loadings) != q) one$loadings <- NULL
    return(list(one))
  }
  n_starts <- control$n_starts
  if (is.null(n_starts)) {
    # A start takes 0.2 ms with 10 complete variables, 1 ms with 30, 3 ms with 50, 15 ms with 200; with missing values
    # at most 2 ms at the first limit. What is not given thus stays below 0.3 s.
    work <- if (data$missing) as.double(nrow(data$x)) * p * (p + q^2) / c(2e4, 1e5, 4e5) else p / c(30, 50, 200)
    n_starts <- c(50L, 10L, 5L, 1L)[1L + sum(work > 1)]
  }
  c(list(list(method = "default")),
    lapply(seq_len(n_starts - 1L), function(i) list(method = "random", key = draw_key())))
}

# The default start for incomplete data, made the analysis of the unrestricted normal distribution where that has an
# estimate: it has much the same maxima, and several of its starts take less time than a step on the incomplete data.
fa_start_of_saturated <- function(start, saturated, q, type, n, control, threads, most = 10L) {
  if (is.null(saturated$covariance) || type == "ppca") return(start)
  whole <- list(mean = saturated$mean, covariance = saturated$covariance, x = NULL, weights = NULL, n = n,
                missing = FALSE)
  p <- length(saturated$mean)
  control$n_starts <- min(most, control$n_starts)
  run <- run_fa(whole, q, type, fa_starts(list(), q, p, whole, control), control, threads)
  if (run$status == "degenerate" || is.null(run$parameters)) return(start)
  c(start, list(mean = as.double(run$parameters$mean), loadings = matrix(run$parameters$loadings, p),
                uniquenesses = as.double(run$parameters$uniquenesses)))
}

# Variances of the variables, divisor n, from the observed cells.
fa_variances <- function(data) {
  if (!is.null(data$covariance)) return(diag(data$covariance))
  x <- data$x
  w <- if (is.null(data$weights)) rep(1, nrow(x)) else data$weights
  total <- colSums(w * !is.na(x))
  mean <- colSums(w * x, na.rm = TRUE) / total
  colSums(w * sweep(x, 2L, mean)^2, na.rm = TRUE) / total
}
