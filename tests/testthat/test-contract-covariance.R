# The contract that every registered covariance structure keeps, in every variant of the model.
# The loops run over covariance_registry_(): a new structure is tested as soon as it is registered.

registry <- covariance_registry_()

# Runs check(problem) as one test per structure and variant. Structures with factors, whose M-steps iterate, take longer:
# outside of the extended tests they have the plainest and the richest variant only.
for_each_problem <- function(what, check, variants = contract_variants) {
  ends <- unique(variants[c(1L, length(variants))])
  for (i in seq_len(nrow(registry))) {
    few <- is_factor_code(registry$code[i]) && !extended_tests()
    for (variant in if (few) ends else variants) {
      problem <- contract_problem(registry$code[i], variant, registry$n_variables[i])
      test_that(sprintf("%s: %s, %s", what, problem$code, variant), {
        check(problem)
      })
    }
  }
}

# Runs check(code, one) as one test per structure.
for_each_structure <- function(what, check) {
  for (i in seq_len(nrow(registry))) {
    code <- registry$code[i]
    one <- registry$n_variables[i] == "one"
    test_that(sprintf("%s: %s", what, code), {
      check(code, one)
    })
  }
}

# Random scatter matrices of unequal volume, shape and orientation.
random_scatter <- function(d, K, seed) {
  with_seed(seed, vapply(seq_len(K), function(k) {
    a <- matrix(stats::rnorm(d * (d + 2)), d) * exp(stats::rnorm(d)) * exp(stats::rnorm(1) / 2)
    tcrossprod(a)
  }, matrix(0, d, d)))
}
random_scatter_array <- function(d, K, seed) array(random_scatter(d, K, seed), c(d, d, K))

# Likewise; near members for structures with factors, where matrices far from them put uniquenesses at zero.
random_members <- function(code, d, K, seed) {
  if (!is_factor_code(code)) return(random_scatter_array(d, K, seed))
  member <- oracle_factor_covariances(oracle_factors("UUU", d, K, seed = seed))
  member + 0.04 * array(random_scatter(d, K, seed), c(d, d, K)) / d
}

test_that("the registry names the 14 structures of Celeux & Govaert and the two of one variable", {
  expect_true(all(c("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV",
                    "VEV", "EVV", "VVV", "E", "V") %in% registry$code))
  expect_false(anyDuplicated(registry$code) > 0)
  expect_setequal(registry$code[registry$n_variables == "one"], c("E", "V"))
})

# --- the fit ----------------------------------------------------------------------------------------

for_each_problem("the objective never falls and the run converges", function(problem) {
  fit <- contract_reference(problem)
  expect_true(fit$converged)
  expect_identical(fit$status, "converged")
  objective <- fit$trace$objective
  # Rounding of a sum of n terms: far below any real fall.
  expect_gt(min(diff(objective)), -1e-11 * (1 + abs(fit$loglik)))
  expect_close(utils::tail(objective, 1), fit$loglik, tolerance = 1e-13)
  # The start is far enough below the optimum for the climb to mean something.
  expect_gt(fit$loglik - objective[1], 1)
})

for_each_problem("plain EM never falls either", function(problem) {
  fit <- quietly(contract_fit(problem, control = em_control(tol = 0, max_iter = 40, acceleration = "none")))
  expect_identical(fit$iterations, 40L)
  expect_gt(min(diff(fit$trace$objective)), -1e-11 * (1 + abs(fit$loglik)))
})

for_each_problem("plain EM walks the oracle's path", function(problem) {
  fit <- quietly(contract_fit(problem, control = em_control(tol = 0, max_iter = 5, acceleration = "none")))
  skip_if(is.na(oracle_n_covariance(problem$code, problem$d, problem$K)))
  start <- problem$start
  if (isTRUE(problem$arguments$noise)) start$noise <- fit$parameters$noise
  slow <- oracle_em(problem$x, problem$code, start, weights = problem$arguments$weights,
                    equal_proportions = isTRUE(problem$arguments$equal_proportions), tol = 0, max_iter = 6)
  # A common orientation is an angle on a flat top: the M-steps agree in it to the root of the rounding only.
  tolerance <- if (problem$code %in% c("EVE", "VVE")) 1e-8 else 1e-10
  expect_close(fit$loglik, slow$loglik, tolerance = tolerance)
})

