# Reference values of the literature and of stats::factanal() at its tightest tolerance (covariances with divisor n).

reference <- list(
  list(name = "ability.cov", q = 1, loglik = -2059.36648457, criterion = 0.6993450354),
  list(name = "ability.cov", q = 2, loglik = -2023.40413474, criterion = 0.0571602168,
       uniquenesses = c(0.45522416, 0.58933216, 0.21817957, 0.76942146, 0.05245176, 0.33358834)),
  list(name = "Harman74.cor", q = 1, loglik = -4444.51213373, criterion = 4.6312752669),
  list(name = "Harman74.cor", q = 4, loglik = -4232.77923342, criterion = 1.7108214696),
  list(name = "mtcars", q = 2, loglik = -615.97044854, criterion = 2.7245660640,
       uniquenesses = c(0.16715725, 0.06975054, 0.09578116, 0.14285056, 0.29780937, 0.16790785, 0.15001180, 0.25582658,
                        0.17096915, 0.24567634, 0.38576959))
)

fit_reference <- function(r, ...) {
  data <- getExportedValue("datasets", r$name)
  if (is.data.frame(data)) em_fa(data, n_factors = r$q, ...) else em_fa(covmat = data, n_factors = r$q, ...)
}

test_that("log-likelihood, criterion and uniquenesses are the reference values", {
  for (r in reference) {
    fit <- fit_reference(r, control = fa_control())
    expect_lt(abs(fit$loglik - r$loglik), 2e-8)
    expect_lt(abs(fit$test$criterion - r$criterion), 1e-9)
    if (!is.null(r$uniquenesses)) expect_lt(max(abs(fit$standardized$uniquenesses - r$uniquenesses)), 1e-7)
  }
})

test_that("with default settings they are reached to 1e-8 in fewer than 100 evaluations, and always upwards", {
  for (r in reference) {
    fit <- fit_reference(r, control = em_control(progress = FALSE))
    expect_true(fit$converged)
    expect_lt(abs(fit$loglik - r$loglik), 2e-8)
    expect_lt(fit$evaluations, 100)
    expect_true(all(diff(fit$trace$objective) >= -1e-9))
  }
})

test_that("every start of the reference problems reaches the optimum", {
  for (r in reference[-3]) {
    fit <- with_seed(2, fit_reference(r, control = em_control(n_starts = 10, progress = FALSE)))
    expect_gte(sum(fit$starts$best), 8)
  }
})

test_that("factanal() finds nothing better", {
  for (q in 1:3) {
    fit <- quietly(em_fa(datasets::mtcars, n_factors = q, control = fa_control()))
    peer <- stats::factanal(datasets::mtcars, q, control = list(nstart = 5))
    expect_lt(fit$test$criterion, unname(peer$criteria["objective"]) + 1e-8)
  }
})
