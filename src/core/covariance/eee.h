// EEE: Sigma_k = Sigma. The M-step is Sigma = W / n.
#pragma once
#include "covariance.h"

namespace emkit {

class Eee final : public CovarianceStructureOf<Eee> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    out.values = s.scatter.values / s.n(0);
    return true;
  }
};

}  // namespace emkit
