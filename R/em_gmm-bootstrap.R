# Bootstrap of the parameters of a Gaussian mixture, and the bootstrap likelihood-ratio test for the
# number of components.
#
# Replicates are drawn and fitted in C++, in parallel. Each has its own stream of a counter-based
# generator whose key comes from R's stream, so that a result depends on set.seed() alone: not on
# threads, and a longer bootstrap begins with the replicates of a shorter one.

#' @rdname em_bootstrap
#' @export
em_bootstrap.em_gmm <- function(fit, n_boot = 999, type = c("nonparametric", "weighted", "parametric"),
                                control = fit$control, ...) {
  type <- match_choice(type)
  call <- match.call()
  check_dots_empty(..., .function = "em_bootstrap")
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
  table <- data.frame(
    replicate = seq_len(n_boot), loglik = vapply(runs, function(r) r[[1]]$loglik, 0),
    status = vapply(runs, function(r) r[[1]]$status, ""), relabelled = relabelled
  )
  new_bootstrap(fit, estimate, replicates, table, type, call, "a Gaussian mixture",
                "Try type = \"weighted\", fewer components or a simpler covariance structure.")
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
  match_posteriors(reference, posterior[, seq_len(ncol(reference)), drop = FALSE])
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
