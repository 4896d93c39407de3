package nftables

import (
	"net/netip"
	"slices"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/policy"
)

func outChain(id string, h header) string  { return "out_" + id + "_" + h.name }
func hostChain(id string, h header) string { return "host_" + id + "_" + h.name }
func inChain(id string, h header) string   { return "in_" + id + "_" + h.name }

// sentBy is the chain of what containers send by a bridge.
func sentBy(bridge string, h header) string { return "sent_" + bridge + "_" + h.name }

// policyPriority is before any translation of destinations, and behind connection tracking.
const policyPriority = -151

// policyChains are those of the table that are always there.
//
// What containers send is judged before its destination is translated, so that an address of
// the host is the host whoever has published the port, and before routing, so that what a
// bridge passes on by itself (br_netfilter) is judged by where it says that it goes: nothing
// of it can become part of a tracked flow by which the container is believed later. What is
// for many, and what others redirect to the host, is judged where it arrives. What comes to
// containers is judged behind the translation, when it is known to whom it goes.
func policyChains(log bool) []chain {
	r := rowsOfPolicy()
	known := knownFlows()
	byFamily := func(of row, chain string) (rules [][]expr.Any) {
		for _, h := range headers() {
			rules = append(rules, rule(h.own(), of.in(inet()), jump(chain+h.name)))
		}
		return rules
	}
	filter := nft.ChainTypeFilter
	all := slices.Concat(refusingChains(r, log), questionChains(), []chain{unreadChain()}, sentChains(r), arrivingChains(r))
	var sent [][]expr.Any
	for _, h := range headers() {
		sent = append(sent, rule(h.own(), r.sends.to(h)))
	}
	return append(all,
		base("prerouting", filter, nft.ChainHookPrerouting, policyPriority, slices.Concat(known, sent)...),
		base("input", filter, nft.ChainHookInput, *nft.ChainPriorityFilter-2, slices.Concat(known,
			[][]expr.Any{
				rule(ctBits(expr.CtKeySTATUS, ctDestNAT), accepted()),
				rule(local(), accepted()), // it was judged before, and counted
			}, byFamily(r.guarded, "arrived"))...),
		base("forward", filter, nft.ChainHookForward, *nft.ChainPriorityFilter-2, slices.Concat(known,
			[][]expr.Any{
				rule(family4(), multicast4(), r.guarded.in(inet()), jump("for_many4")),
				rule(family6(), multicast6(), r.guarded.in(inet()), jump("for_many6")),
				rule(port53(), call("passed_on")),
			}, byFamily(r.protected, "inward"))...))
}

// knownFlows accepts what is part of one, or an error about it.
func knownFlows() [][]expr.Any {
	return [][]expr.Any{
		rule(ctBits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED), accepted()),
		// Of the flows that are related only ICMP errors are believed: which others there are,
		// helpers read from what containers send.
		rule(ctBits(expr.CtKeySTATE, expr.CtStateBitRELATED), meta(expr.MetaKeyL4PROTO, 1), is(unix.IPPROTO_ICMP), accepted()),
		rule(ctBits(expr.CtKeySTATE, expr.CtStateBitRELATED), meta(expr.MetaKeyL4PROTO, 1), is(unix.IPPROTO_ICMPV6), accepted()),
	}
}

// sentChains judge what a container sends, behind the chain of its bridge.
func sentChains(r policyRows) (all []chain) {
	for _, h := range headers() {
		strange := rule(h.own(), r.home.notIn(h), jump("stranger"))
		all = append(all,
			regular("to_host"+h.name, rule(h.own(), r.host.to(h)), rule(h.own(), r.hostNet.to(h))),
			regular("outward"+h.name, rule(h.own(), r.outward.to(h)), rule(h.own(), r.outwardNet.to(h))),
			regular("for_many"+h.name, strange, rule(jump("outward"+h.name))))
	}
	four, six := headers()[0], headers()[1]
	asks := func(h header) []expr.Any { return rule(port53(), call("asks"+h.name)) }
	// Without neighbour discovery there is no IPv6 at all. The kernel believes none that
	// comes from another link, and refuses to pass it on.
	neighbours := [][]expr.Any{
		rule(icmp6(), []expr.Any{&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{130}, ToData: []byte{137}}}, accepted()),
		rule(icmp6(), is(143), accepted()),
		rule(six.own(), r.home.notIn(six), jump("stranger")),
	}
	return append(all,
		regular("sent_self4", asks(four), rule(jump("to_host4"))),
		regular("to_others4", asks(four), rule(jump("outward4"))),
		regular("to_others6", asks(six), rule(jump("outward6"))),
		regular("arrived4",
			rule(meta(expr.MetaKeyL4PROTO, 1), is(unix.IPPROTO_IGMP), accepted()),
			rule(four.own(), r.home.notIn(four), jump("stranger")),
			rule(jump("to_host4"))),
		regular("arrived6", slices.Concat(neighbours, [][]expr.Any{rule(jump("to_host6"))})...),
		regular("sent_self6", slices.Concat(neighbours, [][]expr.Any{asks(six), rule(jump("to_host6"))})...))
}

