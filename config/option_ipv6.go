package config

import (
	"errors"
	"fmt"
	"strconv"
)

// ipv6Options translate a network's own IPv6 addresses into those of a prefix that others give
// the host, and may change.
func ipv6Options() []Option {
	return []Option{{
		Name: optionIPv6, Where: ForNetwork, Values: followPrefix, Choices: []string{followPrefix}, Since: first,
		Help:    "containers keep their addresses of a --subnet below fd00::/8. Outside each is known by the same host part behind the prefix that the host has today, and published ports are reached there by their number in the container",
		network: func(n *Network, v string) (err error) { n.Prefix.Follow, err = follow(v); return err },
		check:   checkPrefix,
	}, {
		Name: optionPrefix, Where: ForNetwork, Values: Delegated + ", or the name of a link of the host, such as eth0", Default: Delegated, Since: first,
		Help:    "where the prefix of " + optionIPv6 + " comes from: the one that a router has delegated, which the host has as an unreachable route, or that of a link's global address",
		network: func(n *Network, v string) error { n.Prefix.From = v; return prefixSource(v) },
		check: func(n Network) error {
			return n.Prefix.needed(n.Prefix.From != Delegated)
		},
	}, {
		Name: optionSubnet, Where: ForNetwork, Values: lastSubnet + ", or a number from 0, such as 5 or 0x5", Default: lastSubnet, Since: first,
		Help:    "which subnet of the prefix is the network's, of those that are as long as its --subnet",
		network: func(n *Network, v string) (err error) { n.Prefix.Subnet, err = subnetNumber(v); return err },
		check: func(n Network) error {
			return n.Prefix.needed(n.Prefix.Subnet != LastSubnet)
		},
	}}
}

const (
	optionIPv6   = "gangway.ipv6"
	optionPrefix = "gangway.ipv6.prefix"
	optionSubnet = "gangway.ipv6.subnet"

	followPrefix = "prefix"
	lastSubnet   = "last"
	// Delegated stands for the prefix that the host was delegated.
	Delegated = "delegated"
	// LastSubnet is the number of the last subnet, however many there are: links of the host
	// mostly get the first ones.
	LastSubnet int64 = -1
)

// Prefix says which prefix a network's IPv6 addresses are translated into.
type Prefix struct {
	Follow bool
	// From is Delegated, or the link whose prefix it is; Subnet is the number within that.
	From   string
	Subnet int64
}

// needed refuses what says more about a prefix that is not asked for.
func (p Prefix) needed(given bool) error {
	if given && !p.Follow {
		return errors.New("there is no " + optionIPv6 + "=" + followPrefix + ", of which it says more: add that, or leave it out")
	}
	return nil
}

// onLink refuses a prefix for whose addresses nobody asks on that link: one that was delegated is routed to the host.
func (p Prefix) onLink(link string) error {
	if p.From != link {
		return fmt.Errorf("others ask there for addresses of that link's prefix, and %s is %s: add %s=%s, or leave the option out", optionPrefix, p.From, optionPrefix, link)
	}
	return nil
}

func follow(v string) (bool, error) {
	if v != "" && v != followPrefix {
		return false, fmt.Errorf("is not what IPv6 can do: want %s, or leave it out", followPrefix)
	}
	return v == followPrefix, nil
}

func prefixSource(v string) error {
	switch v {
	case Delegated:
		return nil
	case "":
		return errors.New("names nothing: want " + Delegated + ", or a link such as eth0")
	}
	return linkName(v)
}

func subnetNumber(v string) (int64, error) {
	if v == lastSubnet {
		return LastSubnet, nil
	}
	n, err := strconv.ParseUint(v, 0, 32)
	if err != nil {
		return 0, fmt.Errorf("is no subnet: want %s, or a number from 0 to %d", lastSubnet, uint32(1<<32-1))
	}
	return int64(n), nil //nolint:gosec // up to 32 bits
}

// checkPrefix refuses what says otherwise where packets take their source from, or lets none out.
func checkPrefix(n Network) error {
	if !n.Prefix.Follow {
		return nil
	}
	if !n.IPv6 {
		return errors.New("the network has no IPv6: add --ipv6, or leave the option out")
	}
	for _, c := range []struct {
		is   bool
		what string
	}{
		{n.Internal, "--internal"},
		{n.Uplink != "", optionUplink},
		{n.Gateway != "", optionGateway},
		{n.Mode(true) != NAT, "com.docker.network.bridge.gateway_mode_ipv6"},
		{n.Host6.IsValid(), "com.docker.network.host_ipv6"},
		{!n.Masquerade, "com.docker.network.bridge.enable_ip_masquerade=false"},
	} {
		if c.is {
			return fmt.Errorf("what leaves by IPv6 takes an address of the prefix as it passes the host: leave %s out, or the option", c.what)
		}
	}
	return nil
}
