# Methods for fits of em_gmm(): coefficients, prediction, simulation, print and summary.

#' Coefficients of a Gaussian mixture
#'
#' All parameters of a mixture as one named vector.
#'
#' @param object A fit of [em_gmm()].
#' @param ... Unused, and an error.
#' @return A named numeric vector: `proportion[1]`, ..., (`proportion[noise]`); the means
#'   `mean[variable,1]`, component by component; and the lower triangle of each covariance matrix,
#'   `covariance[variable1,variable2,1]`, column by column and component by component. Components
#'   that have names (`em_gmm(known = )`) have them here in place of numbers. The arrays themselves
#'   are in `object$parameters`.
#' @seealso [vcov.em_gmm()], [confint.em_fit()]
#' @examples
#' coef(em_gmm(faithful, n_components = 2, covariance = "EEE"))
#' @export
coef.em_gmm <- function(object, ...) {
  check_dots_empty(..., .function = "coef.em_gmm")
  gmm_coefficients(object$parameters, object$variables)
}

# Parameters of a mixture as a named vector, see coef.em_gmm().
gmm_coefficients <- function(parameters, variables = rownames(parameters$means)) {
  d <- nrow(parameters$means)
  K <- ncol(parameters$means)
  lower <- which(lower.tri(diag(d), diag = TRUE), arr.ind = TRUE)
  components <- class_names(parameters)[seq_len(K)]
  covariances <- vapply(
    seq_len(K), function(k) component_covariance(parameters, k)[lower], numeric(nrow(lower))
  )
  pairs <- paste(variables[lower[, 1]], variables[lower[, 2]], sep = ",")
  stats::setNames(
    c(parameters$proportions, parameters$means, covariances),
    c(
      paste0("proportion[", class_names(parameters), "]"),
      paste0("mean[", rep(variables, K), ",", rep(components, each = d), "]"),
      paste0("covariance[", rep(pairs, K), ",", rep(components, each = nrow(lower)), "]")
    )
  )
}

# Labels of the mixture classes: "1" ... "K" (or the names of known classes), and "noise".
class_names <- function(parameters) {
  names <- names(parameters$proportions)
  if (!is.null(names)) {
    return(names)
  }
  K <- ncol(parameters$means)
  c(as.character(seq_len(K)), if (length(parameters$proportions) > K) "noise")
}

