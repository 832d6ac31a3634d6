# Methods for the parent class "em_fit": whatever does not depend on the model.

#' Methods for fits of the package
#'
#' Accessors that work in the same way for every model of the package.
#'
#' `logLik()` has the attributes `df` and `nobs`, so that [stats::AIC()] and [stats::BIC()] work:
#' both are \eqn{-2 \log L} plus a penalty, **lower is better** (the package mclust reports the
#' negative). `nobs()` is the sum of the weights of the rows that have any observed value, which is
#' the number of such rows without weights. `sigma()` is an error: no model of the package has one residual standard
#' deviation for all variables.
#'
#' `update()` evaluates the call of the fit again with some arguments changed, as
#' [stats::update()] does.
#'
#' `model.frame()` gives the data that were used as a data frame, one column for each variable after
#' the transformations of a formula, with missing values kept, and a column `(weights)` if there
#' are weights. `formula()` gives the formula of the call, or, for a fit from a matrix or a
#' data frame, the one-sided formula that names its variables. `weights()` gives the observation
#' weights, `NULL` if there are none; the mixing proportions are in
#' `fit$parameters$proportions`.
#'
#' @param object,x,formula A fit.
#' @param formula. Changes to the formula, see [stats::update.formula()].
#' @param evaluate `TRUE` (default): evaluate the new call. `FALSE`: return it.
#' @param use.fallback Ignored; [stats::nobs()] has it.
#' @param ... For `update()`, arguments of the call to change or add. Otherwise unused, and an
#'   error.
#' @return See the details for each function.
#' @seealso [vcov.em_gmm()], [confint.em_fit()], [ICL()]
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
#' logLik(fit)
#' BIC(fit, update(fit, n_components = 3))
#' head(model.frame(fit))
#' @name em_fit-methods
NULL

#' @rdname em_fit-methods
#' @export
logLik.em_fit <- function(object, ...) {
  check_dots_empty(..., .function = "logLik.em_fit")
  structure(object$loglik, df = object$df, nobs = object$nobs, class = "logLik")
}

#' @rdname em_fit-methods
#' @export
nobs.em_fit <- function(object, ..., use.fallback = FALSE) {
  check_dots_empty(..., .function = "nobs.em_fit")
  object$nobs
}

#' @rdname em_fit-methods
#' @importFrom stats sigma
#' @export
sigma.em_fit <- function(object, ...) {
  em_abort(sprintf(paste0("A fit of %s() has no single residual standard deviation. Its variances are in ",
                          "`fit$parameters` and coef(fit)."), class(object)[1L]), "no_sigma")
}

#' @rdname em_fit-methods
#' @export
formula.em_fit <- function(x, ...) {
  if (!is.null(x$formula)) {
    return(x$formula)
  }
  stats::reformulate(vapply(x$variables, function(v) deparse(as.name(v), backtick = TRUE), ""),
                     env = parent.frame())
}

#' @rdname em_fit-methods
#' @export
model.frame.em_fit <- function(formula, ...) {
  check_dots_empty(..., .function = "model.frame.em_fit")
  require_data(formula, "model.frame()")
  frame <- as.data.frame(formula$data, optional = TRUE)
  # a matrix may have come without names
  if (length(formula$variables) == length(frame)) names(frame) <- formula$variables
  if (!is.null(formula$weights)) {
    frame[["(weights)"]] <- formula$weights
  }
  if (!is.null(formula$row_names)) {
    row.names(frame) <- make.unique(as.character(formula$row_names))
  }
  if (!is.null(formula$terms)) {
    attr(frame, "terms") <- formula$terms
  }
  frame
}

#' @rdname em_fit-methods
#' @export
weights.em_fit <- function(object, ...) {
  check_dots_empty(..., .function = "weights.em_fit")
  object$weights
}

#' @rdname em_fit-methods
#' @export
update.em_fit <- function(object, formula., ..., evaluate = TRUE) {
  call <- object$call
  if (is.null(call)) {
    em_abort("`object` has no call that could be updated.", "no_call")
  }
  if (!missing(formula.)) {
    if (is.null(object$formula)) {
      em_abort(
        sprintf("`formula.` can only change a fit that was made from a formula; pass new data as `%s`.",
                if (inherits(object, "em")) "data" else "x"),
        "argument", argument = "formula."
      )
    }
    call[[data_argument(call)]] <- stats::update(object$formula, formula.)
  }
  changes <- match.call(expand.dots = FALSE)$...
  if (length(changes)) {
    if (is.null(names(changes)) || any(names(changes) == "")) {
      em_abort("The arguments that `update()` changes must be named.", "argument")
    }
    known <- names(changes) %in% names(call)
    for (name in names(changes)[known]) {
      call[[name]] <- changes[[name]]
    }
    if (any(!known)) {
      call <- as.call(c(as.list(call), changes[!known]))
    }
  }
  if (!evaluate) {
    return(call)
  }
  frame <- parent.frame()
  if (!is.null(object$formula)) {
    # the data of a fit made inside a function live where its formula was written
    missing_here <- !vapply(all.vars(call$data), exists, TRUE, envir = frame)
    if (any(missing_here)) {
      frame <- environment(object$formula)
    }
  }
  eval(call, frame)
}

