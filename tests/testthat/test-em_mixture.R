# em_mixture(): what it reaches by itself, constraints, weights, labels, missing values, messages. Stored
# optima and likelihoods by definition are in test-mixture-reference.R.

quick <- function(...) em_mixture(..., control = quiet_control())
tight <- function(...) em_mixture(..., control = tight_control(progress = FALSE))

# --- what is reached without a start ------------------------------------------------------------------

test_that("known optima are reached without start values, whatever the seed", {
  tones <- utils::read.csv(test_fixture("tonedata.csv"))
  times <- data.frame(deaths = 0:9, days = c(162, 267, 271, 185, 111, 61, 27, 8, 3, 1))
  galaxies <- data.frame(v = data_galaxies())
  acidity <- data.frame(v = data_acidity())
  for (seed in 1:3) {
    reached <- with_seed(seed, c(
      quick(waiting ~ eruptions, faithful, 2)$loglik,
      quick(tuned ~ stretchratio, tones, 2)$loglik,
      quick(deaths ~ 1, times, 2, family = "poisson", weights = days)$loglik,
      quick(v ~ 1, galaxies, 3)$loglik,
      quick(v ~ 1, acidity, 3, shared = "sd")$loglik,
      quick(cbind(eruptions, waiting) ~ 1, faithful, 2)$loglik
    ))
    # The last three are those of em_gmm() (and mclust, where its own start does not miss them).
    known <- c(-864.299624072, 141.1984023, -1989.945859883, -203.17922797, -183.17826116, -1130.26396018)
    expect_close(reached, known, 1e-7)
  }
})

test_that("a mixture of regressions reaches the maximum that another program's estimator misses", {
  skip_if_not_installed("flexmix")
  data("NPreg", package = "flexmix", envir = environment())
  fit <- quick(yn ~ x + I(x^2), NPreg, n_components = 2)
  # flexmix divides the sum of squares by less than maximum likelihood does: -642.5452.
  expect_close(fit$loglik, -642.5320137, 1e-7)
  other <- with_seed(1, flexmix::flexmix(yn ~ x + I(x^2), data = NPreg, k = 2, cluster = fit$classification))
  expect_gt(fit$loglik, other@logLik)
  # flexmix's own estimate has the likelihood, by definition, that flexmix says.
  p <- flexmix::parameters(other)
  order <- order(-flexmix::prior(other))
  start <- list(proportions = flexmix::prior(other)[order],
                emission = list(coefficients = unname(p[1:3, order]), sd = unname(p[4, order])))
  at <- quietly(em_mixture(yn ~ x + I(x^2), NPreg, start = start, control = quiet_control(max_iter = 0)))
  # It stops one M-step of its own after that, at a tolerance of 1e-6.
  expect_close(at$loglik, other@logLik, 1e-7)
})

test_that("the number of components is chosen by the criterion, and all are in the table", {
  fit <- quick(y ~ x, gaussian_lines(), n_components = 3:1)
  expect_equal(fit$selection$n_components, 1:3)
  expect_equal(fit$n_components, 2L)
  expect_equal(fit$selection$df, c(3, 7, 11))
  expect_equal(fit$selection$BIC, -2 * fit$selection$loglik + fit$selection$df * log(120))
  expect_equal(fit$selection$BIC[2], stats::BIC(fit))
  z <- fit$posterior
  expect_equal(ICL(fit), stats::BIC(fit) - 2 * sum(log(apply(z, 1, max))))
  expect_equal(ICL(fit, "soft"), stats::BIC(fit) - 2 * sum(z * log(pmax(z, 1e-300))), tolerance = 1e-7)
})

test_that("components are ordered by decreasing proportion", {
  data <- gaussian_lines()
  fit <- quick(y ~ x, data, n_components = 2, start = 3 - data$component)
  expect_gt(fit$parameters$proportions[[1]], fit$parameters$proportions[[2]])
  expect_equal(unname(fit$parameters$proportions), fit$degeneracy$size / 120, tolerance = 1e-6)
  expect_equal(fit$classification, max.col(fit$posterior), ignore_attr = TRUE)
})

# --- constraints --------------------------------------------------------------------------------------

