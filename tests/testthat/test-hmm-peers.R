# What other programs for hidden Markov models get wrong (each title says it in plain words), and does not happen here.

speed <- hmm_data("speed")
quakes <- hmm_data("quakes")

# Every number of a fit that a user may look at.
expect_no_nan <- function(fit) {
  numbers <- unlist(list(fit$parameters, fit$loglik, fit$posterior, fit$counts))
  expect_true(all(is.finite(numbers)))
  if (is.matrix(fit$parameters$transition)) {
    expect_equal(unname(rowSums(fit$parameters$transition)), rep(1, fit$n_states), tolerance = 1e-12)
  }
}

# Random two-state Gaussian chains of 8 rows in which a covariate moves the transitions strongly.
covariate_chain <- function(seed, timing) {
  with_seed(seed, {
    data <- data.frame(y = stats::rnorm(8), w = stats::rnorm(8))
    b <- array(0, c(2, 2, 2))
    b[, 1, 2] <- c(stats::rnorm(1), stats::rnorm(1, 0, 6))
    b[, 2, 1] <- c(stats::rnorm(1), stats::rnorm(1, 0, 6))
    list(data = data, timing = timing, coefficients = b,
         start = list(initial = c(.5, .5), transition = b, emission = list(mean = c(-.5, .5), sd = c(1, 1))),
         transition = hmm_logit_transition(cbind(1, data$w), b, rep(1, 8), timing),
         log_density = cbind(stats::dnorm(data$y, -.5, log = TRUE), stats::dnorm(data$y, .5, log = TRUE)))
  })
}

test_that("the gamma family uses its scale: one state is the maximum likelihood of a gamma sample", {
  y <- with_seed(1, stats::rgamma(120, 3, 1 / 2))
  fit <- hmm_tight(y ~ 1, data = data.frame(y = y), n_states = 1, family = "gamma")
  # Shape solves log(s) - digamma(s) = log(mean) - mean(log).
  excess <- log(mean(y)) - mean(log(y))
  shape <- stats::uniroot(function(s) log(s) - digamma(s) - excess, c(.1, 100), tol = 1e-13)$root
  expect_close(unname(fit$parameters$emission$shape), shape, 1e-7)
  expect_close(fit$loglik, sum(stats::dgamma(y, shape, scale = mean(y) / shape, log = TRUE)), 1e-10)
})

test_that("decoding uses the transitions that the likelihood used, whichever row the covariates are of", {
  for (timing in c("from", "to")) for (seed in 1:40) {
    chain <- covariate_chain(seed, timing)
    fit <- hmm_evaluated(y ~ 1, data = chain$data, n_states = 2, transition = ~ w, timing = timing, start = chain$start)
    enumeration <- hmm_enumerate(c(.5, .5), chain$transition, chain$log_density)
    expect_close(fit$loglik, enumeration$loglik, 1e-10)
    expect_true(hmm_is_best_path(fit$states, enumeration))
    expect_close(as.numeric(attr(viterbi(fit), "log_prob")), enumeration$viterbi_log_prob, 1e-10)
  }
})

test_that("simulation uses the same transitions as the likelihood", {
  # The covariate says for sure whether the state changes; the response tells the state.
  w <- c(1, -1, -1, 1, 1, 1, -1, 1, -1, -1)
  b <- array(0, c(2, 2, 2))
  b[, 1, 2] <- b[, 2, 1] <- c(0, 60)
  for (timing in c("from", "to")) {
    start <- list(initial = c(1, 0), transition = b, emission = list(mean = c(0, 100), sd = c(1, 1)))
    fit <- hmm_evaluated(y ~ 1, data = data.frame(y = rep(c(0, 100), 5), w = w), n_states = 2, transition = ~ w,
                         timing = timing, initial = c(1, 0), start = start)
    changes <- if (timing == "from") w[-10] > 0 else w[-1] > 0
    state <- 1 + c(0, cumsum(changes)) %% 2
    for (drawn in simulate(fit, nsim = 5, seed = 1)) {
      expect_equal(as.vector(attr(drawn, "states")), state)
      expect_equal(1 + (drawn$y > 50), state)
    }
  }
})

