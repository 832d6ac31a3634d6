// How the EM loop moves from one point to the next.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "model.h"

namespace emkit {

// What the loop knows when it asks for the next point.
struct StepContext {
  int iteration;      // accepted steps so far
  double gain;        // of the last accepted step, relative to 1 + |objective|; infinity at the start
  double objective;   // at the last accepted point
  bool plain;         // the loop wants a plain EM step (it is testing for convergence)
};

// An accelerator may move further than one EM step. It is safe by construction: if the objective falls at the point that
// advance() proposed, retreat() goes back to the plain EM step from the last accepted point.
class Accelerator {
 public:
  virtual ~Accelerator() = default;

  enum class Step { kFailed, kPlain, kAccelerated };

  // Moves the model, whose statistics belong to its current parameters, to the next point to try.
  // kFailed: not even the plain EM step exists (the model is degenerate).
  virtual Step advance(EmModel& model, const StepContext& context) = 0;

  // Puts the plain EM step in place of the last accelerated one; false when the last step was a plain one.
  virtual bool retreat(EmModel& model) = 0;

  // Forgets the steps so far: the model has been moved.
  virtual void restart() = 0;
};

struct AcceleratorEntry {
  const char* name;
  std::unique_ptr<Accelerator> (*make)();
};

// Every registered accelerator; src/registry_accelerator.cpp holds the table.
const std::vector<AcceleratorEntry>& accelerator_registry();

// Null when there is none of that name.
std::unique_ptr<Accelerator> make_accelerator(const std::string& name);

}  // namespace emkit
