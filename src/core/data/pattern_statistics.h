// Incomplete data reduced to what a normal model needs of them: moments of every missingness pattern.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <vector>

#include "../math/aligned.h"
#include "../math/cholesky.h"
#include "observations.h"

namespace emkit {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// What is known of one missing cell beside the data: it is normal with this mean and standard deviation (an observation-
// level prior). `row` and `column` count from 0.
struct CellPrior {
  size_t row;
  size_t column;
  double mean;
  double sd;
};

// Rows of one pattern. Vectors over the variables have length d, with zeros where the pattern does not observe.
// Few rows are kept as they are (`by_rows`), many as their scatter matrix.
struct PatternGroup {
  const Pattern* pattern = nullptr;
  size_t n_rows = 0;
  double n = 0.0;                  // sum of the weights, positive
  const double* mean = nullptr;    // d
  bool by_rows = false;
  const double* rows = nullptr;     // n_rows x d, row by row: sqrt(weight) (x - mean); null for one row, where it is 0
  const double* scatter = nullptr;  // o x o, symmetric, about the mean
  size_t row = 0;                   // of the user's data, for a row that has cell priors
  const CellPrior* priors = nullptr;
  size_t n_priors = 0;

  size_t n_observed() const { return pattern->observed.size(); }
  size_t n_missing() const { return pattern->missing.size(); }
  // Rows of the factor A with A'A = the second moments about a point: the rows and the shift of the mean.
  size_t n_factor() const { return (rows ? n_rows : 0) + 1; }
};

// Moments of one pattern's rows as they are passed around.
struct PatternMoments {
  std::vector<size_t> observed;  // ascending
  double n_rows = 0.0;
  double n = 0.0;
  std::vector<double> mean;     // o
  std::vector<double> scatter;  // o x o about the mean
};

// The weighted moments of the patterns of `data`, in its scaled units. Rows with cell priors (sorted by row; in scaled
// units) stand alone.
class PatternStatistics {
 public:
  PatternStatistics(const Observations& data, std::vector<CellPrior> priors, int threads)
      : d_(data.d()), priors_(std::move(priors)) {
    lay_out(data);
    fill(data, threads);
    drop_weightless();
    total();
  }
  // From moments (in scaled units) of distinct patterns.
  PatternStatistics(size_t d, const std::vector<PatternMoments>& moments) : d_(d) {
    size_t size = 0;
    owned_.resize(moments.size());
    for (size_t k = 0; k < moments.size(); ++k) size += d + moments[k].scatter.size();
    pool_.assign(size, 0.0);
    double* at = pool_.data();
    for (size_t k = 0; k < moments.size(); ++k) {
      const PatternMoments& m = moments[k];
      Pattern& pattern = owned_[k];
      pattern.observed = m.observed;
      for (size_t j = 0, l = 0; j < d; ++j) {
        if (l < m.observed.size() && m.observed[l] == j)
          ++l;
        else
          pattern.missing.push_back(j);
      }
      PatternGroup g;
      g.pattern = &pattern;
      g.n_rows = static_cast<size_t>(m.n_rows);
      g.n = m.n;
      g.mean = at;
      for (size_t l = 0; l < m.observed.size(); ++l) at[m.observed[l]] = m.mean[l];
      at += d;
      g.scatter = at;
      at = std::copy(m.scatter.begin(), m.scatter.end(), at);
      groups_.push_back(g);
    }
    drop_weightless();
    total();
  }
  PatternStatistics(const PatternStatistics&) = delete;
  PatternStatistics& operator=(const PatternStatistics&) = delete;

  size_t d() const { return d_; }
  double n() const { return n_; }
  const std::vector<PatternGroup>& groups() const { return groups_; }
  bool has_cell_priors() const { return !priors_.empty(); }

  // Over all rows: weights of those that observe both variables, and their first and second moments (about 0).
  const MatrixXd& pair_weight() const { return pair_weight_; }
  const MatrixXd& pair_sum() const { return pair_sum_; }        // entry (a, b): of variable a
  const MatrixXd& pair_product() const { return pair_product_; }

  // sum over all rows of log 2 pi for each observed cell.
  double normalising_constant() const { return kLog2Pi * pair_weight_.trace(); }

  // Scatter about the mean of a group, o x o.
  std::vector<double> scatter(const PatternGroup& g) const {
    const size_t o = g.n_observed();
    std::vector<double> out(o * o, 0.0);
    if (g.scatter) std::copy(g.scatter, g.scatter + o * o, out.begin());
    for (size_t r = 0; g.rows && r < g.n_rows; ++r)
      for (size_t a = 0; a < o; ++a)
        for (size_t b = 0; b < o; ++b)
          out[a * o + b] += g.rows[r * d_ + g.pattern->observed[a]] * g.rows[r * d_ + g.pattern->observed[b]];
    return out;
  }

  bool complete() const {
    for (const PatternGroup& g : groups_)
      if (!g.pattern->complete()) return false;
    return true;
  }

