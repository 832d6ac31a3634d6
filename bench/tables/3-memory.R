# Peak memory of a fit of n = 1e7, d = 2, K = 5, as a multiple of the data (160 MB), in a process of its own.
say("\nMemory, n = 1e7, d = 2, K = 5")

if (!file.exists("/proc/self/status")) {
  say("  (needs /proc: skipped)")
} else {
  script <- tempfile(fileext = ".R")
  writeLines(c(
    "n <- 1e7",
    "library(emkit)",
    "kb <- function(field) as.numeric(gsub('[^0-9]', '', grep(field, readLines('/proc/self/status'), value = TRUE)))",
    # A small fit first: what the libraries themselves need is no part of the answer.
    "invisible(em_gmm(faithful, n_components = 2, covariance = 'VVV'))",
    "set.seed(1)",
    "x <- matrix(0, n, 2)",
    "for (j in 1:2) for (b in split(seq_len(n), ceiling(seq_len(n) / 1e6))) {",
    "  x[b, j] <- rnorm(length(b)) + 3 * ((b + j) %% 5)",
    "}",
    "rm(b); invisible(gc())",
    "writeLines('5', '/proc/self/clear_refs')  # forget the peak of making the data",
    "before <- kb('VmRSS')",
    "took <- system.time(fit <- suppressWarnings(em_gmm(x, n_components = 5, covariance = 'VVV',",
    "                    control = em_control(max_iter = 20))))[[3]]",
    "peak <- kb('VmHWM')",
    "data <- n * 2 * 8 / 1024",
    "cat(1 + (peak - before) / data, took, fit$iterations)"), script)
  out <- system2(file.path(R.home("bin"), "Rscript"), shQuote(script), stdout = TRUE, stderr = TRUE)
  unlink(script)
  numbers <- suppressWarnings(as.numeric(strsplit(utils::tail(out, 1), " ")[[1]]))
  if (length(numbers) == 3 && !anyNA(numbers)) {
    check("peak memory over the size of the data", numbers[1] < 2,
          sprintf("%.2f times the data (%.1f s for starts and %d iterations)", numbers[1], numbers[2], numbers[3]))
  } else {
    check("peak memory over the size of the data", FALSE, paste(out, collapse = " / "))
  }
}
