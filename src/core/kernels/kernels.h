// The interface of the hot kernels. Each is compiled once per instruction set (kernels.inc, included by
// ../../kernels.cpp) and chosen at run time through kernels().
//
// Data layout. A kernel sees a tile: a block of rows stored feature by feature, so that neighbouring rows are
// neighbouring lanes: feature j of row i is tile[j * stride + i]. `rows` is a multiple of kRowPad; the rows that pad a
// tile hold finite values and have posterior 0. All buffers are aligned to kAlignment bytes.
//
// Wide accumulators. The sums a kernel makes are kept as one partial sum per lane, kWide doubles for each value, and
// folded by fold_wide() when a sweep ends; folding after every block would cost as much as the sums themselves.
#pragma once
#include <cstddef>

#include "chain.h"

namespace emkit {

constexpr std::size_t kRowPad = 32;    // rows of a tile are padded to a multiple of this
constexpr std::size_t kWide = 8;       // doubles reserved per accumulated value (the widest vector has 8 lanes)
constexpr std::size_t kAlignment = 64; // bytes

using std::size_t;

struct Kernels {
  const char* name;

  // out[i] = constant - 0.5 ||L^-1 (x_i - mean)||^2.
  // factor: rows of L one after another (packed lower triangle), each diagonal entry replaced by its reciprocal.
  // whitened: scratch of d * kRowPad.
  void (*log_density_full)(const double* tile, size_t stride, size_t rows, size_t d, const double* mean,
                           const double* factor, double constant, double* whitened, double* out);

  // out[i] = constant - 0.5 sum_j ((x_ij - mean_j) inv_sd_j)^2.
  void (*log_density_diagonal)(const double* tile, size_t stride, size_t rows, size_t d, const double* mean,
                               const double* inv_sd, double constant, double* out);

  // out[k * stride + i] = intercept[k] + sum_j coefficient[k * d + j] x_ij.
  void (*linear_scores)(const double* tile, size_t stride, size_t rows, size_t d, size_t n_components,
                        const double* coefficient, const double* intercept, double* out);

  // In: log joint densities, log_joint[k * stride + i]. Out, in place: weight[i] times the posterior probabilities.
  // log_marginal[i] = log sum_k exp(log_joint). Returns sum_i weight[i] log_marginal[i].
  double (*posterior)(double* log_joint, size_t stride, size_t rows, size_t n_components, const double* weight,
                      double* log_marginal);

  // accumulator[0] += sum_i z_i; [1 + j] += sum_i z_i x_ij, for n_components posteriors at once
  // (component k's accumulator starts at k * (1 + d) * kWide).
  void (*accumulate_sums)(const double* tile, size_t stride, size_t rows, size_t d, size_t n_components,
                          const double* z, double* accumulator);

  // accumulator: [0] n; [1 + j] sums about `mean`; [1 + d + j] diagonal of the scatter about `mean`.
  void (*accumulate_diagonal)(const double* tile, size_t stride, size_t rows, size_t d, const double* mean,
                              const double* z, double* accumulator);

  // accumulator: [0] n; [1 + j] sums about `mean`; [1 + d + j(j+1)/2 + l] the lower triangle of the scatter about
  // `mean`. residual: scratch of d * stride.
  void (*accumulate_scatter)(const double* tile, size_t stride, size_t rows, size_t d, const double* mean,
                             const double* z, double* residual, double* accumulator);

  // out[v] += the sum of the lanes of wide value v.
  void (*fold_wide)(const double* accumulator, size_t n_values, double* out);

  // Elementwise exp and log of n values (n a multiple of kWide), exposed for tests.
  void (*exp_n)(const double* x, size_t n, double* out);
  void (*log_n)(const double* x, size_t n, double* out);

  ChainKernels chain;
};

// The table in use: the widest instruction set this processor has, unless select_kernels() chose another.
const Kernels& kernels();

// Number of tables this processor can run, and the i-th of them (0 = portable).
size_t n_kernel_tables();
const Kernels& kernel_table(size_t i);

// Uses the named table from now on; false when this processor or build does not have it.
bool select_kernels(const char* name);

}  // namespace emkit
