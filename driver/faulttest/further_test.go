package faulttest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/model"
)

// large is a network of three bridges: c0 is on the first, c1 and c2 on the second, c3 on the third. The other
// places are taken by endpoints in no container.
type large struct {
	*world
	boxes map[string]*box
	// ends are what ends with it.
	ends []func()
	// fillers is how many of these there are.
	fillers int
	// own are the options of single containers.
	own map[int]config.EndpointOptions
}

var largeNetwork = driver.CreateNetworkRequest{
	ID:   network,
	IPv4: []driver.PoolData{{Subnet: netip.MustParsePrefix("10.0.0.0/16"), Gateway: netip.MustParsePrefix("10.0.0.1/16")}},
	IPv6: []driver.PoolData{{Subnet: netip.MustParsePrefix("fd00:0:0:1::/64"), Gateway: netip.MustParsePrefix("fd00:0:0:1::1/64")}},
}

func containerID(n int) string { return fmt.Sprintf("c%d%014d", n, 0) }

func containerRequest(n int) driver.CreateEndpointRequest {
	return driver.CreateEndpointRequest{
		NetworkID: network, EndpointID: containerID(n),
		IPv4: netip.MustParsePrefix(fmt.Sprintf("10.0.0.1%d/16", n)),
		IPv6: netip.MustParsePrefix(fmt.Sprintf("fd00:0:0:1::1%d/64", n)),
	}
}

// fill takes places on the network.
func (l *large) fill(t *testing.T, places int) {
	t.Helper()
	for range places {
		l.fillers++
		_, err := l.CreateEndpoint(t.Context(), driver.CreateEndpointRequest{
			NetworkID: network, EndpointID: fmt.Sprintf("%08dffffffff", l.fillers),
			IPv4: netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/16", 1+l.fillers/200, 1+l.fillers%200)),
		})
		must(t, err)
	}
}

// start starts a container that publishes its port 80.
func (l *large) start(t *testing.T, n int) {
	t.Helper()
	l.enter(t, n)
	must(t, l.Publish(t.Context(), network, containerID(n), ports(8000+n, 80)))
}

// enter starts a container that serves at its port 80.
func (l *large) enter(t *testing.T, n int) {
	t.Helper()
	r := containerRequest(n)
	r.Options = l.own[n]
	_, err := l.CreateEndpoint(t.Context(), r)
	must(t, err)
	_, err = l.Join(t.Context(), network, r.EndpointID, "/netns/"+r.EndpointID, nil)
	must(t, err)
	b := newBox(t, fmt.Sprintf("c%d", n), "gp-"+r.EndpointID[:12], r.IPv4, r.IPv6, largeNetwork.IPv4[0].Gateway.Addr(), largeNetwork.IPv6[0].Gateway.Addr())
	l.ends = append(l.ends, b.serve(t, 80))
	l.boxes[b.name] = b
}

// end takes away what is outside of the network.
func (l *large) end(t *testing.T) {
	t.Helper()
	for _, end := range l.ends {
		end()
	}
	bridgeNetfilter(t, "1")
	sh(t, "ip link del up0; for c in iptables ip6tables; do $c -P FORWARD ACCEPT; done")
}

// newLarge makes the network, with a host outside, and with options of single containers.
func newLarge(t *testing.T, w *world, options map[string]any, own map[int]config.EndpointOptions) *large {
	t.Helper()
	l := &large{world: w, boxes: map[string]*box{"host": hostBox(t)}, own: own}
	sh(t, `ip link add up0 up type veth peer name out0
		ip address add 192.0.2.1/24 dev up0; ip address add 2001:db8::1/64 dev up0 nodad
		for c in iptables ip6tables; do $c -P FORWARD DROP; done`)
	l.boxes["outside"] = newBox(t, "outside", "out0", netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64"))
	l.ends = append(l.ends, l.boxes["outside"].serve(t, 80), l.boxes["host"].serve(t, 7000))
	r := largeNetwork
	r.Options = options
	must(t, w.CreateNetwork(t.Context(), r))
	l.start(t, 0)
	l.fill(t, model.BridgeRoom-1)
	l.start(t, 1)
	l.start(t, 2)
	l.fill(t, model.BridgeRoom-2)
	l.start(t, 3)
	w.Reconcile(t.Context())
	return l
}

func bridgeNetfilter(t *testing.T, on string) {
	t.Helper()
	for _, name := range []string{"iptables", "ip6tables"} {
		must(t, os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-"+name, []byte(on), 0))
	}
}

// TestFurtherBridges: containers of a network with three bridges reach each other, the host, what is outside and published
// ports as on one bridge, with and without br_netfilter, wherever they are; and nobody twice.
func TestFurtherBridges(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		l := newLarge(t, w, map[string]any{}, nil)
		defer l.end(t)
		l.places(t)
		for _, on := range []string{"0", "1"} {
			bridgeNetfilter(t, on)
			t.Run("br_netfilter="+on, func(t *testing.T) {
				l.reach(t)
				l.flood(t)
			})
		}
		l.silent(t)
		w.sound(t, "with packets")
	})
}

