# Short words for the tests of imputation.

# Imputes without the package's messages.
impute <- function(..., m = 2, control = em_control(threads = 2, progress = FALSE)) {
  suppressMessages(em_impute(..., m = m, control = control))
}

# Correlated normal data with cells missing completely at random.
normal_with_holes <- function(n, p, share = 0.2, seed = 1, correlation = 0.5) {
  with_seed(seed, {
    s <- matrix(correlation, p, p)
    diag(s) <- 1
    x <- matrix(stats::rnorm(n * p), n) %*% chol(s)
    x[matrix(stats::runif(n * p) < share, n)] <- NA
    colnames(x) <- paste0("v", seq_len(p))
    as.data.frame(x)
  })
}

# Every class that a column may have, with holes.
every_class <- function(n = 60, seed = 3) {
  with_seed(seed, {
    z <- stats::rnorm(n)
    d <- data.frame(
      double = z + stats::rnorm(n), integer = as.integer(round(100 * z + 20 * stats::rnorm(n))),
      count = stats::rpois(n, exp(0.5 + 0.3 * z)), logical = z + stats::rnorm(n) > 0,
      factor = factor(c("low", "mid", "high")[1 + (z > -0.5) + (z > 0.7)], levels = c("mid", "low", "high", "never")),
      ordered = factor(c("a", "b", "c", "d")[pmin(4, pmax(1, round(2.5 + z)))], ordered = TRUE),
      character = ifelse(z + stats::rnorm(n) > 0.3, "yes", "no"),
      date = as.Date("2021-03-01") + round(40 * z + 10 * stats::rnorm(n)),
      time = as.POSIXct("2021-03-01", tz = "America/New_York") + 3600 * (100 * z + 40 * stats::rnorm(n)),
      duration = as.difftime(30 + 5 * z + stats::rnorm(n), units = "mins"), stringsAsFactors = FALSE
    )
    for (j in seq_along(d)) d[sample(n, 7), j] <- NA
    d$labelled <- structure(d$double * 2, label = "A label", class = c("my_class", "numeric"))
    d$list <- as.list(seq_len(n))
    d$list[[3]] <- NA
    row.names(d) <- paste0("row", rev(seq_len(n)))
    d
  })
}
