// Continuous families that are exponential families in a few statistics of a row, without covariates:
// log f(y) = c(parameters) + sum_j w_j(parameters) T_j(y) (+ what depends on y alone). Densities and sums are linear in
// the T_j, and the sums are all that an exact M-step needs.
//
// The columns of the data are the T_j. A family F has
//   kColumns, kParameters
//   scales()                                      of the parameters
//   linear(parameters, w, c)
//   start(means, parameters)                      of the T_j: near the maximum; in: the present parameters
//   derivatives(parameters, means, g, h)          per row: the gradient in the coordinates and the expected information
//                                                 (lower triangle, packed)
//   collapsed(parameters, those of all the data)  on a few rows, where the likelihood has no bound
//   row_constant(T)
#pragma once
#include "gaussian.h"
#include "newton.h"

namespace emkit {

template <class F>
class ExponentialFamilyResponse final : public ConstrainedResponse {
 public:
  ExponentialFamilyResponse(const ResponseData& data, size_t n_components, const ResponseOptions& options)
      : ConstrainedResponse(data, n_components, options, F::scales()),
        weight_(F::kColumns * n_components),
        intercept_(n_components),
        overall_(F::kParameters, 0.0) {
    double means[F::kColumns];
    for (size_t c = 0; c < F::kColumns; ++c) means[c] = value_moments(data, c).mean;
    F::start(means, overall_.data());
    set_overall();
    prepare();
  }

  std::unique_ptr<Workspace> make_workspace() const override {
    std::unique_ptr<TileWorkspace> w(new TileWorkspace);
    allocate(n_statistics(), *w);
    return w;
  }

  void prepare() override {
    for (size_t k = 0; k < n_components(); ++k) F::linear(column(k), &weight_[k * F::kColumns], intercept_[k]);
  }

  void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const override {
    TileWorkspace& w = static_cast<TileWorkspace&>(workspace);
    load_y(rows, w);
    const size_t size = rows.size();
    const bool direct = !add && stride == kTileRows;
    double* target = direct ? out : w.eta.data();
    kernels().linear_scores(w.y.data(), kTileRows, size, F::kColumns, n_components(), weight_.data(), intercept_.data(),
                            target);
    for (size_t k = 0; k < n_components(); ++k) {
      mask_density(rows, w, target + k * kTileRows);
      if (direct) continue;
      for (size_t i = 0; i < size; ++i)
        out[k * stride + i] = (add ? out[k * stride + i] : 0.0) + target[k * kTileRows + i];
    }
  }

  double row_constant(size_t row) const override {
    if (!row_observed(row)) return 0.0;
    double t[F::kColumns];
    for (size_t c = 0; c < F::kColumns; ++c) t[c] = data_.y[c * data_.n + row];
    return F::row_constant(t);
  }

  // For each component its weight and the sums of the T_j.
  size_t n_statistics() const override { return (1 + F::kColumns) * n_components(); }

  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                  double* statistics) const override {
    TileWorkspace& w = static_cast<TileWorkspace&>(workspace);
    load_y(rows, w);
    const double* z = posterior;
    if (!w.whole || stride != kTileRows) {
      for (size_t k = 0; k < n_components(); ++k) {
        const double* masked = mask_posterior(rows, w, posterior + k * stride);
        std::copy(masked, masked + rows.size(), w.eta.data() + k * kTileRows);
      }
      z = w.eta.data();
    }
    std::fill(w.sums.data(), w.sums.data() + n_statistics() * kWide, 0.0);
    kernels().accumulate_sums(w.y.data(), kTileRows, rows.size(), F::kColumns, n_components(), z, w.sums.data());
    kernels().fold_wide(w.sums.data(), n_statistics(), statistics);
  }

  bool m_step_is_exact() const override { return true; }

  // Fisher scoring from a point near the maximum, uphill, to convergence. Without constraints the expected information
  // is the observed one at the maximum, and convergence is quadratic.
  bool m_step(const double* statistics) override {
    const Eigen::Map<const Eigen::MatrixXd> s(statistics, 1 + F::kColumns, natural_.cols());
    if (!s.allFinite()) return invalid(0);
    const Eigen::MatrixXd before = natural_;
    double rounding = 0.0;
    double now = objective(s, rounding);
    start(s);
    if (const double there = objective(s, rounding); there >= now)
      now = there;
    else
      natural_ = before;
    for (int i = 0; i < kMaxSteps; ++i) {
      if (const std::ptrdiff_t k = collapsed(s); k >= 0) {
        natural_ = before;
        return invalid(static_cast<size_t>(k), Degeneracy::Kind::kSingular);
      }
      Eigen::MatrixXd step = step_of(s);
      const Eigen::MatrixXd from = natural_;
      bool moved = false;
      for (int half = 0; half < kMaxHalvings && !moved; ++half, step *= 0.5) {
        natural_ = from;
        if (!take_step(step)) continue;
        const double there = objective(s, rounding);
        moved = there >= now - kRounding * rounding;
        if (moved) now = there;
      }
      if (!moved) natural_ = from;
      if (!moved || step.cwiseAbs().maxCoeff() < kSmallStep) break;
    }
    return true;
  }

