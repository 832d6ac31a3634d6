// R's view of Gaussian mixtures.
#include "glue_fit.h"

#include "core/models/gmm_bootstrap.h"
#include "core/models/gmm_grid.h"

using namespace emkit;

namespace {

GmmParameters as_parameters(const Rcpp::List& p) {
  GmmParameters out;
  out.proportions = Rcpp::as<Eigen::VectorXd>(p["proportions"]);
  out.means = Rcpp::as<Eigen::MatrixXd>(p["means"]);
  out.covariances = as_matrices(Rcpp::as<Rcpp::NumericVector>(p["covariances"]), static_cast<size_t>(out.means.rows()),
                                static_cast<size_t>(out.means.cols()));
  if (p.containsElementNamed("loadings") && !Rf_isNull(p["loadings"])) {
    const Rcpp::NumericVector loadings = p["loadings"];
    const Index d = out.means.rows(), q = loadings.size() / out.means.size();
    for (Index k = 0; k < out.means.cols(); ++k)
      out.loadings.push_back(Eigen::Map<const MatrixXd>(loadings.begin() + k * d * q, d, q));
    out.uniquenesses = Rcpp::as<Eigen::MatrixXd>(p["uniquenesses"]);
  }
  return out;
}

Rcpp::List from_parameters(const GmmParameters& p) {
  Rcpp::List out =
      Rcpp::List::create(Rcpp::Named("proportions") = Rcpp::NumericVector(Rcpp::wrap(p.proportions)),
                         Rcpp::Named("means") = p.means,
                         Rcpp::Named("covariances") = as_array(p.covariances, static_cast<size_t>(p.means.rows())));
  if (!p.loadings.empty()) {
    const Index size = p.loadings[0].size();
    Rcpp::NumericVector loadings(static_cast<R_xlen_t>(size * p.means.cols()));
    for (size_t k = 0; k < p.loadings.size(); ++k)
      std::copy(p.loadings[k].data(), p.loadings[k].data() + size, loadings.begin() + static_cast<Index>(k) * size);
    loadings.attr("dim") = Rcpp::IntegerVector::create(static_cast<int>(p.means.rows()),
                                                       static_cast<int>(p.loadings[0].cols()),
                                                       static_cast<int>(p.means.cols()));
    out["loadings"] = loadings;
    out["uniquenesses"] = p.uniquenesses;
  }
  return out;
}

std::vector<double> log_sides(const Rcpp::List& list, const char* name) {
  if (!list.containsElementNamed(name) || Rf_isNull(list[name])) return {};
  std::vector<double> sides = Rcpp::as<std::vector<double>>(list[name]);
  for (double& s : sides) s = std::log(s);
  return sides;
}

std::vector<bool> flags(const Rcpp::List& list, const char* name) {
  if (!list.containsElementNamed(name) || Rf_isNull(list[name])) return {};
  return Rcpp::as<std::vector<bool>>(list[name]);
}

GmmOptions as_options(const Rcpp::List& list) {
  GmmOptions o;
  o.equal_proportions = Rcpp::as<bool>(list["equal_proportions"]);
  o.noise_log_sides = log_sides(list, "noise_sides");
  o.noise_start = Rcpp::as<double>(list["noise_start"]);
  for (bool flag : flags(list, "noise_rows")) o.noise_rows.push_back(flag ? 1 : 0);
  if (!Rf_isNull(list["prior"])) {
    const Rcpp::List p = list["prior"];
    auto prior = std::make_shared<GaussianPrior>();
    prior->shrinkage = Rcpp::as<double>(p["shrinkage"]);
    prior->mean = Rcpp::as<Eigen::VectorXd>(p["mean"]);
    prior->df = Rcpp::as<double>(p["df"]);
    prior->scale = Rcpp::as<Eigen::MatrixXd>(p["scale"]);
    o.prior = prior;
    o.prior_scale_by_size = Rcpp::as<bool>(p["scale_by_size"]);
  }
  if (!Rf_isNull(list["fixed_proportions"])) o.fixed_proportions = Rcpp::as<std::vector<double>>(list["fixed_proportions"]);
  o.fixed_mean = flags(list, "fixed_mean");
  o.fixed_covariance = flags(list, "fixed_covariance");
  if (!o.fixed_mean.empty() || !o.fixed_covariance.empty()) o.fixed = as_parameters(list["fixed"]);
  return o;
}

GmmControl as_control(const Rcpp::List& list) {
  GmmControl c;
  c.run = as_multi_start_control(list);
  c.key = as_key(list["key"]);
  return c;
}

GmmStart as_start(const Rcpp::List& s, size_t stream) {
  GmmStart out;
  out.method = Rcpp::as<std::string>(s["method"]);
  out.stream = stream;
  const std::string kind = Rcpp::as<std::string>(s["kind"]);
  if (kind == "parameters") {
    out.kind = GmmStart::Kind::kParameters;
    out.parameters = as_parameters(s["parameters"]);
  } else if (kind == "posterior") {
    out.kind = GmmStart::Kind::kPosterior;
    const Rcpp::NumericMatrix z = s["posterior"];  // a double matrix, kept alive by the caller's list
    out.posterior = z.begin();
    out.posterior_columns = static_cast<size_t>(z.ncol());
  } else if (kind == "partition") {
    out.kind = GmmStart::Kind::kPartition;
    out.partition = Rcpp::as<std::vector<int>>(s["partition"]);
    for (int& label : out.partition) label = label == NA_INTEGER ? -1 : label - 1;
  } else if (kind == "kmeans") {
    out.kind = GmmStart::Kind::kKmeans;
  } else if (kind == "kmeans_whitened") {
    out.kind = GmmStart::Kind::kKmeansWhitened;
  } else {
    out.kind = GmmStart::Kind::kRandom;
  }
  return out;
}

std::map<size_t, std::vector<GmmStart>> as_starts(const Rcpp::IntegerVector& sizes, const Rcpp::List& starts) {
  std::map<size_t, std::vector<GmmStart>> out;
  size_t stream = 0;
  for (R_xlen_t i = 0; i < sizes.size(); ++i) {
    const Rcpp::List list = starts[i];
    for (R_xlen_t j = 0; j < list.size(); ++j) out[static_cast<size_t>(sizes[i])].push_back(as_start(list[j], stream++));
  }
  return out;
}

std::vector<GmmGridCell> as_cells(const Rcpp::CharacterVector& codes, const Rcpp::IntegerVector& n_components,
                                  const Rcpp::IntegerVector& n_factors) {
  std::vector<GmmGridCell> out;
  for (R_xlen_t i = 0; i < codes.size(); ++i)
    out.push_back({find_covariance(Rcpp::as<std::string>(codes[i])), static_cast<size_t>(n_components[i]),
                   n_factors[i] == NA_INTEGER ? 0 : static_cast<size_t>(n_factors[i])});
  return out;
}

Rcpp::List from_fit(const GmmFit& fit, const std::string& accelerator) {
  Rcpp::List out = from_run(fit.run, accelerator);
  out["fitted"] = fit.fitted;
  out["starts"] = from_starts(fit.starts);
  if (fit.fitted) {
    out["parameters"] = from_parameters(fit.parameters);
    out["map_entropy"] = fit.map_entropy;
    out["sizes"] = Rcpp::NumericVector(Rcpp::wrap(fit.sizes));
    out["relative_variance"] = Rcpp::NumericVector(Rcpp::wrap(fit.relative_variance));
  }
  return out;
}

// Moments that make a mixture's own scale the unit: evaluating one row, or rows far away, needs no scale of the data.
ColumnMoments mixture_moments(const GmmParameters& p) {
  const Index d = p.means.rows(), n = p.means.cols();
  const VectorXd share = p.proportions.head(n) / p.proportions.head(n).sum();
  ColumnMoments m;
  for (Index j = 0; j < d; ++j) {
    const double mean = p.means.row(j).dot(share);
    double variance = 0.0;
    for (Index k = 0; k < n; ++k) {
      const double r = p.means(j, k) - mean;
      variance += share(k) * (p.covariances[static_cast<size_t>(k)](j, j) + r * r);
    }
    m.mean.push_back(mean);
    m.sd.push_back(std::sqrt(variance));
  }
  return m;
}

// Given parameters on given data, as a model of free covariances.
class Evaluation {
 public:
  Evaluation(const RawInput& input, const Rcpp::List& parameters, int threads)
      : parameters_(as_parameters(parameters)),
        scaled_(input.raw(), mixture_moments(parameters_), true, threads),
        options_(noise_options(parameters)),
        cell_(*find_covariance("VVV"), static_cast<size_t>(parameters_.means.cols()), 0, options_) {
    Execution execution;
    execution.threads = threads;
    model_ = cell_.model(scaled_, execution);
    if (!cell_.set_parameters(*model_, scaled_, parameters_))
      Rcpp::stop("a covariance matrix of the parameters is not positive definite");
  }

