package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/spec"
)

// Endpoint is one container's place on a network. Values are never changed
// once they are part of the state.
type Endpoint struct {
	ID, NetworkID string
	// Options are those of this one container.
	Options config.Endpoint
	// IPv4 and IPv6 carry the subnet's prefix length; invalid for none.
	IPv4, IPv6 netip.Prefix
	MAC        HardwareAddr
	// MACChosen says that the engine left the choice of MAC to us.
	MACChosen bool
	// Sandbox is the engine's key of the container's namespace; empty until
	// the endpoint joined.
	Sandbox string
	// Further is the number of the network's further bridge that holds the endpoint's pair; 0 for
	// the first bridge. It is chosen once, so that nobody moves when others come and go.
	Further int `json:",omitempty"`
	// Asked is what the container publishes, as long as another network of it
	// is asked to do so; only of an endpoint of a routed network, which opens
	// these ports all the same.
	Asked []config.PortBinding `json:",omitempty"`
	// Publish is what was asked to be published, and Published where it is.
	Publish   config.Publish
	Published []spec.Published
	// Exceptions are those for this one container.
	Exceptions *Exceptions `json:",omitempty"`
}

// Left is the endpoint outside of any container.
func (e *Endpoint) Left() Endpoint {
	left := *e
	left.Sandbox, left.Asked, left.Publish, left.Published = "", nil, config.Publish{}, nil
	return left
}

// Addrs returns the endpoint's addresses without prefix lengths.
func (e *Endpoint) Addrs() []netip.Addr {
	var out []netip.Addr
	for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
		if p.IsValid() {
			out = append(out, p.Addr())
		}
	}
	return out
}

// Reached returns the addresses that published ports can lead to; invalid for none.
func (e *Endpoint) Reached() (four, six netip.Addr) {
	four, six = e.IPv4.Addr(), e.IPv6.Addr()
	if !Forwarded(six) {
		six = netip.Addr{}
	}
	return four, six
}

// HardwareAddr is a net.HardwareAddr that is stored as text.
type HardwareAddr net.HardwareAddr

// MarshalText gives the colon form.
func (h HardwareAddr) MarshalText() ([]byte, error) {
	return []byte(net.HardwareAddr(h).String()), nil
}

// UnmarshalText takes the colon form.
func (h *HardwareAddr) UnmarshalText(b []byte) error {
	mac, err := net.ParseMAC(string(b))
	if err != nil {
		return fmt.Errorf("hardware address: %w", err)
	}
	*h = HardwareAddr(mac)
	return nil
}

// Check refuses what no single interface can have.
func (h HardwareAddr) Check() error {
	if len(h) != 6 || h[0]&1 != 0 || bytes.Equal(h, make([]byte, 6)) {
		return fmt.Errorf("mac address %s: want six bytes of a single interface, such as 02:42:0a:00:00:02", net.HardwareAddr(h))
	}
	return nil
}

// ChooseMAC derives the address from the IPv4 one, as docker's bridge driver
// did until 28: neighbours' caches stay right when an address is used again.
// An endpoint without IPv4 takes the hash of its IPv6 address.
func ChooseMAC(e *Endpoint) HardwareAddr {
	if e.IPv4.IsValid() {
		a := e.IPv4.Addr().As4()
		return HardwareAddr{0x02, 0x42, a[0], a[1], a[2], a[3]}
	}
	return hashMAC(e.IPv6.Addr(), 0)
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
