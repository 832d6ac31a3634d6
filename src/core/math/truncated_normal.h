// The normal distribution and its truncations: cdf and quantile on the plain and the log scale, moments, draws. Nothing
// here fails in the tails: intervals may lie at any distance from the mean and be of any width.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "random.h"

namespace emkit {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSqrtHalf = 0.70710678118654752440084436210485;
constexpr double kInvSqrt2Pi = 0.39894228040143267793994605993438;
constexpr double kLogSqrt2Pi = 0.91893853320467274178032973640562;

inline double normal_density(double x) {
  return kInvSqrt2Pi * std::exp(-0.5 * x * x);
}
inline double normal_cdf(double x) {
  return 0.5 * std::erfc(-x * kSqrtHalf);
}

// Mills' ratio P(X > x) / density(x). Beyond 5 by Laplace's continued fraction, which has converged to the last digit
// there.
inline double mills_ratio(double x) {
  if (x < 5.0) return normal_cdf(-x) / normal_density(x);
  if (x > 1e8) return 1.0 / x;
  double tail = x;
  for (int k = 50; k >= 1; --k) tail = x + static_cast<double>(k) / tail;
  return 1.0 / tail;
}

inline double log_normal_cdf(double x) {
  if (x > -5.0) return x > 5.0 ? std::log1p(-normal_cdf(-x)) : std::log(normal_cdf(x));
  if (std::isinf(x)) return -kInfinity;
  return std::log(mills_ratio(-x)) - 0.5 * x * x - kLogSqrt2Pi;
}

// The rational functions of Wichura's (1988) algorithm AS 241, PPND16; `r` = sqrt(-log(p)) in the tail.
inline double wichura_centre(double q) {
  const double r = 0.180625 - q * q;
  return q *
         (((((((2.5090809287301226727e+3 * r + 3.3430575583588128105e+4) * r + 6.7265770927008700853e+4) * r +
              4.5921953931549871457e+4) *
                 r +
             1.3731693765509461125e+4) *
                r +
            1.9715909503065514427e+3) *
               r +
           1.3314166789178437745e+2) *
              r +
          3.3871328727963666080e+0) /
         (((((((5.2264952788528545610e+3 * r + 2.8729085735721942674e+4) * r + 3.9307895800092710610e+4) * r +
              2.1213794301586595867e+4) *
                 r +
             5.3941960214247511077e+3) *
                r +
            6.8718700749205790830e+2) *
               r +
           4.2313330701600911252e+1) *
              r +
          1.0);
}

inline double wichura_tail(double r) {
  if (r <= 5.0) {
    r -= 1.6;
    return (((((((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r + 2.41780725177450611770e-1) * r +
                1.27045825245236838258e+0) *
                   r +
               3.64784832476320460504e+0) *
                  r +
              5.76949722146069140550e+0) *
                 r +
             4.63033784615654529590e+0) *
                r +
            1.42343711074968357734e+0) /
           (((((((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r + 1.51986665636164571966e-2) * r +
                1.48103976427480074590e-1) *
                   r +
               6.89767334985100004550e-1) *
                  r +
              1.67638483018380384940e+0) *
                 r +
             2.05319162663775882187e+0) *
                r +
            1.0);
  }
  r -= 5.0;
  return (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 1.24266094738807843860e-3) * r +
              2.65321895265761230930e-2) *
                 r +
             2.96560571828504891230e-1) *
                r +
            1.78482653991729133580e+0) *
               r +
           5.46378491116411436990e+0) *
              r +
          6.65790464350110377720e+0) /
         (((((((2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r + 1.84631831751005468180e-5) * r +
              7.86869131145613259100e-4) *
                 r +
             1.48753612908506148525e-2) *
                r +
            1.36929880922735805310e-1) *
               r +
           5.99832206555887937690e-1) *
              r +
          1.0);
}

inline double normal_quantile(double p) {
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) return wichura_centre(q);
  const double tail = q < 0.0 ? p : 1.0 - p;
  if (!(tail > 0.0)) return q < 0.0 ? -kInfinity : kInfinity;
  const double x = wichura_tail(std::sqrt(-std::log(tail)));
  return q < 0.0 ? -x : x;
}

// The x with log P(X < x) = log_p: where p itself would underflow, by Newton steps on log_normal_cdf, which is concave
// and nearly quadratic there.
inline double normal_quantile_log(double log_p) {
  if (log_p >= 0.0) return kInfinity;
  if (log_p > -0.5) return -normal_quantile(-std::expm1(log_p));
  if (log_p > std::log(0.075)) return normal_quantile(std::exp(log_p));
  const double r = std::sqrt(-log_p);
  if (r <= 27.0) return -wichura_tail(r);
  if (std::isinf(log_p)) return -kInfinity;
  double x = -std::sqrt(-2.0 * log_p);
  for (int step = 0; step < 10; ++step) {
    const double move = (log_normal_cdf(x) - log_p) * mills_ratio(-x);
    x -= move;
    if (std::fabs(move) <= 1e-14 * std::fabs(x)) break;
  }
  return x;
}

