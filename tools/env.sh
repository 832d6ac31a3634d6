# Sourced by every script in this folder: where things are and how R is to be run.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The library of the checkout: emkit itself, and whatever the machine's own libraries lack.
RLIB=${EMKIT_RLIB:-$ROOT/.rlib}
mkdir -p "$RLIB"
case ":${R_LIBS:-}:" in
  *":$RLIB:"*) ;;
  *) export R_LIBS="$RLIB${R_LIBS:+:$R_LIBS}" ;;
esac

# The flags of the make that called us (a job server, for one) must not reach R's own makes.
unset MFLAGS MAKELEVEL
export MAKEFLAGS=-j2

# One fixed locale, so that sorting, quotes and printed output do not depend on the machine.
export LC_ALL=C.UTF-8 LANGUAGE=en TZ=${TZ:-UTC}

# More BLAS threads than this only disturb the package's own.
export OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-2}

RSCRIPT=(Rscript --no-init-file)

# tools/document.R needs the very version of roxygen2 that DESCRIPTION names. Debian's may be it, and is
# looked for even where R's path does not lead to it.
document_r() { R_LIBS="$R_LIBS:/usr/lib/R/site-library" "${RSCRIPT[@]}" "$ROOT/tools/document.R" "$@"; }

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# A copy of the checkout's files without version control, libraries and build products. `R CMD build`
# copies everything before it reads .Rbuildignore, and a stale object file must never be reused.
stage() {
  mkdir -p "$1"
  tar -C "$ROOT" -cf - \
    --exclude='./.git' --exclude='./.rlib*' --exclude='./demo-out' --exclude='./*.Rcheck' \
    --exclude='./*.tar.gz' --exclude='*.o' --exclude='*.so' --exclude='*.dll' . | tar -C "$1" -xf -
}

# A temporary folder that goes away with the script.
temp_dir() {
  TEMP=$(mktemp -d "${TMPDIR:-/tmp}/emkit.XXXXXX")
  trap 'rm -rf "$TEMP"' EXIT
}
