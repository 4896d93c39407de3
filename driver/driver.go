package driver

import (
	"cmp"
	"context"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/facts"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/kinds"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/needs"
	"github.com/gangway-net/gangway/driver/owners"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Options are what a Driver works with.
type Options struct {
	Links Linker
	Host  Host
	Facts Facts
	// Strangers, if set, tells of ports of others on bridges of networks.
	Strangers Strangers
	// Paths, if set, tells what rules of others divert.
	Paths    needs.Paths
	Firewall firewall.Backend
	// Zones, if set, speaks with the manager of the host's firewall.
	Zones kinds.Zones
	Ports HostPorts
	// Origins tells relays of Ports where clients come from.
	Origins Origins
	Flows   commit.Tracker
	Store   Store
	// BootID tells one boot of the host from another
	// (/proc/sys/kernel/random/boot_id).
	BootID string
	// Router says that the host may be a router: nothing is closed that forwarding opens.
	Router bool
	// Unguarded says why the host's kernel cannot filter what containers send;
	// empty if it can.
	Unguarded string
	// Policy is what counts for networks that say nothing themselves. Unpoliced says why the
	// host's kernel cannot keep policies; empty if it can.
	Policy    config.Policy
	Unpoliced string
	// Uses, if set, tells what entries of policies have decided, and Learned what names have
	// opened.
	Uses    PolicyUses
	Learned LearnedNames
	// Refused and PortDrops, if set, tell what was refused.
	Refused   firewall.Counter
	PortDrops PortDrops
	// DropLog, if set, opens what hears of refused packets.
	DropLog func() (DropLog, error)
	// NameOf, if set, is what an engine calls the container of an endpoint; empty if none has said.
	NameOf func(endpointID string) string
	// Servers, if set, are those that the host's resolv.conf names.
	Servers func() []netip.Addr
	// Suspect, if set, names who changed the firewall's rules last besides this
	// process; empty for nobody.
	Suspect func() string
	// Journal, if set, is where events are kept.
	Journal *events.Journal
	Log     *logrus.Entry
}

// Driver is the NetworkDriver's domain. Its methods are safe for concurrent
// use. Restore must have returned before the first verb.
type Driver struct {
	o Options
	locks
	changes
	checks
	notices
	books
	seen conditions
}

// books are what the driver was told, and answers by; each has its own mutex.
type books struct {
	// facts are what is known of the host, owners what engines have said.
	facts  facts.Book
	owners owners.Book
	// origins is what relays were told of links.
	origins origins
}

// changes are the desired state and the way by which it changes, with the kernel.
type changes struct {
	desired *commit.Desired
	writer  *commit.Writer
	rules   *commit.Rules
	flows   *commit.Flows
}

// locks are what verbs and Reconcile wait for, each until its context ends. They are
// taken in the order in which they stand here, after that of drift.Keeper, which lets one
// Reconcile run at a time. After them come those of commit.Writer: of containers, then of shared
// objects, each in the order of their keys; then that of turning forwarding on (package kinds);
// then that of commit.Rules, by which one at a time changes or compares the kernel's rules. The
// turning of lookers comes right before that.
//
// Then come the mutexes of backends, hostport.Manager and zones. After all of them come mutexes
// that nobody holds across I/O: that of commit.Desired, then those of commit.Applied,
// drift.Health, conditions, owners.Book and facts.Book, and at last those of origins,
// events.Journal, commit.Flows, questions, drops, lookers and names.Book, of which nobody holds two.
// The reading of drops comes before these, and nobody waits for it.
type locks struct {
	// networks serialises the verbs of each network, and what Reconcile mends of its
	// links; of several networks in the order of their ids.
	networks lock.Keyed
	// gate lets verbs change the kernel side by side, and Reconcile remove what is
	// nobody's alone: what should exist must not change meanwhile.
	gate lock.Gate
}

// conditions are those that are not met, as the last check has found.
type conditions struct {
	mu    sync.Mutex
	unmet []cause.Cause
}

// checks are the comparisons of the kernel with the state.
type checks struct {
	comparer *drift.Comparer
	keeper   *drift.Keeper
	health   *drift.Health
}

// notices is what the driver tells of without being asked.
type notices struct {
	journal *events.Journal
	// doubts has something in it when engines are to be asked what they have.
	doubts chan struct{}
	// exceptions has something in it when one may end sooner than all others.
	exceptions chan struct{}
	// asked is what the kernel and other programs have not answered yet.
	asked questions
	// looks is how many ask for what is not met.
	looks   atomic.Int32
	drops   drops
	lookers lookers
}

// New returns a driver without any state; see Restore.
func New(o Options) *Driver {
	d := &Driver{
		o:       o,
		notices: notices{journal: cmp.Or(o.Journal, &events.Journal{}), doubts: make(chan struct{}, 1), exceptions: make(chan struct{}, 1), lookers: lookers{switching: lock.New(), queues: map[*looker]bool{}}},
	}
	nameQuestions(&d.o, &d.asked)
	d.desired = commit.NewDesired(o.Policy, d.origins.forget, d.facts.Known)
	d.rules = commit.NewRules(d.o.Firewall, d.ofFacts, d.facts.Told)
	d.flows = commit.NewFlows(d.o.Flows, d.o.Log)
	d.health = drift.NewHealth(d.journal, d.o.Log)
	table := d.kinds()
	d.writer = commit.NewWriter(commit.Parts{
		Gate: &d.gate, Desired: d.desired, Store: d.o.Store, Kinds: table.Actions(), Rules: d.rules, Flows: d.flows, Log: d.o.Log,
	})
	d.comparer = drift.NewComparer(drift.Parts{
		Kinds: table, Desired: d.desired, Writer: d.writer, Rules: d.rules, Flows: d.flows, Networks: &d.networks, Gate: &d.gate,
		Links: d.o.Host, Host: d.o.Facts, Users: d.users, Facts: &d.facts, Owners: &d.owners, Given: d.given, Resolved: d.resolved,
		Health: d.health, Journal: d.journal, Log: d.o.Log,
	})
	d.keeper = drift.NewKeeper(d.comparer.Compare, d.collect, d.suspect, d.journal, d.o.Log)
	return d
}

// kinds are the kinds of objects.
func (d *Driver) kinds() drift.Kinds {
	return kinds.Table(kinds.Parts{
		Kernel: d.o.Links, Ports: d.o.Ports, Zones: d.o.Zones, Desired: d.desired, Owners: &d.owners, Health: d.health, Log: d.o.Log,
		Forwarding: kinds.Forwarding{
			Forwarder: d.o.Host, Forwards: d.o.Facts, Router: d.o.Router,
			Remember: func(look commit.Planner) error { return d.writer.Remember(look) },
			Follow:   func(ctx context.Context) error { return d.rules.Change(ctx, firewall.Delta{}) },
		},
	})
}

// given are the facts as of now. The caller has the state from Read.
func (d *Driver) given(s *model.State) plan.Facts {
	f := d.facts.Given(s, d.owners.Any())
	f.Looked = d.lookers.any()
	f.Closed = d.closed(s)
	return f
}

// closed are the families that the host forwards for gangway's sake alone.
func (d *Driver) closed(s *model.State) firewall.Families {
	if d.o.Router {
		return firewall.Families{}
	}
	return s.Host.Turned()
}

// ofFacts is what the firewall has to be told of the facts by now.
func (d *Driver) ofFacts() plan.Plan {
	s, unlock := d.desired.Read()
	defer unlock()
	return plan.CompileFacts(s, d.given(s))
}

// network returns a network of the state; nil for none.
func (d *Driver) network(id string) *model.Network {
	s, unlock := d.desired.Read()
	defer unlock()
	return s.Networks[id]
}

// endpoint returns an endpoint of the state, and its network; nil for none.
func (d *Driver) endpoint(networkID, id string) (*model.Network, *model.Endpoint) {
	s, unlock := d.desired.Read()
	defer unlock()
	return s.Networks[networkID], s.Members[networkID][id]
}

// hostPorts are those that a container has to hold.
func (d *Driver) hostPorts(sandbox string) spec.HostPorts {
	s, unlock := d.desired.Read()
	defer unlock()
	return plan.HostPorts(s, sandbox)
}

// Wait returns when nothing is left to do that calls have not waited for. No
// call may be running or follow.
func (d *Driver) Wait() { d.flows.Wait() }
