# A step for the recipes package: the imputer is fitted to the training data and imputes whatever is baked.

#' Imputation by the EM algorithm as a step of a recipe
#'
#' Fits the joint model of [em_impute()] to the training data and fills in the missing values of training and of new
#' data with it, so that nothing leaks from the test data. Needs the package recipes.
#'
#' @param recipe A recipe.
#' @param ... Selectors of the columns to impute, see `recipes::selections`.
#' @param role Not used: no new columns are made.
#' @param trained Whether the step has been trained; set by `prep()`.
#' @param impute_with Columns of the model beside those to impute: a call of `recipes::imp_vars()`, `NULL` (default) for
#'   all predictors.
#' @param type `"mean"` (default): conditional means and most probable categories, the same whenever the data are baked.
#'   `"draw"`: one draw from the conditional distribution.
#' @param options A list of further arguments of [em_impute()], such as `types`, `bounds`, `transform`, `prior`,
#'   `control`.
#' @param columns,model The columns and the fitted imputer; set by `prep()`.
#' @param skip Whether to leave the step out when new data are baked. Default `FALSE`.
#' @param id Name of the step.
#' @return The recipe with the step added. `tidy()` of the step: a data frame with `terms`, `type`, `n_missing` (in the
#'   training data), `note` and `id`.
#' @seealso [em_impute()], [predict.em_impute()]
#' @examplesIf requireNamespace("recipes", quietly = TRUE)
#' train <- airquality[1:100, ]
#' test <- airquality[101:153, ]
#' steps <- recipes::recipe(Temp ~ Ozone + Solar.R + Wind + Month, data = train)
#' steps <- step_impute_em(steps, Ozone, Solar.R)
#' trained <- recipes::prep(steps, training = train)
#' head(recipes::bake(trained, new_data = test))
#' @export
step_impute_em <- function(recipe, ..., role = NA, trained = FALSE, impute_with = NULL, type = c("mean", "draw"),
                           options = list(), columns = NULL, model = NULL, skip = FALSE, id = NULL) {
  if (!requireNamespace("recipes", quietly = TRUE)) {
    em_abort("step_impute_em() needs the package recipes.", "package", package = "recipes")
  }
  type <- match_choice(type)
  if (!is.list(options)) check_fails("options", "a list of arguments of em_impute()", options)
  if (is.null(id)) id <- recipes::rand_id("impute_em")
  recipes::add_step(recipe, recipes::step(
    subclass = "impute_em", terms = recipes::ellipse_check(...), role = role, trained = trained,
    impute_with = impute_with, type = type, options = options, columns = columns, model = model, skip = skip, id = id
  ))
}

#' @exportS3Method recipes::prep
prep.step_impute_em <- function(x, training, info = NULL, ...) {
  chosen <- unname(recipes::recipes_eval_select(x$terms, training, info))
  with <- if (is.null(x$impute_with)) {
    info$variable[info$role %in% "predictor"]
  } else {
    unname(recipes::recipes_eval_select(x$impute_with, training, info))
  }
  used <- unique(c(chosen, intersect(with, names(training))))
  model <- if (length(chosen) > 0L) {
    arguments <- c(list(data = training[, used, drop = FALSE], method = "none"), x$options)
    # complete training data are no news here: test data may have missing values
    model <- withCallingHandlers(do.call(em_impute, arguments),
                                 em_message_nothing_missing = function(m) invokeRestart("muffleMessage"))
    model$data <- NULL
    model$call <- NULL
    model
  }
  recipes::step(
    subclass = "impute_em", terms = x$terms, role = x$role, trained = TRUE, impute_with = x$impute_with, type = x$type,
    options = x$options, columns = chosen, model = model, skip = x$skip, id = x$id
  )
}

#' @exportS3Method recipes::bake
bake.step_impute_em <- function(object, new_data, ...) {
  if (length(object$columns) == 0L || nrow(new_data) == 0L) return(new_data)
  used <- object$model$columns$name
  absent <- setdiff(used, names(new_data))
  if (length(absent) > 0L) {
    em_abort(sprintf("The data to bake lack the column %s that the imputation uses.", dQuote(absent[1L], FALSE)),
             "newdata", columns = absent)
  }
  filled <- stats::predict(object$model, as.data.frame(new_data[, used]), type = object$type)
  for (name in object$columns) new_data[[name]] <- filled[[name]]
  new_data
}

# Selectors as they were written: quosures are formulas, whose own `[[` rlang deprecates.
selector_labels <- function(terms) {
  vapply(terms, function(q) paste(deparse(unclass(q)[[2L]]), collapse = ""), "")
}

#' @export
print.step_impute_em <- function(x, width = max(20, options()$width - 30), ...) {
  if (isTRUE(x$trained)) {
    cat("EM imputation for ", abbreviate_list(x$columns), " [trained]\n", sep = "")
  } else {
    labels <- selector_labels(x$terms)
    cat("EM imputation for ", abbreviate_list(labels), "\n", sep = "")
  }
  invisible(x)
}

#' @export
tidy.step_impute_em <- function(x, ...) {
  result <- if (isTRUE(x$trained)) {
    table <- x$model$columns[match(x$columns, x$model$columns$name), ]
    data.frame(terms = x$columns, type = table$type, n_missing = table$n_missing, note = table$note,
               id = rep(x$id, length(x$columns)), stringsAsFactors = FALSE)
  } else {
    labels <- selector_labels(x$terms)
    data.frame(terms = labels, type = NA_character_, n_missing = NA_integer_, note = NA_character_, id = x$id,
               stringsAsFactors = FALSE)
  }
  as_tibble_if_installed(result)
}

#' @exportS3Method generics::required_pkgs
required_pkgs.step_impute_em <- function(x, ...) "emkit"
