package driver

import (
	"context"
	"fmt"
	"net/netip"
)

// A bridge that gangway makes has containers on it whose addresses it knows. An
// adopted one may have a network card, or pairs of somebody else's: machines
// whose addresses nobody has told. So an address is asked for there before it is
// used. Otherwise two machines would have it, and each of their neighbours would
// talk to one or to the other.

// vacantEndpoint refuses an endpoint's addresses that somebody on its adopted
// bridge uses. It asks without the network's lock, since it waits: containers
// that start at the same time wait together. An address that an endpoint holds
// is not asked for; whether it yields is another question.
func (d *Driver) vacantEndpoint(ctx context.Context, e *Endpoint) error {
	d.mu.Lock()
	n := d.state.networks[e.NetworkID]
	var addrs []netip.Addr
	for _, a := range e.addrs() {
		if d.state.holders[a] == nil {
			addrs = append(addrs, a)
		}
	}
	d.mu.Unlock()
	if n == nil || !n.Adopted {
		return nil
	}
	return d.vacant(ctx, n.Bridge, addrs, "choose another --ip or --ip6, or keep the network off such addresses with --ip-range or --aux-address")
}

// vacantGateway does the same for the gateway's addresses that an adopted
// bridge does not have yet.
func (d *Driver) vacantGateway(ctx context.Context, n *Network, have []netip.Prefix) error {
	if !n.Adopted {
		return nil
	}
	there := map[netip.Addr]bool{}
	for _, p := range have {
		there[p.Addr()] = true
	}
	var addrs []netip.Addr
	for _, p := range n.bridgeAddresses() {
		if !there[p.Addr()] {
			addrs = append(addrs, p.Addr())
		}
	}
	return d.vacant(ctx, n.Bridge, addrs, "choose another --gateway; if that machine is to be the gateway, add -o com.docker.network.bridge.inhibit_ipv4=true")
}

func (d *Driver) vacant(ctx context.Context, bridge string, addrs []netip.Addr, next string) error {
	if len(addrs) == 0 {
		return nil
	}
	users, err := d.o.Host.Occupied(ctx, bridge, addrs)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if mac, used := users[a]; used {
			return fmt.Errorf("address %s is in use on bridge %s: %s answers for it; %s", a, bridge, mac, next)
		}
	}
	return nil
}
