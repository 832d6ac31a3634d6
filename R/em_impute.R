#' Multiple imputation of data frames
#'
#' Fills in the missing values of a data frame, several times, from one model of all its columns that is fitted by the
#' EM algorithm: a joint normal distribution where the incomplete columns are numeric, and a latent normal distribution
#' (Gaussian copula) where some are categorical. Types, classes, levels, attributes, names and the order of rows come
#' back as they went in.
#'
#' @section Columns:
#' What becomes of a column follows from its class, unless `types` says otherwise:
#'
#' | column | type | imputed |
#' |---|---|---|
#' | double, difftime, labelled, units | `"continuous"` | any value |
#' | integer; few different values, none negative | `"count"` | values that were seen, as ordered categories |
#' | other integers, integer64 | `"integer"` | whole numbers |
#' | logical; factor or character of two values | `"binary"` | one of the two |
#' | ordered factor | `"ordinal"` | a level that was seen |
#' | factor; character; numbers of which each is labelled | `"nominal"` | a level that was seen |
#' | Date | `"date"` | whole days |
#' | POSIXct | `"datetime"` | any time |
#' | more than 30 categories, lists, anything else | `"carried"` | not modelled: left as it is |
#'
#' `"semicontinuous"`, only on request, is for numbers of which many are equal to the least or the greatest (zeros of an
#' expense): the latent variable is censored there. Constant columns are filled with their constant. Complete
#' categorical columns enter as dummy variables; complete columns that are linear in other complete columns add nothing
#' and stay out of the model. `fit$columns` is the table of what was done. Nothing is left missing in
#' a column that is modelled; columns that are carried keep their missing values, and `print()` says so.
#'
#' @section Transformations and bounds:
#' `transform` names a monotone transformation for a column, after which it should be closer to normal: `"log"`,
#' `"log2"`, `"log10"`, `"log1p"`, `"log_shift"` (log(x - min(x) + 1)), `"sqrt"`, `"square"`, `"logit"`, `"exp"`,
#' `"reciprocal"`, `"asinh"`, `"qnorm"`, or `list(forward = , inverse = )` with functions that are each other's inverse.
#' In a formula any expression of one variable that can be inverted does: `~ log(Ozone) + sqrt(Wind) + I(1 / Temp)`.
#' Imputed values come back on the scale of the data. Values within `bounds` (on the scale of the data) are drawn from
#' the truncated distribution; none pile up at a bound.
#'
#' @section Methods:
#' `"posterior"` (default) draws the parameters of each imputation from their posterior distribution, by data
#' augmentation from the mode (Schafer 1997), each imputation by a chain of its own; its length follows from the worst
#' fraction of missing information \eqn{\lambda}{lambda}: \eqn{\log .01 / \log\lambda}{log .01 / log lambda} steps, at
#' least 10, at most 5000. `"bootstrap"` takes the estimates from a bootstrap sample instead (Honaker and King 2010),
#' which gives intervals that are too short in samples of less than some hundred rows. `"mean"` gives one data set with
#' conditional means, or most probable categories. `"none"` only fits the model, for [predict()][predict.em_impute] on
#' new data. Imputations depend on [set.seed()] alone: not on the number of threads, and more imputations do not change
#' the earlier ones.
#'
#' @section Priors:
#' `prior = "auto"` adds a ridge prior only where the data do not determine a covariance matrix: collinear columns; a
#' pair of columns that is seen together in hardly more rows than there are columns, or never; a regression on complete
#' columns that the rows with an observed value leave open. It is reported by a message of class `em_message_ridge`
#' (columns that are never seen together by a warning of class `em_warning_not_identified`) and in
#' `fit$prior`. `cell_priors` says what is known of single missing cells: a data frame with the columns `row`, `column`
#' (name or number), `mean` and `sd`, or `row`, `column`, `lower`, `upper` and `confidence`; row 0 stands for all
#' missing cells of the column. They can be given where all incomplete columns are numeric.
#'
#' Posterior draws of a joint normal need a prior also where the fit has none: \eqn{|\Sigma|^{-1}}, under which the
#' regression of each column on all others has the n - p degrees of freedom of linear regression. With fewer than three
#' rows for each of the p columns its exponent rises towards that of Jeffreys, \eqn{(p + 1) / 2}, and the pseudo-observations
#' of a ridge come on top. The latent normal model has a weak inverse Wishart prior, which `fit$prior` describes.
#'
#' @section Panel data:
#' `time` and `cs` name the columns of the time and of the cross-section unit; they are carried, and are not in the
#' model by themselves. Further arguments, as in Amelia: `polytime` (0 to 3), the degree of a polynomial of time;
#' `splinetime` (0 to 6), of which 4 to 6 are cubic splines with 1 to 3 knots; `intercs` (`TRUE`: a level, and a curve
#' of time, for each unit); `lags` and `leads`, names of numeric columns whose values before and after, in the same
#' unit, help to impute. The columns made for this do not appear in the result.
#'
#' @param data A data frame (tibble, data.table), a matrix, or a vector. NA and NaN are missing; infinite values are an
#'   error.
#' @param formula A one-sided formula that chooses the variables of the model and their transformations, such as
#'   `~ Ozone + log(Solar.R) + Wind`, or `~ .`; the other columns of `data` are carried.
#' @param m Whole number >= 1, default 20: how many imputations.
#' @param method `"posterior"` (default), `"bootstrap"`, `"mean"` or `"none"`, see Methods.
#' @param types `NULL` (default), or a named vector: the types of some columns, see Columns.
#' @param bounds `NULL` (default), or a named list: `c(lower, upper)` for some columns, `NA` where there is no bound.
#' @param transform `NULL` (default), or a named list (or character vector) of transformations of some columns.
#' @param prior `"auto"` (default), `NULL` for none, a number > 0 (a ridge prior of so many pseudo-observations), or
#'   made by [em_mvnorm_prior()]. See Priors.
#' @param cell_priors `NULL` (default), or a data frame of what is known of single cells, see Priors.
#' @param id Names or numbers of columns that stay out of the model and are carried.
#' @param time,cs Names or numbers of the columns of time and unit, see Panel data.
#' @param ... For the panel options, see there; anything else is an error.
#' @param control Made by [em_control()].
#'
#' @return A list of class `c("em_impute", "em_fit")`:
#' - `data`: as given.
#' - `imputed`: for each column that was imputed, by its name, an `n_missing x m` matrix of values; for factors and
#'   character columns of codes into `columns$levels`. `where`: the rows of these cells.
#' - `m`, `method`.
#' - `columns`: data frame with a row per column of the data: `name`, `class`, `type`, `n_missing`, `action` ("imputed",
#'   "complete", "constant", "carried"), `note`, and `levels` (a list).
#' - `model`: "normal" or "latent" (or "none", when no column is modelled).
#' - `parameters`: `mean` (D) and `covariance` (D x D) on the scale of the model, that is after transformations;
#'   `loglik`, `df`, `nobs`, `n_rows`, `status`, `message`, `converged`, `iterations`, `trace`, as in every fit.
#' - `draws`: `mean` (D x m) and `covariance` (D x D x m), from which each imputation was drawn.
#' - `chain`: `spacing` (steps for each imputation), `worst` (fraction of missing information), `worst_by` (where that
#'   is from: "information"; with more than 25 variables the "rate" of EM or the largest "share" of missing values) and
#'   `trace`.
#' - `prior`: `NULL` or a list with `lambda` (pseudo-observations) and `reason`.
#' - `identification`: for a joint normal model what the data do not determine, as [em_mvnorm()] has it; else `NULL`.
#' - `empty_rows`: rows without an observed value in the model, imputed from the marginal distribution.
#' - `encoder`, `fit` (the fitted model), `call`, `formula`, `control`.
#'
#' @references
#' Schafer, J. L. (1997). *Analysis of Incomplete Multivariate Data*. Chapman & Hall.
#' \doi{10.1201/9780367803025}
#'
#' Honaker, J. and King, G. (2010). What to do about missing values in time-series cross-section data. *American
#' Journal of Political Science* 54, 561-581. \doi{10.1111/j.1540-5907.2010.00447.x}
#'
#' Zhao, Y. and Udell, M. (2020). Missing value imputation for mixed data via Gaussian copula. *Proceedings of the 26th
#' ACM SIGKDD Conference*, 636-646. \doi{10.1145/3394486.3403106}
#' @seealso [em_complete()] and [with()][with.em_impute] to work with the imputations, [plot()][plot.em_impute] and
#'   [em_overimpute()] to look at them, [predict()][predict.em_impute] for new data, [step_impute_em()] for recipes.
#' @examples
#' set.seed(1)
#' imp <- em_impute(airquality, m = 5, types = c(Month = "continuous"))
#' imp
#' head(em_complete(imp, 1))
#' with(imp, lm(Ozone ~ Wind + Temp))
#'
#' # Chosen variables, transformed; imputed ozone is never negative
#' imp <- em_impute(~ log(Ozone) + Solar.R + Wind + Temp, data = airquality, m = 5)
#' range(imp$imputed$Ozone)
#' @export
em_impute <- function(data, ...) UseMethod("em_impute", impute_dispatch(data, ...))

