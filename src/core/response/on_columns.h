// A response on columns made of the user's: log y, say, in place of y. They are computed once and kept.
#pragma once
#include <cmath>

#include "response.h"

namespace emkit {

class OnColumns final : public Response {
 public:
  using Maker = std::unique_ptr<Response> (*)(const ResponseData&, size_t, const ResponseOptions&);

  // columns(y, out): what a value becomes (n_columns numbers). of_log: the response has the density of the first
  // column, log y, so that the density of y has the factor 1 / y.
  template <class Columns>
  OnColumns(const ResponseData& data, size_t n_columns, const Columns& columns, bool of_log, size_t n_components,
            const ResponseOptions& options, Maker make)
      : columns_(data.n * n_columns), of_log_(of_log) {
    std::vector<double> out(n_columns);
    for (size_t i = 0; i < data.n; ++i) {
      if (std::isnan(data.y[i]))
        out.assign(n_columns, data.y[i]);
      else
        columns(data.y[i], out.data());
      for (size_t c = 0; c < n_columns; ++c) columns_[c * data.n + i] = out[c];
    }
    ResponseData own = data;
    own.y = columns_.data();
    own.n_columns = n_columns;
    response_ = make(own, n_components, options);
  }

  size_t n_components() const override { return response_->n_components(); }
  std::unique_ptr<Workspace> make_workspace() const override { return response_->make_workspace(); }
  void prepare() override { response_->prepare(); }
  void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const override {
    response_->log_density(rows, add, workspace, out, stride);
  }
  double row_constant(size_t row) const override {
    const double own = response_->row_constant(row);
    return of_log_ && !std::isnan(columns_[row]) ? own - columns_[row] : own;
  }
  size_t n_statistics() const override { return response_->n_statistics(); }
  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                  double* statistics) const override {
    response_->accumulate(rows, posterior, stride, workspace, statistics);
  }
  bool m_step(const double* statistics) override { return response_->m_step(statistics); }
  bool m_step_is_exact() const override { return response_->m_step_is_exact(); }
  void set_overall() override { response_->set_overall(); }
  size_t n_parameters() const override { return response_->n_parameters(); }
  Eigen::MatrixXd parameters() const override { return response_->parameters(); }
  bool set_parameters(const Eigen::MatrixXd& natural) override { return response_->set_parameters(natural); }
  size_t n_coordinates() const override { return response_->n_coordinates(); }
  bool coordinates(double* point) const override { return response_->coordinates(point); }
  bool set_coordinates(const double* point) override { return response_->set_coordinates(point); }
  void score(const double* statistics, double* gradient) const override { response_->score(statistics, gradient); }
  size_t n_packed() const override { return response_->n_packed(); }
  bool pack(double* point) const override { return response_->pack(point); }
  bool unpack(const double* point) override { return response_->unpack(point); }
  Degeneracy degeneracy() const override { return response_->degeneracy(); }

 private:
  std::vector<double> columns_;  // n x n_columns
  bool of_log_;
  std::unique_ptr<Response> response_;
};

}  // namespace emkit