test_that("shared, fixed and equal parameters are at the constrained maximum", {
  data <- gaussian_lines()
  # Nelder and Mead finds the maximum to about 1e-8 of the log-likelihood.
  best <- function(start, f) {
    for (i in 1:6) start <- stats::optim(start, f, control = list(reltol = 1e-15, maxit = 5000))$par
    -f(start)
  }
  lines <- c(1, 2, 12, -1)
  fit <- quick(y ~ x, data, n_components = 2, shared = "sd")
  expect_equal(fit$df, 6)
  expect_equal(fit$parameters$emission$sd[[1]], fit$parameters$emission$sd[[2]])
  expect_close(fit$loglik, best(c(.6, lines, 1), function(a) {
    if (a[1] <= 0 || a[1] >= 1 || a[6] <= 0) Inf else two_lines(a[1], a[2:5], a[c(6, 6)], data)
  }), 1e-7)
  fit <- quick(y ~ x, data, n_components = 2, shared = "x")
  expect_equal(fit$df, 6)
  slopes <- fit$parameters$emission$coefficients["x", ]
  expect_equal(slopes[[1]], slopes[[2]])
  expect_true(all(diff(fit$trace$loglik) > -1e-9))

  fixed <- list(emission = list(sd = c(1, NA)), proportions = c(.6, .4))
  fit <- quick(y ~ x, data, n_components = 2, fixed = fixed, start = data$component)
  expect_equal(fit$df, 5)
  expect_equal(fit$parameters$emission$sd[[1]], 1)
  expect_equal(unname(fit$parameters$proportions), c(.6, .4))
  expect_close(fit$loglik, best(c(lines, .5), function(a) {
    if (a[5] <= 0) Inf else two_lines(.6, a[1:4], c(1, a[5]), data)
  }), 1e-7)
  # One response's parameters need no list of their own.
  short <- quick(y ~ x, data, n_components = 2, fixed = list(sd = c(1, NA), proportions = c(.6, .4)),
                      start = data$component)
  expect_equal(short$loglik, fit$loglik)

  fit <- quick(y ~ x, data, n_components = 2, equal_proportions = TRUE)
  expect_equal(fit$df, 6)
  expect_equal(unname(fit$parameters$proportions), c(.5, .5))
})

test_that("a mixture of multivariate normal distributions is that of em_gmm(), in every structure asked for", {
  for (code in c("VVV", "EEE", "VEI")) {
    a <- em_gmm(iris[, 1:4], n_components = 3, covariance = code, start = iris$Species, control = tight_control())
    b <- tight(cbind(Sepal.Length, Sepal.Width, Petal.Length, Petal.Width) ~ 1, iris, n_components = 3,
                    covariance = code, start = iris$Species)
    expect_close(b$loglik, a$loglik, 1e-8)
    expect_equal(b$df, a$df)
  }
})

# --- concomitant variables ----------------------------------------------------------------------------

test_that("coefficients of the proportions maximise the likelihood by definition", {
  data <- count_lines()
  fit <- tight(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z)
  loglik <- function(a) two_count_lines(a, data)
  at <- c(fit$parameters$proportions[, 2], fit$parameters$emission$coefficients)
  expect_close(loglik(at), fit$loglik, 1e-11)
  expect_lt(max(abs(numerical_gradient(loglik, at))), 1e-4)
  expect_equal(dimnames(fit$parameters$proportions), list(c("(Intercept)", "z"), c("1", "2")))
  expect_equal(unname(fit$parameters$proportions[, 1]), c(0, 0))
  # The proportions of new rows.
  new <- data.frame(x = 0, z = c(-1, 2))
  expect_equal(predict(fit, new, "posterior")[, 2], stats::plogis(at[1] + at[2] * new$z), tolerance = 1e-10,
               ignore_attr = TRUE)
})

test_that("units and origins of covariates do not matter", {
  data <- count_lines()
  fit <- tight(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z, start = data$component)
  data$x <- 1e6 + 1e-3 * data$x
  data$z <- 1e4 * data$z - 1e5
  far <- tight(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z, start = data$component)
  expect_close(far$loglik, fit$loglik, 1e-8)
  p <- fit$parameters
  expect_equal(far$parameters$emission$coefficients[2, ], p$emission$coefficients[2, ] * 1e3, tolerance = 1e-5)
  expect_equal(far$parameters$proportions[[2, 2]], p$proportions[[2, 2]] * 1e-4, tolerance = 1e-5)
})

# --- weights, labels, missing values ------------------------------------------------------------------

test_that("integer weights are replicated rows, and rows of weight 0 are not there", {
  data <- count_lines()
  data$w <- rep(0:2, 50)
  # The covariates have other means and scales in the two fits, so the optimum, not the path, is the same.
  fit <- function(data, ...) {
    em_mixture(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z, start = data$component,
               control = tight_control(progress = FALSE), ...)
  }
  weighted <- fit(data, weights = w)
  copied <- fit(data[rep(seq_len(150), data$w), ])
  expect_close(weighted$loglik, copied$loglik, 1e-10)
  expect_equal(weighted$nobs, 150)
  expect_equal(coef(weighted), coef(copied), tolerance = 1e-6)
  expect_equal(vcov(weighted), vcov(copied), tolerance = 1e-5)
  expect_equal(stats::weights(weighted), data$w)
})

