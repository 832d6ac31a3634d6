// Sequences one after another, and how they are cut into strips for the lanes of the vector registers.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "row_tile.h"

namespace emkit {

// Rows 0..n - 1 in the order of their sequences. `starts` are the rows at which sequences begin: ascending, the first is 0.
class Chains {
 public:
  Chains(size_t n, std::vector<size_t> starts) : n_(n), starts_(std::move(starts)) {
    if (starts_.size() < 2) return;
    is_first_.assign(n_, 0);
    for (size_t s : starts_) is_first_[s] = 1;
  }

  size_t n() const { return n_; }
  size_t n_sequences() const { return starts_.size(); }
  size_t begin(size_t sequence) const { return starts_[sequence]; }
  size_t end(size_t sequence) const { return sequence + 1 < starts_.size() ? starts_[sequence + 1] : n_; }
  bool is_first(size_t row) const { return is_first_.empty() ? row == 0 : is_first_[row] != 0; }
  size_t sequence_of(size_t row) const {
    return static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), row) - starts_.begin()) - 1;
  }

  // bit v of mask[t]: lane v begins a sequence at step t of the tile; padding does, so that it does not touch the rest.
  // False when no bit is set.
  bool first_mask(const RowTile& tile, unsigned char* mask) const {
    std::fill(mask, mask + tile.steps, static_cast<unsigned char>(0));
    bool any = false;
    for (size_t v = 0; v < tile.lanes; ++v) {
      const std::ptrdiff_t at = tile.first + static_cast<std::ptrdiff_t>(v) * tile.lane_stride;
      const std::ptrdiff_t last = at + static_cast<std::ptrdiff_t>(tile.steps);
      const unsigned char bit = static_cast<unsigned char>(1u << v);
      if (at > 0 && last <= tile.end && is_first_.empty()) continue;
      for (size_t t = 0; t < tile.steps; ++t) {
        const std::ptrdiff_t r = at + static_cast<std::ptrdiff_t>(t);
        if (r < tile.begin || r >= tile.end || is_first(static_cast<size_t>(r))) {
          mask[t] = static_cast<unsigned char>(mask[t] | bit);
          any = true;
        }
      }
    }
    return any;
  }

 private:
  size_t n_;
  std::vector<size_t> starts_;
  std::vector<std::uint8_t> is_first_;  // n; empty when there is one sequence
};

// All rows cut into strips of equal length, whatever the sequences: strip s holds rows s * length .. (s + 1) * length - 1,
// and `lanes` strips make a group, which is worked on at once. A strip that begins within a sequence takes its first
// filter from `warm_up` rows before it, and its last beta from as many rows behind it. Made from the numbers of rows and
// states alone, never from the number of threads.
struct StripPlan {
  size_t lanes = 1, tile_steps = 1;
  size_t length = 0;        // of a strip, in steps: a multiple of tile_steps
  size_t block_steps = 0;   // steps of which alpha is kept: the whole strip, or a part of it
  size_t warm_up = 0;       // a multiple of tile_steps
  size_t n_strips = 0, n_groups = 0;

  static constexpr size_t kFirstWarmUp = 64;

  // `bytes`: what a row needs while its block is worked on.
  static StripPlan make(size_t n, size_t lanes, size_t bytes, size_t warm_up) {
    StripPlan p;
    p.lanes = lanes;
    p.tile_steps = kTileRows / lanes;
    const auto up = [&](size_t steps) { return std::max<size_t>(1, (steps + p.tile_steps - 1) / p.tile_steps) * p.tile_steps; };
    p.warm_up = up(warm_up);
    const size_t block = up(kBlockBytes / (bytes * lanes));
    const size_t least = 4 * p.warm_up;
    if (n <= least) {
      p.length = up(n);  // one strip: no boundaries at all
    } else {
      // Eight groups at least where the data allow, so that threads can share them; longer strips when there is much.
      p.length = up(std::max(least, std::min(block, (n + 8 * lanes - 1) / (8 * lanes))));
      if (p.length * lanes > n) p.length = std::max(up(least), up((n + lanes - 1) / lanes));
    }
    p.block_steps = std::min(p.length, block);
    p.n_strips = (n + p.length - 1) / p.length;
    p.n_groups = (p.n_strips + lanes - 1) / lanes;
    if (p.n_strips == 1) p.warm_up = 0;
    return p;
  }

  RowTile tile(size_t group, std::ptrdiff_t offset, size_t n) const {
    RowTile t;
    t.first = static_cast<std::ptrdiff_t>(group * lanes * length) + offset;
    t.lane_stride = static_cast<std::ptrdiff_t>(length);
    t.lanes = lanes;
    t.steps = tile_steps;
    t.begin = 0;
    t.end = static_cast<std::ptrdiff_t>(n);
    return t;
  }

 private:
  static constexpr size_t kBlockBytes = 512 * 1024;  // about half of a second-level cache
};

}  // namespace emkit
