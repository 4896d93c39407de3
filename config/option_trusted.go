package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

func trustedOption() []Option {
	return []Option{{
		Name: "com.docker.network.bridge.trusted_host_interfaces", Where: ForNetwork, Values: "interface names with `:` between them", Since: first,
		Help:    "from where published ports are reached by the containers' own addresses as well, in mode nat",
		network: func(n *Network, v string) (err error) { n.Trusted, err = trusted(v); return err },
		check: func(n Network) error {
			if n.Trusted != "" && n.Internal {
				return errors.New("no interface reaches a network that --internal closes: leave one of them out")
			}
			return nil
		},
	}}
}

// TrustedInterfaces are the links from which containers' published ports are
// reached by the containers' addresses as well, in gateway mode nat.
func (n Network) TrustedInterfaces() []string {
	return strings.FieldsFunc(n.Trusted, func(r rune) bool { return r == ':' })
}

// trusted checks a list of link names and returns it sorted, each once.
func trusted(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	names := strings.Split(v, ":")
	for _, name := range names {
		if name == "" {
			return "", fmt.Errorf("has an empty name: want interface names with ':' between them")
		}
		if err := linkName(name); err != nil {
			return "", fmt.Errorf("names %q, which %w", name, err)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ":"), nil
}