// sentChain begins with what containers send on a bridge. It compares with the network's own
// subnets: each lookup of an address with a link in a set of subnets takes as long as some ten
// comparisons, and there were three of them.
func sentChain(bridge string, h header, subnets []netip.Prefix) chain {
	subnets = slices.DeleteFunc(slices.Clone(subnets), func(s netip.Prefix) bool { return s.Addr().Is6() != h.six() })
	strange := jump("stranger")
	var within [][]expr.Any
	for i := range subnets {
		strange = rule(notInSubnet(h.saddr, subnets[i]), strange)
		within = append(within, rule(h.own(), inSubnet(h.daddr, subnets[i]), accepted()))
	}
	strange = rule(h.own(), strange)
	others := append(within, rule(jump("to_others"+h.name)))
	toHost := rule(local(), jump("sent_self"+h.name))
	name := sentBy(bridge, h)
	if h.six() {
		// Another one's link-local address is on a bridge that passes it on by itself.
		return regular(name, append([][]expr.Any{rule(family6(), multicast6(), accepted()), toHost, rule(family6(), linkLocal6At(24), accepted()), strange}, others...)...)
	}
	return regular(name, append([][]expr.Any{strange, toHost,
		rule(family4(), multicast4(), accepted()),
		rule(family4(), network(16, 4), is(255, 255, 255, 255), accepted())}, others...)...)
}

// arrivingChains judge what comes to a container from outside of its network. Whatever has
// an address of the network has come by its bridge: the source check sees to that.
func arrivingChains(r policyRows) []chain {
	four, six := headers()[0], headers()[1]
	return []chain{
		regular("inward4",
			rule(family4(), network(12, 4), is(0, 0, 0, 0), accepted()),
			rule(four.own(), r.home.in(four, saddr, oifname), accepted()),
			rule(four.own(), r.inward.to(four)), rule(four.own(), r.inwardNet.to(four))),
		// What has a link-local address, or none yet, has not come from another link.
		regular("inward6",
			rule(family6(), linkLocal6(), accepted()),
			rule(family6(), saddr6(), is(make([]byte, 16)...), accepted()),
			rule(six.own(), r.home.in(six, saddr, oifname), accepted()),
			rule(six.own(), r.inward.to(six)), rule(six.own(), r.inwardNet.to(six))),
	}
}

// refusingChains count what is refused, by option and container, and drop it. Addresses that
// are none of the network are not counted.
func refusingChains(r policyRows, log bool) (all []chain) {
	for _, c := range everyRefusing() {
		link, addr := iifname, saddr
		if c.incoming() {
			link, addr = oifname, daddr
		}
		why := code.loadedBy(func(register uint32) []expr.Any {
			return []expr.Any{&expr.Immediate{Register: register, Data: word(c.code())}}
		})
		var count, rules [][]expr.Any
		for _, h := range headers() {
			if c.option != policy.OptionSource {
				count = append(count, rule(h.own(), h.load(r.refusedAt, []field{link, why, addr}), countIn(r.refusedAt.nameOf(h)), verdict(expr.VerdictReturn)))
			}
		}
		count = append(count, rule(inet().load(r.refused, []field{link, why}), countIn(r.refused.name)))
		if log {
			rules = append(rules, logRefused(c.reason(), c.option))
		}
		rules = append(append(rules, call("count_"+c.name())), c.end()...)
		all = append(all, regular("count_"+c.name(), count...), regular(c.name(), rules...))
	}
	return append(all, regular("stranger", rule(r.stranger.to(inet()))))
}

// countIn adds the packet whose key is loaded to an element of a set.
func countIn(set string) []expr.Any {
	return []expr.Any{&expr.Dynset{SrcRegKey: 1, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE, Exprs: []expr.Any{&expr.Counter{}}}}
}

// partOf is what the table has for one policy.
func partOf(id, digest string, c policy.Compiled) policyPart {
	p := policyPart{sets: map[string]*set{}, items: contents{}, by: map[string]map[string]countedEntry{}}
	known := rowsOfPolicy().policies.of(inet())
	putter(p.items.put).one(&known, &values{ether: [6]byte(idBytes(id))}, digest)
	for _, h := range headers() {
		deny := p.access(h, "deny_"+id, accessOf{c.Deny, receiver, false})
		allow := p.access(h, "allow_"+id, accessOf{c.Allow, receiver, true})
		refuse := func(o policy.Option) []expr.Any { return refusing{o, c.Audit}.jump() }
		denied := to(deny, refuse(policy.OptionDeny))
		out := append(denied, to(allow, accepted())...)
		for _, ports := range c.Named {
			out = append(out, byName(h, idBytes(id), ports, c.Strict, func() []expr.Any { return rule(tallied(), accepted()) })...)
		}
		if c.Reads {
			p.chains = append(p.chains, readingChain(h, id, c.Named))
		}
		if c.Internet {
			out = append(out, rule(h.own(), rowsOfPolicy().public.in(h), tallied(), accepted()))
		}
		if !c.Open {
			out = append(out, rule(tallied(), refuse(policy.OptionEgress)))
		}
		p.chains = append(p.chains, regular(outChain(id, h), out...))
		host := append(slices.Clone(denied), p.toHost(id, c, refuse)...)
		p.chains = append(p.chains, regular(hostChain(id, h), host...))
		p.inward(h, id, c, rule(tallied(), refuse(policy.OptionIngress)))
	}
	return p
}

