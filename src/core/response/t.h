// Student's t distribution: a location (or coefficients of it), a scale and degrees of freedom.
#pragma once
#include <algorithm>

#include "../math/special.h"
#include "gaussian.h"
#include "newton.h"

namespace emkit {

// The row is normal given a gamma weight, whose expectation is w = (nu + 1) / (nu + u^2), u = (y - location) / scale.
// The M-step is that of the parameter-expanded EM (Liu, Rubin & Wu 1998, Biometrika 85:755-770) for location and scale:
// least squares with weights z w, and the scale from sum z w r^2 / sum z w, which goes uphill in one step from
// anywhere. The degrees of freedom, for which EM needs thousands of steps when they are many, take a Newton step along
// the scale that goes with them, which alone may overshoot. (formulas.Rmd, R4)
class StudentResponse final : public ConstrainedResponse {
 public:
  StudentResponse(const ResponseData& data, size_t n_components, const ResponseOptions& options)
      : ConstrainedResponse(data, n_components, options, {Scale::kReal, Scale::kPositive, Scale::kSize}),
        overall_(value_moments(data)) {
    std::vector<double> values;
    for (size_t i = 0; i < data.n; ++i)
      if (!std::isnan(data.y[i])) values.push_back(data.y[i]);
    middle_ = median(values);
    for (double& v : values) v = std::abs(v - middle_);
    spread_ = kMadToSd * median(values);
    if (!(spread_ > kCollapsedShare * overall_.sd())) spread_ = overall_.sd();
    if (!(spread_ > 0.0)) spread_ = 1.0;
    set_overall();
    prepare();
  }

  std::unique_ptr<Workspace> make_workspace() const override {
    std::unique_ptr<StudentWorkspace> w(new StudentWorkspace);
    allocate(n_each(), *w);
    w->square.resize(kTileRows);
    w->log.resize(kTileRows);
    return w;
  }

  void prepare() override {
    if (n_coefficients_ > 0) gather_coefficients();
    components_.resize(n_components());
    for (size_t k = 0; k < n_components(); ++k) {
      Component& c = components_[k];
      c.nu = value(df_row(), k);
      c.normal = !(c.nu < kNormal);
      c.scale = value(scale_row(), k);
      // log Gamma((nu + 1) / 2) - log Gamma(nu / 2) - log(nu / 2) / 2, by Stirling's formula and its errors.
      c.constant = -std::log(c.scale);
      if (c.normal) continue;
      c.constant += 0.5 * c.nu * std::log1p(1.0 / c.nu) - 0.5 + stirling_error(0.5 * c.nu + 0.5) -
                    stirling_error(0.5 * c.nu);
      // psi((nu + 1) / 2) - psi(nu / 2)
      c.digammas = std::log1p(1.0 / c.nu) - log_minus_digamma(0.5 * c.nu + 0.5) + log_minus_digamma(0.5 * c.nu);
    }
  }

  void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const override {
    StudentWorkspace& w = static_cast<StudentWorkspace&>(workspace);
    load(rows, w);
    const size_t size = rows.size();
    for (size_t k = 0; k < n_components(); ++k) {
      const Component& c = components_[k];
      residuals(k, size, w);
      double* target = w.scratch.data();
      if (c.normal) {
        for (size_t i = 0; i < size; ++i) target[i] = c.constant - 0.5 * w.square[i];
      } else {
        logs(c, size, w);
        const double half = 0.5 * (c.nu + 1.0);
        for (size_t i = 0; i < size; ++i) target[i] = c.constant - half * w.log[i];
      }
      mask_density(rows, w, target);
      double* column = out + k * stride;
      for (size_t i = 0; i < size; ++i) column[i] = (add ? column[i] : 0.0) + target[i];
    }
  }

  double row_constant(size_t row) const override { return row_observed(row) ? -0.5 * kLog2Pi : 0.0; }

