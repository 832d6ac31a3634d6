# em_pool_test(): pooled tests of several coefficients at once.
#
# D1 and D2 need estimates and variances, D3 and D4 likelihoods. For lm() and glm() the likelihood is evaluated here,
# at any value of the parameters, by a "likelihood model" (see likelihood_model()).

#' Test several coefficients over multiply imputed data
#'
#' Pooled Wald and likelihood-ratio tests that several coefficients are zero, that a smaller model
#' holds, or that constraints on the coefficients hold.
#'
#' The four methods all refer a statistic to an F distribution. With k the number of coefficients
#' tested and r the average relative increase in variance due to missing values:
#' * `"D1"`: the Wald test of the pooled estimates, with the variance \eqn{(1 + r) \bar U} (Li,
#'   Raghunathan and Rubin, 1991). The denominator degrees of freedom are those of Reiter (2007) for
#'   a finite `df_complete`. For one coefficient it is the t-test of [em_pool()]. Use it whenever
#'   there are estimates and variances.
#' * `"D2"`: from the m Wald or likelihood-ratio (`use`) statistics alone (Li, Meng, Raghunathan and
#'   Rubin, 1991). Less powerful and less exact: for when only the statistics are at hand.
#' * `"D3"`: the likelihood-ratio test of Meng and Rubin (1992), which evaluates each likelihood at
#'   the pooled estimates of both models. For [stats::lm()] and [stats::glm()].
#' * `"D4"`: the likelihood-ratio test on the stacked data (Chan and Meng, 2022). Twice the
#'   difference of the log-likelihoods on the stack, divided by m, is \eqn{\hat d}, and the mean of
#'   the m likelihood-ratio statistics \eqn{\bar d}; \eqn{r = (m + 1)(\bar d - \hat d)/\{k(m -
#'   1)\}}, \eqn{F = \hat d / \{k(1 + r)\}} with k and \eqn{k(m - 1)(1 + 1/r)^2} degrees of freedom.
#'   It does not depend on the parametrisation, and fits of any class with `logLik()` and `update()`
#'   will do, if `data` are given. `robust = TRUE` takes r from the larger model alone, \eqn{r = (m
#'   + 1)(\bar\delta - \hat\delta)/\{h(m - 1)\}} with \eqn{\delta} twice its log-likelihood and h
#'   its number of parameters, which holds also if the smaller model does not.
#'
#' Grund, Luedtke and Robitzsch (2023) compare D2, D3 and D4. A negative r, which D3 and D4 can give
#' by chance, counts as 0.
#'
#' @param fits The fits of the larger model, see [em_pool()].
#' @param fits0 The fits of a smaller model to the same imputed data. For D1 and for the Wald form
#'   of D2 its coefficients must be among those of the larger one.
#' @param ... Unused, and an error.
#' @param terms Instead of `fits0`: names of coefficients, or terms of the formula (such as a
#'   factor, which stands for all of its coefficients). By default all coefficients but the
#'   intercept.
#' @param constraints Instead of `fits0` or `terms`, for D1 and for the Wald form of D2: expressions
#'   of coefficients that are zero under the hypothesis, or equations, as text: `"Wind = Temp"`,
#'   `"exp(Wind) - 1"` (names such as `(Intercept)` in backticks); or a matrix with a row per
#'   constraint and a column per coefficient.
#' @param method `"D1"` (default), `"D2"`, `"D3"` or `"D4"`.
#' @param use For D2: `"wald"` (default) or `"likelihood"` statistics.
#' @param robust For D4: `TRUE` for the robust r. Default `FALSE`.
#' @param data For D4 and fits other than of `lm()` and `glm()`, or if the variables of the formula
#'   depend on the data (`scale()`, `poly()`): the completed data, as a list of data frames or an
#'   imputation. The clusters of `lmer()` and `lme()` are kept apart.
#' @param df_complete For D1: see [em_pool()]. `Inf`: the degrees of freedom of Li, Raghunathan and
#'   Rubin.
#' @param vcov Function that gives the variance matrix of a fit, see [em_pool()].
#' @return An object of class `htest`: `statistic` (F), `parameter` (`df1`, `df2`), `p.value`,
#'   `method`, `data.name`, and `riv` (r), `m`, `pooling` (`"D1"`, ...), `tested` (the hypothesis,
#'   in words) and `df_complete`.
#' @references
#' Li, K. H., Raghunathan, T. E. and Rubin, D. B. (1991). Large-sample significance
#' levels from multiply imputed data using moment-based statistics and an F reference distribution.
#' *Journal of the American Statistical Association*, 86, 1065-1073.
#' \doi{10.1080/01621459.1991.10475152}
#'
#' Li, K. H., Meng, X.-L., Raghunathan, T. E. and Rubin, D. B. (1991). Significance levels from
#' repeated p-values with multiply-imputed data. *Statistica Sinica*, 1, 65-92.
#'
#' Meng, X.-L. and Rubin, D. B. (1992). Performing likelihood ratio tests with multiply-imputed data
#' sets. *Biometrika*, 79, 103-111. \doi{10.1093/biomet/79.1.103}
#'
#' Reiter, J. P. (2007). Small-sample degrees of freedom for multi-component significance tests with
#' multiple imputation for missing data. *Biometrika*, 94, 502-508. \doi{10.1093/biomet/asm028}
#'
#' Chan, K. W. and Meng, X.-L. (2022). Multiple improvements of multiple imputation likelihood ratio
#' tests. *Statistica Sinica*, 32, 1489-1514. \doi{10.5705/ss.202019.0314}
#'
#' Grund, S., Luedtke, O. and Robitzsch, A. (2023). Pooling methods for likelihood ratio tests in
#' multiply imputed data sets. *Psychological Methods*, 28, 1207-1221. \doi{10.1037/met0000556}
#' @seealso [em_pool()]
#' @examples
#' # Ozone drawn from its regression on the other variables
#' set.seed(1)
#' fit <- lm(log(Ozone) ~ Wind + Temp, airquality)
#' lost <- is.na(airquality$Ozone)
#' imputed <- replicate(10, simplify = FALSE, {
#'   draw <- predict(fit, airquality[lost, ]) + rnorm(sum(lost), sd = sigma(fit))
#'   replace(airquality, "Ozone", replace(airquality$Ozone, lost, exp(draw)))
#' })
#' fits <- lapply(imputed, function(data) lm(log(Ozone) ~ Wind + Temp + factor(Month), data))
#' em_pool_test(fits, terms = "factor(Month)")
#' em_pool_test(fits, constraints = "Wind = -Temp")
#' smaller <- lapply(imputed, function(data) lm(log(Ozone) ~ Wind + Temp, data))
#' em_pool_test(fits, smaller, method = "D4")
#' @export
em_pool_test <- function(fits, fits0 = NULL, ..., terms = NULL, constraints = NULL,
                         method = c("D1", "D2", "D3", "D4"), use = c("wald", "likelihood"), robust = FALSE,
                         data = NULL, df_complete = NULL, vcov = stats::vcov) {
  data_name <- paste(deparse(substitute(fits), nlines = 1L), collapse = " ")
  check_dots_empty(..., .function = "em_pool_test")
  method <- match_choice(method)
  use <- match_choice(use)
  check_flag(robust, "robust")
  if (robust && method != "D4") em_abort("`robust` is for `method = \"D4\"`.", "argument", argument = "robust")
  if (sum(!is.null(fits0), !is.null(terms), !is.null(constraints)) > 1L) {
    em_abort("Give one of `fits0`, `terms` and `constraints`.", "argument", argument = "constraints")
  }
  by_likelihood <- method %in% c("D3", "D4") || (method == "D2" && use == "likelihood")
  fits <- fit_list(fits)
  if (!is.null(fits0)) fits0 <- check_smaller(fit_list(fits0, "fits0"), fits)
  result <- if (by_likelihood) {
    if (!is.null(constraints)) {
      em_abort("`constraints` are for \"D1\" and the Wald form of \"D2\"; for likelihoods give `fits0` or `terms`.",
               "argument", argument = "constraints")
    }
    likelihood_test(fits, fits0, terms, method, robust, data)
  } else {
    wald_test(fits, fits0, terms, constraints, method, df_complete, vcov)
  }
  pooled_htest(result, method, by_likelihood, length(fits), data_name)
}

