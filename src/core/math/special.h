// Special functions of the families' likelihoods, without R: log-gamma and its derivatives, modified Bessel functions
// of orders 0 and 1. Arguments are positive (kappa: not negative).
#pragma once
#include <cmath>
#include <cstddef>
#include <limits>

#include "cholesky.h"  // kLog2Pi

namespace emkit {

constexpr double kEulerGamma = 0.57721566490153286060651209008240;
constexpr double kPi = 3.14159265358979323846264338327950;

namespace special {

// Above it, asymptotic expansions are used; below it, recurrences lead there.
constexpr double kLarge = 12.0;

// sum_i c_i z^i
template <size_t n>
inline double polynomial(const double (&c)[n], double z) {
  double s = c[n - 1];
  for (size_t i = n - 1; i-- > 0;) s = s * z + c[i];
  return s;
}

// log Gamma(2 + z), |z| <= 1/2: z (1 - gamma) + sum_k (-1)^k (zeta(k) - 1) z^k / k, k >= 2 (Abramowitz & Stegun 1964,
// 6.1.33). zeta(k) - 1 is the sum of n^-k over n >= 2, here by Euler and Maclaurin's formula from n = 25 on.
inline double log_gamma_near_two(double z) {
  constexpr size_t kTerms = 30;
  static const struct Table {
    double zeta_minus_one[kTerms + 2];
    Table() {
      for (size_t k = 2; k < kTerms + 2; ++k) {
        const double s = static_cast<double>(k), m = 25.0;
        double v = std::pow(m, 1.0 - s) / (s - 1.0) + 0.5 * std::pow(m, -s) + s / 12.0 * std::pow(m, -s - 1.0) -
                   s * (s + 1.0) * (s + 2.0) / 720.0 * std::pow(m, -s - 3.0) +
                   s * (s + 1.0) * (s + 2.0) * (s + 3.0) * (s + 4.0) / 30240.0 * std::pow(m, -s - 5.0) -
                   s * (s + 1.0) * (s + 2.0) * (s + 3.0) * (s + 4.0) * (s + 5.0) * (s + 6.0) / 1209600.0 *
                       std::pow(m, -s - 7.0);
        for (double n = m - 1.0; n > 1.5; n -= 1.0) v += std::pow(n, -s);
        zeta_minus_one[k] = v;
      }
    }
  } table;
  double s = 0.0;
  for (size_t k = kTerms + 1; k >= 2; --k) s = table.zeta_minus_one[k] / static_cast<double>(k) - z * s;
  return z * ((1.0 - kEulerGamma) + z * s);
}

}  // namespace special

// log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2), the error of Stirling's formula (A & S 6.1.41).
inline double stirling_error(double x);

// log Gamma(x), accurate relative to its value also near the zeros at 1 and 2.
inline double log_gamma(double x) {
  if (!(x > 0.0)) return std::numeric_limits<double>::infinity();
  if (x < 0.5) return special::log_gamma_near_two(x) - std::log1p(x) - std::log(x);
  if (x < 1.5) return special::log_gamma_near_two(x - 1.0) - std::log1p(x - 1.0);
  if (x < 2.5) return special::log_gamma_near_two(x - 2.0);
  if (x < special::kLarge) {
    double product = 1.0;
    while (x >= 2.5) product *= x -= 1.0;
    return std::log(product) + special::log_gamma_near_two(x - 2.0);
  }
  return (x - 0.5) * std::log(x) - x + 0.5 * kLog2Pi + stirling_error(x);
}

inline double stirling_error(double x) {
  if (x < special::kLarge) return log_gamma(x) - ((x - 0.5) * std::log(x) - x + 0.5 * kLog2Pi);
  static const double c[] = {1.0 / 12.0,         -1.0 / 360.0, 1.0 / 1260.0,         -1.0 / 1680.0,
                             1.0 / 1188.0,       -691.0 / 360360.0, 1.0 / 156.0, -3617.0 / 122400.0};
  return special::polynomial(c, 1.0 / (x * x)) / x;
}

// log x - psi(x) > 0, psi the derivative of log Gamma; no cancellation for large x (A & S 6.3.18).
inline double log_minus_digamma(double x) {
  double shifted = 0.0, y = x;
  while (y < special::kLarge) shifted += 1.0 / y, y += 1.0;
  static const double c[] = {1.0 / 12.0, -1.0 / 120.0,       1.0 / 252.0, -1.0 / 240.0,
                             1.0 / 132.0, -691.0 / 32760.0, 1.0 / 12.0,  -3617.0 / 8160.0};
  const double z = 1.0 / (y * y), tail = 0.5 / y + z * special::polynomial(c, z);
  return y > x ? std::log(x / y) + tail + shifted : tail;
}

inline double digamma(double x) { return std::log(x) - log_minus_digamma(x); }

// psi'(x) - 1 / x > 0 (A & S 6.4.12).
inline double trigamma_minus_inverse(double x) {
  double shifted = 0.0, y = x;
  while (y < special::kLarge) shifted += 1.0 / (y * y), y += 1.0;
  static const double c[] = {1.0 / 6.0,  -1.0 / 30.0,       1.0 / 42.0, -1.0 / 30.0,
                             5.0 / 66.0, -691.0 / 2730.0, 7.0 / 6.0,  -3617.0 / 510.0};
  const double z = 1.0 / (y * y), tail = 0.5 * z + z / y * special::polynomial(c, z);
  return y > x ? shifted + tail + (x - y) / (x * y) : tail;
}

inline double trigamma(double x) { return 1.0 / x + trigamma_minus_inverse(x); }

namespace special {

// Up to here power series, whose terms are all positive; beyond it Hankel's expansion, exact to e^(-2 kappa).
constexpr double kBesselLarge = 30.0;

// I0 - 1 and I1 / (kappa / 2) by their power series (A & S 9.6.10).
inline void bessel_series(double kappa, double& i0_minus_one, double& i1_over_half) {
  const double q = 0.25 * kappa * kappa;
  double term = 1.0, order = 0.0;
  i0_minus_one = 0.0;
  i1_over_half = 1.0;
  do {
    order += 1.0;
    term *= q / (order * order);
    i0_minus_one += term;
    i1_over_half += term / (order + 1.0);
  } while (term > 1e-18 * i0_minus_one);
}

// I0 and I0 - I1, both times sqrt(2 pi kappa) exp(-kappa) (A & S 9.7.1).
inline void bessel_expansion(double kappa, double& i0, double& difference) {
  const double z = 1.0 / (8.0 * kappa);
  double a = 1.0, b = 1.0;
  i0 = 1.0;
  difference = 0.0;
  for (double k = 1.0; k < 60.0; k += 1.0) {
    const double odd = (2.0 * k - 1.0) * (2.0 * k - 1.0);
    a *= odd * z / k;
    b *= (odd - 4.0) * z / k;
    i0 += a;
    difference += a - b;
    if (a < 1e-17) break;
  }
}

}  // namespace special

// log(I0(kappa)) - kappa.
inline double log_bessel_i0_scaled(double kappa) {
  if (kappa <= special::kBesselLarge) {
    double i0, i1;
    special::bessel_series(kappa, i0, i1);
    return std::log1p(i0) - kappa;
  }
  double i0, difference;
  special::bessel_expansion(kappa, i0, difference);
  return std::log(i0) - 0.5 * (kLog2Pi + std::log(kappa));
}

inline double log_bessel_i0(double kappa) {
  if (kappa <= special::kBesselLarge) {
    double i0, i1;
    special::bessel_series(kappa, i0, i1);
    return std::log1p(i0);
  }
  return kappa + log_bessel_i0_scaled(kappa);
}

// A(kappa) = I1(kappa) / I0(kappa), the mean resultant length of a von Mises distribution, and 1 - A(kappa) and
// A'(kappa) without cancellation for large kappa.
struct BesselRatio {
  double value, complement, derivative;
};

inline BesselRatio bessel_ratio(double kappa) {
  BesselRatio r;
  if (kappa <= special::kBesselLarge) {
    double i0, i1;
    special::bessel_series(kappa, i0, i1);
    const double half = 0.5 * i1 / (1.0 + i0);  // A / kappa
    r.value = kappa * half;
    r.complement = 1.0 - r.value;
    r.derivative = 1.0 - half - r.value * r.value;
    return r;
  }
  double i0, difference;
  special::bessel_expansion(kappa, i0, difference);
  r.complement = difference / i0;
  r.value = 1.0 - r.complement;
  const double z = 1.0 / kappa;
  // The series of A' = 1 - A / kappa - A^2, which loses the digits of kappa.
  r.derivative = kappa < 1e4 ? r.complement * (1.0 + r.value) - r.value * z
                             : z * z * (0.5 + z * (0.25 + z * (0.375 + z * (25.0 / 32.0))));
  return r;
}

}  // namespace emkit
