// Compiles core/kernels/kernels.inc once per instruction set and picks the widest that this processor runs.
//
// No compiler flag is needed (CRAN allows none): `target` pragmas raise the instruction set for one region of this file.
// Every header is included before the first region, so that nothing of the standard library is compiled inside one.
#include <cstddef>
#include <cstring>

#include "core/kernels/kernels.h"

// Windows is left at the baseline: its 64-bit calling convention aligns the stack to 16 bytes only, and gcc there
// spills wider vectors with aligned stores.
#if defined(__x86_64__) && !defined(_WIN32) && (defined(__GNUC__) || defined(__clang__))
#define EMKIT_X86_DISPATCH 1
#else
#define EMKIT_X86_DISPATCH 0
#endif

#if defined(__GNUC__) && !defined(__clang__)
// R compiles with -O2 on many systems; the kernels count on full unrolling of their short inner loops.
#pragma GCC push_options
#pragma GCC optimize("O3")
#endif

namespace emkit {

namespace portable {
#define EMKIT_NAME "portable"
#define EMKIT_LANES 2
#define EMKIT_TILE 3
#define EMKIT_GROUP 2
#include "core/kernels/kernels.inc"
#undef EMKIT_NAME
#undef EMKIT_LANES
#undef EMKIT_TILE
#undef EMKIT_GROUP
}  // namespace portable

#if EMKIT_X86_DISPATCH

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
#define EMKIT_NAME "avx2"
#define EMKIT_LANES 4
#define EMKIT_TILE 3
#define EMKIT_GROUP 2
#include "core/kernels/kernels.inc"
#undef EMKIT_NAME
#undef EMKIT_LANES
#undef EMKIT_TILE
#undef EMKIT_GROUP
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512vl")
#endif
namespace avx512 {
#define EMKIT_NAME "avx512"
#define EMKIT_LANES 8
#define EMKIT_TILE 4
#define EMKIT_GROUP 4
#include "core/kernels/kernels.inc"
#undef EMKIT_NAME
#undef EMKIT_LANES
#undef EMKIT_TILE
#undef EMKIT_GROUP
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // EMKIT_X86_DISPATCH

namespace {

const Kernels* const kTables[] = {
    &portable::table,
#if EMKIT_X86_DISPATCH
    &avx2::table,
    &avx512::table,
#endif
};

size_t count_tables() {
#if EMKIT_X86_DISPATCH
  __builtin_cpu_init();
  if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) return 1;
  if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")))
    return 2;
  return 3;
#else
  return 1;
#endif
}

const Kernels*& current() {
  static const Kernels* table = kTables[count_tables() - 1];
  return table;
}

}  // namespace

const Kernels& kernels() { return *current(); }

size_t n_kernel_tables() { return count_tables(); }

const Kernels& kernel_table(size_t i) { return *kTables[i]; }

bool select_kernels(const char* name) {
  for (size_t i = 0; i < count_tables(); ++i) {
    if (std::strcmp(kTables[i]->name, name) == 0) {
      current() = kTables[i];
      return true;
    }
  }
  return false;
}

}  // namespace emkit

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
