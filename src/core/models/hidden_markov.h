// Markov x responses: hidden Markov models. (formulas.Rmd, F1)
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "../em/model.h"
#include "../latent/forward_backward.h"
#include "../latent/markov.h"
#include "../parallel/execution.h"
#include "response_set.h"

namespace emkit {

// What is known of the rows besides the responses.
struct ChainData {
  const Chains* chains = nullptr;
  const int* known = nullptr;       // n: the state of the row counted from 0, or -1; null: none known
  const double* weights = nullptr;  // n, constant within a sequence; null: all 1
  double loglik_constant = 0.0;     // what the responses' row constants sum to, see response_constants()

  double weight_of(size_t row) const { return weights ? weights[row] : 1.0; }
};

// Sum of the weighted row constants: the same for all parameters and numbers of states.
inline double response_constants(const ChainData& data, const ResponseSet& responses) {
  double total = 0.0;
  const size_t n = data.chains->n();
  for (size_t from = 0; from < n; from += kTileRows) {
    double part = 0.0;
    for (size_t row = from; row < std::min(n, from + kTileRows); ++row)
      part += data.weight_of(row) * responses.row_constant(row);
    total += part;
  }
  return total;
}

class HiddenMarkov final : public EmModel {
 public:
  using Index = Eigen::Index;
  using MatrixXd = Eigen::MatrixXd;
  using VectorXd = Eigen::VectorXd;

  struct State {
    MarkovParameters markov;
    ResponseSet::Parameters responses;
  };

  // Scratch space of one thread beyond that of the recursions.
  struct Extra {
    ResponseSet::Workspaces workspaces;
    Markov::Space markov;
    AlignedBuffer weight, sums;
    std::vector<int> known;
  };

  HiddenMarkov(const ChainData& data, Markov markov, ResponseSet responses, Execution execution)
      : data_(data),
        markov_(std::move(markov)),
        responses_(std::move(responses)),
        execution_(execution),
        recursions_(*this) {}

  // ---- what ForwardBackward asks for ----

  size_t n_states() const { return markov_.n_states(); }
  const Chains& chains() const { return *data_.chains; }
  std::unique_ptr<Extra> make_extra() const {
    std::unique_ptr<Extra> extra(new Extra());
    extra->workspaces = responses_.make_workspaces();
    return extra;
  }
  void log_density(const RowTile& rows, Extra& extra, double* out, size_t stride) const {
    responses_.log_density(rows, extra.workspaces, out, stride);
    if (!data_.known) return;
    extra.known.resize(kTileRows);
    rows.load(data_.known, -1, extra.known.data());
    for (size_t at = 0; at < rows.size(); ++at) {
      if (extra.known[at] < 0) continue;
      for (size_t k = 0; k < n_states(); ++k)
        if (static_cast<int>(k) != extra.known[at]) out[k * stride + at] = -std::numeric_limits<double>::infinity();
    }
  }
  // Weights ride on the pairs of every row.
  bool transition_by_row() const { return markov_.transition_by_row() || data_.weights != nullptr; }
  const double* transition_matrix() const { return markov_.transition_matrix(); }
  void fill_transition(const RowTile& rows, Extra& extra, double* planes) const {
    markov_.fill_transition(rows, extra.markov, planes);
  }
  bool initial_by_row() const { return markov_.initial_by_row(); }
  const double* initial_law() const { return markov_.initial_law(); }
  void fill_initial(const RowTile& rows, const unsigned char* first, Extra& extra, double* planes) const {
    markov_.fill_initial(rows, first, extra.markov, planes);
  }

  Markov& markov() { return markov_; }
  const Markov& markov() const { return markov_; }
  ResponseSet& responses() { return responses_; }
  const ResponseSet& responses() const { return responses_; }

  // The row that has probability 0 in every state that can be, or -1.
  std::ptrdiff_t impossible_row() const { return recursions_.impossible_row(); }

  // ---- EmModel ----

  Objective e_step() override {
    const double loglik = sweep([](const ChainView&) {});
    return Objective{loglik, 0.0};
  }

  bool m_step() override {
    if (!responses_.m_step(statistics_.data() + at_responses())) return false;
    markov_.m_step(statistics_.data() + at_initial(), statistics_.data() + at_transition());
    return true;
  }

  bool shorten_step() override {
    if (++shortened_ > kMaxShortened) return false;
    const bool chain = !markov_.m_step_is_exact() && markov_.shorten_step();
    const bool response = responses_.shorten_step();
    return chain || response;
  }

