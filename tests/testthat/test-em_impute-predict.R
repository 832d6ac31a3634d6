test_that("predict() fills new rows of any pattern in their class, without refitting", {
  imp <- impute(as.matrix(airquality[1:4]), method = "none")
  new <- airquality[c(5, 6, 10), 4:1]
  new$extra <- letters[1:3]
  filled <- predict(imp, new)
  expect_identical(names(filled), names(new))
  expect_identical(filled$extra, new$extra)
  expect_equal(filled$Ozone[c(1, 3)], c(-11.467574330, 31.902256072), tolerance = 1e-6)
  expect_equal(filled$Solar.R[1:2], c(127.776609300, 182.106293150), tolerance = 1e-6)
  # one row, all missing, as a vector and as a matrix
  expect_equal(unlist(predict(imp, data.frame(Ozone = NA, Solar.R = NA, Wind = NA, Temp = NA))), imp$parameters$mean)
  expect_equal(dim(predict(imp, c(NA, 190, 7.4, 67))), c(1, 4))
  expect_true(is.matrix(predict(imp, as.matrix(new[1:4]))))
  expect_identical(predict(imp, new[0, ]), new[0, ])
})

test_that("rows are predicted one by one as all together", {
  for (imp in list(impute(airquality, method = "none"), impute(every_class(), method = "none"))) {
    whole <- predict(imp)
    for (i in c(5, 12)) expect_equal(predict(imp, imp$data[i, , drop = FALSE])[[1]], whole[[1]][i], tolerance = 1e-6)
  }
})

test_that("draws are drawn from the conditional distribution", {
  imp <- impute(as.matrix(airquality[1:4]), method = "none")
  new <- airquality[rep(5, 4000), 1:4]
  drawn <- with_seed(1, predict(imp, new, type = "draw"))
  # conditional standard deviations of an independent computation; 4000 draws
  expect_equal(sd(drawn$Ozone), 21.5595022, tolerance = 0.04)
  expect_equal(sd(drawn$Solar.R), 86.0141646, tolerance = 0.04)
  expect_identical(drawn, with_seed(1, predict(imp, new, type = "draw")))
})

test_that("intervals hold the nominal share and come in the order of rows", {
  imp <- impute(as.matrix(airquality[1:4]), method = "none")
  table <- predict(imp, airquality[c(5, 6), ], type = "interval", level = 0.9)
  expect_equal(table$row, c(1, 1, 2))
  expect_equal(table$column, c("Ozone", "Solar.R", "Solar.R"))
  expect_equal(table$upper[1] - table$lower[1], 2 * qnorm(0.95) * 21.5595022, tolerance = 1e-6)
  expect_equal(nrow(predict(imp, airquality[1, ], type = "interval")), 0)
  mixed <- impute(every_class(), method = "none")
  table <- predict(mixed, type = "interval")
  expect_true(all(table$lower <= table$estimate & table$estimate <= table$upper))
})

test_that("categories are predicted, and their probabilities sum to one", {
  d <- every_class()
  imp <- impute(d, method = "none")
  p <- predict(imp, type = "probability")
  expect_named(p, c("count", "logical", "factor", "ordered", "character"))
  for (table in p) expect_equal(rowSums(table), rep(1, 60), tolerance = 1e-6)
  seen <- which(!is.na(d$factor))
  expect_equal(p$factor[cbind(seen, match(d$factor[seen], colnames(p$factor)))], rep(1, length(seen)))
  classes <- predict(imp, type = "class")
  expect_false(anyNA(classes$factor))
  expect_identical(classes$double, d$double)
  lost <- which(is.na(d$factor))
  expect_identical(as.character(classes$factor[lost]), colnames(p$factor)[max.col(p$factor)[lost]])
  expect_error(predict(impute(airquality[1:4]), type = "probability"), class = "em_error_no_categories")
})

