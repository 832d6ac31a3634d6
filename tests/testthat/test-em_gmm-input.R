# Bad input ends in a classed error whose message names the argument, or in a recorded outcome.

x <- data_faithful()

# Expects an error of the package's class whose message matches `message`, and no crash of other kinds.
expect_em_error <- function(code, message) {
  expect_error(code, message, class = "em_error")
}

test_that("data without rows, or with too few of them, are refused", {
  expect_em_error(em_gmm(x[0, ], n_components = 1), "row")
  expect_em_error(em_gmm(faithful[0, ], n_components = 1), "row")
  expect_em_error(em_gmm(numeric(0), n_components = 1), "row|empty|value")
  expect_em_error(em_gmm(matrix(numeric(0), 5, 0), n_components = 1), "column")
})

test_that("one row cannot have a covariance: an error that says so", {
  expect_em_error(em_gmm(x[1, , drop = FALSE], n_components = 1, covariance = "VVV"), "row|distinct|observation")
  expect_em_error(em_gmm(5, n_components = 1), "row|distinct|observation|value")
})

test_that("fewer distinct rows than components are refused", {
  few <- x[rep(1:3, each = 20), ]
  expect_em_error(em_gmm(few, n_components = 4), "distinct|n_components")
})

test_that("in a search, cells that cannot be fitted say why and do not stop the others", {
  few <- rbind(x[1:6, ], x[1:6, ])
  fit <- quietly(em_gmm(few, n_components = c(1, 9), covariance = "EII"))
  expect_identical(fit$selection$n_components, c(1L, 9L))
  expect_identical(unname(ncol(fit$parameters$means)), 1L)
  expect_true(nzchar(fit$selection$message[2]))
  expect_true(is.na(fit$selection$loglik[2]))
})

test_that("constant columns are named", {
  expect_em_error(em_gmm(cbind(a = x[, 1], b = 3), n_components = 2, covariance = "VVV"), "b")
  data <- data.frame(a = x[, 1], level = 7)
  expect_em_error(em_gmm(data, n_components = 2, covariance = "VVI"), "level")
  expect_em_error(em_gmm(rep(2, 30), n_components = 1), "constant|distinct|varia")
})

test_that("collinear columns are an error for ellipsoidal structures that says what to do", {
  data <- cbind(a = x[, 1], b = x[, 2], c = x[, 1] + 2 * x[, 2])
  expect_em_error(em_gmm(data, n_components = 2, covariance = "VVV"), "collinear|singular|linear|degenerate|dependent")
  # Diagonal structures have no quarrel with them.
  expect_true(em_gmm(data, n_components = 2, covariance = "VVI")$converged)
  # A search fits what can be fitted.
  fit <- quietly(em_gmm(data, n_components = 2, covariance = c("VVI", "VVV")))
  expect_identical(fit$covariance, "VVI")
  bad <- fit$selection[fit$selection$covariance == "VVV", ]
  expect_true(nzchar(bad$message))
})

test_that("a component collapsing onto duplicated points is a status that names the component", {
  data <- rbind(x, matrix(rep(c(3, 65), 25), 25, 2, byrow = TRUE))
  partition <- c(1 + (x[, 1] > 3), rep(3, 25))
  expect_em_error(em_gmm(data, n_components = 3, covariance = "VVV", start = partition),
                  "component")
  # One variable: the same.
  expect_em_error(em_gmm(c(with_seed(1, stats::rnorm(60)), rep(9, 20)), n_components = 2, covariance = "V",
                         start = rep(1:2, c(60, 20))), "component")
  # Starts that collapse lose to those that do not.
  fit <- quietly(with_seed(1, em_gmm(data, n_components = 2, covariance = "VVV")))
  expect_false(fit$status %in% c("degenerate", "failed"))
  expect_true(all(is.finite(unlist(fit$parameters[c("proportions", "means", "covariances")]))))
})

test_that("a component without observations is an error that names it", {
  # Shown by setting kVanished to 0: the run then ends with an unhelpful "collapsed" or with NaN parameters.
  nowhere <- list(proportions = c(0.5, 0.5), means = cbind(colMeans(x), colMeans(x) + 1e4),
                  covariances = array(stats::cov(x), c(2, 2, 2)))
  expect_em_error(em_gmm(x, n_components = 2, covariance = "VVV", start = nowhere), "component 2.*observations")
})

