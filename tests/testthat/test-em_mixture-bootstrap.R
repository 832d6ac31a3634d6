# Bootstrap of em_mixture().

two_lines <- function(n, seed) {
  with_seed(seed, {
    d <- data.frame(x = stats::runif(n, 0, 10), z = stats::rnorm(n))
    k <- stats::rbinom(n, 1, 0.4) + 1
    d$y <- c(1, 12)[k] + c(2, -1)[k] * d$x + stats::rnorm(n)
    d$count <- stats::rpois(n, c(2, 9)[k])
    d$k <- k
    d
  })
}

test_that("bootstrap standard errors agree with the observed information where theory says so", {
  fit <- em_mixture(y ~ x, two_lines(400, 1), n_components = 2)
  by_information <- sqrt(diag(vcov(fit)))
  for (type in c("nonparametric", "weighted", "parametric")) {
    # (not the seed of the data: the same numbers would tell the covariate and the component)
    boot <- with_seed(11, em_bootstrap(fit, n_boot = 200, type = type))
    # 200 replicates know a standard error to 5 %; four of those, and finite samples
    ratio <- sqrt(diag(vcov(boot))) / by_information
    expect_lt(max(abs(log(ratio))), 0.35)
    expect_lt(abs(mean(log(ratio))), 0.1)
  }
})

test_that("replicates are refits of the reweighted rows", {
  d <- two_lines(120, 2)
  d$w <- rep(c(1, 2), 60)
  fit <- em_mixture(list(y ~ x, count ~ 1), d, n_components = 2, family = list("gaussian", "poisson"), weights = w,
                    control = tight_control())
  boot <- with_seed(3, em_bootstrap(fit, n_boot = 2, type = "weighted"))
  gap <- with_seed(3, list(stats::rexp(120), stats::rexp(120)))
  for (b in 1:2) {
    d$v <- d$w * gap[[b]] / mean(gap[[b]])
    refit <- em_mixture(list(y ~ x, count ~ 1), d, n_components = 2, family = list("gaussian", "poisson"), weights = v,
                        start = fit, control = tight_control())
    expect_equal(boot$table$loglik[b], refit$loglik, tolerance = 1e-9)
    expected <- coef(refit)
    # The refit orders its components by their own proportions.
    if (abs(expected["y.coefficients[x,1]"] - coef(fit)["y.coefficients[x,1]"]) > 1) {
      expected <- stats::setNames(expected[chartr("12", "21", names(expected))], names(expected))
    }
    expect_equal(boot$replicates[b, ], expected, tolerance = 1e-5)
  }
})

test_that("components that change places are matched", {
  # Of equal size: refits sorted by proportion would swap in half of the replicates.
  d <- with_seed(4, data.frame(y = c(stats::rnorm(60, -2), stats::rnorm(60, 2))))
  fit <- em_mixture(y ~ 1, d, n_components = 2, shared = "sd")
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 60))
  expect_lt(max(apply(boot$replicates[, c("mean[1]", "mean[2]")], 2, stats::sd)), 0.4)
  z <- fit$posterior
  expect_equal(match_posteriors(z, z[, 2:1]), 2:1)
})

test_that("missing cells, known components, concomitants and fixed parameters carry over", {
  d <- two_lines(150, 5)
  d$y[c(3, 40)] <- NA
  fits <- list(
    em_mixture(y ~ x, d, n_components = 2, proportions = ~ z),
    em_mixture(y ~ x, d, n_components = 2, known = replace(rep(NA, 150), 1:20, d$k[1:20])),
    em_mixture(list(y ~ 1, count ~ 1), d, n_components = 2, family = list("gaussian", "poisson"),
               fixed = list(proportions = c(0.6, 0.4)))
  )
  for (fit in fits) {
    for (type in c("nonparametric", "weighted", "parametric")) {
      boot <- with_seed(1, em_bootstrap(fit, n_boot = 3, type = type))
      expect_equal(boot$n_ok, 3L)
      expect_equal(colnames(boot$replicates), names(coef(fit)))
      expect_true(all(is.finite(boot$replicates)))
    }
  }
  expect_equal(unname(boot$replicates[, 1:2]), matrix(c(0.6, 0.4), 3, 2, byrow = TRUE))
  expect_output(print(boot), "Bootstrap of a finite mixture (parametric, 3 replicates)", fixed = TRUE)
  expect_equal(with_seed(2, vcov(fit, type = "bootstrap", n_boot = 5)),
               vcov(with_seed(2, em_bootstrap(fit, n_boot = 5))))
})

test_that("it depends on the seed alone, and leaves what it cannot fit", {
  fit <- em_mixture(y ~ x, two_lines(100, 6), n_components = 2)
  one <- with_seed(1, em_bootstrap(fit, n_boot = 4, control = em_control(threads = 1)))
  two <- with_seed(1, em_bootstrap(fit, n_boot = 6, control = em_control(threads = 2)))
  expect_identical(one$replicates, two$replicates[1:4, ])
  few <- data.frame(y = c(with_seed(7, stats::rnorm(40)), 20, 20.5, 20.7))
  fit <- quietly(em_mixture(y ~ 1, few, n_components = 2))
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 40))
  expect_lt(boot$n_ok, 40)
  expect_equal(sum(boot$table$status == "degenerate"), 40 - boot$n_ok)
  bare <- em_mixture(y ~ 1, few, n_components = 1, control = em_control(keep_data = FALSE))
  expect_error(em_bootstrap(bare), class = "em_error_no_data")
})
