// VEI: Sigma_k = lambda_k A, diagonal. The M-step alternates between the volumes and the shape.
#pragma once
#include "alternation.h"

namespace emkit {

class Vei final : public CovarianceStructureOf<Vei> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    VectorXd shape;
    if (!alternate_volumes_shape(s.scatter.values, s.n, volume_, shape)) return false;
    out.values = shape * volume_.transpose();
    return true;
  }

 private:
  VectorXd volume_;
};

}  // namespace emkit
