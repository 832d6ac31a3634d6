#!/usr/bin/env bash
# make san: the tests with the address and undefined-behaviour sanitizers, in a library of their own.
#   FILTER=regex   only the test files whose name matches
# Takes several times as long as make test. Needs gcc (its libasan).
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
"$ROOT/tools/install-deps.sh" test
temp_dir

# Debug checks of the core and of Eigen are on: R's own flags switch them off.
flags="-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -UNDEBUG"
cat >"$TEMP/Makevars" <<MAKEVARS
CXX17 = g++
CXX17FLAGS = $flags
CXXFLAGS = $flags
LDFLAGS = -fsanitize=address,undefined
MAKEVARS

dependencies=$RLIB
export EMKIT_RLIB=$ROOT/.rlib-san
mkdir -p "$EMKIT_RLIB"
export R_LIBS="$EMKIT_RLIB:$dependencies"
preload="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"

# The installation loads the library once, which needs the sanitizer's run time too.
export ASAN_OPTIONS=detect_leaks=0:exitcode=23 UBSAN_OPTIONS=print_stacktrace=1
R_MAKEVARS_USER=$TEMP/Makevars EMKIT_INSTALL_FLAGS=--no-test-load "$ROOT/tools/install-emkit.sh"

cd "$ROOT"
log=$TEMP/log
status=0
LD_PRELOAD=$preload timeout "${SAN_TIMEOUT:-3600}" "${RSCRIPT[@]}" tools/run-tests.R "${FILTER:-}" \
  >"$log" 2>&1 </dev/null || status=$?
cat "$log"
if grep -qE 'runtime error:|ERROR: AddressSanitizer' "$log"; then die "the sanitizers report (above)"; fi
[ $status -eq 0 ] || die "the tests failed under the sanitizers (status $status)"
echo "sanitizers: no report"
