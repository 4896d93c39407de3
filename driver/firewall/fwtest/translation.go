package fwtest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// The prefixes that the host is delegated, one after the other, and what of each is A's.
var delegated = map[string]netip.Prefix{
	"today":    netip.MustParsePrefix("2001:db8:100::/56"),
	"tomorrow": netip.MustParsePrefix("2001:db8:200::/56"),
}

// translatedBy is a ruleset in which A's IPv6 addresses are of a day's prefix outside; of none, if day is empty.
// Ports of both containers are published.
func translatedBy(day string) firewall.Ruleset {
	a := network("A", func(n *firewall.Network) { n.Masquerade = n.Hairpin[:1] })
	set := firewall.Ruleset{
		Networks: []firewall.Network{a, networkB},
		Outside:  outside(),
		Ports:    ports([]published{{proto: spec.TCP, first: 8080, last: 8080, container: "a1", to: 80}}),
	}
	t := firewall.Translation{NetworkID: a.ID, Bridge: a.Bridge, Inside: subnet("A", v6)}
	if day != "" {
		t.Outside, _ = addresses["a1 "+day][v6].Prefix(64)
		for _, i := range []firewall.Inward{
			{Proto: spec.TCP, First: 80, Last: 80}, {Proto: spec.UDP, First: 80, Last: 81}, {Proto: spec.SCTP, First: 80, Last: 80},
			{EndpointID: "a2", Proto: spec.TCP, First: 10, Last: 89}, // a long run
		} {
			container := "a1"
			if i.EndpointID != "" {
				container = i.EndpointID
			}
			i.NetworkID, i.EndpointID = a.ID, longID("endpoint"+container)
			i.Outside, i.Inside = addresses[container+" "+day][v6], addresses[container][v6]
			set.Inward = append(set.Inward, i)
		}
	}
	set.Translations = []firewall.Translation{t}
	return set
}

// translation shows that a subnet is another one outside, by today's prefix and by tomorrow's, that published ports
// alone are reached there, and that nothing leaves while there is none.
func (s *suite) translation(t *testing.T) {
	for _, set := range s.possible(
		setting{engine: "26", policy: "DROP", bridged: true},
		setting{engine: "28", policy: "DROP", bridged: false},
		setting{engine: engine29, policy: "", bridged: false},
	) {
		t.Run(set.String(), func(t *testing.T) {
			w := newWorld(t, s.opts, set)
			for _, p := range delegated { // RFC 7084, WPD-5
				if err := w.host.nl.RouteAdd(&netlink.Route{Dst: ipNet(p), Type: unix.RTN_UNREACHABLE}); err != nil {
					t.Fatal(err)
				}
			}
			arrived := w.countSources(t)
			before := dump(t, w.host)
			b := s.backend(t, w.host)
			b.add(t, translatedBy(""))
			for was, days := "", []string{"today", "tomorrow", "", "today"}; ; days = days[1:] {
				if was == "" {
					w.check(t, noPrefixProbes())
				} else {
					w.check(t, translatedProbes(was))
				}
				if was == "tomorrow" { // that of the day before
					w.check(t, []probe{{"outside", "tcp6", "a1 today", 80, unreachable}})
				}
				w.sendUntracked(t, was)
				b.settled(t, translatedBy(was))
				if len(days) == 0 {
					break
				}
				b.apply(t, renumbered(was, days[0]))
				was = days[0]
			}
			if got := arrived(subnet("A", v6)); got != 0 {
				t.Errorf("%d packets left with an address of inside", got)
			}
			for day := range delegated {
				if p, _ := addresses["a1 "+day][v6].Prefix(64); arrived(p) == 0 {
					t.Errorf("nothing arrived from %s: the count shows nothing", p)
				}
			}
			b.remove(t, translatedBy("today"))
			sameDump(t, "after removing all", dump(t, w.host), before)
		})
	}
}

// renumbered is what changes with the prefix.
func renumbered(was, is string) firewall.Delta {
	of := func(day string) firewall.Ruleset {
		r := translatedBy(day)
		return firewall.Ruleset{Translations: r.Translations, Inward: r.Inward}
	}
	return firewall.Delta{Remove: of(was), Add: of(is)}
}