  // Of each component: its weight, the gradient in log nu (in 1 / nu where it is normal), then the scatter of (x, r)
  // with weights z w: sum, sums, lower triangle. Without covariates x is absent.
  size_t n_statistics() const override { return n_components() * n_each(); }

  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                  double* statistics) const override {
    StudentWorkspace& w = static_cast<StudentWorkspace&>(workspace);
    load(rows, w);
    const size_t size = rows.size(), d = n_coefficients_ + 1;
    const std::vector<double> zero(d, 0.0);
    for (size_t k = 0; k < n_components(); ++k) {
      const Component& c = components_[k];
      residuals(k, size, w);
      const double* z = mask_posterior(rows, w, posterior + k * stride);
      double* s = statistics + k * n_each();
      double total = 0.0, slope = 0.0;
      double* weight = w.weight.data();
      if (c.normal) {
        for (size_t i = 0; i < size; ++i) {
          const double q = w.square[i];
          total += z[i];
          slope += z[i] * (q * (0.25 * q - 0.5) - 0.25);
          weight[i] = z[i];
        }
      } else {
        logs(c, size, w);
        for (size_t i = 0; i < size; ++i) {
          const double q = w.square[i], v = (c.nu + 1.0) / (c.nu + q);
          total += z[i];
          slope += z[i] * (c.digammas - w.log[i] + (v * q - 1.0) / c.nu);
          weight[i] = z[i] * v;
        }
        slope *= 0.5 * c.nu;
      }
      s[0] += total;
      s[1] += slope;
      std::fill(w.sums.data(), w.sums.data() + n_each() * kWide, 0.0);
      // The residuals are the column behind those of x.
      kernels().accumulate_scatter(w.x.data() + first_column() * kTileRows, kTileRows, size, d, zero.data(), weight,
                                   w.scratch.data(), w.sums.data());
      kernels().fold_wide(w.sums.data(), n_each() - 2, s + 2);
    }
  }

  bool m_step_is_exact() const override { return false; }

  bool m_step(const double* statistics) override {
    for (size_t i = 0; i < n_statistics(); ++i)
      if (!std::isfinite(statistics[i])) return invalid(i / n_each());
    const Eigen::MatrixXd before = natural_;
    const std::vector<double> step = df_step(statistics);
    if (!location_and_scale(statistics)) {
      natural_ = before;
      return false;
    }
    for (size_t k = 0; k < n_components(); ++k)
      if (map_.at(df_row(), k) >= 0) value(df_row(), k) = moved_df(value(df_row(), k), step[k]);
    return true;
  }

  void set_overall() override { set_all({middle_, spread_, kFirstDf}, middle_); }

  void score(const double* statistics, double* gradient) const override {
    Eigen::MatrixXd g = Eigen::MatrixXd::Zero(natural_.rows(), natural_.cols());
    const Eigen::Index p = static_cast<Eigen::Index>(n_coefficients_);
    for (size_t k = 0; k < n_components(); ++k) {
      const double* s = statistics + k * n_each();
      const Eigen::Index at = static_cast<Eigen::Index>(k);
      const Eigen::MatrixXd scatter = scatter_of(s);
      const double precision = 1.0 / (value(scale_row(), k) * value(scale_row(), k));
      if (p > 0)
        g.col(at).head(p) = scatter.row(p).head(p).transpose() * precision;
      else
        g(0, at) = s[3] * precision;
      g(natural_.rows() - 2, at) = scatter(p, p) * precision - s[0];
      g(natural_.rows() - 1, at) = components_[k].normal ? 0.0 : s[1];
    }
    reduce(g, gradient);
  }

 private:
  static constexpr double kNormal = 1e6;      // as many degrees of freedom are infinitely many
  static constexpr double kFirstDf = 8.0;
  static constexpr double kLeastDf = 0.05;
  static constexpr double kMaxDfStep = 1.0;   // of log nu
  static constexpr double kMadToSd = 1.4826;
  static constexpr int kMaxTurns = 500;

  struct Component {
    double nu, scale, constant, digammas = 0.0;
    bool normal;
  };

  struct StudentWorkspace : TileWorkspace {
    AlignedBuffer square, log;  // u^2, log(1 + u^2 / nu)
  };

  static double median(std::vector<double>& v) {
    if (v.empty()) return 0.0;
    const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
    std::nth_element(v.begin(), middle, v.end());
    return *middle;
  }

  size_t scale_row() const { return n_parameters() - 2; }
  size_t df_row() const { return n_parameters() - 1; }
  // The columns of x take part in the scatter only where there are coefficients.
  size_t first_column() const { return n_coefficients_ > 0 ? 0 : data_.n_predictors; }
  size_t n_each() const { return 3 + (n_coefficients_ + 1) + packed_size(n_coefficients_ + 1); }

