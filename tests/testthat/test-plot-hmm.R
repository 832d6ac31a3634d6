# What plots draw is tested as numbers; that they draw, and leave the device as it was, by drawing.

hmm_plot_types <- c("series", "states", "density", "transition", "residuals", "starts", "forecast", "trace")
quick_control <- function(...) em_control(n_starts = 3, n_polish = 1, tol = 1e-5, ...)

# A panel of three sequences, mixed in the data, with responses of several kinds, one of them missing at times.
hmm_plot_data <- function() {
  with_seed(1, {
    n <- 150
    state <- rep(rep(1:2, each = 15), length.out = n)
    d <- data.frame(
      who = rep(c("ann", "bob", "cy"), c(80, 69, 1)), x = stats::rnorm(n),
      level = factor(sample(c("low", "high"), n, TRUE)),
      y = stats::rnorm(n, c(0, 4)[state]), count = stats::rpois(n, c(2, 9)[state]),
      angle = stats::rnorm(n, c(-1, 2)[state], 0.3),
      word = factor(c("yes", "no", "perhaps")[pmin(3, state + stats::rbinom(n, 1, 0.3))]),
      wins = stats::rbinom(n, 10, c(0.2, 0.7)[state])
    )
    d$y[c(4, 90)] <- NA
    d[order(stats::runif(n)), ]
  })
}

test_that("every plot draws for every kind of response and leaves par() alone", {
  d <- hmm_plot_data()
  fits <- list(
    em_hmm(faithful$waiting, n_states = 2, control = quick_control()),
    em_hmm(list(y ~ 1, word ~ 1, count ~ 1), d, n_states = 2, family = c("gaussian", "categorical", "poisson"),
           id = ~ who, control = quick_control()),
    em_hmm(cbind(y, count) ~ 1, d, n_states = 3, id = ~ who, covariance = "VVI", control = quick_control()),
    em_hmm(angle ~ 1, d, n_states = 2, family = "vonmises", id = ~ who, control = quick_control()),
    em_hmm(cbind(wins, 10 - wins) ~ 1, d, n_states = 2, family = "binomial", id = ~ who, control = quick_control())
  )
  for (fit in fits) for (type in hmm_plot_types) {
    expect_equal(drawn(expect_invisible(quietly(plot(fit, type)))), character(), info = type)
  }
  expect_equal(drawn(plot(fits[[1]]), 3.5, 3.5), character())
})

test_that("one-panel plots can be put side by side", {
  fit <- em_hmm(faithful$waiting, n_states = 2, control = quick_control())
  expect_equal(drawn({
    graphics::par(mfrow = c(1, 2))
    plot(fit, main = "left", xlim = c(1, 50))
    expect_equal(graphics::par("mfg"), c(1, 1, 1, 2))
    plot(fit, "states")
    expect_equal(graphics::par("mfg"), c(1, 2, 1, 2))
    graphics::par(mfrow = c(1, 1))
  }), character())
})

test_that("the series shows values with the mean of their state", {
  d <- hmm_plot_data()
  fit <- em_hmm(y ~ 1, d, n_states = 2, id = ~ who, control = quick_control())
  shown <- series_data(fit, response_panels(fit, NULL)[[1]], time_rows(fit, c("bob", "cy"), 1e4))
  rows <- which(d$who == "bob")
  expect_equal(shown$value[shown$sequence == 1], d$y[rows])
  expect_equal(shown$state[shown$sequence == 1], unname(fit$states[rows]))
  expect_equal(shown$mean, unname(fit$parameters$emission$mean[shown$state]))
  expect_equal(shown$x[shown$sequence == 1], 1:69)
  expect_equal(sum(shown$sequence == 2), 1)
})

test_that("runs of states cover each sequence without gaps", {
  t <- list(x = c(1:6, 10:12), sequence = rep(1:2, c(6, 3)))
  runs <- state_runs(t, c(1, 1, 2, 2, 2, 1, 1, 2, 2))
  expect_equal(runs$state, c(1, 2, 1, 1, 2))
  expect_equal(runs$left, c(0.5, 2.5, 5.5, 9.5, 10.5))
  expect_equal(runs$right, c(2.5, 5.5, 6.5, 10.5, 12.5))
})

test_that("long series are thinned out, and probabilities averaged, with a note", {
  y <- with_seed(2, stats::rnorm(30000, rep(c(0, 5), each = 50)))
  fit <- em_hmm(y, n_states = 2, start = 1 + (y > 2.5))
  t <- time_rows(fit, NULL, 5000)
  expect_length(t$rows, 5000)
  expect_match(t$note, "5,000 of 30,000 rows")
  d <- states_data(fit, t, 2000)
  expect_equal(nrow(d$p), 2000)
  expect_equal(d$p[3, ], unname(colMeans(fit$posterior[31:45, ])))
  expect_equal(d$note, "averages of 15 rows")
  expect_lt(system.time(drawn(plot(fit)))[["elapsed"]], 5)
  # a window is chosen before rows are left out
  expect_equal(time_rows(fit, NULL, 5000, xlim = c(101, 200))$rows, 101:200)
})

