// Counts that are 0 with probability `zero`, and else Poisson or negative binomial. The mean (or its coefficients) is
// that of the counts which are not forced to 0.
#pragma once
#include "negative_binomial.h"

namespace emkit {

// The share of forced zeros and the mean of the others which have this mean and share of zeros, as far as that goes.
inline void overall_zero_inflation(const ValueMoments& y, double& mean, double& zero) {
  zero = 0.1;
  for (int i = 0; i < 50; ++i) {
    mean = y.mean / (1.0 - zero);
    const double counted = std::exp(-mean);
    zero = counted < 1.0 ? std::min(std::max((y.zeros - counted) / (1.0 - counted), 0.01), 0.95) : 0.01;
  }
  mean = y.mean / (1.0 - zero);
}

struct ZeroInflatedPoissonFamily {
  static constexpr size_t kColumns = 1, kAuxiliary = 1;
  static constexpr bool kDiscrete = true, kMeanIsRatio = false;
  struct Component {
    double zero;
  };

  ZeroInflatedPoissonFamily(const ResponseOptions&, bool) {}
  Scale mean_scale() const { return Scale::kRate; }
  std::vector<Scale> auxiliary_scales() const { return {Scale::kProbability}; }
  double max_mean_step() const { return 3.0; }
  Component component(const double* auxiliary) const { return {auxiliary[0]}; }
  double link(double mean) const { return mean > 0.0 ? std::log(mean) : -kCoordinateBound; }
  bool collapsed(const double*, const ValueMoments&) const { return false; }

  void overall(const ValueMoments& y, const ValueMoments&, double* parameters) const {
    overall_zero_inflation(y, parameters[0], parameters[1]);
  }

  double log_density(const double* y, double eta, const Component& c) const {
    const double mean = std::exp(eta);
    if (y[0] > 0.0) return std::log1p(-c.zero) + y[0] * eta - mean;
    return std::log(c.zero + (1.0 - c.zero) * std::exp(-mean));
  }

  // The expected information (Lambert 1992, Technometrics 34:1-14), with `forced` the probability that a 0 was.
  void derivatives(const double* y, double eta, const Component& c, double* g, double* h) const {
    const double mean = std::exp(eta), none = std::exp(-mean);
    const double at_zero = c.zero + (1.0 - c.zero) * none;
    const double forced = at_zero > 0.0 ? c.zero / at_zero : 0.0;
    g[0] = y[0] > 0.0 ? y[0] - mean : -mean * (1.0 - forced);
    g[1] = y[0] > 0.0 ? -c.zero : forced - c.zero;
    h[0] = (1.0 - c.zero) * mean * (1.0 - mean * none * forced);
    h[1] = -mean * (1.0 - c.zero) * none * forced;
    h[2] = at_zero * (forced - c.zero) * (forced - c.zero) + (1.0 - at_zero) * c.zero * c.zero;
  }

  double row_constant(const double* y) const { return -log_factorial(y[0]); }
};

struct ZeroInflatedNegativeBinomialFamily {
  static constexpr size_t kColumns = 1, kAuxiliary = 2;
  static constexpr bool kDiscrete = true, kMeanIsRatio = false, kObserved = true;
  struct Component {
    double size, zero;
  };

  ZeroInflatedNegativeBinomialFamily(const ResponseOptions&, bool) {}
  Scale mean_scale() const { return Scale::kRate; }
  std::vector<Scale> auxiliary_scales() const { return {Scale::kSize, Scale::kProbability}; }
  double max_mean_step() const { return 3.0; }
  Component component(const double* auxiliary) const { return {auxiliary[0], auxiliary[1]}; }
  double link(double mean) const { return mean > 0.0 ? std::log(mean) : -kCoordinateBound; }
  bool collapsed(const double*, const ValueMoments&) const { return false; }

  // Half of the zeros that a Poisson distribution does not explain are taken as forced.
  void overall(const ValueMoments& y, const ValueMoments&, double* parameters) const {
    double zero;
    overall_zero_inflation(y, parameters[0], zero);
    zero *= 0.5;
    const double mean = y.mean / (1.0 - zero);
    parameters[0] = mean;
    parameters[1] = moment_size(mean, y.variance / (1.0 - zero) - zero * mean * mean);
    parameters[2] = zero;
  }

  double log_density(const double* y, double eta, const Component& c) const {
    const double counted = negative_binomial_log_density(y[0], eta, c.size);
    if (y[0] > 0.0) return std::log1p(-c.zero) + counted;
    return std::log(c.zero + (1.0 - c.zero) * std::exp(counted));
  }

  // The product of the gradient with itself, then the observed information.
  void derivatives(const double* y, double eta, const Component& c, double* g, double* h) const {
    const NegativeBinomialPoint at = negative_binomial_point(y[0], eta, c.size);
    double counted = 1.0;  // the probability that the row was not forced to 0
    if (!(y[0] > 0.0)) {
      const double none = (1.0 - c.zero) * std::exp(at.log_density), total = c.zero + none;
      counted = total > 0.0 ? none / total : 1.0;
    }
    const double either = counted * (1.0 - counted);
    g[0] = counted * at.d_eta;
    g[1] = counted * at.d_size;
    g[2] = (1.0 - counted) - c.zero;
    for (size_t a = 0, at_h = 0; a < 3; ++a)
      for (size_t b = 0; b <= a; ++b, ++at_h) h[at_h] = g[a] * g[b];
    h[6] = counted * at.eta_eta - either * at.d_eta * at.d_eta;
    h[7] = counted * at.size_eta - either * at.d_size * at.d_eta;
    h[8] = counted * at.size_size - either * at.d_size * at.d_size;
    h[9] = either * at.d_eta;
    h[10] = either * at.d_size;
    h[11] = c.zero * (1.0 - c.zero) - either;
  }

  double row_constant(const double* y) const { return -log_factorial(y[0]); }
};

}  // namespace emkit
