// The scaled forward-backward recursions over all sequences, strip by strip. (formulas.Rmd, F2 to F6)
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "../data/chains.h"
#include "../kernels/kernels.h"
#include "../math/aligned.h"
#include "../parallel/reduce.h"
#include "../parallel/space_pool.h"

namespace emkit {

// What a tile was found to be, handed to the caller of a sweep; planes have kTileRows positions.
struct ChainView {
  const RowTile* rows = nullptr;
  const unsigned char* first = nullptr;  // see ChainTile; null: no sequence begins here
  double* posterior = nullptr;           // K planes, also in padding; null in a forward sweep
  const double* alpha = nullptr;         // K planes
  const double* before = nullptr;        // K x lanes: alpha of the step before the tile
  double* pairs = nullptr;               // K x K planes when transitions differ by row, else null
  const double* transition = nullptr;    // likewise
  const double* shift = nullptr;         // forward sweep: log of the largest density of the row
  const double* inverse_scale = nullptr;
};

// Scratch space of one thread. `Extra` is the density's own.
template <class Extra>
struct ChainSpace {
  std::unique_ptr<Extra> extra;
  AlignedBuffer density, alpha, inverse_scale, shift, transition, initial, pairs, pair_planes, forward, before, backward,
      scratch, again;
  std::vector<unsigned char> first, any_first, warm_first;
  std::vector<double> checkpoints;
};

// A Model tells what the recursions are about:
//   using Extra; make_extra() -> std::unique_ptr<Extra>: scratch of its own
//   n_states(), chains()
//   log_density(rows, extra, out, stride): K planes; 0 in padding
//   transition_by_row(), transition_matrix() (K x K, row i: from i), fill_transition(rows, extra, planes)
//   initial_by_row(), initial_law() (K), fill_initial(rows, first, extra, planes)
//
// Exactness. A filter forgets where it began, exponentially fast, so `warm_up` steps before a strip give its first alpha
// to the last bits. How many steps that takes is not assumed: after a sweep the warmed alpha and beta at every boundary
// are compared with those that the neighbouring strip ended on, and if any differ by more than kBoundary the sweep is
// done again with a longer warm-up, in the end without boundaries.
template <class Model>
class ForwardBackward {
 public:
  using Extra = typename Model::Extra;
  using Space = ChainSpace<Extra>;

  explicit ForwardBackward(const Model& model) : model_(model) {}

  // The row that made the last sweep impossible, or -1.
  std::ptrdiff_t impossible_row() const { return impossible_; }
  // Where the sums over the strips are kept apart: a group's statistics go to chunk_of(group).
  size_t n_chunks() const { return std::min<size_t>(plan_.n_groups, kMaxChunks); }

  // Runs over everything and calls, from several threads, forward_tile(chunk, view, space) for every tile on the way
  // forward and backward_tile(chunk, view, space) on the way back, then group_end(chunk, space) whose
  // space.pairs holds the sums over pairs. reset() is called before every attempt: the sums so far do not count.
  // `what`: kForward leaves out the way back. False when interrupted or when a row is impossible.
  enum class Way { kForward, kBoth };
  template <class Reset, class Forward, class Backward, class GroupEnd>
  bool sweep(Way way, int threads, Interrupt* interrupt, const Reset& reset, const Forward& forward_tile,
             const Backward& backward_tile, const GroupEnd& group_end) {
    const size_t K = model_.n_states(), n = model_.chains().n();
    for (;;) {
      plan_ = StripPlan::make(n, kernels().chain.lanes, row_bytes(), warm_up_);
      impossible_ = -1;
      const size_t values = plan_.n_groups * plan_.lanes * K;
      for (std::vector<double>* b : {&entry_, &exit_, &back_entry_, &back_exit_}) b->assign(values, 1.0);
      reset();
      const size_t slice = std::max<size_t>(n_chunks(), kSliceRows / (plan_.length * plan_.lanes * K) + 1);
      const size_t chunks = n_chunks();
      // A chunk is a run of neighbouring groups; a slice takes some of every chunk.
      const size_t rounds = (plan_.n_groups + slice - 1) / slice;
      for (size_t round = 0; round < rounds; ++round) {
        if (interrupt && interrupt->pending()) return false;
        parallel_tasks(chunks, threads, [&](size_t chunk) {
          const size_t begin = plan_.n_groups * chunk / chunks, end = plan_.n_groups * (chunk + 1) / chunks;
          const size_t from = begin + (end - begin) * round / rounds, to = begin + (end - begin) * (round + 1) / rounds;
          if (from >= to) return;
          auto space = borrow_space();
          fit(*space);  // the plan may have changed since the space was made
          for (size_t group = from; group < to; ++group)
            run_group(way, chunk, group, *space, forward_tile, backward_tile, group_end);
        });
      }
      const double off = boundary_error(way);
      if (off <= kBoundary) return impossible_ < 0;
      lengthen_warm_up(off);
    }
  }

