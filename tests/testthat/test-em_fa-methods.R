# Methods of fits of em_fa().

x <- data_factors(100, missing = 0.1, seed = 21)
x[4, ] <- NA
fit <- em_fa(x, n_factors = 3, control = fa_control())
mu <- unname(fit$parameters$mean)
lambda <- unname(fit$parameters$loadings)
psi <- unname(fit$parameters$uniquenesses)
sigma <- fa_implied(fit)
ability <- em_fa(covmat = datasets::ability.cov, n_factors = 2, rotation = "promax")

test_that("coefficients are the parameters in order, with names", {
  expect_equal(unname(coef(fit)), c(mu, lambda, psi))
  expect_identical(names(coef(fit))[c(1, 10, 19, 37)],
                   c("mean[v1]", "loading[v1,1]", "loading[v1,2]", "uniqueness[v1]"))
  standard <- coef(fit, standardized = TRUE)
  expect_equal(unname(standard), c(lambda / sqrt(diag(sigma)), psi / diag(sigma)))
  expect_identical(tail(names(coef(ability)), 1), "correlation[2,1]")
  expect_equal(tail(unname(coef(ability)), 1), ability$factor_correlation[2, 1])
})

test_that("logLik() has df and nobs, also of new rows", {
  expect_equal(as.numeric(logLik(fit)), fit$loglik)
  expect_equal(attr(logLik(fit), "df"), 9 + 27 + 9 - 3)
  expect_equal(BIC(fit), -2 * fit$loglik + 42 * log(99))
  new <- logLik(fit, newdata = x[1:10, ])
  expect_equal(as.numeric(new), mvn_loglik(x[1:10, ], mu, sigma), tolerance = 1e-10)
  expect_equal(attr(new, "nobs"), 9)
  expect_equal(as.numeric(logLik(fit, newdata = x)), fit$loglik, tolerance = 1e-10)
})

test_that("scores are the conditional means of the factors, and the weighted least squares estimates", {
  regression <- predict(fit, scores = "regression")
  bartlett <- predict(fit, scores = "bartlett")
  expect_identical(fit$scores, regression)
  expect_identical(colnames(regression), paste0("Factor", 1:3))
  for (i in c(1, 7, 30, which(rowSums(is.na(x)) == 2)[1])) {
    o <- which(!is.na(x[i, ]))
    r <- x[i, o] - mu[o]
    expect_equal(unname(regression[i, ]), drop(t(lambda[o, ]) %*% solve(sigma[o, o], r)), tolerance = 1e-8)
    w <- lambda[o, ] / psi[o]
    expect_equal(unname(bartlett[i, ]), drop(solve(t(lambda[o, ]) %*% w, t(w) %*% r)), tolerance = 1e-8)
  }
  expect_equal(unname(regression[4, ]), numeric(3))
  expect_true(all(is.na(bartlett[4, ])))
  sparse <- rbind(replace(rep(NA_real_, 9), 1:2, c(12, 20)))
  colnames(sparse) <- colnames(x)
  expect_true(all(is.na(predict(fit, sparse, scores = "bartlett"))))
  expect_true(all(is.finite(predict(fit, sparse))))
})

test_that("scores of oblique factors are those of their definition", {
  oblique <- em_fa(x, n_factors = 3, rotation = "promax", scores = "bartlett", control = fa_control())
  l <- unname(oblique$parameters$loadings)
  phi <- unname(oblique$factor_correlation)
  i <- which(rowSums(is.na(x)) == 0)[1]
  r <- x[i, ] - unname(oblique$parameters$mean)
  expect_equal(unname(predict(oblique, scores = "regression")[i, ]),
               drop(phi %*% t(l) %*% solve(fa_implied(oblique), r)), tolerance = 1e-8)
  w <- l / unname(oblique$parameters$uniquenesses)
  expect_equal(unname(oblique$scores[i, ]), drop(solve(t(l) %*% w, t(w) %*% r)), tolerance = 1e-8)
  expect_identical(predict(oblique), oblique$scores)
})

test_that("missing cells are filled in by their conditional means", {
  filled <- predict(fit, type = "imputed")
  expect_identical(filled[!is.na(x)], x[!is.na(x)])
  for (i in which(rowSums(is.na(x)) > 0)[1:5]) {
    q <- mvn_conditional(x[i, ], mu, sigma)
    expect_equal(unname(filled[i, q$missing]), unname(q$mean), tolerance = 1e-8)
  }
})

test_that("columns of new data are found by name, and row names come back", {
  new <- as.data.frame(x[1:3, 9:1])
  rownames(new) <- c("a", "b", "c")
  scores <- predict(fit, cbind(other = 1, new))
  expect_equal(unname(scores), unname(fit$scores[1:3, ]))
  expect_identical(rownames(scores), c("a", "b", "c"))
})

test_that("fitted covariances and residuals are those of the definition", {
  expect_equal(unname(fitted(fit)), sigma)
  expect_equal(unname(fitted(fit, "correlation")), stats::cov2cor(sigma))
  s <- unname(em_mvnorm(x)$parameters$covariance)
  expect_equal(unname(residuals(fit)), (s - sigma) / sqrt(tcrossprod(diag(s))), tolerance = 1e-4)
  r <- residuals(ability, "covariance")
  expect_equal(r, datasets::ability.cov$cov - fitted(ability))
  # The diagonal is reproduced.
  expect_lt(max(abs(diag(residuals(ability)))), 1e-6)
  response <- fitted(fit, "response")
  expect_equal(unname(response[1, ]), drop(mu + lambda %*% fit$scores[1, ]), tolerance = 1e-10)
  expect_equal(residuals(fit, "response"), x - response, ignore_attr = TRUE)
})

