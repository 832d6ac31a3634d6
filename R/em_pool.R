# em_pool(): Rubin's rules.
#
# Whatever the fits are, they are first brought to one form, the gathered results: `estimate`
# (m x p, terms in columns), `variance` (p x p x m), `df` (m residual degrees of freedom) and `nobs`
# (m). All rules are written for that form alone.

#' Pool the results of analyses of multiply imputed data by Rubin's rules
#'
#' Combines the estimates of the same model fitted to each of the imputed data sets, so that standard
#' errors, intervals and p-values account for the values that had to be imputed.
#'
#' With estimates \eqn{\hat Q_i} and their variances \eqn{U_i}, i = 1, ..., m, the pooled estimate is
#' the mean \eqn{\bar Q}, and its variance \eqn{T = \bar U + (1 + 1/m) B} with \eqn{\bar U} the mean of
#' the \eqn{U_i} (within) and \eqn{B} the variance of the \eqn{\hat Q_i} (between), divisor m - 1
#' (Rubin, 1987). For each coefficient
#' * `riv`, r = (1 + 1/m) B / \eqn{\bar U}, is the relative increase in variance due to missing values;
#' * `lambda` = (1 + 1/m) B / T, the share of the variance due to them;
#' * `df` are the degrees of freedom of Barnard and Rubin (1999),
#'   \eqn{1/\nu = \lambda^2/(m - 1) + 1/\nu_{obs}} with
#'   \eqn{\nu_{obs} = (1 - \lambda)\nu_c(\nu_c + 1)/(\nu_c + 3)} and \eqn{\nu_c} = `df_complete`;
#' * `fmi` = \{r + 2/(df + 3)\} / (r + 1), the fraction of missing information.
#'
#' **How many imputations are enough.** Another run of as many imputations would give slightly other
#' results. The column `mc_error` is the standard error of `estimate` from this cause alone,
#' \eqn{\sqrt{B/m}}. `summary()` gives it for the other columns too (by the jackknife over the
#' imputations, as White, Royston and Wood, 2011, advise), and the number of imputations that keeps the
#' coefficient of variation of the standard errors below `cv`: \eqn{m = 1 + (f/cv)^2/2} (von Hippel, 2020),
#' where f is the upper limit of a 95 % interval of the fraction of missing information,
#' \eqn{logit(fmi) \pm 1.96\sqrt{2/m}}.
#'
#' **Models.** Fits of [stats::lm()], [stats::glm()], of this package, and of any class with `coef()`
#' and `vcov()` will do. For models with random effects (`lme`, `lmer`) the fixed effects are pooled,
#' for `MASS::polr()` the slopes and the cut points, for `nnet::multinom()` and multivariate `lm()` all
#' coefficients.
#'
#' **What is refused or set aside.** One imputation, fits with different terms, and estimates that are
#' not finite are errors. Coefficients that no fit could estimate (`NA` in all, as [stats::lm()] marks
#' aliased ones) are left out and named when printed. Where a variance is missing or negative the estimate is
#' pooled, the rest of its row is `NA`, and a warning of class `em_warning_no_variance` names it. A
#' coefficient that does not differ between imputations has its ordinary standard error.
#'
#' @param fits A list with one fit per imputed data set: the value of `with(imp, lm(...))` for an
#'   imputation of this package, of mice (class `mira`), mitml or mitools, or any list of fits. The
#'   elements may also be lists `list(estimate =, vcov =)`, with a named vector and a matrix (or
#'   `variance =` or `std.error =`, vectors).
#' @param ... Unused, and an error.
#' @param estimate Instead of `fits`: the estimates. A vector with one number per imputation, a
#'   matrix with a row per imputation and a named column per term, or a list with a named vector per
#'   imputation.
#' @param variance,std.error With `estimate`: one of the two, in the same form as `estimate`. `variance` may also
#'   be a list of variance matrices, or an array terms x terms x imputations.
#' @param df_complete Degrees of freedom that the analysis would have if no value were missing, at least 1.
#'   `NULL` (default): the residual degrees of freedom of the fits (the smallest if they differ), or
#'   `Inf` if the fits have none. `Inf`: the large-sample rule.
#' @param conf.level Confidence level of `conf.low` and `conf.high`. Default 0.95.
#' @param vcov Function that gives the variance matrix of a fit. Default [stats::vcov()]; for robust
#'   variances, for example, `sandwich::vcovHC`.
#' @return A data frame of class `em_pool` with a row per coefficient and the columns `term`, `estimate`,
#'   `std.error`, `df`, `fmi`, `p.value` (two-sided, of the t-test that the coefficient is 0), `conf.low`,
#'   `conf.high`, `statistic` (t), `riv`, `lambda` and `mc_error`. Its attributes are `m`, `df_complete`,
#'   `conf_level`, `m_enough` (for `cv` = 0.05), `within`, `between` and `total` (the matrices
#'   \eqn{\bar U}, B and T; see also [vcov.em_pool()]), `estimates` and `variances` (imputations x terms: the pooled
#'   results one by one), `aliased`, `nobs` and `call`. A part of it, such as `pooled[1:2, ]`, is a plain data frame.
#' @references
#' Rubin, D. B. (1987). *Multiple Imputation for Nonresponse in Surveys*. Wiley.
#' \doi{10.1002/9780470316696}
#'
#' Barnard, J. and Rubin, D. B. (1999). Small-sample degrees of freedom with multiple imputation.
#' *Biometrika*, 86, 948-955. \doi{10.1093/biomet/86.4.948}
#'
#' von Hippel, P. T. (2020). How many imputations do you need? A two-stage calculation using a quadratic
#' rule. *Sociological Methods & Research*, 49, 699-718. \doi{10.1177/0049124117747303}
#'
#' White, I. R., Royston, P. and Wood, A. M. (2011). Multiple imputation using chained equations: issues
#' and guidance for practice. *Statistics in Medicine*, 30, 377-399. \doi{10.1002/sim.4067}
#' @seealso [em_pool_test()] for several coefficients at once; [vcov.em_pool()] and the other methods.
#' @examples
#' # five results for one coefficient, from 100 rows and 3 parameters
#' em_pool(estimate = c(1.2, 0.9, 1.5, 1.1, 1.3),
#'         variance = c(0.040, 0.050, 0.045, 0.038, 0.052), df_complete = 97)
#'
#' # fits to imputed data sets, here with Ozone drawn from its regression
#' set.seed(1)
#' fit <- lm(log(Ozone) ~ Wind + Temp, airquality)
#' lost <- is.na(airquality$Ozone)
#' imputed <- replicate(10, simplify = FALSE, {
#'   draw <- predict(fit, airquality[lost, ]) + rnorm(sum(lost), sd = sigma(fit))
#'   replace(airquality, "Ozone", replace(airquality$Ozone, lost, exp(draw)))
#' })
#' pooled <- em_pool(lapply(imputed, function(data) lm(log(Ozone) ~ Wind + Temp, data)))
#' pooled
#' pooled$fmi
#' summary(pooled)
#' @export
em_pool <- function(fits, ..., estimate = NULL, variance = NULL, std.error = NULL, df_complete = NULL,
                    conf.level = 0.95, vcov = stats::vcov) {
  call <- match.call()
  check_dots_empty(..., .function = "em_pool")
  check_level(conf.level, "conf.level")
  if (missing(fits) == is.null(estimate)) {
    em_abort("em_pool() needs either `fits` or `estimate` with `variance` or `std.error`.", "argument",
             argument = "fits")
  }
  results <- if (missing(fits)) {
    gather_estimates(estimate, variance, std.error)
  } else {
    if (!is.null(variance) || !is.null(std.error)) {
      em_abort("`variance` and `std.error` belong to `estimate`; for `fits` give `vcov`, a function.", "argument",
               argument = "variance")
    }
    gather_fits(fits, vcov)
  }
  results$df_complete <- complete_df(df_complete, results$df)
  new_em_pool(results, conf.level, call)
}

