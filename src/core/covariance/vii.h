// VII: Sigma_k = lambda_k I. The M-step is lambda_k = tr(W_k) / (d n_k).
#pragma once
#include "covariance.h"

namespace emkit {

class Vii final : public CovarianceStructureOf<Vii> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    for (Index k = 0; k < s.n_components(); ++k)
      out.values.col(k).setConstant(s.scatter.trace(k) / (static_cast<double>(s.d()) * s.n(k)));
    return true;
  }
};

}  // namespace emkit
