# Methods for fits of em_gmm(): coefficients, prediction, simulation, residuals.

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

