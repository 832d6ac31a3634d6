// Independent x Emission: finite mixtures.
#pragma once
#include <algorithm>
#include <memory>
#include <vector>

#include "../data/observations.h"
#include "../em/model.h"
#include "../emission/emission.h"
#include "../latent/independent.h"
#include "../math/aligned.h"
#include "../parallel/execution.h"
#include "../parallel/space_pool.h"

namespace emkit {

// Scratch space of one thread for sweeps over tiles.
struct SweepSpace {
  std::unique_ptr<Emission::Workspace> emission;
  AlignedBuffer tile, weight, joint, marginal;
  std::vector<TileRun> runs;

  void resize(size_t d, size_t n_components) {
    const size_t rows = Observations::kBlockRows;
    tile.resize(d * rows);
    weight.resize(rows);
    joint.resize(n_components * rows);
    marginal.resize(rows);
  }
};

// Rows of one pattern that for_each_row() has evaluated: positions begin .. end - 1, rows first .. of a tile.
struct EvaluatedRows {
  const Pattern& pattern;
  size_t begin;
  size_t end;
  const Tile& tile;
  size_t first;
  SweepSpace& space;

  const double* joint(size_t k) const { return space.joint.data() + k * tile.stride + first; }
  const double* marginal() const { return space.marginal.data() + first; }
};

// What joint() of evaluated rows holds.
enum class RowValues {
  kPosterior,
  kComponentDensity  // log densities of the components; marginal() is not set
};

template <class EmissionType>
class LatentClass : public EmModel {
 public:
  LatentClass(const Observations& data, Independent latent, EmissionType emission, Execution execution)
      : data_(data), latent_(std::move(latent)), emission_(std::move(emission)), execution_(execution) {}

  EmissionType& emission() { return emission_; }
  const EmissionType& emission() const { return emission_; }
  Independent& latent() { return latent_; }
  const Independent& latent() const { return latent_; }

  // ---- EmModel ----

  Objective e_step() override {
    emission_.prepare(false);
    prepare_mixed();
    return sweep_all([this](const Segment& segment, SweepSpace& space, double* statistics) {
      statistics[0] += expect(segment, space, statistics);
    });
  }

  bool m_step() override {
    if (!emission_.m_step(statistics_.data() + 1 + n_components())) return false;
    counts_ = Eigen::Map<const Eigen::VectorXd>(statistics_.data() + 1, static_cast<Eigen::Index>(n_components()));
    latent_.m_step(counts_);
    return true;
  }

  // log of the components' shares of the posterior, then the emission's coordinates.
  size_t n_packed() const override { return n_components() + emission_.n_packed(); }

  bool pack(double* point) const override {
    const double total = counts_.sum();
    for (Eigen::Index k = 0; k < counts_.size(); ++k) {
      if (!(counts_(k) > 0.0)) return false;
      point[k] = std::log(counts_(k) / total);
    }
    return emission_.pack(point + n_components());
  }

  bool unpack(const double* point) override {
    Eigen::VectorXd shares = Eigen::Map<const Eigen::VectorXd>(point, static_cast<Eigen::Index>(n_components()));
    shares = (shares.array() - shares.maxCoeff()).exp().matrix();
    const Eigen::VectorXd counts = shares * (counts_.sum() / shares.sum());
    if (!counts.allFinite() || !emission_.unpack(point + n_components(), counts)) return false;
    latent_.m_step(counts);
    return true;
  }

  Degeneracy degeneracy() const override {
    const Degeneracy d = emission_.degeneracy();
    return d ? d : Degeneracy{Degeneracy::Kind::kNotFinite, 0};
  }

  // ---- starts ----

  // The statistics that given posteriors would have, and the M-step from them. posterior(row, k) need not sum to 1 over
  // k (rows without a say have 0). False when the M-step does not exist.
  template <class Posterior>
  bool start_from_posterior(const Posterior& posterior) {
    emission_.set_overall();
    prepare_mixed();
    sweep_all([&](const Segment& segment, SweepSpace& space, double* statistics) {
      blocks(segment, space, statistics, [&](size_t begin, size_t end, const Tile& tile) {
        for (size_t k = 0; k < n_components(); ++k) {
          double* z = space.joint.data() + k * tile.stride;
          for (size_t i = begin; i < end; ++i)
            z[i - begin] = space.weight[i - begin] * posterior(data_.row(i), k);
          std::fill(z + (end - begin), z + tile.rows, 0.0);
        }
      });
    });
    return m_step();
  }

