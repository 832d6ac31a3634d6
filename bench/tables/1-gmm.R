# Time per EM iteration from a fixed start (10 iterations), against mclust::me and ClusterR::GMM.
say("\nTime per iteration, fixed start, 10 iterations")

repetitions <- if (quick) 3 else 7

# emkit: plain EM, one or two threads.
ours <- function(data, code, threads) {
  start <- start_parameters(data)
  run <- function(iterations) {
    control <- em_control(tol = 0, max_iter = iterations, acceleration = "none", threads = threads)
    suppressWarnings(em_gmm(data$x, n_components = data$K, covariance = code, start = start, control = control))
  }
  # Ten times shorter than the peers' and so noisier: the difference over 40 iterations, per iteration.
  function() per_iteration(run, more = 40)
}

# mclust::me does an M-step from z first; tolerance 0 and itmax make it run as many iterations as asked. It does stop
# when the log-likelihood repeats to the last digit: attribute info is then not negative, and the run does not count.
mclust_me <- function(data, code) {
  z <- soft_posterior(data)
  run <- function(iterations) {
    fit <- mclust::me(data$x, modelName = code, z = z,
                      control = mclust::emControl(tol = c(0, 0), itmax = c(iterations, iterations)))
    if (attr(fit, "info")[1] >= 0) stop("mclust::me stopped before the iterations asked for")
    fit
  }
  function() per_iteration(run)
}

# ClusterR::GMM cannot be given a start: the same seed and one pass of k-means, and the difference of two
# lengths of the EM.
clusterr_gmm <- function(data) {
  run <- function(iterations) {
    ClusterR::GMM(data$x, data$K, dist_mode = "eucl_dist", seed_mode = "random_subset", km_iter = 1,
                  em_iter = iterations, full_covariance_matrices = TRUE, seed = 1)
  }
  function() per_iteration(run)
}

with_mclust <- has("mclust")
if (with_mclust) attach_mclust()
with_clusterr <- has("ClusterR")

# Each case: contenders in one interleaved run, then the comparisons that the targets name.
run_case <- function(data, code, kind, label, targets) {
  contenders <- list(one = ours(data, code, 1), two = ours(data, code, 2))
  if (with_mclust) contenders$mclust <- mclust_me(data, code)
  if (with_clusterr && !is.null(targets$clusterr)) contenders$clusterr <- clusterr_gmm(data)
  times <- interleave(contenders, repetitions)
  if (with_mclust) {
    for (threads in intersect(c("one", "two"), names(targets))) {
      text <- paste0(label, if (threads == "one") " (1 thread)" else " (2 threads)")
      compare(text, times[, threads], times[, "mclust"], "mclust::me", targets[[threads]])
    }
  }
  if ("clusterr" %in% colnames(times)) {
    compare(paste(label, "(2 threads)"), times[, "two"], times[, "clusterr"], "ClusterR::GMM", targets$clusterr)
  }
  for (threads in 1:2) {
    report_rate(kind, data$n, data$d, data$K, stats::median(times[, threads]), threads)
  }
}

wide <- simulate_overlapping(1e5, 10, 8, spread = 1, seed = 1)
run_case(wide, "VVV", "full", "VVV n=1e5 d=10 K=8", list(one = 50, two = 90, clusterr = 8))
run_case(wide, "EEE", "shared", "EEE n=1e5 d=10 K=8", list(one = 100))
run_case(wide, "VVI", "diagonal", "VVI n=1e5 d=10 K=8", list(one = 8))
run_case(wide, "EII", "shared", "EII n=1e5 d=10 K=8", list(one = 8))
high <- simulate_overlapping(2e4, 50, 5, spread = 0.5, seed = 2)
run_case(high, "VVV", "full", "VVV n=2e4 d=50 K=5", list(two = 25, clusterr = 8))
