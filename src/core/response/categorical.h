// One of C categories, coded 0 .. C - 1: probabilities, or coefficients of the logits against the first category.
#pragma once
#include "../math/cholesky.h"
#include "probabilities.h"

namespace emkit {

// How many rows have each category.
inline Eigen::VectorXd category_totals(const ResponseData& data, size_t n_categories) {
  size_t n = std::max<size_t>(n_categories, 1);
  for (size_t i = 0; i < data.n; ++i)
    if (data.y[i] >= static_cast<double>(n)) n = static_cast<size_t>(data.y[i]) + 1;
  Eigen::VectorXd totals = Eigen::VectorXd::Zero(static_cast<Eigen::Index>(n));
  for (size_t i = 0; i < data.n; ++i)
    if (!std::isnan(data.y[i])) totals(static_cast<Eigen::Index>(data.y[i])) += 1.0;
  return totals;
}

// Without covariates.
class CategoricalResponse final : public ProbabilityResponse {
 public:
  CategoricalResponse(const ResponseData& data, size_t n_components, const ResponseOptions& options)
      : ProbabilityResponse(category_totals(data, options.n_categories), n_components, options), data_(data) {
    prepare();
  }

  std::unique_ptr<Workspace> make_workspace() const override { return std::unique_ptr<Workspace>(new Codes); }

  void prepare() override {
    log_probability_ = Eigen::MatrixXd::Zero(natural_.rows() + 1, natural_.cols());  // the last: nothing observed
    log_probability_.topRows(natural_.rows()) = natural_.array().log();
  }

  void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const override {
    Codes& w = static_cast<Codes&>(workspace);
    load(rows, w);
    for (size_t k = 0; k < n_components(); ++k) {
      const double* table = log_probability_.data() + k * (n_parameters() + 1);
      double* column = out + k * stride;
      for (size_t i = 0; i < rows.size(); ++i) column[i] = (add ? column[i] : 0.0) + table[w.code[i]];
    }
  }

  double row_constant(size_t) const override { return 0.0; }
  void set_overall() override { set_overall_probabilities(); }

  // The categories' weights, and that of rows without one.
  size_t n_statistics() const override { return (n_parameters() + 1) * n_components(); }

  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                  double* statistics) const override {
    Codes& w = static_cast<Codes&>(workspace);
    load(rows, w);
    for (size_t k = 0; k < n_components(); ++k) {
      double* counts = statistics + k * (n_parameters() + 1);
      const double* z = posterior + k * stride;
      for (size_t i = 0; i < rows.size(); ++i) counts[w.code[i]] += z[i];
    }
  }

  bool m_step(const double* statistics) override { return m_step_from(counts_of(statistics)); }
  void score(const double* statistics, double* gradient) const override {
    score_from(counts_of(statistics), gradient);
  }

 private:
  struct Codes : Workspace {
    std::vector<double> y = std::vector<double>(kTileRows);
    std::vector<size_t> code = std::vector<size_t>(kTileRows);
  };

  void load(const RowTile& rows, Codes& w) const {
    rows.load(data_.y, std::numeric_limits<double>::quiet_NaN(), w.y.data());
    for (size_t i = 0; i < rows.size(); ++i)
      w.code[i] = std::isnan(w.y[i]) ? n_parameters() : static_cast<size_t>(w.y[i]);
  }

  Eigen::MatrixXd counts_of(const double* statistics) const {
    return Eigen::Map<const Eigen::MatrixXd>(statistics, natural_.rows() + 1, natural_.cols()).topRows(natural_.rows());
  }

  const ResponseData data_;
  Eigen::MatrixXd log_probability_;
};

// With covariates: C - 1 blocks of p coefficients.
class CategoricalRegression final : public ConstrainedResponse {
 public:
  CategoricalRegression(const ResponseData& data, size_t n_components, const ResponseOptions& options)
      : ConstrainedResponse(data, n_components, options, {Scale::kReal},
                            static_cast<size_t>(category_totals(data, options.n_categories).size()) - 1),
        totals_(category_totals(data, options.n_categories)) {
    set_overall();
    prepare();
  }

  std::unique_ptr<Workspace> make_workspace() const override {
    std::unique_ptr<Probabilities> w(new Probabilities);
    const size_t p = data_.n_predictors;
    allocate(std::max(1 + p + packed_size(p), n_blocks_ * (1 + p)), *w);
    w->residual.resize(n_blocks_ * kTileRows);
    w->product.resize(kTileRows);
    return w;
  }

  void prepare() override { gather_coefficients(); }

  void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const override {
    Probabilities& w = static_cast<Probabilities&>(workspace);
    load_y(rows, w);
    load_x(rows, w);
    predict(rows, w);
    for (size_t k = 0; k < n_components(); ++k) {
      double* column = out + k * stride;
      for (size_t i = 0; i < rows.size(); ++i) {
        double l = 0.0;
        if (w.whole || w.observed[i]) {
          const size_t code = static_cast<size_t>(w.y[i]);
          l = (code > 0 ? eta(w, k, code - 1)[i] : 0.0) - log_total(w, k, i);
        }
        column[i] = (add ? column[i] : 0.0) + l;
      }
    }
  }

  double row_constant(size_t) const override { return 0.0; }

  void set_overall() override {
    Eigen::MatrixXd to = Eigen::MatrixXd::Zero(natural_.rows(), natural_.cols());
    if (intercept_column_ >= 0)
      for (size_t b = 0; b < n_blocks_; ++b) {
        const double logit = std::log((totals_(static_cast<Eigen::Index>(b) + 1) + 0.5) / (totals_(0) + 0.5));
        to.row(static_cast<Eigen::Index>(b * data_.n_predictors) + intercept_column_)
            .setConstant((logit - mean_offset()) / intercept_value_);
      }
    set_parameters(to);
  }

