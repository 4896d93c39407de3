#!/bin/sh
# test.sh: style first, then the packages with the race detector, then the tests
# that start real engines. Stops at the first tier that fails.
set -eu

cd "$(dirname "$0")/.."

step() { printf '\n== %s ==\n' "$*"; }

if [ "$(id -u)" != 0 ]; then
	echo "test.sh: the tests make network namespaces and start engines: run as root" >&2
	exit 1
fi
# The engines' trees come from Debian's archive: a fresh machine fetches them
# while its processors have other things to do. The tests wait for them.
sh integration/harness/engines.sh bookworm trixie forky forky+managers >/dev/null 2>&1 &
step "style"
scripts/lint.sh
step "packages, with the race detector"
# Those that ask which packets do not arrive wait for most of their time.
# shellcheck disable=SC2046 # a list of words
go test -race -timeout 40m -p 4 $(go list ./... | grep -v '/integration')
step "real engines"
# Each package starts several engines. Most of their time is waiting, so there are
# more of them than processors: the small packages run beside the large one.
go test -timeout 40m -p 2 -parallel 6 -count=1 -skip '^(TestKernels|TestPackages)$' ./integration/...
printf '\nnot run: make test-kernels (an hour or more), make test-packages\n'
