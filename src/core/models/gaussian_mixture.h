// Fitting Gaussian mixtures: one covariance structure and number of components (a cell) from several starts, and grids
// of cells. Everything here speaks the user's units at its edges and scaled units inside.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../em/driver.h"
#include "../emission/gaussian.h"
#include "../parallel/progress.h"
#include "latent_class.h"
#include "starts.h"

namespace emkit {

struct GmmParameters {
  VectorXd proportions;               // K, or K + 1 with noise last
  MatrixXd means;                     // d x K
  std::vector<MatrixXd> covariances;  // K of d x d
};

// What all cells of a grid share.
struct GmmOptions {
  bool equal_proportions = false;
  std::vector<double> fixed_proportions;   // NaN where free
  std::vector<double> noise_log_sides;     // user units; empty: no noise component
  double noise_start = 0.05;               // its first proportion where the start does not give one
  std::vector<unsigned char> noise_rows;   // n or empty: rows that a random start calls noise
  std::shared_ptr<const GaussianPrior> prior;   // user units
  bool prior_scale_by_size = false;        // the scale is the data's covariance, to be shared out over K components
  std::vector<bool> fixed_mean, fixed_covariance;
  GmmParameters fixed;                     // where fixed, user units
  bool collapse_guard = true;              // see GaussianOptions
};

using GaussianMixture = LatentClass<GaussianEmission>;

// Data in one scaling, with what a fit needs to know of them.
class ScaledData {
 public:
  ScaledData(const RawData& raw, const ColumnMoments& moments, bool column_scaling, int threads)
      : observations_(raw, moments.mean, scales(moments, column_scaling)),
        reference_(reference_of(observations_, moments, threads)),
        log_jacobian_(observations_.log_jacobian()) {}

  const Observations& observations() const { return observations_; }
  double log_jacobian() const { return log_jacobian_; }
  double log_scale(size_t j) const { return std::log(observations_.scale()[j]); }
  double total_log_scale() const {
    double s = 0.0;
    for (size_t j = 0; j < observations_.d(); ++j) s += log_scale(j);
    return s;
  }

  GaussianReference reference(bool with_scatter) const {
    GaussianReference r = reference_;
    if (!with_scatter) r.scatter.resize(0, 0);
    return r;
  }

  VectorXd to_scaled_mean(const VectorXd& m) const { return (m - center()).cwiseQuotient(scale()); }
  VectorXd to_user_mean(const VectorXd& m) const { return center() + scale().cwiseProduct(m); }
  MatrixXd to_scaled_covariance(const MatrixXd& s) const {
    const VectorXd inverse = scale().cwiseInverse();
    return inverse.asDiagonal() * s * inverse.asDiagonal();
  }
  MatrixXd to_user_covariance(const MatrixXd& s) const { return scale().asDiagonal() * s * scale().asDiagonal(); }

  // The reference of the data's own moments; with the total scatter (about 0) when they are complete.
  static GaussianReference reference_of(const Observations& data, const ColumnMoments& moments, int threads) {
    const size_t d = data.d();
    GaussianReference r;
    r.variance.resize(static_cast<Index>(d));
    for (size_t j = 0; j < d; ++j) {
      const double sd = moments.sd[j] / data.scale()[j];
      r.variance(static_cast<Index>(j)) = sd * sd;
    }
    if (!data.has_missing()) total_scatter(data, threads, r);
    return r;
  }

 private:
  // Structures that are closed under a change of one column's units see every column with variance 1; the others see all
  // columns divided by one number, the geometric mean of the standard deviations.
  static std::vector<double> scales(const ColumnMoments& moments, bool column_scaling) {
    if (column_scaling) return moments.sd;
    double s = 0.0;
    for (double v : moments.sd) s += std::log(v);
    return std::vector<double>(moments.sd.size(), std::exp(s / static_cast<double>(moments.sd.size())));
  }

  Eigen::Map<const VectorXd> center() const { return map(observations_.center()); }
  Eigen::Map<const VectorXd> scale() const { return map(observations_.scale()); }
  static Eigen::Map<const VectorXd> map(const std::vector<double>& v) {
    return Eigen::Map<const VectorXd>(v.data(), static_cast<Index>(v.size()));
  }

