// Gaussian components with one of the covariance structures, and optionally a uniform noise component.
#pragma once
#include <memory>
#include <vector>

#include "../kernels/kernels.h"
#include "../math/aligned.h"
#include "emission.h"
#include "gaussian_moments.h"
#include "tile_completion.h"

namespace emkit {

// The conjugate prior (Fraley & Raftery 2007, Journal of Classification 24:155-181):
// mean_k | Sigma_k ~ N(mean, Sigma_k / shrinkage), Sigma_k ~ inverse Wishart(df, scale), its kernel restricted to the
// covariance structure; where all components share Sigma, one inverse Wishart for that Sigma.
struct GaussianPrior {
  double shrinkage = 0.0;
  VectorXd mean;
  double df = 0.0;
  MatrixXd scale;
};

struct GaussianOptions {
  std::vector<double> noise_log_sides;   // d: the box of the noise component; empty: no noise component
  std::shared_ptr<const GaussianPrior> prior;
  std::vector<bool> fixed_mean;          // K; empty: none
  std::vector<bool> fixed_covariance;    // K; empty: none
  bool collapse_guard = true;            // false: any positive definite covariance will do
  size_t n_factors = 0;                  // of structures that have factors
};

// Of the data as scaled: weighted covariances of the observed cells (about 0, which is the overall mean). `scatter` is
// the total scatter, present only for complete data without a noise component, where it is a constant of the fit.
struct GaussianReference {
  VectorXd variance;           // d
  MatrixXd scatter;            // d x d or empty
  double total_weight = 0.0;   // behind `scatter`
};

class GaussianEmission final : public Emission {
 public:
  GaussianEmission(const CovarianceEntry& entry, size_t d, size_t n_components, GaussianReference reference,
                   GaussianOptions options)
      : entry_(entry),
        structure_(entry.structure(index(options.n_factors))),
        d_(d),
        k_(n_components),
        reference_(std::move(reference)),
        options_(std::move(options)),
        means_(MatrixXd::Zero(index(d), index(n_components))),
        covariances_(index(d), index(is_pooled(entry.form) ? 1 : n_components), is_diagonal(entry.form)) {
    structure_->set_scale(reference_.variance);
  }

  // ---- parameters, in the units of the scaled data ----

  const MatrixXd& means() const { return means_; }
  MatrixXd covariance(size_t k) const { return covariances_.dense(matrix_of(k)); }

  // Starts at given parameters (covariances: K dense matrices). They are brought into the structure by its own M-step,
  // which leaves those that are in it as they are.
  bool set_parameters(const MatrixXd& means, const std::vector<MatrixXd>& covariances, const VectorXd& counts) {
    GaussianMoments m = empty_moments();
    m.n = counts.head(index(k_));
    m.mean = means;
    for (size_t k = 0; k < k_; ++k) {
      if (options_.fixed_covariance.empty() || !options_.fixed_covariance[k]) continue;
      fixed_covariances_.resize(k_);
      fixed_covariances_[k] = covariances[k];
    }
    for (size_t k = 0; k < k_; ++k) {
      const double n = m.n(index(k));
      const Index at = matrix_of(k);
      if (covariances_.diagonal)
        m.scatter.values.col(at) += n * covariances[k].diagonal();
      else
        m.scatter.matrix(at) += n * covariances[k];
    }
    means_ = means;
    return maximise(m, false);
  }

  // Factors of the components (K of each), for structures that have some. False, with the covariances unchanged, when
  // these factors give none.
  bool set_factors(const MatrixXd& means, const std::vector<MatrixXd>& loadings, const MatrixXd& uniquenesses) {
    SymmetricSet covariances(covariances_.d, covariances_.count, covariances_.diagonal);
    if (!structure_->set_factors(loadings, uniquenesses, covariances)) return false;
    return adopt(means, covariances);
  }

  bool has_factors() const { return entry_.has_factors(); }
  size_t n_factors() const { return options_.n_factors; }
  MatrixXd loadings(size_t k) const { return structure_->loadings(matrix_of(k)); }
  VectorXd uniquenesses(size_t k) const { return structure_->uniquenesses(matrix_of(k)); }

  // All components at the overall mean with the overall variances: the point at which statistics for given posteriors
  // are made when a fit starts from a partition.
  void set_overall() {
    means_.setZero();
    for (Index k = 0; k < covariances_.count; ++k) {
      if (covariances_.diagonal)
        covariances_.values.col(k) = reference_.variance;
      else
        covariances_.matrix(k) = reference_.variance.asDiagonal();
    }
    factorise(covariances_, factors_);
    mode_ = own_mode();
    set_constants();
  }

