package policy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gangway-net/gangway/config"
)

// Policy is who may talk to whom.
type Policy struct {
	Mode
	// Egress is one of config.Egresses, for what neither Deny nor Allow has; Deny goes first.
	Egress string
	destinations
	// Everybody reaches the containers, or else Ingress says who.
	Everybody bool
	Ingress   []config.Source
	// WholeHost says that containers reach all of the host, or else HostPorts of it.
	WholeHost bool
	HostPorts []config.Ports
}

// destinations are those of a policy's lists; allows and denies find their names.
type destinations struct {
	Allow, Deny    []config.Peers
	allows, denies nameIndex
	// Strict says that names open connections by TCP that say one of them, and nothing else.
	Strict bool
}

// Mode is how a policy is kept.
type Mode struct {
	// Audit refuses nothing: what would be refused is counted.
	Audit bool
	// Learn has the resolver hear of all names.
	Learn bool
}

// Of reads the texts of options; what they do not say is open, but for the host, of which
// containers reach the resolver alone unless egress is open.
func Of(texts config.Policy) (p Policy, err error) {
	p.Egress = cmp.Or(texts.Egress, config.EgressOpen)
	p.Learn = texts.Mode == config.ModeLearn
	p.Audit = texts.Audits()
	p.Strict = texts.Names == config.NamesStrict
	host := texts.Host
	if host == "" && p.Egress == config.EgressOpen {
		host = config.Any
	}
	if p.Allow, err = config.ParseDestinations(cmp.Or(texts.Allow, config.None)); err != nil {
		return closed(), fmt.Errorf("gangway.egress.allow %w", err)
	}
	if p.Deny, err = config.ParseDestinations(cmp.Or(texts.Deny, config.None)); err != nil {
		return closed(), fmt.Errorf("gangway.egress.deny %w", err)
	}
	if p.Ingress, err = config.ParseIngress(cmp.Or(texts.Ingress, config.Any)); err != nil {
		return closed(), fmt.Errorf("gangway.ingress %w", err)
	}
	if p.WholeHost, p.HostPorts, err = config.ParseHostAccess(cmp.Or(host, config.HostDNS)); err != nil {
		return closed(), fmt.Errorf("gangway.host %w", err)
	}
	p.resolved(texts)
	p.Everybody = everybody(p.Ingress)
	if !slices.Contains(config.Egresses(), p.Egress) {
		return closed(), fmt.Errorf("gangway.egress %q is none of %v", p.Egress, config.Egresses())
	}
	p.allows, p.denies = indexNames(p.Allow), indexNames(p.Deny)
	return p, nil
}

// closed is what counts in the place of a policy that cannot be read.
func closed() Policy { return Policy{Egress: config.EgressDeny} }

// Open says that the policy refuses nothing whatever.
func (p Policy) Open() bool { return p.Everybody && !p.Outward() }

// Outward says that the policy refuses some of what containers send.
func (p Policy) Outward() bool {
	return p.Egress != config.EgressOpen || len(p.Deny) > 0 || !p.WholeHost
}

// Check refuses what can never match on a network with these families, or contradicts
// itself.
func (p Policy) Check(four, six bool) error {
	// Networks are isolated where everything else is open as well.
	i := slices.IndexFunc(p.Allow, func(a config.Peers) bool { return a.Network.Name == "" })
	if p.Egress == config.EgressOpen && i >= 0 {
		return mistake(OptionAllow, p.Allow[i], "and gangway.egress allows everything: set that to %s or %s", config.EgressDeny, config.EgressInternet)
	}
	for _, list := range []struct {
		option string
		peers  []config.Peers
	}{{"gangway.egress.allow", p.Allow}, {"gangway.egress.deny", p.Deny}} {
		for _, e := range list.peers {
			if err := familyLacks(e, four, six); err != nil {
				return fmt.Errorf("%s has %s, which can never match: %w", list.option, e, err)
			}
		}
	}
	for _, s := range p.Ingress {
		if s.Nobody || s.Anybody {
			continue
		}
		if err := familyLacks(s.Peers, four, six); err != nil {
			return fmt.Errorf("gangway.ingress has %s, which can never match: %w", s, err)
		}
	}
	if err := p.checkNames(); err != nil {
		return err
	}
	if err := p.covered(); err != nil {
		return err
	}
	return p.Fits()
}

// mostEntries bounds a list.
const mostEntries = 1 << 14

// Fits refuses what would take too much of the kernel's memory, and of the daemon's.
func (p Policy) Fits() error {
	for _, list := range []struct {
		option  Option
		entries int
	}{{OptionAllow, len(p.Allow)}, {OptionDeny, len(p.Deny)}, {OptionIngress, len(p.Ingress)}} {
		if list.entries > mostEntries {
			return fmt.Errorf("%s has %d entries, and a list may have %d: write subnets in the place of addresses", list.option, list.entries, mostEntries)
		}
	}
	if p.Compile().TooLarge {
		return fmt.Errorf("its entries overlap so that the kernel would need more than %d elements for them: write fewer that have ports of large subnets", mostElements)
	}
	return nil
}

// Mistake is an entry that can never match, or contradicts what is said beside it.
type Mistake struct {
	Entry
	why string
}

func (m *Mistake) Error() string { return fmt.Sprintf("%s has %s, %s", m.Option, m.Value, m.why) }

func mistake(of Option, item interface{ String() string }, format string, args ...any) error {
	return &Mistake{listed(of, item), fmt.Sprintf(format, args...)}
}

func familyLacks(e config.Peers, four, six bool) error {
	if !e.Literal() {
		return nil
	}
	switch is6 := e.Prefix.Addr().Is6(); {
	case is6 && !six:
		return fmt.Errorf("the network has no IPv6")
	case !is6 && !four:
		return fmt.Errorf("the network has no IPv4")
	}
	return nil
}
