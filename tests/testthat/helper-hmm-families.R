# Every family of responses as plain R defines it: densities and distribution functions of stats, or written out; and
# for each a problem for the tests of hidden Markov models and mixtures.
#
# An entry of oracle_families():
#   response    the left side of the formula, as text
#   columns     names of the data columns that the response is made of
#   draw        function(n): a data frame of these columns, to be evaluated, not modelled: any values in the support
#   emission    parameters of three states, as the user's list, in increasing order of the mean
#   linear      the same with covariates: coefficients 2 x 3 (categorical: 2 x (C - 1) x 3) instead of the first
#               parameter, NULL where the family has no covariates
#   link        inverse link of the linear predictor
#   density     function(data, theta): log density, where theta holds parameters with one value (or row) per row of data
#   cdf, below  function(data, theta): F(y) and F(y-); NULL where the family has no distribution function in one number
#   mean        function(theta), of the response: a value for each row, or one for all; of categories, and counts and
#               successes for one trial
#   sorted      the parameter that grows from state to state
#
# Missing responses give a log density of 0, and NA for F.

oracle_families <- local({
  made <- NULL
  function() {
    if (is.null(made)) made <<- make_oracle_families()
    made
  }
})

hmm_one_column <- function(draw, emission, linear, link, density, cdf, mean, below = cdf) {
  list(response = "y", columns = "y", draw = function(n) data.frame(y = draw(n)), emission = emission, linear = linear,
       link = link, mean = mean, sorted = names(emission)[1],
       density = function(data, theta) density(data$y, theta),
       cdf = function(data, theta) cdf(data$y, theta), below = function(data, theta) below(data$y, theta))
}

# A family of counts has F(y-) = F(y - 1).
counts <- function(..., cdf) hmm_one_column(..., cdf = cdf, below = function(y, theta) cdf(y - 1, theta))

# Intercepts and slopes of three states.
lines_of <- function(intercept, slope) rbind(`(Intercept)` = intercept, x = slope)

log_add <- function(a, b) pmax(a, b) + log1p(exp(-abs(a - b)))

# Zeros added to a count: log density.
oracle_inflated <- function(y, zero, log_density) {
  ifelse(y == 0, log_add(log(zero), log1p(-zero) + log_density), log1p(-zero) + log_density)
}

# Density of the von Mises distribution and its distribution function from -pi on, by quadrature.
oracle_log_vonmises <- function(y, mean, concentration) {
  concentration * cos(y - mean) - log(2 * pi) - log(besselI(concentration, 0, expon.scaled = TRUE)) - concentration
}
oracle_vonmises_cdf <- function(y, mean, concentration) {
  mapply(function(y, m, k) {
    if (is.na(y)) return(NA)
    half <- (y - 2 * pi * floor((y + pi) / (2 * pi)) + pi) / 2
    half * sum(gauss_legendre$weights * exp(oracle_log_vonmises(half * (1 + gauss_legendre$nodes) - pi, m, k)))
  }, y, mean, concentration)
}

# 80 nodes and weights on (-1, 1), from the recurrence of Legendre's polynomials: exact to rounding for these densities.
gauss_legendre <- local({
  j <- seq_len(79)
  recurrence <- matrix(0, 80, 80)
  recurrence[cbind(j, j + 1)] <- recurrence[cbind(j + 1, j)] <- j / sqrt(4 * j^2 - 1)
  e <- eigen(recurrence, symmetric = TRUE)
  list(nodes = e$values, weights = 2 * e$vectors[1, ]^2)
})

