package spec

import (
	"fmt"
	"strings"
)

// KindShaper is the bound of what passes by a pair.
const KindShaper Kind = "rate"

// Shaper bounds what passes by an endpoint's pair, at the host's end, where the container
// cannot undo it.
type Shaper struct {
	EndpointID string
	// Host is the pair's end on the bridge. What the container gets leaves by it.
	Host string
	// Ifb is the link that what the container sends goes through, since it comes in by
	// Host: the kernel keeps packets back only where they leave by a link.
	Ifb string
	// In and Out are the bounds of what the container gets and sends.
	In, Out Shape
}

// Shape is a token bucket; the zero value lets everything pass.
type Shape struct {
	// Rate is in bytes a second. Burst are the bytes that pass at once, and Queue those
	// that wait at most.
	Rate         uint64
	Burst, Queue uint32
}

// Kind and Key make Shaper an Object.
func (s Shaper) Kind() Kind { return KindShaper }

// Key is the endpoint's id.
func (s Shaper) Key() any { return s.EndpointID }

// On are the links that it is at.
func (s Shaper) On() []string { return []string{s.Host, s.Ifb} }

// String says how much passes.
func (s Shaper) String() string {
	var parts []string
	if s.In.Rate > 0 {
		parts = append(parts, "in "+s.In.String())
	}
	if s.Out.Rate > 0 {
		parts = append(parts, "out "+s.Out.String())
	}
	return "rate of " + s.Host + ": " + strings.Join(parts, ", ")
}

// String shows the rate in the largest unit that keeps it whole.
func (s Shape) String() string {
	if s.Rate == 0 {
		return "none"
	}
	bits, unit := s.Rate*8, "bit"
	for _, larger := range []string{"kbit", "mbit", "gbit", "tbit"} {
		if bits%1000 != 0 {
			break
		}
		bits, unit = bits/1000, larger
	}
	return fmt.Sprintf("%d%s/%db", bits, unit, s.Burst)
}
