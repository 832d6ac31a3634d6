// R's view of one multivariate normal distribution with missing values.
#include "glue_fit.h"

#include <memory>

#include "core/models/mvn_impute.h"

using namespace emkit;

namespace {

// Data in units in which every column has mean 0 and variance 1, or the point's own mean and variance.
class ScaledProblem {
 public:
  ScaledProblem(const RawData& raw, const ColumnMoments& moments, const Rcpp::NumericMatrix& cell_priors, int threads)
      : center_(moments.mean),
        scale_(moments.sd),
        observations_(new Observations(raw, moments.mean, moments.sd)),
        statistics_(new PatternStatistics(*observations_, scaled_priors(cell_priors), threads)) {}

  // Of moments in the user's units.
  ScaledProblem(std::vector<PatternMoments> patterns, const ColumnMoments& moments)
      : center_(moments.mean), scale_(moments.sd) {
    for (PatternMoments& p : patterns) {
      const size_t o = p.observed.size();
      for (size_t a = 0; a < o; ++a) {
        p.mean[a] = (p.mean[a] - center_[p.observed[a]]) / scale_[p.observed[a]];
        for (size_t b = 0; b < o; ++b) p.scatter[a * o + b] /= scale_[p.observed[a]] * scale_[p.observed[b]];
      }
    }
    statistics_.reset(new PatternStatistics(scale_.size(), patterns));
  }

  const Observations& observations() const { return *observations_; }
  const PatternStatistics& statistics() const { return *statistics_; }
  const std::vector<double>& scales() const { return scale_; }
  double total_log_scale() const { return scale().array().log().sum(); }

  VectorXd scaled_mean(const VectorXd& m) const { return (m - center()).cwiseQuotient(scale()); }
  VectorXd user_mean(const VectorXd& m) const { return center() + scale().cwiseProduct(m); }
  MatrixXd scaled_matrix(const MatrixXd& s) const {
    const VectorXd inverse = scale().cwiseInverse();
    return inverse.asDiagonal() * s * inverse.asDiagonal();
  }
  MatrixXd user_matrix(const MatrixXd& s) const { return scale().asDiagonal() * s * scale().asDiagonal(); }

  MvnPrior prior(const Rcpp::Nullable<Rcpp::List>& prior) const {
    MvnPrior out;
    if (prior.isNull()) return out;
    const Rcpp::List p(prior.get());
    out.exponent = Rcpp::as<double>(p["exponent"]);
    if (!Rf_isNull(p["scale"])) out.scale = scaled_matrix(Rcpp::as<MatrixXd>(p["scale"]));
    return out;
  }

  // The objective of the scaled data in the user's units.
  Objective user_objective(Objective o, const MvnPrior& prior) const {
    o.loglik -= scale().array().log().matrix().dot(statistics_->pair_weight().diagonal());
    o.log_prior -= prior.exponent * total_log_scale();
    return o;
  }

  CellBounds scaled_bounds(const Rcpp::NumericVector& lower, const Rcpp::NumericVector& upper) const {
    CellBounds out;
    // None, or for every column.
    if (upper.size() != lower.size() || (lower.size() > 0 && static_cast<size_t>(lower.size()) != center_.size()))
      Rcpp::stop("there must be limits for every column, or none");
    for (R_xlen_t j = 0; j < lower.size(); ++j) {
      const size_t i = static_cast<size_t>(j);
      out.lower.push_back((lower[j] - center_[i]) / scale_[i]);
      out.upper.push_back((upper[j] - center_[i]) / scale_[i]);
    }
    return out;
  }

  std::vector<CellPrior> scaled_priors(const Rcpp::NumericMatrix& m) const {
    std::vector<CellPrior> out;
    for (int i = 0; i < m.nrow(); ++i) {
      const size_t j = static_cast<size_t>(m(i, 1)) - 1;
      out.push_back({static_cast<size_t>(m(i, 0)) - 1, j, (m(i, 2) - center_[j]) / scale_[j], m(i, 3) / scale_[j]});
    }
    std::stable_sort(out.begin(), out.end(), [](const CellPrior& a, const CellPrior& b) { return a.row < b.row; });
    return out;
  }

 private:
  Eigen::Map<const VectorXd> center() const { return {center_.data(), static_cast<Index>(center_.size())}; }
  Eigen::Map<const VectorXd> scale() const { return {scale_.data(), static_cast<Index>(scale_.size())}; }

