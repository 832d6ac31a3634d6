# Imputations for mice, mitml and mitools.

test_that("every completed data set of the mids object is that of the imputation", {
  skip_if_not_installed("mice")
  imp <- imputation_by_hand()
  mids <- as_mids(imp)
  expect_s3_class(mids, "mids")
  for (i in 1:3) expect_identical(mice::complete(mids, i), completed_by_hand(imp, i))
  long <- mice::complete(mids, "long", include = TRUE)
  expect_equal(nrow(long), 4 * 40)
  expect_identical(long$region[long$.imp == 0], imp$data$region)
  expect_equal(dim(suppressMessages(mice::complete(mids, "broad"))), c(40, 30))
})

test_that("columns keep their classes, levels and attributes, and carried columns their NAs", {
  imp <- imputation_by_hand()
  mids <- as_mids(imp)
  for (name in names(imp$imputed)) {
    expect_identical(class(mids$imp[[name]][[2]]), class(imp$data[[name]]))
    expect_identical(levels(mids$imp[[name]][[2]]), levels(imp$data[[name]]))
  }
  expect_identical(attr(mids$imp$seen[["1"]], "tzone"), "UTC")
  expect_identical(row.names(mids$imp$height), row.names(imp$data)[imp$where$height])
  expect_equal(nrow(mids$imp$note), 0)
  expect_false(any(mids$where[, c("note", "weight")]))
  expect_equal(mids$nmis[["note"]], 20)
})

test_that("with(), pool() and the D tests of mice work on it, and pool() agrees with em_pool()", {
  skip_if_not_installed("mice")
  imp <- imputation_by_hand()
  fits <- with(as_mids(imp), lm(height ~ weight + grade))
  theirs <- summary(mice::pool(fits), conf.int = TRUE)
  ours <- em_pool(fits)
  # the same arithmetic in another order
  expect_equal(ours$estimate, theirs$estimate, tolerance = 1e-12)
  expect_equal(ours$std.error, theirs$std.error, tolerance = 1e-12)
  expect_equal(ours$df, theirs$df, tolerance = 1e-9)
})

test_that("print(), plot(), rbind(), cbind(), ibind() and as.mids(long) of mice work on it", {
  skip_if_not_installed("mice")
  imp <- imputation_by_hand()
  mids <- as_mids(imp)
  expect_output(print(mids), "multiple imputations:  3")
  expect_s3_class(plot(mids), "trellis")
  expect_s3_class(mice::stripplot(mids, height ~ .imp), "trellis")
  expect_equal(nrow(mice::complete(mice::rbind(mids, mids))), 80)
  expect_equal(ncol(mice::complete(mice::cbind(mids, data.frame(a = 1:40, b = 0)))), 12)
  expect_equal(ncol(mice::complete(mice::cbind(mids, mids))), 20)
  both <- mice::ibind(mids, as_mids(imputation_by_hand(seed = 6)))
  expect_equal(both$m, 6)
  expect_identical(mice::complete(both, 5), completed_by_hand(imputation_by_hand(seed = 6), 2))
  # characters are not for mice(), which as.mids() calls
  kept <- setdiff(names(imp$data), c("town", "note"))
  numbers <- imputation_by_hand(imp$data[kept])
  long <- mice::complete(as_mids(numbers), "long", include = TRUE)
  again <- suppressWarnings(mice::as.mids(long))
  expect_equal(mice::complete(again, 3), mice::complete(as_mids(numbers), 3), ignore_attr = TRUE)
})

test_that("the state of the chains is the mean and variance of the imputed values", {
  imp <- imputation_by_hand()
  mids <- as_mids(imp)
  expect_equal(mids$chainMean["height", 1, ], colMeans(imp$imputed$height), ignore_attr = TRUE)
  expect_equal(mids$chainVar["grade", 1, 2], var(imp$imputed$grade[, 2]))
  expect_true(all(is.nan(mids$chainMean["weight", , ])))
})

test_that("matrices and tibbles become data frames", {
  x <- as.matrix(airquality[, 1:4])
  imp <- imputation_by_hand(as.data.frame(x))
  imp$data <- x
  frame <- as_mids(imp)
  expect_identical(class(frame$data), "data.frame")
  expect_false(anyNA(as_mitml_list(imp)[[2]]))
  rownames(x) <- rep("same", nrow(x))
  imp$data <- x
  expect_equal(dim(as_mids(imp)$data), dim(x))
  skip_if_not_installed("tibble")
  imp$data <- tibble::as_tibble(airquality[, 1:4])
  expect_identical(class(as_mids(imp)$data), "data.frame")
})

test_that("lists for mitml and mitools hold the completed data sets", {
  imp <- imputation_by_hand()
  mitml <- as_mitml_list(imp)
  expect_s3_class(mitml, "mitml.list")
  expect_length(mitml, 3)
  for (i in 1:3) expect_identical(mitml[[i]], completed_by_hand(imp, i))
  mitools <- as_imputation_list(imp)
  expect_s3_class(mitools, "imputationList")
  expect_identical(mitools$imputations, unclass(mitml))
  skip_if_not_installed("mitools")
  fits <- with(mitools, lm(height ~ weight))
  theirs <- mitools::MIcombine(fits)
  # the large-sample rule is that of mitools
  expect_equal(em_pool(fits, df_complete = Inf)$df, unname(theirs$df), tolerance = 1e-9)
  expect_equal(vcov(em_pool(fits)), theirs$variance, tolerance = 1e-12)
})

test_that("mitml works on its list", {
  skip_if_not_installed("mitml")
  fits <- with(as_mitml_list(imputation_by_hand()), lm(height ~ weight))
  theirs <- mitml::testEstimates(fits)$estimates
  expect_equal(em_pool(fits, df_complete = Inf)$fmi, unname(theirs[, "FMI"]), tolerance = 1e-10)
})

test_that("what is no imputation is refused", {
  expect_error(as_mids(airquality), class = "em_error_argument")
  expect_error(as_mitml_list(list()), class = "em_error_argument")
  none <- imputation_by_hand()
  none$m <- 0L
  expect_error(as_imputation_list(none), class = "em_error_no_imputation")
})
