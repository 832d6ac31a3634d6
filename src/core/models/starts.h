// Partitions of the rows from which a mixture may start.
#pragma once
#include <Eigen/Dense>
#include <cmath>
#include <limits>
#include <vector>

#include "../data/observations.h"
#include "../math/counter_rng.h"

namespace emkit {

// Rows as points (columns of `points`, d x n, NaN where missing) in a metric fit for partitioning.
struct PointSet {
  Eigen::MatrixXd points;
  std::vector<double> weight;

  size_t n() const { return static_cast<size_t>(points.cols()); }
  size_t d() const { return static_cast<size_t>(points.rows()); }

  // Squared distance to a centre over the columns both have, scaled up to d columns.
  double distance(size_t i, const Eigen::VectorXd& center) const {
    const Eigen::Index column = static_cast<Eigen::Index>(i);
    double s = 0.0;
    Eigen::Index seen = 0;
    for (Eigen::Index j = 0; j < points.rows(); ++j) {
      const double r = points(j, column) - center(j);
      if (std::isnan(r)) continue;
      s += r * r;
      ++seen;
    }
    return seen == 0 ? 0.0 : s * static_cast<double>(points.rows()) / static_cast<double>(seen);
  }
};

// The rows of `raw`, centred and divided by the columns' standard deviations; with `whiten` (complete data only) turned
// so that the overall covariance is the identity: cigars become balls, which is what clusters of unequal column scales
// and common correlation need.
inline PointSet make_points(const RawData& raw, const ColumnMoments& moments, bool whiten) {
  PointSet set;
  const Eigen::Index n = static_cast<Eigen::Index>(raw.n), d = static_cast<Eigen::Index>(raw.d);
  set.points.resize(d, n);
  for (Eigen::Index i = 0; i < n; ++i)
    for (Eigen::Index j = 0; j < d; ++j) {
      const size_t c = static_cast<size_t>(j);
      set.points(j, i) = (raw.x[c * raw.n + static_cast<size_t>(i)] - moments.mean[c]) / moments.sd[c];
    }
  set.weight.assign(raw.n, 1.0);
  if (raw.weights) set.weight.assign(raw.weights, raw.weights + raw.n);
  if (whiten) {
    Eigen::LLT<Eigen::MatrixXd> llt((set.points * set.points.transpose()) / static_cast<double>(raw.n));
    if (llt.info() == Eigen::Success) llt.matrixL().solveInPlace(set.points);
  }
  return set;
}

namespace starts_detail {

inline size_t draw_weighted(const std::vector<double>& weight, CounterRng& rng) {
  double total = 0.0;
  for (double w : weight) total += w;
  if (!(total > 0.0)) return rng.below(weight.size());
  double u = rng.uniform() * total;
  for (size_t i = 0; i < weight.size(); ++i) {
    u -= weight[i];
    if (u < 0.0) return i;
  }
  for (size_t i = weight.size(); i-- > 0;)
    if (weight[i] > 0.0) return i;
  return 0;
}

// A row as a centre: its missing columns at the overall mean.
inline Eigen::VectorXd as_center(const PointSet& set, size_t i) {
  Eigen::VectorXd c = set.points.col(static_cast<Eigen::Index>(i));
  for (Eigen::Index j = 0; j < c.size(); ++j)
    if (std::isnan(c(j))) c(j) = 0.0;
  return c;
}

}  // namespace starts_detail

// Centres by k-means++ (Arthur & Vassilvitskii 2007, SODA: each drawn with probability proportional to the squared
// distance from those before it; several candidates for each, the best kept), or drawn uniformly (`spread` false), then
// up to `n_lloyd` Lloyd steps. `labels` (n or empty; kUnknownLabel where unknown) are kept, and the labelled classes'
// means are the centres of their components. Returns labels 0 .. n_components - 1 (n_components: noise).
inline std::vector<int> kmeans_partition(const PointSet& set, size_t n_components, bool spread, int n_lloyd,
                                         const std::vector<int>& labels, CounterRng& rng) {
  using starts_detail::as_center;
  const size_t n = set.n();
  const Eigen::Index d = set.points.rows();
  std::vector<Eigen::VectorXd> centers(n_components);
  std::vector<bool> placed(n_components, false);
  std::vector<double> nearest(n, std::numeric_limits<double>::infinity());
  auto place = [&](size_t k, const Eigen::VectorXd& c) {
    centers[k] = c;
    placed[k] = true;
    for (size_t i = 0; i < n; ++i) nearest[i] = std::min(nearest[i], set.distance(i, c));
  };
  auto class_mean = [&](const std::vector<int>& of, size_t k, Eigen::VectorXd& mean) {
    mean = Eigen::VectorXd::Zero(d);
    Eigen::VectorXd total = Eigen::VectorXd::Zero(d);
    bool any = false;
    for (size_t i = 0; i < n; ++i) {
      if (of[i] != static_cast<int>(k)) continue;
      any = any || set.weight[i] > 0.0;
      for (Eigen::Index j = 0; j < d; ++j) {
        const double x = set.points(j, static_cast<Eigen::Index>(i));
        if (std::isnan(x)) continue;
        mean(j) += set.weight[i] * x;
        total(j) += set.weight[i];
      }
    }
    for (Eigen::Index j = 0; j < d; ++j) mean(j) = total(j) > 0.0 ? mean(j) / total(j) : 0.0;
    return any;
  };
  if (!labels.empty())
    for (size_t k = 0; k < n_components; ++k) {
      Eigen::VectorXd mean;
      if (class_mean(labels, k, mean)) place(k, mean);
    }
  bool first = std::none_of(placed.begin(), placed.end(), [](bool p) { return p; });
  for (size_t k = 0; k < n_components; ++k) {
    if (placed[k]) continue;
    if (first || !spread) {
      place(k, as_center(set, starts_detail::draw_weighted(set.weight, rng)));
      first = false;
      continue;
    }
    std::vector<double> chance(n);
    for (size_t i = 0; i < n; ++i) chance[i] = set.weight[i] * nearest[i];
    const int n_candidates = 2 + static_cast<int>(std::log(static_cast<double>(n_components)));
    Eigen::VectorXd best;
    double best_cost = std::numeric_limits<double>::infinity();
    for (int c = 0; c < n_candidates; ++c) {
      const Eigen::VectorXd candidate = as_center(set, starts_detail::draw_weighted(chance, rng));
      double cost = 0.0;
      for (size_t i = 0; i < n; ++i) cost += set.weight[i] * std::min(nearest[i], set.distance(i, candidate));
      if (cost < best_cost) {
        best_cost = cost;
        best = candidate;
      }
    }
    place(k, best);
  }
  std::vector<int> assigned(n, -1);
  for (int step = 0; step <= n_lloyd; ++step) {
    bool changed = false;
    for (size_t i = 0; i < n; ++i) {
      int to = 0;
      if (!labels.empty() && labels[i] != kUnknownLabel) {
        to = labels[i] == kNoiseLabel ? static_cast<int>(n_components) : labels[i];
      } else {
        double best = std::numeric_limits<double>::infinity();
        for (size_t k = 0; k < n_components; ++k) {
          const double v = set.distance(i, centers[k]);
          if (v < best) best = v, to = static_cast<int>(k);
        }
      }
      changed = changed || to != assigned[i];
      assigned[i] = to;
    }
    if (!changed || step == n_lloyd) break;
    for (size_t k = 0; k < n_components; ++k) {
      Eigen::VectorXd mean;
      if (class_mean(assigned, k, mean)) centers[k] = mean;
    }
  }
  return assigned;
}

}  // namespace emkit
