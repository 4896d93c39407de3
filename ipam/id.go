package ipam

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"

	"go4.org/netipx"

	"github.com/gangway-net/gangway/config"
)

// poolID names a pool: address space, subnet and range. It is the same whenever
// the engine asks for the same pool, because the engine does not store the id
// that it gets when it announces a network again.
type poolID struct {
	space string
	// subnet is masked.
	subnet netip.Prefix
	// sub is the masked range within subnet that addresses are chosen from;
	// the zero Prefix for all of it.
	sub netip.Prefix
}

func (id poolID) String() string {
	s := id.space + "/" + id.subnet.String()
	if id.sub.IsValid() {
		s += "/" + id.sub.String()
	}
	return s
}

// newPoolID masks the prefixes and refuses what cannot be a pool.
func newPoolID(space string, subnet, sub netip.Prefix) (poolID, error) {
	if space != LocalSpace && space != GlobalSpace {
		return poolID{}, fmt.Errorf("unknown address space %q: there are %s and %s", space, LocalSpace, GlobalSpace)
	}
	id := poolID{space: space, subnet: normal(subnet)}
	if err := config.CheckSubnet(id.subnet); err != nil {
		return poolID{}, err
	}
	if !sub.IsValid() {
		return id, nil
	}
	id.sub = normal(sub)
	if id.sub.Bits() < id.subnet.Bits() || !id.subnet.Contains(id.sub.Addr()) {
		return poolID{}, fmt.Errorf("range %s is not inside subnet %s", id.sub, id.subnet)
	}
	if first, last := id.bounds(); last.Less(first) {
		return poolID{}, fmt.Errorf("range %s has no usable address: it is %s", id.sub, reservedAs(id.subnet, id.sub.Addr()))
	}
	return id, nil
}

// parsePoolID reads what String wrote, and nothing else.
func parsePoolID(s string) (poolID, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 && len(parts) != 5 {
		return poolID{}, fmt.Errorf("pool id %q is not of the form SPACE/SUBNET[/RANGE]", s)
	}
	subnet, err := netip.ParsePrefix(parts[1] + "/" + parts[2])
	if err != nil {
		return poolID{}, fmt.Errorf("pool id %q: subnet: %w", s, err)
	}
	var sub netip.Prefix
	if len(parts) == 5 {
		if sub, err = netip.ParsePrefix(parts[3] + "/" + parts[4]); err != nil {
			return poolID{}, fmt.Errorf("pool id %q: range: %w", s, err)
		}
	}
	id, err := newPoolID(parts[0], subnet, sub)
	if err != nil {
		return poolID{}, fmt.Errorf("pool id %q: %w", s, err)
	}
	if id.String() != s {
		return poolID{}, fmt.Errorf("pool id %q should be written %q", s, id)
	}
	return id, nil
}

// normal masks the host bits, as the engine's own address manager does, and
// turns an IPv4-mapped prefix into the IPv4 one it means.
func normal(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// usable are the first and last address of a subnet that can be given out: not
// the network and broadcast address of IPv4 (but both of a /31, RFC 3021), not
// the subnet-router anycast address of IPv6 (RFC 4291, 2.6.1; but both of a
// /127, RFC 6164, where the engine's own address manager gives out one).
func usable(subnet netip.Prefix) (first, last netip.Addr) {
	first, last = subnet.Addr(), netipx.PrefixLastIP(subnet)
	if subnet.Bits() >= first.BitLen()-1 {
		return first, last
	}
	if first.Is4() {
		last = last.Prev()
	}
	return first.Next(), last
}

// bounds are the first and last address that are chosen automatically. last is
// below first if there are none.
func (id poolID) bounds() (first, last netip.Addr) {
	first, last = usable(id.subnet)
	if !id.sub.IsValid() {
		return first, last
	}
	if id.sub.Addr().Compare(first) > 0 {
		first = id.sub.Addr()
	}
	if end := netipx.PrefixLastIP(id.sub); end.Less(last) {
		last = end
	}
	return first, last
}

// reservedAs names what an address of the subnet that is not usable is.
func reservedAs(subnet netip.Prefix, a netip.Addr) string {
	switch {
	case a == subnet.Addr() && a.Is4():
		return fmt.Sprintf("the network address of %s", subnet)
	case a == subnet.Addr():
		return fmt.Sprintf("the subnet-router anycast address of %s", subnet)
	}
	return fmt.Sprintf("the broadcast address of %s", subnet)
}

// checkAddress says why a container or gateway cannot have the address.
func (id poolID) checkAddress(a netip.Addr) error {
	if a.Zone() != "" || !id.subnet.Contains(a) {
		return fmt.Errorf("address %s is outside subnet %s: choose one inside", a, id.subnet)
	}
	if first, last := usable(id.subnet); a.Less(first) || last.Less(a) {
		return fmt.Errorf("address %s is %s and cannot be given out: choose one from %s to %s",
			a, reservedAs(id.subnet, a), first, last)
	}
	return nil
}

// count is how many addresses there are from first to last, in decimal: the
// number of a /64 does not fit 64 bits.
func count(first, last netip.Addr) string {
	n := new(big.Int).SetBytes(last.AsSlice())
	n.Sub(n, new(big.Int).SetBytes(first.AsSlice()))
	return n.Add(n, big.NewInt(1)).String()
}
