# em_pool(): Rubin's rules.

air_fits <- function(formula = log_ozone ~ Wind + Temp + month, m = 10, seed = 1) {
  lapply(imputed_air(m, seed), function(data) lm(formula, data))
}
q <- c(1.2, 0.9, 1.5, 1.1, 1.3)
u <- c(0.040, 0.050, 0.045, 0.038, 0.052)

test_that("the published example is pooled exactly", {
  pooled <- em_pool(estimate = q, variance = u, df_complete = 100 - 3)
  expect_equal(pooled$estimate, 1.2, tolerance = 1e-12)
  expect_equal(drop(vcov(pooled, "within")), 0.045, tolerance = 1e-12)
  expect_equal(drop(vcov(pooled, "between")), 0.05, tolerance = 1e-12)
  expect_equal(drop(vcov(pooled)), 0.105, tolerance = 1e-12)
  expect_equal(pooled$std.error^2, 0.105, tolerance = 1e-12)
  # ten digits are stated
  expect_equal(pooled$riv, 4 / 3, tolerance = 1e-10)
  expect_equal(pooled$df, 9.418097754293, tolerance = 1e-10)
  expect_equal(pooled$fmi, 0.640452255579, tolerance = 1e-10)
  large <- em_pool(estimate = q, std.error = sqrt(u), df_complete = Inf)
  expect_equal(large$df, 12.25, tolerance = 1e-10)
  expect_equal(large$fmi, 0.627634660422, tolerance = 1e-10)
})

test_that("the result is a data frame whose columns begin in the promised order", {
  pooled <- em_pool(air_fits())
  expect_s3_class(pooled, "data.frame")
  expect_equal(names(pooled)[1:8],
               c("term", "estimate", "std.error", "df", "fmi", "p.value", "conf.low", "conf.high"))
  expect_equal(pooled$term, names(coef(air_fits()[[1]])))
  expect_identical(class(pooled[1:2, ]), "data.frame")
  expect_identical(class(as.data.frame(pooled)), "data.frame")
  expect_null(attr(as.data.frame(pooled), "total"))
})

test_that("mice::pool() gives the same for random data", {
  skip_if_not_installed("mice")
  for (seed in 1:5) {
    fits <- air_fits(m = 2 + 2 * seed, seed = seed)
    ours <- em_pool(fits, conf.level = 0.9)
    pool <- mice::pool(fits)
    theirs <- summary(pool, conf.int = TRUE, conf.level = 0.9)
    # the same formulas, so only rounding differs
    for (name in c("estimate", "std.error", "df", "p.value")) expect_close(ours[[name]], theirs[[name]], 1e-10)
    expect_close(ours$fmi, pool$pooled$fmi, 1e-10)
    expect_close(ours$lambda, pool$pooled$lambda, 1e-10)
    expect_close(ours$conf.low, theirs[["5 %"]], 1e-10)
    expect_close(ours$conf.high, theirs[["95 %"]], 1e-10)
  }
})

test_that("p-values of negative estimates are at most 1 and their intervals are in order", {
  pooled <- em_pool(estimate = cbind(a = -q, b = q, c = q - 1.2), variance = cbind(u, u, u), df_complete = 97)
  expect_true(all(pooled$p.value >= 0 & pooled$p.value <= 1))
  expect_true(all(pooled$conf.low < pooled$conf.high))
  expect_equal(pooled$p.value[1], pooled$p.value[2], tolerance = 1e-12)
  expect_equal(pooled$conf.low[1], -pooled$conf.high[2], tolerance = 1e-12)
  expect_equal(pooled$p.value[3], 1)
})

