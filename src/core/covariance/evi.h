// EVI: Sigma_k = lambda A_k, diagonal. With g_k = |diag(W_k)|^(1/d): A_k = diag(W_k) / g_k, lambda = sum_k g_k / n.
#pragma once
#include "alternation.h"

namespace emkit {

class Evi final : public CovarianceStructureOf<Evi> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    VectorXd g(s.n_components());
    for (Index k = 0; k < s.n_components(); ++k) g(k) = geometric_mean(s.scatter.values.col(k));
    if (!(g.minCoeff() > 0.0)) return false;
    const double volume = g.sum() / s.total();
    for (Index k = 0; k < s.n_components(); ++k) out.values.col(k) = volume / g(k) * s.scatter.values.col(k);
    return true;
  }
};

}  // namespace emkit
