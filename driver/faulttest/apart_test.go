package faulttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/model"
)

func hardwareAddr(t *testing.T, link string) net.HardwareAddr {
	t.Helper()
	l, err := netlink.LinkByName(link)
	must(t, err)
	return l.Attrs().HardwareAddr
}

var further, first = "gw-" + network[:9] + "-2", "gw-" + network[:12]

// TestFurtherBridgesApart: with enable_icc=false nothing of a container comes to another one, on whichever bridges they
// are, while each reaches the host, and what the host sends to everybody comes to each once.
func TestFurtherBridgesApart(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		l := newLarge(t, w, map[string]any{"com.docker.network.generic": map[string]any{"com.docker.network.bridge.enable_icc": "false"}}, nil)
		defer l.end(t)
		for _, on := range []string{"0", "1"} {
			bridgeNetfilter(t, on)
			t.Run("br_netfilter="+on, func(t *testing.T) { l.apart(t) })
		}
		w.sound(t, "with packets")
	})
}

func (l *large) apart(t *testing.T) {
	t.Helper()
	for _, from := range containers {
		sockets := l.sockets(t)
		for _, to := range containers {
			_, err := sockets[from].Write(frame(l.boxes[to].mac, l.boxes[from].mac, "for "+to))
			must(t, err)
		}
		_, err := sockets[from].Write(frame(everybody, l.boxes[from].mac, "for all"))
		must(t, err)
		_, err = sockets[from].Write(request(l.boxes[from], largeNetwork.IPv4[0].Gateway.Addr()))
		must(t, err)
		_, err = sockets[from].Write(frame(hardwareAddr(t, first), l.boxes[from].mac, "asked"))
		must(t, err)
		arp := fmt.Sprintf("ARP 1 of %s, %s", l.boxes[from].v4.Addr(), l.boxes[from].mac)
		if counts := heard(t, sockets["host"], "asked"); counts[arp] == 0 || len(texts(counts)) > 0 {
			t.Errorf("the host heard of %s: %v", from, counts)
		}
		for _, text := range []string{"of the host", "last"} {
			_, err = sockets["host"].Write(frame(everybody, hardwareAddr(t, first), text))
			must(t, err)
		}
		for _, to := range containers {
			l.heardOfHost(t, to, from, heard(t, sockets[to], "last"))
		}
	}
	l.asked(t)
}

// heardOfHost wants a container to have heard once what the host has sent to everybody, and nothing of another one.
func (l *large) heardOfHost(t *testing.T, who, other string, counts map[string]int) {
	t.Helper()
	for text := range counts {
		if who != other && strings.Contains(text, l.boxes[other].mac.String()) {
			t.Errorf("%s heard of %s: %s", who, other, text)
		}
	}
	if texts(counts); counts["of the host"] != 1 || who != other && len(counts) != 1 {
		t.Errorf("%s heard of the host: %v", who, counts)
	}
}

// asked has containers that are apart ask the host, and be asked by published ports.
func (l *large) asked(t *testing.T) {
	t.Helper()
	for n, name := range containers {
		b := l.boxes[name]
		if got := b.ask(largeNetwork.IPv4[0].Gateway.Addr(), 7000, patience); got != "host "+b.v4.Addr().String() {
			t.Errorf("%s asks the host: %q", name, got)
		}
		if got := l.boxes["outside"].ask(hostOutside, 8000+n, patience); got != name+" 192.0.2.2" {
			t.Errorf("outside asks %s: %q", name, got)
		}
		next := containers[(n+1)%len(containers)]
		if got := b.ask(hostOutside, 8000+(n+1)%len(containers), patience); !strings.HasPrefix(got, next+" ") {
			t.Errorf("%s asks for the port of %s: %q", name, next, got)
		}
	}
}

// TestHostIsOnTheFirstBridge: who sends to a further bridge's own address does not reach the host, nobody answers there for the
// host's addresses, and nobody can be somebody on another bridge.
func TestHostIsOnTheFirstBridge(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		l := newLarge(t, w, map[string]any{}, nil)
		defer l.end(t)
		for _, on := range []string{"0", "1"} {
			bridgeNetfilter(t, on)
			l.onFirst(t, "br_netfilter="+on)
			l.spoof(t, "br_netfilter="+on)
		}
	})
}

