// Responses of the core from R's lists:
//   list(name, family, y = n x c, x = NULL or n x p, offset = NULL or n, link = NULL or a string,
//        options = list(covariance, n_categories, n_parts), fixed = NULL or m x K (NA where free),
//        shared = NULL or logical(m))
// The response reads R's memory: the list must outlive it.
#pragma once
#include "glue.h"

#include "core/response/response.h"

namespace emkit {

// An entry of a list, NULL where there is none of that name.
inline SEXP list_entry(const Rcpp::List& list, const char* name) {
  return list.containsElementNamed(name) ? static_cast<SEXP>(list[name]) : R_NilValue;
}

// A list in the core's terms, from which responses can be made on any thread.
struct ResponseInput {
  const ResponseEntry* entry = nullptr;
  ResponseData data;
  ResponseOptions options;

  std::unique_ptr<Response> make(size_t n_components) const { return entry->make(data, n_components, options); }
};

inline ResponseInput as_response_input(const Rcpp::List& spec) {
  ResponseInput out;
  const std::string family = Rcpp::as<std::string>(spec["family"]);
  out.entry = find_response(family);
  if (!out.entry) Rcpp::stop("unknown family of responses: %s", family);

  // A conversion would make a copy that is gone when this function returns.
  const auto doubles = [](SEXP value) {
    if (TYPEOF(value) != REALSXP) Rcpp::stop("the columns of a response must be doubles");
    return static_cast<const double*>(REAL(value));
  };
  const SEXP y = spec["y"], x = list_entry(spec, "x"), offset = list_entry(spec, "offset");
  ResponseData& data = out.data;
  data.y = doubles(y);
  data.n = static_cast<size_t>(Rf_nrows(y));
  data.n_columns = static_cast<size_t>(Rf_ncols(y));
  if (!Rf_isNull(x)) {
    if (static_cast<size_t>(Rf_nrows(x)) != data.n) Rcpp::stop("the design and the response differ in their rows");
    data.x = doubles(x);
    data.n_predictors = static_cast<size_t>(Rf_ncols(x));
  }
  if (!Rf_isNull(offset)) {
    if (static_cast<size_t>(Rf_xlength(offset)) != data.n)
      Rcpp::stop("the offset and the response differ in their rows");
    data.offset = doubles(offset);
  }

  ResponseOptions& options = out.options;
  if (const SEXP link = list_entry(spec, "link"); !Rf_isNull(link)) options.link = Rcpp::as<std::string>(link);
  if (const SEXP given = list_entry(spec, "options"); !Rf_isNull(given)) {
    const Rcpp::List list(given);
    const auto count = [&](const char* name) {
      const SEXP value = list_entry(list, name);
      return Rf_isNull(value) ? size_t{0} : static_cast<size_t>(Rcpp::as<double>(value));
    };
    if (const SEXP code = list_entry(list, "covariance"); !Rf_isNull(code))
      options.covariance = Rcpp::as<std::string>(code);
    options.n_categories = count("n_categories");
    options.n_parts = count("n_parts");
  }
  if (const SEXP fixed = list_entry(spec, "fixed"); !Rf_isNull(fixed))
    options.fixed = Rcpp::as<Eigen::MatrixXd>(fixed);
  if (const SEXP shared = list_entry(spec, "shared"); !Rf_isNull(shared)) {
    const Rcpp::LogicalVector flags(shared);
    options.shared.assign(flags.begin(), flags.end());
  }
  return out;
}

inline std::unique_ptr<Response> as_response(const Rcpp::List& spec, size_t n_components) {
  return as_response_input(spec).make(n_components);
}

// Of a list of specs.
inline std::vector<std::unique_ptr<Response>> as_responses(const Rcpp::List& specs, size_t n_components) {
  std::vector<std::unique_ptr<Response>> out;
  for (R_xlen_t r = 0; r < specs.size(); ++r) out.push_back(as_response(Rcpp::List(specs[r]), n_components));
  return out;
}

}  // namespace emkit