test_that("known labels enter with their own component, also where they name it", {
  data <- gaussian_lines()
  known <- ifelse(seq_len(120) %% 3 == 0, c("rising", "falling")[data$component], NA)
  fit <- quick(y ~ x, data, n_components = 2, known = known)
  expect_equal(names(fit$parameters$proportions), c("falling", "rising"))
  joint <- log(rep(fit$parameters$proportions, each = 120)) + vapply(1:2, function(k) {
    b <- fit$parameters$emission$coefficients[, k]
    stats::dnorm(data$y, b[1] + b[2] * data$x, fit$parameters$emission$sd[k], log = TRUE)
  }, numeric(120))
  label <- match(known, c("falling", "rising"))
  joint[cbind(which(!is.na(label)), 3 - label[!is.na(label)])] <- -Inf
  expect_close(fit$loglik, sum(log(rowSums(exp(joint)))), 1e-10)
  expect_equal(unname(fit$posterior), unname(exp(joint) / rowSums(exp(joint))), tolerance = 1e-8)
  expect_lt(fit$parameters$emission$coefficients["x", "falling"], 0)
})

test_that("rows count with what they observe; those that observe nothing change nothing", {
  data <- count_lines()
  data$other <- with_seed(3, stats::rnorm(150, 3 * data$component))
  data$y[1:20] <- NA
  data$other[11:30] <- NA
  formulas <- list(y ~ x, other ~ 1)
  fit <- quick(formulas, data, n_components = 2, family = list("poisson", "gaussian"))
  short <- quick(formulas, data[-(11:20), ], n_components = 2, family = list("poisson", "gaussian"))
  expect_close(fit$loglik, short$loglik, 1e-9)
  expect_equal(fit$nobs, 140)
  expect_equal(fit$n_rows, 150L)
  expect_equal(unname(fit$posterior[15, ]), unname(fit$parameters$proportions), tolerance = 1e-12)
  e <- fit$parameters$emission
  by_hand <- fit$parameters$proportions * stats::dnorm(data$other[5], e$other$mean, e$other$sd)
  expect_equal(unname(fit$posterior[5, ]), unname(by_hand / sum(by_hand)), tolerance = 1e-10)
})

test_that("a missing covariate is an error that names its row", {
  data <- count_lines()
  data$z[7] <- NA
  expect_error(em_mixture(y ~ x, data, 2, family = "poisson", proportions = ~ z), "missing in row 7",
               class = "em_error_missing_covariate")
})

test_that("the bits do not depend on the number of threads", {
  # Enough rows for several chunks.
  data <- count_lines(5000)
  fits <- lapply(c(1, 2, 4), function(threads) {
    with_seed(1, em_mixture(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z,
                            control = quiet_control(threads = threads, n_starts = 4)))
  })
  for (i in 2:3) expect_identical(fits[[i]][c("parameters", "loglik", "posterior", "starts")],
                                  fits[[1]][c("parameters", "loglik", "posterior", "starts")])
})

# --- the call -----------------------------------------------------------------------------------------

test_that("weights and subset are looked up in the data, from inside a function too", {
  data <- gaussian_lines()
  data$w <- 1 + seq_len(120) %% 2
  direct <- em_mixture(y ~ x, data, n_components = 2, weights = w, subset = x > 2, start = data$component[data$x > 2],
                       control = quiet_control())
  through <- function(...) em_mixture(y ~ x, data, n_components = 2, ...)
  inside <- through(weights = w, subset = x > 2, start = data$component[data$x > 2], control = quiet_control())
  expect_equal(inside$loglik, direct$loglik)
  expect_equal(direct$n_rows, sum(data$x > 2))
  # Labels may be those of all rows.
  known <- ifelse(seq_len(120) %% 4 == 0, data$component, NA)
  a <- em_mixture(y ~ x, data, n_components = 2, subset = x > 2, known = known, control = quiet_control())
  b <- em_mixture(y ~ x, data[data$x > 2, ], n_components = 2, known = known[data$x > 2], control = quiet_control())
  expect_close(a$loglik, b$loglik, 1e-9)
})

test_that("update() changes arguments and the formula", {
  data <- gaussian_lines()
  fit <- em_mixture(y ~ x, data, n_components = 2, control = quiet_control())
  line <- stats::lm(y ~ x, data)
  expect_equal(update(fit, n_components = 1)$loglik, as.numeric(stats::logLik(line)), tolerance = 1e-8)
  expect_equal(update(fit, . ~ 1, n_components = 1)$parameters$emission$mean[[1]], mean(data$y))
  expect_equal(names(model.frame(fit)), c("x", "y"))
})