test_that("a component of points that differ by rounding only is collapsed too", {
  # Twenty-five points within 1e-7 standard deviations of one another. Shown by setting kMinRelativeVariance to 0: the
  # fit then "converges" to a likelihood that means nothing.
  close <- cbind(3 + 1e-7 * sin(1:25), 65 + 1e-6 * cos(1:25))
  partition <- c(partition_faithful(), rep(3, 25))
  for (code in c("VVV", "VVI", "VII")) {
    expect_em_error(em_gmm(rbind(x, close), n_components = 3, covariance = code, start = partition), "component")
  }
  expect_em_error(em_gmm(c(x[, 1], 3 + 1e-7 * sin(1:25)), n_components = 3, covariance = "V", start = partition),
                  "component")
})

test_that("a component on a line is collapsed, in any order of the columns", {
  # One component has x2 = x1 up to 5e-6 of its spread. Shown by setting kMaxInflation to infinity.
  line <- with_seed(2, stats::rnorm(100))
  data <- rbind(cbind(line, line + 5e-6 * cos(1:100)), with_seed(3, cbind(stats::rnorm(100), stats::rnorm(100))) + 8)
  for (order in list(1:2, 2:1)) {
    expect_em_error(em_gmm(data[, order], n_components = 2, covariance = "VVV", start = rep(1:2, each = 100)),
                    "component")
  }
})

test_that("n_components must be whole numbers from 1 to the number of rows", {
  for (bad in list(0, -1, 1.5, NA, NA_integer_, Inf, NaN, "2", numeric(0), c(2, NA), TRUE, list(2))) {
    expect_em_error(em_gmm(x, n_components = bad), "n_components")
  }
  expect_em_error(em_gmm(x, n_components = nrow(x) + 1), "n_components")
  expect_em_error(em_gmm(x, n_components = 1e12), "n_components")
})

test_that("an unknown covariance structure lists the choices", {
  expect_em_error(em_gmm(x, n_components = 2, covariance = "XYZ"), "VVV")
  expect_em_error(em_gmm(x, n_components = 2, covariance = "XYZ"), "XYZ")
  expect_em_error(em_gmm(x, n_components = 2, covariance = NA_character_), "covariance")
  expect_em_error(em_gmm(x, n_components = 2, covariance = 3), "covariance")
  expect_em_error(em_gmm(x, n_components = 2, covariance = character(0)), "covariance")
  # Structures for one variable are not for several.
  expect_em_error(em_gmm(x, n_components = 2, covariance = "V"), "covariance")
})

test_that("columns that are not numbers are named", {
  expect_em_error(em_gmm(iris, n_components = 2), "Species")
  expect_em_error(em_gmm(data.frame(a = 1:9 + 0.5, b = letters[1:9]), n_components = 2), "b")
  listed <- data.frame(a = c(1.5, 2, 3))
  listed$l <- list(1, 2, 3)
  expect_em_error(em_gmm(listed, n_components = 1), "l")
  expect_em_error(em_gmm(letters, n_components = 2), "numeric|number")
  expect_em_error(em_gmm(list(1, 2), n_components = 2), "list|numeric|matrix|data frame")
  expect_em_error(em_gmm(NULL, n_components = 2), "x|NULL")
  expect_em_error(em_gmm(matrix(1i, 4, 2), n_components = 1), "numeric|complex")
  expect_em_error(em_gmm(function(x) x, n_components = 1), "x|function")
})

test_that("an infinite value is named by row and column", {
  bad <- faithful
  bad$waiting[17] <- Inf
  expect_em_error(em_gmm(bad, n_components = 2), "waiting")
  expect_em_error(em_gmm(bad, n_components = 2), "17")
  bad$waiting[17] <- -Inf
  expect_em_error(em_gmm(bad, n_components = 2), "17")
})

test_that("NaN is a missing value", {
  a <- b <- x
  a[5, 1] <- NaN
  b[5, 1] <- NA
  start <- partition_faithful()
  expect_identical(em_gmm(a, n_components = 2, covariance = "VVV", start = start)$loglik,
                   em_gmm(b, n_components = 2, covariance = "VVV", start = start)$loglik)
})

test_that("a column without any value is named", {
  bad <- faithful
  bad$waiting <- NA_real_
  expect_em_error(em_gmm(bad, n_components = 2), "waiting")
  expect_em_error(em_gmm(rep(NA_real_, 10), n_components = 1), "missing|NA|observed")
})

test_that("weights must be finite, non-negative, not all zero and as many as rows", {
  w <- rep(1, nrow(x))
  expect_em_error(em_gmm(x, n_components = 2, weights = replace(w, 3, -1)), "weights")
  expect_em_error(em_gmm(x, n_components = 2, weights = replace(w, 3, NA)), "weights")
  expect_em_error(em_gmm(x, n_components = 2, weights = replace(w, 3, Inf)), "weights")
  expect_em_error(em_gmm(x, n_components = 2, weights = 0 * w), "weights")
  expect_em_error(em_gmm(x, n_components = 2, weights = w[-1]), "weights")
  expect_em_error(em_gmm(x, n_components = 2, weights = as.character(w)), "weights")
  expect_em_error(em_gmm(x, n_components = 2, weights = 1), "weights")
})

