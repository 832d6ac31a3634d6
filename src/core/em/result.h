// What a run of the EM loop reports.
#pragma once
#include <cstdint>
#include <limits>
#include <vector>

#include "model.h"

namespace emkit {

enum class Status { kConverged, kMaxIter, kDegenerate, kNonMonotone, kInterrupted };

inline const char* status_name(Status status) {
  switch (status) {
    case Status::kConverged: return "converged";
    case Status::kMaxIter: return "max_iter";
    case Status::kDegenerate: return "degenerate";
    case Status::kNonMonotone: return "non_monotone";
    case Status::kInterrupted: return "interrupted";
  }
  return "failed";
}

// One accepted point of a run. `accelerated`: the step that led here went beyond a plain EM step.
struct TracePoint {
  Objective objective;
  bool accelerated;
};

struct EmResult {
  Status status = Status::kMaxIter;
  Degeneracy degeneracy;
  Objective objective;         // at the parameters that the model holds
  int iterations = 0;          // accepted steps
  int evaluations = 0;         // E-steps after the first, rejected extrapolations included
  double last_gain = std::numeric_limits<double>::quiet_NaN();
  double rate = std::numeric_limits<double>::quiet_NaN();            // of the last plain steps
  double remaining_gain = std::numeric_limits<double>::quiet_NaN();  // Aitken's estimate
  std::vector<TracePoint> trace;
};

}  // namespace emkit