  std::vector<double> center_, scale_;
  std::unique_ptr<Observations> observations_;
  std::unique_ptr<PatternStatistics> statistics_;
};

ColumnMoments own_moments(const VectorXd& mean, const MatrixXd& covariance) {
  ColumnMoments m;
  for (Index j = 0; j < mean.size(); ++j) {
    m.mean.push_back(mean(j));
    m.sd.push_back(std::sqrt(covariance(j, j)));
  }
  return m;
}

Rcpp::NumericMatrix as_numeric_matrix(const MatrixXd& m) {
  Rcpp::NumericMatrix out(static_cast<int>(m.rows()), static_cast<int>(m.cols()));
  std::copy(m.data(), m.data() + m.size(), out.begin());
  return out;
}
Rcpp::NumericVector as_numeric(const VectorXd& v) { return Rcpp::NumericVector(v.data(), v.data() + v.size()); }

MvnControl as_mvn_control(const Rcpp::List& list) {
  MvnControl c;
  c.em.tol = Rcpp::as<double>(list["tol"]);
  c.em.max_iter = Rcpp::as<int>(list["max_iter"]);
  c.accelerator = Rcpp::as<std::string>(list["acceleration"]);
  c.n_starts = Rf_isNull(list["n_starts"]) ? 0 : Rcpp::as<int>(list["n_starts"]);
  c.key = as_key(list["key"]);
  return c;
}

EmResult in_user_units(EmResult run, const ScaledProblem& problem, const MvnPrior& prior) {
  run.objective = problem.user_objective(run.objective, prior);
  for (TracePoint& t : run.trace) t.objective = problem.user_objective(t.objective, prior);
  return run;
}

// The patterns: which variables they observe (P x d), rows and weights. Rows with cell priors count as patterns.
Rcpp::List patterns_of(const PatternStatistics& data) {
  const int n = static_cast<int>(data.groups().size());
  Rcpp::LogicalMatrix observed(n, static_cast<int>(data.d()));
  Rcpp::NumericVector rows(n), weight(n);
  for (int k = 0; k < n; ++k) {
    const PatternGroup& g = data.groups()[static_cast<size_t>(k)];
    for (size_t j : g.pattern->observed) observed(k, static_cast<int>(j)) = TRUE;
    rows[k] = static_cast<double>(g.n_rows);
    weight[k] = g.n;
  }
  return Rcpp::List::create(Rcpp::Named("observed") = observed, Rcpp::Named("rows") = rows,
                            Rcpp::Named("weight") = weight);
}

// What mvnorm_statistics_ gives, and the moments of all observed cells.
std::vector<PatternMoments> as_patterns(const Rcpp::List& statistics, ColumnMoments& moments) {
  const Rcpp::LogicalMatrix observed = statistics["observed"];
  const Rcpp::NumericMatrix mean = statistics["mean"];
  const Rcpp::NumericVector rows = statistics["rows"], weight = statistics["weight"];
  const Rcpp::List scatter = statistics["scatter"];
  const int n = observed.nrow(), d = observed.ncol();
  std::vector<PatternMoments> out(static_cast<size_t>(n));
  std::vector<double> total(static_cast<size_t>(d), 0.0), square(static_cast<size_t>(d), 0.0);
  moments.mean.assign(static_cast<size_t>(d), 0.0);
  for (int k = 0; k < n; ++k) {
    PatternMoments& p = out[static_cast<size_t>(k)];
    const Rcpp::NumericMatrix s = scatter[k];
    p.n_rows = rows[k];
    p.n = weight[k];
    for (int j = 0; j < d; ++j) {
      if (!observed(k, j)) continue;
      const size_t at = static_cast<size_t>(j);
      p.observed.push_back(at);
      p.mean.push_back(mean(k, j));
      const double shift = mean(k, j) - moments.mean[at], sum = total[at] + p.n;
      square[at] += s(j, j) + shift * shift * total[at] * p.n / sum;
      moments.mean[at] += shift * p.n / sum;
      total[at] = sum;
    }
    for (size_t a : p.observed)
      for (size_t b : p.observed) p.scatter.push_back(s(static_cast<int>(a), static_cast<int>(b)));
  }
  for (int j = 0; j < d; ++j) moments.sd.push_back(std::sqrt(square[static_cast<size_t>(j)] / total[static_cast<size_t>(j)]));
  return out;
}

Rcpp::List fit_problem(const ScaledProblem& problem, const Rcpp::Nullable<Rcpp::List>& prior, const Rcpp::List& starts,
                       const Rcpp::List& control, int threads, SEXP show) {
  const MvnControl mvn_control = as_mvn_control(control);
  const MvnPrior mvn_prior = problem.prior(prior);
  std::vector<MvnStart> given;
  for (R_xlen_t i = 0; i < starts.size(); ++i) {
    const Rcpp::List s = starts[i];
    given.push_back({Rcpp::as<std::string>(s["method"]), problem.scaled_mean(Rcpp::as<VectorXd>(s["mean"])),
                     problem.scaled_matrix(Rcpp::as<MatrixXd>(s["covariance"]))});
  }
  Progress progress;
  progress.total = 1;
  RInterrupt interrupt(progress, show);
  std::atomic<bool> stop{false};
  MvnFit fit(problem.statistics(), mvn_prior, mvn_control, threads, stop, interrupt, progress);
  const MvnFitResult result = fit.fit(given);
  if (stop.load()) throw Rcpp::internal::InterruptedException();

  const R_xlen_t n = static_cast<R_xlen_t>(result.runs.size());
  Rcpp::CharacterVector method(n), status(n);
  Rcpp::NumericVector loglik(n), log_prior(n);
  Rcpp::IntegerVector iterations(n);
  Rcpp::LogicalVector escaped(n);
  Rcpp::List parameters(n);
  for (R_xlen_t i = 0; i < n; ++i) {
    const MvnRun& run = result.runs[static_cast<size_t>(i)];
    const bool usable = run.result.status != Status::kDegenerate;
    const Objective o = problem.user_objective(run.result.objective, mvn_prior);
    method[i] = run.method;
    status[i] = status_name(run.result.status);
    loglik[i] = usable ? o.loglik : NA_REAL;
    log_prior[i] = usable ? o.log_prior : NA_REAL;
    iterations[i] = run.result.iterations;
    escaped[i] = run.escaped;
    parameters[i] = Rcpp::List::create(Rcpp::Named("mean") = as_numeric(problem.user_mean(run.mean)),
                                       Rcpp::Named("covariance") = as_numeric_matrix(problem.user_matrix(run.covariance)));
  }
  const MvnRun& best = result.runs[result.best];
  Rcpp::List out = from_run(in_user_units(best.result, problem, mvn_prior), mvn_control.accelerator);
  out["closed_form"] = result.closed_form;
  out["newton"] = result.newton;
  out["best"] = static_cast<int>(result.best) + 1;
  out["left"] = as_numeric(result.left);
  out["null_directions"] = as_numeric_matrix(result.null_directions);
  out["scale"] = problem.scales();
  out["worst"] = result.worst;
  out["nobs"] = problem.statistics().n();
  out["starts"] = Rcpp::DataFrame::create(
      Rcpp::Named("method") = method, Rcpp::Named("loglik") = loglik, Rcpp::Named("log_prior") = log_prior,
      Rcpp::Named("status") = status, Rcpp::Named("iterations") = iterations, Rcpp::Named("escaped") = escaped,
      Rcpp::Named("stringsAsFactors") = false);
  out["parameters"] = parameters;
  out["patterns"] = patterns_of(problem.statistics());
  out["pair_weight"] = as_numeric_matrix(problem.statistics().pair_weight());
  return out;
}

}  // namespace

