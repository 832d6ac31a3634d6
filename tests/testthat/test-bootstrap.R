# What holds for bootstraps of every model.

test_that("intervals are quantiles, reflected quantiles, or normal", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 50))
  r <- boot$replicates[, "mean[waiting,2]"]
  t0 <- coef(fit)[["mean[waiting,2]"]]
  expect_equal(as.vector(confint(boot, "mean[waiting,2]")), unname(stats::quantile(r, c(0.025, 0.975))))
  expect_equal(as.vector(confint(boot, "mean[waiting,2]", ci_type = "basic", level = 0.8)),
               unname(2 * t0 - stats::quantile(r, c(0.9, 0.1))))
  expect_equal(as.vector(confint(boot, "mean[waiting,2]", ci_type = "normal")),
               2 * t0 - mean(r) + c(-1, 1) * stats::qnorm(0.975) * stats::sd(r))
  table <- summary(boot)
  expect_equal(table["mean[waiting,2]", "std_error"], stats::sd(r))
  expect_equal(table["mean[waiting,2]", "bias"], mean(r) - t0)
  expect_equal(vcov(boot), stats::cov(boot$replicates))
  expect_equal(with_seed(1, vcov(fit, "bootstrap", n_boot = 50)), vcov(boot))
  expect_output(print(boot), "50 replicates")
})

test_that("em_bootstrap() says what it needs", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
  expect_error(em_bootstrap(fit, n_boot = 1), class = "em_error_argument")
  expect_error(em_bootstrap(list()), class = "em_error_argument")
  expect_error(em_bootstrap(fit, type = "jackknife"), class = "em_error_argument")
  expect_error(em_bootstrap(fit, R = 10), class = "em_error_unused_argument")
  bare <- em_gmm(faithful, n_components = 2, covariance = "EEE", control = em_control(keep_data = FALSE))
  expect_error(em_bootstrap(bare), class = "em_error_no_data")
  expect_error(confint(with_seed(1, em_bootstrap(fit, n_boot = 3)), "rho"), class = "em_error_argument")
})

test_that("the printed tables fit the console and give a column one format", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
  boot <- with_seed(1, em_bootstrap(fit, n_boot = 20))
  old <- options()
  on.exit(options(old))
  for (width in c(100, 60, 70, 80)) {
    options(width = width)
    expect_lte(max(nchar(utils::capture.output(print(boot, digits = 4)))), width)
  }
  # decimals that show the standard error, in every number of its row
  expect_equal(format_to_error(c(79.968, -0.08299, 0.4807), 0.4807, 2), c("79.97", "-0.08", "0.48"))
  expect_equal(format_to_error(c(12345.6, -0.3), 2345.6, 2), c("12346", "0"))
  expect_equal(format_to_error(c(3.5e-12, NA), 1.2e-13, 2), c("3.5e-12", "-"))

  test <- with_seed(1, em_bootstrap_lrt(faithful$waiting, "E", max_components = 3, n_boot = 9,
                                        control = em_control(n_starts = 2)))
  test$table <- test$table[c(1, 1), ]
  test$table$statistic <- c(122.5731, 0.97168)
  test$table$p_value <- c(0.1, 0.6)
  rows <- grep(" vs ", utils::capture.output(print(test)), value = TRUE)
  expect_match(rows[1], "122.57 .* 0.100 ")
  expect_match(rows[2], "  0.97 .* 0.600 ")
})
