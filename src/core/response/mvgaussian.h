// The multivariate normal distribution of several columns, with any covariance structure of Gaussian mixtures. Rows
// that are missing in part count with the density of what they observe; the M-step completes them by conditional
// moments.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>

#include "../emission/gaussian.h"
#include "newton.h"

namespace emkit {

// Natural parameters: the mean, then the covariance matrix column by column. Means and covariance matrices are fixed as
// a whole, in any component. The data are centred and scaled inside; parameters and densities are the user's.
//
// Coordinates: the means of the scaled data and Sigma_k = L_k L_k', L_k = exp(v_k) U_k with U_k lower triangular of
// determinant 1, given by its log diagonal (all but the last) and what is below. Volume v, diagonal and lower part are
// common to the components or not, or absent, as the structure has it. The structures in which orientation and shape
// differ over the components one without the other (EVE, VVE, EEV, VEV) have no coordinates.
class MvGaussianResponse final : public Response {
 public:
  MvGaussianResponse(const ResponseData& data, size_t n_components, const ResponseOptions& options,
                     const CovarianceEntry& entry)
      : data_(data), d_(data.n_columns), k_(n_components), code_(entry.code) {
    const ColumnMoments moments = column_moments(RawData{data.y, data.n, d_, nullptr, nullptr}, 1);
    center_ = Eigen::Map<const VectorXd>(moments.mean.data(), at(d_));
    VectorXd sd = Eigen::Map<const VectorXd>(moments.sd.data(), at(d_));
    for (Index j = 0; j < sd.size(); ++j)
      if (!(sd(j) > 0.0) || !std::isfinite(sd(j))) sd(j) = 1.0;  // a constant column: its variance collapses
    // New data need not observe every column.
    for (Index j = 0; j < center_.size(); ++j)
      if (!std::isfinite(center_(j))) center_(j) = 0.0;
    scale_ = entry.column_scaling ? sd : VectorXd::Constant(at(d_), std::exp(sd.array().log().mean()));
    GaussianReference reference;
    reference.variance = Eigen::Map<const VectorXd>(moments.sd.data(), at(d_)).cwiseQuotient(scale_).cwiseAbs2();
    for (Index j = 0; j < reference.variance.size(); ++j)
      if (!std::isfinite(reference.variance(j))) reference.variance(j) = 0.0;
    find_patterns();
    GaussianOptions fixed;
    read_fixed(options.fixed, fixed);
    emission_.reset(new GaussianEmission(entry, d_, k_, reference, fixed));
    counts_ = VectorXd::Ones(at(k_));
    lay_out(entry);
    set_overall();
  }

  size_t n_components() const override { return k_; }
  size_t n_parameters() const override { return d_ + d_ * d_; }
  std::unique_ptr<Workspace> make_workspace() const override { return std::unique_ptr<Workspace>(new Space(*this)); }

  void prepare() override {
    emission_->prepare(true);
    ++version_;
  }

  void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const override {
    Space& w = static_cast<Space&>(workspace);
    const size_t size = rows.size();
    if (load(rows, w)) {
      const bool direct = !add && stride == kTileRows;
      double* target = direct ? out : w.columns.data();
      emission_->log_density(Tile{w.x.data(), kTileRows, size}, w.zero.data(), *w.complete, target);
      if (direct) return;
      for (size_t k = 0; k < k_; ++k) {
        const double* from = target + k * kTileRows;
        double* to = out + k * stride;
        for (size_t i = 0; i < size; ++i) to[i] = (add ? to[i] : 0.0) + from[i];
      }
      return;
    }
    if (!add)
      for (size_t k = 0; k < k_; ++k) std::fill(out + k * stride, out + k * stride + size, 0.0);
    for_each_group(w, [&](const Pattern& pattern, size_t code, const size_t* positions, size_t count) {
      const Tile tile = compact(pattern, positions, count, w);
      emission_->log_density(tile, w.zero.data(), density_space(code, w), w.columns.data());
      for (size_t k = 0; k < k_; ++k)
        for (size_t i = 0; i < count; ++i) out[k * stride + positions[i]] += w.columns[k * kTileRows + i];
    });
  }

