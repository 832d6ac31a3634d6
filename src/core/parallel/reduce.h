// Running independent pieces of work on several threads, through RcppParallel and nowhere else.
#pragma once
#include <cstddef>
#include <thread>

#include "rcppparallel.h"

namespace emkit {

using std::size_t;

// Somebody to ask whether the user has interrupted. Asked from the thread that started the work, between slices of it.
class Interrupt {
 public:
  virtual ~Interrupt() = default;
  virtual bool pending() = 0;
};

template <class Task>
class TaskWorker final : public RcppParallel::Worker {
 public:
  explicit TaskWorker(const Task& task) : task_(task) {}
  void operator()(size_t begin, size_t end) override {
    for (size_t i = begin; i < end; ++i) task_(i);
  }

 private:
  const Task& task_;
};

// task(i) for i = 0 .. n - 1, in any order. The tasks must not throw. Every sum is made by its task's own owner, never by
// the scheduler, so that results do not depend on the number of threads.
template <class Task>
void parallel_tasks(size_t n, int threads, const Task& task) {
  if (threads <= 1 || n <= 1) {
    for (size_t i = 0; i < n; ++i) task(i);
    return;
  }
  // The scheduler has no more threads than there are processors, and complains on the console when asked for more.
  static const int processors = static_cast<int>(std::thread::hardware_concurrency());
  TaskWorker<Task> worker(task);
  RcppParallel::parallelFor(0, n, worker, 1, processors > 0 && threads > processors ? processors : threads);
}

}  // namespace emkit
