// One look at the data before anything is fitted.
#include "glue.h"

#include <cstring>
#include <unordered_set>

#include "core/models/scaled_data.h"

using namespace emkit;

// For each column: missing cells, range, weighted mean and standard deviation. `infinite`: row and column (from 1) of
// the first infinite cell. `n_distinct`: distinct rows, counted up to `limit`. `correlation`: of the rows without
// missing values.
// [[Rcpp::export(rng = false)]]
Rcpp::List data_summary_(Rcpp::NumericMatrix x, Rcpp::Nullable<Rcpp::NumericVector> weights, int limit, int threads) {
  const RawInput input(x, weights, R_NilValue);
  const RawData raw = input.raw();
  // Threads write to plain memory, never to R's.
  std::vector<double> missing(raw.d), low(raw.d, R_PosInf), high(raw.d, R_NegInf);
  parallel_tasks(raw.d, threads, [&](size_t j) {
    const double* column = raw.x + j * raw.n;
    missing[j] = lane_sum(raw.n, [=](size_t i) { return column[i] != column[i] ? 1.0 : 0.0; });
    double lowest[4] = {R_PosInf, R_PosInf, R_PosInf, R_PosInf}, highest[4] = {R_NegInf, R_NegInf, R_NegInf, R_NegInf};
    for (size_t i = 0; i < raw.n; ++i) {  // comparisons with NaN are false
      const double v = column[i];
      lowest[i % 4] = v < lowest[i % 4] ? v : lowest[i % 4];
      highest[i % 4] = v > highest[i % 4] ? v : highest[i % 4];
    }
    for (size_t l = 0; l < 4; ++l) {
      low[j] = std::min(low[j], lowest[l]);
      high[j] = std::max(high[j], highest[l]);
    }
  });
  Rcpp::IntegerVector infinite(0);
  Rcpp::NumericVector n_missing(missing.begin(), missing.end()), lowest(x.ncol(), NA_REAL), highest(x.ncol(), NA_REAL);
  bool informative = raw.n > 0;
  for (size_t j = 0; j < raw.d; ++j) {
    if (missing[j] < static_cast<double>(raw.n)) {
      lowest[static_cast<R_xlen_t>(j)] = low[j];
      highest[static_cast<R_xlen_t>(j)] = high[j];
    }
    informative = informative && low[j] < high[j];
    if (infinite.size() > 0 || (low[j] > R_NegInf && high[j] < R_PosInf) || missing[j] == static_cast<double>(raw.n)) continue;
    size_t i = 0;
    while (!std::isinf(raw.x[j * raw.n + i])) ++i;
    infinite = Rcpp::IntegerVector::create(static_cast<int>(i) + 1, static_cast<int>(j) + 1);
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
  const ColumnMoments moments = column_moments(raw, threads);
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

// The first element (from 1; 0 when there is none) that is neither missing nor a finite number of the interval, and how
// many there are. `open`: the ends do not belong to it. `whole`: nor do fractions.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericVector values_outside_(Rcpp::NumericVector y, double low, double high, bool open, bool whole) {
  double first = 0.0, count = 0.0;
  const double* value = y.begin();
  for (R_xlen_t i = 0; i < y.size(); ++i) {
    const double v = value[i];
    if (std::isnan(v)) continue;
    const bool inside = std::isfinite(v) && (open ? v > low && v < high : v >= low && v <= high) &&
                        (!whole || v == std::floor(v));
    if (inside) continue;
    if (count == 0.0) first = static_cast<double>(i) + 1.0;
    count += 1.0;
  }
  return Rcpp::NumericVector::create(first, count);
}
