// The interface of the recursions of hidden Markov models. Each lane of the vector registers runs along a strip of its
// own, so a tile holds `steps` steps of `lanes` strips: position step * lanes + lane.
#pragma once
#include <cstddef>

namespace emkit {

using std::size_t;

// What the forward and the backward recursion see of a tile. Planes have `stride` positions: state k's plane begins at
// [k * stride], that of the transition i -> j at [(i * n_states + j) * stride].
struct ChainTile {
  size_t n_states = 0;
  size_t steps = 0;
  size_t stride = 0;
  const double* density = nullptr;           // K planes, scaled: at most 1 in every row
  const double* transition = nullptr;        // K x K, row i: from i; or K x K planes (into each row)
  bool transition_by_row = false;
  const double* initial = nullptr;           // K; or K planes
  bool initial_by_row = false;
  const unsigned char* first = nullptr;      // bit v of first[t]: lane v begins a sequence at step t; null: none does

  double* alpha = nullptr;                   // K planes of P(state | data so far); null: not wanted
  double* inverse_scale = nullptr;           // plane: 1 / P(row | data before), in units of the scaled density
  double* forward = nullptr;                 // K x lanes: alpha of the step before the tile; afterwards of its last step

  // Backward only.
  const double* before = nullptr;            // K x lanes: alpha of the step before the tile
  double* backward = nullptr;                // K x lanes: beta of the tile's last step; afterwards of the step before it
  double* posterior = nullptr;               // K planes of P(state | all data); null: the tile only warms beta up
  double* pairs = nullptr;                   // K x K x kWide: sums of P(i at t - 1, j at t | all data) / transition; or,
                                             // with transition_by_row, K x K planes of the probabilities themselves
  double* scratch = nullptr;                 // 4 x K x lanes
};

struct ChainKernels {
  size_t lanes;

  // In: log densities. Out, in place: densities divided by the largest of their row, whose logarithm is shift[i]
  // (-infinity where all are 0).
  void (*scale_density)(double* log_density, size_t stride, size_t rows, size_t n_states, double* shift);

  // Alpha, normalised to sum 1 at every step. Returns the number of steps done: all of them, or those before a step at
  // which a row has so small a probability that it cannot be divided by.
  size_t (*forward)(const ChainTile& tile);

  // Beta, scaled so that sum_k alpha beta = 1 at every step; or, when warming up, to sum 1.
  void (*backward)(const ChainTile& tile);

  // sum_i shift_i - log inverse_scale_i.
  double (*log_scale_sum)(const double* shift, const double* inverse_scale, size_t rows);

  // out[k * kWide + lane] += sums over the rows of K planes.
  void (*plane_sums)(const double* planes, size_t stride, size_t rows, size_t n_planes, double* out);
};

}  // namespace emkit
