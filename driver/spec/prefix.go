package spec

import "net/netip"

// HostPrefix is a prefix of IPv6 addresses that others have given the host.
type HostPrefix struct {
	// Link is the one on which an address of the prefix is; empty for one that was delegated,
	// of which the host may give whatever part to whatever link.
	Link string
	// Prefix is masked, if it was delegated. On a link it is with the host's address there.
	Prefix netip.Prefix
}
