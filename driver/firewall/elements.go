package firewall

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/spec"
)

// The elements of a Ruleset are objects. A new kind of element is a type with Kind, Key
// and String, a field of Ruleset, and a line in Add, in All and in empty: all in this
// file. One more thing to know about a network is a field of Network.

// Ruleset is a set of networks, published and open ports, and of what they depend
// on. Bridges are unique among networks, and (protocol, host address, host port)
// among ports.
type Ruleset struct {
	Networks       []Network
	Ports          []Port
	Open           []Open
	Peers          []Peer
	Direct         []Direct
	PreservedPorts []PreservedPorts
	Translations   []Translation
	Inward         []Inward
	// HighPorts holds each protocol at most once. One that is not among them has all
	// ports from FirstHighPort to LastHighPort. What a Delta adds takes the place of what
	// its protocol had.
	HighPorts []HighPorts
	// Outside are the links that lead outside, each once. What is not among them
	// is closed.
	Outside []spec.Outside
	// NoTransit are the families that the host forwards for gangway's sake alone: it is no
	// router. A packet of such a family that comes by a link that leads outside and
	// leaves by none of gangway's bridges is dropped, unless
	//   - it is established or related, or translated by a published port or whoever
	//     else redirects it;
	//   - it stays on a bridge: that is no forwarding;
	//   - a rule of somebody's accepts it: one in the FORWARD chain of iptables, or
	//     Mark.Accept where iptables decide nothing.
	// What comes by a foreign bridge passes: containers there have to get out. The
	// policy of FORWARD does not count as a rule that accepts, it may be nobody's choice.
	// NoTransit needs no network: the last one leaves forwarding turned on.
	NoTransit Families
	// Log says that there is a Log.
	Log bool
	// Policies are what networks and containers may do of all that; see package policy.
	// Backends know nothing of them: they are a layer beside, which only drops.
	Policies []policy.Binding
}

// Add adds an element, and says whether it was one.
func (r *Ruleset) Add(o spec.Object) bool {
	switch e := o.(type) {
	case Network:
		r.Networks = append(r.Networks, e)
	case Port:
		r.Ports = append(r.Ports, e)
	case Open:
		r.Open = append(r.Open, e)
	case Peer:
		r.Peers = append(r.Peers, e)
	case Direct:
		r.Direct = append(r.Direct, e)
	case PreservedPorts:
		r.PreservedPorts = append(r.PreservedPorts, e)
	case Translation:
		r.Translations = append(r.Translations, e)
	case Inward:
		r.Inward = append(r.Inward, e)
	case spec.Outside:
		r.Outside = append(r.Outside, e)
	case HighPorts:
		r.HighPorts = append(r.HighPorts, e)
	case NoTransit:
		r.NoTransit = r.NoTransit.With(Family(e.Six))
	case Log:
		r.Log = true
	case policy.Binding:
		r.Policies = append(r.Policies, e)
	default:
		return false
	}
	return true
}

// All returns the elements.
func (r Ruleset) All() []spec.Object {
	all := slices.Concat(objects(r.Networks), objects(r.Ports), objects(r.Open), objects(r.Peers), objects(r.Direct), objects(r.PreservedPorts), objects(r.Translations), objects(r.Inward), objects(r.HighPorts), objects(r.Outside), objects(r.Policies))
	for _, six := range []bool{false, true} {
		if r.NoTransit.Has(six) {
			all = append(all, NoTransit{six})
		}
	}
	if r.Log {
		all = append(all, Log{})
	}
	return all
}

func objects[T spec.Object](list []T) []spec.Object {
	all := make([]spec.Object, len(list))
	for i, e := range list {
		all[i] = e
	}
	return all
}

func (r Ruleset) with(o Ruleset) Ruleset {
	for _, e := range o.All() {
		r.Add(e)
	}
	return r
}

func (r Ruleset) empty() bool {
	return len(r.Networks)+len(r.Ports)+len(r.Open)+len(r.Peers)+len(r.Direct)+len(r.PreservedPorts)+len(r.Translations)+len(r.Inward)+len(r.HighPorts)+len(r.Outside)+len(r.Policies) == 0 && r.NoTransit == Families{} && !r.Log
}

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

// PreservedPorts is a run of UDP ports that a container publishes as they are: what it sends
// from them keeps its port on the way out, since peers expect to hear from that.
type PreservedPorts struct {
	// NetworkID and EndpointID name the owner, as in Port.
	NetworkID, EndpointID string
	Addr                  netip.Addr
	// Source is the address that the packets take; invalid for that of the link that
	// they leave by.
	Source netip.Addr
	// First and Last are the container's ports and the host's, First <= Last.
	First, Last uint16
}

// NoTransit is a family of Ruleset.NoTransit.
type NoTransit struct{ Six bool }

// Kind and Key make Port an Object.
func (p Port) Kind() spec.Kind { return "published ports" }

// Key is the run itself.
func (p Port) Key() any { return p }

// String says where the ports lead.
func (p Port) String() string { return "published port " + p.Published.String() }

// Kind and Key make Open an Object.
func (o Open) Kind() spec.Kind { return "open ports" }

// Key is the run itself.
func (o Open) Key() any { return o }

// String names the container's ports, and who reaches them.
func (o Open) String() string {
	out := fmt.Sprintf("open port %s %s:%d-%d", o.Proto, o.Addr, o.First, o.Last)
	if o.From != "" {
		out += " by link " + o.From
	}
	return out
}

// Kind and Key make Direct an Object.
func (d Direct) Kind() spec.Kind { return "container on several networks" }

// Key is the container on the network itself.
func (d Direct) Key() any { return d }

// String names the container and its clients.
func (d Direct) String() string {
	return fmt.Sprintf("published ports of %s for its neighbours in %s", d.Addr, d.Clients)
}

// Kind and Key make PreservedPorts an Object.
func (k PreservedPorts) Kind() spec.Kind { return "preserved source ports" }

// Key is the run itself.
func (k PreservedPorts) Key() any { return k }

// String names the ports.
func (k PreservedPorts) String() string {
	return fmt.Sprintf("source ports udp %s:%d-%d preserved", k.Addr, k.First, k.Last)
}

// Kind and Key make HighPorts an Object.
func (h HighPorts) Kind() spec.Kind { return "source ports" }

// Key is the protocol.
func (h HighPorts) Key() any { return h.Proto }

// String is the range.
func (h HighPorts) String() string {
	return fmt.Sprintf("source ports %s %d-%d of what goes out", h.Proto, h.First, h.Last)
}

// Kind and Key make NoTransit an Object.
func (c NoTransit) Kind() spec.Kind { return "family without transit" }

// Key is the family itself.
func (c NoTransit) Key() any { return c }

// String names the family.
func (c NoTransit) String() string {
	name := "IPv4"
	if c.Six {
		name = "IPv6"
	}
	return "forwarding of " + name + " for the networks alone"
}
