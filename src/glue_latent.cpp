// R's view of the latent normal model for mixed data.
//
// x: n x C doubles, NA missing; kind (C): "continuous", "ordinal" (codes 1 .. L), "nominal" (codes 1 .. K), "censored"
// (-Inf and Inf at the mass points); levels (C): numbers of codes; mass (C x 2): the mass points of censored columns.
#include "glue.h"

#include "core/models/latent_normal_impute.h"
#include "core/models/latent_normal_loglik.h"
#include "core/models/latent_normal_rows.h"

using namespace emkit;

namespace {

LatentKind as_kind(const std::string& name) {
  if (name == "continuous") return LatentKind::kContinuous;
  if (name == "ordinal") return LatentKind::kOrdinal;
  if (name == "nominal") return LatentKind::kNominal;
  if (name == "censored") return LatentKind::kCensored;
  Rcpp::stop("unknown kind of column: %s", name);
}

double option(const Rcpp::List& list, const char* name, double otherwise) {
  return list.containsElementNamed(name) && !Rf_isNull(list[name]) ? Rcpp::as<double>(list[name]) : otherwise;
}

// The columns' kinds and latent coordinates; `used`, a list over columns of the codes in use.
std::vector<LatentColumn> as_columns(const Rcpp::CharacterVector& kind, const Rcpp::IntegerVector& levels,
                                     const Rcpp::List& used) {
  std::vector<LatentColumn> out;
  size_t next = 0;
  for (R_xlen_t c = 0; c < kind.size(); ++c) {
    LatentColumn column;
    column.kind = as_kind(Rcpp::as<std::string>(kind[c]));
    column.first = next;
    if (column.discrete()) {
      column.n_codes = static_cast<size_t>(levels[c]);
      column.used = Rcpp::as<std::vector<int>>(used[c]);
      const size_t l = column.used.size();
      column.dims = l < 2 ? 0 : column.kind == LatentKind::kNominal ? l - 1 : 1;
    }
    next += column.dims;
    out.push_back(column);
  }
  return out;
}

Rcpp::List codes_in_use(const Rcpp::NumericMatrix& x, const Rcpp::CharacterVector& kind,
                        const Rcpp::IntegerVector& levels) {
  Rcpp::List used(kind.size());
  for (R_xlen_t c = 0; c < kind.size(); ++c) {
    std::vector<int> codes;
    const LatentKind k = as_kind(Rcpp::as<std::string>(kind[c]));
    if (k == LatentKind::kOrdinal || k == LatentKind::kNominal) {
      std::vector<bool> seen(static_cast<size_t>(std::max(0, levels[c])) + 1, false);
      for (int i = 0; i < x.nrow(); ++i) {
        const double v = x(i, static_cast<int>(c));
        if (v >= 1.0 && v <= levels[c]) seen[static_cast<size_t>(v)] = true;
      }
      for (size_t code = 1; code < seen.size(); ++code)
        if (seen[code]) codes.push_back(static_cast<int>(code));
    }
    used[c] = Rcpp::wrap(codes);
  }
  return used;
}

void set_scale(LatentColumn& column, double center, double scale, double mass_lower, double mass_upper) {
  column.center = center;
  column.scale = scale > 0.0 && std::isfinite(scale) ? scale : 1.0;
  if (column.kind != LatentKind::kCensored) return;
  column.mass_lower = std::isnan(mass_lower) ? -kInfinity : (mass_lower - column.center) / column.scale;
  column.mass_upper = std::isnan(mass_upper) ? kInfinity : (mass_upper - column.center) / column.scale;
}

// Weighted mean and standard deviation of the finite cells; two passes.
void standardise(LatentColumn& column, const double* x, size_t n, const double* weights, double mass_lower,
                 double mass_upper) {
  double total = 0.0, sum = 0.0, square = 0.0;
  for (size_t i = 0; i < n; ++i)
    if (std::isfinite(x[i])) {
      const double w = weights ? weights[i] : 1.0;
      total += w;
      sum += w * x[i];
    }
  const double center = total > 0.0 ? sum / total : std::isfinite(mass_lower) ? mass_lower : 0.0;
  for (size_t i = 0; i < n; ++i)
    if (std::isfinite(x[i])) square += (weights ? weights[i] : 1.0) * (x[i] - center) * (x[i] - center);
  set_scale(column, center, total > 0.0 ? std::sqrt(square / total) : 1.0, mass_lower, mass_upper);
}

const double* weights_of(const Rcpp::Nullable<Rcpp::NumericVector>& weights) {
  return weights.isNotNull() ? REAL(weights.get()) : nullptr;
}

// The columns of a fit, on the fit's scale.
std::vector<LatentColumn> fitted_columns(const Rcpp::CharacterVector& kind, const Rcpp::IntegerVector& levels,
                                         const Rcpp::NumericMatrix& mass, const Rcpp::List& fit) {
  std::vector<LatentColumn> columns = as_columns(kind, levels, fit["levels_used"]);
  const Rcpp::NumericVector center = fit["center"], scale = fit["scale"];
  for (size_t c = 0; c < columns.size(); ++c) {
    LatentColumn& column = columns[c];
    const R_xlen_t j = static_cast<R_xlen_t>(column.first);
    if (!column.discrete())
      set_scale(column, center[j], scale[j], mass(static_cast<int>(c), 0), mass(static_cast<int>(c), 1));
  }
  return columns;
}

void to_user(const std::vector<LatentColumn>& columns, VectorXd& center, VectorXd& scale) {
  for (const LatentColumn& c : columns) {
    if (c.discrete() || c.dims == 0) continue;
    center(static_cast<Index>(c.first)) = c.center;
    scale(static_cast<Index>(c.first)) = c.scale;
  }
}

struct UserScale {
  VectorXd center, scale;  // D; 0 and 1 for coordinates of discrete columns

