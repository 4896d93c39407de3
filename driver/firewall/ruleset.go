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
//   - into or out of an Internal network, other than within it: dropped, but for what its
//     Gateways send and get.
//   - within (into and out of): accepted if ICC or translated by a published port.
//   - into, translated by a published port: accepted, wherever it comes from.
//   - into, established or related, from a link that leads outside: accepted.
//   - into, an answer of another network's Unprotected family, to ICMP of a Routed
//     family or of a port that is Open: accepted.
//   - into, of an Unprotected family, or ICMP of a Routed family: accepted,
//     wherever it comes from.
//   - into, to a port that is Open: accepted.
//   - into, from another network, where a Peer of who begins the flow and one of who is asked
//     match: accepted, with the answers, and errors about the flow, that go the other way.
//   - into, from anywhere else (other networks, the outside): dropped.
//   - out of, to a link that leads outside: accepted.
//   - out of, to a foreign bridge: left to the rules of others if translated by a
//     published port (the other side's, or an answer of one of these), accepted if it
//     is an answer of what is open, else dropped.
//
// Source addresses:
//   - leaving by a link that is no gangway bridge with a source in a Masquerade
//     subnet: takes Source's address of the family, or else that link's, and a
//     port of HighPorts, so that nobody gets a port of the host. That of PreservedPorts is preserved.
//   - within, translated by a published port (hairpin), and from 127.0.0.0/8
//     of the host: takes the bridge's address, so that the answer comes back.
//   - translated by a published port, to a container that is at home in the
//     client's subnet as well (Direct): the same.
//
// What passes between two ports of a bridge without coming by the firewall
// (br_netfilter is off) is not its matter; see spec.Veth's Isolated.
//
// DOCKER-USER is asked before any decision about what passes, if it exists.
// Everything that concerns no gangway bridge is untouched, but for Ruleset.NoTransit.
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
	// Hairpin holds those of Subnets, at most one a family, within which translated
	// traffic must take the bridge's address.
	Hairpin []netip.Prefix
	// Unprotected says of which families anyone may reach whatever is behind the
	// bridge who has a route to it.
	Unprotected Families
	// Routed says of which families whatever is behind the bridge takes part in
	// ICMP with anyone: without it, path MTU discovery and ping would end here.
	Routed Families
	// Host says that the bridge is a link of the host that leads outside (see Outside). What
	// passes within it, which comes by the firewall with br_netfilter, is accepted; all else is as
	// with any such link.
	Host bool `json:",omitempty"`
	// Further says that the bridge is a further one of a network (see spec.FurtherBridge). What passes
	// within it is that network's wire, and neither tracked nor translated: it comes by
	// the firewall where it concerns the host, at the first bridge. Host is set as well.
	Further bool `json:",omitempty"`
	// Internal cuts the network off from everything but itself.
	Internal bool
	// Gateways are the addresses of the one container, at most one a family, for which an
	// Internal network is as any other: by it the others may leave.
	Gateways []netip.Addr
	// ICC (inter-container communication) lets containers of the network reach
	// each other directly.
	ICC bool
}

// Kind and Key make Network an Object.
func (n Network) Kind() spec.Kind { return "rules of a network" }

// Key is the id.
func (n Network) Key() any { return n.ID }

// String names the bridge and what the network is.
func (n Network) String() string {
	out := "rules of bridge " + n.Bridge
	if n.Internal {
		out += ", internal"
	}
	for _, a := range n.Gateways {
		out += ", left by " + a.String()
	}
	if !n.ICC {
		out += ", containers apart"
	}
	for _, s := range n.Subnets {
		out += ", " + s.String()
	}
	return out
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

// ForwardHook is what iptables have to do beside a backend that lives in nf_tables.
type ForwardHook struct {
	// Networks says that packets of gangway's bridges are marked.
	Networks bool
	// NoTransit are the families of Ruleset.NoTransit.
	NoTransit Families
	// Within are the bridges of networks that are the host's links, sorted, with blanks between:
	// what passes within one of them is accepted. No other rules know them.
	Within string
}

// Delta is one change: Remove goes and Add comes in one step. Elements are
// complete values; a network whose settings change is removed and added.
type Delta struct {
	Remove, Add Ruleset
	// Running says that those whose policies change were there before: flows that these
	// policies forbid may be under way, and are ended.
	Running bool
}

// Empty says whether the delta changes nothing.
func (d Delta) Empty() bool { return d.Remove.empty() && d.Add.empty() }

// With returns both changes as one.
func (d Delta) With(o Delta) Delta {
	return Delta{d.Remove.with(o.Remove), d.Add.with(o.Add), d.Running || o.Running}
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
	// Repair makes the kernel hold again what the last Apply, Repair or Sync that succeeded
	// has left, and returns one line for each thing that had to be repaired, nil when
	// everything was in place. Before any has, that is what the kernel holds.
	Repair(ctx context.Context) (repaired []string, err error)
	// Sync is Repair for a ruleset: the kernel is made to hold exactly full beside what
	// others own.
	Sync(ctx context.Context, full Ruleset) (repaired []string, err error)
	// Cleanup removes everything that carries gangway's names.
	Cleanup(ctx context.Context) error
}
