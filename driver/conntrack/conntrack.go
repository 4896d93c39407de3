// Package conntrack makes the kernel forget tracked flows that lead to where
// nobody is any more.
//
// A tracked flow keeps the address translation that it was given with its first
// packet, whatever the rules say since. When a container goes, or a published
// port leads elsewhere, its flows must go too, or clients that keep sending
// (UDP does) keep missing the new destination.
//
// Invariant: only flows of the given addresses and published ports are removed.
// The package refuses to judge by a container's port number alone, which other
// containers' flows share, and never flushes the table.
//
// The kernel removes flows by IPv4 address itself where it can (CTA_FILTER with
// a deletion, Linux 6.12 and on). All else takes a list of the table, at most one
// for each call.
//
// A Table belongs to the network namespace of the thread that called New.
package conntrack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// Table is the kernel's table of tracked flows. Its methods are safe for
// concurrent use: each socket serves one request at a time.
type Table struct {
	routes *netlink.Handle
	raw    map[int]*nl.SocketHandle
	// noFilters is set once the kernel has refused a deletion with a filter.
	noFilters atomic.Bool
}

// New opens the table in the network namespace of the calling thread.
func New() (*Table, error) {
	routes, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a route netlink socket: %w", err)
	}
	socket, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_NETFILTER)
	if err != nil {
		routes.Close()
		return nil, fmt.Errorf("open connection tracking: %w", explain(err))
	}
	return &Table{routes: routes, raw: map[int]*nl.SocketHandle{unix.NETLINK_NETFILTER: {Socket: socket}}}, nil
}

// Close closes the sockets. No method may be running or follow.
func (t *Table) Close() {
	t.routes.Close()
	for _, s := range t.raw {
		s.Close()
	}
}

// DropAddresses forgets every flow, of any protocol, that one of the addresses
// takes part in: by sending (masqueraded flows from a container) or by answering
// (flows to it, translated or not).
func (t *Table) DropAddresses(ctx context.Context, addrs []netip.Addr) error {
	what := ofAddresses(setOf(addrs))
	if len(what) == 0 {
		return nil
	}
	return wrap(t.drop(ctx, what), "drop the tracked flows of %d container addresses", len(addrs))
}

// DropTranslated forgets the UDP flows that were sent to another address and
// translated to one of the given: those to a container's published ports. Peers
// by other protocols notice by themselves.
func (t *Table) DropTranslated(ctx context.Context, addrs []netip.Addr) error {
	what := translatedTo(setOf(addrs))
	if len(what) == 0 {
		return nil
	}
	return wrap(t.drop(ctx, what), "drop the tracked flows to published ports of %d container addresses", len(addrs))
}

// DropPorts forgets the UDP flows that have a host port of the runs, at the run's host
// address, or for the unspecified one at any address that is the host's own: those that
// were sent to it, and those whose source was translated to it, which would take what
// comes to the port. Flows that are translated to where the run leads stay, those of the
// run's own container, those that
// the host passes on to the same port elsewhere, and those of runs of other
// protocols, whose peers notice by themselves. A run without a container is one of the
// host itself: what was sent to it stays.
func (t *Table) DropPorts(ctx context.Context, runs []spec.Published) error {
	own := map[uint8]*netipx.IPSet{}
	local := func(family uint8) (*netipx.IPSet, error) {
		var err error
		if own[family] == nil {
			own[family], err = t.localAddresses(ctx, family)
		}
		return own[family], err
	}
	what := &ofPorts{to: newHostPorts(local), from: newHostPorts(local)}
	for _, r := range runs {
		if r.Proto == spec.UDP && r.HostIP.IsValid() {
			what.add(r)
		}
	}
	if len(what.runs) == 0 {
		return nil
	}
	return wrap(t.drop(ctx, what), "drop the tracked flows of %d published ports", len(runs))
}

// DropRenumbered forgets the flows of any protocol that have an address of the given subnets inside, and outside
// one that is neither of what belongs to the subnet nor the host's own: of flows that begin inside, what
// answers go to, and of others, what they were sent to. So it does those that have no address outside and need one, having begun
// without rules. What passes between the subnets of networks, or to the host, needs none.
func (t *Table) DropRenumbered(ctx context.Context, outside map[netip.Prefix]netip.Prefix, networks []netip.Prefix) error {
	if len(outside) == 0 {
		return nil
	}
	own, err := t.localAddresses(ctx, unix.AF_INET6)
	if err != nil {
		return err
	}
	return wrap(t.drop(ctx, renumbered{outside, networks, own}), "drop the tracked flows of %d renumbered subnets", len(outside))
}

