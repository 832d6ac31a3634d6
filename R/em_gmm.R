#' Gaussian mixtures
#'
#' Fits mixtures of Gaussian distributions by maximum likelihood with the EM algorithm, over one or many numbers of
#' components and covariance structures, and returns the best by BIC. Missing values are part of the model: the
#' likelihood is that of the observed cells, exactly, for every structure.
#'
#' @section Covariance structures:
#' The covariance matrix of component k is \eqn{\lambda_k D_k A_k D_k'}, with volume \eqn{\lambda_k}, shape \eqn{A_k} and
#' orientation \eqn{D_k} (Celeux and Govaert 1995). A code's three letters say whether volume, shape and orientation
#' are **E**qual over the components, **V**ary, or are the **I**dentity: the codes of mclust. With several variables:
#' EII, VII (spherical), EEI, VEI, EVI, VVI (diagonal), EEE, VEE, EVE, VVE, EEV, VEV, EVV, VVV (ellipsoidal). With
#' one variable: E, V (equal, varying variance); a code of several stands for its first letter. Aliases: "full" =
#' VVV, "tied" = EEE, "diagonal" = VVI, "spherical" = VII. Every M-step maximises exactly; those of EVE and VVE find the
#' common orientation by plane rotations (Flury and Gautschi 1986).
#'
#' @section Missing values:
#' NA (and NaN) cells are taken as missing at random and integrated out, by pattern of missingness. Rows that observe
#' nothing stay in the fit with posterior probabilities equal to the proportions; they do not count in `nobs`.
#' `predict(fit, type = "imputed")` fills in conditional means.
#'
#' @section Convergence and starts:
#' See [em_control()]. Without `start`, several starts (Ward's hierarchical clustering, k-means++, random centres; on
#' standardised and on whitened data) are run for a few steps and the best of them to convergence. In a search over
#' structures, the solutions of simpler structures are starts of those that contain them. `fit$starts` is the
#' table of starts, `plot(fit, "starts")` its picture. A start in which a component collapses (its variance in some
#' direction goes to zero: duplicated or collinear points) loses to those that do not; when all do, the error
#' of class `em_error_degenerate` names the component. A solution in which a component rests on fewer observations
#' than its own covariance parameters need (d + 1 for an orientation, 2 for a volume or shape) is marked "spurious" in
#' `fit$selection` and is not chosen while there is another.
#'
#' @section Information criteria:
#' `BIC = -2 loglik + df log(nobs)` and `ICL = BIC - 2 sum_i w_i log max_k z_ik`: lower is better, as everywhere in R.
#' (mclust's `bic` has the opposite sign.)
#'
#' @param x,formula The data: a numeric vector, matrix, data frame (tibble, data.table) of numeric, integer or logical
#'   columns; or a one-sided formula such as `~ a + log(b)`.
#' @param data For a formula: the data frame of its variables.
#' @param subset For a formula: which rows of `data` to use, an expression in its columns.
#' @param n_components Whole numbers >= 1, default 1:9: the numbers of components to fit.
#' @param covariance Codes or aliases (see Covariance structures), or "all" (default).
#' @param weights NULL (default), or a number >= 0 for each row (for a formula: an expression in the columns of `data`):
#'   observation weights. A row of weight 2 counts as two equal rows, in the likelihood and in `nobs`.
#' @param equal_proportions TRUE for equal mixing proportions (then they are not estimated), default FALSE.
#' @param noise Adds a component of uniform density over a box, for outliers. NULL (default): none. TRUE: over the box
#'   of the data. A number in (0, 1): likewise, and it is the proportion to start from. A logical vector: likewise,
#'   and rows that are TRUE start as noise. `list(volume = , proportion = )` or `list(sides = , proportion = )` set the
#'   volume of the box, or the lengths of its sides. It counts two in `df`.
#' @param prior NULL (default), TRUE for the default [em_gmm_prior()], or one made by it: maximum a posteriori
#'   estimation with a conjugate prior, which keeps components from collapsing.
#' @param known NULL, or for each row its component where it is known, and NA where not: a factor or character vector
#'   (its levels name the components, in this order), or whole numbers (0 is the noise). The likelihood of a known
#'   row is the joint one of row and component.
#' @param start NULL (default), or where to start: a partition (a component for each row), a matrix of posterior
#'   probabilities (n x K), `list(proportions = , means = , covariances = )` in the shapes below, or a fit. Needs a single
#'   `n_components` (left out, it is that of the start).
#' @param fixed NULL, or parameters to hold: a list with `means` (d x K, columns of NA for components that are free),
#'   `covariances` (d x d x K; slices of NA for those that are free, which structures VVV, VVI, VII and V can have) or
#'   `proportions` (K; NA where free). Needs a single `n_components`.
#' @param criterion "BIC" (default), "ICL" or "AIC": what the best of several models has least of.
#' @param control Made by [em_control()].
#' @param ... Not used; an argument that is not one of the above is an error.
#'
#' @return A list of class `c("em_gmm", "em_fit")`:
#' - `parameters`: `proportions` (K, noise last), `means` (d x K), `covariances` (d x d x K), `noise` (`volume`, `sides` and
#'   `lower` corner of the box, or NULL). Components are ordered by decreasing proportion; as given where `known` or `fixed` names
#'   them.
#' - `covariance`, `n_components`: the model.
#' - `loglik`, `log_prior`, `df`, `nobs` (sum of the weights of the rows that observe anything), `n_rows`.
#' - `status` ("converged", "max_iter", "non_monotone"), `message`, `converged`, `iterations`, `evaluations`,
#'   `convergence` (`rule`, `last_gain`, `rate`, `remaining_gain`).
#' - `posterior`: n x K probabilities (noise last), rows sum to 1; NULL for very large data, see [em_control()].
#' - `classification`: the most probable component of each row, 0 for noise.
#' - `selection`: data frame of every model fitted: `covariance`, `n_components`, `loglik`, `df`, `BIC`, `ICL`, `status`,
#'   `message`.
#' - `trace`: `iteration`, `loglik`, `log_prior`, `objective`, `step`; `starts`: `start`, `method`, `loglik`, `status`,
#'   `iterations`, `best`.
#' - `degeneracy`: for each component, its size and the least of its variances relative to the data's.
#' - `call`, `formula`, `terms`, `variables`, `row_names`, `data`, `weights`, `known`, `equal_proportions`, `noise`,
#'   `prior`, `fixed`, `criterion`, `control`, `na_action`.
#'
#' @references
#' Dempster, A. P., Laird, N. M. and Rubin, D. B. (1977). Maximum likelihood from incomplete data via the EM algorithm.
#' *Journal of the Royal Statistical Society B* 39, 1-38. \doi{10.1111/j.2517-6161.1977.tb01600.x}
#'
#' Celeux, G. and Govaert, G. (1995). Gaussian parsimonious clustering models. *Pattern Recognition* 28, 781-793.
#' \doi{10.1016/0031-3203(94)00125-6}
#'
#' Flury, B. N. and Gautschi, W. (1986). An algorithm for simultaneous orthogonal transformation of several positive
#' definite symmetric matrices to nearly diagonal form. *SIAM Journal on Scientific and Statistical Computing* 7,
#' 169-184. \doi{10.1137/0907013}
#' @seealso [predict()][predict.em_gmm], [plot()][plot.em_gmm], [summary()][summary.em_gmm], [em_bootstrap()],
#'   [em_control()].
#' @examples
#' fit <- em_gmm(faithful, n_components = 1:3, covariance = c("EEE", "VVV"))
#' fit
#' head(fit$posterior)
#'
#' # A formula, missing values, and one model
#' em_gmm(~ log(Ozone) + Temp, data = airquality, n_components = 2, covariance = "VVV")
#' @export
em_gmm <- function(x, ...) UseMethod("em_gmm")

