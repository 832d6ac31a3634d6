# em_mvnorm(): the contract of a fit, the forms of data and start, priors, and what it refuses.

airq4 <- as.matrix(datasets::airquality[, 1:4])
fit_airq4 <- em_mvnorm(airq4)
holes <- data_normal(60, 4, 0.3, seed = 4)
fit_holes <- em_mvnorm(holes)

# --- the fit object ---------------------------------------------------------------------------------

test_that("the fit has the promised fields and shapes", {
  expect_s3_class(fit_airq4, c("em_mvnorm", "em_fit"), exact = TRUE)
  expect_named(fit_airq4$parameters, c("mean", "covariance"))
  expect_named(fit_airq4$parameters$mean, colnames(airq4))
  expect_identical(dimnames(fit_airq4$parameters$covariance), list(colnames(airq4), colnames(airq4)))
  expect_true(isSymmetric(fit_airq4$parameters$covariance, tol = 1e-15))
  expect_equal(fit_airq4$df, 14)
  expect_equal(fit_airq4$nobs, 153)
  expect_identical(as.integer(fit_airq4$n_rows), 153L)
  expect_identical(fit_airq4$method, "em")
  expect_true(fit_airq4$converged)
  expect_true(fit_airq4$identification$identified)
  expect_identical(nrow(fit_airq4$identification$never_together), 0L)
  expect_null(fit_airq4$modes)
  expect_named(fit_airq4$trace, c("iteration", "loglik", "log_prior", "objective", "step"))
  expect_named(fit_airq4$starts, c("start", "method", "loglik", "status", "iterations", "escaped", "best"))
})

test_that("the table of patterns counts rows as R does", {
  p <- fit_airq4$patterns
  key <- apply(!is.na(airq4), 1, paste, collapse = " ")
  counted <- table(key)
  expect_identical(nrow(p), length(counted))
  expect_equal(p$rows, as.numeric(counted[apply(as.matrix(p[colnames(airq4)]), 1, paste, collapse = " ")]))
  expect_equal(p$weight, p$rows)
  expect_equal(p$n_missing, unname(4 - rowSums(as.matrix(p[colnames(airq4)]))))
  expect_false(is.unsorted(rev(p$weight)))
})

# --- the contract -----------------------------------------------------------------------------------

test_that("the log-likelihood is that of the definition, all constants included", {
  for (case in list(list(airq4, fit_airq4), list(holes, fit_holes))) {
    p <- case[[2]]$parameters
    # Sums of a few hundred terms.
    expect_equal(case[[2]]$loglik, mvn_loglik(case[[1]], p$mean, p$covariance), tolerance = 1e-12)
  }
})

test_that("the derivative of the log-likelihood vanishes at the estimate", {
  for (case in list(list(airq4, fit_airq4), list(holes, fit_holes))) {
    p <- case[[2]]$parameters
    units <- mvn_units(p$covariance)
    definition <- function(theta) {
      q <- mvn_unpack(theta)
      mvn_loglik(case[[1]], q$mean, q$covariance)
    }
    gradient <- numerical_jacobian(definition, mvn_pack(p$mean, p$covariance), units) * units
    # Differences of numbers of size 2000 with a step of 1e-3: 2000 * 1e-16 / 1e-3, and the fourth order of the step.
    expect_lt(max(abs(gradient)), 1e-7)
  }
})

test_that("the oracle's scores are the derivatives of the definition", {
  at <- mvn_pack(fit_holes$parameters$mean * 1.02, fit_holes$parameters$covariance * 1.1)
  q <- mvn_unpack(at)
  definition <- function(theta) {
    q <- mvn_unpack(theta)
    mvn_loglik(holes, q$mean, q$covariance)
  }
  units <- mvn_units(q$covariance)
  numeric <- numerical_jacobian(definition, at, units)
  scores <- colSums(mvn_row_scores(holes, q$mean, q$covariance))
  # As above.
  expect_equal(scores * units, drop(numeric) * units, tolerance = 1e-7)
})

test_that("the estimate is a fixed point of EM, and where EM in plain R ends", {
  expect_same_parameters(fit_airq4$parameters, mvn_em(airq4), 1e-9)
  expect_same_parameters(fit_holes$parameters, mvn_em(holes), 1e-9)
})

test_that("one EM step is Rubin's", {
  start <- list(mean = colMeans(holes, na.rm = TRUE) * 1.1, covariance = fit_holes$parameters$covariance * 1.5)
  fit <- quietly(em_mvnorm(holes, start = start, control = em_control(max_iter = 1, tol = 0, acceleration = "none")))
  expect_identical(fit$iterations, 1L)
  expect_same_parameters(fit$parameters, mvn_em_step(holes, start$mean, start$covariance), 1e-12)
})

