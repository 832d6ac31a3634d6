// The mode of the latent normal model by stochastic approximation EM (Delyon, Lavielle & Moulines 1999, Ann. Statist.
// 27, 94-128): the E-step's expectation over the limited coordinates is replaced by a Gibbs sweep, and the sufficient
// statistics are averaged with decreasing gain. Missing coordinates enter by their conditional mean and covariance,
// without noise. (Zhao & Udell 2020, KDD, 636-646, fit the same model with moments that ignore the dependence within a
// row.)
#pragma once
#include <atomic>
#include <cstdint>

#include "../parallel/progress.h"
#include "../parallel/reduce.h"
#include "latent_normal.h"

namespace emkit {

enum class LatentStatus { kConverged, kMaxIter, kSingular, kInterrupted };

inline const char* status_name(LatentStatus status) {
  switch (status) {
    case LatentStatus::kConverged:
      return "converged";
    case LatentStatus::kMaxIter:
      return "max_iter";
    case LatentStatus::kSingular:
      return "singular";
    case LatentStatus::kInterrupted:
      return "interrupted";
  }
  return "failed";
}

constexpr double kMostPrecise = 10000.0;

struct LatentFitControl {
  // Parameters are averaged over blocks of iterations, and blocks compared: `change` is the largest difference of a
  // mean, covariance or threshold, in standard errors of a mean of unit variance, 1 / sqrt(n); n is kMostPrecise at the
  // most.
  int block = 25;
  // Iterations with gain 1 come first: plain stochastic EM, which forgets the start at EM's rate. They end, after
  // `burn_in` of them at the least and `max_burn_in` at the most, when the change is below 0.5, or has stopped falling:
  // it is noise then.
  int burn_in = 50, max_burn_in = 300;
  int max_iter = 600;
  double tol = 0.2;               // converged when, with falling gain, the change is below it
  int rows_per_iteration = 1000;  // with fewer rows, several sweeps make an iteration
  // With more rows an iteration visits one of up to `max_batches` batches of at least this many, the next iteration the
  // next; the other rows count as of their last visit (Neal & Hinton 1998). A block visits every row several times.
  int rows_per_batch = 1000, max_batches = 10;
  // With twice as many rows or more, about this many are fitted first, by themselves: a start for all.
  int rows_first = 4000;
};

struct LatentTracePoint {
  int iteration;
  double gain, change, log_det;  // change: largest of this iteration, in the unit of `tol`
};

// The marginal start: thresholds from cumulative proportions, nominal means from log odds, no relations.
inline LatentParameters start_parameters(const LatentData& data) {
  const std::vector<LatentColumn>& columns = data.columns();
  LatentParameters p;
  p.thresholds.resize(columns.size());
  VectorXd mean = VectorXd::Zero(static_cast<Index>(data.d()));
  for (size_t c = 0; c < columns.size(); ++c) {
    const LatentColumn& column = columns[c];
    if (!column.discrete() || column.dims == 0) continue;
    std::vector<double> count(column.used.size(), 0.5);  // a half observation: no probability is 0
    double total = 0.5 * static_cast<double>(count.size());
    for (size_t i = 0; i < data.n(); ++i)
      if (data.level(i, c) != kLatentMissing) {
        count[static_cast<size_t>(data.level(i, c))] += data.weights()[i];
        total += data.weights()[i];
      }
    if (column.kind == LatentKind::kNominal) {
      for (size_t l = 1; l < count.size(); ++l)
        mean(static_cast<Index>(column.first + l - 1)) = std::log(count[l] / count[0]) / 1.8;
      continue;
    }
    std::vector<double>& t = p.thresholds[c];
    t.push_back(-kInfinity);
    double below = 0.0;
    for (size_t l = 0; l + 1 < count.size(); ++l) {
      below += count[l] / total;
      t.push_back(normal_quantile(below));
    }
    t.push_back(kInfinity);
    if (column.binary()) {
      mean(static_cast<Index>(column.first)) = -t[1];
      t[1] = 0.0;
    }
  }
  p.set(mean, independent_covariance(columns, data.d()));
  return p;
}

// One observation's worth of no relation; more where the data alone would not determine a covariance. The scatter of a
// coordinate with a scale of its own is also the prior precision of the slopes of the free blocks on it: a tenth of an
// observation keeps these finite when categories are separated (probit slopes of about 3 standard deviations) and
// hardly shrinks them.
inline LatentPrior default_prior(const std::vector<LatentColumn>& columns, size_t d, double n) {
  LatentPrior prior;
  const double extra = std::max(0.0, 2.0 * (static_cast<double>(d) + 1.0) - n);
  prior.df = 1.0 + extra;
  prior.scale = prior.df * independent_covariance(columns, d);
  for (const LatentColumn& c : columns)
    if (c.dims > 0 && !free_scale(c))
      prior.scale(static_cast<Index>(c.first), static_cast<Index>(c.first)) = 0.1 + extra;
  return prior;
}

class LatentFit {
 public:
  LatentFit(const LatentData& data, const std::vector<double>& weights, const LatentPrior& prior,
            const LatentParameters& start, const LatentFitControl& control, std::uint64_t key, std::uint64_t stream)
      : data_(data), weights_(weights), prior_(prior), control_(control), parameters_(start), moments_(data.d()) {
    for (double w : weights_) total_ += w;
    CounterRng rng(key, stream);
    start_latents(data_, parameters_, z_);
    const size_t n = data.n(), n_chunks = std::min<size_t>(256, std::max<size_t>(1, n / 64));
    const std::uint64_t chunk_key = rng.bits64();
    for (size_t k = 0; k < n_chunks; ++k)
      chunks_.emplace_back(data_, n * k / n_chunks, n * (k + 1) / n_chunks, CounterRng(chunk_key, k));
    for (const LatentColumn& c : data.columns()) scores_.push_back(empty_score(c));
    sweeps_ =
        n > 0 ? std::min(10, std::max(1, control.rows_per_iteration / static_cast<int>(std::min<size_t>(n, 1000000))))
              : 1;
    const size_t most = static_cast<size_t>(std::max(control.max_batches, 1)),
                 batch = static_cast<size_t>(std::max(control.rows_per_batch, 1)),
                 first = static_cast<size_t>(std::max(control.rows_first, 1));
    n_batches_ = std::max<size_t>(1, std::min({most, n / batch, n_chunks}));
    if (n >= 2 * first) first_stride_ = std::min(n / first, n_chunks);
  }

