// Bootstrap replicates of Gaussian mixtures, in parallel over replicates. Replicate b is a function of the key and b alone.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "gmm_grid.h"
#include "resampling.h"

namespace emkit {

struct GmmBootstrapPlan {
  Resampling resampling = Resampling::kMultinomial;
  size_t n_boot = 0;
  std::uint64_t key = 0;
  std::vector<GmmGridCell> cells;                    // fitted to every replicate
  std::map<size_t, std::vector<GmmStart>> starts;    // by the number of components
  GmmParameters parameters;                          // kParametric: to simulate from
  std::vector<double> noise_lower, noise_sides;      // kParametric with noise: its box
};

class GmmBootstrap {
 public:
  GmmBootstrap(const RawData& raw, const GmmBootstrapPlan& plan, const GmmOptions& options, const GmmControl& control,
               Interrupt& interrupt, Progress& progress)
      : raw_(raw), plan_(plan), options_(options), control_(control), interrupt_(interrupt), progress_(progress) {}

  // fits[b][cell]. A replicate on which nothing can be estimated (a constant column) has cells that are not fitted.
  std::vector<std::vector<GmmFit>> run(int threads) {
    if (plan_.resampling == Resampling::kParametric)
      for (const MatrixXd& s : plan_.parameters.covariances) roots_.push_back(s.llt().matrixL());
    return run_replicates<std::vector<GmmFit>>(plan_.n_boot, threads, stop_, interrupt_, progress_,
                                               [this](size_t b) { return replicate(b); });
  }

  bool stopped() const { return stop_.load(); }

 private:
  std::vector<GmmFit> replicate(size_t b) {
    CounterRng rng(plan_.key, b);
    RawData data = raw_;
    std::vector<double> weights, x;
    if (plan_.resampling == Resampling::kParametric) {
      x = simulate(rng);
      data.x = x.data();
    } else {
      weights = resampled_weights(plan_.resampling, raw_, rng);
      data.weights = weights.data();
    }
    const ColumnMoments moments = column_moments(data, 1);
    for (double sd : moments.sd)
      if (!(sd > 0.0) || !std::isfinite(sd)) return std::vector<GmmFit>(plan_.cells.size());
    GmmControl control = control_;
    control.key = rng.bits64();
    std::map<size_t, std::vector<GmmStart>> starts = plan_.starts;
    Progress inner;
    GmmData prepared(data, moments, 1);
    GmmGrid grid(prepared, prepared, options_, control, 1, interrupt_, inner);
    std::vector<GmmFit> fits = grid.fit(plan_.cells, starts);
    if (grid.stopped()) stop_.store(true);
    return fits;
  }

  std::vector<double> simulate(CounterRng& rng) const {
    const size_t n = raw_.n, d = raw_.d, gaussian = roots_.size();
    std::vector<double> x(n * d);
    VectorXd draw(static_cast<Index>(d));
    for (size_t i = 0; i < n; ++i) {
      size_t k = 0;
      const int label = raw_.labels ? raw_.labels[i] : kUnknownLabel;
      if (label == kUnknownLabel) {
        double u = rng.uniform();
        const size_t last = static_cast<size_t>(plan_.parameters.proportions.size()) - 1;
        for (; k < last; ++k) {
          u -= plan_.parameters.proportions(static_cast<Index>(k));
          if (u < 0.0) break;
        }
      } else {
        k = label == kNoiseLabel ? gaussian : static_cast<size_t>(label);
      }
      if (k < gaussian) {
        for (Index j = 0; j < draw.size(); ++j) draw(j) = rng.normal();
        draw = plan_.parameters.means.col(static_cast<Index>(k)) + roots_[k] * draw;
      } else {
        for (size_t j = 0; j < d; ++j)
          draw(static_cast<Index>(j)) = plan_.noise_lower[j] + plan_.noise_sides[j] * rng.uniform();
      }
      for (size_t j = 0; j < d; ++j) {
        const double original = raw_.x[j * n + i];
        x[j * n + i] = std::isnan(original) ? original : draw(static_cast<Index>(j));
      }
    }
    return x;
  }

  RawData raw_;
  const GmmBootstrapPlan& plan_;
  const GmmOptions& options_;
  const GmmControl& control_;
  Interrupt& interrupt_;
  Progress& progress_;
  std::vector<MatrixXd> roots_;  // Cholesky factors of the covariances to simulate from
  std::atomic<bool> stop_{false};
};

}  // namespace emkit
