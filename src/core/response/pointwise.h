// Families whose rows contribute log f(y; eta, auxiliary): eta the linear predictor (or, without covariates, the mean
// on its coordinate's scale), auxiliary parameters the same for all rows of a component. A family is a small struct
// that knows one row; PointwiseResponse does the rest:
// - with covariates, statistics are the score and the information, and the M-step is one Newton step;
// - a discrete family without covariates keeps a histogram of the posteriors over the distinct values, and the M-step
//   iterates on it until it is at the maximum.
//
// A family F has
//   kColumns         columns of y
//   kAuxiliary       auxiliary parameters
//   kDiscrete        whether values repeat
//   kMeanIsRatio     the maximum is at mean = sum y[0] / sum (y[1] or 1); only without auxiliary parameters
//   F(options, intercept_only)
//   mean_scale()     of the first parameter without covariates; auxiliary_scales()
//   max_mean_step()  how far a Newton step may move eta's intercept or a coefficient
//   component(auxiliary) -> Component, whatever log_density() wants at hand
//   link(mean) -> eta;  overall(moments of the columns, parameters)
//   collapsed(auxiliary, moments): the component has become singular
//   log_density(y, eta, component);  row_constant(y): the part of it that is left out
//   derivatives(y, eta, component, g, h): the gradient (1 + kAuxiliary) with respect to eta and the auxiliary
//     coordinates, and an information, positive semidefinite in sums: the lower triangle, packed. With kObserved (false
//     where not given) the observed information follows, which is used where it is positive definite.
#pragma once
#include "distinct_values.h"
#include "newton.h"
#include "../math/cholesky.h"

namespace emkit {

// Of a column of observed values.
struct ValueMoments {
  double n = 0.0, mean = 0.0, variance = 0.0, zeros = 0.0;  // zeros: their share
  double sd() const { return std::sqrt(variance); }
};

inline ValueMoments value_moments(const ResponseData& data, size_t column = 0) {
  ValueMoments out;
  double squares = 0.0, zeros = 0.0;
  const double* y = data.y + column * data.n;
  for (size_t i = 0; i < data.n; ++i) {
    if (std::isnan(y[i])) continue;
    out.n += 1.0;
    const double r = y[i] - out.mean;
    out.mean += r / out.n;
    squares += r * (y[i] - out.mean);
    if (y[i] == 0.0) zeros += 1.0;
  }
  if (out.n > 0.0) {
    out.variance = squares / out.n;
    out.zeros = zeros / out.n;
  }
  return out;
}

// Whether a family gives the observed information too.
template <class F>
constexpr auto gives_observed(int) -> decltype(F::kObserved) {
  return F::kObserved;
}
template <class F>
constexpr bool gives_observed(...) {
  return false;
}

template <class F>
class PointwiseResponse final : public ConstrainedResponse {
 public:
  PointwiseResponse(const ResponseData& data, size_t n_components, const ResponseOptions& options)
      : ConstrainedResponse(data, n_components, options, scales_of(F(options, data.intercept_only()))),
        family_(options, data.intercept_only()),
        first_(value_moments(data, 0)),
        second_(value_moments(data, data.n_columns - 1)) {
    if (F::kDiscrete && data.intercept_only()) {
      values_.reset(new DistinctValues(data));
      if (!values_->usable()) values_.reset();
    }
    set_overall();
    prepare();
  }

  std::unique_ptr<Workspace> make_workspace() const override {
    std::unique_ptr<PointWorkspace> w(new PointWorkspace);
    const size_t p = data_.n_predictors;
    allocate((1 + kDerivatives) * (1 + p) + kCurves * (1 + p + packed_size(p)), *w);
    w->points.resize((1 + kDerivatives) * kTileRows);
    return w;
  }

