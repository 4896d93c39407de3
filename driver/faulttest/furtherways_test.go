package faulttest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/integration/testkit"
)

// generic are options of a network.
func generic(pairs map[string]any) map[string]any {
	return map[string]any{"com.docker.network.generic": pairs}
}

// The world is what the gateway answers for in the place of what is behind a tunnel. The host outside has it as well, and hears
// what leaves past the gateway.
var world4, world6 = addr("198.51.100.7"), addr("2001:db8:99::7")

// TestFurtherBridgeGateway: a gateway on a further bridge carries what containers of all bridges send outside, in both families, with
// their own addresses; and nothing leaves without it.
func TestFurtherBridgeGateway(t *testing.T) {
	gateway := containerRequest(2)
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		l := newLarge(t, w, generic(map[string]any{"gangway.gateway": gateway.IPv4.Addr().String()}), nil)
		defer l.end(t)
		l.within(t, "outside", "ip address add 198.51.100.7/32 dev lo; ip address add 2001:db8:99::7/128 dev lo nodad")
		sh(t, "ip route add 198.51.100.0/24 via 192.0.2.2; ip route add 2001:db8:99::/64 via 2001:db8::2")
		l.within(t, "c2", "ip address add 198.51.100.7/32 dev lo; ip address add 2001:db8:99::7/128 dev lo nodad; echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce")
		// An IPv6 address becomes the kernel's own a while after it is given. Until then the gateway says that it has no route.
		testkit.Eventually(t, "the gateway is the world", func() bool {
			return strings.HasPrefix(l.boxes["c2"].ask(world4, 80, patience), "c2 ") && strings.HasPrefix(l.boxes["c2"].ask(world6, 80, patience), "c2 ")
		})
		for _, on := range []string{"0", "1"} {
			bridgeNetfilter(t, on)
			l.hidden(t, "br_netfilter="+on, "c2")
		}
		must(t, w.Leave(t.Context(), network, gateway.EndpointID))
		l.hidden(t, "without the gateway", "")
		w.sound(t, "with packets")
		// The same of who is not behind it: what leaves is heard.
		leak := l.boxes["outside"].packets(t, "eth0")
		if got := l.boxes["host"].ask(world4, 80, patience); got != "outside 192.0.2.1" || leaked(t, l, leak) == 0 {
			t.Errorf("the host asks the world: %q, and nothing of it is heard outside", got)
		}
	})
}

// within runs a script in a box.
func (l *large) within(t *testing.T, box, script string) {
	t.Helper()
	must(t, l.boxes[box].in(func() error {
		out, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("in %s: %s: %w: %s", box, script, err, out)
		}
		return err
	}))
}

// hidden has containers ask the world, which answers by the gateway; nobody is where it is not there.
func (l *large) hidden(t *testing.T, when, gateway string) {
	t.Helper()
	leak := l.boxes["outside"].packets(t, "eth0")
	for _, from := range []string{"c0", "c1", "c3"} {
		b := l.boxes[from]
		for to, own := range map[netip.Addr]netip.Addr{world4: b.v4.Addr(), world6: b.v6.Addr()} {
			want, wait := gateway+" "+own.String(), patience
			if gateway == "" {
				want, wait = nobody, 500*time.Millisecond
			}
			if got := b.ask(to, 80, wait); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s asks %s: %q, want %q", when, from, to, got, want)
			}
		}
		if got := b.ask(l.boxes["c0"].v4.Addr(), 80, patience); from != "c0" && got != "c0 "+b.v4.Addr().String() {
			t.Errorf("%s: %s asks c0: %q", when, from, got)
		}
		// Past the gateway there is nothing, though the way is known.
		if got := b.ask(l.boxes["outside"].v4.Addr(), 80, 300*time.Millisecond); !strings.HasPrefix(got, nobody) {
			t.Errorf("%s: %s asks outside: %q", when, from, got)
		}
	}
	if n := leaked(t, l, leak); n != 0 {
		t.Errorf("%s: %d packets came by the LAN", when, n)
	}
	if gateway != "" {
		if got := l.boxes[gateway].ask(l.boxes["outside"].v4.Addr(), 80, patience); got != "outside 192.0.2.1" {
			t.Errorf("%s: the gateway asks outside: %q", when, got)
		}
	}
}

// leaked counts what has come to the host outside of connections to port 80.
func leaked(t *testing.T, l *large, socket *os.File) (n int) {
	t.Helper()
	_, err := l.boxes["host"].packets(t, "up0").Write(frame(everybody, hardwareAddr(t, "up0"), "last"))
	must(t, err)
	must(t, socket.SetReadDeadline(time.Now().Add(10*time.Second)))
	for buf := make([]byte, 1<<16); ; {
		size, err := socket.Read(buf)
		must(t, err)
		f, at := buf[:size], 0
		switch {
		case textOf(f) == "last":
			return n
		case size > 54 && f[12] == 8 && f[13] == 0 && f[23] == unix.IPPROTO_TCP:
			at = 14 + int(f[14]&15)*4
		case size > 74 && f[12] == 0x86 && f[13] == 0xdd && f[20] == unix.IPPROTO_TCP:
			at = 14 + 40
		}
		if at > 0 && binary.BigEndian.Uint16(f[at+2:]) == 80 {
			n++
		}
	}
}