# The object from gathered results.
new_em_pool <- function(results, conf_level, call) {
  terms <- colnames(results$estimate)
  m <- nrow(results$estimate)
  within <- apply(results$variance, 1:2, mean)
  dim(within) <- rep(length(terms), 2L)
  between <- stats::cov(results$estimate)
  dimnames(within) <- dimnames(between) <- list(terms, terms)
  variances <- diagonals(results$variance)
  colnames(variances) <- terms
  no_variance <- terms[is.na(diag(within)) | apply(variances < 0, 2L, any)]
  if (length(no_variance)) {
    within[no_variance, ] <- within[, no_variance] <- NA
    variances[, no_variance] <- NA
    em_warn(
      paste0("No variance, or a negative one, in at least one fit for ", abbreviate_list(no_variance),
             ": pooled without standard error. Did every fit converge?"),
      "no_variance", terms = no_variance
    )
  }
  rules <- pool_rules(colMeans(results$estimate), diag(within), diag(between), m, results$df_complete)
  table <- data.frame(term = terms, lapply(pool_columns(rules, conf_level), unname), stringsAsFactors = FALSE)
  structure(
    table, class = c("em_pool", "data.frame"), m = m, df_complete = results$df_complete,
    conf_level = conf_level, m_enough = enough_imputations(rules, m), within = within, between = between,
    total = within + (1 + 1 / m) * between, estimates = results$estimate, variances = variances,
    aliased = results$aliased, nobs = common_value(results$nobs), df_differ = common_differ(results$df), call = call
  )
}

