# What the tables share: data, clocks, paired runs, and the report.

say <- function(...) {
  cat(sprintf(...), "\n", sep = "")
  flush(stdout())
}

has <- function(package) {
  found <- requireNamespace(package, quietly = TRUE)
  if (!found) say("  (%s is not installed: its rows are skipped)", package)
  found
}

# mclust looks its own functions up on the search path.
attach_mclust <- function() suppressPackageStartupMessages(library(mclust, warn.conflicts = FALSE))

# Wall clock of one evaluation, in seconds, to the microsecond.
seconds <- function(code) {
  begin <- Sys.time()
  force(code)
  as.numeric(difftime(Sys.time(), begin, units = "secs"))
}

# A mixture of K overlapping Gaussians. Overlap matters: with clusters far apart mclust::me() stops before the
# iterations asked for, because the log-likelihood no longer changes, and its time per iteration looks too good.
simulate_overlapping <- function(n, d, K, spread, seed) {
  set.seed(seed)
  means <- matrix(rnorm(d * K, sd = spread), d, K)
  label <- sample.int(K, n, TRUE)
  x <- matrix(rnorm(n * d), n, d)
  for (k in seq_len(K)) {
    rows <- which(label == k)
    root <- chol(crossprod(matrix(rnorm(2 * d * d), 2 * d)) / (2 * d))
    x[rows, ] <- x[rows, ] %*% root + rep(means[, k], each = length(rows))
  }
  list(x = x, label = label, n = n, d = d, K = K)
}

# Posteriors that say 0.9 for the true component: mclust::me() starts with an M-step from them.
soft_posterior <- function(data) {
  z <- matrix(0.1 / (data$K - 1), data$n, data$K)
  z[cbind(seq_len(data$n), data$label)] <- 0.9
  z
}

# The same start as parameters.
start_parameters <- function(data) {
  z <- soft_posterior(data)
  size <- colSums(z)
  means <- crossprod(data$x, z) / rep(size, each = data$d)
  covariances <- vapply(seq_len(data$K), function(k) {
    centred <- sweep(data$x, 2, means[, k])
    crossprod(centred * sqrt(z[, k])) / size[k]
  }, matrix(0, data$d, data$d))
  list(proportions = size / sum(size), means = means, covariances = covariances)
}

# Seconds per iteration: what `more` iterations take beyond 2, so that input checks, copies and what follows the last
# iteration cancel. run(iterations) does one fit.
per_iteration <- function(run, more = 10) {
  short <- seconds(run(2))
  long <- seconds(run(2 + more))
  (long - short) / more
}

# Interleaved paired runs: each repetition times every contender once, in turn, so that a slow spell of the machine
# hits all of them. contenders: named list of functions returning seconds. Returns a repetitions x contenders matrix.
interleave <- function(contenders, repetitions) {
  times <- matrix(0, repetitions, length(contenders), dimnames = list(NULL, names(contenders)))
  for (r in seq_len(repetitions)) for (name in names(contenders)) {
    gc(FALSE)
    times[r, name] <- contenders[[name]]()
  }
  times
}

# The report of one comparison: the median over the repetitions of the ratio peer / ours.
verdicts <- new.env()
verdicts$rows <- list()
compare <- function(case, ours, peer, peer_name, target) {
  ratio <- stats::median(peer / ours)
  reached <- ratio >= target
  say("  %-44s %9.2f ms | %-16s %9.2f ms | ratio %6.1fx (%.1f to %.1f), target %gx: %s",
      case, 1e3 * stats::median(ours), peer_name, 1e3 * stats::median(peer), ratio, min(peer / ours),
      max(peer / ours), target, if (reached) "reached" else "NOT REACHED")
  verdicts$rows[[length(verdicts$rows) + 1]] <- list(case = paste(case, "against", peer_name), reached = reached)
}

# A comparison that is not a ratio of times.
check <- function(case, reached, text) {
  say("  %-44s %s: %s", case, text, if (reached) "reached" else "NOT REACHED")
  verdicts$rows[[length(verdicts$rows) + 1]] <- list(case = case, reached = reached)
}

print_verdict <- function() {
  reached <- vapply(verdicts$rows, `[[`, TRUE, "reached")
  say("\n%d of %d targets reached", sum(reached), length(reached))
  for (row in verdicts$rows[!reached]) say("  not reached: %s", row$case)
}

# One line of /proc or "unknown".
cpu_name <- function() {
  lines <- tryCatch(readLines("/proc/cpuinfo"), error = function(e) character())
  name <- grep("^model name", lines, value = TRUE)
  if (length(name)) sub(".*: ", "", name[1]) else Sys.info()[["machine"]]
}

# GFLOP/s of R's own matrix product on one thread (2 n^3 flops): the BLAS that R is linked to.
dgemm_rate <- function(n = 1000) {
  a <- matrix(stats::rnorm(n * n), n)
  2 * n^3 / min(replicate(3, seconds(a %*% a))) / 1e9
}