  void run(int threads, Interrupt& interrupt, Progress& progress, std::atomic<bool>& stop) {
    status_ = LatentStatus::kMaxIter;
    VectorXd block_sum, last_block;
    int in_block = 0, stage_began = 0;
    Stage stage = first_stride_ > 1 ? Stage::kFirstRows : Stage::kAllRows;
    progress.total = static_cast<size_t>(control_.max_iter);
    for (iterations_ = 0; iterations_ < control_.max_iter;) {
      if (interrupt.pending()) stop.store(true);
      if (stop.load()) {
        status_ = LatentStatus::kInterrupted;
        return;
      }
      const double gain = stage == Stage::kAveraging ? falling_gain(iterations_ - stage_began) : 1.0;
      const VectorXd before = packed();
      if (!step(gain, stage, threads)) {
        status_ = LatentStatus::kSingular;
        return;
      }
      ++iterations_;
      progress.done.store(static_cast<size_t>(iterations_));
      progress.iterations.fetch_add(1);
      const VectorXd now = packed();
      trace_.push_back({iterations_, gain, change(now, before), log_det()});
      if (in_block == 0) block_sum = VectorXd::Zero(now.size());
      block_sum += now;
      if (++in_block < control_.block) continue;
      const VectorXd block = block_sum / static_cast<double>(in_block);
      in_block = 0;
      const double previous = last_change_;
      last_change_ = last_block.size() > 0 ? change(block, last_block) : kInfinity;
      last_block = block;
      if (stage != Stage::kAveraging) {
        const bool flat = last_change_ < 0.5 || (std::isfinite(previous) && last_change_ > 0.7 * previous);
        const int length = iterations_ - stage_began;
        if ((flat && length >= control_.burn_in) || length >= control_.max_burn_in) {
          if (stage == Stage::kFirstRows) unpack(last_block);
          stage = stage == Stage::kFirstRows ? Stage::kAllRows : Stage::kAveraging;
          stage_began = iterations_;
          last_change_ = kInfinity;
          last_block.resize(0);
        }
      } else if (last_change_ < control_.tol) {
        status_ = LatentStatus::kConverged;
        break;
      }
    }
    // The average of the last block: its noise is less than the last iteration's. An average of covariances is one.
    if (last_block.size() > 0) unpack(last_block);
  }

  const LatentParameters& parameters() const { return parameters_; }
  LatentStatus status() const { return status_; }
  int iterations() const { return iterations_; }
  double last_change() const { return last_change_; }
  const std::vector<LatentTracePoint>& trace() const { return trace_; }
  // Negative Hessian of column c's free thresholds, for drawing them; 0 x 0 where there are none.
  MatrixXd threshold_information(size_t c) const {
    return data_.columns()[c].free_thresholds() ? scores_[c].free_information() : MatrixXd(0, 0);
  }
  double log_prior() const {
    if (!(prior_.df > 0.0)) return 0.0;
    const MatrixXd scatter = scatter_at_mode(data_.columns(), prior_, parameters_.precision);
    double value = -0.5 * prior_.df * log_det() - 0.5 * scatter.cwiseProduct(parameters_.precision).sum();
    // |alpha^2 S|^(-df / 2) at the most probable alpha.
    for (const LatentColumn& c : data_.columns())
      if (free_scale(c)) {
        const double p = static_cast<double>(c.dims), trace = block_trace(c, prior_, parameters_.precision);
        if (trace > 0.0) value -= 0.5 * prior_.df * p * std::log(trace / (prior_.df * p));
      }
    return value;
  }

