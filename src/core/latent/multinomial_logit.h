// Probabilities of a category given covariates: multinomial logit. The law of the component of a mixture with
// concomitant variables, of the first state of a chain, and of the next state given the present one.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../data/row_tile.h"
#include "../kernels/kernels.h"

namespace emkit {

// p_k(x) = exp(x' b_k) / sum_l exp(x' b_l) over the allowed categories; b of the reference category is 0. The M-step is
// one Newton step on the expected log-likelihood, which is concave. (formulas.Rmd, T5)
class MultinomialLogit {
 public:
  using MatrixXd = Eigen::MatrixXd;
  using VectorXd = Eigen::VectorXd;
  using Index = Eigen::Index;

  MultinomialLogit(size_t n_categories, size_t n_covariates, std::vector<bool> allowed, size_t reference)
      : allowed_(std::move(allowed)),
        reference_(reference),
        coefficients_(MatrixXd::Zero(static_cast<Index>(n_covariates), static_cast<Index>(n_categories))) {
    for (size_t k = 0; k < n_categories; ++k)
      if (allowed_[k] && k != reference_) free_.push_back(static_cast<Index>(k));
  }

  size_t n_categories() const { return static_cast<size_t>(coefficients_.cols()); }
  size_t n_covariates() const { return static_cast<size_t>(coefficients_.rows()); }
  const MatrixXd& coefficients() const { return coefficients_; }  // q x K
  void set_coefficients(const MatrixXd& b) {
    const VectorXd origin = b.col(static_cast<Index>(reference_));
    coefficients_ = b.colwise() - origin;
    for (size_t k = 0; k < n_categories(); ++k)
      if (!allowed_[k]) coefficients_.col(static_cast<Index>(k)).setZero();
  }
  bool allowed(size_t k) const { return allowed_[k]; }

  // Coefficients of an intercept in the first covariate (whose values are 1) that give these probabilities.
  void set_constant(const VectorXd& probability) {
    coefficients_.setZero();
    const double floor = 1e-8;
    for (Index k : free_)
      coefficients_(0, k) =
          std::log(std::max(probability(k), floor) / std::max(probability(static_cast<Index>(reference_)), floor));
  }

  // x[j * stride + position]: the covariates of `rows` positions. out[k * stride + position]: probabilities.
  // `ones` (rows) holds 1s, `scratch` has room for rows.
  void probabilities(const double* x, size_t stride, size_t rows, const double* ones, double* scratch,
                     double* out) const {
    const size_t K = n_categories();
    const std::vector<double> intercept = intercepts();
    kernels().linear_scores(x, stride, rows, n_covariates(), K, coefficients_.data(), intercept.data(), out);
    kernels().posterior(out, stride, rows, K, ones, scratch);
  }

  // The same of a single row.
  void probabilities(const double* x, double* out) const {
    const size_t K = n_categories(), q = n_covariates();
    double top = -std::numeric_limits<double>::infinity(), total = 0.0;
    for (size_t k = 0; k < K; ++k) {
      if (!allowed_[k]) continue;
      out[k] = 0.0;
      for (size_t j = 0; j < q; ++j) out[k] += x[j] * coefficients_(static_cast<Index>(j), static_cast<Index>(k));
      top = std::max(top, out[k]);
    }
    for (size_t k = 0; k < K; ++k) total += out[k] = allowed_[k] ? std::exp(out[k] - top) : 0.0;
    for (size_t k = 0; k < K; ++k) out[k] /= total;
  }

  // Sums: the score of the free coefficients and the packed lower triangle of their information.
  size_t n_statistics() const { return n_coordinates() + n_coordinates() * (n_coordinates() + 1) / 2; }

  // Adds one row: its expected counts of the categories (0 where not allowed) and its probabilities.
  void accumulate(const double* x, const double* count, const double* probability, size_t stride,
                  double* statistics) const {
    const size_t q = n_covariates(), F = free_.size();
    double total = 0.0;
    for (size_t k = 0; k < n_categories(); ++k) total += count[k * stride];
    if (!(total > 0.0)) return;
    double* score = statistics;
    double* information = statistics + n_coordinates();
    size_t at = 0;
    for (size_t a = 0; a < F; ++a) {
      const double pa = probability[static_cast<size_t>(free_[a]) * stride];
      const double residual = count[static_cast<size_t>(free_[a]) * stride] - total * pa;
      for (size_t j = 0; j < q; ++j) {
        score[a * q + j] += residual * x[j];
        // Row (a, j) of the lower triangle: all (b, l) with b < a, then b == a, l <= j.
        for (size_t b = 0; b < a; ++b) {
          const double w = -total * pa * probability[static_cast<size_t>(free_[b]) * stride] * x[j];
          for (size_t l = 0; l < q; ++l) information[at++] += w * x[l];
        }
        const double w = total * pa * (1.0 - pa) * x[j];
        for (size_t l = 0; l <= j; ++l) information[at++] += w * x[l];
      }
    }
  }

  // One Newton step from the coefficients at which the sums were made. Directions without information get none.
  void m_step(const double* statistics) {
    const Index n = static_cast<Index>(n_coordinates());
    if (n == 0) return;
    const VectorXd score = Eigen::Map<const VectorXd>(statistics, n);
    MatrixXd information(n, n);
    const double* at = statistics + n;
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j <= i; ++j) information(i, j) = information(j, i) = *at++;
    VectorXd scale = information.diagonal().cwiseMax(0.0).cwiseSqrt();
    for (Index i = 0; i < n; ++i) scale(i) = scale(i) > 0.0 ? 1.0 / scale(i) : 0.0;
    MatrixXd scaled = scale.asDiagonal() * information * scale.asDiagonal();
    scaled.diagonal().array() += kRidge;
    VectorXd step = scale.asDiagonal() * scaled.ldlt().solve(scale.asDiagonal() * score);
    if (!step.allFinite()) return;
    const double largest = step.cwiseAbs().maxCoeff();
    if (largest > kLargestStep) step *= kLargestStep / largest;
    for (size_t a = 0; a < free_.size(); ++a)
      for (Index j = 0; j < coefficients_.rows(); ++j)
        coefficients_(j, free_[a]) += step(static_cast<Index>(a) * coefficients_.rows() + j);
  }

  size_t n_coordinates() const { return free_.size() * n_covariates(); }

  void coordinates(double* point) const {
    for (Index k : free_)
      for (Index j = 0; j < coefficients_.rows(); ++j) *point++ = coefficients_(j, k);
  }

  void set_coordinates(const double* point) {
    for (Index k : free_)
      for (Index j = 0; j < coefficients_.rows(); ++j) coefficients_(j, k) = *point++;
  }

 private:
  std::vector<double> intercepts() const {
    std::vector<double> out(n_categories(), 0.0);
    for (size_t k = 0; k < out.size(); ++k)
      if (!allowed_[k]) out[k] = -std::numeric_limits<double>::infinity();
    return out;
  }

  static constexpr double kRidge = 1e-12;
  static constexpr double kLargestStep = 4.0;  // covariates are standardised: a logit of 4 is far

  std::vector<bool> allowed_;
  size_t reference_;
  MatrixXd coefficients_;
  std::vector<Index> free_;
};

}  // namespace emkit
