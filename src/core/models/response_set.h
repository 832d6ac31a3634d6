// Several responses side by side, conditionally independent given the component. (formulas.Rmd, R1)
#pragma once
#include <memory>
#include <vector>

#include "../response/response.h"

namespace emkit {

class ResponseSet {
 public:
  using Workspaces = std::vector<std::unique_ptr<Response::Workspace>>;
  // Natural parameters, a matrix for each response.
  using Parameters = std::vector<Eigen::MatrixXd>;

  explicit ResponseSet(std::vector<std::unique_ptr<Response>> responses) : responses_(std::move(responses)) {}

  size_t size() const { return responses_.size(); }
  Response& operator[](size_t r) { return *responses_[r]; }
  const Response& operator[](size_t r) const { return *responses_[r]; }
  size_t n_components() const { return responses_.front()->n_components(); }

  Workspaces make_workspaces() const {
    Workspaces out;
    for (const auto& r : responses_) out.push_back(r->make_workspace());
    return out;
  }

  void prepare() {
    for (const auto& r : responses_) r->prepare();
  }

  // out[k * stride + position] = the sum over the responses of their log densities, less their row constants.
  void log_density(const RowTile& rows, Workspaces& workspaces, double* out, size_t stride) const {
    for (size_t r = 0; r < size(); ++r) responses_[r]->log_density(rows, r > 0, *workspaces[r], out, stride);
  }

  double row_constant(size_t row) const {
    double s = 0.0;
    for (const auto& r : responses_) s += r->row_constant(row);
    return s;
  }

  size_t n_statistics() const { return total([](const Response& r) { return r.n_statistics(); }); }

  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspaces& workspaces,
                  double* statistics) const {
    for (size_t r = 0; r < size(); ++r) {
      responses_[r]->accumulate(rows, posterior, stride, *workspaces[r], statistics);
      statistics += responses_[r]->n_statistics();
    }
  }

  // All responses or none.
  bool m_step(const double* statistics) {
    const Parameters before = parameters();
    origin_.assign(size(), {});
    for (size_t r = 0; r < size(); ++r) {
      if (!responses_[r]->m_step_is_exact()) {
        origin_[r].resize(responses_[r]->n_coordinates());
        if (!responses_[r]->coordinates(origin_[r].data())) origin_[r].clear();
      }
      if (!responses_[r]->m_step(statistics)) {
        degeneracy_ = responses_[r]->degeneracy();
        for (size_t q = 0; q < r; ++q) responses_[q]->set_parameters(before[q]);
        return false;
      }
      statistics += responses_[r]->n_statistics();
    }
    degeneracy_ = Degeneracy();
    return true;
  }

  // See EmModel::shorten_step().
  bool shorten_step() {
    bool any = false;
    for (size_t r = 0; r < origin_.size(); ++r) {
      if (origin_[r].empty()) continue;
      responses_[r]->move_towards(origin_[r], 0.5);
      any = true;
    }
    return any;
  }

  void set_overall() {
    for (const auto& r : responses_) r->set_overall();
  }

  Parameters parameters() const {
    Parameters out;
    for (const auto& r : responses_) out.push_back(r->parameters());
    return out;
  }

  bool set_parameters(const Parameters& natural) {
    const Parameters before = parameters();
    for (size_t r = 0; r < size(); ++r)
      if (!responses_[r]->set_parameters(natural[r])) {
        degeneracy_ = responses_[r]->degeneracy();
        for (size_t q = 0; q < r; ++q) responses_[q]->set_parameters(before[q]);
        return false;
      }
    return true;
  }

  size_t n_packed() const { return total([](const Response& r) { return r.n_packed(); }); }

  bool pack(double* point) const {
    for (const auto& r : responses_) {
      if (!r->pack(point)) return false;
      point += r->n_packed();
    }
    return true;
  }

  bool unpack(const double* point) {
    const Parameters before = parameters();
    for (size_t r = 0; r < size(); ++r) {
      if (!responses_[r]->unpack(point)) {
        for (size_t q = 0; q < r; ++q) responses_[q]->set_parameters(before[q]);
        return false;
      }
      point += responses_[r]->n_packed();
    }
    return true;
  }

  size_t n_coordinates() const { return total([](const Response& r) { return r.n_coordinates(); }); }

  bool coordinates(double* point) const {
    for (const auto& r : responses_) {
      if (!r->coordinates(point)) return false;
      point += r->n_coordinates();
    }
    return true;
  }

  bool set_coordinates(const double* point) {
    for (const auto& r : responses_) {
      if (!r->set_coordinates(point)) return false;
      point += r->n_coordinates();
    }
    return true;
  }

  void score(const double* statistics, double* gradient) const {
    for (const auto& r : responses_) {
      r->score(statistics, gradient);
      statistics += r->n_statistics();
      gradient += r->n_coordinates();
    }
  }

  Degeneracy degeneracy() const { return degeneracy_; }

 private:
  template <class Count>
  size_t total(const Count& count) const {
    size_t n = 0;
    for (const auto& r : responses_) n += count(*r);
    return n;
  }

  std::vector<std::unique_ptr<Response>> responses_;
  std::vector<std::vector<double>> origin_;  // coordinates before the last inexact M-step; empty: exact
  Degeneracy degeneracy_;
};

}  // namespace emkit
