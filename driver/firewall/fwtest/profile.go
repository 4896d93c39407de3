package fwtest

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/nftrace"
	"github.com/gangway-net/gangway/integration/nstest"
)

// Passage is what one packet met on its way through the host.
type Passage struct {
	Way string
	// Chains are those at hooks, Rules those that were asked, whether they matched or not, and
	// Lookups those of them that look in a set or map of the packet's family, if nothing
	// before that in the rule says no.
	Chains, Rules, Lookups int
	// Time is the processor time of one packet, by the clock of the thread that sends it.
	Time time.Duration
}

// Profile counts what the packets of each way meet. The kernel tells what matched, and the
// rules are listed: those before one that matched were asked as well. Chains of nf_tables
// and of iptables-nft are told of; there are no others. Time is measured with so many
// packets, none of it traced.
func Profile(t testing.TB, c Crossing, packets int) []Passage {
	t.Helper()
	var all []Passage
	for _, w := range ways() {
		nstest.Do(&testing.T{}, func() {
			h := newCrossing(t, c)
			defer h.close()
			send := w.on(h)
			p := h.passage(func() { send(1) })
			p.Way = w.name
			before := threadTime(t)
			for i := range packets {
				send(i + 2)
			}
			p.Time = (threadTime(t) - before) / time.Duration(max(packets, 1))
			all = append(all, p)
		})
	}
	return all
}

// lookTable has the kernel report what datagrams meet, and not what neighbours are asked.
const lookTable = `table inet look { chain first { type filter hook prerouting priority -500; meta l4proto udp meta nftrace set 1; }; }
`

// passage counts what the packets that f sends meet.
func (h *crossing) passage(f func()) (p Passage) {
	h.Helper()
	h.run(lookTable, "nft", "-f", "-")
	defer h.run("", "nft", "delete", "table", "inet", "look")
	l, err := nftrace.Listen()
	if err != nil {
		h.Fatal(err)
	}
	defer l.Close()
	rules := listRules(h.run("", "nft", "-a", "-s", "list", "ruleset"))
	f()
	events, err := l.Events(0) // it has arrived by then
	if err != nil {
		h.Fatal(err)
	}
	asked := map[string]int{}
	for _, e := range events {
		if e.Table != "look" && (e.Matched() || e.Kind != nftrace.Rule) {
			h.count(&p, e, rules, asked)
		}
	}
	return p
}

// chainText is a chain as nft lists it.
type chainText struct {
	hooked  bool
	handles []uint64
	rules   []string
}

// listRules reads the chains of a list, by family, table and name.
func listRules(list string) map[string]*chainText {
	all := map[string]*chainText{}
	table, in := "", &chainText{}
	for line := range strings.Lines(list) {
		text, handle, found := strings.Cut(strings.TrimSpace(line), " # handle ")
		words := strings.Fields(text)
		switch {
		case strings.HasPrefix(text, "type ") && strings.Contains(text, " hook "):
			in.hooked = true
		case !found:
		case words[0] == "table":
			table = words[1] + " " + words[2]
		case words[0] == "chain":
			in = &chainText{}
			all[table+" "+words[1]] = in
		case words[0] != "set" && words[0] != "map":
			n, _ := strconv.ParseUint(handle, 10, 64)
			in.handles, in.rules = append(in.handles, n), append(in.rules, text)
		}
	}
	return all
}

// count adds the rules from the one that was asked last in the chain to the one that the
// event is about, or to the end of the chain.
func (h *crossing) count(p *Passage, e nftrace.Event, rules map[string]*chainText, asked map[string]int) {
	h.Helper()
	c := rules[e.Where()]
	if c == nil {
		h.Fatalf("chain %s is not listed", e.Where())
	}
	from, to := asked[e.Where()], len(c.rules)
	if i := slices.Index(c.handles, e.Handle); e.Matched() && i >= 0 {
		to = i + 1
	}
	for _, text := range c.rules[from:to] {
		p.Rules++
		if h.looksUp(text) {
			p.Lookups++
		}
	}
	asked[e.Where()] = c.next(e, to)
	if e.Kind == nftrace.Policy || e.Matched() && (e.Verdict == nftrace.Accept || e.Drops()) {
		p.Chains++ // a chain at a hook ends
	}
}

// next is the rule that the chain goes on with when it is heard of again, after an event
// that rules up to another one have led to.
func (c *chainText) next(e nftrace.Event, to int) int {
	// Those of enum nft_verdicts after which a chain goes on, or is left for good.
	const more, jump, leave = -1, -3, -4
	switch {
	case e.Matched() && (e.Verdict == more || e.Verdict == jump):
		return to
	case e.Matched() && e.Verdict == leave && c.hooked: // its end is told of all the same
		return len(c.rules)
	}
	return 0
}

// looksUp says whether a rule looks a packet of the family up.
func (h *crossing) looksUp(rule string) bool {
	other := "ip6 "
	if h.IPv6 {
		other = "ip "
	}
	at := strings.Index(rule, "@")
	return at >= 0 && !strings.HasPrefix(rule, other) && !strings.Contains(rule[:at], " "+other) &&
		!strings.HasPrefix(rule, "meta iifkind ") && !strings.HasPrefix(rule, "meta oifkind ")
}
