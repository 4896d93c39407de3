package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// EnsureVeth creates the pair with the host end on the bridge and up, or mends
// the host end of an existing one, and returns a line for each thing that was
// not as it should be. A pair whose peer has left the host's namespace is never
// re-created: the peer is a running container's interface. A pair that cannot
// be finished is removed again. A name that is taken by another link is an
// error and nothing is changed. Of a detached pair it creates nothing, and cuts off
// what is there.
func (h *Handle) EnsureVeth(ctx context.Context, v spec.Veth) ([]string, error) {
	if err := checkVeth(v); err != nil {
		return nil, fmt.Errorf("veth %q: %w", v.Host, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if v.Detached {
		return h.detach(v)
	}
	on, err := h.wireOf(v)
	if err != nil {
		return nil, err
	}
	host, err := h.find(v.Host)
	if err != nil {
		return nil, err
	}
	if host == nil {
		return h.createVeth(v, on)
	}
	keep, err := h.checkHost(host, v)
	if err != nil {
		return nil, err
	}
	if !keep {
		if err := h.remove(host); err != nil {
			return nil, err
		}
		return h.createVeth(v, on)
	}
	return h.mendVeth(ctx, host, on, v)
}

// wire is what a pair is joined to: bridge, of which its host end is a port, and first, the bridge that
// the host is on. They are one, but for a pair on a further bridge.
type wire struct{ bridge, first netlink.Link }

func (h *Handle) wireOf(v spec.Veth) (on wire, err error) {
	if on.bridge, err = h.bridgeFor(v, v.Bridge); err == nil {
		on.first = on.bridge
	}
	if v.First != "" && err == nil {
		on.first, err = h.bridgeFor(v, v.First)
	}
	return on, err
}

// bridgeFor returns one of the bridges of a pair.
func (h *Handle) bridgeFor(v spec.Veth, name string) (netlink.Link, error) {
	bridge, err := h.find(name)
	switch {
	case err != nil:
		return nil, err
	case bridge == nil:
		return nil, fmt.Errorf("attach veth %s to bridge %s: the bridge does not exist", v.Host, name)
	case bridge.Type() != kindBridge:
		return nil, fmt.Errorf("attach veth %s to bridge %s: that link is a %s", v.Host, name, bridge.Type())
	}
	return bridge, nil
}

// DeleteVeth removes the pair, wherever the peer is. A link of somebody else
// under one of the names stays.
func (h *Handle) DeleteVeth(ctx context.Context, v spec.Veth) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	host, err := h.find(v.Host)
	if err != nil {
		return err
	}
	if owns(host, v.Host, v.EndpointID) {
		return h.remove(host)
	}
	return h.removePeer(v)
}

func checkVeth(v spec.Veth) error {
	if err := checkName(v.Host); err != nil {
		return err
	}
	if err := checkName(v.Peer); err != nil {
		return fmt.Errorf("peer %q: %w", v.Peer, err)
	}
	switch {
	case v.EndpointID == "":
		return errors.New("it has no endpoint id")
	case v.Host == v.Peer:
		return errors.New("both ends have the same name")
	case len(v.MAC) != 0 && len(v.MAC) != macLen:
		return fmt.Errorf("the hardware address %s does not have 6 bytes", v.MAC)
	case len(v.MAC) == macLen && v.MAC[0]&1 != 0:
		return fmt.Errorf("the hardware address %s is a multicast address", v.MAC)
	}
	return nil
}

// checkHost says whether an existing link under the host end's name can be
// kept. It can if it is the endpoint's and its peer is in a container, or is
// still here and as it should be. If not, and err is nil, it can be removed.
func (h *Handle) checkHost(host netlink.Link, v spec.Veth) (keep bool, err error) {
	if !owns(host, v.Host, v.EndpointID) {
		var ours bool
		if ours, err = h.unfinishedVeth(host, v); err != nil || ours {
			return false, err
		}
		return false, fmt.Errorf("create veth %s: a %s of that name exists (alias %q) and is not the endpoint's; remove or rename it",
			v.Host, host.Type(), host.Attrs().Alias)
	}
	if host.Type() != kindVeth {
		return false, fmt.Errorf("create veth %s: the link of that name is a %s; remove or rename it", v.Host, host.Type())
	}
	peer, err := h.localPeer(host)
	if err != nil {
		return false, err
	}
	if peer == nil {
		return true, nil
	}
	a := peer.Attrs()
	return a.Name == v.Peer && (len(v.MAC) == 0 || bytes.Equal(a.HardwareAddr, v.MAC)), nil
}

// localPeer returns the other end of a veth, or nil if it is in another
// network namespace.
func (h *Handle) localPeer(veth netlink.Link) (netlink.Link, error) {
	a := veth.Attrs()
	if a.NetNsID >= 0 || a.ParentIndex == 0 {
		return nil, nil
	}
	return h.byIndex(a.ParentIndex)
}

// unfinishedVeth recognises what a crash leaves between creating a pair and
// giving its host end the alias: both ends have the endpoint's names, are here
// and were never used.
func (h *Handle) unfinishedVeth(host netlink.Link, v spec.Veth) (bool, error) {
	a := host.Attrs()
	if a.Name != v.Host || host.Type() != kindVeth || a.Alias != "" || a.MasterIndex != 0 || a.Flags&net.FlagUp != 0 {
		return false, nil
	}
	peer, err := h.localPeer(host)
	return peer != nil && peer.Attrs().Name == v.Peer && peer.Attrs().Flags&net.FlagUp == 0, err
}

// removePeer removes a pair that is known by its peer only: a crash left the
// host end without its alias, or somebody gave it another name.
func (h *Handle) removePeer(v spec.Veth) error {
	peer, err := h.find(v.Peer)
	if err != nil || peer == nil || peer.Type() != kindVeth || peer.Attrs().Name != v.Peer {
		return err
	}
	host, err := h.localPeer(peer)
	if err != nil || host == nil {
		return err
	}
	ours := host.Attrs().Alias == spec.OwnerAlias+v.EndpointID
	if !ours {
		if ours, err = h.unfinishedVeth(host, v); err != nil {
			return err
		}
	}
	if !ours {
		return nil
	}
	return h.remove(host)
}

func (h *Handle) createVeth(v spec.Veth, on wire) ([]string, error) {
	if err := h.removePeer(v); err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = v.Host
	if attrs.MTU = v.MTU; v.Follows && v.MTU == 0 {
		attrs.MTU = on.first.Attrs().MTU
	}
	pair := netlink.NewVeth(attrs)
	pair.PeerName = v.Peer
	pair.PeerHardwareAddr = v.MAC
	err := h.nl.LinkAdd(pair)
	if errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("create veth %s with peer %s: a link of one of these names exists and is not gangway's; remove or rename it: %w", v.Host, v.Peer, err)
	}
	if err != nil {
		return nil, fmt.Errorf("create veth %s with peer %s: %w", v.Host, v.Peer, err)
	}
	// LinkAdd has set the index, by which the steps below go.
	if err := h.finishVeth(v, pair, on); err != nil {
		return nil, errors.Join(err, h.remove(pair))
	}
	fixed := []string{"veth " + v.Host + " was missing: created"}
	if err := h.announce(v, on.first); err != nil {
		// The container is reachable all the same, for some only later.
		fixed = append(fixed, fmt.Sprintf("veth %s was not announced (%v): others learn of it later", v.Host, err))
	}
	return fixed, nil
}

