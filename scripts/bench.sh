#!/bin/sh
# bench.sh: measures gangway beside the built-in bridge driver on a private
# engine. BENCH=quick takes a few minutes instead of half an hour and changes no
# documentation; PARTS="start verbs" measures only these parts of it.
set -eu

cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
	echo "bench.sh: the benchmarks make network namespaces and start engines: run as root" >&2
	exit 1
fi
go test -run '^$' -bench '^BenchmarkAll$' -benchtime 1x -timeout 3h ./integration/bench
