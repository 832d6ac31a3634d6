# Methods for fits of em_mvnorm(): coefficients, prediction, simulation, more rows, print and summary.

#' Coefficients of a normal distribution
#'
#' Mean and covariance as one named vector.
#'
#' @param object A fit of [em_mvnorm()].
#' @param ... Unused, and an error.
#' @return A named numeric vector: `mean[variable]`, ..., then the lower triangle of the covariance matrix by columns,
#'   `covariance[variable1,variable2]`.
#' @seealso [vcov.em_mvnorm()], [confint.em_fit()]
#' @examples
#' coef(em_mvnorm(airquality[, 1:3]))
#' @export
coef.em_mvnorm <- function(object, ...) {
  check_dots_empty(..., .function = "coef.em_mvnorm")
  covariance <- object$parameters$covariance
  stats::setNames(c(object$parameters$mean, covariance[lower.tri(covariance, diag = TRUE)]),
                  mvnorm_coefficient_names(object$variables))
}

#' Predictions of a normal distribution with missing values
#'
#' What the fitted distribution says of missing cells: their conditional means, a draw, or intervals; or how likely rows are.
#'
#' A row's missing cells are normal given its observed ones. `"mean"` fills in the means of that distribution, which are
#' the best guesses but have too little variance; `"draw"` a draw, which has the right variance (one draw ignores what is
#' not known of the parameters: [em_impute()] does not). `"interval"` gives mean, standard deviation and central
#' limits. A row that observes nothing gets the overall distribution.
#'
#' @param object A fit of [em_mvnorm()].
#' @param newdata NULL (default) for the data of the fit; or a matrix, data frame or vector. Columns are found by name, in
#'   any order; NA is allowed.
#' @param type * `"mean"` (default), `"draw"`: the rows with their missing cells filled in, a matrix (n x p);
#'   * `"interval"`: a data frame with a row per missing cell: `row`, `variable`, `mean`, `sd`, `lower`, `upper`;
#'   * `"density"`: the density of each row's observed cells;
#'   * `"distance"`: their squared Mahalanobis distance from the mean.
#' @param level Level of the intervals. Default 0.95.
#' @param log TRUE: the logarithm of the density. Default FALSE.
#' @param ... Unused, and an error.
#' @return See `type`; rows in the order of `newdata`, with its row names. Draws depend on `set.seed()` alone.
#' @examples
#' fit <- em_mvnorm(airquality[, 1:4])
#' predict(fit, data.frame(Ozone = NA, Solar.R = 200, Wind = c(5, 15), Temp = NA))
#' predict(fit, airquality[5, 1:4], type = "interval")
#' @export
predict.em_mvnorm <- function(object, newdata = NULL, type = c("mean", "draw", "interval", "density", "distance"),
                              level = 0.95, log = FALSE, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "predict.em_mvnorm")
  check_level(level)
  check_flag(log, "log")
  if (is.null(newdata)) require_data(object, "predict() without `newdata`")
  rows <- rows_to_predict(object, newdata)
  x <- rows$x
  names <- rows$names
  evaluate <- function(what) mvnorm_rows(x, object$parameters, what, resolve_threads(object$control))
  if (type == "interval") return(mvnorm_intervals(x, object$variables, evaluate("mean"), evaluate("sd"), level))
  if (type %in% c("density", "distance")) {
    value <- stats::setNames(evaluate(if (type == "density") "log_density" else "distance"), names)
    return(if (type == "density" && !log) exp(value) else value)
  }
  filled <- evaluate(type)
  dimnames(filled) <- list(names, object$variables)
  filled
}

# mvnorm_rows_ without limits; draws by a key from R's generator.
mvnorm_rows <- function(x, parameters, what, threads) {
  mvnorm_rows_(x, parameters$mean, parameters$covariance, what, numeric(), numeric(),
               if (what == "draw") draw_key() else c(0, 0), threads)
}

mvnorm_intervals <- function(x, variables, mean, sd, level) {
  cells <- which(is.na(x), arr.ind = TRUE)
  cells <- cells[order(cells[, 1L], cells[, 2L]), , drop = FALSE]
  half <- stats::qnorm((1 + level) / 2) * sd[cells]
  data.frame(row = unname(cells[, 1L]), variable = variables[cells[, 2L]], mean = mean[cells], sd = sd[cells],
             lower = mean[cells] - half, upper = mean[cells] + half)
}

