// Maximum likelihood (or posterior mode) of a normal distribution with missing values: starts, EM, and what EM cannot see.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "../em/best_point.h"
#include "../em/run_watch.h"
#include "../math/counter_rng.h"
#include "mvn_information.h"
#include "mvn_monotone.h"

namespace emkit {

struct MvnControl {
  EmControl em;
  std::string accelerator = "anderson";
  int n_starts = 0;       // 0: by the size of the problem
  std::uint64_t key = 0;  // of the random starts
};

struct MvnStart {
  std::string method;
  VectorXd mean;
  MatrixXd covariance;
};

// A run from one start. `escaped`: it had ended at a saddle point, and went on downhill of it.
struct MvnRun {
  std::string method;
  EmResult result;
  VectorXd mean;
  MatrixXd covariance;
  bool escaped = false;
};

struct MvnFitResult {
  bool closed_form = false;  // complete data or monotone patterns
  bool newton = false;       // a Newton step followed the EM steps
  std::vector<MvnRun> runs;  // in the order of the starts
  size_t best = 0;
  // Of the best run. Eigenvalues of the observed information relative to that of complete data, ascending (the fractions
  // of information that are left), and the directions, columns, in which nothing is left; empty where there are too many
  // parameters.
  VectorXd left;
  MatrixXd null_directions;
  double worst = 0.0;  // worst fraction of missing information
};

class MvnFit {
 public:
  // Up to so many variables the information is looked at after every fit.
  static constexpr size_t kInformationVariables = 25;

  MvnFit(const PatternStatistics& data, const MvnPrior& prior, const MvnControl& control, int threads,
         std::atomic<bool>& stop, Interrupt& interrupt, Progress& progress)
      : data_(data), prior_(prior), control_(control), threads_(threads), stop_(stop), watch_(stop, interrupt, progress) {}

  MvnFitResult fit(const std::vector<MvnStart>& given) {
    MvnFitResult out;
    if (given.empty() && prior_.flat() && closed_form(out)) {
      finish(out);
      return out;
    }
    std::vector<MvnStart> starts = given.empty() ? automatic_starts() : given;
    for (const MvnStart& start : starts) {
      MvnRun run = run_from(start);
      out.runs.push_back(run);
      if (stop_.load()) return out;
      if (look_for_saddles() && run.result.status == Status::kConverged) escape(out.runs);
      if (stop_.load()) return out;
    }
    for (size_t i = 1; i < out.runs.size(); ++i)
      if (usable(out.runs[i]) && (!usable(out.runs[out.best]) ||
                                  clearly_better(out.runs[i].result.objective, out.runs[out.best].result.objective)))
        out.best = i;
    if (usable(out.runs[out.best])) finish(out);
    return out;
  }

 private:
  static bool usable(const MvnRun& run) {
    return run.result.status != Status::kDegenerate && run.result.status != Status::kInterrupted;
  }
  // Starts that reach the same optimum differ by rounding: the first one stands for them.
  static bool clearly_better(const Objective& a, const Objective& b) {
    return a.value() > b.value() + 1e-9 * (1.0 + std::abs(b.value()));
  }
  bool look_for_saddles() const { return data_.d() <= kInformationVariables && control_.em.max_iter > 0; }

  bool closed_form(MvnFitResult& out) {
    const std::vector<size_t> order = MonotoneFactorisation::order(data_);
    MonotoneFactorisation factorisation;
    if (order.empty() || !factorisation.fit(data_, order)) return false;
    MvnRun run;
    run.method = data_.complete() ? "complete data" : "monotone patterns";
    factorisation.parameters(run.mean, run.covariance);
    MvnMissing model(data_, prior_, threads_);
    if (!model.set_parameters(run.mean, run.covariance)) return false;
    run.result.objective = model.e_step();
    if (!run.result.objective.finite()) return false;
    run.result.status = Status::kConverged;
    run.result.last_gain = run.result.remaining_gain = run.result.rate = 0.0;
    run.result.trace.push_back({run.result.objective, false});
    out.closed_form = true;
    out.runs.push_back(run);
    return true;
  }

  // Available cases; complete ones if there are enough; on small problems random ones too, to find other maxima.
  std::vector<MvnStart> automatic_starts() const {
    const Index d = static_cast<Index>(data_.d());
    std::vector<MvnStart> out;
    MvnStart available;
    available.method = "available cases";
    available.mean = VectorXd::Zero(d);
    available.covariance = MatrixXd::Identity(d, d);
    for (Index j = 0; j < d; ++j) {
      const double n = data_.pair_weight()(j, j);
      available.mean(j) = data_.pair_sum()(j, j) / n;
      available.covariance(j, j) = data_.pair_product()(j, j) / n - available.mean(j) * available.mean(j);
    }
    MvnStart complete;
    complete.method = "complete cases";
    const bool has_complete = complete_cases(complete);
    const MvnMissing probe(data_, prior_, 1);
    const int wanted = control_.n_starts > 0 ? control_.n_starts : probe.work() <= kQuickWork ? 5 : 1;
    if (has_complete) out.push_back(complete);
    if (static_cast<int>(out.size()) < wanted) out.push_back(available);
    for (std::uint64_t i = 0; static_cast<int>(out.size()) < wanted; ++i) out.push_back(random_start(available, i));
    return out;
  }