# The htest of `result`: statistic, df1, df2, riv, tested.
pooled_htest <- function(result, method, by_likelihood, m, data_name) {
  kind <- if (by_likelihood) "likelihood-ratio" else "Wald"
  structure(
    list(
      statistic = c(F = result$statistic), parameter = c(df1 = result$df1, df2 = result$df2),
      p.value = stats::pf(result$statistic, result$df1, result$df2, lower.tail = FALSE),
      method = paste0("Pooled ", kind, " test (", method, ") over ", count_of(m, "imputation")),
      data.name = paste0(data_name, "; ", result$tested), riv = result$riv, m = m, pooling = method,
      tested = result$tested, df_complete = result$df_complete
    ),
    class = "htest"
  )
}

check_smaller <- function(fits0, fits) {
  if (length(fits0) != length(fits)) {
    em_abort(sprintf("`fits` holds %s, but `fits0` holds %d.", count_of(length(fits), "fit"), length(fits0)),
             "argument", argument = "fits0")
  }
  fits0
}

# ---- Wald tests: D1, D2 --------------------------------------------------------------------------

wald_test <- function(fits, fits0, terms, constraints, method, df_complete, vcov) {
  results <- gather_fits(fits, vcov)
  df_complete <- complete_df(df_complete, results$df)
  if (is.null(constraints)) {
    names <- tested_names(results, fits, fits0, terms, vcov)
    constraint <- diag(ncol(results$estimate))[match(names, colnames(results$estimate)), , drop = FALSE]
    results <- constrain(results, function(estimate) list(value = constraint %*% estimate, gradient = constraint))
    tested <- hypothesis(names)
  } else {
    map <- constraint_map(constraints, colnames(results$estimate), length(fits))
    results <- constrain(results, map$f)
    tested <- map$tested
  }
  if (anyNA(results$variance)) em_abort("A tested coefficient has no variance in some fit.", "no_variance")
  test <- if (method == "D1") {
    wald_d1(results$estimate, results$variance, df_complete)
  } else {
    statistics <- vapply(seq_len(nrow(results$estimate)), function(i) {
      wald_statistic(results$estimate[i, ], as.matrix(results$variance[, , i]))
    }, 0)
    pool_statistics(statistics, ncol(results$estimate))
  }
  c(test, list(tested = tested, df_complete = df_complete))
}