test_that("rows of weight zero are as good as absent for the fit", {
  keep <- seq_len(nrow(x)) %% 4 != 0
  start <- partition_faithful()
  zero <- em_gmm(x, n_components = 2, covariance = "VVV", weights = as.numeric(keep), start = start)
  absent <- em_gmm(x[keep, ], n_components = 2, covariance = "VVV", start = start[keep])
  expect_equal(zero$loglik, absent$loglik, tolerance = 1e-10)
  expect_equal(zero$nobs, absent$nobs)
  expect_identical(nrow(zero$posterior), nrow(x))
})

test_that("wrong starts are refused and say what a start is", {
  good <- list(proportions = c(0.4, 0.6), means = matrix(c(2, 55, 4, 80), 2),
               covariances = array(c(0.1, 0, 0, 30, 0.2, 0, 0, 40), c(2, 2, 2)))
  expect_true(em_gmm(x, n_components = 2, covariance = "VVV", start = good)$converged)
  bad <- list(
    1:3,                                         # wrong length
    rep(1, nrow(x)),                             # one group only, two asked for
    rep(1:3, length.out = nrow(x)),              # three groups
    replace(rep(1:2, length.out = nrow(x)), 4, NA),
    matrix(0.5, nrow(x), 3),                     # wrong number of columns
    matrix(0.5, nrow(x) - 1, 2),                 # wrong number of rows
    matrix(-1, nrow(x), 2),                      # negative
    matrix(NA_real_, nrow(x), 2),
    matrix(0, nrow(x), 2),                       # rows without mass
    "kmeans",
    utils::modifyList(good, list(means = matrix(0, 3, 2))),
    utils::modifyList(good, list(means = NULL)),
    utils::modifyList(good, list(proportions = c(0.5, 0.6))),
    utils::modifyList(good, list(proportions = c(-0.5, 1.5))),
    utils::modifyList(good, list(proportions = 1)),
    utils::modifyList(good, list(covariances = diag(2))),
    utils::modifyList(good, list(covariances = array(c(1, 2, 2, 1), c(2, 2, 2)))),  # not positive definite
    utils::modifyList(good, list(covariances = array(c(1, 0.5, 0, 1), c(2, 2, 2)))), # not symmetric
    utils::modifyList(good, list(means = matrix(NA_real_, 2, 2))),
    lm(eruptions ~ waiting, faithful)
  )
  for (i in seq_along(bad)) {
    expect_error(em_gmm(x, n_components = 2, covariance = "VVV", start = bad[[i]]), "start",
                 class = "em_error", label = paste("start", i))
  }
})

test_that("unused arguments are refused", {
  expect_em_error(em_gmm(x, n_components = 2, covarience = "VVV"), "covarience")
  expect_em_error(em_gmm(x, n_components = 2, G = 3), "G")
  expect_em_error(em_gmm(~ eruptions, data = faithful, n_components = 2, foo = 1), "foo")
  expect_em_error(em_gmm(faithful, n_components = 2, foo = 1), "foo")
})

test_that("flags, known labels, prior, noise, fixed and control are checked", {
  expect_em_error(em_gmm(x, n_components = 2, equal_proportions = NA), "equal_proportions")
  expect_em_error(em_gmm(x, n_components = 2, equal_proportions = "yes"), "equal_proportions")
  expect_em_error(em_gmm(x, n_components = 2, known = 1:3), "known")
  expect_em_error(em_gmm(x, n_components = 2, known = rep(5, nrow(x))), "known")
  expect_em_error(em_gmm(x, n_components = 2, known = rep(1.5, nrow(x))), "known")
  expect_em_error(em_gmm(x, n_components = 2, prior = "strong"), "prior")
  expect_em_error(em_gmm(x, n_components = 2, prior = list(shrinkage = -1)), "prior|shrinkage")
  expect_em_error(em_gmm(x, n_components = 2, prior = list(strength = 1)), "prior|strength")
  expect_em_error(em_gmm(x, n_components = 2, noise = "lots"), "noise")
  expect_em_error(em_gmm(x, n_components = 2, noise = NA), "noise")
  expect_em_error(em_gmm(x, n_components = 2, fixed = list(mean = matrix(0, 2, 2))), "fixed")
  expect_em_error(em_gmm(x, n_components = 2, fixed = list(means = matrix(0, 3, 2))), "fixed")
  expect_em_error(em_gmm(x, n_components = 2, fixed = list(proportions = c(0.7, 0.7))), "fixed")
  expect_em_error(em_gmm(x, n_components = 2, control = list(tol = 1)), "control")
  expect_em_error(em_gmm(x, n_components = 2, criterion = "AICC"), "criterion")
})

