# The normal distribution and its truncations, and the random variates that the imputations are made of.

test_that("cdf, log cdf and quantiles are R's, in the tails as well", {
  x <- c(-1e3, -200, -40, -38, -20, -8, -5.001, -5, -4.999, seq(-4, 4, 0.37), 5, 8, 37)
  expect_equal(truncated_normal_(x, numeric(), 0, "log_cdf"), stats::pnorm(x, log.p = TRUE), tolerance = 1e-13)
  # Subnormal numbers have fewer digits: from -37 on.
  expect_equal(truncated_normal_(x[x > -37], numeric(), 0, "cdf"), stats::pnorm(x[x > -37]), tolerance = 1e-13)
  p <- c(1e-300, 1e-100, 1e-20, 1e-5, 0.01, 0.07, 0.075, 0.3, 0.5, 0.7, 0.93, 0.99, 1 - 1e-9)
  expect_equal(truncated_normal_(p, numeric(), 0, "quantile"), stats::qnorm(p), tolerance = 1e-14)
  log_p <- c(-1e8, -1e5, -800, -729, -700, -50, -5, -1, -0.5, -0.1, -1e-3, -1e-12)
  # R 4.2's own qnorm(log.p = TRUE) is wrong below about -1e5: the cdf of the answer is the test there.
  got <- truncated_normal_(log_p, numeric(), 0, "quantile_log")
  expect_equal(stats::pnorm(got, log.p = TRUE), log_p, tolerance = 1e-11)
  expect_identical(truncated_normal_(c(0, 1), numeric(), 0, "quantile"), c(-Inf, Inf))
})

test_that("moments of truncated normals agree with numerical integration", {
  ends <- rbind(c(-1, 1), c(0.5, 0.7), c(-Inf, -3), c(2, Inf), c(6, Inf), c(6, 6.3), c(-0.1, 5), c(4.9, 9),
                c(10, 11), c(60, Inf), c(0.2, 0.2002), c(-8, -7.5), c(30, 30.5), c(-3, Inf))
  for (i in seq_len(nrow(ends))) {
    a <- ends[i, 1]
    b <- ends[i, 2]
    # The density relative to its largest value on the interval, so that nothing underflows; the tail beyond 15 is
    # nothing.
    top <- if (a > 0) a else if (b < 0) b else 0
    f <- function(x, k) (x - top)^k * exp(-(x - top) * (x + top) / 2)
    from <- max(a, top - 15 / max(1, abs(top) / 3))
    to <- min(b, top + 15 / max(1, abs(top) / 3))
    m <- vapply(0:2, function(k) stats::integrate(f, from, to, k = k, rel.tol = 1e-11, subdivisions = 1000L)$value, 0)
    mean <- top + m[2] / m[1]
    variance <- m[3] / m[1] - (m[2] / m[1])^2
    label <- paste(a, b)
    expect_equal(truncated_normal_(a, b, 0, "log_interval"), log(m[1]) + stats::dnorm(top, log = TRUE),
                 tolerance = 1e-8, label = label)
    # The shift from the end that the mean is near to is what counts; variances are differences of larger numbers.
    expect_equal(truncated_normal_(a, b, 0, "mean") - top, mean - top, tolerance = 1e-5, label = label)
    expect_equal(truncated_normal_(a, b, 0, "variance"), variance, tolerance = 1e-4, label = label)
  }
})

test_that("moments exist at any distance from the mean and for any width", {
  a <- c(1e3, 1e8, -1e5, 1e3, 37, -Inf, 1e-300)
  b <- c(Inf, Inf, -1e5 + 1e-3, 1e3 + 1e-9, 37 + 1e-12, -1e6, 2e-300)
  mean <- truncated_normal_(a, b, 0, "mean")
  variance <- truncated_normal_(a, b, 0, "variance")
  expect_true(all(mean >= a & mean <= b))
  expect_true(all(is.finite(variance) & variance >= 0 & variance <= 1))
  # An exponential tail: 1 / a beyond a.
  expect_equal(mean[1] - 1e3, 1e-3, tolerance = 1e-5)
  expect_equal(variance[1], 1e-6, tolerance = 1e-5)
})

