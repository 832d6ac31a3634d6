// Binomial counts, columns successes and trials: a probability, or coefficients of its logit, probit or complementary
// log-log.
#pragma once
#include "../math/rising_factorial.h"
#include "pointwise.h"

namespace emkit {

struct BinomialFamily {
  static constexpr size_t kColumns = 2, kAuxiliary = 0;
  static constexpr bool kDiscrete = true, kMeanIsRatio = true;
  struct Component {};
  enum class Link { kLogit, kProbit, kCloglog };

  // Without covariates eta is the logit, whatever the link.
  BinomialFamily(const ResponseOptions& options, bool intercept_only)
      : link_(intercept_only               ? Link::kLogit
              : options.link == "probit"  ? Link::kProbit
              : options.link == "cloglog" ? Link::kCloglog
                                          : Link::kLogit) {}

  Scale mean_scale() const { return Scale::kProbability; }
  std::vector<Scale> auxiliary_scales() const { return {}; }
  double max_mean_step() const { return link_ == Link::kLogit ? 3.0 : 1.5; }
  Component component(const double*) const { return {}; }
  bool collapsed(const double*, const ValueMoments&) const { return false; }

  // Near enough for a start.
  double link(double mean) const {
    const double p = std::min(std::max(mean, 1e-6), 1.0 - 1e-6);
    if (link_ == Link::kCloglog) return std::log(-std::log1p(-p));
    const double logit = std::log(p / (1.0 - p));
    return link_ == Link::kProbit ? logit / 1.702 : logit;
  }

  void overall(const ValueMoments& successes, const ValueMoments& trials, double* parameters) const {
    parameters[0] = trials.mean > 0.0 ? successes.mean / trials.mean : 0.5;
  }

  double log_density(const double* y, double eta, const Component&) const {
    const double failures = y[1] - y[0];
    return (y[0] > 0.0 ? y[0] * log_probability(eta) : 0.0) + (failures > 0.0 ? failures * log_complement(eta) : 0.0);
  }

  // With a, b the slopes of log p and -log (1 - p): the expected information of one trial is p'^2 / (p (1 - p)) = a b.
  void derivatives(const double* y, double eta, const Component&, double* g, double* h) const {
    const double failures = y[1] - y[0], a = slope_probability(eta), b = slope_complement(eta);
    g[0] = (y[0] > 0.0 ? y[0] * a : 0.0) - (failures > 0.0 ? failures * b : 0.0);
    h[0] = y[1] * a * b;
  }

  double row_constant(const double* y) const {
    return log_factorial(y[1]) - log_factorial(y[0]) - log_factorial(y[1] - y[0]);
  }

 private:
  static constexpr double kSqrtHalf = 0.70710678118654752440084436210485;

  static double log_normal_cdf(double x) {
    if (x > 5.0) return std::log1p(-0.5 * std::erfc(x * kSqrtHalf));
    if (x > -37.0) return std::log(0.5 * std::erfc(-x * kSqrtHalf));
    return -0.5 * x * x - std::log(-x) - 0.5 * kLog2Pi - 1.0 / (x * x);
  }

  // The density over the distribution function.
  static double normal_hazard(double x) {
    return std::exp(-0.5 * x * x - 0.5 * kLog2Pi - log_normal_cdf(x));
  }

  // exp(eta), finite.
  static double intensity(double eta) { return std::exp(std::min(eta, 700.0)); }

  double log_probability(double eta) const {
    switch (link_) {
      case Link::kLogit: return eta < 0.0 ? eta - std::log1p(std::exp(eta)) : -std::log1p(std::exp(-eta));
      case Link::kProbit: return log_normal_cdf(eta);
      default: return std::log(-std::expm1(-intensity(eta)));
    }
  }

  double log_complement(double eta) const {
    switch (link_) {
      case Link::kLogit: return eta > 0.0 ? -eta - std::log1p(std::exp(-eta)) : -std::log1p(std::exp(eta));
      case Link::kProbit: return log_normal_cdf(-eta);
      default: return -intensity(eta);
    }
  }

  double slope_probability(double eta) const {
    switch (link_) {
      case Link::kLogit: return 1.0 / (1.0 + std::exp(eta));
      case Link::kProbit: return normal_hazard(eta);
      default: {
        const double t = intensity(eta);
        return t > 700.0 ? 0.0 : t > 0.0 ? t / std::expm1(t) : 1.0;
      }
    }
  }

  double slope_complement(double eta) const {
    switch (link_) {
      case Link::kLogit: return 1.0 / (1.0 + std::exp(-eta));
      case Link::kProbit: return normal_hazard(-eta);
      default: return intensity(eta);
    }
  }

  Link link_;
};

}  // namespace emkit