  double row_constant(size_t row) const override {
    const int code = code_of_.empty() ? 0 : code_of_[row];
    return code < 0 ? 0.0 : constants_[static_cast<size_t>(code)];
  }

  size_t n_statistics() const override { return emission_->n_statistics(); }

  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                  double* statistics) const override {
    Space& w = static_cast<Space&>(workspace);
    const size_t size = rows.size();
    if (load(rows, w)) {
      const double* z = posterior;
      if (stride != kTileRows) {
        for (size_t k = 0; k < k_; ++k)
          std::copy(posterior + k * stride, posterior + k * stride + size, w.columns.data() + k * kTileRows);
        z = w.columns.data();
      }
      emission_->begin_segment(patterns_[0], *w.sums);
      emission_->accumulate(Tile{w.x.data(), kTileRows, size}, z, *w.sums);
      emission_->end_segment(patterns_[0], *w.sums, statistics);
      return;
    }
    for_each_group(w, [&](const Pattern& pattern, size_t, const size_t* positions, size_t count) {
      const Tile tile = compact(pattern, positions, count, w);
      for (size_t k = 0; k < k_; ++k) {
        double* z = w.columns.data() + k * kTileRows;
        for (size_t i = 0; i < count; ++i) z[i] = posterior[k * stride + positions[i]];
        std::fill(z + count, z + tile.rows, 0.0);
      }
      emission_->begin_segment(pattern, *w.sums);
      emission_->accumulate(tile, w.columns.data(), *w.sums);
      emission_->end_segment(pattern, *w.sums, statistics);
    });
  }

  // Exact. A component without rows takes part with hardly any weight and its own moments, so that it stays.
  bool m_step(const double* statistics) override {
    const size_t size = n_statistics() / k_;
    std::vector<double> s(statistics, statistics + n_statistics());
    double total = 0.0;
    for (size_t k = 0; k < k_; ++k) total += s[k * size];
    if (!std::isfinite(total)) return invalid({Degeneracy::Kind::kNotFinite, 0});
    if (!(total > kVanishedWeight)) return true;
    // A power of two leaves the moments' digits alone.
    const double tiny = std::exp2(std::ceil(std::log2(2.0 * kTinyShare * total)));
    for (size_t k = 0; k < k_; ++k)
      if (!(s[k * size] > kTinyShare * total)) stand_in(k, tiny, s.data() + k * size);
    if (!emission_->m_step(s.data())) return invalid(emission_->degeneracy());
    for (size_t k = 0; k < k_; ++k) counts_(at(k)) = s[k * size];
    refresh(natural_);
    return true;
  }

  bool m_step_is_exact() const override { return true; }

  void set_overall() override {
    emission_->set_overall();
    if (any_fixed_)
      set_scaled(emission_->means(), covariances(), fixed_);
    else
      refresh(natural_);
  }

  MatrixXd parameters() const override { return natural_; }

  bool set_parameters(const MatrixXd& natural) override {
    if (natural.rows() != at(n_parameters()) || natural.cols() != at(k_) || !natural.allFinite())
      return invalid({Degeneracy::Kind::kNotFinite, 0});
    MatrixXd means(at(d_), at(k_));
    std::vector<MatrixXd> sigma;
    for (size_t k = 0; k < k_; ++k) {
      means.col(at(k)) = to_scaled_mean(natural.col(at(k)).head(at(d_)));
      sigma.push_back(to_scaled_covariance(natural.col(at(k)).tail(at(d_ * d_))));
    }
    return set_scaled(means, sigma, natural);
  }

  size_t n_coordinates() const override { return n_coordinates_; }

