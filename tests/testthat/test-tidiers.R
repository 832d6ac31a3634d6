# tidy(), glance(), augment().

test_that("tidy() gives a row per component", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
  table <- tidy(fit)
  expect_equal(names(table), c("component", "size", "proportion", "mean.eruptions", "mean.waiting"))
  expect_equal(table$size, as.vector(table(fit$classification)))
  expect_equal(table$proportion, unname(fit$parameters$proportions))
  expect_equal(table$mean.waiting, unname(fit$parameters$means["waiting", ]))
  noisy <- tidy(em_gmm(faithful, n_components = 2, covariance = "VVV", noise = TRUE))
  expect_equal(noisy$component, c("1", "2", "noise"))
  expect_equal(is.na(noisy$mean.waiting), c(FALSE, FALSE, TRUE))
  weighted <- tidy(em_gmm(faithful, n_components = 2, covariance = "VVV", weights = rep(2, 272)))
  expect_equal(sum(weighted$size), 544)
})

test_that("tidy(type = \"parameters\") gives coefficients, standard errors and limits", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVI")
  table <- tidy(fit, "parameters", conf.int = TRUE, conf.level = 0.9)
  expect_equal(names(table), c("term", "estimate", "std.error", "conf.low", "conf.high"))
  expect_equal(table$term, names(coef(fit)))
  expect_equal(table$std.error, unname(sqrt(diag(vcov(fit)))))
  expect_equal(cbind(table$conf.low, table$conf.high), unname(confint(fit, level = 0.9)))
  robust <- tidy(fit, "parameters", vcov_type = "sandwich")
  expect_equal(robust$std.error, unname(sqrt(diag(vcov(fit, "sandwich")))))
  expect_error(tidy(fit, conf.int = TRUE, level = 0.9), class = "em_error_unused_argument")
  expect_error(tidy(fit, "means"), class = "em_error_argument")
})

test_that("glance() is one row with the criteria of stats", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
  row <- glance(fit)
  expect_equal(nrow(row), 1)
  expect_equal(row$BIC, BIC(fit))
  expect_equal(row$AIC, AIC(fit))
  expect_equal(row$ICL, ICL(fit))
  expect_equal(row$logLik, fit$loglik)
  expect_equal(row[c("covariance", "n_components", "df", "nobs", "converged")],
               as_tibble_if_installed(data.frame(covariance = "VVV", n_components = 2L, df = 11, nobs = 272,
                                                 converged = TRUE)))
})

test_that("augment() adds class, uncertainty and posterior to the data", {
  data <- faithful
  data$waiting[3] <- NA
  data$id <- seq_len(272)
  fit <- em_gmm(~ eruptions + waiting, data = data, n_components = 2, covariance = "EEE", noise = TRUE)
  out <- augment(fit, data)
  expect_equal(names(out), c(names(data), ".class", ".uncertainty", ".posterior_1", ".posterior_2", ".posterior_noise"))
  expect_equal(out$id, data$id)
  expect_equal(levels(out$.class), c("1", "2", "noise"))
  expect_equal(as.integer(out$.class), max.col(fit$posterior, "first"))
  expect_equal(out$.posterior_2, unname(fit$posterior[, 2]))
  expect_equal(out$.uncertainty, unname(1 - apply(fit$posterior, 1, max)))
  own <- augment(fit)
  expect_equal(own$waiting, data$waiting)
  new <- augment(fit, newdata = data[5:7, ])
  expect_equal(nrow(new), 3)
  expect_equal(new$.posterior_1, out$.posterior_1[5:7])
  expect_error(augment(fit, data[1:3, ]), class = "em_error_argument")
  one <- em_gmm(faithful$waiting, n_components = 2, covariance = "E")
  expect_equal(nrow(augment(one, newdata = c(50, 90))), 2)
})

test_that("augment() names the classes as the labels do", {
  known <- replace(as.character(iris$Species), seq_len(150) %% 5 > 0, NA)
  fit <- em_gmm(iris[, 1:4], n_components = 3, covariance = "EEE", known = known, noise = TRUE)
  names <- c("setosa", "versicolor", "virginica", "noise")
  out <- augment(fit)
  expect_s3_class(out$.class, "factor")
  expect_equal(levels(out$.class), names)
  class <- unname(predict(fit))
  expect_equal(as.character(out$.class), names[ifelse(class == 0, 4, class)])
  expect_true(all(paste0(".posterior_", names) %in% names(out)))
  expect_equal(tidy(fit)$component, names)
})

test_that("the tidiers work without tibble", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
  expect_s3_class(glance(fit), if (requireNamespace("tibble", quietly = TRUE)) "tbl_df" else "data.frame")
  expect_s3_class(tidy_components(fit), "data.frame")
})
