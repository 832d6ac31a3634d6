// What the M-step of a Gaussian emission sees, and its coordinates for accelerators.
#pragma once
#include "../covariance/covariance.h"
#include "../math/cholesky.h"

namespace emkit {

// Posterior sizes, means and scatter about these means; for pooled structures the scatter is summed over components.
struct GaussianMoments {
  VectorXd n;             // K
  MatrixXd mean;          // d x K
  SymmetricSet scatter;

  size_t n_packed() const {
    const size_t d = static_cast<size_t>(scatter.d);
    const size_t each = scatter.diagonal ? d : packed_size(d);
    return static_cast<size_t>(mean.size()) + each * static_cast<size_t>(scatter.count);
  }

  // The number of observations behind matrix k of the scatter.
  double size(Index k) const { return scatter.count == n.size() ? n(k) : n.sum(); }

  // Means, then the log-Cholesky factor of each scatter matrix divided by its n: any point of R^n unpacks to a valid
  // positive definite matrix. False when a matrix is singular.
  bool pack(double* point) const {
    Eigen::Map<MatrixXd>(point, mean.rows(), mean.cols()) = mean;
    point += mean.size();
    const size_t d = static_cast<size_t>(scatter.d);
    for (Index k = 0; k < scatter.count; ++k) {
      if (scatter.diagonal) {
        for (Index j = 0; j < scatter.d; ++j) {
          const double v = scatter.values(j, k) / size(k);
          if (!(v > 0.0)) return false;
          *point++ = 0.5 * std::log(v);
        }
      } else {
        if (!cholesky_packed(scatter.matrix(k) / size(k), point)) return false;
        for (size_t j = 0; j < d; ++j) point[packed_index(j, j)] = std::log(point[packed_index(j, j)]);
        point += packed_size(d);
      }
    }
    return true;
  }

  // `n`, and the shapes of the members, are set already.
  bool unpack(const double* point) {
    mean = Eigen::Map<const MatrixXd>(point, mean.rows(), mean.cols());
    point += mean.size();
    const size_t d = static_cast<size_t>(scatter.d);
    for (Index k = 0; k < scatter.count; ++k) {
      if (scatter.diagonal) {
        for (Index j = 0; j < scatter.d; ++j) scatter.values(j, k) = size(k) * std::exp(2.0 * *point++);
      } else {
        MatrixXd factor = unpack_lower(point, d);
        factor.diagonal() = factor.diagonal().array().exp();
        scatter.matrix(k) = size(k) * (factor * factor.transpose());
        point += packed_size(d);
      }
    }
    return mean.allFinite() && scatter.values.allFinite();
  }
};

}  // namespace emkit
