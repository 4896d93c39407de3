package config

import (
	"strconv"
	"strings"
)

// foreign is an option that users know from elsewhere and that is nothing for
// Gangway's networks.
type foreign struct {
	// hint says what to do instead.
	hint string
	// idle says that a value asks for nothing that the network is not without it.
	// Programs that write all options they know send such ones. Nil for never.
	idle func(n Network, value string) bool
}

// foreignOptions are the options of other drivers, of the engine's own networks and
// of other programs that deserve a sentence of their own. Others get the nearest
// known name. Names have no prefix here.
func foreignOptions() map[string]foreign {
	underlying := foreign{hint: "is of the drivers macvlan and ipvlan: Gangway's networks are bridges; to have containers in the network of a link, make that a port of a bridge of yours and name the bridge in com.docker.network.bridge.name"}
	encryption := foreign{
		hint: "is of other drivers: Gangway's networks do not leave the host, and nothing on them is encrypted; leave it out",
		idle: says(func(Network) bool { return false }),
	}
	internal := foreign{hint: "is not a driver option: use --internal", idle: says(func(n Network) bool { return n.Internal })}
	six := foreign{hint: "is not a driver option: use --ipv6", idle: says(func(n Network) bool { return n.IPv6 })}
	return map[string]foreign{
		"default_bridge": {
			hint: "is the engine's own mark of its network bridge: leave it out",
			idle: says(func(Network) bool { return false }),
		},
		"internal":    internal,
		"ipv6":        six,
		"enable_ipv6": six,
		"enable_ipv4": {hint: "is not a driver option: use --ipv4", idle: says(func(n Network) bool { return n.IPv4 })},

		"encryption":   encryption, // Pterodactyl's Wings
		"encrypted":    encryption, // overlay, where an empty value turns it on
		"parent":       underlying,
		"macvlan_mode": underlying,
		"ipvlan_mode":  underlying,
		"vlan":         {hint: "is no option: to put a network into a VLAN, make a bridge of yours with the VLAN's link as a port (`ip link add link eth0 name eth0.10 type vlan id 10`) and name the bridge in com.docker.network.bridge.name"},
		"isolate":      {hint: "is no option: Gangway's networks are always closed to each other; com.docker.network.bridge.enable_icc=false closes one within, --internal to the outside"},
	}
}

// says has a value ask for nothing that is the boolean which the network has
// already.
func says(has func(Network) bool) func(Network, string) bool {
	return func(n Network, value string) bool {
		v, err := strconv.ParseBool(value)
		return err == nil && v == has(n)
	}
}

// elsewhere says what to do about an option that is nothing for this place, with
// Docker's prefix or without.
func elsewhere(name string) (foreign, bool) {
	if strings.HasPrefix(name, dockerPrefix) {
		name = last(name)
	}
	f, known := foreignOptions()[strings.ToLower(name)]
	return f, known
}

const dockerPrefix = "com.docker.network."
