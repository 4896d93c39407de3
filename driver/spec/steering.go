package spec

import "net/netip"

// KindSteering are rules of policy routing and their table, by which a network is left.
const KindSteering Kind = "way out"

// Steering has what comes by a bridge, and is for no address of the host, go to a container on that
// bridge, or nowhere. What comes from that container itself is routed as everything else.
type Steering struct {
	// Bridge is the link's name.
	Bridge, NetworkID string
	// Ways are those of the network's families, at most one each.
	Ways []Way
}

// Way is that of one family.
type Way struct {
	Subnet netip.Prefix
	// Via is the container's address; invalid for none: nothing passes.
	Via netip.Addr
}

// Kind and Key make Steering an Object.
func (s Steering) Kind() Kind { return KindSteering }

// Key is the bridge.
func (s Steering) Key() any { return s.Bridge }

// On are the links that it is at.
func (s Steering) On() []string { return []string{s.Bridge} }

// String says where what leaves goes.
func (s Steering) String() string {
	out := "way out of bridge " + s.Bridge
	for _, w := range s.Ways {
		if w.Via.IsValid() {
			out += ", by " + w.Via.String()
		} else {
			out += ", none for " + w.Subnet.String()
		}
	}
	return out
}