test_that("no accelerator ever lowers the objective, and all end in the same place", {
  x <- data_normal(150, 4, 0.4, seed = 8)
  start <- list(mean = c(0, 0, 0, 0), covariance = diag(c(4, 9, 100, 1e5)))
  for (acceleration in acceleration_registry_()) {
    for (prior in list(NULL, "ridge")) {
      control <- em_control(tol = 1e-12, max_iter = 1e5, acceleration = acceleration)
      fit <- em_mvnorm(x, start = start, prior = prior, control = control)
      expect_gt(nrow(fit$trace), 4)
      # The rounding of a sum of 200 terms.
      expect_gte(min(diff(fit$trace$objective)), -1e-11 * abs(fit$loglik))
      expect_equal(fit$trace$objective, fit$trace$loglik + fit$trace$log_prior)
      reference <- em_mvnorm(x, prior = prior)
      expect_same_parameters(fit$parameters, reference$parameters, 1e-7)
    }
  }
})

test_that("complete data have their closed form", {
  x <- data_normal(40, 3, 0)
  w <- 0.5 + (seq_len(40) %% 4)
  fit <- em_mvnorm(x)
  expect_identical(fit$method, "complete data")
  expect_identical(c(fit$iterations, fit$evaluations), c(0L, 0L))
  expect_same_parameters(fit$parameters, list(mean = colMeans(x), covariance = stats::cov(x) * 39 / 40), 1e-13)
  expect_equal(fit$missing_information$worst, 0, tolerance = 1e-12)
  weighted <- em_mvnorm(x, weights = w)
  definition <- stats::cov.wt(x, w, method = "ML")
  expect_same_parameters(weighted$parameters, list(mean = definition$center, covariance = definition$cov), 1e-13)
  expect_equal(weighted$nobs, sum(w))
})

test_that("one variable has its closed form, with missing values too", {
  y <- c(3, 1, NA, 4, 1, 5, NA)
  fit <- em_mvnorm(y)
  expect_equal(unname(fit$parameters$mean), mean(y, na.rm = TRUE))
  expect_equal(fit$parameters$covariance[[1]], stats::var(y, na.rm = TRUE) * 4 / 5)
  density <- stats::dnorm(y, mean(y, na.rm = TRUE), sqrt(fit$parameters$covariance[[1]]), log = TRUE)
  expect_equal(fit$loglik, sum(density, na.rm = TRUE))
})

test_that("monotone patterns equal the regressions of each column on those before it", {
  x <- data_normal(60, 4, 0, seed = 3)
  x[41:60, 4] <- NA
  x[51:60, 3] <- NA
  x[56:60, 2] <- NA
  w <- 0.5 + (seq_len(60) %% 3)
  truth <- mvn_factored(x, w)
  # A QR decomposition against Cholesky factors of correlations that are not extreme.
  expect_same_parameters(em_mvnorm(x)$parameters, mvn_factored(x), 1e-11)
  expect_same_parameters(em_mvnorm(x, weights = w)$parameters, truth, 1e-11)
  expect_same_parameters(mvn_em_step(x, truth$mean, truth$covariance, w), truth, 1e-11)
  order <- c(3, 1, 4, 2)
  turned <- em_mvnorm(x[, order], weights = w)
  expect_identical(turned$method, "monotone patterns")
  expect_same_parameters(turned$parameters, list(mean = truth$mean[order], covariance = truth$covariance[order, order]),
                         1e-11)
  # With rows that observe nothing they are monotone still.
  empty <- rbind(x, NA)
  expect_identical(em_mvnorm(empty)$method, "monotone patterns")
})

test_that("monotone patterns whose last regression has no residuals are refused", {
  x <- data_normal(30, 3, 0)
  x[4:30, 3] <- NA
  expect_error(em_mvnorm(x), class = "em_error_degenerate")
})

