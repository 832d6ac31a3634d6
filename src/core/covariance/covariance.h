// Covariance structures of Gaussian mixtures (Celeux & Govaert 1995, Pattern Recognition 28:781-793):
// Sigma_k = lambda_k D_k A_k D_k', with volume lambda_k = |Sigma_k|^(1/d), shape A_k (diagonal, |A_k| = 1) and
// orientation D_k (orthogonal). A code's three letters say for volume, shape and orientation whether they are Equal
// over the components, Vary, or are the Identity.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "scatter.h"

namespace emkit {

// What a structure needs of the scatter.
enum class ScatterForm {
  kPooledDiagonal,  // the diagonal of the sum over the components
  kPooled,          // the sum over the components
  kDiagonal,        // each component's diagonal
  kFull             // each component's matrix
};

inline bool is_pooled(ScatterForm form) { return form == ScatterForm::kPooledDiagonal || form == ScatterForm::kPooled; }
inline bool is_diagonal(ScatterForm form) {
  return form == ScatterForm::kPooledDiagonal || form == ScatterForm::kDiagonal;
}

// One structure in one fit; it may keep what warms up its next M-step (an orientation, volumes).
class CovarianceStructure {
 public:
  virtual ~CovarianceStructure() = default;

  // The M-step: `covariances` (same form as the scatter) maximises the expected complete-data log-likelihood over
  // the structure. False when there is no maximum (a scatter matrix is singular where it must not be).
  virtual bool m_step(const Scatter& scatter, SymmetricSet& covariances) = 0;

  // Variances of the data, which say what is too small to be a variance; called before anything else, or never.
  virtual void set_scale(const VectorXd& variance) { (void)variance; }

  // After a failed m_step(): the matrix that has no maximum, or -1 where the structure cannot tell.
  virtual Index collapsed() const { return -1; }

  // Structures with factors, Sigma_k = Lambda_k Lambda_k' + Psi_k (one for each matrix of the scatter). Their M-step
  // raises the objective without always reaching its maximum, so that the state of a fit is the factors, not the
  // moments: they are kept, can be set, and are the coordinates for accelerators. unpack() and set_factors() write the
  // covariances.
  virtual Index n_factors() const { return 0; }
  virtual MatrixXd loadings(Index) const { return MatrixXd(); }
  virtual VectorXd uniquenesses(Index) const { return VectorXd(); }
  virtual bool set_factors(const std::vector<MatrixXd>&, const MatrixXd&, SymmetricSet&) { return false; }
  virtual size_t n_packed(Index, Index) const { return 0; }
  virtual void pack(double*) const {}
  virtual bool unpack(const double*, SymmetricSet&) { return false; }

  // A copy with what it keeps.
  virtual std::unique_ptr<CovarianceStructure> clone() const = 0;
};

// Writes clone() for a structure: struct Vvv : CovarianceStructureOf<Vvv>.
template <class Derived>
class CovarianceStructureOf : public CovarianceStructure {
 public:
  std::unique_ptr<CovarianceStructure> clone() const final {
    return std::unique_ptr<CovarianceStructure>(new Derived(static_cast<const Derived&>(*this)));
  }
};

struct CovarianceEntry {
  const char* code;
  const char* description;
  ScatterForm form;
  bool univariate;       // for one variable only; the others are for several
  bool column_scaling;   // closed under a change of the units of single columns
  // The free parameters of the covariances.
  double (*n_parameters)(double d, double n_components);
  std::unique_ptr<CovarianceStructure> (*make)();
  // Structures that this one contains: their fits are starts for it.
  std::vector<const char*> contains;
  // For structures with factors, in place of the two above: with the number of factors.
  double (*n_factor_parameters)(double d, double n_components, double n_factors) = nullptr;
  std::unique_ptr<CovarianceStructure> (*make_with_factors)(Index n_factors) = nullptr;

  bool has_factors() const { return make_with_factors != nullptr; }
  double count(double d, double n_components, double n_factors) const {
    return has_factors() ? n_factor_parameters(d, n_components, n_factors) : n_parameters(d, n_components);
  }
  std::unique_ptr<CovarianceStructure> structure(Index n_factors) const {
    return has_factors() ? make_with_factors(n_factors) : make();
  }
};

// Every registered structure, simpler ones before those that contain them; src/registry_covariance.cpp holds the table.
const std::vector<CovarianceEntry>& covariance_registry();

// Null when there is none of that code.
const CovarianceEntry* find_covariance(const std::string& code);

}  // namespace emkit
