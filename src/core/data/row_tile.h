// Which rows a tile holds. Kernels see tiles of up to kTileRows positions; a tile's rows are either neighbours in the
// data, or lie in `lanes` strips of it, one strip to a lane of the vector registers.
#pragma once
#include <cstddef>

#include "../kernels/kernels.h"

namespace emkit {

constexpr size_t kTileRows = 256;  // positions of a full tile: a few columns of it stay in the first-level cache

// Position step * lanes + lane holds row first + lane * lane_stride + step. Rows outside [begin, end) pad the tile:
// they hold no data. The number of positions is a multiple of kRowPad.
struct RowTile {
  std::ptrdiff_t first = 0;
  std::ptrdiff_t lane_stride = 0;
  size_t lanes = 1;
  size_t steps = 0;
  std::ptrdiff_t begin = 0, end = 0;

  size_t size() const { return steps * lanes; }

  // The row at a position, or -1 where the tile is padded.
  std::ptrdiff_t row(size_t position) const {
    const std::ptrdiff_t r = first + static_cast<std::ptrdiff_t>(position % lanes) * lane_stride +
                             static_cast<std::ptrdiff_t>(position / lanes);
    return r >= begin && r < end ? r : -1;
  }

  // out[position] = column[row], `pad` where there is no row. `column` is indexed by the rows of the data.
  template <class T>
  void load(const T* column, T pad, T* out) const {
    for (size_t v = 0; v < lanes; ++v) {
      const std::ptrdiff_t at = first + static_cast<std::ptrdiff_t>(v) * lane_stride;
      const std::ptrdiff_t last = at + static_cast<std::ptrdiff_t>(steps);
      T* to = out + v;
      if (at >= begin && last <= end) {
        const T* from = column + at;
        for (size_t t = 0; t < steps; ++t) to[t * lanes] = from[t];
      } else {
        for (size_t t = 0; t < steps; ++t) {
          const std::ptrdiff_t r = at + static_cast<std::ptrdiff_t>(t);
          to[t * lanes] = r >= begin && r < end ? column[r] : pad;
        }
      }
    }
  }
};

// The rows from..from + count - 1 one after another, padded to a multiple of kRowPad.
inline RowTile neighbouring_rows(size_t from, size_t count) {
  RowTile tile;
  tile.first = tile.begin = static_cast<std::ptrdiff_t>(from);
  tile.end = static_cast<std::ptrdiff_t>(from + count);
  tile.steps = (count + kRowPad - 1) / kRowPad * kRowPad;
  return tile;
}

}  // namespace emkit