make_oracle_families <- function() {
  list(
    gaussian = hmm_one_column(function(n) stats::rnorm(n, 1, 2), list(mean = c(-1, .8, 2.5), sd = c(.7, 1.2, 2)),
      list(coefficients = lines_of(c(-1, .8, 2.5), c(.4, -.3, .2)), sd = c(.7, 1.2, 2)), identity,
      function(y, p) stats::dnorm(y, p$mean, p$sd, log = TRUE), cdf = function(y, p) stats::pnorm(y, p$mean, p$sd),
      mean = function(p) p$mean),
    lognormal = hmm_one_column(function(n) stats::rlnorm(n, .5, 1),
      list(meanlog = c(-.5, .3, 1.2), sdlog = c(.5, .7, .8)),
      list(coefficients = lines_of(c(-.5, .3, 1.2), c(.3, -.2, .4)), sdlog = c(.5, .7, .8)), identity,
      function(y, p) stats::dlnorm(y, p$meanlog, p$sdlog, log = TRUE),
      cdf = function(y, p) stats::plnorm(y, p$meanlog, p$sdlog), mean = function(p) exp(p$meanlog + p$sdlog^2 / 2)),
    t = hmm_one_column(function(n) stats::rt(n, 3), list(mean = c(-1, .5, 2), scale = c(.6, 1, 1.4), df = c(3, 5.5, 12)),
      list(coefficients = lines_of(c(-1, .5, 2), c(.5, -.4, .3)), scale = c(.6, 1, 1.4), df = c(3, 5.5, 12)), identity,
      function(y, p) stats::dt((y - p$mean) / p$scale, p$df, log = TRUE) - log(p$scale),
      cdf = function(y, p) stats::pt((y - p$mean) / p$scale, p$df), mean = function(p) p$mean),
    gamma = hmm_one_column(function(n) stats::rgamma(n, 2), list(mean = c(.7, 1.6, 4), shape = c(1.3, 2.2, 5)),
      list(coefficients = lines_of(log(c(.7, 1.6, 4)), c(.3, -.2, .1)), shape = c(1.3, 2.2, 5)), exp,
      function(y, p) stats::dgamma(y, p$shape, scale = p$mean / p$shape, log = TRUE),
      cdf = function(y, p) stats::pgamma(y, p$shape, scale = p$mean / p$shape), mean = function(p) p$mean),
    exponential = hmm_one_column(stats::rexp, list(mean = c(.4, 1, 3)),
      list(coefficients = lines_of(log(c(.4, 1, 3)), c(.3, .2, -.1))), exp,
      function(y, p) stats::dexp(y, 1 / p$mean, log = TRUE), cdf = function(y, p) stats::pexp(y, 1 / p$mean),
      mean = function(p) p$mean),
    beta = hmm_one_column(function(n) stats::rbeta(n, 1.5, 1.5), list(mean = c(.2, .5, .75), precision = c(4, 7, 3)),
      list(coefficients = lines_of(stats::qlogis(c(.2, .5, .75)), c(.4, -.3, .2)), precision = c(4, 7, 3)),
      stats::plogis,
      function(y, p) stats::dbeta(y, p$mean * p$precision, (1 - p$mean) * p$precision, log = TRUE),
      cdf = function(y, p) stats::pbeta(y, p$mean * p$precision, (1 - p$mean) * p$precision),
      mean = function(p) p$mean),
    vonmises = hmm_one_column(function(n) stats::runif(n, -pi, pi),
      list(mean = c(-1.5, .2, 1.8), concentration = c(.8, 3, 20)),
      list(coefficients = lines_of(tan(c(-1.5, .2, 1.8) / 2), c(.2, -.2, .1)), concentration = c(.8, 3, 20)),
      function(eta) 2 * atan(eta), function(y, p) oracle_log_vonmises(y, p$mean, p$concentration),
      cdf = function(y, p) oracle_vonmises_cdf(y, p$mean, p$concentration), mean = function(p) p$mean),
    poisson = counts(function(n) stats::rpois(n, 4), list(lambda = c(1.2, 3.5, 9)),
      list(coefficients = lines_of(log(c(1.2, 3.5, 9)), c(.3, -.2, .1))), exp,
      function(y, p) stats::dpois(y, p$lambda, log = TRUE), cdf = function(y, p) stats::ppois(y, p$lambda),
      mean = function(p) p$lambda),
    negative_binomial = counts(function(n) stats::rnbinom(n, 2, mu = 5), list(mean = c(1, 4, 9), size = c(.8, 3, 7)),
      list(coefficients = lines_of(log(c(1, 4, 9)), c(.3, -.2, .1)), size = c(.8, 3, 7)), exp,
      function(y, p) stats::dnbinom(y, p$size, mu = p$mean, log = TRUE),
      cdf = function(y, p) stats::pnbinom(y, p$size, mu = p$mean), mean = function(p) p$mean),
    zip = counts(function(n) stats::rpois(n, 3) * stats::rbinom(n, 1, .6),
      list(lambda = c(1.5, 4, 8), zero = c(.5, .2, .05)),
      list(coefficients = lines_of(log(c(1.5, 4, 8)), c(.2, -.2, .1)), zero = c(.5, .2, .05)), exp,
      function(y, p) oracle_inflated(y, p$zero, stats::dpois(y, p$lambda, log = TRUE)),
      cdf = function(y, p) ifelse(y < 0, 0, p$zero + (1 - p$zero) * stats::ppois(y, p$lambda)),
      mean = function(p) (1 - p$zero) * p$lambda),
    zinb = counts(function(n) stats::rnbinom(n, 2, mu = 5) * stats::rbinom(n, 1, .6),
      list(mean = c(1.5, 5, 9), size = c(1, 3, 6), zero = c(.4, .3, .1)),
      list(coefficients = lines_of(log(c(1.5, 5, 9)), c(.2, -.2, .1)), size = c(1, 3, 6), zero = c(.4, .3, .1)), exp,
      function(y, p) oracle_inflated(y, p$zero, stats::dnbinom(y, p$size, mu = p$mean, log = TRUE)),
      cdf = function(y, p) ifelse(y < 0, 0, p$zero + (1 - p$zero) * stats::pnbinom(y, p$size, mu = p$mean)),
      mean = function(p) (1 - p$zero) * p$mean),
    binomial = list(
      response = "cbind(yes, no)", columns = c("yes", "no"), sorted = "prob",
      draw = function(n) {
        trials <- 3 + seq_len(n) %% 4
        yes <- stats::rbinom(n, trials, .5)
        data.frame(yes = yes, no = trials - yes)
      },
      emission = list(prob = c(.15, .5, .8)),
      linear = list(coefficients = lines_of(stats::qlogis(c(.15, .5, .8)), c(.4, -.3, .2))), link = stats::plogis,
      density = function(data, p) stats::dbinom(data$yes, data$yes + data$no, p$prob, log = TRUE),
      cdf = function(data, p) stats::pbinom(data$yes, data$yes + data$no, p$prob),
      below = function(data, p) stats::pbinom(data$yes - 1, data$yes + data$no, p$prob),
      mean = function(p) p$prob),
    categorical = list(
      response = "y", columns = "y", sorted = "prob",
      # Every category, however few rows are missing.
      draw = function(n) data.frame(y = factor(rep_len(c("c", "a", "b", "b", "a", "a", "c"), n), c("a", "b", "c"))),
      emission = list(prob = matrix(c(.7, .2, .1, .3, .4, .3, .1, .3, .6), 3, byrow = TRUE,
                                    dimnames = list(NULL, c("a", "b", "c")))),
      # [coefficient, category b or c, state]
      linear = list(coefficients = array(c(-1.2, .3, -1.9, .2, .3, -.3, .1, .4, 1.1, .2, 1.8, -.2), c(2, 2, 3),
                                         list(c("(Intercept)", "x"), c("b", "c"), NULL))),
      link = function(eta) t(apply(cbind(0, eta), 1, hmm_softmax)),
      density = function(data, p) log(p$prob[cbind(seq_along(data$y), as.integer(data$y))]),
      cdf = function(data, p) {
        vapply(seq_along(data$y), function(i) if (is.na(data$y[i])) NA else sum(p$prob[i, 1:as.integer(data$y[i])]), 0)
      },
      below = function(data, p) {
        vapply(seq_along(data$y), function(i) {
          if (is.na(data$y[i])) NA else sum(p$prob[i, seq_len(as.integer(data$y[i]) - 1)])
        }, 0)
      },
      mean = function(p) p$prob),
    multinomial = list(
      response = "cbind(a, b, c)", columns = c("a", "b", "c"), sorted = "prob",
      draw = function(n) {
        counts <- t(vapply(seq_len(n), function(i) stats::rmultinom(1, 4 + i %% 3, c(1, 1, 1))[, 1], numeric(3)))
        data.frame(a = counts[, 1], b = counts[, 2], c = counts[, 3])
      },
      emission = list(prob = matrix(c(.7, .2, .1, .3, .4, .3, .1, .3, .6), 3, byrow = TRUE,
                                    dimnames = list(NULL, c("a", "b", "c")))),
      density = function(data, p) {
        counts <- as.matrix(data[c("a", "b", "c")])
        lgamma(rowSums(counts) + 1) - rowSums(lgamma(counts + 1)) + rowSums(counts * log(p$prob))
      },
      mean = function(p) p$prob),
    mvgaussian = list(
      response = "cbind(y1, y2, y3)", columns = c("y1", "y2", "y3"), sorted = "mean",
      draw = function(n) data.frame(y1 = stats::rnorm(n), y2 = stats::rnorm(n, 1), y3 = stats::rnorm(n, 0, 2)),
      emission = list(
        mean = matrix(c(-1, 0, 1, .5, 1, 0, 2, 2, -1), 3, dimnames = list(c("y1", "y2", "y3"), NULL)),
        covariance = array(c(1, .3, .2, .3, 1, -.2, .2, -.2, 2,
                             2, -.5, .4, -.5, 1, .1, .4, .1, 1,
                             .6, .2, 0, .2, .5, .1, 0, .1, .9), c(3, 3, 3),
                           list(c("y1", "y2", "y3"), c("y1", "y2", "y3"), NULL))),
      density = function(data, p) oracle_log_dnorm(as.matrix(data[c("y1", "y2", "y3")]), p$mean, p$covariance),
      mean = function(p) p$mean),
    gaussian_mixture = list(
      response = "y", columns = "y", sorted = "mean",
      draw = function(n) data.frame(y = stats::rnorm(n, 1, 2)),
      # Parts x states.
      emission = list(proportions = matrix(c(.3, .7, .6, .4, .5, .5), 2), mean = matrix(c(-2, -1, 0, 1.5, 2, 4), 2),
                      sd = matrix(c(.5, 1, .8, .6, 1.2, 2), 2)),
      density = function(data, p) log(colSums(p$proportions * t(outer(data$y, seq_along(p$mean), function(y, m) {
        stats::dnorm(y, p$mean[m], p$sd[m])
      })))),
      cdf = function(data, p) colSums(p$proportions * t(outer(data$y, seq_along(p$mean), function(y, m) {
        stats::pnorm(y, p$mean[m], p$sd[m])
      }))),
      below = function(data, p) oracle_families()$gaussian_mixture$cdf(data, p),
      mean = function(p) sum(p$proportions * p$mean))
  )
}