  bool coordinates(double* point) const override {
    if (!has_coordinates_) return false;
    for (size_t k = 0; k < k_; ++k)
      if (mean_at_[k] >= 0) Eigen::Map<VectorXd>(point + mean_at_[k], at(d_)) = emission_->means().col(at(k));
    for (size_t k = 0; k < k_; ++k) {
      if (volume_at_[k] < 0) continue;
      MatrixXd factor;
      if (!cholesky(k, factor)) return false;
      const VectorXd log_diagonal = factor.diagonal().array().log();
      const double v = log_diagonal.mean();
      point[volume_at_[k]] = v;
      if (shape_at_[k] >= 0)
        for (size_t j = 0; j + 1 < d_; ++j) point[static_cast<size_t>(shape_at_[k]) + j] = log_diagonal(at(j)) - v;
      if (lower_at_[k] >= 0)
        for (size_t j = 1, i = 0; j < d_; ++j)
          for (size_t l = 0; l < j; ++l, ++i)
            point[static_cast<size_t>(lower_at_[k]) + i] = factor(at(j), at(l)) * std::exp(-v);
    }
    return true;
  }

  bool set_coordinates(const double* point) override {
    if (!has_coordinates_) return false;
    for (size_t i = 0; i < n_coordinates_; ++i)
      if (!std::isfinite(point[i])) return invalid({Degeneracy::Kind::kNotFinite, 0});
    MatrixXd means = emission_->means();
    std::vector<MatrixXd> sigma = covariances();
    for (size_t k = 0; k < k_; ++k) {
      if (mean_at_[k] >= 0) means.col(at(k)) = Eigen::Map<const VectorXd>(point + mean_at_[k], at(d_));
      if (volume_at_[k] < 0) continue;
      MatrixXd u = MatrixXd::Zero(at(d_), at(d_));
      double last = 0.0;
      for (size_t j = 0; j < d_; ++j) {
        const double c = shape_at_[k] < 0 ? 0.0 : j + 1 < d_ ? point[static_cast<size_t>(shape_at_[k]) + j] : -last;
        last += c;
        u(at(j), at(j)) = std::exp(c);
      }
      if (lower_at_[k] >= 0)
        for (size_t j = 1, i = 0; j < d_; ++j)
          for (size_t l = 0; l < j; ++l, ++i) u(at(j), at(l)) = point[static_cast<size_t>(lower_at_[k]) + i];
      sigma[k] = std::exp(2.0 * point[volume_at_[k]]) * (u * u.transpose());
    }
    return set_scaled(means, sigma, natural_);
  }

  // dQ = tr(G dSigma) with G = (P S P - n P) / 2, P = Sigma^-1 and S the scatter about the mean; with Sigma = L L',
  // dQ = sum 2 (G L) dL.
  void score(const double* statistics, double* gradient) const override {
    std::fill(gradient, gradient + n_coordinates_, 0.0);
    if (!has_coordinates_) return;
    const size_t size = n_statistics() / k_;
    for (size_t k = 0; k < k_; ++k) {
      const double* part = statistics + k * size;
      const Eigen::Map<const VectorXd> sums(part + 1, at(d_));
      MatrixXd s = MatrixXd::Zero(at(d_), at(d_));
      if (size == 1 + 2 * d_ && is_diagonal_) {
        s.diagonal() = Eigen::Map<const VectorXd>(part + 1 + d_, at(d_));
      } else {
        s = unpack_lower(part + 1 + d_, d_);
        s = MatrixXd(s.selfadjointView<Eigen::Lower>());
      }
      const MatrixXd sigma = emission_->covariance(k);
      const Eigen::LLT<MatrixXd> llt(sigma);
      const MatrixXd factor = llt.matrixL();
      if (mean_at_[k] >= 0) Eigen::Map<VectorXd>(gradient + mean_at_[k], at(d_)) += llt.solve(VectorXd(sums));
      if (volume_at_[k] < 0) continue;
      const MatrixXd half = llt.solve(s);                        // P S
      const MatrixXd psp = llt.solve(MatrixXd(half.transpose()));  // P S P
      const MatrixXd precision = llt.solve(MatrixXd::Identity(at(d_), at(d_)));
      const MatrixXd m = (psp - part[0] * precision) * factor;
      const VectorXd diagonal = m.diagonal().cwiseProduct(factor.diagonal());
      const double v = factor.diagonal().array().log().mean();
      double along = 0.0;
      for (size_t j = 0; j < d_; ++j)
        for (size_t l = 0; l <= j; ++l) along += m(at(j), at(l)) * factor(at(j), at(l));
      gradient[volume_at_[k]] += along;
      if (shape_at_[k] >= 0)
        for (size_t j = 0; j + 1 < d_; ++j)
          gradient[static_cast<size_t>(shape_at_[k]) + j] += diagonal(at(j)) - diagonal(at(d_ - 1));
      if (lower_at_[k] >= 0)
        for (size_t j = 1, i = 0; j < d_; ++j)
          for (size_t l = 0; l < j; ++l, ++i)
            gradient[static_cast<size_t>(lower_at_[k]) + i] += m(at(j), at(l)) * std::exp(v);
    }
  }