  void prepare() override {
    components_.clear();
    for (size_t k = 0; k < n_components(); ++k) components_.push_back(component(k));
    if (n_coefficients_ > 0) {
      gather_coefficients();
      return;
    }
    eta_.resize(n_components());
    for (size_t k = 0; k < n_components(); ++k) eta_[k] = to_scale(scales_[0], value(0, k));
    if (!values_) return;
    const size_t n = values_->size() + 1;
    table_.assign(n * n_components(), 0.0);  // the last of each component: nothing observed
    for (size_t k = 0; k < n_components(); ++k)
      for (size_t v = 0; v + 1 < n; ++v)
        table_[k * n + v] = family_.log_density(values_->value(v), eta_[k], components_[k]);
  }

  void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const override {
    PointWorkspace& w = static_cast<PointWorkspace&>(workspace);
    const size_t size = rows.size();
    if (values_) {
      rows.load(values_->codes(), values_->none(), w.codes.data());
      for (size_t k = 0; k < n_components(); ++k) {
        const double* table = table_.data() + k * (values_->size() + 1);
        double* column = out + k * stride;
        if (add)
          for (size_t i = 0; i < size; ++i) column[i] += table[w.codes[i]];
        else
          for (size_t i = 0; i < size; ++i) column[i] = table[w.codes[i]];
      }
      return;
    }
    load_points(rows, w);
    double y[F::kColumns];
    for (size_t k = 0; k < n_components(); ++k) {
      double* column = out + k * stride;
      const double* eta = w.eta.data() + k * kTileRows;
      for (size_t i = 0; i < size; ++i) {
        double l = 0.0;
        if (w.whole || w.observed[i]) {
          point(w, i, y);
          l = family_.log_density(y, eta[i], components_[k]);
        }
        column[i] = add ? column[i] + l : l;
      }
    }
  }

  double row_constant(size_t row) const override {
    if (!row_observed(row)) return 0.0;
    double y[F::kColumns];
    for (size_t c = 0; c < F::kColumns; ++c) y[c] = data_.y[c * data_.n + row];
    return family_.row_constant(y);
  }

  // The histogram; or for each component its weight, gradient and information.
  size_t n_statistics() const override { return n_components() * n_each(); }

  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                  double* statistics) const override {
    PointWorkspace& w = static_cast<PointWorkspace&>(workspace);
    if (!values_) return accumulate_points(rows, posterior, stride, w, statistics);
    rows.load(values_->codes(), values_->none(), w.codes.data());
    for (size_t k = 0; k < n_components(); ++k) {
      double* histogram = statistics + k * n_each();
      const double* z = posterior + k * stride;
      for (size_t i = 0; i < rows.size(); ++i) histogram[w.codes[i]] += z[i];
    }
  }

  bool m_step_is_exact() const override { return values_ != nullptr; }

  bool m_step(const double* statistics) override {
    for (size_t i = 0; i < n_statistics(); ++i)
      if (!std::isfinite(statistics[i])) return invalid(i / n_each());
    const Eigen::MatrixXd before = natural_;
    bool fine = true;
    if (!values_) {
      fine = take_step(step_of(statistics, derivatives_of(statistics)));
    } else if (F::kMeanIsRatio) {
      ratio_step(statistics);
    } else {
      fine = climb(statistics);
    }
    for (size_t k = 0; fine && k < n_components(); ++k)
      if (weight_of(statistics, k) > kVanishedWeight && is_free(k) && family_.collapsed(auxiliary(k), first_))
        fine = invalid(k, Degeneracy::Kind::kSingular);
    if (!fine) natural_ = before;
    return fine;
  }

  void set_overall() override {
    std::vector<double> parameters(1 + F::kAuxiliary);
    family_.overall(first_, second_, parameters.data());
    set_all(parameters, family_.link(parameters[0]));
  }

  void score(const double* statistics, double* gradient) const override {
    reduce(derivatives_of(statistics).gradient, gradient);
  }

 private:
  // Of one row: a gradient of kPoint, and kCurves informations of kCurve.
  static constexpr size_t kPoint = 1 + F::kAuxiliary, kCurve = kPoint * (kPoint + 1) / 2;
  static constexpr size_t kCurves = gives_observed<F>(0) ? 2 : 1;
  static constexpr size_t kDerivatives = kPoint + kCurves * kCurve;
  static constexpr int kMaxClimb = 500;

