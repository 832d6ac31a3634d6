test_that("every class comes back with its attributes, levels, names and row order, and no NA", {
  d <- every_class()
  imp <- impute(d)
  for (i in 0:2) {
    done <- em_complete(imp, i)
    expect_identical(names(done), names(d))
    expect_identical(row.names(done), row.names(d))
    for (name in names(d)) {
      expect_identical(attributes(done[[name]]), attributes(d[[name]]), info = name)
      expect_identical(typeof(done[[name]]), typeof(d[[name]]), info = name)
      seen <- !is.na(d[[name]])
      expect_identical(done[[name]][seen], d[[name]][seen], info = name)
      if (i > 0 && name != "list") expect_false(anyNA(done[[name]]), info = name)
    }
  }
  expect_identical(em_complete(imp, 0), d)
  expect_true(all(unlist(imp$imputed$count) %in% d$count))
  expect_true(all(em_complete(imp, 1)$factor %in% c("low", "mid", "high")))
  expect_match(imp$columns$note[imp$columns$name == "factor"], "never")
  expect_equal(imp$columns$action[imp$columns$name == "list"], "carried")
})

test_that("the result depends on neither the order of levels nor the class that holds the data", {
  d <- data.frame(x = airquality$Ozone, y = airquality$Wind)
  wide <- lapply(list(d, as.matrix(d)), function(data) with_seed(1, impute(data, types = c(x = "continuous"))))
  expect_equal(as.double(wide[[1]]$imputed$x), round(as.double(wide[[2]]$imputed$x)))
})

test_that("tibble, data.table, matrix and vector come back as such", {
  x <- as.matrix(airquality[1:4])
  done <- em_complete(impute(x))
  expect_true(is.matrix(done) && identical(dimnames(done), dimnames(x)) && !anyNA(done))
  unnamed <- unname(x)
  expect_identical(dimnames(em_complete(impute(unnamed))), NULL)
  v <- c(a = 1.5, b = NA, c = 3, d = 4, e = 2.5)
  expect_identical(names(em_complete(impute(v))), names(v))
  words <- c("u", "v", NA, "u", "u", "v")
  expect_true(em_complete(impute(words))[3] %in% c("u", "v"))
  skip_if_not_installed("tibble")
  t <- tibble::as_tibble(airquality)
  done <- em_complete(impute(t))
  expect_identical(class(done), class(t))
  expect_identical(attr(done, "row.names"), attr(t, "row.names"))
  skip_if_not_installed("data.table")
  dt <- data.table::as.data.table(airquality)
  data.table::setkeyv(dt, "Ozone")
  done <- em_complete(impute(dt))
  expect_s3_class(done, "data.table")
  # the key was broken by the imputed values, and columns can be added by reference without a warning
  expect_null(data.table::key(done))
  expect_silent(data.table::set(done, j = "new", value = 1))
  expect_identical(data.table::key(dt), "Ozone")
})

test_that("integer64 comes back as such", {
  skip_if_not_installed("bit64")
  d <- data.frame(x = rnorm(20))
  d$big <- bit64::as.integer64(c(rep(5, 9), NA, 1e12 + 1:10))
  done <- em_complete(impute(d))
  expect_s3_class(done$big, "integer64")
  expect_false(anyNA(done$big))
  expect_true(all(done$big[-10] == d$big[-10]))
})

test_that("columns of the same name, or with names that are no names, are kept apart", {
  d <- data.frame(c(1, NA, 3, 4, 2, 6), c(2, 3, NA, 5, 1, 1), c(5, 3, 2, 4, 3, NA))
  names(d) <- c("x", "x", "a b=1")
  done <- em_complete(impute(d))
  expect_identical(names(done), names(d))
  expect_false(anyNA(done))
  long <- em_complete(impute(d), "long")
  expect_identical(names(long), c(".imp", ".id", names(d)))
})

test_that("semicontinuous columns keep their mass points and have values between them", {
  d <- with_seed(2, {
    z <- rnorm(300)
    data.frame(z = z, expense = pmax(0, z + rnorm(300)), capped = pmin(2, pmax(-1, z + rnorm(300))))
  })
  truth <- d
  lost <- with_seed(3, matrix(runif(600) < 0.3, 300))
  d[-1][lost] <- NA
  imp <- impute(d, types = c(expense = "semicontinuous", capped = "semicontinuous"), m = 5)
  expect_true(all(imp$imputed$expense >= 0))
  # the share of zeros is about what it was: five Monte Carlo standard errors
  expect_lt(abs(mean(imp$imputed$expense == 0) - mean(truth$expense == 0)), 0.13)
  expect_true(all(imp$imputed$capped >= -1 & imp$imputed$capped <= 2))
  expect_gt(mean(imp$imputed$capped == 2), 0)
  expect_error(em_impute(airquality, types = c(Wind = "semicontinuous")), class = "em_error_types")
  # with a logarithm, zeros need no number of their own
  imp <- impute(d, types = c(expense = "semicontinuous"), transform = list(expense = "sqrt"))
  expect_true(all(imp$imputed$expense >= 0))
  expect_match(impute(d)$columns$note[2], "semicontinuous")
})

test_that("bounds stay with their columns when a column before them is not in the model", {
  # w is linear in u and v, all complete, and stays out; the bounds of y, which comes after, must reach y
  d <- with_seed(31, data.frame(u = stats::rnorm(60), v = stats::rnorm(60)))
  d$w <- d$u - 2 * d$v
  d$x <- with_seed(32, d$u + stats::rnorm(60))
  d$y <- with_seed(33, d$v + stats::rnorm(60))
  d$x[1:15] <- NA
  d$y[10:30] <- NA
  imp <- quietly(impute(d, m = 5, bounds = list(y = c(-0.1, 0.4), w = c(-20, 20))))
  expect_length(imp$encoder$lower, length(imp$encoder$variables))
  expect_identical(imp$encoder$lower[imp$encoder$variables == "y"], -0.1)
  expect_true(all(imp$imputed$y >= -0.1 & imp$imputed$y <= 0.4))
  expect_gt(diff(range(imp$imputed$x)), 1)
})
