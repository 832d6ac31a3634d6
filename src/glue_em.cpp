// R's functions as a model of the EM loop.
#include "glue_fit.h"

#include <memory>

#include "core/em/run_watch.h"
#include "core/models/closure.h"

using namespace emkit;

namespace {

// The user's functions, in the order of closure_names in R/em.R.
enum class Part { kEStep, kMStep, kUpdate, kLoglik, kLogPrior, kPack, kUnpack };

// Parameters as R holds them, shaped like `start` (a numeric vector or a list of them), and as a flat vector.
class Shape {
 public:
  explicit Shape(SEXP start) : start_(start) {}

  SEXP as_r(const std::vector<double>& flat) const {
    const double* from = flat.data();
    if (TYPEOF(start_) != VECSXP) return like(start_, from);
    const R_xlen_t n = Rf_xlength(start_);
    const Rcpp::Shield<SEXP> out(Rf_allocVector(VECSXP, n));
    for (R_xlen_t i = 0; i < n; ++i) {
      SEXP element = VECTOR_ELT(start_, i);
      SET_VECTOR_ELT(out, i, like(element, from));
      from += Rf_xlength(element);
    }
    SHALLOW_DUPLICATE_ATTRIB(out, start_);
    return out;
  }

  enum class Outcome { kFine, kNotFinite, kOther };

  // kOther: what came does not have the very shape of `start`; whether it can be made to is for R to say.
  Outcome as_flat(SEXP value, std::vector<double>& flat) const {
    flat.clear();
    if (TYPEOF(start_) != VECSXP) return append(value, start_, flat);
    const R_xlen_t n = Rf_xlength(start_);
    if (TYPEOF(value) != VECSXP || Rf_xlength(value) != n || !same_names(value, start_)) return Outcome::kOther;
    Outcome worst = Outcome::kFine;
    for (R_xlen_t i = 0; i < n; ++i) {
      const Outcome one = append(VECTOR_ELT(value, i), VECTOR_ELT(start_, i), flat);
      if (one == Outcome::kOther) return one;
      if (one == Outcome::kNotFinite) worst = one;
    }
    return worst;
  }

 private:
  static SEXP like(SEXP element, const double* from) {
    const R_xlen_t n = Rf_xlength(element);
    const Rcpp::Shield<SEXP> out(Rf_allocVector(REALSXP, n));
    std::copy(from, from + n, REAL(out));
    SHALLOW_DUPLICATE_ATTRIB(out, element);
    return out;
  }

  static bool same_names(SEXP a, SEXP b) {
    const Rcpp::Shield<SEXP> left(Rf_getAttrib(a, R_NamesSymbol)), right(Rf_getAttrib(b, R_NamesSymbol));
    return same_strings(left, right);
  }

  static bool same_strings(SEXP left, SEXP right) {
    if (TYPEOF(left) != STRSXP || TYPEOF(right) != STRSXP || Rf_xlength(left) != Rf_xlength(right)) return false;
    for (R_xlen_t i = 0; i < Rf_xlength(left); ++i)
      if (STRING_ELT(left, i) != STRING_ELT(right, i)) return false;
    return true;
  }

  static bool same_dimnames(SEXP a, SEXP b) {
    const Rcpp::Shield<SEXP> left(Rf_getAttrib(a, R_DimNamesSymbol)), right(Rf_getAttrib(b, R_DimNamesSymbol));
    if (Rf_isNull(left) || Rf_isNull(right)) return true;
    for (R_xlen_t i = 0; i < Rf_xlength(left); ++i) {
      SEXP one = VECTOR_ELT(left, i), other = VECTOR_ELT(right, i);
      if (!Rf_isNull(one) && !Rf_isNull(other) && !same_strings(one, other)) return false;
    }
    return true;
  }