  size_t n_packed() const override { return markov_.n_packed() + responses_.n_packed(); }
  bool pack(double* point) const override {
    markov_.pack(point);
    return responses_.pack(point + markov_.n_packed());
  }
  bool unpack(const double* point) override {
    const State before = state();
    if (markov_.unpack(point) && responses_.unpack(point + markov_.n_packed())) return true;
    set_state(before);
    return false;
  }

  Degeneracy degeneracy() const override {
    const Degeneracy d = responses_.degeneracy();
    return d ? d : Degeneracy{Degeneracy::Kind::kNotFinite, 0};
  }

  // ---- parameters and starts ----

  State state() const { return State{markov_.parameters(), responses_.parameters()}; }
  bool set_state(const State& s) {
    if (!responses_.set_parameters(s.responses)) return false;
    markov_.set_parameters(s.markov);
    return true;
  }

  // Parameters that posteriors (n x K, column-major, rows sum to 1) would have.
  bool start_from_posterior(const double* posterior) {
    const size_t n = chains().n(), K = n_states();
    responses_.set_overall();
    std::unique_ptr<Extra> extra = make_extra();
    AlignedBuffer z(K * kTileRows);
    // Where the M-step is a Newton step, several on the same posteriors.
    bool exact = true;
    for (size_t r = 0; r < responses_.size(); ++r) exact = exact && responses_[r].m_step_is_exact();
    for (int round = 0; round < (exact ? 1 : kStartRounds); ++round) {
      std::vector<double> statistics(responses_.n_statistics(), 0.0);
      responses_.prepare();
      for (size_t from = 0; from < n; from += kTileRows) {
        const RowTile rows = neighbouring_rows(from, std::min(kTileRows, n - from));
        for (size_t k = 0; k < K; ++k)
          for (size_t at = 0; at < rows.size(); ++at) {
            const std::ptrdiff_t row = rows.row(at);
            z[k * kTileRows + at] =
                row < 0 ? 0.0 : data_.weight_of(static_cast<size_t>(row)) * posterior[k * n + static_cast<size_t>(row)];
          }
        responses_.accumulate(rows, z.data(), kTileRows, extra->workspaces, statistics.data());
      }
      if (!responses_.m_step(statistics.data())) return false;
    }
    VectorXd first = VectorXd::Constant(static_cast<Index>(K), kSmoothing);
    MatrixXd pairs = MatrixXd::Constant(static_cast<Index>(K), static_cast<Index>(K), kSmoothing);
    for (size_t row = 0; row < n; ++row) {
      const bool begins = chains().is_first(row);
      for (size_t j = 0; j < K; ++j) {
        const double p = posterior[j * n + row];
        if (begins) {
          first(static_cast<Index>(j)) += p;
          continue;
        }
        for (size_t i = 0; i < K; ++i)
          pairs(static_cast<Index>(i), static_cast<Index>(j)) += p * posterior[i * n + row - 1];
      }
    }
    markov_.start_from_counts(first, pairs);
    return true;
  }

  // ---- what a user gets ----

  // Calls write(view) for every tile on the way back through the data, from several threads; returns the log-likelihood.
  // The sums of the E-step are made too.
  template <class Write>
  double sweep(const Write& write) {
    shortened_ = 0;
    responses_.prepare();
    const size_t size = n_statistics(), K = n_states();
    std::vector<double> partial;
    const bool by_row = transition_by_row();
    const bool fine = recursions_.sweep(
        Recursions::Way::kBoth, execution_.threads, execution_.interrupt,
        [&] { partial.assign(size * recursions_.n_chunks(), 0.0); },
        [&](size_t chunk, const ChainView& v, Space&) { partial[chunk * size] += tile_loglik(v); },
        [&](size_t chunk, const ChainView& v, Space& space) {
          Extra& extra = *space.extra;
          double* statistics = partial.data() + chunk * size;
          weigh(v, extra);
          write(v);
          if (extra.sums.size() < K * kWide) extra.sums.resize(K * kWide);
          std::fill(extra.sums.data(), extra.sums.data() + K * kWide, 0.0);
          kernels().chain.plane_sums(v.posterior, kTileRows, kTileRows, K, extra.sums.data());
          kernels().fold_wide(extra.sums.data(), K, statistics + 1);
          if (v.first) markov_.accumulate_initial(*v.rows, v.first, v.posterior, extra.markov, statistics + at_initial());
          if (by_row)
            markov_.accumulate_transition(*v.rows, v.pairs, v.transition, extra.markov, statistics + at_transition());
          responses_.accumulate(*v.rows, v.posterior, kTileRows, extra.workspaces, statistics + at_responses());
        },
        [&](size_t chunk, Space& space) {
          if (!by_row) kernels().fold_wide(space.pairs.data(), K * K, partial.data() + chunk * size + at_transition());
        });
    if (!fine) return std::numeric_limits<double>::quiet_NaN();
    statistics_.assign(size, 0.0);
    for (size_t at = 0; at < partial.size(); ++at) statistics_[at % size] += partial[at];
    return statistics_[0] + data_.loglik_constant;
  }

