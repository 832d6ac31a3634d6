// THE EM loop: the only one in the package. Every model is fitted by run_em().
#pragma once
#include "accelerator.h"
#include "control.h"
#include "convergence.h"
#include "model.h"
#include "result.h"

namespace emkit {

// Watches a run from the thread that runs it.
class Observer {
 public:
  virtual ~Observer() = default;
  // Called at every accepted point; true asks the loop to stop.
  virtual bool step(int iteration, const Objective& objective) = 0;
  // True once somebody (the user, by an interrupt) wants the run to end.
  virtual bool stopped() const = 0;
};

// The loop begins and ends on an E-step, so that parameters, statistics and objective belong to the same point.
inline EmResult run_em(EmModel& model, Accelerator& accelerator, const EmControl& control, Observer& observer) {
  // A plain EM step that loses this much, relatively, is a mistake and no rounding; an accelerated one is taken back for
  // far less.
  constexpr double kPlainSlack = 1e-10;
  constexpr double kAcceleratedSlack = 1e-13;
  constexpr int kConfirmationSteps = 3;  // the plain steps in a row that the stopping rule needs
  constexpr int kStepsBetween = 6;       // the accelerator's own, after plain steps that showed that there is more to gain

  EmResult result;
  ConvergenceMonitor monitor(control);
  Accelerator::Step step = Accelerator::Step::kPlain;
  int confirming = 0, until_next = 0;
  double gain = std::numeric_limits<double>::infinity();

  auto finish = [&](Status status) {
    result.status = status;
    if (status == Status::kDegenerate) result.degeneracy = model.degeneracy();
    result.last_gain = monitor.last_gain();
    result.rate = monitor.rate();
    result.remaining_gain = monitor.remaining_gain();
    return result;
  };

  for (bool first = true;; first = false) {
    const Objective now = model.e_step();
    if (observer.stopped()) return finish(Status::kInterrupted);
    if (!first) ++result.evaluations;

    const double last = result.objective.value();
    const bool accelerated = step == Accelerator::Step::kAccelerated;
    const double slack = accelerated ? kAcceleratedSlack : kPlainSlack;
    const double rounding = model.rounding();
    const bool fell = !first && now.value() < last - std::max(slack * (1.0 + std::abs(last)), rounding);
    if (!now.finite() || fell) {
      if (!first && accelerator.retreat(model)) {
        step = Accelerator::Step::kPlain;
        confirming = 0;
        continue;
      }
      // A Newton step in place of an M-step can overshoot; some part of it goes uphill.
      if (!first && model.shorten_step()) {
        accelerator.restart();
        step = Accelerator::Step::kPlain;
        confirming = 0;
        continue;
      }
      if (now.finite()) result.objective = now;
      return finish(now.finite() ? Status::kNonMonotone : Status::kDegenerate);
    }

    if (!first) ++result.iterations;
    result.objective = now;
    result.trace.push_back({now, accelerated});
    if (observer.step(result.iterations, now)) return finish(Status::kInterrupted);
    if (!first) {
      if (monitor.converged(last, now.value(), accelerated, rounding)) return finish(Status::kConverged);
      gain = monitor.last_gain() / (1.0 + std::abs(now.value()));
      if (confirming > 0) {
        if (--confirming == 0) until_next = kStepsBetween;
      } else if (until_next > 0) {
        --until_next;
      } else if (monitor.nearly()) {
        confirming = kConfirmationSteps;
      }
    }
    if (result.iterations >= control.max_iter) return finish(Status::kMaxIter);

    step = accelerator.advance(model, {result.iterations, gain, now.value(), confirming > 0});
    if (step == Accelerator::Step::kFailed) return finish(Status::kDegenerate);
  }
}

}  // namespace emkit