# q' U^-1 q
wald_statistic <- function(estimate, variance) {
  sum(backsolve(variance_root(variance), estimate, transpose = TRUE)^2)
}

# Upper Cholesky factor. The scale of the coefficients is removed before singularity is judged.
variance_root <- function(variance) {
  scale <- sqrt(diag(variance))
  root <- if (all(is.finite(scale)) && all(scale > 0)) {
    tryCatch(chol(variance / tcrossprod(scale)), error = function(e) NULL)
  }
  if (is.null(root) || min(diag(root))^2 < 1e-12) {
    em_abort("The variance matrix of what is tested is singular: do the hypotheses repeat each other?", "singular")
  }
  sweep(root, 2L, scale, `*`)
}

# D1 from estimates (m x k) and variances (k x k x m).
wald_d1 <- function(estimate, variance, df_complete) {
  m <- nrow(estimate)
  k <- ncol(estimate)
  mean <- colMeans(estimate)
  within <- matrix(rowMeans(matrix(variance, k^2)), k)
  between <- stats::cov(estimate)
  root <- variance_root(within)
  half <- backsolve(root, between, transpose = TRUE)
  r <- (1 + 1 / m) * sum(diag(backsolve(root, t(half), transpose = TRUE))) / k
  statistic <- wald_statistic(mean, within) / (k * (1 + r))
  df2 <- if (k == 1L) {
    pool_rules(mean, within[1L], between[1L], m, df_complete)$df
  } else {
    denominator_df(k, m, r, df_complete)
  }
  list(statistic = statistic, df1 = k, df2 = df2, riv = r)
}

