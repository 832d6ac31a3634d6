# Runs tests/testthat against the installed package:  Rscript tools/run-tests.R [filter]
# Prints a line for every file, each failure in full, and at the end "N passed, N failed". What is
# counted is test_that() blocks; an error outside a block, or a file that does not parse, is one failure.
filter <- commandArgs(trailingOnly = TRUE)
filter <- if (length(filter) && nzchar(filter[1])) filter[1]
tally_file <- Sys.getenv("EMKIT_TALLY")

suppressPackageStartupMessages({
  library(testthat)
  library(emkit)
})
Sys.setenv(NOT_CRAN = "true", TESTTHAT_PKG = "emkit")
options(device = function(...) grDevices::pdf(NULL), testthat.progress.max_fails = Inf)

folder <- file.path("tests", "testthat")
files <- sort(list.files(folder, "^test.*\\.[rR]$"))
if (!is.null(filter)) files <- grep(filter, files, value = TRUE)

# Where a condition came from, as "file:line".
place <- function(file, condition) {
  line <- condition$srcref[1]
  if (is.null(line) || is.na(line)) file else paste0(file, ":", line)
}

# The outcome of one file: counts, and the texts of failures and skips.
run_file <- function(file) {
  outcome <- list(passed = 0L, failed = 0L, skipped = 0L, warnings = 0L, problems = character(),
                  skips = character())
  fail <- function(where, text) {
    outcome$failed <<- outcome$failed + 1L
    outcome$problems <<- c(outcome$problems, paste0(where, "\n", text))
  }
  results <- tryCatch(
    {
      reporter <- ListReporter$new()
      test_file(file.path(folder, file), reporter = reporter, package = "emkit",
                load_package = "installed", stop_on_failure = FALSE)
      reporter$get_results()
    },
    error = function(e) {
      fail(file, paste("the file could not be run:", conditionMessage(e)))
      list()
    }
  )
  for (test in results) {
    is <- function(class) vapply(test$results, inherits, NA, class)
    bad <- test$results[is("expectation_failure") | is("expectation_error")]
    skip <- test$results[is("expectation_skip")]
    outcome$warnings <- outcome$warnings + sum(is("expectation_warning"))
    title <- if (length(test$test) && !is.na(test$test) && nzchar(test$test)) test$test
    if (length(bad)) {
      text <- vapply(bad, function(e) {
        paste0("  ", place(file, e), ": ", gsub("\n", "\n    ", conditionMessage(e)))
      }, "")
      fail(paste0(file, ": ", if (is.null(title)) "(outside any test)" else title),
           paste(text, collapse = "\n"))
    } else if (length(skip)) {
      outcome$skipped <- outcome$skipped + 1L
      outcome$skips <- c(outcome$skips, conditionMessage(skip[[1]]))
    } else if (!is.null(title)) {
      # A file's code outside its tests counts only when it goes wrong.
      outcome$passed <- outcome$passed + 1L
    }
  }
  outcome
}

total <- list(passed = 0L, failed = 0L, skipped = 0L)
skips <- problems <- character()
warnings <- 0L
for (file in files) {
  seconds <- system.time(outcome <- run_file(file))[["elapsed"]]
  for (what in names(total)) total[[what]] <- total[[what]] + outcome[[what]]
  skips <- c(skips, outcome$skips)
  problems <- c(problems, outcome$problems)
  warnings <- warnings + outcome$warnings
  if (nzchar(tally_file)) writeLines(paste(unlist(total), collapse = " "), tally_file)
  cat(sprintf("%-42s %4d passed %3d failed %3d skipped %6.1f s\n", file, outcome$passed,
              outcome$failed, outcome$skipped, seconds))
  if (length(outcome$problems)) cat(paste0("\n", outcome$problems, "\n"), "\n", sep = "")
}

if (!length(files)) {
  total$failed <- 1L
  cat("no test files", if (!is.null(filter)) paste(" match", filter), "\n", sep = "")
}
if (length(skips)) {
  reasons <- sort(table(sub("^Reason: ", "", skips)), decreasing = TRUE)
  cat("\nskipped:\n", sprintf("  %3d  %s\n", as.integer(reasons), names(reasons)), sep = "")
}
if (warnings) cat("\n", warnings, " warnings\n", sep = "")
if (length(problems)) cat("\nfailed:\n", paste0("  ", sub("\n.*", "", problems), "\n"), sep = "")

cat("\n", sprintf("%d passed, %d failed", total$passed, total$failed),
    if (total$skipped) sprintf(", %d skipped", total$skipped), "\n", sep = "")
if (nzchar(tally_file)) invisible(file.create(paste0(tally_file, ".done")))
quit(status = as.integer(total$failed > 0))