test_that("formulas that cannot be read are refused", {
  expect_em_error(em_gmm(~ nothing, data = faithful, n_components = 2), "nothing")
  expect_em_error(em_gmm(eruptions ~ waiting, data = faithful, n_components = 2), "one-sided|response|left")
  expect_em_error(em_gmm(~ Species, data = iris, n_components = 2), "Species")
  expect_em_error(em_gmm(~ eruptions, data = faithful, n_components = 2, weights = nothing), "weights|nothing")
  expect_em_error(em_gmm(~ eruptions, data = faithful, n_components = 2, subset = eruptions > 100), "row|subset")
  expect_em_error(suppressWarnings(em_gmm(~ log(eruptions - 4), data = faithful, n_components = 2)),
                  "Inf|infinite|finite|missing|eruptions")
})

test_that("new data with missing or reordered columns", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
  expect_em_error(predict(fit, newdata = faithful["eruptions"]), "waiting")
  expect_em_error(predict(fit, newdata = matrix(1, 3, 3)), "column")
  expect_identical(predict(fit, newdata = faithful[c("waiting", "eruptions")], type = "posterior"),
                   predict(fit, newdata = faithful, type = "posterior"))
  extra <- cbind(other = "a", faithful)
  expect_identical(predict(fit, newdata = extra), predict(fit, newdata = faithful))
  bad <- faithful
  bad$waiting <- as.character(bad$waiting)
  expect_em_error(predict(fit, newdata = bad), "waiting")
  bad <- faithful
  bad$waiting[2] <- Inf
  expect_em_error(predict(fit, newdata = bad), "waiting|Inf|infinite")
})

test_that("every error says what to do", {
  message <- tryCatch(em_gmm(x, n_components = 0), error = conditionMessage)
  # Names the argument, what was required and what came.
  expect_match(message, "n_components")
  expect_match(message, "0")
  expect_match(message, "whole|integer|positive|at least 1")
})

test_that("not converging is a warning, and the fit says so", {
  expect_warning(fit <- em_gmm(x, n_components = 3, covariance = "VVV", start = rep_len(1:3, nrow(x)),
                               control = em_control(max_iter = 2, acceleration = "none")),
                 class = "em_warning")
  expect_false(fit$converged)
  expect_identical(fit$status, "max_iter")
})

test_that("extreme but legal data give a finite answer", {
  start <- partition_faithful()
  for (unit in c(1e-150, 1e150)) {
    fit <- quietly(em_gmm(unit * x, n_components = 2, covariance = "VVV", start = start))
    expect_true(is.finite(fit$loglik))
  }
  # A single far outlier must not make a row without posterior.
  far <- rbind(x, c(1e6, -1e6))
  fit <- quietly(em_gmm(far, n_components = 2, covariance = "EEE", start = c(start, 1)))
  expect_false(anyNA(fit$posterior))
  expect_equal(fit$loglik, oracle_loglik(far, fit$parameters), tolerance = 1e-8)
  # Ten times more columns than rows can hold: an error or a recorded outcome.
  wide <- with_seed(1, matrix(stats::rnorm(8 * 20), 8))
  expect_em_error(em_gmm(wide, n_components = 1, covariance = "VVV"), "singular|collinear|rows|degenerate|dependent")
  expect_true(em_gmm(wide, n_components = 1, covariance = "VVI")$converged)
})

test_that("an interrupt ends the fit and leaves the session able to fit the same again", {
  skip_on_os("windows")
  skip_on_cran()
  data <- with_seed(1, matrix(stats::rnorm(4e5), ncol = 4))
  fit <- function(max_iter) quietly(em_gmm(data, n_components = 5, covariance = "VVV", start = rep_len(1:5, nrow(data)),
                                           control = em_control(tol = 0, max_iter = max_iter)))
  before <- fit(2)
  # The interrupt that Ctrl-C sends, from outside, after half a second; the run would take hours.
  system(sprintf("(sleep 0.5; kill -INT %d) &", Sys.getpid()))
  outcome <- tryCatch(fit(1e8), interrupt = function(e) "interrupted", em_error_interrupted = function(e) "interrupted")
  if (inherits(outcome, "em_gmm")) outcome <- outcome$status
  expect_identical(outcome, "interrupted")
  expect_identical(fit(2)[c("loglik", "parameters")], before[c("loglik", "parameters")])
})
