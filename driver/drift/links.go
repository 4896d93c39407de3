package drift

import (
	"context"
	"maps"
	"slices"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// thorough is how many pairs a comparison of all links looks at closely beside
// those that do not look as they should; the next one takes the next of them. It
// finds what one look at all links does not show.
const thorough = 64

// CheckLinks is the check of bridges, forwarding and pairs, which one look shows: it removes
// what belongs to nobody, mends the others if it is
// allowed to, and finds pairs that are gone. A pair that is gone took its
// container's end with it and cannot be brought back from here. A link that only has
// another name is not missing: it gets its own before anything is made anew.
func (c *Comparison) CheckLinks(ctx context.Context) {
	want, mend := c.desiredLinks(), !c.linkless
	found, err := c.look(ctx, c.of, want)
	if err != nil {
		c.Note(nil, err)
		return
	}
	known := len(c.fixed)
	c.orphans(ctx, found)
	c.sort(repairOrphan)
	if mend {
		// One that is gone took its pairs off before anything told of it.
		c.of.Join(bridgesOf(want.Veths, found))
		c.bridges(ctx, want)
	}
	if len(c.fixed) > known {
		if found, err = c.look(ctx, c.of, want); err != nil {
			c.Note(nil, err)
			return
		}
	}
	for _, v := range want.Veths {
		if found.Gone[v.EndpointID] || found.Outside[v.EndpointID] {
			c.miss(v.EndpointID, found.Outside[v.EndpointID])
		}
	}
	if mend {
		for _, v := range c.suspects(want.Veths, found) {
			c.pair(ctx, v)
		}
		c.sort(spec.KindPair)
	}
}

// desiredLinks are those of the state as it is now.
func (p *Comparer) desiredLinks() plan.Links {
	s, unlock := p.Desired.Read()
	networks := slices.Collect(maps.Values(s.Networks))
	endpoints := slices.Collect(maps.Values(s.Endpoints))
	on := make([]*model.Network, len(endpoints))
	for i, e := range endpoints {
		on[i] = s.Networks[e.NetworkID]
	}
	unlock()
	return plan.LinksOf(networks, endpoints, on, p.Facts.Uplink())
}

// look takes one look at links. An unclaimed pair that is gone, or in no container
// any more, is used by nobody.
func (p *Comparer) look(ctx context.Context, of spec.Scope, want plan.Links) (spec.LinkCheck, error) {
	bridges, veths := p.unpruned(want)
	found, err := p.Links.Check(ctx, of, bridges, veths)
	if err != nil {
		return found, err
	}
	for _, v := range veths {
		if found.Gone[v.EndpointID] || found.Outside[v.EndpointID] {
			p.Resolved(v.EndpointID, "is in no container any more")
		}
	}
	return found, nil
}

// unpruned adds to what should be there what nobody has claimed.
func (p *Comparer) unpruned(want plan.Links) ([]spec.Bridge, []spec.Veth) {
	s, unlock := p.Desired.Read()
	defer unlock()
	bridges, veths := slices.Clone(want.Bridges), slices.Clone(want.Veths)
	for _, b := range want.Further {
		bridges = append(bridges, spec.Bridge{Name: b.Name, NetworkID: b.Owner()})
	}
	for id, v := range p.Owners.Unclaimed() {
		if s.Networks[v.NetworkID] == nil && v.NetworkID != "" {
			// Whatever its name is, as that of one that gangway only uses.
			bridges = append(bridges, spec.Bridge{Name: v.Bridge, NetworkID: v.NetworkID, Adopted: true})
		}
		if v.Further > 0 {
			further := spec.FurtherBridge{NetworkID: v.NetworkID, Number: v.Further}
			bridges = append(bridges, spec.Bridge{Name: v.Bridge, NetworkID: further.Owner()})
		}
		if s.Endpoints[id] == nil {
			veths = append(veths, spec.Veth{EndpointID: id, Host: v.Host, Bridge: v.Bridge, Ifb: plan.Ifb(id)})
		}
	}
	return bridges, veths
}

// bridgesOf are those of the pairs that are not as they should be.
func bridgesOf(veths []spec.Veth, found spec.LinkCheck) (of spec.Scope) {
	for _, v := range veths {
		if found.Amiss[v.EndpointID] && !found.Gone[v.EndpointID] {
			of.Add(v.Bridge)
		}
	}
	return of
}

// bridges mends bridges, and forwarding between links.
func (c *Comparison) bridges(ctx context.Context, want plan.Links) {
	for _, b := range want.Bridges {
		if c.of.Has(b.Name) {
			c.Mend(ctx, b.NetworkID, func(s *model.State) spec.Object {
				if n := s.Networks[b.NetworkID]; n != nil {
					return plan.Bridge(n, c.Facts.Uplink())
				}
				return nil
			})
		}
	}
	c.sort(spec.KindBridge)
	c.further(ctx, want.Further)
	for _, six := range []bool{false, true} {
		if want.Forward.Has(six) {
			c.Note(c.Ensure(ctx, spec.Forwarding{Six: six}))
		}
	}
	c.sort(spec.KindForwarding)
}

// further mends further bridges, and what joins them to the first ones.
func (c *Comparison) further(ctx context.Context, want []spec.FurtherBridge) {
	for _, b := range want {
		if !slices.ContainsFunc(b.On(), c.of.Has) {
			continue
		}
		c.Mend(ctx, b.NetworkID, func(s *model.State) spec.Object {
			n := s.Networks[b.NetworkID]
			if n == nil || !slices.Contains(s.Further(n.ID), b.Number) {
				return nil
			}
			return plan.FurtherBridges(n, []int{b.Number}, c.Facts.Uplink())[0]
		})
	}
	c.sort(spec.KindFurtherBridge)
}

// suspects chooses the pairs to be looked at closely. Those that are gone are
// not among them.
func (c *Comparison) suspects(veths []spec.Veth, found spec.LinkCheck) []spec.Veth {
	looked := map[string]bool{}
	if c.of.All {
		for i := range min(thorough, len(veths)) {
			looked[veths[(c.nextPair+i)%len(veths)].EndpointID] = true
		}
		c.nextPair += thorough
		if c.nextPair >= len(veths) {
			c.nextPair = 0
		}
	}
	return slices.DeleteFunc(slices.Clone(veths), func(v spec.Veth) bool {
		return found.Gone[v.EndpointID] || !found.Amiss[v.EndpointID] && !looked[v.EndpointID]
	})
}

// pair mends the host end of an endpoint's pair, if it is in a container still.
func (c *Comparison) pair(ctx context.Context, v spec.Veth) {
	s, unlock := c.Desired.Read()
	e := s.Endpoints[v.EndpointID]
	unlock()
	if e == nil {
		return
	}
	c.Mend(ctx, e.NetworkID, func(s *model.State) spec.Object {
		if n, now := s.Networks[e.NetworkID], s.Members[e.NetworkID][e.ID]; n != nil && now != nil {
			return plan.Veth(n, now, c.Facts.Uplink())
		}
		return nil
	})
}

// orphans removes links that belong to nobody. What seemed to, because of a verb
// that was on its way, no longer does at a second look.
func (c *Comparison) orphans(ctx context.Context, found spec.LinkCheck) {
	if len(found.Orphans) == 0 {
		return
	}
	found, err := c.look(ctx, spec.Scope{Links: found.Orphans}, c.desiredLinks())
	if err != nil {
		c.Note(nil, err)
		return
	}
	if len(found.Orphans) > 0 {
		c.Alone(ctx, func() ([]string, error) {
			bridges, veths := c.unpruned(c.desiredLinks())
			return c.Links.Prune(ctx, bridges, veths)
		})
	}
}
