// Rows under given parameters of a normal distribution: what is missing given what is observed.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include "../math/random.h"
#include "../math/truncated_normal.h"
#include "../parallel/reduce.h"
#include "mvn_pattern_step.h"

namespace emkit {

// Limits of the missing cells of each variable, in the units of the parameters; empty: none.
struct CellBounds {
  std::vector<double> lower, upper;
  bool any(size_t j) const {
    return !lower.empty() && (lower[j] > -std::numeric_limits<double>::infinity() ||
                              upper[j] < std::numeric_limits<double>::infinity());
  }
};

// One pattern under one set of parameters, ready to complete its rows. Everything is in the units of the parameters.
class PatternConditional {
 public:
  explicit PatternConditional(size_t d) : d_(d), step_(d) {}

  // False on numerical trouble.
  bool prepare(const MvnPoint& point, const PatternGroup& g, const CellBounds* bounds) {
    point_ = &point;
    group_ = &g;
    bounds_ = bounds;
    const size_t m = g.n_missing();
    if (!step_.prepare(point, g, true)) return false;
    bounded_ = false;
    for (size_t j : g.pattern->missing) bounded_ = bounded_ || (bounds && bounds->any(j));
    shift_.assign(d_, 0.0);
    mean_.resize(m);
    noise_.resize(m);
    return true;
  }

  // Conditional means of the missing cells (m) of a row, given its observed cells (o).
  const double* mean(const double* observed) {
    const std::vector<size_t>&obs = group_->pattern->observed, &mis = group_->pattern->missing;
    for (size_t l = 0; l < obs.size(); ++l) shift_[obs[l]] = observed[l] - point_->mean(static_cast<Index>(obs[l]));
    step_.expect(shift_.data(), mean_.data());
    for (size_t i = 0; i < mis.size(); ++i) mean_[i] += point_->mean(static_cast<Index>(mis[i]));
    return mean_.data();
  }

  // A draw of the missing cells, within the bounds.
  const double* draw(const double* observed, CounterRng& rng) {
    mean(observed);
    const size_t m = group_->n_missing();
    if (m == 1 && bounded_) {
      const size_t j = group_->pattern->missing[0];
      double sd = 1.0;
      step_.correlate(&sd);
      noise_[0] = draw_truncated_normal(rng, mean_[0], sd, bounds_->lower[j], bounds_->upper[j]);
      return noise_.data();
    }
    const int tries = bounded_ ? kTries : 1;
    for (int t = 0; t < tries; ++t) {
      draw_normals(rng, noise_.data(), m);
      step_.correlate(noise_.data());
      for (size_t i = 0; i < m; ++i) noise_[i] += mean_[i];
      if (!bounded_ || inside()) return noise_.data();
    }
    gibbs(rng);
    return noise_.data();
  }

  // Conditional standard deviations (m).
  std::vector<double> deviations() {
    MvnSums sums(d_);
    step_.add_covariance(sums);
    std::vector<double> out;
    for (size_t j : group_->pattern->missing) {
      const Index i = static_cast<Index>(j);
      out.push_back(std::sqrt(std::max(sums.inner(i, i) / group_->n, 0.0)));
    }
    return out;
  }

 private:
  bool inside() const {
    for (size_t i = 0; i < noise_.size(); ++i) {
      const size_t j = group_->pattern->missing[i];
      if (noise_[i] < bounds_->lower[j] || noise_[i] > bounds_->upper[j]) return false;
    }
    return true;
  }

  // Where the bounds cut off nearly all: one cell at a time given the others, from a point inside.
  void gibbs(CounterRng& rng) {
    const std::vector<size_t>& mis = group_->pattern->missing;
    const size_t m = mis.size();
    for (size_t i = 0; i < m; ++i)
      noise_[i] = std::min(std::max(mean_[i], bounds_->lower[mis[i]]), bounds_->upper[mis[i]]);
    for (int sweep = 0; sweep < kSweeps; ++sweep)
      for (size_t i = 0; i < m; ++i) {
        const double* k = point_->precision.data() + mis[i] * d_;
        double precision = k[mis[i]], pull = 0.0;
        for (size_t p = 0; p < group_->n_priors; ++p)
          if (group_->priors[p].column == mis[i]) precision += 1.0 / (group_->priors[p].sd * group_->priors[p].sd);
        for (size_t j = 0; j < m; ++j)
          if (j != i) pull += k[mis[j]] * (noise_[j] - mean_[j]);
        noise_[i] = draw_truncated_normal(rng, mean_[i] - pull / precision, 1.0 / std::sqrt(precision),
                                          bounds_->lower[mis[i]], bounds_->upper[mis[i]]);
      }
  }

