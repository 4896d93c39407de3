package config

func promiscuousOption() []Option {
	return []Option{{
		Name: "gangway.promiscuous", Where: ForContainer, Values: "true or false", Default: "false", Choices: booleans(), Since: first,
		Help:      "the container also gets a copy of what other containers of the network, and the host, send there to one another: for who looks for intruders",
		container: func(e *Endpoint, v string) (err error) { e.Promiscuous, err = boolean(v); return err },
	}}
}
