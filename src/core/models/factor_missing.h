// Factor analysis with values missing at random, as the EM loop sees it.
#pragma once
#include <memory>
#include <vector>

#include "../em/model.h"
#include "../parallel/reduce.h"
#include "../parallel/space_pool.h"
#include "factor_completed.h"
#include "factor_missing_sweep.h"

namespace emkit {

// EM in one of two forms, whichever takes less time (unless told which).
//
// The missing cells alone are missing data (formulas.Rmd, (U9), (U10)): the M-step is the maximum likelihood factor
// analysis of the expected covariance matrix, by Newton's method (factor_completed.h). Its rate is the fraction of the
// information that the missing cells take away, however flat the likelihood is; EM with missing factors needs thousands
// of steps where there are more factors than the data show.
//
// The factors are missing data too ((U1) to (U6); Rubin & Thayer 1982, for the cells that each row observes): given the
// factors the variables separate, each being regressed on them over the rows that observe it. No p x p matrix is formed
// except the scatter of patterns that have more rows than variables. The factors' mean and covariance are free in the
// M-step and are then reduced to 0 and I (PX-EM, Liu, Rubin & Wu 1998), which costs nothing. A small uniqueness crawls
// under EM; it moves to the maximum of the observed likelihood given all else instead (ECME, Liu & Rubin 1994), which
// may be the bound.
class FactorMissing final : public EmModel {
 public:
  using State = FactorMissingPoint;

  // The least uniqueness, in units in which a variable has variance 1. Where the likelihood is highest at 0, 0 takes
  // its place in the end (hold_at_zero); where it grows without bound, the bound keeps the numbers meaningful.
  static constexpr double kBound = 1e-7;

  FactorMissing(const TiledRows& data, size_t q, FactorNoise noise, int threads)
      : FactorMissing(data, q, noise, cheaper(data), threads) {}
  FactorMissing(const TiledRows& data, size_t q, FactorNoise noise, FactorLatent latent, int threads)
      : data_(data), q_(q), noise_(noise), latent_(latent), threads_(threads) {
    if (latent == FactorLatent::kCells) missing_ = TiledMissingCells(data);
    cut_tasks();
  }

  // Where a whole factor analysis takes little beside a sweep. With few rows the sweeps are so cheap that their number
  // does not matter.
  static FactorLatent cheaper(const TiledRows& data) {
    constexpr double kRows = 2.0;  // for each variable
    constexpr size_t kVariables = 64;
    return data.d() <= kVariables && data.n() >= kRows * static_cast<double>(data.d()) ? FactorLatent::kCells
                                                                                      : FactorLatent::kFactors;
  }

  const TiledRows& data() const { return data_; }
  size_t n_factors() const { return q_; }
  FactorNoise noise() const { return noise_; }

  // A variable that no row observes has no parameters. Uniquenesses of exactly 0 stay there.
  bool set_state(const State& state) {
    if (!state.finite()) return false;
    for (Index j = 0; j < data_.weight().size(); ++j)
      if (!(data_.weight()(j) > 0.0)) {
        singular_ = static_cast<size_t>(j);
        return false;
      }
    point_ = state;
    plain_.mean.resize(0);
    moved_face_ = false;
    return true;
  }
  const State& state() const { return point_; }

  Objective e_step() override {
    const FactorMissingSweep sweep(data_, missing_, point_, latent_, noise_ == FactorNoise::kFree ? kSmall : 0.0);
    targets_ = sweep.targets();
    for (size_t k = 0; k < targets_.size(); ++k)
      innovations_[k].reset(data_.n_tiles() * kTileRows + data_.groups().size());
    const size_t p = data_.d();
    parallel_tasks(tasks_.size(), use_threads(), [&](size_t k) { run(tasks_[k], sweep); });
    total_.reset(latent_, p, q_);
    for (const Task& task : tasks_) total_.add(task.sums);
    Objective o;
    double log_psi = 0.0, squares = 0.0;
    least_ = total_.least_variance;
    for (size_t j = 0; j < p; ++j) {
      if (sweep.is_small(j)) continue;
      const Index v = static_cast<Index>(j);
      const double mu = point_.mean(v), psi = point_.uniquenesses(v), n = data_.weight()(v);
      least_ = std::min(least_, psi);
      log_psi += n * std::log(psi);
      squares += (data_.square()(v) - 2.0 * mu * data_.sum()(v) + mu * mu * n) / psi;
    }
    o.loglik = -0.5 * (kLog2Pi * data_.weight().sum() + log_psi + total_.log_det + squares + total_.quadratic);
    return o;
  }

  bool m_step() override {
    move_ = 0.0;
    return latent_ == FactorLatent::kCells ? analyse() : regress_all();
  }

