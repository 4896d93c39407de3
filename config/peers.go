package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// protocols that have ports, by number.
func portProtocols() map[string]uint8 { return map[string]uint8{"tcp": 6, "udp": 17, "sctp": 132} }

func protoName(proto uint8) string {
	for name, number := range portProtocols() {
		if number == proto {
			return name
		}
	}
	return ""
}

// parsePeers reads WHO[:PORT[-PORT]][/PROTOCOL], where WHO is an address, a prefix, a network,
// one of these groups or, where dns is one of them, a name; an IPv6 one is in brackets before a port.
func parsePeers(item string, groups []Group) (Peers, error) {
	if name, is := strings.CutPrefix(item, networkPrefix); is {
		return parsePeerNetwork(item, name)
	}
	if _, rest, url := strings.Cut(item, "://"); url {
		host, _, _ := strings.Cut(rest, "/")
		return Peers{}, fmt.Errorf("has the URL %q: write the name and the port alone, as %s", item, strings.Split(host, ":")[0]+":443")
	}
	who, proto, err := cutProtocol(item)
	if err != nil {
		return Peers{}, err
	}
	who, ports, err := cutPorts(who)
	if err != nil {
		return Peers{}, fmt.Errorf("has %q, which %w", item, err)
	}
	p := Peers{Ports: ports}
	p.Proto = proto
	if slices.Contains(groups, GroupDNS) && looksLikeName(who) && !slices.Contains(groups, Group(who)) {
		if n := nearest(who, texts(groups)); n != "" && !strings.Contains(who, ".") {
			return p, fmt.Errorf("has %q: did you mean %s?", who, n)
		}
		p.Name, err = ParseName(who)
		return p, err
	}
	p.Group, p.Prefix, err = parseWho(who, groups)
	return p, err
}

// looksLikeName tells names from addresses and subnets, which have digits, dots and, in
// IPv6, colons and letters up to f.
func looksLikeName(who string) bool {
	if strings.ContainsAny(who, ":/") || who == "" || who == Any || who == None {
		return false
	}
	return strings.Trim(who, "0123456789.") != ""
}

func texts(groups []Group) (all []string) {
	for _, g := range groups {
		all = append(all, string(g))
	}
	return all
}

// parseProtocol reads the name of a protocol that has ports.
func parseProtocol(name string) (uint8, error) {
	all := portProtocols()
	proto, known := all[name]
	switch {
	case strings.HasPrefix(name, "icmp"): // which is near to sctp, as a word
		return 0, fmt.Errorf("unknown protocol %q: known are those with ports, %s; an address alone has all others", name, strings.Join(sortedKeys(all), ", "))
	case !known:
		return 0, unknown("protocol", name, sortedKeys(all))
	}
	return proto, nil
}

// cutProtocol takes a protocol's name off the end; a number there is a prefix's length.
func cutProtocol(item string) (rest string, proto uint8, err error) {
	i := strings.LastIndexByte(item, '/')
	if i < 0 || strings.ContainsAny(item[i:], "0123456789:]") {
		return item, 0, nil
	}
	if proto, err = parseProtocol(item[i+1:]); err != nil {
		return "", 0, fmt.Errorf("has %q: %w", item, err)
	}
	return item[:i], proto, nil
}

// cutPorts takes ports off the end. An IPv6 address that stands without brackets has none.
func cutPorts(item string) (who string, ports Ports, err error) {
	if inner, bracketed := strings.CutPrefix(item, "["); bracketed {
		who, rest, closed := strings.Cut(inner, "]")
		if !closed || !strings.Contains(who, ":") || rest != "" && rest[0] != ':' {
			return "", Ports{}, errors.New("is not [IPV6] or [IPV6]:PORT")
		}
		if rest == "" {
			return who, Ports{}, nil
		}
		ports, err = parseSpan(rest[1:])
		return who, ports, err
	}
	i := strings.LastIndexByte(item, ':')
	if i < 0 || strings.Count(item, ":") > 1 {
		return item, Ports{}, nil
	}
	ports, err = parseSpan(item[i+1:])
	return item[:i], ports, err
}

// parsePorts reads PORT[-PORT][/PROTOCOL].
func parsePorts(text string) (Ports, error) {
	number, name, given := strings.Cut(text, "/")
	p, err := parseSpan(number)
	if err == nil && given {
		if p.Proto, err = parseProtocol(name); err != nil {
			err = fmt.Errorf("has an %w", err)
		}
	}
	return p, err
}