#' @rdname em_gmm
#' @export
em_gmm.default <- function(x, n_components = 1:9, covariance = "all", weights = NULL, equal_proportions = FALSE,
                           noise = NULL, prior = NULL, known = NULL, start = NULL, fixed = NULL, criterion = "BIC",
                           control = em_control(), ...) {
  check_dots_empty(..., .function = "em_gmm")
  call <- match.call()
  call[[1L]] <- quote(em_gmm)
  name <- if (is.name(call$x)) as.character(call$x) else "x"
  input <- input_from_data(x, name)
  input$weights <- weights
  search_gmm(input, if (missing(n_components)) NULL else n_components, covariance, equal_proportions, noise, prior,
             known, start, fixed, criterion, control, call)
}

#' @rdname em_gmm
#' @export
em_gmm.formula <- function(formula, data = NULL, n_components = 1:9, covariance = "all", weights, subset,
                           equal_proportions = FALSE, noise = NULL, prior = NULL, known = NULL, start = NULL,
                           fixed = NULL, criterion = "BIC", control = em_control(), ...) {
  check_dots_empty(..., .function = "em_gmm")
  call <- match.call()
  call[[1L]] <- quote(em_gmm)
  input <- input_from_formula(formula, data, call, parent.frame())
  search_gmm(input, if (missing(n_components)) NULL else n_components, covariance, equal_proportions, noise, prior,
             known, start, fixed, criterion, control, call)
}

