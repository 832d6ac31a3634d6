# Families of continuous responses; see family.R for what a family is. The normal one is there.


# Parameters of a list replaced by what `make` makes of them, when all of `from` are there.
convert_parameters <- function(list, from, make) {
  if (!all(from %in% names(list)) || !all(vapply(list[from], is.numeric, NA))) return(list)
  c(list[setdiff(names(list), from)], make(list[from]))
}

family_lognormal <- function(link = NULL) {
  new_family(
    "lognormal", "lognormal", c(meanlog = "real", sdlog = "positive"), list(identity = identity), link,
    aliases = c("lnorm", "log-normal"), support = support_positive,
    density = function(y, theta, log = FALSE) stats::dlnorm(y, theta$meanlog, theta$sdlog, log),
    cdf = function(y, theta) stats::plnorm(y, theta$meanlog, theta$sdlog),
    quantile = function(prob, theta) stats::qlnorm(prob, theta$meanlog, theta$sdlog),
    mean = function(theta) exp(theta$meanlog + theta$sdlog^2 / 2),
    random = function(n, theta) stats::rlnorm(n, theta$meanlog, theta$sdlog)
  )
}

# ---- Student's t -----------------------------------------------------------------------------------

# The core's number for infinitely many degrees of freedom.
infinite_df <- function() exp(30)

# The mean is the location, which is what is predicted when there is no mean (df <= 1).
family_t <- function(link = NULL) {
  family <- new_family(
    "t", "Student's t", c(mean = "real", scale = "positive", df = "positive"), list(identity = identity), link,
    aliases = c("student", "student_t"), support = support_real,
    convert = function(list) {
      if (is.numeric(list$df)) list$df <- pmin(list$df, infinite_df())
      list
    },
    density = function(y, theta, log = FALSE) {
      value <- stats::dt((y - theta$mean) / theta$scale, theta$df, log = TRUE) - log(theta$scale)
      if (log) value else exp(value)
    },
    cdf = function(y, theta) stats::pt((y - theta$mean) / theta$scale, theta$df),
    quantile = function(prob, theta) theta$mean + theta$scale * stats::qt(prob, theta$df),
    mean = function(theta) theta$mean,
    random = function(n, theta) theta$mean + theta$scale * stats::rt(n, theta$df),
    from_natural = function(natural, info) {
      out <- scalar_from_natural(natural, family, info)
      out$df[out$df >= 1e12] <- Inf
      out
    }
  )
  family
}

# ---- positive responses ----------------------------------------------------------------------------

family_gamma <- function(link = NULL) {
  new_family(
    "gamma", "gamma", c(mean = "positive", shape = "positive"),
    list(log = exp, inverse = function(eta) 1 / eta, identity = identity), link, support = support_positive,
    convert = function(list) {
      list <- convert_parameters(list, c("shape", "rate"), function(p) list(mean = p$shape / p$rate, shape = p$shape))
      convert_parameters(list, c("shape", "scale"), function(p) list(mean = p$shape * p$scale, shape = p$shape))
    },
    # A linear predictor may have no mean under the links inverse and identity.
    density = function(y, theta, log = FALSE) {
      scale <- ifelse(theta$mean > 0, theta$mean, NA) / theta$shape
      value <- stats::dgamma(y, theta$shape, scale = scale, log = TRUE)
      value[!is.na(y) & is.na(scale)] <- -Inf
      if (log) value else exp(value)
    },
    cdf = function(y, theta) stats::pgamma(y, theta$shape, scale = theta$mean / theta$shape),
    quantile = function(prob, theta) stats::qgamma(prob, theta$shape, scale = theta$mean / theta$shape),
    mean = function(theta) theta$mean,
    random = function(n, theta) stats::rgamma(n, theta$shape, scale = theta$mean / theta$shape)
  )
}

family_exponential <- function(link = NULL) {
  new_family(
    "exponential", "exponential", c(mean = "positive"), list(log = exp), link, aliases = "exp",
    support = support_not_negative,
    convert = function(list) convert_parameters(list, "rate", function(p) list(mean = 1 / p$rate)),
    density = function(y, theta, log = FALSE) stats::dexp(y, 1 / theta$mean, log),
    cdf = function(y, theta) stats::pexp(y, 1 / theta$mean),
    quantile = function(prob, theta) stats::qexp(prob, 1 / theta$mean),
    mean = function(theta) theta$mean,
    random = function(n, theta) stats::rexp(n, 1 / theta$mean)
  )
}

# ---- shares ----------------------------------------------------------------------------------------

