#!/usr/bin/env bash
# From a fresh Debian 12 to a first report: installs what the command needs,
# builds it into build/, and runs it on an example server that blocks.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/install-deps.sh build

# A tree that was configured for development keeps its settings.
if [[ ! -e build/CMakeCache.txt ]]; then
  cmake --preset quickstart
fi
cmake --build build --target loopsan_cli blocking_server

echo
echo '$ loopsan run build/bin/blocking_server'
exec build/bin/loopsan run build/bin/blocking_server
