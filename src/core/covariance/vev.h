// VEV: Sigma_k = lambda_k D_k A D_k'. As EEV for the orientations; volumes and shape alternate on the eigenvalues.
#pragma once
#include "alternation.h"

namespace emkit {

class Vev final : public CovarianceStructureOf<Vev> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    std::vector<MatrixXd> vectors(static_cast<size_t>(s.n_components()));
    MatrixXd values(s.d(), s.n_components());
    VectorXd column, shape;
    for (Index k = 0; k < s.n_components(); ++k) {
      decreasing_eigen(s.scatter.matrix(k), vectors[static_cast<size_t>(k)], column);
      values.col(k) = column;
    }
    if (!alternate_volumes_shape(values, s.n, volume_, shape)) return false;
    for (Index k = 0; k < s.n_components(); ++k) {
      const MatrixXd& o = vectors[static_cast<size_t>(k)];
      out.matrix(k) = o * (volume_(k) * shape).asDiagonal() * o.transpose();
    }
    return true;
  }

 private:
  VectorXd volume_;
};

}  // namespace emkit
