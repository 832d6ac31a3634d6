# Mixtures of factor analysers: em_gmm(covariance = "UUU" and its relatives, n_factors = ). What all structures share is
# tested by test-contract-covariance.R.

twelve <- c("CCC", "CCU", "CUC", "CUU", "UCC", "UCU", "UUC", "UUU", "CCUU", "UCUU", "CUCU", "UUCU")

# Two components of six variables with two factors.
two_factor_data <- function(n = 300, seed = 4) {
  factors <- oracle_factors("UUU", 6, 2, 2, seed = 3)
  truth <- list(proportions = c(0.6, 0.4), means = cbind(rep(0, 6), c(3, -2, 2, 0, 2, -1)),
                covariances = oracle_factor_covariances(factors))
  drawn <- simulate_mixture(n, truth, seed = seed)
  c(drawn, list(truth = truth, factors = factors))
}

test_that("the registry has the twelve structures, with the parameters of McNicholas and Murphy", {
  registry <- covariance_registry_()
  expect_setequal(registry$code[registry$factors], twelve)
  # their Table 1 at d = 10, K = 3, q = 2: 19 loadings
  counts <- c(CCC = 20, CCU = 29, CUC = 22, CUU = 49, UCC = 58, UCU = 67, UUC = 60, UUU = 87, CCUU = 31, UCUU = 69,
              CUCU = 47, UUCU = 85)
  for (code in names(counts)) expect_identical(covariance_n_parameters_(code, 10, 3, 2), counts[[code]], label = code)
})

test_that("one component is the factor analysis of factanal()", {
  fit <- em_gmm(mtcars, n_components = 1, covariance = "UUU", n_factors = 2)
  expect_close(fit$loglik, -615.97044854, tolerance = 1e-10)
  fa <- stats::factanal(mtcars, 2, rotation = "none", control = list(lower = 1e-4, opt = list(factr = 10)))
  sd <- sqrt(colMeans(sweep(as.matrix(mtcars), 2, colMeans(mtcars))^2))
  expect_close(unname(fit$parameters$uniquenesses[, 1] / sd^2), unname(fa$uniquenesses), tolerance = 1e-4)
  # factanal()'s unrotated loadings are in the same canonical form
  expect_close(abs(unname(fit$parameters$loadings[, , 1] / sd)), abs(unname(fa$loadings[])), tolerance = 1e-3)
  expect_equal(fit$df, 11 + 11 * 2 - 1 + 11)
  expect_close(em_gmm(mtcars, n_components = 1, covariance = "CCU", n_factors = 2)$loglik, fit$loglik, tolerance = 1e-10)
})

test_that("one component with one uniqueness is probabilistic principal components", {
  x <- as.matrix(mtcars)
  n <- nrow(x)
  values <- eigen(crossprod(sweep(x, 2, colMeans(x))) / n, symmetric = TRUE)$values
  sigma2 <- mean(values[4:11])
  optimum <- -n / 2 * (11 * log(2 * pi) + sum(log(values[1:3])) + 8 * log(sigma2) + 11)
  for (code in c("CCC", "UCC", "UUC")) {
    fit <- em_gmm(x, n_components = 1, covariance = code, n_factors = 3)
    expect_close(fit$loglik, optimum, tolerance = 1e-9)
    expect_close(unname(fit$parameters$uniquenesses[, 1]), rep(sigma2, 11), tolerance = 1e-6)
  }
})

test_that("the fit is a fixed point of EM in plain R, from where plain EM climbs to it", {
  data <- two_factor_data()
  start <- list(proportions = c(0.5, 0.5), means = data$truth$means + 0.4,
                loadings = data$factors$loadings * 0.8, uniquenesses = data$factors$uniquenesses * 1.3)
  slow <- oracle_mfa(data$x, start, 1500)
  start$covariances <- oracle_factor_covariances(start)
  fit <- em_gmm(data$x, n_components = 2, covariance = "UUU", n_factors = 2, start = start, control = tight_control())
  expect_close(fit$loglik, utils::tail(slow$trace, 1), tolerance = 1e-7)
  expect_gte(fit$loglik, utils::tail(slow$trace, 1) - 1e-8)
  again <- oracle_mfa(data$x, fit$parameters, 2)
  expect_close(again$trace, rep(fit$loglik, 2), tolerance = 1e-11)
  expect_close(again$parameters$means, unname(fit$parameters$means), tolerance = 1e-4)
  # far fewer steps than plain EM's
  expect_lt(fit$evaluations, 60)
})