  // ---- Emission ----

  size_t n_components() const override { return k_ + (options_.noise_log_sides.empty() ? 0 : 1); }
  size_t n_statistics() const override { return k_ * component_size(mode_, d_); }

  void prepare(bool each_density) override {
    mode_ = !each_density && shared_scores_are_accurate() ? Mode::kShared : own_mode();
    set_constants();
  }

  std::unique_ptr<Workspace> make_workspace() const override { return std::unique_ptr<Workspace>(new Space(d_)); }

  void begin_segment(const Pattern& pattern, Workspace& workspace) const override {
    Space& s = static_cast<Space&>(workspace);
    begin_sums(pattern.observed.size(), s);
    s.noise_log_density = noise_log_density(pattern);
    s.complete = pattern.complete();
    if (s.complete) return;
    select_observed(pattern, s);
  }

  bool prepare_mixed() override { return completion_.prepare(covariances_, factors_); }

  void begin_mixed_segment(Workspace& workspace) const override {
    Space& s = static_cast<Space&>(workspace);
    begin_sums(d_, s);
    s.complete = true;
  }

  void complete_tile(const Tile& tile, Workspace& workspace) const override {
    completion_.complete(tile, means_, covariances_, factors_, static_cast<Space&>(workspace).completed);
  }

  void log_density(const Tile& tile, const double* offset, Workspace& workspace, double* out) const override {
    Space& s = static_cast<Space&>(workspace);
    const Kernels& kernel = kernels();
    const double* mean = s.complete ? means_.data() : s.means.data();
    const double* factor = s.complete ? factors_.data() : s.factors.data();
    const double* constant = s.complete ? constants_.data() : s.constants.data();
    const size_t size = factor_size(s.d);
    if (mode_ == Mode::kShared) {
      s.intercepts.resize(k_);
      for (size_t k = 0; k < k_; ++k) s.intercepts[k] = intercepts_[k] + offset[k];
      kernel.linear_scores(tile.x, tile.stride, tile.rows, d_, k_, coefficients_.data(), s.intercepts.data(), out);
    } else {
      for (size_t k = 0; k < k_; ++k) {
        const size_t m = static_cast<size_t>(matrix_of(k));
        const double* x = tile.runs ? s.completed.rows_of(k) : tile.x;
        if (mode_ == Mode::kDiagonal)
          kernel.log_density_diagonal(x, tile.stride, tile.rows, s.d, mean + k * s.d, factor + m * size,
                                      constant[m] + offset[k], out + k * tile.stride);
        else
          kernel.log_density_full(x, tile.stride, tile.rows, s.d, mean + k * s.d, factor + m * size,
                                  constant[m] + offset[k], s.whitened.data(), out + k * tile.stride);
      }
    }
    const bool noise = !options_.noise_log_sides.empty();
    if (noise) std::fill(out + k_ * tile.stride, out + k_ * tile.stride + tile.rows, s.noise_log_density + offset[k_]);
    const size_t n_runs = tile.runs ? tile.runs->size() : 0;
    for (size_t r = 0; r < n_runs; ++r) {
      const TileRun& run = (*tile.runs)[r];
      for (size_t k = 0; k < k_; ++k)
        for (size_t i = run.begin; i < run.end; ++i) out[k * tile.stride + i] += s.completed.correction(k, r);
      if (noise)
        std::fill(out + k_ * tile.stride + run.begin, out + k_ * tile.stride + run.end,
                  noise_log_density(*run.pattern) + offset[k_]);
    }
  }

  void accumulate(const Tile& tile, const double* posterior, Workspace& workspace) const override {
    Space& s = static_cast<Space&>(workspace);
    const Kernels& kernel = kernels();
    if (mode_ == Mode::kShared) {
      kernel.accumulate_sums(tile.x, tile.stride, tile.rows, d_, k_, posterior, s.wide.data());
      return;
    }
    const double* mean = s.complete ? means_.data() : s.means.data();
    const size_t size = component_size(mode_, s.d) * kWide;
    if (mode_ == Mode::kFull && s.residual.size() < s.d * tile.stride) s.residual.resize(s.d * tile.stride);
    const double* conditional = s.completed.conditional();
    for (size_t k = 0; k < k_; ++k) {
      const double* z = posterior + k * tile.stride;
      const double* x = tile.runs ? s.completed.rows_of(k) : tile.x;
      double* wide = s.wide.data() + k * size;
      if (mode_ == Mode::kDiagonal)
        kernel.accumulate_diagonal(x, tile.stride, tile.rows, s.d, mean + k * s.d, z, wide);
      else
        kernel.accumulate_scatter(x, tile.stride, tile.rows, s.d, mean + k * s.d, z, s.residual.data(), wide);
      if (tile.runs) conditional = add_conditional(*tile.runs, k, z, conditional, wide);
    }
  }

