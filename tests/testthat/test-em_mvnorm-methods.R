# coef(), predict(), simulate(), update(), printing and plotting of fits of em_mvnorm().

airq4 <- as.matrix(datasets::airquality[, 1:4])
fit <- em_mvnorm(airq4)
mu <- unname(fit$parameters$mean)
sigma <- unname(fit$parameters$covariance)

test_that("coefficients are the means and the lower triangle of the covariance by columns", {
  expect_equal(unname(coef(fit)), mvn_pack(mu, sigma))
  expect_identical(names(coef(fit))[c(1, 4, 5, 6, 9, 14)],
                   c("mean[Ozone]", "mean[Temp]", "covariance[Ozone,Ozone]", "covariance[Solar.R,Ozone]",
                     "covariance[Solar.R,Solar.R]", "covariance[Temp,Temp]"))
  expect_identical(names(coef(fit)), colnames(vcov(fit)))
})

test_that("log-likelihood, AIC, BIC, nobs and confidence intervals are those of the definitions", {
  expect_equal(as.numeric(stats::logLik(fit)), fit$loglik)
  expect_equal(attr(stats::logLik(fit), "df"), 14)
  expect_equal(stats::AIC(fit), -2 * fit$loglik + 28)
  expect_equal(stats::BIC(fit), -2 * fit$loglik + 14 * log(153))
  expect_equal(stats::nobs(fit), 153)
  interval <- confint(fit)
  se <- sqrt(diag(vcov(fit)))
  expect_identical(rownames(interval), names(coef(fit)))
  # Symmetric for means and covariances.
  expect_equal(unname(interval[1:4, 1]), mu - stats::qnorm(0.975) * unname(se[1:4]))
  expect_equal(unname(interval[6, 2]), sigma[2, 1] + stats::qnorm(0.975) * unname(se[6]))
  # A variance's interval lies in the possible values.
  expect_true(all(interval[c(5, 9, 12, 14), 1] > 0))
  expect_equal(nrow(confint(fit, 1:2, level = 0.9, type = "sandwich")), 2)
})

# --- predict ----------------------------------------------------------------------------------------

test_that("predicted means, standard deviations and intervals are those of the conditional distributions", {
  filled <- predict(fit)
  interval <- predict(fit, type = "interval", level = 0.9)
  expect_identical(dim(filled), dim(airq4))
  expect_identical(filled[!is.na(airq4)], airq4[!is.na(airq4)])
  expect_identical(nrow(interval), sum(is.na(airq4)))
  for (i in which(rowSums(is.na(airq4)) > 0)) {
    q <- mvn_conditional(airq4[i, ], mu, sigma)
    expect_equal(unname(filled[i, q$missing]), unname(q$mean), tolerance = 1e-10)
    rows <- interval[interval$row == i, ]
    expect_identical(rows$variable, colnames(airq4)[q$missing])
    expect_equal(rows$mean, unname(q$mean), tolerance = 1e-10)
    expect_equal(rows$sd, unname(sqrt(diag(q$covariance))), tolerance = 1e-10)
    expect_equal(rows$lower, rows$mean - stats::qnorm(0.95) * rows$sd)
    expect_equal(rows$upper, rows$mean + stats::qnorm(0.95) * rows$sd)
  }
})

test_that("densities and distances are those of the observed cells", {
  density <- predict(fit, type = "density", log = TRUE)
  by_row <- vapply(seq_len(153), function(i) mvn_loglik(airq4[i, , drop = FALSE], mu, sigma), 0)
  expect_equal(unname(density), by_row, tolerance = 1e-12)
  expect_equal(sum(density), fit$loglik, tolerance = 1e-12)
  expect_equal(predict(fit, type = "density"), exp(density))
  distance <- predict(fit, type = "distance")
  for (i in c(1, 5, 10, 27)) {
    o <- which(!is.na(airq4[i, ]))
    expect_equal(unname(distance[i]), stats::mahalanobis(airq4[i, o], mu[o], sigma[o, o]), tolerance = 1e-11)
  }
})

