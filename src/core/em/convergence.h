// Aitken's stopping rule.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "control.h"

namespace emkit {

// EM converges linearly: near the optimum each plain step gains `rate` times what the step before gained, so after a
// gain g there are g rate / (1 - rate) left (Aitken's extrapolation). A small last gain alone is no convergence: at
// rate 0.99 a hundred times as much may be left.
//
// Converged: the last gain and the gain that is left are both below tol (1 + |objective|). The rate is the larger of
// two successive ratios, so three plain steps in a row are needed; a single ratio is fooled when a fast direction
// dies out and hides a slow one. Gains of accelerated steps say nothing of the rate and interrupt the row.
class ConvergenceMonitor {
 public:
  explicit ConvergenceMonitor(const EmControl& control) : tol_(control.tol) {}

  // `rounding`: of the objective, where it is more than usual (EmModel::rounding).
  bool converged(double before, double after, bool accelerated, double rounding = 0.0) {
    last_gain_ = after - before;
    scale_ = 1.0 + std::abs(after);
    if (accelerated) {
      n_plain_ = 0;
      return false;
    }
    gains_[0] = gains_[1];
    gains_[1] = gains_[2];
    gains_[2] = std::max(last_gain_, 0.0);
    n_plain_ = std::min(n_plain_ + 1, 3);
    if (n_plain_ < 3) return false;
    // Two gains of the size of rounding: the objective has reached the precision of its own arithmetic.
    const double noise = std::max(16 * std::numeric_limits<double>::epsilon() * scale_, rounding);
    if (gains_[1] <= noise && gains_[2] <= noise) {
      rate_ = 0.0;
      remaining_ = gains_[2];
      return tol_ > 0.0;
    }
    rate_ = std::max(ratio(gains_[1], gains_[0]), ratio(gains_[2], gains_[1]));
    remaining_ = rate_ < 1.0 ? gains_[2] * rate_ / (1.0 - rate_) : std::numeric_limits<double>::infinity();
    return tol_ > 0.0 && gains_[2] <= tol_ * scale_ && remaining_ <= tol_ * scale_;
  }

  // The last step gained so little that a few plain steps are worth taking to see whether the run has converged.
  bool nearly() const { return last_gain_ <= tol_ * scale_; }

  double last_gain() const { return last_gain_; }
  double rate() const { return rate_; }
  double remaining_gain() const { return remaining_; }

 private:
  static double ratio(double now, double before) {
    return before > 0.0 ? now / before : std::numeric_limits<double>::infinity();
  }

  double tol_;
  double scale_ = 1.0;
  double gains_[3] = {0.0, 0.0, 0.0};
  int n_plain_ = 0;
  double last_gain_ = std::numeric_limits<double>::infinity();
  double rate_ = std::numeric_limits<double>::quiet_NaN();
  double remaining_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace emkit