# The diagonals of an array p x p x m, as a matrix m x p.
diagonals <- function(x) {
  p <- dim(x)[1L]
  index <- cbind(rep(seq_len(p), dim(x)[3L]), rep(seq_len(p), dim(x)[3L]), rep(seq_len(dim(x)[3L]), each = p))
  matrix(x[index], ncol = p, byrow = TRUE)
}

# Rubin's rules for scalars, vectorised over coefficients: `within` and `between` are variances.
pool_rules <- function(estimate, within, between, m, df_complete) {
  added <- (1 + 1 / m) * between
  total <- within + added
  riv <- added / within
  lambda <- added / total
  # a constant: no variance of either kind
  riv[added == 0] <- lambda[added == 0] <- 0
  observed <- if (is.finite(df_complete)) {
    (1 - lambda) * df_complete * (df_complete + 1) / (df_complete + 3)
  } else {
    rep(Inf, length(lambda))
  }
  # estimates that are known without error in each data set
  observed[which(within == 0)] <- Inf
  df <- 1 / (lambda^2 / (m - 1) + 1 / observed)
  # (r + 2 / (df + 3)) / (r + 1), which for r = Inf is 1
  fmi <- lambda + (1 - lambda) * 2 / (df + 3)
  list(estimate = estimate, std.error = sqrt(total), df = df, fmi = fmi, riv = riv, lambda = lambda,
       mc_error = sqrt(between / m))
}

# The columns of the result after `term`, as a list.
pool_columns <- function(rules, conf_level) {
  statistic <- rules$estimate / rules$std.error
  statistic[which(rules$std.error == 0)] <- NA
  limits <- pool_limits(rules$estimate, rules$std.error, rules$df, conf_level)
  list(
    estimate = rules$estimate, std.error = rules$std.error, df = rules$df, fmi = rules$fmi,
    p.value = 2 * stats::pt(-abs(statistic), rules$df), conf.low = limits[, 1], conf.high = limits[, 2],
    statistic = statistic, riv = rules$riv, lambda = rules$lambda, mc_error = rules$mc_error
  )
}

# Limits of the t-interval (coefficients x 2).
pool_limits <- function(estimate, se, df, level) {
  half <- stats::qt(1 - (1 - level) / 2, df) * se
  cbind(estimate - half, estimate + half)
}

# von Hippel's interval of the fraction of missing information (coefficients x 2).
fmi_interval <- function(fmi, m, level = 0.95) {
  half <- stats::qnorm(1 - (1 - level) / 2) * sqrt(2 / m)
  cbind(stats::plogis(stats::qlogis(fmi) - half), stats::plogis(stats::qlogis(fmi) + half))
}

# von Hippel's two-stage rule for every coefficient (`rules` has fmi and mc_error), and the largest of them. Where
# the estimate does not differ between imputations, no more of them are needed.
imputations_needed <- function(rules, m, cv = 0.05) {
  needed <- pmax(2, ceiling(1 + (fmi_interval(rules$fmi, m)[, 2] / cv)^2 / 2))
  needed[which(rules$mc_error == 0)] <- 2
  needed
}
enough_imputations <- function(rules, m, cv = 0.05) {
  needed <- imputations_needed(rules, m, cv)
  if (all(is.na(needed))) NA_integer_ else as.integer(max(needed, na.rm = TRUE))
}

