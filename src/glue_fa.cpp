// R's view of factor analysis of complete data.
#include "glue_fit.h"

#include "core/models/factor_fit.h"
#include "core/models/factor_information.h"

using namespace emkit;

namespace {

// Complete data or their covariance, in the core's units: every column of variance 1, or (`common`) all divided by one
// number.
class FactorProblem {
 public:
  FactorProblem(const Rcpp::List& data, bool common, int threads) : n_(Rcpp::as<double>(data["n"])) {
    if (Rf_isNull(data["x"])) {
      const MatrixXd s = Rcpp::as<MatrixXd>(data["covariance"]);
      mean_ = Rcpp::as<VectorXd>(data["mean"]);
      set_scale(s.diagonal().cwiseSqrt(), common);
      const VectorXd inverse = scale_.cwiseInverse();
      moments_ = FactorMoments::of_matrix(inverse.asDiagonal() * s * inverse.asDiagonal());
      return;
    }
    const RawInput input(Rcpp::as<Rcpp::NumericMatrix>(data["x"]), data["weights"], R_NilValue);
    const RawData raw = input.raw();
    const ColumnMoments columns = column_moments(raw, threads);
    mean_ = Eigen::Map<const VectorXd>(columns.mean.data(), static_cast<Index>(raw.d));
    set_scale(Eigen::Map<const VectorXd>(columns.sd.data(), static_cast<Index>(raw.d)), common);
    moments_ = FactorMoments::of_rows_or_matrix(weighted_rows(raw, columns, scale_, n_, threads), threads);
  }

  const FactorMoments& moments() const { return moments_; }
  const VectorXd& mean() const { return mean_; }
  const VectorXd& scale() const { return scale_; }
  double n() const { return n_; }
  double log_jacobian() const { return n_ * scale_.array().log().sum(); }

  std::vector<FactorStart> starts(const Rcpp::List& given) const {
    std::vector<FactorStart> out;
    for (R_xlen_t i = 0; i < given.size(); ++i) {
      const Rcpp::List s = given[i];
      FactorStart start;
      start.method = Rcpp::as<std::string>(s["method"]);
      if (has(s, "uniquenesses"))
        start.uniquenesses = Rcpp::as<VectorXd>(s["uniquenesses"]).cwiseQuotient(scale_.cwiseAbs2());
      if (has(s, "loadings")) start.loadings = scale_.cwiseInverse().asDiagonal() * Rcpp::as<MatrixXd>(s["loadings"]);
      if (has(s, "key")) start.key = as_key(s["key"]);
      out.push_back(start);
    }
    return out;
  }

  // log |S| in the user's units; NA where S is singular, or too large to look.
  double log_det() const {
    constexpr Index kLargest = 1500;
    if (!moments_.formed() || moments_.size() > kLargest) return NA_REAL;
    const Eigen::LLT<MatrixXd> root(moments_.matrix());
    if (root.info() != Eigen::Success) return NA_REAL;
    const Eigen::ArrayXd pivots = root.matrixLLT().diagonal().array();
    if (!(pivots.square() > 1e-13 * moments_.variances().array()).all()) return NA_REAL;
    return 2.0 * (pivots.log().sum() + scale_.array().log().sum());
  }

 private:
  static bool has(const Rcpp::List& list, const char* name) {
    return list.containsElementNamed(name) && !Rf_isNull(list[name]);
  }

  void set_scale(const VectorXd& sd, bool common) {
    scale_ = common ? VectorXd::Constant(sd.size(), std::exp(sd.array().log().mean())) : sd;
  }

  double n_;
  VectorXd mean_, scale_;
  FactorMoments moments_;
};

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
  const FactorProblem problem(data, common, threads);
  MultiStartControl c = as_multi_start_control(control);
  c.threads = threads;
  Progress progress;
  progress.total = static_cast<size_t>(std::max<R_xlen_t>(1, starts.size()));
  RInterrupt interrupt(progress, show);
  std::atomic<bool> stop{false};
  FactorFitResult fit = common ? fit_principal_components(problem.moments(), q, problem.n(), threads)
                               : fit_factor_analysis(problem.moments(), q, problem.n(), problem.starts(starts), c, stop,
                                                     interrupt, progress);
  if (stop.load()) throw Rcpp::internal::InterruptedException();
  shift_loglik(-problem.log_jacobian(), fit.run, fit.starts);

  Rcpp::List out = from_run(fit.run, c.accelerator);
  Rcpp::IntegerVector heywood;
  if (fit.fitted) {
    heywood = as_positions(fit.parameters.boundary);
    const MatrixXd loadings = problem.scale().asDiagonal() * fit.parameters.loadings;
    const VectorXd psi = fit.parameters.uniquenesses.cwiseProduct(problem.scale().cwiseAbs2());
    out["parameters"] = Rcpp::List::create(Rcpp::Named("mean") = problem.mean(), Rcpp::Named("loadings") = loadings,
                                           Rcpp::Named("uniquenesses") = psi);
  } else {
    out["parameters"] = R_NilValue;
  }
  out["starts"] = from_starts(fit.starts);
  Rcpp::List boundaries;
  for (const std::vector<Index>& boundary : fit.boundaries) boundaries.push_back(as_positions(boundary));
  out["start_heywood"] = boundaries;
  out["heywood"] = heywood;
  out["log_det_saturated"] = problem.log_det();
  return out;
}

// Observed information of complete data at given parameters, by mean, loadings (column by column) and log uniquenesses
// (of "ppca" one).
// [[Rcpp::export(rng = false)]]
Rcpp::NumericMatrix fa_information_(Rcpp::List data, Rcpp::List parameters, std::string type, int threads) {
  const FactorProblem problem(data, false, threads);
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
