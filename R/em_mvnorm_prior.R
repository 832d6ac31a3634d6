#' Priors for a covariance matrix
#'
#' Prior densities that keep a covariance matrix away from singularity where the data alone do not: more variables than
#' rows, variables that are linear in others, little overlap of what is observed.
#'
#' * `"ridge"`: `strength` pseudo-observations of uncorrelated variables with the variances of the data. The estimate is
#'   \eqn{(T + k D) / (n + k)} with \eqn{T} the (expected) scatter, \eqn{D} the diagonal of variances and \eqn{k} the
#'   strength: correlations shrink by the factor \eqn{n / (n + k)}, variances hardly. `strength = NULL` chooses \eqn{k} so
#'   that this factor is the shrinkage intensity of Schäfer and Strimmer (2005) for the pairwise available
#'   correlations, at least 1.
#' * `"inverse_wishart"`: \eqn{|\Sigma|^{-(df + p + 1)/2} \exp(-tr(scale \Sigma^{-1})/2)}.
#' * `"jeffreys"`: \eqn{|\Sigma|^{-(p + 1)/2}}, which is improper and mends no singular matrix.
#'
#' @param type "ridge" (default), "inverse_wishart" or "jeffreys".
#' @param strength For the ridge: NULL (default, chosen from the data) or a number > 0 of pseudo-observations.
#' @param df For the inverse Wishart: degrees of freedom, a number > p - 1; default p + 1 (p the number of variables).
#' @param scale For the inverse Wishart: a p x p positive definite matrix in the units of the data; default the diagonal of
#'   their variances.
#' @return A list of class `em_mvnorm_prior` with the arguments; a fit holds in `prior` also `exponent` and `scale`, with
#'   which the log density is \eqn{-(exponent \log|\Sigma| + tr(scale \Sigma^{-1}))/2} up to a constant.
#' @references
#' Schäfer, J. and Strimmer, K. (2005). A shrinkage approach to large-scale covariance matrix estimation and implications
#' for functional genomics. *Statistical Applications in Genetics and Molecular Biology* 4, 32.
#' \doi{10.2202/1544-6115.1175}
#'
#' Schafer, J. L. (1997). *Analysis of Incomplete Multivariate Data*. Chapman & Hall. \doi{10.1201/9780367803025}
#' @seealso [em_mvnorm()]
#' @examples
#' wide <- matrix(rnorm(200), 10, 20)
#' wide[cbind(1:10, 1:10)] <- NA
#' fit <- em_mvnorm(wide, prior = em_mvnorm_prior("ridge"))
#' fit$prior$strength
#' @export
em_mvnorm_prior <- function(type = c("ridge", "inverse_wishart", "jeffreys"), strength = NULL, df = NULL, scale = NULL) {
  type <- match_choice(type)
  if (!is.null(strength)) {
    if (type != "ridge") em_abort("`strength` belongs to the ridge.", "argument", argument = "strength")
    strength <- check_number(strength, "strength", 0, Inf, "one number > 0")
    if (strength == 0 || !is.finite(strength)) check_fails("strength", "one number > 0", strength)
  }
  if (type != "inverse_wishart" && !(is.null(df) && is.null(scale))) {
    em_abort("`df` and `scale` belong to the inverse Wishart prior.", "argument", argument = "df")
  }
  if (!is.null(df)) df <- check_number(df, "df", 0, Inf, "one number > p - 1")
  if (!is.null(scale)) {
    scale <- as.matrix(scale)
    if (!is.numeric(scale) || nrow(scale) != ncol(scale) || !all(is.finite(scale))) {
      check_fails("scale", "a square matrix of finite numbers", scale)
    }
  }
  structure(list(type = type, strength = strength, df = df, scale = scale), class = "em_mvnorm_prior")
}

#' @export
print.em_mvnorm_prior <- function(x, ...) {
  cat("Prior of a covariance matrix: ", describe_mvnorm_prior(x), "\n", sep = "")
  invisible(x)
}

describe_mvnorm_prior <- function(prior) {
  switch(prior$type,
    ridge = if (is.null(prior$strength)) "ridge, its strength chosen from the data" else
      sprintf("ridge of %s pseudo-observations", format_number(prior$strength, 3L)),
    inverse_wishart = if (is.null(prior$df)) "inverse Wishart" else
      sprintf("inverse Wishart with %s degrees of freedom", format_number(prior$df, 3L)),
    jeffreys = "Jeffreys'")
}

# What a user gave as `prior`, with exponent and scale for these data, or NULL.
resolve_mvnorm_prior <- function(prior, x, look, weights) {
  if (is.null(prior)) return(NULL)
  if (is.character(prior)) {
    prior <- em_mvnorm_prior(check_choice(prior, "prior", c("ridge", "inverse_wishart", "jeffreys")))
  } else if (is.numeric(prior)) {
    prior <- em_mvnorm_prior("ridge", strength = prior)
  } else if (!inherits(prior, "em_mvnorm_prior")) {
    check_fails("prior", "NULL, \"ridge\", \"inverse_wishart\", \"jeffreys\", a number or made by em_mvnorm_prior()", prior)
  }
  d <- ncol(x)
  variances <- look$sd^2
  if (prior$type == "ridge") {
    prior$automatic <- is.null(prior$strength)
    if (prior$automatic) prior$strength <- ridge_strength(x)
    prior$exponent <- prior$strength
    prior$scale <- diag(prior$strength * variances, d)
  } else if (prior$type == "inverse_wishart") {
    if (is.null(prior$df)) prior$df <- d + 1
    if (prior$df <= d - 1) check_fails("df", sprintf("more than p - 1 = %d", d - 1L), prior$df)
    prior$default_scale <- is.null(prior$scale)
    if (prior$default_scale) prior$scale <- diag(variances, d)
    if (!identical(dim(prior$scale), c(d, d))) {
      check_fails("scale", sprintf("a %d x %d matrix", d, d), prior$scale)
    }
    if (inherits(try(chol(prior$scale), silent = TRUE), "try-error")) {
      em_abort("`scale` must be positive definite.", "argument", argument = "scale")
    }
    prior$exponent <- prior$df + d + 1
  } else {
    prior$exponent <- d + 1
    prior["scale"] <- list(NULL)
  }
  prior
}

# The pseudo-observations with which correlations shrink by the intensity of Schäfer & Strimmer (2005, target D),
# sum Var(r) / sum r^2 over pairs, from pairwise available rows (at most 5000 of them).
ridge_strength <- function(x) {
  n <- nrow(x)
  if (n > 5000L) x <- x[rows_to_draw(n, 5000L), , drop = FALSE]
  together <- crossprod(!is.na(x))
  r <- suppressWarnings(stats::cor(x, use = "pairwise.complete.obs"))
  pairs <- lower.tri(r) & together > 3 & is.finite(r)
  if (!any(pairs)) return(1)
  r <- pmin(pmax(r[pairs], -1), 1)
  intensity <- sum((1 - r^2)^2 / (together[pairs] - 1)) / sum(r^2)
  if (!is.finite(intensity) || intensity > 0.9) intensity <- 0.9
  max(1, n * intensity / (1 - intensity))
}
