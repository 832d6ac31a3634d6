# What plots draw is tested as numbers; that they draw, and leave the device as it was, by drawing.

mixture_plot_types <- c("regression", "density", "residuals", "posterior", "starts", "trace")

mixture_plot_data <- function() {
  with_seed(1, {
    n <- 200
    k <- stats::rbinom(n, 1, 0.4) + 1
    x <- stats::runif(n, 0, 5)
    g <- factor(sample(c("a", "b"), n, TRUE))
    data.frame(x, g, y = c(0, 8)[k] + c(1, -1)[k] * x + stats::rnorm(n, 0, 0.5), count = stats::rpois(n, c(3, 15)[k]),
               word = factor(c("yes", "no", "perhaps")[pmin(3, k + stats::rbinom(n, 1, 0.3))]),
               wins = stats::rbinom(n, 10, c(0.2, 0.8)[k]))
  })
}

# Made once.
mixture_plot_fits <- local({
  made <- NULL
  function() {
    if (is.null(made)) made <<- make_mixture_plot_fits()
    made
  }
})

make_mixture_plot_fits <- function() {
  d <- mixture_plot_data()
  control <- em_control(n_starts = 5, n_polish = 2, tol = 1e-5)
  list(
    line = em_mixture(y ~ x + g, d, n_components = 2, control = control),
    several = quietly(em_mixture(list(count ~ g, word ~ x), d, n_components = 2,
                                 family = list("poisson", "categorical"), control = control)),
    share = em_mixture(cbind(wins, 10 - wins) ~ x, d, n_components = 2, family = "binomial", control = control),
    plain = em_mixture(y ~ 1, d, n_components = 1:2, control = control)
  )
}

test_that("every plot draws and leaves par() alone", {
  fits <- mixture_plot_fits()
  for (name in names(fits)) for (type in setdiff(mixture_plot_types, if (name == "plain") "regression")) {
    expect_equal(drawn(expect_invisible(plot(fits[[name]], type))), character(), info = paste(name, type))
  }
  expect_equal(drawn(plot(fits$plain)), character())
  expect_error(plot(fits$plain, "regression"), class = "em_error_nothing_to_plot")
  expect_error(plot(fits$several, "regression", response = "word"), class = "em_error_nothing_to_plot")
  expect_error(plot(fits$line, covariate = "z"), class = "em_error_argument")
  expect_equal(drawn(plot(fits$line, covariate = "g")), character())
})

test_that("lines are the means of the components at the typical other covariates", {
  fit <- mixture_plot_fits()$line
  d <- regression_data(fit, response_panels(fit, NULL)[[1]], NULL, 1e4)
  expect_equal(d$name, "x")
  typical <- names(which.max(table(fit$frame$g)))
  expect_equal(d$note, paste("lines at g =", typical))
  b <- fit$parameters$emission$coefficients
  expect_equal(d$lines$mean[d$lines$component == 2],
               unname(b["(Intercept)", 2] + (typical == "b") * b["gb", 2] +
                        b["x", 2] * d$lines$x[d$lines$component == 2]))
  expect_equal(d$points$value, fit$frame$y)
  expect_equal(d$points$class, unname(fit$classification))
  expect_equal(d$points$sure, unname(apply(fit$posterior, 1, max)))
})

test_that("points are thinned out with a note", {
  fit <- mixture_plot_fits()$line
  d <- regression_data(fit, response_panels(fit, NULL)[[1]], NULL, 50)
  expect_equal(nrow(d$points), 50)
  expect_match(d$note, "50 of 200 rows")
})

test_that("the rootogram counts posterior probabilities", {
  fit <- mixture_plot_fits()$plain
  d <- rootogram_data(fit)
  p <- fit$posterior[, 1]
  bins <- cut(p[p > 1e-4], seq(0, 1, 0.05), right = FALSE, include.lowest = TRUE)
  expect_equal(d$all[d$component == 1], as.vector(table(bins)))
  expect_equal(sum(d$own), 200)
  expect_equal(sum(d$own[d$component == 2]), sum(fit$classification == 2))
})

test_that("densities sum to the density of the mixture, averaged over covariates and trials", {
  fits <- mixture_plot_fits()
  density_of <- function(fit) {
    density_data(as_states(fit), mixture_core(fit), response_panels(fit, NULL)[[1]], predict(fit, type = "posterior"))
  }
  plain <- density_of(fits$plain)
  e <- fits$plain$parameters
  expect_equal(rowSums(plain$densities),
               e$proportions[[1]] * stats::dnorm(plain$at, e$emission$mean[1], e$emission$sd[1]) +
                 e$proportions[[2]] * stats::dnorm(plain$at, e$emission$mean[2], e$emission$sd[2]), tolerance = 1e-4)
  share <- density_of(fits$share)
  fit <- fits$share
  prob <- stats::plogis(cbind(1, fit$frame$x) %*% fit$parameters$emission$coefficients)
  by_hand <- function(v) mean(fit$posterior[, 1] * stats::dbinom(v, 10, prob[, 1]))
  expect_equal(share$densities[, 1], vapply(share$at, by_hand, 0))
})

test_that("residuals are shown against fitted values, or rows where these are constant", {
  fits <- mixture_plot_fits()
  expect_equal(mixture_residual_data(fits$line, NULL, 1)$xlab, "fitted")
  expect_equal(mixture_residual_data(fits$plain, NULL, 1)$xlab, "row")
  expect_match(mixture_residual_data(fits$several, "word", 1)$note, "of word \\(2 of 2")
  expect_error(plot(fits$several, "residuals", response = "z"), class = "em_error_argument")
})

test_that("every ggplot2 plot builds", {
  skip_if_not_installed("ggplot2")
  fits <- mixture_plot_fits()
  # starts and trace are those of every fit
  types <- list(line = c("regression", "density", "residuals", "posterior"), share = "regression", several = "density")
  for (name in names(types)) for (type in types[[name]]) {
    plot <- suppressMessages(ggplot2::autoplot(fits[[name]], type))
    expect_s3_class(plot, "ggplot")
    expect_silent(ggplot2::ggplot_build(plot))
  }
  expect_s3_class(ggplot2::autoplot(fits$plain), "ggplot")
  expect_message(ggplot2::autoplot(fits$several, "density"), "Categorical")
  expect_error(ggplot2::autoplot(fits$plain, colour = 1), class = "em_error_unused_argument")
})

test_that("the criteria of all numbers of components are drawn, with a ring around the one that is chosen", {
  fit <- mixture_plot_fits()$plain
  expect_equal(drawn(expect_invisible(plot(fit, "selection"))), character())
  expect_equal(latent_selection_title(fit, fit$criterion), sprintf("Model selection: %s by BIC",
                                                                   count_of(fit$n_components, "component")))
  expect_error(plot(mixture_plot_fits()$line, "selection"), class = "em_error_nothing_to_plot")
})
