// Fitting one cell from several starts.
#pragma once
#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "gaussian_mixture.h"

namespace emkit {

// Fits one cell from several starts (see MultiStart). `search` are the data for this (a subset of the rows, or `full`
// itself); the best two solutions found on a subset are then fitted to all rows.
class GmmCellFit {
 public:
  GmmCellFit(const GmmCell& cell, const ScaledData& search, const ScaledData& full, const GmmControl& control,
             std::atomic<bool>& stop, Interrupt& interrupt, Progress& progress, int threads)
      : cell_(cell),
        search_(search),
        full_(full),
        control_(control.run),
        stop_(stop),
        interrupt_(interrupt),
        progress_(progress),
        watch_(stop, interrupt) {
    control_.threads = threads;
  }

  GmmFit fit(const std::vector<GmmStart>& starts) {
    std::vector<std::string> methods;
    for (const GmmStart& start : starts) methods.push_back(start.method);
    Fit found = run(search_, control_, methods, [&](GaussianMixture& model, size_t i) {
      return cell_.start(model, search_, starts[i]);
    });
    if (&search_ != &full_ && found.fitted && !stop_.load()) found = onto_all_rows(found);
    GmmFit out;
    out.run = found.run;
    out.starts = found.starts;
    out.fitted = found.fitted;
    if (!found.fitted) return out;
    out.parameters = cell_.to_user(found.state, full_);
    finish(found.state, out);
    return out;
  }

 private:
  using Fit = MultiStartFit<GaussianMixture>;

  // Objectives in the user's units.
  template <class Begin>
  Fit run(const ScaledData& data, const MultiStartControl& control, const std::vector<std::string>& methods,
          const Begin& begin) {
    MultiStart<GaussianMixture> multi_start(control, stop_, interrupt_, progress_);
    Fit out = multi_start.fit(methods, [&](int threads) { return cell_.model(data, execution(threads)); }, begin);
    out.run.objective = cell_.to_user(out.run.objective, data);
    for (TracePoint& t : out.run.trace) t.objective = cell_.to_user(t.objective, data);
    for (StartOutcome& s : out.starts) s.objective = cell_.to_user(s.objective, data);
    return out;
  }

  Execution execution(int threads) {
    Execution e;
    e.threads = threads;
    e.interrupt = &watch_;
    return e;
  }

  // Objectives on a subset cannot be compared with those on all rows: only the runs that are carried over count, the best
  // two that do not agree.
  Fit onto_all_rows(const Fit& part) {
    std::vector<size_t> candidates;
    for (size_t i = 0; i < part.starts.size(); ++i)
      if (part.starts[i].polished) candidates.push_back(i);
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](size_t a, size_t b) { return better(part.starts[a], part.starts[b]); });
    std::vector<size_t> carried;
    std::vector<std::string> methods;
    double last = std::numeric_limits<double>::quiet_NaN();
    for (size_t i : candidates) {
      const double value = part.starts[i].objective.value();
      if (carried.size() == kCarried || std::abs(value - last) <= kSameOptimum * (1.0 + std::abs(value))) continue;
      last = value;
      carried.push_back(i);
      methods.push_back(part.starts[i].method);
    }
    MultiStartControl control = control_;
    control.n_polish = static_cast<int>(kCarried);
    Fit out = run(full_, control, methods, [&](GaussianMixture& model, size_t i) {
      return cell_.set_parameters(model, full_, cell_.to_user(part.states[carried[i]], search_));
    });
    std::vector<StartOutcome> starts = part.starts;
    for (StartOutcome& s : starts) {
      s.objective.loglik = std::numeric_limits<double>::quiet_NaN();
      if (s.polished) s.status = Status::kMaxIter;
      s.polished = false;
    }
    for (size_t i = 0; i < carried.size(); ++i) starts[carried[i]] = out.starts[i];
    out.starts = starts;
    return out;
  }

  // What is reported of the best fit, made at its parameters.
  void finish(const GmmParameters& scaled, GmmFit& out) {
    auto model = cell_.model(full_, execution(control_.threads));
    if (!model->set_state(scaled)) return;
    const Observations& data = full_.observations();
    const size_t n_chunks = data.n_chunks(), n_components = model->n_components();
    std::vector<double> entropy(n_chunks, 0.0);
    MatrixXd sizes = MatrixXd::Zero(static_cast<Index>(n_components), static_cast<Index>(n_chunks));
    model->for_each_row([&](const EvaluatedRows& rows) {
      const size_t chunk = rows.begin / data.chunk_rows();
      for (size_t i = rows.begin; i < rows.end; ++i) {
        const double w = data.raw().weights ? data.raw().weights[data.row(i)] : 1.0;
        double top = 0.0;
        for (size_t k = 0; k < n_components; ++k) {
          const double z = rows.joint(k)[i - rows.begin];
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
    // Not where it is singular: fewer rows than columns.
    if (reference.scatter.size() > 0 &&
        Eigen::FullPivLU<MatrixXd>(reference.scatter).setThreshold(kSingular).isInvertible())
      total = reference.scatter / reference.total_weight;
    for (size_t k = 0; k < cell_.n_components(); ++k) {
      Eigen::GeneralizedSelfAdjointEigenSolver<MatrixXd> solver(model->emission().covariance(k), total,
                                                                Eigen::EigenvaluesOnly | Eigen::Ax_lBx);
      out.relative_variance(static_cast<Index>(k)) = solver.eigenvalues()(0);
    }
  }

  static constexpr size_t kCarried = 2;
  static constexpr double kSameOptimum = 1e-4;  // relative: solutions on a subset that are one
  static constexpr double kSingular = 1e-12;

  const GmmCell& cell_;
  const ScaledData& search_;
  const ScaledData& full_;
  MultiStartControl control_;
  std::atomic<bool>& stop_;
  Interrupt& interrupt_;
  Progress& progress_;
  StopOnInterrupt watch_;
};

}  // namespace emkit
