# Small data for the tests of responses.

input_data <- function() {
  with_seed(1, data.frame(
    y = stats::rnorm(40), count = stats::rpois(40, 4), x = stats::runif(40, 5, 9), z = stats::rnorm(40, 1e3, 1),
    group = factor(rep(c("a", "b", "c", "d"), 10)), choice = factor(rep(c("no", "yes"), 20))
  ))
}

# Responses ready for two components.
two_components <- function(formulas, family = "gaussian", data = input_data(), fixed = NULL, shared = NULL, ...) {
  constrain_responses(response_specs(formulas, data, family, ...)$responses, fixed, shared, 2L)
}