  GaussianMixture& model() { return *model_; }
  const ScaledData& data() const { return scaled_; }
  const GmmCell& cell() const { return cell_; }
  const GmmParameters& parameters() const { return parameters_; }

 private:
  static GmmOptions noise_options(const Rcpp::List& parameters) {
    GmmOptions o;
    o.collapse_guard = false;
    if (parameters.containsElementNamed("noise") && !Rf_isNull(parameters["noise"])) {
      const Rcpp::List noise = parameters["noise"];
      o.noise_log_sides = log_sides(noise, "sides");
    }
    return o;
  }

  GmmParameters parameters_;
  ScaledData scaled_;
  GmmOptions options_;
  GmmCell cell_;
  std::unique_ptr<GaussianMixture> model_;
};

}  // namespace

// Fits a grid of cells (n_factors: NA for structures without factors). `starts`: one list of starts for each entry of `sizes` (the numbers of components). `rows`:
// the rows to search on (from 1), or NULL for all. `show`: see RInterrupt.
// [[Rcpp::export(rng = false)]]
Rcpp::List gmm_fit_(Rcpp::NumericMatrix x, Rcpp::Nullable<Rcpp::NumericVector> weights,
                    Rcpp::Nullable<Rcpp::IntegerVector> known, Rcpp::CharacterVector codes,
                    Rcpp::IntegerVector n_components, Rcpp::IntegerVector n_factors, Rcpp::IntegerVector sizes,
                    Rcpp::List starts, Rcpp::Nullable<Rcpp::IntegerVector> rows, Rcpp::List options, Rcpp::List control, int threads,
                    SEXP show) {
  const RawInput input(x, weights, known);
  const RawData raw = input.raw();
  GmmOptions gmm_options = as_options(options);
  const GmmControl gmm_control = as_control(control);
  std::map<size_t, std::vector<GmmStart>> starts_by_size = as_starts(sizes, starts);
  const std::vector<GmmGridCell> cells = as_cells(codes, n_components, n_factors);

  GmmData full(raw, column_moments(raw, threads), threads);
  // The subset is copied: it is small, and its sweeps then run on neighbouring rows.
  std::vector<double> part_x, part_weights;
  std::vector<int> part_labels;
  std::unique_ptr<GmmData> part;
  if (rows.isNotNull()) {
    const Rcpp::IntegerVector r(rows.get());
    RawData sub;
    sub.n = static_cast<size_t>(r.size());
    sub.d = raw.d;
    for (size_t j = 0; j < raw.d; ++j)
      for (R_xlen_t i = 0; i < r.size(); ++i) part_x.push_back(raw.x[j * raw.n + static_cast<size_t>(r[i] - 1)]);
    for (R_xlen_t i = 0; i < r.size(); ++i) {
      if (raw.weights) part_weights.push_back(raw.weights[r[i] - 1]);
      if (raw.labels) part_labels.push_back(raw.labels[r[i] - 1]);
    }
    sub.x = part_x.data();
    if (raw.weights) sub.weights = part_weights.data();
    if (raw.labels) sub.labels = part_labels.data();
    if (!gmm_options.noise_rows.empty()) {
      std::vector<unsigned char> chosen;
      for (R_xlen_t i = 0; i < r.size(); ++i) chosen.push_back(gmm_options.noise_rows[static_cast<size_t>(r[i] - 1)]);
      gmm_options.noise_rows = chosen;
    }
    part.reset(new GmmData(sub, column_moments(sub, threads), threads));
  }
  Progress progress;
  progress.total = cells.size();
  RInterrupt interrupt(progress, show);
  GmmGrid grid(part ? *part : full, full, gmm_options, gmm_control, threads, interrupt, progress);
  const std::vector<GmmFit> fits = grid.fit(cells, starts_by_size);
  if (grid.stopped()) throw Rcpp::internal::InterruptedException();
  Rcpp::List out(static_cast<R_xlen_t>(fits.size()));
  for (size_t i = 0; i < fits.size(); ++i) out[static_cast<R_xlen_t>(i)] = from_fit(fits[i], gmm_control.run.accelerator);
  return out;
}