# The body of both methods: checks, the grid, the choice, the fit.
search_gmm <- function(input, n_components, covariance, equal_proportions, noise, prior, known, start, fixed, criterion,
                       control, call) {
  x <- input$x
  n <- nrow(x)
  d <- ncol(x)
  control <- check_control(control)
  threads <- resolve_threads(control)
  criterion <- check_choice(criterion, "criterion", c("BIC", "ICL", "AIC"))
  equal_proportions <- check_flag(equal_proportions, "equal_proportions")
  weights <- check_weights(input$weights, n)
  if (!is.null(n_components)) n_components <- check_components(n_components, n)
  codes <- resolve_covariance(covariance, max(d, 1L))
  wanted <- if (is.null(n_components)) 9L else max(n_components)
  look <- check_data(x, input$variables, weights, wanted + 1L, threads)
  noise <- check_noise(noise, look, n, d)
  known <- check_known(known, n, n_components, noise)
  if (!is.null(start)) {
    one <- if (length(n_components) > 1L) {
      em_abort("`start` needs a single `n_components`.", "start")
    } else n_components
    start <- user_start(start, n, d, one, !is.null(noise))
    if (start$n_components > n) em_abort("`start` has more components than there are rows.", "start")
    n_components <- start$n_components
  }
  if (is.null(n_components)) n_components <- seq_len(min(9L, n))
  fixed <- check_fixed(fixed, n_components, codes, d, equal_proportions, noise)
  prior <- check_prior(prior, look, x, d)
  spec <- list(
    equal_proportions = equal_proportions, noise = noise, prior = prior, fixed = fixed, known = known$labels,
    known_names = known$names
  )

  cells <- expand.grid(covariance = codes, n_components = sort(unique(n_components)), stringsAsFactors = FALSE)
  cells$message <- vapply(seq_len(nrow(cells)), function(i) {
    cell_obstacle(cells$covariance[i], cells$n_components[i], d, look, spec)
  }, "")
  if (nrow(cells) == 1L && nzchar(cells$message)) {
    em_abort(sprintf("%s with %s cannot be fitted: %s.", cells$covariance, count_components(cells$n_components),
                     cells$message), "cannot_fit")
  }
  todo <- which(!nzchar(cells$message))
  if (length(todo) == 0L) {
    em_abort(paste0("No model can be fitted: ", cells$message[1L], "."), "cannot_fit")
  }
  runs <- vector("list", nrow(cells))
  effort <- resolve_effort(control, length(todo), n, d, max(cells$n_components))
  runs[todo] <- fit_gmm(x, weights, spec, cells[todo, ], start, effort, threads)
  nobs <- sum_weights(x, weights)
  spec$n_informative <- sum_weights(x, NULL)
  if (length(todo) > 1L && is.null(start)) {
    runs <- refit_leaders(x, weights, spec, cells, runs, criterion, control, threads, nobs)
  }
  best <- choose_cell(cells, runs, criterion, spec, d, nobs)
  if (is.na(best)) abort_degenerate(cells, runs)
  fit <- build_gmm(input, weights, spec, cells, runs, best, criterion, control, threads, call)
  if (!fit$converged) {
    em_warn(sprintf(paste0("The fit of %s with %s %s. Raise `max_iter`, or try another ",
                           "`acceleration`, in em_control()."), fit$covariance, count_components(fit$n_components), fit$message),
            "not_converged")
  }
  spurious <- fit$selection$message[best]
  if (fit$selection$status[best] == "spurious") {
    em_warn(sprintf(paste0("%s with %s is spurious: %s. Use fewer components, a simpler structure or ",
                           "`prior = TRUE`."), fit$covariance, count_components(fit$n_components), spurious), "spurious")
  }
  fit
}

# ---- arguments --------------------------------------------------------------------------------------------------------

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
  names <- NULL
  if (is.character(known)) known <- factor(known)
  if (is.factor(known)) {
    names <- levels(known)
    known <- as.integer(known)
  }
  if (!is.numeric(known) && !(is.logical(known) && all(is.na(known)))) {
    check_fails("known", "a factor, or whole numbers", known, "known")
  }
  if (length(known) != n) {
    em_abort(sprintf("`known` must have one value for each of the %d rows, not %d values.", n, length(known)), "known")
  }
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

