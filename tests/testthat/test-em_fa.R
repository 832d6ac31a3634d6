test_that("the log-likelihood is that of the definition at the parameters", {
  x <- data_factors(120)
  m <- fa_moments(x)
  for (rotation in c("none", "varimax", "promax")) {
    fit <- em_fa(x, n_factors = 2, rotation = rotation, control = fa_control())
    expect_equal(fit$loglik, fa_loglik(m$covariance, m$n, fa_implied(fit)), tolerance = 1e-11)
  }
  w <- rep(c(0.5, 1, 2.5), 40)
  weighted <- em_fa(x, n_factors = 2, weights = w, control = fa_control())
  m <- fa_moments(x, w)
  expect_equal(weighted$loglik, fa_loglik(m$covariance, m$n, fa_implied(weighted)), tolerance = 1e-11)
  expect_equal(weighted$nobs, 160)
  expect_equal(unname(weighted$parameters$mean), unname(m$mean), tolerance = 1e-12)
})

test_that("with missing cells it is that of the observed cells", {
  x <- data_factors(80, missing = 0.15, seed = 2)
  x[5, ] <- NA
  expect_warning(fit <- em_fa(x, n_factors = 2, control = fa_control()), class = "em_warning_heywood")
  expect_equal(fit$loglik, mvn_loglik(x, unname(fit$parameters$mean), fa_implied(fit)), tolerance = 1e-10)
  expect_equal(fit$nobs, 79)
  expect_equal(unname(fit$scores[5, ]), c(0, 0))
})

test_that("no small change of the parameters raises the likelihood", {
  x <- data_factors(90, p = 6, q = 2, missing = 0.1, seed = 3)
  fit <- em_fa(x, n_factors = 2, rotation = "none", control = fa_control())
  theta <- c(fit$parameters$mean, fit$parameters$loadings, log(fit$parameters$uniquenesses))
  value <- function(t) mvn_loglik(x, t[1:6], tcrossprod(matrix(t[7:18], 6)) + diag(exp(t[19:24])))
  sd <- sqrt(diag(fa_implied(fit)))
  units <- c(sd, sd, sd, rep(1, 6))
  slope <- vapply(seq_along(theta), function(i) {
    h <- replace(numeric(24), i, 1e-4 * units[i])
    (value(theta + h) - value(theta - h)) / 2e-4
  }, 0)
  # The likelihood of 90 rows changes by this much for a step of one standard deviation.
  expect_lt(max(abs(slope)), 1e-3)
})

test_that("complete data, their covariance matrix and rows with one missing row give the same", {
  x <- data_factors(100)
  fit <- em_fa(x, n_factors = 3, control = fa_control())
  s <- stats::cov.wt(x, method = "ML")
  from_matrix <- em_fa(covmat = s$cov, n_obs = 100, n_factors = 3, control = fa_control())
  from_list <- em_fa(covmat = s, n_factors = 3, control = fa_control())
  expect_equal(from_matrix$loglik, fit$loglik, tolerance = 1e-11)
  expect_equal(from_matrix$parameters$loadings, fit$parameters$loadings, tolerance = 1e-6)
  expect_equal(from_list$parameters$mean, fit$parameters$mean)
  expect_true(all(is.na(from_matrix$parameters$mean)))
  with_empty <- em_fa(rbind(x, NA), n_factors = 3, control = fa_control())
  expect_equal(with_empty$loglik, fit$loglik, tolerance = 1e-12)
  # As a data frame, by formula, and with `data` as a name.
  d <- as.data.frame(x)
  for (other in list(em_fa(d, 3), em_fa(~., data = d, n_factors = 3), em_fa(data = d, n_factors = 3))) {
    expect_equal(other$loglik, fit$loglik, tolerance = 1e-9)
  }
  expect_warning(few <- em_fa(~ v1 + v2 + log(v3) + v4, data = d, subset = v1 > 9, n_factors = 1),
                 class = "em_warning_heywood")
  expect_equal(few$nobs, sum(d$v1 > 9))
})

