package link

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/kernel"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/driver/undo"
)

// loan names one thing that gangway changed on a link that belongs to
// somebody else: a bridge, or an uplink. It is recorded on the link as the alternative name
// "gangway-NETWORKID-LOAN" (IFLA_ALT_IFNAME, Linux 5.5 and on; `ip link` shows
// it). A file would outlive the bridge, the alias belongs to the owner, and
// IFA_PROTO marks addresses only. Older kernels have no place for it: they are
// refused (see lend).
type loan string

// What can be lent besides addresses (loanAddress).
const (
	loanGroup    loan = "group"
	loanUp       loan = "up"
	loanLocalnet loan = "localnet"
	loanIPv6     loan = "ipv6"
	// loanPort is an uplink, which is a port of the network's bridge, and loanMove one whose
	// addresses and routes are the bridge's. loanMade is one that gangway made.
	loanPort loan = "port"
	loanMove loan = "move"
	loanMade loan = "made"
	// loanTrunk is a link that is up for the sake of a VLAN on it. It is another than loanUp: no two
	// links have an alternative name in common.
	loanTrunk loan = "trunk"
	// loanProxyNDP and loanForward are settings that were off before the host answered for containers; see
	// held. loanDelay and loanSubnet go with them.
	loanProxyNDP loan = "proxyndp"
	loanForward  loan = "forward"
)

const (
	loanPrefix    = "gangway-"
	addressPrefix = "addr-"
	subnetPrefix  = "ndp-"
	delayBase     = loan("delay-")
	// maxLoanID is what fits: an alternative name has at most 127 bytes, and
	// the longest loan (a full IPv6 address) has 48.
	maxLoanID = 64
)

// loanAddress names a gateway address: "addr-fd00__1-64". A colon or slash in
// a link's name would trouble other tools.
func loanAddress(p netip.Prefix) loan { return loanPrefixed(addressPrefix, p) }

// loanSubnet names a subnet that the link answers for: "ndp-2001_db8__-80".
func loanSubnet(p netip.Prefix) loan { return loanPrefixed(subnetPrefix, p) }

func loanPrefixed(prefix string, p netip.Prefix) loan {
	return loan(prefix + strings.ReplaceAll(p.Addr().String(), ":", "_") + "-" + strconv.Itoa(p.Bits()))
}

// loanDelay names the proxy_delay that a link had: "delay-80".
func loanDelay(was string) loan { return delayBase + loan(was) }

// delay is the inverse of loanDelay.
func (l loan) delay() string { return strings.TrimPrefix(string(l), string(delayBase)) }

// base is a loan without the value that it may note.
func (l loan) base() loan {
	if strings.HasPrefix(string(l), string(delayBase)) {
		return delayBase
	}
	return l
}

// proxies says whether it is for the sake of containers that the host answers for.
func (l loan) proxies() bool {
	_, subnet := l.prefixed(subnetPrefix)
	return subnet || slices.Contains([]loan{loanProxyNDP, loanForward, delayBase}, l.base())
}

// rank says when a loan is taken back.
func (l loan) rank() int {
	return slices.Index([]loan{loanMove, loanPort, l}, l)
}

// address is the inverse of loanAddress; ok is false for any other loan.
func (l loan) address() (p netip.Prefix, ok bool) { return l.prefixed(addressPrefix) }

func (l loan) prefixed(prefix string) (p netip.Prefix, ok bool) {
	text, ok := strings.CutPrefix(string(l), prefix)
	if !ok {
		return p, false
	}
	addr, bits, _ := strings.Cut(text, "-")
	p, err := netip.ParsePrefix(strings.ReplaceAll(addr, "_", ":") + "/" + bits)
	return p, err == nil && loanPrefixed(prefix, p) == l
}

// altName is the record of a loan.
func (l loan) altName(networkID string) string { return loanPrefix + networkID + "-" + string(l) }

// parseLoan is the inverse of altName; ok is false for a name that is none.
func parseLoan(altName string) (networkID string, l loan, ok bool) {
	rest, ours := strings.CutPrefix(altName, loanPrefix)
	id, what, cut := strings.Cut(rest, "-")
	if !ours || !cut || !loanable(id) {
		return "", "", false
	}
	l = loan(what)
	switch l {
	case loanGroup, loanUp, loanLocalnet, loanIPv6, loanPort, loanMove, loanMade, loanTrunk, loanProxyNDP, loanForward:
		return id, l, true
	}
	if l.base() == delayBase {
		_, err := strconv.ParseUint(l.delay(), 10, 31)
		return id, l, err == nil
	}
	_, address := l.address()
	_, subnet := l.prefixed(subnetPrefix)
	return id, l, address || subnet
}

