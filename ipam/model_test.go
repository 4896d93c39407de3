package ipam

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
)

// model is the allocator as one would write it without a thought of cost: every
// search is linear, and nothing is shared with the real one but usable.
type model struct {
	ranges []config.PoolRange
	pools  map[string]*modelPool
	cursor map[bool]netip.Prefix
}

type modelPool struct {
	space       string
	subnet, sub netip.Prefix
	next, gate  netip.Addr
	modelClaim
	held   map[netip.Addr]*modelAddress
	sticky bool
	// kept are free addresses with who had them last, the one released first in front.
	kept []modelKept
}

type modelAddress struct {
	modelClaim
	name string
}

type modelKept struct {
	addr netip.Addr
	name string
}

type modelClaim struct{ confirmed, replayed, retained bool }

func (m *model) clone() *model {
	c := &model{ranges: m.ranges, pools: map[string]*modelPool{}, cursor: maps.Clone(m.cursor)}
	for id, p := range m.pools {
		q := *p
		q.held = map[netip.Addr]*modelAddress{}
		for a, h := range p.held {
			g := *h
			q.held[a] = &g
		}
		q.kept = slices.Clone(p.kept)
		c.pools[id] = &q
	}
	return c
}

func (m *model) String() string {
	var lines []string
	for id, p := range m.pools {
		l := fmt.Sprintf("%s next %s gateway %s %v:", id, p.next, p.gate, p.modelClaim)
		for _, a := range slices.SortedFunc(maps.Keys(p.held), netip.Addr.Compare) {
			l += fmt.Sprintf(" %s%v", a, *p.held[a])
		}
		l += fmt.Sprintf(" sticky %t kept %v", p.sticky, p.kept)
		lines = append(lines, l)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// forgetClaims is what a greeting does, and with restart what New does.
func (m *model) forgetClaims(restart bool) {
	for _, p := range m.pools {
		p.confirmed = false
		for _, h := range p.held {
			h.confirmed = false
			if restart {
				h.modelClaim = modelClaim{}
			}
		}
		if restart {
			p.modelClaim = modelClaim{}
		}
	}
}

func (m *model) requestPool(space string, subnet, sub netip.Prefix, sticky bool) (string, bool) {
	id := space + "/" + subnet.String()
	if sub.IsValid() {
		id += "/" + sub.String()
	}
	if p := m.pools[id]; p != nil {
		if p.confirmed {
			return "", false
		}
		p.modelClaim = modelClaim{confirmed: true, replayed: true}
		if p.sticky = sticky; !sticky {
			p.kept = nil
		}
		return id, true
	}
	for _, p := range m.pools {
		if p.space == space && p.subnet.Overlaps(subnet) {
			return "", false
		}
	}
	p := &modelPool{space: space, subnet: subnet, sub: sub, held: map[netip.Addr]*modelAddress{}, sticky: sticky}
	p.confirmed = true
	p.next = p.choices()[0]
	m.pools[id] = p
	return id, true
}

// choices are the addresses of the range, in order.
func (p *modelPool) choices() []netip.Addr {
	var out []netip.Addr
	first, last := usable(p.subnet)
	for a := first; a.Compare(last) <= 0; a = a.Next() {
		if !p.sub.IsValid() || p.sub.Contains(a) {
			out = append(out, a)
		}
	}
	return out
}

func (m *model) automatic(space string, v6 bool, used []netip.Prefix) (string, bool) {
	var all []netip.Prefix
	for _, r := range m.ranges {
		for a := r.Base.Addr(); r.Base.Contains(a) && a.Is6() == v6; {
			p := netip.PrefixFrom(a, r.Size)
			all = append(all, p)
			for p.Contains(a) {
				a = a.Next()
			}
		}
	}
	start := slices.Index(all, m.cursor[v6]) + 1
	for i := range all {
		p := all[(start+i)%len(all)]
		blocked := slices.ContainsFunc(used, p.Overlaps)
		for _, o := range m.pools {
			blocked = blocked || o.subnet.Overlaps(p)
		}
		if !blocked {
			m.cursor[v6] = p
			return m.requestPool(space, p, netip.Prefix{}, true)
		}
	}
	return "", false
}

func (m *model) requestAddress(id string, a netip.Addr, gateway bool, name string) (netip.Prefix, bool) {
	p := m.pools[id]
	if p == nil {
		return netip.Prefix{}, false
	}
	chosen := !a.IsValid()
	if gateway && p.gate.IsValid() {
		a, gateway = p.secondGateway(a)
	}
	if !a.IsValid() {
		if a = p.choose(gateway, name); !a.IsValid() {
			return netip.Prefix{}, false
		}
	} else if first, last := usable(p.subnet); a.Less(first) || last.Less(a) {
		return netip.Prefix{}, false
	}
	if h := p.held[a]; h != nil {
		if h.confirmed {
			return netip.Prefix{}, false
		}
		h.modelClaim = modelClaim{confirmed: true, replayed: true}
		if name != "" {
			h.name = name
		}
	} else {
		p.held[a] = &modelAddress{modelClaim{confirmed: true}, name}
		if chosen && !gateway && !p.isKept(a) {
			c := p.choices()
			p.next = c[(slices.Index(c, a)+1)%len(c)]
		}
		p.kept = slices.DeleteFunc(p.kept, func(k modelKept) bool { return k.addr == a })
	}
	if gateway {
		p.gate = a
	}
	return netip.PrefixFrom(a, p.subnet.Bits()), true
}

// secondGateway says which address a gateway's request for a is about when the
// pool has a gateway, and whether it becomes the gateway.
func (p *modelPool) secondGateway(a netip.Addr) (netip.Addr, bool) {
	if a.IsValid() {
		return a, p.space == LocalSpace || a == p.gate
	}
	if p.space == LocalSpace && p.replayed && !p.held[p.gate].confirmed {
		return p.gate, true
	}
	return a, false
}

func (p *modelPool) isKept(a netip.Addr) bool {
	return slices.ContainsFunc(p.kept, func(k modelKept) bool { return k.addr == a })
}

// choose prefers what is kept for the name, then what is kept for nobody, then what was
// released first.
func (p *modelPool) choose(gateway bool, name string) netip.Addr {
	c := p.choices()
	start := slices.Index(c, p.next)
	if gateway {
		start = 0
	}
	for _, k := range p.kept {
		if k.name == name && !gateway {
			return k.addr
		}
	}
	for i := range c {
		if a := c[(start+i)%len(c)]; p.held[a] == nil && !p.isKept(a) {
			return a
		}
	}
	if len(p.kept) > 0 {
		return p.kept[0].addr
	}
	return netip.Addr{}
}

func (m *model) releaseAddress(id string, a netip.Addr) {
	if p := m.pools[id]; p != nil && p.held[a] != nil {
		if h := p.held[a]; h.retained {
			h.retained, h.replayed = false, false
		} else {
			delete(p.held, a)
			if a == p.gate {
				p.gate = netip.Addr{}
			}
			if p.sticky && h.name != "" && slices.Contains(p.choices(), a) {
				p.kept = slices.DeleteFunc(p.kept, func(k modelKept) bool { return k.name == h.name })
				p.kept = append(p.kept, modelKept{a, h.name})
			}
		}
	}
}

func (m *model) releasePool(id string) {
	if p := m.pools[id]; p != nil && p.retained {
		p.retained, p.replayed = false, false
	} else {
		delete(m.pools, id)
	}
}

func (m *model) retain(subnet netip.Prefix, addrs []netip.Addr, poolToo bool) {
	for _, p := range m.pools {
		if p.space != LocalSpace || p.subnet != subnet {
			continue
		}
		if poolToo {
			p.retained = p.replayed
		}
		for _, a := range addrs {
			if h := p.held[a]; h != nil {
				h.retained = h.replayed
			}
		}
	}
}