  UserScale(const std::vector<LatentColumn>& columns, size_t d)
      : center(VectorXd::Zero(static_cast<Index>(d))), scale(VectorXd::Ones(static_cast<Index>(d))) {
    to_user(columns, center, scale);
  }
  VectorXd mean(const VectorXd& m) const { return center + scale.cwiseProduct(m); }
  MatrixXd covariance(const MatrixXd& s) const { return scale.asDiagonal() * s * scale.asDiagonal(); }
  VectorXd latent_mean(const VectorXd& m) const { return (m - center).cwiseQuotient(scale); }
  MatrixXd latent_covariance(const MatrixXd& s) const {
    const VectorXd inverse = scale.cwiseInverse();
    return inverse.asDiagonal() * s * inverse.asDiagonal();
  }
};

LatentParameters fitted_parameters(const Rcpp::List& fit, const std::vector<LatentColumn>& columns, size_t d) {
  const UserScale user(columns, d);
  LatentParameters p;
  const Rcpp::List thresholds = fit["thresholds"];
  for (size_t c = 0; c < columns.size(); ++c) {
    std::vector<double> t;
    if (columns[c].kind == LatentKind::kOrdinal && columns[c].dims > 0) {
      const std::vector<double> inner = Rcpp::as<std::vector<double>>(thresholds[static_cast<R_xlen_t>(c)]);
      t.push_back(-kInfinity);
      t.insert(t.end(), inner.begin(), inner.end());
      t.push_back(kInfinity);
    }
    p.thresholds.push_back(t);
  }
  const VectorXd mean = Rcpp::as<VectorXd>(fit["mean"]);
  const MatrixXd covariance = Rcpp::as<MatrixXd>(fit["covariance"]);
  if (mean.size() != static_cast<Index>(d) || covariance.rows() != mean.size() || covariance.cols() != mean.size())
    Rcpp::stop("the fit does not belong to these columns");
  if (d > 0 && !p.set(user.latent_mean(mean), user.latent_covariance(covariance)))
    Rcpp::stop("the covariance of the fit is not positive definite");
  return p;
}

// list(df, scale): scale a number (times the covariance without relations) or a D x D matrix, in standardised units.
// NULL: the default.
LatentPrior as_prior(SEXP prior, const std::vector<LatentColumn>& columns, size_t d, double n) {
  LatentPrior out = default_prior(columns, d, n);
  if (Rf_isNull(prior)) return out;
  const Rcpp::List list(prior);
  out.df = option(list, "df", out.df);
  out.scale = out.df * independent_covariance(columns, d);
  if (list.containsElementNamed("scale") && !Rf_isNull(list["scale"])) {
    const Rcpp::NumericVector scale = list["scale"];
    if (scale.size() == 1)
      out.scale = scale[0] * independent_covariance(columns, d);
    else
      out.scale = Rcpp::as<MatrixXd>(list["scale"]);
    if (out.scale.rows() != static_cast<Index>(d) || out.scale.cols() != static_cast<Index>(d))
      Rcpp::stop("the scale of the prior must be one number or a %d x %d matrix", static_cast<int>(d),
                 static_cast<int>(d));
    for (const LatentColumn& c : columns) {
      if (!free_scale(c)) continue;
      const Index first = static_cast<Index>(c.first), dims = static_cast<Index>(c.dims);
      const MatrixXd block = out.scale.block(first, first, dims, dims);
      out.scale.middleRows(first, dims).setZero();
      out.scale.middleCols(first, dims).setZero();
      out.scale.block(first, first, dims, dims) = block;
    }
  }
  return out;
}

// Bounds of the columns (C, user units; may be empty) as bounds of the coordinates.
void as_bounds(const std::vector<LatentColumn>& columns, const Rcpp::NumericVector& lower,
               const Rcpp::NumericVector& upper, VectorXd& low, VectorXd& high) {
  for (size_t c = 0; c < columns.size(); ++c) {
    const LatentColumn& column = columns[c];
    if (column.kind != LatentKind::kContinuous) continue;
    const Index j = static_cast<Index>(column.first);
    const R_xlen_t at = static_cast<R_xlen_t>(c);
    if (lower.size() > at && std::isfinite(lower[at])) low(j) = (lower[at] - column.center) / column.scale;
    if (upper.size() > at && std::isfinite(upper[at])) high(j) = (upper[at] - column.center) / column.scale;
  }
}

Rcpp::IntegerVector columns_of(const std::vector<LatentColumn>& columns) {
  Rcpp::IntegerVector out;
  for (size_t c = 0; c < columns.size(); ++c)
    for (size_t j = 0; j < columns[c].dims; ++j) out.push_back(static_cast<int>(c) + 1);
  return out;
}

Rcpp::NumericVector inner(const std::vector<double>& thresholds) {
  if (thresholds.size() < 2) return Rcpp::NumericVector(0);
  return Rcpp::NumericVector(thresholds.begin() + 1, thresholds.end() - 1);
}

// Undoes the rounding of centring and scaling at a bound.
double clamp_to(double v, double lower, double upper) {
  if (std::isfinite(lower) && v < lower) return lower;
  return std::isfinite(upper) && v > upper ? upper : v;
}

}  // namespace

