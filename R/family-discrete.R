# Families of counts and categories.

# A parameter under another name.
rename_parameter <- function(list, from, to) {
  if (is.null(list[[to]]) && !is.null(names(list))) names(list)[names(list) %in% from] <- to
  list
}

family_poisson <- function(link = NULL) {
  new_family(
    "poisson", "Poisson", c(lambda = "rate"), list(log = exp), link, discrete = TRUE, support = support_count,
    convert = function(list) rename_parameter(list, c("mean", "rate"), "lambda"),
    density = function(y, theta, log = FALSE) stats::dpois(y, theta$lambda, log),
    cdf = function(y, theta) stats::ppois(y, theta$lambda),
    quantile = function(prob, theta) stats::qpois(prob, theta$lambda),
    mean = function(theta) theta$lambda,
    random = function(n, theta) stats::rpois(n, theta$lambda)
  )
}

family_negative_binomial <- function(link = NULL) {
  new_family(
    "negative_binomial", "negative binomial", c(mean = "rate", size = "positive"), list(log = exp), link,
    aliases = c("nbinom", "negbin", "nb"), discrete = TRUE, support = support_count,
    convert = function(list) rename_parameter(list, "mu", "mean"),
    density = function(y, theta, log = FALSE) stats::dnbinom(y, theta$size, mu = theta$mean, log = log),
    cdf = function(y, theta) stats::pnbinom(y, theta$size, mu = theta$mean),
    quantile = function(prob, theta) stats::qnbinom(prob, theta$size, mu = theta$mean),
    mean = function(theta) theta$mean,
    random = function(n, theta) stats::rnbinom(n, theta$size, mu = theta$mean)
  )
}

# ---- counts with more zeros ------------------------------------------------------------------------

# What a distribution of counts becomes when a share `zero` of the rows is 0 without being counted.
zero_inflated_density <- function(log_density, zero, y, log) {
  value <- (y == 0) * zero + (1 - zero) * exp(log_density)
  if (!log) return(value)
  # A density too small for a number has a logarithm all the same.
  ifelse(value > 0, log(value), log1p(-zero) + log_density)
}
zero_inflated_cdf <- function(cdf, zero, y) (y >= 0) * (zero + (1 - zero) * cdf)
zero_inflated_prob <- function(prob, zero) {
  p <- pmax((prob - zero) / (1 - zero), 0)
  p[is.nan(p)] <- 0
  p
}

family_zip <- function(link = NULL) {
  new_family(
    "zip", "zero-inflated Poisson", c(lambda = "rate", zero = "probability"), list(log = exp), link,
    aliases = "zero_inflated_poisson", discrete = TRUE, support = support_count,
    convert = function(list) rename_parameter(list, c("mean", "rate"), "lambda"),
    density = function(y, theta, log = FALSE) {
      zero_inflated_density(stats::dpois(y, theta$lambda, TRUE), theta$zero, y, log)
    },
    cdf = function(y, theta) zero_inflated_cdf(stats::ppois(y, theta$lambda), theta$zero, y),
    quantile = function(prob, theta) stats::qpois(zero_inflated_prob(prob, theta$zero), theta$lambda),
    mean = function(theta) (1 - theta$zero) * theta$lambda,
    random = function(n, theta) stats::rpois(n, theta$lambda) * (stats::runif(n) >= theta$zero)
  )
}

family_zinb <- function(link = NULL) {
  new_family(
    "zinb", "zero-inflated negative binomial", c(mean = "rate", size = "positive", zero = "probability"),
    list(log = exp), link, aliases = "zero_inflated_negative_binomial", discrete = TRUE, support = support_count,
    convert = function(list) rename_parameter(list, "mu", "mean"),
    density = function(y, theta, log = FALSE) {
      zero_inflated_density(stats::dnbinom(y, theta$size, mu = theta$mean, log = TRUE), theta$zero, y, log)
    },
    cdf = function(y, theta) zero_inflated_cdf(stats::pnbinom(y, theta$size, mu = theta$mean), theta$zero, y),
    quantile = function(prob, theta) {
      stats::qnbinom(zero_inflated_prob(prob, theta$zero), theta$size, mu = theta$mean)
    },
    mean = function(theta) (1 - theta$zero) * theta$mean,
    random = function(n, theta) stats::rnbinom(n, theta$size, mu = theta$mean) * (stats::runif(n) >= theta$zero)
  )
}

