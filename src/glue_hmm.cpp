// R's view of hidden Markov models.
#include "glue.h"

#include "core/latent/paths.h"
#include "core/models/hidden_markov.h"
#include "core/models/information.h"
#include "core/models/multi_start.h"
#include "glue_fit.h"
#include "glue_response.h"

using namespace emkit;

namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

const double* doubles_or_null(SEXP value) { return Rf_isNull(value) ? nullptr : REAL(value); }

// Data and model as R gives them. R's lists must outlive it.
// - data: responses (see glue_response.h), first (rows from 0 at which sequences begin), n, known (n or NULL), weights
//   (n or NULL), x_transition (n x q or NULL), x_initial (sequences x q or NULL);
// - model: n_states, transition = list(kind = "homogeneous" or "logit", allowed = K x K or NULL, fixed = K x K or NULL),
//   initial = list(kind = "free", "stationary", "fixed", "per_sequence" or "logit", fixed = K, K x sequences or NULL).
class HmmInput {
 public:
  HmmInput(const Rcpp::List& data, const Rcpp::List& model) : n_states_(Rcpp::as<size_t>(model["n_states"])) {
    const size_t n = Rcpp::as<size_t>(data["n"]);
    const Rcpp::IntegerVector first = data["first"];
    std::vector<size_t> starts;
    for (R_xlen_t i = 0; i < first.size(); ++i) starts.push_back(static_cast<size_t>(first[i]));
    chains_.reset(new Chains(n, starts));
    const Rcpp::List responses = data["responses"];
    for (R_xlen_t r = 0; r < responses.size(); ++r) inputs_.push_back(as_response_input(responses[r]));
    if (const SEXP known = list_entry(data, "known"); !Rf_isNull(known)) {
      const Rcpp::IntegerVector k(known);
      for (R_xlen_t i = 0; i < k.size(); ++i) known_.push_back(k[i] == NA_INTEGER ? -1 : k[i] - 1);
    }
    chain_.chains = chains_.get();
    chain_.known = known_.empty() ? nullptr : known_.data();
    chain_.weights = doubles_or_null(list_entry(data, "weights"));
    chain_.loglik_constant = response_constants(chain_, responses_of(1));
    options_ = as_options(data, model);
  }

  size_t n_states() const { return n_states_; }
  const Chains& chains() const { return *chains_; }
  const MarkovOptions& options() const { return options_; }

  // Safe to call from any thread.
  std::unique_ptr<HiddenMarkov> make(int threads, Interrupt* interrupt) const {
    Execution execution;
    execution.threads = threads;
    execution.interrupt = interrupt;
    return std::unique_ptr<HiddenMarkov>(
        new HiddenMarkov(chain_, Markov(n_states_, *chains_, options_), responses_of(n_states_), execution));
  }

  std::unique_ptr<HiddenMarkov> make_at(const Rcpp::List& parameters, int threads, Interrupt* interrupt) const {
    std::unique_ptr<HiddenMarkov> model = make(threads, interrupt);
    if (!model->set_state(state(parameters))) Rcpp::stop("the parameters are not valid");
    return model;
  }

  // From R's list(initial, transition, emission), in the core's terms.
  HiddenMarkov::State state(const Rcpp::List& parameters) const {
    HiddenMarkov::State s;
    const Index K = static_cast<Index>(n_states_);
    const Rcpp::NumericVector initial = parameters["initial"], transition = parameters["transition"];
    const bool by_row = Rf_isMatrix(initial);
    s.markov.initial = Eigen::Map<const MatrixXd>(initial.begin(), by_row ? Rf_nrows(initial) : K,
                                                  by_row ? Rf_ncols(initial) : 1);
    if (options_.transition_logit) {  // q x from x to
      const Index q = static_cast<Index>(options_.n_x_transition);
      if (transition.size() != q * K * K) Rcpp::stop("the transition coefficients must be q x K x K");
      for (Index i = 0; i < K; ++i) {
        MatrixXd b(q, K);
        for (Index j = 0; j < K; ++j)
          for (Index c = 0; c < q; ++c) b(c, j) = transition[static_cast<R_xlen_t>(c + q * (i + K * j))];
        s.markov.transition.push_back(b);
      }
    } else {
      if (transition.size() != K * K) Rcpp::stop("the transition matrix must be K x K");
      s.markov.transition.push_back(Eigen::Map<const MatrixXd>(transition.begin(), K, K));
    }
    const Rcpp::List emission = parameters["emission"];
    for (R_xlen_t r = 0; r < emission.size(); ++r) s.responses.push_back(Rcpp::as<MatrixXd>(emission[r]));
    return s;
  }