# Parameters of the first K states.
first_states <- function(emission, K) {
  lapply(emission, function(p) {
    if (is.array(p) && length(dim(p)) == 3) return(p[, , seq_len(K), drop = FALSE])
    if (!is.matrix(p)) return(p[seq_len(K)])
    p[, seq_len(K), drop = FALSE]
  })
}
# prob of categorical and multinomial responses has states in rows.
first_states_of <- function(name, emission, K) {
  if (!is.null(dim(emission$prob))) return(list(prob = emission$prob[seq_len(K), , drop = FALSE]))
  first_states(emission, K)
}

# Number of states of an emission list.
n_states_of <- function(emission) {
  p <- emission[[1]]
  if (!is.null(dim(emission$prob))) nrow(emission$prob) else if (is.null(dim(p))) length(p) else dim(p)[length(dim(p))]
}

# theta of state k for the rows of `data`: a value per row for parameters in one number.
oracle_theta <- function(family, emission, k, data) {
  n <- nrow(data)
  each <- function(p) {
    if (is.null(dim(p))) return(rep(p[k], n))
    if (length(dim(p)) == 3) return(matrix(p[, , k], dim(p)[1]))
    p[, k]
  }
  if (!is.null(dim(emission$prob))) {
    return(list(prob = matrix(emission$prob[k, ], n, ncol(emission$prob), byrow = TRUE)))
  }
  theta <- lapply(emission, each)
  if (!is.null(emission$coefficients)) {
    x <- cbind(1, data$x)
    eta <- if (length(dim(emission$coefficients)) == 3) x %*% emission$coefficients[, , k] else
      drop(x %*% emission$coefficients[, k])
    theta$coefficients <- NULL
    theta[[names(family$emission)[1]]] <- family$link(eta)
  }
  theta
}

