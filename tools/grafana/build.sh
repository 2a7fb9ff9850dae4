#!/usr/bin/env bash
# Makes loopsan.json, the dashboard, of dashboard.mjs, and checks its type. The
# result is committed, so that building loopsan needs no npm.
#
#   tools/grafana/build.sh
set -euo pipefail
cd "$(dirname "$0")"

npm ci --no-audit --no-fund
node dashboard.mjs > loopsan.json

# Grafana publishes what a dashboard is as a TypeScript type, not as a schema.
check=$(mktemp -d -p .)
trap 'rm -rf "$check"' EXIT
{
  echo 'import type { DashboardJson } from "../dashboard_type.ts";'
  echo 'export const dashboard: DashboardJson ='
  cat loopsan.json
} > "$check/check.ts"
npx tsc --noEmit --strict --skipLibCheck --allowImportingTsExtensions --module preserve \
  --moduleResolution bundler "$check/check.ts"
