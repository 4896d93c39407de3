package spec

import (
	"cmp"
	"net/netip"
	"slices"
)

// Coalesce returns the fewest runs that publish the same ports as runs do, in
// the order of ComparePublished. Contiguous host ports of one protocol and host
// address that lead to contiguous ports of one container address become one
// run; what is given twice is there once. Runs without a port (First > Last)
// vanish. The argument is left as it is, and its order does not matter.
func Coalesce(runs []Published) []Published {
	// What leads from a host port to its container port is the same for all
	// that may become one run. The difference is taken modulo 2^16, so that it
	// is total; ports that wrap around are the caller's mistake.
	type lane struct {
		proto      Protocol
		host, cont netip.Addr
		shift      uint16
		byDaemon   bool
	}
	lanes := map[lane][]Published{}
	for _, r := range runs {
		if r.First > r.Last {
			continue
		}
		l := lane{r.Proto, r.HostIP, r.ContainerIP, r.ContainerFirst - r.First, r.ByDaemon}
		lanes[l] = append(lanes[l], r)
	}
	var out []Published
	for _, list := range lanes {
		slices.SortFunc(list, ComparePublished)
		out = append(out, merge(list)...)
	}
	slices.SortFunc(out, ComparePublished)
	return out
}

// merge joins runs of one lane, sorted by First, that overlap or touch.
func merge(list []Published) []Published {
	out := list[:1]
	for _, r := range list[1:] {
		last := &out[len(out)-1]
		if int(r.First) > int(last.Last)+1 {
			out = append(out, r)
			continue
		}
		last.Last = max(last.Last, r.Last)
	}
	return out
}

// ComparePublished orders runs by protocol, host address (IPv4 first), host
// ports and where they lead. It returns 0 for equal runs only.
func ComparePublished(a, b Published) int {
	return cmp.Or(
		cmp.Compare(a.Proto, b.Proto),
		a.HostIP.Compare(b.HostIP),
		cmp.Compare(a.First, b.First),
		cmp.Compare(a.Last, b.Last),
		a.ContainerIP.Compare(b.ContainerIP),
		cmp.Compare(a.ContainerFirst, b.ContainerFirst),
		compareBools(a.ByDaemon, b.ByDaemon),
	)
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