  Rcpp::List from_state(const HiddenMarkov::State& s) const {
    const Index K = static_cast<Index>(n_states_);
    Rcpp::RObject initial, transition;
    if (s.markov.initial.cols() == 1 && options_.initial != MarkovOptions::Initial::kLogit)
      initial = Rcpp::NumericVector(s.markov.initial.data(), s.markov.initial.data() + K);
    else
      initial = Rcpp::wrap(s.markov.initial);
    if (options_.transition_logit) {
      const Index q = static_cast<Index>(options_.n_x_transition);
      Rcpp::NumericVector array(static_cast<R_xlen_t>(q * K * K));
      for (Index i = 0; i < K; ++i)
        for (Index j = 0; j < K; ++j)
          for (Index c = 0; c < q; ++c)
            array[static_cast<R_xlen_t>(c + q * (i + K * j))] = s.markov.transition[static_cast<size_t>(i)](c, j);
      array.attr("dim") = Rcpp::IntegerVector::create(static_cast<int>(q), static_cast<int>(K), static_cast<int>(K));
      transition = array;
    } else {
      transition = Rcpp::wrap(s.markov.transition[0]);
    }
    Rcpp::List emission;
    for (const MatrixXd& m : s.responses) emission.push_back(m);
    return Rcpp::List::create(Rcpp::Named("initial") = initial, Rcpp::Named("transition") = transition,
                              Rcpp::Named("emission") = emission);
  }

  // All natural parameters one after another, in the order of from_state().
  VectorXd flat(const HiddenMarkov::State& s) const {
    std::vector<double> out(s.markov.initial.data(), s.markov.initial.data() + s.markov.initial.size());
    const Index K = static_cast<Index>(n_states_), q = s.markov.transition[0].rows();
    if (options_.transition_logit) {
      for (Index j = 0; j < K; ++j)
        for (Index i = 0; i < K; ++i)
          for (Index c = 0; c < q; ++c) out.push_back(s.markov.transition[static_cast<size_t>(i)](c, j));
    } else {
      out.insert(out.end(), s.markov.transition[0].data(), s.markov.transition[0].data() + K * K);
    }
    for (const MatrixXd& m : s.responses) out.insert(out.end(), m.data(), m.data() + m.size());
    return Eigen::Map<const VectorXd>(out.data(), static_cast<Index>(out.size()));
  }

 private:
  ResponseSet responses_of(size_t n_states) const {
    std::vector<std::unique_ptr<Response>> responses;
    for (const ResponseInput& input : inputs_) {
      // What is fixed is so for the states of the model.
      ResponseInput free = input;
      if (n_states != n_states_) free.options.fixed.resize(0, 0);
      responses.push_back(free.make(n_states));
    }
    return ResponseSet(std::move(responses));
  }

  MarkovOptions as_options(const Rcpp::List& data, const Rcpp::List& model) const {
    MarkovOptions o;
    const Rcpp::List transition = model["transition"], initial = model["initial"];
    const std::string kind = Rcpp::as<std::string>(initial["kind"]);
    using Initial = MarkovOptions::Initial;
    o.initial = kind == "stationary"     ? Initial::kStationary
                : kind == "fixed"        ? Initial::kFixed
                : kind == "per_sequence" ? Initial::kPerSequence
                : kind == "logit"        ? Initial::kLogit
                                         : Initial::kFree;
    if (const SEXP fixed = list_entry(initial, "fixed"); !Rf_isNull(fixed)) {
      if (o.initial == Initial::kPerSequence)
        o.initial_per_sequence = Rcpp::as<MatrixXd>(fixed);
      else
        o.initial_fixed = Rcpp::as<VectorXd>(fixed);
    }
    if (o.initial == Initial::kLogit) {
      const SEXP x = data["x_initial"];
      o.x_initial = REAL(x);
      o.n_x_initial = static_cast<size_t>(Rf_ncols(x));
    }
    o.transition_logit = Rcpp::as<std::string>(transition["kind"]) == "logit";
    if (const SEXP allowed = list_entry(transition, "allowed"); !Rf_isNull(allowed)) {
      const Rcpp::LogicalVector flags(allowed);
      o.allowed.assign(flags.begin(), flags.end());
    }
    if (const SEXP fixed = list_entry(transition, "fixed"); !Rf_isNull(fixed))
      o.transition_fixed = Rcpp::as<MatrixXd>(fixed);
    if (o.transition_logit) {
      const SEXP x = data["x_transition"];
      o.x_transition = REAL(x);
      o.n_x_transition = static_cast<size_t>(Rf_ncols(x));
    }
    return o;
  }

