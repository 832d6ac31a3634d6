# Slow, plain-R references for the Gaussian mixture. They share no code with the package: densities are
# written from their definition (by chol()), M-steps from the closed forms of Celeux &
# Govaert (1995), the common orientation by exact plane rotations of the profiled likelihood.
#
# Parameters have the shape of a fit's: list(proportions = K or K + 1 with the noise last,
# means = d x K, covariances = d x d x K, noise = NULL or list(volume, sides = d)).

# --- densities by definition ------------------------------------------------------------------------

# Log-density of N(mean, covariance) at the observed cells of every row of x (n x d, NA allowed):
# the marginal normal of the observed coordinates; a row without observed cells has density 1.
oracle_log_dnorm <- function(x, mean, covariance, patterns = oracle_patterns(x)) {
  result <- numeric(nrow(x))
  for (rows in patterns) {
    o <- which(!is.na(x[rows[1], ]))
    if (length(o) == 0) next
    deviation <- t(x[rows, o, drop = FALSE]) - mean[o]
    root <- chol.default(covariance[o, o, drop = FALSE])
    squared <- colSums(backsolve(root, deviation, transpose = TRUE)^2)
    result[rows] <- -0.5 * (length(o) * log(2 * pi) + squared) - sum(log(root[row(root) == col(root)]))
  }
  result
}

# Row numbers grouped by missingness pattern.
oracle_patterns <- function(x) {
  if (!anyNA(x)) return(list(seq_len(nrow(x))))
  pattern <- drop(is.na(x) %*% 2^(seq_len(ncol(x)) - 1))
  unname(split(seq_len(nrow(x)), pattern))
}

# Log-density of the uniform noise on a box with the given sides: the marginal on the observed cells.
oracle_log_noise <- function(x, sides) {
  -drop((!is.na(x)) %*% log(sides))
}

# n x K (K + 1 with noise): log f_k of the observed part of every row, without the proportion.
oracle_component_log_density <- function(x, parameters) {
  K <- ncol(parameters$means)
  patterns <- oracle_patterns(x)
  density <- vapply(seq_len(K), function(k) {
    oracle_log_dnorm(x, parameters$means[, k], oracle_covariance(parameters, k), patterns)
  }, numeric(nrow(x)))
  density <- matrix(density, nrow(x), K)
  if (!is.null(parameters$noise)) {
    density <- cbind(density, oracle_log_noise(x, parameters$noise$sides))
  }
  density
}

# The k-th covariance as a matrix, also when d = 1.
oracle_covariance <- function(parameters, k) {
  d <- nrow(parameters$means)
  matrix(parameters$covariances[, , k], d, d)
}

# n x K[+1]: log(proportion_k f_k); a row with a known label keeps only its own component
# (known: NA unknown, 0 noise, 1..K).
oracle_joint <- function(x, parameters, known = NULL, density = oracle_component_log_density(x, parameters)) {
  joint <- density + rep(log(parameters$proportions), each = nrow(x))
  for (i in which(!is.na(known))) {
    column <- if (known[i] == 0) ncol(joint) else known[i]
    joint[i, -column] <- -Inf
  }
  joint
}

oracle_log_sum_exp <- function(joint) {
  top <- do.call(pmax, lapply(seq_len(ncol(joint)), function(k) joint[, k]))
  top + log(rowSums(exp(joint - top)))
}

# The observed-data log-likelihood sum_i w_i log f(x_i observed), at any parameters.
oracle_loglik <- function(x, parameters, weights = NULL, known = NULL) {
  if (is.null(weights)) weights <- rep(1, nrow(x))
  sum(weights * oracle_log_sum_exp(oracle_joint(x, parameters, known)))
}

# n x K[+1], rows sum to 1.
oracle_posterior <- function(x, parameters, known = NULL) {
  joint <- oracle_joint(x, parameters, known)
  exp(joint - oracle_log_sum_exp(joint))
}

# --- conjugate prior --------------------------------------------------------------------------------

# Structures in which all components have one covariance matrix: one inverse Wishart for it, not one each.
common_covariance_codes <- c("E", "EII", "EEI", "EEE")

