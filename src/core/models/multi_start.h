// Fitting a model from several starts: a short plain run from each, then the best ones to the end.
#pragma once
#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "../em/best_point.h"
#include "../em/run_watch.h"
#include "../parallel/reduce.h"

namespace emkit {

struct MultiStartControl {
  EmControl em;
  std::string accelerator;
  int n_short = 15;   // plain steps after which starts are compared
  int n_polish = 3;   // starts that are run to the end
  int threads = 1;
  bool by_start = false;  // threads share the starts, each run having one thread; else every run has them all
};

struct StartOutcome {
  std::string method;
  Objective objective{std::numeric_limits<double>::quiet_NaN(), 0.0};
  Status status = Status::kDegenerate;
  Degeneracy degeneracy;
  int iterations = 0;
  bool polished = false;
};

// Of two polished runs: ends regularly rather than in numerical trouble, and higher.
inline bool better(const StartOutcome& a, const StartOutcome& b) {
  const bool trouble_a = a.status == Status::kNonMonotone, trouble_b = b.status == Status::kNonMonotone;
  if (trouble_a != trouble_b) return trouble_b;
  return a.objective.value() > b.objective.value();
}

template <class Model>
struct MultiStartFit {
  bool fitted = false;
  typename Model::State state;  // of the best run, or of the last point of the first when none is fitted
  EmResult run;
  std::vector<StartOutcome> starts;
  std::vector<typename Model::State> states;  // where each start's run ended; of no use where that has no parameters
};

// make(threads) -> unique_ptr<Model>; begin(model, i) puts the model at start i, false when it has no parameters.
// Model::State copies what state() gives and set_state() takes: exactly the parameters.
template <class Model>
class MultiStart {
 public:
  MultiStart(const MultiStartControl& control, std::atomic<bool>& stop, Interrupt& interrupt, Progress& progress)
      : control_(control), stop_(stop), interrupt_(interrupt), progress_(progress) {}

  template <class Make, class Begin>
  MultiStartFit<Model> fit(const std::vector<std::string>& methods, const Make& make, const Begin& begin) {
    const size_t n = methods.size();
    std::vector<Run> runs(n);
    const bool screen = n > 1;
    EmControl first = control_.em;
    if (screen) first.max_iter = std::min(first.max_iter, std::min(control_.n_short, kFirstLook));
    each(n, [&](size_t i) {
      Run& run = runs[i];
      run.outcome.method = methods[i];
      const std::unique_ptr<Model> model = make(run_threads());
      if (!begin(*model, i)) {
        run.outcome.degeneracy = model->degeneracy();
        return;
      }
      advance(*model, first, screen ? "none" : control_.accelerator, kNothingToBeat, run);
      run.outcome.polished = !screen;
    });
    if (screen) {
      const size_t wanted = static_cast<size_t>(std::max(1, control_.n_polish));
      std::vector<size_t> order = ranking(runs);
      order.resize(std::min(order.size(), std::max(wanted, (order.size() + 1) / 2)));
      EmControl longer = control_.em;
      longer.max_iter = std::min(longer.max_iter, control_.n_short);
      each(order.size(), [&](size_t i) { resume(make, runs[order[i]], longer, "none", kNothingToBeat); });
      polish(make, runs, wanted);
    }
    return report(runs);
  }

 private:
  struct Run {
    StartOutcome outcome;
    typename Model::State state;
    EmResult em;
    bool alive = false, given_up = false;
  };

  static constexpr int kFirstLook = 5;  // steps after which the worse half of the starts is dropped
  static constexpr double kNothingToBeat = -std::numeric_limits<double>::infinity();

  int run_threads() const { return control_.by_start ? 1 : control_.threads; }

  template <class Task>
  void each(size_t n, const Task& task) {
    const auto guarded = [&](size_t i) {
      if (!stop_.load()) task(i);
    };
    parallel_tasks(n, control_.by_start ? control_.threads : 1, guarded);
  }

