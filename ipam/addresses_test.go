package ipam

import (
	"context"
	"net/netip"
	"testing"
)

func TestChosenAddresses(t *testing.T) {
	for _, c := range []struct {
		name, pool, sub string
		held            []string
		want            []string
		err             string
	}{
		{
			name: "without network and broadcast address", pool: "10.0.0.0/29",
			want: []string{"10.0.0.1/29", "10.0.0.2/29", "10.0.0.3/29", "10.0.0.4/29", "10.0.0.5/29", "10.0.0.6/29"},
			err:  "pool gangway-local/10.0.0.0/29 has no free address: all 6 are in use|larger subnet",
		},
		{
			name: "from the range", pool: "10.0.0.0/24", sub: "10.0.0.252/30", held: []string{"10.0.0.253"},
			want: []string{"10.0.0.252/24", "10.0.0.254/24"},
			err:  "all 3 of range 10.0.0.252/30 are in use|--ip-range",
		},
		{name: "both of a point to point", pool: "10.0.0.0/31", want: []string{"10.0.0.0/31", "10.0.0.1/31"}, err: "all 2"},
		{name: "ipv6 without anycast", pool: "fd00::/126", want: []string{"fd00::1/126", "fd00::2/126", "fd00::3/126"}, err: "all 3"},
		{name: "ipv6", pool: "fd00::/64", held: []string{"fd00::1", "fd00::2"}, want: []string{"fd00::3/64"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := open(t, newMemory())
			p := mustPool(t, a, c.pool, c.sub)
			for _, h := range c.held {
				mustAddress(t, a, p.ID, h)
			}
			for _, w := range c.want {
				if got := mustAddress(t, a, p.ID, ""); got != pfx(w) {
					t.Fatalf("got %s, want %s", got, w)
				}
			}
			if c.err != "" {
				_, err := address(a, p.ID, "")
				wantErr(t, err, c.err)
			}
		})
	}
}

