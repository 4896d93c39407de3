package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// Keys that the engine itself puts beside the user's options of a network
// (libnetwork's netlabel package).
const (
	keyGeneric    = "com.docker.network.generic"
	keyInternal   = "com.docker.network.internal"
	keyEnableIPv4 = "com.docker.network.enable_ipv4"
	keyEnableIPv6 = "com.docker.network.enable_ipv6"
)

// Options that errors elsewhere in the package name.
const (
	optionMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	optionICC        = "com.docker.network.bridge.enable_icc"
	optionMode4      = "com.docker.network.bridge.gateway_mode_ipv4"
	optionMode6      = "com.docker.network.bridge.gateway_mode_ipv6"
	optionTrusted    = "com.docker.network.bridge.trusted_host_interfaces"
	optionHost4      = "com.docker.network.host_ipv4"
	optionHost6      = "com.docker.network.host_ipv6"
	optionSpoofing   = "com.docker.network.bridge.anti_spoofing"
)

// Network is what a user asks a network to be. Values compare with ==.
type Network struct {
	// Bridge is the bridge's name; "" has gangway choose it.
	Bridge string
	// MTU is in bytes, 68 to 65535; 0 leaves it to the kernel.
	MTU int
	// Masquerade hides container addresses behind the host's on the way out;
	// ICC lets containers of the network reach each other; Internal keeps the
	// network from everything outside.
	Masquerade, ICC, Internal bool
	// IPv4 and IPv6 say which families the network has; at least one.
	IPv4, IPv6 bool
	// GatewayMode4 and GatewayMode6 are asked for by Mode.
	GatewayMode4, GatewayMode6 GatewayMode
	// InhibitIPv4 gives the bridge no IPv4 address; somebody else is the gateway.
	InhibitIPv4 bool
	// HostBinding4 and HostBinding6 are asked for by HostBindings. With another
	// HostBinding4 than every address and no HostBinding6, IPv6 ports are not
	// published.
	HostBinding4, HostBinding6 string
	// Host4 and Host6 are the addresses that outgoing traffic takes; invalid for
	// those of the link that it leaves by.
	Host4, Host6 netip.Addr
	// AntiSpoofing keeps containers from claiming addresses that are not theirs.
	AntiSpoofing AntiSpoofing
	// Trusted is asked for by TrustedInterfaces.
	Trusted string
	// IfacePrefix is what names of interfaces in containers start with.
	IfacePrefix string
}

// NetworkOption is one row of the table of network options.
type NetworkOption struct {
	// Name is as given to docker network create -o.
	Name string
	// Values describes what is allowed; Default is the value, as text, that
	// counts when the option is absent.
	Values, Default string
	// Choices are the values if there are few, for completion; else nil.
	Choices []string
	// Help is a sentence fragment for the documentation.
	Help string

	set func(*Network, string) error
}

// NetworkOptionsTable lists every network option in the order of the
// documentation. Names and meanings are the built-in bridge driver's.
func NetworkOptionsTable() []NetworkOption {
	return append([]NetworkOption{
		{
			Name: "com.docker.network.bridge.name", Values: "interface name, at most 15 bytes", Default: "",
			Help: "name of the bridge; gw- and the start of the network's id if empty",
			set:  func(n *Network, v string) error { n.Bridge = v; return bridgeName(v) },
		},
		{
			Name: "com.docker.network.driver.mtu", Values: "68 to 65535, with IPv6 from 1280; 0 for the kernel's default", Default: "0",
			Help: "largest packet in bytes, for bridge and containers",
			set:  func(n *Network, v string) (err error) { n.MTU, err = mtu(v); return err },
		},
		{
			Name: optionMasquerade, Values: "true or false", Default: "true", Choices: booleans(),
			Help: "hide container addresses behind the host's on the way out",
			set:  func(n *Network, v string) (err error) { n.Masquerade, err = boolean(v); return err },
		},
		{
			Name: optionICC, Values: "true or false", Default: "true", Choices: booleans(),
			Help: "let containers of the network reach each other",
			set:  func(n *Network, v string) (err error) { n.ICC, err = boolean(v); return err },
		},
		{
			Name: "com.docker.network.bridge.host_binding_ipv4", Values: "IPv4 addresses of the host with `,` between them", Default: "0.0.0.0",
			Help: "where ports are published that name no host address, the same port at each; 0.0.0.0 for every address",
			set:  func(n *Network, v string) (err error) { n.HostBinding4, err = hostBindings(v, false); return err },
		},
		{
			Name: "com.docker.network.bridge.host_binding_ipv6", Values: "IPv6 addresses of the host with `,` between them", Default: "::",
			Help: "the same for IPv6; Gangway's own option",
			set:  func(n *Network, v string) (err error) { n.HostBinding6, err = hostBindings(v, true); return err },
		},
		{
			Name: optionSpoofing, Values: "auto, true or false", Default: "auto", Choices: append([]string{"auto"}, booleans()...),
			Help: "keep containers from using addresses of the network that are not theirs, and from posing as routers; auto does so if the host's kernel can; Gangway's own option",
			set:  func(n *Network, v string) (err error) { n.AntiSpoofing, err = antiSpoofing(v); return err },
		},
		{
			Name: "com.docker.network.container_iface_prefix", Values: "start of an interface name, at most 12 bytes", Default: "eth",
			Help: "what names of interfaces in containers start with, before the number",
			set:  func(n *Network, v string) error { n.IfacePrefix = v; return ifacePrefix(v) },
		},
	}, gatewayOptions()...)
}