# GFLOP/s of multiply-adds in registers with the given instruction set (peak.c), or NA without a compiler.
peak_rate <- function(isa) {
  folder <- tempfile("peak")
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  file.copy(file.path(bench_dir, "peak.c"), folder)
  library_file <- file.path(folder, paste0("peak", .Platform$dynlib.ext))
  built <- system2(file.path(R.home("bin"), "R"), c("CMD", "SHLIB", shQuote(file.path(folder, "peak.c"))),
                   stdout = FALSE, stderr = FALSE)
  if (built != 0 || !file.exists(library_file)) return(NA_real_)
  dll <- dyn.load(library_file)
  on.exit(dyn.unload(library_file), add = TRUE, after = FALSE)
  max(vapply(1:5, function(i) {
    done <- NULL
    took <- seconds(done <- .Call(dll$fma_rounds, isa, 2e7))
    done[1] / took / 1e9
  }, 0))
}

print_machine <- function() {
  say("processor %s, %d cores; %s; %s", cpu_name(), parallel::detectCores(), R.version.string,
      utils::sessionInfo()$running)
  say("emkit %s, kernels for %s (available: %s)", utils::packageVersion("emkit"), emkit:::kernel_isa_(),
      paste(emkit:::kernel_isa_available_(), collapse = ", "))
  for (package in c("mclust", "ClusterR", "norm2", "Amelia", "mice", "depmixS4", "HiddenMarkov", "fad",
                    "turboEM")) {
    if (requireNamespace(package, quietly = TRUE)) say("%s %s", package, utils::packageVersion(package))
  }
  machine$dgemm <- dgemm_rate()
  machine$peak <- peak_rate(emkit:::kernel_isa_())
  say("DGEMM by R's BLAS (%s): %.1f GFLOP/s on one thread", extSoftVersion()[["BLAS"]], machine$dgemm)
  say("multiply-adds in registers (the ceiling of any DGEMM): %.1f GFLOP/s on one thread", machine$peak)
}
machine <- new.env()

# The flop rate of an iteration, beside DGEMM's.
#   full: per row and component, d subtractions, d (d + 1) for the triangular solve, 2d for the squared norm;
#         d (d + 1) for the lower triangle of the scatter, 2d for its scaled residual, 2d for the sums.
#   diagonal: 3d for the density, 5d for sums and squares.   shared: 2d for the linear score, 2d for the sums.
#   and 20 for the log-sum-exp and the posterior.
flops <- function(kind, n, d, K) {
  n * K * (20 + switch(kind, full = 2 * d * (d + 1) + 7 * d, diagonal = 8 * d, shared = 4 * d))
}
report_rate <- function(kind, n, d, K, time, threads) {
  rate <- flops(kind, n, d, K) / time / 1e9
  say("    %s sweep, %d thread%s: %.1f GFLOP/s = %.0f%% of the ceiling, %.1f times R's DGEMM", kind, threads,
      if (threads > 1) "s" else "", rate, 100 * rate / (machine$peak * threads), rate / (machine$dgemm * threads))
}

# Peak memory of a fit, in a process of its own, as a multiple of its data, which take `megabytes`. `warm_up`: a small fit;
# what the libraries themselves need is no part of the answer. `data` and `fit` are lines of R.
check_memory <- function(case, limit, megabytes, warm_up, data, fit) {
  if (!file.exists("/proc/self/status")) return(say("  (memory needs /proc: skipped)"))
  script <- tempfile(fileext = ".R")
  on.exit(unlink(script))
  writeLines(c(
    "library(emkit)",
    "kb <- function(field) as.numeric(gsub('[^0-9]', '', grep(field, readLines('/proc/self/status'), value = TRUE)))",
    sprintf("invisible(%s)", warm_up),
    "set.seed(1)", data, "rm(b); invisible(gc())",
    "writeLines('5', '/proc/self/clear_refs')  # forget the peak of making the data",
    "before <- kb('VmRSS')",
    sprintf("took <- system.time(fit <- suppressWarnings(%s))[[3]]", fit),
    sprintf("cat(1 + (kb('VmHWM') - before) / (%g * 1e6 / 1024), took, fit$iterations)", megabytes)), script)
  out <- system2(file.path(R.home("bin"), "Rscript"), shQuote(script), stdout = TRUE, stderr = TRUE)
  numbers <- suppressWarnings(as.numeric(strsplit(utils::tail(out, 1), " ")[[1]]))
  fine <- length(numbers) == 3 && !anyNA(numbers)
  check(case, fine && numbers[1] < limit, if (fine) {
    sprintf("%.2f times the data, at most %g (%.1f s for starts and %d iterations)", numbers[1], limit, numbers[2], numbers[3])
  } else paste(out, collapse = " / "))
}