  // The maxima over single uniquenesses need not go uphill together: back to the M-step.
  bool shorten_step() override {
    if (plain_.mean.size() == 0) return false;
    point_ = std::move(plain_);
    plain_.mean.resize(0);
    return true;
  }

  // Mean, loadings and log(psi + c): a uniqueness near its bound is not far away. None after a step to or from 0.
  size_t n_packed() const override { return data_.d() * (1 + q_) + (noise_ == FactorNoise::kFree ? data_.d() : 1); }
  bool pack(double* out) const override {
    if (moved_face_) return false;
    out = std::copy(point_.mean.data(), point_.mean.data() + point_.mean.size(), out);
    out = std::copy(point_.loadings.data(), point_.loadings.data() + point_.loadings.size(), out);
    const size_t n = noise_ == FactorNoise::kFree ? data_.d() : 1;
    for (size_t j = 0; j < n; ++j) *out++ = std::log(point_.uniquenesses(static_cast<Index>(j)) + offset());
    return true;
  }
  bool unpack(const double* in) override {
    const Index p = static_cast<Index>(data_.d()), q = static_cast<Index>(q_);
    State next;
    next.mean = Eigen::Map<const VectorXd>(in, p);
    next.loadings = Eigen::Map<const MatrixXd>(in + p, p, q);
    in += p + p * q;
    const auto psi = [&](double at) {
      const double value = std::exp(at) - offset();
      return value > 1.01 * kBound ? value : kBound;  // the bound itself, whatever the logarithm's rounding
    };
    next.uniquenesses.resize(p);
    if (noise_ == FactorNoise::kCommon) next.uniquenesses.setConstant(psi(in[0]));
    for (Index j = 0; j < p && noise_ == FactorNoise::kFree; ++j)
      next.uniquenesses(j) = point_.uniquenesses(j) > 0.0 ? psi(in[j]) : 0.0;
    if (!next.finite()) return false;
    point_ = std::move(next);
    return true;
  }

  // Of conditional variances that are differences of numbers of order 1, or of squares over a small uniqueness.
  double rounding() const override {
    double cells = 0.0;
    for (Index j = 0; j < point_.mean.size(); ++j)
      if (noise_ == FactorNoise::kCommon || point_.uniquenesses(j) < kSmall) cells += data_.weight()(j);
    return 8.0 * std::numeric_limits<double>::epsilon() * cells / std::max(least_, kNothing);
  }

  Degeneracy degeneracy() const override {
    Degeneracy d;
    d.kind = Degeneracy::Kind::kSingular;
    d.component = singular_;
    return d;
  }

  // Length of the last m_step(), in standard errors that complete data would have, about.
  double last_move() const { return move_; }

  // After e_step(), where the factors are missing data: the score of mean, loadings (column by column) and log
  // uniquenesses (one, where they are common), by Fisher's identity.
  VectorXd score() const {
    const Index p = static_cast<Index>(data_.d()), q = static_cast<Index>(q_);
    const bool common = noise_ == FactorNoise::kCommon;
    VectorXd out = VectorXd::Zero(p * (1 + q) + (common ? 1 : p));
    for (Index j = 0; j < p; ++j) {
      const Normal normal = normal_equations(j);
      const double psi = point_.uniquenesses(j);
      VectorXd b(q + 1);
      b << point_.mean(j), point_.loadings.row(j).transpose();
      const VectorXd gradient = normal.right - normal.left * b;
      out(j) = gradient(0) / psi;
      for (Index a = 0; a < q; ++a) out(p + a * p + j) = gradient(1 + a) / psi;
      const double rss = data_.square()(j) - b.dot(normal.right) - b.dot(gradient);
      out(p * (1 + q) + (common ? 0 : j)) += 0.5 * (rss / psi - data_.weight()(j));
    }
    return out;
  }

 private:
  struct Task {
    bool tiles = true;
    size_t begin = 0, end = 0;
    FactorMissingSums sums;
  };
  struct Normal {
    MatrixXd left;   // (q + 1) x (q + 1): expected products of (1, f)
    VectorXd right;  // q + 1: with x_j
  };

  // By the amount of data alone, so that sums have the same order for any number of threads.
  void cut_tasks() {
    const size_t tiles = data_.n_tiles(), share = std::max<size_t>(1, (tiles + kTasks - 1) / kTasks);
    const auto add = [&](bool is_tiles, size_t begin, size_t end) {
      tasks_.emplace_back();
      tasks_.back().tiles = is_tiles;
      tasks_.back().begin = begin;
      tasks_.back().end = end;
    };
    for (size_t b = 0; b < tiles; b += share) add(true, b, std::min(b + share, tiles));
    double cost = 0.0, sum = 0.0;
    const auto of = [&](size_t g) {
      const double o = static_cast<double>(data_.groups()[g].observed.size());
      return o * o * static_cast<double>(q_ + 1) + 100.0;
    };
    for (size_t g = 0; g < data_.groups().size(); ++g) cost += of(g);
    const size_t p = data_.d(), products = latent_ == FactorLatent::kCells ? p / 2 + q_ : q_;
    work_ = cost + static_cast<double>(data_.n_rows() * p * (packed_size(q_) + q_ + products));
    for (size_t g = 0, begin = 0; g < data_.groups().size(); ++g) {
      sum += of(g);
      if (sum < cost / kTasks && g + 1 < data_.groups().size()) continue;
      add(false, begin, g + 1);
      begin = g + 1;
      sum = 0.0;
    }
  }

