# Mixtures of regressions and of distributions against stored optima, likelihoods by definition (families as in
# helper-hmm-families.R), and other programs where these are at the maximum.

mixture_tight <- function(...) em_mixture(..., control = tight_control(progress = FALSE))
mixture_evaluated <- function(..., start) {
  quietly(em_mixture(..., start = start, control = em_control(max_iter = 0, progress = FALSE)))
}

# --- stored optima ----------------------------------------------------------------------------------

# Log-likelihoods to 1e-7, relative; plain EM in R (weighted least squares, ML variances) reaches the same numbers.
test_that("waiting times of the geyser on eruption times, two lines", {
  fit <- mixture_tight(waiting ~ eruptions, faithful, n_components = 2, start = 1 + (faithful$eruptions > 3))
  expect_close(fit$loglik, -864.299624072, 1e-7)
  expect_equal(fit$df, 7)
  expect_close(unname(fit$parameters$proportions), c(.832307478, .167692522), 1e-5)
  expect_close(unname(fit$parameters$emission$coefficients),
               cbind(c(34.8917126, 10.7181715), c(26.8187900, 10.6777112)), 1e-5)
  expect_close(unname(fit$parameters$emission$sd), c(5.40129388, 2.46759940), 1e-5)
  # Plain EM needs more than 400 steps.
  expect_lt(fit$iterations, 200)
})

test_that("tones, two lines", {
  tones <- utils::read.csv(test_fixture("tonedata.csv"))
  fit <- mixture_tight(tuned ~ stretchratio, tones, n_components = 2, start = 1 + (abs(tones$tuned - 2) > .15))
  expect_close(fit$loglik, 141.1984023, 1e-7)
  expect_equal(fit$df, 7)
  expect_close(unname(fit$parameters$proportions), c(.697720272, .302279728), 1e-5)
  expect_close(unname(fit$parameters$emission$coefficients),
               cbind(c(1.91638014, .0425485141), c(-.0192747316, .992295501)), 1e-5)
})

test_that("deaths in the Times, two Poisson distributions", {
  times <- data.frame(deaths = 0:9, days = c(162, 267, 271, 185, 111, 61, 27, 8, 3, 1))
  fit <- em_mixture(deaths ~ 1, times, n_components = 2, family = "poisson", weights = days, control = tight_control())
  expect_close(fit$loglik, -1989.945859883, 1e-7)
  expect_close(unname(fit$parameters$proportions), c(.640114603, .359885397), 1e-5)
  expect_close(unname(fit$parameters$emission$lambda), c(2.663404357, 1.256095101), 1e-5)
  expect_equal(fit$nobs, 1096)
})

test_that("balance scale items: two latent classes, without and with age on the proportions", {
  balance <- hmm_data("balance")
  items <- list(d1 ~ 1, d2 ~ 1, d3 ~ 1, d4 ~ 1)
  fit <- mixture_tight(items, balance, n_components = 2, family = "binomial")
  expect_close(fit$loglik, -1083.036267993, 1e-7)
  expect_equal(fit$df, 9)
  with_age <- mixture_tight(items, balance, n_components = 2, family = "binomial", proportions = ~ age)
  expect_close(with_age$loglik, -951.2917523784, 1e-7)
  expect_equal(with_age$df, 10)
  # Of the class that knows the rule, whichever comes first.
  b <- with_age$parameters$proportions[, 2]
  knows <- with_age$parameters$emission$d1$prob
  if (knows[1] > knows[2]) b <- -b
  expect_close(unname(b), c(-5.274710050, .551298100), 1e-5)
  expect_close(unname(sort(knows)), c(.0326052525, .9502647553), 1e-5)
})

test_that("a mixture is a hidden Markov model of sequences of one row", {
  balance <- hmm_data("balance")
  items <- list(d1 ~ 1, d2 ~ 1, d3 ~ 1, d4 ~ 1)
  fit <- quietly(hmm_tight(items, data = balance, n_states = 2, family = "binomial", initial = ~ age,
                           id = seq_len(779)))
  expect_close(fit$loglik, -951.2917523784, 1e-7)
  emission <- lapply(fit$parameters$emission, function(p) list(prob = unname(p$prob)))
  start <- list(proportions = unname(fit$parameters$initial), emission = emission)
  mixture <- mixture_evaluated(items, balance, n_components = 2, family = "binomial", proportions = ~ age,
                               start = start)
  expect_close(mixture$loglik, fit$loglik, 1e-10)
})

