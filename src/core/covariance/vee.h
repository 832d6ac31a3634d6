// VEE: Sigma_k = lambda_k C, |C| = 1. The M-step alternates C = sum_k W_k / lambda_k, scaled to |C| = 1, with
// lambda_k = tr(W_k C^-1) / (d n_k); the problem is geodesically convex.
#pragma once
#include "alternation.h"

namespace emkit {

class Vee final : public CovarianceStructureOf<Vee> {
 public:
  bool m_step(const Scatter& s, SymmetricSet& out) override {
    const Index d = s.d(), n_components = s.n_components();
    const double dim = static_cast<double>(d);
    if (volume_.size() != n_components) {
      volume_.resize(n_components);
      for (Index k = 0; k < n_components; ++k) volume_(k) = s.scatter.trace(k) / (dim * s.n(k));
    }
    MatrixXd common(d, d);
    VectorXd next(n_components);
    for (int i = 0; i < kInnerLimit && volume_.minCoeff() > 0.0; ++i) {
      common.setZero();
      for (Index k = 0; k < n_components; ++k) common += s.scatter.matrix(k) / volume_(k);
      Eigen::LLT<MatrixXd> llt(common);
      if (llt.info() != Eigen::Success) break;
      const double g = std::exp(2.0 / dim * MatrixXd(llt.matrixL()).diagonal().array().log().sum());
      if (!std::isfinite(g) || !(g > 0.0)) break;
      common /= g;
      const MatrixXd inverse = llt.solve(MatrixXd::Identity(d, d)) * g;
      for (Index k = 0; k < n_components; ++k)
        next(k) = inverse.cwiseProduct(s.scatter.matrix(k)).sum() / (dim * s.n(k));
      const double change = (next - volume_).cwiseQuotient(next).cwiseAbs().maxCoeff();
      volume_ = next;
      if (change < kInnerTol || i + 1 == kInnerLimit) {
        for (Index k = 0; k < n_components; ++k) out.matrix(k) = volume_(k) * common;
        return true;
      }
    }
    volume_.resize(0);
    return false;
  }

 private:
  VectorXd volume_;
};

}  // namespace emkit
