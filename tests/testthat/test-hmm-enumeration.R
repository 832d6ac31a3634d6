# At given parameters everything that a hidden Markov model says equals sums over all state paths (helper-hmm.R), for
# every family (helper-hmm-families.R) x covariates x missing rows, with sequences of length 1, 2 and 5 whose rows are
# mixed.

# --- problems ---------------------------------------------------------------------------------------

# Two layouts: that of the data, and that of new data.
grid_id <- list(c("b", "a", "a", "c", "a", "b", "a", "a"), c("s", "r", "t", "t", "r", "t", "t", "t", "u"))

grid_data <- function(name, layout, missing) {
  family <- oracle_families()[[name]]
  id <- grid_id[[layout]]
  n <- length(id)
  data <- with_seed(10 * layout + nchar(name), {
    cbind(family$draw(n), data.frame(id = id, x = round(stats::rnorm(n), 2), w = round(stats::rnorm(n), 2),
                                     v = round(stats::rnorm(n), 2)))
  })
  # So that the average of x, at which a fit orders its states, is near 0.
  data$x <- data$x - round(mean(data$x), 2)
  # The first row of the long sequence, one inside it, the only row of the shortest.
  if (missing == "rows") data[list(c(2, 4, 5), c(3, 5, 9))[[layout]], family$columns] <- NA
  # Some columns of some rows.
  if (missing == "cells") {
    data[5, family$columns] <- NA
    data[3, family$columns[2]] <- NA
    data[7, family$columns[c(1, 3)]] <- NA
    data[1, family$columns[1:2]] <- NA
  }
  data
}

transition_grid <- function(K) list(matrix(c(.7, .3, .4, .6), 2, byrow = TRUE),
                                    matrix(c(.6, .3, .1, .2, .5, .3, .25, .05, .7), 3, byrow = TRUE))[[K - 1]]
# [coefficient, from, to]; staying is the reference.
transition_coefficients <- function(K) {
  b <- array(0, c(2, K, K), list(c("(Intercept)", "w"), NULL, NULL))
  move <- which(diag(K) == 0, arr.ind = TRUE)
  values <- list(c(-.5, 2), c(.3, -1.7), c(-1, .8), c(.2, 1.5), c(-.3, -2.5), c(.6, 1))
  for (i in seq_len(nrow(move))) b[, move[i, 1], move[i, 2]] <- values[[i]]
  b
}
initial_coefficients <- function(K) {
  rbind(`(Intercept)` = c(0, .4, -.6)[seq_len(K)], v = c(0, 1.3, -.9)[seq_len(K)])
}

# A family in a structure: the arguments of em_hmm(), and the laws of the oracle on any data.
grid_case <- function(name, structure, missing) {
  family <- oracle_families()[[name]]
  has <- function(...) structure %in% c(..., "all")
  K <- if (has("plain", "from")) 3 else 2
  regression <- has("mean") && !is.null(family$linear)
  emission <- first_states_of(name, if (regression) family$linear else family$emission, K)
  timing <- if (has("to")) "to" else "from"
  moves <- has("from", "to")
  transition <- if (moves) transition_coefficients(K) else transition_grid(K)
  initial <- if (has("initial")) initial_coefficients(K) else c(.5, .2, .3)[seq_len(K)] / sum(c(.5, .2, .3)[seq_len(K)])
  formula <- stats::as.formula(paste(family$response, if (regression) "~ x" else "~ 1"))
  arguments <- list(formula, n_states = K, family = name, id = ~ id, timing = timing)
  if (moves) arguments$transition <- ~ w
  if (has("initial")) arguments$initial <- ~ v
  list(
    name = name, K = K, emission = emission, arguments = arguments,
    start = list(initial = initial, transition = transition, emission = emission),
    data = grid_data(name, 1, missing), newdata = grid_data(name, 2, missing),
    laws = function(data) {
      list(initial = if (has("initial")) hmm_logit_initial(cbind(1, data$v), initial, data$id) else initial,
           transition = if (moves) hmm_logit_transition(cbind(1, data$w), transition, data$id, timing) else transition,
           log_density = oracle_response(name, emission, data))
    })
}

grid_fit <- function(case) do.call(hmm_evaluated, c(case$arguments, list(data = case$data, start = case$start)))

