package model

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/gangway-net/gangway/driver/spec"
)

// AdmitNetwork checks a new network against all others. A bridge or a subnet that another
// one has is a ConflictError.
func (s *State) AdmitNetwork(n *Network) error {
	if old := s.Bridges[n.Bridge]; old != nil {
		return Conflictf("bridge %s belongs to network %s: choose another com.docker.network.bridge.name", n.Bridge, Short(old.ID))
	}
	for _, old := range s.Networks {
		if n.OnLAN() && old.Options.Uplink == n.Options.Uplink {
			return Conflictf("network option gangway.uplink: link %s joins network %s to its LAN: put the containers on that network, or choose another link", n.Options.Uplink, Short(old.ID))
		}
		for _, a := range old.Subnets() {
			for _, b := range n.Subnets() {
				if a.Overlaps(b) {
					err := Conflictf("subnet %s overlaps %s of network %s: choose another --subnet", b, a, Short(old.ID))
					err.Subnets = []netip.Prefix{a}
					for _, g := range old.gateways() {
						err.Addresses = append(err.Addresses, g.Addr())
					}
					return err
				}
			}
		}
	}
	if err := n.admitGateway(); err != nil {
		return err
	}
	if err := s.admitProxy(n); err != nil {
		return err
	}
	if err := s.admitPrefix(n); err != nil {
		return err
	}
	return s.admitRoutes(n)
}

// Avoid refuses a subnet that holds an address of the host: the bridge's route
// would take the place of the link's. A subnet that only lies within one of the
// host's is the user's choice, as with the built-in driver.
// Nor is one of a LAN on which the bridge has no address: it gets no route. Where the uplink's
// addresses move, they are in the way of nothing.
func (n *Network) Avoid(host []spec.LinkAddress) error {
	if n.Hostless() || n.Moved() {
		return nil
	}
	for _, subnet := range n.Subnets() {
		for _, a := range host {
			if subnet.Contains(a.Address.Addr()) {
				return Conflictf("subnet %s holds the host's address %s (link %s): choose another --subnet", subnet, a.Address.Addr(), a.Link)
			}
		}
	}
	return nil
}

// RepeatedNetwork tells a repeated request for a network from a contradictory one, which is an error.
// It returns what changes. Routers may be new: the first request has come to a version that passed over them. What is wrong with
// them is no reason to refuse a network that there is.
func RepeatedNetwork(old, n *Network, to Routers) (Change, error) {
	same := *n
	// Whether the bridge was there before was settled by the first request.
	same.Adopted = old.Adopted
	same.Engine, same.Name, same.GatewayID = old.Engine, old.Name, old.GatewayID
	same.Exceptions = old.Exceptions
	if same.Options.Equal(old.Options) {
		same.Options = old.Options // in whatever words
	}
	if old.Space == "" {
		same.Space = ""
	}
	bare := same
	err := same.Route(to)
	switch {
	case *old == same:
		return Change{}, nil
	case *old == bare && err == nil:
		return Change{Network: NetworkChange{Before: old, After: &same}}, nil
	}
	return Change{}, Conflictf("network %s exists with bridge %s, subnets %v, gateways %v and %v, options %s; now asked for with bridge %s, subnets %v, gateways %v and %v, options %s",
		Short(n.ID), old.Bridge, old.Subnets(), old.gateways(), old.DefaultGateways(), old.Options,
		same.Bridge, same.Subnets(), same.gateways(), same.DefaultGateways(), same.Options)
}

