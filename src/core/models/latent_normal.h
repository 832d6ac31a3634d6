// Mixed data as a normal vector seen through a mask: the columns, the parameters, and one Gibbs sweep over the rows.
//
// A row is z ~ N(mean, covariance) over D latent coordinates. A continuous column shows its coordinate; an ordinal
// column the interval of its thresholds that holds it (Albert & Chib 1993, JASA 88, 669-679); a nominal column with K
// levels which of K - 1 utilities relative to the first level is the largest, the first level's being 0 (Imai & van Dyk
// 2005, J. Econometrics 124, 311-334); a censored column its coordinate, except beyond a mass point, where it shows
// only the side.
//
// Identification. The scale of a binary coordinate and the common scale of a nominal block are free: thresholds at 0 do
// not see them. Mean and covariance are updated without restriction and then rescaled to variance 1 (average variance 1
// for a block), the latent values with them: the parameter expansion of Imai & van Dyk, and the fast mixing, come at no
// cost. An ordinal column with 3 levels or more keeps its first and last thresholds fixed, so that its mean and
// variance are free.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "../math/truncated_normal.h"

namespace emkit {

using std::size_t;
using Index = Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

enum class LatentKind { kContinuous, kOrdinal, kNominal, kCensored };

constexpr int kLatentMissing = -1;
// The levels of a censored cell.
constexpr int kBelowMass = 0, kInterior = 1, kAboveMass = 2;

struct LatentColumn {
  LatentKind kind = LatentKind::kContinuous;
  size_t first = 0, dims = 1;  // its latent coordinates; none for a discrete column with a single level in use
  size_t n_codes = 0;          // discrete: codes 1 .. n_codes
  std::vector<int> used;       // discrete: the codes in use, rising. Levels never seen have no place in the model.
  double center = 0.0, scale = 1.0;                        // continuous, censored: value = center + scale z
  double mass_lower = -kInfinity, mass_upper = kInfinity;  // censored, in units of z

  bool discrete() const { return kind == LatentKind::kOrdinal || kind == LatentKind::kNominal; }
  bool binary() const { return kind == LatentKind::kOrdinal && used.size() == 2; }
  bool free_thresholds() const { return kind == LatentKind::kOrdinal && used.size() >= 4; }
  int level_of(double code) const {
    const auto at = std::find(used.begin(), used.end(), static_cast<int>(code));
    return at == used.end() ? kLatentMissing : static_cast<int>(at - used.begin());
  }
};

// Rows with the same columns missing, and the same columns held exactly.
struct LatentPattern {
  size_t begin = 0, end = 0;  // in the order of LatentData::row
  std::vector<size_t> missing_columns;
  std::vector<size_t> missing;          // latent coordinates without any restriction
  std::vector<size_t> observed;         // the others
  std::vector<size_t> limited_columns;  // discrete, or censored at a mass point
  std::vector<size_t> exact_columns;
};

// The data in latent units, rows grouped by pattern. Columns of `x` are user columns, column-major, NaN missing.
class LatentData {
 public:
  LatentData(const double* x, size_t n, std::vector<LatentColumn> columns, const double* weights)
      : n_(n), columns_(std::move(columns)) {
    for (const LatentColumn& c : columns_) d_ = std::max(d_, c.first + c.dims);
    std::map<std::string, std::vector<size_t>> groups;
    std::string key(columns_.size(), ' ');
    for (size_t i = 0; i < n; ++i) {
      for (size_t c = 0; c < columns_.size(); ++c) key[c] = state(columns_[c], x[c * n + i]);
      groups[key].push_back(i);
    }
    for (const auto& group : groups) add_pattern(group.first, group.second);
    level_.resize(columns_.size() * n);
    exact_.assign(columns_.size() * n, 0.0);
    for (size_t i = 0; i < n; ++i) {
      for (size_t c = 0; c < columns_.size(); ++c) read_cell(i, c, x[c * n + row_[i]]);
      weights_.push_back(weights ? weights[row_[i]] : 1.0);
    }
  }