#' Predictions of a Gaussian mixture
#'
#' Classifies rows, gives their posterior probabilities or density, or fills in their missing
#' values, for the data of the fit or for new data.
#'
#' Missing values are allowed everywhere: a row is judged by its observed values alone. For a row
#' that is wholly missing the posterior probabilities are the mixing proportions, the density
#' (of nothing) is 1, and the imputed values are the mixture's mean.
#'
#' `"imputed"` replaces each missing value by its conditional mean given the observed values of the
#' row, averaged over the components by their posterior probabilities. That is the best guess for
#' one value, but a data set that is completed in this way has too little variance.
#'
#' With known labels (`em_gmm(known = )`) the posterior of such a row is 1 for its label, in the
#' data of the fit; new data have no labels.
#'
#' Classes are numbers also where the components have names, as with `known = `. The names are
#' `colnames(object$parameters$means)`, in the order of the numbers; the column `.class` of
#' `augment(object, newdata = newdata)` is a factor with these names, and `"noise"`
#' (see [augment.em_gmm()]).
#'
#' @param object A fit of [em_gmm()].
#' @param newdata `NULL` (default) for the data of the fit; or a matrix, data frame or, for one
#'   variable, a vector. Columns are found by name, in any order; `NA` is allowed.
#' @param type What to predict:
#'   * `"class"` (default): number of the most probable component, 0 for noise;
#'   * `"posterior"`: matrix of the probabilities of the components, and of `noise`, in each row;
#'   * `"density"`: density of the mixture at the observed part of each row;
#'   * `"imputed"`: matrix of the data with the missing values filled in.
#' @param log `TRUE`: the logarithm of the density, or of the posterior probabilities (accurate also
#'   where they underflow). Default `FALSE`.
#' @param ... Unused, and an error.
#' @return One element or row for each row of `newdata`, in its order, with its row names: an
#'   integer vector, a numeric vector, or a matrix.
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
#' new <- data.frame(waiting = c(50, 80, NA), eruptions = c(2, NA, 4))
#' predict(fit, new)
#' predict(fit, new, type = "posterior")
#' predict(fit, new, type = "density", log = TRUE)
#' predict(fit, new, type = "imputed")
#'
#' # a third of the flowers with their names: classes are numbers, here made names again
#' species <- replace(as.character(iris$Species), seq_len(150) %% 3 > 0, NA)
#' fit <- em_gmm(iris[, 1:4], n_components = 3, covariance = "EEE", known = species)
#' table(colnames(fit$parameters$means)[predict(fit)], iris$Species)
#' @export
predict.em_gmm <- function(object, newdata = NULL,
                           type = c("class", "posterior", "density", "imputed"),
                           log = FALSE, ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "predict.em_gmm")
  check_flag(log, "log")
  if (log && type %in% c("class", "imputed")) {
    em_abort(paste0("`log = TRUE` has no meaning for type = \"", type, "\"."), "argument",
             argument = "log")
  }
  known <- NULL
  if (is.null(newdata)) {
    stored <- predict_from_stored(object, type, log)
    if (!is.null(stored)) {
      return(stored)
    }
    require_data(object, paste0("predict(type = \"", type, "\") without `newdata`"))
    known <- object$known
  }
  rows <- rows_to_predict(object, newdata)
  x <- rows$x
  names <- rows$names
  threads <- resolve_threads(object$control)
  parameters <- object$parameters
  evaluate <- function(what) gmm_evaluate_(x, parameters, NULL, known, what, threads)

  if (type == "posterior" && log) {
    result <- gmm_log_posterior(x, parameters, known, threads)
  } else {
    result <- evaluate(if (type == "density") "log_density" else type)
  }
  if (type == "density") {
    # labels are not part of the density of a row
    if (!is.null(known)) {
      result <- gmm_evaluate_(x, parameters, NULL, NULL, "log_density", threads)
    }
    result <- if (log) result else exp(result)
  }
  if (is.matrix(result)) {
    dimnames(result) <- list(
      names, if (type == "imputed") object$variables else class_names(parameters)
    )
  } else {
    result <- as.vector(result)
    names(result) <- names
  }
  result
}

# The class and the posterior of the fit's own rows need no computation when they are stored.
predict_from_stored <- function(object, type, log) {
  if (type == "class" && !is.null(object$classification)) {
    return(stats::setNames(as.integer(object$classification), object$row_names))
  }
  if (type == "posterior" && !log) {
    return(object$posterior)
  }
  NULL
}

# Log posterior probabilities, exact also where the probabilities underflow (n x classes).
gmm_log_posterior <- function(x, parameters, known, threads) {
  joint <- gmm_evaluate_(x, parameters, NULL, NULL, "component_log_density", threads)
  joint <- sweep(joint, 2, log(parameters$proportions), `+`)
  result <- joint - row_logsumexp(joint)
  if (!is.null(known)) {
    rows <- which(!is.na(known))
    class <- ifelse(known[rows] == 0, ncol(joint), known[rows])
    result[rows, ] <- -Inf
    result[cbind(rows, class)] <- 0
  }
  result
}

# log(sum(exp(row))) of each row of a matrix.
row_logsumexp <- function(m) {
  top <- row_max(m)
  top + log(rowSums(exp(m - top)))
}

#' Simulate from a Gaussian mixture
#'
#' Draws new data sets from a fitted mixture, noise component included.
#'
#' Each row is drawn independently: first its class with the mixing proportions, then its values.
#' Rows of the noise class are uniform on the box of the noise component. The rows are complete: the
#' missing values, observation weights and known labels of the data of the fit play no part.
#'
#' @param object A fit of [em_gmm()].
#' @param nsim Number of data sets, a positive integer. Default 1.
#' @param seed `NULL` (default) to use the current state of R's random numbers, or a number for
#'   [set.seed()]; the state is then restored, as in [stats::simulate()].
#' @param n_rows Rows of each data set. Default: the number of rows of the data of the fit.
#' @param ... Unused, and an error.
#' @return For `nsim = 1` a data frame with the variables of the fit, whose attribute
#'   `"classification"` is the class that each row was drawn from (0 for noise). For more, a list of
#'   such data frames named `sim_1`, `sim_2`, .... In both cases the attribute `"seed"` is as in
#'   [stats::simulate()].
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
#' new <- simulate(fit, seed = 1)
#' head(new)
#' table(attr(new, "classification"))
#' @export
simulate.em_gmm <- function(object, nsim = 1, seed = NULL, n_rows = object$n_rows, ...) {
  check_dots_empty(..., .function = "simulate.em_gmm")
  nsim <- check_count(nsim, "nsim")
  n_rows <- check_count(n_rows, "n_rows")
  box <- noise_box(object)
  simulate_sets(nsim, seed, function() {
    draw <- draw_gmm(object$parameters, n_rows, box)
    colnames(draw$x) <- object$variables
    structure(as.data.frame(draw$x, optional = TRUE), classification = draw$class)
  })
}