  struct PointWorkspace : TileWorkspace {
    std::vector<int> codes = std::vector<int>(kTileRows);
    AlignedBuffer points;  // columns: derivatives of the rows
  };

  // Of all components.
  struct Derivatives {
    Eigen::MatrixXd gradient;                  // m x K
    std::vector<Eigen::MatrixXd> information;  // K times m x m, positive semidefinite
  };

  static std::vector<Scale> scales_of(const F& family) {
    std::vector<Scale> out{family.mean_scale()};
    const std::vector<Scale> rest = family.auxiliary_scales();
    out.insert(out.end(), rest.begin(), rest.end());
    return out;
  }

  size_t n_each() const { return values_ ? values_->size() + 1 : 1 + n_derivatives(); }
  size_t n_derivatives() const { return n_parameters() + kCurves * packed_size(n_parameters()); }
  size_t p() const { return std::max<size_t>(n_coefficients_, 1); }
  const double* auxiliary(size_t k) const { return natural_.data() + k * n_parameters() + p(); }
  typename F::Component component(size_t k) const { return family_.component(auxiliary(k)); }

  bool is_free(size_t k) const {
    for (size_t j = p(); j < n_parameters(); ++j)
      if (map_.at(j, k) >= 0) return true;
    return false;
  }

  double weight_of(const double* statistics, size_t k) const {
    const double* s = statistics + k * n_each();
    double total = s[0];
    if (values_)
      for (size_t v = 1; v < values_->size(); ++v) total += s[v];
    return total;
  }

  void point(const TileWorkspace& w, size_t i, double* y) const {
    for (size_t c = 0; c < F::kColumns; ++c) y[c] = w.y[c * kTileRows + i];
  }

  void load_points(const RowTile& rows, TileWorkspace& w) const {
    load_y(rows, w);
    if (n_coefficients_ > 0) {
      load_x(rows, w);
      predict(rows, w);
    } else {
      for (size_t k = 0; k < n_components(); ++k)
        std::fill(w.eta.data() + k * kTileRows, w.eta.data() + k * kTileRows + rows.size(), eta_[k]);
    }
  }

  void accumulate_points(const RowTile& rows, const double* posterior, size_t stride, PointWorkspace& w,
                         double* statistics) const {
    load_points(rows, w);
    if (n_coefficients_ == 0) load_x(rows, w);
    const size_t size = rows.size(), np = p();
    double y[F::kColumns], g[kPoint], h[kCurves * kCurve];
    for (size_t k = 0; k < n_components(); ++k) {
      const double* z = posterior + k * stride;
      const double* eta = w.eta.data() + k * kTileRows;
      double* columns = w.points.data();  // the posterior, then the derivatives times it
      std::fill(columns, columns + (1 + kDerivatives) * kTileRows, 0.0);
      for (size_t i = 0; i < size; ++i) {
        if (!(w.whole || w.observed[i]) || z[i] == 0.0) continue;
        point(w, i, y);
        family_.derivatives(y, eta[i], components_[k], g, h);
        columns[i] = z[i];
        for (size_t a = 0; a < kPoint; ++a) columns[(1 + a) * kTileRows + i] = z[i] * g[a];
        for (size_t a = 0; a < kDerivatives - kPoint; ++a) columns[(1 + kPoint + a) * kTileRows + i] = z[i] * h[a];
      }
      // Totals and x-weighted sums of all columns; the weighted scatter of x.
      double* wide = w.sums.data();
      const size_t n_sums = (1 + kDerivatives) * (1 + np), n_scatter = 1 + np + packed_size(np);
      const size_t n_wide = n_sums + kCurves * n_scatter;
      std::fill(wide, wide + n_wide * kWide, 0.0);
      kernels().accumulate_sums(w.x.data(), kTileRows, size, np, 1 + kDerivatives, columns, wide);
      const std::vector<double> zero(np, 0.0);
      for (size_t c = 0; c < kCurves; ++c)
        kernels().accumulate_scatter(w.x.data(), kTileRows, size, np, zero.data(),
                                     columns + (1 + kPoint + c * kCurve) * kTileRows, w.scratch.data(),
                                     wide + (n_sums + c * n_scatter) * kWide);
      std::vector<double> sums(n_wide, 0.0);
      kernels().fold_wide(wide, n_wide, sums.data());
      const auto total = [&](size_t column, size_t j) { return sums[column * (1 + np) + j]; };  // j = 0: without x
      double* s = statistics + k * n_each();
      s[0] += total(0, 0);
      double* gradient = s + 1;
      for (size_t j = 0; j < np; ++j) gradient[j] += total(1, 1 + j);
      for (size_t a = 1; a < kPoint; ++a) gradient[np + a - 1] += total(1 + a, 0);
      for (size_t c = 0; c < kCurves; ++c) {
        double* information = gradient + n_parameters() + c * packed_size(n_parameters());
        const size_t first = 1 + kPoint + c * kCurve;  // its columns
        const double* scatter = sums.data() + n_sums + c * n_scatter + 1 + np;
        for (size_t j = 0; j < packed_size(np); ++j) information[j] += scatter[j];
        for (size_t a = 1; a < kPoint; ++a) {
          const size_t row = np + a - 1;
          for (size_t j = 0; j < np; ++j) information[packed_index(row, j)] += total(first + packed_index(a, 0), 1 + j);
          for (size_t b = 1; b <= a; ++b)
            information[packed_index(row, np + b - 1)] += total(first + packed_index(a, b), 0);
        }
      }
    }
  }

