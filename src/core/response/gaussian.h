// The normal distribution of one column: a mean and a standard deviation, or coefficients of the mean and a standard
// deviation.
#pragma once
#include "newton.h"
#include "../math/cholesky.h"
#include "pointwise.h"

namespace emkit {

// A standard deviation below this share of the whole column's has collapsed onto a few rows.
constexpr double kCollapsedShare = 1e-6;

// What the two below share: how sums of squares become standard deviations.
class GaussianResponse : public ConstrainedResponse {
 protected:
  GaussianResponse(const ResponseData& data, size_t n_components, const ResponseOptions& options)
      : ConstrainedResponse(data, n_components, options, {Scale::kReal, Scale::kPositive}),
        overall_(value_moments(data)) {}

  double row_constant(size_t row) const final { return row_observed(row) ? -0.5 * kLog2Pi : 0.0; }

  void set_overall() final { set_all({overall_.mean, overall_.sd()}, overall_.mean); }

  size_t sd_row() const { return n_parameters() - 1; }

  // sd (K, in: the current) from the weights and the residual sums of squares, under the constraints. False when one
  // has collapsed.
  bool update_sd(const Eigen::VectorXd& weight, const Eigen::VectorXd& rss, Eigen::VectorXd& sd) {
    const size_t j = sd_row();
    const double total = weight.sum();
    for (Eigen::Index k = 0; k < sd.size(); ++k) {
      if (map_.at(j, static_cast<size_t>(k)) < 0) continue;
      const double w = is_shared(j) ? total : weight(k);
      if (!(w > kVanishedWeight)) continue;
      sd(k) = std::sqrt((is_shared(j) ? rss.sum() : rss(k)) / w);
      if (!(sd(k) > kCollapsedShare * overall_.sd()))
        return invalid(static_cast<size_t>(k), Degeneracy::Kind::kSingular);
    }
    return true;
  }

  const ValueMoments overall_;
};

// Without covariates.
class GaussianMeans final : public GaussianResponse {
 public:
  GaussianMeans(const ResponseData& data, size_t n_components, const ResponseOptions& options)
      : GaussianResponse(data, n_components, options), inv_sd_(n_components), constant_(n_components) {
    set_overall();
  }

  std::unique_ptr<Workspace> make_workspace() const override {
    std::unique_ptr<TileWorkspace> w(new TileWorkspace);
    allocate(3, *w);
    return w;
  }

  void prepare() override {
    for (size_t k = 0; k < n_components(); ++k) {
      inv_sd_[k] = 1.0 / value(1, k);
      constant_[k] = -std::log(value(1, k));
    }
  }

  void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const override {
    TileWorkspace& w = static_cast<TileWorkspace&>(workspace);
    load_y(rows, w);
    const size_t size = rows.size();
    for (size_t k = 0; k < n_components(); ++k) {
      double* column = out + k * stride;
      double* target = add ? w.scratch.data() : column;
      const double mean = value(0, k);
      kernels().log_density_diagonal(w.y.data(), kTileRows, size, 1, &mean, &inv_sd_[k], constant_[k], target);
      mask_density(rows, w, target);
      if (add)
        for (size_t i = 0; i < size; ++i) column[i] += target[i];
    }
  }

  // n, the sum and the sum of squares about the current mean.
  size_t n_statistics() const override { return 3 * n_components(); }

  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                  double* statistics) const override {
    TileWorkspace& w = static_cast<TileWorkspace&>(workspace);
    load_y(rows, w);
    for (size_t k = 0; k < n_components(); ++k) {
      std::fill(w.sums.data(), w.sums.data() + 3 * kWide, 0.0);
      const double mean = value(0, k);
      kernels().accumulate_diagonal(w.y.data(), kTileRows, rows.size(), 1, &mean,
                                    mask_posterior(rows, w, posterior + k * stride), w.sums.data());
      kernels().fold_wide(w.sums.data(), 3, statistics + 3 * k);
    }
  }

