#!/usr/bin/env bash
# make test: installs what is missing, then runs the tests against the installed package.
#   FILTER=regex   only the test files whose name matches
# The last line is "N passed, N failed", with ", N skipped" after it where tests were skipped.
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
temp_dir
export EMKIT_TALLY=$TEMP/tally
status=0
{
  "$ROOT/tools/install-deps.sh" test &&
    "$ROOT/tools/install-emkit.sh"
} || status=$?
cd "$ROOT"
if [ $status -eq 0 ]; then
  "${RSCRIPT[@]}" tools/run-tests.R "${FILTER:-}" </dev/null || status=$?
  [ -f "$EMKIT_TALLY.done" ] && exit $status
  say "R ended before the tests did (status $status)"
fi
# What did not run has not passed: a crash or a failed installation is one more failure.
read -r passed failed skipped <<<"$(cat "$EMKIT_TALLY" 2>/dev/null || echo 0 0 0)"
line="$passed passed, $((failed + 1)) failed"
[ "$skipped" -eq 0 ] || line="$line, $skipped skipped"
printf '\n%s\n' "$line"
exit 1
