# Bootstrap of em_hmm().

many_sequences <- function(m, length, seed) {
  with_seed(seed, {
    do.call(rbind, lapply(seq_len(m), function(i) {
      s <- Reduce(function(from, u) if (u < 0.85) from else 3L - from, stats::runif(length - 1),
                  1L + (stats::runif(1) < 0.5), accumulate = TRUE)
      data.frame(id = i, y = stats::rnorm(length, c(0, 4)[s], c(1, 1.5)[s]), n = stats::rpois(length, c(1, 3)[s]),
                 s = s)
    }))
  })
}

test_that("bootstrap standard errors agree with the observed information where theory says so", {
  d <- many_sequences(60, 15, 1)
  fit <- em_hmm(y ~ 1, d, n_states = 2, id = id)
  by_information <- sqrt(diag(vcov(fit)))
  for (type in c("nonparametric", "weighted", "parametric")) {
    boot <- with_seed(11, em_bootstrap(fit, n_boot = 150, type = type))
    # 150 replicates know a standard error to 6 %; four of those, and 60 sequences
    ratio <- sqrt(diag(vcov(boot))) / by_information
    expect_lt(max(abs(log(ratio))), 0.45)
    expect_lt(abs(mean(log(ratio))), 0.12)
  }
})

test_that("replicates are refits of the reweighted sequences", {
  d <- many_sequences(12, 20, 2)
  d <- d[with_seed(1, sample(nrow(d))), ]
  fit <- em_hmm(y ~ 1, d, n_states = 2, id = id, control = tight_control())
  boot <- with_seed(3, em_bootstrap(fit, n_boot = 2, type = "weighted"))
  gap <- with_seed(3, list(stats::rexp(12), stats::rexp(12)))
  for (b in 1:2) {
    d$v <- (gap[[b]] / mean(gap[[b]]))[match(d$id, fit$sequences$id)]
    refit <- em_hmm(y ~ 1, d, n_states = 2, id = id, weights = v, start = fit, control = tight_control())
    expect_equal(boot$table$loglik[b], refit$loglik, tolerance = 1e-8)
    expect_equal(sort(unname(boot$replicates[b, ])), sort(unname(coef(refit))), tolerance = 1e-4)
  }
})

test_that("one series has a parametric bootstrap, with missing cells and known states", {
  d <- many_sequences(1, 200, 4)
  d$y[c(5, 60:65)] <- NA
  fit <- em_hmm(list(y ~ 1, n ~ 1), d, n_states = 2, family = list("gaussian", "poisson"))
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 10))
  expect_equal(boot$type, "parametric")
  expect_equal(boot$n_ok, 10L)
  expect_equal(colnames(boot$replicates), names(coef(fit)))
  expect_lt(max(abs(colMeans(boot$replicates[, c("y.mean[1]", "y.mean[2]")]) -
                      coef(fit)[c("y.mean[1]", "y.mean[2]")])), 0.5)
  expect_error(em_bootstrap(fit, type = "nonparametric"), class = "em_error_argument")
  known <- em_hmm(y ~ 1, d, n_states = 2, known = replace(rep(NA, 200), 1:30, d$s[1:30]))
  expect_equal(with_seed(1, em_bootstrap(known, n_boot = 3))$n_ok, 3L)
  expect_output(print(boot), "Bootstrap of a hidden Markov model (parametric, 10 replicates)", fixed = TRUE)
  expect_equal(with_seed(2, vcov(fit, type = "bootstrap", n_boot = 5)),
               vcov(with_seed(2, em_bootstrap(fit, n_boot = 5))))
})

test_that("covariates, given initial distributions and the seed", {
  d <- many_sequences(10, 20, 5)
  d$x <- with_seed(6, stats::rnorm(200))
  fits <- list(em_hmm(y ~ 1, d, n_states = 2, id = id, transition = ~ x),
               em_hmm(y ~ 1, d, n_states = 2, id = id, initial = c(0.5, 0.5)))
  for (fit in fits) {
    for (type in c("nonparametric", "weighted", "parametric")) {
      one <- with_seed(1, em_bootstrap(fit, n_boot = 3, type = type, control = em_control(threads = 1)))
      two <- with_seed(1, em_bootstrap(fit, n_boot = 4, type = type, control = em_control(threads = 2)))
      expect_equal(one$n_ok, 3L)
      expect_identical(one$replicates, two$replicates[1:3, ])
    }
  }
})
