#!/usr/bin/env bash
# A command of a CI job under loopsan, with a report in every format that CI systems read.
#
#   tools/ci/run.sh [FLAG of loopsan run...] -- COMMAND ARG...
#
# Nothing here that a shell user could not type. Environment:
#
#   LOOPSAN           the command; without it the one installed beside this, else that in PATH
#   LOOPSAN_REPORTS   folder for the reports (loopsan-report)
#
# In a GitHub workflow the findings also annotate their lines, and the summary goes to the
# job's page. Exit status: that of loopsan run, 66 if the gate fails.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
installed=$here/../../../bin/loopsan
if [[ -z ${LOOPSAN:-} ]]; then
  if [[ -x $installed ]]; then LOOPSAN=$installed; else LOOPSAN=loopsan; fi
fi
if ! command -v "$LOOPSAN" > /dev/null; then
  echo "run.sh: there is no loopsan in PATH; install it, or set LOOPSAN to the command" >&2
  exit 127
fi
reports=${LOOPSAN_REPORTS:-loopsan-report}
mkdir -p "$reports"
# What an earlier run has left is not this one's.
rm -f "$reports"/{report.json,report.sarif,report.html,junit.xml,codequality.json,summary.md}

status=0
"$LOOPSAN" run --json="$reports/report.json" --sarif="$reports/report.sarif" \
  --junit="$reports/junit.xml" --gitlab="$reports/codequality.json" \
  --markdown="$reports/summary.md" --html="$reports/report.html" \
  --source-root="$PWD" "$@" || status=$?

if [[ ${GITHUB_ACTIONS:-} == true && -s $reports/report.json ]]; then
  "$LOOPSAN" report "$reports/report.json" --format=github --source-root="$PWD"
  if [[ -n ${GITHUB_STEP_SUMMARY:-} ]]; then
    cat "$reports/summary.md" >> "$GITHUB_STEP_SUMMARY"
  fi
fi
exit "$status"