  void end_segment(const Pattern& pattern, Workspace& workspace, double* statistics) const override {
    Space& s = static_cast<Space&>(workspace);
    const size_t size = component_size(mode_, d_);
    if (s.complete) {
      kernels().fold_wide(s.wide.data(), k_ * size, statistics);
      return;
    }
    const size_t observed_size = component_size(mode_, s.d);
    std::vector<double> part(observed_size);
    for (size_t k = 0; k < k_; ++k) {
      std::fill(part.begin(), part.end(), 0.0);
      kernels().fold_wide(s.wide.data() + k * observed_size * kWide, observed_size, part.data());
      if (mode_ == Mode::kDiagonal)
        expand_diagonal(pattern, k, part.data(), statistics + k * size);
      else
        expand_full(pattern, s, k, part.data(), statistics + k * size);
    }
  }

  double loglik_offset() const override { return mode_ == Mode::kShared ? shared_offset_ : 0.0; }

  double log_prior() const override {
    if (!options_.prior) return 0.0;
    const GaussianPrior& p = *options_.prior;
    const double share = inverse_wishart_share();
    double value = 0.0;
    for (size_t k = 0; k < k_; ++k) {
      Eigen::LLT<MatrixXd> llt(covariance(k));
      const double log_det = 2.0 * MatrixXd(llt.matrixL()).diagonal().array().log().sum();
      const VectorXd shift = means_.col(index(k)) - p.mean;
      if (p.shrinkage > 0.0) value -= 0.5 * (log_det + p.shrinkage * shift.dot(llt.solve(shift)));
      value -= 0.5 * share * ((p.df + static_cast<double>(d_) + 1.0) * log_det + llt.solve(p.scale).trace());
    }
    return value;
  }

  bool m_step(const double* statistics) override {
    GaussianMoments m = moments(statistics);
    if (degeneracy_ || !maximise(m, true)) return false;
    plain_structure_ = structure_->clone();
    return true;
  }

  size_t n_packed() const override {
    if (!has_factors()) return empty_moments().n_packed();
    return d_ * k_ + structure_->n_packed(covariances_.d, covariances_.count);
  }
  bool pack(double* point) const override {
    if (!has_factors()) return moments_.n.size() > 0 && moments_.pack(point);
    Eigen::Map<MatrixXd>(point, means_.rows(), means_.cols()) = means_;
    structure_->pack(point + means_.size());
    return true;
  }
  bool unpack(const double* point, const VectorXd& counts) override {
    if (has_factors()) return unpack_factors(point);
    GaussianMoments m = empty_moments();
    m.n = counts.head(index(k_));
    // What a structure keeps belongs to a point: a proposal that is rejected must leave no trace in the step that takes
    // its place, or that step may find another local maximum.
    if (plain_structure_) structure_ = plain_structure_->clone();
    if (m.unpack(point) && maximise(m, true)) return true;
    if (plain_structure_) structure_ = plain_structure_->clone();
    return false;
  }

  Degeneracy degeneracy() const override { return degeneracy_; }

  // ---- for callers that want the statistics themselves ----

  // Sizes n (K), sums about the means (d x K) and full scatter about the means (K matrices), of a full-mode sweep.
  void unpack_statistics(const double* statistics, VectorXd& n, MatrixXd& sums, std::vector<MatrixXd>& scatter) const {
    const size_t size = component_size(Mode::kFull, d_);
    n.resize(index(k_));
    sums.resize(index(d_), index(k_));
    scatter.assign(k_, MatrixXd(index(d_), index(d_)));
    for (size_t k = 0; k < k_; ++k) {
      const double* part = statistics + k * size;
      n(index(k)) = part[0];
      for (size_t j = 0; j < d_; ++j) sums(index(j), index(k)) = part[1 + j];
      for (size_t j = 0; j < d_; ++j)
        for (size_t l = 0; l <= j; ++l)
          scatter[k](index(j), index(l)) = scatter[k](index(l), index(j)) = part[1 + d_ + packed_index(j, l)];
    }
  }

