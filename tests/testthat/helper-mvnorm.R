# Oracles of em_mvnorm() in plain R, row by row and by definition, and the data of its reference values.

# --- data -------------------------------------------------------------------------------------------

# Snedecor & Cochran's apple crops, as Little & Rubin have them.
data_apple <- function() {
  data.frame(size = c(8, 6, 11, 22, 14, 17, 18, 24, 19, 23, 26, 40, 4, 4, 5, 6, 8, 10),
             worms = c(59, 58, 56, 53, 50, 45, 43, 42, 39, 38, 30, 27, rep(NA, 6)))
}

# The cement data of Hald with the holes of Rubin (1976).
data_hald <- function() {
  x <- cbind(
    X1 = c(7, 1, 11, 11, 7, 11, 3, 1, 2, 21, 1, 11, 10),
    X2 = c(26, 29, 56, 31, 52, 55, 71, 31, 54, 47, 40, 66, 68),
    X3 = c(6, 15, 8, 8, 6, 9, 17, 22, 18, 4, 23, 9, 8),
    X4 = c(60, 52, 20, 47, 33, 22, 6, 44, 22, 26, 34, 12, 12),
    Y = c(78.5, 74.3, 104.3, 87.6, 95.9, 109.2, 102.7, 72.5, 93.1, 115.9, 83.8, 113.3, 109.4)
  )
  x[7:9, "X4"] <- NA
  x[10:13, c("X1", "X2", "X4")] <- NA
  x
}

# Cholesterol of 28 patients 2, 4 and 14 days after a heart attack (Ryan & Joiner 1994; in norm2, Schafer 1997).
data_cholesterol <- function() {
  cbind(
    day2 = c(270, 236, 210, 142, 280, 272, 160, 220, 226, 242, 186, 266, 206, 318, 294, 282, 234, 224, 276, 282, 360,
             310, 280, 278, 288, 288, 244, 236),
    day4 = c(218, 234, 214, 116, 200, 276, 146, 182, 238, 288, 190, 236, 244, 258, 240, 294, 220, 200, 220, 186, 352,
             202, 218, 248, 278, 248, 270, 242),
    day14 = c(156, NA, 242, NA, NA, 256, 142, 216, 248, NA, 168, 236, NA, 200, 264, NA, 264, NA, 188, 182, 294, 214,
              NA, 198, NA, 256, 280, 204)
  )
}

# Murray's (1977) twelve rows: two equally high maxima and a saddle between them.
data_murray <- function() {
  cbind(a = c(1, 1, -1, -1, 2, 2, -2, -2, NA, NA, NA, NA), b = c(1, -1, 1, -1, NA, NA, NA, NA, 2, 2, -2, -2))
}

# n rows from a normal distribution of p correlated variables with different units, with holes.
data_normal <- function(n, p, share = 0.15, seed = 1, all_missing_rows = integer()) {
  x <- with_seed(seed, {
    root <- matrix(stats::rnorm(p * p), p) / sqrt(p) + diag(p)
    x <- matrix(stats::rnorm(n * p), n) %*% root
    sweep(sweep(x, 2, 10^seq(-1, 2, length.out = p), "*"), 2, 3 * seq_len(p), "+")
  })
  colnames(x) <- paste0("v", seq_len(p))
  if (share > 0) punch_holes(x, share, all_missing_rows, seed + 100) else x
}

# --- parameters as one vector -----------------------------------------------------------------------

mvn_pack <- function(mean, covariance) {
  unname(c(mean, covariance[lower.tri(covariance, diag = TRUE)]))
}

mvn_unpack <- function(theta) {
  p <- (sqrt(9 + 8 * length(theta)) - 3) / 2
  s <- matrix(0, p, p)
  s[lower.tri(s, diag = TRUE)] <- theta[-seq_len(p)]
  s[upper.tri(s)] <- t(s)[upper.tri(s)]
  list(mean = theta[seq_len(p)], covariance = s)
}

# A natural unit of each parameter: the length of the steps of numerical derivatives.
mvn_units <- function(covariance) {
  sd <- sqrt(diag(covariance))
  mvn_pack(sd, tcrossprod(sd))
}

# --- definitions ------------------------------------------------------------------------------------

