# Families of continuous responses: distributions in R, fits of one component against direct maximisation.

# The parameters at the maximum for one component, by M-steps from the overall point; not where the core starts from.
fit_one <- function(name, y, x = NULL, link = NULL, options = NULL, steps = 200L, weight = NULL) {
  y <- as.matrix(y) + 0
  family <- resolve_family(name)
  if (!is.null(link)) family <- get(paste0("family_", name), envir = asNamespace("emkit"))(link)
  spec <- list(name = "y", family = name, y = y, x = x, link = family$link, options = options)
  parameters <- response_overall_(spec, 1L)
  if (is.null(weight)) weight <- rep(1, nrow(y))
  loglik <- function(p) sum(weight * response_log_density_(spec, p))
  for (i in seq_len(steps)) {
    step <- response_m_step_(spec, parameters, matrix(weight))
    if (!step$done) return(step)
    next_one <- step$parameters
    if (!step$exact) {
      half <- 0
      while (loglik(next_one) < loglik(parameters) - 1e-9 && half < 30) {
        next_one <- (next_one + parameters) / 2
        half <- half + 1
      }
    }
    if (max(abs(next_one / parameters - 1)) < 1e-13) break
    parameters <- next_one
  }
  list(done = TRUE, parameters = parameters, loglik = loglik(parameters), steps = i,
       score = response_score_(spec, parameters, matrix(weight)))
}

# The maximum of sum(weight * log_density(transform(par))) by optim.
by_optim <- function(start, log_density) {
  minimise <- function(from) {
    stats::optim(from, function(p) -sum(log_density(p)), method = "BFGS", control = list(reltol = 1e-15, maxit = 1000))
  }
  best <- minimise(minimise(start)$par)
  list(par = best$par, loglik = -best$value)
}

test_that("the gamma family is the gamma distribution: one component is its maximum likelihood fit", {
  y <- datasets::airquality$Wind
  fit <- fit_one("gamma", y, steps = 1L)
  direct <- by_optim(log(c(10, 5)), function(p) stats::dgamma(y, exp(p[2]), scale = exp(p[1] - p[2]), log = TRUE))
  expect_equal(fit$loglik, direct$loglik, tolerance = 1e-10)
  expect_equal(drop(fit$parameters), exp(direct$par), tolerance = 1e-5)
  expect_equal(fit$parameters[1], mean(y), tolerance = 1e-12)
  expect_equal(digamma(fit$parameters[2]) - log(fit$parameters[2]), mean(log(y)) - log(mean(y)), tolerance = 1e-9)
})

test_that("a gamma regression is glm's for the mean, with the shape at its maximum", {
  d <- datasets::airquality
  x <- cbind(1, scale(d$Temp))
  for (link in c("log", "inverse", "identity")) {
    fit <- fit_one("gamma", d$Wind, x, link)
    direct <- stats::glm(Wind ~ scale(Temp), stats::Gamma(link), d, epsilon = 1e-14, maxit = 100)
    expect_equal(fit$parameters[1:2], unname(stats::coef(direct)), tolerance = 1e-7, label = link)
    mu <- stats::fitted(direct)
    best <- stats::optimize(function(a) sum(stats::dgamma(d$Wind, a, scale = mu / a, log = TRUE)), c(1, 30),
                            maximum = TRUE, tol = 1e-10)
    expect_equal(fit$loglik, best$objective, tolerance = 1e-11, label = link)
    expect_lt(fit$steps, 30)
  }
})

test_that("the t family finds location, scale and degrees of freedom of data with outliers", {
  y <- c(with_seed(4, stats::rnorm(80, 5, 2)), 40, -35, 60, 22)
  fit <- fit_one("t", y)
  direct <- by_optim(c(5, 0.7, 1), function(p) stats::dt((y - p[1]) / exp(p[2]), exp(p[3]), log = TRUE) - p[2])
  expect_equal(fit$loglik, direct$loglik, tolerance = 1e-10)
  expect_equal(drop(fit$parameters), c(direct$par[1], exp(direct$par[2:3])), tolerance = 1e-4)
  expect_lt(fit$steps, 100)
  # A regression through the same outliers.
  x <- cbind(1, seq(-1, 1, length.out = length(y)))
  fit <- fit_one("t", y, x)
  direct <- by_optim(c(5, 0, 0.7, 1), function(p) {
    stats::dt((y - x %*% p[1:2]) / exp(p[3]), exp(p[4]), log = TRUE) - p[3]
  })
  expect_equal(fit$loglik, direct$loglik, tolerance = 1e-10)
  expect_equal(fit$parameters[1:2], direct$par[1:2], tolerance = 1e-3)
})