# One data set from a mixture: list(x = n x d, class = integer n).
draw_gmm <- function(parameters, n, box = NULL) {
  d <- nrow(parameters$means)
  K <- ncol(parameters$means)
  proportions <- parameters$proportions
  class <- sample.int(length(proportions), n, replace = TRUE, prob = proportions)
  x <- matrix(stats::rnorm(n * d), n, d)
  for (k in seq_len(K)) {
    rows <- which(class == k)
    root <- chol(component_covariance(parameters, k))
    x[rows, ] <- sweep(x[rows, , drop = FALSE] %*% root, 2, parameters$means[, k], `+`)
  }
  noise <- which(class > K)
  if (length(noise)) {
    u <- matrix(stats::runif(length(noise) * d), length(noise), d)
    x[noise, ] <- sweep(sweep(u, 2, box$sides, `*`), 2, box$lower, `+`)
    class[noise] <- 0L
  }
  list(x = x, class = class)
}

# Lower corner and sides of the box of the noise component, or NULL.
noise_box <- function(object) {
  noise <- object$parameters$noise
  if (is.null(noise)) {
    return(NULL)
  }
  noise[c("lower", "sides")]
}

#' Fitted values and residuals of a Gaussian mixture
#'
#' The expected value of each row given its class probabilities, and what is left of the data.
#'
#' `fitted()` averages the component means with the posterior probabilities of the row (of the
#' Gaussian components alone, if there is a noise component). `residuals()` are the data minus
#' that; with `type = "standardized"` the row minus the mean of its own component, whitened by that
#' component's covariance (of the observed variables), so that the values are about independent
#' standard normal if the model holds. They are `NA` for rows in the noise class and for missing
#' values.
#'
#' @param object A fit of [em_gmm()] with its data.
#' @param type `"response"` (default) or `"standardized"`.
#' @param ... Unused, and an error.
#' @return A numeric matrix with a row for each row of the data and a column for each variable.
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
#' head(fitted(fit))
#' colMeans(residuals(fit, type = "standardized")^2)
#' @export
fitted.em_gmm <- function(object, ...) {
  check_dots_empty(..., .function = "fitted.em_gmm")
  require_data(object, "fitted()")
  K <- object$n_components
  log_posterior <- gmm_log_posterior(object$data, object$parameters, object$known,
                                     resolve_threads(object$control))
  log_posterior <- log_posterior[, seq_len(K), drop = FALSE]
  # a row whose known label is noise has no component: its values are shared by the proportions
  none <- which(rowSums(log_posterior > -Inf) == 0)
  log_posterior[none, ] <- rep(log(object$parameters$proportions[seq_len(K)]), each = length(none))
  z <- exp(log_posterior - row_logsumexp(log_posterior))
  result <- z %*% t(object$parameters$means)
  dimnames(result) <- list(object$row_names, object$variables)
  result
}

#' @rdname fitted.em_gmm
#' @export
residuals.em_gmm <- function(object, type = c("response", "standardized"), ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "residuals.em_gmm")
  require_data(object, "residuals()")
  if (type == "response") {
    result <- object$data - fitted(object)
    dimnames(result) <- list(object$row_names, object$variables)
    return(result)
  }
  class <- predict(object)
  x <- object$data
  result <- matrix(NA_real_, nrow(x), ncol(x), dimnames = list(object$row_names, object$variables))
  for (k in setdiff(unique(class), 0)) {
    rows <- which(class == k)
    centred <- sweep(x[rows, , drop = FALSE], 2L, object$parameters$means[, k])
    result[rows, ] <- whiten_rows(centred, component_covariance(object$parameters, k))
  }
  result
}