// The mode. control: max_iter, and optionally burn_in, block, tol_latent (see LatentFitControl) and loglik_points
// (lattice points a shift, 0: no log-likelihood). Returns mean (D), covariance (D x D) in user units for continuous and
// censored columns and unit scale for the others, thresholds (list over columns: L - 1 inner thresholds),
// threshold_information, levels_used, columns_of, center, scale, prior, loglik, loglik_se, log_prior, status,
// iterations, change, trace.
// [[Rcpp::export(rng = false)]]
Rcpp::List latent_fit_(Rcpp::NumericMatrix x, Rcpp::CharacterVector kind, Rcpp::IntegerVector levels,
                       Rcpp::NumericMatrix mass, Rcpp::Nullable<Rcpp::NumericVector> weights, SEXP prior,
                       Rcpp::List control, Rcpp::NumericVector key, int threads, SEXP show) {
  const size_t n = static_cast<size_t>(x.nrow());
  const double* w = weights_of(weights);
  const Rcpp::List used = codes_in_use(x, kind, levels);
  std::vector<LatentColumn> columns = as_columns(kind, levels, used);
  for (size_t c = 0; c < columns.size(); ++c)
    if (!columns[c].discrete())
      standardise(columns[c], x.begin() + c * n, n, w, mass(static_cast<int>(c), 0), mass(static_cast<int>(c), 1));
  const LatentData data(x.begin(), n, columns, w);
  const size_t d = data.d();
  double total = 0.0;
  for (double weight : data.weights()) total += weight;
  const LatentPrior latent_prior = as_prior(prior, columns, d, total);

  LatentFitControl fit_control;
  fit_control.burn_in = static_cast<int>(option(control, "burn_in", fit_control.burn_in));
  fit_control.block = std::max(1, static_cast<int>(option(control, "block", fit_control.block)));
  fit_control.tol = option(control, "tol_latent", fit_control.tol);
  fit_control.max_iter =
      static_cast<int>(std::min<double>(fit_control.max_iter, option(control, "max_iter", fit_control.max_iter)));
  Progress progress;
  RInterrupt interrupt(progress, show);
  std::atomic<bool> stop{false};
  LatentFit fit(data, data.weights(), latent_prior, start_parameters(data), fit_control, as_key(key),
                latent_stream(kStreamFit, 0));
  if (d > 0) fit.run(threads, interrupt, progress, stop);
  const LatentParameters& p = fit.parameters();

  LatentLoglik loglik;
  // Many rows average the simulation's noise out, relative to what a log-likelihood is compared with.
  const double points = option(control, "loglik_points", n <= 1500 ? 32 : 16);
  const bool simulated = points >= 1.0 && d > 0 && !stop.load();
  if (simulated) {
    CounterRng stream(as_key(key), latent_stream(kStreamLoglik, 0));
    loglik = LatentLoglikTask(data, p, static_cast<size_t>(points), stream.bits64()).run(threads, interrupt, stop);
  }
  if (stop.load()) throw Rcpp::internal::InterruptedException();

  const UserScale user(columns, d);
  Rcpp::List thresholds(kind.size()), information(kind.size());
  for (size_t c = 0; c < columns.size(); ++c) {
    thresholds[static_cast<R_xlen_t>(c)] = inner(p.thresholds[c]);
    information[static_cast<R_xlen_t>(c)] = fit.threshold_information(c);
  }
  const R_xlen_t length = static_cast<R_xlen_t>(fit.trace().size());
  Rcpp::IntegerVector iteration(length);
  Rcpp::NumericVector gain(length), change(length), log_det(length);
  for (R_xlen_t i = 0; i < length; ++i) {
    const LatentTracePoint& t = fit.trace()[static_cast<size_t>(i)];
    iteration[i] = t.iteration;
    gain[i] = t.gain;
    change[i] = t.change;
    log_det[i] = t.log_det;
  }
  Rcpp::List out =
      Rcpp::List::create(Rcpp::Named("mean") = Rcpp::NumericVector(Rcpp::wrap(user.mean(p.mean))),
                         Rcpp::Named("covariance") = user.covariance(p.covariance),
                         Rcpp::Named("thresholds") = thresholds, Rcpp::Named("threshold_information") = information,
                         Rcpp::Named("levels_used") = used, Rcpp::Named("columns_of") = columns_of(columns),
                         Rcpp::Named("center") = Rcpp::NumericVector(Rcpp::wrap(user.center)),
                         Rcpp::Named("scale") = Rcpp::NumericVector(Rcpp::wrap(user.scale)),
                         Rcpp::Named("prior") = Rcpp::List::create(Rcpp::Named("df") = latent_prior.df,
                                                                   Rcpp::Named("scale") = latent_prior.scale));
  out["loglik"] = simulated && loglik.finite ? loglik.value : d == 0 ? 0.0 : NA_REAL;
  out["loglik_se"] = simulated ? std::sqrt(loglik.variance) : d == 0 ? 0.0 : NA_REAL;
  out["log_prior"] = d > 0 ? fit.log_prior() : 0.0;
  out["status"] = d > 0 ? status_name(fit.status()) : "converged";
  out["iterations"] = fit.iterations();
  out["change"] = fit.last_change();
  out["trace"] = Rcpp::DataFrame::create(Rcpp::Named("iteration") = iteration, Rcpp::Named("gain") = gain,
                                         Rcpp::Named("change") = change, Rcpp::Named("log_det") = log_det);
  return out;
}

