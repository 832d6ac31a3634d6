#!/usr/bin/env bash
# make bench: emkit beside its installed peers, as ratios measured in one run.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
"$ROOT/tools/install-deps.sh" demo
"$ROOT/tools/install-emkit.sh"
cd "$ROOT"
exec "${RSCRIPT[@]}" bench/run.R "$@"
