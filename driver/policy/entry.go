package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
)

// Option is an option of a policy, by its name.
type Option string

// The options that decide. OptionSource is none that users write: what comes by the link of a
// network with another one's source is refused with all that is refused there.
const (
	OptionEgress  Option = "gangway.egress"
	OptionAllow   Option = "gangway.egress.allow"
	OptionDeny    Option = "gangway.egress.deny"
	OptionHost    Option = "gangway.host"
	OptionIngress Option = "gangway.ingress"
	OptionSource  Option = "source"
	// OptionNames refuses connections that do not say an allowed name.
	OptionNames Option = "gangway.egress.names"
)

// Options lists them.
func Options() []Option {
	return []Option{OptionEgress, OptionAllow, OptionDeny, OptionHost, OptionIngress, OptionSource, OptionNames}
}

// Entry is a part of a policy that decides: of an option with a list one item of it, or else
// all that it says.
type Entry struct {
	Option Option `json:"option"`
	Value  string `json:"value,omitempty"`
}

// String is how users write it.
func (e Entry) String() string {
	if e.Value == "" {
		return string(e.Option)
	}
	return string(e.Option) + "=" + e.Value
}

// longestValue bounds what is told of a list that as a whole refuses something.
const longestValue = 60

// Otherwise is what an option of the policy says as a whole, which decides where no item of a
// list does.
func (p Policy) Otherwise(of Option) Entry {
	var items []string
	switch of {
	case OptionEgress:
		items = []string{p.Egress}
	case OptionHost:
		if items = nil; p.WholeHost {
			items = []string{config.Any}
		}
		for _, h := range p.HostPorts {
			items = append(items, hostPort(h).Value)
		}
	case OptionIngress:
		for _, s := range p.Ingress {
			items = append(items, s.String())
		}
	case OptionAllow, OptionDeny: // there is the host as a whole
		return Entry{of, string(config.GroupHost)}
	case OptionSource:
		return Entry{Option: of}
	case OptionNames:
		return Entry{of, config.NamesStrict}
	}
	if len(items) == 0 {
		items = []string{config.None}
	}
	return Entry{of, OneText(items)}
}

// OneText is a list in a text, which is cut off where it is long.
func OneText(items []string) string {
	value := strings.Join(items, ",")
	if len(value) > longestValue {
		value = strings.ToValidUTF8(value[:longestValue], "") + "…"
	}
	return value
}

// ByName are the names that are allowed for some ports. What was learned of one of them may
// be another one's address as well, so that they decide together.
func (p Policy) ByName(ports config.Ports) Entry {
	var items []string
	for _, a := range p.Allow {
		if a.Name != "" && a.Ports == ports {
			items = append(items, a.String())
		}
	}
	return Entry{OptionAllow, OneText(items)}
}

// Denied are the items of the list that denies, but for names: these are not answered.
func (p Policy) Denied() (all []Entry) {
	for i := range p.Deny {
		if p.Deny[i].Name == "" {
			all = append(all, listed(OptionDeny, &p.Deny[i]))
		}
	}
	return all
}

// byName are the ports for which some name is allowed by which a packet passes.
func (p Policy) byName(to Packet) (ports config.Ports, passes bool) {
	for _, ports := range p.named() {
		if p.Strict && to.Proto != protoTCP {
			continue
		}
		known := func(a config.Peers) bool { return a.Ports == ports && slices.ContainsFunc(to.Names, a.Covers) }
		if match(ports, to) && slices.ContainsFunc(p.Allow, known) {
			return ports, true
		}
	}
	return config.Ports{}, false
}

// hostPort is an item of gangway.host.
func hostPort(p config.Ports) Entry {
	if p == (config.Ports{First: 53, Last: 53}) {
		return Entry{OptionHost, config.HostDNS}
	}
	return Entry{OptionHost, strings.TrimPrefix(p.String(), ":")}
}

func listed(of Option, item interface{ String() string }) Entry { return Entry{of, item.String()} }

// Verdict is whether a packet passes, and what has decided so.
type Verdict struct {
	Passes bool
	By     Entry
}

// Why is Decide with the reason.
func (p Policy) Why(to Packet, host bool) Verdict {
	d := p.outward(to, host)
	return Verdict{d.passes, d.by()}
}

// WhyAdmitted is Admits with the reason.
func (p Policy) WhyAdmitted(from Packet) Verdict {
	d := p.inward(from)
	return Verdict{d.passes, d.by()}
}

// first is the item that decides among those that match.
func first(list []config.Peers, matches func(config.Peers) bool) *config.Peers {
	var found *config.Peers
	for i, e := range list {
		if !matches(e) {
			continue
		}
		if e.All() {
			return &list[i]
		}
		if found == nil {
			found = &list[i]
		}
	}
	return found
}

// ProtocolNumber is that of a protocol with ports, by its name; 0 for others.
func ProtocolNumber(name string) uint8 {
	return map[string]uint8{"tcp": 6, "udp": 17, "sctp": 132}[name]
}

// Cure says what would let a packet pass that is refused.
func (v Verdict) Cure(p Packet) string {
	ports := ""
	for name, number := range map[string]uint8{"tcp": 6, "udp": 17, "sctp": 132} {
		if number == p.Proto {
			ports = fmt.Sprintf("%d/%s", p.Port, name)
		}
	}
	switch v.By.Option {
	case OptionIngress:
		return fmt.Sprintf("add %s to gangway.ingress", p.From)
	case OptionDeny:
		return fmt.Sprintf("take %s out of gangway.egress.deny", v.By.Value)
	case OptionHost:
		if ports == "" {
			return "gangway.host=any allows it, with all else of the host"
		}
		return "add " + ports + " to gangway.host"
	}
	to := p.To.String()
	if ports != "" {
		to = netip.AddrPortFrom(p.To, p.Port).String() + ports[strings.IndexByte(ports, '/'):]
	}
	return "add " + to + " to gangway.egress.allow"
}

// AskedBy are the sources that may ask for a run of ports from outside; nil for anybody. What
// is for some of the run only stands with its ports.
func (p Policy) AskedBy(proto uint8, first, last uint16) (all []string) {
	if p.Everybody || p.Audit {
		return nil
	}
	var own, rest []string
	whole := false
	for _, s := range p.Ingress {
		who := s
		who.Port = config.Ports{}
		at := spanOf(s.Port)
		switch {
		case s.Port.All():
			rest = append(rest, who.String())
		case !slices.Contains(protocolsOf(s.Port), proto) || at.last < first || at.first > last:
		case at.first <= first && last <= at.last:
			whole, own = true, append(own, who.String())
		default:
			own = append(own, s.String())
		}
	}
	if !whole {
		own = append(own, rest...)
	}
	if len(own) == 0 {
		return []string{config.None}
	}
	return own
}