test_that("mira, mitml.result, plain lists, lists of numbers and em_impute_fits are pooled alike", {
  fits <- air_fits()
  plain <- em_pool(fits)
  same <- function(x) expect_identical(as.data.frame(em_pool(x)), as.data.frame(plain))
  same(structure(list(analyses = fits), class = c("mira", "matrix")))
  same(structure(fits, class = c("mitml.result", "list")))
  same(structure(fits, class = c("em_impute_fits", "list"), imputation = 1:3))
  same(stats::setNames(fits, letters[1:10]))
  numbers <- lapply(fits, function(fit) list(estimate = coef(fit), vcov = vcov(fit)))
  expect_identical(as.data.frame(em_pool(numbers, df_complete = 146)), as.data.frame(plain))
  arrays <- em_pool(estimate = lapply(fits, coef), variance = lapply(fits, vcov), df_complete = 146)
  expect_identical(as.data.frame(arrays), as.data.frame(plain))
  cube <- em_pool(estimate = t(sapply(fits, coef)), variance = sapply(fits, vcov, simplify = "array"),
                  df_complete = 146)
  expect_equal(vcov(cube), vcov(plain), tolerance = 1e-14)
})

test_that("the matrices are those of the definition", {
  fits <- air_fits()
  pooled <- em_pool(fits)
  within <- Reduce(`+`, lapply(fits, vcov)) / 10
  deviations <- lapply(fits, function(fit) coef(fit) - coef(pooled))
  between <- Reduce(`+`, lapply(deviations, tcrossprod)) / 9
  expect_equal(vcov(pooled, "within"), within, tolerance = 1e-12)
  expect_equal(vcov(pooled, "between"), between, tolerance = 1e-12, ignore_attr = TRUE)
  expect_equal(vcov(pooled), within + 1.1 * between, tolerance = 1e-12, ignore_attr = TRUE)
  expect_equal(rownames(vcov(pooled)), pooled$term)
})

test_that("df_complete is that of the fits, the smallest where they differ, and can be set", {
  fits <- air_fits()
  expect_equal(df.residual(em_pool(fits)), 146)
  expect_equal(nobs(em_pool(fits)), 153)
  fewer <- c(fits[-10], list(lm(log_ozone ~ Wind + Temp + month, imputed_air()[[10]][-1, ])))
  expect_equal(attr(em_pool(fewer), "df_complete"), 145)
  expect_true(is.na(nobs(em_pool(fewer))))
  expect_output(print(em_pool(fewer)), "smallest of the fits")
  expect_lt(em_pool(fits, df_complete = 20)$df[1], em_pool(fits)$df[1])
  expect_error(em_pool(fits, df_complete = 0), class = "em_error_argument")
})

test_that("a coefficient that does not differ between imputations has its ordinary standard error", {
  pooled <- em_pool(estimate = list(c(a = 1, b = 2), c(a = 1, b = 3)), variance = list(c(4, 1), c(4, 1)),
                    df_complete = 50)
  expect_equal(pooled$std.error[1], 2)
  expect_equal(pooled$riv[1], 0)
  # Barnard and Rubin's observed-data degrees of freedom at lambda = 0
  expect_equal(pooled$df[1], 50 * 51 / 53, tolerance = 1e-12)
  expect_equal(pooled$mc_error[1], 0)
  expect_equal(unname(summary(pooled)$needed[1]), 2)
  known <- em_pool(estimate = c(2, 2), variance = c(0, 0), df_complete = 10)
  expect_equal(known$std.error, 0)
  expect_true(is.na(known$p.value))
})

test_that("aliased coefficients are left out and named", {
  fits <- air_fits(log_ozone ~ Wind + I(2 * Wind))
  pooled <- em_pool(fits)
  expect_equal(pooled$term, c("(Intercept)", "Wind"))
  expect_equal(attr(pooled, "aliased"), "I(2 * Wind)")
  expect_output(print(pooled), "Not estimated in any fit: I\\(2 \\* Wind\\)")
  expect_equal(dim(vcov(pooled)), c(2, 2))
})

test_that("fits with different terms are an error that names them", {
  fits <- air_fits()
  other <- lm(log_ozone ~ Wind + Solar.R, imputed_air()[[1]])
  expect_error(em_pool(c(fits, list(other))), "fits\\[\\[11\\]\\].*lacks Temp.*has Solar.R", class = "em_error_terms")
  some <- list(c(a = 1, b = 2), c(a = 1, b = NA))
  expect_error(em_pool(estimate = some, variance = list(diag(2), diag(2))), "^b could not", class = "em_error_terms")
})

