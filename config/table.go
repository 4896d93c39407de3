package config

import (
	"net/netip"
	"slices"
	"sync"
)

// Network is what a user asks a network to be: the fields say what holds. Values
// compare with ==, which tells different words for the same apart; Equal does not.
type Network struct {
	// Bridge is the bridge's name; "" has gangway choose it.
	Bridge string
	// MTU is in bytes, 68 to 65535; 0 leaves it to the kernel, AutoMTU to the way out.
	MTU int
	// Masquerade hides container addresses behind the host's on the way out;
	// ICC lets containers of the network reach each other; Internal keeps the
	// network from everything outside.
	Masquerade, ICC, Internal bool
	// IPv4 and IPv6 say which families the network has; at least one.
	IPv4, IPv6 bool
	// GatewayMode4 and GatewayMode6 are asked for by Mode.
	GatewayMode4, GatewayMode6 GatewayMode
	// InhibitIPv4 gives the bridge no IPv4 address; somebody else is the gateway.
	InhibitIPv4 bool
	// HostBinding4 and HostBinding6 are asked for by HostBindings. With another
	// HostBinding4 than every address and no HostBinding6, IPv6 ports are not
	// published.
	HostBinding4, HostBinding6 string
	// Host4 and Host6 are the addresses that outgoing traffic takes; invalid for
	// those of the link that it leaves by.
	Host4, Host6 netip.Addr
	// AntiSpoofing keeps containers from claiming addresses that are not theirs.
	AntiSpoofing AntiSpoofing
	// Trusted is asked for by TrustedInterfaces.
	Trusted string
	// IfacePrefix is what names of interfaces in containers start with.
	IfacePrefix string
	// Policy is what was said of who may talk to the network's containers, and to whom
	// they may. Lock refuses containers that say something else.
	Policy Policy
	Lock   bool
	// RateIn and RateOut bound what each container gets and sends.
	RateIn, RateOut Rate
	// ContainerRoutes and HostRoutes are asked for by ParseRoutes. NoDefaultRoute gives
	// containers no default route by the network.
	ContainerRoutes, HostRoutes string
	NoDefaultRoute              bool
	// Uplink is the link by which containers are on a LAN; "" for none. HostAccess gives the
	// host an address there, Move has it keep those of the link.
	Uplink           string
	HostAccess, Move bool
	// Gateway is asked for by ParseGateway; "" for the host itself.
	Gateway string
	// NDPProxy is the link by which the host answers for containers' IPv6 addresses; "" for none.
	NDPProxy string
	// Prefix is what its IPv6 addresses are translated into.
	Prefix Prefix

	given given
}

// Endpoint is what a user asks one container's place on a network to be. Values
// compare as Network's.
type Endpoint struct {
	// Policy is what was said for this container; what it says goes before the network's.
	Policy Policy
	// RateIn and RateOut bound what it gets and sends; where nothing is said, the network's.
	RateIn, RateOut Rate
	// ContainerRoutes take the place of the network's, if there are any; see RoutesOf.
	ContainerRoutes string
	NoDefaultRoute  Said
	// Promiscuous has it get copies of what others on the network send.
	Promiscuous bool

	given given
}

// Pool is what a user asks a pool of the address manager to be. Values compare with ==.
type Pool struct {
	// Sticky gives a container the address that it had last, if it is free.
	Sticky bool
	// DHCP is the link by which the LAN's DHCP server is asked for IPv4 addresses; "" for none.
	DHCP string

	given given
}

// OptionsTable lists every option in the order of the documentation.
func OptionsTable() []Option { return slices.Clone(optionsTable()) }

// optionsTable is the one OptionsTable: it is read with each call of an engine, and nobody
// may change it.
var optionsTable = sync.OnceValue(func() []Option {
	return slices.Concat(
		bridgeOption(),
		mtuOption(),
		masqueradeOption(),
		iccOption(),
		hostBindingOptions(),
		antiSpoofingOption(),
		ifacePrefixOption(),
		gatewayModeOptions(),
		inhibitIPv4Option(),
		trustedOption(),
		hostAddressOptions(),
		egressOptions(),
		ingressOption(),
		hostAccessOption(),
		namedPolicyOption(),
		policyModeOptions(),
		rateOptions(),
		routeOptions(),
		promiscuousOption(),
		uplinkOptions(),
		gatewayOption(),
		ndpProxyOption(),
		ipv6Options(),
		stickyOption(),
		dhcpOption(),
		engineOptions(),
	)
})

// NetworkOptionsTable lists the options that Gangway's networks can be given, without
// those that the engine carries out.
func NetworkOptionsTable() []Option {
	return slices.DeleteFunc(OptionsTable(), func(o Option) bool { return o.Where&ForNetwork == 0 || o.Engine })
}