// Fits mean and covariance. `prior`: list(exponent, scale) in the user's units, or NULL. `cell_priors`: rows of row and
// column (from 1), mean and standard deviation. `starts`: lists of method, mean and covariance; empty: automatic ones.
// [[Rcpp::export(rng = false)]]
Rcpp::List mvnorm_fit_(Rcpp::NumericMatrix x, Rcpp::Nullable<Rcpp::NumericVector> weights,
                       Rcpp::Nullable<Rcpp::List> prior, Rcpp::NumericMatrix cell_priors, Rcpp::List starts,
                       Rcpp::List control, int threads, SEXP show) {
  const RawInput input(x, weights, R_NilValue);
  const RawData raw = input.raw();
  const ScaledProblem problem(raw, column_moments(raw, threads), cell_priors, threads);
  return fit_problem(problem, prior, starts, control, threads, show);
}

// The same from the moments of patterns (see mvnorm_statistics_).
// [[Rcpp::export(rng = false)]]
Rcpp::List mvnorm_fit_statistics_(Rcpp::List statistics, Rcpp::Nullable<Rcpp::List> prior, Rcpp::List starts,
                                  Rcpp::List control, int threads) {
  ColumnMoments moments;
  const std::vector<PatternMoments> patterns = as_patterns(statistics, moments);
  const ScaledProblem problem(patterns, moments);
  return fit_problem(problem, prior, starts, control, threads, R_NilValue);
}

