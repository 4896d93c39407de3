package nftables

import (
	"encoding/binary"
	"fmt"
	"maps"
	"strings"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// rangesName stands for the ranges of source ports among the names of sets: their items
// are protocol → first . last, but they are written into the rules of high_port4 and
// high_port6, which are replaced in the transaction that changes them.
//
// A map in the kernel was rejected: masquerade takes the two ends of a range from two
// registers, and nft has no words for a rule that loads both by one look-up. It lists such
// a rule without the masquerade, and a packet would pay for the look-up.
const rangesName = "high_ports"

// highChain begins the names of the chains whose rules have the ranges, one for each family.
const highChain = "high_port"

// loadSpan loads the range into the registers that masquerade and snat take it from.
func loadSpan(r spec.Span, register uint32) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: register, Data: binary.BigEndian.AppendUint16(nil, r.First)},
		&expr.Immediate{Register: register + 1, Data: binary.BigEndian.AppendUint16(nil, r.Last)},
	}
}

// ranges are those of protocols that have not all high ports.
type ranges map[spec.Protocol]spec.Span

func (h ranges) of(p spec.Protocol) spec.Span {
	if r, ok := h[p]; ok {
		return r
	}
	return firewall.AllHigh()
}

func rangeItem(p firewall.HighPorts) item {
	ends := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, p.First), p.Last)
	return item{key: string([]byte{byte(p.Proto)}), data: string(ends)}
}

// ranges reads the items.
func (c contents) ranges() ranges {
	high := ranges{}
	for key, i := range c[rangesName] {
		high[spec.Protocol(key[0])] = spec.Span{First: binary.BigEndian.Uint16([]byte(i.data)), Last: binary.BigEndian.Uint16([]byte(i.data[2:]))}
	}
	return high
}

// rangesAfter is ranges after a change.
func (c contents) rangesAfter(by change) ranges {
	high := c.ranges()
	for p := range by.gone.ranges() {
		delete(high, p)
	}
	maps.Copy(high, by.fresh.ranges())
	return high
}

// putInto adds the items.
func (h ranges) putInto(c contents) {
	for p, r := range h {
		c.put(rangesName, rangeItem(firewall.HighPorts{Proto: p, First: r.First, Last: r.Last}))
	}
}

// listRanges reads the ranges from a chain; there are none without it.
func (k *kernel) listRanges(c *nft.Chain) (ranges, error) {
	if c == nil {
		return nil, nil
	}
	rules, err := k.conn.GetRules(c.Table, c)
	return rangesOf(rules), err
}

// rangesOf reads the ranges from the rules of a chain as the kernel lists them. Rules that
// are not as they should be show when they are compared with those of these ranges.
func rangesOf(rules []*nft.Rule) ranges {
	high := ranges{}
	for _, r := range rules {
		var proto []byte
		var ports [][]byte
		for _, e := range r.Exprs {
			switch e := e.(type) {
			case *expr.Cmp: // the first one is of the protocol
				if proto == nil {
					proto = e.Data
				}
			case *expr.Immediate:
				ports = append(ports, e.Data)
			}
		}
		if len(proto) != 1 || len(ports) != 2 || len(ports[0]) != 2 || len(ports[1]) != 2 {
			continue
		}
		is := spec.Span{First: binary.BigEndian.Uint16(ports[0]), Last: binary.BigEndian.Uint16(ports[1])}
		if is != firewall.AllHigh() {
			high[spec.Protocol(proto[0])] = is
		}
	}
	return high
}

// moves says whether the transaction changes a range.
func (tx transaction) moves() bool { return len(tx.gone[rangesName])+len(tx.fresh[rangesName]) > 0 }

// moveRanges replaces the rules that have the ranges, unless they come with the table.
func (tx transaction) moveRanges(c *nft.Conn, t *nft.Table) {
	if tx.create || !tx.moves() {
		return
	}
	for _, of := range snatChains(tx.high) {
		if !strings.HasPrefix(of.Name, highChain) {
			continue
		}
		of.Table = t
		c.FlushChain(&of.Chain)
		for _, r := range of.rules {
			c.AddRule(&nft.Rule{Table: t, Chain: &of.Chain, Exprs: r})
		}
	}
}

// commands are those of nft that replace the rules.
func (h ranges) commands(table string) string {
	var b strings.Builder
	for _, f := range [...]struct{ chain, family string }{{highChain + "4", "ip"}, {highChain + "6", "ip6"}} {
		v := strings.TrimPrefix(f.chain, highChain)
		fmt.Fprintf(&b, "flush chain %s %s\n", table, f.chain)
		for _, p := range protocols() {
			r := h.of(p)
			to := fmt.Sprintf(":%d-%d fully-random\n", r.First, r.Last)
			fmt.Fprintf(&b, "add rule %s %s meta l4proto %s %s saddr @%s%s masquerade to %s", table, f.chain, p, f.family, masqueradeSet, v, to)
			fmt.Fprintf(&b, "add rule %s %s meta l4proto %s snat %s to %s saddr map @%s%s%s", table, f.chain, p, f.family, f.family, sourceMap, v, to)
		}
	}
	return b.String()
}
