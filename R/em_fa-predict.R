# Scores and imputations of em_fa().

#' Factor scores and imputations
#'
#' The scores of rows, or their missing cells filled in by the model.
#'
#' Regression scores (Thomson) are the conditional means of the factors given a row's observed cells; they are pulled
#' towards 0, the more the fewer cells there are. Bartlett's are the weighted least squares estimates, unbiased given
#' the factors; they are NA where a row observes too little to determine them. Scores of oblique factors are correlated.
#'
#' @param object A fit of [em_fa()].
#' @param newdata NULL (default) for the data of the fit; or a matrix, data frame or vector. Columns are found by name,
#'   in any order; NA is allowed.
#' @param type `"scores"` (default), or `"imputed"`: the rows with the conditional means of their missing cells.
#' @param scores `"regression"` or `"bartlett"`. Default: those of the fit; "regression" if that has none.
#' @param ... Unused, and an error.
#' @return A matrix, n x q (columns `Factor1`, ...) or n x p; rows in the order of `newdata`, with its row names.
#' @references
#' Thomson, G. H. (1951). *The Factorial Analysis of Human Ability*, 5th edition. London University Press.
#'
#' Bartlett, M. S. (1937). The statistical conception of mental factors. *British Journal of Psychology* 28, 97-104.
#' \doi{10.1111/j.2044-8295.1937.tb00863.x}
#' @examples
#' fit <- em_fa(~ Ozone + Solar.R + Wind + Temp, data = airquality, n_factors = 1)
#' head(predict(fit))
#' predict(fit, data.frame(Ozone = NA, Solar.R = 200, Wind = c(5, 15), Temp = NA), type = "imputed")
#' @export
predict.em_fa <- function(object, newdata = NULL, type = c("scores", "imputed"), scores = NULL, ...) {
  type <- match_choice(type)
  if (is.null(scores)) scores <- if (object$scores_method == "bartlett") "bartlett" else "regression"
  scores <- check_choice(scores, "scores", c("regression", "bartlett"))
  check_dots_empty(..., .function = "predict.em_fa")
  if (is.null(newdata)) require_rows(object, "predict() without `newdata`")
  require_mean(object, "predict()")
  rows <- rows_to_predict(object, newdata)
  x <- rows$x
  names <- rows$names
  threads <- resolve_threads(object$control)
  if (type == "scores") return(fa_scores(x, object, scores, threads, names))
  filled <- fa_rows_(unname(x), fa_core(object), FALSE, threads)$imputed
  dimnames(filled) <- list(names, object$variables)
  filled
}

# Scores of the rotated factors, n x q: turned loadings go with factors turned by the inverse.
fa_scores <- function(x, fit, method, threads, names) {
  rows <- fa_rows_(unname(x), fa_core(fit), method == "bartlett", threads)
  scores <- rows[[method]] %*% t(solve(fit$rotation_matrix))
  dimnames(scores) <- list(names, factor_names(fit$n_factors))
  scores
}