// The moments of the patterns of the data, in the user's units: observed (P x p), rows, weight, mean (P x p, NA where not
// observed), scatter (P matrices, p x p).
// [[Rcpp::export(rng = false)]]
Rcpp::List mvnorm_statistics_(Rcpp::NumericMatrix x, Rcpp::Nullable<Rcpp::NumericVector> weights, int threads) {
  const RawInput input(x, weights, R_NilValue);
  const RawData raw = input.raw();
  // A piece of the data may have constant or empty columns: units that always exist.
  ColumnMoments units = column_moments(raw, threads);
  for (size_t j = 0; j < raw.d; ++j) {
    if (!(units.sd[j] > 0.0) || !std::isfinite(units.sd[j])) units.sd[j] = 1.0;
    if (!std::isfinite(units.mean[j])) units.mean[j] = 0.0;
  }
  const ScaledProblem problem(raw, units, Rcpp::NumericMatrix(0, 4), threads);
  Rcpp::List out = patterns_of(problem.statistics());
  const int n = static_cast<int>(problem.statistics().groups().size()), d = x.ncol();
  Rcpp::NumericMatrix mean(n, d);
  std::fill(mean.begin(), mean.end(), NA_REAL);
  Rcpp::List scatter(n);
  for (int k = 0; k < n; ++k) {
    const PatternGroup& g = problem.statistics().groups()[static_cast<size_t>(k)];
    const std::vector<double> s = problem.statistics().scatter(g);
    Rcpp::NumericMatrix full(d, d);
    const size_t o = g.n_observed();
    for (size_t a = 0; a < o; ++a) {
      const size_t i = g.pattern->observed[a];
      mean(k, static_cast<int>(i)) = units.mean[i] + units.sd[i] * g.mean[i];
      for (size_t b = 0; b < o; ++b) {
        const size_t j = g.pattern->observed[b];
        full(static_cast<int>(i), static_cast<int>(j)) = s[a * o + b] * units.sd[i] * units.sd[j];
      }
    }
    scatter[k] = full;
  }
  out["mean"] = mean;
  out["scatter"] = scatter;
  return out;
}

// At given parameters: score and information (`what`: "observed", "expected" or "none") in whitened coordinates, `complete`:
// the diagonal of that of complete data, `jacobian`: of the means and the lower triangle of the covariance by columns, in
// units in which the variables have variance 1, by these coordinates; `meat`: "none", "weights" or "squared weights", the
// sum of the scores' outer products times these; `distances`: the parts of Little's test.
// [[Rcpp::export(rng = false)]]
Rcpp::List mvnorm_information_(Rcpp::NumericMatrix x, Rcpp::Nullable<Rcpp::NumericVector> weights,
                               Rcpp::Nullable<Rcpp::List> prior, Rcpp::NumericMatrix cell_priors,
                               Rcpp::NumericVector mean, Rcpp::NumericMatrix covariance, std::string what,
                               std::string meat, int threads) {
  const RawInput input(x, weights, R_NilValue);
  const VectorXd mu = Rcpp::as<VectorXd>(mean);
  const MatrixXd sigma = Rcpp::as<MatrixXd>(covariance);
  const ScaledProblem problem(input.raw(), own_moments(mu, sigma), cell_priors, threads);
  MvnMissing model(problem.statistics(), problem.prior(prior), threads);
  if (!model.set_parameters(problem.scaled_mean(mu), problem.scaled_matrix(sigma)) || !model.e_step().finite())
    Rcpp::stop("the covariance matrix is not positive definite");
  const MvnInformation information(model, threads);
  MatrixXd m, products;
  const auto kind = what == "expected" ? MvnInformation::Kind::kExpected : MvnInformation::Kind::kObserved;
  if (what != "none" && !information.compute(kind, m)) Rcpp::stop("the information is not finite");
  if (meat != "none") products = information.score_products(problem.observations(), meat == "squared weights");
  return Rcpp::List::create(Rcpp::Named("information") = as_numeric_matrix(m),
                            Rcpp::Named("complete") = as_numeric(information.complete()),
                            Rcpp::Named("jacobian") = as_numeric_matrix(what == "none" ? MatrixXd() : information.jacobian()),
                            Rcpp::Named("score") = as_numeric(information.score()),
                            Rcpp::Named("meat") = as_numeric_matrix(products),
                            Rcpp::Named("distances") = information.shift_distances(),
                            Rcpp::Named("patterns") = patterns_of(problem.statistics()));
}