  size_t n() const { return n_; }
  size_t d() const { return d_; }
  const std::vector<LatentColumn>& columns() const { return columns_; }
  const std::vector<LatentPattern>& patterns() const { return patterns_; }
  const std::vector<double>& weights() const { return weights_; }
  size_t row(size_t i) const { return row_[i]; }  // the user's row of row i
  int level(size_t i, size_t c) const { return level_[i * columns_.size() + c]; }
  double exact(size_t i, size_t c) const { return exact_[i * columns_.size() + c]; }

 private:
  static char state(const LatentColumn& c, double x) {
    if (std::isnan(x)) return 'm';
    if (c.kind == LatentKind::kContinuous) return 'e';
    if (c.kind == LatentKind::kCensored) return std::isinf(x) ? 'l' : 'e';
    return c.level_of(x) == kLatentMissing ? 'm' : 'l';
  }

  void read_cell(size_t i, size_t c, double x) {
    const LatentColumn& column = columns_[c];
    int level = kLatentMissing;
    if (!std::isnan(x)) {
      if (column.discrete())
        level = column.level_of(x);
      else
        level = std::isinf(x) ? (x < 0.0 ? kBelowMass : kAboveMass) : kInterior;
      if (level == kInterior && !column.discrete())
        exact_[i * columns_.size() + c] = (x - column.center) / column.scale;
    }
    level_[i * columns_.size() + c] = level;
  }

  void add_pattern(const std::string& key, const std::vector<size_t>& rows) {
    LatentPattern p;
    p.begin = row_.size();
    row_.insert(row_.end(), rows.begin(), rows.end());
    p.end = row_.size();
    for (size_t c = 0; c < columns_.size(); ++c) {
      const LatentColumn& column = columns_[c];
      if (key[c] == 'm') p.missing_columns.push_back(c);
      if (key[c] == 'e') p.exact_columns.push_back(c);
      if (key[c] == 'l' && column.dims > 0) p.limited_columns.push_back(c);
      for (size_t j = column.first; j < column.first + column.dims; ++j)
        (key[c] == 'm' ? p.missing : p.observed).push_back(j);
    }
    patterns_.push_back(p);
  }

  size_t n_, d_ = 0;
  std::vector<LatentColumn> columns_;
  std::vector<LatentPattern> patterns_;
  std::vector<size_t> row_;
  std::vector<int> level_;       // n x C, row by row
  std::vector<double> exact_;    // n x C, row by row
  std::vector<double> weights_;  // n
};

// Parameters in latent units. thresholds[c]: of an ordinal column with L levels in use the L + 1 ends of its intervals,
// the first -Inf and the last +Inf; empty for other columns.
struct LatentParameters {
  VectorXd mean;                   // D
  MatrixXd covariance, precision;  // D x D, each the other's inverse
  std::vector<std::vector<double>> thresholds;