# The observed-data log-likelihood, row by row, all constants in it.
mvn_loglik <- function(x, mean, covariance, weights = rep(1, nrow(x))) {
  total <- 0
  for (i in seq_len(nrow(x))) {
    o <- which(!is.na(x[i, ]))
    if (length(o) == 0 || weights[i] == 0) next
    s <- covariance[o, o, drop = FALSE]
    r <- x[i, o] - mean[o]
    half_log_det <- sum(log(diag(chol(s))))
    total <- total - weights[i] * (length(o) * log(2 * pi) / 2 + half_log_det + sum(r * solve(s, r)) / 2)
  }
  unname(total)
}

# -(exponent log |Sigma| + tr(scale Sigma^-1)) / 2
mvn_log_prior <- function(covariance, exponent, scale = NULL) {
  trace <- if (is.null(scale)) 0 else sum(diag(solve(covariance, scale)))
  -(exponent * 2 * sum(log(diag(chol(covariance)))) + trace) / 2
}

# Scores of the rows (n x parameters) by the derivative of the definition; tested against differences of it.
mvn_row_scores <- function(x, mean, covariance) {
  p <- ncol(x)
  out <- matrix(0, nrow(x), p + p * (p + 1) / 2)
  cells <- arrayInd(mvn_pack(numeric(p), matrix(seq_len(p^2), p))[-seq_len(p)], c(p, p))
  for (rows in oracle_patterns(x)) {
    o <- which(!is.na(x[rows[1], ]))
    if (length(o) == 0) next
    k <- matrix(0, p, p)
    k[o, o] <- solve(covariance[o, o, drop = FALSE])
    u <- matrix(0, length(rows), p)
    u[, o] <- t(k[o, o] %*% (t(x[rows, o, drop = FALSE]) - mean[o]))
    g <- u[, cells[, 1], drop = FALSE] * u[, cells[, 2], drop = FALSE] - rep(k[cells], each = length(rows))
    # a covariance is in two cells of the matrix, a variance in one
    out[rows, ] <- cbind(u, g / rep(1 + (cells[, 1] == cells[, 2]), each = length(rows)))
  }
  out
}

mvn_prior_score <- function(covariance, exponent, scale = NULL) {
  k <- solve(covariance)
  g <- -exponent * k / 2
  if (!is.null(scale)) g <- g + k %*% scale %*% k / 2
  g <- 2 * g - diag(diag(g), nrow(g))
  mvn_pack(numeric(nrow(k)), g)
}

# Derivatives of a function of a vector by central differences at two step lengths, extrapolated (Richardson): the error
# is of the fourth order of the step.
numerical_jacobian <- function(f, at, units, step = 1e-3) {
  one <- function(j, h) {
    e <- replace(numeric(length(at)), j, h * units[j])
    (f(at + e) - f(at - e)) / (2 * h * units[j])
  }
  columns <- lapply(seq_along(at), function(j) (4 * one(j, step / 2) - one(j, step)) / 3)
  do.call(cbind, columns)
}

# Observed information by numerical differentiation: minus the Jacobian of the score.
mvn_information <- function(x, mean, covariance, weights = rep(1, nrow(x)), exponent = 0, scale = NULL) {
  score <- function(theta) {
    q <- mvn_unpack(theta)
    value <- colSums(weights * mvn_row_scores(x, q$mean, q$covariance))
    if (exponent != 0 || !is.null(scale)) value <- value + mvn_prior_score(q$covariance, exponent, scale)
    value
  }
  h <- -numerical_jacobian(score, mvn_pack(mean, covariance), mvn_units(covariance))
  (h + t(h)) / 2
}

# The same without differences, for covariances so close to singular that steps leave the positive definite ones: the
# derivative of each row's score in the direction of each parameter, by dK = -K dS K and du = -K dmu - K dS u.
mvn_exact_information <- function(x, mean, covariance) {
  p <- ncol(x)
  n_parameters <- p + p * (p + 1) / 2
  total <- matrix(0, n_parameters, n_parameters)
  for (j in seq_len(n_parameters)) {
    direction <- mvn_unpack(replace(numeric(n_parameters), j, 1))
    for (i in seq_len(nrow(x))) {
      o <- which(!is.na(x[i, ]))
      k <- solve(covariance[o, o, drop = FALSE])
      ds <- direction$covariance[o, o, drop = FALSE]
      u <- k %*% (x[i, o] - mean[o])
      du <- -k %*% direction$mean[o] - k %*% ds %*% u
      for_mean <- numeric(p)
      for_mean[o] <- du
      g <- matrix(0, p, p)
      g[o, o] <- (du %*% t(u) + u %*% t(du) + k %*% ds %*% k) / 2
      g <- 2 * g - diag(diag(g), p)
      total[, j] <- total[, j] - mvn_pack(for_mean, g)
    }
  }
  (total + t(total)) / 2
}