test_that("loadings and uniquenesses make the covariances and are in canonical form", {
  x <- two_factor_data()$x
  for (code in c("UUU", "CUU", "UCUU", "CCC")) {
    fit <- suppressWarnings(em_gmm(x, n_components = 2, covariance = code, n_factors = 2))
    p <- fit$parameters
    expect_identical(dim(p$loadings), c(6L, 2L, 2L))
    expect_identical(dim(p$uniquenesses), c(6L, 2L))
    expect_close(unname(oracle_factor_covariances(p)), unname(p$covariances), tolerance = 1e-12)
    expect_true(all(apply(p$loadings, 3, colSums) >= 0))
    if (startsWith(code, "U")) for (k in 1:2) {
      cross <- crossprod(p$loadings[, , k] / sqrt(p$uniquenesses[, k]))
      expect_lt(abs(cross[1, 2]), 1e-8 * cross[1, 1])
      expect_gt(cross[1, 1], cross[2, 2])
    } else expect_close(p$loadings[, , 1], p$loadings[, , 2], tolerance = 1e-12)
    psi <- log(p$uniquenesses)
    if (code == "UCUU") expect_lt(diff(range(psi[, 1] - psi[, 2])), 1e-8)
    if (code == "CCC") expect_lt(diff(range(psi)), 1e-10)
  }
})

test_that("richer structures and more factors never end lower", {
  x <- two_factor_data()$x
  fit <- suppressWarnings(em_gmm(x, n_components = 2, covariance = "PGMM", n_factors = 1:2))
  table <- fit$selection
  expect_setequal(table$covariance, twelve)
  value <- function(code, q) table$loglik[table$covariance == code & table$n_factors == q]
  inside <- list(CCU = "CCC", CUC = "CCC", CUU = c("CCUU", "CUCU"), UCU = c("UCC", "CCU"), UUC = c("UCC", "CUC"),
                 UCUU = c("UCU", "UUC", "CCUU"), UUCU = c("UCU", "CUCU"), UUU = c("UUC", "UCUU", "UUCU", "CUU"))
  for (q in 1:2) for (outer in names(inside)) for (inner in inside[[outer]]) {
    expect_gt(value(outer, q), value(inner, q) - 1e-5, label = paste(outer, inner, q))
  }
  for (code in twelve) expect_gt(value(code, 2), value(code, 1) - 1e-5, label = code)
  expect_close(table$BIC, -2 * table$loglik + table$df * log(nrow(x)), tolerance = 1e-12)
  expect_identical(fit$n_factors, table$n_factors[which.min(table$BIC)])
})

test_that("a simulated mixture is recovered", {
  data <- two_factor_data(3000)
  fit <- em_gmm(data$x, n_components = 1:3, covariance = c("UUU", "CCC"), n_factors = 1:3)
  expect_identical(list(fit$covariance, fit$n_components, fit$n_factors), list("UUU", 2L, 2L))
  expect_close(unname(fit$parameters$covariances), data$truth$covariances, tolerance = 0.12)
  expect_gt(mean(fit$classification == data$label), 0.95)
})

test_that("more variables than rows in a component", {
  factors <- oracle_factors("UCU", 40, 2, 2)
  truth <- list(proportions = c(0.5, 0.5), means = cbind(rep(-0.5, 40), rep(0.5, 40)),
                covariances = oracle_factor_covariances(factors))
  drawn <- simulate_mixture(36, truth, seed = 2)
  fit <- em_gmm(drawn$x, n_components = 2, covariance = "UCU", n_factors = 2)
  expect_true(fit$converged)
  expect_gt(fit$loglik, oracle_loglik(drawn$x, truth))
  expect_gt(min(diff(fit$trace$objective)), -1e-11 * abs(fit$loglik))
  expect_close(fit$loglik, oracle_loglik(drawn$x, fit$parameters), tolerance = 1e-10)
  # and of many variables, where leading eigenvectors are found without decomposing the matrices
  wide <- oracle_factors("UUU", 70, 1, 2)
  wide <- list(proportions = 1, means = matrix(0, 70), covariances = oracle_factor_covariances(wide))
  x <- simulate_mixture(200, wide, seed = 3)$x
  fit <- em_gmm(x, n_components = 1, covariance = "UUU", n_factors = 2)
  again <- array(covariance_m_step_("UUU", fit$parameters$covariances, 1, 2), c(70, 70, 1))
  expect_close(again, unname(fit$parameters$covariances), tolerance = 1e-6)
  gradient <- with(fit$parameters, {
    S <- crossprod(sweep(x, 2, means[, 1])) / 200
    P <- solve(covariances[, , 1])
    P %*% (covariances[, , 1] - S) %*% P
  })
  # no slope in the uniquenesses nor in the loadings
  expect_lt(max(abs(diag(gradient) * fit$parameters$uniquenesses[, 1])), 1e-4)
  expect_lt(max(abs(gradient %*% fit$parameters$loadings[, , 1])), 1e-3)
})

