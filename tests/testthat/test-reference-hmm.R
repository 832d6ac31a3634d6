# Reference fits of hidden Markov models (fixtures/hmm-reference.R; recomputed by plain-R oracles in
# fixtures/make-hmm-reference.R). Tolerances: 1e-7 on log-likelihoods, relative; 1e-5 on parameters (the likelihood is
# flat at its top, so that they are known to fewer digits); 1e-5 on standard errors.

reference <- hmm_reference_values()
speed <- hmm_data("speed")
quakes <- hmm_data("quakes")

by_row <- function(P) as.numeric(t(P))
expect_loglik <- function(fit, loglik) expect_close(fit$loglik, loglik, 1e-7)
# AIC and BIC are printed to six decimals or four by some sources.
expect_criteria <- function(fit, stored) {
  if (!is.null(stored$aic)) expect_close(stats::AIC(fit), stored$aic, 1e-7)
  expect_close(stats::BIC(fit), stored$bic, 1e-7)
}

# One Gaussian response against its stored values.
expect_gaussian_reference <- function(fit, stored) {
  expect_loglik(fit, stored$loglik)
  expect_close(unname(fit$parameters$emission$mean), stored$mean, 1e-5)
  expect_close(unname(fit$parameters$emission$sd), stored$sd, 1e-5)
  if (!is.null(stored$transition)) expect_close(by_row(fit$parameters$transition), stored$transition, 1e-5)
  if (!is.null(stored$initial)) expect_equal(unname(fit$parameters$initial), stored$initial, tolerance = 1e-6)
}

# --- speed ------------------------------------------------------------------------------------------

test_that("speed, response times in two states", {
  stored <- reference$speed
  fit <- hmm_tight(rt ~ 1, data = speed, n_states = 2)
  expect_gaussian_reference(fit, stored)
  expect_criteria(fit, stored)
  expect_equal(fit$df, stored$df)
  expect_equal(fit$nobs, 439)
  # The defaults stop within 1e-6, relative.
  expect_close(em_hmm(rt ~ 1, data = speed, n_states = 2)$loglik, stored$loglik, 1e-6)
})

test_that("speed, one state is the closed form", {
  expect_loglik(em_hmm(rt ~ 1, data = speed, n_states = 1), reference$speed$one_state)
})

test_that("speed, the pay-off moves the transitions out of the row where it is", {
  stored <- reference$speed_covariate
  speed$z <- as.numeric(scale(speed$Pacc))
  fit <- hmm_tight(rt ~ 1, data = speed, n_states = 2, transition = ~ z)
  expect_loglik(fit, stored$loglik)
  expect_equal(fit$df, stored$df)
  expect_criteria(fit, stored)
  b <- fit$parameters$transition
  expect_close(c(b[, 1, 2], b[, 2, 1]), stored$coefficients, 1e-5)
  # Coefficients without scaling are the same model.
  raw <- hmm_tight(rt ~ 1, data = speed, n_states = 2, transition = ~ Pacc)
  expect_loglik(raw, stored$loglik)
  expect_close(raw$parameters$transition[2, 1, 2] * stats::sd(speed$Pacc), b[2, 1, 2], 1e-5)
})

test_that("speed, response time and accuracy in three series, with standard errors", {
  stored <- reference$speed_both
  fit <- hmm_tight(list(rt ~ 1, corr ~ 1), data = speed, n_states = 2, family = list("gaussian", "categorical"),
                   ntimes = c(168, 134, 137))
  expect_loglik(fit, stored$loglik)
  expect_equal(fit$df, stored$df)
  expect_criteria(fit, stored)
  expect_close(by_row(fit$parameters$transition), stored$transition, 1e-5)
  emission <- fit$parameters$emission
  expect_close(unname(c(emission$rt$mean, emission$rt$sd, emission$corr$prob[, "cor"])),
               c(stored$mean, stored$sd, stored$correct), 1e-5)
  se <- reference$standard_errors$speed_both
  expect_close(unname(hmm_se(fit, names(se))), unname(se), 1e-5)
})

test_that("speed, the binomial family is the same model as the categorical one of two categories", {
  fit <- hmm_tight(list(rt ~ 1, corr ~ 1), data = speed, n_states = 2, family = list("gaussian", "binomial"),
                   ntimes = c(168, 134, 137))
  expect_loglik(fit, reference$speed_both$loglik)
  expect_equal(fit$df, reference$speed_both$df)
})

