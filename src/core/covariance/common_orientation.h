// The orientation D that several scatter matrices share (EVE, VVE).
#pragma once
#include <limits>
#include <vector>

#include "alternation.h"

namespace emkit {

// Minimises over orthogonal D the profile objective of the structure at the diagonals d_k = diag(D' W_k D):
//   VVE  sum_k n_k log |diag(d_k)|        (Flury's common principal components)
//   EVE  sum_k |diag(d_k)|^(1/d)
// by plane rotations. With the shapes held, rotating columns l and m by an angle t changes
// sum_k tr(D' W_k D M_k), M_k the inverse shapes, into const + a cos 2t + b sin 2t: its minimum is in closed form, and
// the shapes of the two columns are refreshed after each rotation. The shapes majorise the profile objective, so every
// rotation lowers it. (Flury & Gautschi 1986, SIAM J. Sci. Stat. Comput. 7:169-184, rotate the same planes; Browne &
// McNicholas 2014, ADAC 8:217-226, move all of D by majorisation; rotations need far fewer passes.)
class CommonOrientation {
 public:
  explicit CommonOrientation(bool equal_volume) : equal_volume_(equal_volume) {}

  // Finds D (kept for the next call) and the diagonals d_k (d x K). The first call tries several starts: the objective
  // can have more than one local minimum. False when a diagonal is not positive.
  bool update(const Scatter& s, MatrixXd& diagonals) {
    const Index d = s.d(), n_components = s.n_components();
    if (orientation_.rows() == d) {
      load(s, orientation_);
      if (!descend(s.n, kSweepLimit)) return false;
    } else {
      MatrixXd pooled = MatrixXd::Zero(d, d), vectors, best_vectors;
      VectorXd values;
      for (Index k = 0; k < n_components; ++k) pooled += s.scatter.matrix(k);
      double best = std::numeric_limits<double>::infinity();
      for (Index start = 0; start < n_components + 2; ++start) {
        if (start == 0)
          decreasing_eigen(pooled, vectors, values);
        else if (start <= n_components)
          decreasing_eigen(s.scatter.matrix(start - 1), vectors, values);
        else
          vectors = MatrixXd::Identity(d, d);
        load(s, vectors);
        if (!descend(s.n, kFirstSweeps)) continue;
        const double value = objective(s.n);
        if (value < best) {
          best = value;
          best_vectors = orientation_;
        }
        // Matrices that commute are diagonal now: nothing is lower.
        if (commute()) break;
      }
      if (!std::isfinite(best)) {
        orientation_.resize(0, 0);
        return false;
      }
      load(s, best_vectors);
      if (!descend(s.n, kSweepLimit)) return false;
    }
    diagonals.resize(d, n_components);
    for (Index k = 0; k < n_components; ++k) diagonals.col(k) = rotated_[static_cast<size_t>(k)].diagonal();
    return true;
  }

  const MatrixXd& orientation() const { return orientation_; }

 private:
  void load(const Scatter& s, const MatrixXd& orientation) {
    const MatrixXd o = orientation;  // may be orientation_ itself
    rotated_.resize(static_cast<size_t>(s.n_components()));
    log_root_.resize(s.n_components());
    for (Index k = 0; k < s.n_components(); ++k)
      rotated_[static_cast<size_t>(k)] = o.transpose() * s.scatter.matrix(k) * o;
    orientation_ = o;
  }

  // log |diag(d_k)|^(1/d) of every component; false unless all entries are positive.
  bool refresh_log_roots() {
    for (size_t k = 0; k < rotated_.size(); ++k) {
      const double g = geometric_mean(rotated_[k].diagonal());
      if (!(g > 0.0)) return false;
      log_root_(static_cast<Index>(k)) = std::log(g);
    }
    return true;
  }

  double objective(const VectorXd& n) {
    if (!refresh_log_roots()) return std::numeric_limits<double>::infinity();
    double value = 0.0;
    for (Index k = 0; k < n.size(); ++k) value += equal_volume_ ? std::exp(log_root_(k)) : n(k) * log_root_(k);
    return value;
  }

  bool commute() const {
    for (const MatrixXd& w : rotated_)
      for (Index l = 0; l < w.rows(); ++l)
        for (Index m = 0; m < l; ++m)
          if (w(l, m) * w(l, m) > kCommuteTol * w(l, l) * w(m, m)) return false;
    return true;
  }

  bool descend(const VectorXd& n, int sweep_limit) {
    const Index d = orientation_.rows();
    for (int sweep = 0; sweep < sweep_limit; ++sweep) {
      if (!refresh_log_roots()) return false;
      double largest = 0.0;
      for (Index l = 0; l < d; ++l)
        for (Index m = l + 1; m < d; ++m)
          for (int repeat = 0; repeat < kRotationLimit; ++repeat) {
            double sine = 0.0;
            if (!rotate(n, l, m, sine)) return false;
            if (repeat == 0) largest = std::max(largest, std::abs(sine));
            if (std::abs(sine) < kAngleTol) break;
          }
      if (largest < kAngleTol) break;
    }
    return true;
  }

  bool rotate(const VectorXd& n, Index l, Index m, double& sine) {
    const Index d = orientation_.rows();
    double a = 0.0, b = 0.0;
    for (size_t k = 0; k < rotated_.size(); ++k) {
      const MatrixXd& w = rotated_[k];
      if (!(w(l, l) > 0.0) || !(w(m, m) > 0.0)) return false;
      const double weight = equal_volume_ ? std::exp(log_root_(static_cast<Index>(k))) : n(static_cast<Index>(k));
      const double difference = weight / w(l, l) - weight / w(m, m);
      a += 0.5 * difference * (w(l, l) - w(m, m));
      b += difference * w(l, m);
    }
    // The minimum of a cos 2t + b sin 2t; t = 0 where the two columns cannot be told apart.
    const double angle = a == 0.0 && b == 0.0 ? 0.0 : 0.5 * std::atan2(-b, -a);
    const double c = std::cos(angle);
    sine = std::sin(angle);
    if (sine == 0.0) return true;
    const auto turn = [c, sine](double& x, double& y) {
      const double x0 = x;
      x = c * x0 + sine * y;
      y = c * y - sine * x0;
    };
    for (size_t k = 0; k < rotated_.size(); ++k) {
      MatrixXd& w = rotated_[k];
      const double before = w(l, l) * w(m, m);
      for (Index i = 0; i < d; ++i) turn(w(i, l), w(i, m));
      for (Index i = 0; i < d; ++i) turn(w(l, i), w(m, i));
      const double after = w(l, l) * w(m, m);
      if (!(after > 0.0)) return false;
      if (equal_volume_) log_root_(static_cast<Index>(k)) += std::log(after / before) / static_cast<double>(d);
    }
    for (Index i = 0; i < d; ++i) turn(orientation_(i, l), orientation_(i, m));
    return true;
  }

  // The objective is flat to second order at its minimum: an angle of 1e-8 costs 1e-16 of it.
  static constexpr double kAngleTol = 1e-8;
  static constexpr double kCommuteTol = 1e-20;
  static constexpr int kFirstSweeps = 12;    // from each start of the first call
  static constexpr int kSweepLimit = 1000;
  static constexpr int kRotationLimit = 3;

  bool equal_volume_;
  MatrixXd orientation_;             // d x d
  std::vector<MatrixXd> rotated_;    // D' W_k D
  VectorXd log_root_;                // K: log |diag(d_k)|^(1/d)
};

}  // namespace emkit
