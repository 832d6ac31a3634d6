#!/usr/bin/env bash
# Compiles the C++ core by itself: every header of src/core as a translation unit of its own, and the
# kernels, without R or Rcpp on the include path and without a single warning.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
temp_dir
cd "$ROOT"
compiler=${CXX:-g++}

# RcppEigen's include folder also holds Rcpp-facing headers: only Eigen itself is shown to the compiler.
eigen=$("${RSCRIPT[@]}" -e 'cat(system.file("include", package = "RcppEigen"))')
parallel=$("${RSCRIPT[@]}" -e 'cat(system.file("include", package = "RcppParallel"))')
mkdir -p "$TEMP/include" "$TEMP/units"
ln -s "$eigen/Eigen" "$eigen/unsupported" "$TEMP/include/"

# The core must not even name an R header.
if grep -rnE '#[[:space:]]*include[[:space:]]*[<"](R\.h|Rcpp|RcppEigen|RcppArmadillo|Rinternals|Rmath|R_ext/)' \
  src/core src/kernels.cpp | grep -v '<RcppParallel' >&2; then
  die "the core includes a header of R (above)"
fi

# Two classes of one name in different headers would be one class to the linker.
twice=$(grep -rhoE '^(class|struct|enum class) [A-Za-z]+' src/core --include='*.h' | sort | uniq -d)
[ -z "$twice" ] || die "defined in more than one header of the core: $twice"

count=0
while IFS= read -r header; do
  unit=$TEMP/units/$(printf '%s' "${header#src/}" | tr '/' '_').cpp
  # Twice, so that a missing include guard shows.
  printf '#include "%s"\n#include "%s"\n' "${header#src/}" "${header#src/}" >"$unit"
  count=$((count + 1))
done < <(find src/core -name '*.h' | sort)
[ $count -gt 0 ] || die "no headers in src/core"
for source in src/kernels*.cpp; do
  [ -f "$source" ] || continue
  ln -s "$ROOT/$source" "$TEMP/units/$(basename "$source")"
  count=$((count + 1))
done

export compiler TEMP ROOT parallel
compile_one() {
  if ! "$compiler" -std=c++17 -O2 -DNDEBUG -DEIGEN_DONT_PARALLELIZE -Wall -Wextra -Wshadow -Wconversion \
    -Werror -fPIC -I "$ROOT/src" -isystem "$TEMP/include" -isystem "$parallel" -c "$1" -o /dev/null \
    >"$1.log" 2>&1; then
    { echo "--- $(basename "$1")"; head -60 "$1.log"; } >&2
    return 1
  fi
}
export -f compile_one
if find "$TEMP/units" -name '*.cpp' -print0 | sort -z |
  xargs -0 -n 1 -P 2 bash -c 'compile_one "$1"' _; then
  echo "core check: $count files compile without R and without a warning"
else
  die "the core does not compile cleanly by itself (above)"
fi
