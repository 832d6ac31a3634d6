// The expectations of one missingness pattern under a normal distribution.
#pragma once
#include <cmath>
#include <vector>

#include "../data/pattern_statistics.h"
#include "../math/conditional_normal.h"

namespace emkit {

// A mean and covariance with what every pattern needs of them.
struct MvnPoint {
  VectorXd mean;
  MatrixXd covariance;
  MatrixXd root;       // lower Cholesky factor of the covariance
  MatrixXd precision;  // K
  double log_det = 0.0;
  double inflation = 1.0;  // the largest ratio of a variable's variance to its variance given all others

  // Formulas in K lose the square of the inflation in digits, those in the blocks of the covariance only its first power.
  bool ill_conditioned() const { return inflation > kWellConditioned; }

  // False, with the rest unusable, when the covariance is not positive definite, or when a variable's variance given
  // the others is less than kSmallestShare of its own: then it is linear in them up to rounding.
  bool factor() {
    const Index d = mean.size();
    const Eigen::LLT<MatrixXd> llt(covariance);
    if (!mean.allFinite() || !covariance.allFinite() || llt.info() != Eigen::Success) return false;
    root = llt.matrixL();
    if (!(root.diagonal().minCoeff() > 0.0)) return false;
    precision = llt.solve(MatrixXd::Identity(d, d));
    precision = (0.5 * (precision + precision.transpose())).eval();
    log_det = 2.0 * root.diagonal().array().log().sum();
    if (!precision.allFinite()) return false;
    inflation = (covariance.diagonal().array() * precision.diagonal().array()).maxCoeff();
    return inflation < 1.0 / kSmallestShare;
  }

  static constexpr double kSmallestShare = 1e-10;
  static constexpr double kWellConditioned = 1e3;
};

// Sums over patterns of what the E-step expects, about the mean of the point. Only what involves missing cells: the
// observed cells' moments do not change (PatternStatistics).
struct MvnSums {
  explicit MvnSums(size_t d)
      : first(VectorXd::Zero(static_cast<Index>(d))),
        cross(MatrixXd::Zero(static_cast<Index>(d), static_cast<Index>(d))),
        inner(MatrixXd::Zero(static_cast<Index>(d), static_cast<Index>(d))) {}
  void reset() {
    first.setZero();
    cross.setZero();
    inner.setZero();
    quadratic = log_det = 0.0;
  }
  void add(const MvnSums& o) {
    first += o.first;
    cross += o.cross;
    inner += o.inner;
    quadratic += o.quadratic;
    log_det += o.log_det;
  }

  VectorXd first;   // of the missing cells
  MatrixXd cross;   // column a: missing cell a with every observed cell
  MatrixXd inner;   // missing cells with missing cells (both triangles)
  double quadratic = 0.0;  // sum tr(Sigma_oo^-1 V), less <K, second moments of observed cells> at well-conditioned points
  double log_det = 0.0;    // sum n (log |Sigma_oo| - log |Sigma|)
};

// Where more is missing than observed, and wherever the covariance is ill-conditioned, Sigma_oo is factored.
class MvnPatternStep : public ConditionalNormal {
 public:
  explicit MvnPatternStep(size_t d) : ConditionalNormal(d) {}

  // `draws`: the missing part is to be drawn, for which its own covariance is factored. False when rounding has made a
  // block indefinite.
  bool prepare(const MvnPoint& point, const PatternGroup& g, bool draws = false) {
    point_ = &point;
    group_ = &g;
    set_normal(point.covariance.data(), point.precision.data(), point.log_det);
    set_pattern(*g.pattern);
    if (g.n_priors == 0 && (point.ill_conditioned() || (!draws && n_observed_ < n_missing_))) {
      if (!prepare_observed_side()) return false;
      if (draws) factor_conditional_covariance();
      return true;
    }
    gather_missing_side();
    for (size_t i = 0; i < g.n_priors; ++i) {
      const size_t at = missing_position(g.priors[i].column);
      chol_[packed_index(at, at)] += 1.0 / (g.priors[i].sd * g.priors[i].sd);
    }
    return factor_missing_side();
  }

  // As in ConditionalNormal, where K_mm and log_det_precision() have the precisions of cell priors in them.
  void expect(const double* shift, double* out) {
    if (group_->n_priors == 0) {
      ConditionalNormal::expect(shift, out);
      return;
    }
    missing_products(shift);
    for (size_t p = 0; p < group_->n_priors; ++p) {
      const CellPrior& c = group_->priors[p];
      product_[missing_position(c.column)] += (c.mean - point_->mean(static_cast<Index>(c.column))) / (c.sd * c.sd);
    }
    times_inverse(product_.data(), 1, out);
  }

