# em_gmm(): starts, selection, the forms of data and start, and the variants of the model.

x <- data_faithful()
start <- partition_faithful()

# --- the fit object ---------------------------------------------------------------------------------

test_that("the fit has the promised fields and shapes", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVV", start = start)
  expect_s3_class(fit, c("em_gmm", "em_fit"), exact = TRUE)
  expect_type(unclass(fit), "list")
  expect_identical(fit$n_components, 2L)
  expect_identical(fit$covariance, "VVV")
  expect_identical(fit$variables, c("eruptions", "waiting"))
  p <- fit$parameters
  expect_identical(names(p$proportions), c("1", "2"))
  expect_identical(dimnames(p$means), list(c("eruptions", "waiting"), c("1", "2")))
  expect_identical(dim(p$covariances), c(2L, 2L, 2L))
  expect_equal(sum(p$proportions), 1, tolerance = 1e-14)
  expect_gte(p$proportions[[1]], p$proportions[[2]])
  expect_identical(dim(fit$posterior), c(272L, 2L))
  expect_type(fit$classification, "integer")
  expect_identical(unname(fit$classification), unname(max.col(fit$posterior, "first")))
  expect_named(fit$trace, c("iteration", "loglik", "log_prior", "objective", "step"))
  expect_named(fit$starts, c("start", "method", "loglik", "status", "iterations", "best"))
  expect_named(fit$selection, c("covariance", "n_components", "loglik", "df", "BIC", "ICL", "status", "message"))
  expect_equal(fit$nobs, 272)
  expect_identical(as.integer(fit$n_rows), 272L)
  expect_equal(fit$df, 11)
  expect_identical(nrow(fit$trace), as.integer(fit$iterations) + 1L)
})

test_that("BIC, AIC and ICL have stats' sign, and agree with their definitions", {
  fit <- em_gmm(faithful, n_components = 2:3, covariance = c("EEE", "VVV"))
  expect_equal(stats::BIC(fit), -2 * fit$loglik + fit$df * log(272))
  expect_equal(stats::AIC(fit), -2 * fit$loglik + 2 * fit$df)
  map <- apply(fit$posterior, 1, max)
  row <- with(fit$selection, which(covariance == fit$covariance & n_components == fit$n_components))
  expect_equal(fit$selection$BIC[row], stats::BIC(fit))
  expect_equal(fit$selection$ICL[row], stats::BIC(fit) - 2 * sum(log(map)), tolerance = 1e-8)
  expect_equal(min(fit$selection$BIC), stats::BIC(fit))
})

test_that("saveRDS() and readRDS() keep everything that methods need", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVV", start = start)
  file <- tempfile(fileext = ".rds")
  on.exit(unlink(file))
  saveRDS(fit, file)
  back <- readRDS(file)
  expect_equal(back, fit)
  expect_identical(predict(back, faithful, type = "posterior"), predict(fit, faithful, type = "posterior"))
  # And in a session that never saw the fit being made there is nothing but R objects: no external pointers.
  pointers <- rapply(unclass(fit), function(e) TRUE, classes = "externalptr", how = "unlist")
  expect_length(pointers, 0)
})

test_that("fits print the same as they did", {
  fit <- em_gmm(faithful, n_components = 2, covariance = "VVV", start = start)
  expect_snapshot(print(fit), transform = hide_path)
  expect_snapshot(print(summary(fit)), transform = hide_path)
  one <- em_gmm(data_galaxies(), n_components = 3, covariance = "V",
                start = as.integer(cut(data_galaxies(), c(0, 15, 27, 40))))
  expect_snapshot(print(one), transform = hide_path)
  incomplete <- em_gmm(data_xf(), n_components = 2, covariance = "EEE", start = start, noise = TRUE)
  expect_snapshot(print(incomplete), transform = hide_path)
})

# --- forms of data ----------------------------------------------------------------------------------