  // Adds posterior-weighted conditional means of the missing columns in rows first .. first + n_rows - 1 of the tile:
  // out(m, i), m in the order of pattern.missing. posterior[k * stride] is that of the first of them.
  void add_conditional_means(const Pattern& pattern, const Tile& tile, size_t first, size_t n_rows,
                             const double* posterior, Workspace& workspace, MatrixXd& out) const {
    Space& s = static_cast<Space&>(workspace);
    const size_t d = pattern.observed.size();
    for (size_t k = 0; k < k_; ++k) {
      if (tile.runs) {
        const double* filled = s.completed.rows_of(k) + first;
        for (size_t m = 0; m < pattern.missing.size(); ++m)
          for (size_t i = 0; i < n_rows; ++i)
            out(index(m), index(i)) += posterior[k * tile.stride + i] * filled[pattern.missing[m] * tile.stride + i];
        continue;
      }
      MatrixXd regression, conditional;
      conditional_of_missing(pattern, s, k, regression, conditional);
      for (size_t i = 0; i < n_rows; ++i) {
        const double z = posterior[k * tile.stride + i];
        for (size_t m = 0; m < pattern.missing.size(); ++m) {
          double v = means_(index(pattern.missing[m]), index(k));
          for (size_t o = 0; o < d; ++o)
            v += regression(index(m), index(o)) *
                 (tile.x[o * tile.stride + first + i] - means_(index(pattern.observed[o]), index(k)));
          out(index(m), index(i)) += z * v;
        }
      }
    }
  }

 private:
  enum class Mode { kShared, kDiagonal, kFull };

  struct Space final : Workspace {
    explicit Space(size_t all) : completed(all) {}
    size_t d = 0;           // observed columns of the segment
    bool complete = true;
    double noise_log_density = 0.0;
    AlignedBuffer wide, whitened, residual;
    std::vector<double> means, factors, constants, intercepts;  // of the observed columns
    CompletedTile completed;
  };

  static Index index(size_t i) { return static_cast<Index>(i); }
  Mode own_mode() const { return is_diagonal(entry_.form) ? Mode::kDiagonal : Mode::kFull; }
  Index matrix_of(size_t k) const { return covariances_.count == 1 ? 0 : index(k); }
  size_t factor_size(size_t d) const { return covariances_.diagonal ? d : packed_size(d); }

  // Values that a sweep keeps for one component with d observed columns: its size, sums and scatter.
  static size_t component_size(Mode mode, size_t d) {
    switch (mode) {
      case Mode::kShared: return 1 + d;
      case Mode::kDiagonal: return 1 + 2 * d;
      case Mode::kFull: return 1 + d + packed_size(d);
    }
    return 0;
  }

  void begin_sums(size_t d, Space& s) const {
    s.d = d;
    const size_t wide = k_ * component_size(mode_, d) * kWide;
    if (s.wide.size() != wide)
      s.wide.resize(wide);
    else
      std::fill(s.wide.data(), s.wide.data() + wide, 0.0);
    if (s.whitened.size() < d_ * kRowPad) s.whitened.resize(d_ * kRowPad);
  }

  double noise_log_density(const Pattern& pattern) const {
    double s = 0.0;
    if (!options_.noise_log_sides.empty())
      for (size_t j : pattern.observed) s -= options_.noise_log_sides[j];
    return s;
  }

  GaussianMoments empty_moments() const {
    GaussianMoments m;
    m.mean = MatrixXd::Zero(index(d_), index(k_));
    m.scatter = SymmetricSet(covariances_.d, covariances_.count, covariances_.diagonal);
    return m;
  }

  // ---- factors and constants ----

