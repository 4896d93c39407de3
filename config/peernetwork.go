package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// networkPrefix is what names of networks begin with in lists of policies.
const networkPrefix = "network:"

// PeerNetwork is another network of Gangway, whose containers a policy names.
type PeerNetwork struct {
	// Name is the engine's; empty for none.
	Name string
	// Bridge is its link, Subnet4 and Subnet6 are its subnets, as far as it has the family and
	// packets pass from there to other links. Without a bridge there is nobody whom the name
	// stands for.
	Bridge           string
	Subnet4, Subnet6 netip.Prefix
}

// String is how users write it.
func (n PeerNetwork) String() string {
	if n.Name == "" {
		return ""
	}
	return networkPrefix + n.Name
}

// Subnets are those that it has, IPv4 first.
func (n PeerNetwork) Subnets() []netip.Prefix {
	return slices.DeleteFunc([]netip.Prefix{n.Subnet4, n.Subnet6}, func(p netip.Prefix) bool { return !p.IsValid() })
}

// maxNetworkName bounds names of networks.
const maxNetworkName = 128

// parsePeerNetwork reads a name behind networkPrefix, with ports and protocol behind it.
func parsePeerNetwork(item, name string) (p Peers, err error) {
	if name, p.Proto, err = cutProtocol(name); err != nil {
		return Peers{}, err
	}
	if who, port, found := strings.Cut(name, ":"); found {
		ports, err := parseSpan(port)
		if err != nil {
			return Peers{}, fmt.Errorf("has %q, which %w", item, err)
		}
		name, p.First, p.Last = who, ports.First, ports.Last
	}
	if !networkName(name) {
		return Peers{}, fmt.Errorf("has %q: want network:NAME with the name that docker network ls shows, of letters, digits, dots, dashes and underlines", item)
	}
	p.Network.Name = name
	return p, nil
}

// networkName says whether an engine takes it for a name (moby, names.RestrictedNameChars), and
// no more than that.
func networkName(name string) bool {
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' }
	wrong := strings.ContainsFunc(name, func(r rune) bool { return !letter(r) && !strings.ContainsRune("._-", r) })
	return name != "" && !wrong && len(name) <= maxNetworkName && letter(rune(name[0]))
}

// NamedNetworks are the names of networks in the policy, sorted, each once.
func (p Policy) NamedNetworks() []string {
	if !strings.Contains(p.Allow+p.Deny+p.Ingress, networkPrefix) {
		return nil
	}
	var names []string
	for _, list := range []string{p.Allow, p.Deny, p.Ingress} {
		for _, item := range Entries(list) {
			_, who, found := strings.Cut(item, "=")
			if !found {
				who = item
			}
			if name, is := strings.CutPrefix(who, networkPrefix); is {
				names = append(names, strings.FieldsFunc(name, func(r rune) bool { return r == ':' || r == '/' })[0])
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// NetworksText is what Policy.Networks holds: a line for each network that is there, in the
// order of the list. No link's name has a space or the end of a line in it.
func NetworksText(all []PeerNetwork) string {
	var lines []string
	for _, n := range all {
		fields := []string{n.Name, n.Bridge}
		for _, s := range n.Subnets() {
			fields = append(fields, s.String())
		}
		lines = append(lines, strings.Join(fields, " "))
	}
	return strings.Join(lines, "\n")
}

// PeerNetwork is what a name stands for by Policy.Networks.
func (p Policy) PeerNetwork(name string) PeerNetwork {
	n := PeerNetwork{Name: name}
	for line := range strings.Lines(p.Networks) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != name {
			continue
		}
		n.Bridge = fields[1]
		for _, text := range fields[2:] {
			subnet, err := netip.ParsePrefix(text)
			switch {
			case err != nil: // it allows nothing
			case subnet.Addr().Is4():
				n.Subnet4 = subnet
			default:
				n.Subnet6 = subnet
			}
		}
	}
	return n
}