  const StripPlan& plan() const { return plan_; }

 private:
  static constexpr size_t kMaxChunks = 64;
  static constexpr double kBoundary = 1e-13;
  static constexpr size_t kSliceRows = 20000000;  // rows times states in a slice: some tens of milliseconds

  typename SpacePool<Space>::Lease borrow_space() {
    return spaces_.borrow([&] {
      std::unique_ptr<Space> made(new Space());
      made->extra = model_.make_extra();
      return made;
    });
  }

  size_t row_bytes() const {
    const size_t K = model_.n_states();
    return sizeof(double) * (2 * K + 1 + (model_.transition_by_row() ? K * K : 0) + (model_.initial_by_row() ? K : 0));
  }

  void fit(Space& s) const {
    const size_t K = model_.n_states(), tiles = plan_.block_steps / plan_.tile_steps, V = plan_.lanes;
    const auto at_least = [](AlignedBuffer& b, size_t size) {
      if (b.size() < size) b.resize(size);
    };
    at_least(s.density, tiles * K * kTileRows);
    at_least(s.alpha, tiles * K * kTileRows);
    at_least(s.inverse_scale, tiles * kTileRows);
    at_least(s.shift, kTileRows);
    at_least(s.again, K * kTileRows);
    if (model_.transition_by_row()) {
      at_least(s.transition, tiles * K * K * kTileRows);
      at_least(s.pair_planes, K * K * kTileRows);
    }
    if (model_.initial_by_row()) at_least(s.initial, K * kTileRows);
    at_least(s.pairs, K * K * kWide);
    at_least(s.forward, K * V);
    at_least(s.before, K * V);
    at_least(s.backward, K * V);
    at_least(s.scratch, 4 * K * V);
    s.first.resize(tiles * plan_.tile_steps);
    s.any_first.resize(tiles);
  }

  // A tile of the data, its densities and transitions in slot `slot` of the block.
  ChainTile tile_of(const RowTile& rows, size_t slot, Space& s) const {
    const size_t K = model_.n_states();
    ChainTile t;
    t.n_states = K;
    t.steps = rows.steps;
    t.stride = kTileRows;
    t.density = s.density.data() + slot * K * kTileRows;
    t.transition_by_row = model_.transition_by_row();
    t.transition = t.transition_by_row ? s.transition.data() + slot * K * K * kTileRows : model_.transition_matrix();
    t.initial_by_row = model_.initial_by_row();
    t.initial = t.initial_by_row ? s.initial.data() : model_.initial_law();
    t.first = s.any_first[slot] ? s.first.data() + slot * plan_.tile_steps : nullptr;
    t.scratch = s.scratch.data();
    return t;
  }

  // Fills a slot with the tile's scaled densities and, if they differ by row, its transitions.
  void load(const RowTile& rows, size_t slot, Space& s) const {
    const size_t K = model_.n_states();
    double* density = s.density.data() + slot * K * kTileRows;
    unsigned char* first = s.first.data() + slot * plan_.tile_steps;
    s.any_first[slot] = model_.chains().first_mask(rows, first) ? 1 : 0;
    model_.log_density(rows, *s.extra, density, kTileRows);
    kernels().chain.scale_density(density, kTileRows, kTileRows, K, s.shift.data());
    if (model_.transition_by_row())
      model_.fill_transition(rows, *s.extra, s.transition.data() + slot * K * K * kTileRows);
  }

