package hostport

import (
	"context"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/nstest"
)

// published is what the requests stand for where they can be had.
func published(want ...spec.PortRequest) (runs []spec.Published) {
	for _, w := range want {
		for _, ip := range w.HostIPs {
			to := targetOf(&w, ip)
			runs = append(runs, spec.Published{Proto: w.Proto, HostIP: ip, First: w.First, Last: w.First, ContainerIP: to.ip, ContainerFirst: to.port})
		}
	}
	return spec.Coalesce(runs)
}

func lacking(m *Manager, runs []spec.Published) bool {
	return len(m.Lacking([]spec.HostPorts{portsOf(ownerA, runs)})) > 0
}

// What can be held is, with its relays; the rest is named, and held as soon as it can
// be.
func TestHold(t *testing.T) {
	m := manager(t)
	late := netip.MustParseAddr("127.7.0.1")
	lateOnly := netip.MustParseAddr("10.98.7.1")
	serveTCP(t, cont4, 90, echoTCP)
	want := []spec.PortRequest{
		only4(ask(8080, 8080, 90, any4, any6)), only4(ask(8081, 8081, 90, any4, any6)),
		ask(8082, 8082, 90, late), ask(8083, 8083, 90, lateOnly), ask(8084, 8084, 90, lateOnly),
		proto(spec.UDP, ask(8080, 8080, 90, any4, any6)),
	}
	runs := published(want...)
	pid := foreign(t, "tcp4", "127.0.0.1:8080")
	if !lacking(m, runs) {
		t.Error("nothing is held, and nothing is lacking")
	}
	held, unheld, _ := m.Hold(context.Background(), portsOf(ownerA, runs))
	if len(unheld) != 2 || !strings.HasPrefix(unheld[0], "published port tcp 0.0.0.0:8080 is not held: ") ||
		!strings.Contains(unheld[0], "(pid ") || !strings.HasPrefix(unheld[1], "published port tcp 10.98.7.1:8083-8084 is not held: ") {
		t.Errorf("not held:\n%s\nwant tcp 0.0.0.0:8080 by pid %d, and 10.98.7.1:8083-8084", strings.Join(unheld, "\n"), pid)
	}
	if len(held) == 0 || !lacking(m, runs) {
		t.Errorf("held %v, lacking %v", held, lacking(m, runs))
	}
	for _, addr := range []string{"[::1]:8080", "[::1]:8081"} {
		if got := exchange(t, addr, "x"); got != "x" {
			t.Errorf("relay at %s answers %q", addr, got)
		}
	}
	addAddress(t, lateOnly)
	if held, unheld, _ = m.Hold(context.Background(), portsOf(ownerA, runs)); len(unheld) != 1 || !reflect.DeepEqual(held, []string{"published port tcp 10.98.7.1:8083-8084"}) {
		t.Errorf("with the address: held %v, not held %v", held, unheld)
	}
	if bindable(key{lateOnly, 8083, spec.TCP}) {
		t.Error("the port is free")
	}
}

func addAddress(t *testing.T, a netip.Addr) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	addr := &netlink.Addr{IPNet: netlink.NewIPNet(a.AsSlice())}
	if err := netlink.AddrAdd(lo, addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.AddrDel(lo, addr) })
}

// Each loss is noticed and mended, and what is held beyond is given up.
func TestLacking(t *testing.T) {
	want := []spec.PortRequest{only4(ask(8080, 8080, 90, any4, any6)), proto(spec.UDP, ask(8081, 8081, 90, any4, any6)), ask(8082, 8082, 90, host6)}
	runs := published(want...)
	for name, damage := range map[string]func(t *testing.T, m *Manager){
		"a port": func(t *testing.T, m *Manager) { m.Trim(portsOf(ownerA, runs[1:])) },
		"a lost descriptor": func(t *testing.T, m *Manager) {
			// Somebody takes the port while twins part.
			m.mu.Lock()
			defer m.mu.Unlock()
			s := m.book.find(ownerA, key{any4, 8080, spec.TCP})
			m.drop(s)
			m.finishDrops()
			one := m.book.find(ownerA, key{any6, 8080, spec.TCP})
			one.endRelay()
			one.lost = true
			closeAll([]int{one.fd})
			m.fds.sockets(-1)
		},
		"a relay": func(t *testing.T, m *Manager) {
			m.mu.Lock()
			defer m.mu.Unlock()
			s := m.book.find(ownerA, key{any6, 8081, spec.UDP})
			s.stop(m.relays)
			s.target = target{}
		},
		"another target": func(t *testing.T, m *Manager) {
			reserve(t, m, ownerA, ask(8082, 8082, 91, host6))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := manager(t)
			serveTCP(t, cont4, 90, echoTCP)
			if _, unheld, _ := m.Hold(context.Background(), portsOf(ownerA, runs)); len(unheld) > 0 || lacking(m, runs) {
				t.Fatalf("at first: not held %v, lacking %v", unheld, lacking(m, runs))
			}
			files := held(m)
			damage(t, m)
			if !lacking(m, runs) {
				t.Error("not noticed")
			}
			if got, unheld, _ := m.Hold(context.Background(), portsOf(ownerA, runs)); len(got) == 0 || len(unheld) > 0 || lacking(m, runs) {
				t.Errorf("held %v, not held %v, lacking %v", got, unheld, lacking(m, runs))
			}
			m.Trim(portsOf(ownerA, runs))
			if got := exchange(t, "[::1]:8080", "x"); got != "x" || lacking(m, runs) {
				t.Errorf("relay answers %q, lacking %v", got, lacking(m, runs))
			}
			m.Trim(portsOf(ownerA, nil))
			if n := held(m); n != 0 {
				t.Errorf("%d descriptors are counted after the release, %d before", n, files)
			}
		})
	}
	m := manager(t)
	reserve(t, m, ownerB, ask(8080, 8080, 90, any4))
	if got := m.Lacking(nil); !reflect.DeepEqual(got, []string{ownerB}) {
		t.Errorf("an owner that is not known: %v", got)
	}
}

