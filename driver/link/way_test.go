package link_test

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/link"
)

// TestWayFor: what is forwarded and what the host sends have the same way, or they have not.
func TestWayFor(t *testing.T) {
	inside(t, func(f fixture) {
		f.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
		for _, name := range []string{"out", "vpn", "br0"} {
			f.sh("ip link add " + name + " type veth peer name p-" + name)
			f.sh("ip link set p-" + name + " up")
			f.sh("ip link set " + name + " up")
		}
		f.sh("ip addr add 192.0.2.1/24 dev out")
		f.sh("ip addr add 2001:db8::1/64 dev out nodad")
		f.sh("ip addr add 10.9.0.1/24 dev vpn")
		f.sh("ip addr add 10.1.0.1/24 dev br0")
		f.sh("ip addr add fd00:1::1/64 dev br0 nodad")
		f.sh("ip route add default via 192.0.2.2")
		f.sh("ip -6 route add default via 2001:db8::2")
		f.sh("ip route add 198.51.100.0/24 nexthop via 192.0.2.2 nexthop via 10.9.0.2")
		f.sh("ip route add unreachable 203.0.113.0/24")
		f.sh("ip rule add from 10.1.0.3 lookup 100")
		f.sh("ip route add default via 10.9.0.2 table 100")
		br, err := net.InterfaceByName("br0")
		f.ok(err)
		for _, c := range []struct {
			from, to string
			links    []string
			same     bool
		}{
			{"10.1.0.2", "8.8.8.8", []string{"out"}, true}, {"10.1.0.3", "8.8.8.8", []string{"vpn"}, false}, {"10.1.0.2", "198.51.100.7", []string{"out", "vpn"}, true},
			{"fd00:1::2", "2600::1", []string{"out"}, true}, {"10.1.0.2", "10.1.0.9", []string{"br0"}, true},
		} {
			from, to := netip.MustParseAddr(c.from), netip.MustParseAddr(c.to)
			forwarded, err := f.WayFor(t.Context(), br.Index, from, to)
			f.ok(err)
			own, err := f.WayFor(t.Context(), 0, netip.Addr{}, to)
			f.ok(err)
			if !slices.Equal(forwarded.Links, c.links) || (forwarded.Route == own.Route) != c.same {
				t.Errorf("%s to %s: %+v, and the host's own is %+v", c.from, c.to, forwarded, own)
			}
		}
		for _, to := range []string{"203.0.113.9", "192.0.2.1", "2001:db8::1"} {
			if w, err := f.WayFor(t.Context(), br.Index, netip.MustParseAddr(map[bool]string{true: "fd00:1::2", false: "10.1.0.2"}[to[0] == '2' && to[4] == ':']), netip.MustParseAddr(to)); !errors.Is(err, link.ErrNoWay) {
				t.Errorf("%s: %+v (%v)", to, w, err)
			}
		}
	})
}
