# What plots draw is tested as numbers; that they draw, and leave the device as it was, by drawing.

plot_types <- c("classification", "density", "uncertainty", "selection", "trace", "starts")

plot_fits <- function() {
  x <- punch_holes(as.matrix(faithful), 0.1, all_missing_rows = 3, seed = 1)
  list(
    one = em_gmm(faithful$waiting, n_components = 1:2),
    two = em_gmm(x, n_components = 1:3, covariance = c("EEE", "VVV")),
    noise = em_gmm(faithful, n_components = 2, covariance = "EEE", noise = TRUE),
    four = em_gmm(iris[, 1:4], n_components = 3, covariance = "VEV"),
    single = em_gmm(faithful, n_components = 1)
  )
}

test_that("every plot draws in every dimension and leaves par() alone", {
  for (fit in plot_fits()) {
    for (type in plot_types) {
      expect_equal(drawn(expect_invisible(plot(fit, type))), character())
    }
  }
})

test_that("one-panel plots can be put side by side and added to", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
  expect_equal(drawn({
    graphics::par(mfrow = c(1, 2))
    plot(fit, legend = FALSE, main = "left", xlab = "x", ylab = "y", xlim = c(0, 6))
    graphics::abline(v = 3)
    expect_equal(graphics::par("mfg"), c(1, 1, 1, 2))
    plot(fit, "density")
    expect_equal(graphics::par("mfg"), c(1, 2, 1, 2))
    graphics::par(mfrow = c(1, 1))
  }), character())
})

test_that("plots on a small device do not fail", {
  fit <- em_gmm(iris[, 1:4], n_components = 3, covariance = "VVV")
  expect_equal(drawn(plot(fit), 3.5, 3.5), character())
  expect_equal(drawn(plot(em_gmm(faithful, n_components = 9, covariance = "EII")), 3, 3), character())
})

test_that("variables are chosen by name or number, and many are cut to six with a message", {
  x <- with_seed(1, matrix(stats::rnorm(600), 60, 10, dimnames = list(NULL, letters[1:10])))
  fit <- em_gmm(x, n_components = 2, covariance = "EEI")
  expect_message(drawn(plot(fit)), "first 6 of 10 variables")
  expect_silent(drawn(plot(fit, variables = c("a", "j"))))
  expect_equal(plot_variables(fit, c("j", "a")), c(10L, 1L))
  expect_error(plot(fit, variables = "z"), class = "em_error_argument")
  expect_error(plot(fit, variables = c(1, 1)), class = "em_error_argument")
  expect_error(plot(fit, level = 95), class = "em_error_argument")
  expect_error(plot(fit, "pie"), class = "em_error_argument")
})

test_that("plots of the data need the data, the others do not", {
  fit <- em_gmm(faithful, n_components = 1:2, covariance = "EEE", control = em_control(keep_data = FALSE))
  expect_error(plot(fit), class = "em_error_no_data")
  expect_equal(drawn(plot(fit, "selection")), character())
})

test_that("an ellipse holds its share of a normal distribution", {
  S <- matrix(c(2, 1.2, 1.2, 1), 2)
  edge <- ellipse_points(c(3, -1), S, 0.8)
  expect_equal(range(stats::mahalanobis(edge, c(3, -1), S)), rep(stats::qchisq(0.8, 2), 2))
  fit <- em_gmm(iris[, 1:4], n_components = 3, covariance = "VVV")
  long <- ellipse_data(fit, c(2, 4), c(0.5, 0.9))
  rows <- long$class == 2 & long$level == 0.9
  p <- fit$parameters
  expect_equal(range(stats::mahalanobis(as.matrix(long[rows, 1:2]), p$means[c(2, 4), 2], p$covariances[c(2, 4), c(2, 4), 2])),
               rep(stats::qchisq(0.9, 2), 2))
})

test_that("marginal densities are those of the mixture", {
  fit <- em_gmm(iris[, 1:4], n_components = 3, covariance = "VVV", noise = TRUE)
  p <- fit$parameters
  at <- seq(4, 8, length.out = 9)
  expected <- vapply(1:3, function(k) p$proportions[[k]] * stats::dnorm(at, p$means[1, k], sqrt(p$covariances[1, 1, k])), at)
  found <- marginal_densities(fit, 1, at)
  expect_equal(unname(found[, 1:3]), expected)
  inside <- at >= min(iris[, 1]) & at <= max(iris[, 1])
  expect_equal(unname(found[, 4]), p$proportions[["noise"]] / diff(range(iris[, 1])) * inside)
  # two variables: the density of the observed part, which predict() gives for the missing rest
  row <- data.frame(Sepal.Length = NA, Sepal.Width = 3, Petal.Length = NA, Petal.Width = 1)
  expect_equal(sum(marginal_densities(fit, c(2, 4), cbind(3, 1))), predict(fit, row, type = "density"),
               ignore_attr = TRUE)
})

