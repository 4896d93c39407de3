package link

import (
	"context"
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

// view is what a look at all links leaves: there may be thousands of them, and
// the kernel tells some kilobytes of each.
type view struct {
	strays bool
	// bridges are by name, ends by endpoint.
	bridges map[string]*brief
	ends    map[string]end
}

// brief is a link without what nobody here asks for.
type brief netlink.LinkAttrs

// Attrs and Type make it a netlink.Link.
func (b *brief) Attrs() *netlink.LinkAttrs { return (*netlink.LinkAttrs)(b) }

// Type is not known.
func (b *brief) Type() string { return "" }

// Check takes one look at all links. It shows which of the veths are gone or not
// as EnsureVeth would have them, as far as a link's own message tells, and
// whether Sweep would find anything; the lists are those of Sweep. A pair whose
// peer is in the host's namespace counts as amiss: that is short, or wrong.
func (h *Handle) Check(ctx context.Context, bridges []spec.Bridge, veths []spec.Veth) (spec.LinkCheck, error) {
	known := idsOf(bridges, veths)
	all, err := dump(ctx, "links", func() (view, error) { return h.look(known) })
	if err != nil {
		return spec.LinkCheck{}, err
	}
	c := spec.LinkCheck{Gone: map[string]bool{}, Amiss: map[string]bool{}, Strays: all.strays}
	for _, v := range veths {
		is, there := all.ends[v.EndpointID]
		switch {
		case !there:
			c.Gone[v.EndpointID] = true
		case !is.serves(v, all.bridges[v.Bridge]) || !h.guards(is, all.bridges[v.Bridge], v):
			c.Amiss[v.EndpointID] = true
		}
	}
	return c, nil
}

// serves says whether the link is as the host end of v has to be.
func (e end) serves(v spec.Veth, bridge *brief) bool {
	return e.name == v.Host && bridge != nil && e.master == bridge.Index && e.up && e.moved && !e.ipv6 &&
		(v.MTU == 0 || e.mtu == v.MTU) && e.port == portOf(v.Isolated)
}

// guards says whether the link has the filter that v has to have. What cannot be
// read is for EnsureVeth to tell of.
func (h *Handle) guards(e end, bridge *brief, v spec.Veth) bool {
	_, off, err := h.compareGuard(&brief{Name: e.name, Index: e.index}, bridge, v)
	return !off && err == nil
}

// look lists all links.
func (h *Handle) look(known ids) (view, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.Sockets = h.raw
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics)))
	all := view{bridges: map[string]*brief{}, ends: map[string]end{}}
	var failed error
	err := req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWLINK, func(m []byte) bool {
		s, err := parseLink(m)
		if err != nil {
			failed = err
			return false
		}
		all.add(s, known)
		return true
	})
	if failed != nil {
		err = failed
	}
	return all, err
}

func (all *view) add(s seen, known ids) {
	whole, lent := known.stray(s)
	all.strays = all.strays || whole || len(lent) > 0
	a := s.Attrs()
	switch s.Type() {
	case kindBridge:
		name := strings.Clone(a.Name)
		all.bridges[name] = &brief{Name: name, Index: a.Index, HardwareAddr: slices.Clone(a.HardwareAddr)}
	case kindVeth:
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
