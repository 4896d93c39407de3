package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
)

// covers says whether one entry has all of another one.
func covers(outer, inner config.Peers) bool {
	if !outer.All() && (inner.All() || !hasPorts(outer.Ports, inner.Ports)) {
		return false
	}
	if outer.Group == config.GroupHost || inner.Group == config.GroupHost || inner.Group == config.GroupDNS {
		return outer.Group == inner.Group
	}
	if outer.Name != "" || inner.Name != "" {
		return coversName(outer, inner)
	}
	if outer.Network.Name != "" && outer.Network.Name == inner.Network.Name {
		return true
	}
	in, out := addresses(inner), addresses(outer)
	if inner.Network.Name != "" && len(in.Ranges()) == 0 {
		return false // nobody knows whom it stands for
	}
	for _, r := range in.Ranges() {
		if !out.ContainsRange(r) {
			return false
		}
	}
	return true
}

// coversName says whether the name of an entry has all of another one's.
func coversName(outer, inner config.Peers) bool {
	if inner.Name == "" {
		return false
	}
	if inner.Plain() != "" {
		return outer.Covers(inner.Name)
	}
	return outer.Name != "" && outer.Plain() == "" && strings.HasSuffix(inner.Name[1:], outer.Name[1:])
}

// hasPorts says whether ports have all of others.
func hasPorts(outer, inner config.Ports) bool {
	if outer.Proto != 0 && outer.Proto != inner.Proto {
		return false
	}
	a, b := spanOf(outer), spanOf(inner)
	return a.first <= b.first && b.last <= a.last
}

// coverIndex finds those of a list that cover an entry, without a look at each of thousands.
type coverIndex struct {
	list     []config.Peers
	names    nameIndex
	prefixes map[netip.Prefix][]int
	networks map[string][]int
	groups   []int
}

func indexCovers(list []config.Peers, names nameIndex) coverIndex {
	x := coverIndex{list: list, names: names, prefixes: map[netip.Prefix][]int{}, networks: map[string][]int{}}
	for i, e := range list {
		if e.Group != "" {
			x.groups = append(x.groups, i)
		}
		if e.Network.Name != "" {
			x.networks[e.Network.Name] = append(x.networks[e.Network.Name], i)
		}
		for _, p := range prefixes(e) {
			x.prefixes[p] = append(x.prefixes[p], i)
		}
	}
	return x
}

// prefixes are those that an entry is; none for groups, names, and networks that are not there.
func prefixes(e config.Peers) []netip.Prefix {
	switch {
	case e.Literal():
		return []netip.Prefix{e.Prefix}
	case e.Network.Name != "":
		return e.Network.Subnets()
	}
	return nil
}

// cover returns an entry that covers another one.
func (x coverIndex) cover(e config.Peers) (by config.Peers, found bool) {
	for _, i := range x.near(e) {
		if covers(x.list[i], e) {
			return x.list[i], true
		}
	}
	return config.Peers{}, false
}

// near are the places of entries that may cover one. No prefix and no network has a group, which
// is of many of both families.
func (x coverIndex) near(e config.Peers) (all []int) {
	if e.Name != "" {
		return x.names.coveringEntry(e)
	}
	all = append(all, x.groups...)
	all = append(all, x.networks[e.Network.Name]...)
	for _, p := range prefixes(e) {
		for bits := p.Bits(); bits >= 0; bits-- {
			all = append(all, x.prefixes[netip.PrefixFrom(p.Addr(), bits).Masked()]...)
		}
	}
	return all
}

// coveringEntry is covering for a name as an entry has it.
func (x nameIndex) coveringEntry(e config.Peers) []int {
	at := indexedOf(e)
	if at.wild {
		return x.above(at.base, slices.Clone(x.at[at]))
	}
	return x.covering(at.base)
}

// covered refuses allowed destinations of which gangway.egress.deny leaves nothing.
func (p Policy) covered() error {
	x := indexCovers(p.Deny, p.denies)
	for _, a := range p.Allow {
		if d, found := x.cover(a); found {
			return mistake(OptionAllow, a, "which can never match: gangway.egress.deny has %s", d)
		}
	}
	return nil
}

// checkNames refuses names that can never match.
func (p Policy) checkNames() error {
	below := map[string]bool{} // what some allowed name is below of
	for _, a := range p.Allow {
		if a.Name == "" {
			continue
		}
		if !p.mayOpen(a.Ports) {
			return fmt.Errorf("gangway.egress.allow has %s, which can never match: with gangway.egress.names=%s a name opens TCP alone; allow addresses for the rest", a, config.NamesStrict)
		}
		at := indexedOf(a)
		below[at.base] = below[at.base] || at.wild
		for rest, more := at.base, true; more; {
			if _, rest, more = strings.Cut(rest, "."); more {
				below[rest] = true
			}
		}
	}
	for _, d := range p.Deny {
		switch {
		case d.Group == config.GroupDNS:
			return mistake(OptionDeny, d, "which can never match: nothing is asked unless gangway.egress.allow has it; a server is denied by its address, all by 0.0.0.0/0:53,[::/0]:53")
		case d.Name == "":
		case !d.All():
			return mistake(OptionDeny, d, "and a name that is denied is not answered, whatever the port: leave ports and protocol out")
		case p.allows.dns, len(p.allows.coveringEntry(d)) > 0, indexedOf(d).wild && below[indexedOf(d).base]:
		default:
			return mistake(OptionDeny, d, "which can never match: no name in gangway.egress.allow has it. Who knows an address needs no name for it: deny addresses")
		}
	}
	return nil
}
