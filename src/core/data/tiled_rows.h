// Incomplete rows made ready for sweeps: patterns with many rows as moments, all other rows in tiles for the kernels.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../math/aligned.h"
#include "observations.h"
#include "row_tile.h"

namespace emkit {

// The rows of one pattern, reduced.
struct MomentGroup {
  std::vector<size_t> observed;
  double n = 0.0;           // sum of the weights, positive
  Eigen::VectorXd mean;     // o
  Eigen::MatrixXd scatter;  // o x o about the mean
};

// The scaled data of an Observations, which is not needed afterwards. A pattern with more rows than observed variables
// is reduced to its moments: they are smaller than its rows, and a sweep over them takes less time.
class TiledRows {
 public:
  TiledRows(const Observations& data, int threads) : d_(data.d()) {
    std::vector<size_t> loose;
    std::vector<const Pattern*> grouped;
    for (const Pattern& p : data.patterns()) {
      const size_t rows = p.end - p.begin;
      if (p.observed.empty()) continue;
      if (rows > p.observed.size() && rows >= kLeastGroup)
        grouped.push_back(&p);
      else
        for (size_t i = p.begin; i < p.end; ++i) loose.push_back(data.row(i));
    }
    groups_.resize(grouped.size());
    // One large pattern shares its pieces out, many small ones are shared out whole.
    const bool few = grouped.size() < 8;
    parallel_tasks(grouped.size(), few ? 1 : threads,
                   [&](size_t g) { reduce(data, *grouped[g], few ? threads : 1, groups_[g]); });
    groups_.erase(std::remove_if(groups_.begin(), groups_.end(), [](const MomentGroup& g) { return !(g.n > 0.0); }),
                  groups_.end());
    n_rows_ = loose.size();
    cells_.resize(n_tiles() * d_ * kTileRows);
    weights_.resize(n_tiles() * kTileRows);
    parallel_tasks(n_tiles(), threads, [&](size_t t) { fill(data, loose, t); });
    total();
  }
  TiledRows(const TiledRows&) = delete;
  TiledRows& operator=(const TiledRows&) = delete;

  size_t d() const { return d_; }
  double n() const { return n_; }  // weight of the rows that observe something
  const std::vector<MomentGroup>& groups() const { return groups_; }

  // Rows outside the groups. Cell j of row i of a tile is tile(t)[j * kTileRows + i], NaN where missing; rows that pad
  // a tile are missing throughout and have weight 0.
  size_t n_rows() const { return n_rows_; }
  size_t n_tiles() const { return (n_rows_ + kTileRows - 1) / kTileRows; }
  size_t tile_rows(size_t t) const {
    const size_t rows = std::min(kTileRows, n_rows_ - t * kTileRows);
    return (rows + kRowPad - 1) / kRowPad * kRowPad;
  }
  const double* tile(size_t t) const { return cells_.data() + t * d_ * kTileRows; }
  const double* weights(size_t t) const { return weights_.data() + t * kTileRows; }

  // The cells with zeros where they are missing, and ones where they are not.
  void split(size_t t, double* cells, double* observed) const {
    const size_t rows = tile_rows(t);
    for (size_t j = 0; j < d_; ++j) {
      const double* from = tile(t) + j * kTileRows;
      double *value = cells + j * kTileRows, *seen = observed + j * kTileRows;
      for (size_t i = 0; i < rows; ++i) {
        const bool here = from[i] == from[i];
        seen[i] = here ? 1.0 : 0.0;
        value[i] = here ? from[i] : 0.0;
      }
    }
  }

  // Of each variable, over the rows that observe it: weight, sum and sum of squares.
  const Eigen::VectorXd& weight() const { return weight_; }
  const Eigen::VectorXd& sum() const { return sum_; }
  const Eigen::VectorXd& square() const { return square_; }

 private:
  static constexpr size_t kLeastGroup = 4;
  static constexpr size_t kPieces = 16;       // of a large pattern
  static constexpr size_t kPieceRows = 4096;  // at least
  static constexpr size_t kBlock = 128;       // rows whose products are summed at once

  struct Moments {
    double n = 0.0;
    Eigen::VectorXd sum;
    Eigen::MatrixXd product;  // lower triangle
  };

  static double cell(const Observations& data, size_t row, size_t j) {
    return (data.raw().x[j * data.raw().n + row] - data.center()[j]) / data.scale()[j];
  }
  static double row_weight(const Observations& data, size_t row) {
    return data.raw().weights ? data.raw().weights[row] : 1.0;
  }