// finishVeth makes a new pair the endpoint's. The alias comes first: from then
// on a crash leaves something that says whose it is.
func (h *Handle) finishVeth(v spec.Veth, host netlink.Link, on wire) error {
	alias := spec.OwnerAlias + v.EndpointID
	if err := h.nl.LinkSetAlias(host, alias); err != nil {
		return fmt.Errorf("set the alias of veth %s: %w", v.Host, err)
	}
	if _, err := h.disableIPv6(v.Host); err != nil {
		return err
	}
	if err := h.attach(host, on.bridge); err != nil {
		return err
	}
	if _, err := h.mendPort(host, portOf(v)); err != nil {
		return err
	}
	if err := h.filterNew(host, on.first, v); err != nil {
		return err
	}
	return wrap(h.nl.LinkSetUp(host), "set veth %s up", v.Host)
}

// mendVeth brings the host end of an existing pair to its spec. The peer's MTU
// is set only as long as it is here; later it is the engine's.
func (h *Handle) mendVeth(ctx context.Context, host netlink.Link, on wire, v spec.Veth) ([]string, error) {
	var fixed []string
	a := host.Attrs()
	note := func(format string, args ...any) {
		fixed = append(fixed, "veth "+v.Host+": "+fmt.Sprintf(format, args...))
	}
	if err := h.mendMTU(host, v, note); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return fixed, err
	}
	changed, err := h.mendFilter(host, on.first, v)
	if err != nil {
		return fixed, err
	}
	if changed {
		note("the filter of what the container sends was missing or another: set")
	}
	attached := a.MasterIndex == on.bridge.Attrs().Index
	if !attached {
		if err = h.attach(host, on.bridge); err != nil {
			return fixed, err
		}
		note("was not on bridge %s: attached", v.Bridge)
	}
	lines, err := h.mendPort(host, portOf(v))
	if err != nil {
		return fixed, err
	}
	for _, l := range lines {
		if attached { // a new port has no flags yet
			note("%s", l)
		}
	}
	if changed, err = h.disableIPv6(v.Host); err != nil {
		return fixed, err
	}
	if changed {
		note("IPv6 was on: disabled on the host end")
	}
	if a.Flags&net.FlagUp == 0 {
		if err := h.nl.LinkSetUp(host); err != nil {
			return fixed, fmt.Errorf("set veth %s up: %w", v.Host, err)
		}
		note("was down: set up")
	}
	return fixed, nil
}

func (h *Handle) mendMTU(host netlink.Link, v spec.Veth, note func(string, ...any)) error {
	if v.MTU == 0 {
		return nil
	}
	peer, err := h.localPeer(host)
	if err != nil || v.Follows && peer == nil {
		return err
	}
	for _, end := range []netlink.Link{host, peer} {
		if end == nil || end.Attrs().MTU == v.MTU {
			continue
		}
		if err := h.nl.LinkSetMTU(end, v.MTU); err != nil {
			return fmt.Errorf("set the MTU of %s to %d: %w", end.Attrs().Name, v.MTU, err)
		}
		note("MTU of %s was %d: set to %d", end.Attrs().Name, end.Attrs().MTU, v.MTU)
	}
	return nil
}

// disableIPv6 keeps the host end of a pair from having a link-local address,
// by which a container could reach the host past its bridge.
func (h *Handle) disableIPv6(name string) (changed bool, err error) {
	setting := "net/ipv6/conf/" + name + "/disable_ipv6"
	if !h.sys.has(setting) {
		return false, nil
	}
	have, err := h.sys.get(setting)
	if err == nil && have != "1" {
		changed, err = true, h.sys.set(setting, "1")
	}
	return changed, wrap(err, "link %s", name)
}