func TestFixedAddresses(t *testing.T) {
	a := open(t, newMemory())
	p4 := mustPool(t, a, "10.0.0.0/24", "10.0.0.128/25")
	p6 := mustPool(t, a, "fd00::/64", "")
	for _, c := range []struct{ name, pool, addr, want, err string }{
		{name: "in the range", pool: p4.ID, addr: "10.0.0.200", want: "10.0.0.200/24"},
		{name: "outside the range", pool: p4.ID, addr: "10.0.0.9", want: "10.0.0.9/24"},
		{name: "mapped", pool: p4.ID, addr: "::ffff:10.0.0.10", want: "10.0.0.10/24"},
		{name: "ipv6", pool: p6.ID, addr: "fd00::8000:0:0:1", want: "fd00::8000:0:0:1/64"},
		{name: "highest of ipv6", pool: p6.ID, addr: "fd00::ffff:ffff:ffff:ffff", want: "fd00::ffff:ffff:ffff:ffff/64"},
		{name: "outside", pool: p4.ID, addr: "10.0.1.9", err: "address 10.0.1.9 is outside subnet 10.0.0.0/24"},
		{name: "other family", pool: p4.ID, addr: "fd00::9", err: "outside subnet"},
		{name: "zone", pool: p6.ID, addr: "fd00::9%eth0", err: "outside subnet"},
		{name: "network", pool: p4.ID, addr: "10.0.0.0", err: "the network address of 10.0.0.0/24|from 10.0.0.1 to 10.0.0.254"},
		{name: "broadcast", pool: p4.ID, addr: "10.0.0.255", err: "the broadcast address"},
		{name: "anycast", pool: p6.ID, addr: "fd00::", err: "subnet-router anycast"},
		{name: "in use", pool: p4.ID, addr: "10.0.0.9", err: "address 10.0.0.9 of pool gangway-local/10.0.0.0/24/10.0.0.128/25 is in use by a container with a fixed address (--ip) or a reservation (--aux-address) since 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := address(a, c.pool, c.addr)
			if c.err != "" {
				wantErr(t, err, c.err)
				return
			}
			if err != nil || got != pfx(c.want) {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

func TestGateway(t *testing.T) {
	a := open(t, newMemory())
	for _, c := range []struct{ pool, sub, want string }{
		{"10.0.0.0/24", "", "10.0.0.1/24"},
		{"10.1.0.0/24", "10.1.0.128/25", "10.1.0.128/24"},
		{"fd00::/64", "", "fd00::1/64"},
	} {
		p := mustPool(t, a, c.pool, c.sub)
		got, err := a.RequestAddress(context.Background(), AddressRequest{PoolID: p.ID, Gateway: true})
		if err != nil || got != pfx(c.want) {
			t.Errorf("%s: gateway %s, %v, want %s", p.ID, got, err, c.want)
		}
		_, err = address(a, p.ID, got.Addr().String())
		wantErr(t, err, "is in use by the network's gateway since")
		if next := mustAddress(t, a, p.ID, ""); next.Addr() != got.Addr().Next() {
			t.Errorf("%s: first container has %s", p.ID, next)
		}
	}
}

func TestHolderIsNamed(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	p := mustPool(t, a, "10.0.0.0/24", "")
	request := func(addr string, options map[string]string) {
		t.Helper()
		req := AddressRequest{PoolID: p.ID, Address: ip(addr), Options: options}
		if _, err := a.RequestAddress(context.Background(), req); err != nil {
			t.Fatal(err)
		}
	}
	request("", nil)
	request("", map[string]string{optionEndpointName: "web"})
	request("10.0.0.9", map[string]string{optionEndpointName: "db", optionEndpointMAC: "02:00:00:00:00:09"})
	check := func() {
		t.Helper()
		for addr, who := range map[string]string{
			"10.0.0.1": "is in use by a container since",
			"10.0.0.2": `is in use by container "web" since`,
			"10.0.0.9": `is in use by container "db" with MAC address 02:00:00:00:00:09 since`,
		} {
			_, err := address(a, p.ID, addr)
			wantErr(t, err, who)
		}
	}
	check()
	a = open(t, store)
	for _, addr := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.9"} {
		mustAddress(t, a, p.ID, addr) // the replay tells no names
	}
	check()
	a.o.Holder = func(addr netip.Addr) string { return "endpoint of " + addr.String() }
	_, err := address(a, p.ID, "10.0.0.1")
	wantErr(t, err, "is in use by endpoint of 10.0.0.1 since")
}

func TestReleasedAddressRests(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	p := mustPool(t, a, "10.0.0.0/29", "")
	mustAddress(t, a, p.ID, "10.0.0.3")
	for i, want := range []string{"1", "2", "4", "5", "6", "1", "2"} {
		got := mustAddress(t, a, p.ID, "").Addr()
		if got != ip("10.0.0."+want) {
			t.Fatalf("turn %d: got %s, want 10.0.0.%s", i, got, want)
		}
		mustRelease(t, a, p.ID, got.String())
		a = open(t, store) // the turn survives a restart
	}
}

func TestNearlyFullPool(t *testing.T) {
	a := open(t, newMemory())
	p := mustPool(t, a, "10.0.0.0/16", "")
	for range 65534 {
		mustAddress(t, a, p.ID, "")
	}
	_, err := address(a, p.ID, "")
	wantErr(t, err, "all 65534 are in use")
	for _, addr := range []string{"10.0.0.1", "10.0.255.254", "10.0.77.0"} {
		mustRelease(t, a, p.ID, addr)
	}
	for _, want := range []string{"10.0.0.1", "10.0.77.0", "10.0.255.254"} {
		if got := mustAddress(t, a, p.ID, "").Addr(); got != ip(want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	_, err = address(a, p.ID, "")
	wantErr(t, err, "no free address")
}