  // Moments are taken about the pattern's first row, so that a pattern far from the overall mean loses no digits.
  static void reduce(const Observations& data, const Pattern& pattern, int threads, MomentGroup& out) {
    const Eigen::Index o = static_cast<Eigen::Index>(pattern.observed.size());
    const size_t rows = pattern.end - pattern.begin;
    const size_t piece = std::max(kPieceRows, (rows + kPieces - 1) / kPieces), n_pieces = (rows + piece - 1) / piece;
    Eigen::VectorXd origin(o);
    for (Eigen::Index a = 0; a < o; ++a)
      origin(a) = cell(data, data.row(pattern.begin), pattern.observed[static_cast<size_t>(a)]);
    std::vector<Moments> moments(n_pieces);
    parallel_tasks(n_pieces, threads, [&](size_t k) {
      const size_t begin = pattern.begin + k * piece;
      moments[k] = sum_rows(data, pattern, begin, std::min(begin + piece, pattern.end), origin);
    });
    for (size_t k = 1; k < n_pieces; ++k) {
      moments[0].n += moments[k].n;
      moments[0].sum += moments[k].sum;
      moments[0].product += moments[k].product;
    }
    const Moments& m = moments[0];
    out.observed = pattern.observed;
    out.n = m.n;
    if (!(m.n > 0.0)) return;
    out.mean = origin + m.sum / m.n;
    out.scatter = m.product.selfadjointView<Eigen::Lower>();
    out.scatter -= m.sum * (m.sum / m.n).transpose();
  }

  static Moments sum_rows(const Observations& data, const Pattern& pattern, size_t begin, size_t end,
                          const Eigen::VectorXd& origin) {
    const Eigen::Index o = origin.size();
    Moments m;
    m.sum = Eigen::VectorXd::Zero(o);
    m.product = Eigen::MatrixXd::Zero(o, o);
    Eigen::MatrixXd block(static_cast<Eigen::Index>(kBlock), o);
    for (size_t b = begin; b < end; b += kBlock) {
      const size_t rows = std::min(kBlock, end - b);
      for (Eigen::Index a = 0; a < o; ++a)
        for (size_t i = 0; i < rows; ++i) {
          const size_t row = data.row(b + i);
          const double w = row_weight(data, row), x = cell(data, row, pattern.observed[static_cast<size_t>(a)]);
          m.sum(a) += w * (x - origin(a));
          block(static_cast<Eigen::Index>(i), a) = std::sqrt(w) * (x - origin(a));
        }
      for (size_t i = 0; i < rows; ++i) m.n += row_weight(data, data.row(b + i));
      m.product.selfadjointView<Eigen::Lower>().rankUpdate(block.topRows(static_cast<Eigen::Index>(rows)).transpose());
    }
    return m;
  }

  void fill(const Observations& data, const std::vector<size_t>& rows, size_t t) {
    double* out = cells_.data() + t * d_ * kTileRows;
    const size_t begin = t * kTileRows, n = std::min(kTileRows, rows.size() - begin);
    std::fill(out, out + d_ * kTileRows, std::numeric_limits<double>::quiet_NaN());
    for (size_t j = 0; j < d_; ++j)
      for (size_t i = 0; i < n; ++i) out[j * kTileRows + i] = cell(data, rows[begin + i], j);
    for (size_t i = 0; i < n; ++i) weights_[begin + i] = row_weight(data, rows[begin + i]);
  }

  void total() {
    const Eigen::Index d = static_cast<Eigen::Index>(d_);
    weight_ = sum_ = square_ = Eigen::VectorXd::Zero(d);
    for (const MomentGroup& g : groups_) {
      n_ += g.n;
      for (size_t a = 0; a < g.observed.size(); ++a) {
        const Eigen::Index j = static_cast<Eigen::Index>(g.observed[a]), at = static_cast<Eigen::Index>(a);
        weight_(j) += g.n;
        sum_(j) += g.n * g.mean(at);
        square_(j) += g.scatter(at, at) + g.n * g.mean(at) * g.mean(at);
      }
    }
    for (size_t t = 0; t < n_tiles(); ++t) {
      const double* w = weights(t);
      for (size_t i = 0; i < tile_rows(t); ++i) n_ += w[i];
      for (size_t j = 0; j < d_; ++j) {
        const double* x = tile(t) + j * kTileRows;
        const Eigen::Index at = static_cast<Eigen::Index>(j);
        for (size_t i = 0; i < tile_rows(t); ++i) {
          if (x[i] != x[i]) continue;
          weight_(at) += w[i];
          sum_(at) += w[i] * x[i];
          square_(at) += w[i] * x[i] * x[i];
        }
      }
    }
  }

  size_t d_;
  size_t n_rows_ = 0;
  double n_ = 0.0;
  std::vector<MomentGroup> groups_;
  AlignedBuffer cells_, weights_;
  Eigen::VectorXd weight_, sum_, square_;
};

// Which variables each row of the tiles lacks, ascending; none for rows without weight.
class TiledMissingCells {
 public:
  TiledMissingCells() = default;
  explicit TiledMissingCells(const TiledRows& data) {
    begin_.reserve(data.n_tiles() * kTileRows + 1);
    begin_.push_back(0);
    for (size_t t = 0; t < data.n_tiles(); ++t)
      for (size_t i = 0; i < kTileRows; ++i) {
        for (size_t j = 0; j < data.d() && data.weights(t)[i] > 0.0; ++j)
          if (std::isnan(data.tile(t)[j * kTileRows + i])) variables_.push_back(static_cast<unsigned>(j));
        begin_.push_back(variables_.size());
      }
  }

  const unsigned* begin(size_t tile, size_t row) const { return variables_.data() + begin_[tile * kTileRows + row]; }
  const unsigned* end(size_t tile, size_t row) const { return variables_.data() + begin_[tile * kTileRows + row + 1]; }

 private:
  std::vector<size_t> begin_;
  std::vector<unsigned> variables_;
};

}  // namespace emkit
