# Moments of patterns as R objects, and their merging.

# By definition: list(key = , weight, rows, mean, scatter) for every pattern that observes anything, sorted.
moments_by_hand <- function(x, weights = rep(1, nrow(x))) {
  key <- apply(!is.na(x), 1, function(o) paste(o + 0, collapse = ""))
  keys <- sort(setdiff(unique(key[weights > 0]), strrep("0", ncol(x))))
  lapply(stats::setNames(keys, keys), function(k) {
    rows <- which(key == k & weights > 0)
    w <- weights[rows]
    part <- x[rows, , drop = FALSE]
    mean <- colSums(w * part) / sum(w)
    r <- sweep(part, 2, mean)
    r[is.na(r)] <- 0
    list(rows = length(rows), weight = sum(w), mean = unname(mean), scatter = unname(crossprod(r, w * r)))
  })
}

as_list <- function(s) {
  key <- apply(s$observed + 0, 1, paste, collapse = "")
  out <- lapply(seq_along(key), function(k) {
    list(rows = s$rows[k], weight = s$weight[k], mean = s$mean[k, ], scatter = unname(s$scatter[[k]]))
  })
  names(out) <- key
  out[order(key)]
}

expect_moments <- function(s, hand) {
  got <- as_list(s)
  testthat::expect_identical(names(got), names(hand))
  # Sums of squares of up to 150 numbers far from zero.
  for (k in names(hand)) testthat::expect_equal(got[[k]], hand[[k]], tolerance = 1e-11)
}

x <- unname(data_normal(120, 4, 0.2, seed = 9, all_missing_rows = c(5, 60)))
w <- 0.5 + (seq_len(120) %% 3)

test_that("the moments of every pattern are those of the definition", {
  s <- emkit:::mvnorm_statistics(x, NULL, em_control())
  expect_moments(s, moments_by_hand(x))
  expect_equal(s$n_rows, 120)
  expect_moments(emkit:::mvnorm_statistics(x, w, em_control()), moments_by_hand(x, w))
})

test_that("merged moments are those of all rows, in any order of the pieces", {
  pieces <- split(seq_len(120), rep(1:5, c(1, 40, 9, 50, 20)))
  for (order in list(1:5, c(4, 1, 5, 3, 2))) {
    s <- NULL
    for (i in order) {
      new <- emkit:::mvnorm_statistics(x[pieces[[i]], , drop = FALSE], w[pieces[[i]]], em_control())
      s <- if (is.null(s)) new else emkit:::merge_statistics(s, new)
    }
    expect_moments(s, moments_by_hand(x, w))
    expect_equal(s$n_rows, 120)
  }
})

test_that("pieces may have constant and empty columns", {
  y <- x
  y[1:20, 2] <- 7
  y[1:20, 3] <- NA
  s <- emkit:::merge_statistics(emkit:::mvnorm_statistics(y[1:20, ], NULL, em_control()),
                                emkit:::mvnorm_statistics(y[21:120, ], NULL, em_control()))
  expect_moments(s, moments_by_hand(y))
})

test_that("variances of the observed cells come out of the moments", {
  s <- emkit:::mvnorm_statistics(x, w, em_control())
  by_hand <- vapply(1:4, function(j) {
    seen <- !is.na(x[, j])
    m <- stats::weighted.mean(x[seen, j], w[seen])
    sum(w[seen] * (x[seen, j] - m)^2) / sum(w[seen])
  }, 0)
  expect_equal(emkit:::statistics_variances(s), by_hand, tolerance = 1e-11)
})

test_that("a fit of moments is the fit of the rows", {
  colnames(x) <- letters[1:4]
  rows <- em_mvnorm(x, weights = w)
  kept <- em_mvnorm(x, weights = w, control = em_control(keep_data = FALSE))
  again <- emkit:::fit_mvnorm_statistics(kept$statistics, kept)
  expect_same_parameters(again$parameters, rows$parameters, 1e-9)
  expect_equal(again$loglik, rows$loglik, tolerance = 1e-12)
  expect_equal(again$nobs, rows$nobs)
})
