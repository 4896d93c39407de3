package dhcp_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/ipam/lease"
	"github.com/gangway-net/gangway/ipam/lease/dhcp"
)

// soon bounds one question.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func obtain(t *testing.T, s *dhcp.Server, ask lease.Ask) lease.Lease {
	t.Helper()
	offer, err := s.Discover(soon(t), ask)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Request(soon(t), ask, offer)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestLearn: the server says what its LAN is, and leases nothing for that.
func TestLearn(t *testing.T) {
	s, d := withDnsmasq(t)
	l, err := s.Discover(soon(t), lease.Ask{Link: "eth1"})
	if err != nil || l.Address.Masked().String() != "10.85.0.0/24" || l.Router != addr(router) || l.Server != addr(router) {
		t.Fatalf("%+v, %v", l, err)
	}
	if mac := strings.Fields(sh(t, "ip -br link show eth1"))[2]; d.of(mac) != "" {
		t.Errorf("leased: %s", d.of(mac))
	}
}

// TestLife: a lease of a real server is taken with the container's hardware address and name,
// extended by its server and by any, with a container on the bridge that has the address, and
// given back. Nobody else notices.
func TestLife(t *testing.T) {
	s, d := withDnsmasq(t, "--dhcp-option=option:dns-server,10.85.0.53,10.85.0.54")
	begun := time.Now()
	l := obtain(t, s, lease.Ask{Link: "eth1", MAC: macA, Name: "web"})
	if d.of(macA) != l.Address.Addr().String()+" web" {
		t.Errorf("leased: %q, granted %s", d.of(macA), l.Address)
	}
	if len(l.DNS) != 2 || l.DNS[0] != addr("10.85.0.53") || l.Router != addr(router) || l.Address.Bits() != 24 {
		t.Errorf("%+v", l)
	}
	if length := l.Until.Sub(begun).Round(time.Minute); length != time.Hour || !l.Renew.Before(l.Rebind) || !l.Rebind.Before(l.Until) {
		t.Errorf("%s: %+v", length, l)
	}
	container(t, l)
	extended(t, s, &l)
	if d.of(macA) != l.Address.Addr().String()+" db" {
		t.Errorf("the new name: %q", d.of(macA))
	}
	// The same hardware address gets the same address.
	if again := obtain(t, s, lease.Ask{Link: "eth1", MAC: macA}); again.Address != l.Address {
		t.Errorf("again: %s, was %s", again.Address, l.Address)
	}
	if err := s.GiveUp(soon(t), l, false); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the lease is given back", func() bool { return d.of(macA) == "" })
}

// extended has a lease extended by its server and by any, under another name.
func extended(t *testing.T, s *dhcp.Server, l *lease.Lease) {
	t.Helper()
	l.Name = "db"
	for _, everybody := range []bool{false, true} {
		fresh, err := s.Extend(soon(t), *l, everybody)
		if err != nil || fresh.Address != l.Address || !fresh.Until.After(l.Until) {
			t.Fatalf("everybody %t: %+v, %v", everybody, fresh, err)
		}
		*l = fresh
	}
}

// TestWish: an address that is wished for is granted if it is free; another one is offered else.
func TestWish(t *testing.T) {
	s, d := withDnsmasq(t)
	a := obtain(t, s, lease.Ask{Link: "eth1", MAC: macA, Wish: addr("10.85.0.117")})
	if a.Address.Addr() != addr("10.85.0.117") {
		t.Errorf("%s", a.Address)
	}
	begun := time.Now()
	b := obtain(t, s, lease.Ask{Link: "eth1", MAC: macB, Wish: addr("10.85.0.117")})
	if b.Address.Addr() == addr("10.85.0.117") || d.of(macB) != b.Address.Addr().String()+" *" {
		t.Errorf("%s, leased %s", b.Address, d.of(macB))
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("another address after %s", took)
	}
}

// TestDecline: an address that is declined is not granted again soon.
func TestDecline(t *testing.T) {
	s, d := withDnsmasq(t)
	a := obtain(t, s, lease.Ask{Link: "eth1", MAC: macA})
	if err := s.GiveUp(soon(t), a, true); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the lease is gone", func() bool { return d.of(macA) == "" })
	if b := obtain(t, s, lease.Ask{Link: "eth1", MAC: macA}); b.Address == a.Address {
		t.Errorf("%s again", b.Address)
	}
}

// TestReserved: who has an address reserved for his hardware address gets it.
func TestReserved(t *testing.T) {
	s, _ := withDnsmasq(t, "--dhcp-host="+macA+",10.85.0.7")
	if l := obtain(t, s, lease.Ask{Link: "eth1", MAC: macA, Name: "web"}); l.Address.Addr() != addr("10.85.0.7") {
		t.Errorf("%s", l.Address)
	}
}

// TestForever: a lease without an end has no times.
func TestForever(t *testing.T) {
	s, _ := withDnsmasq(t, "--dhcp-host="+macA+",10.85.0.7,infinite")
	if l := obtain(t, s, lease.Ask{Link: "eth1", MAC: macA}); !l.Until.IsZero() || l.State(time.Now()) != lease.Bound {
		t.Errorf("%+v", l)
	}
}

// TestSilent: without a server there is no answer, when the time is over and not before; what can be
// said about it is said.
func TestSilent(t *testing.T) {
	s := onLAN(t, func() {})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Discover(ctx, lease.Ask{Link: "eth1", MAC: macA}); !errors.Is(err, lease.ErrSilent) {
		t.Errorf("%v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := s.Discover(ctx, lease.Ask{Link: "eth1", MAC: macA}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	sh(t, "ip link set eth1 down")
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Discover(ctx, lease.Ask{Link: "eth1", MAC: macA}); !errors.Is(err, lease.ErrSilent) || !strings.Contains(err.Error(), "network is down") {
		t.Errorf("a link that is down: %v", err)
	}
	for _, ask := range []lease.Ask{{Link: "eth9", MAC: macA}, {Link: "eth1", MAC: "02:00"}, {Link: "lo"}} {
		if _, err := s.Discover(soon(t), ask); err == nil || errors.Is(err, lease.ErrSilent) {
			t.Errorf("%+v: %v", ask, err)
		}
	}
}
