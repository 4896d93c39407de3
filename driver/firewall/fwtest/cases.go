package fwtest

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
)

// sinkPort is the container port that leads to the listener of loopbackGuard.
const sinkPort = 99

// loopbackGuard sends to 127.0.0.1 over wires. With route_localnet on the
// bridges the kernel would deliver it: to services of the host that listen on
// loopback only, and to ports that are published there.
func (w *world) loopbackGuard(t *testing.T) {
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
	// Only the backend's guard may stand in the way.
	w.host.sysctl(t, "ipv4/conf/"+link+"/route_localnet", "1")
	mac := w.host.link(t, link).Attrs().HardwareAddr
	if err := sendFrame(w.nodes[from], mac, netip.AddrPortFrom(addresses[from][v4], 5000), to, "intruder"); err != nil {
		t.Fatal(err)
	}
	// A frame over a veth has arrived when it is sent, so what the host
	// sends now comes after it.
	conn, err := dial(w.host, "udp", to, time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a datagram socket
	if _, err = conn.Write([]byte("host")); err != nil {
		t.Fatal(err)
	}
	onlyReceives(t, sink, "host")
}

// onlyReceives reads up to the datagram that must come, and reports all
// others.
func onlyReceives(t *testing.T, sink *net.UDPConn, want string) {
	t.Helper()
	if err := sink.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 128)
	for {
		n, peer, err := sink.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatalf("what the host itself sent did not arrive: %v", err)
		}
		got := string(buf[:n])
		if got == want {
			return
		}
		t.Errorf("%q arrived from %s", got, peer)
	}
}

// dockerUser shows that the administrator has the last word.
func (s *suite) dockerUser(t *testing.T) {
	for _, engine := range [...]string{"26", "28"} {
		t.Run("engine="+engine, func(t *testing.T) {
			w := newWorld(t, s.opts, setting{engine: engine, policy: "DROP"})
			b := s.backend(t, w.host)
			b.add(t, everything())
			for _, f := range families {
				rules := "*filter\n" +
					"-I DOCKER-USER -s " + addresses["outside"][f].String() + " -j DROP\n" +
					"-I DOCKER-USER -s " + addresses["a2"][f].String() + " -j DROP\n" +
					"-I DOCKER-USER -s " + addresses["lan"][f].String() + " -d " + addresses["b1"][f].String() + " -j ACCEPT\nCOMMIT\n"
				if err := restore(w.host, s.opts, f, rules); err != nil {
					t.Fatal(err)
				}
			}
			w.check(t, []probe{
				{"outside", "tcp", "host", 8080, dropped},
				{"outside", "udp", "host", 8080, dropped},
				{"lan", "tcp", "host", 8080, "a1:80 lan"},
				{"lan", "tcp", "b1", 80, "b1:80 lan"},
				{"lan", "udp", "a1", 80, dropped},
				{"a2", "tcp", "lan", 80, dropped},
				{"a1", "tcp", "lan", 80, "lan:80 LAN"},
			})
			b.settled(t, everything())
		})
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
	b.add(t, firewall.Ruleset{Networks: nets, Ports: ports(first)})
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
	b.remove(t, firewall.Ruleset{Networks: []firewall.Network{now, nowN, networkB}})
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
