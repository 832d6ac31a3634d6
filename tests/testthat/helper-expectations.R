# The verdicts and messages of testthat's expectations of these names, quicker where they hold: testthat prepares its
# comparison (options, locale, width) before it looks, which takes longer than most of what the long loops test.

expect_true <- function(object, ..., label = deparse1(substitute(object))) {
  if (isTRUE(as.vector(object))) return(holds(object))
  testthat::expect_true(object, ..., label = label)
}

expect_false <- function(object, ..., label = deparse1(substitute(object))) {
  if (isFALSE(as.vector(object))) return(holds(object))
  testthat::expect_false(object, ..., label = label)
}

expect_identical <- function(object, expected, ..., label = deparse1(substitute(object)),
                             expected.label = deparse1(substitute(expected))) {
  if (identical(object, expected)) return(holds(object))
  testthat::expect_identical(object, expected, ..., label = label, expected.label = expected.label)
}

expect_equal <- function(object, expected, ..., tolerance = testthat::testthat_tolerance(),
                         label = deparse1(substitute(object)), expected.label = deparse1(substitute(expected))) {
  if (identical(object, expected) || surely_equal(object, expected, tolerance)) return(holds(object))
  testthat::expect_equal(object, expected, ..., tolerance = tolerance, label = label, expected.label = expected.label)
}

holds <- function(object) {
  testthat::expect(TRUE, "")
  invisible(object)
}

# Finite doubles with the same attributes whose largest difference is below the tolerance: testthat's is an average.
surely_equal <- function(object, expected, tolerance) {
  if (!is.double(object) || !is.double(expected) || is.null(tolerance) || length(object) == 0L ||
        !identical(attributes(object), attributes(expected)) || length(object) != length(expected)) {
    return(FALSE)
  }
  off <- max(abs(unclass(object) - unclass(expected)))
  size <- mean(abs(unclass(expected)))
  is.finite(off) && is.finite(size) && off < tolerance * (if (size > tolerance) size else 1)
}