#' Residuals of a normal distribution with missing values
#'
#' The data minus their mean, as they are or whitened.
#'
#' `fitted()` is the mean in every row. `residuals(type = "standardized")` whitens the observed cells of each row by their
#' covariance: independent standard normal if the model holds.
#'
#' @param object A fit of [em_mvnorm()] with its data.
#' @param type `"response"` (default) or `"standardized"`.
#' @param ... Unused, and an error.
#' @return A matrix with a row for each row of the data and a column for each variable; NA where a cell is missing.
#' @examples
#' head(residuals(em_mvnorm(airquality[, 1:4]), type = "standardized"))
#' @export
residuals.em_mvnorm <- function(object, type = c("response", "standardized"), ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "residuals.em_mvnorm")
  require_data(object, "residuals()")
  result <- sweep(object$data, 2L, object$parameters$mean)
  if (type == "standardized") result <- whiten_rows(result, object$parameters$covariance)
  dimnames(result) <- list(object$row_names, object$variables)
  result
}

#' @rdname residuals.em_mvnorm
#' @export
fitted.em_mvnorm <- function(object, ...) {
  check_dots_empty(..., .function = "fitted.em_mvnorm")
  matrix(object$parameters$mean, object$n_rows, length(object$variables), byrow = TRUE,
         dimnames = list(object$row_names, object$variables))
}

#' Simulate from a fitted normal distribution
#'
#' Draws complete data sets.
#'
#' @param object A fit of [em_mvnorm()].
#' @param nsim Number of data sets. Default 1.
#' @param seed NULL (default): the current state of R's random numbers; or a number for [set.seed()], the state being
#'   restored afterwards.
#' @param n_rows Rows of each data set. Default: those of the data of the fit.
#' @param ... Unused, and an error.
#' @return For `nsim = 1` a data frame, for more a list of them named `sim_1`, ...; attribute `"seed"` as in
#'   [stats::simulate()].
#' @examples
#' head(simulate(em_mvnorm(airquality[, 1:4]), seed = 1))
#' @export
simulate.em_mvnorm <- function(object, nsim = 1, seed = NULL, n_rows = object$n_rows, ...) {
  check_dots_empty(..., .function = "simulate.em_mvnorm")
  nsim <- check_count(nsim, "nsim")
  n_rows <- check_count(n_rows, "n_rows")
  d <- length(object$variables)
  root <- chol(object$parameters$covariance)
  simulate_sets(nsim, seed, function() {
    x <- matrix(stats::rnorm(n_rows * d), n_rows) %*% root + rep(object$parameters$mean, each = n_rows)
    colnames(x) <- object$variables
    as.data.frame(x, optional = TRUE)
  })
}

