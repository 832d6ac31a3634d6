// VVV: Sigma_k free. The M-step is Sigma_k = W_k / n_k.
#pragma once
#include "covariance.h"

namespace emkit {

class Vvv final : public CovarianceStructureOf<Vvv> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    for (Index k = 0; k < s.n_components(); ++k) out.matrix(k) = s.scatter.matrix(k) / s.n(k);
    return true;
  }
};

}  // namespace emkit