func (l *large) onFirst(t *testing.T, when string) {
	t.Helper()
	c1, gateway := l.boxes["c1"], largeNetwork.IPv4[0].Gateway.Addr()
	socket := l.boxes["c1"].packets(t, "eth0")
	_, err := socket.Write(request(c1, gateway))
	must(t, err)
	answer := fmt.Sprintf("ARP 2 of %s, %s", gateway, hardwareAddr(t, first))
	counts := heard(t, socket, answer)
	_, err = l.boxes["c3"].packets(t, "eth0").Write(frame(everybody, l.boxes["c3"].mac, "last"))
	must(t, err)
	maps.Copy(counts, heard(t, socket, "last"))
	if counts[answer] > 0 {
		t.Errorf("%s: two answers %q", when, answer)
	}
	for text := range counts {
		if strings.Contains(text, hardwareAddr(t, further).String()) {
			t.Errorf("%s: the further bridge says %s", when, text)
		}
	}
	for _, by := range []struct {
		bridge, answer string
		patience       time.Duration
	}{{further, nobody, time.Second}, {first, "host " + c1.v4.Addr().String(), patience}} {
		l.neighbour(t, "c1", gateway, by.bridge)
		for _, a := range []string{"10.0.0.1", "192.0.2.1"} {
			if got := c1.ask(addr(a), 7000, by.patience); !strings.HasPrefix(got, by.answer) {
				t.Errorf("%s: asked %s at bridge %s: %q, want %q", when, a, by.bridge, got, by.answer)
			}
		}
	}
}

// neighbour has a box take a link of the host for who has an address.
func (l *large) neighbour(t *testing.T, box string, who netip.Addr, link string) {
	t.Helper()
	must(t, l.boxes[box].in(func() error {
		eth, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.NeighSet(&netlink.Neigh{LinkIndex: eth.Attrs().Index, IP: who.AsSlice(), State: unix.NUD_PERMANENT, HardwareAddr: hardwareAddrIn(l.boxes["host"], link)})
	}))
}

// spoof has containers send in the name of others.
func (l *large) spoof(t *testing.T, when string) {
	t.Helper()
	sockets := l.sockets(t)
	for _, as := range []string{"c0", "c2", "c3"} {
		for _, to := range []string{"c0", "c2", "c3"} {
			_, err := sockets["c1"].Write(frame(l.boxes[to].mac, l.boxes[as].mac, "as "+as))
			must(t, err)
		}
		_, err := sockets["c1"].Write(frame(everybody, l.boxes[as].mac, "as "+as))
		must(t, err)
	}
	_, err := sockets["c1"].Write(frame(everybody, l.boxes["c1"].mac, "last"))
	must(t, err)
	for _, to := range []string{"c0", "c2", "c3", "host"} {
		if counts := texts(heard(t, sockets[to], "last")); len(counts) > 0 {
			t.Errorf("%s: %s heard %v", when, to, counts)
		}
	}
}