  // log of the sizes behind the moments, which structures that join components weigh them by, then the moments.
  size_t n_packed() const override { return k_ + emission_->n_packed(); }

  bool pack(double* point) const override {
    for (size_t k = 0; k < k_; ++k) point[k] = std::log(counts_(at(k)) / counts_.sum());
    return emission_->pack(point + k_);
  }

  bool unpack(const double* point) override {
    const VectorXd counts =
        counts_.sum() * Eigen::Map<const VectorXd>(point, at(k_)).array().min(kLargestLogCount).exp().matrix();
    if (!counts.allFinite() || !(counts.minCoeff() > 0.0)) return false;
    if (!emission_->unpack(point + k_, counts)) return false;
    counts_ = counts;
    refresh(natural_);
    return true;
  }

  Degeneracy degeneracy() const override { return degeneracy_; }

 private:
  static Index at(size_t i) { return static_cast<Index>(i); }

  struct Space final : Workspace {
    explicit Space(const MvGaussianResponse& r)
        : x(r.d_ * kTileRows), compacted(r.d_ * kTileRows), columns(r.k_ * kTileRows), zero(r.k_, 0.0) {
      complete = r.emission_->make_workspace();
      sums = r.emission_->make_workspace();
      Pattern all;
      for (size_t j = 0; j < r.d_; ++j) all.observed.push_back(j);
      r.emission_->begin_segment(all, *complete);
      const size_t kept = std::min(r.patterns_.size(), kKeptPatterns);
      for (size_t p = 0; p < kept; ++p) density.push_back(r.emission_->make_workspace());
      version.assign(kept, 0);
    }
    AlignedBuffer x, compacted, columns;
    std::vector<double> zero;
    std::unique_ptr<Emission::Workspace> complete, sums;
    // What densities of a pattern need of the parameters, while they stay the same; the last place serves the patterns
    // that have none of their own.
    std::vector<std::unique_ptr<Emission::Workspace>> density;
    std::vector<std::uint64_t> version;
    std::vector<int> code = std::vector<int>(kTileRows);
    std::vector<size_t> order;
  };

  void find_patterns() {
    Pattern all;
    for (size_t j = 0; j < d_; ++j) all.observed.push_back(j);
    bool any = false;
    for (size_t j = 0; j < d_ && !any; ++j) any = any_missing(data_.y + j * data_.n, data_.n);
    patterns_.push_back(all);
    if (any) {
      const ObservedBits bits(data_.y, data_.n, d_);
      const RowGroups groups = group_rows_by_pattern(
          bits, d_, data_.n, [](size_t i) { return i; }, [&](size_t i) { return !bits.nothing(i); });
      code_of_.assign(data_.n, -1);
      for (const Pattern& p : groups.patterns) {
        if (!p.complete()) patterns_.push_back(p);
        const int code = p.complete() ? 0 : static_cast<int>(patterns_.size()) - 1;
        for (size_t i = p.begin; i < p.end; ++i) code_of_[groups.order[i]] = code;
      }
    }
    for (const Pattern& p : patterns_) {
      double s = 0.0;
      for (size_t j : p.observed) s -= std::log(scale_(at(j)));
      constants_.push_back(s);
    }
  }