  void load(const RowTile& rows, TileWorkspace& w) const {
    load_y(rows, w);
    if (n_coefficients_ == 0) return;
    load_x(rows, w);
    predict(rows, w);
  }

  // r behind the columns of x, u^2 in w.square.
  void residuals(size_t k, size_t size, StudentWorkspace& w) const {
    double* r = w.x.data() + data_.n_predictors * kTileRows;
    const double* eta = w.eta.data() + k * kTileRows;
    const double location = n_coefficients_ > 0 ? 0.0 : value(0, k), inverse = 1.0 / components_[k].scale;
    if (n_coefficients_ > 0)
      for (size_t i = 0; i < size; ++i) r[i] = w.y[i] - eta[i];
    else
      for (size_t i = 0; i < size; ++i) r[i] = w.y[i] - location;
    for (size_t i = 0; i < size; ++i) w.square[i] = (r[i] * inverse) * (r[i] * inverse);
  }

  static void logs(const Component& c, size_t size, StudentWorkspace& w) {
    const double inverse = 1.0 / c.nu;
    for (size_t i = 0; i < size; ++i) w.log[i] = 1.0 + w.square[i] * inverse;
    kernels().log_n(w.log.data(), size, w.log.data());
  }

  Eigen::MatrixXd scatter_of(const double* statistics) const {
    const size_t d = n_coefficients_ + 1;
    return unpack_lower(statistics + 3 + d, d).selfadjointView<Eigen::Lower>();
  }

  // Least squares with the weights, then the scales; in turn until neither changes where the location is shared and the
  // scale is not.
  bool location_and_scale(const double* statistics) {
    const Eigen::Index K = natural_.cols(), p = static_cast<Eigen::Index>(n_coefficients_);
    const Eigen::Index q = std::max<Eigen::Index>(p, 1);
    Eigen::VectorXd n(K), rr(K), rss(K), scale = natural_.row(q);
    Eigen::MatrixXd xr(q, K);
    std::vector<Eigen::MatrixXd> xx;
    bool in_turn = false;
    for (Eigen::Index j = 0; j < q; ++j)
      in_turn = in_turn || (is_shared(static_cast<size_t>(j)) && map_.at(static_cast<size_t>(j), 0) >= 0);
    in_turn = in_turn && K > 1 && !is_shared(scale_row());
    for (Eigen::Index k = 0; k < K; ++k) {
      const double* s = statistics + static_cast<size_t>(k) * n_each();
      const Eigen::MatrixXd scatter = scatter_of(s);
      const double use = s[0] > kVanishedWeight ? 1.0 : 0.0;
      n(k) = use * s[2];
      rr(k) = use * scatter(p, p);
      if (p > 0) {
        xx.push_back(use * scatter.topLeftCorner(p, p));
        xr.col(k) = use * scatter.row(p).head(p).transpose();
      } else {
        xx.push_back(Eigen::MatrixXd::Constant(1, 1, n(k)));
        xr(0, k) = use * s[3];
      }
    }
    const Eigen::VectorXd unlimited = Eigen::VectorXd::Constant(q + 2, std::numeric_limits<double>::infinity());
    Eigen::MatrixXd step;
    for (int turn = 0; turn < (in_turn ? kMaxTurns : 1); ++turn) {
      const Eigen::VectorXd from = scale;
      Eigen::MatrixXd g = Eigen::MatrixXd::Zero(q + 2, K);
      std::vector<Eigen::MatrixXd> h(static_cast<size_t>(K), Eigen::MatrixXd::Zero(q + 2, q + 2));
      for (Eigen::Index k = 0; k < K; ++k) {
        const double precision = 1.0 / (scale(k) * scale(k));
        g.col(k).head(q) = xr.col(k) * precision;
        h[static_cast<size_t>(k)].topLeftCorner(q, q) = xx[static_cast<size_t>(k)] * precision;
      }
      step = newton_step(map_, g, h, unlimited);
      for (Eigen::Index k = 0; k < K; ++k) {
        const Eigen::VectorXd d = step.col(k).head(q);
        rss(k) = std::max(rr(k) - d.dot(2.0 * xr.col(k) - xx[static_cast<size_t>(k)] * d), 0.0);
      }
      if (!update_scale(n, rss, scale)) return false;
      if (((scale - from).array().abs() <= 1e-14 * scale.array()).all()) break;
    }
    if (!step.allFinite() || !(natural_.topRows(q) + step.topRows(q)).allFinite()) return invalid(0);
    natural_.topRows(q) += step.topRows(q);
    natural_.row(q) = scale;
    return true;
  }

