# Imputations in the classes of other packages. Nothing of those packages is called: the objects are built as their
# methods expect them.

#' Imputations for the packages mice, mitml and mitools
#'
#' Gives the imputations of [em_impute()] as the objects of other packages, so that their functions work with
#' them. None of these packages needs to be installed for the conversion.
#'
#' The `mids` object is complete: `mice::complete()`, `with()`, `mice::pool()`, the plots of observed and imputed
#' values, `rbind()`, `cbind()` and `mice::ibind()` work. Its convergence plot has one point per imputation,
#' as each is the end of a chain of its own whose course [em_impute()] reports by itself. It is not meant to be
#' continued by `mice::mice.mids()`. A matrix, tibble or data.table becomes a data frame. Columns that
#' were carried through without being imputed keep their missing values.
#'
#' For pooling alone no conversion is needed, see [em_pool()].
#'
#' @param x An imputation, the value of [em_impute()].
#' @return `as_mids()`: an object of class `mids`. `as_mitml_list()`: a list of class `mitml.list` with the m
#'   completed data frames. `as_imputation_list()`: an object of class `imputationList` of mitools, a list with
#'   `imputations`, the m completed data frames, and `call`.
#' @references
#' van Buuren, S. and Groothuis-Oudshoorn, K. (2011). mice: Multivariate imputation by chained equations in R.
#' *Journal of Statistical Software*, 45(3), 1-67. \doi{10.18637/jss.v045.i03}
#' @seealso [em_impute()], [em_pool()]
#' @examples
#' imp <- em_impute(airquality[, 1:4], m = 3)
#' mids <- as_mids(imp)
#' head(mids$imp$Ozone)
#' completed <- as_mitml_list(imp)
#' summary(completed[[1]])
#' @export
as_mids <- function(x) {
  check_imputation(x)
  data <- plain_data_frame(x$data)
  names <- names(data)
  imputed <- lapply(names, function(name) imputed_frame(x, data, name))
  names(imputed) <- names
  where <- matrix(FALSE, nrow(data), ncol(data), dimnames = list(row.names(data), names))
  for (name in names(x$where)) where[x$where[[name]], name] <- TRUE
  has_imputed <- names %in% names(x$where)
  chain <- chain_ends(imputed, x$m)
  structure(
    c(
      list(data = data, imp = imputed, m = x$m, where = where), mice_model(x, names, has_imputed),
      list(
        call = x$call, nmis = vapply(data, function(column) sum(is.na(column)), 0L), visitSequence = names,
        post = named_strings(names), ignore = rep(FALSE, nrow(data)), seed = NA, iteration = 1L,
        lastSeedValue = NULL, chainMean = chain$mean, chainVar = chain$variance, loggedEvents = NULL,
        version = tryCatch(utils::packageVersion("mice"), error = function(e) NULL), date = Sys.Date()
      )
    ),
    class = "mids"
  )
}

# The parts of a mids object that say how it was imputed: every incomplete column given all others.
mice_model <- function(x, names, has_imputed) {
  modelled <- !x$columns$type[match(names, x$columns$name)] %in% "carried"
  predictors <- outer(has_imputed, modelled, `&`) * 1
  diag(predictors) <- 0
  dimnames(predictors) <- list(names, names)
  calltype <- stats::setNames(rep("type", length(names)), names)
  blocks <- stats::setNames(as.list(names), names)
  attr(blocks, "calltype") <- calltype
  quoted <- lapply(names, as.name)
  formulas <- lapply(seq_along(names), function(j) {
    right <- quoted[predictors[j, ] > 0]
    right <- if (length(right)) Reduce(function(a, b) call("+", a, b), right) else 0
    stats::as.formula(call("~", quoted[[j]], right), env = globalenv())
  })
  method <- named_strings(names)
  method[has_imputed] <- "em_impute"
  list(blocks = blocks, method = method, predictorMatrix = predictors, formulas = stats::setNames(formulas, names),
       blots = stats::setNames(rep(list(list()), length(names)), names), calltype = calltype)
}

named_strings <- function(names) stats::setNames(rep("", length(names)), names)

# Mean and variance of the imputed values (variables x 1 x m), which are what mice calls the state of a chain.
chain_ends <- function(imputed, m) {
  shape <- c(length(imputed), 1L, m)
  labels <- list(names(imputed), "1", paste("Chain", seq_len(m)))
  summarise <- function(f) {
    values <- vapply(imputed, function(frame) {
      if (!nrow(frame)) return(rep(NaN, m))
      vapply(frame, function(column) {
        if (is.character(column)) column <- factor(column)
        f(as.numeric(column))
      }, 0)
    }, numeric(m))
    array(t(matrix(values, m)), shape, labels)
  }
  list(mean = summarise(mean), variance = summarise(stats::var))
}

#' @rdname as_mids
#' @export
as_mitml_list <- function(x) {
  check_imputation(x)
  structure(completed_frames(x), class = c("mitml.list", "list"))
}

#' @rdname as_mids
#' @export
as_imputation_list <- function(x) {
  check_imputation(x)
  structure(list(imputations = completed_frames(x), call = x$call), class = "imputationList")
}

check_imputation <- function(x, name = "x") {
  if (!inherits(x, "em_impute")) check_fails(name, "an imputation, the value of em_impute()", x)
  if (is.null(x$data)) require_data(x, "The conversion")
  if (is.null(x$m) || x$m < 1L) em_abort(sprintf("`%s` holds no imputation.", name), "no_imputation")
  invisible(x)
}

# The m completed data sets as plain data frames.
completed_frames <- function(x) {
  data <- plain_data_frame(x$data)
  values <- lapply(stats::setNames(names(x$imputed), names(x$imputed)), function(name) {
    imputed_frame(x, data, name)
  })
  lapply(seq_len(x$m), function(i) {
    for (name in names(values)) data[[name]][x$where[[name]]] <- values[[name]][[i]]
    data
  })
}

# Any rectangular data as a plain data frame; row names that are not unique go.
plain_data_frame <- function(data) {
  if (is.matrix(data)) {
    if (anyDuplicated(rownames(data))) rownames(data) <- NULL
    if (is.null(colnames(data))) colnames(data) <- paste0("V", seq_len(ncol(data)))
  }
  result <- as.data.frame(data, optional = TRUE, stringsAsFactors = FALSE)
  class(result) <- "data.frame"
  result
}

# The imputed values of a column as a data frame (missing cells x m; no rows for a complete column), in the column's
# own class. Row names are those of the data.
imputed_frame <- function(x, data, name) {
  rows <- x$where[[name]]
  columns <- if (length(rows)) {
    levels <- x$columns$levels[[match(name, x$columns$name)]]
    lapply(seq_len(x$m), function(i) decode_cells(x$imputed[[name]][, i], data[[name]], rows, levels))
  } else {
    rep(list(logical(0)), x$m)
  }
  structure(columns, names = as.character(seq_len(x$m)), row.names = row.names(data)[rows], class = "data.frame")
}

# Imputed numbers or codes as values of the column's class, with its attributes.
decode_cells <- function(values, column, rows, levels) {
  values <- as.vector(values)
  if (is.character(column)) return(levels[values])
  cells <- column[rows]
  if (is.factor(column)) {
    values <- as.integer(values)
  } else {
    storage.mode(values) <- storage.mode(column)
  }
  attributes(values) <- attributes(unname(cells))
  values
}