  size_t n_states_;
  std::unique_ptr<Chains> chains_;
  std::vector<ResponseInput> inputs_;
  std::vector<int> known_;
  ChainData chain_;
  MarkovOptions options_;
};

[[noreturn]] void stop_at_row(std::ptrdiff_t row) {
  Rcpp::stop("impossible row %d", static_cast<int>(row) + 1);
}

struct HmmStart {
  std::string kind;
  HiddenMarkov::State state;
  std::vector<double> posterior;  // n x K
};

// Parameters; posteriors; or a partition, whose unknown rows may be in any state.
HmmStart as_start(const Rcpp::List& s, const HmmInput& input) {
  HmmStart out;
  out.kind = Rcpp::as<std::string>(s["kind"]);
  const size_t n = input.chains().n(), K = input.n_states();
  if (out.kind == "parameters") {
    out.state = input.state(s["parameters"]);
  } else if (out.kind == "posterior") {
    out.posterior = Rcpp::as<std::vector<double>>(s["posterior"]);
  } else {
    const Rcpp::IntegerVector partition = s["partition"];
    out.posterior.assign(n * K, 0.0);
    for (size_t row = 0; row < n; ++row) {
      const int label = partition[static_cast<R_xlen_t>(row)];
      for (size_t k = 0; k < K; ++k)
        if (label == NA_INTEGER) out.posterior[k * n + row] = 1.0 / static_cast<double>(K);
      if (label != NA_INTEGER) out.posterior[static_cast<size_t>(label - 1) * n + row] = 1.0;
    }
  }
  return out;
}

// What the rows say at the parameters: sums over rows of the logarithm of the largest posterior, and of sum_k z log z.
struct Entropies {
  double loglik = 0.0, map = 0.0, soft = 0.0;
};

Entropies entropies(HiddenMarkov& model) {
  const size_t K = model.n_states();
  // Sorted before they are added, so that the order of the sums is always the same.
  std::mutex mutex;
  std::vector<std::pair<std::ptrdiff_t, std::pair<double, double>>> parts;
  Entropies out;
  out.loglik = model.sweep([&](const ChainView& v) {
    double tile_map = 0.0, tile_soft = 0.0;
    for (size_t at = 0; at < v.rows->size(); ++at) {
      const std::ptrdiff_t row = v.rows->row(at);
      if (row < 0) continue;
      const double w = model.data().weight_of(static_cast<size_t>(row));
      if (!(w > 0.0)) continue;
      double top = 0.0, entropy = 0.0;
      for (size_t k = 0; k < K; ++k) {
        const double z = v.posterior[k * kTileRows + at] / w;
        top = std::max(top, z);
        if (z > 0.0) entropy += z * std::log(z);
      }
      tile_map += w * std::log(top);
      tile_soft += w * entropy;
    }
    std::lock_guard<std::mutex> lock(mutex);
    parts.push_back({v.rows->first, {tile_map, tile_soft}});
  });
  std::sort(parts.begin(), parts.end());
  for (const auto& p : parts) {
    out.map += p.second.first;
    out.soft += p.second.second;
  }
  return out;
}

}  // namespace

