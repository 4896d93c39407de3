package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Policy is what options say of who may talk to whom, as texts that have been checked, each
// in one form for all ways to write it; "" for what nobody said. Values compare with ==.
type Policy struct {
	// Name is that of a policy kept by the administrator, whose words count where these say
	// nothing.
	Name string `json:"policy,omitempty"`
	// Egress is one of Egresses; Allow and Deny are lists of destinations that come before
	// it, see ParseDestinations.
	Egress string `json:"egress,omitempty"`
	Allow  string `json:"allow,omitempty"`
	Deny   string `json:"deny,omitempty"`
	// Names is one of NameModes.
	Names string `json:"names,omitempty"`
	// Ingress is asked for by ParseIngress, Host by ParseHostAccess.
	Ingress string `json:"ingress,omitempty"`
	Host    string `json:"host,omitempty"`
	// Mode is one of Modes.
	Mode string `json:"mode,omitempty"`
	// Networks is what the names of networks in the lists stand for, as NetworksText writes it.
	// Nobody says it: it is known where a policy counts.
	Networks string `json:"networks,omitempty"`
}

// Over returns the policy with what another one says where it says nothing.
func (p Policy) Over(base Policy) Policy {
	return Policy{
		Name:   cmp.Or(p.Name, base.Name),
		Egress: cmp.Or(p.Egress, base.Egress), Allow: cmp.Or(p.Allow, base.Allow), Deny: cmp.Or(p.Deny, base.Deny), Names: cmp.Or(p.Names, base.Names),
		Ingress: cmp.Or(p.Ingress, base.Ingress), Host: cmp.Or(p.Host, base.Host), Mode: cmp.Or(p.Mode, base.Mode),
		Networks: cmp.Or(p.Networks, base.Networks),
	}
}

// Audits says that nothing is refused.
func (p Policy) Audits() bool { return p.Mode == ModeAudit || p.Mode == ModeLearn }

// Enforced is the policy without mode audit.
func (p Policy) Enforced() Policy {
	if p.Audits() {
		p.Mode = ModeEnforce
	}
	return p
}

// Egresses and Modes are the values of gangway.egress and gangway.mode, the default first.
func Egresses() []string { return []string{EgressOpen, EgressInternet, EgressDeny} }

// Modes is explained with Egresses.
func Modes() []string { return []string{ModeEnforce, ModeAudit} }

// NameModes are the values of gangway.egress.names, the default first.
func NameModes() []string { return []string{NamesByAddress, NamesStrict} }

// The words of policies. Any and None stand for everything and for nothing, in the place of
// a list.
const (
	EgressOpen     = "open"
	EgressInternet = "internet"
	EgressDeny     = "deny"
	ModeEnforce    = "enforce"
	ModeAudit      = "audit"
	// ModeLearn is audit of all that there is, with questions for names; nobody can say it.
	ModeLearn      = "learn"
	NamesByAddress = "address"
	NamesStrict    = "strict"
	Any            = "any"
	None           = "none"
	HostDNS        = "dns"
)

// Group is a name for many addresses; see package policy for which.
type Group string

// The groups of addresses.
const (
	GroupInternet Group = "internet"
	GroupPrivate  Group = "private"
	GroupLAN      Group = "lan"
	GroupMetadata Group = "metadata"
	// GroupHost are all addresses of the host.
	GroupHost Group = "host"
	// GroupDNS stands for questions after all names.
	GroupDNS Group = "dns"
)

// Peers are addresses with ports: whom a container may reach, or may be reached by.
type Peers struct {
	// Group, Name, Network or else Prefix says who.
	Group Group
	// Name is one of the DNS as ParseName returns it, of a destination.
	Name string
	// Network is another one of Gangway: what it stands for is known where a policy counts.
	Network PeerNetwork
	Prefix  netip.Prefix
	Ports
}

// Ports are ports of protocols; the zero value is whatever is sent, of any protocol.
type Ports struct {
	// Proto is the number of TCP, UDP or SCTP; 0 for all three.
	Proto uint8
	// First and Last are both 0 for all ports.
	First, Last uint16
}

// All says that these are no ports, but whatever is sent.
func (p Ports) All() bool { return p == Ports{} }

// String is how users write them behind something else.
func (p Ports) String() string {
	out := ""
	if p.First != 0 {
		out = ":" + span(p.First, p.Last)
	}
	if name := protoName(p.Proto); name != "" {
		out += "/" + name
	}
	return out
}