test_that("residuals use the transition into their row, for sequences of one row and mixed rows too", {
  for (timing in c("from", "to")) for (seed in 1:10) {
    chain <- covariate_chain(seed, timing)
    id <- c("z", "m", "z", "a", "m", "z", "m", "m")
    transition <- hmm_logit_transition(cbind(1, chain$data$w), chain$coefficients, id, timing)
    fit <- hmm_evaluated(y ~ 1, data = chain$data, n_states = 2, transition = ~ w, timing = timing, id = id,
                         start = chain$start)
    enumeration <- hmm_enumerate(c(.5, .5), transition, chain$log_density, id)
    cdf <- cbind(stats::pnorm(chain$data$y, -.5), stats::pnorm(chain$data$y, .5))
    expect_close(stats::pnorm(as.vector(residuals(fit))), rowSums(enumeration$predicted * cdf), 1e-9)
  }
})

test_that("a multivariate row with some missing cells is used for what it holds, also in estimation", {
  # One state: the estimates are those of the normal distribution with missing values.
  x <- as.matrix(datasets::airquality[, 1:4])
  d <- as.data.frame(x)
  fit <- hmm_tight(cbind(Ozone, Solar.R, Wind, Temp) ~ 1, data = d, n_states = 1, family = "mvgaussian")
  normal <- mvn_em(x)
  expect_close(fit$loglik, mvn_loglik(x, normal$mean, normal$covariance), 1e-7)
  expect_equal(unname(fit$parameters$emission$covariance[, , 1]), unname(normal$covariance), tolerance = 1e-5)
  # Two states: no direction from the estimates leads uphill.
  fit <- hmm_tight(cbind(Ozone, Wind) ~ 1, data = d, n_states = 2, family = "mvgaussian")
  p <- fit$parameters
  at <- c(p$emission$mean, p$emission$covariance[1, 1, ], p$emission$covariance[2, 1, ], p$emission$covariance[2, 2, ],
          p$transition[1, 2], p$transition[2, 1])
  loglik <- function(theta) {
    D <- vapply(1:2, function(k) {
      S <- matrix(theta[c(4 + k, 6 + k, 6 + k, 8 + k)], 2)
      oracle_log_dnorm(x[, c(1, 3)], theta[2 * k - 1:0], S)
    }, numeric(nrow(x)))
    hmm_forward(p$initial, rbind(c(1 - theta[11], theta[11]), c(theta[12], 1 - theta[12])), D)
  }
  expect_close(fit$loglik, loglik(at), 1e-9)
  expect_lt(max(abs(numerical_gradient(loglik, at, units = abs(at)) * abs(at) / 100)), 1e-5)
})

test_that("an outlier of hundreds of standard deviations does no harm", {
  speed$rt[200] <- 60
  fit <- quietly(with_seed(1, em_hmm(rt ~ 1, data = speed, n_states = 2)))
  expect_no_nan(fit)
  # At parameters under which the outlier is impossible to double precision.
  start <- list(initial = c(.5, .5), transition = rbind(c(.9, .1), c(.1, .9)),
                emission = list(mean = c(5.5, 6.4), sd = c(.2, .25)))
  fit <- hmm_evaluated(rt ~ 1, data = speed, n_states = 2, start = start)
  D <- vapply(1:2, function(k) stats::dnorm(speed$rt, c(5.5, 6.4)[k], c(.2, .25)[k], log = TRUE), speed$rt)
  expect_close(fit$loglik, hmm_forward(c(.5, .5), start$transition, D), 1e-12)
  expect_no_nan(fit)
})

