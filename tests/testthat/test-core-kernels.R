# Every instruction set this processor has gives what the portable kernels give.

# The kernels are chosen for the whole session: put them back.
with_kernels <- function(name, code) {
  old <- kernel_isa_()
  on.exit(kernel_set_isa_(old))
  kernel_set_isa_(name)
  force(code)
}

random_problem <- function(n, d, K, seed, missing = FALSE, far = FALSE) {
  parameters <- random_parameters("VVV", d, K, seed = seed, m_step = oracle_m_step)
  x <- with_seed(seed, matrix(stats::rnorm(n * d, sd = 2), n, d))
  # Rows so far out that every density underflows: the log-sum-exp must hold.
  if (far) x[c(1, n), ] <- c(1e5, -1e7)
  if (missing && d > 1) x <- punch_holes(x, 0.2, all_missing_rows = 2, seed = seed)
  list(x = x, parameters = parameters, weights = with_seed(seed, stats::runif(n, 0, 3)))
}

evaluate_all <- function(problem) {
  what <- c("posterior", "log_density", "component_log_density", "imputed", "summary")
  out <- lapply(what, function(what) gmm_evaluate_(problem$x, problem$parameters, problem$weights, NULL, what, 1))
  names(out) <- what
  out$statistics <- gmm_statistics_(problem$x, problem$parameters, problem$weights, NULL, 1)
  out
}

# Each piece relative to its largest entry; infinities and missing values in the same places.
expect_same_pieces <- function(a, b, tolerance, label) {
  as_pieces <- function(v) if (is.list(v)) lapply(v, as.numeric) else list(as.numeric(v))
  for (piece in names(b)) {
    difference <- mapply(function(u, v) {
      finite <- is.finite(v)
      if (!identical(u[!finite], v[!finite])) return(Inf)
      if (any(finite)) max(abs(u[finite] - v[finite])) / max(abs(v[finite]), 1e-300) else 0
    }, as_pieces(a[[piece]]), as_pieces(b[[piece]]))
    expect_lt(max(difference), tolerance, label = paste(label, piece))
  }
}

test_that("the portable kernels are always available and the current one is among the available", {
  expect_true("portable" %in% kernel_isa_available_())
  expect_true(kernel_isa_() %in% kernel_isa_available_())
})

test_that("an unknown instruction set is refused", {
  old <- kernel_isa_()
  try(kernel_set_isa_("mmx9"), silent = TRUE)
  expect_identical(kernel_isa_(), old)
})

test_that("the portable kernels equal the plain-R oracle", {
  for (shape in list(c(1, 1, 1), c(7, 1, 3), c(33, 2, 2), c(70, 5, 3), c(301, 3, 4))) {
    problem <- random_problem(shape[1], shape[2], shape[3], seed = sum(shape), missing = shape[2] > 1)
    with_kernels("portable", {
      got <- gmm_evaluate_(problem$x, problem$parameters, NULL, NULL, "component_log_density", 1)
      expect_equal(unname(got), oracle_component_log_density(problem$x, problem$parameters), tolerance = 1e-10)
      got <- gmm_statistics_(problem$x, problem$parameters, problem$weights, NULL, 1)
    })
    # Rows without any value have no part in the statistics.
    problem$weights[rowSums(!is.na(problem$x)) == 0] <- 0
    expected <- oracle_e_step(problem$x, problem$parameters, problem$weights)
    expect_equal(got$loglik, expected$loglik, tolerance = 1e-11)
    wz <- expected$posterior * problem$weights
    expect_equal(as.numeric(got$n), colSums(wz), tolerance = 1e-10)
    for (k in seq_len(shape[3])) {
      centred <- sweep(expected$filled[[k]], 2, problem$parameters$means[, k])
      expect_equal(as.numeric(got$sums[, k]), colSums(wz[, k] * centred), tolerance = 1e-9)
      expect_equal(matrix(got$scatter[, , k], shape[2]), crossprod(centred * sqrt(wz[, k])) + expected$extra[, , k],
                   tolerance = 1e-9)
    }
  }
})

