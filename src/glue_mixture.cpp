// R's view of finite mixtures of any family.
#include "glue.h"

#include "core/models/response_mixture.h"
#include "glue_fit.h"
#include "glue_response.h"

using namespace emkit;

namespace {

// A mixture's data and model as R gives them:
// - data: responses (a list of specifications, see glue_response.h), n, known (n or NULL), weights (n or NULL),
//   x_proportions (n x q or NULL);
// - model: n_components, proportions = list(kind = "free", "equal", "fixed" or "logit", fixed = K numbers, NA where
//   free), least_size (see ResponseMixture).
class MixtureInput {
 public:
  MixtureInput(const Rcpp::List& data, const Rcpp::List& model)
      : n_(Rcpp::as<size_t>(data["n"])),
        n_components_(Rcpp::as<size_t>(model["n_components"])),
        least_size_(Rcpp::as<double>(model["least_size"])) {
    const Rcpp::List responses = data["responses"];
    for (R_xlen_t r = 0; r < responses.size(); ++r) inputs_.push_back(as_response_input(responses[r]));
    const Rcpp::List proportions = model["proportions"];
    const std::string kind = Rcpp::as<std::string>(proportions["kind"]);
    proportions_.equal = kind == "equal";
    if (kind == "fixed") proportions_.fixed = Rcpp::as<std::vector<double>>(proportions["fixed"]);
    if (kind == "logit") {
      x_ = Rcpp::as<Rcpp::NumericMatrix>(data["x_proportions"]);
      proportions_.x = x_.begin();
      proportions_.n = n_;
      proportions_.n_covariates = static_cast<size_t>(x_.ncol());
    }
    std::vector<int> labels;
    if (!Rf_isNull(data["known"])) {
      const Rcpp::IntegerVector known = data["known"];
      for (R_xlen_t i = 0; i < known.size(); ++i) labels.push_back(known[i] == NA_INTEGER ? -1 : known[i] - 1);
    }
    const double* weights = nullptr;
    if (!Rf_isNull(data["weights"])) {
      weights_ = Rcpp::as<Rcpp::NumericVector>(data["weights"]);
      weights = weights_.begin();
    }
    std::vector<ResponseData> observed;
    for (const ResponseInput& input : inputs_) observed.push_back(input.data);
    rows_.reset(new MixtureRows(n_, weights, std::move(labels), observed));
    rows_->set_constants(responses_of_model());
  }

  size_t n() const { return n_; }
  size_t n_components() const { return n_components_; }
  const MixtureRows& rows() const { return *rows_; }

  // Safe to call from any thread.
  std::unique_ptr<ResponseMixture> make(int threads, Interrupt* interrupt,
                                        std::atomic<size_t>* impossible = nullptr) const {
    return std::unique_ptr<ResponseMixture>(new ResponseMixture(
        *rows_, MixtureProportions(n_components_, proportions_), responses_of_model(), least_size_, threads, interrupt,
        impossible));
  }

  // From R's list of proportions and emission (a list of natural parameters), in the core's terms.
  MixtureState state(const Rcpp::List& parameters) const {
    MixtureState out;
    out.proportions = Rcpp::as<Eigen::MatrixXd>(parameters["proportions"]);
    const Rcpp::List emission = parameters["emission"];
    for (R_xlen_t r = 0; r < emission.size(); ++r) out.responses.push_back(Rcpp::as<Eigen::MatrixXd>(emission[r]));
    return out;
  }

 private:
  ResponseSet responses_of_model() const {
    std::vector<std::unique_ptr<Response>> responses;
    for (const ResponseInput& input : inputs_) responses.push_back(input.make(n_components_));
    return ResponseSet(std::move(responses));
  }