test_that("integer weights give what repeated rows give", {
  for (share in c(0, 0.1)) {
    x <- data_factors(90, missing = share, seed = 5)
    w <- rep(1:3, 30)
    weighted <- em_fa(x, n_factors = 3, weights = w, control = fa_control(n_starts = 1))
    repeated <- em_fa(x[rep(1:90, w), ], n_factors = 3, control = fa_control(n_starts = 1))
    expect_equal(weighted$loglik, repeated$loglik, tolerance = 1e-9)
    expect_equal(weighted$parameters$uniquenesses, repeated$parameters$uniquenesses, tolerance = 1e-5)
  }
})

test_that("units shift the log-likelihood by the logarithm of the factor, and nothing else", {
  x <- data_factors(100, seed = 6)
  scale <- 10^seq(-6, 6, length.out = 9)
  fit <- em_fa(x, n_factors = 2, control = fa_control())
  other <- em_fa(x * rep(scale, each = 100), n_factors = 2, control = fa_control())
  expect_equal(other$loglik, fit$loglik - 100 * sum(log(scale)), tolerance = 1e-10)
  expect_equal(other$uniquenesses, fit$uniquenesses, tolerance = 1e-5)
  expect_equal(unclass(other$loadings), unclass(fit$loadings), tolerance = 1e-5)
})

test_that("the order of columns does not matter", {
  x <- data_factors(100, seed = 7)
  fit <- em_fa(x, n_factors = 3, control = fa_control())
  turned <- em_fa(x[, 9:1], n_factors = 3, control = fa_control())
  expect_equal(turned$loglik, fit$loglik, tolerance = 1e-11)
  expect_equal(turned$parameters$loadings[9:1, ], fit$parameters$loadings, tolerance = 1e-5)
})

test_that("what was simulated is found again", {
  truth <- em_fa(covmat = datasets::ability.cov, n_factors = 2, rotation = "promax")
  x <- simulate(truth, seed = 4, n_rows = 20000)
  fit <- em_fa(x, n_factors = 2, rotation = "promax")
  # Standard errors are about 0.01.
  expect_lt(max(abs(unclass(fit$loadings) - unclass(truth$loadings))), 0.05)
  expect_lt(max(abs(fit$uniquenesses - truth$uniquenesses)), 0.05)
})

# --- rotation ---------------------------------------------------------------------------------------

test_that("rotation moves the loadings, not the model", {
  x <- data_factors(150, seed = 8)
  plain <- em_fa(x, n_factors = 3, rotation = "none", control = fa_control())
  for (rotation in list("varimax", "promax", function(l) stats::varimax(l))) {
    fit <- em_fa(x, n_factors = 3, rotation = rotation, control = fa_control())
    expect_equal(fa_implied(fit), fa_implied(plain), tolerance = 1e-7)
    # up to the signs of columns
    expect_equal(abs(unname(fit$parameters$loadings %*% solve(fit$rotation_matrix))),
                 abs(unname(plain$parameters$loadings)), tolerance = 1e-5)
    ss <- colSums(unclass(fit$loadings)^2)
    expect_true(all(diff(ss) < 0))
    expect_true(all(colSums(unclass(fit$loadings)) > 0))
    expect_s3_class(fit$loadings, "loadings")
    expect_equal(unname(diag(fit$factor_correlation)), c(1, 1, 1))
  }
})

test_that("unrotated loadings have a diagonal Lambda' Psi^-1 Lambda, in decreasing order", {
  x <- data_factors(150, seed = 8)
  fit <- em_fa(x, n_factors = 3, rotation = "none", control = fa_control())
  a <- crossprod(fit$parameters$loadings, fit$parameters$loadings / fit$parameters$uniquenesses)
  expect_lt(max(abs(a[upper.tri(a)])), 1e-6 * max(a))
  common <- em_fa(x, n_factors = 2, rotation = "none", type = "ppca", control = fa_control())
  b <- crossprod(common$parameters$loadings)
  expect_lt(abs(b[1, 2]), 1e-8 * b[1, 1])
})

test_that("varimax is at least as good as stats::varimax(), and promax is stats::promax() of it", {
  fit <- em_fa(datasets::mtcars, n_factors = 3)
  reference <- stats::varimax(unclass(fit$loadings), eps = 1e-14)
  expect_gt(varimax_criterion(unclass(fit$loadings)), varimax_criterion(unclass(reference$loadings)) - 1e-10)
  promax <- em_fa(datasets::mtcars, n_factors = 3, rotation = "promax")
  by_stats <- stats::promax(unclass(fit$loadings))$loadings
  # stats stops varimax at a change of 1e-5 of its criterion.
  expect_equal(sort(colSums(unclass(promax$loadings)^2)), sort(colSums(unclass(by_stats)^2)), ignore_attr = TRUE,
               tolerance = 0.02)
  expect_false(isTRUE(all.equal(unname(promax$factor_correlation), diag(3))))
})