  bool complete_cases(MvnStart& start) const {
    for (const PatternGroup& g : data_.groups()) {
      if (!g.pattern->complete() || !g.scatter || static_cast<double>(g.n_rows) < 1.5 * static_cast<double>(data_.d()) + 2)
        continue;
      const Index d = static_cast<Index>(data_.d());
      start.mean = Eigen::Map<const VectorXd>(g.mean, d);
      start.covariance = Eigen::Map<const MatrixXd>(g.scatter, d, d) / g.n;
      MvnMissing probe(data_, prior_, 1);
      return probe.set_parameters(start.mean, start.covariance);
    }
    return false;
  }

  // Overdispersed: means off by up to a standard deviation or so, correlations of a random matrix.
  MvnStart random_start(const MvnStart& available, std::uint64_t number) const {
    CounterRng rng(control_.key, number);
    const Index d = available.mean.size();
    MvnStart s = available;
    s.method = "random";
    MatrixXd z(d, d + 2);
    for (Index j = 0; j < z.cols(); ++j)
      for (Index i = 0; i < d; ++i) z(i, j) = rng.normal();
    MatrixXd w = z * z.transpose();
    const VectorXd root = w.diagonal().cwiseSqrt();
    for (Index j = 0; j < d; ++j) {
      s.mean(j) += 0.5 * rng.normal() * std::sqrt(available.covariance(j, j));
      for (Index i = 0; i < d; ++i)
        s.covariance(i, j) = w(i, j) / (root(i) * root(j)) *
                             std::sqrt(available.covariance(i, i) * available.covariance(j, j));
    }
    return s;
  }

  MvnRun run_from(const MvnStart& start) {
    MvnRun run;
    run.method = start.method;
    MvnMissing model(data_, prior_, threads_);
    if (!model.set_parameters(start.mean, start.covariance)) {
      run.result.status = Status::kDegenerate;
      run.result.degeneracy.kind = Degeneracy::Kind::kSingular;
      run.covariance = start.covariance;
      run.mean = start.mean;
      return run;
    }
    const std::unique_ptr<Accelerator> accelerator = make_accelerator(control_.accelerator);
    MvnPoint end;
    run.result = run_to_best(model, *accelerator, control_.em, watch_, end);
    run.mean = end.mean;
    run.covariance = run.result.status == Status::kDegenerate && model.refused_covariance().size() > 0
                         ? model.refused_covariance()
                         : end.covariance;
    return run;
  }

  // Observed information relative to complete information at a run's end: eigenvalues ascending, and the directions as
  // changes of the mean and of the covariance. The largest fraction of missing information is 1 minus the least eigenvalue.
  struct Spectrum {
    VectorXd left;
    std::vector<VectorXd> mean;        // of the least few
    std::vector<MatrixXd> covariance;
  };
  bool spectrum(const VectorXd& mean, const MatrixXd& covariance, Spectrum& out) const {
    MvnMissing model(data_, prior_, threads_);
    if (!model.set_parameters(mean, covariance) || !model.e_step().finite()) return false;
    const MvnInformation information(model, threads_);
    MatrixXd observed;
    if (!information.compute(MvnInformation::Kind::kObserved, observed)) return false;
    const VectorXd unit = information.complete().cwiseSqrt().cwiseInverse();
    const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(MatrixXd(unit.asDiagonal() * observed * unit.asDiagonal()));
    if (solver.info() != Eigen::Success) return false;
    out.left = solver.eigenvalues();
    for (Index i = 0; i < out.left.size() && (i == 0 || out.left(i) < kNothingLeft); ++i) {
      out.mean.emplace_back();
      out.covariance.emplace_back();
      information.unwhiten(unit.cwiseProduct(solver.eigenvectors().col(i)), out.mean.back(), out.covariance.back());
    }
    return true;
  }

