package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/driver/undo"
)

// The kernel answers for an address on a link that has a proxy neighbour entry for it, and joins the multicast
// group by which it is asked for, so that the link need not take all multicast. Three settings matter besides:
//   - net.ipv6.conf.all.proxy_ndp. That of the link itself is not enough: of solicitations by which a router sees
//     whether its neighbour is still there, which are sent to the address itself, the kernel asks that for all links
//     (ip6_forward). Without it routers lose the address for a second, again and again. It has no meaning
//     for links without entries.
//   - net.ipv6.neigh.LINK.proxy_delay, up to 0.8 s, by which several proxies for one address would take turns (RFC 4861,
//     7.2.8). There is one, and what waits for it is somebody's first packet.
//   - net.ipv6.conf.LINK.forwarding. A link that is told not to be a router's does not answer.

// The settings, as paths of sysctls.
const (
	proxyNDP     = "net/ipv6/conf/all/proxy_ndp"
	loopbackName = "lo"
)

func proxyDelay(link string) string     { return "net/ipv6/neigh/" + link + "/proxy_delay" }
func forwardingOf(link string) string   { return "net/ipv6/conf/" + link + "/forwarding" }
func disabledIPv6(link string) string   { return "net/ipv6/conf/" + link + "/disable_ipv6" }
func acceptsRouters(link string) string { return "net/ipv6/conf/" + link + "/accept_ra" }

// EnsureNDPProxy has the host answer by a link, or mends that, and returns one line for each thing that was not
// as it should be. A link that cannot be used is given back as it was.
func (h *Handle) EnsureNDPProxy(ctx context.Context, p spec.NDPProxy) (fixed []string, err error) {
	if err = ctx.Err(); err != nil {
		return nil, err
	}
	link, err := h.find(p.Link)
	switch {
	case err != nil:
		return nil, err
	case link == nil:
		return nil, fmt.Errorf("%s: there is no link of that name: name one of `ip link`, or create it", p)
	case link.Attrs().Name != p.Link:
		return nil, fmt.Errorf("%s: that is an alternative name of link %s; name the link itself", p, link.Attrs().Name)
	}
	if why := h.unanswering(link); why != "" {
		return nil, fmt.Errorf("%s: the link %s", p, why)
	}
	added, err := h.lend(link, p.NetworkID, loanSubnet(p.Subnet))
	if err == nil {
		fixed, err = h.holdSettings(ctx, link, p)
	}
	if err != nil && added {
		err = errors.Join(err, h.returnProxy(ctx, p))
	}
	if added {
		fixed = append(fixed, fmt.Sprintf("link %s answered for no addresses of %s: it does", p.Link, p.Subnet))
	}
	if err != nil {
		return fixed, err
	}
	moved, err := h.moveProxy(ctx, link, p)
	return append(fixed, moved...), err
}

// moveProxy notes on a link which addresses outside the host may answer for, and ends that for those of a former prefix, which
// may have changed while no daemon ran.
func (h *Handle) moveProxy(ctx context.Context, link netlink.Link, p spec.NDPProxy) (fixed []string, err error) {
	if p.Outside.IsValid() {
		added, failed := h.lend(link, p.NetworkID, loanSubnet(p.Outside))
		if failed != nil {
			return nil, failed
		}
		if added {
			fixed = append(fixed, fmt.Sprintf("link %s answered for no addresses of %s: it does", p.Link, p.Outside))
		}
	}
	for _, l := range former(link, p) {
		if err = h.takeBack(ctx, link, p.NetworkID, l); err != nil {
			return fixed, err
		}
		was, _ := l.prefixed(subnetPrefix)
		fixed = append(fixed, fmt.Sprintf("link %s answered for addresses of %s, which are the network's no more: it does not", p.Link, was))
	}
	return fixed, nil
}

// former are the subnets that a network had outside, as noted on a link.
func former(link netlink.Link, p spec.NDPProxy) (all []loan) {
	for _, l := range loans(link)[p.NetworkID] {
		if subnet, is := l.prefixed(subnetPrefix); is && !slices.Contains(p.Subnets(), subnet) {
			all = append(all, l)
		}
	}
	return all
}

// returnProxy gives back a link that could not be used, whatever becomes of the call.
func (h *Handle) returnProxy(ctx context.Context, p spec.NDPProxy) error {
	ctx, cancel := undo.Context(ctx)
	defer cancel()
	return h.DeleteNDPProxy(ctx, p)
}

// unanswering says why nobody is answered by a link; "" for nothing.
func (h *Handle) unanswering(link netlink.Link) string {
	a := link.Attrs()
	off, err := h.sys.get(disabledIPv6(a.Name))
	switch {
	case a.Flags&(net.FlagLoopback|net.FlagPointToPoint) != 0, len(a.HardwareAddr) != macLen:
		return "has no neighbours that ask by neighbour discovery: name one of Ethernet"
	case owner(link) != "":
		return "is gangway's own: name one that leads outside"
	case a.MasterIndex != 0:
		return fmt.Sprintf("is a port of another link (number %d), by which packets come: name that one", a.MasterIndex)
	case err != nil || off != "0":
		return fmt.Sprintf("has IPv6 switched off: turn it on (sysctl -w %s=0)", disabledIPv6(a.Name))
	}
	if link.Type() == kindBridge {
		for id := range adopters(link) {
			return fmt.Sprintf("is the bridge of the network %s, whose containers reach no other network: name another one", id)
		}
	}
	return ""
}