#' Add rows to a fit
#'
#' Fits again with more rows, from where the fit stands; or with changed arguments, as [stats::update()] does.
#'
#' The new rows join the moments of the old ones by pattern of missingness (which the fit keeps when its data are not
#' kept, `em_control(keep_data = FALSE)`): data that arrive in pieces need never be in memory together. The
#' result is that of a fit to all rows.
#'
#' @param object A fit of [em_mvnorm()].
#' @param new_rows NULL (default), or a matrix or data frame of further rows with the variables of the fit.
#' @param weights For `new_rows` of a weighted fit: their weights.
#' @param ... Without `new_rows`: arguments of the call to change, see [update.em_fit()].
#' @param evaluate Without `new_rows`: FALSE returns the changed call.
#' @return A fit.
#' @examples
#' fit <- em_mvnorm(airquality[1:100, 1:4], control = em_control(keep_data = FALSE))
#' update(fit, airquality[101:153, 1:4])
#' @export
update.em_mvnorm <- function(object, new_rows = NULL, weights = NULL, ..., evaluate = TRUE) {
  whole <- match.call()
  whole[[1L]] <- quote(update)
  if (is.null(new_rows) || inherits(new_rows, "formula")) {
    if (identical(object$call[[1L]], quote(update))) {
      em_abort("A fit that was made of pieces has no single call to change; fit the pieces anew.", "no_call")
    }
    call <- match.call()
    names(call)[names(call) == "new_rows"] <- "formula."
    call[[1L]] <- update.em_fit
    return(eval(call, parent.frame()))
  }
  check_dots_empty(..., .function = "update.em_mvnorm")
  x <- model_matrix_newdata(object, new_rows)
  weights <- check_weights(weights, nrow(x))
  weighted <- !is.null(object$weights) || isTRUE(object$statistics$weighted)
  if (is.null(weights) == weighted) {
    em_abort(if (is.null(weights)) "The fit has weights: give those of the new rows as `weights`." else
      "The fit has no weights, so new rows can have none.", "weights")
  }
  if (!is.null(object$cell_priors)) em_abort("A fit with cell priors cannot take more rows.", "argument")
  input <- list(variables = object$variables, formula = object$formula, terms = object$terms, row_names = NULL)
  if (!is.null(object$data)) {
    input$x <- rbind(object$data, x)
    if (!is.null(object$row_names)) input$row_names <- c(object$row_names, rownames(x))
    input$weights <- c(object$weights, weights)
    return(fit_mvnorm(input, refresh_mvnorm_prior(object$prior), object, object$control, whole))
  }
  fit_mvnorm_statistics(merge_statistics(object$statistics, mvnorm_statistics(x, weights, object$control)), object, whole)
}

# A prior as the user gave it: what was worked out from the data is left to be worked out again.
refresh_mvnorm_prior <- function(prior) {
  if (is.null(prior)) return(NULL)
  if (isTRUE(prior$automatic)) prior["strength"] <- list(NULL)
  if (isTRUE(prior$default_scale)) prior["scale"] <- list(NULL)
  if (prior$type == "ridge") prior["scale"] <- list(NULL)
  prior
}

# ---- print and summary ---------------------------------------------------------------------------

#' Print and summarise a normal distribution with missing values
#'
#' `print()` shows the fit in at most 15 lines. `summary()` is the trust report: the patterns of missingness, whether and
#' how the algorithm converged, how much information is missing, which parameters the data do not determine, and the
#' estimates with standard errors.
#'
#' @param object,x A fit of [em_mvnorm()], or its summary.
#' @param type Of the standard errors, see [vcov.em_mvnorm()]: "observed" (default), "expected" or "sandwich".
#' @param digits Significant digits.
#' @param ... Unused, and an error for `summary()`.
#' @return `print()` returns `x`, invisibly. `summary()` returns a list of class `summary.em_mvnorm`: `fit_table`,
#'   `means` (data frame: `mean`, `std_error`, `sd`, `observed`, the weight of the rows that observe the variable, and
#'   `missing`, its share that does not), `correlation`, `patterns`, `report` (named sentences).
#' @seealso [plot.em_mvnorm()], [mcar_test()]
#' @examples
#' fit <- em_mvnorm(airquality[, 1:4])
#' fit
#' summary(fit)
#' @name print.em_mvnorm
NULL

#' @rdname print.em_mvnorm
#' @export
print.em_mvnorm <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  title <- mvnorm_title(x)
  ending <- strwrap(mvnorm_ending(x), exdent = 2)
  # 15 lines in all: two blank ones, the fit's table, and the parameters' header and remainder
  most <- max(2L, min(5L, 9L - length(title) - length(ending)))
  cat(title, "", table_lines(mvnorm_fit_cells(x)), "", sep = "\n")
  print_mvnorm_parameters(x, digits, most)
  cat(ending, sep = "\n")
  invisible(x)
}

mvnorm_title <- function(x) {
  extras <- c(if (!is.null(x$prior)) paste("prior:", describe_mvnorm_prior(x$prior)),
              if (!is.null(x$weights)) "observation weights")
  c(strwrap(paste0("Normal distribution with missing values", if (length(extras)) ", with ",
                   paste(extras, collapse = ", ")), exdent = 2),
    if (!is.null(x$call)) format_call(x$call))
}

