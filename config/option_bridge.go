package config

func bridgeOption() []Option {
	return []Option{{
		Name: "com.docker.network.bridge.name", Where: ForNetwork, Values: "interface name, at most 15 bytes", Since: first,
		Help:    "name of the bridge; gw- and the start of the network's id if empty",
		network: func(n *Network, v string) error { n.Bridge = v; return bridgeName(v) },
	}}
}

// bridgeName checks the name of a bridge; "" has gangway choose one.
func bridgeName(name string) error {
	if name == "" {
		return nil
	}
	return linkName(name)
}
