# Whole searches, 1 to 9 components and all 14 structures, against mclust::Mclust: time and the BIC found.
# BIC has the sign of stats::BIC here (smaller is better); mclust's own is its opposite.
say("\nWhole search, 1:9 components x 14 structures")

if (has("mclust")) {
  attach_mclust()
  run_search <- function(x, label, target, repetitions) {
    found <- list()
    times <- interleave(list(
      ours = function() seconds(found$ours <<- {
        set.seed(1)
        suppressWarnings(emkit::em_gmm(x, n_components = 1:9, covariance = "all", control = em_control(threads = 2)))
      }),
      mclust = function() seconds(found$mclust <<- mclust::Mclust(x, G = 1:9, verbose = FALSE))
    ), repetitions)
    compare(label, times[, "ours"], times[, "mclust"], "mclust::Mclust", target)
    ours <- stats::BIC(found$ours)
    theirs <- -found$mclust$bic
    # mclust stops early, so that equal optima differ by its tolerance: 1e-4 of a unit is no difference.
    check(paste(label, "BIC"), ours <= theirs + 1e-4,
          sprintf("%.4f (%s, %d) against %.4f (%s, %d)", ours, found$ours$covariance, found$ours$n_components,
                  theirs, found$mclust$modelName, found$mclust$G))
  }
  repetitions <- if (quick) 3 else 7
  run_search(as.matrix(iris[, 1:4]), "iris", 1, repetitions)
  run_search(as.matrix(faithful), "faithful", 1, repetitions)
  run_search(simulate_overlapping(4000, 5, 4, spread = 2, seed = 3)$x, "n=4000 d=5, four components", 3,
             if (quick) 1 else 3)
}
