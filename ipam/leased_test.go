package ipam

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/ipam/lease/leasetest"
)

const (
	lanID = "gangway-local/10.85.0.0/24"
	macA  = "02:00:00:00:00:aa"
	macB  = "02:00:00:00:00:bb"
)

// lan is an allocator whose server is that of 10.85.0.0/24.
func lan(t *testing.T, store Store) (*Allocator, *leasetest.Server) {
	t.Helper()
	server := leasetest.New("10.85.0.0/24", time.Hour)
	return with(t, store, server), server
}

func with(t *testing.T, store Store, server *leasetest.Server) *Allocator {
	t.Helper()
	a, err := New(Options{Store: store, Used: nothingUsed, Server: server})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func lanPool(a *Allocator, subnet string) (Pool, error) {
	return a.RequestPool(context.Background(), PoolRequest{Space: LocalSpace, Pool: pfx(subnet), Options: map[string]string{"gangway.dhcp": "eth1"}})
}

func leased(a *Allocator, addr, name, mac string) (string, error) {
	options := map[string]string{optionEndpointMAC: mac}
	if name != "" {
		options[optionEndpointName] = name
	}
	p, err := a.RequestAddress(context.Background(), AddressRequest{PoolID: lanID, Address: ip(addr), Options: options})
	return p.String(), err
}

func mustLease(t *testing.T, a *Allocator, addr, name, mac, want string) {
	t.Helper()
	if got, err := leased(a, addr, name, mac); err != nil || got != want+"/24" {
		t.Fatalf("%s for %s: %s, %v, want %s", addr, mac, got, err, want)
	}
}

func gateway(a *Allocator, addr string) (netip.Prefix, error) {
	return a.RequestAddress(context.Background(), AddressRequest{PoolID: lanID, Address: ip(addr), Gateway: true})
}

// leasesOf has the stored leases.
func leasesOf(m *memory) (keys []string) {
	for k := range m.copy() {
		if strings.HasPrefix(k, leasePrefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// TestLANPool: a network's subnet and gateway are what the LAN's server says; nobody has a lease
// for that.
func TestLANPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, subnet := range []string{"", "10.85.0.0/24", "10.85.0.7/24"} {
			a, server := lan(t, newMemory())
			p, err := lanPool(a, subnet)
			if err != nil || p.ID != lanID || p.Subnet.String() != "10.85.0.0/24" {
				t.Fatalf("%q: %+v, %v", subnet, p, err)
			}
			if g, err := gateway(a, ""); err != nil || g.String() != "10.85.0.1/24" {
				t.Errorf("gateway %s, %v", g, err)
			}
			if calls := server.Take(); len(calls) != 1 || !strings.HasPrefix(calls[0], "discover  ") {
				t.Errorf("%q", calls)
			}
			if a.LeasedBy(pfx("10.85.0.0/24")) != "eth1" || a.LeasedBy(pfx("10.86.0.0/24")) != "" {
				t.Error("whose server it is")
			}
		}
	})
}

// TestLANPoolRefused: what contradicts the LAN, and a server that is away, are refused with what
// to do.
func TestLANPoolRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, server := lan(t, newMemory())
		for want, r := range map[string]PoolRequest{
			"10.85.0.0/16|the DHCP server 10.85.0.1 says that the LAN of eth1 is 10.85.0.0/24|leave --subnet out": {Pool: pfx("10.85.0.0/16")},
			"--ip-range 10.85.0.128/25": {Pool: pfx("10.85.0.0/24"), SubPool: pfx("10.85.0.128/25")},
			"--scope local":             {Space: GlobalSpace},
		} {
			if r.Space == "" {
				r.Space = LocalSpace
			}
			r.Options = map[string]string{"gangway.dhcp": "eth1"}
			_, err := a.RequestPool(t.Context(), r)
			wantErr(t, err, want)
		}
		server.Away(true)
		begun := time.Now()
		_, err := lanPool(a, "")
		wantErr(t, err, "gangway.dhcp|no DHCP server answers at eth1|tcpdump")
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("after %s", took)
		}
		server.Away(false)
		if _, err = lanPool(a, ""); err != nil {
			t.Fatal(err)
		}
		_, err = lanPool(a, "") // the engine wants another one
		wantErr(t, err, "another network's pool|route or a nameserver|--subnet 10.85.0.0/24")
		without := open(t, newMemory())
		_, err = lanPool(without, "")
		wantErr(t, err, "gangway.dhcp")
		b, server := lan(t, newMemory())
		server.NoRouter()
		if _, err = lanPool(b, ""); err != nil {
			t.Fatal(err)
		}
		_, err = gateway(b, "")
		wantErr(t, err, "names no router|--gateway")
		if g, err := gateway(b, "10.85.0.254"); err != nil || g.String() != "10.85.0.254/24" {
			t.Errorf("%s, %v", g, err)
		}
	})
}

