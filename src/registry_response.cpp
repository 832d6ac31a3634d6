// The families of responses by name: a new one is one header, one line here and a family_<name>() in R.
#include "core/response/binomial.h"
#include "core/response/categorical.h"
#include "core/response/gaussian.h"
#include "core/response/multinomial.h"
#include "core/response/negative_binomial.h"
#include "core/response/poisson.h"
#include "core/response/zero_inflated.h"

namespace emkit {

namespace {
template <class F>
std::unique_ptr<Response> make_pointwise(const ResponseData& data, size_t n_components, const ResponseOptions& options) {
  return std::unique_ptr<Response>(new PointwiseResponse<F>(data, n_components, options));
}
}  // namespace

const std::vector<ResponseEntry>& response_registry() {
  static const std::vector<ResponseEntry> table = {
      {"gaussian", "normal", make_gaussian},
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