test_that("contours enclose the shares that they are labelled with", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
  grid <- density_grid(fit, 1:2, c(0, 7), c(30, 110), n = 200)
  cell <- diff(grid$x[1:2]) * diff(grid$y[1:2])
  expect_equal(sum(grid$z) * cell, 1, tolerance = 1e-3)
  heights <- contour_heights(grid$z, c(0.25, 0.5, 0.95))
  new <- as.matrix(simulate(fit, seed = 1, n_rows = 20000))
  density <- predict(fit, new, type = "density")
  shares <- vapply(heights, function(h) mean(density >= h), 0)
  expect_equal(shares, c(0.25, 0.5, 0.95), tolerance = 0.02)
})

test_that("points are drawn at conditional means, empty rows are not, and many are thinned", {
  x <- as.matrix(faithful)
  x[2, 1] <- NA
  x[5, ] <- NA
  fit <- em_gmm(x, n_components = 2, covariance = "EEE")
  points <- plot_points(fit, 1e4)
  expect_equal(nrow(points$x), 271)
  expect_equal(which(points$incomplete), 2L)
  expect_equal(points$x[2, ], predict(fit, type = "imputed")[2, ])
  expect_equal(points$class, unname(fit$classification[-5]))
  expect_equal(points$uncertainty, unname(1 - apply(fit$posterior, 1, max))[-5])
  thin <- plot_points(fit, 50)
  expect_lte(nrow(thin$x), 50)
  expect_match(thin$note, "50 of 272 rows")
  expect_equal(rows_to_draw(1e6, 1e4)[c(1, 1e4)], c(1, 1e6))
  expect_equal(drawn(plot(fit, max_points = 50)), character())
})

test_that("the tables behind selection, starts and trace keep what failed", {
  fit <- em_gmm(iris[, 1:4], n_components = 1:3, covariance = c("EEE", "VVV"))
  fit$selection$BIC[5] <- NA
  fit$selection$loglik[5] <- NA
  table <- selection_data(fit)
  expect_equal(which(table$failed), 5L)
  expect_equal(table$value[-5], fit$selection$BIC[-5])
  fit$criterion <- "AIC"
  expect_equal(selection_data(fit)$value[1], -2 * fit$selection$loglik[1] + 2 * fit$selection$df[1])
  fit$starts$loglik[2] <- NA
  starts <- starts_data(fit)
  expect_true(starts$failed[1])
  expect_false(is.unsorted(starts$loglik[!starts$failed]))
  expect_equal(sum(starts$failed), sum(is.na(fit$starts$loglik)))
  trace <- trace_data(fit)
  expect_equal(trace$gap[1], fit$trace$objective[nrow(fit$trace)] - fit$trace$objective[1])
  for (type in c("selection", "starts", "trace")) expect_equal(drawn(plot(fit, type)), character())
  fit$selection$BIC[] <- NA
  fit$criterion <- "BIC"
  expect_error(plot(fit, "selection"), class = "em_error_nothing_to_plot")
})

test_that("a few poor models do not flatten a plot of the selection", {
  table <- expand.grid(n_components = 1:9, covariance = c("good", "fair", "poor"), stringsAsFactors = FALSE)
  table$value <- c(good = 100, fair = 110, poor = 1000)[table$covariance] + table$n_components
  table$failed <- table$spurious <- FALSE
  limits <- selection_limits(table$value)
  expect_lt(limits[1], min(table$value))
  expect_true(limits[2] > 119 && limits[2] < 150)
  notes <- function(table, limits) selection_notes(table, limits, "not fitted: %d", "spurious: %d")
  expect_equal(notes(table, limits), "9 models lie above the plot")
  expect_equal(notes(table, c(0, 2000)), "")
  expect_equal(notes(table, c(101.5, 1008.5)), "outside the plot: 1 above, 1 below")
  # values of one size, and few models, are shown in full
  expect_true(all(findInterval(range(101:120), selection_limits(101:120)) == 1))
  expect_gt(selection_limits(c(1, 2, 3, 1000))[2], 1000)
  expect_true(all(is.finite(selection_limits(5))))

  fit <- em_gmm(faithful, n_components = 1:3, control = em_control(n_starts = 2))
  heights <- function(...) {
    grDevices::pdf(NULL)
    on.exit(grDevices::dev.off())
    plot(fit, "selection", ...)
    graphics::par("usr")[3:4]
  }
  expect_lt(heights()[2], max(fit$selection$BIC))
  expect_equal(heights(ylim = c(2000, 5000)), c(2000, 5000))
  skip_if_not_installed("ggplot2")
  plot <- ggplot2::autoplot(fit, "selection")
  expect_match(plot$labels$caption, "models lie above the plot")
  expect_equal(plot$coordinates$limits$y, heights())
})