  // Forward through the tile of a slot; s.forward goes along. Rows that the scaled densities make too small are scaled
  // by what their reachable states can be.
  bool forward(const RowTile& rows, size_t slot, bool keep, Space& s) {
    const size_t K = model_.n_states(), V = plan_.lanes;
    ChainTile t = tile_of(rows, slot, s);
    if (t.first && t.initial_by_row) model_.fill_initial(rows, t.first, *s.extra, s.initial.data());
    t.forward = s.forward.data();
    t.inverse_scale = s.inverse_scale.data() + slot * kTileRows;
    if (keep) t.alpha = s.alpha.data() + slot * K * kTileRows;
    size_t done = 0;
    bool again = false;
    for (;;) {
      ChainTile rest = t;
      const size_t skip = done * V;
      rest.steps = t.steps - done;
      rest.density = t.density + skip;
      if (t.transition_by_row) rest.transition = t.transition + skip;
      if (t.initial_by_row) rest.initial = t.initial + skip;
      if (t.first) rest.first = t.first + done;
      if (t.alpha) rest.alpha = t.alpha + skip;
      rest.inverse_scale = t.inverse_scale + skip;
      done += kernels().chain.forward(rest);
      if (done == t.steps) return true;
      if (!again) model_.log_density(rows, *s.extra, s.again.data(), kTileRows);
      again = true;
      if (!rescale(rows, t, slot, done, keep, s)) return false;
    }
  }

  // Scales the densities of step `step` anew in every lane by the largest probability that a state has there.
  bool rescale(const RowTile& rows, const ChainTile& t, size_t slot, size_t step, bool keep, Space& s) {
    const size_t K = model_.n_states(), V = plan_.lanes;
    for (size_t v = 0; v < V; ++v) {
      const size_t at = step * V + v;
      double* density = s.density.data() + slot * K * kTileRows + at;
      std::vector<double> reach(K), term(K);
      const bool first = t.first && ((t.first[step] >> v) & 1);
      double total = 0.0, top = -std::numeric_limits<double>::infinity();
      size_t best = 0;
      for (size_t j = 0; j < K; ++j) {
        double p = 0.0;
        if (first)
          p = t.initial_by_row ? t.initial[j * kTileRows + at] : t.initial[j];
        else
          for (size_t i = 0; i < K; ++i)
            p += s.forward[i * V + v] *
                 (t.transition_by_row ? t.transition[(i * K + j) * kTileRows + at] : t.transition[i * K + j]);
        reach[j] = p;
        total += p * density[j * kTileRows];
        term[j] = p > kLeastReach ? std::log(p) + s.again[j * kTileRows + at] : -std::numeric_limits<double>::infinity();
        if (term[j] > top) {
          top = term[j];
          best = j;
        }
      }
      if (total >= kFine) continue;
      if (!std::isfinite(top)) {
        // While warming up, a row that cannot be says that the warm-up began in the wrong place: it says nothing.
        if (keep) {
          const std::ptrdiff_t row = rows.row(at);
          std::lock_guard<std::mutex> lock(mutex_);
          if (impossible_ < 0 || row < impossible_) impossible_ = row;
          return false;
        }
        for (size_t j = 0; j < K; ++j) {
          s.forward[j * V + v] = 1.0 / static_cast<double>(K);
          density[j * kTileRows] = 1.0;
        }
        continue;
      }
      const double shift = s.again[best * kTileRows + at] + std::log(reach[best]);
      for (size_t j = 0; j < K; ++j)
        density[j * kTileRows] = term[j] - top > -600.0 ? std::exp(s.again[j * kTileRows + at] - shift) : 0.0;
      s.shift[at] = shift;
    }
    return true;
  }

