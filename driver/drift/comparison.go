package drift

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/facts"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/owners"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Parts are what a Comparer works with.
type Parts struct {
	Kinds   Kinds
	Desired *commit.Desired
	Writer  *commit.Writer
	Rules   *commit.Rules
	Flows   *commit.Flows
	// Networks and Gate are the locks of networks, and what lets verbs change the kernel side
	// by side.
	Networks *lock.Keyed
	Gate     *lock.Gate
	Links    Links
	Host     Host
	// Users asks by a link who else has addresses, the host or a machine there.
	Users  func(ctx context.Context, link string, addrs []netip.Addr) (map[netip.Addr]string, error)
	Facts  *facts.Book
	Owners *owners.Book
	// Given are the facts as of now, for a state from Read.
	Given func(*model.State) plan.Facts
	// Resolved hears what has become of an endpoint that nobody had claimed.
	Resolved func(endpointID, how string)
	Health   *Health
	Journal  *events.Journal
	Log      *logrus.Entry
}

// Links looks at links. Package link is the real one.
type Links interface {
	// Check takes one look at the links of a scope: which of the veths are gone or
	// not as they should be, and whether Prune would find anything. The lists are
	// complete, whatever the scope.
	Check(ctx context.Context, of spec.Scope, bridges []spec.Bridge, veths []spec.Veth) (spec.LinkCheck, error)
	// Prune removes links that gangway created and that belong to none of the
	// given bridges and veths, gives those that do their names back, and tells what
	// it did.
	Prune(ctx context.Context, bridges []spec.Bridge, veths []spec.Veth) (removed []string, err error)
}

// Host tells facts. Package link is the real one.
type Host interface {
	// Outside returns the links that lead outside, sorted by name.
	Outside(ctx context.Context) ([]spec.Outside, error)
	// UplinkMTU returns the MTU of what the default route leads by; 0 if there is none.
	UplinkMTU(ctx context.Context) (int, error)
	// HostPrefixes returns the IPv6 prefixes that the host has, in the order in which they are used.
	HostPrefixes(ctx context.Context) ([]spec.HostPrefix, error)
	// Listening returns the TCP and UDP ports from first on where sockets of the host
	// wait for whoever sends there, but for those that only the host itself reaches. To
	// leave out spans of ports of a protocol, sorted, makes that short.
	Listening(ctx context.Context, first uint16, without map[spec.Protocol][]spec.Span) (map[spec.Listener]bool, error)
}

// Comparer compares the kernel with the desired state, and mends what differs. One comparison
// runs at a time: Keeper sees to that.
type Comparer struct {
	Parts
	// nextPair is the first pair that the next comparison looks at closely.
	nextPair int
}

// NewComparer returns a comparer that works with these parts.
func NewComparer(p Parts) *Comparer { return &Comparer{Parts: p} }

// Comparison is one comparison of the kernel with the state: of all rules, and of the
// links that it is of. It is of all links, unless something told which of them
// changed since one that was.
//
// Rules are compared with what the firewall was told while nobody tells it anything
// else; the kernel's count of changes makes that short.
// Links are looked at at once while verbs go on. What does not look as it
// should is looked at again, and mended, with the lock of its network, as a verb
// would do it: other networks do not wait.
type Comparison struct {
	*Comparer
	of spec.Scope
	// linkless says that no link may get to carry anything: the rules are not known to
	// be there.
	linkless bool
	// following are the owners whose plans are others since a fact has changed.
	following []plan.Owner
	// missing holds the endpoints whose link pair is in no container.
	missing map[string]Missing
	repairs
	times
}

// times are those of a comparison.
type times struct {
	// took is how long it worked, without the time in which it waited:
	// idle for verbs, and that for a manager of the host's firewall, which does not
	// answer while it starts.
	took, idle time.Duration
}

// Compare makes the kernel hold what the state says, as far as links go those of the
// scope, in the order in which a verb brings things about (see Kinds): nothing is
// reachable that is not isolated, and without rules no link gets to carry anything.
func (p *Comparer) Compare(ctx context.Context, of spec.Scope) *Comparison {
	c, start := &Comparison{Comparer: p, of: p.unsettled(of), missing: map[string]Missing{}}, time.Now()
	c.checkKinds(ctx, p.Kinds.First)
	failed := len(c.failed)
	c.learn(ctx)
	c.checkRules(ctx)
	if c.linkless = len(c.failed) > failed; !c.linkless {
		// The rules give a port to nobody by now on which the host listens.
		p.Flows.Soon(nil, p.Facts.TakeFresh())
	}
	c.sort(repairRules)
	c.learnPrefixes(ctx)
	c.retry(ctx)
	c.dropRenumbered(ctx)
	c.sort(repairOpen)
	c.checkKinds(ctx, p.Kinds.Then)
	c.took = time.Since(start) - c.idle
	c.store(ctx)
	c.sort(repairStore)
	// What breaks off since the daemon stops says nothing about the kernel.
	if !errors.Is(ctx.Err(), context.Canceled) {
		p.Health.finish(c, time.Now())
	}
	return c
}

