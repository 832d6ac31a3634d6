# What plots draw is tested as numbers; that they draw, and leave the device as it was, by drawing.

test_that("every plot draws for every model and leaves par() alone", {
  fits <- list(normal = impute(airquality, m = 3), one = impute(airquality[c("Ozone", "Wind")], m = 3),
               mixed = impute(every_class(), m = 3))
  for (name in names(fits)) for (type in c("density", "pattern", "trace", "overimpute", "scatter")) {
    expect_equal(drawn(expect_invisible(plot(fits[[name]], type))), character(), info = paste(name, type))
  }
  expect_equal(drawn(plot(fits$normal, "dispersion", n_starts = 3)), character())
  expect_error(plot(fits$mixed, "dispersion"), class = "em_error_nothing_to_plot")
  expect_equal(drawn(plot(fits$mixed), 3.5, 3.5), character())
  expect_equal(drawn(plot(impute(airquality, method = "none"))), character())
  expect_equal(drawn(plot(impute(airquality, method = "mean"), "trace")), character())
})

test_that("one-panel plots can be put side by side", {
  imp <- impute(airquality, m = 2)
  expect_equal(drawn({
    graphics::par(mfrow = c(1, 2))
    plot(imp, "density", columns = "Ozone", main = "left")
    expect_equal(graphics::par("mfg"), c(1, 1, 1, 2))
    plot(imp, "scatter", columns = c("Wind", "Ozone"), imputation = 2)
    expect_equal(graphics::par("mfg"), c(1, 2, 1, 2))
    graphics::par(mfrow = c(1, 1))
  }), character())
})

test_that("patterns are counted, the most frequent first", {
  p <- pattern_data(impute(airquality, m = 1), NULL)
  expect_equal(p$count, c(111, 35, 5, 2))
  expect_equal(sum(p$n_missing), 44)
  expect_equal(p$missing[2, p$columns == "Ozone"], TRUE)
  wide <- as.data.frame(normal_with_holes(200, 6, 0.5))
  p <- pattern_data(impute(wide, m = 1), NULL, most = 10)
  expect_length(p$count, 10)
  expect_gt(p$left, 0)
})

test_that("a scatter plot tells observed from imputed points", {
  imp <- impute(airquality, m = 2)
  s <- scatter_data(imp, c("Solar.R", "Ozone"), 2, 5000)
  expect_equal(as.vector(table(s$table$which)), c(111, 5, 35, 2))
  expect_equal(s$table$y, em_complete(imp, 2)$Ozone)
  expect_error(plot(imp, "scatter", columns = "Ozone"), class = "em_error_columns")
  expect_error(plot(imp, "scatter", imputation = 5), class = "em_error_argument")
})

test_that("EM from far away ends at the same point", {
  d <- with_seed(1, dispersion_data(impute(airquality[1:4], m = 1), 4))
  expect_true(all(d$distance < 1e-4))
})

test_that("columns that were not imputed are a classed error", {
  imp <- impute(airquality, m = 2)
  expect_error(plot(imp, "density", columns = "Wind"), class = "em_error_columns")
  expect_error(plot(imp, "histogram"), class = "em_error_argument")
})

test_that("densities end at the bounds, and where the transformation does", {
  imp <- with_seed(1, impute(airquality, bounds = list(Ozone = c(0, 200)), transform = c(Solar.R = "sqrt"), m = 3))
  ozone <- density_curves(column_values(imp, "Ozone"))
  expect_equal(range(ozone$observed$x, lapply(ozone$imputed, `[[`, "x"))[1], 0)
  expect_gte(min(unlist(lapply(density_curves(column_values(imp, "Solar.R"))$imputed, `[[`, "x"))), 0)
  # a value that is there is shown, wherever it is
  outside <- with_seed(1, impute(airquality, bounds = list(Ozone = c(10, NA)), m = 3))
  curves <- density_curves(column_values(outside, "Ozone"))
  expect_lt(min(curves$observed$x), 1)
  expect_equal(min(vapply(curves$imputed, function(d) d$x[1], 0)), 10, tolerance = 0.5)
})

test_that("every category and every pattern has its label, and incomplete columns come first among the chains", {
  at <- NULL
  expect_equal(drawn({
    graphics::plot.default(NA, NA, xlim = c(0.4, 20.6), ylim = 0:1)
    at <- category_axis(paste0("category", letters[1:20]))
  }, 6, 4), character())
  expect_equal(at, 1:20)
  imp <- impute(airquality, m = 2)
  values <- names(imp$chain$trace)
  expect_setequal(paths_of_interest(imp, values), c("mean[Ozone]", "mean[Solar.R]", "variance[Ozone]",
                                                    "variance[Solar.R]"))
})
