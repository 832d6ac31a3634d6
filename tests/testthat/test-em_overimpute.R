# Overimputation.

test_that("each cell is predicted from the rest of its row", {
  imp <- impute(as.matrix(airquality[1:4]), method = "none")
  table <- em_overimpute(imp, columns = c("Ozone", "Temp"), level = 0.8)
  expect_equal(nrow(table), 116 + 153)
  # by definition, for one row
  s <- imp$parameters$covariance
  mu <- imp$parameters$mean
  x <- unlist(airquality[1, 1:4])
  mean <- mu[[1]] + sum(s[1, -1] * solve(s[-1, -1], x[-1] - mu[-1]))
  sd <- sqrt(s[1, 1] - sum(s[1, -1] * solve(s[-1, -1], s[-1, 1])))
  first <- table[table$row == 1 & table$column == "Ozone", ]
  expect_equal(c(first$mean, first$lower, first$upper), c(mean, mean + c(-1, 1) * qnorm(0.9) * sd), tolerance = 1e-8)
})

test_that("coverage is about nominal where the model holds, and printed", {
  imp <- impute(normal_with_holes(2000, 3), method = "none")
  table <- em_overimpute(imp, level = 0.9)
  coverage <- attr(table, "coverage")
  # 1600 cells: three binomial standard errors
  expect_true(all(abs(coverage$coverage - 0.9) < 0.0225))
  expect_output(print(table), "coverage")
  mixed <- every_class(400)
  coverage <- attr(em_overimpute(impute(mixed, method = "none"), columns = c("integer", "date"), level = 0.9),
                   "coverage")
  expect_true(all(abs(coverage$coverage - 0.9) < 0.06))
})

test_that("transformed and bounded columns have intervals within their limits", {
  imp <- impute(~ log(Ozone) + Wind + Temp, data = airquality, method = "none")
  expect_true(all(em_overimpute(imp)$lower > 0))
  imp <- impute(airquality[1:4], bounds = list(Ozone = c(0, NA)), method = "none")
  expect_true(all(em_overimpute(imp, "Ozone")$lower >= 0))
})

test_that("columns that are not numbers of the model are classed errors", {
  imp <- impute(every_class(), method = "none")
  expect_error(em_overimpute(imp, "factor"), class = "em_error_columns")
  expect_error(em_overimpute(imp, "nobody"), class = "em_error_columns")
  expect_error(em_overimpute(airquality), class = "em_error_argument")
})
