package link

import (
	"context"
	"net"

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

// Check takes one look at all links. It shows which of the veths are gone or not
// as EnsureVeth would have them, as far as a link's own message tells, and
// whether Sweep would find anything; the lists are those of Sweep. A pair whose
// peer is in the host's namespace counts as amiss: that is short, or wrong.
func (h *Handle) Check(ctx context.Context, bridges []spec.Bridge, veths []spec.Veth) (spec.LinkCheck, error) {
	all, err := dump(ctx, "links", h.look)
	if err != nil {
		return spec.LinkCheck{}, err
	}
	c := spec.LinkCheck{Gone: map[string]bool{}, Amiss: map[string]bool{}}
	known := idsOf(bridges, veths)
	masters := map[string]netlink.Link{}
	ends := map[string]seen{}
	for _, s := range all {
		whole, lent := known.stray(s)
		c.Strays = c.Strays || whole || len(lent) > 0
		switch s.Type() {
		case kindBridge:
			masters[s.Attrs().Name] = s.Link
		case kindVeth:
			ends[owner(s)] = s
		}
	}
	for _, v := range veths {
		end, there := ends[v.EndpointID]
		switch {
		case !there:
			c.Gone[v.EndpointID] = true
		case !end.serves(v, masters[v.Bridge]) || !h.guards(end, masters[v.Bridge], v):
			c.Amiss[v.EndpointID] = true
		}
	}
	return c, nil
}

// serves says whether the link is as the host end of v has to be.
func (s seen) serves(v spec.Veth, bridge netlink.Link) bool {
	a := s.Attrs()
	return a.Name == v.Host && bridge != nil && a.MasterIndex == bridge.Attrs().Index && a.Flags&net.FlagUp != 0 &&
		(v.MTU == 0 || a.MTU == v.MTU) && a.NetNsID >= 0 && s.port == portOf(v.Isolated) && !s.ipv6
}

// guards says whether the link has the filter that v has to have. What cannot be
// read is for EnsureVeth to tell of.
func (h *Handle) guards(host, bridge netlink.Link, v spec.Veth) bool {
	_, off, err := h.compareGuard(host, bridge, v)
	return !off && err == nil
}

// look lists all links.
func (h *Handle) look() ([]seen, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.Sockets = h.raw
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics)))
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return nil, err
	}
	all := make([]seen, 0, len(answers))
	for _, m := range answers {
		s, err := parseLink(m)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
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
