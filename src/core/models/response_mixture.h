// Mixture proportions x responses: finite mixtures of any family, mixtures of regressions, mixtures of experts.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "../data/row_tile.h"
#include "../em/model.h"
#include "../latent/mixture_proportions.h"
#include "../math/aligned.h"
#include "../parallel/reduce.h"
#include "../parallel/space_pool.h"
#include "information.h"
#include "response_set.h"

namespace emkit {

// The rows of a mixture, apart from their responses: what all fits to them share.
class MixtureRows {
 public:
  static constexpr size_t kMaxChunks = 64;
  static constexpr size_t kMinChunkRows = 1024;
  static constexpr size_t kNoRow = std::numeric_limits<size_t>::max();

  // `weights` (n, may be null); `labels` (n or empty): the component where it is known, else -1; `responses`: what the
  // rows observe. Chunks are cut by n alone, so that sums have the same order for any number of threads.
  MixtureRows(size_t n, const double* weights, std::vector<int> labels, const std::vector<ResponseData>& responses)
      : n_(n), weights_(n), labels_(std::move(labels)), constant_(n, 0.0) {
    // A row that observes nothing and has no label says nothing of the parameters.
    for (size_t i = 0; i < n; ++i) {
      const double w = weights ? weights[i] : 1.0;
      weights_[i] = observed(responses, i) || label(i) >= 0 ? w : 0.0;
    }
    const size_t share = (n + kMaxChunks - 1) / kMaxChunks;
    chunk_rows_ = std::max(kMinChunkRows, (share + kTileRows - 1) / kTileRows * kTileRows);
  }

  // Takes note of what log densities leave out.
  void set_constants(const ResponseSet& responses) {
    for (size_t i = 0; i < n_; ++i) constant_[i] = responses.row_constant(i);
    double total = 0.0;
    for (size_t i = 0; i < n_; ++i)
      if (weights_[i] > 0.0) total += weights_[i] * constant_[i];
    total_constant_ = total;
  }

  size_t n() const { return n_; }
  const double* weights() const { return weights_.data(); }
  int label(size_t row) const { return labels_.empty() ? -1 : labels_[row]; }
  bool has_labels() const { return !labels_.empty(); }
  double constant(size_t row) const { return constant_[row]; }
  double total_constant() const { return total_constant_; }

  size_t n_chunks() const { return (n_ + chunk_rows_ - 1) / chunk_rows_; }
  size_t chunk_rows() const { return chunk_rows_; }
  size_t chunk_begin(size_t chunk) const { return chunk * chunk_rows_; }
  size_t chunk_end(size_t chunk) const { return std::min(n_, (chunk + 1) * chunk_rows_); }

 private:
  static bool observed(const std::vector<ResponseData>& responses, size_t row) {
    for (const ResponseData& r : responses)
      for (size_t j = 0; j < r.n_columns; ++j)
        if (!std::isnan(r.y[j * r.n + row])) return true;
    return false;
  }

  size_t n_;
  std::vector<double> weights_;   // 0 for rows without a say
  std::vector<int> labels_;
  std::vector<double> constant_;  // of each row's log density
  double total_constant_ = 0.0;
  size_t chunk_rows_ = 0;
};

// The parameters of a mixture.
struct MixtureState {
  Eigen::MatrixXd proportions;          // K x 1, or q x K coefficients
  ResponseSet::Parameters responses;    // natural
};

// What standard errors are made of, at the parameters.
struct MixtureInformation {
  bool regular = false;                 // false: on the boundary, where there are no coordinates
  Eigen::VectorXd coordinates, score;
  Eigen::MatrixXd information;          // observed, in the coordinates
  Eigen::MatrixXd jacobian;             // of the proportions' parameters and all natural ones, each column by column
};

class ResponseMixture final : public EmModel {
 public:
  using State = MixtureState;
  using VectorXd = Eigen::VectorXd;
  using MatrixXd = Eigen::MatrixXd;
  using Index = Eigen::Index;

  // Scratch space of one thread.
  struct SweepSpace {
    ResponseSet::Workspaces responses;
    MixtureProportions::Workspace proportions;
    AlignedBuffer weight, joint, marginal;
  };

  // A component must rest on `least_size` weighted rows, or it has vanished: with fewer, one that has a dispersion of
  // its own could fit them exactly. `interrupt` (may be null) is asked between slices of a sweep, from the thread
  // that runs it. `impossible` (may be null) gets the first row that any e_step() finds impossible under every
  // component.
  ResponseMixture(const MixtureRows& rows, MixtureProportions proportions, ResponseSet responses, double least_size,
                  int threads, Interrupt* interrupt, std::atomic<size_t>* impossible)
      : rows_(rows),
        proportions_(std::move(proportions)),
        responses_(std::move(responses)),
        least_size_(least_size),
        threads_(threads),
        interrupt_(interrupt),
        impossible_row_(impossible) {}

