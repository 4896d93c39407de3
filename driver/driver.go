package driver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
)

// Options are what a Driver works with.
type Options struct {
	Links    Linker
	Host     Host
	Facts    Facts
	Firewall firewall.Backend
	// Zones, if set, speaks with the manager of the host's firewall.
	Zones Zones
	Ports HostPorts
	Flows Flows
	Store Store
	// BootID tells one boot of the host from another
	// (/proc/sys/kernel/random/boot_id).
	BootID string
	// Router says that the host may be a router: nothing is closed that forwarding opens.
	Router bool
	// Unguarded says why the host's kernel cannot filter what containers send;
	// empty if it can.
	Unguarded string
	// Suspect, if set, names who changed the firewall's rules last besides this
	// process; empty for nobody.
	Suspect func() string
	Log     *logrus.Entry
}

// Driver is the NetworkDriver's domain. Its methods are safe for concurrent
// use. Restore must have returned before the first verb.
type Driver struct {
	o Options

	// networks serialises the verbs of each network, and what Reconcile mends
	// of its links. Taken before gate and mu.
	networks keyedLock
	// gate lets verbs change the kernel side by side, and Reconcile's comparison
	// of the rules alone: what should exist must not change meanwhile.
	gate sync.RWMutex
	// mu guards the fields below. It is never held across I/O.
	mu     sync.Mutex
	state  *state
	facts  facts
	health health
	// turned are the families whose forwarding gangway has turned on since the host
	// booted.
	turned firewall.Families
	// moving holds the bridges of networks that verbs are making or removing, and by
	// how many: they enter or leave the zone of the host's firewall manager any time.
	moving map[string]int
	// expected holds the restored endpoints that are in no container, and since
	// when: the engine may be about to join them, or has forgotten them.
	expected map[string]time.Time

	// forwarding lets one at a time turn forwarding on.
	forwarding sync.Mutex
	// healing lets one Reconcile run at a time; it guards fights and turn.
	healing sync.Mutex
	fights  *fights
	// turn is the first pair that the next comparison looks at closely.
	turn    int
	journal journal
	// doubts has something in it when engines are to be asked what they have.
	doubts chan struct{}

	// taken is what is left to do for published ports after the answer.
	taken takenPorts
}

// health is what Reconcile found last.
type health struct {
	checks    uint64
	repairs   uint64
	lastCheck time.Time
	problem   string
	// fights has a line for each repair that somebody keeps undoing.
	fights []string
	// missing holds the endpoints whose link pair was in no container at the last
	// check.
	missing map[string]missing
}

// New returns a driver without any state; see Restore.
func New(o Options) *Driver {
	return &Driver{o: o, state: newState(), moving: map[string]int{}, expected: map[string]time.Time{}, fights: newFights(), doubts: make(chan struct{}, 1)}
}

// undoTime bounds the work of undoing a change whose own time may be over.
const undoTime = 8 * time.Second

// planner looks at the state and says what to change; an empty change means
// that everything is as asked already. It is pure: it runs under the state's
// lock.
type planner func(s *state) (change, error)

// commit is the only writer. The caller holds the lock of the network that the
// change is about. If a step fails, state, store and kernel are put back as
// they were, and the error says what failed.
func (d *Driver) commit(ctx context.Context, look planner) error {
	d.gate.RLock()
	defer d.gate.RUnlock()
	c, before, after, err := d.begin(look)
	if err != nil || c.empty() {
		return err
	}
	defer d.settle(c)
	if err = d.apply(ctx, diff(before, after)); err != nil {
		return d.undo(ctx, c, diff(after, before), err)
	}
	d.dropFlows(ctx, c)
	return nil
}

// retire is commit for changes that only take away: it goes on past errors and
// the state never comes back. A store that refuses does stop it, since after a
// restart the objects would be there again.
func (d *Driver) retire(ctx context.Context, look planner) error {
	d.gate.RLock()
	defer d.gate.RUnlock()
	c, before, after, err := d.begin(look)
	if err != nil || c.empty() {
		return err
	}
	defer d.settle(c)
	err = d.apply(ctx, diff(before, after))
	for _, e := range c.endpoints {
		if e.after == nil {
			d.o.Ports.Keep(e.before.ID, nil)
		} else {
			d.o.Ports.Keep(e.after.ID, e.after.Published)
		}
	}
	d.dropFlows(ctx, c)
	return err
}

// begin stages and persists a change, and says what the kernel has to contain
// for its objects before and after it. Unless it fails, settle ends the change.
func (d *Driver) begin(look planner) (c change, before, after plan, err error) {
	c, network, err := d.stage(look, &before, &after)
	if err != nil || c.empty() {
		return c, before, after, err
	}
	if err = d.persist(c); err != nil {
		d.unstage(c)
		d.settle(c)
		return c, before, after, err
	}
	compileChange(c, network, &before, &after)
	return c, before, after, nil
}

// stage makes the state follow at once, so that verbs on other
// networks see what is taken. It returns the network that the endpoints of the
// change are on, and adds to the plans what they contribute together with others.
func (d *Driver) stage(look planner, before, after *plan) (change, *Network, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := look(d.state)
	if err != nil || c.empty() {
		return change{}, nil, err
	}
	network := c.network.before
	if network == nil && len(c.endpoints) > 0 {
		e := c.endpoints[0]
		if e.after != nil {
			network = d.state.networks[e.after.NetworkID]
		} else {
			network = d.state.networks[e.before.NetworkID]
		}
	}
	before.addAround(d.state, d.facts, c, func(e endpointChange) *Endpoint { return e.before })
	d.state.apply(c)
	after.addAround(d.state, d.facts, c, func(e endpointChange) *Endpoint { return e.after })
	for _, name := range c.network.bridges() {
		d.moving[name]++
	}
	return c, network, nil
}

// settle ends a change: its network's bridge is where it stays.
func (d *Driver) settle(c change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range c.network.bridges() {
		if d.moving[name]--; d.moving[name] == 0 {
			delete(d.moving, name)
		}
	}
}

func (d *Driver) unstage(c change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.apply(c.inverse())
}

// undo puts everything back after err. What it cannot put back is for
// Reconcile, since the state says again what it said before.
func (d *Driver) undo(ctx context.Context, c change, back delta, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if undoErr := d.apply(ctx, back); undoErr != nil {
		err = fmt.Errorf("%w (and undoing it: %w)", err, undoErr)
	}
	d.unstage(c)
	if storeErr := d.persist(c.inverse()); storeErr != nil {
		err = fmt.Errorf("%w (and putting the stored state back: %w)", err, storeErr)
	}
	return err
}
