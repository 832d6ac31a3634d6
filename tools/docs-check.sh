#!/usr/bin/env bash
# man/, NAMESPACE and the RcppExports files are what their generators write from the sources.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
temp_dir
"$ROOT/tools/install-emkit.sh"
stage "$TEMP/emkit"
document_r "$TEMP/emkit" >"$TEMP/log" 2>&1 || { cat "$TEMP/log" >&2; exit 1; }
grep -iE '^(Warning|x |✖|!)' "$TEMP/log" >&2 || true

status=0
for path in DESCRIPTION NAMESPACE man R/RcppExports.R src/RcppExports.cpp; do
  diff -ruN "$ROOT/$path" "$TEMP/emkit/$path" >"$TEMP/diff" || {
    status=1
    head -80 "$TEMP/diff" >&2
  }
done
[ $status -eq 0 ] || die "generated files are out of date (above): run 'make docs' and commit the result"
echo "documentation check: man/, NAMESPACE and RcppExports are up to date"
