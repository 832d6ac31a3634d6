# em_mvnorm() against reference values: stored ones that several programs agree on (plain-R EM, norm2 2.0.4, lavaan
# 0.6), and oracles in plain R.
#
# The stored numbers were computed to a step below 1e-13 and are given with 9 to 13 digits.

airq4 <- as.matrix(datasets::airquality[, 1:4])
fit_airq4 <- em_mvnorm(airq4)
fit_apple <- em_mvnorm(data_apple())
fit_hald <- em_mvnorm(data_hald())
fit_cholesterol <- em_mvnorm(data_cholesterol())
std_errors <- function(fit, type = "observed") unname(sqrt(diag(vcov(fit, type = type))))

# 1e-8 relative is what the project promises for log-likelihood and parameters. Stored values with fewer digits allow
# half a unit of their last one, `last`.
expect_reference <- function(object, stored, last = 0) {
  off <- max(abs(unname(object) - stored) - pmax(1e-8 * abs(stored), last / 2))
  testthat::expect(off <= 0, sprintf("off by %.3g more than allowed", off))
}

mice_data <- function(name) {
  e <- new.env()
  utils::data(list = name, package = "mice", envir = e)
  as.data.frame(lapply(e[[name]], as.numeric))
}

# --- estimates --------------------------------------------------------------------------------------

test_that("airquality: log-likelihood, means and covariances", {
  expect_reference(fit_airq4$loglik, -2326.6973827983)
  expect_reference(fit_airq4$parameters$mean, c(41.871173020, 184.846806250, 9.957516340, 77.882352941), 1e-9)
  s <- fit_airq4$parameters$covariance
  expect_reference(diag(s), c(1044.0186430645, 8090.7016612068, 12.3304173608, 89.0057670127))
  expect_reference(s[lower.tri(s)], c(942.5298418131, -64.6359276937, 209.5635028262, -17.3353803413, 238.0733113270,
                                      -15.1723183391))
})

test_that("nhanes: log-likelihood, means and covariances", {
  skip_if_not_installed("mice")
  fit <- em_mvnorm(mice_data("nhanes"))
  expect_reference(fit$loglik, -150.85868641602)
  expect_reference(fit$parameters$mean, c(1.76, 26.522559868, 1.229397325, 194.446804376), 1e-9)
  s <- fit$parameters$covariance
  expect_reference(diag(s), c(.6624, 18.3795326557, .1779340644, 1961.9318988265), 1e-10)
  expect_reference(s["bmi", "age"], -1.5923355889)
  expect_reference(s["chl", "age"], 20.7951795627)
  expect_reference(s["hyp", "bmi"], -.0109207961, 1e-10)
  expect_reference(s["chl", "bmi"], 51.2645323852)
  expect_reference(s["chl", "hyp"], 7.4581505119)
})

test_that("cholesterol, monotone: in closed form, without an iteration", {
  expect_reference(fit_cholesterol$loglik, -376.91546532264)
  # norm2 leaves the constant out and reports minus twice the rest.
  cells <- sum(!is.na(data_cholesterol()))
  expect_reference(-2 * fit_cholesterol$loglik - cells * log(2 * pi), 615.990150665)
  expect_reference(fit_cholesterol$parameters$mean, c(253.928571429, 230.642857143, 222.237170222), 1e-9)
  s <- fit_cholesterol$parameters$covariance
  expect_reference(s[cbind(1:3, c(1, 3, 3))], c(2194.994897959, 1515.467236530, 1952.232578100), 1e-9)
  expect_reference(s[1, 3], 835.397937, 1e-6)
})

test_that("apple, monotone: in closed form, without an iteration", {
  expect_reference(fit_apple$loglik, -101.78563212782)
  expect_reference(fit_apple$parameters$mean, c(14.722222222, 49.333333333), 1e-9)
  s <- fit_apple$parameters$covariance
  expect_reference(s[lower.tri(s, diag = TRUE)], c(89.5339506173, -90.6967291967, 114.6949551170))
})