  // Reciprocal standard deviations, or packed Cholesky factors with reciprocal diagonals. Reports the first component
  // that has collapsed: whose variance in some direction is below kMinRelativeVariance of the data's (up to a factor d),
  // or is lost in the rounding of its other directions (variance inflation above kMaxInflation). Both measures are sums
  // over the columns of A_jj (Sigma^-1)_jj, which no order of the columns and no units change.
  Degeneracy factorise(const SymmetricSet& covariances, std::vector<double>& factors) const {
    const size_t size = factor_size(d_), count = static_cast<size_t>(covariances.count);
    factors.resize(size * count);
    for (size_t k = 0; k < count; ++k) {
      double* factor = factors.data() + k * size;
      bool usable;
      if (covariances.diagonal) {
        const VectorXd variance = covariances.values.col(index(k));
        usable = variance.allFinite() && variance.minCoeff() > 0.0 &&
                 (!options_.collapse_guard ||
                  reference_.variance.cwiseQuotient(variance).maxCoeff() < 1.0 / kMinRelativeVariance);
        if (usable) Eigen::Map<VectorXd>(factor, index(d_)) = variance.cwiseSqrt().cwiseInverse();
      } else {
        const auto sigma = covariances.matrix(index(k));
        usable = cholesky_packed(sigma, factor);
        if (usable && options_.collapse_guard) {
          const VectorXd inverse = inverse_diagonal(factor, d_);
          usable = reference_.variance.dot(inverse) < 1.0 / kMinRelativeVariance &&
                   sigma.diagonal().dot(inverse) < kMaxInflation;
        }
        if (usable) invert_diagonal(factor, d_);
      }
      if (!usable) return {Degeneracy::Kind::kSingular, k};
    }
    return {};
  }

  double log_root_determinant(const double* factor, size_t d) const {
    double s = 0.0;
    for (size_t j = 0; j < d; ++j) s -= std::log(factor[covariances_.diagonal ? j : packed_index(j, j)]);
    return s;
  }

  // Once for each sweep: whatever the kernels need beside means and factors.
  void set_constants() {
    const size_t size = factor_size(d_), count = static_cast<size_t>(covariances_.count);
    constants_.resize(count);
    for (size_t k = 0; k < count; ++k)
      constants_[k] =
          -0.5 * static_cast<double>(d_) * kLog2Pi - log_root_determinant(factors_.data() + k * size, d_);
    if (mode_ != Mode::kShared) return;
    // log f_k(x) = row constant + x' P m_k - m_k' P m_k / 2 with P the common precision: the rows' constants
    // -x' P x / 2 + constants_[0] sum to tr(P T) and multiples of n, T the total scatter.
    const MatrixXd solved = solve_common(means_);
    coefficients_ = solved;
    intercepts_.resize(k_);
    for (size_t k = 0; k < k_; ++k) intercepts_[k] = -0.5 * means_.col(index(k)).dot(solved.col(index(k)));
    shared_offset_ = reference_.total_weight * constants_[0] - 0.5 * solve_common(reference_.scatter).trace();
  }

  // P b for the common covariance.
  MatrixXd solve_common(const MatrixXd& b) const {
    if (covariances_.diagonal)
      return Eigen::Map<const VectorXd>(factors_.data(), index(d_)).array().square().matrix().asDiagonal() * b;
    const MatrixXd lower = unpack_reciprocal(factors_.data(), d_);
    const MatrixXd half = lower.triangularView<Eigen::Lower>().solve(b);
    return lower.transpose().triangularView<Eigen::Upper>().solve(half);
  }

  // With one covariance matrix, complete data and no noise, scores are linear in x and the pooled scatter is the total
  // one less what lies between the means: a sweep costs n K d instead of n K d^2. Both are differences that lose
  // digits as the means move apart, (distance in standard deviations)^2 of them; far ones take the general way.
  bool shared_scores_are_accurate() const {
    if (!is_pooled(entry_.form) || reference_.scatter.size() == 0) return false;
    const MatrixXd solved = solve_common(means_);
    return means_.cwiseProduct(solved).colwise().sum().maxCoeff() < kLargestSharedDistance;
  }

  // ---- rows with missing values ----

  void select_observed(const Pattern& pattern, Space& s) const {
    const size_t d = s.d, count = static_cast<size_t>(covariances_.count), size = factor_size(d);
    s.means.resize(d * k_);
    for (size_t k = 0; k < k_; ++k)
      for (size_t o = 0; o < d; ++o) s.means[k * d + o] = means_(index(pattern.observed[o]), index(k));
    s.factors.resize(size * count + 1);
    s.constants.resize(count);
    MatrixXd observed(index(d), index(d));
    for (size_t k = 0; k < count; ++k) {
      double* factor = s.factors.data() + k * size;
      if (covariances_.diagonal) {
        for (size_t o = 0; o < d; ++o) factor[o] = factors_[k * d_ + pattern.observed[o]];
      } else {
        const auto sigma = covariances_.matrix(index(k));
        for (size_t a = 0; a < d; ++a)
          for (size_t b = 0; b <= a; ++b)
            observed(index(a), index(b)) = sigma(index(pattern.observed[a]), index(pattern.observed[b]));
        // A principal minor of a positive definite matrix; should rounding say otherwise, NaN reaches the objective.
        if (!cholesky_packed(observed, factor))
          std::fill(factor, factor + size, std::numeric_limits<double>::quiet_NaN());
        invert_diagonal(factor, d);
      }
      s.constants[k] = -0.5 * static_cast<double>(d) * kLog2Pi - log_root_determinant(factor, d);
    }
  }

