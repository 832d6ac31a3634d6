// A model that somebody else computes: the EM loop for a user's own functions.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "../em/model.h"
#include "../math/parameter_space.h"

namespace emkit {

// What the user provides. `trial`: the parameters are an accelerator's proposal, so that whatever goes wrong there is
// no mistake of the user's: the functions then return false. Elsewhere they may throw.
class ModelClosures {
 public:
  virtual ~ModelClosures() = default;
  virtual bool objective(const std::vector<double>& parameters, bool trial, Objective& value) = 0;
  // Whether objective() takes no E-step.
  virtual bool has_objective_alone() const = 0;
  // One step of EM. Where the objective comes with the E-step, from the parameters that objective() was asked about last.
  virtual bool em_step(const std::vector<double>& parameters, bool trial, std::vector<double>& next) = 0;
  // The step has led out of the parameter space: throws.
  virtual void step_outside(const std::vector<double>& next) = 0;
};

class ClosureModel final : public EmModel {
 public:
  ClosureModel(ModelClosures& closures, const ParameterSpace& space, std::vector<double> start)
      : closures_(closures), space_(space), parameters_(std::move(start)) {}

  const std::vector<double>& parameters() const { return parameters_; }

  // At a proposal that looks acceptable the step from there is made at once: a point from which EM cannot go on is
  // refused as one where there is no log-likelihood is.
  Objective e_step() override {
    next_known_ = false;
    Objective now;
    bool fine = recall(now) || closures_.objective(parameters_, trial_, now);
    if (fine && trial_ && now.finite() && now.value() >= accepted_)
      fine = next_known_ = closures_.em_step(parameters_, true, next_) && space_.contains(next_);
    if (!fine) now.loglik = std::numeric_limits<double>::quiet_NaN();
    value_ = now.value();
    return now;
  }

  bool has_objective_alone() const override { return closures_.has_objective_alone(); }

  double objective_alone() override {
    Objective now;
    if (!closures_.objective(parameters_, trial_, now)) now.loglik = std::numeric_limits<double>::quiet_NaN();
    if (now.finite()) tried_.emplace_back(parameters_, now);
    return now.value();
  }

  bool m_step() override {
    accepted_ = value_;
    tried_.clear();
    if (!next_known_) {
      if (!closures_.em_step(parameters_, false, next_)) return false;
      if (!space_.contains(next_)) closures_.step_outside(next_);
    }
    parameters_.swap(next_);
    next_known_ = trial_ = false;
    return true;
  }

  size_t n_packed() const override { return space_.n_packed(); }

  bool pack(double* point) const override {
    packed_.clear();
    if (!space_.pack(parameters_, point)) return false;
    packed_.assign(point, point + n_packed());
    plain_ = parameters_;
    return true;
  }

  // The point that pack() gave last leads back to the very parameters, without rounding.
  bool unpack(const double* point) override {
    if (!packed_.empty() && std::equal(packed_.begin(), packed_.end(), point)) {
      parameters_ = plain_;
      trial_ = false;
      return true;
    }
    if (!space_.unpack(point, parameters_)) return false;
    trial_ = true;
    return true;
  }

  Degeneracy degeneracy() const override { return {Degeneracy::Kind::kNotFinite, 0}; }

 private:
  // What objective_alone() has found at these parameters since the last step.
  bool recall(Objective& value) const {
    for (const auto& one : tried_) {
      if (one.first != parameters_) continue;
      value = one.second;
      return true;
    }
    return false;
  }

  ModelClosures& closures_;
  const ParameterSpace& space_;
  std::vector<double> parameters_, next_;
  mutable std::vector<double> packed_, plain_;  // of the last pack()
  std::vector<std::pair<std::vector<double>, Objective>> tried_;
  bool trial_ = false, next_known_ = false;
  double value_ = -std::numeric_limits<double>::infinity(), accepted_ = value_;
};

}  // namespace emkit