  static void total_scatter(const Observations& data, int threads, GaussianReference& reference) {
    const size_t d = data.d(), size = 1 + d + packed_size(d), rows = Observations::kBlockRows;
    const size_t n_chunks = data.n_chunks();
    std::vector<double> partial(size * n_chunks, 0.0), total(size, 0.0);
    parallel_tasks(n_chunks, threads, [&](size_t chunk) {
      AlignedBuffer tile(d * rows), residual(d * rows), weight(rows), wide(size * kWide), origin(d);
      const size_t end = data.chunk_end(chunk);
      for (size_t begin = data.chunk_begin(chunk); begin < end; begin += rows) {
        const size_t padded =
            data.load_tile(data.patterns()[0], begin, std::min(begin + rows, end), tile.data(), weight.data());
        kernels().accumulate_scatter(tile.data(), rows, padded, d, origin.data(), weight.data(), residual.data(),
                                     wide.data());
      }
      kernels().fold_wide(wide.data(), size, partial.data() + chunk * size);
    });
    for (size_t chunk = 0; chunk < n_chunks; ++chunk)
      for (size_t i = 0; i < size; ++i) total[i] += partial[chunk * size + i];
    const MatrixXd lower = unpack_lower(total.data() + 1 + d, d);
    reference.scatter = lower + MatrixXd(lower.triangularView<Eigen::StrictlyLower>()).transpose();
    reference.total_weight = total[0];
  }

  Observations observations_;
  GaussianReference reference_;
  double log_jacobian_;
};

// The data of a grid in both scalings, made when first needed.
class GmmData {
 public:
  GmmData(const RawData& raw, ColumnMoments moments, int threads)
      : raw_(raw), moments_(std::move(moments)), threads_(threads) {}

  const ScaledData& scaled(bool column_scaling) {
    std::unique_ptr<ScaledData>& slot = column_scaling ? by_column_ : common_;
    if (!slot) slot.reset(new ScaledData(raw_, moments_, column_scaling, threads_));
    return *slot;
  }
  // For reading from several threads, once made.
  const ScaledData& made(bool column_scaling) const { return column_scaling ? *by_column_ : *common_; }
  const ScaledData& made_any() const { return by_column_ ? *by_column_ : *common_; }
  const RawData& raw() const { return raw_; }
  const ColumnMoments& moments() const { return moments_; }

 private:
  RawData raw_;
  ColumnMoments moments_;
  int threads_;
  std::unique_ptr<ScaledData> by_column_, common_;
};

// Where a run starts.
struct GmmStart {
  enum class Kind { kParameters, kPosterior, kPartition, kKmeans, kKmeansWhitened, kRandom };
  Kind kind = Kind::kKmeans;
  std::string method;                 // as the table of starts names it
  GmmParameters parameters;           // kParameters, user units
  const double* posterior = nullptr;  // kPosterior: n x (K or K + 1), column-major
  size_t posterior_columns = 0;
  std::vector<int> partition;         // kPartition: n labels from 0; -1: no say
  std::uint64_t stream = 0;           // of the random ones
};

struct GmmStartResult {
  std::string method;
  Objective objective;
  Status status = Status::kMaxIter;
  Degeneracy degeneracy;
  int iterations = 0;
  bool polished = false;   // run to the end, not only screened
};

struct GmmFit {
  GmmParameters parameters;           // user units
  EmResult run;                       // of the best start, objective in user units
  std::vector<GmmStartResult> starts;
  double map_entropy = 0.0;           // sum_i w_i log max_k z_ik
  VectorXd sizes;                     // posterior size of each component
  VectorXd relative_variance;         // K: least variance of a component relative to the data's, over directions
  bool fitted = false;
};

struct GmmControl {
  EmControl em;
  std::string accelerator = "anderson";
  int n_short = 15;                   // plain steps of the screening run of each start
  int n_polish = 3;                   // the best that are run to the end
  std::uint64_t key = 0;              // of the random starts
};

// Ends a run when the shared flag is set, and sets it when the user interrupts (an Interrupt answers only the thread that
// may ask).
class RunWatch final : public Observer, public Interrupt {
 public:
  RunWatch(std::atomic<bool>& stop, Interrupt& interrupt, Progress& progress)
      : stop_(stop), interrupt_(interrupt), progress_(progress) {}
  bool step(int iteration, const Objective& objective) override {
    progress_.iterations.fetch_add(1, std::memory_order_relaxed);
    return pending() || hopeless(iteration, objective.value());
  }
  bool stopped() const override { return stop_.load(std::memory_order_relaxed); }
  bool pending() override {
    if (interrupt_.pending()) stop_.store(true);
    return stopped();
  }

