// The beta distribution of mean mu and precision phi, shapes a = mu phi and b = (1 - mu) phi (Ferrari & Cribari-Neto
// 2004, Journal of Applied Statistics 31:799-815).
#pragma once
#include "gamma.h"

namespace emkit {

// -log B(mu phi, (1 - mu) phi), with no difference of large numbers for large phi.
inline double minus_log_beta(double mu, double phi) {
  const double a = mu * phi, b = (1.0 - mu) * phi;
  const double errors = stirling_error(phi) - stirling_error(a) - stirling_error(b);
  return 0.5 * (std::log(phi) - kLog2Pi) - (a - 0.5) * std::log(mu) - (b - 0.5) * std::log1p(-mu) + errors;
}

// In logit mu and log phi, of a row with log y and log(1 - y). psi(x) = log x - d(x) and x psi'(x) = 1 + x t(x) keep
// the digits that large shapes would lose.
inline void beta_derivatives(double mu, double phi, double log_y, double log_1_y, double* g) {
  const double a = mu * phi, b = (1.0 - mu) * phi, w = a * (1.0 - mu);
  const double first = log_y - std::log(mu) + log_minus_digamma(a);
  const double second = log_1_y - std::log1p(-mu) + log_minus_digamma(b);
  g[0] = w * (first - second);
  g[1] = a * first + b * second - phi * log_minus_digamma(phi);
}

inline void beta_information(double mu, double phi, double* h) {
  const double a = mu * phi, b = (1.0 - mu) * phi, w = a * (1.0 - mu);
  const double ta = trigamma_minus_inverse(a), tb = trigamma_minus_inverse(b);
  h[0] = w * w * (ta + 1.0 / a + tb + 1.0 / b);
  h[1] = w * (a * ta - b * tb);
  h[2] = a * a * ta + b * b * tb - phi * phi * trigamma_minus_inverse(phi);
}

// Columns: log y, log(1 - y).
struct BetaMoments {
  static constexpr size_t kColumns = 2, kParameters = 2;

  static std::vector<Scale> scales() { return {Scale::kProbability, Scale::kPositive}; }

  static void linear(const double* p, double* w, double& c) {
    w[0] = p[0] * p[1];
    w[1] = (1.0 - p[0]) * p[1];
    c = minus_log_beta(p[0], p[1]);
  }

  // Johnson, Kotz & Balakrishnan (1995), Continuous Univariate Distributions 2, ch. 25: from the geometric means.
  static void start(const double* means, double* p) {
    const double first = std::exp(means[0]), second = std::exp(means[1]);
    const double left = std::max(-std::expm1(std::log(first + second)), 1.0 / kLargestPrecision);
    const double a = 0.5 + 0.5 * first / left, b = 0.5 + 0.5 * second / left;
    p[0] = a / (a + b);
    p[1] = a + b;
  }

  static void derivatives(const double* p, const double* means, double* g, double* h) {
    beta_derivatives(p[0], p[1], means[0], means[1], g);
    beta_information(p[0], p[1], h);
  }

  static bool collapsed(const double* p, const double* all) {
    return !(p[1] < 0.1 * kLargestPrecision && p[1] < kCollapsedPrecision * all[1]);
  }

  static double row_constant(const double* t) { return -t[0] - t[1]; }
};

// With covariates on the mean. Columns: log y, log(1 - y).
struct BetaFamily {
  static constexpr size_t kColumns = 2, kAuxiliary = 1;
  static constexpr bool kDiscrete = false, kMeanIsRatio = false;
  struct Component {
    double precision;
  };

  BetaFamily(const ResponseOptions&, bool) {}
  Scale mean_scale() const { return Scale::kProbability; }
  std::vector<Scale> auxiliary_scales() const { return {Scale::kPositive}; }
  double max_mean_step() const { return 3.0; }
  Component component(const double* auxiliary) const { return {auxiliary[0]}; }
  double link(double mean) const { return std::log(mean) - std::log1p(-mean); }

  void overall(const ValueMoments& log_y, const ValueMoments& log_1_y, double* parameters) const {
    const double means[] = {log_y.mean, log_1_y.mean};
    BetaMoments::start(means, parameters);
  }

  bool collapsed(const double* auxiliary, const ValueMoments&) const {
    return !(auxiliary[0] < 0.1 * kLargestPrecision);
  }

  double log_density(const double* y, double eta, const Component& c) const {
    const double mu = mean(eta);
    return mu * c.precision * y[0] + (1.0 - mu) * c.precision * y[1] + minus_log_beta(mu, c.precision);
  }

  void derivatives(const double* y, double eta, const Component& c, double* g, double* h) const {
    const double mu = mean(eta);
    beta_derivatives(mu, c.precision, y[0], y[1], g);
    beta_information(mu, c.precision, h);
  }

  double row_constant(const double* y) const { return -y[0] - y[1]; }

 private:
  static double mean(double eta) { return from_coordinate(Scale::kProbability, eta); }
};

inline std::unique_ptr<Response> make_beta_on_columns(const ResponseData& data, size_t n_components,
                                                      const ResponseOptions& options) {
  if (data.intercept_only())
    return std::unique_ptr<Response>(new ExponentialFamilyResponse<BetaMoments>(data, n_components, options));
  return std::unique_ptr<Response>(new PointwiseResponse<BetaFamily>(data, n_components, options));
}

inline std::unique_ptr<Response> make_beta(const ResponseData& data, size_t n_components,
                                           const ResponseOptions& options) {
  const auto columns = [](double y, double* out) {
    out[0] = std::log(y);
    out[1] = std::log1p(-y);
  };
  return std::unique_ptr<Response>(new OnColumns(data, 2, columns, false, n_components, options, make_beta_on_columns));
}

}  // namespace emkit