  size_t n_components() const { return responses_.n_components(); }
  const MixtureProportions& proportions() const { return proportions_; }
  const ResponseSet& responses() const { return responses_; }

  // ---- EmModel ----

  Objective e_step() override {
    responses_.prepare();
    return sweep([this](const RowTile& tile, SweepSpace& space) {
      joint_density(tile, space, true);
      const double loglik = kernels().posterior(space.joint.data(), kTileRows, tile.size(), n_components(),
                                                space.weight.data(), space.marginal.data());
      silence(tile, space);
      return loglik;
    }, true);
  }

  bool m_step() override {
    halvings_ = 0;
    vanished_ = Degeneracy();
    for (size_t k = 0; k < n_components(); ++k)
      if (statistics_[1 + k] < least_size_) {
        vanished_ = {Degeneracy::Kind::kVanished, k};
        return false;
      }
    if (!responses_.m_step(response_statistics())) return false;
    proportions_.m_step(statistics_.data() + 1);
    return true;
  }

  bool shorten_step() override {
    if (++halvings_ > kMostHalvings) return false;
    const bool responses = responses_.shorten_step(), proportions = proportions_.shorten_step();
    return responses || proportions;
  }

  size_t n_packed() const override { return proportions_.n_packed() + responses_.n_packed(); }

  bool pack(double* point) const override {
    return proportions_.pack(point) && responses_.pack(point + proportions_.n_packed());
  }

  bool unpack(const double* point) override {
    const MatrixXd before = proportions_.parameters();
    if (!proportions_.unpack(point)) return false;
    if (responses_.unpack(point + proportions_.n_packed())) return true;
    proportions_.set_parameters(before);
    return false;
  }

  Degeneracy degeneracy() const override {
    if (vanished_) return vanished_;
    const Degeneracy d = responses_.degeneracy();
    return d ? d : Degeneracy{Degeneracy::Kind::kNotFinite, 0};
  }

  // ---- starts ----

  State state() const { return {proportions_.parameters(), responses_.parameters()}; }

  bool set_state(const State& state) {
    return responses_.set_parameters(state.responses) && proportions_.set_parameters(state.proportions);
  }

  // The parameters that maximise the expected complete-data log-likelihood of given posteriors, or nearly: a few
  // iterations where an M-step is one Newton step. posterior(row, k) need not sum to 1 over k: rows without a say
  // have 0.
  template <class Posterior>
  bool start_from_posterior(const Posterior& posterior) {
    responses_.set_overall();
    proportions_.set_overall();
    double last = -std::numeric_limits<double>::infinity();
    for (int step = 0; step < (m_step_is_exact() ? 1 : kStartSteps); ++step) {
      responses_.prepare();
      const double expected = sweep([&](const RowTile& tile, SweepSpace& space) {
        return expect_given(tile, space, posterior);
      }).loglik;
      if (step > 0 && !(expected >= last)) {
        if (!shorten_step()) return false;
        continue;
      }
      if (!std::isfinite(expected)) {
        e_step();  // which takes note of rows that are impossible
        return false;
      }
      if (expected - last <= kStartGain * (1.0 + std::abs(expected))) return true;
      last = expected;
      if (!m_step()) return false;
    }
    return true;
  }

  // ---- what a user gets of every row ----

  // What a tile's rows are asked for. All k * kTileRows + position.
  struct TileView {
    const double* component;   // log densities given the component, with their constants
    const double* prior;       // proportions
    const double* posterior;   // NaN for rows that are impossible under every component
    const double* marginal;    // log density of the row (and of its label, where it has one)
  };

  // Calls write(tile, view) for all tiles, on any thread.
  template <class Write>
  void for_each_tile(const Write& write) {
    responses_.prepare();
    proportions_.prepare();
    parallel_tasks(rows_.n_chunks(), threads_, [&](size_t chunk) {
      auto space = borrow_space();
      AlignedBuffer component(n_components() * kTileRows), prior(n_components() * kTileRows);
      for_tiles(rows_.chunk_begin(chunk), rows_.chunk_end(chunk), [&](const RowTile& tile) {
        joint_density(tile, *space, false);
        for (size_t i = 0; i < tile.size(); ++i) {
          const std::ptrdiff_t row = tile.row(i);
          space->weight[i] = 1.0;
          for (size_t k = 0; k < n_components(); ++k)
            component[k * kTileRows + i] =
                space->joint[k * kTileRows + i] + (row < 0 ? 0.0 : rows_.constant(static_cast<size_t>(row)));
        }
        proportions_.proportions(tile, space->proportions, prior.data(), kTileRows);
        finish_joint(tile, *space);
        kernels().posterior(space->joint.data(), kTileRows, tile.size(), n_components(), space->weight.data(),
                            space->marginal.data());
        for (size_t i = 0; i < tile.size(); ++i) {
          const std::ptrdiff_t row = tile.row(i);
          if (row < 0) continue;
          double& m = space->marginal[i];
          m = std::isnan(m) ? -std::numeric_limits<double>::infinity() : m + rows_.constant(static_cast<size_t>(row));
        }
        write(tile, TileView{component.data(), prior.data(), space->joint.data(), space->marginal.data()});
      });
    });
  }

