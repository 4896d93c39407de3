package link_test

import (
	"context"
	"testing"

	"github.com/vishvananda/netns"

	"github.com/gangway-net/gangway/driver/spec"
)

// TestUplinkMTU: what counts is the default route that the kernel takes, and what it says itself.
func TestUplinkMTU(t *testing.T) {
	inside(t, func(f fixture) {
		want := func(when string, mtu int) {
			t.Helper()
			if got, err := f.UplinkMTU(context.Background()); err != nil || got != mtu {
				t.Errorf("%s: %d, %v, want %d", when, got, err, mtu)
			}
		}
		want("without any link", 0)
		for _, line := range []string{
			"ip link add eth0 mtu 1400 type veth peer name far0", "ip link add eth1 mtu 9000 type veth peer name far1",
			"ip link set eth0 up", "ip link set eth1 up", "ip link set far0 up", "ip link set far1 up",
			"ip address add 192.0.2.1/24 dev eth0", "ip address add 198.51.100.1/24 dev eth1", "ip address add 2001:db8::1/64 dev eth1 nodad",
			"ip route add 10.0.0.0/8 via 192.0.2.9",
		} {
			f.sh(line)
		}
		want("without a default route", 0)
		f.sh("ip -6 route add default via 2001:db8::9 dev eth1")
		want("with IPv6 alone", 9000)
		f.sh("ip route add default via 192.0.2.9 metric 100")
		want("with both", 1400)
		f.sh("ip route add default via 198.51.100.9 metric 50")
		want("with a nearer one", 9000)
		f.sh("ip route change default via 198.51.100.9 metric 50 mtu 1380")
		want("with a route that says it", 1380)
		f.sh("ip route del default metric 50")
		f.sh("ip route add default metric 20 nexthop via 192.0.2.9 nexthop via 198.51.100.9")
		want("by two ways", 1400)
		f.sh("ip route add blackhole default metric 10")
		want("beside one that leads nowhere", 1400)
		f.sh("ip link set eth0 mtu 1280")
		want("once the link takes less", 1280)
	})
}

// TestVethFollows: a new pair that follows has the MTU of its spec, or its bridge's if that is not
// known; one that is in a container keeps what it has.
func TestVethFollows(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		v.Follows, v.MTU = true, 0
		f.sh("ip link set br0 mtu 1380")
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.contains(f.sh("ip link show dev "+v.Host), "mtu 1380")
		f.ok(f.DeleteVeth(context.Background(), v))
		v.MTU = 1350
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.contains(f.sh("ip link show dev "+v.Host)+f.sh("ip link show dev "+v.Peer), "mtu 1350")
		moved(f, v, func(netns.NsHandle) {
			v.MTU = 1300
			f.ensureVeth(v)
			f.contains(f.sh("ip link show dev "+v.Host), "mtu 1350")
			check, err := f.Check(context.Background(), spec.Scope{All: true}, nil, []spec.Veth{v})
			if f.ok(err); check.Amiss[v.EndpointID] {
				t.Error("a pair that keeps its MTU is amiss")
			}
		})
	})
}
