# What em_hmm() does not take: each is an error of its class that says where.

input_speed <- function() {
  d <- hmm_data("speed")
  d$id <- rep(1:3, c(168, 134, 137))
  d$t <- sequence(c(168, 134, 137))
  d
}
expect_refused <- function(class, pattern, ...) {
  expect_error(em_hmm(..., control = em_control(progress = FALSE)), pattern, class = paste0("em_error_", class))
}

test_that("unknown families and topologies are refused with the choices", {
  d <- input_speed()
  expect_refused("family", "\"poisson\"", rt ~ 1, data = d, n_states = 2, family = "foo")
  expect_refused("topology", "\"left-right\", \"bakis\"", rt ~ 1, data = d, n_states = 2, topology = "ring")
  expect_refused("topology", "2 x 2", rt ~ 1, data = d, n_states = 2, topology = diag(3))
  expect_refused("topology", "state 2", rt ~ 1, data = d, n_states = 2, topology = rbind(c(1, 1), 0))
})

test_that("responses outside a family's support are named by row and value", {
  expect_refused("support", "row 3 is -1", c(1, 2, -1, 4), n_states = 1, family = "poisson")
  expect_refused("support", "row 2 is 1.5", c(1, 1.5, 4), n_states = 1, family = "poisson")
  expect_refused("support", "row 1 is 0", c(0, 1.5, 4), n_states = 1, family = "gamma")
  expect_refused("support", "row 4 is 1", c(.1, .2, .3, 1), n_states = 1, family = "beta")
  expect_refused("support", "row 2 is Inf", c(.1, Inf, .3, 1), n_states = 1)
  expect_refused("response_type", "categorical", corr ~ 1, data = input_speed(), n_states = 2)
  expect_refused("all_missing", "\"y\"", y ~ 1, data = data.frame(y = c(NA_real_, NA, NA)), n_states = 1)
})

test_that("n_states must be whole numbers that the data can support", {
  d <- input_speed()
  expect_refused("n_states", "missing", rt ~ 1, data = d)
  for (bad in list(0, 1.5, "a", NA, -1, numeric())) expect_refused("n_states", "whole numbers", rt ~ 1, data = d,
                                                                   n_states = bad)
  expect_refused("n_states", "439 rows", rt ~ 1, data = d, n_states = 440)
  expect_refused("n_states", "State 3 cannot be reached within the 2 rows", rt ~ 1, data = d[1:6, ], n_states = 3,
                 ntimes = c(2, 2, 2), initial = c(1, 0, 0), topology = rbind(c(1, 1, 0), c(0, 1, 1), c(0, 0, 1)))
})

test_that("times must increase within a sequence", {
  d <- input_speed()
  expect_refused("time", "row 169 has time 1 after a later one in row 168", rt ~ 1, data = d, n_states = 2, time = t)
  expect_refused("time", "sequence \"2\", row 171 has time 2 like row 170", rt ~ 1,
                 data = transform(d, t = replace(t, 171, 2)),
                 n_states = 2, id = ~ id, time = ~ t)
  expect_refused("time", "missing in row 5", rt ~ 1, data = transform(d, t = replace(t, 5, NA)), n_states = 2, id = id,
                 time = t)
})

test_that("sequences must be complete and not empty", {
  d <- input_speed()
  expect_refused("ntimes", "sequence 2 is empty", rt ~ 1, data = d, n_states = 2, ntimes = c(168, 0, 271))
  expect_refused("ntimes", "439 rows", rt ~ 1, data = d, n_states = 2, ntimes = c(168, 134))
  expect_refused("ntimes", "exclude", rt ~ 1, data = d, n_states = 2, ntimes = 439, id = id)
  expect_refused("id", "missing in row 7", rt ~ 1, data = transform(d, id = replace(id, 7, NA)), n_states = 2,
                 id = ~ id)
  expect_refused("id", "439 rows", rt ~ 1, data = d, n_states = 2, id = 1:3)
})

test_that("starts of the wrong shape are told what they lack", {
  d <- input_speed()
  refused <- function(pattern, start) expect_refused("start", pattern, rt ~ 1, data = d, n_states = 2, start = start)
  emission <- list(mean = c(5, 6), sd = c(1, 1))
  refused("emission is missing", list(initial = c(.5, .5)))
  refused("\"mean\"", list(emission = list(mean = 1:3, sd = c(1, 1))))
  refused("\"sd\"", list(emission = list(mean = 1:2)))
  refused("2 x 2 transition matrix, not 3 x 3", list(transition = diag(3), emission = emission))
  refused("sum to 1", list(transition = matrix(.6, 2, 2), emission = emission))
  refused("they sum to 1.1", list(initial = c(.5, .6), emission = emission))
  refused("439 rows", rep(1:2, 3))
  refused("439 rows and 2 columns", matrix(.5, 3, 2))
  refused("\"trans\"", list(trans = diag(2), emission = emission))
  expect_refused("start", "single `n_states`", rt ~ 1, data = d, n_states = 1:2, start = list(emission = emission))
})

