# Bootstrap of the parameters of a mixture, and the bootstrap likelihood-ratio test for the number
# of components.
#
# Replicates are drawn and fitted in C++, in parallel. Each has its own stream of a counter-based
# generator whose key comes from R's stream, so that a result depends on set.seed() alone: not on
# threads, and a longer bootstrap begins with the replicates of a shorter one.

#' Bootstrap the parameters of a Gaussian mixture
#'
#' Refits a mixture to resampled data and collects its coefficients, with the components of
#' every replicate matched to those of the fit.
#'
#' * `"nonparametric"` draws the rows with replacement (with their weights and known labels);
#' * `"weighted"` gives each row a random weight with mean 1 (the Bayesian bootstrap of Rubin,
#'   1981), so that no component ever loses all of its rows: preferable for small components;
#' * `"parametric"` draws complete rows from the fitted mixture and deletes the cells that are
#'   missing in the data. Weights and known labels stay with their rows.
#'
#' Each refit starts from the parameters of the fit, which makes it quick and keeps it in the same
#' mode of the likelihood. Components are then matched to those of the fit by the assignment
#' with the largest agreement of the posterior probabilities on the original data (the Hungarian
#' method; Kuhn, 1955), so that label switching does not inflate the standard errors. Missing values
#' are treated exactly in every refit. Replicates are fitted in parallel. The noise box, fixed
#' parameters, prior and equal proportions are those of the fit.
#'
#' A replicate that cannot be fitted (a component that collapses) is left out and counted;
#' `print()` says how many.
#'
#' @param fit A fit of [em_gmm()] with its data.
#' @param n_boot Number of replicates, at least 2. Default 999.
#' @param type `"nonparametric"` (default), `"weighted"` or `"parametric"`.
#' @param control Options for the refits, see [em_control()]. Default: those of the fit.
#' @param object,x A result of `em_bootstrap()`.
#' @param parm Names or numbers of coefficients; all by default.
#' @param level Confidence level. Default 0.95.
#' @param ci_type `"percentile"` (default): quantiles of the replicates; `"basic"`: those reflected
#'   about the estimate; `"normal"`: estimate minus bias, plus and minus a normal quantile times the
#'   standard error.
#' @param digits Significant digits of the standard errors, which set the decimals of their rows;
#'   fewer where the table would be wider than the console.
#' @param ... Unused, and an error (for `print()`: ignored; for `plot()`: arguments of
#'   [graphics::hist()]).
#' @return `em_bootstrap()`: a list of class `em_bootstrap` with
#'   * `estimate`: coefficients of the fit, `replicates`: matrix with a row per replicate (`NA` if
#'     it failed) and a column per coefficient;
#'   * `table`: data frame with, per replicate, `loglik` (of its own data), `status`, and
#'     `relabelled` (whether its components had to be reordered);
#'   * `n_boot`, `n_ok`, `type`, `call`, `fit_call`.
#'
#'   `summary()`: a data frame with estimate, bias, standard error and interval. `vcov()`: the
#'   covariance matrix of the replicates. `confint()`: a matrix of limits. `plot()`: histograms of
#'   the replicates.
#' @references
#' O'Hagan, A., Murphy, T. B., Scrucca, L. and Gormley, I. C. (2019). Investigation of parameter
#' uncertainty in clustering using a Gaussian mixture model via jackknife, bootstrap and weighted
#' likelihood bootstrap. *Computational Statistics*, 34, 1779-1813. \doi{10.1007/s00180-019-00897-9}
#'
#' Rubin, D. B. (1981). The Bayesian bootstrap. *Annals of Statistics*, 9, 130-134.
#' \doi{10.1214/aos/1176345338}
#'
#' Kuhn, H. W. (1955). The Hungarian method for the assignment problem. *Naval Research Logistics
#' Quarterly*, 2, 83-97. \doi{10.1002/nav.3800020109}
#' @seealso [vcov.em_gmm()], [em_bootstrap_lrt()]
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
#' set.seed(1)
#' boot <- em_bootstrap(fit, n_boot = 25, type = "weighted")
#' boot
#' confint(boot, "mean[waiting,1]")
#' @export
em_bootstrap <- function(fit, n_boot = 999, type = c("nonparametric", "weighted", "parametric"),
                         control = fit$control, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "em_bootstrap")
  if (!inherits(fit, "em_gmm")) {
    check_fails("fit", "a fit of em_gmm()", fit)
  }
  check_count(n_boot, "n_boot", lowest = 2)
  require_data(fit, "em_bootstrap()")
  control <- check_control(control)
  K <- fit$n_components
  start <- list(kind = "parameters", method = "fit",
                parameters = gmm_core_parameters(fit))
  control$n_polish <- 1L
  runs <- bootstrap_gmm(fit, type, n_boot, K, list(list(start)), control)

  estimate <- coef(fit)
  replicates <- matrix(NA_real_, n_boot, length(estimate), dimnames = list(NULL, names(estimate)))
  relabelled <- logical(n_boot)
  # labels are tied to components by known labels, fixed values or a single component
  may_switch <- K > 1 && is.null(fit$known) && is.null(fit$fixed)
  reference <- if (may_switch) reference_posterior(fit)
  for (b in seq_len(n_boot)) {
    parameters <- runs[[b]][[1]]$parameters
    if (is.null(parameters)) {
      next
    }
    if (may_switch) {
      parameters$noise <- fit$parameters$noise
      order <- match_components(fit, parameters, reference)
      relabelled[b] <- !identical(order, seq_len(K))
      parameters <- reorder_components(parameters, order)
    }
    replicates[b, ] <- gmm_coefficients(parameters, fit$variables)
  }
  n_ok <- sum(!is.na(replicates[, 1]))
  if (n_ok < 2) {
    em_abort(
      paste0("Only ", n_ok, " of ", n_boot, " bootstrap replicates could be fitted. ",
             "Try type = \"weighted\", fewer components or a simpler covariance structure."),
      "bootstrap_failed"
    )
  }
  structure(
    list(
      estimate = estimate, replicates = replicates,
      table = data.frame(
        replicate = seq_len(n_boot), loglik = vapply(runs, function(r) r[[1]]$loglik, 0),
        status = vapply(runs, function(r) r[[1]]$status, ""), relabelled = relabelled
      ),
      n_boot = n_boot, n_ok = n_ok, type = type, call = match.call(), fit_call = fit$call
    ),
    class = "em_bootstrap"
  )
}