# Denominator degrees of freedom: Li, Raghunathan and Rubin (1991), or Reiter (2007).
denominator_df <- function(k, m, r, df_complete = Inf) {
  t <- k * (m - 1)
  if (r <= 0) return(if (is.finite(df_complete)) df_complete * (df_complete + 1) / (df_complete + 3) else Inf)
  large <- if (t > 4) 4 + (t - 4) * (1 + (1 - 2 / t) / r)^2 else t * (1 + 1 / k) * (1 + 1 / r)^2 / 2
  if (!is.finite(df_complete)) return(large)
  observed <- df_complete * (df_complete + 1) / (df_complete + 3)
  if (t <= 4) return(min(large, observed))
  a <- r * t / (t - 2)
  c0 <- 1 / (t - 4)
  c1 <- observed - 2 * (1 + a)
  c2 <- observed - 4 * (1 + a)
  # the limit of the formula where its expansion ends
  if (c2 <= 0) return(4)
  z <- 1 / c2 + c0 * a^2 * c1 / ((1 + a)^2 * c2) + 8 * c0 * a^2 * c1 / ((1 + a) * c2^2) +
    4 * c0 * a^2 / ((1 + a) * c2) + 4 * c0 * a^2 / (c2 * c1) + 16 * c0 * a^2 * c1 / c2^3 + 8 * c0 * a^2 / c2^2
  4 + 1 / z
}

# D2 from m chi-squared statistics with k degrees of freedom.
pool_statistics <- function(statistics, k) {
  m <- length(statistics)
  r <- (1 + 1 / m) * stats::var(sqrt(pmax(0, statistics)))
  list(statistic = (mean(statistics) / k - (m + 1) / (m - 1) * r) / (1 + r), df1 = k,
       df2 = k^(-3 / m) * (m - 1) * (1 + 1 / r)^2, riv = r)
}

# Names of the coefficients that are tested.
tested_names <- function(results, fits, fits0, terms, vcov) {
  all <- colnames(results$estimate)
  if (!is.null(fits0)) {
    smaller <- colnames(gather_fits(fits0, vcov, "fits0")$estimate)
    alien <- setdiff(smaller, all)
    if (length(alien) || length(smaller) >= length(all)) {
      em_abort(
        paste0("The coefficients of `fits0` must be some of those of `fits`",
               if (length(alien)) paste0("; ", abbreviate_list(alien), " is not"),
               ". For other nested models use `method = \"D4\"`, \"D3\", or \"D2\" with `use = \"likelihood\"`."),
        "not_nested", terms = alien
      )
    }
    return(setdiff(all, smaller))
  }
  if (is.null(terms)) {
    names <- setdiff(all, c("(Intercept)", "Intercept"))
    if (!length(names)) {
      em_abort("There is no coefficient but the intercept: nothing to test.", "argument", argument = "terms")
    }
    return(names)
  }
  expand_terms(terms, all, fits[[1L]])
}

# Names of coefficients, and terms of a formula, to names of coefficients.
expand_terms <- function(terms, coefficients, fit) {
  if (inherits(terms, "formula")) terms <- attr(stats::terms(terms), "term.labels")
  if (!is.character(terms) || !length(terms) || anyNA(terms)) {
    check_fails("terms", "names of coefficients or terms of the formula", terms)
  }
  labels <- tryCatch(attr(stats::terms(fit), "term.labels"), error = function(e) NULL)
  assign <- if (length(labels) && any(!terms %in% coefficients)) {
    tryCatch(attr(stats::model.matrix(fit), "assign"), error = function(e) NULL)
  }
  names <- lapply(terms, function(term) {
    if (term %in% coefficients) return(term)
    found <- intersect(names(fit_coefficients(fit))[assign == match(term, labels, nomatch = -1L)], coefficients)
    if (length(found)) return(found)
    em_abort(paste0("`terms` holds ", term, ", which is neither a coefficient nor a term of the fits. Coefficients: ",
                    abbreviate_list(coefficients), "."), "argument", argument = "terms")
  })
  unique(unlist(names))
}

# "Wind = Temp = 0"
hypothesis <- function(names) paste(abbreviate_list(names), "= 0")