// Imputations first .. first + m - 1 (from 0). lower, upper (C): bounds of continuous columns. `fit`: what latent_fit_
// returned. Returns values (list over the columns with missing cells: n_missing x m), columns, mean (D x m), covariance
// (D x D x m), trace (a matrix with columns imputation, sweep, log_det, means, variances), status (m).
// [[Rcpp::export(rng = false)]]
Rcpp::List latent_impute_(Rcpp::NumericMatrix x, Rcpp::CharacterVector kind, Rcpp::IntegerVector levels,
                          Rcpp::NumericMatrix mass, Rcpp::Nullable<Rcpp::NumericVector> weights, Rcpp::List fit,
                          std::string method, int m, double first, int n_sweeps, Rcpp::NumericVector lower,
                          Rcpp::NumericVector upper, Rcpp::NumericVector key, int threads, SEXP show) {
  const size_t n = static_cast<size_t>(x.nrow());
  const std::vector<LatentColumn> columns = fitted_columns(kind, levels, mass, fit);
  const LatentData data(x.begin(), n, columns, weights_of(weights));
  const size_t d = data.d();
  const LatentParameters mode = fitted_parameters(fit, columns, d);
  std::vector<MatrixXd> information;
  const Rcpp::List given = fit["threshold_information"];
  for (R_xlen_t c = 0; c < given.size(); ++c) information.push_back(Rcpp::as<MatrixXd>(given[c]));
  double total = 0.0;
  for (double weight : data.weights()) total += weight;
  const LatentPrior prior = as_prior(fit["prior"], columns, d, total);
  VectorXd low = VectorXd::Constant(static_cast<Index>(d), -kInfinity), high = -low;
  as_bounds(columns, lower, upper, low, high);
  LatentImputeControl control;
  control.method = method == "bootstrap" ? LatentMethod::kBootstrap
                   : method == "mean"    ? LatentMethod::kMean
                                         : LatentMethod::kPosterior;
  control.n_sweeps = n_sweeps;
  control.key = as_key(key);
  Progress progress;
  RInterrupt interrupt(progress, show);
  std::atomic<bool> stop{false};
  const LatentImputer imputer(data, mode, information, prior, low, high, control);
  const std::vector<LatentImputation> draws =
      imputer.run(static_cast<size_t>(m), static_cast<size_t>(first), threads, interrupt, progress, stop);
  if (stop.load()) throw Rcpp::internal::InterruptedException();

  const UserScale user(columns, d);
  Rcpp::NumericMatrix mean(static_cast<int>(d), m);
  std::vector<MatrixXd> covariance;
  Rcpp::CharacterVector status(m);
  size_t points = 0;
  for (const LatentImputation& draw : draws) points += draw.trace.size();
  Rcpp::NumericMatrix trace(static_cast<int>(points), static_cast<int>(3 + 2 * d));
  int at = 0;
  for (int i = 0; i < m; ++i) {
    const LatentImputation& draw = draws[static_cast<size_t>(i)];
    const VectorXd centre = user.mean(draw.mean);
    for (size_t j = 0; j < d; ++j) mean(static_cast<int>(j), i) = centre(static_cast<Index>(j));
    covariance.push_back(user.covariance(draw.covariance));
    status[i] = status_name(draw.status);
    for (const std::vector<double>& point : draw.trace) {
      trace(at, 0) = first + i + 1.0;
      for (size_t k = 0; k < point.size(); ++k) {
        double v = point[k];
        if (k >= 2 && k < 2 + d) v = user.center(static_cast<Index>(k - 2)) + user.scale(static_cast<Index>(k - 2)) * v;
        if (k >= 2 + d) v *= std::pow(user.scale(static_cast<Index>(k - 2 - d)), 2);
        trace(at, static_cast<int>(k) + 1) = v;
      }
      ++at;
    }
  }
  Rcpp::List values;
  Rcpp::IntegerVector incomplete;
  const MissingCells cells(data);
  for (size_t c = 0; c < columns.size(); ++c) {
    if (cells.count(c) == 0) continue;
    Rcpp::NumericMatrix v(static_cast<int>(cells.count(c)), m);
    const R_xlen_t column = static_cast<R_xlen_t>(c);
    const bool bounded = columns[c].kind == LatentKind::kContinuous;
    for (int i = 0; i < m; ++i)
      for (size_t r = 0; r < cells.count(c); ++r) {
        const double value = draws[static_cast<size_t>(i)].values[c][r];
        v(static_cast<int>(r), i) = !bounded ? value
                                             : clamp_to(value, lower.size() > column ? lower[column] : NA_REAL,
                                                        upper.size() > column ? upper[column] : NA_REAL);
      }
    values.push_back(v);
    incomplete.push_back(static_cast<int>(c) + 1);
  }
  return Rcpp::List::create(Rcpp::Named("values") = values, Rcpp::Named("columns") = incomplete,
                            Rcpp::Named("mean") = mean, Rcpp::Named("covariance") = as_array(covariance, d),
                            Rcpp::Named("trace") = trace, Rcpp::Named("status") = status);
}