  void set_overall() override { set_all(overall_, overall_[0]); }

  void score(const double* statistics, double* gradient) const override {
    const Eigen::Map<const Eigen::MatrixXd> s(statistics, 1 + F::kColumns, natural_.cols());
    Eigen::MatrixXd g;
    std::vector<Eigen::MatrixXd> h;
    derivatives(s, g, h);
    reduce(g, gradient);
  }

 private:
  static constexpr int kMaxSteps = 300, kMaxHalvings = 30;
  static constexpr double kRounding = 1e-14, kSmallStep = 1e-9, kMaxStep = 2.0;

  using Sums = Eigen::Map<const Eigen::MatrixXd>;

  const double* column(size_t k) const { return natural_.data() + k * F::kParameters; }
  bool has_rows(const Sums& s, size_t k) const { return s(0, static_cast<Eigen::Index>(k)) > kVanishedWeight; }

  // The expected complete-data log-likelihood; `rounding` is the size of the terms it is made of.
  double objective(const Sums& s, double& rounding) const {
    double value = 0.0;
    rounding = 0.0;
    for (size_t k = 0; k < n_components(); ++k) {
      const Eigen::Index at = static_cast<Eigen::Index>(k);
      double w[F::kColumns], c;
      F::linear(column(k), w, c);
      value += s(0, at) * c;
      rounding += std::abs(s(0, at) * c);
      for (size_t j = 0; j < F::kColumns; ++j) {
        const double term = w[j] * s(1 + static_cast<Eigen::Index>(j), at);
        value += term;
        rounding += std::abs(term);
      }
    }
    return value;
  }

  void start(const Sums& s) {
    for (size_t k = 0; k < n_components(); ++k) {
      if (!has_rows(s, k)) continue;
      double means[F::kColumns];
      means_of(s, k, means);
      F::start(means, natural_.data() + k * F::kParameters);
    }
    constrain(natural_);
  }

  static void means_of(const Sums& s, size_t k, double* means) {
    const Eigen::Index at = static_cast<Eigen::Index>(k);
    for (size_t j = 0; j < F::kColumns; ++j) means[j] = s(1 + static_cast<Eigen::Index>(j), at) / s(0, at);
  }

  // The first component of free parameters that has collapsed, or -1.
  std::ptrdiff_t collapsed(const Sums& s) const {
    for (size_t k = 0; k < n_components(); ++k)
      if (has_rows(s, k) && map_.at(F::kParameters - 1, k) >= 0 && F::collapsed(column(k), overall_.data()))
        return static_cast<std::ptrdiff_t>(k);
    return -1;
  }

  void derivatives(const Sums& s, Eigen::MatrixXd& gradient, std::vector<Eigen::MatrixXd>& information) const {
    gradient = Eigen::MatrixXd::Zero(natural_.rows(), natural_.cols());
    information.assign(n_components(), Eigen::MatrixXd::Zero(natural_.rows(), natural_.rows()));
    for (size_t k = 0; k < n_components(); ++k) {
      if (!has_rows(s, k)) continue;
      double means[F::kColumns], g[F::kParameters], h[F::kParameters * (F::kParameters + 1) / 2];
      means_of(s, k, means);
      F::derivatives(column(k), means, g, h);
      const double n = s(0, static_cast<Eigen::Index>(k));
      for (size_t a = 0; a < F::kParameters; ++a) {
        gradient(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(k)) = n * g[a];
        for (size_t b = 0; b < F::kParameters; ++b)
          information[k](static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(b)) =
              n * h[a >= b ? packed_index(a, b) : packed_index(b, a)];
      }
    }
  }

  Eigen::MatrixXd step_of(const Sums& s) const {
    Eigen::MatrixXd g;
    std::vector<Eigen::MatrixXd> h;
    derivatives(s, g, h);
    return newton_step(map_, g, h, Eigen::VectorXd::Constant(natural_.rows(), kMaxStep));
  }

  std::vector<double> weight_, intercept_;  // K x n_columns, K
  std::vector<double> overall_;             // parameters of all the data
};

}  // namespace emkit