# Gathered results of a function of the estimates, by the delta method. `f` gives value (k) and gradient (k x p).
constrain <- function(results, f) {
  m <- nrow(results$estimate)
  p <- ncol(results$estimate)
  at <- lapply(seq_len(m), function(i) f(results$estimate[i, ]))
  k <- length(at[[1L]]$value)
  used <- Reduce(`|`, lapply(at, function(a) colSums(a$gradient != 0) > 0))
  variance <- vapply(seq_len(m), function(i) {
    gradient <- at[[i]]$gradient[, used, drop = FALSE]
    gradient %*% matrix(results$variance[used, used, i], sum(used)) %*% t(gradient)
  }, matrix(0, k, k))
  list(estimate = matrix(t(vapply(at, function(a) as.vector(a$value), numeric(k))), m)[, seq_len(k), drop = FALSE],
       variance = array(variance, c(k, k, m)))
}

# The function of the estimates that is 0 under the constraints, with its gradient; and the hypothesis in words.
constraint_map <- function(constraints, names, m) {
  if (is.matrix(constraints) && is.numeric(constraints)) {
    if (!is.null(colnames(constraints)) && all(colnames(constraints) %in% names)) {
      full <- matrix(0, nrow(constraints), length(names), dimnames = list(NULL, names))
      full[, colnames(constraints)] <- constraints
      constraints <- full
    }
    if (ncol(constraints) != length(names)) {
      em_abort(sprintf("`constraints` must have a column for each of the %s, not %d.",
                       count_of(length(names), "coefficient"), ncol(constraints)), "argument", argument = "constraints")
    }
    return(list(f = function(estimate) list(value = constraints %*% estimate, gradient = constraints),
                tested = count_of(nrow(constraints), "linear constraint")))
  }
  if (!is.character(constraints) || !length(constraints) || anyNA(constraints)) {
    check_fails("constraints", "text, or a matrix with a column per coefficient", constraints)
  }
  expressions <- lapply(constraints, parse_constraint, names = names)
  f <- function(estimate) {
    values <- as.list(estimate)
    gradient <- t(vapply(expressions, function(e) {
      vapply(names, function(name) constraint_slope(e, name, values), 0)
    }, numeric(length(names))))
    list(value = vapply(expressions, eval, 0, values, baseenv()),
         gradient = matrix(gradient, length(expressions)))
  }
  list(f = f, tested = paste(ifelse(grepl("=", constraints), constraints, paste(constraints, "= 0")), collapse = ", "))
}

# "a = b" to the expression a - (b).
parse_constraint <- function(text, names) {
  sides <- strsplit(text, "={1,2}")[[1L]]
  expression <- tryCatch({
    parsed <- lapply(sides, function(side) parse(text = side, keep.source = FALSE)[[1L]])
    if (length(parsed) == 2L) call("-", parsed[[1L]], parsed[[2L]]) else if (length(parsed) == 1L) parsed[[1L]]
  }, error = function(e) NULL)
  unknown <- setdiff(all.vars(expression), c(names, "pi"))
  if (is.null(expression) || length(unknown) || !length(all.vars(expression))) {
    em_abort(
      paste0("`constraints`: ", dQuote(text, FALSE), " is not an expression or equation of coefficients",
             if (length(unknown)) paste0(" (", abbreviate_list(unknown), " is none)"), ". Coefficients: ",
             abbreviate_list(names), "."),
      "argument", argument = "constraints"
    )
  }
  expression
}

# Derivative by symbols where R knows how, else by central differences.
constraint_slope <- function(expression, name, values) {
  if (!name %in% all.vars(expression)) return(0)
  slope <- tryCatch(stats::D(expression, name), error = function(e) NULL)
  if (!is.null(slope)) return(as.double(eval(slope, values, baseenv())))
  step <- .Machine$double.eps^(1 / 3) * max(abs(values[[name]]), 1e-3)
  at <- function(h) {
    values[[name]] <- values[[name]] + h
    eval(expression, values, baseenv())
  }
  (at(step) - at(-step)) / (2 * step)
}

# ---- likelihood-ratio tests: D2, D3, D4 ------------------------------------------------------------