# Log-likelihood, probabilities of the states and the best path of a fit, against the enumeration. Tolerances: sums of
# at most 3^5 terms in double precision.
expect_enumerated <- function(fit, enumeration, order, newdata = NULL) {
  expect_close(as.numeric(logLik(fit, newdata = newdata)), enumeration$loglik, 1e-10)
  for (type in c("posterior", "filtered", "predicted")) {
    expect_close(unname(predict(fit, newdata, type = type)), unname(enumeration[[type]][, order]), 1e-9)
  }
  path <- viterbi(fit, newdata)
  expect_true(hmm_is_best_path(order[path], enumeration))
  expect_close(as.numeric(attr(path, "log_prob")), enumeration$viterbi_log_prob, 1e-10)
  expect_identical(as.integer(predict(fit, newdata, type = "viterbi")), as.integer(path))
}

# Residuals are normal scores of the predictive distribution function; of discrete responses scores of a point between
# F(y-) and F(y).
expect_enumerated_residuals <- function(fit, case, predicted) {
  if (case$name == "mvgaussian") {
    y <- as.matrix(case$data[oracle_families()$mvgaussian$columns])
    expect_close(stats::pnorm(unname(residuals(fit))),
                 hmm_rosenblatt(y, predicted, case$emission$mean, case$emission$covariance), 1e-8)
  } else {
    cells <- oracle_residual_cells(case$name, case$emission, case$data)
    expect_within_bounds(fit, oracle_residual_bounds(predicted, cells))
  }
}

expect_within_bounds <- function(fit, bounds) {
  u <- stats::pnorm(unname(as.matrix(residuals(fit, seed = 4))))
  expect_identical(is.na(u), is.na(bounds$upper))
  seen <- !is.na(u)
  expect_true(all(u[seen] >= bounds$lower[seen] - 1e-8 & u[seen] <= bounds$upper[seen] + 1e-8))
}

# Expected responses, of the rows that are observed (of others the number of trials is not known).
expect_enumerated_response <- function(fit, case, posterior) {
  means <- oracle_response_mean(case$name, case$emission, case$data)
  expected <- oracle_average(case$name, case$emission, means, posterior)
  seen <- !is.na(case$data[[oracle_families()[[case$name]]$columns[1]]])
  found <- unname(as.matrix(predict(fit, type = "response")))
  expect_close(found[seen, ], expected[seen, ], 1e-9)
}

# Transitions into the rows that have a row before them.
expect_transitions <- function(fit, case, order) {
  found <- unname(predict(fit, type = "transition"))
  into <- hmm_as_list(case$laws(case$data)$transition, nrow(case$data))
  for (i in which(!is.na(hmm_row_before(case$data$id)))) expect_close(found[, , i], into[[i]][order, order], 1e-12)
}

check_case <- function(name, structure, missing) {
  case <- grid_case(name, structure, missing)
  fit <- grid_fit(case)
  order <- hmm_state_order(fit, case$emission)
  enumerate <- function(data) {
    laws <- case$laws(data)
    hmm_enumerate(laws$initial, laws$transition, laws$log_density, data$id)
  }
  enumeration <- enumerate(case$data)
  expect_enumerated(fit, enumeration, order)
  expect_close(fit$loglik, enumeration$loglik, 1e-10)
  expect_close(fit$sequences$loglik, enumeration$loglik_sequence, 1e-10)
  expect_close(unname(fit$posterior), enumeration$posterior[, order], 1e-9)
  expect_identical(as.integer(fit$states), as.integer(viterbi(fit)))
  expect_close(unname(fit$counts), colSums(enumeration$posterior)[order], 1e-9)
  expect_enumerated_residuals(fit, case, enumeration$predicted)
  expect_enumerated_response(fit, case, enumeration$posterior)
  expect_transitions(fit, case, order)
  expect_enumerated(fit, enumerate(case$newdata), order, case$newdata)
}

# --- the grid ---------------------------------------------------------------------------------------

# By default every family once without and once with all covariates; the rest is in the extended tests.
structures <- c("plain", "mean", "from", "to", "initial", "all")
grid <- expand.grid(missing = c("none", "rows"), structure = structures, name = names(oracle_families()),
                    stringsAsFactors = FALSE)
grid <- rbind(grid, expand.grid(missing = "cells", structure = setdiff(structures, "mean"), name = "mvgaussian",
                                stringsAsFactors = FALSE))