  // EM that ends at a point where the likelihood curves upwards has found a saddle: go on to either side of it.
  void escape(std::vector<MvnRun>& runs) {
    for (int attempt = 0; attempt < 3; ++attempt) {
      const MvnRun at = runs.back();
      Spectrum here;
      if (!spectrum(at.mean, at.covariance, here) || here.left(0) > -kFlat) return;
      std::vector<MvnRun> sides;
      for (double sign : {1.0, -1.0}) {
        MvnStart side;
        if (!moved(at, sign * here.mean[0], sign * here.covariance[0], side)) continue;
        side.method = at.method;
        MvnRun run = run_from(side);
        run.escaped = true;
        if (usable(run) && run.result.objective.value() > at.result.objective.value()) sides.push_back(run);
        if (stop_.load()) return;
      }
      if (sides.empty()) return;
      if (sides.size() == 2 && clearly_better(sides[1].result.objective, sides[0].result.objective))
        std::swap(sides[0], sides[1]);
      // The saddle itself is no result; its two ends are.
      runs.back() = sides[0];
      if (sides.size() == 2) runs.insert(runs.end() - 1, sides[1]);
    }
  }

  // A step along a direction, as long as keeps the covariance positive definite.
  bool moved(const MvnRun& from, const VectorXd& mean, const MatrixXd& covariance, MvnStart& to) const {
    MvnMissing probe(data_, prior_, 1);
    for (double step = std::sqrt(data_.n()) * 0.2; step > 1e-3; step *= 0.5) {
      to.mean = from.mean + step * mean;
      to.covariance = from.covariance + step * covariance;
      if (probe.set_parameters(to.mean, to.covariance)) return true;
    }
    return false;
  }

  // The objective cannot tell points apart whose parameters differ by the square root of its rounding: a few Newton steps
  // on the score can. Each is kept only if the objective does not fall and the next step would be shorter.
  // True when it moved.
  bool newton(MvnRun& run) const {
    MvnMissing model(data_, prior_, threads_);
    if (!model.set_parameters(run.mean, run.covariance)) return false;
    Objective here = model.e_step();
    bool moved = false;
    const MvnInformation information(model, threads_);
    double last = std::numeric_limits<double>::infinity();
    VectorXd best_mean = run.mean;
    MatrixXd best_covariance = run.covariance;
    for (int step = 0; step < kNewtonSteps; ++step) {
      MatrixXd observed;
      if (!here.finite() || !information.compute(MvnInformation::Kind::kObserved, observed)) break;
      const VectorXd score = information.score();
      const Eigen::LLT<MatrixXd> llt(observed);
      if (llt.info() != Eigen::Success) break;
      const VectorXd move = llt.solve(score);
      const double length = move.dot(score);  // twice the gain that is left
      const double slack = 1e-13 * (1.0 + std::abs(run.result.objective.value()));
      if (!(length < 0.5 * last) || here.value() < run.result.objective.value() - slack) break;
      best_mean = model.state().mean;
      best_covariance = model.state().covariance;
      run.result.objective = here;
      moved = step > 0;
      last = length;
      if (length < kNegligible) break;
      VectorXd mean;
      MatrixXd covariance;
      information.unwhiten(move, mean, covariance);
      if (!model.set_parameters(best_mean + mean, best_covariance + covariance)) break;
      here = model.e_step();
      ++run.result.evaluations;
    }
    run.mean = best_mean;
    run.covariance = best_covariance;
    return moved;
  }

  void finish(MvnFitResult& out) {
    MvnRun& best = out.runs[out.best];
    const bool converged = best.result.status == Status::kConverged;
    if (data_.d() > kInformationVariables) {
      out.worst = out.closed_form ? std::numeric_limits<double>::quiet_NaN() : best.result.rate;
      return;
    }
    if (converged && !out.closed_form && control_.em.max_iter > 0) {
      out.newton = newton(best);
      // Maxima as high as the best one are results too.
      for (MvnRun& run : out.runs)
        if (&run != &best && run.result.status == Status::kConverged &&
            !clearly_better(best.result.objective, run.result.objective))
          newton(run);
    }
    Spectrum at;
    if (!spectrum(best.mean, best.covariance, at)) return;
    out.left = at.left;
    out.worst = 1.0 - at.left(0);
    if (at.left(0) >= kNothingLeft) return;
    const Index d = best.mean.size();
    out.null_directions.resize(d + d * (d + 1) / 2, static_cast<Index>(at.mean.size()));
    for (size_t i = 0; i < at.mean.size(); ++i) {
      auto column = out.null_directions.col(static_cast<Index>(i));
      column.head(d) = at.mean[i];
      Index row = d;
      for (Index c = 0; c < d; ++c)
        for (Index r = c; r < d; ++r) column(row++) = at.covariance[i](r, c);
    }
  }

  static constexpr double kQuickWork = 3e4;   // multiplications of an E-step for which more starts take no time
  static constexpr double kFlat = 1e-5;       // relative information that is negative and no rounding
  static constexpr double kNothingLeft = 1e-6;
  static constexpr int kNewtonSteps = 6;
  static constexpr double kNegligible = 1e-24;

  const PatternStatistics& data_;
  const MvnPrior& prior_;
  const MvnControl& control_;
  int threads_;
  std::atomic<bool>& stop_;
  RunWatch watch_;
};

}  // namespace emkit