// to has what is in one of the sets go somewhere.
func to(sets [][]expr.Any, where []expr.Any) (rules [][]expr.Any) {
	for _, in := range sets {
		rules = append(rules, rule(in, where))
	}
	return rules
}

// accessOf is addresses and ports, whose they are, and what becomes of packets that have them.
type accessOf struct {
	policy.Access
	of     side
	passes bool
}

// access makes the sets of addresses and ports of a family, and returns what looks a packet
// up in them.
func (p *policyPart) access(h header, name string, a accessOf, port ...field) (in [][]expr.Any) {
	all, single, ranges := accessRows(name, a.of)
	if s := all.of(h); p.fill(s, a.passes, anyItems(&s, a.Access, a.of)) {
		in = append(in, rule(h.own(), all.in(h)))
	}
	for _, some := range []row{single, ranges} {
		s := some.of(h)
		if !p.fill(s, a.passes, portItems(&s, a.Access, a.of)) {
			continue
		}
		by := slices.Clone(some.key)
		if len(port) > 0 {
			by[2] = port[0]
		}
		in = append(in, rule(h.own(), some.in(h, by...)))
	}
	return in
}

// toHost are the rules for what goes to the host itself.
func (p *policyPart) toHost(id string, c policy.Compiled, refuse func(policy.Option) []expr.Any) (rules [][]expr.Any) {
	if c.NoHost {
		return [][]expr.Any{rule(tallied(), refuse(policy.OptionDeny))}
	}
	ports := func(name string, passes bool, list []policy.PortSpan, by []policy.Entry) row {
		r := hostRow(name + "_" + id)
		s := r.of(inet())
		p.fill(s, passes, spanItems(&s, list, by))
		return r
	}
	if len(c.HostDeny) > 0 {
		rules = append(rules, rule(ports("host_deny", false, c.HostDeny, c.HostDenyBy).in(inet()), refuse(policy.OptionDeny)))
	}
	switch {
	case c.HostListed:
		return append(rules, rule(tallied(), accepted()))
	case c.WholeHost:
		return rules
	}
	if len(c.HostAllow) > 0 {
		rules = append(rules, rule(ports("host_allow", true, c.HostAllow, c.HostAllowBy).in(inet()), accepted()))
	}
	return append(rules, rule(tallied(), refuse(policy.OptionHost)))
}

// tallied counts what comes to a rule.
func tallied() []expr.Any { return []expr.Any{&expr.Counter{}} }

// inward makes the chains for what comes in. The port is the one that was asked: before
// translation, which for what is not translated is the same.
func (p *policyPart) inward(h header, id string, c policy.Compiled, keepOut []expr.Any) {
	name := inChain(id, h)
	if c.Everybody {
		p.chains = append(p.chains, regular(name))
		return
	}
	near := "near_" + name
	asked := dport.loadedBy(func(register uint32) []expr.Any {
		return []expr.Any{&expr.Ct{Key: expr.CtKeyPROTODST, Register: register, Direction: 0}}
	})
	own := row{name: "own_" + id, key: []field{l4proto, dport}, kind: interval}
	ports := own.of(inet())
	there := p.fill(ports, true, spanItems(&ports, c.OwnPorts, nil))
	ways := []struct {
		name, sets string
		own, rest  policy.Access
	}{{near, "near", c.NearOwn, c.Near}, {name, "from", c.OwnFrom, c.From}}
	if !c.Apart {
		ways = ways[1:]
	}
	for _, way := range ways {
		var rules [][]expr.Any
		if c.Apart && way.name == name {
			rules = append(rules, rule(ifGroup(expr.MetaKeyIIFGROUP), jump(near)))
		}
		if there {
			of := "own_" + way.name
			p.chains = append(p.chains, regular(of, append(to(p.access(h, "own_"+way.sets+"_"+id, accessOf{way.own, sender, true}, asked), accepted()), keepOut)...))
			rules = append(rules, rule(own.in(inet(), l4proto, asked), jump(of)))
		}
		rules = append(rules, to(p.access(h, way.sets+"_"+id, accessOf{way.rest, sender, true}), accepted())...)
		p.chains = append(p.chains, regular(way.name, append(rules, keepOut)...))
	}
}

func accepted() []expr.Any { return verdict(expr.VerdictAccept) }

// reject answers that an administrator has prohibited it.
func reject() []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
}

func multicast4() []expr.Any { return inSubnet(16, netip.MustParsePrefix("224.0.0.0/4")) }

func multicast6() []expr.Any { return rule(network(24, 1), is(0xff)) }

// icmp6 loads the type of ICMPv6.
func icmp6() []expr.Any {
	return rule(meta(expr.MetaKeyL4PROTO, 1), is(unix.IPPROTO_ICMPV6), payloadAt(expr.PayloadBaseTransportHeader, 0, 1, 1))
}
