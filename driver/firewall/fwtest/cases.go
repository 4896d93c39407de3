package fwtest

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/rawip"
)

// sinkPort is the container port that leads to the listener of loopbackClosed.
const sinkPort = 99

// loopbackClosed sends to 127.0.0.1 over wires. With route_localnet on the
// bridges the kernel would deliver it: to services of the host that listen on
// loopback only, and to ports that are published there.
func (w *world) loopbackClosed(t *testing.T) {
	lo := addresses["loopback"][v4]
	service, public := netip.AddrPortFrom(lo, 7001), netip.AddrPortFrom(lo, 8099)
	own := listenUDP(t, w.host, service)
	contained := listenUDP(t, w.nodes["a1"], netip.AddrPortFrom(netip.IPv4Unspecified(), sinkPort))
	for _, c := range []struct {
		name, from, link string
		to               netip.AddrPort
		sink             *net.UDPConn
	}{
		{"service of the host, from a container", "a1", networkA.Bridge, service, own},
		{"service of the host, from a container of an internal network", "i1", networkI.Bridge, service, own},
		{"published port, from a container", "a2", networkA.Bridge, public, contained},
		{"published port, from outside", "outside", "v-outside", public, contained},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.intrude(t, c.from, c.link, c.to, c.sink)
		})
	}
}

// intrude sends to loopback of the host over the wire of a node, which a listener
// there must not receive.
func (w *world) intrude(t *testing.T, from, link string, to netip.AddrPort, sink *net.UDPConn) {
	t.Helper()
	// Only the backend may stand in the way.
	w.host.sysctl(t, "ipv4/conf/"+link+"/route_localnet", "1")
	mac := w.host.link(t, link).Attrs().HardwareAddr
	packet := rawip.Datagram(netip.AddrPortFrom(addresses[from][v4], 5000), to, "intruder")
	if err := newWire(t, w.nodes[from], mac).send(packet); err != nil {
		t.Fatal(err)
	}
	w.onlyFromHost(t, to, sink)
}

// onlyFromHost shows that a listener gets what the host sends to it, which reaches everybody, and
// nothing of what others have sent before.
func (w *world) onlyFromHost(t *testing.T, to netip.AddrPort, sink *net.UDPConn) {
	t.Helper()
	conn, err := dial(w.host, "udp", to, time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a datagram socket
	afterAll(t, "host", func(mark string) {
		if _, err := conn.Write([]byte(mark)); err != nil {
			t.Fatal(err)
		}
	}, func(mark string, times int) { onlyReceives(t, sink, mark, times) })
}

// onlyReceives reads up to the last of so many datagrams that must come, and reports
// all others.
func onlyReceives(t *testing.T, sink *net.UDPConn, want string, times int) {
	t.Helper()
	if err := sink.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 128)
	for times > 0 {
		n, peer, err := sink.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatalf("what the host itself sent did not arrive: %v", err)
		}
		if got := string(buf[:n]); got != want {
			t.Errorf("%q arrived from %s", got, peer)
			continue
		}
		times--
	}
}

// lastWord shows that the administrator has it: in DOCKER-USER, or in a table of
// the administrator's own beside an engine that has no such chain.
func (s *suite) lastWord(t *testing.T) {
	for _, set := range s.possible(
		setting{engine: "26", policy: "DROP"},
		setting{engine: "28", policy: "DROP"},
		setting{engine: engine29, policy: "DROP"},
		setting{engine: engine29, policy: ""},
	) {
		t.Run(set.String(), func(t *testing.T) {
			w := newWorld(t, s.opts, set)
			b := s.backend(t, w.host)
			b.add(t, everything())
			if set.policy != "" {
				w.dockerUser(t)
				w.check(t, administered("b1:80 lan"))
				b.settled(t, everything())
				return
			}
			w.ownTable(t)
			allowed := dropped
			if s.opts.Marks {
				allowed = "b1:80 lan"
			}
			w.check(t, administered(allowed))
			b.settled(t, everything())
			if s.opts.NoIPTables {
				return
			}
			t.Run("DOCKER-USER made by hand", func(t *testing.T) {
				w.host.mustCommand(t, "delete table ip own\ndelete table ip6 own\n", "nft", "-f", "-")
				s.both(t, w.host, ":DOCKER-USER - [0:0]", "-I FORWARD -j DOCKER-USER")
				w.dockerUser(t)
				b.sync(t, everything())
				w.check(t, administered("b1:80 lan"))
			})
		})
	}
}

// administered is what is left to each with the rules of dockerUser or
// ownTable; allowed is what becomes of the one pair that these let through.
func administered(allowed string) []probe {
	return []probe{
		{"outside", "tcp", "host", 8080, dropped},
		{"outside", "udp", "host", 8080, dropped},
		{"lan", "tcp", "host", 8080, "a1:80 lan"},
		{"lan", "tcp", "b1", 80, allowed},
		{"lan", "udp", "a1", 80, dropped},
		{"a2", "tcp", "lan", 80, dropped},
		{"a1", "tcp", "lan", 80, "lan:80 LAN"},
	}
}

