fit <- em_fa(datasets::mtcars, n_factors = 1:3)
with_gaps <- em_fa(data_factors(80, missing = 0.1), n_factors = 2)
ability <- em_fa(covmat = datasets::ability.cov, n_factors = 2, rotation = "promax")
types <- c("loadings", "scree", "biplot", "selection", "starts", "trace")

test_that("every plot draws, returns the fit invisibly and leaves par() alone", {
  for (type in types) {
    expect_identical(drawn(expect_invisible(plot(fit, type))), character(), info = type)
  }
  for (type in setdiff(types, "selection")) {
    expect_identical(drawn(plot(with_gaps, type, legend = FALSE, main = "title")), character(), info = type)
    expect_identical(drawn(plot(ability, type)), character(), info = type)
  }
  expect_identical(drawn(plot(fit, se = TRUE, factors = 2:1, variables = c("mpg", "cyl", "wt"))), character())
  expect_identical(drawn(plot(fit, "biplot", factors = c(1, 3))), character())
  expect_identical(drawn(plot(parallel_analysis(datasets::mtcars, n_sim = 20))), character())
})

test_that("bars are the loadings of the variables asked for, grouped by factor", {
  data <- fa_loading_data(fit, NULL, NULL, FALSE)
  main <- max.col(abs(data$loadings), "first")
  expect_false(is.unsorted(main))
  expect_equal(data$loadings, unname(unclass(fit$loadings)[data$variables, ]), ignore_attr = TRUE)
  few <- fa_loading_data(fit, 2, c("wt", "mpg"), TRUE)
  expect_identical(few$variables, c("wt", "mpg"))
  expect_equal(few$loadings[, 1], unname(unclass(fit$loadings)[c("wt", "mpg"), 2]))
  expect_equal(few$se[1, 1], unname(sqrt(diag(vcov(fit, standardized = TRUE))["loading[wt,2]"])))
  wide <- quietly(em_fa(data_factors(200, p = 60, q = 2), n_factors = 2))
  expect_message(many <- fa_loading_data(wide, NULL, NULL, FALSE), "40 of 60")
  expect_length(many$variables, 40)
})

test_that("a biplot has the scores, open where rows are incomplete", {
  data <- fa_biplot_data(with_gaps, NULL, NULL, 5000)
  expect_equal(data$points, unname(with_gaps$scores))
  expect_identical(data$incomplete, unname(rowSums(is.na(with_gaps$data)) > 0))
  expect_identical(nrow(fa_biplot_data(with_gaps, NULL, NULL, 20)$points), 20L)
  expect_identical(nrow(fa_biplot_data(ability, NULL, NULL, 20)$points), 0L)
})

test_that("what cannot be plotted is said", {
  one <- em_fa(datasets::mtcars[, 1:4], n_factors = 1)
  expect_error(plot(one, "biplot"), class = "em_error_nothing_to_plot")
  expect_error(plot(one, "selection"), class = "em_error_nothing_to_plot")
  expect_error(plot(fit, factors = 7), class = "em_error_argument")
  expect_error(plot(fit, "biplot", factors = 1), class = "em_error_argument")
  expect_error(plot(fit, variables = "engine"), class = "em_error_argument")
  expect_error(plot(fit, "dendrogram"), class = "em_error_argument")
})

test_that("every plot exists for ggplot2", {
  skip_if_not_installed("ggplot2")
  for (type in types) {
    p <- ggplot2::autoplot(fit, type)
    expect_s3_class(p, "ggplot")
    expect_s3_class(ggplot2::ggplot_build(p), "ggplot_built")
  }
  expect_s3_class(ggplot2::ggplot_build(ggplot2::autoplot(ability, se = TRUE)), "ggplot_built")
  expect_error(ggplot2::autoplot(fit, "dendrogram"), class = "em_error_argument")
})

test_that("the legend of the scree plot has points for the data only, and names of the biplot are cut", {
  skip_if_not_installed("ggplot2")
  scree <- ggplot2::autoplot(ability, "scree", n_sim = 20)
  guide <- if (is.list(scree$guides$colour)) scree$guides$colour else scree$guides$guides$colour$params
  expect_identical(guide$override.aes$shape, c(16, NA, NA))
  long <- datasets::mtcars
  names(long)[1] <- "miles_per_gallon_of_petrol"
  labels <- ggplot2::layer_data(ggplot2::autoplot(em_fa(long, n_factors = 2), "biplot"), 3L)$label
  expect_true(all(nchar(labels) <= 16))
})