# ---- cells ------------------------------------------------------------------------------------------------------------

# Why a cell cannot be fitted, or "".
cell_obstacle <- function(code, k, d, look, spec) {
  if (k > look$n_distinct) return(sprintf("the data have only %d distinct rows", as.integer(look$n_distinct)))
  full <- covariance_level(code) %in% c("pooled", "full")
  held <- !is.null(spec$fixed$covariance_fixed) && all(spec$fixed$covariance_fixed)
  if (full && !is.null(look$collinear) && is.null(spec$prior) && !held) {
    return(paste0("the columns are collinear: ", look$collinear))
  }
  ""
}

# Free parameters of a cell.
gmm_df <- function(code, k, d, spec) {
  noise <- !is.null(spec$noise)
  fixed <- spec$fixed
  covariance <- covariance_n_parameters_(code, d, k)
  if (!is.null(fixed$covariance_fixed)) {
    free <- sum(!fixed$covariance_fixed)
    covariance <- if (free == 0L) 0 else covariance_n_parameters_(code, d, free)
  }
  means <- d * (k - sum(fixed$mean_fixed))
  proportions <- if (!is.null(fixed$proportions)) {
    max(0, sum(is.na(fixed$proportions)) - 1)
  } else if (spec$equal_proportions) {
    as.numeric(noise)
  } else {
    k - 1 + noise
  }
  covariance + means + proportions + noise  # the noise's volume is one more
}

# Where the user does not say how many starts to try, and how many of them to run to the end: as many as take no time.
resolve_effort <- function(control, n_cells, n, d, k) {
  work <- as.double(n) * k * (d^2 + 10)
  alone <- n_cells == 1L && work < 4e6
  if (is.null(control$n_starts)) control$n_starts <- if (alone) 50L else 10L
  if (is.null(control$n_polish)) {
    control$n_polish <- if (alone) 15L else if (n_cells == 1L) 2L else if (work < 1e5) 3L else if (work < 5e5) 2L else 1L
  }
  control
}

# The leaders of a search again, from more starts and from where they stand: a search looks at each model briefly, and
# the choice is between these. The winner's table of starts is complete for it.
refit_leaders <- function(x, weights, spec, cells, runs, criterion, control, threads, nobs, n_leaders = 4L) {
  values <- cell_criteria(cells, runs, spec, ncol(x), nobs)[[criterion]]
  sound <- !nzchar(spurious_components(cells, runs, spec, ncol(x), nobs))
  if (any(sound & !is.na(values))) values[!sound] <- NA
  leaders <- utils::head(order(values), min(n_leaders, sum(!is.na(values))))
  if (length(leaders) == 0L) return(runs)
  extra <- split(lapply(runs[leaders], `[[`, "parameters"), cells$n_components[leaders])
  effort <- resolve_effort(control, 1L, nrow(x), ncol(x), max(cells$n_components[leaders]))
  again <- fit_gmm(x, weights, spec, cells[leaders, ], NULL, effort, threads, extra)
  objective <- function(run) if (isTRUE(run$fitted)) run$loglik + run$log_prior else -Inf
  for (i in seq_along(leaders)) {
    first <- runs[[leaders[i]]]
    gain <- objective(again[[i]]) - objective(first)
    if (gain > 1e-8 * (1 + abs(objective(first)))) {
      runs[[leaders[i]]] <- again[[i]]
    } else {
      # The same optimum: the first run is the one that has a way to show from its start to here.
      runs[[leaders[i]]]$starts <- again[[i]]$starts
    }
  }
  runs
}

