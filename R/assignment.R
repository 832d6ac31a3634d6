# Assignment of rows to columns of a square cost matrix with the least total cost: the Hungarian
# method by shortest augmenting paths, O(n^3) (Kuhn 1955; Jonker & Volgenant 1987). Returns the
# column of each row. Index 0 of the textbook arrays is element 1 here.
optimal_assignment <- function(cost) {
  n <- nrow(cost)
  row_price <- numeric(n + 1)
  column_price <- numeric(n + 1)
  row_of <- integer(n + 1) # row assigned to each column, 0 if free
  for (i in seq_len(n)) {
    row_of[1] <- i
    column <- 0L
    shortest <- rep(Inf, n + 1)
    previous <- integer(n + 1)
    used <- logical(n + 1)
    repeat {
      used[column + 1] <- TRUE
      row <- row_of[column + 1]
      free <- which(!used[-1])
      reduced <- cost[row, free] - row_price[row + 1] - column_price[free + 1]
      better <- reduced < shortest[free + 1]
      shortest[free[better] + 1] <- reduced[better]
      previous[free[better] + 1] <- column
      nearest <- free[which.min(shortest[free + 1])]
      step <- shortest[nearest + 1]
      taken <- which(used)
      row_price[row_of[taken] + 1] <- row_price[row_of[taken] + 1] + step
      column_price[taken] <- column_price[taken] - step
      shortest[!used] <- shortest[!used] - step
      column <- nearest
      if (row_of[column + 1] == 0) {
        break
      }
    }
    while (column != 0L) {
      before <- previous[column + 1]
      row_of[column + 1] <- row_of[before + 1]
      column <- before
    }
  }
  assignment <- integer(n)
  assignment[row_of[-1]] <- seq_len(n)
  assignment
}
