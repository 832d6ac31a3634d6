// Fitting a factor analysis of complete data: where to start, and the closed form of principal components.
#pragma once
#include <algorithm>
#include <memory>
#include <numeric>
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
  bool known() const { return uniquenesses.size() > 0 || loadings.size() > 0; }
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
  std::vector<std::vector<Index>> boundaries;  // of each start's end
};

// Uniquenesses from squared multiple correlations (as factanal() has them), where S is regular and not large; empty
// elsewhere.
inline VectorXd uniquenesses_of_inverse(const FactorMoments& moments, Index q) {
  constexpr double kRegular = 1e-9;
  if (!moments.formed() || !FactorAnalysis::dense(moments.size(), q)) return {};
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

// Where to start. Local maxima differ above all in the variables whose uniqueness is 0. So two of three random starts
// are the default one with one uniqueness 0, the least ones first ("boundary"); the third draws all of them.
class FactorStarts {
 public:
  FactorStarts(const FactorMoments& moments, Index q, const std::vector<FactorStart>& given, int threads)
      : moments_(moments) {
    if (std::any_of(given.begin(), given.end(), [](const FactorStart& s) { return !s.known(); })) {
      default_ = uniquenesses_of_inverse(moments, q);
      if (default_.size() == 0) default_ = uniquenesses_of_components(moments, q, threads);
    }
    Index n_random = 0;
    for (const FactorStart& start : given) {
      methods_.push_back(start.method);
      uniquenesses_.push_back(of(start));
      if (start.known() || start.method != "random") continue;
      const Index boundary = n_random - n_random / 3;
      if (n_random++ % 3 == 2 || boundary >= moments.size()) continue;
      methods_.back() = "boundary";
      uniquenesses_.back() = default_;
      uniquenesses_.back()(ranked(boundary)) = 0.0;
    }
  }

  const std::vector<std::string>& methods() const { return methods_; }
  const VectorXd& uniquenesses(size_t i) const { return uniquenesses_[i]; }

 private:
  VectorXd of(const FactorStart& start) const {
    const VectorXd& s = moments_.variances();
    if (start.uniquenesses.size() > 0) return start.uniquenesses.cwiseMin(s);
    if (start.loadings.size() > 0)
      return (s - start.loadings.rowwise().squaredNorm()).cwiseMin(s).cwiseMax(0.005 * s);
    if (start.method != "random") return default_;
    CounterRng rng(start.key, 0);
    VectorXd psi(s.size());
    for (Index j = 0; j < s.size(); ++j) psi(j) = s(j) * (0.02 + 0.96 * rng.uniform());
    return psi;
  }

  // The variable of the default start's uniqueness number `rank`, ascending, relative to its variance.
  Index ranked(Index rank) const {
    std::vector<Index> order(static_cast<size_t>(default_.size()));
    std::iota(order.begin(), order.end(), Index{0});
    const VectorXd share = default_.cwiseQuotient(moments_.variances());
    std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return share(a) < share(b); });
    return order[static_cast<size_t>(rank)];
  }

  const FactorMoments& moments_;
  VectorXd default_;
  std::vector<std::string> methods_;
  std::vector<VectorXd> uniquenesses_;
};

inline FactorFitResult fit_factor_analysis(const FactorMoments& moments, Index q, double n,
                                           const std::vector<FactorStart>& starts, MultiStartControl control,
                                           std::atomic<bool>& stop, Interrupt& interrupt, Progress& progress) {
  control.by_start = starts.size() > 1;
  MultiStart<FactorAnalysis> search(control, stop, interrupt, progress);
  const FactorStarts from(moments, q, starts, control.threads);
  const auto make = [&](int threads) {
    return std::unique_ptr<FactorAnalysis>(new FactorAnalysis(moments, q, n, threads));
  };
  const auto begin = [&](FactorAnalysis& model, size_t i) {
    return model.set_uniquenesses(from.uniquenesses(i));
  };
  const MultiStartFit<FactorAnalysis> best = search.fit(from.methods(), make, begin);
  FactorFitResult out;
  out.fitted = best.fitted;
  out.run = best.run;
  out.starts = best.starts;
  for (const FactorAnalysis::State& state : best.states) out.boundaries.push_back(state.boundary);
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
  if (moments.formed() && FactorAnalysis::dense(p, q)) {
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
  out.parameters.loadings = principal_loadings(pairs, q, rest);
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