// noPrefixProbes are what holds without a prefix.
func noPrefixProbes() []probe {
	return append(untouchedProbes(), []probe{
		{"a1", "tcp6", "outside", 80, dropped},
		{"a1", "udp6", "outside", 80, dropped},
		{"a1", "sctp6", "outside", 80, dropped},
		{"a1", "icmp6", "outside", 0, dropped},
		{"a2", "tcp6", "lan", 80, dropped},
		{"outside", "tcp6", "a1 today", 80, unreachable},
	}...)
}

// untouchedProbes are what no prefix is needed for.
func untouchedProbes() []probe {
	return []probe{
		{"a1", "tcp4", "outside", 80, "outside:80 host"},
		{"outside", "tcp", "host", 8080, "a1:80 outside"},
		{"outside", "tcp6", "a1", 80, dropped},
		{"b1", "tcp6", "outside", 80, "outside:80 b1"},
		{"a1", "tcp6", "a2", 80, "a2:80 a1"},
		{"a1", "tcp6", "b1", 80, dropped},
		{"b1", "tcp6", "a1", 80, dropped},
		{"b1", "tcp6", "host", 8080, "a1:80 b1"},
		{"a1", "tcp6", "host", hostPort, "host:7000 a1"},
		{"host", "tcp6", "a1", 81, "a1:81 A"},
	}
}

// translatedProbes are what holds with a day's prefix.
func translatedProbes(day string) []probe {
	one, two := "a1 "+day, "a2 "+day
	return append(untouchedProbes(), []probe{
		{"a1", "tcp6", "outside", 80, "outside:80 " + one},
		{"a1", "udp6", "outside", 80, "outside:80 " + one},
		{"a1", "sctp6", "outside", 80, "outside:80 " + one},
		{"a1", "icmp6", "outside", 0, "echo"},
		{"a1", "udp6", "outside", 81, refused}, // by an error about the translated packet
		{"a2", "tcp6", "lan", 80, "lan:80 " + two},
		{"outside", "tcp6", one, 80, "a1:80 outside"},
		{"outside", "udp6", one, 81, "a1:81 outside"},
		{"outside", "sctp6", one, 80, "a1:80 outside"},
		{"lan", "tcp6", two, 85, "a2:85 lan"},
		// What is not published, and what is nobody's.
		{"outside", "tcp6", one, 81, unreachable},
		{"outside", "tcp6", one, 8080, unreachable},
		{"outside", "udp6", one, 82, dropped},
		{"outside", "udp6", two, 80, dropped},
		{"outside", "tcp6", two, 90, unreachable},
		{"outside", "icmp6", one, 0, dropped},
		// By way of the host from beside: the answer has to come back there.
		{"b1", "tcp6", one, 80, "a1:80 b1"},
		{"a2", "tcp6", one, 80, "a1:80 A"},
		{"a1", "tcp6", one, 80, "a1:80 A"},
		{"a1", "tcp6", one, 82, unreachable},
	}...)
}

// countSources has the outside and the LAN count what comes to them by its source.
func (w *world) countSources(t *testing.T) (arrived func(netip.Prefix) int) {
	t.Helper()
	sources := map[netip.Prefix]string{subnet("A", v6): "inside"}
	for day := range delegated {
		p, _ := addresses["a1 "+day][v6].Prefix(64)
		sources[p] = day
	}
	script := "table inet count {\n"
	for _, name := range sources {
		script += "counter " + name + " {}\n"
	}
	script += "chain pre {\ntype filter hook prerouting priority -300;\n"
	for p, name := range sources {
		script += fmt.Sprintf("ip6 saddr %s counter name %s\n", p, name)
	}
	w.nodes["outside"].mustCommand(t, script+"}\n}\n", "nft", "-f", "-")
	w.nodes["lan"].mustCommand(t, script+"}\n}\n", "nft", "-f", "-")
	return func(p netip.Prefix) (sum int) {
		t.Helper()
		for _, node := range []string{"outside", "lan"} {
			out, err := w.nodes[node].command("", "nft", "list", "counter", "inet", "count", sources[p])
			_, rest, found := strings.Cut(out, "packets ")
			var packets int
			if _, scanErr := fmt.Sscan(rest, &packets); err != nil || !found || scanErr != nil {
				t.Fatalf("the count of %s at %s: %q, %v, %v", p, node, out, err, scanErr)
			}
			sum += packets
		}
		return sum
	}
}
