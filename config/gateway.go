package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// GatewayMode is how a network is joined to what lies outside, in one address
// family (engine 28's gateway_mode_ipv4 and gateway_mode_ipv6).
type GatewayMode string

// The gateway modes.
const (
	// NAT hides containers behind the host; published ports alone are reachable.
	NAT GatewayMode = "nat"
	// NATUnprotected is NAT, but who has a route to the containers reaches all
	// of their ports.
	NATUnprotected GatewayMode = "nat-unprotected"
	// Routed translates nothing: who has a route to the containers reaches
	// their published ports, and ICMP.
	Routed GatewayMode = "routed"
	// Isolated gives the host no address on an internal network.
	Isolated GatewayMode = "isolated"
)

func gatewayModes() []string {
	return []string{string(NAT), string(NATUnprotected), string(Routed), string(Isolated)}
}

func gatewayMode(v string) (GatewayMode, error) {
	if !slices.Contains(gatewayModes(), v) {
		return "", fmt.Errorf("is no gateway mode: want one of %s", strings.Join(gatewayModes(), ", "))
	}
	return GatewayMode(v), nil
}

// gatewayOptions are the rows of the table about the way in and out.
func gatewayOptions() []NetworkOption {
	return []NetworkOption{
		{
			Name: optionMode4, Values: strings.Join(gatewayModes(), ", "), Default: string(NAT), Choices: gatewayModes(),
			Help: "how IPv4 is joined to the outside: translated; translated, with all ports open to who has a route; not translated, with published ports open; no address on the host (needs `--internal`)",
			set:  func(n *Network, v string) (err error) { n.GatewayMode4, err = gatewayMode(v); return err },
		},
		{
			Name: optionMode6, Values: strings.Join(gatewayModes(), ", "), Default: string(NAT), Choices: gatewayModes(),
			Help: "the same for IPv6",
			set:  func(n *Network, v string) (err error) { n.GatewayMode6, err = gatewayMode(v); return err },
		},
		{
			Name: "com.docker.network.bridge.inhibit_ipv4", Values: "true or false", Default: "false", Choices: booleans(),
			Help: "give the bridge no IPv4 address: the gateway is another machine on an existing bridge",
			set:  func(n *Network, v string) (err error) { n.InhibitIPv4, err = boolean(v); return err },
		},
		{
			Name: optionTrusted, Values: "interface names with `:` between them", Default: "",
			Help: "from where published ports are reached by the containers' own addresses as well, in mode nat",
			set:  func(n *Network, v string) (err error) { n.Trusted, err = trusted(v); return err },
		},
		{
			Name: optionHost4, Values: "IPv4 address of the host", Default: "",
			Help: "address that outgoing traffic takes, in place of the one of the interface that it leaves by",
			set:  func(n *Network, v string) (err error) { n.Host4, err = hostAddress(v, false); return err },
		},
		{
			Name: optionHost6, Values: "IPv6 address of the host", Default: "",
			Help: "the same for IPv6",
			set:  func(n *Network, v string) (err error) { n.Host6, err = hostAddress(v, true); return err },
		},
	}
}

// Translated says whether a family's addresses are translated at all.
func (m GatewayMode) Translated() bool { return m == NAT || m == NATUnprotected }

// Mode is the gateway mode of one family.
func (n Network) Mode(six bool) GatewayMode {
	if six {
		return n.GatewayMode6
	}
	return n.GatewayMode4
}

// TrustedInterfaces are the links from which containers' published ports are
// reached by the containers' addresses as well, in gateway mode nat.
func (n Network) TrustedInterfaces() []string {
	return strings.FieldsFunc(n.Trusted, func(r rune) bool { return r == ':' })
}

// trusted checks a list of link names and returns it sorted, each once.
func trusted(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	names := strings.Split(v, ":")
	for _, name := range names {
		if name == "" {
			return "", fmt.Errorf("has an empty name: want interface names with ':' between them")
		}
		if err := bridgeName(name); err != nil {
			return "", fmt.Errorf("names %q, which %w", name, err)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ":"), nil
}

// hostAddress reads the address that outgoing traffic takes; "" for the one of
// the link that it leaves by.
func hostAddress(v string, six bool) (netip.Addr, error) {
	if v == "" {
		return netip.Addr{}, nil
	}
	family := "IPv4"
	if six {
		family = "IPv6"
	}
	a, err := netip.ParseAddr(v)
	if err != nil || a.Is6() != six || a.Is4In6() || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("is not an %s address", family)
	}
	if a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("is no address that other hosts can answer to")
	}
	return a, nil
}

// contradictions refuses options that cannot all be meant.
func (n Network) contradictions() error {
	for _, family := range []struct {
		six        bool
		mode, host string
		address    netip.Addr
	}{
		{false, optionMode4, optionHost4, n.Host4},
		{true, optionMode6, optionHost6, n.Host6},
	} {
		mode := n.Mode(family.six)
		switch {
		case mode == Isolated && !n.Internal:
			return fmt.Errorf("network option %s: %q is for internal networks: add --internal", family.mode, mode)
		case n.Internal && (mode == Routed || mode == NATUnprotected):
			return fmt.Errorf("network option %s: %q opens a network that --internal closes: leave one of them out", family.mode, mode)
		case !family.address.IsValid():
		case !n.Masquerade:
			return fmt.Errorf("network option %s: no address is put in place of the containers' with %s=false: leave one of them out", family.host, optionMasquerade)
		case !mode.Translated():
			return fmt.Errorf("network option %s: no address is put in place of the containers' in gateway mode %s: leave one of them out", family.host, mode)
		}
	}
	if n.Trusted != "" && n.Internal {
		return fmt.Errorf("network option %s: no interface reaches a network that --internal closes: leave one of them out", optionTrusted)
	}
	return nil
}