no_covariates <- names(Filter(function(family) is.null(family$linear), oracle_families()))
grid <- grid[!(grid$structure == "mean" & grid$name %in% no_covariates), ]
default <- grid$structure %in% c("plain", "all") & grid$missing == "rows" | grid$missing == "cells" |
  grid$name == "gaussian"

for (i in seq_len(nrow(grid))) {
  row <- grid[i, ]
  words <- c(plain = "no covariate", mean = "covariate on the mean",
             from = "covariate of the row that is left on transitions",
             to = "covariate of the row that is entered on transitions", initial = "covariate on the initial law",
             all = "covariates on all that may have some")[[row$structure]]
  title <- sprintf("everything equals the sum over all paths: %s, %s, %s missing", row$name, words, row$missing)
  test_that(title, {
    if (!default[i]) skip_unless_extended()
    check_case(row$name, row$structure, row$missing)
  })
}

test_that("every family of the package is in the grid", {
  expect_setequal(names(oracle_families()), response_registry_()$name)
})

# --- forms of the chain -----------------------------------------------------------------------------

# A Gaussian problem of three states with the given chain.
chain_case <- function(initial = c(.5, .2, .3), transition = transition_grid(3)) {
  case <- grid_case("gaussian", "plain", "rows")
  case$start$initial <- initial
  case$start$transition <- transition
  case
}

# The enumeration of a case on its own data.
enumerate_case <- function(case, ...) {
  laws <- case$laws(case$data)
  hmm_enumerate(case$start$initial, case$start$transition, laws$log_density, case$data$id, ...)
}

test_that("known states take part in the likelihood and in all probabilities", {
  case <- chain_case()
  case$data$known <- c(NA, NA, 2, NA, NA, 3, 1, NA)
  fit <- do.call(hmm_evaluated, c(case$arguments, list(data = case$data, start = case$start, known = case$data$known)))
  enumeration <- enumerate_case(case, known = case$data$known)
  expect_close(fit$loglik, enumeration$loglik, 1e-10)
  expect_close(unname(fit$posterior), enumeration$posterior, 1e-9)
  expect_close(unname(predict(fit, type = "filtered")), enumeration$filtered, 1e-9)
  expect_true(hmm_is_best_path(fit$states, enumeration))
  expect_identical(as.integer(fit$states)[c(3, 6, 7)], c(2L, 3L, 1L))
})

test_that("an initial law for each sequence goes to the sequence of its column", {
  case <- chain_case()
  initial <- cbind(c(.1, .6, .3), c(0, 1, 0), c(.8, .1, .1))
  fit <- do.call(hmm_evaluated, c(case$arguments, list(data = case$data, start = case$start, initial = initial)))
  enumeration <- hmm_enumerate(initial, case$start$transition, case$laws(case$data)$log_density, case$data$id)
  expect_enumerated(fit, enumeration, 1:3)
})

test_that("the stationary initial law is that of the transition matrix", {
  case <- chain_case()
  fit <- do.call(hmm_evaluated, c(case$arguments, list(data = case$data, start = case$start, initial = "stationary")))
  initial <- hmm_stationary(case$start$transition)
  enumeration <- hmm_enumerate(initial, case$start$transition, case$laws(case$data)$log_density, case$data$id)
  expect_enumerated(fit, enumeration, 1:3)
  expect_close(unname(fit$parameters$initial), initial, 1e-10)
  expect_close(unname(stationary(fit)), initial, 1e-10)
})

test_that("impossible transitions are in no path", {
  transition <- matrix(c(.6, .4, 0, 0, .7, .3, 0, 0, 1), 3, byrow = TRUE)
  case <- chain_case(initial = c(.7, .3, 0), transition = transition)
  fit <- do.call(hmm_evaluated, c(case$arguments, list(data = case$data, start = case$start, topology = "left-right")))
  enumeration <- enumerate_case(case)
  expect_enumerated(fit, enumeration, 1:3)
  expect_true(all(diff(fit$states[case$data$id == "a"]) >= 0))
})

test_that("impossible transitions stay so where covariates move the others", {
  case <- grid_case("gaussian", "from", "rows")
  topology <- rbind(c(1, 1, 0), c(0, 1, 1), c(1, 0, 1))
  for (k in 1:3) case$start$transition[, k, topology[k, ] == 0] <- 0
  fit <- do.call(hmm_evaluated, c(case$arguments, list(data = case$data, start = case$start, topology = topology)))
  laws <- case$laws(case$data)
  transition <- lapply(laws$transition, function(P) {
    P <- P * topology
    P / rowSums(P)
  })
  enumeration <- hmm_enumerate(case$start$initial, transition, laws$log_density, case$data$id)
  expect_enumerated(fit, enumeration, 1:3)
})