// TestFurtherBridgeLAN: containers on a further bridge are machines of the LAN as those on the first: its machines reach them and
// are reached, with their own addresses, and what is for everybody comes to each once; the host is not reached by the further bridge.
func TestFurtherBridgeLAN(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		l := newLargeOnLAN(t, w)
		defer l.end(t)
		for _, on := range []string{"0", "1"} {
			bridgeNetfilter(t, on)
			l.onLAN(t, "br_netfilter="+on)
		}
		w.sound(t, "with packets")
	})
}

// newLargeOnLAN makes a network with an uplink; its router is a box, c0, which watches, is on the first bridge, and c1 and c2 on the second.
func newLargeOnLAN(t *testing.T, w *world) *large {
	t.Helper()
	l := &large{world: w, boxes: map[string]*box{"host": hostBox(t)}, own: map[int]config.EndpointOptions{0: watches}}
	sh(t, `ip link add lan0 type veth peer name lan1; ip link add up0 up type veth peer name out0; ip address add 192.0.2.1/24 dev up0
		for c in iptables ip6tables; do $c -P FORWARD DROP; done`)
	l.ends = append(l.ends, func() { sh(t, "ip link del lan0") }, l.boxes["host"].serve(t, 7000))
	r := largeNetwork
	r.Options = generic(map[string]any{"gangway.uplink": "lan0"})
	must(t, w.CreateNetwork(t.Context(), r))
	// A bridge that is down asks nobody whether he has an address, which takes a quarter of a second for each.
	sh(t, "ip link set "+first+" down")
	l.fill(t, model.BridgeRoom-1)
	w.Reconcile(t.Context())
	router := newBox(t, "router", "lan1", largeNetwork.IPv4[0].Gateway, largeNetwork.IPv6[0].Gateway)
	l.boxes["router"] = router
	l.ends = append(l.ends, router.serve(t, 80))
	for n := range 3 {
		l.enter(t, n)
	}
	w.Reconcile(t.Context())
	sh(t, "ip route add 10.0.0.0/16 dev "+first) // by which the host would answer
	return l
}

func (l *large) onLAN(t *testing.T, when string) {
	t.Helper()
	all := []string{"c0", "c1", "c2"}
	want := func(from, to string) {
		t.Helper()
		a, b := l.boxes[from], l.boxes[to]
		for to, want := range map[netip.Addr]string{b.v4.Addr(): b.name + " " + a.v4.Addr().String(), b.v6.Addr(): b.name + " " + a.v6.Addr().String()} {
			if got := a.ask(to, 80, patience); got != want {
				t.Errorf("%s: %s asks %s: %q, want %q", when, from, to, got, want)
			}
		}
	}
	for _, c := range all {
		want("router", c)
		want(c, "router")
		for _, other := range all {
			if other != c {
				want(c, other)
			}
		}
		// The first bridge is closed by the table of policies, which is not here; the further one by itself.
		l.within(t, c, "ip route replace 192.0.2.1 dev eth0")
		l.neighbour(t, c, hostOutside, further)
		if got := l.boxes[c].ask(hostOutside, 7000, 300*time.Millisecond); !strings.HasPrefix(got, nobody) {
			t.Errorf("%s: %s asks the host by the further bridge: %q", when, c, got)
		}
	}
	l.lanHears(t, when, append(all, "router"))
}

// lanHears has each send to everybody, and to one other across the uplink. Who watches, c0, sees what containers send, and not what comes
// from the LAN.
func (l *large) lanHears(t *testing.T, when string, all []string) {
	t.Helper()
	for _, from := range all {
		sockets := map[string]*os.File{}
		for _, name := range all {
			sockets[name] = l.boxes[name].packets(t, "eth0")
		}
		across := "router"
		if from == across {
			across = "c2"
		}
		for text, to := range map[string]net.HardwareAddr{"for one": l.boxes[across].mac, "for all": everybody} {
			_, err := sockets[from].Write(frame(to, l.boxes[from].mac, text))
			must(t, err)
		}
		_, err := sockets[from].Write(frame(everybody, l.boxes[from].mac, "last"))
		must(t, err)
		for to, socket := range sockets {
			want := map[string]int{"for all": 1}
			if to == across || to == "c0" && from != "router" {
				want["for one"] = 1
			}
			if to == from {
				continue
			}
			if got := texts(heard(t, socket, "last")); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %s heard of %s: %v, want %v", when, to, from, got, want)
			}
		}
	}
}
