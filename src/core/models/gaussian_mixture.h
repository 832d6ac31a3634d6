// Gaussian mixtures: a covariance structure and a number of components (a cell), as a model on scaled data. Everything
// here speaks the user's units at its edges and scaled units inside.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../em/control.h"
#include "../em/result.h"
#include "../emission/gaussian.h"
#include "latent_class.h"
#include "multi_start.h"
#include "scaled_data.h"

namespace emkit {

struct GmmParameters {
  VectorXd proportions;               // K, or K + 1 with noise last
  MatrixXd means;                     // d x K
  std::vector<MatrixXd> covariances;  // K of d x d
};

// What all cells of a grid share.
struct GmmOptions {
  bool equal_proportions = false;
  std::vector<double> fixed_proportions;   // NaN where free
  std::vector<double> noise_log_sides;     // user units; empty: no noise component
  double noise_start = 0.05;               // its first proportion where the start does not give one
  std::vector<unsigned char> noise_rows;   // n or empty: rows that a random start calls noise
  std::shared_ptr<const GaussianPrior> prior;   // user units
  bool prior_scale_by_size = false;        // the scale is the data's covariance, to be shared out over K components
  std::vector<bool> fixed_mean, fixed_covariance;
  GmmParameters fixed;                     // where fixed, user units
  bool collapse_guard = true;              // see GaussianOptions
};

// Its state are the parameters, in the units of its data: a way by the user's units would round.
class GaussianMixture final : public LatentClass<GaussianEmission> {
 public:
  using State = GmmParameters;

  GaussianMixture(const Observations& data, const IndependentOptions& proportions, size_t n_proportions,
                  GaussianEmission emission, const Execution& execution)
      : LatentClass(data, Independent(n_proportions, proportions), std::move(emission), execution),
        bound_proportions_(proportions.equal || !proportions.fixed.empty()) {}

  State state() const {
    State p;
    p.proportions = latent().proportions();
    p.means = emission().means();
    for (size_t k = 0; k < emission().n_components(); ++k) p.covariances.push_back(emission().covariance(k));
    return p;
  }

  bool set_state(const State& p) {
    if (bound_proportions_)
      latent().m_step(p.proportions);
    else
      latent().set_proportions(p.proportions);
    // The counts only weigh covariances that the structure has to bring together.
    const VectorXd counts = latent().proportions().head(p.means.cols()).cwiseMax(kSmallestShare);
    return emission().set_parameters(p.means, p.covariances, counts);
  }

 private:
  static constexpr double kSmallestShare = 1e-6;

  bool bound_proportions_;  // some are fixed, or all are equal
};

// Where a run starts.
struct GmmStart {
  enum class Kind { kParameters, kPosterior, kPartition, kKmeans, kKmeansWhitened, kRandom };
  Kind kind = Kind::kKmeans;
  std::string method;                 // as the table of starts names it
  GmmParameters parameters;           // kParameters, user units
  const double* posterior = nullptr;  // kPosterior: n x (K or K + 1), column-major
  size_t posterior_columns = 0;
  std::vector<int> partition;         // kPartition: n labels from 0; -1: no say
  std::uint64_t stream = 0;           // of the random ones
};

struct GmmFit {
  GmmParameters parameters;           // user units
  EmResult run;                       // of the best start, objective in user units
  std::vector<StartOutcome> starts;   // objectives in user units
  double map_entropy = 0.0;           // sum_i w_i log max_k z_ik
  VectorXd sizes;                     // posterior size of each component
  VectorXd relative_variance;         // K: least variance of a component relative to the data's, over directions
  bool fitted = false;
};

struct GmmControl {
  MultiStartControl run;
  std::uint64_t key = 0;              // of the random starts
};

// One cell: a covariance structure and a number of components.
class GmmCell {
 public:
  GmmCell(const CovarianceEntry& entry, size_t n_components, const GmmOptions& options)
      : entry_(entry), k_(n_components), options_(options) {}

