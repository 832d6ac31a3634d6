# Several runs of em_impute() on the same data as one.

#' Combine runs of imputations
#'
#' Puts the imputations of several runs of [em_impute()] on the same data into one object, for example
#' of runs on several machines.
#'
#' The runs must have imputed the same cells of the same data with the same model and types of columns;
#' what differs is named in an error of class `em_error_not_combinable`. Parameters, log-likelihood and
#' everything else that does not belong to a single imputation are those of the first run. Runs that
#' began from the same seed hold the same imputations; they add no information, and a warning of class
#' `em_warning_repeated_imputations` says so.
#'
#' To add imputations to one run there is no need to combine: with the same seed a larger `m` begins
#' with the imputations of the smaller one.
#'
#' @param ... Imputations, values of [em_impute()].
#' @return An imputation of class `em_impute` with `m` the sum of those of the runs, numbered in their order.
#' @seealso [em_impute()]
#' @examples
#' set.seed(1)
#' one <- em_impute(airquality[, 1:4], m = 2)
#' two <- em_impute(airquality[, 1:4], m = 3)
#' c(one, two)$m
#' @export
c.em_impute <- function(...) {
  runs <- unname(list(...))
  for (i in seq_along(runs)) check_imputation(runs[[i]], paste("argument", i))
  first <- runs[[1L]]
  for (i in seq_along(runs)[-1L]) {
    differs <- first_difference(first, runs[[i]])
    if (!is.null(differs)) {
      em_abort(sprintf("Run %d cannot be combined with run 1: %s.", i, differs), "not_combinable", run = i)
    }
  }
  result <- first
  m <- vapply(runs, function(run) as.integer(run$m), 0L)
  result$m <- sum(m)
  result$imputed <- lapply(stats::setNames(names(first$imputed), names(first$imputed)), function(name) {
    combined <- do.call(cbind, lapply(runs, function(run) run$imputed[[name]]))
    colnames(combined) <- seq_len(result$m)
    combined
  })
  result$draws <- combine_draws(lapply(runs, `[[`, "draws"), m)
  result$chain <- combine_chains(lapply(runs, `[[`, "chain"), m)
  warn_repeated(result)
  result
}

# In words, the first thing that keeps two runs from being combined, or NULL.
first_difference <- function(a, b) {
  if (!identical(a$data, b$data)) return("the data differ")
  if (!identical(a$where, b$where)) return("other cells were imputed")
  if (!identical(a$model, b$model)) return("the models differ")
  if (!identical(a$columns$type, b$columns$type)) {
    return(paste("the types differ for", abbreviate_list(a$columns$name[a$columns$type != b$columns$type])))
  }
  if (!identical(a$method, b$method)) return("the methods differ")
  NULL
}

# The parameters drawn (D x m, D x D x m) of all runs, or NULL if a run has none.
combine_draws <- function(draws, m) {
  if (any(vapply(draws, is.null, TRUE))) return(NULL)
  one <- draws[[1L]]
  one$mean <- do.call(cbind, lapply(draws, `[[`, "mean"))
  shape <- dim(one$covariance)[1:2]
  covariance <- array(unlist(lapply(draws, `[[`, "covariance")), c(shape, sum(m)))
  dimnames(covariance) <- c(dimnames(one$covariance)[1:2], list(NULL))
  one$covariance <- covariance
  one
}

# The chains of all runs, numbered on.
combine_chains <- function(chains, m) {
  result <- chains[[1L]]
  traces <- lapply(chains, `[[`, "trace")
  if (!all(vapply(traces, function(trace) "chain" %in% names(trace), TRUE))) return(result)
  before <- cumsum(c(0L, m[-length(m)]))
  for (i in seq_along(traces)) traces[[i]]$chain <- traces[[i]]$chain + before[i]
  result$trace <- do.call(rbind, traces)
  result
}

# Warns if two imputations are the same in every cell.
warn_repeated <- function(x) {
  if (!length(x$imputed)) return(invisible())
  again <- duplicated(do.call(rbind, x$imputed), MARGIN = 2L)
  if (any(again)) {
    em_warn(
      paste0(count_of(sum(again), "imputation"), " of ", x$m, if (sum(again) == 1) " repeats" else " repeat",
             " another one. Were the runs begun from the same seed?"),
      "repeated_imputations", imputations = unname(which(again))
    )
  }
}
