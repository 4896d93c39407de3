package config

// OptionDHCP has addresses come from the DHCP server of a LAN.
const OptionDHCP = "gangway.dhcp"

func dhcpOption() []Option {
	return []Option{{
		Name: OptionDHCP, Where: ForPool, Values: "the name of a link of the host, such as eth1", Since: first,
		Help: "IPv4 addresses and the gateway are those that the DHCP server of the LAN behind the link gives, and are given back to it; the network is on that LAN by -o " + optionUplink,
		pool: func(p *Pool, v string) error { p.DHCP = v; return uplinkName(v) },
	}}
}
