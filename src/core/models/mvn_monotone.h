// Monotone patterns: the likelihood factors into regressions of each variable on those that are observed more often
// (Anderson 1957; Rubin 1974), so that estimates need no iteration.
#pragma once
#include <algorithm>
#include <numeric>
#include <vector>

#include "../data/pattern_statistics.h"

namespace emkit {

// The regression of one variable on those before it.
struct MonotoneRegression {
  double n = 0.0;         // weight of the rows that observe the variable
  VectorXd mean;          // of the variables before it and itself, in these rows
  VectorXd coefficients;  // on the variables before it
  double residual = 0.0;  // sum of squares
  MatrixXd root;          // Cholesky factor of the scatter of the variables before it
};

class MonotoneFactorisation {
 public:
  // The variables in the order in which every pattern observes the first few of them; empty when there is none.
  static std::vector<size_t> order(const PatternStatistics& data) {
    std::vector<size_t> order(data.d());
    std::iota(order.begin(), order.end(), size_t{0});
    if (data.has_cell_priors()) return {};
    const MatrixXd& weight = data.pair_weight();
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return weight(static_cast<Index>(a), static_cast<Index>(a)) > weight(static_cast<Index>(b), static_cast<Index>(b));
    });
    for (const PatternGroup& g : data.groups()) {
      std::vector<unsigned char> seen(data.d(), 0);
      for (size_t j : g.pattern->observed) seen[j] = 1;
      for (size_t i = 0; i < order.size(); ++i)
        if (seen[order[i]] != (i < g.n_observed() ? 1 : 0)) return {};
    }
    return order;
  }

  // False when some regression is not determined: too few rows, or variables that are linear in others.
  bool fit(const PatternStatistics& data, const std::vector<size_t>& order) {
    order_ = order;
    std::vector<const PatternGroup*> groups;
    for (const PatternGroup& g : data.groups()) groups.push_back(&g);
    std::stable_sort(groups.begin(), groups.end(), [](const PatternGroup* a, const PatternGroup* b) {
      return a->n_observed() > b->n_observed();
    });
    regressions_.assign(order.size(), MonotoneRegression());
    double n = 0.0;
    VectorXd mean;
    MatrixXd scatter;
    size_t next = 0;
    for (size_t j = order.size(); j-- > 0;) {
      const Index k = static_cast<Index>(j) + 1;
      if (mean.size() > 0) {
        mean = VectorXd(mean.head(k));
        scatter = MatrixXd(scatter.topLeftCorner(k, k));
      } else {
        mean = VectorXd::Zero(k);
        scatter = MatrixXd::Zero(k, k);
      }
      for (; next < groups.size() && groups[next]->n_observed() == j + 1; ++next)
        merge(*groups[next], data.d(), n, mean, scatter);
      if (!regress(n, mean, scatter, regressions_[j])) return false;
    }
    return true;
  }

  const std::vector<size_t>& order() const { return order_; }
  const std::vector<MonotoneRegression>& regressions() const { return regressions_; }

  void parameters(VectorXd& mean, MatrixXd& covariance) const {
    std::vector<double> variance;
    std::vector<VectorXd> coefficients;
    std::vector<double> intercept;
    for (const MonotoneRegression& r : regressions_) {
      const Index k = r.coefficients.size();
      variance.push_back(r.residual / r.n);
      coefficients.push_back(r.coefficients);
      intercept.push_back(r.mean(k) - r.coefficients.dot(r.mean.head(k)));
    }
    assemble(intercept, coefficients, variance, mean, covariance);
  }

  // Mean and covariance, in the data's order of variables, of regressions in the monotone order.
  void assemble(const std::vector<double>& intercept, const std::vector<VectorXd>& coefficients,
                const std::vector<double>& variance, VectorXd& mean, MatrixXd& covariance) const {
    const Index d = static_cast<Index>(order_.size());
    VectorXd m(d);
    MatrixXd s = MatrixXd::Zero(d, d);
    for (Index j = 0; j < d; ++j) {
      const VectorXd& b = coefficients[static_cast<size_t>(j)];
      m(j) = intercept[static_cast<size_t>(j)] + b.dot(m.head(j));
      const VectorXd c = s.topLeftCorner(j, j) * b;
      s.block(0, j, j, 1) = c;
      s.block(j, 0, 1, j) = c.transpose();
      s(j, j) = variance[static_cast<size_t>(j)] + b.dot(c);
    }
    mean.resize(d);
    covariance.resize(d, d);
    for (Index j = 0; j < d; ++j) {
      const Index a = static_cast<Index>(order_[static_cast<size_t>(j)]);
      mean(a) = m(j);
      for (Index l = 0; l < d; ++l) covariance(a, static_cast<Index>(order_[static_cast<size_t>(l)])) = s(j, l);
    }
  }

 private:
  void merge(const PatternGroup& g, size_t d, double& n, VectorXd& mean, MatrixXd& scatter) const {
    const Index k = mean.size();
    const double total = n + g.n;
    // Positions of the ordered variables among the pattern's observed ones.
    std::vector<size_t> at(static_cast<size_t>(k));
    for (size_t i = 0; i < at.size(); ++i)
      at[i] = static_cast<size_t>(std::lower_bound(g.pattern->observed.begin(), g.pattern->observed.end(), order_[i]) -
                                  g.pattern->observed.begin());
    VectorXd delta(k);
    for (Index i = 0; i < k; ++i) delta(i) = g.mean[order_[static_cast<size_t>(i)]] - mean(i);
    for (Index b = 0; b < k; ++b)
      for (Index a = 0; a < k; ++a) {
        const size_t i = static_cast<size_t>(a), j = static_cast<size_t>(b);
        double s = delta(a) * delta(b) * n * g.n / total;
        if (g.scatter) s += g.scatter[at[i] * g.n_observed() + at[j]];
        for (size_t r = 0; g.rows && r < g.n_rows; ++r) s += g.rows[r * d + order_[i]] * g.rows[r * d + order_[j]];
        scatter(a, b) += s;
      }
    mean += delta * (g.n / total);
    n = total;
  }

  static bool regress(double n, const VectorXd& mean, const MatrixXd& scatter, MonotoneRegression& r) {
    const Index k = mean.size() - 1;
    r.n = n;
    r.mean = mean;
    r.coefficients = VectorXd::Zero(k);
    r.residual = scatter(k, k);
    if (!(n > 0.0) || !(scatter(k, k) > 0.0)) return false;
    if (k > 0) {
      const Eigen::LLT<MatrixXd> llt(scatter.topLeftCorner(k, k));
      if (llt.info() != Eigen::Success) return false;
      r.root = llt.matrixL();
      // What is a variable's own must be more than rounding.
      for (Index j = 0; j < k; ++j)
        if (!(r.root(j, j) * r.root(j, j) > kSmallestShare * scatter(j, j))) return false;
      r.coefficients = llt.solve(scatter.block(0, k, k, 1));
      r.residual -= r.coefficients.dot(scatter.col(k).head(k));
    }
    return r.residual > kSmallestShare * scatter(k, k);
  }

  static constexpr double kSmallestShare = 1e-10;

  std::vector<size_t> order_;
  std::vector<MonotoneRegression> regressions_;
};

}  // namespace emkit
