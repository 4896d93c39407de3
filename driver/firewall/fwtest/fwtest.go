// Package fwtest holds the tests that every firewall.Backend has to pass, so
// that all backends give a ruleset the same meaning.
//
// The cases send real packets (TCP, UDP, SCTP, ICMP, both families) between
// network namespaces: a host with the backend's rules beside those of an
// engine and of an administrator, containers, a LAN and the outside world.
// Others look at the rules alone: what changes and repairs lead to, and that
// what belongs to others stays.
//
// Invariant: a case demands only what package firewall says about rulesets and
// backends, never how a backend does it. Where rules are damaged to see them
// repaired, the damage is found by comparing dumps.
//
// The package touches nothing outside of namespaces of its own, and needs
// root. Nothing is skipped: a kernel without br_netfilter fails. SCTP is
// spoken over raw sockets and needs only conntrack's knowledge of it, which
// every kernel since 4.19 with NAT has.
package fwtest

import (
	"context"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
)

// Options say in what surroundings the backend is tested, and what it can do.
type Options struct {
	// Mark is the bits of the packet mark that the backend uses.
	Mark firewall.Mark
	// IPTables is the command that the engine and the administrator of the
	// tests' hosts use: "iptables" if empty, or "iptables-nft" or
	// "iptables-legacy".
	IPTables string
	// Marker is a chain that hosts without an engine have in the filter table
	// from the start, for backends that choose a variant by what they find.
	Marker string
	// NoIPTables leaves out everything that puts rules into iptables, and the
	// cases that are about nothing else: the hosts have nobody's rules but
	// native tables, one of the administrator's and those of an engine in
	// nftables mode, and accept everything else.
	NoIPTables bool
	// Marks says that the backend's decisions are in the packet's mark at the
	// priority "filter" of FORWARD, where a native table may change them.
	Marks bool
	// Owned says that nobody but the backend can change its native tables: what
	// others do to them is refused, or leaves them out.
	Owned bool
	// Open says that isolation is off between the loss of rules and their repair:
	// the backend has nothing that others cannot take away.
	Open bool
	// ByAddress says that the backend counts what it refuses by container as well.
	ByAddress bool
}

// NewBackend makes the backend under test. It is called in the network
// namespace of a test's host, any number of times for the same host: a backend
// must not rely on what an earlier one remembered, which is closed by then if it
// has a method Close, and not used any more. This and all calls of the
// backend come on threads that live in the host's namespace; goroutines that
// they start do not, processes do.
type NewBackend func(ctx context.Context) (firewall.Backend, error)

// Run runs every case. The test needs no particular namespace of its own.
func Run(t *testing.T, newBackend NewBackend, o Options) {
	s := &suite{newBackend: newBackend, opts: o}
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"Traffic", s.traffic},
		{"Modes", s.modes},
		{"Peers", s.peers},
		{"Gateways", s.gateways},
		{"Translation", s.translation},
		{"SourceCheck", s.sourceCheck},
		{"PortShadow", s.portShadow},
		{"PortFlood", s.portFlood},
		{"Foreign", s.foreign},
		{"Uplinks", s.uplinks},
		{"Within", s.within},
		{"PathMTU", s.pathMTU},
		{"LastWord", s.lastWord},
		{"Marks", s.marks},
		{"Closed", s.closed},
		{"Refused", s.refused},
		{"Logged", s.logged},
		{"Changes", s.changes},
		{"Deltas", s.deltas},
		{"Sequences", s.sequences},
		{"Sync", s.sync},
		{"Repairs", s.repairs},
		{"Damaged", s.damaged},
		{"Strangers", s.strangers},
		{"Cancelled", s.cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // most of the time is the kernel's and waiting
			c.run(t)
		})
	}
}

type suite struct {
	newBackend NewBackend
	opts       Options
}

// backend is a firewall.Backend whose calls happen in the host's namespace
// and end the test if they fail.
type backend struct {
	firewall.Backend
	host *node
}

func (s *suite) backend(t *testing.T, h *node) *backend {
	t.Helper()
	b := &backend{host: h}
	h.release()
	h.must(t, func() (err error) {
		b.Backend, err = s.newBackend(context.Background())
		return err
	})
	if c, ok := b.Backend.(interface{ Close() }); ok {
		if h.last == nil {
			t.Cleanup(h.release)
		}
		h.last = c.Close
	}
	return b
}

func (b *backend) apply(t *testing.T, d firewall.Delta) {
	t.Helper()
	if err := b.tryApply(context.Background(), d); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

func (b *backend) tryApply(ctx context.Context, d firewall.Delta) error {
	return b.host.do(func() error { return b.Apply(ctx, d) })
}

func (b *backend) add(t *testing.T, r firewall.Ruleset) {
	t.Helper()
	b.apply(t, firewall.Delta{Add: r})
}

func (b *backend) remove(t *testing.T, r firewall.Ruleset) {
	t.Helper()
	b.apply(t, firewall.Delta{Remove: r})
}

func (b *backend) sync(t *testing.T, full firewall.Ruleset) []string {
	t.Helper()
	var lines []string
	b.host.must(t, func() (err error) {
		lines, err = b.Sync(context.Background(), full)
		return err
	})
	return lines
}

// repair is sync by what the backend was told last.
func (b *backend) repair(t *testing.T) []string {
	t.Helper()
	var lines []string
	b.host.must(t, func() (err error) {
		lines, err = b.Repair(context.Background())
		return err
	})
	return lines
}

// settled demands that there is nothing to repair.
func (b *backend) settled(t *testing.T, full firewall.Ruleset) {
	t.Helper()
	if lines := b.sync(t, full); lines != nil {
		t.Errorf("Sync repaired what was in place: %q", lines)
	}
}

func (b *backend) cleanup(t *testing.T) {
	t.Helper()
	b.host.must(t, func() error { return b.Cleanup(context.Background()) })
}
