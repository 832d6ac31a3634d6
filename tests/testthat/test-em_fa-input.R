# What em_fa() refuses, and how it says so.

x <- data_factors(60, p = 6, q = 2)
s <- stats::cov(x)

test_that("too many factors are an error that says the largest number", {
  e <- expect_error(em_fa(x, n_factors = 4), "at most 3", class = "em_error_n_factors")
  expect_identical(e$largest, 3L)
  expect_error(em_fa(x, n_factors = 4:5), "at most 3", class = "em_error_n_factors")
  expect_error(em_fa(covmat = s, n_obs = 60, n_factors = 4), "at most 3", class = "em_error_n_factors")
  # (p - q)^2 >= p + q
  for (p in 3:30) {
    largest <- max(which(vapply(seq_len(p), function(q) q < p && (p - q)^2 - p - q >= 0, TRUE)))
    expect_error(em_fa(covmat = diag(p) + 0.5, n_obs = 100, n_factors = largest + 1),
                 paste("at most", largest), class = "em_error_n_factors")
  }
  expect_error(em_fa(x, n_factors = 6, type = "ppca"), "at most 5", class = "em_error_n_factors")
  for (bad in list(0, 1.5, "a", NA, numeric(), -1)) {
    expect_error(em_fa(x, n_factors = bad), "n_factors", class = "em_error_n_factors")
  }
  expect_error(em_fa(x[, 1:2]), "at least 3 variables", class = "em_error_too_few_variables")
})

test_that("too few rows for the factors are an error", {
  expect_error(em_fa(x[1:3, ], n_factors = 2), "too few", class = "em_error_too_few_rows")
  expect_error(em_fa(covmat = s, n_obs = 3, n_factors = 2), "too few", class = "em_error_too_few_rows")
  expect_error(em_fa(x[1, , drop = FALSE]), class = "em_error_too_few_rows")
  gaps <- x
  gaps[-(1:3), ] <- NA
  expect_error(em_fa(gaps, n_factors = 2), class = "em_error_too_few_rows")
})

test_that("a covariance matrix must be one", {
  expect_error(em_fa(covmat = s, n_factors = 1), "n_obs", class = "em_error_n_obs")
  for (bad in list(NA, 0, -5, "a", c(10, 20), Inf)) {
    expect_error(em_fa(covmat = s, n_obs = bad, n_factors = 1), "n_obs", class = "em_error_n_obs")
  }
  indefinite <- diag(4)
  indefinite[1, 2] <- indefinite[2, 1] <- 2
  e <- expect_error(em_fa(covmat = indefinite, n_obs = 50, n_factors = 1), "smallest eigenvalue is -1",
                    class = "em_error_covmat")
  expect_equal(e$eigenvalue, -1)
  expect_error(em_fa(covmat = matrix(1, 4, 4), n_obs = 50, n_factors = 1), "positive definite",
               class = "em_error_covmat")
  skew <- s
  skew[1, 2] <- skew[1, 2] + 1
  expect_error(em_fa(covmat = skew, n_obs = 50, n_factors = 1), "symmetric", class = "em_error_covmat")
  expect_error(em_fa(covmat = x, n_obs = 50, n_factors = 1), "square", class = "em_error_covmat")
  expect_error(em_fa(covmat = "s", n_obs = 50), class = "em_error_covmat")
  expect_error(em_fa(covmat = replace(s, 3, NA), n_obs = 50, n_factors = 1), "finite", class = "em_error_covmat")
  expect_error(em_fa(covmat = replace(s, 8, 0), n_obs = 50, n_factors = 1), "v2.* is 0", class = "em_error_covmat")
  expect_error(em_fa(covmat = list(cov = s, n.obs = 60, center = 1:2), n_factors = 1), "center",
               class = "em_error_covmat")
  expect_error(em_fa(x, covmat = s, n_obs = 60), "not both", class = "em_error_argument")
  expect_error(em_fa(covmat = s, n_obs = 60, weights = rep(1, 60)), class = "em_error_weights")
  expect_error(em_fa(covmat = s, n_obs = 60, scores = "bartlett"), "rows", class = "em_error_no_data")
  expect_error(em_fa(datasets::ability.cov), "covmat", class = "em_error_data_type")
  expect_error(em_fa(x, n_obs = 60), "n_obs", class = "em_error_argument")
  expect_error(em_fa(), "missing", class = "em_error_argument")
})