// TestFurtherBridgeHeals: what somebody does to a further bridge, or to what joins it, is gone after one comparison.
func TestFurtherBridgeHeals(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		l := newLarge(t, w, map[string]any{}, nil)
		defer l.end(t)
		near, far, mac := "gt-"+network[:9]+"-2", "gu-"+network[:9]+"-2", l.boxes["c1"].mac.String()
		for _, damage := range []string{
			"ip link del " + near, "ip link del " + further,
			"ip link set " + further + " down", "ip link set " + near + " down", "ip link set " + far + " down",
			"ip link set " + near + " nomaster", "ip link set " + far + " nomaster", "ip link set " + near + " master " + further,
			"tc qdisc del dev " + further + " ingress", "tc qdisc del dev " + near + " ingress",
			"ip link set " + near + " address 02:00:00:00:00:99", "ip link set " + near + " mtu 1400", "ip link set " + far + " mtu 1400",
			"ip link set " + further + " group 0", "ip link set " + further + " group " + fmt.Sprint(groupOf(t, first)), "ip link set " + far + " alias ''",
			"bridge link set dev " + near + " hairpin on", "bridge link set dev " + far + " isolated on", "bridge link set dev gv-" + containerID(1)[:12] + " isolated on",
			"bridge fdb del " + mac + " dev " + near + " master",
			"ip link set " + further + " down; ip link set " + further + " name other; ip link set other up",
			"ip link set " + near + " down; ip link set " + near + " name other; ip link set other up",
			"echo 0 >/proc/sys/net/ipv6/conf/" + further + "/disable_ipv6",
			"ip link del " + first,
		} {
			sh(t, damage)
			if n := w.Reconcile(t.Context()); n == 0 {
				t.Errorf("%s: nothing was repaired", damage)
			}
			w.sound(t, damage)
			must(t, l.boxes["c1"].in(forgetNeighbours)) // a new bridge has another hardware address
			for _, to := range []string{"c0", "c2", "c3"} {
				if got := l.boxes["c1"].ask(l.boxes[to].v4.Addr(), 80, patience); got != to+" 10.0.0.11" {
					t.Errorf("%s: c1 asks %s: %q", damage, to, got)
				}
			}
			if got := l.boxes["c1"].ask(hostOutside, 8002, patience); !strings.HasPrefix(got, "c2 ") {
				t.Errorf("%s: c1 asks for the port of c2: %q", damage, got)
			}
		}
	})
}

// furtherVerbs are those by which a further bridge comes and goes.
func furtherVerbs() []verb {
	r := containerRequest(1)
	start := func(ctx context.Context, w *world) error {
		_, err := w.CreateEndpoint(ctx, r)
		return err
	}
	enter := func(ctx context.Context, w *world) error {
		_, err := w.Join(ctx, network, r.EndpointID, "/netns/1", nil)
		return err
	}
	exit := func(ctx context.Context, w *world) error { return w.Leave(ctx, network, r.EndpointID) }
	stop := func(ctx context.Context, w *world) error { return w.DeleteEndpoint(ctx, network, r.EndpointID) }
	again := func(ctx context.Context, w *world) error {
		return errors.Join(exit(ctx, w), stop(ctx, w), start(ctx, w))
	}
	return []verb{
		{"create endpoint on a further bridge", start, stop, false},
		{"join on a further bridge", enter, again, false},
		{"leave a further bridge", exit, enter, true},
	}
}

// TestFurtherBridgeFaults fails, loses the answer of, and kills every operation by which a further bridge comes and goes.
func TestFurtherBridgeFaults(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		must(t, w.CreateNetwork(t.Context(), largeNetwork))
		(&large{world: w}).fill(t, model.BridgeRoom)
		for i, v := range furtherVerbs() {
			before, after := both(t, w, v)
			for n := 1; ; n += stride() {
				w.faults.set(n, fails, 0)
				err := v.run(t.Context(), w)
				what, hit := w.faults.hit()
				w.faults.set(0, fails, 0)
				if !hit {
					do(t, w, "back from "+v.name, v.back)
					break
				}
				at := fmt.Sprintf("%s, fault %d at %s", v.name, n, what)
				if !errors.Is(err, errInjected) {
					t.Fatalf("%s: %v", at, err)
				}
				recovers(t, w, v, at, before, after)
				do(t, w, "back from "+v.name, v.back)
			}
			for n, hit := 1, true; hit; n += stride() {
				w.close()
				hit = die(t, job{backend, dir, len(verbs()) + i, n, 0})
				w = mustOpen(t, backend, dir)
				at := fmt.Sprintf("%s, killed at operation %d", v.name, n)
				w.sound(t, at)
				if hit {
					do(t, w, at+", repeated", v.run)
					same(t, at+": repeated", after, w.picture(t))
				}
				do(t, w, "back from "+v.name, v.back)
			}
			do(t, w, v.name, v.run)
		}
		if strings.Contains(w.picture(t), further) {
			t.Errorf("the further bridge is there after the last container left")
		}
	})
}

// doomable are the verbs in which a process can be killed.
func doomable() []verb { return slices.Concat(verbs(), furtherVerbs()) }
