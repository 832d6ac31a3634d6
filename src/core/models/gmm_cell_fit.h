// Fitting one cell from several starts.
#pragma once
#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "../em/driver.h"
#include "../em/run_watch.h"
#include "gaussian_mixture.h"

namespace emkit {

// A better start: ends regularly rather than in numerical trouble rather than without parameters, and higher.
inline bool better(const GmmStartResult& a, const GmmStartResult& b) {
  const auto rank = [](const GmmStartResult& r) {
    switch (r.status) {
      case Status::kConverged:
      case Status::kMaxIter: return 0;
      case Status::kNonMonotone: return 1;
      default: return 2;
    }
  };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  return rank(a) < 2 && a.objective.value() > b.objective.value();
}

// Fits one cell: a short plain run from every start, then the best ones to the end. `search` are the data for this (a
// subset of the rows, or `full` itself); the best two solutions found on a subset are then fitted to all rows.
class GmmCellFit {
 public:
  GmmCellFit(const GmmCell& cell, const ScaledData& search, const ScaledData& full, const GmmControl& control,
             std::atomic<bool>& stop, Interrupt& interrupt, Progress& progress, int threads)
      : cell_(cell),
        search_(search),
        full_(full),
        control_(control),
        stop_(stop),
        watch_(stop, interrupt, progress) {
    execution_.threads = threads;
    execution_.interrupt = &watch_;
  }

  GmmFit fit(const std::vector<GmmStart>& starts) {
    GmmFit out;
    const bool subset = &search_ != &full_;
    std::vector<Run> runs;
    const bool screen = starts.size() > 1;
    for (const GmmStart& start : starts) {
      Run run;
      run.index = runs.size();
      run.result.method = start.method;
      auto model = cell_.model(search_, execution_);
      if (!cell_.start(*model, search_, start)) {
        run.result.status = Status::kDegenerate;
        run.result.degeneracy = model->degeneracy();
      } else {
        EmControl control = control_.em;
        if (screen) {
          control.max_iter = std::min(control.max_iter, std::min(control_.n_short, kFirstLook));
          run_once(*model, search_, control, "none", run);
        } else {
          run_once(*model, search_, control, control_.accelerator, run);
          run.result.polished = true;
        }
      }
      runs.push_back(std::move(run));
      if (stop_.load()) break;
    }
    if (screen) {
      const size_t wanted = static_cast<size_t>(std::max(1, control_.n_polish));
      const std::vector<size_t> order = ranking(runs);
      EmControl control = control_.em;
      control.max_iter = std::min(control.max_iter, control_.n_short);
      for (size_t i = 0; i < order.size() && i < std::max(wanted, (order.size() + 1) / 2); ++i)
        continue_run(runs[order[i]], search_, control, "none");
      polish(runs, search_, wanted);
    }
    Run* best = best_of(runs);
    if (subset && best && !stop_.load()) best = onto_all_rows(runs);
    for (const Run& run : runs) out.starts.push_back(run.result);
    if (!best) {
      for (const Run& run : runs)
        if (out.run.trace.empty() && !out.run.degeneracy) {
          out.run = run.run;
          out.run.status = run.result.status;
          out.run.degeneracy = run.result.degeneracy;
        }
      if (stop_.load()) out.run.status = Status::kInterrupted;
      return out;
    }
    out.parameters = cell_.to_user(best->scaled, full_);
    out.run = best->run;
    out.fitted = true;
    finish(best->scaled, out);
    return out;
  }

 private:
  struct Run {
    size_t index = 0;
    GmmStartResult result;
    GmmParameters scaled;  // as the data of the run are: a way by the user's units would round
    EmResult run;
    bool alive = false;
  };

  // Runs the model on from where it stands; appends to what the run already holds.
  void run_once(GaussianMixture& model, const ScaledData& data, const EmControl& control,
                const std::string& accelerator, Run& run) {
    const std::unique_ptr<Accelerator> stepper = make_accelerator(accelerator);
    EmResult r = run_em(model, *stepper, control, watch_);
    for (TracePoint& t : r.trace) t.objective = cell_.to_user(t.objective, data);
    r.objective = cell_.to_user(r.objective, data);
    if (!run.run.trace.empty() && !r.trace.empty()) run.run.trace.pop_back();  // the same point, seen again
    r.trace.insert(r.trace.begin(), run.run.trace.begin(), run.run.trace.end());
    r.iterations += run.run.iterations;
    r.evaluations += run.run.evaluations;
    run.run = std::move(r);
    run.result.objective = run.run.objective;
    run.result.status = run.run.status;
    run.result.degeneracy = run.run.degeneracy;
    run.result.iterations = run.run.iterations;
    if (watch_.given_up()) run.result.status = Status::kMaxIter;
    run.alive = run.result.status != Status::kDegenerate && run.result.status != Status::kInterrupted;
    if (run.alive) run.scaled = cell_.scaled_parameters(model);
  }

