// Package wiring puts the parts together that a driver works with, as the daemon
// does, for tests that watch a driver in a network namespace.
//
// Invariant: the parts are the real ones, and work in the namespace of the
// thread that opens them. What a test wants to stand between driver and parts,
// and the store, it adds itself; nothing here is faked.
package wiring

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/conntrack"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/firewall/iptables"
	"github.com/gangway-net/gangway/driver/firewall/nftables"
	"github.com/gangway-net/gangway/driver/hostport"
	"github.com/gangway-net/gangway/driver/link"
)

// SharedTable is what nftables is on kernels before 6.9, and was in earlier
// versions: a table that everybody can change. Open knows it as well.
const SharedTable = "nftables with a shared table"

// Backends names the firewalls that a host can have.
func Backends() []string { return []string{"nftables", "iptables"} }

// Parts are what a driver works with.
type Parts struct {
	Links    *link.Handle
	Flows    *conntrack.Table
	Firewall firewall.Backend
	Ports    *hostport.Manager
	// Origin is the driver, asked by relays of Ports; set it before anything is
	// published.
	Origin  hostport.Origin
	closers []func()
}

// Admits asks the driver.
func (p *Parts) Admits(link int, to netip.Addr, group bool) bool {
	return p.Origin != nil && p.Origin.Admits(link, to, group)
}

// Open makes the parts with the backend of that name. An error leaves nothing
// open.
func Open(ctx context.Context, backend string, log *logrus.Entry) (_ *Parts, err error) {
	p := &Parts{}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if p.Links, err = link.New(link.Options{SysctlRoot: "/proc/sys"}); err != nil {
		return nil, err
	}
	p.closers = append(p.closers, p.Links.Close)
	if p.Flows, err = conntrack.New(); err != nil {
		return nil, err
	}
	p.closers = append(p.closers, p.Flows.Close)
	if p.Firewall, err = newBackend(ctx, backend, log); err != nil {
		return nil, err
	}
	if c, ok := p.Firewall.(interface{ Close() }); ok {
		p.closers = append(p.closers, c.Close)
	}
	p.Ports = hostport.New(log, p)
	p.closers = append(p.closers, func() { _ = p.Ports.Close() })
	return p, nil
}

// newBackend makes a backend as the daemon does where its user asks for it.
func newBackend(ctx context.Context, name string, log *logrus.Entry) (firewall.Backend, error) {
	if name == "iptables" {
		return newIPTables(ctx, log)
	}
	hook, err := iptables.NewForwardHook(ctx, log, firewall.DefaultMark())
	if err != nil {
		return nil, err
	}
	return nftables.New(ctx, nftables.Options{Log: log, Mark: firewall.DefaultMark(), ForwardHook: hook, Shared: name == SharedTable})
}

// newIPTables makes the backend with its fail-closed table, if the kernel can keep one.
func newIPTables(ctx context.Context, log *logrus.Entry) (firewall.Backend, error) {
	o := iptables.Options{Log: log, Mark: firewall.DefaultMark()}
	v, err := nftables.NewFailClosed(ctx, log, firewall.DefaultMark())
	switch {
	case err == nil:
		o.FailClosed = v
	case !errors.Is(err, nftables.ErrNoFailClosed):
		return nil, err
	}
	b, err := iptables.New(ctx, o)
	if err != nil {
		if v != nil {
			v.Close()
		}
		return nil, err
	}
	return b, nil
}

// Close gives up the parts, the last first. What they made in the kernel stays.
func (p *Parts) Close() {
	for _, c := range slices.Backward(p.closers) {
		c()
	}
}
