// What the glue of every model says of a fit from several starts.
#pragma once
#include "glue.h"

#include "core/models/multi_start.h"
#include "core/models/resampling.h"

namespace emkit {

inline MultiStartControl as_multi_start_control(const Rcpp::List& control) {
  MultiStartControl c;
  c.em.tol = Rcpp::as<double>(control["tol"]);
  c.em.max_iter = Rcpp::as<int>(control["max_iter"]);
  c.accelerator = Rcpp::as<std::string>(control["accelerator"]);
  c.n_short = Rcpp::as<int>(control["n_short"]);
  c.n_polish = Rcpp::as<int>(control["n_polish"]);
  if (control.containsElementNamed("threads")) c.threads = Rcpp::as<int>(control["threads"]);
  return c;
}

inline Resampling as_resampling(const std::string& kind) {
  return kind == "parametric"      ? Resampling::kParametric
         : kind == "nonparametric" ? Resampling::kMultinomial
                                   : Resampling::kExponential;
}

// From log-likelihoods of scaled data to those of the user's.
inline void shift_loglik(double by, EmResult& run, std::vector<StartOutcome>& starts) {
  run.objective.loglik += by;
  for (TracePoint& t : run.trace) t.objective.loglik += by;
  for (StartOutcome& s : starts) s.objective.loglik += by;
}

inline const char* degeneracy_word(Degeneracy::Kind kind) {
  switch (kind) {
    case Degeneracy::Kind::kNone: return "none";
    case Degeneracy::Kind::kVanished: return "vanished";
    case Degeneracy::Kind::kSingular: return "singular";
    case Degeneracy::Kind::kNotFinite: return "not_finite";
  }
  return "none";
}

inline Rcpp::DataFrame from_starts(const std::vector<StartOutcome>& starts) {
  const R_xlen_t m = static_cast<R_xlen_t>(starts.size());
  Rcpp::CharacterVector method(m), status(m), degeneracy(m);
  Rcpp::NumericVector loglik(m), log_prior(m);
  Rcpp::IntegerVector iterations(m), component(m);
  Rcpp::LogicalVector polished(m);
  for (R_xlen_t i = 0; i < m; ++i) {
    const StartOutcome& s = starts[static_cast<size_t>(i)];
    const bool usable = s.status != Status::kDegenerate && s.status != Status::kInterrupted;
    method[i] = s.method;
    status[i] = status_name(s.status);
    degeneracy[i] = degeneracy_word(s.degeneracy.kind);
    component[i] = static_cast<int>(s.degeneracy.component) + 1;
    loglik[i] = usable ? s.objective.loglik : NA_REAL;
    log_prior[i] = usable ? s.objective.log_prior : NA_REAL;
    iterations[i] = s.iterations;
    polished[i] = s.polished;
  }
  return Rcpp::DataFrame::create(
      Rcpp::Named("method") = method, Rcpp::Named("loglik") = loglik, Rcpp::Named("log_prior") = log_prior,
      Rcpp::Named("status") = status, Rcpp::Named("degeneracy") = degeneracy, Rcpp::Named("component") = component,
      Rcpp::Named("iterations") = iterations, Rcpp::Named("polished") = polished,
      Rcpp::Named("stringsAsFactors") = false);
}

// Everything but the parameters.
inline Rcpp::List from_run(const EmResult& run, const std::string& accelerator) {
  const R_xlen_t n = static_cast<R_xlen_t>(run.trace.size());
  Rcpp::NumericVector loglik(n), log_prior(n);
  Rcpp::CharacterVector step(n);
  for (R_xlen_t i = 0; i < n; ++i) {
    const TracePoint& t = run.trace[static_cast<size_t>(i)];
    loglik[i] = t.objective.loglik;
    log_prior[i] = t.objective.log_prior;
    step[i] = i == 0 ? "start" : t.accelerated ? accelerator : "em";
  }
  return Rcpp::List::create(
      Rcpp::Named("status") = status_name(run.status),
      Rcpp::Named("degeneracy") = degeneracy_word(run.degeneracy.kind),
      Rcpp::Named("degenerate_component") = static_cast<int>(run.degeneracy.component) + 1,
      Rcpp::Named("loglik") = run.objective.loglik, Rcpp::Named("log_prior") = run.objective.log_prior,
      Rcpp::Named("iterations") = run.iterations, Rcpp::Named("evaluations") = run.evaluations,
      Rcpp::Named("last_gain") = run.last_gain, Rcpp::Named("rate") = run.rate,
      Rcpp::Named("remaining_gain") = run.remaining_gain, Rcpp::Named("trace_loglik") = loglik,
      Rcpp::Named("trace_log_prior") = log_prior, Rcpp::Named("trace_step") = step);
}

}  // namespace emkit
