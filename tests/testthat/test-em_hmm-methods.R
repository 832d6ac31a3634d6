# Methods of hidden Markov models. The sums over all paths are in test-hmm-enumeration.R, published values in
# test-reference-hmm.R; here is what a user holds.

methods_fit <- local({
  fits <- list()
  function(which = "plain") {
    if (is.null(fits[[which]])) {
      speed <- hmm_data("speed")
      speed$id <- rep(c("s1", "s2", "s3"), c(168, 134, 137))
      control <- em_control(progress = FALSE, n_starts = 8, n_polish = 4)
      quick <- function(...) with_seed(1, em_hmm(..., control = control))
      fits[[which]] <<- switch(which,
        plain = quick(rt ~ 1, data = speed, n_states = 2),
        panel = quick(list(rt ~ 1, corr ~ 1), data = speed, n_states = 2, family = list("gaussian", "categorical"),
                      id = ~ id),
        covariate = quick(rt ~ Pacc, data = speed, n_states = 2, transition = ~ Pacc, id = ~ id),
        counts = quick(hmm_data("quakes")[[1]], n_states = 3, family = "poisson", initial = "stationary"))
    }
    fits[[which]]
  }
})

test_that("coefficients are named by parameter and state", {
  expect_named(coef(methods_fit()), c(
    "initial[1]", "initial[2]", "transition[1,1]", "transition[1,2]", "transition[2,1]", "transition[2,2]",
    "mean[1]", "mean[2]", "sd[1]", "sd[2]"
  ))
  fit <- methods_fit("panel")
  expect_equal(coef(fit)[["rt.mean[2]"]], fit$parameters$emission$rt$mean[["2"]])
  expect_equal(coef(fit)[["corr.prob[1,cor]"]], fit$parameters$emission$corr$prob["1", "cor"])
  fit <- methods_fit("covariate")
  expect_equal(coef(fit)[["transition[Pacc,2,1]"]], fit$parameters$transition["Pacc", "2", "1"])
  expect_equal(coef(fit)[["coefficients[Pacc,2]"]], fit$parameters$emission$coefficients["Pacc", "2"])
})

test_that("the variance matrix has the coefficients' names; bounds are named and leave the rest alone", {
  for (which in c("plain", "panel", "covariate", "counts")) {
    fit <- methods_fit(which)
    V <- vcov(fit)
    expect_equal(dimnames(V), list(names(coef(fit)), names(coef(fit))))
    bound <- attr(V, "at_bound")
    expect_true(all(is.na(diag(V)[bound])))
    rest <- setdiff(names(coef(fit)), bound)
    expect_true(all(is.finite(V[rest, rest])))
    expect_true(all(diag(V)[rest] > 0))
  }
  expect_equal(attr(vcov(methods_fit()), "at_bound"), c("initial[1]", "initial[2]"))
  expect_equal(dim(vcov(methods_fit(), complete = FALSE)), c(8L, 8L))
})

test_that("standard errors with covariates are those of the numerical Hessian", {
  fit <- methods_fit("covariate")
  d <- fit$frame
  into <- function(b) {
    coefficients <- array(0, c(2, 2, 2))
    coefficients[, 1, 2] <- b[1:2]
    coefficients[, 2, 1] <- b[3:4]
    hmm_logit_transition(cbind(1, d$Pacc), coefficients, d$id, "from")
  }
  p <- fit$parameters
  at <- c(p$transition[, 1, 2], p$transition[, 2, 1], p$emission$coefficients, p$emission$sd)
  loglik <- function(theta) {
    D <- vapply(1:2, function(k) {
      b <- theta[4 + 2 * k - 1:0]
      stats::dnorm(d$rt, b[1] + b[2] * d$Pacc, theta[8 + k], log = TRUE)
    }, d$rt)
    hmm_forward(unname(p$initial), into(theta[1:4]), D, d$id)
  }
  expect_close(loglik(at), fit$loglik, 1e-10)
  se <- sqrt(diag(solve(-numerical_hessian(loglik, at, units = abs(at) * 0.02))))
  V <- vcov(fit)
  expect_equal(attr(V, "at_bound"), c("initial[1]", "initial[2]"))
  expect_equal(unname(sqrt(diag(V))[-(1:2)]), se, tolerance = 1e-4)
})

