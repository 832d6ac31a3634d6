# Where fits of hidden Markov models start. Every automatic start is a partition of the rows into states, made from the
# responses alone or with their neighbours in time; the core turns it into parameters.

# `n_starts` starts for the rows of `data` (in the order of sequences).
hmm_starts <- function(problem, data, n_starts) {
  k <- problem$n_states
  partition <- function(method, states) list(kind = "partition", method = method, partition = as.integer(states))
  if (k == 1L) return(list(partition("one state", rep(1L, data$n))))
  features <- response_features(problem$responses, data)
  seen <- rowSums(!is.na(features)) > 0L
  features[is.na(features)] <- 0
  lagged <- lagged_features(features, data$first, data$n)
  makers <- start_makers(features, lagged, data, k)
  starts <- vector("list", n_starts)
  for (i in seq_len(n_starts)) {
    n_once <- length(makers$once)
    maker <- if (i <= n_once) makers$once[[i]] else makers$again[[(i - n_once - 1L) %% length(makers$again) + 1L]]
    states <- conform_states(fill_states(maker$make(), k), problem, data, features)
    free <- if (is.null(data$known)) TRUE else is.na(data$known)
    states[!seen & free] <- NA
    starts[[i]] <- partition(maker$method, states)
    release_garbage(problem$data$n)
  }
  starts
}

# How to make partitions: the first kinds once each, the last ones, which draw at random, again and again.
start_makers <- function(features, lagged, data, k) {
  n <- data$n
  maker <- function(method, make) list(method = method, make = make)
  around <- cbind(lagged$mean, 2 * lagged$spread)
  once <- c(
    lapply(seq_len(min(ncol(features), 3L)), function(j) maker("quantiles",
                                                               function() cut_quantiles(features[, j], k))),
    list(
      maker("quantiles of local means", function() cut_quantiles(lagged$mean[, 1L], k)),
      maker("quantiles of local spread", function() cut_quantiles(lagged$spread[, 1L], k)),
      maker("equal segments", function() equal_segments(data$first, n, k))
    )
  )
  again <- list(
    maker("k-means++", function() cluster_rows(features, k)),
    maker("k-means++ of local means", function() cluster_rows(lagged$mean, k)),
    maker("k-means++ of local spread", function() cluster_rows(around, k)),
    maker("random segments", function() random_segments(n, k)),
    maker("local means, split in time", function() split_in_time(cluster_rows(lagged$mean, k - 1L), k)),
    maker("k-means++ of neighbours", function() cluster_rows(lagged$all, k)),
    maker("random segments", function() random_segments(n, k)),
    maker("local means, split in time", function() split_in_time(cluster_rows(lagged$mean, k - 1L), k)),
    maker("local spread, split in time", function() split_in_time(cluster_rows(around, k - 1L), k)),
    maker("random segments", function() random_segments(n, k)),
    maker("random centres", function() nearest_rows(features, features[sample.int(n, k), , drop = FALSE]))
  )
  list(once = once, again = again)
}

# Of fewer states one cut in two: early and late visits. Regimes that come once look like others that come earlier.
split_in_time <- function(states, k) {
  size <- tabulate(states, k - 1L)
  parted <- sample.int(k - 1L, 1L, prob = size)
  visits <- which(states == parted)
  # between two stays, where there are several
  breaks <- which(diff(visits) > 1L)
  cut <- if (length(breaks) > 0L) breaks[sample.int(length(breaks), 1L)] else length(visits) %/% 2L
  states[visits[seq_along(visits) > cut]] <- k
  states
}

# Every state gets a row: random rows where a partition left one out.
fill_states <- function(states, k) {
  for (s in setdiff(seq_len(k), states)) {
    from <- which(tabulate(states, k)[states] > 1L)
    if (length(from) > 0L) states[from[sample.int(length(from), 1L)]] <- s
  }
  states
}

# ---- features ------------------------------------------------------------------------------------

# Numbers about each row on which to cluster, standardised, NA where missing (n x anything): responses on a scale on
# which they spread evenly, less what covariates explain, outliers drawn in.
response_features <- function(responses, data) {
  parts <- lapply(seq_along(responses), function(r) {
    values <- spread_response(responses[[r]], data$responses[[r]]$y)
    x <- data$responses[[r]]$x
    for (j in seq_len(ncol(values))) values[, j] <- standard_feature(values[, j], x)
    values
  })
  do.call(cbind, parts)
}

spread_response <- function(response, y) {
  one <- y[, 1L]
  switch(response$family$name,
    poisson = , negative_binomial = , zip = , zinb = cbind(sqrt(one)),
    lognormal = , gamma = , exponential = cbind(log(pmax(one, min(one[one > 0], Inf, na.rm = TRUE) / 2))),
    beta = cbind(stats::qlogis(one)),
    vonmises = cbind(cos(one), sin(one)),
    binomial = cbind(ifelse(y[, 2L] > 0, one / y[, 2L], NA)),
    categorical = outer(one, seq_along(response$levels) - 1, `==`) + 0,
    multinomial = ifelse(rowSums(y) > 0, 1, NA) * y / pmax(rowSums(y), 1),
    y + 0)
}

