// EEV: Sigma_k = lambda D_k A D_k'. With W_k = L_k Omega_k L_k', eigenvalues in decreasing order: D_k = L_k,
// lambda A = sum_k Omega_k / n.
#pragma once
#include "alternation.h"

namespace emkit {

class Eev final : public CovarianceStructureOf<Eev> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    std::vector<MatrixXd> vectors(static_cast<size_t>(s.n_components()));
    VectorXd values, sum = VectorXd::Zero(s.d());
    for (Index k = 0; k < s.n_components(); ++k) {
      decreasing_eigen(s.scatter.matrix(k), vectors[static_cast<size_t>(k)], values);
      sum += values;
    }
    sum /= s.total();
    for (Index k = 0; k < s.n_components(); ++k) {
      const MatrixXd& o = vectors[static_cast<size_t>(k)];
      out.matrix(k) = o * sum.asDiagonal() * o.transpose();
    }
    return true;
  }
};

}  // namespace emkit
