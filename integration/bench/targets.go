package bench

import (
	"fmt"
	"math"
	"strings"
)

// bound is the most, or the least, that a figure may be.
type bound struct {
	limit float64
	least bool
}

func atMost(limit float64) bound  { return bound{limit: limit} }
func atLeast(limit float64) bound { return bound{limit: limit, least: true} }

// target is a figure that gangway wants to reach.
type target struct {
	bound
	what string
	got  float64
	unit string
	// rounds are the quotients of each round.
	rounds []float64
	// known says that got was measured.
	known bool
}

func (t target) reached() bool {
	if t.least {
		return t.got >= t.limit
	}
	return t.got <= t.limit
}

// quotient is the target for a quotient of two figures.
func quotient(what string, wanted bound, a, b figureKey, r *Results) target {
	q, rounds, ok := r.quotient(a, b)
	return target{what: what, bound: wanted, unit: "x", got: q, rounds: rounds, known: ok}
}

// figure is the target that a median is no more than the limit.
func figure(what string, limit float64, unit string, a figureKey, r *Results) target {
	x, ok := r.median(a.part, a.name, a.n, a.variant)
	return target{what: what, bound: atMost(limit), unit: unit, got: x, known: ok}
}

// targets are what the nftables backend wants to reach, for both protocols.
func targets(r *Results) []target {
	var out []target
	own, base := NftablesName, BuiltinName
	for _, p := range protocols() {
		at := func(n int, variant string) figureKey { return figureKey{partStart, p, n, variant} }
		out = append(out,
			quotient("1000 "+p+" ports / no port", atMost(1.25), at(1000, own), at(0, own), r),
			quotient("1000 "+p+" ports / floor", atMost(1.15), at(1000, own), at(1000, FloorName), r),
			quotient("10 000 "+p+" ports / floor", atMost(1.15), at(10000, own), at(10000, FloorName), r),
			quotient("1000 "+p+" ports: built-in / gangway", atLeast(100), at(1000, base), at(1000, own), r),
			quotient("1 "+p+" port / built-in without ports", atMost(1), at(1, own), at(0, base), r))
	}
	most := 0
	for _, f := range r.of(partVerbs) {
		most = max(most, f.N)
	}
	for _, verb := range []string{"CreateNetwork", "DeleteNetwork", "CreateEndpoint", "Join", "ProgramExternalConnectivity", "RevokeExternalConnectivity", "Leave", "DeleteEndpoint"} {
		name := verb + " p50"
		out = append(out, quotient(fmt.Sprintf("%s with %d endpoints / with none", verb, most), atMost(1.3),
			figureKey{partVerbs, name, most, own}, figureKey{partVerbs, name, 0, own}, r),
			figure(verb+", median", 1000, "us", figureKey{partVerbs, name, 0, own}, r))
	}
	out = append(out, packetTargets(r)...)
	out = append(out, peerTargets(r)...)
	return append(out,
		figure("idle memory", 25, "MB", figureKey{partMemory, "idle", 0, own}, r),
		figure(fmt.Sprintf("memory with %d endpoints", most), 60, "MB", figureKey{partMemory, "endpoints", most, own}, r),
		figure("helper processes", 0, "", figureKey{partMemory, "endpoints, helper processes", most, own}, r))
}

// packetTargets are what a packet may cost beside the built-in driver.
func packetTargets(r *Results) []target {
	own, base := NftablesName, BuiltinName
	out := []target{
		quotient("connections with 10 000 ports / with 1", atLeast(0.98),
			figureKey{partTraffic, "connections", 10000, own}, figureKey{partTraffic, "connections", 1, own}, r),
	}
	beside := func(what string, wanted bound, part string) {
		out = append(out, quotient(what+" / built-in", wanted, figureKey{part, what, 1, own}, figureKey{part, what, 1, base}, r))
	}
	beside("connections", atLeast(1), partTraffic)
	beside("first packet p50", atMost(1), partTraffic)
	beside("first packet p99", atMost(1), partTraffic)
	for _, way := range []string{"to a container", "to the host", "to outside", "from outside"} {
		beside(way, atLeast(1), partThroughput)
	}
	for _, p := range protocols() {
		beside(p+" requests to a container", atLeast(1.1), partThroughput)
		beside(p+" requests to the host", atLeast(1), partThroughput)
		beside(p+" requests to outside", atLeast(1), partThroughput)
	}
	for _, f := range r.of(partCrowd) {
		switch {
		case f.Variant != own:
		case f.Unit == "us":
			beside(f.Name, atMost(1), partCrowd)
		default:
			beside(f.Name, atLeast(1), partCrowd)
		}
	}
	return out
}

// peerTargets are that nobody else is faster, wherever it was measured.
func peerTargets(r *Results) []target {
	var out []target
	for _, f := range r.of(partPeers) {
		if f.Variant != NftablesName || f.N == 0 {
			continue
		}
		for _, other := range []string{portmapIptablesName, portmapNftablesName, netavarkName} {
			a, b := figureKey{partPeers, f.Name, f.N, other}, figureKey{partPeers, f.Name, f.N, f.Variant}
			what := fmt.Sprintf("%s, %d ports: %s / gangway", f.Name, f.N, other)
			if f.Unit == "/s" {
				a, b = b, a
				what = fmt.Sprintf("%s: gangway / %s", f.Name, other)
			}
			out = append(out, quotient(what, atLeast(1), a, b, r))
		}
	}
	return out
}

func targetTable(r *Results) string {
	var out strings.Builder
	out.WriteString("\n**What the nftables backend wants to reach**\n\n| | wanted | measured | |\n|---|--:|--:|---|\n")
	for _, t := range targets(r) {
		if !t.known || math.IsNaN(t.got) {
			continue
		}
		sign, verdict := "at most", "reached"
		if t.least {
			sign = "at least"
		}
		if !t.reached() {
			verdict = "**missed**"
		}
		fmt.Fprintf(&out, "| %s | %s %g %s | %s %s%s | %s |\n", t.what, sign, t.limit, t.unit, number(t.got), t.unit, margin(t.rounds), verdict)
	}
	return out.String()
}