test_that("Hald, monotone: in closed form, without an iteration", {
  expect_reference(fit_hald$loglik, -132.92525044512)
  expect_reference(fit_hald$parameters$mean,
                   c(6.655165846, 49.965259120, 11.769230769, 27.047089044, 95.423076923), 1e-9)
  s <- fit_hald$parameters$covariance
  expect_reference(diag(s), c(21.8255680695, 238.0124392459, 37.8698224852, 294.1830437786, 208.9048520710))
  expect_reference(s[cbind(c(1, 2, 4), c(2, 4, 5))], c(20.8643336213, -252.0723121769, -190.5984908029))
})

test_that("monotone data take no iteration whatever the order of their columns", {
  for (x in list(data_apple(), data_hald(), data_cholesterol(), data_hald()[, c(4, 1, 5, 2, 3)])) {
    fit <- em_mvnorm(x)
    expect_identical(c(fit$iterations, fit$evaluations), c(0L, 0L))
    expect_identical(fit$method, "monotone patterns")
    expect_true(fit$converged)
  }
})

test_that("employee: log-likelihood, means and covariances", {
  skip_if_not_installed("mice")
  fit <- em_mvnorm(mice_data("employee"))
  expect_reference(fit$loglik, -146.44263966263)
  expect_reference(fit$parameters$mean, c(100, 10.271356715, 10.230654871), 1e-9)
  s <- fit$parameters$covariance
  expect_reference(s[lower.tri(s, diag = TRUE)],
                   c(189.6, 12.2064110068, 22.3055581335, 11.0362625687, 5.6063407626, 8.6758358272))
})

test_that("boys, whose EM takes 1911 steps: reached in at most 200 evaluations of the EM map", {
  skip_if_not_installed("mice")
  fit <- em_mvnorm(mice_data("boys")[c("age", "hgt", "wgt", "bmi", "hc", "tv")])
  expect_lte(fit$evaluations, 200)
  expect_reference(fit$loglik, -11081.617847875)
  expect_reference(fit$parameters$mean,
                   c(9.158866310, 131.189117758, 37.152363309, 18.030751366, 51.646205245, .061745822), 1e-9)
  s <- fit$parameters$covariance
  expect_reference(diag(s), c(47.464417461, 2158.607247684, 677.311172243, 9.2116375657, 34.788079598, 282.678326732))
  expect_reference(s["tv", "age"], 111.703758460)
  # Stored with four digits.
  expect_equal(fit$missing_information$worst, .9925, tolerance = 1e-4)
})

test_that("Murray's data: the saddle is left, both maxima are found, and the user is told", {
  x <- data_murray()
  expect_warning(fit <- em_mvnorm(x), class = "em_warning_multimodal")
  expect_reference(fit$loglik, -29.974286410465)
  # The covariance of the maxima is exactly 8/3 and plus or minus 4/3; Newton steps end at each of them.
  expect_length(fit$modes, 2)
  for (mode in fit$modes) {
    expect_equal(unname(mode$mean), c(0, 0), tolerance = 1e-9)
    expect_equal(unname(diag(mode$covariance)), c(8, 8) / 3, tolerance = 1e-9)
    expect_equal(abs(mode$covariance[2, 1]), 4 / 3, tolerance = 1e-9)
  }
  expect_identical(sort(sign(vapply(fit$modes, function(m) m$covariance[2, 1], 0))), c(-1, 1))
  expect_equal(mvn_loglik(x, c(0, 0), matrix(c(8, 4, 4, 8) / 3, 2)), fit$loglik, tolerance = 1e-12)
})

test_that("Murray's data: EM from the diagonal would end at the saddle, from which the fit goes on", {
  x <- data_murray()
  saddle <- diag(5 / 2, 2)
  # The saddle is a fixed point of EM.
  expect_same_parameters(mvn_em_step(x, c(0, 0), saddle), list(mean = c(0, 0), covariance = saddle), 1e-14)
  expect_equal(mvn_loglik(x, c(0, 0), saddle), -30.033342386268, tolerance = 1e-12)
  expect_warning(fit <- em_mvnorm(x, start = list(mean = c(0, 0), covariance = saddle)),
                 class = "em_warning_multimodal")
  expect_reference(fit$loglik, -29.974286410465)
  expect_true(all(fit$starts$escaped))
  expect_gt(min(eigen(mvn_information(x, fit$parameters$mean, fit$parameters$covariance))$values), 0)
})