  bool m_step_is_exact() const override { return true; }

  // Closed form; where the mean is shared and the standard deviations are not, the two are updated in turn until
  // neither changes.
  bool m_step(const double* statistics) override {
    const Eigen::Index K = natural_.cols();
    const Eigen::Map<const Eigen::MatrixXd> s(statistics, 3, K);
    if (!s.allFinite()) return invalid(0);
    const Eigen::VectorXd n = s.row(0);
    Eigen::VectorXd mean = natural_.row(0), sd = natural_.row(1), rss(K);
    const bool in_turn = is_shared(0) && map_.at(0, 0) >= 0 && K > 1 && !is_shared(1);
    for (int turn = 0; turn < (in_turn ? kMaxTurns : 1); ++turn) {
      const Eigen::VectorXd before = sd;
      double top = 0.0, bottom = 0.0;
      for (Eigen::Index k = 0; k < K; ++k) {
        top += (n(k) * natural_(0, k) + s(1, k)) / (sd(k) * sd(k));
        bottom += n(k) / (sd(k) * sd(k));
      }
      for (Eigen::Index k = 0; k < K; ++k) {
        if (map_.at(0, static_cast<size_t>(k)) >= 0) {
          if (is_shared(0) && n.sum() > kVanishedWeight) mean(k) = top / bottom;
          if (!is_shared(0) && n(k) > kVanishedWeight) mean(k) = natural_(0, k) + s(1, k) / n(k);
        }
        const double moved = mean(k) - natural_(0, k);
        rss(k) = std::max(s(2, k) - moved * (2.0 * s(1, k) - moved * n(k)), 0.0);
      }
      if (!update_sd(n, rss, sd)) return false;
      if (((sd - before).array().abs() <= 1e-14 * sd.array()).all()) break;
    }
    natural_.row(0) = mean;
    natural_.row(1) = sd;
    return true;
  }

  void score(const double* statistics, double* gradient) const override {
    const Eigen::Map<const Eigen::MatrixXd> s(statistics, 3, natural_.cols());
    Eigen::MatrixXd g(2, natural_.cols());
    for (Eigen::Index k = 0; k < g.cols(); ++k) {
      const double precision = 1.0 / (natural_(1, k) * natural_(1, k));
      g(0, k) = s(1, k) * precision;
      g(1, k) = s(2, k) * precision - s(0, k);
    }
    reduce(g, gradient);
  }

 private:
  static constexpr int kMaxTurns = 500;
  std::vector<double> inv_sd_, constant_;
};

// With covariates and the identity link: weighted least squares.
class GaussianRegression final : public GaussianResponse {
 public:
  GaussianRegression(const ResponseData& data, size_t n_components, const ResponseOptions& options)
      : GaussianResponse(data, n_components, options) {
    set_overall();
    prepare();
  }

  std::unique_ptr<Workspace> make_workspace() const override {
    std::unique_ptr<TileWorkspace> w(new TileWorkspace);
    allocate(n_each(), *w);
    return w;
  }
  void prepare() override { gather_coefficients(); }

  void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const override {
    TileWorkspace& w = static_cast<TileWorkspace&>(workspace);
    load_y(rows, w);
    load_x(rows, w);
    predict(rows, w);
    const size_t size = rows.size();
    const double zero = 0.0;
    for (size_t k = 0; k < n_components(); ++k) {
      double* column = out + k * stride;
      double* target = add ? w.scratch.data() : column;
      const double sd = value(sd_row(), k), inv_sd = 1.0 / sd;
      residuals(k, size, w);
      kernels().log_density_diagonal(w.x.data() + data_.n_predictors * kTileRows, kTileRows, size, 1, &zero, &inv_sd,
                                     -std::log(sd), target);
      mask_density(rows, w, target);
      if (add)
        for (size_t i = 0; i < size; ++i) column[i] += target[i];
    }
  }