  size_t n_, n_components_;
  double least_size_;
  std::vector<ResponseInput> inputs_;
  Rcpp::NumericMatrix x_;
  Rcpp::NumericVector weights_;
  ProportionsOptions proportions_;
  std::unique_ptr<MixtureRows> rows_;
};

Rcpp::List from_state(const MixtureState& state) {
  Rcpp::List emission;
  for (const Eigen::MatrixXd& m : state.responses) emission.push_back(m);
  return Rcpp::List::create(Rcpp::Named("proportions") = state.proportions, Rcpp::Named("emission") = emission);
}

// A start of a fit: parameters, posteriors, or a partition of which `certainty` says how sure it is: a row belongs to
// its component with this probability, and else to any in proportion to their sizes, so that small ones are not
// drowned.
struct MixtureStart {
  std::string kind;
  MixtureState state;
  const double* posterior = nullptr;   // n x K
  std::vector<int> partition;          // from 0; -1: no say
  double certainty = 1.0;
  std::vector<double> shares;          // of the rows in each part
};

MixtureStart as_start(const Rcpp::List& s, const MixtureInput& input) {
  MixtureStart out;
  out.kind = Rcpp::as<std::string>(s["kind"]);
  if (out.kind == "parameters") {
    out.state = input.state(s["parameters"]);
  } else if (out.kind == "posterior") {
    const Rcpp::NumericMatrix z = s["posterior"];  // a double matrix, kept alive by the caller's list
    out.posterior = z.begin();
  } else {
    out.partition = Rcpp::as<std::vector<int>>(s["partition"]);
    for (int& label : out.partition) label = label == NA_INTEGER ? -1 : label - 1;
    out.certainty = Rcpp::as<double>(s["certainty"]);
    out.shares.assign(input.n_components(), 0.0);
    double total = 0.0;
    for (int label : out.partition) {
      if (label < 0) continue;
      out.shares[static_cast<size_t>(label)] += 1.0;
      total += 1.0;
    }
    for (double& share : out.shares) share /= total;
  }
  return out;
}

bool begin(ResponseMixture& model, const MixtureStart& start, size_t n) {
  if (start.kind == "parameters") return model.set_state(start.state);
  if (start.posterior) {
    return model.start_from_posterior([&](size_t row, size_t k) { return start.posterior[k * n + row]; });
  }
  return model.start_from_posterior([&](size_t row, size_t k) {
    const int label = start.partition[row];
    if (label < 0) return 0.0;
    return (label == static_cast<int>(k) ? start.certainty : 0.0) + (1.0 - start.certainty) * start.shares[k];
  });
}

// sum_i w_i log max_k z_ik and sum_i w_i sum_k z_ik log z_ik over rows with a say.
struct Entropies {
  double map = 0.0, soft = 0.0, loglik = 0.0;
  size_t impossible_row = MixtureRows::kNoRow;
};

Entropies entropies(ResponseMixture& model, const MixtureRows& rows) {
  std::vector<Entropies> partial(rows.n_chunks());
  model.for_each_tile([&](const RowTile& tile, const ResponseMixture::TileView& view) {
    Entropies& sum = partial[static_cast<size_t>(tile.begin) / rows.chunk_rows()];
    for (size_t i = 0; i < tile.size(); ++i) {
      const std::ptrdiff_t row = tile.row(i);
      if (row < 0) continue;
      const double w = rows.weights()[row];
      if (w == 0.0) continue;
      if (!std::isfinite(view.marginal[i])) sum.impossible_row = std::min(sum.impossible_row, static_cast<size_t>(row));
      double top = 0.0, soft = 0.0;
      for (size_t k = 0; k < model.n_components(); ++k) {
        const double z = view.posterior[k * kTileRows + i];
        top = std::max(top, z);
        if (z > 0.0) soft += z * std::log(z);
      }
      sum.map += w * std::log(top);
      sum.soft += w * soft;
      sum.loglik += w * view.marginal[i];
    }
  });
  Entropies out;
  for (const Entropies& p : partial) {
    out.map += p.map;
    out.soft += p.soft;
    out.loglik += p.loglik;
    out.impossible_row = std::min(out.impossible_row, p.impossible_row);
  }
  return out;
}

SEXP row_number(size_t row) {
  return row == MixtureRows::kNoRow ? Rcpp::wrap(NA_REAL) : Rcpp::wrap(static_cast<double>(row) + 1.0);
}

void set_or_stop(ResponseMixture& model, const MixtureState& state) {
  if (!model.set_state(state)) Rcpp::stop("the parameters are not valid");
}

}  // namespace

