// EEI: Sigma_k = lambda A, diagonal. The M-step is Sigma = diag(W) / n.
#pragma once
#include "covariance.h"

namespace emkit {

class Eei final : public CovarianceStructureOf<Eei> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    out.values = s.scatter.values / s.n(0);
    return true;
  }
};

}  // namespace emkit
