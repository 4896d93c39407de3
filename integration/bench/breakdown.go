package bench

import (
	"fmt"
	"strings"
)

// lifeCalls are the calls of one container's life, in the engine's order.
func lifeCalls() []string {
	var names []string
	for _, s := range append(coming(), going()...) {
		_, name, _ := strings.Cut(s.op, ".")
		names = append(names, name)
	}
	return names
}

// breakdown says where the time of one docker run with one published port goes.
// It is empty unless containers and calls were measured.
func breakdown(r *Results) string {
	proto := protocols()[1]
	bare, ok1 := r.median(partStart, "no network", 0, FloorName)
	floor, ok2 := r.median(partStart, proto, 1, FloorName)
	whole, ok3 := r.median(partStart, proto, 1, NftablesName)
	if !ok1 || !ok2 || !ok3 {
		return ""
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n**Where the time of one `docker run --rm -p … true` goes (%s, one %s port)**\n\n| | time |\n|---|--:|\n", NftablesName, proto)
	line := func(what string, seconds float64) { fmt.Fprintf(&out, "| %s | %s ms |\n", what, number(seconds*1e3)) }
	line("the engine, for a container without a network", bare)
	line("the engine, for a driver that does nothing (floor less the line above)", floor-bare)
	rest := whole - floor
	for _, verb := range lifeCalls() {
		us, ok := r.median(partVerbs, verb+" p50", 0, NftablesName)
		if !ok {
			return ""
		}
		line(verb, us/1e6)
		rest -= us / 1e6
	}
	line("what is left: the engine's work with a real link (moving, naming and addressing it)", rest)
	line("the whole", whole)
	out.WriteString("\nThe lines are medians of different measurements, so the rest also has their error; on a busy machine it can be negative.\n")
	return out.String()
}
