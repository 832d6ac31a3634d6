// Weights of the rows in bootstrap replicates.
#pragma once
#include <cstddef>
#include <vector>

#include "../data/observations.h"
#include "../math/counter_rng.h"

namespace emkit {

enum class Resampling {
  kMultinomial,  // rows drawn with replacement, as counts
  kExponential,  // independent exponential weights, scaled to the number of rows (Newton & Raftery 1994)
  kParametric    // data simulated from given parameters, with the missing cells of the original
};

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