# Shown by letting the noise of an incomplete row have all sides of its box, not those of its observed columns: the
# combined variant fails here and in the test before.
for_each_problem("loglik is the log-likelihood at the returned parameters", function(problem) {
  fit <- contract_reference(problem)
  expect_equal(fit$loglik, oracle_loglik(problem$x, fit$parameters, problem$arguments$weights),
               tolerance = 1e-11)
  # The posterior belongs to the same parameters.
  expect_equal(unname(fit$posterior), unname(oracle_posterior(problem$x, fit$parameters)),
               tolerance = 1e-9)
  expect_close(unname(rowSums(fit$posterior)), rep(1, nrow(problem$x)), tolerance = 1e-12)
})

for_each_problem("the gradient of the R log-likelihood is zero at the optimum", function(problem) {
  fit <- contract_reference(problem)
  equal <- isTRUE(problem$arguments$equal_proportions)
  score <- function(parameters, ...) {
    oracle_score(problem$x, problem$code, parameters, problem$arguments$weights,
                 equal_proportions = equal, ...)
  }
  # In units of one standard deviation of a component the gradient is of order 10 at the start; a remaining
  # gain of 1e-10 leaves sqrt(2 n 1e-10) = 2e-4 of it.
  expect_lt(max(abs(score(fit$parameters))), 2e-3)
  start <- fit$parameters
  start$proportions[] <- problem$start$proportions
  start$means[] <- problem$start$means
  start$covariances[] <- problem$start$covariances
  expect_gt(max(abs(score(start, means_only = TRUE))), 1)
})

for_each_problem("integer weights are replicated rows", function(problem) {
  weights <- rep_len(c(1, 3, 2, 1), nrow(problem$x))  # the problem's own weights make way
  problem$arguments$weights <- NULL
  rows <- rep(seq_len(nrow(problem$x)), weights)
  weighted <- contract_fit(problem, weights = weights)
  replicated <- contract_fit(problem, x = problem$x[rows, , drop = FALSE])
  expect_close(weighted$loglik, replicated$loglik, tolerance = 1e-8)
  expect_equal(weighted$nobs, replicated$nobs)
  expect_equal(weighted$df, replicated$df)
  # Parameters sit on a flat top: an error of 1e-13 in the log-likelihood moves them by its root.
  # (A nearly free uniqueness makes the top flatter.)
  flat <- if (is_factor_code(problem$code)) 1e-3 else 1e-5
  expect_close(weighted$parameters, replicated$parameters, tolerance = flat)
  expect_close(unname(weighted$posterior[rows, ]), unname(replicated$posterior), tolerance = flat)
  # After the same number of EM steps there is no such slack.
  same <- em_control(tol = 0, max_iter = 4, acceleration = "none")
  a <- quietly(contract_fit(problem, weights = weights, control = same))
  b <- quietly(contract_fit(problem, x = problem$x[rows, , drop = FALSE], control = same))
  expect_close(a$parameters, b$parameters, tolerance = 1e-8)
  expect_close(a$loglik, b$loglik, tolerance = 1e-10)
}, variants = setdiff(contract_variants, "weights"))

for_each_problem("the order of the rows does not matter", function(problem) {
  order <- with_seed(1, sample(nrow(problem$x)))
  control <- em_control(tol = 0, max_iter = 6, acceleration = "none")
  fit <- contract_six_steps(problem)
  arguments <- problem$arguments
  problem$arguments$weights <- problem$arguments$weights[order]
  shuffled <- quietly(contract_fit(problem, x = problem$x[order, , drop = FALSE], control = control))
  expect_close(shuffled$loglik, fit$loglik, tolerance = 1e-11)
  expect_close(shuffled$parameters, fit$parameters, tolerance = 1e-9)
  expect_close(shuffled$posterior, fit$posterior[order, ], tolerance = 1e-8)
})

for_each_problem("the order of the columns does not matter", function(problem) {
  skip_if(problem$d == 1)
  order <- c(problem$d, seq_len(problem$d - 1))
  control <- em_control(tol = 0, max_iter = 6, acceleration = "none")
  start <- problem$start
  start$means <- start$means[order, , drop = FALSE]
  start$covariances <- start$covariances[order, order, , drop = FALSE]
  fit <- contract_six_steps(problem)
  turned <- quietly(contract_fit(problem, x = problem$x[, order], start = start, control = control))
  expect_close(turned$loglik, fit$loglik, tolerance = 1e-10)
  expect_close(turned$parameters$means, fit$parameters$means[order, ], tolerance = 1e-7)
  expect_close(turned$parameters$covariances, fit$parameters$covariances[order, order, ], tolerance = 1e-7)
  expect_close(turned$posterior, fit$posterior, tolerance = 1e-7)
})