test_that("sixty responses at once, in units of a million, do no harm", {
  n <- 40
  data <- with_seed(2, as.data.frame(matrix(stats::rnorm(n * 60, rep(rep(1:2, each = 10), 2 * 60)), n) * 1e6))
  formulas <- lapply(names(data), function(v) stats::as.formula(paste(v, "~ 1")))
  emission <- lapply(stats::setNames(nm = names(data)), function(v) list(mean = c(1, 2) * 1e6, sd = c(1e6, 8e5)))
  start <- list(initial = c(.5, .5), transition = rbind(c(.9, .1), c(.1, .9)), emission = emission)
  fit <- hmm_evaluated(formulas, data = data, n_states = 2, start = start)
  D <- vapply(1:2, function(k) {
    rowSums(stats::dnorm(as.matrix(data), c(1e6, 2e6)[k], c(1e6, 8e5)[k], log = TRUE))
  }, numeric(n))
  expect_close(fit$loglik, hmm_forward(c(.5, .5), start$transition, D), 1e-12)
  expect_no_nan(quietly(em_hmm(formulas, data = data, n_states = 2, start = start)))
})

test_that("a row that no state can have made is an error that names it", {
  data <- data.frame(y = factor(c("a", "b", "a", "c", "b"), levels = c("a", "b", "c")))
  start <- list(initial = c(.5, .5), transition = rbind(c(.9, .1), c(.1, .9)),
                emission = list(prob = rbind(c(.5, .5, 0), c(.2, .8, 0))))
  failed <- tryCatch(hmm_evaluated(y ~ 1, data = data, n_states = 2, family = "categorical", start = start),
                     em_error_impossible_row = identity)
  expect_s3_class(failed, "em_error_impossible_row")
  expect_equal(failed$row, 4)
  # In the user's numbering, where rows of sequences are mixed.
  failed <- tryCatch(hmm_evaluated(y ~ 1, data = data, n_states = 2, family = "categorical", start = start,
                                   id = c(2, 1, 1, 2, 1)), em_error_impossible_row = identity)
  expect_equal(failed$row, 4)
})

test_that("constant data are an error, not an endless likelihood", {
  expect_error(em_hmm(y ~ 1, data = data.frame(y = rep(3, 50)), n_states = 2), class = "em_error_degenerate")
})

test_that("a left-right model that collapses ends in a proper fit or in a clear error", {
  outcome <- tryCatch(quietly(with_seed(1, em_hmm(rt ~ 1, data = speed, n_states = 3, topology = "left-right",
                                                  initial = c(1, 0, 0)))), em_error_degenerate = identity)
  if (inherits(outcome, "em_error_degenerate")) {
    expect_match(conditionMessage(outcome), "state")
  } else {
    expect_no_nan(outcome)
    expect_true(all(outcome$parameters$emission$sd > 1e-4))
    expect_true(all(outcome$parameters$transition[lower.tri(diag(3))] == 0))
  }
})

test_that("a state that dies keeps its row of transitions and is reported", {
  start <- list(initial = c(.5, .5, 0), transition = rbind(c(.9, .1, 0), c(.1, .9, 0), c(.2, .3, .5)),
                emission = list(lambda = c(15, 26, 1000)))
  expect_warning(fit <- em_hmm(count ~ 1, data = quakes, n_states = 3, family = "poisson", start = start),
                 class = "em_warning_empty_state")
  expect_no_nan(fit)
  expect_equal(unname(fit$parameters$transition[3, ]), c(.2, .3, .5), tolerance = 1e-6)
  expect_lt(fit$counts[3], 1e-3)
  expect_close(fit$loglik, -341.8787010117, 1e-7)
})

test_that("a fit says that it converged only when nothing is left to gain", {
  balance <- hmm_data("balance")
  items <- list(d1 ~ 1, d2 ~ 1, d3 ~ 1, d4 ~ 1)
  fit <- quietly(em_hmm(items, data = balance, n_states = 2, family = "binomial", initial = ~ age, id = seq_len(779)))
  expect_true(fit$converged)
  # depmixS4 stops 1.4e-3 short of it.
  expect_gt(fit$loglik, -951.2917523784 - 1e-5)
  expect_warning(
    short <- suppressWarnings(em_hmm(items, data = balance, n_states = 2, family = "binomial", id = seq_len(779),
                                     start = 1 + (balance$d1 + balance$d2 > 0), control = em_control(max_iter = 2)),
                              classes = "em_warning_not_identified"),
    class = "em_warning_not_converged")
  expect_false(short$converged)
})

