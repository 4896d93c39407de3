package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// PoolRange is a range of addresses from which subnets are cut for networks
// that ask for none.
type PoolRange struct {
	// Base is the range, masked.
	Base netip.Prefix
	// Size is the prefix length of the subnets, from Base's own to two bits
	// short of a single address.
	Size int
}

// String is the range as parsePools reads it: 10.200.0.0/13:24.
func (r PoolRange) String() string { return fmt.Sprintf("%s:%d", r.Base, r.Size) }

// parsePools reads a comma-separated list of base:size, such as
// "10.200.0.0/13:24,fd67:7761:7900::/48:64". Ranges must be masked and must not
// overlap; a family may be left out. The order is kept: subnets are taken from
// the first range first.
func parsePools(text string) ([]PoolRange, error) {
	var out []PoolRange
	for item := range strings.SplitSeq(text, ",") {
		r, err := parsePool(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		for _, other := range out {
			if other.Base.Overlaps(r.Base) {
				return nil, fmt.Errorf("pool %s overlaps pool %s", r, other)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

func parsePool(item string) (PoolRange, error) {
	const want = "want base:size, such as 10.200.0.0/13:24"
	colon := strings.LastIndexByte(item, ':')
	if colon < strings.IndexByte(item, '/') || colon < 0 {
		return PoolRange{}, fmt.Errorf("pool %q has no size: %s", item, want)
	}
	base, err := netip.ParsePrefix(item[:colon])
	if err != nil {
		return PoolRange{}, fmt.Errorf("pool %q: %q is not a prefix: %s", item, item[:colon], want)
	}
	if base.Addr().Is4In6() {
		return PoolRange{}, fmt.Errorf("pool %q: write the IPv4 prefix itself, not mapped into IPv6", item)
	}
	if base != base.Masked() {
		return PoolRange{}, fmt.Errorf("pool %q has bits set behind its prefix length: did you mean %s?", item, base.Masked())
	}
	size, err := strconv.ParseUint(item[colon+1:], 10, 8)
	if err != nil {
		return PoolRange{}, fmt.Errorf("pool %q: size %q is not a prefix length: %s", item, item[colon+1:], want)
	}
	// The gateway and one container are the least that a network is of use for.
	largest := base.Addr().BitLen() - 2
	if int(size) < base.Bits() || int(size) > largest {
		return PoolRange{}, fmt.Errorf("pool %q: subnets of /%d cannot be cut from it: sizes are %d to %d", item, size, base.Bits(), largest)
	}
	return PoolRange{Base: base, Size: int(size)}, nil
}
