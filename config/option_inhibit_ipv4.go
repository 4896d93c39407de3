package config

func inhibitIPv4Option() []Option {
	return []Option{{
		Name: "com.docker.network.bridge.inhibit_ipv4", Where: ForNetwork, Values: "true or false", Default: "false", Choices: booleans(), Since: first,
		Help:    "give the bridge no IPv4 address: the gateway is another machine on an existing bridge",
		network: func(n *Network, v string) (err error) { n.InhibitIPv4, err = boolean(v); return err },
	}}
}