func disableIPv6(t *testing.T, value string) {
	t.Helper()
	for _, link := range []string{"all", "default", "lo"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+link+"/disable_ipv6", []byte(value), 0); err != nil {
			t.Error(err)
		}
	}
}

// IPv6 may go and come back at any time. A port on all of its addresses is not missed
// meanwhile, one on a certain address is.
func TestIPv6GoesAndComes(t *testing.T) {
	nstest.Do(t, func() {
		m := newManager(quiet(), defaultLimits(10000), anyLink{})
		defer m.Close()
		got, err := m.Reserve(context.Background(), ownerA, []spec.PortRequest{ask(8080, 8080, 80, any4, any6)})
		if err != nil || len(got) != 2 || !m.IPv6() {
			t.Errorf("with IPv6: %v, %v", got, err)
		}
		disableIPv6(t, "1")
		if got, err = m.Reserve(context.Background(), ownerB, []spec.PortRequest{ask(8081, 8081, 80, any4, any6)}); err != nil || len(got) != 1 || m.IPv6() {
			t.Errorf("without IPv6: %v, %v", got, err)
		}
		want := []spec.PortRequest{ask(8082, 8082, 80, any4, any6), ask(8083, 8083, 80, loopback6)}
		runs := published(want...)
		_, unheld, _ := m.Hold(context.Background(), portsOf("c", runs))
		if len(unheld) != 1 || !strings.HasPrefix(unheld[0], "published port tcp [::1]:8083 is not held: ") || !strings.Contains(unheld[0], "no IPv6") {
			t.Errorf("not held without IPv6: %v", unheld)
		}
		disableIPv6(t, "0")
		if _, unheld, _ = m.Hold(context.Background(), portsOf("c", runs)); len(unheld) > 0 || !m.holds(portsOf("c", runs), m.IPv6()) {
			t.Errorf("not held with IPv6 again: %v", unheld)
		}
	})
}

// TestReserveLeadsNowhere: what is reserved is kept from others, and led to the
// container by Hold alone. Trim gives up what Hold was not told of.
func TestReserveLeadsNowhere(t *testing.T) {
	m := manager(t)
	serveTCP(t, cont4, 90, echoTCP)
	first := reserve(t, m, ownerA, only4(ask(8080, 8080, 90, any6)))
	before := snapshot(m)
	again := []spec.PortRequest{only4(ask(8080, 8080, 91, any6)), only4(ask(8081, 8081, 90, any6))}
	if _, err := m.Reserve(context.Background(), ownerA, again); err != nil {
		t.Fatal(err)
	}
	if bindable(key{any6, 8081, spec.TCP}) {
		t.Error("a reserved port is free")
	}
	if got := exchange(t, "[::1]:8080", "x"); got != "x" {
		t.Errorf("the port that is held answers %q", got)
	}
	m.Trim(portsOf(ownerA, first))
	wantSame(t, m, before)
	if !bindable(key{any6, 8081, spec.TCP}) {
		t.Error("a port is reserved for ever")
	}
	runs, err := m.Reserve(context.Background(), ownerA, again[1:])
	if err != nil {
		t.Fatal(err)
	}
	leave(t, m, ownerA, runs)
	if got := exchange(t, "[::1]:8081", "x"); got != "x" {
		t.Errorf("the other port answers %q", got)
	}
}