  bool update_scale(const Eigen::VectorXd& n, const Eigen::VectorXd& rss, Eigen::VectorXd& scale) {
    for (Eigen::Index k = 0; k < scale.size(); ++k) {
      if (map_.at(scale_row(), static_cast<size_t>(k)) < 0) continue;
      const double weight = is_shared(scale_row()) ? n.sum() : n(k);
      if (!(weight > kVanishedWeight)) continue;
      scale(k) = std::sqrt((is_shared(scale_row()) ? rss.sum() : rss(k)) / weight);
      if (!(scale(k) > kCollapsedShare * spread_))
        return invalid(static_cast<size_t>(k), Degeneracy::Kind::kSingular);
    }
    return true;
  }

  // Expected information of a row in (log scale, log nu), or (log scale, 1 / nu) of a normal component (Lange, Little &
  // Taylor 1989, Journal of the American Statistical Association 84:881-896).
  struct Information {
    double scale, cross, df;
  };

  static Information information_of(const Component& c) {
    const double nu = c.nu;
    if (c.normal) return {2.0, 2.0, 3.5};
    Information i;
    i.scale = 2.0 * nu / (nu + 3.0);
    i.cross = -2.0 * nu / ((nu + 1.0) * (nu + 3.0));
    // Differences that lose nu^3 of their digits; the leading term of their expansion is enough for a step.
    i.df = nu < 1e3 ? nu * nu *
                          (0.25 * (trigamma(0.5 * nu) - trigamma(0.5 * nu + 0.5)) -
                           (nu + 5.0) / (2.0 * nu * (nu + 1.0) * (nu + 3.0)))
                    : 3.5 / (nu * nu);
    return i;
  }

  // The Newton step of log nu (of 1 / nu where the component is normal) when the scale follows.
  std::vector<double> df_step(const double* statistics) const {
    std::vector<double> slope(n_components(), 0.0), curvature(n_components(), 0.0);
    for (size_t k = 0; k < n_components(); ++k) {
      const double* s = statistics + k * n_each();
      if (!(s[0] > kVanishedWeight)) continue;
      const Eigen::Index last = static_cast<Eigen::Index>(n_coefficients_);
      const double scale = components_[k].scale;
      const Information i = information_of(components_[k]);
      const double along = scatter_of(s)(last, last) / (scale * scale) - s[0];
      const bool free_scale = map_.at(scale_row(), k) >= 0;
      slope[k] = s[1] - (free_scale ? i.cross / i.scale * along : 0.0);
      curvature[k] = s[0] * std::max(i.df - (free_scale ? i.cross * i.cross / i.scale : 0.0), 0.05 * i.df);
    }
    std::vector<double> step(n_components(), 0.0);
    if (is_shared(df_row())) {
      double g = 0.0, h = 0.0;
      for (size_t k = 0; k < n_components(); ++k) g += slope[k], h += curvature[k];
      std::fill(step.begin(), step.end(), h > 0.0 ? g / h : 0.0);
    } else {
      for (size_t k = 0; k < n_components(); ++k)
        if (curvature[k] > 0.0) step[k] = slope[k] / curvature[k];
    }
    return step;
  }

  // nu after a step; beyond kNormal lies infinity, which it leaves when heavy tails ask for it.
  static double moved_df(double nu, double step) {
    const double infinite = from_coordinate(Scale::kSize, kCoordinateBound);
    if (!(nu < kNormal)) return step > 0.0 ? std::min(std::max(1.0 / step, kFirstDf), infinite) : infinite;
    const double to = nu * std::exp(std::min(std::max(step, -kMaxDfStep), kMaxDfStep));
    return to < kNormal ? std::max(to, kLeastDf) : infinite;
  }

  const ValueMoments overall_;
  double middle_ = 0.0, spread_ = 1.0;  // of all the data: median, and median absolute deviation times kMadToSd
  std::vector<Component> components_;
};

inline std::unique_ptr<Response> make_t(const ResponseData& data, size_t n_components, const ResponseOptions& options) {
  return std::unique_ptr<Response>(new StudentResponse(data, n_components, options));
}

}  // namespace emkit
