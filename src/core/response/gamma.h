// The gamma distribution of mean mu and shape a: log f = a log a - log Gamma(a) - a log mu + (a - 1) log y - a y / mu.
#pragma once
#include "../math/special.h"
#include "exponential_family.h"
#include "on_columns.h"
#include "pointwise.h"

namespace emkit {

// Shapes beyond are rounding: the values differ in their last digits.
constexpr double kLargestPrecision = 1e13;

// Precision-like parameters that exceed those of all the data by this much have collapsed: a standard deviation below
// kCollapsedShare of the column's.
constexpr double kCollapsedPrecision = 1.0 / (kCollapsedShare * kCollapsedShare);

// a log a - log Gamma(a) - a.
inline double gamma_constant(double shape) {
  return 0.5 * (std::log(shape) - kLog2Pi) - stirling_error(shape);
}

// Columns: y, log y.
struct GammaMoments {
  static constexpr size_t kColumns = 2, kParameters = 2;

  static std::vector<Scale> scales() { return {Scale::kPositive, Scale::kPositive}; }

  static void linear(const double* p, double* w, double& c) {
    w[0] = -p[1] / p[0];
    w[1] = p[1];
    c = gamma_constant(p[1]) + p[1] * (1.0 - std::log(p[0]));
  }

  // log a - psi(a) = s, to one or two per cent (Minka 2002, Estimating a gamma distribution).
  static void start(const double* means, double* p) {
    const double s = std::log(means[0]) - means[1];
    p[0] = means[0];
    p[1] = s > 1.0 / kLargestPrecision ? (3.0 - s + std::sqrt((s - 3.0) * (s - 3.0) + 24.0 * s)) / (12.0 * s)
                                       : kLargestPrecision;
  }

  static void derivatives(const double* p, const double* means, double* g, double* h) {
    const double ratio = means[0] / p[0], a = p[1];
    g[0] = a * (ratio - 1.0);
    g[1] = a * (log_minus_digamma(a) + (means[1] - std::log(p[0])) - (ratio - 1.0));
    h[0] = a;
    h[1] = 0.0;
    h[2] = a * a * trigamma_minus_inverse(a);
  }

  static bool collapsed(const double* p, const double* all) {
    return !(p[1] < std::min(kLargestPrecision, kCollapsedPrecision * all[1]));
  }

  static double row_constant(const double* t) { return -t[1]; }
};

// With covariates on the mean. Columns: y, log y.
struct GammaFamily {
  static constexpr size_t kColumns = 2, kAuxiliary = 1;
  static constexpr bool kDiscrete = false, kMeanIsRatio = false, kObserved = true;
  struct Component {
    double shape, constant;
    double gradient, information;  // of log shape: what does not depend on the row
  };

  enum class Link { kLog, kInverse, kIdentity };

  GammaFamily(const ResponseOptions& options, bool)
      : link_(options.link == "inverse" ? Link::kInverse : options.link == "identity" ? Link::kIdentity : Link::kLog) {}
  Scale mean_scale() const { return Scale::kPositive; }
  std::vector<Scale> auxiliary_scales() const { return {Scale::kPositive}; }
  double max_mean_step() const { return link_ == Link::kLog ? 3.0 : std::numeric_limits<double>::infinity(); }

  Component component(const double* auxiliary) const {
    const double a = auxiliary[0];
    return {a, gamma_constant(a) + a, a * log_minus_digamma(a), a * a * trigamma_minus_inverse(a)};
  }

  double link(double mean) const {
    return link_ == Link::kLog ? std::log(mean) : link_ == Link::kInverse ? 1.0 / mean : mean;
  }

  void overall(const ValueMoments& y, const ValueMoments& log_y, double* parameters) const {
    const double means[] = {y.mean, log_y.mean};
    GammaMoments::start(means, parameters);
  }

  bool collapsed(const double* auxiliary, const ValueMoments& y) const {
    return !(auxiliary[0] < std::min(kLargestPrecision, kCollapsedPrecision * y.mean * y.mean / y.variance));
  }

  // A predictor that has no mean makes the row impossible.
  double log_density(const double* y, double eta, const Component& c) const {
    if (link_ != Link::kLog && !(eta > 0.0)) return -std::numeric_limits<double>::infinity();
    const double log_mean = log_of(eta);
    return c.constant + c.shape * ((y[1] - log_mean) - y[0] * std::exp(-log_mean));
  }

  void derivatives(const double* y, double eta, const Component& c, double* g, double* h) const {
    const double log_mean = log_of(eta), ratio = y[0] * std::exp(-log_mean);
    // d log mean / d eta
    const double slope = link_ == Link::kLog ? 1.0 : link_ == Link::kInverse ? -1.0 / eta : 1.0 / eta;
    g[0] = c.shape * (ratio - 1.0) * slope;
    g[1] = c.gradient + c.shape * ((y[1] - log_mean) - (ratio - 1.0));
    h[0] = c.shape * slope * slope;
    h[1] = 0.0;
    h[2] = c.information;
    h[3] = link_ == Link::kLog ? c.shape * ratio : link_ == Link::kInverse ? h[0] : h[0] * (2.0 * ratio - 1.0);
    h[4] = -g[0];
    h[5] = c.information - g[1];
  }

  double row_constant(const double* y) const { return -y[1]; }

 private:
  double log_of(double eta) const {
    return link_ == Link::kLog ? eta : link_ == Link::kInverse ? -std::log(eta) : std::log(eta);
  }

  Link link_;
};

inline std::unique_ptr<Response> make_gamma_on_columns(const ResponseData& data, size_t n_components,
                                                       const ResponseOptions& options) {
  if (data.intercept_only())
    return std::unique_ptr<Response>(new ExponentialFamilyResponse<GammaMoments>(data, n_components, options));
  return std::unique_ptr<Response>(new PointwiseResponse<GammaFamily>(data, n_components, options));
}

inline std::unique_ptr<Response> make_gamma(const ResponseData& data, size_t n_components,
                                            const ResponseOptions& options) {
  const auto columns = [](double y, double* out) {
    out[0] = y;
    out[1] = std::log(y);
  };
  return std::unique_ptr<Response>(
      new OnColumns(data, 2, columns, false, n_components, options, make_gamma_on_columns));
}

}  // namespace emkit
