package ipam

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/gangway-net/gangway/config"
)

// checkRange says why a configured range cannot be cut into pools.
func checkRange(r config.PoolRange) error {
	if !r.Base.IsValid() || r.Base != normal(r.Base) {
		return fmt.Errorf("range %s for automatic pools is not a masked prefix: it should be %s", r.Base, normal(r.Base))
	}
	if r.Size < r.Base.Bits() || r.Size > r.Base.Addr().BitLen()-2 {
		return fmt.Errorf("range %s for automatic pools cannot be cut into pools of size /%d: sizes are /%d to /%d",
			r.Base, r.Size, r.Base.Bits(), r.Base.Addr().BitLen()-2)
	}
	if err := config.CheckRange(r.Base); err != nil {
		return fmt.Errorf("range for automatic pools: %w", err)
	}
	return nil
}

// family is the name of an address family, also in keys of the store.
func family(v6 bool) string {
	if v6 {
		return "ipv6"
	}
	return "ipv4"
}

// ranges are the configured ranges of a family.
func (a *Allocator) ranges(v6 bool) []config.PoolRange {
	var out []config.PoolRange
	for _, r := range a.o.Ranges {
		if r.Base.Addr().Is6() == v6 {
			out = append(out, r)
		}
	}
	return out
}

// automaticPool grants the next free pool of the configured ranges.
func (a *Allocator) automaticPool(ctx context.Context, req PoolRequest, options config.Pool) (Pool, error) {
	ranges := a.ranges(req.V6)
	if len(ranges) == 0 {
		return Pool{}, fmt.Errorf("no range is configured for automatic %s pools: name a subnet (docker network create --subnet ...) or add a range to GANGWAY_POOLS",
			family(req.V6))
	}
	used, err := a.o.Used(ctx)
	if err != nil {
		return Pool{}, fmt.Errorf("find a free %s pool: read the host's routes and addresses: %w", family(req.V6), err)
	}
	busy := newBusyPrefixes(used)
	p, err := a.admitAutomatic(req, options, busy)
	if err != nil {
		return Pool{}, err
	}
	more := map[string][]byte{cursorKey(family(req.V6)): encode(cursorRecord{Last: p.id.subnet})}
	granted, err := a.commitPool(p, more)
	if err != nil {
		return Pool{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cursor[family(req.V6)] = granted.Subnet
	return granted, nil
}

// admitAutomatic chooses a pool and enters it in the indexes, locked.
func (a *Allocator) admitAutomatic(req PoolRequest, options config.Pool, busy busyPrefixes) (*pool, error) {
	ranges := a.ranges(req.V6)
	a.mu.Lock()
	defer a.mu.Unlock()
	subnet, ok := nextPool(ranges, a.cursor[family(req.V6)], func(p netip.Prefix) (netip.Prefix, bool) {
		return a.blocker(p, busy)
	})
	if !ok {
		return nil, a.exhausted(req.V6, ranges, busy)
	}
	id, err := newPoolID(req.Space, subnet, netip.Prefix{})
	if err != nil {
		return nil, err
	}
	return a.enter(id, options), nil
}

// blocker returns what keeps a subnet from being an automatic pool.
func (a *Allocator) blocker(p netip.Prefix, busy busyPrefixes) (netip.Prefix, bool) {
	for _, index := range a.space {
		if other := index.overlap(p); other != nil {
			return other.id.subnet, true
		}
	}
	return busy.overlap(p)
}

// nextPool finds the first subnet of the ranges that nothing blocks, beginning
// after the one handed out last so that a released one rests for a whole turn.
func nextPool(ranges []config.PoolRange, last netip.Prefix, blocker func(netip.Prefix) (netip.Prefix, bool)) (netip.Prefix, bool) {
	start := slices.IndexFunc(ranges, func(r config.PoolRange) bool {
		return last.IsValid() && last.Bits() >= r.Base.Bits() && r.Base.Contains(last.Addr())
	})
	if start >= 0 {
		if p, ok := firstFree(ranges[start], beyond(last, ranges[start].Size), blocker); ok {
			return p, true
		}
	}
	// The range of the last one comes again at the end, from its beginning.
	for i := range ranges {
		r := ranges[(start+1+i)%len(ranges)]
		if p, ok := firstFree(r, r.Base.Addr(), blocker); ok {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// firstFree looks through a range from an aligned address on. It jumps over the
// whole of whatever blocks, so it takes as many steps as there are blockers in
// the way and not as many as the range has subnets.
func firstFree(r config.PoolRange, from netip.Addr, blocker func(netip.Prefix) (netip.Prefix, bool)) (netip.Prefix, bool) {
	for from.IsValid() && r.Base.Contains(from) {
		p := netip.PrefixFrom(from, r.Size)
		b, blocked := blocker(p)
		if !blocked {
			return p, true
		}
		from = beyond(b, r.Size)
	}
	return netip.Prefix{}, false
}

// beyond is the address of the first subnet of a size that lies wholly after p;
// the zero Addr if there is none.
func beyond(p netip.Prefix, size int) netip.Addr {
	if p.Bits() > size {
		p = netip.PrefixFrom(p.Addr(), size).Masked()
	}
	return netipx.PrefixLastIP(p).Next()
}

// exhausted says what was tried and what to do.
func (a *Allocator) exhausted(v6 bool, ranges []config.PoolRange, busy busyPrefixes) error {
	var names []string
	pools, host := 0, 0
	for _, r := range ranges {
		names = append(names, fmt.Sprintf("%s in pools of /%d", r.Base, r.Size))
		for _, index := range a.space {
			for _, p := range index {
				if p.id.subnet.Overlaps(r.Base) {
					pools++
				}
			}
		}
		for _, b := range busy {
			if b.Overlaps(r.Base) {
				host++
			}
		}
	}
	return fmt.Errorf("no free %s pool in %s: %s and %s of the host are in the way; name a subnet (docker network create --subnet ...) or add a range to GANGWAY_POOLS",
		family(v6), strings.Join(names, ", "), plural(pools, "pool", "pools"), plural(host, "route or address", "routes and addresses"))
}