namespace {

ImputeMethod impute_method(const std::string& name) {
  return name == "posterior" ? ImputeMethod::kPosterior : name == "bootstrap" ? ImputeMethod::kBootstrap : ImputeMethod::kMean;
}

}  // namespace

// Imputes the missing cells m times from the mode `fit` (mean and covariance). `posterior_prior`: list(exponent, scale) of
// the posterior draws; `prior`: of the bootstrap fits, or NULL. `lower` and `upper`: limits of each column's missing
// cells. `values`: for each column with missing cells the count x m matrix, in the order of rows.
// [[Rcpp::export(rng = false)]]
Rcpp::List mvnorm_impute_(Rcpp::NumericMatrix x, Rcpp::List fit, Rcpp::Nullable<Rcpp::List> prior,
                          Rcpp::List posterior_prior, std::string method, int m, int first, int spacing,
                          Rcpp::NumericVector lower, Rcpp::NumericVector upper, Rcpp::NumericMatrix cell_priors,
                          Rcpp::List control, int n_traced, int threads, SEXP show) {
  const RawInput input(x, R_NilValue, R_NilValue);
  const RawData raw = input.raw();
  const VectorXd mu = Rcpp::as<VectorXd>(fit["mean"]);
  const MatrixXd sigma = Rcpp::as<MatrixXd>(fit["covariance"]);
  const ScaledProblem problem(raw, own_moments(mu, sigma), cell_priors, threads);
  MvnPoint mode;
  mode.mean = problem.scaled_mean(mu);
  mode.covariance = problem.scaled_matrix(sigma);
  if (!mode.factor()) Rcpp::stop("the covariance matrix is not positive definite");
  const ImputedCells cells(raw, problem.scaled_priors(cell_priors));
  const MvnControl mvn_control = as_mvn_control(control);
  ImputePlan plan;
  plan.method = impute_method(method);
  plan.m = static_cast<size_t>(m);
  plan.first = static_cast<size_t>(first);
  plan.spacing = spacing;
  plan.n_traced = static_cast<size_t>(n_traced);
  plan.key = mvn_control.key;
  plan.bounds = problem.scaled_bounds(lower, upper);

  Rcpp::List values;
  Rcpp::IntegerVector columns;
  std::vector<double*> at(raw.d, nullptr);
  for (size_t j = 0; j < raw.d; ++j) {
    if (cells.count(j) == 0) continue;
    Rcpp::NumericMatrix block(static_cast<int>(cells.count(j)), m);
    at[j] = block.begin();
    values.push_back(block);
    columns.push_back(static_cast<int>(j) + 1);
  }
  Progress progress;
  RInterrupt interrupt(progress, show);
  MvnImputer imputer(problem.observations(), problem.statistics(), cells, problem.prior(posterior_prior),
                     problem.prior(prior), mvn_control, plan, mode, interrupt, progress);
  const std::vector<Imputed> drawn = imputer.run(at, threads);
  if (imputer.stopped()) throw Rcpp::internal::InterruptedException();

  const Index d = static_cast<Index>(raw.d);
  Rcpp::NumericMatrix means(static_cast<int>(d), m);
  std::vector<MatrixXd> covariances;
  Rcpp::LogicalVector fine(m), retried(m);
  std::vector<double> trace;
  for (int i = 0; i < m; ++i) {
    const Imputed& draw = drawn[static_cast<size_t>(i)];
    fine[i] = draw.status == Status::kConverged;
    retried[i] = draw.retried;
    const VectorXd mean = problem.user_mean(draw.mean);
    std::copy(mean.data(), mean.data() + d, means.begin() + static_cast<R_xlen_t>(i) * d);
    covariances.push_back(problem.user_matrix(draw.covariance));
    for (size_t s = 0; s < draw.trace.size(); ++s) {
      trace.push_back(i + first + 1);
      trace.push_back(static_cast<double>(s) + 1);
      const VectorXd level = problem.user_mean(draw.trace[s].head(d));
      for (Index j = 0; j < d; ++j) trace.push_back(level(j));
      for (Index j = 0; j < d; ++j) {
        const double scale = problem.observations().scale()[static_cast<size_t>(j)];
        trace.push_back(draw.trace[s](d + j) * scale * scale);
      }
    }
  }
  const int width = static_cast<int>(2 * d + 2);
  Rcpp::NumericMatrix traced(static_cast<int>(trace.size()) / width, width);
  for (int r = 0; r < traced.nrow(); ++r)
    for (int c = 0; c < width; ++c) traced(r, c) = trace[static_cast<size_t>(r * width + c)];
  return Rcpp::List::create(Rcpp::Named("values") = values, Rcpp::Named("columns") = columns,
                            Rcpp::Named("mean") = means, Rcpp::Named("covariance") = as_array(covariances, raw.d),
                            Rcpp::Named("fine") = fine, Rcpp::Named("retried") = retried,
                            Rcpp::Named("monotone") = imputer.monotone(), Rcpp::Named("trace") = traced);
}