test_that("data must be numeric, finite and vary", {
  expect_error(em_fa(datasets::iris), "Species", class = "em_error_column_type")
  expect_error(em_fa(~., data = datasets::iris), "Species", class = "em_error_column_type")
  expect_error(em_fa(replace(x, 8, Inf)), "row 8 of column \"v1\"", class = "em_error_infinite")
  constant <- x
  constant[, 4] <- 3
  expect_error(em_fa(constant), "\"v4\" is constant", class = "em_error_constant_column")
  empty <- x
  empty[, 2] <- NA
  expect_error(em_fa(empty), "\"v2\" has no observed value", class = "em_error_all_missing")
  expect_error(em_fa(cbind(x, copy = 2 - 3 * x[, "v4"])), "\"v4\" and \"copy\" are the same",
               class = "em_error_degenerate")
  expect_error(em_fa(x, weights = 1:3), class = "em_error_weights")
  expect_error(em_fa(x, weights = replace(rep(1, 60), 2, -1)), class = "em_error_weights")
  expect_error(em_fa("a"), class = "em_error")
  expect_error(em_fa(v1 ~ v2, data = as.data.frame(x)), "one-sided", class = "em_error_formula")
  # Many variables are looked at in another way.
  wide <- matrix(with_seed(1, stats::rnorm(20 * 230)), 20)
  expect_error(em_fa(replace(wide, 25, -Inf)), "row 5 of column \"V2\"", class = "em_error_infinite")
  flat <- wide
  flat[, 7] <- 1
  expect_error(em_fa(flat), "\"V7\" is constant", class = "em_error_constant_column")
  flat[, 7] <- NA
  expect_error(em_fa(flat), "\"V7\" has no observed value", class = "em_error_all_missing")
})

test_that("rotations that are none are errors", {
  expect_error(em_fa(x, 2, rotation = 3), "rotation", class = "em_error_rotation")
  expect_error(em_fa(x, 2, rotation = "no such rotation"), "no such rotation", class = "em_error_rotation")
  expect_error(em_fa(x, 2, rotation = function(l) l[, 1]), "returned", class = "em_error_rotation")
  expect_error(em_fa(x, 2, rotation = function(l) l[1:3, ]), "dimension 3 x 2 for 6 x 2", class = "em_error_rotation")
  expect_error(em_fa(x, 2, rotation = function(l) l + stats::runif(12)), "not the loadings times",
               class = "em_error_rotation")
  expect_error(em_fa(x, 2, rotation = function(l) 2 * l), "variance 1", class = "em_error_rotation")
  expect_error(em_fa(x, 2, rotation = function(l) l * NA), "not finite", class = "em_error_rotation")
  expect_error(em_fa(x, 2, rotation = function(l) cbind(l[, 1], l[, 1])), "singular", class = "em_error_rotation")
  expect_error(em_fa(x, 2, rotation = function(l) stop("too tired")), "too tired", class = "em_error_rotation")
})

test_that("other arguments are checked", {
  expect_error(em_fa(x, 2, scores = "thurstone"), class = "em_error_argument")
  expect_error(em_fa(x, 2, type = "pca"), class = "em_error_argument")
  expect_error(em_fa(x, 2, control = list()), class = "em_error_argument")
  expect_error(em_fa(x, factors = 2), "factors", class = "em_error_unused_argument")
  expect_error(em_fa(x, 2, start = 1:6), class = "em_error_start")
  expect_error(em_fa(x, 2, start = list(loadings = diag(6))), "uniquenesses", class = "em_error_start")
  expect_error(em_fa(x, 2, start = list(uniquenesses = rep(1, 6), loadings = diag(6))), "6 x 2",
               class = "em_error_start")
  expect_error(em_fa(x, 2, start = list(uniquenesses = rep(-1, 6))), class = "em_error_start")
  expect_error(em_fa(x, 2, start = list(uniquenesses = rep(1, 6), mean = 1)), class = "em_error_start")
})

test_that("new data must have the variables", {
  fit <- em_fa(x, 2)
  expect_error(predict(fit, x[, -1]), "v1", class = "em_error_newdata")
  expect_error(predict(fit, x, type = "class"), class = "em_error_argument")
  expect_error(predict(fit, x, scores = "none"), class = "em_error_argument")
  expect_error(logLik(fit, newdata = x[, 1:3]), class = "em_error_newdata")
  from_matrix <- em_fa(covmat = s, n_obs = 60, n_factors = 2)
  for (needs in list(predict, augment, function(f) fitted(f, "response"), function(f) residuals(f, "response"),
                     model.frame)) {
    expect_error(needs(from_matrix), class = "em_error_no_data")
  }
  bare <- em_fa(x, 2, control = em_control(keep_data = FALSE))
  expect_error(predict(bare), class = "em_error_no_data")
  expect_error(vcov(bare), class = "em_error_no_data")
  expect_identical(dim(bare$scores), c(60L, 2L))
})

