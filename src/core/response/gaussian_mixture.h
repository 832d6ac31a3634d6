// A mixture of normal distributions within each component, of one column. The part is one more latent variable.
// (formulas.Rmd, R5)
#pragma once
#include <algorithm>

#include "gaussian.h"
#include "newton.h"

namespace emkit {

// Natural parameters of a component: the proportions of its M parts, their means, their standard deviations.
// Coordinates: log(proportion of part / proportion of the first free part), means, log standard deviations. A part of
// proportion 0 stays away; the parameters then have no coordinates. Proportions are fixed one by one; fixed or shared
// ones leave the rest to the others.
class GaussianPartsResponse final : public Response {
 public:
  GaussianPartsResponse(const ResponseData& data, size_t n_components, const ResponseOptions& options)
      : data_(data),
        k_(n_components),
        parts_(std::max<size_t>(options.n_parts, 1)),
        fixed_(options.fixed),
        shared_(options.shared),
        map_(3 * parts_, n_components, without_references(), options.shared),
        natural_(Eigen::MatrixXd::Zero(at(3 * parts_), at(n_components))),
        overall_(value_moments(data)) {
    std::vector<double> sorted;
    for (size_t i = 0; i < data.n; ++i)
      if (!std::isnan(data.y[i])) sorted.push_back(data.y[i]);
    any_missing_ = sorted.size() < data.n;
    std::sort(sorted.begin(), sorted.end());
    quantiles_.resize(parts_, 0.0);
    for (size_t m = 0; m < parts_ && !sorted.empty(); ++m)
      quantiles_[m] = sorted[(2 * m + 1) * sorted.size() / (2 * parts_)];
    set_overall();
    prepare();
  }

  size_t n_components() const override { return k_; }
  size_t n_parameters() const override { return 3 * parts_; }
  Eigen::MatrixXd parameters() const override { return natural_; }

  std::unique_ptr<Workspace> make_workspace() const override { return std::unique_ptr<Workspace>(new Space(parts_)); }

  void prepare() override {
    inverse_.resize(k_ * parts_);
    constant_.resize(k_ * parts_);
    for (size_t k = 0; k < k_; ++k)
      for (size_t m = 0; m < parts_; ++m) {
        inverse_[k * parts_ + m] = 1.0 / sd(m, k);
        constant_[k * parts_ + m] = std::log(proportion(m, k)) - std::log(sd(m, k));
      }
  }

  void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const override {
    Space& w = static_cast<Space&>(workspace);
    load(rows, w);
    const size_t size = rows.size();
    std::fill(w.weight.data(), w.weight.data() + size, 1.0);
    for (size_t k = 0; k < k_; ++k) {
      parts_of(k, size, w);
      double* column = out + k * stride;
      for (size_t i = 0; i < size; ++i) {
        const double l = w.observed[i] ? w.marginal[i] : 0.0;
        column[i] = add ? column[i] + l : l;
      }
    }
  }

  double row_constant(size_t row) const override { return std::isnan(data_.y[row]) ? 0.0 : -0.5 * kLog2Pi; }

  // Of each part: its weight, sum and sum of squares about its current mean.
  size_t n_statistics() const override { return 3 * parts_ * k_; }

  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                  double* statistics) const override {
    Space& w = static_cast<Space&>(workspace);
    load(rows, w);
    const size_t size = rows.size();
    for (size_t k = 0; k < k_; ++k) {
      const double* z = posterior + k * stride;
      for (size_t i = 0; i < size; ++i) w.weight[i] = w.observed[i] ? z[i] : 0.0;
      parts_of(k, size, w);
      std::fill(w.sums.data(), w.sums.data() + 3 * parts_ * kWide, 0.0);
      for (size_t m = 0; m < parts_; ++m) {
        const double center = mean(m, k);
        kernels().accumulate_diagonal(w.y.data(), kTileRows, size, 1, &center, w.joint.data() + m * kTileRows,
                                      w.sums.data() + 3 * m * kWide);
      }
      kernels().fold_wide(w.sums.data(), 3 * parts_, statistics + 3 * parts_ * k);
    }
  }

  // One EM step for the parts: it never goes downhill, and is at the maximum only in the end.
  bool m_step_is_exact() const override { return false; }