test_that("vector, matrix, data frame, tibble and data.table are the same data", {
  reference <- em_gmm(x, n_components = 2, covariance = "VVV", start = start)
  same <- function(data) {
    fit <- em_gmm(data, n_components = 2, covariance = "VVV", start = start)
    expect_identical(fit$loglik, reference$loglik)
    expect_identical(unname(fit$posterior), unname(reference$posterior))
  }
  same(faithful)
  if (requireNamespace("tibble", quietly = TRUE)) same(tibble::as_tibble(faithful))
  if (requireNamespace("data.table", quietly = TRUE)) same(data.table::as.data.table(faithful))
  integers <- round(x)
  storage.mode(integers) <- "integer"
  expect_identical(em_gmm(integers, n_components = 2, covariance = "EEE", start = start)$loglik,
                   em_gmm(round(x), n_components = 2, covariance = "EEE", start = start)$loglik)
  vector <- em_gmm(faithful$waiting, n_components = 2, covariance = "V", start = start)
  column <- em_gmm(x[, "waiting", drop = FALSE], n_components = 2, covariance = "V", start = start)
  expect_identical(vector$loglik, column$loglik)
  # Logical columns count as 0 and 1.
  expect_identical(em_gmm(data.frame(a = x[, 1] > 3, b = x[, 2]), n_components = 1, covariance = "VVV")$loglik,
                   em_gmm(cbind(a = +(x[, 1] > 3), b = x[, 2]), n_components = 1, covariance = "VVV")$loglik)
})

test_that("aliases name the structures", {
  pairs <- c(full = "VVV", tied = "EEE", diagonal = "VVI", spherical = "VII")
  for (alias in names(pairs)) {
    fit <- em_gmm(x, n_components = 2, covariance = alias, start = start)
    expect_identical(fit$covariance, pairs[[alias]])
    expect_identical(fit$loglik, em_gmm(x, n_components = 2, covariance = pairs[[alias]], start = start)$loglik)
  }
  expect_identical(em_gmm(x[, 1], n_components = 2, covariance = "tied", start = start)$covariance, "E")
  expect_identical(em_gmm(x[, 1], n_components = 2, covariance = "full", start = start)$covariance, "V")
})

test_that("the formula interface reads transformations, subset and weights", {
  w <- 1 + seq_len(nrow(faithful)) %% 3
  data <- cbind(faithful, w = w)
  keep <- faithful$waiting > 50
  formula <- em_gmm(~ eruptions + log(waiting), data = data, n_components = 2, covariance = "VVV",
                    weights = w, subset = waiting > 50, start = start[keep])
  by_hand <- em_gmm(cbind(eruptions = faithful$eruptions, log(faithful$waiting))[keep, ], n_components = 2,
                    covariance = "VVV", weights = w[keep], start = start[keep])
  expect_equal(formula$loglik, by_hand$loglik, tolerance = 1e-14)
  expect_identical(formula$variables, c("eruptions", "log(waiting)"))
  expect_equal(formula$nobs, sum(w[keep]))
  expect_identical(nrow(formula$posterior), sum(keep))
  expect_identical(rownames(formula$posterior), rownames(faithful)[keep])
  dot <- em_gmm(~ ., data = faithful, n_components = 2, covariance = "VVV", start = start)
  expect_identical(dot$loglik, em_gmm(faithful, n_components = 2, covariance = "VVV", start = start)$loglik)
  # No intercept column, with or without saying so.
  expect_identical(em_gmm(~ eruptions + waiting - 1, data = faithful, n_components = 2, covariance = "VVV",
                          start = start)$loglik, dot$loglik)
  # Missing values in the variables stay in the model.
  holes <- as.data.frame(data_xf())
  expect_equal(em_gmm(~ eruptions + waiting, data = holes, n_components = 2, covariance = "VVV", start = start)$loglik,
               em_gmm(data_xf(), n_components = 2, covariance = "VVV", start = start)$loglik, tolerance = 1e-14)
  # Variables of the calling function are found.
  inner <- function() {
    local_data <- faithful
    local_weights <- w
    em_gmm(~ eruptions + waiting, data = local_data, weights = local_weights, n_components = 2,
           covariance = "VVV", start = start)
  }
  expect_equal(inner()$nobs, sum(w))
})

