// The observed-data log-likelihood of the latent normal model: the density of the exact cells times the probability of
// the region of the limited ones. A region of one coordinate is exact; others by the GHK simulator (Geweke 1991;
// Hajivassiliou & Keane), on randomly shifted lattice points (Genz & Bretz 2009), which also give the Monte Carlo
// standard error.
#pragma once
#include <cstdint>

#include "../parallel/reduce.h"
#include "latent_normal.h"

namespace emkit {

struct LatentLoglik {
  double value = 0.0;     // in the user's units
  double variance = 0.0;  // of its simulation; 0 when exact
  bool finite = true;
};

// One row at a time; owns its scratch.
class RegionProbability {
 public:
  static constexpr size_t kShifts = 4;

  RegionProbability(size_t d, size_t n_points)
      : n_points_(n_points), mean_(d), lower_(d), upper_(d), value_(d), shift_(d), v_(d, d) {
    for (size_t candidate = 2; generator_.size() < d; ++candidate) {
      bool prime = true;
      for (size_t k = 2; k * k <= candidate && prime; ++k) prime = candidate % k != 0;
      if (prime) generator_.push_back(std::sqrt(static_cast<double>(candidate)));
    }
  }

  // log P(lower < x < upper) for x ~ N(mean, v), the first k entries of the members; adds its variance. False: not
  // positive definite.
  bool evaluate(size_t k, CounterRng& rng, double& log_p, double& variance) {
    if (k == 0) return true;
    if (k == 1) {
      const double sd = std::sqrt(v_(0, 0));
      log_p += log_normal_interval((lower_[0] - mean_[0]) / sd, (upper_[0] - mean_[0]) / sd);
      return std::isfinite(log_p);
    }
    if (!factor(k)) return false;
    double mean = 0.0, estimates[kShifts], top = -kInfinity;
    for (double& e : estimates) top = std::max(top, e = shifted_lattice(k, rng));
    if (!std::isfinite(top)) return false;
    for (double& e : estimates) mean += e = std::exp(e - top);
    mean /= kShifts;
    double square = 0.0;
    for (double e : estimates) square += (e - mean) * (e - mean);
    const double relative = square / (kShifts * (kShifts - 1)) / (mean * mean);
    // The logarithm of an unbiased estimate is low by half its relative variance.
    log_p += top + std::log(mean) + 0.5 * relative;
    variance += relative;
    return true;
  }

  std::vector<double>& mean() { return mean_; }
  std::vector<double>& lower() { return lower_; }
  std::vector<double>& upper() { return upper_; }
  MatrixXd& covariance() { return v_; }

 private:
  // Cholesky factor in the lower triangle of v_.
  bool factor(size_t size) {
    const Index k = static_cast<Index>(size);
    for (Index j = 0; j < k; ++j)
      for (Index l = 0; l <= j; ++l) {
        double s = v_(j, l);
        for (Index m = 0; m < l; ++m) s -= v_(j, m) * v_(l, m);
        if (l == j && (!(s > 0.0) || !std::isfinite(s))) return false;
        v_(j, l) = l == j ? std::sqrt(s) : s / v_(l, l);
      }
    return true;
  }

