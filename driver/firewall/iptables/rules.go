package iptables

import (
	"fmt"
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
	knownChain    = chain{"filter", "GANGWAY-KNOWN"}
	betweenChain  = chain{"filter", "GANGWAY-BETWEEN"}
	outChain      = chain{"filter", "GANGWAY-OUT"}
	outsideChain  = chain{"filter", "GANGWAY-OUTSIDE"}
	foreignChain  = chain{"filter", "GANGWAY-FOREIGN"}
	internalChain = chain{"filter", "GANGWAY-INTERNAL"}
	iccChain      = chain{"filter", "GANGWAY-ICC"}
	openChain     = chain{"filter", "GANGWAY-OPEN"}
	answerChain   = chain{"filter", "GANGWAY-ANSWER"}
	acceptChain   = chain{"filter", "GANGWAY-ACCEPT"}
	originChain   = chain{"raw", "GANGWAY-ORIGIN"}
	// refusedChain and those that it leads to drop, with a rule for each network whose
	// counter says how often.
	refusedChain     = chain{"filter", "GANGWAY-REFUSED"}
	unpublishedChain = chain{"filter", "GANGWAY-UNPUBLISHED"}
	isolatedChain    = chain{"filter", "GANGWAY-ISOLATED"}
	isolatedOutChain = chain{"filter", "GANGWAY-ISOLATED-OUT"}
	dnatChain        = chain{"nat", "GANGWAY-DNAT"}
	snatChain        = chain{"nat", "GANGWAY-SNAT"}
	hairpinChain     = chain{"nat", "GANGWAY-HAIRPIN"}
	keepChain        = chain{"nat", "GANGWAY-KEEP"}
	leaveChain       = chain{"nat", "GANGWAY-LEAVE"}
	restChain        = chain{"nat", "GANGWAY-REST"}
	portsChain       = chain{"nat", "GANGWAY-PORTS"}
	// userChain asks DOCKER-USER, and leads to what decides.
	userChain = chain{"filter", "GANGWAY-USER"}
	// verdictChain is ForwardHook's, which has forwardChain too.
	verdictChain = chain{"filter", "GANGWAY-VERDICT"}
	// closedChain is behind all rules of others in FORWARD: what comes to it nobody has
	// decided about.
	closedChain = chain{"filter", "GANGWAY-CLOSED"}
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
	// elsewhere matches what goes to none of them.
	elsewhere = "-m devgroup ! --dst" + group
)

// form is what rules depend on beside the ruleset.
type form struct {
	mark firewall.Mark
	six  bool
	// failClosed says that the fail-closed table looks at the marks of packets.
	failClosed bool
	// user says that there is a DOCKER-USER.
	user bool
}

// setMark sets gangway's bits of the mark.
func setMark(m firewall.Mark, bits uint32) string {
	return fmt.Sprintf("-j MARK --set-xmark %#x/%#x", bits, m.Mask())
}

// asked are the rules that ask DOCKER-USER. What that has accepted bears
// Mark.Asked, and nothing else does: whoever else accepts a packet, before these
// rules or behind them, has not decided for gangway.
func asked(f form) []string {
	var r []string
	if f.user {
		r = append(r, "-j "+dockerUser.name)
	}
	if f.failClosed {
		r = slices.Concat([]string{setMark(f.mark, f.mark.Asked())}, r, []string{setMark(f.mark, f.mark.Drop)})
	}
	return r
}

// elements returns the rules that the set's elements add in one family.
func elements(set firewall.Ruleset, six bool) rules {
	all := rules{}
	for _, n := range set.Networks {
		for c, lines := range networkRules(n, six) {
			all[c] = append(all[c], lines...)
		}
	}
	add := func(c chain, line string) { all[c] = append(all[c], line) }
	for _, p := range set.Ports {
		if p.HostIP.Is6() == six && !p.Relayed() {
			add(dnatChain, portRule(p))
		}
	}
	for _, o := range set.Open {
		if o.Addr.Is6() == six {
			in, answer := openRules(o)
			add(openChain, in)
			add(answerChain, answer)
		}
	}
	for _, d := range set.Direct {
		if d.Addr.Is6() == six {
			add(hairpinChain, directRule(d))
		}
	}
	for _, k := range set.Keep {
		if k.Addr.Is6() == six {
			add(keepChain, keepRule(k))
		}
	}
	for _, l := range set.Outside {
		if !strings.ContainsAny(l.Name, "+\"\\ ") { // iptables takes it for another name, or for none
			add(outsideChain, outsideRule(l.Name))
		}
	}
	return all
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
	for _, c := range []chain{unpublishedChain, isolatedChain} {
		r[c] = []string{"-o " + n.Bridge + tag + " -j DROP"}
	}
	r[isolatedOutChain] = []string{"-i " + n.Bridge + tag + " -j DROP"}
	if n.Internal {
		r[internalChain] = []string{
			"-i " + n.Bridge + " ! -o " + n.Bridge + tag + " -j DROP",
			"! -i " + n.Bridge + " -o " + n.Bridge + tag + " -j DROP",
		}
	}
	for _, p := range ofFamily(n.Subnets, six) {
		r[originChain] = append(r[originChain], "-s "+p.String()+" ! -i "+n.Bridge+tag+" -j DROP")
	}
	for _, p := range ofFamily(n.Masquerade, six) {
		leaveRules(r, n, p, tag)
	}
	if n.Unprotected.Has(six) {
		r[openChain] = append(r[openChain], "-o "+n.Bridge+tag+" -j "+acceptChain.name)
	}
	if n.Routed.Has(six) {
		r[openChain] = append(r[openChain], "-o "+n.Bridge+" -p "+icmp(six)+tag+" -j "+acceptChain.name)
	}
	// Not in the name of an address that somebody else has, such as one outside.
	for _, p := range ofFamily(n.Subnets, six) {
		from := "-s " + p.String() + " -i " + n.Bridge
		if n.Unprotected.Has(six) {
			r[answerChain] = append(r[answerChain], from+tag+" -j "+acceptChain.name)
		}
		if n.Routed.Has(six) {
			r[answerChain] = append(r[answerChain], from+" -p "+icmp(six)+tag+" -j "+acceptChain.name)
		}
	}
	for _, p := range ofFamily(n.Hairpin, six) {
		r[hairpinChain] = append(r[hairpinChain], "-s "+p.String()+" -o "+n.Bridge+" "+translated+tag+" -j MASQUERADE")
	}
	return r
}

