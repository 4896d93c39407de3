package hostport

import (
	"fmt"
	"strings"

	"github.com/gangway-net/gangway/driver/procfile"
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
	text, err := procfile.Read("/proc/sys/net/ipv4/ip_local_port_range")
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

// portRange is first to last.
type portRange struct{ first, last uint16 }

func isKept(kept []portRange, port uint16) bool {
	for _, r := range kept {
		if r.first <= port && port <= r.last {
			return true
		}
	}
	return false
}

// reservedPorts is net.ipv4.ip_local_reserved_ports: what administrators keep from
// being chosen, as the kernel does when a program binds port 0.
func reservedPorts() []portRange {
	text, err := procfile.Read("/proc/sys/net/ipv4/ip_local_reserved_ports")
	if err != nil {
		return nil
	}
	return parseReservedPorts(string(text))
}

// parseReservedPorts reads "80,8000-8010"; what is no port or range is passed over.
func parseReservedPorts(text string) (kept []portRange) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		var r portRange
		if n, err := fmt.Sscan(first+" "+last, &r.first, &r.last); n == 2 && err == nil {
			kept = append(kept, r)
		}
	}
	return kept
}