  // At the current parameters.
  Derivatives derivatives_of(const double* statistics) const {
    const size_t m = n_parameters();
    Derivatives out;
    out.gradient = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(m), natural_.cols());
    for (size_t k = 0; k < n_components(); ++k) {
      const double* s = statistics + k * n_each();
      std::vector<double> packed(n_derivatives(), 0.0);
      if (!values_) {
        std::copy(s + 1, s + n_each(), packed.begin());
      } else {
        double g[kPoint], h[kCurves * kCurve];
        const typename F::Component c = component(k);
        const double eta = to_coordinate(scales_[0], value(0, k));
        for (size_t v = 0; v < values_->size(); ++v) {
          if (s[v] == 0.0) continue;
          family_.derivatives(values_->value(v), eta, c, g, h);
          for (size_t a = 0; a < kPoint; ++a) packed[a] += s[v] * g[a];
          for (size_t a = 0; a < kDerivatives - kPoint; ++a) packed[kPoint + a] += s[v] * h[a];
        }
      }
      out.gradient.col(static_cast<Eigen::Index>(k)) =
          Eigen::Map<const Eigen::VectorXd>(packed.data(), static_cast<Eigen::Index>(m));
      const double* information = packed.data() + m;
      if (kCurves > 1 && is_definite(information + packed_size(m), k)) information += packed_size(m);
      out.information.push_back(unpack_lower(information, m).template selfadjointView<Eigen::Lower>());
    }
    return out;
  }

  // Whether an information (packed) is well and truly positive definite in component k's free parameters.
  bool is_definite(const double* packed, size_t k) const {
    Eigen::MatrixXd h = unpack_lower(packed, n_parameters()).template selfadjointView<Eigen::Lower>();
    for (size_t j = 0; j < n_parameters(); ++j) {
      const Eigen::Index at = static_cast<Eigen::Index>(j);
      if (map_.at(j, k) >= 0) continue;
      h.row(at).setZero();
      h.col(at).setZero();
      h(at, at) = 1.0;
    }
    if (!h.allFinite() || !(h.diagonal().minCoeff() > 0.0)) return false;
    const Eigen::VectorXd scale = h.diagonal().cwiseSqrt().cwiseInverse();
    const Eigen::LDLT<Eigen::MatrixXd> solver(scale.asDiagonal() * h * scale.asDiagonal());
    return solver.info() == Eigen::Success && solver.vectorD().minCoeff() > 1e-6;
  }

  Eigen::MatrixXd step_of(const double* statistics, Derivatives d) const {
    for (size_t k = 0; k < n_components(); ++k)
      if (!(weight_of(statistics, k) > kVanishedWeight)) {
        d.gradient.col(static_cast<Eigen::Index>(k)).setZero();
        d.information[k].setZero();
      }
    Eigen::VectorXd most = Eigen::VectorXd::Constant(static_cast<Eigen::Index>(n_parameters()), kMaxAuxiliaryStep);
    most.head(static_cast<Eigen::Index>(p())).setConstant(family_.max_mean_step());
    return newton_step(map_, d.gradient, d.information, most);
  }

  // mean = sum y[0] / sum (y[1] or 1), over all components where it is shared.
  void ratio_step(const double* statistics) {
    Eigen::VectorXd top = Eigen::VectorXd::Zero(natural_.cols()), bottom = top, weight = top;
    for (size_t k = 0; k < n_components(); ++k) {
      const Eigen::Index at = static_cast<Eigen::Index>(k);
      for (size_t v = 0; v < values_->size(); ++v) {
        const double z = statistics[k * n_each() + v];
        const double* y = values_->value(v);
        top(at) += z * y[0];
        bottom(at) += z * (F::kColumns > 1 ? y[F::kColumns - 1] : 1.0);
      }
    }
    if (is_shared(0)) {
      top.setConstant(top.sum());
      bottom.setConstant(bottom.sum());
    }
    for (size_t k = 0; k < n_components(); ++k) {
      const Eigen::Index at = static_cast<Eigen::Index>(k);
      if (map_.at(0, k) >= 0 && bottom(at) > kVanishedWeight) value(0, k) = top(at) / bottom(at);
    }
  }

  // The expected complete-data log-likelihood on the histogram.
  double objective(const double* statistics) const {
    double sum = 0.0;
    for (size_t k = 0; k < n_components(); ++k) {
      const double* s = statistics + k * n_each();
      const typename F::Component c = component(k);
      const double eta = to_scale(scales_[0], value(0, k));
      for (size_t v = 0; v < values_->size(); ++v)
        if (s[v] > 0.0) sum += s[v] * family_.log_density(values_->value(v), eta, c);
    }
    return sum;
  }

  // Newton steps, each halved until it goes uphill. The last is the first whose promise, or whose gain, is lost in
  // rounding: it doubles the digits that are right. (Where a parameter is on its way to a bound no step is short, and at
  // the bound the promise is rounding alone.)
  bool climb(const double* statistics) {
    double now = objective(statistics);
    for (int i = 0; i < kMaxClimb; ++i) {
      const Derivatives d = derivatives_of(statistics);
      Eigen::MatrixXd step = step_of(statistics, d);
      double promise = 0.0;
      for (size_t k = 0; k < n_components(); ++k)
        promise += d.gradient.col(static_cast<Eigen::Index>(k)).dot(step.col(static_cast<Eigen::Index>(k)));
      const double rounding = 1e-15 * (1.0 + std::abs(now));
      const Eigen::MatrixXd from = natural_;
      double gain = 0.0;
      bool moved = false;
      for (int half = 0; half < 40 && !moved; ++half, step *= 0.5) {
        natural_ = from;
        if (!take_step(step)) continue;
        gain = objective(statistics) - now;
        moved = gain >= -1e-14 * std::abs(now);
      }
      if (!moved) {
        natural_ = from;
        return true;
      }
      now += gain;
      if (!(promise > rounding && gain > rounding)) return true;
    }
    return true;
  }

  static constexpr double kMaxAuxiliaryStep = 3.0;

  const F family_;
  const ValueMoments first_, second_;        // of the first and the last column
  std::unique_ptr<DistinctValues> values_;   // of a discrete family without covariates
  std::vector<typename F::Component> components_;
  std::vector<double> eta_, table_;
};

}  // namespace emkit