test_that("covariates must be complete, and responses cannot be missing from the formula", {
  d <- input_speed()
  holes <- transform(d, Pacc = replace(Pacc, 5, NA))
  expect_refused("missing_covariate",
                 "\"Pacc\" of the transitions is missing in row 5.*fill them in \\(em_impute\\(\\) can\\)\\.$", rt ~ 1,
                 data = holes, n_states = 2, transition = ~ Pacc)
  expect_refused("missing_covariate", "of the initial distribution", rt ~ 1,
                 data = transform(d, Pacc = replace(Pacc, 1, NA)), n_states = 2, initial = ~ Pacc)
  expect_refused("missing_covariate", "of the response \"rt\"", rt ~ Pacc, data = holes, n_states = 2)
  expect_refused("formula", "with a response", ~ rt, data = d, n_states = 2)
  expect_refused("formula", "nothere", rt ~ nothere, data = d, n_states = 2)
  expect_refused("transition", "one-sided formula", rt ~ 1, data = d, n_states = 2, transition = "Pacc")
  expect_refused("transition", "intercept", rt ~ 1, data = d, n_states = 2, transition = ~ 0 + Pacc)
})

test_that("initial distributions are checked", {
  d <- input_speed()
  refused <- function(pattern, ...) expect_refused("initial", pattern, rt ~ 1, data = d, n_states = 2, ...)
  refused("\"stationary\"", initial = "uniform")
  refused("they sum to 2", initial = c(1, 1))
  refused("2 probabilities", initial = c(.2, .3, .5))
  refused("2 x 3 \\(states x sequences\\), not 2 x 4", initial = matrix(.5, 2, 4), id = ~ id)
  refused("covariates", initial = "stationary", transition = ~ Pacc)
})

test_that("fixed, shared, known, weights and order_by are checked", {
  d <- input_speed()
  refused <- function(class, pattern, ...) expect_refused(class, pattern, rt ~ 1, data = d, n_states = 2, ...)
  refused("fixed", "mean, sd", fixed = list(variance = c(1, NA)))
  refused("fixed", "row 1: the given probabilities sum to 1.2", fixed = list(transition = rbind(c(.6, .6), NA)))
  refused("fixed", "contradict", fixed = list(transition = rbind(c(NA, NA), c(.3, NA))), topology = "left-right")
  refused("fixed", "sum to 1", fixed = list(initial = c(1, NA)))
  refused("shared", "mean, sd", shared = "variance")
  refused("known", "439 rows", known = 1:3)
  refused("known", "row 2 has 3", known = replace(rep(NA, 439), 2, 3))
  refused("known", "3 levels", known = rep(c("a", "b", "c"), length.out = 439))
  refused("weights", "constant within a sequence", weights = seq_len(439))
  refused("weights", "row 1 is 0", weights = rep(0:1, c(168, 271)), id = rep(1:2, c(168, 271)))
  refused("order_by", "mean, sd", order_by = "variance")
  refused("unused_argument", "`nstates`", nstates = 2)
})

test_that("collapse in every start is an error that names the state", {
  expect_refused("degenerate", "state", rep(1, 50), n_states = 2)
})

test_that("fixed values outside the range of their parameter are refused", {
  expect_refused("fixed", "\"eruptions\": sd must be positive, not -1", eruptions ~ 1, data = faithful, n_states = 2,
                 fixed = list(sd = c(NA, -1)))
  expect_refused("fixed", "prob must be between 0 and 1, not 1.5", y ~ 1, data = data.frame(y = c(0, 1, 1, 0)),
                 n_states = 2, family = "binomial", fixed = list(prob = c(NA, 1.5)))
})

