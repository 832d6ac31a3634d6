# The plots with ggplot2.

test_that("every plot builds", {
  skip_if_not_installed("ggplot2")
  imp <- impute(airquality, m = 3)
  for (type in c("density", "pattern", "overimpute", "scatter")) {
    plot <- ggplot2::autoplot(imp, type)
    expect_s3_class(plot, "ggplot")
    expect_silent(ggplot2::ggplot_build(plot))
  }
  mixed <- impute(every_class(), m = 2)
  expect_message(ggplot2::autoplot(mixed), "Categorical")
  expect_error(ggplot2::autoplot(imp, colour = 1), class = "em_error_unused_argument")
})
