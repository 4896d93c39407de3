package nftables

import (
	"net/netip"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// ifnameLen is IFNAMSIZ.
const ifnameLen = 16

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

// networkNote is the note of what belongs to a network.
func networkNote(n firewall.Network) string { return "net=" + short(n.ID) }

// endpointNote is the note of what belongs to an endpoint.
func endpointNote(networkID, endpointID string) string {
	return "net=" + short(networkID) + " ep=" + short(endpointID)
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

func ifname(name string) string {
	return string(appendName(nil, name))
}

// short cuts an id as docker shows it.
func short(id string) string { return id[:min(len(id), 12)] }

// protocols are those that ports are published for.
func protocols() []spec.Protocol { return []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} }
