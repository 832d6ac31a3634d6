#!/usr/bin/env bash
# make demo: installs what is missing, then runs tools/demo.R.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
"$ROOT/tools/install-deps.sh" demo
"$ROOT/tools/install-emkit.sh"
cd "$ROOT"
exec "${RSCRIPT[@]}" tools/demo.R