# ---- gathering -----------------------------------------------------------------------------------

# `df_complete` as given, or from the residual degrees of freedom `df` of the fits.
complete_df <- function(df_complete, df = NA) {
  if (!is.null(df_complete)) {
    return(check_number(df_complete, "df_complete", lowest = 1,
                        required = "one number, at least 1 (Inf for large samples)"))
  }
  if (!length(df) || anyNA(df)) Inf else max(1, min(df))
}

# The value that all agree on, else NA.
common_value <- function(x) {
  if (!length(x) || anyNA(x) || common_differ(x)) NA else x[1L]
}
common_differ <- function(x) length(unique(x[!is.na(x)])) > 1L

# The fits of whatever holds them, as a plain list.
fit_list <- function(fits, name = "fits") {
  if (inherits(fits, "mira")) fits <- fits$analyses
  if (inherits(fits, c("em_impute", "mids", "amelia"))) {
    em_abort(
      sprintf("`%s` must be the fits to imputed data, not the imputations. First fit, as in `with(imp, lm(y ~ x))`.",
              name), "argument", argument = name
    )
  }
  single <- is.object(fits) && !inherits(fits, "list") && (isS4(fits) || !is.null(fits[["coefficients"]]))
  if (single || !is.list(fits) || is.data.frame(fits)) {
    check_fails(name, "a list with one fit for each imputed data set", fits)
  }
  fits <- unclass(fits)
  attributes(fits) <- NULL
  failed <- vapply(fits, function(fit) is.null(fit) || inherits(fit, c("try-error", "error")), TRUE)
  if (any(failed)) {
    em_abort(sprintf("`%s` holds no fit at %s: the analysis failed there.", name,
                     abbreviate_list(which(failed))), "fit_failed", elements = which(failed))
  }
  check_number_of_imputations(length(fits), name)
  fits
}

check_number_of_imputations <- function(m, name) {
  if (m >= 2L) return(invisible())
  em_abort(
    sprintf(paste("`%s` holds %s, but Rubin's rules need at least two imputations: one cannot show how much",
                  "results vary between imputations."), name, count_of(m, "result")),
    "one_imputation", imputations = m
  )
}

# Gathered results of a list of fits.
gather_fits <- function(fits, vcov, name = "fits") {
  if (!is.function(vcov)) check_fails("vcov", "a function", vcov)
  fits <- fit_list(fits, name)
  one <- lapply(seq_along(fits), function(i) fit_result(fits[[i]], vcov, sprintf("%s[[%d]]", name, i)))
  gathered <- stack_results(lapply(one, `[[`, "estimate"), lapply(one, `[[`, "variance"), name)
  gathered$df <- vapply(fits, function(fit) fit_number(stats::df.residual(fit)), 0)
  gathered$nobs <- vapply(fits, function(fit) fit_number(stats::nobs(fit)), 0)
  gathered
}

# A number that a fit may or may not give.
fit_number <- function(value) {
  value <- tryCatch(value, error = function(e) NULL, warning = function(w) NULL)
  if (is.numeric(value) && length(value) == 1L) as.double(value) else NA_real_
}

# Estimates with names and their variance matrix, of one fit.
fit_result <- function(fit, vcov, label) {
  if (is.list(fit) && !is.object(fit) && !is.null(fit$estimate)) {
    variance <- if (!is.null(fit$vcov)) fit$vcov else if (!is.null(fit$variance)) fit$variance else fit$std.error^2
    return(list(estimate = fit$estimate, variance = variance))
  }
  if (is.numeric(fit) && !is.object(fit)) {
    em_abort(sprintf(paste0(
      "`%s` is %s without its variance, and Rubin's rules need both. Let the expression give list(estimate = , ",
      "variance = ): for a mean, with(imp, list(estimate = mean(x), variance = var(x) / length(x)))."
    ), label, describe_numbers(fit)), "no_estimates")
  }
  extract <- function(what, how) {
    tryCatch(how(fit), error = function(e) {
      em_abort(sprintf("%s of `%s`, %s, failed: %s", what, label, describe_value(fit), conditionMessage(e)),
               "no_estimates", parent = e)
    })
  }
  estimate <- extract("coef()", fit_coefficients)
  variance <- extract("vcov()", function(fit) as.matrix(s4_or_s3(vcov, "vcov", fit)))
  if (is.matrix(estimate)) estimate <- coefficient_vector(estimate, rownames(variance))
  if (!is.numeric(estimate) || !length(estimate)) {
    em_abort(sprintf("`%s`, %s, has no vector of coefficients.", label, describe_value(fit)), "no_estimates")
  }
  list(estimate = estimate, variance = match_variance(estimate, variance))
}