test_that("a uniqueness at zero is reported and keeps the likelihood of the bound", {
  expect_warning(fit <- em_gmm(swiss, n_components = 1, covariance = "UUU", n_factors = 2), class = "em_warning_heywood")
  # the best of the local maxima; beside it there is one with Fertility at zero, 1.2 below
  expect_gt(fit$loglik, -1025.2)
  expect_close(fit$loglik, oracle_loglik(as.matrix(swiss), fit$parameters), tolerance = 1e-9)
  expect_identical(fit$heywood, data.frame(component = 1L, variable = "Education"))
  expect_match(fit$selection$message, "component 1 the uniqueness of Education is zero")
})

# Data of two components of eight variables with strong factors, where several structures have Heywood cases; some cells
# and a row missing.
heywood_data <- function(missing = FALSE) {
  with_seed(3, {
    L1 <- matrix(stats::rnorm(16), 8)
    L2 <- matrix(stats::rnorm(16), 8)
    x <- rbind(matrix(stats::rnorm(300), 150) %*% t(L1) + matrix(stats::rnorm(1200, 0, 0.5), 150),
               4 + matrix(stats::rnorm(300), 150) %*% t(L2) + matrix(stats::rnorm(1200, 0, 0.8), 150))
    if (missing) {
      x[sample(2400, 240)] <- NA
      x[7, ] <- NA
    }
    x
  })
}

# How far log uniquenesses are from the equality of their structure.
structure_gap <- function(code, uniquenesses) {
  psi <- log(unname(uniquenesses))
  switch(substring(code, 2), CUU = max(apply(sweep(psi, 1, psi[, 1]), 2, function(v) diff(range(v)))),
         UCU = diff(range(colSums(psi))), CU = , CC = diff(range(psi - psi[, 1])),
         UC = max(apply(psi, 2, function(v) diff(range(v)))), UU = 0)
}

test_that("a uniqueness at its floor leaves the structure whole, and the fit is the best point seen", {
  for (case in list(list("UUCU", 3, TRUE), list("CUCU", 1, FALSE), list("UCUU", 3, TRUE), list("CCUU", 3, FALSE))) {
    code <- case[[1]]
    x <- heywood_data(case[[3]])
    fit <- with_seed(1, suppressWarnings(em_gmm(x, 2, code, n_factors = case[[2]],
                                                control = em_control(n_starts = 6, n_polish = 2))))
    expect_identical(fit$status, "converged", label = code)
    expect_lt(structure_gap(code, fit$parameters$uniquenesses), 1e-10, label = code)
    expect_close(unname(oracle_factor_covariances(fit$parameters)), unname(fit$parameters$covariances),
                 tolerance = 1e-12)
    expect_close(fit$loglik, oracle_loglik(x, fit$parameters), tolerance = 1e-9)
    expect_close(fit$loglik, max(fit$trace$loglik), tolerance = 1e-12)
    expect_gt(min(diff(fit$trace$objective)), -1e-10 * abs(fit$loglik))
  }
})