test_that("new data go through the formula of the fit", {
  fit <- em_gmm(~ log(waiting) + eruptions, data = faithful, n_components = 2, covariance = "VVV", start = start)
  expect_equal(predict(fit, newdata = faithful, type = "posterior"), fit$posterior, tolerance = 1e-12)
})

# --- forms of start ---------------------------------------------------------------------------------

test_that("a partition, a factor, posteriors, parameters and a fit are starts for the same optimum", {
  reference <- em_gmm(x, n_components = 2, covariance = "VEV", start = start, control = tight_control())
  forms <- list(
    factor = factor(c("short", "long")[start]),
    text = c("short", "long")[start],
    posterior = indicator(start),
    soft = 0.8 * indicator(start) + 0.1,
    fit = reference,
    other_fit = em_gmm(x, n_components = 2, covariance = "EII", start = start),
    parameters = reference$parameters[c("proportions", "means", "covariances")],
    bare = list(proportions = unname(reference$parameters$proportions), means = unname(reference$parameters$means),
                covariances = unname(reference$parameters$covariances))
  )
  for (form in names(forms)) {
    fit <- em_gmm(x, n_components = 2, covariance = "VEV", start = forms[[form]], control = tight_control())
    expect_equal(fit$loglik, reference$loglik, tolerance = 1e-11, label = form)
    expect_equal(fit$parameters, reference$parameters, tolerance = 1e-5, label = form)
  }
})

test_that("a parameter start is evaluated where it is", {
  problem <- contract_problem("VVV", "plain", "many")
  fit <- contract_fit(problem)
  expect_equal(fit$trace$loglik[1], oracle_loglik(problem$x, problem$start), tolerance = 1e-11)
})

test_that("a partition start is one M-step of the structure", {
  for (code in c("EII", "VEI", "EEE", "VVE", "VVV")) {
    fit <- quietly(em_gmm(x, n_components = 2, covariance = code, start = start, control = em_control(max_iter = 0)))
    first <- oracle_start(x, indicator(start), code)
    expect_equal(fit$loglik, oracle_loglik(x, first), tolerance = 1e-11)
  }
})

test_that("continuing a converged fit changes nothing", {
  fit <- em_gmm(x, n_components = 2, covariance = "VVV", start = start, control = tight_control())
  again <- em_gmm(x, n_components = 2, covariance = "VVV", start = fit, control = tight_control())
  expect_equal(again$loglik, fit$loglik, tolerance = 1e-13)
  expect_lte(again$iterations, 6)
})

test_that("a start from hard posteriors of 1 and 0 leaves no component locked", {
  # With one point wrongly put the posterior must be free to move it.
  wrong <- replace(start, c(1, 40), 3 - start[c(1, 40)])
  a <- em_gmm(x, n_components = 2, covariance = "VVV", start = indicator(wrong), control = tight_control())
  b <- em_gmm(x, n_components = 2, covariance = "VVV", start = start, control = tight_control())
  expect_equal(a$loglik, b$loglik, tolerance = 1e-10)
})

# --- default starts ---------------------------------------------------------------------------------

test_that("default starts find the same optimum in any units and any order of rows, columns and seed", {
  cases <- list(list(x, 2, "VVV"), list(x, 3, "EEE"), list(data_iris(), 3, "VVV"), list(data_iris(), 2, "VEV"),
                list(data_xi(), 3, "EEE"), list(data_faithful()[, 1, drop = FALSE], 2, "V"))
  for (case in cases) {
    data <- case[[1]]
    fit <- function(data, seed = 1) {
      with_seed(seed, quietly(em_gmm(data, n_components = case[[2]], covariance = case[[3]])))
    }
    base <- fit(data)
    cells <- sum(!is.na(data))
    expect_equal(fit(data, 2)$loglik, base$loglik, tolerance = 1e-6)
    for (unit in c(1e-8, 1e8)) expect_equal(fit(unit * data)$loglik + cells * log(unit), base$loglik, tolerance = 1e-6)
    rows <- with_seed(3, sample(nrow(data)))
    expect_equal(fit(data[rows, , drop = FALSE])$loglik, base$loglik, tolerance = 1e-6)
    expect_equal(fit(data[, rev(seq_len(ncol(data))), drop = FALSE])$loglik, base$loglik, tolerance = 1e-6)
  }
})