test_that("every structure of a plot of the selection has its own look, spurious models come last", {
  fit <- em_gmm(faithful, n_components = 1:2, control = em_control(n_starts = 2))
  style <- selection_style(selection_data(fit))
  expect_equal(nrow(style), 14)
  expect_equal(anyDuplicated(style[c("symbol", "fill")]), 0)
  filled <- style$fill == style$colour
  expect_equal(anyDuplicated(paste(style$symbol, filled)), 0)
  expect_equal(anyDuplicated(style[c("colour", "line")]), 0)
  expect_equal(style$covariance[1], fit$covariance)
  fit$selection$status[fit$selection$covariance == "EII"] <- "spurious"
  fit$selection$BIC[fit$selection$covariance == "EII"] <- -1e6
  table <- selection_data(fit)
  expect_equal(selection_style(table)$covariance[14], "EII")
  expect_equal(sum(table$spurious), 2)
  expect_equal(drawn(plot(fit, "selection")), character())
})

test_that("the title of the starts counts as print() does", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
  fit$starts <- data.frame(
    start = 1:4, method = "search", loglik = c(-5, -6, -7, NA), iterations = 9L,
    status = c("converged", "converged", "screened", "degenerate"), best = c(TRUE, FALSE, FALSE, FALSE)
  )
  expect_equal(starts_title(fit), "Starts: 1 of 2 completed agree")
  expect_output(print(fit), "1 of 2 completed starts agree")
  skip_if_not_installed("ggplot2")
  expect_equal(ggplot2::autoplot(fit, "starts")$labels$title, starts_title(fit))
})

test_that("legends call components by the names of known classes", {
  known <- replace(as.character(iris$Species), seq_len(150) %% 5 > 0, NA)
  fit <- em_gmm(iris[, 1:4], n_components = 3, covariance = "EEE", known = known)
  expect_equal(component_labels(fit), c("setosa", "versicolor", "virginica"))
  expect_equal(component_labels(fit, most = 0), c("setosa", "versicolor", "virginica"))
  expect_false(any(numbered_components(fit)))
  expect_equal(drawn(plot(fit)), character())
  expect_equal(drawn(plot(fit, variables = 1)), character())
  plain <- em_gmm(faithful, n_components = 2, covariance = "EEE")
  expect_equal(component_labels(plain), c("component 1", "component 2"))
  expect_equal(component_labels(plain, most = 1), c("1", "2"))
})

test_that("components can be told apart by colour and by symbol", {
  expect_equal(anyDuplicated(em_palette(10)), 0)
  expect_equal(length(unique(em_symbols(5))), 5)
  style <- class_style(em_gmm(faithful, n_components = 2, covariance = "EEE", noise = TRUE))
  expect_equal(style$class, c("1", "2", "noise"))
  expect_equal(anyDuplicated(style[c("colour", "symbol")]), 0)
})

test_that("bootstrap results can be plotted", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 20))
  expect_equal(drawn(plot(boot)), character())
  expect_equal(drawn(plot(boot, "proportion[1]")), character())
  test <- with_seed(1, em_bootstrap_lrt(faithful$waiting, "E", max_components = 3, n_boot = 9,
                                        control = em_control(n_starts = 2)))
  expect_equal(drawn(plot(test)), character())
})

test_that("autoplot() gives the same plots with ggplot2", {
  skip_if_not_installed("ggplot2")
  for (fit in plot_fits()) {
    for (type in plot_types) {
      plot <- ggplot2::autoplot(fit, type)
      expect_s3_class(plot, "ggplot")
      expect_silent(built <- ggplot2::ggplot_build(plot))
      expect_gt(nrow(built$data[[1]]), 0)
    }
  }
  fit <- plot_fits()$noise
  built <- ggplot2::ggplot_build(ggplot2::autoplot(fit))
  expect_equal(nrow(built$data[[1]]), 272)
  expect_error(ggplot2::autoplot(fit, variables = "z"), class = "em_error_argument")
  expect_error(ggplot2::autoplot(fit, colour = 2), class = "em_error_unused_argument")
})
