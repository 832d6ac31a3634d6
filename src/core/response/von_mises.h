// The von Mises distribution of an angle: log f = kappa cos(y - mu) - log(2 pi I0(kappa)) (Mardia & Jupp 2000,
// Directional Statistics).
#pragma once
#include "gamma.h"

namespace emkit {

// -log(2 pi I0(kappa)) + kappa.
inline double von_mises_constant(double kappa) { return -kLog2Pi - log_bessel_i0_scaled(kappa); }

// A concentration beyond this has collapsed: a standard deviation of a millionth of a radian, where cosines have no
// more digits to tell angles apart.
constexpr double kLargestConcentration = 1e12;

// Columns: cos y, sin y. The mean is any real number; it moves without jumps, so that steps may be extrapolated.
struct VonMisesMoments {
  static constexpr size_t kColumns = 2, kParameters = 2;

  static std::vector<Scale> scales() { return {Scale::kReal, Scale::kRate}; }

  static void linear(const double* p, double* w, double& c) {
    w[0] = p[1] * std::cos(p[0]);
    w[1] = p[1] * std::sin(p[0]);
    c = von_mises_constant(p[1]) - p[1];
  }

  // A(kappa) = r (Best & Fisher 1981, Communications in Statistics B 10:493-502).
  static void start(const double* means, double* p) {
    const double r = std::min(std::hypot(means[0], means[1]), 1.0);
    const double angle = std::atan2(means[1], means[0]);
    p[0] = angle + 2.0 * kPi * std::round((p[0] - angle) / (2.0 * kPi));
    if (r < 0.53)
      p[1] = r * (2.0 + r * r * (1.0 + 5.0 / 6.0 * r * r));
    else if (r < 0.85)
      p[1] = -0.4 + 1.39 * r + 0.43 / (1.0 - r);
    else
      p[1] = 1.0 / std::max(2.0 * (1.0 - r) - (1.0 - r) * (1.0 - r) - (1.0 - r) * (1.0 - r) * (1.0 - r), 1e-15);
  }

  static void derivatives(const double* p, const double* means, double* g, double* h) {
    const BesselRatio ratio = bessel_ratio(p[1]);
    const double cosine = std::cos(p[0]), sine = std::sin(p[0]);
    g[0] = p[1] * (cosine * means[1] - sine * means[0]);
    g[1] = p[1] * (cosine * means[0] + sine * means[1] - ratio.value);
    h[0] = p[1] * ratio.value;
    h[1] = 0.0;
    h[2] = p[1] * p[1] * ratio.derivative;
  }

  static bool collapsed(const double* p, const double*) { return !(p[1] < kLargestConcentration); }
  static double row_constant(const double*) { return 0.0; }
};

// With covariates: mu = 2 atan(eta).
struct VonMisesFamily {
  static constexpr size_t kColumns = 2, kAuxiliary = 1;
  static constexpr bool kDiscrete = false, kMeanIsRatio = false;
  struct Component {
    double kappa, constant;
    BesselRatio ratio;
  };

  VonMisesFamily(const ResponseOptions&, bool) {}
  Scale mean_scale() const { return Scale::kReal; }
  std::vector<Scale> auxiliary_scales() const { return {Scale::kRate}; }
  double max_mean_step() const { return 2.0; }
  Component component(const double* auxiliary) const {
    return {auxiliary[0], von_mises_constant(auxiliary[0]) - auxiliary[0], bessel_ratio(auxiliary[0])};
  }

  double link(double mean) const { return std::tan(0.5 * mean); }

  void overall(const ValueMoments& cosine, const ValueMoments& sine, double* parameters) const {
    const double means[] = {cosine.mean, sine.mean};
    parameters[0] = 0.0;
    VonMisesMoments::start(means, parameters);
  }

  bool collapsed(const double* auxiliary, const ValueMoments&) const { return !(auxiliary[0] < kLargestConcentration); }

  double log_density(const double* y, double eta, const Component& c) const {
    double cosine, sine;
    direction(eta, cosine, sine);
    return c.kappa * (cosine * y[0] + sine * y[1]) + c.constant;
  }

  void derivatives(const double* y, double eta, const Component& c, double* g, double* h) const {
    double cosine, sine;
    direction(eta, cosine, sine);
    const double slope = 2.0 / (1.0 + eta * eta);
    g[0] = c.kappa * (cosine * y[1] - sine * y[0]) * slope;
    g[1] = c.kappa * (cosine * y[0] + sine * y[1] - c.ratio.value);
    h[0] = c.kappa * c.ratio.value * slope * slope;
    h[1] = 0.0;
    h[2] = c.kappa * c.kappa * c.ratio.derivative;
  }

  double row_constant(const double*) const { return 0.0; }

 private:
  static void direction(double eta, double& cosine, double& sine) {
    const double scale = 1.0 / (1.0 + eta * eta);
    cosine = (1.0 - eta * eta) * scale;
    sine = 2.0 * eta * scale;
  }
};

inline std::unique_ptr<Response> make_von_mises_on_columns(const ResponseData& data, size_t n_components,
                                                           const ResponseOptions& options) {
  if (data.intercept_only())
    return std::unique_ptr<Response>(new ExponentialFamilyResponse<VonMisesMoments>(data, n_components, options));
  return std::unique_ptr<Response>(new PointwiseResponse<VonMisesFamily>(data, n_components, options));
}

inline std::unique_ptr<Response> make_von_mises(const ResponseData& data, size_t n_components,
                                                const ResponseOptions& options) {
  const auto columns = [](double y, double* out) {
    out[0] = std::cos(y);
    out[1] = std::sin(y);
  };
  return std::unique_ptr<Response>(
      new OnColumns(data, 2, columns, false, n_components, options, make_von_mises_on_columns));
}

}  // namespace emkit
