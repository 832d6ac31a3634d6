// The accelerators by name: a new one is one header and one line.
#include "core/em/accel/anderson.h"
#include "core/em/accel/none.h"
#include "core/em/accel/squarem.h"
#include "core/em/accel/subspace.h"

namespace emkit {

namespace {
template <class A>
std::unique_ptr<Accelerator> make() {
  return std::unique_ptr<Accelerator>(new A());
}
}  // namespace

const std::vector<AcceleratorEntry>& accelerator_registry() {
  static const std::vector<AcceleratorEntry> table = {
      {"none", make<NoAcceleration>},
      {"squarem", make<Squarem>},
      {"anderson", make<Anderson>},
      {"subspace", make<Subspace>},
  };
  return table;
}

std::unique_ptr<Accelerator> make_accelerator(const std::string& name) {
  for (const AcceleratorEntry& entry : accelerator_registry())
    if (name == entry.name) return entry.make();
  return nullptr;
}

}  // namespace emkit
