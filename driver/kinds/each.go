package kinds

import (
	"context"
	"slices"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// each is the check of kinds whose objects are looked at one by one, and that no look at all
// links shows.
type each struct {
	kernel  Kernel
	desired *commit.Desired
	// of returns those of a network in a state, its endpoints' among them.
	of func(s *model.State, n *model.Network) []atLinks
}

// ofEndpoints are those of all endpoints of a network, by those of one.
func ofEndpoints(of func(s *model.State, n *model.Network, e *model.Endpoint) []atLinks) func(*model.State, *model.Network) []atLinks {
	return func(s *model.State, n *model.Network) (all []atLinks) {
		for _, e := range s.Members[n.ID] {
			all = append(all, of(s, n, e)...)
		}
		return all
	}
}

// ofEach are those of all endpoints of a network, of which each has one or none.
func ofEach[O atLinks](of func(n *model.Network, e *model.Endpoint) (O, bool)) func(*model.State, *model.Network) []atLinks {
	return ofEndpoints(func(_ *model.State, n *model.Network, e *model.Endpoint) []atLinks { return orNone(of(n, e)) })
}

// orNone lists an object that is there.
func orNone[O atLinks](o O, there bool) []atLinks {
	if !there {
		return nil
	}
	return []atLinks{o}
}

// atLinks is an object by whose links the kernel tells that it may have changed.
type atLinks interface {
	spec.Object
	On() []string
}

// check looks at the objects whose links are in question, and mends those that are not as they
// should be. Without rules nothing gets to carry more than it does.
func (k each) check(ctx context.Context, c *drift.Comparison) {
	if c.Linkless() {
		return
	}
	var all []spec.Object
	networks := map[any]string{} // of each, by its key
	s, unlock := k.desired.Read()
	for id, n := range s.Networks {
		for _, o := range k.of(s, n) {
			if slices.ContainsFunc(o.On(), c.About) {
				all, networks[o.Key()] = append(all, o), id
			}
		}
	}
	unlock()
	amiss, err := k.kernel.Amiss(ctx, all)
	c.Note(nil, err)
	for _, o := range amiss {
		network := networks[o.Key()]
		c.Mend(ctx, network, func(s *model.State) spec.Object { return k.wanted(s, network, o) })
	}
}

// wanted returns what an object of a network is to be by now; nil if it is not to be any more.
func (k each) wanted(s *model.State, network string, was spec.Object) spec.Object {
	n := s.Networks[network]
	if n == nil {
		return nil
	}
	for _, o := range k.of(s, n) {
		if o.Key() == was.Key() {
			return o
		}
	}
	return nil
}
