# em_mixture(): what it reaches by itself, constraints, weights, labels, missing values, methods, messages. Stored
# optima and likelihoods by definition are in test-mixture-reference.R.

quiet_control <- function(...) em_control(progress = FALSE, ...)
quick <- function(...) em_mixture(..., control = quiet_control())
tight <- function(...) em_mixture(..., control = tight_control(progress = FALSE))

# Two Poisson lines whose proportions depend on z.
count_lines <- function(n = 150) {
  with_seed(21, {
    data <- data.frame(x = stats::runif(n, -1, 1), z = stats::rnorm(n))
    data$component <- 1L + stats::rbinom(n, 1, stats::plogis(0.3 + data$z))
    data$y <- stats::rpois(n, exp(c(.4, 2)[data$component] + c(.8, -.5)[data$component] * data$x))
    data
  })
}
gaussian_lines <- function(n = 120) {
  with_seed(22, {
    data <- data.frame(x = stats::runif(n, 0, 10))
    data$component <- 1L + stats::rbinom(n, 1, .35)
    line <- c(1, 12)[data$component] + c(2, -1)[data$component] * data$x
    data$y <- line + stats::rnorm(n, 0, c(1, .5)[data$component])
    data
  })
}

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

# The log-likelihood of two Poisson lines with proportions by z, and minus that of two Gaussian lines, by definition.
two_count_lines <- function(a, data) {
  p <- stats::plogis(a[1] + a[2] * data$z)
  first <- stats::dpois(data$y, exp(a[3] + a[4] * data$x))
  sum(log((1 - p) * first + p * stats::dpois(data$y, exp(a[5] + a[6] * data$x))))
}
two_lines <- function(p, b, sd, data) {
  first <- stats::dnorm(data$y, b[1] + b[2] * data$x, sd[1])
  -sum(log(p * first + (1 - p) * stats::dnorm(data$y, b[3] + b[4] * data$x, sd[2])))
}

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

# --- standard errors ----------------------------------------------------------------------------------

test_that("the variance is the inverse of a numerical Hessian of the likelihood by definition", {
  data <- gaussian_lines()
  fit <- tight(y ~ x, data, n_components = 2)
  e <- fit$parameters$emission
  at <- c(fit$parameters$proportions[[1]], e$coefficients, e$sd)
  hessian <- numerical_hessian(function(a) two_lines(a[1], a[2:5], a[6:7], data), at)
  ours <- vcov(fit)[-2, -2]
  # Differences of a function: six digits.
  expect_equal(unname(ours), solve(hessian), tolerance = 1e-5)
  expect_equal(vcov(fit)["proportion[1]", "proportion[2]"], -vcov(fit)["proportion[1]", "proportion[1]"])
  expect_equal(rownames(vcov(fit)), names(coef(fit)))

  counts <- count_lines()
  fit <- tight(y ~ x, counts, n_components = 2, family = "poisson", proportions = ~ z)
  loglik <- function(a) two_count_lines(a, counts)
  expect_equal(unname(vcov(fit)), solve(-numerical_hessian(loglik, unname(coef(fit)))), tolerance = 1e-5)
})

test_that("intervals stay inside the range of a parameter", {
  data <- gaussian_lines()
  fit <- quick(y ~ x, data, n_components = 2)
  limits <- confint(fit)
  se <- sqrt(diag(vcov(fit)))
  p <- fit$parameters$proportions[[1]]
  expect_equal(unname(limits["proportion[1]", ]),
               stats::plogis(stats::qlogis(p) + c(-1, 1) * stats::qnorm(.975) * se[["proportion[1]"]] / (p * (1 - p))))
  sd <- fit$parameters$emission$sd[[1]]
  limits <- sd * exp(c(-1, 1) * stats::qnorm(.75) * se[["sd[1]"]] / sd)
  expect_equal(unname(confint(fit, "sd[1]", level = .5)[1, ]), limits)
  plain <- confint(fit, transform = FALSE)
  expect_equal(unname(plain[, 2] - plain[, 1]), unname(2 * stats::qnorm(.975) * se))
})