// Fits from several starts; control$progress: see RInterrupt.
// [[Rcpp::export(rng = false)]]
Rcpp::List hmm_fit_(Rcpp::List data, Rcpp::List model, Rcpp::List starts, Rcpp::List control) {
  const HmmInput input(data, model);
  MultiStartControl c = as_multi_start_control(control);
  // Where a sweep is too short to share out, the starts are shared out instead.
  c.by_start = input.chains().n() < 30000;
  std::vector<HmmStart> points;
  std::vector<std::string> methods;
  for (R_xlen_t i = 0; i < starts.size(); ++i) {
    const Rcpp::List s = starts[i];
    points.push_back(as_start(s, input));
    methods.push_back(Rcpp::as<std::string>(s["method"]));
  }
  Progress progress;
  progress.total = points.size();
  RInterrupt interrupt(progress, list_entry(control, "progress"));
  std::atomic<bool> stop{false};
  StopOnInterrupt watch(stop, interrupt);
  MultiStart<HiddenMarkov> search(c, stop, watch, progress);
  const MultiStartFit<HiddenMarkov> fit = search.fit(
      methods, [&](int threads) { return input.make(threads, &watch); },
      [&](HiddenMarkov& m, size_t i) {
        const HmmStart& s = points[i];
        return s.kind == "parameters" ? m.set_state(s.state) : m.start_from_posterior(s.posterior.data());
      });
  if (stop.load()) throw Rcpp::internal::InterruptedException();
  Rcpp::List out = from_run(fit.run, c.accelerator);
  out["fitted"] = fit.fitted;
  out["starts"] = from_starts(fit.starts);
  const std::unique_ptr<HiddenMarkov> best = input.make(c.threads, nullptr);
  out["df"] = static_cast<double>(best->markov().n_free() + best->responses().n_coordinates());
  if (fit.fitted) {
    best->set_state(fit.state);
    best->e_step();
    out["parameters"] = input.from_state(fit.state);
    out["counts"] = Rcpp::NumericVector(Rcpp::wrap(best->counts()));
  } else if (points.size() == 1 && points[0].kind == "parameters" && best->set_state(points[0].state)) {
    // A start of the user's under which the data cannot be.
    best->e_step();
    if (best->impossible_row() >= 0) stop_at_row(best->impossible_row());
  }
  return out;
}

