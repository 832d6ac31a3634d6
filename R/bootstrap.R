# Bootstrap of the parameters of a fit: the generic, and the class of its results. What makes replicates is a matter of
# each model (em_<model>-bootstrap.R).

#' Bootstrap the parameters of a fit
#'
#' Refits a model to resampled or simulated data and collects its coefficients, with the components or factors of every
#' replicate matched to those of the fit.
#'
#' * `"nonparametric"` draws the rows with replacement (with their weights and known labels);
#' * `"weighted"` gives each row a random weight with mean 1 (the Bayesian bootstrap of Rubin,
#'   1981), so that no component ever loses all of its rows: preferable for small components;
#' * `"parametric"` draws data from the fitted model and deletes the cells that are missing in the data. Weights and
#'   known labels stay with their rows.
#'
#' Each refit starts from the parameters of the fit, which makes it quick and keeps it in the same mode of the
#' likelihood. Missing values are treated exactly in every refit. A replicate that cannot be fitted (a component that
#' collapses) is left out and counted; `print()` says how many. Results depend on [set.seed()] alone, not on threads,
#' and a longer bootstrap begins with the replicates of a shorter one.
#'
#' @section Gaussian mixtures:
#' Components are matched to those of the fit by the assignment with the largest agreement of the posterior
#' probabilities on the original data (the Hungarian method; Kuhn, 1955), so that label switching does not inflate the
#' standard errors. Replicates are fitted in parallel. The noise box, fixed parameters, prior and equal proportions are
#' those of the fit.
#'
#' @section Factor analysis:
#' Replicates are fitted in parallel. Each is rotated by the rotation of the fit, beginning where that of the fit
#' stands, and its factors take the order and signs of those of the fit that they resemble most. Without rotation they
#' are in canonical form. Complete rows of equal weight are simulated by their covariance matrix (a Wishart matrix), so
#' that a fit of a covariance matrix has a parametric bootstrap too, and no other. Replicates that end in a Heywood case
#' stay, with a uniqueness of 0; `table$heywood` names the variables, and `print()` counts them.
#'
#' @section Mixtures and hidden Markov models:
#' Of fits of [em_mixture()] rows are resampled; of those of [em_hmm()] whole sequences, of which there must be several
#' (one long series has a parametric bootstrap only). Components and states are matched as those of Gaussian mixtures
#' are. Replicates are fitted one after the other.
#'
#' @section Models of your own:
#' The functions of [em()] are called with resampled data: rows of a data frame or matrix, or elements of a vector, if
#' there is one for each observation (`n_obs`); anything else by `resample`. Components that could change their labels
#' keep them only as far as the start, the parameters of the fit, holds them.
#'
#' @param fit A fit of [em_gmm()], [em_fa()], [em_mixture()], [em_hmm()] or [em()], with its
#'   data.
#' @param n_boot Number of replicates, at least 2. Default 999.
#' @param type `"nonparametric"` (default; `"parametric"` where there are no rows, or one sequence), `"weighted"` or
#'   `"parametric"`.
#' @param standardized For [em_fa()]: TRUE (default), loadings and uniquenesses of variables of variance 1; FALSE, in
#'   the units of the data, and means.
#' @param resample For [em()]: NULL (default), rows are drawn with replacement; or a function of the data that returns
#'   data drawn anew.
#' @param control Options for the refits, see [em_control()]. Default: those of the fit.
#' @param object,x A result of `em_bootstrap()`.
#' @param parm Names or numbers of coefficients; all by default.
#' @param level,conf.level Confidence level. Default 0.95.
#' @param ci_type `"percentile"` (default): quantiles of the replicates; `"basic"`: those reflected
#'   about the estimate; `"normal"`: estimate minus bias, plus and minus a normal quantile times the
#'   standard error.
#' @param conf.int TRUE: confidence limits too. Default FALSE.
#' @param digits Significant digits of the standard errors, which set the decimals of their rows;
#'   fewer where the table would be wider than the console.
#' @param ... Unused, and an error (for `print()`: ignored; for `plot()`: arguments of
#'   [graphics::hist()]).
#' @return `em_bootstrap()`: a list of class `em_bootstrap` with
#'   * `estimate`: coefficients of the fit, `replicates`: matrix with a row per replicate (`NA` if
#'     it failed) and a column per coefficient;
#'   * `table`: data frame with, per replicate, `loglik` (of its own data), `status`, and
#'     `relabelled` (whether its components had to be reordered) or `heywood` (the variables whose uniqueness is 0, in
#'     one string);
#'   * `n_boot`, `n_ok`, `type`, `model` (in words), `call`, `fit_call`.
#'
#'   `summary()`: a data frame with estimate, bias, standard error and interval. `vcov()`: the
#'   covariance matrix of the replicates. `confint()`: a matrix of limits. `tidy()`: a data frame with `term`,
#'   `estimate`, `bias`, `std.error`, `conf.low`, `conf.high`. `plot()`: histograms of the replicates.
#' @references
#' O'Hagan, A., Murphy, T. B., Scrucca, L. and Gormley, I. C. (2019). Investigation of parameter
#' uncertainty in clustering using a Gaussian mixture model via jackknife, bootstrap and weighted
#' likelihood bootstrap. *Computational Statistics*, 34, 1779-1813. \doi{10.1007/s00180-019-00897-9}
#'
#' Zhang, G., Preacher, K. J. and Luo, S. (2010). Bootstrap confidence intervals for ordinary least squares factor
#' loadings and correlations in exploratory factor analysis. *Multivariate Behavioral Research*, 45, 104-134.
#' \doi{10.1080/00273170903504836}
#'
#' Rubin, D. B. (1981). The Bayesian bootstrap. *Annals of Statistics*, 9, 130-134.
#' \doi{10.1214/aos/1176345338}
#'
#' Kuhn, H. W. (1955). The Hungarian method for the assignment problem. *Naval Research Logistics
#' Quarterly*, 2, 83-97. \doi{10.1002/nav.3800020109}
#' @seealso [vcov.em_gmm()], [vcov.em_fa()], [em_bootstrap_lrt()]
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
#' set.seed(1)
#' boot <- em_bootstrap(fit, n_boot = 25, type = "weighted")
#' boot
#' confint(boot, "mean[waiting,1]")
#' em_bootstrap(em_fa(covmat = ability.cov, n_factors = 2, rotation = "promax"), n_boot = 50)
#' @export
em_bootstrap <- function(fit, ...) UseMethod("em_bootstrap")