test_that("without heavy tails the t family becomes the normal one, quickly, and comes back from there", {
  y <- stats::qnorm(stats::ppoints(200), 3, 2)
  fit <- fit_one("t", y)
  expect_lt(fit$steps, 60)
  expect_identical(family_t()$from_natural(fit$parameters, list())$df, Inf)
  expect_equal(fit$parameters[1:2], c(mean(y), sqrt(mean((y - mean(y))^2))), tolerance = 1e-9)
  expect_equal(fit$loglik, sum(stats::dnorm(y, mean(y), fit$parameters[2], log = TRUE)), tolerance = 1e-12)
  natural <- family_t()$to_natural(list(mean = 5, scale = 3, df = Inf), list(), 1L)
  heavy <- c(with_seed(4, stats::rnorm(80, 5, 2)), 40, -35, 60, 22)
  spec <- list(name = "y", family = "t", y = matrix(heavy))
  step <- response_m_step_(spec, natural, matrix(1, length(heavy), 1L))
  expect_lt(step$parameters[3], 100)
})

test_that("a beta fit is the direct maximum, and beta regression is too", {
  y <- datasets::swiss$Examination / 100
  fit <- fit_one("beta", y, steps = 1L)
  direct <- by_optim(log(c(2, 5)), function(p) stats::dbeta(y, exp(p[1]), exp(p[2]), log = TRUE))
  expect_equal(fit$loglik, direct$loglik, tolerance = 1e-10)
  shapes <- c(fit$parameters[1], 1 - fit$parameters[1]) * fit$parameters[2]
  expect_equal(shapes, exp(direct$par), tolerance = 1e-5)
  expect_lt(max(abs(fit$score$score)), 1e-9)
  x <- cbind(1, drop(scale(datasets::swiss$Education)))
  fit <- fit_one("beta", y, x)
  direct <- by_optim(c(-1, 0, 3), function(p) {
    mu <- stats::plogis(x %*% p[1:2])
    stats::dbeta(y, mu * exp(p[3]), (1 - mu) * exp(p[3]), log = TRUE)
  })
  expect_equal(fit$loglik, direct$loglik, tolerance = 1e-10)
})

test_that("angles are taken modulo a turn; their fit is the direct maximum", {
  y <- with_seed(2, von_mises_random(150, 3, 2.5))
  log_density <- function(p) exp(p[2]) * cos(y - p[1]) - log(2 * pi * besselI(exp(p[2]), 0))
  fit <- fit_one("vonmises", y, steps = 1L)
  direct <- by_optim(c(3, 0), log_density)
  expect_equal(fit$loglik, direct$loglik, tolerance = 1e-10)
  expect_equal(drop(fit$parameters), c(direct$par[1], exp(direct$par[2])), tolerance = 1e-4)
  turned <- fit_one("vonmises", y + 2 * pi * rep(c(-3, 0, 5), 50), steps = 1L)
  expect_equal(turned$loglik, fit$loglik, tolerance = 1e-10)
  # Uniform angles have hardly any concentration.
  even <- fit_one("vonmises", 2 * pi * (0:99) / 100, steps = 1L)
  expect_lt(even$parameters[2], 1e-6)
  expect_equal(even$loglik, -100 * log(2 * pi))
  # A regression.
  x <- cbind(1, seq(-1, 1, length.out = 150))
  z <- 2 * atan(0.3 + x[, 2]) + with_seed(3, von_mises_random(150, 0, 4))
  fit <- fit_one("vonmises", z, x)
  direct <- by_optim(c(0, 0.5, 1), function(p) {
    exp(p[3]) * cos(z - 2 * atan(x %*% p[1:2])) - log(2 * pi * besselI(exp(p[3]), 0))
  })
  expect_equal(fit$loglik, direct$loglik, tolerance = 1e-10)
})

