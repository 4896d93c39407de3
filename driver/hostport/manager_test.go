package hostport

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/nstest"
)

const (
	ownerA = "aaaaaaaaaaaaaaaaaaaaaaaa"
	ownerB = "bbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestReserveCoalesces(t *testing.T) {
	m := manager(t)
	var want []spec.PortRequest
	for i := range uint16(20) {
		want = append(want, ask(9019-i, 9019-i, 119-i, any4, any6))
	}
	got := reserve(t, m, ownerA, want...)
	expected := []spec.Published{
		{Proto: spec.TCP, HostIP: any4, First: 9000, Last: 9019, ContainerIP: cont4, ContainerFirst: 100},
		{Proto: spec.TCP, HostIP: any6, First: 9000, Last: 9019, ContainerIP: cont6, ContainerFirst: 100},
	}
	if !reflect.DeepEqual(got, expected) {
		t.Errorf("got %v, want %v", got, expected)
	}
}

func TestContainerAddressOfOtherFamily(t *testing.T) {
	m := manager(t)
	for _, tt := range []struct {
		req     spec.PortRequest
		want    netip.Addr
		relayed bool
	}{
		{ask(8001, 8001, 80, any4), cont4, false},
		{ask(8002, 8002, 80, any6), cont6, false},
		{only4(ask(8003, 8003, 80, any6)), cont4, true},
		{only6(ask(8004, 8004, 80, any4)), cont6, true},
	} {
		got := reserve(t, m, ownerA, tt.req)
		if len(got) != 1 || got[0].ContainerIP != tt.want || got[0].Relayed() != tt.relayed {
			t.Errorf("%v: got %v", tt.req, got)
		}
	}
}

func TestConflictWithProcess(t *testing.T) {
	tests := []struct {
		network, address string
		req              spec.PortRequest
		conflict         bool
	}{
		{"tcp4", "0.0.0.0:7001", ask(7001, 7001, 80, any4), true},
		{"tcp4", "0.0.0.0:7001", ask(7001, 7001, 80, loopback4), true},
		{"tcp4", "127.0.0.1:7001", ask(7001, 7001, 80, any4), true},
		{"tcp4", "127.0.0.1:7001", ask(7001, 7001, 80, netip.MustParseAddr("127.0.0.2")), false},
		{"tcp4", "127.0.0.1:7001", ask(7001, 7001, 80, any6), false},
		{"tcp6", "[::1]:7001", ask(7001, 7001, 80, any6), true},
		{"tcp", "[::]:7001", ask(7001, 7001, 80, any4), true},
		{"udp4", "127.0.0.1:7001", proto(spec.UDP, ask(7001, 7001, 80, any4, any6)), true},
		{"udp4", "127.0.0.1:7001", ask(7001, 7001, 80, any4), false},
		{"udp6", "[::1]:7001", proto(spec.UDP, ask(7001, 7001, 80, any4, any6)), true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s and %s %v", tt.network, tt.address, tt.req.Proto, tt.req.HostIPs), func(t *testing.T) {
			m := manager(t)
			pid := foreign(t, tt.network, tt.address)
			_, err := m.Reserve(context.Background(), ownerA, []spec.PortRequest{ask(7100, 7100, 81, any4), tt.req})
			if !tt.conflict {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var c *ConflictError
			if !errors.As(err, &c) || !errors.Is(err, unix.EADDRINUSE) {
				t.Fatalf("error is %v, want a conflict", err)
			}
			for _, part := range []string{tt.req.Proto.String(), ":7001", fmt.Sprintf("(pid %d)", pid), "publish another port"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not name %q", err, part)
				}
			}
			wantSame(t, m, map[key]string{})
			if !bindable(key{any4, 7100, spec.TCP}) {
				t.Error("a port of the failed call is still bound")
			}
		})
	}
}

func TestConflictBetweenOwners(t *testing.T) {
	for _, p := range []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} {
		t.Run(p.String(), func(t *testing.T) {
			m := manager(t)
			reserve(t, m, ownerA, proto(p, ask(8080, 8080, 80, any4)))
			before := snapshot(m)
			for _, host := range []netip.Addr{any4, loopback4} {
				_, err := m.Reserve(context.Background(), ownerB, []spec.PortRequest{proto(p, ask(8080, 8080, 80, host))})
				var c *ConflictError
				if !errors.As(err, &c) || c.Owner != ownerA || !strings.Contains(err.Error(), "endpoint aaaaaaaaaaaa;") {
					t.Errorf("%s: error is %v", host, err)
				}
			}
			wantSame(t, m, before)
			m.Trim(portsOf(ownerA, nil))
			reserve(t, m, ownerB, proto(p, ask(8080, 8080, 80, any4)))
		})
	}
}