  static Outcome append(SEXP value, SEXP element, std::vector<double>& flat) {
    const R_xlen_t n = Rf_xlength(element);
    if (TYPEOF(value) != REALSXP || Rf_xlength(value) != n) return Outcome::kOther;
    if (ATTRIB(value) != R_NilValue && ATTRIB(value) != ATTRIB(element) && !same_attributes(value, element))
      return Outcome::kOther;
    if (ATTRIB(value) == R_NilValue && !Rf_isNull(Rf_getAttrib(element, R_DimSymbol))) return Outcome::kOther;
    bool finite = true;
    for (const double *v = REAL(value), *end = v + n; v != end; ++v) {
      finite = finite && std::isfinite(*v);
      flat.push_back(*v);
    }
    return finite ? Outcome::kFine : Outcome::kNotFinite;
  }

  // Names are compared where both have them, for colMeans() and the like add some.
  static bool same_attributes(SEXP value, SEXP element) {
    const SEXP dim = Rf_getAttrib(value, R_DimSymbol), wanted = Rf_getAttrib(element, R_DimSymbol);
    if (Rf_isNull(wanted) || Rf_isNull(dim)) {
      const Rcpp::Shield<SEXP> a(Rf_getAttrib(value, R_NamesSymbol)), b(Rf_getAttrib(element, R_NamesSymbol));
      return Rf_isNull(wanted) && Rf_isNull(dim) && (Rf_isNull(a) || Rf_isNull(b) || same_names(value, element));
    }
    if (Rf_xlength(dim) != Rf_xlength(wanted)) return false;
    for (R_xlen_t i = 0; i < Rf_xlength(dim); ++i)
      if (INTEGER(dim)[i] != INTEGER(wanted)[i]) return false;
    return same_dimnames(value, element);
  }

  SEXP start_;
};

// Calls the user's functions: as calls with names, in an environment that holds them and their arguments, which makes a
// traceback that can be read. An error unwinds through the loop to R, except in trials, where it is caught. `where`:
// iteration, and the number of the function that is at work, for R to name in messages.
class Caller {
 public:
  // calls, trials: for each part a call, or NULL where there is no such function.
  Caller(const Rcpp::List& model, const Rcpp::IntegerVector& where)
      : environment_(model["environment"]), check_(model["check"]), where_(where) {
    const Rcpp::List calls = model["calls"], trials = model["trials"];
    for (int i = 0; i < kParts; ++i) {
      plain_[i] = calls[i];
      trial_[i] = trials[i];
    }
  }

  bool has(Part part) const { return !Rf_isNull(plain_[index(part)]); }
  void at_iteration(int i) { where_[0] = i; }
  int count(Part part) const { return counts_[index(part)]; }
  void set(const char* name, SEXP value) const { Rf_defineVar(Rf_install(name), value, environment_); }

  // False after an error in a trial.
  bool call(Part part, bool trial, Rcpp::RObject& value) {
    const int i = index(part);
    where_[1] = i + 1;
    ++counts_[i];
    value = Rcpp::Rcpp_fast_eval(trial ? trial_[i] : plain_[i], environment_);
    where_[1] = 0;
    return !trial || !Rf_inherits(value, "em_trial_failed");
  }

  // R looks at a value that is not as it has to be: stops with a message, or gives back what was meant.
  void check(Part part, Rcpp::RObject& value) const {
    set("value", value);
    const Rcpp::Shield<SEXP> number(Rf_ScalarInteger(index(part) + 1));
    set("part", number);
    value = Rcpp::Rcpp_fast_eval(check_, environment_);
  }

 private:
  static constexpr int kParts = 7;
  static int index(Part part) { return static_cast<int>(part); }

  Rcpp::Environment environment_;
  Rcpp::RObject check_, plain_[kParts], trial_[kParts];
  int counts_[kParts] = {};
  Rcpp::IntegerVector where_;
};

class RClosures final : public ModelClosures {
 public:
  RClosures(Caller& caller, const Shape& shape) : caller_(caller), shape_(shape) {}

  bool objective(const std::vector<double>& parameters, bool trial, Objective& value) override {
    at(parameters);
    have_statistics_ = false;
    Rcpp::RObject got;
    if (caller_.has(Part::kLoglik)) {
      if (!caller_.call(Part::kLoglik, trial, got) || !number(Part::kLoglik, got, trial, value.loglik)) return false;
    } else {
      if (!e_step(trial, got)) return false;
      got = Rf_getAttrib(got, Rf_install("loglik"));
      if (!number(Part::kEStep, got, trial, value.loglik)) return false;
    }
    if (!caller_.has(Part::kLogPrior)) return true;
    return caller_.call(Part::kLogPrior, trial, got) && number(Part::kLogPrior, got, trial, value.log_prior);
  }

