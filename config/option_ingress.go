package config

import (
	"errors"
	"slices"
)

// ingressOption says who reaches containers from outside of their network.
func ingressOption() []Option {
	o := policyOption("gangway.ingress", "any, none, or entries with `,` between them: address, subnet, internet, private, lan or `network:NAME`, each for all ports, or for one as `PORT[-PORT][/PROTOCOL]=SOURCE`",
		"who reaches published ports from outside of the network; containers of network:NAME reach any port, where that has this network in gangway.egress.allow; a port that has entries of its own is not reached by the others'. "+defaultOf("GANGWAY_DEFAULT_INGRESS"),
		ingressList, func(p *Policy) *string { return &p.Ingress })
	o.check = func(n Network) error {
		if n.Internal && !slices.Contains([]string{"", Any, None}, n.Policy.Ingress) {
			return errors.New("nobody reaches a network that --internal closes: leave one of them out")
		}
		return nil
	}
	return []Option{o}
}

func ingressList(v string) (string, error) { return canonical(v, ParseIngress) }