  // The logarithm of the average over one shift of the lattice.
  double shifted_lattice(size_t k, CounterRng& rng) {
    for (size_t j = 0; j < k; ++j) shift_[j] = rng.uniform();
    double sum = 0.0;
    for (size_t r = 1; r <= n_points_; ++r) {
      double p = 1.0;
      for (size_t j = 0; j < k; ++j) {
        double centre = mean_[j];
        for (size_t l = 0; l < j; ++l) centre += v_(static_cast<Index>(j), static_cast<Index>(l)) * value_[l];
        const double sd = v_(static_cast<Index>(j), static_cast<Index>(j));
        double a = (lower_[j] - centre) / sd, b = (upper_[j] - centre) / sd;
        const bool turned = a > 0.0;
        if (turned) {
          const double swap = a;
          a = -b;
          b = -swap;
        }
        double low = kNormalGrid.at(a).cdf, high = kNormalGrid.at(b).cdf;
        if (!(high - low > kGridMass)) {
          low = normal_cdf(a);
          high = normal_cdf(b);
        }
        p *= high - low;
        if (!(p > 0.0)) break;
        if (j + 1 == k) break;
        double u = static_cast<double>(r) * generator_[j] + shift_[j];
        u = std::fabs(2.0 * (u - std::floor(u)) - 1.0);  // folded: the integrand becomes periodic
        double x = normal_quantile(low + u * (high - low));
        x = std::min(std::max(x, std::max(a, -38.0)), std::min(b, 38.0));
        value_[j] = turned ? -x : x;
      }
      if (p > 0.0) sum += p;
    }
    return std::log(sum / static_cast<double>(n_points_));
  }

  size_t n_points_;
  std::vector<double> mean_, lower_, upper_, value_, shift_, generator_;
  MatrixXd v_;
};

class LatentLoglikTask {
 public:
  LatentLoglikTask(const LatentData& data, const LatentParameters& p, size_t n_points, std::uint64_t key)
      : data_(data), p_(p), n_points_(n_points), key_(key) {}

  LatentLoglik run(int threads, Interrupt& interrupt, std::atomic<bool>& stop) const {
    const size_t n = data_.n(), n_chunks = std::min<size_t>(64, std::max<size_t>(1, n / 16));
    std::vector<LatentLoglik> parts(n_chunks);
    parallel_tasks(n_chunks, threads, [&](size_t k) {
      if (interrupt.pending()) stop.store(true);
      if (!stop.load()) parts[k] = range(n * k / n_chunks, n * (k + 1) / n_chunks, k);
    });
    LatentLoglik total;
    for (const LatentLoglik& part : parts) {
      total.value += part.value;
      total.variance += part.variance;
      total.finite = total.finite && part.finite;
    }
    return total;
  }

 private:
  LatentLoglik range(size_t begin, size_t end, size_t stream) const {
    LatentLoglik out;
    CounterRng rng(key_, stream);
    RegionProbability region(data_.d(), n_points_);
    for (const LatentPattern& pattern : data_.patterns()) {
      const size_t first = std::max(pattern.begin, begin), last = std::min(pattern.end, end);
      if (first < last && !add_pattern(pattern, first, last, region, rng, out)) out.finite = false;
    }
    return out;
  }