likelihood_test <- function(fits, fits0, terms, method, robust, data) {
  m <- length(fits)
  models <- lapply(fits, likelihood_model)
  closed <- !any(vapply(models, is.null, TRUE))
  if (is.null(fits0)) {
    if (!closed) {
      em_abort(paste0("Likelihood-ratio tests of `terms` are for lm() and glm(); for ", describe_value(fits[[1L]]),
                      " give the fits of the smaller model, `fits0`."), "argument", argument = "fits0")
    }
    results <- list(estimate = do.call(rbind, lapply(models, function(model) model$beta)))
    common_terms(lapply(models, function(model) names(model$beta)), "fits")
    dropped <- tested_names(results, fits, NULL, terms, stats::vcov)
    models0 <- lapply(models, drop_columns, dropped)
    tested <- hypothesis(dropped)
  } else {
    models0 <- lapply(fits0, likelihood_model)
    closed <- closed && !any(vapply(models0, is.null, TRUE))
    tested <- nested_words(fits[[1L]], fits0[[1L]])
  }
  if (method == "D3" && !closed) {
    em_abort(
      paste0("D3 evaluates the likelihood at the pooled estimates, which is done for lm() and glm(), not for ",
             describe_value(fits[[1L]]), ". Use `method = \"D1\"`, \"D2\", or \"D4\" with `data`."), "no_likelihood"
    )
  }
  larger <- if (closed) vapply(models, maximum, 0) else fit_logliks(fits)
  smaller <- if (closed) vapply(models0, maximum, 0) else fit_logliks(fits0)
  h <- if (closed) models[[1L]]$df else attr(stats::logLik(fits[[1L]]), "df")
  k <- h - if (closed) models0[[1L]]$df else attr(stats::logLik(fits0[[1L]]), "df")
  if (k < 1) {
    em_abort("The smaller model, `fits0`, must have fewer parameters than `fits`.", "not_nested")
  }
  statistics <- 2 * (larger - smaller)
  test <- switch(method,
    D2 = pool_statistics(statistics, k),
    D3 = {
      at_pooled <- mean(at_pooled_estimates(models) - at_pooled_estimates(models0)) * 2
      r <- max(0, (m + 1) / (k * (m - 1)) * (mean(statistics) - at_pooled))
      list(statistic = at_pooled / (k * (1 + r)), df1 = k, df2 = denominator_df(k, m, r), riv = r)
    },
    D4 = {
      stack <- stacked_logliks(fits, fits0, models, models0, closed, data)
      stacked_test(statistics, larger, stack, k, h, robust)
    }
  )
  c(test, list(tested = tested, df_complete = Inf))
}

# D4 from the m statistics, the m log-likelihoods of the larger model, and the two of the stack, divided by m.
stacked_test <- function(statistics, larger, stack, k, h, robust) {
  m <- length(statistics)
  stacked <- 2 * (stack[[1L]] - stack[[2L]])
  free <- if (robust) h else k
  excess <- if (robust) 2 * (mean(larger) - stack[[1L]]) else mean(statistics) - stacked
  r <- max(0, (m + 1) / (free * (m - 1)) * excess)
  list(statistic = stacked / (k * (1 + r)), df1 = k, df2 = free * (m - 1) * (1 + 1 / r)^2, riv = r)
}

# "y ~ x against y ~ x + z", or where that says too little, "smaller against larger model".
nested_words <- function(fit, fit0) {
  words <- vapply(list(fit0, fit), function(f) {
    text <- tryCatch(deparse(stats::formula(f), width.cutoff = 500L), error = function(e) "")
    if (length(text) == 1L) text else ""
  }, "")
  if (any(words == "") || words[1L] == words[2L]) "`fits0` against `fits`" else paste(words, collapse = " against ")
}

fit_logliks <- function(fits) {
  vapply(fits, function(fit) {
    value <- tryCatch(s4_or_s3(stats::logLik, "logLik", fit), error = function(e) NA_real_)
    if (isTRUE(attr(value, "REML")) || (is.list(fit) && identical(fit$method, "REML"))) {
      em_abort("Likelihood-ratio tests need fits by maximum likelihood, not REML.", "no_likelihood")
    }
    if (length(value) == 1L && is.finite(value)) return(as.numeric(value))
    em_abort(paste0("No log-likelihood for ", describe_value(fit),
                    ": use `method = \"D1\"`, or \"D2\" with Wald statistics."), "no_likelihood")
  }, 0)
}

