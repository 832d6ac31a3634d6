// A door to the special functions, for the tests.
#include <Rcpp.h>

#include <string>

#include "core/math/special.h"

using namespace emkit;

// [[Rcpp::export(rng = false)]]
Rcpp::NumericVector special_(Rcpp::NumericVector x, std::string what) {
  double (*f)(double) = nullptr;
  if (what == "log_gamma") f = log_gamma;
  if (what == "stirling_error") f = stirling_error;
  if (what == "digamma") f = digamma;
  if (what == "log_minus_digamma") f = log_minus_digamma;
  if (what == "trigamma") f = trigamma;
  if (what == "trigamma_minus_inverse") f = trigamma_minus_inverse;
  if (what == "log_bessel_i0") f = log_bessel_i0;
  if (what == "log_bessel_i0_scaled") f = log_bessel_i0_scaled;
  if (what == "bessel_ratio") f = [](double k) { return bessel_ratio(k).value; };
  if (what == "bessel_ratio_complement") f = [](double k) { return bessel_ratio(k).complement; };
  if (what == "bessel_ratio_derivative") f = [](double k) { return bessel_ratio(k).derivative; };
  if (!f) Rcpp::stop("unknown function");
  Rcpp::NumericVector out(x.size());
  for (R_xlen_t i = 0; i < x.size(); ++i) out[i] = f(x[i]);
  return out;
}
