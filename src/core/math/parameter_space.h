// Coordinates without constraint for a flat vector of parameters.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "cholesky.h"

namespace emkit {

using std::size_t;

// Parameters, a flat vector, and their coordinates, points of R^n_packed().
class ParameterSpace {
 public:
  virtual ~ParameterSpace() = default;
  virtual size_t n_packed() const = 0;
  // False when the parameters have no coordinates: they lie on the boundary of their space, or outside of it.
  virtual bool pack(const std::vector<double>& parameters, double* point) const = 0;
  // False, with the parameters unchanged, when the point has no parameters (beyond the range of doubles).
  virtual bool unpack(const double* point, std::vector<double>& parameters) const = 0;
  // Whether the parameters lie in their space or, but for rounding, on its boundary.
  virtual bool contains(const std::vector<double>&) const { return true; }
};

enum class Transform { kReal, kPositive, kProbability, kSimplex, kCovariance };

// Some of the parameters (`at`: where they stand) with the transform that they share. A simplex or a covariance matrix
// (d x d, by columns) is a block of its own.
struct TransformBlock {
  Transform transform = Transform::kReal;
  std::vector<size_t> at;
};

// Identity, log, logit, log ratios to the last share, and log-Cholesky factors. Parameters that are in no block stay as
// they are.
class TransformedSpace final : public ParameterSpace {
 public:
  explicit TransformedSpace(std::vector<TransformBlock> blocks) : blocks_(std::move(blocks)) {
    for (const TransformBlock& b : blocks_) n_packed_ += size_of(b);
  }

  size_t n_packed() const override { return n_packed_; }

  bool pack(const std::vector<double>& parameters, double* point) const override {
    for (const TransformBlock& b : blocks_) {
      if (!pack_block(b, parameters, point)) return false;
      point += size_of(b);
    }
    return true;
  }

  bool unpack(const double* point, std::vector<double>& parameters) const override {
    std::vector<double> out = parameters;
    for (const TransformBlock& b : blocks_) {
      if (!unpack_block(b, point, out)) return false;
      point += size_of(b);
    }
    parameters.swap(out);
    return true;
  }

  bool contains(const std::vector<double>& parameters) const override {
    return std::all_of(blocks_.begin(), blocks_.end(),
                       [&](const TransformBlock& b) { return contains_block(b, parameters); });
  }

 private:
  static constexpr double kSlack = 1e-6;  // of a sum, a probability, or relative to the largest entry

  static bool contains_block(const TransformBlock& b, const std::vector<double>& parameters) {
    if (b.transform == Transform::kReal) return true;
    if (b.transform == Transform::kCovariance) return contains_covariance(b, parameters);
    double sum = 0.0;
    for (size_t i : b.at) {
      const double v = parameters[i];
      sum += v;
      if (b.transform == Transform::kPositive ? v < 0.0 : v < -kSlack || v > 1.0 + kSlack) return false;
    }
    return b.transform != Transform::kSimplex || std::abs(sum - 1.0) <= kSlack;
  }

  static bool contains_covariance(const TransformBlock& b, const std::vector<double>& parameters) {
    const size_t d = dimension(b);
    Eigen::MatrixXd a(static_cast<Eigen::Index>(d), static_cast<Eigen::Index>(d));
    for (size_t i = 0; i < b.at.size(); ++i) a.data()[i] = parameters[b.at[i]];
    const Eigen::VectorXd root = a.diagonal().cwiseMax(0.0).cwiseSqrt();
    if (a.diagonal().minCoeff() < 0.0) return false;
    // correlations, so that units do not matter
    const Eigen::VectorXd unit = (root.array() > 0.0).select(root.array().inverse(), 0.0);
    a = unit.asDiagonal() * a * unit.asDiagonal();
    if ((a - a.transpose()).cwiseAbs().maxCoeff() > kSlack) return false;
    a.diagonal().array() += kSlack;
    return a.llt().info() == Eigen::Success;
  }