  template <class Forward, class Backward, class GroupEnd>
  void run_group(Way way, size_t chunk, size_t group, Space& s, const Forward& forward_tile,
                 const Backward& backward_tile, const GroupEnd& group_end) {
    const size_t K = model_.n_states(), V = plan_.lanes, n = model_.chains().n(), steps = plan_.tile_steps;
    const size_t values = K * V;
    const auto rows_at = [&](size_t offset) { return plan_.tile(group, static_cast<std::ptrdiff_t>(offset), n); };
    double* state = s.forward.data();
    std::fill(state, state + values, 1.0 / static_cast<double>(K));
    for (size_t left = plan_.warm_up; left > 0; left -= steps) {
      const RowTile rows = plan_.tile(group, -static_cast<std::ptrdiff_t>(left), n);
      load(rows, 0, s);
      forward(rows, 0, false, s);
    }
    keep(state, group, entry_);

    const size_t blocks = (plan_.length + plan_.block_steps - 1) / plan_.block_steps;
    s.checkpoints.resize(blocks * values);
    // Forward through a block, keeping its alphas; before that, where it begins, so that the way back can do it again.
    const auto run_block = [&](size_t block, bool report) {
      const size_t begin = block * plan_.block_steps, end = std::min(begin + plan_.block_steps, plan_.length);
      for (size_t at = begin; at < end; at += steps) {
        const size_t slot = (at - begin) / steps;
        const RowTile rows = rows_at(at);
        load(rows, slot, s);
        if (report) std::copy(state, state + values, s.before.data());
        if (!forward(rows, slot, true, s)) return false;
        if (report) forward_tile(chunk, view_of(rows, slot, s), s);
      }
      return true;
    };
    for (size_t block = 0; block < blocks; ++block) {
      std::copy(state, state + values, s.checkpoints.data() + block * values);
      if (!run_block(block, true)) return;
    }
    keep(state, group, exit_);
    if (way == Way::kForward) return;

    // Beta behind the strip, from uniform; then in the scale in which sum alpha beta = 1 at the strip's last step.
    double* beta = s.backward.data();
    std::vector<double> last(state, state + values);
    std::fill(beta, beta + values, 1.0);
    for (size_t left = plan_.warm_up; left > 0; left -= steps) warm_backward(rows_at(plan_.length + left - steps), s);
    normalise(beta, last.data());
    keep(beta, group, back_entry_);

    std::fill(s.pairs.data(), s.pairs.data() + K * K * kWide, 0.0);
    for (size_t block = blocks; block-- > 0;) {
      const size_t begin = block * plan_.block_steps, end = std::min(begin + plan_.block_steps, plan_.length);
      if (block + 1 < blocks) {
        std::copy(s.checkpoints.data() + block * values, s.checkpoints.data() + (block + 1) * values, state);
        run_block(block, false);
      }
      for (size_t at = end; at > begin;) {
        at -= steps;
        const size_t slot = (at - begin) / steps;
        const RowTile rows = rows_at(at);
        ChainTile t = tile_of(rows, slot, s);
        double* density = s.density.data() + slot * K * kTileRows;
        t.alpha = s.alpha.data() + slot * K * kTileRows;
        t.inverse_scale = s.inverse_scale.data() + slot * kTileRows;
        if (slot > 0) {
          const double* previous = s.alpha.data() + (slot - 1) * K * kTileRows + (steps - 1) * V;
          for (size_t k = 0; k < K; ++k) std::copy(previous + k * kTileRows, previous + k * kTileRows + V, s.before.data() + k * V);
        } else {
          std::copy(s.checkpoints.data() + block * values, s.checkpoints.data() + (block + 1) * values, s.before.data());
        }
        t.before = s.before.data();
        t.backward = beta;
        t.posterior = density;
        t.pairs = t.transition_by_row ? s.pair_planes.data() : s.pairs.data();
        kernels().chain.backward(t);
        ChainView view = view_of(rows, slot, s);
        view.posterior = density;
        if (t.transition_by_row) view.pairs = s.pair_planes.data();
        backward_tile(chunk, view, s);
      }
    }
    keep(beta, group, back_exit_);
    group_end(chunk, s);
  }

  ChainView view_of(const RowTile& rows, size_t slot, const Space& s) const {
    const size_t K = model_.n_states();
    ChainView v;
    v.rows = &rows;
    v.first = s.any_first[slot] ? s.first.data() + slot * plan_.tile_steps : nullptr;
    v.alpha = s.alpha.data() + slot * K * kTileRows;
    v.before = s.before.data();
    v.shift = s.shift.data();
    v.inverse_scale = s.inverse_scale.data() + slot * kTileRows;
    if (model_.transition_by_row()) v.transition = s.transition.data() + slot * K * K * kTileRows;
    return v;
  }