 private:
  static constexpr size_t kPieceRows = 8192;

  struct Piece {
    size_t group, begin, end;  // positions
  };

  const CellPrior* first_prior(size_t row, size_t& count) const {
    const auto before = [](const CellPrior& a, size_t r) { return a.row < r; };
    auto it = std::lower_bound(priors_.begin(), priors_.end(), row, before);
    count = 0;
    const CellPrior* first = priors_.data() + (it - priors_.begin());
    for (; it != priors_.end() && it->row == row; ++it) ++count;
    return first;
  }

  void lay_out(const Observations& data) {
    size_t size = 0;
    std::vector<size_t> mean_at, body_at;
    for (const Pattern& pattern : data.patterns()) {
      std::vector<std::pair<size_t, size_t>> runs;  // of rows without priors
      const size_t ordinary = groups_.size();
      groups_.emplace_back();
      mean_at.push_back(0);
      body_at.push_back(0);
      size_t from = pattern.begin, n_rows = 0;
      const auto close = [&](size_t to) {
        if (to > from) runs.push_back({from, to});
        n_rows += to - from;
      };
      for (size_t i = pattern.begin; !priors_.empty() && i < pattern.end; ++i) {
        size_t count = 0;
        const CellPrior* first = first_prior(data.row(i), count);
        if (count == 0) continue;
        close(i);
        from = i + 1;
        PatternGroup g;
        g.pattern = &pattern;
        g.n_rows = 1;
        g.by_rows = true;
        g.row = data.row(i);
        g.priors = first;
        g.n_priors = count;
        pieces_.push_back({groups_.size(), i, i + 1});
        groups_.push_back(g);
        mean_at.push_back(size);
        body_at.push_back(0);
        size += d_;
      }
      close(pattern.end);
      PatternGroup& g = groups_[ordinary];
      g.pattern = &pattern;
      g.n_rows = n_rows;
      g.by_rows = 2 * (n_rows + 1) <= d_ || n_rows == 1;
      for (const auto& run : runs)
        for (size_t b = run.first; b < run.second; b += kPieceRows)
          pieces_.push_back({ordinary, b, std::min(b + kPieceRows, run.second)});
      mean_at[ordinary] = size;
      size += d_;
      body_at[ordinary] = size;
      size += g.by_rows ? (n_rows > 1 ? n_rows * d_ : 0) : g.n_observed() * g.n_observed();
    }
    pool_.assign(size, 0.0);
    for (size_t k = 0; k < groups_.size(); ++k) {
      PatternGroup& g = groups_[k];
      g.mean = pool_.data() + mean_at[k];
      if (g.by_rows && g.n_rows > 1) g.rows = pool_.data() + body_at[k];
      if (!g.by_rows) g.scatter = pool_.data() + body_at[k];
    }
  }

  // Every piece's sums, then the pieces of a group in their order: the number of threads changes nothing.
  void fill(const Observations& data, int threads) {
    std::vector<std::vector<double>> sums(pieces_.size());
    // Tasks of many small pieces each.
    std::vector<size_t> cut = {0};
    size_t rows = 0;
    for (size_t i = 0; i < pieces_.size(); ++i) {
      rows += pieces_[i].end - pieces_[i].begin + 16;
      if (rows >= kPieceRows) {
        cut.push_back(i + 1);
        rows = 0;
      }
    }
    if (cut.back() < pieces_.size()) cut.push_back(pieces_.size());
    parallel_tasks(cut.size() - 1, threads, [&](size_t task) {
      Workspace w(d_);
      for (size_t i = cut[task]; i < cut[task + 1]; ++i) sum_piece(data, pieces_[i], w, sums[i]);
    });
    std::vector<std::vector<double>> of_group(groups_.size());
    for (size_t i = 0; i < pieces_.size(); ++i) {
      std::vector<double>& total = of_group[pieces_[i].group];
      if (total.empty())
        total = std::move(sums[i]);
      else
        for (size_t v = 0; v < total.size(); ++v) total[v] += sums[i][v];
    }
    for (size_t k = 0; k < groups_.size(); ++k)
      if (groups_[k].n_rows > 0) finish(data, groups_[k], of_group[k]);
    pieces_.clear();
  }

  struct Workspace {
    explicit Workspace(size_t d)
        : tile(d * Observations::kBlockRows),
          residual(d * Observations::kBlockRows),
          weight(Observations::kBlockRows),
          origin(d),
          wide((1 + d + packed_size(d)) * kWide) {}
    AlignedBuffer tile, residual, weight, origin, wide;
  };

