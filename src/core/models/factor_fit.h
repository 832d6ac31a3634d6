// Fitting a factor analysis of complete data: where to start, and the closed form of principal components.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "factor_analysis.h"
#include "multi_start.h"

namespace emkit {

struct FactorStart {
  std::string method;        // "default", "random", or whatever gave the uniquenesses
  VectorXd uniquenesses;     // p or empty; 0: on the boundary
  MatrixXd loadings;         // p x q or empty
  std::uint64_t key = 0;     // of random ones
};

struct FactorParameters {
  MatrixXd loadings;               // p x q, canonical
  VectorXd uniquenesses;           // p
  std::vector<Index> boundary;     // variables whose uniqueness is 0
};

struct FactorFitResult {
  bool fitted = false;
  FactorParameters parameters;
  EmResult run;
  std::vector<StartOutcome> starts;
};

// Uniquenesses from squared multiple correlations (as factanal() has them), where S is regular and not large; empty
// elsewhere.
inline VectorXd uniquenesses_of_inverse(const FactorMoments& moments, Index q) {
  constexpr double kRegular = 1e-9;
  if (!moments.formed() || moments.size() > FactorAnalysis::kDenseVariables) return {};
  const Eigen::LLT<MatrixXd> root(moments.matrix());
  if (root.info() != Eigen::Success) return {};
  const VectorXd pivots = MatrixXd(root.matrixL()).diagonal().cwiseAbs2();
  if (!((pivots.array() > kRegular * moments.variances().array()).all())) return {};
  const double p = static_cast<double>(moments.size());
  const VectorXd inverse = root.solve(MatrixXd::Identity(moments.size(), moments.size())).diagonal();
  return ((1.0 - 0.5 * static_cast<double>(q) / p) / inverse.array()).matrix();
}

// Uniquenesses of principal components: needs no inverse, and works with more variables than rows.
inline VectorXd uniquenesses_of_components(const FactorMoments& moments, Index q, int threads) {
  constexpr double kTolerance = 1e-4, kLeast = 0.05;
  const VectorXd& s = moments.variances();
  const auto apply = [&](const MatrixXd& v) -> MatrixXd { return moments.product(v, threads); };
  BlockKrylov<decltype(apply)> solver(moments.size(), q, apply);
  const Eigenpairs pairs = solver.solve(MatrixXd(), kTolerance);
  const double rest =
      std::max(0.0, s.sum() - pairs.values.head(q).sum()) / static_cast<double>(std::max<Index>(1, s.size() - q));
  VectorXd psi = s;
  for (Index k = 0; k < q; ++k)
    psi.array() -= std::max(0.0, pairs.values(k) - rest) * pairs.vectors.col(k).array().square();
  return psi.cwiseMax(kLeast * s);
}

inline VectorXd start_uniquenesses(const FactorMoments& moments, Index q, const FactorStart& start, int threads) {
  const VectorXd& s = moments.variances();
  if (start.uniquenesses.size() > 0) return start.uniquenesses.cwiseMin(s);
  if (start.loadings.size() > 0)
    return (s - start.loadings.rowwise().squaredNorm()).cwiseMin(s).cwiseMax(0.005 * s);
  if (start.method == "random") {
    CounterRng rng(start.key, 0);
    VectorXd psi(s.size());
    for (Index j = 0; j < s.size(); ++j) psi(j) = s(j) * (0.02 + 0.96 * rng.uniform());
    return psi;
  }
  const VectorXd psi = uniquenesses_of_inverse(moments, q);
  return psi.size() > 0 ? psi : uniquenesses_of_components(moments, q, threads);
}

inline FactorFitResult fit_factor_analysis(const FactorMoments& moments, Index q, double n,
                                           const std::vector<FactorStart>& starts, MultiStartControl control,
                                           std::atomic<bool>& stop, Interrupt& interrupt, Progress& progress) {
  control.by_start = starts.size() > 1;
  MultiStart<FactorAnalysis> search(control, stop, interrupt, progress);
  std::vector<std::string> methods;
  for (const FactorStart& s : starts) methods.push_back(s.method);
  const auto make = [&](int threads) {
    return std::unique_ptr<FactorAnalysis>(new FactorAnalysis(moments, q, n, threads));
  };
  const auto begin = [&](FactorAnalysis& model, size_t i) {
    return model.set_uniquenesses(start_uniquenesses(moments, q, starts[i], control.threads));
  };
  const MultiStartFit<FactorAnalysis> best = search.fit(methods, make, begin);
  FactorFitResult out;
  out.fitted = best.fitted;
  out.run = best.run;
  out.starts = best.starts;
  if (!best.fitted) return out;
  FactorAnalysis model(moments, q, n, control.threads);
  if (!model.set_state(best.state)) return out;
  model.e_step();
  out.parameters = {model.loadings(), model.state().psi, model.state().boundary};
  return out;
}

// Probabilistic principal components (Tipping and Bishop 1999), psi = s2 I: closed form (FA9).
inline FactorFitResult fit_principal_components(const FactorMoments& moments, Index q, double n, int threads) {
  constexpr double kTolerance = 1e-9, kNothing = 1e-12;
  const Index p = moments.size();
  Eigenpairs pairs;
  if (moments.formed() && p <= FactorAnalysis::kDenseVariables) {
    pairs = all_eigenpairs(moments.matrix());
  } else {
    const auto apply = [&](const MatrixXd& v) -> MatrixXd { return moments.product(v, threads); };
    BlockKrylov<decltype(apply)> solver(p, q, apply);
    pairs = solver.solve(MatrixXd(), kTolerance);
  }
  const double total = moments.variances().sum();
  const double rest = (total - pairs.values.head(q).sum()) / static_cast<double>(p - q);
  FactorFitResult out;
  StartOutcome outcome;
  outcome.method = "closed form";
  outcome.polished = true;
  if (!(rest > kNothing * total)) {
    out.run.status = outcome.status = Status::kDegenerate;
    out.run.degeneracy.kind = outcome.degeneracy.kind = Degeneracy::Kind::kSingular;
    out.starts.push_back(outcome);
    return out;
  }
  out.fitted = true;
  out.parameters.uniquenesses = VectorXd::Constant(p, rest);
  out.parameters.loadings =
      pairs.vectors.leftCols(q) * (pairs.values.head(q).array() - rest).max(0.0).sqrt().matrix().asDiagonal();
  const double d = static_cast<double>(p);
  out.run.objective.loglik = -0.5 * n * (d * kLog2Pi + pairs.values.head(q).array().log().sum() +
                                         (d - static_cast<double>(q)) * std::log(rest) + d);
  out.run.status = outcome.status = Status::kConverged;
  out.run.last_gain = out.run.rate = out.run.remaining_gain = 0.0;
  out.run.trace.push_back({out.run.objective, false});
  outcome.objective = out.run.objective;
  out.starts.push_back(outcome);
  return out;
}

}  // namespace emkit