# Fits cells (a data frame of covariance and n_components); a list of what gmm_fit_ returns for each.
# `start`: the user's, or NULL for automatic ones; `extra`: lists of parameters to start from as well, named by their
# number of components. `control` says how many starts to try and to polish (see resolve_effort).
fit_gmm <- function(x, weights, spec, cells, start, control, threads, extra = NULL) {
  n <- nrow(x)
  sizes <- sort(unique(cells$n_components))
  rows <- NULL
  if (is.null(start) && n > control$search_rows && max(sizes) > 1L) {
    rows <- sort(sample.int(n, control$search_rows))
    if (!is.null(spec$known)) rows <- sort(unique(c(rows, which(!is.na(spec$known)))))
  }
  searched <- if (is.null(rows)) x else x[rows, , drop = FALSE]
  if (is.null(start)) {
    labelled <- !is.null(spec$known)
    trees <- if (max(sizes) > 1L && !labelled && is.null(spec$noise$rows)) ward_trees(searched, max(sizes)) else list()
    complete <- !anyNA(searched)
    starts <- lapply(sizes, function(k) {
      automatic_starts(k, control$n_starts, nrow(searched), trees, complete, labelled)
    })
  } else {
    starts <- list(list(start))
  }
  if (!is.null(extra)) {
    starts <- lapply(seq_along(sizes), function(i) {
      solutions <- extra[[as.character(sizes[i])]]
      c(lapply(solutions, function(p) list(kind = "parameters", method = "search", parameters = p)), starts[[i]])
    })
  }
  gmm_fit_(
    x, weights, spec$known, cells$covariance, as.integer(cells$n_components), as.integer(sizes), starts, rows,
    core_options(spec, ncol(x), sizes[1L]), core_control(control, if (is.null(start)) draw_key() else c(0, 0)),
    threads, progress_display(control, "models")
  )
}

# What the core takes of the model beside its cell, and of the control; `key` names the random streams.
core_options <- function(spec, d, k) {
  fixed <- spec$fixed
  list(
    equal_proportions = spec$equal_proportions, noise_sides = spec$noise$sides,
    noise_start = if (is.null(spec$noise$start)) 0.05 else spec$noise$start, noise_rows = spec$noise$rows,
    prior = spec$prior, fixed_proportions = fixed$proportions, fixed_mean = fixed$mean_fixed,
    fixed_covariance = fixed$covariance_fixed, fixed = if (!is.null(fixed)) fixed_parameters(fixed, d, k)
  )
}

core_control <- function(control, key) {
  list(tol = control$tol, max_iter = control$max_iter, acceleration = resolve_acceleration(control),
       n_short = control$n_short, n_polish = control$n_polish, key = key)
}

# Fixed parameters in the shapes of a full set; what is free is not looked at.
fixed_parameters <- function(fixed, d, k) {
  list(
    proportions = rep(1 / k, k),
    means = if (is.null(fixed$means)) matrix(0, d, k) else fixed$means,
    covariances = if (is.null(fixed$covariances)) array(diag(d), c(d, d, k)) else fixed$covariances
  )
}

# Weights of the rows that observe anything.
sum_weights <- function(x, weights) {
  empty <- if (anyNA(x)) rowSums(!is.na(x)) == 0L else logical()
  if (is.null(weights)) nrow(x) - sum(empty) else sum(weights) - sum(weights[empty])
}

cell_criteria <- function(cells, runs, spec, d, nobs) {
  fitted <- vapply(runs, function(r) isTRUE(r$fitted), NA)
  value <- function(field) {
    vapply(seq_along(runs), function(i) if (fitted[i]) as.double(runs[[i]][[field]]) else NA_real_, 0)
  }
  loglik <- value("loglik")
  df <- mapply(gmm_df, cells$covariance, cells$n_components, MoreArgs = list(d = d, spec = spec), USE.NAMES = FALSE)
  bic <- -2 * loglik + df * log(nobs)
  data.frame(loglik = loglik, df = df, BIC = bic, ICL = bic - 2 * value("map_entropy"), AIC = -2 * loglik + 2 * df)
}

# The row of the best cell; spurious ones only when there is nothing else.
choose_cell <- function(cells, runs, criterion, spec, d, nobs) {
  values <- cell_criteria(cells, runs, spec, d, nobs)[[criterion]]
  if (all(is.na(values))) return(NA_integer_)
  sound <- !nzchar(spurious_components(cells, runs, spec, d, nobs))
  if (any(sound & !is.na(values))) values[!sound] <- NA
  which.min(values)
}

# For each cell what is spurious about its solution, or "". A component that has parameters of its own needs the
# observations to determine them: d + 1 for its own orientation, 2 for its own volume or shape. With fewer the
# likelihood is high for no reason in the data (and, where nothing else bounds it, without limit).
spurious_components <- function(cells, runs, spec, d, nobs) {
  if (!is.null(spec$prior)) return(rep("", nrow(cells)))
  per_row <- nobs / spec$n_informative
  vapply(seq_len(nrow(cells)), function(i) {
    run <- runs[[i]]
    k <- cells$n_components[i]
    if (!isTRUE(run$fitted) || k == 1L) return("")
    letters <- covariance_letters(cells$covariance[i])
    needed <- if (identical(letters[["orientation"]], "V")) d + 1 else if ("V" %in% letters) 2 else return("")
    sizes <- run$sizes[seq_len(k)] / per_row
    sizes[spec$fixed$covariance_fixed %in% TRUE] <- Inf
    if (min(sizes) >= needed - 1e-6) return("")
    sprintf("a component rests on %s observations, fewer than the %d that its own covariance parameters need",
            format(floor(min(sizes) * 100) / 100), needed)
  }, "")
}

