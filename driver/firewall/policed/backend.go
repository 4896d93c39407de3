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

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
)

// Table keeps policies in the kernel. Package nftables has the real one.
type Table interface {
	firewall.Counter
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
	var replaced, gone []policy.Binding
	for _, b := range d.Remove.Policies {
		if slices.ContainsFunc(d.Add.Policies, func(next policy.Binding) bool { return next.Key() == b.Key() }) {
			replaced = append(replaced, b)
		} else {
			gone = append(gone, b)
		}
	}
	_, was := p.o.Table.Told()
	log := was && !d.Remove.Log || d.Add.Log
	turn := func(remove, add []policy.Binding, log bool) error {
		if _, logs := p.o.Table.Told(); len(remove)+len(add) == 0 && log == logs {
			return nil
		}
		return p.o.Table.Apply(ctx, remove, add, log)
	}
	if err := turn(replaced, d.Add.Policies, log); err != nil {
		return err
	}
	if err := p.Backend.Apply(ctx, d); err != nil {
		if back := turn(d.Add.Policies, replaced, was); back != nil {
			err = fmt.Errorf("%w (and taking the policies back failed: %w)", err, back)
		}
		return err
	}
	p.know(d.Remove.Networks, d.Add.Networks)
	if err := turn(gone, nil, log); err != nil {
		return err
	}
	if len(replaced) > 0 {
		p.end(ctx, true)
	}
	return nil
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
	return p.check(ctx, func() ([]string, error) { return p.o.Table.Sync(ctx, full.Policies, full.Log) }, func() ([]string, error) { return p.Backend.Sync(ctx, full) })
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
	if err := p.o.Flows.DropForbidden(ctx, policy.NewJudge(all, subnets)); err != nil {
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
	refused, err := p.o.Table.Refused(ctx)
	return append(all, refused...), err
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