# The parameters of a fit that the core takes.
gmm_core_parameters <- function(fit) {
  fit$parameters[intersect(c("proportions", "means", "covariances", "loadings", "uniquenesses"), names(fit$parameters))]
}

# Bootstrap replicates of the data of a fit, each fitted with every number of components in `sizes`
# from `starts` (a list of starts per size): a list over replicates of lists over sizes of loglik,
# status and parameters (NULL where it could not be fitted).
bootstrap_gmm <- function(fit, type, n_boot, sizes, starts, control, key = draw_key()) {
  box <- noise_box(fit)
  spec <- list(equal_proportions = fit$equal_proportions, prior = fit$prior, fixed = fit$fixed,
               noise = if (!is.null(box)) list(sides = unname(box$sides)))
  gmm_bootstrap_(
    fit$data, fit$weights, fit$known, gmm_core_parameters(fit),
    if (is.null(box)) numeric() else unname(box$lower), rep(fit$covariance, length(sizes)),
    as.integer(sizes), rep(if (is.null(fit$n_factors)) NA_integer_ else fit$n_factors, length(sizes)),
    as.integer(sizes), starts,
    core_options(spec, length(fit$variables), sizes[1]), core_control(control, key),
    as.integer(n_boot), type, resolve_threads(control), progress_display(control, "replicates")
  )
}

# Weighted posterior probabilities of the components in the data of the fit (n x K).
reference_posterior <- function(fit) {
  posterior <- if (is.null(fit$posterior)) predict(fit, type = "posterior") else fit$posterior
  posterior <- posterior[, seq_len(fit$n_components), drop = FALSE]
  posterior * (if (is.null(fit$weights)) 1 else fit$weights)
}