#' @export
em_bootstrap.default <- function(fit, ...) {
  check_fails("fit", "a fit of em_gmm(), em_fa(), em_mixture(), em_hmm() or em()", fit)
}

# Results of em_bootstrap(). `model` in words, as in "a Gaussian mixture"; `advice` for where too few replicates could
# be fitted.
new_bootstrap <- function(fit, estimate, replicates, table, type, call, model, advice) {
  n_boot <- nrow(replicates)
  n_ok <- sum(!is.na(replicates[, 1L]))
  if (n_ok < 2L) {
    em_abort(paste0("Only ", n_ok, " of ", n_boot, " bootstrap replicates could be fitted. ", advice),
             "bootstrap_failed")
  }
  structure(
    list(estimate = estimate, replicates = replicates, table = table, n_boot = n_boot, n_ok = n_ok, type = type,
         model = model, call = call, fit_call = fit$call),
    class = "em_bootstrap"
  )
}

# A bootstrap of refits one after the other, which can be interrupted between any two. refit() draws data and returns
# list(coefficients, run (loglik, status, iterations), relabelled), or NULL where they could not be fitted.
bootstrap_refits <- function(fit, n_boot, type, refit, control, call, model, advice) {
  estimate <- coef(fit)
  replicates <- matrix(NA_real_, n_boot, length(estimate), dimnames = list(NULL, names(estimate)))
  table <- data.frame(replicate = seq_len(n_boot), loglik = NA_real_, status = "degenerate", relabelled = FALSE)
  show <- progress_display(control, "replicates")
  iterations <- 0
  reason <- NULL
  for (b in seq_len(n_boot)) {
    one <- tryCatch(refit(), em_error = function(e) {
      if (is.null(reason)) reason <<- conditionMessage(e)
      NULL
    })
    if (!is.null(one)) iterations <- iterations + one$run$iterations
    if (!is.null(show)) show(b, n_boot, iterations)
    if (is.null(one)) next
    replicates[b, ] <- one$coefficients
    table$loglik[b] <- one$run$loglik
    table$status[b] <- one$run$status
    table$relabelled[b] <- one$relabelled
  }
  if (!is.null(reason)) advice <- paste0(advice, " The first error was: ", reason)
  new_bootstrap(fit, estimate, replicates, table, type, call, model, advice)
}