describe_numbers <- function(x) if (length(x) == 1L) paste("the number", format(x)) else count_of(length(x), "number")

# coef(), except where that is not the vector that vcov() is for.
fit_coefficients <- function(fit) {
  if (inherits(fit, "polr")) return(c(fit$coefficients, fit$zeta))
  if (inherits(fit, c("lme", "nlme", "merMod"))) return(nlme::fixef(fit))
  value <- s4_or_s3(stats::coef, "coef", fit)
  if (is.numeric(value) && is.object(value)) unclass(value) else value
}

# Methods for S4 classes (lavaan, stats4) are with an S4 generic that dispatch from here does not see.
s4_or_s3 <- function(f, name, fit) {
  if (isS4(fit)) {
    method <- methods::selectMethod(name, class(fit), optional = TRUE)
    if (is.function(method) && identical(f, getExportedValue("stats", name))) return(method(fit))
  }
  f(fit)
}

# A matrix of coefficients as the vector whose names are those of the variance matrix: by columns for
# lm() with several responses, by rows for multinom().
coefficient_vector <- function(estimate, names) {
  rows <- rownames(estimate)[row(estimate)]
  columns <- colnames(estimate)[col(estimate)]
  by_columns <- paste(columns, rows, sep = ":")
  by_rows <- paste(rows, columns, sep = ":")
  value <- stats::setNames(as.vector(estimate), if (setequal(by_rows, names)) by_rows else by_columns)
  if (setequal(names(value), names)) value[names] else value
}

# The part of a variance matrix that belongs to the estimates: it can have further parameters (survreg's
# scale), and can lack coefficients that were not estimated.
match_variance <- function(estimate, variance) {
  terms <- names(estimate)
  known <- rownames(variance)
  if (is.null(terms) || is.null(known) || anyDuplicated(terms) || nrow(variance) == length(terms)) return(variance)
  result <- matrix(NA_real_, length(terms), length(terms), dimnames = list(terms, terms))
  both <- intersect(terms, known)
  result[both, both] <- variance[both, both]
  result
}

# Gathered results of numbers in the forms that `estimate` and `variance` may have.
gather_estimates <- function(estimate, variance, std.error) {
  if (is.null(variance) == is.null(std.error)) {
    em_abort("With `estimate`, give one of `variance` and `std.error`.", "argument", argument = "variance")
  }
  name <- if (is.null(variance)) "std.error" else "variance"
  estimate <- by_imputation(estimate, "estimate")
  check_number_of_imputations(length(estimate), "estimate")
  variance <- by_imputation(if (is.null(variance)) std.error else variance, name)
  if (length(variance) != length(estimate)) {
    em_abort(sprintf("`estimate` holds %s, but `%s` holds %d.", count_of(length(estimate), "imputation"), name,
                     length(variance)), "argument", argument = name)
  }
  if (name == "std.error") variance <- lapply(variance, `^`, 2)
  stack_results(estimate, variance, "estimate")
}

# A list with an element per imputation.
by_imputation <- function(x, name) {
  if (is.list(x) && !is.data.frame(x)) return(unclass(x))
  if (is.data.frame(x)) x <- as.matrix(x)
  if (!is.numeric(x)) check_fails(name, "numeric: a vector, a matrix with a row for each imputation, or a list", x)
  if (length(dim(x)) == 3L) return(lapply(seq_len(dim(x)[3L]), function(i) matrix(x[, , i], dim(x)[1L])))
  if (length(dim(x)) == 2L) {
    return(lapply(seq_len(nrow(x)), function(i) stats::setNames(x[i, ], colnames(x))))
  }
  as.list(unname(as.vector(x)))
}

