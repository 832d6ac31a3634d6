# The assignment of rows to columns.

permutations <- function(v) {
  if (length(v) <= 1) return(list(v))
  do.call(c, lapply(seq_along(v), function(i) lapply(permutations(v[-i]), function(p) c(v[i], p))))
}

test_that("the assignment is the best of all permutations", {
  for (n in 1:6) {
    all <- permutations(seq_len(n))
    for (seed in 1:10) {
      cost <- with_seed(seed * 10 + n, matrix(round(stats::rnorm(n * n), 1), n)) # rounded: ties too
      found <- optimal_assignment(cost)
      expect_equal(sort(found), seq_len(n))
      least <- min(vapply(all, function(p) sum(cost[cbind(seq_len(n), p)]), 0))
      expect_equal(sum(cost[cbind(seq_len(n), found)]), least)
    }
  }
})