// Fits a mixture from several starts; `show`: see RInterrupt.
// [[Rcpp::export(rng = false)]]
Rcpp::List mixture_fit_(Rcpp::List data, Rcpp::List model, Rcpp::List starts, Rcpp::List control, SEXP show) {
  const MixtureInput input(data, model);
  MultiStartControl c = as_multi_start_control(control);
  // Where a sweep is too short to share out, the starts are shared out instead.
  c.by_start = input.rows().n_chunks() < 2 * static_cast<size_t>(c.threads);
  std::vector<MixtureStart> points;
  std::vector<std::string> methods;
  for (R_xlen_t i = 0; i < starts.size(); ++i) {
    const Rcpp::List s = starts[i];
    points.push_back(as_start(s, input));
    methods.push_back(Rcpp::as<std::string>(s["method"]));
  }
  Progress progress;
  RInterrupt interrupt(progress, show);
  std::atomic<bool> stop{false};
  StopOnInterrupt watch(stop, interrupt);
  std::atomic<size_t> impossible{MixtureRows::kNoRow};
  MultiStart<ResponseMixture> search(c, stop, watch, progress);
  const MultiStartFit<ResponseMixture> fit =
      search.fit(methods, [&](int threads) { return input.make(threads, &watch, &impossible); },
                 [&](ResponseMixture& m, size_t i) { return begin(m, points[i], input.n()); });
  if (stop.load()) throw Rcpp::internal::InterruptedException();
  Rcpp::List out = from_run(fit.run, c.accelerator);
  out["fitted"] = fit.fitted;
  out["starts"] = from_starts(fit.starts);
  out["impossible_row"] = row_number(impossible.load());
  const std::unique_ptr<ResponseMixture> best = input.make(c.threads, nullptr);
  out["df"] = static_cast<double>(best->n_coordinates());
  if (fit.fitted) {
    set_or_stop(*best, fit.state);
    best->e_step();
    out["parameters"] = from_state(fit.state);
    out["counts"] = Rcpp::NumericVector(Rcpp::wrap(best->counts()));
    out["map_entropy"] = entropies(*best, input.rows()).map;
  }
  return out;
}

// What of the rows at given parameters: "posterior" (n x K; NaN where a row is impossible), "proportions" (n x K,
// before the responses are seen), "component" (n x K log densities given the component), "log_density" (n, of the
// mixture) or "summary" (loglik, map_entropy, soft_entropy, impossible_row).
// [[Rcpp::export(rng = false)]]
SEXP mixture_evaluate_(Rcpp::List data, Rcpp::List model, Rcpp::List parameters, std::string what, int threads) {
  const MixtureInput input(data, model);
  const std::unique_ptr<ResponseMixture> mixture = input.make(threads, nullptr);
  set_or_stop(*mixture, input.state(parameters));
  if (what == "summary") {
    const Entropies e = entropies(*mixture, input.rows());
    return Rcpp::List::create(Rcpp::Named("loglik") = e.loglik, Rcpp::Named("map_entropy") = e.map,
                              Rcpp::Named("soft_entropy") = e.soft,
                              Rcpp::Named("impossible_row") = row_number(e.impossible_row));
  }
  const size_t n = input.n(), K = what == "log_density" ? 1 : input.n_components();
  Rcpp::NumericMatrix out(static_cast<int>(n), static_cast<int>(K));
  double* values = out.begin();
  mixture->for_each_tile([&](const RowTile& tile, const ResponseMixture::TileView& view) {
    const double* from = what == "posterior"     ? view.posterior
                         : what == "proportions" ? view.prior
                         : what == "component"   ? view.component
                                                 : view.marginal;
    for (size_t k = 0; k < K; ++k)
      for (size_t i = 0; i < tile.size(); ++i) {
        const std::ptrdiff_t row = tile.row(i);
        if (row >= 0) values[k * n + static_cast<size_t>(row)] = from[k * kTileRows + i];
      }
  });
  if (what == "log_density") return Rcpp::NumericVector(out.begin(), out.end());
  return out;
}

// The score and the observed information in the model's coordinates, and the derivatives of the proportions' and the
// natural parameters with respect to these. `regular` is FALSE, with nothing else, on the boundary.
// [[Rcpp::export(rng = false)]]
Rcpp::List mixture_information_(Rcpp::List data, Rcpp::List model, Rcpp::List parameters, int threads) {
  const MixtureInput input(data, model);
  const std::unique_ptr<ResponseMixture> mixture = input.make(threads, nullptr);
  set_or_stop(*mixture, input.state(parameters));
  const MixtureInformation i = mixture->information();
  if (!i.regular) return Rcpp::List::create(Rcpp::Named("regular") = false);
  return Rcpp::List::create(Rcpp::Named("regular") = true, Rcpp::Named("coordinates") = i.coordinates,
                            Rcpp::Named("score") = i.score, Rcpp::Named("information") = i.information,
                            Rcpp::Named("jacobian") = i.jacobian);
}