test_that("the same seed gives the same fit, and the stream moves on as set.seed() says", {
  a <- with_seed(5, em_gmm(x, n_components = 3, covariance = "VVV"))
  b <- with_seed(5, em_gmm(x, n_components = 3, covariance = "VVV"))
  expect_identical(a[c("loglik", "parameters", "starts")], b[c("loglik", "parameters", "starts")])
  # A fit from a given start draws nothing.
  drawn <- with_seed(5, {
    em_gmm(x, n_components = 2, covariance = "VVV", start = start)
    stats::runif(1)
  })
  expect_identical(drawn, with_seed(5, stats::runif(1)))
})

test_that("threads change nothing with default starts or in a search", {
  fit <- function(threads) {
    control <- em_control(threads = threads)
    with_seed(2, em_gmm(x, n_components = 1:3, covariance = c("EEE", "VVV", "VVE"), control = control))
  }
  one <- fit(1)
  for (threads in c(2, 4)) {
    other <- fit(threads)
    for (field in c("loglik", "parameters", "posterior", "selection", "starts", "trace")) {
      expect_identical(other[[field]], one[[field]], label = field)
    }
  }
})

test_that("the table of starts tells how many reached the best", {
  fit <- with_seed(1, em_gmm(data_iris(), n_components = 3, covariance = "VVI"))
  expect_gt(nrow(fit$starts), 1)
  expect_true(any(fit$starts$best))
  expect_gt(length(unique(fit$starts$method)), 1)
  best <- max(fit$starts$loglik, na.rm = TRUE)
  expect_lte(best, fit$loglik + 1e-6)
  expect_true(all(fit$starts$loglik[fit$starts$best] > fit$loglik - 1e-3 * (1 + abs(fit$loglik))))
})

test_that("well separated clusters are found by default", {
  truth <- list(proportions = rep(1, 6) / 6, means = 12 * rbind(1:6, c(3, 1, 5, 2, 6, 4)),
                covariances = array(diag(2), c(2, 2, 6)))
  drawn <- simulate_mixture(600, truth, seed = 4)
  for (seed in 1:3) {
    fit <- with_seed(seed, em_gmm(drawn$x, n_components = 6, covariance = "VII"))
    expect_identical(length(unique(paste(fit$classification, drawn$label))), 6L)
  }
})

# --- selection --------------------------------------------------------------------------------------

test_that("a grid has one row per cell, in order, each as good as fitting it alone", {
  codes <- c("EII", "EEE", "VVV")
  fit <- with_seed(1, em_gmm(x, n_components = 1:3, covariance = codes))
  expect_identical(nrow(fit$selection), 9L)
  expect_setequal(paste(fit$selection$covariance, fit$selection$n_components), paste(rep(codes, 3), rep(1:3, each = 3)))
  expect_equal(fit$selection$BIC, -2 * fit$selection$loglik + fit$selection$df * log(nrow(x)))
  for (i in seq_len(9)) {
    cell <- fit$selection[i, ]
    alone <- with_seed(1, em_gmm(x, n_components = cell$n_components, covariance = cell$covariance))
    expect_equal(fit$selection$loglik[i], alone$loglik, tolerance = 1e-6)
    expect_equal(fit$selection$df[i], alone$df)
  }
  best <- which.min(fit$selection$BIC)
  expect_identical(fit$covariance, fit$selection$covariance[best])
  expect_identical(fit$n_components, as.integer(fit$selection$n_components[best]))
})

test_that("criterion = ICL and AIC choose by their own column", {
  grid <- function(criterion) {
    with_seed(1, em_gmm(x, n_components = 1:5, covariance = c("EEE", "VVV"), criterion = criterion))
  }
  icl <- grid("ICL")
  best <- icl$selection[which.min(icl$selection$ICL), ]
  expect_identical(c(icl$covariance, icl$n_components), c(best$covariance, best$n_components))
  aic <- grid("AIC")
  table <- -2 * aic$selection$loglik + 2 * aic$selection$df
  best <- aic$selection[which.min(table), ]
  expect_identical(c(aic$covariance, aic$n_components), c(best$covariance, best$n_components))
  expect_identical(aic$criterion, "AIC")
})

