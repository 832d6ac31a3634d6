// The data of a factor analysis in the core's units, and results in the user's.
#pragma once
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "factor_fit.h"
#include "factor_missing_fit.h"

namespace emkit {

// Complete data or their covariance: every column of variance 1, or (`common`) all divided by one number. `n` is the
// weight of all rows.
class FactorProblem {
 public:
  FactorProblem(const VectorXd& mean, const MatrixXd& covariance, double n, bool common) : n_(n), mean_(mean) {
    set_scale(covariance.diagonal().cwiseSqrt(), common);
    const VectorXd inverse = scale_.cwiseInverse();
    moments_ = FactorMoments::of_matrix(inverse.asDiagonal() * covariance * inverse.asDiagonal());
  }

  FactorProblem(const RawData& raw, double n, bool common, int threads) : n_(n) {
    const ColumnMoments columns = column_moments(raw, threads);
    mean_ = Eigen::Map<const VectorXd>(columns.mean.data(), static_cast<Index>(raw.d));
    set_scale(Eigen::Map<const VectorXd>(columns.sd.data(), static_cast<Index>(raw.d)), common);
    moments_ = FactorMoments::of_rows_or_matrix(weighted_rows(raw, columns, scale_, n_, threads), threads);
  }

  // False where a variable is constant.
  bool usable() const { return usable_; }
  const FactorMoments& moments() const { return moments_; }
  const VectorXd& mean() const { return mean_; }
  const VectorXd& scale() const { return scale_; }
  double n() const { return n_; }
  double log_jacobian() const { return n_ * scale_.array().log().sum(); }

  MatrixXd scaled_loadings(const MatrixXd& l) const { return scale_.cwiseInverse().asDiagonal() * l; }
  VectorXd scaled_uniquenesses(const VectorXd& u) const { return u.cwiseQuotient(scale_.cwiseAbs2()); }
  FactorParameters user_parameters(const FactorParameters& p) const {
    return {scale_.asDiagonal() * p.loadings, p.uniquenesses.cwiseProduct(scale_.cwiseAbs2()), p.boundary};
  }

  // log |S| in the user's units; NaN where S is singular, or too large to look.
  double log_det() const {
    constexpr Index kLargest = 1500;
    constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
    if (!moments_.formed() || moments_.size() > kLargest) return kUnknown;
    const Eigen::LLT<MatrixXd> root(moments_.matrix());
    if (root.info() != Eigen::Success) return kUnknown;
    const Eigen::ArrayXd pivots = root.matrixLLT().diagonal().array();
    if (!(pivots.square() > 1e-13 * moments_.variances().array()).all()) return kUnknown;
    return 2.0 * (pivots.log().sum() + scale_.array().log().sum());
  }

 private:
  void set_scale(const VectorXd& sd, bool common) {
    usable_ = sd.allFinite() && (sd.array() > 0.0).all();
    scale_ = common ? VectorXd::Constant(sd.size(), std::exp(sd.array().log().mean())) : sd;
  }

  double n_;
  bool usable_ = false;
  VectorXd mean_, scale_;
  FactorMoments moments_;
};

// Rows with missing cells: every variable with mean 0 and variance 1; where uniquenesses are common, all variables are
// divided by one number, the root of their mean variance.
class FactorMissingProblem {
 public:
  FactorMissingProblem(const RawData& raw, FactorNoise noise, int threads) {
    ColumnMoments moments = column_moments(raw, threads);
    if (noise == FactorNoise::kCommon) {
      double s = 0.0;
      for (double v : moments.sd) s += v * v;
      moments.sd.assign(moments.sd.size(), std::sqrt(s / static_cast<double>(moments.sd.size())));
    }
    center_ = Eigen::Map<const VectorXd>(moments.mean.data(), static_cast<Index>(moments.mean.size()));
    scale_ = Eigen::Map<const VectorXd>(moments.sd.data(), static_cast<Index>(moments.sd.size()));
    const Observations observations(raw, moments.mean, moments.sd);
    rows_.reset(new TiledRows(observations, threads));
  }

  const TiledRows& rows() const { return *rows_; }

  // The first variable that is constant or never observed, or -1.
  Index unusable() const {
    for (Index j = 0; j < scale_.size(); ++j)
      if (!(scale_(j) > 0.0) || !std::isfinite(scale_(j))) return j;
    return -1;
  }

  // What the log-likelihood of the scaled data has beyond that of the data.
  double log_jacobian() const { return rows_->weight().dot(scale_.array().log().matrix()); }

  VectorXd scaled_mean(const VectorXd& m) const { return (m - center_).cwiseQuotient(scale_); }
  MatrixXd scaled_loadings(const MatrixXd& l) const { return scale_.cwiseInverse().asDiagonal() * l; }
  VectorXd scaled_uniquenesses(const VectorXd& u) const { return u.cwiseQuotient(scale_.cwiseAbs2()); }
  // The loadings in canonical form.
  FactorMissingPoint user_point(const FactorMissingPoint& point) const {
    return {center_ + scale_.cwiseProduct(point.mean), scale_.asDiagonal() * canonical_loadings(point),
            point.uniquenesses.cwiseProduct(scale_.cwiseAbs2())};
  }

 private:
  VectorXd center_, scale_;
  std::unique_ptr<TiledRows> rows_;
};

// The variables whose uniqueness (in the core's units) is 0, or the least that numbers allow.
inline std::vector<Index> variables_at_bound(const VectorXd& uniquenesses) {
  std::vector<Index> out;
  for (Index j = 0; j < uniquenesses.size(); ++j)
    if (uniquenesses(j) <= FactorMissing::kBound) out.push_back(j);
  return out;
}

}  // namespace emkit
