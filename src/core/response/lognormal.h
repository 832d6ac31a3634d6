// The lognormal distribution: log y is normal.
#pragma once
#include "gaussian.h"
#include "on_columns.h"

namespace emkit {

inline std::unique_ptr<Response> make_lognormal(const ResponseData& data, size_t n_components,
                                                const ResponseOptions& options) {
  ResponseOptions own = options;
  own.link.clear();
  return std::unique_ptr<Response>(new OnColumns(
      data, 1, [](double y, double* out) { out[0] = std::log(y); }, true, n_components, own, make_gaussian));
}

}  // namespace emkit
