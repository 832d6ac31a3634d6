# Data for the tests: simulated mixtures, the reference data sets, and their starts.

# Evaluate with a fixed seed and leave the session's random stream as it was.
with_seed <- function(seed, code) {
  old <- get0(".Random.seed", globalenv(), inherits = FALSE)
  on.exit(if (is.null(old)) rm(".Random.seed", envir = globalenv()) else
    assign(".Random.seed", old, globalenv()))
  set.seed(seed, kind = "Mersenne-Twister", normal.kind = "Inversion", sample.kind = "Rejection")
  force(code)
}

# Draw n rows from a Gaussian mixture (and its uniform noise when parameters$noise is given:
# list(lower = d, upper = d) as well as sides). Returns list(x = n x d, label = integer n, 0 = noise).
simulate_mixture <- function(n, parameters, seed = 1) {
  with_seed(seed, {
    K <- ncol(parameters$means)
    d <- nrow(parameters$means)
    label <- sample.int(length(parameters$proportions), n, TRUE, parameters$proportions)
    x <- matrix(stats::rnorm(n * d), n, d)
    for (k in seq_len(K)) {
      rows <- which(label == k)
      root <- chol(matrix(parameters$covariances[, , k], d, d))
      x[rows, ] <- x[rows, , drop = FALSE] %*% root + rep(parameters$means[, k], each = length(rows))
    }
    rows <- which(label > K)
    for (j in seq_len(if (length(rows)) d else 0)) {
      x[rows, j] <- stats::runif(length(rows), parameters$noise$lower[j], parameters$noise$upper[j])
    }
    colnames(x) <- paste0("v", seq_len(d))
    list(x = x, label = replace(label, rows, 0L))
  })
}

# Random parameters inside a covariance structure: means `spread` apart, covariances of clearly different
# volume, shape and orientation as far as the structure allows.
random_parameters <- function(code, d, K, seed = 1, spread = 3, m_step = NULL) {
  if (is.null(m_step)) m_step <- if (is.na(oracle_n_covariance(code, d, K))) covariance_m_step_ else oracle_m_step
  with_seed(seed, {
    scatter <- array(0, c(d, d, K))
    for (k in seq_len(K)) {
      turn <- qr.Q(qr(matrix(stats::rnorm(d * d), d)))
      values <- (0.4 + 0.35 * k) * exp(seq(-0.7, 0.7, length.out = d)[sample.int(d)])
      scatter[, , k] <- turn %*% (values * t(turn))
    }
    proportions <- seq(1.6, 1, length.out = K)
    means <- matrix(stats::rnorm(d * K), d, K)
    # Directions apart from one another, so that components overlap but can be told apart.
    for (k in seq_len(K)) means[, k] <- means[, k] / sqrt(sum(means[, k]^2)) + (k - (K + 1) / 2) * spread / sqrt(d)
    covariances <- if (is_factor_code(code)) oracle_factor_covariances(oracle_factors(code, d, K)) else {
      array(as.numeric(m_step(code, scatter, rep(1, K))), c(d, d, K))
    }
    list(proportions = proportions / sum(proportions), means = means, covariances = covariances)
  })
}

# Blank out a share of the cells, at least one cell of every row left unless all_missing_rows asks otherwise.
punch_holes <- function(x, share = 0.15, all_missing_rows = integer(), seed = 1) {
  with_seed(seed, {
    if (ncol(x) == 1) {
      hole <- matrix(FALSE, nrow(x), 1)
    } else {
      hole <- matrix(stats::runif(length(x)) < share, nrow(x))
      full <- which(rowSums(hole) == ncol(x))
      hole[cbind(full, sample.int(ncol(x), length(full), TRUE))] <- FALSE
    }
    hole[all_missing_rows, ] <- TRUE
    x[hole] <- NA
    x
  })
}

# --- reference data sets ----------------------------------------------------------------------------

data_iris <- function() as.matrix(datasets::iris[, 1:4])
data_faithful <- function() as.matrix(datasets::faithful)
data_quakes <- function() as.matrix(datasets::quakes[, 1:4])

# iris with 68 cells missing in 8 patterns.
data_xi <- function() {
  x <- data_iris()
  i <- row(x)
  j <- col(x)
  x[(7 * i + 5 * j) %% 11 == 0 | (i %% 10 == 0 & j == 2)] <- NA
  x
}

# faithful with 78 cells missing.
data_xf <- function() {
  x <- data_faithful()
  x[(3 * row(x) + 2 * col(x)) %% 7 == 0] <- NA
  x
}

data_galaxies <- function() utils::read.csv(test_fixture("galaxies.csv"))$velocity
data_acidity <- function() utils::read.csv(test_fixture("acidity.csv"))$acidity

partition_iris <- function() as.integer(datasets::iris$Species)
partition_faithful <- function() 1L + (datasets::faithful$eruptions > 3)
partition_quakes <- function() 1L + (datasets::quakes$depth > 300)

# A data set and its starting partition by name.
reference_case <- function(data) {
  switch(data,
    iris = list(x = data_iris(), partition = partition_iris()),
    faithful = list(x = data_faithful(), partition = partition_faithful()),
    quakes = list(x = data_quakes(), partition = partition_quakes()),
    XI = list(x = data_xi(), partition = partition_iris()),
    XF = list(x = data_xf(), partition = partition_faithful()),
    galaxies = list(x = cbind(velocity = data_galaxies()), partition = NULL),
    acidity = list(x = cbind(acidity = data_acidity()), partition = NULL),
    stop("no reference data set ", data))
}

# The weights of the weighted reference value: 1, 2 and 3 in turn.
weights_iris <- function() 1 + (seq_len(150) %% 3)

# A path in fixtures/, found from testthat and from the script that makes the values.
test_fixture <- function(name) {
  candidates <- c(file.path("fixtures", name), file.path("tests", "testthat", "fixtures", name), name)
  candidates[file.exists(candidates)][1]
}

# Stored reference values as a data frame.
reference_values <- function() {
  utils::read.csv(test_fixture("reference-values.csv"), stringsAsFactors = FALSE, comment.char = "#")
}