# ---- binomial --------------------------------------------------------------------------------------

# y is n x 2, successes and trials. theta$trials: the trials of rows to predict or draw, 1 where there is none.
family_binomial <- function(link = NULL) {
  trials <- function(theta) if (is.null(theta$trials)) 1 else theta$trials
  new_family(
    "binomial", "binomial", c(prob = "probability"),
    list(logit = stats::plogis, probit = stats::pnorm, cloglog = function(eta) -expm1(-exp(eta))), link,
    aliases = "bernoulli", discrete = TRUE, columns = "trials", check = check_binomial,
    density = function(y, theta, log = FALSE) stats::dbinom(y[, 1L], y[, 2L], theta$prob, log),
    cdf = function(y, theta) stats::pbinom(y[, 1L], y[, 2L], theta$prob),
    quantile = function(prob, theta) stats::qbinom(prob, trials(theta), theta$prob),
    mean = function(theta) trials(theta) * theta$prob,
    random = function(n, theta) {
      size <- rep_len(trials(theta), n)
      cbind(stats::rbinom(n, size, theta$prob), size, deparse.level = 0L)
    }
  )
}

# Logical, 0 and 1, a factor of two levels (the first is failure), or cbind(successes, failures).
check_binomial <- function(y, name) {
  levels <- NULL
  if (is.character(y)) y <- factor(y)
  if (is.factor(y)) {
    if (nlevels(y) != 2L) {
      em_abort(sprintf(paste0("The response %s has %d levels; the family \"binomial\" takes two. Use family = ",
                              "\"categorical\"."), dQuote(name, FALSE), nlevels(y)),
               "response_type", response = name)
    }
    levels <- levels(y)
    y <- as.integer(y) - 1L
  }
  y <- check_numeric_response(y, name)
  pair <- length(dim(y)) == 2L && ncol(y) == 2L
  if (length(dim(y)) == 2L && !ncol(y) %in% 1:2) {
    em_abort(sprintf("The response %s has %d columns; the family \"binomial\" takes cbind(successes, failures).",
                     dQuote(name, FALSE), ncol(y)), "response_type", response = name)
  }
  family <- list(name = "binomial")
  if (pair) {
    for (column in 1:2) {
      v <- as.double(y[, column])
      bad <- !is.na(v) & (is.infinite(v) | v < 0 | v != floor(v))
      if (any(bad)) abort_support(v, bad, name, family, "counts of successes and failures")
    }
    successes <- as.double(y[, 1L])
    trials <- successes + as.double(y[, 2L])
  } else {
    successes <- as.double(y)
    bad <- !is.na(successes) & !successes %in% c(0, 1)
    if (any(bad)) {
      abort_support(successes, bad, name, family, "0 or 1 (or cbind(successes, failures))")
    }
    trials <- rep(1, length(successes))
  }
  missing <- is.na(successes) | is.na(trials)
  successes[missing] <- trials[missing] <- NA
  list(y = cbind(successes, trials, deparse.level = 0L), levels = levels, info = list(pair = pair))
}

# ---- categories ------------------------------------------------------------------------------------

# n rows of probabilities, of a vector or a matrix.
probability_rows <- function(prob, n) {
  if (!is.matrix(prob)) prob <- matrix(prob, 1L)
  if (nrow(prob) == n) prob else prob[rep_len(seq_len(nrow(prob)), n), , drop = FALSE]
}