// Fits the cells to bootstrap replicates of the data: `kind` is "nonparametric", "weighted" or "parametric" (from
// `parameters`, with the noise's box from `noise_lower`). A list over replicates of lists over cells of loglik,
// status and parameters (NULL where not fitted).
// [[Rcpp::export(rng = false)]]
Rcpp::List gmm_bootstrap_(Rcpp::NumericMatrix x, Rcpp::Nullable<Rcpp::NumericVector> weights,
                          Rcpp::Nullable<Rcpp::IntegerVector> known, Rcpp::List parameters,
                          Rcpp::NumericVector noise_lower, Rcpp::CharacterVector codes,
                          Rcpp::IntegerVector n_components, Rcpp::IntegerVector n_factors,
                          Rcpp::IntegerVector sizes, Rcpp::List starts, Rcpp::List options, Rcpp::List control, int n_boot, std::string kind, int threads, SEXP show) {
  const RawInput input(x, weights, known);
  const GmmOptions gmm_options = as_options(options);
  const GmmControl gmm_control = as_control(control);
  GmmBootstrapPlan plan;
  plan.resampling = as_resampling(kind);
  plan.n_boot = static_cast<size_t>(n_boot);
  plan.key = gmm_control.key;
  plan.cells = as_cells(codes, n_components, n_factors);
  plan.starts = as_starts(sizes, starts);
  plan.parameters = as_parameters(parameters);
  plan.noise_lower = Rcpp::as<std::vector<double>>(noise_lower);
  for (double side : gmm_options.noise_log_sides) plan.noise_sides.push_back(std::exp(side));
  Progress progress;
  RInterrupt interrupt(progress, show);
  GmmBootstrap bootstrap(input.raw(), plan, gmm_options, gmm_control, interrupt, progress);
  const std::vector<std::vector<GmmFit>> fits = bootstrap.run(threads);
  if (bootstrap.stopped()) throw Rcpp::internal::InterruptedException();
  Rcpp::List out(n_boot);
  for (size_t b = 0; b < fits.size(); ++b) {
    Rcpp::List replicate(static_cast<R_xlen_t>(fits[b].size()));
    for (size_t c = 0; c < fits[b].size(); ++c) {
      const GmmFit& fit = fits[b][c];
      replicate[static_cast<R_xlen_t>(c)] = Rcpp::List::create(
          Rcpp::Named("loglik") = fit.fitted ? fit.run.objective.loglik : NA_REAL,
          Rcpp::Named("status") = fit.fitted ? status_name(fit.run.status) : "degenerate",
          Rcpp::Named("parameters") = fit.fitted ? Rcpp::RObject(from_parameters(fit.parameters)) : Rcpp::RObject());
    }
    out[static_cast<R_xlen_t>(b)] = replicate;
  }
  return out;
}

