package policy

import (
	"cmp"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/gangway-net/gangway/config"
)

// Compiled is a policy as sets. Of the sets of one field none overlaps another one.
type Compiled struct {
	Audit bool
	// Deny, Allow and Public are of what a container sends to others: refused what is in
	// Deny, passed what is in Allow, and the rest if Open says so or, with Internet, if it
	// is public.
	Deny, Allow    Access
	Open, Internet bool
	// Named are the ports for which addresses of names are allowed, each once.
	Named []config.Ports
	// HostDeny and HostAllow are of what it sends to the host: refused what is in Deny or
	// in HostDeny, or all of it with NoHost; passed then what is in HostAllow, or the rest if WholeHost says so.
	HostDeny, HostAllow []PortSpan
	NoHost, WholeHost   bool
	// Everybody may come, or else: OwnPorts are those that have sources of their own, OwnFrom;
	// From are the sources for the rest. Of what comes by a bridge of Gangway the sources are
	// NearOwn and Near, which differ if Apart says so.
	Everybody, Apart bool
	OwnPorts         []PortSpan
	OwnFrom, From    Access
	NearOwn, Near    Access
}

// Access are addresses and ports.
type Access struct {
	// Any are those of which all is meant, of whatever protocol.
	Any []netipx.IPRange
	// Ports are those of which some ports are meant.
	Ports []AddrPorts
}

// PortSpan is a span of ports of one protocol.
type PortSpan struct {
	Proto       uint8
	First, Last uint16
}

// AddrPorts is a span of ports of one protocol, of a range of addresses.
type AddrPorts struct {
	Addrs netipx.IPRange
	PortSpan
}

// protocolsWithPorts are TCP, UDP and SCTP.
func protocolsWithPorts() []uint8 { return []uint8{6, 17, 132} }

func protocolsOf(p config.Ports) []uint8 {
	if p.Proto != 0 {
		return []uint8{p.Proto}
	}
	return protocolsWithPorts()
}

type span struct{ first, last uint16 }

func spanOf(p config.Ports) span {
	if p.First == 0 {
		return span{0, 65535}
	}
	return span{p.First, p.Last}
}

// Compile gives the sets that mean the same as the policy.
func (p Policy) Compile() Compiled {
	c := Compiled{
		Audit: p.Audit, Everybody: p.Everybody, Open: p.Egress == config.EgressOpen, Internet: p.Egress == config.EgressInternet, WholeHost: p.WholeHost,
	}
	var deny, allow, ownFrom, from, nearOwn, near access
	var hostDeny, hostAllow, own portSpans
	for _, d := range p.Deny {
		if d.Group == config.GroupHost {
			c.NoHost = c.NoHost || d.All()
			hostDeny.add(d.Ports)
		}
		deny.add(withEmbedded(addresses(d)), d.Ports)
	}
	for _, a := range p.Allow {
		if a.Group == config.GroupHost {
			c.WholeHost = c.WholeHost || a.All()
			hostAllow.add(a.Ports)
		}
		allow.add(addresses(a), a.Ports)
	}
	c.Named = p.named()
	for _, h := range p.HostPorts {
		hostAllow.add(h)
	}
	for _, s := range p.Ingress {
		far, close := &from, &near
		if !s.Port.All() {
			own.add(s.Port)
			far, close = &ownFrom, &nearOwn
		}
		who := everywhere()
		switch {
		case s.Nobody:
			continue
		case !s.Anybody:
			who = addresses(s.Peers)
		}
		far.add(who, s.Port)
		if c.Apart = c.Apart || s.Group != ""; s.Group == "" {
			close.add(who, s.Port)
		}
	}
	c.Deny, c.Allow = deny.disjoint(), allow.disjoint()
	c.HostDeny, c.HostAllow, c.OwnPorts = hostDeny.merged(), hostAllow.merged(), own.merged()
	c.OwnFrom, c.From, c.NearOwn, c.Near = ownFrom.disjoint(), from.disjoint(), nearOwn.disjoint(), near.disjoint()
	return c
}

