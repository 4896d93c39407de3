package nftables

import (
	"net/netip"
	"slices"

	"github.com/google/nftables/expr"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/spec"
)

// policyRows are the sets of the policy table that are always there. What a packet is to
// somebody's policy is found by the bridge that it comes by with its source, or goes to with
// its destination, and else by the bridge alone.
type policyRows struct {
	// guarded are bridges of which some of what containers send is refused, which sends leads to
	// the chain of, protected those of which some of what comes is. stranger leads to what
	// becomes of other sources than the network's.
	guarded, sends, protected, stranger row
	// home is networks' subnets with their bridges; public the public addresses.
	home, public row
	// outward, host and inward are of containers with a policy of their own, the others of networks.
	outward, outwardNet, host, hostNet, inward, inwardNet row
	// policies lists what each is, by its id: the digest of its texts is the comment.
	policies row
	// refused and refusedAt count, by bridge and reason, and by the container's address.
	refused, refusedAt row
}

func rowsOfPolicy() policyRows {
	byBridge := func(name string, of field) row {
		return row{name: name, perFamily: true, key: []field{of}, verdict: true}
	}
	byAddress := func(name string, of ...field) row {
		return row{name: name, perFamily: true, key: of, verdict: true}
	}
	return policyRows{
		guarded:    row{name: "guarded", key: []field{iifname}},
		sends:      byBridge("sends", iifname),
		protected:  row{name: "protected", key: []field{oifname}},
		stranger:   row{name: "strangers", key: []field{iifname}, verdict: true},
		home:       row{name: "home", perFamily: true, key: []field{saddr, iifname}, kind: interval},
		public:     row{name: "public", perFamily: true, key: []field{daddr}, kind: interval},
		outward:    byAddress("out", iifname, saddr),
		outwardNet: byBridge("out_network", iifname),
		host:       byAddress("host", iifname, saddr),
		hostNet:    byBridge("host_network", iifname),
		inward:     byAddress("in", oifname, daddr),
		inwardNet:  byBridge("in_network", oifname),
		policies:   row{name: "policies", key: []field{ether}},
		refused:    row{name: "refused", key: []field{oifname, code}, kind: counting},
		refusedAt:  row{name: "refused", perFamily: true, key: []field{oifname, code, daddr}, kind: counting},
	}
}

// everyRow lists them.
func everyRow() []row {
	r := rowsOfPolicy()
	return slices.Concat(rowsOfNames().list(), rowsOfStrict().list(), []row{
		r.guarded, r.sends, r.protected, r.stranger, r.home, r.public, r.outward, r.outwardNet, r.host, r.hostNet, r.inward, r.inwardNet, r.policies,
		r.refused, r.refusedAt,
	})
}

// sets are the definitions of rows, by name.
func setsOf(rows []row) map[string]*set {
	all := map[string]*set{}
	for _, h := range slices.Concat([]header{inet()}, headers()) {
		for _, r := range rows {
			if r.perFamily == (h.name != "") {
				s := r.of(h)
				all[s.Name] = &s
			}
		}
	}
	return all
}

// in, notIn and to look the key of a packet up in a row's set.
func (r row) in(h header, by ...field) []expr.Any { return r.look(h, by, expr.Lookup{}) }

func (r row) notIn(h header) []expr.Any { return r.look(h, nil, expr.Lookup{Invert: true}) }

func (r row) to(h header) []expr.Any {
	return r.look(h, nil, expr.Lookup{DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true})
}

func (r row) look(h header, by []field, l expr.Lookup) []expr.Any {
	l.SourceRegister, l.SetName = 1, r.nameOf(h)
	return append(h.load(r, by), &l)
}

func (r row) nameOf(h header) string {
	if r.perFamily {
		return r.name + h.name
	}
	return r.name
}

// policyPart is what the table has for a policy, or for a bridge.
type policyPart struct {
	sets   map[string]*set
	chains []chain
	items  contents
	// by has the entries that elements of sets are of, by set and key.
	by map[string]map[string]countedEntry
}

// bridgePart is what leads from a bridge's packets to policies; all are the bindings on it.
func bridgePart(all []bound) policyPart {
	p := policyPart{items: contents{}}
	rows := rowsOfPolicy()
	put := putter(p.items.put)
	links := func(r row, v values) {
		of := r.of(inet())
		put.one(&of, &v, "")
	}
	var stranger *refusing
	for _, b := range all {
		v, note := ofLink(b.Bridge), noteOf(b)
		id := b.id
		for _, s := range b.Subnets {
			home := rows.home.of(headerOf(s.Addr()))
			put.subnet(&home, s, v, "net="+short(b.NetworkID))
		}
		if b.outward {
			links(rows.guarded, v)
			if stranger == nil || stranger.audited {
				stranger = &refusing{policy.OptionSource, b.audit}
			}
		}
		if !b.everybody {
			links(rows.protected, v)
		}
		for _, h := range headers() {
			for _, lead := range []struct {
				own, network row
				chain        string
			}{
				{rows.outward, rows.outwardNet, outChain(id, h)},
				{rows.host, rows.hostNet, hostChain(id, h)},
				{rows.inward, rows.inwardNet, inChain(id, h)},
			} {
				p.lead(b, h, lead.own, lead.network, item{data: lead.chain, note: note})
			}
		}
	}
	p.asksPart(all)
	p.strictPart(all)
	if stranger != nil {
		p.sends(all[0].Bridge, all)
		v, of := ofLink(all[0].Bridge), rows.stranger.of(inet())
		p.items.put(of.Name, item{key: of.keys.encode(&v), data: stranger.name()})
	}
	return p
}