  static constexpr int kTries = 50;
  static constexpr int kSweeps = 40;

  size_t d_;
  MvnPatternStep step_;
  const MvnPoint* point_ = nullptr;
  const PatternGroup* group_ = nullptr;
  const CellBounds* bounds_ = nullptr;
  bool bounded_ = false;
  std::vector<double> shift_, mean_, noise_;
};

enum class RowQuantity { kMean, kDraw, kDeviation, kLogDensity, kDistance };

// One quantity of every row at a point whose variables have mean 0 and variance 1 in `units`, the data being in the
// user's. kMean, kDraw: the missing cells of `out` (n x d, a copy of the data) are filled in; kDeviation: their
// conditional standard deviations; kLogDensity, kDistance: of the observed cells of each row (`out` of length n). Row i
// draws from stream i of the key. False on numerical trouble.
inline bool evaluate_rows(const RawData& raw, const MvnPoint& point, const ColumnMoments& units, RowQuantity what,
                          const CellBounds& bounds, std::uint64_t key, int threads, double* out) {
  const bool density = what == RowQuantity::kLogDensity || what == RowQuantity::kDistance;
  const ObservedBits bits(raw.x, raw.n, raw.d);
  const RowGroups groups =
      group_rows_by_pattern(bits, raw.d, raw.n, [](size_t i) { return i; }, [](size_t) { return true; });
  std::atomic<bool> fine{true};
  // Pieces of patterns, so that one large pattern keeps all threads busy.
  struct Piece {
    size_t pattern, begin, end;
  };
  std::vector<Piece> pieces;
  for (size_t p = 0; p < groups.patterns.size(); ++p)
    for (size_t b = groups.patterns[p].begin; b < groups.patterns[p].end; b += 4096)
      pieces.push_back({p, b, std::min<size_t>(b + 4096, groups.patterns[p].end)});
  parallel_tasks(pieces.size(), raw.n < 1000 ? 1 : threads, [&](size_t i) {
    const Pattern& pattern = groups.patterns[pieces[i].pattern];
    if (pattern.complete() && !density) return;
    const size_t o = pattern.observed.size(), m = pattern.missing.size();
    PatternConditional conditional(raw.d);
    PatternGroup group;
    group.pattern = &pattern;
    group.n = 1.0;
    std::vector<double> observed(raw.d);
    Eigen::LLT<MatrixXd> block;
    double constant = 0.0;
    if (density) {
      MatrixXd s(static_cast<Index>(o), static_cast<Index>(o));
      for (size_t a = 0; a < o; ++a) {
        constant -= 0.5 * kLog2Pi + std::log(units.sd[pattern.observed[a]]);
        for (size_t b = 0; b < o; ++b)
          s(static_cast<Index>(a), static_cast<Index>(b)) =
              point.covariance(static_cast<Index>(pattern.observed[a]), static_cast<Index>(pattern.observed[b]));
      }
      if (o > 0) {
        block.compute(s);
        if (block.info() != Eigen::Success) {
          fine = false;
          return;
        }
        constant -= MatrixXd(block.matrixL()).diagonal().array().log().sum();
      }
    } else if (!conditional.prepare(point, group, what == RowQuantity::kDraw ? &bounds : nullptr)) {
      fine = false;
      return;
    }
    std::vector<double> deviations;
    if (what == RowQuantity::kDeviation) deviations = conditional.deviations();
    for (size_t position = pieces[i].begin; position < pieces[i].end; ++position) {
      const size_t row = groups.order[position];
      if (what == RowQuantity::kDeviation) {
        for (size_t h = 0; h < m; ++h)
          out[pattern.missing[h] * raw.n + row] = deviations[h] * units.sd[pattern.missing[h]];
        continue;
      }
      for (size_t l = 0; l < o; ++l) {
        const size_t j = pattern.observed[l];
        observed[l] = (raw.x[j * raw.n + row] - units.mean[j]) / units.sd[j];
      }
      if (density) {
        double distance = 0.0;
        if (o > 0) {
          const VectorXd z = block.matrixL().solve(Eigen::Map<const VectorXd>(observed.data(), static_cast<Index>(o)));
          distance = z.squaredNorm();
        }
        out[row] = what == RowQuantity::kDistance ? distance : constant - 0.5 * distance;
        continue;
      }
      CounterRng rng(key, row);
      const double* cells = what == RowQuantity::kMean ? conditional.mean(observed.data())
                                                       : conditional.draw(observed.data(), rng);
      for (size_t h = 0; h < m; ++h) {
        const size_t j = pattern.missing[h];
        out[j * raw.n + row] = units.mean[j] + units.sd[j] * cells[h];
      }
    }
  });
  return fine;
}

}  // namespace emkit