# Log-kernel of the normal-inverse-Wishart prior (Fraley & Raftery 2007), no normalising constants:
# mean_k | S_k ~ N(prior mean, S_k / shrinkage), S_k ~ inverse Wishart(df, scale):
# |S|^-((df + d + 1) / 2) exp(-tr(S^-1 scale) / 2) |S|^-1/2 exp(-shrinkage (m - mean)' S^-1 (m - mean) / 2).
oracle_log_prior <- function(parameters, prior, code) {
  if (is.null(prior)) return(0)
  d <- nrow(parameters$means)
  K <- ncol(parameters$means)
  share <- if (code %in% common_covariance_codes) 1 / K else 1
  sum(vapply(seq_len(K), function(k) {
    S <- oracle_covariance(parameters, k)
    deviation <- parameters$means[, k] - prior$mean
    log_det <- as.numeric(determinant(S, logarithm = TRUE)$modulus)
    -0.5 * share * ((prior$df + d + 1) * log_det + sum(diag(solve(S, prior$scale)))) -
      if (prior$shrinkage > 0) {
        0.5 * (log_det + prior$shrinkage * sum(deviation * solve(S, deviation)))
      } else {
        0
      }
  }, 0))
}

# --- M-steps of the covariance structures -----------------------------------------------------------

geometric_mean <- function(v) exp(mean(log(v)))

# exp(log|A| / d) of a positive definite matrix.
det_root <- function(A) exp(as.numeric(determinant(A, logarithm = TRUE)$modulus) / nrow(A))

# Repeat update() from value until its largest relative change is below 1e-14, which rounding allows (or 20000 times).
oracle_fixed_point <- function(value, update) {
  for (i in seq_len(20000)) {
    new <- update(value)
    done <- max(abs(new - value) / new) < 1e-14
    value <- new
    if (done) break
  }
  value
}

# The covariances (d x d x K) maximising sum_k -(n_k log|S_k| + tr(S_k^-1 W_k)) / 2 inside the structure.
# scatter: d x d x K; orientation: a start for the common orientation of EVE and VVE (several are tried
# when it is NULL), returned as attribute "orientation".
oracle_m_step <- function(code, scatter, n, orientation = NULL) {
  d <- dim(scatter)[1]
  K <- dim(scatter)[3]
  W <- lapply(seq_len(K), function(k) matrix(scatter[, , k], d, d))
  total <- Reduce(`+`, W)
  N <- sum(n)
  same <- function(S) rep(list(S), K)
  each <- function(f) lapply(seq_len(K), f)
  diagonals <- matrix(vapply(W, diag, numeric(d)), d, K)
  # Volumes and a common diagonal shape, alternated: VEI, and VEV in the eigenbasis.
  volume_and_shape <- function(values) {
    volume <- function(shape) colSums(values / shape) / (d * n)
    shape <- oracle_fixed_point(rep(1, d), function(shape) {
      new <- rowSums(sweep(values, 2, volume(shape), "/"))
      new / geometric_mean(new)
    })
    list(volume = volume(shape), shape = shape)
  }
  result <- switch(code,
    E = ,
    EII = same(diag(sum(diag(total)) / (N * d), d)),
    V = ,
    VII = each(function(k) diag(sum(diag(W[[k]])) / (n[k] * d), d)),
    EEI = same(diag(diag(total) / N, d)),
    VVI = each(function(k) diag(diagonals[, k] / n[k], d)),
    EVI = {
      root <- apply(diagonals, 2, geometric_mean)
      each(function(k) diag(sum(root) / N * diagonals[, k] / root[k], d))
    },
    VEI = {
      fit <- volume_and_shape(diagonals)
      each(function(k) diag(fit$volume[k] * fit$shape, d))
    },
    EEE = same(total / N),
    VVV = each(function(k) W[[k]] / n[k]),
    EEV = ,
    VEV = {
      eigen_k <- lapply(W, eigen, symmetric = TRUE)
      values <- matrix(vapply(eigen_k, `[[`, numeric(d), "values"), d, K)
      spectrum <- if (code == "EEV") {
        matrix(rowSums(values) / N, d, K)
      } else {
        fit <- volume_and_shape(values)
        outer(fit$shape, fit$volume)
      }
      each(function(k) {
        V <- eigen_k[[k]]$vectors
        V %*% (spectrum[, k] * t(V))
      })
    },
    EVV = {
      root <- vapply(W, det_root, 0)
      each(function(k) sum(root) / N * W[[k]] / root[k])
    },
    VEE = {
      common <- function(volume) {
        C <- Reduce(`+`, Map(`/`, W, volume))
        C / det_root(C)
      }
      volume <- oracle_fixed_point(vapply(W, det_root, 0) / n, function(volume) {
        inverse <- solve(common(volume))
        vapply(W, function(w) sum(inverse * w), 0) / (d * n)
      })
      each(function(k) volume[k] * common(volume))
    },
    EVE = ,
    VVE = {
      starts <- if (is.null(orientation)) {
        c(list(eigen(total, symmetric = TRUE)$vectors),
          lapply(W, function(w) eigen(w, symmetric = TRUE)$vectors))
      } else {
        list(orientation)
      }
      tried <- lapply(starts, function(D) oracle_orientation(code, W, n, D))
      best <- tried[[which.min(vapply(tried, `[[`, 0, "value"))]]
      D <- best$orientation
      orientation <- D
      values <- matrix(vapply(W, function(w) colSums(D * (w %*% D)), numeric(d)), d, K)
      spectrum <- if (code == "VVE") {
        sweep(values, 2, n, "/")
      } else {
        root <- apply(values, 2, geometric_mean)
        sum(root) / N * sweep(values, 2, root, "/")
      }
      each(function(k) D %*% (spectrum[, k] * t(D)))
    },
    stop("no oracle for the structure ", code))
  result <- array(unlist(result), c(d, d, K))
  attr(result, "orientation") <- orientation
  result
}