for (isa in kernel_isa_available_()) {
  test_that(paste("exp and log are right to the last digits, and at their ends:", isa), {
    x <- c(seq(-745, 709, length.out = 20011), with_seed(1, stats::rnorm(1000, sd = 1e-3)), 0, 1e-300, -1e-300)
    got <- with_kernels(isa, kernel_function_(x, FALSE))
    normal <- x > -708  # below, the result is subnormal: it may be flushed to zero
    expect_lt(max(abs(got[normal] / exp(x[normal]) - 1)), 1e-15)
    expect_lt(max(abs(got[!normal] - exp(x[!normal]))), 1e-307)
    expect_identical(with_kernels(isa, kernel_function_(c(-Inf, -1e5, -1e308), FALSE)), c(0, 0, 0))
    y <- c(exp(seq(-690, 690, length.out = 20011)), 1 + with_seed(2, stats::rnorm(1000, sd = 1e-6)), 1)
    got <- with_kernels(isa, kernel_function_(y, TRUE))
    # Near 1 the logarithm is near 0: an absolute error of one rounding of 1.
    expect_lt(max(abs(got - log(y)) / pmax(abs(log(y)), 1e-3)), 1e-15)
  })

  test_that(paste("evaluation agrees with the portable path:", isa), {
    # Sizes around the vector widths and the padding of blocks; dimensions around the tiles.
    for (d in c(1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 31)) for (n in c(1, 5, 31, 32, 33, 200, 1025)) {
      K <- 1 + (d + n) %% 6
      problem <- random_problem(n, d, K, seed = d)
      portable <- with_kernels("portable", evaluate_all(problem))
      expect_same_pieces(with_kernels(isa, evaluate_all(problem)), portable, 1e-10, paste(isa, d, n))
    }
  })

  test_that(paste("missing values agree with the portable path:", isa), {
    for (d in c(2, 3, 6, 9)) {
      problem <- random_problem(257, d, 3, seed = d, missing = TRUE)
      portable <- with_kernels("portable", evaluate_all(problem))
      expect_same_pieces(with_kernels(isa, evaluate_all(problem)), portable, 1e-10, paste(isa, d))
    }
  })

  test_that(paste("rows where every density underflows keep a posterior:", isa), {
    problem <- random_problem(100, 4, 3, seed = 2, far = TRUE)
    got <- with_kernels(isa, gmm_evaluate_(problem$x, problem$parameters, NULL, NULL, "posterior", 1))
    expect_false(anyNA(got))
    expect_equal(as.numeric(rowSums(got)), rep(1, 100), tolerance = 1e-14)
    expect_equal(unname(got), unname(oracle_posterior(problem$x, problem$parameters)), tolerance = 1e-6)
  })

  # (The portable path with itself says nothing.)
  if (isa != "portable") test_that(paste("fits agree with the portable path:", isa), {
    for (code in covariance_registry_()$code) {
      n_variables <- covariance_registry_()$n_variables[covariance_registry_()$code == code]
      for (variant in c("plain", "missing")) {
        problem <- contract_problem(code, variant, n_variables)
        control <- em_control(tol = 0, max_iter = 8, acceleration = "none")
        portable <- with_kernels("portable", quietly(contract_fit(problem, control = control)))
        fit <- with_kernels(isa, quietly(contract_fit(problem, control = control)))
        expect_equal(fit$loglik, portable$loglik, tolerance = 1e-10)
        # Newton steps within an M-step end where rounding hides the rest.
        expect_equal(fit$parameters, portable$parameters, tolerance = if (is_factor_code(code)) 1e-7 else 1e-9)
      }
    }
  })

  test_that(paste("threads do not change a bit:", isa), {
    problem <- random_problem(30000, 3, 4, seed = 9)
    with_kernels(isa, {
      one <- gmm_statistics_(problem$x, problem$parameters, problem$weights, NULL, 1)
      expect_identical(gmm_statistics_(problem$x, problem$parameters, problem$weights, NULL, 2), one)
      expect_identical(gmm_statistics_(problem$x, problem$parameters, problem$weights, NULL, 4), one)
    })
  })
}
