// Poisson counts: a mean, or coefficients of its logarithm.
#pragma once
#include "../math/rising_factorial.h"
#include "pointwise.h"

namespace emkit {

struct PoissonFamily {
  static constexpr size_t kColumns = 1, kAuxiliary = 0;
  static constexpr bool kDiscrete = true, kMeanIsRatio = true;
  struct Component {};

  PoissonFamily(const ResponseOptions&, bool) {}
  Scale mean_scale() const { return Scale::kRate; }
  std::vector<Scale> auxiliary_scales() const { return {}; }
  double max_mean_step() const { return 3.0; }
  Component component(const double*) const { return {}; }
  double link(double mean) const { return mean > 0.0 ? std::log(mean) : -kCoordinateBound; }
  void overall(const ValueMoments& y, const ValueMoments&, double* parameters) const { parameters[0] = y.mean; }
  bool collapsed(const double*, const ValueMoments&) const { return false; }

  double log_density(const double* y, double eta, const Component&) const {
    return (y[0] > 0.0 ? y[0] * eta : 0.0) - std::exp(eta);
  }

  void derivatives(const double* y, double eta, const Component&, double* g, double* h) const {
    const double mean = std::exp(eta);
    g[0] = y[0] - mean;
    h[0] = mean;
  }

  double row_constant(const double* y) const { return -log_factorial(y[0]); }
};

}  // namespace emkit