// `what`: "posterior" (n x K), "class" (n; 0 noise), "classified" (a list of both), "log_density" (n),
// "component_log_density" (n x K, without the proportions), "imputed" (n x d) or "summary" (sums over the rows).
// [[Rcpp::export(rng = false)]]
SEXP gmm_evaluate_(Rcpp::NumericMatrix x, Rcpp::List parameters, Rcpp::Nullable<Rcpp::NumericVector> weights,
                   Rcpp::Nullable<Rcpp::IntegerVector> known, std::string what, int threads) {
  const RawInput input(x, weights, known);
  Evaluation evaluation(input, parameters, threads);
  GaussianMixture& model = evaluation.model();
  const Observations& data = evaluation.data().observations();
  const size_t n = data.raw().n, n_components = model.n_components();
  const VectorXd proportions = model.latent().proportions();
  const int rows = x.nrow(), columns = static_cast<int>(n_components);

  // The density in the user's units: less the logarithms of the scales of the observed columns.
  const auto log_scale = [&](const Pattern& pattern) {
    double s = 0.0;
    for (size_t j : pattern.observed) s += evaluation.data().log_scale(j);
    return s;
  };

  if (what == "posterior" || what == "class" || what == "classified") {
    const bool with_posterior = what != "class", with_class = what != "posterior";
    const size_t gaussian = static_cast<size_t>(evaluation.parameters().means.cols());
    const auto label = [&](size_t k) { return k < gaussian ? static_cast<int>(k) + 1 : 0; };
    Rcpp::NumericMatrix posterior(with_posterior ? rows : 0, with_posterior ? columns : 0);
    Index top;
    proportions.maxCoeff(&top);
    Rcpp::IntegerVector classes(with_class ? rows : 0, label(static_cast<size_t>(top)));
    double* z = posterior.begin();
    int* to = classes.begin();
    if (with_posterior && data.n() < n)  // rows that are not visited observe nothing
      for (size_t k = 0; k < n_components; ++k)
        std::fill(z + k * n, z + (k + 1) * n, proportions(static_cast<Index>(k)));
    model.for_each_row([&](const EvaluatedRows& r) {
      if (with_posterior)
        for (size_t k = 0; k < n_components; ++k)
          for (size_t i = r.begin; i < r.end; ++i) z[k * n + data.row(i)] = r.joint(k)[i - r.begin];
      if (with_class)
        for (size_t i = r.begin; i < r.end; ++i) {
          size_t best = 0;
          for (size_t k = 1; k < n_components; ++k)
            if (r.joint(k)[i - r.begin] > r.joint(best)[i - r.begin]) best = k;
          to[data.row(i)] = label(best);
        }
    });
    if (what == "posterior") return posterior;
    if (what == "class") return classes;
    return Rcpp::List::create(Rcpp::Named("posterior") = posterior, Rcpp::Named("class") = classes);
  }
  if (what == "log_density") {
    Rcpp::NumericVector out(rows);  // of nothing observed: log 1
    double* to = out.begin();
    model.for_each_row([&](const EvaluatedRows& r) {
      const double shift = log_scale(r.pattern);
      for (size_t i = r.begin; i < r.end; ++i) to[data.row(i)] = r.marginal()[i - r.begin] - shift;
    });
    return out;
  }
  if (what == "component_log_density") {
    Rcpp::NumericMatrix out(rows, columns);
    double* to = out.begin();
    const auto write = [&](const EvaluatedRows& r) {
      const double shift = log_scale(r.pattern);
      for (size_t k = 0; k < n_components; ++k)
        for (size_t i = r.begin; i < r.end; ++i) to[k * n + data.row(i)] = r.joint(k)[i - r.begin] - shift;
    };
    model.for_each_row(write, RowValues::kComponentDensity);
    return out;
  }
  if (what == "imputed") {
    Rcpp::NumericMatrix out = Rcpp::clone(x);
    double* to = out.begin();
    const VectorXd share = proportions.head(evaluation.parameters().means.cols());
    const VectorXd overall = evaluation.parameters().means * share / share.sum();
    for (size_t j = 0; j < data.d(); ++j)
      for (size_t i = 0; i < n; ++i)
        if (std::isnan(to[j * n + i])) to[j * n + i] = overall(static_cast<Index>(j));
    model.for_each_row([&](const EvaluatedRows& r) {
      const Pattern& pattern = r.pattern;
      if (pattern.complete() || pattern.observed.empty()) return;
      const size_t m = r.end - r.begin, gaussian = static_cast<size_t>(evaluation.parameters().means.cols());
      MatrixXd means = MatrixXd::Zero(static_cast<Index>(pattern.missing.size()), static_cast<Index>(m));
      model.emission().add_conditional_means(pattern, r.tile, r.first, m, r.joint(0), *r.space.emission, means);
      for (size_t i = 0; i < m; ++i) {
        double total = 0.0;  // of the Gaussian components: noise predicts nothing
        for (size_t k = 0; k < gaussian; ++k) total += r.joint(k)[i];
        if (!(total > 0.0)) continue;
        for (size_t o = 0; o < pattern.missing.size(); ++o) {
          const size_t j = pattern.missing[o];
          to[j * n + data.row(r.begin + i)] = data.center()[j] + data.scale()[j] * means(static_cast<Index>(o), static_cast<Index>(i)) / total;
        }
      }
    });
    return out;
  }
  // "summary"
  const size_t n_chunks = data.n_chunks();
  std::vector<double> loglik(n_chunks, 0.0), map(n_chunks, 0.0), soft(n_chunks, 0.0);
  model.for_each_row([&](const EvaluatedRows& r) {
    const double shift = log_scale(r.pattern);
    const size_t chunk = r.begin / data.chunk_rows();
    for (size_t i = r.begin; i < r.end; ++i) {
      const double w = data.raw().weights ? data.raw().weights[data.row(i)] : 1.0;
      if (!(w > 0.0)) continue;
      double top = 0.0, entropy = 0.0;
      for (size_t k = 0; k < n_components; ++k) {
        const double z = r.joint(k)[i - r.begin];
        top = std::max(top, z);
        if (z > 0.0) entropy += z * std::log(z);
      }
      loglik[chunk] += w * (r.marginal()[i - r.begin] - shift);
      map[chunk] += w * std::log(top);
      soft[chunk] += w * entropy;
    }
  });
  double totals[3] = {0.0, 0.0, 0.0};
  for (size_t c = 0; c < n_chunks; ++c) {
    totals[0] += loglik[c];
    totals[1] += map[c];
    totals[2] += soft[c];
  }
  return Rcpp::List::create(Rcpp::Named("loglik") = totals[0], Rcpp::Named("map_entropy") = totals[1],
                            Rcpp::Named("soft_entropy") = totals[2]);
}