// sends makes the chains of what is sent by a bridge, and leads there.
func (p *policyPart) sends(bridge string, all []bound) {
	var subnets []netip.Prefix
	for _, b := range all {
		subnets = append(subnets, b.Subnets...)
	}
	slices.SortFunc(subnets, netip.Prefix.Compare)
	subnets = slices.Compact(subnets)
	v, sends := ofLink(bridge), rowsOfPolicy().sends
	for _, h := range headers() {
		at := sends.of(h)
		p.chains = append(p.chains, sentChain(bridge, h, subnets))
		p.items.put(at.Name, item{key: at.keys.encode(&v), data: sentBy(bridge, h)})
	}
}

// lead puts what leads to a chain, by a container's addresses or by the bridge.
func (p *policyPart) lead(b bound, h header, own, network row, to item) {
	v := ofLink(b.Bridge)
	if b.EndpointID == "" {
		at := network.of(h)
		to.key = at.keys.encode(&v)
		p.items.put(at.Name, to)
		return
	}
	at := own.of(h)
	for _, a := range b.Addrs {
		if a.Is6() == h.six() {
			v.addr[sender], v.addr[receiver] = a, a
			to.key = at.keys.encode(&v)
			p.items.put(at.Name, to)
		}
	}
}

func noteOf(b bound) string {
	if b.EndpointID == "" {
		return "net=" + short(b.NetworkID)
	}
	return endpointNote(b.NetworkID, b.EndpointID)
}

// listedItem is an element with the entry that it is of.
type listedItem struct {
	item
	by policy.Entry
}

// fill makes the set of a row, with these elements; no set where there are none. passes says
// what becomes of packets that are found there.
func (p *policyPart) fill(s set, passes bool, all []listedItem) (there bool) {
	if len(all) == 0 {
		return false
	}
	items := make(map[string]item, len(all))
	p.sets[s.Name], p.items[s.Name] = &s, items
	if s.counted {
		p.by[s.Name] = make(map[string]countedEntry, len(all))
	}
	for _, l := range all {
		if items[l.key] = l.item; s.counted {
			p.by[s.Name][l.key] = countedEntry{l.by, passes}
		}
	}
	return true
}

// ranges4or6 puts those of a family, as the addresses of a side.
func ranges4or6(list []netipx.IPRange, h header, of side) func(putter, *set) {
	return func(put putter, s *set) {
		for _, r := range list {
			if r.From().Is6() == h.six() {
				first, last := sided(of, r.From()), sided(of, r.To())
				put.between(s, &first, &last, "")
			}
		}
	}
}

// anyItems are the addresses of a set's family of which all is meant, as those of a side.
func anyItems(s *set, a policy.Access, of side) (all []listedItem) {
	for i, r := range a.Any {
		if r.From().Is6() == s.family.six() {
			first, last := sided(of, r.From()), sided(of, r.To())
			all = append(all, listedItem{s.interval(&first, &last, ""), a.AnyBy[i]})
		}
	}
	return all
}

func sided(of side, a netip.Addr) values {
	var v values
	v.addr[of] = a
	return v
}

// portItems are those with ports, which are the receiver's: single ones, or those that are none
// for a set of intervals.
func portItems(s *set, a policy.Access, of side) (all []listedItem) {
	for i, p := range a.Ports {
		single := p.Addrs.From() == p.Addrs.To() && p.First == p.Last
		if p.Addrs.From().Is6() != s.family.six() || single == (s.kind == interval) {
			continue
		}
		first, last := sided(of, p.Addrs.From()), sided(of, p.Addrs.To())
		first.proto, last.proto = spec.Protocol(p.Proto), spec.Protocol(p.Proto)
		first.port[receiver], last.port[receiver] = p.First, p.Last
		l := listedItem{item{key: s.keys.encode(&first)}, a.PortsBy[i]}
		if !single {
			l.item = s.interval(&first, &last, "")
		}
		all = append(all, l)
	}
	return all
}

// spanItems are ports; by are the entries that they are of, none where nobody asks for these.
func spanItems(s *set, list []policy.PortSpan, by []policy.Entry) (all []listedItem) {
	for i, p := range list {
		first := values{proto: spec.Protocol(p.Proto), port: [3]uint16{receiver: p.First}}
		last := values{proto: spec.Protocol(p.Proto), port: [3]uint16{receiver: p.Last}}
		l := listedItem{item: s.interval(&first, &last, "")}
		if by != nil {
			l.by = by[i]
		}
		all = append(all, l)
	}
	return all
}