test_that("a sequence of weight w counts w times", {
  case <- chain_case()
  weights <- c(b = 2, a = .5, c = 3)[case$data$id]
  fit <- do.call(hmm_evaluated, c(case$arguments, list(data = case$data, start = case$start, weights = weights)))
  enumeration <- enumerate_case(case)
  expect_close(fit$loglik, sum(c(2, .5, 3) * enumeration$loglik_sequence), 1e-10)
  expect_close(unname(fit$posterior), enumeration$posterior, 1e-9)
  expect_close(unname(fit$counts), colSums(weights * enumeration$posterior), 1e-9)
})

test_that("the lengths of sequences say the same as their ids", {
  case <- chain_case()
  sorted <- case$data[order(match(case$data$id, unique(case$data$id))), ]
  arguments <- case$arguments[names(case$arguments) != "id"]
  fit <- do.call(hmm_evaluated, c(arguments, list(data = sorted, start = case$start, ntimes = c(2, 5, 1))))
  enumeration <- hmm_enumerate(case$start$initial, case$start$transition, case$laws(sorted)$log_density, sorted$id)
  expect_close(fit$loglik, enumeration$loglik, 1e-10)
  expect_close(unname(fit$posterior), enumeration$posterior, 1e-9)
})

test_that("responses of several families are independent given the state, and may be missing one by one", {
  n <- 8
  data <- with_seed(3, data.frame(y = stats::rnorm(n), count = stats::rpois(n, 3), id = grid_id[[1]],
                                  kind = factor(sample(c("a", "b", "c"), n, TRUE), levels = c("a", "b", "c"))))
  data$y[c(2, 5)] <- NA
  data$count[c(5, 8)] <- NA
  data$kind[c(1, 5)] <- NA
  emission <- list(y = list(mean = c(-1, .5), sd = c(1, .6)), count = list(lambda = c(2, 5)),
                   kind = list(prob = rbind(c(.6, .3, .1), c(.2, .2, .6))))
  start <- list(initial = c(.4, .6), transition = transition_grid(2), emission = emission)
  fit <- hmm_evaluated(list(y ~ 1, count ~ 1, kind ~ 1), data = data, n_states = 2, id = ~ id, start = start,
                       family = list("gaussian", "poisson", "categorical"))
  density <- function(name, column) {
    oracle_response(name, emission[[column]], stats::setNames(data[column], "y"))
  }
  enumeration <- hmm_enumerate(start$initial, start$transition,
                               density("gaussian", "y") + density("poisson", "count") + density("categorical", "kind"),
                               data$id)
  expect_enumerated(fit, enumeration, 1:2)
  cells <- c(oracle_residual_cells("gaussian", emission$y, data["y"]),
             oracle_residual_cells("poisson", emission$count, stats::setNames(data["count"], "y")),
             oracle_residual_cells("categorical", emission$kind, stats::setNames(data["kind"], "y")))
  expect_within_bounds(fit, oracle_residual_bounds(enumeration$predicted, cells))
})

# --- sampling ---------------------------------------------------------------------------------------

test_that("sampled paths have the joint law of the states given the data", {
  # A chi-square test of 4000 paths for each sequence; a right sampler fails once in 10^4 seeds.
  for (structure in c("plain", "from", "to")) {
    case <- grid_case("poisson", structure, "rows")
    fit <- grid_fit(case)
    laws <- case$laws(case$data)
    enumeration <- hmm_enumerate(laws$initial, laws$transition, laws$log_density, case$data$id)
    paths <- sample_paths(fit, n = 4000, seed = 1)
    expect_gt(hmm_sampling_p_value(paths, enumeration), 1e-4)
  }
})

test_that("sampled paths of new data have the law given the new data", {
  case <- grid_case("gaussian", "all", "none")
  fit <- grid_fit(case)
  laws <- case$laws(case$newdata)
  enumeration <- hmm_enumerate(laws$initial, laws$transition, laws$log_density, case$newdata$id)
  paths <- sample_paths(fit, n = 4000, seed = 2, newdata = case$newdata)
  expect_gt(hmm_sampling_p_value(paths, enumeration), 1e-4)
})

