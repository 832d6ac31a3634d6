// Tiles of rows that miss different cells, completed for every component of a Gaussian mixture.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../covariance/covariance.h"
#include "../math/aligned.h"
#include "../math/conditional_normal.h"
#include "emission.h"

namespace emkit {

// A tile as each component completes it, and what goes with it.
class CompletedTile {
 public:
  explicit CompletedTile(size_t d) : normal_(d), shift_(d), expected_(d) {}

  // The tile of component k, in the layout of the one that it was made from.
  const double* rows_of(size_t k) const { return filled_.data() + k * size_; }
  // What the log densities of component k lack in the rows of a run.
  double correction(size_t k, size_t run) const { return correction_[k * n_runs_ + run]; }
  // The packed covariances of the missing cells, by component and in it by run.
  const double* conditional() const { return conditional_.data(); }

 private:
  friend class TileCompletion;
  ConditionalNormal normal_;
  std::vector<double> rows_, shift_, expected_;  // the tile row by row; one row's
  std::vector<double> correction_, conditional_;
  AlignedBuffer filled_;
  size_t size_ = 0, n_runs_ = 0;
};

// Missing cells take their expectations, and rows of any pattern go the way of complete ones. With u such a row about the
// mean and K = Sigma^-1, x_o has the quadratic form u' K u and |Sigma_oo| = |Sigma| |K_mm|; the form is least at these
// expectations, so that their rounding does not matter to it. (formulas.Rmd, S4)
class TileCompletion {
 public:
  // factors: packed Cholesky factors of the covariances with reciprocal diagonals, or reciprocal standard deviations.
  // False where a covariance is so near to singular that its inverse is of no use.
  bool prepare(const SymmetricSet& covariances, const std::vector<double>& factors) {
    if (covariances.diagonal) return true;
    const size_t count = static_cast<size_t>(covariances.count), d = static_cast<size_t>(covariances.d);
    precisions_.resize(count);
    log_dets_.resize(count);
    for (size_t m = 0; m < count; ++m) {
      const auto sigma = covariances.matrix(static_cast<Index>(m));
      const MatrixXd lower = unpack_reciprocal(factors.data() + m * packed_size(d), d);
      const MatrixXd inverse = inverse_lower(lower);
      log_dets_[m] = 2.0 * lower.diagonal().array().log().sum();
      MatrixXd& p = precisions_[m];
      p.setZero(covariances.d, covariances.d);
      p.selfadjointView<Eigen::Lower>().rankUpdate(inverse.transpose());
      p.triangularView<Eigen::StrictlyUpper>() = p.transpose();
      if (!(sigma.diagonal().cwiseProduct(p.diagonal()).maxCoeff() < kMaxInflation)) return false;
    }
    return true;
  }

  // After prepare() with the same covariances and factors. means: d x K.
  void complete(const Tile& tile, const MatrixXd& means, const SymmetricSet& covariances,
                const std::vector<double>& factors, CompletedTile& out) const {
    const size_t d = static_cast<size_t>(means.rows()), n_components = static_cast<size_t>(means.cols());
    out.size_ = d * tile.stride;
    out.n_runs_ = tile.runs->size();
    if (out.filled_.size() < n_components * out.size_) out.filled_.resize(n_components * out.size_);
    out.correction_.assign(n_components * out.n_runs_, 0.0);
    out.conditional_.clear();
    if (!covariances.diagonal) {
      out.rows_.resize(d * tile.rows);
      for (size_t j = 0; j < d; ++j)
        for (size_t i = 0; i < tile.rows; ++i) out.rows_[i * d + j] = tile.x[j * tile.stride + i];
    }
    for (size_t k = 0; k < n_components; ++k) {
      const double* mean = means.data() + k * d;
      const size_t m = covariances.count == 1 ? 0 : k;
      double* filled = out.filled_.data() + k * out.size_;
      std::copy(tile.x, tile.x + out.size_, filled);
      for (size_t r = 0; r < out.n_runs_; ++r) {
        const TileRun& run = (*tile.runs)[r];
        double& correction = out.correction_[k * out.n_runs_ + r];
        correction = 0.5 * kLog2Pi * static_cast<double>(run.pattern->missing.size());
        if (covariances.diagonal)
          fill_diagonal(run, mean, factors.data() + m * d, tile.stride, filled, correction);
        else
          fill_full(run, mean, covariances, m, tile.stride, filled, correction, out);
      }
    }
  }

 private:
  static void fill_diagonal(const TileRun& run, const double* mean, const double* root, size_t stride, double* filled,
                            double& correction) {
    for (size_t j : run.pattern->missing) {
      std::fill(filled + j * stride + run.begin, filled + j * stride + run.end, mean[j]);
      correction -= std::log(root[j]);
    }
  }

  void fill_full(const TileRun& run, const double* mean, const SymmetricSet& covariances, size_t at, size_t stride,
                 double* filled, double& correction, CompletedTile& out) const {
    const Pattern& pattern = *run.pattern;
    const size_t d = out.shift_.size(), n_missing = pattern.missing.size();
    out.normal_.set_normal(covariances.matrix(static_cast<Index>(at)).data(), precisions_[at].data(), log_dets_[at]);
    out.normal_.set_pattern(pattern);
    if (!out.normal_.prepare()) {  // no observed block to condition upon: the log-likelihood is to be refused
      correction = std::numeric_limits<double>::quiet_NaN();
      out.conditional_.insert(out.conditional_.end(), packed_size(n_missing), 0.0);
      return;
    }
    correction -= 0.5 * out.normal_.log_det_precision();
    for (size_t i = run.begin; i < run.end; ++i) {
      const double* row = out.rows_.data() + i * d;
      for (size_t j = 0; j < d; ++j) out.shift_[j] = row[j] - mean[j];
      for (size_t j : pattern.missing) out.shift_[j] = 0.0;
      out.normal_.expect(out.shift_.data(), out.expected_.data());
      for (size_t m = 0; m < n_missing; ++m)
        filled[pattern.missing[m] * stride + i] = mean[pattern.missing[m]] + out.expected_[m];
    }
    const double* conditional = out.normal_.conditional_covariance();
    for (size_t m = 0; m < n_missing; ++m)
      out.conditional_.insert(out.conditional_.end(), conditional + m * n_missing, conditional + m * n_missing + m + 1);
  }

  static constexpr double kMaxInflation = 1e8;

  std::vector<MatrixXd> precisions_;  // inverses of the covariances
  std::vector<double> log_dets_;
};

}  // namespace emkit
