# make demo: fits real data end to end, shows what a user would look at, writes plots into demo-out/,
# and compares with stored values. Ends with "demo: all results match the stored values" or status 1.
#
# A new model joins with one entry of `sections`: a function that fits, prints, plots by save_plot()
# and compares by expect_value().
suppressPackageStartupMessages(library(emkit))
options(width = 90)
out <- "demo-out"
dir.create(out, showWarnings = FALSE)
unlink(file.path(out, "*.png"))

mismatches <- character()

# Compares with a stored value and says so. Character values must be equal; numbers may differ by `tol`,
# NA counts as different.
expect_value <- function(what, value, stored, tol = 0) {
  same <- if (is.character(stored)) identical(as.character(value), stored) else
    isTRUE(length(value) == length(stored) && all(abs(value - stored) <= tol))
  show <- function(x) paste(if (is.character(x)) x else format(x, digits = 12, trim = TRUE), collapse = " ")
  cat(sprintf("  %-6s %-44s %-22s stored %s\n", if (same) "ok" else "DIFFERS", what, show(value), show(stored)))
  if (!same) mismatches <<- c(mismatches, what)
}

# Draws into demo-out/<name>.png and checks that a picture came of it.
save_plot <- function(name, draw) {
  file <- file.path(out, paste0(name, ".png"))
  grDevices::png(file, width = 1400, height = 1000, res = 160)
  tryCatch(draw(), finally = grDevices::dev.off())
  if (!isTRUE(file.size(file) > 2000)) mismatches <<- c(mismatches, paste("the plot", file))
  cat("  wrote ", file, "\n", sep = "")
}

# Stored values hold to many digits, so fits from a fixed start go on until nothing changes.
tight <- em_control(tol = 1e-13, max_iter = 20000)

# Start values from a partition of incomplete data: shares, means of what is observed in each group,
# and in every component the variance of each column.
start_from_groups <- function(x, group) {
  group <- as.integer(factor(group))
  k <- max(group)
  list(
    proportions = as.vector(table(group)) / length(group),
    means = sapply(seq_len(k), function(j) colMeans(x[group == j, , drop = FALSE], na.rm = TRUE)),
    covariances = array(diag(apply(x, 2, var, na.rm = TRUE)), c(ncol(x), ncol(x), k))
  )
}

# The data with a regular pattern of missing cells.
drop_cells <- function(x, is_missing) {
  x <- as.matrix(x)
  x[is_missing(row(x), col(x))] <- NA
  x
}