family_beta <- function(link = NULL) {
  shapes <- function(theta) list(theta$mean * theta$precision, (1 - theta$mean) * theta$precision)
  family <- new_family(
    "beta", "beta", c(mean = "probability", precision = "positive"), list(logit = stats::plogis), link,
    support = support_unit,
    convert = function(list) {
      list <- convert_parameters(list, c("shape1", "shape2"), function(p) {
        list(mean = p$shape1 / (p$shape1 + p$shape2), precision = p$shape1 + p$shape2)
      })
      if (is.numeric(list$mean) && any(list$mean %in% c(0, 1))) {
        em_abort("The mean of the family \"beta\" must be strictly between 0 and 1.", "start", parameter = "mean")
      }
      list
    },
    density = function(y, theta, log = FALSE) do.call(stats::dbeta, c(list(y), shapes(theta), list(log = log))),
    cdf = function(y, theta) do.call(stats::pbeta, c(list(y), shapes(theta))),
    quantile = function(prob, theta) do.call(stats::qbeta, c(list(prob), shapes(theta))),
    mean = function(theta) theta$mean,
    random = function(n, theta) do.call(stats::rbeta, c(list(n), shapes(theta)))
  )
  family
}

# ---- angles ----------------------------------------------------------------------------------------

# Into [-pi, pi].
wrap_angle <- function(x) x - 2 * pi * round(x / (2 * pi))

# The distribution function and its inverse start at -pi. A circular family has also
#   resultant(theta)       its mean resultant, a complex number: of a mixture the average, whose angle is the mean
#   arc(y, theta, from)    the probability from `from` on to y
family_vonmises <- function(link = NULL) {
  family <- new_family(
    "vonmises", "von Mises", c(mean = "real", concentration = "rate"), list(tan_half = function(eta) 2 * atan(eta)),
    link, aliases = c("von_mises", "von-mises"), support = support_real,
    convert = function(list) rename_parameter(list, "kappa", "concentration"),
    density = function(y, theta, log = FALSE) {
      kappa <- theta$concentration
      value <- -2 * kappa * sin((y - theta$mean) / 2)^2 - log(2 * pi) - special_(kappa, "log_bessel_i0_scaled")
      if (log) value else exp(value)
    },
    cdf = function(y, theta) von_mises_cdf(y, theta$mean, theta$concentration),
    quantile = function(prob, theta) von_mises_quantile(prob, theta$mean, theta$concentration),
    mean = function(theta) wrap_angle(theta$mean),
    random = function(n, theta) von_mises_random(n, theta$mean, theta$concentration),
    from_natural = function(natural, info) {
      out <- scalar_from_natural(natural, family, info)
      if (!is.null(out$mean)) out$mean <- wrap_angle(out$mean)
      out
    }
  )
  family$resultant <- function(theta) {
    complex(modulus = special_(theta$concentration, "bessel_ratio"), argument = theta$mean)
  }
  family$arc <- function(y, theta, from) von_mises_arc(y - theta$mean, from - theta$mean, theta$concentration)
  family
}

is_circular <- function(family) !is.null(family$resultant)

# The probability of angles between two, of mean 0.
von_mises_arc <- function(to, from, kappa) {
  n <- length(to)
  from <- rep_len(from, n)
  kappa <- rep_len(kappa, n)
  out <- numeric(n)
  for (value in unique(kappa)) {
    at <- kappa == value
    out[at] <- von_mises_centred(to[at], value) - von_mises_centred(from[at], value)
  }
  out
}

# P(-pi < Y <= y).
von_mises_cdf <- function(y, mean, kappa) {
  n <- length(y)
  y <- wrap_angle(y)
  mean <- wrap_angle(rep_len(mean, n))
  kappa <- rep_len(kappa, n)
  out <- rep(NA_real_, n)
  for (value in unique(kappa)) {
    at <- which(kappa == value & !is.na(y))
    out[at] <- von_mises_centred(y[at] - mean[at], value) - von_mises_centred(-pi - mean[at], value)
  }
  pmin(pmax(out, 0), 1)
}