  // A model of the cell on scaled data, without parameters yet.
  std::unique_ptr<GaussianMixture> model(const ScaledData& data, const Execution& execution) const {
    const bool noise = !options_.noise_log_sides.empty();
    GaussianOptions g;
    const size_t d = data.observations().d();
    if (noise)
      for (size_t j = 0; j < d; ++j) g.noise_log_sides.push_back(options_.noise_log_sides[j] - data.log_scale(j));
    if (options_.prior) {
      auto prior = std::make_shared<GaussianPrior>(*options_.prior);
      prior->mean = data.to_scaled_mean(prior->mean);
      prior->scale = data.to_scaled_covariance(prior->scale);
      // K balls of equal volume that fill the volume of one.
      if (options_.prior_scale_by_size)
        prior->scale *= std::pow(static_cast<double>(k_), -2.0 / static_cast<double>(d));
      g.prior = prior;
    }
    g.fixed_mean = options_.fixed_mean;
    g.fixed_covariance = options_.fixed_covariance;
    g.collapse_guard = options_.collapse_guard;
    IndependentOptions l;
    l.equal = options_.equal_proportions;
    l.noise = noise;
    l.fixed = options_.fixed_proportions;
    const bool scatter = !noise && !data.observations().has_missing();
    return std::unique_ptr<GaussianMixture>(
        new GaussianMixture(data.observations(), l, k_ + (noise ? 1 : 0),
                            GaussianEmission(entry_, d, k_, data.reference(scatter), g), execution));
  }

  // False when the start has no M-step.
  bool start(GaussianMixture& model, const ScaledData& data, const GmmStart& start) const {
    bool usable = false;
    switch (start.kind) {
      case GmmStart::Kind::kParameters: {
        return set_parameters(model, data, start.parameters);
      }
      case GmmStart::Kind::kPosterior: {
        const size_t n = data.observations().raw().n;
        usable = model.start_from_posterior([&](size_t row, size_t k) {
          return k < start.posterior_columns ? start.posterior[k * n + row] : 0.0;
        });
        break;
      }
      default: {
        usable = model.start_from_posterior(
            [&](size_t row, size_t k) { return start.partition[row] == static_cast<int>(k) ? 1.0 : 0.0; });
      }
    }
    if (!usable) return false;
    if (!options_.noise_log_sides.empty()) {
      VectorXd p = model.latent().proportions();
      const Index last = p.size() - 1;
      if (!(p(last) > 0.0)) {
        p *= 1.0 - options_.noise_start;
        p(last) = options_.noise_start;
        model.latent().set_proportions(p);
      }
    }
    return apply_fixed(model, data);
  }

  // In the user's units; fixed ones take the place of those given.
  bool set_parameters(GaussianMixture& model, const ScaledData& data, const GmmParameters& p) const {
    GmmParameters scaled;
    scaled.proportions = p.proportions;
    scaled.means.resize(p.means.rows(), p.means.cols());
    for (size_t k = 0; k < k_; ++k) {
      const Index at = static_cast<Index>(k);
      const bool fixed_mean = !options_.fixed_mean.empty() && options_.fixed_mean[k];
      const bool fixed_cov = !options_.fixed_covariance.empty() && options_.fixed_covariance[k];
      scaled.means.col(at) = data.to_scaled_mean(fixed_mean ? options_.fixed.means.col(at) : p.means.col(at));
      scaled.covariances.push_back(
          data.to_scaled_covariance(fixed_cov ? options_.fixed.covariances[k] : p.covariances[k]));
    }
    return model.set_state(scaled);
  }

  GmmParameters to_user(const GmmParameters& scaled, const ScaledData& data) const {
    GmmParameters p = scaled;
    for (size_t k = 0; k < k_; ++k) {
      p.means.col(static_cast<Index>(k)) = data.to_user_mean(scaled.means.col(static_cast<Index>(k)));
      p.covariances[k] = data.to_user_covariance(scaled.covariances[k]);
    }
    return p;
  }

  // The objective of the scaled data in the user's units.
  Objective to_user(Objective o, const ScaledData& data) const {
    o.loglik -= data.log_jacobian();
    if (options_.prior) {
      const double d = static_cast<double>(data.observations().d()), k = static_cast<double>(k_);
      const double wishart = (options_.prior->df + d + 1.0) * (is_pooled(entry_.form) ? 1.0 : k);
      o.log_prior -= data.total_log_scale() * ((options_.prior->shrinkage > 0.0 ? k : 0.0) + wishart);
    }
    return o;
  }

  const CovarianceEntry& entry() const { return entry_; }
  size_t n_components() const { return k_; }

 private:
  // A start from posteriors knows nothing of fixed parameters: put them in.
  bool apply_fixed(GaussianMixture& model, const ScaledData& data) const {
    if (options_.fixed_mean.empty() && options_.fixed_covariance.empty()) return true;
    return set_parameters(model, data, to_user(model.state(), data));
  }

  const CovarianceEntry& entry_;
  size_t k_;
  const GmmOptions& options_;
};

}  // namespace emkit
