package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Look collects the facts of a target beside the daemon's answer. What cannot be looked at is
// a note. client is who gets no answers; invalid for nobody in particular.
func Look(ctx context.Context, s State, t Target, client netip.Addr) Facts {
	s.Ports = append(slices.Clone(s.Ports), routedPorts(s.Endpoints)...)
	f := Facts{State: s, Containers: map[string]Container{}, Client: Client{Addr: client}}
	f.lookAtHost(t)
	for _, e := range s.Endpoints {
		if _, known := f.Containers[e.Sandbox]; known || e.Sandbox == "" || !t.endpoint(f, e) {
			continue
		}
		c, failed, err := inside(ctx, e.Sandbox, client)
		if err != nil {
			f.note(nameOf(e.Whose, e.ID), err)
			continue
		}
		f.looked(nameOf(e.Whose, e.ID), failed)
		f.Containers[e.Sandbox] = c
	}
	f.lookAtFilters(ctx)
	if s.Files == 0 || s.FileLimit == 0 {
		f.Notes = append(f.Notes, "not looked at: how many files the daemon has open: its process is not seen from here, or has no limit")
	}
	if !t.all() && !client.IsValid() {
		f.Notes = append(f.Notes, "not looked at: the way back to clients: name one with --client ADDRESS")
	}
	return f
}

func (f *Facts) note(what string, err error) {
	f.Notes = append(f.Notes, fmt.Sprintf("not looked at: %s: %v", what, err))
}

// Settings of the kernel, by their paths.
const (
	forward4  = "net/ipv4/ip_forward"
	forward6  = "net/ipv6/conf/all/forwarding"
	flows     = "net/netfilter/nf_conntrack_count"
	flowLimit = "net/netfilter/nf_conntrack_max"
)

// ofLink is a setting of IPv4 that each link has; "all" is a link of its own here.
func ofLink(link, name string) string { return "net/ipv4/conf/" + link + "/" + name }

// settings lists what is read of the links that there are.
func (f *Facts) settings() []string {
	all := []string{forward4, forward6, flows, flowLimit, ofLink("all", reverse)}
	for name := range f.Host.Links {
		all = append(all, ofLink(name, reverse), ofLink(name, forwarding))
	}
	return all
}

// The settings of links.
const reverse, forwarding = "rp_filter", "forwarding"

func (f *Facts) lookAtHost(t Target) {
	kernel, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		f.note("the host's links", err)
		return
	}
	defer kernel.Close()
	for _, look := range []struct {
		what string
		at   func(*netlink.Handle) error
	}{
		{"the host's links", f.lookAtLinks},
		{"the host's programs at links", f.lookAtPrograms},
		{"what is attached to the host's links", f.lookAtAttached},
		{"the host's default routes", f.lookAtUplinks},
		{"the host's neighbours", f.lookAtNeighbours},
	} {
		if err = look.at(kernel); err != nil {
			f.note(look.what, err)
		}
	}
	f.Host.Settings = map[string]int{}
	for _, name := range f.settings() {
		n, readErr := readNumber("/proc/sys/" + name)
		switch {
		case readErr == nil:
			f.Host.Settings[name] = n
		case name == forward4, name == flowLimit:
			f.note("setting "+dotted(name), readErr)
		}
	}
	if f.Host.Reversed, err = reversed("/proc/thread-self/net/netstat"); err != nil {
		f.note("how many packets came by a link that is not the way back", err)
	}
	f.lookAtWays(kernel, t)
}

func (f *Facts) lookAtLinks(kernel *netlink.Handle) error {
	links, err := complete(kernel.LinkList())
	if err != nil {
		return err
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	all := map[string]Link{}
	for _, l := range links {
		a := l.Attrs()
		all[a.Name] = Link{
			Index: a.Index, MTU: a.MTU, Up: a.RawFlags&unix.IFF_UP != 0, Master: names[a.MasterIndex], Kind: l.Type(),
			Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0, Program: a.Xdp != nil && a.Xdp.Attached,
		}
	}
	addrs, err := complete(kernel.AddrList(nil, unix.AF_UNSPEC))
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && names[a.LinkIndex] != "" {
			l := all[names[a.LinkIndex]]
			l.Addresses = append(l.Addresses, ip.Unmap())
			all[names[a.LinkIndex]] = l
		}
	}
	f.Host.Links = all
	return nil
}

// lookAtPrograms looks for programs of traffic control at links that are no ports of bridges:
// those of containers have the port filter; and for queues of all links that have dropped
// packets, or hold some back. Without a limit on its rate no link has any for long.
func (f *Facts) lookAtPrograms(kernel *netlink.Handle) error {
	all, err := complete(kernel.QdiscList(nil))
	if err != nil {
		return err
	}
	f.Host.Queues = map[string]string{}
	for _, q := range all {
		name := f.Host.linkAt(q.Attrs().LinkIndex)
		if st := q.Attrs().Statistics; st != nil && st.Queue != nil && (st.Queue.Drops > 0 || st.Queue.Qlen > 0) && q.Type() != "ingress" && q.Type() != "clsact" {
			f.Host.Queues[name] = fmt.Sprintf("%s has dropped %d packets and holds %d", q.Type(), st.Queue.Drops, st.Queue.Qlen)
		}
		if l, known := f.Host.Links[name]; known && l.Master == "" && (q.Type() == "ingress" || q.Type() == "clsact") {
			l.Program = true
			f.Host.Links[name] = l
		}
	}
	return nil
}

// linkAt is the name of a link; empty if there is none.
func (h Host) linkAt(index int) string {
	for name, l := range h.Links {
		if l.Index == index {
			return name
		}
	}
	return ""
}

func (f *Facts) lookAtUplinks(kernel *netlink.Handle) error {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := complete(kernel.RouteList(nil, family))
		if err != nil {
			return err
		}
		for _, r := range routes {
			if name := f.Host.linkAt(r.LinkIndex); name != "" && isDefault(r) && !slices.Contains(f.Host.Uplinks, name) {
				f.Host.Uplinks = append(f.Host.Uplinks, name)
			}
		}
	}
	return nil
}

func (f *Facts) lookAtNeighbours(kernel *netlink.Handle) error {
	neighbours, err := complete(kernel.NeighList(0, 0))
	if err != nil {
		return err
	}
	f.Host.Neighbours = map[netip.Addr]Neighbour{}
	for _, n := range neighbours {
		if a, ok := netip.AddrFromSlice(n.IP); ok {
			f.Host.Neighbours[a.Unmap()] = Neighbour{MAC: n.HardwareAddr.String(), Failed: n.State&unix.NUD_FAILED != 0}
		}
	}
	return nil
}

// complete takes a list also where the kernel says that something changed while it was
// listed: what is looked at is of the moment.
func complete[T any](list []T, err error) ([]T, error) {
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		err = nil
	}
	return list, err
}

func isDefault(r netlink.Route) bool {
	ones := 0
	if r.Dst != nil {
		ones, _ = r.Dst.Mask.Size()
	}
	return ones == 0 && (r.Table == 0 || r.Table == unix.RT_TABLE_MAIN) && r.Type == unix.RTN_UNICAST
}

// readNumber reads a number of the kernel's.
func readNumber(path string) (int, error) {
	text, err := os.ReadFile(path) //nolint:gosec // one of ours
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}
