// The conditional distribution of the missing part of a normal vector given the observed part.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "../data/missing_patterns.h"
#include "cholesky.h"

namespace emkit {

// With K = Sigma^-1 and a pattern's observed and missing variables o and m: the missing part given the observed part
// has covariance K_mm^-1 and regression matrix B = -K_mm^-1 K_mo, |Sigma_oo| = |Sigma| |K_mm| and
// Sigma_oo^-1 = K_oo + K_om B. So a pattern costs a factorisation of the missing block (the missing side), which is the
// small one when little is missing; or else one of Sigma_oo (the observed side). (formulas.Rmd, N1)
class ConditionalNormal {
 public:
  explicit ConditionalNormal(size_t d) : d_(d) {}

  // Sigma and K (d x d, both triangles) and log |Sigma|; they must outlive what is made of them.
  void set_normal(const double* covariance, const double* precision, double log_det) {
    covariance_ = covariance;
    precision_ = precision;
    log_det_ = log_det;
  }

  void set_pattern(const Pattern& pattern) {
    missing_ = pattern.missing.data();
    observed_ = pattern.observed.data();
    n_missing_ = pattern.missing.size();
    n_observed_ = pattern.observed.size();
  }

  // From the missing side where that is the shorter way and loses no digits, else from the observed side. False when
  // rounding has made a block indefinite.
  bool prepare() {
    if (2 * n_observed_ >= n_missing_) {
      gather_missing_side();
      if (factor_missing_side() && block_inflation() < kWellConditioned) return true;
    }
    return prepare_observed_side();
  }

  // log |K_mm| = log |Sigma_oo| - log |Sigma|.
  double log_det_precision() const { return log_det_k_; }

  // K_mm^-1 (m x m, row by row).
  const double* conditional_covariance() const { return inverse_.data(); }

  // Standard normals z (m) become a draw with the covariance of the missing part given the observed part. After
  // factor_conditional_covariance() where the observed side was prepared.
  void correlate(double* z) const {
    const size_t m = n_missing_;
    if (observed_side_) {
      for (size_t i = m; i-- > 0;) {
        double s = 0.0;
        for (size_t j = 0; j <= i; ++j) s += triangle_[i * m + j] * z[j];
        z[i] = s;
      }
      return;
    }
    for (size_t i = m; i-- > 0;) {  // L^-T z, with L the factor of K_mm
      double s = z[i];
      for (size_t j = i + 1; j < m; ++j) s -= chol_[packed_index(j, i)] * z[j];
      z[i] = s * chol_[packed_index(i, i)];
    }
  }

  // The expectation of x_m - mean_m (m) in a row with x_o - mean_o in `shift` (d, zero at the missing variables).
  void expect(const double* shift, double* out) {
    if (observed_side_) {
      for (size_t i = 0; i < n_missing_; ++i) {
        out[i] = 0.0;
        for (size_t l = 0; l < n_observed_; ++l) out[i] += regression_[i * n_observed_ + l] * shift[observed_[l]];
      }
      return;
    }
    missing_products(shift);
    times_inverse(product_.data(), 1, out);
  }

  // B (m x o, row by row).
  const double* regression() {
    if (!observed_side_) fill_regression();
    return regression_.data();
  }