test_that("new data may be one row, have other columns and another order, and be wholly missing", {
  row <- data.frame(Day = 3, Temp = 70, Wind = NA, Ozone = NA, Solar.R = 100)
  q <- mvn_conditional(c(NA, 100, NA, 70), mu, sigma)
  filled <- predict(fit, row)
  expect_identical(colnames(filled), colnames(airq4))
  expect_equal(unname(filled[1, ]), c(q$mean[1], 100, q$mean[2], 70))
  empty <- data.frame(Ozone = NA, Solar.R = NA_real_, Wind = NA, Temp = NA)
  expect_equal(unname(predict(fit, empty)[1, ]), mu)
  expect_equal(predict(fit, empty, type = "interval")$sd, sqrt(diag(sigma)))
  expect_equal(unname(predict(fit, empty, type = "density")), 1)
  expect_equal(unname(predict(fit, empty, type = "distance")), 0)
  expect_identical(nrow(predict(fit, airq4[1:3, ], type = "interval")), 0L)
  expect_equal(unname(predict(fit, c(NA, 100, NA, 70))[1, ]), unname(filled[1, ]))
  names <- predict(fit, data.frame(Ozone = 1, Solar.R = 1, Wind = 1, Temp = NA, row.names = "here"))
  expect_identical(rownames(names), "here")
})

test_that("new data that do not fit are refused", {
  expect_error(predict(fit, data.frame(Ozone = 1, Wind = 2, Temp = 3)), "Solar.R", class = "em_error_newdata")
  expect_error(predict(fit, data.frame(Ozone = "a", Solar.R = 1, Wind = 2, Temp = 3)), class = "em_error_column_type")
  expect_error(predict(fit, type = "class"), class = "em_error_argument")
  expect_error(predict(fit, level = 2))
  expect_error(predict(fit, new_data = airq4), class = "em_error_unused_argument")
  gone <- em_mvnorm(airq4, control = em_control(keep_data = FALSE))
  expect_error(predict(gone), class = "em_condition")
  expect_equal(predict(gone, airq4), predict(fit, airq4))
})

test_that("a formula's transformations are made in new data too", {
  logs <- em_mvnorm(~ log(Wind) + Temp, data = transform(datasets::airquality, Temp = replace(Temp, 1:9, NA)))
  new <- data.frame(Temp = NA, Wind = c(5, 10))
  expect_equal(unname(predict(logs, new)[, 1]), log(c(5, 10)))
})

test_that("draws have the conditional distribution and depend on set.seed() alone", {
  row <- airq4[rep(5, 4000), ]
  draw <- with_seed(4, predict(fit, row, type = "draw"))
  expect_identical(draw, with_seed(4, predict(fit, row, type = "draw")))
  expect_false(identical(draw, with_seed(5, predict(fit, row, type = "draw"))))
  expect_identical(draw[, 3:4], row[, 3:4])
  q <- mvn_conditional(airq4[5, ], mu, sigma)
  root <- chol(q$covariance)
  z <- sweep(draw[, 1:2], 2, q$mean) %*% solve(root)
  # 4000 standard normals: five standard errors, 5 / sqrt(4000) and twice the variance's.
  expect_lt(max(abs(colMeans(z))), 0.08)
  expect_lt(max(abs(stats::cov(z) - diag(2))), 0.12)
  expect_gt(stats::ks.test(z[, 1], "pnorm")$p.value, 1e-4)
  # In rows of different patterns, threads or not.
  two <- fit
  two$control$threads <- 2L
  one <- fit
  one$control$threads <- 1L
  many <- airq4[rep(1:153, 20), ]
  expect_identical(with_seed(1, predict(one, many, type = "draw")), with_seed(1, predict(two, many, type = "draw")))
})

# --- simulate ---------------------------------------------------------------------------------------

test_that("simulated data have the fitted moments, and the seed works as in stats::simulate()", {
  sim <- simulate(fit, seed = 3, n_rows = 20000)
  expect_identical(dim(sim), c(20000L, 4L))
  expect_identical(names(sim), colnames(airq4))
  z <- sweep(as.matrix(sim), 2, mu) %*% solve(chol(sigma))
  # Five standard errors of 20000 draws.
  expect_lt(max(abs(colMeans(z))), 0.036)
  expect_lt(max(abs(stats::cov(z) - diag(4))), 0.05)
  expect_equal(simulate(fit, seed = 3), simulate(fit, seed = 3))
  set.seed(8)
  before <- .Random.seed
  invisible(simulate(fit, seed = 3))
  expect_identical(.Random.seed, before)
  several <- simulate(fit, nsim = 2, seed = 1)
  expect_named(several, c("sim_1", "sim_2"))
  expect_identical(nrow(several$sim_2), 153L)
  expect_error(simulate(fit, nsim = 0), class = "em_error_argument")
})