test_that("exponential and lognormal fits are their closed forms, with weights and rows without a value", {
  y <- datasets::faithful$waiting
  w <- rep(c(0.2, 1, 0.7, 0), 68)
  y[c(3, 10)] <- NA
  at <- !is.na(y)
  expect_equal(drop(fit_one("exponential", y, steps = 1L, weight = w)$parameters), stats::weighted.mean(y[at], w[at]))
  fit <- fit_one("lognormal", y, steps = 1L, weight = w)
  mean <- stats::weighted.mean(log(y[at]), w[at])
  sd <- sqrt(stats::weighted.mean((log(y[at]) - mean)^2, w[at]))
  expect_equal(drop(fit$parameters), c(mean, sd), tolerance = 1e-12)
  expect_equal(fit$loglik, sum(w[at] * stats::dlnorm(y[at], mean, sd, log = TRUE)), tolerance = 1e-12)
})

test_that("one component with two parts is a mixture of two normals", {
  y <- datasets::faithful$eruptions
  fit <- fit_one("gaussian_mixture", y, options = list(n_parts = 2), steps = 2000L)
  direct <- by_optim(c(0, 2, 4.3, -1, -1), function(p) {
    q <- stats::plogis(p[1])
    log(q * stats::dnorm(y, p[2], exp(p[4])) + (1 - q) * stats::dnorm(y, p[3], exp(p[5])))
  })
  expect_equal(fit$loglik, direct$loglik, tolerance = 1e-10)
  expect_equal(fit$parameters[3:4], direct$par[2:3], tolerance = 1e-4)
})

test_that("rows that are all alike are a degeneracy of their component, not a floor", {
  alike <- list(gamma = c(2, 2, 2, 3, 5, 9), beta = c(0.4, 0.4, 0.4, 0.1, 0.8, 0.7), vonmises = c(1, 1, 1, 2, -1, 0),
                lognormal = c(2, 2, 2, 3, 5, 9), exponential = c(0, 0, 0, 3, 5, 9), t = c(2, 2, 2, 3, 5, 9))
  z <- cbind(c(0, 0, 0, 1, 1, 1), c(1, 1, 1, 0, 0, 0))
  for (name in names(alike)) {
    spec <- list(name = "y", family = name, y = matrix(alike[[name]]))
    overall <- response_overall_(spec, 2L)
    for (i in 1:60) {
      step <- response_m_step_(spec, overall, z)
      if (!step$done) break
      overall <- step$parameters
    }
    expect_false(step$done, label = name)
    expect_identical(step$degeneracy, "singular", label = name)
    expect_identical(step$component, 2, label = name)
  }
})

test_that("units change parameters and log densities as they must", {
  y <- datasets::airquality$Wind
  for (name in c("gamma", "lognormal", "exponential", "t")) {
    one <- fit_one(name, y)
    million <- fit_one(name, 1e6 * y)
    expect_equal(million$loglik, one$loglik - length(y) * log(1e6), tolerance = 1e-9, label = name)
  }
})

# ---- distributions in R ------------------------------------------------------------------------------

test_that("cdf, quantile, mean and random of each family belong to its density", {
  thetas <- list(
    lognormal = list(meanlog = 0.5, sdlog = 0.6), t = list(mean = 1, scale = 2, df = 5),
    gamma = list(mean = 3, shape = 2.5), exponential = list(mean = 2), beta = list(mean = 0.3, precision = 7),
    vonmises = list(mean = 2.2, concentration = 1.7),
    gaussian_mixture = list(proportions = t(c(0.3, 0.7)), mean = t(c(-1, 3)), sd = t(c(0.5, 1)))
  )
  ends <- list(beta = c(0, 1), vonmises = c(-pi, pi))
  for (name in names(thetas)) {
    family <- resolve_family(name)
    theta <- thetas[[name]]
    from <- if (is.null(ends[[name]])) c(if (name %in% c("t", "gaussian_mixture")) -Inf else 0, Inf) else ends[[name]]
    density <- function(y) family$density(y, theta)
    expect_equal(stats::integrate(density, from[1], from[2], rel.tol = 1e-10)$value, 1, tolerance = 1e-7, label = name)
    prob <- c(0.02, 0.3, 0.5, 0.9, 0.99)
    at <- family$quantile(prob, theta)
    expect_equal(family$cdf(at, theta), prob, tolerance = 1e-9, label = name)
    expect_equal(stats::integrate(density, at[2], at[4], rel.tol = 1e-10)$value, 0.6, tolerance = 1e-7, label = name)
    expect_equal(family$density(at, theta, log = TRUE), log(density(at)), tolerance = 1e-12, label = name)
    if (name != "vonmises") {
      mean <- stats::integrate(function(y) y * density(y), from[1], from[2], rel.tol = 1e-10)$value
      expect_equal(family$mean(theta), mean, tolerance = 1e-7, label = name)
    }
    draws <- with_seed(1, family$random(2000L, theta))
    expect_gt(stats::ks.test(draws, function(y) family$cdf(y, theta))$p.value, 0.001, label = name)
  }
})

