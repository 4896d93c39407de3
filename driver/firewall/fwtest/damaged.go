package fwtest

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

// damaged shows that isolation is never off while rules are missing: before any
// check, what must not be answered is not, whatever others took away or did to a
// bridge. Connections may be off as well. Then a check brings all back.
func (s *suite) damaged(t *testing.T) {
	if s.opts.Open {
		return
	}
	w := newWorld(t, s.opts, setting{engine: "26", policy: "ACCEPT", bridged: true})
	before, objects := dump(t, w.host), mustObjects(t, w.host)
	b := s.backend(t, w.host)
	b.add(t, everything())
	service := netip.AddrPortFrom(addresses["loopback"][v4], 7001)
	sink := listenUDP(t, w.host, service)
	damages := w.regroup()
	for _, d := range append(damagesIPTables(minus(dump(t, w.host), before)), damagesNative(objects, mustObjects(t, w.host))...) {
		if isolates(d.name) {
			damages = append(damages, d)
		}
	}
	// The last, as they take rules of others as well.
	damages = append(thinned(damages), flushes(s.opts)...)
	for _, d := range damages {
		if err := d.do(w.host); forbidden(err) {
			continue // what is kept from others is the case Repairs
		} else if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		t.Run(d.name, func(t *testing.T) {
			w.judge(t, closed(), unanswered)
			w.intrude(t, "a1", networkA.Bridge, service, sink)
		})
		w.group(t)
		b.repair(t)
		b.settled(t, everything())
	}
	w.judge(t, slices.Concat(outgoing(), incoming(), local(), hairpin(), internal(), within(w)), right)
	b.cleanup(t)
	for _, l := range minus(dump(t, w.host), before) {
		t.Errorf("left over: %s", l)
	}
}

// right is what should be. A neighbour whom nobody may ask for his address is
// unreachable in the end.
func right(p probe, f family, got string) bool {
	return got == p.wants(f) || p.want == dropped && got == unreachable
}

// strangers shows that rules of others that accept everything open no way, wherever
// they stand in FORWARD. Connections may be off until Sync, and come back with it.
func (s *suite) strangers(t *testing.T) {
	if s.opts.NoIPTables {
		return
	}
	w := newWorld(t, s.opts, setting{engine: "28", policy: "DROP", bridged: true})
	b := s.backend(t, w.host)
	b.add(t, everything())
	published := probe{"outside", "tcp", "host", 8080, "a1:80 outside"}
	for _, place := range []string{"-I FORWARD 1", "-I FORWARD 2", "-I FORWARD 3", "-A FORWARD"} {
		t.Run(place, func(t *testing.T) {
			s.both(t, w.host, place+" -j ACCEPT")
			if !s.opts.Open {
				w.judge(t, closed(), unanswered)
			}
			b.repair(t)
			w.judge(t, append(slices.Concat(closed(), outgoing()), published), right)
			b.settled(t, everything())
			s.both(t, w.host, "-D FORWARD -j ACCEPT")
			b.settled(t, everything())
		})
	}
}

// closed is what nobody may get an answer to.
func closed() []probe {
	return []probe{
		{"outside", "tcp", "a1", 80, dropped},
		{"outside", "udp", "b1", 80, dropped},
		{"outside", "icmp", "n1", 0, dropped},
		{"lan", "sctp", "a1", 80, dropped},
		{"d1", "tcp", "a1", 80, dropped},
		{"a1", "tcp", "d1", 80, dropped},
		{"b1", "tcp", "a1", 80, dropped},
		{"a1", "udp", "n1", 80, dropped},
		{"n1", "tcp", "n2", 80, dropped},
		{"i1", "tcp", "outside", 80, dropped},
		{"i1", "udp", "a1", 80, dropped},
		{"i1", "tcp", "host", 8090, dropped},
		{"i1", "icmp", "d1", 0, dropped},
		{"outside", "tcp", "i1", 80, dropped},
		{"a1", "udp", "i1", 80, dropped},
		{"d1", "icmp", "i1", 0, dropped},
	}
}

// unanswered says that no container has answered. The host may refuse what it has
// no published port for any more.
func unanswered(_ probe, _ family, got string) bool {
	return slices.Contains([]string{dropped, refused, unreachable}, got)
}

// flushes are the commands by which administrators and managers take everything.
func flushes(o Options) []damage {
	var all []damage
	add := func(name string, args ...string) {
		all = append(all, damage{strings.Join(append([]string{name}, args...), " "), func(h *node) error {
			_, err := h.command("", name, args...)
			return err
		}})
	}
	add("nft", "flush", "ruleset")
	if o.NoIPTables {
		return all
	}
	for _, f := range families {
		for _, table := range []string{"filter", "nat", "raw"} {
			add(o.tool(f), "--wait", "-t", table, "-F")
		}
	}
	return all
}

var (
	// adds matches damages that take no rule away and lead around none.
	adds = regexp.MustCompile(`^(double|strange rule at the end of|nft insert|nft add) `)
	// translates matches damages to what translates addresses and ports.
	translates = regexp.MustCompile(` nat |masquerade|hairpin|source|(port|range)[s_]?(|at|tcp|udp|sctp)[46]|(prerouting|output|postrouting)$`)
)

// isolates tells damages to rules by which networks are isolated.
func isolates(damage string) bool {
	return !adds.MatchString(damage) && !translates.MatchString(damage)
}

// regroup are the ways to take a bridge of gangway out of its interface group.
func (w *world) regroup() []damage {
	var all []damage
	for _, l := range lans {
		if l.ours {
			all = append(all, damage{"ip link set " + l.bridge + " group default", func(h *node) error {
				return w.setGroup(l.bridge, 0)
			}})
		}
	}
	return all
}

// group puts all bridges of gangway into their group, as package link does.
func (w *world) group(t *testing.T) {
	t.Helper()
	for _, l := range lans {
		if l.ours {
			if err := w.setGroup(l.bridge, int(spec.LinkGroup)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (w *world) setGroup(bridge string, group int) error {
	l, err := w.host.nl.LinkByName(bridge)
	if err != nil {
		return err
	}
	return w.host.nl.LinkSetGroup(l, group)
}
