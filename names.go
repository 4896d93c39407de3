package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/conntrack"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/firewall/nftables"
	"github.com/gangway-net/gangway/driver/hostport"
	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/nflog"
	"github.com/gangway-net/gangway/driver/reader"
	"github.com/gangway-net/gangway/driver/resolver"
	"github.com/gangway-net/gangway/plugin"
)

// Where servers are named that are asked for names: the host's own, and those that engines ask
// where the host's are of systemd-resolved on its loopback. A managed plugin sees /run elsewhere.
const ownServers = "/etc/resolv.conf"

func engineServers() []string {
	return []string{"/run/systemd/resolve/resolv.conf", "/host/run/systemd/resolve/resolv.conf"}
}

// hostServers returns what reads the host's own servers.
func hostServers() func() []netip.Addr {
	read := resolver.Files(ownServers)
	return func() (all []netip.Addr) {
		own, _ := read()
		for _, a := range own {
			all = append(all, a.Addr())
		}
		return all
	}
}

// heard is told each time that an engine has answered what containers are called, or has not.
func (d *daemon) heard(ctx context.Context, socket string, err error, log *logrus.Entry) {
	d.conditions.heard(socket, err)
	if err != nil {
		return
	}
	if err = d.driver.SettleGateways(ctx); err != nil && ctx.Err() == nil {
		log.WithError(err).Warn("a network's gateway is not known yet; it is looked for again")
	}
}

// openResolver makes what answers questions for names, and opens their addresses in a table.
func (d *daemon) openResolver(table *nftables.PolicyTable, log *logrus.Entry) (*resolver.Resolver, error) {
	flows, err := conntrack.New()
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, flows.Close)
	r := resolver.New(resolver.Options{
		Host: askedHost{d.links, flows, func(a netip.Addr) []netip.Addr { return d.driver.AddressesOf(a) }}, Learn: table.Learn, Knows: table.Knows, Way: d.way, Servers: resolver.Files(ownServers, engineServers()...), Log: log,
	})
	d.conditions.ask(cause.Unresolved, r.Unresolved)
	d.conditions.ask(cause.HostAsked, r.HostAsked)
	return r, nil
}

// serving is where it and the reader of connections listen.
func (d *daemon) serving() plugin.Serving {
	if d.resolver == nil {
		return plugin.Serving{}
	}
	at := d.resolver.Serving()
	return plugin.Serving{Questions: at.Questions, Connections: at.Connections}
}

// askedHost is what the resolver asks the kernel. It has a connection to connection tracking
// of its own, on which nobody lists the table.
type askedHost struct {
	links *link.Handle
	flows *conntrack.Table
	// addresses are those of a container of which one is known.
	addresses func(netip.Addr) []netip.Addr
}

func (h askedHost) Addresses(a netip.Addr) []netip.Addr { return h.addresses(a) }

func (h askedHost) Link(ctx context.Context, index int) (string, error) {
	o, err := h.links.Origin(ctx, index)
	return o.Name, err
}

func (h askedHost) Came(fd int, ipv6 bool) (int, error) { return hostport.CameBy(fd, ipv6) }

func (h askedHost) Asked(proto uint8, client, local netip.AddrPort) (netip.AddrPort, error) {
	return h.flows.Asked(proto, client, local)
}

// way finds that of a connection which the daemon passes on: the one by which it would leave if
// it went by itself. What routes send elsewhere because of who has sent it goes no other way.
func (d *daemon) way(ctx context.Context, p reader.Passage) (source netip.Addr, err error) {
	forwarded, err := d.links.WayFor(ctx, p.Link, p.Client, p.To)
	if err != nil {
		return source, err
	}
	for _, link := range forwarded.Links {
		if source, err = d.driver.Leaves(p.Bridge, link, p.To.Is6()); err != nil {
			return source, err
		}
	}
	own, err := d.links.WayFor(ctx, 0, source, p.To)
	if err == nil && own.Route != forwarded.Route {
		err = fmt.Errorf("the host's own way to %s is by %v, that of the container by %v", p.To, own.Links, forwarded.Links)
	}
	return source, err
}

// openDropLog opens what tells of refused packets, and of names that were refused.
func (d *daemon) openDropLog() (driver.DropLog, error) {
	kernel, err := nflog.Listen()
	if err != nil || d.resolver == nil {
		return kernel, err
	}
	l := &dropLog{kernel: kernel, names: d.resolver.Refusals(), packets: make(chan firewall.Refused), over: make(chan error, 1), closed: make(chan struct{})}
	go l.read()
	return l, nil
}

// dropLog has both in one.
type dropLog struct {
	kernel  driver.DropLog
	names   *resolver.Follower
	packets chan firewall.Refused
	over    chan error
	closed  chan struct{}
}

// read passes on what the kernel tells, until its log is closed.
func (l *dropLog) read() {
	for {
		r, err := l.kernel.Next()
		if err != nil {
			l.over <- err
			return
		}
		select {
		case l.packets <- r:
		case <-l.closed:
			return
		}
	}
}

// Next implements driver.DropLog.
func (l *dropLog) Next() (firewall.Refused, error) {
	select {
	case r := <-l.packets:
		return r, nil
	case r := <-l.names.Names():
		return r, nil
	case err := <-l.over:
		return firewall.Refused{}, err
	}
}

// Close implements driver.DropLog. It is called once.
func (l *dropLog) Close() {
	close(l.closed)
	l.names.Close()
	l.kernel.Close()
}
