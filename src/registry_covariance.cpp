// The covariance structures by name: a new one is one header and one line.
#include "core/covariance/eee.h"
#include "core/covariance/eei.h"
#include "core/covariance/eev.h"
#include "core/covariance/eii.h"
#include "core/covariance/eve.h"
#include "core/covariance/evi.h"
#include "core/covariance/evv.h"
#include "core/covariance/factor_analysers.h"
#include "core/covariance/vee.h"
#include "core/covariance/vei.h"
#include "core/covariance/vev.h"
#include "core/covariance/vii.h"
#include "core/covariance/vve.h"
#include "core/covariance/vvi.h"
#include "core/covariance/vvv.h"

namespace emkit {

namespace {
template <class C>
std::unique_ptr<CovarianceStructure> make() {
  return std::unique_ptr<CovarianceStructure>(new C());
}

// Angles of an orientation.
double o(double d) { return d * (d - 1) / 2; }

template <bool kCommonLoadings, Uniqueness kUniqueness>
std::unique_ptr<CovarianceStructure> factors(Index q) {
  return std::unique_ptr<CovarianceStructure>(new FactorAnalysers(q, kCommonLoadings, kUniqueness));
}

// Loadings up to a rotation.
double l(double d, double q) { return d * q - q * (q - 1) / 2; }
}  // namespace

const std::vector<CovarianceEntry>& covariance_registry() {
  using F = ScatterForm;
  using U = Uniqueness;
  static const std::vector<CovarianceEntry> table = {
      // code, description, form, univariate, column_scaling, n_parameters(d, K), make, contains
      {"E", "equal variance", F::kPooledDiagonal, true, true, [](double, double) { return 1.0; }, make<Eii>, {}},
      {"V", "varying variance", F::kDiagonal, true, true, [](double, double K) { return K; }, make<Vii>, {"E"}},
      {"EII", "spherical, equal volume", F::kPooledDiagonal, false, false, [](double, double) { return 1.0; },
       make<Eii>, {}},
      {"VII", "spherical, varying volume", F::kDiagonal, false, false, [](double, double K) { return K; }, make<Vii>,
       {"EII"}},
      {"EEI", "diagonal, equal volume and shape", F::kPooledDiagonal, false, true, [](double d, double) { return d; },
       make<Eei>, {"EII"}},
      {"VEI", "diagonal, varying volume, equal shape", F::kDiagonal, false, true,
       [](double d, double K) { return K + d - 1; }, make<Vei>, {"VII", "EEI"}},
      {"EVI", "diagonal, equal volume, varying shape", F::kDiagonal, false, true,
       [](double d, double K) { return 1 + K * (d - 1); }, make<Evi>, {"EEI"}},
      {"VVI", "diagonal, varying volume and shape", F::kDiagonal, false, true,
       [](double d, double K) { return K * d; }, make<Vvi>, {"VEI", "EVI"}},
      {"EEE", "ellipsoidal, equal volume, shape and orientation", F::kPooled, false, true,
       [](double d, double) { return d + o(d); }, make<Eee>, {"EEI"}},
      {"VEE", "ellipsoidal, varying volume, equal shape and orientation", F::kFull, false, true,
       [](double d, double K) { return K + d - 1 + o(d); }, make<Vee>, {"VEI", "EEE"}},
      {"EVE", "ellipsoidal, equal volume and orientation, varying shape", F::kFull, false, false,
       [](double d, double K) { return 1 + K * (d - 1) + o(d); }, make<Eve>, {"EVI", "EEE"}},
      {"VVE", "ellipsoidal, varying volume and shape, equal orientation", F::kFull, false, false,
       [](double d, double K) { return K * d + o(d); }, make<Vve>, {"VVI", "VEE", "EVE"}},
      {"EEV", "ellipsoidal, equal volume and shape, varying orientation", F::kFull, false, false,
       [](double d, double K) { return d + K * o(d); }, make<Eev>, {"EEE"}},
      {"VEV", "ellipsoidal, varying volume and orientation, equal shape", F::kFull, false, false,
       [](double d, double K) { return K + d - 1 + K * o(d); }, make<Vev>, {"VEE", "EEV"}},
      {"EVV", "ellipsoidal, equal volume, varying shape and orientation", F::kFull, false, true,
       [](double d, double K) { return 1 + K * (d - 1) + K * o(d); }, make<Evv>, {"EVE", "EEV"}},
      {"VVV", "ellipsoidal, varying volume, shape and orientation", F::kFull, false, true,
       [](double d, double K) { return K * (d + o(d)); }, make<Vvv>, {"VVE", "VEV", "EVV"}},
      // Mixtures of factor analysers; n_factor_parameters(d, K, q).
      {"CCC", "factor analysers, equal loadings, one uniqueness", F::kPooled, false, false, nullptr, nullptr, {},
       [](double d, double, double q) { return l(d, q) + 1; }, factors<true, U::kEqualIsotropic>},
      {"CCU", "factor analysers, equal loadings and uniquenesses", F::kPooled, false, true, nullptr, nullptr, {"CCC"},
       [](double d, double, double q) { return l(d, q) + d; }, factors<true, U::kEqual>},
      {"CUC", "factor analysers, equal loadings, one uniqueness for each component", F::kFull, false, false, nullptr,
       nullptr, {"CCC"}, [](double d, double K, double q) { return l(d, q) + K; },
       factors<true, U::kVaryingIsotropic>},
      {"CCUU", "factor analysers, equal loadings, uniquenesses of varying volume and equal shape", F::kFull, false,
       true, nullptr, nullptr, {"CCU", "CUC"}, [](double d, double K, double q) { return l(d, q) + K + d - 1; },
       factors<true, U::kVaryingScale>},
      {"CUCU", "factor analysers, equal loadings, uniquenesses of equal volume and varying shape", F::kFull, false,
       true, nullptr, nullptr, {"CCU"}, [](double d, double K, double q) { return l(d, q) + 1 + K * (d - 1); },
       factors<true, U::kVaryingShape>},
      {"CUU", "factor analysers, equal loadings, varying uniquenesses", F::kFull, false, true, nullptr, nullptr,
       {"CCUU", "CUCU"}, [](double d, double K, double q) { return l(d, q) + K * d; }, factors<true, U::kVarying>},
      {"UCC", "factor analysers, varying loadings, one uniqueness", F::kFull, false, false, nullptr, nullptr, {"CCC"},
       [](double d, double K, double q) { return K * l(d, q) + 1; }, factors<false, U::kEqualIsotropic>},
      {"UCU", "factor analysers, varying loadings, equal uniquenesses", F::kFull, false, true, nullptr, nullptr,
       {"CCU", "UCC"}, [](double d, double K, double q) { return K * l(d, q) + d; }, factors<false, U::kEqual>},
      {"UUC", "factor analysers, varying loadings, one uniqueness for each component", F::kFull, false, false, nullptr,
       nullptr, {"CUC", "UCC"}, [](double d, double K, double q) { return K * l(d, q) + K; },
       factors<false, U::kVaryingIsotropic>},
      {"UCUU", "factor analysers, varying loadings, uniquenesses of varying volume and equal shape", F::kFull, false,
       true, nullptr, nullptr, {"CCUU", "UCU", "UUC"},
       [](double d, double K, double q) { return K * l(d, q) + K + d - 1; }, factors<false, U::kVaryingScale>},
      {"UUCU", "factor analysers, varying loadings, uniquenesses of equal volume and varying shape", F::kFull, false,
       true, nullptr, nullptr, {"CUCU", "UCU"},
       [](double d, double K, double q) { return K * l(d, q) + 1 + K * (d - 1); }, factors<false, U::kVaryingShape>},
      {"UUU", "factor analysers, varying loadings and uniquenesses", F::kFull, false, true, nullptr, nullptr,
       {"CUU", "UCUU", "UUCU"}, [](double d, double K, double q) { return K * l(d, q) + K * d; },
       factors<false, U::kVarying>},
  };
  return table;
}

const CovarianceEntry* find_covariance(const std::string& code) {
  for (const CovarianceEntry& entry : covariance_registry())
    if (code == entry.code) return &entry;
  return nullptr;
}

}  // namespace emkit
