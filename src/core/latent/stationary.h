// The stationary law of a Markov chain, and the M-step when chains begin in it. (formulas.Rmd, T2 to T4)
#pragma once
#include <Eigen/Dense>
#include <cmath>
#include <limits>

namespace emkit {

// delta with delta' = delta' P and sum 1. Defined where the chain has one recurrent class; NaN where it has not.
inline Eigen::VectorXd stationary_law(const Eigen::MatrixXd& P) {
  const Eigen::Index K = P.rows();
  Eigen::MatrixXd A = (Eigen::MatrixXd::Identity(K, K) - P + Eigen::MatrixXd::Ones(K, K)).transpose();
  const Eigen::FullPivLU<Eigen::MatrixXd> lu(A);
  if (lu.rank() < K) return Eigen::VectorXd::Constant(K, std::numeric_limits<double>::quiet_NaN());
  Eigen::VectorXd delta = lu.solve(Eigen::VectorXd::Ones(K)).cwiseMax(0.0);
  return delta / delta.sum();
}

// What the expected complete-data log-likelihood of the chain is as a function of P, with first states from its stationary
// law: f(P) = sum_i first_i log delta_i(P) + sum_ij pairs_ij log P_ij.
class StationaryObjective {
 public:
  StationaryObjective(const Eigen::VectorXd& first, const Eigen::MatrixXd& pairs) : first_(first), pairs_(pairs) {}

  double value(const Eigen::MatrixXd& P) const {
    const Eigen::VectorXd delta = stationary_law(P);
    double f = 0.0;
    for (Eigen::Index i = 0; i < P.rows(); ++i) {
      if (first_(i) > 0.0) f += first_(i) * std::log(delta(i));
      for (Eigen::Index j = 0; j < P.cols(); ++j)
        if (pairs_(i, j) > 0.0) f += pairs_(i, j) * std::log(P(i, j));
    }
    return std::isnan(f) ? -std::numeric_limits<double>::infinity() : f;
  }

  // df / dP_ij, valid for changes that keep row sums: d delta' = delta' dP (I - P + 1 delta')^-1.
  Eigen::MatrixXd derivative(const Eigen::MatrixXd& P) const {
    const Eigen::Index K = P.rows();
    const Eigen::VectorXd delta = stationary_law(P);
    const Eigen::MatrixXd A = Eigen::MatrixXd::Identity(K, K) - P + Eigen::VectorXd::Ones(K) * delta.transpose();
    Eigen::VectorXd ratio(K);
    for (Eigen::Index i = 0; i < K; ++i) ratio(i) = first_(i) > 0.0 ? first_(i) / delta(i) : 0.0;
    const Eigen::VectorXd reach = A.fullPivLu().solve(ratio);
    Eigen::MatrixXd d = delta * reach.transpose();
    for (Eigen::Index i = 0; i < K; ++i)
      for (Eigen::Index j = 0; j < K; ++j)
        if (P(i, j) > 0.0) d(i, j) += pairs_(i, j) / P(i, j);
    return d;
  }

  // Climbs from P in the logits of the rows by BFGS; entries that are 0 stay 0. The result is never below P.
  Eigen::MatrixXd climb(Eigen::MatrixXd P) const {
    using Eigen::Index;
    using Eigen::MatrixXd;
    using Eigen::VectorXd;
    const Index K = P.rows(), n = K * K;
    const auto gradient = [&](const MatrixXd& at) {
      const MatrixXd d = derivative(at);
      MatrixXd g(K, K);
      for (Index i = 0; i < K; ++i) {
        const double mean = at.row(i).dot(d.row(i));
        for (Index j = 0; j < K; ++j) g(i, j) = at(i, j) * (d(i, j) - mean);
      }
      return VectorXd(Eigen::Map<VectorXd>(g.data(), n));
    };
    const auto move = [&](const MatrixXd& from, const VectorXd& step) {
      MatrixXd to(K, K);
      for (Index i = 0; i < K; ++i) {
        double top = -std::numeric_limits<double>::infinity();
        for (Index j = 0; j < K; ++j) top = std::max(top, from(i, j) > 0.0 ? step(j * K + i) : top);
        for (Index j = 0; j < K; ++j) to(i, j) = from(i, j) > 0.0 ? from(i, j) * std::exp(step(j * K + i) - top) : 0.0;
        to.row(i) /= to.row(i).sum();
      }
      return to;
    };
    double f = value(P);
    VectorXd g = gradient(P);
    // The curvature of the part without delta: the rows' counts.
    MatrixXd inverse = MatrixXd::Zero(n, n);
    const VectorXd rows = pairs_.rowwise().sum();
    for (Index j = 0; j < K; ++j)
      for (Index i = 0; i < K; ++i)
        inverse(j * K + i, j * K + i) = 1.0 / (1e-8 + rows(i) * P(i, j) * (1.0 - P(i, j)) + 0.5 * P(i, j));
    const double scale = 1.0 + std::abs(f);
    for (int round = 0; round < 100; ++round) {
      VectorXd direction = inverse * g;
      double slope = direction.dot(g);
      if (!(slope > 1e-15 * scale)) break;
      double share = 1.0;
      MatrixXd next;
      double fnext = -std::numeric_limits<double>::infinity();
      for (int halving = 0; halving < 40; ++halving, share *= 0.5) {
        next = move(P, share * direction);
        fnext = value(next);
        if (fnext >= f + 1e-4 * share * slope) break;
      }
      if (!(fnext > f)) break;
      const VectorXd s = share * direction, gnext = gradient(next), y = g - gnext;
      const double sy = s.dot(y);
      if (sy > 1e-12 * s.norm() * y.norm()) {
        const double rho = 1.0 / sy;
        const MatrixXd left = MatrixXd::Identity(n, n) - rho * s * y.transpose();
        inverse = left * inverse * left.transpose() + rho * s * s.transpose();
      }
      P = next;
      f = fnext;
      g = gnext;
    }
    return P;
  }

 private:
  const Eigen::VectorXd& first_;
  const Eigen::MatrixXd& pairs_;
};

}  // namespace emkit