# --- forecasts --------------------------------------------------------------------------------------

# Forecasts of three steps of every sequence: states, means, quantiles.
check_forecast <- function(name, structure) {
  case <- grid_case(name, structure, if (name %in% c("binomial", "multinomial")) "none" else "rows")
  fit <- grid_fit(case)
  order <- hmm_state_order(fit, case$emission)
  family <- oracle_families()[[name]]
  ids <- unique(case$data$id)
  # Three rows to come of every sequence, mixed.
  future <- with_seed(1, data.frame(id = rep(ids, 3), x = stats::rnorm(9), w = stats::rnorm(9), v = stats::rnorm(9)))
  table <- predict(fit, future, type = "forecast", h = 3, probs = .3)
  states <- attr(table, "states")
  for (s in seq_along(ids)) {
    rows <- which(case$data$id == ids[s])
    ahead <- future[future$id == ids[s], ]
    both <- rbind(case$data[rows, c("id", "x", "w", "v")], ahead[c("id", "x", "w", "v")])
    longer <- case$laws(transform(case$data[c(rows, rows[1], rows[1], rows[1]), ], id = ids[s], x = both$x, w = both$w,
                                  v = both$v))
    into <- hmm_as_list(longer$transition, nrow(both))
    n <- length(rows)
    law <- hmm_enumerate_forecast(hmm_initial_of(longer$initial, 1), into[1:n], longer$log_density[1:n, , drop = FALSE],
                                  into[n + 1:3])
    here <- states$sequence == ids[s]
    expect_equal(states$horizon[here], 1:3)
    expect_close(as.matrix(states[here, -(1:2)]), law[, order], 1e-9)
    # Numbers of trials to come are those of the last row.
    ahead[family$columns] <- case$data[rep(rows[n], 3), family$columns]
    means <- oracle_response_mean(name, case$emission, ahead)
    expected <- oracle_average(name, case$emission, means, law)
    expect_close(table$mean[table$sequence == ids[s]], as.vector(t(expected)), 1e-9)
    if (is.null(family$cdf) || name == "categorical") next
    for (q in list(c("lower", .025), c("upper", .975), c("q0.3", .3))) {
      # F(q) is the probability; of discrete responses F(q) reaches it and F(q-) does not.
      y <- table[[q[1]]][table$sequence == ids[s]]
      p <- as.numeric(q[2])
      if (name == "vonmises") {
        # On the circle cut opposite the mean.
        density <- function(a, i) {
          there <- transform(ahead[rep(i, length(a)), ], y = a)
          as.vector(exp(oracle_response(name, case$emission, there)) %*% law[i, ])
        }
        below <- vapply(1:3, function(i) {
          stats::integrate(density, expected[i] - pi, y[i], i = i, rel.tol = 1e-9)$value
        }, 0)
        expect_close(below, rep(p, 3), 1e-6)
        next
      }
      if (name == "binomial") ahead[c("yes", "no")] <- cbind(y, ahead$yes + ahead$no - y) else ahead$y <- y
      upper <- rowSums(law * oracle_response(name, case$emission, ahead, "cdf"))
      lower <- rowSums(law * oracle_response(name, case$emission, ahead, "below"))
      expect_true(all(upper >= p - 1e-7 & lower <= p + 1e-7))
    }
  }
}

for (name in names(oracle_families())) {
  test_that(paste("forecasts are the sum over all paths into the future:", name), {
    check_forecast(name, "plain")
    check_forecast(name, "all")
  })
}

test_that("forecasts use the covariates of the row that the timing says", {
  for (structure in c("from", "to")) check_forecast("gaussian", structure)
})

test_that("densities to come are those of the mixture over the states", {
  for (name in c("gaussian", "poisson")) {
    case <- grid_case(name, "plain", "none")
    fit <- grid_fit(case)
    at <- 0:4
    table <- predict(fit, type = "density", h = 2, at = at)
    law <- as.matrix(attr(predict(fit, type = "forecast", h = 2), "states")[, -(1:2)])
    expected <- t(apply(law, 1, function(p) exp(oracle_response(name, case$emission, data.frame(y = at))) %*% p))
    expect_close(table$density, as.vector(t(expected)), 1e-9)
  }
})