test_that("rotations of GPArotation are found by name and minimise their criterion", {
  skip_if_not_installed("GPArotation")
  fit <- em_fa(covmat = datasets::ability.cov, n_factors = 2, rotation = "oblimin")
  expect_identical(fit$rotation, "oblimin")
  unrotated <- em_fa(covmat = datasets::ability.cov, n_factors = 2, rotation = "none")
  again <- GPArotation::oblimin(unclass(unrotated$loadings))
  expect_equal(sort(colSums(unclass(fit$loadings)^2)), sort(colSums(unclass(again$loadings)^2)), ignore_attr = TRUE,
               tolerance = 1e-3)
  expect_equal(abs(fit$factor_correlation[1, 2]), abs(again$Phi[1, 2]), tolerance = 1e-3)
  expect_error(em_fa(datasets::mtcars, n_factors = 2, rotation = "vgQ"), class = "em_error_rotation")
})

# --- numbers of factors -------------------------------------------------------------------------------

test_that("of several numbers of factors the best by BIC is the fit, and the table has the others", {
  fit <- em_fa(datasets::mtcars, n_factors = 1:3)
  table <- fit$selection
  expect_identical(table$n_factors, 1:3)
  expect_equal(table$BIC, -2 * table$loglik + table$df * log(32))
  expect_equal(table$AIC, -2 * table$loglik + 2 * table$df)
  # mean, loadings up to rotation, uniquenesses
  expect_equal(table$df, 11 + 11 * (1:3) + 11 - (1:3) * (0:2) / 2)
  expect_equal(table$chi_square_df, ((11 - 1:3)^2 - 11 - 1:3) / 2)
  expect_identical(fit$n_factors, table$n_factors[which.min(table$BIC)])
  for (q in 1:2) {
    peer <- stats::factanal(datasets::mtcars, q)
    expect_equal(table$chi_square[q], unname(peer$STATISTIC), tolerance = 1e-6)
    expect_equal(table$p_value[q], unname(peer$PVAL), tolerance = 1e-5)
  }
})

test_that("RMSEA, its interval and TLI are those of lavaan", {
  skip_if_not_installed("lavaan")
  x <- lavaan::HolzingerSwineford1939[paste0("x", 1:6)]
  fit <- em_fa(x, n_factors = 1, control = fa_control())
  peer <- lavaan::cfa(paste("f =~", paste(names(x), collapse = " + ")), as.data.frame(scale(x)), std.lv = TRUE)
  measures <- lavaan::fitMeasures(peer, c("rmsea", "rmsea.ci.lower", "rmsea.ci.upper", "tli"))
  # Each stops at its own tolerance.
  expect_equal(unlist(fit$test[c("RMSEA", "RMSEA_lower", "RMSEA_upper", "TLI")]), unclass(measures), ignore_attr = TRUE,
               tolerance = 1e-4)
})

test_that("with missing values the test compares with the unrestricted normal distribution", {
  x <- as.matrix(datasets::airquality[, 1:4])
  fit <- em_fa(x, n_factors = 1)
  saturated <- em_mvnorm(x)
  expect_equal(fit$saturated$loglik, saturated$loglik, tolerance = 1e-10)
  expect_equal(fit$test$criterion, 2 * (saturated$loglik - fit$loglik) / 153, tolerance = 1e-6)
  alone <- sum(vapply(1:4, function(j) {
    v <- stats::na.omit(x[, j])
    sum(stats::dnorm(v, mean(v), sqrt(mean((v - mean(v))^2)), log = TRUE))
  }, 0))
  expect_equal(fit$saturated$independence, alone, tolerance = 1e-12)
})