# Position in a call of the argument that holds the data or the formula (the first one).
data_argument <- function(call) {
  named <- match(c("x", "formula"), names(call), nomatch = 0L)
  named <- named[named > 0]
  if (length(named)) named[1] else 2L
}

#' Confidence intervals of the parameters of a fit
#'
#' Wald intervals from the variance matrix of [vcov()].
#'
#' On the natural scale (the default) the interval is the estimate plus and minus a normal quantile
#' times the standard error. With `transform = TRUE` the same is done for the logit of a proportion
#' and for the log of a variance, and transformed back, so that intervals stay inside the
#' parameter's range; this is better for small components.
#'
#' @param object A fit.
#' @param parm Names or numbers of the coefficients (see [coef()]); all by default.
#' @param level Confidence level, between 0 and 1. Default 0.95.
#' @param type `"observed"` (default) or `"sandwich"`: the variance estimate of [vcov.em_gmm()].
#'   For bootstrap intervals use [em_bootstrap()] and its `confint()`.
#' @param transform `FALSE` (default) or `TRUE`, see the details.
#' @param ... Further arguments of [vcov()].
#' @return A matrix with a row per coefficient and a column per limit. `NA` where a coefficient is
#'   not identified; limits equal to the estimate where it is a constant of the model.
#' @seealso [vcov.em_gmm()], [confint.em_bootstrap()]
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "EEE")
#' confint(fit)
#' confint(fit, "proportion[1]", level = 0.9, transform = TRUE)
#' @export
confint.em_fit <- function(object, parm, level = 0.95, type = c("observed", "sandwich"),
                           transform = FALSE, ...) {
  type <- match_choice(type)
  check_level(level)
  estimate <- coef(object)
  parm <- select_coefficients(parm, names(estimate))
  variance <- diag(vcov(object, type = type, ...))
  domain <- if (transform) gmm_coefficient_domains(names(estimate))
  wald_intervals(estimate, sqrt(variance), level, domain)[parm, , drop = FALSE]
}

# Wald limits (coefficients x 2): on the natural scale, or, with `domain` ("real", "positive", "rate" or "probability" of each
# coefficient), on the logarithm or the logit, transformed back.
wald_intervals <- function(estimate, se, level, domain = NULL) {
  tail <- (1 - level) / 2
  z <- stats::qnorm(1 - tail)
  limits <- cbind(estimate - z * se, estimate + z * se)
  if (!is.null(domain)) {
    free <- !is.na(se) & se > 0
    within <- free & domain == "probability" & estimate > 0 & estimate < 1
    half <- z * se[within] / (estimate[within] * (1 - estimate[within]))
    limits[within, ] <- stats::plogis(stats::qlogis(estimate[within]) + cbind(-half, half))
    above <- free & domain %in% c("positive", "rate") & estimate > 0
    half <- z * se[above] / estimate[above]
    limits[above, ] <- estimate[above] * exp(cbind(-half, half))
  }
  dimnames(limits) <- list(names(estimate), percent_names(c(tail, 1 - tail)))
  limits
}

# The domains of a Gaussian mixture's coefficients, by their names.
gmm_coefficient_domains <- function(names) {
  ifelse(grepl("^proportion\\[", names), "probability", ifelse(is_variance_name(names), "positive", "real"))
}

# "2.5 %", "97.5 %": the column names that stats::confint() gives.
percent_names <- function(probabilities) {
  paste(format(100 * probabilities, trim = TRUE, scientific = FALSE, digits = 3), "%")
}

# TRUE for coefficients such as covariance[a,a] and covariance[a,a,1], which are variances.
is_variance_name <- function(names) {
  whole <- sub("^covariance\\[(.*)\\]$", "\\1", names)
  startsWith(names, "covariance[") & (twice_the_same(whole) | twice_the_same(sub(",[^,]*$", "", whole)))
}

# "a,a".
twice_the_same <- function(inner) {
  half <- (nchar(inner) - 1) / 2
  half >= 1 & half == floor(half) &
    substr(inner, 1, half) == substr(inner, half + 2, nchar(inner))
}

# Checks `parm` of confint() and the like against the coefficients' names; returns numbers.
select_coefficients <- function(parm, names) {
  if (missing(parm) || is.null(parm)) {
    return(seq_along(names))
  }
  index <- if (is.character(parm)) match(parm, names) else match(parm, seq_along(names))
  if (anyNA(index)) {
    em_abort(
      paste0("`parm` holds ", abbreviate_list(as.character(parm[is.na(index)])),
             ", which no coefficient of the fit is. Coefficients: ", abbreviate_list(names), "."),
      "argument", argument = "parm"
    )
  }
  index
}