  // regression = Sigma_mo Sigma_oo^-1 and conditional = Sigma_mm - Sigma_mo Sigma_oo^-1 Sigma_om of component k.
  void conditional_of_missing(const Pattern& pattern, const Space& s, size_t k, MatrixXd& regression,
                              MatrixXd& conditional) const {
    const size_t n_observed = pattern.observed.size(), n_missing = pattern.missing.size();
    const Index m_index = matrix_of(k);
    regression = MatrixXd::Zero(index(n_missing), index(n_observed));
    conditional.resize(index(n_missing), index(n_missing));
    if (covariances_.diagonal) {
      conditional.setZero();
      for (size_t m = 0; m < n_missing; ++m)
        conditional(index(m), index(m)) = covariances_.values(index(pattern.missing[m]), m_index);
      return;
    }
    const auto sigma = covariances_.matrix(m_index);
    MatrixXd cross(index(n_observed), index(n_missing));
    for (size_t m = 0; m < n_missing; ++m) {
      for (size_t o = 0; o < n_observed; ++o)
        cross(index(o), index(m)) = sigma(index(pattern.observed[o]), index(pattern.missing[m]));
      for (size_t l = 0; l < n_missing; ++l)
        conditional(index(m), index(l)) = sigma(index(pattern.missing[m]), index(pattern.missing[l]));
    }
    if (n_observed == 0) return;
    const MatrixXd lower =
        unpack_reciprocal(s.factors.data() + static_cast<size_t>(m_index) * factor_size(n_observed), n_observed);
    const MatrixXd half = lower.triangularView<Eigen::Lower>().solve(cross);
    conditional.noalias() -= half.transpose() * half;
    regression = lower.transpose().triangularView<Eigen::Upper>().solve(half).transpose();
  }

  // Expected statistics of all columns from those of the observed ones (r_o: observed residuals, B: regression):
  // E r_m = B r_o, E r_m r_m' = B r_o r_o' B' + conditional.
  void expand_full(const Pattern& pattern, const Space& s, size_t k, const double* part, double* out) const {
    const size_t d = s.d, n_missing = pattern.missing.size();
    MatrixXd regression, conditional;
    conditional_of_missing(pattern, s, k, regression, conditional);
    const Eigen::Map<const VectorXd> sum(part + 1, index(d));
    MatrixXd scatter(index(d), index(d));
    for (size_t a = 0; a < d; ++a)
      for (size_t b = 0; b <= a; ++b)
        scatter(index(a), index(b)) = scatter(index(b), index(a)) = part[1 + d + packed_index(a, b)];
    const VectorXd missing_sum = regression * sum;
    const MatrixXd missing_observed = regression * scatter;
    const MatrixXd missing_missing = missing_observed * regression.transpose() + part[0] * conditional;
    double* sums = out + 1;
    double* scatters = out + 1 + d_;
    auto add = [&](size_t i, size_t j, double v) { scatters[i >= j ? packed_index(i, j) : packed_index(j, i)] += v; };
    out[0] += part[0];
    for (size_t a = 0; a < d; ++a) {
      sums[pattern.observed[a]] += sum(index(a));
      for (size_t b = 0; b <= a; ++b) add(pattern.observed[a], pattern.observed[b], scatter(index(a), index(b)));
    }
    for (size_t m = 0; m < n_missing; ++m) {
      sums[pattern.missing[m]] += missing_sum(index(m));
      for (size_t a = 0; a < d; ++a) add(pattern.missing[m], pattern.observed[a], missing_observed(index(m), index(a)));
      for (size_t l = 0; l <= m; ++l) add(pattern.missing[m], pattern.missing[l], missing_missing(index(m), index(l)));
    }
  }

  void expand_diagonal(const Pattern& pattern, size_t k, const double* part, double* out) const {
    const size_t d = pattern.observed.size();
    out[0] += part[0];
    for (size_t o = 0; o < d; ++o) {
      out[1 + pattern.observed[o]] += part[1 + o];
      out[1 + d_ + pattern.observed[o]] += part[1 + d + o];
    }
    for (size_t j : pattern.missing) out[1 + d_ + j] += part[0] * covariances_.values(index(j), matrix_of(k));
  }