  static std::vector<size_t> ranking(const std::vector<Run>& runs) {
    std::vector<size_t> order;
    for (size_t i = 0; i < runs.size(); ++i)
      if (runs[i].alive) order.push_back(i);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      const double va = runs[a].result.objective.value(), vb = runs[b].result.objective.value();
      return va != vb ? va > vb : a < b;
    });
    return order;
  }

  // Screened runs in order of their objective until `wanted` have been run to the end.
  void polish(std::vector<Run>& runs, const ScaledData& data, size_t wanted) {
    size_t done = 0;
    double best = -std::numeric_limits<double>::infinity();
    for (size_t i : ranking(runs)) {
      if (done == wanted || stop_.load()) break;
      watch_.race_against(best);
      continue_run(runs[i], data, control_.em, control_.accelerator);
      if (!runs[i].alive) continue;
      ++done;
      if (watch_.given_up()) continue;
      runs[i].result.polished = true;
      best = std::max(best, runs[i].result.objective.value() + data.log_jacobian());
    }
    watch_.race_against(-std::numeric_limits<double>::infinity());
  }

  // Runs on to the end that `control` sets.
  void continue_run(Run& run, const ScaledData& data, EmControl control, const std::string& accelerator) {
    if (run.run.status == Status::kConverged) return;
    control.max_iter -= run.run.iterations;
    if (control.max_iter <= 0) return;
    auto model = cell_.model(data, execution_);
    if (!cell_.set_scaled_parameters(*model, run.scaled)) {
      run.alive = false;
      run.result.status = Status::kDegenerate;
      run.result.degeneracy = model->degeneracy();
      return;
    }
    run_once(*model, data, control, accelerator, run);
  }

  static Run* best_of(std::vector<Run>& runs) {
    Run* best = nullptr;
    for (Run& run : runs)
      if (run.alive && run.result.polished && (!best || better(run.result, best->result))) best = &run;
    return best;
  }

  // Objectives on a subset cannot be compared with those on all rows: only the runs that were carried over count.
  Run* onto_all_rows(std::vector<Run>& runs) {
    std::vector<Run*> candidates;
    for (Run& run : runs)
      if (run.alive && run.result.polished) candidates.push_back(&run);
    std::sort(candidates.begin(), candidates.end(), [](const Run* a, const Run* b) {
      return better(a->result, b->result) || (!better(b->result, a->result) && a->index < b->index);
    });
    Run* best = nullptr;
    size_t carried = 0;
    for (Run& run : runs)
      if (!run.result.polished) run.result.objective.loglik = std::numeric_limits<double>::quiet_NaN();
    double last = std::numeric_limits<double>::quiet_NaN();
    for (Run* run : candidates) {
      const double value = run->result.objective.value();
      run->result.objective.loglik = std::numeric_limits<double>::quiet_NaN();
      const bool again = std::abs(value - last) <= 1e-4 * (1.0 + std::abs(value));
      run->result.polished = false;
      run->result.status = Status::kMaxIter;
      if (carried == 2 || again || stop_.load()) continue;
      last = value;
      run->run = EmResult();
      auto model = cell_.model(full_, execution_);
      if (!cell_.set_parameters(*model, full_, cell_.to_user(run->scaled, search_))) continue;
      run_once(*model, full_, control_.em, control_.accelerator, *run);
      run->result.polished = true;
      if (!run->alive) continue;
      ++carried;
      if (!best || better(run->result, best->result)) best = run;
    }
    return best;
  }

  // What is reported of the best fit, made at its parameters.
  void finish(const GmmParameters& scaled, GmmFit& out) {
    auto model = cell_.model(full_, execution_);
    if (!cell_.set_scaled_parameters(*model, scaled)) return;
    const Observations& data = full_.observations();
    const size_t n_chunks = data.n_chunks(), n_components = model->n_components();
    std::vector<double> entropy(n_chunks, 0.0);
    MatrixXd sizes = MatrixXd::Zero(static_cast<Index>(n_components), static_cast<Index>(n_chunks));
    model->for_each_row([&](const Pattern&, size_t begin, size_t end, const Tile& tile, const SweepSpace& space) {
      const size_t chunk = begin / data.chunk_rows();
      for (size_t i = begin; i < end; ++i) {
        const double w = data.raw().weights ? data.raw().weights[data.row(i)] : 1.0;
        double top = 0.0;
        for (size_t k = 0; k < n_components; ++k) {
          const double z = space.joint[k * tile.stride + (i - begin)];
          top = std::max(top, z);
          sizes(static_cast<Index>(k), static_cast<Index>(chunk)) += w * z;
        }
        if (w > 0.0) entropy[chunk] += w * std::log(top);
      }
    });
    for (double e : entropy) out.map_entropy += e;
    out.sizes = sizes.rowwise().sum();
    const GaussianReference reference = full_.reference(true);
    out.relative_variance.resize(static_cast<Index>(cell_.n_components()));
    MatrixXd total = reference.variance.asDiagonal();
    // Not where it is singular: fewer rows than columns.
    if (reference.scatter.size() > 0 &&
        Eigen::FullPivLU<MatrixXd>(reference.scatter).setThreshold(kSingular).isInvertible())
      total = reference.scatter / reference.total_weight;
    for (size_t k = 0; k < cell_.n_components(); ++k) {
      Eigen::GeneralizedSelfAdjointEigenSolver<MatrixXd> solver(model->emission().covariance(k), total,
                                                                Eigen::EigenvaluesOnly | Eigen::Ax_lBx);
      out.relative_variance(static_cast<Index>(k)) = solver.eigenvalues()(0);
    }
  }

  static constexpr double kSingular = 1e-12;
  static constexpr int kFirstLook = 5;  // iterations after which the worse half of the starts is dropped

  const GmmCell& cell_;
  const ScaledData& search_;
  const ScaledData& full_;
  const GmmControl& control_;
  std::atomic<bool>& stop_;
  RunWatch watch_;
  Execution execution_;
};

}  // namespace emkit