# --- update -----------------------------------------------------------------------------------------

test_that("a fit to which rows are added is the fit to all rows, whether data are kept or not", {
  all_rows <- fit
  for (keep in c(TRUE, FALSE)) {
    first <- em_mvnorm(airq4[1:60, ], control = em_control(keep_data = keep))
    expect_identical(is.null(first$data), !keep)
    # The last piece has patterns that the others have, and some that they do not.
    more <- update(update(first, airq4[61:100, ]), airq4[101:153, ])
    expect_same_parameters(more$parameters, all_rows$parameters, 1e-8)
    expect_equal(more$loglik, all_rows$loglik, tolerance = 1e-12)
    expect_equal(more$nobs, 153)
    expect_equal(as.numeric(more$n_rows), 153)
    expect_equal(more$patterns, all_rows$patterns)
    expect_identical(is.null(more$data), !keep)
  }
})

test_that("pieces may have constant columns, one row, columns missing throughout, and rows that observe nothing", {
  x <- airq4
  x[151:153, ] <- rep(x[151, ], each = 3)
  x[100:102, ] <- NA
  all_rows <- em_mvnorm(x)
  for (keep in c(TRUE, FALSE)) {
    part <- em_mvnorm(x[1:99, ], control = em_control(keep_data = keep))
    part <- update(part, x[100:102, ])
    part <- update(part, x[103, , drop = FALSE])
    part <- update(part, x[104:150, ])
    part <- update(part, x[151:153, ])
    expect_same_parameters(part$parameters, all_rows$parameters, 1e-8)
    expect_equal(part$loglik, all_rows$loglik, tolerance = 1e-11)
    expect_equal(part$nobs, 150)
    expect_equal(as.numeric(part$n_rows), 153)
  }
})

test_that("weights and priors are carried through updates", {
  w <- 0.5 + (seq_len(153) %% 3)
  prior <- em_mvnorm_prior("inverse_wishart", df = 7, scale = diag(c(1, 2, 3, 4)))
  all_rows <- em_mvnorm(airq4, weights = w, prior = prior)
  for (keep in c(TRUE, FALSE)) {
    part <- em_mvnorm(airq4[1:90, ], weights = w[1:90], prior = prior, control = em_control(keep_data = keep))
    more <- update(part, airq4[91:153, ], weights = w[91:153])
    expect_same_parameters(more$parameters, all_rows$parameters, 1e-8)
    expect_equal(more$nobs, sum(w))
    expect_error(update(part, airq4[91:153, ]), class = "em_error_weights")
    # Twice: the second update still knows that the rows are weighted.
    again <- update(update(part, airq4[91:120, ], weights = w[91:120]), airq4[121:153, ], weights = w[121:153])
    expect_same_parameters(again$parameters, all_rows$parameters, 1e-8)
  }
  expect_error(update(fit, airq4[1:2, ], weights = 1:2), class = "em_error_weights")
})

test_that("update() without new rows changes arguments of the call", {
  ridged <- update(fit, prior = "ridge")
  expect_identical(ridged$prior$type, "ridge")
  expect_same_parameters(ridged$parameters, em_mvnorm(airq4, prior = "ridge")$parameters, 1e-9)
  expect_true(is.call(update(fit, prior = "ridge", evaluate = FALSE)))
})

# --- print, summary, plot, files --------------------------------------------------------------------

test_that("fits print the same as they did", {
  expect_snapshot(print(fit), transform = hide_mvnorm_path)
  expect_snapshot(print(em_mvnorm(data_apple())), transform = hide_mvnorm_path)
  expect_snapshot(print(summary(em_mvnorm(data_hald()))), transform = hide_mvnorm_path)
  expect_snapshot(print(mcar_test(datasets::airquality)))
})

