// R's view of factor analysis of complete data.
#include "glue_fit.h"

#include "core/models/factor_bootstrap.h"
#include "core/models/factor_information.h"

using namespace emkit;

namespace {

FactorProblem as_problem(const Rcpp::List& data, bool common, int threads) {
  const double n = Rcpp::as<double>(data["n"]);
  if (Rf_isNull(data["x"]))
    return FactorProblem(Rcpp::as<VectorXd>(data["mean"]), Rcpp::as<MatrixXd>(data["covariance"]), n, common);
  const RawInput input(Rcpp::as<Rcpp::NumericMatrix>(data["x"]), data["weights"], R_NilValue);
  return FactorProblem(input.raw(), n, common, threads);
}

bool has(const Rcpp::List& list, const char* name) {
  return list.containsElementNamed(name) && !Rf_isNull(list[name]);
}

std::vector<FactorStart> as_starts(const Rcpp::List& given, const FactorProblem& problem) {
  std::vector<FactorStart> out;
  for (R_xlen_t i = 0; i < given.size(); ++i) {
    const Rcpp::List s = given[i];
    FactorStart start;
    start.method = Rcpp::as<std::string>(s["method"]);
    if (has(s, "uniquenesses")) start.uniquenesses = problem.scaled_uniquenesses(Rcpp::as<VectorXd>(s["uniquenesses"]));
    if (has(s, "loadings")) start.loadings = problem.scaled_loadings(Rcpp::as<MatrixXd>(s["loadings"]));
    if (has(s, "key")) start.key = as_key(s["key"]);
    out.push_back(start);
  }
  return out;
}

// R's positions of variables.
Rcpp::IntegerVector as_positions(const std::vector<Index>& variables) {
  Rcpp::IntegerVector out(static_cast<R_xlen_t>(variables.size()));
  for (size_t k = 0; k < variables.size(); ++k) out[static_cast<R_xlen_t>(k)] = static_cast<int>(variables[k]) + 1;
  return out;
}

}  // namespace

// Factor analysis ("fa") or probabilistic principal components ("ppca") of complete data. data: mean (p) and covariance
// (p x p, divisor n) or x (n x p) with weights (n or NULL); n. starts: lists of method ("default", "random", ...) and,
// as they have them, uniquenesses (p), loadings (p x q), key (of random ones, some of which become "boundary" ones).
// [[Rcpp::export(rng = false)]]
Rcpp::List fa_complete_(Rcpp::List data, int q, std::string type, Rcpp::List starts, Rcpp::List control, int threads,
                        SEXP show) {
  const bool common = type == "ppca";
  const FactorProblem problem = as_problem(data, common, threads);
  MultiStartControl c = as_multi_start_control(control);
  c.threads = threads;
  Progress progress;
  progress.total = static_cast<size_t>(std::max<R_xlen_t>(1, starts.size()));
  RInterrupt interrupt(progress, show);
  std::atomic<bool> stop{false};
  FactorFitResult fit = common ? fit_principal_components(problem.moments(), q, problem.n(), threads)
                               : fit_factor_analysis(problem.moments(), q, problem.n(), as_starts(starts, problem), c,
                                                     stop, interrupt, progress);
  if (stop.load()) throw Rcpp::internal::InterruptedException();
  shift_loglik(-problem.log_jacobian(), fit.run, fit.starts);

  Rcpp::List out = from_run(fit.run, c.accelerator);
  Rcpp::IntegerVector heywood;
  if (fit.fitted) {
    heywood = as_positions(fit.parameters.boundary);
    const FactorParameters user = problem.user_parameters(fit.parameters);
    out["parameters"] =
        Rcpp::List::create(Rcpp::Named("mean") = problem.mean(), Rcpp::Named("loadings") = user.loadings,
                           Rcpp::Named("uniquenesses") = user.uniquenesses);
  } else {
    out["parameters"] = R_NilValue;
  }
  out["starts"] = from_starts(fit.starts);
  Rcpp::List boundaries;
  for (const std::vector<Index>& boundary : fit.boundaries) boundaries.push_back(as_positions(boundary));
  out["start_heywood"] = boundaries;
  out["heywood"] = heywood;
  const double log_det = problem.log_det();
  out["log_det_saturated"] = std::isnan(log_det) ? NA_REAL : log_det;
  return out;
}

