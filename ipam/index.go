package ipam

import (
	"net/netip"
	"slices"
	"sort"
)

// overlapping returns the index of an element of n disjoint prefixes, sorted by
// address, that overlaps p; -1 if there is none. Only the neighbours of p can.
func overlapping(n int, at func(int) netip.Prefix, p netip.Prefix) int {
	i := sort.Search(n, func(i int) bool { return at(i).Addr().Compare(p.Addr()) > 0 })
	if i > 0 && at(i-1).Overlaps(p) {
		return i - 1
	}
	if i < n && at(i).Overlaps(p) {
		return i
	}
	return -1
}

// poolIndex holds the pools of one address space, sorted by subnet.
type poolIndex []*pool

func (x poolIndex) at(i int) netip.Prefix { return x[i].id.subnet }

// overlap returns the pool that overlaps p, nil if none does.
func (x poolIndex) overlap(p netip.Prefix) *pool {
	if i := overlapping(len(x), x.at, p); i >= 0 {
		return x[i]
	}
	return nil
}

func (x poolIndex) insert(p *pool) poolIndex {
	i, _ := slices.BinarySearchFunc(x, p, comparePools)
	return slices.Insert(x, i, p)
}

func (x poolIndex) remove(p *pool) poolIndex {
	i, found := slices.BinarySearchFunc(x, p, comparePools)
	if !found || x[i] != p {
		return x
	}
	return slices.Delete(x, i, i+1)
}

func comparePools(a, b *pool) int { return a.id.subnet.Addr().Compare(b.id.subnet.Addr()) }

// busyPrefixes are the host's prefixes, sorted and disjoint.
type busyPrefixes []netip.Prefix

// newBusyPrefixes leaves out what says nothing about where a subnet may be: the
// default routes, and their halves, by which VPN clients override the default
// route without replacing it (OpenVPN's redirect-gateway def1).
func newBusyPrefixes(used []netip.Prefix) busyPrefixes {
	all := make([]netip.Prefix, 0, len(used))
	for _, p := range used {
		if p = normal(p); p.IsValid() && p.Bits() > 1 {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	out := busyPrefixes{}
	for _, p := range all {
		if n := len(out); n == 0 || !out[n-1].Overlaps(p) {
			out = append(out, p)
		}
	}
	return out
}

func (b busyPrefixes) overlap(p netip.Prefix) (netip.Prefix, bool) {
	if i := overlapping(len(b), func(i int) netip.Prefix { return b[i] }, p); i >= 0 {
		return b[i], true
	}
	return netip.Prefix{}, false
}