# The integral of the density of mean 0 from 0 to x, x any real number: its Fourier series (Mardia & Jupp 2000, 3.5.18),
# or for concentrated ones s = 2 sin(x / 2), which has density exp(-kappa s^2 / 2) / sqrt(1 - s^2 / 4) up to a constant:
# moments of a normal distribution.
von_mises_centred <- function(x, kappa) {
  turns <- round(x / (2 * pi))
  x <- x - 2 * pi * turns
  if (kappa <= 500) {
    out <- x / (2 * pi)
    top <- besselI(kappa, 0, TRUE)
    for (j in seq_len(ceiling(10 * sqrt(kappa) + 20))) {
      out <- out + besselI(kappa, j, TRUE) / top * sin(j * x) / (j * pi)
    }
    return(out + turns)
  }
  t <- 2 * sqrt(kappa) * sin(x / 2)
  density <- stats::dnorm(t)
  phi <- stats::pnorm(t) - 0.5
  part <- function(zeroth, second, fourth, sixth) {
    zeroth + second / (8 * kappa) + 3 * fourth / (128 * kappa^2) + 5 * sixth / (1024 * kappa^3)
  }
  part(phi, phi - t * density, 3 * phi - (t^3 + 3 * t) * density, 15 * phi - (t^5 + 5 * t^3 + 15 * t) * density) /
    part(1, 1, 3, 15) + turns
}

# Bisection, all at once.
von_mises_quantile <- function(prob, mean, kappa) {
  n <- max(length(prob), length(mean), length(kappa))
  prob <- rep_len(prob, n)
  mean <- rep_len(mean, n)
  kappa <- rep_len(kappa, n)
  low <- rep(-pi, n)
  high <- rep(pi, n)
  # wrap_angle() may take pi itself for -pi.
  for (i in 1:55) {
    middle <- (low + high) / 2
    below <- von_mises_cdf(middle, mean, kappa) < prob
    low <- ifelse(below, middle, low)
    high <- ifelse(below, high, middle)
  }
  (low + high) / 2
}

# Best & Fisher (1979), Applied Statistics 28:152-157; normal when its own curve is.
von_mises_random <- function(n, mean, kappa) {
  mean <- rep_len(mean, n)
  kappa <- rep_len(kappa, n)
  out <- stats::runif(n, -pi, pi)
  narrow <- kappa > 1e6
  out[narrow] <- stats::rnorm(sum(narrow)) / sqrt(kappa[narrow])
  left <- which(kappa > 1e-8 & !narrow)
  tau <- 1 + sqrt(1 + 4 * kappa^2)
  rho <- (tau - sqrt(2 * tau)) / (2 * kappa)
  r <- (1 + rho^2) / (2 * rho)
  while (length(left) > 0L) {
    z <- cospi(stats::runif(length(left)))
    f <- (1 + r[left] * z) / (r[left] + z)
    c <- kappa[left] * (r[left] - f)
    u <- stats::runif(length(left))
    fine <- c * (2 - c) > u | log(c / u) + 1 >= c
    sign <- ifelse(stats::runif(length(left)) < 0.5, -1, 1)
    out[left[fine]] <- (sign * acos(pmin(pmax(f, -1), 1)))[fine]
    left <- left[!fine]
  }
  wrap_angle(out + mean)
}

# ---- several columns -------------------------------------------------------------------------------

# theta: mean with a row (or one for all), covariance d x d. Rows that are missing in part count with what they observe.
# conditional(y, theta): every column given those before it: list(log_density, cdf), n x d, with 0 and NA where missing.
# From these a mixture of such distributions has residuals column by column (Rosenblatt 1952, Annals of Mathematical
# Statistics 23:470-472).
family_mvgaussian <- function(link = NULL) {
  family <- new_family(
    "mvgaussian", "multivariate normal", c(mean = "real", covariance = "positive"), list(identity = identity), link,
    aliases = c("multivariate_gaussian", "mvnorm", "multivariate_normal"), columns = "several", covariates = FALSE,
    check = check_mvgaussian,
    density = function(y, theta, log = FALSE) {
      value <- rowSums(mvgaussian_conditional(y, theta)$log_density)
      if (log) value else exp(value)
    },
    mean = function(theta) theta$mean,
    random = function(n, theta) {
      d <- ncol(theta$mean)
      draws <- matrix(stats::rnorm(n * d), n) %*% chol(theta$covariance)
      out <- probability_rows(theta$mean, n) + draws
      colnames(out) <- colnames(theta$mean)
      out
    },
    to_natural = function(list, info, K, p = NULL) mvgaussian_to_natural(list, info, K),
    from_natural = function(natural, info) mvgaussian_from_natural(natural, info),
    row_parameters = function(natural, k, x, offset, info) {
      list <- mvgaussian_from_natural(natural, info)
      list(mean = matrix(list$mean[, k], 1L, dimnames = list(NULL, rownames(list$mean))),
           covariance = list$covariance[, , k, drop = FALSE][, , 1L])
    },
    n_parameters = function(info, p = NULL) length(info$columns) * (1L + length(info$columns))
  )
  family$conditional <- mvgaussian_conditional
  family
}

