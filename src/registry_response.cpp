// The families of responses by name: a new one is one header, one line here and a family_<name>() in R.
#include "core/response/beta.h"
#include "core/response/binomial.h"
#include "core/response/categorical.h"
#include "core/response/exponential.h"
#include "core/response/gamma.h"
#include "core/response/gaussian.h"
#include "core/response/gaussian_mixture.h"
#include "core/response/lognormal.h"
#include "core/response/multinomial.h"
#include "core/response/mvgaussian.h"
#include "core/response/negative_binomial.h"
#include "core/response/poisson.h"
#include "core/response/t.h"
#include "core/response/von_mises.h"
#include "core/response/zero_inflated.h"

namespace emkit {

namespace {
template <class F>
std::unique_ptr<Response> make_pointwise(const ResponseData& data, size_t n_components,
                                         const ResponseOptions& options) {
  return std::unique_ptr<Response>(new PointwiseResponse<F>(data, n_components, options));
}
}  // namespace

const std::vector<ResponseEntry>& response_registry() {
  static const std::vector<ResponseEntry> table = {
      {"gaussian", "normal", make_gaussian},
      {"lognormal", "lognormal", make_lognormal},
      {"t", "Student's t", make_t},
      {"gamma", "gamma", make_gamma},
      {"exponential", "exponential", make_exponential},
      {"beta", "beta", make_beta},
      {"vonmises", "von Mises, of angles", make_von_mises},
      {"mvgaussian", "multivariate normal", make_mvgaussian},
      {"gaussian_mixture", "mixture of normals", make_gaussian_mixture},
      {"poisson", "Poisson counts", make_pointwise<PoissonFamily>},
      {"negative_binomial", "negative binomial counts", make_pointwise<NegativeBinomialFamily>},
      {"zip", "zero-inflated Poisson counts", make_pointwise<ZeroInflatedPoissonFamily>},
      {"zinb", "zero-inflated negative binomial counts", make_pointwise<ZeroInflatedNegativeBinomialFamily>},
      {"binomial", "successes in trials", make_pointwise<BinomialFamily>},
      {"categorical", "one of several categories", make_categorical},
      {"multinomial", "counts of several categories", make_multinomial},
  };
  return table;
}

const ResponseEntry* find_response(const std::string& name) {
  for (const ResponseEntry& entry : response_registry())
    if (name == entry.name) return &entry;
  return nullptr;
}

}  // namespace emkit