# em_impute(~ a, data = d): by its name R takes d for the first argument, but the formula says what is meant.
impute_dispatch <- function(data, ...) {
  names <- ...names()
  for (i in seq_len(...length())) {
    named <- !is.null(names) && !is.na(names[i]) && nzchar(names[i])
    if ((!named || names[i] == "formula") && inherits(...elt(i), "formula")) return(...elt(i))
  }
  if (missing(data)) em_abort("em_impute() needs `data`: a data frame, a matrix or a vector.", "data_type")
  data
}

#' @rdname em_impute
#' @export
em_impute.default <- function(data, m = 20L, method = c("posterior", "bootstrap", "mean", "none"), types = NULL,
                              bounds = NULL, transform = NULL, prior = "auto", cell_priors = NULL, id = NULL,
                              time = NULL, cs = NULL, ..., control = em_control()) {
  call <- match.call()
  call[[1L]] <- quote(em_impute)
  method <- match_choice(method)
  arguments <- list(types = types, bounds = bounds, transform = transform, prior = prior, cell_priors = cell_priors,
                    id = id, time = time, cs = cs, panel = list(...))
  impute_data(data, m, method, arguments, control, call)
}

#' @rdname em_impute
#' @export
em_impute.formula <- function(formula, data, m = 20L, method = c("posterior", "bootstrap", "mean", "none"),
                              types = NULL, bounds = NULL, transform = NULL, prior = "auto", cell_priors = NULL,
                              id = NULL, time = NULL, cs = NULL, ..., control = em_control()) {
  call <- match.call()
  call[[1L]] <- quote(em_impute)
  method <- match_choice(method)
  if (missing(data)) em_abort("em_impute() with a formula needs `data`.", "data_type")
  arguments <- list(types = types, bounds = bounds, transform = transform, prior = prior, cell_priors = cell_priors,
                    id = id, time = time, cs = cs, panel = list(...))
  impute_data(data, m, method, arguments, control, call, formula)
}