# K x C probabilities; a vector for one component or for all.
check_probabilities <- function(x, C, K, family, levels = NULL) {
  if (is.null(x)) check_parameter(x, "prob", K, "probability", family)
  if (is.numeric(x) && !is.matrix(x) && length(x) == C) x <- matrix(x, K, C, byrow = TRUE)
  if (!is.numeric(x) || !is.matrix(x) || !all(dim(x) == c(K, C))) {
    em_abort(sprintf(paste0("The parameter \"prob\" of the family %s must be a %d x %d matrix (components x ",
                            "categories), not %s."), dQuote(family, FALSE), K, C,
                     if (is.matrix(x)) paste("one of", paste(dim(x), collapse = " x ")) else describe_value(x)),
             "start", parameter = "prob")
  }
  if (!is.null(levels) && !is.null(colnames(x)) && setequal(colnames(x), levels)) x <- x[, levels, drop = FALSE]
  bad <- which(!apply(is.finite(x) & x >= 0, 1L, all) | abs(rowSums(x) - 1) > 1e-6)
  if (length(bad) > 0L) {
    em_abort(sprintf("Each row of \"prob\" of the family %s must be probabilities that sum to 1; row %d is %s.",
                     dQuote(family, FALSE), bad[1L], paste(format(x[bad[1L], ]), collapse = ", ")), "start",
             parameter = "prob")
  }
  t(unname(x))
}

# theta$prob is n x C (or one row, or a vector); y are codes 0 .. C - 1.
family_categorical <- function(link = NULL) {
  family <- list(name = "categorical", parameter_names = "prob")
  new_family(
    "categorical", "categorical", c(prob = "probability"), list(logit = stats::plogis), link, discrete = TRUE,
    columns = "factor", check = check_categorical,
    density = function(y, theta, log = FALSE) {
      y <- as.vector(y)
      prob <- probability_rows(theta$prob, length(y))
      value <- rep(NA_real_, length(y))
      seen <- which(!is.na(y))
      value[seen] <- prob[cbind(seen, y[seen] + 1)]
      if (log) log(value) else value
    },
    cdf = function(y, theta) {
      y <- as.vector(y)
      prob <- probability_rows(theta$prob, length(y))
      pmin(rowSums(prob * (col(prob) <= y + 1)), 1)
    },
    quantile = function(prob, theta) {
      p <- probability_rows(theta$prob, length(prob))
      total <- t(apply(p, 1L, cumsum))
      pmin(rowSums(total < prob), ncol(p) - 1)
    },
    mean = function(theta) theta$prob,
    random = function(n, theta) {
      p <- probability_rows(theta$prob, n)
      total <- t(apply(p, 1L, cumsum))
      u <- stats::runif(n) * total[, ncol(p)]
      rowSums(total <= u) + 0
    },
    to_natural = function(list, info, K, p = info$p) {
      C <- length(info$levels)
      check_parameter_list(list, family, if (is.null(p)) "prob" else "coefficients")
      if (is.null(p)) return(check_probabilities(list$prob, C, K, "categorical", info$levels))
      x <- list$coefficients
      if (is.numeric(x) && length(dim(x)) < 3L && length(x) == p * (C - 1L) * K && (K == 1L || C == 2L)) {
        x <- array(x, c(p, C - 1L, K))
      }
      if (!is.numeric(x) || length(dim(x)) != 3L || !all(dim(x) == c(p, C - 1L, K)) || !all(is.finite(x))) {
        em_abort(sprintf(paste0("The coefficients of the family \"categorical\" must be a %d x %d x %d array ",
                                "(coefficients x categories but the first x components) of finite numbers, not %s."),
                         p, C - 1L, K, if (is.null(dim(x))) describe_value(x) else
                           paste("one of", paste(dim(x), collapse = " x "))), "start", parameter = "coefficients")
      }
      matrix(as.double(x), p * (C - 1L), K)
    },
    from_natural = function(natural, info) {
      if (is.null(info$p)) {
        prob <- t(natural)
        dimnames(prob) <- list(colnames(natural), info$levels)
        return(list(prob = prob))
      }
      C <- length(info$levels)
      list(coefficients = array(natural, c(info$p, C - 1L, ncol(natural)),
                                list(info$coefficient_names, info$levels[-1L], colnames(natural))))
    },
    row_parameters = function(natural, k, x, offset, info) {
      if (is.null(x) && is.null(offset)) return(list(prob = matrix(natural[, k], 1L)))
      if (is.null(x)) x <- matrix(1, length(offset), 1L)
      eta <- x %*% matrix(natural[, k], ncol(x))
      if (!is.null(offset)) eta <- eta + offset
      eta <- cbind(0, eta)
      prob <- exp(eta - apply(eta, 1L, max))
      list(prob = prob / rowSums(prob))
    },
    n_parameters = function(info, p = info$p) {
      C <- length(info$levels)
      if (is.null(p)) C else (C - 1L) * p
    }
  )
}

