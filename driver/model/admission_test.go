package model

import (
	"net/netip"
	"testing"
)

func TestNobodys(t *testing.T) {
	for subnet, want := range map[string][2]bool{ // the first, the last
		"10.0.0.0/8": {true, true}, "10.0.0.0/30": {true, true}, "10.0.0.0/31": {}, "10.0.0.4/32": {}, "0.0.0.0/0": {true, true},
		"fd00::/64": {true, false}, "fd00::/126": {true, false}, "fd00::/127": {}, "fd00::4/128": {},
	} {
		p := netip.MustParsePrefix(subnet)
		last := p.Addr().AsSlice()
		for bit := p.Bits(); bit < p.Addr().BitLen(); bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		end, _ := netip.AddrFromSlice(last)
		if got := [2]bool{nobodys(p, p.Addr()) != "", nobodys(p, end) != ""}; got != want {
			t.Errorf("%s: refused %v, want %v", subnet, got, want)
		}
	}
}