test_that("the floor and the equality hold together in the M-step, which is the best under both", {
  # scatter of which one variable is another one's factor, so that its uniqueness goes to the floor
  factors <- oracle_factors("UUU", 6, 2, 1, seed = 5)
  factors$uniquenesses[2, 1] <- 1e-12
  S <- oracle_factor_covariances(factors)
  discrepancy <- function(Sigma) sum(vapply(1:2, function(k) {
    c(0.6, 0.4)[k] * (as.numeric(determinant(Sigma[, , k])$modulus) + sum(solve(Sigma[, , k]) * S[, , k]))
  }, 0))
  n <- c(60, 40)
  scatter <- sweep(S, 3, n, "*")
  for (code in c("UCUU", "UUCU", "CCUU", "CUCU")) {
    Sigma <- array(covariance_m_step_(code, scatter, n, 1), c(6, 6, 2))
    at <- one_factor_of(Sigma)
    if (startsWith(code, "U")) expect_lt(structure_gap(code, pmax(at$uniquenesses, 1e-12)), 1e-3, label = code)
    # no move within the structure that keeps the floor is better
    coordinates <- factor_coordinates(code, at)
    best <- discrepancy(Sigma)
    floor <- 1e-7 * Reduce(`+`, lapply(1:2, function(k) n[k] / 100 * diag(S[, , k])))
    for (i in seq_len(40)) {
      step <- with_seed(i, stats::rnorm(coordinates$n)) * 10^-(1 + i %% 4)
      moved <- coordinates$map(step)
      psi <- one_factor_of(moved)$uniquenesses
      if (all(psi >= floor * (1 - 1e-6))) expect_gte(discrepancy(moved), best - 1e-7, label = code)
    }
  }
})

test_that("what cannot be is not advised", {
  expect_match(heywood_message(data.frame(component = 1:2, variable = "a"), "UCU"), "^the uniqueness of a is zero")
  expect_match(heywood_message(data.frame(component = 1:2, variable = "a"), "UUU"), "component 1 .*; in component 2")
  expect_no_match(heywood_remedies("CCU", 2), "equal over")
  expect_match(heywood_remedies("CCU", 2), "one uniqueness for all variables \\(CCC\\)")
  expect_match(heywood_remedies("UUU", 2), "equal over components \\(UCU\\), one .*\\(UUC\\) or `prior = TRUE`")
  expect_no_match(heywood_remedies("UUU", 1), "over components")
  expect_match(not_converged_advice("max_iter"), "max_iter")
  expect_no_match(not_converged_advice("non_monotone"), "max_iter")
})

test_that("a uniqueness at zero is held, and everything else has its standard error", {
  x <- heywood_data()
  fit <- with_seed(1, suppressWarnings(em_gmm(x, 2, "UCU", n_factors = 3)))
  expect_false(is.null(fit$heywood))
  V <- vcov(fit)
  expect_false(anyNA(V))
  expect_true(all(diag(V) > 0))
  expect_match(attr(V, "at_bound")[1], "^uniqueness\\[")
  # the means' are those of the information in the means given the rest, or larger
  means <- grep("^mean", rownames(V))
  z <- fit$posterior
  given <- unlist(lapply(1:2, function(k) diag(fit$parameters$covariances[, , k]) / sum(z[, k])))
  expect_true(all(diag(V)[means] > 0.9 * given & diag(V)[means] < 2 * given))
  expect_match(gsub(" +", " ", paste(capture.output(summary(fit)), collapse = " ")), "At the bound of 0, and held there")
})

test_that("summary() shows loadings and uniquenesses", {
  x <- two_factor_data()$x
  fit <- em_gmm(x, 2, "UUU", n_factors = 2)
  text <- capture.output(summary(fit))
  expect_length(grep("^ +factor1 +factor2 +uniqueness", text), 2)
  common <- capture.output(summary(suppressWarnings(em_gmm(x, 2, "CUU", n_factors = 1))))
  expect_length(grep("^ +factor1 +uniq.1 +uniq.2", common), 1)
  expect_length(grep("factor1", capture.output(summary(em_gmm(x, 2, "EEE")))), 0)
  table <- factor_tables(fit$parameters, "UUU", 3)[[1]]
  large <- nzchar(table[, "factor1"])
  expect_close(as.numeric(table[large, "factor1"]), unname(fit$parameters$loadings[large, 1, 1]), tolerance = 0.01)
})

test_that("collinear columns have no maximum, and the error names a component", {
  x <- as.matrix(iris[, 1:4])
  expect_error(em_gmm(cbind(x, x[, 1]), n_components = 2, covariance = "UUU"), "collinear", class = "em_error_cannot_fit")
})