  // Posterior size of each component, at the last e_step().
  VectorXd counts() const {
    return Eigen::Map<const VectorXd>(statistics_.data() + 1, static_cast<Index>(n_components()));
  }

  // ---- standard errors ----

  size_t n_coordinates() const { return proportions_.n_coordinates() + responses_.n_coordinates(); }

  bool coordinates(double* point) const {
    return proportions_.coordinates(point) && responses_.coordinates(point + proportions_.n_coordinates());
  }

  // The score of the observed-data log-likelihood at the last e_step(), by Fisher's identity.
  VectorXd score() const {
    VectorXd out = VectorXd::Zero(static_cast<Index>(n_coordinates()));
    proportions_.score(statistics_.data() + 1, out.data());
    responses_.score(response_statistics(), out.data() + proportions_.n_coordinates());
    return out;
  }

  MixtureInformation information() {
    MixtureInformation out;
    out.coordinates.resize(static_cast<Index>(n_coordinates()));
    const State here = state();
    if (!coordinates(out.coordinates.data()) || !e_step().finite()) return out;
    out.score = score();
    const double n = std::max(1.0, counts().sum());
    out.information = observed_information(out.coordinates, n, [&](const VectorXd& at) {
      const bool fine = set_coordinates(at) && e_step().finite();
      return fine ? score() : VectorXd(VectorXd::Constant(at.size(), std::numeric_limits<double>::quiet_NaN()));
    });
    out.jacobian = natural_jacobian(out.coordinates, [&](const VectorXd& at) {
      set_coordinates(at);
      return flat_parameters();
    });
    set_state(here);
    out.regular = out.information.allFinite();
    return out;
  }

 private:
  // Statistics: the log-likelihood, the proportions', the responses'.
  size_t n_statistics() const { return 1 + proportions_.n_statistics() + responses_.n_statistics(); }
  const double* response_statistics() const { return statistics_.data() + 1 + proportions_.n_statistics(); }

  SpacePool<SweepSpace>::Lease borrow_space() {
    return spaces_.borrow([&] {
      std::unique_ptr<SweepSpace> made(new SweepSpace());
      made->responses = responses_.make_workspaces();
      made->weight.resize(kTileRows);
      made->joint.resize(n_components() * kTileRows);
      made->marginal.resize(kTileRows);
      return made;
    });
  }

  template <class Visit>
  static void for_tiles(size_t begin, size_t end, const Visit& visit) {
    for (size_t row = begin; row < end; row += kTileRows) visit(neighbouring_rows(row, std::min(kTileRows, end - row)));
  }

  // For every tile, fill(tile, space) leaves weighted posteriors in space.joint and returns a share of the
  // log-likelihood (`observed`: of the observed data); their statistics are added up, and the chunks' folded in their
  // order. Slices are cut by the number of rows, not by the clock, so that the order of the sums is always the same.
  template <class Fill>
  Objective sweep(const Fill& fill, bool observed = false) {
    const size_t size = n_statistics(), n_chunks = rows_.n_chunks();
    proportions_.prepare();
    partial_.assign(size * n_chunks, 0.0);
    impossible_.assign(n_chunks, MixtureRows::kNoRow);
    constexpr size_t slice = kSliceTiles * kTileRows;
    for (size_t offset = 0; offset < rows_.chunk_rows(); offset += slice) {
      if (interrupt_ && interrupt_->pending()) return Objective{std::numeric_limits<double>::quiet_NaN(), 0.0};
      parallel_tasks(n_chunks, threads_, [&](size_t chunk) {
        const size_t begin = rows_.chunk_begin(chunk) + offset;
        const size_t end = std::min(begin + slice, rows_.chunk_end(chunk));
        if (begin >= end) return;
        auto space = borrow_space();
        double* statistics = partial_.data() + chunk * size;
        for_tiles(begin, end, [&](const RowTile& tile) {
          tile.load(rows_.weights(), 0.0, space->weight.data());
          const double loglik = fill(tile, *space);
          if (observed && !std::isfinite(loglik)) note_impossible(tile, *space, impossible_[chunk]);
          statistics[0] += loglik;
          proportions_.accumulate(tile, space->joint.data(), kTileRows, space->proportions, statistics + 1);
          responses_.accumulate(tile, space->joint.data(), kTileRows, space->responses,
                                statistics + 1 + proportions_.n_statistics());
        });
      });
    }
    statistics_.assign(size, 0.0);
    for (size_t chunk = 0; chunk < n_chunks; ++chunk)
      for (size_t i = 0; i < size; ++i) statistics_[i] += partial_[chunk * size + i];
    if (impossible_row_) {
      const size_t first = *std::min_element(impossible_.begin(), impossible_.end());
      size_t known = impossible_row_->load();
      while (first < known && !impossible_row_->compare_exchange_weak(known, first)) {
      }
    }
    return Objective{statistics_[0] + rows_.total_constant(), 0.0};
  }