# The core's data of a mixture or a hidden Markov model with weights drawn anew, one for each unit; `owner`: the unit of
# each row.
reweigh <- function(data, owner, type) {
  n <- owner[length(owner)]
  drawn <- if (type == "nonparametric") tabulate(sample.int(n, replace = TRUE), n) else stats::rexp(n)
  drawn <- drawn * (n / sum(drawn))
  data$weights <- drawn[owner] * (if (is.null(data$weights)) 1 else data$weights)
  data
}

# The same with responses drawn anew given components or states, without the cells that are missing.
redraw_responses <- function(fit, core, data, states) {
  for (r in seq_along(fit$responses)) {
    y <- draw_responses(fit, core, data, r, states)
    y[is.na(data$responses[[r]]$y)] <- NA
    data$responses[[r]]$y <- y
  }
  data
}

# Order that brings the components of a refit in line with those of the fit, by the agreement of their posterior
# probabilities (rows x K) on the same data: element k is the refit's component that plays the part of component k.
match_posteriors <- function(reference, posterior) {
  agreement <- crossprod(reference, posterior)
  agreement[!is.finite(agreement)] <- 0
  optimal_assignment(-agreement)
}

# Replicates that could be fitted.
good_replicates <- function(object) {
  object$replicates[!is.na(object$replicates[, 1]), , drop = FALSE]
}

#' @rdname em_bootstrap
#' @export
vcov.em_bootstrap <- function(object, ...) {
  check_dots_empty(..., .function = "vcov.em_bootstrap")
  stats::cov(good_replicates(object))
}

#' @rdname em_bootstrap
#' @export
confint.em_bootstrap <- function(object, parm, level = 0.95,
                                 ci_type = c("percentile", "basic", "normal"), ...) {
  ci_type <- match_choice(ci_type)
  check_dots_empty(..., .function = "confint.em_bootstrap")
  check_level(level)
  index <- select_coefficients(parm, names(object$estimate))
  replicates <- good_replicates(object)[, index, drop = FALSE]
  estimate <- object$estimate[index]
  tail <- c((1 - level) / 2, 1 - (1 - level) / 2)
  if (ci_type == "normal") {
    se <- apply(replicates, 2, stats::sd)
    limits <- 2 * estimate - colMeans(replicates) + outer(se, stats::qnorm(tail))
  } else {
    limits <- t(apply(replicates, 2, stats::quantile, probs = tail, names = FALSE, type = 7))
    if (ci_type == "basic") {
      limits <- 2 * estimate - limits[, 2:1, drop = FALSE]
    }
  }
  dimnames(limits) <- list(names(estimate), percent_names(tail))
  limits
}

#' @rdname em_bootstrap
#' @export
summary.em_bootstrap <- function(object, level = 0.95,
                                 ci_type = c("percentile", "basic", "normal"), ...) {
  ci_type <- match_choice(ci_type)
  check_dots_empty(..., .function = "summary.em_bootstrap")
  replicates <- good_replicates(object)
  table <- data.frame(
    estimate = object$estimate, bias = colMeans(replicates) - object$estimate,
    std_error = apply(replicates, 2, stats::sd)
  )
  cbind(table, as.data.frame(confint(object, level = level, ci_type = ci_type), optional = TRUE))
}

#' @rdname em_bootstrap
#' @export
tidy.em_bootstrap <- function(x, conf.int = FALSE, conf.level = 0.95,
                              ci_type = c("percentile", "basic", "normal"), ...) {
  ci_type <- match_choice(ci_type)
  check_flag(conf.int, "conf.int")
  check_level(conf.level, "conf.level")
  check_dots_empty(..., .function = "tidy.em_bootstrap")
  table <- summary(x, level = conf.level, ci_type = ci_type)
  result <- data.frame(term = rownames(table), estimate = table$estimate, bias = table$bias,
                       std.error = table$std_error)
  if (conf.int) {
    result$conf.low <- table[[4L]]
    result$conf.high <- table[[5L]]
  }
  as_tibble_if_installed(result)
}