  void warm_backward(const RowTile& rows, Space& s) const {
    const size_t K = model_.n_states();
    // In a place of its own: the slots hold the block that the way back needs.
    std::vector<unsigned char>& mask = s.warm_first;
    mask.resize(plan_.tile_steps);
    const bool any = model_.chains().first_mask(rows, mask.data());
    model_.log_density(rows, *s.extra, s.again.data(), kTileRows);
    kernels().chain.scale_density(s.again.data(), kTileRows, kTileRows, K, s.shift.data());
    ChainTile t;
    t.n_states = K;
    t.steps = rows.steps;
    t.stride = kTileRows;
    t.density = s.again.data();
    t.transition_by_row = model_.transition_by_row();
    if (t.transition_by_row) model_.fill_transition(rows, *s.extra, s.pair_planes.data());
    t.transition = t.transition_by_row ? s.pair_planes.data() : model_.transition_matrix();
    t.first = any ? mask.data() : nullptr;
    t.backward = s.backward.data();
    t.scratch = s.scratch.data();
    kernels().chain.backward(t);
  }

  // beta such that sum_k alpha beta = 1 in every lane.
  void normalise(double* beta, const double* alpha) const {
    const size_t K = model_.n_states(), V = plan_.lanes;
    for (size_t v = 0; v < V; ++v) {
      double total = 0.0;
      for (size_t k = 0; k < K; ++k) total += alpha[k * V + v] * beta[k * V + v];
      for (size_t k = 0; k < K; ++k) beta[k * V + v] = total > 0.0 ? std::min(beta[k * V + v] / total, 1e300) : 1.0;
    }
  }

  // K x lanes of a group into an array by strip.
  void keep(const double* values, size_t group, std::vector<double>& to) const {
    const size_t K = model_.n_states(), V = plan_.lanes;
    for (size_t v = 0; v < V; ++v)
      for (size_t k = 0; k < K; ++k) to[(group * V + v) * K + k] = values[k * V + v];
  }

  // The largest difference at a boundary between what a strip was warmed up to and what its neighbour found.
  double boundary_error(Way way) const {
    const size_t K = model_.n_states();
    double worst = 0.0;
    for (size_t strip = 1; strip < plan_.n_strips; ++strip) {
      if (model_.chains().is_first(strip * plan_.length)) continue;
      const double* alpha = exit_.data() + (strip - 1) * K;
      for (size_t k = 0; k < K; ++k) worst = std::max(worst, std::abs(entry_[strip * K + k] - alpha[k]));
      if (way == Way::kForward) continue;
      const double* warmed = back_entry_.data() + (strip - 1) * K;
      const double* found = back_exit_.data() + strip * K;
      for (size_t k = 0; k < K; ++k) worst = std::max(worst, alpha[k] * std::abs(warmed[k] - found[k]));
    }
    return worst == worst ? worst : 1.0;
  }

  // The error falls by a constant factor with every step: as many as that needs.
  void lengthen_warm_up(double error) {
    const double now = static_cast<double>(plan_.warm_up);
    const double needed = error < 0.9 ? 1.1 * now * std::log(kBoundary / 10.0) / std::log(error) : 16.0 * now;
    warm_up_ = static_cast<size_t>(std::min(std::max(needed, 2.0 * now), 16.0 * now));
  }

  static constexpr double kLeastReach = 1e-290;
  static constexpr double kFine = 1e-280;

  const Model& model_;
  StripPlan plan_;
  size_t warm_up_ = StripPlan::kFirstWarmUp;
  std::ptrdiff_t impossible_ = -1;
  // By strip, K values each: alpha before its first row as warmed up, alpha of its last row; beta of its last row as
  // warmed up, beta of the row before its first.
  std::vector<double> entry_, exit_, back_entry_, back_exit_;
  std::mutex mutex_;
  SpacePool<Space> spaces_;
};

}  // namespace emkit