check_mvgaussian <- function(y, name) {
  if (is.data.frame(y)) y <- as.matrix(y)
  y <- check_numeric_response(y, name)
  if (length(dim(y)) != 2L) y <- matrix(y, ncol = 1L)
  storage.mode(y) <- "double"
  columns <- colnames(y)
  if (is.null(columns)) columns <- if (ncol(y) == 1L) name else paste0(name, seq_len(ncol(y)))
  for (j in seq_len(ncol(y))) {
    bad <- !is.na(y[, j]) & is.infinite(y[, j])
    if (any(bad)) abort_support(y[, j], bad, columns[j], list(name = "mvgaussian"), "finite")
  }
  list(y = unname(y), levels = NULL, info = list(columns = columns))
}

mvgaussian_to_natural <- function(list, info, K) {
  family <- list(name = "mvgaussian", parameter_names = c("mean", "covariance"))
  list <- rename_parameter(list, "sigma", "covariance")
  check_parameter_list(list, family, family$parameter_names)
  d <- length(info$columns)
  means <- check_columns_by_component(list$mean, "mean", d, K, "real", family)
  covariance <- list$covariance
  if (is.list(covariance) && length(covariance) == K) {
    covariance <- array(unlist(covariance), c(dim(covariance[[1L]]), K))
  }
  if (is.numeric(covariance) && length(covariance) == d * d) covariance <- array(covariance, c(d, d, K))
  if (!is.numeric(covariance) || length(covariance) != d * d * K || !all(is.finite(covariance)) ||
      length(dim(covariance)) != 3L || !all(dim(covariance) == c(d, d, K))) {
    em_abort(sprintf("The parameter \"covariance\" of the family \"mvgaussian\" must be a %d x %d x %d array, not %s.",
                     d, d, K, if (is.null(covariance)) "absent" else describe_value(covariance)), "start",
             parameter = "covariance")
  }
  for (k in seq_len(K)) {
    one <- matrix(covariance[, , k], d)
    if (!isSymmetric(unname(one), tol = 1e-8) || inherits(try(chol(one), silent = TRUE), "try-error")) {
      em_abort(sprintf("The covariance matrix of component %d must be symmetric and positive definite.", k), "start",
               parameter = "covariance", component = k)
    }
  }
  unname(rbind(means, matrix(covariance, d * d, K)))
}

# rows x K numbers; a vector of `rows` stands for all components.
check_columns_by_component <- function(x, name, rows, K, domain, family) {
  if (is.numeric(x) && is.null(dim(x)) && length(x) %in% c(rows, rows * K)) x <- matrix(x, rows, K)
  if (!is.numeric(x) || length(dim(x)) != 2L || !all(dim(x) == c(rows, K)) || !all(domain_holds(x, domain))) {
    em_abort(sprintf(paste("The parameter %s of the family %s must be a %d x %d matrix of %s numbers",
                           "(a column for each component), not %s."),
                     dQuote(name, FALSE), dQuote(family$name, FALSE), rows, K, domain_words(domain),
                     if (is.null(x)) "absent" else if (is.numeric(x) && !is.null(dim(x)))
                       paste("one of", paste(dim(x), collapse = " x ")) else describe_value(x)),
             "start", parameter = name)
  }
  matrix(as.double(x), rows, K)
}

mvgaussian_from_natural <- function(natural, info) {
  d <- length(info$columns)
  K <- ncol(natural)
  list(
    mean = matrix(natural[seq_len(d), ], d, K, dimnames = list(info$columns, colnames(natural))),
    covariance = array(natural[-seq_len(d), ], c(d, d, K), list(info$columns, info$columns, colnames(natural)))
  )
}

mvgaussian_conditional <- function(y, theta) {
  n <- nrow(y)
  d <- ncol(y)
  residual <- unname(y) - unname(probability_rows(theta$mean, n))
  covariance <- matrix(theta$covariance, d)
  log_density <- matrix(0, n, d)
  cdf <- matrix(NA_real_, n, d)
  observed <- !is.na(y)
  patterns <- split(seq_len(n), apply(observed, 1L, function(o) paste(which(o), collapse = " ")))
  for (rows in patterns) {
    o <- which(observed[rows[1L], ])
    if (length(o) == 0L) next
    factor <- chol(covariance[o, o, drop = FALSE])
    z <- t(backsolve(factor, t(residual[rows, o, drop = FALSE]), transpose = TRUE))
    log_density[rows, o] <- stats::dnorm(z, log = TRUE) - rep(log(diag(factor)), each = length(rows))
    cdf[rows, o] <- stats::pnorm(z)
  }
  list(log_density = log_density, cdf = cdf)
}

# ---- mixtures within a component -------------------------------------------------------------------