test_that("terms in another order are matched by name", {
  one <- list(estimate = c(a = 1, b = 2), vcov = matrix(c(1, 0.5, 0.5, 4), 2))
  two <- list(estimate = c(b = 3, a = 1.5), vcov = matrix(c(4, 0.5, 0.5, 1), 2))
  pooled <- em_pool(list(one, two))
  expect_equal(coef(pooled), c(a = 1.25, b = 2.5))
  expect_equal(vcov(pooled, "within"), one$vcov, ignore_attr = TRUE)
})

test_that("one imputation, failed fits, one fit and imputations are errors that say what to do", {
  fits <- air_fits()
  expect_error(em_pool(fits[1]), "at least two", class = "em_error_one_imputation")
  failed <- c(fits, list(try(stop("no"), silent = TRUE)))
  expect_error(em_pool(failed), "at 11", class = "em_error_fit_failed")
  expect_error(em_pool(fits[[1]]), "list with one fit", class = "em_error_argument")
  expect_error(em_pool(structure(list(m = 2), class = c("em_impute", "em_fit"))), "with\\(imp",
               class = "em_error_argument")
  expect_error(em_pool(list(1, 2)), class = "em_error_no_estimates")
  expect_error(em_pool(), class = "em_error_argument")
  expect_error(em_pool(fits, variance = 1), class = "em_error_argument")
  expect_error(em_pool(estimate = 1:3), class = "em_error_argument")
  expect_error(em_pool(estimate = 1:3, variance = 1:2), class = "em_error_argument")
  expect_error(em_pool(fits, level = 0.9), class = "em_error_unused_argument")
  expect_error(em_pool(estimate = c(1, Inf), variance = c(1, 1)), class = "em_error_estimate")
})

test_that("missing and negative variances give NA and a warning that names the coefficient", {
  for (bad in c(NA, -1)) {
    expect_warning(
      pooled <- em_pool(estimate = list(c(a = 1, b = 2), c(a = 2, b = 3)), variance = list(c(1, bad), c(1, 1))),
      "b:", class = "em_warning_no_variance"
    )
    expect_equal(pooled$estimate, c(1.5, 2.5))
    expect_equal(is.na(pooled$std.error), c(FALSE, TRUE))
    expect_equal(is.na(pooled$p.value), c(FALSE, TRUE))
    expect_equal(is.na(vcov(pooled)), matrix(c(FALSE, TRUE, TRUE, TRUE), 2), ignore_attr = TRUE)
    expect_output(print(summary(pooled)), "b +2.50 +- ")
  }
})

test_that("another variance function can be used", {
  fits <- air_fits()
  twice <- em_pool(fits, vcov = function(fit) 2 * vcov(fit))
  expect_equal(vcov(twice, "within"), 2 * vcov(em_pool(fits), "within"))
  expect_error(em_pool(fits, vcov = diag(2)), class = "em_error_argument")
})

test_that("models whose coef() is not the vector of vcov() are pooled", {
  data <- imputed_air(3)
  several <- em_pool(lapply(data, function(d) lm(cbind(log_ozone, Wind) ~ Temp, d)))
  expect_equal(several$term, c("log_ozone:(Intercept)", "log_ozone:Temp", "Wind:(Intercept)", "Wind:Temp"))
  one <- em_pool(lapply(data, function(d) lm(log_ozone ~ Temp, d)))
  expect_equal(several$std.error[1:2], one$std.error, tolerance = 1e-12)
  mle <- em_pool(lapply(data, function(d) {
    stats4::mle(function(m = 3, s = 0) -sum(dnorm(d$log_ozone, m, exp(s), log = TRUE)))
  }))
  # stats4 stops at a relative change of 1e-8 of the likelihood
  expect_equal(mle$estimate[1], mean(sapply(data, function(d) mean(d$log_ozone))), tolerance = 1e-3)
  skip_if_not_installed("MASS")
  ordinal <- em_pool(lapply(data, function(d) MASS::polr(month ~ log_ozone, d, Hess = TRUE)))
  expect_equal(ordinal$term, c("log_ozone", "5|6", "6|7", "7|8", "8|9"))
  skip_if_not_installed("nnet")
  nominal <- em_pool(lapply(data, function(d) nnet::multinom(month ~ log_ozone, d, trace = FALSE)))
  expect_equal(nominal$term[1:2], c("6:(Intercept)", "6:log_ozone"))
  skip_if_not_installed("nlme")
  mixed <- em_pool(lapply(data, function(d) nlme::lme(log_ozone ~ Temp, d, ~ 1 | month)))
  expect_equal(mixed$term, c("(Intercept)", "Temp"))
  skip_if_not_installed("survival")
  survival <- em_pool(lapply(data, function(d) survival::survreg(survival::Surv(exp(log_ozone)) ~ Temp, d)))
  expect_equal(survival$term, c("(Intercept)", "Temp"))
  hazard <- em_pool(lapply(data, function(d) survival::coxph(survival::Surv(exp(log_ozone)) ~ Temp, d)))
  expect_equal(hazard$term, "Temp")
})