standard_feature <- function(value, x) {
  value[!is.finite(value)] <- NA
  seen <- !is.na(value)
  if (!is.null(x) && sum(seen) > ncol(x)) {
    value[seen] <- stats::lm.fit(x[seen, , drop = FALSE], value[seen])$residuals
  }
  centre <- stats::median(value, na.rm = TRUE)
  scale <- stats::IQR(value, na.rm = TRUE) / 1.349
  if (is.na(scale) || scale == 0) scale <- stats::sd(value, na.rm = TRUE)
  if (is.na(scale) || scale == 0) scale <- 1
  pmin(pmax((value - centre) / scale, -5), 5)
}

# Features of a row's neighbourhood in time, within its sequence: mean and log of the spread over a window, and all
# of these beside the row and the row before it.
lagged_features <- function(features, first, n, half = 3L) {
  begin <- first + 1L
  sequence <- findInterval(seq_len(n), begin)
  end <- c(begin[-1L] - 1L, n)
  from <- pmax(seq_len(n) - half, begin[sequence])
  to <- pmin(seq_len(n) + half, end[sequence])
  window <- function(x) {
    total <- apply(rbind(0, x), 2L, cumsum)
    (total[to + 1L, , drop = FALSE] - total[from, , drop = FALSE]) / (to - from + 1L)
  }
  mean <- window(features)
  variance <- pmax(window(features^2) - mean^2, 0)
  spread <- scale_columns(log(sqrt(variance) + 0.05))
  before <- features[pmax(seq_len(n) - 1L, begin[sequence]), , drop = FALSE]
  list(mean = mean, spread = spread, all = cbind(features, before, mean, spread))
}

scale_columns <- function(x) {
  x <- sweep(x, 2L, colMeans(x))
  size <- sqrt(colMeans(x^2))
  sweep(x, 2L, ifelse(size > 0, size, 1), "/")
}

# ---- partitions ----------------------------------------------------------------------------------

cut_quantiles <- function(value, k) {
  cuts <- stats::quantile(value, seq_len(k - 1L) / k, names = FALSE)
  states <- findInterval(value, unique(cuts)) + 1L
  if (length(unique(states)) < k) states <- ceiling(rank(value, ties.method = "random") / length(value) * k)
  as.integer(states)
}

# k consecutive parts of each sequence.
equal_segments <- function(first, n, k) {
  lengths <- diff(c(first, n))
  at <- sequence(lengths)
  as.integer(pmin(k, ceiling(at / rep(lengths, lengths) * k)))
}

# Runs of random lengths with random states.
random_segments <- function(n, k) {
  n_cuts <- min(n - 1L, sample(c(k - 1L, 2L * k, 5L * k, max(1L, n %/% 8L)), 1L))
  cuts <- sort(sample.int(n - 1L, n_cuts))
  segment <- findInterval(seq_len(n), cuts + 1L) + 1L
  sample.int(k, max(segment), replace = TRUE)[segment]
}

# k-means with starting centres drawn by distance (Arthur and Vassilvitskii 2007), a few rounds.
cluster_rows <- function(x, k, rounds = 10L) {
  n <- nrow(x)
  centres <- x[sample.int(n, 1L), , drop = FALSE]
  for (j in seq_len(k - 1L)) {
    distance <- row_distances(x, centres)
    nearest <- do.call(pmin, lapply(seq_len(ncol(distance)), function(c) distance[, c]))
    at <- if (sum(nearest) > 0) sample.int(n, 1L, prob = nearest) else sample.int(n, 1L)
    centres <- rbind(centres, x[at, ])
  }
  states <- nearest_rows(x, centres)
  for (i in seq_len(rounds)) {
    sums <- rowsum(x, states)
    used <- as.integer(rownames(sums))
    centres[used, ] <- sums / tabulate(states, k)[used]
    again <- nearest_rows(x, centres)
    if (identical(again, states)) break
    states <- again
  }
  states
}

# Squared distances, n x centres.
row_distances <- function(x, centres) {
  pmax(outer(rowSums(x^2), rowSums(centres^2), "+") - 2 * tcrossprod(x, centres), 0)
}

nearest_rows <- function(x, centres) max.col(-row_distances(x, centres), "first")

# ---- states with a meaning -----------------------------------------------------------------------

# Labels of a partition where states have a meaning: those of known rows; the order in time of a left-right chain; any
# order, at random, where parameters are fixed.
conform_states <- function(states, problem, data, features) {
  k <- problem$n_states
  known <- data$known
  if (!is.null(known)) return(match_known(states, known, k, features))
  allowed <- problem$model$transition$allowed
  if (all(allowed)) {
    if (is.null(problem$fixed) && problem$model$initial$kind %in% c("free", "stationary", "logit")) return(states)
    return(sample.int(k)[states])
  }
  if (any(allowed[lower.tri(allowed)])) return(sample.int(k)[states])
  lengths <- diff(c(data$first, data$n))
  when <- sequence(lengths) / rep(lengths, lengths)
  average <- vapply(seq_len(k), function(s) mean(when[states == s]), 0)
  rank(average, ties.method = "first")[states]
}

# States of a partition named after the known rows: each takes the cluster that most of its known rows are in, by
# decreasing agreement; known rows then have their own state.
match_known <- function(states, known, k, features) {
  labelled <- which(!is.na(known))
  agree <- table(factor(states[labelled], seq_len(k)), factor(known[labelled], seq_len(k)))
  name <- integer(k)
  for (i in seq_len(k)) {
    best <- which(agree == max(agree), arr.ind = TRUE)[1L, ]
    name[best[1L]] <- best[2L]
    agree[best[1L], ] <- -1
    agree[, best[2L]] <- -1
  }
  states <- name[states]
  states[labelled] <- known[labelled]
  states
}