test_that("intervals stay inside the range of their parameter, and on request are symmetric", {
  for (which in c("plain", "panel", "counts")) {
    fit <- methods_fit(which)
    limits <- confint(fit)
    shares <- grep("transition|prob", rownames(limits))
    expect_true(all(limits[shares, ] > 0 & limits[shares, ] < 1, na.rm = TRUE))
  }
  fit <- methods_fit()
  se <- sqrt(diag(vcov(fit)))
  expect_equal(confint(fit, "sd[1]", level = 0.9)[1, ] / coef(fit)[["sd[1]"]],
               exp(c("5 %" = -1, "95 %" = 1) * stats::qnorm(0.95) * se[["sd[1]"]] / coef(fit)[["sd[1]"]]))
  expect_equal(unname(rowMeans(confint(fit, "sd[2]", transform = FALSE))), coef(fit)[["sd[2]"]])
  expect_error(confint(fit, "sd[3]"), class = "em_error_argument")
})

test_that("the log-likelihood of new data is that of their sequences, and of the fit's data that of the fit", {
  fit <- methods_fit("panel")
  again <- logLik(fit, fit$frame)
  expect_equal(as.numeric(again), fit$loglik)
  expect_equal(attr(again, "sequences"), fit$sequences)
  two <- logLik(fit, fit$frame[fit$frame$id != "s1", ])
  expect_equal(as.numeric(two), sum(fit$sequences$loglik[2:3]))
  expect_equal(attr(logLik(fit), "df"), fit$df)
})

test_that("predictions of the fit's data given as new data are the same", {
  for (which in c("panel", "covariate")) {
    fit <- methods_fit(which)
    new <- fit$frame
    for (type in c("viterbi", "posterior", "filtered", "predicted", "response", "transition")) {
      expect_equal(unname(predict(fit, new, type = type)), unname(predict(fit, type = type)), tolerance = 1e-9)
    }
  }
})

test_that("expected responses average the states, and residuals are what is left", {
  fit <- methods_fit("panel")
  expected <- predict(fit, type = "response")
  expect_equal(colnames(expected), c("rt", "corr[inc]", "corr[cor]"))
  expect_equal(unname(expected[, "rt"]), unname(drop(fit$posterior %*% fit$parameters$emission$rt$mean)))
  expect_equal(unname(rowSums(expected[, 2:3])), rep(1, 439))
  expect_equal(fitted(fit), expected)
  expect_equal(unname(residuals(fit, "response")[, "rt"]), unname(fit$frame$rt - expected[, "rt"]))
  expect_equal(unname(residuals(fit, "response")[, "corr[cor]"]),
               unname((fit$frame$corr == "cor") - expected[, "corr[cor]"]))
})

test_that("forecasts are the mixture of the states h steps ahead", {
  fit <- methods_fit()
  forecast <- predict(fit, type = "forecast", h = 3, level = 0.8, probs = 0.25)
  p <- fit$parameters
  law <- predict(fit, type = "filtered")[439, ]
  expect_equal(forecast$horizon, 1:3)
  for (h in 1:3) {
    law <- law %*% p$transition
    expect_equal(unlist(attr(forecast, "states")[h, c("1", "2")]), law[1, ])
    expect_equal(forecast$mean[h], sum(law * p$emission$mean))
    for (column in c("lower", "upper", "q0.25")) {
      below <- sum(law * stats::pnorm(forecast[h, column], p$emission$mean, p$emission$sd))
      expect_equal(below, c(lower = 0.1, upper = 0.9, q0.25 = 0.25)[[column]])
    }
  }
})

test_that("forecasts of counts have whole quantiles: the least that reach their probability", {
  fit <- methods_fit("counts")
  forecast <- predict(fit, type = "forecast", h = 2, probs = c(0.1, 0.5))
  law <- as.matrix(attr(forecast, "states")[c("1", "2", "3")])
  lambda <- fit$parameters$emission$lambda
  for (h in 1:2) for (p in c(0.1, 0.5)) {
    cdf <- vapply(0:200, function(y) sum(law[h, ] * stats::ppois(y, lambda)), 0)
    expect_equal(forecast[h, paste0("q", p)], which(cdf >= p)[1] - 1)
  }
  density <- predict(fit, type = "density", h = 1, at = 0:300)
  expect_equal(sum(density$density), 1)
  expect_equal(sum(density$density * density$value), forecast$mean[1])
})

test_that("forecasts are made for every sequence, categories as probabilities", {
  fit <- methods_fit("panel")
  forecast <- predict(fit, type = "forecast", h = 2)
  expect_equal(unique(forecast$sequence), c("s1", "s2", "s3"))
  expect_equal(unique(forecast$response), c("rt", "corr[inc]", "corr[cor]"))
  expect_equal(nrow(forecast), 18)
  both <- forecast[forecast$response != "rt", ]
  expect_equal(as.vector(tapply(both$mean, paste(both$sequence, both$horizon), sum)), rep(1, 6))
})