test_that("a row of weight w counts as w equal rows, and a row of weight 0 as none", {
  w <- 1 + (seq_len(60) %% 3)
  replicated <- em_mvnorm(holes[rep(seq_len(60), w), ])
  weighted <- em_mvnorm(holes, weights = w)
  # Both converged; Newton steps leave less than 1e-8.
  expect_same_parameters(weighted$parameters, replicated$parameters, 1e-8)
  expect_equal(weighted$loglik, replicated$loglik, tolerance = 1e-12)
  expect_equal(weighted$nobs, replicated$nobs)
  zero <- replace(rep(1, 60), c(3, 17, 50), 0)
  without <- em_mvnorm(holes[zero > 0, ])
  dropped <- em_mvnorm(holes, weights = zero)
  expect_same_parameters(dropped$parameters, without$parameters, 1e-8)
  expect_equal(dropped$loglik, without$loglik, tolerance = 1e-12)
  expect_equal(dropped$nobs, 57)
})

test_that("the order of rows and of columns does not matter", {
  rows <- with_seed(2, sample.int(60))
  expect_same_parameters(em_mvnorm(holes[rows, ])$parameters, fit_holes$parameters, 1e-8)
  columns <- c(3, 1, 4, 2)
  turned <- em_mvnorm(holes[, columns])
  expect_identical(turned$variables, colnames(holes)[columns])
  p <- fit_holes$parameters
  expect_same_parameters(turned$parameters, list(mean = p$mean[columns], covariance = p$covariance[columns, columns]),
                         1e-8)
  expect_equal(turned$loglik, fit_holes$loglik, tolerance = 1e-12)
})

test_that("units from 1e-12 to 1e12 change nothing but the units", {
  unit <- c(1e-12, 1e12, 1e-5, 1e6)
  scaled <- em_mvnorm(sweep(holes, 2, unit, "*"))
  p <- fit_holes$parameters
  expect_same_parameters(scaled$parameters, list(mean = p$mean * unit, covariance = p$covariance * tcrossprod(unit)),
                         1e-8)
  jacobian <- sum(colSums(!is.na(holes)) * log(unit))
  expect_equal(scaled$loglik, fit_holes$loglik - jacobian, tolerance = 1e-12)
})

test_that("an offset of a million standard deviations costs no more than its digits", {
  shift <- 1e6 * sqrt(diag(fit_holes$parameters$covariance))
  moved <- em_mvnorm(sweep(holes, 2, shift, "+"))
  # The data themselves lost six of sixteen digits.
  expect_same_parameters(moved$parameters, list(mean = fit_holes$parameters$mean + shift,
                                                covariance = fit_holes$parameters$covariance), 1e-8)
  expect_equal(moved$loglik, fit_holes$loglik, tolerance = 1e-8)
})

test_that("1 and 2 threads give the same bits", {
  # Enough work for threads: many patterns (the E-step), and many rows (the first pass over the data).
  wide <- data_normal(700, 30, 0.3, seed = 6)
  long <- data_normal(20000, 4, 0.1, seed = 7)
  for (x in list(wide, long)) {
    fits <- lapply(1:2, function(threads) {
      quietly(em_mvnorm(x, control = em_control(threads = threads, n_starts = 1, tol = 0, max_iter = 6)))
    })
    for (field in c("parameters", "loglik", "trace", "missing_information", "patterns", "evaluations")) {
      expect_identical(fits[[1]][[field]], fits[[2]][[field]])
    }
  }
})

# --- patterns of every shape ------------------------------------------------------------------------

# The log-likelihood at the estimate, a fixed point, and single steps from elsewhere (so that every part of the E-step
# is looked at away from the optimum) against plain R.
expect_steps_of_em <- function(x, prior = NULL) {
  steps <- 2
  p <- ncol(x)
  start <- list(mean = colMeans(x, na.rm = TRUE), covariance = diag(apply(x, 2, stats::var, na.rm = TRUE)))
  start$covariance <- start$covariance * (0.7 + 0.3 * diag(p)) +
    0.3 * tcrossprod(sqrt(diag(start$covariance))) * (1 - diag(p))
  fit <- quietly(em_mvnorm(x, start = start, prior = prior,
                           control = em_control(max_iter = steps, tol = 0, acceleration = "none", threads = 2)))
  exponent <- if (is.null(prior)) 0 else fit$prior$exponent
  oracle <- start
  for (i in seq_len(steps)) {
    oracle <- mvn_em_step(x, oracle$mean, oracle$covariance, exponent = exponent, scale = fit$prior$scale)
  }
  # Two steps do not amplify rounding by more than the condition of the covariance.
  expect_same_parameters(fit$parameters, oracle, 1e-10)
  expect_equal(fit$loglik, mvn_loglik(x, oracle$mean, oracle$covariance), tolerance = 1e-11)
}

