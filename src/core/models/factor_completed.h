// The M-step of a factor model when missing cells are the missing data: the model's maximum likelihood analysis of a
// covariance matrix.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <memory>

#include "../em/driver.h"
#include "factor_analysis.h"
#include "factor_missing_sweep.h"

namespace emkit {

enum class FactorNoise { kFree, kCommon };  // one uniqueness for each variable, or the same for all (ppca)

// Ends the analysis when a step gains little of what all have gained, or so little that Newton's method will have
// squared it away: EM then has more to gain from a new covariance.
class UntilSettled final : public Observer {
 public:
  UntilSettled(const FactorAnalysis& model, double n) : model_(model), least_(kLeast * n) {}
  bool step(int iteration, const Objective& objective) override {
    const double last = last_;
    last_ = objective.value();
    if (iteration == 0) first_ = last_;
    return iteration > 0 && last_ - last <= std::max({kLittle * (last_ - first_), least_, model_.rounding()});
  }
  bool stopped() const override { return false; }

 private:
  static constexpr double kLittle = 1e-3, kLeast = 1e-6;
  const FactorAnalysis& model_;
  double least_, first_ = 0.0, last_ = 0.0;
};

// Loadings and uniquenesses of `point` moved uphill on the likelihood of n complete rows with this covariance (divisor
// n), by Newton steps from the uniquenesses, to its maximum nearly. False where that likelihood is unbounded: variable
// `singular` has no variance given the others.
inline bool analyse_completed(const MatrixXd& covariance, double n, int threads, FactorMissingPoint& point,
                              size_t& singular) {
  const FactorMoments moments = FactorMoments::of_matrix(covariance);
  FactorAnalysis model(moments, point.loadings.cols(), n, threads);
  EmControl control;
  control.tol = 0.0;
  control.max_iter = 50;
  UntilSettled observer(model, n);
  if (!model.set_uniquenesses(point.uniquenesses) ||
      run_em(model, *make_accelerator("anderson"), control, observer).status == Status::kDegenerate) {
    singular = model.degeneracy().component;
    return false;
  }
  point.loadings = model.loadings();
  point.uniquenesses = model.state().psi;
  return true;
}

// The same where uniquenesses are equal, and not below `bound`: (FA9).
inline bool components_of_completed(const MatrixXd& covariance, double bound, FactorMissingPoint& point) {
  const Index p = point.loadings.rows(), q = point.loadings.cols();
  const Eigenpairs pairs = all_eigenpairs(covariance);
  const double rest = std::max(bound, pairs.values.tail(p - q).sum() / static_cast<double>(p - q));
  point.uniquenesses.setConstant(rest);
  point.loadings = principal_loadings(pairs, q, rest);
  return pairs.values.allFinite();
}

// Loadings rotated to be as near as possible to `others` (Schonemann 1966): so that steps of EM have a direction.
inline void turn_towards(const MatrixXd& others, MatrixXd& loadings) {
  const Eigen::JacobiSVD<MatrixXd> svd(loadings.transpose() * others, Eigen::ComputeFullU | Eigen::ComputeFullV);
  loadings *= svd.matrixU() * svd.matrixV().transpose();
}

}  // namespace emkit
