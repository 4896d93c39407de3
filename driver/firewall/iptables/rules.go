package iptables

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// chain names a chain of a table.
type chain struct{ table, name string }

func (c chain) String() string { return c.table + " " + c.name }

// The chains that gangway owns.
var (
	forwardChain  = chain{"filter", "GANGWAY-FORWARD"}
	inChain       = chain{"filter", "GANGWAY-IN"}
	outChain      = chain{"filter", "GANGWAY-OUT"}
	awayChain     = chain{"filter", "GANGWAY-AWAY"}
	outsideChain  = chain{"filter", "GANGWAY-OUTSIDE"}
	engineChain   = chain{"filter", "GANGWAY-ENGINE"}
	internalChain = chain{"filter", "GANGWAY-INTERNAL"}
	iccChain      = chain{"filter", "GANGWAY-ICC"}
	openChain     = chain{"filter", "GANGWAY-OPEN"}
	acceptChain   = chain{"filter", "GANGWAY-ACCEPT"}
	guardChain    = chain{"raw", "GANGWAY-GUARD"}
	dnatChain     = chain{"nat", "GANGWAY-DNAT"}
	snatChain     = chain{"nat", "GANGWAY-SNAT"}
	// userChain asks DOCKER-USER, and leads to what decides.
	userChain = chain{"filter", "GANGWAY-USER"}
	// verdictChain is the Gate's, which has forwardChain too.
	verdictChain = chain{"filter", "GANGWAY-VERDICT"}
)

// dockerUser is the chain that the engine keeps for the administrator's rules.
var dockerUser = chain{"filter", "DOCKER-USER"}

// ownPrefix begins the name of every chain of gangway.
const ownPrefix = "GANGWAY-"

// rules holds each chain's rules as iptables-save writes them, without
// "-A CHAIN". A chain without a key does not exist.
type rules map[chain][]string

// group matches bridges of gangway by their interface group, so that the rules
// that all networks share do not grow with them.
var group = fmt.Sprintf("-group 0x%x", spec.LinkGroup)

// toBridge and fromBridge match packets of gangway's bridges, leaving those that
// come from one and do not go to one.
var (
	toBridge   = "-m devgroup --dst" + group
	fromBridge = "-m devgroup --src" + group
	leaving    = fromBridge + " ! --dst" + group
)

// form is what rules depend on beside the ruleset.
type form struct {
	six bool
	// valve says that a Valve looks at the marks of packets.
	valve bool
	// user says that there is a DOCKER-USER.
	user bool
}

// setMark sets gangway's bits of the mark.
func setMark(bits uint32) string {
	return fmt.Sprintf("-j MARK --set-xmark %#x/%#x", bits, firewall.MarkMask)
}

// asked are the rules that ask DOCKER-USER. What that has accepted bears
// MarkAsked, and nothing else does: whoever else accepts a packet, before these
// rules or behind them, has not decided for gangway.
func asked(f form) []string {
	var r []string
	if f.user {
		r = append(r, "-j "+dockerUser.name)
	}
	if f.valve {
		r = slices.Concat([]string{setMark(firewall.MarkAsked)}, r, []string{setMark(firewall.MarkDrop)})
	}
	return r
}

// shared returns what the first network of a family brings and the last one
// takes along. Engine bridges are left to the engine's rules as far as these
// can accept the packet; a new flow to them is none of a published port.
//
// Chains lead to one another in such a way that one that is emptied, and a rule that
// is deleted, lets nothing through by what follows: userChain and internalChain end
// with the way to all that accepts, and what leaves is accepted by a row of rules of
// which each names what it is not for.
func shared(f form) rules {
	r := rules{
		forwardChain: {
			toBridge + " -j " + userChain.name,
			leaving + " -j " + userChain.name,
		},
		userChain: append(asked(f), "-j "+internalChain.name),
		internalChain: {
			toBridge + " -j " + inChain.name,
			leaving + " -j " + outChain.name,
		},
		inChain: {
			"-m conntrack --ctstate RELATED,ESTABLISHED -j " + acceptChain.name,
			"-m conntrack --ctstate DNAT -j " + acceptChain.name,
			"-j " + iccChain.name,
			"-j " + openChain.name,
			"-j DROP",
		},
		outChain:     {"! -o docker0 -j " + awayChain.name, "-j " + engineChain.name},
		awayChain:    {"! -o docker_gwbridge -j " + outsideChain.name, "-j " + engineChain.name},
		outsideChain: {"! -o br-+ -j " + acceptChain.name, "-j " + engineChain.name},
		engineChain:  {"-m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j RETURN", "-j DROP"},
		acceptChain:  {"-j ACCEPT"},
		openChain:    nil,
	}
	if f.valve {
		r[acceptChain] = []string{setMark(firewall.MarkAccept), "-j ACCEPT"}
	}
	if !f.six {
		// The way to containers from 127.0.0.1 (route_localnet) must not be
		// one from containers to it.
		r[guardChain] = []string{fromBridge + " -j DROP"}
		r[snatChain] = []string{"-s 127.0.0.0/8 " + toBridge + " -j MASQUERADE"}
	}
	return r
}