  // Runs the model on from where it stands and appends to what the run already holds.
  void advance(Model& model, const EmControl& control, const std::string& accelerator, double to_beat, Run& run) {
    RunWatch watch(stop_, interrupt_, progress_);
    watch.race_against(to_beat);
    const std::unique_ptr<Accelerator> stepper = make_accelerator(accelerator);
    typename Model::State end;
    EmResult r = run_to_best(model, *stepper, control, watch, end);
    if (!run.em.trace.empty() && !r.trace.empty()) run.em.trace.pop_back();  // the same point, seen again
    r.trace.insert(r.trace.begin(), run.em.trace.begin(), run.em.trace.end());
    r.iterations += run.em.iterations;
    r.evaluations += run.em.evaluations;
    run.em = std::move(r);
    run.outcome.objective = run.em.objective;
    run.outcome.status = run.em.status;
    run.outcome.degeneracy = run.em.degeneracy;
    run.outcome.iterations = run.em.iterations;
    run.given_up = watch.given_up();
    if (run.given_up) run.outcome.status = Status::kMaxIter;
    run.alive = run.outcome.status != Status::kDegenerate && run.outcome.status != Status::kInterrupted;
    if (run.alive) run.state = std::move(end);
  }

  template <class Make>
  void resume(const Make& make, Run& run, EmControl control, const std::string& accelerator, double to_beat) {
    if (!run.alive || run.em.status == Status::kConverged) return;
    control.max_iter -= run.em.iterations;
    if (control.max_iter <= 0) return;
    const std::unique_ptr<Model> model = make(run_threads());
    if (!model->set_state(run.state)) {
      run.alive = false;
      run.outcome.status = Status::kDegenerate;
      run.outcome.degeneracy = model->degeneracy();
      return;
    }
    advance(*model, control, accelerator, to_beat, run);
  }

  static double value(const Run& run) { return run.outcome.objective.value(); }

  static std::vector<size_t> ranking(const std::vector<Run>& runs) {
    std::vector<size_t> order;
    for (size_t i = 0; i < runs.size(); ++i)
      if (runs[i].alive) order.push_back(i);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return value(runs[a]) != value(runs[b]) ? value(runs[a]) > value(runs[b]) : a < b;
    });
    return order;
  }

  // The best run goes first, alone: the others then race against it, in any order, with the same end. A run that fails
  // gives its place to the next.
  template <class Make>
  void polish(const Make& make, std::vector<Run>& runs, size_t wanted) {
    double to_beat = kNothingToBeat;
    size_t done = 0;
    const std::vector<size_t> order = ranking(runs);
    for (size_t next = 0; next < order.size() && done < wanted && !stop_.load();) {
      const size_t batch = done == 0 ? 1 : std::min(wanted - done, order.size() - next);
      each(batch, [&](size_t i) {
        Run& run = runs[order[next + i]];
        resume(make, run, control_.em, control_.accelerator, to_beat);
        run.outcome.polished = run.alive && !run.given_up;
      });
      for (size_t i = 0; i < batch; ++i) {
        const Run& run = runs[order[next + i]];
        if (!run.alive) continue;
        ++done;
        if (run.outcome.polished) to_beat = std::max(to_beat, value(run));
      }
      next += batch;
    }
  }

  MultiStartFit<Model> report(std::vector<Run>& runs) {
    MultiStartFit<Model> out;
    const Run* best = nullptr;
    for (Run& run : runs) {
      out.starts.push_back(run.outcome);
      out.states.push_back(run.state);
      if (run.alive && run.outcome.polished && (!best || better(run.outcome, best->outcome))) best = &run;
    }
    if (best) {
      out.fitted = true;
      out.state = best->state;
      out.run = best->em;
      return out;
    }
    for (const Run& run : runs) {
      out.run = run.em;
      out.run.status = run.outcome.status;
      out.run.degeneracy = run.outcome.degeneracy;
      if (run.outcome.degeneracy) break;
    }
    if (stop_.load()) out.run.status = Status::kInterrupted;
    return out;
  }

  const MultiStartControl& control_;
  std::atomic<bool>& stop_;
  Interrupt& interrupt_;
  Progress& progress_;
};

}  // namespace emkit
