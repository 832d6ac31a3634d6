// Observed information of a factor analysis of complete data, in closed form.
#pragma once
#include <Eigen/Dense>

namespace emkit {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// Minus the second derivatives of the log-likelihood by (mean, Lambda by columns, log psi), formulas.Rmd (FA10), at any
// parameters. `covariance`: of the data, divisor n; `shift`: the data's mean minus the model's. False where the model's
// covariance is singular.
inline bool factor_information(const MatrixXd& covariance, const VectorXd& shift, double n, const MatrixXd& lambda,
                               const VectorXd& psi, MatrixXd& information) {
  const Index p = lambda.rows(), q = lambda.cols();
  MatrixXd sigma = lambda * lambda.transpose();
  sigma.diagonal() += psi;
  const Eigen::LLT<MatrixXd> root(sigma);
  if (root.info() != Eigen::Success) return false;
  const MatrixXd w = root.solve(MatrixXd::Identity(p, p));
  const MatrixXd second = w * (covariance + shift * shift.transpose()) * w;  // W M W
  const MatrixXd inner = second - 0.5 * w;                                   // N
  const MatrixXd first = w - second;                                         // Q
  const MatrixXd wl = w * lambda, nl = inner * lambda;
  const MatrixXd lwl = lambda.transpose() * wl, lnl = lambda.transpose() * nl;
  const VectorXd wd = w * shift, lwd = lambda.transpose() * wd;

  const Index at_psi = p + p * q;
  information.setZero(at_psi + p, at_psi + p);
  information.topLeftCorner(p, p) = w;
  for (Index k = 0; k < q; ++k) {
    information.block(0, p + k * p, p, p) = w * lwd(k) + wl.col(k) * wd.transpose();
    for (Index l = 0; l < q; ++l) {
      auto block = information.block(p + l * p, p + k * p, p, p);  // by Lambda_il and Lambda_jk
      block = nl.col(k) * wl.col(l).transpose() + lwl(l, k) * inner + lnl(k, l) * w + wl.col(k) * nl.col(l).transpose();
      if (k == l) block += first;
    }
    auto block = information.block(p + k * p, at_psi, p, p);  // by Lambda_jk and log psi_i
    for (Index i = 0; i < p; ++i)
      block.col(i) = psi(i) * (w.col(i) * nl(i, k) + inner.col(i) * wl(i, k));
  }
  information.block(0, at_psi, p, p) = w * psi.cwiseProduct(wd).asDiagonal();
  information.bottomRightCorner(p, p) = (psi.asDiagonal() * w.cwiseProduct(inner) * psi.asDiagonal());
  information.bottomRightCorner(p, p).diagonal() += 0.5 * first.diagonal().cwiseProduct(psi);
  information *= n;
  information.triangularView<Eigen::StrictlyLower>() = information.transpose();
  return true;
}

}  // namespace emkit
