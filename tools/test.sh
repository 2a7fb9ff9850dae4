#!/usr/bin/env bash
# Builds loopsan with its tests and runs all of them.
#
#   tools/test.sh [--preset NAME] [-DVARIABLE=VALUE...] [-- CTEST_ARGUMENT...]
#
# NAME is a preset of CMakePresets.json (default: dev, which builds into build/).
# Arguments behind -- go to ctest, for example: tools/test.sh -- -R Unwinder
set -euo pipefail
cd "$(dirname "$0")/.."

preset=dev
settings=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    --preset)
      preset=${2:?--preset needs a name}
      shift 2
      ;;
    -D*)
      settings+=("$1")
      shift
      ;;
    --)
      shift
      break
      ;;
    -h | --help)
      sed -n '2,/^set /{/^#/!d;s/^# \{0,1\}//;p}' "$0"
      exit 0
      ;;
    *)
      echo "test.sh: unknown argument '$1'; try --help" >&2
      exit 2
      ;;
  esac
done

tools/install-deps.sh tests
cmake --preset "$preset" "${settings[@]}"
cmake --build --preset "$preset"
# Tests that measure time say RUN_SERIAL; the others share the machine.
ctest --preset "$preset" -j "$(nproc)" "$@"
