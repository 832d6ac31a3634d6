# Families of counts and categories.

# A parameter under another name.
rename_parameter <- function(list, from, to) {
  if (is.null(list[[to]]) && !is.null(names(list))) names(list)[names(list) %in% from] <- to
  list
}

family_poisson <- function(link = NULL) {
  new_family(
    "poisson", "Poisson", c(lambda = "rate"), list(log = exp), link, discrete = TRUE, support = support_count,
    convert = function(list) rename_parameter(list, c("mean", "rate"), "lambda"),
    density = function(y, theta, log = FALSE) stats::dpois(y, theta$lambda, log),
    cdf = function(y, theta) stats::ppois(y, theta$lambda),
    quantile = function(prob, theta) stats::qpois(prob, theta$lambda),
    mean = function(theta) theta$lambda,
    random = function(n, theta) stats::rpois(n, theta$lambda)
  )
}
