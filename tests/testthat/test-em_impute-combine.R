# c() of imputations.

test_that("combined runs hold all imputations in order, with their draws and chains", {
  one <- imputation_by_hand(m = 2, seed = 5)
  two <- imputation_by_hand(m = 3, seed = 6)
  both <- c(one, two)
  expect_s3_class(both, "em_impute")
  expect_equal(both$m, 5)
  expect_equal(colnames(both$imputed$height), as.character(1:5))
  lists <- as_mitml_list(both)
  expect_identical(lists[[2]], completed_by_hand(one, 2))
  expect_identical(lists[[5]], completed_by_hand(two, 3))
  expect_equal(dim(both$draws$covariance), c(2, 2, 5))
  expect_equal(ncol(both$draws$mean), 5)
  expect_equal(both$chain$trace$chain, 1:5)
  expect_identical(c(one)$imputed, one$imputed)
})

test_that("runs on other data or with another model are refused, with what differs", {
  one <- imputation_by_hand()
  other <- imputation_by_hand(data_with_holes(30))
  expect_error(c(one, other), "the data differ", class = "em_error_not_combinable")
  model <- replace(one, "model", "normal")
  expect_error(c(one, model), "models", class = "em_error_not_combinable")
  types <- one
  types$columns$type[2] <- "count"
  expect_error(c(one, types), "children", class = "em_error_not_combinable")
  expect_error(c(one, 1), class = "em_error_argument")
})

test_that("runs from the same seed are noticed", {
  one <- imputation_by_hand(m = 2)
  expect_warning(c(one, one), "2 imputations of 4 repeat", class = "em_warning_repeated_imputations")
})
