// Negative binomial counts with variance mean + mean^2 / size: a mean, or coefficients of its logarithm, and a size.
#pragma once
#include "../math/rising_factorial.h"
#include "pointwise.h"

namespace emkit {

// One row's log density (less that of y!), its gradient in log mean and log size, and the negative second derivatives.
struct NegativeBinomialPoint {
  double log_density, d_eta, d_size, eta_eta, size_eta, size_size;
};

inline double negative_binomial_log_density(double y, double eta, double size) {
  const double mean = std::exp(eta);
  const double counted = y > 0.0 ? log_rising_factorial(size, y) + y * (eta - std::log(mean + size)) : 0.0;
  return counted - size * std::log1p(mean / size);
}

inline NegativeBinomialPoint negative_binomial_point(double y, double eta, double size) {
  const double mean = std::exp(eta), spread = std::log1p(mean / size);
  const RisingFactorial r = rising_factorial(size, y);
  NegativeBinomialPoint out;
  out.log_density = (y > 0.0 ? r.log + y * (eta - std::log(mean + size)) : 0.0) - size * spread;
  out.d_eta = size * (y - mean) / (mean + size);
  const double total = mean + size, first = r.derivative - spread + (mean - y) / total;
  const double second = r.second + mean / (size * total) - (mean - y) / (total * total);
  out.d_size = size * first;
  out.eta_eta = mean * size * (size + y) / (total * total);
  out.size_eta = -size * (y - mean) * mean / (total * total);
  out.size_size = -size * (first + size * second);
  return out;
}

// A size by the method of moments, within what a start should be.
inline double moment_size(double mean, double variance) {
  const double excess = variance - mean;
  return excess > 0.0 ? std::min(std::max(mean * mean / excess, 0.1), 100.0) : 100.0;
}

struct NegativeBinomialFamily {
  static constexpr size_t kColumns = 1, kAuxiliary = 1;
  static constexpr bool kDiscrete = true, kMeanIsRatio = false, kObserved = true;
  struct Component {
    double size;
  };

  NegativeBinomialFamily(const ResponseOptions&, bool) {}
  Scale mean_scale() const { return Scale::kRate; }
  std::vector<Scale> auxiliary_scales() const { return {Scale::kSize}; }
  double max_mean_step() const { return 3.0; }
  Component component(const double* auxiliary) const { return {auxiliary[0]}; }
  double link(double mean) const { return mean > 0.0 ? std::log(mean) : -kCoordinateBound; }
  bool collapsed(const double*, const ValueMoments&) const { return false; }

  void overall(const ValueMoments& y, const ValueMoments&, double* parameters) const {
    parameters[0] = y.mean;
    parameters[1] = moment_size(y.mean, y.variance);
  }

  double log_density(const double* y, double eta, const Component& c) const {
    return negative_binomial_log_density(y[0], eta, c.size);
  }

  // The expected information of the mean, to which the size is orthogonal; of the size, which has none in closed form,
  // the square of the score. Then the observed information.
  void derivatives(const double* y, double eta, const Component& c, double* g, double* h) const {
    const NegativeBinomialPoint at = negative_binomial_point(y[0], eta, c.size);
    const double mean = std::exp(eta);
    g[0] = at.d_eta;
    g[1] = at.d_size;
    h[0] = mean / (1.0 + mean / c.size);
    h[1] = 0.0;
    h[2] = at.d_size * at.d_size;
    h[3] = at.eta_eta;
    h[4] = at.size_eta;
    h[5] = at.size_size;
  }

  double row_constant(const double* y) const { return -log_factorial(y[0]); }
};

}  // namespace emkit
