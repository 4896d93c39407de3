package hostport

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/spec"
)

// pairOf returns the sockets that hold a port of the owner on all addresses.
func pairOf(m *Manager, owner string, port uint16, p spec.Protocol) (v4, v6 *socket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.book.find(owner, key{any4, port, p}), m.book.find(owner, key{any6, port, p})
}

// A manager that may not load eBPF programs filters all the same.
func TestClassicFilters(t *testing.T) {
	m := manager(t)
	if len(m.relays.filters.programs) == 0 {
		t.Fatal("no eBPF filters: this test needs CAP_BPF")
	}
	m.relays.filters.close()
	serveTCP(t, cont4, 30000, echoTCP)
	serveTCP(t, cont6, 30000, echoTCP)
	reserve(t, m, ownerA, only4(ask(7000, 7000, 30000, any4, any6)))
	reserve(t, m, ownerB, ask(7001, 7001, 30000, any4, any6))
	for _, addr := range []string{"[::1]:7000", "[" + host6.String() + "]:7000", "[::1]:7001"} {
		if got := exchange(t, addr, "x"); got != "x" {
			t.Errorf("%s: %q", addr, got)
		}
	}
	for _, addr := range []string{"127.0.0.1:7000", "127.0.0.1:7001", "[" + host6.String() + "]:7001"} {
		silent(t, addr)
	}
}

// One descriptor holds a port in both families, against everybody.
func TestPairHoldsBothFamilies(t *testing.T) {
	for _, p := range []spec.Protocol{spec.TCP, spec.UDP} {
		m := manager(t)
		files := openFiles(t)
		reserve(t, m, ownerA, proto(p, ask(7000, 7000, 80, any4, any6)))
		v4, v6 := pairOf(m, ownerA, 7000, p)
		if v4.fd != v6.fd || v4.twin != v6 || held(m) != 1 {
			t.Errorf("%s: descriptors %d and %d, %d counted", p, v4.fd, v6.fd, held(m))
		}
		for _, k := range []key{{any4, 7000, p}, {any6, 7000, p}, {host6, 7000, p}, {cont4, 7000, p}} {
			if bindable(k) {
				t.Errorf("%s can be taken", k)
			}
		}
		m.Trim(portsOf(ownerA, nil))
		if !bindable(key{any4, 7000, p}) || !bindable(key{any6, 7000, p}) || held(m) != 0 {
			t.Errorf("%s: not free after its release, %d counted", p, held(m))
		}
		eventually(t, "files as before", func() bool { return openFiles(t) <= files+3 }) // the poller's
	}
}

// The twin that stays holds its family by itself, and only that; its relay goes
// on.
func TestPairParts(t *testing.T) {
	m := manager(t)
	serveTCP(t, cont4, 30000, echoTCP)
	for _, left := range []key{{any4, 7000, spec.TCP}, {any6, 7000, spec.TCP}} {
		gone := key{any6, 7000, spec.TCP}
		if left.ip == any6 {
			gone.ip = any4
		}
		runs := reserve(t, m, ownerA, only4(ask(7000, 7000, 30000, any4, any6)))
		var kept []spec.Published
		for _, r := range runs {
			if r.HostIP == left.ip {
				kept = append(kept, r)
			}
		}
		m.Trim(portsOf(ownerA, kept))
		if bindable(left) || !bindable(gone) || held(m) != 1 {
			t.Errorf("%s left: held %t, %s free %t, %d counted", left, !bindable(left), gone, bindable(gone), held(m))
		}
		if left.ip == any6 {
			if got := exchange(t, "[::1]:7000", "x"); got != "x" {
				t.Errorf("relay of the one that stayed: %q", got)
			}
		}
		// Another endpoint of the container takes the family that came free.
		reserve(t, m, ownerB, only4(ask(7000, 7000, 30000, gone.ip)))
		m.Trim(portsOf(ownerB, nil))
		m.Trim(portsOf(ownerA, nil))
	}
	if held(m) != 0 {
		t.Errorf("%d descriptors counted at the end", held(m))
	}
}

// What a pair relays is IPv6; an IPv4 packet that NAT did not take is dropped.
func TestPairRelaysOnlyIPv6(t *testing.T) {
	m := manager(t)
	serveTCP(t, cont4, 30000, echoTCP)
	reserve(t, m, ownerA, only4(ask(7000, 7000, 30000, any4, any6)))
	if got := exchange(t, "[::1]:7000", "x"); got != "x" {
		t.Errorf("[::1]: %q", got)
	}
	if got := exchange(t, "["+host6.String()+"]:7000", "x"); got != "x" {
		t.Errorf("%s: %q", host6, got)
	}
	silent(t, "127.0.0.1:7000")
}

// A container that lost its IPv4 address has IPv4 relayed, by a descriptor of
// its own.
func TestPairIsRelayedInBothFamilies(t *testing.T) {
	m := manager(t)
	serveTCP(t, cont6, 30000, echoTCP)
	reserve(t, m, ownerA, ask(7000, 7000, 30000, any4, any6))
	reserve(t, m, ownerA, only6(ask(7000, 7000, 30000, any4, any6)))
	v4, v6 := pairOf(m, ownerA, 7000, spec.TCP)
	if v4.twin != nil || v6.twin != nil || v4.fd == v6.fd || held(m) != 2 {
		t.Errorf("still a pair, %d counted", held(m))
	}
	for _, addr := range []string{"127.0.0.1:7000", "[::1]:7000"} {
		if got := exchange(t, addr, "x"); got != "x" {
			t.Errorf("%s: %q", addr, got)
		}
	}
	m.Trim(portsOf(ownerA, nil))
	if held(m) != 0 {
		t.Errorf("%d counted at the end", held(m))
	}
}

// silent proves that a SYN gets no answer at all.
func silent(t *testing.T, address string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
	var timeout net.Error
	if err == nil {
		_ = c.Close()
		t.Errorf("%s accepts", address)
	} else if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%s answers: %v", address, err)
	}
}
