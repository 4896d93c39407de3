package firewall

import (
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/driver/spec"
)

// Peer is one half of an exception from the isolation of networks: of a container that may begin
// flows to another network, or that may be asked by it. A flow passes if there are both halves of
// it: that of the container that begins it, with the link of who is asked, and that of who is
// asked, with the link of who begins it. Each has the ports. No two of a container, of one
// direction and towards one link, overlap; one of all protocols is the only one.
type Peer struct {
	// NetworkID and EndpointID name the owner, as in Port.
	NetworkID, EndpointID string
	// Asks says that the container begins flows; else it is asked.
	Asks bool
	// Bridge is the link of the container, Other that of the other network.
	Bridge, Other string
	// Addr is the container's.
	Addr netip.Addr
	// Proto is 0 for whatever is sent, of any protocol. Else the span has the ports that are
	// asked for, 1..65535, First <= Last.
	Proto spec.Protocol
	spec.Span
}

// Kind and Key make Peer an Object.
func (p Peer) Kind() spec.Kind { return "peer of another network" }

// Key is the half itself.
func (p Peer) Key() any { return p }

// String names the container, the other network's link and the ports.
func (p Peer) String() string {
	what := "reached from"
	if p.Asks {
		what = "reaches"
	}
	out := fmt.Sprintf("%s on %s %s link %s", p.Addr, p.Bridge, what, p.Other)
	if p.Proto != 0 {
		out += fmt.Sprintf(" by %s %d-%d", p.Proto, p.First, p.Last)
	}
	return out
}