// The cdf and the density together, by Taylor's series from the nearest of a grid of points: to 1e-12, absolutely,
// several times as fast as erfc() and exp(). Made once, before main.
struct NormalPoint {
  double cdf, density;
};

class NormalGrid {
 public:
  NormalGrid() {
    for (size_t g = 0; g < points_.size(); ++g) {
      const double x = static_cast<double>(g) / kPerUnit - kEnd;
      points_[g] = {normal_cdf(x), normal_density(x)};
    }
  }

  NormalPoint at(double x) const {
    if (!(x > -kEnd)) return {0.0, 0.0};
    if (!(x < kEnd)) return {1.0, 0.0};
    const size_t g = static_cast<size_t>((x + kEnd) * kPerUnit + 0.5);
    const double from = static_cast<double>(g) / kPerUnit - kEnd, t = x - from;
    // The derivatives of the density over itself: Hermite polynomials, of alternating sign.
    const double h1 = -from, h2 = from * from - 1.0, h3 = -from * (h2 - 2.0), h4 = -from * h3 - 3.0 * h2;
    const NormalPoint& p = points_[g];
    return {p.cdf + p.density * t * (1.0 + t * (h1 / 2.0 + t * (h2 / 6.0 + t * (h3 / 24.0 + t * h4 / 120.0)))),
            p.density * (1.0 + t * (h1 + t * (h2 / 2.0 + t * (h3 / 6.0 + t * h4 / 24.0))))};
  }

 private:
  static constexpr double kEnd = 8.0, kPerUnit = 64.0;
  std::array<NormalPoint, 1025> points_;
};

inline const NormalGrid kNormalGrid;

// A probability above this has seven digits and more as a difference of two values of the grid.
constexpr double kGridMass = 1e-4;

// log P(a < X < b), a < b. The interval is turned to the side where its ends are small probabilities.
inline double log_normal_interval(double a, double b) {
  if (!(a < b)) return -kInfinity;
  if (a > 0.0) {
    const double swap = a;
    a = -b;
    b = -swap;
  }
  const double width = b - a, middle = 0.5 * (a + b);
  // So narrow that the difference of two probabilities would lose digits: the density at the middle is a constant
  // there.
  if (width * (1.0 + std::fabs(middle)) < 1e-5) return std::log(width) - 0.5 * middle * middle - kLogSqrt2Pi;
  if (b > -30.0) {
    const double p = normal_cdf(b) - normal_cdf(a);
    if (p > 0.0) return std::log(p);
  }
  const double upper = log_normal_cdf(b), lower = log_normal_cdf(a);
  return upper + std::log1p(-std::exp(lower - upper));
}

struct TruncatedMoments {
  double log_mass;  // log P(a < X < b)
  double mean, variance;
};

// Moments of a standard normal given a < X < b.
inline TruncatedMoments truncated_normal_moments(double a, double b) {
  if (!(a < b)) return {-kInfinity, a, 0.0};
  if (b < 0.0 || (a < 0.0 && -a > b)) {
    const TruncatedMoments m = truncated_normal_moments(-b, -a);
    return {m.log_mass, -m.mean, m.variance};
  }
  TruncatedMoments m{log_normal_interval(a, b), 0.0, 1.0};
  if (a == -kInfinity) return m;  // and b is infinite too, after turning
  const double width = b - a;
  // A narrow interval: the density is nearly exponential, exp(-slope t) over t in (0, 1), with slope = a width.
  if (width * (1.0 + std::fabs(a)) < 1e-3) {
    const double slope = (a + 0.5 * width) * width;
    m.mean = a + width * (0.5 - slope / 12.0);
    m.variance = width * width / 12.0;
    return m;
  }
  if (a > 5.0) {
    // With T = X - a and the tail scaled by its density at a: no probability is formed that could underflow.
    const double far = std::isinf(b) ? 0.0 : std::exp(-0.5 * width * (b + a));
    const double mass = mills_ratio(a) - (far > 0.0 ? far * mills_ratio(b) : 0.0);
    const double ratio = (1.0 - far) / mass;  // E X
    if (far == 0.0) {
      // The variance 1 + a r - r^2 of a one-sided tail is a difference of large numbers: its expansion at infinity
      // beyond 50.
      m.mean = ratio;
      const double q = 1.0 / (a * a);
      m.variance = a > 50.0 ? q * (1.0 - q * (6.0 - q * (50.0 - 518.0 * q))) : 1.0 + (a - ratio) * ratio;
      return m;
    }
    m.mean = ratio;
    m.variance = 1.0 + (a - b * far) / mass - ratio * ratio;
    // The difference has lost its digits: an exponential density cut at `width`, to first order in 1 / a^2.
    if (a > 50.0 || !(m.variance > 1e-10 * width * width)) {
      const double u = a * width, e = std::exp(-u);
      m.mean = a + (1.0 / a) * (1.0 - u * e / (1.0 - e));
      m.variance = (1.0 - u * u * e / ((1.0 - e) * (1.0 - e))) / (a * a);
    }
    return m;
  }
  const double mass = std::exp(m.log_mass), at_a = normal_density(a) / mass;
  const double at_b = std::isinf(b) ? 0.0 : normal_density(b) / mass;
  m.mean = at_a - at_b;
  m.variance = 1.0 + a * at_a - (std::isinf(b) ? 0.0 : b * at_b) - m.mean * m.mean;
  if (m.variance < 0.0) m.variance = 0.0;
  return m;
}