test_that("times make the axis of one sequence", {
  d <- data.frame(y = with_seed(3, stats::rnorm(60, rep(c(0, 4), 30))),
                  day = as.Date("2020-01-01") + cumsum(rep(1:2, 30)))
  fit <- em_hmm(y ~ 1, d, n_states = 2, time = ~ day, control = quick_control())
  t <- time_rows(fit, NULL, 100)
  expect_equal(t$x, as.double(d$day))
  expect_s3_class(t$like, "Date")
  expect_equal(drawn(plot(fit)), character())
})

test_that("densities are those of the states times their share of the rows", {
  d <- hmm_plot_data()
  fit <- em_hmm(list(y ~ 1, word ~ 1), d, n_states = 2, family = c("gaussian", "categorical"), id = ~ who,
                control = quick_control())
  panels <- response_panels(fit, NULL)
  posterior <- fit$posterior
  own <- density_data(fit, core_parameters(fit), panels[[1]], hmm_ordered_posterior(fit))
  e <- fit$parameters$emission
  # shares are of the rows that observe the response
  share <- colMeans(posterior[!is.na(d$y), ])
  expect_equal(own$densities[, 2], unname(share[2] * stats::dnorm(own$at, e$y$mean[2], e$y$sd[2])))
  words <- density_data(fit, core_parameters(fit), panels[[2]], hmm_ordered_posterior(fit))
  expect_equal(words$bars$height, as.vector(table(d$word)) / 150)
  expect_equal(unname(words$densities), unname(t(colMeans(posterior) * e$word$prob)))
})

test_that("densities with covariates are averages over the rows", {
  d <- hmm_plot_data()
  fit <- em_hmm(count ~ x, d, n_states = 2, family = "poisson", id = ~ who, control = quick_control())
  own <- density_data(fit, core_parameters(fit), response_panels(fit, NULL)[[1]], hmm_ordered_posterior(fit))
  b <- fit$parameters$emission$coefficients
  by_hand <- vapply(own$at, function(v) mean(fit$posterior[, 1] * stats::dpois(v, exp(b[1, 1] + b[2, 1] * d$x))), 0)
  expect_equal(own$densities[, 1], by_hand)
})

test_that("transition probabilities along a covariate are those of predict()", {
  d <- hmm_plot_data()
  fit <- quietly(em_hmm(y ~ 1, d, n_states = 2, id = ~ who, transition = ~ level + x, timing = "to",
                        control = quick_control()))
  along <- transition_data(fit, "x")
  expect_equal(along$note, paste("at level =", names(which.max(table(d$level)))))
  new <- data.frame(y = 0, level = factor(names(which.max(table(d$level))), levels(d$level)), x = along$x[40],
                    who = "ann")
  expected <- predict(fit, new[c(1, 1), ], type = "transition")[, , 2]
  expect_equal(unname(along$p[, , 40]), unname(expected))
  expect_equal(transition_data(fit, NULL)$labels, c("high", "low"))
  expect_equal(drawn(plot(fit, "transition")), character())
  expect_error(plot(fit, "transition", covariate = "y"), class = "em_error_argument")
})

test_that("autocorrelations do not cross sequences, and agree with acf() in one", {
  z <- with_seed(4, stats::rnorm(80))
  a <- acf_data(z, rep(1L, 80), 5)
  expect_equal(a$acf, as.vector(stats::acf(z, 5, plot = FALSE)$acf)[-1] * 80 / (80 - 1:5))
  two <- acf_data(z, rep(1:2, c(50, 30)), 1)
  centred <- z - mean(z)
  pairs <- setdiff(1:79, 50)
  expect_equal(two$acf, mean(centred[pairs] * centred[pairs + 1]) / mean(centred^2))
  expect_equal(nrow(acf_data(z, 1:80)), 0)
})

test_that("a QQ plot has the sorted residuals and regions that hold the line", {
  q <- qq_data(c(NA, stats::qnorm(stats::ppoints(200))))
  expect_equal(q$sample, q$theoretical)
  expect_true(all(q$lower < q$sample & q$sample < q$upper))
  expect_equal(nrow(qq_data(seq(-3, 3, length.out = 1e4))), 2000)
})