test_that("larger structures are never below the structures they contain", {
  fit <- with_seed(1, em_gmm(data_iris(), n_components = 2:3, covariance = "all"))
  contains <- list(VII = "EII", EEI = "EII", VEI = c("VII", "EEI"), EVI = "EEI", VVI = c("VEI", "EVI"), EEE = "EEI",
                   VEE = c("VEI", "EEE"), EVE = c("EVI", "EEE"), VVE = c("VVI", "VEE", "EVE"), EEV = "EEE",
                   VEV = c("VEE", "EEV"), EVV = c("EVE", "EEV"), VVV = c("VVE", "VEV", "EVV"))
  value <- function(code, K) with(fit$selection, loglik[covariance == code & n_components == K])
  for (K in 2:3) for (large in names(contains)) for (small in contains[[large]]) {
    expect_gte(value(large, K), value(small, K) - 1e-4, label = paste(large, "over", small, K))
  }
})

test_that("one variable is searched over E and V", {
  fit <- with_seed(1, em_gmm(data_galaxies(), n_components = 1:4, covariance = "all"))
  expect_setequal(fit$selection$covariance, c("E", "V"))
})

# --- variants of the model --------------------------------------------------------------------------

test_that("noise takes the outliers and leaves the components alone", {
  outliers <- with_seed(1, cbind(stats::runif(30, -5, 12), stats::runif(30, 0, 150)))
  data <- rbind(x, setNames(outliers, NULL))
  plain <- em_gmm(x, n_components = 2, covariance = "VVV", start = start)
  fit <- em_gmm(data, n_components = 2, covariance = "VVV", noise = TRUE)
  expect_identical(colnames(fit$posterior), c("1", "2", "noise"))
  expect_identical(names(fit$parameters$proportions), c("1", "2", "noise"))
  expect_true(all(fit$classification %in% 0:2))
  expect_gt(mean(fit$classification[-(1:272)] == 0), 0.7)
  expect_lt(mean(fit$classification[1:272] == 0), 0.05)
  expect_equal(fit$parameters$means, plain$parameters$means, tolerance = 0.03)
  # The box is that of the data; its volume is its sides' product.
  expect_equal(unname(fit$parameters$noise$sides), unname(apply(data, 2, function(v) diff(range(v)))))
  expect_equal(fit$parameters$noise$volume, prod(fit$parameters$noise$sides))
  expect_equal(fit$loglik, oracle_loglik(data, fit$parameters), tolerance = 1e-11)
})

test_that("known labels are kept and their rows count with their component's joint density", {
  data <- data_iris()
  known <- partition_iris()
  known[-c(1:5, 51:60, 101:110)] <- NA
  for (code in c("VVV", "EEE", "VEI")) {
    fit <- em_gmm(data, n_components = 3, covariance = code, known = known, control = tight_control())
    labelled <- which(!is.na(known))
    expect_identical(unname(fit$classification[labelled]), known[labelled])
    expect_equal(unname(fit$posterior[labelled, ]), diag(3)[known[labelled], ], tolerance = 1e-14)
    expect_equal(fit$loglik, oracle_loglik(data, fit$parameters, known = known), tolerance = 1e-11)
    expect_gt(min(diff(fit$trace$objective)), -1e-11 * abs(fit$loglik))
    expect_lt(max(abs(oracle_score(data, code, fit$parameters, known = known))), 2e-3)
  }
  # All known: the closed form of discriminant analysis.
  all_known <- em_gmm(data, n_components = 3, covariance = "VVV", known = partition_iris())
  groups <- split.data.frame(data, partition_iris())
  expect_equal(unname(all_known$parameters$means), unname(vapply(groups, colMeans, numeric(4))), tolerance = 1e-10)
  expect_equal(unname(all_known$parameters$covariances[, , 2]), unname(stats::cov(groups[[2]]) * 49 / 50),
               tolerance = 1e-10)
})

