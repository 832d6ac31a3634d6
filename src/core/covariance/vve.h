// VVE: Sigma_k = lambda_k D A_k D'. With d_k = diag(D' W_k D): lambda_k A_k = d_k / n_k, and D minimises
// sum_k n_k log |diag(d_k)|.
#pragma once
#include "common_orientation.h"

namespace emkit {

class Vve final : public CovarianceStructureOf<Vve> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    MatrixXd diagonals;
    if (!orientation_.update(s, diagonals)) return false;
    const MatrixXd& o = orientation_.orientation();
    for (Index k = 0; k < s.n_components(); ++k)
      out.matrix(k) = o * (diagonals.col(k) / s.n(k)).asDiagonal() * o.transpose();
    return true;
  }

 private:
  CommonOrientation orientation_{false};
};

}  // namespace emkit