test_that("the table of starts has the log-likelihood and status of each, and its best is the fit", {
  fit <- with_seed(3, em_hmm(count ~ 1, data = quakes, n_states = 3, family = "poisson"))
  expect_gt(nrow(fit$starts), 5)
  expect_close(max(fit$starts$loglik, na.rm = TRUE), fit$loglik, 1e-9)
  expect_true(all(!is.na(fit$starts$status)))
  again <- with_seed(3, em_hmm(count ~ 1, data = quakes, n_states = 3, family = "poisson"))
  expect_identical(again$starts, fit$starts)
})

test_that("a stationary initial law is exact, not the usual approximation", {
  fit <- hmm_tight(count ~ 1, data = quakes, n_states = 2, family = "poisson", initial = "stationary")
  # The approximate M-step of HiddenMarkov ends at -342.34794.
  expect_gt(fit$loglik, -342.34794 + .02)
  expect_equal(unname(fit$parameters$initial %*% fit$parameters$transition)[1, ], unname(fit$parameters$initial),
               tolerance = 1e-10)
})

test_that("the stationary law of a periodic chain is right, and several are said to be several", {
  expect_equal(as.numeric(stationary(rbind(c(0, 1, 0), c(0, 0, 1), c(1, 0, 0)))), rep(1, 3) / 3, tolerance = 1e-14)
  expect_warning(law <- stationary(diag(2)), class = "em_warning_not_unique")
  expect_true(all(is.na(law)))
})

test_that("estimates on the boundary leave the standard errors of the rest alone", {
  # The initial law is at a corner: the others have the standard errors of the model where it is given.
  free <- hmm_tight(count ~ 1, data = quakes, n_states = 2, family = "poisson")
  given <- hmm_tight(count ~ 1, data = quakes, n_states = 2, family = "poisson", initial = c(1, 0))
  what <- c("lambda_1", "lambda_2", "from_1", "from_2")
  expect_close(unname(hmm_se(free, what)), unname(hmm_se(given, what)), 1e-4)
  # A transition at zero, in a stationary model.
  fit <- hmm_tight(count ~ 1, data = quakes, n_states = 3, family = "poisson", initial = "stationary")
  se <- sqrt(diag(quietly(vcov(fit))))
  expect_true(all(is.finite(se[c("lambda[1]", "lambda[2]", "lambda[3]", "transition[1,2]", "transition[2,1]",
                                 "transition[2,3]", "transition[3,2]")])))
  limits <- quietly(confint(fit))
  inside <- grepl("transition", rownames(limits))
  expect_true(all(limits[inside, ] >= 0 & limits[inside, ] <= 1, na.rm = TRUE))
})

test_that("a missing covariate of the transitions is an error that names its row", {
  speed$Pacc[17] <- NA
  expect_error(em_hmm(rt ~ 1, data = speed, n_states = 2, transition = ~ Pacc), "17", class = "em_error")
})

test_that("a fit is silent", {
  expect_silent(with_seed(1, em_hmm(rt ~ 1, data = speed, n_states = 2)))
})

test_that("one value far out stops no start, whatever the seed", {
  speed$rt[10] <- 60
  for (seed in 1:3) expect_true(is.finite(with_seed(seed, quietly(em_hmm(rt ~ 1, data = speed, n_states = 2)))$loglik))
})

test_that("more states than distinct values end in a fit or in a clear error", {
  data <- with_seed(1, data.frame(y = stats::rbinom(60, 1, .5)))
  outcome <- tryCatch(quietly(em_hmm(y ~ 1, data = data, n_states = 3, family = "binomial")), em_error = identity)
  if (inherits(outcome, "em_hmm")) expect_no_nan(outcome) else expect_s3_class(outcome, "em_error_degenerate")
})