  // For each component its weight, gradient and information (the lower triangle).
  size_t n_statistics() const override { return n_components() * n_each(); }

  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                  double* statistics) const override {
    Probabilities& w = static_cast<Probabilities&>(workspace);
    load_y(rows, w);
    load_x(rows, w);
    predict(rows, w);
    const size_t size = rows.size(), p = data_.n_predictors;
    const std::vector<double> zero(p, 0.0);
    std::vector<double> sums(std::max(1 + p + packed_size(p), n_blocks_ * (1 + p)));
    for (size_t k = 0; k < n_components(); ++k) {
      const double* z = mask_posterior(rows, w, posterior + k * stride);
      double* s = statistics + k * n_each();
      for (size_t i = 0; i < size; ++i) {
        s[0] += z[i];
        const double total = log_total(w, k, i);
        for (size_t b = 0; b < n_blocks_; ++b) {
          double& probability = eta(w, k, b)[i];
          probability = std::exp(probability - total);
          w.residual[b * kTileRows + i] = z[i] * ((w.y[i] == static_cast<double>(b + 1) ? 1.0 : 0.0) - probability);
        }
      }
      std::fill(w.sums.data(), w.sums.data() + n_blocks_ * (1 + p) * kWide, 0.0);
      kernels().accumulate_sums(w.x.data(), kTileRows, size, p, n_blocks_, w.residual.data(), w.sums.data());
      std::fill(sums.begin(), sums.end(), 0.0);
      kernels().fold_wide(w.sums.data(), n_blocks_ * (1 + p), sums.data());
      for (size_t b = 0; b < n_blocks_; ++b)
        for (size_t j = 0; j < p; ++j) s[1 + b * p + j] += sums[b * (1 + p) + 1 + j];
      double* information = s + 1 + n_parameters();
      for (size_t b = 0; b < n_blocks_; ++b)
        for (size_t c = 0; c <= b; ++c) {
          const double *pb = eta(w, k, b), *pc = eta(w, k, c);
          for (size_t i = 0; i < size; ++i) w.product[i] = z[i] * pb[i] * ((b == c ? 1.0 : 0.0) - pc[i]);
          std::fill(w.sums.data(), w.sums.data() + (1 + p + packed_size(p)) * kWide, 0.0);
          kernels().accumulate_scatter(w.x.data(), kTileRows, size, p, zero.data(), w.product.data(), w.scratch.data(),
                                       w.sums.data());
          std::fill(sums.begin(), sums.end(), 0.0);
          kernels().fold_wide(w.sums.data(), 1 + p + packed_size(p), sums.data());
          const double* scatter = sums.data() + 1 + p;
          for (size_t j = 0; j < p; ++j)
            for (size_t l = 0; l < (b == c ? j + 1 : p); ++l)
              information[packed_index(b * p + j, c * p + l)] += scatter[packed_index(std::max(j, l), std::min(j, l))];
        }
    }
  }

  bool m_step_is_exact() const override { return false; }

  bool m_step(const double* statistics) override {
    const Eigen::Index m = natural_.rows();
    Eigen::MatrixXd gradient = gradient_of(statistics);
    std::vector<Eigen::MatrixXd> information;
    for (size_t k = 0; k < n_components(); ++k) {
      const double* s = statistics + k * n_each();
      if (!std::all_of(s, s + n_each(), [](double v) { return std::isfinite(v); })) return invalid(k);
      const bool present = s[0] > kVanishedWeight;
      if (!present) gradient.col(static_cast<Eigen::Index>(k)).setZero();
      information.push_back((present ? 1.0 : 0.0) *
                            Eigen::MatrixXd(unpack_lower(s + 1 + m, n_parameters()).selfadjointView<Eigen::Lower>()));
    }
    return take_step(newton_step(map_, gradient, information, Eigen::VectorXd::Constant(m, 3.0)));
  }

  void score(const double* statistics, double* gradient) const override { reduce(gradient_of(statistics), gradient); }

 private:
  struct Probabilities : TileWorkspace {
    AlignedBuffer residual, product;
  };

  size_t n_each() const { return 1 + n_parameters() + packed_size(n_parameters()); }

  double* eta(TileWorkspace& w, size_t k, size_t block) const {
    return w.eta.data() + (k * n_blocks_ + block) * kTileRows;
  }

  // log (1 + sum exp(eta))
  double log_total(TileWorkspace& w, size_t k, size_t i) const {
    double top = 0.0, sum = 0.0;
    for (size_t b = 0; b < n_blocks_; ++b) top = std::max(top, eta(w, k, b)[i]);
    for (size_t b = 0; b < n_blocks_; ++b) sum += std::exp(eta(w, k, b)[i] - top);
    return top + std::log(sum + std::exp(-top));
  }

  Eigen::MatrixXd gradient_of(const double* statistics) const {
    Eigen::MatrixXd g(natural_.rows(), natural_.cols());
    for (size_t k = 0; k < n_components(); ++k)
      g.col(static_cast<Eigen::Index>(k)) =
          Eigen::Map<const Eigen::VectorXd>(statistics + k * n_each() + 1, natural_.rows());
    return g;
  }

  const Eigen::VectorXd totals_;
};

inline std::unique_ptr<Response> make_categorical(const ResponseData& data, size_t n_components,
                                                  const ResponseOptions& options) {
  if (data.intercept_only()) return std::unique_ptr<Response>(new CategoricalResponse(data, n_components, options));
  return std::unique_ptr<Response>(new CategoricalRegression(data, n_components, options));
}

}  // namespace emkit