# The body of both methods: checks, encoding, the fit, the draws, decoding.
impute_data <- function(data, m, method, arguments, control, call, formula = NULL) {
  control <- check_control(control)
  m <- check_count(m, "m")
  if (method == "mean") m <- 1L
  if (method == "none") m <- 0L
  input <- data_columns(data)
  if (length(input$columns) == 0L) em_abort("The data have no columns.", "no_columns")
  if (input$n == 0L) em_abort("The data have no rows.", "no_rows")
  encoder <- make_encoder(input, arguments, formula)
  x <- encode_data(encoder, input)
  lean <- drop_linear(encoder, x)
  encoder <- lean$encoder
  x <- lean$x
  cell_priors <- check_cell_priors(arguments$cell_priors, encoder, input, x)
  key <- draw_key()
  run <- fit_imputer(x, encoder, arguments$prior, cell_priors, control)
  encoder <- run$encoder
  chain <- plan_chain(x, run, method, control)
  drawn <- if (m > 0L && run$model != "none") draw_imputations(x, run, method, m, chain, cell_priors, key, control)
  new_em_impute(input, data, encoder, x, run, drawn, chain, m, method, control, call, formula)
}

# --- the encoder of a call ----------------------------------------------------------------------------------------

make_encoder <- function(input, arguments, formula) {
  names <- input$names
  chosen <- if (!is.null(formula)) read_formula(formula, names)
  panel <- check_panel(arguments$time, arguments$cs, arguments$panel, names)
  transform <- check_by_column(arguments$transform, "transform", names)
  skip <- character()
  if (!is.null(chosen)) {
    skip[setdiff(names, names(chosen))] <- "not in the formula"
    twice <- intersect(names(transform), names(Filter(function(s) s$name != "identity", chosen)))
    if (length(twice) > 0L) {
      em_abort(sprintf("Column %s is transformed both by the formula and by `transform`.", dQuote(twice[1L], FALSE)),
               "transform", column = twice[1L])
    }
    transformed <- Filter(function(s) s$name != "identity", chosen)
    transform[names(transformed)] <- transformed
  }
  skip[resolve_columns(arguments$id, "id", names)] <- "identifies rows (`id`)"
  skip[panel$cs] <- "cross-section unit (`cs`)"
  skip[panel$time] <- "time (`time`)"
  encoder <- learn_encoder(input, check_types(arguments$types, names), check_bounds(arguments$bounds, names),
                           transform, skip)
  encoder$row_names <- !is.null(input$row_names)
  learn_panel(encoder, panel, input)
}

