package policy

import (
	"maps"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/gangway-net/gangway/config"
)

// Compiled is a policy as sets. Of the sets of one field none overlaps another one.
type Compiled struct {
	Audit bool
	// TooLarge says that the sets would have more elements than the kernel is given for one
	// policy. They allow nothing then.
	TooLarge bool
	// Deny, Allow and Public are of what a container sends to others: refused what is in
	// Deny, passed what is in Allow, and the rest if Open says so or, with Internet, if it
	// is public.
	Deny, Allow    Access
	Open, Internet bool
	// Named are the ports for which addresses of names are allowed, each once.
	Named []config.Ports
	// Strict says that these are open to connections by TCP alone, and Reads that these are
	// read.
	Strict, Reads bool
	// HostDeny and HostAllow are of what it sends to the host: refused what is in Deny or
	// in HostDeny, or all of it with NoHost; passed then what is in HostAllow, or the rest if WholeHost says so.
	HostDeny, HostAllow []PortSpan
	NoHost, WholeHost   bool
	// HostDenyBy and HostAllowBy are the entries that these ports are of. HostListed says that
	// WholeHost is so by one of Allow.
	HostDenyBy, HostAllowBy []Entry
	HostListed              bool
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
	// AnyBy and PortsBy are the entries that they are of.
	AnyBy, PortsBy []Entry
	// tooLarge says that there would be too many; there are none then.
	tooLarge bool
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
	var deny, allow access
	var hostDeny, hostAllow portSpans
	var allowed []config.Peers // of the host
	for _, d := range p.Deny {
		if d.Group == config.GroupHost {
			c.NoHost = c.NoHost || d.All()
			hostDeny.add(d.Ports, listed(OptionDeny, d))
		}
		deny.add(withEmbedded(addresses(d)), d.Ports, listed(OptionDeny, d))
	}
	for _, a := range p.Allow {
		if a.Group == config.GroupHost {
			c.HostListed = c.HostListed || a.All() && !p.WholeHost
			c.WholeHost = c.WholeHost || a.All()
			allowed = append(allowed, a)
		}
		allow.add(addresses(a), a.Ports, listed(OptionAllow, a))
	}
	c.Named, c.Strict, c.Reads = p.named(), p.Strict, p.Reads()
	for _, h := range p.HostPorts {
		hostAllow.add(h, hostPort(h))
	}
	for _, a := range allowed {
		hostAllow.add(a.Ports, listed(OptionAllow, a))
	}
	c.Deny, c.Allow = deny.disjoint(), allow.disjoint()
	c.HostDeny, c.HostDenyBy = hostDeny.disjoint()
	c.HostAllow, c.HostAllowBy = hostAllow.disjoint()
	p.compileIngress(&c)
	if !fit(&c) {
		return Compiled{TooLarge: true}
	}
	return c
}

// mostElements bounds what the kernel has of one policy. It is reached where entries for ports
// of many addresses overlap: each of these then has elements of its own for all of them.
const mostElements = 1 << 18

// fit says that the sets are no more than that.
func fit(c *Compiled) bool {
	n := 0
	for _, a := range []*Access{&c.Deny, &c.Allow, &c.OwnFrom, &c.From, &c.NearOwn, &c.Near} {
		if a.tooLarge {
			return false
		}
		n += len(a.Any) + len(a.Ports)
	}
	return n <= mostElements
}

func (p Policy) compileIngress(c *Compiled) {
	var ownFrom, from, nearOwn, near access
	var own portSpans
	for _, s := range p.Ingress {
		far, close := &from, &near
		if !s.Port.All() {
			own.add(s.Port, Entry{})
			far, close = &ownFrom, &nearOwn
		}
		who := everywhere()
		switch {
		case s.Nobody:
			continue
		case !s.Anybody:
			who = addresses(s.Peers)
		}
		c.Apart = c.Apart || s.Group != "" || s.Network.Name != ""
		if s.Network.Name == "" {
			far.add(who, s.Port, listed(OptionIngress, s))
		}
		if s.Group == "" {
			close.add(who, s.Port, listed(OptionIngress, s))
		}
	}
	c.OwnPorts, _ = own.disjoint()
	c.OwnFrom, c.From, c.NearOwn, c.Near = ownFrom.disjoint(), from.disjoint(), nearOwn.disjoint(), near.disjoint()
}

// Public are the ranges of public addresses.
func Public() []netipx.IPRange { return groups()[config.GroupInternet].Ranges() }

func everywhere() *netipx.IPSet {
	var b netipx.IPSetBuilder
	b.AddPrefix(netip.MustParsePrefix("0.0.0.0/0"))
	b.AddPrefix(netip.MustParsePrefix("::/0"))
	return built(&b)
}

// portSpans collects spans of ports, with the entries that they are of.
type portSpans []spanBy

type spanBy struct {
	PortSpan
	by Entry
}

// add adds ports; what are no ports, but everything, is not among them.
func (s *portSpans) add(p config.Ports, by Entry) {
	if p.All() {
		return
	}
	at := spanOf(p)
	for _, proto := range protocolsOf(p) {
		*s = append(*s, spanBy{PortSpan{proto, at.first, at.last}, by})
	}
}

