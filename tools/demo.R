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

# The log-likelihood of one sequence by the forward algorithm in plain R, in logarithms: `density` is T x K.
forward_loglik <- function(initial, transition, density) {
  add <- function(x) max(x) + log(sum(exp(x - max(x))))
  alpha <- log(initial) + density[1, ]
  for (t in seq_len(nrow(density))[-1]) {
    alpha <- apply(alpha + log(transition), 2, add) + density[t, ]
  }
  add(alpha)
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

  "hidden Markov models: earthquakes, from the number of states to a forecast" = function() {
    quakes <- data.frame(year = 1900:2006, count = c(
      13, 14, 8, 10, 16, 26, 32, 27, 18, 32, 36, 24, 22, 23, 22, 18, 25, 21, 21, 14, 8, 11, 14, 23, 18, 17, 19, 20, 22,
      19, 13, 26, 13, 14, 22, 24, 21, 22, 26, 21, 23, 24, 27, 41, 31, 27, 35, 26, 28, 36, 39, 21, 17, 22, 17, 19, 15,
      34, 10, 15, 22, 18, 15, 20, 15, 22, 19, 16, 30, 27, 29, 23, 20, 16, 21, 21, 25, 16, 18, 15, 18, 14, 10, 15, 8, 15,
      6, 11, 8, 7, 18, 16, 13, 12, 13, 20, 15, 16, 12, 18, 15, 16, 13, 15, 16, 11, 11
    ))
    set.seed(1)
    fit <- em_hmm(count ~ 1, data = quakes, n_states = 1:4, family = "poisson", initial = "stationary", control = tight)
    print(summary(fit))
    for (type in c("series", "states", "density", "transition", "residuals", "starts", "forecast", "trace")) {
      save_plot(paste0("quakes-", type), function() plot(fit, type))
    }
    # Zucchini, MacDonald and Langrock (2016) print 342.3, 329.5, 327.8; all digits from plain EM and Newton in R.
    expect_value("quakes: log-likelihoods of 1 to 4 states", fit$selection$loglik,
                 c(-391.91892817, -342.31826679, -329.46027734, -327.83158540), 2e-5)
    expect_value("quakes: states chosen", fit$n_states, 3)
    expect_value("quakes: rates", unname(fit$parameters$emission$lambda),
                 c(13.1457440894, 19.7210537011, 29.7144483226), 1e-4)
    two <- update(fit, n_states = 2)
    expect_value("quakes: log-likelihood, two states", two$loglik, -342.31826679, 1e-7)
    expect_value("quakes: standard errors of the rates", unname(sqrt(diag(vcov(two)))[c("lambda[1]", "lambda[2]")]),
                 c(0.7025608624, 1.3601199620), 1e-6)
    expect_value("quakes: stationary share of state 1", stationary(two)[["1"]], 0.660821938354, 1e-6)
    free <- update(two, initial = "free")
    expect_value("quakes: log-likelihood, first state free", free$loglik, -341.8787010117, 1e-7)
    ahead <- predict(fit, type = "forecast", h = 3)
    print(ahead)
    last <- posterior(fit, type = "filtering")[107, ]
    transition <- fit$parameters$transition
    by_hand <- last %*% transition %*% transition %*% transition %*% fit$parameters$emission$lambda
    expect_value("quakes: mean of the forecast, three years", ahead$mean[3], drop(by_hand), 1e-9)
    z <- residuals(fit, seed = 1)
    expect_value("quakes: quantile residuals, mean and sd", c(mean(z), sd(z)), c(0, 1), 0.15)
    expect_value("quakes: are they normal (p)", ks.test(z, "pnorm")$p.value, 0.5, 0.49)
    expect_value("quakes: are they independent (p)", Box.test(z, 10, "Ljung")$p.value, 0.5, 0.49)
    density <- outer(quakes$count, fit$parameters$emission$lambda, dpois, log = TRUE)
    expect_value("quakes: log-likelihood, forward algorithm in R",
                 forward_loglik(fit$parameters$initial, transition, density), fit$loglik, 1e-8)
  },

  "hidden Markov models: speed and accuracy, covariates, missing values" = function() {
    # depmixS4's data; its vignette has the first three log-likelihoods, to the digits that it prints.
    speed <- readRDS("tests/testthat/fixtures/hmm-depmix.rds")$speed
    trials <- c(168, 134, 137)
    set.seed(1)
    fit <- em_hmm(rt ~ 1, data = speed, n_states = 2, control = tight)
    expect_value("speed: one series", fit$loglik, -88.7305844836, 1e-7)
    expect_value("speed: BIC", BIC(fit), 220.05266486, 2e-7)
    paid <- update(fit, transition = ~ Pacc)
    print(summary(paid))
    expect_value("speed: pay-off on the transitions", paid$loglik, -44.1994793063, 1e-7)
    save_plot("speed-transition", function() plot(paid, "transition"))
    both <- em_hmm(list(rt ~ 1, corr ~ 1), data = speed, n_states = 2, family = list("gaussian", "categorical"),
                   ntimes = trials, control = tight)
    print(both)
    expect_value("speed: two responses, three series", both$loglik, -296.1077768320, 1e-7)
    expect_value("speed: standard errors of the means", unname(sqrt(diag(vcov(both)))[c("rt.mean[1]", "rt.mean[2]")]),
                 c(0.0170215667, 0.0159860770), 1e-8)
    missing <- update(both, data = transform(speed, rt = replace(rt, 5:9, NA)))
    expect_value("speed: five response times missing", missing$loglik, -288.0953787406, 1e-7)
    save_plot("speed-series", function() plot(both, sequences = 1))
    again <- update(both, control = em_control(tol = 1e-13, max_iter = 20000, threads = 1))
    set.seed(2)
    one <- update(both, control = em_control(threads = 1))
    set.seed(2)
    two <- update(both, control = em_control(threads = 2))
    expect_value("speed: 1 and 2 threads, the same bits", as.numeric(identical(coef(one), coef(two))), 1)
    expect_value("speed: other random numbers, the same maximum", again$loglik, both$loglik, 1e-8)
  },

  "hidden Markov models: a panel with missing values" = function() {
    set.seed(3)
    panel <- expand.grid(time = 1:15, id = sprintf("unit%02d", 1:40))
    dose <- rep(rnorm(40), each = 15)
    state <- integer(600)
    for (t in 1:600) {
      state[t] <- if (panel$time[t] == 1) 1 + rbinom(1, 1, 0.4) else
        1 + rbinom(1, 1, plogis(c(-2, 1.5)[state[t - 1]] + c(1, -1)[state[t - 1]] * dose[t]))
    }
    panel$dose <- dose
    panel$count <- rpois(600, c(2, 8)[state])
    panel$level <- rnorm(600, c(0, 2)[state] + 0.5 * dose)
    panel$count[sample(600, 90)] <- NA
    panel$level[sample(600, 60)] <- NA
    model <- function(data) {
      em_hmm(list(count ~ 1, level ~ dose), data = data, n_states = 2, family = list("poisson", "gaussian"),
             transition = ~ dose, id = id, time = time, timing = "to", control = tight)
    }
    fit <- model(panel)
    print(summary(fit, se = TRUE))
    expect_value("panel: agreement with the states", mean(fit$states == state), 1, 0.08)
    expect_value("panel: rows that observe something", nobs(fit), sum(!is.na(panel$count) | !is.na(panel$level)))
    mixed <- panel[order(panel$time, panel$id), ]
    expect_value("panel: sequences mixed in the data", model(mixed)$loglik, fit$loglik, 1e-7)
    means <- fit$parameters$emission$level$coefficients
    by_unit <- sapply(split(seq_len(600), panel$id), function(rows) {
      density <- sapply(1:2, function(k) {
        d <- dpois(panel$count[rows], fit$parameters$emission$count$lambda[k], log = TRUE)
        mean <- means[1, k] + means[2, k] * dose[rows]
        e <- dnorm(panel$level[rows], mean, fit$parameters$emission$level$sd[k], log = TRUE)
        ifelse(is.na(d), 0, d) + ifelse(is.na(e), 0, e)
      })
      b <- fit$parameters$transition
      up <- plogis(b[1, 1, 2] + b[2, 1, 2] * dose[rows[1]])
      down <- plogis(b[1, 2, 1] + b[2, 2, 1] * dose[rows[1]])
      forward_loglik(fit$parameters$initial, rbind(c(1 - up, up), c(down, 1 - down)), density)
    })
    expect_value("panel: log-likelihood, forward algorithm in R", sum(by_unit), fit$loglik, 1e-8)
    expect_value("panel: log-likelihoods of the units", max(abs(by_unit - fit$sequences$loglik)), 0, 1e-8)
    new <- data.frame(id = "unit01", time = 16:17, dose = dose[1])
    print(predict(fit, new, type = "forecast"))
    save_plot("panel-forecast", function() plot(fit, "forecast", newdata = new, sequences = "unit01"))
  },

  "hidden Markov models: ozone with missing days, the Nile, returns" = function() {
    set.seed(1)
    ozone <- em_hmm(log(Ozone) ~ 1, data = airquality, n_states = 2, control = tight)
    print(ozone)
    save_plot("ozone-series", function() plot(ozone))
    expect_value("ozone: log-likelihood, 37 days missing", ozone$loglik, -125.6445881013, 1e-7)
    expect_value("ozone: means", unname(ozone$parameters$emission$mean), c(2.8948849180, 4.1463761705), 1e-5)
    bulls <- em_hmm(logret ~ 1, data = readRDS("tests/testthat/fixtures/hmm-depmix.rds")$sp500, n_states = 3)
    expect_value("sp500: three states, default starts", bulls$loglik, 1347.0748801700, 1e-4)
    nile <- em_hmm(flow ~ 1, data = data.frame(flow = as.vector(Nile)), n_states = 2, topology = "left-right",
                   initial = c(1, 0), shared = "sd")
    print(nile)
    expect_value("Nile: first year of the low state", 1870 + which.max(nile$states == 2), 1899)
    expect_value("Nile: number of parameters (a structural zero)", nile$df, 4)
  },

  "mixtures of regressions, and of counts" = function() {
    set.seed(1)
    lines <- em_mixture(waiting ~ eruptions, data = faithful, n_components = 2, start = 1 + (faithful$eruptions > 3),
                        control = tight)
    print(summary(lines))
    for (type in c("regression", "residuals", "posterior")) {
      save_plot(paste0("mixture-", type), function() plot(lines, type))
    }
    # Plain EM in R (weighted least squares, maximum likelihood variances).
    expect_value("faithful: two lines, log-likelihood", lines$loglik, -864.299624072, 1e-6)
    expect_value("faithful: slopes", unname(lines$parameters$emission$coefficients[2, ]),
                 c(10.7181715, 10.6777112), 1e-4)
    balance <- readRDS("tests/testthat/fixtures/hmm-depmix.rds")$balance
    items <- list(d1 ~ 1, d2 ~ 1, d3 ~ 1, d4 ~ 1)
    classes <- em_mixture(items, data = balance, n_components = 2, family = "binomial", control = tight)
    expect_value("balance scale: two latent classes", classes$loglik, -1083.036267993, 1e-6)
    aged <- update(classes, proportions = ~ age)
    print(aged)
    expect_value("balance scale: age on the proportions", aged$loglik, -951.2917523784, 1e-6)
    times <- data.frame(deaths = 0:9, days = c(162, 267, 271, 185, 111, 61, 27, 8, 3, 1))
    deaths <- em_mixture(deaths ~ 1, data = times, n_components = 2, family = "poisson", weights = days,
                         control = tight)
    print(deaths)
    expect_value("deaths in the Times: log-likelihood", deaths$loglik, -1989.945859883, 1e-6)
    expect_value("deaths in the Times: rates", unname(deaths$parameters$emission$lambda),
                 c(2.663404357, 1.256095101), 1e-5)
  },

  "factor analysis: selection, rotation, standard errors, missing values" = function() {
    set.seed(1)
    cars <- em_fa(mtcars, n_factors = 1:4)
    print(summary(cars))
    for (type in c("loadings", "scree", "biplot", "selection")) {
      save_plot(paste0("factors-", type), function() plot(cars, type))
    }
    expect_value("mtcars: factors chosen", cars$n_factors, 3)
    # Reference values of stats::factanal() at its tightest tolerance, covariances with divisor n.
    expect_value("mtcars: two factors, log-likelihood", cars$selection$loglik[2], -615.97044854, 2e-8)
    ability <- em_fa(covmat = ability.cov, n_factors = 2, rotation = "promax")
    print(ability)
    expect_value("ability.cov: log-likelihood", ability$loglik, -2023.40413474, 2e-8)
    expect_value("ability.cov: criterion", ability$test$criterion, 0.0571602168, 1e-9)
    expect_value("ability.cov: uniquenesses", unname(ability$uniquenesses),
                 c(0.45522416, 0.58933216, 0.21817957, 0.76942146, 0.05245176, 0.33358834), 1e-7)
    tests <- em_fa(covmat = Harman74.cor, n_factors = 4)
    expect_value("Harman74.cor: log-likelihood", tests$loglik, -4232.77923342, 2e-8)
    save_plot("factors-harman", function() plot(tests, se = TRUE))
    holes <- em_fa(airquality[, 1:4], n_factors = 1, control = tight)
    print(summary(holes))
    print(head(augment(holes)))
    expect_value("airquality, 44 cells missing: log-likelihood", holes$loglik, -2329.7951775165, 1e-7)
    heywood <- tryCatch(em_fa(swiss, n_factors = 2), em_warning_heywood = function(w) conditionMessage(w))
    cat(strwrap(heywood), sep = "\n")
    expect_value("swiss: the Heywood case is named", as.numeric(grepl("Education", heywood)), 1)
  },

  "a model of one's own: linkage, blood groups" = function() {
    counts <- c(125, 18, 20, 34)
    linkage <- em(
      start = list(t = 0.1),
      e_step = function(theta, y) y[1] * theta$t / (2 + theta$t),
      m_step = function(x, y) list(t = (x + y[4]) / (x + sum(y[2:4]))),
      loglik = function(theta, y) sum(y * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t) / 4)),
      complete_loglik = function(theta, x, y) (x + y[4]) * log(theta$t) + (y[2] + y[3]) * log(1 - theta$t),
      data = counts, transform = "probability", n_obs = sum(counts), control = tight
    )
    print(summary(linkage))
    save_plot("em-bound", function() plot(linkage, "bound"))
    expect_value("linkage: recombination (Rao)", linkage$parameters$t, 0.6268214979, 1e-10)
    expect_value("linkage: standard error, second derivative", sqrt(vcov(linkage)[1, 1]), 0.0514673492, 1e-9)
    groups <- c(A = 186, B = 38, AB = 13, O = 284)
    loglik <- function(theta, n) {
      p <- theta$genes
      sum(n * log(c(p[1]^2 + 2 * p[1] * p[3], p[2]^2 + 2 * p[2] * p[3], 2 * p[1] * p[2], p[3]^2)))
    }
    count_genes <- function(theta, n) {
      p <- theta$genes
      aa <- n[1] * p[1] / (p[1] + 2 * p[3])
      bb <- n[2] * p[2] / (p[2] + 2 * p[3])
      genes <- c(n[1] + aa + n[3], n[2] + bb + n[3], n[1] - aa + n[2] - bb + 2 * n[4])
      list(genes = unname(genes) / sum(genes))
    }
    blood <- em(list(genes = c(A = 1, B = 1, O = 1) / 3), update = count_genes, loglik = loglik, data = groups,
                transform = "simplex", n_obs = sum(groups), control = tight)
    print(blood)
    # a maximum that optim() finds in log ratios
    simplex <- function(v) list(genes = exp(c(v, 0)) / sum(exp(c(v, 0))))
    oracle <- optim(c(0, 0), function(v) -loglik(simplex(v), groups), method = "BFGS", control = list(reltol = 1e-15))
    expect_value("blood groups: log-likelihood, optim()", blood$loglik, -oracle$value, 1e-8)
    expect_value("blood groups: shares of the genes", unname(blood$parameters$genes), simplex(oracle$par)$genes, 1e-5)
    wrong <- tryCatch(update(blood, update = function(theta, n) list(genes = c(0.9, 0.05, 0.05))),
                      em_error_non_monotone = function(e) conditionMessage(e))
    cat(strwrap(wrong, 88), sep = "\n")
    expect_value("blood groups: a wrong step is an error", is.character(wrong), TRUE)
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