test_that("mostly distinct patterns (rows kept as they are) give the EM of plain R", {
  x <- data_normal(200, 30, 0.1, seed = 11)
  expect_gt(nrow(unique(is.na(x))), 150)
  expect_steps_of_em(x)
  # With eight complete rows the likelihood itself has no maximum; with a prior there is a mode.
  fit <- em_mvnorm(x, prior = 5, control = em_control(n_starts = 1, tol = 1e-13))
  # Without Newton steps (more than 25 variables) the parameters are as exact as the root of the tolerance.
  expect_same_parameters(fit$parameters,
                         mvn_em_step(x, fit$parameters$mean, fit$parameters$covariance, exponent = fit$prior$exponent,
                                     scale = fit$prior$scale), 1e-6)
})

test_that("sparse rows, of which less is observed than missing, give the EM of plain R", {
  x <- data_normal(150, 12, 0.7, seed = 12)
  expect_gt(mean(rowSums(is.na(x)) > 6), 0.7)
  expect_steps_of_em(x)
  # Few patterns of many rows, sparse too: the path of scatter matrices.
  y <- data_normal(150, 6, 0, seed = 13)
  y[1:50, 2:6] <- NA
  y[51:90, c(1, 3, 4, 5)] <- NA
  y[91:120, c(1, 2, 5, 6)] <- NA
  expect_steps_of_em(y)
})

test_that("few patterns of many rows (scatter matrices) give the EM of plain R", {
  x <- data_normal(400, 5, 0, seed = 14)
  x[1:60, 1:2] <- NA
  x[61:150, c(3, 5)] <- NA
  x[151:200, 4] <- NA
  expect_steps_of_em(x)
  fit <- em_mvnorm(x)
  expect_same_parameters(fit$parameters, mvn_em(x), 1e-9)
})

test_that("patterns of one row, of equal rows and of repeated values are no trouble", {
  x <- data_normal(40, 3, 0, seed = 15)
  x[1, 1] <- NA
  x[2:4, 2] <- NA
  x[3:4, ] <- x[c(2, 2), ]
  x[5:9, 3] <- NA
  x[5:9, 1] <- 2.5
  expect_steps_of_em(x)
  expect_same_parameters(em_mvnorm(x)$parameters, mvn_em(x), 1e-9)
})

test_that("rows that observe nothing stay in the data and count for nothing", {
  x <- rbind(holes[1:20, ], NA, holes[21:60, ], NA)
  fit <- em_mvnorm(x)
  expect_same_parameters(fit$parameters, fit_holes$parameters, 1e-8)
  expect_equal(fit$loglik, fit_holes$loglik, tolerance = 1e-12)
  expect_equal(fit$nobs, 60)
  expect_identical(as.integer(fit$n_rows), 62L)
  expect_equal(stats::BIC(fit), stats::BIC(fit_holes))
})

# --- forms of data and start ------------------------------------------------------------------------

test_that("the formula interface transforms, selects and weights", {
  data <- datasets::airquality
  data$w <- 1 + data$Day %% 2
  fit <- em_mvnorm(~ log(Ozone) + Wind + I(Temp / 10), data = data, weights = w, subset = Month > 5)
  rows <- data$Month > 5
  x <- cbind(log(data$Ozone), data$Wind, data$Temp / 10)[rows, ]
  direct <- em_mvnorm(x, weights = data$w[rows])
  expect_identical(fit$variables, c("log(Ozone)", "Wind", "I(Temp/10)"))
  expect_equal(unname(fit$parameters$covariance), unname(direct$parameters$covariance))
  expect_equal(fit$loglik, direct$loglik)
  expect_equal(stats::formula(fit), ~ log(Ozone) + Wind + I(Temp / 10), ignore_formula_env = TRUE)
  expect_equal(em_mvnorm(~ ., data = datasets::airquality[, 1:4])$loglik, fit_airq4$loglik)
})

test_that("matrix, data frame, integer, logical, tibble and data.table are the same data", {
  frame <- datasets::airquality[, 1:4]
  expect_equal(em_mvnorm(frame)$parameters, fit_airq4$parameters)
  expect_equal(em_mvnorm(data = frame)$parameters, fit_airq4$parameters)
  expect_equal(em_mvnorm(round(as.matrix(frame)))$loglik,
               em_mvnorm(matrix(as.integer(round(as.matrix(frame))), 153, dimnames = dimnames(airq4)))$loglik)
  flags <- data.frame(a = frame$Temp > 77, b = frame$Wind)
  flags$a[3:9] <- NA
  expect_equal(em_mvnorm(flags)$parameters, em_mvnorm(transform(flags, a = as.numeric(a)))$parameters)
  if (requireNamespace("tibble", quietly = TRUE)) {
    expect_equal(em_mvnorm(tibble::as_tibble(frame))$parameters, fit_airq4$parameters)
  }
  if (requireNamespace("data.table", quietly = TRUE)) {
    expect_equal(em_mvnorm(data.table::as.data.table(frame))$parameters, fit_airq4$parameters)
  }
  nan <- airq4
  nan[is.na(nan)] <- NaN
  expect_equal(em_mvnorm(nan)$parameters, fit_airq4$parameters)
  bare <- em_mvnorm(unname(airq4))
  expect_identical(bare$variables, paste0("V", 1:4))
})