func span(first, last uint16) string {
	if first == last {
		return strconv.Itoa(int(first))
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// Literal says that addresses are named, and nothing that stands for some.
func (p Peers) Literal() bool { return p.Group == "" && p.Name == "" && p.Network.Name == "" }

// String is how users write them.
func (p Peers) String() string {
	who := string(p.Group) + p.Name + p.Network.String()
	if who == "" {
		who = p.Prefix.String()
		if p.Prefix.IsSingleIP() {
			who = p.Prefix.Addr().String()
		}
		if p.Prefix.Addr().Is6() && p.First != 0 {
			who = "[" + who + "]"
		}
	}
	return who + p.Ports.String()
}

// ParseDestinations reads a list of destinations with commas between them; none is the
// empty list.
func ParseDestinations(list string) ([]Peers, error) {
	return parseList(list, func(item string) (Peers, error) {
		p, err := parsePeers(item, destinationGroups())
		if err == nil && p.Group == GroupDNS && !p.All() {
			err = fmt.Errorf("has %q: dns is port 53, leave ports and protocol out", item)
		}
		if err == nil {
			err = p.unreachable()
		}
		return p, err
	})
}

// Source says who reaches a port of a container.
type Source struct {
	// Port is the port of the host that was asked, or the container's where that is reached
	// by its own address; the zero value for all that nothing is said of.
	Port Ports
	// Nobody and Anybody say that; else Peers says who, without ports.
	Nobody, Anybody bool
	Peers
}

// String is how users write it.
func (s Source) String() string {
	who := s.Peers.String()
	switch {
	case s.Nobody:
		who = None
	case s.Anybody:
		who = Any
	}
	if s.Port.All() {
		return who
	}
	return strings.TrimPrefix(s.Port.String(), ":") + "=" + who
}

// ParseIngress reads who reaches a container from outside of its network. A network beside any
// is no contradiction: containers of others are not among these, as networks are isolated.
func ParseIngress(list string) ([]Source, error) {
	all, err := parseItems(list, parseSource)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		for _, b := range all {
			if a.Port == b.Port && a != b && (a.Nobody || a.Anybody && b.Network.Name == "") {
				return nil, fmt.Errorf("has %s beside %s: one of them can never match", a, b)
			}
		}
	}
	return all, nil
}

func parseSource(item string) (Source, error) {
	who, s := item, Source{}
	if ports, sources, found := strings.Cut(item, "="); found {
		var err error
		if s.Port, err = parsePorts(ports); err != nil {
			return s, fmt.Errorf("has %q, which %w", item, err)
		}
		who = sources
	}
	switch who {
	case Any:
		s.Anybody = true
		return s, nil
	case None:
		s.Nobody = true
		return s, nil
	}
	p, err := parsePeers(who, sourceGroups())
	switch {
	case err != nil:
		return s, err
	case !p.All():
		return s, fmt.Errorf("has %q: ports of a source are no matter; write PORT=SOURCE for a port that is asked", item)
	}
	s.Peers = p
	return s, p.noSource()
}

// ParseHostAccess reads which ports of the host containers reach; every says all that is
// sent there, of any protocol.
func ParseHostAccess(list string) (every bool, ports []Ports, err error) {
	switch list {
	case Any:
		return true, nil, nil
	case None:
		return false, nil, nil
	}
	ports, err = parseItems(list, func(item string) (Ports, error) {
		if item == HostDNS {
			return Ports{First: 53, Last: 53}, nil
		}
		p, wrong := parsePorts(item)
		switch word := nearest(item, []string{Any, None, HostDNS}); {
		case wrong != nil && word != "":
			wrong = fmt.Errorf("has %q: did you mean %s?", item, word)
		case wrong != nil:
			wrong = fmt.Errorf("has %q, which %w", item, wrong)
		}
		return p, wrong
	})
	return false, ports, err
}

func destinationGroups() []Group {
	return []Group{GroupInternet, GroupPrivate, GroupLAN, GroupMetadata, GroupHost, GroupDNS}
}

func sourceGroups() []Group { return []Group{GroupInternet, GroupPrivate, GroupLAN} }

func parseList[T any](list string, parse func(string) (T, error)) ([]T, error) {
	if list == None {
		return nil, nil
	}
	return parseItems(list, parse)
}

func parseItems[T any](list string, parse func(string) (T, error)) ([]T, error) {
	var all []T
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "" {
			return nil, errors.New("has an empty entry: want entries with ',' between them")
		}
		one, err := parse(item)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// canonical checks a list and returns it sorted, each entry once.
func canonical[T fmt.Stringer](list string, parse func(string) ([]T, error)) (string, error) {
	if list == "" {
		return "", nil
	}
	all, err := parse(list)
	if err != nil || len(all) == 0 {
		return None, err
	}
	texts := make([]string, len(all))
	for i, one := range all {
		texts[i] = one.String()
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), ","), nil
}
