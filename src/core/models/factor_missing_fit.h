// Maximum likelihood of a factor model with missing values: starts, the last digits, the form of the loadings, and the
// observed information.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../math/counter_rng.h"
#include "factor_missing.h"
#include "information.h"
#include "multi_start.h"

namespace emkit {

// Where a run begins; empty vectors are made from the data. `random`: loadings and uniquenesses that are not given are
// random numbers of the key.
struct FactorMissingStart {
  std::string method;
  VectorXd mean, uniquenesses;
  MatrixXd loadings;
  bool random = false;
  std::uint64_t key = 0;
};

// sum_i w_i (x_i / root) (x_i / root)' V over the rows with zeros in place of missing cells.
inline MatrixXd multiply_cross_products(const TiledRows& data, const VectorXd& root, const MatrixXd& v, int threads) {
  const size_t p = data.d(), k = static_cast<size_t>(v.cols()), n_values = k * (1 + p);
  const MatrixXd scaled = root.cwiseInverse().asDiagonal() * v;
  const size_t share = std::max<size_t>(1, (data.n_tiles() + 15) / 16), n_tasks = (data.n_tiles() + share - 1) / share;
  std::vector<MatrixXd> partial(n_tasks);
  parallel_tasks(n_tasks, threads, [&](size_t task) {
    AlignedBuffer cells(p * kTileRows), observed(p * kTileRows), scores(k * kTileRows), wide(n_values * kWide);
    const std::vector<double> zero(k, 0.0);
    for (size_t t = task * share; t < std::min((task + 1) * share, data.n_tiles()); ++t) {
      const size_t rows = data.tile_rows(t);
      data.split(t, cells.data(), observed.data());
      kernels().linear_scores(cells.data(), kTileRows, rows, p, k, scaled.data(), zero.data(), scores.data());
      for (size_t c = 0; c < k; ++c)
        for (size_t i = 0; i < rows; ++i) scores[c * kTileRows + i] *= data.weights(t)[i];
      kernels().accumulate_sums(cells.data(), kTileRows, rows, p, k, scores.data(), wide.data());
    }
    partial[task].setZero(static_cast<Index>(1 + p), v.cols());
    kernels().fold_wide(wide.data(), n_values, partial[task].data());
  });
  MatrixXd out = MatrixXd::Zero(v.rows(), v.cols());
  for (const MatrixXd& m : partial) out += m.bottomRows(v.rows());
  for (const MomentGroup& g : data.groups()) {
    const Index o = static_cast<Index>(g.observed.size());
    MatrixXd part(o, v.cols());
    for (Index a = 0; a < o; ++a) part.row(a) = scaled.row(static_cast<Index>(g.observed[static_cast<size_t>(a)]));
    part = g.scatter * part + g.n * g.mean * (g.mean.transpose() * part);
    for (Index a = 0; a < o; ++a) out.row(static_cast<Index>(g.observed[static_cast<size_t>(a)])) += part.row(a);
  }
  return root.cwiseInverse().asDiagonal() * out;
}

// The point of a start. Without loadings: those that are best for the uniquenesses (Lawley & Maxwell 1971) if the
// correlations were those of the data with missing cells at their means, by subspace iteration.
inline FactorMissingPoint starting_point(const FactorMissing& model, const FactorMissingStart& start, int threads) {
  const TiledRows& data = model.data();
  const Index p = static_cast<Index>(data.d()), q = static_cast<Index>(model.n_factors());
  CounterRng rng(start.key, start.random ? 1 : 0);
  FactorMissingPoint out;
  out.mean = start.mean.size() > 0 ? start.mean : VectorXd(data.sum().cwiseQuotient(data.weight()));
  out.uniquenesses = start.uniquenesses;
  if (out.uniquenesses.size() == 0) {
    const VectorXd variance =
        data.square().cwiseQuotient(data.weight()) - data.sum().cwiseQuotient(data.weight()).cwiseAbs2();
    out.uniquenesses.resize(p);
    for (Index j = 0; j < p; ++j) out.uniquenesses(j) = variance(j) * (start.random ? 0.1 + 0.8 * rng.uniform() : 0.5);
  }
  for (Index j = 0; j < p; ++j) out.uniquenesses(j) = std::max(out.uniquenesses(j), FactorMissing::kBound);
  if (model.noise() == FactorNoise::kCommon) out.uniquenesses.setConstant(out.uniquenesses.mean());
  out.loadings = start.loadings;
  if (out.loadings.size() > 0) return out;
  if (start.random) {
    out.loadings.resize(p, q);
    for (Index a = 0; a < q; ++a)
      for (Index j = 0; j < p; ++j)
        out.loadings(j, a) = rng.normal() * std::sqrt(out.uniquenesses(j) / static_cast<double>(q));
    return out;
  }
  const VectorXd root = out.uniquenesses.cwiseProduct(data.weight()).cwiseMax(1e-300).cwiseSqrt();
  const Index k = std::min(p, q + 4);
  MatrixXd v(p, k);
  for (Index a = 0; a < k; ++a)
    for (Index j = 0; j < p; ++j) v(j, a) = rng.normal();
  constexpr int kRounds = 8;
  for (int round = 0; round < kRounds; ++round) {
    const Eigen::HouseholderQR<MatrixXd> qr(v);
    v = qr.householderQ() * MatrixXd::Identity(p, k);
    const MatrixXd image = multiply_cross_products(data, root, v, threads);
    if (round + 1 < kRounds) {
      v = image;
      continue;
    }
    const MatrixXd inner = v.transpose() * image;
    const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(0.5 * (inner + inner.transpose()));
    out.loadings = v * eigen.eigenvectors().rowwise().reverse().leftCols(q);
    for (Index a = 0; a < q; ++a)
      out.loadings.col(a) *= std::sqrt(std::max(eigen.eigenvalues()(k - 1 - a) - 1.0, 0.05));
  }
  out.loadings = out.uniquenesses.cwiseSqrt().asDiagonal() * out.loadings;
  return out;
}

// Ends a run when EM's own step has become short.
class UntilStill final : public Observer {
 public:
  UntilStill(const FactorMissing& model, RunWatch& watch) : model_(model), watch_(watch) {}
  bool step(int iteration, const Objective& objective) override {
    return watch_.step(iteration, objective) || (iteration > 0 && model_.last_move() <= kShort);
  }
  bool stopped() const override { return watch_.stopped(); }

