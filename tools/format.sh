#!/usr/bin/env bash
# Formats every C++ source in the tree with clang-format 19.
#
#   tools/format.sh [--check]
#
# --check changes nothing and exits with 1 if a file is not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=(-i)
case "${1:-}" in
  '') ;;
  --check) mode=(--dry-run --Werror) ;;
  *)
    echo "format.sh: unknown argument '$1'; the only one is --check" >&2
    exit 2
    ;;
esac

# One version for everybody: the versions of clang-format do not agree.
formatter=clang-format-19
if ! command -v "$formatter" > /dev/null; then
  echo "format.sh: no $formatter; run tools/install-deps.sh ci" >&2
  exit 1
fi

sources() {
  git ls-files -z --cached --others --exclude-standard -- '*.cc' '*.h'
}
if [[ ${mode[0]} == -i ]]; then
  sources | xargs -0 --no-run-if-empty "$formatter" -i
  exit 0
fi
# The full output shows every place; the names are enough to act on.
if ! complaints=$(sources | xargs -0 --no-run-if-empty "$formatter" "${mode[@]}" 2>&1); then
  sed -n 's/^\([^:]*\):[0-9:]* error: code should be.*/\1/p' <<< "$complaints" | sort | uniq --count
  echo "format.sh: the files above have places that are not formatted; run tools/format.sh" >&2
  exit 1
fi