// loanable says whether loans can be recorded for the id.
func loanable(id string) bool {
	other := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	return id != "" && len(id) <= maxLoanID && !strings.ContainsFunc(id, other)
}

// loans lists what each network was lent on the link.
func loans(link netlink.Link) map[string][]loan {
	all := map[string][]loan{}
	for _, name := range link.Attrs().AltNames {
		if id, l, ok := parseLoan(name); ok {
			all[id] = append(all[id], l)
		}
	}
	return all
}

// adopters lists what networks were lent on a link that they use for their containers. By one that the host answers
// for them by, they are not.
func adopters(link netlink.Link) map[string][]loan {
	all := loans(link)
	maps.DeleteFunc(all, func(_ string, lent []loan) bool {
		return !slices.ContainsFunc(lent, func(l loan) bool { return !l.proxies() })
	})
	return all
}

// lend records a loan, and says whether it is new. A kernel that cannot record it
// is refused: what nobody recorded would stay on the bridge for good, once the
// daemon has crashed or its state is lost.
func (h *Handle) lend(link netlink.Link, networkID string, l loan) (added bool, err error) {
	name := l.altName(networkID)
	if slices.Contains(link.Attrs().AltNames, name) {
		return false, nil
	}
	err = h.change(func() error { return h.addAltName(link, name) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		return false, fmt.Errorf("link %s is somebody else's, and gangway could not give it back: to note on it what is changed takes %s, and this is %s; let gangway make a bridge of its own, without gangway.uplink and gangway.ndp_proxy: %w",
			link.Attrs().Name, kernel.AltNames().Needs(), release(), err)
	}
	return err == nil, wrap(err, "record on link %s that gangway changes it (alternative name %s)", link.Attrs().Name, name)
}

// release is the version of the running kernel.
func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "an unknown version"
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:])
}

// checkAdopted says whether the network can use the bridge of somebody else.
// As with the built-in driver, an IPv4 address that is there already must be
// the gateway. The same goes for permanent global IPv6 addresses; those from
// router advertisements come and go and are no decision of the owner's.
func (h *Handle) checkAdopted(ctx context.Context, link netlink.Link, b spec.Bridge) error {
	a := link.Attrs()
	switch id := owner(link); {
	case a.Name != b.Name:
		return fmt.Errorf("bridge %s: that is an alternative name of link %s; name the link itself", b.Name, a.Name)
	case link.Type() != kindBridge:
		return fmt.Errorf("bridge %s: the link of that name is a %s; name a bridge", b.Name, link.Type())
	case id != "" && id != b.NetworkID:
		return fmt.Errorf("bridge %s belongs to the network %s; name another bridge", b.Name, id)
	case a.Group != 0 && a.Group != spec.LinkGroup:
		return fmt.Errorf("bridge %s is in the interface group %d and gangway needs it in its own; release it with `ip link set %s group default`, or name another bridge",
			b.Name, a.Group, b.Name)
	}
	for id := range loans(link) {
		if id != b.NetworkID {
			return fmt.Errorf("bridge %s is used by the network %s; name another bridge", b.Name, id)
		}
	}
	have, err := h.addresses(ctx, link, unix.AF_UNSPEC)
	if err != nil {
		return err
	}
	for _, want := range b.Addresses {
		if err := checkGateway(b.Name, have, want); err != nil {
			return err
		}
	}
	return nil
}

// checkGateway compares the addresses of an adopted bridge with the gateway of
// one family: the gateway is among them, or there is none.
func checkGateway(bridge string, have []address, want netip.Prefix) error {
	var other netip.Prefix
	for _, a := range have {
		switch {
		case a.Prefix == want:
			return nil
		case a.Addr().Is4() != want.Addr().Is4() || !a.global():
		case a.Addr().Is4() || a.flags&unix.IFA_F_PERMANENT != 0:
			other = a.Prefix
		}
	}
	if !other.IsValid() {
		return nil
	}
	return fmt.Errorf("bridge %s has the address %s, not the network's gateway %s; give the network the subnet %s and the gateway %s, or name another bridge",
		bridge, other, want, other.Masked(), other.Addr())
}