// The expected sufficient statistics at given parameters: what the score of the log-likelihood is made of.
// [[Rcpp::export(rng = false)]]
Rcpp::List gmm_statistics_(Rcpp::NumericMatrix x, Rcpp::List parameters, Rcpp::Nullable<Rcpp::NumericVector> weights,
                           Rcpp::Nullable<Rcpp::IntegerVector> known, int threads) {
  const RawInput input(x, weights, known);
  Evaluation evaluation(input, parameters, threads);
  GaussianMixture& model = evaluation.model();
  const Objective objective = evaluation.cell().to_user(model.e_step(), evaluation.data());
  VectorXd n;
  MatrixXd sums;
  std::vector<MatrixXd> scatter;
  model.emission().unpack_statistics(model.emission_statistics(), n, sums, scatter);
  const VectorXd scale =
      Eigen::Map<const VectorXd>(evaluation.data().observations().scale().data(), sums.rows());
  sums = scale.asDiagonal() * sums;
  for (MatrixXd& s : scatter) s = evaluation.data().to_user_covariance(s);
  return Rcpp::List::create(Rcpp::Named("loglik") = objective.loglik,
                            Rcpp::Named("n") = Rcpp::NumericVector(Rcpp::wrap(model.counts())),
                            Rcpp::Named("sums") = sums,
                            Rcpp::Named("scatter") = as_array(scatter, static_cast<size_t>(sums.rows())));
}
