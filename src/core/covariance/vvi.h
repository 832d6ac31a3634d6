// VVI: Sigma_k diagonal. The M-step is Sigma_k = diag(W_k) / n_k.
#pragma once
#include "covariance.h"

namespace emkit {

class Vvi final : public CovarianceStructureOf<Vvi> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    for (Index k = 0; k < s.n_components(); ++k) out.values.col(k) = s.scatter.values.col(k) / s.n(k);
    return true;
  }
};

}  // namespace emkit