test_that("covariates of the future enter with the timing of the fit", {
  fit <- methods_fit("covariate")
  expect_error(predict(fit, type = "forecast"), "\"Pacc\"", class = "em_error_newdata")
  new <- data.frame(id = rep(c("s3", "s1", "s2"), each = 2), Pacc = c(.1, .9, .4, .5, .6, .2))
  forecast <- predict(fit, new, type = "forecast")
  expect_equal(forecast$sequence, rep(c("s1", "s2", "s3"), each = 2))
  last <- c(168, 302, 439)
  filtered <- predict(fit, type = "filtered")
  b <- fit$parameters$transition
  step <- function(law, x) {
    law %*% t(vapply(1:2, function(i) hmm_softmax(b[1, i, ] + b[2, i, ] * x), numeric(2)))
  }
  for (s in 1:3) {
    x <- new$Pacc[new$id == c("s1", "s2", "s3")[s]]
    first <- step(filtered[last[s], ], fit$frame$Pacc[last[s]])
    second <- step(first, x[1])
    mean <- function(law, x) sum(law * c(1, x) %*% fit$parameters$emission$coefficients)
    expect_equal(forecast$mean[forecast$sequence == paste0("s", s)], c(mean(first, x[1]), mean(second, x[2])))
  }
  expect_error(predict(fit, new, type = "forecast", h = 3), "fewer than h", class = "em_error_newdata")
})

test_that("quantile residuals of the right model are standard normal and independent", {
  fit <- methods_fit("counts")
  # The parameters of the fit on data that it made.
  series <- unlist(lapply(simulate(fit, nsim = 30, seed = 3), function(d) d[[1]]))
  z <- residuals(fit, newdata = series, ntimes = rep(107, 30), seed = 1)
  expect_gt(stats::ks.test(z, "pnorm")$p.value, 0.001)
  expect_lt(abs(stats::cor(z[-1], z[-length(z)])), 4 / sqrt(length(z)))
  expect_identical(z, residuals(fit, newdata = series, ntimes = rep(107, 30), seed = 1))
})

test_that("simulated data have the shape of the data, and are as likely as they should be", {
  fit <- methods_fit("panel")
  one <- simulate(fit, seed = 5)
  expect_equal(names(one), names(fit$frame))
  expect_equal(one$id, fit$frame$id)
  expect_equal(levels(one$corr), levels(fit$frame$corr))
  expect_length(attr(one, "states"), 439)
  expect_identical(simulate(fit, seed = 5), one)
  draws <- simulate(fit, nsim = 40, seed = 6)
  means <- t(vapply(draws, function(d) c(mean(d$rt), mean(d$corr == "cor"), mean(attr(d, "states") == 1)), numeric(3)))
  law <- stationary(fit)
  p <- fit$parameters$emission
  expected <- c(sum(law * p$rt$mean), sum(law * p$corr$prob[, "cor"]), law[[1]])
  expect_true(all(abs(colMeans(means) - expected) < 5 * apply(means, 2, stats::sd) / sqrt(40) + 0.02))
})

test_that("sampled paths have the posterior's shares and depend on the seed", {
  fit <- methods_fit("panel")
  paths <- sample_paths(fit, n = 400, seed = 2)
  expect_equal(dim(paths), c(439L, 400L))
  share <- rowMeans(paths == 2)
  z <- fit$posterior[, 2]
  expect_true(all(abs(share - z) < 5 * sqrt(pmax(z * (1 - z), 0) / 400) + 0.01))
  expect_identical(sample_paths(fit, n = 2, seed = 2), sample_paths(fit, n = 2, seed = 2))
})

test_that("posterior() speaks depmixS4's words", {
  fit <- methods_fit("panel")
  expect_equal(posterior(fit), fit$posterior)
  expect_equal(posterior(fit, type = "filtering"), predict(fit, type = "filtered"))
  expect_equal(unname(posterior(fit, type = "local")), unname(max.col(fit$posterior)))
  expect_equal(posterior(fit, type = "global"), fit$states)
  expect_equal(posterior(fit, type = "viterbi"), fit$states)
})

test_that("the stationary law solves its equation, with standard errors by the delta method", {
  fit <- methods_fit()
  law <- stationary(fit, se = TRUE)
  G <- fit$parameters$transition
  expect_equal(as.vector(law %*% G), as.vector(law))
  # Two states: pi_1 = g21 / (g12 + g21).
  a <- G[1, 2]
  b <- G[2, 1]
  V <- vcov(fit)[c("transition[1,2]", "transition[2,1]"), c("transition[1,2]", "transition[2,1]")]
  slope <- c(-b, a) / (a + b)^2
  expect_equal(attr(law, "se")[["1"]], sqrt(drop(slope %*% V %*% slope)), tolerance = 1e-6)
  fit <- methods_fit("covariate")
  rows <- stationary(fit, newdata = data.frame(Pacc = c(.2, .7)))
  slices <- lapply(c(.2, .7), function(x) t(vapply(1:2, function(i) {
    hmm_softmax(fit$parameters$transition[1, i, ] + fit$parameters$transition[2, i, ] * x)
  }, numeric(2))))
  for (i in 1:2) expect_equal(as.vector(rows[i, ] %*% slices[[i]]), as.vector(rows[i, ]))
  expect_warning(law <- stationary(diag(2)), class = "em_warning_not_unique")
  expect_true(all(is.na(law)))
})

