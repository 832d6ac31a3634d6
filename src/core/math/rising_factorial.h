// log s (s + 1) ... (s + y - 1) = log Gamma(s + y) - log Gamma(s) and its two derivatives in s, for whole y >= 0 and
// s > 0, without the cancellation of the two where s is large.
#pragma once
#include <cmath>

namespace emkit {

struct RisingFactorial {
  double log = 0.0;         // of the product
  double derivative = 0.0;  // digamma(s + y) - digamma(s)
  double second = 0.0;      // trigamma(s + y) - trigamma(s)
};

// The first factors one by one, the others by Stirling's series (Abramowitz & Stegun 1964, 6.1.40, 6.3.18 and 6.4.12).
template <bool derivatives>
inline RisingFactorial rising_factorial_terms(double s, double y) {
  constexpr double kFirst = 16.0;
  RisingFactorial out;
  double product = 1.0;  // logarithms of a few factors at a time
  const double n_first = y <= 2.0 * kFirst ? y : kFirst;
  for (double i = 0.0; i < n_first; i += 1.0) {
    product *= s + i;
    if (derivatives) {
      const double inverse = 1.0 / (s + i);
      out.derivative += inverse;
      out.second -= inverse * inverse;
    }
    if (product > 1e200 || product < 1e-200) {
      out.log += std::log(product);
      product = 1.0;
    }
  }
  out.log += std::log(product);
  if (n_first == y) return out;
  const double a = s + n_first, r = y - n_first, b = a + r, ia = 1.0 / a, ib = 1.0 / b;
  const auto tail = [](double i) {
    const double q = i * i;
    return i * (1.0 / 12.0 - q * (1.0 / 360.0 - q * (1.0 / 1260.0 - q * (1.0 / 1680.0 - q / 1188.0))));
  };
  const auto slope = [](double i) {
    const double q = i * i;
    return 0.5 * i + q * (1.0 / 12.0 - q * (1.0 / 120.0 - q * (1.0 / 252.0 - q * (1.0 / 240.0 - q / 132.0))));
  };
  const auto curve = [](double i) {
    const double q = i * i;
    return 0.5 * q + i * q * (1.0 / 6.0 - q * (1.0 / 30.0 - q * (1.0 / 42.0 - q * (1.0 / 30.0 - q * 5.0 / 66.0))));
  };
  const double ratio = std::log1p(r * ia);
  out.log += (a - 0.5) * ratio + r * (std::log(b) - 1.0) + (tail(ib) - tail(ia));
  if (!derivatives) return out;
  out.derivative += ratio - (slope(ib) - slope(ia));
  out.second += -r * ia * ib + (curve(ib) - curve(ia));
  return out;
}

inline RisingFactorial rising_factorial(double s, double y) { return rising_factorial_terms<true>(s, y); }
inline double log_rising_factorial(double s, double y) { return rising_factorial_terms<false>(s, y).log; }
inline double log_factorial(double y) { return log_rising_factorial(1.0, y); }

}  // namespace emkit