# A confidence level is one number strictly between 0 and 1.
check_level <- function(level, name = "level") {
  if (!is.numeric(level) || length(level) != 1 || is.na(level) || level <= 0 || level >= 1) {
    check_fails(name, "one number between 0 and 1", level)
  }
}

# match.arg() with a classed error: the value of a caller's argument, one of the defaults it lists.
match_choice <- function(arg) {
  name <- deparse(substitute(arg))
  choices <- eval(formals(sys.function(sys.parent()))[[name]], parent.frame())
  check_choice(arg, name, choices)
}

# Methods that need the rows stop with a remedy when the fit does not hold them.
require_data <- function(fit, what) {
  if (is.null(fit$data)) {
    em_abort(
      paste0(what, " needs the data, which this fit does not keep. ",
             "Fit again with `em_control(keep_data = TRUE)`."),
      "no_data"
    )
  }
}

#' Integrated completed likelihood
#'
#' A criterion for the number of components that, unlike BIC, also asks that they are well
#' separated: BIC plus twice the entropy of the classification. **Lower is better.**
#'
#' With posterior probabilities \eqn{z_{ik}} and weights \eqn{w_i},
#' `type = "map"` gives \eqn{BIC - 2 \sum_i w_i \log \max_k z_{ik}}, which is mclust's ICL with the
#' sign changed, and `type = "soft"` gives \eqn{BIC - 2 \sum_i w_i \sum_k z_{ik} \log z_{ik}}, as in
#' Rmixmod.
#'
#' @param object A fit.
#' @param ... Arguments of methods.
#' @return A number.
#' @references
#' Biernacki, C., Celeux, G. and Govaert, G. (2000). Assessing a mixture model for clustering with
#' the integrated completed likelihood. *IEEE Transactions on Pattern Analysis and Machine
#' Intelligence*, 22, 719-725. \doi{10.1109/34.865189}
#' @seealso [stats::BIC()]
#' @examples
#' fit <- em_gmm(faithful, n_components = 2, covariance = "VVV")
#' c(BIC = BIC(fit), ICL = ICL(fit), soft = ICL(fit, type = "soft"))
#' @export
ICL <- function(object, ...) {
  UseMethod("ICL")
}

#' @rdname ICL
#' @param type `"map"` (default) or `"soft"`, see the details.
#' @export
ICL.em_fit <- function(object, type = c("map", "soft"), ...) {
  type <- match_choice(type)
  check_dots_empty(..., .function = "ICL.em_fit")
  stats::BIC(object) - 2 * classification_entropy(object, type)
}

# sum w log z_MAP or sum w z log z: from the data when the fit holds them, else from the posterior.
classification_entropy <- function(object, type) {
  if (!is.null(object$data)) {
    summary <- gmm_evaluate_(object$data, object$parameters, object$weights, object$known,
                             "summary", resolve_threads(object$control))
    return(if (type == "map") summary$map_entropy else summary$soft_entropy)
  }
  z <- object$posterior
  if (is.null(z)) {
    cell <- selected_cell(object)
    if (type == "map" && !is.null(cell)) {
      return((cell$BIC - cell$ICL) / 2)
    }
    em_abort(
      paste("ICL() needs the data or the posterior, and this fit keeps neither.",
            "Fit again with `em_control(keep_data = TRUE)`."),
      "no_data"
    )
  }
  rows <- if (type == "map") log(row_max(z)) else rowSums(ifelse(z > 0, z * log(z), 0))
  sum(rows * (if (is.null(object$weights)) 1 else object$weights))
}

# The row of the table of models that is the fit itself, or NULL.
selected_cell <- function(object) {
  table <- object$selection
  row <- selected_row(object)
  if (length(row) == 1 && is.finite(table$ICL[row])) table[row, ] else NULL
}

# Which row of the table of models the fit itself is.
selected_row <- function(object) {
  table <- object$selection
  same <- table$covariance == object$covariance & table$n_components == object$n_components
  if (!is.null(object$n_factors)) same <- same & table$n_factors %in% object$n_factors
  which(same)
}

# Largest value of each row.
row_max <- function(z) {
  z[cbind(seq_len(nrow(z)), max.col(z, "first"))]
}

# What simulate() methods share: `nsim` data sets by draw(), the seed and the shape of the result as stats::simulate().
simulate_sets <- function(nsim, seed, draw) {
  if (!exists(".Random.seed", envir = globalenv(), inherits = FALSE)) {
    stats::runif(1)
  }
  state <- get(".Random.seed", envir = globalenv())
  if (is.null(seed)) {
    seed_used <- state
  } else {
    on.exit(assign(".Random.seed", state, envir = globalenv()))
    set.seed(seed)
    seed_used <- structure(seed, kind = as.list(RNGkind()))
  }
  draws <- lapply(seq_len(nsim), function(i) draw())
  result <- if (nsim == 1) draws[[1]] else stats::setNames(draws, paste0("sim_", seq_len(nsim)))
  structure(result, seed = seed_used)
}