test_that("numbers of factors are checked", {
  x <- as.matrix(iris[, 1:4])
  expect_error(em_gmm(x, 2, "UUU", n_factors = 2), "largest number of factors that 4 variables determine is 1",
               class = "em_error_n_factors")
  expect_message(fit <- suppressWarnings(em_gmm(x, 1, "UUU", n_factors = 1:3)), "Left out: 2, 3 factors are too many for 4 variables",
                 class = "em_message_n_factors")
  expect_identical(fit$n_factors, 1L)
  expect_error(em_gmm(x, 2, "VVV", n_factors = 1), "asks for none of them", class = "em_error_n_factors")
  expect_error(em_gmm(x, 2, "UUU", n_factors = 0.5), "whole numbers", class = "em_error_n_factors")
  expect_error(em_gmm(x[, 1:2], 2, "UUU"), "at least 3 variables", class = "em_error_covariance")
  expect_error(em_gmm(x, 2, "UUU", fixed = list(covariances = array(diag(4), c(4, 4, 2)))), class = "em_error_fixed")
  expect_warning(fit <- em_gmm(x, 2, "factor", prior = TRUE), class = "em_warning_heywood")
  expect_identical(fit$covariance, "UUU")
})

test_that("standard errors are those of a numeric Hessian", {
  x <- two_factor_data(400)$x
  fit <- em_gmm(x, n_components = 2, covariance = "UCU", n_factors = 2)
  V <- vcov(fit)
  # the information of the means and the proportion given the rest would be too large: differences of the whole
  # log-likelihood in loadings (all of them), log uniquenesses, means and the log-odds, with a generalised inverse
  at <- fit$parameters
  objective <- function(theta) {
    p <- at
    odds <- log(at$proportions[1] / at$proportions[2]) + theta[1]
    p$proportions <- c(stats::plogis(odds), stats::plogis(-odds))
    p$means <- at$means + theta[2:13]
    p$loadings <- at$loadings + array(theta[14:37], c(6, 2, 2))
    p$uniquenesses <- at$uniquenesses * exp(theta[38:43])
    p$covariances <- oracle_factor_covariances(p)
    oracle_loglik(x, p)
  }
  H <- stats::optimHess(numeric(43), objective)
  E <- eigen(-(H + t(H)) / 2, symmetric = TRUE)
  # two rotations of the factors change nothing
  expect_lt(max(abs(E$values[42:43])), 1e-3 * E$values[41])
  inverse <- E$vectors[, 1:41] %*% (t(E$vectors[, 1:41]) / E$values[1:41])
  means <- grep("^mean", rownames(V))
  expect_close(unname(sqrt(diag(V))[means]), sqrt(diag(inverse)[2:13]), tolerance = 1e-3)
  p <- prod(at$proportions)
  expect_close(sqrt(V[1, 1]), p * sqrt(inverse[1, 1]), tolerance = 1e-3)
})

test_that("bootstrap, simulation, prediction, starts and plots work with factors", {
  x <- two_factor_data()$x
  fit <- em_gmm(x, n_components = 2, covariance = "UUU", n_factors = 2)
  boot <- em_bootstrap(fit, n_boot = 5)
  expect_gte(boot$n_ok, 4)
  expect_identical(em_gmm(x, n_components = 2, covariance = "UUU", n_factors = 2, start = fit)$iterations <= 4, TRUE)
  simulated <- simulate(fit, nsim = 1, seed = 1)
  expect_identical(dim(simulated), dim(x))
  holes <- punch_holes(x, 0.1)
  expect_false(anyNA(predict(fit, holes, type = "imputed")))
  expect_output(print(fit), "factor analysers, 2 factors, varying loadings and uniquenesses")
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  expect_no_error(plot(em_gmm(x, n_components = 1:2, covariance = c("UCU", "EEE"), n_factors = 1:2), "selection"))
})

test_that("responses of other models refuse structures with factors", {
  expect_error(
    em_mixture(cbind(Sepal.Length, Sepal.Width, Petal.Length) ~ 1, data = iris, n_components = 2,
               family = "mvgaussian", covariance = "UUU"),
    "em_gmm\\(\\) has", class = "em_error_covariance"
  )
})