// TestLANPoolIPv6: the server gives IPv4 addresses alone.
func TestLANPoolIPv6(t *testing.T) {
	a, server := lan(t, newMemory())
	p, err := a.RequestPool(t.Context(), PoolRequest{Space: LocalSpace, Pool: pfx("fd00:85::/64"), Options: map[string]string{"gangway.dhcp": "eth1"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.RequestAddress(t.Context(), AddressRequest{PoolID: p.ID, Options: map[string]string{optionEndpointMAC: macA}})
	if err != nil || got.String() != "fd00:85::1/64" || len(server.Take()) != 0 {
		t.Errorf("%s, %v", got, err)
	}
}

// TestLeases: addresses are what the server grants, with the container's name, are stored with
// their leases, and go with them.
func TestLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a, server := lan(t, store)
		if _, err := lanPool(a, ""); err != nil {
			t.Fatal(err)
		}
		server.Take()
		mustLease(t, a, "", "my_web", macA, "10.85.0.2")
		if calls := server.Take(); !slices.Equal(calls, []string{"discover " + macA + " name=my-web wish=invalid IP", "request " + macA + " 10.85.0.2 name=my-web"}) {
			t.Errorf("%q", calls)
		}
		mustLease(t, a, "10.85.0.50", "db", macB, "10.85.0.50")
		if got := leasesOf(store); !slices.Equal(got, []string{"lease/" + lanID + "|10.85.0.2", "lease/" + lanID + "|10.85.0.50"}) {
			t.Errorf("stored %q", got)
		}
		all, err := a.Addresses(t.Context())
		if err != nil || len(all) != 2 || all[0].Lease == nil || all[0].Lease.Server != ip("10.85.0.1") || all[0].Name != "my_web" {
			t.Errorf("%+v, %v", all, err)
		}
		mustRelease(t, a, lanID, "10.85.0.2")
		if got := leasesOf(store); server.Holder("10.85.0.2") != "" || len(got) != 1 {
			t.Errorf("held by %q, stored %q", server.Holder("10.85.0.2"), got)
		}
		mustLease(t, a, "", "other", "02:00:00:00:00:cc", "10.85.0.2")
		mustRelease(t, a, lanID, "10.85.0.2")
		// Its own name's is wished for, whatever its hardware address is now.
		mustLease(t, a, "", "third", "02:00:00:00:00:dd", "10.85.0.2")
		mustReleasePool(t, a, lanID)
		if server.Holder("10.85.0.2")+server.Holder("10.85.0.50") != "" || len(leasesOf(store)) != 0 {
			t.Errorf("held by %q and %q, stored %q", server.Holder("10.85.0.2"), server.Holder("10.85.0.50"), leasesOf(store))
		}
	})
}

// TestLeaseSticky: who comes back with another hardware address gets the address that it had, if
// the server has it free.
func TestLeaseSticky(t *testing.T) {
	a, _ := lan(t, newMemory())
	if _, err := lanPool(a, ""); err != nil {
		t.Fatal(err)
	}
	mustLease(t, a, "", "web", macA, "10.85.0.2")
	mustLease(t, a, "", "db", macB, "10.85.0.3")
	mustRelease(t, a, lanID, "10.85.0.2")
	mustRelease(t, a, lanID, "10.85.0.3")
	mustLease(t, a, "", "db", "02:00:00:00:00:01", "10.85.0.3")
	mustLease(t, a, "", "web", "02:00:00:00:00:02", "10.85.0.2")
}

// TestLeaseRefused: each refusal leaves nothing behind, here or with the server.
func TestLeaseRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a, server := lan(t, store)
		if _, err := lanPool(a, ""); err != nil {
			t.Fatal(err)
		}
		mustLease(t, a, "", "web", macA, "10.85.0.2")
		before := store.copy()
		for name, c := range map[string]struct {
			set             func()
			addr, mac, want string
		}{
			"away":            {func() { server.Away(true) }, "", macB, "no DHCP server answers"},
			"refused":         {func() { server.Refusing(true) }, "", macB, "refuses"},
			"another address": {func() { server.Grant("10.85.0.7") }, "10.85.0.9", macB, "offers 10.85.0.7|and not 10.85.0.9|--mac-address"},
			"in use":          {func() {}, "10.85.0.2", macB, `in use by container "web"`},
			"outside":         {func() {}, "10.86.0.2", macB, "outside subnet"},
			"same hardware":   {func() {}, "", macA, "MAC address " + macA + ` has the lease of 10.85.0.2, by container "web"`},
			"no hardware":     {func() {}, "", "", "restart the engine"},
			"disk":            {func() { store.fail = errDisk }, "", macB, "disk full"},
			"elsewhere":       {func() { server.Grant("10.99.0.7") }, "", macB, "offers 10.99.0.7/24|network anew"},
			"in use here":     {func() { server.Grant("10.85.0.2", "10.85.0.2", "10.85.0.2") }, "", macB, "refuses"},
		} {
			c.set()
			_, err := leased(a, c.addr, "new", c.mac)
			server.Away(false)
			server.Refusing(false)
			store.fail = nil
			wantErr(t, err, c.want)
			if got := store.copy(); len(got) != len(before) {
				t.Errorf("%s: stored %v", name, got)
			}
			for _, left := range []string{"10.85.0.3", "10.85.0.7", "10.85.0.9"} {
				if server.Holder(left) != "" {
					t.Errorf("%s: the server has %s leased", name, left)
				}
			}
			server.Forget()
		}
	})
}

