package main

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/firewall/nftables"
)

// neighbourLimited is a backend beside which the messages are bounded by which containers
// find the host. That there is no bound is no reason for rules to be taken for broken, or
// for links to be left as they are.
type neighbourLimited struct {
	firewall.Backend
	limit *nftables.NeighbourLimit
	log   *logrus.Entry

	mu sync.Mutex
	// networks are those of the last Sync, and what deltas have changed since, by id.
	networks map[string]firewall.Network
	// said is the last error that was told; it is read without mu, which is held while the
	// kernel is asked.
	said atomic.Pointer[string]
}

// withNeighbourLimit adds the bound to a backend.
func withNeighbourLimit(b firewall.Backend, log *logrus.Entry) *neighbourLimited {
	return &neighbourLimited{Backend: b, limit: nftables.NewNeighbourLimit(log), log: log, networks: map[string]firewall.Network{}}
}

// Apply implements firewall.Backend. A delta without networks costs nothing more.
func (p *neighbourLimited) Apply(ctx context.Context, d firewall.Delta) error {
	if err := p.Backend.Apply(ctx, d); err != nil {
		return err
	}
	if len(d.Remove.Networks)+len(d.Add.Networks) > 0 {
		p.update(ctx, func() {
			for _, n := range d.Remove.Networks {
				delete(p.networks, n.ID)
			}
			p.add(d.Add)
		})
	}
	return nil
}

// Repair implements firewall.Backend.
func (p *neighbourLimited) Repair(ctx context.Context) ([]string, error) {
	lines, err := p.Backend.Repair(ctx)
	if err != nil {
		return lines, err
	}
	return append(lines, p.update(ctx, func() {})...), nil
}

// Sync implements firewall.Backend.
func (p *neighbourLimited) Sync(ctx context.Context, full firewall.Ruleset) ([]string, error) {
	lines, err := p.Backend.Sync(ctx, full)
	if err != nil {
		return lines, err
	}
	return append(lines, p.update(ctx, func() {
		clear(p.networks)
		p.add(full)
	})...), nil
}

// Protection implements what firewall.ProtectionOf asks for.
func (p *neighbourLimited) Protection() firewall.Protection { return firewall.ProtectionOf(p.Backend) }

// Cleanup implements firewall.Backend.
func (p *neighbourLimited) Cleanup(ctx context.Context) error {
	p.update(ctx, func() { clear(p.networks) })
	return p.Backend.Cleanup(ctx)
}

// add notes the networks of a ruleset.
func (p *neighbourLimited) add(r firewall.Ruleset) {
	for _, n := range r.Networks {
		p.networks[n.ID] = n
	}
}

// update changes the networks, and brings the bound to their families.
func (p *neighbourLimited) update(ctx context.Context, change func()) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	lines, err := p.limit.Sync(ctx, nftables.NeighbourFamilies(p.networks))
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && (p.said.Load() == nil || text != *p.said.Load()) {
		p.log.Warn("firewall: how often containers ask the host for neighbours is not bounded, and tried again at each check: " + text)
	}
	p.said.Store(&text)
	return lines
}

// trouble says why there is no bound; empty if there is one.
func (p *neighbourLimited) trouble() string {
	if text := p.said.Load(); text != nil && *text != "" {
		return "how often containers ask the host for neighbours is not bounded: " + *text
	}
	return ""
}

// Close ends the connections that the backend and the bound keep.
func (p *neighbourLimited) Close() {
	p.limit.Close()
	if c, ok := p.Backend.(interface{ Close() }); ok {
		c.Close()
	}
}
