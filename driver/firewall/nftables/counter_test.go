package nftables

import (
	"context"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/nstest"
)

// counted is an element of a set that counts.
func counted(m firewall.Mark, bridge string, r firewall.Reason, overruled bool, addr string, packets uint64) nft.SetElement {
	code := reasonCode(m, r)
	if overruled {
		code |= m.Accept
	}
	key := ifname(bridge) + string(word(code))
	if addr != "" {
		key += raw(netip.MustParseAddr(addr))
	}
	return nft.SetElement{Key: []byte(key), Counter: &expr.Counter{Packets: packets}}
}

// TestRefusals: whatever bits the mark has, the reasons come back, and what was overruled
// goes with what it was of.
func TestRefusals(t *testing.T) {
	for _, m := range []firewall.Mark{firewall.DefaultMark(), {Accept: 1, Drop: 2}, {Accept: 8, Drop: 1}, {Accept: 1 << 9, Drop: 1 << 20}, {Accept: 1 << 31, Drop: 1}} {
		got := refusals([]nft.SetElement{
			counted(m, "gw-b", firewall.Isolated, true, "fd00::2", 2),
			counted(m, "gw-b", firewall.Isolated, false, "fd00::2", 5),
			counted(m, "gw-b", firewall.Isolated, false, "", 7),
			counted(m, "gw-b", firewall.NoICC, false, "10.0.0.2", 1),
			counted(m, "gw-a-with-a-long", firewall.Unpublished, false, "10.0.0.2", 3),
			counted(m, "gw-a-with-a-long", firewall.Spoofed, false, "", 4),
			// Of others.
			counted(m, "gw-b", "", false, "", 9),
			{Key: []byte("short"), Counter: &expr.Counter{Packets: 9}},
			{Key: []byte(ifname("gw-b") + string(word(reasonCode(m, firewall.NoICC))) + "xyz"), Counter: &expr.Counter{Packets: 9}},
			{Key: []byte(ifname("gw-b") + string(word(reasonCode(m, firewall.NoICC))))},
		}, m)
		a := netip.MustParseAddr
		want := []firewall.Refusal{
			{Reason: firewall.Isolated, Bridge: "gw-b", Addr: a("fd00::2"), Packets: 5, Overruled: 2},
			{Reason: firewall.Isolated, Bridge: "gw-b", Packets: 7},
			{Reason: firewall.NoICC, Bridge: "gw-b", Addr: a("10.0.0.2"), Packets: 1},
			{Reason: firewall.Unpublished, Bridge: "gw-a-with-a-lon", Addr: a("10.0.0.2"), Packets: 3},
			{Reason: firewall.Spoofed, Bridge: "gw-a-with-a-lon", Packets: 4},
		}
		named(t, got)
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Errorf("mark %+v (-want +got):\n%s", m, d)
		}
	}
}

// named demands different names of counters, and takes them away.
func named(t *testing.T, all []firewall.Refusal) {
	t.Helper()
	names := map[string]bool{}
	for i, r := range all {
		if r.Counter == "" || names[r.Counter] {
			t.Errorf("a counter is called %q", r.Counter)
		}
		names[r.Counter], all[i].Counter = true, ""
	}
}

// TestClaims: an address is of the network in whose subnet it is.
func TestClaims(t *testing.T) {
	a := netip.MustParseAddr
	element := func(addr string, packets uint64) nft.SetElement {
		return nft.SetElement{Key: a(addr).AsSlice(), Counter: &expr.Counter{Packets: packets}}
	}
	items := compile(rich())
	homes := append(encode(headers()[0].find(subnetBridgeSet), items[subnetBridgeSet+"4"]), nft.SetElement{Key: []byte("x")}, nft.SetElement{Key: []byte(raw(a("10.9.9.9")) + ifname("x"))})
	got := claims(headers()[0], []nft.SetElement{
		element("10.200.0.0", 1), element("10.200.0.255", 2), element("10.200.3.7", 3), element("10.200.2.7", 4), {Key: []byte("x"), Counter: &expr.Counter{}}, {Key: a("10.9.9.9").AsSlice()},
	}, homes)
	named(t, got)
	want := []firewall.Refusal{
		{Reason: firewall.Spoofed, Bridge: "gw-aaaaaaaaaaaa", Addr: a("10.200.0.0"), Packets: 1},
		{Reason: firewall.Spoofed, Bridge: "gw-aaaaaaaaaaaa", Addr: a("10.200.0.255"), Packets: 2},
		{Reason: firewall.Spoofed, Bridge: "gw-eeeeeeeeeeee", Addr: a("10.200.3.7"), Packets: 3},
		{Reason: firewall.Spoofed, Addr: a("10.200.2.7"), Packets: 4},
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Whatever is in the sets that count is no damage, and neither is that somebody
// empties them.
func TestCountedIsNoDamage(t *testing.T) {
	nstest.Do(t, func() {
		b := start(t)
		if got, err := b.Refused(context.Background()); len(got) > 0 || err != nil {
			t.Errorf("without a table: %v, %v", got, err)
		}
		add(t, b, rich())
		sh(t, `nft add element inet gangway refused4 { "gw-x" . 0x3 . 10.0.0.2 counter packets 5 bytes 7 }`)
		settled(t, b, rich())
		settled(t, start(t), rich())
		want := []firewall.Refusal{{Reason: firewall.Isolated, Bridge: "gw-x", Addr: netip.MustParseAddr("10.0.0.2"), Packets: 5}}
		got, err := b.Refused(context.Background())
		named(t, got)
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
		sh(t, "nft flush set inet gangway refused4")
		settled(t, b, rich())
		if got, err := b.Refused(context.Background()); len(got) > 0 || err != nil {
			t.Errorf("emptied: %v, %v", got, err)
		}
	})
}

// Whatever somebody puts into the sets that count, reading it ends, and what counts has a
// reason and a name.
func FuzzRefusalOf(f *testing.F) {
	f.Add([]byte(ifname("gw-a")+string(word(3))+raw(netip.MustParseAddr("10.0.0.2"))), []byte("x"), uint32(1<<26))
	f.Add([]byte(ifname("gw-a")+string(word(1<<26|3))), raw4("10.0.0.2"), uint32(1<<26))
	f.Fuzz(func(t *testing.T, key, home []byte, accept uint32) {
		if r, _, ok := refusalOf(key, firewall.Mark{Accept: accept}); ok && (r.Reason == "" || r.Counter == "") {
			t.Errorf("%+v", r)
		}
		one := nft.SetElement{Key: key, KeyEnd: home, Counter: &expr.Counter{}}
		for _, r := range claims(headers()[0], []nft.SetElement{one, {Key: home, Counter: &expr.Counter{}}}, []nft.SetElement{one, {Key: home, KeyEnd: key}}) {
			if !r.Addr.IsValid() || r.Counter == "" {
				t.Errorf("%+v", r)
			}
		}
	})
}

func raw4(a string) []byte { return []byte(raw(netip.MustParseAddr(a))) }
