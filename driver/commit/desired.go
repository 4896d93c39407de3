package commit

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Planner looks at the state and says what to change; an empty change means
// that everything is as asked already. It is pure: it runs under the state's
// lock.
type Planner func(s *model.State) (model.Change, error)

// Desired is the desired state, and what is known of its way to the store and to the kernel.
// Its methods are safe for concurrent use. Its lock is never held across I/O.
type Desired struct {
	mu    sync.Mutex
	state *model.State
	// moving holds the bridges of networks that are being made or removed, and by how
	// many: they enter or leave the zone of the host's firewall manager any time.
	moving map[string]int
	// expected holds the endpoints that left their container or were restored in
	// none, and since when: the engine may be about to delete or to join them, or
	// has forgotten them. They are there until a change that ends it has arrived.
	expected map[string]time.Time
	// unstored holds the keys, by the id of their network, whose stored values may
	// differ from the state, and whether they do.
	unstored map[string]map[string]bool
	// networks is called with the lock held when a network has come or gone.
	networks func()
	// facts tells those that plans of owners depend on, with the lock held.
	facts func() plan.Facts
}

// NewDesired returns a state in which there is nothing but what counts for networks that say
// nothing of who may talk to whom. The function is called with the
// state's lock held when a network has come or gone, and uplink is asked with it for the MTU of
// the way out, on which plans may depend.
func NewDesired(defaults config.Policy, networks func(), facts func() plan.Facts) *Desired {
	s := model.NewState()
	s.Defaults = defaults
	return &Desired{
		state: s, moving: map[string]int{}, expected: map[string]time.Time{},
		unstored: map[string]map[string]bool{}, networks: networks, facts: facts,
	}
}

// Read returns the state, which stays as it is until unlock is called.
func (d *Desired) Read() (s *model.State, unlock func()) {
	d.mu.Lock()
	return d.state, d.mu.Unlock
}

// restore puts a state in the place of the present one. Its endpoints that are in no
// container are expected to join or to go.
func (d *Desired) restore(s *model.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = s
	for _, e := range s.Endpoints {
		if e.Sandbox == "" {
			d.expected[e.ID] = time.Now()
		}
	}
}

// LockNetworks takes the locks of the networks that which names at the time, in the order of
// their ids.
func (d *Desired) LockNetworks(ctx context.Context, locks *lock.Keyed, which func(*model.State) map[string]bool) (unlock func(), err error) {
	names := func() []string {
		s, done := d.Read()
		defer done()
		return slices.Sorted(maps.Keys(which(s)))
	}
	for {
		ids := names()
		if unlock, err = locks.TakeAll(ctx, ids); err != nil {
			return nil, err
		}
		if slices.Equal(ids, names()) {
			return unlock, nil
		}
		unlock() // somebody has joined or left a network meanwhile
	}
}

// Moving says whether the bridge's network is being made or removed. The caller has the state
// from Read.
func (d *Desired) Moving(bridge string) bool { return d.moving[bridge] > 0 }

// AllMoving returns the bridges of all such networks, in no order. The caller has the state
// from Read.
func (d *Desired) AllMoving() []string { return slices.Collect(maps.Keys(d.moving)) }

// Overdue returns the endpoints that have been expected for so long, with their network.
func (d *Desired) Overdue(limit time.Duration) map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	over := map[string]string{}
	for id, since := range d.expected {
		if e := d.state.Endpoints[id]; e != nil && e.Sandbox == "" && time.Since(since) >= limit {
			over[id] = e.NetworkID
		}
	}
	return over
}

// madeOf is what a source that was applied has made. It leaves out the pair that there has never
// been, of an endpoint that has not joined yet: looking for it would cost each Join.
func (d *Desired) madeOf(from plan.Source) plan.Plan {
	made := from.Compile()
	if e := from.Endpoint; e == nil || e.Sandbox != "" || d.hasLeft(e.ID) {
		return made
	}
	return slices.DeleteFunc(made, func(o spec.Object) bool { return o.Kind() == spec.KindPair })
}