// checkKinds checks these kinds.
func (c *Comparison) checkKinds(ctx context.Context, kinds []Kind) {
	for _, k := range kinds {
		if k.Check != nil {
			k.Check(ctx, c)
			c.sort(k.Of)
		}
	}
}

// unsettled adds to a scope what is to be looked at again, though nothing tells of
// it: pairs that were gone, and everything where the last comparison failed.
func (p *Comparer) unsettled(of spec.Scope) spec.Scope {
	problem, missing := p.Health.unsettled()
	if problem {
		return spec.Scope{All: true}
	}
	for _, id := range missing {
		of.Add(plan.VethHost(id))
	}
	for _, v := range p.Owners.Unclaimed() {
		of.Add(v.Host)
	}
	return of
}

// Fixed has a line for each thing that was mended.
func (c *Comparison) Fixed() []string { return c.fixed }

// Took is how long the comparison worked, without the time in which it waited for others.
func (c *Comparison) Took() time.Duration { return c.took }

// Open says that something is not as it should be and may be soon, without a change that
// tells.
func (c *Comparison) Open() bool {
	return len(c.missing) > 0 || c.Health.anyUnheld() || c.Rules.Doubts() || len(c.Writer.Open()) > 0
}

// All says that the comparison is of everything.
func (c *Comparison) All() bool { return c.of.All }

// About says that the comparison is of the link of that name.
func (c *Comparison) About(link string) bool { return c.of.Has(link) }

// Linkless says that no link may get to carry anything: the rules are not known to be there.
func (c *Comparison) Linkless() bool { return c.linkless }

// Note takes over what was mended, a line for each thing, and what failed; nil for nothing.
func (c *Comparison) Note(fixed []string, err error) {
	c.fixed = append(c.fixed, fixed...)
	if err != nil {
		c.failed = append(c.failed, err)
	}
}

// Waited notes that the comparison has only waited for others since some moment.
func (c *Comparison) Waited(since time.Time) { c.idle += time.Since(since) }

// Alone does something while no verb runs. Where that cannot be, the next check tries
// again: what is nobody's harms nobody.
func (c *Comparison) Alone(ctx context.Context, do func() ([]string, error)) {
	if leave := c.beAlone(ctx); leave != nil {
		defer leave()
		c.Note(do())
	}
}

// beAlone returns nil where verbs do not end for as long as a check waits.
func (c *Comparison) beAlone(ctx context.Context) (leave func()) {
	defer c.Waited(time.Now())
	leave, err := c.Gate.Alone(ctx)
	if err != nil {
		c.Log.WithError(err).Debug("left for the next check")
		return nil
	}
	return leave
}

// LockSoon takes the locks of the networks that which names at the time, for a check. It
// returns nil where a verb has one of them for longer than a check waits: other networks are
// not to wait for that, and the next check looks again.
func (p *Comparer) LockSoon(ctx context.Context, which func(*model.State) map[string]bool) (unlock func()) {
	ctx, cancel := context.WithTimeout(ctx, lock.Patience)
	defer cancel()
	unlock, err := p.Desired.LockNetworks(ctx, p.Networks, which)
	if err != nil {
		p.Log.WithError(err).Debug("left for the next check")
		return nil
	}
	return unlock
}

// onNetwork does something about a network with its lock, as a verb would. The network may
// have gone.
func (c *Comparison) onNetwork(ctx context.Context, id string, do func() ([]string, error)) {
	start := time.Now()
	unlock := c.LockSoon(ctx, func(*model.State) map[string]bool { return map[string]bool{id: true} })
	c.Waited(start)
	if unlock == nil {
		return
	}
	defer unlock()
	c.Note(do())
}

// Mend makes an object what the state says by now, with the lock of its network. want returns
// it, and nil where it is not wanted any more.
func (c *Comparison) Mend(ctx context.Context, networkID string, want func(*model.State) spec.Object) {
	c.onNetwork(ctx, networkID, func() (fixed []string, err error) {
		s, unlock := c.Desired.Read()
		o := want(s)
		unlock()
		if o == nil {
			return nil, nil
		}
		return c.Ensure(ctx, o)
	})
}

// Ensure makes an object, or mends it, and returns one line for each thing that was not as it
// should be.
func (p *Comparer) Ensure(ctx context.Context, o spec.Object) (fixed []string, err error) {
	return p.Kinds.kind(o.Kind()).Ensure(ctx, o)
}