// New rows at the parameters of `fit` (which may hold `lower` and `upper`, C, as bounds). what: "mean" or "class" -> n
// x C with the missing cells at their conditional means or most probable codes; "draw" -> n x C x n_draws;
// "probability" -> a list over columns, for discrete ones an n x levels matrix (NULL for others). NaN where a pattern
// could not be factored.
// [[Rcpp::export(rng = false)]]
SEXP latent_rows_(Rcpp::NumericMatrix x, Rcpp::CharacterVector kind, Rcpp::IntegerVector levels,
                  Rcpp::NumericMatrix mass, Rcpp::List fit, std::string what, int n_draws, Rcpp::NumericVector key,
                  int threads) {
  const size_t n = static_cast<size_t>(x.nrow()), n_columns = static_cast<size_t>(x.ncol());
  const std::vector<LatentColumn> columns = fitted_columns(kind, levels, mass, fit);
  const LatentData data(x.begin(), n, columns, nullptr);
  const size_t d = data.d();
  const LatentParameters p = fitted_parameters(fit, columns, d);
  const auto bounds = [&](const char* name) {
    return fit.containsElementNamed(name) && !Rf_isNull(fit[name]) ? Rcpp::NumericVector(fit[name])
                                                                   : Rcpp::NumericVector(0);
  };
  VectorXd low = VectorXd::Constant(static_cast<Index>(d), -kInfinity), high = -low;
  const Rcpp::NumericVector lower = bounds("lower"), upper = bounds("upper");
  as_bounds(columns, lower, upper, low, high);
  LatentRowsControl control;
  control.n_draws = static_cast<size_t>(std::max(1, n_draws));
  control.key = as_key(key);
  LatentRows rows(data, p, low, high, control);

  if (what == "draw") {
    Rcpp::NumericVector out(static_cast<R_xlen_t>(n * n_columns * control.n_draws));
    for (size_t r = 0; r < control.n_draws; ++r)
      std::copy(x.begin(), x.end(), out.begin() + static_cast<R_xlen_t>(r * n * n_columns));
    out.attr("dim") = Rcpp::IntegerVector::create(static_cast<int>(n), static_cast<int>(n_columns),
                                                  static_cast<int>(control.n_draws));
    rows.draw(out.begin(), threads);
    return out;
  }
  rows.summarise(threads);
  if (what == "probability") {
    Rcpp::List out(static_cast<R_xlen_t>(n_columns));
    for (size_t c = 0; c < n_columns; ++c) {
      if (!columns[c].discrete()) continue;
      Rcpp::NumericMatrix prob(static_cast<int>(n), static_cast<int>(columns[c].n_codes));
      for (size_t i = 0; i < n; ++i) {
        const double v = x(static_cast<int>(data.row(i)), static_cast<int>(c));
        if (!std::isnan(v) && v >= 1.0 && v <= static_cast<double>(columns[c].n_codes))
          prob(static_cast<int>(data.row(i)), static_cast<int>(v) - 1) = 1.0;
      }
      for (const LatentPattern& pattern : data.patterns()) {
        if (std::find(pattern.missing_columns.begin(), pattern.missing_columns.end(), c) ==
            pattern.missing_columns.end())
          continue;
        for (size_t i = pattern.begin; i < pattern.end; ++i) {
          const int row = static_cast<int>(data.row(i));
          if (!std::isnan(x(row, static_cast<int>(c)))) continue;
          for (size_t l = 0; l < columns[c].used.size(); ++l)
            prob(row, columns[c].used[l] - 1) = rows.probability(c, i, l);
        }
      }
      out[static_cast<R_xlen_t>(c)] = prob;
    }
    return out;
  }
  Rcpp::NumericMatrix out = Rcpp::clone(x);
  for (const LatentPattern& pattern : data.patterns())
    for (size_t c : pattern.missing_columns)
      for (size_t i = pattern.begin; i < pattern.end; ++i) {
        const int row = static_cast<int>(data.row(i)), column = static_cast<int>(c);
        if (std::isnan(out(row, column))) out(row, column) = rows.value(c, i);
      }
  return out;
}