test_that("covariates may be missing in rows that the model does not use", {
  set.seed(2)
  d <- data.frame(y = c(rnorm(20), rnorm(20, 4)), z = rnorm(40), id = rep(1:2, each = 20))
  fit <- function(row, value, ...) {
    set.seed(3)
    em_hmm(y ~ 1, transform(d, z = replace(z, row, value)), n_states = 2, id = id, ...,
           control = em_control(progress = FALSE))$loglik
  }
  expect_equal(fit(21, NA, transition = ~ z, timing = "to"), fit(21, 9, transition = ~ z, timing = "to"))
  expect_equal(fit(20, NA, transition = ~ z), fit(20, 9, transition = ~ z))
  expect_equal(fit(5, NA, initial = ~ z), fit(5, 9, initial = ~ z))
  expect_error(fit(20, NA, transition = ~ z, timing = "to"), "row 20", class = "em_error_missing_covariate")
  expect_error(fit(21, NA, initial = ~ z), "row 21", class = "em_error_missing_covariate")
})

test_that("options that no response takes are refused", {
  refused <- function(pattern, ...) expect_refused("unused_argument", pattern, ..., n_states = 2)
  refused("`covariance`.*mvgaussian", eruptions ~ 1, data = faithful, covariance = "VVV")
  refused("`n_parts`.*gaussian_mixture", faithful$eruptions, n_parts = 3)
  refused("\"waiting\", which is not", list(both = cbind(eruptions, waiting) ~ 1, waiting ~ 1), data = faithful,
          covariance = list(both = "EEE", waiting = "VVV"))
})

test_that("messages speak of what was written", {
  refused <- function(class, pattern, ..., n_states = 2) {
    expect_refused(class, pattern, eruptions ~ 1, data = faithful, n_states = n_states, ...)
  }
  refused("transition", "^`transition` must be a 2 x 2 matrix.*3 x 3", transition = diag(3))
  refused("transition", "^`transition`, row 1: .* sum to 0.8", transition = matrix(.4, 2, 2))
  refused("transition", "has a left side", transition = eruptions ~ waiting)
  refused("start", "not \"random\"", start = "random")
  refused("start", "272 rows, not 1 value\\.", start = 1)
  refused("start", "an integer vector", start = list(emission = list(mean = 1:3, sd = c(1, 1))))
  refused("family", "the one response", family = c("gaussian", "t"))
  refused("weights", "272 rows \\(or for the one sequence\\), not 3 values", weights = c(1, 1, 1))
  refused("weights", "or for each of the 2 sequences", weights = c(1, 1, 1), ntimes = c(100, 172))
  expect_refused("formula", "`x` must be a formula.*\"eruptions\"", "eruptions", data = faithful, n_states = 2)
  expect_refused("formula", "no variable \"sd\" in `data`.*function", sd ~ 1, data = faithful, n_states = 2)
  message <- tryCatch(em_hmm(5, n_states = 1), error = conditionMessage)
  expect_false(grepl("fewer states", message))
})

test_that("the names in `known` tell the number of states", {
  fit <- em_hmm(eruptions ~ 1, faithful, known = c("short", rep(NA, 270), "long"),
                control = em_control(progress = FALSE))
  expect_equal(fit$state_names, c("long", "short"))
  expect_refused("n_states", "is missing", eruptions ~ 1, data = faithful, known = c(1, rep(NA, 271)))
})

test_that("covariates of new data may be missing in rows that are not used", {
  set.seed(2)
  d <- data.frame(y = c(rnorm(20), rnorm(20, 4)), z = rnorm(40), id = rep(1:2, each = 20))
  for (timing in c("from", "to")) {
    fit <- em_hmm(y ~ 1, d, n_states = 2, id = id, transition = ~ z, timing = timing,
                  control = em_control(progress = FALSE))
    unused <- if (timing == "from") 20 else 21
    used <- if (timing == "from") 21 else 20
    hole <- function(row, value = NA) transform(d, z = replace(z, row, value))
    expect_equal(as.numeric(logLik(fit, hole(unused))), as.numeric(logLik(fit, hole(unused, 7))))
    expect_equal(predict(fit, hole(unused), "posterior"), predict(fit, hole(unused, 7), "posterior"))
    expect_error(logLik(fit, hole(used)), paste("row", used), class = "em_error_missing_covariate")
  }
  # A forecast begins with the covariates of the last row (timing "from").
  from <- em_hmm(y ~ 1, transform(d, z = replace(z, 40, NA)), n_states = 2, id = id, transition = ~ z,
                 control = em_control(progress = FALSE))
  expect_error(predict(from, type = "forecast"), "sequence \"2\"", class = "em_error_missing_covariate")
  initial <- em_hmm(y ~ 1, d, n_states = 2, id = id, initial = ~ z, control = em_control(progress = FALSE))
  expect_equal(as.numeric(logLik(initial, transform(d, z = replace(z, 2:20, NA)))), as.numeric(logLik(initial)))
  expect_error(logLik(initial, transform(d, z = replace(z, 21, NA))), "row 21", class = "em_error_missing_covariate")
})