test_that("simulated data have the fitted moments, and the seed works as in stats::simulate()", {
  sim <- simulate(ability, seed = 3, n_rows = 40000)
  expect_identical(names(sim), ability$variables)
  # Five standard errors of 40000 draws.
  expect_lt(max(abs(stats::cor(sim) - stats::cov2cor(fitted(ability)))), 0.025)
  expect_equal(simulate(ability, seed = 3), simulate(ability, seed = 3))
  expect_identical(nrow(simulate(ability)), 112L)
  expect_named(simulate(fit, 2, seed = 1), c("sim_1", "sim_2"))
})

test_that("update() changes arguments, of fits from data, formulas and matrices", {
  more <- update(fit, n_factors = 2)
  expect_identical(more$n_factors, 2L)
  expect_equal(update(ability, rotation = "none")$loglik, ability$loglik, tolerance = 1e-10)
  d <- as.data.frame(x)
  expect_warning(f <- em_fa(~ v1 + v2 + v3 + v4, data = d, n_factors = 1), class = "em_warning_heywood")
  expect_warning(fewer <- update(f, ~ . - v4), class = "em_warning_heywood")
  expect_identical(fewer$variables, c("v1", "v2", "v3"))
  expect_equal(model.frame(f), d[1:4], ignore_attr = TRUE)
})

test_that("loadings() and print methods of stats work on the loadings", {
  expect_identical(stats::loadings(fit), fit$loadings)
  expect_output(print(fit$loadings), "SS loadings")
  expect_equal(unclass(fit$standardized$loadings), lambda / sqrt(diag(sigma)), ignore_attr = TRUE)
  expect_equal(unname(fit$uniquenesses), psi / diag(sigma))
})

test_that("print() shows loadings in the manner of factanal()", {
  lines <- utils::capture.output(out <- withVisible(print(ability)))
  expect_false(out$visible)
  expect_match(lines, "promax rotation \\(oblique\\)", all = FALSE)
  expect_match(lines, "reading +1\\.02[0-9] +0\\.05[0-9]$", all = FALSE)
  expect_match(lines, "SS loadings", all = FALSE)
  expect_match(lines, "Factor correlations", all = FALSE)
  expect_match(lines, "chi-square 6\\.11 on 4 df, p = 0\\.191", all = FALSE)
  expect_match(lines, "^Converged", all = FALSE)
  expect_snapshot(print(ability), transform = hide_fa_path)
  expect_snapshot(print(summary(em_fa(datasets::mtcars, n_factors = 1:3))), transform = hide_fa_path)
})

test_that("print() keeps to the console's width and to a page", {
  wide <- quietly(em_fa(data_factors(100, p = 80, q = 10, seed = 5), n_factors = 10,
                        control = em_control(n_starts = 1, progress = FALSE)))
  colnames <- paste0("a_rather_long_name_of_a_variable_", 1:80)
  names(wide$standardized$uniquenesses) <- rownames(wide$standardized$loadings) <- colnames
  for (width in c(60, 80, 120)) {
    withr_width <- options(width = width)
    lines <- c(utils::capture.output(print(wide)), utils::capture.output(print(summary(wide, se = FALSE))))
    options(withr_width)
    expect_lte(max(nchar(lines)), width)
  }
  expect_lte(length(utils::capture.output(print(wide))), 45)
  expect_match(utils::capture.output(print(wide)), "56 more variables", all = FALSE)
  sorted <- utils::capture.output(print(ability, sort = TRUE, cutoff = 0.3))
  expect_match(sorted[grep("Factor1", sorted)[1] + 1], "reading +1.02[0-9] +0.05[0-9]$")
})

test_that("the summary holds what it shows, and says what is weak", {
  s <- summary(ability)
  se <- sqrt(diag(vcov(ability, standardized = TRUE)))
  expect_equal(unname(c(s$loadings_se)), unname(se[1:12]))
  expect_equal(unname(s$uniquenesses_se), unname(se[13:18]))
  expect_equal(s$variance[1, ], colSums(unclass(ability$loadings)^2))
  expect_match(s$report[["converged"]], "^yes")
  expect_match(summary(fit)$report[["missing values"]], "cells")
  expect_error(summary(fit, tpye = 1), class = "em_error_unused_argument")
  weak <- quietly(em_fa(datasets::mtcars, n_factors = 5))
  expect_match(summary(weak, se = FALSE)$report[["weak factors"]], "Factor5")
})

test_that("saveRDS() and readRDS() keep everything that methods need", {
  file <- tempfile(fileext = ".rds")
  on.exit(unlink(file))
  own <- em_fa(x, n_factors = 2, rotation = function(l) stats::varimax(l)$loadings)
  for (f in list(fit, ability, own)) {
    saveRDS(f, file)
    back <- readRDS(file)
    expect_equal(vcov(back), vcov(f))
    expect_identical(coef(back), coef(f))
  }
  expect_identical(own$rotation, "custom")
})

test_that("sentences fit a narrow console", {
  old <- options(width = 40)
  on.exit(options(old))
  lines <- capture.output(print(summary(em_fa(datasets::mtcars, n_factors = 1:2))),
                          parallel_analysis(datasets::mtcars, n_sim = 20))
  words <- grep("^(Standardised|Parallel|Numbers)", lines, value = TRUE)
  expect_length(words, 3)
  expect_true(all(nchar(words) <= 40))
})