# --- likelihood by definition -----------------------------------------------------------------------

mixture_data <- function(name, n = 20, missing = TRUE) {
  family <- oracle_families()[[name]]
  data <- with_seed(nchar(name), cbind(family$draw(n), x = round(stats::rnorm(n), 2), z = round(stats::rnorm(n), 2)))
  if (missing) data[c(3, 11), family$columns] <- NA
  data
}

# log pi_k(z_i) + log f_k(y_i): n x K. proportions: K, or 2 x K coefficients of 1 and z.
mixture_joint <- function(name, emission, proportions, data) {
  prior <- if (is.matrix(proportions)) {
    t(apply(cbind(1, data$z), 1, function(row) hmm_softmax(drop(row %*% proportions))))
  } else {
    matrix(proportions, nrow(data), length(proportions), byrow = TRUE)
  }
  log(prior) + oracle_response(name, emission, data)
}

for (name in names(oracle_families())) {
  test_that(paste("likelihood and posterior are those of the definition:", name), {
    family <- oracle_families()[[name]]
    data <- mixture_data(name)
    newdata <- mixture_data(name, n = 7, missing = FALSE)
    for (covariates in c(FALSE, TRUE)) {
      regression <- covariates && !is.null(family$linear)
      emission <- if (regression) family$linear else family$emission
      proportions <- if (covariates) rbind(c(0, .4, -.6), c(0, .7, 1.1)) else c(.5, .3, .2)
      formula <- stats::as.formula(paste(family$response, if (regression) "~ x" else "~ 1"))
      fit <- mixture_evaluated(formula, data, n_components = 3, family = name,
                               proportions = if (covariates) ~ z else ~ 1,
                               start = list(proportions = proportions, emission = emission))
      order <- hmm_state_order(fit, emission)
      for (new in c(FALSE, TRUE)) {
        joint <- mixture_joint(name, emission, proportions, if (new) newdata else data)
        given <- if (new) newdata
        expect_close(as.numeric(logLik(fit, newdata = given)), sum(oracle_log_sum_exp(joint)), 1e-10)
        expect_close(unname(predict(fit, given, type = "posterior")), exp(joint - oracle_log_sum_exp(joint))[, order],
                     1e-9)
      }
      expect_equal(fit$nobs, 18)
    }
  })
}

test_that("estimates are a maximum of the likelihood by definition", {
  # Numeric gradient in units of 1/100 of each number: no direction leads uphill by more than rounding.
  n <- 150
  truth <- list(gamma = list(coefficients = cbind(c(0, .5), c(2, -.3)), shape = c(4, 9)),
                poisson = list(coefficients = cbind(c(.2, .4), c(2.2, -.2))),
                negative_binomial = list(coefficients = cbind(c(.2, .3), c(2.5, -.2)), size = c(5, 3)),
                gaussian = list(coefficients = cbind(c(-2, 1), c(2, -1)), sd = c(.7, 1)),
                t = list(coefficients = cbind(c(-3, 1), c(3, -1)), scale = c(.7, 1), df = c(4, 6)),
                beta = list(coefficients = cbind(c(-1.5, .5), c(1.2, -.4)), precision = c(20, 12)))
  draw <- list(gamma = function(p) stats::rgamma(n, p$shape, p$shape / p$mean),
               poisson = function(p) stats::rpois(n, p$lambda),
               negative_binomial = function(p) stats::rnbinom(n, p$size, mu = p$mean),
               gaussian = function(p) stats::rnorm(n, p$mean, p$sd),
               t = function(p) p$mean + p$scale * stats::rt(n, p$df),
               beta = function(p) stats::rbeta(n, p$mean * p$precision, (1 - p$mean) * p$precision))
  for (name in names(truth)) {
    family <- oracle_families()[[name]]
    data <- with_seed(9, {
      data <- data.frame(x = stats::rnorm(n), z = stats::rnorm(n))
      component <- 1 + stats::rbinom(n, 1, stats::plogis(data$z))
      theta <- lapply(1:2, function(k) oracle_theta(family, truth[[name]], k, data))
      both <- Map(function(a, b) ifelse(component == 1, a, b), theta[[1]], theta[[2]])
      data$y <- draw[[name]](both)
      data
    })
    fit <- mixture_tight(y ~ x, data, n_components = 2, family = name, proportions = ~ z)
    natural <- list(proportions = unname(fit$parameters$proportions),
                    emission = lapply(fit$parameters$emission, unname))
    at <- unlist(natural)
    free <- at != 0
    loglik <- function(theta) {
      p <- utils::relist(replace(at, free, theta), natural)
      sum(oracle_log_sum_exp(mixture_joint(name, p$emission, p$proportions, data)))
    }
    expect_close(fit$loglik, loglik(at[free]), 1e-9)
    slope <- numerical_gradient(loglik, at[free], units = abs(at[free])) * abs(at[free]) / 100
    expect_lt(max(abs(slope)), 1e-5)
  }
})