  // False, and nothing is changed, when the covariance is not positive definite.
  bool set(const VectorXd& m, const MatrixXd& s) {
    if (!m.allFinite() || !s.allFinite()) return false;
    const Eigen::LLT<MatrixXd> llt(s);
    if (llt.info() != Eigen::Success) return false;
    MatrixXd q = llt.solve(MatrixXd::Identity(s.rows(), s.cols()));
    if (!q.allFinite() || (q.diagonal().array() <= 0.0).any()) return false;
    mean = m;
    covariance = s;
    precision = 0.5 * (q + q.transpose());
    return true;
  }
};

// An inverse-Wishart prior worth `df` observations with scatter `scale` (D x D, latent units): its log density is
// -df / 2 log|S| - tr(scale S^-1) / 2 over the invariant measure |S|^(-(D + 1) / 2) dS. The mode takes it as `df`
// pseudo-observations, (scatter + scale) / (n + df); data augmentation draws from IW(n - 1 + df, scatter + scale).
//
// Where the scale of a block of coordinates is free (see above) the prior is on the block before rescaling, times a
// working factor alpha that is part of the expanded model: what remains for the identified parameters depends on the
// shape of the block alone. Given these, alpha^2 is tr(scale_b Q_b) / chi^2(df p) for p coordinates with precision Q_b
// (Imai & van Dyk 2005, scheme 1); holding alpha at 1 instead would set the prior's scatter against the data's and blur
// every relation of the block. Blocks have no prior relations with other coordinates.
struct LatentPrior {
  double df = 0.0;
  MatrixXd scale;
};

inline bool free_scale(const LatentColumn& c) {
  return c.dims > 0 && (c.binary() || c.kind == LatentKind::kNominal);
}

// alpha^2 chi^2 = tr(scale_b Q_b) of a block.
inline double block_trace(const LatentColumn& c, const LatentPrior& prior, const MatrixXd& precision) {
  const Index first = static_cast<Index>(c.first), dims = static_cast<Index>(c.dims);
  return prior.scale.block(first, first, dims, dims).cwiseProduct(precision.block(first, first, dims, dims)).sum();
}

// The prior's scatter with the free blocks at their most probable working factor.
inline MatrixXd scatter_at_mode(const std::vector<LatentColumn>& columns, const LatentPrior& prior,
                                const MatrixXd& precision) {
  MatrixXd s = prior.scale;
  for (const LatentColumn& c : columns) {
    if (!free_scale(c)) continue;
    const Index first = static_cast<Index>(c.first), dims = static_cast<Index>(c.dims);
    const double trace = block_trace(c, prior, precision);
    if (trace > 0.0) s.block(first, first, dims, dims) *= prior.df * static_cast<double>(c.dims) / trace;
  }
  return s;
}

// The covariance without any relation between columns: the utilities of a nominal block share the reference's, which
// gives them correlation 1/2, whichever level is the reference.
inline MatrixXd independent_covariance(const std::vector<LatentColumn>& columns, size_t d) {
  MatrixXd r = MatrixXd::Identity(static_cast<Index>(d), static_cast<Index>(d));
  for (const LatentColumn& c : columns)
    if (c.kind == LatentKind::kNominal)
      for (size_t j = c.first; j < c.first + c.dims; ++j)
        for (size_t l = c.first; l < j; ++l)
          r(static_cast<Index>(j), static_cast<Index>(l)) = r(static_cast<Index>(l), static_cast<Index>(j)) = 0.5;
  return r;
}

// Factors that bring the free scales back to 1.
inline VectorXd unit_factors(const std::vector<LatentColumn>& columns, const MatrixXd& covariance) {
  VectorXd f = VectorXd::Ones(covariance.rows());
  for (const LatentColumn& c : columns) {
    if (!free_scale(c)) continue;
    const Index first = static_cast<Index>(c.first), dims = static_cast<Index>(c.dims);
    const double average = covariance.diagonal().segment(first, dims).mean();
    if (average > 0.0 && std::isfinite(average)) f.segment(first, dims).setConstant(1.0 / std::sqrt(average));
  }
  return f;
}

// The interval of one coordinate of a limited cell given the row's other coordinates, z (D).
struct LatentLimits {
  double lower = -kInfinity, upper = kInfinity;
};

inline LatentLimits limits_of(const LatentColumn& c, const std::vector<double>& thresholds, int level, size_t j,
                              const double* z) {
  LatentLimits b;
  switch (c.kind) {
    case LatentKind::kOrdinal:
      b.lower = thresholds[static_cast<size_t>(level)];
      b.upper = thresholds[static_cast<size_t>(level) + 1];
      break;
    case LatentKind::kNominal: {
      if (level == 0) {
        b.upper = 0.0;
      } else {
        const size_t winner = c.first + static_cast<size_t>(level) - 1;
        if (j != winner) {
          b.upper = z[winner];
        } else {
          b.lower = 0.0;
          for (size_t l = c.first; l < c.first + c.dims; ++l)
            if (l != j) b.lower = std::max(b.lower, z[l]);
        }
      }
      break;
    }
    case LatentKind::kCensored:
      if (level == kBelowMass) b.upper = c.mass_lower;
      if (level == kAboveMass) b.lower = c.mass_upper;
      break;
    case LatentKind::kContinuous:
      break;
  }
  return b;
}

// The level in use (or the side of a mass point) that latent values stand for.
inline int decode_level(const LatentColumn& c, const std::vector<double>& thresholds, const double* z) {
  if (c.dims == 0) return 0;
  if (c.kind == LatentKind::kOrdinal) {
    int level = 0;
    while (level + 2 < static_cast<int>(thresholds.size()) && z[c.first] > thresholds[static_cast<size_t>(level) + 1])
      ++level;
    return level;
  }
  if (c.kind == LatentKind::kNominal) {
    int level = 0;
    double best = 0.0;
    for (size_t l = 0; l < c.dims; ++l)
      if (z[c.first + l] > best) {
        best = z[c.first + l];
        level = static_cast<int>(l) + 1;
      }
    return level;
  }
  if (c.kind == LatentKind::kCensored) {
    if (z[c.first] <= c.mass_lower) return kBelowMass;
    if (z[c.first] >= c.mass_upper) return kAboveMass;
  }
  return kInterior;
}

// The cell as the user writes it: a code, a value, or -Inf and +Inf at the mass points.
inline double decode_value(const LatentColumn& c, const std::vector<double>& thresholds, const double* z) {
  const int level = decode_level(c, thresholds, z);
  if (c.discrete())
    return c.used.empty() ? std::numeric_limits<double>::quiet_NaN() : c.used[static_cast<size_t>(level)];
  if (level == kBelowMass) return -kInfinity;
  if (level == kAboveMass) return kInfinity;
  return c.center + c.scale * z[c.first];
}

// Score and negative Hessian (tridiagonal) of the inner thresholds of one ordinal column with the coordinate itself
// integrated out: log P(t[level] < N(mean, sd^2) < t[level + 1]) is concave in the thresholds (Pratt 1981, JASA 76,
// 103-106).
struct ThresholdScore {
  VectorXd score, diagonal, off;  // over thresholds 1 .. L - 1; off(k) between k and k + 1

