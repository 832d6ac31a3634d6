# The arguments of em_gmm() beside its data: each is checked once, here, and comes back in the shape that the search takes.

check_components <- function(n_components, n) {
  fine <- is.numeric(n_components) && length(n_components) > 0L && !anyNA(n_components) &&
    all(n_components >= 1 & n_components == floor(n_components))
  if (!fine) check_fails("n_components", "whole numbers, at least 1", n_components, "n_components")
  if (min(n_components) > n) {
    em_abort(sprintf("`n_components` is %s, more than the %d rows of the data.", format(min(n_components)), n),
             "n_components")
  }
  as.integer(pmin(n_components, .Machine$integer.max))
}

# The numbers of factors to fit, or NULL where no structure has factors.
check_factors <- function(n_factors, codes, d) {
  if (!any(has_factors(codes))) {
    if (is.null(n_factors)) return(NULL)
    em_abort(sprintf(paste0("`n_factors` is for structures with factors, and `covariance` asks for none of them. ",
                            "Add one, such as \"UUU\" (they are %s)."), paste(factor_codes(), collapse = ", ")), "n_factors")
  }
  most <- largest_n_factors(d, "fa")
  if (is.null(n_factors)) return(seq_len(min(3L, most)))
  fine <- is.numeric(n_factors) && length(n_factors) > 0L && !anyNA(n_factors) &&
    all(n_factors >= 1 & n_factors == floor(n_factors))
  if (!fine) check_fails("n_factors", "whole numbers, at least 1", n_factors, "n_factors")
  n_factors <- sort(unique(as.integer(n_factors)))
  possible <- n_factors[n_factors <= most]
  if (length(possible) == 0L) {
    em_abort(sprintf(paste0("`n_factors` is %s: too many for %d variables. The largest number of factors that %d ",
                            "variables determine is %d."), format(min(n_factors)), d, d, most),
             "n_factors", largest = most)
  }
  inform_left_out(setdiff(n_factors, possible), count_of(d, "variable"))
  possible
}

# NULL, or list(lower, sides, start, rows): the box in the data's units, its first proportion, and rows that start in it.
check_noise <- function(noise, look, n, d) {
  if (is.null(noise) || identical(noise, FALSE)) return(NULL)
  sides <- look$highest - look$lowest
  proportion <- 0.05
  rows <- NULL
  if (is.list(noise)) {
    unknown <- setdiff(names(noise), c("volume", "sides", "proportion"))
    if (is.null(names(noise)) || length(unknown) > 0L) {
      em_abort("`noise` as a list has the elements volume or sides, and proportion.", "noise")
    }
    if (!is.null(noise$sides)) {
      if (!is.numeric(noise$sides) || length(noise$sides) != d || !all(is.finite(noise$sides) & noise$sides > 0)) {
        em_abort(sprintf("`noise$sides` must be %d positive numbers.", d), "noise")
      }
      sides <- as.double(noise$sides)
    }
    if (!is.null(noise$volume)) {
      volume <- noise$volume
      if (!is.numeric(volume) || length(volume) != 1L || !is.finite(volume) || volume <= 0) {
        em_abort("`noise$volume` must be one positive number.", "noise")
      }
      sides <- sides * exp((log(volume) - sum(log(sides))) / d)
    }
    if (!is.null(noise$proportion)) {
      proportion <- check_number(noise$proportion, "noise$proportion", 1e-12, 1 - 1e-12,
                                 "one number between 0 and 1")
    }
  } else if (is.numeric(noise)) {
    proportion <- check_number(noise, "noise", 1e-12, 1 - 1e-12,
                               "TRUE, one number between 0 and 1, a logical vector or a list")
  } else if (is.logical(noise) && length(noise) == n && n > 1L) {
    if (anyNA(noise) || !any(noise) || all(noise)) {
      em_abort("`noise` as a logical vector must have TRUE and FALSE, and no NA.", "noise")
    }
    rows <- noise
    proportion <- mean(noise)
  } else if (!identical(noise, TRUE)) {
    check_fails("noise", sprintf("TRUE, one number between 0 and 1, %d logical values or a list", n), noise, "noise")
  }
  # The box lies about the middle of the data.
  lower <- (look$lowest + look$highest - sides) / 2
  list(lower = unname(lower), sides = unname(sides), start = proportion, rows = rows)
}

