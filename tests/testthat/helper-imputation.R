# Imputations made by hand, in the layout of em_impute(): for the tests of what is done with imputations.

# Columns of many classes with holes; `weight` is complete and `note` is carried through.
data_with_holes <- function(n = 40) {
  with_seed(1, {
    data <- data.frame(
      height = stats::rnorm(n, 170, 8), children = stats::rpois(n, 2), smokes = stats::runif(n) < 0.3,
      grade = factor(sample(c("low", "mid", "high"), n, TRUE), c("low", "mid", "high"), ordered = TRUE),
      region = factor(sample(c("north", "south", "west"), n, TRUE)), town = sample(c("Ayr", "Bath", "Cork"), n, TRUE),
      visit = as.Date("2020-01-01") + sample(300, n),
      seen = as.POSIXct("2020-01-01", tz = "UTC") + stats::runif(n, 0, 1e6),
      weight = stats::rnorm(n, 70, 9), note = rep(c("a", NA), length.out = n)
    )
    for (j in 1:8) data[sample(n, 3 + j), j] <- NA
    row.names(data) <- paste0("id", seq_len(n))
    data
  })
}

# The imputation object: observed values drawn at random. Also the completed data, found in another way.
imputation_by_hand <- function(data = data_with_holes(), m = 3, seed = 5, carried = "note") {
  incomplete <- setdiff(names(data)[vapply(data, anyNA, TRUE)], carried)
  where <- lapply(data[incomplete], function(column) which(is.na(column)))
  levels <- lapply(data, function(column) {
    if (is.factor(column)) levels(column) else if (is.character(column)) sort(unique(column))
  })
  imputed <- with_seed(seed, lapply(incomplete, function(name) {
    column <- data[[name]]
    codes <- if (is.character(column)) match(column, levels[[name]]) else unclass(column)
    pool <- as.vector(codes[!is.na(codes)])
    matrix(sample(pool, length(where[[name]]) * m, TRUE), ncol = m, dimnames = list(NULL, seq_len(m)))
  }))
  names(imputed) <- incomplete
  columns <- data.frame(name = names(data), class = vapply(data, function(x) class(x)[1L], ""), type = "continuous",
                        n_missing = vapply(data, function(x) sum(is.na(x)), 0L))
  columns$type[columns$name %in% carried] <- "carried"
  columns$action <- ifelse(columns$type == "carried", "carried", "complete")
  columns$action[names(data) %in% incomplete] <- "imputed"
  columns$levels <- unname(levels)
  structure(
    list(data = data, imputed = imputed, where = where, m = m, columns = columns, model = "latent",
         method = "posterior",
         draws = list(mean = matrix(seq_len(2 * m), 2), covariance = array(diag(2), c(2, 2, m))),
         chain = list(spacing = 9, trace = data.frame(iteration = 1, chain = seq_len(m), value = 0)),
         call = quote(em_impute(data, m = 3))),
    class = c("em_impute", "em_fit")
  )
}

# The i-th completed data, cell by cell.
completed_by_hand <- function(x, i) {
  data <- x$data
  for (name in names(x$imputed)) {
    for (cell in seq_along(x$where[[name]])) {
      value <- x$imputed[[name]][cell, i]
      observed <- data[[name]][!is.na(data[[name]])]
      # a value that was drawn from the observed ones: the same one
      codes <- if (is.character(observed)) match(observed, sort(unique(observed))) else as.numeric(observed)
      data[[name]][x$where[[name]][cell]] <- observed[match(as.numeric(value), codes)]
    }
  }
  data
}

# Data sets that differ in the values of some cells, and fits to them.
imputed_air <- function(m = 10, seed = 1) {
  with_seed(seed, {
    air <- transform(airquality, log_ozone = log(Ozone), month = factor(Month))
    fit <- lm(log_ozone ~ Wind + Temp, air)
    lost <- is.na(air$Ozone)
    lapply(seq_len(m), function(i) {
      draw <- predict(fit, air[lost, ]) + rnorm(sum(lost), sd = sigma(fit))
      data <- replace(air, "log_ozone", replace(air$log_ozone, lost, draw))
      transform(data, high = as.integer(log_ozone > 3.4))
    })
  })
}