test_that("a known label of a row without any value is kept and counts by its proportion", {
  data <- data_iris()
  known <- rep(NA_integer_, 150)
  known[c(1, 60, 120)] <- 1:3
  data[60, ] <- NA
  fit <- em_gmm(data, n_components = 3, covariance = "EEE", known = known, start = partition_iris())
  expect_identical(unname(fit$posterior[60, ]), c(0, 1, 0))
  expect_equal(fit$loglik, oracle_loglik(data, fit$parameters, known = known), tolerance = 1e-11)
})

test_that("labels of noise rows are known as 0", {
  outliers <- cbind(c(-3, 9, 11), c(10, 140, 20))
  data <- rbind(x, outliers)
  known <- c(rep(NA, 272), 0, 0, 0)
  fit <- em_gmm(data, n_components = 2, covariance = "VVV", noise = TRUE, known = known)
  expect_identical(unname(fit$classification[273:275]), c(0L, 0L, 0L))
  expect_equal(fit$loglik, oracle_loglik(data, fit$parameters, known = known), tolerance = 1e-11)
})

# Shown by giving each component a whole inverse Wishart where they share one covariance: EII and EEE fail.
test_that("with a prior the penalised objective climbs and its gradient is zero at the end", {
  prior <- em_gmm_prior(shrinkage = 0.5, mean = c(3, 70), df = 5, scale = matrix(c(1, 2, 2, 90), 2))
  for (code in c("EII", "VVI", "EEE", "VEE", "VVE", "VEV", "VVV")) {
    fit <- em_gmm(x, n_components = 3, covariance = code, prior = prior, control = tight_control(),
                  start = rep_len(1:3, 272)[order(order(x[, 1]))])
    expect_gt(min(diff(fit$trace$objective)), -1e-11 * abs(fit$loglik))
    expect_equal(fit$trace$objective, fit$trace$loglik + fit$trace$log_prior, tolerance = 1e-13)
    expect_equal(fit$loglik, oracle_loglik(x, fit$parameters), tolerance = 1e-11)
    expect_lt(max(abs(oracle_score(x, code, fit$parameters, prior = prior))), 5e-3)
    expect_gt(max(abs(oracle_score(x, code, fit$parameters))), 0.1)
    expect_gt(diff(range(fit$trace$log_prior)), 0)
    expect_equal(fit$log_prior, oracle_log_prior(fit$parameters, prior, code), tolerance = 1e-9)
  }
})

test_that("the default prior keeps components from collapsing where maximum likelihood does", {
  data <- rbind(x, matrix(c(3, 65), 25, 2, byrow = TRUE))
  partition <- c(start, rep(3, 25))
  expect_error(em_gmm(data, n_components = 3, covariance = "VVV", start = partition), class = "em_error")
  fit <- em_gmm(data, n_components = 3, covariance = "VVV", start = partition, prior = TRUE)
  expect_true(fit$converged)
  expect_true(all(is.finite(fit$parameters$covariances)))
})

test_that("the default prior follows units", {
  a <- em_gmm(x, n_components = 2, covariance = "VVV", start = start, prior = TRUE, control = tight_control())
  b <- em_gmm(1e5 * x, n_components = 2, covariance = "VVV", start = start, prior = TRUE, control = tight_control())
  expect_equal(b$posterior, a$posterior, tolerance = 1e-6)
  expect_equal(b$parameters$means, 1e5 * a$parameters$means, tolerance = 1e-6)
})