# Centred rows with NA where missing: the observed cells of each whitened by their covariance.
whiten_rows <- function(x, covariance) {
  for (rows in split(seq_len(nrow(x)), missing_pattern(x))) {
    observed <- which(!is.na(x[rows[1], ]))
    if (!length(observed)) next
    root <- chol(covariance[observed, observed, drop = FALSE])
    x[rows, observed] <- t(backsolve(root, t(x[rows, observed, drop = FALSE]), transpose = TRUE))
  }
  x
}

# ---- print and summary ---------------------------------------------------------------------------

#' Print and summarise a Gaussian mixture
#'
#' `print()` shows the fit in at most 15 lines. `summary()` is the trust report: whether and by
#' which rule the algorithm converged, how many starts agree, which components are close to
#' degenerate, which parameters the data do not identify, how sure the classification is, and how
#' much the components overlap.
#'
#' @section The trust report:
#' * **Convergence.** `last_gain` is the gain of the objective in the last iteration, `rate` its
#'   ratio to the gain before, and `remaining_gain` what Aitken's extrapolation expects of all
#'   further iterations.
#' * **Starts.** How many of the starts that were run to a regular end reached the best optimum.
#'   Starts that were worse after a short run, and starts in which a component collapsed, are
#'   counted apart. One alone at the best optimum is a reason to use more
#'   (`em_control(n_starts = )`).
#' * **Degeneracy.** A component is named if its least variance, relative to that of the data
#'   (`relative_variance`), is below 1e-6, or if it rests on fewer observations (`size`, the sum of
#'   its posterior probabilities) than covariance parameters of its own need: the number of
#'   variables and one more for an orientation, 2 for a volume or a shape. A solution of the second
#'   kind is called spurious, here and by `print()`: its likelihood says nothing about the data.
#' * **Identification.** The observed information (see [vcov.em_gmm()]) is checked for directions
#'   in which the likelihood is flat. By default this is done if it is quick; `se = TRUE` always
#'   does it.
#' * **Component table.** `rows`: rows classified to the component; `weight`: their weights, if
#'   there are weights; `uncertainty`: mean of 1 minus the largest posterior probability, over
#'   those rows.
#' * **Overlap.** The Bhattacharyya coefficient of two components, 0 when they are apart and 1
#'   when they are the same: \eqn{\exp(-B)} with
#'   \eqn{B = (\mu_1-\mu_2)'\bar\Sigma^{-1}(\mu_1-\mu_2)/8 +
#'   \log(|\bar\Sigma| / \sqrt{|\Sigma_1||\Sigma_2|})/2} and \eqn{\bar\Sigma=(\Sigma_1+\Sigma_2)/2}.
#'
#' @param object,x A fit of [em_gmm()], or its summary.
#' @param parameters `TRUE`: print all parameters. Default `FALSE`.
#' @param se `TRUE`: standard errors of the parameters too. Default `FALSE`.
#' @param digits Significant digits.
#' @param ... For `summary()` with `se = TRUE`, arguments of [vcov.em_gmm()] such as `type`;
#'   otherwise an error. Unused by `print()`.
#' @return `print()` returns `x`, invisibly. `summary()` returns a list of class `summary.em_gmm`
#'   with the elements of the report: `fit_table`, `convergence`, `starts`, `degeneracy`,
#'   `spurious` (what is spurious about the fit, or `""`),
#'   `not_identified` (names, or `NULL` if not checked), `components`, `overlap` (K x K),
#'   `coefficients` (estimate and `std_error`), and those of the fit that are printed.
#' @seealso [plot.em_gmm()], [tidy.em_gmm()]
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
#' fit
#' summary(fit, se = TRUE)
#' @name print.em_gmm
NULL

#' @rdname print.em_gmm
#' @export
print.em_gmm <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  title <- gmm_title(x)
  ending <- strwrap(convergence_line(x), exdent = 2)
  spurious <- spurious_message(x)
  if (nzchar(spurious)) {
    ending <- c(ending, strwrap(paste0("SPURIOUS: ", spurious, "."), exdent = 2))
  }
  table <- fit_table_lines(gmm_fit_table(x))
  cat(title, "", table, "", sep = "\n")
  # 15 lines in all: two blank ones, and the parameters' header and remainder
  left <- 11L - length(title) - length(table) - length(ending)
  print_gmm_parameters(x, digits, most = max(1L, min(4L, left)))
  cat(ending, sep = "\n")
  invisible(x)
}

