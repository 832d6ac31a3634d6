# Where fits start. R chooses the starts and names them; the random ones are drawn in C++ by counter-based streams whose key
# comes from R's generator, so that set.seed() alone decides. Every start is a list with `kind` and `method`.

# Two draws of 32 bits of R's generator, the key of a call's random streams.
draw_key <- function() floor(stats::runif(2L) * 2^32)

# The automatic starts for `n_components`: `n_starts` of them, among the rows to search on (labels of `tree` belong to these).
# Hierarchical ones come first: they need no luck, and do not depend on the order of rows.
automatic_starts <- function(n_components, n_starts, n, trees, complete, labelled) {
  if (n_components == 1L) {
    return(list(list(kind = "partition", method = "one component", partition = rep(1L, n))))
  }
  starts <- list()
  for (name in names(trees)) {
    partition <- rep(NA_integer_, n)
    partition[trees[[name]]$rows] <- stats::cutree(trees[[name]]$tree, n_components)
    starts <- c(starts, list(list(kind = "partition", method = name, partition = partition)))
  }
  kinds <- c("kmeans", "kmeans_whitened", "kmeans", "random")
  methods <- c("k-means++", "k-means++ (whitened)", "k-means++", "random centres")
  if (!complete || labelled) {
    kinds[2L] <- "kmeans"
    methods[2L] <- "k-means++"
  }
  for (i in seq_len(max(0L, n_starts - length(starts)))) {
    j <- (i - 1L) %% length(kinds) + 1L
    starts <- c(starts, list(list(kind = kinds[j], method = methods[j])))
  }
  starts[seq_len(n_starts)]
}

# Ward's hierarchical clustering of at most `limit` rows (drawn at random when there are more), on columns divided by their
# standard deviations and, for complete data, also on whitened ones. Light: its memory is limit^2 / 2 numbers.
ward_trees <- function(x, largest, limit = 800L) {
  trees <- list()
  seen <- which(rowSums(!is.na(x)) > 0L)
  rows <- if (length(seen) > limit) sort(sample(seen, limit)) else seen
  if (length(rows) <= largest) return(trees)
  part <- x[rows, , drop = FALSE]
  part <- sweep(part, 2L, apply(part, 2L, mean, na.rm = TRUE))
  sds <- apply(part, 2L, stats::sd, na.rm = TRUE)
  if (anyNA(sds) || any(sds == 0)) return(trees)
  part <- sweep(part, 2L, sds, "/")
  grow <- function(points) {
    distances <- stats::dist(points)
    # Rows that share no column: as far apart as any two.
    if (anyNA(distances)) distances[is.na(distances)] <- max(distances, na.rm = TRUE)
    list(rows = rows, tree = stats::hclust(distances, "ward.D2"))
  }
  trees[["hierarchical"]] <- grow(part)
  if (!anyNA(part) && ncol(part) > 1L) {
    turn <- eigen(crossprod(part) / nrow(part), symmetric = TRUE)
    if (min(turn$values) > 1e-10) {
      trees[["hierarchical (whitened)"]] <- grow(part %*% turn$vectors %*% diag(1 / sqrt(turn$values)))
    }
  }
  trees
}

# What a user gave as `start`, as one start; `n_components` NULL when it is to be read off the start.
user_start <- function(start, n, d, n_components, noise) {
  if (inherits(start, "em_gmm")) {
    return(parameters_start(start$parameters, d, n_components, noise, "previous fit"))
  }
  if (is.list(start) && !is.data.frame(start)) {
    return(parameters_start(start, d, n_components, noise, "parameters"))
  }
  if (is.data.frame(start)) start <- as.matrix(start)
  if (is.matrix(start)) return(posterior_start(start, n, n_components, noise))
  partition_start(start, n, n_components, noise)
}

start_fails <- function(...) em_abort(paste0("`start` ", sprintf(...)), "start")