test_that("of incomplete data every number of factors takes few steps, and none fits worse than the one before", {
  x <- with_seed(12, {
    x <- tcrossprod(matrix(stats::rnorm(1200), 600), matrix(stats::rnorm(20, sd = 0.6), 10))
    x <- x + matrix(stats::rnorm(6000), 600)
    replace(x, stats::runif(6000) < 0.1, NA)
  })
  fit <- quietly(em_fa(x))
  expect_identical(fit$n_factors, 2L)
  expect_identical(unique(fit$selection$status), "converged")
  expect_gt(min(diff(fit$selection$loglik)), 0)
  for (q in 1:5) {
    one <- quietly(em_fa(x, n_factors = q, control = em_control(n_starts = 1)))
    expect_true(one$converged)
    expect_lt(one$evaluations, 100)
  }
})

test_that("a likelihood without a maximum is an error that names the variable", {
  x <- cbind(as.matrix(datasets::iris[1:60, 1:4]), rare = replace(rep(NA, 60), c(3, 40), 1:2))
  expect_error(em_fa(x, n_factors = 2), "\"rare\"", class = "em_error_degenerate")
})

test_that("numbers of factors that are too many are left out, by default without a word", {
  x <- data_factors(100, p = 6, q = 2)
  expect_silent(fit <- em_fa(x))
  expect_identical(fit$selection$n_factors, 1:3)
  expect_message(em_fa(x, n_factors = 2:4), "4 factors are too many for 6 variables", class = "em_message_n_factors")
  # As many parameters as a covariance matrix: nothing to test.
  full <- quietly(em_fa(x, n_factors = 3))
  expect_identical(full$test$chi_square_df, 0)
  expect_true(is.na(full$test$p_value))
  expect_output(print(full), "No test of fit")
})

# --- probabilistic principal components ---------------------------------------------------------------

test_that("ppca of complete data is the closed form of Tipping and Bishop", {
  x <- data_factors(200, seed = 10)
  s <- fa_moments(x)$covariance
  spectrum <- eigen(s, symmetric = TRUE)
  fit <- em_fa(x, n_factors = 2, type = "ppca", rotation = "none", control = fa_control())
  noise <- mean(spectrum$values[-(1:2)])
  expect_equal(unname(fit$parameters$uniquenesses), rep(noise, 9), tolerance = 1e-8)
  implied <- spectrum$vectors[, 1:2] %*% diag(spectrum$values[1:2] - noise) %*% t(spectrum$vectors[, 1:2]) +
    diag(noise, 9)
  expect_equal(fa_implied(fit), implied, tolerance = 1e-7)
  expect_equal(fit$df, 9 + 18 + 1 - 1)
  expect_equal(fit$loglik, fa_loglik(s, 200, implied), tolerance = 1e-10)
  expect_output(print(fit), "Probabilistic principal components")
})

# --- at the edges ---------------------------------------------------------------------------------------

test_that("a Heywood case is named, and its likelihood is the limit", {
  expect_warning(fit <- em_fa(datasets::swiss, n_factors = 2), "Education", class = "em_warning_heywood")
  expect_identical(fit$heywood, "Education")
  expect_identical(fit$parameters$uniquenesses[["Education"]], 0)
  # stats::factanal() goes down to 0.500804 as its lower bound of uniquenesses goes to 0.
  expect_equal(fit$test$criterion, 0.5008038, tolerance = 1e-6)
  expect_equal(fit$loglik, fa_loglik(fa_moments(datasets::swiss)$covariance, 47, fa_implied(fit)), tolerance = 1e-9)
  expect_true(all(is.finite(fit$scores)))
  expect_output(print(fit), "HEYWOOD: the uniqueness of Education is 0")
  expect_match(summary(fit)$report[["heywood"]], "Education")
  expect_identical(quietly(em_fa(datasets::swiss, n_factors = 1:2))$selection$heywood[2], 1L)
})

test_that("a lower maximum, at another Heywood case, is found from other starts and shown in the table", {
  fit <- with_seed(3, quietly(em_fa(datasets::swiss, n_factors = 2, control = em_control(n_starts = 30))))
  lower <- fit$starts$loglik[!fit$starts$best & fit$starts$status == "converged"]
  # With the uniqueness of Fertility at 0.
  expect_lt(min(abs(lower + 1026.3268)), 1e-4)
  expect_match(summary(fit, se = FALSE)$report[["starts"]], "several maxima")
})