func TestHeldAgainstOtherProcesses(t *testing.T) {
	m := manager(t)
	reserve(t, m, ownerA, ask(8080, 8080, 80, any4, any6), proto(spec.UDP, ask(8080, 8080, 80, any4, any6)))
	for _, p := range []spec.Protocol{spec.TCP, spec.UDP} {
		for _, ip := range []netip.Addr{any4, any6, loopback4, loopback6} {
			if bindable(key{ip, 8080, p}) {
				t.Errorf("%s %s:8080 can be bound beside the reservation", p, ip)
			}
		}
	}
	m.Trim(portsOf(ownerA, nil))
	if !bindable(key{any6, 8080, spec.UDP}) || !bindable(key{any4, 8080, spec.TCP}) {
		t.Error("released port is not free")
	}
}

func TestReplay(t *testing.T) {
	m := manager(t)
	want := []spec.PortRequest{
		ask(8080, 8080, 80, any4, any6), ask(0, 0, 80, any4, any6), ask(0, 0, 80, any4, any6),
		ask(0, 0, 443, any4), ask(8000, 8005, 80, any4), proto(spec.UDP, only4(ask(0, 0, 53, any4, any6))),
	}
	first := reserve(t, m, ownerA, want...)
	before := snapshot(m)
	want[0], want[5] = want[5], want[0]
	want[1], want[4] = want[4], want[1]
	if again := reserve(t, m, ownerA, want...); !reflect.DeepEqual(again, first) {
		t.Errorf("replay gives %v, first %v", again, first)
	}
	m.Trim(portsOf(ownerA, first))
	wantSame(t, m, before)

	// More beside it takes other ports, and going back gives up only those.
	more := reserve(t, m, ownerA, append(want, ask(0, 0, 80, any4, any6))...)
	if ports(more) != ports(first)+2 {
		t.Errorf("got %v beside %v", more, first)
	}
	m.Trim(portsOf(ownerA, first))
	wantSame(t, m, before)
}

func TestReplayGainsFamily(t *testing.T) {
	m := manager(t)
	first := reserve(t, m, ownerA, ask(0, 0, 80, any4))
	both := reserve(t, m, ownerA, ask(0, 0, 80, any4, any6))
	if len(both) != 2 || both[0] != first[0] || both[1].First != first[0].First {
		t.Errorf("got %v after %v", both, first)
	}
}

func TestFixedPortLedElsewhere(t *testing.T) {
	m := manager(t)
	old := reserve(t, m, ownerA, only4(ask(8080, 8080, 80, any4, any6)))
	before := snapshot(m)
	got := reserve(t, m, ownerA, ask(8080, 8080, 81, any4, any6))
	if got[0].ContainerFirst != 81 || got[1].ContainerIP != cont6 {
		t.Errorf("got %v", got)
	}
	leave(t, m, ownerA, old)
	wantSame(t, m, before)
}

func TestTwiceInOneCall(t *testing.T) {
	m := manager(t)
	got := reserve(t, m, ownerA, ask(8080, 8080, 80, any4), ask(8080, 8080, 80, any4))
	if len(got) != 1 {
		t.Errorf("got %v", got)
	}
	m.Trim(portsOf(ownerA, nil))
	for _, second := range []spec.PortRequest{ask(8080, 8080, 81, any4), ask(8080, 8080, 80, loopback4)} {
		_, err := m.Reserve(context.Background(), ownerA, []spec.PortRequest{ask(8080, 8080, 80, any4), second})
		if err == nil || !strings.Contains(err.Error(), "published twice by this endpoint") {
			t.Errorf("error is %v", err)
		}
		wantSame(t, m, map[key]string{})
	}
}

func TestAllOrNothing(t *testing.T) {
	m := manager(t)
	reserve(t, m, ownerB, ask(8500, 8500, 80, any4))
	reserve(t, m, ownerA, only4(ask(8080, 8080, 80, any4, any6)))
	before := snapshot(m)
	want := []spec.PortRequest{
		ask(8080, 8080, 81, any4, any6), only4(ask(8081, 8081, 80, any6)), ask(0, 0, 80, any4),
		ask(8400, 8400, 80, any4, any6), ask(8500, 8500, 80, any6, any4),
	}
	if _, err := m.Reserve(context.Background(), ownerA, want); err == nil {
		t.Fatal("no error")
	}
	wantSame(t, m, before)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.Reserve(ctx, ownerA, want[:3]); !errors.Is(err, context.Canceled) {
		t.Errorf("error of a cancelled call is %v", err)
	}
	wantSame(t, m, before)
	if !bindable(key{any6, 8081, spec.TCP}) || !bindable(key{any6, 8500, spec.TCP}) {
		t.Error("a port of a failed call is still bound")
	}
}

func TestForeignAddress(t *testing.T) {
	m := manager(t)
	_, err := m.Reserve(context.Background(), ownerA, []spec.PortRequest{ask(8080, 8080, 80, netip.MustParseAddr("192.0.2.7"))})
	if !errors.Is(err, unix.EADDRNOTAVAIL) || !strings.Contains(err.Error(), "tcp 192.0.2.7:8080: host has no address 192.0.2.7") {
		t.Errorf("error is %v", err)
	}
	wantSame(t, m, map[key]string{})
}