// giveBackNew takes back what this mender lent.
func (m *mender) giveBackNew(ctx context.Context) error {
	ctx, cancel := undo.Context(ctx)
	defer cancel()
	if len(m.lent) == 0 {
		return nil
	}
	link, err := m.h.byIndex(m.link.Attrs().Index)
	if err != nil || link == nil {
		return err
	}
	var errs []error
	for _, l := range m.lent {
		errs = append(errs, m.h.takeBack(ctx, link, m.bridge.NetworkID, l))
	}
	return errors.Join(errs...)
}

// giveBack takes back all that the network was lent on the bridge.
func (h *Handle) giveBack(ctx context.Context, link netlink.Link, networkID string) error {
	all := loans(link)
	mine := all[networkID]
	delete(all, networkID)
	if slices.Contains(mine, loanMade) {
		return h.change(func() error { return h.remove(link) })
	}
	// An uplink has its addresses back before it leaves the bridge, and leaves before it is down.
	slices.SortStableFunc(mine, func(a, b loan) int { return a.rank() - b.rank() })
	var errs []error
	if len(mine) > 0 {
		errs = append(errs, h.removeHostRoutes(ctx, link))
	}
	for _, l := range mine {
		errs = append(errs, h.takeBack(ctx, link, networkID, l))
	}
	if link.Attrs().Group == spec.LinkGroup && len(all) == 0 && owner(link) == "" && !slices.Contains(mine, loanGroup) {
		errs = append(errs, h.takeBack(ctx, link, networkID, loanGroup))
	}
	return errors.Join(errs...)
}

// takeBack undoes one loan, and then removes its record. What the owner has
// changed since then is left as it is now.
func (h *Handle) takeBack(ctx context.Context, link netlink.Link, networkID string, l loan) error {
	err := h.change(func() error { return h.undo(ctx, link, networkID, l) })
	if err != nil {
		if notFound(err) {
			return nil
		}
		return err
	}
	err = h.change(func() error { return h.nl.LinkDelAltName(link, l.altName(networkID)) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) || notFound(err) {
		return nil
	}
	return wrap(err, "remove the alternative name %s of link %s", l.altName(networkID), link.Attrs().Name)
}

// undo makes a link what it was before a loan.
func (h *Handle) undo(ctx context.Context, link netlink.Link, networkID string, l loan) error {
	name := link.Attrs().Name
	switch l {
	case loanGroup:
		if link.Attrs().Group == spec.LinkGroup {
			return wrap(h.nl.LinkSetGroup(link, 0), "reset the group of bridge %s", name)
		}
	case loanUp, loanTrunk:
		return h.setDownUnused(ctx, link, networkID)
	case loanLocalnet:
		return h.sys.set("net/ipv4/conf/"+name+"/route_localnet", "0")
	case loanMove:
		return h.moveBack(ctx, link, networkID)
	case loanPort:
		return h.releasePort(link, networkID)
	case loanIPv6:
		return h.sys.set("net/ipv6/conf/"+name+"/disable_ipv6", "1")
	case loanProxyNDP, loanForward:
		return h.releaseSetting(link, networkID, l)
	default:
		return h.undoValue(ctx, link, networkID, l)
	}
	return nil
}

// undoValue undoes a loan that notes a value.
func (h *Handle) undoValue(ctx context.Context, link netlink.Link, networkID string, l loan) error {
	if l.base() == delayBase {
		return h.releaseSetting(link, networkID, l)
	}
	if p, ok := l.prefixed(subnetPrefix); ok {
		return h.removeProxied(ctx, link, p)
	}
	if p, ok := l.address(); ok {
		return h.removeAddress(link, p)
	}
	return nil
}

// setDownUnused sets a link down, unless it has ports, or other VLANs on it than the network's:
// somebody else has come to use it.
func (h *Handle) setDownUnused(ctx context.Context, link netlink.Link, networkID string) error {
	all, err := h.links(ctx)
	if err != nil {
		return err
	}
	index := link.Attrs().Index
	if slices.ContainsFunc(all, func(l netlink.Link) bool {
		a := l.Attrs()
		return a.MasterIndex == index || l.Type() == kindVLAN && a.ParentIndex == index && a.NetNsID < 0 && !made(l, networkID)
	}) {
		return nil
	}
	return wrap(h.nl.LinkSetDown(link), "set link %s down", link.Attrs().Name)
}