// What of the rows at given parameters: "posterior", "filtered", "predicted" (P(state | data before)), "log_density" (all
// n x K), "loglik" (list(loglik, sequences)), "transition" (K x K x n, into each row), "initial" (K x sequences), "summary"
// (loglik, map_entropy, soft_entropy), "counts" (K).
// [[Rcpp::export(rng = false)]]
SEXP hmm_evaluate_(Rcpp::List data, Rcpp::List model, Rcpp::List parameters, std::string what, int threads) {
  const HmmInput input(data, model);
  Progress progress;
  RInterrupt interrupt(progress);
  const std::unique_ptr<HiddenMarkov> m = input.make_at(parameters, threads, &interrupt);
  const Chains& chains = input.chains();
  const size_t n = chains.n(), K = input.n_states();
  const auto check = [&](bool fine) {
    if (interrupt.pending()) throw Rcpp::internal::InterruptedException();
    if (!fine && m->impossible_row() >= 0) stop_at_row(m->impossible_row());
  };

  if (what == "initial") {
    Rcpp::NumericMatrix out(static_cast<int>(K), static_cast<int>(chains.n_sequences()));
    std::vector<double> x;
    for (size_t s = 0; s < chains.n_sequences(); ++s)
      m->markov().initial_of(static_cast<std::ptrdiff_t>(chains.begin(s)), x, out.begin() + s * K);
    return out;
  }
  if (what == "transition") {
    Rcpp::NumericVector out(static_cast<R_xlen_t>(K * K * n));
    m->responses().prepare();
    RowTerms terms(*m);
    for (size_t row = 0; row < n; ++row) {
      terms.seek(row);
      for (size_t i = 0; i < K; ++i)
        for (size_t j = 0; j < K; ++j)
          out[static_cast<R_xlen_t>(row * K * K + j * K + i)] = terms.transition(row, i, j);
    }
    out.attr("dim") = Rcpp::IntegerVector::create(static_cast<int>(K), static_cast<int>(K), static_cast<int>(n));
    return out;
  }
  if (what == "log_density") {
    Rcpp::NumericMatrix out(static_cast<int>(n), static_cast<int>(K));
    m->responses().prepare();
    RowTerms terms(*m);
    for (size_t row = 0; row < n; ++row) {
      terms.seek(row);
      const double constant = m->responses().row_constant(row);
      for (size_t k = 0; k < K; ++k) out[static_cast<R_xlen_t>(k * n + row)] = terms.log_density(row, k) + constant;
    }
    return out;
  }
  if (what == "summary") {
    const Entropies e = entropies(*m);
    check(std::isfinite(e.loglik));
    return Rcpp::List::create(Rcpp::Named("loglik") = e.loglik, Rcpp::Named("map_entropy") = e.map,
                              Rcpp::Named("soft_entropy") = e.soft);
  }
  if (what == "counts") {
    check(m->e_step().finite());
    return Rcpp::NumericVector(Rcpp::wrap(m->counts()));
  }
  if (what == "loglik") {
    std::vector<double> by_row(n, 0.0);
    check(m->forward_sweep([&](const ChainView& v, HiddenMarkov::Extra&) {
      for (size_t at = 0; at < v.rows->size(); ++at) {
        const std::ptrdiff_t row = v.rows->row(at);
        if (row >= 0) by_row[static_cast<size_t>(row)] = v.shift[at] - std::log(v.inverse_scale[at]);
      }
    }));
    Rcpp::NumericVector sequence(static_cast<R_xlen_t>(chains.n_sequences()));
    double total = 0.0;
    for (size_t s = 0; s < chains.n_sequences(); ++s) {
      double sum = 0.0;
      for (size_t row = chains.begin(s); row < chains.end(s); ++row)
        sum += by_row[row] + m->responses().row_constant(row);
      sequence[static_cast<R_xlen_t>(s)] = sum;
      total += m->data().weight_of(chains.begin(s)) * sum;
    }
    return Rcpp::List::create(Rcpp::Named("loglik") = total, Rcpp::Named("sequences") = sequence);
  }

  Rcpp::NumericMatrix out(static_cast<int>(n), static_cast<int>(K));
  double* to = out.begin();
  if (what == "posterior") {
    const double loglik = m->sweep([&](const ChainView& v) {
      for (size_t k = 0; k < K; ++k)
        for (size_t at = 0; at < v.rows->size(); ++at) {
          const std::ptrdiff_t row = v.rows->row(at);
          if (row < 0) continue;
          const double w = m->data().weight_of(static_cast<size_t>(row));
          to[k * n + static_cast<size_t>(row)] = w > 0.0 ? v.posterior[k * kTileRows + at] / w : NA_REAL;
        }
    });
    check(std::isfinite(loglik));
    return out;
  }
  const bool predicted = what == "predicted";
  check(m->forward_sweep([&](const ChainView& v, HiddenMarkov::Extra& extra) {
    std::vector<double> law(K);
    const double* matrix = m->transition_matrix();
    for (size_t at = 0; at < v.rows->size(); ++at) {
      const std::ptrdiff_t row = v.rows->row(at);
      if (row < 0) continue;
      const size_t r = static_cast<size_t>(row);
      if (!predicted) {
        for (size_t k = 0; k < K; ++k) to[k * n + r] = v.alpha[k * kTileRows + at];
      } else if (chains.is_first(r)) {
        m->markov().initial_of(row, extra.markov.row, law.data());
        for (size_t k = 0; k < K; ++k) to[k * n + r] = law[k];
      } else {
        const size_t lane = at % v.rows->lanes;
        const bool inside = at >= v.rows->lanes;
        for (size_t j = 0; j < K; ++j) {
          double p = 0.0;
          for (size_t i = 0; i < K; ++i) {
            const double a = inside ? v.alpha[i * kTileRows + at - v.rows->lanes] : v.before[i * v.rows->lanes + lane];
            p += a * (v.transition ? v.transition[(i * K + j) * kTileRows + at] : matrix[i * K + j]);
          }
          to[j * n + r] = p;
        }
      }
    }
  }));
  return out;
}