# The model's matrix of data that have the encoder's columns, panel columns included.
encode_data <- function(encoder, input, what = "Column") {
  x <- encode_columns(encoder, input$columns, input$n, what)
  if (!is.null(encoder$panel)) {
    columns <- stats::setNames(input$columns, names(encoder$specs)[seq_along(input$columns)])
    x[, encoder$specs[["(panel)"]]$model] <- panel_columns(encoder, columns, x)
  }
  x
}

# The variables of a one-sided formula and their transformations: steps named by column.
read_formula <- function(formula, names) {
  if (length(formula) != 2L) {
    em_abort("The formula must be one-sided, such as ~ a + log(b): imputation has no response.", "formula")
  }
  parts <- formula_parts(formula[[2L]])
  steps <- list()
  for (part in parts) {
    expr <- part$expr
    if (identical(expr, quote(.))) {
      for (name in setdiff(names, names(steps))) steps[[name]] <- transform_steps()$identity
      next
    }
    if (part$drop) {
      steps[[paste(as.character(expr), collapse = "")]] <- NULL
      next
    }
    known <- expression_step(expr, environment(formula))
    if (is.null(known)) abort_not_invertible(expr)
    name <- known$variable
    if (!name %in% names) {
      em_abort(sprintf("The formula names %s, which is not a column of the data. Columns: %s.", dQuote(name, FALSE),
                       abbreviate_list(names)), "formula", column = name)
    }
    if (known$step$name == "identity" && name %in% names(steps)) next
    if (name %in% names(steps) && steps[[name]]$name != "identity") {
      em_abort(sprintf("The formula has the variable %s twice.", dQuote(name, FALSE)), "formula", column = name)
    }
    steps[[name]] <- known$step
  }
  if (length(steps) == 0L) em_abort("The formula names no variables.", "no_columns")
  steps
}

# The terms of a sum: list(expr, drop) each; `drop` for those after a minus.
formula_parts <- function(expr, drop = FALSE) {
  if (is.call(expr) && identical(expr[[1L]], quote(`+`))) {
    sides <- lapply(as.list(expr)[-1L], formula_parts, drop = drop)
    return(do.call(c, sides))
  }
  if (is.call(expr) && identical(expr[[1L]], quote(`-`))) {
    left <- if (length(expr) == 3L) formula_parts(expr[[2L]], drop) else list()
    return(c(left, formula_parts(expr[[length(expr)]], !drop)))
  }
  if (is.call(expr) && identical(expr[[1L]], quote(`(`))) return(formula_parts(expr[[2L]], drop))
  # an intercept says nothing here
  if (is.numeric(expr)) return(list())
  list(list(expr = expr, drop = drop))
}

abort_not_invertible <- function(expr) {
  term <- deparse(expr)[1L]
  functions <- paste0(setdiff(names(transform_steps()), c("identity", "square", "reciprocal")), "()", collapse = ", ")
  em_abort(sprintf(paste0(
    "The formula's term %s cannot be inverted, so imputed values would not come back on the scale of the data. Terms ",
    "can be a variable, %s of one, a power I(x^k), or arithmetic with constants, and these within each other; for ",
    "another function use `transform = list(x = list(forward = , inverse = ))`."
  ), dQuote(term, FALSE), functions), "not_invertible", term = term)
}