  // Adds the runs' conditional covariances of component k to the first lanes of its sums. `conditional` is where those
  // of its first run begin; returns where those of the next component do.
  const double* add_conditional(const std::vector<TileRun>& runs, size_t k, const double* z, const double* conditional,
                                double* wide) const {
    double* scatter = wide + (1 + d_) * kWide;
    for (const TileRun& run : runs) {
      double weight = 0.0;
      for (size_t i = run.begin; i < run.end; ++i) weight += z[i];
      const std::vector<size_t>& missing = run.pattern->missing;
      if (mode_ == Mode::kDiagonal) {
        for (size_t j : missing) scatter[j * kWide] += weight * covariances_.values(index(j), matrix_of(k));
        continue;
      }
      for (size_t m = 0; m < missing.size(); ++m)
        for (size_t l = 0; l <= m; ++l)
          scatter[packed_index(missing[m], missing[l]) * kWide] += weight * *conditional++;
    }
    return conditional;
  }

  // ---- M-step ----

  GaussianMoments moments(const double* statistics) {
    GaussianMoments m = empty_moments();
    degeneracy_ = {};
    const size_t size = component_size(mode_, d_);
    m.n.resize(index(k_));
    for (size_t k = 0; k < k_; ++k) m.n(index(k)) = statistics[k * size];
    const double smallest = kVanished * m.n.sum();
    if (mode_ == Mode::kShared) {
      // Sums are about 0. W = T - sum_k n_k mean_k mean_k'.
      if (covariances_.diagonal)
        m.scatter.values.col(0) = reference_.scatter.diagonal();
      else
        m.scatter.matrix(0) = reference_.scatter;
    }
    for (size_t k = 0; k < k_; ++k) {
      const double n = m.n(index(k));
      if (!(n > smallest)) {
        degeneracy_ = {Degeneracy::Kind::kVanished, k};
        return m;
      }
      const double* part = statistics + k * size;
      const VectorXd shift = Eigen::Map<const VectorXd>(part + 1, index(d_)) / n;
      const Index at = matrix_of(k);
      m.mean.col(index(k)) = shift;
      if (mode_ != Mode::kShared) m.mean.col(index(k)) += means_.col(index(k));
      // Scatter about the old mean becomes scatter about the new one.
      if (covariances_.diagonal) {
        if (mode_ == Mode::kDiagonal)
          m.scatter.values.col(at) += Eigen::Map<const VectorXd>(part + 1 + d_, index(d_));
        m.scatter.values.col(at) -= n * shift.cwiseAbs2();
      } else {
        auto w = m.scatter.matrix(at);
        if (mode_ == Mode::kFull)
          for (size_t i = 0; i < d_; ++i)
            for (size_t j = 0; j <= i; ++j) {
              const double v = part[1 + d_ + packed_index(i, j)];
              w(index(i), index(j)) += v;
              if (j < i) w(index(j), index(i)) += v;
            }
        w.noalias() -= n * shift * shift.transpose();
      }
    }
    return m;
  }

  // The share of the inverse Wishart that each component carries.
  double inverse_wishart_share() const { return covariances_.count == 1 ? 1.0 / static_cast<double>(k_) : 1.0; }

  // The maximising parameters for given moments. On success they replace the current ones, and the moments are kept for
  // pack(). `with_prior` is false when the moments are themselves parameters.
  bool maximise(GaussianMoments& m, bool with_prior) {
    degeneracy_ = {};
    const GaussianPrior* prior = with_prior ? options_.prior.get() : nullptr;
    MatrixXd means = m.mean;
    Scatter s;
    s.scatter = m.scatter;
    s.n = VectorXd::Zero(m.scatter.count);
    for (size_t k = 0; k < k_; ++k) {
      const Index at = matrix_of(k);
      const double n = m.n(index(k));
      s.n(at) += n;
      if (prior) means.col(index(k)) = (n * m.mean.col(index(k)) + prior->shrinkage * prior->mean) / (n + prior->shrinkage);
      if (!options_.fixed_mean.empty() && options_.fixed_mean[k]) means.col(index(k)) = means_.col(index(k));
      const VectorXd shift = means.col(index(k)) - m.mean.col(index(k));
      if (shift.squaredNorm() > 0.0) add_outer(s.scatter, at, n, shift);
      if (prior) {
        const double share = inverse_wishart_share();
        s.n(at) += share * (prior->df + static_cast<double>(d_) + 1.0) + (prior->shrinkage > 0.0 ? 1.0 : 0.0);
        add_outer(s.scatter, at, prior->shrinkage, means.col(index(k)) - prior->mean);
        if (s.scatter.diagonal)
          s.scatter.values.col(at) += share * prior->scale.diagonal();
        else
          s.scatter.matrix(at) += share * prior->scale;
      }
    }
    SymmetricSet covariances(covariances_.d, covariances_.count, covariances_.diagonal);
    if (!structure_->m_step(s, covariances)) {
      const Index named = structure_->collapsed();
      degeneracy_ = {Degeneracy::Kind::kSingular, named >= 0 ? static_cast<size_t>(named) : smallest_scatter(s)};
      return false;
    }
    for (size_t k = 0; k < fixed_covariances_.size(); ++k) {
      if (fixed_covariances_[k].size() == 0) continue;
      if (covariances.diagonal)
        covariances.values.col(matrix_of(k)) = fixed_covariances_[k].diagonal();
      else
        covariances.matrix(matrix_of(k)) = fixed_covariances_[k];
    }
    if (!adopt(means, covariances)) return false;
    moments_ = m;
    return true;
  }

