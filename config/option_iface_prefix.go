package config

import "fmt"

const optionIfacePrefix = "com.docker.network.container_iface_prefix"

func ifacePrefixOption() []Option {
	return []Option{{
		Name: optionIfacePrefix, Where: ForNetwork, Values: "start of an interface name, at most 12 bytes", Default: "eth", Since: first,
		Help:    "what names of interfaces in containers start with, before the number",
		network: func(n *Network, v string) error { n.IfacePrefix = v; return ifacePrefix(v) },
	}}
}

// maxPrefix leaves room for the number that the engine appends.
const maxPrefix = 12

// ifacePrefix checks the prefix of the names of container interfaces.
func ifacePrefix(prefix string) error {
	if prefix == "" || len(prefix) > maxPrefix {
		return fmt.Errorf("has %d bytes: want 1 to %d, which leaves room for the number", len(prefix), maxPrefix)
	}
	return ifaceBytes(prefix)
}