test_that("a fit starts where it is told: parameters or an earlier fit", {
  again <- em_mvnorm(holes, start = fit_holes)
  expect_identical(again$starts$method, "previous fit")
  expect_lte(again$iterations, 3)
  expect_same_parameters(again$parameters, fit_holes$parameters, 1e-9)
  start <- list(mean = fit_holes$parameters$mean, covariance = fit_holes$parameters$covariance)
  expect_identical(em_mvnorm(holes, start = start)$starts$method, "parameters")
  trace <- quietly(em_mvnorm(holes, start = start, control = em_control(max_iter = 0)))$trace
  expect_equal(trace$loglik[1], mvn_loglik(holes, start$mean, start$covariance), tolerance = 1e-12)
  bad <- list(list(mean = 1:3, covariance = diag(4)), list(mean = 1:4), "no", list(mean = 1:4, covariance = -diag(4)),
              list(mean = c(1, 2, 3, NA), covariance = diag(4)), list(mean = 1:4, covariance = matrix(1:16, 4)))
  for (start in bad) expect_error(em_mvnorm(holes, start = start), class = "em_error_start")
})

test_that("fits depend on set.seed() alone, and leave R's random numbers as they find them in kind", {
  fits <- lapply(1:2, function(i) {
    set.seed(5)
    em_mvnorm(holes)
  })
  expect_identical(fits[[1]][c("parameters", "starts", "trace")], fits[[2]][c("parameters", "starts", "trace")])
})

# --- priors -----------------------------------------------------------------------------------------

test_that("with a prior the estimate is the mode: penalised EM in plain R", {
  scale <- diag(c(2, 30, 300, 1e4))
  priors <- list("ridge", "inverse_wishart", "jeffreys", 7.5, em_mvnorm_prior("inverse_wishart", df = 9, scale = scale))
  w <- 0.5 + (seq_len(60) %% 3)
  for (prior in priors) {
    fit <- em_mvnorm(holes, prior = prior, weights = w)
    p <- fit$parameters
    oracle <- mvn_em(holes, w, exponent = fit$prior$exponent, scale = fit$prior$scale)
    expect_same_parameters(p, oracle, 1e-9)
    expect_equal(fit$loglik, mvn_loglik(holes, p$mean, p$covariance, w), tolerance = 1e-12)
    expect_equal(fit$log_prior, mvn_log_prior(p$covariance, fit$prior$exponent, fit$prior$scale), tolerance = 1e-11)
  }
})

test_that("a prior is used on complete and monotone data too", {
  x <- data_normal(40, 3, 0)
  fit <- em_mvnorm(x, prior = em_mvnorm_prior("inverse_wishart", df = 6, scale = diag(c(1, 2, 3))))
  s <- stats::cov(x) * 39
  mode <- list(mean = colMeans(x), covariance = (s + diag(c(1, 2, 3))) / (40 + 6 + 4))
  expect_same_parameters(fit$parameters, mode, 1e-8)
  x[31:40, 3] <- NA
  fit <- em_mvnorm(x, prior = 5)
  expect_same_parameters(fit$parameters, mvn_em(x, exponent = fit$prior$exponent, scale = fit$prior$scale), 1e-8)
})

test_that("more variables than rows can be fitted with a ridge", {
  x <- data_normal(12, 18, 0.15, seed = 21)
  expect_error(em_mvnorm(x), class = "em_error_too_few_rows")
  fit <- em_mvnorm(x, prior = "ridge")
  expect_true(fit$converged)
  expect_gt(min(eigen(stats::cov2cor(fit$parameters$covariance), TRUE, TRUE)$values), 1e-3)
  expect_same_parameters(fit$parameters, mvn_em(x, exponent = fit$prior$exponent, scale = fit$prior$scale), 1e-7)
  expect_steps_of_em(x, prior = "ridge")
})