  // Maximises for the completed data; where a mean is shared and its standard deviations are not, the two are updated
  // in turn until neither changes.
  bool m_step(const double* statistics) override {
    const Eigen::MatrixXd before = natural_;
    for (size_t i = 0; i < n_statistics(); ++i)
      if (!std::isfinite(statistics[i])) return invalid(i / (3 * parts_), Degeneracy::Kind::kNotFinite);
    update_proportions(statistics);
    for (size_t m = 0; m < parts_; ++m)
      if (const std::ptrdiff_t bad = update_part(m, statistics, before); bad >= 0) {
        natural_ = before;
        return invalid(static_cast<size_t>(bad), Degeneracy::Kind::kSingular);
      }
    return true;
  }

  // The parts have to differ, or they never would: equal shares of the distribution's order.
  void set_overall() override {
    Eigen::MatrixXd to = natural_;
    const double sd = overall_.sd() > 0.0 ? overall_.sd() : 1.0;
    for (size_t m = 0; m < parts_; ++m) {
      to.row(at(m)).setConstant(1.0 / static_cast<double>(parts_));
      to.row(at(parts_ + m)).setConstant(quantiles_[m]);
      to.row(at(2 * parts_ + m)).setConstant(sd / std::sqrt(static_cast<double>(parts_)));
    }
    set_parameters(to);
  }

  bool set_parameters(const Eigen::MatrixXd& natural) override {
    if (natural.rows() != natural_.rows() || natural.cols() != natural_.cols())
      return invalid(0, Degeneracy::Kind::kNotFinite);
    Eigen::MatrixXd to = natural;
    constrain(to);
    for (size_t k = 0; k < k_; ++k) {
      const Eigen::VectorXd p = to.col(at(k)).head(at(parts_)), s = to.col(at(k)).tail(at(parts_));
      if (!to.col(at(k)).allFinite() || !(p.minCoeff() >= 0.0) || !(p.sum() > 0.0) || !(s.minCoeff() > 0.0))
        return invalid(k, Degeneracy::Kind::kNotFinite);
    }
    natural_ = to;
    return true;
  }

  size_t n_coordinates() const override { return map_.size(); }

  bool coordinates(double* point) const override {
    for (size_t k = 0; k < k_; ++k)
      for (size_t j = 0; j < 3 * parts_; ++j) {
        if (map_.at(j, k) < 0) continue;
        double v = natural_(at(j), at(k));
        if (j < parts_) {
          if (!(v > 0.0) || !(proportion(reference(k), k) > 0.0)) return false;
          v = std::log(v / proportion(reference(k), k));
        } else if (j >= 2 * parts_) {
          v = std::log(v);
        }
        point[map_.at(j, k)] = v;
      }
    return true;
  }

  bool set_coordinates(const double* point) override {
    Eigen::MatrixXd to = natural_;
    for (size_t k = 0; k < k_; ++k) {
      for (size_t j = parts_; j < 3 * parts_; ++j)
        if (const std::ptrdiff_t i = map_.at(j, k); i >= 0)
          to(at(j), at(k)) = j < 2 * parts_ ? point[i] : std::exp(point[i]);
      const size_t first = reference(k);
      if (first == parts_) continue;
      double largest = 0.0, total = 0.0, free = 1.0;
      for (size_t m = 0; m < parts_; ++m) {
        if (map_.at(m, k) >= 0) largest = std::max(largest, point[map_.at(m, k)]);
        if (held(m, k)) free -= proportion(m, k);
      }
      for (size_t m = 0; m < parts_; ++m) {
        if (held(m, k)) continue;
        const double c = map_.at(m, k) >= 0 ? point[map_.at(m, k)] : 0.0;
        to(at(m), at(k)) = std::exp(c - largest);
        total += to(at(m), at(k));
      }
      for (size_t m = 0; m < parts_; ++m)
        if (!held(m, k)) to(at(m), at(k)) *= free / total;
    }
    return set_parameters(to);
  }

  void score(const double* statistics, double* gradient) const override {
    std::fill(gradient, gradient + n_coordinates(), 0.0);
    for (size_t k = 0; k < k_; ++k) {
      double free_weight = 0.0, free = 0.0;
      for (size_t m = 0; m < parts_; ++m)
        if (!held(m, k)) free_weight += sums(statistics, m, k)[0], free += proportion(m, k);
      for (size_t m = 0; m < parts_; ++m) {
        const double* s = sums(statistics, m, k);
        const double precision = 1.0 / (sd(m, k) * sd(m, k));
        if (map_.at(m, k) >= 0) gradient[map_.at(m, k)] += s[0] - free_weight * proportion(m, k) / free;
        if (map_.at(parts_ + m, k) >= 0) gradient[map_.at(parts_ + m, k)] += s[1] * precision;
        if (map_.at(2 * parts_ + m, k) >= 0) gradient[map_.at(2 * parts_ + m, k)] += s[2] * precision - s[0];
      }
    }
  }

