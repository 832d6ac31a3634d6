// EVV: Sigma_k = lambda C_k, |C_k| = 1. With g_k = |W_k|^(1/d): C_k = W_k / g_k, lambda = sum_k g_k / n.
#pragma once
#include "alternation.h"

namespace emkit {

class Evv final : public CovarianceStructureOf<Evv> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    const double dim = static_cast<double>(s.d());
    VectorXd g(s.n_components());
    for (Index k = 0; k < s.n_components(); ++k) {
      Eigen::LLT<MatrixXd> llt(s.scatter.matrix(k));
      if (llt.info() != Eigen::Success) return false;
      g(k) = std::exp(2.0 / dim * MatrixXd(llt.matrixL()).diagonal().array().log().sum());
    }
    if (!g.allFinite() || !(g.minCoeff() > 0.0)) return false;
    const double volume = g.sum() / s.total();
    for (Index k = 0; k < s.n_components(); ++k) out.matrix(k) = volume / g(k) * s.scatter.matrix(k);
    return true;
  }
};

}  // namespace emkit
