package trace

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin"
)

// shop is a host with a network of each kind.
func shop() State {
	s := State{Host: []netip.Addr{addr("192.0.2.1"), addr("10.0.1.1"), addr("fd00::1"), addr("2001:db8::1")}}
	network := func(name, subnet string, change func(*plugin.Network)) {
		n := plugin.Network{Name: name, NetworkStatus: driver.NetworkStatus{ID: "id-" + name, Bridge: "gw-" + name, ModeIPv4: "nat", ModeIPv6: "nat", ICC: true, Options: map[string]string{}}}
		if change != nil {
			change(&n)
		}
		s.Networks = append(s.Networks, n)
		for i, host := range []string{"2", "3"} {
			c := name + "-" + string(rune('a'+i))
			s.Endpoints = append(s.Endpoints, endpoint(c, n, subnet+host))
		}
	}
	network("front", "10.0.1.", nil)
	network("back", "10.0.2.", nil)
	network("inner", "10.0.3.", func(n *plugin.Network) { n.Internal = true })
	network("apart", "10.0.4.", func(n *plugin.Network) { n.ICC = false })
	network("routed", "10.0.5.", func(n *plugin.Network) { n.ModeIPv4 = "routed" })
	network("open", "10.0.6.", func(n *plugin.Network) { n.ModeIPv4 = "nat-unprotected" })
	network("alone", "10.0.7.", func(n *plugin.Network) { n.Internal, n.ModeIPv4 = true, "isolated" })
	network("trusted", "10.0.8.", func(n *plugin.Network) {
		n.Options["com.docker.network.bridge.trusted_host_interfaces"] = "eth1"
	})
	network("plain", "10.0.9.", func(n *plugin.Network) {
		n.Options["com.docker.network.bridge.enable_ip_masquerade"] = "false"
	})
	network("hidden", "10.0.10.", func(n *plugin.Network) { n.Options["gangway.gateway"] = "container:vpn" })
	network("prefix", "fd00:11::", func(n *plugin.Network) {
		n.Options["gangway.ipv6"], n.Outside = "prefix", netip.MustParsePrefix("2001:db8:5::/64")
	})
	network("waiting", "fd00:12::", func(n *plugin.Network) { n.Options["gangway.ipv6"] = "prefix" })
	open := func(at int, ip, protocol, from string) {
		e := &s.Endpoints[at]
		e.Open = append(e.Open, driver.OpenStatus{Protocol: protocol, IP: addr(ip), First: 80, Last: 90, From: from})
	}
	open(8, "10.0.5.2", "tcp", "")
	open(14, "10.0.8.2", "tcp", "eth1")
	// One container is on two networks.
	s.Endpoints = append(s.Endpoints, endpoint("front-a", s.Networks[1], "10.0.2.9"))
	port := func(protocol, at string, first, last uint16, to string, path string) {
		s.Ports = append(s.Ports, plugin.Port{Whose: plugin.Whose{ContainerName: "front-a"}, PortStatus: driver.PortStatus{
			NetworkID: "id-front", Protocol: protocol, HostIP: addr(at), First: first, Last: last, ContainerIP: addr(to), ContainerFirst: 80, Path: path,
		}})
	}
	port("tcp", "0.0.0.0", 8000, 8009, "10.0.1.2", "nat")
	port("tcp", "::", 8000, 8009, "10.0.1.2", "relay")
	port("udp", "0.0.0.0", 53, 53, "10.0.1.2", "nat")
	port("udp", "192.0.2.1", 53, 53, "10.0.1.3", "nat")
	port("tcp", "2001:db8:5::2", 80, 80, "fd00:11::2", "prefix")
	port("tcp", "127.0.0.1", 9000, 9000, "10.0.1.2", "nat")
	return s
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func endpoint(container string, n plugin.Network, at string) plugin.Endpoint {
	return plugin.Endpoint{
		Whose: plugin.Whose{ContainerName: container, ContainerID: container},
		EndpointStatus: driver.EndpointStatus{
			ID: container + "@" + n.Name, NetworkID: n.ID, Bridge: n.Bridge, HostInterface: "gv-" + container, Sandbox: "/run/" + container,
			Addresses: []netip.Prefix{netip.PrefixFrom(addr(at), 24)},
		},
	}
}

// flow reads "10.0.1.2 10.0.1.3:80/tcp" or "host …".
func flow(s State, text string) Flow {
	from, target, _ := strings.Cut(text, " ")
	to, protocol, _ := strings.Cut(target, "/")
	f := Flow{Protocol: protocol, Destination: netip.MustParseAddrPort(to)}
	if from == "host" {
		f.From = Party{Host: true}
	} else {
		f.From, f.Source = s.At(addr(from)), addr(from)
	}
	return f
}

// decided is a flow, and what is said of it.
type decided struct {
	flow  string
	want  Verdict
	words []string
}

func decisions() []decided {
	return []decided{
		{"198.51.100.1 192.0.2.1:8003/tcp", Accepted, []string{"from 198.51.100.1, outside", "front-a on network front publishes at 0.0.0.0", "translated to 10.0.1.2:83", "open to everybody"}},
		{"198.51.100.1 192.0.2.1:8010/tcp", Unknown, []string{"no port 8010 is published", "a program of the host"}},
		{"198.51.100.1 192.0.2.1:8000/udp", Unknown, []string{"no port 8000 is published"}},
		{"198.51.100.1 192.0.2.1:53/udp", Accepted, []string{"translated to 10.0.1.3:80"}},
		{"198.51.100.1 10.0.1.1:53/udp", Accepted, []string{"translated to 10.0.1.2:80"}},
		{"2001:db8::2 [2001:db8::1]:8000/tcp", Accepted, []string{"relayed by the daemon to 10.0.1.2:80", "the host's address as the client"}},
		{"198.51.100.1 127.0.0.1:9000/tcp", Dropped, []string{"by the host itself alone"}},
		{"host 127.0.0.1:9000/tcp", Accepted, []string{"from the host itself", "the container could not answer 127.0.0.1"}},
		{"host 127.0.0.1:8000/tcp", Accepted, []string{"translated to 10.0.1.2:80"}},
		{"10.0.1.3 127.0.0.1:8000/tcp", Unknown, []string{"the container itself there"}},
		{"10.0.1.3 192.0.2.1:8000/tcp", Accepted, []string{"hairpin"}},
		{"10.0.2.2 192.0.2.1:8000/tcp", Accepted, []string{"from back-a, 10.0.2.2, on network back (mode nat)", "open to everybody"}},
		{"10.0.3.2 192.0.2.1:8000/tcp", Dropped, []string{"nothing leaves internal network inner"}},
		{"10.0.4.2 192.0.2.1:8000/tcp", Accepted, []string{"icc off"}},

		{"10.0.1.2 10.0.1.3:80/tcp", Accepted, []string{"on one bridge, gw-front", "containers of one network reach each other"}},
		{"10.0.3.2 10.0.3.3:80/tcp", Accepted, []string{"internal", "containers of one network reach each other"}},
		{"10.0.4.2 10.0.4.3:80/tcp", Dropped, []string{"port filter of gv-apart-a", "enable_icc=false"}},
		{"10.0.1.3 10.0.1.3:80/tcp", Unknown, []string{"the container itself"}},
		{"10.0.2.2 10.0.1.2:80/tcp", Dropped, []string{"isolation: networks back and front"}},
		{"10.0.2.9 10.0.1.3:80/tcp", Dropped, []string{"from front-a, 10.0.2.9, on network back"}},
		{"10.0.3.2 10.0.1.2:80/tcp", Dropped, []string{"nothing leaves internal network inner"}},
		{"10.0.1.2 10.0.3.2:80/tcp", Dropped, []string{"nothing comes into internal network inner"}},
		{"10.0.1.2 10.0.5.2:80/tcp", Accepted, []string{"mode routed", "the container publishes the port"}},
		{"10.0.1.2 10.0.5.2:80/udp", Dropped, []string{"does not publish port 80/udp"}},
		{"198.51.100.1 10.0.5.2:90/tcp", Accepted, []string{"open to who has a route"}},
		{"198.51.100.1 10.0.5.2:91/tcp", Dropped, []string{"does not publish port 91/tcp"}},
		{"198.51.100.1 10.0.5.3:80/tcp", Dropped, []string{"does not publish port 80/tcp"}},
		{"10.0.1.2 10.0.6.2:80/tcp", Accepted, []string{"nat-unprotected"}},
		{"198.51.100.1 10.0.1.2:80/tcp", Dropped, []string{"only published ports of network front"}},
		{"198.51.100.1 10.0.3.2:80/tcp", Dropped, []string{"internal network inner"}},
		{"198.51.100.1 10.0.6.2:80/tcp", Accepted, nil},
		{"198.51.100.1 10.0.8.2:80/tcp", Unknown, []string{"publishes the port: open if the packet comes by eth1 (trusted)"}},
		{"198.51.100.1 10.0.8.2:79/tcp", Dropped, []string{"by eth1 (trusted), and it does not publish port 79/tcp"}},
		{"198.51.100.1 10.0.8.3:80/tcp", Dropped, []string{"it does not publish port 80/tcp"}},
		{"10.0.1.2 10.0.8.2:80/tcp", Dropped, []string{"isolation"}},
		{"host 10.0.1.2:80/tcp", Accepted, []string{"by their bridge"}},
		{"host 10.0.3.2:80/tcp", Accepted, nil},
		{"host 10.0.7.2:80/tcp", Dropped, []string{"mode isolated"}},

		{"10.0.1.2 198.51.100.1:80/tcp", Accepted, []string{"its source becomes an address of the host"}},
		{"10.0.5.2 198.51.100.1:80/tcp", Accepted, []string{"its source stays: mode routed"}},
		{"10.0.9.2 198.51.100.1:80/tcp", Accepted, []string{"enable_ip_masquerade=false"}},
		{"fd00:11::2 [2001:db8:9::1]:80/tcp", Accepted, []string{"in 2001:db8:5::/64 (gangway.ipv6=prefix)"}},
		{"fd00:12::2 [2001:db8:9::1]:80/tcp", Dropped, []string{"no prefix into which network waiting"}},
		{"2001:db8:9::1 [2001:db8:5::2]:80/tcp", Accepted, []string{"translated to [fd00:11::2]:80"}},
		{"2001:db8:9::1 [2001:db8:5::2]:8000/tcp", Unknown, []string{"Gangway is not on the way"}},
		{"2001:db8:9::1 [2001:db8:5::2]:81/tcp", Unknown, []string{"Gangway is not on the way"}},
		{"host [2001:db8:5::2]:80/tcp", Unknown, []string{"it reaches the container at [fd00:11::2]:80"}},
		{"10.0.10.2 198.51.100.1:80/tcp", Unknown, []string{"goes by its gateway (container:vpn) or is dropped"}},
		{"10.0.3.2 198.51.100.1:80/tcp", Dropped, []string{"nothing leaves internal network inner"}},
		{"host 198.51.100.1:80/tcp", Unknown, []string{"not on the way"}},
		{"198.51.100.2 198.51.100.1:80/tcp", Unknown, []string{"not on the way"}},
	}
}

func TestDecide(t *testing.T) {
	s := shop()
	for _, c := range decisions() {
		t.Run(c.flow, func(t *testing.T) {
			d := Decide(s, flow(s, c.flow))
			text := strings.Join(d.Steps, "\n")
			if d.Verdict != c.want || !strings.Contains(d.Steps[len(d.Steps)-1], string(c.want)+": ") {
				t.Errorf("verdict %s, want %s:\n%s", d.Verdict, c.want, text)
			}
			for _, w := range c.words {
				if !strings.Contains(text, w) {
					t.Errorf("no %q in\n%s", w, text)
				}
			}
			if switched := strings.Contains(text, "on one bridge"); switched != d.Switched {
				t.Errorf("switched is %v:\n%s", d.Switched, text)
			}
		})
	}
}

// TestTowards: an address on a shared network comes first, then IPv4, and none of a family
// that the other end lacks.
func TestTowards(t *testing.T) {
	s := shop()
	container := func(name string) (p Party) {
		for _, e := range s.Endpoints {
			if e.ContainerName == name {
				p.Endpoints = append(p.Endpoints, e)
			}
		}
		return p
	}
	both := container("front-b")
	both.Endpoints[0].Addresses = append([]netip.Prefix{netip.MustParsePrefix("fd00::3/64")}, both.Endpoints[0].Addresses...)
	for _, c := range []struct {
		name     string
		from, to Party
		want     string
	}{
		{"on a shared network", container("back-a"), container("front-a"), "10.0.2.9"},
		{"on the other one", container("front-b"), container("front-a"), "10.0.1.2"},
		{"from the host", Party{Host: true}, both, "10.0.1.3"},
		{"from IPv6 outside", Party{Addr: addr("2001:db8::2")}, both, "fd00::3"},
		{"without the family", Party{Addr: addr("2001:db8::2")}, container("front-a"), "invalid IP"},
		{"an address that was given", Party{Host: true}, Party{Addr: addr("10.9.9.9")}, "10.9.9.9"},
	} {
		if got := Towards(c.from, c.to); got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestLikely: the network of the destination comes first.
func TestLikely(t *testing.T) {
	s := shop()
	both := s.At(addr("10.0.2.9"))
	both.Addr = netip.Addr{}
	for to, want := range map[string]string{"10.0.2.3": "10.0.2.9", "10.0.1.3": "10.0.1.2", "198.51.100.1": "10.0.1.2", "fd00::1": "invalid IP"} {
		if got := both.Likely(addr(to)); got.String() != want {
			t.Errorf("to %s from %s, want %s", to, got, want)
		}
	}
	if got := (Party{Addr: addr("198.51.100.1")}).Likely(addr("10.0.1.2")); got.String() != "198.51.100.1" {
		t.Errorf("an address that was given is %s", got)
	}
}

// TestAt: who has an address.
func TestAt(t *testing.T) {
	s := shop()
	if p := s.At(addr("127.0.0.5")); !p.Host {
		t.Errorf("loopback is %+v", p)
	}
	if p := s.At(addr("::ffff:192.0.2.1")); !p.Host {
		t.Errorf("a mapped address of the host is %+v", p)
	}
	p := s.At(addr("10.0.2.9"))
	if len(p.Endpoints) != 2 || p.Sandbox() != "/run/front-a" || !slices.ContainsFunc(p.Endpoints, func(e plugin.Endpoint) bool { return e.NetworkID == "id-front" }) {
		t.Errorf("a container on two networks is %+v", p)
	}
	if p := s.At(addr("10.0.2.200")); !p.outside() || p.Sandbox() != "" {
		t.Errorf("nobody's address is %+v", p)
	}
}