sections <- list(
  "faithful: choosing the covariance structure and the number of components" = function() {
    set.seed(1)
    fit <- em_gmm(faithful, n_components = 1:9)
    print(summary(fit))
    for (type in c("classification", "density", "uncertainty", "selection", "trace", "starts")) {
      save_plot(paste0("faithful-", type), function() plot(fit, type))
    }
    expect_value("faithful: structure chosen", fit$covariance, "EEE")
    expect_value("faithful: components chosen", fit$n_components, 3)
    expect_value("faithful: log-likelihood", fit$loglik, -1126.31592782, 1e-4)
    expect_value("faithful: BIC", BIC(fit), 2 * 1126.31592782 + 11 * log(272), 2e-4)
  },

  "iris: the same, four variables" = function() {
    set.seed(1)
    fit <- em_gmm(iris[, 1:4], n_components = 1:9)
    print(summary(fit))
    print(table(component = fit$classification, species = iris$Species))
    for (type in c("classification", "selection")) {
      save_plot(paste0("iris-", type), function() plot(fit, type))
    }
    expect_value("iris: structure chosen", fit$covariance, "VEV")
    expect_value("iris: components chosen", fit$n_components, 2)
    expect_value("iris: log-likelihood", fit$loglik, -215.725972, 1e-4)
    expect_value("iris: number of parameters", fit$df, 26)
  },

  "iris: three components from the species, by structure" = function() {
    stored <- c(EII = -401.80217579, EEE = -256.35404313, EVE = -234.14023506, VVE = -214.05320779,
                VEV = -186.07328340, EVV = -205.53588082, VVV = -180.18547713)
    for (covariance in names(stored)) {
      fit <- em_gmm(iris[, 1:4], n_components = 3, covariance = covariance, start = iris$Species,
                    control = tight)
      expect_value(paste("iris:", covariance), fit$loglik, stored[[covariance]], 1e-6)
    }
    fit <- em_gmm(iris[, 1:4], 3, "VVV", start = iris$Species, weights = 1 + seq_len(150) %% 3,
                  control = tight)
    expect_value("iris: VVV with weights", fit$loglik, -337.51405367, 1e-6)
    fit <- em_gmm(iris[, 1:4], 3, "VVV", start = iris$Species, equal_proportions = TRUE,
                  control = tight)
    expect_value("iris: VVV with equal proportions", fit$loglik, -180.65932542, 1e-6)
  },

  "iris and faithful with missing cells: exact observed-data likelihood" = function() {
    x <- drop_cells(iris[, 1:4], function(i, j) (7 * i + 5 * j) %% 11 == 0 | (i %% 10 == 0 & j == 2))
    stored <- c(EEE = -249.04124378, VEE = -230.20651166, VVE = -206.40411622, VVV = -174.24248208)
    for (covariance in names(stored)) {
      fit <- em_gmm(x, 3, covariance, start = start_from_groups(x, iris$Species), control = tight)
      expect_value(paste("iris with 68 cells missing:", covariance), fit$loglik,
                   stored[[covariance]], 1e-6)
    }
    first <- head(which(rowSums(is.na(x)) > 0), 3)
    cat("\n  the first rows with missing cells:\n")
    print(x[first, ])
    cat("\n  and with their conditional means:\n")
    print(round(predict(fit, type = "imputed")[first, ], 3))
    cat("\n")
    x <- drop_cells(faithful, function(i, j) (3 * i + 2 * j) %% 7 == 0)
    stored <- c(EEE = -998.12166203, VVV = -990.43452068)
    for (covariance in names(stored)) {
      fit <- em_gmm(x, 2, covariance, start = start_from_groups(x, faithful$eruptions > 3),
                    control = tight)
      expect_value(paste("faithful with 78 cells missing:", covariance), fit$loglik,
                   stored[[covariance]], 1e-6)
    }
  },

  "incomplete data: mean and covariance by maximum likelihood" = function() {
    fit <- em_mvnorm(airquality[, 1:4])
    print(summary(fit))
    # Reference values: EM in plain R, norm2 and lavaan, which agree to 2e-8.
    expect_value("airquality: log-likelihood", fit$loglik, -2326.6973827983, 1e-8)
    expect_value("airquality: mean of Ozone", fit$parameters$mean[["Ozone"]], 41.871173020, 1e-8)
    expect_value("airquality: covariance of Ozone and Temp", fit$parameters$covariance["Temp", "Ozone"],
                 209.5635028262, 1e-6)
    expect_value("airquality: standard error of Ozone", sqrt(vcov(fit)[1, 1]), 2.782497917, 1e-6)
    expect_value("airquality: the same, sandwich", sqrt(vcov(fit, type = "sandwich")[1, 1]), 2.74779005, 1e-6)
    # The largest eigenvalue of the derivative of the EM step in plain R (norm2's power method: 0.3204 to 0.3216).
    expect_value("airquality: worst missing information", fit$missing_information$worst, 0.3218861155, 1e-6)
    expect_value("airquality: conditional means, row 5", unlist(predict(fit)[5, 1:2]),
                 c(-11.467574330, 127.776609300), 1e-6)

    apple <- cbind(size = c(8, 6, 11, 22, 14, 17, 18, 24, 19, 23, 26, 40, 4, 4, 5, 6, 8, 10),
                   worms = c(59, 58, 56, 53, 50, 45, 43, 42, 39, 38, 30, 27, rep(NA, 6)))
    fit <- em_mvnorm(apple)
    expect_value("apple: log-likelihood", fit$loglik, -101.78563212782, 1e-8)
    expect_value("apple: mean of worms", fit$parameters$mean[["worms"]], 49.333333333, 1e-8)
    expect_value("apple: its standard error", sqrt(vcov(fit)[2, 2]), 2.730894920, 1e-6)

    hald <- cbind(x1 = c(7, 1, 11, 11, 7, 11, 3, 1, 2, NA, NA, NA, NA),
                  x2 = c(26, 29, 56, 31, 52, 55, 71, 31, 54, NA, NA, NA, NA),
                  x3 = c(6, 15, 8, 8, 6, 9, 17, 22, 18, 4, 23, 9, 8),
                  x4 = c(60, 52, 20, 47, 33, 22, rep(NA, 7)),
                  y = c(78.5, 74.3, 104.3, 87.6, 95.9, 109.2, 102.7, 72.5, 93.1, 115.9, 83.8, 113.3, 109.4))
    fit <- em_mvnorm(hald)
    expect_value("Hald: log-likelihood", fit$loglik, -132.92525044512, 1e-8)
    expect_value("Hald: iterations (monotone)", fit$iterations, 0)
    expect_value("Hald: mean of x4", fit$parameters$mean[["x4"]], 27.047089044, 1e-8)

    murray <- cbind(a = c(1, 1, -1, -1, 2, 2, -2, -2, NA, NA, NA, NA),
                    b = c(1, -1, 1, -1, NA, NA, NA, NA, 2, 2, -2, -2))
    said <- ""
    fit <- withCallingHandlers(em_mvnorm(murray), warning = function(w) {
      said <<- class(w)[1]
      tryInvokeRestart("muffleWarning")
    })
    expect_value("Murray: log-likelihood, not the saddle's", fit$loglik, -29.974286410465, 1e-8)
    expect_value("Murray: correlations of the modes",
                 sort(sapply(fit$modes, function(mode) cov2cor(mode$covariance)[2, 1])), c(-0.5, 0.5), 1e-5)
    expect_value("Murray: warning", said, "em_warning_multimodal")

    if (requireNamespace("mice", quietly = TRUE)) {
      fit <- em_mvnorm(mice::nhanes)
      expect_value("nhanes: log-likelihood", fit$loglik, -150.85868641602, 1e-8)
      expect_value("nhanes: standard error of chl", sqrt(vcov(fit)[4, 4]), 10.319803112, 1e-6)
      fit <- em_mvnorm(mice::boys[c("age", "hgt", "wgt", "bmi", "hc", "tv")])
      expect_value("boys: log-likelihood", fit$loglik, -11081.617847875, 1e-6)
      expect_value("boys: at most 200 E-steps (plain EM: 1911)", as.numeric(fit$evaluations <= 200), 1)
    }
  },

  "incomplete data: Little's test" = function() {
    test <- mcar_test(airquality)
    print(test)
    print(test$patterns[c("n_missing", "rows", "d2", "df")])
    expect_value("airquality: d2", test$statistic[["d2"]], 35.1061749072, 1e-6)
    expect_value("airquality: degrees of freedom", test$parameter[["df"]], 14)
    expect_value("airquality: p-value", test$p.value, 0.0014177589, 1e-8)
    expect_value("airquality: d2, Little's divisor",
                 mcar_test(airquality, covariance = "unbiased")$statistic[["d2"]], 34.8767227836, 1e-6)
  },

  "imputation: airquality, from the pattern to the pooled regression" = function() {
    impute <- function(m, threads = 2) {
      set.seed(1)
      em_impute(~ log(Ozone) + Solar.R + Wind + Temp, data = airquality, m = m,
                control = em_control(threads = threads))
    }
    imp <- impute(20)
    print(summary(imp))
    print(em_overimpute(imp))
    for (type in c("pattern", "density", "trace", "overimpute", "dispersion", "scatter")) {
      save_plot(paste0("airquality-", type), function() plot(imp, type))
    }
    pooled <- em_pool(with(imp, lm(log(Ozone) ~ Solar.R + Wind + Temp)))
    print(summary(pooled))
    print(em_pool_test(with(imp, lm(log(Ozone) ~ Solar.R + Wind + Temp)), terms = c("Wind", "Temp")))
    # Pooled estimates vary with the draws; maximum likelihood is what they vary about.
    ml <- em_mvnorm(~ log(Ozone) + Solar.R + Wind + Temp, data = airquality)$parameters
    slopes <- solve(ml$covariance[-1, -1], ml$covariance[-1, 1])
    expect_value("airquality: pooled slopes, beside ML, in s.e.",
                 (pooled$estimate[-1] - slopes) / pooled$std.error[-1], c(0, 0, 0), 0.5)
    first <- em_complete(imp, 1)
    expect_value("airquality: missing values left", sum(is.na(first)), 0)
    expect_value("airquality: classes of the columns", sapply(first, class), unname(sapply(airquality, class)))
    seen <- !is.na(airquality)
    expect_value("airquality: observed cells changed", sum(first[seen] != airquality[seen]), 0)
    expect_value("airquality: 1 and 2 threads, the same bits",
                 as.numeric(identical(impute(20, threads = 1)$imputed, imp$imputed)), 1)
    more <- impute(30)$imputed
    expect_value("airquality: 10 more keep the first 20", as.numeric(identical(
      lapply(more, function(values) values[, 1:20, drop = FALSE]), imp$imputed)), 1)
  },

  "imputation: a data frame with factors" = function() {
    air <- airquality
    air$Month <- factor(month.abb[air$Month], levels = month.abb[5:9])
    air$Wind <- cut(air$Wind, c(0, 7, 10, 14, 25), c("light", "gentle", "fresh", "strong"), ordered_result = TRUE)
    air$Hot <- air$Temp > 85
    air$Date <- as.Date("1973-05-01") + seq_len(nrow(air)) - 1
    row <- seq_len(nrow(air))
    air$Wind[row %% 9 == 0] <- NA
    air$Month[row %% 10 == 3] <- NA
    air$Hot[row %% 8 == 5] <- NA
    impute <- function(m, threads = 2) {
      set.seed(1)
      em_impute(air, m = m, transform = c(Ozone = "log"), bounds = list(Solar.R = c(0, 340)), id = c("Day", "Date"),
                control = em_control(threads = threads))
    }
    imp <- impute(5)
    print(summary(imp))
    save_plot("factors-density", function() plot(imp, "density"))
    save_plot("factors-pattern", function() plot(imp, "pattern"))
    first <- em_complete(imp, 1)
    expect_value("factors: missing values left", sum(is.na(em_complete(imp, "long"))), 0)
    expect_value("factors: classes of the columns", sapply(first, function(x) class(x)[1]),
                 unname(sapply(air, function(x) class(x)[1])))
    expect_value("factors: levels of Wind", levels(first$Wind), levels(air$Wind))
    expect_value("factors: Solar.R beyond its bounds",
                 sum(imp$imputed$Solar.R < 0 | imp$imputed$Solar.R > 340), 0)
    expect_value("factors: negative Ozone", sum(imp$imputed$Ozone < 0), 0)
    expect_value("factors: 1 and 2 threads, the same bits",
                 as.numeric(identical(impute(5, threads = 1)$imputed, imp$imputed)), 1)
    expect_value("factors: 3 more keep the first 5", as.numeric(identical(
      lapply(impute(8)$imputed, function(values) values[, 1:5, drop = FALSE]), imp$imputed)), 1)
    new <- air[c(5, 27, 45), ]
    filled <- predict(imp, new)
    print(filled)
    expect_value("factors: missing values left in new rows", sum(is.na(filled)), 0)
    print(em_pool(with(imp, lm(log(Ozone) ~ Wind + Month))))
  },

  "pooling: the reference example" = function() {
    # mice::pool.scalar gives the same.
    estimate <- c(1.2, 0.9, 1.5, 1.1, 1.3)
    variance <- c(0.040, 0.050, 0.045, 0.038, 0.052)
    pooled <- em_pool(estimate = estimate, variance = variance, df_complete = 97)
    print(summary(pooled))
    expect_value("pooling: estimate", pooled$estimate, 1.2, 1e-10)
    expect_value("pooling: total variance", pooled$std.error^2, 0.105, 1e-10)
    expect_value("pooling: degrees of freedom", pooled$df, 9.418097754293, 1e-10)
    expect_value("pooling: fraction of missing information", pooled$fmi, 0.640452255579, 1e-10)
    pooled <- em_pool(estimate = estimate, variance = variance, df_complete = Inf)
    expect_value("pooling: degrees of freedom, large sample", pooled$df, 12.25, 1e-10)
    expect_value("pooling: fraction, large sample", pooled$fmi, 0.627634660422, 1e-10)
  },

  "the quick start of README.md, as it stands there" = function() {
    text <- readLines("README.md")
    from <- grep("^```r", text)
    from <- from[from > grep("^## Quick start", text)][1]
    code <- text[seq(from + 1, grep("^```$", text[-seq_len(from)])[1] + from - 1)]
    expect_value("README: lines of the quick start at most 12", as.numeric(length(code) <= 12), 1)
    grDevices::png(file.path(out, "readme.png"), width = 1400, height = 1000, res = 160)
    on.exit(grDevices::dev.off())
    environment <- new.env(parent = globalenv())
    expressions <- parse(text = code, keep.source = TRUE)
    for (i in seq_along(expressions)) {
      cat(paste(">", as.character(attr(expressions, "srcref")[[i]])), sep = "\n")
      result <- withVisible(eval(expressions[[i]], environment))
      if (result$visible) print(result$value)
    }
  }
)

began <- proc.time()[["elapsed"]]
for (title in names(sections)) {
  cat("\n== ", title, "\n\n", sep = "")
  tryCatch(sections[[title]](), error = function(e) {
    cat("  FAILED ", conditionMessage(e), "\n", sep = "")
    mismatches <<- c(mismatches, paste0("an error in '", title, "'"))
  })
}
cat(sprintf("\n%.1f seconds; the plots are in %s/\n", proc.time()[["elapsed"]] - began, out))
if (length(mismatches)) {
  cat("demo: FAILED: ", paste(mismatches, collapse = "; "), "\n", sep = "")
  quit(status = 1)
}
cat("demo: all results match the stored values\n")