  void read_fixed(const MatrixXd& fixed, GaussianOptions& options) {
    if (fixed.size() == 0) return;
    fixed_ = fixed;
    const auto whole = [](const VectorXd& part) { return part.allFinite() || part.array().isNaN().all(); };
    for (size_t k = 0; k < k_; ++k) {
      if (!whole(fixed.col(at(k)).head(at(d_))) || !whole(fixed.col(at(k)).tail(at(d_ * d_))))
        throw std::invalid_argument("a mean or covariance matrix of a multivariate normal is fixed as a whole");
      options.fixed_mean.push_back(fixed.col(at(k)).head(at(d_)).allFinite());
      options.fixed_covariance.push_back(fixed.col(at(k)).tail(at(d_ * d_)).allFinite());
      any_fixed_ = any_fixed_ || options.fixed_mean[k] || options.fixed_covariance[k];
    }
    fixed_mean_ = options.fixed_mean;
    fixed_covariance_ = options.fixed_covariance;
  }

  bool mean_is_fixed(size_t k) const { return !fixed_mean_.empty() && fixed_mean_[k]; }
  bool covariance_is_fixed(size_t k) const { return !fixed_covariance_.empty() && fixed_covariance_[k]; }

  // Where each component's coordinates are.
  void lay_out(const CovarianceEntry& entry) {
    is_diagonal_ = is_diagonal(entry.form);
    const bool one_column = code_.size() == 1;
    const char volume = code_[0], shape = one_column ? 'I' : code_[1], orientation = one_column ? 'I' : code_[2];
    size_t next = 0, n_free = 0;
    mean_at_.assign(k_, -1);
    for (size_t k = 0; k < k_; ++k) {
      if (!covariance_is_fixed(k)) ++n_free;
      if (mean_is_fixed(k)) continue;
      mean_at_[k] = static_cast<std::ptrdiff_t>(next);
      next += d_;
    }
    const bool joined = volume == 'E' || shape == 'E' || orientation == 'E';
    has_coordinates_ = (orientation == 'I' || shape == orientation) && (!joined || n_free == k_ || n_free == 0);
    volume_at_.assign(k_, -1);
    shape_at_ = lower_at_ = volume_at_;
    if (!has_coordinates_) {
      const double joint = n_free == 0 ? 0.0 : entry.n_parameters(static_cast<double>(d_), static_cast<double>(n_free));
      n_coordinates_ = next + static_cast<size_t>(joint);
      return;
    }
    place(volume, 1, next, volume_at_);
    place(shape, d_ - 1, next, shape_at_);
    place(orientation, d_ * (d_ - 1) / 2, next, lower_at_);
    n_coordinates_ = next;
  }

  void place(char letter, size_t each, size_t& next, std::vector<std::ptrdiff_t>& where) const {
    if (letter == 'I' || each == 0) return;
    std::ptrdiff_t common = -1;
    for (size_t k = 0; k < k_; ++k) {
      if (covariance_is_fixed(k)) continue;
      if (letter == 'E' && common >= 0) {
        where[k] = common;
        continue;
      }
      where[k] = common = static_cast<std::ptrdiff_t>(next);
      next += each;
    }
  }

  VectorXd to_scaled_mean(const VectorXd& m) const { return (m - center_).cwiseQuotient(scale_); }

  MatrixXd to_scaled_covariance(const VectorXd& by_column) const {
    MatrixXd s = Eigen::Map<const MatrixXd>(by_column.data(), at(d_), at(d_));
    s = (s + s.transpose()) / 2.0;
    const VectorXd inverse = scale_.cwiseInverse();
    return inverse.asDiagonal() * s * inverse.asDiagonal();
  }

  std::vector<MatrixXd> covariances() const {
    std::vector<MatrixXd> out;
    for (size_t k = 0; k < k_; ++k) out.push_back(emission_->covariance(k));
    return out;
  }

