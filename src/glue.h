// Between R's objects and the core's.
#pragma once
#include <RcppEigen.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "core/data/observations.h"
#include "core/em/result.h"
#include "core/parallel/progress.h"
#include "core/parallel/reduce.h"

namespace emkit {

// R's interrupt flag, looked at from R's own thread only and at most every 20 ms; shows progress on the way, every 200 ms,
// by show(done, total, iterations), an R function or NULL.
class RInterrupt final : public Interrupt {
 public:
  explicit RInterrupt(const Progress& progress, SEXP show = R_NilValue) : progress_(progress), show_(show) {}

  bool pending() override {
    if (std::this_thread::get_id() != home_) return false;
    const auto now = std::chrono::steady_clock::now();
    if (now - looked_ < std::chrono::milliseconds(20)) return seen_;
    looked_ = now;
    seen_ = seen_ || R_ToplevelExec(check, nullptr) == FALSE;
    if (!seen_ && !Rf_isNull(show_) && now - shown_ > std::chrono::milliseconds(200)) {
      shown_ = now;
      show();
    }
    return seen_;
  }

 private:
  static void check(void*) { R_CheckUserInterrupt(); }

  // An error in showing must not unwind through the threads' scheduler: it is dropped.
  void show() {
    const auto number = [](const std::atomic<size_t>& v) { return static_cast<double>(v.load()); };
    const Rcpp::Shield<SEXP> call(Rf_lang4(show_, Rcpp::Shield<SEXP>(Rf_ScalarReal(number(progress_.done))),
                                           Rcpp::Shield<SEXP>(Rf_ScalarReal(number(progress_.total))),
                                           Rcpp::Shield<SEXP>(Rf_ScalarReal(number(progress_.iterations)))));
    int failed = 0;
    R_tryEvalSilent(call, R_GlobalEnv, &failed);
  }

  const Progress& progress_;
  SEXP show_;
  std::thread::id home_ = std::this_thread::get_id();
  std::chrono::steady_clock::time_point looked_ = std::chrono::steady_clock::now(), shown_ = looked_;
  bool seen_ = false;
};

// Weights (n doubles) and labels (n integers; NA unknown, 0 noise, k a component) may be NULL.
struct RawInput {
  Rcpp::NumericMatrix x;
  Rcpp::Nullable<Rcpp::NumericVector> weights;
  Rcpp::Nullable<Rcpp::IntegerVector> known;

  RawInput(Rcpp::NumericMatrix x_, Rcpp::Nullable<Rcpp::NumericVector> w, Rcpp::Nullable<Rcpp::IntegerVector> known_)
      : x(x_), weights(w), known(known_) {
    if (known.isNotNull()) {
      const Rcpp::IntegerVector k(known.get());
      for (R_xlen_t i = 0; i < k.size(); ++i)
        labels_.push_back(k[i] == NA_INTEGER ? kUnknownLabel : k[i] == 0 ? kNoiseLabel : k[i] - 1);
    }
  }

  RawData raw() const {
    RawData r;
    r.x = x.begin();
    r.n = static_cast<size_t>(x.nrow());
    r.d = static_cast<size_t>(x.ncol());
    if (weights.isNotNull()) r.weights = REAL(weights.get());
    if (!labels_.empty()) r.labels = labels_.data();
    return r;
  }

 private:
  std::vector<int> labels_;
};

// Two draws of 32 bits from R's generator name the streams of a call.
inline std::uint64_t as_key(const Rcpp::NumericVector& key) {
  return static_cast<std::uint64_t>(key[0]) << 32 | static_cast<std::uint64_t>(key[1]);
}

inline std::vector<Eigen::MatrixXd> as_matrices(const Rcpp::NumericVector& array, size_t d, size_t count) {
  std::vector<Eigen::MatrixXd> out;
  const Eigen::Index n = static_cast<Eigen::Index>(d);
  for (size_t k = 0; k < count; ++k) out.push_back(Eigen::Map<const Eigen::MatrixXd>(array.begin() + k * d * d, n, n));
  return out;
}

inline Rcpp::NumericVector as_array(const std::vector<Eigen::MatrixXd>& matrices, size_t d) {
  Rcpp::NumericVector out(static_cast<R_xlen_t>(d * d * matrices.size()));
  R_xlen_t at = 0;
  for (const Eigen::MatrixXd& m : matrices)
    for (Eigen::Index i = 0; i < m.size(); ++i) out[at++] = m.data()[i];
  out.attr("dim") = Rcpp::IntegerVector::create(static_cast<int>(d), static_cast<int>(d), static_cast<int>(matrices.size()));
  return out;
}

}  // namespace emkit
