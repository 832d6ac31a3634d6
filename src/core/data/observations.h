// The data of a fit: rows in the user's array, seen centred and scaled, grouped by missingness pattern, cut into chunks.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include "../kernels/kernels.h"
#include "../parallel/reduce.h"
#include "missing_patterns.h"

namespace emkit {

// A part of a chunk that lies in one pattern, or a `mixed` one of several of few rows each, of which `pattern` is the
// first.
struct Segment {
  size_t pattern;
  size_t begin;  // positions
  size_t end;
  bool mixed;
};

// The rows of a mixed tile that have one pattern.
struct TileRun {
  const Pattern* pattern;
  size_t begin;  // rows of the tile
  size_t end;
};

constexpr int kUnknownLabel = -1;
constexpr int kNoiseLabel = -2;  // the noise component, which is the last whatever the number of components

// The user's data, never copied: n x d, column-major, NaN where missing. `weights` (n) and `labels` (n; the known
// component of a row, counted from 0, or one of the constants above) may be null.
struct RawData {
  const double* x = nullptr;
  size_t n = 0;
  size_t d = 0;
  const double* weights = nullptr;
  const int* labels = nullptr;
};

// Weighted moments of the observed cells, column by column.
struct ColumnMoments {
  std::vector<double> mean, sd;
};

// Eight partial sums, so that additions need not wait for each other.
template <class Term>
double lane_sum(size_t n, const Term& term) {
  double lanes[8] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
  size_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (size_t l = 0; l < 8; ++l) lanes[l] += term(i + l);
  for (; i < n; ++i) lanes[0] += term(i);
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

inline bool any_missing(const double* x, size_t n) {
  return lane_sum(n, [x](size_t i) { return x[i] != x[i] ? 1.0 : 0.0; }) > 0.0;
}

inline ColumnMoments column_moments(const RawData& raw, int threads) {
  ColumnMoments m;
  m.mean.resize(raw.d);
  m.sd.resize(raw.d);
  parallel_tasks(raw.d, threads, [&](size_t j) {
    const double* x = raw.x + j * raw.n;
    // Two passes, the first about the first observed value: offsets of 1e12 leave the variance intact.
    double origin = 0.0;
    for (size_t i = 0; i < raw.n; ++i)
      if (!std::isnan(x[i])) {
        origin = x[i];
        break;
      }
    double total, mean, square;
    if (!raw.weights && !any_missing(x, raw.n)) {
      total = static_cast<double>(raw.n);
      mean = lane_sum(raw.n, [=](size_t i) { return x[i] - origin; }) / total;
      square = lane_sum(raw.n, [=](size_t i) {
        const double r = (x[i] - origin) - mean;
        return r * r;
      });
    } else {
      const auto weight = [&](size_t i) { return std::isnan(x[i]) ? 0.0 : raw.weights ? raw.weights[i] : 1.0; };
      const auto centred = [&](size_t i) { return std::isnan(x[i]) ? 0.0 : x[i] - origin; };
      total = lane_sum(raw.n, weight);
      mean = lane_sum(raw.n, [&](size_t i) { return weight(i) * centred(i); }) / total;
      square = lane_sum(raw.n, [&](size_t i) {
        const double r = centred(i) - mean;
        return weight(i) * r * r;
      });
    }
    m.mean[j] = origin + mean;
    m.sd[j] = std::sqrt(square / total);
  });
  return m;
}

class Observations {
 public:
  static constexpr size_t kBlockRows = 128;  // rows of a tile: small enough for the first-level cache
  static constexpr size_t kMaxChunks = 64;
  static constexpr size_t kMinChunkRows = 1024;

  // Row i is seen as (x_i - center) / scale. `rows` (may be empty: all) restricts to some rows.
  Observations(const RawData& raw, std::vector<double> center, std::vector<double> scale,
               std::vector<size_t> rows = {})
      : raw_(raw), center_(std::move(center)), scale_(std::move(scale)) {
    group_rows(rows);
    cut_chunks();
  }

  // The same rows and patterns with other weights (n of the user's data).
  Observations with_weights(const double* weights) const {
    Observations out = *this;
    out.raw_.weights = weights;
    return out;
  }

  // Puts the patterns last that have so few rows that it is faster to fill their missing cells in, row by row, than to
  // handle each pattern by itself: rows of theirs may then be visited as mixed segments.
  void gather_sparse_patterns() {
    const auto dense = [this](const Pattern& p) { return !is_sparse(p); };
    if (std::all_of(patterns_.begin(), patterns_.end(), dense)) return;
    std::stable_partition(patterns_.begin(), patterns_.end(), dense);
    std::vector<size_t> order;
    order.reserve(order_.size());
    for (Pattern& p : patterns_) {
      const size_t begin = order.size();
      for (size_t i = p.begin; i < p.end; ++i) order.push_back(order_[i]);
      p.begin = begin;
      p.end = order.size();
    }
    order_ = std::move(order);
    const auto sparse = std::partition_point(patterns_.begin(), patterns_.end(), dense);
    sparse_begin_ = sparse->begin;
  }

  bool has_sparse() const { return sparse_begin_ < n_visited_; }

  size_t n() const { return n_visited_; }
  size_t d() const { return raw_.d; }
  const std::vector<Pattern>& patterns() const { return patterns_; }
  bool has_missing() const { return patterns_.size() > 1 || (patterns_.size() == 1 && !patterns_[0].complete()); }
  bool has_labels() const { return raw_.labels != nullptr; }
  const std::vector<double>& center() const { return center_; }
  const std::vector<double>& scale() const { return scale_; }
  const RawData& raw() const { return raw_; }

  size_t n_chunks() const { return chunks_.size(); }
  size_t chunk_rows() const { return chunk_rows_; }
  size_t chunk_begin(size_t chunk) const { return chunks_[chunk]; }
  size_t chunk_end(size_t chunk) const { return chunk + 1 < chunks_.size() ? chunks_[chunk + 1] : n_visited_; }

  // The row of the user's data at a position.
  size_t row(size_t position) const { return order_.empty() ? position : order_[position]; }

  // Calls visit(segment) for every pattern met between two positions; with `mix`, once for all sparse patterns.
  template <class Visit>
  void segments(size_t begin, size_t end, bool mix, const Visit& visit) const {
    for (size_t p = pattern_at(begin); begin < end; ++p) {
      if (mix && begin >= sparse_begin_) {
        visit(Segment{p, begin, end, true});
        return;
      }
      const size_t stop = std::min(end, patterns_[p].end);
      if (stop > begin) visit(Segment{p, begin, stop, false});
      begin = stop;
    }
  }

  // Fills a tile (stride kBlockRows) with the observed columns of positions begin .. end - 1 and their weights; pads it
  // with rows at the centre of weight 0. Returns the padded number of rows.
  size_t load_tile(const Pattern& pattern, size_t begin, size_t end, double* tile, double* weight) const {
    const size_t n = end - begin, padded = (n + kRowPad - 1) / kRowPad * kRowPad;
    for (size_t o = 0; o < pattern.observed.size(); ++o) {
      const size_t j = pattern.observed[o];
      const double* x = raw_.x + j * raw_.n;
      double* out = tile + o * kBlockRows;
      const double center = center_[j], inverse = 1.0 / scale_[j];
      if (order_.empty()) {
        const double* source = x + begin;
        for (size_t i = 0; i < n; ++i) out[i] = (source[i] - center) * inverse;
      } else {
        for (size_t i = 0; i < n; ++i) out[i] = (x[order_[begin + i]] - center) * inverse;
      }
      for (size_t i = n; i < padded; ++i) out[i] = 0.0;
    }
    for (size_t i = 0; i < n; ++i) weight[i] = raw_.weights ? raw_.weights[row(begin + i)] : 1.0;
    for (size_t i = n; i < padded; ++i) weight[i] = 0.0;
    return padded;
  }

  // The same for a mixed segment: all columns, with missing cells at the centre. `runs` are the patterns of its rows.
  size_t load_mixed_tile(size_t begin, size_t end, double* tile, double* weight, std::vector<TileRun>& runs) const {
    runs.clear();
    size_t p = pattern_at(begin);
    for (size_t i = begin; i < end; ++p) {
      const size_t stop = std::min(end, patterns_[p].end);
      if (stop > i) runs.push_back(TileRun{&patterns_[p], i - begin, stop - begin});
      i = stop;
    }
    const Pattern all = complete_pattern();
    const size_t padded = load_tile(all, begin, end, tile, weight);
    for (const TileRun& run : runs)
      for (size_t j : run.pattern->missing)
        std::fill(tile + j * kBlockRows + run.begin, tile + j * kBlockRows + run.end, 0.0);
    return padded;
  }

  // Where a tile of a segment that begins at `begin` ends: that of a mixed one holds the squares of the numbers of
  // missing cells, which must stay within bounds.
  size_t tile_end(const Segment& segment, size_t begin) const {
    const size_t end = std::min(begin + kBlockRows, segment.end);
    if (!segment.mixed) return end;
    size_t cells = 0, p = pattern_at(begin), last = begin;
    while (last < end) {
      const size_t m = patterns_[p].missing.size();
      cells += m * m;
      if (cells > kMaxMixedCells && last > begin) return last;
      last = std::min(end, patterns_[p].end);
      ++p;
    }
    return end;
  }

  // The log-likelihood of the user's data is that of the scaled data minus this.
  double log_jacobian() const {
    double s = 0.0;
    for (const Pattern& p : patterns_) {
      double log_scale = 0.0, total = 0.0;
      for (size_t j : p.observed) log_scale += std::log(scale_[j]);
      if (!raw_.weights) {
        total = static_cast<double>(p.end - p.begin);
      } else {
        for (size_t i = p.begin; i < p.end; ++i) total += raw_.weights[row(i)];
      }
      s += total * log_scale;
    }
    return s;
  }

 private:
  static constexpr size_t kMaxMixedCells = 1 << 19;

  Pattern complete_pattern() const {
    Pattern p;
    for (size_t j = 0; j < raw_.d; ++j) p.observed.push_back(j);
    return p;
  }

  // The first pattern that ends behind a position.
  size_t pattern_at(size_t position) const {
    const auto after = std::upper_bound(patterns_.begin(), patterns_.end(), position,
                                        [](size_t at, const Pattern& q) { return at < q.end; });
    return static_cast<size_t>(after - patterns_.begin());
  }

  // By the multiplications of a component, those in the vectorised kernels counted for less: a pattern of its own costs
  // a factorisation of the observed block and tiles of at least kRowPad rows, a filled row all columns.
  bool is_sparse(const Pattern& p) const {
    if (p.complete()) return false;
    const double o = static_cast<double>(p.observed.size()), m = static_cast<double>(p.missing.size());
    const double d = o + m, rows = static_cast<double>(p.end - p.begin);
    const double padded = std::ceil(rows / static_cast<double>(kRowPad)) * static_cast<double>(kRowPad);
    const double alone = o * o * (o / 3.0 + m) + o * m * m + padded * o * o * kKernelShare + kPatternOverhead;
    const double side = std::min(m * m * m, o * o * (o / 3.0 + m) + o * m * m);
    const double filled = side + rows * (d * d * kKernelShare + 2.0 * m * d + kRowOverhead);
    return filled < alone;
  }

  static constexpr double kKernelShare = 0.15;
  static constexpr double kPatternOverhead = 1000.0;
  static constexpr double kRowOverhead = 50.0;

  // Rows with no missing value keep their order. A row that observes nothing and has no label carries no information on
  // the parameters and is not visited: including it would change nothing but the speed of convergence.
  void group_rows(const std::vector<size_t>& rows) {
    const size_t n = rows.empty() ? raw_.n : rows.size();
    auto source = [&](size_t i) { return rows.empty() ? i : rows[i]; };
    bool any = false;
    for (size_t j = 0; j < raw_.d && !any; ++j) any = any_missing(raw_.x + j * raw_.n, raw_.n);
    if (any && !rows.empty()) {
      any = false;  // among the rows asked for
      for (size_t j = 0; j < raw_.d && !any; ++j)
        for (size_t i = 0; i < n && !any; ++i) any = std::isnan(raw_.x[j * raw_.n + rows[i]]);
    }
    if (!any) {
      Pattern p = complete_pattern();
      p.end = n;
      patterns_.push_back(p);
      order_ = rows;
      n_visited_ = n;
      return;
    }
    const ObservedBits bits(raw_.x, raw_.n, raw_.d);
    RowGroups groups = group_rows_by_pattern(bits, raw_.d, n, source, [&](size_t r) {
      return !bits.nothing(r) || (raw_.labels && raw_.labels[r] != kUnknownLabel);
    });
    patterns_ = std::move(groups.patterns);
    order_ = std::move(groups.order);
    n_visited_ = order_.size();
  }

  // By the number of rows alone, so that sums have the same order for any number of threads.
  void cut_chunks() {
    const size_t share = (n_visited_ + kMaxChunks - 1) / kMaxChunks;
    chunk_rows_ = std::max(kMinChunkRows, (share + kBlockRows - 1) / kBlockRows * kBlockRows);
    for (size_t begin = 0; begin < n_visited_; begin += chunk_rows_) chunks_.push_back(begin);
  }

  RawData raw_;
  std::vector<double> center_, scale_;
  std::vector<size_t> order_;  // position -> row; empty: the identity
  std::vector<Pattern> patterns_;
  std::vector<size_t> chunks_;  // first position of each
  size_t chunk_rows_ = 0;
  size_t n_visited_ = 0;
  size_t sparse_begin_ = static_cast<size_t>(-1);  // first position of the sparse patterns
};

}  // namespace emkit
