# Examples of every family of responses, for the loops over response_registry_(): data, and natural parameters (m x K,
# K = 3) that are not far from what the data say. One entry of family_examples per family:
#   y         n x c without missing values, as check() returns it
#   info      what check() returns, with columns and levels where the family has them
#   natural   m x K without covariates; predicted: m x K with the columns of family_design() and an offset, or NULL
#   link      names of the links to test with covariates; options: of the core
#   constraints  FALSE where the family takes neither fixed nor shared parameters
family_n <- 300L

family_design <- function() {
  with_seed(7, cbind(1, round(stats::rnorm(family_n), 2), rep(c(-0.5, 0.5), length.out = family_n)))
}
family_offset <- function() with_seed(8, stats::runif(family_n, -0.2, 0.2))

one_column <- function(y, natural, predicted = NULL, link = NA, ...) {
  list(y = matrix(as.double(y), ncol = 1L), info = list(), natural = natural, predicted = predicted, link = link, ...)
}

family_examples <- list(
  lognormal = function() {
    one_column(stats::rlnorm(family_n, c(0, 1, 2), c(0.5, 0.4, 0.3)), rbind(c(0.1, 0.9, 1.8), c(0.6, 0.5, 0.4)),
               rbind(c(0.1, 0.9, 1.8), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2), c(0.6, 0.5, 0.4)))
  },
  t = function() {
    one_column(c(1, 3, 7) + c(0.5, 1, 2) * stats::rt(family_n, c(3, 5, 8)),
               rbind(c(1.1, 2.8, 6), c(0.6, 1.1, 1.5), c(4, 3, 6)),
               rbind(c(0.8, 1.4, 1.2), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2), c(2, 1, 3), c(4, 3, 6)))
  },
  gamma = function() {
    one_column(stats::rgamma(family_n, c(3, 2, 6), c(2, 1, 1)), rbind(c(1.4, 2.2, 5), c(2.5, 1.8, 4)),
               rbind(c(1.2, 1.6, 2), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2), c(2.5, 1.8, 4)),
               c("log", "inverse", "identity"))
  },
  exponential = function() {
    one_column(stats::rexp(family_n, 1 / c(1, 4, 9)), rbind(c(0.8, 4.4, 8)),
               rbind(c(0.2, 1.3, 2), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2)))
  },
  beta = function() {
    one_column(stats::rbeta(family_n, c(2, 3, 8), c(6, 3, 2)), rbind(c(0.3, 0.45, 0.7), c(7, 5, 8)),
               rbind(c(-0.6, 0.1, 0.7), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2), c(7, 5, 8)))
  },
  vonmises = function() {
    one_column(c(-1, 0.5, 2) + stats::rnorm(family_n, 0, c(0.4, 0.7, 0.3)) + 2 * pi * rep(0:2, length.out = family_n),
               rbind(c(-0.8, 0.7, 1.8), c(3, 1.5, 5)),
               rbind(c(-0.4, 0.3, 1.1), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2), c(3, 1.5, 5)))
  },
  mvgaussian = function() {
    y <- cbind(stats::rnorm(family_n, c(1, 3, 7)), stats::rnorm(family_n), stats::rnorm(family_n, c(2, 0, 1), 2))
    y[, 2L] <- y[, 2L] + 0.5 * y[, 1L]
    root <- rbind(c(1, 0.4, 0.2), c(0, 0.9, -0.3), c(0, 0, 1.6))
    list(y = y, info = list(columns = c("a", "b", "c")),
         natural = rbind(c(1.2, 2.5, 5), c(0.6, 1, 3), c(1, 0.5, 0.8), outer(as.vector(crossprod(root)), c(1, 1.5, 2))),
         predicted = NULL, link = NA, constraints = FALSE)
  },
  gaussian_mixture = function() {
    list(y = matrix(stats::rnorm(family_n, c(-3, 3, 3, -3, 3), c(0.7, 0.9, 1))), info = list(n_parts = 2L),
         natural = rbind(c(0.5, 0.4, 0.7), c(0.5, 0.6, 0.3), c(-4, -3, -2), c(2, 3, 4), c(0.8, 1, 1.2), c(1, 0.8, 0.9)),
         predicted = NULL, link = NA, options = list(n_parts = 2))
  },
  gaussian = function() {
    one_column(stats::rnorm(family_n, c(1, 3, 7), c(0.5, 1, 2)), rbind(c(1.1, 2.8, 6), c(0.6, 1.1, 1.5)),
               rbind(c(0.8, 1.4, 1.2), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2), c(2, 1, 3)), c("identity", "log"))
  },
  poisson = function() {
    one_column(stats::rpois(family_n, c(1, 4, 9)), rbind(c(0.8, 4.4, 8)),
               rbind(c(0.2, 1.3, 2), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2)))
  },
  negative_binomial = function() {
    one_column(stats::rnbinom(family_n, c(2, 1, 4), mu = c(1, 5, 12)), rbind(c(1.2, 4.4, 10), c(1.5, 1.2, 3)),
               rbind(c(0.2, 1.3, 2), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2), c(1.5, 1.2, 3)))
  },
  zip = function() {
    one_column(stats::rpois(family_n, c(1, 4, 9)) * (stats::runif(family_n) > 0.3),
               rbind(c(1.2, 4.4, 8), c(0.2, 0.4, 0.3)),
               rbind(c(0.2, 1.3, 2), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2), c(0.2, 0.4, 0.3)))
  },
  zinb = function() {
    one_column(stats::rnbinom(family_n, c(3, 2, 5), mu = c(2, 6, 14)) * (stats::runif(family_n) > 0.3),
               rbind(c(2.2, 5.4, 12), c(2.5, 2.2, 3), c(0.2, 0.4, 0.3)),
               rbind(c(0.5, 1.6, 2.2), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2), c(2.5, 2.2, 3), c(0.2, 0.4, 0.3)))
  },
  binomial = function() {
    trials <- rep(c(1, 3, 6, 10), length.out = family_n)
    list(y = cbind(stats::rbinom(family_n, trials, c(0.2, 0.5, 0.8)), trials) + 0, info = list(),
         natural = rbind(c(0.25, 0.5, 0.7)),
         predicted = rbind(c(-0.6, 0.1, 0.7), c(0.1, -0.1, 0.05), c(0.2, 0, -0.2)),
         link = c("logit", "probit", "cloglog"))
  },
  categorical = function() {
    levels <- c("a", "b", "c", "d")
    list(y = matrix(sample(0:3, family_n, TRUE, c(0.4, 0.3, 0.2, 0.1)) + 0), info = list(levels = levels),
         natural = cbind(c(0.4, 0.3, 0.2, 0.1), c(0.1, 0.2, 0.3, 0.4), c(0.25, 0.25, 0.3, 0.2)),
         predicted = matrix(c(-0.3, 0.2, 0.1, 0.4, -0.2, 0, 0.1, 0.3, -0.5), 9L, 3L) + rep(c(0, 0.1, -0.1), each = 9L),
         link = NA, options = list(n_categories = 4))
  },
  multinomial = function() {
    prob <- cbind(c(0.5, 0.3, 0.2), c(0.1, 0.3, 0.6), c(0.3, 0.4, 0.3))
    draw <- function(i) stats::rmultinom(1L, i %% 7, prob[, i %% 3 + 1])[, 1L] + 0
    y <- t(vapply(seq_len(family_n), draw, numeric(3L)))
    list(y = y, info = list(n_columns = 3L, columns = c("a", "b", "c")), natural = prob, predicted = NULL, link = NA)
  }
)

