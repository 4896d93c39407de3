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
// leave by Bridge and "out of" it when it came in by Bridge. A link leads outside
// if Outside says so; links that are no bridges may do so without. A foreign bridge is
// any other that is not gangway's (an engine's, libvirt's, podman's).
//
// First of all, and before a packet can become part of a tracked flow, its source
// has to fit the link that it came by:
//   - with a source in a network's Subnets, but not by its Bridge: dropped.
//   - out of, to 127.0.0.0/8: dropped.
//
// Then, of what passes from one link to another:
//   - into or out of an Internal network, other than within it: dropped.
//   - within (into and out of): accepted if ICC or translated by a published port.
//   - into, translated by a published port: accepted, whatever its origin.
//   - into, established or related, from a link that leads outside: accepted.
//   - into, an answer of another network's Unprotected family, to ICMP of a Routed
//     family or of a port that is Open: accepted.
//   - into, of an Unprotected family, or ICMP of a Routed family: accepted, whatever
//     its origin.
//   - into, to a port that is Open: accepted.
//   - into, from anywhere else (other networks, the outside): dropped.
//   - out of, to a link that leads outside: accepted.
//   - out of, to a foreign bridge: left to the rules of others if translated by a
//     published port (the other side's, or an answer of one of these), accepted if it
//     is an answer of what is open, else dropped.
//
// Source addresses:
//   - leaving by a link that is no gangway bridge with a source in a Masquerade
//     subnet: takes Source's address of the family, or else that link's, and a
//     port of HighPorts, so that nobody gets a port of the host. A port to Keep is kept.
//   - within, translated by a published port (hairpin), and from 127.0.0.0/8
//     of the host: takes the bridge's address, so that the answer comes back.
//   - translated by a published port, to a container that is at home in the
//     client's subnet as well (Direct): the same.
//
// What passes between two ports of a bridge without coming by the firewall
// (br_netfilter is off) is not its matter; see spec.Veth's Isolated.
//
// DOCKER-USER is asked before any decision about what passes, if it exists.
// Everything that concerns no gangway bridge is untouched, but for Ruleset.Closed.
type Network struct {
	// ID is the engine's network id; rules carry its first 12 characters.
	ID string
	// Bridge is the link's name.
	Bridge string
	// Subnets holds the network's subnets whose addresses come by Bridge alone, at
	// most one a family. IPv6 link-local ones are every link's, and not among them.
	Subnets []netip.Prefix
	// Masquerade holds the network's subnets whose outgoing traffic takes the
	// host's address, at most one a family; empty when switched off.
	Masquerade []netip.Prefix
	// Source holds the addresses that masqueraded traffic takes in place of the
	// leaving link's, at most one a family.
	Source []netip.Addr
	// Hairpin holds the network's subnets, at most one a family, within which
	// translated traffic must take the bridge's address.
	Hairpin []netip.Prefix
	// Unprotected says of which families anyone may reach whatever is behind the
	// bridge who has a route to it.
	Unprotected Families
	// Routed says of which families whatever is behind the bridge takes part in
	// ICMP with anyone: without it, path MTU discovery and ping would end here.
	Routed Families
	// Internal cuts the network off from everything but itself.
	Internal bool
	// ICC (inter-container communication) lets containers of the network reach
	// each other directly.
	ICC bool
}

// Families is a set of address families.
type Families struct{ V4, V6 bool }

// With returns the families of both sets.
func (f Families) With(o Families) Families { return Families{f.V4 || o.V4, f.V6 || o.V6} }

// Without returns the families that are not in another set.
func (f Families) Without(o Families) Families { return Families{f.V4 && !o.V4, f.V6 && !o.V6} }

// Has says whether a family is in the set.
func (f Families) Has(six bool) bool { return six && f.V6 || !six && f.V4 }

// Family returns the set of one family.
func Family(six bool) Families { return Families{V4: !six, V6: six} }

// FirstHighPort and LastHighPort bound the source ports that masqueraded flows get.
// Services and most published ports of the host are below: a container whose flow has
// such a port takes what one remote port sends to it (the "port shadow").
// The rejected alternative, the kernel's own choice, keeps the container's port wherever
// no flow has it.
const (
	FirstHighPort uint16 = 32768
	LastHighPort  uint16 = 65535
)