# n x K of what = "density" (log), "cdf" or "below".
oracle_response <- function(name, emission, data, what = "density") {
  family <- oracle_families()[[name]]
  K <- n_states_of(emission)
  result <- vapply(seq_len(K), function(k) {
    value <- as.numeric(family[[what]](data, oracle_theta(family, emission, k, data)))
    if (what == "density") replace(value, is.na(value), 0) else value
  }, numeric(nrow(data)))
  matrix(result, nrow(data), K)
}

# Means of the response: a list by state of n x c matrices (counts and successes of all trials).
oracle_response_mean <- function(name, emission, data) {
  family <- oracle_families()[[name]]
  trials <- switch(name, binomial = data$yes + data$no, multinomial = data$a + data$b + data$c, 1)
  lapply(seq_len(n_states_of(emission)), function(k) {
    mean <- family$mean(oracle_theta(family, emission, k, data))
    if (name == "mvgaussian") return(matrix(mean, nrow(data), length(mean), byrow = TRUE))
    if (is.matrix(mean)) mean * trials else matrix(rep_len(mean, nrow(data)) * trials)
  })
}

# The mean over states of these probabilities (n x K) of their means. Of angles: the direction of the mean of (cos y,
# sin y), which by state is A(concentration) times that of its mean.
oracle_average <- function(name, emission, means, probability) {
  over <- function(values) Reduce(`+`, Map(function(k, value) probability[, k] * value, seq_along(values), values))
  if (name != "vonmises") return(over(means))
  length <- besselI(emission$concentration, 1) / besselI(emission$concentration, 0)
  resultant <- function(f) over(Map(function(mean, a) a * f(mean), means, length))
  atan2(resultant(sin), resultant(cos))
}

