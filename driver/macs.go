package driver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// A bridge sends a frame where it last saw its hardware address. One that two
// containers have makes them take each other's packets in turn, and the bridge's
// own is never left to a container.

// vacantMAC refuses a hardware address that is the bridge's. Those that gangway
// makes are not looked at: the bridge's own is random.
func (d *Driver) vacantMAC(ctx context.Context, e *Endpoint) error {
	d.mu.Lock()
	n, known := d.state.networks[e.NetworkID], d.state.endpoints[e.ID] != nil
	d.mu.Unlock()
	if e.MACChosen || n == nil || known {
		return nil
	}
	info, err := d.o.Host.InspectBridge(ctx, n.Bridge, nil)
	if err != nil {
		return err
	}
	if bytes.Equal(info.MAC, e.MAC) {
		return fmt.Errorf("mac address %s is that of bridge %s of network %s: choose another --mac-address", info.MAC, n.Bridge, short(n.ID))
	}
	return nil
}

// macHolder returns the other endpoint of e's network that has e's hardware
// address. A network has at most maxPorts of them.
func (s *state) macHolder(e *Endpoint) *Endpoint {
	for _, h := range s.members[e.NetworkID] {
		if h.ID != e.ID && bytes.Equal(h.MAC, e.MAC) {
			return h
		}
	}
	return nil
}

// admitMAC refuses a hardware address that another endpoint of the network has.
// One that gangway makes gives way.
func (s *state) admitMAC(e *Endpoint) error {
	h := s.macHolder(e)
	if h == nil {
		return nil
	}
	if !e.MACChosen {
		return conflictf("mac address %s is held by endpoint %s of network %s: stop its container or choose another --mac-address",
			net.HardwareAddr(e.MAC), short(h.ID), short(e.NetworkID))
	}
	for i := uint32(1); s.macHolder(e) != nil; i++ {
		e.MAC = hashMAC(e.addrs()[0], i)
	}
	return nil
}

// hashMAC derives a hardware address from an address, a different one for each
// number.
func hashMAC(a netip.Addr, number uint32) HardwareAddr {
	seed := a.AsSlice()
	if number > 0 {
		seed = binary.BigEndian.AppendUint32(seed, number)
	}
	h := sha256.Sum256(seed)
	return HardwareAddr{0x02, 0x42, h[0], h[1], h[2], h[3]}
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
