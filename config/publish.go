package config

import (
	"cmp"
	"encoding/json"
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

// ParsePublish reads the options of ProgramExternalConnectivity as decoded from
// JSON. Options other than the ports are left to CheckEndpoint.
func ParsePublish(options map[string]any) (Publish, error) {
	var p Publish
	switch v := options[keyNoProxy6To4].(type) {
	case nil:
	case bool:
		p.NoProxy6To4 = v
	default:
		return Publish{}, fmt.Errorf("%s: %s instead of true or false", keyNoProxy6To4, kind(v))
	}
	if err := checkExposed(options[keyExposed]); err != nil {
		return Publish{}, err
	}
	list, err := objects(keyPortMap, options[keyPortMap])
	if err != nil {
		return Publish{}, err
	}
	for i, o := range list {
		b, err := portBinding(o)
		if err != nil {
			return Publish{}, fmt.Errorf("%s: element %d: %w", keyPortMap, i, err)
		}
		p.Bindings = append(p.Bindings, b)
	}
	slices.SortFunc(p.Bindings, byFreedom)
	return p, nil
}

// ParseJoin reads the ports from the options of Join, which are not decoded yet:
// they are as long as what the container publishes, and most networks have no
// use for them. The ports are those of ProgramExternalConnectivity, but Join has
// them for every network of the container, not for its gateway alone.
func ParseJoin(options []byte) (Publish, error) {
	var decoded map[string]any
	if len(options) > 0 {
		if err := json.Unmarshal(options, &decoded); err != nil {
			return Publish{}, fmt.Errorf("options of Join: %w", err)
		}
	}
	return ParsePublish(decoded)
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

// checkExposed checks a list that is of no use here: ports are open to
// containers of the same network anyway.
func checkExposed(v any) error {
	list, err := objects(keyExposed, v)
	if err != nil {
		return err
	}
	for i, o := range list {
		if _, _, err := containerPort(o); err != nil {
			return fmt.Errorf("%s: element %d: %w", keyExposed, i, err)
		}
	}
	return nil
}

func containerPort(o map[string]any) (proto uint8, port uint16, err error) {
	number8, err := number(o, "Proto", math.MaxUint8)
	if err != nil {
		return 0, 0, err
	}
	if proto = uint8(number8); !slices.Contains([]uint8{6, 17, 132}, proto) {
		return 0, 0, fmt.Errorf("protocol %d: want 6 (tcp), 17 (udp) or 132 (sctp)", proto)
	}
	if port, err = number(o, "Port", math.MaxUint16); err != nil {
		return 0, 0, err
	}
	if port == 0 {
		return 0, 0, fmt.Errorf("container port 0: want 1 to 65535")
	}
	return proto, port, nil
}

func portBinding(o map[string]any) (b PortBinding, err error) {
	if b.Proto, b.Port, err = containerPort(o); err != nil {
		return b, err
	}
	// IP is the container's address, which the engine always leaves empty.
	if _, err = text(o, "IP"); err != nil {
		return b, err
	}
	if b.HostIP, err = hostIP(o); err != nil {
		return b, err
	}
	if b.HostPort, err = number(o, "HostPort", math.MaxUint16); err != nil {
		return b, err
	}
	if b.HostPortEnd, err = number(o, "HostPortEnd", math.MaxUint16); err != nil {
		return b, err
	}
	if b.HostPortEnd == 0 {
		b.HostPortEnd = b.HostPort
	}
	if b.HostPortEnd < b.HostPort || b.HostPort == 0 && b.HostPortEnd != 0 {
		return b, fmt.Errorf("host ports %d-%d: want a first port from 1 and a last one not below it, or 0 for any", b.HostPort, b.HostPortEnd)
	}
	return b, nil
}

func hostIP(o map[string]any) (netip.Addr, error) {
	s, err := text(o, "HostIP")
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
