# Small data and likelihoods by definition for the tests of mixtures.

quiet_control <- function(...) em_control(progress = FALSE, ...)

# Two Poisson lines whose proportions depend on z.
count_lines <- function(n = 150) {
  with_seed(21, {
    data <- data.frame(x = stats::runif(n, -1, 1), z = stats::rnorm(n))
    data$component <- 1L + stats::rbinom(n, 1, stats::plogis(0.3 + data$z))
    data$y <- stats::rpois(n, exp(c(.4, 2)[data$component] + c(.8, -.5)[data$component] * data$x))
    data
  })
}
gaussian_lines <- function(n = 120) {
  with_seed(22, {
    data <- data.frame(x = stats::runif(n, 0, 10))
    data$component <- 1L + stats::rbinom(n, 1, .35)
    line <- c(1, 12)[data$component] + c(2, -1)[data$component] * data$x
    data$y <- line + stats::rnorm(n, 0, c(1, .5)[data$component])
    data
  })
}

# The log-likelihood of two Poisson lines with proportions by z, and minus that of two Gaussian lines, by definition.
two_count_lines <- function(a, data) {
  p <- stats::plogis(a[1] + a[2] * data$z)
  first <- stats::dpois(data$y, exp(a[3] + a[4] * data$x))
  sum(log((1 - p) * first + p * stats::dpois(data$y, exp(a[5] + a[6] * data$x))))
}
two_lines <- function(p, b, sd, data) {
  first <- stats::dnorm(data$y, b[1] + b[2] * data$x, sd[1])
  -sum(log(p * first + (1 - p) * stats::dnorm(data$y, b[3] + b[4] * data$x, sd[2])))
}