# The log-likelihoods of both models on the stacked data, divided by m.
stacked_logliks <- function(fits, fits0, models, models0, closed, data) {
  m <- length(fits)
  if (is.null(data)) {
    if (closed) return(list(maximum(stack_models(models)) / m, maximum(stack_models(models0)) / m))
    em_abort(paste0("D4 fits the model to the stacked data. For ", describe_value(fits[[1L]]),
                    " give the completed data sets in `data`."), "no_data")
  }
  if (is.null(fits0)) {
    em_abort("With `data`, D4 needs the fits of the smaller model, `fits0`.", "argument", argument = "fits0")
  }
  stacked <- stack_data(completed_list(data, m), fits[[1L]])
  lapply(list(fits[[1L]], fits0[[1L]]), function(fit) fit_logliks(list(refit_to(fit, stacked))) / m)
}

# The model of a fit, fitted to other data. Its formula is put into the call, as the name by which the call had it may
# mean nothing here; whatever else the call names is looked for where the formula was written.
refit_to <- function(fit, data) {
  formula <- tryCatch(stats::formula(fit), error = function(e) NULL)
  call <- tryCatch(stats::getCall(fit), error = function(e) NULL)
  if (is.null(call) || !inherits(formula, "formula")) {
    em_abort(paste0("D4 cannot fit ", describe_value(fit), " to the stacked data: it has no call with a formula. ",
                    "Use `method = \"D1\"` or \"D2\"."), "no_call")
  }
  if (inherits(fit, "lme")) call[[1L]] <- quote(nlme::lme)
  call[[if (inherits(fit, "lme")) "fixed" else "formula"]] <- formula
  call$data <- quote(stacked)
  eval(call, list(stacked = data), environment(formula))
}

# The completed data sets below each other. The clusters of a model with random effects are other ones in each, so
# that the log-likelihood of the stack is the sum of theirs. Models for which it cannot be that sum are refused.
stack_data <- function(data, fit) {
  if (inherits(fit, c("coxph", "gls", "glmmTMB", "gee", "geeglm"))) {
    em_abort(paste0("The log-likelihood of stacked data is not the sum over the imputed data sets for ",
                    describe_value(fit), ". Use `method = \"D1\"` or \"D2\"."), "no_likelihood")
  }
  groups <- if (inherits(fit, "merMod")) names(fit@flist) else if (inherits(fit, "lme")) names(fit$groups)
  groups <- unique(unlist(strsplit(as.character(groups), "[:/]")))
  unknown <- setdiff(groups, names(data[[1L]]))
  if (length(unknown)) {
    em_abort(sprintf("The grouping variable %s of the random effects must be a column of `data`.", unknown[1L]),
             "argument", argument = "data")
  }
  for (i in seq_along(data)) {
    for (group in groups) data[[i]][[group]] <- paste(i, data[[i]][[group]], sep = ".")
  }
  do.call(rbind, data)
}

# The completed data sets of an imputation or of a list.
completed_list <- function(data, m) {
  if (inherits(data, "em_impute")) data <- as_mitml_list(data)
  if (inherits(data, "imputationList")) data <- data$imputations
  if (inherits(data, "mids")) {
    data <- lapply(seq_len(data$m), function(i) mice::complete(data, i))
  }
  if (!is.list(data) || is.data.frame(data) || !all(vapply(data, is.data.frame, TRUE)) || length(data) != m) {
    check_fails("data", sprintf("a list of the %d completed data sets, or an imputation", m), data)
  }
  unname(unclass(data))
}

# ---- the likelihood of lm() and glm() --------------------------------------------------------------

