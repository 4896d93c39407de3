package link

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// Of linux/rtnetlink.h, linux/if_link.h and linux/ipv6.h.
const (
	skipStatistics = 1 << 3 // RTEXT_FILTER_SKIP_STATS
	inet6Settings  = 2      // IFLA_INET6_CONF, an array of numbers
	disableIPv6    = 26     // DEVCONF_DISABLE_IPV6, an index of it
)

// seen is a link with what netlink.Link does not hold.
type seen struct {
	netlink.Link
	port portFlags
	// ipv6 says that the link may have IPv6 addresses.
	ipv6 bool
}

// end is what matters of a pair's host end.
type end struct {
	name               string
	index, master, mtu int
	// moved says that the peer has left the host's namespace.
	up, moved, ipv6 bool
	port            portFlags
}

// view is what a look at links leaves: there may be thousands of them, and the
// kernel tells some kilobytes of each.
type view struct {
	// known are what is no orphan, orphans the names of what is one.
	known   ids
	orphans map[string]bool
	// bridges are by name, ends by endpoint.
	bridges map[string]*brief
	ends    map[string]end
}

func newView(known ids) view {
	return view{known: known, orphans: map[string]bool{}, bridges: map[string]*brief{}, ends: map[string]end{}}
}

// brief is a link without what nobody here asks for.
type brief netlink.LinkAttrs

// Attrs and Type make it a netlink.Link.
func (b *brief) Attrs() *netlink.LinkAttrs { return (*netlink.LinkAttrs)(b) }

// Type is not known.
func (b *brief) Type() string { return "" }

// Check takes one look at the links of a scope. It shows which of the veths are
// gone or not as EnsureVeth would have them, as far as a link's own message tells,
// and whether Prune would find anything; the lists are those of Prune. A pair whose
// peer is in the host's namespace counts as amiss: that is short, or wrong. A
// detached one is never gone.
func (h *Handle) Check(ctx context.Context, of spec.Scope, bridges []spec.Bridge, veths []spec.Veth) (spec.LinkCheck, error) {
	of = widened(of, veths)
	all, err := h.look(ctx, of, idsOf(bridges, veths))
	if err != nil {
		return spec.LinkCheck{}, err
	}
	c := spec.LinkCheck{Gone: map[string]bool{}, Amiss: map[string]bool{}, Outside: map[string]bool{}, Orphans: all.orphans}
	for _, v := range veths {
		is, there := all.ends[v.EndpointID]
		switch {
		case v.Detached:
			if there && is.name == v.Host && (is.up || is.master != 0) {
				c.Amiss[v.EndpointID] = true
			}
		case there:
			if err := h.checkEnd(of, v, &all, c); err != nil {
				return spec.LinkCheck{}, err
			}
		case of.Has(v.Host):
			c.Gone[v.EndpointID] = true
		}
	}
	return c, nil
}

// checkEnd compares the host end of a pair that is there.
func (h *Handle) checkEnd(of spec.Scope, v spec.Veth, all *view, c spec.LinkCheck) error {
	for _, name := range []string{v.Bridge, v.HostBridge()} {
		if !of.All && all.bridges[name] == nil {
			if err := h.lookAt(name, all); err != nil {
				return err
			}
		}
	}
	is := all.ends[v.EndpointID]
	if !is.moved {
		c.Outside[v.EndpointID] = true
	}
	if is.name != v.Host {
		return nil // its name comes first: see Prune
	}
	first := all.bridges[v.HostBridge()]
	if !is.serves(v, all.bridges[v.Bridge]) || first == nil || !h.filters(is, first, v) {
		c.Amiss[v.EndpointID] = true
	}
	return nil
}

// widened adds the pairs that depend on more of a bridge than their own link tells:
// the filter of those that are kept from each other knows its hardware address.
func widened(of spec.Scope, veths []spec.Veth) spec.Scope {
	if of.Empty() || of.All {
		return of
	}
	more := spec.Scope{}
	more.Join(of)
	for _, v := range veths {
		if v.Isolated && of.Has(v.HostBridge()) {
			more.Add(v.Host)
		}
	}
	return more
}

// serves says whether the link is as the host end of v has to be.
func (e end) serves(v spec.Veth, bridge *brief) bool {
	return bridge != nil && e.master == bridge.Index && e.up && e.moved && !e.ipv6 &&
		(v.MTU == 0 || v.Follows || e.mtu == v.MTU) && e.port == portOf(v)
}

// filters says whether the link has the filter that v has to have. What cannot be
// read is for EnsureVeth to tell of.
func (h *Handle) filters(e end, bridge *brief, v spec.Veth) bool {
	_, off, err := h.compareFilter(&brief{Name: e.name, Index: e.index}, bridge, v)
	return !off && err == nil
}

// look lists the links of a scope: all in one dump, or each that is there.
func (h *Handle) look(ctx context.Context, of spec.Scope, known ids) (view, error) {
	if of.All {
		return dump(ctx, "links", func() (view, error) {
			all := newView(known)
			return all, h.ask(unix.NLM_F_DUMP, "", &all)
		})
	}
	some := newView(known)
	for name := range of.Links {
		if err := ctx.Err(); err != nil {
			return view{}, err
		}
		if err := h.lookAt(name, &some); err != nil {
			return view{}, err
		}
	}
	return some, nil
}

// lookAt adds the link that holds the name, if there is one.
func (h *Handle) lookAt(name string, to *view) error {
	err := h.ask(0, name, to)
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return wrap(err, "look at link %s", name)
}

// ask adds the links that the kernel describes: all, or the one of that name.
func (h *Handle) ask(flags int, name string, to *view) error {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, flags)
	req.Sockets = h.raw
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics)))
	if name != "" {
		req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	}
	var failed error
	err := req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWLINK, func(m []byte) bool {
		s, err := parseLink(m)
		if err != nil {
			failed = err
			return false
		}
		to.add(s)
		return true
	})
	if failed != nil {
		err = failed
	}
	return err
}

func (all *view) add(s seen) {
	whole, lent := all.known.orphan(s)
	a := s.Attrs()
	if whole || len(lent) > 0 {
		all.orphans[strings.Clone(a.Name)] = true
	}
	switch s.Type() {
	case kindBridge:
		name := strings.Clone(a.Name)
		all.bridges[name] = &brief{Name: name, Index: a.Index, HardwareAddr: slices.Clone(a.HardwareAddr)}
	case kindVeth:
		if _, second := all.ends[owner(s)]; second && whole {
			return
		}
		all.ends[strings.Clone(owner(s))] = end{
			name: strings.Clone(a.Name), index: a.Index, master: a.MasterIndex, mtu: a.MTU,
			up: a.Flags&net.FlagUp != 0, moved: a.NetNsID >= 0, ipv6: s.ipv6, port: s.port,
		}
	}
}

func parseLink(m []byte) (s seen, err error) {
	if s.Link, err = netlink.LinkDeserialize(nil, m); err != nil {
		return s, err
	}
	if s.port, err = parsePort(m); err != nil {
		return s, err
	}
	conf, err := nested(m, unix.SizeofIfInfomsg, unix.IFLA_AF_SPEC, unix.AF_INET6, inet6Settings)
	if len(conf) >= 4*(disableIPv6+1) {
		s.ipv6 = nl.NativeEndian().Uint32(conf[4*disableIPv6:]) == 0
	}
	return s, err
}