# Expected information given the patterns, row by row, by tr(K_oo S_a K_oo S_b) / 2.
mvn_expected_information <- function(x, mean, covariance, weights = rep(1, nrow(x))) {
  p <- ncol(x)
  at <- which(lower.tri(covariance, diag = TRUE), arr.ind = TRUE)
  total <- matrix(0, p + nrow(at), p + nrow(at))
  for (i in seq_len(nrow(x))) {
    o <- which(!is.na(x[i, ]))
    if (length(o) == 0) next
    k <- matrix(0, p, p)
    k[o, o] <- solve(covariance[o, o, drop = FALSE])
    total[seq_len(p), seq_len(p)] <- total[seq_len(p), seq_len(p)] + weights[i] * k
    products <- lapply(seq_len(nrow(at)), function(a) {
      d <- matrix(0, p, p)
      d[at[a, 1], at[a, 2]] <- d[at[a, 2], at[a, 1]] <- 1
      k %*% d
    })
    for (a in seq_len(nrow(at))) {
      for (b in seq_len(a)) {
        value <- weights[i] * sum(products[[a]] * t(products[[b]])) / 2
        total[p + a, p + b] <- total[p + a, p + b] + value
        if (a != b) total[p + b, p + a] <- total[p + b, p + a] + value
      }
    }
  }
  total
}

# --- EM, row by row ---------------------------------------------------------------------------------

# Mean and covariance of a row's missing cells given its observed ones. `prior_mean`, `prior_sd`: of its missing cells
# that have an observation-level prior, NA elsewhere: the density of the cell is multiplied by that normal density.
mvn_conditional <- function(row, mean, covariance, prior_mean = NULL, prior_sd = NULL) {
  m <- which(is.na(row))
  o <- which(!is.na(row))
  centre <- mean[m]
  spread <- covariance[m, m, drop = FALSE]
  if (length(o) > 0) {
    b <- covariance[m, o, drop = FALSE] %*% solve(covariance[o, o, drop = FALSE])
    centre <- drop(centre + b %*% (row[o] - mean[o]))
    spread <- spread - b %*% covariance[o, m, drop = FALSE]
  }
  if (!is.null(prior_sd) && any(!is.na(prior_sd[m]))) {
    precision <- ifelse(is.na(prior_sd[m]), 0, 1 / prior_sd[m]^2)
    target <- ifelse(is.na(prior_sd[m]), 0, prior_mean[m])
    k <- solve(spread)
    spread <- solve(k + diag(precision, length(m)))
    centre <- drop(spread %*% (k %*% centre + precision * target))
  }
  list(missing = m, mean = centre, covariance = (spread + t(spread)) / 2)
}

# One EM step. `cell_priors`: a matrix of row, column, mean, sd.
mvn_em_step <- function(x, mean, covariance, weights = rep(1, nrow(x)), exponent = 0, scale = NULL,
                        cell_priors = NULL) {
  p <- ncol(x)
  seen <- which(rowSums(!is.na(x)) > 0 & weights > 0)
  if (!is.null(cell_priors)) seen <- sort(union(seen, cell_priors[, 1]))
  filled <- x
  extra <- matrix(0, p, p)
  for (i in seen) {
    if (!anyNA(x[i, ])) next
    prior_mean <- prior_sd <- rep(NA_real_, p)
    mine <- if (is.null(cell_priors)) integer() else which(cell_priors[, 1] == i)
    prior_mean[cell_priors[mine, 2]] <- cell_priors[mine, 3]
    prior_sd[cell_priors[mine, 2]] <- cell_priors[mine, 4]
    q <- mvn_conditional(x[i, ], mean, covariance, prior_mean, prior_sd)
    filled[i, q$missing] <- q$mean
    extra[q$missing, q$missing] <- extra[q$missing, q$missing] + weights[i] * q$covariance
  }
  w <- weights[seen]
  new_mean <- colSums(w * filled[seen, , drop = FALSE]) / sum(w)
  r <- sweep(filled[seen, , drop = FALSE], 2, new_mean)
  scatter <- crossprod(r, w * r) + extra
  if (!is.null(scale)) scatter <- scatter + scale
  list(mean = new_mean, covariance = scatter / (sum(w) + exponent))
}