#' @rdname em_bootstrap
#' @export
print.em_bootstrap <- function(x, digits = max(2L, getOption("digits") - 4L), ...) {
  title <- paste0("Bootstrap of ", x$model, " (", x$type, ", ", count_of(x$n_boot, "replicate"), ")")
  cat(strwrap(title, exdent = 2), sep = "\n")
  cat(format_call(x$fit_call), sep = "\n")
  failed <- x$n_boot - x$n_ok
  if (failed) {
    cat(count_of(failed, "replicate"), "could not be fitted and", if (failed == 1) "is" else "are",
        "left out\n")
  }
  if (any(x$table$relabelled)) {
    cat(count_of(sum(x$table$relabelled), "replicate"),
        "had components in another order (matched)\n")
  }
  unfinished <- sum(x$table$status == "max_iter")
  if (unfinished > 0L) cat(count_of(unfinished, "replicate"), "did not converge\n")
  heywood <- x$table$heywood[!x$table$heywood %in% c("", NA)]
  if (length(heywood) > 0L) {
    count <- sort(table(unlist(strsplit(heywood, ", ", fixed = TRUE))), decreasing = TRUE)
    words <- paste0(count_of(length(heywood), "replicate"), if (length(heywood) == 1L) " is a" else " are",
                    " Heywood ", if (length(heywood) == 1L) "case" else "cases", ", with a uniqueness of 0: ",
                    abbreviate_list(paste0(names(count), " (", count, ")")))
    cat(strwrap(words, exdent = 2), sep = "\n")
  }
  cat("\n")
  table <- summary(x)
  moves <- table$std_error > 0
  n_moving <- sum(moves)
  shown <- utils::head(which(moves), 12L)
  print_table(bootstrap_cells(table[shown, ], digits))
  if (n_moving > length(shown)) {
    cat("  and ", count_of(n_moving - length(shown), "more coefficient"), " (summary() has all)\n",
        sep = "")
  }
  invisible(x)
}

# The table of a bootstrap as text, each row with the decimals that its standard error calls for.
# Digits and words give way before a table is wider than the console.
bootstrap_cells <- function(table, digits, width = getOption("width")) {
  for (words in c("std. error", "s.e.")) for (d in seq(max(2L, digits), 2L)) {
    cells <- t(apply(as.matrix(table), 1, function(row) {
      format_to_error(row, row[["std_error"]], d)
    }))
    dimnames(cells) <- list(rownames(table), sub("std_error", words, names(table)))
    used <- 1L + max(nchar(rownames(cells), "width")) +
      sum(apply(rbind(colnames(cells), cells), 2, function(x) max(nchar(x, "width"))) + 2L)
    if (used <= width) {
      return(cells)
    }
  }
  cells
}

#' @rdname em_bootstrap
#' @export
plot.em_bootstrap <- function(x, parm, ...) {
  replicates <- good_replicates(x)
  index <- select_coefficients(parm, names(x$estimate))
  if (missing(parm)) {
    index <- which(apply(replicates, 2, stats::sd) > 0)
    if (length(index) > 12) {
      message("Showing 12 of ", length(index), " coefficients; choose others with `parm`.")
      index <- index[1:12]
    }
  }
  old <- graphics::par(no.readonly = TRUE)
  on.exit(graphics::par(old))
  graphics::par(mfrow = grDevices::n2mfrow(length(index)), mar = c(2.6, 2.6, 2.2, 0.8),
                mgp = c(1.5, 0.5, 0), tcl = -0.25)
  for (j in index) {
    graphics::hist(replicates[, j], breaks = "FD", main = names(x$estimate)[j], xlab = "",
                   ylab = "", col = "grey85", border = "white", cex.main = 0.95, font.main = 1,
                   ...)
    graphics::abline(v = x$estimate[j], lwd = 2, col = em_palette(2)[2])
    graphics::abline(v = confint(x, j), lty = 2, col = "grey30")
  }
  invisible(x)
}