// silent wants the third bridge not to take a container that has sent nothing yet for one behind the pair that joins it to
// the first: it would pass on nothing to it that comes from there.
func (l *large) silent(t *testing.T) {
	t.Helper()
	r := containerRequest(5)
	_, err := l.CreateEndpoint(t.Context(), r)
	must(t, err)
	_, err = l.Join(t.Context(), network, r.EndpointID, "/netns/"+r.EndpointID, nil)
	must(t, err)
	mac := hardwareAddr(t, "gp-"+r.EndpointID[:12])
	far, err := netlink.LinkByName("gu-" + network[:9] + "-3")
	must(t, err)
	known, err := netlink.NeighList(far.Attrs().Index, unix.AF_BRIDGE)
	must(t, err)
	for _, k := range known {
		if k.HardwareAddr.String() == mac.String() {
			t.Errorf("%s takes %s, which has not sent anything, for one behind port %s", "gw-"+network[:9]+"-3", mac, far.Attrs().Name)
		}
	}
	must(t, l.Leave(t.Context(), network, r.EndpointID))
	must(t, l.DeleteEndpoint(t.Context(), network, r.EndpointID))
}

// places compares where the pairs are.
func (l *large) places(t *testing.T) {
	t.Helper()
	for n, want := range []string{"gw-" + network[:12], "gw-" + network[:9] + "-2", "gw-" + network[:9] + "-2", "gw-" + network[:9] + "-3"} {
		link, err := netlink.LinkByName("gv-" + containerID(n)[:12])
		must(t, err)
		bridge, err := netlink.LinkByIndex(link.Attrs().MasterIndex)
		must(t, err)
		if got := bridge.Attrs().Name; got != want {
			t.Errorf("container %d is on bridge %s, want %s", n, got, want)
		}
	}
}

const patience = 5 * time.Second

var containers = []string{"c0", "c1", "c2", "c3"}

func (l *large) reach(t *testing.T) {
	t.Helper()
	host4, host6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	missed := 0
	want := func(from string, to netip.Addr, port int, answer string) {
		t.Helper()
		got := l.boxes[from].ask(to, port, patience)
		if strings.HasPrefix(got, answer) {
			return
		}
		t.Errorf("%s asks %s port %d: %q, want %q", from, to, port, got, answer)
		if missed++; missed > 3 {
			t.Fatal("and so on") // each of them waits
		}
	}
	for _, from := range containers {
		b := l.boxes[from]
		for n, to := range containers {
			if from != to {
				want(from, l.boxes[to].v4.Addr(), 80, to+" "+b.v4.Addr().String())
				want(from, l.boxes[to].v6.Addr(), 80, to+" "+b.v6.Addr().String())
			}
			want(from, host4, 8000+n, to+" ")
			want(from, host6, 8000+n, to+" ")
		}
		want(from, host4, 7000, "host "+b.v4.Addr().String())
		want(from, host6, 7000, "host "+b.v6.Addr().String())
		want(from, l.boxes["outside"].v4.Addr(), 80, "outside 192.0.2.1")
		want(from, l.boxes["outside"].v6.Addr(), 80, "outside 2001:db8::1")
	}
	for n, to := range containers {
		want("host", l.boxes[to].v4.Addr(), 80, to+" 10.0.0.1")
		want("host", l.boxes[to].v6.Addr(), 80, to+" fd00:0:0:1::1")
		want("outside", host4, 8000+n, to+" 192.0.2.2")
		want("outside", host6, 8000+n, to+" 2001:db8::2")
	}
}

// sockets are those of all containers, and of the host on the first bridge.
func (l *large) sockets(t *testing.T) map[string]*os.File {
	t.Helper()
	all := map[string]*os.File{"host": l.boxes["host"].packets(t, "gw-"+network[:12])}
	for _, name := range containers {
		all[name] = l.boxes[name].packets(t, "eth0")
	}
	return all
}

// flood has each container send to everybody, and each other one hear it once; what is for one of them
// comes to that one alone.
func (l *large) flood(t *testing.T) {
	t.Helper()
	for _, from := range containers {
		sockets := l.sockets(t)
		send := func(to net.HardwareAddr, text string) {
			t.Helper()
			_, err := sockets[from].Write(frame(to, l.boxes[from].mac, text))
			must(t, err)
		}
		for _, to := range containers {
			send(l.boxes[to].mac, "for "+to)
		}
		send(everybody, "for all")
		send(everybody, "last")
		for _, to := range append(containers, "host") {
			if to == from {
				continue
			}
			want := map[string]int{"for all": 1, "for " + to: 1}
			delete(want, "for host")
			if counts := texts(heard(t, sockets[to], "last")); fmt.Sprint(counts) != fmt.Sprint(want) {
				t.Errorf("%s heard of %s: %v, want %v", to, from, counts, want)
			}
		}
	}
}

// texts are the counts without ARP.
func texts(counts map[string]int) map[string]int {
	for text := range counts {
		if strings.HasPrefix(text, "ARP") {
			delete(counts, text)
		}
	}
	return counts
}