func setOf(addrs []netip.Addr) map[netip.Addr]struct{} {
	set := map[netip.Addr]struct{}{}
	for _, a := range addrs {
		if a.IsValid() {
			set[plain(a)] = struct{}{}
		}
	}
	return set
}

// wrap is fmt.Errorf("...: %w") that leaves nil alone.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

func familyOf(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// plain is the form in which the kernel shows an address.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// drop deletes the flows that are meant.
func (t *Table) drop(ctx context.Context, what choice) error {
	if all := what.selections(); len(all) > 0 && len(all) <= maxSelections && !t.noFilters.Load() {
		err := t.dropSelected(ctx, all)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EOPNOTSUPP) {
			return explain(err)
		}
		t.noFilters.Store(true)
	}
	return again(ctx, func() error { return explain(t.dropListed(what)) })
}

// dropSelected has the kernel delete flows by filters. Older kernels take the
// filter's addresses for half of a flow's and refuse that: they delete nothing.
func (t *Table) dropSelected(ctx context.Context, all []selection) error {
	for _, s := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := t.request(msgDelete, unix.NLM_F_ACK, familyOf(s.addr))
		for _, a := range s.attributes() {
			r.AddData(a)
		}
		if _, err := r.Execute(unix.NETLINK_NETFILTER, 0); err != nil {
			return err
		}
	}
	return nil
}

// dropListed lists the flows of both families at once, since the kernel looks
// at the whole table each time, and deletes those that are meant. An interrupted
// list has had its effect for what it held; asking again finds the rest.
func (t *Table) dropListed(what choice) error {
	var meant []flow
	var failed error
	listed := t.request(msgGet, unix.NLM_F_DUMP, unix.AF_UNSPEC).
		ExecuteIter(unix.NETLINK_NETFILTER, 0, func(m []byte) bool {
			f, err := parseFlow(m)
			yes := false
			if err == nil {
				yes, err = what.has(&f)
			}
			if yes {
				meant = append(meant, f)
			}
			failed = err
			return err == nil
		})
	for _, f := range meant {
		r := t.request(msgDelete, unix.NLM_F_ACK, f.family)
		r.AddRawData(f.name)
		if _, err := r.Execute(unix.NETLINK_NETFILTER, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			failed = errors.Join(failed, err)
		}
	}
	if failed != nil {
		return failed
	}
	return listed
}

// tries bounds how often an interrupted dump is asked for again.
const tries = 10

func again(ctx context.Context, f func() error) error {
	var err error
	for range tries {
		if err = ctx.Err(); err != nil {
			return err
		}
		if err = f(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
	}
	return fmt.Errorf("%d tries: %w", tries, err)
}

// explain says what the kernel's answers mean where ctnetlink is missing: the
// socket family, the nfnetlink subsystem or the dump is not known.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT),
		errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the kernel does not let connection tracking be changed; load the module nf_conntrack_netlink: %w", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("changing connection tracking needs CAP_NET_ADMIN: %w", err)
	}
	return err
}

// localAddresses lists what the kernel delivers to the host itself: the routes
// of type local of all tables, which is what the firewall's "address type
// local" asks for too.
func (t *Table) localAddresses(ctx context.Context, family uint8) (*netipx.IPSet, error) {
	var set *netipx.IPSet
	err := again(ctx, func() error {
		var found netipx.IPSetBuilder
		any := &netlink.Route{Table: unix.RT_TABLE_UNSPEC, Type: unix.RTN_LOCAL}
		mask := netlink.RT_FILTER_TABLE | netlink.RT_FILTER_TYPE
		err := t.routes.RouteListFilteredIter(int(family), any, mask, func(r netlink.Route) bool {
			// The library's switch on filters looks at the first one only.
			if r.Type == unix.RTN_LOCAL && r.Dst != nil {
				if p, ok := netipx.FromStdIPNet(r.Dst); ok && p.IsValid() {
					found.AddPrefix(p)
				}
			}
			return true
		})
		if err == nil {
			set, err = found.IPSet()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the host's own addresses: %w", err)
	}
	return set, nil
}