# Parts are shown by increasing mean within each component. theta: matrices with a row (or one for all), a column for
# each part.
family_gaussian_mixture <- function(link = NULL) {
  over_parts <- function(y, theta, f) {
    y <- as.vector(y)
    value <- 0
    for (m in seq_len(ncol(theta$mean))) value <- value + theta$proportions[, m] * f(y, theta$mean[, m], theta$sd[, m])
    value
  }
  cdf <- function(y, theta) over_parts(y, theta, stats::pnorm)
  new_family(
    "gaussian_mixture", "mixture of normals", c(proportions = "probability", mean = "real", sd = "positive"),
    list(identity = identity), link, aliases = c("gmm", "normal_mixture"), covariates = FALSE, support = support_real,
    density = function(y, theta, log = FALSE) {
      y <- as.vector(y)
      terms <- vapply(seq_len(ncol(theta$mean)), function(m) {
        log(theta$proportions[, m]) + stats::dnorm(y, theta$mean[, m], theta$sd[, m], log = TRUE)
      }, numeric(length(y)))
      terms <- matrix(terms, length(y))
      top <- do.call(pmax, lapply(seq_len(ncol(terms)), function(m) terms[, m]))
      value <- top + log(rowSums(exp(terms - top)))
      if (log) value else exp(value)
    },
    cdf = cdf,
    quantile = function(prob, theta) {
      n <- max(length(prob), nrow(theta$mean))
      prob <- rep_len(prob, n)
      theta <- lapply(theta, probability_rows, n = n)
      ends <- vapply(seq_len(ncol(theta$mean)), function(m) {
        stats::qnorm(prob, theta$mean[, m], theta$sd[, m])
      }, numeric(n))
      # The quantile lies between those of the parts.
      ends <- matrix(ends, n)
      low <- apply(ends, 1L, min)
      high <- apply(ends, 1L, max)
      for (i in 1:60) {
        middle <- ifelse(is.finite(low) & is.finite(high), (low + high) / 2, low)
        below <- cdf(middle, theta) < prob
        low <- ifelse(below, middle, low)
        high <- ifelse(below, high, middle)
      }
      ifelse(is.finite(low) & is.finite(high), (low + high) / 2, low)
    },
    mean = function(theta) rowSums(theta$proportions * theta$mean),
    random = function(n, theta) {
      theta <- lapply(theta, probability_rows, n = n)
      u <- stats::runif(n)
      part <- rep(1L, n)
      reached <- 0
      for (m in seq_len(ncol(theta$mean) - 1L)) {
        reached <- reached + theta$proportions[, m]
        part <- part + (u > reached)
      }
      at <- cbind(seq_len(n), part)
      stats::rnorm(n, theta$mean[at], theta$sd[at])
    },
    to_natural = function(list, info, K, p = NULL) gaussian_mixture_to_natural(list, info, K),
    from_natural = function(natural, info) {
      parts <- gaussian_mixture_blocks(natural)
      for (k in seq_len(ncol(natural))) {
        order <- order(parts$mean[, k])
        parts <- lapply(parts, function(block) {
          block[, k] <- block[order, k]
          block
        })
      }
      parts
    },
    row_parameters = function(natural, k, x, offset, info) {
      lapply(gaussian_mixture_blocks(natural), function(block) matrix(block[, k], 1L))
    },
    n_parameters = function(info, p = NULL) 3L * info$n_parts
  )
}

gaussian_mixture_blocks <- function(natural) {
  parts <- nrow(natural) %/% 3L
  block <- function(b) {
    matrix(natural[(b - 1L) * parts + seq_len(parts), ], parts,
           dimnames = list(paste0("part", seq_len(parts)), colnames(natural)))
  }
  list(proportions = block(1L), mean = block(2L), sd = block(3L))
}

gaussian_mixture_to_natural <- function(list, info, K) {
  family <- list(name = "gaussian_mixture", parameter_names = c("proportions", "mean", "sd"))
  check_parameter_list(list, family, family$parameter_names)
  domains <- c(proportions = "probability", mean = "real", sd = "positive")
  blocks <- lapply(names(domains), function(name) {
    check_columns_by_component(list[[name]], name, info$n_parts, K, domains[[name]], family)
  })
  sums <- colSums(blocks[[1L]])
  if (any(abs(sums - 1) > 1e-6)) {
    em_abort(sprintf("The proportions of \"gaussian_mixture\" must sum to 1 in each component; they sum to %s.",
                     paste(format(sums), collapse = ", ")), "start", parameter = "proportions")
  }
  blocks[[1L]] <- sweep(blocks[[1L]], 2L, sums, "/")
  do.call(rbind, blocks)
}