  bool m_step_is_exact() const {
    bool exact = !proportions_.by_covariates();
    for (size_t r = 0; r < responses_.size(); ++r) exact = exact && responses_[r].m_step_is_exact();
    return exact;
  }

  // Puts given posteriors in place of a tile's own; its share of the expected complete-data log-likelihood.
  template <class Posterior>
  double expect_given(const RowTile& tile, SweepSpace& space, const Posterior& posterior) const {
    joint_density(tile, space, false);
    proportions_.add_log_proportions(tile, space.proportions, space.joint.data(), kTileRows);
    double expected = 0.0;
    for (size_t k = 0; k < n_components(); ++k) {
      double* z = space.joint.data() + k * kTileRows;
      for (size_t i = 0; i < tile.size(); ++i) {
        const std::ptrdiff_t row = tile.row(i);
        const double weight = row < 0 ? 0.0 : space.weight[i] * posterior(static_cast<size_t>(row), k);
        if (weight > 0.0) expected += weight * z[i];
        z[i] = weight;
      }
    }
    return expected;
  }

  // Log densities of a tile given the component, and, if `whole`, with the proportions and the labels.
  void joint_density(const RowTile& tile, SweepSpace& space, bool whole) const {
    responses_.log_density(tile, space.responses, space.joint.data(), kTileRows);
    if (whole) finish_joint(tile, space);
  }

  // A row of known component has no other.
  void finish_joint(const RowTile& tile, SweepSpace& space) const {
    proportions_.add_log_proportions(tile, space.proportions, space.joint.data(), kTileRows);
    if (!rows_.has_labels()) return;
    for (size_t i = 0; i < tile.size(); ++i) {
      const std::ptrdiff_t row = tile.row(i);
      const int label = row < 0 ? -1 : rows_.label(static_cast<size_t>(row));
      if (label < 0) continue;
      for (size_t k = 0; k < n_components(); ++k)
        if (k != static_cast<size_t>(label))
          space.joint[k * kTileRows + i] = -std::numeric_limits<double>::infinity();
    }
  }

  // Rows without a say have posterior 0 also where they are impossible (0 times what is not a number).
  void silence(const RowTile& tile, SweepSpace& space) const {
    for (size_t i = 0; i < tile.size(); ++i)
      if (space.weight[i] == 0.0)
        for (size_t k = 0; k < n_components(); ++k) space.joint[k * kTileRows + i] = 0.0;
  }

  void note_impossible(const RowTile& tile, const SweepSpace& space, size_t& first) const {
    for (size_t i = 0; i < tile.size(); ++i) {
      const std::ptrdiff_t row = tile.row(i);
      if (row < 0 || space.weight[i] == 0.0 || std::isfinite(space.marginal[i])) continue;
      first = std::min(first, static_cast<size_t>(row));
    }
  }

  VectorXd flat_parameters() const {
    const MatrixXd proportions = proportions_.parameters();
    std::vector<double> out(proportions.data(), proportions.data() + proportions.size());
    for (const MatrixXd& m : responses_.parameters()) out.insert(out.end(), m.data(), m.data() + m.size());
    return Eigen::Map<VectorXd>(out.data(), static_cast<Index>(out.size()));
  }

  bool set_coordinates(const VectorXd& point) {
    return proportions_.set_coordinates(point.data()) &&
           responses_.set_coordinates(point.data() + proportions_.n_coordinates());
  }

  static constexpr size_t kSliceTiles = 64;  // of each chunk between looks for an interrupt
  static constexpr int kStartSteps = 12;
  static constexpr double kStartGain = 1e-4;
  static constexpr int kMostHalvings = 40;   // then the step is shorter than rounding

  const MixtureRows& rows_;
  MixtureProportions proportions_;
  ResponseSet responses_;
  double least_size_;
  int threads_;
  Interrupt* interrupt_;
  std::atomic<size_t>* impossible_row_;
  Degeneracy vanished_;
  std::vector<double> statistics_, partial_;
  std::vector<size_t> impossible_;  // the first of each chunk
  int halvings_ = 0;
  SpacePool<SweepSpace> spaces_;
};

}  // namespace emkit