test_that("confint() and tidy() give the intervals at any level, tidy() exponentials too", {
  pooled <- em_pool(air_fits())
  wide <- confint(pooled, level = 0.99)
  expect_equal(unname(wide[, 2] - wide[, 1]), 2 * qt(0.995, pooled$df) * pooled$std.error)
  expect_equal(unname(confint(pooled)), cbind(pooled$conf.low, pooled$conf.high))
  expect_equal(rownames(confint(pooled, "Wind")), "Wind")
  expect_error(confint(pooled, "wind"), class = "em_error_argument")
  table <- tidy(pooled, conf.int = TRUE, conf.level = 0.99, exponentiate = TRUE)
  expect_equal(names(table)[1:8],
               c("term", "estimate", "std.error", "statistic", "p.value", "df", "conf.low", "conf.high"))
  expect_equal(table$conf.high, exp(unname(wide[, 2])))
  row <- glance(pooled)
  expect_equal(row$m, 10)
  expect_equal(row$max_fmi, max(pooled$fmi))
  ratio <- 1.1 * sum(diag(solve(vcov(pooled, "within"), vcov(pooled, "between")))) / 7
  expect_equal(row$average_riv, ratio, tolerance = 1e-8)
})

test_that("the number of imputations that is enough follows von Hippel's rule", {
  pooled <- em_pool(estimate = q, variance = u, df_complete = 97)
  upper <- plogis(qlogis(0.640452255579) + qnorm(0.975) * sqrt(2 / 5))
  expect_equal(attr(pooled, "m_enough"), ceiling(1 + 0.5 * (upper / 0.05)^2))
  expect_equal(summary(pooled, cv = 0.1)$m_enough, ceiling(1 + 0.5 * (upper / 0.1)^2))
  expect_equal(summary(pooled)$information$fmi.high, upper, tolerance = 1e-10)
  expect_error(summary(pooled, cv = 0), class = "em_error_argument")
})

test_that("Monte Carlo errors are those of repeated runs of imputations", {
  # 500 runs of m = 20 imputations of one coefficient: variance 1 between, 1 within
  runs <- with_seed(2, replicate(500, {
    pooled <- em_pool(estimate = rnorm(20, 0.5), variance = rep(1, 20), df_complete = 100)
    errors <- summary(pooled)$mc_error
    c(pooled$estimate, pooled$std.error, pooled$conf.high, errors$estimate, errors$std.error, errors$conf.high)
  }))
  spread <- apply(runs[1:3, ], 1, sd)
  # the spread of 500 runs is known to 3 %; the jackknife of 20 values is biased by a few per cent
  expect_equal(sqrt(rowMeans(runs[4:6, ]^2)), spread, tolerance = 0.1)
  pooled <- em_pool(air_fits())
  expect_equal(pooled$mc_error, summary(pooled)$mc_error$estimate, tolerance = 1e-10)
  expect_true(all(is.na(summary(em_pool(air_fits(m = 2)))$mc_error)))
})

test_that("a pooled result is printed with a short table and two notes", {
  expect_snapshot(print(em_pool(air_fits())))
})

test_that("the summary adds missing information and Monte Carlo errors", {
  expect_snapshot(print(summary(em_pool(air_fits(log_ozone ~ Wind + Temp)))))
})