# Title, call and the covariance structure in words: 3 to 5 lines.
gmm_title <- function(x) {
  extras <- c(
    if (isTRUE(x$noise)) "uniform noise", if (isTRUE(x$equal_proportions)) "equal proportions",
    if (!is.null(x$prior)) "a prior", if (!is.null(x$fixed)) "fixed parameters",
    if (!is.null(x$known)) "known labels", if (!is.null(x$weights)) "observation weights",
    if (!is.null(x$data) && anyNA(x$data)) "missing values"
  )
  c(
    strwrap(paste(c("Gaussian mixture fitted by EM", if (length(extras)) ", with ",
                    paste(extras, collapse = ", ")), collapse = ""), exdent = 2),
    if (!is.null(x$call)) format_call(x$call),
    paste0("Covariance: ", describe_covariance(x$covariance, x$n_components, x$n_factors))
  )
}

# The one-row table of a fit: components, log-likelihood, df, nobs, criteria.
gmm_fit_table <- function(x) {
  # stored with the fit: printing must not cost a pass over large data
  cell <- selected_cell(x)
  icl <- if (is.null(cell)) tryCatch(ICL(x), em_error_no_data = function(e) NA_real_) else cell$ICL
  data.frame(
    n_components = x$n_components, loglik = x$loglik, df = x$df, nobs = x$nobs,
    AIC = stats::AIC(x), BIC = stats::BIC(x), ICL = icl
  )
}

# Header and values, with a note on the criteria: beside them or, where the console is too narrow,
# below. Long numbers lose their decimals then.
fit_table_lines <- function(table, width = getOption("width")) {
  for (decimals in c(2, 1, 0, -1)) {
    cells <- rbind(c(
      format(table$n_components), format_loglik(table$loglik, max(0, decimals)), format(table$df),
      format(table$nobs, scientific = FALSE),
      format_loglik(c(table$AIC, table$BIC, table$ICL), max(0, decimals))
    ))
    colnames(cells) <- c(if (decimals < 0) "K" else "n_components", names(table)[-1])
    lines <- table_lines(cells)
    if (max(nchar(lines)) <= width) {
      break
    }
  }
  note <- "(lower is better)"
  if (nchar(lines[2]) + nchar(note) + 2L <= width) {
    lines[2] <- paste0(lines[2], "  ", note)
    return(lines)
  }
  c(lines, paste0(strrep(" ", max(1L, nchar(lines[2]) - nchar(note))), note))
}

# The components as a small table: proportion and means, cut to the console and to `most` rows.
print_gmm_parameters <- function(x, digits, most = Inf) {
  parameters <- x$parameters
  K <- x$n_components
  d <- length(x$variables)
  shown <- seq_len(min(K, most))
  # only what could be shown is formatted: d may be thousands
  variables <- seq_len(min(d, 30L))
  cells <- cbind(
    proportion = format(round(parameters$proportions[shown], 3), nsmall = 3),
    vapply(variables, function(j) {
      format_number(parameters$means[j, seq_len(K)], digits)[shown]
    }, character(length(shown)))
  )
  dim(cells) <- c(length(shown), length(variables) + 1L)
  header <- x$variables[variables]
  long <- nchar(header) > 14
  header[long] <- paste0(substr(header[long], 1, 12), "..")
  colnames(cells) <- c("proportion", header)
  rownames(cells) <- class_names(parameters)[shown]
  fits <- min(columns_that_fit(cells), ncol(cells))
  print_table(cells[, seq_len(fits), drop = FALSE])
  left <- c(
    if (K > length(shown)) count_of(K - length(shown), "more component"),
    if (d > fits - 1L) count_of(d - fits + 1L, "more variable"),
    if (isTRUE(x$noise)) {
      paste0("noise with proportion ", format(round(parameters$proportions[K + 1], 3), nsmall = 3))
    }
  )
  if (length(left)) {
    cat("  and ", paste(left, collapse = ", "), "\n", sep = "")
  }
}

