# Completed data sets, and analyses of them.

test_that("one, several, all and long hold the same values", {
  imp <- with_seed(1, impute(airquality, m = 3))
  all <- em_complete(imp, "all")
  expect_length(all, 3)
  expect_named(all, c("1", "2", "3"))
  expect_identical(all[["2"]], em_complete(imp, 2))
  expect_identical(unclass(em_complete(imp, c(3, 1)))[["1"]], all[["1"]])
  long <- em_complete(imp, "long")
  expect_identical(names(long)[1:2], c(".imp", ".id"))
  expect_identical(long$.id, rep(1:153, 3))
  for (i in 1:3) {
    part <- long[long$.imp == i, -(1:2)]
    row.names(part) <- NULL
    expect_identical(part, em_complete(imp, i))
  }
  whole <- em_complete(imp, "long", include = TRUE)
  first <- whole[whole$.imp == 0, -(1:2)]
  expect_identical(first, airquality)
  expect_length(em_complete(imp, "all", include = TRUE), 4)
  expect_output(print(all), "3 completed data sets")
})

test_that("long keeps classes, and tibbles and data.tables", {
  d <- every_class()
  d$list <- NULL
  long <- em_complete(impute(d), "long")
  for (name in names(d)) expect_identical(attributes(long[[name]]), attributes(d[[name]]), info = name)
  skip_if_not_installed("tibble")
  expect_s3_class(em_complete(impute(tibble::as_tibble(airquality)), "long"), "tbl_df")
  skip_if_not_installed("data.table")
  expect_s3_class(em_complete(impute(data.table::as.data.table(airquality)), "long"), "data.table")
  expect_s3_class(em_complete(impute(as.matrix(airquality)), "long"), "data.frame")
})

test_that("what is not there is a classed error", {
  imp <- impute(airquality)
  for (action in list(3, 1.5, "wide", NA, integer())) {
    expect_error(em_complete(imp, action), class = "em_error_argument")
  }
  expect_error(em_complete(airquality), class = "em_error_argument")
  none <- impute(airquality, method = "none")
  expect_error(em_complete(none), class = "em_error_no_imputations")
  expect_error(with(none, mean(Ozone)), class = "em_error_no_imputations")
})

test_that("with() evaluates in each completed data set, and finds the caller's objects", {
  imp <- impute(airquality, m = 3)
  scale <- 2
  fits <- with(imp, lm(Ozone ~ Wind, weights = rep(scale, length(Wind))))
  expect_s3_class(fits, c("em_impute_fits", "list"), exact = TRUE)
  by_hand <- lapply(1:3, function(i) coef(lm(Ozone ~ Wind, em_complete(imp, i))))
  expect_equal(unname(lapply(fits, coef)), by_hand)
  expect_output(print(fits), "Wind")
  expect_output(print(with(imp, summary(Ozone))), "3 completed data sets")
  error <- expect_error(with(imp, lm(Ozone ~ nothing)), "imputation 1", class = "em_error_with")
  expect_equal(length(fits[1:2]), 2)
  expect_s3_class(fits[1:2], "em_impute_fits")
  expect_equal(lapply(unclass(with(em_complete(imp, "all"), mean(Ozone))), c)[[2]], mean(em_complete(imp, 2)$Ozone))
})

test_that("tidyr's complete() does the same", {
  skip_if_not_installed("tidyr")
  imp <- impute(airquality)
  expect_identical(tidyr::complete(imp, 2), em_complete(imp, 2))
  skip_if_not_installed("mice")
  expect_identical(mice::complete(imp, "long"), em_complete(imp, "long"))
})

test_that("summary() of analyses shows them and what they are together; numbers are told how to be pooled", {
  imp <- with_seed(1, impute(airquality, m = 3))
  fits <- with(imp, lm(Ozone ~ Wind))
  s <- summary(fits)
  expect_s3_class(s, "summary.em_impute_fits")
  expect_equal(dim(s$estimates), c(3, 2))
  expect_equal(s$pooled$estimate, em_pool(fits)$estimate)
  expect_output(print(s), "Pooled over 3 imputations")
  numbers <- with(imp, mean(Ozone))
  expect_output(print(numbers), "lowest")
  expect_output(print(summary(numbers)), "list\\(estimate = , variance = \\)")
  expect_error(em_pool(numbers), "list\\(estimate = , variance = \\)", class = "em_error_no_estimates")
  pooled <- em_pool(with(imp, list(estimate = mean(Ozone), variance = var(Ozone) / length(Ozone))))
  expect_equal(pooled$estimate, mean(unlist(numbers)))
})
