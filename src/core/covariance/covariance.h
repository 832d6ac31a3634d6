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

  // The exact M-step: `covariances` (same form as the scatter) maximises the expected complete-data log-likelihood over
  // the structure. False when there is no maximum (a scatter matrix is singular where it must not be).
  virtual bool m_step(const Scatter& scatter, SymmetricSet& covariances) = 0;

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
};

// Every registered structure, simpler ones before those that contain them; src/registry_covariance.cpp holds the table.
const std::vector<CovarianceEntry>& covariance_registry();

// Null when there is none of that code.
const CovarianceEntry* find_covariance(const std::string& code);

}  // namespace emkit
