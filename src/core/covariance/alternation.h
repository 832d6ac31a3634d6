// What several structures share: geometric means and the alternation between volumes and a common shape.
#pragma once
#include <cmath>
#include <utility>

#include "../math/leading_eigen.h"
#include "covariance.h"

namespace emkit {

// exp(mean(log v)); 0 unless every entry is positive.
inline double geometric_mean(const Eigen::Ref<const VectorXd>& v) {
  double s = 0.0;
  for (Index j = 0; j < v.size(); ++j) {
    if (!(v(j) > 0.0)) return 0.0;
    s += std::log(v(j));
  }
  return std::exp(s / static_cast<double>(v.size()));
}

// Inner alternations stop when no volume changes by more than this, relatively: far below any outer tolerance, so that an
// M-step is exact for the EM loop. They converge linearly and fast; the limit only guards against a hang.
constexpr double kInnerTol = 1e-14;
constexpr int kInnerLimit = 5000;

// Volumes lambda_k and a shape a (d, product 1) that minimise sum_k n_k d log lambda_k + sum_jk w_jk / (lambda_k a_j),
// w (d x K) being diagonals or eigenvalues of the scatter: VEI and VEV. The problem is convex in the logarithms.
inline bool alternate_volumes_shape(const MatrixXd& w, const VectorXd& n, VectorXd& volume, VectorXd& shape) {
  const double d = static_cast<double>(w.rows());
  if (volume.size() != w.cols()) volume = w.colwise().sum().transpose().cwiseQuotient(n) / d;
  for (int i = 0; i < kInnerLimit; ++i) {
    if (!(volume.minCoeff() > 0.0)) break;
    shape = w * volume.cwiseInverse();
    const double g = geometric_mean(shape);
    if (!(g > 0.0)) break;
    shape /= g;
    const VectorXd next = (w.transpose() * shape.cwiseInverse()).cwiseQuotient(n) / d;
    const double change = ((next - volume).cwiseQuotient(next)).cwiseAbs().maxCoeff();
    volume = next;
    if (change < kInnerTol) return volume.minCoeff() > 0.0;
  }
  const bool usable = volume.allFinite() && volume.minCoeff() > 0.0 && shape.allFinite() && shape.minCoeff() > 0.0;
  if (!usable) volume.resize(0);
  return usable;
}

// Eigenvectors of a symmetric matrix, eigenvalues in decreasing order (rounding below 0 cut off).
inline void decreasing_eigen(const Eigen::Ref<const MatrixXd>& a, MatrixXd& vectors, VectorXd& values) {
  Eigenpairs pairs = all_eigenpairs(a);
  vectors = std::move(pairs.vectors);
  values = pairs.values.cwiseMax(0.0);
}

}  // namespace emkit
