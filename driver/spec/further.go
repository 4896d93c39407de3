package spec

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// The kinds of what a network has beyond the ports of one bridge.
const (
	KindFurtherBridge Kind = "further bridge"
	KindForwarded     Kind = "forwarding entry"
)

// FurtherGroup is the interface group of further bridges. It is another than LinkGroup: rules
// that know a network's containers by their bridge mean the one that the host is on.
const FurtherGroup = LinkGroup + 1

// FurtherBridge is a bridge that holds containers of a network for whom its first one has no ports. A
// link pair joins the two, an end a port of each. The host is on the first one alone: of
// what comes to a further one for the host itself, nothing is let in.
type FurtherBridge struct {
	NetworkID string
	// Number is 2 for the second bridge of the network.
	Number int
	// Name is the link's name, First that of the network's first bridge.
	Name, First string
	// MTU and Follows are as in Veth, for the pair that joins the bridges. What follows never
	// shrinks: containers may send what was allowed when they were started.
	MTU     int
	Follows bool `json:",omitempty"`
	// Isolated keeps containers apart, as in Veth: what those of one bridge send to everybody
	// does not come to the other.
	Isolated bool
}

// Kind and Key make FurtherBridge an Object.
func (b FurtherBridge) Kind() Kind { return KindFurtherBridge }

// Key is the name.
func (b FurtherBridge) Key() any { return b.Name }

// String names both bridges.
func (b FurtherBridge) String() string {
	return fmt.Sprintf("bridge %s, number %d of bridge %s's network", b.Name, b.Number, b.First)
}

// Near names the end of the joining pair that is a port of the first bridge, Far that on the
// further one.
func (b FurtherBridge) Near() string { return NearEnd(b.Name) }

// Far is as in Near.
func (b FurtherBridge) Far() string { return "gu-" + strings.TrimPrefix(b.Name, BridgePrefix) }

// NearEnd is the end on the first bridge of the pair by which a further one is joined to it.
func NearEnd(further string) string { return "gt-" + strings.TrimPrefix(further, BridgePrefix) }

// On are the links that it is made of.
func (b FurtherBridge) On() []string { return []string{b.First, b.Name, b.Near(), b.Far()} }

// Owner is whose the bridge and the near end are, as their alias says; FarOwner that of the far
// end.
func (b FurtherBridge) Owner() string { return b.NetworkID + "/" + strconv.Itoa(b.Number) }

// FarOwner is as in Owner.
func (b FurtherBridge) FarOwner() string { return b.Owner() + "/far" }

// NetworkOf returns the network that an owner of a bridge is, or is a part of; number is that of a
// further bridge, 0 for the first one.
func NetworkOf(owner string) (networkID string, number int) {
	networkID, rest, cut := strings.Cut(owner, "/")
	if !cut {
		return owner, 0
	}
	rest, _, _ = strings.Cut(rest, "/")
	number, _ = strconv.Atoi(rest)
	return networkID, number
}

// Forwarded has the first bridge of a network know by which of its ports it reaches a container on a
// further one: it does not see all that the container sends, and would forget.
type Forwarded struct {
	EndpointID string
	// First is the first bridge, Port the near end of the pair that joins the bridges, and MAC the
	// container's.
	First, Port string
	MAC         net.HardwareAddr
}

// Kind and Key make Forwarded an Object.
func (f Forwarded) Kind() Kind { return KindForwarded }

// Key is the endpoint's id.
func (f Forwarded) Key() any { return f.EndpointID }

// On are the links that it is at. Whoever has come to have the address is a port of the first bridge.
func (f Forwarded) On() []string { return []string{f.First, f.Port} }

// String names the address and the port.
func (f Forwarded) String() string { return "forwarding entry of " + f.MAC.String() + " by " + f.Port }