# A factor (levels without rows are dropped), or any values with few distinct ones.
check_categorical <- function(y, name) {
  if (is.list(y) || is.matrix(y) && ncol(y) > 1L) {
    em_abort(sprintf(paste0("The response %s must be one factor for the family \"categorical\"; for counts of several ",
                            "categories use family = \"multinomial\"."), dQuote(name, FALSE)),
             "response_type", response = name)
  }
  y <- if (is.factor(y)) droplevels(y) else factor(as.vector(y))
  if (nlevels(y) < 2L) {
    em_abort(sprintf("The response %s must have at least two categories; it has %d.", dQuote(name, FALSE), nlevels(y)),
             "support", response = name)
  }
  list(y = matrix(as.double(as.integer(y)) - 1, ncol = 1L), levels = levels(y), info = list(levels = levels(y)))
}

# ---- counts of several categories ------------------------------------------------------------------

# y is n x C. theta$prob is n x C (or one row), theta$size the sums of rows to predict or draw, 1 where there is none.
family_multinomial <- function(link = NULL) {
  family <- list(name = "multinomial", parameter_names = "prob")
  size <- function(theta) if (is.null(theta$size)) 1 else theta$size
  new_family(
    "multinomial", "multinomial", c(prob = "probability"), list(logit = stats::plogis), link, discrete = TRUE,
    columns = "counts", covariates = FALSE, check = check_multinomial,
    density = function(y, theta, log = FALSE) {
      prob <- probability_rows(theta$prob, nrow(y))
      value <- lgamma(rowSums(y) + 1) - rowSums(lgamma(y + 1)) + rowSums(ifelse(y == 0, 0, y * log(prob)))
      if (log) value else exp(value)
    },
    mean = function(theta) theta$prob * size(theta),
    random = function(n, theta) {
      p <- probability_rows(theta$prob, n)
      size <- rep_len(size(theta), n)
      t(vapply(seq_len(n), function(i) stats::rmultinom(1L, size[i], p[i, ])[, 1L] + 0, numeric(ncol(p))))
    },
    to_natural = function(list, info, K, p = NULL) {
      check_parameter_list(list, family, "prob")
      check_probabilities(list$prob, info$n_columns, K, "multinomial", info$columns)
    },
    from_natural = function(natural, info) {
      prob <- t(natural)
      dimnames(prob) <- list(colnames(natural), info$columns)
      list(prob = prob)
    },
    row_parameters = function(natural, k, x, offset, info) list(prob = matrix(natural[, k], 1L)),
    n_parameters = function(info, p = NULL) info$n_columns
  )
}

check_multinomial <- function(y, name) {
  if (is.data.frame(y)) y <- as.matrix(y)
  if (!is.matrix(y) || ncol(y) < 2L) {
    em_abort(sprintf(paste0("The response %s must be a matrix of counts, such as cbind(a, b, c), for the family ",
                            "\"multinomial\"; for a factor use family = \"categorical\"."), dQuote(name, FALSE)),
             "response_type", response = name)
  }
  y <- check_numeric_response(y, name)
  for (column in seq_len(ncol(y))) {
    v <- as.double(y[, column])
    bad <- !is.na(v) & (is.infinite(v) | v < 0 | v != floor(v))
    if (any(bad)) abort_support(v, bad, name, list(name = "multinomial"), "counts, not negative")
  }
  list(y = matrix(as.double(y), nrow(y)), levels = NULL, info = list(n_columns = ncol(y), columns = colnames(y)))
}
