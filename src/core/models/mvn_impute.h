// Multiple imputation under a normal distribution.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../em/run_watch.h"
#include "mvn_fit.h"
#include "mvn_posterior.h"
#include "mvn_rows.h"

namespace emkit {

// The missing cells of a data set: where each column's are, and which patterns its rows have (rows that observe nothing
// included).
class ImputedCells {
 public:
  // `priors` sorted by row.
  ImputedCells(const RawData& raw, const std::vector<CellPrior>& priors) : slot_(raw.d), count_(raw.d, 0), priors_(priors) {
    const ObservedBits bits(raw.x, raw.n, raw.d);
    groups_ = group_rows_by_pattern(bits, raw.d, raw.n, [](size_t i) { return i; },
                                    [&](size_t i) { return !complete_row(bits, i, raw.d); });
    std::vector<unsigned char> incomplete(raw.d, 0);
    for (const Pattern& p : groups_.patterns)
      for (size_t j : p.missing) incomplete[j] = 1;
    for (size_t j = 0; j < raw.d; ++j) {
      if (!incomplete[j]) continue;
      slot_[j].assign(raw.n, 0);
      for (size_t i = 0; i < raw.n; ++i)
        if (!bits.observed(i, j)) slot_[j][i] = static_cast<std::uint32_t>(count_[j]++);
    }
  }

  const RowGroups& groups() const { return groups_; }
  size_t count(size_t column) const { return count_[column]; }
  size_t slot(size_t column, size_t row) const { return slot_[column][row]; }

  const CellPrior* priors(size_t row, size_t& count) const {
    count = 0;
    const auto before = [](const CellPrior& a, size_t r) { return a.row < r; };
    auto it = std::lower_bound(priors_.begin(), priors_.end(), row, before);
    const CellPrior* first = priors_.data() + (it - priors_.begin());
    for (; it != priors_.end() && it->row == row; ++it) ++count;
    return first;
  }

 private:
  static bool complete_row(const ObservedBits& bits, size_t i, size_t d) {
    for (size_t j = 0; j < d; ++j)
      if (!bits.observed(i, j)) return false;
    return true;
  }

  RowGroups groups_;
  std::vector<std::vector<std::uint32_t>> slot_;  // row -> position among the column's missing cells
  std::vector<size_t> count_;
  std::vector<CellPrior> priors_;
};

enum class ImputeMethod { kPosterior, kBootstrap, kMean };

struct ImputePlan {
  ImputeMethod method = ImputeMethod::kPosterior;
  size_t m = 1;
  size_t first = 0;     // number of the first imputation: imputation i is a function of the key and i alone
  int spacing = 10;     // steps of data augmentation from the mode to each imputation
  size_t n_traced = 0;  // of so many chains every step is recorded
  std::uint64_t key = 0;
  CellBounds bounds;    // scaled
};

// `status`: kDegenerate when the chain met a singular matrix (or no bootstrap sample had a maximum) and the parameters are
// the last ones before it.
struct Imputed {
  VectorXd mean;
  MatrixXd covariance;
  Status status = Status::kConverged;
  bool retried = false;          // a bootstrap sample without a maximum was drawn again
  std::vector<VectorXd> trace;   // per step: means, then variances (scaled)
};

class MvnImputer {
 public:
  // Everything scaled. `posterior_prior`: see DataAugmentation; `em_prior`: of bootstrap fits.
  MvnImputer(const Observations& data, const PatternStatistics& statistics, const ImputedCells& cells,
             const MvnPrior& posterior_prior, const MvnPrior& em_prior, const MvnControl& control, const ImputePlan& plan,
             const MvnPoint& mode, Interrupt& interrupt, Progress& progress)
      : data_(data),
        statistics_(statistics),
        cells_(cells),
        posterior_prior_(posterior_prior),
        em_prior_(em_prior),
        control_(control),
        plan_(plan),
        mode_(mode),
        interrupt_(interrupt),
        progress_(progress) {
    const std::vector<size_t> order = MonotoneFactorisation::order(statistics);
    monotone_ = !order.empty() && posterior_prior.scale.size() == 0 && factorisation_.fit(statistics, order);
  }

  bool monotone() const { return monotone_; }
  bool stopped() const { return stop_.load(); }

  // values[j]: for column j, count(j) x m (null where the column is complete), in the user's units.
  std::vector<Imputed> run(const std::vector<double*>& values, int threads) {
    std::vector<Imputed> out(plan_.m);
    progress_.total = plan_.m;
    parallel_tasks(plan_.m, threads, [&](size_t i) {
      if (stop_.load()) return;
      out[i] = parameters(plan_.first + i);
      if (out[i].status == Status::kInterrupted) return;
      // Parameters that cannot be drawn from are the last thing to happen; the mode always can.
      if (!fill(plan_.first + i, i, out[i], values)) {
        out[i].status = Status::kDegenerate;
        out[i].mean = mode_.mean;
        out[i].covariance = mode_.covariance;
        fill(plan_.first + i, i, out[i], values);
      }
      progress_.done.fetch_add(1);
      if (interrupt_.pending()) stop_.store(true);
    });
    return out;
  }

 private:
  // Parameters of imputation i are drawn from stream i, its rows from streams of their own.
  static std::uint64_t row_stream(size_t imputation, size_t row) {
    return static_cast<std::uint64_t>(imputation + 1) << 40 | static_cast<std::uint64_t>(row);
  }