test_that("the starts, the warning and the summary name the Heywood variables of lower maxima", {
  expect_warning(fit <- with_seed(4, em_fa(datasets::swiss, n_factors = 2)),
                 "others at 0: Fertility \\(log-likelihood -1026.33\\)", class = "em_warning_heywood")
  expect_setequal(fit$starts$heywood, c("Education", "Fertility"))
  expect_identical(unique(fit$starts$heywood[fit$starts$best]), "Education")
  expect_match(summary(fit, se = FALSE)$report[["other maxima"]], "Fertility")
  # A start at the other case leads there, for incomplete data too.
  at_fertility <- c(0, 0.5, 0.5, 0.5, 0.5, 0.5)
  other <- quietly(em_fa(datasets::swiss, n_factors = 2, start = at_fertility))
  expect_equal(other$loglik, -1026.3268, tolerance = 1e-7)
  holes <- replace(as.matrix(datasets::swiss), c(3, 60), NA)
  both <- with_seed(5, quietly(em_fa(holes, n_factors = 2)))
  expect_setequal(both$starts$heywood[both$starts$status == "converged"], c("Education", "Fertility"))
  expect_identical(quietly(em_fa(holes, n_factors = 2, start = at_fertility))$heywood, "Fertility")
  expect_identical(unique(em_fa(datasets::mtcars, n_factors = 1)$starts$heywood), "")
})

test_that("small problems have many starts, large ones few", {
  n_starts <- function(p, n, missing) {
    data <- list(missing = missing, x = matrix(0, n, p))
    length(fa_starts(list(), 3, p, data, em_control()))
  }
  expect_identical(vapply(c(6, 30, 50, 200, 201), n_starts, 0L, n = 100, missing = FALSE), c(50L, 50L, 10L, 5L, 1L))
  expect_identical(vapply(c(100, 500, 1000, 1e5), n_starts, 0L, p = 8, missing = TRUE), c(50L, 10L, 5L, 1L))
})

test_that("a fit with another number of factors gives its uniquenesses as a start", {
  fit <- em_fa(data_factors(100, seed = 13), n_factors = 2)
  again <- em_fa(data_factors(100, seed = 13), n_factors = 3, start = fit)
  expect_equal(again$loglik, em_fa(data_factors(100, seed = 13), n_factors = 3)$loglik, tolerance = 1e-8)
  expect_identical(nrow(again$starts), 1L)
})

test_that("there may be more variables than rows", {
  x <- data_factors(40, p = 60, q = 2, seed = 11)
  fit <- quietly(em_fa(x, n_factors = 2))
  expect_true(is.finite(fit$loglik))
  expect_equal(fit$loglik, fa_loglik(fa_moments(x)$covariance, 40, fa_implied(fit)), tolerance = 1e-9)
  expect_true(is.na(fit$test$p_value))
  expect_output(print(fit), "no more rows than variables")
  expect_match(summary(fit, se = FALSE)$report[["rows"]], "only 40 for 60 variables")
})

test_that("a fit that is stopped says so", {
  x <- data_factors(100, missing = 0.2, seed = 12)
  expect_warning(fit <- em_fa(x, n_factors = 2, control = em_control(max_iter = 2, progress = FALSE)),
                 class = "em_warning_not_converged")
  expect_output(print(fit), "NOT CONVERGED")
  expect_match(summary(fit, se = FALSE)$report[["converged"]], "^NO")
})

test_that("starts may be a fit, parameters or uniquenesses", {
  x <- data_factors(100, seed = 13)
  fit <- em_fa(x, n_factors = 2, control = fa_control())
  for (start in list(fit, fit$parameters, unname(fit$uniquenesses))) {
    again <- em_fa(x, n_factors = 2, start = start, control = fa_control())
    expect_equal(again$loglik, fit$loglik, tolerance = 1e-10)
    expect_identical(nrow(again$starts), 1L)
  }
  more <- with_seed(1, em_fa(x, n_factors = 2, control = em_control(n_starts = 7, progress = FALSE)))
  expect_identical(nrow(more$starts), 7L)
  expect_identical(more$starts$method[1:2], c("default", "boundary"))
})

test_that("threads and the state of R's random numbers behave", {
  x <- data_factors(400, missing = 0.1, seed = 14)
  one <- with_seed(3, em_fa(x, n_factors = 2, control = em_control(threads = 1, progress = FALSE)))
  two <- with_seed(3, em_fa(x, n_factors = 2, control = em_control(threads = 2, progress = FALSE)))
  expect_identical(one$parameters, two$parameters)
  expect_identical(one$scores, two$scores)
})

