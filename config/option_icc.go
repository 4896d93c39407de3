package config

func iccOption() []Option {
	return []Option{{
		Name: "com.docker.network.bridge.enable_icc", Where: ForNetwork, Values: "true or false", Default: "true", Choices: booleans(), Since: first,
		Help:    "let containers of the network reach each other",
		network: func(n *Network, v string) (err error) { n.ICC, err = boolean(v); return err },
		filter: func(n Network) string {
			if n.ICC {
				return ""
			}
			return "what containers send each other"
		},
	}}
}