#' @rdname print.em_gmm
#' @export
summary.em_gmm <- function(object, parameters = FALSE, se = FALSE, ...) {
  if (!isTRUE(se)) {
    check_dots_empty(..., .function = "summary.em_gmm")
  }
  coefficients <- data.frame(estimate = coef(object))
  not_identified <- NULL
  identification_checked <- FALSE
  if (!is.null(object$data) && (isTRUE(se) || information_is_quick(object))) {
    variance <- withCallingHandlers(
      tryCatch(if (isTRUE(se)) vcov(object, ...) else vcov(object), error = function(e) e),
      em_warning_not_identified = function(w) invokeRestart("muffleWarning")
    )
    if (inherits(variance, "error")) {
      if (isTRUE(se)) {
        stop(variance)
      }
    } else {
      identification_checked <- TRUE
      not_identified <- attr(variance, "not_identified")
      if (is.null(not_identified)) {
        not_identified <- character()
      }
      if (isTRUE(se)) {
        coefficients$std_error <- sqrt(diag(variance))
      }
    }
  }
  structure(
    list(
      fit = object[c("call", "covariance", "n_components", "n_factors", "variables", "parameters", "noise",
                     "equal_proportions", "prior", "fixed", "status", "message", "converged",
                     "iterations", "starts", "n_rows", "nobs", "log_prior")],
      has = list(
        known = !is.null(object$known), weights = !is.null(object$weights),
        missing = !is.null(object$data) && anyNA(object$data)
      ),
      missing = missing_summary(object$data),
      fit_table = gmm_fit_table(object),
      convergence = object$convergence,
      starts = object$starts,
      degeneracy = near_degenerate(object),
      spurious = spurious_message(object),
      not_identified = not_identified,
      identification_checked = identification_checked,
      components = gmm_component_table(object),
      overlap = gmm_overlap(object$parameters),
      coefficients = coefficients,
      se = isTRUE(se),
      show_parameters = isTRUE(parameters)
    ),
    class = "summary.em_gmm"
  )
}

# The degeneracy table with a column `concern`, "" where there is none.
near_degenerate <- function(object) {
  table <- object$degeneracy
  if (is.null(table)) {
    return(NULL)
  }
  few <- table$size * object$n_rows / object$nobs < own_rows_needed(object) - 1e-6
  few[object$fixed$covariance_fixed %in% TRUE] <- FALSE
  singular <- table$relative_variance < 1e-6
  table$concern <- paste0(
    ifelse(few, "rests on too few observations", ""), ifelse(few & singular, " and ", ""),
    ifelse(singular, "is nearly singular", "")
  )
  table
}

own_rows_needed <- function(object) {
  if (object$n_components == 1L) {
    return(0)
  }
  rows_needed(object$covariance, length(object$variables), object$n_factors)
}

# Why the table of models calls the fit spurious, or "".
spurious_message <- function(object) {
  table <- object$selection
  row <- selected_row(object)
  if (length(row) == 1 && table$status[row] == "spurious") table$message[row] else ""
}

# The information costs 2 df E-steps of about n d^2 K operations: checked without asking below ~1 s.
information_is_quick <- function(fit) {
  d <- length(fit$variables)
  2 * fit$df * as.numeric(fit$n_rows) * d^2 * fit$n_components < 5e8 && fit$df <= 500
}

# Missing cells and rows of the data, or NULL.
missing_summary <- function(x) {
  if (is.null(x) || !anyNA(x)) {
    return(NULL)
  }
  missing <- is.na(x)
  count <- rowSums(missing)
  list(cells = sum(count), rows = sum(count > 0), empty_rows = sum(count == ncol(x)),
       patterns = length(unique(missing_pattern(x))))
}

# Component table: rows classified, weight, proportion, mean uncertainty of the rows.
gmm_component_table <- function(object) {
  classes <- class_names(object$parameters)
  K <- object$n_components
  class <- object$classification
  if (is.null(class)) {
    class <- tryCatch(predict(object), em_error_no_data = function(e) NULL)
  }
  table <- data.frame(component = classes, proportion = as.vector(object$parameters$proportions))
  if (is.null(class)) {
    return(table)
  }
  class <- ifelse(class == 0, K + 1L, class)
  table$rows <- tabulate(class, length(classes))
  if (!is.null(object$weights)) {
    table$weight <- vapply(seq_along(classes), function(k) sum(object$weights[class == k]), 0)
  }
  posterior <- object$posterior
  if (is.null(posterior) && !is.null(object$data)) {
    posterior <- predict(object, type = "posterior")
  }
  if (!is.null(posterior)) {
    uncertainty <- 1 - row_max(posterior)
    table$uncertainty <- vapply(seq_along(classes), function(k) {
      if (any(class == k)) mean(uncertainty[class == k]) else NA_real_
    }, 0)
  }
  table
}