  // The weighted scatter of (x, r), r the residual from the current coefficients: n, p + 1 sums, the lower triangle.
  size_t n_statistics() const override { return n_components() * n_each(); }

  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                  double* statistics) const override {
    TileWorkspace& w = static_cast<TileWorkspace&>(workspace);
    load_y(rows, w);
    load_x(rows, w);
    predict(rows, w);
    const size_t d = data_.n_predictors + 1;
    const std::vector<double> zero(d, 0.0);
    for (size_t k = 0; k < n_components(); ++k) {
      residuals(k, rows.size(), w);
      std::fill(w.sums.data(), w.sums.data() + n_each() * kWide, 0.0);
      kernels().accumulate_scatter(w.x.data(), kTileRows, rows.size(), d, zero.data(),
                                   mask_posterior(rows, w, posterior + k * stride), w.scratch.data(), w.sums.data());
      kernels().fold_wide(w.sums.data(), n_each(), statistics + k * n_each());
    }
  }

  bool m_step_is_exact() const override { return true; }

  // Least squares given the standard deviations, then those; in turn until neither changes where coefficients are
  // shared and the standard deviations are not.
  bool m_step(const double* statistics) override {
    const Eigen::Index K = natural_.cols(), p = static_cast<Eigen::Index>(n_coefficients_);
    Eigen::VectorXd n(K), rr(K), rss(K), sd = natural_.row(p);
    Eigen::MatrixXd xr(p, K);
    std::vector<Eigen::MatrixXd> xx;
    for (Eigen::Index k = 0; k < K; ++k) {
      const double* s = statistics + static_cast<size_t>(k) * n_each();
      const Eigen::MatrixXd scatter = scatter_of(s);
      if (!scatter.allFinite()) return invalid(static_cast<size_t>(k));
      n(k) = s[0];
      const double use = n(k) > kVanishedWeight ? 1.0 : 0.0;
      xx.push_back(use * scatter.topLeftCorner(p, p));
      xr.col(k) = use * scatter.row(p).head(p).transpose();
      rr(k) = scatter(p, p);
    }
    bool in_turn = false;
    for (size_t j = 0; j < n_coefficients_; ++j) in_turn = in_turn || (is_shared(j) && map_.at(j, 0) >= 0);
    in_turn = in_turn && K > 1 && !is_shared(sd_row());
    const Eigen::VectorXd unlimited = Eigen::VectorXd::Constant(p + 1, std::numeric_limits<double>::infinity());
    Eigen::MatrixXd step = Eigen::MatrixXd::Zero(p + 1, K);
    for (int turn = 0; turn < (in_turn ? kMaxTurns : 1); ++turn) {
      const Eigen::VectorXd before = sd;
      Eigen::MatrixXd g = Eigen::MatrixXd::Zero(p + 1, K);
      std::vector<Eigen::MatrixXd> h(static_cast<size_t>(K), Eigen::MatrixXd::Zero(p + 1, p + 1));
      for (Eigen::Index k = 0; k < K; ++k) {
        g.col(k).head(p) = xr.col(k) / (sd(k) * sd(k));
        h[static_cast<size_t>(k)].topLeftCorner(p, p) = xx[static_cast<size_t>(k)] / (sd(k) * sd(k));
      }
      step = newton_step(map_, g, h, unlimited);
      for (Eigen::Index k = 0; k < K; ++k) {
        const Eigen::VectorXd d = step.col(k).head(p);
        rss(k) = std::max(rr(k) - d.dot(2.0 * xr.col(k) - xx[static_cast<size_t>(k)] * d), 0.0);
      }
      if (!update_sd(n, rss, sd)) return false;
      if (((sd - before).array().abs() <= 1e-14 * sd.array()).all()) break;
    }
    if (!step.allFinite() || !(natural_.topRows(p) + step.topRows(p)).allFinite()) return invalid(0);
    natural_.topRows(p) += step.topRows(p);
    natural_.row(p) = sd;
    return true;
  }

  void score(const double* statistics, double* gradient) const override {
    const Eigen::Index p = static_cast<Eigen::Index>(n_coefficients_);
    Eigen::MatrixXd g(p + 1, natural_.cols());
    for (Eigen::Index k = 0; k < g.cols(); ++k) {
      const double* s = statistics + static_cast<size_t>(k) * n_each();
      const Eigen::MatrixXd scatter = scatter_of(s);
      const double precision = 1.0 / (natural_(p, k) * natural_(p, k));
      g.col(k).head(p) = scatter.row(p).head(p).transpose() * precision;
      g(p, k) = scatter(p, p) * precision - s[0];
    }
    reduce(g, gradient);
  }

 private:
  static constexpr int kMaxTurns = 500;

  size_t n_each() const { return 1 + data_.n_predictors + 1 + packed_size(data_.n_predictors + 1); }

  // The residuals from component k's predictor, into the column after those of x.
  void residuals(size_t k, size_t size, TileWorkspace& w) const {
    double* r = w.x.data() + data_.n_predictors * kTileRows;
    const double* eta = w.eta.data() + k * kTileRows;
    for (size_t i = 0; i < size; ++i) r[i] = w.y[i] - eta[i];
  }

  // The (p + 1) x (p + 1) scatter of one component's statistics.
  Eigen::MatrixXd scatter_of(const double* statistics) const {
    const size_t d = data_.n_predictors + 1;
    return unpack_lower(statistics + 1 + d, d).selfadjointView<Eigen::Lower>();
  }
};

