#!/usr/bin/env bash
# Runs the fuzzers of a build directory, at most two at the same time.
#
#   tests/fuzz/run.sh [--seconds N] [--build-dir DIR] [FUZZER...]
#
# Without FUZZER (for example options_fuzzer) it runs all that were built. Seeds
# are read from tests/fuzz/corpus/FUZZER/ if it exists; what fuzzing adds stays in
# the build directory. A failing input is kept there too and its path is printed.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)

seconds=60
build_dir=$root/build-fuzz
while [[ $# -gt 0 ]]; do
  case "$1" in
    --seconds) seconds=${2:?--seconds needs a number} && shift 2 ;;
    --build-dir) build_dir=${2:?--build-dir needs a directory} && shift 2 ;;
    -h | --help)
      sed -n '2,/^set /{/^#/!d;s/^# \{0,1\}//;p}' "$0"
      exit 0
      ;;
    -*)
      echo "run.sh: unknown option '$1'; try --help" >&2
      exit 2
      ;;
    *) break ;;
  esac
done

binaries=$build_dir/fuzzers
if [[ $# -eq 0 ]]; then
  shopt -s nullglob
  paths=("$binaries"/*_fuzzer)
  set -- "${paths[@]##*/}"
fi
if [[ $# -eq 0 ]]; then
  echo "run.sh: no fuzzers in $binaries; run cmake --preset fuzz && cmake --build --preset fuzz" >&2
  exit 1
fi

work=$build_dir/fuzz-work
run_one() {
  local name=$1
  local seeds=()
  [[ -d $root/tests/fuzz/corpus/$name ]] && seeds=("$root/tests/fuzz/corpus/$name")
  mkdir -p "$work/$name/corpus"
  "$binaries/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$work/$name/" \
    "$work/$name/corpus" "${seeds[@]}" > "$work/$name.log" 2>&1 < /dev/null
}

passed=0
failed=0
while [[ $# -gt 0 ]]; do
  names=("${@:1:2}")
  shift ${#names[@]}
  pids=()
  for name in "${names[@]}"; do
    mkdir -p "$work"
    run_one "$name" &
    pids+=($!)
  done
  for i in "${!names[@]}"; do
    name=${names[i]}
    if wait "${pids[i]}"; then
      runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
      echo "$name: $runs inputs in $seconds s, no failure"
      passed=$((passed + 1))
    else
      echo "$name: FAILED; the end of $work/$name.log:"
      tail -n 40 "$work/$name.log"
      failed=$((failed + 1))
    fi
  done
done
echo "fuzzers: $passed passed, $failed failed"
[[ $failed -eq 0 ]]