# Bhattacharyya coefficients of the Gaussian components (K x K, 1 on the diagonal).
gmm_overlap <- function(parameters) {
  K <- ncol(parameters$means)
  overlap <- diag(K)
  dimnames(overlap) <- rep(list(class_names(parameters)[seq_len(K)]), 2)
  roots <- lapply(seq_len(K), function(k) chol(component_covariance(parameters, k)))
  log_det <- vapply(roots, function(root) 2 * sum(log(diag(root))), 0)
  for (a in seq_len(K - 1)) for (b in seq(a + 1, length.out = K - a)) {
    root <- chol((component_covariance(parameters, a) + component_covariance(parameters, b)) / 2)
    q <- backsolve(root, parameters$means[, a] - parameters$means[, b], transpose = TRUE)
    distance <- sum(q^2) / 8 + sum(log(diag(root))) - (log_det[a] + log_det[b]) / 4
    overlap[a, b] <- overlap[b, a] <- exp(-distance)
  }
  overlap
}

#' @rdname print.em_gmm
#' @export
print.summary.em_gmm <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  fit <- x$fit
  as_fit <- fit
  as_fit$known <- if (x$has$known) TRUE
  as_fit$weights <- if (x$has$weights) TRUE
  as_fit$data <- if (x$has$missing) NA
  cat(gmm_title(as_fit), "", sep = "\n")
  cat(fit_table_lines(x$fit_table), sep = "\n")
  cat("\nTrust report\n")
  print_report(c(
    report_convergence(x), report_starts(x), report_degeneracy(x), report_identification(x),
    report_missing(x)
  ))
  cat("\nComponents\n")
  print_component_table(x$components, digits)
  print_overlap(x$overlap)
  if (x$se) {
    print_coefficients(x, digits)
  } else if (x$show_parameters) {
    print_all_parameters(fit$parameters, digits)
  } else {
    cat("\nMeans\n")
    print_gmm_parameters(fit, digits, most = 9L)
  }
  invisible(x)
}

# The items of the report: each returns a named string.
report_convergence <- function(x) {
  convergence <- x$convergence
  objective <- x$fit_table$loglik + x$fit$log_prior
  # the ratio of two gains of which one is rounding is no rate
  rate <- convergence$rate
  gains <- paste0(
    "; last gain ", format_gain(convergence$last_gain, objective),
    if (is.finite(rate) && rate >= 0) paste0(", rate ", format_number(rate, 3)),
    ", expected remaining gain ", format_gain(convergence$remaining_gain, objective)
  )
  iterations <- count_of(x$fit$iterations, "iteration")
  rule <- switch(convergence$rule,
    aitken = "Aitken's rule (gain left below the tolerance)",
    paste0("the rule \"", convergence$rule, "\"")
  )
  text <- if (isTRUE(x$fit$converged)) {
    paste0("yes, after ", iterations, ", by ", rule, gains, ".")
  } else {
    paste0("NO (", x$fit$status, ") after ", iterations, gains, ".",
           if (length(x$fit$message) && nzchar(x$fit$message)) paste0(" ", x$fit$message))
  }
  c(converged = text)
}

report_starts <- function(x) {
  agree <- starts_that_agree(x)
  if (is.null(agree)) {
    return(NULL)
  }
  text <- if (nrow(x$starts) == 1) {
    if (x$fit$n_components == 1) {
      "one component: the optimum is the only one."
    } else {
      "one start only: a better optimum may exist."
    }
  } else {
    paste0(
      agree$best, " of ", agree$n, if (agree$n < nrow(x$starts)) " completed",
      if (agree$n == 1) " start" else " starts", " reached the best optimum",
      if (agree$screened) paste0("; ", agree$screened, " worse after a short run"),
      if (agree$lost) paste0("; ", agree$lost, " degenerate"), ".",
      if (agree$best == 1) " Only one did: use more starts (em_control(n_starts = ))."
    )
  }
  c(starts = text)
}

report_degeneracy <- function(x) {
  table <- x$degeneracy
  if (is.null(table) || !NROW(table)) {
    return(NULL)
  }
  bad <- which(nzchar(table$concern))
  text <- if (!length(bad)) {
    "no component is near-degenerate."
  } else {
    # rounded down: 2.996 is fewer than 3
    paste0("component ", table$component[bad], " ", table$concern[bad], " (size ",
           format(floor(table$size[bad] * 100) / 100, trim = TRUE), ", relative variance ",
           format_each(table$relative_variance[bad], 2), ")", collapse = "; ")
  }
  if (length(bad)) {
    text <- paste0(text, ".")
  }
  if (nzchar(x$spurious)) {
    text <- paste0("SPURIOUS: ", x$spurious, ".", if (length(bad)) paste0(" In detail: ", text))
  }
  c(degeneracy = text)
}