// The quantile of a standard normal on (a, b) at u, on the log scale where needed (Botev 2017, JRSS B 79, 125-148).
inline double truncated_normal_quantile(double u, double a, double b) {
  if (!(a < b)) return a;
  if (a > 0.0) return -truncated_normal_quantile(1.0 - u, -b, -a);
  double x;
  if (b > -5.0) {
    const double low = normal_cdf(a), high = normal_cdf(b);
    x = normal_quantile(low + u * (high - low));
  } else {
    // log(P(a) + u (P(b) - P(a))), both tiny.
    const double upper = log_normal_cdf(b), lower = a == -kInfinity ? -kInfinity : log_normal_cdf(a);
    const double ratio = std::exp(lower - upper);
    x = normal_quantile_log(upper + std::log(ratio + u * (1.0 - ratio)));
  }
  return x < a ? a : x > b ? b : x;
}

// The area under the normal density in upright cells of equal area, for draws on an interval without any transcendental
// function (Chopin 2011, Stat. Comput. 21, 275-288): a cell among those that the interval touches, a point in it, and
// another try when the point is above the density or outside the interval. Made once, before main.
class NormalCells {
 public:
  static constexpr double kArea = 1.0 / 1024.0;
  static constexpr size_t kMost = 1100;
  // An interval that touches fewer cells is left to others.
  static constexpr size_t kLeast = 8;

  NormalCells() {
    // Outwards from 0, as high as the density at the inner side, until what is left fits into one cell: the tail.
    std::vector<double> side(1, 0.0);
    while (0.5 * std::erfc(side.back() * kSqrtHalf) > kArea)
      side.push_back(side.back() + kArea / normal_density(side.back()));
    const size_t half = side.size();
    count_ = 2 * half;
    tail_ = side.back();
    tail_ratio_ = 0.5 * std::erfc(tail_ * kSqrtHalf) / kArea;
    for (size_t k = 0; k + 1 < half; ++k) {
      const double width = side[k + 1] - side[k], ratio = normal_density(side[k + 1]) / normal_density(side[k]);
      cells_[half + k] = {side[k], width / ratio, ratio};
      cells_[half - 1 - k] = {-side[k + 1], width / ratio, ratio};
    }
    cells_[0] = cells_[count_ - 1] = {0.0, 0.0, 0.0};
    for (size_t g = 0; g <= kGrid; ++g) {
      const double from = kGridEnd * (2.0 * static_cast<double>(g) / kGrid - 1.0);
      size_t i = static_cast<size_t>(std::upper_bound(side.begin(), side.end(), std::fabs(from)) - side.begin()) - 1;
      grid_[g] = static_cast<std::uint16_t>(from < 0.0 ? half - 1 - i : half + i);
    }
  }

  // A standard normal on (a, b); false, and nothing is drawn, when that is not for this table.
  bool draw(CounterRng& rng, double a, double b, double& x) const {
    if (!(a < kGridEnd && b > -kGridEnd)) return false;
    const std::uint32_t first = a > -kGridEnd ? grid_[slot(a)] : 0,
                        last = b < kGridEnd ? grid_[slot(b) + 1] : static_cast<std::uint32_t>(count_ - 1);
    if (last < first + kLeast) return false;
    const std::uint64_t touched = last - first + 1;
    for (int round = 0; round < 1000; ++round) {  // each ends with probability above 0.5
      const std::uint64_t bits = rng.bits64();
      const size_t i = first + static_cast<size_t>((bits >> 32) * touched >> 32);
      const double u = (static_cast<double>(bits & 0xFFFFFFFFU) + 0.5) * 0x1.0p-32;
      const Cell& cell = cells_[i];
      x = cell.start + u * cell.stretch;
      if (u >= cell.ratio && !above_floor(rng, i, u, x)) continue;
      if (x > a && x < b) return true;
    }
    return false;
  }