  // Takes parameters over, unless a component has collapsed.
  bool adopt(const MatrixXd& means, const SymmetricSet& covariances) {
    std::vector<double> factors;
    degeneracy_ = factorise(covariances, factors);
    if (degeneracy_) return false;
    means_ = means;
    covariances_ = covariances;
    factors_ = factors;
    return true;
  }

  bool unpack_factors(const double* point) {
    MatrixXd means = Eigen::Map<const MatrixXd>(point, means_.rows(), means_.cols());
    for (size_t k = 0; k < options_.fixed_mean.size(); ++k)
      if (options_.fixed_mean[k]) means.col(index(k)) = means_.col(index(k));
    SymmetricSet covariances(covariances_.d, covariances_.count, covariances_.diagonal);
    const std::unique_ptr<CovarianceStructure> before = structure_->clone();
    if (means.allFinite() && structure_->unpack(point + means_.size(), covariances) && adopt(means, covariances))
      return true;
    structure_ = before->clone();
    return false;
  }

  static void add_outer(SymmetricSet& set, Index k, double factor, const VectorXd& v) {
    if (set.diagonal)
      set.values.col(k) += factor * v.cwiseAbs2();
    else
      set.matrix(k).noalias() += factor * v * v.transpose();
  }

  // The component to blame when a structure has no M-step: the one of least generalised variance.
  size_t smallest_scatter(const Scatter& s) const {
    size_t worst = 0;
    double least = std::numeric_limits<double>::infinity();
    for (Index k = 0; k < s.n_components(); ++k) {
      double v;
      if (s.scatter.diagonal) {
        v = (s.scatter.values.col(k) / s.n(k)).minCoeff();
      } else {
        Eigen::SelfAdjointEigenSolver<MatrixXd> solver(s.scatter.matrix(k) / s.n(k), Eigen::EigenvaluesOnly);
        v = solver.eigenvalues()(0);
      }
      if (!(v >= least)) least = v, worst = static_cast<size_t>(k);
    }
    return worst;
  }

  // A standard deviation three ten-millionths of the data's: nothing but duplicated or collinear points look like this.
  static constexpr double kMinRelativeVariance = 1e-13;
  // A column that is predicted so well by the others has lost ten of its sixteen digits to them.
  static constexpr double kMaxInflation = 1e10;
  static constexpr double kVanished = 1e-9;
  static constexpr double kLargestSharedDistance = 1e4;

  const CovarianceEntry& entry_;
  std::unique_ptr<CovarianceStructure> structure_;
  std::unique_ptr<CovarianceStructure> plain_structure_;  // as the last m_step() left it
  size_t d_, k_;
  GaussianReference reference_;
  GaussianOptions options_;
  MatrixXd means_;                            // d x K
  SymmetricSet covariances_;                  // one matrix when pooled, else K
  std::vector<double> factors_;               // of the covariances
  TileCompletion completion_;                 // of mixed segments
  std::vector<MatrixXd> fixed_covariances_;   // K or none; empty matrices where free
  Mode mode_ = Mode::kFull;
  std::vector<double> constants_;             // log density at the mean, for each covariance matrix
  MatrixXd coefficients_;                     // shared mode: d x K
  std::vector<double> intercepts_;            // shared mode: K
  double shared_offset_ = 0.0;
  GaussianMoments moments_;                   // that the last M-step used
  Degeneracy degeneracy_;
};

}  // namespace emkit
