package fwtest

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// closed shows that a host which forwards for gangway's sake alone is no router, that
// what others ask for passes, and that this outlives the last network.
func (s *suite) closed(t *testing.T) {
	for _, set := range s.possible(
		setting{engine: "", policy: "ACCEPT"},
		setting{engine: "26", policy: "ACCEPT"},
		setting{engine: "28", policy: "DROP", bridged: true},
		setting{engine: engine29, policy: ""},
	) {
		t.Run(set.String(), func(t *testing.T) { s.closedOn(t, set) })
	}
	t.Run("uplink bridge", s.closedBridge)
}

func (s *suite) closedOn(t *testing.T, set setting) {
	w := newWorld(t, s.opts, set)
	before := dump(t, w.host)
	b := s.backend(t, w.host)
	b.add(t, everything())
	open := dump(t, w.host)
	through := set.policy != "DROP"
	t.Run("open", func(t *testing.T) { w.crosses(t, through) })
	var alive func(t *testing.T)
	if through {
		alive = w.openAcross(t)
	}
	full := everything()
	full.NoTransit = bothFamilies
	b.add(t, firewall.Ruleset{NoTransit: bothFamilies})
	b.sync(t, full) // the engine's rules may have come behind
	b.settled(t, full)
	t.Run("closed", func(t *testing.T) {
		w.crosses(t, false)
		w.check(t, besideClosed(set))
	})
	if through {
		t.Run("a flow from before", alive)
	}
	t.Run("of one family", func(t *testing.T) { w.oneFamily(t, b) })
	t.Run("somebody accepts", func(t *testing.T) {
		undo := s.acceptAcross(t, w)
		b.sync(t, full)
		b.settled(t, full)
		w.check(t, []probe{
			{"lan", "tcp", "outside", 80, "outside:80 lan"},
			{"lan", "udp", "outside", 80, dropped},
			{"outside", "tcp", "lan", 80, dropped},
		})
		undo()
		b.sync(t, full)
	})
	if s.opts.Marks && !s.opts.NoIPTables && set.policy != "" {
		t.Run("FORWARD flushed", func(t *testing.T) { s.flushForward(t, w) })
		b.sync(t, full)
	}
	s.closedAlone(t, w, b, func() {
		if set.policy == "" || !through {
			sameDump(t, "open again", dump(t, w.host), open)
		}
	})
	if !t.Failed() && (s.opts.NoIPTables || set.policy == "") {
		sameDump(t, "after Cleanup", dump(t, w.host), before)
	}
}

// oneFamily opens one of the families without transit for a moment.
func (w *world) oneFamily(t *testing.T, b *backend) {
	b.remove(t, firewall.Ruleset{NoTransit: firewall.Families{V4: true}})
	w.check(t, only(v6, []probe{{"lan", "tcp", "outside", 80, dropped}}))
	if w.set.policy != "DROP" {
		w.check(t, only(v4, []probe{{"lan", "tcp", "outside", 80, "outside:80 lan"}}))
	}
	b.add(t, firewall.Ruleset{NoTransit: firewall.Families{V4: true}})
}

// closedAlone takes the networks away from a closed host, and brings them back to one
// that opens; it ends with Cleanup of a closed one.
func (s *suite) closedAlone(t *testing.T, w *world, b *backend, open func()) {
	rest := firewall.Ruleset{Outside: outside(), NoTransit: bothFamilies}
	without := everything()
	without.Outside = nil
	b.remove(t, without)
	b.settled(t, rest)
	b = s.backend(t, w.host) // as after a restart
	b.settled(t, rest)
	t.Run("without networks", func(t *testing.T) { w.crosses(t, false) })
	b.add(t, without)
	b.remove(t, firewall.Ruleset{NoTransit: bothFamilies})
	b.settled(t, everything())
	open()
	t.Run("open again", func(t *testing.T) { w.crosses(t, w.set.policy != "DROP") })
	b.add(t, firewall.Ruleset{NoTransit: bothFamilies})
	b.cleanup(t)
}

var bothFamilies = firewall.Families{V4: true, V6: true}

// crosses demands that datagrams between the two LANs arrive, or that none does, as
// counted where they would.
func (w *world) crosses(t *testing.T, want bool) {
	t.Helper()
	for _, way := range [...][2]string{{"lan", "outside"}, {"outside", "lan"}} {
		for _, f := range families {
			answer := dropped
			if want {
				answer = fmt.Sprintf("%s:80 %s", way[1], way[0])
			}
			had := datagrams(t, w.nodes[way[1]], f)
			w.check(t, only(f, []probe{{way[0], "udp", way[1], 80, answer}}))
			if n := datagrams(t, w.nodes[way[1]], f) - had; n > 0 != want {
				t.Errorf("%s, %s to %s: %d datagrams arrive, want some: %t", f, way[0], way[1], n, want)
			}
		}
	}
}