// fixed says whether a chain's rules come from shared alone, in their order.
func fixed(c chain) bool {
	return slices.Contains([]chain{forwardChain, userChain, inChain, outChain, awayChain, outsideChain, engineChain, acceptChain, verdictChain}, c)
}

// networkRules returns what one network adds in one family. The filter rules
// are there in both, whatever addresses it has.
func networkRules(n firewall.Network, six bool) rules {
	r := rules{}
	tag := comment("net=" + short(n.ID))
	within := "-i " + n.Bridge + " -o " + n.Bridge
	verdict := " -j DROP"
	if n.ICC {
		verdict = " -j " + acceptChain.name
	}
	r[iccChain] = []string{within + tag + verdict}
	if n.Internal {
		r[internalChain] = []string{
			"-i " + n.Bridge + " ! -o " + n.Bridge + tag + " -j DROP",
			"! -i " + n.Bridge + " -o " + n.Bridge + tag + " -j DROP",
		}
	}
	for _, p := range ofFamily(n.Masquerade, six) {
		// The network's own bridge is in the group as all are: no need to name it.
		r[snatChain] = append(r[snatChain], "-s "+p.String()+" -m devgroup ! --dst"+group+tag+" -j "+source(n, six))
	}
	for _, p := range ofFamily(n.Unprotected, six) {
		r[openChain] = append(r[openChain], "-d "+p.String()+" -o "+n.Bridge+tag+" -j "+acceptChain.name)
	}
	for _, p := range ofFamily(n.Routed, six) {
		r[openChain] = append(r[openChain], "-d "+p.String()+" -o "+n.Bridge+" -p "+icmp(six)+tag+" -j "+acceptChain.name)
	}
	for _, p := range ofFamily(n.Hairpin, six) {
		r[snatChain] = append(r[snatChain], "-s "+p.String()+" -o "+n.Bridge+
			" -m conntrack --ctstate DNAT"+tag+" -j MASQUERADE")
	}
	return r
}

// ofFamily returns the prefixes of one family.
func ofFamily(all []netip.Prefix, six bool) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(all), func(p netip.Prefix) bool { return p.Addr().Is6() != six })
}

// source is the target that gives outgoing packets the host's address.
func source(n firewall.Network, six bool) string {
	for _, a := range n.Source {
		if a.Is6() == six {
			return "SNAT --to-source " + a.String()
		}
	}
	return "MASQUERADE"
}

func icmp(six bool) string {
	if six {
		return "ipv6-icmp"
	}
	return "icmp"
}

// openRule returns the rule of one run of open ports.
func openRule(o firewall.Open) string {
	from := ""
	if o.From != "" {
		from = " -i " + o.From
	}
	return "-d " + host(o.Addr) + from + " -o " + o.Bridge + ports(o.Proto, o.First, o.Last) +
		comment("net="+short(o.NetworkID)+" ep="+short(o.EndpointID)) + " -j " + acceptChain.name
}

// ports matches a run of destination ports.
func ports(p spec.Protocol, first, last uint16) string {
	proto, run := p.String(), strconv.Itoa(int(first))
	if last > first {
		run += ":" + strconv.Itoa(int(last))
	}
	return " -p " + proto + " -m " + proto + " --dport " + run
}

// host writes one address as iptables-save does.
func host(a netip.Addr) string { return netip.PrefixFrom(a, a.BitLen()).String() }