test_that("columns that agree wherever both are observed are an error, others are not", {
  x <- data_factors(60, p = 9, q = 2, seed = 21)
  holes <- with_seed(1, replace(x, sample(length(x), 100), NA))
  # Complete rows are few, and the columns have other variances there than elsewhere: no copies.
  holes[1:40, 1] <- NA
  holes[41:60, ] <- 5 * x[41:60, ]
  expect_s3_class(quietly(em_fa(holes, n_factors = 1)), "em_fa")
  copy <- cbind(holes, copy = 3 - 2 * holes[, 2])
  copy[1:7, "copy"] <- NA
  expect_error(em_fa(copy, n_factors = 1), "\"v2\" and \"copy\"", class = "em_error_degenerate")
  # Two common rows lie on a line whatever they are; a row without weight says nothing.
  expect_true(all(pairwise_copies(cbind(c(1, 2, NA, 4), c(1, 5, 6, NA)), NULL) == 0))
  expect_identical(abs(pairwise_copies(cbind(c(1:5, NA), c(1:4, 9, 1)), c(1, 1, 1, 1, 0, 1)))[1, 2] > 1 - 1e-12, TRUE)
})

test_that("a start of uniquenesses may have zeros, and says what is wrong with others", {
  expect_error(em_fa(datasets::swiss, n_factors = 2, start = c(0, -1, 1, 1, 1, 1)), "one is -1",
               class = "em_error_start")
  expect_error(em_fa(datasets::swiss, n_factors = 2, start = c(0, 1)), "6 uniquenesses", class = "em_error_start")
})

test_that("a covariance matrix without means leaves them open, in everything that needs them", {
  s <- fa_moments(datasets::mtcars)$covariance
  fit <- em_fa(covmat = s, n_obs = 32, n_factors = 2)
  rows <- em_fa(datasets::mtcars, n_factors = 2)
  expect_true(all(is.na(fit$parameters$mean)))
  expect_false(any(grepl("^mean", names(coef(fit)))))
  expect_identical(dimnames(vcov(fit)), rep(list(names(coef(fit))), 2))
  expect_identical(rownames(confint(fit)), names(coef(fit)))
  expect_identical(tidy(fit, "parameters")$term, names(coef(fit)))
  # The likelihood is at the mean of the data, whatever it is.
  expect_equal(logLik(fit), logLik(rows), tolerance = 1e-8)
  expect_equal(update(fit, start = fit)$loglik, fit$loglik)
  for (needs in list(quote(predict(fit, datasets::mtcars)), quote(logLik(fit, newdata = datasets::mtcars)),
                     quote(augment(fit, newdata = datasets::mtcars)), quote(simulate(fit)),
                     quote(predict(fit, datasets::mtcars, type = "imputed")))) {
    expect_error(eval(needs), "center", class = "em_error_no_mean")
  }
})

test_that("means given with a covariance matrix are used", {
  fit <- em_fa(covmat = stats::cov.wt(datasets::mtcars, method = "ML"), n_factors = 2)
  rows <- em_fa(datasets::mtcars, n_factors = 2)
  expect_equal(coef(fit), coef(rows), tolerance = 1e-5)
  expect_equal(as.numeric(logLik(fit, newdata = datasets::mtcars)), rows$loglik, tolerance = 1e-7)
  expect_equal(unname(predict(fit, datasets::mtcars)), unname(rows$scores), tolerance = 1e-4)
  expect_equal(dim(simulate(fit, seed = 1)), c(32, 11))
  about_zero <- em_fa(covmat = stats::cov.wt(datasets::mtcars, center = FALSE, method = "ML"), n_factors = 1)
  expect_true(all(about_zero$parameters$mean == 0))
})

test_that("a covariance matrix as data is told of", {
  s <- stats::cor(datasets::mtcars)
  expect_error(em_fa(s, n_factors = 1), "covmat", class = "em_error_n_obs")
  expect_error(em_fa(as.data.frame(s), n_factors = 1), "covmat", class = "em_error_n_obs")
  expect_error(parallel_analysis(s), "n_obs", class = "em_error_n_obs")
})

test_that("a matrix that no data have is told from one of linear variables", {
  s <- stats::cor(datasets::mtcars[1:4])
  s[1, 2] <- s[2, 1] <- 0.9
  expect_error(em_fa(covmat = s, n_obs = 30, n_factors = 1), "positive semidefinite.*pair by pair",
               class = "em_error_covmat")
  linear <- stats::cov(cbind(datasets::mtcars[1:4], z = datasets::mtcars$mpg + datasets::mtcars$cyl))
  expect_error(em_fa(covmat = linear, n_obs = 30, n_factors = 1), "linear in others", class = "em_error_covmat")
})

test_that("a row of new data may be a vector for a formula too", {
  fit <- em_fa(~ mpg + wt + log(hp) + disp, datasets::mtcars, n_factors = 1)
  row <- c(disp = 200, mpg = 20, wt = 3, hp = 100)
  expect_equal(predict(fit, row), predict(fit, as.data.frame(as.list(row))))
  expect_equal(predict(fit, unname(row[c("mpg", "wt", "hp", "disp")])), predict(fit, row))
  expect_error(predict(fit, row[-1]), "mpg.*disp", class = "em_error_newdata")
})