// engineOptions are options that a user gives and the engine carries out for
// every driver (28.0 and later); they arrive here too and mean nothing.
func engineOptions() []string {
	return []string{"com.docker.network.advertise_addr_nmsgs", "com.docker.network.advertise_addr_ms"}
}

// networkOptionNames are all names that a network can be given.
func networkOptionNames() []string {
	var names []string
	for _, row := range NetworkOptionsTable() {
		names = append(names, row.Name)
	}
	return append(names, engineOptions()...)
}

// ParseNetwork reads the options of CreateNetwork and GwAllocCheck as decoded
// from JSON. The user's are strings under com.docker.network.generic; an unknown
// one, a malformed one and one of another driver that asks for something are
// errors. What stands beside them comes from the engine alone: what is unknown
// there is a newer engine's and is passed over, since no user could take it out.
func ParseNetwork(options map[string]any) (Network, error) {
	n := Network{IPv4: true}
	for _, flag := range []struct {
		key string
		to  *bool
	}{{keyInternal, &n.Internal}, {keyEnableIPv4, &n.IPv4}, {keyEnableIPv6, &n.IPv6}} {
		if err := engineFlag(options, flag.key, flag.to); err != nil {
			return Network{}, err
		}
	}
	given, err := generic(n, options)
	if err != nil {
		return Network{}, err
	}
	for _, row := range NetworkOptionsTable() {
		value, ok := given[row.Name]
		if !ok {
			value = row.Default
		}
		if err := row.set(&n, value); err != nil {
			return Network{}, fmt.Errorf("network option %s: %q %w", row.Name, value, err)
		}
	}
	if !n.IPv4 && !n.IPv6 {
		return Network{}, fmt.Errorf("network has neither IPv4 nor IPv6: leave one of them on")
	}
	if n.IPv6 && n.MTU != 0 && n.MTU < minMTU6 {
		return Network{}, fmt.Errorf("network option com.docker.network.driver.mtu: \"%d\" is too small with IPv6, which needs %d: raise it, or leave out --ipv6", n.MTU, minMTU6)
	}
	if err := n.contradictions(); err != nil {
		return Network{}, err
	}
	return n, nil
}

// engineFlag reads a bool that the engine sets; absent or null leaves the
// default.
func engineFlag(options map[string]any, key string, to *bool) error {
	switch v := options[key].(type) {
	case nil:
	case bool:
		*to = v
	default:
		return fmt.Errorf("network option %s: %s instead of true or false", key, kind(v))
	}
	return nil
}

// generic returns the user's options, all of known names. n has what the engine says
// beside them.
func generic(n Network, options map[string]any) (map[string]string, error) {
	v := options[keyGeneric]
	values, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, fmt.Errorf("network option %s: %s instead of an object", keyGeneric, kind(v))
	}
	known := networkOptionNames()
	given := map[string]string{}
	for _, name := range sortedKeys(values) {
		text, ok := values[name].(string)
		if f, foreign := elsewhere(name); foreign {
			if ok && f.idle != nil && f.idle(n, text) {
				continue
			}
			return nil, fmt.Errorf("network option %s %s", name, f.hint)
		}
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%w (options: see README)", unknown("network option", name, known))
		}
		if !ok {
			return nil, fmt.Errorf("network option %s: %s instead of a string", name, kind(values[name]))
		}
		given[name] = text
	}
	return given, nil
}

const (
	// minMTU is the least of RFC 791, minMTU6 of RFC 8200; maxMTU is the longest
	// IPv4 packet.
	minMTU, minMTU6, maxMTU = 68, 1280, 65535
)

func mtu(v string) (int, error) {
	m, err := strconv.ParseUint(v, 10, 16)
	if err != nil || m != 0 && m < minMTU {
		return 0, fmt.Errorf("is not an MTU: want %d to %d, or 0 for the kernel's default", minMTU, maxMTU)
	}
	return int(m), nil
}

// booleans are the two ways to write a boolean that are offered.
func booleans() []string { return []string{"true", "false"} }

// boolean takes what the built-in driver takes.
func boolean(v string) (bool, error) {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("is neither true nor false")
	}
	return b, nil
}