test_that("print() takes at most 15 lines and the console's width, whatever the number of variables", {
  wide <- em_mvnorm(data_normal(300, 12, 0.05, seed = 3), control = em_control(n_starts = 1))
  for (x in list(fit, wide)) {
    lines <- utils::capture.output(out <- withVisible(print(x)))
    expect_lte(length(lines), 15)
    expect_lte(max(nchar(lines)), getOption("width"))
    expect_false(out$visible)
    expect_identical(out$value, x)
  }
})

test_that("the summary holds the numbers that it shows", {
  s <- summary(fit)
  expect_s3_class(s, "summary.em_mvnorm")
  expect_equal(s$means$mean, mu)
  expect_equal(s$means$std_error, unname(sqrt(diag(vcov(fit)))[1:4]))
  expect_equal(s$means$sd, sqrt(diag(sigma)))
  expect_equal(s$means$observed, unname(colSums(!is.na(airq4))))
  expect_equal(s$means$missing, unname(colMeans(is.na(airq4))))
  expect_equal(unname(s$correlation), stats::cov2cor(sigma))
  expect_equal(summary(fit, type = "sandwich")$means$std_error, unname(sqrt(diag(vcov(fit, type = "sandwich")))[1:4]))
  expect_error(summary(fit, tpye = 1), class = "em_error_unused_argument")
})

test_that("what went wrong is in print() and summary()", {
  x <- data_normal(80, 3, 0, seed = 31)
  x[1:40, 1] <- NA
  x[41:80, 2] <- NA
  matched <- quietly(em_mvnorm(x))
  expect_match(paste(utils::capture.output(print(matched)), collapse = " "), "NOT IDENTIFIED")
  expect_match(paste(utils::capture.output(print(summary(matched))), collapse = " "), "NOT determined")
  modes <- quietly(em_mvnorm(data_murray()))
  expect_match(paste(utils::capture.output(print(modes)), collapse = " "), "SEVERAL MAXIMA")
})

test_that("every plot draws", {
  fits <- list(fit, em_mvnorm(data_apple()), em_mvnorm(data_normal(200, 12, 0.2, seed = 2), prior = 1))
  for (each in fits) {
    for (type in c("pattern", "trace", "starts")) {
      file <- tempfile(fileext = ".pdf")
      grDevices::pdf(file)
      tryCatch(expect_invisible(plot(each, type = type)), finally = grDevices::dev.off())
      # A page with nothing on it has about 4000 bytes uncompressed, one of these far more than its header.
      expect_gt(file.size(file), 4000)
      unlink(file)
    }
  }
})

test_that("saveRDS() and readRDS() keep everything that methods need", {
  file <- tempfile(fileext = ".rds")
  on.exit(unlink(file))
  saveRDS(fit, file)
  back <- readRDS(file)
  expect_equal(back, fit)
  expect_identical(predict(back), predict(fit))
  expect_identical(vcov(back), vcov(fit))
  pointers <- rapply(unclass(fit), function(e) TRUE, classes = "externalptr", how = "unlist")
  expect_length(pointers, 0)
})

test_that("standardised residuals are the observed cells whitened by their own covariance", {
  fit <- em_mvnorm(airquality[, 1:4])
  whitened <- residuals(fit, type = "standardized")
  expect_identical(is.na(unname(whitened)), is.na(unname(as.matrix(airquality[, 1:4]))))
  expect_equal(rowSums(whitened^2, na.rm = TRUE), unname(predict(fit, type = "distance")), tolerance = 1e-10)
  expect_equal(residuals(fit)[[5, "Wind"]], airquality$Wind[5] - fit$parameters$mean[["Wind"]])
  expect_equal(unname(fitted(fit)[7, ]), unname(fit$parameters$mean))
})

test_that("a fit made of pieces shows so, and has no call to change", {
  fit <- em_mvnorm(airquality[1:100, 1:4])
  whole <- update(fit, airquality[101:153, 1:4])
  expect_output(print(whole), "update(object = fit, new_rows = airquality[101:153, 1:4])", fixed = TRUE)
  expect_error(update(whole, prior = "ridge"), class = "em_error_no_call")
})