  // Adds the expectations of the prepared pattern to `sums`. Needs no n_rows-sized work.
  void accumulate(MvnSums& sums) {
    const PatternGroup& g = *group_;
    sums.log_det += g.n * log_det_k_;
    if (point_->ill_conditioned() && g.n_priors == 0) sums.quadratic += whole_quadratic();
    if (g.n_missing() == 0) return;
    if (g.n_priors > 0)
      with_priors(sums);
    else if (g.by_rows)
      by_rows(sums);
    else
      by_scatter(sums);
    add_covariance(sums);
  }

  // n times the covariance of the missing part given the observed part.
  void add_covariance(MvnSums& sums) const {
    const size_t m = group_->n_missing();
    for (size_t i = 0; i < m; ++i) {
      double* column = sums.inner.data() + missing_[i] * d_;
      for (size_t j = 0; j < m; ++j) column[missing_[j]] += group_->n * inverse_[i * m + j];
    }
  }

  // The shift of the observed means from the point's, zero at the missing variables (d).
  const double* shift() {
    shift_.assign(d_, 0.0);
    for (size_t l = 0; l < group_->n_observed(); ++l)
      shift_[observed_[l]] = group_->mean[observed_[l]] - point_->mean(static_cast<Index>(observed_[l]));
    return shift_.data();
  }

 private:
  size_t missing_position(size_t column) const {
    size_t at = 0;
    while (missing_[at] != column) ++at;
    return at;
  }

  // tr(Sigma_oo^-1 V) from the factor of Sigma_oo alone.
  double whole_quadratic() {
    const PatternGroup& g = *group_;
    const size_t o = g.n_observed();
    const auto whitened_norm = [&](const double* row, double sign) {
      whitened_.resize(o);
      double norm = 0.0;
      for (size_t i = 0; i < o; ++i) {
        double s = row[observed_[i]] - sign * point_->mean(static_cast<Index>(observed_[i]));
        for (size_t j = 0; j < i; ++j) s -= chol_[packed_index(i, j)] * whitened_[j];
        whitened_[i] = s * chol_[packed_index(i, i)];
        norm += whitened_[i] * whitened_[i];
      }
      return norm;
    };
    double total = g.n * whitened_norm(g.mean, 1.0);
    for (size_t r = 0; g.rows && r < g.n_rows; ++r) total += whitened_norm(g.rows + r * d_, 0.0);
    if (g.scatter) {
      factor_.assign(g.scatter, g.scatter + o * o);
      solve_observed(factor_.data(), o);
      for (size_t i = 0; i < o; ++i) total += factor_[i * o + i];
    }
    return total;
  }

  // The factor A of the second moments about the point, a few rows of length d: E = -K_mm^-1 K_mo A'.
  void by_rows(MvnSums& sums) {
    const PatternGroup& g = *group_;
    const size_t m = g.n_missing(), n_factor = g.n_factor(), n_rows = n_factor - 1;
    const double* d = shift();
    const double root = std::sqrt(g.n);
    factor_.resize(n_factor * d_);
    if (n_rows > 0) std::copy(g.rows, g.rows + n_rows * d_, factor_.begin());
    for (size_t j = 0; j < d_; ++j) factor_[n_rows * d_ + j] = root * d[j];
    expected_.resize(m * n_factor);
    product_.resize(m * n_factor);
    for (size_t i = 0; i < m; ++i) {
      const double* k = point_->precision.data() + missing_[i] * d_;
      for (size_t c = 0; c < n_factor; ++c) product_[i * n_factor + c] = -dot(k, factor_.data() + c * d_, d_);
    }
    if (observed_side_)
      expect_by_regression(n_factor);
    else
      times_inverse(product_.data(), n_factor, expected_.data());
    if (!point_->ill_conditioned())
      for (size_t i = 0; i < m * n_factor; ++i) sums.quadratic -= product_[i] * expected_[i];
    for (size_t i = 0; i < m; ++i) {
      const double* e = expected_.data() + i * n_factor;
      double* column = sums.cross.data() + missing_[i] * d_;
      for (size_t c = 0; c < n_factor; ++c) {
        const double* a = factor_.data() + c * d_;
        for (size_t j = 0; j < d_; ++j) column[j] += e[c] * a[j];
      }
      sums.first(static_cast<Index>(missing_[i])) += root * e[n_rows];
      double* inner = sums.inner.data() + missing_[i] * d_;
      for (size_t j = 0; j < m; ++j) inner[missing_[j]] += dot(e, expected_.data() + j * n_factor, n_factor);
    }
  }