// Doors for the tests. what: "cdf", "log_cdf", "quantile", "quantile_log" of `a`; "log_interval", "mean", "variance" of
// (a, b); "truncated_quantile" of (a, b) at `u`.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericVector truncated_normal_(Rcpp::NumericVector a, Rcpp::NumericVector b, double u, std::string what) {
  Rcpp::NumericVector out(a.size());
  for (R_xlen_t i = 0; i < a.size(); ++i) {
    const double from = a[i], to = b.size() > i ? b[i] : kInfinity;
    out[i] = what == "cdf"            ? normal_cdf(from)
             : what == "log_cdf"      ? log_normal_cdf(from)
             : what == "quantile"     ? normal_quantile(from)
             : what == "quantile_log" ? normal_quantile_log(from)
             : what == "log_interval" ? log_normal_interval(from, to)
             : what == "mean"         ? truncated_normal_moments(from, to).mean
             : what == "variance"     ? truncated_normal_moments(from, to).variance
                                      : truncated_normal_quantile(u, from, to);
  }
  return out;
}

// Draws of a named distribution: "normal", "gamma" (shape a), "chi_square" (df a), "truncated" (standard normal on (a,
// b)).
// [[Rcpp::export(rng = false)]]
Rcpp::NumericVector random_(double key, double stream, int n, std::string kind, double a, double b) {
  CounterRng rng(static_cast<std::uint64_t>(key), static_cast<std::uint64_t>(stream));
  Rcpp::NumericVector out(n);
  for (double& v : out)
    v = kind == "gamma"        ? draw_gamma(rng, a)
        : kind == "chi_square" ? draw_chi_square(rng, a)
        : kind == "truncated"  ? draw_truncated_normal(rng, a, b)
                               : draw_normal(rng);
  return out;
}

// n Wishart matrices (d x d x n) with scale v.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericVector wishart_(double key, int n, double df, Eigen::MatrixXd v) {
  CounterRng rng(static_cast<std::uint64_t>(key), 0);
  const MatrixXd lower = v.llt().matrixL();
  std::vector<MatrixXd> draws;
  for (int i = 0; i < n; ++i) draws.push_back(draw_wishart(rng, df, lower));
  return as_array(draws, static_cast<size_t>(v.rows()));
}