# What the likelihood of a fit of lm() or glm() needs: model matrix, response, prior weights, offset, family; its
# estimates `beta` (without aliased ones) and `dispersion` (ML, or NA where the family has none), and `df`. NULL
# for other classes.
likelihood_model <- function(fit) {
  plain_lm <- identical(class(fit), "lm")
  plain_glm <- identical(class(fit), c("glm", "lm"))
  if (!plain_lm && !plain_glm) return(NULL)
  x <- stats::model.matrix(fit)
  beta <- stats::coef(fit)
  x <- x[, !is.na(beta), drop = FALSE]
  beta <- beta[!is.na(beta)]
  family <- if (plain_glm) fit$family else stats::gaussian()
  kind <- sub("\\(.*", "", family$family)
  if (!kind %in% c("gaussian", "binomial", "poisson", "Gamma", "inverse.gaussian")) return(NULL)
  y <- if (plain_glm) fit$y else stats::model.response(stats::model.frame(fit))
  if (is.null(y)) return(NULL)
  weights <- if (plain_glm) fit$prior.weights else fit$weights
  offset <- fit$offset
  if (is.null(weights)) weights <- rep(1, nrow(x))
  if (is.null(offset)) offset <- rep(0, nrow(x))
  model <- list(x = x, y = as.vector(y), weights = as.vector(weights), offset = as.vector(offset), family = family,
                kind = kind, beta = beta)
  # rows without weight have no say, as in logLik()
  keep <- model$weights > 0
  model$x <- model$x[keep, , drop = FALSE]
  for (piece in c("y", "weights", "offset")) model[[piece]] <- model[[piece]][keep]
  with_dispersion(model)
}

# Adds the dispersion, by maximum likelihood as logLik() has it, and the number of parameters.
with_dispersion <- function(model) {
  mu <- model$family$linkinv(drop(model$x %*% model$beta) + model$offset)
  free <- model$kind %in% c("gaussian", "Gamma", "inverse.gaussian")
  n <- if (model$kind == "gaussian") length(model$y) else sum(model$weights)
  model$dispersion <- if (free) sum(model$family$dev.resids(model$y, mu, model$weights)) / n else NA_real_
  model$df <- length(model$beta) + free
  model
}

# Log-likelihood at any parameters.
log_likelihood <- function(model, beta = model$beta, dispersion = model$dispersion) {
  y <- model$y
  w <- model$weights
  mu <- model$family$linkinv(drop(model$x %*% beta) + model$offset)
  sum(switch(model$kind,
    gaussian = stats::dnorm(y, mu, sqrt(dispersion / w), log = TRUE),
    # weights need not be whole numbers
    binomial = times_log(w * y, mu) + times_log(w * (1 - y), 1 - mu) + lchoose(round(w), round(w * y)),
    poisson = w * stats::dpois(y, mu, log = TRUE),
    Gamma = w * stats::dgamma(y, 1 / dispersion, scale = mu * dispersion, log = TRUE),
    inverse.gaussian = -w / 2 * (log(2 * pi * dispersion * y^3) + (y - mu)^2 / (dispersion * y * mu^2))
  ))
}

# x log(p), which is 0 at x = 0.
times_log <- function(x, p) ifelse(x == 0, 0, x * log(p))

maximum <- function(model) log_likelihood(model)

# Every likelihood at the mean of the estimates.
at_pooled_estimates <- function(models) {
  terms <- common_terms(lapply(models, function(model) names(model$beta)), "fits")
  beta <- rowMeans(matrix(vapply(models, function(model) model$beta[terms], numeric(length(terms))), length(terms)))
  dispersion <- mean(vapply(models, `[[`, 0, "dispersion"))
  vapply(models, function(model) log_likelihood(model, beta[match(names(model$beta), terms)], dispersion), 0)
}

# The model fitted anew, without some columns or to the stacked data.
drop_columns <- function(model, names) {
  refit(model, model$x[, setdiff(colnames(model$x), names), drop = FALSE])
}
stack_models <- function(models) {
  terms <- common_terms(lapply(models, function(model) names(model$beta)), "fits")
  stack <- models[[1L]]
  for (piece in c("y", "weights", "offset")) stack[[piece]] <- unlist(lapply(models, `[[`, piece))
  refit(stack, do.call(rbind, lapply(models, function(model) model$x[, terms, drop = FALSE])))
}
refit <- function(model, x) {
  model$x <- x
  model$beta <- if (model$kind == "gaussian" && model$family$link == "identity") {
    stats::lm.wfit(x, model$y, model$weights, model$offset)$coefficients
  } else {
    # proportions with their totals as weights are not a count that glm.fit() would warn of
    fit <- suppressWarnings(stats::glm.fit(x, model$y, model$weights, offset = model$offset, family = model$family,
                                           control = list(epsilon = 1e-12, maxit = 100), intercept = FALSE))
    if (!fit$converged) em_abort("The smaller or stacked model could not be fitted.", "no_likelihood")
    fit$coefficients
  }
  with_dispersion(model)
}