check_known <- function(known, n, n_components, noise) {
  if (is.null(known)) return(list())
  known <- known_labels(known, n, "a factor, or whole numbers")
  names <- known$names
  known <- known$labels
  if (any(known != floor(known) | known < 0, na.rm = TRUE)) {
    em_abort("`known` must be component numbers, from 1 (0 for noise), and NA where not known.", "known")
  }
  if (all(is.na(known))) return(list())
  if (any(known == 0, na.rm = TRUE) && is.null(noise)) {
    em_abort("`known` has component 0, the noise, but `noise` is not asked for.", "known")
  }
  top <- max(known, length(names), na.rm = TRUE)
  if (!is.null(n_components) && min(n_components) < top) {
    em_abort(sprintf("`known` names %d components; `n_components` must be at least that.", top), "known")
  }
  if (is.null(n_components)) em_abort("`known` needs `n_components`.", "known")
  list(labels = as.integer(known), names = names)
}

# list(proportions, means, covariances, mean_fixed, covariance_fixed), the last two logical of length K or NULL.
check_fixed <- function(fixed, n_components, codes, d, equal_proportions, noise) {
  if (is.null(fixed)) return(NULL)
  if (!is.list(fixed) || length(fixed) == 0L || is.null(names(fixed)) ||
      length(setdiff(names(fixed), c("means", "covariances", "proportions"))) > 0L) {
    em_abort("`fixed` must be a list with some of means, covariances and proportions.", "fixed")
  }
  if (length(n_components) != 1L) em_abort("`fixed` needs a single `n_components`.", "fixed")
  k <- n_components
  out <- list()
  if (!is.null(fixed$means)) {
    means <- if (is.matrix(fixed$means)) fixed$means else if (d == 1L) matrix(fixed$means, 1L) else fixed$means
    if (!is.numeric(means) && !is.logical(means) || !identical(dim(means), c(as.integer(d), k))) {
      em_abort(sprintf("`fixed$means` must be a %d x %d matrix (variables x components).", d, k), "fixed")
    }
    free <- colSums(is.na(means))
    if (any(free > 0L & free < d)) {
      em_abort("`fixed$means` must hold a component's mean wholly, or be NA for all its variables.", "fixed")
    }
    out$means <- unname(means) + 0
    out$mean_fixed <- free == 0L
  }
  if (!is.null(fixed$covariances)) {
    covariances <- fixed$covariances
    if (length(covariances) != d * d * k || !is.numeric(covariances) && !is.logical(covariances)) {
      em_abort(sprintf("`fixed$covariances` must be a %d x %d x %d array.", d, d, k), "fixed")
    }
    covariances <- array(as.double(covariances), c(d, d, k))
    free <- apply(is.na(covariances), 3L, any)
    alone <- c("VVV", "VVI", "VII", "V")
    if (any(has_factors(codes))) {
      em_abort(sprintf("`fixed$covariances` cannot be held in %s: factor analysers have loadings and uniquenesses.",
                       codes[has_factors(codes)][1L]), "fixed")
    }
    if (any(free) && any(!codes %in% alone)) {
      em_abort(sprintf("`fixed$covariances` can leave some components free only in structures %s; %s ties them.",
                       paste(alone, collapse = ", "), setdiff(codes, alone)[1L]), "fixed")
    }
    for (j in which(!free)) {
      s <- matrix(covariances[, , j], d)
      if (inherits(try(chol(s), silent = TRUE), "try-error") || max(abs(s - t(s))) > 1e-8 * max(abs(s))) {
        em_abort(sprintf("`fixed$covariances`, component %d: not symmetric and positive definite.", j), "fixed")
      }
    }
    out$covariances <- covariances
    out$covariance_fixed <- !free
  }
  if (!is.null(fixed$proportions)) {
    if (equal_proportions) em_abort("`fixed$proportions` and `equal_proportions` exclude each other.", "fixed")
    wanted <- k + !is.null(noise)
    p <- as.double(fixed$proportions)
    if (length(p) == k && !is.null(noise)) p <- c(p, NA)
    total <- sum(p, na.rm = TRUE)
    closed <- if (anyNA(p)) total < 1 else abs(total - 1) < 1e-8
    if (length(p) != wanted || any(p <= 0, na.rm = TRUE) || !closed) {
      em_abort(sprintf(paste0("`fixed$proportions` must be %d positive numbers (NA where free) that sum to 1, or to ",
                              "less where some are free."), wanted), "fixed")
    }
    out$proportions <- p
  }
  out
}

