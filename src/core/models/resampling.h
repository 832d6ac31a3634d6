// Bootstrap replicates: the loop over them, and the weights of their rows.
#pragma once
#include <atomic>
#include <cstddef>
#include <vector>

#include "../data/observations.h"
#include "../math/counter_rng.h"
#include "../parallel/progress.h"
#include "../parallel/reduce.h"

namespace emkit {

enum class Resampling {
  kMultinomial,  // rows drawn with replacement, as counts
  kExponential,  // independent exponential weights, scaled to the number of rows (Newton & Raftery 1994)
  kParametric    // data simulated from given parameters, with the missing cells of the original
};

// out[b] = replicate(b) for b < n, in parallel; what follows an interrupt, which sets `stop`, stays empty.
template <class Result, class Replicate>
std::vector<Result> run_replicates(size_t n, int threads, std::atomic<bool>& stop, Interrupt& interrupt,
                                   Progress& progress, const Replicate& replicate) {
  std::vector<Result> out(n);
  progress.total = n;
  parallel_tasks(n, threads, [&](size_t b) {
    if (interrupt.pending()) stop.store(true);
    if (stop.load()) return;
    out[b] = replicate(b);
    progress.done.fetch_add(1);
  });
  return out;
}

// For kMultinomial and kExponential: what was drawn times the user's own weights.
inline std::vector<double> resampled_weights(Resampling resampling, const RawData& raw, CounterRng& rng) {
  const size_t n = raw.n;
  std::vector<double> weights(n, 0.0);
  if (resampling == Resampling::kMultinomial) {
    for (size_t i = 0; i < n; ++i) weights[rng.below(n)] += 1.0;
  } else {
    double total = 0.0;
    for (double& w : weights) total += w = rng.exponential();
    for (double& w : weights) w *= static_cast<double>(n) / total;
  }
  if (raw.weights)
    for (size_t i = 0; i < n; ++i) weights[i] *= raw.weights[i];
  return weights;
}

}  // namespace emkit