for_each_problem("the order of the labels in the start does not matter", function(problem) {
  K <- problem$K
  order <- c(K, seq_len(K - 1))
  start <- problem$start
  start$proportions[seq_len(K)] <- start$proportions[order]
  start$means <- start$means[, order, drop = FALSE]
  start$covariances <- start$covariances[, , order, drop = FALSE]
  fit <- contract_reference(problem)
  relabelled <- contract_fit(problem, start = start)
  expect_close(relabelled$loglik, fit$loglik, tolerance = 1e-11)
  expect_false(is.unsorted(rev(fit$parameters$proportions[seq_len(K)])))
  expect_close(relabelled$parameters, fit$parameters, tolerance = 1e-4)
  expect_close(relabelled$posterior, fit$posterior, tolerance = 1e-4)
})

# Shown by marking VVE as closed under units of single columns (so that it is fitted to standardised columns).
for_each_problem("a change of units shifts the log-likelihood by the log-Jacobian and nothing else", function(problem) {
  control <- em_control(tol = 0, max_iter = 6, acceleration = "none")
  fit <- contract_six_steps(problem)
  # Per observed cell: rows of weight w and d_i observed cells shift by w d_i log c.
  weights <- problem$arguments$weights
  if (is.null(weights)) weights <- rep(1, nrow(problem$x))
  cells <- sum(weights * rowSums(!is.na(problem$x)))
  for (unit in if (extended_tests()) 10^c(-8, -5, -2, 3, 6, 8) else c(1e-8, 1e8)) {
    start <- problem$start
    start$means <- unit * start$means
    start$covariances <- unit^2 * start$covariances
    scaled <- quietly(contract_fit(problem, x = unit * problem$x, start = start, control = control))
    expect_close(scaled$loglik + cells * log(unit), fit$loglik, tolerance = 1e-10)
    expect_close(scaled$posterior, fit$posterior, tolerance = 1e-8)
    expect_close(scaled$parameters$means, unit * fit$parameters$means, tolerance = 1e-9)
    expect_close(scaled$parameters$covariances, unit^2 * fit$parameters$covariances, tolerance = 1e-8)
    # All the way to the optimum as well: the same optimum, by the same log-likelihood.
    if (unit %in% c(1e-8, 1e8)) {
      best <- contract_fit(problem, x = unit * problem$x, start = start)
      expect_true(best$converged)
      expect_close(best$loglik + cells * log(unit), contract_reference(problem)$loglik, tolerance = 1e-10)
    }
  }
})

for_each_problem("a shift of the origin changes nothing but the means", function(problem) {
  control <- em_control(tol = 0, max_iter = 6, acceleration = "none")
  fit <- contract_six_steps(problem)
  start <- problem$start
  start$means <- start$means + 1e6
  moved <- quietly(contract_fit(problem, x = problem$x + 1e6, start = start, control = control))
  # A cell near 1e6 keeps 10 of its digits behind the point: 1e-9 is what the data themselves lose.
  expect_close(moved$loglik, fit$loglik, tolerance = 1e-8)
  expect_close(moved$posterior, fit$posterior, tolerance = 1e-6)
  expect_close(moved$parameters$means - 1e6, fit$parameters$means, tolerance = 1e-6)
})

# Structures closed under a change of the units of single columns, by the table of the registry and by theory.
closed_under_column_units <- registry$code[registry$column_scaling]