// TestDeclined: an address that somebody here has, though the server knows nothing of it, is
// declined, and another one taken: nobody's address is given out twice.
func TestDeclined(t *testing.T) {
	a, server := lan(t, newMemory())
	if _, err := lanPool(a, ""); err != nil {
		t.Fatal(err)
	}
	mustAddress(t, a, lanID, "10.85.0.2") // an auxiliary one
	server.Take()
	mustLease(t, a, "", "web", macA, "10.85.0.3")
	if calls := strings.Join(server.Take(), "\n"); !strings.Contains(calls, "decline "+macA+" 10.85.0.2") {
		t.Errorf("%s", calls)
	}
	if l, ok := a.leases.Of(a.byID[lanID].keyOf(ip("10.85.0.2"))); ok {
		t.Errorf("an auxiliary address has a lease: %+v", l)
	}
}

// TestLeasesOverRestart: leases are there after a restart of the daemon, without a question to the
// server; it is asked when it is time. An engine that repeats its claims gets them though the
// server is away.
func TestLeasesOverRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a, server := lan(t, store)
		if _, err := lanPool(a, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := gateway(a, ""); err != nil {
			t.Fatal(err)
		}
		mustLease(t, a, "", "", macA, "10.85.0.2")
		server.Take()
		b := with(t, store, server)
		server.Away(true)
		b.Greet()
		if p, err := lanPool(b, "10.85.0.0/24"); err != nil || p.ID != lanID {
			t.Errorf("%+v, %v", p, err)
		}
		if g, err := gateway(b, "10.85.0.1"); err != nil || g.String() != "10.85.0.1/24" {
			t.Errorf("%s, %v", g, err)
		}
		mustAddress(t, b, lanID, "10.85.0.2") // as the engine says it
		server.Away(false)
		if calls := server.Take(); len(calls) != 0 {
			t.Errorf("%q", calls)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.KeepLeases(ctx) }()
		time.Sleep(31 * time.Minute)
		synctest.Wait()
		if calls := server.Take(); !slices.Equal(calls, []string{"renew " + macA + " 10.85.0.2 name="}) {
			t.Errorf("%q", calls)
		}
		stop()
		<-done
		c := with(t, store, server)
		l, ok := c.leases.Of(c.byID[lanID].keyOf(ip("10.85.0.2")))
		if !ok || time.Until(l.Until) < 58*time.Minute {
			t.Errorf("stored %+v", l)
		}
		mustRelease(t, c, lanID, "10.85.0.2")
		if server.Holder("10.85.0.2") != "" {
			t.Error("not given back")
		}
	})
}

// TestLeaseAgain: a container that asks again with its hardware address, after a restart in which
// its release was lost, has its lease; two at once do not.
func TestLeaseAgain(t *testing.T) {
	store := newMemory()
	a, server := lan(t, store)
	if _, err := lanPool(a, ""); err != nil {
		t.Fatal(err)
	}
	mustLease(t, a, "", "", macA, "10.85.0.2")
	b := with(t, store, server)
	server.Take()
	mustLease(t, b, "", "", macA, "10.85.0.2")
	if calls := server.Take(); len(calls) != 0 {
		t.Errorf("%q", calls)
	}
	_, err := leased(b, "", "", macA)
	wantErr(t, err, "has the lease of 10.85.0.2")
}

// TestLostLease: an address whose lease is lost stays its container's, and nobody else's.
func TestLostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a, server := lan(t, store)
		if _, err := lanPool(a, ""); err != nil {
			t.Fatal(err)
		}
		mustLease(t, a, "", "web", macA, "10.85.0.2")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.KeepLeases(ctx) }()
		server.Move("10.85.0.2", macB)
		time.Sleep(31 * time.Minute)
		synctest.Wait()
		if lost := a.LostLeases(); len(lost) != 1 || lost[0].Address != pfx("10.85.0.2/24") {
			t.Fatalf("%+v", lost)
		}
		mustLease(t, a, "", "db", macB, "10.85.0.3") // the server has the other one for it
		if server.Holder("10.85.0.2") != "" {
			t.Errorf("10.85.0.2 is %s's", server.Holder("10.85.0.2"))
		}
		stop()
		<-done
		if lost := with(t, store, server).LostLeases(); len(lost) != 1 {
			t.Errorf("after a restart: %+v", lost)
		}
	})
}
