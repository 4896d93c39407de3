package driver

import (
	"cmp"
	"maps"
	"slices"

	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// picture is everything the host holds, comparable with reflect.DeepEqual.
type picture struct {
	Bridges map[string]spec.Bridge
	Veths   map[string]spec.Veth
	Rules   fakeRules
	// Others are the objects of other kinds that the kernel holds.
	Others fakeRules
	Held   map[string][]spec.Published
	Stored map[string]string
	// Detached are pairs of endpoints in no container, which need not exist.
	Detached map[string]spec.Veth
}

func (f *fakeHost) picture() picture {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := picture{
		Bridges: maps.Clone(f.bridges), Veths: maps.Clone(f.veths), Rules: maps.Clone(f.rules), Others: maps.Clone(f.objects),
		Held: map[string][]spec.Published{}, Stored: map[string]string{}, Detached: map[string]spec.Veth{},
	}
	for id, v := range f.veths {
		if v.Detached {
			delete(p.Veths, id)
			p.Detached[id] = v
		}
	}
	for owner, runs := range f.held {
		runs = slices.Clone(runs)
		slices.SortFunc(runs, func(a, b spec.Published) int {
			return cmp.Or(cmp.Compare(a.First, b.First), a.HostIP.Compare(b.HostIP), cmp.Compare(a.Proto, b.Proto))
		})
		p.Held[owner] = slices.Compact(runs)
	}
	for k, v := range f.stored {
		p.Stored[k] = string(v)
	}
	return p
}

// expected is the kernel's part of the picture that the driver's state asks
// for.
func expected(d *Driver) picture {
	want := plan.Compile(d.state(), d.given(d.state()))
	p := picture{Bridges: map[string]spec.Bridge{}, Veths: map[string]spec.Veth{}, Rules: fakeRules{}, Others: fakeRules{}}
	for _, b := range plan.Of[spec.Bridge](want) {
		p.Bridges[b.Name] = b
	}
	for _, v := range plan.Of[spec.Veth](want) {
		if !v.Detached {
			p.Veths[v.EndpointID] = v
		}
	}
	p.Rules.add(want.Rules().All())
	for _, o := range want {
		switch o.(type) {
		case spec.Bridge, spec.Veth, spec.Zone, spec.Forwarding, spec.HostPorts:
		default:
			if !plan.IsRule(o) {
				p.Others.add(plan.Plan{o})
			}
		}
	}
	return p
}
