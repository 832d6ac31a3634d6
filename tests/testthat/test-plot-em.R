linkage_with_bound <- function(...) {
  em_fit_of(em_model_linkage(), start = list(t = 0.1), complete_loglik = function(theta, x, y) {
    (x + y[4]) * log(theta$t) + (y[2] + y[3]) * log(1 - theta$t)
  }, ...)
}

plane_with_bound <- function() {
  em_fit_of(em_model_plane(), complete_loglik = function(theta, z, x) {
    sum(sapply(1:2, function(k) {
      root <- chol(theta$sigma[, , k])
      u <- backsolve(root, t(x) - theta$mu[k, ], transpose = TRUE)
      z[, k] * (log(theta$p[k]) - colSums(u^2) / 2 - sum(log(diag(root))))
    }))
  })
}

test_that("every plot draws and leaves par() alone", {
  fits <- list(exact = linkage_with_bound(), parabola = em_fit_of(em_model_plane()))
  for (fit in fits) for (type in c("trace", "starts", "bound", "rate")) {
    expect_equal(drawn(expect_invisible(plot(fit, type))), character(), info = type)
  }
  expect_equal(drawn(plot(plane_with_bound(), "bound", direction = "mu[1,1]", main = "title", legend = FALSE)), character())
})

test_that("the exact bound touches at the point, is below elsewhere, and is highest at the EM update", {
  for (at in 0:2) {
    d <- bound_data(linkage_with_bound(), at = at)
    expect_true(d$exact)
    expect_equal(d$here$bound, d$here$loglik)
    expect_true(all(d$curves$bound <= d$curves$loglik + 1e-9))
    expect_lte(max(d$curves$bound), d$update$bound)
    expect_identical(d$xlab, "t")
  }
  model <- em_model_linkage()
  x <- model$e_step(list(t = 0.1), model$data)
  first <- bound_data(linkage_with_bound(), at = 0)
  expect_equal(c(first$here$x, first$update$x), c(0.1, model$m_step(x, model$data)$t))
  expect_equal(first$curves$loglik, vapply(first$curves$x, function(t) model$loglik(list(t = t), model$data), 0))
})

test_that("the bound includes the log prior", {
  fit <- linkage_with_bound(m_step = function(x, y) list(t = (x + y[4] + 2) / (x + sum(y[2:4]) + 6)),
                            log_prior = function(theta) 2 * log(theta$t) + 4 * log(1 - theta$t))
  d <- bound_data(fit, at = 0)
  expect_true(all(d$curves$bound <= d$curves$loglik + 1e-9))
  expect_lte(max(d$curves$bound), d$update$bound)
})

test_that("without the complete log-likelihood a parabola has value, slope and top of the bound", {
  d <- bound_data(em_fit_of(em_model_linkage(), start = list(t = 0.1)), at = 0)
  exact <- bound_data(linkage_with_bound(), at = 0)
  expect_false(d$exact)
  expect_equal(d$here, exact$here)
  expect_equal(d$update[c("x", "loglik")], exact$update[c("x", "loglik")])
  expect_lte(max(d$curves$bound), d$update$bound)
  near <- which.min(abs(d$curves$step))
  slope <- function(v) diff(v[near + c(-1, 1)]) / diff(d$curves$step[near + c(-1, 1)])
  expect_equal(slope(d$curves$bound), slope(exact$curves$bound), tolerance = 0.05)
})

test_that("directions are parameters by name or coordinates", {
  fit <- plane_with_bound()
  d <- bound_data(fit, "mu[2,1]", at = 1)
  expect_identical(d$xlab, "mu[2,1]")
  expect_equal(diff(range(d$curves$x)) / diff(range(d$curves$step)), 1)
  expect_identical(bound_data(fit, as.numeric(1:11 == 3), at = 1)$xlab, "mu[2,1]")
  expect_error(bound_data(fit, "p[1]"), "mu\\[1,1\\]", class = "em_error_argument")
  expect_error(bound_data(fit, 1:3), "11 numbers", class = "em_error_argument")
  expect_error(bound_data(em_fit_of(em_model_plane()), at = 5000), class = "em_error_nothing_to_plot")
})

test_that("the rate is the ratio of successive gains of plain EM", {
  # near the optimum the square of the derivative of the EM map: 0.1328 for the linkage data (Dempster et al. 1977)
  d <- rate_data(linkage_with_bound(), 50)
  expect_equal(d$rate[nrow(d)], 0.1328^2, tolerance = 0.02)
  fit <- quietly(em_fit_of(em_model_deaths(), control = em_control(tol = 0, max_iter = 20, acceleration = "none")))
  gain <- diff(fit$trace$objective)
  expect_equal(rate_data(fit, 20)$rate[1:5], (gain[-1] / gain[-20])[1:5])
})

test_that("ggplot2 draws the same", {
  skip_if_not_installed("ggplot2")
  fit <- linkage_with_bound()
  for (type in c("trace", "starts", "bound", "rate")) {
    expect_s3_class(ggplot2::ggplot_build(ggplot2::autoplot(fit, type)), "ggplot_built")
  }
  curves <- bound_data(fit, at = 1)$curves
  drawn <- ggplot2::ggplot_build(ggplot2::autoplot(fit, "bound", at = 1))$data[[1]]
  expect_true(all(drawn$y %in% c(curves$loglik, curves$bound)))
  expect_error(ggplot2::autoplot(fit, "bonds"), class = "em_error_argument")
  expect_error(ggplot2::autoplot(fit, colour = 1), class = "em_error_unused_argument")
})

test_that("what is plotted is called a posterior if there is a log prior", {
  fit <- em_fit_of(em_model_linkage(), log_prior = function(theta) log(theta$t), loglik = function(theta, y) {
    sum(y * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t)))
  }, m_step = function(x, y) list(t = (x + y[4] + 1) / (x + sum(y[2:4]) + 1)))
  expect_true(has_log_prior(fit))
  expect_false(has_log_prior(em_fit_of(em_model_linkage())))
})

test_that("a line that misses the EM update needs the function that the M-step maximises", {
  expect_error(bound_data(em_fit_of(em_model_plane()), "mu[2,1]", at = 1), "complete_loglik",
               class = "em_error_nothing_to_plot")
  expect_false(bound_data(em_fit_of(em_model_plane()), at = 1)$exact)
})

test_that("a bound that crosses the log-likelihood is reported", {
  wrong <- em_fit_of(em_model_linkage(), start = list(t = 0.1), complete_loglik = function(theta, x, y) {
    3 * (x + y[4]) * log(theta$t) + (y[2] + y[3]) * log(1 - theta$t)
  })
  expect_warning(bound_data(wrong, at = 0), "complete_loglik", class = "em_warning_not_a_bound")
})