  explicit ThresholdScore(size_t n_inner = 0)
      : score(VectorXd::Zero(static_cast<Index>(n_inner))),
        diagonal(VectorXd::Zero(static_cast<Index>(n_inner))),
        off(VectorXd::Zero(static_cast<Index>(n_inner))) {}

  void clear() {
    score.setZero();
    diagonal.setZero();
    off.setZero();
  }

  // this <- this + gain (other - this)
  void blend(const ThresholdScore& other, double gain) {
    score += gain * (other.score - score);
    diagonal += gain * (other.diagonal - diagonal);
    off += gain * (other.off - off);
  }

  void add(const ThresholdScore& other) {
    score += other.score;
    diagonal += other.diagonal;
    off += other.off;
  }

  void add(const std::vector<double>& thresholds, int level, double mean, double sd, double weight) {
    const size_t l = static_cast<size_t>(level), last = thresholds.size() - 1;
    const double a = (thresholds[l] - mean) / sd, b = (thresholds[l + 1] - mean) / sd;
    const NormalPoint from = kNormalGrid.at(a), to = kNormalGrid.at(b);
    const double mass = to.cdf - from.cdf;
    double at_a = 0.0, at_b = 0.0;
    if (mass > kGridMass) {
      at_a = from.density / mass;
      at_b = to.density / mass;
    } else {
      const double log_mass = log_normal_interval(a, b);
      if (l > 0) at_a = std::exp(-0.5 * a * a - kLogSqrt2Pi - log_mass);
      if (l + 1 < last) at_b = std::exp(-0.5 * b * b - kLogSqrt2Pi - log_mass);
    }
    const double w = weight / sd, ww = w / sd;
    if (l > 0) {
      const Index k = static_cast<Index>(l) - 1;
      score(k) -= w * at_a;
      diagonal(k) += ww * (at_a * at_a - a * at_a);
    }
    if (l + 1 < last) {
      const Index k = static_cast<Index>(l);
      score(k) += w * at_b;
      diagonal(k) += ww * (at_b * at_b + b * at_b);
    }
    if (l > 0 && l + 1 < last) off(static_cast<Index>(l) - 1) -= ww * at_a * at_b;
  }