test_that("a factor that was complete is predicted by Bayes' rule when new rows lack it", {
  d <- iris
  d$Sepal.Width[c(3, 70, 130)] <- NA
  imp <- impute(d, method = "none")
  new <- iris
  new$Species <- NA
  expect_gt(mean(predict(imp, new)$Species == iris$Species), 0.95)
  expect_s3_class(predict(imp, new)$Species, "factor")
  p <- predict(imp, new, type = "probability")$Species
  # the same by definition: means of the species, common covariance
  x <- as.matrix(iris[1:4])
  mu <- imp$parameters$mean
  s <- imp$parameters$covariance
  dummies <- 5:6
  b <- s[1:4, dummies] %*% solve(s[dummies, dummies])
  within <- s[1:4, 1:4] - b %*% s[dummies, 1:4]
  share <- c(1 - sum(mu[dummies]), mu[dummies])
  log_p <- sapply(1:3, function(k) {
    at <- mu[1:4] + b %*% ((1:2 == k - 1) - mu[dummies])
    -stats::mahalanobis(x, at, within) / 2 + log(share[k])
  })
  by_hand <- exp(log_p - apply(log_p, 1, max))
  expect_equal(unname(p), unname(by_hand / rowSums(by_hand)), tolerance = 1e-6)
  drawn <- with_seed(1, predict(imp, new, type = "draw"))
  expect_gt(mean(drawn$Species == iris$Species), 0.9)
})

test_that("what new data lack or do not know is a classed error", {
  d <- every_class()
  imp <- impute(d, method = "none")
  new <- d[1:3, ]
  levels(new$factor)[1] <- "unknown"
  new$factor[] <- "unknown"
  error <- expect_error(predict(imp, new), "unknown", class = "em_error_new_category")
  expect_equal(error$column, "factor")
  expect_error(predict(imp, d[1:3, -1]), "double", class = "em_error_newdata")
  new <- d[1:3, ]
  new$double[2] <- Inf
  expect_error(predict(imp, new), class = "em_error_infinite")
  new$double <- letters[1:3]
  expect_error(predict(imp, new), class = "em_error_column_type")
  expect_error(predict(imp, type = "response"), class = "em_error_argument")
  # a carried column need not be there
  expect_equal(nrow(predict(imp, d[1:3, names(d) != "list"])), 3)
})

test_that("new rows keep the class of their own columns", {
  d <- every_class()
  imp <- impute(d, method = "none")
  filled <- predict(imp, d[1:20, ])
  for (name in names(d)) expect_identical(attributes(filled[[name]]), attributes(d[1:20, ][[name]]), info = name)
  # columns that are all NA are logical in R
  new <- d[1:4, ]
  new$date <- NA
  new$ordered <- NA
  new$character <- NA
  filled <- predict(imp, new)
  expect_s3_class(filled$date, "Date")
  expect_s3_class(filled$ordered, "ordered")
  expect_type(filled$character, "character")
})

test_that("a new category of a column that only helps is kept, counts as missing, and is warned of once", {
  d <- iris
  d$Sepal.Length[1:20] <- NA
  d$site <- rep(c("a", "b", "c"), 50)
  imp <- impute(d, method = "none")
  new <- d[c(1, 60, 120), ]
  levels(new$Species) <- c(levels(new$Species), "other")
  new$Species[2:3] <- "other"
  new$site[1] <- "z"
  warnings <- list()
  done <- withCallingHandlers(predict(imp, new), warning = function(w) {
    warnings[[length(warnings) + 1]] <<- w
    invokeRestart("muffleWarning")
  })
  expect_length(warnings, 1)
  expect_s3_class(warnings[[1]], "em_warning_new_category")
  expect_match(conditionMessage(warnings[[1]]), "\"Species\" has \"other\".*\"site\" has \"z\"")
  expect_identical(as.character(done$Species), c("setosa", "other", "other"))
  expect_identical(done$site, new$site)
  new$Species[2:3] <- NA
  new$site[1] <- NA
  expect_equal(done$Sepal.Length, predict(imp, new)$Sepal.Length)
})
