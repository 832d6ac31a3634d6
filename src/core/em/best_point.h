// Runs that end where they were best.
#pragma once
#include "driver.h"

namespace emkit {

// Remembers the last accepted point of a model.
template <class Model>
class LastPoint final : public Observer {
 public:
  LastPoint(const Model& model, Observer& observer) : model_(model), observer_(observer) {}
  bool step(int iteration, const Objective& objective) override {
    state_ = model_.state();
    return observer_.step(iteration, objective);
  }
  bool stopped() const override { return observer_.stopped(); }
  const typename Model::State& state() const { return state_; }

 private:
  const Model& model_;
  Observer& observer_;
  typename Model::State state_;
};

// run_em() of a model whose state can be read. A run whose next step would fall ends at the point before it: `end` and the
// objective are those of the last accepted point.
template <class Model>
EmResult run_to_best(Model& model, Accelerator& accelerator, const EmControl& control, Observer& observer,
                     typename Model::State& end) {
  LastPoint<Model> last(model, observer);
  EmResult result = run_em(model, accelerator, control, last);
  const bool fell = result.status == Status::kNonMonotone;
  if (fell) result.objective = result.trace.back().objective;
  end = fell ? last.state() : model.state();
  return result;
}

}  // namespace emkit
