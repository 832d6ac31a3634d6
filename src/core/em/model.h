// What the EM loop needs to know of a model.
#pragma once
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>

namespace emkit {

using std::size_t;

// The function that EM climbs, at one point: the observed-data log-likelihood and the log prior density of the
// parameters (0 without a prior). Monotonicity and stopping use the sum; logLik() reports the first.
struct Objective {
  double loglik = 0.0;
  double log_prior = 0.0;
  double value() const { return loglik + log_prior; }
  bool finite() const { return std::isfinite(loglik) && std::isfinite(log_prior); }
};

// Why a model has no (usable) parameters. `component` counts from 0.
struct Degeneracy {
  enum class Kind { kNone, kVanished, kSingular, kNotFinite };
  Kind kind = Kind::kNone;
  size_t component = 0;
  explicit operator bool() const { return kind != Kind::kNone; }
};

// A model that EM can fit. The state of a model is its parameters and, after e_step(), the expected sufficient
// statistics at these parameters.
class EmModel {
 public:
  virtual ~EmModel() = default;

  // Makes the expected statistics at the current parameters and returns the objective there.
  virtual Objective e_step() = 0;

  // The objective at the current parameters without the statistics (NaN where there is none), in models that can tell it
  // for less than an e_step() costs.
  virtual bool has_objective_alone() const { return false; }
  virtual double objective_alone() { return std::numeric_limits<double>::quiet_NaN(); }

  // Replaces the parameters by those that maximise (or at least raise) the expected complete-data objective.
  // False, with the parameters unchanged, when there are none: degeneracy() then says why.
  virtual bool m_step() = 0;

  // The state that the last m_step() reached as a point of R^n_packed(), in coordinates in which an accelerator may
  // extrapolate freely. pack() returns false when the state has no such coordinates (a singular scatter matrix);
  // unpack() returns false, with the parameters unchanged, when the point has no parameters.
  virtual size_t n_packed() const = 0;
  virtual bool pack(double* point) const = 0;
  virtual bool unpack(const double* point) = 0;

  // After an m_step() that goes uphill without reaching a maximum (one Newton step, say): moves half of the way back to
  // the parameters it came from. False when the last m_step() maximised, or when there is nothing left to go back.
  virtual bool shorten_step() { return false; }

  virtual Degeneracy degeneracy() const = 0;

  // How large the rounding error of the objective may be at the current parameters, where it is more than that of a sum
  // of well-behaved terms: differences below it say nothing.
  virtual double rounding() const { return 0.0; }
};

}  // namespace emkit