// parseSpan reads PORT[-PORT].
func parseSpan(text string) (p Ports, err error) {
	first, last, ranged := strings.Cut(text, "-")
	if p.First, err = parsePort(first); err != nil {
		return p, err
	}
	if p.Last = p.First; ranged {
		if p.Last, err = parsePort(last); err != nil {
			return p, err
		}
	}
	if p.Last < p.First {
		return p, fmt.Errorf("has ports %d-%d, the first behind the last", p.First, p.Last)
	}
	return p, nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || text[0] == '+' {
		return 0, fmt.Errorf("has port %q, which is none from 1 to 65535", text)
	}
	return uint16(n), nil
}

func parseWho(who string, groups []Group) (Group, netip.Prefix, error) {
	if slices.Contains(groups, Group(who)) {
		return Group(who), netip.Prefix{}, nil
	}
	if a, err := netip.ParseAddr(who); err == nil {
		if a.Zone() != "" {
			return "", netip.Prefix{}, fmt.Errorf("has %q: an address is the same by all links, leave the zone out", who)
		}
		return plainPrefix(netip.PrefixFrom(a, a.BitLen()))
	}
	if p, err := netip.ParsePrefix(who); err == nil {
		if p != p.Masked() {
			return "", netip.Prefix{}, fmt.Errorf("has %q, an address within a subnet: want %s, or %s for the address alone", who, p.Masked(), p.Addr())
		}
		return plainPrefix(p)
	}
	return "", netip.Prefix{}, notWho(who, groups)
}

// plainPrefix refuses IPv4 addresses that are written as IPv6: no packet has them.
func plainPrefix(p netip.Prefix) (Group, netip.Prefix, error) {
	if p.Addr().Is4In6() {
		return "", p, fmt.Errorf("has %q: write the IPv4 address %s", p, p.Addr().Unmap())
	}
	return "", p, nil
}

// notWho explains what is neither an address nor a group.
func notWho(who string, groups []Group) error {
	known := texts(groups)
	switch {
	case who == "" || who == Any || who == None:
		return fmt.Errorf("has %q among other entries, or with ports: want an address, a subnet, or one of %s", who, strings.Join(known, ", "))
	case strings.ContainsAny(who, ".*") && strings.ContainsFunc(who, func(r rune) bool { return r >= 'g' && r <= 'z' || r == '*' }):
		return fmt.Errorf("has the name %q: sources are given as addresses, subnets or groups (%s), names are not looked up", who, strings.Join(known, ", "))
	case strings.Count(who, ":") > 1:
		return fmt.Errorf("has %q, which is no IPv6 address: one with a port is written [ADDRESS]:PORT", who)
	}
	if n := nearest(who, known); n != "" {
		return fmt.Errorf("has %q: did you mean %s?", who, n)
	}
	kinds := "an address, a subnet"
	if slices.Contains(groups, GroupDNS) {
		kinds += ", a name"
	}
	return fmt.Errorf("has %q: want %s, or one of %s", who, kinds, strings.Join(known, ", "))
}

// unreachable refuses destinations that no packet of a container has outside of it.
func (p Peers) unreachable() error {
	for _, n := range unreachables() {
		if p.within(n.Prefix) {
			return fmt.Errorf("has %s, which can never match: %s", p, n.why)
		}
	}
	return nil
}

type unreachablePrefix struct {
	netip.Prefix
	why string
}

// unreachables are parsed once: a list has thousands of destinations.
var unreachables = sync.OnceValue(func() []unreachablePrefix {
	of := netip.MustParsePrefix
	return []unreachablePrefix{
		{of("127.0.0.0/8"), "it is the container itself, and the host's is closed to all"},
		{of("::1/128"), "it is the container itself"},
		{of("0.0.0.0/8"), "nothing is sent there"},
		{of("::/128"), "nothing is sent there"},
		{of("fe80::/10"), "it is never reached from another link"},
	}
})

// noSource refuses sources that no packet from outside has.
func (p Peers) noSource() error {
	for _, never := range []string{"0.0.0.0/8", "::/128", "224.0.0.0/4", "ff00::/8", "127.0.0.0/8", "::1/128"} {
		if p.within(netip.MustParsePrefix(never)) {
			return fmt.Errorf("has %s, which can never match: nothing comes from there; the host itself is not asked", p)
		}
	}
	return nil
}

func (p Peers) within(outer netip.Prefix) bool {
	return p.Literal() && outer.Contains(p.Prefix.Addr()) && p.Prefix.Bits() >= outer.Bits()
}
