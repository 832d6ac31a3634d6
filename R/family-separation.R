# Fits whose parameters are no maximum inside their range, and say so: coefficients of regressions of categories and
# counts that grow without limit, and components that are equal.

# ---- separation ----------------------------------------------------------------------------------

# Components in which covariates separate the values of a response (Albert and Anderson 1984, Biometrika 71:1-10): data
# frame response, component. There the information of the coefficients, which for these families is the sum of
# p (1 - p), or of the mean of the counts, over the rows, vanishes in a direction along which the linear predictor is large.
# `data`: the responses as the core takes them; `natural`: the core's parameters of each; posterior(): n x K. `noun`:
# what components are called, "component" or "state".
separated_components <- function(responses, data, natural, labels, posterior, noun) {
  found <- stats::setNames(data.frame(character(), character()), c("response", noun))
  weight <- NULL
  for (r in seq_along(responses)) {
    response <- responses[[r]]
    if (!response$family$name %in% c("binomial", "categorical", "poisson", "negative_binomial", "zip", "zinb")) next
    if (is.null(data[[r]]$x)) next
    for (k in seq_along(labels)) {
      eta <- linear_predictors(response, data[[r]], natural[[r]][, k])
      if (!any(abs(eta) > large_predictor)) next
      if (is.null(weight)) weight <- posterior()
      if (is_separated(response, data[[r]], natural[[r]][, k], eta, weight[, k], k)) {
        found[nrow(found) + 1L, ] <- c(response$name, labels[k])
      }
    }
  }
  found
}

# Beyond this a probability on the scale of a link is 0 or 1 for most purposes; alone it is no sign of separation.
large_predictor <- 8

# n x blocks: one linear predictor, or one for each category but the first.
linear_predictors <- function(response, data, natural) {
  p <- ncol(data$x)
  eta <- data$x %*% matrix(natural[seq_len(p * coefficient_blocks(response))], p)
  if (is.null(data$offset)) eta else eta + data$offset
}

is_separated <- function(response, data, natural, eta, weight, k) {
  seen <- !is.na(rowSums(data$y)) & weight > 0
  p <- ncol(data$x)
  free <- rep(TRUE, p * ncol(eta))
  if (!is.null(response$shared)) free <- free & !response$shared[seq_along(free)]
  if (!is.null(response$fixed)) free <- free & is.na(response$fixed[seq_along(free), k])
  if (!any(free) || !any(seen)) return(FALSE)
  x <- data$x[seen, , drop = FALSE]
  eta <- eta[seen, , drop = FALSE]
  weight <- weight[seen]
  curve <- information_weights(response, data$y[seen, , drop = FALSE], eta, natural)
  blocks <- seq_len(ncol(eta))
  information <- do.call(rbind, lapply(blocks, function(a) {
    do.call(cbind, lapply(blocks, function(b) crossprod(x, x * (weight * curve[[a]][, b]))))
  }))[free, free, drop = FALSE]
  parts <- eigen(information, symmetric = TRUE)
  last <- length(parts$values)
  if (parts$values[last] > 1e-6 * sum(weight)) return(FALSE)
  # Covariates that do not vary among the rows of a component have no information either, and no reason to grow.
  all <- kronecker(diag(length(blocks)), crossprod(x, x * weight))[free, free, drop = FALSE]
  direction <- parts$vectors[, last]
  drop(crossprod(direction, all %*% direction)) > 1e-6 * sum(weight)
}

# The information of a row in its linear predictors: for each block n x blocks.
information_weights <- function(response, y, eta, natural) {
  family <- response$family
  if (family$name == "categorical") {
    top <- pmax(0, row_max(eta))
    p <- exp(eta - top)
    p <- p / (exp(-top) + rowSums(p))
    return(lapply(seq_len(ncol(eta)), function(a) -p * p[, a] + (col(p) == a) * p[, a]))
  }
  mean <- family$inverse_link(drop(eta))
  if (family$name != "binomial") return(list(matrix(mean)))
  step <- 1e-4
  slope <- (family$inverse_link(drop(eta) + step) - family$inverse_link(drop(eta) - step)) / (2 * step)
  spread <- mean * (1 - mean)
  list(matrix(ifelse(spread > 0, y[, 2L] * slope^2 / spread, 0)))
}

separation_words <- function(table, noun) {
  if (is.null(table) || nrow(table) == 0L) return(NULL)
  sprintf("coefficients of %s grow without limit: covariates separate its values.",
          abbreviate_list(sprintf("%s in %s %s", table$response, noun, table[[noun]])))
}

warn_of_separation <- function(table, noun) {
  if (nrow(table) == 0L) return(invisible())
  em_warn(sprintf(paste0("Separation: in %s the covariates separate the values of the response, and coefficients grow ",
                         "without limit; fitted probabilities (or means of counts) are 0 or 1 to rounding. Leave out ",
                         "covariates, or use fewer %ss."),
                  abbreviate_list(sprintf("%s %s (response %s)", noun, dQuote(table[[noun]], FALSE),
                                          dQuote(table$response, FALSE))), noun),
          "separation", responses = table$response, components = table[[noun]])
}

# ---- equal components ----------------------------------------------------------------------------

# Names of components whose parameters of the responses are equal to those of another, which are not all shared or
# fixed. Of such components the likelihood is that of fewer; EM, which treats them alike, stays there.
equal_components <- function(responses, natural, labels) {
  k <- length(labels)
  out <- character()
  if (k == 1L) return(out)
  free <- lapply(responses, function(response) {
    free <- matrix(TRUE, n_natural(response), k)
    if (!is.null(response$shared)) free[response$shared, ] <- FALSE
    if (!is.null(response$fixed)) free <- free & is.na(response$fixed)
    free
  })
  all <- do.call(rbind, unname(natural))
  free <- do.call(rbind, unname(free))
  size <- row_max(abs(all))
  for (j in seq_len(k)[-1L]) for (i in seq_len(j - 1L)) {
    varies <- free[, i] | free[, j]
    if (any(varies) && all(abs(all[, i] - all[, j]) <= 1e-6 * size)) out <- c(out, labels[c(i, j)])
  }
  unique(out)
}

warn_of_equals <- function(labels, noun) {
  if (length(labels) == 0L) return(invisible())
  em_warn(sprintf(paste0("Saddle point: %ss %s have equal parameters, so that the likelihood is that of fewer %ss. EM ",
                         "cannot tell equal %ss apart: begin with a `start` in which they differ, or leave it out; if ",
                         "the same happens, the data have no more %ss."),
                  noun, paste(dQuote(labels, FALSE), collapse = " and "), noun, noun, noun),
          "saddle", components = labels)
}
