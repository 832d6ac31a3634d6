# What becomes of a column, and that it comes back as it went in.

types_of <- function(...) {
  input <- data_columns(data.frame(..., stringsAsFactors = FALSE, check.names = FALSE))
  vapply(learn_encoder(input)$specs, `[[`, "", "type")
}

test_that("the type follows from the class", {
  expect_equal(unname(types_of(
    a = c(1.5, 2, NA, 3), b = c(1000L, -5L, NA, 7L), c = c(TRUE, FALSE, NA, TRUE), d = factor(c("x", "y", NA, "x")),
    e = factor(c("x", "y", "z", NA)), f = factor(c("x", "y", "z", NA), ordered = TRUE), g = c("u", "v", "w", NA),
    h = as.Date(c("2020-01-01", NA, "2020-01-02", "2020-01-07")), i = as.POSIXct(c(1, 2, NA, 7), origin = "1970-01-01"),
    j = as.difftime(c(1, NA, 2, 3), units = "secs"), k = complex(real = 1:4)
  )), c("continuous", "integer", "binary", "binary", "nominal", "ordinal", "nominal", "date", "datetime", "continuous",
        "carried"))
  expect_equal(unname(types_of(count = c(rep(0:3, 5), NA), many = c(1:20, NA), negative = c(rep(-1:2, 5), NA))),
               c("count", "integer", "integer"))
  expect_equal(unname(types_of(id = c(paste0("id", 1:40)), few = rep(letters[1:8], 5))), c("carried", "nominal"))
})

test_that("labelled codes are categories when every value has a label", {
  x <- structure(c(1, 2, 1, NA, 3, 2), labels = c(no = 1, yes = 2, maybe = 3),
                 class = c("haven_labelled", "vctrs_vctr", "double"))
  y <- structure(c(1.5, 2, 1, NA, 3, 2), labels = c(refused = 1), class = c("haven_labelled", "vctrs_vctr", "double"))
  expect_equal(automatic_type(x), "nominal")
  expect_equal(automatic_type(y), "continuous")
})

test_that("a type that a column cannot have is a classed error", {
  d <- data.frame(f = factor(c("a", "b", NA)), x = c(1, 2, 3))
  expect_error(em_impute(d, types = c(f = "continuous")), "can be", class = "em_error_types")
  expect_error(em_impute(d, types = c(x = "binary")), class = "em_error_types")
  expect_error(em_impute(d, types = c(x = "numbers")), class = "em_error_argument")
  expect_error(em_impute(d, types = c(z = "binary")), "not a column", class = "em_error_types")
  expect_error(em_impute(d, types = "binary"), "named", class = "em_error_types")
  expect_error(em_impute(d, bounds = list(f = c(0, 1))), class = "em_error_bounds")
  expect_error(em_impute(d, bounds = list(x = c(3, 1))), class = "em_error_bounds")
})

test_that("few whole numbers with bounds or a transformation are numbers, not categories", {
  d <- data.frame(count = c(rep(0:4, 8), NA, NA), x = rnorm(42))
  expect_equal(impute(d, bounds = list(count = c(0, 10)))$columns$type[1], "integer")
  expect_equal(impute(~ sqrt(count) + x, data = d)$columns$type[1], "integer")
})