# Lists of estimates and of variances (matrices, or vectors: their diagonals) to gathered results.
stack_results <- function(estimates, variances, name) {
  label <- function(i) sprintf("%s[[%d]]", name, i)
  for (i in seq_along(estimates)) {
    if (!is.numeric(estimates[[i]])) check_fails(label(i), "numeric", estimates[[i]])
  }
  terms <- common_terms(lapply(estimates, estimate_names), name)
  p <- length(terms)
  m <- length(estimates)
  estimate <- matrix(NA_real_, m, p, dimnames = list(NULL, terms))
  variance <- array(NA_real_, c(p, p, m), dimnames = list(terms, terms, NULL))
  for (i in seq_len(m)) {
    own <- estimate_names(estimates[[i]])
    order <- if (identical(own, terms)) seq_len(p) else match(terms, own)
    estimate[i, ] <- estimates[[i]][order]
    value <- variances[[i]]
    if (is.null(dim(value)) && is.numeric(value) && length(value) == p) value <- diag(value, p)
    if (!is.numeric(value) || !identical(dim(as.matrix(value)), c(p, p))) {
      em_abort(sprintf("The variance for `%s` must be a matrix with %s, one for each coefficient, not %s.", label(i),
                       count_of(p, "row"), describe_value(variances[[i]])), "argument")
    }
    value <- as.matrix(value)
    if (!anyDuplicated(own) && setequal(rownames(value), own)) value <- value[own, own, drop = FALSE]
    variance[, , i] <- value[order, order]
  }
  drop_aliased(list(estimate = estimate, variance = variance), name)
}

estimate_names <- function(x) {
  if (!is.null(names(x))) return(names(x))
  if (length(x) == 1L) "estimate" else paste0("estimate[", seq_along(x), "]")
}

# The terms, in the order of the first fit; all must have the same ones.
common_terms <- function(terms, name) {
  first <- terms[[1L]]
  different <- which(!vapply(terms, function(own) length(own) == length(first) && setequal(own, first), TRUE))
  if (length(different)) {
    i <- different[1L]
    lacks <- setdiff(first, terms[[i]])
    adds <- setdiff(terms[[i]], first)
    em_abort(
      paste0("The fits do not have the same terms: `", name, "[[", i, "]]`",
             if (length(lacks)) paste0(" lacks ", abbreviate_list(lacks)),
             if (length(lacks) && length(adds)) " and",
             if (length(adds)) paste0(" has ", abbreviate_list(adds)),
             if (!length(lacks) && !length(adds)) " has another number of coefficients",
             if (length(lacks)) paste0(", which `", name, "[[1]]` has") else
               if (length(adds)) paste0(", which `", name, "[[1]]` lacks"),
             ". A level of a factor that some imputation lacks can be the cause."),
      "terms", elements = different, lacks = lacks, adds = adds
    )
  }
  if (anyDuplicated(first) && !all(vapply(terms, identical, TRUE, first))) {
    em_abort("The coefficients have repeated names in varying order.", "terms")
  }
  first
}

# Without the coefficients that no fit could estimate; it is an error if only some fits could, or if
# an estimate is infinite.
drop_aliased <- function(results, name) {
  lost <- is.na(results$estimate)
  mixed <- which(apply(lost, 2L, any) & !apply(lost, 2L, all))
  terms <- colnames(results$estimate)
  if (length(mixed)) {
    where <- which(lost[, mixed[1L]])
    em_abort(sprintf("%s could not be estimated (NA) in `%s` %s, but in the others it could.", terms[mixed[1L]],
                     name, abbreviate_list(where)), "terms", elements = where, terms = terms[mixed])
  }
  keep <- !apply(lost, 2L, all)
  if (!any(keep)) em_abort(sprintf("`%s` holds no estimate that is not NA.", name), "no_estimates")
  infinite <- which(!is.finite(results$estimate[, keep, drop = FALSE]), arr.ind = TRUE)
  if (nrow(infinite)) {
    em_abort(sprintf("The estimate of %s in `%s[[%d]]` is not finite.", terms[keep][infinite[1L, 2L]], name,
                     infinite[1L, 1L]), "estimate")
  }
  results$aliased <- terms[!keep]
  results$estimate <- results$estimate[, keep, drop = FALSE]
  results$variance <- results$variance[keep, keep, , drop = FALSE]
  results
}
