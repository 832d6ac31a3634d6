// One multivariate normal distribution with values missing at random, as the EM loop sees it.
#pragma once
#include <limits>
#include <vector>

#include "../em/model.h"
#include "../parallel/reduce.h"
#include "mvn_pattern_step.h"

namespace emkit {

// log prior density of the covariance: -(exponent log |Sigma| + tr(scale Sigma^-1)) / 2, up to a constant. An inverse
// Wishart of df degrees of freedom has exponent df + d + 1; the ridge of k pseudo-observations has exponent k and
// scale k diag(variances); Jeffreys' has exponent d + 1 and no scale. In scaled units.
struct MvnPrior {
  double exponent = 0.0;
  MatrixXd scale;  // d x d; empty: zero

  bool flat() const { return exponent == 0.0 && scale.size() == 0; }
  double log_density(const MvnPoint& p) const {
    const double trace = scale.size() == 0 ? 0.0 : p.precision.cwiseProduct(scale).sum();
    return -0.5 * (exponent * p.log_det + trace);
  }
};

// Sums over rows of x - mean and of its products, the mean that of a point; missing cells as `sums` has them (expected or
// drawn).
struct MvnMoments {
  VectorXd first;
  MatrixXd second;
  MatrixXd observed;  // products of observed cells alone

  void complete(const PatternStatistics& data, const MvnPoint& point, const MvnSums& sums) {
    const VectorXd& mu = point.mean;
    const MatrixXd sum_mu = data.pair_sum() * mu.asDiagonal();  // (a, b): sum of a times mu_b
    observed = data.pair_product() - sum_mu - sum_mu.transpose() +
               MatrixXd(mu.asDiagonal() * data.pair_weight() * mu.asDiagonal());
    first = data.pair_sum().diagonal() - data.pair_weight().diagonal().cwiseProduct(mu) + sums.first;
    second = observed + sums.cross + sums.cross.transpose() + sums.inner;
  }
};

// Rubin's EM (Orchard & Woodbury 1972; Dempster, Laird & Rubin 1977) on the moments of patterns: after the first look at
// the data no iteration depends on the number of rows.
class MvnMissing final : public EmModel {
 public:
  MvnMissing(const PatternStatistics& data, const MvnPrior& prior, int threads)
      : data_(data), prior_(prior), threads_(threads), total_(data.d()) {
    cut_tasks();
  }

  // False, with the parameters unchanged, when the covariance is not positive definite.
  bool set_parameters(const VectorXd& mean, const MatrixXd& covariance) {
    MvnPoint p;
    p.mean = mean;
    p.covariance = covariance;
    if (!p.factor()) return false;
    point_ = p;
    return true;
  }

  const PatternStatistics& data() const { return data_; }
  const MvnPrior& prior() const { return prior_; }
  using State = MvnPoint;
  const State& state() const { return point_; }
  // Rough count of multiplications in one E-step.
  double work() const { return work_; }

  Objective e_step() override {
    const std::vector<PatternGroup>& groups = data_.groups();
    bool fine = true;
    parallel_tasks(tasks_.size(), use_threads(), [&](size_t t) {
      Task& task = tasks_[t];
      task.sums.reset();
      task.fine = true;
      for (size_t k = task.begin; k < task.end && task.fine; ++k) {
        task.fine = task.step.prepare(point_, groups[k]);
        if (task.fine) task.step.accumulate(task.sums);
      }
    });
    total_.reset();
    for (const Task& task : tasks_) {
      fine = fine && task.fine;
      total_.add(task.sums);
    }
    Objective o;
    if (!fine) {
      o.loglik = std::numeric_limits<double>::quiet_NaN();
      return o;
    }
    moments_.complete(data_, point_, total_);
    const double observed =
        point_.ill_conditioned() ? 0.0 : point_.precision.cwiseProduct(moments_.observed).sum();
    o.loglik = -0.5 * (data_.normalising_constant() + data_.n() * point_.log_det + total_.log_det + observed +
                       total_.quadratic);
    o.log_prior = prior_.flat() ? 0.0 : prior_.log_density(point_);
    return o;
  }