  // The parameters in the user's units. Numbers that agree with those already known, but for the rounding of the change
  // of units, are these: what is set or kept comes back to the last digit.
  void refresh(const MatrixXd& known) {
    MatrixXd out(at(n_parameters()), at(k_));
    for (size_t k = 0; k < k_; ++k) {
      out.col(at(k)).head(at(d_)) = center_ + scale_.cwiseProduct(emission_->means().col(at(k)));
      const MatrixXd sigma = scale_.asDiagonal() * emission_->covariance(k) * scale_.asDiagonal();
      out.col(at(k)).tail(at(d_ * d_)) = Eigen::Map<const VectorXd>(sigma.data(), sigma.size());
      for (size_t i = 0; known.size() > 0 && i < n_parameters(); ++i) {
        double size = std::abs(out(at(i), at(k)));
        if (i < d_) {
          size += std::abs(center_(at(i))) + scale_(at(i));
        } else {
          const size_t row = (i - d_) % d_, column = (i - d_) / d_;
          size += std::sqrt(sigma(at(row), at(row)) * sigma(at(column), at(column)));
        }
        const double before = known(at(i), at(k));
        if (std::abs(out(at(i), at(k)) - before) <= kSameDigits * size) out(at(i), at(k)) = before;
      }
    }
    natural_ = out;
  }

  // In scaled units; what is fixed takes its own values. `known`: see refresh().
  bool set_scaled(MatrixXd means, std::vector<MatrixXd> sigma, const MatrixXd& known) {
    const MatrixXd means_before = emission_->means();
    const std::vector<MatrixXd> before = covariances();
    for (size_t k = 0; k < k_; ++k) {
      if (mean_is_fixed(k)) means.col(at(k)) = to_scaled_mean(fixed_.col(at(k)).head(at(d_)));
      if (covariance_is_fixed(k)) sigma[k] = to_scaled_covariance(fixed_.col(at(k)).tail(at(d_ * d_)));
    }
    const VectorXd ones = VectorXd::Ones(at(k_));
    if (!emission_->set_parameters(means, sigma, ones)) {
      const Degeneracy why = emission_->degeneracy();
      emission_->set_parameters(means_before, before, ones);
      return invalid(why);
    }
    counts_ = ones;
    MatrixXd same = known;
    for (Index i = 0; i < fixed_.size() && fixed_.size() == same.size(); ++i)
      if (!std::isnan(fixed_.data()[i])) same.data()[i] = fixed_.data()[i];
    refresh(same);
    return true;
  }

  bool invalid(const Degeneracy& why) {
    degeneracy_ = why;
    return false;
  }

  bool cholesky(size_t k, MatrixXd& factor) const {
    const Eigen::LLT<MatrixXd> llt(emission_->covariance(k));
    factor = llt.matrixL();
    return llt.info() == Eigen::Success;
  }

  // The statistics of a component of weight n that has exactly its present moments.
  void stand_in(size_t k, double n, double* part) const {
    const MatrixXd sigma = emission_->covariance(k);
    part[0] = n;
    std::fill(part + 1, part + 1 + d_, 0.0);
    double* scatter = part + 1 + d_;
    for (size_t j = 0; j < d_; ++j) {
      if (is_diagonal_) {
        scatter[j] = n * sigma(at(j), at(j));
      } else {
        for (size_t l = 0; l <= j; ++l) scatter[packed_index(j, l)] = n * sigma(at(j), at(l));
      }
    }
  }

  // The tile as scaled; true when all its positions hold complete rows. Otherwise w.code tells their patterns.
  bool load(const RowTile& rows, Space& w) const {
    const size_t size = rows.size();
    w.code.assign(kTileRows, -1);
    for (size_t j = 0; j < d_; ++j) {
      double* x = w.x.data() + j * kTileRows;
      const double center = center_(at(j)), inverse = 1.0 / scale_(at(j));
      rows.load(data_.y + j * data_.n, center, x);
      for (size_t i = 0; i < size; ++i) x[i] = (x[i] - center) * inverse;
    }
    if (code_of_.empty()) {
      if (tile_is_whole(rows)) return true;
      for (size_t i = 0; i < size; ++i)
        if (rows.row(i) >= 0) w.code[i] = 0;
      return false;
    }
    rows.load(code_of_.data(), -1, w.code.data());
    const auto end = w.code.begin() + static_cast<std::ptrdiff_t>(size);
    return std::all_of(w.code.begin(), end, [](int c) { return c == 0; });
  }