  bool has_objective_alone() const override { return caller_.has(Part::kLoglik); }

  bool em_step(const std::vector<double>& parameters, bool trial, std::vector<double>& next) override {
    if (!have_statistics_) at(parameters);
    const Part part = step_part();
    Rcpp::RObject value;
    if (part == Part::kMStep && !have_statistics_ && !e_step(trial, value)) return false;
    if (!caller_.call(part, trial, value)) return false;
    const Shape::Outcome outcome = shape_.as_flat(value, next);
    if (outcome == Shape::Outcome::kFine) return true;
    if (outcome == Shape::Outcome::kNotFinite && trial) return false;
    caller_.check(part, value);
    return shape_.as_flat(value, next) == Shape::Outcome::kFine;
  }

  void step_outside(const std::vector<double>& next) override {
    Rcpp::RObject value(shape_.as_r(next));
    caller_.check(step_part(), value);
  }

 private:
  Part step_part() const { return caller_.has(Part::kUpdate) ? Part::kUpdate : Part::kMStep; }

  void at(const std::vector<double>& parameters) {
    const Rcpp::Shield<SEXP> theta(shape_.as_r(parameters));
    caller_.set("theta", theta);
  }

  bool e_step(bool trial, Rcpp::RObject& statistics) {
    if (!caller_.call(Part::kEStep, trial, statistics)) return false;
    caller_.set("stats", statistics);
    have_statistics_ = true;
    return true;
  }

  // One finite number.
  bool number(Part part, Rcpp::RObject& value, bool trial, double& out) const {
    if (TYPEOF(value) == REALSXP && Rf_xlength(value) == 1) {
      out = REAL(value)[0];
      if (std::isfinite(out)) return true;
      if (trial) return false;
    }
    caller_.check(part, value);
    out = Rcpp::as<double>(value);
    return true;
  }

  Caller& caller_;
  const Shape& shape_;
  bool have_statistics_ = false;
};

// Coordinates by the user's pack() and unpack().
class RSpace final : public ParameterSpace {
 public:
  RSpace(Caller& caller, const Shape& shape, size_t n) : caller_(caller), shape_(shape), n_(n) {}
  size_t n_packed() const override { return n_; }

  bool pack(const std::vector<double>& parameters, double* point) const override {
    const Rcpp::Shield<SEXP> theta(shape_.as_r(parameters));
    caller_.set("theta", theta);
    Rcpp::RObject value;
    caller_.call(Part::kPack, false, value);
    if (TYPEOF(value) != REALSXP || static_cast<size_t>(Rf_xlength(value)) != n_) caller_.check(Part::kPack, value);
    bool finite = true;
    for (size_t i = 0; i < n_; ++i) {
      point[i] = REAL(value)[i];
      finite = finite && std::isfinite(point[i]);
    }
    return finite;
  }

  bool unpack(const double* point, std::vector<double>& parameters) const override {
    const Rcpp::NumericVector v(point, point + n_);
    caller_.set("point", v);
    Rcpp::RObject value;
    if (!caller_.call(Part::kUnpack, true, value)) return false;
    std::vector<double> flat;
    Shape::Outcome outcome = shape_.as_flat(value, flat);
    if (outcome == Shape::Outcome::kOther) {
      caller_.check(Part::kUnpack, value);
      outcome = shape_.as_flat(value, flat);
    }
    if (outcome != Shape::Outcome::kFine) return false;
    parameters.swap(flat);
    return true;
  }

 private:
  Caller& caller_;
  const Shape& shape_;
  size_t n_;
};

// Tells the caller which iteration is under way.
class CountingObserver final : public Observer {
 public:
  CountingObserver(RunWatch& watch, Caller& caller, int before) : watch_(watch), caller_(caller), before_(before) {
    caller_.at_iteration(before);
  }
  bool step(int iteration, const Objective& objective) override {
    caller_.at_iteration(before_ + iteration + 1);
    return watch_.step(iteration, objective);
  }
  bool stopped() const override { return watch_.stopped(); }