test_that("the registry knows which structures are closed under units of single columns", {
  known <- intersect(registry$code, names(oracle_all_counts(2, 2)))
  expect_setequal(intersect(closed_under_column_units, known),
                  c("E", "V", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVV", "VVV"))
})

for_each_problem("columns may have units of their own where the structure is closed under it", function(problem) {
  skip_if_not(problem$code %in% closed_under_column_units && problem$d > 1)
  units <- 10^seq(-6, 6, length.out = problem$d)
  start <- problem$start
  start$means <- units * start$means
  for (k in seq_len(problem$K)) start$covariances[, , k] <- diag(units) %*% start$covariances[, , k] %*% diag(units)
  control <- em_control(tol = 0, max_iter = 6, acceleration = "none")
  fit <- contract_six_steps(problem)
  scaled <- quietly(contract_fit(problem, x = sweep(problem$x, 2, units, "*"), start = start, control = control))
  weights <- problem$arguments$weights
  if (is.null(weights)) weights <- rep(1, nrow(problem$x))
  shift <- sum(weights * drop((!is.na(problem$x)) %*% log(units)))
  expect_close(scaled$loglik + shift, fit$loglik, tolerance = 1e-10)
  expect_close(scaled$posterior, fit$posterior, tolerance = 1e-7)
})

for_each_problem("1, 2 and 4 threads give identical bits", function(problem) {
  # Four chunks of at least 1024 rows (test-core-parallel.R has enough of them for the threads to meet).
  copies <- 24
  x <- problem$x[rep(seq_len(nrow(problem$x)), copies), , drop = FALSE]
  x <- x + with_seed(2, stats::rnorm(length(x), sd = 0.05))
  rownames(x) <- NULL
  if (!is.null(problem$arguments$weights)) problem$arguments$weights <- rep(problem$arguments$weights, copies)
  fits <- lapply(c(1, 2, 4), function(threads) {
    quietly(contract_fit(problem, x = x, control = em_control(tol = 0, max_iter = 4, threads = threads)))
  })
  fields <- c("loglik", "parameters", "posterior", "trace", "classification", "selection", "starts")
  for (other in fits[-1]) expect_identical(unclass(other)[fields], unclass(fits[[1]])[fields])
})

for_each_problem("a row without any value changes nothing but the work", function(problem) {
  x <- problem$x
  start <- problem$start
  fit <- contract_reference(problem)
  with_empty <- contract_fit(problem, x = rbind(x, empty = NA))
  expect_close(with_empty$loglik, fit$loglik, tolerance = 1e-10)
  expect_close(with_empty$parameters, fit$parameters, tolerance = 1e-4)
  expect_equal(with_empty$nobs, fit$nobs)
  expect_equal(unname(with_empty$posterior["empty", ]), unname(with_empty$parameters$proportions),
               tolerance = 1e-12)
}, variants = c("plain", "equal_proportions", "noise"))

for_each_structure("rows without missing values take the complete path's values", function(code, one) {
  problem <- contract_problem(code, "plain", if (one) "one" else "many")
  fit <- contract_reference(problem)
  holes <- problem$x
  holes[c(3, 50), ] <- NA
  if (!one) holes[c(7, 20, 99), 2] <- NA
  complete <- stats::complete.cases(holes)
  for (what in c("posterior", "log_density", "component_log_density")) {
    full <- as.matrix(gmm_evaluate_(problem$x, fit$parameters, NULL, NULL, what, 1))
    mixed <- as.matrix(gmm_evaluate_(holes, fit$parameters, NULL, NULL, what, 1))
    expect_close(mixed[complete, ], full[complete, ], tolerance = 1e-12)
  }
})

for_each_structure("df and the closed form of one component", function(code, one) {
  problem <- contract_problem(code, "plain", if (one) "one" else "many")
  d <- problem$d
  x <- problem$x
  weights <- 0.3 + abs(cos(seq_len(nrow(x))))
  fit <- em_gmm(x, n_components = 1, covariance = code, weights = weights)
  mean <- colSums(weights * x) / sum(weights)
  S <- crossprod(sweep(x, 2, mean) * sqrt(weights)) / sum(weights)
  third <- substr(paste0(code, "II"), 3, 3)
  second <- substr(paste0(code, "II"), 2, 2)
  expected <- if (is.na(oracle_n_covariance(code, d, 1))) {
    matrix(covariance_m_step_(code, array(S, c(d, d, 1)), 1), d)
  } else if (third != "I") {
    S
  } else if (second != "I") {
    diag(diag(S), d)
  } else {
    diag(mean(diag(S)), d)
  }
  expect_close(unname(fit$parameters$means[, 1]), unname(mean), tolerance = 1e-12)
  # An M-step that only raises the objective meets its fixed point at the stopping rule's tolerance.
  expect_close(matrix(fit$parameters$covariances[, , 1], d), unname(expected),
               tolerance = if (is_factor_code(code)) 1e-5 else 1e-10)
  expect_close(fit$loglik, sum(weights * oracle_log_dnorm(x, mean, expected)), tolerance = 1e-12)
  expect_equal(fit$nobs, sum(weights))
  if (!is.na(oracle_n_covariance(code, d, 1))) expect_equal(fit$df, oracle_df(code, d, 1))
})

# Shown by adding one to VEE's count: this test and the rank test at the end of the file fail.
for_each_problem("df counts the free parameters", function(problem) {
  fit <- contract_reference(problem)
  counted <- covariance_n_parameters_(problem$code, problem$d, problem$K)
  noise <- isTRUE(problem$arguments$noise)
  equal <- isTRUE(problem$arguments$equal_proportions)
  # Noise adds its proportion and the hypervolume of its box.
  expect_equal(fit$df, counted + problem$d * problem$K + (if (equal) 0 else problem$K - 1) + 2 * noise)
  if (!is.na(oracle_n_covariance(problem$code, problem$d, problem$K))) {
    expect_equal(fit$df, oracle_df(problem$code, problem$d, problem$K, equal, noise))
  }
})

for_each_structure("a simulated mixture is recovered from a start far away", function(code, one) {
  d <- if (one) 1 else 3
  K <- 2
  truth <- random_parameters(code, d, K, seed = 21, spread = 4.5)
  drawn <- simulate_mixture(4000, truth, seed = 22)
  x <- drawn$x
  # Both components near the overall mean with the overall variances: knows nothing of the truth but a side.
  side <- truth$means[, 1] - truth$means[, 2]
  start <- list(proportions = c(0.5, 0.5),
                means = colMeans(x) + cbind(0.1 * side, -0.1 * side),
                covariances = array(diag(mean(apply(x, 2, stats::var)), d), c(d, d, K)))
  optimum <- oracle_loglik(x, truth)
  expect_gt(optimum - oracle_loglik(x, start), 500)
  fit <- em_gmm(x, n_components = K, covariance = code, start = start)
  expect_true(fit$converged)
  expect_gt(fit$loglik, optimum)
  # Half the likelihood-ratio statistic against the truth is about chi-squared(df) / 2.
  expect_lt(fit$loglik - optimum, stats::qchisq(0.9999, fit$df) / 2)
  # About five standard errors of a mean of 1500 points of standard deviation 1.
  expect_lt(max(abs(fit$parameters$means - truth$means)), 0.15)
  expect_gt(mean(fit$classification == drawn$label), 0.9)
})

for_each_structure("covariances given in the start that break the structure are brought into it", function(code, one) {
  problem <- contract_problem(code, "plain", if (one) "one" else "many")
  start <- problem$start
  start$covariances <- random_scatter_array(problem$d, problem$K, 5)
  fit <- contract_fit(problem, start = start)
  n <- rep(1, problem$K)
  again <- covariance_m_step_(code, fit$parameters$covariances, n)
  expect_close(as.numeric(again), as.numeric(fit$parameters$covariances), tolerance = 1e-8)
})

# --- the M-step -------------------------------------------------------------------------------------

# Shapes to try: two to four variables, two to four components; one variable for the univariate ones.
m_step_shapes <- function(one, code = "") {
  if (is_factor_code(code)) return(list(c(3, 2), c(4, 2), c(4, 3)))
  if (one) list(c(1, 2), c(1, 4)) else list(c(2, 2), c(2, 4), c(3, 2), c(3, 3), c(4, 3))
}

for_each_structure("the M-step equals the closed form and is never beaten", function(code, one) {
  known <- !is.na(oracle_n_covariance(code, 2, 2))
  for (shape in m_step_shapes(one, code)) for (seed in seq_len(if (extended_tests()) 3 else 2)) {
    d <- shape[1]
    K <- shape[2]
    scatter <- random_members(code, d, K, 100 * seed + d)
    n <- with_seed(seed, stats::runif(K, 0.5, 5))
    out <- array(covariance_m_step_(code, scatter, n), c(d, d, K))
    q <- oracle_q(out, scatter, n)
    slack <- 1e-9 * (1 + abs(q))
    if (known) {
      closed <- oracle_m_step(code, scatter, n)
      expect_gt(q, oracle_q(closed, scatter, n) - slack)
      # EVE and VVE may tie between orientations; the others have one maximum.
      if (!code %in% c("EVE", "VVE")) expect_close(as.numeric(out), as.numeric(closed), tolerance = 1e-7)
    }
    # Feasible moves, small and large, around the answer.
    free <- structure_coordinates(code, out)
    moves <- with_seed(seed + 50, lapply(rep(c(1e-4, 1e-2, 0.1, 0.5), each = 10),
                                         function(size) size * stats::rnorm(free$n)))
    moved <- vapply(moves, function(theta) {
      value <- tryCatch(oracle_q(free$map(theta), scatter, n), error = function(e) -Inf)
      if (is.finite(value)) value else -Inf
    }, 0)
    expect_true(max(moved) <= q + slack, info = sprintf("d = %d, K = %d, seed = %d", d, K, seed))
    # And no slope is left along any free coordinate.
    if (known || is_factor_code(code)) {
      slope <- vapply(seq_len(free$n), function(j) {
        e <- replace(numeric(free$n), j, 1e-4)
        (oracle_q(free$map(e), scatter, n) - oracle_q(free$map(-e), scatter, n)) / 2e-4
      }, 0)
      expect_lt(max(abs(slope)), (if (known) 1e-5 else 1e-3) * sum(n))
    }
  }
})

for_each_structure("a general optimiser from many starts does not beat the M-step", function(code, one) {
  skip_if(is.na(oracle_n_covariance(code, 2, 2)))
  shapes <- if (extended_tests()) m_step_shapes(one) else if (one) list(c(1, 3)) else list(c(2, 3))
  for (shape in shapes) {
    d <- shape[1]
    K <- shape[2]
    scatter <- random_scatter_array(d, K, 7 * d + K)
    n <- seq(1, 3, length.out = K)
    q <- oracle_q(covariance_m_step_(code, scatter, n), scatter, n)
    free <- structure_coordinates(code, array(oracle_m_step(code, random_scatter_array(d, K, 1), n), c(d, d, K)))
    best <- max(vapply(1:(if (extended_tests()) 4 else 2), function(seed) {
      theta <- with_seed(seed, stats::rnorm(free$n))
      minimised <- stats::optim(theta, function(theta) {
        value <- tryCatch(-oracle_q(free$map(theta), scatter, n), error = function(e) 1e10)
        if (is.finite(value)) value else 1e10
      }, method = "BFGS", control = list(maxit = 500, reltol = 1e-12))
      -minimised$value
    }, 0))
    expect_lte(best, q + 1e-6 * (1 + abs(q)))
    # The optimiser is a real opponent: it comes close.
    expect_gt(best, q - 1e-2 * (1 + abs(q)))
  }
})

for_each_structure("the M-step keeps members of the structure and follows units", function(code, one) {
  d <- if (one) 1 else 3
  K <- 3
  n <- c(2, 1, 4)
  # (A seed without uniquenesses near zero, to which conditional maximisation converges without end.)
  scatter <- random_members(code, d, K, if (is_factor_code(code)) 5 else 3)
  # Steps that only go uphill end where rounding hides the slope.
  tolerance <- if (is_factor_code(code)) 1e-6 else 1e-8
  out <- covariance_m_step_(code, scatter, n)
  expect_identical(dim(out), as.integer(c(d, d, K)))
  expect_close(out, aperm(out, c(2, 1, 3)), tolerance = 1e-14)
  expect_close(covariance_m_step_(code, sweep(out, 3, n, "*"), n), out, tolerance = tolerance)
  for (unit in c(1e-8, 1e8)) {
    expect_close(covariance_m_step_(code, unit^2 * scatter, n), unit^2 * out, tolerance = tolerance)
  }
})

for_each_structure("the parameter count is the rank of the parameter map", function(code, one) {
  for (shape in m_step_shapes(one, code)[1:2]) for (more in 0:1) {
    d <- shape[1] + (if (one) 0 else more)
    K <- shape[2]
    counted <- covariance_n_parameters_(code, d, K)
    if (is_factor_code(code)) {
      # The image of loadings and uniquenesses is the structure by definition.
      for (q in 1:2) {
        map <- factor_coordinates(code, oracle_factors(code, d + 2, K, q))
        expect_equal(numeric_rank(map$map, map$n), covariance_n_parameters_(code, d + 2, K, q))
      }
      next
    }
    base <- array(covariance_m_step_(code, random_scatter_array(d, K, 17), rep(1, K)), c(d, d, K))
    # The image of the M-step is the structure, whatever its name.
    through_m_step <- m_step_coordinates(code, base)
    expect_equal(numeric_rank(through_m_step$map, through_m_step$n), counted)
    if (!is.na(oracle_n_covariance(code, d, K))) {
      expect_equal(counted, oracle_n_covariance(code, d, K))
      map <- structure_coordinates(code, base)
      expect_equal(max(abs(map$map(numeric(map$n)) - base)), 0, tolerance = 1e-10)
      expect_equal(numeric_rank(map$map, map$n), counted)
    }
  }
})
