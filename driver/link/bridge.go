package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// EnsureBridge creates the bridge or mends it, and returns one line for each
// thing that was not as it should be. A bridge that it creates and cannot
// finish is removed again, an adopted one is given back as it was. A name that
// is taken by another link, or an adopted bridge that has another address than
// the gateway, is an error and nothing is changed.
func (h *Handle) EnsureBridge(ctx context.Context, b spec.Bridge) ([]string, error) {
	if err := checkBridge(b); err != nil {
		return nil, fmt.Errorf("bridge %q: %w", b.Name, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	link, renamed, err := h.findBridge(b)
	switch {
	case err != nil:
		return nil, err
	case link == nil && b.Adopted:
		return nil, fmt.Errorf("bridge %s does not exist: create it, or remove the network %s", b.Name, b.NetworkID)
	case link == nil:
		return h.createBridge(ctx, b)
	case b.Adopted:
		err = h.checkAdopted(ctx, link, b)
	default:
		err = checkOwned(link, b)
	}
	if err != nil {
		return nil, err
	}
	m := &mender{h: h, link: link, bridge: b, fixed: renamed}
	if err := m.run(ctx); err != nil {
		return m.fixed, errors.Join(err, m.giveBackNew(ctx))
	}
	return m.fixed, nil
}

// findBridge returns the link that holds the bridge's name, or nil. If there is
// none, but the network's bridge was made or mended before and has another name by
// now, it gets its own back: one made anew would cut off every container.
func (h *Handle) findBridge(b spec.Bridge) (link netlink.Link, renamed []string, err error) {
	if link, err = h.find(b.Name); err != nil || link != nil || b.Adopted {
		return link, nil, err
	}
	index, known := h.made.Load(b.NetworkID)
	if !known {
		return nil, nil, nil
	}
	other, err := h.byIndex(index.(int)) //nolint:forcetypeassert // nothing else is stored
	if err != nil || other == nil || other.Type() != kindBridge || owner(other) != b.NetworkID {
		return nil, nil, err
	}
	if renamed, err = h.restoreName(other, b.Name); err != nil {
		return nil, nil, err
	}
	link, err = h.find(b.Name)
	return link, renamed, err
}

// DeleteBridge removes a bridge that gangway created for the network. To an
// adopted one it gives back what it changed. A bridge of somebody else under
// that name stays, and is no error: the network's own is gone.
func (h *Handle) DeleteBridge(ctx context.Context, b spec.Bridge) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.made.Delete(b.NetworkID)
	link, err := h.find(b.Name)
	switch {
	case err != nil || link == nil:
		return err
	case b.Adopted && link.Attrs().Name == b.Name && link.Type() == kindBridge:
		return h.giveBack(ctx, link, b.NetworkID)
	case !b.Adopted && (owns(link, b.Name, b.NetworkID) || unfinished(link, b)):
		if b.Host {
			if err := h.returnMoved(ctx, link); err != nil {
				return err
			}
		}
		return h.change(func() error { return h.remove(link) })
	}
	return nil
}

const (
	kindBridge = "bridge"
	kindVeth   = "veth"
	kindIfb    = "ifb"
)

// checkBridge looks at what does not depend on the kernel.
func checkBridge(b spec.Bridge) error {
	if err := checkName(b.Name); err != nil {
		return err
	}
	if b.NetworkID == "" {
		return errors.New("it has no network id")
	}
	if b.Adopted && !loanable(b.NetworkID) {
		return fmt.Errorf("the network id %q has other characters than letters and digits, or more than %d", b.NetworkID, maxLoanID)
	}
	var have4, have6 bool
	for _, p := range b.Addresses {
		family := &have6
		if p.Addr().Is4() {
			family = &have4
		}
		switch {
		case !p.IsValid() || p.Addr().Is4In6() || p.Addr().Zone() != "":
			return fmt.Errorf("%s is no gateway address", p)
		case *family:
			return fmt.Errorf("%s is the second gateway address of its family", p)
		case p.Addr().Is6() && !b.IPv6:
			return fmt.Errorf("the gateway %s needs IPv6, which is off for the network", p)
		}
		*family = true
	}
	return nil
}

// createBridge makes a new bridge. The group is set in the same step as the
// link is made, and so tells a bridge that a crash left without alias from a
// foreign one (see unfinished); the kernel takes no alias at that moment.
func (h *Handle) createBridge(ctx context.Context, b spec.Bridge) ([]string, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = b.Name
	attrs.Group = spec.LinkGroup
	attrs.HardwareAddr = randomMAC()
	created := &netlink.Bridge{LinkAttrs: attrs}
	err := h.unsteer(ctx, b.Name) // rules of policy routing know a bridge by its name, and outlive it
	if err != nil {
		return nil, err
	}
	err = h.nl.LinkAdd(created)
	if errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("create bridge %s: a link of that name appeared meanwhile: %w", b.Name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("create bridge %s: %w", b.Name, err)
	}
	// LinkAdd has set the index, by which the steps go. What else they look at is as
	// in every new link, no alias and down, but for the MTU, which is set if any is
	// asked for.
	if err := (&mender{h: h, link: created, bridge: b}).run(ctx); err != nil {
		return nil, errors.Join(err, h.remove(created))
	}
	return []string{"bridge " + b.Name + " was missing: created"}, nil
}

// checkOwned says whether the link that holds the name is the network's own.
func checkOwned(link netlink.Link, b spec.Bridge) error {
	switch id := owner(link); {
	case link.Attrs().Name != b.Name:
		return fmt.Errorf("bridge %s: the name is an alternative name of link %s; remove that, or choose another bridge name", b.Name, link.Attrs().Name)
	case link.Type() != kindBridge:
		return fmt.Errorf("bridge %s: a link of that name exists and is a %s; choose another bridge name", b.Name, link.Type())
	case id == b.NetworkID && id != "", unfinished(link, b):
		return nil
	case id != "":
		return fmt.Errorf("bridge %s belongs to the network %s; choose another bridge name for %s", b.Name, id, b.NetworkID)
	}
	return fmt.Errorf("bridge %s exists and was not created by gangway; remove it, or choose another bridge name", b.Name)
}

// unfinished recognises what a crash leaves between creating a bridge and
// giving it its alias: it has the group, which nothing else of gangway's has
// without an alias or a loan, and was never up.
func unfinished(link netlink.Link, b spec.Bridge) bool {
	a := link.Attrs()
	return a.Name == b.Name && link.Type() == kindBridge && a.Alias == "" &&
		a.Group == spec.LinkGroup && a.Flags&net.FlagUp == 0 && len(a.AltNames) == 0
}

// mender brings one bridge to its spec and keeps account of what it did.
type mender struct {
	h      *Handle
	link   netlink.Link
	bridge spec.Bridge
	// fixed has a line for each thing mended, lent what was newly lent to an
	// adopted bridge.
	fixed []string
	lent  []loan
}

// run takes the steps in the order in which they must happen: the MTU decides
// whether there is IPv6 on the link, its sysctls whether addresses can be
// added, and up comes late, since a router advertisement may arrive right then;
// with it come the addresses' routes, and after them those that go by these.
func (m *mender) run(ctx context.Context) error {
	if !m.bridge.Adopted {
		m.h.made.Store(m.bridge.NetworkID, m.link.Attrs().Index)
	}
	for _, step := range []func(context.Context) error{m.identity, m.mtu, m.sysctls4, m.sysctls6, m.addresses, m.up, m.hostRoutes} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// mend does one thing. On an adopted bridge it is recorded first: a crash in
// between then leaves a record too much, never a change that is forgotten.
func (m *mender) mend(l loan, line string, do func() error) error {
	if m.bridge.Adopted {
		added, err := m.h.lend(m.link, m.bridge.NetworkID, l)
		if err != nil {
			return err
		}
		if added {
			m.lent = append(m.lent, l)
		}
	}
	if err := do(); err != nil {
		return err
	}
	m.fixed = append(m.fixed, "bridge "+m.bridge.Name+": "+line)
	return nil
}

// identity sets what says whose the bridge is. An adopted bridge keeps its
// alias; the group must be set all the same, the firewall goes by it.
func (m *mender) identity(context.Context) error {
	a := m.link.Attrs()
	if alias := spec.OwnerAlias + m.bridge.NetworkID; !m.bridge.Adopted && a.Alias != alias {
		if err := m.mend("", "alias was "+strconv.Quote(a.Alias)+": set to "+alias, func() error {
			return wrap(m.h.nl.LinkSetAlias(m.link, alias), "set the alias of bridge %s", a.Name)
		}); err != nil {
			return err
		}
	}
	want := spec.LinkGroup
	if m.bridge.Host {
		want = 0
	}
	if a.Group == want {
		return nil
	}
	line := fmt.Sprintf("interface group was %d: set to %d", a.Group, want)
	return m.mend(loanGroup, line, func() error {
		return wrap(m.h.nl.LinkSetGroup(m.link, int(want)), "set the group of bridge %s", a.Name)
	})
}

// mtu is not set as the link is created: only a later change makes the bridge
// keep it, instead of following its ports (br_change_mtu).
func (m *mender) mtu(context.Context) error {
	a := m.link.Attrs()
	if m.bridge.Adopted || m.bridge.MTU == 0 || a.MTU == m.bridge.MTU {
		return nil
	}
	return m.mend("", fmt.Sprintf("MTU was %d: set to %d", a.MTU, m.bridge.MTU), func() error {
		return wrap(m.h.nl.LinkSetMTU(m.link, m.bridge.MTU), "set the MTU of bridge %s to %d", a.Name, m.bridge.MTU)
	})
}

// addresses adds the gateways that are missing. The same address with another
// prefix length is replaced on the network's own bridge; checkAdopted has
// refused it on an adopted one. Other addresses are left alone.
func (m *mender) addresses(ctx context.Context) error {
	if len(m.bridge.Addresses) == 0 {
		return nil
	}
	have, err := m.h.addresses(ctx, m.link, unix.AF_UNSPEC)
	if err != nil {
		return err
	}
	for _, want := range m.bridge.Addresses {
		if err := m.address(have, want); err != nil {
			return err
		}
	}
	return nil
}

func (m *mender) address(have []address, want netip.Prefix) error {
	line := "address " + want.String() + " was missing: added"
	for _, a := range have {
		if a.Prefix == want {
			return nil
		}
		if a.Addr() == want.Addr() {
			line = "address " + want.String() + " had the prefix length " + strconv.Itoa(a.Bits()) + ": replaced"
			if err := m.h.removeAddress(m.link, a.Prefix); err != nil {
				return err
			}
		}
	}
	return m.mend(loanAddress(want), line, func() error { return m.h.addAddress(m.link, want) })
}

func (m *mender) up(context.Context) error {
	if m.link.Attrs().Flags&net.FlagUp != 0 {
		return m.routes()
	}
	return m.mend(loanUp, "was down: set up", func() error {
		return wrap(m.h.nl.LinkSetUp(m.link), "set bridge %s up", m.bridge.Name)
	})
}

// wrap is fmt.Errorf("...: %w") that leaves nil alone.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