  Degeneracy degeneracy() const override { return degeneracy_; }

 private:
  static Eigen::Index at(size_t i) { return static_cast<Eigen::Index>(i); }

  struct Space final : Workspace {
    explicit Space(size_t n_parts)
        : y(kTileRows), weight(kTileRows), marginal(kTileRows), joint(n_parts * kTileRows), sums(3 * n_parts * kWide) {}
    AlignedBuffer y, weight, marginal, joint, sums;
    std::vector<char> observed = std::vector<char>(kTileRows, 1);
  };

  double proportion(size_t m, size_t k) const { return natural_(at(m), at(k)); }
  double mean(size_t m, size_t k) const { return natural_(at(parts_ + m), at(k)); }
  double sd(size_t m, size_t k) const { return natural_(at(2 * parts_ + m), at(k)); }
  const double* sums(const double* statistics, size_t m, size_t k) const { return statistics + 3 * (k * parts_ + m); }

  bool is_shared(size_t j) const { return !shared_.empty() && shared_[j]; }

  // A proportion that is given: in its own component, or in any where it is shared.
  bool held(size_t m, size_t k) const {
    if (fixed_.size() == 0) return false;
    if (!is_shared(m)) return !std::isnan(fixed_(at(m), at(k)));
    for (size_t l = 0; l < k_; ++l)
      if (!std::isnan(fixed_(at(m), at(l)))) return true;
    return false;
  }

  // The first part whose proportion is free, which the others are compared with; parts_ when there is none.
  size_t reference(size_t k) const {
    for (size_t m = 0; m < parts_; ++m)
      if (!held(m, k)) return m;
    return parts_;
  }

  // `fixed` as the coordinates see it: the reference's proportion follows from the others.
  Eigen::MatrixXd without_references() const {
    Eigen::MatrixXd out = fixed_;
    if (out.size() == 0)
      out = Eigen::MatrixXd::Constant(at(3 * parts_), at(k_), std::numeric_limits<double>::quiet_NaN());
    for (size_t k = 0; k < k_; ++k)
      if (reference(k) < parts_) out(at(reference(k)), at(k)) = 1.0;
    return out;
  }

  void constrain(Eigen::MatrixXd& natural) const {
    for (size_t j = 0; j < 3 * parts_; ++j) {
      const Eigen::Index row = at(j);
      double common = std::numeric_limits<double>::quiet_NaN();
      for (size_t k = 0; k < k_ && fixed_.size() > 0; ++k)
        if (!std::isnan(fixed_(row, at(k)))) natural(row, at(k)) = common = fixed_(row, at(k));
      if (is_shared(j)) natural.row(row).setConstant(std::isnan(common) ? natural.row(row).mean() : common);
    }
    for (size_t k = 0; k < k_; ++k) {
      double free = 1.0, total = 0.0;
      for (size_t m = 0; m < parts_; ++m) {
        if (held(m, k))
          free -= natural(at(m), at(k));
        else
          total += natural(at(m), at(k));
      }
      for (size_t m = 0; m < parts_; ++m)
        if (!held(m, k) && total > 0.0) natural(at(m), at(k)) *= std::max(free, 0.0) / total;
    }
  }

  bool invalid(size_t component, Degeneracy::Kind kind) {
    degeneracy_ = {kind, component};
    return false;
  }

  void load(const RowTile& rows, Space& w) const {
    const size_t size = rows.size();
    if (!any_missing_ && tile_is_whole(rows)) {
      rows.load(data_.y, 0.0, w.y.data());
      std::fill(w.observed.begin(), w.observed.end(), static_cast<char>(1));
      return;
    }
    rows.load(data_.y, std::numeric_limits<double>::quiet_NaN(), w.y.data());
    for (size_t i = 0; i < size; ++i) {
      w.observed[i] = !std::isnan(w.y[i]);
      if (!w.observed[i]) w.y[i] = overall_.mean;
    }
  }

  // w.joint: the parts' posteriors times w.weight; w.marginal: the component's log density.
  void parts_of(size_t k, size_t size, Space& w) const {
    for (size_t m = 0; m < parts_; ++m) {
      const double center = mean(m, k);
      kernels().log_density_diagonal(w.y.data(), kTileRows, size, 1, &center, &inverse_[k * parts_ + m],
                                     constant_[k * parts_ + m], w.joint.data() + m * kTileRows);
    }
    kernels().posterior(w.joint.data(), kTileRows, size, parts_, w.weight.data(), w.marginal.data());
  }

