package hostport

import (
	"fmt"
	"os"
)

// The range of ephemeral ports where the kernel does not say one, as in moby
// (libnetwork/portallocator).
const (
	defaultLow  = 49153
	defaultHigh = 65535
	// lowestEphemeral keeps ephemeral ports out of the well-known ones,
	// whatever the sysctl says.
	lowestEphemeral = 1024
)

// ephemeralRange is net.ipv4.ip_local_port_range of the calling thread's
// namespace. It is read for each call that needs it, because administrators
// change it at run time; there is none for IPv6.
func ephemeralRange() (low, high uint16) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return defaultLow, defaultHigh
	}
	return parseEphemeralRange(string(text))
}

// parseEphemeralRange reads "low high"; what is no range gives the default.
func parseEphemeralRange(text string) (low, high uint16) {
	if n, err := fmt.Sscan(text, &low, &high); n != 2 || err != nil {
		return defaultLow, defaultHigh
	}
	low = max(low, lowestEphemeral)
	if low > high {
		return defaultLow, defaultHigh
	}
	return low, high
}
