package iptables

import (
	"fmt"
	"slices"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// chain names a chain of a table.
type chain struct{ table, name string }

func (c chain) String() string { return c.table + " " + c.name }

// ownPrefix begins the name of every chain of gangway.
const ownPrefix = "GANGWAY-"

// rules holds each chain's rules as iptables-save writes them, without
// "-A CHAIN". A chain without a key does not exist.
type rules map[chain][]string

func (r rules) add(more rules) {
	for c, lines := range more {
		r[c] = append(r[c], lines...)
	}
}

// feature is some chains with all rules in them. It has a file, of the same name as in
// package nftables.
type feature struct {
	// shared returns the rules that the first network of a family brings and the last one
	// takes along, with a key for each chain that is there as long.
	shared func(f form) rules
	// elements returns what the elements of a ruleset add in one family.
	elements func(set firewall.Ruleset, six bool) rules
	// fixed are the chains whose rules come from shared alone, in its order. The rules of
	// the others are in the order of their text.
	fixed []chain
}

func features() []feature {
	return []feature{
		{sourceCheckShared, sourceCheckElements, nil},
		{isolationShared, isolationElements, []chain{forwardChain, intoNetworkChain, betweenChain, outOfNetworkChain, foreignChain, acceptChain, withinChain}},
		{openShared, openElements, nil},
		{peerShared, peerElements, nil},
		{refusedShared, refusedElements, nil},
		{func(form) rules { return nil }, portElements, nil},
		{translationShared, translationElements, nil},
		{snatShared, snatElements, []chain{snatChain, masqueradeChain}},
	}
}

// shared returns the shared rules of all features.
func shared(f form) rules {
	all := rules{}
	for _, of := range features() {
		all.add(of.shared(f))
	}
	return all
}

// elements returns what the elements of a ruleset add in one family.
func elements(set firewall.Ruleset, six bool) rules {
	all := rules{}
	for _, of := range features() {
		all.add(of.elements(set, six))
	}
	return all
}

// fixed says whether a chain's rules come from shared alone, in its order.
func fixed(c chain) bool {
	return slices.ContainsFunc(features(), func(of feature) bool { return slices.Contains(of.fixed, c) })
}

// form is what rules depend on beside the ruleset.
type form struct {
	mark firewall.Mark
	six  bool
	// failClosed says that the fail-closed table looks at the marks of packets.
	failClosed bool
	// user says that there is a DOCKER-USER.
	user bool
}

// group matches bridges of gangway by their interface group, so that the rules
// that all networks share do not grow with them.
var group = fmt.Sprintf("-group 0x%x", spec.LinkGroup)

// toBridge and fromBridge match packets of gangway's bridges, leaving those that
// come from one and do not go to one.
var (
	toBridge   = "-m devgroup --dst" + group
	fromBridge = "-m devgroup --src" + group
	leaving    = fromBridge + " ! --dst" + group
	// elsewhere matches what goes to none of them.
	elsewhere = "-m devgroup ! --dst" + group
	// others matches what neither comes from one nor goes to one, by one comparison.
	others = "-m devgroup ! --src" + group + " ! --dst" + group
)

// known matches answers, and errors about them; answers those that go the way of a
// flow's answers.
const (
	known   = "-m conntrack --ctstate RELATED,ESTABLISHED"
	answers = known + " --ctdir REPLY"
)

// fresh matches packets of flows that nobody has decided about yet: neither known nor
// translated by their destination.
const fresh = "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT"

// translated matches flows to published ports, and their answers.
const translated = "-m conntrack --ctstate DNAT"
