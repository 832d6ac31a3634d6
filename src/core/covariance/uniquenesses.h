// The uniquenesses Psi_k of factor analysers: how they differ over variables and components, their least values, and the
// M-step under both.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "scatter.h"

namespace emkit {

// Each is one of the diagonal covariance structures.
enum class Uniqueness {
  kEqualIsotropic,    // Psi_k = psi I         EII
  kEqual,             // Psi_k = Psi           EEI
  kVaryingIsotropic,  // Psi_k = psi_k I       VII
  kVarying,           // Psi_k                 VVI
  kVaryingScale,      // Psi_k = omega_k Delta VEI
  kVaryingShape       // Psi_k = omega Delta_k EVI
};

// The uniquenesses (psi, d x K, all positive) of one structure, none below its variable's floor. Floors are part of the
// structure: what equality ties to a uniqueness at its floor moves with it.
class UniquenessSet {
 public:
  explicit UniquenessSet(Uniqueness kind) : kind_(kind) {}

  Uniqueness kind() const { return kind_; }
  bool isotropic() const { return kind_ == Uniqueness::kEqualIsotropic || kind_ == Uniqueness::kVaryingIsotropic; }
  bool shared() const { return kind_ == Uniqueness::kEqualIsotropic || kind_ == Uniqueness::kEqual; }
  // Whether a component's uniquenesses are tied to those of others otherwise than by being the same.
  bool tied() const { return kind_ == Uniqueness::kVaryingScale || kind_ == Uniqueness::kVaryingShape; }

  // d least uniquenesses; isotropic ones have one in common.
  void set_floor(const VectorXd& floor) {
    floor_ = floor;
    if (isotropic() && floor.size() > 0) floor_.setConstant(floor.mean());
  }
  const VectorXd& floor() const { return floor_; }

  // Into the structure without its floors, by geometric means over what is equal.
  MatrixXd project(MatrixXd log_psi) const {
    const Index d = log_psi.rows(), count = log_psi.cols();
    const VectorXd over_components = log_psi.rowwise().mean();
    const VectorXd level = log_psi.colwise().mean();
    switch (kind_) {
      case Uniqueness::kEqualIsotropic: log_psi.setConstant(level.mean()); break;
      case Uniqueness::kEqual: log_psi = over_components.replicate(1, count); break;
      case Uniqueness::kVaryingIsotropic: log_psi = level.transpose().replicate(d, 1); break;
      case Uniqueness::kVarying: break;
      case Uniqueness::kVaryingScale:
        for (Index k = 0; k < count; ++k)
          log_psi.col(k) = (over_components.array() + (level(k) - level.mean())).matrix();
        break;
      case Uniqueness::kVaryingShape:
        for (Index k = 0; k < count; ++k) log_psi.col(k).array() += level.mean() - level(k);
        break;
    }
    return log_psi;
  }

  // Uniquenesses of the structure without floors to some that keep them.
  void raise(MatrixXd& psi) const {
    if (floor_.size() != psi.rows()) return;
    bool below = false;
    for (Index k = 0; k < psi.cols(); ++k) below = below || (psi.col(k) - floor_).minCoeff() < 0.0;
    if (!below) return;
    if (kind_ == Uniqueness::kVaryingScale) {
      const VectorXd factor = floor_.cwiseQuotient(psi.rowwise().minCoeff()).cwiseMax(1.0);
      psi = factor.asDiagonal() * psi;
    }
    for (Index k = 0; k < psi.cols(); ++k) psi.col(k) = psi.col(k).cwiseMax(floor_);
    if (kind_ == Uniqueness::kVaryingShape) {
      const VectorXd level = psi.array().log().matrix().colwise().mean();
      for (Index k = 0; k < psi.cols(); ++k) psi.col(k) *= std::exp(level.maxCoeff() - level(k));
    }
  }

  // log psi (as a vector of d K) = basis eta: (d K) x (parameters).
  MatrixXd basis(Index d, Index count) const {
    const MatrixXd one = MatrixXd::Ones(d, 1), same = MatrixXd::Identity(d, d);
    MatrixXd out;
    switch (kind_) {
      case Uniqueness::kEqualIsotropic: return MatrixXd::Ones(d * count, 1);
      case Uniqueness::kEqual: return same.replicate(count, 1);
      case Uniqueness::kVarying: return MatrixXd::Identity(d * count, d * count);
      case Uniqueness::kVaryingIsotropic:
        out = MatrixXd::Zero(d * count, count);
        for (Index k = 0; k < count; ++k) out.block(k * d, k, d, 1) = one;
        return out;
      case Uniqueness::kVaryingScale:  // the first component's own, and how much the others' are larger
        out = MatrixXd::Zero(d * count, d + count - 1);
        for (Index k = 0; k < count; ++k) {
          out.block(k * d, 0, d, d) = same;
          if (k > 0) out.block(k * d, d + k - 1, d, 1) = one;
        }
        return out;
      case Uniqueness::kVaryingShape:  // the common level, and contrasts to the last variable
        out = MatrixXd::Zero(d * count, 1 + count * (d - 1));
        out.col(0).setOnes();
        for (Index k = 0; k < count; ++k) {
          out.block(k * d, 1 + k * (d - 1), d - 1, d - 1).setIdentity();
          out.block(k * d + d - 1, 1 + k * (d - 1), 1, d - 1).setConstant(-1.0);
        }
        return out;
    }
    return out;
  }