  // Negative Hessian of the thresholds that are not fixed (all but the first and the last), (L - 3) x (L - 3).
  MatrixXd free_information() const {
    const Index k = diagonal.size() - 2;
    MatrixXd h = MatrixXd::Zero(k, k);
    for (Index i = 0; i < k; ++i) {
      h(i, i) = diagonal(i + 1);
      if (i + 1 < k) h(i, i + 1) = h(i + 1, i) = off(i + 1);
    }
    return h;
  }
};

inline bool is_rising(const std::vector<double>& t) {
  for (size_t k = 1; k < t.size(); ++k)
    if (!(t[k] > t[k - 1])) return false;
  return true;
}

enum class FillMissing { kDraw, kMean };

// task(rows, count) for those of the rows begin .. end - 1 that keep(i) wants, up to `most` at a time.
template <size_t most, class Keep, class Task>
void in_groups(size_t begin, size_t end, const Keep& keep, const Task& task) {
  size_t rows[most], count = 0;
  for (size_t i = begin; i < end; ++i) {
    if (keep(i)) rows[count++] = i;
    if (count == most || (count > 0 && i + 1 == end)) {
      task(rows, count);
      count = 0;
    }
  }
}

// A few rows at a time at given parameters: draws the limited coordinates given the observed part of the row (the
// missing part is integrated out), and then the missing coordinates as a block. Owns its scratch: no allocation after
// construction.
class LatentSweep {
 public:
  explicit LatentSweep(const LatentData& data)
      : data_(data),
        d_(data.d()),
        marginal_(data.d() * data.d()),
        half_(data.d() * data.d()),
        factor_(data.d() * data.d()),
        inverse_(data.d() * data.d()),
        sd_(data.d()),
        deviation_(data.d()),
        centre_(data.d()),
        noise_(data.d()),
        lanes_(data.d() * kLanes) {}

  // Factors what the rows of a pattern share. False when the precision of the missing block is not positive definite.
  bool prepare(const LatentParameters& p, const LatentPattern& pattern) {
    p_ = &p;
    pattern_ = &pattern;
    const std::vector<size_t>& miss = pattern.missing;
    const size_t m = miss.size();
    const double* q = p.precision.data();  // symmetric: columns are rows
    // Q_MM = F F' (m x m, rows of length m), half = F^-1 Q_M. (m x D).
    for (size_t a = 0; a < m; ++a) {
      double* row = &factor_[a * m];
      for (size_t b = 0; b <= a; ++b) {
        const double* other = &factor_[b * m];
        double s = q[miss[a] * d_ + miss[b]];
        for (size_t k = 0; k < b; ++k) s -= row[k] * other[k];
        if (b < a) {
          row[b] = s / other[b];
        } else {
          if (!(s > 0.0) || !std::isfinite(s)) return false;
          row[a] = std::sqrt(s);
        }
      }
      double* h = &half_[a * d_];
      const double* from = q + miss[a] * d_;
      for (size_t l = 0; l < d_; ++l) h[l] = from[l];
      for (size_t k = 0; k < a; ++k) {
        const double f = row[k];
        const double* hk = &half_[k * d_];
        for (size_t l = 0; l < d_; ++l) h[l] -= f * hk[l];
      }
      const double inverse = 1.0 / row[a];
      for (size_t l = 0; l < d_; ++l) h[l] *= inverse;
    }
    // Rows of the precision of the observed part, Q_OO - half' half, for the coordinates to be drawn.
    for (size_t c : pattern.limited_columns) {
      const LatentColumn& column = data_.columns()[c];
      for (size_t j = column.first; j < column.first + column.dims; ++j) {
        double* row = &marginal_[j * d_];
        const double* from = q + j * d_;
        for (size_t l = 0; l < d_; ++l) row[l] = from[l];
        for (size_t a = 0; a < m; ++a) {
          const double f = half_[a * d_ + j];
          const double* h = &half_[a * d_];
          for (size_t l = 0; l < d_; ++l) row[l] -= f * h[l];
        }
        const double diagonal = row[j];
        if (!(diagonal > 0.0) || !std::isfinite(diagonal)) return false;
        // Scaled so that the conditional mean is a plain dot product.
        for (size_t l = 0; l < d_; ++l) row[l] /= -diagonal;
        row[j] = 0.0;
        for (size_t l : miss) row[l] = 0.0;
        sd_[j] = 1.0 / std::sqrt(diagonal);
      }
    }
    return true;
  }

