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
step "style"
scripts/lint.sh
step "packages, with the race detector"
# shellcheck disable=SC2046 # a list of words
go test -race -timeout 10m $(go list ./... | grep -v '/integration')
step "real engines"
# One package after the other: each starts several engines.
go test -timeout 18m -p 1 -count=1 ./integration/...
