# The contract of every registered accelerator; a new one is tested as soon as it is registered.

names_of_accelerators <- acceleration_registry_()

# Problems of different kinds: fast, slow, with missing values, with weights, with noise.
problems <- list(
  fast = contract_problem("VVV", "plain", "many"),
  shared = contract_problem("EEE", "weights", "many"),
  alternating = contract_problem("VEV", "plain", "many"),
  rotating = contract_problem("VVE", "plain", "many"),
  missing = contract_problem("VVV", "missing", "many"),
  noise = contract_problem("VVI", "noise", "many"),
  one_variable = contract_problem("V", "plain", "one")
)

test_that("the registry has the accelerators of the package", {
  expect_true(all(c("none", "squarem", "anderson", "subspace") %in% names_of_accelerators))
})

for (name in c(names_of_accelerators, "auto")) {
  test_that(paste("the same optimum is reached with", name), {
    for (problem in problems) {
      plain <- contract_fit(problem, control = tight_control(acceleration = "none"))
      fit <- contract_fit(problem, control = tight_control(acceleration = name))
      expect_true(fit$converged)
      expect_equal(fit$loglik, plain$loglik, tolerance = 1e-10)
      expect_equal(fit$parameters, plain$parameters, tolerance = 1e-4)
    }
  })

  # Shown by making run_em() accept a fall (fell = false): squarem then falls by tens and anderson by hundredths.
  test_that(paste("the objective never falls with", name), {
    for (problem in problems) {
      fit <- quietly(contract_fit(problem, control = em_control(tol = 0, max_iter = 60, acceleration = name)))
      expect_gt(min(diff(fit$trace$objective)), -1e-11 * (1 + abs(fit$loglik)))
    }
    # From a start on which extrapolation overshoots: two identical components but for a hair.
    overshoot <- problems$fast
    overshoot$start$means[] <- rowMeans(overshoot$start$means) + with_seed(4, stats::rnorm(9, sd = 1e-3))
    overshoot$start$covariances[] <- stats::cov(overshoot$x)
    fit <- quietly(contract_fit(overshoot, control = em_control(tol = 0, max_iter = 200, acceleration = name)))
    expect_gt(min(diff(fit$trace$objective)), -1e-11 * (1 + abs(fit$loglik)))
  })

  test_that(paste("the loglik belongs to the returned parameters with", name), {
    for (n in c(1, 2, 3, 5, 8)) {
      fit <- quietly(contract_fit(problems$fast, control = em_control(tol = 0, max_iter = n, acceleration = name)))
      expect_equal(fit$loglik, oracle_loglik(problems$fast$x, fit$parameters), tolerance = 1e-11)
    }
  })

  test_that(paste("units do not change the path with", name), {
    problem <- problems$fast
    start <- problem$start
    start$means <- 1e6 * start$means
    start$covariances <- 1e12 * start$covariances
    control <- em_control(tol = 0, max_iter = 10, acceleration = name)
    fit <- quietly(contract_fit(problem, control = control))
    scaled <- quietly(contract_fit(problem, x = 1e6 * problem$x, start = start, control = control))
    expect_equal(scaled$loglik + length(problem$x) * log(1e6), fit$loglik, tolerance = 1e-9)
  })

  test_that(paste("threads do not change a bit with", name), {
    fits <- lapply(c(1, 2, 4), function(threads) {
      x <- problems$fast$x[rep(seq_len(nrow(problems$fast$x)), 50), ]
      rownames(x) <- NULL
      control <- em_control(tol = 0, max_iter = 12, acceleration = name, threads = threads)
      quietly(contract_fit(problems$fast, x = x, control = control))[c("loglik", "parameters", "trace")]
    })
    expect_identical(fits[[2]], fits[[1]])
    expect_identical(fits[[3]], fits[[1]])
  })
}

test_that("acceleration takes far fewer iterations on a slow problem", {
  acidity <- data_acidity()
  quarters <- cut(acidity, stats::quantile(acidity, 0:4 / 4), include.lowest = TRUE, labels = FALSE)
  iterations <- vapply(c("none", "squarem", "anderson"), function(name) {
    em_gmm(acidity, n_components = 4, covariance = "E", start = quarters,
           control = em_control(tol = 1e-12, max_iter = 1e5, acceleration = name))$iterations
  }, 0)
  expect_lt(iterations[["squarem"]], iterations[["none"]] / 2)
  expect_lt(iterations[["anderson"]], iterations[["none"]] / 2)
})

test_that("the trace says which steps were accelerated", {
  fit <- contract_fit(problems$fast, control = tight_control(acceleration = "squarem"))
  expect_identical(fit$trace$step[1], "start")
  expect_true(any(fit$trace$step == "squarem"))
  plain <- contract_fit(problems$fast, control = tight_control(acceleration = "none"))
  expect_setequal(plain$trace$step, c("start", "em"))
})