parameters_start <- function(start, d, n_components, noise, method) {
  missing <- setdiff(c("proportions", "means", "covariances"), names(start))
  if (length(missing) > 0L) {
    start_fails("must be a list with proportions (K), means (d x K) and covariances (d x d x K); %s missing.",
                paste(missing, collapse = ", "))
  }
  means <- start$means
  if (!is.numeric(means)) start_fails("has means that are not numeric.")
  if (!is.matrix(means)) {
    means <- if (d == 1L) matrix(means, 1L) else matrix(means, length(means), 1L)
  }
  k <- if (is.null(n_components)) ncol(means) else n_components
  if (!identical(dim(means), c(as.integer(d), as.integer(k)))) {
    start_fails("must have means of dimension %d x %d (variables x components), not %d x %d.", d, k, nrow(means),
                ncol(means))
  }
  covariances <- start$covariances
  if (is.list(covariances)) covariances <- unlist(covariances)
  if (!is.numeric(covariances) || length(covariances) != d * d * k) {
    start_fails("must have covariances of dimension %d x %d x %d.", d, d, k)
  }
  covariances <- array(as.double(covariances), c(d, d, k))
  proportions <- as.double(start$proportions)
  wanted <- k + noise
  if (noise && length(proportions) == k) proportions <- c(proportions * 0.95, 0.05)
  if (length(proportions) != wanted) {
    start_fails("must have %d proportions%s, not %d.", wanted, if (noise) " (the noise's last)" else "",
                length(proportions))
  }
  if (!all(is.finite(means)) || !all(is.finite(covariances)) || !all(is.finite(proportions))) {
    start_fails("has values that are not finite.")
  }
  if (any(proportions < 0) || abs(sum(proportions) - 1) > 1e-6) {
    start_fails("must have proportions that are not negative and sum to 1; they sum to %s.", format(sum(proportions)))
  }
  for (j in seq_len(k)) {
    s <- covariances[, , j]
    dim(s) <- c(d, d)
    symmetric <- max(abs(s - t(s))) <= 1e-8 * max(abs(s))
    if (!symmetric || inherits(try(chol(s), silent = TRUE), "try-error")) {
      start_fails("has a covariance matrix, that of component %d, that is not symmetric and positive definite.", j)
    }
  }
  parameters <- list(proportions = proportions / sum(proportions), means = unname(means), covariances = covariances)
  if (!is.null(start$loadings)) parameters <- c(parameters, start_factors(start, d, k))
  list(kind = "parameters", method = method, n_components = as.integer(k), parameters = parameters)
}

# Loadings and uniquenesses of a start; a structure without factors, or with another number of them, looks at the
# covariances only.
start_factors <- function(start, d, k) {
  loadings <- start$loadings
  psi <- start$uniquenesses
  fine <- is.numeric(loadings) && length(dim(loadings)) == 3L &&
    identical(dim(loadings)[-2L], c(as.integer(d), as.integer(k))) && is.numeric(psi) && length(psi) == d * k && all(is.finite(loadings)) && all(is.finite(psi) & psi > 0)
  if (!fine) {
    start_fails("has loadings, and then must have them as %d x q x %d and positive uniquenesses as %d x %d.", d, k, d, k)
  }
  list(loadings = unname(loadings) + 0, uniquenesses = matrix(as.double(psi), d, k))
}

posterior_start <- function(start, n, n_components, noise) {
  if (!is.numeric(start)) start_fails("is a matrix that is not numeric.")
  k <- if (is.null(n_components)) ncol(start) - noise else n_components
  columns <- unique(c(k, k + noise))
  if (nrow(start) != n || !ncol(start) %in% columns) {
    start_fails("must be a matrix of posterior probabilities with %d rows and %s columns, not %d x %d.", n,
                paste(columns, collapse = " or "), nrow(start), ncol(start))
  }
  if (anyNA(start) || any(start < 0) || any(abs(rowSums(start) - 1) > 1e-6)) {
    start_fails("must be a matrix of posterior probabilities: not negative, and each row summing to 1.")
  }
  storage.mode(start) <- "double"
  list(kind = "posterior", method = "posterior", n_components = as.integer(k), posterior = unname(start))
}

partition_start <- function(start, n, n_components, noise) {
  if (is.character(start) && length(start) == 1L && n > 1L) {
    start_fails("must be a partition, a matrix of posterior probabilities, a list of parameters or a fit, not %s.",
                dQuote(start, FALSE))
  }
  if (is.character(start)) start <- factor(start)
  if (is.factor(start)) start <- as.integer(droplevels(start))
  if (!is.numeric(start) || anyNA(start) || any(start != floor(start)) || any(start < 0)) {
    start_fails("must be a partition (a component number for each row), a matrix of posterior probabilities, %s",
                "a list of parameters or a fit.")
  }
  if (length(start) != n) {
    start_fails("must have a label for each of the %d rows, not %s.", n, count_of(length(start), "value"))
  }
  if (any(start == 0) && !noise) start_fails("puts rows into component 0, the noise, but `noise` is not asked for.")
  k <- if (is.null(n_components)) max(start) else n_components
  if (max(start) > k) start_fails("has a component %d; there are %d components.", max(start), k)
  empty <- setdiff(seq_len(k), start)
  if (length(empty) > 0L) start_fails("leaves component %d without rows.", empty[1L])
  start[start == 0] <- k + 1L
  list(kind = "partition", method = "partition", n_components = as.integer(k), partition = as.integer(start))
}