# --- the worst fraction of missing information ------------------------------------------------------

test_that("the worst fraction of missing information is the largest eigenvalue of the EM map's Jacobian", {
  # norm2's power method gave .32044 for airquality and .46522 for cholesterol: it had stopped early.
  sets <- list(airquality = airq4, cholesterol = data_cholesterol(), apple = as.matrix(data_apple()))
  if (requireNamespace("mice", quietly = TRUE)) {
    sets$nhanes <- as.matrix(mice_data("nhanes"))
    sets$employee <- as.matrix(mice_data("employee"))
  }
  for (x in sets) {
    fit <- em_mvnorm(x)
    p <- fit$parameters
    step <- function(theta) {
      q <- mvn_unpack(theta)
      new <- mvn_em_step(x, q$mean, q$covariance)
      mvn_pack(new$mean, new$covariance)
    }
    jacobian <- numerical_jacobian(step, mvn_pack(p$mean, p$covariance), mvn_units(p$covariance))
    values <- Re(eigen(jacobian, only.values = TRUE)$values)
    # Differences with a step of 1e-3 standard deviations, extrapolated: about 1e-9.
    expect_equal(fit$missing_information$worst, max(values), tolerance = 1e-7)
    expect_equal(sort(1 - fit$missing_information$left), sort(values), tolerance = 1e-6)
  }
  expect_equal(fit_airq4$missing_information$worst, 0.321886, tolerance = 2e-6)
})

# --- standard errors --------------------------------------------------------------------------------

# 1e-6 relative is what the project promises for standard errors; the stored expected and sandwich ones come from
# numerical derivatives as well.
test_that("airquality: standard errors from observed and expected information, and the sandwich", {
  expect_equal(std_errors(fit_airq4),
               c(2.782497917, 7.428372448, .283885475, .762716880, 129.626636, 266.602342, 11.033333, 31.266782,
                 950.667076, 26.211110, 74.272132, 1.409766, 2.945782, 10.176242),
               tolerance = 1e-6)
  expect_equal(std_errors(fit_airq4, "expected")[1:2], c(2.78177494, 7.42297544), tolerance = 1e-6)
  expect_equal(std_errors(fit_airq4, "sandwich")[1:2], c(2.74779005, 7.49635484), tolerance = 1e-6)
})

test_that("airquality, all six variables: standard errors of the means", {
  expect_equal(std_errors(em_mvnorm(datasets::airquality))[1:6],
               c(2.792301947, 7.410254920, .283885475, .762716880, .114144197, .714308150), tolerance = 1e-6)
})

test_that("nhanes: standard errors of means and variances", {
  skip_if_not_installed("mice")
  fit <- em_mvnorm(mice_data("nhanes"))
  expect_equal(std_errors(fit)[1:4], c(.162775920, 1.006925462, .098457527, 10.319803112), tolerance = 1e-6)
  variance <- match(sprintf("covariance[%s,%s]", fit$variables, fit$variables), names(coef(fit)))
  expect_equal(std_errors(fit)[variance], c(.18735501, 6.58964248, .06005047, 685.550777), tolerance = 1e-6)
  expect_equal(std_errors(fit, "expected")[2:4], c(1.00362551, .09814132, 10.27664519), tolerance = 1e-6)
  expect_equal(std_errors(fit, "sandwich")[1:4], c(.16277592, 1.03666619, .09752744, 10.44482203), tolerance = 1e-6)
})

test_that("employee: the expected information makes a standard error 30% too small under MAR", {
  skip_if_not_installed("mice")
  fit <- em_mvnorm(mice_data("employee"))
  expect_equal(std_errors(fit)[1:3], c(3.078960865, .796859249, 1.163776954), tolerance = 1e-6)
  expect_equal(std_errors(fit, "expected")[2:3], c(.79573134, .81459020), tolerance = 1e-6)
})