# --- observation-level priors -----------------------------------------------------------------------

fit_with_cell_priors <- function(x, priors, prior = NULL, start = NULL, ...) {
  input <- list(x = x, variables = colnames(x), row_names = NULL, formula = NULL, terms = NULL, weights = NULL)
  emkit:::fit_mvnorm(input, prior, start, em_control(...), NULL, priors)
}

# The log-likelihood with the rows' densities multiplied by exp(-(cell - mean)^2 / (2 sd^2)) and integrated over the
# missing cells: for every row, that of the observed cells times a normal density of the priors' means.
loglik_with_cell_priors <- function(x, mean, covariance, priors) {
  total <- mvn_loglik(x, mean, covariance)
  for (i in unique(priors[, 1])) {
    mine <- priors[priors[, 1] == i, , drop = FALSE]
    q <- mvn_conditional(x[i, ], mean, covariance)
    at <- match(mine[, 2], q$missing)
    spread <- q$covariance[at, at, drop = FALSE] + diag(mine[, 4]^2, nrow(mine))
    r <- mine[, 3] - q$mean[at]
    total <- total - sum(log(diag(chol(spread)))) - sum(r * solve(spread, r)) / 2 + sum(log(mine[, 4]))
  }
  unname(total)
}

test_that("observation-level priors multiply the density of a row: likelihood and EM of plain R", {
  x <- holes
  cells <- which(is.na(x), arr.ind = TRUE)
  sd <- apply(x, 2, stats::sd, na.rm = TRUE)
  take <- seq(1, nrow(cells), by = 3)
  priors <- cbind(cells[take, 1], cells[take, 2], colMeans(x, na.rm = TRUE)[cells[take, 2]] + sd[cells[take, 2]],
                  0.5 * sd[cells[take, 2]])
  dimnames(priors) <- NULL
  expect_true(any(duplicated(priors[, 1])))
  start <- fit_holes$parameters
  step <- quietly(fit_with_cell_priors(x, priors, start = start, max_iter = 1, tol = 0, acceleration = "none"))
  expect_same_parameters(step$parameters, mvn_em_step(x, start$mean, start$covariance, cell_priors = priors), 1e-11)
  # The root of the tolerance, where no Newton steps follow.
  fit <- fit_with_cell_priors(x, priors, tol = 1e-14)
  p <- fit$parameters
  expect_same_parameters(p, mvn_em(x, cell_priors = priors), 1e-6)
  expect_equal(fit$loglik, loglik_with_cell_priors(x, p$mean, p$covariance, priors), tolerance = 1e-11)
  # An inverse Wishart prior beside them.
  both <- fit_with_cell_priors(x, priors, prior = em_mvnorm_prior("ridge", strength = 3), tol = 1e-14)
  expect_same_parameters(both$parameters, mvn_em(x, exponent = 3, scale = both$prior$scale, cell_priors = priors), 1e-6)
})

test_that("observation-level priors in the order of cells or any other give the same", {
  cells <- which(is.na(holes), arr.ind = TRUE)[1:9, ]
  priors <- cbind(cells, colMeans(holes, na.rm = TRUE)[cells[, 2]], 1)
  dimnames(priors) <- NULL
  a <- fit_with_cell_priors(holes, priors)
  b <- fit_with_cell_priors(holes, priors[9:1, ])
  # The same sums in another order, at the end of a run whose tolerance is that of the log-likelihood.
  expect_same_parameters(a$parameters, b$parameters, 1e-6)
})

test_that("a vague observation-level prior changes nothing, a sharp one is like an observed cell", {
  cell <- unname(which(is.na(holes), arr.ind = TRUE)[5, ])
  prior <- function(sd) matrix(c(cell, mean(holes[, cell[2]], na.rm = TRUE), sd), 1)
  vague <- fit_with_cell_priors(holes, prior(1e7))
  expect_same_parameters(vague$parameters, fit_holes$parameters, 1e-6)
  sharp <- fit_with_cell_priors(holes, prior(1e-4))
  filled <- holes
  filled[cell[1], cell[2]] <- prior(1)[3]
  # The difference is of the order of the prior's variance, 1e-8, relative to that of the variable.
  expect_same_parameters(sharp$parameters, em_mvnorm(filled)$parameters, 1e-6)
})

# --- what the data do not determine -----------------------------------------------------------------