  // From here on a run is given up that would not come up to `objective` in a thousand iterations at its present speed.
  // Some starts end near saddle points, where EM crawls.
  void race_against(double objective) {
    to_beat_ = objective;
    checked_ = -std::numeric_limits<double>::infinity();
  }
  bool given_up() const { return given_up_; }

 private:
  bool hopeless(int iteration, double value) {
    given_up_ = false;
    if (iteration == 0 || iteration % kCheckEvery != 0) return false;
    const double gain = value - checked_;
    checked_ = value;
    given_up_ = value + kPatience * gain < to_beat_;
    return given_up_;
  }

  static constexpr int kCheckEvery = 25;
  static constexpr double kPatience = 40.0;

  std::atomic<bool>& stop_;
  Interrupt& interrupt_;
  Progress& progress_;
  double to_beat_ = -std::numeric_limits<double>::infinity();
  double checked_ = -std::numeric_limits<double>::infinity();
  bool given_up_ = false;
};

// One cell: a covariance structure and a number of components.
class GmmCell {
 public:
  GmmCell(const CovarianceEntry& entry, size_t n_components, const GmmOptions& options)
      : entry_(entry), k_(n_components), options_(options) {}

  // A model of the cell on scaled data, without parameters yet.
  std::unique_ptr<GaussianMixture> model(const ScaledData& data, const Execution& execution) const {
    const bool noise = !options_.noise_log_sides.empty();
    GaussianOptions g;
    const size_t d = data.observations().d();
    if (noise)
      for (size_t j = 0; j < d; ++j) g.noise_log_sides.push_back(options_.noise_log_sides[j] - data.log_scale(j));
    if (options_.prior) {
      auto prior = std::make_shared<GaussianPrior>(*options_.prior);
      prior->mean = data.to_scaled_mean(prior->mean);
      prior->scale = data.to_scaled_covariance(prior->scale);
      // K balls of equal volume that fill the volume of one.
      if (options_.prior_scale_by_size)
        prior->scale *= std::pow(static_cast<double>(k_), -2.0 / static_cast<double>(d));
      g.prior = prior;
    }
    g.fixed_mean = options_.fixed_mean;
    g.fixed_covariance = options_.fixed_covariance;
    g.collapse_guard = options_.collapse_guard;
    IndependentOptions l;
    l.equal = options_.equal_proportions;
    l.noise = noise;
    l.fixed = options_.fixed_proportions;
    const bool scatter = !noise && !data.observations().has_missing();
    return std::unique_ptr<GaussianMixture>(
        new GaussianMixture(data.observations(), Independent(k_ + (noise ? 1 : 0), l),
                            GaussianEmission(entry_, d, k_, data.reference(scatter), g), execution));
  }

  // False when the start has no M-step.
  bool start(GaussianMixture& model, const ScaledData& data, const GmmStart& start) const {
    bool usable = false;
    switch (start.kind) {
      case GmmStart::Kind::kParameters: {
        return set_parameters(model, data, start.parameters);
      }
      case GmmStart::Kind::kPosterior: {
        const size_t n = data.observations().raw().n;
        usable = model.start_from_posterior([&](size_t row, size_t k) {
          return k < start.posterior_columns ? start.posterior[k * n + row] : 0.0;
        });
        break;
      }
      default: {
        usable = model.start_from_posterior(
            [&](size_t row, size_t k) { return start.partition[row] == static_cast<int>(k) ? 1.0 : 0.0; });
      }
    }
    if (!usable) return false;
    if (!options_.noise_log_sides.empty()) {
      VectorXd p = model.latent().proportions();
      const Index last = p.size() - 1;
      if (!(p(last) > 0.0)) {
        p *= 1.0 - options_.noise_start;
        p(last) = options_.noise_start;
        model.latent().set_proportions(p);
      }
    }
    return apply_fixed(model, data);
  }