# Common orientation: rotate one plane at a time, minimising the profiled likelihood exactly (grid, then
# optimize()). VVE: sum_k n_k sum_j log d_kj; EVE: N d log sum_k gm(d_k); d_k = diag(D' W_k D).
oracle_orientation <- function(code, W, n, D, max_sweeps = 200) {
  d <- nrow(D)
  value_of <- function(values) {
    if (code == "VVE") sum(n * colSums(log(values))) else
      sum(n) * d * log(sum(exp(colMeans(log(values)))))
  }
  rotated <- lapply(W, function(w) t(D) %*% w %*% D)
  diagonals <- function() matrix(vapply(rotated, diag, numeric(d)), d)
  value <- value_of(diagonals())
  grid <- seq(-pi / 4, pi / 4, length.out = 9)
  for (sweep in seq_len(max_sweeps)) {
    before <- value
    for (a in seq_len(d - 1)) for (b in (a + 1):d) {
      values <- diagonals()
      off <- vapply(rotated, function(w) w[a, b], 0)
      objective <- function(angle) {
        turned <- values
        co <- cos(angle); si <- sin(angle)
        turned[a, ] <- co^2 * values[a, ] + 2 * co * si * off + si^2 * values[b, ]
        turned[b, ] <- si^2 * values[a, ] - 2 * co * si * off + co^2 * values[b, ]
        value_of(turned)
      }
      at <- grid[which.min(vapply(grid, objective, 0))]
      best <- stats::optimize(objective, at + c(-1, 1) * pi / 16, tol = 1e-9)
      if (best$objective >= value) next
      R <- diag(d)
      R[c(a, b), c(a, b)] <- c(cos(best$minimum), sin(best$minimum),
                               -sin(best$minimum), cos(best$minimum))
      rotated <- lapply(rotated, function(w) t(R) %*% w %*% R)
      D <- D %*% R
      value <- value_of(diagonals())
    }
    if (before - value <= 1e-14 * (1 + abs(value))) break
  }
  list(orientation = D, value = value)
}

# The part of the M-step objective that a covariance structure maximises.
oracle_q <- function(covariances, scatter, n) {
  d <- dim(scatter)[1]
  sum(vapply(seq_along(n), function(k) {
    root <- chol.default(matrix(covariances[, , k], d, d))
    W <- matrix(scatter[, , k], d, d)
    -n[k] * sum(log(root[row(root) == col(root)])) - 0.5 * sum(chol2inv(root) * W)
  }, 0))
}

# --- parameter counts, written out from the table of Celeux & Govaert -------------------------------

# Covariance parameters of every structure of the table, by code.
oracle_all_counts <- function(d, K) {
  o <- d * (d - 1) / 2
  c(
    E = 1, V = K, EII = 1, VII = K, EEI = d, VEI = K + d - 1, EVI = 1 + K * (d - 1), VVI = K * d,
    EEE = d + o, VEE = K + d - 1 + o, EVE = 1 + K * (d - 1) + o, VVE = K * d + o,
    EEV = d + K * o, VEV = K + d - 1 + K * o, EVV = 1 + K * (d - 1) + K * o, VVV = K * (d + o))
}

# Covariance parameters of a structure; NA for one that the table does not know.
oracle_n_covariance <- function(code, d, K) unname(oracle_all_counts(d, K)[code])

