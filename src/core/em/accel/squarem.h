// SQUAREM: squared extrapolation (Varadhan & Roland 2008, Scandinavian Journal of Statistics 35:335-353, scheme S3).
#pragma once
#include <cmath>
#include <vector>

#include "../accelerator.h"

namespace emkit {

// Two plain steps from t0 give r = t1 - t0 and v = t2 - t1 - r; the proposal is t0 - 2 a r + a^2 v with
// a = -|r| / |v|. The step that follows a proposal is plain, and its end is the next t0.
class Squarem final : public Accelerator {
 public:
  Step advance(EmModel& model, const StepContext& context) override {
    extrapolated_ = false;
    if (!model.m_step()) return Step::kFailed;
    std::vector<double> point(model.n_packed());
    if (context.plain || !model.pack(point.data())) {
      path_.clear();
      return Step::kPlain;
    }
    path_.push_back(std::move(point));
    if (path_.size() < 3) return Step::kPlain;
    return extrapolate(model) ? Step::kAccelerated : Step::kPlain;
  }

  bool retreat(EmModel& model) override {
    if (!extrapolated_) return false;
    extrapolated_ = false;
    return model.unpack(plain_.data());
  }

  void restart() override {
    extrapolated_ = false;
    path_.clear();
  }

 private:
  bool extrapolate(EmModel& model) {
    const std::vector<double>&t0 = path_[0], &t1 = path_[1], &t2 = path_[2];
    double rr = 0.0, vv = 0.0;
    for (size_t i = 0; i < t0.size(); ++i) {
      const double r = t1[i] - t0[i], v = t2[i] - 2.0 * t1[i] + t0[i];
      rr += r * r;
      vv += v * v;
    }
    plain_ = t2;
    bool moved = false;
    const double a = -std::sqrt(rr / vv);
    if (std::isfinite(a) && a < -1.0) {  // a = -1 is the plain step
      std::vector<double> proposal(t0.size());
      for (size_t i = 0; i < t0.size(); ++i) {
        const double r = t1[i] - t0[i], v = t2[i] - 2.0 * t1[i] + t0[i];
        proposal[i] = t0[i] - 2.0 * a * r + a * a * v;
      }
      moved = model.unpack(proposal.data());
    }
    extrapolated_ = moved;
    path_.clear();
    if (!moved) path_.push_back(plain_);
    return moved;
  }

  std::vector<std::vector<double>> path_;  // the plain points since the last proposal
  std::vector<double> plain_;              // where a retreat goes
  bool extrapolated_ = false;
};

}  // namespace emkit