 private:
  // Below its floor, the density's least value there, a cell is all accepted: the share `ratio` of its height. A height
  // u < ratio also places the point, at start + u stretch.
  struct Cell {
    double start, stretch, ratio;
  };

  static size_t slot(double x) { return static_cast<size_t>((x + kGridEnd) * (kGrid / (2.0 * kGridEnd))); }

  // The rest of cell i at height u: false when that is above the density.
  bool above_floor(CounterRng& rng, size_t i, double u, double& x) const {
    if (i == 0 || i + 1 == count_) {
      if (u >= tail_ratio_) return false;
      x = draw_normal_tail(rng, tail_);
      if (i == 0) x = -x;
      return true;
    }
    const Cell& cell = cells_[i];
    const double width = cell.stretch * cell.ratio;
    x = cell.start + rng.uniform() * width;
    const double inner = cell.start < 0.0 ? cell.start + width : cell.start;
    return u < std::exp(-0.5 * (x * x - inner * inner));
  }

  static constexpr double kGridEnd = 4.0;
  static constexpr size_t kGrid = 1024;
  size_t count_ = 0;
  double tail_ = 0.0, tail_ratio_ = 0.0;
  std::array<Cell, kMost> cells_;
  // The first cell that reaches beyond a point of the grid over (-kGridEnd, kGridEnd).
  std::array<std::uint16_t, kGrid + 1> grid_;
};

inline const NormalCells kNormalCells;

constexpr int kTruncatedRounds = 10000;  // far beyond what chance needs: each round accepts with probability above 0.2

// A standard normal above a > 0: proposals from the exponential of the best rate (Robert 1995, Stat. Comput. 5,
// 121-125).
inline double draw_normal_above(CounterRng& rng, double a) {
  if (a > 1e8) return a + rng.exponential() / a;
  const double rate = 0.5 * (a + std::sqrt(a * a + 4.0));
  for (int round = 0; round < kTruncatedRounds; ++round) {
    const double x = a + rng.exponential() / rate, gap = x - rate;
    if (rng.uniform() < std::exp(-0.5 * gap * gap)) return x;
  }
  return truncated_normal_quantile(rng.uniform(), a, kInfinity);
}

// A standard normal on (a, b), a < b; either may be infinite. By the table of cells, and otherwise the interval is
// narrow or far out. With a >= b, a NaN or an infinite bound on the wrong
// side, a finite number nearby: a caller's loop goes on.
inline double draw_truncated_normal(CounterRng& rng, double a, double b) {
  double drawn;
  if (kNormalCells.draw(rng, a, b, drawn)) return drawn;
  if (b == kInfinity && a > 0.0) return draw_normal_above(rng, a);
  if (a == -kInfinity && b < 0.0) return -draw_normal_above(rng, -b);
  if (!(a < b)) return std::isfinite(a) ? a : std::isfinite(b) ? b : 0.0;
  if (b <= 0.0) return -draw_truncated_normal(rng, -b, -a);
  const double width = b - a;
  if (a < 0.0) {
    for (int round = 0; round < kTruncatedRounds; ++round) {
      const double x = a + width * rng.uniform();
      if (rng.uniform() < std::exp(-0.5 * x * x)) return x;
    }
  } else if (0.5 * width * (a + b) < 1.5) {  // the density falls by less than e^1.5 over the interval
    for (int round = 0; round < kTruncatedRounds; ++round) {
      const double step = width * rng.uniform(), x = a + step;
      if (rng.uniform() < std::exp(-0.5 * step * (x + a))) return x;
    }
  } else {
    for (int round = 0; round < kTruncatedRounds; ++round) {
      const double x = draw_normal_above(rng, a);
      if (x < b) return x;
    }
  }
  return truncated_normal_quantile(rng.uniform(), a, b);
}

// A normal with the given mean and standard deviation on (lower, upper).
inline double draw_truncated_normal(CounterRng& rng, double mean, double sd, double lower, double upper) {
  const double rate = 1.0 / sd;
  const double x = mean + sd * draw_truncated_normal(rng, (lower - mean) * rate, (upper - mean) * rate);
  return x < lower ? lower : x > upper ? upper : x;
}

}  // namespace emkit