// Observed information of complete data at given parameters, by mean, loadings (column by column) and log uniquenesses
// (of "ppca" one).
// [[Rcpp::export(rng = false)]]
Rcpp::NumericMatrix fa_information_(Rcpp::List data, Rcpp::List parameters, std::string type, int threads) {
  const FactorProblem problem = as_problem(data, false, threads);
  const VectorXd& scale = problem.scale();
  const VectorXd inverse = scale.cwiseInverse();
  const VectorXd mean = Rcpp::as<VectorXd>(parameters["mean"]);
  const MatrixXd lambda = inverse.asDiagonal() * Rcpp::as<MatrixXd>(parameters["loadings"]);
  const VectorXd psi = Rcpp::as<VectorXd>(parameters["uniquenesses"]).cwiseProduct(inverse.cwiseAbs2());
  const VectorXd shift = (problem.mean() - mean).cwiseProduct(inverse);
  MatrixXd information;
  if (!factor_information(problem.moments().dense(threads), shift, problem.n(), lambda, psi, information))
    Rcpp::stop("the covariance matrix that the parameters imply is singular");
  const Index p = lambda.rows(), at_psi = p + lambda.size();
  for (Index k = 0; k < at_psi / p; ++k) {
    information.middleRows(k * p, p) = inverse.asDiagonal() * information.middleRows(k * p, p);
    information.middleCols(k * p, p) *= inverse.asDiagonal();
  }
  if (type == "ppca") {
    MatrixXd sum = MatrixXd::Zero(at_psi + p, at_psi + 1);
    sum.topLeftCorner(at_psi, at_psi).setIdentity();
    sum.col(at_psi).tail(p).setOnes();
    information = MatrixXd(sum.transpose() * information * sum);
  }
  return Rcpp::wrap(information);
}

// Fits the factor model to bootstrap replicates: `kind` is "nonparametric", "weighted" or "parametric". x (n x p, no
// rows that observe nothing) with weights, or NULL where only the covariance matrix of `n` rows is known
// ("parametric"). parameters: mean, loadings (p x q, unrotated) and uniquenesses, where every refit begins. Per
// replicate a column of mean (p), loadings (p q, canonical) and uniquenesses (p), NA where it could not be fitted;
// loglik, status, and heywood, the variables whose uniqueness is 0.
// [[Rcpp::export(rng = false)]]
Rcpp::List fa_bootstrap_(SEXP x, Rcpp::Nullable<Rcpp::NumericVector> weights, double n, Rcpp::List parameters,
                         std::string type, Rcpp::NumericVector key, Rcpp::List control, int n_boot, std::string kind,
                         int threads, SEXP show) {
  std::unique_ptr<RawInput> input;
  RawData raw;
  if (!Rf_isNull(x)) {
    input.reset(new RawInput(Rcpp::as<Rcpp::NumericMatrix>(x), weights, R_NilValue));
    raw = input->raw();
  }
  FactorBootstrapPlan plan;
  plan.resampling = as_resampling(kind);
  plan.n_boot = static_cast<size_t>(n_boot);
  plan.key = as_key(key);
  plan.common = type == "ppca";
  plan.n = n;
  plan.mean = Rcpp::as<VectorXd>(parameters["mean"]);
  plan.loadings = Rcpp::as<MatrixXd>(parameters["loadings"]);
  plan.uniquenesses = Rcpp::as<VectorXd>(parameters["uniquenesses"]);
  Progress progress;
  RInterrupt interrupt(progress, show);
  FactorBootstrap bootstrap(raw, plan, as_multi_start_control(control), interrupt, progress);
  const std::vector<FactorReplicate> replicates = bootstrap.run(threads);
  if (bootstrap.stopped()) throw Rcpp::internal::InterruptedException();

  const int p = static_cast<int>(plan.mean.size()), size = static_cast<int>(plan.loadings.size());
  Rcpp::NumericMatrix mean(p, n_boot), loadings(size, n_boot), uniquenesses(p, n_boot);
  Rcpp::NumericVector loglik(n_boot, NA_REAL);
  Rcpp::CharacterVector status(n_boot);
  Rcpp::List heywood(n_boot);
  for (Rcpp::NumericMatrix* m : {&mean, &loadings, &uniquenesses}) std::fill(m->begin(), m->end(), NA_REAL);
  for (int b = 0; b < n_boot; ++b) {
    const FactorReplicate& r = replicates[static_cast<size_t>(b)];
    status[b] = status_name(r.status);
    heywood[b] = as_positions(r.boundary);
    if (!r.fitted) continue;
    loglik[b] = r.loglik;
    std::copy(r.mean.data(), r.mean.data() + p, mean.column(b).begin());
    std::copy(r.loadings.data(), r.loadings.data() + size, loadings.column(b).begin());
    std::copy(r.uniquenesses.data(), r.uniquenesses.data() + p, uniquenesses.column(b).begin());
  }
  return Rcpp::List::create(Rcpp::Named("mean") = mean, Rcpp::Named("loadings") = loadings,
                            Rcpp::Named("uniquenesses") = uniquenesses, Rcpp::Named("loglik") = loglik,
                            Rcpp::Named("status") = status, Rcpp::Named("heywood") = heywood);
}
