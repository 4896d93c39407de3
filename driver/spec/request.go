package spec

import "net/netip"

// PortRequest asks for one host port, the same in each of HostIPs, that leads
// to one container port.
type PortRequest struct {
	Proto Protocol
	// HostIPs are the host addresses, each once; 0.0.0.0 and :: stand for every
	// address of their family and then are its only one. A family that the host does not have is passed
	// over if there is another one.
	HostIPs []netip.Addr
	// First and Last bound the host ports to choose from: both 0 for any of
	// the ephemeral range, equal for one fixed port.
	First, Last uint16
	// Container4 and Container6 are the endpoint's addresses; invalid if it has
	// none of that family.
	Container4, Container6 netip.Addr
	// Endpoint is what conflicts name as the holder of the port; empty for the
	// owner, which may be several endpoints.
	Endpoint string
	// ContainerPort is where the host port leads, 1..65535.
	ContainerPort uint16
	// ByDaemon is as in Published.
	ByDaemon bool
}