test_that("fixed parameters stay and the rest is maximised around them", {
  free <- em_gmm(x, n_components = 2, covariance = "VVV", start = start)
  begin <- free$parameters[c("proportions", "means", "covariances")]
  means <- unname(begin$means)
  means[, 1] <- means[, 1] + c(0.2, 1)
  means[, 2] <- NA
  fit <- em_gmm(x, n_components = 2, covariance = "VVV", start = begin, fixed = list(means = means),
                control = tight_control())
  expect_equal(unname(fit$parameters$means[, 1]), means[, 1], tolerance = 1e-13)
  expect_gt(min(diff(fit$trace$objective)), -1e-11 * abs(fit$loglik))
  expect_lt(fit$loglik, free$loglik)
  expect_equal(fit$df, free$df - 2)
  proportions <- c(0.3, 0.7)
  fit <- em_gmm(x, n_components = 2, covariance = "EEE", start = begin, fixed = list(proportions = proportions))
  expect_equal(unname(fit$parameters$proportions), proportions, tolerance = 1e-13)
  covariances <- array(c(0.1, 0, 0, 30), c(2, 2, 2))
  fit <- em_gmm(x, n_components = 2, covariance = "VVV", start = begin, fixed = list(covariances = covariances),
                control = tight_control())
  expect_equal(unname(fit$parameters$covariances), covariances, tolerance = 1e-13)
  expect_gt(min(diff(fit$trace$objective)), -1e-11 * abs(fit$loglik))
  expect_equal(fit$df, 5)
  # At the optimum the means are the posterior-weighted means, whatever is fixed elsewhere.
  n <- colSums(fit$posterior)
  expect_equal(unname(fit$parameters$means), unname(crossprod(x, fit$posterior) / rep(n, each = 2)), tolerance = 1e-6)
})

test_that("equal proportions are equal", {
  fit <- em_gmm(x, n_components = 2, covariance = "VVV", equal_proportions = TRUE, start = start)
  expect_identical(unname(fit$parameters$proportions), c(0.5, 0.5))
  expect_equal(fit$df, 10)
  # Means are weighted by the posterior, not by n / K: two clusters of unequal size stay where they are.
  data <- c(with_seed(1, stats::rnorm(200)), with_seed(2, stats::rnorm(40, 10)))
  for (code in c("E", "V")) {
    fit <- em_gmm(data, n_components = 2, covariance = code, equal_proportions = TRUE)
    expect_equal(sort(as.numeric(fit$parameters$means)), c(mean(data[1:200]), mean(data[201:240])), tolerance = 1e-2)
  }
})

test_that("rows without any value are kept with the proportions as posterior", {
  data <- x
  data[c(2, 100), ] <- NA
  fit <- em_gmm(data, n_components = 2, covariance = "VVV", start = start)
  expect_identical(nrow(fit$posterior), 272L)
  for (row in c(2, 100)) {
    expect_equal(unname(fit$posterior[row, ]), unname(fit$parameters$proportions), tolerance = 1e-14)
  }
  without <- em_gmm(data[-c(2, 100), ], n_components = 2, covariance = "VVV", start = start[-c(2, 100)])
  expect_equal(fit$loglik, without$loglik, tolerance = 1e-8)
  expect_equal(fit$nobs, 270)
  expect_equal(stats::BIC(fit), stats::BIC(without), tolerance = 1e-8)
})

test_that("imputed values are the posterior mean of the conditional means", {
  fit <- em_gmm(data_xi(), n_components = 3, covariance = "VVV", start = partition_iris())
  imputed <- predict(fit, type = "imputed")
  data <- data_xi()
  observed <- !is.na(data)
  expect_identical(unname(imputed[observed]), unname(data[observed]))
  expected <- oracle_e_step(data, fit$parameters, rep(1, 150))
  by_hand <- Reduce(`+`, lapply(1:3, function(k) expected$posterior[, k] * expected$filled[[k]]))
  expect_equal(unname(imputed), unname(by_hand), tolerance = 1e-8)
})

test_that("the internal update() of a call refits with the change", {
  fit <- em_gmm(~ eruptions + waiting, data = faithful, n_components = 2, covariance = "VVV", start = start)
  other <- update(fit, covariance = "EEE")
  expect_identical(other$covariance, "EEE")
  expect_identical(other$loglik, em_gmm(faithful, n_components = 2, covariance = "EEE", start = start)$loglik)
})

test_that("large offsets do not eat the digits", {
  # The shared-covariance shortcut works from totals: it must notice when they are too coarse.
  # Shown by raising kLargestSharedDistance: the log-likelihood is then wrong in its fifth digit.
  partition <- rep(1:2, each = 200)
  data <- with_seed(1, cbind(stats::rnorm(400, sd = 1e-2) + 1e4 * (partition == 2), stats::rnorm(400)))
  for (code in c("EEE", "EEI", "VVV", "VEE")) {
    fit <- quietly(em_gmm(data, n_components = 2, covariance = code, start = partition))
    expect_equal(fit$loglik, oracle_loglik(data, fit$parameters), tolerance = 1e-9)
    slow <- oracle_em(data, code, oracle_start(data, indicator(partition), code))
    expect_equal(fit$loglik, slow$loglik, tolerance = 1e-8)
  }
})