// The log link, for which there is no closed form. The auxiliary parameter is the standard deviation.
struct GaussianLogLink {
  static constexpr size_t kColumns = 1, kAuxiliary = 1;
  static constexpr bool kDiscrete = false, kMeanIsRatio = false;
  struct Component {
    double sd;
  };

  GaussianLogLink(const ResponseOptions&, bool) {}
  Scale mean_scale() const { return Scale::kPositive; }
  std::vector<Scale> auxiliary_scales() const { return {Scale::kPositive}; }
  double max_mean_step() const { return 2.0; }
  Component component(const double* auxiliary) const { return {auxiliary[0]}; }
  double link(double mean) const { return mean > 0.0 ? std::log(mean) : 0.0; }

  void overall(const ValueMoments& y, const ValueMoments&, double* parameters) const {
    parameters[0] = y.mean;
    parameters[1] = y.sd();
  }

  bool collapsed(const double* auxiliary, const ValueMoments& y) const {
    return !(auxiliary[0] > kCollapsedShare * y.sd());
  }

  double log_density(const double* y, double eta, const Component& c) const {
    const double u = (y[0] - std::exp(eta)) / c.sd;
    return -0.5 * u * u - std::log(c.sd);
  }

  // d eta, d log sd; the expected information.
  void derivatives(const double* y, double eta, const Component& c, double* g, double* h) const {
    const double mean = std::exp(eta), u = (y[0] - mean) / c.sd;
    g[0] = u * mean / c.sd;
    g[1] = u * u - 1.0;
    h[0] = mean * mean / (c.sd * c.sd);
    h[1] = 0.0;
    h[2] = 2.0;
  }

  double row_constant(const double*) const { return -0.5 * kLog2Pi; }
};

inline std::unique_ptr<Response> make_gaussian(const ResponseData& data, size_t n_components,
                                               const ResponseOptions& options) {
  if (data.intercept_only()) return std::unique_ptr<Response>(new GaussianMeans(data, n_components, options));
  if (options.link == "log")
    return std::unique_ptr<Response>(new PointwiseResponse<GaussianLogLink>(data, n_components, options));
  return std::unique_ptr<Response>(new GaussianRegression(data, n_components, options));
}

}  // namespace emkit