// AdmitEndpoint checks a new endpoint against its network and the others. An address that
// another one has is a ConflictError; a hardware address that was not asked for gives way. It chooses the
// endpoint's bridge.
func (s *State) AdmitEndpoint(n *Network, e *Endpoint) error {
	if err := s.admitSeat(n, e); err != nil {
		return err
	}
	if err := admitOwnRoutes(n, e); err != nil {
		return err
	}
	if e.Options.Promiscuous && !n.Options.ICC {
		return fmt.Errorf("endpoint option gangway.promiscuous: network %s has com.docker.network.bridge.enable_icc=false, so its containers get nothing of each other: leave one of them out", Short(n.ID))
	}
	for _, p := range []struct{ addr, subnet, gateway netip.Prefix }{
		{e.IPv4, n.Subnet4, n.Gateway4}, {e.IPv6, n.Subnet6, n.Gateway6},
	} {
		if !p.addr.IsValid() {
			continue
		}
		a := p.addr.Addr()
		if !p.subnet.IsValid() || !p.subnet.Contains(a) {
			return fmt.Errorf("address %s is not inside network %s (subnets %v)", a, Short(n.ID), n.Subnets())
		}
		if what := n.withheld(p.subnet, a); what != "" {
			return fmt.Errorf("address %s of network %s is %s: choose another --ip or --ip6", a, Short(n.ID), what)
		}
		if p.gateway.IsValid() && p.gateway.Addr() == a && !n.GatewayElsewhere(a) {
			return fmt.Errorf("address %s is the gateway of network %s: choose another --ip", a, Short(n.ID))
		}
		if h := s.Holders[a]; h != nil {
			err := Conflictf("address %s is held by endpoint %s: stop its container or choose another --ip", a, Short(h.ID))
			err.Addresses = []netip.Addr{a}
			return err
		}
	}
	return s.admitMAC(e)
}

// A bridge sends a frame where it last saw its hardware address. One that two
// containers have makes them take each other's packets in turn, and the bridge's
// own is never left to a container.

// admitMAC refuses a hardware address that another endpoint of the network has.
// One that gangway makes gives way.
func (s *State) admitMAC(e *Endpoint) error {
	h := s.macHolder(e)
	if h == nil {
		return nil
	}
	if !e.MACChosen {
		return Conflictf("mac address %s is held by endpoint %s of network %s: stop its container or choose another --mac-address",
			net.HardwareAddr(e.MAC), Short(h.ID), Short(e.NetworkID))
	}
	for i := uint32(1); s.macHolder(e) != nil; i++ {
		e.MAC = hashMAC(e.Addrs()[0], i)
	}
	return nil
}

// RepeatedEndpoint tells a repeated request for an endpoint from a contradictory one, which
// is an error.
func RepeatedEndpoint(old, e *Endpoint) error {
	if old.NetworkID == e.NetworkID && old.IPv4 == e.IPv4 && old.IPv6 == e.IPv6 &&
		bytes.Equal(old.MAC, e.MAC) && old.MACChosen == e.MACChosen && old.Options.Equal(e.Options) {
		return nil
	}
	return Conflictf("endpoint %s exists on network %s with addresses %v, mac %s and options %s; now asked for on network %s with %v, %s and options %s",
		Short(e.ID), Short(old.NetworkID), old.Addrs(), net.HardwareAddr(old.MAC), old.Options,
		Short(e.NetworkID), e.Addrs(), net.HardwareAddr(e.MAC), e.Options)
}

// withheld says why no container may have an address of a subnet; "" for nothing.
func (n *Network) withheld(subnet netip.Prefix, a netip.Addr) string {
	if a == n.Host4 || a == n.Host6 {
		return "the host's (gangway.host_access)"
	}
	return nobodys(subnet, a)
}

// nobodys says which address of a subnet no interface can have: the last one of
// an IPv4 subnet is everybody's, the first one of either family is the subnet's or
// its routers' (RFC 919; RFC 4291, 2.6.1). Subnets of two addresses and of one have
// neither (RFC 3021, RFC 6164).
func nobodys(subnet netip.Prefix, a netip.Addr) string {
	host := a.BitLen() - subnet.Bits()
	switch {
	case host < 2:
	case a == subnet.Masked().Addr():
		return "the address of subnet " + subnet.String() + " itself"
	case a.Is4() && a == lastOf(subnet):
		return "the broadcast address of subnet " + subnet.String()
	}
	return ""
}

func lastOf(subnet netip.Prefix) netip.Addr {
	first := subnet.Masked().Addr().As4()
	all := binary.BigEndian.Uint32(first[:]) | ^uint32(0)>>subnet.Bits()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, all)))
}