# Order that brings the components of a refit in line with those of the fit: element k is the
# refit's component that plays the part of component k. `reference`: weighted posterior of the fit
# (n x K).
match_components <- function(fit, parameters, reference) {
  posterior <- gmm_evaluate_(fit$data, parameters, NULL, NULL, "posterior",
                             resolve_threads(fit$control))
  agreement <- crossprod(reference, posterior[, seq_len(ncol(reference)), drop = FALSE])
  optimal_assignment(-agreement)
}

# Assignment of rows to columns of a square cost matrix with the least total cost: the Hungarian
# method by shortest augmenting paths, O(n^3) (Kuhn 1955; Jonker & Volgenant 1987). Returns the
# column of each row. Index 0 of the textbook arrays is element 1 here.
optimal_assignment <- function(cost) {
  n <- nrow(cost)
  row_price <- numeric(n + 1)
  column_price <- numeric(n + 1)
  row_of <- integer(n + 1) # row assigned to each column, 0 if free
  for (i in seq_len(n)) {
    row_of[1] <- i
    column <- 0L
    shortest <- rep(Inf, n + 1)
    previous <- integer(n + 1)
    used <- logical(n + 1)
    repeat {
      used[column + 1] <- TRUE
      row <- row_of[column + 1]
      free <- which(!used[-1])
      reduced <- cost[row, free] - row_price[row + 1] - column_price[free + 1]
      better <- reduced < shortest[free + 1]
      shortest[free[better] + 1] <- reduced[better]
      previous[free[better] + 1] <- column
      nearest <- free[which.min(shortest[free + 1])]
      step <- shortest[nearest + 1]
      taken <- which(used)
      row_price[row_of[taken] + 1] <- row_price[row_of[taken] + 1] + step
      column_price[taken] <- column_price[taken] - step
      shortest[!used] <- shortest[!used] - step
      column <- nearest
      if (row_of[column + 1] == 0) {
        break
      }
    }
    while (column != 0L) {
      before <- previous[column + 1]
      row_of[column + 1] <- row_of[before + 1]
      column <- before
    }
  }
  assignment <- integer(n)
  assignment[row_of[-1]] <- seq_len(n)
  assignment
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
print.em_bootstrap <- function(x, digits = max(2L, getOption("digits") - 4L), ...) {
  title <- paste0("Bootstrap of a Gaussian mixture (", x$type, ", ",
                  count_of(x$n_boot, "replicate"), ")")
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

# ---- bootstrap likelihood-ratio test -----------------------------------------------------------

#' Bootstrap likelihood-ratio test for the number of components
#'
#' Tests K against K + 1 components, one step after another, by the parametric bootstrap
#' (McLachlan, 1987): the usual chi-squared distribution does not hold for mixtures.
#'
#' For K = `min_components`, ... the mixtures with K and K + 1 components are fitted and
#' \eqn{2(\log L_{K+1} - \log L_K)} is compared with its distribution under the mixture with K
#' components: `n_boot` data sets are drawn from that mixture (with the cells that are missing in
#' the data deleted), and both models are fitted to each of them **with the full set of starts**.
#' Refitting from the fitted parameters alone, as is sometimes done, finds worse optima of the
#' larger model under the null distribution, and so rejects too often. The p-value is
#' \eqn{(1 + \#\{t^*_b \ge t\}) / (1 + B)} with B the number of data sets to which both could be
#' fitted.
#'
#' The test stops at the first K that is not rejected at `level`, which is the number of components
#' it selects, or at `max_components` if all are rejected.
#'
#' @param x Data, as for [em_gmm()]; or a fit of [em_gmm()], whose data, weights, covariance
#'   structure, equal proportions, prior and control are then used.
#' @param covariance Covariance structure, one name; see [em_gmm()]. Default `"VVV"`.
#' @param max_components The largest K + 1 that is fitted. Default 9.
#' @param min_components The first K. Default 1.
#' @param n_boot Data sets per test. Default 199.
#' @param level Significance level at which testing goes on. Default 0.05.
#' @param weights Observation weights, kept with their rows in the simulated data.
#' @param control Options of the fits, see [em_control()]; `n_starts` holds for the simulated data
#'   as for the data.
#' @param ... Further arguments of [em_gmm()]: `equal_proportions`, `prior`, and for a formula
#'   `data`; others are an error.
#' @return A list of class `em_bootstrap_lrt`: `table`, a data frame with, per test, `n_components`
#'   (K), `alternative` (K + 1), `statistic`, `p_value`, `n_boot` (data sets used) and `mean_null`;
#'   `statistics`, a list of the simulated statistics; `n_components`, the number selected;
#'   `covariance`, `level`, `call`. A variable of one column uses `"E"` or `"V"`.
#' @references
#' McLachlan, G. J. (1987). On bootstrapping the likelihood ratio test statistic for the number of
#' components in a normal mixture. *Applied Statistics*, 36, 318-324. \doi{10.2307/2347790}
#' @seealso [ICL()], [em_bootstrap()]
#' @examples
#' set.seed(1)
#' em_bootstrap_lrt(faithful$waiting, "E", max_components = 2, n_boot = 9,
#'                  control = em_control(n_starts = 2))
#' @export
em_bootstrap_lrt <- function(x, covariance = "VVV", max_components = 9, min_components = 1,
                             n_boot = 199, level = 0.05, weights = NULL, control = em_control(),
                             ...) {
  call <- match.call()
  min_components <- check_count(min_components, "min_components")
  max_components <- check_count(max_components, "max_components", lowest = min_components + 1L)
  check_count(n_boot, "n_boot")
  check_level(level)
  if (inherits(x, "em_gmm")) {
    require_data(x, "em_bootstrap_lrt()")
    if (isTRUE(x$noise) || !is.null(x$known) || !is.null(x$fixed)) {
      em_abort("em_bootstrap_lrt() is for fits without noise, known labels or fixed parameters.",
               "argument", argument = "x")
    }
    check_dots_empty(..., .function = "em_bootstrap_lrt")
    if (missing(covariance)) covariance <- x$covariance
    if (missing(control)) control <- x$control
    if (missing(weights)) weights <- x$weights
    extra <- list(equal_proportions = isTRUE(x$equal_proportions))
    extra$prior <- x$prior
    extra$n_factors <- x$n_factors
    x <- x$data
  } else {
    # looked at by name first: `subset` is an expression that cannot be evaluated here
    names <- names(match.call(expand.dots = FALSE)$...)
    refused <- setdiff(names, c("data", "equal_proportions", "prior", "n_factors"))
    if (length(refused)) {
      em_abort(paste0("em_bootstrap_lrt() cannot use ", paste(refused, collapse = ", "), "."),
               "unused_argument")
    }
    extra <- list(...)
  }
  if (!is.character(covariance) || length(covariance) != 1) {
    em_abort("`covariance` must be one covariance structure.", "covariance")
  }

  fit_to <- function(data, K, weights, extra) {
    arguments <- c(list(data, n_components = K, covariance = covariance, weights = weights,
                        control = control), extra)
    withCallingHandlers(
      do.call(em_gmm, arguments), em_warning = function(w) invokeRestart("muffleWarning")
    )
  }
  null_fit <- fit_to(x, min_components, weights, extra)
  # from here on the data are a plain matrix: formula and data have done their work
  require_data(null_fit, "em_bootstrap_lrt()")
  x <- null_fit$data
  weights <- null_fit$weights
  extra <- extra[setdiff(names(extra), "data")]
  # the number of components is what is tested: all have as many factors
  extra$n_factors <- null_fit$n_factors

  rows <- list()
  statistics <- list()
  selected <- NA_integer_
  K <- min_components
  while (K < max_components) {
    larger <- tryCatch(fit_to(x, K + 1L, weights, extra), em_error = function(e) e)
    if (inherits(larger, "error")) {
      em_warn(
        paste0("The mixture with ", K + 1, " components could not be fitted, so testing ends at ",
               K, ": ", conditionMessage(larger)),
        "test_ended"
      )
      selected <- K
      break
    }
    statistic <- max(0, 2 * (larger$loglik - null_fit$loglik))
    # both sizes to the same data, each from its own full set of starts
    sizes <- c(K, K + 1L)
    effort <- resolve_effort(control, 1L, nrow(x), ncol(x), K + 1L)
    starts <- lapply(sizes, automatic_starts, n_starts = effort$n_starts, n = nrow(x),
                     trees = list(), complete = !anyNA(x), labelled = FALSE)
    runs <- bootstrap_gmm(null_fit, "parametric", n_boot, sizes, starts, effort)
    simulated <- vapply(runs, function(r) max(0, 2 * (r[[2]]$loglik - r[[1]]$loglik)), 0)
    used <- simulated[!is.na(simulated)]
    p_value <- (1 + sum(used >= statistic)) / (1 + length(used))
    rows[[length(rows) + 1]] <- data.frame(
      n_components = K, alternative = K + 1, statistic = statistic, p_value = p_value,
      n_boot = length(used), mean_null = mean(used)
    )
    statistics[[paste(K, "vs", K + 1)]] <- used
    if (p_value > level) {
      selected <- K
      break
    }
    null_fit <- larger
    K <- K + 1L
  }
  structure(
    list(table = do.call(rbind, rows), statistics = statistics,
         n_components = as.integer(if (is.na(selected)) K else selected),
         reached_max = is.na(selected), covariance = null_fit$covariance, n_factors = null_fit$n_factors,
         level = level, n_boot = n_boot, call = call),
    class = "em_bootstrap_lrt"
  )
}

#' @rdname em_bootstrap_lrt
#' @export
print.em_bootstrap_lrt <- function(x, ...) {
  cat("Bootstrap likelihood-ratio test for the number of components\n")
  cat("Covariance: ", describe_covariance(x$covariance, x$n_components, x$n_factors), "; ", x$n_boot,
      " data sets per test\n\n", sep = "")
  if (!is.null(x$table)) {
    # no p-value is below 1 / (B + 1), and so many decimals does it take to show that
    decimals <- max(3L, as.integer(ceiling(log10(x$n_boot + 1))))
    cells <- cbind(
      statistic = format_loglik(x$table$statistic),
      "mean under H0" = format_loglik(x$table$mean_null),
      "p-value" = format_loglik(x$table$p_value, decimals),
      "data sets" = format(x$table$n_boot)
    )
    rownames(cells) <- paste(x$table$n_components, "vs", x$table$alternative)
    print_table(cells)
    cat("\n")
  }
  cat("Selected at level ", format(x$level), ": ", count_of(x$n_components, "component"),
      if (x$reached_max) " (the largest that was fitted; all smaller ones are rejected)", ".\n",
      sep = "")
  smallest <- 1 / (1 + x$n_boot)
  if (smallest > x$level) {
    cat("With ", x$n_boot, " data sets no p-value can be below ", format_number(smallest, 2), ".\n",
        sep = "")
  }
  invisible(x)
}

#' @rdname em_bootstrap_lrt
#' @export
plot.em_bootstrap_lrt <- function(x, ...) {
  check_dots_empty(..., .function = "plot.em_bootstrap_lrt")
  if (is.null(x$table)) {
    em_abort("No test was made, so there is nothing to plot.", "nothing_to_plot")
  }
  old <- graphics::par(no.readonly = TRUE)
  on.exit(graphics::par(old))
  graphics::par(mfrow = grDevices::n2mfrow(nrow(x$table)), mar = c(3.4, 3, 2.4, 1),
                mgp = c(1.9, 0.6, 0), tcl = -0.25)
  for (i in seq_len(nrow(x$table))) {
    row <- x$table[i, ]
    graphics::hist(
      x$statistics[[i]], breaks = "FD", xlim = range(0, x$statistics[[i]], row$statistic) * 1.03,
      main = sprintf("%d vs %d components: p %s", row$n_components, row$alternative,
                     format_p_value(row$p_value)),
      xlab = "likelihood-ratio statistic", ylab = "", col = "grey75", border = NA,
      font.main = 1, cex.main = 1.1
    )
    graphics::abline(v = row$statistic, lwd = 2, col = em_palette(2)[2])
  }
  invisible(x)
}