// leaveRules give what leaves a subnet the host's address, with a high port where there
// are ports, or the address that the network names.
func leaveRules(r rules, n firewall.Network, subnet netip.Prefix, tag string) {
	from := "-s " + subnet.String()
	for _, a := range n.Source {
		if a.Is6() != subnet.Addr().Is6() {
			continue
		}
		for _, p := range []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} {
			to := strings.TrimSuffix(netip.AddrPortFrom(a, 0).String(), "0") + allHigh
			r[leaveChain] = append(r[leaveChain], fmt.Sprintf("%s -p %s%s -j SNAT --to-source %s --random-fully", from, p, tag, to))
		}
		r[restChain] = append(r[restChain], from+tag+" -j SNAT --to-source "+a.String())
		return
	}
	r[leaveChain] = append(r[leaveChain], from+tag+" -j "+portsChain.name)
}

// ofFamily returns the prefixes of one family.
func ofFamily(all []netip.Prefix, six bool) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(all), func(p netip.Prefix) bool { return p.Addr().Is6() != six })
}

func icmp(six bool) string {
	if six {
		return "ipv6-icmp"
	}
	return "icmp"
}

// openRules returns the rules of one run of open ports, for what comes and for the
// answers.
func openRules(o firewall.Open) (in, answer string) {
	client, server := "", ""
	if o.From != "" {
		client, server = " -i "+o.From, " -o "+o.From
	}
	tail := comment(owner(o.NetworkID, o.EndpointID)) + " -j " + acceptChain.name
	return "-d " + host(o.Addr) + client + " -o " + o.Bridge + ports(o.Proto, "dport", o.First, o.Last) + tail,
		"-s " + host(o.Addr) + " -i " + o.Bridge + server + ports(o.Proto, "sport", o.First, o.Last) + tail
}

// owner is the comment of what belongs to an endpoint.
func owner(networkID, endpointID string) string {
	return "net=" + short(networkID) + " ep=" + short(endpointID)
}

// keepRule lets what leaves from a run of ports keep its port, with the address that
// the container's network takes.
func keepRule(k firewall.Keep) string {
	rule := "-s " + host(k.Addr) + ports(spec.UDP, "sport", k.First, k.Last) + comment(owner(k.NetworkID, k.EndpointID))
	if k.Source.IsValid() {
		return rule + " -j SNAT --to-source " + k.Source.String()
	}
	return rule + " -j MASQUERADE"
}

// directRule gives a client that the container would answer without the host the
// bridge's address.
func directRule(d firewall.Direct) string {
	return "-s " + d.Clients.String() + " -d " + host(d.Addr) + " " + translated + comment(owner(d.NetworkID, d.EndpointID)) + " -j MASQUERADE"
}

func outsideRule(link string) string { return "-o " + link + " -j " + acceptChain.name }

// ports matches a run of ports, as "dport" or "sport".
func ports(p spec.Protocol, which string, first, last uint16) string {
	proto, run := p.String(), strconv.Itoa(int(first))
	if last > first {
		run += ":" + strconv.Itoa(int(last))
	}
	return " -p " + proto + " -m " + proto + " --" + which + " " + run
}

// host writes one address as iptables-save does.
func host(a netip.Addr) string { return netip.PrefixFrom(a, a.BitLen()).String() }

// portRule returns the rule of one run of published ports.
func portRule(p firewall.Port) string {
	rule := ports(p.Proto, "dport", p.First, p.Last) +
		comment(owner(p.NetworkID, p.EndpointID)) +
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
