// What a latent structure needs of an emission: densities of blocks of rows, and parameters from posteriors.
#pragma once
#include <Eigen/Dense>
#include <cstddef>
#include <memory>
#include <vector>

#include "../data/observations.h"
#include "../em/model.h"

namespace emkit {

// A block of rows in the layout of kernels.h. `rows` is padded. A tile of a mixed segment has all columns, and `runs`
// say which of them its rows observe.
struct Tile {
  const double* x;
  size_t stride;
  size_t rows;
  const std::vector<TileRun>* runs = nullptr;
};

// The distribution of a row given its component. Rows come in tiles of one missingness pattern (a segment); statistics
// are one flat vector that adds over segments, chunks and machines.
class Emission {
 public:
  // Scratch space of one thread.
  class Workspace {
   public:
    virtual ~Workspace() = default;
  };

  virtual ~Emission() = default;

  virtual size_t n_components() const = 0;
  virtual size_t n_statistics() const = 0;
  virtual std::unique_ptr<Workspace> make_workspace() const = 0;

  // Gets ready for a sweep at the current parameters. `each_density`: the caller wants every row's own log density, so
  // nothing may be left to loglik_offset().
  virtual void prepare(bool each_density) = 0;

  virtual void begin_segment(const Pattern& pattern, Workspace& workspace) const = 0;

  // Mixed segments. prepare_mixed(), after prepare(): false when they are not to be had at the current parameters.
  // complete_tile() comes before what is done with a tile.
  virtual bool prepare_mixed() = 0;
  virtual void begin_mixed_segment(Workspace& workspace) const = 0;
  virtual void complete_tile(const Tile& tile, Workspace& workspace) const = 0;

  // out[k * stride + i] = offset[k] + log f_k(row i), up to a constant for each row that loglik_offset() makes good.
  virtual void log_density(const Tile& tile, const double* offset, Workspace& workspace, double* out) const = 0;

  // Adds the statistics of a tile, posterior[k * stride + i] (times the row's weight).
  virtual void accumulate(const Tile& tile, const double* posterior, Workspace& workspace) const = 0;

  // Adds the segment's statistics to the flat vector.
  virtual void end_segment(const Pattern& pattern, Workspace& workspace, double* statistics) const = 0;

  // What the rows' constants left out of log_density() sum to.
  virtual double loglik_offset() const = 0;
  virtual double log_prior() const = 0;

  // See EmModel. `counts` (n_components) are the posterior sizes that belong to a packed point.
  virtual bool m_step(const double* statistics) = 0;
  virtual size_t n_packed() const = 0;
  virtual bool pack(double* point) const = 0;
  virtual bool unpack(const double* point, const Eigen::VectorXd& counts) = 0;
  virtual Degeneracy degeneracy() const = 0;
};

}  // namespace emkit
