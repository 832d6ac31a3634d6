// How far a computation has come: written by any thread, read by whoever shows it.
#pragma once
#include <atomic>
#include <cstddef>

namespace emkit {

struct Progress {
  std::atomic<std::size_t> done{0};
  std::atomic<std::size_t> total{0};
  std::atomic<std::size_t> iterations{0};
};

}  // namespace emkit