// AllHigh is all of these.
func AllHigh() spec.Span { return spec.Span{First: FirstHighPort, Last: LastHighPort} }

// HighPorts are the source ports that masqueraded flows of a protocol get, at random: First
// to Last, within FirstHighPort to LastHighPort and less than all of these. Who opens
// flows enough gets each of them.
type HighPorts struct {
	Proto       spec.Protocol
	First, Last uint16
}

// Direct is a container that clients of another network reach without the host, as
// it has an address there as well. What it answers them would not come by the host,
// where the translation of a published port has to be undone.
type Direct struct {
	// NetworkID and EndpointID name the endpoint of Addr, as in Port.
	NetworkID, EndpointID string
	// Clients is the subnet of the container's other network.
	Clients netip.Prefix
	// Addr is the container's address, of the same family.
	Addr netip.Addr
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

// Keep is a run of UDP ports that a container publishes as they are: what it sends
// from them keeps its port on the way out, since peers expect to hear from that.
type Keep struct {
	// NetworkID and EndpointID name the owner, as in Port.
	NetworkID, EndpointID string
	Addr                  netip.Addr
	// Source is the address that the packets take; invalid for that of the link that
	// they leave by.
	Source netip.Addr
	// First and Last are the container's ports and the host's, First <= Last.
	First, Last uint16
}

// Ruleset is a set of networks, published and open ports, and of what they depend
// on. Bridges are unique among networks, and (protocol, host address, host port)
// among ports.
type Ruleset struct {
	Networks []Network
	Ports    []Port
	Open     []Open
	Direct   []Direct
	Keep     []Keep
	// HighPorts holds each protocol at most once. One that is not among them has all
	// ports from FirstHighPort to LastHighPort. What a Delta adds takes the place of what
	// its protocol had.
	HighPorts []HighPorts
	// Outside are the links that lead outside, each once. What is not among them
	// is closed.
	Outside []spec.Outside
	// Closed are the families that the host forwards for gangway's sake alone: it is no
	// router. A packet of such a family that comes by a link that leads outside and
	// leaves by none of gangway's bridges is dropped, unless
	//   - it is established or related, or translated by a published port or whoever
	//     else redirects it;
	//   - it stays on a bridge: that is no forwarding;
	//   - a rule of somebody's accepts it: one in the FORWARD chain of iptables, or
	//     MarkAccept where iptables decide nothing.
	// What comes by a foreign bridge passes: containers there have to get out. The
	// policy of FORWARD does not count as a rule that accepts, it may be nobody's choice.
	// Closed needs no network: the last one leaves forwarding turned on.
	Closed Families
}

// Gate is what iptables have to do beside a backend that lives in nf_tables.
type Gate struct {
	// Networks says that packets of gangway's bridges are marked.
	Networks bool
	// Closed are the families of Ruleset.Closed.
	Closed Families
}

// Delta is one change: Remove goes and Add comes in one step. Elements are
// complete values; a network whose settings change is removed and added.
type Delta struct {
	Remove, Add Ruleset
}

// Empty says whether the delta changes nothing.
func (d Delta) Empty() bool { return d.Remove.empty() && d.Add.empty() }

// With returns both changes as one.
func (d Delta) With(o Delta) Delta { return Delta{d.Remove.with(o.Remove), d.Add.with(o.Add)} }

func (r Ruleset) with(o Ruleset) Ruleset {
	for _, e := range o.All() {
		r.Add(e)
	}
	return r
}

func (r Ruleset) empty() bool {
	return len(r.Networks)+len(r.Ports)+len(r.Open)+len(r.Direct)+len(r.Keep)+len(r.HighPorts)+len(r.Outside) == 0 && r.Closed == Families{}
}

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
	// Mend makes the kernel hold again what the last Apply, Mend or Sync that succeeded
	// has left, and returns one line for each thing that had to be repaired, nil when
	// everything was in place. Before any has, that is what the kernel holds.
	Mend(ctx context.Context) (repaired []string, err error)
	// Sync is Mend for a ruleset: the kernel is made to hold exactly full beside what
	// others own.
	Sync(ctx context.Context, full Ruleset) (repaired []string, err error)
	// Cleanup removes everything that carries gangway's names.
	Cleanup(ctx context.Context) error
}