test_that("single yes-no answers are known not to identify a mixture", {
  data <- data.frame(y = rep(0:1, 20))
  expect_warning(quick(y ~ 1, data, 2, family = "binomial"), "fewer than 3",
                 class = "em_warning_identifiability")
  # Three trials are enough for two components.
  data <- data.frame(y = rep(0:3, 10), n = 3)
  expect_no_warning(quick(cbind(y, n - y) ~ 1, data, 2, family = "binomial"))
})

test_that("points on a line are a degenerate fit, and the error says what to do", {
  data <- data.frame(x = 1:10, y = 2 * (1:10))
  expect_error(quick(y ~ x, data, 2), "fewer components", class = "em_error_degenerate")
})

test_that("numbers of components that cannot be fitted are in the table, with the reason", {
  data <- data.frame(y = c(1, 2, 4, 8, 9, 11))
  fit <- quick(y ~ 1, data, n_components = c(1, 5))
  expect_equal(fit$n_components, 1L)
  expect_equal(fit$selection$status, c("converged", "degenerate"))
  expect_match(fit$selection$message[2], "fewer observations")
})

test_that("a component that has almost no spread is told of", {
  data <- with_seed(3, data.frame(y = c(rep(0, 20) + stats::rnorm(20, 0, 1e-5), stats::rnorm(80, 5))))
  expect_warning(fit <- quick(y ~ 1, data, n_components = 2), "no spread", class = "em_warning_near_degenerate")
  expect_lt(fit$degeneracy$relative_scale[2], 1e-4)
  expect_output(print(summary(fit)), "no spread")
})

test_that("a row that fixed parameters do not allow is named", {
  data <- data.frame(y = c(0, 0, 3, 0))
  expect_error(quick(y ~ 1, data, 2, family = "poisson", fixed = list(lambda = c(0, 0))),
               "Row 3", class = "em_error_impossible_row")
})

test_that("what cannot be is an error that names the argument", {
  data <- count_lines()
  fails <- function(class, ...) expect_error(quick(...), class = paste0("em_error_", class))
  fails("formula", ~ x, data, 2)
  fails("family", y ~ x, data, 2, family = "poison")
  fails("support", y ~ x, transform(data, y = y - .5), 2, family = "poisson")
  fails("n_components", y ~ x, data, 0)
  fails("n_components", y ~ x, data, 151)
  fails("formula", y ~ x, data, 2, proportions = y ~ z)
  fails("fixed", y ~ x, data, 1:2, fixed = list(sd = 1))
  fails("fixed", y ~ x, data, 2, fixed = list(size = c(1, NA)))
  fails("fixed", y ~ x, data, 2, fixed = list(proportions = c(.5, .6)))
  fails("argument", y ~ x, data, 2, proportions = ~ z, equal_proportions = TRUE)
  fails("shared", y ~ x, data, 2, shared = "size")
  fails("start", y ~ x, data, 2, start = rep(1, 150))
  emission <- list(coefficients = matrix(0, 2, 2), sd = c(1, 1))
  fails("start", y ~ x, data, 2, start = list(proportions = c(.5, .6), emission = emission))
  fails("weights", y ~ x, data, 2, weights = -x)
  fails("known", y ~ x, data, 2, known = 1:3)
  fails("unused_argument", y ~ x, data, 2, families = "poisson")
  fails("argument", y ~ x, data, 2, criterion = "bic")
  fails("subset", y ~ x, data, 2, subset = "all")
  fails("missing_covariate", y ~ x, transform(data, x = NA_real_), 2)
  fit <- quick(y ~ x, data, n_components = 2, family = "poisson")
  expect_error(predict(fit, data.frame(z = 1)), class = "em_error_newdata")
  expect_error(predict(fit, type = "state"), class = "em_error_argument")
})

test_that("without its data a fit says what it can and asks for the rest", {
  data <- count_lines()
  fit <- em_mixture(y ~ x, data, n_components = 2, family = "poisson",
                    control = quiet_control(keep_data = FALSE, keep_posterior = FALSE))
  expect_null(fit$data)
  expect_null(fit$posterior)
  expect_length(predict(fit, data), 150)
  expect_equal(unname(predict(fit, type = "class")), unname(predict(fit, data, "class")))
  expect_output(print(summary(fit)), "Component 2")
  for (f in list(vcov, residuals, predict, simulate)) expect_error(f(fit), class = "em_error_no_data")
})