// portRule returns the rule of one run of published ports.
func portRule(p firewall.Port) string {
	rule := ports(p.Proto, p.First, p.Last) +
		comment("net="+short(p.NetworkID)+" ep="+short(p.EndpointID)) +
		" -j DNAT --to-destination " + destination(p)
	if p.HostIP.IsUnspecified() {
		return rule[1:]
	}
	return "-d " + host(p.HostIP) + rule
}

// destination is the container's address, with its port where it is not the
// host's, and with the base of the shift where a run has another one (a range
// without a base would spread connections over it).
func destination(p firewall.Port) string {
	switch {
	case p.ContainerFirst == p.First:
		return p.ContainerIP.String()
	case p.Len() == 1:
		return netip.AddrPortFrom(p.ContainerIP, p.ContainerFirst).String()
	}
	return fmt.Sprintf("%s-%d/%d", netip.AddrPortFrom(p.ContainerIP, p.ContainerFirst),
		int(p.ContainerFirst)+p.Len()-1, p.First)
}

func comment(text string) string { return ` -m comment --comment "` + text + `"` }

// short cuts an id as docker shows it.
func short(id string) string { return id[:min(len(id), 12)] }

// elements returns the rules that the set's elements add in one family.
func elements(set firewall.Ruleset, six bool) rules {
	all := rules{}
	for _, n := range set.Networks {
		for c, lines := range networkRules(n, six) {
			all[c] = append(all[c], lines...)
		}
	}
	for _, p := range set.Ports {
		if p.HostIP.Is6() == six && !p.Relayed() {
			all[dnatChain] = append(all[dnatChain], portRule(p))
		}
	}
	for _, o := range set.Open {
		if o.Addr.Is6() == six {
			all[openChain] = append(all[openChain], openRule(o))
		}
	}
	return all
}

// with returns r changed by a delta; r stays as it is. Chains that nothing
// changes share their slice.
func (r rules) with(d firewall.Delta, f form) rules {
	minus, plus := elements(d.Remove, f.six), elements(d.Add, f.six)
	next := maps.Clone(r)
	if next == nil {
		next = rules{}
	}
	for _, change := range []rules{minus, plus} {
		for c := range change {
			if lines := edited(r[c], minus[c], plus[c]); len(lines) > 0 {
				next[c] = lines
			} else {
				delete(next, c)
			}
		}
	}
	return next.settled(f)
}

// edited returns the sorted lines, without minus and with plus.
func edited(lines, minus, plus []string) []string {
	lines = slices.Clone(lines)
	for _, l := range minus {
		if i, found := slices.BinarySearch(lines, l); found {
			lines = slices.Delete(lines, i, i+1)
		}
	}
	// Many at once are sorted once, not moved one by one.
	if len(plus) > 16 {
		lines = append(lines, plus...)
		slices.Sort(lines)
		return slices.Compact(lines)
	}
	for _, l := range plus {
		if i, found := slices.BinarySearch(lines, l); !found {
			lines = slices.Insert(lines, i, l)
		}
	}
	return lines
}

// bridges returns the networks' bridges, sorted: each network has one rule in
// iccChain, which begins with "-i BRIDGE".
func (r rules) bridges() []string {
	var all []string
	for _, l := range r[iccChain] {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "-i" {
			all = append(all, f[1])
		}
	}
	slices.Sort(all)
	return all
}

// settled adds the shared rules if there is a network, and removes them otherwise.
func (r rules) settled(f form) rules {
	networks, accepts := len(r[iccChain]) > 0, len(r[openChain]) > 0
	for c, lines := range shared(f) {
		switch {
		case c == acceptChain && accepts: // as something leads to it
			r[c] = lines
		case fixed(c) && networks:
			r[c] = lines
		case fixed(c):
			delete(r, c)
		case networks:
			r[c] = edited(r[c], nil, lines)
		default:
			if r[c] = edited(r[c], lines, nil); len(r[c]) == 0 {
				delete(r, c)
			}
		}
	}
	return r
}

// compile returns the whole set's rules in one family.
func compile(set firewall.Ruleset, f form) rules {
	return rules(nil).with(firewall.Delta{Add: set}, f)
}
