package driver

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/driver/undo"
)

// Options are what a Driver works with.
type Options struct {
	Links Linker
	Host  Host
	Facts Facts
	// Paths, if set, tells what rules of others divert.
	Paths    Paths
	Firewall firewall.Backend
	// Zones, if set, speaks with the manager of the host's firewall.
	Zones Zones
	Ports HostPorts
	// Origins tells relays of Ports where clients come from.
	Origins Origins
	Flows   Flows
	Store   Store
	// BootID tells one boot of the host from another
	// (/proc/sys/kernel/random/boot_id).
	BootID string
	// Router says that the host may be a router: nothing is closed that forwarding opens.
	Router bool
	// Unguarded says why the host's kernel cannot filter what containers send;
	// empty if it can.
	Unguarded string
	// Refused and PortDrops, if set, tell what was refused.
	Refused   firewall.Counter
	PortDrops PortDrops
	// Suspect, if set, names who changed the firewall's rules last besides this
	// process; empty for nobody.
	Suspect func() string
	Log     *logrus.Entry
}

// Driver is the NetworkDriver's domain. Its methods are safe for concurrent
// use. Restore must have returned before the first verb.
type Driver struct {
	o Options
	locks
	// mu guards memory. It is never held across I/O.
	mu sync.Mutex
	memory
	drift
	notices
	origins origins
	// taken is what is left to do for published ports after the answer.
	taken takenPorts
}

// locks are what verbs and Reconcile wait for, each until its context ends. They are
// taken in the order in which they stand here; mu comes after all of them, and the
// mutexes of origins, events.Journal, takenPorts, questions and drops after that. The reading of
// drops comes before mu, and nobody waits for it.
type locks struct {
	// healing lets one Reconcile run at a time.
	healing *lock.Lock
	// networks serialises the verbs of each network, and what Reconcile mends of its
	// links; of several networks in the order of their ids.
	networks lock.Keyed
	// gate lets verbs change the kernel side by side, and Reconcile remove what is
	// nobody's alone: what should exist must not change meanwhile.
	gate lock.Gate
	// forwarding lets one at a time turn forwarding on.
	forwarding *lock.Lock
	// rules lets one at a time change or compare the kernel's rules.
	rules rules
}

// memory is what the driver knows, guarded by its mu.
type memory struct {
	state  *model.State
	facts  plan.Facts
	health health
	// turned are the families whose forwarding gangway has turned on since the host
	// booted.
	turned firewall.Families
	// moving holds the bridges of networks that verbs are making or removing, and by
	// how many: they enter or leave the zone of the host's firewall manager any time.
	moving map[string]int
	// expected holds the endpoints that left their container or were restored in
	// none, and since when: the engine may be about to delete or to join them, or
	// has forgotten them.
	expected  map[string]time.Time
	engines   engines
	listeners listeners
	// unstored holds the keys, by the id of their network, whose stored values may
	// differ from the state, and whether they do; see store.
	unstored map[string]map[string]bool
}

// engines is what engines have said, or have not yet.
type engines struct {
	unclaimed unclaimed
	// absent holds the networks that were not in their engine's last answer.
	absent map[string]bool
}

// drift is what one Reconcile leaves for the next one, which healing guards.
type drift struct {
	fights *fights
	// turn is the first pair that the next comparison looks at closely.
	turn int
}

// notices is what the driver tells of without being asked.
type notices struct {
	journal events.Journal
	// doubts has something in it when engines are to be asked what they have.
	doubts chan struct{}
	// asked is what the kernel and other programs have not answered yet.
	asked questions
	// looks is how many ask for what is not met.
	looks atomic.Int32
	drops drops
}

// health is what Reconcile found last.
type health struct {
	checks  uint64
	repairs uint64
	// mended are the repairs by kind.
	mended    map[string]uint64
	lastCheck time.Time
	problem   string
	// unmet has a line for each condition that is not met.
	unmet []string
	// fights has a line for each repair that somebody keeps undoing, flapping also for
	// those that do not last for now.
	fights, flapping []string
	// missing holds the endpoints whose link pair was in no container at the last
	// check.
	missing map[string]missing
	// unheld has for containers, by sandbox, what keeps their host ports from being held.
	unheld map[string][]string
}

// New returns a driver without any state; see Restore.
func New(o Options) *Driver {
	d := &Driver{
		o:     o,
		locks: locks{healing: lock.New(), forwarding: lock.New(), rules: rules{lock: lock.New(), doubt: true}},
		memory: memory{
			state: model.NewState(), moving: map[string]int{}, expected: map[string]time.Time{}, unstored: map[string]map[string]bool{},
			engines: engines{absent: map[string]bool{}}, health: health{mended: map[string]uint64{}, unheld: map[string][]string{}},
		},
		drift:   drift{fights: newFights()},
		notices: notices{doubts: make(chan struct{}, 1)},
	}
	d.o.name(&d.asked)
	return d
}

// planner looks at the state and says what to change; an empty change means
// that everything is as asked already. It is pure: it runs under the state's
// lock.
type planner func(s *model.State) (model.Change, error)

