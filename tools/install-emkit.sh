#!/usr/bin/env bash
# Installs emkit from this checkout into ./.rlib, unless what is there was made from the same sources.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
temp_dir
cd "$ROOT"

# One line that changes with any source file and with what the library was built against.
fingerprint() {
  local files
  files=$(find DESCRIPTION NAMESPACE R src inst man data -type f \
    ! -name '*.o' ! -name '*.so' ! -name '*.dll' 2>/dev/null | LC_ALL=C sort || true)
  {
    printf '%s\n' "$files" | tr '\n' '\0' | xargs -0 sha256sum
    "${RSCRIPT[@]}" -e 'cat(R.version.string, R.home(), "\n"); for (p in c("Rcpp", "RcppEigen", "RcppParallel"))
      cat(p, as.character(packageVersion(p)), dirname(find.package(p)), "\n")'
    cat "${R_MAKEVARS_USER:-/dev/null}"
  } | sha256sum | cut -d' ' -f1
}

stamp=$RLIB/.emkit-fingerprint
now=$(fingerprint)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ] && [ -d "$RLIB/emkit" ]; then exit 0; fi

say "installing emkit into $RLIB"
rm -f "$stamp"
stage "$TEMP/emkit"
log=$TEMP/log
(cd "$TEMP" && R CMD build --no-build-vignettes --no-manual emkit) >"$log" 2>&1 ||
  { cat "$log" >&2; die "R CMD build failed"; }
# shellcheck disable=SC2086
R CMD INSTALL ${EMKIT_INSTALL_FLAGS:-} --library="$RLIB" "$TEMP"/emkit_*.tar.gz >"$log" 2>&1 ||
  { cat "$log" >&2; die "R CMD INSTALL failed"; }
printf '%s\n' "$now" >"$stamp"