# --- parallel analysis ----------------------------------------------------------------------------------

test_that("parallel analysis finds the factors that are there, from data, a matrix or a fit", {
  x <- data_factors(400, seed = 15)
  from_data <- with_seed(1, parallel_analysis(x))
  expect_identical(from_data$n_factors, 3L)
  expect_equal(from_data$table$eigenvalue, eigen(stats::cor(x), symmetric = TRUE, only.values = TRUE)$values)
  expect_true(all(from_data$table$quantile > from_data$table$simulated))
  from_matrix <- with_seed(1, parallel_analysis(stats::cor(x), n_obs = 400))
  expect_equal(from_matrix$table, from_data$table)
  expect_identical(with_seed(1, parallel_analysis(em_fa(x, 3)))$n_factors, 3L)
  with_gaps <- data_factors(400, seed = 15, missing = 0.1)
  expect_identical(with_seed(1, parallel_analysis(with_gaps, n_sim = 50))$n_factors, 3L)
  wide <- with_seed(1, parallel_analysis(data_factors(50, p = 100, q = 2, seed = 2)))
  expect_identical(nrow(wide$table), 50L)
  expect_identical(wide$n_factors, 2L)
  expect_output(print(from_data), "Suggested: 3 factors")
  expect_error(parallel_analysis(stats::cor(x)), class = "em_error_n_obs")
  expect_error(parallel_analysis(x, n_sim = 0), class = "em_error_argument")
})

# --- rotations by name ---------------------------------------------------------------------------------

test_that("every rotation of GPArotation that is offered gives a fit with standard errors, and no stray warning", {
  skip_if_not_installed("GPArotation")
  expect_true(all(c("oblimin", "quartimin", "geominQ", "geominT", "quartimax", "echelon") %in% gpa_rotations()))
  for (name in gpa_rotations()) {
    # What is not of this package's classes goes through, and fails.
    open <- FALSE
    fit <- tryCatch(
      withCallingHandlers(em_fa(datasets::mtcars, n_factors = 2, rotation = name, control = fa_control(n_starts = 1)),
                          em_warning_rotation = function(w) {
                            open <<- TRUE
                            invokeRestart("muffleWarning")
                          }),
      em_error_rotation = function(e) NULL)
    # Two factors leave a bifactor criterion nothing to decide; oblimax lets factors coincide.
    expect_identical(is.null(fit), name == "oblimax", label = name)
    expect_identical(open, name %in% c("bifactorQ", "bifactorT"), label = name)
    if (is.null(fit) || open) next
    expect_equal(unname(fitted(fit)), unname(fa_implied(fit)), tolerance = 1e-8)
    expect_false(anyNA(vcov(fit, standardized = TRUE)), label = name)
  }
})

test_that("a rotation by name is at its minimum to more digits than GPArotation's own stop gives", {
  skip_if_not_installed("GPArotation")
  fit <- em_fa(datasets::attitude, n_factors = 2, rotation = "oblimin", control = fa_control(n_starts = 1))
  # The quartimin criterion at factors turned a little either way.
  criterion <- function(i, j, h) {
    inner <- t(solve(fit$rotation_matrix))
    inner[, i] <- inner[, i] + h * inner[, j]
    inner[, i] <- inner[, i] / sqrt(sum(inner[, i]^2))
    l <- (unclass(fit$loadings) %*% solve(fit$rotation_matrix)) %*% t(solve(inner))
    sum(l[, 1]^2 * l[, 2]^2)
  }
  for (i in 1:2) {
    slope <- (criterion(i, 3 - i, 1e-4) - criterion(i, 3 - i, -1e-4)) / 2e-4
    # Differences of a step h are exact to h^2.
    expect_lt(abs(slope), 1e-7)
  }
})

test_that("functions of GPArotation that need more than loadings are refused with what to do", {
  skip_if_not_installed("GPArotation")
  for (name in c("targetQ", "GPFoblq", "eiv")) {
    expect_error(em_fa(datasets::mtcars, n_factors = 2, rotation = name), paste0("GPArotation::", name),
                 class = "em_error_rotation")
  }
  expect_error(em_fa(datasets::mtcars, n_factors = 2, rotation = "oblimax"), "coincide", class = "em_error_rotation")
})
