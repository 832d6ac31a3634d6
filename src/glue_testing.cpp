// Doors into the core for the tests, and the choice of the instruction set.
#include "glue.h"

#include "core/covariance/covariance.h"
#include "core/kernels/kernels.h"
#include "core/math/aligned.h"
#include "core/math/counter_rng.h"

using namespace emkit;

// [[Rcpp::export(rng = false)]]
std::string kernel_isa_() { return kernels().name; }

// [[Rcpp::export(rng = false)]]
Rcpp::CharacterVector kernel_isa_available_() {
  Rcpp::CharacterVector names;
  for (size_t i = 0; i < n_kernel_tables(); ++i) names.push_back(kernel_table(i).name);
  return names;
}

// [[Rcpp::export(rng = false)]]
bool kernel_set_isa_(std::string name) { return select_kernels(name.c_str()); }

// Elementwise exp or log by the kernels in use.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericVector kernel_function_(Rcpp::NumericVector x, bool logarithm) {
  const size_t n = static_cast<size_t>(x.size()), padded = (n + kWide - 1) / kWide * kWide;
  AlignedBuffer in(padded), out(padded);
  for (size_t i = 0; i < padded; ++i) in[i] = i < n ? x[static_cast<R_xlen_t>(i)] : 1.0;
  (logarithm ? kernels().log_n : kernels().exp_n)(in.data(), padded, out.data());
  Rcpp::NumericVector result(x.size());
  for (size_t i = 0; i < n; ++i) result[static_cast<R_xlen_t>(i)] = out[i];
  return result;
}

// The M-step of a structure: scatter (d x d x K) and sizes to covariances (d x d x K).
// [[Rcpp::export(rng = false)]]
Rcpp::NumericVector covariance_m_step_(std::string code, Rcpp::NumericVector scatter, Rcpp::NumericVector n,
                                       int n_factors = 1) {
  const CovarianceEntry* entry = find_covariance(code);
  if (!entry) Rcpp::stop("unknown covariance structure");
  const Rcpp::IntegerVector dim = scatter.attr("dim");
  const size_t d = static_cast<size_t>(dim[0]), n_components = static_cast<size_t>(n.size());
  const std::vector<Eigen::MatrixXd> w = as_matrices(scatter, d, n_components);
  const Index count = is_pooled(entry->form) ? 1 : static_cast<Index>(n_components);
  Scatter s;
  s.scatter = SymmetricSet(static_cast<Index>(d), count, is_diagonal(entry->form));
  s.n = VectorXd::Zero(count);
  for (size_t k = 0; k < n_components; ++k) {
    const Index at = count == 1 ? 0 : static_cast<Index>(k);
    s.n(at) += n[static_cast<R_xlen_t>(k)];
    if (s.scatter.diagonal)
      s.scatter.values.col(at) += w[k].diagonal();
    else
      s.scatter.matrix(at) += w[k];
  }
  SymmetricSet sigma(static_cast<Index>(d), count, s.scatter.diagonal);
  const std::unique_ptr<CovarianceStructure> structure = entry->structure(n_factors);
  if (!structure->m_step(s, sigma)) Rcpp::stop("the M-step does not exist");
  // Steps that only raise the objective are repeated until they have nothing left to do.
  for (int i = 0; i < 2000 && entry->has_factors(); ++i) {
    const MatrixXd before = sigma.values;
    if (!structure->m_step(s, sigma)) Rcpp::stop("the M-step does not exist");
    if ((sigma.values - before).norm() <= 1e-14 * before.norm()) break;
  }
  std::vector<Eigen::MatrixXd> out;
  for (size_t k = 0; k < n_components; ++k) out.push_back(sigma.dense(count == 1 ? 0 : static_cast<Index>(k)));
  return as_array(out, d);
}

// The first numbers of a counter-based stream.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericVector counter_rng_(double key, double stream, int n, std::string kind) {
  CounterRng rng(static_cast<std::uint64_t>(key), static_cast<std::uint64_t>(stream));
  Rcpp::NumericVector out(n);
  for (double& v : out) v = kind == "normal" ? rng.normal() : kind == "exponential" ? rng.exponential() : rng.uniform();
  return out;
}
