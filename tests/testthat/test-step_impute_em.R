# The step of a recipe.

test_that("a recipe imputes training and test data from the training data alone", {
  skip_if_not_installed("recipes")
  train <- airquality[1:100, ]
  test <- airquality[101:153, ]
  steps <- recipes::recipe(Temp ~ Ozone + Solar.R + Wind + Month, data = train)
  steps <- step_impute_em(steps, Ozone, Solar.R)
  expect_output(print(steps$steps[[1]]), "Ozone")
  trained <- recipes::prep(steps, training = train)
  baked <- recipes::bake(trained, new_data = test)
  expect_false(anyNA(baked))
  imp <- impute(train[c("Ozone", "Solar.R", "Wind", "Month")], method = "none")
  expect_equal(baked$Ozone, predict(imp, test)$Ozone)
  # a row's imputation does not depend on the other rows that are baked
  expect_equal(recipes::bake(trained, new_data = test[5, ])$Ozone, baked$Ozone[5])
  expect_equal(recipes::bake(trained, new_data = NULL)$Ozone, predict(imp, train)$Ozone)
  expect_output(print(trained$steps[[1]]), "trained")
  expect_equal(tidy(trained$steps[[1]])$terms, c("Ozone", "Solar.R"))
  expect_equal(tidy(trained, 1)$n_missing, c(sum(is.na(train$Ozone)), sum(is.na(train$Solar.R))))
  expect_equal(recipes::required_pkgs(trained$steps[[1]]), "emkit")
})

test_that("factors, options, predictors and draws", {
  skip_if_not_installed("recipes")
  d <- every_class()
  d$y <- seq_len(60)
  d$list <- NULL
  steps <- recipes::recipe(y ~ ., data = d)
  steps <- step_impute_em(steps, recipes::all_predictors(), type = "draw",
                          options = list(bounds = list(double = c(-5, 5))))
  trained <- suppressMessages(recipes::prep(steps))
  baked <- with_seed(1, recipes::bake(trained, new_data = d))
  expect_false(anyNA(baked))
  expect_s3_class(baked$ordered, "ordered")
  # only these predictors are used
  steps <- step_impute_em(recipes::recipe(y ~ ., data = d), double, impute_with = recipes::imp_vars(integer))
  trained <- suppressMessages(recipes::prep(steps))
  expect_identical(trained$steps[[1]]$model$columns$name, c("double", "integer"))
  expect_error(step_impute_em(recipes::recipe(y ~ ., data = d), double, options = 3), class = "em_error_argument")
})

test_that("a new category of a predictor that needs no imputation does not stop a recipe", {
  skip_if_not_installed("recipes")
  train <- iris[c(1:40, 51:90), ]
  train$Species <- as.character(train$Species)
  train$Sepal.Width[1:9] <- NA
  steps <- step_impute_em(recipes::recipe(Sepal.Length ~ ., data = train), Sepal.Width)
  trained <- quietly(recipes::prep(steps, training = train, strings_as_factors = FALSE))
  new <- iris[c(1, 150), ]
  new$Species <- as.character(new$Species)
  new$Sepal.Width <- NA_real_
  expect_warning(baked <- recipes::bake(trained, new), "virginica", class = "em_warning_new_category")
  expect_identical(as.character(baked$Species), c("setosa", "virginica"))
  expect_false(anyNA(baked$Sepal.Width))
})
