// EVE: Sigma_k = lambda D A_k D'. With d_k = diag(D' W_k D) and g_k = |diag(d_k)|^(1/d): A_k = d_k / g_k,
// lambda = sum_k g_k / n, and D minimises sum_k g_k.
#pragma once
#include "common_orientation.h"

namespace emkit {

class Eve final : public CovarianceStructureOf<Eve> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    MatrixXd diagonals;
    if (!orientation_.update(s, diagonals)) return false;
    VectorXd g(s.n_components());
    for (Index k = 0; k < s.n_components(); ++k) g(k) = geometric_mean(diagonals.col(k));
    if (!(g.minCoeff() > 0.0)) return false;
    const double volume = g.sum() / s.total();
    const MatrixXd& o = orientation_.orientation();
    for (Index k = 0; k < s.n_components(); ++k)
      out.matrix(k) = o * (volume / g(k) * diagonals.col(k)).asDiagonal() * o.transpose();
    return true;
  }

 private:
  CommonOrientation orientation_{true};
};

}  // namespace emkit
