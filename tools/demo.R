# make demo: fits real data end to end, shows what a user would look at, writes plots into demo-out/,
# and compares with stored values. Ends with "demo: all results match the stored values" or status 1.
#
# A new model joins with one entry of `sections`: a function that fits, prints, plots by save_plot()
# and compares by expect_value().
suppressPackageStartupMessages(library(emkit))
options(width = 90)
out <- "demo-out"
dir.create(out, showWarnings = FALSE)
unlink(file.path(out, "*.png"))

mismatches <- character()

# Compares with a stored value and says so. Character values must be equal; numbers may differ by `tol`,
# NA counts as different.
expect_value <- function(what, value, stored, tol = 0) {
  same <- if (is.character(stored)) identical(as.character(value), stored) else
    isTRUE(length(value) == length(stored) && all(abs(value - stored) <= tol))
  show <- function(x) paste(if (is.character(x)) x else format(x, digits = 12, trim = TRUE), collapse = " ")
  cat(sprintf("  %-6s %-44s %-22s stored %s\n", if (same) "ok" else "DIFFERS", what, show(value), show(stored)))
  if (!same) mismatches <<- c(mismatches, what)
}

# Draws into demo-out/<name>.png and checks that a picture came of it.
save_plot <- function(name, draw) {
  file <- file.path(out, paste0(name, ".png"))
  grDevices::png(file, width = 1400, height = 1000, res = 160)
  tryCatch(draw(), finally = grDevices::dev.off())
  if (!isTRUE(file.size(file) > 2000)) mismatches <<- c(mismatches, paste("the plot", file))
  cat("  wrote ", file, "\n", sep = "")
}

# Stored values hold to many digits, so fits from a fixed start go on until nothing changes.
tight <- em_control(tol = 1e-13, max_iter = 20000)

# Start values from a partition of incomplete data: shares, means of what is observed in each group,
# and in every component the variance of each column.
start_from_groups <- function(x, group) {
  group <- as.integer(factor(group))
  k <- max(group)
  list(
    proportions = as.vector(table(group)) / length(group),
    means = sapply(seq_len(k), function(j) colMeans(x[group == j, , drop = FALSE], na.rm = TRUE)),
    covariances = array(diag(apply(x, 2, var, na.rm = TRUE)), c(ncol(x), ncol(x), k))
  )
}

# The data with a regular pattern of missing cells.
drop_cells <- function(x, is_missing) {
  x <- as.matrix(x)
  x[is_missing(row(x), col(x))] <- NA
  x
}