  // Rows of the pattern that are drawn side by side: they share the matrix, and none waits for another.
  static constexpr size_t kLanes = 8;

  // The limited coordinates of up to kLanes rows, one coordinate after another; z: D x n, all rows. `scores` (over
  // columns; may be NULL) collects what the thresholds need, with `weights` (n).
  void draw_limited(const size_t* rows, size_t count, double* z, CounterRng& rng,
                    std::vector<ThresholdScore>* scores = nullptr, const double* weights = nullptr) {
    using Lanes = Eigen::Array<double, static_cast<int>(kLanes), 1>;
    const double* mean = p_->mean.data();
    for (size_t r = 0; r < count; ++r)
      for (size_t l = 0; l < d_; ++l) lanes_[l * kLanes + r] = z[rows[r] * d_ + l] - mean[l];
    for (size_t c : pattern_->limited_columns) {
      const LatentColumn& column = data_.columns()[c];
      const std::vector<double>& thresholds = p_->thresholds[c];
      for (size_t j = column.first; j < column.first + column.dims; ++j) {
        const double* row = &marginal_[j * d_];
        Lanes m = Lanes::Constant(mean[j]);
        for (size_t l = 0; l < d_; ++l) m += row[l] * Eigen::Map<const Lanes>(&lanes_[l * kLanes]);
        const double sd = sd_[j];
        for (size_t r = 0; r < count; ++r) {
          const size_t i = rows[r];
          const int level = data_.level(i, c);
          const double centre = m(static_cast<Index>(r));
          if (scores && column.free_thresholds()) (*scores)[c].add(thresholds, level, centre, sd, weights[i]);
          const LatentLimits b = limits_of(column, thresholds, level, j, z + i * d_);
          const double drawn = draw_truncated_normal(rng, centre, sd, b.lower, b.upper);
          z[i * d_ + j] = drawn;
          lanes_[j * kLanes + r] = drawn - mean[j];
        }
      }
    }
  }

  void draw_limited(size_t i, double* z, CounterRng& rng) { draw_limited(&i, 1, z, rng); }

  // The missing coordinates given the others: a draw, or their conditional means.
  void fill_missing(double* z, CounterRng& rng, FillMissing how) {
    load(z);
    condition();
    place(z, rng, how == FillMissing::kDraw);
  }

  // Another draw of the missing coordinates of the row that fill_missing() has just seen.
  void redraw_missing(double* z, CounterRng& rng) { place(z, rng, true); }

  // The missing coordinates given the others, inside bounds (D each, infinite where free): plain draws until one is
  // inside, and after a few that are not, Gibbs steps from the nearest point inside. No value is moved to a bound.
  void fill_missing_within(double* z, CounterRng& rng, const VectorXd& lower, const VectorXd& upper) {
    fill_missing(z, rng, FillMissing::kDraw);
    for (int attempt = 0; attempt < 16; ++attempt) {
      if (inside(z, lower, upper)) return;
      redraw_missing(z, rng);
    }
    const double* q = p_->precision.data();
    for (size_t j : pattern_->missing)
      z[j] = std::min(std::max(z[j], lower(static_cast<Index>(j))), upper(static_cast<Index>(j)));
    for (size_t l = 0; l < d_; ++l) deviation_[l] = z[l] - p_->mean(static_cast<Index>(l));
    for (int round = 0; round < 10; ++round) {
      for (size_t j : pattern_->missing) {
        const double* row = q + j * d_;
        double s = -row[j] * deviation_[j];
        for (size_t l = 0; l < d_; ++l) s += row[l] * deviation_[l];
        const double mean = p_->mean(static_cast<Index>(j)) - s / row[j];
        z[j] = draw_truncated_normal(rng, mean, 1.0 / std::sqrt(row[j]), lower(static_cast<Index>(j)),
                                     upper(static_cast<Index>(j)));
        deviation_[j] = z[j] - p_->mean(static_cast<Index>(j));
      }
    }
  }

