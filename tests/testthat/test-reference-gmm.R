# Stored reference values (fixtures/reference-values.csv, made by the plain-R oracle in
# fixtures/make-reference-values.R; 13 of the 14 structures agree with mclust at tight tolerance).

values <- reference_values()

# The arguments of em_gmm() for one row of the table.
reference_arguments <- function(row) {
  case <- reference_case(row$data)
  start <- if (row$n_components == 1) NULL else case$partition
  if (anyNA(case$x)) {
    # The stated start for incomplete data: means of observed cells, the diagonal of the columns' variances.
    first <- oracle_start(case$x, indicator(case$partition), row$model)
    start <- first[c("proportions", "means", "covariances")]
  }
  arguments <- list(case$x, n_components = row$n_components, covariance = row$model, start = start)
  if (row$variant == "weights") arguments$weights <- weights_iris()
  if (row$variant == "equal_proportions") arguments$equal_proportions <- TRUE
  arguments
}

# Shown to see what they should: without n_k in the weights of the common orientation the VVE values fail, without the
# conditional covariance of the missing cells those of XI and XF do.
for (i in which(!values$variant %in% c("trap", "search"))) {
  row <- values[i, ]
  name <- sprintf("%s %s,%d %s", row$data, row$model, row$n_components, row$variant)
  test_that(paste("the stored optimum is reached:", name), {
    arguments <- reference_arguments(row)
    tight <- do.call(em_gmm, c(arguments, list(control = tight_control())))
    # 1e-6 in the log-likelihood itself, not relative to it.
    expect_lt(abs(tight$loglik - row$loglik), 1e-6)
    expect_equal(tight$df, row$df)
    expect_true(tight$converged)
    expect_equal(as.numeric(stats::BIC(tight)), -2 * row$loglik + row$df * log(tight$nobs), tolerance = 1e-9)
    default <- do.call(em_gmm, arguments)
    expect_true(default$converged)
    # The promise of the defaults: within 1e-6, relative, of what the tightest tolerance reaches.
    expect_lt(abs(default$loglik - tight$loglik), 1e-6 * abs(tight$loglik))
  })
}

test_that("plain EM reaches the stored optimum too", {
  for (i in which(values$data == "iris" & values$variant == "plain" & values$n_components == 3)) {
    arguments <- reference_arguments(values[i, ])
    fit <- do.call(em_gmm, c(arguments, list(control = tight_control(acceleration = "none"))))
    expect_lt(abs(fit$loglik - values$loglik[i]), 1e-6)
  }
})

test_that("VVE is above the values at which mclust 6 stops", {
  reached <- function(x, partition) {
    em_gmm(x, n_components = max(partition), covariance = "VVE", start = partition)$loglik
  }
  expect_gt(reached(data_iris(), partition_iris()), -215.241 + 0.5)
  expect_gt(reached(data_faithful(), partition_faithful()), -1132.187 + 0.05)
})

test_that("VVE is above mclust's values on mclust's own data sets", {
  skip_if_not_installed("mclust")
  get <- function(name) {
    where <- new.env()
    utils::data(list = name, package = "mclust", envir = where)
    where[[name]]
  }
  for (case in list(list("thyroid", 2:6, "Diagnosis", -2296.325, -2279.217),
                    list("banknote", 2:7, "Status", -754.703, -754.498),
                    list("diabetes", 2:4, "class", -2330.807, -2327.784))) {
    data <- get(case[[1]])
    partition <- as.integer(factor(data[[case[[3]]]]))
    fit <- em_gmm(as.matrix(data[case[[2]]]), n_components = max(partition), covariance = "VVE", start = partition,
                  control = tight_control())
    expect_gt(fit$loglik, case[[4]])
    # The optimum from this start, by the plain-R oracle, to the three digits written above.
    expect_lt(abs(fit$loglik - case[[5]]), 1e-3)
  }
})

test_that("default starts escape the traps", {
  for (i in which(values$variant == "trap")) {
    row <- values[i, ]
    x <- reference_case(row$data)$x
    for (seed in 1:3) {
      fit <- with_seed(seed, em_gmm(x, n_components = row$n_components, covariance = row$model))
      expect_gt(fit$loglik, row$loglik - 1e-5)
      expect_equal(fit$df, row$df)
    }
    # The global optimum, not a spurious one above it: a component on a few points would show.
    expect_lt(fit$loglik, row$loglik + 1e-5)
  }
  galaxies <- with_seed(1, em_gmm(data_galaxies(), n_components = 3, covariance = "V"))
  expect_equal(sort(as.numeric(galaxies$parameters$means)), c(9.71014, 21.40010, 33.04438), tolerance = 1e-5)
})

test_that("the acidity saddle with two identical means is left when the start is not exactly on it", {
  x <- data_acidity()
  # Thirds by quantiles, the start that stalls at -185.949 in other programs.
  thirds <- cut(x, stats::quantile(x, 0:3 / 3), include.lowest = TRUE, labels = FALSE)
  stalled <- em_gmm(x, n_components = 3, covariance = "E", start = thirds)
  free <- with_seed(1, em_gmm(x, n_components = 3, covariance = "E"))
  expect_gte(free$loglik, stalled$loglik)
  expect_lt(abs(free$loglik - -183.178261156), 1e-5)
})

test_that("full searches reach the stored best BIC", {
  for (i in which(values$variant == "search")) {
    row <- values[i, ]
    x <- reference_case(row$data)$x
    fit <- with_seed(1, em_gmm(x, n_components = 1:9, covariance = "all"))
    stored <- -2 * row$loglik + row$df * log(nrow(x))
    # At least as good, to 1e-6 of the log-likelihood.
    expect_lt(stats::BIC(fit), stored + 2e-4)
    expect_identical(nrow(fit$selection), 9L * 14L)
    cell <- fit$selection[fit$selection$covariance == row$model & fit$selection$n_components == row$n_components, ]
    expect_gt(cell$loglik, row$loglik - 1e-4)
    expect_lt(abs(min(fit$selection$BIC, na.rm = TRUE) - stats::BIC(fit)), 1e-6)
  }
})

test_that("searches on more data sets are at least as good as mclust's, cell by cell at the best", {
  skip_unless_extended()
  skip_if_not_installed("mclust")
  mclustBIC <- mclust::mclustBIC
  sets <- list(iris = data_iris(), faithful = data_faithful(), swiss = as.matrix(swiss), trees = as.matrix(trees),
               quakes = data_quakes(), rock = as.matrix(rock), stackloss = as.matrix(stackloss))
  for (name in names(sets)) {
    theirs <- mclust::Mclust(sets[[name]], G = 1:5, verbose = FALSE)
    ours <- with_seed(1, em_gmm(sets[[name]], n_components = 1:5, covariance = "all"))
    # mclust's BIC has the opposite sign.
    expect_lt(stats::BIC(ours), -max(theirs$BIC, na.rm = TRUE) + 1e-3)
  }
})