// held is a setting that has a value as long as a network has the host answer, and what notes on a link that it had
// another one before.
type held struct {
	name, value string
	on          netlink.Link
	// noted notes the value before.
	noted func(was string) loan
}

// heldSettings are those of a link. What is noted of all links is noted on loopback, which never goes.
func (h *Handle) heldSettings(link netlink.Link) ([]held, error) {
	lo, err := h.find(loopbackName)
	if err != nil {
		return nil, err
	}
	if lo == nil {
		return nil, errors.New("the host has no link lo")
	}
	name := link.Attrs().Name
	all := []held{
		{proxyNDP, "1", lo, func(string) loan { return loanProxyNDP }},
		{proxyDelay(name), "0", link, loanDelay},
	}
	forwards, err := h.isOn(forwarding6)
	if err == nil && forwards { // else the first container turns on that of all links
		all = append(all, held{forwardingOf(name), "1", link, func(string) loan { return loanForward }})
	}
	return all, err
}

func (h *Handle) holdSettings(ctx context.Context, link netlink.Link, p spec.NDPProxy) (fixed []string, err error) {
	all, err := h.heldSettings(link)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		is, err := h.sys.get(s.name)
		if err != nil {
			return fixed, err
		}
		// Each network notes what gangway has set, whoever came first: the last one sets it back.
		if note := s.before(is, p.NetworkID); note != "" {
			if _, err = h.lend(s.on, p.NetworkID, note); err != nil {
				return fixed, err
			}
		}
		if is == s.value {
			continue
		}
		if s.name == forwardingOf(p.Link) {
			if err = h.keepRouter(p.Link); err != nil {
				return fixed, err
			}
		}
		if err = h.change(func() error { return h.sys.set(s.name, s.value) }); err != nil {
			return fixed, err
		}
		fixed = append(fixed, fmt.Sprintf("%s was %s: set to %s", s.name, is, s.value))
	}
	return fixed, ctx.Err()
}

// before is what is to be noted of a setting for a network; "" for nothing.
func (s held) before(is, network string) loan {
	want := s.noted(is)
	for id, lent := range loans(s.on) {
		for _, l := range lent {
			switch {
			case l.base() != want.base():
			case id == network:
				return ""
			case is == s.value:
				want = l
			}
		}
	}
	if is == s.value && !slices.ContainsFunc(allOf(loans(s.on)), func(l loan) bool { return l.base() == want.base() }) {
		return "" // it was so before
	}
	return want
}

func allOf(of map[string][]loan) (all []loan) {
	for _, lent := range of {
		all = append(all, lent...)
	}
	return all
}

// keepRouter has a link that becomes a router's go on to learn its own router by advertisements; see keepRouters.
func (h *Handle) keepRouter(link string) error {
	if is, err := h.sys.get(acceptsRouters(link)); err != nil || is != "1" {
		return err
	}
	return h.sys.set(acceptsRouters(link), "2")
}

// DeleteNDPProxy gives a link back, with all that was answered for. What is gone already is no error.
func (h *Handle) DeleteNDPProxy(ctx context.Context, p spec.NDPProxy) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var errs []error
	// By what is noted on it the link is found under whatever name.
	for _, name := range []string{loanSubnet(p.Subnet).altName(p.NetworkID), p.Link, loopbackName} {
		link, err := h.find(name)
		if errs = append(errs, err); link == nil {
			continue
		}
		for _, l := range loans(link)[p.NetworkID] {
			if l.proxies() {
				errs = append(errs, h.takeBack(ctx, link, p.NetworkID, l))
			}
		}
	}
	return errors.Join(errs...)
}

// releaseSetting sets a setting back, unless another network needs it still, or somebody has changed it.
func (h *Handle) releaseSetting(link netlink.Link, networkID string, l loan) error {
	for id, lent := range loans(link) {
		if id != networkID && slices.ContainsFunc(lent, func(o loan) bool { return o.base() == l.base() }) {
			return nil
		}
	}
	name, set, before := proxyNDP, "1", "0"
	switch l.base() {
	case loanForward:
		name = forwardingOf(link.Attrs().Name)
	case delayBase:
		name, set, before = proxyDelay(link.Attrs().Name), "0", l.delay()
	}
	if !h.sys.has(name) {
		return nil
	}
	if is, err := h.sys.get(name); err != nil || is != set {
		return err
	}
	return h.sys.set(name, before)
}

// unproxied says whether EnsureNDPProxy would mend anything, or has to say why it cannot. A link that is not there
// is a condition of the network's; see package needs.
func (h *Handle) unproxied(_ context.Context, p spec.NDPProxy, _ asked) (bool, error) {
	link, err := h.find(p.Link)
	if err != nil || link == nil || link.Attrs().Name != p.Link {
		return false, err
	}
	unnoted := func(subnet netip.Prefix) bool { return !slices.Contains(loans(link)[p.NetworkID], loanSubnet(subnet)) }
	if slices.ContainsFunc(p.Subnets(), unnoted) || len(former(link, p)) > 0 || h.unanswering(link) != "" {
		return true, nil
	}
	all, err := h.heldSettings(link)
	return err == nil && slices.ContainsFunc(all, func(s held) bool {
		is, failed := h.sys.get(s.name)
		return failed == nil && (is != s.value || s.before(is, p.NetworkID) != "")
	}), err
}