test_that("speed, response time and accuracy at given parameters", {
  start <- list(initial = c(0, 1), transition = rbind(c(.899, .101), c(.084, .916)),
                emission = list(rt = list(mean = c(5.52, 6.39), sd = c(.202, .24)),
                                corr = list(prob = rbind(c(.472, .528), c(.098, .902)))))
  fit <- hmm_evaluated(list(rt ~ 1, corr ~ 1), data = speed, n_states = 2, family = list("gaussian", "categorical"),
                       ntimes = c(168, 134, 137), start = start)
  # depmixS4's own test, and the forward algorithm of helper-hmm.R.
  expect_close(fit$loglik, -296.115107102, 1e-11)
})

test_that("speed, missing response times leave accuracies in the model", {
  stored <- reference$speed_missing
  speed$rt[5:9] <- NA
  fit <- hmm_tight(list(rt ~ 1, corr ~ 1), data = speed, n_states = 2, family = list("gaussian", "categorical"),
                   ntimes = c(168, 134, 137))
  expect_loglik(fit, stored$loglik)
  expect_equal(fit$df, stored$df)
})

# --- sp500 ------------------------------------------------------------------------------------------

test_that("sp500, two states", {
  stored <- reference$sp500
  fit <- hmm_tight(logret ~ 1, data = hmm_data("sp500"), n_states = 2)
  expect_gaussian_reference(fit, stored)
  expect_criteria(fit, stored)
  expect_equal(fit$df, stored$df)
})

test_that("sp500, default starts find three states", {
  for (seed in 1:3) {
    fit <- with_seed(seed, em_hmm(logret ~ 1, data = hmm_data("sp500"), n_states = 3))
    expect_gt(fit$loglik, reference$sp500_three$loglik * (1 - 1e-7))
  }
})

# --- earthquakes ------------------------------------------------------------------------------------

test_that("quakes, stationary models of one to four states", {
  for (K in 1:4) {
    stored <- reference$quakes_stationary[[K]]
    fit <- hmm_tight(count ~ 1, data = quakes, n_states = K, family = "poisson", initial = "stationary")
    expect_loglik(fit, stored$loglik)
    expect_equal(fit$df, K^2)
    # The book's parameter count: cells on the boundary count.
    expect_criteria(fit, stored)
    if (K == 1) next
    expect_close(unname(fit$parameters$emission$lambda), stored$lambda, 1e-5)
    expect_close(unname(fit$parameters$initial), stored$initial, 1e-5)
    P <- fit$parameters$transition
    expect_equal(by_row(P), stored$transition, tolerance = 1e-5)
  }
})

test_that("quakes, standard errors of a stationary model", {
  fit <- hmm_tight(count ~ 1, data = quakes, n_states = 2, family = "poisson", initial = "stationary")
  se <- reference$standard_errors$quakes_stationary
  expect_close(unname(hmm_se(fit, names(se))), unname(se), 1e-5)
})

test_that("quakes, standard errors with the initial law given", {
  fit <- hmm_tight(count ~ 1, data = quakes, n_states = 2, family = "poisson", initial = c(1, 0))
  se <- reference$standard_errors$quakes_fixed_initial
  expect_close(unname(hmm_se(fit, names(se))), unname(se), 1e-5)
  expect_loglik(fit, reference$quakes$loglik)
  expect_equal(fit$df, 4)
})

test_that("quakes, a free initial law", {
  stored <- reference$quakes
  fit <- hmm_tight(count ~ 1, data = quakes, n_states = 2, family = "poisson")
  expect_loglik(fit, stored$loglik)
  expect_equal(fit$df, stored$df)
  expect_criteria(fit, stored)
  expect_close(unname(fit$parameters$emission$lambda), stored$lambda, 1e-5)
  expect_close(by_row(fit$parameters$transition), stored$transition, 1e-5)
})

test_that("quakes, default starts find four states", {
  for (seed in 1:3) {
    fit <- with_seed(seed, quietly(em_hmm(count ~ 1, data = quakes, n_states = 4, family = "poisson")))
    expect_gt(fit$loglik, reference$quakes_four$loglik * (1 + 1e-7))
  }
})

