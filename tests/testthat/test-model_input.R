# From what users hold to a numeric matrix, and back for new data.

test_that("names of rows and variables are kept", {
  fit <- em_gmm(mtcars[c("mpg", "wt")], n_components = 2, covariance = "EEE")
  expect_identical(fit$variables, c("mpg", "wt"))
  expect_identical(rownames(fit$posterior), rownames(mtcars))
  matrix <- em_gmm(unname(data_faithful()), n_components = 2, covariance = "EEE")
  expect_length(matrix$variables, 2)
  expect_false(anyDuplicated(matrix$variables) > 0)
})

test_that("matrix columns in a formula are taken apart", {
  fit <- em_gmm(~ cbind(eruptions, waiting), data = faithful, n_components = 2, covariance = "VVV",
                start = partition_faithful())
  plain <- em_gmm(faithful, n_components = 2, covariance = "VVV", start = partition_faithful())
  expect_equal(fit$loglik, plain$loglik, tolerance = 1e-14)
  expect_identical(predict(fit, newdata = faithful), predict(plain, newdata = faithful))
})

test_that("dates, factors, characters and lists are named in the error", {
  data <- data.frame(a = 1:5 + 0.5)
  data$when <- as.Date("2020-01-01") + 1:5
  expect_error(em_gmm(data, n_components = 1), "when", class = "em_error_column_type")
  data$when <- factor(letters[1:5])
  expect_error(em_gmm(data, n_components = 1), "when", class = "em_error_column_type")
})

test_that("an interaction in the formula is refused", {
  expect_error(em_gmm(~ eruptions * waiting, data = faithful, n_components = 1), "interaction",
               class = "em_error_formula")
})

test_that("collinear columns are named with what they depend on", {
  x <- cbind(a = data_iris()[, 1], b = data_iris()[, 2], c = data_iris()[, 1] - 2 * data_iris()[, 2])
  message <- tryCatch(em_gmm(x, n_components = 1, covariance = "VVV"), em_error = conditionMessage)
  expect_match(message, "linear")
  expect_match(message, "\"[abc]\"")
  # The same in units in which no absolute threshold would see it.
  message <- tryCatch(em_gmm(1e-9 * x, n_components = 1, covariance = "VVV"), em_error = conditionMessage)
  expect_match(message, "linear")
})

test_that("new data keep their rows, in order, with and without names", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVV", start = partition_faithful())
  rows <- c(5, 1, 272)
  expect_equal(unname(predict(fit, newdata = faithful[rows, ], type = "posterior")), unname(fit$posterior[rows, ]),
               tolerance = 1e-12)
  expect_equal(unname(predict(fit, newdata = unname(data_faithful()[rows, ]), type = "posterior")),
               unname(fit$posterior[rows, ]), tolerance = 1e-12)
  expect_identical(NROW(predict(fit, newdata = faithful[0, ])), 0L)
  one <- predict(fit, newdata = c(eruptions = 4, waiting = 80), type = "posterior")
  expect_identical(dim(one), c(1L, 2L))
})

test_that("columns of the same name are all used, in new data too", {
  d <- datasets::swiss[, 1:4]
  names(d)[2] <- "Fertility"
  fit <- em_fa(d, n_factors = 1)
  expect_identical(fit$variables, c("Fertility", "Fertility.1", "Examination", "Education"))
  expect_equal(unname(fit$parameters$mean), unname(colMeans(datasets::swiss[, 1:4])))
  expect_equal(logLik(fit, newdata = d)[1], fit$loglik, tolerance = 1e-10)
  names(d)[2] <- ""
  expect_identical(em_mvnorm(d)$variables[2], "V2")
})

test_that("a variable that a formula takes away is not used, nor looked for in new data", {
  fit <- quietly(em_fa(~ . - Species - Sepal.Width, data = datasets::iris, n_factors = 1))
  expect_identical(fit$variables, c("Sepal.Length", "Petal.Length", "Petal.Width"))
  expect_equal(unname(fit$parameters$mean), unname(colMeans(datasets::iris[, c(1, 3, 4)])))
  expect_equal(logLik(fit, newdata = datasets::iris[, c(1, 3, 4)])[1], fit$loglik, tolerance = 1e-10)
  expect_error(em_mvnorm(~ . - a, data = data.frame(a = 1:9)), class = "em_error_no_columns")
})

test_that("NA in subset drops the row, and rows that are not there are refused", {
  data <- datasets::mtcars[1:4]
  data$chosen <- rep(c(TRUE, NA, FALSE, TRUE), 8)
  kept <- which(data$chosen)
  fit <- em_mvnorm(~ mpg + cyl, data, subset = chosen)
  expect_identical(fit$n_rows, 16L)
  expect_identical(unname(fit$data), unname(as.matrix(data[kept, 1:2])))
  expect_identical(em_fa(~ mpg + cyl + disp + hp, data, subset = chosen, n_factors = 1)$n_rows, 16L)
  expect_identical(em_gmm(~ mpg + cyl, data, subset = chosen, n_components = 1)$n_rows, 16L)
  expect_identical(em_mixture(mpg ~ cyl, data, subset = chosen, n_components = 1)$n_rows, 16L)
  expect_identical(em_mvnorm(~ mpg + cyl, data, subset = row.names(data)[kept])$n_rows, 16L)
  expect_error(em_mvnorm(~ mpg + cyl, data, subset = 30:40), class = "em_error_subset")
  chosen <- data$chosen
  y <- data$mpg
  expect_identical(em_mvnorm(~ y, subset = chosen)$n_rows, 16L)
})

test_that("an offset is refused where nothing is its mean", {
  expect_error(em_fa(~ mpg + cyl + disp + offset(wt), datasets::mtcars, n_factors = 1), "offset",
               class = "em_error_formula")
  expect_error(em_gmm(~ mpg + offset(wt), datasets::mtcars, n_components = 1), class = "em_error_formula")
})

test_that("columns whose squares no double holds are told of", {
  x <- as.matrix(datasets::mtcars[1:4])
  for (factor in c(1e200, 1e-200)) {
    expect_error(em_fa(x * factor, n_factors = 1), "unit", class = "em_error_scale")
    expect_error(em_gmm(x * factor, n_components = 1), "unit", class = "em_error_scale")
  }
})

test_that("weights of one row alone are told of", {
  expect_error(em_fa(datasets::mtcars, n_factors = 1, weights = c(0, 3, numeric(30))), "Only row 2",
               class = "em_error_too_few_rows")
})