sections <- list(
  "faithful: choosing the covariance structure and the number of components" = function() {
    set.seed(1)
    fit <- em_gmm(faithful, n_components = 1:9)
    print(summary(fit))
    for (type in c("classification", "density", "uncertainty", "selection", "trace", "starts")) {
      save_plot(paste0("faithful-", type), function() plot(fit, type))
    }
    expect_value("faithful: structure chosen", fit$covariance, "EEE")
    expect_value("faithful: components chosen", fit$n_components, 3)
    expect_value("faithful: log-likelihood", fit$loglik, -1126.31592782, 1e-4)
    expect_value("faithful: BIC", BIC(fit), 2 * 1126.31592782 + 11 * log(272), 2e-4)
  },

  "iris: the same, four variables" = function() {
    set.seed(1)
    fit <- em_gmm(iris[, 1:4], n_components = 1:9)
    print(summary(fit))
    print(table(component = fit$classification, species = iris$Species))
    for (type in c("classification", "selection")) {
      save_plot(paste0("iris-", type), function() plot(fit, type))
    }
    expect_value("iris: structure chosen", fit$covariance, "VEV")
    expect_value("iris: components chosen", fit$n_components, 2)
    expect_value("iris: log-likelihood", fit$loglik, -215.725972, 1e-4)
    expect_value("iris: number of parameters", fit$df, 26)
  },

  "iris: three components from the species, by structure" = function() {
    stored <- c(EII = -401.80217579, EEE = -256.35404313, EVE = -234.14023506, VVE = -214.05320779,
                VEV = -186.07328340, EVV = -205.53588082, VVV = -180.18547713)
    for (covariance in names(stored)) {
      fit <- em_gmm(iris[, 1:4], n_components = 3, covariance = covariance, start = iris$Species,
                    control = tight)
      expect_value(paste("iris:", covariance), fit$loglik, stored[[covariance]], 1e-6)
    }
    fit <- em_gmm(iris[, 1:4], 3, "VVV", start = iris$Species, weights = 1 + seq_len(150) %% 3,
                  control = tight)
    expect_value("iris: VVV with weights", fit$loglik, -337.51405367, 1e-6)
    fit <- em_gmm(iris[, 1:4], 3, "VVV", start = iris$Species, equal_proportions = TRUE,
                  control = tight)
    expect_value("iris: VVV with equal proportions", fit$loglik, -180.65932542, 1e-6)
  },

  "iris and faithful with missing cells: exact observed-data likelihood" = function() {
    x <- drop_cells(iris[, 1:4], function(i, j) (7 * i + 5 * j) %% 11 == 0 | (i %% 10 == 0 & j == 2))
    stored <- c(EEE = -249.04124378, VEE = -230.20651166, VVE = -206.40411622, VVV = -174.24248208)
    for (covariance in names(stored)) {
      fit <- em_gmm(x, 3, covariance, start = start_from_groups(x, iris$Species), control = tight)
      expect_value(paste("iris with 68 cells missing:", covariance), fit$loglik,
                   stored[[covariance]], 1e-6)
    }
    first <- head(which(rowSums(is.na(x)) > 0), 3)
    cat("\n  the first rows with missing cells:\n")
    print(x[first, ])
    cat("\n  and with their conditional means:\n")
    print(round(predict(fit, type = "imputed")[first, ], 3))
    cat("\n")
    x <- drop_cells(faithful, function(i, j) (3 * i + 2 * j) %% 7 == 0)
    stored <- c(EEE = -998.12166203, VVV = -990.43452068)
    for (covariance in names(stored)) {
      fit <- em_gmm(x, 2, covariance, start = start_from_groups(x, faithful$eruptions > 3),
                    control = tight)
      expect_value(paste("faithful with 78 cells missing:", covariance), fit$loglik,
                   stored[[covariance]], 1e-6)
    }
  },

  "the quick start of README.md, as it stands there" = function() {
    text <- readLines("README.md")
    from <- grep("^```r", text)
    from <- from[from > grep("^## Quick start", text)][1]
    code <- text[seq(from + 1, grep("^```$", text[-seq_len(from)])[1] + from - 1)]
    expect_value("README: lines of the quick start at most 12", as.numeric(length(code) <= 12), 1)
    grDevices::png(file.path(out, "readme.png"), width = 1400, height = 1000, res = 160)
    on.exit(grDevices::dev.off())
    environment <- new.env(parent = globalenv())
    expressions <- parse(text = code, keep.source = TRUE)
    for (i in seq_along(expressions)) {
      cat(paste(">", as.character(attr(expressions, "srcref")[[i]])), sep = "\n")
      result <- withVisible(eval(expressions[[i]], environment))
      if (result$visible) print(result$value)
    }
  }
)

began <- proc.time()[["elapsed"]]
for (title in names(sections)) {
  cat("\n== ", title, "\n\n", sep = "")
  tryCatch(sections[[title]](), error = function(e) {
    cat("  FAILED ", conditionMessage(e), "\n", sep = "")
    mismatches <<- c(mismatches, paste0("an error in '", title, "'"))
  })
}
cat(sprintf("\n%.1f seconds; the plots are in %s/\n", proc.time()[["elapsed"]] - began, out))
if (length(mismatches)) {
  cat("demo: FAILED: ", paste(mismatches, collapse = "; "), "\n", sep = "")
  quit(status = 1)
}
cat("demo: all results match the stored values\n")