# EM to the end from `mean` and `covariance` (default: available cases), with plain squared extrapolation so that the
# slow ones end too; every cycle ends with two EM steps, so that what it stops at is a fixed point of EM.
mvn_em <- function(x, weights = rep(1, nrow(x)), ..., mean = NULL, covariance = NULL, tol = 1e-11, max_cycles = 2000) {
  if (is.null(mean)) {
    use <- weights > 0
    mean <- colMeans(x[use, ], na.rm = TRUE)
    covariance <- diag(apply(x[use, ], 2, stats::var, na.rm = TRUE))
  }
  step <- function(theta) {
    q <- mvn_unpack(theta)
    new <- mvn_em_step(x, q$mean, q$covariance, weights, ...)
    mvn_pack(new$mean, new$covariance)
  }
  theta <- mvn_pack(mean, covariance)
  units <- mvn_units(covariance)
  for (cycle in seq_len(max_cycles)) {
    one <- step(theta)
    two <- step(one)
    r <- (one - theta) / units
    v <- (two - one) / units - r
    if (max(abs(r)) < tol) break
    length <- if (sum(v^2) > 0) min(-1, -sqrt(sum(r^2) / sum(v^2))) else -1
    far <- theta + units * (-2 * length * r + length^2 * v)
    fine <- min(eigen(mvn_unpack(far)$covariance / mvn_unpack(units)$covariance, TRUE, TRUE)$values) > 1e-6
    theta <- step(if (fine) far else two)
  }
  stopifnot(cycle < max_cycles)
  mvn_unpack(two)
}

# The factored likelihood (Anderson 1957) of data whose columns are ordered so that each is observed wherever the next
# one is: least squares of every column on those before it, and the distribution put together again.
mvn_factored <- function(x, weights = rep(1, nrow(x))) {
  p <- ncol(x)
  mean <- numeric(p)
  s <- matrix(0, p, p)
  for (j in seq_len(p)) {
    rows <- which(!is.na(x[, j]))
    before <- seq_len(j - 1)
    w <- weights[rows]
    fit <- stats::lm.wfit(cbind(1, x[rows, before, drop = FALSE]), x[rows, j], w)
    b <- fit$coefficients[-1]
    mean[j] <- fit$coefficients[1] + sum(b * mean[before])
    s[j, before] <- s[before, j] <- s[before, before, drop = FALSE] %*% b
    s[j, j] <- sum(w * fit$residuals^2) / sum(w) + sum(b * s[before, j])
  }
  list(mean = mean, covariance = s)
}

# Largest difference of two sets of parameters in units of their standard deviations.
mvn_apart <- function(a, b) {
  u <- sqrt(diag(b$covariance))
  max(abs(a$mean - b$mean) / u, abs(a$covariance - b$covariance) / tcrossprod(u))
}

expect_same_parameters <- function(a, b, tolerance) {
  apart <- mvn_apart(a, b)
  testthat::expect(apart <= tolerance,
                   sprintf("The parameters are %.3g standard deviations apart; at most %.3g is allowed.", apart,
                           tolerance))
  invisible(a)
}

# What depends on the path of the algorithm, not on the fit.
hide_mvnorm_path <- function(lines) {
  text <- paste(lines, collapse = "\n")
  text <- gsub("after [0-9]+ iterations?", "after <n> iterations", text)
  text <- gsub("[0-9]+ iterations?\\s+\\([0-9]+\\s+E-steps?\\)", "<n> iterations (<n> E-steps)", text)
  text <- gsub("(?s)expected remaining gain\\s+.*?\\.\n", "expected remaining gain <gain>.\n", text, perl = TRUE)
  strsplit(text, "\n")[[1]]
}

# File matching: a and b are never observed in the same row.
data_file_matching <- function() {
  x <- data_normal(80, 3, 0, seed = 31)
  colnames(x) <- c("a", "b", "z")
  x[1:40, "a"] <- NA
  x[41:80, "b"] <- NA
  x
}