# Degrees of freedom of a mixture; `noise` adds its proportion and its hypervolume.
oracle_df <- function(code, d, K, equal_proportions = FALSE, noise = FALSE) {
  oracle_n_covariance(code, d, K) + d * K + (if (equal_proportions) 0 else K - 1) + (if (noise) 2 else 0)
}

# --- coordinates of a structure: the family as a smooth map of free numbers ------------------------

# Free coordinates around given covariances of the structure: list(n = number, map = theta -> d x d x K,
# map(0) = covariances). Codes of three letters are read as volume, shape, orientation; the map is
# volume * D exp(contrasts) D' with D turned by Cayley's transform. Any other structure is
# parametrised through its own M-step, which keeps every member of the family where it is.
structure_coordinates <- function(code, covariances, m_step = covariance_m_step_) {
  d <- dim(covariances)[1]
  K <- dim(covariances)[3]
  if (code %in% c("E", "V")) code <- paste0(code, "II")
  if (is_factor_code(code)) return(factor_coordinates(code, one_factor_of(covariances)))
  if (!grepl("^[EV][EVI][EVI]$", code)) {
    return(m_step_coordinates(code, covariances, m_step))
  }
  S <- lapply(seq_len(K), function(k) matrix(covariances[, , k], d, d))
  letter <- strsplit(code, "")[[1]]
  # Orientations of the base point.
  D <- switch(letter[3],
    I = rep(list(diag(d)), K),
    E = {
      # All share eigenvectors: those of a combination whose eigenvalues are apart.
      mix <- Reduce(`+`, Map(function(s, a) a * s / det_root(s), S, sqrt(seq_len(K))))
      rep(list(eigen(mix, symmetric = TRUE)$vectors), K)
    },
    V = lapply(S, function(s) eigen(s, symmetric = TRUE)$vectors))
  values <- matrix(unlist(Map(function(s, v) colSums(v * (s %*% v)), S, D)), d, K)
  volume <- apply(values, 2, geometric_mean)
  shape <- sweep(values, 2, volume, "/")
  contrasts <- if (d > 1) qr.Q(qr(cbind(1, diag(d))))[, 2:d, drop = FALSE] else matrix(0, 1, 0)
  n_skew <- d * (d - 1) / 2
  counts <- c(volume = if (letter[1] == "V") K else 1,
              shape = switch(letter[2], I = 0, E = d - 1, V = K * (d - 1)),
              skew = switch(letter[3], I = 0, E = n_skew, V = K * n_skew))
  column <- function(block, per, k) block[(if (length(block) == per) 0 else (k - 1) * per) + seq_len(per)]
  map <- function(theta) {
    v <- theta[seq_len(counts[["volume"]])]
    s <- theta[counts[["volume"]] + seq_len(counts[["shape"]])]
    r <- theta[counts[["volume"]] + counts[["shape"]] + seq_len(counts[["skew"]])]
    out <- array(0, c(d, d, K))
    for (k in seq_len(K)) {
      lambda <- volume[k] * exp(if (length(v) == 1) v else v[k])
      A <- if (length(s)) shape[, k] * exp(drop(contrasts %*% column(s, d - 1, k))) else shape[, k]
      V <- if (length(r)) D[[k]] %*% cayley(column(r, n_skew, k), d) else D[[k]]
      out[, , k] <- lambda * V %*% (A * t(V))
    }
    out
  }
  list(n = sum(counts), map = map)
}

# Rotation (I - Z)^-1 (I + Z) of the skew matrix Z with the given lower triangle.
cayley <- function(lower, d) {
  Z <- matrix(0, d, d)
  Z[lower.tri(Z)] <- lower
  Z <- Z - t(Z)
  solve(diag(d) - Z, diag(d) + Z)
}

# Coordinates of an arbitrary structure: symmetric perturbations, relative to each covariance, and then its M-step.
m_step_coordinates <- function(code, covariances, m_step = covariance_m_step_) {
  d <- dim(covariances)[1]
  K <- dim(covariances)[3]
  cells <- which(lower.tri(diag(d), diag = TRUE))
  roots <- lapply(seq_len(K), function(k) t(chol(matrix(covariances[, , k], d, d))))
  map <- function(theta) {
    moved <- covariances
    for (k in seq_len(K)) {
      E <- matrix(0, d, d)
      E[cells] <- theta[(k - 1) * length(cells) + seq_along(cells)]
      moved[, , k] <- roots[[k]] %*% (diag(d) + E + t(E)) %*% t(roots[[k]])
    }
    array(m_step(code, moved, rep(1, K)), c(d, d, K))
  }
  list(n = K * length(cells), map = map)
}

