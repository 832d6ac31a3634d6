// How a model may use the machine.
#pragma once
#include "reduce.h"

namespace emkit {

struct Execution {
  int threads = 1;
  Interrupt* interrupt = nullptr;  // asked between slices of work, from the thread that started it; may be null
};

}  // namespace emkit
