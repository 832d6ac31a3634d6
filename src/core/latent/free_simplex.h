// Laws of the first state of a chain and of the next state given the present one.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "multinomial_logit.h"
#include "stationary.h"

namespace emkit {

// Probabilities below this are 0: EM drives some to 0 faster and faster, and products of them would be lost to rounding.
constexpr double kLeastProbability = 1e-280;

// A probability this close to 0 has reached the boundary: it has no standard error, and no coordinate.
constexpr double kAtBound = 1e-6;

// A probability vector with entries that may be held (NaN: free), in the forms that a fit needs it.
class FreeSimplex {
 public:
  FreeSimplex(Eigen::VectorXd value, std::vector<double> fixed) : value_(std::move(value)), fixed_(std::move(fixed)) {}

  const Eigen::VectorXd& value() const { return value_; }
  // Held entries stay; the rest share what is left, in proportion to `counts` (all 0: unchanged).
  void maximise(const double* counts) {
    double total = 0.0, left = 1.0;
    for (Eigen::Index k = 0; k < value_.size(); ++k) {
      if (held(k))
        left -= fixed_[static_cast<size_t>(k)];
      else
        total += counts[k];
    }
    if (!(total > 0.0)) return;
    for (Eigen::Index k = 0; k < value_.size(); ++k) {
      if (held(k)) continue;
      const double p = left * counts[k] / total;
      value_(k) = p < kLeastProbability ? 0.0 : p;
    }
  }
  void set(const Eigen::VectorXd& p) {
    value_ = p;
    for (Eigen::Index k = 0; k < p.size(); ++k)
      if (held(k)) value_(k) = fixed_[static_cast<size_t>(k)];
  }

  // Degrees of freedom.
  size_t n_free() const {
    size_t n = 0;
    for (Eigen::Index k = 0; k < value_.size(); ++k) n += held(k) ? 0 : 1;
    return n > 0 ? n - 1 : 0;
  }

  // Square roots: in them EM's way to the boundary is a straight line, and any point is a probability vector.
  size_t n_packed() const { return static_cast<size_t>(value_.size()); }
  void pack(double* point) const {
    for (Eigen::Index k = 0; k < value_.size(); ++k) point[k] = std::sqrt(value_(k));
  }
  bool unpack(const double* point) {
    Eigen::VectorXd counts(value_.size());
    for (Eigen::Index k = 0; k < value_.size(); ++k) counts(k) = point[k] * point[k];
    if (!counts.allFinite()) return false;
    maximise(counts.data());
    return true;
  }

  // Logits against the largest free entry, of the free entries that are not at a bound.
  std::vector<Eigen::Index> interior() const {
    std::vector<Eigen::Index> out;
    const Eigen::Index origin = reference();
    for (Eigen::Index k = 0; k < value_.size(); ++k)
      if (!held(k) && k != origin && value_(k) > kAtBound) out.push_back(k);
    return out;
  }
  Eigen::Index reference() const {
    Eigen::Index best = -1;
    for (Eigen::Index k = 0; k < value_.size(); ++k)
      if (!held(k) && (best < 0 || value_(k) > value_(best))) best = k;
    return best;
  }
  bool held(Eigen::Index k) const { return !fixed_.empty() && !std::isnan(fixed_[static_cast<size_t>(k)]); }

 private:
  Eigen::VectorXd value_;
  std::vector<double> fixed_;  // K or empty
};

// A point of coordinates of a FreeSimplex: which entries are free is decided once, at the point where they are taken.
class SimplexChart {
 public:
  explicit SimplexChart(const FreeSimplex& simplex)
      : base_(simplex.value()), free_(simplex.interior()), origin_(simplex.reference()) {}
  size_t size() const { return free_.size(); }
  void coordinates(double* point) const {
    for (Eigen::Index k : free_) *point++ = std::log(base_(k) / base_(origin_));
  }
  Eigen::VectorXd probability(const double* point) const {
    Eigen::VectorXd p = base_;
    if (free_.empty()) return p;
    double mass = base_(origin_), total = 1.0;
    for (Eigen::Index k : free_) mass += base_(k);
    for (size_t i = 0; i < free_.size(); ++i) total += std::exp(point[i]);
    p(origin_) = mass / total;
    for (size_t i = 0; i < free_.size(); ++i) p(free_[i]) = mass * std::exp(point[i]) / total;
    return p;
  }
  // gradient of sum_k derivative_k p_k with respect to the coordinates, at p.
  void pull_back(const Eigen::VectorXd& p, const Eigen::VectorXd& derivative, double* gradient) const {
    if (free_.empty()) return;
    double mass = p(origin_), mean = p(origin_) * derivative(origin_);
    for (Eigen::Index k : free_) {
      mass += p(k);
      mean += p(k) * derivative(k);
    }
    for (Eigen::Index k : free_) *gradient++ = p(k) * (derivative(k) - mean / mass);
  }

 private:
  Eigen::VectorXd base_;
  std::vector<Eigen::Index> free_;
  Eigen::Index origin_;
};

}  // namespace emkit