test_that("constants have no variance, probabilities at their bound have none that is known", {
  data <- gaussian_lines()
  fit <- quick(y ~ x, data, n_components = 2, fixed = list(sd = c(1, NA)), start = data$component)
  expect_equal(diag(vcov(fit))[["sd[1]"]], 0)
  expect_gt(diag(vcov(fit))[["sd[2]"]], 0)
  # All of one class answer yes to the first question.
  answers <- with_seed(2, {
    class <- rep(1:2, c(60, 40))
    as.data.frame(lapply(1:4, function(j) stats::rbinom(100, 1, if (j == 1) c(1, .4)[class] else c(.8, .3)[class])),
                  col.names = paste0("q", 1:4))
  })
  formulas <- lapply(paste0("q", 1:4, " ~ 1"), stats::as.formula)
  fit <- quick(formulas, answers, n_components = 2, family = "binomial", fixed = list(q1 = list(prob = c(1, NA))),
                    start = rep(1:2, c(60, 40)))
  variance <- diag(vcov(fit))
  expect_true(is.na(variance[["q1.prob[1]"]]))
  expect_true(all(variance[names(variance) != "q1.prob[1]"] > 0))
})

# --- predictions, residuals, draws --------------------------------------------------------------------

test_that("predictions are means of the components, averaged by the proportions", {
  data <- count_lines()
  fit <- quick(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z)
  new <- data.frame(x = c(-.5, .2, 1), z = c(0, 1, -2), row.names = c("a", "b", "c"))
  b <- fit$parameters$emission$coefficients
  means <- exp(cbind(1, new$x) %*% b)
  p <- stats::plogis(drop(cbind(1, new$z) %*% fit$parameters$proportions[, 2]))
  expect_equal(predict(fit, new, "component"), matrix(means, 3, dimnames = list(c("a", "b", "c"), c("1", "2"))))
  expect_equal(predict(fit, new), stats::setNames((1 - p) * means[, 1] + p * means[, 2], c("a", "b", "c")))
  # A response that is missing, or not there, says nothing.
  expect_equal(predict(fit, new, "posterior"), predict(fit, cbind(new, y = NA_real_), "posterior"))
  expect_equal(unname(predict(fit, new, "density")), rep(1, 3))
  new$y <- c(1, 5, NA)
  joint <- cbind(1 - p, p) * stats::dpois(new$y, means)
  expect_equal(unname(predict(fit, new, "density")), c(rowSums(joint)[1:2], 1))
  expect_equal(unname(predict(fit, new, "density", log = TRUE)), log(c(rowSums(joint)[1:2], 1)))
  expect_equal(unname(predict(fit, new, "class")[1:2]), max.col(joint[1:2, ]))
  expect_equal(as.numeric(logLik(fit, newdata = new)), sum(log(rowSums(joint)[1:2])))
  expect_equal(predict(fit), fitted(fit))
  expect_equal(unname(fitted(fit, by = "posterior")), unname(rowSums(fit$posterior * predict(fit, type = "component"))))
})

test_that("categories and several columns have a mean for each", {
  data <- with_seed(5, {
    class <- rep(1:2, each = 60)
    word <- factor(c("a", "b", "c")[1 + stats::rbinom(120, 2, c(.2, .8)[class])])
    data.frame(word, y1 = stats::rnorm(120, 3 * class), y2 = stats::rnorm(120, -2 * class))
  })
  fit <- quick(list(word ~ 1, pair = cbind(y1, y2) ~ 1), data, n_components = 2,
               family = list("categorical", "mvgaussian"))
  means <- predict(fit, type = "component")
  expect_equal(dimnames(means)[[3]], c("word[a]", "word[b]", "word[c]", "pair[y1]", "pair[y2]"))
  expect_equal(unname(means[1, , "word[b]"]), unname(fit$parameters$emission$word$prob[, "b"]))
  expect_equal(unname(means[1, 2, c("pair[y1]", "pair[y2]")]), unname(fit$parameters$emission$pair$mean[, 2]))
  # New rows may have one of the categories only.
  alone <- data.frame(word = c("b", "b"))
  expect_equal(unname(predict(fit, alone, "density")),
               rep(sum(fit$parameters$proportions * fit$parameters$emission$word$prob[, "b"]), 2))
  expect_error(predict(fit, data.frame(word = "d")), class = "em_error_newdata")
})

test_that("quantile residuals are normal quantiles of the mixture's distribution function", {
  data <- gaussian_lines()
  fit <- quick(y ~ x, data, n_components = 2)
  e <- fit$parameters$emission
  mean <- cbind(1, data$x) %*% e$coefficients
  below <- rowSums(rep(fit$parameters$proportions, each = 120) * stats::pnorm(data$y, mean, rep(e$sd, each = 120)))
  expect_equal(unname(residuals(fit)), stats::qnorm(below), tolerance = 1e-8)
  expect_equal(unname(residuals(fit, "response")), data$y - unname(predict(fit)))
  # Counts are randomised between the two values of the distribution function.
  counts <- count_lines()
  fit <- quick(y ~ x, counts, n_components = 2, family = "poisson")
  mean <- exp(cbind(1, counts$x) %*% fit$parameters$emission$coefficients)
  at <- function(y) rowSums(rep(fit$parameters$proportions, each = 150) * stats::ppois(y, mean))
  u <- stats::pnorm(residuals(fit, seed = 4))
  expect_true(all(u > at(counts$y - 1) - 1e-12 & u < at(counts$y) + 1e-12))
  expect_identical(residuals(fit, seed = 4), residuals(fit, seed = 4))
})