  void update_proportions(const double* statistics) {
    // Shared proportions are shared as a whole, or else stay as they are where others are free.
    std::vector<double> pooled(parts_, 0.0);
    bool all_shared = !shared_.empty();
    for (size_t m = 0; m < parts_; ++m) {
      all_shared = all_shared && shared_[m];
      for (size_t k = 0; k < k_; ++k) pooled[m] += sums(statistics, m, k)[0];
    }
    for (size_t k = 0; k < k_; ++k) {
      double free = 1.0, total = 0.0;
      const auto weight = [&](size_t m) { return all_shared ? pooled[m] : sums(statistics, m, k)[0]; };
      const auto stays = [&](size_t m) { return held(m, k) || (is_shared(m) && !all_shared); };
      for (size_t m = 0; m < parts_; ++m) {
        if (stays(m))
          free -= proportion(m, k);
        else
          total += weight(m);
      }
      if (!(total > kVanishedWeight)) continue;
      for (size_t m = 0; m < parts_; ++m)
        if (!stays(m)) natural_(at(m), at(k)) = std::max(free, 0.0) * weight(m) / total;
    }
  }

  // Part m of all components; the component that has collapsed, or -1.
  std::ptrdiff_t update_part(size_t m, const double* statistics, const Eigen::MatrixXd& before) {
    const size_t mean_row = parts_ + m, sd_row = 2 * parts_ + m;
    const bool in_turn = k_ > 1 && is_shared(mean_row) && !is_shared(sd_row) && map_.at(mean_row, 0) >= 0;
    Eigen::VectorXd s = natural_.row(at(sd_row));
    for (int turn = 0; turn < (in_turn ? kMaxTurns : 1); ++turn) {
      const Eigen::VectorXd from = s;
      double top = 0.0, bottom = 0.0, weight = 0.0, squares = 0.0;
      for (size_t k = 0; k < k_; ++k) {
        const double* t = sums(statistics, m, k);
        top += (t[0] * before(at(mean_row), at(k)) + t[1]) / (s(at(k)) * s(at(k)));
        bottom += t[0] / (s(at(k)) * s(at(k)));
        weight += t[0];
      }
      Eigen::VectorXd rss(at(k_));
      for (size_t k = 0; k < k_; ++k) {
        const double* t = sums(statistics, m, k);
        const double old = before(at(mean_row), at(k));
        double& center = natural_(at(mean_row), at(k));
        if (map_.at(mean_row, k) >= 0) {
          if (is_shared(mean_row) && weight > kVanishedWeight) center = top / bottom;
          if (!is_shared(mean_row) && t[0] > kVanishedWeight) center = old + t[1] / t[0];
        }
        const double moved = center - old;
        rss(at(k)) = std::max(t[2] - moved * (2.0 * t[1] - moved * t[0]), 0.0);
        squares += rss(at(k));
      }
      for (size_t k = 0; k < k_; ++k) {
        const double n = is_shared(sd_row) ? weight : sums(statistics, m, k)[0];
        if (map_.at(sd_row, k) < 0 || !(n > kVanishedWeight)) continue;
        s(at(k)) = std::sqrt((is_shared(sd_row) ? squares : rss(at(k))) / n);
        if (!(s(at(k)) > kCollapsedShare * overall_.sd())) return static_cast<std::ptrdiff_t>(k);
      }
      if (((s - from).array().abs() <= 1e-14 * s.array()).all()) break;
    }
    natural_.row(at(sd_row)) = s;
    return -1;
  }

  static constexpr int kMaxTurns = 500;

  const ResponseData data_;
  const size_t k_, parts_;
  const Eigen::MatrixXd fixed_;
  const std::vector<bool> shared_;
  const CoordinateMap map_;
  Eigen::MatrixXd natural_;          // 3 M x K
  const ValueMoments overall_;
  std::vector<double> quantiles_;    // M: the middles of the parts' shares of the data
  std::vector<double> inverse_, constant_;  // K x M
  bool any_missing_ = false;
  Degeneracy degeneracy_;
};

inline std::unique_ptr<Response> make_gaussian_mixture(const ResponseData& data, size_t n_components,
                                                       const ResponseOptions& options) {
  return std::unique_ptr<Response>(new GaussianPartsResponse(data, n_components, options));
}

}  // namespace emkit