  // Conditional covariance of the missing block, (Q_MM)^-1, m x m row by row. After prepare().
  const std::vector<double>& missing_covariance() {
    const size_t m = pattern_->missing.size();
    // Columns of F^-1 in noise_, one at a time; the products go below.
    for (size_t k = 0; k < m * m; ++k) inverse_[k] = 0.0;
    // (F F')^-1 = F^-T F^-1: solve for each unit vector.
    for (size_t b = 0; b < m; ++b) {
      for (size_t a = 0; a < m; ++a) {
        double s = a == b ? 1.0 : 0.0;
        for (size_t k = b; k < a; ++k) s -= factor_[a * m + k] * noise_[k];
        noise_[a] = a < b ? 0.0 : s / factor_[a * m + a];
      }
      for (size_t a = m; a-- > 0;) {
        double s = noise_[a];
        for (size_t k = a + 1; k < m; ++k) s -= factor_[k * m + a] * inverse_[b * m + k];
        inverse_[b * m + a] = s / factor_[a * m + a];
      }
    }
    return inverse_;
  }

  const LatentPattern& pattern() const { return *pattern_; }

 private:
  // Four sums side by side: one would wait for each addition.
  double dot(const double* a, const double* b) const {
    double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0;
    size_t l = 0;
    for (; l + 4 <= d_; l += 4) {
      s0 += a[l] * b[l];
      s1 += a[l + 1] * b[l + 1];
      s2 += a[l + 2] * b[l + 2];
      s3 += a[l + 3] * b[l + 3];
    }
    for (; l < d_; ++l) s0 += a[l] * b[l];
    return (s0 + s1) + (s2 + s3);
  }

  void load(const double* z) {
    const double* mean = p_->mean.data();
    for (size_t l = 0; l < d_; ++l) deviation_[l] = z[l] - mean[l];
  }

  // centre = F^-1 Q_MO (z_O - mean_O).
  void condition() {
    for (size_t l : pattern_->missing) deviation_[l] = 0.0;
    for (size_t a = 0; a < pattern_->missing.size(); ++a) {
      const double* h = &half_[a * d_];
      centre_[a] = dot(h, deviation_.data());
    }
  }

  // z_M = mean_M + F^-T (noise - centre).
  void place(double* z, CounterRng& rng, bool noisy) {
    const std::vector<size_t>& miss = pattern_->missing;
    const size_t m = miss.size();
    for (size_t a = 0; a < m; ++a) noise_[a] = (noisy ? draw_normal(rng) : 0.0) - centre_[a];
    for (size_t a = m; a-- > 0;) {
      double s = noise_[a];
      for (size_t k = a + 1; k < m; ++k) s -= factor_[k * m + a] * noise_[k];
      noise_[a] = s / factor_[a * m + a];
      z[miss[a]] = p_->mean(static_cast<Index>(miss[a])) + noise_[a];
    }
  }

  bool inside(const double* z, const VectorXd& lower, const VectorXd& upper) const {
    for (size_t j : pattern_->missing)
      if (z[j] < lower(static_cast<Index>(j)) || z[j] > upper(static_cast<Index>(j))) return false;
    return true;
  }