  // ---- what a user gets of every row ----

  // Calls write(rows) for all rows: their posteriors and log densities.
  template <class Write>
  void for_each_row(const Write& write, RowValues values = RowValues::kPosterior) {
    emission_.prepare(true);
    prepare_mixed();
    const bool densities = values == RowValues::kComponentDensity;
    const std::vector<double> offset =
        densities ? std::vector<double>(n_components(), 0.0) : latent_.log_proportions();
    parallel_tasks(data_.n_chunks(), execution_.threads, [&](size_t chunk) {
      auto space = borrow_space();
      data_.segments(data_.chunk_begin(chunk), data_.chunk_end(chunk), mixed_, [&](const Segment& segment) {
        begin_segment(segment, *space);
        for (size_t begin = segment.begin, end; begin < segment.end; begin = end) {
          end = data_.tile_end(segment, begin);
          const Tile tile = load(segment, begin, end, *space);
          if (densities) {
            emission_.log_density(tile, offset.data(), *space->emission, space->joint.data());
          } else {
            std::fill(space->weight.data(), space->weight.data() + tile.rows, 1.0);
            joint_density(offset.data(), begin, end, tile, *space);
            kernels().posterior(space->joint.data(), tile.stride, tile.rows, n_components(), space->weight.data(),
                                space->marginal.data());
          }
          if (!tile.runs) write(EvaluatedRows{data_.patterns()[segment.pattern], begin, end, tile, 0, *space});
          if (tile.runs)
            for (const TileRun& run : *tile.runs)
              write(EvaluatedRows{*run.pattern, begin + run.begin, begin + run.end, tile, run.begin, *space});
        }
      });
    });
  }

  // The flat statistics of the last e_step(), behind the log-likelihood and the counts.
  const double* emission_statistics() const { return statistics_.data() + 1 + n_components(); }
  Eigen::VectorXd counts() const {
    return Eigen::Map<const Eigen::VectorXd>(statistics_.data() + 1, static_cast<Eigen::Index>(n_components()));
  }

  size_t n_components() const { return emission_.n_components(); }

 private:
  // Statistics: the log-likelihood, the posterior size of each component, the emission's.
  size_t n_statistics() const { return 1 + n_components() + emission_.n_statistics(); }

  SpacePool<SweepSpace>::Lease borrow_space() {
    return spaces_.borrow([&] {
      std::unique_ptr<SweepSpace> made(new SweepSpace());
      made->emission = emission_.make_workspace();
      made->resize(data_.d(), n_components());
      return made;
    });
  }

  // Runs visit(segment, space, statistics) over all the data and folds the chunks' statistics in their order, in slices
  // short enough to notice an interrupt between them. Slices are cut by the size of the problem, not by the clock, so
  // that the order of the sums is always the same.
  template <class Visit>
  Objective sweep_all(const Visit& visit) {
    const size_t size = n_statistics(), n_chunks = data_.n_chunks();
    log_proportions_ = latent_.log_proportions();
    partial_.assign(size * n_chunks, 0.0);
    const size_t slice = slice_rows();
    for (size_t offset = 0; offset < data_.chunk_rows() && n_chunks > 0; offset += slice) {
      if (execution_.interrupt && execution_.interrupt->pending()) {
        return Objective{std::numeric_limits<double>::quiet_NaN(), 0.0};
      }
      parallel_tasks(n_chunks, execution_.threads, [&](size_t chunk) {
        const size_t begin = data_.chunk_begin(chunk) + offset;
        const size_t end = std::min(begin + slice, data_.chunk_end(chunk));
        if (begin >= end) return;
        auto space = borrow_space();
        double* statistics = partial_.data() + chunk * size;
        data_.segments(begin, end, mixed_, [&](const Segment& segment) { visit(segment, *space, statistics); });
      });
    }
    statistics_.assign(size, 0.0);
    for (size_t chunk = 0; chunk < n_chunks; ++chunk)
      for (size_t i = 0; i < size; ++i) statistics_[i] += partial_[chunk * size + i];
    return Objective{statistics_[0] + emission_.loglik_offset(), emission_.log_prior()};
  }

