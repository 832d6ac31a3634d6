// R's view of factor analysis with missing values.
#include "glue_fit.h"

#include "core/models/factor_problem.h"
#include "core/models/factor_rows.h"

using namespace emkit;

namespace {

FactorNoise as_factor_noise(const std::string& type) {
  return type == "ppca" ? FactorNoise::kCommon : FactorNoise::kFree;
}

FactorMissingPoint as_scaled_point(const Rcpp::List& parameters, const FactorMissingProblem& problem) {
  FactorMissingPoint out;
  out.mean = problem.scaled_mean(Rcpp::as<VectorXd>(parameters["mean"]));
  out.loadings = problem.scaled_loadings(Rcpp::as<MatrixXd>(parameters["loadings"]));
  out.uniquenesses = problem.scaled_uniquenesses(Rcpp::as<VectorXd>(parameters["uniquenesses"]));
  return out;
}

FactorMissingStart as_start(const Rcpp::List& s, const FactorMissingProblem& problem) {
  FactorMissingStart out;
  out.method = Rcpp::as<std::string>(s["method"]);
  out.random = out.method == "random";
  if (s.containsElementNamed("mean")) out.mean = problem.scaled_mean(Rcpp::as<VectorXd>(s["mean"]));
  if (s.containsElementNamed("loadings")) out.loadings = problem.scaled_loadings(Rcpp::as<MatrixXd>(s["loadings"]));
  if (s.containsElementNamed("uniquenesses"))
    out.uniquenesses = problem.scaled_uniquenesses(Rcpp::as<VectorXd>(s["uniquenesses"]));
  if (s.containsElementNamed("key")) out.key = as_key(s["key"]);
  return out;
}

Rcpp::List from_point(const FactorMissingPoint& point) {
  return Rcpp::List::create(
      Rcpp::Named("mean") = Rcpp::NumericVector(point.mean.data(), point.mean.data() + point.mean.size()),
      Rcpp::Named("loadings") = point.loadings,
      Rcpp::Named("uniquenesses") =
          Rcpp::NumericVector(point.uniquenesses.data(), point.uniquenesses.data() + point.uniquenesses.size()));
}

// R's positions of the variables whose uniqueness is at its bound.
Rcpp::IntegerVector at_bound(const VectorXd& uniquenesses) {
  Rcpp::IntegerVector out;
  for (const Index j : variables_at_bound(uniquenesses)) out.push_back(static_cast<int>(j) + 1);
  return out;
}

}  // namespace

// Fits a factor model to rows with NA. Parameters in the units of the data, the loadings in canonical form; `heywood`:
// variables whose uniqueness ended at 0 (or at the least value that numbers allow).
// [[Rcpp::export(rng = false)]]
Rcpp::List fa_missing_(Rcpp::NumericMatrix x, Rcpp::Nullable<Rcpp::NumericVector> weights, int q, std::string type,
                       Rcpp::List starts, Rcpp::List control, int threads, SEXP show) {
  const RawInput input(x, weights, R_NilValue);
  const FactorNoise noise = as_factor_noise(type);
  const FactorMissingProblem problem(input.raw(), noise, threads);
  MultiStartControl c = as_multi_start_control(control);
  c.threads = threads;
  c.by_start = problem.rows().n_tiles() < 2 * static_cast<size_t>(threads);

  MultiStartFit<FactorMissing> fit;
  if (problem.unusable() >= 0) {
    fit.run.status = Status::kDegenerate;
    fit.run.degeneracy.kind = Degeneracy::Kind::kSingular;
    fit.run.degeneracy.component = static_cast<size_t>(problem.unusable());
  } else {
    std::vector<FactorMissingStart> points;
    for (R_xlen_t i = 0; i < starts.size(); ++i) points.push_back(as_start(starts[i], problem));
    Progress progress;
    progress.total = points.size();
    std::atomic<bool> stop{false};
    RInterrupt user(progress, show);
    StopOnInterrupt interrupt(stop, user);
    fit = fit_factor_missing(problem.rows(), static_cast<size_t>(q), noise, points, c, stop, interrupt, progress);
    if (stop.load()) throw Rcpp::internal::InterruptedException();
    shift_loglik(-problem.log_jacobian(), fit.run, fit.starts);
  }
  Rcpp::List out = from_run(fit.run, c.accelerator);
  Rcpp::IntegerVector heywood;
  if (fit.fitted) {
    out["parameters"] = from_point(problem.user_point(fit.state));
    heywood = at_bound(fit.state.uniquenesses);
  } else {
    out["parameters"] = R_NilValue;
  }
  out["starts"] = from_starts(fit.starts);
  Rcpp::List boundaries;
  for (const FactorMissingPoint& state : fit.states) boundaries.push_back(at_bound(state.uniquenesses));
  out["start_heywood"] = boundaries;
  out["heywood"] = heywood;
  out["log_det_saturated"] = NA_REAL;
  return out;
}

// Observed information of mean, loadings (column by column) and log uniquenesses (one for type "ppca").
// [[Rcpp::export(rng = false)]]
Rcpp::NumericMatrix fa_missing_information_(Rcpp::NumericMatrix x, Rcpp::Nullable<Rcpp::NumericVector> weights,
                                            Rcpp::List parameters, std::string type, int threads) {
  const RawInput input(x, weights, R_NilValue);
  const FactorNoise noise = as_factor_noise(type);
  const FactorMissingProblem problem(input.raw(), noise, threads);
  if (problem.unusable() >= 0) Rcpp::stop("a variable is constant or never observed");
  const MatrixXd scaled =
      factor_missing_information(problem.rows(), as_scaled_point(parameters, problem), noise, threads);
  const VectorXd unit = problem.scaled_loadings(MatrixXd::Ones(x.ncol(), 1));
  const Index p = unit.size();
  VectorXd jacobian = VectorXd::Ones(scaled.rows());
  const Index q = Rcpp::as<MatrixXd>(parameters["loadings"]).cols();
  for (Index a = 0; a <= q; ++a) jacobian.segment(a * p, p) = unit;
  const MatrixXd information = jacobian.asDiagonal() * scaled * jacobian.asDiagonal();
  return Rcpp::wrap(information);
}

// Regression scores, imputed cells and log densities of rows with NA; Bartlett's scores too where asked for.
// [[Rcpp::export(rng = false)]]
Rcpp::List fa_rows_(Rcpp::NumericMatrix x, Rcpp::List parameters, bool with_bartlett, int threads) {
  const RawInput input(x, R_NilValue, R_NilValue);
  const MatrixXd loadings = Rcpp::as<MatrixXd>(parameters["loadings"]);
  const int n = x.nrow(), q = static_cast<int>(loadings.cols());
  Rcpp::NumericMatrix regression(n, q), bartlett(with_bartlett ? n : 0, q), imputed = Rcpp::clone(x);
  Rcpp::NumericVector loglik(n);
  evaluate_factor_rows(input.raw(), Rcpp::as<VectorXd>(parameters["mean"]), loadings,
                       Rcpp::as<VectorXd>(parameters["uniquenesses"]), threads,
                       {regression.begin(), with_bartlett ? bartlett.begin() : nullptr, imputed.begin(),
                        loglik.begin()});
  // NaN of the core is R's NA.
  for (double& b : bartlett)
    if (std::isnan(b)) b = NA_REAL;
  Rcpp::List out = Rcpp::List::create(Rcpp::Named("regression") = regression, Rcpp::Named("imputed") = imputed,
                                      Rcpp::Named("loglik") = loglik);
  if (with_bartlett) out["bartlett"] = bartlett;
  return out;
}