 private:
  static constexpr double kShort = 1e-9;
  const FactorMissing& model_;
  RunWatch& watch_;
};

// The objective cannot tell points apart whose parameters differ by the square root of its rounding; the length of the
// EM step can. So the run goes on from where it has converged until steps are short.
inline void refine(FactorMissing& model, RunWatch& watch, EmResult& run) {
  EmControl control;
  control.tol = 0.0;
  control.max_iter = 80;
  const FactorMissingPoint before = model.state();
  UntilStill observer(model, watch);
  const EmResult more = run_em(model, *make_accelerator("anderson"), control, observer);
  run.evaluations += more.evaluations;
  if (more.status == Status::kMaxIter || more.status == Status::kInterrupted)
    run.objective = more.objective;
  else
    model.set_state(before);
}

// Uniquenesses at the bound become 0 if the likelihood is no lower there: its supremum is then attained. Where it rises
// steeply it has none. True when any does.
inline bool hold_at_zero(FactorMissing& model, EmResult& run) {
  constexpr double kSteep = 1e-4;  // gain for each row and variable
  if (model.noise() == FactorNoise::kCommon) return false;
  const FactorMissingPoint before = model.state();
  FactorMissingPoint after = before;
  size_t n_zero = 0;
  bool changed = false;
  for (Index j = 0; j < after.uniquenesses.size(); ++j)
    if (after.uniquenesses(j) <= FactorMissing::kBound) {
      changed = changed || after.uniquenesses(j) > 0.0;
      after.uniquenesses(j) = 0.0;
      ++n_zero;
    }
  if (!changed || n_zero > model.n_factors()) return false;
  model.set_state(after);
  const Objective here = model.e_step();
  const double gain = here.value() - run.objective.value();
  if (here.finite() && gain >= -1e-12 * std::abs(run.objective.value()) &&
      gain <= kSteep * model.data().n() * static_cast<double>(n_zero)) {
    run.objective = here;
    return true;
  }
  model.set_state(before);
  return false;
}

// Loadings rotated so that Lambda' Psi^-1 Lambda is diagonal and decreasing. Variables with uniqueness 0 are the first
// factors, the limit of that form.
inline MatrixXd canonical_loadings(const FactorMissingPoint& point) {
  const Index p = point.loadings.rows(), q = point.loadings.cols();
  std::vector<Index> exact, rest;
  for (Index j = 0; j < p; ++j) (point.uniquenesses(j) <= FactorMissing::kBound ? exact : rest).push_back(j);
  MatrixXd basis = MatrixXd::Identity(q, q);
  Index first = 0;
  if (!exact.empty()) {
    MatrixXd rows(static_cast<Index>(exact.size()), q);
    for (size_t k = 0; k < exact.size(); ++k) rows.row(static_cast<Index>(k)) = point.loadings.row(exact[k]);
    const Eigen::JacobiSVD<MatrixXd> svd(rows, Eigen::ComputeFullV);
    basis = svd.matrixV();
    first = std::min(q, static_cast<Index>(exact.size()));
  }
  if (first < q && !rest.empty()) {
    MatrixXd rows(static_cast<Index>(rest.size()), q);
    for (size_t k = 0; k < rest.size(); ++k)
      rows.row(static_cast<Index>(k)) = point.loadings.row(rest[k]) / std::sqrt(point.uniquenesses(rest[k]));
    const MatrixXd free = rows * basis.rightCols(q - first);
    const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(free.transpose() * free);
    const MatrixXd turned = basis.rightCols(q - first) * eigen.eigenvectors().rowwise().reverse();
    basis.rightCols(q - first) = turned;
  }
  MatrixXd out = point.loadings * basis;
  for (Index a = 0; a < q; ++a)
    if (out.col(a).sum() < 0.0) out.col(a) = -out.col(a);
  return out;
}

// Fits from several starts; the best run is brought to the precision of its arithmetic.
inline MultiStartFit<FactorMissing> fit_factor_missing(const TiledRows& data, size_t q, FactorNoise noise,
                                                       const std::vector<FactorMissingStart>& starts,
                                                       const MultiStartControl& control, std::atomic<bool>& stop,
                                                       Interrupt& interrupt, Progress& progress) {
  std::vector<std::string> methods;
  for (const FactorMissingStart& s : starts) methods.push_back(s.method);
  MultiStart<FactorMissing> multi(control, stop, interrupt, progress);
  MultiStartFit<FactorMissing> fit = multi.fit(
      methods, [&](int threads) { return std::unique_ptr<FactorMissing>(new FactorMissing(data, q, noise, threads)); },
      [&](FactorMissing& model, size_t i) {
        return model.set_state(starting_point(model, starts[i], control.by_start ? 1 : control.threads));
      });
  if (!fit.fitted || fit.run.status != Status::kConverged || control.em.max_iter == 0) return fit;
  FactorMissing model(data, q, noise, control.threads);
  model.set_state(fit.state);
  const double before = fit.run.objective.value();
  RunWatch watch(stop, interrupt, progress);
  refine(model, watch, fit.run);
  if (hold_at_zero(model, fit.run)) refine(model, watch, fit.run);
  fit.state = model.state();
  fit.run.trace.back().objective = fit.run.objective;
  for (size_t i = 0; i < fit.starts.size(); ++i)
    if (fit.starts[i].polished && fit.starts[i].objective.value() == before) {
      fit.starts[i].objective = fit.run.objective;
      fit.states[i] = fit.state;
      break;
    }
  return fit;
}

// Observed information of mean, loadings (column by column) and log uniquenesses (one, where they are common) by
// differences of the exact score. A uniqueness of 0 is no parameter: its row and column are 0, and the others are those
// of a uniqueness close to 0.
inline MatrixXd factor_missing_information(const TiledRows& data, FactorMissingPoint point, FactorNoise noise,
                                           int threads) {
  constexpr double kNearZero = 1e-7;
  const Index p = point.loadings.rows(), q = point.loadings.cols(), n_noise = noise == FactorNoise::kFree ? p : 1;
  std::vector<bool> fixed(static_cast<size_t>(n_noise), false);
  for (Index j = 0; j < n_noise; ++j)
    if (point.uniquenesses(j) == 0.0) fixed[static_cast<size_t>(j)] = true;
  point.uniquenesses = point.uniquenesses.cwiseMax(kNearZero);
  VectorXd at(p * (1 + q) + n_noise);
  at << point.mean, Eigen::Map<const VectorXd>(point.loadings.data(), p * q),
      point.uniquenesses.head(n_noise).array().log().matrix();
  FactorMissing model(data, static_cast<size_t>(q), noise, FactorLatent::kFactors, threads);
  const MatrixXd full = observed_information(at, data.n(), [&](const VectorXd& v) {
    FactorMissingPoint moved;
    moved.mean = v.head(p);
    moved.loadings = Eigen::Map<const MatrixXd>(v.data() + p, p, q);
    moved.uniquenesses = noise == FactorNoise::kFree ? VectorXd(v.tail(p).array().exp())
                                                     : VectorXd(VectorXd::Constant(p, std::exp(v(v.size() - 1))));
    if (!model.set_state(moved) || !model.e_step().finite())
      return VectorXd(VectorXd::Constant(v.size(), std::numeric_limits<double>::quiet_NaN()));
    return model.score();
  });
  MatrixXd out = full;
  for (Index j = 0; j < n_noise; ++j)
    if (fixed[static_cast<size_t>(j)]) {
      out.row(p * (1 + q) + j).setZero();
      out.col(p * (1 + q) + j).setZero();
    }
  return out;
}

}  // namespace emkit