report_identification <- function(x) {
  text <- if (!x$identification_checked) {
    "not checked; summary(se = TRUE) does."
  } else if (!length(x$not_identified)) {
    "all parameters are identified."
  } else {
    paste0("NOT identified: ", abbreviate_list(x$not_identified), ".")
  }
  c(identification = text)
}

report_missing <- function(x) {
  if (is.null(x$missing)) {
    return(NULL)
  }
  m <- x$missing
  c("missing values" = paste0(
    count_of(m$cells, "cell"), " in ", count_of(m$rows, "row"), " (",
    count_of(m$patterns, "pattern"), "), handled exactly",
    if (m$empty_rows) paste0("; ", count_of(m$empty_rows, "row"), " wholly missing"), "."
  ))
}

# The component table of the summary.
print_component_table <- function(table, digits) {
  cells <- lapply(table, function(column) {
    if (is.character(column)) column else format_number(column, digits)
  })
  cells$proportion <- format(round(table$proportion, 4), nsmall = 4)
  if (!is.null(table$uncertainty)) {
    cells$uncertainty <- ifelse(is.na(table$uncertainty), "-",
                                format(round(table$uncertainty, 4), nsmall = 4))
    names(cells)[names(cells) == "uncertainty"] <- "mean uncertainty"
  }
  cells <- do.call(cbind, cells)
  print_table(cells)
}

# Overlap: the whole lower triangle for few components, else the closest pairs.
print_overlap <- function(overlap) {
  K <- nrow(overlap)
  if (K < 2) {
    return(invisible())
  }
  cat("\nOverlap (Bhattacharyya coefficient: 0 apart, 1 the same)\n")
  if (K <= 6) {
    cells <- format(round(overlap, 3), nsmall = 3)
    cells[!lower.tri(overlap)] <- ""
    colnames(cells) <- cut_middle(colnames(cells), 10L)
    print_table(cells[-1, -K, drop = FALSE])
    return(invisible())
  }
  pairs <- which(lower.tri(overlap), arr.ind = TRUE)
  pairs <- pairs[order(-overlap[pairs]), , drop = FALSE][1:5, ]
  names <- rownames(overlap)
  text <- paste0(names[pairs[, 2]], "-", names[pairs[, 1]], " ",
                 format(round(overlap[pairs], 3), nsmall = 3), collapse = ", ")
  cat(strwrap(paste("closest pairs:", text), indent = 2, exdent = 4), sep = "\n")
}

# Coefficients with standard errors.
print_coefficients <- function(x, digits, most = 60L) {
  table <- x$coefficients
  # constants of the model (fixed values, structural zeros) are not estimates
  constant <- !is.na(table$std_error) & table$std_error == 0
  table <- table[!constant, , drop = FALSE]
  cat("\nCoefficients\n")
  shown <- seq_len(min(nrow(table), if (x$show_parameters) Inf else most))
  cells <- cbind(
    estimate = format_each(table$estimate[shown], digits),
    "std. error" = format_each(table$std_error[shown], digits)
  )
  rownames(cells) <- rownames(table)[shown]
  print_table(cells)
  if (nrow(table) > length(shown)) {
    cat("  and ", count_of(nrow(table) - length(shown), "more coefficient"),
        " (summary(parameters = TRUE, se = TRUE) prints all)\n", sep = "")
  }
  if (any(constant)) {
    cat("  ", count_of(sum(constant), "coefficient is a constant", "coefficients are constants"),
        " of the model and not shown\n", sep = "")
  }
  if (length(x$not_identified)) {
    cat("  -: not identified by the data\n")
  }
}

# Means and covariances in full.
print_all_parameters <- function(parameters, digits) {
  cat("\nMeans\n")
  print(parameters$means, digits = digits)
  for (k in seq_len(ncol(parameters$means))) {
    cat("\nCovariance of component ", class_names(parameters)[k], "\n", sep = "")
    covariance <- component_covariance(parameters, k)
    dimnames(covariance) <- rep(list(rownames(parameters$means)), 2)
    print(covariance, digits = digits)
  }
}
