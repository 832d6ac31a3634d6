#!/usr/bin/env bash
# make docs: writes RcppExports, NAMESPACE and man/ anew.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
"$ROOT/tools/install-deps.sh" ci
cd "$ROOT"
document_r . namespace
"$ROOT/tools/install-emkit.sh"
document_r .
