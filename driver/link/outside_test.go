package link_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/spec"
)

// hostLinks is a host of every kind: the end of a VM's or a container's link in bridges
// of others, uplinks that are bridges under whatever name, and what is gangway's.
const hostLinks = `ip link set lo up
ip link add eth0 type veth peer name far0
ip link add veth9 type veth peer name eth9
ip link add eth1 type veth peer name far1
ip link add docker0 type bridge
ip link add priv0 type bridge
ip link add br-lan type bridge
ip link add br-ex type bridge
ip link add tun-site type vxlan id 7 dstport 0
ip link add lxdbr0 type bridge
ip link add gw-0123 group 18263 type bridge
ip link set eth0 up
ip link set far0 up
ip link set veth9 up
ip link set eth9 up
ip link set veth9 master docker0
ip link set priv0 up
ip link set lxdbr0 up
ip link add tap-off type vxlan id 8 dstport 0
ip link set tun-site master lxdbr0
ip link set eth1 master br-lan
ip link add link far1 name card type macvlan
ip link set card master br-ex
ip link set br-lan up
ip link set eth1 up
ip link set far1 up
ip addr add 192.0.2.1/24 dev br-lan
ip link set br-ex up
ip link set docker0 up
ip addr add 172.17.0.1/16 dev docker0
ip route add 10.77.0.0/16 via 172.17.0.9`

// TestOutside: what leads outside is told by what a link is, and by routes, never by a
// name. A route to a network behind a container makes no uplink of its bridge.
func TestOutside(t *testing.T) {
	inside(t, func(f fixture) {
		for line := range strings.Lines(hostLinks) {
			f.sh(line)
		}
		all := func(bridges ...string) []spec.Outside {
			var list []spec.Outside
			for _, name := range []string{"br-ex", "br-lan", "eth0", "eth9", "far0", "far1"} {
				bridge := name[0] == 'b'
				if bridge && !slices.Contains(bridges, name) {
					continue
				}
				list = append(list, spec.Outside{Name: name, Bridge: bridge})
			}
			return list
		}
		f.outside(all("br-ex"))
		f.sh("ip route add default via 192.0.2.9")
		f.outside(all("br-ex", "br-lan"))
		f.sh("ip route del default")
		f.sh("ip route add 0.0.0.0/1 via 192.0.2.9 table 7")
		f.outside(all("br-ex", "br-lan"))
		f.sh("ip route flush table 7")
		f.sh("ip addr add 2001:db8::1/64 dev br-lan nodad")
		f.sh("ip -6 route add default via 2001:db8::9")
		f.outside(all("br-ex", "br-lan"))
		f.sh("ip -6 route del default")
		// Whoever sits on the bridge may have sent this one.
		f.sh("ip -6 route add default via 2001:db8::9 proto ra")
		f.outside(all("br-ex"))
		f.sh("ip link set card nomaster")
		f.sh("ip link del card")
		f.outside(all())
	})
}

// outside compares what leads outside.
func (f fixture) outside(want []spec.Outside) {
	f.t.Helper()
	got, err := f.Outside(context.Background())
	if d := cmp.Diff(want, got); d != "" || err != nil {
		f.t.Errorf("%v (-want +got):\n%s", err, d)
	}
}
