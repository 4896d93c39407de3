package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/nftrace"
)

// traceTable asks the kernel to report the way of UDP packets, from before
// everything that gangway has.
const traceTable = `table inet trace {
	chain prerouting { type filter hook prerouting priority -500; meta l4proto udp meta nftrace set 1; }
	chain output { type filter hook output priority -500; meta l4proto udp meta nftrace set 1; }
}
`

// tracer hears of the steps.
type tracer struct {
	t *testing.T
	*nftrace.Listener
	// texts are the rules, by family, table, chain and handle.
	texts map[string]string
}

// trace starts a tracer in the namespace of the thread.
func (h *host) trace() *tracer {
	h.t.Helper()
	h.run(traceTable, "nft", "-f", "-")
	l, err := nftrace.Listen()
	h.ok(err)
	h.t.Cleanup(l.Close)
	return &tracer{t: h.t, Listener: l, texts: h.texts()}
}

// texts reads all rules with their handles. Those in tables of iptables are
// given as iptables writes them.
func (h *host) texts() map[string]string {
	h.t.Helper()
	saved := map[string][]string{}
	for family, tool := range map[string]string{"ip": "iptables", "ip6": "ip6tables"} {
		table := ""
		for line := range strings.Lines(h.run("", tool+"-nft-save")) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "*") {
				table = line[1:]
			} else if rule, is := strings.CutPrefix(line, "-A "); is {
				chain, _, _ := strings.Cut(rule, " ")
				at := family + " " + table + " " + chain
				saved[at] = append(saved[at], line)
			}
		}
	}
	texts := map[string]string{}
	table, chain, seen := "", "", 0
	for line := range strings.Lines(h.run("", "nft", "-a", "-s", "list", "ruleset")) {
		text, number, found := strings.Cut(strings.TrimSpace(line), " # handle ")
		words := strings.Fields(text)
		switch {
		case !found:
		case words[0] == "table":
			table = words[1] + " " + words[2]
		case words[0] == "chain":
			chain, seen = table+" "+words[1], 0
		case words[0] != "set" && words[0] != "map":
			if list := saved[chain]; seen < len(list) {
				text = list[seen]
			}
			texts[chain+" "+number] = text
			seen++
		}
	}
	return texts
}

// packets returns the steps of the packets that passed until now, in words, one
// list each. With dropped it waits until one was.
func (tr *tracer) packets(dropped bool) [][]string {
	tr.t.Helper()
	var all []nftrace.Event
	wait := time.Duration(0)
	deadline := time.Now().Add(10 * time.Second)
	for {
		some, err := tr.Events(wait)
		if err != nil {
			tr.t.Fatal(err)
		}
		all = append(all, some...)
		if !dropped || slices.ContainsFunc(all, nftrace.Event.Drops) {
			break
		}
		if time.Now().After(deadline) {
			tr.t.Fatalf("no packet was dropped; seen: %+v", all)
		}
		wait = 100 * time.Millisecond
	}
	var order []uint32
	steps := map[uint32][]string{}
	marks := map[uint32]uint32{}
	for _, e := range all {
		if e.Table == "trace" || e.Kind == nftrace.Rule && !e.Matched() {
			continue // the end of a chain where nothing matched comes twice
		}
		if _, known := steps[e.Packet]; !known {
			order = append(order, e.Packet)
		}
		steps[e.Packet] = append(steps[e.Packet], tr.words(e, marks[e.Packet]))
		marks[e.Packet] = e.Mark
	}
	var out [][]string
	for _, id := range order {
		out = append(out, steps[id])
	}
	return out
}

// words says where a step is, what matched there, and the packet's mark if the
// step before left another one.
func (tr *tracer) words(e nftrace.Event, before uint32) string {
	tr.t.Helper()
	what := ""
	switch e.Kind {
	case nftrace.Rule:
		what = tr.texts[e.Where()+" "+strconv.FormatUint(e.Handle, 10)]
		if what == "" {
			tr.t.Fatalf("unknown rule %d of %s", e.Handle, e.Where())
		}
	case nftrace.Policy:
		what = map[bool]string{true: "policy drop", false: "policy accept"}[e.Drops()]
	case nftrace.Return:
		what = "return"
	}
	words := e.Where() + " | " + what
	if e.Mark != before {
		words += fmt.Sprintf(" | mark %#x", e.Mark)
	}
	return words
}
