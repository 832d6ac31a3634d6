// Counts of C categories, given their sum: probabilities. A row with a missing count observes nothing.
#pragma once
#include "../math/rising_factorial.h"
#include "probabilities.h"

namespace emkit {

// What the counts of the rows without missing ones sum to.
inline Eigen::VectorXd count_totals(const ResponseData& data) {
  Eigen::VectorXd totals = Eigen::VectorXd::Zero(static_cast<Eigen::Index>(data.n_columns)), row = totals;
  for (size_t i = 0; i < data.n; ++i) {
    for (size_t c = 0; c < data.n_columns; ++c) row(static_cast<Eigen::Index>(c)) = data.y[c * data.n + i];
    if (!row.hasNaN()) totals += row;
  }
  return totals;
}

class MultinomialResponse final : public ProbabilityResponse {
 public:
  MultinomialResponse(const ResponseData& data, size_t n_components, const ResponseOptions& options)
      : ProbabilityResponse(count_totals(data), n_components, options), data_(data) {
    prepare();
  }

  std::unique_ptr<Workspace> make_workspace() const override {
    std::unique_ptr<Counts> w(new Counts);
    w->y.resize(n_parameters() * kTileRows);
    w->sums.resize((1 + n_parameters()) * n_components() * kWide);
    return w;
  }

  void prepare() override { log_probability_ = natural_.array().log(); }

  void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const override {
    Counts& w = static_cast<Counts&>(workspace);
    load(rows, w);
    for (size_t k = 0; k < n_components(); ++k) {
      double* column = out + k * stride;
      if (!add) std::fill(column, column + rows.size(), 0.0);
      for (size_t c = 0; c < n_parameters(); ++c) {
        const double l = log_probability_(static_cast<Eigen::Index>(c), static_cast<Eigen::Index>(k));
        const double* y = w.y.data() + c * kTileRows;
        for (size_t i = 0; i < rows.size(); ++i)
          if (y[i] > 0.0) column[i] += y[i] * l;  // 0 log 0 is 0
      }
    }
  }

  double row_constant(size_t row) const override {
    double sum = 0.0, constant = 0.0;
    for (size_t c = 0; c < n_parameters(); ++c) {
      const double y = data_.y[c * data_.n + row];
      if (std::isnan(y)) return 0.0;
      sum += y;
      constant -= log_factorial(y);
    }
    return constant + log_factorial(sum);
  }

  void set_overall() override { set_overall_probabilities(); }

  // The weight and the categories' weighted counts.
  size_t n_statistics() const override { return (1 + n_parameters()) * n_components(); }

  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                  double* statistics) const override {
    Counts& w = static_cast<Counts&>(workspace);
    load(rows, w);
    std::fill(w.sums.data(), w.sums.data() + w.sums.size(), 0.0);
    for (size_t k = 0; k < n_components(); ++k)
      kernels().accumulate_sums(w.y.data(), kTileRows, rows.size(), n_parameters(), 1, posterior + k * stride,
                                w.sums.data() + k * (1 + n_parameters()) * kWide);
    kernels().fold_wide(w.sums.data(), n_statistics(), statistics);
  }

  bool m_step(const double* statistics) override { return m_step_from(counts_of(statistics)); }
  void score(const double* statistics, double* gradient) const override {
    score_from(counts_of(statistics), gradient);
  }

 private:
  struct Counts : Workspace {
    AlignedBuffer y, sums;  // C columns, 0 in rows that observe nothing
  };

  void load(const RowTile& rows, Counts& w) const {
    for (size_t c = 0; c < n_parameters(); ++c) rows.load(data_.y + c * data_.n, 0.0, w.y.data() + c * kTileRows);
    for (size_t i = 0; i < rows.size(); ++i) {
      double sum = 0.0;
      for (size_t c = 0; c < n_parameters(); ++c) sum += w.y[c * kTileRows + i];
      if (std::isnan(sum))
        for (size_t c = 0; c < n_parameters(); ++c) w.y[c * kTileRows + i] = 0.0;
    }
  }

  Eigen::MatrixXd counts_of(const double* statistics) const {
    return Eigen::Map<const Eigen::MatrixXd>(statistics, natural_.rows() + 1, natural_.cols())
        .bottomRows(natural_.rows());
  }

  const ResponseData data_;
  Eigen::MatrixXd log_probability_;
};

inline std::unique_ptr<Response> make_multinomial(const ResponseData& data, size_t n_components,
                                                  const ResponseOptions& options) {
  return std::unique_ptr<Response>(new MultinomialResponse(data, n_components, options));
}

}  // namespace emkit
