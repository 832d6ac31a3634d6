#!/usr/bin/env bash
# Installs what is missing, and nothing else:  tools/install-deps.sh [demo|test|ci]
#
#   demo   R, a C++ compiler, the packages that emkit imports and links to
#   test   the same, testthat, and the suggested packages that some tests compare with
#   ci     the same, and what R CMD check, the vignettes and the documentation need
#
# Debian's own binaries are used when this runs as root and R's library path shows where they go.
# Otherwise packages come as sources from CRAN into the library folder of the checkout (./.rlib).
# Suggested packages are optional: one that cannot be had is reported once and left alone.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
profile=${1:-demo}
case $profile in demo | test | ci) ;; *) die "unknown profile '$profile': use demo, test or ci" ;; esac

export DEBIAN_FRONTEND=noninteractive
apt_updated=no

can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_update() {
  [ "$apt_updated" = yes ] && return 1
  apt_updated=yes
  say "reading Debian's package lists"
  apt-get update -q </dev/null >&2
}

apt_knows() { [[ $(apt-cache policy "$1" 2>/dev/null) == *"Candidate: "[0-9]* ]]; }

apt_run() {
  apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
    "$@" </dev/null >&2
}

# Installs those of the named Debian packages that exist; the lists are read again only when they
# lack a name or when what they promise has left the archive.
apt_install() {
  local name known=()
  for name in "$@"; do
    apt_knows "$name" || { apt_update || true; break; }
  done
  for name in "$@"; do
    if apt_knows "$name"; then known+=("$name"); fi
  done
  [ ${#known[@]} -gt 0 ] || return 1
  say "installing from Debian: ${known[*]}"
  apt_run "${known[@]}" || { apt_update && apt_run "${known[@]}"; }
}

# Programs -----------------------------------------------------------------------------------------
have() { command -v "$1" >/dev/null; }

if ! have R || ! have Rscript; then
  can_apt || die "R is not installed. As root on Debian this script installs it; otherwise see" \
    "https://cran.r-project.org for your system, then call make again."
  apt_install r-base-core r-base-dev || die "R could not be installed from Debian."
fi
# "g++", "make", or whatever this R was configured with.
compiler=$(R CMD config CXX17 2>/dev/null | awk '{print $1}' || true)
if ! have "${compiler:-g++}" || ! have make; then
  can_apt || die "a C++17 compiler (${compiler:-g++}) and make are needed; install them first."
  apt_install r-base-dev || die "the compilers could not be installed from Debian."
fi
if [ "$profile" = ci ] && can_apt; then
  programs=()
  have pandoc || programs+=(pandoc)
  have qpdf || programs+=(qpdf)
  [ ${#programs[@]} -eq 0 ] || apt_install "${programs[@]}" || true
fi

# R packages ---------------------------------------------------------------------------------------
# Optional packages that were looked for in vain are noted here and not looked for again.
tried=$RLIB/.optional-tried

missing() { "${RSCRIPT[@]}" "$ROOT/tools/missing-packages.R" "$ROOT" "$profile" "$1" "$tried"; }

# Debian's r-cran-* packages help only an R that looks where they are installed.
debian_library_visible() {
  [ "$(R RHOME)" = /usr/lib/R ] || return 1
  # R leaves out of its path what does not exist, as before the first such package.
  mkdir -p /usr/lib/R/site-library
  "${RSCRIPT[@]}" -e 'quit(status = as.integer(!"/usr/lib/R/site-library" %in% .libPaths()))'
}

# roxygen2 is a program here, not a dependency: tools/document.R alone uses it.
if [ "$profile" = ci ] && ! document_r "$ROOT" ready 2>/dev/null; then
  if can_apt; then apt_install r-cran-roxygen2 || true; fi
  if ! document_r "$ROOT" ready 2>/dev/null; then
    say "installing roxygen2 from CRAN into $RLIB"
    if can_apt; then apt_install libxml2-dev libicu-dev || true; fi
    "${RSCRIPT[@]}" "$ROOT/tools/install-cran.R" "$ROOT" "$RLIB" roxygen2 >&2 || true
    document_r "$ROOT" ready || say "the documentation cannot be made or checked without roxygen2"
  fi
fi

required=$(missing required)
optional=$(missing optional)
[ -n "$required$optional" ] || exit 0

if can_apt && debian_library_visible; then
  names=()
  for package in $required $optional; do
    names+=("r-cran-$(printf '%s' "$package" | tr '[:upper:]' '[:lower:]')")
    # Debian's RcppParallel calls dpkg-architecture when it is loaded, without depending on it.
    [ "$package" = RcppParallel ] && names+=(dpkg-dev)
  done
  apt_install "${names[@]}" || say "Debian could not serve all packages."
  required=$(missing required)
  optional=$(missing optional)
fi

# From CRAN the required packages, and for `ci` the optional ones too (they take minutes to compile).
if [ -n "$required" ] || { [ -n "$optional" ] && [ "$profile" = ci ]; }; then
  if can_apt; then
    # Programs and headers that some sources ask for.
    programs=()
    [ -s /etc/ssl/certs/ca-certificates.crt ] || programs+=(ca-certificates)
    case " $(echo $required) " in *" RcppParallel "*) have cmake || programs+=(cmake) ;; esac
    have gfortran || programs+=(r-base-dev)
    [ ${#programs[@]} -eq 0 ] || apt_install "${programs[@]}" || true
  fi
  wanted=$required
  [ "$profile" = ci ] && wanted="$required $optional"
  say "installing from CRAN into $RLIB: $(echo $wanted)"
  # shellcheck disable=SC2086
  "${RSCRIPT[@]}" "$ROOT/tools/install-cran.R" "$ROOT" "$RLIB" $wanted >&2
  required=$(missing required)
  optional=$(missing optional)
fi

if [ -n "$optional" ]; then
  say "not available here, so what needs them is skipped: $(echo $optional)"
  printf '%s\n' $optional >>"$tried"
fi
[ -z "$required" ] || die "these packages could not be installed: $(echo $required)"
