// Newton directions for the profile likelihood of the log uniquenesses.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "../math/leading_eigen.h"

namespace emkit {

// The profile function of formulas.Rmd (FA3) at one point: eigenpairs of A = Psi^-1/2 S Psi^-1/2, at least the leading
// `active` ones (those of at most q that exceed 1; a factor whose eigenvalue does not is 0).
struct FactorProfile {
  VectorXd ratio;   // s_jj / psi_j, the diagonal of A
  VectorXd gamma;
  MatrixXd omega;   // p x (as many)
  Index active = 0;
  double value = 0.0;  // log |Sigma| + tr Sigma^-1 S
  bool complete() const { return gamma.size() == ratio.size(); }

  VectorXd gradient() const {
    VectorXd g = VectorXd::Ones(ratio.size()) - ratio;
    for (Index k = 0; k < active; ++k) g.array() += (gamma(k) - 1.0) * omega.col(k).array().square();
    return g;
  }
};

// The exact second derivatives (FA5), from all eigenpairs.
inline MatrixXd factor_hessian(const FactorProfile& f) {
  const Index p = f.ratio.size();
  MatrixXd h = f.ratio.asDiagonal();
  VectorXd c(p);
  MatrixXd inner(p, p);
  for (Index k = 0; k < f.active; ++k) {
    const double g = f.gamma(k);
    for (Index m = 0; m < p; ++m) {
      const double gap = std::max(g - f.gamma(m), 1e-8 * g);
      c(m) = m == k ? g : m < k ? 0.0 : m < f.active ? g + f.gamma(m) : (g - 1.0) * (g + f.gamma(m)) / gap;
    }
    const VectorXd w = f.omega.col(k);
    inner.noalias() = (f.omega.rightCols(p - k) * c.tail(p - k).asDiagonal()) * f.omega.rightCols(p - k).transpose();
    h.noalias() -= w.asDiagonal() * inner * w.asDiagonal();
  }
  return 0.5 * (h + h.transpose());
}

// G^-1 right by conjugate gradients, with Joreskog's (1967) approximation (FA6) G = (I - Omega Omega')^o2, positive
// semidefinite: what the Hessian is when all other eigenvalues are 1. It is never made: G = diag(1 - 2h) + (Omega
// Omega')^o2 with h the row norms, and row i of the second part times v is omega_i' (Omega' diag(v) Omega) omega_i.
// Near h_j = 1 (a variable that is almost a factor itself) the diagonal is raised, which keeps a direction of ascent.
inline VectorXd solve_approximate_hessian(const FactorProfile& f, const VectorXd& right) {
  constexpr int kMaxSteps = 60;
  constexpr double kTolerance = 1e-8, kLeast = 0.05;
  const MatrixXd omega = f.omega.leftCols(f.active);
  const VectorXd h = omega.rowwise().squaredNorm();
  const VectorXd raised = (h.array() > 0.45).select(VectorXd::Constant(h.size(), kLeast), VectorXd::Zero(h.size()));
  const VectorXd outer = VectorXd::Ones(h.size()) - 2.0 * h + raised;
  const VectorXd scale = ((1.0 - h.array()).square() + raised.array()).inverse();
  const auto multiply = [&](const VectorXd& v) -> VectorXd {
    const MatrixXd inner = omega.transpose() * (v.asDiagonal() * omega);
    return outer.cwiseProduct(v) + (omega * inner).cwiseProduct(omega).rowwise().sum();
  };
  VectorXd x = VectorXd::Zero(right.size()), r = right, z = scale.cwiseProduct(r), d = z;
  const double first = std::sqrt(r.dot(z));
  double rz = r.dot(z);
  for (int step = 0; step < kMaxSteps && std::sqrt(rz) > kTolerance * first; ++step) {
    const VectorXd image = multiply(d);
    const double curvature = d.dot(image);
    if (!(curvature > 0.0)) break;
    const double a = rz / curvature;
    x += a * d;
    r -= a * image;
    z = scale.cwiseProduct(r);
    const double next = r.dot(z);
    d = z + (next / rz) * d;
    rz = next;
  }
  return x;
}

// Minus the inverse of the Hessian times the gradient. Where the Hessian is not positive definite (`exact` is then
// false) its eigenvalues are taken by their size, which leads away from saddle points as fast as Newton's method leads
// to maxima (Dauphin et al. 2014, Advances in Neural Information Processing Systems 27).
inline VectorXd factor_direction(const FactorProfile& f, const VectorXd& gradient, bool& exact) {
  constexpr double kLeast = 1e-9;
  exact = false;
  if (!f.complete()) return -solve_approximate_hessian(f, gradient);
  const MatrixXd hessian = factor_hessian(f);
  const Eigen::LLT<MatrixXd> root(hessian);
  if (root.info() == Eigen::Success) {
    exact = true;
    return -root.solve(gradient);
  }
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(hessian);
  const VectorXd size = solver.eigenvalues().cwiseAbs().cwiseMax(kLeast);
  return -solver.eigenvectors() * (solver.eigenvectors().transpose() * gradient).cwiseQuotient(size);
}

}  // namespace emkit