  const LatentData& data_;
  size_t d_;
  const LatentParameters* p_ = nullptr;
  const LatentPattern* pattern_ = nullptr;
  std::vector<double> marginal_, half_, factor_, inverse_;  // see prepare(); row by row
  std::vector<double> sd_, deviation_, centre_, noise_;
  std::vector<double> lanes_;  // deviations of rows side by side, D x kLanes, row by row
};

// Latent values (D x n) that every cell allows: exact cells at their values, the others near the mean. A row's start
// depends on no other row.
inline void start_latents(const LatentData& data, const LatentParameters& p, MatrixXd& z) {
  z.resize(static_cast<Index>(data.d()), static_cast<Index>(data.n()));
  for (const LatentPattern& pattern : data.patterns())
    for (size_t i = pattern.begin; i < pattern.end; ++i) {
      double* row = z.data() + i * data.d();
      for (size_t j : pattern.missing) row[j] = p.mean(static_cast<Index>(j));
      for (size_t c : pattern.exact_columns) row[data.columns()[c].first] = data.exact(i, c);
      for (size_t c : pattern.limited_columns) {
        const LatentColumn& column = data.columns()[c];
        const int level = data.level(i, c);
        if (column.kind == LatentKind::kNominal) {
          for (size_t l = 0; l < column.dims; ++l)
            row[column.first + l] = static_cast<int>(l) + 1 == level ? 0.5 : -0.5;
        } else {
          const LatentLimits b = limits_of(column, p.thresholds[c], level, column.first, row);
          const Index j = static_cast<Index>(column.first);
          const double mean = p.mean(j), sd = std::sqrt(p.covariance(j, j));
          row[column.first] = mean + sd * truncated_normal_moments((b.lower - mean) / sd, (b.upper - mean) / sd).mean;
        }
      }
    }
}

// Sums over rows of the latent values: what mean and covariance need.
class LatentMoments {
 public:
  explicit LatentMoments(size_t d = 0)
      : sum(VectorXd::Zero(static_cast<Index>(d))),
        cross(MatrixXd::Zero(static_cast<Index>(d), static_cast<Index>(d))),
        buffer_(static_cast<Index>(d), kRows) {}

  void clear() {
    sum.setZero();
    cross.setZero();
    filled_ = 0;
  }

  void add_row(const double* z, double weight) {
    const double root = std::sqrt(weight);
    double* to = buffer_.data() + filled_ * buffer_.rows();
    for (Index j = 0; j < buffer_.rows(); ++j) {
      sum(j) += weight * z[j];
      to[j] = root * z[j];
    }
    if (++filled_ == kRows) flush();
  }

  void add_covariance(const std::vector<size_t>& at, const std::vector<double>& covariance, double weight) {
    for (size_t a = 0; a < at.size(); ++a)
      for (size_t b = 0; b <= a; ++b)
        cross(static_cast<Index>(at[a]), static_cast<Index>(at[b])) += weight * covariance[a * at.size() + b];
  }

  // Only the lower triangle of `cross` is filled. Call before reading.
  void flush() {
    if (filled_ > 0 && cross.rows() > 0) cross.selfadjointView<Eigen::Lower>().rankUpdate(buffer_.leftCols(filled_));
    filled_ = 0;
  }

  void add(const LatentMoments& other) {
    sum += other.sum;
    cross += other.cross;
  }

  // As if coordinate j had been multiplied by factors(j).
  void rescale(const VectorXd& factors) {
    sum = factors.cwiseProduct(sum);
    cross = factors.asDiagonal() * cross * factors.asDiagonal();
  }

  // Scatter about the mean sum / n, both triangles.
  MatrixXd scatter(double n) const {
    MatrixXd s = cross.selfadjointView<Eigen::Lower>();
    return s - sum * sum.transpose() / n;
  }

  VectorXd sum;    // D
  MatrixXd cross;  // D x D, lower

 private:
  static constexpr Index kRows = 64;
  MatrixXd buffer_;
  Index filled_ = 0;
};

inline void rescale_latents(const VectorXd& factors, Eigen::Ref<MatrixXd> z) {
  for (Index j = 0; j < factors.size(); ++j)
    if (factors(j) != 1.0) z.row(j) *= factors(j);
}

}  // namespace emkit