test_that("a Gaussian component is weighted least squares with the variance of maximum likelihood", {
  fit <- mixture_tight(waiting ~ eruptions, faithful, n_components = 2, start = 1 + (faithful$eruptions > 3))
  for (k in 1:2) {
    z <- fit$posterior[, k]
    line <- stats::lm.wfit(cbind(1, faithful$eruptions), faithful$waiting, z)
    expect_close(unname(fit$parameters$emission$coefficients[, k]), unname(line$coefficients), 1e-5)
    expect_close(fit$parameters$emission$sd[[k]], sqrt(sum(z * line$residuals^2) / sum(z)), 1e-5)
  }
})

test_that("one component is lm() and glm()", {
  line <- stats::lm(waiting ~ eruptions, faithful)
  fit <- mixture_tight(waiting ~ eruptions, faithful, n_components = 1)
  expect_close(fit$loglik, as.numeric(stats::logLik(line)), 1e-10)
  expect_close(unname(fit$parameters$emission$coefficients[, 1]), unname(stats::coef(line)), 1e-8)
  counts <- stats::glm(count ~ spray, stats::poisson(), datasets::InsectSprays)
  fit <- mixture_tight(count ~ spray, datasets::InsectSprays, n_components = 1, family = poisson())
  expect_close(fit$loglik, as.numeric(stats::logLik(counts)), 1e-10)
  expect_close(unname(fit$parameters$emission$coefficients[, 1]), unname(stats::coef(counts)), 1e-7)
})

# --- another program --------------------------------------------------------------------------------

# flexmix maximises the likelihood of Poisson and binomial regressions (of Gaussian ones it does not).
test_that("Poisson regressions, also with concomitant variables, agree with flexmix", {
  skip_if_not_installed("flexmix")
  data <- with_seed(4, {
    data <- data.frame(x = stats::runif(200, -1, 1), z = stats::rnorm(200))
    component <- 1 + stats::rbinom(200, 1, stats::plogis(data$z))
    data$y <- stats::rpois(200, exp(c(.3, 2)[component] + c(1, -.5)[component] * data$x))
    data$component <- component
    data
  })
  tight <- list(iter.max = 5000, tolerance = 1e-14, minprior = 0)
  for (concomitant in list(flexmix::FLXPconstant(), flexmix::FLXPmultinom(~ z))) {
    with_z <- methods::is(concomitant, "FLXPmultinom")
    other <- flexmix::flexmix(y ~ x, data = data, k = 2, cluster = data$component, concomitant = concomitant,
                              model = flexmix::FLXMRglm(family = "poisson"), control = tight)
    fit <- mixture_tight(y ~ x, data, n_components = 2, family = "poisson", start = data$component,
                         proportions = if (with_z) ~ z else ~ 1)
    # flexmix fits its concomitant model by nnet to about eight digits.
    expect_close(fit$loglik, other@logLik, 1e-7)
    expect_equal(fit$df, other@df)
    expect_close(unname(sort(fit$parameters$emission$coefficients[1, ])), unname(sort(flexmix::parameters(other)[1, ])),
                 1e-4)
  }
})

test_that("binomial regressions agree with flexmix", {
  skip_if_not_installed("flexmix")
  data <- with_seed(6, {
    data <- data.frame(x = stats::runif(150, -1, 1), component = rep(1:2, 75))
    data$yes <- stats::rbinom(150, 12, stats::plogis(c(-1.5, 1)[data$component] + c(1, -.7)[data$component] * data$x))
    data$no <- 12 - data$yes
    data
  })
  other <- flexmix::flexmix(cbind(yes, no) ~ x, data = data, k = 2, cluster = data$component,
                            model = flexmix::FLXMRglm(family = "binomial"),
                            control = list(iter.max = 5000, tolerance = 1e-14, minprior = 0))
  fit <- mixture_tight(cbind(yes, no) ~ x, data, n_components = 2, family = "binomial", start = data$component)
  expect_close(fit$loglik, other@logLik, 1e-7)
  expect_equal(fit$df, other@df)
})
