#!/usr/bin/env bash
# R CMD build and R CMD check --as-cran: no error, no warning, and no note but those in tools/check-notes.txt.
#   KEEP=folder   keeps the tarball and the check's folder there
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
temp_dir
if [ -n "${KEEP:-}" ]; then mkdir -p "$KEEP"; fi
stage "$TEMP/emkit"
cd "$TEMP"

# emkit as installed in ./.rlib must not answer for the one that is being checked.
R CMD build emkit >build.log 2>&1 || { cat build.log >&2; die "R CMD build failed"; }

# Nothing is asked of the network: it would test the connection, not the package.
export _R_CHECK_CRAN_INCOMING_REMOTE_=false _R_CHECK_SYSTEM_CLOCK_=0
export _R_CHECK_FORCE_SUGGESTS_=false _R_CHECK_TESTS_NLINES_=0
# Where a suggested package is missing, --as-cran asks CRAN whether it is orphaned and dies without an
# answer. The answer is an empty list.
mkdir -p cran/web/packages
"${RSCRIPT[@]}" -e 'saveRDS(data.frame(Package = character(), Maintainer = character()),
  "cran/web/packages/packages.rds")'
export R_CRAN_WEB="file://$TEMP/cran"
status=0
R CMD check --as-cran --no-manual emkit_*.tar.gz >check.log 2>&1 || status=$?
if [ -n "${KEEP:-}" ]; then cp -r emkit_*.tar.gz emkit.Rcheck "$KEEP"; fi
[ -f emkit.Rcheck/00check.log ] || { cat check.log >&2; die "R CMD check made no log"; }
if ! "${RSCRIPT[@]}" "$ROOT/tools/check-log.R" emkit.Rcheck/00check.log "$ROOT/tools/check-notes.txt"; then
  if [ -f emkit.Rcheck/00install.out ] && grep -q 'ERROR' emkit.Rcheck/00install.out; then
    tail -50 emkit.Rcheck/00install.out >&2
  fi
  for file in emkit.Rcheck/tests/*.fail; do if [ -f "$file" ]; then tail -100 "$file" >&2; fi; done
  exit 1
fi
[ $status -eq 0 ] || die "R CMD check ended with status $status"
