// Anderson acceleration with damping and a monotone guard (Henderson & Varadhan 2019, Journal of Computational and
// Graphical Statistics 28:834-846).
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <deque>

#include "../accelerator.h"

namespace emkit {

// With G the EM map, g_i = G(v_i) and f_i = g_i - v_i, the proposal is g_t - sum_j c_j (g_{j+1} - g_j), where c makes
// f_t - sum_j c_j (f_{j+1} - f_j) least in norm: the secant equations of the last few steps solved at once.
class Anderson : public Accelerator {
 public:
  explicit Anderson(size_t memory = 8) : memory_(memory) {}

  Step advance(EmModel& model, const StepContext& context) override {
    if (extrapolated_) rejected_ = 0;
    extrapolated_ = false;
    if (!model.m_step()) return Step::kFailed;
    Eigen::VectorXd image(static_cast<Eigen::Index>(model.n_packed()));
    if (!model.pack(image.data())) {
      forget();
      return Step::kPlain;
    }
    const bool known = point_.size() == image.size();  // else this is the first step after a start or a restart
    if (known) {
      Eigen::VectorXd residual = image - point_;
      if (image_.size() == image.size()) {
        image_steps_.push_back(image - image_);
        residual_steps_.push_back(residual - residual_);
        if (image_steps_.size() > memory_) {
          image_steps_.pop_front();
          residual_steps_.pop_front();
        }
      }
      image_ = image;
      residual_ = residual;
    }
    point_ = image;
    if (context.plain || image_steps_.empty() || !ready(model, context)) return Step::kPlain;
    Eigen::VectorXd proposal = image - correction();
    if (proposal.allFinite()) improve(model, context, image - residual_, image, proposal);
    if (proposal == image && model.unpack(image.data())) return Step::kPlain;
    if (!proposal.allFinite() || !model.unpack(proposal.data())) {
      forget();
      if (!model.unpack(image.data())) return Step::kFailed;
      point_ = image;
      return Step::kPlain;
    }
    point_ = proposal;
    extrapolated_ = true;
    return Step::kAccelerated;
  }

  bool retreat(EmModel& model) override {
    if (!extrapolated_) return false;
    extrapolated_ = false;
    const Eigen::VectorXd image = image_;
    // The stored steps are as true as they were: what they say is often right from the next point on.
    if (++rejected_ > kMostRejected) forget();
    if (!model.unpack(image.data())) return false;
    point_ = image;
    return true;
  }

  void restart() override {
    extrapolated_ = false;
    forget();
  }

 protected:
  // The first steps from a start are large and curved: extrapolating them gains little and may leave the basin.
  virtual bool ready(const EmModel&, const StepContext& context) const {
    return context.iteration >= kWarmUp && context.gain <= kLargestGain;
  }

  // May put a better point in place of `proposal`, at the price of moving the model.
  virtual void improve(EmModel&, const StepContext&, const Eigen::VectorXd& /* from */,
                       const Eigen::VectorXd& /* image */, Eigen::VectorXd& /* proposal */) {}

 private:
  // The ridge keeps c bounded when the stored steps are nearly dependent.
  Eigen::VectorXd correction() const {
    const Eigen::Index n = residual_.size(), m = static_cast<Eigen::Index>(image_steps_.size());
    Eigen::MatrixXd f(n, m), g(n, m);
    for (Eigen::Index j = 0; j < m; ++j) {
      f.col(j) = residual_steps_[static_cast<size_t>(j)];
      g.col(j) = image_steps_[static_cast<size_t>(j)];
    }
    Eigen::VectorXd norms = f.colwise().norm().cwiseMax(1e-300);
    f.array().rowwise() /= norms.transpose().array();
    Eigen::MatrixXd gram = f.transpose() * f;
    gram.diagonal().array() += kRidge;
    Eigen::VectorXd c = gram.ldlt().solve(f.transpose() * residual_);
    return g * (c.array() / norms.array()).matrix();
  }

  void forget() {
    point_.resize(0);
    image_.resize(0);
    image_steps_.clear();
    residual_steps_.clear();
    rejected_ = 0;
  }

  static constexpr int kWarmUp = 5;
  static constexpr int kMostRejected = 1;  // proposals in a row before the stored steps are forgotten
  static constexpr double kLargestGain = 0.1;
  static constexpr double kRidge = 1e-10;

  size_t memory_;             // steps that are kept
  Eigen::VectorXd point_;     // v: the packed point whose image the next m_step() gives
  Eigen::VectorXd image_;     // g of the last step
  Eigen::VectorXd residual_;  // f of the last step
  std::deque<Eigen::VectorXd> image_steps_, residual_steps_;
  int rejected_ = 0;
  bool extrapolated_ = false;
};

}  // namespace emkit
