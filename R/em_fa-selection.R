# How many factors: fit against the unrestricted normal distribution, the table of numbers, parallel analysis.

# The unrestricted and the independent normal distribution of the same data. `loglik` NA where the first has no estimate
# (no more rows than variables, variables linear in others) or would take long.
fa_saturated <- function(data, run, control, threads, most = 100L) {
  p <- length(data$mean)
  constant <- p * log(2 * pi)
  variances <- fa_variances(data)
  if (!data$missing) {
    log_det <- run$log_det_saturated
    return(list(loglik = if (is.finite(log_det)) -data$n / 2 * (constant + log_det + p) else NA_real_,
                independence = -data$n / 2 * (constant + sum(log(variances)) + p)))
  }
  w <- if (is.null(data$weights)) rep(1, nrow(data$x)) else data$weights
  seen <- colSums(w * !is.na(data$x))
  result <- list(loglik = NA_real_, independence = -sum(seen * (log(2 * pi * variances) + 1)) / 2)
  if (p > most || nrow(data$x) <= p) return(result)
  control$n_starts <- 1L
  fit <- mvnorm_fit_(data$x, data$weights, NULL, cell_prior_matrix(NULL), list(), mvnorm_control(control), threads,
                     NULL)
  if (fit$status == "degenerate" || !is.finite(fit$loglik)) return(result)
  best <- fit$parameters[[fit$best]]
  result$loglik <- fit$loglik
  result$mean <- as.double(best$mean)
  result$covariance <- matrix(best$covariance, p)
  result
}

# Degrees of freedom of the test of fit.
fa_test_df <- function(q, p, type) p * (p + 3) / 2 - fa_df(q, p, type)

# How well q factors fit (see ?em_fa). RMSEA and its interval as Browne and Cudeck (1993).
fa_test <- function(loglik, q, p, type, n, saturated, level = 0.9) {
  df <- fa_test_df(q, p, type)
  criterion <- 2 * (saturated$loglik - loglik) / n
  if (!is.finite(criterion)) criterion <- NA_real_
  # Rounding makes a perfect fit look better than perfect.
  criterion <- max(criterion, 0)
  multiplier <- if (type == "fa") n - 1 - (2 * p + 5) / 6 - 2 * q / 3 else n
  chi_square <- if (multiplier > 0) multiplier * criterion else NA_real_
  raw <- n * criterion
  test <- list(criterion = criterion, chi_square = chi_square, chi_square_df = df, p_value = NA_real_, RMSEA = NA_real_,
               RMSEA_lower = NA_real_, RMSEA_upper = NA_real_, TLI = NA_real_)
  if (df == 0 || is.na(criterion)) return(test)
  if (!is.na(chi_square)) test$p_value <- stats::pchisq(chi_square, df, lower.tail = FALSE)
  tail <- (1 - level) / 2
  test$RMSEA <- sqrt(max(raw - df, 0) / (df * n))
  test$RMSEA_lower <- sqrt(noncentrality(raw, df, 1 - tail) / (df * n))
  test$RMSEA_upper <- sqrt(noncentrality(raw, df, tail) / (df * n))
  base_df <- p * (p - 1) / 2
  base <- 2 * (saturated$loglik - saturated$independence) / base_df
  if (base > 1) test$TLI <- (base - raw / df) / (base - 1)
  test
}

# The noncentrality at which `x` is the quantile `level` of chi-square; 0 where there is none.
noncentrality <- function(x, df, level) {
  below <- function(ncp) stats::pchisq(x, df, ncp) - level
  if (below(0) <= 0) return(0)
  top <- max(x, df, 1)
  while (below(top) > 0) top <- 2 * top
  stats::uniroot(below, c(0, top), tol = 1e-8 * top)$root
}