  int use_threads() const { return work_ < kParallelWork ? 1 : threads_; }

  void run(Task& task, const FactorMissingSweep& sweep) {
    task.sums.reset(latent_, data_.d(), q_);
    if (!task.tiles) {
      for (size_t g = task.begin; g < task.end; ++g) sweep.group(g, task.sums, innovations_);
      return;
    }
    using Workspace = FactorMissingSweep::Workspace;
    auto w = spaces_.borrow([&] { return std::unique_ptr<Workspace>(new Workspace(latent_, data_.d(), q_)); });
    w->start(sweep.n_values());
    for (size_t t = task.begin; t < task.end; ++t) sweep.tile(t, *w, task.sums, innovations_);
    kernels().fold_wide(w->wide.data(), sweep.n_values(), task.sums.values.data());
  }

  // (U10): the factor analysis of the expected covariance matrix.
  bool analyse() {
    const Index p = point_.mean.size();
    const double n = data_.n();
    const auto sums = total_.values.col(0);
    const VectorXd shift = sums.segment(1, p) / n;
    MatrixXd covariance(p, p);
    for (Index j = 0, k = 1 + p; j < p; ++j)
      for (Index l = 0; l <= j; ++l, ++k) covariance(j, l) = covariance(l, j) = sums(k) / n - shift(j) * shift(l);
    State next = point_;
    next.mean += shift;
    const bool fine = least_ > kNothing && (noise_ == FactorNoise::kFree
                                                ? analyse_completed(covariance, n, threads_, next, singular_)
                                                : components_of_completed(covariance, kBound, next));
    if (!fine || !next.finite() || unbounded(next)) return false;
    turn_towards(point_.loadings, next.loadings);
    moved_face_ = ((next.uniquenesses.array() > 0.0) != (point_.uniquenesses.array() > 0.0)).any();
    move_ = distance(point_, next);
    point_ = std::move(next);
    return true;
  }

  // More uniquenesses on their way to 0 than there are factors: a linear combination of these variables loses its
  // variance.
  bool unbounded(const State& point) {
    size_t n_small = 0;
    for (Index j = 0; noise_ == FactorNoise::kFree && j < point.uniquenesses.size(); ++j) {
      if (point.uniquenesses(j) > kBound) continue;
      singular_ = static_cast<size_t>(j);
      ++n_small;
    }
    return n_small > q_;
  }

  // (U4) to (U6).
  bool regress_all() {
    State next = point_;
    double residual = 0.0, cells = 0.0;
    for (Index j = 0; j < next.mean.size(); ++j) {
      const double n = data_.weight()(j), rss = regress(j, next);
      if (!std::isfinite(rss)) return false;
      residual += rss;
      cells += n;
      if (next.uniquenesses(j) > 0.0) next.uniquenesses(j) = std::max(rss / n, kBound);
    }
    if (noise_ == FactorNoise::kCommon) next.uniquenesses.setConstant(std::max(residual / cells, kBound));
    reduce_factors(next);
    if (!next.finite()) return false;
    plain_.mean.resize(0);
    State profiled = next;
    bool changed = false;
    for (size_t k = 0; k < targets_.size(); ++k) {
      double& psi = profiled.uniquenesses(static_cast<Index>(targets_[k]));
      const double best = profile(innovations_[k], point_.uniquenesses(static_cast<Index>(targets_[k])));
      changed = changed || best != psi;
      psi = best;
    }
    move_ = distance(point_, profiled);
    if (changed) plain_ = std::move(next);
    point_ = std::move(profiled);
    return true;
  }

  Normal normal_equations(Index j) const {
    const Index q = static_cast<Index>(q_), second = q, cross = q + static_cast<Index>(packed_size(q_));
    const MatrixXd& v = total_.values;
    Normal out;
    out.left.resize(q + 1, q + 1);
    out.right.resize(q + 1);
    out.left(0, 0) = data_.weight()(j);
    out.right(0) = data_.sum()(j);
    Index k = second;
    for (Index a = 0; a < q; ++a) {
      out.left(1 + a, 0) = out.left(0, 1 + a) = v(1 + j, a);
      out.right(1 + a) = v(1 + j, cross + a);
      for (Index b = 0; b <= a; ++b, ++k) out.left(1 + a, 1 + b) = out.left(1 + b, 1 + a) = v(1 + j, k);
    }
    return out;
  }