test_that("lamb, the fit agrees with plain EM", {
  y <- hmm_data("lamb")$count
  fit <- hmm_tight(count ~ 1, data = hmm_data("lamb"), n_states = 2, family = "poisson")
  plain <- hmm_em_poisson(y, list(initial = c(.5, .5), transition = rbind(c(.9, .1), c(.3, .7)),
                                  emission = list(lambda = c(.3, 3))))
  expect_loglik(fit, plain$loglik)
  expect_close(unname(fit$parameters$emission$lambda), plain$parameters$lambda, 1e-5)
  expect_equal(unname(fit$posterior), plain$posterior, tolerance = 1e-5)
})

# --- federal funds rate -----------------------------------------------------------------------------

test_that("fedfunds, two means and one standard deviation, stationary, with standard errors", {
  stored <- reference$fedfunds
  fit <- hmm_tight(rate ~ 1, data = hmm_data("fedfunds"), n_states = 2, shared = "sd", initial = "stationary")
  stored$sd <- rep(stored$sd, 2)
  expect_gaussian_reference(fit, stored)
  expect_equal(fit$df, 5)
  se <- reference$standard_errors$fedfunds
  expect_close(unname(hmm_se(fit, names(se))), unname(se), 1e-5)
})

test_that("fedfunds, free initial law, with one and with two standard deviations", {
  fedfunds <- hmm_data("fedfunds")
  one <- hmm_tight(rate ~ 1, data = fedfunds, n_states = 2, shared = "sd")
  expect_loglik(one, reference$fedfunds$free_initial)
  expect_equal(one$df, 6)
  two <- hmm_tight(rate ~ 1, data = fedfunds, n_states = 2)
  expect_loglik(two, reference$fedfunds$free_initial_and_sds)
  expect_equal(two$df, 7)
})

# --- series of base R -------------------------------------------------------------------------------

test_that("series of base R, one with missing values", {
  series <- list(nottem = as.numeric(datasets::nottem), faithful = datasets::faithful$eruptions,
                 dax = as.numeric(100 * diff(log(datasets::EuStockMarkets[, "DAX"]))),
                 ozone = log(datasets::airquality$Ozone))
  for (name in names(series)) {
    fit <- hmm_tight(y ~ 1, data = data.frame(y = series[[name]]), n_states = 2)
    expect_gaussian_reference(fit, reference$base_r[[name]])
    expect_equal(fit$nobs, sum(!is.na(series[[name]])))
  }
})

# --- textbook chains --------------------------------------------------------------------------------

test_that("the umbrella world of Russell and Norvig", {
  # Densities (.9, .2) of an umbrella, (.1, .8) of none.
  data <- data.frame(umbrella = c(1, 1, 0, 1, 1))
  fit <- hmm_evaluated(umbrella ~ 1, data = data, n_states = 2, family = "binomial",
                       initial = c(.5, .5), start = list(transition = rbind(c(.7, .3), c(.3, .7)),
                                                         emission = list(prob = c(.9, .2))))
  expect_close(fit$loglik, -3.372502044332, 1e-12)
  expect_close(unname(fit$posterior[, 1]), c(.8673388896, .8204190536, .3074835760, .8204190536, .8673388896), 1e-9)
  path <- viterbi(fit)
  expect_equal(as.integer(path), c(1, 1, 2, 1, 1))
  expect_equal(as.numeric(attr(path, "log_prob")), -4.4590, tolerance = 1e-5)
})

test_that("the weather of three days", {
  # Rainy and sunny days, of which a friend tells that he walked, shopped and cleaned.
  data <- data.frame(did = factor(c("walk", "shop", "clean"), levels = c("walk", "shop", "clean")))
  start <- list(transition = rbind(c(.7, .3), c(.4, .6)), emission = list(prob = rbind(c(.1, .4, .5), c(.6, .3, .1))))
  fit <- hmm_evaluated(did ~ 1, data = data, n_states = 2, family = "categorical", initial = c(.6, .4), start = start)
  expect_close(fit$loglik, -3.3928721329, 1e-10)
  expect_close(unname(fit$posterior[, 1]), c(.2317029632, .6240628347, .8639771510), 1e-9)
  path <- viterbi(fit)
  expect_equal(as.integer(path), c(2, 1, 1))
  expect_close(exp(as.numeric(attr(path, "log_prob"))), .01344, 1e-10)
})
