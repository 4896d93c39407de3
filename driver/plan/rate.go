package plan

import (
	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// Shaper bounds what passes by the endpoint's pair; bounded is false where nothing is.
func Shaper(n *model.Network, e *model.Endpoint) (s spec.Shaper, bounded bool) {
	if e.Sandbox == "" {
		return spec.Shaper{}, false
	}
	in, out := Rates(n, e)
	if in.Bytes == 0 && out.Bytes == 0 {
		return spec.Shaper{}, false
	}
	return spec.Shaper{EndpointID: e.ID, Host: VethHost(e.ID), Ifb: Ifb(e.ID), In: shape(in, n), Out: shape(out, n)}, true
}

// Rates are those in force for an endpoint: its own, else its network's.
func Rates(n *model.Network, e *model.Endpoint) (in, out config.Rate) {
	return e.Options.RateIn.Of(n.Options.RateIn), e.Options.RateOut.Of(n.Options.RateOut)
}

// shaped names the link that what an endpoint's container sends is kept back by; empty for
// none.
func shaped(n *model.Network, e *model.Endpoint) string {
	if s, _ := Shaper(n, e); s.Out.Rate > 0 {
		return s.Ifb
	}
	return ""
}

// Ifb names the link that keeps back what an endpoint's container sends.
func Ifb(endpointID string) string { return "gi-" + model.Short(endpointID) }

// What is derived from a rate: a burst of burstTime, and a queue of queueTime. Much smaller
// bursts would make the kernel cut what the container hands over in large pieces; much longer
// queues would make whoever shares the link with a download wait. At low rates, the least
// ones keep TCP going.
const (
	perBurst, perQueue     = 100, 10 // 10 ms and 100 ms
	leastBurst, leastQueue = 16 << 10, 64 << 10
	mostQueue              = 1 << 31
	usualMTU, frameExtra   = 1500, 18 // Ethernet's header, and a VLAN tag
)

// shape is the token bucket of a rate. It holds a packet at least: a longer one would never
// pass.
func shape(r config.Rate, n *model.Network) spec.Shape {
	if r.Bytes == 0 {
		return spec.Shape{}
	}
	burst := r.Burst
	if burst == 0 {
		burst = max(leastBurst, r.Bytes/perBurst)
	}
	frame := uint64(usualMTU + frameExtra)
	switch {
	case follows(n): // whatever the way out will take
		frame = config.MaxMTU + frameExtra
	case n.Options.MTU > 0:
		frame = uint64(n.Options.MTU) + frameExtra
	}
	burst = max(burst, frame)
	queue := min(max(leastQueue, r.Bytes/perQueue, burst), mostQueue)
	return spec.Shape{Rate: r.Bytes, Burst: uint32(burst), Queue: uint32(queue)} //nolint:gosec // both are bounded, see config.ParseRate
}