mvnorm_fit_cells <- function(x) {
  cells <- rbind(c(
    format(length(x$variables)), format(nrow(x$patterns)), format_loglik(x$loglik), format(x$df),
    format(x$nobs, scientific = FALSE), format_loglik(c(stats::AIC(x), stats::BIC(x)))
  ))
  colnames(cells) <- c("variables", "patterns", "loglik", "df", "nobs", "AIC", "BIC")
  cells
}

# Means, standard deviations and correlations, cut to the console and to `most` variables.
print_mvnorm_parameters <- function(x, digits, most) {
  d <- length(x$variables)
  shown <- seq_len(min(d, most))
  s <- x$parameters$covariance
  sd <- sqrt(diag(s))
  correlation <- (s / tcrossprod(sd))[shown, shown, drop = FALSE]
  text <- format(round(correlation, 2), nsmall = 2)
  text[upper.tri(text, diag = TRUE)] <- ""
  cells <- cbind(mean = format_each(x$parameters$mean[shown], digits), sd = format_each(sd[shown], digits),
                 text[, -length(shown), drop = FALSE])
  colnames(cells) <- c("mean", "sd", cut_middle(x$variables[shown][-length(shown)], 12L))
  rownames(cells) <- x$variables[shown]
  fits <- min(columns_that_fit(cells), ncol(cells))
  print_table(cells[, seq_len(fits), drop = FALSE])
  left <- c(if (d > length(shown)) count_of(d - length(shown), "more variable"))
  if (length(left)) cat("  and ", left, "\n", sep = "")
}

mvnorm_ending <- function(x) {
  worst <- x$missing_information$worst
  line <- if (x$method == "em") convergence_line(x) else paste0("In closed form (", x$method, "), no iterations.")
  c(paste0(line, if (is.finite(worst) && worst > 1e-8) {
    paste0(" Worst fraction of missing information ", format(round(worst, 3), nsmall = 3), ".")
  }), if (!x$identification$identified) {
    paste0("NOT IDENTIFIED: ", abbreviate_list(x$identification$coefficients, 3L), ".")
  }, if (!is.null(x$modes)) sprintf("SEVERAL MAXIMA: %d are equally high, see `modes`.", length(x$modes)))
}

#' @rdname print.em_mvnorm
#' @export
summary.em_mvnorm <- function(object, type = c("observed", "expected", "sandwich"), ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "summary.em_mvnorm")
  d <- length(object$variables)
  se <- rep(NA_real_, d)
  if (d <= 60L && !is.null(object$data)) {
    variance <- withCallingHandlers(tryCatch(vcov(object, type = type), em_error = function(e) NULL),
                                    em_warning = function(w) invokeRestart("muffleWarning"))
    if (!is.null(variance)) se <- sqrt(diag(variance)[seq_len(d)])
  }
  sd <- sqrt(diag(object$parameters$covariance))
  observed <- colSums(as.matrix(object$patterns[object$variables]) * object$patterns$weight)
  structure(list(
    fit = object[c("call", "variables", "parameters", "prior", "weights", "method", "starts")],
    title = mvnorm_title(object), fit_table = mvnorm_fit_cells(object), type = type,
    means = data.frame(mean = object$parameters$mean, std_error = se, sd = sd, observed = observed,
                       missing = 1 - observed / object$nobs, row.names = object$variables),
    correlation = object$parameters$covariance / tcrossprod(sd), patterns = object$patterns,
    report = mvnorm_report(object)
  ), class = "summary.em_mvnorm")
}

