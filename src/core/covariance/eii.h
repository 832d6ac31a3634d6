// EII: Sigma_k = lambda I. The M-step is lambda = tr(W) / (d n).
#pragma once
#include "covariance.h"

namespace emkit {

class Eii final : public CovarianceStructureOf<Eii> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    out.values.setConstant(s.scatter.trace(0) / (static_cast<double>(s.d()) * s.n(0)));
    return true;
  }
};

}  // namespace emkit