func (d *Desired) hasLeft(endpointID string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, left := d.expected[endpointID]
	return left
}

// PoliciesLock is the key, among those of networks, of the lock that changes of named policies
// take: it is no network's id.
const PoliciesLock = "policies"

// staged is a change of which the state knows, and the owners that it concerns.
type staged struct {
	model.Change
	owners []plan.Owner
}

// stage makes the state follow at once, so that verbs on other
// networks see what is taken.
func (d *Desired) stage(look Planner) (staged, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := look(d.state)
	if err != nil || c.Empty() {
		return staged{}, err
	}
	d.state.Apply(c)
	if c.Network != (model.NetworkChange{}) {
		d.networks()
	}
	for _, name := range c.Network.Bridges() {
		d.moving[name]++
	}
	for _, e := range c.Endpoints {
		if e.Before != nil && e.Before.Sandbox != "" && e.After != nil && e.After.Sandbox == "" {
			d.expected[e.After.ID] = time.Now()
		}
	}
	return staged{c, plan.Concerned(d.state, c)}, nil
}

// sources returns what the plans of these owners follow from by now, as if there were no
// such change; an empty one for none.
func (d *Desired) sources(owners []plan.Owner, without model.Change) []plan.Source {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !without.Empty() {
		d.state.Apply(without.Inverse())
		defer d.state.Apply(without)
	}
	all, facts := make([]plan.Source, len(owners)), d.facts()
	for i, o := range owners {
		all[i] = plan.SourceOf(d.state, o, facts)
	}
	return all
}

// unstage takes a change back.
func (d *Desired) unstage(c model.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.Apply(c.Inverse())
	d.networks()
}

// arrived ends a change, or what was undone of it: its network's bridge is where it stays, and
// its endpoints that are in a container or gone are not expected any more.
func (d *Desired) arrived(c model.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range c.Network.Bridges() {
		if d.moving[name]--; d.moving[name] == 0 {
			delete(d.moving, name)
		}
	}
	for _, e := range c.Endpoints {
		if is := d.state.Endpoints[e.ID()]; is == nil || is.Sandbox != "" {
			delete(d.expected, e.ID())
		}
	}
}

// Unsaved notes that the store may hold the objects of c as they should not be: after a
// change that failed, or because they were kept there without being in the state.
// It is sure if it does.
func (d *Desired) Unsaved(c model.Change, sure bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	note := func(networkID, key string) {
		if d.unstored[networkID] == nil {
			d.unstored[networkID] = map[string]bool{}
		}
		d.unstored[networkID][key] = d.unstored[networkID][key] || sure
	}
	for _, n := range []*model.Network{c.Network.Before, c.Network.After} {
		if n != nil {
			note(n.ID, model.NetworkKeys+n.ID)
		}
	}
	for _, p := range c.Policies {
		for _, p := range []*model.NamedPolicy{p.Before, p.After} {
			if p != nil {
				note(PoliciesLock, model.PolicyKeys+p.Name)
			}
		}
	}
	for _, e := range c.Endpoints {
		for _, e := range []*model.Endpoint{e.Before, e.After} {
			if e != nil {
				note(e.NetworkID, model.EndpointKeys+e.ID)
			}
		}
	}
}

// Unstored returns the ids of the networks of which stored values may differ, sorted.
func (d *Desired) Unstored() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.unstored))
}

// unstoredOf returns what the store has to hold of a network where it may differ, and whether
// it is known to do so. The caller has the network's lock until stored is told.
func (d *Desired) unstoredOf(networkID string) (values map[string][]byte, differs bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	values = map[string][]byte{}
	for key, sure := range d.unstored[networkID] {
		differs = differs || sure
		if err := d.state.Value(values, key); err != nil {
			return nil, differs, err
		}
	}
	return values, differs, nil
}

// stored notes that the store holds what it has to of a network.
func (d *Desired) stored(networkID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.unstored, networkID)
}