mvnorm_report <- function(x) {
  cells <- sum(x$patterns$n_missing * x$patterns$rows)
  empty <- x$n_rows - sum(x$patterns$rows)
  worst <- x$missing_information$worst
  slow <- is.finite(worst) && worst > 0.95
  id <- x$identification
  agree <- starts_that_agree(x)
  c(
    "missing values" = paste0(
      if (cells == 0) "none" else paste0(count_of(cells, "cell"), " in ", count_of(
        sum(x$patterns$rows[x$patterns$n_missing > 0]), "row"), ", ", count_of(nrow(x$patterns), "pattern")),
      if (empty > 0) paste0("; ", count_of(empty, "row"), " wholly missing"), "."),
    converged = if (x$method != "em") paste0("in closed form (", x$method, ").") else paste0(
      if (x$converged) "yes" else "NO", ", ", count_of(x$iterations, "iteration"), " (",
      count_of(x$evaluations, "E-step"), ")", if (isTRUE(x$convergence$newton)) ", finished by Newton steps",
      "; expected remaining gain ", format_gain(x$convergence$remaining_gain, x$loglik + x$log_prior), "."),
    information = if (is.finite(worst)) paste0(
      "the worst fraction of missing information is ", format(round(worst, 4), nsmall = 4),
      if (slow) ": some direction is hardly determined by the data", "."),
    starts = if (x$method == "em" && !is.null(agree) && nrow(x$starts) > 1L) paste0(
      agree$best, " of ", agree$n, " reached the best optimum",
      if (any(x$starts$escaped)) "; some by way of a saddle point",
      if (!is.null(x$modes)) sprintf("; %d different points are equally high", length(x$modes)), "."),
    identification = if (id$identified) "all parameters are determined by the data." else
      paste0("NOT determined: ", abbreviate_list(id$coefficients), ".")
  )
}

#' @rdname print.em_mvnorm
#' @export
print.summary.em_mvnorm <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  cat(x$title, "", table_lines(x$fit_table), "", sep = "\n")
  cat("Trust report\n")
  print_report(x$report)
  shown <- seq_len(min(nrow(x$means), 20L))
  m <- x$means[shown, ]
  cells <- cbind(mean = format_each(m$mean, digits), "std. error" = format_each(m$std_error, digits),
                 sd = format_each(m$sd, digits), missing = paste0(format(round(100 * m$missing, 1), nsmall = 1), "%"))
  rownames(cells) <- rownames(m)
  cat("\nMeans (standard errors: ", x$type, " information)\n", sep = "")
  print_table(cells)
  if (nrow(x$means) > length(shown)) cat("  and ", count_of(nrow(x$means) - length(shown), "more variable"), "\n", sep = "")
  cat("\nCorrelations\n")
  fit <- x$fit
  some <- seq_len(min(length(fit$variables), 12L))
  text <- format(round(x$correlation[some, some, drop = FALSE], 3), nsmall = 3)
  text[upper.tri(text, diag = TRUE)] <- ""
  if (length(some) > 1L) {
    cells <- text[-1L, -length(some), drop = FALSE]
    fits <- min(columns_that_fit(cells), ncol(cells))
    print_table(cells[, seq_len(fits), drop = FALSE])
  }
  invisible(x)
}

#' Plot a normal distribution with missing values
#'
#' The patterns of missingness, the trace of the algorithm, or its starts.
#'
#' @param x A fit of [em_mvnorm()].
#' @param type `"pattern"` (default): a row per pattern, the most frequent at the top, missing cells filled; at most 25
#'   patterns. `"trace"`: the objective by iteration. `"starts"`: what every start reached.
#' @param legend TRUE (default): explain the colours.
#' @param main Title.
#' @param ... Graphical parameters.
#' @return `x`, invisibly.
#' @examples
#' plot(em_mvnorm(airquality[, 1:4]))
#' @export
plot.em_mvnorm <- function(x, type = c("pattern", "trace", "starts"), legend = TRUE, main = NULL, ...) {
  type <- match_choice(type)
  look <- list(main = main, xlab = NULL, ylab = NULL, legend = isTRUE(legend), more = list(...))
  switch(type,
    pattern = plot_mvnorm_pattern(x, look),
    trace = plot_trace(x, look), starts = plot_starts(x, look))
  invisible(x)
}

plot_mvnorm_pattern <- function(x, look, most = 25L) {
  missing <- !as.matrix(x$patterns[x$variables])
  per_column <- colSums(missing * x$patterns$rows)
  order <- order(per_column, seq_along(x$variables))
  shown <- seq_len(min(nrow(missing), most))
  count <- x$patterns$rows
  draw_pattern(
    list(missing = missing[shown, order, drop = FALSE], count = count[shown], columns = x$variables[order],
         n_missing = per_column[order], left = nrow(missing) - length(shown)),
    look, sprintf("Missing values: %s of %s rows complete",
                  format(sum(count[rowSums(missing) == 0]), big.mark = ","), format(x$n_rows, big.mark = ","))
  )
}
