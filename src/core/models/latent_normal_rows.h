// New rows at fixed parameters. A row's result is a function of its cells, the key and its number alone.
#pragma once
#include "latent_normal_impute.h"

namespace emkit {

struct LatentRowsControl {
  size_t n_draws = 1;   // draws asked for
  int n_settle = 20;    // Gibbs sweeps before the first draw
  int n_between = 3;    // and between draws, where a row has limited cells
  int n_average = 200;  // draws that an average rests on
  std::uint64_t key = 0;
};

class LatentRows {
 public:
  LatentRows(const LatentData& data, const LatentParameters& p, const VectorXd& lower, const VectorXd& upper,
             const LatentRowsControl& control)
      : data_(data), p_(p), lower_(lower), upper_(upper), control_(control), summary_(data, lower, upper) {}

  // draws[(draw * C + column) * n + row]: missing cells only, the others are left as they are. False when a pattern
  // cannot be factored.
  bool draw(double* out, int threads) const {
    const size_t n = data_.n(), columns = data_.columns().size();
    return over_patterns(
        threads, [&](LatentSweep& sweep, const LatentPattern& pattern, size_t i, double* z, CounterRng& rng) {
          double* row = z + i * data_.d();
          for (int s = 0; s < settle(pattern); ++s) sweep.draw_limited(i, z, rng);
          for (size_t r = 0; r < control_.n_draws; ++r) {
            for (int s = 0; s < (pattern.limited_columns.empty() ? 0 : control_.n_between); ++s)
              sweep.draw_limited(i, z, rng);
            sweep.fill_missing_within(row, rng, lower_, upper_);
            for (size_t c : pattern.missing_columns)
              out[(r * columns + c) * n + data_.row(i)] = decode_value(data_.columns()[c], p_.thresholds[c], row);
          }
        });
  }

  // Fills the averages behind value() and probability().
  bool summarise(int threads) {
    return over_patterns(threads,
                         [&](LatentSweep& sweep, const LatentPattern& pattern, size_t i, double* z, CounterRng& rng) {
                           for (int s = 0; s < settle(pattern); ++s) sweep.draw_limited(i, z, rng);
                           const std::vector<double>& covariance = sweep.missing_covariance();
                           for (int s = 0; s < control_.n_average; ++s) {
                             sweep.draw_limited(i, z, rng);
                             summary_.add(sweep, p_, covariance, i, z + i * data_.d(), rng);
                           }
                         });
  }

  double value(size_t c, size_t i) const { return summary_.value(c, i, control_.n_average); }
  double probability(size_t c, size_t i, size_t level) const {
    return summary_.probability(c, i, level, control_.n_average);
  }

 private:
  int settle(const LatentPattern& pattern) const { return pattern.limited_columns.empty() ? 0 : control_.n_settle; }

  // task(sweep, pattern, i, z, rng) for every row i with a missing cell; z: D x n, of which row i is the task's.
  template <class Task>
  bool over_patterns(int threads, const Task& task) const {
    const std::vector<LatentPattern>& patterns = data_.patterns();
    std::atomic<bool> good{true};
    MatrixXd z;
    start_latents(data_, p_, z);
    const size_t n = data_.n(), n_chunks = std::min<size_t>(64, std::max<size_t>(1, n / 32));
    parallel_tasks(n_chunks, threads, [&](size_t k) {
      LatentSweep sweep(data_);
      const size_t from = n * k / n_chunks, to = n * (k + 1) / n_chunks;
      for (const LatentPattern& pattern : patterns) {
        const size_t begin = std::max(pattern.begin, from), end = std::min(pattern.end, to);
        if (begin >= end || pattern.missing_columns.empty()) continue;
        if (!sweep.prepare(p_, pattern)) {
          good.store(false);
          continue;
        }
        for (size_t i = begin; i < end; ++i) {
          CounterRng rng(control_.key, latent_stream(kStreamRows, data_.row(i)));
          task(sweep, pattern, i, z.data(), rng);
        }
      }
    });
    return good.load();
  }

  const LatentData& data_;
  const LatentParameters& p_;
  VectorXd lower_, upper_;
  LatentRowsControl control_;
  LatentSummary summary_;
};

}  // namespace emkit
