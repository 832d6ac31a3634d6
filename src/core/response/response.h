// The distribution of one response given the component (of a mixture) or the state (of a hidden Markov model). Several
// responses, conditionally independent given the component, stand side by side in a ResponseSet.
#pragma once
#include <Eigen/Dense>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "../data/row_tile.h"
#include "../em/model.h"

namespace emkit {

// The rows of one response, never copied. Column-major; NaN in y where missing (elsewhere there are none).
struct ResponseData {
  const double* y = nullptr;       // n x n_columns
  size_t n = 0;
  size_t n_columns = 1;
  const double* x = nullptr;       // n x n_predictors: the design of the linear predictor; null: an intercept alone
  size_t n_predictors = 1;
  const double* offset = nullptr;  // n, on the scale of the linear predictor; null: none

  bool intercept_only() const { return x == nullptr && offset == nullptr; }
};

// What a family may be asked for. Each uses what it knows; R has checked that the rest is not asked for.
struct ResponseOptions {
  std::string link;                  // the family's default when empty
  std::string covariance = "VVV";    // of several columns
  size_t n_categories = 0;           // categorical
  size_t n_parts = 0;                // components of a mixture within each component
  Eigen::MatrixXd fixed;             // m x K natural parameters, NaN where free; empty: all free
  std::vector<bool> shared;          // m: equal over the components; empty: none
};

// Parameters come in three forms.
// - natural: m x K, a column for each component, as R shows them (coefficients of a linear predictor are natural);
// - packed: n_packed() free numbers between which accelerators extrapolate;
// - coordinates: n_coordinates() free, unconstrained numbers, one for each degree of freedom, in which scores and the
//   information are taken. By default packed is the same.
//
// Rows come in tiles; a position's value for component k is at [k * stride + position]. The sums that a sweep makes are
// one flat vector that adds over tiles, threads and machines.
class Response {
 public:
  // Scratch space of one thread.
  class Workspace {
   public:
    virtual ~Workspace() = default;
  };

  virtual ~Response() = default;

  virtual size_t n_components() const = 0;
  virtual std::unique_ptr<Workspace> make_workspace() const = 0;

  // Gets ready for a sweep at the current parameters.
  virtual void prepare() = 0;

  // out = (add ? out : 0) + log f_k(y), less row_constant(); of rows that observe nothing, and of padding, log f_k = 0.
  // A row that is impossible under component k has -infinity. Never NaN.
  virtual void log_density(const RowTile& rows, bool add, Workspace& workspace, double* out, size_t stride) const = 0;

  // What log_density() leaves out of a row's log density, the same for all components and parameters.
  virtual double row_constant(size_t row) const = 0;

  // Adds the sums of a tile with the given posteriors (times the rows' weights; 0 in padding).
  virtual size_t n_statistics() const = 0;
  virtual void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& workspace,
                          double* statistics) const = 0;

  // Replaces the parameters by those that maximise the expected complete-data log-likelihood, or at least goes uphill
  // from the ones at which the sums were made. A component of no weight keeps its parameters. False, with the parameters
  // unchanged, when there is no maximum: degeneracy() then says why.
  virtual bool m_step(const double* statistics) = 0;

  // True when m_step() maximises. One that goes one Newton step uphill may overshoot; the model then moves it back
  // towards where it came from, with move_towards().
  virtual bool m_step_is_exact() const = 0;

  // Sets the coordinates to (1 - share) * theirs + share * other. `other` is another set of coordinates.
  void move_towards(const std::vector<double>& other, double share) {
    std::vector<double> now(n_coordinates());
    if (!coordinates(now.data())) return;
    for (size_t i = 0; i < now.size(); ++i) now[i] += share * (other[i] - now[i]);
    set_coordinates(now.data());
  }

  // Every component alike, at the overall distribution of the response: where the sums are made from which a fit starts
  // that begins with posteriors.
  virtual void set_overall() = 0;

  virtual size_t n_parameters() const = 0;  // m
  virtual Eigen::MatrixXd parameters() const = 0;
  // False, with the parameters unchanged, when they are not valid.
  virtual bool set_parameters(const Eigen::MatrixXd& natural) = 0;

  virtual size_t n_coordinates() const = 0;
  // False when the parameters are on the boundary and have no coordinates.
  virtual bool coordinates(double* point) const = 0;
  virtual bool set_coordinates(const double* point) = 0;

  // The gradient of the expected complete-data log-likelihood with respect to the coordinates, at the parameters at
  // which the sums were made (Fisher's identity: the score of the observed-data log-likelihood).
  virtual void score(const double* statistics, double* gradient) const = 0;

  virtual size_t n_packed() const { return n_coordinates(); }
  virtual bool pack(double* point) const { return coordinates(point); }
  virtual bool unpack(const double* point) { return set_coordinates(point); }

  virtual Degeneracy degeneracy() const = 0;
};

struct ResponseEntry {
  const char* name;         // of the family
  const char* description;
  std::unique_ptr<Response> (*make)(const ResponseData& data, size_t n_components, const ResponseOptions& options);
};

// Every registered family; src/registry_response.cpp holds the table.
const std::vector<ResponseEntry>& response_registry();

// Null when there is none of that name.
const ResponseEntry* find_response(const std::string& name);

}  // namespace emkit
