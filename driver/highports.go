package driver

import (
	"math/bits"
	"slices"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// What containers send out gets source ports of a range that holds no port of the host:
// none that is published, and none that the host itself listens on (see listeners).
// The range is one for each protocol, both families alike, as the kernel takes no more
// than two ends.

// highCount is how many ports there are from firewall.FirstHighPort on.
const highCount = int(firewall.LastHighPort) - int(firewall.FirstHighPort) + 1

// highSet is a set of ports from firewall.FirstHighPort on, one bit each.
type highSet [highCount / 64]uint64

func (s *highSet) add(port uint16) {
	s[(port-firewall.FirstHighPort)/64] |= 1 << (port % 64)
}

func (s *highSet) remove(port uint16) {
	s[(port-firewall.FirstHighPort)/64] &^= 1 << (port % 64)
}

func (s *highSet) has(port uint16) bool {
	return port >= firewall.FirstHighPort && s[(port-firewall.FirstHighPort)/64]&(1<<(port%64)) != 0
}

// union adds the ports of another set; nil is the empty one.
func (s *highSet) union(o *highSet) {
	if o != nil {
		for i := range s {
			s[i] |= o[i]
		}
	}
}

// spans returns the ports of the set, or those that it lacks, as spans in their order.
func (s *highSet) spans(lacks bool) (all []spec.Span) {
	for from := 0; from < highCount; {
		first := s.next(from, !lacks)
		if first == highCount {
			break
		}
		from = s.next(first, lacks)
		all = append(all, spec.Span{First: firewall.FirstHighPort + uint16(first), Last: firewall.FirstHighPort + uint16(from-1)}) //nolint:gosec // below highCount
	}
	return all
}

// next is the first place from one on that is in the set, or that is not.
func (s *highSet) next(from int, in bool) int {
	for word := from / 64; word < len(s); word++ {
		b := s[word]
		if !in {
			b = ^b
		}
		if word == from/64 {
			b &= ^uint64(0) << (from % 64)
		}
		if b != 0 {
			return word*64 + bits.TrailingZeros64(b)
		}
	}
	return highCount
}

// overlaps says whether a port of the span is in the set.
func (s *highSet) overlaps(p spec.Span) bool {
	return s.next(int(p.First-firewall.FirstHighPort), true) <= int(p.Last-firewall.FirstHighPort)
}

func lenOf(p spec.Span) int { return int(p.Last) - int(p.First) + 1 }

// blockSize is what the ends of a large range are multiples of: ports that the host's
// user leaves to us are given one after the other, and each would move the range.
const blockSize = 1024

// chooseRange returns the ports that what goes out may have, given those that it has by
// now, and those to avoid. As long as the present ones hold none of these they stay, lest
// rules change with each port that comes or goes, unless there is room for twice as many.
// If there is no other port left, all are returned.
func chooseRange(present spec.Span, avoid *highSet) spec.Span {
	stays := !avoid.overlaps(present)
	if stays && highCount < 2*lenOf(present) {
		return present // without a look at all that there is to avoid
	}
	best := largestGap(avoid)
	switch {
	case best == (spec.Span{}):
		return firewall.AllHigh()
	case stays && lenOf(best) < 2*lenOf(present):
		return present
	}
	return best
}

// largestGap is the largest span beside a set, the first of equal ones, in whole blocks if
// it has some; the zero value if there is none.
func largestGap(avoid *highSet) (best spec.Span) {
	for _, gap := range avoid.spans(true) {
		if best == (spec.Span{}) || lenOf(gap) > lenOf(best) {
			best = gap
		}
	}
	if lenOf(best) >= 8*blockSize {
		best.First = uint16((int(best.First) + blockSize - 1) / blockSize * blockSize) //nolint:gosec // no more than Last
		best.Last = uint16((int(best.Last)+1)/blockSize*blockSize - 1)                 //nolint:gosec // no less than First
	}
	return best
}

// publishedHigh are the high ports that are published on addresses which others reach, with
// how many runs have each of them. It keeps the cost of a verb independent of their number.
type publishedHigh struct {
	counts map[spec.Protocol][]uint32
	sets   map[spec.Protocol]*highSet
}

func newPublishedHigh() *publishedHigh {
	return &publishedHigh{counts: map[spec.Protocol][]uint32{}, sets: map[spec.Protocol]*highSet{}}
}

// add notes the ports of an endpoint, and drop forgets them.
func (p *publishedHigh) add(e *Endpoint) {
	p.each(e, func(set *highSet, count *uint32, port uint16) {
		if *count++; *count == 1 {
			set.add(port)
		}
	})
}

func (p *publishedHigh) drop(e *Endpoint) {
	p.each(e, func(set *highSet, count *uint32, port uint16) {
		if *count--; *count == 0 {
			set.remove(port)
		}
	})
}

func (p *publishedHigh) each(e *Endpoint, do func(set *highSet, count *uint32, port uint16)) {
	for _, r := range e.Published {
		if r.Last < firewall.FirstHighPort || r.HostIP.IsLoopback() {
			continue
		}
		if p.sets[r.Proto] == nil {
			p.sets[r.Proto], p.counts[r.Proto] = new(highSet), make([]uint32, highCount)
		}
		for port := int(max(r.First, firewall.FirstHighPort)); port <= int(r.Last); port++ {
			do(p.sets[r.Proto], &p.counts[r.Proto][port-int(firewall.FirstHighPort)], uint16(port)) //nolint:gosec // no more than Last
		}
	}
}

// has says whether the port is published.
func (p *publishedHigh) has(l spec.Listener) bool {
	set := p.sets[l.Proto]
	return set != nil && set.has(l.Port)
}

// spans are the published ports.
func (p *publishedHigh) spans() map[spec.Protocol][]spec.Span {
	all := map[spec.Protocol][]spec.Span{}
	for proto, set := range p.sets {
		all[proto] = set.spans(false)
	}
	return all
}

// highRange is what a protocol's ports for what goes out are. None says that all are to
// be avoided, so that none is.
type highRange struct {
	proto spec.Protocol
	spec.Span
	none bool
}

// highRanges chooses the ranges, given those that the rules have by now, the published
// ports and those that the host listens on.
func highRanges(present []firewall.HighPorts, published *publishedHigh, listening map[spec.Protocol]*highSet) (all []highRange) {
	for _, proto := range []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} {
		is := firewall.AllHigh()
		if i := slices.IndexFunc(present, func(h firewall.HighPorts) bool { return h.Proto == proto }); i >= 0 {
			is = spec.Span{First: present[i].First, Last: present[i].Last}
		}
		var avoid highSet
		avoid.union(published.sets[proto])
		avoid.union(listening[proto])
		to := chooseRange(is, &avoid)
		all = append(all, highRange{proto, to, avoid.overlaps(to)})
	}
	return all
}

// highRules are the ranges as the rules know them: without those that have all ports.
func highRules(ranges []highRange) (all []firewall.HighPorts) {
	for _, r := range ranges {
		if r.Span != firewall.AllHigh() {
			all = append(all, firewall.HighPorts{Proto: r.proto, First: r.First, Last: r.Last})
		}
	}
	return all
}
