// The registries as R sees them.
#include "glue.h"

#include "core/covariance/covariance.h"
#include "core/em/accelerator.h"

using namespace emkit;

// [[Rcpp::export(rng = false)]]
Rcpp::DataFrame covariance_registry_() {
  Rcpp::CharacterVector code, description, form, variables, contains;
  Rcpp::LogicalVector column_scaling, factors;
  const char* const forms[] = {"pooled diagonal", "pooled", "diagonal", "full"};
  for (const CovarianceEntry& entry : covariance_registry()) {
    code.push_back(entry.code);
    description.push_back(entry.description);
    form.push_back(forms[static_cast<int>(entry.form)]);
    variables.push_back(entry.univariate ? "one" : "many");
    column_scaling.push_back(entry.column_scaling);
    factors.push_back(entry.has_factors());
    std::string inner;
    for (const char* name : entry.contains) inner += (inner.empty() ? "" : " ") + std::string(name);
    contains.push_back(inner);
  }
  return Rcpp::DataFrame::create(Rcpp::Named("code") = code, Rcpp::Named("description") = description,
                                 Rcpp::Named("level") = form, Rcpp::Named("n_variables") = variables,
                                 Rcpp::Named("column_scaling") = column_scaling, Rcpp::Named("factors") = factors,
                                 Rcpp::Named("contains") = contains,
                                 Rcpp::Named("stringsAsFactors") = false);
}

// [[Rcpp::export(rng = false)]]
double covariance_n_parameters_(std::string code, double d, double n_components, double n_factors = 1) {
  const CovarianceEntry* entry = find_covariance(code);
  if (!entry) Rcpp::stop("unknown covariance structure");
  return entry->count(d, n_components, n_factors);
}

// [[Rcpp::export(rng = false)]]
Rcpp::CharacterVector acceleration_registry_() {
  Rcpp::CharacterVector names;
  for (const AcceleratorEntry& entry : accelerator_registry()) names.push_back(entry.name);
  return names;
}