fa_selection <- function(counts, runs, p, type, n, saturated) {
  rows <- lapply(seq_along(counts), function(i) {
    run <- runs[[i]]
    q <- counts[i]
    loglik <- if (run$status == "degenerate") NA_real_ else run$loglik
    df <- fa_df(q, p, type)
    data.frame(n_factors = q, loglik = loglik, df = df, AIC = -2 * loglik + 2 * df, BIC = -2 * loglik + log(n) * df,
               fa_test(loglik, q, p, type, n, saturated)[-1L], heywood = length(run$heywood), status = run$status)
  })
  do.call(rbind, rows)
}

#' Parallel analysis: how many factors are more than noise
#'
#' Compares the eigenvalues of the correlation matrix with those of uncorrelated normal data of the same size (Horn
#' 1965).
#'
#' The number of factors is that of the leading eigenvalues that exceed the `quantile` of the simulated ones at their
#' place. For incomplete data the correlation matrix is the maximum likelihood estimate, and the simulated data are
#' complete, which makes them a little less variable than they should be.
#'
#' @param x A fit of [em_fa()], a matrix or data frame, or a correlation or covariance matrix together with `n_obs`.
#' @param n_obs NULL (default), or the number of rows behind a covariance matrix `x`.
#' @param n_sim Whole number >= 1, or NULL (default): simulated data sets. NULL: 200, fewer with more than 50
#'   variables, at least 10.
#' @param quantile Number between 0 and 1, default 0.95.
#' @param ... Unused, and an error (for `plot()`: graphical parameters).
#' @return A list of class `em_parallel`: `n_factors`, `table` (data frame: `component`, `eigenvalue`, `simulated`, the
#'   mean, and `quantile`), `quantile`, `n_sim`, `n_variables`, `n_obs`. It depends on [set.seed()] alone.
#' @references Horn, J. L. (1965). A rationale and test for the number of factors in factor analysis. *Psychometrika*
#'   30, 179-185. \doi{10.1007/BF02289447}
#' @seealso [plot.em_fa()], which draws it as `plot(fit, "scree")`.
#' @examples
#' set.seed(1)
#' parallel_analysis(mtcars)
#' plot(parallel_analysis(ability.cov$cov, n_obs = 112))
#' @export
parallel_analysis <- function(x, n_obs = NULL, n_sim = NULL, quantile = 0.95, ...) {
  check_dots_empty(..., .function = "parallel_analysis")
  check_level(quantile, "quantile")
  if (!is.null(n_sim)) n_sim <- check_count(n_sim, "n_sim")
  from <- parallel_input(x, n_obs)
  values <- from$values
  p <- from$p
  n <- max(2L, as.integer(round(from$n)))
  if (is.null(n_sim)) n_sim <- max(10L, as.integer(200 * min(1, (50 / min(p, n))^3)))
  simulated <- vapply(seq_len(n_sim), function(i) noise_eigenvalues(n, p, length(values)), numeric(length(values)))
  simulated <- matrix(simulated, length(values))
  above <- apply(simulated, 1L, stats::quantile, quantile, names = FALSE)
  table <- data.frame(component = seq_along(values), eigenvalue = values, simulated = rowMeans(simulated),
                      quantile = above)
  structure(list(n_factors = as.integer(sum(cumprod(values > above))), table = table, quantile = quantile,
                 n_sim = n_sim, n_variables = p, n_obs = from$n), class = "em_parallel")
}

# Eigenvalues of the correlation matrix (the first min(p, n)), p, n.
parallel_input <- function(x, n_obs) {
  if (inherits(x, "em_fa")) {
    if (!is.null(x$covmat)) return(matrix_eigenvalues(x$covmat$covariance, x$nobs))
    require_data(x, "parallel_analysis()")
    if (!is.null(x$saturated$covariance)) return(matrix_eigenvalues(x$saturated$covariance, x$nobs))
    return(data_eigenvalues(x$data, x$weights, x$nobs))
  }
  if (is.list(x) && !is.data.frame(x) && !is.null(x$cov)) {
    if (is.null(n_obs)) n_obs <- x$n.obs
    x <- x$cov
  }
  if (!is.null(n_obs)) {
    s <- check_covmat(x)
    return(matrix_eigenvalues(s, check_number(n_obs, "n_obs", 2)))
  }
  input <- input_from_data(x)
  check_data(input$x, input$variables, NULL, look = column_look(input$x))
  if (looks_like_covariance(x)) {
    em_abort("`x` looks like a covariance matrix: give the number of rows behind it, `n_obs`.", "n_obs")
  }
  data_eigenvalues(input$x, NULL, sum(rowSums(!is.na(input$x)) > 0L))
}