test_that("draws from truncated normals follow their distribution", {
  n <- 20000
  for (ends in list(c(-1, 1), c(0, Inf), c(0.3, Inf), c(0.7, Inf), c(5, Inf), c(-Inf, -8), c(-0.2, 0.4),
                    c(0.5, 0.8), c(0.5, 6), c(-4, 0.1), c(8, 8.05), c(1, 2.5), c(-Inf, Inf), c(-2, Inf))) {
    a <- ends[1]
    b <- ends[2]
    x <- random_(5, 1, n, "truncated", a, b)
    expect_true(all(x >= a & x <= b))
    # Turned to the lower tail, where pnorm() keeps its digits.
    sign <- if (a > 0) -1 else 1
    lower <- stats::pnorm(min(sign * ends))
    upper <- stats::pnorm(max(sign * ends))
    u <- (stats::pnorm(sign * x) - lower) / (upper - lower)
    # A fixed stream: the p-value is a number, not luck.
    expect_gt(stats::ks.test(u, "punif")$p.value, 1e-3, label = paste(a, b))
  }
})

test_that("draws end and stay inside for intervals that no proposal would hit", {
  for (ends in list(c(40, 41), c(1e5, Inf), c(1e12, Inf), c(-1e9, -1e9 + 1), c(0, 1e-300), c(3, 3 + 1e-14), c(1, 1),
                    c(2, 1))) {
    x <- random_(5, 2, 200, "truncated", ends[1], ends[2])
    expect_true(all(is.finite(x)), label = toString(ends))
    if (ends[1] < ends[2]) expect_true(all(x >= ends[1] & x <= ends[2]), label = toString(ends))
  }
})

test_that("the quantile of a truncated normal is the inverse of its cdf", {
  for (ends in list(c(-1, 2), c(6, 7), c(-Inf, -40), c(50, 50.5), c(-9, Inf))) for (u in c(0.01, 0.5, 0.99)) {
    x <- truncated_normal_(ends[1], ends[2], u, "truncated_quantile")
    mass <- function(a, b) truncated_normal_(a, b, 0, "log_interval")
    share <- mass(ends[1], x) - mass(ends[1], ends[2])
    expect_equal(exp(share), u, tolerance = 1e-6, label = toString(c(ends, u)))
  }
})

test_that("normals, gammas and chi-squares are what their names say", {
  n <- 20000
  expect_gt(stats::ks.test(random_(3, 1, n, "normal", 0, 0), "pnorm")$p.value, 1e-3)
  for (shape in c(0.3, 1, 2.5, 80)) {
    x <- random_(3, 2, n, "gamma", shape, 0)
    expect_gt(stats::ks.test(x, "pgamma", shape)$p.value, 1e-3, label = paste("gamma", shape))
  }
  expect_gt(stats::ks.test(random_(3, 3, n, "chi_square", 7, 0), "pchisq", 7)$p.value, 1e-3)
  # The ziggurat's tail beyond 3.44: its share, within five standard errors.
  z <- abs(random_(3, 4, 200000, "normal", 0, 0))
  p <- 2 * stats::pnorm(-3.442619855899)
  expect_lt(abs(sum(z > 3.442619855899) - 200000 * p), 5 * sqrt(200000 * p))
})

test_that("Wishart matrices have the moments of their distribution", {
  v <- matrix(c(2, 0.5, -0.3, 0.5, 1, 0.2, -0.3, 0.2, 0.7), 3)
  n <- 20000
  df <- 6.5
  w <- wishart_(9, n, df, v)
  # E W = df v; var W_ij = df (v_ij^2 + v_ii v_jj). Five standard errors.
  variance <- df * (v^2 + outer(diag(v), diag(v)))
  expect_lt(max(abs(apply(w, 1:2, mean) - df * v) / sqrt(variance / n)), 5)
  expect_equal(apply(w, 1:2, stats::var), variance, tolerance = 0.1)
})