 private:
  static ThresholdScore empty_score(const LatentColumn& c) {
    return ThresholdScore(c.free_thresholds() ? c.used.size() - 1 : 0);
  }

  // A fixed range of rows with its own stream and sums.
  struct Chunk {
    Chunk(const LatentData& data, size_t begin_, size_t end_, CounterRng rng_)
        : begin(begin_),
          end(end_),
          rng(rng_),
          sweep(data),
          moments(data.d()),
          pending(VectorXd::Ones(static_cast<Index>(data.d()))) {
      for (const LatentColumn& c : data.columns()) scores.push_back(empty_score(c));
    }
    size_t begin, end;
    CounterRng rng;
    LatentSweep sweep;
    LatentMoments moments;  // of its last visit
    std::vector<ThresholdScore> scores;
    bool visited = false;
    VectorXd pending;     // D: factors that its latent values have yet to be multiplied by
    double weight = 0.0;  // of its rows, times the sweeps
    bool failed = false;
  };

  // Gain 1 and some of the rows; gain 1; falling gain.
  enum class Stage { kFirstRows, kAllRows, kAveraging };

  // (t + 1)^(-2/3) at the t-th pass through the rows, as a gain of each of its iterations.
  double falling_gain(int iteration) const {
    const double batches = static_cast<double>(n_batches_);
    const double window = std::pow(static_cast<double>(iteration) / batches + 1.0, 2.0 / 3.0);
    return 1.0 / (1.0 + batches * (window - 1.0));
  }

  void visit(Chunk& chunk) {
    rescale_latents(chunk.pending,
                    z_.middleCols(static_cast<Index>(chunk.begin), static_cast<Index>(chunk.end - chunk.begin)));
    chunk.pending.setOnes();
    chunk.weight = 0.0;
    // Rows that come late should not take the parameters back to the start.
    const int settle = first_stride_ > 1 && !chunk.visited ? 10 : 0;
    chunk.visited = true;
    chunk.moments.clear();
    for (ThresholdScore& s : chunk.scores) s.clear();
    for (const LatentPattern& pattern : data_.patterns()) {
      const size_t begin = std::max(pattern.begin, chunk.begin), end = std::min(pattern.end, chunk.end);
      if (begin >= end) continue;
      if (!chunk.sweep.prepare(parameters_, pattern)) {
        chunk.failed = true;
        return;
      }
      double weight = 0.0;
      const auto counts = [&](size_t i) { return weights_[i] > 0.0; };
      in_groups<LatentSweep::kLanes>(begin, end, counts, [&](const size_t* rows, size_t count) {
        for (int s = 0; s < settle; ++s) chunk.sweep.draw_limited(rows, count, z_.data(), chunk.rng);
        for (int s = 0; s < sweeps_; ++s) {
          chunk.sweep.draw_limited(rows, count, z_.data(), chunk.rng, &chunk.scores, weights_.data());
          for (size_t r = 0; r < count; ++r) {
            double* z = z_.data() + rows[r] * data_.d();
            chunk.sweep.fill_missing(z, chunk.rng, FillMissing::kMean);
            chunk.moments.add_row(z, weights_[rows[r]]);
            weight += weights_[rows[r]];
          }
        }
      });
      if (!pattern.missing.empty())
        chunk.moments.add_covariance(pattern.missing, chunk.sweep.missing_covariance(), weight);
      chunk.weight += weight;
    }
    chunk.moments.flush();
  }

