// Package firewall says what packets may do on gangway's networks, in terms
// that every backend (iptables, nftables) gives the same meaning.
//
// A Ruleset is the union of what each network and each endpoint contributes;
// its elements have no order, and two equal sets of elements mean the same
// whatever the order they were added in. Backends turn it into kernel rules
// and keep only what carries gangway's own names. The package itself is pure.
package firewall

import (
	"context"
	"net/netip"

	"github.com/gangway-net/gangway/driver/spec"
)

// Network is what the firewall has to know about one network.
//
// Meaning, both families alike. A packet is "into" the network when it would
// leave by Bridge and "out of" it when it came in by Bridge:
//   - into or out of an Internal network, other than within it: dropped.
//   - into, established or related: accepted.
//   - into, translated by a published port: accepted, whatever its origin.
//   - within (into and out of): accepted if ICC, else dropped.
//   - into, to an address of an Unprotected subnet, or ICMP to one of a Routed
//     subnet: accepted, whatever its origin.
//   - into, to a port that is Open: accepted.
//   - into, from anywhere else (other networks, the outside): dropped.
//   - out of, to a bridge of the engine (docker0, docker_gwbridge, br-*):
//     left to the engine's own rules if established, related or translated,
//     else dropped.
//   - out of, to anywhere else: accepted.
//   - leaving by a link that is no gangway bridge with a source in a Masquerade
//     subnet: takes Source's address of the family, or else that link's.
//   - within, translated by a published port (hairpin), and from 127.0.0.0/8
//     of the host: takes the bridge's address, so that the answer comes back.
//
// What passes between two ports of a bridge without coming by the firewall
// (br_netfilter is off) is not its matter; see spec.Veth's Isolated.
//
// DOCKER-USER is asked before any of this, if it exists. Everything that
// concerns no gangway bridge is untouched.
type Network struct {
	// ID is the engine's network id; rules carry its first 12 characters.
	ID string
	// Bridge is the link's name.
	Bridge string
	// Masquerade holds the network's subnets whose outgoing traffic takes the
	// host's address, at most one a family; empty when switched off.
	Masquerade []netip.Prefix
	// Source holds the addresses that masqueraded traffic takes in place of the
	// leaving link's, at most one a family.
	Source []netip.Addr
	// Hairpin holds the network's subnets, at most one a family, within which
	// translated traffic must take the bridge's address.
	Hairpin []netip.Prefix
	// Unprotected holds the network's subnets all of whose ports anyone may
	// reach who has a route, at most one a family.
	Unprotected []netip.Prefix
	// Routed holds the network's subnets that take part in ICMP with anyone, at
	// most one a family: without it, path MTU discovery and ping would end here.
	Routed []netip.Prefix
	// Internal cuts the network off from everything but itself.
	Internal bool
	// ICC (inter-container communication) lets containers of the network reach
	// each other directly.
	ICC bool
}

// Port is a run of published ports in one family, served by NAT: a packet to
// a local address of the host that matches is sent to the container, with its
// source address kept. Loopback addresses are matched only for packets that
// the host itself made.
type Port struct {
	// NetworkID and EndpointID name the owner; rules carry their first 12
	// characters.
	NetworkID, EndpointID string
	// Published has HostIP and ContainerIP of the same family.
	spec.Published
}

// Open is a run of ports of a container that are reached by the container's
// own address, from other networks and the outside.
type Open struct {
	// NetworkID and EndpointID name the owner, as in Port.
	NetworkID, EndpointID string
	// Bridge is the network's; From, unless empty, the one link by which
	// packets may come.
	Bridge, From string
	Proto        spec.Protocol
	Addr         netip.Addr
	// First and Last are the container's ports, 1..65535, First <= Last.
	First, Last uint16
}

// Ruleset is a set of networks, published and open ports. Bridges are unique
// among networks, and (protocol, host address, host port) among ports.
type Ruleset struct {
	Networks []Network
	Ports    []Port
	Open     []Open
}

// Delta is one change: Remove goes and Add comes in one step. Elements are
// complete values; a network whose settings change is removed and added.
type Delta struct {
	Remove, Add Ruleset
}

// Empty says whether the delta changes nothing.
func (d Delta) Empty() bool { return d.Remove.empty() && d.Add.empty() }

func (r Ruleset) empty() bool { return len(r.Networks)+len(r.Ports)+len(r.Open) == 0 }

// Backend puts rulesets into the kernel. Implementations are safe for
// concurrent use.
type Backend interface {
	// Name is "iptables" or "nftables".
	Name() string
	// Apply makes one change: its cost depends on the delta's size as far as
	// the kernel interface allows. On error the rules are as before, as far
	// as the kernel takes them in one transaction; the error says what stayed.
	// Adding what is there and removing what is gone succeed.
	Apply(ctx context.Context, d Delta) error
	// Sync makes the kernel hold exactly full beside what others own, and
	// returns one line for each thing that had to be repaired, nil when
	// everything was in place.
	Sync(ctx context.Context, full Ruleset) (repaired []string, err error)
	// Cleanup removes everything that carries gangway's names.
	Cleanup(ctx context.Context) error
}
