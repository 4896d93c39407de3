package conntrack

import (
	"net/netip"
	"slices"

	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// choice says which flows are meant, in the two ways of finding them.
type choice interface {
	// selections are kernel-side filters that together select the flows; nil if
	// none can.
	selections() []selection
	// has says whether a listed flow is one.
	has(f *flow) (bool, error)
}

// maxSelections is how many kernel-side filters are used in place of a list.
// Each looks at every flow and at no empty bucket of the table: 0.3 ms where the
// table has 262 144 buckets, of which a list, which locks each, takes 13 ms.
const maxSelections = 16

// filterable says whether the kernel's filters can be trusted with an address.
// With an IPv6 address they select the flows of all others (6.18:
// ctnetlink_filter_match_tuple takes ipv6_addr_cmp for an equality).
func filterable(a netip.Addr) bool { return a.Is4() }

// ofAddresses are flows that one of the addresses takes part in: it sends in one
// of the directions. Who is sent to and never sends is not part of the flow:
// translation has put another in its place.
type ofAddresses map[netip.Addr]struct{}

func (s ofAddresses) selections() (all []selection) {
	for a := range s {
		if !filterable(a) {
			return nil
		}
		for _, direction := range []int{attrOrig, attrReply} {
			all = append(all, selection{addr: a, direction: direction})
		}
	}
	return all
}

func (s ofAddresses) has(f *flow) (bool, error) {
	_, sends := s[f.src]
	_, answers := s[f.from]
	return sends || answers, nil
}

// translatedTo are UDP flows whose destination was changed to one of the
// addresses.
type translatedTo map[netip.Addr]struct{}

func (s translatedTo) selections() (all []selection) {
	for a := range s {
		if !filterable(a) {
			return nil
		}
		all = append(all, selection{addr: a, direction: attrReply, proto: unix.IPPROTO_UDP, status: statusDNAT})
	}
	return all
}

func (s translatedTo) has(f *flow) (bool, error) {
	_, ok := s[f.from]
	return ok && f.proto == unix.IPPROTO_UDP && f.dst != f.from, nil
}

// ofPorts are UDP flows that have a host port: they were sent to it, and are not
// translated to where it leads now (those may have begun since), or their source was
// translated to it, and is not the container that has the port now.
type ofPorts struct {
	runs []spec.Published
	// to are the ports that flows are sent to, from those that they may come from.
	to, from hostPorts
}

// hostPorts are ports of the host's addresses.
type hostPorts struct {
	byAddr map[netip.Addr]*portSet
	// anywhere holds for every address that is the host's own.
	anywhere map[uint8]*portSet
	// local asks which these are.
	local func(family uint8) (*netipx.IPSet, error)
}

func newHostPorts(local func(family uint8) (*netipx.IPSet, error)) hostPorts {
	return hostPorts{byAddr: map[netip.Addr]*portSet{}, anywhere: map[uint8]*portSet{}, local: local}
}

func (s *ofPorts) add(r spec.Published) {
	s.runs = append(s.runs, r)
	s.from.add(r)
	if r.ContainerIP.IsValid() {
		s.to.add(r)
	}
}

func (h *hostPorts) add(r spec.Published) {
	ip := plain(r.HostIP)
	set := h.byAddr[ip]
	if ip.IsUnspecified() {
		set = h.anywhere[familyOf(ip)]
	}
	if set == nil {
		set = new(portSet)
	}
	for port := int(r.First); port <= int(r.Last); port++ {
		set.add(uint16(port))
	}
	if ip.IsUnspecified() {
		h.anywhere[familyOf(ip)] = set
	} else {
		h.byAddr[ip] = set
	}
}

// has says whether one of the ports is at an address.
func (h *hostPorts) has(family uint8, a netip.Addr, port uint16) (bool, error) {
	if h.byAddr[a].has(port) {
		return true, nil
	}
	if !h.anywhere[family].has(port) {
		return false, nil
	}
	own, err := h.local(family)
	return err == nil && own.Contains(a), err
}

// selections has none: a filter has one address and one port, not every address
// of the host, nor a range.
func (s *ofPorts) selections() []selection { return nil }

func (s *ofPorts) has(f *flow) (bool, error) {
	if f.proto != unix.IPPROTO_UDP {
		return false, nil
	}
	if f.back != f.src {
		taken, err := s.from.has(f.family, f.back, f.backPort)
		if err != nil || taken && !s.owns(f) {
			return taken, err
		}
	}
	sent, err := s.to.has(f.family, f.dst, f.port)
	return sent && !s.serves(f), err
}

// serves says whether a flow to one of the ports is translated as it would be
// now.
func (s *ofPorts) serves(f *flow) bool {
	for _, r := range s.runs {
		if f.dst != f.from && f.from == plain(r.ContainerIP) && r.First <= f.port && f.port <= r.Last &&
			f.fromPort == r.ContainerFirst+(f.port-r.First) {
			return true
		}
	}
	return false
}

// owns says whether a flow with one of the ports as its source is that of the container
// that has the port.
func (s *ofPorts) owns(f *flow) bool {
	return slices.ContainsFunc(s.runs, func(r spec.Published) bool {
		return f.src == plain(r.ContainerIP) && r.First <= f.backPort && f.backPort <= r.Last
	})
}

// renumbered are flows of subnets, given by what each is outside by now, that have another address outside, or none
// though they leave all networks.
type renumbered struct {
	outside  map[netip.Prefix]netip.Prefix
	networks []netip.Prefix
	own      *netipx.IPSet
}

// selections has none: a filter has one address.
func (renumbered) selections() []selection { return nil }

func (s renumbered) has(f *flow) (bool, error) {
	for inside, outside := range s.outside {
		stale := func(a, of netip.Addr) bool {
			return inside.Contains(of) && a != of && !inside.Contains(a) && !outside.Contains(a) && !s.own.Contains(a)
		}
		leaves := inside.Contains(f.src) && f.back == f.src && s.beyond(f.from)
		comes := outside.Contains(f.dst) && f.from == f.dst && f.back == f.src && s.beyond(f.src)
		if leaves || comes || stale(f.back, f.src) || stale(f.dst, f.from) {
			return true, nil
		}
	}
	return false, nil
}

// beyond says whether who has an address knows none of the networks' own.
func (s renumbered) beyond(a netip.Addr) bool {
	within := slices.ContainsFunc(s.networks, func(p netip.Prefix) bool { return p.Contains(a) })
	return !within && !s.own.Contains(a) && a.IsGlobalUnicast()
}

// portSet is a set of port numbers, one bit each; nil is the empty set.
type portSet [1 << 16 / 64]uint64

func (s *portSet) add(port uint16) { s[port/64] |= 1 << (port % 64) }

func (s *portSet) has(port uint16) bool { return s != nil && s[port/64]&(1<<(port%64)) != 0 }
