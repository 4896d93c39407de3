package config

// hostAccessOption says what containers reach of the host.
func hostAccessOption() []Option {
	return []Option{policyOption("gangway.host", "any, dns, none, or ports with `,` between them: `PORT[-PORT][/PROTOCOL]`, dns",
		"what containers reach of the host itself, at any of its addresses, published ports of others among them. Without it what the setting GANGWAY_DEFAULT_HOST says; dns where that says nothing and gangway.egress is not open",
		hostAccessList, func(p *Policy) *string { return &p.Host })}
}

func hostAccessList(v string) (string, error) {
	if v == "" || v == Any || v == None {
		return v, nil
	}
	return canonical(v, func(v string) ([]hostPorts, error) {
		_, ports, err := ParseHostAccess(v)
		all := make([]hostPorts, len(ports))
		for i, p := range ports {
			all[i] = hostPorts(p)
		}
		return all, err
	})
}

// hostPorts are ports that stand alone.
type hostPorts Ports

func (p hostPorts) String() string {
	text := Ports(p).String()
	return text[1:] // without the colon
}