  static size_t dimension(const TransformBlock& b) {
    return static_cast<size_t>(std::lround(std::sqrt(static_cast<double>(b.at.size()))));
  }
  static size_t size_of(const TransformBlock& b) {
    if (b.transform == Transform::kSimplex) return b.at.size() - 1;
    if (b.transform == Transform::kCovariance) return packed_size(dimension(b));
    return b.at.size();
  }

  static bool pack_block(const TransformBlock& b, const std::vector<double>& parameters, double* point) {
    if (b.transform == Transform::kCovariance) return pack_covariance(b, parameters, point);
    const double last = parameters[b.at.back()];
    for (size_t i = 0; i < size_of(b); ++i) {
      const double v = parameters[b.at[i]];
      point[i] = b.transform == Transform::kReal       ? v
                 : b.transform == Transform::kPositive ? std::log(v)
                 : b.transform == Transform::kSimplex  ? std::log(v / last)
                                                       : std::log(v / (1.0 - v));
      if (!std::isfinite(point[i])) return false;
    }
    return true;
  }

  static bool unpack_block(const TransformBlock& b, const double* point, std::vector<double>& out) {
    switch (b.transform) {
      case Transform::kSimplex: return unpack_simplex(b, point, out);
      case Transform::kCovariance: return unpack_covariance(b, point, out);
      default: break;
    }
    for (size_t i = 0; i < b.at.size(); ++i) {
      double& v = out[b.at[i]];
      v = b.transform == Transform::kReal       ? point[i]
          : b.transform == Transform::kPositive ? std::exp(point[i])
                                                : 1.0 / (1.0 + std::exp(-point[i]));
      if (!std::isfinite(v)) return false;
      if (b.transform != Transform::kReal && v <= 0.0) return false;
      if (b.transform == Transform::kProbability && v >= 1.0) return false;
    }
    return true;
  }

  static bool unpack_simplex(const TransformBlock& b, const double* point, std::vector<double>& out) {
    double top = 0.0, sum = 0.0;
    const size_t n = b.at.size();
    for (size_t i = 0; i + 1 < n; ++i) top = std::max(top, point[i]);
    for (size_t i = 0; i < n; ++i) {
      out[b.at[i]] = std::exp((i + 1 < n ? point[i] : 0.0) - top);
      sum += out[b.at[i]];
    }
    for (size_t i : b.at) {
      out[i] /= sum;
      if (!(out[i] > 0.0)) return false;
    }
    return true;
  }

  // The rows of the factor relative to its diagonal, so that units are in the diagonal alone.
  static bool pack_covariance(const TransformBlock& b, const std::vector<double>& parameters, double* point) {
    const size_t d = dimension(b);
    Eigen::MatrixXd a(static_cast<Eigen::Index>(d), static_cast<Eigen::Index>(d));
    for (size_t i = 0; i < b.at.size(); ++i) a.data()[i] = parameters[b.at[i]];
    if (!cholesky_packed(a, point)) return false;
    for (size_t j = 0; j < d; ++j) {
      double* row = point + packed_index(j, 0);
      for (size_t l = 0; l < j; ++l) row[l] /= row[j];
      row[j] = std::log(row[j]);
    }
    return true;
  }

  static bool unpack_covariance(const TransformBlock& b, const double* point, std::vector<double>& out) {
    const size_t d = dimension(b);
    std::vector<double> factor(point, point + packed_size(d));
    for (size_t j = 0; j < d; ++j) {
      double* row = factor.data() + packed_index(j, 0);
      row[j] = std::exp(row[j]);
      for (size_t l = 0; l < j; ++l) row[l] *= row[j];
    }
    for (size_t j = 0; j < d; ++j) {
      for (size_t l = 0; l <= j; ++l) {
        double s = 0.0;
        for (size_t m = 0; m <= l; ++m) s += factor[packed_index(j, m)] * factor[packed_index(l, m)];
        if (!std::isfinite(s) || (j == l && !(s > 0.0))) return false;
        out[b.at[j + l * d]] = out[b.at[l + j * d]] = s;
      }
    }
    return true;
  }

  std::vector<TransformBlock> blocks_;
  size_t n_packed_ = 0;
};

}  // namespace emkit
