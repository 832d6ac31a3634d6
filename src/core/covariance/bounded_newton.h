// A Newton direction from a point where some bounds hold.
#pragma once
#include <Eigen/Dense>
#include <vector>

namespace emkit {

// The x that minimises g'x + x'Hx / 2 subject to a'x >= 0 for every column a of `held`, by an active set: bounds that the
// minimum would leave upwards are let go one by one. H is positive semidefinite; what it leaves open stays where it is.
inline Eigen::VectorXd bounded_newton(Eigen::MatrixXd h, const Eigen::VectorXd& g, const Eigen::MatrixXd& held) {
  using Eigen::Index;
  using Eigen::MatrixXd;
  using Eigen::VectorXd;
  constexpr double kRidge = 1e-9, kTol = 1e-12;
  const double largest = h.diagonal().maxCoeff();
  if (!(largest > 0.0)) return VectorXd::Zero(g.size());
  const VectorXd unit = h.diagonal().cwiseMax(1e-14 * largest).cwiseSqrt().cwiseInverse();
  h = unit.asDiagonal() * h * unit.asDiagonal();
  h.diagonal().array() += kRidge;
  const Eigen::LLT<MatrixXd> factor(h);
  const VectorXd scaled = unit.cwiseProduct(g);
  if (factor.info() != Eigen::Success) return -unit.cwiseProduct(scaled);
  const VectorXd base = factor.solve(scaled);
  const MatrixXd bounds = unit.asDiagonal() * held;
  const MatrixXd answer = factor.solve(bounds);
  std::vector<Index> active;
  for (Index i = 0; i < held.cols(); ++i) active.push_back(i);
  VectorXd x = -base;
  while (!active.empty()) {
    const Index n = static_cast<Index>(active.size());
    MatrixXd a(g.size(), n), h_a(g.size(), n);
    for (Index i = 0; i < n; ++i) {
      a.col(i) = bounds.col(active[static_cast<size_t>(i)]);
      h_a.col(i) = answer.col(active[static_cast<size_t>(i)]);
    }
    const MatrixXd inner = a.transpose() * h_a;
    const VectorXd multiplier = inner.completeOrthogonalDecomposition().solve(a.transpose() * base);
    x = h_a * multiplier - base;
    Index least;
    if (multiplier.minCoeff(&least) >= -kTol * (1.0 + multiplier.cwiseAbs().maxCoeff())) break;
    active.erase(active.begin() + least);
    if (active.empty()) x = -base;
  }
  return unit.cwiseProduct(x);
}

}  // namespace emkit
