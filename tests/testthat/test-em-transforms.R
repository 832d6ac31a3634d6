start <- list(a = c(x = 1, y = -2), p = 0.3, s = c(0.2, 0.5, 0.3), rows = rbind(c(0.1, 0.9), c(0.6, 0.4)), v = 2.5,
              sigma = array(c(2, 0.3, 0.3, 1, 4, -1, -1, 5), c(2, 2, 2)))
transform <- c(p = "probability", s = "simplex", rows = "simplex", v = "positive", sigma = "covariance")

test_that("coordinates are what the help page says, and lead back", {
  space <- em_space(start, transform)
  point <- em_pack_(space$layout, em_flat(start))
  root <- t(chol(start$sigma[, , 2]))
  expect_equal(point[1:2], c(1, -2))
  expect_equal(point[3], stats::qlogis(0.3))
  expect_equal(point[4:5], log(c(0.2, 0.5) / 0.3))
  expect_equal(point[6:7], log(c(0.1 / 0.9, 0.6 / 0.4)))
  expect_equal(point[8], log(2.5))
  expect_equal(point[12:14], c(log(root[1, 1]), root[2, 1] / root[2, 2], log(root[2, 2])))
  expect_identical(space$n_packed, 14L)
  expect_equal(em_shaped(em_unpack_(space$layout, em_flat(start), point), start), start, tolerance = 1e-14)
})

test_that("any point leads to parameters inside the space", {
  space <- em_space(start, transform)
  for (seed in 1:20) {
    point <- with_seed(seed, stats::rnorm(14, 0, 3))
    theta <- em_shaped(em_unpack_(space$layout, em_flat(start), point), start)
    expect_equal(c(sum(theta$s), rowSums(theta$rows)), c(1, 1, 1))
    expect_true(all(unlist(theta[c("p", "s", "rows", "v")]) > 0) && theta$p < 1)
    expect_true(all(eigen(theta$sigma[, , 1])$values > 0))
    expect_equal(em_pack_(space$layout, em_flat(theta)), point, tolerance = 1e-6)
  }
})

test_that("points beyond the range of numbers have no parameters, and a boundary no coordinates", {
  space <- em_space(list(v = 1, p = 0.5), c(v = "positive", p = "probability"))
  expect_null(em_unpack_(space$layout, c(1, 0.5), c(800, 0)))
  expect_null(em_unpack_(space$layout, c(1, 0.5), c(-800, 0)))
  expect_null(em_unpack_(space$layout, c(1, 0.5), c(0, 40)))
  expect_null(em_pack_(space$layout, c(0, 0.5)))
  expect_null(em_pack_(space$layout, c(1, 1)))
})

test_that("labels name every entry once", {
  space <- em_space(start, transform)
  expect_identical(space$labels[1:7], c("a[x]", "a[y]", "p", "s[1]", "s[2]", "s[3]", "rows[1,1]"))
  expect_identical(space$labels[!space$shown], c("sigma[1,2,1]", "sigma[1,2,2]"))
  expect_identical(em_labels(c(a = 1, b = 2)), c("a", "b"))
  expect_identical(em_labels(c(1, 2)), c("theta[1]", "theta[2]"))
})

test_that("transforms may be one for all, by name, or by entry", {
  expect_identical(em_space(list(a = 1, b = 2), "positive")$transform, rep("positive", 2))
  expect_identical(em_space(list(a = 1:2 + 0, b = 2), list(b = "positive"))$transform, c("real", "real", "positive"))
  expect_identical(em_space(c(0.5, 1), c("probability", "positive"))$transform, c("probability", "positive"))
  expect_identical(em_space(c(a = 0.5, b = 1), c(b = "positive"))$transform, c("real", "positive"))
  expect_identical(em_space(list(a = 1), NULL)$transform, "real")
  for (wrong in list("positiv", c(z = "real"), c(a = "real", a = "positive"), 3, c("real", "real"))) {
    expect_error(em_space(list(a = 1, b = 2), wrong), "transform", class = "em_error_argument")
  }
})

test_that("a start outside of the space is named", {
  outside <- function(start, transform, pattern) {
    expect_error(em_space(start, transform), pattern, class = "em_error_start")
  }
  outside(list(v = c(1, 0)), "positive", "`v` must be above 0")
  outside(list(p = 1), "probability", "`p` must be between 0 and 1")
  outside(list(p = c(0.5, 0.6)), "simplex", "the sum is 1.1")
  outside(list(p = rbind(c(0.5, 0.5), c(0.2, 0.7))), "simplex", "each row")
  outside(list(s = c(1, 2)), "covariance", "d x d")
  outside(list(s = matrix(c(1, 2, 2, 1), 2)), "covariance", "positive definite")
  outside(list(s = matrix(c(2, 1, 0, 2), 2)), "covariance", "symmetric")
})

test_that("parameters on the boundary are held, the others keep their coordinates", {
  space <- em_space(list(s = c(0.2, 0.5, 0.3), p = 0.5), c(s = "simplex", p = "probability"))
  unknown <- function(flat) NA_real_
  inside <- em_interior(space, c(0, 0.6, 0.4, 1), unknown)
  expect_identical(inside$boundary, c(1L, 4L))
  expect_identical(lapply(inside$layout, `[[`, "at"), list(2:3))
  expect_identical(em_interior(space, c(0, 0, 1, 0.5), unknown)$boundary, 1:3)
})

test_that("a parameter that drifts to its bound is held there, one that does not matter is not", {
  space <- em_space(list(v = 1, p = 0.5, s = c(0.2, 0.5, 0.3)),
                    c(v = "positive", p = "probability", s = "simplex"))
  flat <- c(1e-7, 1 - 1e-8, 1e-9, 0.6, 0.4 - 1e-9)
  # counts of 0: the nearer to the bound, the better
  falls <- function(f) 30 * log(f[2]) - 10 * f[1] - 20 * f[3] - (f[4] - 0.6)^2
  expect_identical(em_interior(space, flat, falls)$boundary, c(1L, 2L, 3L))
  expect_identical(em_interior(space, flat, function(f) -(f[4] / (f[4] + f[5]) - 0.6)^2)$boundary, integer())
  # a small variance that the data determine
  expect_identical(em_interior(space, replace(flat, 1, 1e-7), function(f) -50 * (log(f[1]) - log(1e-7))^2)$boundary,
                   integer())
})