#' The conjugate prior of Gaussian mixtures
#'
#' Settings of the normal-inverse-Wishart prior for [em_gmm()]: given its covariance matrix, the mean of a component is
#' normal about `mean` with that matrix divided by `shrinkage`; the covariance matrix is inverse Wishart with `df`
#' degrees of freedom and `scale`. The posterior mode is found by EM: with this prior the M-step of every covariance
#' structure is that of maximum likelihood with added pseudo-observations, so the penalised log-likelihood never falls.
#' In a structure with constraints, the prior is this density restricted to the structure; where all components share
#' one matrix, it has one inverse Wishart density.
#'
#' The defaults are those of Fraley and Raftery (2007): they hardly move estimates that the data determine, and keep
#' components from collapsing.
#'
#' @param shrinkage Number >= 0, default 0.01: the prior's observations of the mean.
#' @param mean NULL (default: the means of the data) or d numbers.
#' @param df NULL (default: d + 2) or one number above d - 1.
#' @param scale NULL (default: the covariance matrix of the data divided by K^(2/d)) or a d x d matrix.
#' @return A list of class `em_gmm_prior`.
#' @references Fraley, C. and Raftery, A. E. (2007). Bayesian regularization for normal mixture estimation and
#' model-based clustering. *Journal of Classification* 24, 155-181. \doi{10.1007/s00357-007-0004-5}
#' @examples
#' em_gmm(faithful, n_components = 3, covariance = "VVV", prior = em_gmm_prior(shrinkage = 0.1))
#' @export
em_gmm_prior <- function(shrinkage = 0.01, mean = NULL, df = NULL, scale = NULL) {
  shrinkage <- check_number(shrinkage, "shrinkage", 0, required = "one number, at least 0")
  if (!is.finite(shrinkage)) check_fails("shrinkage", "finite", shrinkage)
  if (!is.null(df)) df <- check_number(df, "df", 0, 1e8, "NULL or one positive number")
  if (!is.null(mean) && (!is.numeric(mean) || !all(is.finite(mean)))) check_fails("mean", "NULL or finite numbers", mean)
  if (!is.null(scale) && (!is.numeric(scale) || !all(is.finite(scale)))) {
    check_fails("scale", "NULL or a matrix of finite numbers", scale)
  }
  structure(list(shrinkage = shrinkage, mean = mean, df = df, scale = scale), class = "em_gmm_prior")
}

# The prior with every setting filled in from the data.
check_prior <- function(prior, look, x, d) {
  if (is.null(prior) || identical(prior, FALSE)) return(NULL)
  if (identical(prior, TRUE)) prior <- em_gmm_prior()
  if (!inherits(prior, "em_gmm_prior")) check_fails("prior", "NULL, TRUE or made by em_gmm_prior()", prior, "prior")
  if (is.null(prior$mean)) prior$mean <- look$mean
  if (length(prior$mean) != d) em_abort(sprintf("The prior's `mean` must have %d values.", d), "prior")
  if (is.null(prior$df)) prior$df <- d + 2
  if (prior$df <= d - 1) em_abort(sprintf("The prior's `df` must be above %d.", d - 1L), "prior")
  prior$scale_by_size <- is.null(prior$scale)
  if (is.null(prior$scale)) {
    prior$scale <- if (is.null(look$correlation) || !is.null(look$collinear)) diag(look$sd^2, d) else {
      stats::cov2cor(look$correlation) * tcrossprod(look$sd)
    }
  }
  prior$scale <- as.matrix(prior$scale)
  if (!identical(dim(prior$scale), c(d, d)) || inherits(try(chol(prior$scale), silent = TRUE), "try-error")) {
    em_abort(sprintf("The prior's `scale` must be a positive definite %d x %d matrix.", d, d), "prior")
  }
  prior$mean <- as.double(prior$mean)
  prior
}