  bool m_step() override {
    const double n = data_.n(), denominator = n + prior_.exponent;
    const VectorXd shift = moments_.first / n;
    MatrixXd s = moments_.second - n * shift * shift.transpose();
    if (prior_.scale.size() > 0) s += prior_.scale;
    s /= denominator;
    return move_to(point_.mean + shift, 0.5 * (s + s.transpose()));
  }

  // The mean, and the logarithms of the diagonal and the rest of the Cholesky factor's rows.
  size_t n_packed() const override { return data_.d() + packed_size(data_.d()); }
  bool pack(double* out) const override {
    const Index d = point_.mean.size();
    for (Index j = 0; j < d; ++j) *out++ = point_.mean(j);
    for (Index j = 0; j < d; ++j)
      for (Index l = 0; l <= j; ++l) *out++ = l == j ? std::log(point_.root(j, j)) : point_.root(j, l);
    return true;
  }
  bool unpack(const double* in) override {
    const Index d = point_.mean.size();
    VectorXd mean(d);
    MatrixXd root = MatrixXd::Zero(d, d);
    for (Index j = 0; j < d; ++j) mean(j) = *in++;
    for (Index j = 0; j < d; ++j)
      for (Index l = 0; l <= j; ++l, ++in) root(j, l) = l == j ? std::exp(*in) : *in;
    return move_to(mean, root * root.transpose());
  }

  Degeneracy degeneracy() const override {
    Degeneracy d;
    d.kind = Degeneracy::Kind::kSingular;
    return d;
  }

  // The quadratic forms are sums of terms as large as the largest variance inflation.
  double rounding() const override {
    if (!point_.ill_conditioned()) return 0.0;
    return 8.0 * std::numeric_limits<double>::epsilon() * point_.inflation * data_.n() * static_cast<double>(data_.d());
  }

  // The covariance that m_step() refused last, whose null directions say what is linear in what.
  const MatrixXd& refused_covariance() const { return refused_; }

  // After e_step(): sums over rows of the expected x - mean (d), and of its expected products (d x d).
  const VectorXd& first_moment() const { return moments_.first; }
  const MatrixXd& second_moment() const { return moments_.second; }

 private:
  struct Task {
    Task(size_t d, size_t begin_, size_t end_) : begin(begin_), end(end_), step(d), sums(d) {}
    size_t begin, end;
    MvnPatternStep step;
    MvnSums sums;
    bool fine = true;
  };

  // By the cost of the patterns alone, so that sums have the same order for any number of threads.
  void cut_tasks() {
    const std::vector<PatternGroup>& groups = data_.groups();
    std::vector<double> cost;
    for (const PatternGroup& g : groups) {
      const double m = static_cast<double>(g.n_missing()), o = static_cast<double>(g.n_observed());
      const double body = g.by_rows ? static_cast<double>(g.n_factor()) * (o + m) : o * o + m * o;
      cost.push_back(m == 0.0 ? 1.0 : 40.0 + m * (m * m + body));
      work_ += cost.back();
    }
    const double share = std::max(work_ / kMaxTasks, kLeastWork);
    size_t begin = 0;
    double sum = 0.0;
    for (size_t k = 0; k < groups.size(); ++k) {
      sum += cost[k];
      if (sum >= share || k + 1 == groups.size()) {
        tasks_.emplace_back(data_.d(), begin, k + 1);
        begin = k + 1;
        sum = 0.0;
      }
    }
  }

  int use_threads() const { return work_ < kParallelWork ? 1 : threads_; }

  bool move_to(const VectorXd& mean, const MatrixXd& covariance) {
    MvnPoint p;
    p.mean = mean;
    p.covariance = covariance;
    if (!p.factor()) {
      refused_ = covariance;
      return false;
    }
    std::swap(point_, p);
    return true;
  }

  static constexpr double kMaxTasks = 32.0;
  static constexpr double kLeastWork = 2e4;     // multiplications that are worth a task of their own
  static constexpr double kParallelWork = 2e5;  // a quarter of a millisecond: below that, threads bring nothing

  const PatternStatistics& data_;
  MvnPrior prior_;
  int threads_;
  double work_ = 0.0;
  std::vector<Task> tasks_;
  MvnPoint point_;
  MvnSums total_;
  MvnMoments moments_;
  MatrixXd refused_;
};

}  // namespace emkit
