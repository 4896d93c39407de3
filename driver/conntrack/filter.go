package conntrack

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addressFilter matches flows with one of the addresses at either end, in
// either direction.
type addressFilter map[netip.Addr]struct{}

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (f addressFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	return f.has(flow.Forward.SrcIP) || f.has(flow.Forward.DstIP) ||
		f.has(flow.Reverse.SrcIP) || f.has(flow.Reverse.DstIP)
}

func (f addressFilter) has(ip net.IP) bool {
	a, _ := netip.AddrFromSlice(ip)
	_, ok := f[a.Unmap()]
	return ok
}

// portFilter matches UDP flows by the address and port they were sent to. The
// answers' ports are the container's, which mean nothing here.
type portFilter struct {
	byAddr map[netip.Addr]*portSet
	// anywhere holds for every address in local.
	anywhere *portSet
	local    *localSet
}

func (f *portFilter) add(ip netip.Addr, first, last uint16) {
	set := f.byAddr[ip]
	if ip.IsUnspecified() {
		set = f.anywhere
	}
	if set == nil {
		set = new(portSet)
	}
	for port := int(first); port <= int(last); port++ {
		set.add(uint16(port))
	}
	if ip.IsUnspecified() {
		f.anywhere = set
	} else {
		f.byAddr[ip] = set
	}
}

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (f *portFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	to, ok := netip.AddrFromSlice(flow.Forward.DstIP)
	if !ok {
		return false
	}
	to = to.Unmap()
	port := flow.Forward.DstPort
	return f.byAddr[to].has(port) || f.anywhere.has(port) && f.local.has(to)
}

// portSet is a set of port numbers, one bit each; nil is the empty set.
type portSet [1 << 16 / 64]uint64

func (s *portSet) add(port uint16) { s[port/64] |= 1 << (port % 64) }

func (s *portSet) has(port uint16) bool { return s != nil && s[port/64]&(1<<(port%64)) != 0 }
