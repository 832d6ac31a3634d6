# Standard errors: oracles are closed forms and the exact scores of other models.

test_that("the standard error of the linkage data is that of the second derivative", {
  fit <- em_fit_of(em_model_linkage())
  t <- fit$parameters$t
  information <- 125 / (2 + t)^2 + 38 / (1 - t)^2 + 34 / t^2
  expect_equal(unname(vcov(fit)[1, 1]), 1 / information, tolerance = 1e-9)
  # in real coordinates too
  expect_equal(vcov(em_fit_of(em_model_linkage(), transform = NULL)), vcov(fit), tolerance = 1e-7)
})

test_that("standard errors are those of the exact score, for shares and covariances too", {
  model <- em_model_plane()
  fit <- em_fit_of(model)
  gmm <- em_gmm(model$data, n_components = 2, covariance = "VVV", control = em_control(tol = 1e-13))
  ours <- vcov(fit)
  expect_equal(sort(unname(diag(ours))), sort(unname(diag(vcov(gmm)))), tolerance = 1e-5)
  expect_equal(unname(rowSums(ours[, 1:2])), rep(0, 12), tolerance = 1e-9)
  expect_named(coef(fit)[7:10], c("sigma[1,1,1]", "sigma[2,1,1]", "sigma[2,2,1]", "sigma[1,1,2]"))
  expect_identical(rownames(ours), names(coef(fit)))
})

test_that("the information of a slow and strongly correlated problem is found", {
  # Probit with covariates that are nearly the same, in units far apart.
  d <- with_seed(3, {
    a <- stats::rnorm(200)
    data.frame(a = 1e4 * a, b = 1e-3 * (a + 0.02 * stats::rnorm(200)))
  })
  d$y <- as.numeric(with_seed(4, d$a / 1e4 + stats::rnorm(200)) > 0)
  oracle <- stats::glm(y ~ a + b, stats::binomial("probit"), d, control = list(epsilon = 1e-14))
  x <- stats::model.matrix(oracle)
  loglik <- function(beta) sum(stats::pnorm((2 * d$y - 1) * drop(x %*% beta), log.p = TRUE))
  found <- information_by_differences(loglik, stats::coef(oracle))
  # minus the second derivative, in closed form
  e <- (2 * d$y - 1) * drop(x %*% stats::coef(oracle))
  ratio <- exp(stats::dnorm(e, log = TRUE) - stats::pnorm(e, log.p = TRUE))
  exact <- solve(crossprod(x * sqrt(ratio * (ratio + e))), tol = 1e-30)
  expect_equal(found$variance / sqrt(tcrossprod(diag(exact))), unname(exact / sqrt(tcrossprod(diag(exact)))),
               tolerance = 1e-5)
  expect_identical(c(ncol(found$null), found$rises), c(0L, FALSE))
})

test_that("what the data do not determine is named and has no standard error", {
  y <- with_seed(1, stats::rnorm(20, 3))
  fit <- em(c(a = 1, b = 2, s = 1), update = function(theta) {
    shift <- (mean(y) - theta[["a"]] - theta[["b"]]) / 2
    m <- theta[["a"]] + theta[["b"]] + 2 * shift
    c(theta[["a"]] + shift, theta[["b"]] + shift, sqrt(mean((y - m)^2)))
  }, loglik = function(theta) sum(stats::dnorm(y, theta[["a"]] + theta[["b"]], theta[["s"]], log = TRUE)),
  transform = c(s = "positive"))
  warning <- expect_warning(v <- vcov(fit), class = "em_warning_not_identified")
  expect_identical(warning$coefficients, c("a", "b"))
  expect_identical(unname(is.na(diag(v))), c(TRUE, TRUE, FALSE))
  expect_equal(unname(v[3, 3]), fit$parameters[["s"]]^2 / 40, tolerance = 1e-6)
  expect_match(format(summary(fit)$report[["estimate"]]), "do not determine")
})

test_that("a parameter on the boundary is held there", {
  # No cell of the second kind was seen: its share goes to 0 at once.
  n <- c(30, 0, 70)
  fit <- em(list(s = c(0.3, 0.3, 0.4)), update = function(theta) list(s = n / sum(n)),
            loglik = function(theta) sum((n * log(theta$s))[n > 0]), transform = "simplex")
  warning <- expect_warning(v <- vcov(fit), class = "em_warning_boundary")
  expect_identical(warning$coefficients, "s[2]")
  expect_equal(unname(diag(v)), c(0.3 * 0.7 / 100, NA, 0.3 * 0.7 / 100), tolerance = 1e-8)
})

test_that("a saddle point is called so", {
  fit <- em_fit_of(em_model_deaths(), start = list(p = 0.4, mu = c(2, 2)))
  expect_warning(suppressWarnings(vcov(fit), classes = "em_warning_not_identified"), class = "em_warning_not_a_maximum")
})

test_that("a fit all of whose parameters are at a bound has no standard errors, and says so", {
  fit <- em(list(p = 0.5), update = function(theta) list(p = 0), transform = "probability",
            loglik = function(theta) stats::dbinom(0, 10, theta$p, log = TRUE))
  expect_warning(variance <- vcov(fit), "boundary", class = "em_warning_boundary")
  expect_equal(variance, matrix(NA_real_, 1, 1, dimnames = list("p", "p")))
  expect_match(summary(fit)$report[["estimate"]], "boundary")
})

test_that("a variance that EM is still taking to 0 is at its bound, and the rest has standard errors", {
  # groups that differ less than chance would have it: the variance between them is 0
  y <- matrix(with_seed(5, stats::rnorm(60)), 12)
  y <- y - rowMeans(y) + with_seed(6, stats::rnorm(12, 0, 0.2))
  n <- ncol(y)
  fit <- quietly(em(
    start = list(mu = 1, t2 = 1, s2 = 1),
    e_step = function(theta) {
      v <- 1 / (n / theta$s2 + 1 / theta$t2)
      list(b = v * rowSums(y - theta$mu) / theta$s2, v = v)
    },
    m_step = function(s) {
      mu <- mean(y - s$b)
      list(mu = mu, t2 = mean(s$b^2) + s$v, s2 = mean((y - mu - s$b)^2) + s$v)
    },
    loglik = function(theta) {
      m <- rowMeans(y)
      sum(stats::dnorm(m, theta$mu, sqrt(theta$t2 + theta$s2 / n), log = TRUE)) - sum((y - m)^2) / (2 * theta$s2) -
        length(m) * (n - 1) / 2 * log(theta$s2)
    },
    transform = c(t2 = "positive", s2 = "positive")
  ))
  expect_lt(fit$parameters$t2, 1e-4)
  expect_warning(variance <- vcov(fit), "t2", class = "em_warning_boundary")
  expect_true(is.na(variance["t2", "t2"]))
  s2 <- mean((y - mean(y))^2)
  expect_equal(variance["mu", "mu"], s2 / length(y), tolerance = 1e-3)
  expect_equal(variance["s2", "s2"], 2 * s2^2 / length(y), tolerance = 1e-3)
})