# Numeric rank of the Jacobian of map at 0 (relative gap 1e-6, far above the differencing error).
numeric_rank <- function(map, n, step = 1e-4) {
  jacobian <- vapply(seq_len(n), function(j) {
    e <- replace(numeric(n), j, step)
    as.numeric(map(e) - map(-e)) / (2 * step)
  }, numeric(length(map(numeric(n)))))
  singular <- svd(matrix(jacobian, ncol = n), nu = 0, nv = 0)$d
  sum(singular > 1e-6 * max(singular))
}

# Numeric gradient of the oracle's objective (log-likelihood plus log-prior) at a fit, along every free
# direction: log-ratio proportions, means in units of each component's standard deviations, and the
# coordinates of the covariance structure (`means_only`: the second of these). Central differences, good to 1e-5.
oracle_score <- function(x, code, parameters, weights = NULL, known = NULL, prior = NULL,
                         equal_proportions = FALSE, means_only = FALSE, step = 1e-4) {
  d <- nrow(parameters$means)
  K <- ncol(parameters$means)
  coordinates <- structure_coordinates(code, parameters$covariances)
  free <- if (equal_proportions) 0 else length(parameters$proportions) - 1
  sds <- matrix(sqrt(apply(parameters$covariances, 3, function(S) diag(matrix(S, d)))), d, K)
  if (equal_proportions && !is.null(parameters$noise)) free <- 1
  unpack <- function(theta) {
    at <- parameters
    if (free > 0) {
      shift <- if (!equal_proportions) c(0, theta[seq_len(free)]) else c(numeric(K), theta[1])
      p <- parameters$proportions * exp(shift)
      at$proportions <- p / sum(p)
    }
    at$means <- parameters$means + sds * matrix(theta[free + seq_len(d * K)], d, K)
    at$covariances <- coordinates$map(theta[free + d * K + seq_len(coordinates$n)])
    at
  }
  n <- free + d * K + coordinates$n
  patterns <- oracle_patterns(x)
  base <- unpack(numeric(n))
  base_density <- oracle_component_log_density(x, base)
  if (is.null(weights)) weights <- rep(1, nrow(x))
  objective <- function(theta) {
    at <- unpack(theta)
    # Most steps move one component: the others' densities are those of the base.
    density <- base_density
    for (k in seq_len(K)) {
      covariance <- oracle_covariance(at, k)
      if (any(at$means[, k] != base$means[, k]) || any(covariance != oracle_covariance(base, k))) {
        density[, k] <- oracle_log_dnorm(x, at$means[, k], covariance, patterns)
      }
    }
    sum(weights * oracle_log_sum_exp(oracle_joint(x, at, known, density))) + oracle_log_prior(at, prior, code)
  }
  vapply(if (means_only) free + seq_len(d * K) else seq_len(n), function(j) {
    e <- replace(numeric(n), j, step)
    (objective(e) - objective(-e)) / (2 * step)
  }, 0)
}

# --- EM ---------------------------------------------------------------------------------------------

# Posterior and, per component, the completed data and the summed conditional covariance of the missing cells.
oracle_e_step <- function(x, parameters, weights, known = NULL) {
  d <- ncol(x)
  K <- ncol(parameters$means)
  joint <- oracle_joint(x, parameters, known)
  log_density <- oracle_log_sum_exp(joint)
  posterior <- exp(joint - log_density)
  filled <- rep(list(x), K)
  extra <- array(0, c(d, d, K))
  for (rows in oracle_patterns(x)) {
    m <- which(is.na(x[rows[1], ]))
    o <- setdiff(seq_len(d), m)
    if (length(m) == 0) next
    for (k in seq_len(K)) {
      S <- oracle_covariance(parameters, k)
      mean <- parameters$means[, k]
      B <- if (length(o)) S[m, o, drop = FALSE] %*% solve(S[o, o, drop = FALSE]) else matrix(0, length(m), 0)
      filled[[k]][rows, m] <- t(mean[m] + B %*% (t(x[rows, o, drop = FALSE]) - mean[o]))
      conditional <- S[m, m, drop = FALSE] - B %*% S[o, m, drop = FALSE]
      extra[m, m, k] <- extra[m, m, k] + sum(weights[rows] * posterior[rows, k]) * conditional
    }
  }
  list(loglik = sum(weights * log_density), posterior = posterior, filled = filled, extra = extra)
}