# Twelve variables in two clusters, of which nearly every row misses others: patterns too rare to be handled one by one.
sparse_rows <- function(n, share = 0.2) {
  with_seed(1, {
    x <- matrix(stats::rnorm(12 * n), n) %*% matrix(stats::rnorm(144), 12) / 3 + 2 * rep(1:2, each = n / 2)
    x[stats::runif(12 * n) < share] <- NA
    x
  })
}

test_that("rows of rare patterns have the densities and imputed values of the definitions", {
  data <- sparse_rows(300)
  data[7, ] <- NA
  partition <- rep(1:2, each = 150)
  for (code in c("VVV", "EEE", "VVI")) {
    for (noise in c(FALSE, TRUE)) {
      fit <- quietly(em_gmm(data, n_components = 2, covariance = code, start = partition, noise = if (noise) TRUE,
                            control = em_control(max_iter = 5)))
      expect_equal(fit$loglik, oracle_loglik(data, fit$parameters), tolerance = 1e-12)
      expect_equal(unname(fit$posterior), unname(oracle_posterior(data, fit$parameters)), tolerance = 1e-9)
      by_row <- vapply(1:20, function(i) oracle_loglik(data[i, , drop = FALSE], fit$parameters), 0)
      expect_equal(unname(predict(fit, type = "density", log = TRUE))[1:20], by_row, tolerance = 1e-11)
      if (noise) next
      expected <- oracle_e_step(data, fit$parameters, rep(1, 300))
      by_hand <- Reduce(`+`, lapply(1:2, function(k) expected$posterior[, k] * expected$filled[[k]]))
      expect_equal(unname(predict(fit, type = "imputed")), unname(by_hand), tolerance = 1e-9)
    }
  }
})

test_that("rare patterns and the same patterns made frequent give one fit", {
  # Copies of a row, weighted to count once, are handled as a pattern of their own.
  data <- sparse_rows(60)
  partition <- rep(1:2, each = 30)
  copies <- rep(1:60, each = 60)
  for (code in c("EEE", "VVV", "VVI")) {
    fit <- function(rows, weights) {
      quietly(em_gmm(data[rows, ], n_components = 2, covariance = code, start = partition[rows], weights = weights,
                     prior = TRUE, control = em_control(max_iter = 10, acceleration = "none")))
    }
    rare <- fit(1:60, NULL)
    frequent <- fit(copies, rep(1 / 60, 3600))
    expect_equal(rare$loglik, frequent$loglik, tolerance = 1e-11)
    expect_equal(rare$parameters, frequent$parameters, tolerance = 1e-8)
  }
})

test_that("rare patterns keep their digits where variables are nearly equal", {
  # Both of a pair are missing in some rows, one of them in others: the tolerance allows for the variance inflation of
  # 1e6 times the rounding of one operation.
  data <- sparse_rows(400, 0)
  data[, 12] <- data[, 11] + 1e-3 * with_seed(2, stats::rnorm(400))
  data[with_seed(3, stats::runif(4800)) < 0.25] <- NA
  fit <- quietly(em_gmm(data, n_components = 2, covariance = "VVV", start = rep(1:2, each = 200),
                        control = em_control(max_iter = 5)))
  expect_equal(fit$loglik, oracle_loglik(data, fit$parameters), tolerance = 1e-10)
})

test_that("rare patterns give the same digits for any number of threads", {
  data <- sparse_rows(3000)
  fit <- function(threads) {
    quietly(em_gmm(data, n_components = 2, covariance = "VVV", start = rep(1:2, each = 1500),
                   control = em_control(max_iter = 10, threads = threads)))
  }
  one <- fit(1)
  four <- fit(4)
  expect_identical(one$loglik, four$loglik)
  expect_identical(one$parameters, four$parameters)
  expect_identical(one$posterior, four$posterior)
})
