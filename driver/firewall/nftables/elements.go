package nftables

import (
	"encoding/binary"
	"net/netip"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// The sets and maps by name; those of an address have one for each family,
// with 4 or 6 at the end.
const (
	withinMap        = "within"          // iifname . oifname → verdict
	externalSet      = "external"        // ifname, of networks that are not internal
	bridgesSet       = "bridges"         // ifname
	uplinksSet       = "uplinks"         // ifname, of bridges of others that lead outside
	sameLinkSet      = "same_link"       // iifname . oifname, of links that lead outside
	closedSet        = "closed"          // nfproto
	subnetsSet       = "subnets"         // subnets
	homeSet          = "home"            // subnets . iifname
	masqueradeSet    = "masquerade"      // subnets
	sourceMap        = "source"          // subnets → addr
	keepSet          = "keep"            // addr . port
	keepRangeSet     = "keep_range"      // addr . ports
	hairpinSet       = "hairpin"         // subnets . oifname
	directSet        = "direct"          // subnets . addr
	unprotectedSet   = "unprotected"     // ifname
	routedSet        = "routed"          // ifname
	openSet          = "open"            // oifname . proto . addr . port
	openRangeSet     = "open_range"      // oifname . proto . addr . ports
	openFromSet      = "open_from"       // iifname . oifname . proto . addr . port
	openRangeFromSet = "open_range_from" // iifname . oifname . proto . addr . ports
	portMap          = "port"            // proto . port → addr . port
	portAtMap        = "port_at"         // proto . addr . port → addr . port
	rangeMap         = "range_"          // + proto: ports → addr
	rangeAtMap       = "range_at"        // proto . addr . ports → addr
	refusedSet       = "refused"         // ifname . reason, and with 4 or 6 . addr, counted
	spoofedSet       = "spoofed"         // addr, counted
)

const (
	// chainPermit and chainIsolated are where within leads with ICC and without.
	chainPermit   = "permit"
	chainIsolated = "isolated"
	// ifnameLen is IFNAMSIZ.
	ifnameLen = 16
)

// longRun is how many ports a run with equal ports on both sides has at least
// to become one interval. A shorter one is cheaper as single ports: these are
// found and changed in the same time whatever their number, while intervals
// are sorted.
const longRun = 64

// item is an element of a set or map, in the kernel's bytes. Two items are
// equal if the kernel cannot tell them apart.
type item struct {
	key string
	// end is the last key of an interval in a concatenation, or the first key
	// behind one that stands alone ("" if there is none); "" for single keys.
	end string
	// data is what a map leads to; the chain's name in a verdict map.
	data string
	// note is shown by nft as the element's comment.
	note string
}

// contents are the items of all sets, by set and key.
type contents map[string]map[string]item

func (c contents) put(set string, i item) {
	if c[set] == nil {
		c[set] = map[string]item{}
	}
	c[set][i.key] = i
}

// len is the number of all items.
func (c contents) len() int {
	n := 0
	for _, items := range c {
		n += len(items)
	}
	return n
}

// compile returns the items of a ruleset.
func compile(r firewall.Ruleset) contents {
	c := contents{}
	each(r, c.put)
	return c
}

// each calls f for every item of a ruleset, in no order that means anything.
func each(r firewall.Ruleset, f func(set string, i item)) {
	for _, n := range r.Networks {
		networkItems(n, f)
	}
	for _, p := range r.Ports {
		if !p.Relayed() {
			portItems(p, f)
		}
	}
	for _, o := range r.Open {
		openItems(o, f)
	}
	for _, k := range r.Keep {
		keepItems(k, f)
	}
	for _, p := range r.HighPorts {
		f(rangesName, rangeItem(p))
	}
	for _, d := range r.Direct {
		to := raw(d.Addr)
		f(directSet+family(d.Addr), item{key: raw(d.Clients.Masked().Addr()) + to, end: raw(last(d.Clients)) + to, note: owner(d.NetworkID, d.EndpointID)})
	}
	for _, l := range r.Outside {
		f(sameLinkSet, item{key: ifname(l.Name) + ifname(l.Name)})
		if l.Bridge { // other links need not be known
			f(uplinksSet, item{key: ifname(l.Name)})
		}
	}
	for _, h := range headers() {
		if r.Closed.Has(h.name == "6") {
			f(closedSet, item{key: string(h.proto)})
		}
	}
}

func networkItems(n firewall.Network, f func(string, item)) {
	note := "net=" + short(n.ID)
	bridge := ifname(n.Bridge)
	within := item{key: bridge + bridge, data: chainIsolated, note: note}
	if n.ICC {
		within.data = chainPermit
	}
	f(withinMap, within)
	if !n.Internal {
		f(externalSet, item{key: bridge, note: note})
	}
	f(bridgesSet, item{key: bridge, note: note})
	for _, p := range n.Masquerade {
		set, i := masqueradeSet, spanItem(p, note)
		for _, a := range n.Source {
			if a.Is6() == p.Addr().Is6() {
				set, i.data = sourceMap, raw(a)
			}
		}
		f(set+family(p.Addr()), i)
	}
	for set, subnets := range map[string][]netip.Prefix{hairpinSet: n.Hairpin, homeSet: n.Subnets} {
		for _, p := range subnets {
			f(set+family(p.Addr()), item{key: raw(p.Masked().Addr()) + bridge, end: raw(last(p)) + bridge, note: note})
		}
	}
	for _, p := range n.Subnets {
		f(subnetsSet+family(p.Addr()), spanItem(p, note))
	}
	for _, h := range headers() {
		six := h.name == "6"
		if n.Unprotected.Has(six) {
			f(unprotectedSet+h.name, item{key: bridge, note: note})
		}
		if n.Routed.Has(six) {
			f(routedSet+h.name, item{key: bridge, note: note})
		}
	}
}

// spanItem is an interval that stands alone.
func spanItem(p netip.Prefix, note string) item {
	i := item{key: raw(p.Masked().Addr()), note: note}
	if next := last(p).Next(); next.IsValid() {
		i.end = raw(next)
	}
	return i
}

// owner is the note of what belongs to an endpoint.
func owner(networkID, endpointID string) string {
	return "net=" + short(networkID) + " ep=" + short(endpointID)
}

// keepItems turns a run into one interval or into single ports, too.
func keepItems(k firewall.Keep, f func(string, item)) {
	v, from, note := family(k.Addr), raw(k.Addr), owner(k.NetworkID, k.EndpointID)
	if int(k.Last)-int(k.First)+1 >= longRun {
		f(keepRangeSet+v, item{key: from + port(int(k.First)), end: from + port(int(k.Last)), note: note})
		return
	}
	for at := int(k.First); at <= int(k.Last); at++ {
		f(keepSet+v, item{key: from + port(at), note: note})
	}
}

// openItems turns a run into one interval or into single ports, too.
func openItems(o firewall.Open, f func(string, item)) {
	note := owner(o.NetworkID, o.EndpointID)
	before, single, long := ifname(o.Bridge)+field(byte(o.Proto))+raw(o.Addr), openSet, openRangeSet
	if o.From != "" {
		before, single, long = ifname(o.From)+before, openFromSet, openRangeFromSet
	}
	if int(o.Last)-int(o.First)+1 >= longRun {
		f(long+family(o.Addr), item{key: before + port(int(o.First)), end: before + port(int(o.Last)), note: note})
		return
	}
	for p := int(o.First); p <= int(o.Last); p++ {
		f(single+family(o.Addr), item{key: before + port(p), note: note})
	}
}

// portItems turns a run into one interval or into single ports. The kernel
// knows no intervals that shift ports, nor such that lead to several of them.
func portItems(p firewall.Port, f func(string, item)) {
	note := owner(p.NetworkID, p.EndpointID)
	v, to := family(p.HostIP), raw(p.ContainerIP)
	before := field(byte(p.Proto))
	if !p.HostIP.IsUnspecified() {
		before += raw(p.HostIP)
	}
	switch {
	case p.Len() < longRun || p.ContainerFirst != p.First:
		set := portMap + v
		if !p.HostIP.IsUnspecified() {
			set = portAtMap + v
		}
		for i := range p.Len() {
			f(set, item{key: before + port(int(p.First)+i), data: to + port(int(p.ContainerFirst)+i), note: note})
		}
	case p.HostIP.IsUnspecified():
		i := item{key: portAlone(int(p.First)), data: to, note: note}
		if p.Last < 65535 {
			i.end = portAlone(int(p.Last) + 1)
		}
		f(rangeMap+p.Proto.String()+v, i)
	default:
		f(rangeAtMap+v, item{key: before + port(int(p.First)), end: before + port(int(p.Last)), data: to, note: note})
	}
}

// family is the end of the name of an address family's sets.
func family(a netip.Addr) string {
	if a.Is6() {
		return "6"
	}
	return "4"
}

// last is the highest address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func raw(a netip.Addr) string { return string(a.AsSlice()) }

// field pads a byte to the 32 bits that each part of a concatenation takes up.
func field(b byte) string { return string([]byte{b, 0, 0, 0}) }

// port is a port as part of a concatenation.
func port(n int) string { return portAlone(n) + "\x00\x00" }

func portAlone(n int) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(n))) //nolint:gosec // ports have 16 bits
}

func ifname(name string) string {
	var b [ifnameLen]byte
	copy(b[:ifnameLen-1], name)
	return string(b[:])
}

// short cuts an id as docker shows it.
func short(id string) string { return id[:min(len(id), 12)] }

// protocols are those that ports are published for.
func protocols() []spec.Protocol { return []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} }