// disjoint takes apart what overlaps, sorted: the first that was added has it. Spans of one
// entry beside each other become one.
func (s portSpans) disjoint() (all []PortSpan, by []Entry) {
	if s.apart() {
		for _, one := range s {
			all, by = append(all, one.PortSpan), append(by, one.by)
		}
		return all, by
	}
	for _, proto := range protocolsWithPorts() {
		var of portSpans
		cuts, begin := map[int]bool{}, map[int][]int{}
		for _, one := range s {
			if one.Proto == proto {
				cuts[int(one.First)], cuts[int(one.Last)+1] = true, true
				begin[int(one.First)] = append(begin[int(one.First)], len(of))
				of = append(of, one)
			}
		}
		starts := slices.Sorted(maps.Keys(cuts))
		var open []int // those that have begun, and not ended
		for i, start := range starts {
			open = slices.DeleteFunc(append(open, begin[start]...), func(at int) bool { return int(of[at].Last) < start })
			if len(open) == 0 {
				continue
			}
			first := of[slices.Min(open)]
			next := PortSpan{proto, uint16(start), uint16(starts[i+1] - 1)} //nolint:gosec // ports: what begins ends
			if n := len(all) - 1; n >= 0 && by[n] == first.by && all[n].Proto == proto && int(all[n].Last)+1 == start {
				all[n].Last = next.Last
				continue
			}
			all, by = append(all, next), append(by, first.by)
		}
	}
	return all, by
}

// apart says that they are sorted, and each of another protocol, as those of one entry are.
func (s portSpans) apart() bool {
	for i := 1; i < len(s); i++ {
		if protocolRank(s[i-1].Proto) >= protocolRank(s[i].Proto) {
			return false
		}
	}
	return true
}

// access collects addresses with ports, in any order and however they overlap.
type access struct{ entries []addressesBy }

type addressesBy struct {
	set *netipx.IPSet
	config.Ports
	by Entry
}

func (a *access) add(set *netipx.IPSet, p config.Ports, by Entry) {
	a.entries = append(a.entries, addressesBy{set, p, by})
}

// mostMeetings bounds how often an entry and a piece of the address space meet: prefixes within
// each other may be many more than elements in the end.
const mostMeetings = 8 * mostElements

// piece is what is meant of addresses: all, or else ports.
type piece struct {
	all   *Entry
	ports []*addressesBy
}

// disjoint takes apart what overlaps: entries for everything go before others, and then the
// first that was added. The address space is cut where any range begins or ends; pieces beside
// each other of the same entries become one again.
func (a *access) disjoint() Access {
	cuts := map[netip.Addr]bool{}
	for _, e := range a.entries {
		for _, r := range e.set.Ranges() {
			cuts[r.From()] = true
			if after := r.To().Next(); after.IsValid() {
				cuts[after] = true
			}
		}
	}
	starts := slices.SortedFunc(maps.Keys(cuts), netip.Addr.Compare)
	pieces := make([]piece, len(starts))
	room := mostMeetings
	for n := range a.entries {
		e := &a.entries[n]
		for _, r := range e.set.Ranges() {
			i, _ := slices.BinarySearchFunc(starts, r.From(), netip.Addr.Compare)
			for ; i < len(starts) && r.Contains(starts[i]); i++ {
				if room--; room < 0 {
					return Access{tooLarge: true}
				}
				switch at := &pieces[i]; {
				case e.All() && at.all == nil:
					at.all = &e.by
				case !e.All():
					at.ports = append(at.ports, e)
				}
			}
		}
	}
	return joined(starts, pieces)
}

// joined puts pieces together that are beside each other and the same.
func joined(starts []netip.Addr, pieces []piece) (all Access) {
	for i, start := range starts {
		end := lastOf(start)
		if i+1 < len(starts) && starts[i+1].Is4() == start.Is4() {
			end = starts[i+1].Prev()
		}
		if len(all.Any)+len(all.Ports) > mostElements {
			return Access{tooLarge: true}
		}
		if at := pieces[i]; at.all != nil {
			all.addAny(start, end, *at.all)
		} else {
			all.addPorts(start, end, at.ports)
		}
	}
	return all
}

func (a *Access) addAny(from, to netip.Addr, by Entry) {
	if n := len(a.Any) - 1; n >= 0 && a.AnyBy[n] == by && a.Any[n].To().Next() == from {
		a.Any[n] = netipx.IPRangeFrom(a.Any[n].From(), to)
		return
	}
	a.Any, a.AnyBy = append(a.Any, netipx.IPRangeFrom(from, to)), append(a.AnyBy, by)
}

// addPorts adds those of a piece, to the ones of the piece before where these are the same.
func (a *Access) addPorts(from, to netip.Addr, entries []*addressesBy) {
	var ports portSpans
	for _, e := range entries {
		ports.add(e.Ports, e.by)
	}
	spans, by := ports.disjoint()
	n := len(a.Ports) - len(spans)
	same := n >= 0 && len(spans) > 0 && (n == 0 || a.Ports[n-1].Addrs != a.Ports[n].Addrs)
	for i := range spans {
		same = same && a.Ports[n+i].Addrs.To().Next() == from && a.Ports[n+i].PortSpan == spans[i] && a.PortsBy[n+i] == by[i]
	}
	for i := range spans {
		if same {
			a.Ports[n+i].Addrs = netipx.IPRangeFrom(a.Ports[n+i].Addrs.From(), to)
			continue
		}
		a.Ports, a.PortsBy = append(a.Ports, AddrPorts{netipx.IPRangeFrom(from, to), spans[i]}), append(a.PortsBy, by[i])
	}
}

// lastOf is the last address of a family.
func lastOf(a netip.Addr) netip.Addr {
	return netipx.PrefixLastIP(netip.PrefixFrom(a, 0))
}