// Public are the ranges of public addresses.
func Public() []netipx.IPRange { return groups()[config.GroupInternet].Ranges() }

func everywhere() *netipx.IPSet {
	var b netipx.IPSetBuilder
	b.AddPrefix(netip.MustParsePrefix("0.0.0.0/0"))
	b.AddPrefix(netip.MustParsePrefix("::/0"))
	return built(&b)
}

// portSpans collects spans of ports.
type portSpans []PortSpan

// add adds ports; what are no ports, but everything, is not among them.
func (s *portSpans) add(p config.Ports) {
	if p.All() {
		return
	}
	at := spanOf(p)
	for _, proto := range protocolsOf(p) {
		*s = append(*s, PortSpan{proto, at.first, at.last})
	}
}

// merged are the spans sorted, none of which touches another one.
func (s portSpans) merged() []PortSpan {
	slices.SortFunc(s, func(a, b PortSpan) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
	})
	var all []PortSpan
	for _, next := range s {
		if n := len(all) - 1; n >= 0 && all[n].Proto == next.Proto && int(next.First) <= int(all[n].Last)+1 {
			all[n].Last = max(all[n].Last, next.Last)
			continue
		}
		all = append(all, next)
	}
	return all
}

// access collects addresses with ports, in any order and however they overlap.
type access struct {
	all   netipx.IPSetBuilder
	ports []AddrPorts
}

func (a *access) add(set *netipx.IPSet, p config.Ports) {
	if p.All() {
		a.all.AddSet(set)
		return
	}
	at := spanOf(p)
	for _, r := range set.Ranges() {
		for _, proto := range protocolsOf(p) {
			a.ports = append(a.ports, AddrPorts{r, PortSpan{proto, at.first, at.last}})
		}
	}
}

// disjoint takes apart what overlaps. The address space is cut where any range begins or
// ends; pieces beside each other with the same ports become one again.
func (a *access) disjoint() Access {
	all := built(&a.all)
	cuts := map[netip.Addr]bool{}
	for _, p := range a.ports {
		cuts[p.Addrs.From()] = true
		if after := p.Addrs.To().Next(); after.IsValid() && after.Is4() == p.Addrs.To().Is4() {
			cuts[after] = true
		}
	}
	for _, r := range all.Ranges() {
		cuts[r.From()] = true
		if after := r.To().Next(); after.IsValid() {
			cuts[after] = true
		}
	}
	starts := make([]netip.Addr, 0, len(cuts))
	for c := range cuts {
		starts = append(starts, c)
	}
	slices.SortFunc(starts, netip.Addr.Compare)
	pieces := map[netip.Addr]portSpans{}
	for _, p := range a.ports {
		i, _ := slices.BinarySearchFunc(starts, p.Addrs.From(), netip.Addr.Compare)
		for ; i < len(starts) && p.Addrs.Contains(starts[i]); i++ {
			if !all.Contains(starts[i]) {
				pieces[starts[i]] = append(pieces[starts[i]], p.PortSpan)
			}
		}
	}
	return Access{Any: all.Ranges(), Ports: joined(starts, pieces)}
}

// joined puts pieces together that are beside each other and have the same ports.
func joined(starts []netip.Addr, pieces map[netip.Addr]portSpans) (all []AddrPorts) {
	var open []PortSpan
	var from, to netip.Addr
	flush := func() {
		for _, s := range open {
			all = append(all, AddrPorts{netipx.IPRangeFrom(from, to), s})
		}
		open = nil
	}
	for i, start := range starts {
		ports := pieces[start].merged()
		end := lastOf(start)
		if i+1 < len(starts) && starts[i+1].Is4() == start.Is4() {
			end = starts[i+1].Prev()
		}
		if len(open) > 0 && slices.Equal(open, ports) && to.Next() == start {
			to = end
			continue
		}
		flush()
		open, from, to = ports, start, end
	}
	flush()
	return all
}

// lastOf is the last address of a family.
func lastOf(a netip.Addr) netip.Addr {
	return netipx.PrefixLastIP(netip.PrefixFrom(a, 0))
}
