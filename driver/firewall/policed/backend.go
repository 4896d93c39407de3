// Package policed puts the layer of policies beside a backend.
//
// Invariant: what a policy closes is closed before rules or links open anything for whom it is
// for, and until these are gone; where somebody has taken all of it away, policies are
// repaired first. Flows that policies forbid are ended whenever there may be some: at the
// start, after a repair, and after a change for somebody who had another policy. One that
// could not be ended is tried again with each check.
//
// It refuses to go on without a policy: where the kernel can keep none, a change that has
// one fails.
package policed

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
)

// Table keeps policies in the kernel. Package nftables has the real one.
type Table interface {
	Counts
	// Apply changes the bindings, and whether what is refused is logged, in one step. On an
	// error nothing has changed.
	Apply(ctx context.Context, remove, add []policy.Binding, log bool) error
	// Repair makes the kernel hold what it was told last, and Sync makes it hold these
	// bindings and no others. They return a line for each thing that was not so.
	Repair(ctx context.Context) (repaired []string, err error)
	Sync(ctx context.Context, all []policy.Binding, log bool) (repaired []string, err error)
	// Told is what it was told last.
	Told() (all []policy.Binding, log bool)
	Close()
}

// Names is what a table has for policies with names.
type Names interface {
	// Serve says where the daemon serves policies with names, from the next change on.
	Serve(at policy.Serving)
	// Names are those by which somebody has learned of an address, also a while ago, and
	// Learned what is open for some.
	Names(who policy.Who, to netip.Addr) []string
	Learned(of []policy.Who) []policy.Learned
}

// Resolver answers questions for names. Package resolver has the real one.
type Resolver interface {
	// Follow hears of bindings that go and come, and says where it serves those with names.
	Follow(remove, add []policy.Binding) (at policy.Serving, err error)
	// FollowAll hears of all there are.
	FollowAll(all []policy.Binding) (at policy.Serving, err error)
	// It counts questions that it refuses.
	firewall.Counter
}

// Counts tells what policies have refused, and what each of their entries has decided.
type Counts interface {
	firewall.Counter
	// Uses is about these policies, or about all if texts is nil.
	Uses(ctx context.Context, texts []config.Policy) ([]policy.Usage, error)
}

// Flows ends tracked flows. Package conntrack has the real ones.
type Flows interface {
	DropForbidden(ctx context.Context, j policy.Judge) error
}

// Options are what New needs.
type Options struct {
	Backend firewall.Backend
	// Table is nil where the kernel cannot keep policies; Why says so then.
	Table Table
	Why   error
	Flows Flows
	// Resolver is nil where nobody resolves: policies with names open no addresses of these.
	// Names is the table's then.
	Resolver Resolver
	Names    Names
	// Counter, if set, tells what the backend has refused.
	Counter firewall.Counter
	Log     *logrus.Entry
}

// Backend is a firewall.Backend with the layer of policies beside it. It is safe for
// concurrent use.
type Backend struct {
	firewall.Backend
	o Options

	mu sync.Mutex
	// subnets are those of the networks, by id.
	subnets map[string][]netip.Prefix
	// due says that there may be flows which policies forbid.
	due bool
}

// New adds the layer to a backend.
func New(o Options) *Backend {
	return &Backend{Backend: o.Backend, o: o, subnets: map[string][]netip.Prefix{}, due: true}
}

// Apply implements firewall.Backend.
func (p *Backend) Apply(ctx context.Context, d firewall.Delta) error {
	if p.o.Table == nil {
		if len(d.Add.Policies) > 0 {
			return fmt.Errorf("change the policies: %w", p.o.Why)
		}
		return p.Backend.Apply(ctx, d)
	}
	replaced, gone := leaving(d)
	_, was := p.o.Table.Told()
	log := was && !d.Remove.Log || d.Add.Log
	if err := p.turn(ctx, replaced, d.Add.Policies, log); err != nil {
		return err
	}
	if err := p.Backend.Apply(ctx, d); err != nil {
		if back := p.turn(ctx, d.Add.Policies, replaced, was); back != nil {
			err = fmt.Errorf("%w (and taking the policies back failed: %w)", err, back)
		}
		return err
	}
	p.know(d.Remove.Networks, d.Add.Networks)
	if err := p.turn(ctx, gone, nil, log); err != nil {
		return err
	}
	if len(replaced) > 0 || d.Running {
		p.end(ctx, true)
	}
	return nil
}

// turn changes the bindings of the table, and those that the resolver knows.
func (p *Backend) turn(ctx context.Context, remove, add []policy.Binding, log bool) error {
	if _, logs := p.o.Table.Told(); len(remove)+len(add) == 0 && log == logs {
		return nil
	}
	if err := p.follow(func(r Resolver) (policy.Serving, error) { return r.Follow(remove, add) }); err != nil {
		return err
	}
	err := p.o.Table.Apply(ctx, remove, add, log)
	if err != nil {
		err = errors.Join(err, p.follow(func(r Resolver) (policy.Serving, error) { return r.Follow(add, remove) }))
	}
	return err
}

// leaving are the bindings that go when others come, and those that go at the end. Where nothing
// but policies changes, all is one step.
func leaving(d firewall.Delta) (replaced, gone []policy.Binding) {
	for _, b := range d.Remove.Policies {
		if d.Running || slices.ContainsFunc(d.Add.Policies, func(next policy.Binding) bool { return next.Key() == b.Key() }) {
			replaced = append(replaced, b)
		} else {
			gone = append(gone, b)
		}
	}
	return replaced, gone
}