// dockerUser forbids a host and a container everything, and allows one pair.
func (w *world) dockerUser(t *testing.T) {
	t.Helper()
	for _, f := range families {
		rules := "*filter\n" +
			"-I DOCKER-USER -s " + addresses["outside"][f].String() + " -j DROP\n" +
			"-I DOCKER-USER -s " + addresses["a2"][f].String() + " -j DROP\n" +
			"-I DOCKER-USER -s " + addresses["lan"][f].String() + " -d " + addresses["b1"][f].String() + " -j ACCEPT\nCOMMIT\n"
		if err := restore(w.host, w.opts, f, rules); err != nil {
			t.Fatal(err)
		}
	}
}

// ownRules are a table of the administrator's. A drop is final there, an accept
// says nothing to the chains of others, and the mark for "accept" does.
const ownRules = `table %[1]s own {
	chain forward {
		type filter hook forward priority filter;
		%[1]s saddr { %[2]s, %[3]s } drop
		%[1]s saddr %[4]s %[1]s daddr %[5]s meta mark set meta mark & %#[6]x | %#[7]x
	}
}
`

// ownTable does the same as dockerUser in a table of its own.
func (w *world) ownTable(t *testing.T) {
	t.Helper()
	for _, f := range families {
		w.host.mustCommand(t, fmt.Sprintf(ownRules, [...]string{"ip", "ip6"}[f],
			addresses["outside"][f], addresses["a2"][f], addresses["lan"][f], addresses["b1"][f],
			^w.opts.Mark.Mask(), w.opts.Mark.Accept), "nft", "-f", "-")
	}
}

// changes shows that deltas take effect on packets, and on no others.
func (s *suite) changes(t *testing.T) {
	w := newWorld(t, s.opts, setting{engine: "26", policy: "DROP", bridged: true})
	before := dump(t, w.host)
	b := s.backend(t, w.host)
	first, second := publications[:1], []published{publications[0]}
	second[0].container, second[0].to = "a2", 81
	nets := []firewall.Network{networkA, networkN}
	b.add(t, firewall.Ruleset{Networks: nets, Ports: ports(first), Outside: outside()})
	w.check(t, []probe{
		{"outside", "tcp", "host", 8080, "a1:80 outside"},
		{"outside", "tcp", "host", 8000, refused},
		{"a1", "tcp", "a2", 80, "a2:80 a1"},
		{"n1", "tcp", "n2", 80, dropped},
	})

	alive := w.openAll(t)
	// The port leads elsewhere, and the networks exchange their ICC, in one
	// delta; meanwhile other things come.
	was := networkA
	now := was
	now.ICC = false
	nowN := networkN
	nowN.ICC = true
	b.apply(t, firewall.Delta{
		Remove: firewall.Ruleset{Networks: nets, Ports: ports(first)},
		Add:    firewall.Ruleset{Networks: []firewall.Network{now, nowN, networkB}, Ports: append(ports(second), ports(publications[6:7])...)},
	})
	t.Run("running connections", alive)
	w.check(t, []probe{
		{"outside", "tcp", "host", 8080, "a2:81 outside"},
		{"host", "tcp", "host", 8080, "a2:81 host"},
		{"a1", "tcp", "host", 8080, "a2:81 A"},
		{"outside", "tcp", "host", 8000, "a2:80 outside"},
		{"a1", "tcp", "a2", 80, dropped},
		{"n1", "tcp", "n2", 80, "n2:80 n1"},
		{"b1", "tcp", "outside", 80, "outside:80 b1"},
	})

	// Another instance, as after a restart, takes the rest away.
	b = s.backend(t, w.host)
	b.remove(t, firewall.Ruleset{Ports: append(ports(second), ports(publications[6:7])...)})
	t.Run("running connections without port", alive)
	w.check(t, []probe{{"outside", "tcp", "host", 8080, refused}, {"outside", "tcp", "host", 8000, refused}})
	b.remove(t, firewall.Ruleset{Networks: []firewall.Network{now, nowN, networkB}, Outside: outside()})
	sameDump(t, "after all is removed", dump(t, w.host), before)
}

// openAll opens connections through the published port 8080 and from a1 to the
// outside, and returns a test that they still work.
func (w *world) openAll(t *testing.T) func(t *testing.T) {
	t.Helper()
	type open struct {
		probe
		family
		ask func() (string, error)
	}
	var list []open
	for _, p := range []probe{
		{"outside", "tcp", "host", 8080, "a1:80 outside"},
		{"a1", "tcp", "outside", 80, "outside:80 host"},
		{"a2", "tcp", "host", 8080, "a1:80 A"},
	} {
		for _, f := range families {
			c, err := dial(w.nodes[p.from], p.proto, netip.AddrPortFrom(addresses[p.to][f], p.port), time.Now().Add(patience))
			if err != nil {
				t.Fatalf("%s %s: %v", f, p, err)
			}
			t.Cleanup(func() { _ = c.Close() })
			list = append(list, open{p, f, func() (string, error) { return askConn(c, time.Now().Add(patience)) }})
		}
	}
	return func(t *testing.T) {
		for _, o := range list {
			if got, err := o.ask(); err != nil || got != o.wants(o.family) {
				t.Errorf("%s %s: got %q (%v), want %q", o.family, o.probe, got, err, o.want)
			}
		}
	}
}