// datagrams is how many of a family a node has received, whether anybody waited for
// them or not.
func datagrams(t *testing.T, n *node, f family) int {
	t.Helper()
	script := [...]string{
		`/^Udp: [0-9]/ { n += $2 + $3 } END { print n + 0 }`,
		`/^Udp6(InDatagrams|NoPorts)/ { n += $2 } END { print n + 0 }`,
	}[f]
	out, err := n.command("", "awk", script, "/proc/thread-self/net/"+[...]string{"snmp", "snmp6"}[f])
	if err != nil {
		t.Fatal(err)
	}
	count, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// openAcross opens connections from one LAN to the other, and returns a test that
// they still work.
func (w *world) openAcross(t *testing.T) func(t *testing.T) {
	t.Helper()
	var asks []func() (string, error)
	for _, f := range families {
		c, err := dial(w.nodes["lan"], "tcp", netip.AddrPortFrom(addresses["outside"][f], 80), time.Now().Add(patience))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		asks = append(asks, func() (string, error) { return askConn(c, time.Now().Add(patience)) })
	}
	return func(t *testing.T) {
		for f, ask := range asks {
			if got, err := ask(); err != nil || name(got, family(f)) != "outside:80 lan" {
				t.Errorf("%s: got %q (%v)", family(f), got, err)
			}
		}
	}
}

// besideClosed is what passes a closed host all the same: gangway's networks, and what
// the engine's own network sends and publishes.
func besideClosed(s setting) []probe {
	list := []probe{
		{"a1", "tcp", "outside", 80, "outside:80 host"},
		{"b1", "udp", "lan", 80, "lan:80 b1"},
		{"outside", "tcp", "host", 8080, "a1:80 outside"},
		{"lan", "tcp", "host", 8090, "b1:80 lan"},
		{"lan", "icmp", "outside", 0, dropped},
		{"outside", "udp", "d1", 80, dropped},
		{"host", "tcp", "outside", 80, "outside:80 host"},
	}
	if s.engine == "" {
		return append(list, probe{"d1", "tcp", "outside", 80, "outside:80 d1"})
	}
	return append(list,
		probe{"d1", "tcp", "outside", 80, "outside:80 host"},
		probe{"outside", "tcp", "host", 9000, "d1:80 outside"})
}

// acceptAcross lets TCP from one LAN to the other pass, as an administrator would:
// by a rule at the end of FORWARD, or by Mark.Accept where the backend is not
// in iptables and these decide nothing.
func (s *suite) acceptAcross(t *testing.T, w *world) (undo func()) {
	t.Helper()
	const links = `iifname "v-lan" oifname "v-outside" `
	if s.opts.NoIPTables || s.opts.Marks && w.set.policy == "" {
		w.host.mustCommand(t, fmt.Sprintf(`table inet own {
	chain forward {
		type filter hook forward priority filter;
		%smeta l4proto tcp meta mark set meta mark & %#x | %#x
	}
}
`, links, ^s.opts.Mark.Mask(), s.opts.Mark.Accept), "nft", "-f", "-")
		return func() { w.host.mustCommand(t, "delete table inet own\n", "nft", "-f", "-") }
	}
	rules := []string{"FORWARD -i v-lan -o v-outside -p tcp -j ACCEPT", "FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"}
	s.both(t, w.host, "-A "+rules[0], "-A "+rules[1])
	return func() { s.both(t, w.host, "-D "+rules[0], "-D "+rules[1]) }
}

// flushForward takes all rules out of FORWARD and lets its policy accept: what nobody
// asks any more is dropped.
func (s *suite) flushForward(t *testing.T, w *world) {
	for _, f := range families {
		rules, err := w.host.command("", s.opts.tool(f)+"-save", "-t", "filter")
		if err != nil {
			t.Fatal(err)
		}
		if err := restore(w.host, s.opts, f, "*filter\n:FORWARD ACCEPT [0:0]\n-F FORWARD\nCOMMIT\n"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := w.host.command(rules, s.opts.tool(f)+"-restore", "--wait"); err != nil {
				t.Error(err)
			}
		})
	}
	w.crosses(t, false)
}

// closedBridge shows that a bridge of the host with a card among its ports is closed
// as any other uplink is, and that what its ports send one another is none of
// forwarding, though br_netfilter shows it to the firewall.
func (s *suite) closedBridge(t *testing.T) {
	w := newWorld(t, s.opts, setting{engine: "26", policy: "ACCEPT", bridged: true})
	w.addBridge(t, lan{bridge: "br-lan", gateway: "V"})
	for _, name := range []string{"v1", "v2"} {
		w.addMember(t, name, "v-"+name, "br-lan", "V")
		serveUDP(t, w.nodes[name], 80)
	}
	w.running(t)
	b := s.backend(t, w.host)
	full := firewall.Ruleset{Outside: append(outside(), spec.Outside{Name: "br-lan", Bridge: true}), NoTransit: bothFamilies}
	probes := func(open bool) []probe {
		return []probe{
			{"v1", "udp", "v2", 80, "v2:80 v1"},
			{"v1", "udp", "lan", 80, map[bool]string{true: "lan:80 v1", false: dropped}[open]},
			{"lan", "udp", "v1", 80, map[bool]string{true: "v1:80 lan", false: dropped}[open]},
		}
	}
	w.check(t, probes(true))
	b.add(t, full)
	b.sync(t, full)
	w.check(t, probes(false))
	// A bridge that does not lead outside is full of containers.
	b.apply(t, firewall.Delta{Remove: firewall.Ruleset{Outside: full.Outside[2:]}})
	b.settled(t, firewall.Ruleset{Outside: outside(), NoTransit: bothFamilies})
	list := probes(true)
	list[2].want = dropped
	w.check(t, list)
}
