package firewall

import (
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/driver/spec"
)

// Translation is a subnet of a network whose addresses are others outside: the same host part behind
// another prefix.
//   - leaving by a link that is no gangway bridge with a source in Inside: takes the
//     address of Outside with the same host part, and keeps its port.
//   - Outside is not known: what would leave by such a link, other than as an answer, is dropped.
//
// It takes the place of Network.Masquerade for its subnet.
type Translation struct {
	// NetworkID names the owner, as in Port; Bridge is the network's.
	NetworkID, Bridge string
	// Inside is the network's subnet, Outside is as long; invalid while it is not known.
	Inside, Outside netip.Prefix
}

// Inward is a run of ports of a container that are reached by its address of a Translation's
// Outside, under their own numbers: who sends there comes to the container, with his address as the source.
// Nothing else that is sent to Outside is translated.
type Inward struct {
	// NetworkID and EndpointID name the owner, as in Port.
	NetworkID, EndpointID string
	Proto                 spec.Protocol
	// Outside is the address that is asked for, Inside the container's.
	Outside, Inside netip.Addr
	// First and Last are the container's ports, 1..65535, First <= Last.
	First, Last uint16
}

// Kind and Key make Translation an Object.
func (t Translation) Kind() spec.Kind { return "translated prefix" }

// Key is the network's subnet.
func (t Translation) Key() any { return t.Inside }

// String names both prefixes.
func (t Translation) String() string {
	if !t.Outside.IsValid() {
		return fmt.Sprintf("subnet %s, closed for want of a prefix", t.Inside)
	}
	return fmt.Sprintf("subnet %s, outside %s", t.Inside, t.Outside)
}

// Kind and Key make Inward an Object.
func (i Inward) Kind() spec.Kind { return "ports of translated addresses" }

// Key is the run itself.
func (i Inward) Key() any { return i }

// String says where the ports lead.
func (i Inward) String() string {
	return fmt.Sprintf("port %s [%s]:%d-%d of %s", i.Proto, i.Outside, i.First, i.Last, i.Inside)
}
