/* The most that one core can do: independent fused multiply-adds in registers, as in the inner loop of a tuned DGEMM
 * (which reaches about nine tenths of it). R's own BLAS is often the unoptimised reference one, no yardstick at all. */
#include <Rinternals.h>
#include <string.h>

#define LOOP(LANES)                                                                    \
  typedef double V __attribute__((vector_size(8 * LANES)));                            \
  V acc[12], a, b;                                                                     \
  for (int l = 0; l < LANES; ++l) { a[l] = 0.999999; b[l] = 1e-9; }                    \
  for (int j = 0; j < 12; ++j) acc[j] = a;                                             \
  for (double i = 0; i < n; ++i)                                                       \
    for (int j = 0; j < 12; ++j) acc[j] = acc[j] * a + b;                              \
  double s = 0;                                                                        \
  for (int j = 0; j < 12; ++j) for (int l = 0; l < LANES; ++l) s += acc[j][l];         \
  return s;

#if defined(__x86_64__)
__attribute__((target("avx512f,fma"), optimize("O3"), noinline)) static double run_avx512(double n) { LOOP(8) }
__attribute__((target("avx2,fma"), optimize("O3"), noinline)) static double run_avx2(double n) { LOOP(4) }
#endif
__attribute__((optimize("O3"), noinline)) static double run_base(double n) { LOOP(2) }

/* Runs n rounds of 12 vectors; returns the flops done and a number that depends on them. */
SEXP fma_rounds(SEXP isa, SEXP rounds) {
  const char* name = CHAR(STRING_ELT(isa, 0));
  const double n = Rf_asReal(rounds);
  double lanes = 2, sum = 0;
#if defined(__x86_64__)
  if (!strcmp(name, "avx512")) lanes = 8, sum = run_avx512(n);
  else if (!strcmp(name, "avx2")) lanes = 4, sum = run_avx2(n);
  else
#endif
  sum = run_base(n);
  SEXP out = PROTECT(Rf_allocVector(REALSXP, 2));
  REAL(out)[0] = n * 12 * lanes * 2;
  REAL(out)[1] = sum;
  UNPROTECT(1);
  return out;
}
