package config

import (
	"errors"
	"strings"
)

// egressOptions say what containers reach outside of their network.
func egressOptions() []Option {
	egress := policyOption("gangway.egress", strings.Join(Egresses(), ", "),
		"what containers reach outside of their network, in both families: everything; public addresses only, neither private nor link-local ones, cloud metadata, nor other special ones; nothing. "+defaultOf("GANGWAY_DEFAULT_EGRESS"),
		egressWord, func(p *Policy) *string { return &p.Egress })
	egress.Choices = Egresses()
	allow := policyOption("gangway.egress.allow", destinations,
		"what containers reach in spite of gangway.egress, and containers of other networks of Gangway, where these have network:NAME in gangway.ingress; none takes away what the network allows",
		destinationList, func(p *Policy) *string { return &p.Allow })
	allow.check = func(n Network) error {
		if n.Internal && n.Policy.Allow != "" {
			return errors.New("nothing leaves a network that --internal closes: leave one of them out")
		}
		return nil
	}
	deny := policyOption("gangway.egress.deny", destinations,
		"what containers do not reach, whatever else allows it; addresses of the host among them",
		destinationList, func(p *Policy) *string { return &p.Deny })
	names := policyOption("gangway.egress.names", strings.Join(NameModes(), ", "),
		"what a name in gangway.egress.allow opens: its addresses, which other names may share; or connections to these that say the name, by TLS or HTTP, which pass through the daemon; address if nothing is said",
		namesWord, func(p *Policy) *string { return &p.Names })
	names.Choices = NameModes()
	return []Option{egress, allow, deny, names}
}

const destinations = "entries with `,` between them: address, subnet, `NAME`, `*.NAME`, internet, private, lan, metadata, host, dns or `network:NAME`, each with `:PORT` or `:PORT-PORT` and `/tcp`, `/udp` or `/sctp` behind it; none"

func defaultOf(setting string) string {
	return "Without it what the setting " + setting + " says"
}

func egressWord(v string) (string, error) { return word(v, Egresses()) }

func namesWord(v string) (string, error) { return word(v, NameModes()) }

func destinationList(v string) (string, error) { return canonical(v, ParseDestinations) }

// policyOption is one for networks and containers, which is a text of their policy.
func policyOption(name, values, help string, parse func(string) (string, error), field func(*Policy) *string) Option {
	return Option{
		Name: name, Where: ForBoth, Values: values, Since: first, Help: help,
		network:   func(n *Network, v string) (err error) { *field(&n.Policy), err = parse(v); return err },
		container: func(e *Endpoint, v string) (err error) { *field(&e.Policy), err = parse(v); return err },
	}
}

// word takes one of some words, or none at all.
func word(v string, known []string) (string, error) {
	if v == "" {
		return "", nil
	}
	for _, k := range known {
		if v == k {
			return v, nil
		}
	}
	if n := nearest(v, known); n != "" {
		return "", errors.New("is no known value: did you mean " + n + "?")
	}
	return "", errors.New("is none of " + strings.Join(known, ", "))
}