# The cells of a response whose distribution functions make residuals, each list(lower, upper, log_density) of n x K:
# F(y-), F(y) and log f(y) given the cells before it in the row, NA where missing.
oracle_residual_cells <- function(name, emission, data) {
  K <- n_states_of(emission)
  n <- nrow(data)
  states <- function(f) matrix(vapply(seq_len(K), f, numeric(n)), n)
  if (name == "multinomial") {
    # A count is binomial given those before it; the last is what is left.
    y <- as.matrix(data[c("a", "b", "c")])
    return(lapply(1:2, function(j) {
      size <- rowSums(y[, j:3])
      share <- function(k) emission$prob[k, j] / sum(emission$prob[k, j:3])
      list(lower = states(function(k) stats::pbinom(y[, j] - 1, size, share(k))),
           upper = states(function(k) stats::pbinom(y[, j], size, share(k))),
           log_density = states(function(k) stats::dbinom(y[, j], size, share(k), log = TRUE)))
    }))
  }
  density <- oracle_response(name, emission, data)
  upper <- oracle_response(name, emission, data, "cdf")
  density[is.na(upper)] <- NA
  list(list(lower = oracle_response(name, emission, data, "below"), upper = upper, log_density = density))
}

# Bounds of the residuals' probabilities, list(lower, upper) of n x cells, of the cells of all responses one after
# another, each given those before it in the row and the rows before (law: n x K).
oracle_residual_bounds <- function(law, cells) {
  weight <- log(law)
  lower <- upper <- matrix(NA_real_, nrow(law), length(cells))
  for (j in seq_along(cells)) {
    p <- exp(weight) / rowSums(exp(weight))
    lower[, j] <- rowSums(p * cells[[j]]$lower)
    upper[, j] <- rowSums(p * cells[[j]]$upper)
    seen <- !is.na(upper[, j])
    weight[seen, ] <- weight[seen, ] + cells[[j]]$log_density[seen, ]
  }
  list(lower = lower, upper = upper)
}
