// Anderson acceleration with a search on the objective: for models whose objective costs less than an EM step. The idea
// of searching a subspace that EM steps span is that of dynamic ECME (He & Liu 2012, Journal of the Royal
// Statistical Society B 74:313-336).
#pragma once
#include <Eigen/Dense>
#include <cmath>
#include <limits>

#include "anderson.h"

namespace emkit {

// While steps still gain much, the point to try is the best of a plane: that of the accepted point v, its image g under
// EM and Anderson's proposal p. The objective at seven points of it, v among them, gives its quadratic part and where
// that is greatest. Later Anderson's own steps are good enough. Where the objective does not come alone, this is
// Anderson acceleration and nothing else.
class Subspace final : public Anderson {
 public:
  // Steps of an early start are soon out of date.
  Subspace() : Anderson(5) {}

 protected:
  bool ready(const EmModel& model, const StepContext& context) const override {
    return model.has_objective_alone() || Anderson::ready(model, context);
  }

  void improve(EmModel& model, const StepContext& context, const Eigen::VectorXd& from, const Eigen::VectorXd& image,
               Eigen::VectorXd& proposal) override {
    const Eigen::VectorXd along = proposal - from;
    const double squared = along.squaredNorm();
    if (!model.has_objective_alone() || !(squared > 0.0)) return;
    best_ = -std::numeric_limits<double>::infinity();
    // Coordinates (a, b) of the plane: from + a along + b across.
    const Eigen::VectorXd step = image - from;
    const double a_image = step.dot(along) / squared;
    const Eigen::VectorXd across = step - a_image * along;
    auto at = [&](double a, double b) { return Eigen::VectorXd(from + a * along + b * across); };

    const double at_proposal = objective(model, proposal);
    if (context.gain < kSmallGain && at_proposal >= context.objective) return;
    const double at_image = objective(model, image);
    // EM's own step goes downhill: the loop has to see that.
    if (!(at_image >= context.objective)) {
      proposal = image;
      return;
    }
    if (across.norm() > kLeastAngle * step.norm()) {
      const double a[] = {1.0, a_image, 0.5, 1.0, 1.0}, b[] = {0.0, 1.0, 0.0, 1.0, -1.0};
      Eigen::Matrix<double, 5, 1> rise;
      rise << at_proposal, at_image, 0.0, 0.0, 0.0;
      for (int i = 2; i < 5; ++i) rise(i) = objective(model, at(a[i], b[i]));
      rise.array() -= context.objective;
      Eigen::Vector2d top;
      if (summit(a, b, rise, top)) objective(model, at(top(0), top(1)));
    }
    proposal = best_point_;
  }

 private:
  // Notes the point if it is the best so far. -infinity where there is no objective.
  double objective(EmModel& model, const Eigen::VectorXd& point) {
    constexpr double kNone = -std::numeric_limits<double>::infinity();
    if (!model.unpack(point.data())) return kNone;
    const double value = model.objective_alone();
    if (!std::isfinite(value)) return kNone;
    if (value > best_) {
      best_ = value;
      best_point_ = point;
    }
    return value;
  }

  // Where p a + q b + (r a^2 + 2 s a b + t b^2) / 2 is greatest, given its values at five points. Directions in which it
  // is convex are taken for concave ones, which still goes uphill, and the way is limited.
  static bool summit(const double* a, const double* b, const Eigen::Matrix<double, 5, 1>& rise, Eigen::Vector2d& top) {
    if (!rise.allFinite()) return false;
    Eigen::Matrix<double, 5, 5> terms;
    for (int i = 0; i < 5; ++i) terms.row(i) << a[i], b[i], a[i] * a[i] / 2, a[i] * b[i], b[i] * b[i] / 2;
    const Eigen::Matrix<double, 5, 1> c = terms.fullPivLu().solve(rise);
    if (!c.allFinite()) return false;
    Eigen::Matrix2d curvature;
    curvature << c(2), c(3), c(3), c(4);
    const Eigen::SelfAdjointEigenSolver<Eigen::Matrix2d> axes(curvature);
    const Eigen::Vector2d slope = axes.eigenvectors().transpose() * c.head<2>();
    top = axes.eigenvectors() * (slope.array() / axes.eigenvalues().array().abs().max(1e-300)).matrix();
    const double length = top.norm();
    if (!std::isfinite(length)) return false;
    if (length > kFarthest) top *= kFarthest / length;
    return true;
  }

  static constexpr double kSmallGain = 1e-4;    // relative gain of the last step below which Anderson's steps will do
  static constexpr double kLeastAngle = 1e-8;   // sine of the angle between the two directions that makes them one
  static constexpr double kFarthest = 10.0;

  double best_ = 0.0;
  Eigen::VectorXd best_point_;
};

}  // namespace emkit
