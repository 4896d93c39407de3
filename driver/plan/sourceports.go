package plan

import (
	"slices"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// What containers send out gets source ports of a range that holds no port of the host:
// none that is published, and none that the host itself listens on. The range is one for each protocol, both families alike, as the kernel takes no more
// than two ends.

// SourcePorts are those that what goes out by a protocol gets. None says that all are to
// be avoided, so that none is.
type SourcePorts struct {
	Proto spec.Protocol
	spec.Span
	None bool
}

// Len is how many ports they are.
func (p SourcePorts) Len() int { return lenOf(p.Span) }

// ChooseSourcePorts returns the range of each protocol, given those that the rules have by now, the published
// ports and those that the host listens on.
func ChooseSourcePorts(present []firewall.HighPorts, published *model.HighPorts, listening map[spec.Protocol]*model.PortSet) (all []SourcePorts) {
	for _, proto := range []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} {
		is := firewall.AllHigh()
		if i := slices.IndexFunc(present, func(h firewall.HighPorts) bool { return h.Proto == proto }); i >= 0 {
			is = spec.Span{First: present[i].First, Last: present[i].Last}
		}
		var avoid model.PortSet
		avoid.Union(published.Set(proto))
		avoid.Union(listening[proto])
		to := chooseRange(is, &avoid)
		all = append(all, SourcePorts{proto, to, avoid.Overlaps(to)})
	}
	return all
}

// SourcePortRules are the ranges as the rules know them: without those that have all ports.
func SourcePortRules(ranges []SourcePorts) (all []firewall.HighPorts) {
	for _, r := range ranges {
		if r.Span != firewall.AllHigh() {
			all = append(all, firewall.HighPorts{Proto: r.Proto, First: r.First, Last: r.Last})
		}
	}
	return all
}

// chooseRange returns the ports that what goes out may have, given those that it has by
// now, and those to avoid. As long as the present ones hold none of these they stay, lest
// rules change with each port that comes or goes, unless there is room for twice as many.
// If there is no other port left, all are returned.
func chooseRange(present spec.Span, avoid *model.PortSet) spec.Span {
	stays := !avoid.Overlaps(present)
	if stays && model.HighCount < 2*lenOf(present) {
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
func largestGap(avoid *model.PortSet) (best spec.Span) {
	for _, gap := range avoid.Spans(true) {
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

// blockSize is what the ends of a large range are multiples of: ports that the host's
// user leaves to us are given one after the other, and each would move the range.
const blockSize = 1024

func lenOf(p spec.Span) int { return int(p.Last) - int(p.First) + 1 }
