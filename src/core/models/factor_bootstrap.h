// Bootstrap replicates of a factor analysis, in parallel over replicates. Replicate b is a function of the key and b
// alone.
#pragma once
#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../math/random.h"
#include "factor_problem.h"
#include "resampling.h"

namespace emkit {

struct FactorBootstrapPlan {
  Resampling resampling = Resampling::kMultinomial;
  size_t n_boot = 0;
  std::uint64_t key = 0;
  bool common = false;           // one uniqueness for all variables
  double n = 0.0;                // weight of all rows
  VectorXd mean, uniquenesses;   // p, where refits begin and parametric replicates come from; the user's units
  MatrixXd loadings;             // p x q
};

struct FactorReplicate {
  bool fitted = false;
  Status status = Status::kDegenerate;
  double loglik = 0.0;
  VectorXd mean, uniquenesses;  // the user's units
  MatrixXd loadings;            // canonical
  std::vector<Index> boundary;  // variables whose uniqueness is 0
};

class FactorBootstrap {
 public:
  // raw.x may be null: a covariance matrix, of which there are parametric replicates only.
  FactorBootstrap(const RawData& raw, const FactorBootstrapPlan& plan, const MultiStartControl& control,
                  Interrupt& interrupt, Progress& progress)
      : raw_(raw), plan_(plan), control_(control), interrupt_(interrupt), progress_(progress) {
    control_.threads = 1;
    for (size_t j = 0; raw.x && !missing_ && j < raw.d; ++j) missing_ = any_missing(raw.x + j * raw.n, raw.n);
    if (plan.resampling == Resampling::kParametric) choose_simulation();
  }

  std::vector<FactorReplicate> run(int threads) {
    return run_replicates<FactorReplicate>(plan_.n_boot, threads, stop_, interrupt_, progress_,
                                           [this](size_t b) { return replicate(b); });
  }

  bool stopped() const { return stop_.load(); }

 private:
  // Moments are enough for complete rows of equal weight: their covariance is a Wishart matrix.
  void choose_simulation() {
    const Index p = plan_.mean.size();
    if (missing_ || raw_.weights || !(plan_.n > static_cast<double>(p))) return;
    MatrixXd sigma = plan_.loadings * plan_.loadings.transpose();
    sigma.diagonal() += plan_.uniquenesses;
    const Eigen::LLT<MatrixXd> root(sigma);
    if (root.info() == Eigen::Success) root_ = root.matrixL();
  }

  FactorReplicate replicate(size_t b) {
    CounterRng rng(plan_.key, b);
    if (root_.size() > 0) {
      const MatrixXd covariance = draw_wishart(rng, plan_.n - 1.0, root_) / plan_.n;
      VectorXd z(plan_.mean.size());
      draw_normals(rng, z.data(), static_cast<size_t>(z.size()));
      return fit_complete(FactorProblem(plan_.mean + root_ * z / std::sqrt(plan_.n), covariance, plan_.n,
                                        plan_.common));
    }
    if (!raw_.x) return {};
    RawData data = raw_;
    std::vector<double> weights, x;
    double n = plan_.n;
    if (plan_.resampling == Resampling::kParametric) {
      x = simulate(rng);
      data.x = x.data();
    } else {
      weights = resampled_weights(plan_.resampling, raw_, rng);
      data.weights = weights.data();
      n = 0.0;
      for (double w : weights) n += w;
    }
    return missing_ ? fit_incomplete(data) : fit_complete(FactorProblem(data, n, plan_.common, 1));
  }

  FactorReplicate fit_complete(const FactorProblem& problem) {
    FactorReplicate out;
    if (!problem.usable()) return out;
    const Index q = plan_.loadings.cols();
    FactorStart start;
    start.method = "fit";
    start.uniquenesses = problem.scaled_uniquenesses(plan_.uniquenesses);
    Progress inner;
    const FactorFitResult fit =
        plan_.common ? fit_principal_components(problem.moments(), q, problem.n(), 1)
                     : fit_factor_analysis(problem.moments(), q, problem.n(), {start}, control_, stop_, interrupt_,
                                           inner);
    out.status = fit.run.status;
    out.fitted = fit.fitted;
    if (!fit.fitted) return out;
    const FactorParameters user = problem.user_parameters(fit.parameters);
    out.loglik = fit.run.objective.loglik - problem.log_jacobian();
    out.mean = problem.mean();
    out.loadings = user.loadings;
    out.uniquenesses = user.uniquenesses;
    out.boundary = user.boundary;
    return out;
  }

  FactorReplicate fit_incomplete(const RawData& data) {
    FactorReplicate out;
    const FactorNoise noise = plan_.common ? FactorNoise::kCommon : FactorNoise::kFree;
    const FactorMissingProblem problem(data, noise, 1);
    if (problem.unusable() >= 0) return out;
    FactorMissingStart start;
    start.method = "fit";
    start.mean = problem.scaled_mean(plan_.mean);
    start.loadings = problem.scaled_loadings(plan_.loadings);
    start.uniquenesses = problem.scaled_uniquenesses(plan_.uniquenesses);
    Progress inner;
    const MultiStartFit<FactorMissing> fit = fit_factor_missing(
        problem.rows(), static_cast<size_t>(plan_.loadings.cols()), noise, {start}, control_, stop_, interrupt_, inner);
    out.status = fit.run.status;
    out.fitted = fit.fitted;
    if (!fit.fitted) return out;
    const FactorMissingPoint user = problem.user_point(fit.state);
    out.loglik = fit.run.objective.loglik - problem.log_jacobian();
    out.mean = user.mean;
    out.loadings = user.loadings;
    out.uniquenesses = user.uniquenesses;
    out.boundary = variables_at_bound(fit.state.uniquenesses);
    return out;
  }

  // Rows from the parameters, without the cells that are missing in the data.
  std::vector<double> simulate(CounterRng& rng) const {
    const size_t n = raw_.n, d = raw_.d;
    std::vector<double> x(n * d);
    const VectorXd sd = plan_.uniquenesses.cwiseSqrt();
    VectorXd factors(plan_.loadings.cols()), errors(plan_.mean.size());
    for (size_t i = 0; i < n; ++i) {
      draw_normals(rng, factors.data(), static_cast<size_t>(factors.size()));
      draw_normals(rng, errors.data(), static_cast<size_t>(errors.size()));
      const VectorXd row = plan_.mean + plan_.loadings * factors + sd.cwiseProduct(errors);
      for (size_t j = 0; j < d; ++j) {
        const double original = raw_.x[j * n + i];
        x[j * n + i] = std::isnan(original) ? original : row(static_cast<Index>(j));
      }
    }
    return x;
  }

  RawData raw_;
  const FactorBootstrapPlan& plan_;
  MultiStartControl control_;
  Interrupt& interrupt_;
  Progress& progress_;
  bool missing_ = false;
  MatrixXd root_;  // of the model's covariance, where replicates are Wishart matrices
  std::atomic<bool> stop_{false};
};

}  // namespace emkit
