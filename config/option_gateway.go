package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// gatewayOption has a network's containers leave by one of them.
func gatewayOption() []Option {
	return []Option{{
		Name: optionGateway, Where: ForNetwork, Values: "container:NAME, or an address of the network", Since: first,
		Help:    "the container by which the others leave, such as a VPN's; what it does not carry is dropped, and nothing else leads outside. It leaves by the host itself",
		network: func(n *Network, v string) (err error) { n.Gateway, err = gateway(v); return err },
		check:   checkGateway,
		filter: func(n Network) string {
			if n.Gateway == "" {
				return ""
			}
			return "what containers send, by which the gateway is known from the others"
		},
	}}
}

const (
	optionGateway = "gangway.gateway"
	// byName is what stands before the name of a container.
	byName = "container:"
)

// ParseGateway reads what gateway has checked: a container's name, or one of its addresses.
func ParseGateway(text string) (name string, addr netip.Addr) {
	if name, is := strings.CutPrefix(text, byName); is {
		return name, netip.Addr{}
	}
	addr, _ = netip.ParseAddr(text)
	return "", addr
}

func gateway(v string) (string, error) {
	if name, is := strings.CutPrefix(v, byName); is {
		if !containerName(name) {
			return "", fmt.Errorf("has %q, which is no name of a container", name)
		}
		return v, nil
	}
	if v == "" {
		return "", nil
	}
	a, err := netip.ParseAddr(v)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return "", fmt.Errorf("is neither %sNAME nor an address such as 10.80.0.5", byName)
	}
	return a.String(), nil
}

// containerName says whether engines take the name (moby daemon/names: RestrictedNameChars).
func containerName(name string) bool {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return len(name) > 1 && strings.Contains(first, name[:1]) && strings.Trim(name, first+"_.-") == ""
}

// checkGateway refuses what leads outside beside the gateway, or keeps it from carrying anything.
func checkGateway(n Network) error {
	if n.Gateway == "" {
		return nil
	}
	for _, c := range []struct {
		is   bool
		what string
	}{
		{n.Internal, "--internal"},
		{n.Uplink != "", optionUplink},
		{n.NoDefaultRoute, "gangway.no_default_route"},
		{n.InhibitIPv4, "com.docker.network.bridge.inhibit_ipv4"},
		{!n.ICC, "com.docker.network.bridge.enable_icc=false"},
		{n.AntiSpoofing == SpoofingAllowed, "gangway.anti_spoofing=false"},
		{n.IPv4 && n.Mode(false) != NAT, "com.docker.network.bridge.gateway_mode_ipv4"},
		{n.IPv6 && n.Mode(true) != NAT, "com.docker.network.bridge.gateway_mode_ipv6"},
		{n.Trusted != "", "com.docker.network.bridge.trusted_host_interfaces"},
	} {
		if c.is {
			return fmt.Errorf("containers leave by one of them, which has to reach them, and by nothing else: leave %s out, or the gateway", c.what)
		}
	}
	if b := n.Policy.Behind(); n.Policy.Allow != b.Allow || n.Policy.Host != "" && n.Policy.Host != b.Host {
		return errors.New("names would be asked for by the host, past the gateway: leave dns, any, names and port 53 out of gangway.host and gangway.egress.allow")
	}
	return nil
}

// asksNames says whether ports of the host are among those by which names are asked for: DNS, also over
// TLS, and multicast DNS, which programs of the host pass on.
func asksNames(p Ports) bool {
	return p.All() || slices.ContainsFunc([]uint16{53, 853, 5353}, func(port uint16) bool {
		return p.First == 0 || p.First <= port && port <= p.Last
	})
}

// Behind is what of a policy counts for a container that leaves by another one: of the host what
// was named alone, and nothing by which the host would ask for names. Mode audit would open both.
func (p Policy) Behind() Policy {
	p = p.Enforced()
	every, ports, err := ParseHostAccess(p.Host)
	if p.Host == "" || every || err != nil || slices.ContainsFunc(ports, asksNames) {
		p.Host = None
	}
	all, err := ParseDestinations(p.Allow)
	if p.Allow == "" || err != nil {
		return p
	}
	kept := slices.DeleteFunc(slices.Clone(all), func(d Peers) bool {
		return d.Name != "" || d.Group == GroupDNS || d.Group == GroupHost && asksNames(d.Ports)
	})
	if len(kept) == len(all) {
		return p
	}
	var words []string
	for _, d := range kept {
		words = append(words, d.String())
	}
	if p.Allow = strings.Join(words, ","); p.Allow == "" {
		p.Allow = None
	}
	return p
}
