package config

const optionMasquerade = "com.docker.network.bridge.enable_ip_masquerade"

func masqueradeOption() []Option {
	return []Option{{
		Name: optionMasquerade, Where: ForNetwork, Values: "true or false", Default: "true", Choices: booleans(), Since: first,
		Help:    "hide container addresses behind the host's on the way out",
		network: func(n *Network, v string) (err error) { n.Masquerade, err = boolean(v); return err },
	}}
}
