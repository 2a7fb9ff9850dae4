#!/usr/bin/env bash
# The one list of Debian 12 packages that loopsan needs, and what installs them.
#
#   tools/install-deps.sh [--check] [GROUP...]
#
# GROUP is build (to build the command and the example), tests (to build and
# run all tests) or ci (what .ci/run uses beyond that). A group includes the ones
# before it; the default is tests. --check prints the packages that are missing
# and exits with 1 if there are any.
set -euo pipefail

build_packages=(
  ca-certificates
  cmake
  g++
  ninja-build
  pkg-config
  libabsl-dev
  libcivetweb-dev
  libcli11-dev
  libdw-dev
  libelf-dev
  libunwind-dev
  nlohmann-json3-dev
  prometheus-cpp-dev
)

test_packages=(
  binutils
  ccache
  elfutils
  libasio-dev
  libboost-dev
  libevent-dev
  libglib2.0-dev
  libgmock-dev
  libgtest-dev
  libuv1-dev
  libvalijson-dev
  libxml2-dev
  nginx-light
  procps
  prometheus
  prometheus-alertmanager
  prometheus-pushgateway
  python3
  python3-jsonschema
  redis-server
  redis-tools
  util-linux
  wrk
)
# A node from elsewhere (nodesource, nvm) is as good, and its package conflicts with Debian's.
if ! command -v node > /dev/null; then
  test_packages+=(nodejs)
fi

ci_packages=(
  chromium
  clang-19
  clang-format-19
  clang-tidy-19
  libbenchmark-dev
  libclang-rt-19-dev
)

check_only=false
level=0
for argument in "$@"; do
  case "$argument" in
    --check) check_only=true ;;
    build) level=$((level > 1 ? level : 1)) ;;
    tests) level=$((level > 2 ? level : 2)) ;;
    ci) level=3 ;;
    -h | --help)
      sed -n '2,/^set /{/^#/!d;s/^# \{0,1\}//;p}' "$0"
      exit 0
      ;;
    *)
      echo "install-deps.sh: unknown argument '$argument'; use --check, build, tests or ci" >&2
      exit 2
      ;;
  esac
done
[[ $level -gt 0 ]] || level=2

wanted=("${build_packages[@]}")
if [[ $level -ge 2 ]]; then wanted+=("${test_packages[@]}"); fi
if [[ $level -ge 3 ]]; then wanted+=("${ci_packages[@]}"); fi

if ! command -v dpkg-query > /dev/null; then
  echo "install-deps.sh: this is no Debian system (no dpkg-query);" \
    "install what corresponds to: ${wanted[*]}" >&2
  exit 1
fi

installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "${wanted[@]}" \
  2> /dev/null | sed -n 's/^installed //p' || true)
missing=()
for package in "${wanted[@]}"; do
  if ! grep -qxF -- "$package" <<< "$installed"; then missing+=("$package"); fi
done

if [[ ${#missing[@]} -eq 0 ]]; then
  exit 0
fi
if $check_only; then
  printf '%s\n' "${missing[@]}"
  exit 1
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo > /dev/null; then
    echo "install-deps.sh: not root and no sudo; as root run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get --yes --quiet --option Dpkg::Use-Pty=0 "$@" < /dev/null
}

# The package lists of a fresh container are empty, those of an old machine may
# name files that the mirror has replaced. Only then are they worth fetching.
echo "install-deps.sh: installing ${missing[*]}"
if ! apt install --no-install-recommends --download-only "${missing[@]}" > /dev/null 2>&1; then
  apt update
fi
apt install --no-install-recommends "${missing[@]}"