test_that("file matching: variables never observed together are named, and the covariance that is not determined", {
  x <- data_file_matching()
  warning <- expect_warning(fit <- em_mvnorm(x), class = "em_warning_not_identified")
  expect_identical(warning$coefficients, "covariance[b,a]")
  expect_match(conditionMessage(warning), "a and b", fixed = TRUE)
  expect_false(fit$identification$identified)
  expect_identical(fit$identification$coefficients, "covariance[b,a]")
  expect_equal(fit$identification$never_together, data.frame(variable_1 = "a", variable_2 = "b"))
  expect_equal(fit$missing_information$worst, 1, tolerance = 1e-6)
  expect_true(all(fit$identification$coefficients %in% names(coef(fit))))
  # What is determined is so: each file by itself.
  first <- em_mvnorm(x[, c("a", "z")])
  expect_equal(fit$parameters$covariance[c("a", "z"), c("a", "z")], first$parameters$covariance, tolerance = 1e-6)
})

test_that("names of undetermined coefficients are those of coef() with many variables too", {
  x <- data_normal(120, 27, 0, seed = 32)
  x[1:60, 1] <- NA
  x[61:120, 2] <- NA
  expect_warning(fit <- em_mvnorm(x), class = "em_warning_not_identified")
  expect_identical(fit$identification$coefficients, "covariance[v2,v1]")
  expect_true(all(fit$identification$coefficients %in% names(coef(fit))))
})

test_that("a fit that has not converged says so", {
  expect_warning(fit <- em_mvnorm(holes, control = em_control(max_iter = 2, acceleration = "none")),
                 class = "em_warning_not_converged")
  expect_false(fit$converged)
  expect_identical(fit$status, "max_iter")
})

# --- bad input --------------------------------------------------------------------------------------

test_that("columns that are linear in one another are refused by name, and a prior mends it", {
  x <- data_normal(60, 3, 0.1, seed = 41)
  doubled <- cbind(x, copy = 2 * x[, 1] + 1)
  error <- expect_error(em_mvnorm(doubled), class = "em_error_degenerate")
  expect_setequal(error$columns, c("v1", "copy"))
  expect_match(conditionMessage(error), "prior")
  summed <- cbind(data_normal(60, 3, 0, seed = 42), sum = 0)
  summed[, "sum"] <- summed[, 1] / 0.1 + summed[, 2] / sqrt(10)
  summed[1:5, 3] <- NA
  error <- expect_error(em_mvnorm(summed), class = "em_error_degenerate")
  expect_setequal(error$columns, c("v1", "v2", "sum"))
  fit <- em_mvnorm(doubled, prior = "ridge")
  expect_true(fit$converged)
  expect_false(anyNA(predict(fit)))
})

test_that("data that cannot be fitted are refused with a class and the name of the column", {
  x <- as.data.frame(data_normal(30, 3, 0.1))
  refuses <- function(data, class, word) {
    error <- expect_error(em_mvnorm(data), class = class)
    expect_match(conditionMessage(error), word, fixed = TRUE)
  }
  refuses(transform(x, v2 = 3), "em_error_constant_column", "\"v2\"")
  refuses(transform(x, v2 = c(NA, rep(3, 29))), "em_error_constant_column", "\"v2\"")
  refuses(transform(x, v3 = NA_real_), "em_error_all_missing", "\"v3\"")
  refuses(transform(x, v1 = replace(v1, 7, Inf)), "em_error_infinite", "row 7 of column \"v1\"")
  refuses(transform(x, v1 = as.character(v1)), "em_error_column_type", "\"v1\"")
  refuses(transform(x, v1 = factor(v1 > 3)), "em_error_column_type", "\"v1\"")
  refuses(transform(x, v1 = as.Date("2020-01-01") + seq_len(30)), "em_error_column_type", "\"v1\"")
  refuses(x[1, ], "em_error_too_few_rows", "one row")
  refuses(x[1:3, ], "em_error_too_few_rows", "3 rows")
  refuses(x[0, ], "em_error_no_rows", "no rows")
  refuses(x[, 0], "em_error_no_columns", "no columns")
  refuses(list(1, 2), "em_error_data_type", "data frame")
  refuses(matrix(letters, 13), "em_error_column_type", "numeric")
})

test_that("rows without any observed value do not make up for too few rows", {
  x <- rbind(data_normal(4, 4, 0), matrix(NA, 30, 4))
  expect_error(em_mvnorm(x), class = "em_error_too_few_rows")
})