  // Minimises sum_jk n_k log psi_jk + w_jk / psi_jk over the set, from `psi`, which is in it. The problem is convex in
  // log psi, and where only single uniquenesses are free a minimum below a floor becomes the floor.
  void m_step(const MatrixXd& w, const VectorXd& n, MatrixXd& psi) const {
    const Index d = w.rows(), count = w.cols();
    switch (kind_) {
      case Uniqueness::kEqualIsotropic:
        psi.setConstant(std::max(w.sum() / (n.sum() * static_cast<double>(d)), floor_(0)));
        break;
      case Uniqueness::kEqual: psi = (w.rowwise().sum() / n.sum()).cwiseMax(floor_).replicate(1, count); break;
      case Uniqueness::kVaryingIsotropic:
        for (Index k = 0; k < count; ++k)
          psi.col(k).setConstant(std::max(w.col(k).sum() / (n(k) * static_cast<double>(d)), floor_(0)));
        break;
      case Uniqueness::kVarying:
        for (Index k = 0; k < count; ++k) psi.col(k) = (w.col(k) / n(k)).cwiseMax(floor_);
        break;
      case Uniqueness::kVaryingScale: scales_and_shape(w, n, psi); break;
      case Uniqueness::kVaryingShape: shapes_of_one_volume(w, n, psi); break;
    }
  }

 private:
  // psi_jk = a_k b_j with a_k >= 1 and b_j >= floor_j: the same set, now with bounds for each number alone, so that the
  // alternation between the two ends at the minimum.
  void scales_and_shape(const MatrixXd& w, const VectorXd& n, MatrixXd& psi) const {
    const double d = static_cast<double>(w.rows());
    VectorXd scale = psi.row(0).transpose() / psi.row(0).minCoeff();
    VectorXd shape = psi.rowwise().minCoeff();
    for (int i = 0; i < kLimit; ++i) {
      shape = (w * scale.cwiseInverse() / n.sum()).cwiseMax(floor_);
      const VectorXd next = (w.transpose() * shape.cwiseInverse()).cwiseQuotient(d * n).cwiseMax(1.0);
      const double change = (next - scale).cwiseQuotient(next).cwiseAbs().maxCoeff();
      scale = next;
      if (change < kTol) break;
    }
    psi = shape * scale.transpose();
  }

  // Components of one volume V = sum_j log psi_jk. Given it psi_jk = max(w_jk / mu_k, floor_j), water that is poured over
  // the floors, and V is where the mu_k, the rates at which more of it helps, sum to n.
  void shapes_of_one_volume(const MatrixXd& w, const VectorXd& n, MatrixXd& psi) const {
    const double log_total = std::log(n.sum());
    const double least = floor_.array().log().sum();
    VectorXd log_mu(w.cols()), slope(w.cols());
    // log sum_k mu_k - log n, which falls in V, and minus its derivative.
    const auto excess = [&](double volume, double& rate) {
      for (Index k = 0; k < w.cols(); ++k) log_mu(k) = pour(w.col(k), volume, slope(k));
      const double top = log_mu.maxCoeff();
      const VectorXd share = (log_mu.array() - top).exp().matrix();
      rate = share.dot(slope) / share.sum();
      return top + std::log(share.sum()) - log_total;
    };
    double lower = least, upper = std::numeric_limits<double>::infinity(), rate = 1.0;
    double volume = std::max(psi.col(0).array().log().sum(), least + kTol);
    for (int i = 0; i < kLimit; ++i) {
      const double over = excess(volume, rate);
      if (!std::isfinite(over)) return;
      (over > 0.0 ? lower : upper) = volume;
      double next = rate > 0.0 ? volume + over / rate : std::numeric_limits<double>::quiet_NaN();
      if (!(next > lower && next < upper)) next = std::isfinite(upper) ? 0.5 * (lower + upper) : volume + 1.0;
      const double change = std::abs(next - volume);
      volume = next;
      if (change < kTol * (1.0 + std::abs(volume))) break;
    }
    excess(volume, rate);
    for (Index k = 0; k < w.cols(); ++k) psi.col(k) = (w.col(k) * std::exp(-log_mu(k))).cwiseMax(floor_);
    // What rounding leaves of the volumes' differences goes into the uniquenesses above their floors.
    for (Index k = 0; k < w.cols(); ++k) {
      const double free = static_cast<double>((psi.col(k).array() > floor_.array() * (1.0 + 1e-9)).count());
      if (free == 0.0) continue;
      const double factor = std::exp((volume - psi.col(k).array().log().sum()) / free);
      for (Index j = 0; j < psi.rows(); ++j)
        if (psi(j, k) > floor_(j) * (1.0 + 1e-9)) psi(j, k) *= factor;
    }
  }

  // log mu with sum_j log max(w_j / mu, floor_j) = volume, and 1 / (the number above their floors).
  double pour(const Eigen::Ref<const VectorXd>& w, double volume, double& slope) const {
    std::vector<Index> free;
    for (Index j = 0; j < w.size(); ++j)
      if (w(j) > 0.0) free.push_back(j);
      else volume -= std::log(floor_(j));
    while (!free.empty()) {
      double sum = 0.0;
      for (Index j : free) sum += std::log(w(j));
      slope = 1.0 / static_cast<double>(free.size());
      const double log_mu = (sum - volume) * slope;
      std::vector<Index> above;
      for (Index j : free)
        if (std::log(w(j)) - log_mu > std::log(floor_(j))) above.push_back(j);
        else volume -= std::log(floor_(j));
      if (above.size() == free.size()) return log_mu;
      if (above.empty()) return log_mu;
      free.swap(above);
    }
    slope = 0.0;
    return -std::numeric_limits<double>::infinity();
  }

  static constexpr double kTol = 1e-14;
  static constexpr int kLimit = 5000;

  Uniqueness kind_;
  VectorXd floor_;  // d
};

}  // namespace emkit