  bool step(double gain, Stage stage, int threads) {
    // The chunks begin, begin + stride, ...
    const size_t stride = stage == Stage::kFirstRows ? first_stride_ : n_batches_;
    const size_t begin = stage == Stage::kFirstRows ? 0 : static_cast<size_t>(iterations_) % n_batches_;
    parallel_tasks((chunks_.size() - begin + stride - 1) / stride, threads,
                   [&](size_t k) { visit(chunks_[begin + k * stride]); });
    LatentMoments now(data_.d());
    std::vector<ThresholdScore> scores;
    for (const LatentColumn& c : data_.columns()) scores.push_back(empty_score(c));
    double weight = 0.0;
    for (const Chunk& chunk : chunks_) {
      if (chunk.failed) return false;
      weight += chunk.weight;
      now.add(chunk.moments);
      for (size_t c = 0; c < scores.size(); ++c) scores[c].add(chunk.scores[c]);
    }
    // Rows not yet visited: in proportion.
    const double share = total_ / weight;
    if (!std::isfinite(share)) return false;
    moments_.sum += gain * (share * now.sum - moments_.sum);
    moments_.cross += gain * (share * now.cross - moments_.cross);
    for (size_t c = 0; c < scores.size(); ++c) {
      if (!data_.columns()[c].free_thresholds()) continue;
      ThresholdScore scaled(static_cast<size_t>(scores[c].score.size()));
      scaled.blend(scores[c], share);
      scores_[c].blend(scaled, gain);
      move_thresholds(parameters_.thresholds[c], scaled.score, scores_[c], gain);
    }
    const VectorXd mean = moments_.sum / total_;
    const MatrixXd prior_scatter = scatter_at_mode(data_.columns(), prior_, parameters_.precision);
    const MatrixXd covariance = (moments_.scatter(total_) + prior_scatter) / (total_ + prior_.df);
    const VectorXd f = unit_factors(data_.columns(), covariance);
    if (!parameters_.set(f.cwiseProduct(mean), f.asDiagonal() * covariance * f.asDiagonal())) return false;
    moments_.rescale(f);
    for (Chunk& chunk : chunks_) {
      chunk.moments.rescale(f);
      chunk.pending = chunk.pending.cwiseProduct(f);
    }
    return true;
  }

  // A Newton step of Robbins-Monro's kind on the inner thresholds, shortened until they rise.
  static void move_thresholds(std::vector<double>& t, const VectorXd& score, const ThresholdScore& average,
                              double gain) {
    const Index k = score.size() - 2;
    MatrixXd h = average.free_information();
    const double ridge = 1e-6 * (1.0 + h.diagonal().maxCoeff());
    h.diagonal().array() += ridge;
    const Eigen::LLT<MatrixXd> llt(h);
    if (llt.info() != Eigen::Success) return;
    VectorXd move = gain * llt.solve(score.segment(1, k));
    if (!move.allFinite()) return;
    std::vector<double> next = t;
    for (int halving = 0; halving < 20; ++halving) {
      for (Index i = 0; i < k; ++i) next[static_cast<size_t>(i) + 2] = t[static_cast<size_t>(i) + 2] + move(i);
      if (is_rising(next)) {
        t = next;
        return;
      }
      move *= 0.5;
    }
  }

  // Mean, lower triangle of the covariance, inner thresholds.
  VectorXd packed() const {
    const Index d = static_cast<Index>(data_.d());
    std::vector<double> out(parameters_.mean.data(), parameters_.mean.data() + d);
    for (Index j = 0; j < d; ++j)
      for (Index l = j; l < d; ++l) out.push_back(parameters_.covariance(l, j));
    for (const std::vector<double>& t : parameters_.thresholds)
      for (size_t k = 1; k + 1 < t.size(); ++k) out.push_back(t[k]);
    return Eigen::Map<const VectorXd>(out.data(), static_cast<Index>(out.size()));
  }

  void unpack(const VectorXd& v) {
    const Index d = static_cast<Index>(data_.d());
    MatrixXd s(d, d);
    Index at = d;
    for (Index j = 0; j < d; ++j)
      for (Index l = j; l < d; ++l) s(l, j) = s(j, l) = v(at++);
    for (std::vector<double>& t : parameters_.thresholds)
      for (size_t k = 1; k + 1 < t.size(); ++k) t[k] = v(at++);
    const VectorXd f = unit_factors(data_.columns(), s);
    parameters_.set(f.cwiseProduct(v.head(d)), f.asDiagonal() * s * f.asDiagonal());
  }

  double change(const VectorXd& a, const VectorXd& b) const {
    return a.size() > 0 ? std::sqrt(std::min(std::max(total_, 1.0), kMostPrecise)) * (a - b).cwiseAbs().maxCoeff()
                        : 0.0;
  }

  double log_det() const {
    const Eigen::LLT<MatrixXd> llt(parameters_.covariance);
    return 2.0 * llt.matrixLLT().diagonal().array().log().sum();
  }

  const LatentData& data_;
  std::vector<double> weights_;  // in the data's order of rows
  LatentPrior prior_;
  LatentFitControl control_;
  LatentParameters parameters_;
  LatentMoments moments_;
  std::vector<ThresholdScore> scores_;
  std::vector<Chunk> chunks_;
  MatrixXd z_;  // D x n
  double total_ = 0.0;
  int sweeps_ = 1;
  size_t n_batches_ = 1, first_stride_ = 1;
  LatentStatus status_ = LatentStatus::kMaxIter;
  int iterations_ = 0;
  double last_change_ = kInfinity;
  std::vector<LatentTracePoint> trace_;
};

}  // namespace emkit
