// The exponential distribution of mean mu: log f = -log mu - y / mu.
#pragma once
#include "exponential_family.h"
#include "pointwise.h"

namespace emkit {

struct ExponentialMoments {
  static constexpr size_t kColumns = 1, kParameters = 1;

  static std::vector<Scale> scales() { return {Scale::kPositive}; }
  static void linear(const double* p, double* w, double& c) {
    w[0] = -1.0 / p[0];
    c = -std::log(p[0]);
  }
  // Rows that are all 0 have no mean: the least number tells that it has collapsed.
  static void start(const double* means, double* p) { p[0] = std::max(means[0], std::numeric_limits<double>::min()); }
  static void derivatives(const double* p, const double* means, double* g, double* h) {
    g[0] = means[0] / p[0] - 1.0;
    h[0] = 1.0;
  }
  static bool collapsed(const double* p, const double* all) {
    return !(p[0] > std::max(kCollapsedShare * all[0], std::numeric_limits<double>::min()));
  }
  static double row_constant(const double*) { return 0.0; }
};

struct ExponentialFamily {
  static constexpr size_t kColumns = 1, kAuxiliary = 0;
  static constexpr bool kDiscrete = false, kMeanIsRatio = false;
  struct Component {};

  ExponentialFamily(const ResponseOptions&, bool) {}
  Scale mean_scale() const { return Scale::kPositive; }
  std::vector<Scale> auxiliary_scales() const { return {}; }
  double max_mean_step() const { return 3.0; }
  Component component(const double*) const { return {}; }
  double link(double mean) const { return mean > 0.0 ? std::log(mean) : 0.0; }
  void overall(const ValueMoments& y, const ValueMoments&, double* parameters) const { parameters[0] = y.mean; }
  bool collapsed(const double*, const ValueMoments&) const { return false; }

  double log_density(const double* y, double eta, const Component&) const { return -eta - y[0] * std::exp(-eta); }
  void derivatives(const double* y, double eta, const Component&, double* g, double* h) const {
    h[0] = y[0] * std::exp(-eta);  // the observed one: log f is concave in eta
    g[0] = h[0] - 1.0;
  }
  double row_constant(const double*) const { return 0.0; }
};

inline std::unique_ptr<Response> make_exponential(const ResponseData& data, size_t n_components,
                                                  const ResponseOptions& options) {
  if (data.intercept_only())
    return std::unique_ptr<Response>(new ExponentialFamilyResponse<ExponentialMoments>(data, n_components, options));
  return std::unique_ptr<Response>(new PointwiseResponse<ExponentialFamily>(data, n_components, options));
}

}  // namespace emkit