  // The same on the way forward only: alpha, but no posterior.
  template <class Write>
  bool forward_sweep(const Write& write) {
    responses_.prepare();
    return recursions_.sweep(
        Recursions::Way::kForward, execution_.threads, execution_.interrupt, [] {},
        [&](size_t, const ChainView& v, Space& space) { write(v, *space.extra); },
        [](size_t, const ChainView&, Space&) {}, [](size_t, Space&) {});
  }

  // Expected visits to each state at the parameters of the last sweep.
  VectorXd counts() const { return Eigen::Map<const VectorXd>(statistics_.data() + 1, static_cast<Index>(n_states())); }

  const ChainData& data() const { return data_; }

  // Coordinates and score, see Markov::Chart and Response.
  size_t n_coordinates(const Markov::Chart& chart) const { return chart.size() + responses_.n_coordinates(); }
  bool coordinates(const Markov::Chart& chart, double* point) const {
    chart.coordinates(point);
    return responses_.coordinates(point + chart.size());
  }
  bool set_coordinates(const Markov::Chart& chart, const double* point) {
    chart.set(markov_, point);
    return responses_.set_coordinates(point + chart.size());
  }
  // After a sweep.
  void score(const Markov::Chart& chart, double* gradient) const {
    chart.score(markov_, statistics_.data() + at_initial(), statistics_.data() + at_transition(), gradient);
    responses_.score(statistics_.data() + at_responses(), gradient + chart.size());
  }

 private:
  using Recursions = ForwardBackward<HiddenMarkov>;
  using Space = Recursions::Space;

  static constexpr double kSmoothing = 0.5;  // a count added to every pair of states of a start
  static constexpr int kStartRounds = 12;
  static constexpr int kMaxShortened = 30;

  // Statistics: the log-likelihood less constants, the visits to each state, the chain's, the responses'.
  size_t at_initial() const { return 1 + n_states(); }
  size_t at_transition() const { return at_initial() + markov_.n_initial_statistics(); }
  size_t at_responses() const { return at_transition() + markov_.n_transition_statistics(); }
  size_t n_statistics() const { return at_responses() + responses_.n_statistics(); }

  double tile_loglik(const ChainView& v) const {
    if (!data_.weights) return kernels().chain.log_scale_sum(v.shift, v.inverse_scale, kTileRows);
    double sum = 0.0;
    for (size_t at = 0; at < v.rows->size(); ++at) {
      const std::ptrdiff_t row = v.rows->row(at);
      if (row >= 0) sum += data_.weights[row] * (v.shift[at] - std::log(v.inverse_scale[at]));
    }
    return sum;
  }

  // Posteriors and pairs times the weights; 0 in padding.
  void weigh(const ChainView& v, Extra& extra) const {
    const RowTile& rows = *v.rows;
    const std::ptrdiff_t last = rows.first + static_cast<std::ptrdiff_t>(rows.lanes - 1) * rows.lane_stride +
                                static_cast<std::ptrdiff_t>(rows.steps);
    if (!data_.weights && last <= rows.end) return;
    const size_t K = n_states();
    if (extra.weight.size() < kTileRows) extra.weight.resize(kTileRows);
    double* w = extra.weight.data();
    for (size_t at = 0; at < kTileRows; ++at) {
      const std::ptrdiff_t row = rows.row(at);
      w[at] = row < 0 ? 0.0 : data_.weight_of(static_cast<size_t>(row));
    }
    for (size_t k = 0; k < K; ++k)
      for (size_t at = 0; at < kTileRows; ++at) v.posterior[k * kTileRows + at] *= w[at];
    if (!v.pairs) return;
    for (size_t p = 0; p < K * K; ++p)
      for (size_t at = 0; at < kTileRows; ++at) v.pairs[p * kTileRows + at] *= w[at];
  }

  ChainData data_;
  Markov markov_;
  ResponseSet responses_;
  Execution execution_;
  Recursions recursions_;
  std::vector<double> statistics_;
  int shortened_ = 0;
};

}  // namespace emkit