test_that("arguments are checked by name", {
  expect_error(em_mvnorm(), class = "em_error_argument")
  expect_error(em_mvnorm(holes, wieghts = 1), class = "em_error_unused_argument")
  expect_error(em_mvnorm(holes, weights = 1:3), class = "em_error_weights")
  expect_error(em_mvnorm(holes, weights = rep(-1, 60)), class = "em_error_weights")
  expect_error(em_mvnorm(holes, prior = "flat"), class = "em_error_argument")
  expect_error(em_mvnorm(holes, prior = list()), class = "em_error_argument")
  expect_error(em_mvnorm(a ~ b, data = data.frame(a = 1, b = 2)), class = "em_error_formula")
  expect_error(em_mvnorm(~ nothere, data = as.data.frame(holes)), class = "em_error_formula")
})

test_that("the recipe that ends R under Amelia (30 x 6, 40% missing) ends in an error, and with a prior in a fit", {
  # Its likelihood has no maximum: EM in plain R goes towards a singular covariance.
  set.seed(1)
  s <- matrix(.5, 6, 6)
  diag(s) <- 1
  x <- matrix(rnorm(180), 30) %*% chol(s)
  x[matrix(runif(180) < .4, 30)] <- NA
  expect_error(em_mvnorm(x), "linear in one another", class = "em_error_degenerate")
  fit <- em_mvnorm(x, prior = "ridge")
  expect_true(fit$converged)
  expect_same_parameters(fit$parameters, mvn_em(x, exponent = fit$prior$exponent, scale = fit$prior$scale), 1e-8)
})

test_that("an iteration that stopped early is not mistaken for one at a saddle", {
  fit <- quietly(em_mvnorm(holes, control = em_control(max_iter = 1, tol = 0, acceleration = "none")))
  expect_false(any(fit$starts$escaped))
  expect_lte(max(fit$starts$iterations), 1)
})

test_that("a likelihood without a maximum is an error also when rounding sets in before the covariance is singular", {
  # Nine rows of six variables with gaps: the share of a variable's own variance falls below 1e-9 within a few hundred steps.
  x <- with_seed(4, matrix(stats::rnorm(54), 9))
  x[cbind(c(1, 2, 3, 4), c(6, 5, 4, 3))] <- NA
  x[1:2, 1] <- NA
  expect_error(em_mvnorm(x), class = "em_error_degenerate")
})

test_that("near-copies of a column do not spoil the fit, its information or its standard errors", {
  # The copy's own share of variance is 2.5e-9. Given the other columns it is estimated as any regression is: the data
  # are turned by the difference, for which nothing is ill-conditioned, and the log-likelihood is unchanged by the turn.
  x <- with_seed(3, matrix(stats::rnorm(400), 100))
  noise <- with_seed(5, stats::rnorm(100))
  complete <- c(1:20, 41:100)
  x[complete, ][with_seed(6, matrix(stats::runif(320) < 0.1, 80))] <- NA
  keep <- !is.na(x[, 1])
  close <- cbind(x[keep, ], x[keep, 1] + 5e-5 * noise[keep])
  apart <- cbind(x[keep, ], 5e-5 * noise[keep])
  a <- em_mvnorm(close)
  b <- em_mvnorm(apart)
  # rounding of the near-copy: 4e8 times that of a double
  expect_equal(a$loglik, b$loglik, tolerance = 1e-7)
  expect_true(a$converged)
  expect_true(a$identification$identified)
  expect_equal(a$missing_information$worst, b$missing_information$worst, tolerance = 1e-5)
  expect_equal(sqrt(diag(vcov(a)))[1:4], sqrt(diag(vcov(b)))[1:4], tolerance = 1e-6)
})

test_that("what the data do not determine is said in terms of a regression where that is shorter", {
  # v3 is never observed where v1 is 1: how it depends on v1 is not determined, all else is.
  x <- with_seed(9, data.frame(v1 = rep(0:1, c(60, 20)), v2 = stats::rnorm(80), v3 = stats::rnorm(80)))
  x$v3[x$v1 == 1] <- NA
  x$v2[5:9] <- NA
  expect_warning(fit <- em_mvnorm(x), "how v3 depends on v1", class = "em_warning_not_identified")
  expect_identical(fit$identification$relations, "how v3 depends on v1")
})

test_that("a prior determines what the data do not, and that is said", {
  x <- with_seed(2, matrix(stats::rnorm(300), 100))
  x[1:50, 1] <- NA
  x[51:100, 2] <- NA
  expect_warning(fit <- em_mvnorm(x, prior = 5), "Only the prior", class = "em_warning_not_identified")
  expect_true(fit$identification$identified)
  expect_false(anyNA(vcov(fit)))
})