matrix_eigenvalues <- function(s, n) {
  list(values = eigen(stats::cov2cor(s), symmetric = TRUE, only.values = TRUE)$values, p = ncol(s), n = n)
}

# From data: by the smaller of the two cross-products. Incomplete ones by their estimated covariance matrix.
data_eigenvalues <- function(x, weights, n) {
  seen <- rowSums(!is.na(x)) > 0L
  x <- x[seen, , drop = FALSE]
  if (anyNA(x)) {
    fit <- tryCatch(withCallingHandlers(em_mvnorm(x, prior = if (nrow(x) <= 2L * ncol(x)) "ridge",
                                                  control = em_control(n_starts = 1L, progress = FALSE)),
                                        em_warning = function(w) invokeRestart("muffleWarning")),
                    em_error = function(e) em_abort(paste0(
                      "The correlation matrix of the incomplete data has no estimate: ", conditionMessage(e)),
                      "degenerate"))
    return(matrix_eigenvalues(unname(fit$parameters$covariance), n))
  }
  w <- if (is.null(weights)) rep(1, nrow(x)) else weights[seen]
  z <- sweep(x, 2L, colSums(w * x) / sum(w)) * sqrt(w / sum(w))
  z <- sweep(z, 2L, sqrt(colSums(z^2)), "/")
  list(values = gram_eigenvalues(z), p = ncol(x), n = n)
}

gram_eigenvalues <- function(z) {
  gram <- if (nrow(z) < ncol(z)) tcrossprod(z) else crossprod(z)
  pmax(eigen(gram, symmetric = TRUE, only.values = TRUE)$values, 0)
}

# Eigenvalues of the correlation matrix of uncorrelated normal data: by Wishart matrices, unless rows are few.
noise_eigenvalues <- function(n, p, wanted) {
  if (n - 1 > p) {
    s <- stats::rWishart(1L, n - 1, diag(p))[, , 1L]
    return(eigen(stats::cov2cor(s), symmetric = TRUE, only.values = TRUE)$values[seq_len(wanted)])
  }
  z <- matrix(stats::rnorm(n * p), n)
  z <- sweep(z, 2L, colMeans(z))
  values <- gram_eigenvalues(sweep(z, 2L, sqrt(colSums(z^2)), "/"))
  c(values, numeric(wanted))[seq_len(wanted)]
}

#' @rdname parallel_analysis
#' @param digits Decimals.
#' @export
print.em_parallel <- function(x, digits = 3L, ...) {
  cat(strwrap(paste0("Parallel analysis: ", count_of(x$n_variables, "variable"), ", ",
                     format(x$n_obs, big.mark = ","), " rows, ", count_of(x$n_sim, "simulated data set")), exdent = 2),
      "", sep = "\n")
  shown <- seq_len(min(nrow(x$table), max(8L, x$n_factors + 3L), 20L))
  t <- x$table[shown, ]
  cells <- cbind(eigenvalue = formatC(t$eigenvalue, digits, format = "f"),
                 simulated = formatC(t$simulated, digits, format = "f"),
                 formatC(t$quantile, digits, format = "f"), ifelse(t$component <= x$n_factors, "above", ""))
  colnames(cells)[3:4] <- c(paste0(format(100 * x$quantile), " % of them"), "")
  rownames(cells) <- t$component
  print_table(cells)
  if (nrow(x$table) > length(shown)) cat("  and", nrow(x$table) - length(shown), "more\n")
  cat("\nSuggested: ", count_of(x$n_factors, "factor"), ".\n", sep = "")
  invisible(x)
}
