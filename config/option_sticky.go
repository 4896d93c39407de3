package config

func stickyOption() []Option {
	return []Option{{
		Name: "gangway.sticky", Where: ForPool, Values: "true or false", Default: "true", Choices: booleans(), Since: first,
		Help: "give a container the address that a container of its name had last on the network, if it is free; names are known from engine 29 on",
		pool: func(p *Pool, v string) (err error) { p.Sticky, err = boolean(v); return err },
	}}
}