test_that("a forecast shows the end of the series and predict()'s intervals", {
  d <- hmm_plot_data()
  fit <- em_hmm(list(y ~ 1, word ~ 1), d, n_states = 2, family = c("gaussian", "categorical"), id = ~ who,
                control = quick_control())
  shown <- forecast_data(fit, response_panels(fit, NULL), "bob", 3, NULL, c(0.9, 0.5), 20)
  table <- predict(fit, type = "forecast", h = 3, level = 0.9)
  own <- table[table$sequence == "bob" & table$response == "y", ]
  expect_equal(shown[[1]]$future$mean, own$mean)
  expect_equal(unname(shown[[1]]$upper[, 2]), own$upper)
  expect_equal(unname(shown[[1]]$lower[, 2]), own$lower)
  expect_equal(shown[[1]]$history$value, utils::tail(d$y[d$who == "bob"], 20))
  expect_equal(shown[[1]]$future$x, 70:72)
  expect_equal(rowSums(shown[[2]]$prob), rep(1, 3))
})

test_that("many sequences and columns are cut with a word, and choices are checked", {
  d <- data.frame(y = with_seed(5, stats::rnorm(80, rep(c(0, 3), 40))), id = rep(1:20, each = 4))
  fit <- em_hmm(y ~ 1, d, n_states = 2, id = ~ id, control = quick_control())
  expect_match(time_rows(fit, NULL, 100)$note, "the first 6 of 20 sequences")
  expect_equal(time_rows(fit, c("20", "3"), 100)$edges$label, c("20", "3"))
  expect_error(plot(fit, sequences = "none"), class = "em_error_argument")
  expect_error(plot(fit, response = "z"), class = "em_error_argument")
  expect_error(plot(fit, "histogram"), class = "em_error_argument")
  wide <- em_hmm(as.matrix(iris[1:4]), n_states = 1)
  wide$responses[[1]]$columns <- c(wide$responses[[1]]$columns, "fifth")
  expect_message(response_panels(wide, NULL), "first 4 of 5")
})

test_that("plots of the data need the data, the others do not", {
  fit <- em_hmm(faithful$waiting, n_states = 2, control = quick_control(keep_data = FALSE))
  expect_error(plot(fit), class = "em_error_no_data")
  expect_error(plot(fit, "density"), class = "em_error_no_data")
  expect_equal(drawn(plot(fit, "transition")), character())
  expect_equal(drawn(plot(fit, "starts")), character())
})

test_that("plots do not move R's random numbers", {
  fit <- em_hmm(discoveries, n_states = 2, family = "poisson", control = quick_control())
  set.seed(7)
  before <- .Random.seed
  drawn(plot(fit, "residuals"))
  expect_identical(.Random.seed, before)
})

test_that("every ggplot2 plot builds", {
  skip_if_not_installed("ggplot2")
  d <- hmm_plot_data()
  fits <- list(em_hmm(faithful$waiting, n_states = 2, control = quick_control()),
               quietly(em_hmm(list(y ~ 1, count ~ 1), d, n_states = 2, family = c("gaussian", "poisson"),
                              transition = ~ x, id = ~ who, control = quick_control())))
  # starts and trace are those of every fit
  types <- list(c("series", "states", "density", "transition", "residuals", "forecast"),
                c("series", "states", "transition"))
  for (i in 1:2) for (type in types[[i]]) {
    plot <- ggplot2::autoplot(fits[[i]], type)
    expect_s3_class(plot, "ggplot")
    expect_silent(ggplot2::ggplot_build(plot))
  }
  words <- em_hmm(word ~ 1, d, n_states = 2, family = "categorical", id = ~ who, control = quick_control())
  expect_silent(ggplot2::ggplot_build(ggplot2::autoplot(words)))
  expect_silent(ggplot2::ggplot_build(ggplot2::autoplot(words, "density")))
  expect_error(ggplot2::autoplot(words, "forecast"), class = "em_error_nothing_to_plot")
  expect_error(ggplot2::autoplot(words, colour = 1), class = "em_error_unused_argument")
})

test_that("the criteria of all numbers of states are drawn", {
  fit <- em_hmm(eruptions ~ 1, faithful, n_states = 1:2, control = em_control(progress = FALSE, n_starts = 4))
  expect_equal(drawn(expect_invisible(plot(fit, "selection"))), character())
  d <- latent_selection_data(fit)
  expect_equal(d$value[d$criterion == "ICL"], fit$selection$ICL)
  alone <- em_hmm(eruptions ~ 1, faithful, n_states = 2, control = em_control(progress = FALSE, n_starts = 4))
  expect_error(plot(alone, "selection"), class = "em_error_nothing_to_plot")
  skip_if_not_installed("ggplot2")
  plot <- ggplot2::autoplot(fit, "selection")
  expect_equal(ggplot2::layer_data(plot, 3)$y, fit$selection$BIC[fit$selection$n_states == fit$n_states])
})

test_that("the axis has the name of the time", {
  d <- data.frame(y = with_seed(1, stats::rnorm(30, rep(c(0, 5), 15))), year = 1990:2019)
  fit <- em_hmm(y ~ 1, d, n_states = 2, time = year, control = em_control(progress = FALSE, n_starts = 4))
  expect_equal(time_title(fit, time_rows(fit, NULL, 100)), "year")
})