namespace {

RowQuantity row_quantity(const std::string& name) {
  if (name == "mean") return RowQuantity::kMean;
  if (name == "draw") return RowQuantity::kDraw;
  if (name == "sd") return RowQuantity::kDeviation;
  return name == "distance" ? RowQuantity::kDistance : RowQuantity::kLogDensity;
}

}  // namespace

// Rows at given parameters. `what`: "mean" or "draw" (n x p, missing cells filled in), "sd" (n x p conditional standard
// deviations, 0 where observed), "log_density" or "distance" (n, of the observed cells). `key`: of the draws.
// [[Rcpp::export(rng = false)]]
SEXP mvnorm_rows_(Rcpp::NumericMatrix x, Rcpp::NumericVector mean, Rcpp::NumericMatrix covariance, std::string what,
                  Rcpp::NumericVector lower, Rcpp::NumericVector upper, Rcpp::NumericVector key, int threads) {
  const RawInput input(x, R_NilValue, R_NilValue);
  const RawData raw = input.raw();
  const VectorXd mu = Rcpp::as<VectorXd>(mean);
  const MatrixXd sigma = Rcpp::as<MatrixXd>(covariance);
  const ColumnMoments units = own_moments(mu, sigma);
  MvnPoint point;
  point.mean = VectorXd::Zero(mu.size());
  point.covariance = sigma;
  for (Index i = 0; i < mu.size(); ++i)
    for (Index j = 0; j < mu.size(); ++j)
      point.covariance(i, j) /= units.sd[static_cast<size_t>(i)] * units.sd[static_cast<size_t>(j)];
  if (!point.factor()) Rcpp::stop("the covariance matrix is not positive definite");
  CellBounds bounds;
  for (R_xlen_t j = 0; j < lower.size(); ++j) {
    const size_t i = static_cast<size_t>(j);
    bounds.lower.push_back((lower[j] - units.mean[i]) / units.sd[i]);
    bounds.upper.push_back((upper[j] - units.mean[i]) / units.sd[i]);
  }
  const bool density = what == "log_density" || what == "distance";
  Rcpp::NumericMatrix filled(density ? 0 : x.nrow(), density ? 0 : x.ncol());
  Rcpp::NumericVector scalar(density ? x.nrow() : 0);
  if (!density) {
    if (what == "sd")
      std::fill(filled.begin(), filled.end(), 0.0);
    else
      std::copy(x.begin(), x.end(), filled.begin());
  }
  const bool fine = evaluate_rows(raw, point, units, row_quantity(what), bounds, as_key(key), threads,
                                  density ? scalar.begin() : filled.begin());
  if (!fine) Rcpp::stop("the covariance matrix of a pattern's variables is not positive definite");
  if (density) return scalar;
  return filled;
}