  // In the user's units; fixed ones take the place of those given.
  bool set_parameters(GaussianMixture& model, const ScaledData& data, const GmmParameters& p) const {
    GmmParameters scaled;
    scaled.proportions = p.proportions;
    scaled.means.resize(p.means.rows(), p.means.cols());
    for (size_t k = 0; k < k_; ++k) {
      const Index at = static_cast<Index>(k);
      const bool fixed_mean = !options_.fixed_mean.empty() && options_.fixed_mean[k];
      const bool fixed_cov = !options_.fixed_covariance.empty() && options_.fixed_covariance[k];
      scaled.means.col(at) = data.to_scaled_mean(fixed_mean ? options_.fixed.means.col(at) : p.means.col(at));
      scaled.covariances.push_back(
          data.to_scaled_covariance(fixed_cov ? options_.fixed.covariances[k] : p.covariances[k]));
    }
    return set_scaled_parameters(model, scaled);
  }

  bool set_scaled_parameters(GaussianMixture& model, const GmmParameters& p) const {
    if (!options_.fixed_proportions.empty() || options_.equal_proportions)
      model.latent().m_step(p.proportions);
    else
      model.latent().set_proportions(p.proportions);
    // The counts only weigh covariances that the structure has to bring together.
    const VectorXd counts = model.latent().proportions().head(static_cast<Index>(k_)).cwiseMax(kSmallestShare);
    return model.emission().set_parameters(p.means, p.covariances, counts);
  }

  GmmParameters scaled_parameters(const GaussianMixture& model) const {
    GmmParameters p;
    p.proportions = model.latent().proportions();
    p.means = model.emission().means();
    for (size_t k = 0; k < k_; ++k) p.covariances.push_back(model.emission().covariance(k));
    return p;
  }

  GmmParameters to_user(const GmmParameters& scaled, const ScaledData& data) const {
    GmmParameters p = scaled;
    for (size_t k = 0; k < k_; ++k) {
      p.means.col(static_cast<Index>(k)) = data.to_user_mean(scaled.means.col(static_cast<Index>(k)));
      p.covariances[k] = data.to_user_covariance(scaled.covariances[k]);
    }
    return p;
  }

  // The objective of the scaled data in the user's units.
  Objective to_user(Objective o, const ScaledData& data) const {
    o.loglik -= data.log_jacobian();
    if (options_.prior) {
      const double d = static_cast<double>(data.observations().d()), k = static_cast<double>(k_);
      const double wishart = (options_.prior->df + d + 1.0) * (is_pooled(entry_.form) ? 1.0 : k);
      o.log_prior -= data.total_log_scale() * ((options_.prior->shrinkage > 0.0 ? k : 0.0) + wishart);
    }
    return o;
  }

  const CovarianceEntry& entry() const { return entry_; }
  size_t n_components() const { return k_; }

 private:
  // A start from posteriors knows nothing of fixed parameters: put them in.
  bool apply_fixed(GaussianMixture& model, const ScaledData& data) const {
    if (options_.fixed_mean.empty() && options_.fixed_covariance.empty()) return true;
    return set_parameters(model, data, to_user(scaled_parameters(model), data));
  }

  static constexpr double kSmallestShare = 1e-6;

  const CovarianceEntry& entry_;
  size_t k_;
  const GmmOptions& options_;
};

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
    if (reference.scatter.size() > 0) total = reference.scatter / reference.total_weight;
    for (size_t k = 0; k < cell_.n_components(); ++k) {
      Eigen::GeneralizedSelfAdjointEigenSolver<MatrixXd> solver(model->emission().covariance(k), total,
                                                                Eigen::EigenvaluesOnly | Eigen::Ax_lBx);
      out.relative_variance(static_cast<Index>(k)) = solver.eigenvalues()(0);
    }
  }

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
