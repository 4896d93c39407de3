// Package bench measures gangway beside the engine's built-in bridge driver, on
// the same private engine and in the same run.
//
//	make bench                # some 25 minutes: what docs/performance.md shows
//	make bench BENCH=quick    # some 3 minutes: small sizes, few rounds
//
// Each figure is taken for every Variant in turn, round after round, so that
// what else the machine does falls on all of them alike. What is compared is
// medians of rounds, and ratios of them within one run; an absolute time
// belongs to its machine. The variant "floor" is a driver that answers every
// call and does nothing: what it costs is the engine's own share.
//
// The package writes docs/bench/results.json, the plots beside it, and the
// generated block of docs/performance.md, only when it has measured everything.
// It changes nothing on the machine but that: all it starts lives in the
// namespaces of package harness.
package bench