  void expect_by_regression(size_t n_factor) {
    const size_t m = group_->n_missing(), o = group_->n_observed();
    for (size_t i = 0; i < m; ++i)
      for (size_t c = 0; c < n_factor; ++c) {
        double s = 0.0;
        for (size_t l = 0; l < o; ++l) s += regression_[i * o + l] * factor_[c * d_ + observed_[l]];
        expected_[i * n_factor + c] = s;
      }
  }

  // G = B V with V the second moments of the observed cells about the point.
  void by_scatter(MvnSums& sums) {
    const PatternGroup& g = *group_;
    const size_t m = g.n_missing(), o = g.n_observed();
    const double* b = regression();
    packed_shift_.resize(o);
    for (size_t l = 0; l < o; ++l)
      packed_shift_[l] = g.mean[observed_[l]] - point_->mean(static_cast<Index>(observed_[l]));
    product_.resize(o);
    for (size_t i = 0; i < m; ++i) {
      const double* row = b + i * o;
      const double expected = dot(row, packed_shift_.data(), o);
      for (size_t l = 0; l < o; ++l)
        product_[l] = g.n * expected * packed_shift_[l] + dot(row, g.scatter + l * o, o);
      sums.first(static_cast<Index>(missing_[i])) += g.n * expected;
      const double* k = point_->precision.data() + missing_[i] * d_;
      double* cross = sums.cross.data() + missing_[i] * d_;
      double quadratic = 0.0;
      for (size_t l = 0; l < o; ++l) {
        quadratic += k[observed_[l]] * product_[l];
        cross[observed_[l]] += product_[l];
      }
      if (!point_->ill_conditioned()) sums.quadratic += quadratic;
      double* inner = sums.inner.data() + missing_[i] * d_;
      for (size_t j = 0; j < m; ++j) inner[missing_[j]] += dot(product_.data(), b + j * o, o);
    }
  }

  // One row whose missing cells have priors. chol() is that of K_mm + D with D the prior precisions; the row's
  // contribution is the integral of its density times the (unnormalised) priors. (formulas.Rmd, N5)
  void with_priors(MvnSums& sums) {
    const PatternGroup& g = *group_;
    const size_t m = g.n_missing();
    const double* d = shift();
    std::vector<double> linear(m), delta(m, 0.0), precision(m, 0.0);
    for (size_t i = 0; i < g.n_priors; ++i) {
      const size_t at = missing_position(g.priors[i].column);
      precision[at] = 1.0 / (g.priors[i].sd * g.priors[i].sd);
      delta[at] = g.priors[i].mean - point_->mean(static_cast<Index>(missing_[at]));
    }
    double constant = 0.0;
    for (size_t i = 0; i < m; ++i) {
      const double* k = point_->precision.data() + missing_[i] * d_;
      linear[i] = precision[i] * delta[i] - dot(k, d, d_);
      constant += precision[i] * delta[i] * delta[i];
    }
    expected_.resize(m);
    times_inverse(linear.data(), 1, expected_.data());
    for (size_t i = 0; i < m; ++i) constant -= linear[i] * expected_[i];
    if (point_->ill_conditioned())  // where <K, V> of the observed cells is not added to the whole
      for (size_t j = 0; j < d_; ++j) constant += d[j] * dot(point_->precision.data() + j * d_, d, d_);
    sums.quadratic += constant;
    for (size_t i = 0; i < m; ++i) {
      sums.first(static_cast<Index>(missing_[i])) += expected_[i];
      double* cross = sums.cross.data() + missing_[i] * d_;
      for (size_t j = 0; j < d_; ++j) cross[j] += expected_[i] * d[j];
      double* inner = sums.inner.data() + missing_[i] * d_;
      for (size_t j = 0; j < m; ++j) inner[missing_[j]] += expected_[i] * expected_[j];
    }
  }

  const MvnPoint* point_ = nullptr;
  const PatternGroup* group_ = nullptr;
  std::vector<double> shift_, packed_shift_, factor_, expected_, whitened_;
};

}  // namespace emkit