test_that("residuals of data that the model made are standard normal, for several responses at once", {
  data <- count_lines(2000)
  data$other <- with_seed(8, stats::rgamma(2000, 5, 5 / c(1, 4)[data$component]))
  fit <- quick(list(y ~ x, other ~ 1), data, n_components = 2, family = list("poisson", "gamma"), proportions = ~ z)
  z <- residuals(fit, seed = 1)
  # Kolmogorov and Smirnov's statistic of 2000 values: 0.043 is the 0.1 % point.
  for (j in 1:2) expect_lt(stats::ks.test(z[, j], "pnorm")$statistic, .043)
  expect_lt(abs(stats::cor(z[, 1], z[, 2])), .08)
})

test_that("what is simulated from a fit is found again", {
  data <- gaussian_lines()
  fit <- quick(y ~ x, data, n_components = 2)
  many <- simulate(fit, seed = 1, newdata = data.frame(x = rep(data$x, 40)))
  again <- quick(y ~ x, many, n_components = 2)
  # Standard errors of 4800 rows: four of them.
  expect_lt(max(abs(coef(again) - coef(fit)) / sqrt(diag(vcov(again)))), 4)
  expect_gt(mean(attr(many, "classification") == again$classification), .9)
  two <- simulate(fit, 2, seed = 1)
  expect_named(two, c("sim_1", "sim_2"))
  expect_equal(dim(two$sim_1), c(120L, 2L))
  expect_identical(simulate(fit, 2, seed = 1), two)
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

test_that("a fit is a start, and starts of every kind are taken", {
  data <- count_lines()
  fit <- tight(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z)
  for (start in list(fit, fit$posterior, fit$classification, fit$parameters,
                     list(emission = fit$parameters$emission, proportions = c(.5, .5)), fit$parameters["emission"])) {
    again <- tight(y ~ x, data, family = "poisson", proportions = ~ z, start = start)
    expect_close(again$loglik, fit$loglik, 1e-9)
    expect_equal(nrow(again$starts), 1L)
  }
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

test_that("many rows are searched on a sample, with the same end", {
  data <- count_lines(3000)
  fit <- function(...) {
    with_seed(1, em_mixture(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z,
                            control = quiet_control(...)))
  }
  sampled <- fit(search_rows = 500)
  expect_close(sampled$loglik, fit()$loglik, 1e-9)
  expect_equal(sampled$starts$method[1], "sample of the rows")
  expect_lt(nrow(sampled$starts), 6)
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

# --- what is shown ------------------------------------------------------------------------------------

test_that("the summary has a table for each component as that of a regression", {
  counts <- stats::glm(count ~ spray, stats::poisson(), datasets::InsectSprays)
  fit <- tight(count ~ spray, datasets::InsectSprays, n_components = 1, family = "poisson")
  # glm()'s information is the expected one, which for the canonical link is the observed.
  expect_equal(summary(fit)$coefficients[[1]], summary(counts)$coefficients, tolerance = 1e-6)
  fit <- quick(y ~ x, gaussian_lines(), n_components = 2)
  s <- summary(fit)
  expect_equal(rownames(s$coefficients[["2"]]), c("(Intercept)", "x"))
  expect_equal(rownames(s$auxiliary[["2"]]), "sd")
  se <- sqrt(diag(vcov(fit)))[c("coefficients[(Intercept),2]", "coefficients[x,2]")]
  expect_equal(s$coefficients[["2"]][, "Std. Error"], se, ignore_attr = TRUE)
  expect_null(summary(fit, se = FALSE)$not_identified)
})

test_that("printed fits show the model, its parameters and how it ended", {
  data <- count_lines()
  fit <- with_seed(1, em_mixture(y ~ x, data, n_components = 2, family = "poisson", proportions = ~ z,
                                 control = quiet_control()))
  expect_snapshot(print(fit, digits = 3), transform = function(x) sub("after .*", "after ...", x))
  # The path to the optimum may differ between processors.
  hide <- function(x) sub("(yes, after|tolerance\\);|remaining gain|completed starts).*", "\\1 ...", x)
  expect_snapshot(print(summary(fit), digits = 2), transform = hide)
})