test_that("the von Mises cdf is right for every concentration", {
  for (kappa in c(0, 0.01, 3, 80, 499, 501, 5000)) {
    width <- if (kappa < 1) pi else min(pi, 2 / sqrt(kappa))
    for (y in c(2 - width / 2, 2 + width / 3)) {
      direct <- stats::integrate(function(u) {
        family_vonmises()$density(u, list(mean = 2, concentration = kappa))
      }, max(-pi, 2 - 9 / sqrt(max(kappa, 1e-3))), y, rel.tol = 1e-11, subdivisions = 1000L)$value
      expect_equal(von_mises_cdf(y, 2, kappa), direct, tolerance = 1e-8, label = paste(kappa, y))
    }
  }
  expect_equal(von_mises_cdf(c(1, 1 + 2 * pi, 1 - 4 * pi), 0.3, 2), rep(von_mises_cdf(1, 0.3 - 2 * pi, 2), 3))
  expect_equal(von_mises_cdf(c(pi - 1e-12, -pi + 1e-12), 3, 2), c(1, 0), tolerance = 1e-10)
})

test_that("other names of parameters mean the same", {
  natural <- function(name, ...) resolve_family(name)$to_natural(list(...), list(), 2L)
  expect_equal(natural("gamma", rate = c(2, 4), shape = c(6, 2)), natural("gamma", mean = c(3, 0.5), shape = c(6, 2)))
  expect_equal(natural("gamma", scale = c(2, 4), shape = c(6, 2)), natural("gamma", mean = c(12, 8), shape = c(6, 2)))
  expect_equal(natural("beta", shape1 = c(1, 2), shape2 = c(3, 2)), rbind(c(0.25, 0.5), c(4, 4)))
  expect_equal(natural("exponential", rate = c(2, 4)), rbind(c(0.5, 0.25)))
  expect_equal(natural("von_mises", mean = c(0, 1), kappa = c(2, 3)), rbind(c(0, 1), c(2, 3)))
  expect_error(natural("beta", mean = c(0, 0.5), precision = 2), class = "em_error_start")
  expect_error(natural("gamma", mean = c(-1, 2), shape = 1), class = "em_error_start")
  expect_error(natural("gamma", mu = 1, shape = 1), class = "em_error_start")
  # A family object of stats keeps its link.
  expect_identical(resolve_family(stats::Gamma())$link, "inverse")
  expect_identical(resolve_family(stats::Gamma("log"))$name, "gamma")
})

test_that("values outside a family's support are named", {
  bad <- list(gamma = c(1, 0, 2), lognormal = c(1, -2, 2), exponential = c(1, -0.5, 0), beta = c(0.2, 1, 0.4),
              t = c(1, Inf, 2), vonmises = c(1, -Inf, 2), gaussian_mixture = c(1, Inf, 2))
  for (name in names(bad)) {
    e <- tryCatch(resolve_family(name)$check(bad[[name]], "size"), error = identity)
    expect_s3_class(e, "em_error_support")
    expect_identical(e$row, 2L)
    expect_match(conditionMessage(e), "size")
  }
  expect_error(family_mvgaussian()$check(cbind(a = 1:3, b = c(1, Inf, 2)), "y"), "\"b\".*row 2",
               class = "em_error_support")
  expect_error(family_gamma()$check(factor(1:3), "y"), class = "em_error_response_type")
})

test_that("parts are shown by increasing mean", {
  natural <- rbind(c(0.2, 0.6), c(0.8, 0.4), c(5, 1), c(2, 3), c(1, 2), c(3, 4))
  shown <- family_gaussian_mixture()$from_natural(natural, list(n_parts = 2L))
  expect_equal(unname(shown$mean), cbind(c(2, 5), c(1, 3)))
  expect_equal(unname(shown$proportions), cbind(c(0.8, 0.2), c(0.6, 0.4)))
  expect_equal(unname(shown$sd), cbind(c(3, 1), c(2, 4)))
  expect_error(family_gaussian_mixture()$to_natural(list(proportions = c(0.5, 0.6), mean = 1:2, sd = c(1, 1)),
                                                    list(n_parts = 2L), 1L), class = "em_error_start")
})