// Repair implements firewall.Backend.
func (p *Backend) Repair(ctx context.Context) ([]string, error) {
	return p.check(ctx, func() ([]string, error) { return p.o.Table.Repair(ctx) }, func() ([]string, error) { return p.Backend.Repair(ctx) })
}

// Sync implements firewall.Backend.
func (p *Backend) Sync(ctx context.Context, full firewall.Ruleset) ([]string, error) {
	p.mu.Lock()
	clear(p.subnets)
	p.mu.Unlock()
	p.know(nil, full.Networks)
	if p.o.Table == nil && len(full.Policies) > 0 {
		lines, err := p.Backend.Sync(ctx, full)
		return lines, errors.Join(err, fmt.Errorf("%s cannot be kept: %w", full.Policies[0], p.o.Why))
	}
	policies := func() ([]string, error) {
		if err := p.follow(func(r Resolver) (policy.Serving, error) { return r.FollowAll(full.Policies) }); err != nil {
			return nil, err
		}
		return p.o.Table.Sync(ctx, full.Policies, full.Log)
	}
	return p.check(ctx, policies, func() ([]string, error) { return p.Backend.Sync(ctx, full) })
}

// follow tells the resolver of bindings, and the table where it answers.
func (p *Backend) follow(tell func(Resolver) (policy.Serving, error)) error {
	if p.o.Resolver == nil {
		return nil
	}
	at, err := tell(p.o.Resolver)
	if err != nil {
		return fmt.Errorf("serve policies with names: %w", err)
	}
	p.o.Names.Serve(at)
	return nil
}

// check repairs policies before rules: where somebody has flushed all of them, nothing passes
// before policies are back.
func (p *Backend) check(ctx context.Context, policies, rules func() ([]string, error)) ([]string, error) {
	var lines []string
	if p.o.Table != nil {
		var err error
		if lines, err = policies(); err != nil {
			return lines, err
		}
		p.end(ctx, len(lines) > 0)
	}
	more, err := rules()
	return append(lines, more...), err
}

// end forgets the flows that policies forbid, if there may be some.
func (p *Backend) end(ctx context.Context, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = p.due || due
	all, _ := p.o.Table.Told()
	if !p.due || len(all) == 0 {
		return
	}
	var subnets []netip.Prefix
	for _, of := range p.subnets {
		subnets = append(subnets, of...)
	}
	judge := policy.NewJudge(all, subnets)
	if p.o.Names != nil {
		judge = judge.Knowing(p.o.Names.Names)
	}
	if err := p.o.Flows.DropForbidden(ctx, judge); err != nil {
		if ctx.Err() != nil {
			return // the daemon's end; the next one begins with it
		}
		p.o.Log.WithError(err).Warn("flows go on that policies forbid; they are ended at the next check")
		return
	}
	p.due = false
}

// know notes the subnets of networks.
func (p *Backend) know(gone, come []firewall.Network) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range gone {
		delete(p.subnets, n.ID)
	}
	for _, n := range come {
		p.subnets[n.ID] = n.Subnets
	}
}

// Refused implements firewall.Counter, for rules and policies.
func (p *Backend) Refused(ctx context.Context) ([]firewall.Refusal, error) {
	var all []firewall.Refusal
	if p.o.Counter != nil {
		refused, err := p.o.Counter.Refused(ctx)
		if err != nil {
			return nil, err
		}
		all = refused
	}
	if p.o.Table == nil {
		return all, nil
	}
	from := []firewall.Counter{p.o.Table}
	if p.o.Resolver != nil {
		from = append(from, p.o.Resolver)
	}
	for _, c := range from {
		refused, err := c.Refused(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, refused...)
	}
	return all, nil
}

// Uses tells how often entries of policies have decided.
func (p *Backend) Uses(ctx context.Context, texts []config.Policy) ([]policy.Usage, error) {
	if p.o.Table == nil {
		return nil, nil
	}
	return p.o.Table.Uses(ctx, texts)
}

// Learned are addresses that names have opened for some.
func (p *Backend) Learned(of []policy.Who) []policy.Learned {
	if p.o.Names == nil {
		return nil
	}
	return p.o.Names.Learned(of)
}

// Names are those by which somebody has learned of an address, also a while ago.
func (p *Backend) Names(who policy.Who, to netip.Addr) []string {
	if p.o.Names == nil {
		return nil
	}
	return p.o.Names.Names(who, to)
}

// Protection implements what firewall.ProtectionOf asks for.
func (p *Backend) Protection() firewall.Protection { return firewall.ProtectionOf(p.Backend) }

// Cleanup implements firewall.Backend.
func (p *Backend) Cleanup(ctx context.Context) error {
	err := p.Backend.Cleanup(ctx)
	if p.o.Table != nil {
		_, failed := p.o.Table.Sync(ctx, nil, false)
		err = errors.Join(err, failed)
	}
	return err
}

// Close ends the connections of the backend and of the layer. Policies stay.
func (p *Backend) Close() {
	if p.o.Table != nil {
		p.o.Table.Close()
	}
	if c, ok := p.Backend.(interface{ Close() }); ok {
		c.Close()
	}
}