test_that("apple and cholesterol: standard errors of the means", {
  expect_equal(std_errors(fit_apple)[1:2], c(2.230270980, 2.730894920), tolerance = 1e-6)
  expect_equal(std_errors(fit_apple, "expected")[2], 2.6468548, tolerance = 1e-6)
  expect_equal(std_errors(fit_cholesterol)[1:3], c(8.853963797, 8.716073336, 9.221639385), tolerance = 1e-6)
  expect_equal(std_errors(fit_cholesterol, "expected")[3], 9.1605066, tolerance = 1e-6)
})

test_that("Hald: standard errors are those of the exact second derivatives", {
  # The values in circulation (1.365365924, 4.416099357, 1.706840377, 4.844356532, 4.008709849) come from a numerical
  # Hessian of a nearly singular problem and are off by up to 3e-4: that of a fully observed variable is
  # sqrt(S_jj / n) exactly, which they miss. The oracle here differentiates the score by hand.
  x <- data_hald()
  p <- fit_hald$parameters
  exact <- sqrt(diag(solve(mvn_exact_information(x, p$mean, p$covariance))))
  # The correlation matrix has condition 1e4 or so, and its inverse enters four times.
  expect_equal(std_errors(fit_hald), exact, tolerance = 1e-7)
  expect_equal(std_errors(fit_hald)[c(3, 5)], unname(sqrt(diag(p$covariance)[c(3, 5)] / 13)), tolerance = 1e-9)
})

# --- conditional means ------------------------------------------------------------------------------

test_that("airquality: conditional means and standard deviations of missing cells", {
  filled <- predict(fit_airq4)
  expect_reference(filled[5, 1:2], c(-11.467574330, 127.776609300), 1e-9)
  expect_reference(filled[6, 2], 182.106293150, 1e-9)
  expect_reference(filled[10, 1], 31.902256072, 1e-9)
  expect_reference(filled[27, 1:2], c(9.074589221, 115.827422796), 1e-9)
  interval <- predict(fit_airq4, type = "interval")
  expect_reference(interval$sd[interval$row == 5], c(21.5595022, 86.0141646), 1e-7)
})

test_that("nhanes: conditional means of missing cells", {
  skip_if_not_installed("mice")
  filled <- predict(em_mvnorm(mice_data("nhanes")))
  expect_reference(filled[1, 2:4], c(28.349514952, 1.034034067, 170.587600772), 1e-9)
  expect_reference(filled[4, 2:4], c(23.541738415, 1.548147903, 233.374978679), 1e-9)
})

# --- Little's test ----------------------------------------------------------------------------------

test_that("Little's test of airquality, in both conventions", {
  ml <- mcar_test(datasets::airquality)
  expect_reference(ml$statistic, 35.1061749072)
  expect_equal(unname(ml$parameter), 14)
  # Given with eight digits.
  expect_equal(ml$p.value, .0014177589, tolerance = 1e-7)
  unbiased <- mcar_test(datasets::airquality, covariance = "unbiased")
  expect_reference(unbiased$statistic, 34.8767227836)
  expect_equal(unname(unbiased$parameter), 14)
})

test_that("Little's test of nhanes and employee, in both conventions", {
  skip_if_not_installed("mice")
  nhanes <- mcar_test(mice_data("nhanes"))
  expect_reference(nhanes$statistic, 7.99950593669)
  expect_equal(unname(nhanes$parameter), 9)
  expect_equal(nhanes$p.value, .53419601, tolerance = 1e-7)
  expect_reference(mcar_test(mice_data("nhanes"), "unbiased")$statistic, 7.67952569922)
  employee <- mcar_test(mice_data("employee"))
  expect_reference(employee$statistic, 14.6317211814)
  expect_equal(unname(employee$parameter), 5)
  expect_equal(employee$p.value, .01205748, tolerance = 1e-6)
  expect_reference(mcar_test(mice_data("employee"), "unbiased")$statistic, 13.9001351223)
})
