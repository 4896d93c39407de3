package model

import (
	"math/bits"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// HighCount is how many ports there are from firewall.FirstHighPort on.
const HighCount = int(firewall.LastHighPort) - int(firewall.FirstHighPort) + 1

// PortSet is a set of ports from firewall.FirstHighPort on, one bit each.
type PortSet [HighCount / 64]uint64

// Add puts a port into the set, which has to be one from firewall.FirstHighPort on.
func (s *PortSet) Add(port uint16) {
	s[(port-firewall.FirstHighPort)/64] |= 1 << (port % 64)
}

func (s *PortSet) remove(port uint16) {
	s[(port-firewall.FirstHighPort)/64] &^= 1 << (port % 64)
}

// Has says whether a port is in the set.
func (s *PortSet) Has(port uint16) bool {
	return port >= firewall.FirstHighPort && s[(port-firewall.FirstHighPort)/64]&(1<<(port%64)) != 0
}

// Union adds the ports of another set; nil is the empty one.
func (s *PortSet) Union(o *PortSet) {
	if o != nil {
		for i := range s {
			s[i] |= o[i]
		}
	}
}

// Spans returns the ports of the set, or those that it lacks, as spans in their order.
func (s *PortSet) Spans(lacks bool) (all []spec.Span) {
	for from := 0; from < HighCount; {
		first := s.next(from, !lacks)
		if first == HighCount {
			break
		}
		from = s.next(first, lacks)
		all = append(all, spec.Span{First: firewall.FirstHighPort + uint16(first), Last: firewall.FirstHighPort + uint16(from-1)}) //nolint:gosec // below HighCount
	}
	return all
}

// next is the first place from one on that is in the set, or that is not.
func (s *PortSet) next(from int, in bool) int {
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
	return HighCount
}

// Overlaps says whether a port of the span is in the set.
func (s *PortSet) Overlaps(p spec.Span) bool {
	return s.next(int(p.First-firewall.FirstHighPort), true) <= int(p.Last-firewall.FirstHighPort)
}

// HighPorts are the high ports that are published on addresses which others reach, with
// how many runs have each of them. It keeps the cost of a verb independent of their number.
type HighPorts struct {
	counts map[spec.Protocol][]uint32
	sets   map[spec.Protocol]*PortSet
}

func newHighPorts() *HighPorts {
	return &HighPorts{counts: map[spec.Protocol][]uint32{}, sets: map[spec.Protocol]*PortSet{}}
}

// add notes the ports of an endpoint, and drop forgets them.
func (p *HighPorts) add(e *Endpoint) {
	p.each(e, func(set *PortSet, count *uint32, port uint16) {
		if *count++; *count == 1 {
			set.Add(port)
		}
	})
}

func (p *HighPorts) drop(e *Endpoint) {
	p.each(e, func(set *PortSet, count *uint32, port uint16) {
		if *count--; *count == 0 {
			set.remove(port)
		}
	})
}

func (p *HighPorts) each(e *Endpoint, do func(set *PortSet, count *uint32, port uint16)) {
	for _, r := range e.Published {
		if r.Last < firewall.FirstHighPort || r.HostIP.IsLoopback() {
			continue
		}
		if p.sets[r.Proto] == nil {
			p.sets[r.Proto], p.counts[r.Proto] = new(PortSet), make([]uint32, HighCount)
		}
		for port := int(max(r.First, firewall.FirstHighPort)); port <= int(r.Last); port++ {
			do(p.sets[r.Proto], &p.counts[r.Proto][port-int(firewall.FirstHighPort)], uint16(port)) //nolint:gosec // no more than Last
		}
	}
}

// Set are those of a protocol; nil for none.
func (p *HighPorts) Set(proto spec.Protocol) *PortSet { return p.sets[proto] }

// Has says whether the port is published.
func (p *HighPorts) Has(l spec.Listener) bool {
	set := p.sets[l.Proto]
	return set != nil && set.Has(l.Port)
}

// Spans are the published ports of each protocol.
func (p *HighPorts) Spans() map[spec.Protocol][]spec.Span {
	all := map[spec.Protocol][]spec.Span{}
	for proto, set := range p.sets {
		all[proto] = set.Spans(false)
	}
	return all
}