  // (U4): row j of the mean and the loadings by least squares on the expected products. Returns the residual sum of
  // squares.
  double regress(Index j, State& next) const {
    const Normal normal = normal_equations(j);
    const Eigen::LLT<MatrixXd> llt(normal.left);
    if (llt.info() != Eigen::Success) return std::numeric_limits<double>::quiet_NaN();
    const VectorXd b = llt.solve(normal.right);
    next.mean(j) = b(0);
    next.loadings.row(j) = b.tail(static_cast<Index>(q_)).transpose();
    return data_.square()(j) - b.dot(normal.right);
  }

  // (U5): the factors' own mean and covariance (over all rows) go into the mean and the loadings.
  void reduce_factors(State& next) const {
    const Index q = static_cast<Index>(q_);
    VectorXd mean(q);
    MatrixXd covariance(q, q);
    Index k = q;
    for (Index a = 0; a < q; ++a) {
      mean(a) = total_.values(0, a) / data_.n();
      for (Index b = 0; b <= a; ++b, ++k)
        covariance(a, b) = covariance(b, a) = total_.values(0, k) / data_.n() - mean(a) * mean(b);
    }
    const Eigen::LLT<MatrixXd> llt(covariance);
    if (llt.info() != Eigen::Success) return;  // the plain M-step is as good
    next.mean += next.loadings * mean;
    next.loadings *= llt.matrixL();
  }

  double distance(const State& a, const State& b) const {
    double s = 0.0;
    for (Index j = 0; j < a.mean.size(); ++j) {
      const double psi = std::max(a.uniquenesses(j), kSmall), shift = b.mean(j) - a.mean(j);
      const double ratio = std::log((b.uniquenesses(j) + offset()) / (a.uniquenesses(j) + offset()));
      s += (shift * shift + (b.loadings.row(j) - a.loadings.row(j)).squaredNorm()) / psi + 0.5 * ratio * ratio;
    }
    return std::sqrt(s * data_.n());
  }

  // (U6): the uniqueness that maximises -1/2 sum w [log(psi + spread) + square / (psi + spread)], by Fisher scoring
  // from `start`; `start` itself when that leads downhill.
  static double profile(const FactorInnovation& rows, double start) {
    const auto value = [&](double psi) {
      double s = 0.0;
      for (size_t i = 0; i < rows.weight.size(); ++i) {
        if (!(rows.weight[i] > 0.0)) continue;
        const double v = psi + rows.spread[i];
        s -= 0.5 * rows.weight[i] * (std::log(v) + rows.square[i] / v);
      }
      return s;
    };
    double psi = std::max(start, kBound);
    for (int step = 0; step < kProfileSteps; ++step) {
      double score = 0.0, information = 0.0;
      for (size_t i = 0; i < rows.weight.size(); ++i) {
        if (!(rows.weight[i] > 0.0)) continue;
        const double v = psi + rows.spread[i], precision = rows.weight[i] / (v * v);
        score += precision * (rows.square[i] - v);
        information += precision;
      }
      const double next = std::min(std::max(psi + score / information, kBound), 1.0);
      const bool settled = std::abs(next - psi) <= 1e-12 * next;
      psi = next;
      if (settled || !std::isfinite(psi)) break;
    }
    return std::isfinite(psi) && value(psi) >= value(std::max(start, kBound)) ? psi : std::max(start, kBound);
  }

  double offset() const { return noise_ == FactorNoise::kFree ? kOffset : 0.0; }

  static constexpr double kNothing = 1e-9;      // conditional variance below which the likelihood is taken as unbounded
  static constexpr double kSmall = 0.05;   // uniquenesses that are conditioned upon and profiled
  static constexpr double kOffset = 0.01;  // c of pack()
  static constexpr int kProfileSteps = 25;
  static constexpr size_t kTasks = 16;
  static constexpr double kParallelWork = 2e5;  // multiplications below which threads bring nothing

  const TiledRows& data_;
  size_t q_;
  FactorNoise noise_;
  FactorLatent latent_;
  TiledMissingCells missing_;
  int threads_;
  bool moved_face_ = false;
  double work_ = 0.0, move_ = 0.0;
  double least_ = 1.0;  // conditional variance in the likelihood
  size_t singular_ = 0;  // a variable that is never observed, or has no variance left
  SpacePool<FactorMissingSweep::Workspace> spaces_;
  std::vector<Task> tasks_;
  State point_, plain_;
  FactorMissingSums total_;
  std::vector<size_t> targets_;
  std::vector<FactorInnovation> innovations_ = std::vector<FactorInnovation>(FactorMissingSweep::kMaxTargets);
};

}  // namespace emkit