family_example <- function(name) {
  example <- with_seed(11, family_examples[[name]]())
  example$name <- name
  example
}

# One problem of the contract: a spec for the core with missing rows, the parameters, and the posterior (n x 3).
# `variant` is "free", "fixed" or "shared"; `link` NULL: without covariates.
family_problem <- function(name, link = NULL, variant = "free", missing = TRUE) {
  example <- family_example(name)
  family <- if (is.null(link) || is.na(link)) resolve_family(name) else
    get(paste0("family_", name), envir = asNamespace("emkit"))(link)
  y <- example$y
  if (missing) y[c(1L, 40L, 41L, 299L), ] <- NA
  parameters <- if (is.null(link)) example$natural else example$predicted
  x <- if (!is.null(link)) family_design()
  offset <- if (!is.null(link)) family_offset()
  spec <- list(name = "y", family = name, y = y, x = x, offset = offset, link = family$link, options = example$options)
  if (variant == "fixed") {
    spec$fixed <- matrix(NA_real_, nrow(parameters), ncol(parameters))
    spec$fixed[1L, 1L] <- parameters[1L, 1L]
    spec$fixed[nrow(parameters), 2L] <- parameters[nrow(parameters), 2L]
  }
  if (variant == "shared") {
    whole <- is.null(link) && name %in% c("categorical", "multinomial")
    row <- if (whole) seq_len(nrow(parameters)) else if (is.null(link)) nrow(parameters) else 2L
    spec$shared <- seq_len(nrow(parameters)) %in% row
    parameters[row, ] <- parameters[row, 1L]
  }
  info <- example$info
  if (!is.null(x)) {
    info$p <- ncol(x)
    info$coefficient_names <- c("(Intercept)", "u", "v")
  }
  posterior <- with_seed(3, {
    z <- matrix(stats::rexp(3L * family_n), family_n)
    z / rowSums(z)
  })
  list(name = name, spec = spec, parameters = parameters, posterior = posterior, family = family, info = info)
}

# n x K log densities by R, 0 where the response is missing.
oracle_log_density <- function(problem, parameters = problem$parameters) {
  spec <- problem$spec
  seen <- stats::complete.cases(spec$y)
  vapply(seq_len(ncol(parameters)), function(k) {
    theta <- problem$family$row_parameters(parameters, k, spec$x, spec$offset, problem$info)
    y <- spec$y
    value <- rep(0, nrow(y))
    value[seen] <- problem$family$density(y, theta, log = TRUE)[seen]
    value
  }, numeric(nrow(spec$y)))
}

# The posterior-weighted log density by R.
oracle_expected <- function(problem, parameters = problem$parameters) {
  sum(problem$posterior * oracle_log_density(problem, parameters))
}
