# Which rows are a sequence, in what order, and with what weight.

# Where sequences are: `order` (rows of the data in the order of sequences; NULL when they are so already), `first` (the
# places in that order at which sequences begin), `lengths`, `labels`.
hmm_sequences <- function(id, time, ntimes, n) {
  if (!is.null(ntimes)) {
    if (!is.null(id)) em_abort("`id` and `ntimes` exclude each other.", "ntimes")
    ntimes <- check_ntimes(ntimes, n)
    id <- rep(seq_along(ntimes), ntimes)
  }
  if (is.null(id)) {
    order <- NULL
    lengths <- n
    labels <- "1"
  } else {
    check_id(id, n)
    labels <- unique(id)
    number <- match(id, labels)
    order <- if (is.unsorted(number)) order(number)
    lengths <- tabulate(number, length(labels))
    labels <- as.character(labels)
  }
  first <- cumsum(c(1L, lengths[-length(lengths)]))
  if (!is.null(time)) check_time(time, order, first, labels, n)
  list(order = order, first = first, lengths = lengths, labels = labels)
}

check_ntimes <- function(ntimes, n) {
  fine <- is.numeric(ntimes) && length(ntimes) > 0L && !anyNA(ntimes) && all(ntimes == floor(ntimes))
  if (!fine) check_fails("ntimes", "whole numbers, the lengths of the sequences", ntimes, "ntimes")
  empty <- which(ntimes < 1)
  if (length(empty) > 0L) {
    em_abort(sprintf("`ntimes` must be at least 1: sequence %d is empty (%s).", empty[1L], format(ntimes[empty[1L]])),
             "ntimes")
  }
  if (sum(ntimes) != n) {
    em_abort(sprintf("`ntimes` must sum to the %s rows of the data, not to %s.", format_count(n),
                     format(sum(ntimes), big.mark = ",")), "ntimes")
  }
  as.integer(ntimes)
}

check_id <- function(id, n) {
  if (!is.atomic(id) || is.matrix(id)) check_fails("id", "a formula, a column or a vector", id, "id")
  if (length(id) != n) {
    em_abort(sprintf("`id` must have one value for each of the %s rows, not %s.", format_count(n),
                     format_count(length(id))), "id")
  }
  missing <- which(is.na(id))
  if (length(missing) > 0L) {
    em_abort(sprintf("`id` is missing in row %d: say which sequence it belongs to, or leave it out.", missing[1L]),
             "id",
             row = missing[1L])
  }
}

# Times must increase within a sequence.
check_time <- function(time, order, first, labels, n) {
  if (!is.atomic(time) || is.character(time) || is.factor(time) || length(time) != n) {
    check_fails("time", sprintf("a formula, a column or a vector of %d times", n), time, "time")
  }
  missing <- which(is.na(time))
  if (length(missing) > 0L) em_abort(sprintf("`time` is missing in row %d.", missing[1L]), "time", row = missing[1L])
  value <- as.double(time)
  rows <- if (is.null(order)) seq_len(n) else order
  step <- diff(value[rows])
  step[first[-1L] - 1L] <- 1
  bad <- which(step <= 0)
  if (length(bad) == 0L) return(invisible())
  at <- bad[1L] + 1L
  label <- labels[findInterval(at, first)]
  em_abort(sprintf("`time` must increase within a sequence: in sequence %s, row %d has time %s %s row %d. %s",
                   dQuote(label, FALSE), rows[at], format(time[rows[at]]),
                   if (step[bad[1L]] == 0) "like" else "after a later one in", rows[at - 1L],
                   if (step[bad[1L]] == 0) "Leave one out, or say with `id` which sequences they belong to." else
                     "Sort the data by time."),
           "time", row = rows[at])
}

# NULL, or a weight for each row of the data, constant within a sequence.
check_sequence_weights <- function(weights, sequences, n) {
  if (is.null(weights)) return(NULL)
  each <- length(weights) == length(sequences$lengths)
  if (each && is.numeric(weights) && n != length(weights)) {
    value <- rep(weights, sequences$lengths)
    weights <- if (is.null(sequences$order)) value else replace(value, sequences$order, value)
  }
  if (!each && is.numeric(weights) && length(weights) != n) {
    m <- length(sequences$lengths)
    em_abort(sprintf("`weights` must have one value for each of the %s rows%s, not %s.", format_count(n),
                     if (m > 1L) sprintf(", or for each of the %s sequences", format_count(m)) else
                       " (or for the one sequence)", count_of(length(weights), "value")), "weights")
  }
  weights <- check_weights(weights, n)
  zero <- which(weights == 0)
  if (length(zero) > 0L) {
    em_abort(sprintf("`weights` must be positive; that of row %d is 0. Leave its sequence out.", zero[1L]), "weights")
  }
  sorted <- if (is.null(sequences$order)) weights else weights[sequences$order]
  change <- setdiff(which(diff(sorted) != 0) + 1L, sequences$first)
  if (length(change) > 0L) {
    em_abort(sprintf("`weights` must be constant within a sequence; they change within sequence %s.",
                     dQuote(sequences$labels[findInterval(change[1L], sequences$first)], FALSE)), "weights")
  }
  weights
}