# One M-step from an E-step.
oracle_maximise <- function(expected, code, weights, parameters, equal_proportions, prior, orientation) {
  K <- length(expected$filled)
  d <- ncol(expected$filled[[1]])
  wz <- expected$posterior * weights
  n <- colSums(wz)
  proportions <- n / sum(n)
  if (equal_proportions) {
    noise_share <- if (length(n) > K) proportions[K + 1] else NULL
    proportions <- c(rep((1 - sum(noise_share)) / K, K), noise_share)
  }
  means <- matrix(0, d, K)
  scatter <- expected$extra
  count <- n[seq_len(K)]
  for (k in seq_len(K)) {
    y <- expected$filled[[k]]
    means[, k] <- colSums(wz[, k] * y) / n[k]
    if (!is.null(prior)) {
      means[, k] <- (n[k] * means[, k] + prior$shrinkage * prior$mean) / (n[k] + prior$shrinkage)
    }
    centred <- sweep(y, 2, means[, k])
    scatter[, , k] <- scatter[, , k] + crossprod(centred * sqrt(wz[, k]))
    if (!is.null(prior)) {
      shift <- means[, k] - prior$mean
      share <- if (code %in% common_covariance_codes) 1 / K else 1
      scatter[, , k] <- scatter[, , k] + share * prior$scale + prior$shrinkage * tcrossprod(shift)
      count[k] <- count[k] + share * (prior$df + d + 1) + (prior$shrinkage > 0)
    }
  }
  parameters$proportions <- proportions
  parameters$means <- means
  parameters$covariances <- oracle_m_step(code, scatter, count, orientation)
  parameters
}

# EM from given parameters. Returns loglik, objective, parameters (of the same iterate), posterior, iterations, and
# the smallest gain of the objective seen (never negative beyond rounding).
oracle_em <- function(x, code, parameters, weights = NULL, known = NULL, prior = NULL,
                      equal_proportions = FALSE, tol = 1e-13, max_iter = 50000) {
  x <- as.matrix(x)
  if (is.null(weights)) weights <- rep(1, nrow(x))
  # A row without any value says nothing: its expectations only slow EM down, by pulling towards where it is.
  weights[rowSums(!is.na(x)) == 0] <- 0
  last <- -Inf
  smallest_gain <- Inf
  for (iteration in seq_len(max_iter)) {
    expected <- oracle_e_step(x, parameters, weights, known)
    objective <- expected$loglik + oracle_log_prior(parameters, prior, code)
    gain <- objective - last
    smallest_gain <- min(smallest_gain, gain)
    if (abs(gain) < tol * (1 + abs(objective)) || iteration == max_iter) break
    last <- objective
    parameters <- oracle_maximise(expected, code, weights, parameters, equal_proportions, prior,
                                  attr(parameters$covariances, "orientation"))
  }
  list(loglik = expected$loglik, objective = objective, parameters = parameters,
       posterior = expected$posterior, iterations = iteration, smallest_gain = smallest_gain)
}

# Parameters from an n x K matrix of posteriors. Complete rows: one M-step. With missing values: proportions,
# means of the observed cells, and the diagonal of the columns' variances in every component.
oracle_start <- function(x, posterior, code, weights = NULL, equal_proportions = FALSE) {
  x <- as.matrix(x)
  if (is.null(weights)) weights <- rep(1, nrow(x))
  if (!anyNA(x)) {
    expected <- list(posterior = posterior, filled = rep(list(x), ncol(posterior)),
                     extra = array(0, c(ncol(x), ncol(x), ncol(posterior))))
    return(oracle_maximise(expected, code, weights, list(), equal_proportions, NULL, NULL))
  }
  wz <- posterior * weights
  observed <- !is.na(x)
  zero <- replace(x, !observed, 0)
  variances <- apply(x, 2, stats::var, na.rm = TRUE)
  list(proportions = if (equal_proportions) rep(1, ncol(wz)) / ncol(wz) else colSums(wz) / sum(wz),
       means = unname(crossprod(zero, wz) / crossprod(observed, wz)),
       covariances = array(diag(variances, ncol(x)), c(ncol(x), ncol(x), ncol(wz))))
}

# n x K indicator matrix of a partition.
indicator <- function(partition) {
  partition <- as.integer(factor(partition))
  diag(max(partition))[partition, , drop = FALSE]
}