test_that("update() changes the call", {
  fit <- methods_fit()
  speed <- hmm_data("speed")
  control <- em_control(progress = FALSE, n_starts = 3)
  expect_equal(update(fit, n_states = 1, control = control, evaluate = FALSE)$n_states, 1)
})

test_that("the model frame is the data that the model uses", {
  expect_equal(names(model.frame(methods_fit("panel"))), c("rt", "corr", "id"))
  expect_equal(model.frame(methods_fit("counts"))[[1]], hmm_data("quakes")[[1]])
})

test_that("print shows the model, its criteria, states and transitions", {
  output <- capture.output(print(methods_fit("covariate")))
  expect_match(output, "Hidden Markov model of 2 states", all = FALSE)
  expect_match(output, "timing \"from\"", all = FALSE)
  expect_match(output, "n_states", all = FALSE)
  expect_match(output, "Converged", all = FALSE)
  expect_lt(length(output), 25)
})

test_that("summary says what was counted, which timing, how long states last, and standard errors on request", {
  output <- paste(capture.output(print(summary(methods_fit("covariate"), se = TRUE))), collapse = "\n")
  for (text in c("439 rows that observe at least one response", "covariates of row\\s+t - 1", "long-run share",
                 "std. error",
                 "at the bound of its range")) {
    expect_match(output, text)
  }
  plain <- summary(methods_fit())
  expect_equal(plain$degeneracy$dwell, unname(1 / (1 - diag(methods_fit()$parameters$transition))))
  expect_null(plain$coefficients$std_error)
})

test_that("new data must have what the model uses", {
  fit <- methods_fit("covariate")
  expect_error(predict(fit, fit$frame[c("rt", "id")], "posterior"), "\"Pacc\"", class = "em_error_newdata")
  expect_error(predict(fit, fit$frame[c("rt", "Pacc")], "posterior"), "\"id\"", class = "em_error_newdata")
  expect_error(predict(fit, fit$frame[c("id", "Pacc")], "posterior"), "\"rt\"", class = "em_error_newdata")
  expect_error(predict(fit, type = "posterior", h = 2), class = "em_error_argument")
})

test_that("a fit of one state with several parameters prints", {
  fit <- em_hmm(eruptions ~ 1, faithful, n_states = 1, control = em_control(progress = FALSE))
  expect_output(print(fit), "mean +sd")
})

test_that("a chain that all but never moves has no unique stationary law", {
  stay <- rbind(c(1 - 1e-10, 1e-10), c(1e-10, 1 - 1e-10))
  expect_warning(law <- stationary(stay), class = "em_warning_not_unique")
  expect_identical(law, c(NA_real_, NA_real_))
})

test_that("angles are averaged on the circle", {
  # Means on both sides of pi, 0.28 apart.
  y <- with_seed(1, stats::rnorm(200, rep(c(3, -3), each = 20), .2))
  fit <- em_hmm(y, n_states = 2, family = "vonmises", control = em_control(progress = FALSE))
  expect_gt(min(abs(fitted(fit))), 2.5)
  expect_lt(max(abs(residuals(fit, "response"))), 1.5)
  ahead <- predict(fit, type = "forecast", h = 30)
  expect_gt(abs(ahead$mean[30]), 2.9)
  expect_true(all(ahead$lower < ahead$mean & ahead$mean < ahead$upper & ahead$upper - ahead$lower < 1.5))
  # What lies outside (-pi, pi] is not cut off.
  expect_true(any(ahead$lower < -pi | ahead$upper > pi))
})

test_that("arguments that a type of prediction does not use are refused", {
  fit <- methods_fit("panel")
  refused <- function(argument, ...) expect_error(predict(fit, ...), paste0("`", argument, "`"),
                                                  class = "em_error_argument")
  refused("h", type = "posterior", h = 2)
  refused("probs", type = "posterior", probs = .5)
  refused("level", type = "filtered", level = .5)
  refused("at", type = "forecast", at = 1)
  refused("probs", type = "density", probs = .5)
  refused("ntimes", type = "viterbi", ntimes = 439)
  expect_error(viterbi(fit, ntimes = 439), "`ntimes`", class = "em_error_argument")
  expect_error(residuals(fit, "response", seed = 1), "`seed`", class = "em_error_argument")
})