  bool add_pattern(const LatentPattern& pattern, size_t begin, size_t end, RegionProbability& region, CounterRng& rng,
                   LatentLoglik& out) const {
    std::vector<Index> exact, limited;
    for (size_t c : pattern.exact_columns) exact.push_back(static_cast<Index>(data_.columns()[c].first));
    for (size_t c : pattern.limited_columns)
      for (size_t j = 0; j < data_.columns()[c].dims; ++j)
        limited.push_back(static_cast<Index>(data_.columns()[c].first + j));
    const Index e = static_cast<Index>(exact.size()), k = static_cast<Index>(limited.size());
    if (e + k == 0) return true;
    MatrixXd see(e, e), ske(k, e), skk(k, k);
    for (Index a = 0; a < e; ++a)
      for (Index b = 0; b < e; ++b)
        see(a, b) = p_.covariance(exact[static_cast<size_t>(a)], exact[static_cast<size_t>(b)]);
    for (Index a = 0; a < k; ++a) {
      for (Index b = 0; b < e; ++b)
        ske(a, b) = p_.covariance(limited[static_cast<size_t>(a)], exact[static_cast<size_t>(b)]);
      for (Index b = 0; b < k; ++b)
        skk(a, b) = p_.covariance(limited[static_cast<size_t>(a)], limited[static_cast<size_t>(b)]);
    }
    Eigen::LLT<MatrixXd> llt;
    MatrixXd half, conditional = skk;  // half: e x k
    if (e > 0) {
      llt.compute(see);
      if (llt.info() != Eigen::Success) return false;
      if (k > 0) {
        half = llt.matrixL().solve(ske.transpose());
        conditional -= half.transpose() * half;
      }
    }
    double constant = 0.0;
    for (Index a = 0; a < e; ++a) constant -= std::log(llt.matrixLLT()(a, a)) + kLogSqrt2Pi;
    for (size_t c : pattern.exact_columns) constant -= std::log(data_.columns()[c].scale);
    VectorXd r(e), mean(k);
    bool good = true;
    for (size_t i = begin; i < end; ++i) {
      if (!(data_.weights()[i] > 0.0)) continue;
      for (Index a = 0; a < e; ++a)
        r(a) = data_.exact(i, pattern.exact_columns[static_cast<size_t>(a)]) - p_.mean(exact[static_cast<size_t>(a)]);
      if (e > 0) llt.matrixL().solveInPlace(r);
      for (Index a = 0; a < k; ++a)
        mean(a) = p_.mean(limited[static_cast<size_t>(a)]) + (e > 0 ? half.col(a).dot(r) : 0.0);
      double log_p = constant - 0.5 * r.squaredNorm(), variance = 0.0;
      for (Index a = 0; a < k; ++a) {
        region.mean()[static_cast<size_t>(a)] = mean(a);
        for (Index b = 0; b < k; ++b) region.covariance()(a, b) = conditional(a, b);
      }
      set_limits(pattern, i, static_cast<size_t>(k), region);
      if (!region.evaluate(static_cast<size_t>(k), rng, log_p, variance)) good = false;
      const double w = data_.weights()[i];
      out.value += w * log_p;
      out.variance += w * w * variance;
    }
    return good;
  }

  // The intervals of the limited coordinates. A nominal cell becomes a box in differences from its largest utility.
  void set_limits(const LatentPattern& pattern, size_t i, size_t k, RegionProbability& region) const {
    size_t at = 0;
    for (size_t c : pattern.limited_columns) {
      const LatentColumn& column = data_.columns()[c];
      const int level = data_.level(i, c);
      if (column.kind != LatentKind::kNominal) {
        const LatentLimits b = limits_of(column, p_.thresholds[c], level, column.first, nullptr);
        region.lower()[at] = b.lower;
        region.upper()[at] = b.upper;
        ++at;
        continue;
      }
      for (size_t l = at; l < at + column.dims; ++l) {
        region.lower()[l] = -kInfinity;
        region.upper()[l] = 0.0;
      }
      if (level > 0) subtract_winner(at, column.dims, at + static_cast<size_t>(level) - 1, k, region);
      at += column.dims;
    }
  }

  // u_l - u_w for the losers, and -u_w for the reference, in the winner's place.
  static void subtract_winner(size_t at, size_t dims, size_t winner, size_t k, RegionProbability& region) {
    MatrixXd& v = region.covariance();
    std::vector<double>& mean = region.mean();
    const Index w = static_cast<Index>(winner);
    for (size_t l = at; l < at + dims; ++l) {
      if (l == winner) continue;
      mean[l] -= mean[winner];
      for (Index b = 0; b < static_cast<Index>(k); ++b) v(static_cast<Index>(l), b) -= v(w, b);
    }
    for (Index b = 0; b < static_cast<Index>(k); ++b) v(w, b) = -v(w, b);
    mean[winner] = -mean[winner];
    for (size_t l = at; l < at + dims; ++l) {
      if (l == winner) continue;
      for (Index b = 0; b < static_cast<Index>(k); ++b) v(b, static_cast<Index>(l)) -= v(b, w);
    }
    for (Index b = 0; b < static_cast<Index>(k); ++b) v(b, w) = -v(b, w);
  }

  const LatentData& data_;
  const LatentParameters& p_;
  size_t n_points_;
  std::uint64_t key_;
};

}  // namespace emkit
