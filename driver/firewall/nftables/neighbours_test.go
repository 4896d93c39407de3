package nftables

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// newNeighbourLimit makes one of both families, which the kernel has to be able to keep.
func newNeighbourLimit(t *testing.T) *NeighbourLimit {
	t.Helper()
	testkit.NeedKernel(t, 5, 12)
	p := NewNeighbourLimit(testkit.Quiet())
	t.Cleanup(p.Close)
	if len(p.tables) != 2 {
		t.Fatalf("tables %v", p.tables)
	}
	return p
}

// limit makes or removes the tables, and demands what it tells.
func limit(t *testing.T, p *NeighbourLimit, want firewall.Families, lines ...string) {
	t.Helper()
	got, err := p.Sync(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(lines, got); d != "" {
		t.Errorf("repaired: %s", d)
	}
}

// limitDump lists the tables without what tells their owner.
func limitDump(t *testing.T) string {
	t.Helper()
	return unowned(sh(t, "nft -s list table arp gangway-neighbour-limit")) + unowned(sh(t, "nft -s list table ip6 gangway-neighbour-limit"))
}

// The tables stand as they should, whatever others do, and go with their process.
func TestNeighbourLimitTables(t *testing.T) {
	nstest.Do(t, func() {
		p := newNeighbourLimit(t)
		if got := dumped(t); got != "" {
			t.Fatalf("the trial has left:\n%s", got)
		}
		limit(t, p, firewall.Families{})
		limit(t, p, both())
		golden(t, "neighbours.golden", limitDump(t))
		want := dumped(t)
		sh(t, "nft flush ruleset")
		for _, command := range []string{"delete table arp gangway-neighbour-limit", "flush chain ip6 gangway-neighbour-limit input", "add table arp gangway-neighbour-limit { flags dormant; }"} {
			refused(t, command)
		}
		limit(t, p, both())
		if d := cmp.Diff(want, dumped(t)); d != "" {
			t.Errorf("changed:\n%s", d)
		}
		for _, families := range []firewall.Families{{V4: true}, {V6: true}, {}, both(), {}} {
			limit(t, p, families)
			list := sh(t, "nft list tables")
			if strings.Contains(list, "arp") != families.V4 || strings.Contains(list, "ip6") != families.V6 {
				t.Errorf("%+v: %s", families, list)
			}
		}
		limit(t, p, both())
		p.Close()
		if got := dumped(t); got != "" {
			t.Errorf("outlives its process:\n%s", got)
		}
	})
}

// What is lost comes back and is told, as is what somebody loaded from a file; an earlier
// process is waited for, and of another one nothing is removed.
func TestNeighbourLimitOfOthers(t *testing.T) {
	nstest.Do(t, func() {
		p := newNeighbourLimit(t)
		limit(t, p, both())
		want := limitDump(t)
		for _, of := range p.tables {
			of.wire.close()
		}
		limit(t, p, both(), "table arp gangway-neighbour-limit was missing", "table ip6 gangway-neighbour-limit was missing")
		limit(t, p, firewall.Families{})
		sh(t, "nft add table arp gangway-neighbour-limit")
		next := newNeighbourLimit(t)
		limit(t, next, both(), "table arp gangway-neighbour-limit was not gangway's")
		if d := cmp.Diff(want, limitDump(t)); d != "" {
			t.Error(d)
		}
		third := newNeighbourLimit(t)
		limit(t, third, firewall.Families{})
		if _, err := third.Sync(t.Context(), both()); !errors.Is(err, errOwned) || !strings.Contains(err.Error(), "table arp gangway-neighbour-limit") {
			t.Errorf("a second one: %v", err)
		}
		next.Close()
		limit(t, third, both())
		if d := cmp.Diff(want, limitDump(t)); d != "" {
			t.Error(d)
		}
	})
}

// A kernel that does not know the flag, or one of the families, is found out, and the
// other family is bounded.
func TestNoNeighbourLimit(t *testing.T) {
	nstest.Do(t, func() {
		p := newNeighbourLimit(t)
		for _, of := range p.tables {
			if err := of.try(flagOwner | 1<<20); err == nil {
				t.Errorf("unknown flags are taken for table %s", of)
			}
		}
		p.tables = p.tables[:1]
		limit(t, p, both())
		if got := sh(t, "nft list tables"); strings.TrimSpace(got) != "table arp gangway-neighbour-limit" {
			t.Error(got)
		}
	})
}

// TestNeighbourFamilies: neighbours are of the families that networks have.
func TestNeighbourFamilies(t *testing.T) {
	four := firewall.Network{Subnets: prefixes("10.200.0.0/24")}
	six := firewall.Network{Subnets: prefixes("10.200.0.0/24", "fd00:a::/64")}
	for _, tt := range []struct {
		of   map[string]firewall.Network
		want firewall.Families
	}{{nil, firewall.Families{}}, {map[string]firewall.Network{"a": four}, firewall.Families{V4: true}}, {map[string]firewall.Network{"a": four, "b": six}, both()}} {
		if got := NeighbourFamilies(tt.of); got != tt.want {
			t.Errorf("%+v, want %+v", got, tt.want)
		}
	}
}

// BenchmarkNeighbourLimitOthers is what a datagram costs that comes to the host by another
// link, by IPv6: the one kind of packet besides those of neighbours that meets a rule of a
// NeighbourLimit.
func BenchmarkNeighbourLimitOthers(b *testing.B) {
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("limited=%t", on), func(b *testing.B) {
			p := NewNeighbourLimit(testkit.Quiet())
			defer p.Close()
			if _, err := p.Sync(b.Context(), firewall.Families{V4: on, V6: on}); err != nil {
				b.Fatal(err)
			}
			c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			to, buf := c.LocalAddr().(*net.UDPAddr).AddrPort(), make([]byte, 64)
			for b.Loop() {
				if _, err = c.WriteToUDPAddrPort(buf, to); err == nil {
					_, _, err = c.ReadFromUDPAddrPort(buf)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