  size_t slice_rows() const {
    const double d = static_cast<double>(data_.d());
    const double work = static_cast<double>(data_.n_chunks() * n_components()) * (d * d + 4.0 * d + 30.0);
    const double blocks_in_slice = kSliceWork / (work * static_cast<double>(Observations::kBlockRows));
    const size_t blocks = blocks_in_slice < 1.0 ? 1 : blocks_in_slice > 1e9 ? 1000000000 : static_cast<size_t>(blocks_in_slice);
    return blocks * Observations::kBlockRows;
  }

  void prepare_mixed() { mixed_ = data_.has_sparse() && emission_.prepare_mixed(); }

  void begin_segment(const Segment& segment, SweepSpace& space) const {
    if (segment.mixed)
      emission_.begin_mixed_segment(*space.emission);
    else
      emission_.begin_segment(data_.patterns()[segment.pattern], *space.emission);
  }

  Tile load(const Segment& segment, size_t begin, size_t end, SweepSpace& space) const {
    Tile tile{space.tile.data(), Observations::kBlockRows, 0, nullptr};
    if (!segment.mixed) {
      const Pattern& pattern = data_.patterns()[segment.pattern];
      tile.rows = data_.load_tile(pattern, begin, end, space.tile.data(), space.weight.data());
      return tile;
    }
    tile.rows = data_.load_mixed_tile(begin, end, space.tile.data(), space.weight.data(), space.runs);
    tile.runs = &space.runs;
    emission_.complete_tile(tile, *space.emission);
    return tile;
  }

  // Log joint densities of a tile; a row of known component has no other.
  void joint_density(const double* offset, size_t begin, size_t end, const Tile& tile, SweepSpace& space) const {
    emission_.log_density(tile, offset, *space.emission, space.joint.data());
    if (!data_.has_labels()) return;
    for (size_t i = begin; i < end; ++i) {
      const int label = data_.raw().labels[data_.row(i)];
      if (label == kUnknownLabel) continue;
      const size_t known = label == kNoiseLabel ? n_components() - 1 : static_cast<size_t>(label);
      for (size_t k = 0; k < n_components(); ++k)
        if (k != known)
          space.joint[k * tile.stride + (i - begin)] = -std::numeric_limits<double>::infinity();
    }
  }

  // Runs fill(begin, end, tile), which leaves weighted posteriors in space.joint, over a segment and adds their statistics.
  template <class Fill>
  void blocks(const Segment& segment, SweepSpace& space, double* statistics, const Fill& fill) {
    begin_segment(segment, space);
    for (size_t begin = segment.begin, end; begin < segment.end; begin = end) {
      end = data_.tile_end(segment, begin);
      const Tile tile = load(segment, begin, end, space);
      fill(begin, end, tile);
      emission_.accumulate(tile, space.joint.data(), *space.emission);
      for (size_t k = 0; k < n_components(); ++k) {
        const double* z = space.joint.data() + k * tile.stride;
        double lanes[4] = {0.0, 0.0, 0.0, 0.0};
        for (size_t i = 0; i < tile.rows; i += 4)
          for (size_t l = 0; l < 4; ++l) lanes[l] += z[i + l];
        statistics[1 + k] += (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
      }
    }
    emission_.end_segment(data_.patterns()[segment.pattern], *space.emission, statistics + 1 + n_components());
  }

  double expect(const Segment& segment, SweepSpace& space, double* statistics) {
    double loglik = 0.0;
    blocks(segment, space, statistics, [&](size_t begin, size_t end, const Tile& tile) {
      joint_density(log_proportions_.data(), begin, end, tile, space);
      loglik += kernels().posterior(space.joint.data(), tile.stride, tile.rows, n_components(), space.weight.data(),
                                    space.marginal.data());
    });
    return loglik;
  }

  // Multiplications in a slice: some tens of milliseconds.
  static constexpr double kSliceWork = 5e8;

  const Observations& data_;
  Independent latent_;
  EmissionType emission_;
  Execution execution_;
  bool mixed_ = false;  // sparse patterns are visited as mixed segments
  std::vector<double> log_proportions_;
  std::vector<double> statistics_, partial_;
  Eigen::VectorXd counts_;  // that the last M-step used
  SpacePool<SweepSpace> spaces_;
};

}  // namespace emkit
