package policy

import (
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/spec"
)

// Binding is a policy with those for whom it is: a network, but for its containers that have
// policies of their own, or one of these.
type Binding struct {
	// NetworkID is the network's; EndpointID is empty for the network itself.
	NetworkID, EndpointID string
	// Bridge is the network's link, Subnets are its subnets, without link-local ones.
	Bridge  string
	Subnets []netip.Prefix
	// Addrs are the container's addresses on the network.
	Addrs []netip.Addr
	// Texts are the policy's, of which nothing is left to anybody else.
	Texts config.Policy
}

// Kind and Key make Binding an Object.
func (b Binding) Kind() spec.Kind { return "policy" }

// Key is whose policy it is.
func (b Binding) Key() any { return b.NetworkID + " " + b.EndpointID }

// Policy is the binding's; one that cannot be read allows nothing.
func (b Binding) Policy() Policy {
	p, _ := Of(b.Texts) // it is closed with an error
	return p
}

// Serving says at which ports of the host the daemon serves those whose policy has names: where
// it answers questions, and reads connections. 0 is nowhere.
type Serving struct{ Questions, Connections uint16 }

// String names whose policy it is.
func (b Binding) String() string {
	if b.EndpointID == "" {
		return "policy of bridge " + b.Bridge
	}
	out := "policy on bridge " + b.Bridge + " of"
	for _, a := range b.Addrs {
		out += " " + a.String()
	}
	return out
}