// commit is the only writer. The caller holds the locks of the networks that the
// change is about. If a step fails, state, store and kernel are put back as
// they were, and the error says what failed.
func (d *Driver) commit(ctx context.Context, look planner) error {
	leave, err := d.gate.Enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	c, before, after, err := d.begin(look)
	if err != nil || c.Empty() {
		return err
	}
	defer d.settle(c)
	if err = d.apply(ctx, d.known(plan.Diff(before, after)), true); err != nil {
		return d.undo(ctx, c, plan.Diff(after, before), err)
	}
	d.dropFlows(ctx, d.noteFlows(c))
	return nil
}

// known leaves out of a delta the pairs that there have never been: those of
// endpoints that join for the first time. Looking for them would cost each Join.
func (d *Driver) known(dl plan.Delta) plan.Delta {
	d.mu.Lock()
	defer d.mu.Unlock()
	dl.Gone = slices.DeleteFunc(dl.Gone, func(o spec.Object) bool {
		v, pair := o.(spec.Veth)
		_, left := d.expected[v.EndpointID]
		return pair && v.Detached && !left
	})
	return dl
}

// retire is commit for changes that only take away: it goes on past errors and
// the state never comes back. Endpoints that leave their containers keep their
// pairs. A store that refuses does stop it, since after a
// restart the objects would be there again.
func (d *Driver) retire(ctx context.Context, look planner) error {
	left, err := d.withdraw(ctx, look)
	d.dropFlows(ctx, left)
	return err
}

// withdraw is retire for callers that drop the flows which it leaves when they have
// given up the locks of networks: that may take a look at all tracked flows.
func (d *Driver) withdraw(ctx context.Context, look planner) (left plan.Stale, err error) {
	leave, err := d.gate.Enter(ctx)
	if err != nil {
		return plan.Stale{}, err
	}
	defer leave()
	c, before, after, err := d.begin(look)
	if err != nil || c.Empty() {
		return plan.Stale{}, err
	}
	defer d.settle(c)
	err = d.apply(ctx, plan.Diff(before, after).Leaving(after), false)
	return d.noteFlows(c), err
}

// begin stages and persists a change, and says what the kernel has to contain
// for its objects before and after it. Unless it fails, settle ends the change.
func (d *Driver) begin(look planner) (c model.Change, before, after plan.Plan, err error) {
	c, networks, err := d.stage(look, &before, &after)
	if err != nil || c.Empty() {
		return c, before, after, err
	}
	if err = d.persist(c); err != nil {
		d.unstage(c)
		d.unsaved(c, false) // a store that failed half-way may have failed to go back
		d.settle(c)
		return c, before, after, err
	}
	was, is := plan.CompileChange(c, networks)
	return c, append(before, was...), append(after, is...), nil
}

// stage makes the state follow at once, so that verbs on other
// networks see what is taken. It returns the networks that the endpoints of the
// change are on, and the plans of what they contribute together with others.
func (d *Driver) stage(look planner, before, after *plan.Plan) (model.Change, map[string]*model.Network, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := look(d.state)
	if err != nil || c.Empty() {
		return model.Change{}, nil, err
	}
	networks := map[string]*model.Network{}
	for _, e := range c.Endpoints {
		networks[e.NetworkID()] = d.state.Networks[e.NetworkID()]
	}
	*before = plan.Around(d.state, c, func(e model.EndpointChange) *model.Endpoint { return e.Before })
	d.state.Apply(c)
	*after = plan.Around(d.state, c, func(e model.EndpointChange) *model.Endpoint { return e.After })
	if c.Network != (model.NetworkChange{}) {
		d.origins.forget()
	}
	for _, name := range c.Network.Bridges() {
		d.moving[name]++
	}
	return c, networks, nil
}

// given are the facts as of now, and what follows from them and the state for what goes
// out. The caller holds mu.
func (d *Driver) given() plan.Facts {
	f := d.facts
	f.High = plan.SourcePortRules(d.ranges())
	f.Unclaimed = len(d.engines.unclaimed.endpoints) > 0
	return f
}

// settle ends a change: its network's bridge is where it stays.
func (d *Driver) settle(c model.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range c.Network.Bridges() {
		if d.moving[name]--; d.moving[name] == 0 {
			delete(d.moving, name)
		}
	}
}

func (d *Driver) unstage(c model.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.Apply(c.Inverse())
	d.origins.forget()
}

// undo puts everything back after err. What it cannot put back, in the kernel or
// in the store, is for Reconcile, since the state says again what it said before.
func (d *Driver) undo(ctx context.Context, c model.Change, back plan.Delta, err error) error {
	ctx, cancel := undo.Context(ctx)
	defer cancel()
	if undoErr := d.apply(ctx, back, false); undoErr != nil {
		err = fmt.Errorf("%w (and undoing it: %w)", err, undoErr)
	}
	d.unstage(c)
	if undoErr := d.changeRules(ctx, firewall.Delta{}); undoErr != nil {
		err = fmt.Errorf("%w (and undoing it: %w)", err, undoErr)
	}
	if storeErr := d.persist(c.Inverse()); storeErr != nil {
		d.unsaved(c, true)
		err = fmt.Errorf("%w (and putting the stored state back: %w)", err, storeErr)
	}
	return err
}