count_components <- function(k) if (k == 1L) "1 component" else paste(k, "components")

# What to say of a run without parameters.
degeneracy_message <- function(run) {
  component <- if (length(run$component) == 1L) sprintf("component %d", run$component) else "a component"
  switch(run$degeneracy,
    vanished = paste(component, "lost all its observations"),
    singular = sprintf("%s collapsed: its variance went to zero in some direction", component),
    not_finite = "the likelihood is not finite",
    "no start led to a fit")
}

abort_degenerate <- function(cells, runs) {
  i <- which(!vapply(runs, is.null, NA))[1L]
  run <- runs[[i]]
  em_abort(
    sprintf(paste0("%s with %s: %s, in every start. Too few rows for a component, and duplicated, rounded or ",
                   "collinear points do this. Try fewer components, a simpler structure (\"EEE\", \"EEI\") or `prior = TRUE`."),
            cells$covariance[i], count_components(cells$n_components[i]), degeneracy_message(run)),
    "degenerate", component = run$component
  )
}

# ---- the fit ----------------------------------------------------------------------------------------------------------

build_gmm <- function(input, weights, spec, cells, runs, best, criterion, control, threads, call) {
  x <- input$x
  d <- ncol(x)
  run <- runs[[best]]
  k <- cells$n_components[best]
  nobs <- sum_weights(x, weights)
  parameters <- run$parameters
  order <- seq_len(k)
  if (is.null(spec$known) && is.null(spec$fixed)) order <- component_order(parameters, run$sizes)
  parameters <- reorder_components(parameters, order)
  labels <- as.character(seq_len(k))
  if (!is.null(spec$known_names)) labels[seq_along(spec$known_names)] <- spec$known_names
  all_labels <- c(labels, if (!is.null(spec$noise)) "noise")
  names(parameters$proportions) <- all_labels
  dimnames(parameters$means) <- list(input$variables, labels)
  dimnames(parameters$covariances) <- list(input$variables, input$variables, labels)
  parameters["noise"] <- list(if (!is.null(spec$noise)) {
    list(volume = prod(spec$noise$sides), sides = stats::setNames(spec$noise$sides, input$variables),
         lower = stats::setNames(spec$noise$lower, input$variables))
  })
  keep <- control$keep_posterior
  if (identical(keep, "auto")) keep <- as.double(nrow(x)) * length(all_labels) <= 1e7
  rows <- gmm_evaluate_(x, parameters, NULL, spec$known, if (keep) "classified" else "class", threads)
  classification <- if (keep) rows$class else rows
  if (keep) dimnames(rows$posterior) <- list(input$row_names, all_labels)
  criteria <- cell_criteria(cells, runs, spec, d, nobs)
  status <- vapply(runs, function(r) if (is.null(r)) "failed" else if (r$fitted) r$status else "degenerate", "")
  message <- ifelse(nzchar(cells$message), cells$message, vapply(runs, function(r) {
    if (is.null(r) || isTRUE(r$fitted)) "" else degeneracy_message(r)
  }, ""))
  message[status == "max_iter"] <- "stopped at the iteration limit"
  spurious <- spurious_components(cells, runs, spec, d, nobs)
  status[nzchar(spurious)] <- "spurious"
  message[nzchar(spurious)] <- spurious[nzchar(spurious)]
  selection <- data.frame(
    covariance = cells$covariance, n_components = cells$n_components,
    criteria[c("loglik", "df", "BIC", "ICL")], status = status, message = message
  )
  new_em_fit(
    "em_gmm", call, input, parameters, run, df = criteria$df[best], nobs = nobs, starts = start_table(run),
    weights = weights, control = control,
    covariance = cells$covariance[best], n_components = as.integer(k), selection = selection, criterion = criterion,
    posterior = if (keep) rows$posterior, classification = stats::setNames(classification, input$row_names),
    known = spec$known, equal_proportions = spec$equal_proportions, noise = !is.null(spec$noise), prior = spec$prior,
    fixed = spec$fixed,
    degeneracy = data.frame(component = labels, size = run$sizes[seq_len(k)][order],
                            relative_variance = run$relative_variance[order])
  )
}
