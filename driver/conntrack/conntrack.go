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
// A Table belongs to the network namespace of the thread that called New.
package conntrack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// Table is the kernel's table of tracked flows. Its methods are safe for
// concurrent use: each socket serves one request at a time.
type Table struct{ nl *netlink.Handle }

// New opens the table in the network namespace of the calling thread.
func New() (*Table, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_NETFILTER, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open connection tracking: %w", explain(err))
	}
	return &Table{nl: handle}, nil
}

// Close closes the sockets. No method may be running or follow.
func (t *Table) Close() { t.nl.Close() }

// DropAddresses forgets every flow, of any protocol, that has one of the
// addresses as source or destination, as sent (masqueraded flows from a
// container) or as answered (translated flows to it). The table is listed at
// most once for each family among addrs.
func (t *Table) DropAddresses(ctx context.Context, addrs []netip.Addr) error {
	byFamily := map[netlink.InetFamily]addressFilter{}
	for _, a := range addrs {
		if !a.IsValid() {
			continue
		}
		a = plain(a)
		f := familyOf(a)
		if byFamily[f] == nil {
			byFamily[f] = addressFilter{}
		}
		byFamily[f][a] = struct{}{}
	}
	for _, f := range families {
		if len(byFamily[f]) == 0 {
			continue
		}
		if err := t.drop(ctx, f, byFamily[f]); err != nil {
			return fmt.Errorf("drop the tracked flows of %d container addresses: %w", len(addrs), err)
		}
	}
	return nil
}

// DropPorts forgets the UDP flows that were sent to a host port of the runs:
// to the run's host address, or for the unspecified one to any address that is
// the host's own. Flows that the host passes on to the same port elsewhere stay,
// and so do runs of other protocols, whose peers notice by themselves. The
// table is listed at most once for each family among the runs.
func (t *Table) DropPorts(ctx context.Context, runs []spec.Published) error {
	byFamily := map[netlink.InetFamily]*portFilter{}
	for _, r := range runs {
		if r.Proto != spec.UDP || !r.HostIP.IsValid() {
			continue
		}
		ip := plain(r.HostIP)
		f := familyOf(ip)
		if byFamily[f] == nil {
			byFamily[f] = &portFilter{byAddr: map[netip.Addr]*portSet{}}
		}
		byFamily[f].add(ip, r.First, r.Last)
	}
	for _, f := range families {
		filter := byFamily[f]
		if filter == nil {
			continue
		}
		if err := t.dropPorts(ctx, f, filter); err != nil {
			return fmt.Errorf("drop the tracked flows of %d published ports: %w", len(runs), err)
		}
	}
	return nil
}

func (t *Table) dropPorts(ctx context.Context, family netlink.InetFamily, filter *portFilter) error {
	if filter.anywhere != nil {
		local, err := t.localAddresses(ctx, family)
		if err != nil {
			return err
		}
		filter.local = local
	}
	return t.drop(ctx, family, filter)
}

var families = [...]netlink.InetFamily{unix.AF_INET, unix.AF_INET6}

func familyOf(a netip.Addr) netlink.InetFamily {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// plain is the form in which the kernel shows an address.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// tries bounds how often an interrupted dump is asked for again.
const tries = 10

// drop deletes the flows that the filter matches. An interrupted dump has had
// its effect for what it listed; asking again finds the rest.
func (t *Table) drop(ctx context.Context, family netlink.InetFamily, filter netlink.CustomConntrackFilter) error {
	return again(ctx, func() error {
		_, err := t.nl.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter)
		return explain(err)
	})
}

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
func (t *Table) localAddresses(ctx context.Context, family netlink.InetFamily) (*localSet, error) {
	var set *localSet
	err := again(ctx, func() error {
		set = &localSet{addrs: map[netip.Addr]struct{}{}}
		any := &netlink.Route{Table: unix.RT_TABLE_UNSPEC, Type: unix.RTN_LOCAL}
		mask := netlink.RT_FILTER_TABLE | netlink.RT_FILTER_TYPE
		return t.nl.RouteListFilteredIter(int(family), any, mask, func(r netlink.Route) bool {
			// The library's switch on filters looks at the first one only.
			if r.Type == unix.RTN_LOCAL && r.Dst != nil {
				set.add(r.Dst)
			}
			return true
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list the host's own addresses: %w", err)
	}
	return set, nil
}

// localSet holds addresses, and the few prefixes that are local as a whole.
type localSet struct {
	addrs    map[netip.Addr]struct{}
	prefixes []netip.Prefix
}

func (s *localSet) add(n *net.IPNet) {
	addr, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return
	}
	if bits, size := n.Mask.Size(); bits < size {
		s.prefixes = append(s.prefixes, netip.PrefixFrom(addr, bits))
		return
	}
	s.addrs[addr] = struct{}{}
}

func (s *localSet) has(a netip.Addr) bool {
	if _, ok := s.addrs[a]; ok {
		return true
	}
	for _, p := range s.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
