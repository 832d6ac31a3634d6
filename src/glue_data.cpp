// One look at the data before anything is fitted.
#include "glue.h"

#include <cstring>
#include <unordered_set>

#include "core/models/gaussian_mixture.h"

using namespace emkit;

// For each column: missing cells, range, weighted mean and standard deviation. `infinite`: row and column (from 1) of
// the first infinite cell. `n_distinct`: distinct rows, counted up to `limit`. `correlation`: of the rows without
// missing values.
// [[Rcpp::export(rng = false)]]
Rcpp::List data_summary_(Rcpp::NumericMatrix x, Rcpp::Nullable<Rcpp::NumericVector> weights, int limit, int threads) {
  const RawInput input(x, weights, R_NilValue);
  const RawData raw = input.raw();
  Rcpp::IntegerVector infinite(0);
  Rcpp::NumericVector n_missing(x.ncol()), lowest(x.ncol(), NA_REAL), highest(x.ncol(), NA_REAL);
  bool informative = raw.n > 0;
  for (size_t j = 0; j < raw.d; ++j) {
    const double* column = raw.x + j * raw.n;
    const R_xlen_t at = static_cast<R_xlen_t>(j);
    double low = R_PosInf, high = R_NegInf;
    size_t missing = 0;
    for (size_t i = 0; i < raw.n; ++i) {
      const double v = column[i];
      if (std::isnan(v)) {
        ++missing;
        continue;
      }
      if (std::isinf(v) && infinite.size() == 0)
        infinite = Rcpp::IntegerVector::create(static_cast<int>(i) + 1, static_cast<int>(j) + 1);
      low = std::min(low, v);
      high = std::max(high, v);
    }
    n_missing[at] = static_cast<double>(missing);
    if (missing < raw.n) {
      lowest[at] = low;
      highest[at] = high;
    }
    informative = informative && low < high;
  }
  Rcpp::List out = Rcpp::List::create(Rcpp::Named("infinite") = infinite, Rcpp::Named("n_missing") = n_missing,
                                      Rcpp::Named("lowest") = lowest, Rcpp::Named("highest") = highest);
  if (infinite.size() > 0 || !informative) return out;

  std::unordered_set<std::string> seen;
  std::string key(raw.d * sizeof(double), '\0');
  for (size_t i = 0; i < raw.n && seen.size() < static_cast<size_t>(limit); ++i) {
    if (raw.weights && !(raw.weights[i] > 0.0)) continue;
    bool any = false;
    for (size_t j = 0; j < raw.d; ++j) {
      double v = raw.x[j * raw.n + i];
      any = any || !std::isnan(v);
      v = std::isnan(v) ? std::numeric_limits<double>::quiet_NaN() : v + 0.0;  // one NaN, one zero
      std::memcpy(&key[j * sizeof(double)], &v, sizeof(double));
    }
    if (any) seen.insert(key);
  }
  const ColumnMoments moments = column_moments(raw);
  out["n_distinct"] = static_cast<double>(seen.size());
  out["mean"] = moments.mean;
  out["sd"] = moments.sd;

  std::vector<size_t> complete;
  bool any_missing = false;
  for (R_xlen_t j = 0; j < n_missing.size(); ++j) any_missing = any_missing || n_missing[j] > 0;
  if (any_missing) {
    std::vector<unsigned char> incomplete(raw.n, 0);
    for (size_t j = 0; j < raw.d; ++j)
      for (size_t i = 0; i < raw.n; ++i)
        if (std::isnan(raw.x[j * raw.n + i])) incomplete[i] = 1;
    for (size_t i = 0; i < raw.n; ++i)
      if (!incomplete[i]) complete.push_back(i);
    if (complete.size() <= raw.d) return out;
  }
  const Observations rows(raw, moments.mean, moments.sd, complete);
  const GaussianReference reference = ScaledData::reference_of(rows, moments, threads);
  const MatrixXd covariance = reference.scatter / reference.total_weight;
  out["correlation"] = covariance;
  return out;
}