func TestConcurrentOwners(t *testing.T) {
	m := manager(t)
	var wins atomic.Int32
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			_, err := m.Reserve(context.Background(), fmt.Sprint("owner", i), []spec.PortRequest{
				ask(8080, 8080, 80, any4, any6), ask(0, 0, 80, any4, any6)})
			switch {
			case err == nil:
				wins.Add(1)
			case !errors.Is(err, unix.EADDRINUSE):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if wins.Load() != 1 || len(snapshot(m)) != 4 {
		t.Errorf("%d owners won: %v", wins.Load(), snapshot(m))
	}
}

func TestHostWithoutIPv6(t *testing.T) {
	nstest.Do(t, func() {
		for _, link := range []string{"all", "default", "lo"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+link+"/disable_ipv6", []byte("1"), 0); err != nil {
				t.Error(err)
				return
			}
		}
		m := newManager(quiet(), defaultLimits(10000), anyLink{})
		defer m.Close()
		got, err := m.Reserve(context.Background(), ownerA, []spec.PortRequest{ask(8080, 8080, 80, any4, any6), ask(0, 0, 80, any6, any4)})
		if err != nil || ports(got) != 2 || !got[0].HostIP.Is4() {
			t.Errorf("got %v, %v", got, err)
		}
		for _, ip := range []netip.Addr{any6, loopback6} {
			_, err = m.Reserve(context.Background(), ownerA, []spec.PortRequest{ask(8081, 8081, 80, ip)})
			if err == nil || !strings.Contains(err.Error(), "host has no IPv6") {
				t.Errorf("%s: error is %v", ip, err)
			}
		}
	})
}

func TestSCTPWithoutRelay(t *testing.T) {
	m := manager(t)
	got := reserve(t, m, ownerA, only4(proto(spec.SCTP, ask(5000, 5000, 80, any4, any6))))
	if len(got) != 1 || got[0].HostIP != any4 {
		t.Errorf("got %v", got)
	}
	for _, q := range []spec.PortRequest{only4(ask(5001, 5001, 80, any6)), ask(5001, 5001, 80, loopback6)} {
		_, err := m.Reserve(context.Background(), ownerA, []spec.PortRequest{proto(spec.SCTP, q)})
		if err == nil || !strings.Contains(err.Error(), "without a relay") {
			t.Errorf("%v: error is %v", q.HostIPs, err)
		}
	}
}

func TestClosed(t *testing.T) {
	m := manager(t)
	reserve(t, m, ownerA, only4(ask(8080, 8080, 80, any4, any6)))
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	m.Trim(portsOf(ownerA, nil))
	if _, err := m.Reserve(context.Background(), ownerA, []spec.PortRequest{ask(8080, 8080, 80, any4)}); err == nil {
		t.Error("reserved after close")
	}
	if !bindable(key{any4, 8080, spec.TCP}) {
		t.Error("port still bound after close")
	}
}

// TestSeveralHostAddresses: a request takes the same port at each of its
// addresses; where one is taken, none is kept, and another port is chosen if
// there is a choice.
func TestSeveralHostAddresses(t *testing.T) {
	addAddresses(t)
	second4 := netip.MustParseAddr("127.0.0.2")
	hosts := []netip.Addr{loopback4, second4, host6, other6}
	m := manager(t)
	reserve(t, m, ownerB, ask(8080, 8080, 80, other6), ask(8101, 8101, 80, second4))
	before := snapshot(m)
	_, err := m.Reserve(context.Background(), ownerA, []spec.PortRequest{ask(8080, 8080, 80, hosts...)})
	var c *ConflictError
	if !errors.As(err, &c) || c.Owner != ownerB || c.HostIP != other6 {
		t.Fatalf("error is %v, want a conflict at %s", err, other6)
	}
	wantSame(t, m, before)
	want := map[netip.Addr]uint16{}
	for i, run := range reserve(t, m, ownerA, ask(8101, 8102, 80, hosts...), ask(0, 0, 81, hosts...)) {
		if run.ContainerFirst == 80 && run.First != 8102 {
			t.Errorf("run %d: %v, want port 8102", i, run)
		}
		if run.ContainerFirst == 81 {
			want[run.HostIP] = run.First
		}
	}
	if len(want) != len(hosts) {
		t.Errorf("a chosen port is published at %v, want %v", want, hosts)
	}
	for _, port := range want {
		if port != want[loopback4] {
			t.Errorf("the chosen port is not the same everywhere: %v", want)
		}
	}
	// A repeated request keeps what it has.
	held := snapshot(m)
	reserve(t, m, ownerA, ask(8101, 8102, 80, hosts...), ask(0, 0, 81, hosts...))
	wantSame(t, m, held)
	m.Trim(portsOf(ownerA, nil))
	wantSame(t, m, before)
}