// The most probable path: states (n, from 1) and log_prob (by sequence, of path and data).
// [[Rcpp::export(rng = false)]]
Rcpp::List hmm_viterbi_(Rcpp::List data, Rcpp::List model, Rcpp::List parameters, int threads) {
  const HmmInput input(data, model);
  Progress progress;
  RInterrupt interrupt(progress);
  const std::unique_ptr<HiddenMarkov> m = input.make_at(parameters, threads, &interrupt);
  Rcpp::IntegerVector states(static_cast<R_xlen_t>(input.chains().n()));
  int* to = states.begin();
  const ViterbiPaths paths = viterbi(*m, to, &interrupt);
  if (interrupt.pending()) throw Rcpp::internal::InterruptedException();
  if (paths.impossible >= 0) stop_at_row(paths.impossible);
  for (R_xlen_t i = 0; i < states.size(); ++i) to[i] += 1;
  return Rcpp::List::create(Rcpp::Named("states") = states, Rcpp::Named("log_prob") = paths.log_prob);
}

// Paths drawn from their law given the data: n x n_paths, states from 1.
// [[Rcpp::export(rng = false)]]
Rcpp::IntegerMatrix hmm_sample_(Rcpp::List data, Rcpp::List model, Rcpp::List parameters, int n_paths,
                                Rcpp::NumericVector key, int threads) {
  const HmmInput input(data, model);
  Progress progress;
  RInterrupt interrupt(progress);
  const std::unique_ptr<HiddenMarkov> m = input.make_at(parameters, threads, &interrupt);
  const size_t n = input.chains().n(), K = input.n_states();
  std::vector<double> filtered(n * K);
  if (!m->forward_sweep([&](const ChainView& v, HiddenMarkov::Extra&) {
        for (size_t k = 0; k < K; ++k)
          for (size_t at = 0; at < v.rows->size(); ++at)
            if (v.rows->row(at) >= 0) filtered[k * n + static_cast<size_t>(v.rows->row(at))] = v.alpha[k * kTileRows + at];
      }) &&
      m->impossible_row() >= 0)
    stop_at_row(m->impossible_row());
  if (interrupt.pending()) throw Rcpp::internal::InterruptedException();
  const std::uint64_t stream = as_key(key);
  Rcpp::IntegerMatrix out(static_cast<int>(n), n_paths);
  int* to = out.begin();
  parallel_tasks(static_cast<size_t>(n_paths), threads, [&](size_t draw) {
    int* states = to + draw * n;
    sample_path(*m, filtered, stream, draw, states);
    for (size_t row = 0; row < n; ++row) states[row] += 1;
  });
  return out;
}

// The score and the observed information in the model's coordinates, and the derivatives of all natural parameters
// (initial, transition, emission, one after another) with respect to these. `regular` is FALSE, with nothing else, where a
// response is on a boundary that it has no coordinates for.
// [[Rcpp::export(rng = false)]]
Rcpp::List hmm_information_(Rcpp::List data, Rcpp::List model, Rcpp::List parameters, int threads) {
  const HmmInput input(data, model);
  Progress progress;
  RInterrupt interrupt(progress);
  const std::unique_ptr<HiddenMarkov> m = input.make_at(parameters, threads, &interrupt);
  const Markov::Chart chart(m->markov());
  const Index q = static_cast<Index>(m->n_coordinates(chart));
  VectorXd point(q);
  if (!m->coordinates(chart, point.data())) return Rcpp::List::create(Rcpp::Named("regular") = false);
  const auto score = [&](const VectorXd& at) {
    VectorXd gradient = VectorXd::Constant(q, std::nan(""));
    if (interrupt.pending()) return gradient;
    if (m->set_coordinates(chart, at.data()) && m->e_step().finite()) m->score(chart, gradient.data());
    return gradient;
  };
  const auto natural = [&](const VectorXd& at) {
    m->set_coordinates(chart, at.data());
    return input.flat(m->state());
  };
  const VectorXd gradient = score(point);
  double visits = 0.0;
  for (size_t row = 0; row < input.chains().n(); ++row) visits += m->data().weight_of(row);
  const MatrixXd information = observed_information(point, visits, score);
  const MatrixXd jacobian = natural_jacobian(point, natural);
  if (interrupt.pending()) throw Rcpp::internal::InterruptedException();
  return Rcpp::List::create(Rcpp::Named("regular") = true, Rcpp::Named("coordinates") = point,
                            Rcpp::Named("score") = gradient, Rcpp::Named("information") = information,
                            Rcpp::Named("jacobian") = jacobian);
}
