package config

// engineOptions are options that a user gives and the engine carries out for every
// driver.
func engineOptions() []Option {
	return []Option{
		{
			Name: "com.docker.network.advertise_addr_nmsgs", Where: ForNetwork, Values: "0 to 3", Default: "3", Since: first, Engine: true,
			Help: "how often a container tells its neighbours of its addresses; the engine's, from 28.0 on",
		},
		{
			Name: "com.docker.network.advertise_addr_ms", Where: ForNetwork, Values: "100 to 2000", Default: "1000", Since: first, Engine: true,
			Help: "how many milliseconds are between two times; the engine's, from 28.0 on",
		},
		{
			Name: keySysctls, Where: ForContainer, Values: "settings with `,` between them: `net.ipv4.conf.IFNAME.log_martians=1`", Since: first, Engine: true,
			Help: "kernel settings of the container's interface; the engine's, from 27.0 on",
		},
	}
}
