// Data as Gaussian models see them: centred and scaled, with their overall moments.
#pragma once
#include <cmath>
#include <memory>
#include <vector>

#include "../data/observations.h"
#include "../emission/gaussian.h"
#include "../parallel/reduce.h"

namespace emkit {

// Data in one scaling, with what a fit needs to know of them.
class ScaledData {
 public:
  ScaledData(const RawData& raw, const ColumnMoments& moments, bool column_scaling, int threads)
      : observations_(raw, moments.mean, scales(moments, column_scaling)),
        reference_(reference_of(observations_, moments, threads)),
        log_jacobian_(observations_.log_jacobian()) {
    observations_.gather_sparse_patterns();
  }

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

  Eigen::Map<const VectorXd> scale() const { return map(observations_.scale()); }

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

}  // namespace emkit
