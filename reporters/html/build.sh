#!/usr/bin/env bash
# Makes report.bundle.*, status.bundle.* and LICENSES.txt of the sources in src/.
# They are committed, so that building loopsan needs no npm.
#
#   reporters/html/build.sh
set -euo pipefail
cd "$(dirname "$0")"

npm ci --no-audit --no-fund
npx esbuild src/main.js --bundle --minify --format=iife --target=es2020 --charset=ascii \
  --legal-comments=eof --outfile=report.bundle.js
# The status page has no library in it.
npx esbuild src/status.js --bundle --minify --format=iife --target=es2020 --charset=ascii \
  --outfile=status.bundle.js

# The libraries that are in the bundle, each with its licence.
{
  echo "report.bundle.js and report.bundle.css contain parts of:"
  for package in $(npm ls --omit=dev --all --parseable | tail -n +2 | sort -u); do
    name=${package##*node_modules/}
    version=$(node -p 'require(process.argv[1] + "/package.json").version' "$package")
    printf '\n==== %s %s\n\n' "$name" "$version"
    cat "$package"/LICENSE*
  done
} > LICENSES.txt

# Every report is a copy of them: the licences come along.
{
  echo '/*!'
  cat LICENSES.txt
  echo '*/'
} >> report.bundle.js
