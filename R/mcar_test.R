#' Little's test of missing completely at random
#'
#' Compares the means of the variables over the patterns of missingness: under MCAR each pattern's means estimate the
#' same quantities.
#'
#' With \eqn{\bar x_k} the mean of the \eqn{n_k} rows of pattern k over the variables \eqn{o_k} that it observes, the statistic is
#' \eqn{d^2 = \sum_k n_k (\bar x_k - \hat\mu_{o_k})' \hat\Sigma_{o_k}^{-1} (\bar x_k - \hat\mu_{o_k})}, about chi-squared
#' on \eqn{\sum_k |o_k| - p} degrees of freedom. \eqn{\hat\Sigma} is the maximum likelihood estimate, divisor n, with
#' `covariance = "ml"` (as most software has it), or n / (n - 1) times that, `"unbiased"`, as Little (1988) wrote it.
#' Both statistics are in the result.
#'
#' The test looks at means only. A large p-value does not show that values are missing at random, let alone completely.
#'
#' @param x Data (matrix or data frame of numeric columns) or a fit of [em_mvnorm()].
#' @param covariance "ml" (default) or "unbiased".
#' @param ... For data: arguments of [em_mvnorm()].
#' @return A list of class `htest`: `statistic` (`d2`), `parameter` (`df`), `p.value`, `method`, `data.name`, and
#'   `statistics` (both conventions), `patterns` (data frame: those of [em_mvnorm()] with each pattern's part of the
#'   statistic, `d2`, and its `df`). Where the covariance matrix is not determined by the data (variables never observed
#'   together, or linear in one another) the p-value is NA, with a warning of class `em_warning_not_identified`.
#' @references
#' Little, R. J. A. (1988). A test of missing completely at random for multivariate data with missing values. *Journal
#' of the American Statistical Association* 83, 1198-1202. \doi{10.1080/01621459.1988.10478722}
#' @examples
#' mcar_test(airquality)
#' mcar_test(airquality, covariance = "unbiased")$p.value
#' @export
mcar_test <- function(x, covariance = c("ml", "unbiased"), ...) {
  covariance <- match_choice(covariance)
  name <- paste(deparse(substitute(x), nlines = 1L), collapse = "")
  undetermined <- NULL
  if (inherits(x, "em_mvnorm")) {
    check_dots_empty(..., .function = "mcar_test")
    fit <- x
    if (!fit$identification$identified) undetermined <- fit$identification$coefficients
  } else {
    fit <- withCallingHandlers(em_mvnorm(x, ...), em_warning_not_identified = function(w) {
      undetermined <<- w$coefficients
      invokeRestart("muffleWarning")
    })
  }
  require_data(fit, "mcar_test()")
  if (!is.null(fit$weights)) em_abort("Little's test is not defined for weighted rows.", "weights")
  if (nrow(fit$patterns) < 2L) {
    em_abort("All rows have the same pattern, so there is nothing to compare: the test needs missing values.",
             "nothing_to_test")
  }
  parts <- mvnorm_information_(fit$data, NULL, NULL, matrix(0, 0L, 4L), fit$parameters$mean, fit$parameters$covariance,
                               "none", "none", resolve_threads(fit$control))
  observed <- parts$patterns$observed
  patterns <- as.data.frame(observed)
  names(patterns) <- fit$variables
  patterns$n_missing <- ncol(observed) - rowSums(observed)
  patterns$rows <- parts$patterns$rows
  patterns$d2 <- parts$distances
  patterns$df <- rowSums(observed)
  d2 <- sum(parts$distances)
  df <- sum(observed) - ncol(observed)
  statistics <- c(ml = d2, unbiased = d2 * (fit$nobs - 1) / fit$nobs)
  sd <- sqrt(diag(fit$parameters$covariance))
  flat <- min(eigen(fit$parameters$covariance / tcrossprod(sd), symmetric = TRUE, only.values = TRUE)$values) < 1e-6
  p <- stats::pchisq(statistics[[covariance]], df, lower.tail = FALSE)
  if (!is.null(undetermined) || flat || df < 1) {
    why <- if (!is.null(undetermined)) {
      paste("the data do not determine", abbreviate_list(undetermined, 4L))
    } else if (df < 1) {
      "there are no degrees of freedom"
    } else {
      paste(abbreviate_list(null_direction(fit$parameters$covariance, fit$variables)), "are nearly linear in one another")
    }
    em_warn(paste0("The p-value is not given: ", why, ". Leave such variables out."), "not_identified",
            coefficients = undetermined)
    p <- NA_real_
  }
  structure(list(
    statistic = c(d2 = statistics[[covariance]]), parameter = c(df = df), p.value = p,
    method = paste0("Little's test of missing completely at random (covariance: ",
                    if (covariance == "ml") "maximum likelihood)" else "n - 1)"),
    data.name = name, statistics = statistics, patterns = patterns[order(-patterns$rows), , drop = FALSE]
  ), class = "htest")
}
