package config

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
)

// Keys that the engine sends with an endpoint's ports (libnetwork's netlabel
// package).
const (
	keyPortMap     = "com.docker.network.portmap"
	keyExposed     = "com.docker.network.endpoint.exposedports"
	keyNoProxy6To4 = "com.docker.network.driver.private.no_proxy_6to4"
)

// PortBinding is one port to publish.
type PortBinding struct {
	// Proto is the IP protocol number: 6 (TCP), 17 (UDP) or 132 (SCTP).
	Proto uint8
	// Port is the container's, 1 to 65535.
	Port uint16
	// HostIP is the address to publish on, never with a zone and never an IPv4
	// address mapped into IPv6; invalid for the network's default.
	HostIP netip.Addr
	// HostPort and HostPortEnd are the first and last host port to choose one
	// from: equal for a fixed port, both 0 for any free one.
	HostPort, HostPortEnd uint16
}

// Publish is everything that one endpoint publishes.
type Publish struct {
	// Bindings are in an order of their own, whatever the engine's was: what
	// leaves the least choice comes first, so that a port chosen freely does not
	// take one that another binding needs.
	Bindings []PortBinding
	// NoProxy6To4 says that IPv6 host addresses must not lead to an IPv4-only
	// endpoint, because another network of the container serves IPv6.
	NoProxy6To4 bool
}

// Equal tells whether both ask for the same.
func (p Publish) Equal(o Publish) bool {
	return p.NoProxy6To4 == o.NoProxy6To4 && slices.Equal(p.Bindings, o.Bindings)
}

// ParsePublish reads the ports from the options of ProgramExternalConnectivity
// or Join. They are the same in both, but Join has them for every network of the
// container, not for its gateway alone. What else is among the options is left
// to ParseEndpoint; the list of exposed ports is of no use here, since ports are
// open to containers of the same network anyway.
func ParsePublish(options EndpointOptions) (Publish, error) {
	var p Publish
	switch raw := options[keyNoProxy6To4]; {
	case len(raw) == 0 || raw[0] == 'n':
	case raw[0] == 't' || raw[0] == 'f':
		p.NoProxy6To4 = raw[0] == 't'
	default:
		return Publish{}, fmt.Errorf("%s: %s instead of true or false", keyNoProxy6To4, typeOf(raw))
	}
	list, err := elements(keyPortMap, options[keyPortMap])
	if err != nil {
		return Publish{}, err
	}
	for i, raw := range list {
		b, err := portBinding(raw)
		if err != nil {
			return Publish{}, fmt.Errorf("%s: element %d: %w", keyPortMap, i, err)
		}
		p.Bindings = append(p.Bindings, b)
	}
	slices.SortFunc(p.Bindings, byFreedom)
	return p, nil
}

// byFreedom orders fixed ports before ranges, narrow ranges before wide ones,
// and these before ports of which any will do.
func byFreedom(a, b PortBinding) int {
	return cmp.Or(
		cmp.Compare(a.freedom(), b.freedom()),
		cmp.Compare(a.Proto, b.Proto),
		cmp.Compare(a.Port, b.Port),
		a.HostIP.Compare(b.HostIP),
		cmp.Compare(a.HostPort, b.HostPort),
	)
}

func (b PortBinding) freedom() int {
	if b.HostPort == 0 {
		return math.MaxUint16 + 1
	}
	return int(b.HostPortEnd) - int(b.HostPort)
}

// portBinding reads one element of the list. A field that is not there is 0 or
// empty, and one that has come with a newer engine is passed over.
func portBinding(raw []byte) (PortBinding, error) {
	if raw[0] != '{' {
		return PortBinding{}, fmt.Errorf("%s instead of an object", typeOf(raw))
	}
	var b PortBinding
	for name, value := range members(raw) {
		if err := b.set(name, value); err != nil {
			return b, err
		}
	}
	switch {
	case !slices.Contains([]uint8{6, 17, 132}, b.Proto):
		return b, fmt.Errorf("protocol %d: want 6 (tcp), 17 (udp) or 132 (sctp)", b.Proto)
	case b.Port == 0:
		return b, fmt.Errorf("container port 0: want 1 to 65535")
	}
	if b.HostPortEnd == 0 {
		b.HostPortEnd = b.HostPort
	}
	if b.HostPortEnd < b.HostPort || b.HostPort == 0 && b.HostPortEnd != 0 {
		return b, fmt.Errorf("host ports %d-%d: want a first port from 1 and a last one not below it, or 0 for any", b.HostPort, b.HostPortEnd)
	}
	return b, nil
}

func (b *PortBinding) set(name string, value []byte) (err error) {
	switch name {
	case "Proto":
		var n uint16
		n, err = number(name, value, math.MaxUint8)
		b.Proto = uint8(n) //nolint:gosec // at most 255
	case "Port":
		b.Port, err = number(name, value, math.MaxUint16)
	case "HostPort":
		b.HostPort, err = number(name, value, math.MaxUint16)
	case "HostPortEnd":
		b.HostPortEnd, err = number(name, value, math.MaxUint16)
	case "HostIP":
		b.HostIP, err = hostIP(value)
	case "IP": // the container's address, which the engine always leaves empty
		_, err = text(name, value)
	}
	return err
}

func hostIP(raw []byte) (netip.Addr, error) {
	s, err := text("HostIP", raw)
	if err != nil || s == "" {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("host address %q is not an IP address", s)
	}
	if a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("host address %q has a zone: publish on an address that needs none", s)
	}
	a = a.Unmap()
	if a.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("host address %q is a multicast address, not one of the host's", s)
	}
	return a, nil
}