# --- cell priors ----------------------------------------------------------------------------------------------------

# k x 4 matrix (row, model column, mean, sd on the model's scale) of what the user knows of single cells.
check_cell_priors <- function(priors, encoder, input, x) {
  if (is.null(priors)) return(matrix(0, 0L, 4L))
  table <- cell_prior_table(priors)
  column <- table$column
  name <- if (is.numeric(column)) input$names[column] else as.character(column)
  unknown <- which(is.na(name) | !name %in% input$names)
  if (length(unknown) > 0L) {
    em_abort(sprintf("`cell_priors` names the column %s, which the data do not have.",
                     dQuote(as.character(column[unknown[1L]]), FALSE)), "cell_priors")
  }
  if (any(encoder$kind != "continuous")) {
    em_abort("`cell_priors` can be given where all incomplete columns are numeric; here some are categorical.",
             "cell_priors")
  }
  rows <- lapply(seq_len(nrow(table)), function(i) {
    spec <- encoder$specs[[name[i]]]
    if (spec$role != "numbers") {
      em_abort(sprintf("`cell_priors`: column %s is not a numeric column of the model.", dQuote(name[i], FALSE)),
               "cell_priors", column = name[i])
    }
    cells <- which(is.na(x[, spec$model]))
    if (table$row[i] != 0) {
      if (!table$row[i] %in% cells) {
        em_abort(sprintf("`cell_priors`: row %s of column %s is not a missing cell.", format(table$row[i]),
                         dQuote(name[i], FALSE)), "cell_priors", row = table$row[i], column = name[i])
      }
      cells <- table$row[i]
    }
    z <- sort(spec$step$forward(c(table$lower[i], table$upper[i])))
    if (length(z) < 2L || any(!is.finite(z))) {
      em_abort(sprintf("`cell_priors`: the transformation of column %s cannot take %s to %s.", dQuote(name[i], FALSE),
                       format(table$lower[i]), format(table$upper[i])), "cell_priors", column = name[i])
    }
    cbind(cells, rep(spec$model, length(cells)), mean(z), diff(z) / 2 / table$width[i], table$row[i] == 0)
  })
  cells <- do.call(rbind, rows)
  # what is said of a single cell goes before what is said of its column
  cells <- cells[order(cells[, 5L]), , drop = FALSE]
  single <- cells[cells[, 5L] == 0, 1:2, drop = FALSE]
  if (anyDuplicated(single)) em_abort("`cell_priors` says two things of one cell.", "cell_priors")
  cells <- cells[!duplicated(cells[, 1:2, drop = FALSE]), , drop = FALSE]
  unname(cells[order(cells[, 1L], cells[, 2L]), 1:4, drop = FALSE])
}

# row, column, and an interval `lower` to `upper` that reaches `width` standard deviations to both sides of the mean.
cell_prior_table <- function(priors) {
  fail <- function() {
    em_abort(paste0("`cell_priors` must be a data frame or matrix with the columns row, column, mean, sd, or row, ",
                    "column, lower, upper, confidence."), "cell_priors")
  }
  if (is.matrix(priors)) {
    priors <- as.data.frame(priors)
    if (all(grepl("^V[0-9]+$", names(priors))) && ncol(priors) %in% 4:5) {
      names(priors) <- if (ncol(priors) == 4L) c("row", "column", "mean", "sd") else
        c("row", "column", "lower", "upper", "confidence")
    }
  }
  if (!is.data.frame(priors)) fail()
  priors <- as.data.frame(priors, stringsAsFactors = FALSE)
  if (all(c("row", "column", "mean", "sd") %in% names(priors))) {
    if (!is.numeric(priors$mean) || !is.numeric(priors$sd) || anyNA(priors$mean) || !all(priors$sd > 0)) {
      em_abort("`cell_priors`: mean must be numbers and sd numbers > 0.", "cell_priors")
    }
    priors$lower <- priors$mean - priors$sd
    priors$upper <- priors$mean + priors$sd
    priors$width <- rep(1, nrow(priors))
  } else if (all(c("row", "column", "lower", "upper", "confidence") %in% names(priors))) {
    sound <- priors$lower < priors$upper & priors$confidence > 0 & priors$confidence < 1
    if (!isTRUE(all(sound))) {
      em_abort("`cell_priors`: lower must be below upper, and confidence between 0 and 1.", "cell_priors")
    }
    priors$width <- stats::qnorm((1 + priors$confidence) / 2)
  } else {
    fail()
  }
  if (is.factor(priors$column)) priors$column <- as.character(priors$column)
  if (!is.numeric(priors$row) || anyNA(priors$row)) em_abort("`cell_priors`: row must be row numbers.", "cell_priors")
  priors
}