  Imputed parameters(size_t number) {
    Imputed out;
    CounterRng rng(plan_.key, number);
    MvnPoint point = mode_;
    if (plan_.method == ImputeMethod::kPosterior)
      posterior(number, rng, point, out);
    else if (plan_.method == ImputeMethod::kBootstrap)
      bootstrap(rng, point, out);
    out.mean = point.mean;
    out.covariance = point.covariance;
    return out;
  }

  void posterior(size_t number, CounterRng& rng, MvnPoint& point, Imputed& out) {
    const bool traced = number - plan_.first < plan_.n_traced;
    if (monotone_) {
      if (!draw_monotone(factorisation_, posterior_prior_.exponent, rng, point)) out.status = Status::kDegenerate;
      return;
    }
    DataAugmentation chain(statistics_, posterior_prior_);
    for (int s = 0; s < plan_.spacing; ++s) {
      if (!chain.proper() || !chain.step(point, rng)) {
        out.status = Status::kDegenerate;
        return;
      }
      if (traced) {
        VectorXd t(2 * point.mean.size());
        t << point.mean, point.covariance.diagonal();
        out.trace.push_back(t);
      }
      if (s % 16 == 0 && watch_interrupt()) {
        out.status = Status::kInterrupted;
        return;
      }
    }
  }

  bool watch_interrupt() {
    if (interrupt_.pending()) stop_.store(true);
    return stop_.load();
  }

  // Rows drawn with replacement, as counts; from the mode EM needs few steps. A sample whose likelihood has no maximum is
  // drawn again, a few times.
  void bootstrap(CounterRng& rng, MvnPoint& point, Imputed& out) {
    const RawData& raw = data_.raw();
    std::vector<double> counts(raw.n);
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      std::fill(counts.begin(), counts.end(), 0.0);
      for (size_t i = 0; i < raw.n; ++i) counts[rng.below(raw.n)] += 1.0;
      const Observations sample = data_.with_weights(counts.data());
      const PatternStatistics statistics(sample, cell_priors(), 1);
      MvnMissing model(statistics, em_prior_, 1);
      if (!model.set_parameters(mode_.mean, mode_.covariance)) break;
      const std::unique_ptr<Accelerator> accelerator = make_accelerator(control_.accelerator);
      RunWatch watch(stop_, interrupt_, unseen_);
      const EmResult result = run_em(model, *accelerator, control_.em, watch);
      if (result.status == Status::kInterrupted) {
        out.status = Status::kInterrupted;
        return;
      }
      if (result.status != Status::kDegenerate) {
        point = model.state();
        return;
      }
      out.retried = true;
    }
    out.status = Status::kDegenerate;
  }

  std::vector<CellPrior> cell_priors() const {
    std::vector<CellPrior> out;
    for (const PatternGroup& g : statistics_.groups()) out.insert(out.end(), g.priors, g.priors + g.n_priors);
    std::stable_sort(out.begin(), out.end(), [](const CellPrior& a, const CellPrior& b) { return a.row < b.row; });
    return out;
  }

  // The missing cells of every row under the parameters.
  bool fill(size_t number, size_t column, const Imputed& parameters, const std::vector<double*>& values) {
    MvnPoint point;
    point.mean = parameters.mean;
    point.covariance = parameters.covariance;
    if (!point.factor()) return false;
    const RawData& raw = data_.raw();
    const size_t d = raw.d;
    PatternConditional conditional(d);
    std::vector<double> observed(d);
    PatternGroup group;
    group.n = 1.0;
    for (const Pattern& pattern : cells_.groups().patterns) {
      group.pattern = &pattern;
      group.priors = nullptr;
      group.n_priors = 0;
      bool ready = false;
      for (size_t position = pattern.begin; position < pattern.end; ++position) {
        const size_t row = cells_.groups().order[position];
        size_t n_priors = 0;
        const CellPrior* priors = cells_.priors(row, n_priors);
        if (!ready || n_priors > 0 || group.n_priors > 0) {
          group.priors = n_priors > 0 ? priors : nullptr;
          group.n_priors = n_priors;
          if (!conditional.prepare(point, group, &plan_.bounds)) return false;
          ready = true;
        }
        for (size_t l = 0; l < pattern.observed.size(); ++l) {
          const size_t j = pattern.observed[l];
          observed[l] = (raw.x[j * raw.n + row] - data_.center()[j]) / data_.scale()[j];
        }
        CounterRng rng(plan_.key, row_stream(number, row));
        const double* drawn = plan_.method == ImputeMethod::kMean ? conditional.mean(observed.data())
                                                                  : conditional.draw(observed.data(), rng);
        for (size_t i = 0; i < pattern.missing.size(); ++i) {
          const size_t j = pattern.missing[i];
          values[j][column * cells_.count(j) + cells_.slot(j, row)] = data_.center()[j] + data_.scale()[j] * drawn[i];
        }
      }
    }
    return true;
  }

  static constexpr int kAttempts = 20;

  const Observations& data_;
  const PatternStatistics& statistics_;
  const ImputedCells& cells_;
  MvnPrior posterior_prior_, em_prior_;
  MvnControl control_;
  const ImputePlan& plan_;
  MvnPoint mode_;
  Interrupt& interrupt_;
  Progress& progress_;
  Progress unseen_;
  MonotoneFactorisation factorisation_;
  bool monotone_ = false;
  std::atomic<bool> stop_{false};
};

}  // namespace emkit
