#!/bin/sh
# test.sh [check]: style first, then the packages with the race detector, then the tests
# that start real engines. Stops at the first tier that fails. With "check" style and
# packages alone, without the race detector.
set -eu

cd "$(dirname "$0")/.."
export PATH="$PWD/build/bin:$PATH"

step() { printf '\n== %s ==\n' "$*"; }

# tests TIER ARGUMENT... runs go test, and says at its end how many tests ran, and which
# were skipped, and why.
tests() {
	step "$1"
	shift
	gotestsum --format standard-quiet --format-hide-empty-pkg -- -timeout 60m "$@"
}

if [ "$(id -u)" != 0 ]; then
	echo "test.sh: the tests make network namespaces and start engines: run as root" >&2
	exit 1
fi
if [ "${1:-}" = check ]; then
	echo "Style, and the packages' own tests in short: 3 to 5 minutes on two processors."
	step "style"
	scripts/lint.sh
	# shellcheck disable=SC2046 # a list of words
	tests "packages, in short" -short -p 4 $(go list ./... | grep -v '/integration')
	printf '\nnot run: the race detector, further rules of engines and seeds, two of three faults and damages, and real engines (make test), make test-kernels, make test-packages, make test-fresh\n'
	exit
fi
echo "Style, the packages' own tests, tests with real engines: 45 minutes on two processors, 1.5 GB of Debian's packages the first time."
# The engines' trees come from Debian's archive: a fresh machine fetches them
# while its processors have other things to do. The tests wait for them.
sh integration/harness/engines.sh bookworm trixie forky forky+managers >/dev/null 2>&1 &
step "style"
scripts/lint.sh
# Those that ask which packets do not arrive wait for most of their time.
# shellcheck disable=SC2046 # a list of words
tests "packages, with the race detector" -race -p 4 $(go list ./... | grep -v '/integration')
# Each package starts several engines. Most of their time is waiting, so there are
# more of them than processors: the small packages run beside the large one.
tests "real engines" -p 2 -parallel 6 -count=1 -skip '^(TestKernels|TestPackages|TestFresh)$' ./integration/...
printf '\nnot run: make test-kernels (an hour or more), make test-packages (40 minutes), make test-fresh (20 minutes)\n'
