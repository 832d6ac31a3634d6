// Watches runs of the EM loop: the user's interrupt, progress, and starts that are not worth their time.
#pragma once
#include <atomic>
#include <limits>

#include "../parallel/progress.h"
#include "../parallel/reduce.h"
#include "driver.h"

namespace emkit {

// Ends sweeps as well as runs when the user interrupts.
class StopOnInterrupt final : public Interrupt {
 public:
  StopOnInterrupt(std::atomic<bool>& stop, Interrupt& interrupt) : stop_(stop), interrupt_(interrupt) {}
  bool pending() override {
    if (interrupt_.pending()) stop_.store(true);
    return stop_.load();
  }

 private:
  std::atomic<bool>& stop_;
  Interrupt& interrupt_;
};

// Ends a run when the shared flag is set, and sets it when the user interrupts (an Interrupt answers only the thread that
// may ask).
class RunWatch final : public Observer, public Interrupt {
 public:
  RunWatch(std::atomic<bool>& stop, Interrupt& interrupt, Progress& progress)
      : stop_(stop), interrupt_(interrupt), progress_(progress) {}
  bool step(int iteration, const Objective& objective) override {
    progress_.iterations.fetch_add(1, std::memory_order_relaxed);
    return pending() || hopeless(iteration, objective.value());
  }
  bool stopped() const override { return stop_.load(std::memory_order_relaxed); }
  bool pending() override {
    if (interrupt_.pending()) stop_.store(true);
    return stopped();
  }

  // From here on a run is given up that would not come up to `objective` in a thousand iterations at its present speed.
  // Some starts end near saddle points, where EM crawls.
  void race_against(double objective) {
    to_beat_ = objective;
    checked_ = -std::numeric_limits<double>::infinity();
  }
  bool given_up() const { return given_up_; }

 private:
  bool hopeless(int iteration, double value) {
    given_up_ = false;
    if (iteration == 0 || iteration % kCheckEvery != 0) return false;
    const double gain = value - checked_;
    checked_ = value;
    given_up_ = value + kPatience * gain < to_beat_;
    return given_up_;
  }

  static constexpr int kCheckEvery = 25;
  static constexpr double kPatience = 40.0;

  std::atomic<bool>& stop_;
  Interrupt& interrupt_;
  Progress& progress_;
  double to_beat_ = -std::numeric_limits<double>::infinity();
  double checked_ = -std::numeric_limits<double>::infinity();
  bool given_up_ = false;
};

}  // namespace emkit
