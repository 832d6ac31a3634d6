# One order of components for every array of a fit: by decreasing proportion (posterior size where proportions are
# equal), ties by the means from the first variable on. Noise stays last.
component_order <- function(parameters, sizes) {
  k <- ncol(parameters$means)
  proportions <- parameters$proportions[seq_len(k)]
  tied <- diff(range(proportions)) <= 1e-12 * max(proportions)
  key <- if (tied) sizes[seq_len(k)] else proportions
  do.call(order, c(list(-signif(key, 10L)), lapply(seq_len(nrow(parameters$means)), function(j) parameters$means[j, ])))
}

reorder_components <- function(parameters, order) {
  k <- length(order)
  extra <- parameters$proportions[-seq_len(k)]
  parameters$proportions <- c(parameters$proportions[order], extra)
  parameters$means <- parameters$means[, order, drop = FALSE]
  parameters$covariances <- parameters$covariances[, , order, drop = FALSE]
  if (!is.null(parameters$loadings)) {
    parameters$loadings <- parameters$loadings[, , order, drop = FALSE]
    parameters$uniquenesses <- parameters$uniquenesses[, order, drop = FALSE]
  }
  parameters
}