  // visit(pattern, its code, positions, their number) for every pattern in the tile.
  template <class Visit>
  void for_each_group(Space& w, const Visit& visit) const {
    w.order.clear();
    for (size_t i = 0; i < kTileRows; ++i)
      if (w.code[i] >= 0) w.order.push_back(i);
    std::stable_sort(w.order.begin(), w.order.end(), [&](size_t a, size_t b) { return w.code[a] < w.code[b]; });
    for (size_t begin = 0, end = 0; begin < w.order.size(); begin = end) {
      const int code = w.code[w.order[begin]];
      while (end < w.order.size() && w.code[w.order[end]] == code) ++end;
      visit(patterns_[static_cast<size_t>(code)], static_cast<size_t>(code), w.order.data() + begin, end - begin);
    }
  }

  // The observed columns of some positions, close together.
  Tile compact(const Pattern& pattern, const size_t* positions, size_t count, Space& w) const {
    const size_t padded = (count + kRowPad - 1) / kRowPad * kRowPad;
    for (size_t o = 0; o < pattern.observed.size(); ++o) {
      const double* from = w.x.data() + pattern.observed[o] * kTileRows;
      double* to = w.compacted.data() + o * kTileRows;
      for (size_t i = 0; i < count; ++i) to[i] = from[positions[i]];
      std::fill(to + count, to + padded, 0.0);
    }
    return Tile{w.compacted.data(), kTileRows, padded};
  }

  Emission::Workspace& density_space(size_t code, Space& w) const {
    const size_t place = std::min(code, w.density.size() - 1);
    if (code + 1 >= kKeptPatterns || w.version[place] != version_) {
      emission_->begin_segment(patterns_[code], *w.density[place]);
      w.version[place] = version_;
    }
    return *w.density[place];
  }

  static constexpr double kSameDigits = 2e-15;
  static constexpr double kTinyShare = 1e-9;          // GaussianEmission's own least share
  static constexpr double kLargestLogCount = 700.0;
  static constexpr size_t kKeptPatterns = 256;

  const ResponseData data_;
  const size_t d_, k_;
  const std::string code_;
  VectorXd center_, scale_;
  std::vector<Pattern> patterns_;    // the complete one first
  std::vector<int> code_of_;         // n: the pattern of each row, -1 where nothing is observed; empty: all complete
  std::vector<double> constants_;    // of the patterns: the log-Jacobian of the scaling
  MatrixXd fixed_;
  std::vector<bool> fixed_mean_, fixed_covariance_;
  bool any_fixed_ = false, is_diagonal_ = false, has_coordinates_ = false;
  std::vector<std::ptrdiff_t> mean_at_, volume_at_, shape_at_, lower_at_;  // K: first coordinate, -1 where none
  size_t n_coordinates_ = 0;
  std::unique_ptr<GaussianEmission> emission_;
  VectorXd counts_;                  // behind the emission's moments
  MatrixXd natural_;                 // m x K
  std::uint64_t version_ = 1;        // of the parameters that densities are made at
  Degeneracy degeneracy_;
};

inline std::unique_ptr<Response> make_mvgaussian(const ResponseData& data, size_t n_components,
                                                 const ResponseOptions& options) {
  // One column has the structures of one column.
  std::string code = options.covariance.empty() ? "VVV" : options.covariance;
  if (data.n_columns == 1 && code.size() == 3) code = code.substr(0, 1);
  const CovarianceEntry* entry = find_covariance(code);
  if (!entry) throw std::invalid_argument("unknown covariance structure: " + code);
  if (entry->has_factors()) throw std::invalid_argument("covariance structures with factors are for mixtures only");
  if (std::any_of(options.shared.begin(), options.shared.end(), [](bool s) { return s; }))
    throw std::invalid_argument("parameters of the multivariate normal family are shared by its covariance structure");
  return std::unique_ptr<Response>(new MvGaussianResponse(data, n_components, options, *entry));
}

}  // namespace emkit
