package driver

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// A bridge that gangway makes has containers on it whose addresses it knows. An
// adopted one may have a network card, or pairs of somebody else's, and one with an uplink has a
// LAN, as has a link by which the host answers for containers: machines whose addresses nobody has told. So an address is asked for there before it is
// used (duplicate address detection). Otherwise two machines would have it, and each of their neighbours would
// talk to one or to the other.

// refuseDuplicates refuses an endpoint's addresses that somebody on its adopted
// bridge, on its LAN, or where the host is to answer for it, uses. It asks without the network's lock, since it waits: containers
// that start at the same time wait together. An address that an endpoint holds
// is not asked for; whether it yields is another question. Nor is one of the host's, which does
// not answer itself. Addresses outside are asked for by refuseUsedOutside.
func (d *Driver) refuseDuplicates(ctx context.Context, e *model.Endpoint) error {
	s, unlock := d.desired.Read()
	n := s.Networks[e.NetworkID]
	var addrs []netip.Addr
	for _, a := range e.Addrs() {
		if s.Holders[a] == nil {
			addrs = append(addrs, a)
		}
	}
	unlock()
	if n == nil || !n.Adopted && !n.OnLAN() && !n.ProxiedInside() || len(addrs) == 0 {
		return nil
	}
	const next = "choose another --ip or --ip6, or keep the network off such addresses with --ip-range or --aux-address"
	if n.OnLAN() || n.ProxiedInside() {
		if err := d.refuseHosts(ctx, n, addrs, next); err != nil {
			return err
		}
	}
	if n.Adopted || n.OnLAN() {
		if err := d.refuseUsed(ctx, n.Bridge, addrs, next); err != nil {
			return err
		}
	}
	if !n.ProxiedInside() {
		return nil
	}
	// The host is to answer for it: it would take the address from whoever has it there.
	return d.refuseUsed(ctx, n.Options.NDPProxy, slices.DeleteFunc(addrs, netip.Addr.Is4), next)
}

// refuseUsedOutside refuses an endpoint whose address outside the host is to answer for, and somebody else has, the host among
// them. It returns what it has heard, for the facts: the endpoint is not in the state yet.
func (d *Driver) refuseUsedOutside(ctx context.Context, e *model.Endpoint) (heard map[spec.Proxied]string, err error) {
	s, unlock := d.desired.Read()
	var p spec.Proxied
	there := false
	if n := s.Networks[e.NetworkID]; n != nil && s.Holders[e.IPv6.Addr()] == nil {
		p, there = plan.AskedOutside(s, n, e, d.facts.Known().Prefixes)
	}
	unlock()
	if !there {
		return nil, nil
	}
	users, err := d.users(ctx, p.Link, []netip.Addr{p.Address})
	if err != nil {
		return nil, err
	}
	if user := users[p.Address]; user != "" {
		return nil, fmt.Errorf("address %s would be %s outside, which is in use on link %s: %s has it; choose another --ip6, or create the network with another gangway.ipv6.subnet", e.IPv6.Addr(), p.Address, p.Link, user)
	}
	return map[spec.Proxied]string{p.Nameless(): ""}, nil
}

// users returns in words who else has addresses: the host, or a machine on that link. It asks there.
func (d *Driver) users(ctx context.Context, link string, addrs []netip.Addr) (map[netip.Addr]string, error) {
	own, err := d.o.Facts.HostAddresses(ctx)
	if err != nil {
		return nil, err
	}
	there, err := d.o.Host.Occupied(ctx, link, addrs)
	if err != nil {
		return nil, err
	}
	all := map[netip.Addr]string{}
	for _, a := range addrs {
		if mac, used := there[a]; used {
			all[a] = mac.String()
		} else if own[a] {
			all[a] = "the host"
		}
	}
	return all, nil
}

// refuseHosts refuses addresses that a link of the host has, which may be on the same LAN.
func (d *Driver) refuseHosts(ctx context.Context, n *model.Network, addrs []netip.Addr, next string) error {
	info, err := d.o.Host.InspectBridge(ctx, n.Bridge, n.Subnets())
	if err != nil {
		return err
	}
	have := info.Elsewhere
	for _, p := range info.Addresses {
		have = append(have, spec.LinkAddress{Link: n.Bridge, Address: p})
	}
	for _, h := range have {
		if slices.Contains(addrs, h.Address.Addr()) {
			return fmt.Errorf("address %s is the host's (link %s); %s", h.Address.Addr(), h.Link, next)
		}
	}
	return nil
}

// refuseDuplicateGateway does the same for the gateway's addresses that an adopted
// bridge does not have yet, and for the host's on a LAN. The bridge is not there yet, so the LAN is
// asked by the uplink; one that is down cannot ask. Of a subnet that is on-link elsewhere the first address, which the gateway
// gets, is often the router's: the host would take it for itself.
func (d *Driver) refuseDuplicateGateway(ctx context.Context, n *model.Network, have []netip.Prefix) error {
	if n.ProxiedInside() {
		var six []netip.Addr
		for _, p := range n.BridgeAddresses() {
			if p.Addr().Is6() {
				six = append(six, p.Addr())
			}
		}
		if err := d.refuseUsed(ctx, n.Options.NDPProxy, six, "choose another --gateway, or a --subnet without addresses of that link"); err != nil {
			return err
		}
	}
	on, next := n.Bridge, "choose another --gateway; if that machine is to be the gateway, add -o com.docker.network.bridge.inhibit_ipv4=true"
	switch {
	case n.OnLAN():
		on, next = n.Options.Uplink, "give the host another --aux-address "+config.HostName4+" or "+config.HostName6
	case !n.Adopted:
		return nil
	}
	there := map[netip.Addr]bool{}
	for _, p := range have {
		there[p.Addr()] = true
	}
	var addrs []netip.Addr
	for _, p := range n.BridgeAddresses() {
		if !there[p.Addr()] {
			addrs = append(addrs, p.Addr())
		}
	}
	return d.refuseUsed(ctx, on, addrs, next)
}

func (d *Driver) refuseUsed(ctx context.Context, link string, addrs []netip.Addr, next string) error {
	if len(addrs) == 0 {
		return nil
	}
	users, err := d.o.Host.Occupied(ctx, link, addrs)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if mac, used := users[a]; used {
			return fmt.Errorf("address %s is in use on link %s: %s answers for it; %s", a, link, mac, next)
		}
	}
	return nil
}

// refuseBridgeMAC refuses a hardware address that is the bridge's. Those that gangway
// makes are not looked at: the bridge's own is random.
func (d *Driver) refuseBridgeMAC(ctx context.Context, e *model.Endpoint) error {
	s, unlock := d.desired.Read()
	n, known := s.Networks[e.NetworkID], s.Endpoints[e.ID] != nil
	unlock()
	if e.MACChosen || n == nil || known {
		return nil
	}
	info, err := d.o.Host.InspectBridge(ctx, n.Bridge, nil)
	if err != nil {
		return err
	}
	if bytes.Equal(info.MAC, e.MAC) {
		return fmt.Errorf("mac address %s is that of bridge %s of network %s: choose another --mac-address", info.MAC, n.Bridge, model.Short(n.ID))
	}
	return nil
}
