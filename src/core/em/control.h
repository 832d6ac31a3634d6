// When the EM loop ends.
#pragma once

namespace emkit {

struct EmControl {
  double tol = 1e-10;      // on the gain and on the gain that is left, relative to 1 + |objective|; 0: never stop early
  int max_iter = 5000;     // accepted steps
};

}  // namespace emkit