 private:
  RunWatch& watch_;
  Caller& caller_;
  int before_;
};

// layout: a list of list(transform = name, at = positions from 1).
TransformedSpace as_space(const Rcpp::List& layout) {
  const char* names[] = {"real", "positive", "probability", "simplex", "covariance"};
  std::vector<TransformBlock> blocks;
  for (R_xlen_t i = 0; i < layout.size(); ++i) {
    const Rcpp::List b(static_cast<SEXP>(layout[i]));
    const std::string name = Rcpp::as<std::string>(b["transform"]);
    TransformBlock block;
    for (int k = 0; k < 5; ++k)
      if (name == names[k]) block.transform = static_cast<Transform>(k);
    const Rcpp::IntegerVector at = b["at"];
    for (int j : at) block.at.push_back(static_cast<size_t>(j) - 1);
    blocks.push_back(block);
  }
  return TransformedSpace(blocks);
}

std::vector<double> as_vector(const Rcpp::NumericVector& v) { return {v.begin(), v.end()}; }

}  // namespace

// Runs EM from the flat `theta`. model: environment, calls, trials and check (see Caller), layout (see as_space),
// n_packed. `before`: iterations that went before. `where` is written to: see Caller.
// [[Rcpp::export(rng = false)]]
Rcpp::List em_run_(Rcpp::List model, SEXP start, Rcpp::NumericVector theta, Rcpp::List control, int before,
                   Rcpp::IntegerVector where, SEXP show) {
  const Shape shape(start);
  Caller caller(model, where);
  RClosures closures(caller, shape);
  std::unique_ptr<ParameterSpace> space;
  if (caller.has(Part::kPack))
    space.reset(new RSpace(caller, shape, Rcpp::as<size_t>(model["n_packed"])));
  else
    space.reset(new TransformedSpace(as_space(model["layout"])));

  std::atomic<bool> stop{false};
  Progress progress;
  progress.total = 1;
  RInterrupt interrupt(progress, show);
  RunWatch watch(stop, interrupt, progress);
  CountingObserver observer(watch, caller, before);
  EmControl em;
  em.tol = Rcpp::as<double>(control["tol"]);
  em.max_iter = Rcpp::as<int>(control["max_iter"]);
  const std::string name = Rcpp::as<std::string>(control["accelerator"]);
  const std::unique_ptr<Accelerator> accelerator = make_accelerator(name);

  ClosureModel fit(closures, *space, as_vector(theta));
  const EmResult run = run_em(fit, *accelerator, em, observer);
  if (stop.load()) throw Rcpp::internal::InterruptedException();
  Rcpp::List out = from_run(run, name);
  out["theta"] = Rcpp::NumericVector(fit.parameters().begin(), fit.parameters().end());
  out["calls"] = Rcpp::IntegerVector::create(
      Rcpp::Named("step") = caller.count(Part::kMStep) + caller.count(Part::kUpdate),
      Rcpp::Named("loglik") = caller.count(caller.has(Part::kLoglik) ? Part::kLoglik : Part::kEStep));
  return out;
}

// Coordinates of flat parameters; NULL where there are none.
// [[Rcpp::export(rng = false)]]
SEXP em_pack_(Rcpp::List layout, Rcpp::NumericVector theta) {
  const TransformedSpace space = as_space(layout);
  Rcpp::NumericVector point(static_cast<R_xlen_t>(space.n_packed()));
  return space.pack(as_vector(theta), point.begin()) ? SEXP(point) : R_NilValue;
}

// Flat parameters of coordinates, `theta` giving those without transform; NULL where there are none.
// [[Rcpp::export(rng = false)]]
SEXP em_unpack_(Rcpp::List layout, Rcpp::NumericVector theta, Rcpp::NumericVector point) {
  const TransformedSpace space = as_space(layout);
  if (static_cast<size_t>(point.size()) != space.n_packed()) Rcpp::stop("wrong number of coordinates");
  std::vector<double> out = as_vector(theta);
  return space.unpack(point.begin(), out) ? SEXP(Rcpp::NumericVector(out.begin(), out.end())) : R_NilValue;
}