# --- the result ---------------------------------------------------------------------------------------------------

new_em_impute <- function(input, data, encoder, x, run, drawn, chain, m, method, control, call, formula) {
  stored <- store_imputed(input, encoder, drawn, m)
  fit <- list(
    call = call, formula = formula, data = data, imputed = stored$imputed, where = stored$where, m = m, method = method,
    columns = columns_table(encoder), model = run$model, parameters = run$parameters, variables = encoder$variables,
    loglik = run$loglik, df = run$df, nobs = run$nobs, n_rows = input$n, row_names = input$row_names,
    status = run$status, message = run$message, converged = run$converged, iterations = run$iterations,
    trace = run$trace,
    convergence = run$convergence, draws = drawn$draws, chain = c(chain, list(trace = drawn$trace)), prior = run$prior,
    identification = if (run$model == "normal") run$fit$identification,
    empty_rows = if (ncol(x) > 0L) which(rowSums(!is.na(x)) == 0L) else integer(), encoder = encoder, fit = run$fit,
    terms = NULL, weights = NULL, control = control, na_action = "em"
  )
  fit <- structure(fit, class = c("em_impute", "em_fit"))
  report_imputation(fit)
  fit
}

# The values and rows of imputed cells, by column in the order of the data.
store_imputed <- function(input, encoder, drawn, m) {
  imputed <- list()
  where <- list()
  if (m == 0L) return(list(imputed = imputed, where = where))
  for (j in seq_along(input$columns)) {
    spec <- encoder$specs[[j]]
    if (spec$n_missing == 0L || spec$role == "carried") next
    rows <- which(missing_cells(input$columns[[j]]))
    values <- if (spec$role == "constant") {
      value <- if (is.null(spec$values)) constant_value(spec) else decode_codes(spec, 1L)
      matrix(value, length(rows), m)
    } else {
      decode_values(spec, drawn$values[[match(spec$model, drawn$columns)]])
    }
    colnames(values) <- seq_len(m)
    imputed[[spec$name]] <- values
    where[[spec$name]] <- rows
  }
  list(imputed = imputed, where = where)
}

constant_value <- function(spec) if (is.integer(spec$template)) as.integer(spec$constant) else spec$constant

# What a user should hear of at once; all of it is in the fit too.
report_imputation <- function(fit) {
  table <- fit$columns
  left <- table$name[table$action == "carried" & table$n_missing > 0L]
  if (sum(table$n_missing) == 0L) {
    em_inform("The data have no missing values: there is nothing to impute, and completed data are the data.",
              "nothing_missing")
  } else if (length(left) > 0L) {
    em_inform(sprintf("Not imputed, and still with missing values: %s (see the `note` of each in fit$columns).",
                      abbreviate_list(left)), "left_missing", columns = left)
  }
  # of pairs that are never observed together a warning has told
  if (!is.null(fit$prior$reason) && !isTRUE(fit$prior$warned)) {
    em_inform(prior_sentence(fit$prior), "ridge", lambda = fit$prior$lambda)
  }
  if (length(fit$empty_rows) > 0L && sum(table$action == "imputed") > 0L) {
    em_inform(sprintf("%s %s no observed value in the model (%s): imputed from the marginal distribution.",
                      count_of(length(fit$empty_rows), "row"), if (length(fit$empty_rows) == 1L) "has" else "have",
                      abbreviate_list(fit$empty_rows)), "empty_rows", rows = fit$empty_rows)
  }
  invisible(fit)
}

prior_sentence <- function(prior) {
  sprintf("A ridge prior of %s was added: %s.", count_of_pseudo(prior$lambda), prior$reason)
}

count_of_pseudo <- function(lambda) {
  paste(format(lambda, digits = 3L), if (lambda == 1) "pseudo-observation" else "pseudo-observations")
}