 protected:
  static void subtract(double* a, const double* b, double f, size_t n) {
    for (size_t i = 0; i < n; ++i) a[i] -= f * b[i];
  }
  static void scale(double* a, double f, size_t n) {
    for (size_t i = 0; i < n; ++i) a[i] *= f;
  }
  static double dot(const double* a, const double* b, size_t n) {
    double s[4] = {0.0, 0.0, 0.0, 0.0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
      for (size_t l = 0; l < 4; ++l) s[l] += a[i + l] * b[i + l];
    for (; i < n; ++i) s[0] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
  }

  bool prepare_observed_side() {
    observed_side_ = true;
    gather_block(covariance_, observed_, n_observed_);
    double log_det = 0.0;
    if (!factor_in_place(n_observed_, log_det)) return false;
    log_det_k_ = log_det - log_det_;
    fill_regression();
    fill_conditional_covariance();
    return true;
  }

  void gather_missing_side() {
    observed_side_ = false;
    gather_block(precision_, missing_, n_missing_);
  }

  bool factor_missing_side() {
    log_det_k_ = 0.0;
    if (!factor_in_place(n_missing_, log_det_k_)) return false;
    invert_block(n_missing_);
    return true;
  }

  // The largest ratio of a diagonal entry of K_mm to its pivot: the digits that the factorisation has lost.
  double block_inflation() const {
    double worst = 1.0;
    for (size_t i = 0; i < n_missing_; ++i) {
      const double root = chol_[packed_index(i, i)];
      worst = std::max(worst, precision_[missing_[i] * (d_ + 1)] * root * root);
    }
    return worst;
  }

  // -K_mo (x_o - mean_o) into product_.
  void missing_products(const double* shift) {
    product_.resize(n_missing_);
    for (size_t i = 0; i < n_missing_; ++i) product_[i] = -dot(precision_ + missing_[i] * d_, shift, d_);
  }

  void gather_block(const double* full, const size_t* which, size_t count) {
    chol_.resize(packed_size(count));
    for (size_t i = 0; i < count; ++i) {
      const double* column = full + which[i] * d_;
      for (size_t j = 0; j <= i; ++j) chol_[packed_index(i, j)] = column[which[j]];
    }
  }

  // The packed lower factor of the gathered block, its diagonal replaced by its reciprocal.
  bool factor_in_place(size_t m, double& log_det) {
    double product = 1.0;
    for (size_t i = 0; i < m; ++i) {
      double* row = chol_.data() + packed_index(i, 0);
      for (size_t j = 0; j < i; ++j) {
        const double* other = chol_.data() + packed_index(j, 0);
        double s = row[j];
        for (size_t l = 0; l < j; ++l) s -= row[l] * other[l];
        row[j] = s * other[j];
      }
      double s = row[i];
      for (size_t l = 0; l < i; ++l) s -= row[l] * row[l];
      if (!(s > 0.0)) return false;
      row[i] = 1.0 / std::sqrt(s);
      product *= s;
      if (product > 1e100 || product < 1e-100) {  // one logarithm for many pivots
        log_det += std::log(product);
        product = 1.0;
      }
    }
    log_det += std::log(product);
    return true;
  }

  // The inverse of the factored m x m block: of the triangle first, then its product with its transpose.
  void invert_block(size_t m) {
    triangle_.resize(m * m);  // row i: the first i + 1 entries of row i of L^-1
    inverse_.resize(m * m);
    for (size_t i = 0; i < m; ++i) {
      double* row = triangle_.data() + i * m;
      const double* l = chol_.data() + packed_index(i, 0);
      for (size_t j = 0; j < i; ++j) row[j] = 0.0;
      for (size_t h = 0; h < i; ++h) {
        const double f = l[h];
        const double* above = triangle_.data() + h * m;
        for (size_t j = 0; j <= h; ++j) row[j] -= f * above[j];
      }
      for (size_t j = 0; j < i; ++j) row[j] *= l[i];
      row[i] = l[i];
    }
    for (size_t i = 0; i < m; ++i)
      for (size_t j = 0; j <= i; ++j) {
        double s = 0.0;
        for (size_t h = i; h < m; ++h) s += triangle_[h * m + i] * triangle_[h * m + j];
        inverse_[i * m + j] = inverse_[j * m + i] = s;
      }
  }

  // out = K_mm^-1 in (m x count, row by row).
  void times_inverse(const double* in, size_t count, double* out) const {
    const size_t m = n_missing_;
    for (size_t i = 0; i < m; ++i) {
      double* row = out + i * count;
      for (size_t c = 0; c < count; ++c) row[c] = inverse_[i * m] * in[c];
      for (size_t j = 1; j < m; ++j)
        for (size_t c = 0; c < count; ++c) row[c] += inverse_[i * m + j] * in[j * count + c];
    }
  }

  // rhs (o x count, row by row) becomes Sigma_oo^-1 rhs.
  void solve_observed(double* rhs, size_t count) const {
    const size_t o = n_observed_;
    for (size_t i = 0; i < o; ++i) {
      double* row = rhs + i * count;
      for (size_t j = 0; j < i; ++j) subtract(row, rhs + j * count, chol_[packed_index(i, j)], count);
      scale(row, chol_[packed_index(i, i)], count);
    }
    for (size_t i = o; i-- > 0;) {
      double* row = rhs + i * count;
      for (size_t j = i + 1; j < o; ++j) subtract(row, rhs + j * count, chol_[packed_index(j, i)], count);
      scale(row, chol_[packed_index(i, i)], count);
    }
  }

  void fill_regression() {
    const size_t m = n_missing_, o = n_observed_;
    regression_.resize(m * o);
    product_.resize(m * o);
    if (observed_side_) {  // Sigma_oo^-1 Sigma_om, transposed
      for (size_t i = 0; i < m; ++i) {
        const double* column = covariance_ + missing_[i] * d_;
        for (size_t l = 0; l < o; ++l) product_[l * m + i] = column[observed_[l]];
      }
      solve_observed(product_.data(), m);
      for (size_t i = 0; i < m; ++i)
        for (size_t l = 0; l < o; ++l) regression_[i * o + l] = product_[l * m + i];
      return;
    }
    for (size_t i = 0; i < m; ++i) {
      const double* column = precision_ + missing_[i] * d_;
      for (size_t l = 0; l < o; ++l) product_[i * o + l] = column[observed_[l]];
    }
    for (size_t i = 0; i < m; ++i) {
      double* row = regression_.data() + i * o;
      for (size_t l = 0; l < o; ++l) row[l] = -inverse_[i * m] * product_[l];
      for (size_t j = 1; j < m; ++j) subtract(row, product_.data() + j * o, inverse_[i * m + j], o);
    }
  }

  // Sigma_mm - B Sigma_om.
  void fill_conditional_covariance() {
    const size_t m = n_missing_, o = n_observed_;
    inverse_.resize(m * m);
    for (size_t i = 0; i < m; ++i) {
      const double* b = regression_.data() + i * o;
      for (size_t j = 0; j <= i; ++j) {
        const double* sigma = covariance_ + missing_[j] * d_;
        double s = sigma[missing_[i]];
        for (size_t l = 0; l < o; ++l) s -= b[l] * sigma[observed_[l]];
        inverse_[i * m + j] = inverse_[j * m + i] = s;
      }
    }
  }

  // Its lower factor into triangle_. A direction without variance but for rounding has none.
  void factor_conditional_covariance() {
    const size_t m = n_missing_;
    triangle_.assign(m * m, 0.0);
    for (size_t j = 0; j < m; ++j) {
      double pivot = inverse_[j * m + j];
      for (size_t l = 0; l < j; ++l) pivot -= triangle_[j * m + l] * triangle_[j * m + l];
      if (!(pivot > 0.0)) continue;
      const double root = std::sqrt(pivot);
      triangle_[j * m + j] = root;
      for (size_t i = j + 1; i < m; ++i) {
        double s = inverse_[i * m + j];
        for (size_t l = 0; l < j; ++l) s -= triangle_[i * m + l] * triangle_[j * m + l];
        triangle_[i * m + j] = s / root;
      }
    }
  }

  static constexpr double kWellConditioned = 1e4;  // four digits of sixteen

  size_t d_;
  const double* covariance_ = nullptr;
  const double* precision_ = nullptr;
  double log_det_ = 0.0;
  const size_t* missing_ = nullptr;
  const size_t* observed_ = nullptr;
  size_t n_missing_ = 0, n_observed_ = 0;
  bool observed_side_ = false;
  double log_det_k_ = 0.0;
  std::vector<double> chol_, triangle_, inverse_, regression_, product_;  // chol_: packed, its diagonal inverted
};

}  // namespace emkit