  // The first row of a group: moments are taken about it, so that a pattern far from the overall mean loses no digits.
  void load_origin(const Observations& data, const PatternGroup& g, size_t position, double* origin) const {
    const RawData& raw = data.raw();
    const size_t row = data.row(position);
    for (size_t o = 0; o < g.n_observed(); ++o) {
      const size_t j = g.pattern->observed[o];
      origin[o] = (raw.x[j * raw.n + row] - data.center()[j]) / data.scale()[j];
    }
  }
  void sum_piece(const Observations& data, const Piece& piece, Workspace& w, std::vector<double>& out) const {
    const PatternGroup& g = groups_[piece.group];
    const size_t o = g.n_observed(), size = 1 + o + packed_size(o), block = Observations::kBlockRows;
    if (g.by_rows) {  // read again when the mean is known
      out.assign(1 + o, 0.0);
    } else {
      out.assign(size, 0.0);
      std::fill(w.wide.data(), w.wide.data() + size * kWide, 0.0);
    }
    load_origin(data, g, g.by_rows ? piece.begin : g.pattern->begin, w.origin.data());
    for (size_t b = piece.begin; b < piece.end; b += block) {
      const size_t e = std::min(b + block, piece.end);
      const size_t padded = data.load_tile(*g.pattern, b, e, w.tile.data(), w.weight.data());
      if (g.by_rows) {
        for (size_t i = 0; i < e - b; ++i) {
          out[0] += w.weight[i];
          for (size_t j = 0; j < o; ++j) out[1 + j] += w.weight[i] * w.tile[j * block + i];
        }
      } else {
        kernels().accumulate_scatter(w.tile.data(), block, padded, o, w.origin.data(), w.weight.data(),
                                     w.residual.data(), w.wide.data());
      }
    }
    if (!g.by_rows) kernels().fold_wide(w.wide.data(), size, out.data());
  }

  void finish(const Observations& data, PatternGroup& g, const std::vector<double>& sums) {
    const size_t o = g.n_observed();
    g.n = sums[0];
    if (!(g.n > 0.0)) return;
    double* mean = const_cast<double*>(g.mean);  // in pool_
    if (g.by_rows) {
      for (size_t j = 0; j < o; ++j) mean[g.pattern->observed[j]] = sums[1 + j] / g.n;
      if (g.rows) copy_rows(data, g, const_cast<double*>(g.rows));
      return;
    }
    std::vector<double> origin(o);
    load_origin(data, g, g.pattern->begin, origin.data());
    for (size_t j = 0; j < o; ++j) mean[g.pattern->observed[j]] = origin[j] + sums[1 + j] / g.n;
    double* scatter = const_cast<double*>(g.scatter);
    for (size_t j = 0; j < o; ++j)
      for (size_t l = 0; l <= j; ++l)
        scatter[j * o + l] = scatter[l * o + j] =
            sums[1 + o + packed_index(j, l)] - sums[1 + j] * sums[1 + l] / g.n;
  }

  void copy_rows(const Observations& data, const PatternGroup& g, double* out) const {
    const RawData& raw = data.raw();
    size_t at = 0;
    for (size_t i = g.pattern->begin; i < g.pattern->end; ++i) {
      const size_t row = data.row(i);
      size_t count = 0;
      if (!priors_.empty()) first_prior(row, count);
      if (count > 0) continue;
      const double root = raw.weights ? std::sqrt(raw.weights[row]) : 1.0;
      for (size_t j : g.pattern->observed)
        out[at * d_ + j] = root * ((raw.x[j * raw.n + row] - data.center()[j]) / data.scale()[j] - g.mean[j]);
      ++at;
    }
  }

  void drop_weightless() {
    groups_.erase(std::remove_if(groups_.begin(), groups_.end(), [](const PatternGroup& g) { return !(g.n > 0.0); }),
                  groups_.end());
  }

  void total() {
    const Index d = static_cast<Index>(d_);
    pair_weight_ = pair_sum_ = pair_product_ = MatrixXd::Zero(d, d);
    for (const PatternGroup& g : groups_) {
      n_ += g.n;
      const std::vector<size_t>& obs = g.pattern->observed;
      const size_t o = obs.size(), n_factor = g.rows ? g.n_rows : 0;
      for (size_t b = 0; b < o; ++b)
        for (size_t a = 0; a < o; ++a) {
          const Index i = static_cast<Index>(obs[a]), j = static_cast<Index>(obs[b]);
          double s = g.n * g.mean[obs[a]] * g.mean[obs[b]];
          if (g.scatter) s += g.scatter[a * o + b];
          for (size_t r = 0; r < n_factor; ++r) s += g.rows[r * d_ + obs[a]] * g.rows[r * d_ + obs[b]];
          pair_weight_(i, j) += g.n;
          pair_sum_(i, j) += g.n * g.mean[obs[a]];
          pair_product_(i, j) += s;
        }
    }
  }

  size_t d_;
  std::vector<CellPrior> priors_;
  std::vector<Pattern> owned_;  // of statistics that were made from moments
  std::vector<PatternGroup> groups_;
  std::vector<Piece> pieces_;
  std::vector<double> pool_;  // what the groups point into
  double n_ = 0.0;
  MatrixXd pair_weight_, pair_sum_, pair_product_;
};

}  // namespace emkit
